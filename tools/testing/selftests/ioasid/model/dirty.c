// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_SET_DIRTY, IOASID_GET_DIRTY and IOASID_UNMAP_DIRTY: a page that a device
 * wrote is told, once, in the addresses of the root, whichever IOASID the device
 * is attached to; and no bit is lost with a bitmap that cannot be written.
 */
#include <linux/memfd.h>
#include <pthread.h>
#include <signal.h>

#include "ioasid_test.h"
#include "dirty.h"
#include "family.h"
#include "fault.h"
#include "mock.h"
#include "pasid.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES DIRTY_PAGES
#define CHILD_BASE (8ULL * SZ_1G)

FIXTURE(dirty)
{
	struct model model;
	struct model_space root;
	struct model_space child;
	struct model_device dev;
	char *mem;
	__u64 bits[DIRTY_WORDS];
};

FIXTURE_VARIANT(dirty)
{
	__u32 model;		/* flags of struct model_params */
	bool exact;
	bool protects;		/* exact in what removes IOPTEs of a root, too */
};

FIXTURE_VARIANT_ADD(dirty, exact)
{
	.model = MODEL_DIRTY,
	.exact = true,
};

FIXTURE_VARIANT_ADD(dirty, protect)
{
	.model = MODEL_DIRTY | MODEL_PROTECT,
	.exact = true,
	.protects = true,
};

FIXTURE_VARIANT_ADD(dirty, ats)
{
	.model = MODEL_DIRTY | MODEL_PROTECT | MODEL_ATS,
	.exact = true,
	.protects = true,
};

FIXTURE_VARIANT_ADD(dirty, coarse) {};

FIXTURE_SETUP(dirty)
{
	struct model_params params = {
		.page_sizes = 1ULL << 12, .flags = variant->model,
	};
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	if (ia_check(self->model.ctx, IOASID_EXT_DIRTY) <= 0)
		SKIP(return, "no dirty tracking");
	self->mem = mmap(NULL, PAGES * PG, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &self->root, 0, PG));
	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &self->child, self->root.id, 0));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, &params, 0));
	ASSERT_EQ(0, model_map(&self->root, BASE, self->mem, PAGES * PG,
			       MODEL_RW));
}

FIXTURE_TEARDOWN(dirty)
{
	if (self->model.ctx <= 0)
		return;
	if (self->dev.model)
		MODEL_REMOVE(&self->dev);
	model_close(&self->model);
	if (self->mem && self->mem != MAP_FAILED)
		munmap(self->mem, PAGES * PG);
}

#define START(id) ia_set_dirty(self->model.ctx, id, IOASID_SET_DIRTY_ON |	\
			    IOASID_SET_DIRTY_COARSE)

#define GET(pages) ia_get_dirty(self->model.ctx, self->root.id, 0, BASE, pages, \
			     self->bits, &cmd)

#define EXACT(really) ((really) ? IOASID_DIRTY_EXACT : 0)

/* Only the pages of @wrote and @last, or with coarse page tables all */
static void expect_pages(struct __test_metadata *_metadata, const __u64 *bits,
			 bool exact, __u32 told, unsigned int wrote,
			 unsigned int last)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(!exact || i == wrote || i == last,
			  dirty_has(bits, i))
			TH_LOG("page %u", i);
	EXPECT_EQ(EXACT(exact), told);
}

static int put(struct model_device *dev, __u64 base, unsigned int page)
{
	return model_put(dev, base + page * PG, "x", 1);
}

TEST_F(dirty, root)
{
	struct ioasid_get_dirty cmd;
	int ctx = self->model.ctx;
	__u32 id = self->root.id;

	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	/* What was written before does not count */
	ASSERT_EQ(0, put(&self->dev, BASE, 9));
	if (!variant->exact)
		EXPECT_EQ(-EOPNOTSUPP, ia_set_dirty(ctx, id, IOASID_SET_DIRTY_ON));
	EXPECT_FALSE(info_of(ctx, id).state & IOASID_STATE_TRACKING);
	ASSERT_EQ(0, START(id));
	EXPECT_TRUE(info_of(ctx, id).state & IOASID_STATE_TRACKING);
	EXPECT_EQ(-EEXIST, ia_set_dirty(ctx, id, IOASID_SET_DIRTY_ON));
	ASSERT_EQ(0, put(&self->dev, BASE, 3));
	ASSERT_EQ(0, put(&self->dev, BASE, 1023));
	ASSERT_EQ(0, ia_get_dirty(ctx, id, IOASID_GET_DIRTY_NO_CLEAR, BASE, PAGES,
				  self->bits, &cmd));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 3, 1023);
	EXPECT_EQ(variant->exact ? 2 : PAGES, cmd.nr_dirty);
	memset(self->bits, 0xa5, sizeof(self->bits));
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 3, 1023);
	EXPECT_EQ(0, cmd.next);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(variant->exact ? 0 : PAGES, cmd.nr_dirty);
	/* Dirty bits were cleared in TLBs as well */
	ASSERT_EQ(0, put(&self->dev, BASE, 3));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 3));

	/* A domain that goes leaves its bits in the log */
	ASSERT_EQ(0, put(&self->dev, BASE, 5));
	ASSERT_EQ(0, model_detach(&self->dev));
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 5, 5);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(0, cmd.nr_dirty);
	ASSERT_EQ(0, ia_set_dirty(ctx, id, IOASID_SET_DIRTY_OFF));
	EXPECT_EQ(-ENOENT, ia_set_dirty(ctx, id, IOASID_SET_DIRTY_OFF));
	EXPECT_EQ(-ENOENT, GET(PAGES));
}

/* A part of the range, with bits of larger blocks, not aligned to them */
TEST_F(dirty, blocks)
{
	struct ioasid_get_dirty cmd = {
		.argsz = sizeof(cmd),
		.ioasid = self->root.id,
		.iova = BASE + 5 * PG,
		.length = 200 * PG,
		.page_size = 8 * PG,
		.bitmap = (unsigned long)self->bits,
	};
	__u64 after;

	if (!variant->exact)
		SKIP(return, "all is told");
	ASSERT_EQ(0, START(self->root.id));
	/* It attaches when writes are logged already */
	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, put(&self->dev, BASE, 4));
	ASSERT_EQ(0, put(&self->dev, BASE, 7));
	ASSERT_EQ(0, put(&self->dev, BASE, 8));
	ASSERT_EQ(0, put(&self->dev, BASE, 204));
	ASSERT_EQ(0, put(&self->dev, BASE, 205));
	memset(self->bits, 0xa5, sizeof(self->bits));
	after = self->bits[1];
	ASSERT_EQ(0, ia_cmd(self->model.ctx, IOASID_GET_DIRTY, &cmd));
	EXPECT_EQ(1ULL | 1ULL << 1 | 1ULL << 25, self->bits[0]);
	EXPECT_EQ(after, self->bits[1]);
	EXPECT_EQ(3, cmd.nr_dirty);
	EXPECT_EQ(IOASID_DIRTY_EXACT, cmd.told);
	/* What lies outside of the range is still there */
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, true, cmd.told, 4, 205);
}

TEST_F(dirty, child)
{
	int ctx = self->model.ctx;
	struct ioasid_get_dirty cmd;
	__u64 unmapped;

	ASSERT_EQ(0, model_attach(&self->dev, &self->child));
	ASSERT_EQ(0, ia_map_ref(ctx, self->child.id, CHILD_BASE, BASE + 16 * PG,
				64 * PG, IA_RW));
	ASSERT_EQ(0, ia_set_dirty(ctx, self->root.id, IOASID_SET_DIRTY_ON));
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 1));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 17));
	EXPECT_EQ(variant->exact ? 1 : 64, cmd.nr_dirty);
	EXPECT_EQ(EXACT(variant->exact), cmd.told);

	/* All that the child could write, once its mapping has gone */
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 2));
	ASSERT_EQ(0, ia_unmap(ctx, self->child.id, CHILD_BASE, 64 * PG,
			      &unmapped));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 18));
	EXPECT_EQ(64, cmd.nr_dirty);
	EXPECT_EQ(0, cmd.told);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(0, cmd.nr_dirty);
	EXPECT_EQ(IOASID_DIRTY_EXACT, cmd.told);

	/* What it could only read was not written */
	ASSERT_EQ(0, ia_map_ref(ctx, self->child.id, CHILD_BASE, BASE, 8 * PG,
				IOASID_MAP_READ));
	ASSERT_EQ(0, ia_unmap(ctx, self->child.id, CHILD_BASE, 8 * PG,
			      &unmapped));
	/* Nor what no device could, as it has none */
	ASSERT_EQ(0, model_detach(&self->dev));
	ASSERT_EQ(0, ia_map_ref(ctx, self->child.id, CHILD_BASE, BASE, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, ia_unmap(ctx, self->child.id, CHILD_BASE, 8 * PG,
			      &unmapped));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(0, cmd.nr_dirty);
	EXPECT_EQ(-EOPNOTSUPP, START(self->child.id));
	EXPECT_EQ(-EOPNOTSUPP, ia_get_dirty(ctx, self->child.id, 0, CHILD_BASE, 8,
					    self->bits, &cmd));
}

/* A child of a child, in a batch, and a device that leaves a child */
TEST_F(dirty, grandchild)
{
	struct ioasid_dma_op op = {
		.op = IOASID_DMA_OP_UNMAP,
		.iova = CHILD_BASE,
		.length = 8 * PG,
	};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ops = IA_PTR(&op),
		.nr = 1,
	};
	int ctx = self->model.ctx;
	struct ioasid_get_dirty cmd;
	struct model_space below;

	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &below, self->child.id, 0));
	batch.ioasid = below.id;
	ASSERT_EQ(0, START(self->root.id));
	ASSERT_EQ(0, ia_map_ref(ctx, self->child.id, CHILD_BASE, BASE + 16 * PG,
				64 * PG, IA_RW));
	ASSERT_EQ(0, ia_map_ref(ctx, below.id, CHILD_BASE, CHILD_BASE + 8 * PG,
				8 * PG, IA_RW));
	ASSERT_EQ(0, model_attach(&self->dev, &below));
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 1));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 25));
	EXPECT_EQ(variant->exact ? 1 : 8, cmd.nr_dirty);
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 2));
	ASSERT_EQ(0, ia_cmd(ctx, IOASID_DMA_BATCH, &batch));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 26));
	EXPECT_EQ(8, cmd.nr_dirty);
	ASSERT_EQ(0, ia_map_ref(ctx, below.id, CHILD_BASE, CHILD_BASE + 8 * PG,
				8 * PG, IA_RW));
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 3));
	/* To another IOASID, and what it left is unmapped */
	ASSERT_EQ(0, model_attach(&self->dev, &self->child));
	ASSERT_EQ(0, ia_cmd(ctx, IOASID_DMA_BATCH, &batch));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 27));
	EXPECT_EQ(variant->exact ? 1 : 64, cmd.nr_dirty);
	EXPECT_EQ(EXACT(variant->exact), cmd.told);
}

TEST_F(dirty, import)
{
	struct model other = {};
	struct model_device dev = {};
	struct model_params params = {
		.page_sizes = 1ULL << 12, .flags = variant->model,
	};
	int ctx = self->model.ctx, export;
	struct ioasid_get_dirty cmd;
	struct model_space space;
	__u32 import;

	ASSERT_EQ(0, model_open(&other, MODEL_IOASID));
	ASSERT_EQ(0, model_plug(&other, &dev, &params, 0));
	ASSERT_EQ(0, ia_export(ctx, self->root.id, EXPORT_RW, BASE + 32 * PG,
			       32 * PG, ~0ULL, &export));
	ASSERT_EQ(0, ia_import(other.ctx, export, 0, &import));
	ASSERT_EQ(0, ia_alloc_dirty(&other, &space, import, 0));
	ASSERT_EQ(0, ia_map_ref(other.ctx, space.id, BASE, 16 * PG, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, model_attach(&dev, &space));
	ASSERT_EQ(0, START(self->root.id));
	ASSERT_EQ(0, put(&dev, BASE, 1));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 49));
	EXPECT_EQ(variant->exact ? 1 : 8, cmd.nr_dirty);
	EXPECT_EQ(EXACT(variant->exact), cmd.told);
	ASSERT_EQ(0, put(&dev, BASE, 2));
	/* The other context goes, and its device with it */
	MODEL_REMOVE(&dev);
	model_close(&other);
	close(export);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 50));
	EXPECT_GE(8, cmd.nr_dirty);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(0, cmd.nr_dirty);
}

TEST_F(dirty, pasid)
{
	struct model_params params = {
		.page_sizes = 1ULL << 12,
		.flags = variant->model,
		.pasid_bits = 8,
	};
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_WRITE,
		.flags = IOASID_MODEL_DMA_PASID,
		.pasid = 5,
		.threads = 1,
		.address = BASE + 3 * PG,
		.length = 1,
		.count = 1,
	};
	struct ioasid_get_dirty cmd;
	struct model_device dev;

	ASSERT_EQ(0, model_plug(&self->model, &dev, &params, 0));
	ASSERT_EQ(0, model_bind(&dev));
	ASSERT_EQ(0, pasid_attach(&dev, self->root.id, 5));
	ASSERT_EQ(0, START(self->root.id));
	ASSERT_EQ(0, model_dma(&dev, &dma, NULL));
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 3, 3);
	ASSERT_EQ(0, model_dma(&dev, &dma, NULL));
	ASSERT_EQ(0, pasid_detach(&dev, 5));
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 3, 3);
	MODEL_REMOVE(&dev);
}

/* Memory that is pinned on demand: the log does not forget what is unpinned */
TEST_F(dirty, demand)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
		.cut_size = 16 * PG,
	};
	__u64 far = 1ULL << 62, unmapped;
	int ctx = self->model.ctx, file;
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty cmd;
	struct model_space child;
	__u32 root;

	ASSERT_EQ(0, ia_cmd(ctx, IOASID_ALLOC, &alloc));
	root = alloc.ioasid;
	ASSERT_EQ(0, ia_map(ctx, root, BASE, self->mem, PAGES * PG));
	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &child, root, 0));
	ASSERT_EQ(0, model_attach(&self->dev, &child));
	ASSERT_EQ(0, ia_set_dirty(ctx, root, IOASID_SET_DIRTY_ON));
	/* Pinned after the start, and where it was not before */
	ASSERT_EQ(0, ia_map_ref(ctx, child.id, CHILD_BASE, BASE + 16 * PG,
				4 * PG, IA_RW));
	EXPECT_EQ(16 * PG, info_of(ctx, root).bytes_pinned);
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 1));
	ASSERT_EQ(0, ia_get_dirty(ctx, root, 0, BASE, PAGES, self->bits, &cmd));
	EXPECT_TRUE(dirty_has(self->bits, 17));
	EXPECT_EQ(variant->exact ? 1 : 4, cmd.nr_dirty);
	EXPECT_EQ(EXACT(variant->exact), cmd.told);
	/* What was written is unpinned, before it is told */
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 2));
	ASSERT_EQ(0, ia_unmap(ctx, child.id, CHILD_BASE, 4 * PG, NULL));
	ASSERT_EQ(0, ia_set_option(ctx, IOASID_OPTION_LIMIT_PINNED,
				   (PAGES + 16) * PG, 0));
	ASSERT_EQ(0, ia_map_ref(ctx, child.id, CHILD_BASE, BASE + 512 * PG,
				2 * PG, IA_RW));
	EXPECT_EQ(16 * PG, info_of(ctx, root).bytes_pinned);
	ASSERT_EQ(0, ia_get_dirty(ctx, root, 0, BASE, 64, self->bits, &cmd));
	EXPECT_EQ(0xf0000, self->bits[0]);
	/* What is pinned, and what is not, goes */
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 1));
	ASSERT_EQ(0, ia_unmap_dirty(ctx, root, IOASID_UNMAP_CASCADE, BASE,
				    PAGES, self->bits, &unmap));
	EXPECT_EQ(PAGES * PG, unmap.unmapped);
	EXPECT_TRUE(dirty_has(self->bits, 513));
	EXPECT_EQ(2, dirty_count(self->bits, PAGES));
	/* An unmap forgets what it does not tell, however long the range is */
	ASSERT_EQ(0, ia_map(ctx, root, BASE, self->mem, PAGES * PG));
	ASSERT_EQ(0, ia_map_ref(ctx, child.id, CHILD_BASE, BASE, PG, IA_RW));
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 0));
	file = memfd_create("dirty", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, far));
	ASSERT_EQ(0, ia_map_file(ctx, root, IA_RW_FIXED, &far, file, 0, far));
	ASSERT_EQ(0, ia_unmap_full(ctx, root, IOASID_UNMAP_CASCADE, 0, 2 * far,
				   &unmapped));
	EXPECT_EQ(far + PAGES * PG, unmapped);
	ASSERT_EQ(0, ia_get_dirty(ctx, root, 0, BASE, PAGES, self->bits, &cmd));
	EXPECT_EQ(0, cmd.nr_dirty);
	close(file);
}

/* Emulated devices write, and hold what they may write */
TEST_F(dirty, software)
{
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty cmd;
	__u32 devid;
	int dev;

	if (mock_load())
		SKIP(return, "no emulated devices");
	dev = mock_open(0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, hw_bind(dev, self->model.ctx, 1, &devid));
	ASSERT_EQ(0, hw_attach(dev, self->root.id));
	ASSERT_EQ(0, START(self->root.id));
	ASSERT_EQ(0, mock_put(dev, IOASID_MOCK_WRITE, 0, BASE + 3 * PG - 1,
			      "ab", 2));
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, true, cmd.told, 2, 3);
	/* Pinned for reading, they were not written */
	ASSERT_EQ(0, mock_command(dev, IOASID_MOCK_PIN, 0, BASE, 4 * PG, 0));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(0, cmd.nr_dirty);
	ASSERT_EQ(0, mock_unpin(dev, BASE, 4 * PG));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(0, cmd.nr_dirty);
	/* For writing, they may be at any time */
	ASSERT_EQ(0, mock_command(dev, IOASID_MOCK_PIN, IOASID_MOCK_PIN_WRITE,
				  BASE, 4 * PG, 0));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(4, cmd.nr_dirty);
	EXPECT_EQ(0, cmd.told);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(4, cmd.nr_dirty);
	ASSERT_EQ(0, mock_unpin(dev, BASE, 2 * PG));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(4, cmd.nr_dirty);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(2, cmd.nr_dirty);
	/* The unmap makes the device unpin */
	ASSERT_EQ(0, ia_unmap_dirty(self->model.ctx, self->root.id, 0, BASE, 4,
				    self->bits, &unmap));
	EXPECT_EQ(2, dirty_count(self->bits, 4));
	EXPECT_EQ(0, unmap.told);
	close(dev);
}

TEST_F(dirty, unmap)
{
	int ctx = self->model.ctx;
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty cmd;
	__u32 id = self->root.id;

	EXPECT_EQ(-ENOENT, ia_unmap_dirty(ctx, id, 0, BASE, 8, self->bits,
					  &unmap));
	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, START(id));
	ASSERT_EQ(0, put(&self->dev, BASE, 2));
	ASSERT_EQ(0, put(&self->dev, BASE, 4));
	ASSERT_EQ(0, put(&self->dev, BASE, 9));
	memset(self->bits, 0xa5, sizeof(self->bits));
	ASSERT_EQ(0, ia_unmap_dirty(ctx, id, 0, BASE + PG, 4, self->bits, &unmap));
	EXPECT_EQ(4 * PG, unmap.unmapped);
	EXPECT_EQ(variant->protects ? 0xa : 0xf, self->bits[0]);
	EXPECT_EQ(EXACT(variant->protects), unmap.told);
	EXPECT_LT(0, put(&self->dev, BASE, 2));
	/* Once */
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_FALSE(dirty_has(self->bits, 2));
	EXPECT_TRUE(dirty_has(self->bits, 9));
	EXPECT_EQ(variant->exact ? 1 : PAGES - 4, cmd.nr_dirty);
	/* Without the flag, what was written is forgotten */
	ASSERT_EQ(0, put(&self->dev, BASE, 10));
	ASSERT_EQ(0, ia_unmap(ctx, id, BASE + 10 * PG, PG, NULL));
	ASSERT_EQ(0, model_map(&self->root, BASE + 10 * PG, self->mem, PG,
			       MODEL_RW));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(!variant->exact, dirty_has(self->bits, 10));
	/* What was in the log before, of memory that is read only by now */
	ASSERT_EQ(0, put(&self->dev, BASE, 12));
	ASSERT_EQ(0, ia_map_full(ctx, id, IOASID_MAP_FIXED |
				 IOASID_MAP_PROTECT | IOASID_MAP_READ,
				 &(__u64){ BASE + 12 * PG }, 0, 2 * PG, 0, 0, 0,
				 NULL));
	ASSERT_EQ(0, ia_unmap_dirty(ctx, id, 0, BASE + 12 * PG, 2, self->bits,
				    &unmap));
	EXPECT_TRUE(dirty_has(self->bits, 0));
	EXPECT_EQ(!variant->protects, dirty_has(self->bits, 1));
	EXPECT_EQ(EXACT(variant->protects), unmap.told);
	/* Nothing is there */
	ASSERT_EQ(0, ia_unmap_dirty(ctx, id, 0, BASE + 12 * PG, 2, self->bits,
				    &unmap));
	EXPECT_EQ(0, unmap.unmapped);
	EXPECT_EQ(0, self->bits[0]);
}

TEST_F(dirty, unmap_cascade)
{
	int ctx = self->model.ctx;
	struct ioasid_unmap_dma unmap;

	ASSERT_EQ(0, model_attach(&self->dev, &self->child));
	ASSERT_EQ(0, ia_map_ref(ctx, self->child.id, CHILD_BASE, BASE + 2 * PG,
				2 * PG, IA_RW));
	ASSERT_EQ(0, START(self->root.id));
	EXPECT_EQ(-EBUSY, ia_unmap_dirty(ctx, self->root.id, 0, BASE, 8,
					 self->bits, &unmap));
	EXPECT_EQ(0, unmap.unmapped);
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 0));
	ASSERT_EQ(0, ia_unmap_dirty(ctx, self->root.id, IOASID_UNMAP_CASCADE, BASE,
				    8, self->bits, &unmap));
	EXPECT_EQ(8 * PG, unmap.unmapped);
	EXPECT_EQ(0xc, self->bits[0]);
	EXPECT_EQ(0, unmap.told);
}

/* REPLACE and PROTECT lose nothing, and what stays as it is stays exact */
TEST_F(dirty, change)
{
	int ctx = self->model.ctx;
	struct ioasid_get_dirty cmd;
	__u32 id = self->root.id;
	__u64 iova = BASE;

	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, START(id));
	ASSERT_EQ(0, put(&self->dev, BASE, 2));
	ASSERT_EQ(0, put(&self->dev, BASE, 100));
	ASSERT_EQ(0, ia_map_full(ctx, id, IOASID_MAP_FIXED | IOASID_MAP_REPLACE |
				 IOASID_MAP_READ | IOASID_MAP_WRITE, &iova,
				 IA_PTR(self->mem), 16 * PG, 0, 0, 0, NULL));
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 2, 100);

	ASSERT_EQ(0, put(&self->dev, BASE, 3));
	ASSERT_EQ(0, ia_map_full(ctx, id, IOASID_MAP_FIXED | IOASID_MAP_PROTECT |
				 IOASID_MAP_READ, &iova, 0, 16 * PG, 0, 0, 0,
				 NULL));
	ASSERT_EQ(0, put(&self->dev, BASE, 100));
	ASSERT_EQ(0, GET(PAGES));
	if (!variant->exact || variant->protects) {
		expect_pages(_metadata, self->bits, variant->exact, cmd.told, 3,
			     100);
	} else {
		EXPECT_EQ(17, cmd.nr_dirty);
		EXPECT_TRUE(dirty_has(self->bits, 3));
		EXPECT_EQ(0, cmd.told);
	}

	/* Other memory: what was there counts as written */
	ASSERT_EQ(0, put(&self->dev, BASE, 17));
	ASSERT_EQ(0, ia_map_full(ctx, id, IOASID_MAP_FIXED | IOASID_MAP_REPLACE |
				 IOASID_MAP_READ | IOASID_MAP_WRITE, &iova,
				 IA_PTR(self->mem + 32 * PG), 32 * PG, 0, 0, 0,
				 NULL));
	ASSERT_EQ(0, GET(32));
	EXPECT_TRUE(dirty_has(self->bits, 17));
	EXPECT_FALSE(variant->exact && dirty_has(self->bits, 3));
	EXPECT_EQ(0, cmd.told);
	ASSERT_EQ(0, put(&self->dev, BASE, 1));
	ASSERT_EQ(0, GET(32));
	EXPECT_EQ(variant->exact ? 2 : ~0U, (__u32)self->bits[0]);
	EXPECT_EQ(EXACT(variant->exact), cmd.told);
}

/* Devices can write for a moment, until a change fails */
TEST_F(dirty, change_fails)
{
	int ctx = self->model.ctx;
	struct ioasid_get_dirty cmd;
	__u32 id = self->root.id;
	__u64 iova = BASE + 5 * PG;

	if (variant->protects)
		SKIP(return, "the driver writes no IOPTE anew");
	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, START(id));
	ASSERT_EQ(0, ia_map_full(ctx, id, IOASID_MAP_FIXED | IOASID_MAP_PROTECT |
				 IOASID_MAP_READ, &iova, 0, PG, 0, 0, 0, NULL));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 5));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_FALSE(dirty_has(self->bits, 5));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_SYNC, 1, 0));
	ASSERT_NE(0, ia_map_full(ctx, id, IOASID_MAP_FIXED | IOASID_MAP_PROTECT |
				 IA_RW, &iova, 0, PG, 0, 0, 0, NULL));
	EXPECT_NE(0, put(&self->dev, BASE, 5));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 5));
	EXPECT_EQ(0, cmd.told);
}

/* A child's mapping that comes to refer to something else */
TEST_F(dirty, change_child)
{
	int ctx = self->model.ctx;
	struct ioasid_get_dirty cmd;
	__u64 iova = CHILD_BASE;

	/* The same memory twice: no IOPTE of the child changes */
	ASSERT_EQ(0, model_map(&self->root, BASE + PAGES * PG, self->mem,
			       8 * PG, MODEL_RW));
	ASSERT_EQ(0, model_attach(&self->dev, &self->child));
	ASSERT_EQ(0, ia_map_ref(ctx, self->child.id, CHILD_BASE, BASE, 8 * PG,
				IA_RW));
	ASSERT_EQ(0, START(self->root.id));
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 1));
	ASSERT_EQ(0, ia_map_full(ctx, self->child.id, IOASID_MAP_FIXED |
				 IOASID_MAP_REPLACE | IA_RW, &iova,
				 BASE + PAGES * PG, 8 * PG, 0, 0, 0, NULL));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 1));
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 2));
	ASSERT_EQ(0, ia_map_full(ctx, self->child.id, IOASID_MAP_FIXED |
				 IOASID_MAP_REPLACE | IA_RW, &iova,
				 BASE + 8 * PG, 8 * PG, 0, 0, 0, NULL));
	ASSERT_EQ(0, put(&self->dev, CHILD_BASE, 3));
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_TRUE(dirty_has(self->bits, 11));
	EXPECT_FALSE(variant->exact && dirty_has(self->bits, 10));
	ASSERT_EQ(0, ia_get_dirty(ctx, self->root.id, 0, BASE + PAGES * PG, 8,
				  self->bits, &cmd));
	EXPECT_TRUE(dirty_has(self->bits, 2));
}

/* Pages whose permission changes for so long that tracking starts meanwhile */
#define LONG (64 * PAGES)
#define LONG_BASE (64ULL * SZ_1G)

struct protect {
	int ctx;
	__u32 id;
	int rc;
};

static void *protect_long(void *arg)
{
	struct protect *p = arg;
	__u64 iova = CHILD_BASE;

	p->rc = ia_map_full(p->ctx, p->id, IOASID_MAP_FIXED | IOASID_MAP_PROTECT |
			    IOASID_MAP_READ, &iova, 0, LONG * PG, 0, 0, 0, NULL);
	return NULL;
}

/*
 * Tracking starts while a child's mapping becomes read-only, and a device writes by
 * an IOPTE that has not become it yet; in some rounds all of them have by then
 */
TEST_F_TIMEOUT(dirty, start_amid_change, 120)
{
	struct protect p = { .ctx = self->model.ctx, .id = self->child.id };
	__u64 last = (LONG - 1) * PG, iova = CHILD_BASE;
	int ctx = self->model.ctx, i, written = 0;
	struct ioasid_get_dirty cmd;
	pthread_t thread;

	if (ia_slow_kernel())
		SKIP(return, "tracking starts more slowly than the change goes on");
	for (i = 0; i < 64; i++)
		ASSERT_EQ(0, model_map(&self->root, LONG_BASE + i * PAGES * PG,
				       self->mem, PAGES * PG, MODEL_RW));
	ASSERT_EQ(0, model_attach(&self->dev, &self->child));
	for (i = 0; i < 50 && !written; i++) {
		ASSERT_EQ(0, ia_map_ref(ctx, self->child.id, CHILD_BASE,
					LONG_BASE, LONG * PG, IA_RW));
		ASSERT_EQ(0, pthread_create(&thread, NULL, protect_long, &p));
		while (!model_put(&self->dev, CHILD_BASE, "x", 1))
			sched_yield();
		ASSERT_EQ(0, START(self->root.id));
		written = !model_put(&self->dev, CHILD_BASE + last, "x", 1);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, p.rc);
		ASSERT_EQ(0, ia_get_dirty(ctx, self->root.id, 0, LONG_BASE + last,
					  1, self->bits, &cmd));
		if (written)
			EXPECT_TRUE(dirty_has(self->bits, 0));
		ASSERT_EQ(0, ia_set_dirty(ctx, self->root.id,
					  IOASID_SET_DIRTY_OFF));
		ASSERT_EQ(0, ia_unmap(ctx, self->child.id, iova, LONG * PG, NULL));
	}
	EXPECT_LT(0, written);
}

/* The second page of the bitmap cannot be written: its bits stay in the log */
TEST_F(dirty, bitmap_fault)
{
	int ctx = self->model.ctx;
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty cmd;
	__u32 id = self->root.id;
	__u64 *edge;

	edge = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, edge);
	ASSERT_EQ(0, mprotect((char *)edge + PG, PG, PROT_READ));
	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, START(id));
	ASSERT_EQ(0, put(&self->dev, BASE, 3));
	EXPECT_EQ(-EFAULT, ia_get_dirty(ctx, id, 0, BASE, PAGES,
					(char *)edge + PG, &cmd));
	EXPECT_EQ(BASE, cmd.next);
	EXPECT_EQ(-EFAULT, ia_get_dirty(ctx, id, 0, BASE - 32768 * PG,
					32768 + PAGES, edge, &cmd));
	EXPECT_EQ(BASE, cmd.next);
	/* An unmap looks first */
	EXPECT_EQ(-EFAULT, ia_unmap_dirty(ctx, id, 0, BASE - 32768 * PG,
					  32768 + PAGES, edge, &unmap));
	EXPECT_EQ(0, unmap.unmapped);
	EXPECT_EQ(1, info_of(ctx, id).nr_mappings);
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 3, 3);
	munmap(edge, 2 * PG);
}

/* Whatever fails in an unmap, what was written is told by it or afterwards */
TEST_F(dirty, unmap_fails)
{
	int ctx = self->model.ctx, fail_nth, failed, rc;
	/* Few: each page that is unmapped is one more call that can fail */
	const unsigned int pages = 8;
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty cmd;
	__u32 id = self->root.id;
	unsigned int nth;
	__u64 bits;

	if (!set_knobs())
		SKIP(return, "no fault injection");
	fail_nth = open(FAIL_NTH, O_RDWR);
	ASSERT_LE(0, fail_nth);
	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, START(id));
	for (nth = 1; nth < MAX_FAILURES; nth++) {
		ASSERT_EQ(0, put(&self->dev, BASE, 3));
		ASSERT_EQ(0, put(&self->dev, BASE, pages - 1));
		bits = 0;
		ASSERT_TRUE(arm(fail_nth, nth));
		rc = ia_unmap_dirty(ctx, id, 0, BASE, pages, &bits, &unmap);
		failed = disarm(fail_nth);
		ASSERT_LE(0, failed);
		ASSERT_EQ(0, ia_get_dirty(ctx, id, 0, BASE, pages, self->bits,
					  &cmd));
		bits |= self->bits[0];
		EXPECT_TRUE(dirty_has(&bits, 3)) TH_LOG("%u: %d", nth, rc);
		EXPECT_TRUE(dirty_has(&bits, pages - 1))
			TH_LOG("%u: %d", nth, rc);
		if (!failed)
			break;
		/* It was done, or nothing was */
		rc = ia_map(ctx, id, BASE, self->mem, pages * PG);
		EXPECT_TRUE(!rc || rc == -EEXIST);
	}
	EXPECT_EQ(0, rc);
	EXPECT_LT(1, nth);
	close(fail_nth);
	restore_knobs();
}

/* Starting, too: all of it, or nothing */
TEST_F(dirty, start_fails)
{
	int ctx = self->model.ctx, fail_nth, failed, rc;
	struct ioasid_get_dirty cmd;
	unsigned int nth;

	if (!set_knobs())
		SKIP(return, "no fault injection");
	fail_nth = open(FAIL_NTH, O_RDWR);
	ASSERT_LE(0, fail_nth);
	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	for (nth = 1; nth < MAX_FAILURES; nth++) {
		ASSERT_TRUE(arm(fail_nth, nth));
		rc = START(self->root.id);
		failed = disarm(fail_nth);
		ASSERT_LE(0, failed);
		if (!failed)
			break;
		if (!rc) {
			ASSERT_EQ(0, ia_set_dirty(ctx, self->root.id,
						  IOASID_SET_DIRTY_OFF));
			continue;
		}
		EXPECT_EQ(-ENOENT, GET(PAGES));
	}
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, put(&self->dev, BASE, 3));
	for (nth = 1; nth < MAX_FAILURES; nth++) {
		ASSERT_TRUE(arm(fail_nth, nth));
		rc = GET(PAGES);
		failed = disarm(fail_nth);
		ASSERT_LE(0, failed);
		if (!failed || !rc)
			break;
	}
	EXPECT_EQ(0, rc);
	EXPECT_TRUE(dirty_has(self->bits, 3));
	close(fail_nth);
	restore_knobs();
}

static void on_alarm(int signal) {}

/* A long command ends with a signal, and tells where to continue */
TEST_F(dirty, signal)
{
	const __u64 pages = 1ULL << 29;
	struct sigaction act = { .sa_handler = on_alarm };
	int ctx = self->model.ctx, rc, rounds = 0;
	struct ioasid_get_dirty cmd;
	__u64 from = 0, told = 0;
	timer_t timer;
	char *bits;

	if (!variant->exact)
		SKIP(return, "all is told");
	bits = mmap(NULL, pages / 8, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, bits);
	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, START(self->root.id));
	ASSERT_EQ(0, put(&self->dev, BASE, 7));
	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC, &(struct sigevent){
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1,
	}, &timer));
	do {
		/* A signal is pending, soon or at once */
		struct itimerspec soon = { .it_value.tv_nsec = 1000 };

		ASSERT_EQ(0, timer_settime(timer, 0, rounds < 20 ? &soon :
					   &(struct itimerspec){}, NULL));
		rc = ia_get_dirty(ctx, self->root.id, 0, from, pages - from / PG,
				  bits + from / PG / 8, &cmd);
		told += cmd.nr_dirty;
		rounds++;
		if (rc) {
			ASSERT_EQ(-EINTR, rc);
			ASSERT_LT(from, cmd.next);
			ASSERT_EQ(0, cmd.next % (64 * PG));
			from = cmd.next;
		}
	} while (rc && from < BASE + SZ_1G);
	EXPECT_EQ(1, told);
	timer_delete(timer);
	munmap(bits, pages / 8);
}

static struct ioasid_get_dirty bad_calls[] = {
	{ .told = 1 }, { .nr_dirty = 1 }, { .next = 1 }, { .iova = 1 },
	{ .length = 1 }, { .length = -4096ULL }, { .page_size = 2048 },
	{ .page_size = 3 * 4096 }, { .page_size = 4097 },
};

TEST_F(dirty, bad_arguments)
{
	__u32 flags[] = {
		0, IOASID_SET_DIRTY_COARSE,
		IOASID_SET_DIRTY_ON | IOASID_SET_DIRTY_OFF,
		IOASID_SET_DIRTY_OFF | IOASID_SET_DIRTY_COARSE,
	};
	struct ioasid_unmap_dma unmap, good = {
		.argsz = sizeof(good),
		.flags = IOASID_UNMAP_DIRTY,
		.ioasid = self->root.id,
		.iova = BASE,
		.length = PG,
		.bitmap = (unsigned long)self->bits,
		.page_size = PG,
	};
	int ctx = self->model.ctx;
	struct ioasid_get_dirty cmd;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		EXPECT_EQ(-EINVAL, ia_set_dirty(ctx, self->root.id, flags[i]));
	EXPECT_EQ(-ENOENT, ia_set_dirty(ctx, 0, IOASID_SET_DIRTY_ON));
	ASSERT_EQ(0, START(self->root.id));
	for (i = 0; i < ARRAY_SIZE(bad_calls); i++) {
		cmd = (struct ioasid_get_dirty){
			.argsz = sizeof(cmd),
			.ioasid = self->root.id,
			.iova = BASE + bad_calls[i].iova,
			.length = PG + bad_calls[i].length,
			.page_size = bad_calls[i].page_size ?: PG,
			.told = bad_calls[i].told,
			.nr_dirty = bad_calls[i].nr_dirty,
			.next = bad_calls[i].next,
			.bitmap = (unsigned long)self->bits,
		};
		EXPECT_EQ(-EINVAL, ia_cmd(ctx, IOASID_GET_DIRTY, &cmd))
			TH_LOG("call %u", i);
	}
	cmd = (struct ioasid_get_dirty){
		.argsz = sizeof(cmd),
		.ioasid = self->root.id,
		.iova = BASE,
		.length = PG,
		.bitmap = (unsigned long)self->bits,
	};
	EXPECT_EQ(-EINVAL, ia_cmd(ctx, IOASID_GET_DIRTY, &cmd));
	cmd.page_size = 512 * PG;
	EXPECT_EQ(0, ia_cmd(ctx, IOASID_GET_DIRTY, &cmd));
	cmd.told = 0;
	cmd.nr_dirty = 0;
	cmd.page_size = 1024 * PG;
	EXPECT_EQ(-EOPNOTSUPP, ia_cmd(ctx, IOASID_GET_DIRTY, &cmd));

#define BAD(want, field, value)						\
do {									\
	unmap = good;							\
	unmap.field = value;						\
	EXPECT_EQ(want, ia_cmd(ctx, IOASID_UNMAP_DMA, &unmap))		\
		TH_LOG(#field " = " #value);				\
} while (0)
	BAD(-EINVAL, told, 1);
	BAD(-EINVAL, __reserved, 1);
	BAD(-EINVAL, __reserved2, 1);
	BAD(-EINVAL, page_size, 0);
	BAD(-EINVAL, page_size, PG / 2);
	BAD(-EINVAL, page_size, 3 * PG);
	BAD(-EOPNOTSUPP, page_size, 1024 * PG);
	BAD(-EFAULT, bitmap, 0);
	BAD(-EINVAL, iova, BASE + 1);
	BAD(-EINVAL, length, 0);
	BAD(-EINVAL, length, -PG);
	BAD(-EINVAL, flags, 0);
	BAD(-EINVAL, flags, IOASID_UNMAP_ALL | IOASID_UNMAP_DIRTY);
	BAD(-EINVAL, argsz, offsetof(struct ioasid_unmap_dma, bitmap));
	BAD(-EINVAL, argsz, offsetof(struct ioasid_unmap_dma, told));
	BAD(-ENOENT, ioasid, 0x7ffffff0);
	BAD(-EOPNOTSUPP, ioasid, self->child.id);
	good.flags = 0;
	good.page_size = 0;
	BAD(-EINVAL, bitmap, 1);
	good.bitmap = 0;
	BAD(-EINVAL, page_size, PG);
	BAD(-EINVAL, told, 1);
	BAD(-EINVAL, __reserved2, 1);
	EXPECT_EQ(1, info_of(ctx, self->root.id).nr_mappings);
}

/* One IOPTE of many pages: all of them are told, and a cut loses none */
TEST_F(dirty, split)
{
	struct model_params params = {
		.page_sizes = 1ULL << 12 | 1ULL << 21,
		.flags = variant->model,
	};
	int ctx = self->model.ctx, round;
	struct model_space space;
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty cmd;
	struct model_device dev;
	char *huge;

	huge = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, huge);
	madvise(huge, SZ_2M, MADV_HUGEPAGE);
	memset(huge, 1, SZ_2M);
	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &space, 0, 0));
	ASSERT_EQ(0, model_plug(&self->model, &dev, &params, 0));
	ASSERT_EQ(0, model_attach(&dev, &space));
	ASSERT_EQ(0, START(space.id));
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, model_map(&space, BASE, huge, SZ_2M, MODEL_RW));
		ASSERT_EQ(0, put(&dev, BASE, 100));
		ASSERT_EQ(0, ia_get_dirty(ctx, space.id, 0, BASE, 512, self->bits,
					  &cmd));
		if (cmd.nr_dirty != 512) {
			model_release(&dev);
			model_unplug(&dev, 0);
			SKIP(return, "no huge page");
		}
		EXPECT_EQ(EXACT(variant->exact), cmd.told);
		/* It fails, when there are small IOPTEs for a moment */
		ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_SYNC, 1, 0));
		EXPECT_NE(0, ia_unmap_full(ctx, space.id, IOASID_UNMAP_SPLIT,
					   BASE + 50 * PG, PG, NULL));
		ASSERT_EQ(0, ia_get_dirty(ctx, space.id, 0, BASE, 512, self->bits,
					  &cmd));
		EXPECT_EQ(512, cmd.nr_dirty);
		EXPECT_EQ(0, cmd.told);
		if (round)
			ASSERT_EQ(0, put(&dev, BASE, 100));
		ASSERT_EQ(0, ia_unmap_full(ctx, space.id, IOASID_UNMAP_SPLIT,
					   BASE + 50 * PG, PG, NULL));
		ASSERT_EQ(0, ia_get_dirty(ctx, space.id, 0, BASE, 512, self->bits,
					  &cmd));
		/* Nothing was written in the first round */
		EXPECT_EQ(!round && variant->protects ? 0 : 511, cmd.nr_dirty);
		EXPECT_FALSE(dirty_has(self->bits, 50));
		EXPECT_EQ(EXACT(variant->protects), cmd.told);
		/* Small IOPTEs, which are exact */
		ASSERT_EQ(0, put(&dev, BASE, 7));
		ASSERT_EQ(0, ia_unmap_dirty(ctx, space.id, 0, BASE, 512,
					    self->bits, &unmap));
		EXPECT_EQ(SZ_2M - PG, unmap.unmapped);
		EXPECT_TRUE(dirty_has(self->bits, 7));
		EXPECT_EQ(variant->protects ? 1 : 511,
			  dirty_count(self->bits, 512));
	}
	MODEL_REMOVE(&dev);
}

/* Mappings come and go elsewhere, and with them parts of the log; no bit does */
TEST_F(dirty, chunks)
{
	struct ioasid_get_dirty cmd;
	unsigned int i;

	ASSERT_EQ(0, model_attach(&self->dev, &self->root));
	ASSERT_EQ(0, START(self->root.id));
	ASSERT_EQ(0, put(&self->dev, BASE, 1));
	ASSERT_EQ(0, ia_get_dirty(self->model.ctx, self->root.id,
				  IOASID_GET_DIRTY_NO_CLEAR, BASE, PAGES,
				  self->bits, &cmd));
	for (i = 1; i <= 300; i++) {
		__u64 iova = BASE + i * 128ULL * SZ_1M;

		ASSERT_EQ(0, model_map(&self->root, iova, self->mem, PG,
				       MODEL_RW));
		ASSERT_EQ(0, model_unmap(&self->root, iova, PG));
	}
	ASSERT_EQ(0, GET(PAGES));
	expect_pages(_metadata, self->bits, variant->exact, cmd.told, 1, 1);
	ASSERT_EQ(0, GET(PAGES));
	EXPECT_EQ(variant->exact ? 0 : PAGES, cmd.nr_dirty);
}

TEST_HARNESS_MAIN
