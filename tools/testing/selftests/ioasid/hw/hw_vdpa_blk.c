// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block devices of vDPA through an IOASID: each sort of request, of a simulated device
 * and of one of QEMU behind an IOMMU.
 */
#include "hw_vdpa.h"

#define SECTOR 512

FIXTURE(blk)
{
	struct vdpa_setup s;
	bool simulated;
};

FIXTURE_VARIANT(blk)
{
	enum vdpa_parent parent;
};

FIXTURE_VARIANT_ADD(blk, set_map) { .parent = SET_MAP, };
FIXTURE_VARIANT_ADD(blk, dma_map) { .parent = DMA_MAP, };
FIXTURE_VARIANT_ADD(blk, platform) { .parent = PLATFORM, };

FIXTURE_SETUP(blk)
{
	struct vdpa_setup *s = &self->s;
	const char *reason = vdpa_prepare(s, variant->parent);

	ASSERT_NE(NULL, reason);
	if (*reason)
		SKIP(return, "%s", reason);
	self->simulated = variant->parent != PLATFORM;
	/* another device of the same parent */
	if (self->simulated) {
		virtio_close(&s->v);
		if (!vdpa_exists(SIM_BLK))
			ASSERT_EQ(0, vdpa_add("vdpasim_blk", SIM_BLK));
		ASSERT_EQ(0, virtio_open(&s->v, SIM_BLK));
	}
	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
}

FIXTURE_TEARDOWN(blk)
{
	vdpa_finish(&self->s);
	/* it has 128 MiB */
	if (self->simulated)
		vdpa_del(SIM_BLK);
}

TEST_F(blk, read_and_write)
{
	struct vdpa_setup *s = &self->s;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		virtio_frame(s->mem + i * PG, 4096, i);
		ASSERT_EQ(0, virtio_blk_write(&s->v, i * 8, BASE + i * PG,
					      4096));
	}
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, virtio_blk_read(&s->v, i * 8, BASE + 8 * PG,
					     4096));
		EXPECT_TRUE(virtio_is_frame(s->mem + 8 * PG, 4096, i));
	}
	/* across pages that are not neighbours in memory, from any byte on */
	ASSERT_EQ(0, virtio_blk_read(&s->v, 0, BASE + 9 * PG - 100, 4096));
	EXPECT_TRUE(virtio_is_frame(s->mem + 9 * PG - 100, 4096, 0));
	EXPECT_EQ(0, virtio_blk(&s->v, VIRTIO_BLK_T_FLUSH, 0, 0, 0));
	/* beyond its end */
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, virtio_blk_read(&s->v, 1ULL << 40, BASE,
						      SECTOR));
}

TEST_F(blk, discard)
{
	struct virtio_blk_discard_write_zeroes *range =
		(void *)(self->s.mem + 4 * PG);
	struct vdpa_setup *s = &self->s;

	memset(s->mem, 0x77, 4096);
	ASSERT_EQ(0, virtio_blk_write(&s->v, 64, BASE, 4096));
	memset(range, 0, sizeof(*range));
	range->sector = 64;
	range->num_sectors = 8;
	if (s->v.features & 1ULL << VIRTIO_BLK_F_DISCARD) {
		ASSERT_EQ(0, virtio_blk(&s->v, VIRTIO_BLK_T_DISCARD, 0,
					BASE + 4 * PG, sizeof(*range)));
	}
	if (s->v.features & 1ULL << VIRTIO_BLK_F_WRITE_ZEROES) {
		ASSERT_EQ(0, virtio_blk(&s->v, VIRTIO_BLK_T_WRITE_ZEROES, 0,
					BASE + 4 * PG, sizeof(*range)));
		ASSERT_EQ(0, virtio_blk_read(&s->v, 64, BASE, 4096));
		EXPECT_EQ(0, s->mem[0]);
		EXPECT_EQ(0, memcmp(s->mem, s->mem + 1, 4095));
	}
}

/* What the device cannot reach, it does not write; a simulated one says so. */
TEST_F(blk, unmapped)
{
	struct vdpa_setup *s = &self->s;

	memset(s->mem, 0x11, 4096);
	ASSERT_EQ(0, virtio_blk_write(&s->v, 0, BASE, 4096));
	ASSERT_EQ(0, unmap(s, 0, NR_PAGES));
	ASSERT_EQ(0, map(s, 2, 1));
	memset(s->mem, 0x22, 4 * PG);
	if (self->simulated) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, virtio_blk_read(&s->v, 0, BASE,
							      4096));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, virtio_blk_write(&s->v, 8, BASE,
							       4096));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  virtio_blk_read(&s->v, 0, BASE + 3 * PG - 512, 1024));
	} else {
		ASSERT_LE(0, virtio_blk_read(&s->v, 0, BASE, 4096));
	}
	EXPECT_EQ(0x22, s->mem[0]);
	EXPECT_EQ(0, memcmp(s->mem, s->mem + 1, PG - 1));
	EXPECT_EQ(0x22, s->mem[3 * PG]);
	/* it goes on */
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	ASSERT_EQ(0, virtio_blk_read(&s->v, 0, BASE + 2 * PG, 4096));
	EXPECT_EQ(0x11, s->mem[2 * PG]);
}

/* Queues move to other memory, at the same address, and the old memory stays as is. */
TEST_F(blk, queues_move)
{
	struct vdpa_setup *s = &self->s;
	char *old = s->v.ctrl, *copy = ia_mem(VIRTIO_CTRL);

	ASSERT_NE(NULL, copy);
	ASSERT_EQ(0, virtio_blk_write(&s->v, 0, BASE, 4096));
	ASSERT_EQ(0, ia_unmap(s->ctx, s->id, RINGS, VIRTIO_CTRL, NULL));
	s->v.ctrl = copy;
	ASSERT_EQ(0, ia_map(s->ctx, s->id, RINGS, copy, VIRTIO_CTRL));
	memset(old, 0x5a, VIRTIO_CTRL);
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	ASSERT_EQ(0, virtio_blk_write(&s->v, 0, BASE, 4096));
	ASSERT_EQ(0, virtio_blk_read(&s->v, 0, BASE, 4096));
	EXPECT_EQ(0x5a, old[0]);
	EXPECT_EQ(0, memcmp(old, old + 1, VIRTIO_CTRL - 1));
	munmap(old, VIRTIO_CTRL);
}

/* A file, of which the program maps nothing */
TEST_F(blk, file)
{
	struct vdpa_setup *s = &self->s;
	__u64 iova = 4 * BASE;
	char back[4096];
	int file;

	if (ia_check(s->ctx, IOASID_EXT_MAP_FILE) <= 0)
		SKIP(return, "files are not mapped");
	file = memfd_create("vdpa", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 2 * PG));
	ASSERT_EQ(0, ia_map_file(s->ctx, s->id, IA_RW_FIXED, &iova, file, 0,
				 2 * PG));
	virtio_frame(s->mem, 4096, 9);
	ASSERT_EQ(0, virtio_blk_write(&s->v, 16, BASE, 4096));
	ASSERT_EQ(0, virtio_blk_read(&s->v, 16, iova + PG, 4096));
	ASSERT_EQ(4096, pread(file, back, 4096, PG));
	EXPECT_TRUE(virtio_is_frame(back, 4096, 9));
	close(file);
}

/* A page by itself: a neighbour would make it part of a larger mapping */
static __u64 page_of_many(unsigned int i)
{
	return 8 * BASE + i * 2 * PG;
}

/* Of a list of a simulated device; a limit that is low makes the tests quick. */
static unsigned int limit_of_maps(void)
{
	FILE *f = fopen("/sys/module/vdpa_sim/parameters/max_iotlb_entries", "r");
	unsigned int limit = 2048;

	if (!f)
		return limit;
	if (fscanf(f, "%u", &limit) != 1)
		limit = 0;
	fclose(f);
	return limit;
}

/* In one batch, which is told to the device in few pieces */
static int map_many(struct vdpa_setup *s, unsigned int nr)
{
	struct ioasid_dma_op *ops = calloc(nr, sizeof(*ops));
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = s->id,
		.nr = nr,
		.ops = IA_PTR(ops),
	};
	unsigned int i;
	int rc;

	if (!ops)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		ops[i].op = IOASID_DMA_OP_MAP;
		ops[i].flags = IA_RW_FIXED;
		ops[i].iova = page_of_many(i);
		ops[i].addr = IA_PTR(s->mem + i % NR_PAGES * PG);
		ops[i].length = PG;
	}
	rc = ia_cmd(s->ctx, IOASID_DMA_BATCH, &batch);
	free(ops);
	if (!rc && batch.done != nr)
		rc = batch.error;
	return rc;
}

/* More mappings than a list of a simulated device has */
TEST_F(blk, many)
{
	struct vdpa_setup *s = &self->s;
	unsigned int i, limit = limit_of_maps();
	int rc = 0;

	ASSERT_LT(40, limit);
	ASSERT_EQ(0, map_many(s, limit - 40));
	for (i = limit - 40; i < limit + 40 && !rc; i++)
		rc = ia_map(s->ctx, s->id, page_of_many(i),
			    s->mem + i % NR_PAGES * PG, PG);
	/* what is mapped works, the rest is not there */
	ASSERT_EQ(self->simulated ? -ENOSPC : 0, rc);
	ASSERT_EQ(0, virtio_blk_write(&s->v, 0, BASE, 4096));
	ASSERT_EQ(0, virtio_blk_read(&s->v, 0, page_of_many(i - 2), 4096));
	if (rc) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  virtio_blk_read(&s->v, 0, page_of_many(i - 1), 4096));
	}
}

TEST_HARNESS_MAIN
