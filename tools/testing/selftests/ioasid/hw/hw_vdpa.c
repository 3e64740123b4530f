// SPDX-License-Identifier: GPL-2.0-only
/*
 * vDPA devices through an IOASID: the commands and their errors, address spaces, and
 * each way in which mappings change.
 */
#include "hw_vdpa.h"

FIXTURE(hw_vdpa)
{
	struct vdpa_setup s;
};

FIXTURE_VARIANT(hw_vdpa)
{
	enum vdpa_parent parent;
};

FIXTURE_VARIANT_ADD(hw_vdpa, set_map) { .parent = SET_MAP, };
FIXTURE_VARIANT_ADD(hw_vdpa, dma_map) { .parent = DMA_MAP, };
FIXTURE_VARIANT_ADD(hw_vdpa, platform) { .parent = PLATFORM, };

FIXTURE_SETUP(hw_vdpa)
{
	const char *reason = vdpa_prepare(&self->s, variant->parent);

	ASSERT_NE(NULL, reason);
	if (*reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(hw_vdpa)
{
	vdpa_finish(&self->s);
}

/* --- bind --- */

TEST_F(hw_vdpa, bind)
{
	struct vdpa_setup *s = &self->s;
	struct vhost_vdpa_iova_range permitted;
	struct ioasid_iova_range ranges[64];
	struct ioasid_device_info info = {
		.argsz = sizeof(info),
		.nr_ranges = 64,
		.ranges = IA_PTR(ranges),
	};
	struct ioasid_list_entry entries[8];
	struct ioasid_device_get_id id = {
		.argsz = sizeof(id),
		.ioasid_fd = -1,
	};
	__u32 nr = 8;

	EXPECT_EQ(-ENODEV, ia_cmd(s->v.fd, IOASID_DEVICE_GET_ID, &id));
	ASSERT_EQ(0, vdpa_bind(s->v.fd, s->ctx, VDPA_COOKIE, &s->devid));
	id.ioasid_fd = s->ctx;
	ASSERT_EQ(0, ia_cmd(s->v.fd, IOASID_DEVICE_GET_ID, &id));
	EXPECT_EQ(s->devid, id.devid);
	EXPECT_EQ(VDPA_COOKIE, id.cookie);
	info.devid = s->devid;
	ASSERT_EQ(0, ia_cmd(s->ctx, IOASID_DEVICE_GET_INFO, &info));
	EXPECT_EQ(VDPA_COOKIE, info.cookie);
	EXPECT_EQ(0, info.ioasid);
	EXPECT_EQ(0, info.nr_pasids);
	EXPECT_EQ(variant->parent == PLATFORM ? 0 : IOASID_DEVICE_TRANSLATES,
		  info.caps & IOASID_DEVICE_TRANSLATES);
	EXPECT_EQ(0, info.caps & IOASID_DEVICE_EMULATED);
	/* what vhost-vdpa permits is what the IOASID will */
	ASSERT_EQ(0, ioctl(s->v.fd, VHOST_VDPA_GET_IOVA_RANGE, &permitted));
	ASSERT_LE(1, info.nr_ranges);
	EXPECT_LE(permitted.first, ranges[0].start);
	EXPECT_GE(permitted.last, ranges[info.nr_ranges - 1].last);
	if (variant->parent != PLATFORM) {
		EXPECT_EQ(1, info.nr_ranges);
		EXPECT_EQ(permitted.first, ranges[0].start);
		EXPECT_EQ(permitted.last, ranges[0].last);
	}
	ASSERT_EQ(0, ia_list(s->ctx, s->devid, entries, &nr));
	ASSERT_EQ(1, nr);
	EXPECT_EQ(IOASID_LIST_DEVICE, entries[0].type);
	EXPECT_EQ(VDPA_COOKIE, entries[0].cookie);
	/* unbound by close */
	virtio_close(&s->v);
	EXPECT_EQ(-ENOENT, ia_device_info(s->ctx, s->devid, &info));
}

TEST_F(hw_vdpa, bind_input)
{
	struct vdpa_setup *s = &self->s;
	struct ioasid_device_bind good = {
		.argsz = sizeof(good),
		.ioasid_fd = s->ctx,
	}, bind;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), other;

	ASSERT_LE(0, null);
	bind = good;
	bind.argsz = sizeof(bind.argsz);
	EXPECT_EQ(-EINVAL, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, &bind));
	bind = good;
	bind.flags = 1;
	EXPECT_EQ(-EOPNOTSUPP, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, &bind));
	bind = good;
	bind.__reserved = 1;
	EXPECT_EQ(-EINVAL, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, &bind));
	bind = good;
	bind.ioasid_fd = -1;
	EXPECT_EQ(-EBADF, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, &bind));
	bind.ioasid_fd = null;
	EXPECT_EQ(-EBADF, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, &bind));
	bind.ioasid_fd = s->v.fd;
	EXPECT_EQ(-EBADF, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, &bind));
	bind = good;
	bind.ioasid = 999;
	EXPECT_EQ(-ENOENT, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, &bind));
	EXPECT_EQ(-EFAULT, ia_cmd(s->v.fd, VHOST_VDPA_BIND_IOASID_FD, NULL));

	/* nothing of that bound it */
	EXPECT_EQ(-ENODEV, vdpa_attach(s->v.fd, s->id));
	EXPECT_EQ(-ENODEV, vdpa_detach(s->v.fd, 0));
	ASSERT_EQ(0, vdpa_map(s->v.fd, 0, BASE, s->mem, PG));
	ASSERT_EQ(0, vdpa_unmap(s->v.fd, 0, BASE, PG));

	ASSERT_EQ(0, vdpa_bind_full(s->v.fd, s->ctx, s->id, 1, NULL, NULL));
	EXPECT_EQ(-EBUSY, vdpa_bind(s->v.fd, s->ctx, 2, NULL));
	other = ia_open();
	ASSERT_LE(0, other);
	EXPECT_EQ(-EBUSY, vdpa_bind(s->v.fd, other, 2, NULL));
	ASSERT_EQ(0, vdpa_detach(s->v.fd, s->id));
	close(other);
	close(null);
}

/* A parent whose driver needs addresses of a process */
TEST(bind_va)
{
	struct virtio v;
	int ctx, rc;

	ctx = ia_open();
	if (ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	if (vdpa_load(true, true))
		SKIP(return, NO_VDPA);
	ASSERT_EQ(0, vdpa_add("vdpasim_net", SIM_NET));
	ASSERT_EQ(0, virtio_open(&v, SIM_NET));
	rc = vdpa_has_no_front(v.fd) ? -ENOTTY : vdpa_bind(v.fd, ctx, 0, NULL);
	virtio_close(&v);
	ASSERT_EQ(0, vdpa_del(SIM_NET));
	close(ctx);
	if (rc == -ENOTTY)
		SKIP(return, NO_FRONT);
	EXPECT_EQ(-EOPNOTSUPP, rc);
}

/* --- attach --- */

TEST_F(hw_vdpa, attach_input)
{
	struct vdpa_setup *s = &self->s;
	struct ioasid_device_detach detach = { .argsz = 4 };
	struct ioasid_device_attach attach = { .argsz = 4 };
	unsigned int nas;
	int fd = s->v.fd;

	ASSERT_EQ(0, ioctl(fd, VHOST_VDPA_GET_AS_NUM, &nas));
	ASSERT_EQ(0, vdpa_bind(fd, s->ctx, VDPA_COOKIE, &s->devid));
	EXPECT_EQ(-ENOENT, vdpa_detach(fd, 0));
	EXPECT_EQ(-ENOENT, vdpa_detach_asid(fd, 0, 0));
	EXPECT_EQ(-ENOENT, vdpa_attach(fd, 999));
	EXPECT_EQ(-ENOENT, vdpa_attach(fd, s->devid));
	EXPECT_EQ(-EINVAL, ia_cmd(fd, VHOST_VDPA_ATTACH_IOASID, &attach));
	EXPECT_EQ(-EINVAL, ia_cmd(fd, VHOST_VDPA_DETACH_IOASID, &detach));
	/* an address space of the device */
	EXPECT_EQ(-EINVAL, vdpa_attach_asid(fd, nas, s->id));
	EXPECT_EQ(-EINVAL, vdpa_attach_asid(fd, ~0U, s->id));
	EXPECT_EQ(-EINVAL, vdpa_detach_asid(fd, nas, 0));
	EXPECT_EQ(-EINVAL, vdpa_attach_full(fd, 0, 1, s->id, NULL));
	EXPECT_EQ(-EINVAL, vdpa_detach_full(fd, 0, 1, 0));
	/* it has no PASIDs */
	EXPECT_EQ(-EOPNOTSUPP, vdpa_attach_full(fd, IOASID_ATTACH_PASID, 1,
						s->id, NULL));
	EXPECT_EQ(-EOPNOTSUPP, vdpa_attach_full(fd, IOASID_ATTACH_PASID_ANY, 0,
						s->id, NULL));
	EXPECT_EQ(-EOPNOTSUPP, vdpa_attach_full(fd, IOASID_ATTACH_ASID |
					    IOASID_ATTACH_PASID, 0, s->id,
					    NULL));
	EXPECT_EQ(-EOPNOTSUPP, vdpa_attach_full(fd, 1 << 20, 0, s->id, NULL));
	EXPECT_EQ(-EOPNOTSUPP, vdpa_detach_full(fd, 1 << 20, 0, 0));

	ASSERT_EQ(0, vdpa_attach_full(fd, IOASID_ATTACH_NEW, 0, s->id, NULL));
	EXPECT_EQ(-EEXIST, vdpa_attach_full(fd, IOASID_ATTACH_NEW, 0, s->id,
					    NULL));
	EXPECT_EQ(-EEXIST, vdpa_attach_full(fd, IOASID_ATTACH_NEW |
					    IOASID_ATTACH_ASID, 0, s->id,
					    NULL));
	EXPECT_EQ(-EBUSY, ia_free(s->ctx, s->id));
	EXPECT_EQ(-ENOENT, vdpa_detach(fd, 999));
	/* by name or not, address space 0 is the same */
	EXPECT_EQ(0, vdpa_detach_asid(fd, 0, s->id));
	EXPECT_EQ(-ENOENT, vdpa_detach(fd, 0));
	EXPECT_EQ(0, ia_free(s->ctx, s->id));
}

/* A VFIO device has no such address spaces. */
TEST_F(hw_vdpa, traffic)
{
	struct vdpa_setup *s = &self->s;
	struct ioasid_info info;
	int i;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, ia_info(s->ctx, s->id, &info));
	EXPECT_EQ(1, info.nr_devices);
	EXPECT_EQ(IOASID_STATE_ATTACHED, info.state);
	/* mapped after the attach, and before it */
	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	for (i = 0; i < 20; i++)
		ASSERT_TRUE(page_moves(s, i % 4, 4 + i % 3, i));
	ASSERT_EQ(0, vdpa_detach(s->v.fd, s->id));
	ASSERT_EQ(0, vdpa_attach(s->v.fd, s->id));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	for (i = 0; i < 20; i++)
		ASSERT_TRUE(page_moves(s, i % 4, 4 + i % 3, i));
}

TEST_F(hw_vdpa, unmap)
{
	struct vdpa_setup *s = &self->s;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, map(s, 0, 1));
	ASSERT_EQ(0, map(s, 1, 1));
	ASSERT_TRUE(page_moves(s, 0, 1, 1));
	ASSERT_EQ(0, unmap(s, 0, 1));
	EXPECT_TRUE(page_spared(s, 0, 1, 2));
	ASSERT_EQ(0, map(s, 0, 1));
	EXPECT_TRUE(page_moves(s, 0, 1, 3));
	/* other memory at the same address */
	ASSERT_EQ(0, unmap(s, 0, 1));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, BASE, s->mem + 5 * PG, PG));
	virtio_frame(s->mem, VIRTIO_LEN, 50);
	EXPECT_TRUE(moves(&s->v, BASE, s->mem + 5 * PG, BASE + PG, s->mem + PG,
			  4));
	EXPECT_TRUE(virtio_is_frame(s->mem, VIRTIO_LEN, 50));
}

TEST_F(hw_vdpa, permission)
{
	struct vdpa_setup *s = &self->s;
	__u64 iova = BASE;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, ia_map_full(s->ctx, s->id, IOASID_MAP_READ |
				 IOASID_MAP_FIXED, &iova, IA_PTR(s->mem), PG,
				 0, 0, 0, NULL));
	ASSERT_EQ(0, map(s, 1, 1));
	EXPECT_TRUE(page_moves(s, 1, 0, 1));
	EXPECT_TRUE(page_spared(s, 0, 1, 2));
}

TEST_F(hw_vdpa, protect)
{
	const __u32 flags = IOASID_MAP_PROTECT | IOASID_MAP_FIXED |
		IOASID_MAP_SPLIT;
	struct vdpa_setup *s = &self->s;
	__u64 iova = BASE + 4 * PG;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, ia_map_full(s->ctx, s->id, flags | IOASID_MAP_READ, &iova,
				 0, 4 * PG, 0, 0, 0, NULL));
	EXPECT_TRUE(page_moves(s, 3, 4, 1));
	EXPECT_TRUE(page_moves(s, 8, 7, 2));
	EXPECT_TRUE(page_spared(s, 4, 3, 3));
	EXPECT_TRUE(page_spared(s, 7, 8, 4));
	ASSERT_EQ(0, ia_map_full(s->ctx, s->id, flags | IA_RW, &iova, 0,
				 4 * PG, 0, 0, 0, NULL));
	EXPECT_TRUE(page_moves(s, 4, 3, 5));
	EXPECT_TRUE(page_moves(s, 7, 8, 6));
}

TEST_F(hw_vdpa, replace)
{
	struct vdpa_setup *s = &self->s;
	__u64 iova = BASE + 4 * PG;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, map(s, 0, 8));
	virtio_frame(s->mem + 4 * PG, VIRTIO_LEN, 77);
	ASSERT_EQ(0, ia_map_full(s->ctx, s->id, IA_RW_FIXED |
				 IOASID_MAP_REPLACE | IOASID_MAP_SPLIT, &iova,
				 IA_PTR(s->mem + 12 * PG), PG, 0, 0, 0, NULL));
	EXPECT_TRUE(moves(&s->v, BASE + 4 * PG, s->mem + 12 * PG, BASE + 3 * PG,
			  s->mem + 3 * PG, 1));
	EXPECT_TRUE(virtio_is_frame(s->mem + 4 * PG, VIRTIO_LEN, 77));
	EXPECT_TRUE(page_moves(s, 3, 5, 2));
}

TEST_F(hw_vdpa, split)
{
	struct vdpa_setup *s = &self->s;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, map(s, 0, 8));
	EXPECT_EQ(-EINVAL, unmap(s, 3, 2));
	EXPECT_TRUE(page_moves(s, 3, 4, 1));
	ASSERT_EQ(0, ia_unmap_full(s->ctx, s->id, IOASID_UNMAP_SPLIT,
				   BASE + 3 * PG, 2 * PG, NULL));
	EXPECT_TRUE(page_spared(s, 3, 0, 2));
	EXPECT_TRUE(page_spared(s, 4, 0, 3));
	EXPECT_TRUE(page_moves(s, 2, 5, 4));
	EXPECT_TRUE(page_moves(s, 5, 2, 5));
}

TEST_F(hw_vdpa, batch)
{
	struct vdpa_setup *s = &self->s;
	struct ioasid_dma_op ops[8] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = s->id,
		.ops = IA_PTR(ops),
	};
	unsigned int i;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	for (i = 0; i < 4; i++) {
		ops[i].op = IOASID_DMA_OP_MAP;
		ops[i].flags = IA_RW_FIXED;
		ops[i].iova = BASE + i * PG;
		ops[i].addr = IA_PTR(s->mem + i * PG);
		ops[i].length = PG;
	}
	batch.nr = 4;
	ASSERT_EQ(0, ia_cmd(s->ctx, IOASID_DMA_BATCH, &batch));
	ASSERT_EQ(4, batch.done);
	EXPECT_TRUE(page_moves(s, 0, 3, 1));
	/* the last operation fails: the others count */
	memset(ops, 0, sizeof(ops));
	ops[0].op = IOASID_DMA_OP_UNMAP;
	ops[0].iova = BASE;
	ops[0].length = PG;
	ops[1].op = IOASID_DMA_OP_MAP;
	ops[1].flags = IA_RW_FIXED;
	ops[1].iova = BASE;
	ops[1].addr = IA_PTR(s->mem + 9 * PG);
	ops[1].length = PG;
	ops[2].op = IOASID_DMA_OP_UNMAP;
	ops[2].iova = BASE + PG;
	ops[2].length = PG;
	ops[3] = ops[1];
	batch.nr = 4;
	ASSERT_EQ(0, ia_cmd(s->ctx, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(3, batch.done);
	EXPECT_EQ(-EEXIST, batch.error);
	EXPECT_TRUE(moves(&s->v, BASE, s->mem + 9 * PG, BASE + 3 * PG,
			  s->mem + 3 * PG, 2));
	EXPECT_TRUE(page_spared(s, 1, 3, 3));
}

/* A child maps by reference, and loses what the parent loses. */
TEST_F(hw_vdpa, child)
{
	struct vdpa_setup *s = &self->s;
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
		.parent = s->id,
	};
	__u32 child;

	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, ia_cmd(s->ctx, IOASID_ALLOC, &alloc));
	child = alloc.ioasid;
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	/* control memory at the same place, other pages elsewhere */
	ASSERT_EQ(0, ia_map(s->ctx, child, RINGS, (void *)RINGS, VIRTIO_CTRL));
	ASSERT_EQ(0, ia_map(s->ctx, child, 2 * BASE, (void *)BASE, PG));
	ASSERT_EQ(0, vdpa_attach(s->v.fd, child));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	EXPECT_TRUE(page_spared(s, 1, 2, 1));
	ASSERT_EQ(0, ia_map(s->ctx, child, 2 * BASE + PG,
			    (void *)(BASE + PG), PG));
	EXPECT_TRUE(moves(&s->v, 2 * BASE, s->mem, 2 * BASE + PG, s->mem + PG,
			  2));
	EXPECT_EQ(-EBUSY, ia_unmap_full(s->ctx, s->id, IOASID_UNMAP_SPLIT,
					BASE, PG, NULL));
	EXPECT_TRUE(moves(&s->v, 2 * BASE, s->mem, 2 * BASE + PG, s->mem + PG,
			  3));
	ASSERT_EQ(0, ia_unmap_full(s->ctx, s->id, IOASID_UNMAP_SPLIT |
				   IOASID_UNMAP_CASCADE, BASE, PG, NULL));
	EXPECT_TRUE(spares(&s->v, 2 * BASE, s->mem, 2 * BASE + PG, s->mem + PG,
			   4));
}

/* What another context has imported is revoked without its consent. */
TEST_F(hw_vdpa, revoked)
{
	struct vdpa_setup *s = &self->s;
	struct ioasid_export export = {
		.argsz = sizeof(export),
		.flags = IOASID_EXPORT_READ | IOASID_EXPORT_WRITE,
		.iova = BASE,
		.length = NR_PAGES * PG,
		.max_mappings = ~0ULL,
	};
	struct ioasid_import import = { .argsz = sizeof(import) };
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
	};
	int owner = ia_open();

	ASSERT_LE(0, owner);
	ASSERT_EQ(0, ia_alloc(owner, &export.ioasid));
	ASSERT_EQ(0, ia_map(owner, export.ioasid, BASE, s->mem, NR_PAGES * PG));
	ASSERT_EQ(0, ia_map(owner, export.ioasid, RINGS, s->v.ctrl,
			    VIRTIO_CTRL));
	/* control memory is in the window, too */
	export.iova = RINGS;
	export.length = BASE + NR_PAGES * PG - RINGS;
	ASSERT_EQ(0, ia_cmd(owner, IOASID_EXPORT, &export));
	import.fd = export.fd;
	ASSERT_EQ(0, ia_cmd(s->ctx, IOASID_IMPORT, &import));
	alloc.parent = import.ioasid;
	ASSERT_EQ(0, ia_cmd(s->ctx, IOASID_ALLOC, &alloc));
	ASSERT_EQ(0, ia_map(s->ctx, alloc.ioasid, RINGS, (void *)0,
			    VIRTIO_CTRL));
	ASSERT_EQ(0, ia_map(s->ctx, alloc.ioasid, BASE,
			    (void *)(BASE - RINGS), NR_PAGES * PG));
	ASSERT_EQ(0, vdpa_bind_full(s->v.fd, s->ctx, alloc.ioasid, 1, NULL,
				    NULL));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	EXPECT_TRUE(page_moves(s, 0, 8, 1));
	ASSERT_EQ(0, ia_unmap_full(owner, export.ioasid, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, BASE, PG, NULL));
	EXPECT_TRUE(page_spared(s, 0, 8, 2));
	EXPECT_TRUE(page_moves(s, 1, 8, 3));
	/* the queues go, too: no more than a kick is left to try */
	close(owner);
	virtio_frame(s->mem + PG, VIRTIO_LEN, 44);
	virtio_kick(&s->v, 0);
	ASSERT_LE(0, virtio_get_status(&s->v));
	EXPECT_TRUE(virtio_is_frame(s->mem + PG, VIRTIO_LEN, 44));
	close(export.fd);
}

/* --- messages --- */

TEST_F(hw_vdpa, messages)
{
	struct vdpa_setup *s = &self->s;
	unsigned int type;
	int fd = s->v.fd;

	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, map(s, 0, 2));
	for (type = VHOST_IOTLB_UPDATE; type <= VHOST_IOTLB_BATCH_END; type++) {
		if (type == VHOST_IOTLB_ACCESS_FAIL)
			continue;
		/* a device that has got two maps answers no more */
		ASSERT_EQ(-EBUSY, vdpa_message(fd, type, 0, BASE, PG, s->mem,
					       VHOST_ACCESS_RW)) {
			TH_LOG("type %u", type);
		}
	}
	ASSERT_EQ(-EBUSY, vdpa_map(fd, 0, BASE + 8 * PG, s->mem + 8 * PG, PG));
	EXPECT_TRUE(page_moves(s, 0, 1, 1));
	EXPECT_TRUE(spares(&s->v, BASE + 8 * PG, s->mem + 8 * PG, BASE, s->mem,
			   2));
}

/* What messages have mapped is in the way of an attach, and not lost by its failure. */
TEST_F(hw_vdpa, messages_first)
{
	struct vdpa_setup *s = &self->s;
	int fd = s->v.fd, rc;

	ASSERT_EQ(0, vdpa_map(fd, 0, RINGS, s->v.ctrl, VIRTIO_CTRL));
	ASSERT_EQ(0, vdpa_map(fd, 0, BASE, s->mem, 4 * PG));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	ASSERT_TRUE(page_moves(s, 0, 1, 1));
	rc = vdpa_bind(fd, s->ctx, VDPA_COOKIE, &s->devid);
	if (!rc)
		rc = vdpa_attach(fd, s->id);
	ASSERT_EQ(-EBUSY, rc);
	EXPECT_TRUE(page_moves(s, 0, 1, 2));
	ASSERT_EQ(0, vdpa_unmap(fd, 0, RINGS, VIRTIO_CTRL));
	ASSERT_EQ(0, vdpa_unmap(fd, 0, BASE, 4 * PG));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, RINGS, s->v.ctrl, VIRTIO_CTRL));
	ASSERT_EQ(0, map(s, 0, 4));
	vdpa_bind(fd, s->ctx, VDPA_COOKIE, &s->devid);
	ASSERT_EQ(0, vdpa_attach(fd, s->id));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	EXPECT_TRUE(page_moves(s, 0, 1, 3));
}

/* --- bad ranges --- */

TEST_F(hw_vdpa, outside)
{
	struct vdpa_setup *s = &self->s;
	struct vhost_vdpa_iova_range permitted;
	__u64 fault = 0, beyond;

	ASSERT_EQ(0, ioctl(s->v.fd, VHOST_VDPA_GET_IOVA_RANGE, &permitted));
	if (permitted.last == ~0ULL)
		SKIP(return, "it can use all IOVAs");
	beyond = permitted.last + 1;
	ASSERT_EQ(0, map(s, 0, 1));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, beyond, s->mem, PG));
	ASSERT_EQ(0, vdpa_bind(s->v.fd, s->ctx, 1, NULL));
	EXPECT_EQ(-EADDRINUSE, vdpa_attach_full(s->v.fd, 0, 0, s->id, &fault));
	EXPECT_EQ(beyond, fault);
	ASSERT_EQ(0, ia_unmap(s->ctx, s->id, beyond, PG, NULL));
	ASSERT_EQ(0, vdpa_attach(s->v.fd, s->id));
	EXPECT_EQ(-EINVAL, ia_map(s->ctx, s->id, beyond, s->mem, PG));
}

/* --- two address spaces --- */

TEST(address_spaces)
{
	static const unsigned char first[6] = { 2, 1, 1, 1, 1, 1 };
	static const unsigned char second[6] = { 2, 2, 2, 2, 2, 2 };
	enum vdpa_parent parent;

	for (parent = SET_MAP; parent <= DMA_MAP; parent++) {
		struct ioasid_list_entry entries[8];
		struct ioasid_device_info info;
		unsigned char mac[6];
		struct vdpa_setup s;
		const char *reason;
		__u32 control, nr = 8;

		reason = vdpa_prepare(&s, parent);
		ASSERT_NE(NULL, reason);
		if (*reason) {
			vdpa_finish(&s);
			SKIP(return, "%s", reason);
		}
		/* the control queue is where the other address space has it */
		ASSERT_EQ(0, ia_alloc(s.ctx, &control));
		ASSERT_EQ(0, ia_map(s.ctx, control, 3 * BASE, s.v.ctrl,
				    VIRTIO_CTRL));
		ASSERT_EQ(0, ia_map(s.ctx, s.id, RINGS, s.v.ctrl,
				    VIRTIO_CTRL));
		ASSERT_EQ(0, map(&s, 0, NR_PAGES));
		ASSERT_EQ(0, vdpa_bind(s.v.fd, s.ctx, 1, &s.devid));
		ASSERT_EQ(0, vdpa_attach_asid(s.v.fd, 1, control));
		/* address space 0 has no IOASID, and takes messages */
		ASSERT_EQ(0, vdpa_map(s.v.fd, 0, BASE, s.mem, PG));
		ASSERT_EQ(0, vdpa_unmap(s.v.fd, 0, BASE, PG));
		EXPECT_EQ(-EBUSY, vdpa_map(s.v.fd, 1, BASE, s.mem, PG));
		ASSERT_EQ(0, vdpa_attach(s.v.fd, s.id));
		ASSERT_EQ(0, ia_list(s.ctx, s.devid, entries, &nr));
		ASSERT_EQ(3, nr);
		EXPECT_EQ(0, entries[1].vpasid);
		EXPECT_EQ(s.id, entries[1].ioasid);
		EXPECT_EQ(1, entries[2].vpasid);
		EXPECT_EQ(control, entries[2].ioasid);
		ASSERT_EQ(0, ia_device_info(s.ctx, s.devid, &info));
		EXPECT_EQ(s.id, info.ioasid);

		s.v.cvq_asid = 1;
		ASSERT_EQ(0, virtio_start_at(&s.v, RINGS, 3 * BASE));
		EXPECT_TRUE(page_moves(&s, 0, 1, 1));
		ASSERT_EQ(0, virtio_net_set_mac(&s.v, first));
		ASSERT_EQ(0, virtio_net_get_mac(&s.v, mac));
		EXPECT_EQ(0, memcmp(mac, first, 6));
		/* each loses its own */
		ASSERT_EQ(0, unmap(&s, 0, NR_PAGES));
		EXPECT_TRUE(page_spared(&s, 0, 1, 2));
		ASSERT_EQ(0, virtio_net_set_mac(&s.v, second));
		ASSERT_EQ(0, virtio_net_get_mac(&s.v, mac));
		EXPECT_EQ(0, memcmp(mac, second, 6));
		EXPECT_EQ(-EBUSY, ia_free(s.ctx, control));
		ASSERT_EQ(0, vdpa_detach_asid(s.v.fd, 1, control));
		EXPECT_EQ(-ENOENT, vdpa_detach_asid(s.v.fd, 1, 0));
		ASSERT_EQ(0, ia_free(s.ctx, control));
		ASSERT_EQ(0, map(&s, 0, NR_PAGES));
		EXPECT_TRUE(page_moves(&s, 0, 1, 3));
		vdpa_finish(&s);
	}
}

TEST_HARNESS_MAIN
