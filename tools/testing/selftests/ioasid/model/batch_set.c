// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches whose operations name several IOASIDs: what devices reach, one flush for
 * each page table, and the operation that an error is about.
 */
#include "ioasid_test.h"
#include "family.h"
#include "hw.h"

#define PG page_size
#define ROOT_BASE SZ_1G
#define BASE (4ULL * SZ_1G)
#define PAGES 32
/* more than a batch keeps unsettled */
#define CHILDREN 20

FIXTURE(batch_set)
{
	struct model model;
	struct model_device dev[2];	/* of the first two children */
	struct model_space at[2];
	int fd;
	__u32 root;
	__u32 child[CHILDREN];
	char *mem;
	struct ioasid_dma_op ops[4 * CHILDREN];
	struct ioasid_dma_batch cmd;
};

FIXTURE_SETUP(batch_set)
{
	struct model_params params[] = { { .unit = 31 }, { .unit = 32 } };
	int i;

	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    PAGES * PG));
	for (i = 0; i < CHILDREN; i++)
		ASSERT_EQ(0, ia_child(self->fd, self->root, 0,
				      &self->child[i]));
	for (i = 0; i < 2; i++) {
		self->at[i] = (struct model_space) {
			.model = &self->model, .id = self->child[i],
			.container = -1,
		};
		ASSERT_EQ(0, model_plug(&self->model, &self->dev[i],
					&params[i], 0));
		ASSERT_EQ(0, model_attach(&self->dev[i], &self->at[i]));
	}
}

FIXTURE_TEARDOWN(batch_set)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (!self->dev[i].model)
			return;
		EXPECT_EQ(0, model_inject(&self->dev[i], MODEL_INJECT_SYNC, 0,
					  0));
		MODEL_REMOVE(&self->dev[i]);
	}
	model_close(&self->model);
}

static struct ioasid_dma_op map_in(__u32 id, __u64 iova, int page)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_MAP,
		.flags = IA_RW_FIXED | IOASID_DMA_OP_IOASID,
		.fd = id,
		.iova = iova,
		.addr = ROOT_BASE + page * PG,
		.length = PG,
	};
}

static struct ioasid_dma_op unmap_in(__u32 id, __u64 iova)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_UNMAP,
		.flags = IOASID_DMA_OP_IOASID,
		.fd = id,
		.iova = iova,
		.length = PG,
	};
}

static int run(struct _test_data_batch_set *self, __u32 nr)
{
	self->cmd = (struct ioasid_dma_batch) {
		.argsz = sizeof(self->cmd),
		.ioasid = self->child[0],
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

static __u64 nr_mappings(struct _test_data_batch_set *self, int i)
{
	return info_of(self->fd, self->child[i]).nr_mappings;
}

static __u64 flushes(struct model_device *dev)
{
	struct model_counters now = model_counters(dev);

	return now.flush_all + now.flush_range;
}

/* The same contents in two IOASIDs: one call, and one flush of each. */
TEST_F(batch_set, one_flush_each)
{
	struct model_counters before[2];
	__u64 were[2];
	int i, k;

	for (i = 0; i < 16; i++)
		for (k = 0; k < 2; k++)
			self->ops[2 * i + k] = map_in(self->child[k],
						      BASE + 2 * i * PG, i + k);
	ASSERT_EQ(0, run(self, 32));
	CAME_TO(32, 0, 0);
	for (i = 0; i < 16; i++)
		for (k = 0; k < 2; k++)
			EXPECT_TRUE(reads(&self->dev[k], BASE + 2 * i * PG,
					  i + k));
	for (i = 0; i < 32; i++)
		self->ops[i] = unmap_in(self->child[i % 2],
					BASE + 2 * (i / 2) * PG);
	/* an operation that names none is of the batch's own */
	self->ops[2].flags = 0;
	self->ops[2].fd = 0;
	for (k = 0; k < 2; k++) {
		before[k] = model_counters(&self->dev[k]);
		were[k] = flushes(&self->dev[k]);
	}
	ASSERT_EQ(0, run(self, 32));
	CAME_TO(32, 0, 32 * PG);
	for (k = 0; k < 2; k++) {
		EXPECT_EQ(1, flushes(&self->dev[k]) - were[k]);
		for (i = 0; i < 16; i++)
			EXPECT_TRUE(faults(&self->dev[k], BASE + 2 * i * PG));
		EXPECT_EQ(before[k].stale, model_counters(&self->dev[k]).stale);
		EXPECT_EQ(0, nr_mappings(self, k));
	}
}

/* More IOASIDs than are kept unsettled, several times each. */
TEST_F(batch_set, many)
{
	int i;

	for (i = 0; i < 2 * CHILDREN; i++)
		self->ops[i] = map_in(self->child[i % CHILDREN], BASE + i * PG,
				      i % PAGES);
	for (; i < 4 * CHILDREN; i++)
		self->ops[i] = unmap_in(self->child[i % CHILDREN],
					BASE + (i - 2 * CHILDREN) * PG);
	ASSERT_EQ(0, run(self, 2 * CHILDREN));
	CAME_TO(2 * CHILDREN, 0, 0);
	for (i = 0; i < CHILDREN; i++)
		EXPECT_EQ(2, nr_mappings(self, i));
	EXPECT_TRUE(reads(&self->dev[1], BASE + (CHILDREN + 1) * PG,
			  CHILDREN + 1));
	EXPECT_TRUE(faults(&self->dev[1], BASE));
	/* all of them exist: none of the maps is done again */
	ASSERT_EQ(-EEXIST, run(self, 4 * CHILDREN));
	for (i = 0; i < CHILDREN; i++)
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->child[i], NULL));
	ASSERT_EQ(0, run(self, 4 * CHILDREN));
	CAME_TO(4 * CHILDREN, 0, 2 * CHILDREN * PG);
	for (i = 0; i < CHILDREN; i++)
		EXPECT_EQ(0, nr_mappings(self, i));
}

/* A child refers to what the same batch unmaps from its parent. */
TEST_F(batch_set, parent_and_child)
{
	self->ops[0] = map_in(self->child[1], BASE, 3);
	self->ops[1] = unmap_in(self->root, ROOT_BASE + 3 * PG);
	self->ops[1].flags |= IOASID_UNMAP_SPLIT;
	self->ops[2] = map_in(self->child[0], BASE, 3);
	ASSERT_EQ(0, run(self, 3));
	CAME_TO(1, -EBUSY, 0);
	EXPECT_TRUE(reads(&self->dev[1], BASE, 3));
	EXPECT_TRUE(faults(&self->dev[0], BASE));
	/* not after it was unmapped from the child */
	self->ops[0] = unmap_in(self->child[1], BASE);
	ASSERT_EQ(0, run(self, 3));
	CAME_TO(2, -ENXIO, 2 * PG);
	EXPECT_EQ(ROOT_BASE + 3 * PG, self->cmd.fault_addr);
	EXPECT_TRUE(faults(&self->dev[1], BASE));
	EXPECT_TRUE(faults(&self->dev[0], BASE));
}

/* The operation that fails is named, and those before it are done. */
TEST_F(batch_set, fails)
{
	struct ioasid_dma_op bad[8];
	int errors[8], n = 0, i;
	__u32 import;
	int export;

	ASSERT_EQ(0, ia_export(self->fd, self->root, IOASID_EXPORT_READ,
			       ROOT_BASE, PG, 1, &export));
	ASSERT_EQ(0, ia_import(self->fd, export, 0, &import));
	close(export);
	errors[n] = -ENOENT;
	bad[n++] = map_in(0, BASE, 0);
	errors[n] = -ENOENT;
	bad[n++] = map_in(0x7ffffff0, BASE, 0);
	errors[n] = -ENOENT;
	bad[n++] = unmap_in(-1, BASE);
	errors[n] = -ENOENT;
	bad[n++] = map_in(self->dev[0].devid, BASE, 0);
	errors[n] = -ENOENT;
	bad[n++] = map_in(import, BASE, 0);
	errors[n] = -EINVAL;
	bad[n] = map_in(self->child[1], BASE + 64 * PG, 0);
	bad[n++].flags |= IOASID_MAP_FILE;
	errors[n] = -EOPNOTSUPP;
	bad[n] = map_in(self->child[1], BASE + 64 * PG, 0);
	bad[n++].flags |= 1 << 9;
	errors[n] = -EOPNOTSUPP;
	bad[n] = map_in(self->child[1], BASE + 64 * PG, 0);
	bad[n++].op = 3;

	for (i = 0; i < n; i++) {
		self->ops[0] = map_in(self->child[0], BASE, 1);
		self->ops[1] = map_in(self->child[1], BASE, 2);
		self->ops[2] = bad[i];
		self->ops[3] = map_in(self->child[0], BASE + PG, 1);
		ASSERT_EQ(0, run(self, 4));
		CAME_TO(2, errors[i], 0);
		EXPECT_TRUE(reads(&self->dev[0], BASE, 1));
		EXPECT_TRUE(reads(&self->dev[1], BASE, 2));
		EXPECT_TRUE(faults(&self->dev[0], BASE + PG));
		EXPECT_EQ(1, nr_mappings(self, 0));
		EXPECT_EQ(1, nr_mappings(self, 1));
		self->ops[0] = unmap_in(self->child[1], BASE);
		self->ops[1] = unmap_in(self->child[0], BASE);
		ASSERT_EQ(0, run(self, 3));
		CAME_TO(2, errors[i], 2 * PG);
	}
}

/* A sync that fails undoes all that was pending, of the others too. */
TEST_F(batch_set, undone)
{
	int fails, i;

	for (fails = 0; fails < 2; fails++) {
		self->ops[0] = map_in(self->child[0], BASE, 1);
		self->ops[1] = map_in(self->child[1], BASE, 2);
		ASSERT_EQ(0, run(self, 2));
		self->ops[0] = unmap_in(self->child[0], BASE);
		self->ops[1] = map_in(self->child[1], BASE + PG, 3);
		self->ops[2] = map_in(self->child[0], BASE + PG, 4);
		self->ops[3] = unmap_in(self->child[1], BASE);
		ASSERT_EQ(0, model_inject(&self->dev[fails], MODEL_INJECT_SYNC,
					  1, 0));
		ASSERT_EQ(-ENOMEM, run(self, 4));
		CAME_TO(0, -ENOMEM, 0);
		for (i = 0; i < 2; i++) {
			EXPECT_TRUE(reads(&self->dev[i], BASE, i + 1));
			EXPECT_TRUE(faults(&self->dev[i], BASE + PG));
			EXPECT_EQ(1, nr_mappings(self, i));
		}
		/* that was the only failure */
		ASSERT_EQ(0, run(self, 4));
		CAME_TO(4, 0, 2 * PG);
		EXPECT_TRUE(reads(&self->dev[0], BASE + PG, 4));
		EXPECT_TRUE(reads(&self->dev[1], BASE + PG, 3));
		EXPECT_TRUE(faults(&self->dev[0], BASE));
		EXPECT_TRUE(faults(&self->dev[1], BASE));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, ia_unmap_all(self->fd, self->child[i],
						  NULL));
	}
}

TEST_HARNESS_MAIN
