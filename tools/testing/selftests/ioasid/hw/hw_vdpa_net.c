// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network devices of vDPA through IOASIDs: two of QEMU on one wire, behind an IOMMU; and
 * a vDPA device beside a VFIO device.
 */
#include "hw_vdpa.h"
#include "dut.h"

#define PCI_NET "ioasid-pci-net"

/* --- two devices on a wire, each with an IOASID --- */

struct port {
	char pci[HW_NAME];
	char name[32];
	struct virtio v;
	__u32 id;
	char *mem;
};

FIXTURE(net)
{
	int ctx;
	struct port port[2];
};

FIXTURE_SETUP(net)
{
	char pci[2][HW_NAME];
	int i;

	memset(self->port, 0, sizeof(self->port));
	self->port[0].v.fd = -1;
	self->port[1].v.fd = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	if (vdpa_find_pci(VIRTIO_ID_NET, pci, 2) < 2 || hw_group(pci[0]) < 0)
		SKIP(return, NO_VDPA);
	for (i = 0; i < 2; i++) {
		struct port *p = &self->port[i];
		int rc;

		memcpy(p->pci, pci[i], HW_NAME);
		snprintf(p->name, sizeof(p->name), PCI_NET "%d", i);
		rc = vdpa_take_pci(p->pci, p->name);
		if (rc == -ENOENT)
			SKIP(return, NO_VDPA);
		ASSERT_EQ(0, rc);
		ASSERT_EQ(0, virtio_open(&p->v, p->name));
		if (vdpa_has_no_front(p->v.fd))
			SKIP(return, NO_FRONT);
		p->mem = ia_mem(4 * PG);
		ASSERT_NE(NULL, p->mem);
		ASSERT_EQ(0, ia_alloc(self->ctx, &p->id));
		ASSERT_EQ(0, ia_map(self->ctx, p->id, RINGS, p->v.ctrl,
				    VIRTIO_CTRL));
		ASSERT_EQ(0, ia_map(self->ctx, p->id, BASE, p->mem, 4 * PG));
		ASSERT_EQ(0, vdpa_bind(p->v.fd, self->ctx, i, NULL));
		ASSERT_EQ(0, vdpa_attach(p->v.fd, p->id));
		ASSERT_EQ(0, virtio_start(&p->v, RINGS));
	}
}

FIXTURE_TEARDOWN(net)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (self->port[i].v.fd >= 0)
			virtio_close(&self->port[i].v);
		if (self->port[i].mem)
			munmap(self->port[i].mem, 4 * PG);
	}
	if (self->ctx >= 0)
		close(self->ctx);
}

/* Have one transmit a page, and the other one receive it. */
static int pass(struct port *from, struct port *to, unsigned int seed)
{
	__u32 header = sizeof(struct virtio_net_hdr_v1), got;
	struct virtio_piece rx[2] = {
		{ RINGS + VIRTIO_HEADERS, header, true },
		{ BASE, 1500, true },
	};
	struct virtio_piece tx[2] = {
		{ RINGS + VIRTIO_HEADERS + 0x100, header, false },
		{ BASE + PG, VIRTIO_LEN, false },
	};
	int rc;

	memset(to->mem, 0, PG);
	virtio_frame(from->mem + PG, VIRTIO_LEN, seed);
	virtio_add(&to->v, VIRTIO_RX, rx, 2);
	virtio_kick(&to->v, VIRTIO_RX);
	virtio_add(&from->v, VIRTIO_TX, tx, 2);
	virtio_kick(&from->v, VIRTIO_TX);
	rc = virtio_wait(&from->v, VIRTIO_TX, NULL);
	if (!rc)
		rc = virtio_wait(&to->v, VIRTIO_RX, &got);
	if (rc)
		return rc;
	return got == header + VIRTIO_LEN &&
	       virtio_is_frame(to->mem, VIRTIO_LEN, seed) ? 0 : -EIO;
}

TEST_F(net, wire)
{
	struct port *a = &self->port[0], *b = &self->port[1];
	int i;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, pass(a, b, i));
		ASSERT_EQ(0, pass(b, a, i + 100));
	}
}

/* One moves while the other one stays. */
TEST_F(net, move)
{
	struct port *a = &self->port[0], *b = &self->port[1];
	__u32 other;
	int i;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, ia_map(self->ctx, other, RINGS, b->v.ctrl, VIRTIO_CTRL));
	ASSERT_EQ(0, ia_map(self->ctx, other, BASE, b->mem + PG, PG));
	ASSERT_EQ(0, ia_map(self->ctx, other, BASE + PG, b->mem, PG));
	for (i = 0; i < 6; i++) {
		int rc;

		ASSERT_EQ(0, vdpa_attach(b->v.fd, i % 2 ? b->id : other));
		rc = pass(a, b, i);
		if (i % 2) {
			ASSERT_EQ(0, rc);
			continue;
		}
		/* into the other page */
		ASSERT_EQ(-EIO, rc);
		ASSERT_TRUE(virtio_is_frame(b->mem + PG, VIRTIO_LEN, i));
		ASSERT_EQ(0, b->mem[0]);
	}
}

/* Only one of them loses memory. */
TEST_F(net, unmap)
{
	struct port *a = &self->port[0], *b = &self->port[1];

	ASSERT_EQ(0, pass(a, b, 1));
	ASSERT_EQ(0, ia_unmap(self->ctx, b->id, BASE, 4 * PG, NULL));
	/* told to be received; memory is as before */
	virtio_frame(b->mem + 2 * PG, VIRTIO_LEN, 8);
	EXPECT_NE(0, pass(a, b, 2));
	EXPECT_EQ(0, b->mem[6]);
	EXPECT_EQ(0, b->mem[VIRTIO_LEN - 1]);
	ASSERT_EQ(0, ia_map(self->ctx, b->id, BASE, b->mem, 4 * PG));
	ASSERT_EQ(0, virtio_start(&b->v, RINGS));
	EXPECT_EQ(0, pass(a, b, 3));
}

/* --- one IOASID of a vDPA device and a VFIO device --- */

FIXTURE(both)
{
	struct vdpa_setup s;
	struct dut dut;
};

FIXTURE_VARIANT(both)
{
	enum vdpa_parent parent;
};

FIXTURE_VARIANT_ADD(both, set_map) { .parent = SET_MAP, };
FIXTURE_VARIANT_ADD(both, dma_map) { .parent = DMA_MAP, };
FIXTURE_VARIANT_ADD(both, platform) { .parent = PLATFORM, };

FIXTURE_SETUP(both)
{
	const char *reason;
	int rc;

	memset(&self->dut, 0, sizeof(self->dut));
	self->dut.fd = -1;
	reason = vdpa_prepare(&self->s, variant->parent);
	ASSERT_NE(NULL, reason);
	if (*reason)
		SKIP(return, "%s", reason);
	rc = dut_open(&self->dut, &engine_nvme, 0, 1);
	if (rc == -ENOENT)
		SKIP(return, "no VFIO device");
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(both)
{
	if (self->dut.fd >= 0)
		dut_close(&self->dut);
	vdpa_finish(&self->s);
}

TEST_F(both, one_ioasid)
{
	long long before = ia_status("VmLck") + ia_status("VmPin"), after;
	struct vdpa_setup *s = &self->s;
	struct ioasid_info info;
	struct dut *dut = &self->dut;
	__u64 pinned;

	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, dut_admit(dut, s->ctx, s->id));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, RINGS, s->v.ctrl, VIRTIO_CTRL));
	ASSERT_EQ(0, ia_info(s->ctx, s->id, &info));
	pinned = info.bytes_pinned;
	after = ia_status("VmLck") + ia_status("VmPin");
	ASSERT_EQ(0, dut_bind(dut, s->ctx, 1));
	ASSERT_EQ(0, dut_attach(dut, s->id));
	ASSERT_EQ(0, vdpa_bind(s->v.fd, s->ctx, 2, NULL));
	ASSERT_EQ(0, vdpa_attach(s->v.fd, s->id));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	/* neither attach pins or charges anything */
	ASSERT_EQ(0, ia_info(s->ctx, s->id, &info));
	EXPECT_EQ(2, info.nr_devices);
	EXPECT_EQ(pinned, info.bytes_pinned);
	EXPECT_EQ(pinned, info.bytes_charged);
	EXPECT_EQ(after, ia_status("VmLck") + ia_status("VmPin"));
	EXPECT_LE(before, after);

	/* each does DMA, to the same memory */
	EXPECT_TRUE(page_moves(s, 0, 1, 1));
	EXPECT_TRUE(dut_reaches(dut, BASE, s->mem));
	virtio_frame(s->mem + 2 * PG, VIRTIO_LEN, 5);
	EXPECT_TRUE(page_moves(s, 3, 2, 6));
	dut_fill(s->mem + 4 * PG, DUT_LEN, 7);
	EXPECT_TRUE(dut_sees(dut, BASE + 4 * PG, 7));

	/* both lose it at once */
	ASSERT_EQ(0, ia_unmap_full(s->ctx, s->id, IOASID_UNMAP_SPLIT, BASE, PG,
				   NULL));
	EXPECT_TRUE(page_spared(s, 0, 1, 8));
	EXPECT_TRUE(dut_misses(dut, BASE, s->mem));
	EXPECT_TRUE(page_moves(s, 1, 2, 9));
	EXPECT_TRUE(dut_reaches(dut, BASE + PG, s->mem + PG));

	/* one leaves, the other stays */
	ASSERT_EQ(0, vdpa_detach(s->v.fd, s->id));
	EXPECT_TRUE(dut_reaches(dut, BASE + PG, s->mem + PG));
	ASSERT_EQ(0, vdpa_attach(s->v.fd, s->id));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	dut_close(dut);
	dut->fd = -1;
	EXPECT_TRUE(page_moves(s, 1, 2, 10));
}

TEST_HARNESS_MAIN
