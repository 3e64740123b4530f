// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of devices, mapped by its offset in the device file: it goes with the
 * device's memory, comes back with it, and needs no process that has mmap()ed it.
 */
#include <poll.h>

#include "ioasid_test.h"
#include "dut.h"
#include "hw_devmem.h"
#include "state.h"

#define CHILD_IOVA (TEST_IOVA + SZ_1G)
#define NO_REGIONS "the kernel cannot map device memory by its offset"

FIXTURE(hw_devmem_region)
{
	int ctx;
	__u32 root;
	__u32 child;
	struct dut dut;		/* does DMA */
	struct dut peer;	/* has the memory */
	__u64 offset;		/* of the memory in the peer's file */
	char *view;		/* where the CPU reads it */
};

FIXTURE_VARIANT(hw_devmem_region)
{
	const struct engine *engine;
};

FIXTURE_VARIANT_ADD(hw_devmem_region, edu) { .engine = &engine_edu, };
FIXTURE_VARIANT_ADD(hw_devmem_region, nvme) { .engine = &engine_nvme, };

static int refer(int ctx, __u32 child, __u64 iova, __u64 addr, __u64 length)
{
	return ia_map(ctx, child, iova, (void *)(uintptr_t)addr, length);
}

static int map_region(int ctx, __u32 id, __u32 flags, __u64 iova, int fd,
		      __u64 offset, __u64 length)
{
	struct ioasid_map_dma map = {
		.argsz = sizeof(map),
		.flags = flags | IOASID_MAP_FIXED | IOASID_MAP_FILE,
		.ioasid = id,
		.fd = fd,
		.iova = iova,
		.addr = offset,
		.length = length,
	};

	return ia_cmd(ctx, IOASID_MAP_DMA, &map);
}

FIXTURE_SETUP(hw_devmem_region)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = CMB_BAR,
	};
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
	};
	int rc;

	self->dut.fd = -1;
	self->peer.fd = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	if (!ia_check(self->ctx, IOASID_EXT_DEVICE_REGION))
		SKIP(return, NO_REGIONS);
	rc = dut_open(&self->dut, variant->engine, 0, 0);
	if (!rc)
		rc = dut_open(&self->peer, &engine_nvme, 1, 1);
	if (rc == -ENOENT)
		SKIP(return, "no two devices behind an IOMMU");
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->root));
	alloc.parent = self->root;
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_ALLOC, &alloc));
	self->child = alloc.ioasid;
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->root));
	ASSERT_EQ(0, refer(self->ctx, self->child, dut_ctrl(&self->dut),
			   dut_ctrl(&self->dut), self->dut.ctrl_size));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	ASSERT_EQ(0, dut_bind(&self->peer, self->ctx, 2));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	if (ioctl(self->peer.fd, VFIO_DEVICE_GET_REGION_INFO, &info) ||
	    info.size < CMB_LEN)
		SKIP(return, "the second NVMe disk has no memory buffer");
	self->offset = info.offset;
	self->view = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->view);
}

FIXTURE_TEARDOWN(hw_devmem_region)
{
	dut_close(&self->dut);
	dut_close(&self->peer);
	close(self->ctx);
}

#define MAP(iova) map_region(self->ctx, self->root, IA_RW, iova,	\
			     self->peer.fd, self->offset, CMB_LEN)
#define ATTACH(id) ASSERT_EQ(0, dut_attach(&self->dut, id))
#define REACHES(iova) ASSERT_TRUE(dut_reaches(&self->dut, iova, self->view))
#define MISSES(iova) ASSERT_TRUE(dut_misses(&self->dut, iova, self->view))
#define REVOKED(id) revoked(self->ctx, id)

TEST_F(hw_devmem_region, map)
{
	struct ioasid_info before, after;
	struct ioasid_query_entry e;
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->root,
		.start = TEST_IOVA,
		.entries = IA_PTR(&e),
		.nr = 1,
	};

	ATTACH(self->root);
	ASSERT_EQ(0, ia_info(self->ctx, self->root, &before));
	ASSERT_EQ(0, MAP(TEST_IOVA));
	REACHES(TEST_IOVA);
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + CMB_LEN - DUT_LEN,
				self->view + CMB_LEN - DUT_LEN));
	ASSERT_EQ(0, map_region(self->ctx, self->root, IOASID_MAP_READ,
				TEST_IOVA + SZ_1M, self->peer.fd,
				self->offset + page_size, page_size));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + SZ_1M,
			       self->view + page_size));
	dut_fill(self->view + page_size, DUT_LEN, 81);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA + SZ_1M, 81));
	ASSERT_EQ(0, ia_info(self->ctx, self->root, &after));
	EXPECT_EQ(before.nr_mappings + 2, after.nr_mappings);
	EXPECT_EQ(before.bytes_mapped, after.bytes_mapped);
	EXPECT_EQ(before.bytes_pinned, after.bytes_pinned);
	EXPECT_EQ(before.bytes_charged, after.bytes_charged);
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_QUERY_MAP, &query));
	EXPECT_EQ(TEST_IOVA, e.iova);
	EXPECT_EQ(self->offset, e.addr);
	EXPECT_EQ(IA_RW | IOASID_MAP_FILE | IOASID_QUERY_ADDR, e.flags);
	/* no mmap() has to do with it */
	ASSERT_EQ(0, mprotect(self->view, CMB_LEN, PROT_READ));
	ASSERT_EQ(0, munmap(self->view, CMB_LEN));
	EXPECT_EQ(0, REVOKED(self->root));
	self->view = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->view);
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, ia_unmap(self->ctx, self->root, TEST_IOVA, CMB_LEN, NULL));
	MISSES(TEST_IOVA);
}

TEST_F(hw_devmem_region, refused)
{
	const int fd = self->peer.fd;
	struct ia_state before, after;
	int other = ia_open();
	const char *diff;
	__u32 id;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ia_alloc(other, &id));
	ASSERT_EQ(0, ia_state_read(self->ctx, &before));
	/* beyond its end, the configuration space, nothing */
	EXPECT_EQ(-EINVAL, map_region(self->ctx, self->root, IA_RW, TEST_IOVA,
				      fd, self->offset, SZ_1G));
	EXPECT_EQ(-EINVAL, map_region(self->ctx, self->root, IA_RW, TEST_IOVA,
				      fd, (__u64)VFIO_PCI_CONFIG_REGION_INDEX <<
				      40, page_size));
	EXPECT_EQ(-EINVAL, map_region(self->ctx, self->root, IA_RW, TEST_IOVA,
				      fd, 1ULL << 62, page_size));
	/* of another context, no device, a child */
	EXPECT_EQ(-EOPNOTSUPP, map_region(other, id, IA_RW, TEST_IOVA, fd,
					  self->offset, page_size));
	EXPECT_EQ(-EOPNOTSUPP, map_region(self->ctx, self->root, IA_RW,
					  TEST_IOVA, self->ctx, 0, page_size));
	EXPECT_EQ(-EINVAL, map_region(self->ctx, self->child, IA_RW, TEST_IOVA,
				      fd, self->offset, page_size));
	ASSERT_EQ(0, ia_state_read(self->ctx, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
	close(other);
}

/* Each generation has an event when the memory goes, and when it is back. */
TEST_F(hw_devmem_region, events)
{
	struct pollfd p = { .fd = self->ctx, .events = POLLIN };
	struct ioasid_event e[3];
	struct ioasid_get_events cmd = {
		.argsz = sizeof(cmd),
		.nr = ARRAY_SIZE(e),
		.events = IA_PTR(e),
	};
	bool on = true;
	int i;

	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA, TEST_IOVA,
			   CMB_LEN));
	EXPECT_EQ(0, poll(&p, 1, 0));
	for (i = 0; i < 4; i++) {
		on = !on;
		ASSERT_EQ(0, set_memory(&self->peer, on));
		EXPECT_EQ(1, poll(&p, 1, 0));
		cmd.nr = ARRAY_SIZE(e);
		ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_GET_EVENTS, &cmd));
		ASSERT_EQ(2, cmd.nr);
		EXPECT_EQ(0, cmd.more);
		EXPECT_EQ(self->root, e[0].ioasid);
		EXPECT_EQ(self->child, e[1].ioasid);
		EXPECT_EQ(on ? 0 : IOASID_STATE_REVOKED, e[0].state);
		EXPECT_EQ(on ? 0 : IOASID_STATE_REVOKED, e[1].state);
		EXPECT_EQ(0, poll(&p, 1, 0));
	}
}

/* Gone and back by itself, in children too. */
TEST_F(hw_devmem_region, back)
{
	int i;

	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA, TEST_IOVA,
			   CMB_LEN));
	for (i = 0; i < 4; i++) {
		ATTACH(i & 1 ? self->root : self->child);
		REACHES(i & 1 ? TEST_IOVA : CHILD_IOVA);
		ASSERT_EQ(0, set_memory(&self->peer, false));
		EXPECT_EQ(1, REVOKED(self->root));
		EXPECT_EQ(1, REVOKED(self->child));
		if (i & 2)
			ATTACH(i & 1 ? self->root : self->child);
		ASSERT_EQ(0, set_memory(&self->peer, true));
		EXPECT_EQ(0, REVOKED(self->root));
		EXPECT_EQ(0, REVOKED(self->child));
		REACHES(i & 1 ? TEST_IOVA : CHILD_IOVA);
	}
	/* a reset leaves the memory switched on */
	ASSERT_EQ(0, vfio_pci_reset(self->peer.fd));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(0, REVOKED(self->root));
	EXPECT_EQ(0, REVOKED(self->child));
	REACHES(TEST_IOVA);
}

/* Switched off, it takes no IOPTE, whatever happens meanwhile. */
TEST_F(hw_devmem_region, off)
{
	ATTACH(self->child);
	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA, TEST_IOVA,
			   CMB_LEN));
	REACHES(CHILD_IOVA);
	ASSERT_EQ(0, set_memory(&self->peer, false));
	/* made, and referred to, while it is off */
	ASSERT_EQ(0, MAP(TEST_IOVA + SZ_1M));
	ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA + SZ_1M,
			   TEST_IOVA + SZ_1M, CMB_LEN));
	EXPECT_EQ(1, REVOKED(self->child));
	/* unmapped while it is off: does not come back */
	ASSERT_EQ(0, ia_unmap(self->ctx, self->child, CHILD_IOVA, CMB_LEN,
			      NULL));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(0, REVOKED(self->child));
	MISSES(CHILD_IOVA);
	REACHES(CHILD_IOVA + SZ_1M);
	/* in low power */
	ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA, TEST_IOVA,
			   CMB_LEN));
	{
		struct vfio_device_feature f = {
			.argsz = sizeof(f),
			.flags = VFIO_DEVICE_FEATURE_SET |
				 VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
		};

		if (ioctl(self->peer.fd, VFIO_DEVICE_FEATURE, &f))
			return;
		EXPECT_EQ(1, REVOKED(self->root));
		EXPECT_EQ(1, REVOKED(self->child));
		f.flags = VFIO_DEVICE_FEATURE_SET |
			  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
		ASSERT_EQ(0, ioctl(self->peer.fd, VFIO_DEVICE_FEATURE, &f));
	}
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(0, REVOKED(self->root));
	REACHES(CHILD_IOVA);
}

/* Gone for good when the device is closed, and not before. */
TEST_F(hw_devmem_region, closed)
{
	int status;
	pid_t pid;

	ATTACH(self->root);
	/* the process that maps it does not count */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(MAP(TEST_IOVA) ? 1 : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA, TEST_IOVA,
			   CMB_LEN));
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, munmap(self->view, CMB_LEN));
	dut_close(&self->peer);
	EXPECT_EQ(1, REVOKED(self->root));
	EXPECT_EQ(1, REVOKED(self->child));
	EXPECT_EQ(-ENXIO, refer(self->ctx, self->child, CHILD_IOVA + SZ_1M,
				TEST_IOVA, CMB_LEN));
	ASSERT_EQ(0, dut_open(&self->peer, &engine_nvme, 1, 1));
	ASSERT_EQ(0, dut_bind(&self->peer, self->ctx, 2));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(1, REVOKED(self->root));
	/* mapped anew in its place */
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->child, NULL));
	ASSERT_EQ(0, map_region(self->ctx, self->root, IA_RW |
				IOASID_MAP_REPLACE, TEST_IOVA, self->peer.fd,
				self->offset, CMB_LEN));
	EXPECT_EQ(0, REVOKED(self->root));
	self->view = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->view);
	REACHES(TEST_IOVA);
}

/* Map, unmap and attach while the memory comes and goes. */
struct spoiler {
	struct dut *peer;
	unsigned int rounds;
	bool stop;
};

static void *spoil(void *data)
{
	struct spoiler *s = data;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		set_memory(s->peer, s->rounds++ & 1);
		usleep(100);
	}
	return NULL;
}

TEST_F(hw_devmem_region, races)
{
	struct spoiler s = { .peer = &self->peer };
	unsigned int rounds = ia_slow_kernel() ? 200 : 2000;
	pthread_t thread;
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, spoil, &s));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, MAP(TEST_IOVA));
		ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA,
				   TEST_IOVA, CMB_LEN));
		if (i % 4 == 0)
			ASSERT_EQ(0, hw_attach(self->dut.fd, i & 4 ?
					       self->root : self->child));
		if (i % 8 == 0)
			ASSERT_EQ(0, hw_detach(self->dut.fd, 0));
		if (i & 1)
			ASSERT_EQ(0, ia_unmap(self->ctx, self->child,
					      CHILD_IOVA, CMB_LEN, NULL));
		ASSERT_EQ(0, ia_unmap_full(self->ctx, self->root,
					   IOASID_UNMAP_CASCADE, TEST_IOVA,
					   CMB_LEN, NULL));
	}
	ASSERT_EQ(0, MAP(TEST_IOVA));
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_LT(8, s.rounds);
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(0, REVOKED(self->root));
	EXPECT_EQ(0, REVOKED(self->child));
	ATTACH(self->root);
	REACHES(TEST_IOVA);
}

TEST_HARNESS_MAIN
