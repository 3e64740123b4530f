// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that a device reaches as soon as it is attached, and cached absent
 * translations of its IOMMU: the ends of the address space, and addresses that
 * were not mapped before.
 */
#include "ioasid_test.h"
#include "family.h"
#include "mock.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define ROOT_BASE SZ_1G
#define PAGES 16
#define LAST_PAGE (-(__u64)PG)

static const struct model_params whole_space = { .levels = 6 };
static const struct model_params remembers = { .flags = MODEL_CACHE_ABSENT };
static const struct model_params remembers_small = {
	.flags = MODEL_CACHE_ABSENT, .page_sizes = 1ULL << 12, .unit = 1,
};

FIXTURE(fill)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	int fd;
	char *mem;
};

FIXTURE_SETUP(fill)
{
	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
}

FIXTURE_TEARDOWN(fill)
{
	if (!self->dev.model)
		return;
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
}

#define PLUG(params) \
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, params, 0))
#define ATTACH() ASSERT_EQ(0, model_attach(&self->dev, &self->space))
#define MAP(iova, page, pages)						\
	ASSERT_EQ(0, ia_map(self->fd, self->space.id, iova,		\
			    self->mem + (page) * PG, (pages) * PG))
#define UNMAP(iova, pages)						\
	ASSERT_EQ(0, ia_unmap(self->fd, self->space.id, iova,		\
			      (pages) * PG, NULL))
#define READS(iova, page) EXPECT_TRUE(reads(&self->dev, iova, page))
#define FAULTS(iova) EXPECT_TRUE(faults(&self->dev, iova))

/* The only mapping is the last page; the next one would begin at 0. */
TEST_F(fill, last_page)
{
	PLUG(&whole_space);
	MAP(LAST_PAGE, 3, 1);
	ATTACH();
	READS(LAST_PAGE, 3);
	FAULTS(0);
	FAULTS(LAST_PAGE - PG);
	ASSERT_EQ(0, model_detach(&self->dev));
	/* and the page before it, as a mapping of its own */
	MAP(LAST_PAGE - PG, 5, 1);
	ATTACH();
	READS(LAST_PAGE - PG, 5);
	READS(LAST_PAGE, 3);
	UNMAP(LAST_PAGE, 1);
	FAULTS(LAST_PAGE);
	READS(LAST_PAGE - PG, 5);
	MAP(LAST_PAGE, 7, 1);
	READS(LAST_PAGE, 7);
}

/* The first and the last page, and a mapping that ends there. */
TEST_F(fill, both_ends)
{
	PLUG(&whole_space);
	MAP(0, 0, 1);
	MAP(-4 * (__u64)PG, 4, 4);
	ATTACH();
	READS(0, 0);
	READS(-4 * (__u64)PG, 4);
	READS(LAST_PAGE, 7);
	FAULTS(PG);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->space.id, NULL));
	FAULTS(0);
	FAULTS(LAST_PAGE);
	MAP(0, 1, 2);
	READS(PG, 2);
}

/* Attach skips reserved ranges in between, up to the last page. */
TEST_F(fill, over_reserved)
{
	PLUG(&whole_space);
	ASSERT_EQ(0, ia_reserve(self->fd, self->space.id, 0, BASE));
	MAP(BASE, 1, 2);
	ASSERT_EQ(0, ia_reserve(self->fd, self->space.id, BASE + 2 * PG,
				LAST_PAGE - BASE - 2 * PG));
	MAP(LAST_PAGE, 9, 1);
	ATTACH();
	READS(BASE + PG, 2);
	FAULTS(BASE + 2 * PG);
	READS(LAST_PAGE, 9);
}

/* More ranges than are skipped at a time, with memory mapped last. */
TEST_F(fill, behind_many_reserved)
{
	__u64 i;

	PLUG(NULL);
	for (i = 0; i < 2500; i++)
		ASSERT_EQ(0, ia_reserve(self->fd, self->space.id,
					BASE + 2 * i * PG, PG));
	MAP(BASE + 2 * i * PG, 2, 2);
	ATTACH();
	READS(BASE + 2 * i * PG, 2);
	READS(BASE + 2 * i * PG + PG, 3);
	FAULTS(BASE);
}

/* --- cached absent translations --- */

/* Make the IOTLB cache that none of these pages is mapped. */
static bool all_fault(struct model_device *dev, __u64 iova, int pages)
{
	int i;

	for (i = 0; i < pages; i++)
		if (!faults(dev, iova + i * PG))
			return false;
	return true;
}

static bool all_read(struct model_device *dev, __u64 iova, int page, int pages)
{
	int i;

	for (i = 0; i < pages; i++)
		if (!reads(dev, iova + i * PG, page + i))
			return false;
	return true;
}

FIXTURE(absent)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	int fd;
	__u32 root;
	char *mem;
};

/* The space is a root, or a child that maps by reference. */
FIXTURE_VARIANT(absent)
{
	const struct model_params *params;
	bool child;
};

FIXTURE_VARIANT_ADD(absent, root) { .params = &remembers };
FIXTURE_VARIANT_ADD(absent, root_small) { .params = &remembers_small };
FIXTURE_VARIANT_ADD(absent, child) { .params = &remembers, .child = true };
FIXTURE_VARIANT_ADD(absent, child_small)
{
	.params = &remembers_small,
	.child = true,
};

FIXTURE_SETUP(absent)
{
	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
	self->space = (struct model_space) {
		.model = &self->model, .id = self->root, .container = -1,
	};
	if (variant->child) {
		ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
				    PAGES * PG));
		ASSERT_EQ(0, ia_child(self->fd, self->root, 0,
				      &self->space.id));
	}
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, variant->params, 0));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
}

FIXTURE_TEARDOWN(absent)
{
	if (!self->dev.model)
		return;
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
}

static __u64 page_addr(struct _test_data_absent *self, int page)
{
	return (self->root == self->space.id ? IA_PTR(self->mem) : ROOT_BASE) +
	       page * PG;
}

static int map_pages(struct _test_data_absent *self, __u32 flags, __u64 iova,
		     int page, int pages)
{
	return ia_map_full(self->fd, self->space.id,
			   flags | IA_RW | IOASID_MAP_FIXED, &iova,
			   page_addr(self, page), pages * PG, 0, 0, 0, NULL);
}

TEST_F(absent, map)
{
	ASSERT_TRUE(all_fault(&self->dev, BASE - PG, PAGES + 2));
	ASSERT_EQ(0, map_pages(self, 0, BASE, 0, PAGES));
	EXPECT_TRUE(all_read(&self->dev, BASE, 0, PAGES));
	FAULTS(BASE - PG);
	FAULTS(BASE + PAGES * PG);
	/* and again: the unmap was flushed */
	ASSERT_EQ(0, ia_unmap(self->fd, self->space.id, BASE, PAGES * PG,
			      NULL));
	ASSERT_TRUE(all_fault(&self->dev, BASE, PAGES));
	ASSERT_EQ(0, map_pages(self, 0, BASE, 1, PAGES - 1));
	EXPECT_TRUE(all_read(&self->dev, BASE, 1, PAGES - 1));
}

TEST_F(absent, batch)
{
	struct ioasid_dma_op ops[PAGES] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->space.id,
		.nr = PAGES,
		.ops = IA_PTR(ops),
	};
	int i;

	ASSERT_TRUE(all_fault(&self->dev, BASE, 2 * PAGES));
	for (i = 0; i < PAGES; i++)
		ops[i] = (struct ioasid_dma_op) {
			.op = IOASID_DMA_OP_MAP,
			.flags = IA_RW_FIXED,
			.iova = BASE + 2 * i * PG,
			.addr = page_addr(self, i),
			.length = PG,
		};
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	ASSERT_EQ(PAGES, batch.done);
	for (i = 0; i < PAGES; i++)
		EXPECT_TRUE(reads(&self->dev, BASE + 2 * i * PG, i));
}

TEST_F(absent, replace)
{
	ASSERT_TRUE(all_fault(&self->dev, BASE, PAGES));
	ASSERT_EQ(0, map_pages(self, 0, BASE + 4 * PG, 0, 2));
	/* over mapped pages, and over holes */
	ASSERT_EQ(0, map_pages(self, IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
			       BASE, 3, 9));
	EXPECT_TRUE(all_read(&self->dev, BASE, 3, 9));
	FAULTS(BASE + 9 * PG);
}

TEST_F(absent, filled)
{
	struct model_space other;

	ASSERT_TRUE(all_fault(&self->dev, BASE, PAGES));
	ASSERT_EQ(0, model_space_open(&self->model, &other));
	ASSERT_EQ(0, model_attach(&self->dev, &other));
	ASSERT_TRUE(all_fault(&self->dev, BASE, PAGES));
	ASSERT_EQ(0, map_pages(self, 0, BASE, 2, 7));
	ASSERT_EQ(0, map_pages(self, 0, BASE + 8 * PG, 9, 5));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_TRUE(all_read(&self->dev, BASE, 2, 7));
	EXPECT_TRUE(all_read(&self->dev, BASE + 8 * PG, 9, 5));
	FAULTS(BASE + 7 * PG);
}

/* An IOPTE is absent for a moment while an edge cuts it: a fault is allowed. */
TEST_F(absent, split)
{
	ASSERT_TRUE(all_fault(&self->dev, BASE, PAGES));
	ASSERT_EQ(0, map_pages(self, 0, BASE, 0, PAGES));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->space.id,
				   IOASID_UNMAP_SPLIT, BASE + 5 * PG, 2 * PG,
				   NULL));
	EXPECT_TRUE(all_read(&self->dev, BASE, 0, 5));
	EXPECT_TRUE(all_fault(&self->dev, BASE + 5 * PG, 2));
	EXPECT_TRUE(all_read(&self->dev, BASE + 7 * PG, 7, PAGES - 7));
	ASSERT_EQ(0, map_pages(self, 0, BASE + 5 * PG, 5, 2));
	EXPECT_TRUE(all_read(&self->dev, BASE, 0, PAGES));
}

TEST_HARNESS_MAIN
