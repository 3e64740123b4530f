// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping by reference: IOASIDs whose mappings name addresses of a parent.
 *
 * What devices reach is seen by the DMA of a model device that is attached to
 * the child; that its root pins and charges, and nobody else, by the counters
 * of the process.
 */
#include "model.h"

#define PG page_size
#define ROOT_BASE SZ_1G
#define BASE (4ULL * SZ_1G)
#define PAGES 64

static int alloc_child(int fd, __u32 parent, __u64 cut_size, __u32 *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_MAP,
		.parent = parent,
		.cut_size = cut_size,
	};
	int rc = ia_cmd(fd, IOASID_ALLOC, &cmd);

	*id = cmd.ioasid;
	return rc;
}

static int free_flags(int fd, __u32 id, __u32 flags)
{
	struct ioasid_free cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
	};

	return ia_cmd(fd, IOASID_FREE, &cmd);
}

/* Where it failed, if it did. */
static __u64 fault;

/* At a fixed address; @addr is one of the parent. */
static int map_ref(int fd, __u32 id, __u64 iova, __u64 addr, __u64 length,
		   __u32 permission)
{
	fault = ~0ULL;
	return ia_map_full(fd, id, permission | IOASID_MAP_FIXED, &iova, addr,
			   length, 0, 0, 0, &fault);
}

static struct ioasid_info info_of(int fd, __u32 id)
{
	struct ioasid_info info;

	if (ia_info(fd, id, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

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
	int i, rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	self->mem = ia_mem(PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	for (i = 0; i < PAGES; i++)
		memset(self->mem + i * PG, i + 1, PG);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
	ASSERT_EQ(0, alloc_child(self->fd, self->root, 0, &self->child));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	self->at = (struct model_space) {
		.model = &self->model, .id = self->child, .container = -1,
	};
}

FIXTURE_TEARDOWN(family)
{
	if (self->fd <= 0)
		return;
	EXPECT_NO_HARM(&self->dev);
	model_release(&self->dev);
	EXPECT_EQ(0, model_unplug(&self->dev, 0));
	model_close(&self->model);
}

/* Does the device read the page of this number? */
static bool reads(struct model_device *dev, __u64 iova, int number)
{
	unsigned char buf[16];
	size_t i;

	if (model_get(dev, iova, buf, sizeof(buf)))
		return false;
	for (i = 0; i < sizeof(buf); i++)
		if (buf[i] != number + 1)
			return false;
	return true;
}

static bool faults(struct model_device *dev, __u64 iova)
{
	unsigned char buf[16];

	return model_get(dev, iova, buf, sizeof(buf)) > 0;
}

TEST_F(family, map_and_reach)
{
	struct ioasid_info info;

	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    PAGES * PG));
	ASSERT_EQ(0, map_ref(self->fd, self->child, BASE, ROOT_BASE + 5 * PG,
			     2 * PG, IA_RW));
	/* before the device comes, and after */
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, map_ref(self->fd, self->child, BASE + 8 * PG,
			     ROOT_BASE + 20 * PG, PG, IOASID_MAP_READ));
	EXPECT_TRUE(reads(&self->dev, BASE, 5));
	EXPECT_TRUE(reads(&self->dev, BASE + PG, 6));
	EXPECT_TRUE(reads(&self->dev, BASE + 8 * PG, 20));
	EXPECT_TRUE(faults(&self->dev, BASE + 2 * PG));
	/* the root's own addresses mean nothing to it */
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

/* One mapping over many of the parent's */
TEST_F(family, spans_many)
{
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE + i * PG,
				    self->mem + (7 - i) * PG, PG));
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, map_ref(self->fd, self->child, BASE, ROOT_BASE + PG,
			     6 * PG, IA_RW));
	for (i = 0; i < 6; i++)
		EXPECT_TRUE(reads(&self->dev, BASE + i * PG, 6 - i));
	EXPECT_EQ(1, info_of(self->fd, self->child).nr_mappings);

	/* held: each of them but the ones it does not reach */
	for (i = 1; i < 7; i++)
		EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root,
					   ROOT_BASE + i * PG, PG, NULL));
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE, PG, NULL));
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE + 7 * PG, PG,
			      NULL));

	/* cut where the parent is, and each half keeps its own */
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

TEST_F(family, holes_and_permissions)
{
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem, 4 * PG));
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, ROOT_BASE + 4 * PG, PG));
	__u64 iova = ROOT_BASE + 5 * PG;

	ASSERT_EQ(0, ia_map_full(self->fd, self->root, IOASID_MAP_READ |
				 IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->mem + 5 * PG), PG, 0, 0, 0, NULL));

	EXPECT_EQ(-ENXIO, map_ref(self->fd, self->child, BASE, 0, PG, IA_RW));
	EXPECT_EQ(0, fault);
	EXPECT_EQ(-ENXIO, map_ref(self->fd, self->child, BASE,
				  ROOT_BASE + 2 * PG, 3 * PG, IA_RW));
	EXPECT_EQ(ROOT_BASE + 4 * PG, fault);
	EXPECT_EQ(-ENXIO, map_ref(self->fd, self->child, BASE, ROOT_BASE - PG,
				  2 * PG, IA_RW));
	EXPECT_EQ(ROOT_BASE - PG, fault);
	EXPECT_EQ(-EACCES, map_ref(self->fd, self->child, BASE,
				   ROOT_BASE + 5 * PG, PG, IA_RW));
	EXPECT_EQ(ROOT_BASE + 5 * PG, fault);
	EXPECT_EQ(0, map_ref(self->fd, self->child, BASE, ROOT_BASE + 5 * PG,
			     PG, IOASID_MAP_READ));
	EXPECT_EQ(-EEXIST, map_ref(self->fd, self->child, BASE, ROOT_BASE, PG,
				   IA_RW));
	EXPECT_EQ(BASE, fault);
	EXPECT_EQ(-EINVAL, map_ref(self->fd, self->child, BASE + PG, ROOT_BASE,
				   PG, IA_RW | IOASID_MAP_FILE));
	/* nothing is left of what failed */
	EXPECT_EQ(1, info_of(self->fd, self->child).nr_mappings);
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT_BASE, 4 * PG, NULL));
}

TEST_F(family, depth)
{
	__u32 id[4] = { self->root, self->child };
	int i, max = ia_check(self->fd, IOASID_EXT_MAX_DEPTH);

	ASSERT_EQ(4, max);
	ASSERT_EQ(0, alloc_child(self->fd, id[1], 0, &id[2]));
	ASSERT_EQ(0, alloc_child(self->fd, id[2], 0, &id[3]));
	EXPECT_EQ(-ELOOP, alloc_child(self->fd, id[3], 0, &id[0]));
	id[0] = self->root;

	ASSERT_EQ(0, ia_map(self->fd, id[0], 0, self->mem, PAGES * PG));
	for (i = 1; i < 4; i++)
		ASSERT_EQ(0, map_ref(self->fd, id[i], i * BASE,
				     (i - 1) * BASE + PG, (33 - i) * PG, IA_RW));
	self->at.id = id[3];
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	EXPECT_TRUE(reads(&self->dev, 3 * BASE, 3));
	EXPECT_TRUE(reads(&self->dev, 3 * BASE + 29 * PG, 32));

	/* parents cannot go, nor what is mapped from them */
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
	/* the orphans stay, but get nothing more */
	ASSERT_EQ(0, free_flags(self->fd, id[0], IOASID_FREE_CASCADE));
	EXPECT_TRUE(faults(&self->dev, 3 * BASE + 9 * PG));
	EXPECT_EQ(-ENODEV, map_ref(self->fd, id[1], BASE, 0, PG, IA_RW));
	EXPECT_TRUE(info_of(self->fd, id[1]).state & IOASID_STATE_ORPHAN);
	EXPECT_EQ(-ENXIO, map_ref(self->fd, id[2], BASE, 0, PG, IA_RW));
}

TEST_F(family, cascade_on_the_grid)
{
	__u64 removed;
	__u32 coarse;

	ASSERT_EQ(0, alloc_child(self->fd, self->root, 8 * PG, &coarse));
	ASSERT_EQ(0, ia_map_full(self->fd, self->root, IA_RW | IOASID_MAP_FIXED,
				 &(__u64){ ROOT_BASE }, IA_PTR(self->mem),
				 PAGES * PG, PG, 0, 0, NULL));
	ASSERT_EQ(0, map_ref(self->fd, coarse, BASE, ROOT_BASE, 32 * PG, IA_RW));
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
	/* what nobody refers to goes without */
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

TEST_HARNESS_MAIN
