// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping by reference: IOASIDs whose mappings name addresses of a parent.
 *
 * The DMA of a model device that is attached to the child shows the memory that
 * devices reach; the counters of the process show that only the root pins and
 * charges.
 */
#include <grp.h>

#include "ioasid_test.h"
#include "family.h"
#include "mock.h"

#define PG page_size
#define ROOT_BASE SZ_1G
#define BASE (4ULL * SZ_1G)
#define PAGES 64

FIXTURE(family)
{
	struct model model;
	struct model_device dev;
	struct model_space at;		/* for the device: the child */
	int fd;
	__u32 root;
	__u32 child;
	char *mem;
};

FIXTURE_SETUP(family)
{
	FAMILY_SETUP(return, PAGES);
}

FIXTURE_TEARDOWN(family)
{
	FAMILY_TEARDOWN();
}

TEST_F(family, map_and_reach)
{
	struct ioasid_info info;

	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    PAGES * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE + 5 * PG,
				2 * PG, IA_RW));
	/* before the device is attached, and after */
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE + 8 * PG,
				ROOT_BASE + 20 * PG, PG, IOASID_MAP_READ));
	EXPECT_TRUE(reads(&self->dev, BASE, 5));
	EXPECT_TRUE(reads(&self->dev, BASE + PG, 6));
	EXPECT_TRUE(reads(&self->dev, BASE + 8 * PG, 20));
	EXPECT_TRUE(faults(&self->dev, BASE + 2 * PG));
	/* addresses of the root mean nothing in the child */
	EXPECT_TRUE(faults(&self->dev, ROOT_BASE));
	/* written through, and only as permitted */
	EXPECT_EQ(0, model_put(&self->dev, BASE, "abc", 4));
	EXPECT_EQ(0, strcmp(self->mem + 5 * PG, "abc"));
	EXPECT_LT(0, model_put(&self->dev, BASE + 8 * PG, "abc", 4));

	info = info_of(self->fd, self->child);
	EXPECT_EQ(self->root, info.parent);
	EXPECT_EQ(2, info.nr_mappings);
	EXPECT_EQ(3 * PG, info.bytes_mapped);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_charged);
	info = info_of(self->fd, self->root);
	EXPECT_EQ(1, info.nr_children);
	EXPECT_EQ(PAGES * PG, info.bytes_pinned);

	ASSERT_EQ(0, ia_unmap(self->fd, self->child, BASE, 2 * PG, NULL));
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_TRUE(reads(&self->dev, BASE + 8 * PG, 20));
}

/* One mapping of a child over many mappings of the parent */
TEST_F(family, spans_many)
{
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE + i * PG,
				    self->mem + (7 - i) * PG, PG));
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE + PG,
				6 * PG, IA_RW));
	for (i = 0; i < 6; i++)
		EXPECT_TRUE(reads(&self->dev, BASE + i * PG, 6 - i));
	EXPECT_EQ(1, info_of(self->fd, self->child).nr_mappings);

	/* held: each of them but those that the child does not reference */
	for (i = 1; i < 7; i++)
		EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root,
					   ROOT_BASE + i * PG, PG, NULL));
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE, PG, NULL));
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE + 7 * PG, PG,
			      NULL));

	/* cut where the parent is, and each half keeps its own references */
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->child, IOASID_UNMAP_SPLIT,
				   BASE + 2 * PG, PG, NULL));
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE + 3 * PG, PG,
			      NULL));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT_BASE + 2 * PG, PG,
				   NULL));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT_BASE + 4 * PG, PG,
				   NULL));
	EXPECT_TRUE(reads(&self->dev, BASE + PG, 5));
	EXPECT_TRUE(reads(&self->dev, BASE + 3 * PG, 3));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->child, NULL));
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->root, NULL));
}

/* A reference to any part of a mapping holds all of it. */
TEST_F(family, part_is_held)
{
	static const int page[] = { 0, 3, 7 };
	unsigned int i;

	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    8 * PG));
	for (i = 0; i < ARRAY_SIZE(page); i++) {
		ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE,
					ROOT_BASE + page[i] * PG, PG, IA_RW));
		EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT_BASE,
					   8 * PG, NULL));
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->child, NULL));
	}
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE, 8 * PG, NULL));
}

/* A batch flushes once for all that it unmaps, before the command returns. */
TEST_F(family, batch_flushes_once)
{
	struct ioasid_dma_op ops[PAGES / 2] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->child,
		.nr = ARRAY_SIZE(ops),
		.ops = IA_PTR(ops),
	};
	struct model_counters before, after;
	unsigned int i;

	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    PAGES * PG));
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	for (i = 0; i < batch.nr; i++)
		ops[i] = (struct ioasid_dma_op) {
			.op = IOASID_DMA_OP_MAP,
			.flags = IA_RW_FIXED,
			.iova = BASE + 2 * i * PG,
			.addr = ROOT_BASE + i * PG,
			.length = PG,
		};
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(batch.nr, batch.done);
	/* fill the IOTLB */
	for (i = 0; i < batch.nr; i++)
		EXPECT_TRUE(reads(&self->dev, BASE + 2 * i * PG, i));
	for (i = 0; i < batch.nr; i++)
		ops[i] = (struct ioasid_dma_op) {
			.op = IOASID_DMA_OP_UNMAP,
			.iova = BASE + 2 * i * PG,
			.length = PG,
		};
	before = model_counters(&self->dev);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	after = model_counters(&self->dev);
	EXPECT_EQ(batch.nr, batch.done);
	EXPECT_EQ(batch.nr * PG, batch.unmapped);
	EXPECT_EQ(1, after.flush_all + after.flush_range - before.flush_all -
		     before.flush_range);
	for (i = 0; i < batch.nr; i++)
		EXPECT_TRUE(faults(&self->dev, BASE + 2 * i * PG));
	EXPECT_EQ(before.stale, model_counters(&self->dev).stale);
}

TEST_F(family, holes_and_permissions)
{
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem, 4 * PG));
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, ROOT_BASE + 4 * PG, PG));
	__u64 iova = ROOT_BASE + 5 * PG;

	ASSERT_EQ(0, ia_map_full(self->fd, self->root, IOASID_MAP_READ |
				 IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->mem + 5 * PG), PG, 0, 0, 0, NULL));

	EXPECT_EQ(-ENXIO, ia_map_ref(self->fd, self->child, BASE, 0, PG, IA_RW));
	EXPECT_EQ(0, fault);
	EXPECT_EQ(-ENXIO, ia_map_ref(self->fd, self->child, BASE,
				     ROOT_BASE + 2 * PG, 3 * PG, IA_RW));
	EXPECT_EQ(ROOT_BASE + 4 * PG, fault);
	EXPECT_EQ(-ENXIO, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE - PG,
				     2 * PG, IA_RW));
	EXPECT_EQ(ROOT_BASE - PG, fault);
	EXPECT_EQ(-EACCES, ia_map_ref(self->fd, self->child, BASE,
				      ROOT_BASE + 5 * PG, PG, IA_RW));
	EXPECT_EQ(ROOT_BASE + 5 * PG, fault);
	EXPECT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE + 5 * PG,
				PG, IOASID_MAP_READ));
	EXPECT_EQ(-EEXIST, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE, PG,
				      IA_RW));
	EXPECT_EQ(BASE, fault);
	EXPECT_EQ(-EINVAL, ia_map_ref(self->fd, self->child, BASE + PG, ROOT_BASE,
				      PG, IA_RW | IOASID_MAP_FILE));
	/* the failure left no mapping */
	EXPECT_EQ(1, info_of(self->fd, self->child).nr_mappings);
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE, 4 * PG, NULL));
}

TEST_F(family, depth)
{
	__u32 id[4] = { self->root, self->child };
	int i, max = ia_check(self->fd, IOASID_EXT_MAX_DEPTH);

	ASSERT_EQ(4, max);
	ASSERT_EQ(0, ia_child(self->fd, id[1], 0, &id[2]));
	ASSERT_EQ(0, ia_child(self->fd, id[2], 0, &id[3]));
	EXPECT_EQ(-ELOOP, ia_child(self->fd, id[3], 0, &id[0]));
	id[0] = self->root;

	ASSERT_EQ(0, ia_map(self->fd, id[0], 0, self->mem, PAGES * PG));
	for (i = 1; i < 4; i++)
		ASSERT_EQ(0, ia_map_ref(self->fd, id[i], i * BASE,
					(i - 1) * BASE + PG, (33 - i) * PG, IA_RW));
	self->at.id = id[3];
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	EXPECT_TRUE(reads(&self->dev, 3 * BASE, 3));
	EXPECT_TRUE(reads(&self->dev, 3 * BASE + 29 * PG, 32));

	/* parents cannot be freed, nor their memory unmapped */
	EXPECT_EQ(-EBUSY, ia_free(self->fd, id[0]));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, id[2]));
	EXPECT_EQ(-EBUSY, ia_unmap_all(self->fd, id[1], NULL));
	/* through all of them at once, in the middle */
	ASSERT_EQ(0, ia_unmap_full(self->fd, id[0], IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, 10 * PG, 2 * PG, NULL));
	EXPECT_TRUE(reads(&self->dev, 3 * BASE + 6 * PG, 9));
	EXPECT_TRUE(faults(&self->dev, 3 * BASE + 7 * PG));
	EXPECT_TRUE(faults(&self->dev, 3 * BASE + 8 * PG));
	EXPECT_TRUE(reads(&self->dev, 3 * BASE + 9 * PG, 12));
	for (i = 1; i < 4; i++) {
		EXPECT_EQ(2, info_of(self->fd, id[i]).nr_mappings);
		EXPECT_EQ((31 - i) * PG,
			  info_of(self->fd, id[i]).bytes_mapped);
	}
	/* the orphans stay, but cannot map more */
	ASSERT_EQ(0, ia_free_cascade(self->fd, id[0]));
	EXPECT_TRUE(faults(&self->dev, 3 * BASE + 9 * PG));
	EXPECT_EQ(-ENODEV, ia_map_ref(self->fd, id[1], BASE, 0, PG, IA_RW));
	EXPECT_TRUE(info_of(self->fd, id[1]).state & IOASID_STATE_ORPHAN);
	EXPECT_EQ(-ENXIO, ia_map_ref(self->fd, id[2], BASE, 0, PG, IA_RW));
}

TEST_F(family, cascade_on_the_grid)
{
	__u64 removed;
	__u32 coarse;

	ASSERT_EQ(0, ia_child(self->fd, self->root, 8 * PG, &coarse));
	ASSERT_EQ(0, ia_map_full(self->fd, self->root, IA_RW | IOASID_MAP_FIXED,
				 &(__u64){ ROOT_BASE }, IA_PTR(self->mem),
				 PAGES * PG, PG, 0, 0, NULL));
	ASSERT_EQ(0, ia_map_ref(self->fd, coarse, BASE, ROOT_BASE, 32 * PG, IA_RW));
	self->at.id = coarse;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));

	/* on the root's grid, and off the child's */
	EXPECT_EQ(-EBUSY, ia_unmap_full(self->fd, self->root,
					IOASID_UNMAP_CASCADE,
					ROOT_BASE + 4 * PG, 4 * PG, &removed));
	EXPECT_EQ(0, removed);
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT_BASE + 8 * PG,
				   8 * PG, &removed));
	EXPECT_EQ(0, removed);
	EXPECT_TRUE(reads(&self->dev, BASE + 4 * PG, 4));
	EXPECT_EQ(1, info_of(self->fd, coarse).nr_mappings);

	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE,
				   ROOT_BASE + 8 * PG, 8 * PG, &removed));
	EXPECT_EQ(8 * PG, removed);
	EXPECT_TRUE(reads(&self->dev, BASE + 7 * PG, 7));
	EXPECT_TRUE(faults(&self->dev, BASE + 8 * PG));
	EXPECT_TRUE(faults(&self->dev, BASE + 15 * PG));
	EXPECT_TRUE(reads(&self->dev, BASE + 16 * PG, 16));
	/* a page without references can be unmapped */
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE + 32 * PG,
			      32 * PG, &removed));
	EXPECT_EQ(32 * PG, removed);
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, ROOT_BASE + PG, PG,
				   &removed));
	EXPECT_TRUE(reads(&self->dev, BASE, 0));
	EXPECT_TRUE(faults(&self->dev, BASE + PG));
	EXPECT_TRUE(reads(&self->dev, BASE + 2 * PG, 2));
}

/*
 * A mapping over several mappings of the parent is cut where one is unmapped.
 */
TEST_F(family, cascade_between_mappings)
{
	__u32 grandchild;
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE + i * PG,
				    self->mem + i * PG, PG));
	ASSERT_EQ(0, ia_map_full(self->fd, self->child, IA_RW_FIXED,
				 &(__u64){ BASE }, ROOT_BASE, 4 * PG, PG, 0, 0,
				 NULL));
	/* and over several mappings of a child, from different places */
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE + 4 * PG, ROOT_BASE,
				PG, IA_RW));
	ASSERT_EQ(0, ia_child(self->fd, self->child, PG, &grandchild));
	ASSERT_EQ(0, ia_map_ref(self->fd, grandchild, 2 * BASE, BASE, 5 * PG,
				IA_RW));
	self->at.id = grandchild;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));

	EXPECT_EQ(0, ia_unmap_cascade(self->fd, self->root, ROOT_BASE + PG, PG));
	EXPECT_TRUE(reads(&self->dev, 2 * BASE, 0));
	EXPECT_TRUE(faults(&self->dev, 2 * BASE + PG));
	EXPECT_TRUE(reads(&self->dev, 2 * BASE + 2 * PG, 2));
	EXPECT_TRUE(reads(&self->dev, 2 * BASE + 4 * PG, 0));
	EXPECT_EQ(2, info_of(self->fd, self->child).nr_mappings - 1);
	EXPECT_EQ(0, ia_unmap_cascade(self->fd, self->root, ROOT_BASE, PG));
	EXPECT_TRUE(faults(&self->dev, 2 * BASE));
	EXPECT_TRUE(reads(&self->dev, 2 * BASE + 2 * PG, 2));
	EXPECT_TRUE(reads(&self->dev, 2 * BASE + 3 * PG, 3));
	EXPECT_TRUE(faults(&self->dev, 2 * BASE + 4 * PG));
	/* all of it, as a whole */
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->child, IOASID_UNMAP_ALL |
				   IOASID_UNMAP_CASCADE, 0, 0, NULL));
	EXPECT_TRUE(faults(&self->dev, 2 * BASE + 2 * PG));
	EXPECT_EQ(0, info_of(self->fd, grandchild).nr_mappings);
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->root, NULL));
}

/* Off the grid of a grandchild, no page of the root is unmapped. */
TEST_F(family, grid_far_below)
{
	__u32 grandchild;

	ASSERT_EQ(0, ia_map_full(self->fd, self->root, IA_RW_FIXED,
				 &(__u64){ ROOT_BASE }, IA_PTR(self->mem),
				 8 * PG, PG, 0, 0, NULL));
	ASSERT_EQ(0, ia_map_full(self->fd, self->child, IA_RW_FIXED,
				 &(__u64){ BASE }, ROOT_BASE, 8 * PG, PG, 0, 0,
				 NULL));
	ASSERT_EQ(0, ia_child(self->fd, self->child, 0, &grandchild));
	ASSERT_EQ(0, ia_map_ref(self->fd, grandchild, BASE, BASE, 8 * PG,
				IA_RW));
	EXPECT_EQ(-EBUSY, ia_unmap_cascade(self->fd, self->root,
					   ROOT_BASE + 2 * PG, PG));
	EXPECT_EQ(8 * PG, info_of(self->fd, self->root).bytes_mapped);
	EXPECT_EQ(8 * PG, info_of(self->fd, self->child).bytes_mapped);
	EXPECT_EQ(8 * PG, info_of(self->fd, grandchild).bytes_mapped);
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, ROOT_BASE + 2 * PG, PG,
				   NULL));
	EXPECT_EQ(7 * PG, info_of(self->fd, grandchild).bytes_mapped);
}

/*
 * Memory that a poisoned child may still reach stays pinned by the root; other
 * children lose their mappings nevertheless.
 */
TEST_F(family, poisoned_child)
{
	long long pinned;
	__u32 other;
	__u64 left;

	/* The reference of the other child is older, and is found later. */
	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &other));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem, 8 * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, other, BASE, ROOT_BASE, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, 2 * BASE, ROOT_BASE, PG,
				IA_RW));
	pinned = ia_status("VmPin");
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_EQ(-EIO, ia_unmap_cascade(self->fd, self->root, ROOT_BASE,
					 8 * PG));
	EXPECT_TRUE(info_of(self->fd, self->child).state &
		    IOASID_STATE_POISONED);
	EXPECT_EQ(0, info_of(self->fd, other).bytes_mapped);
	EXPECT_EQ(8 * PG, info_of(self->fd, self->root).bytes_mapped);
	EXPECT_EQ(NULL, model_harm(&self->dev));
	/* Nor does a cut through quarantined memory loop for ever. */
	EXPECT_EQ(-EIO, ia_unmap_full(self->fd, self->root,
				      IOASID_UNMAP_CASCADE | IOASID_UNMAP_SPLIT,
				      ROOT_BASE + PG, PG, NULL));
	EXPECT_EQ(-EBUSY, ia_unmap_all(self->fd, self->root, NULL));
	EXPECT_EQ(0, ia_free_cascade(self->fd, self->root));
	EXPECT_EQ(NULL, model_harm(&self->dev));
	EXPECT_EQ(pinned, ia_status("VmPin"));
	EXPECT_EQ(0, ia_get_option(self->fd, IOASID_OPTION_LIMIT_PINNED, &left,
				   NULL));
	/*
	 * The domain's end releases the memory that it reached; the child's
	 * end, all.
	 */
	EXPECT_EQ(0, model_detach(&self->dev));
	EXPECT_EQ(0, ia_free(self->fd, self->child));
	EXPECT_EQ(0, ia_free(self->fd, other));
	EXPECT_EQ(0, ia_status("VmPin"));
}

/* A software device that does not unpin, and then does. */
TEST_F(family, pinned_by_software)
{
	__u32 devid, other;
	char buf[4];
	int dev;

	if (mock_load())
		SKIP(return, "no emulated devices");
	dev = mock_open(0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, hw_bind(dev, self->fd, 1, &devid));
	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &other));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem, 8 * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, other, BASE, ROOT_BASE, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, hw_attach(dev, self->child));
	ASSERT_EQ(0, mock_get(dev, IOASID_MOCK_READ, 0, BASE + PG, buf, 4));
	EXPECT_EQ(2, buf[0]);
	ASSERT_EQ(0, mock_pin(dev, BASE + PG, PG));
	ASSERT_EQ(0, mock_behave(dev, IOASID_MOCK_UNMAP_NEVER, 0));
	EXPECT_EQ(-EBUSY, ia_unmap_cascade(self->fd, self->root, ROOT_BASE,
					   8 * PG));
	/* Its own mapping stayed, and no other mapping did. */
	EXPECT_EQ(0, info_of(self->fd, other).bytes_mapped);
	EXPECT_EQ(8 * PG, info_of(self->fd, self->child).bytes_mapped);
	EXPECT_EQ(0, mock_get(dev, IOASID_MOCK_READ_PINNED, 0, BASE + PG, buf,
			      4));
	ASSERT_EQ(0, mock_behave(dev, IOASID_MOCK_UNMAP_NOW, 0));
	EXPECT_EQ(0, ia_unmap_cascade(self->fd, self->root, ROOT_BASE, 8 * PG));
	EXPECT_EQ(0, info_of(self->fd, self->child).bytes_mapped);

	/* The root is freed meanwhile, and its memory with the child. */
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem, 8 * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE, PG,
				IA_RW));
	ASSERT_EQ(0, mock_pin(dev, BASE, PG));
	ASSERT_EQ(0, mock_behave(dev, IOASID_MOCK_UNMAP_NEVER, 0));
	EXPECT_EQ(0, ia_free_cascade(self->fd, self->root));
	EXPECT_EQ(0, mock_get(dev, IOASID_MOCK_READ_PINNED, 0, BASE, buf, 4));
	EXPECT_LT(0, ia_status("VmPin"));
	ASSERT_EQ(0, mock_behave(dev, IOASID_MOCK_UNMAP_NOW, 0));
	ASSERT_EQ(0, hw_detach(dev, self->child));
	close(dev);
	EXPECT_EQ(0, ia_free(self->fd, other));
	EXPECT_EQ(0, ia_free(self->fd, self->child));
	EXPECT_EQ(0, ia_status("VmPin"));
}

/* Children cost no locked memory. */
TEST_F(family, costs_nothing)
{
	struct rlimit limit = { PAGES * PG, PAGES * PG };
	int status, i;
	pid_t pid;
	__u32 id;

	/*
	 * A file of its own: charged to the user, who has no other memory
	 * locked.
	 */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = ia_open(), rc;
		__u32 root;

		if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) ||
		    setresgid(60200, 60200, 60200) ||
		    setresuid(60200, 60200, 60200))
			_exit(2);
		rc = ia_alloc(fd, &root);
		if (!rc)
			rc = ia_map(fd, root, ROOT_BASE, self->mem, PAGES * PG);
		if (rc || ia_map(fd, root, 0, self->mem, PG) != -EDQUOT)
			_exit(3);
		for (i = 0; i < 100; i++) {
			rc = ia_child(fd, i % 3 ? id : root, 0, &id);
			if (rc)
				_exit(4);
			rc = ia_map_ref(fd, id, ROOT_BASE, ROOT_BASE,
					PAGES * PG, IA_RW);
			if (rc || info_of(fd, id).bytes_charged)
				_exit(5);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/*
 * A root of scattered pages, and random slices of it, mapped by children and
 * their children: each page must be the right one.
 */
TEST_F(family, scattered_slices)
{
	unsigned int pages = 2048, i, at, n, level, seed = 1;
	__u32 id[4] = { self->root, self->child };
	int file = memfd_create("family", MFD_CLOEXEC);
	__u64 *word;
	char *mem;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, pages * PG));
	mem = ia_mem(pages * PG);
	/* each page from another place of the file */
	for (i = 0; i < pages; i++)
		ASSERT_NE(MAP_FAILED,
			  mmap(mem + i * PG, PG, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, file,
			       (i * 1021ULL % pages) * PG));
	for (i = 0; i < pages; i++) {
		word = (__u64 *)(mem + i * PG);
		word[0] = 0xfeed000000000000 + i;
	}
	/* part in one mapping, part in many */
	ASSERT_EQ(0, ia_map(self->fd, self->root, 0, mem, pages / 2 * PG));
	for (i = pages / 2; i < pages; i += n) {
		n = 1 + rand_r(&seed) % 16;
		if (n > pages - i)
			n = pages - i;
		ASSERT_EQ(0, ia_map(self->fd, self->root, i * PG, mem + i * PG,
				    n * PG));
	}
	ASSERT_EQ(0, ia_child(self->fd, id[1], 0, &id[2]));
	ASSERT_EQ(0, ia_child(self->fd, id[2], 0, &id[3]));
	/* the same addresses in all of them, made of pieces */
	for (level = 1; level < 3; level++) {
		for (i = 0; i < pages; i += n) {
			n = 1 + rand_r(&seed) % 200;
			if (n > pages - i)
				n = pages - i;
			ASSERT_EQ(0, ia_map_ref(self->fd, id[level], i * PG,
						i * PG, n * PG, IA_RW));
		}
	}
	self->at.id = id[3];
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	for (i = 0; i < 200; i++) {
		at = rand_r(&seed) % pages;
		n = 1 + rand_r(&seed) % (pages - at);
		ASSERT_EQ(0, ia_map_ref(self->fd, id[3], BASE, at * PG, n * PG,
					IA_RW));
		for (level = 0; level < 4; level++) {
			unsigned int k = level ? rand_r(&seed) % n : n - 1;
			__u64 value = 0;

			ASSERT_EQ(0, model_get(&self->dev, BASE + k * PG,
					       &value, sizeof(value)));
			ASSERT_EQ(0xfeed000000000000 + at + k, value);
		}
		if (i % 4 == 0) {
			/* cut it, and check the rest */
			unsigned int k = rand_r(&seed) % n;
			__u64 value = 0;

			ASSERT_EQ(0, ia_unmap_full(self->fd, id[3],
						   IOASID_UNMAP_SPLIT,
						   BASE + k * PG, PG, NULL));
			if (k + 1 < n) {
				ASSERT_EQ(0, model_get(&self->dev, BASE +
						       (k + 1) * PG, &value,
						       sizeof(value)));
				ASSERT_EQ(0xfeed000000000000 + at + k + 1,
					  value);
			}
			ASSERT_TRUE(faults(&self->dev, BASE + k * PG));
		}
		ASSERT_EQ(0, ia_unmap_all(self->fd, id[3], NULL));
		/* a hole through all levels, that is closed again */
		if (i % 20 == 0) {
			at = rand_r(&seed) % pages;
			ASSERT_EQ(0, ia_unmap_full(self->fd, self->root,
						   IOASID_UNMAP_CASCADE |
						   IOASID_UNMAP_SPLIT, at * PG,
						   PG, NULL));
			ASSERT_EQ(-ENXIO, ia_map_ref(self->fd, id[3], BASE,
						     at * PG, PG, IA_RW));
			ASSERT_EQ(0, ia_map(self->fd, self->root, at * PG,
					    mem + at * PG, PG));
			for (level = 1; level < 3; level++)
				ASSERT_EQ(0, ia_map_ref(self->fd, id[level],
							at * PG, at * PG, PG,
							IA_RW));
		}
	}
	close(file);
}

TEST_F(family, many_children)
{
	unsigned int i, nr = ia_slow_kernel() ? 10000 : 100000;
	__u32 id, first = 0;

	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    PAGES * PG));
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &id));
		ASSERT_EQ(0, ia_map_ref(self->fd, id, BASE,
					ROOT_BASE + i % PAGES * PG, PG, IA_RW));
		if (!first)
			first = id;
	}
	EXPECT_EQ(nr + 1, info_of(self->fd, self->root).nr_children);
	self->at.id = first + 7;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	EXPECT_TRUE(reads(&self->dev, BASE, 7));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT_BASE, PAGES * PG,
				   NULL));
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, ROOT_BASE + 3 * PG,
				   5 * PG, NULL));
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_EQ(1, info_of(self->fd, first + 8).nr_mappings);
	EXPECT_EQ(0, ia_free_cascade(self->fd, self->root));
	EXPECT_EQ(0, info_of(self->fd, first + 8).nr_mappings);
	EXPECT_EQ(0, ia_status("VmPin"));
}

/* The process that has the file last is not the one that made it. */
TEST_F(family, fork_and_close)
{
	int status, pipes[2];
	__u32 id;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem, 8 * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, ia_child(self->fd, self->child, 0, &id));
	ASSERT_EQ(0, ia_map_ref(self->fd, id, BASE, BASE + PG, PG, IA_RW));
	self->at.id = id;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(pipes[1]);
		read(pipes[0], &byte, 1);
		/*
		 * Memory of this process is mapped from addresses of another
		 * process.
		 */
		_exit(!reads(&self->dev, BASE, 1) ||
		      ia_map_ref(self->fd, id, 2 * BASE, BASE, PG, IA_RW) ||
		      ia_unmap_cascade(self->fd, self->root, ROOT_BASE,
				       8 * PG) ||
		      !faults(&self->dev, BASE));
	}
	close(pipes[0]);
	close(pipes[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, info_of(self->fd, id).nr_mappings);
}

/* Closed with everything in it, and in use. */
TEST_F(family, close_under_way)
{
	__u32 id[4];
	int i, k;

	for (k = 0; k < 50; k++) {
		int fd = ia_open();

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ia_alloc(fd, &id[0]));
		ASSERT_EQ(0, ia_map(fd, id[0], 0, self->mem, PAGES * PG));
		for (i = 1; i < 4; i++) {
			ASSERT_EQ(0, ia_child(fd, id[i - 1], 0, &id[i]));
			ASSERT_EQ(0, ia_map_ref(fd, id[i], 0, 0, PAGES * PG,
						IA_RW));
			ASSERT_EQ(0, ia_reserve(fd, id[i], BASE, PG));
		}
		/* orphans, and parents whose parent is gone */
		if (k % 2)
			ASSERT_EQ(0, ia_free_cascade(fd, id[k % 3]));
		close(fd);
		ASSERT_EQ(0, ia_status("VmPin"));
	}
}

TEST_HARNESS_MAIN
