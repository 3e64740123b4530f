// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: the effect of each operation, and the results that the command
 * returns, on roots and on children, for more operations than are copied at a
 * time.
 */
#include "ioasid_test.h"
#include "family.h"
#include "mock.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES 16
#define OPS 100		/* more than three chunks */

FIXTURE(batch)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	int fd;
	__u32 root;
	__u32 id;		/* cut size of the space that the batches use */
	char *mem;
	struct ioasid_dma_op ops[OPS];
	struct ioasid_dma_batch cmd;
};

FIXTURE_VARIANT(batch)
{
	bool child;
};

FIXTURE_VARIANT_ADD(batch, root) {};
FIXTURE_VARIANT_ADD(batch, child) { .child = true };

FIXTURE_SETUP(batch)
{
	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, family_space(&self->model, variant->child, self->mem,
				  PAGES, &self->root, &self->space));
	self->id = self->space.id;
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
}

FIXTURE_TEARDOWN(batch)
{
	if (!self->dev.model)
		return;
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
}

static __u64 page_addr(struct _test_data_batch *self, int page)
{
	return family_addr(self->root, &self->space, self->mem, page);
}

static struct ioasid_dma_op map_op(struct _test_data_batch *self, __u16 flags,
				   __u64 iova, int page, int pages)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_MAP,
		.flags = flags,
		.iova = iova,
		.addr = page_addr(self, page),
		.length = pages * PG,
	};
}

static struct ioasid_dma_op unmap_op(__u64 iova, int pages)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_UNMAP,
		.iova = iova,
		.length = pages * PG,
	};
}

static int run(struct _test_data_batch *self, __u32 nr)
{
	self->cmd = (struct ioasid_dma_batch) {
		.argsz = sizeof(self->cmd),
		.ioasid = self->id,
		.nr = nr,
		.ops = IA_PTR(self->ops),
	};
	return ia_cmd(self->fd, IOASID_DMA_BATCH, &self->cmd);
}

#define CAME_TO(nr, err, bytes)						\
do {									\
	EXPECT_EQ(nr, self->cmd.done);					\
	EXPECT_EQ(err, self->cmd.error);				\
	EXPECT_EQ(bytes, self->cmd.unmapped);				\
} while (0)

/* Each operation returns its own chosen IOVA. */
TEST_F(batch, kernel_chooses)
{
	struct ioasid_query_entry e[OPS + 1];
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->id,
		.nr = OPS + 1,
		.entries = IA_PTR(e),
	};
	unsigned int i, k;

	for (i = 0; i < OPS; i++)
		self->ops[i] = map_op(self, IA_RW, 0, i % PAGES, 1);
	ASSERT_EQ(0, run(self, OPS));
	CAME_TO(OPS, 0, 0);
	for (i = 0; i < OPS; i++) {
		EXPECT_NE(0, self->ops[i].iova);
		EXPECT_EQ(0, self->ops[i].iova % PG);
		EXPECT_TRUE(reads(&self->dev, self->ops[i].iova, i % PAGES))
			TH_LOG("operation %u, at %#llx", i, self->ops[i].iova);
		for (k = 0; k < i; k++)
			EXPECT_NE(self->ops[k].iova, self->ops[i].iova);
		/* the rest is unchanged */
		EXPECT_EQ(IOASID_DMA_OP_MAP, self->ops[i].op);
		EXPECT_EQ(page_addr(self, i % PAGES), self->ops[i].addr);
		EXPECT_EQ(PG, self->ops[i].length);
	}
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_QUERY_MAP, &query));
	EXPECT_EQ(OPS, query.nr);
}

/* Some operations choose an IOVA, some do not, and the last one fails. */
TEST_F(batch, chooses_until_it_fails)
{
	unsigned int i;

	for (i = 0; i < OPS; i++)
		self->ops[i] = i % 3 ? map_op(self, IA_RW, 0, i % PAGES, 1) :
			       map_op(self, IA_RW_FIXED, SZ_2M + i * PG,
				      i % PAGES, 1);
	self->ops[77].length = 0;
	ASSERT_EQ(0, run(self, OPS));
	CAME_TO(77, -EINVAL, 0);
	for (i = 0; i < 77; i++)
		EXPECT_TRUE(reads(&self->dev, self->ops[i].iova, i % PAGES));
	for (; i < OPS; i++)
		EXPECT_EQ(i % 3 ? 0 : SZ_2M + i * PG, self->ops[i].iova);
	EXPECT_EQ(77, info_of(self->fd, self->id).nr_mappings);
}

/*
 * The result counts bytes that were unmapped before an operation fails, and no
 * others: neither those of the one that fails, nor those of later ones.
 */
TEST_F(batch, removed_until_it_fails)
{
	unsigned int i, at;
	__u64 iova;

	for (at = 0; at < OPS; at += 33) {
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
		for (i = 0; i < OPS; i++) {
			iova = BASE + 4 * i * PG;
			ASSERT_EQ(0, ia_map_full(self->fd, self->id,
						 IA_RW_FIXED, &iova,
						 page_addr(self, 0), 2 * PG,
						 4 * PG, 0, 0, NULL));
			self->ops[i] = unmap_op(iova, 2);
		}
		/* off the grid: none of it is unmapped */
		self->ops[at].length = PG;
		EXPECT_EQ(at ? 0 : -EINVAL, run(self, OPS));
		CAME_TO(at, -EINVAL, at * 2 * PG);
		EXPECT_EQ(OPS - at, info_of(self->fd, self->id).nr_mappings);
		for (i = 0; i < OPS; i++) {
			iova = BASE + 4 * i * PG;
			EXPECT_EQ(i < at, faults(&self->dev, iova));
			EXPECT_EQ(i >= at, reads(&self->dev, iova, 0));
		}
	}
}

/* The permission of a mapping is the one that its operation asks for. */
TEST_F(batch, permission)
{
	unsigned int i;

	for (i = 0; i < OPS; i++)
		self->ops[i] = map_op(self, IOASID_MAP_FIXED |
				      (i % 2 ? IOASID_MAP_READ : IA_RW),
				      BASE + 2 * i * PG, i % PAGES, 1);
	ASSERT_EQ(0, run(self, OPS));
	CAME_TO(OPS, 0, 0);
	for (i = 0; i < OPS; i += 7) {
		EXPECT_TRUE(reads(&self->dev, BASE + 2 * i * PG, i % PAGES));
		EXPECT_EQ(i % 2, model_put(&self->dev,
					   BASE + 2 * i * PG + PG / 2, "w", 1) >
				 0);
	}
}

/* Holes are not counted, reserved ranges are, and parts by their size. */
TEST_F(batch, removed)
{
	__u64 iova = BASE;

	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				 page_addr(self, 0), 8 * PG, PG, 0, 0, NULL));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, BASE + 8 * PG, 3 * PG));
	self->ops[0] = unmap_op(BASE + PG, 2);
	self->ops[1] = unmap_op(BASE + PG, 2);
	self->ops[2] = unmap_op(BASE + 2 * PG, 3);
	self->ops[3] = unmap_op(BASE + 7 * PG, 16);
	ASSERT_EQ(0, run(self, 4));
	CAME_TO(4, 0, (2 + 2 + 1 + 3) * PG);
	EXPECT_TRUE(reads(&self->dev, BASE, 0));
	EXPECT_TRUE(reads(&self->dev, BASE + 5 * PG, 5));
	EXPECT_TRUE(reads(&self->dev, BASE + 6 * PG, 6));
	EXPECT_TRUE(faults(&self->dev, BASE + 4 * PG));
	EXPECT_TRUE(faults(&self->dev, BASE + 7 * PG));
	/* an unmap that fails counts nothing, even with a map in between */
	self->ops[0] = unmap_op(BASE, 1);
	self->ops[1] = map_op(self, IA_RW_FIXED, BASE, 9, 1);
	self->ops[2] = unmap_op(BASE, 1);
	self->ops[3] = map_op(self, IA_RW_FIXED, BASE, 11, 1);
	ASSERT_EQ(0, run(self, 4));
	CAME_TO(4, 0, 2 * PG);
	EXPECT_TRUE(reads(&self->dev, BASE, 11));
}

static struct ioasid_dma_op protect_op(__u64 iova, int pages, __u16 flags)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_MAP,
		.flags = flags | IOASID_MAP_FIXED | IOASID_MAP_PROTECT,
		.iova = iova,
		.length = pages * PG,
	};
}

/*
 * A guest splits a large page without an unmap: the batch replaces parts of it,
 * some by what is there, narrows others, and maps where nothing was.
 */
TEST_F(batch, changes)
{
	const __u16 replace = IA_RW_FIXED | IOASID_MAP_REPLACE |
			      IOASID_MAP_SPLIT;
	unsigned int i;

	self->ops[0] = map_op(self, IA_RW_FIXED, BASE, 0, 8);
	self->ops[1] = map_op(self, replace, BASE + 2 * PG, 9, 1);
	self->ops[2] = map_op(self, replace, BASE + 3 * PG, 3, 1);
	self->ops[3] = protect_op(BASE + 4 * PG, 1, IOASID_MAP_READ |
				  IOASID_MAP_SPLIT);
	self->ops[4] = map_op(self, replace, BASE + 16 * PG, 11, 2);
	/* all of an operation before, and then some of it */
	self->ops[5] = map_op(self, replace, BASE + 16 * PG, 13, 1);
	self->ops[6] = unmap_op(BASE + 2 * PG, 1);
	self->ops[7] = map_op(self, replace, BASE + 2 * PG, 15, 1);
	ASSERT_EQ(0, run(self, 8));
	CAME_TO(8, 0, PG);
	for (i = 0; i < 8; i++)
		EXPECT_TRUE(reads(&self->dev, BASE + i * PG, i == 2 ? 15 : i))
			TH_LOG("page %u", i);
	EXPECT_TRUE(reads(&self->dev, BASE + 16 * PG, 13));
	EXPECT_TRUE(reads(&self->dev, BASE + 17 * PG, 12));
	EXPECT_GT(0, -model_put(&self->dev, BASE + 4 * PG, "w", 1));
	EXPECT_EQ(0, model_put(&self->dev, BASE + 5 * PG + PG / 2, "w", 1));
}

/* Changes that fail change nothing, and end the batch with their address. */
TEST_F(batch, changes_until_it_fails)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		self->ops[0] = map_op(self, IA_RW_FIXED, BASE + 8 * i * PG, i,
				      2);
		switch (i) {
		case 0:		/* a hole */
			self->ops[1] = protect_op(BASE, 3, IOASID_MAP_READ);
			break;
		case 1:		/* off the grid */
			self->ops[1] = protect_op(BASE + 8 * PG, 1,
						  IOASID_MAP_READ);
			break;
		case 2:		/* a reserved range */
			self->ops[0] = (struct ioasid_dma_op) {
				.op = IOASID_DMA_OP_MAP,
				.flags = IOASID_MAP_FIXED | IOASID_MAP_RESERVE,
				.iova = BASE + 16 * PG,
				.length = PG,
			};
			self->ops[1] = map_op(self, IA_RW_FIXED |
					      IOASID_MAP_REPLACE,
					      BASE + 16 * PG, 0, 1);
			break;
		case 3:		/* an end of one without SPLIT */
			self->ops[1] = map_op(self, IA_RW_FIXED |
					      IOASID_MAP_REPLACE,
					      BASE + 25 * PG, 0, 1);
			break;
		}
		self->ops[2] = map_op(self, IA_RW_FIXED, BASE + 64 * PG, 0, 1);
		ASSERT_EQ(0, run(self, 3));
		CAME_TO(1, i == 0 ? -ENXIO : i == 2 ? -EEXIST : -EINVAL, 0);
		EXPECT_TRUE(faults(&self->dev, BASE + 64 * PG));
		if (i == 2)
			continue;
		EXPECT_TRUE(reads(&self->dev, BASE + 8 * i * PG, i));
		EXPECT_TRUE(reads(&self->dev, BASE + (8 * i + 1) * PG, i + 1));
	}
}

/* The cut size of an operation is its own. */
TEST_F(batch, cut_size)
{
	struct ioasid_query_entry e[4] = {};
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->id,
		.nr = 4,
		.entries = IA_PTR(e),
	};
	unsigned int shift = __builtin_ctzl(PG), i;
	__u64 iova = BASE + 12 * PG;

	self->ops[0] = map_op(self, IA_RW_FIXED | IOASID_DMA_OP_CUT(shift), BASE,
			      0, 4);
	self->ops[1] = map_op(self, IA_RW_FIXED | IOASID_DMA_OP_CUT(shift + 1),
			      BASE + 4 * PG, 4, 4);
	self->ops[2] = map_op(self, IA_RW_FIXED | IOASID_MAP_REPLACE |
			      IOASID_DMA_OP_CUT(63), BASE + 8 * PG, 8, 2);
	ASSERT_EQ(0, run(self, 3));
	CAME_TO(3, 0, 0);
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED |
				 IOASID_MAP_REPLACE, &iova, page_addr(self, 0),
				 PG, 0, 0, 0, NULL));
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_QUERY_MAP, &query));
	ASSERT_EQ(4, query.nr);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR, e[i].flags);
	EXPECT_EQ(PG, e[0].cut_size);
	EXPECT_EQ(2 * PG, e[1].cut_size);
	EXPECT_EQ(1ULL << 63, e[2].cut_size);
	self->ops[0] = unmap_op(BASE + PG, 1);
	self->ops[1] = unmap_op(BASE + 6 * PG, 2);
	self->ops[2] = unmap_op(BASE + 5 * PG, 1);
	ASSERT_EQ(0, run(self, 3));
	CAME_TO(2, -EINVAL, 3 * PG);
}

/* An unmap whose software device keeps its pins. */
TEST_F(batch, removed_but_what_is_kept)
{
	int software = mock_load() ? -1 : mock_open(0);
	__u32 devid;

	if (software < 0)
		SKIP(return, "no emulated devices");
	ASSERT_EQ(0, hw_bind(software, self->fd, 1, &devid));
	ASSERT_EQ(0, hw_attach(software, self->id));
	ASSERT_EQ(0, mock_behave(software, IOASID_MOCK_UNMAP_NEVER, 0));
	self->ops[0] = map_op(self, IA_RW_FIXED, BASE, 0, 1);
	self->ops[1] = map_op(self, IA_RW_FIXED, BASE + PG, 1, 1);
	self->ops[2] = map_op(self, IA_RW_FIXED, BASE + 2 * PG, 2, 1);
	ASSERT_EQ(0, run(self, 3));
	ASSERT_EQ(0, mock_pin(software, BASE + PG, PG));
	self->ops[0] = unmap_op(BASE, 1);
	self->ops[1] = unmap_op(BASE + PG, 1);
	self->ops[2] = unmap_op(BASE + 2 * PG, 1);
	ASSERT_EQ(0, run(self, 3));
	CAME_TO(1, -EBUSY, PG);
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_TRUE(reads(&self->dev, BASE + PG, 1));
	EXPECT_TRUE(reads(&self->dev, BASE + 2 * PG, 2));
	EXPECT_EQ(2, info_of(self->fd, self->id).nr_mappings);
	ASSERT_EQ(0, mock_unpin(software, BASE + PG, PG));
	ASSERT_EQ(0, run(self, 3));
	CAME_TO(3, 0, 2 * PG);
	close(software);
}

TEST_HARNESS_MAIN
