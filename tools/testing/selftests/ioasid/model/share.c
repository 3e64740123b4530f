// SPDX-License-Identifier: GPL-2.0-only
/*
 * Export and import: memory of one context that IOASIDs of others map.
 *
 * The owner and the importers are contexts of their own, some of them in other
 * processes. The DMA of a model device shows the memory that each can reach;
 * the model's ledger shows that memory is released in time, and not too early.
 */
#include "ioasid_test.h"
#include "change.h"
#include "family.h"

#define PG page_size
#define ROOT_BASE SZ_1G
#define BASE (4ULL * SZ_1G)
#define PAGES 64
/* the window */
#define FIRST 8
#define WINDOW 16

FIXTURE(share)
{
	struct model owner;
	struct model user;
	struct model_device dev;	/* of the user */
	struct model_space at;
	int fd;				/* the owner */
	int ctx;			/* the user */
	int export;
	__u32 root;
	__u32 import;
	__u32 child;
	char *mem;
};

FIXTURE_SETUP(share)
{
	int rc = model_open(&self->owner, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, model_open(&self->user, MODEL_IOASID));
	self->fd = self->owner.ctx;
	self->ctx = self->user.ctx;
	ASSERT_EQ(1, ia_check(self->fd, IOASID_EXT_EXPORT));
	self->mem = family_memory(PAGES);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    PAGES * PG));
	ASSERT_EQ(0, ia_export(self->fd, self->root, EXPORT_RW,
			       ROOT_BASE + FIRST * PG, WINDOW * PG, 4,
			       &self->export));
	ASSERT_EQ(0, ia_import(self->ctx, self->export, 0x1234, &self->import));
	ASSERT_EQ(0, ia_child(self->ctx, self->import, 0, &self->child));
	ASSERT_EQ(0, model_plug(&self->user, &self->dev, NULL, 0));
	self->at = (struct model_space) {
		.model = &self->user, .id = self->child, .container = -1,
	};
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
}

FIXTURE_TEARDOWN(share)
{
	if (self->fd <= 0)
		return;
	MODEL_REMOVE(&self->dev);
	model_close(&self->user);
	model_close(&self->owner);
	close(self->export);
	EXPECT_EQ(0, ia_status("VmPin"));
}

#define MAP(at, page, pages)						\
	ia_map_ref(self->ctx, self->child, BASE + (at) * PG,		\
		   (page) * PG, (pages) * PG, IA_RW)

TEST_F(share, map_and_reach)
{
	struct ioasid_info info;

	ASSERT_EQ(0, MAP(0, 0, 2));
	EXPECT_TRUE(reads(&self->dev, BASE, FIRST));
	EXPECT_TRUE(reads(&self->dev, BASE + PG, FIRST + 1));
	ASSERT_EQ(0, MAP(8, WINDOW - 1, 1));
	EXPECT_TRUE(reads(&self->dev, BASE + 8 * PG, FIRST + WINDOW - 1));
	EXPECT_EQ(0, model_put(&self->dev, BASE, "abc", 4));
	EXPECT_EQ(0, strcmp(self->mem + FIRST * PG, "abc"));
	/* no address outside of the window */
	EXPECT_EQ(-ENXIO, MAP(32, WINDOW, 1));
	EXPECT_EQ(WINDOW * PG, fault);
	EXPECT_EQ(-ENXIO, MAP(32, WINDOW - 1, 2));
	EXPECT_EQ(WINDOW * PG, fault);
	EXPECT_EQ(-ENXIO, ia_map_ref(self->ctx, self->child, BASE + 32 * PG,
				     ROOT_BASE, PG, IA_RW));
	EXPECT_EQ(-ENXIO, ia_map_ref(self->ctx, self->child, BASE + 32 * PG,
				     -8 * PG, PG, IA_RW));
	EXPECT_EQ(-ENXIO, ia_map_ref(self->ctx, self->child, BASE + 32 * PG,
				     -ROOT_BASE, PG, IA_RW));
	EXPECT_EQ(2, info_of(self->ctx, self->child).nr_mappings);

	info = info_of(self->ctx, self->child);
	EXPECT_EQ(self->import, info.parent);
	EXPECT_EQ(3 * PG, info.bytes_mapped);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_charged);
	EXPECT_EQ(2, info.mappings_left);
	info = info_of(self->fd, self->root);
	EXPECT_EQ(1, info.nr_children);
	EXPECT_EQ(PAGES * PG, info.bytes_pinned);
}

/* An import is a parent, and has no other use. */
TEST_F(share, import_is_a_parent)
{
	struct ioasid_list_entry entries[4];
	struct ioasid_iova_range range = {};
	struct ioasid_info info = {
		.argsz = sizeof(info),
		.ioasid = self->import,
		.nr_ranges = 1,
		.ranges = IA_PTR(&range),
	};
	__u32 nr = ARRAY_SIZE(entries), id = self->import;
	__u64 any;
	int fd;

	EXPECT_EQ(0, ia_cmd(self->ctx, IOASID_GET_INFO, &info));
	EXPECT_EQ(IOASID_KIND_IMPORT, info.kind);
	EXPECT_EQ(0x1234, info.cookie);
	EXPECT_EQ(1, info.nr_children);
	EXPECT_EQ(0, info.nr_mappings);
	EXPECT_EQ(4, info.mappings_left);
	EXPECT_EQ(IA_RW, info.permission);
	EXPECT_EQ(0, info.state);
	EXPECT_EQ(1, info.nr_ranges);
	EXPECT_EQ(0, range.start);
	EXPECT_EQ(WINDOW * PG - 1, range.last);
	EXPECT_EQ(0, ia_list(self->ctx, 0, entries, &nr));
	EXPECT_EQ(4, nr);	/* import, child, device, attachment */
	EXPECT_EQ(self->import, entries[0].id);
	EXPECT_EQ(IOASID_KIND_IMPORT, entries[0].kind);
	EXPECT_EQ(0x1234, entries[0].cookie);
	EXPECT_EQ(self->import, entries[1].parent);

	EXPECT_EQ(-ENOENT, ia_map(self->ctx, id, 0, self->mem, PG));
	EXPECT_EQ(-ENOENT, ia_unmap(self->ctx, id, 0, PG, &any));
	EXPECT_EQ(-ENOENT, ia_unmap_all(self->ctx, id, &any));
	EXPECT_EQ(-ENOENT, hw_attach(self->dev.fd, id));
	EXPECT_EQ(-ENOENT, ia_export(self->ctx, id, EXPORT_RW, 0, PG, 1, &fd));
	/* nor has the export's file any other use */
	EXPECT_EQ(-ENOTTY, ia_cmd(self->export, IOASID_GET_INFO, &info));
	EXPECT_EQ(-EBADF, ia_import(self->ctx, self->ctx, 0, &id));
	EXPECT_EQ(-EBADF, ia_import(self->ctx, -1, 0, &id));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->export, F_GETFD));

	/* it counts against the limit of IOASIDs */
	EXPECT_EQ(0, ia_set_option(self->ctx, IOASID_OPTION_LIMIT_IOASIDS, 2,
				   0));
	EXPECT_EQ(-EDQUOT, ia_import(self->ctx, self->export, 0, &id));
	EXPECT_EQ(0, ia_set_option(self->ctx, IOASID_OPTION_LIMIT_IOASIDS, 3,
				   0));
	EXPECT_EQ(0, ia_import(self->ctx, self->export, 0, &id));
	EXPECT_EQ(0, ia_free(self->ctx, id));
	EXPECT_EQ(-ENOENT, ia_free(self->ctx, id));
}

TEST_F(share, permission)
{
	__u32 import, child;
	int fd;

	EXPECT_EQ(-EINVAL, ia_export(self->fd, self->root, 0, 0, PG, 1, &fd));
	EXPECT_EQ(-EINVAL, ia_export(self->fd, self->root, EXPORT_RW, 0, PG, 0,
				     &fd));
	EXPECT_EQ(-EINVAL, ia_export(self->fd, self->root, EXPORT_RW, 0, 0, 1,
				     &fd));
	EXPECT_EQ(-EINVAL, ia_export(self->fd, self->root, EXPORT_RW, 1, PG, 1,
				     &fd));
	EXPECT_EQ(-EINVAL, ia_export(self->fd, self->root, EXPORT_RW, -PG,
				     2 * PG, 1, &fd));
	ASSERT_EQ(0, ia_export(self->fd, self->root, IOASID_EXPORT_READ,
			       ROOT_BASE, PG, ~0ULL, &fd));
	ASSERT_EQ(0, ia_import(self->ctx, fd, 0, &import));
	close(fd);
	EXPECT_EQ(IOASID_MAP_READ, info_of(self->ctx, import).permission);
	EXPECT_EQ(~0ULL, info_of(self->ctx, import).mappings_left);
	ASSERT_EQ(0, ia_child(self->ctx, import, 0, &child));
	EXPECT_EQ(-EACCES, ia_map_ref(self->ctx, child, BASE, 0, PG, IA_RW));
	EXPECT_EQ(0, fault);
	EXPECT_EQ(-EACCES, ia_map_ref(self->ctx, child, BASE, 0, PG,
				      IOASID_MAP_WRITE));
	EXPECT_EQ(0, ia_map_ref(self->ctx, child, BASE, 0, PG,
				IOASID_MAP_READ));
	self->at.id = child;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	EXPECT_TRUE(reads(&self->dev, BASE, 0));
	EXPECT_LT(0, model_put(&self->dev, BASE, "abc", 4));

	/* later mappings of the owner are in the window as well */
	ASSERT_EQ(0, ia_unmap_cascade(self->fd, self->root, ROOT_BASE,
				      PAGES * PG));
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_EQ(-ENXIO, ia_map_ref(self->ctx, child, BASE, 0, PG,
				     IOASID_MAP_READ));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem + PG,
			    PG));
	EXPECT_EQ(0, ia_map_ref(self->ctx, child, BASE, 0, PG,
				IOASID_MAP_READ));
	EXPECT_TRUE(reads(&self->dev, BASE, 1));
}

TEST_F(share, quota)
{
	__u32 import, other;
	__u64 removed;
	int i;

#define LEFT() info_of(self->ctx, self->import).mappings_left
	/* of all imports of it together */
	ASSERT_EQ(0, ia_import(self->ctx, self->export, 0, &import));
	ASSERT_EQ(0, ia_child(self->ctx, import, 0, &other));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, MAP(8 * i, 0, 4));
	EXPECT_EQ(1, LEFT());
	ASSERT_EQ(0, ia_map_ref(self->ctx, other, BASE, 0, PG, IA_RW));
	EXPECT_EQ(0, LEFT());
	EXPECT_EQ(0, info_of(self->ctx, import).mappings_left);
	EXPECT_EQ(-EDQUOT, MAP(40, 0, 1));
	EXPECT_EQ(-EDQUOT, ia_map_ref(self->ctx, other, 0, 0, PG, IA_RW));
	/* reserved ranges are not mappings of it */
	EXPECT_EQ(0, ia_reserve(self->ctx, other, 0, 3 * PG));
	EXPECT_EQ(0, ia_unmap_full(self->ctx, other, IOASID_UNMAP_SPLIT, PG, PG,
				   &removed));
	/* a hole splits a mapping in two; a shorter mapping stays one */
	EXPECT_EQ(-EDQUOT, ia_unmap_full(self->ctx, self->child,
					 IOASID_UNMAP_SPLIT, BASE + PG, PG,
					 &removed));
	EXPECT_EQ(0, removed);
	EXPECT_TRUE(reads(&self->dev, BASE + PG, FIRST + 1));
	EXPECT_EQ(0, ia_unmap_full(self->ctx, self->child, IOASID_UNMAP_SPLIT,
				   BASE + 3 * PG, PG, &removed));
	EXPECT_EQ(PG, removed);
	EXPECT_EQ(0, LEFT());
	ASSERT_EQ(0, ia_unmap_all(self->ctx, other, NULL));
	EXPECT_EQ(1, LEFT());
	EXPECT_EQ(0, ia_unmap_full(self->ctx, self->child, IOASID_UNMAP_SPLIT,
				   BASE + PG, PG, &removed));
	EXPECT_EQ(0, LEFT());
	/* cuts by the owner are not limited */
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT,
				   ROOT_BASE + (FIRST + 1) * PG, PG, NULL));
	EXPECT_EQ(0, LEFT());
	EXPECT_TRUE(faults(&self->dev, BASE + 9 * PG));
	EXPECT_TRUE(reads(&self->dev, BASE + 8 * PG, FIRST));
	EXPECT_TRUE(reads(&self->dev, BASE + 10 * PG, FIRST + 2));
	EXPECT_EQ(-EDQUOT, MAP(40, 0, 1));
	/* and failures use no quota */
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->child, NULL));
	EXPECT_EQ(4, LEFT());
	EXPECT_EQ(-ENXIO, MAP(0, 1, 1));
	EXPECT_EQ(-ENXIO, MAP(0, 0, 2));
	EXPECT_EQ(4, LEFT());
	/* nor do mappings that end with their child */
	ASSERT_EQ(0, ia_map_ref(self->ctx, other, BASE, 0, PG, IA_RW));
	ASSERT_EQ(0, ia_free(self->ctx, other));
	EXPECT_EQ(4, LEFT());
	EXPECT_EQ(0, ia_free(self->ctx, import));
}

TEST_F(share, owner_unmaps)
{
	ASSERT_EQ(0, MAP(0, 0, 8));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT_BASE, PAGES * PG,
				   NULL));
	EXPECT_EQ(-EBUSY, ia_unmap_all(self->fd, self->root, NULL));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->root));
	/* outside of the window */
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_SPLIT,
				   ROOT_BASE, FIRST * PG, NULL));
	/* through the window */
	EXPECT_EQ(-EINVAL, ia_unmap_cascade(self->fd, self->root, ROOT_BASE +
					    (FIRST + 2) * PG, PG));
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT,
				   ROOT_BASE + (FIRST + 2) * PG, PG, NULL));
	EXPECT_TRUE(reads(&self->dev, BASE + PG, FIRST + 1));
	EXPECT_TRUE(faults(&self->dev, BASE + 2 * PG));
	EXPECT_TRUE(reads(&self->dev, BASE + 3 * PG, FIRST + 3));
	EXPECT_EQ(-ENXIO, MAP(2, 2, 1));
	EXPECT_EQ(2 * PG, fault);
	EXPECT_EQ(2, info_of(self->ctx, self->child).nr_mappings);
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_ALL |
				   IOASID_UNMAP_CASCADE, 0, 0, NULL));
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_EQ(0, info_of(self->ctx, self->child).nr_mappings);
	EXPECT_EQ(0, ia_status("VmPin"));
}

/* Pages that a change refers to, each in a mapping of its own */
#define LONG (ia_slow_kernel() ? 8192UL : 65536UL)

struct replace {
	int ctx;
	__u32 child;
	int rc;
};

static void *replace_long(void *arg)
{
	struct replace *r = arg;
	__u64 iova = BASE;

	r->rc = ia_map_full(r->ctx, r->child, IA_RW_FIXED | IOASID_MAP_REPLACE,
			    &iova, 0, LONG * PG, 0, 0, 0, NULL);
	return NULL;
}

static int map_pages(int fd, __u32 id, char *page, unsigned long n)
{
	struct ioasid_dma_op ops[256];
	struct ioasid_dma_batch cmd = {
		.argsz = sizeof(cmd),
		.ioasid = id,
		.nr = ARRAY_SIZE(ops),
		.ops = IA_PTR(ops),
	};
	unsigned long i, k;

	for (i = 0; i < n; i += ARRAY_SIZE(ops)) {
		for (k = 0; k < ARRAY_SIZE(ops); k++)
			ops[k] = (struct ioasid_dma_op) {
				.op = IOASID_DMA_OP_MAP,
				.flags = IA_RW_FIXED,
				.iova = BASE + (i + k) * PG,
				.addr = IA_PTR(page),
				.length = PG,
			};
		if (ia_cmd(fd, IOASID_DMA_BATCH, &cmd) ||
		    cmd.done != ARRAY_SIZE(ops))
			return -1;
	}
	return 0;
}

/*
 * The owner does not wait for a long change by reference: it stops, and finds
 * the page gone when it begins again.  The page is taken while the export counts
 * the new mapping; in some rounds the change has ended by then.
 */
TEST_F_TIMEOUT(share, owner_stops_replace, 200)
{
	struct replace r = { .ctx = self->ctx };
	__u64 last = BASE + (LONG - 1) * PG;
	int export, i, stopped = 0;
	pthread_t thread;
	__u32 import;

	ASSERT_EQ(0, map_pages(self->fd, self->root, self->mem, LONG));
	ASSERT_EQ(0, ia_export(self->fd, self->root, EXPORT_RW, BASE, LONG * PG,
			       4, &export));
	ASSERT_EQ(0, ia_import(self->ctx, export, 0, &import));
	ASSERT_EQ(0, ia_child(self->ctx, import, 0, &r.child));
	self->at.id = r.child;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	for (i = 0; i < 50 && !stopped; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, replace_long, &r));
		while (!info_of(self->ctx, import).nr_mappings)
			sched_yield();
		ASSERT_EQ(0, ia_unmap_full(self->fd, self->root,
					   IOASID_UNMAP_CASCADE |
					   IOASID_UNMAP_SPLIT, last, PG, NULL));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_TRUE(faults(&self->dev, BASE + LONG * PG - PG));
		if (r.rc) {
			ASSERT_EQ(-ENXIO, r.rc);
			EXPECT_TRUE(faults(&self->dev, BASE));
			EXPECT_EQ(0, info_of(self->ctx, r.child).nr_mappings);
			EXPECT_EQ(0, info_of(self->ctx, import).nr_mappings);
			stopped++;
		}
		ASSERT_EQ(0, ia_unmap_all(self->ctx, r.child, NULL));
		ASSERT_EQ(0, ia_map(self->fd, self->root, last, self->mem, PG));
	}
	EXPECT_LT(0, stopped);
	close(export);
}

static void *protect_long(void *arg)
{
	struct replace *r = arg;

	r->rc = protect(r->ctx, r->child, BASE, LONG * PG, IOASID_MAP_READ);
	return NULL;
}

/* What the owner does while the import protects one page after the other */
enum { UNMAP_FIRST, UNMAP_LAST, UNMAP_EDGE, FREE, CLOSE };

static int owner_takes(int ctx, __u32 root, int way)
{
	switch (way) {
	case UNMAP_FIRST:
		return ia_unmap_cascade(ctx, root, BASE, PG);
	case UNMAP_LAST:
		return ia_unmap_cascade(ctx, root, BASE + (LONG - 1) * PG, PG);
	case UNMAP_EDGE:
		return ia_unmap_full(ctx, root, IOASID_UNMAP_CASCADE |
				     IOASID_UNMAP_SPLIT, BASE + LONG / 2 * PG,
				     PG, NULL);
	case FREE:
		return ia_free_cascade(ctx, root);
	default:
		return close(ctx);
	}
}

/*
 * The owner does not wait for a long change of permission either, whether that is
 * still to come to the mapping or is past it: it stops, and finds pages gone when it
 * begins again.  It has begun when the device cannot write the first page; in some
 * rounds it has ended by then.
 */
static void owner_stops_protect(struct __test_metadata *_metadata,
				struct _test_data_share *self, int way)
{
	struct replace r = { .ctx = self->ctx };
	int owner, export, i, stopped = 0;
	__u32 root, import;
	pthread_t thread;

	for (i = 0; i < 50 && !stopped; i++) {
		owner = ia_open();
		ASSERT_LE(0, owner);
		ASSERT_EQ(0, ia_alloc(owner, &root));
		ASSERT_EQ(0, map_pages(owner, root, self->mem, LONG));
		ASSERT_EQ(0, ia_export(owner, root, EXPORT_RW, BASE, LONG * PG,
				       4, &export));
		ASSERT_EQ(0, ia_import(self->ctx, export, 0, &import));
		close(export);
		ASSERT_EQ(0, ia_child(self->ctx, import, 0, &r.child));
		/* Mappings for the first page, for the last, and for the others */
		ASSERT_EQ(0, ia_map_ref(self->ctx, r.child, BASE, 0, PG, IA_RW));
		ASSERT_EQ(0, ia_map_ref(self->ctx, r.child, BASE + PG, PG,
					(LONG - 2) * PG, IA_RW));
		ASSERT_EQ(0, ia_map_ref(self->ctx, r.child,
					BASE + (LONG - 1) * PG, (LONG - 1) * PG,
					PG, IA_RW));
		self->at.id = r.child;
		ASSERT_EQ(0, model_attach(&self->dev, &self->at));
		ASSERT_EQ(0, pthread_create(&thread, NULL, protect_long, &r));
		while (!model_put(&self->dev, BASE, "a", 1))
			sched_yield();
		EXPECT_EQ(0, owner_takes(owner, root, way));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		if (way != CLOSE && way != FREE)
			EXPECT_EQ(0, ia_free_cascade(owner, root));
		if (r.rc) {
			ASSERT_EQ(-ENXIO, r.rc);
			stopped++;
		}
		EXPECT_TRUE(faults(&self->dev, BASE));
		EXPECT_TRUE(faults(&self->dev, BASE + PG));
		EXPECT_TRUE(faults(&self->dev, BASE + (LONG - 1) * PG));
		EXPECT_EQ(0, info_of(self->ctx, r.child).nr_mappings);
		EXPECT_NO_HARM(&self->dev);
		ASSERT_EQ(0, model_detach(&self->dev));
		ASSERT_EQ(0, ia_free(self->ctx, r.child));
		ASSERT_EQ(0, ia_free(self->ctx, import));
		if (way != CLOSE)
			close(owner);
	}
	EXPECT_LT(0, stopped);
}

TEST_F_TIMEOUT(share, owner_stops_protect_behind, 200)
{
	owner_stops_protect(_metadata, self, UNMAP_FIRST);
}

TEST_F_TIMEOUT(share, owner_stops_protect_ahead, 200)
{
	owner_stops_protect(_metadata, self, UNMAP_LAST);
}

TEST_F_TIMEOUT(share, owner_stops_protect_by_cut, 200)
{
	owner_stops_protect(_metadata, self, UNMAP_EDGE);
}

TEST_F_TIMEOUT(share, owner_stops_protect_by_free, 200)
{
	owner_stops_protect(_metadata, self, FREE);
}

TEST_F_TIMEOUT(share, owner_stops_protect_by_close, 200)
{
	owner_stops_protect(_metadata, self, CLOSE);
}

TEST_F(share, owner_frees)
{
	__u32 id;

	ASSERT_EQ(0, MAP(0, 0, 8));
	/* imported, though no memory is mapped now */
	ASSERT_EQ(0, ia_free_cascade(self->fd, self->root));
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_EQ(0, ia_status("VmPin"));
	EXPECT_EQ(-ENODEV, MAP(0, 0, 1));
	EXPECT_EQ(-ENODEV, ia_child(self->ctx, self->import, 0, &id));
	EXPECT_EQ(-ENODEV, ia_import(self->ctx, self->export, 0, &id));
	EXPECT_TRUE(info_of(self->ctx, self->import).state &
		    IOASID_STATE_ORPHAN);
	EXPECT_TRUE(info_of(self->ctx, self->child).state &
		    IOASID_STATE_ORPHAN);
	EXPECT_EQ(-ENOENT, ia_export(self->fd, self->root, EXPORT_RW, 0, PG, 1,
				     &(int){ 0 }));
	/* reserved ranges are not the importer's */
	EXPECT_EQ(0, ia_reserve(self->ctx, self->child, 0, PG));
	EXPECT_EQ(-EBUSY, ia_free(self->ctx, self->import));
}

TEST_F(share, busy_while_imported)
{
	__u32 root, import;
	int fd;

	ASSERT_EQ(0, ia_alloc(self->fd, &root));
	/* an export alone keeps no memory */
	ASSERT_EQ(0, ia_export(self->fd, root, EXPORT_RW, 0, PG, 1, &fd));
	ASSERT_EQ(0, ia_import(self->ctx, fd, 0, &import));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, root));
	EXPECT_EQ(0, ia_free(self->ctx, import));
	EXPECT_EQ(0, ia_free(self->fd, root));
	EXPECT_EQ(-ENODEV, ia_import(self->ctx, fd, 0, &import));
	close(fd);
}

/* A file without imports keeps no object in use. */
TEST_F(share, file_keeps_nothing)
{
	__u32 child, other;
	int export;

	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &child));
	ASSERT_EQ(0, ia_export(self->fd, child, EXPORT_RW, 0, PG, 1, &export));
	ASSERT_EQ(2, info_of(self->fd, self->root).nr_children);
	ASSERT_EQ(0, ia_free(self->fd, child));
	EXPECT_EQ(1, info_of(self->fd, self->root).nr_children);
	EXPECT_EQ(-ENODEV, ia_import(self->ctx, export, 0, &other));
	/* nor by the child of an import */
	ASSERT_EQ(0, ia_child(self->ctx, self->import, 0, &child));
	close(export);
	ASSERT_EQ(0, ia_export(self->ctx, child, EXPORT_RW, 0, PG, 1, &export));
	ASSERT_EQ(0, ia_free(self->ctx, child));
	EXPECT_EQ(1, info_of(self->ctx, self->import).nr_children);
	close(export);
	EXPECT_EQ(1, info_of(self->ctx, self->import).nr_children);
	EXPECT_EQ(1, info_of(self->fd, self->root).nr_children);
}

TEST_F(share, owner_closes)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, MAP(0, 0, 8));
	ASSERT_EQ(0, ia_reserve(self->ctx, self->child, 0, PG));
	close(self->fd);
	self->owner.ctx = -1;
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_EQ(0, ia_status("VmPin"));
	EXPECT_EQ(-ENODEV, MAP(0, 0, 1));
	EXPECT_EQ(1, info_of(self->ctx, self->child).nr_mappings);
	/* the file outlives all contexts */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ia_import(self->ctx, self->export, 0, &(__u32){ 0 }) !=
		      -ENODEV);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	self->fd = self->export;
}

/*
 * The owner's objects go, although a device keeps its context and attachment.
 */
TEST_F(share, owner_closes_with_devices)
{
	struct model_space at = {
		.model = &self->owner, .container = -1,
	};
	struct model_device dev;

	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &at.id));
	ASSERT_EQ(0, ia_map_ref(self->fd, at.id, BASE, ROOT_BASE + FIRST * PG,
				PG, IA_RW));
	ASSERT_EQ(0, model_plug(&self->user, &dev, NULL, 0));
	dev.model = &self->owner;
	ASSERT_EQ(0, model_attach(&dev, &at));
	ASSERT_EQ(0, MAP(0, 0, 8));
	EXPECT_TRUE(reads(&self->dev, BASE, FIRST));
	close(self->fd);
	self->owner.ctx = -1;
	self->fd = self->export;
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_TRUE(reads(&dev, BASE, FIRST));
	EXPECT_EQ(-ENODEV, MAP(0, 0, 1));
	EXPECT_TRUE(info_of(self->ctx, self->import).state &
		    IOASID_STATE_ORPHAN);
	EXPECT_TRUE(info_of(self->ctx, self->child).state &
		    IOASID_STATE_ORPHAN);
	EXPECT_EQ(-ENODEV, ia_import(self->ctx, self->export, 0,
				     &(__u32){ 0 }));
	dev.model = &self->user;
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	EXPECT_EQ(0, ia_status("VmPin"));
}

TEST_F(share, user_frees)
{
	__u32 grandchild;

	ASSERT_EQ(0, MAP(0, 0, 8));
	ASSERT_EQ(0, ia_reserve(self->ctx, self->child, 0, PG));
	ASSERT_EQ(0, ia_child(self->ctx, self->child, 0, &grandchild));
	ASSERT_EQ(0, ia_map_ref(self->ctx, grandchild, BASE, BASE + PG, PG,
				IA_RW));
	EXPECT_EQ(-EBUSY, ia_free(self->ctx, self->import));
	ASSERT_EQ(0, ia_free_cascade(self->ctx, self->import));
	EXPECT_TRUE(faults(&self->dev, BASE));
	EXPECT_EQ(0, info_of(self->ctx, grandchild).nr_mappings);
	EXPECT_EQ(1, info_of(self->ctx, self->child).nr_mappings);
	EXPECT_EQ(self->import, info_of(self->ctx, self->child).parent);
	EXPECT_EQ(-ENODEV, MAP(0, 0, 1));
	EXPECT_TRUE(info_of(self->ctx, self->child).state &
		    IOASID_STATE_ORPHAN);
	/* the owner can free it, once the last child is freed */
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->root, NULL));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->root));
	model_release(&self->dev);
	EXPECT_EQ(0, ia_free(self->ctx, grandchild));
	EXPECT_EQ(0, ia_free(self->ctx, self->child));
	EXPECT_EQ(0, ia_free(self->fd, self->root));
}

TEST_F(share, user_closes)
{
	ASSERT_EQ(0, MAP(0, 0, 8));
	model_release(&self->dev);
	close(self->ctx);
	self->user.ctx = -1;
	EXPECT_EQ(0, info_of(self->fd, self->root).nr_children);
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->root, NULL));
	EXPECT_EQ(0, ia_free(self->fd, self->root));
}

/*
 * An import of an export of the same context, and an export of an import:
 * levels count in all contexts.
 */
TEST_F(share, levels)
{
	int fd[3], ctx = ia_open();
	__u32 own, below, far, id;

	ASSERT_LE(0, ctx);
	ASSERT_EQ(0, ia_import(self->fd, self->export, 0, &own));
	ASSERT_EQ(0, ia_child(self->fd, own, 0, &below));
	ASSERT_EQ(0, ia_map_ref(self->fd, below, BASE, 0, 4 * PG, IA_RW));
	/* user: a child of the import is exported again */
	ASSERT_EQ(0, MAP(0, 4, 8));
	ASSERT_EQ(0, ia_export(self->ctx, self->child, EXPORT_RW, BASE, 8 * PG,
			       4, &fd[0]));
	ASSERT_EQ(0, ia_import(ctx, fd[0], 0, &id));
	ASSERT_EQ(0, ia_child(ctx, id, 0, &far));
	ASSERT_EQ(0, ia_map_ref(ctx, far, BASE, 2 * PG, 2 * PG, IA_RW));
	/* and back to the owner: the last level */
	ASSERT_EQ(0, ia_export(ctx, far, EXPORT_RW, BASE, PG, 4, &fd[1]));
	ASSERT_EQ(0, ia_import(self->fd, fd[1], 0, &id));
	ASSERT_EQ(0, ia_child(self->fd, id, 0, &own));
	ASSERT_EQ(0, ia_map_ref(self->fd, own, BASE, 0, PG, IA_RW));
	ASSERT_EQ(0, ia_export(self->fd, own, EXPORT_RW, 0, PG, 4, &fd[2]));
	EXPECT_EQ(-ELOOP, ia_import(ctx, fd[2], 0, &id));
	EXPECT_EQ(-ELOOP, ia_child(self->fd, own, 0, &id));

	/* through all of them */
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT,
				   ROOT_BASE + (FIRST + 6) * PG, PG, NULL));
	EXPECT_EQ(0, info_of(self->fd, own).nr_mappings);
	EXPECT_EQ(PG, info_of(ctx, far).bytes_mapped);
	EXPECT_TRUE(reads(&self->dev, BASE + PG, FIRST + 5));
	EXPECT_TRUE(faults(&self->dev, BASE + 2 * PG));
	/* the one in the middle is freed */
	EXPECT_EQ(0, ia_free_cascade(ctx, far));
	EXPECT_EQ(-ENODEV, ia_map_ref(self->fd, own, BASE, 0, PG, IA_RW));
	close(fd[0]);
	close(fd[1]);
	close(fd[2]);
	close(ctx);
}

/* An owner in another process, which pays for all. */
TEST_F(share, other_process)
{
	struct rlimit none = { 0, 0 };
	int sock[2], status, fd;
	__u32 import, child;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int ctx = ia_open(), export;
		__u32 root;

		/* until it is killed */
		if (ia_alloc(ctx, &root) ||
		    ia_map(ctx, root, 0, self->mem, PAGES * PG) ||
		    ia_export(ctx, root, EXPORT_RW, 0, PAGES * PG, 100,
			      &export) || ia_send_fd(sock[1], export))
			_exit(1);
		pause();
		_exit(2);
	}
	close(sock[1]);
	fd = ia_recv_fd(sock[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	ASSERT_EQ(0, ia_import(self->ctx, fd, 0, &import));
	close(fd);
	ASSERT_EQ(0, ia_child(self->ctx, import, 0, &child));
	ASSERT_EQ(0, ia_map_ref(self->ctx, child, BASE, 5 * PG, 8 * PG, IA_RW));
	self->at.id = child;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	EXPECT_TRUE(reads(&self->dev, BASE + PG, 6));
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, BASE, 1, 8,
				  1));
	ASSERT_EQ(0, model_hammered(&self->dev, 1, 100));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	/* its files are closed before it can be waited for */
	EXPECT_TRUE(faults(&self->dev, BASE + PG));
	EXPECT_EQ(0, model_stop(&self->dev, 1, NULL));
	EXPECT_EQ(-ENODEV, ia_map_ref(self->ctx, child, 0, 5 * PG, PG, IA_RW));
	EXPECT_EQ(0, read(sock[0], &byte, 1));
	close(sock[0]);
}

/*
 * Memory that the user's IOMMU may still reach stays pinned after the owner has
 * ended, and is released with the user.
 */
TEST_F(share, poisoned_user)
{
	__u32 import, child;

	ASSERT_EQ(0, ia_import(self->ctx, self->export, 0, &import));
	ASSERT_EQ(0, ia_child(self->ctx, import, 0, &child));
	ASSERT_EQ(0, ia_map_ref(self->ctx, child, BASE, 0, 8 * PG, IA_RW));
	ASSERT_EQ(0, MAP(0, 0, 8));
	ASSERT_EQ(0, MAP(8, 8, 8));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	close(self->fd);
	self->owner.ctx = -1;
	self->fd = self->export;
	EXPECT_TRUE(info_of(self->ctx, self->child).state &
		    IOASID_STATE_POISONED);
	EXPECT_EQ(0, info_of(self->ctx, child).nr_mappings);
	EXPECT_EQ(NULL, model_harm(&self->dev));
	EXPECT_EQ((long long)(PAGES * PG / 1024), ia_status("VmPin"));
	EXPECT_EQ(0, model_detach(&self->dev));
	EXPECT_EQ(NULL, model_harm(&self->dev));
	EXPECT_EQ(0, ia_free(self->ctx, child));
	EXPECT_EQ(0, ia_free(self->ctx, import));
	EXPECT_EQ(0, ia_free(self->ctx, self->child));
	EXPECT_EQ((long long)(PAGES * PG / 1024), ia_status("VmPin"));
	EXPECT_EQ(0, ia_free(self->ctx, self->import));
	EXPECT_EQ(0, ia_status("VmPin"));
}

/* --- threads --- */

struct race {
	int ctx;
	int export;
	__u32 child;
	bool stop;
	unsigned long done[4];
};

static void *race_user(void *arg)
{
	struct race *r = arg;
	unsigned int seed = 5;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		unsigned int from = rand_r(&seed) % WINDOW;
		unsigned int n = 1 + rand_r(&seed) % (WINDOW - from);
		__u64 at = BASE + rand_r(&seed) % WINDOW * PG;

		if (!ia_map_ref(r->ctx, r->child, at, from * PG, n * PG, IA_RW))
			r->done[0]++;
		ia_unmap_full(r->ctx, r->child, IOASID_UNMAP_SPLIT,
			      at + n / 2 * PG, PG, NULL);
		if (rand_r(&seed) % 4 == 0)
			ia_unmap(r->ctx, r->child, BASE, 2 * WINDOW * PG, NULL);
	}
	return NULL;
}

/* Contexts start, use a family of imports, and end. */
static void *race_contexts(void *arg)
{
	struct race *r = arg;
	__u32 import, child, below;
	unsigned int seed = 7;
	int ctx;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		ctx = ia_open();
		if (ctx < 0)
			continue;
		if (!ia_import(ctx, r->export, 0, &import) &&
		    !ia_child(ctx, import, 0, &child) &&
		    !ia_child(ctx, child, 0, &below)) {
			r->done[1]++;
			if (!ia_map_ref(ctx, child, BASE, 0, 4 * PG, IA_RW))
				r->done[2]++;
			ia_map_ref(ctx, below, BASE, BASE, 2 * PG, IA_RW);
			if (rand_r(&seed) % 3 == 0)
				ia_free_cascade(ctx, import);
		}
		close(ctx);
	}
	return NULL;
}

TEST_F_TIMEOUT(share, races, 200)
{
	__u64 end = ia_now_ms() + (ia_slow_kernel() ? 20000 : 8000);
	unsigned int rounds = 0, seed = 3, i;
	pthread_t thread[3];
	struct race r = {
		.ctx = self->ctx, .export = self->export,
		.child = self->child,
	};

	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, BASE, 1,
				  2 * WINDOW, 1));
	ASSERT_EQ(0, pthread_create(&thread[0], NULL, race_user, &r));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, race_contexts, &r));
	ASSERT_EQ(0, pthread_create(&thread[2], NULL, race_contexts, &r));
	while (ia_now_ms() < end) {
		unsigned int at = rand_r(&seed) % PAGES;
		unsigned int n = 1 + rand_r(&seed) % (PAGES - at);

		ASSERT_EQ(0, ia_unmap_full(self->fd, self->root,
					   IOASID_UNMAP_CASCADE |
					   IOASID_UNMAP_SPLIT,
					   ROOT_BASE + at * PG, n * PG, NULL));
		for (i = at; i < at + n; i++)
			ASSERT_EQ(0, ia_map(self->fd, self->root,
					    ROOT_BASE + i * PG,
					    self->mem + i * PG, PG));
		if (++rounds % 64 == 0)
			EXPECT_NO_HARM(&self->dev);
	}
	/* the owner ends while they continue */
	close(self->fd);
	self->owner.ctx = -1;
	self->fd = self->export;
	EXPECT_EQ(0, ia_status("VmPin"));
	EXPECT_NO_HARM(&self->dev);
	usleep(20000);
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 3; i++)
		EXPECT_LT(0, r.done[i]) TH_LOG("%u", i);
	EXPECT_LT(0, rounds);
	EXPECT_EQ(0, model_stop(&self->dev, 1, NULL));
}

static pthread_barrier_t ending;

static void *end_one(void *fd)
{
	pthread_barrier_wait(&ending);
	close(*(int *)fd);
	return NULL;
}

/* Owner, user and export end at once, or in any order. */
TEST_F(share, all_end)
{
	static const int orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	unsigned int i, k, nr = ia_slow_kernel() ? 100 : 400;
	__u32 root, import, child, below;
	pthread_t thread[3];
	int fd[3];

	ASSERT_EQ(0, ia_unmap_all(self->fd, self->root, NULL));
	ASSERT_EQ(0, pthread_barrier_init(&ending, NULL, 3));
	for (i = 0; i < nr; i++) {
		fd[0] = ia_open();
		fd[1] = ia_open();
		ASSERT_LE(0, fd[0]);
		ASSERT_LE(0, fd[1]);
		ASSERT_EQ(0, ia_alloc(fd[0], &root));
		ASSERT_EQ(0, ia_map(fd[0], root, 0, self->mem, 8 * PG));
		ASSERT_EQ(0, ia_export(fd[0], root, EXPORT_RW, 0, 8 * PG, 9,
				       &fd[2]));
		ASSERT_EQ(0, ia_import(fd[1], fd[2], 0, &import));
		ASSERT_EQ(0, ia_child(fd[1], import, 0, &child));
		ASSERT_EQ(0, ia_map_ref(fd[1], child, 0, 0, 8 * PG, IA_RW));
		ASSERT_EQ(0, ia_child(fd[1], child, 0, &below));
		ASSERT_EQ(0, ia_map_ref(fd[1], below, 0, 0, 8 * PG, IA_RW));
		ASSERT_EQ(0, ia_reserve(fd[1], below, SZ_1G, PG));
		for (k = 0; k < 3; k++) {
			if (i % 2)
				close(fd[orders[i / 2 % 6][k]]);
			else
				ASSERT_EQ(0, pthread_create(&thread[k], NULL,
							    end_one, &fd[k]));
		}
		for (k = 0; k < 3 && i % 2 == 0; k++)
			pthread_join(thread[k], NULL);
		ASSERT_EQ(0, ia_status("VmPin"));
	}
	pthread_barrier_destroy(&ending);
}

TEST_HARNESS_MAIN
