// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changing what others use, by IOASID_MAP_PROTECT and IOASID_MAP_REPLACE: mappings
 * to which children refer, and pages that the driver of an emulated device pins.
 */
#include "ioasid_test.h"
#include "change.h"
#include "mock.h"
#include "state.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)

/* --- children --- */

FIXTURE(change_child)
{
	struct model model;
	struct model_device dev;
	struct model_space at;
	int fd;
	__u32 root;
	__u32 child;
	char *mem;
};

#define ROOT SZ_1G

FIXTURE_SETUP(change_child)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
	};
	int i, rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	self->mem = ia_mem(32 * PG);
	ASSERT_NE(NULL, self->mem);
	for (i = 0; i < 32; i++)
		memset(self->mem + i * PG, i + 1, PG);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
	alloc.parent = self->root;
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	self->child = alloc.ioasid;
	ASSERT_EQ(0, map_cut(self->fd, self->root, ROOT, self->mem, 16 * PG,
			     PG));
	ASSERT_EQ(0, map_cut(self->fd, self->root, ROOT + 16 * PG,
			     self->mem + 16 * PG, 16 * PG, PG));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	self->at = (struct model_space) {
		.model = &self->model, .id = self->child, .container = -1,
	};
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
}

FIXTURE_TEARDOWN(change_child)
{
	if (self->fd <= 0)
		return;
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
}

#define PARENT(page) ((void *)(uintptr_t)(ROOT + (page) * PG))

TEST_F(change_child, protect)
{
	ASSERT_EQ(0, map_cut(self->fd, self->child, BASE, PARENT(14), 4 * PG,
			     PG));
	/* narrowed in the child, not in the parent */
	ASSERT_EQ(0, protect(self->fd, self->child, BASE + PG, 2 * PG,
			     IOASID_MAP_READ));
	EXPECT_TRUE(can_read(&self->dev, BASE + PG, 16));
	EXPECT_TRUE(can_read(&self->dev, BASE + 2 * PG, 17));
	EXPECT_FALSE(can_write(&self->dev, BASE + PG, 1));
	EXPECT_TRUE(can_write(&self->dev, BASE, 15));
	EXPECT_EQ(-EBUSY, protect(self->fd, self->root, ROOT, 16 * PG,
				  IOASID_MAP_READ));
	EXPECT_EQ(-EBUSY, protect(self->fd, self->root, ROOT + 17 * PG, PG,
				  IOASID_MAP_READ));
	EXPECT_EQ(-EBUSY, replace(self->fd, self->root, ROOT, self->mem + PG,
				  16 * PG, IA_RW, PG));
	ASSERT_EQ(0, protect(self->fd, self->root, ROOT, 14 * PG,
			     IOASID_MAP_READ));
	ASSERT_EQ(0, protect(self->fd, self->child, BASE, 4 * PG, IA_RW));
	EXPECT_TRUE(can_write(&self->dev, BASE + PG, 1));
	EXPECT_EQ(1, self->mem[15 * PG]);
	/* no more permission than the parent */
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->child, NULL));
	fault = BASE;
	ASSERT_EQ(0, ia_map_full(self->fd, self->child,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &fault,
				 ROOT + 12 * PG, 4 * PG, PG, 0, 0, NULL));
	EXPECT_EQ(-EACCES, protect(self->fd, self->child, BASE, 4 * PG, IA_RW));
	EXPECT_EQ(ROOT + 12 * PG, fault);
	EXPECT_EQ(0, protect(self->fd, self->child, BASE + 2 * PG, 2 * PG,
			     IA_RW));
	/* widened under a child, where the pages stay the same */
	ASSERT_EQ(0, protect(self->fd, self->root, ROOT, 14 * PG, IA_RW));
	EXPECT_EQ(0, protect(self->fd, self->child, BASE, 4 * PG, IA_RW));
	EXPECT_TRUE(can_write(&self->dev, BASE, 99));
	EXPECT_EQ(99, self->mem[12 * PG]);
}

TEST_F(change_child, replace)
{
	struct ioasid_info info;
	int n;

	ASSERT_EQ(0, map_cut(self->fd, self->child, BASE, PARENT(0), 32 * PG,
			     PG));
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, BASE, 1, 4,
				  1));
	ASSERT_EQ(0, model_hammer(&self->dev, 2, IOASID_MODEL_FILL,
				  BASE + 20 * PG, 1, 12, 1));
	for (n = 0; n < 10; n++) {
		ASSERT_EQ(0, replace(self->fd, self->child, BASE + 4 * PG,
				     PARENT(0), 16 * PG, IA_RW, PG));
		ASSERT_EQ(0, model_fill(&self->dev, BASE + 8 * PG, n, 8));
		EXPECT_TRUE(model_pattern_holds(self->mem + 4 * PG, n,
						BASE + 8 * PG, 8 * PG));
		ASSERT_EQ(0, replace(self->fd, self->child, BASE, PARENT(0),
				     32 * PG, IA_RW, PG));
		ASSERT_EQ(0, model_fill(&self->dev, BASE + 4 * PG, n + 50, 8));
		EXPECT_TRUE(model_pattern_holds(self->mem + 4 * PG, n + 50,
						BASE + 4 * PG, 8 * PG));
	}
	EXPECT_EQ(0, hammer_stop(&self->dev, 1));
	EXPECT_EQ(0, hammer_stop(&self->dev, 2));
	EXPECT_EQ(-ENXIO, replace(self->fd, self->child, BASE, PARENT(24),
				  16 * PG, IA_RW, PG));
	EXPECT_EQ(ROOT + 32 * PG, fault);
	ASSERT_EQ(0, model_fill(&self->dev, BASE, 2, 32));
	EXPECT_TRUE(model_pattern_holds(self->mem, 2, BASE, 32 * PG));
	ASSERT_EQ(0, ia_info(self->fd, self->child, &info));
	EXPECT_EQ(1, info.nr_mappings);
	EXPECT_EQ(32 * PG, info.bytes_mapped);
	/* pages without references can be unmapped, the others cannot */
	ASSERT_EQ(0, replace(self->fd, self->child, BASE, PARENT(16), 16 * PG,
			     IA_RW, PG));
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, ROOT, 16 * PG, NULL));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT + 16 * PG,
				   16 * PG, NULL));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE,
				   ROOT + 16 * PG, 16 * PG, NULL));
	EXPECT_FALSE(can_read(&self->dev, BASE, 1));
}

/*
 * The same memory, under a child: nothing is touched. Anything else is refused,
 * with the first IOVA to which a child refers.
 */
TEST_F(change_child, replace_same)
{
	struct ia_state before, after;
	char *other = ia_mem(16 * PG);
	const char *diff;

	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, map_cut(self->fd, self->child, BASE, PARENT(12), 8 * PG,
			     PG));
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, BASE, 1, 8,
				  1));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	/* all of a mapping, parts, and across an edge that the child spans */
	EXPECT_EQ(0, replace(self->fd, self->root, ROOT, self->mem, 16 * PG,
			     IA_RW, PG));
	EXPECT_EQ(0, replace(self->fd, self->root, ROOT + 13 * PG,
			     self->mem + 13 * PG, PG, IA_RW, PG));
	EXPECT_EQ(0, replace(self->fd, self->root, ROOT + 14 * PG,
			     self->mem + 14 * PG, 6 * PG, IA_RW, PG));
	EXPECT_EQ(0, replace(self->fd, self->root, ROOT, self->mem, 32 * PG,
			     IA_RW, PG));
	/* less permission, another grid, other pages at its end or beyond */
	EXPECT_EQ(-EBUSY, replace(self->fd, self->root, ROOT, self->mem,
				  16 * PG, IOASID_MAP_READ, PG));
	EXPECT_EQ(ROOT, fault);
	EXPECT_EQ(-EBUSY, replace(self->fd, self->root, ROOT, self->mem,
				  16 * PG, IA_RW, 2 * PG));
	EXPECT_EQ(-EBUSY, replace(self->fd, self->root, ROOT + 12 * PG,
				  self->mem + 13 * PG, 4 * PG, IA_RW, PG));
	EXPECT_EQ(ROOT + 12 * PG, fault);
	EXPECT_EQ(-EBUSY, replace(self->fd, self->root, ROOT + 18 * PG, other,
				  4 * PG, IA_RW, PG));
	EXPECT_EQ(-EBUSY, replace(self->fd, self->root, ROOT, self->mem,
				  33 * PG, IA_RW, PG));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
	EXPECT_EQ(0, hammer_stop(&self->dev, 1));
	/* the address holds other pages now */
	ASSERT_EQ(self->mem + 14 * PG, mmap(self->mem + 14 * PG, PG,
					    PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS |
					    MAP_FIXED, -1, 0));
	EXPECT_EQ(-EBUSY, replace(self->fd, self->root, ROOT, self->mem,
				  16 * PG, IA_RW, PG));
	/* no child refers to these */
	EXPECT_EQ(0, replace(self->fd, self->root, ROOT + 20 * PG, other,
			     4 * PG, IA_RW, PG));
}

/* --- software devices --- */

TEST(change_software)
{
	struct ioasid_query_entry e[4];
	__u32 id, devid;
	int fd, dev;
	char *mem;

	fd = ia_open();
	if (fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	if (mock_load())
		SKIP(return, "no emulated devices");
	dev = mock_open(0);
	if (dev < 0)
		SKIP(return, "no emulated devices");
	mem = ia_mem(16 * PG);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ia_alloc(fd, &id));
	ASSERT_EQ(0, hw_bind(dev, fd, 1, &devid));
	ASSERT_EQ(0, hw_attach(dev, id));
	ASSERT_EQ(0, map_cut(fd, id, BASE, mem, 8 * PG, PG));
	ASSERT_EQ(0, mock_pin(dev, BASE + 2 * PG, 2 * PG));
	EXPECT_EQ(2, mock_status(dev).pins);
	/* no page is lost: the driver is not asked to unpin */
	ASSERT_EQ(0, protect(fd, id, BASE, 8 * PG, IA_RW));
	EXPECT_EQ(2, mock_status(dev).pins);
	ASSERT_EQ(0, protect(fd, id, BASE, 8 * PG, IOASID_MAP_READ));
	EXPECT_EQ(0, mock_status(dev).pins);
	EXPECT_GT(0, mock_pin(dev, BASE + 2 * PG, PG));
	ASSERT_EQ(0, protect(fd, id, BASE, 8 * PG, IA_RW));
	ASSERT_EQ(0, mock_pin(dev, BASE + 2 * PG, 2 * PG));
	ASSERT_EQ(0, replace(fd, id, BASE + 3 * PG, mem + 8 * PG, PG, IA_RW,
			     PG));
	EXPECT_EQ(0, mock_status(dev).pins);
	/* a driver that does not unpin keeps the mapping as it is */
	ASSERT_EQ(0, mock_pin(dev, BASE + 3 * PG, PG));
	ASSERT_EQ(0, mock_behave(dev, IOASID_MOCK_UNMAP_NEVER, 0));
	EXPECT_EQ(-EBUSY, replace(fd, id, BASE, mem, 8 * PG, IA_RW, PG));
	EXPECT_EQ(1, mock_status(dev).pins);
	EXPECT_EQ(3, mappings(fd, id, e, 4));
	ASSERT_EQ(0, mock_unpin(dev, BASE + 3 * PG, PG));
	ASSERT_EQ(0, mock_behave(dev, IOASID_MOCK_UNMAP_NOW, 0));
	ASSERT_EQ(0, replace(fd, id, BASE, mem, 8 * PG, IA_RW, PG));
	close(dev);
	close(fd);
}

TEST_HARNESS_MAIN
