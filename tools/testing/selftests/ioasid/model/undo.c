// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is written to two page tables is in both or in none, also when the IOMMU
 * driver writes the IOPTEs and then fails to make them visible, as virtio-iommu
 * and s390 can in iotlb_sync_map.
 */
#include "ioasid_test.h"
#include "family.h"
#include "mock.h"
#include "state.h"
#include "uffd.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES 16

FIXTURE(undo)
{
	struct model model;
	struct model_space space;
	struct model_device dev[2];
	struct model_device *fails;
	int fd;
	__u32 root;
	char *mem;
	struct ia_state before;
};

/* The space is a root, or a child that maps by reference. */
FIXTURE_VARIANT(undo)
{
	int fails;
	bool child;
};

FIXTURE_VARIANT_ADD(undo, root_first) { .fails = 0 };
FIXTURE_VARIANT_ADD(undo, root_second) { .fails = 1 };
FIXTURE_VARIANT_ADD(undo, child_first) { .fails = 0, .child = true };
FIXTURE_VARIANT_ADD(undo, child_second) { .fails = 1, .child = true };

FIXTURE_SETUP(undo)
{
	struct model_params params[] = {
		{ .unit = 21 }, { .unit = 22, .page_sizes = PG },
	};
	int i;

	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, family_space(&self->model, variant->child, self->mem,
				  PAGES, &self->root, &self->space));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, model_plug(&self->model, &self->dev[i],
					&params[i], 0));
		ASSERT_EQ(0, model_attach(&self->dev[i], &self->space));
	}
	self->fails = &self->dev[variant->fails];
}

FIXTURE_TEARDOWN(undo)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (!self->dev[i].model)
			return;
		EXPECT_NO_HARM(&self->dev[i]);
		EXPECT_EQ(0, model_inject(&self->dev[i], MODEL_INJECT_SYNC, 0,
					  0));
		model_release(&self->dev[i]);
		EXPECT_EQ(0, model_unplug(&self->dev[i], 0));
	}
	model_close(&self->model);
}

static __u64 page_addr(struct _test_data_undo *self, int page)
{
	return family_addr(self->root, &self->space, self->mem, page);
}

static int map_pages(struct _test_data_undo *self, __u32 flags, __u64 iova,
		     int page, int pages)
{
	return ia_map_full(self->fd, self->space.id,
			   flags | IA_RW | IOASID_MAP_FIXED, &iova,
			   page_addr(self, page), pages * PG, 0, 0, 0, NULL);
}

static bool both_read(struct _test_data_undo *self, __u64 iova, int page,
		      int pages)
{
	int i;

	for (i = 0; i < 2 * pages; i++)
		if (!reads(&self->dev[i % 2], iova + i / 2 * PG, page + i / 2))
			return false;
	return true;
}

static bool both_fault(struct _test_data_undo *self, __u64 iova, int pages)
{
	int i;

	for (i = 0; i < 2 * pages; i++)
		if (!faults(&self->dev[i % 2], iova + i / 2 * PG))
			return false;
	return true;
}

#define REMEMBER() ASSERT_EQ(0, ia_state_read(self->fd, &self->before))

/* Mappings, bytes, pins and charge are as they were. */
#define EXPECT_AS_BEFORE()						\
do {									\
	struct ia_state __after;					\
									\
	ASSERT_EQ(0, ia_state_read(self->fd, &__after));		\
	EXPECT_EQ(NULL, ia_state_diff(&self->before, &__after))		\
		TH_LOG("%s", ia_state_diff(&self->before, &__after));	\
} while (0)

#define FAIL_SYNC() \
	ASSERT_EQ(0, model_inject(self->fails, MODEL_INJECT_SYNC, 1, 0))

TEST_F(undo, map)
{
	int pages;

	ASSERT_EQ(0, map_pages(self, 0, BASE - PG, 0, 1));
	for (pages = 1; pages < PAGES; pages += 6) {
		REMEMBER();
		FAIL_SYNC();
		ASSERT_EQ(-ENOMEM, map_pages(self, 0, BASE, 1, pages));
		EXPECT_TRUE(both_fault(self, BASE, pages));
		EXPECT_AS_BEFORE();
		/* no IOPTE is in the way, and the failure was the only one */
		ASSERT_EQ(0, map_pages(self, 0, BASE, 1, pages));
		EXPECT_TRUE(both_read(self, BASE - PG, 0, pages + 1));
		ASSERT_EQ(0, ia_unmap(self->fd, self->space.id, BASE,
				      pages * PG, NULL));
		EXPECT_AS_BEFORE();
	}
}

/*
 * Of {unmap, map, map, unmap} one sync follows the two maps: these fail, and
 * so the last unmap is not done.
 */
TEST_F(undo, batch)
{
	struct ioasid_dma_op ops[4] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->space.id,
		.nr = ARRAY_SIZE(ops),
		.ops = IA_PTR(ops),
	};
	int i;

	for (i = 0; i < 4; i++) {
		bool map = i == 1 || i == 2;

		ops[i] = (struct ioasid_dma_op) {
			.op = map ? IOASID_DMA_OP_MAP : IOASID_DMA_OP_UNMAP,
			.flags = map ? IA_RW_FIXED : 0,
			.iova = BASE + 4 * i * PG,
			.addr = map ? page_addr(self, 4 * i) : 0,
			.length = 2 * PG,
		};
	}
	ASSERT_EQ(0, map_pages(self, 0, BASE + 12 * PG, 12, 2));
	REMEMBER();
	ASSERT_EQ(0, map_pages(self, 0, BASE, 0, 2));
	FAIL_SYNC();
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(1, batch.done);
	EXPECT_EQ(-ENOMEM, batch.error);
	EXPECT_EQ(2 * PG, batch.unmapped);
	EXPECT_TRUE(both_fault(self, BASE, 12));
	EXPECT_TRUE(both_read(self, BASE + 12 * PG, 12, 2));
	EXPECT_AS_BEFORE();

	/* What is left, once more */
	batch.nr = 3;
	batch.ops = IA_PTR(ops + 1);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(3, batch.done);
	EXPECT_EQ(0, batch.error);
	EXPECT_TRUE(both_read(self, BASE + 4 * PG, 4, 2));
	EXPECT_TRUE(both_read(self, BASE + 8 * PG, 8, 2));
	EXPECT_TRUE(both_fault(self, BASE + 12 * PG, 2));
}

/* Nothing but a map: the batch did nothing, and has an errno. */
TEST_F(undo, batch_of_one)
{
	struct ioasid_dma_op op = {
		.op = IOASID_DMA_OP_MAP,
		.flags = IA_RW_FIXED,
		.iova = BASE,
		.addr = page_addr(self, 3),
		.length = PG,
	};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->space.id,
		.nr = 1,
		.ops = IA_PTR(&op),
	};

	REMEMBER();
	FAIL_SYNC();
	EXPECT_EQ(-ENOMEM, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_TRUE(both_fault(self, BASE, 1));
	EXPECT_AS_BEFORE();
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_TRUE(both_read(self, BASE, 3, 1));
}

TEST_F(undo, replace)
{
	ASSERT_EQ(0, map_pages(self, 0, BASE, 0, 8));
	REMEMBER();
	FAIL_SYNC();
	ASSERT_EQ(-ENOMEM, map_pages(self, IOASID_MAP_REPLACE |
				     IOASID_MAP_SPLIT, BASE + 2 * PG, 4, 9));
	EXPECT_TRUE(both_read(self, BASE, 0, 8));
	EXPECT_TRUE(both_fault(self, BASE + 8 * PG, 3));
	EXPECT_AS_BEFORE();
	ASSERT_EQ(0, map_pages(self, IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
			       BASE + 2 * PG, 4, 9));
	EXPECT_TRUE(both_read(self, BASE, 0, 2));
	EXPECT_TRUE(both_read(self, BASE + 2 * PG, 4, 9));
}

struct hung_map {
	pthread_t thread;
	int fd;
	__u32 id;
	char *mem;
	int rc;
};

static void *map_hung(void *arg)
{
	struct hung_map *map = arg;

	map->rc = ia_map(map->fd, map->id, BASE, map->mem, PG);
	return NULL;
}

/* A map of another thread, whose memory is not there yet, outlives the failure. */
TEST_F(undo, replace_of_hung)
{
	struct hung_map map = {
		.fd = self->fd, .id = self->root, .mem = ia_mem(PG),
	};
	int uffd;

	if (variant->child)
		SKIP(return, "a child pins nothing");
	uffd = open_userfaultfd();
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_NE(NULL, map.mem);
	ASSERT_EQ(0, madvise(map.mem, PG, MADV_DONTNEED));
	ASSERT_EQ(0, hold_faults(uffd, map.mem, PG));
	ASSERT_EQ(0, pthread_create(&map.thread, NULL, map_hung, &map));
	ASSERT_TRUE(fault_waits(uffd));
	FAIL_SYNC();
	EXPECT_EQ(-ENOMEM, map_pages(self, IOASID_MAP_REPLACE, BASE - PG, 4,
				     3));
	EXPECT_TRUE(both_fault(self, BASE - PG, 3));
	EXPECT_EQ(0, release_faults(uffd, map.mem, PG));
	ASSERT_EQ(0, pthread_join(map.thread, NULL));
	EXPECT_EQ(0, map.rc);
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, BASE, PG, NULL));
	EXPECT_TRUE(both_fault(self, BASE, 1));
	close(uffd);
}

/* A device that attaches gets its own table, which cannot be populated. */
TEST_F(undo, attach)
{
	struct model_space other = self->space;

	ASSERT_EQ(0, map_pages(self, 0, BASE, 0, 3));
	ASSERT_EQ(0, map_pages(self, 0, BASE + 4 * PG, 4, 3));
	ASSERT_EQ(0, ia_alloc(self->fd, &other.id));
	ASSERT_EQ(0, ia_map(self->fd, other.id, BASE, self->mem + 9 * PG, PG));
	ASSERT_EQ(0, model_attach(self->fails, &other));
	REMEMBER();
	/* The second mapping */
	ASSERT_EQ(0, model_inject(self->fails, MODEL_INJECT_SYNC, 2, 0));
	EXPECT_EQ(-ENOMEM, model_attach(self->fails, &self->space));
	EXPECT_TRUE(reads(self->fails, BASE, 9));
	EXPECT_TRUE(faults(self->fails, BASE + PG));
	EXPECT_AS_BEFORE();
	ASSERT_EQ(0, model_attach(self->fails, &self->space));
	EXPECT_TRUE(both_read(self, BASE, 0, 3));
	EXPECT_TRUE(both_read(self, BASE + 4 * PG, 4, 3));
}

/* A large IOPTE is out of the table when its parts cannot be made visible. */
TEST_F(undo, split)
{
	char *huge = mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	__u64 iova = BASE;

	if (huge == MAP_FAILED)
		SKIP(return, "no huge page");
	if (self->fails != &self->dev[0])
		SKIP(return, "has small IOPTEs");
	memset(huge, 8, SZ_2M);
	ASSERT_EQ(0, ia_map(self->fd, self->root, BASE, huge, SZ_2M));
	if (variant->child)
		ASSERT_EQ(0, ia_map_full(self->fd, self->space.id,
					 IA_RW | IOASID_MAP_FIXED, &iova, BASE,
					 SZ_2M, 0, 0, 0, NULL));
	REMEMBER();
	FAIL_SYNC();
	EXPECT_EQ(-ENOMEM, ia_unmap_full(self->fd, self->space.id,
					 IOASID_UNMAP_SPLIT, BASE + 8 * PG, PG,
					 NULL));
	EXPECT_TRUE(reads(&self->dev[0], BASE + 7 * PG, 7));
	EXPECT_TRUE(reads(&self->dev[1], BASE + 8 * PG, 7));
	EXPECT_TRUE(reads(&self->dev[0], BASE + SZ_2M - PG, 7));
	EXPECT_AS_BEFORE();
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->space.id, IOASID_UNMAP_SPLIT,
				   BASE + 8 * PG, PG, NULL));
	EXPECT_TRUE(reads(&self->dev[0], BASE + 7 * PG, 7));
	EXPECT_TRUE(both_fault(self, BASE + 8 * PG, 1));
	EXPECT_TRUE(reads(&self->dev[0], BASE + 9 * PG, 7));
}

/*
 * Device memory is written again when memory was short: in both, or in none.
 * No ASSERT while it is mapped: the device could not be unplugged.
 */
TEST_F(undo, device_memory)
{
	const __u64 at = variant->child ? BASE + SZ_1G : BASE;
	char *mem, buf[8] = "written";
	int i;

	REMEMBER();
	FAIL_SYNC();
	mem = model_map_memory(self->fails);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, ia_map(self->fd, self->root, at, mem, 2 * PG));
	if (variant->child)
		EXPECT_EQ(0, ia_map(self->fd, self->space.id, BASE,
				    (void *)(uintptr_t)at, 2 * PG));
	for (i = 0; i < 2; i++) {
		buf[0] = 'a' + i;
		EXPECT_EQ(0, model_put(&self->dev[i], BASE, buf, sizeof(buf)));
		EXPECT_EQ(0, memcmp(mem, buf, sizeof(buf)));
	}
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE,
				   at, 2 * PG, NULL));
	EXPECT_TRUE(both_fault(self, BASE, 2));
	munmap(mem, IOASID_MODEL_MEMORY_SIZE);
	EXPECT_AS_BEFORE();
}

/*
 * Memory, device memory and memory again become three mappings of a child, which
 * are written from the last one on: all of them, or none.  Device memory is
 * written again after a failure.
 */
TEST_F(undo, pieces)
{
	const __u64 from = FAMILY_ROOT_BASE + (PAGES - 2) * PG;
	const __u64 device = FAMILY_ROOT_BASE + PAGES * PG;
	char *mem, buf[8] = "written";
	int i, fails;

	if (!variant->child)
		SKIP(return, "a root pins its memory");
	mem = model_map_memory(self->fails);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, ia_map(self->fd, self->root, device, mem, 2 * PG));
	EXPECT_EQ(0, ia_map(self->fd, self->root, device + 2 * PG, self->mem,
			    PG));
	EXPECT_EQ(0, ia_state_read(self->fd, &self->before));
	for (fails = 1; fails <= 3; fails += 2) {
		EXPECT_EQ(0, model_inject(self->fails, MODEL_INJECT_SYNC, fails,
					  0));
		EXPECT_EQ(-ENOMEM, ia_map(self->fd, self->space.id, BASE,
					  (void *)(uintptr_t)from, 5 * PG));
		EXPECT_TRUE(both_fault(self, BASE, 5));
		EXPECT_AS_BEFORE();
	}
	EXPECT_EQ(0, model_inject(self->fails, MODEL_INJECT_SYNC, 2, 0));
	EXPECT_EQ(0, ia_map(self->fd, self->space.id, BASE,
			    (void *)(uintptr_t)from, 5 * PG));
	EXPECT_TRUE(both_read(self, BASE, PAGES - 2, 2));
	EXPECT_TRUE(both_read(self, BASE + 4 * PG, 0, 1));
	for (i = 0; i < 2; i++) {
		buf[0] = 'a' + i;
		EXPECT_EQ(0, model_put(&self->dev[i], BASE + 3 * PG, buf,
				       sizeof(buf)));
		EXPECT_EQ(0, memcmp(mem + PG, buf, sizeof(buf)));
	}
	EXPECT_EQ(0, ia_unmap(self->fd, self->space.id, BASE, 5 * PG, NULL));
	EXPECT_TRUE(both_fault(self, BASE, 5));
	EXPECT_AS_BEFORE();
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, device, 3 * PG, NULL));
	munmap(mem, IOASID_MODEL_MEMORY_SIZE);
}

TEST_HARNESS_MAIN
