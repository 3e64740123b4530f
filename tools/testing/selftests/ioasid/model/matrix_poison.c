// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU that does not unmap all that it was told to: in each way that this
 * can happen, and each way to recover.
 *
 * As long as the domain exists, its devices are blocked and the memory stays
 * pinned: its file cannot be sealed against writing. The end of the domain
 * releases all of it. Needs the module ioasid_mock, no hardware.
 */
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "family.h"
#include "nested.h"

/* Pages of the memory: a table of user space, and one by PASID that leads to it */
#define TABLE 8
#define TABLE_BY_PASID 11

struct scene {
	struct model model;
	int fd;
	int owner;			/* another context, or -1 */
	int file;
	char *mem;
	struct model_space root;
	struct model_space child;
	struct model_space other;
	struct model_space *at;		/* space that gets poisoned */
	struct model_space *nest;	/* table of user space above it, or NULL */
	bool by_pasid;			/* it is one by PASID */
	struct model_device dev;	/* attached to it, or to the table */
	struct model_device second;	/* of another unit */
	struct model_device spare;
	bool freed;			/* the root is freed */
	__u32 import;			/* import of the root, or 0 */
};

FIXTURE(poison)
{
	struct scene scene;
};

FIXTURE_VARIANT(poison)
{
	/* Attach @dev and let the IOMMU fail; returns the expected result. */
	int (*cause)(struct scene *s);
	int rc;
	/* The root can be below tables of user space, and the devices walk them */
	bool nests;
};

static bool sealable(int file)
{
	return !fcntl(file, F_ADD_SEALS, F_SEAL_WRITE);
}

static int map_file(int fd, __u32 id, int file)
{
	__u64 iova = BASE;

	return ia_map_file(fd, id, IA_RW_FIXED, &iova, file, 0, PAGES * PG);
}

static int stop_next_unmap(struct scene *s)
{
	return model_inject(&s->dev, MODEL_INJECT_UNMAP, 1, 0);
}

static int on_root(struct scene *s)
{
	int rc = model_attach(&s->dev, &s->root);

	s->at = &s->root;
	rc = rc ?: map_file(s->fd, s->root.id, s->file);
	return rc ?: stop_next_unmap(s);
}

static int on_child(struct scene *s)
{
	int rc = model_attach(&s->dev, &s->child);

	s->at = &s->child;
	rc = rc ?: map_file(s->fd, s->root.id, s->file);
	rc = rc ?: ia_map_ref(s->fd, s->child.id, BASE, BASE, PAGES * PG,
			      IA_RW);
	return rc ?: stop_next_unmap(s);
}

static int cause_unmap(struct scene *s)
{
	return on_root(s) ?: ia_unmap(s->fd, s->root.id, BASE,
					 PAGES * PG, NULL);
}

FIXTURE_VARIANT_ADD(poison, unmap)
{
	.cause = cause_unmap,
	.rc = -EIO,
};

static int cause_split(struct scene *s)
{
	return on_root(s) ?: ia_unmap_full(s->fd, s->root.id,
					      IOASID_UNMAP_SPLIT,
					      BASE + 5 * PG, PG, NULL);
}

FIXTURE_VARIANT_ADD(poison, split)
{
	.cause = cause_split,
	.rc = -EIO,
};

/* Two ranges, and the second one fails */
static int cause_batch(struct scene *s)
{
	struct ioasid_dma_op ops[] = {
		{ .op = IOASID_DMA_OP_UNMAP, .iova = 2 * BASE, .length = PG },
		{ .op = IOASID_DMA_OP_UNMAP, .iova = BASE,
		  .length = PAGES * PG },
	};
	struct ioasid_dma_batch cmd = {
		.argsz = sizeof(cmd), .nr = 2, .ops = IA_PTR(ops),
	};
	int rc = on_child(s);

	cmd.ioasid = s->child.id;
	rc = rc ?: ia_map_ref(s->fd, s->child.id, 2 * BASE, BASE, PG,
			      IA_RW);
	rc = rc ?: model_inject(&s->dev, MODEL_INJECT_UNMAP, 2, 0);
	rc = rc ?: ia_cmd(s->fd, IOASID_DMA_BATCH, &cmd);
	return rc ?: cmd.error;
}

FIXTURE_VARIANT_ADD(poison, batch)
{
	.cause = cause_batch,
	.rc = -EIO,
};

/* A second domain cannot be mapped to, and the first one cannot be unmapped. */
static int cause_map_undone(struct scene *s)
{
	int rc = model_attach(&s->dev, &s->root);

	s->at = &s->root;
	rc = rc ?: model_attach(&s->second, &s->root);
	rc = rc ?: model_inject(&s->second, MODEL_INJECT_MAP, 1, 0);
	rc = rc ?: stop_next_unmap(s);
	return rc ?: map_file(s->fd, s->root.id, s->file);
}

FIXTURE_VARIANT_ADD(poison, map_undone)
{
	.cause = cause_map_undone,
	.rc = -ENOMEM,
};

static int cause_cascade(struct scene *s)
{
	return on_child(s) ?: ia_unmap_cascade(s->fd, s->root.id,
						  BASE, PAGES * PG);
}

FIXTURE_VARIANT_ADD(poison, cascade)
{
	.cause = cause_cascade,
	.rc = -EIO,
};

static int cause_free_cascade(struct scene *s)
{
	s->freed = true;
	return on_child(s) ?: ia_free_cascade(s->fd, s->root.id);
}

FIXTURE_VARIANT_ADD(poison, free_cascade)
{
	.cause = cause_free_cascade,
};

/* The memory belongs to a context that is closed. */
static int cause_owner_closed(struct scene *s)
{
	int export, rc;
	__u32 id;

	s->owner = ia_open();
	rc = ia_alloc(s->owner, &id);
	rc = rc ?: map_file(s->owner, id, s->file);
	rc = rc ?: ia_export(s->owner, id, EXPORT_RW, BASE, PAGES * PG,
			     ~0ULL, &export);
	rc = rc ?: ia_import(s->fd, export, 0, &s->import);
	rc = rc ?: ia_child(s->fd, s->import, 0, &id);
	if (rc)
		return rc;
	close(export);
	s->child.id = id;
	s->at = &s->child;
	rc = model_attach(&s->dev, &s->child);
	rc = rc ?: ia_map_ref(s->fd, id, BASE, 0, PAGES * PG, IA_RW);
	rc = rc ?: stop_next_unmap(s);
	close(s->owner);
	s->owner = -1;
	s->freed = true;
	return rc;
}

FIXTURE_VARIANT_ADD(poison, owner_closed)
{
	.cause = cause_owner_closed,
};

/* A word of the memory, which is BASE for the root. */
static void write_word(struct scene *s, int page, int index, __u64 word)
{
	*((__u64 *)(s->mem + page * PG) + index) = word;
}

/* Let the devices see the memory at BASE through a table, too. */
static int write_tables(struct scene *s)
{
	const __u64 table = BASE + TABLE * PG;
	int i;

	memset(s->mem + TABLE * PG, 0, 4 * PG);
	write_word(s, TABLE, BASE >> 30, (table + PG) | S1_RW);
	write_word(s, TABLE + 1, 0, (table + 2 * PG) | S1_RW);
	for (i = 0; i < PAGES; i++)
		write_word(s, TABLE + 2, i, (BASE + i * PG) | S1_RW);
	write_word(s, TABLE_BY_PASID, 0, table | MODEL_PASID_VALID |
		   3 << MODEL_PASID_LEVELS_SHIFT);
	return pwrite(s->file, s->mem, PAGES * PG, 0) == PAGES * PG ? 0 : -EIO;
}

static int bind_nest(struct scene *s, __u32 flags)
{
	struct model_pasid_table pasids = {
		.table = BASE + TABLE_BY_PASID * PG, .pasid_bits = 1,
	};
	struct model_s1 s1 = { .root = BASE + TABLE * PG, .levels = 3 };

	return s->by_pasid ?
	       bind_pasids(s->fd, s->nest->id, flags, &pasids, sizeof(pasids)) :
	       bind_data(s->fd, s->nest->id, flags, &s1, sizeof(s1));
}

static int on_nest(struct scene *s, __u32 kind, __u32 format)
{
	unsigned char byte;
	int rc;

	s->at = &s->root;
	s->nest = &s->child;
	s->by_pasid = kind == IOASID_KIND_PASID_TABLE;
	rc = ia_free(s->fd, s->child.id);
	rc = rc ?: nested_alloc(s->fd, 0, kind, s->root.id, format,
				&s->child.id);
	rc = rc ?: write_tables(s);
	rc = rc ?: map_file(s->fd, s->root.id, s->file);
	rc = rc ?: bind_nest(s, 0);
	rc = rc ?: model_attach(&s->dev, s->nest);
	rc = rc ?: model_get(&s->dev, BASE + 5 * PG, &byte, 1);
	if (!rc && byte != 6)
		rc = -EILSEQ;
	return rc ?: stop_next_unmap(s);
}

static int cause_below_pgtable(struct scene *s)
{
	return on_nest(s, IOASID_KIND_PGTABLE, MODEL_HWPT_DATA_S1) ?:
	       ia_unmap_cascade(s->fd, s->root.id, BASE, PAGES * PG);
}

FIXTURE_VARIANT_ADD(poison, below_pgtable)
{
	.cause = cause_below_pgtable,
	.rc = -EIO,
	.nests = true,
};

static int cause_below_pasid_table(struct scene *s)
{
	return on_nest(s, IOASID_KIND_PASID_TABLE,
		       MODEL_HWPT_DATA_PASID_TABLE) ?:
	       ia_unmap_cascade(s->fd, s->root.id, BASE, PAGES * PG);
}

FIXTURE_VARIANT_ADD(poison, below_pasid_table)
{
	.cause = cause_below_pasid_table,
	.rc = -EIO,
	.nests = true,
};

/* The fault of devices that have a good domain again, without the memory. */
static enum model_reason absent(const struct scene *s)
{
	return s->nest ? MODEL_FAULT_S1_TABLE : MODEL_FAULT_ABSENT;
}

/* No device gets to the poisoned domain through a table, whatever it is. */
static void nest_is_poisoned(struct __test_metadata *_metadata,
			     struct scene *s)
{
	EXPECT_EQ(IOASID_STATE_ATTACHED | IOASID_STATE_POISONED,
		  info_of(s->fd, s->nest->id).state);
	EXPECT_EQ(-EIO, hw_attach(s->spare.fd, s->nest->id));
	EXPECT_EQ(-EEXIST, bind_nest(s, 0));
	EXPECT_EQ(-ENXIO, bind_nest(s, IOASID_BIND_REPLACE));
	EXPECT_EQ(-EBUSY, ia_free(s->fd, s->nest->id));
}

/* The same table leads to memory again. */
static int nest_usable(struct scene *s)
{
	unsigned char byte;
	int rc;

	if (info_of(s->fd, s->nest->id).state & IOASID_STATE_POISONED)
		return -EIO;
	rc = ia_map(s->fd, s->root.id, BASE, s->mem, PAGES * PG);
	rc = rc ?: bind_nest(s, IOASID_BIND_REPLACE);
	rc = rc ?: model_attach(&s->spare, s->nest);
	rc = rc ?: model_get(&s->spare, BASE + 5 * PG, &byte, 1);
	if (!rc && byte != 6)
		rc = -EILSEQ;
	rc = rc ?: model_detach(&s->spare);
	rc = rc ?: s->by_pasid ? unbind_pasids(s->fd, s->nest->id) :
				 unbind_table(s->fd, s->nest->id);
	return rc ?: ia_unmap(s->fd, s->root.id, BASE, PAGES * PG, NULL);
}

FIXTURE_SETUP(poison)
{
	struct scene *s = &self->scene;
	struct model_params nests = {
		.flags = MODEL_NESTING | MODEL_USER_PASID_TABLE | MODEL_ATS,
		.pasid_bits = 8,
	};
	struct model_params *params = variant->nests ? &nests : NULL;
	struct model_params other_unit = { .unit = 1 };
	struct model_space none = { .model = &s->model, .container = -1 };
	int rc = model_open(&s->model, MODEL_IOASID);

	s->file = -1;
	s->owner = -1;
	if (rc == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_EQ(0, rc);
	s->fd = s->model.ctx;
	s->root = none;
	s->child = none;
	s->other = none;
	if (variant->nests && !ia_check(s->fd, IOASID_EXT_PGTABLE)) {
		model_close(&s->model);
		SKIP(return, "the kernel lacks a patch to the IOMMU core");
	}
	ASSERT_EQ(0, variant->nests ? nested_parent(s->fd, &s->root.id) :
				      ia_alloc(s->fd, &s->root.id));
	ASSERT_EQ(0, ia_child(s->fd, s->root.id, 0, &s->child.id));
	ASSERT_EQ(0, ia_alloc(s->fd, &s->other.id));
	ASSERT_EQ(0, model_plug(&s->model, &s->dev, params, 0));
	ASSERT_EQ(0, model_plug(&s->model, &s->spare, params, 0));
	ASSERT_EQ(0, model_plug(&s->model, &s->second, &other_unit, 0));
	ASSERT_EQ(0, model_bind(&s->spare));
	s->mem = family_memory(PAGES);
	ASSERT_NE(NULL, s->mem);
	s->file = memfd_create("poison", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, s->file);
	ASSERT_EQ(0, ftruncate(s->file, PAGES * PG));
	ASSERT_EQ(PAGES * PG, pwrite(s->file, s->mem, PAGES * PG, 0));

	ASSERT_EQ(variant->rc, variant->cause(s));
	EXPECT_TRUE(info_of(s->fd, s->at->id).state &
		    IOASID_STATE_POISONED);
	EXPECT_FALSE(sealable(s->file));
	EXPECT_LT(0, ia_status("VmPin"));
	EXPECT_TRUE(s->freed || info_of(s->fd, s->root.id).bytes_pinned);
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_put(&s->dev, BASE, "x", 1));
	if (s->second.space) {
		/* The other domain works as before. */
		EXPECT_EQ(MODEL_FAULT_ABSENT,
			  model_put(&s->second, BASE, "x", 1));
	}
	EXPECT_EQ(-EIO, hw_attach(s->spare.fd, s->at->id));
	EXPECT_EQ(-EIO, hw_attach(s->spare.fd, s->at->id));
	if (s->at == &s->root) {
		EXPECT_EQ(-EIO, ia_map(s->fd, s->at->id, 8 * BASE,
				       s->mem, PG));
	} else {
		EXPECT_EQ(-EIO, ia_map_ref(s->fd, s->at->id, 8 * BASE,
					   BASE, PG, IA_RW));
	}
	EXPECT_EQ(-EBUSY, ia_free(s->fd, s->at->id));
	if (s->nest)
		nest_is_poisoned(_metadata, s);
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_put(&s->dev, BASE, "x", 1));
	EXPECT_NO_HARM(&s->dev);
	EXPECT_FALSE(sealable(s->file));
}

/* After each way to recover, all is as before. */
FIXTURE_TEARDOWN(poison)
{
	struct scene *s = &self->scene;

	if (s->file < 0)
		return;
	EXPECT_NO_HARM(&s->spare);
	EXPECT_TRUE(sealable(s->file));
	EXPECT_EQ(0, ia_status("VmPin"));
	model_release(&s->dev);
	model_release(&s->spare);
	model_release(&s->second);
	EXPECT_EQ(0, model_unplug(&s->dev, 0));
	EXPECT_EQ(0, model_unplug(&s->spare, 0));
	EXPECT_EQ(0, model_unplug(&s->second, 0));
	model_close(&s->model);
}

/* The space can be used as before, and its mappings can be unmapped. */
static int usable(struct scene *s)
{
	struct model_space *at = s->at;
	unsigned char byte;
	int rc = 0;

	if (info_of(s->fd, at->id).state & IOASID_STATE_POISONED)
		return -EIO;
	if (s->nest)
		rc = nest_usable(s);
	if (rc)
		return rc;
	if (!s->freed) {
		rc = ia_map(s->fd, s->root.id, 8 * BASE, s->mem, PG);
		if (!rc && at != &s->root)
			rc = ia_map_ref(s->fd, at->id, 8 * BASE, 8 * BASE,
					PG, IA_RW);
		rc = rc ?: model_attach(&s->spare, at);
		rc = rc ?: model_get(&s->spare, 8 * BASE, &byte, 1);
		if (!rc && byte != 1)
			rc = -EILSEQ;
		rc = rc ?: model_detach(&s->spare);
		rc = rc ?: ia_unmap_full(s->fd, s->root.id,
					 IOASID_UNMAP_ALL |
					 IOASID_UNMAP_CASCADE, 0, 0, NULL);
		return rc ?: info_of(s->fd, at->id).nr_mappings ? -EPROTO : 0;
	}
	/* The quarantined memory goes with the last import of the root. */
	rc = ia_free(s->fd, at->id);
	return rc || !s->import ? rc : ia_free(s->fd, s->import);
}

TEST_F(poison, detach)
{
	struct scene *s = &self->scene;

	ASSERT_EQ(0, model_detach(&s->dev));
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_put(&s->dev, BASE, "x", 1));
	if (s->second.space)
		ASSERT_EQ(0, model_detach(&s->second));
	EXPECT_EQ(0, usable(s));
}

TEST_F(poison, attach_again)
{
	struct scene *s = &self->scene;
	unsigned char byte;

	ASSERT_EQ(0, model_detach(&s->dev));
	ASSERT_EQ(0, model_attach(&s->dev, s->nest ?: s->at));
	EXPECT_FALSE(info_of(s->fd, s->at->id).state &
		     IOASID_STATE_POISONED);
	/* the other mappings are there, and no more */
	EXPECT_EQ(info_of(s->fd, s->at->id).bytes_mapped ? 0 : absent(s),
		  model_get(&s->dev, BASE, &byte, 1));
	EXPECT_EQ(absent(s),
		  model_get(&s->dev, BASE + 5 * PG, &byte, 1));
	ASSERT_EQ(0, model_detach(&s->dev));
	if (s->second.space)
		ASSERT_EQ(0, model_detach(&s->second));
	EXPECT_EQ(0, usable(s));
}

TEST_F(poison, move)
{
	struct scene *s = &self->scene;

	ASSERT_EQ(0, ia_map(s->fd, s->other.id, BASE, s->mem, PG));
	ASSERT_EQ(0, model_attach(&s->dev, &s->other));
	EXPECT_TRUE(reads(&s->dev, BASE, 0));
	EXPECT_EQ(0, usable(s));
	ASSERT_EQ(0, ia_unmap_all(s->fd, s->other.id, NULL));
}

/* A move that fails leaves the device on its domain, blocked. */
TEST_F(poison, move_fails)
{
	struct scene *s = &self->scene;

	ASSERT_EQ(0, model_inject(&s->dev, MODEL_INJECT_ATTACH, 1, 0));
	ASSERT_EQ(-ENOMEM, hw_attach(s->dev.fd, s->other.id));
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_put(&s->dev, BASE, "x", 1));
	EXPECT_TRUE(info_of(s->fd, s->at->id).state &
		    IOASID_STATE_POISONED);
	EXPECT_FALSE(sealable(s->file));
	ASSERT_EQ(0, model_detach(&s->dev));
	EXPECT_EQ(0, usable(s));
}

TEST_F(poison, close_device)
{
	struct scene *s = &self->scene;

	model_release(&s->dev);
	EXPECT_EQ(0, usable(s));
}

TEST_F(poison, unplug)
{
	struct scene *s = &self->scene;
	int i;

	ASSERT_EQ(0, model_unplug(&s->dev, IOASID_MODEL_ASYNC));
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_put(&s->dev, BASE, "x", 1));
	EXPECT_FALSE(sealable(s->file));
	model_release(&s->dev);
	for (i = 0; i < 1000 && model_present(&s->dev); i++)
		usleep(10000);
	EXPECT_FALSE(model_present(&s->dev));
	EXPECT_EQ(0, usable(s));
	/* for the teardown */
	ASSERT_EQ(0, model_plug(&s->model, &s->dev, NULL, 0));
}

TEST_F(poison, close_context_first)
{
	struct scene *s = &self->scene;

	close(s->fd);
	s->model.ctx = -1;
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_put(&s->dev, BASE, "x", 1));
	EXPECT_FALSE(sealable(s->file));
	EXPECT_NO_HARM(&s->dev);
	model_release(&s->dev);
	model_release(&s->second);
	model_release(&s->spare);
}

TEST_F(poison, close_context_last)
{
	struct scene *s = &self->scene;

	model_release(&s->dev);
	model_release(&s->second);
	model_release(&s->spare);
	close(s->fd);
	s->model.ctx = -1;
}

/* --- */

/*
 * A failed attach drops a domain that it cannot clean up: that poisons no other
 * domain.
 */
TEST(filling)
{
	struct model_space space;
	struct model_device dev;
	struct model model;
	char *mem;
	int i, rc;

	rc = model_open(&model, MODEL_IOASID);
	if (rc == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_EQ(0, rc);
	mem = ia_mem(PAGES * PG);
	ASSERT_NE(NULL, mem);
	madvise(mem, PAGES * PG, MADV_NOHUGEPAGE);
	/* from the end, so that each page is a call of the driver */
	for (i = PAGES - 1; i >= 0; i--)
		memset(mem + i * PG, i + 1, PG);
	ASSERT_EQ(0, model_plug(&model, &dev, NULL, 0));
	ASSERT_EQ(0, model_space_open(&model, &space));
	ASSERT_EQ(0, model_bind(&dev));
	for (i = 0; i < PAGES; i += 8)
		ASSERT_EQ(0, model_map(&space, BASE + i * PG, mem + i * PG,
				       8 * PG, MODEL_RW));
	for (i = 1; i <= 12; i++) {
		ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_MAP, i, 0));
		ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_UNMAP, 1, 0));
		rc = model_attach(&dev, &space);
		ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_MAP, 0, 0));
		ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_UNMAP, 0, 0));
		/* the memory has runs of pages nevertheless */
		if (!rc)
			break;
		ASSERT_EQ(-ENOMEM, rc);
		EXPECT_EQ(MODEL_FAULT_BLOCKED, model_put(&dev, BASE, "x", 1));
		EXPECT_EQ(0, info_of(model.ctx, space.id).state);
		EXPECT_EQ(2, info_of(model.ctx, space.id).nr_mappings);
		EXPECT_NO_HARM(&dev);
	}
	EXPECT_LT(2, i);
	if (rc)
		ASSERT_EQ(0, model_attach(&dev, &space));
	for (i = 0; i < PAGES; i++)
		EXPECT_TRUE(reads(&dev, BASE + i * PG, i));
	ASSERT_EQ(0, model_unmap(&space, BASE, PAGES * PG));
	EXPECT_NO_HARM(&dev);
	EXPECT_EQ(0, ia_status("VmPin"));
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	model_close(&model);
}

TEST_HARNESS_MAIN
