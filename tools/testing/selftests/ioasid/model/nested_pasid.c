// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of user space and PASIDs: a table for DMA with a PASID, beside others
 * of the same device, and tables that have a page table for each PASID.
 */
#include <pthread.h>

#include "nested_fixture.h"
#include "fault.h"
#include "pasid.h"
#include "state.h"

#define BITS 8
#define FLAGS (MODEL_NESTING | MODEL_USER_PASID_TABLE | MODEL_ATS)
#define PASIDS { .flags = FLAGS, .pasid_bits = BITS }
#define PASIDS_1 { .flags = FLAGS, .pasid_bits = BITS, .unit = 1 }
#define PASIDS_BLOCK { .flags = FLAGS | MODEL_NO_REPLACE_PASIDS, .pasid_bits = BITS }

/* The data page that DMA with a PASID reaches at the first page of the table */
#define REACHES(page, dev, pasid)					\
	EXPECT_EQ(page, pasid_page_at(dev, pasid, VA(DATA)))
#define REACHES_A(dev, pasid) REACHES(DATA, dev, pasid)
#define REACHES_B(dev, pasid) REACHES(PAGES - 1, dev, pasid)
#define NO_PASID(dev, pasid) REACHES(-MODEL_FAULT_PASID, dev, pasid)

static __u32 table_child(struct _test_data_nested *self)
{
	__u32 id = 0;

	if (nested_child(self->fd, self->root.id, MODEL_HWPT_DATA_S1, &id))
		return 0;
	return id;
}

/* The same IOASID by requester id of one device, by two PASIDs, by another unit */
TEST_F(nested, by_pasid)
{
	PLUG(&self->a, PASIDS);
	PLUG(&self->b, PASIDS_1);
	ATTACH(&self->a, &self->root);
	ASSERT_EQ(0, model_bind(&self->b));
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 1));
	ASSERT_EQ(0, pasid_attach(&self->b, self->child.id, 7));
	STATE(ATTACHED | UNBOUND, 2, 0);
	NO_PASID(&self->a, 1);
	NO_PASID(&self->b, 7);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	STATE(ATTACHED, 2, 2);
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 2));
	STATE(ATTACHED, 3, 2);
	REACHES_A(&self->a, 1);
	REACHES_A(&self->a, 2);
	REACHES_A(&self->b, 7);
	NO_PASID(&self->a, 7);
	/* The requester id is beside them */
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 0, GPA(DATA)));
	EXPECT_EQ(-MODEL_FAULT_ABSENT, pasid_page_at(&self->a, 0, VA(DATA)));
	EXPECT_EQ(-MODEL_FAULT_BLOCKED, pasid_page_at(&self->b, 0, VA(DATA)));

	ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE, TABLE_B));
	REACHES_B(&self->a, 1);
	REACHES_B(&self->a, 2);
	REACHES_B(&self->b, 7);
	ASSERT_EQ(0, pasid_detach(&self->a, 1));
	NO_PASID(&self->a, 1);
	REACHES_B(&self->a, 2);
	STATE(ATTACHED, 2, 2);
	ASSERT_EQ(0, UNBIND());
	NO_PASID(&self->a, 2);
	NO_PASID(&self->b, 7);
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 0, GPA(DATA)));
	STATE(ATTACHED | UNBOUND, 2, 0);
	ASSERT_EQ(0, pasid_detach(&self->a, 2));
	ASSERT_EQ(0, pasid_detach(&self->b, 7));
	STATE(UNBOUND, 0, 0);
	EXPECT_EQ(0, ia_free(self->fd, self->child.id));
}

/* One table for each PASID: a command for one leaves the other alone */
TEST_F(nested, one_each)
{
	struct model_counters before;
	__u32 other = table_child(self);

	ASSERT_NE(0, other);
	PLUG(&self->a, PASIDS);
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 1));
	ASSERT_EQ(0, pasid_attach(&self->a, other, 2));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	REACHES_A(&self->a, 1);
	NO_PASID(&self->a, 2);
	ASSERT_EQ(0, bind_table(self->fd, other, 0, TABLE_B));
	REACHES_A(&self->a, 1);
	REACHES_B(&self->a, 2);
	s1_map(self->mem, TABLE_A, DATA, DATA + 2);
	s1_map(self->mem, TABLE_B, DATA, DATA + 3);
	before = model_counters(&self->a);
	ASSERT_EQ(0, nested_flush(self->fd, other, self->a.devid, 0, 0));
	EXPECT_EQ(before.flush_user + 1, model_counters(&self->a).flush_user);
	REACHES_A(&self->a, 1);
	REACHES(DATA + 3, &self->a, 2);
	ASSERT_EQ(0, FLUSH(0, 0));
	REACHES(DATA + 2, &self->a, 1);
	ASSERT_EQ(0, unbind_table(self->fd, other));
	NO_PASID(&self->a, 2);
	REACHES(DATA + 2, &self->a, 1);
	ASSERT_EQ(0, pasid_detach(&self->a, 1));
	EXPECT_EQ(-ENODEV, nested_flush(self->fd, self->child.id, self->a.devid,
					0, 0));
	EXPECT_EQ(0, FLUSH(0, 0));
}

/* Through the TLB of the device, which is invalidated by itself */
TEST_F(nested, device_tlb)
{
	struct ioasid_invalidate inv = { .flags = IOASID_INVALIDATE_IOTLB };
	struct ioasid_invalidate_cache cmd;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_READ,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_ATS,
		.pasid = 1,
		.address = VA(DATA),
		.length = 1,
	};
	__u8 byte = 0;

#define ATS_READS(page)							\
do {									\
	ASSERT_EQ(0, model_dma(&self->a, &dma, NULL));			\
	ASSERT_EQ(0, model_read_memory(&self->a, 0, &byte, 1));		\
	EXPECT_EQ((page) + 1, byte);					\
} while (0)

	PLUG(&self->a, PASIDS);
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 1));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ATS_READS(DATA);
	s1_map(self->mem, TABLE_A, DATA, DATA + 1);
	cmd = nested_invalidation(self->child.id, &inv, 1);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_INVALIDATE_CACHE, &cmd));
	ATS_READS(DATA);
	inv.flags = IOASID_INVALIDATE_DEVTLB;
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_INVALIDATE_CACHE, &cmd));
	ATS_READS(DATA + 1);
	/* A detach leaves nothing there */
	ASSERT_EQ(0, pasid_detach(&self->a, 1));
	EXPECT_EQ(MODEL_FAULT_PASID, model_dma(&self->a, &dma, NULL));
}

static void moves(struct __test_metadata *_metadata,
		  struct _test_data_nested *self, bool hitless)
{
	__u32 flags = IOASID_ATTACH_PASID | IOASID_ATTACH_HITLESS;
	__u32 other = table_child(self);

	ASSERT_NE(0, other);
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, pasid_attach(&self->a, self->root.id, 3));
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 3, GPA(DATA)));
	/* To an IOASID without a table, and from there: nothing to hit */
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 3));
	NO_PASID(&self->a, 3);
	EXPECT_EQ(0, pasid_attach_flags(&self->a, self->root.id, 3, flags));
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 3, GPA(DATA)));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 3));
	REACHES_A(&self->a, 3);
	ASSERT_EQ(0, bind_table(self->fd, other, 0, TABLE_B));
	EXPECT_EQ(hitless ? 0 : -EOPNOTSUPP,
		  pasid_attach_flags(&self->a, other, 3, flags));
	REACHES(hitless ? PAGES - 1 : DATA, &self->a, 3);
	ASSERT_EQ(0, pasid_attach(&self->a, other, 3));
	REACHES_B(&self->a, 3);
	/* A move that fails leaves it where it was */
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH_PASID, 1, 0));
	EXPECT_EQ(-ENOMEM, pasid_attach(&self->a, self->root.id, 3));
	REACHES_B(&self->a, 3);
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ALLOC, 1, 0));
	EXPECT_GT(0, pasid_attach(&self->a, self->child.id, 3));
	REACHES_B(&self->a, 3);
	/* It follows the binds of where it is again */
	ASSERT_EQ(0, bind_table(self->fd, other, IOASID_BIND_REPLACE, TABLE_A));
	REACHES_A(&self->a, 3);
	STATE(0, 0, 0);
	ASSERT_EQ(0, pasid_attach(&self->a, self->root.id, 3));
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 3, GPA(DATA)));
	EXPECT_EQ(0, ia_free(self->fd, other));
}

TEST_F(nested, pasid_moves)
{
	PLUG(&self->a, PASIDS);
	moves(_metadata, self, ia_check(self->fd, IOASID_EXT_PASID_HITLESS));
}

TEST_F(nested, pasid_moves_by_blocking)
{
	PLUG(&self->a, PASIDS_BLOCK);
	moves(_metadata, self, false);
}

/* One that cannot go to the new table, of several: all have the old one */
TEST_F(nested, pasid_bind_fails)
{
	static const __u32 pasids[] = { 1, 2, 3 };
	unsigned int i;

	PLUG(&self->a, PASIDS);
	ASSERT_EQ(0, model_bind(&self->a));
	for (i = 0; i < ARRAY_SIZE(pasids); i++)
		ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, pasids[i]));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH_PASID, 2, 0));
	EXPECT_EQ(-ENOMEM, BIND(0, TABLE_A));
	for (i = 0; i < ARRAY_SIZE(pasids); i++)
		NO_PASID(&self->a, pasids[i]);
	STATE(ATTACHED | UNBOUND, 3, 0);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH_PASID, 3, 0));
	EXPECT_EQ(-ENOMEM, BIND(IOASID_BIND_REPLACE, TABLE_B));
	for (i = 0; i < ARRAY_SIZE(pasids); i++)
		REACHES_A(&self->a, pasids[i]);
	STATE(ATTACHED, 3, 1);
	/* The page of the table that was not bound is not kept */
	EXPECT_EQ(0, ia_unmap(self->fd, self->root.id, GPA(TABLE_B), PG, NULL));
}

/* Both tables lead to the page: no access may fail while one is replaced */
TEST_F(nested, pasid_rebind_under_dma)
{
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_VERIFY,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_LOOP,
		.pasid = 9,
		.threads = 2,
		.address = VA(DATA),
		.length = 64,
		.count = 1,
		.operand = 77,
	};

	if (!ia_check(self->fd, IOASID_EXT_PASID_HITLESS))
		SKIP(return, "the kernel cannot replace");
	PLUG(&self->a, PASIDS);
	model_pattern(self->mem + DATA * PG, 77, VA(DATA), PG);
	s1_map(self->mem, TABLE_B, DATA, DATA);
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 9));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, model_start(&self->a, 1, &dma));
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE,
				  i % 2 ? TABLE_A : TABLE_B));
	ASSERT_EQ(0, model_hammered(&self->a, 1, 10));
	ASSERT_EQ(0, model_stop(&self->a, 1, &status));
	EXPECT_EQ(0, status.faults);
	EXPECT_EQ(0, status.mismatches);
}

/* ---- Moves and binds at once ---- */

struct binder {
	struct _test_data_nested *self;
	bool stop;
	int errors;
};

static void *bind_thread(void *arg)
{
	struct binder *binder = arg;
	struct _test_data_nested *self = binder->self;
	int i, rc;

	for (i = 0; !__atomic_load_n(&binder->stop, __ATOMIC_RELAXED); i++) {
		rc = i % 3 ? BIND(IOASID_BIND_REPLACE, i % 2 ? TABLE_A : TABLE_B) :
			     UNBIND();
		/* The failure that the other thread injects may come here */
		binder->errors += rc && rc != -ENOENT && rc != -ENOMEM;
	}
	return NULL;
}

/* A bind leads nothing back that a move has led away, nor the other way round */
TEST_F(nested, bind_while_moving)
{
	int i, rounds = ia_slow_kernel() ? 60 : 4000;
	struct binder binder = { .self = self };
	pthread_t thread;

	PLUG(&self->a, PASIDS);
	ATTACH(&self->a, &self->root);
	ASSERT_EQ(0, pasid_attach(&self->a, self->root.id, 4));
	ASSERT_EQ(0, pthread_create(&thread, NULL, bind_thread, &binder));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, model_attach(&self->a, &self->child));
		ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 4));
		if (i % 4 == 0) {
			ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH,
						  1, 0));
			model_attach(&self->a, &self->root);
			model_inject(&self->a, MODEL_INJECT_ATTACH, 0, 0);
		}
		ASSERT_EQ(0, model_attach(&self->a, &self->root));
		ASSERT_EQ(0, pasid_attach(&self->a, self->root.id, 4));
		ASSERT_EQ(DATA, pasid_page_at(&self->a, 0, GPA(DATA)));
		ASSERT_EQ(DATA, pasid_page_at(&self->a, 4, GPA(DATA)));
	}
	__atomic_store_n(&binder.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, binder.errors);
	EXPECT_EQ(0, model_counters(&self->a).stale);
	UNBIND();
	STATE(UNBOUND, 0, 0);
	EXPECT_EQ(1, model_counters(&self->a).domains);
}

/*
 * The same, when a move has to wait before its old IOASID lets it go: another device
 * attaches there all the time, behind an IOMMU whose domain takes long to be made.
 */
struct crowd {
	struct _test_data_nested *self;
	bool stop;
	int error;
};

static void *crowd_thread(void *arg)
{
	struct crowd *crowd = arg;
	struct _test_data_nested *self = crowd->self;

	while (!crowd->error && !__atomic_load_n(&crowd->stop, __ATOMIC_RELAXED))
		crowd->error = model_attach(&self->b, &self->child) ?:
			       model_detach(&self->b);
	return NULL;
}

TEST_F(nested, bind_while_leaving)
{
	const int pages = ia_slow_kernel() ? 2000 : 20000;
	struct model_space other = { .model = &self->model, .container = -1 };
	struct binder binder = { .self = self };
	struct crowd crowd = { .self = self };
	pthread_t bind, attach;
	int i;

	ASSERT_EQ(0, ia_alloc(self->fd, &other.id));
	ASSERT_EQ(0, ia_map_ref(self->fd, other.id, GPA(DATA),
				IA_PTR(self->mem + DATA * PG), PG, IA_RW));
	for (i = 0; i < pages; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root.id, SZ_1G + 2 * i * PG,
				    self->mem, PG));
	PLUG(&self->a, PASIDS);
	PLUG(&self->b, NESTING_1);
	ATTACH(&self->a, &other);
	ASSERT_EQ(0, pasid_attach(&self->a, other.id, 4));
	ASSERT_EQ(0, pthread_create(&bind, NULL, bind_thread, &binder));
	ASSERT_EQ(0, pthread_create(&attach, NULL, crowd_thread, &crowd));
	for (i = 0; i < 30; i++) {
		ASSERT_EQ(0, model_attach(&self->a, &self->child));
		ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 4));
		ASSERT_EQ(0, model_attach(&self->a, &other));
		ASSERT_EQ(0, pasid_attach(&self->a, other.id, 4));
		ASSERT_EQ(DATA, pasid_page_at(&self->a, 0, GPA(DATA)));
		ASSERT_EQ(DATA, pasid_page_at(&self->a, 4, GPA(DATA)));
	}
	__atomic_store_n(&binder.stop, true, __ATOMIC_RELAXED);
	__atomic_store_n(&crowd.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(bind, NULL));
	ASSERT_EQ(0, pthread_join(attach, NULL));
	EXPECT_EQ(0, binder.errors);
	EXPECT_EQ(0, crowd.error);
}

struct mover {
	struct _test_data_nested *self;
	__u32 id;
	__u32 pasid;
	int error;
};

static void *move_thread(void *arg)
{
	struct mover *mover = arg;
	struct model_space space = {
		.model = &mover->self->model, .container = -1, .id = mover->id,
	};

	mover->error = mover->pasid ?
			       pasid_attach(&mover->self->a, mover->id, mover->pasid) :
			       model_attach(&mover->self->a, &space);
	return NULL;
}

/*
 * No DMA goes through a table that was taken away, not even that of a device whose
 * move takes long to populate its new domain.
 */
TEST_F(nested, unbind_while_moving)
{
	const int pages = ia_slow_kernel() ? 1000 : 20000;
	struct mover mover = { .self = self };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, ia_alloc(self->fd, &mover.id));
	for (i = 0; i < pages; i++)
		ASSERT_EQ(0, ia_map(self->fd, mover.id, SZ_1G + 2 * i * PG,
				    self->mem, PG));
	PLUG(&self->a, PASIDS);
	ASSERT_EQ(0, model_bind(&self->a));
	for (i = 0; i < 24; i++) {
		mover.pasid = i % 2 ? 4 : 0;
		ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE, TABLE_A));
		ASSERT_EQ(0, mover.pasid ? pasid_attach(&self->a, self->child.id, 4) :
					   model_attach(&self->a, &self->child));
		REACHES_A(&self->a, mover.pasid);
		ASSERT_EQ(0, pthread_create(&thread, NULL, move_thread, &mover));
		usleep(i * 300);
		ASSERT_EQ(0, i % 4 < 2 ? UNBIND() :
					 BIND(IOASID_BIND_REPLACE, TABLE_B));
		EXPECT_NE(DATA, pasid_page_at(&self->a, mover.pasid, VA(DATA)));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(0, mover.error);
		EXPECT_EQ(-MODEL_FAULT_ABSENT,
			  pasid_page_at(&self->a, mover.pasid, VA(DATA)));
	}
	EXPECT_EQ(0, model_counters(&self->a).stale);
}

/* ---- Tables by PASID ---- */

/* The page of the memory that has the table */
#define PASID_PAGE (PAGES - 2)

static __u64 *pasid_entry(struct _test_data_nested *self, __u32 pasid)
{
	return (__u64 *)(self->mem + PASID_PAGE * PG) + 2 * pasid;
}

/* @table -1: none */
static void pasid_set(struct _test_data_nested *self, __u32 pasid, int table)
{
	__u64 word = GPA(table) | MODEL_PASID_VALID |
		     3 << MODEL_PASID_LEVELS_SHIFT;

	__atomic_store_n(pasid_entry(self, pasid), table < 0 ? 0 : word,
			 __ATOMIC_RELEASE);
}

static int delegated(struct _test_data_nested *self, __u32 *id)
{
	memset(self->mem + PASID_PAGE * PG, 0, PG);
	return nested_alloc(self->fd, 0, IOASID_KIND_PASID_TABLE, self->root.id,
			    MODEL_HWPT_DATA_PASID_TABLE, id);
}

#define PASID_DATA(...)							\
	(&(struct model_pasid_table){ .table = GPA(PASID_PAGE),		\
				      .pasid_bits = 4, ##__VA_ARGS__ }), \
	sizeof(struct model_pasid_table)

static int flush_pasids(int fd, __u32 id, __u32 flags, __u32 vpasid)
{
	struct ioasid_invalidate inv = { .flags = flags, .vpasid = vpasid };
	struct ioasid_invalidate_cache cmd = nested_invalidation(id, &inv, 1);

	return ia_cmd(fd, IOASID_INVALIDATE_CACHE, &cmd);
}

#define INV(name) IOASID_INVALIDATE_##name

TEST_F(nested, delegated)
{
	struct model_space space = self->root;
	__u32 id;

	PLUG(&self->a, PASIDS);
	PLUG(&self->b, PASIDS_1);
	ASSERT_EQ(0, delegated(self, &id));
	space.id = id;
	ATTACH(&self->a, &space);
	NO_PASID(&self->a, 1);
	EXPECT_EQ(-MODEL_FAULT_BLOCKED, pasid_page_at(&self->a, 0, VA(DATA)));
	pasid_set(self, 1, TABLE_A);
	pasid_set(self, 2, TABLE_B);
	ASSERT_EQ(0, bind_pasids(self->fd, id, 0, PASID_DATA()));
	EXPECT_EQ(IOASID_KIND_PASID_TABLE, info_of(self->fd, id).kind);
	EXPECT_EQ(ATTACHED, info_of(self->fd, id).state);
	ATTACH(&self->b, &space);
	REACHES_A(&self->a, 1);
	REACHES_B(&self->a, 2);
	REACHES_B(&self->b, 2);
	NO_PASID(&self->a, 3);
	NO_PASID(&self->a, 16);
	/* The entry of DMA without a PASID */
	NO_PASID(&self->a, 0);
	pasid_set(self, 0, TABLE_A);
	REACHES_A(&self->a, 0);

	/* Caches keep what they have, until the user invalidates it */
	pasid_set(self, 1, TABLE_B);
	REACHES_A(&self->a, 1);
	ASSERT_EQ(0, flush_pasids(self->fd, id, INV(PASID_CACHE) | INV(PASID) |
				  INV(IOTLB) | INV(DEVTLB), 2));
	REACHES_A(&self->a, 1);
	ASSERT_EQ(0, flush_pasids(self->fd, id, INV(PASID_CACHE) | INV(PASID) |
				  INV(IOTLB) | INV(DEVTLB), 1));
	REACHES_B(&self->a, 1);
	pasid_set(self, 1, -1);
	pasid_set(self, 2, -1);
	ASSERT_EQ(0, flush_pasids(self->fd, id, INV(PASID_CACHE) | INV(IOTLB) |
				  INV(DEVTLB), 0));
	NO_PASID(&self->a, 1);
	NO_PASID(&self->b, 2);

	ASSERT_EQ(0, unbind_pasids(self->fd, id));
	NO_PASID(&self->a, 1);
	EXPECT_EQ(-MODEL_FAULT_BLOCKED, pasid_page_at(&self->a, 0, VA(DATA)));
	EXPECT_EQ(-ENOENT, unbind_pasids(self->fd, id));
	ASSERT_EQ(0, model_detach(&self->a));
	ASSERT_EQ(0, model_detach(&self->b));
	EXPECT_EQ(0, ia_free(self->fd, id));
}

/* The PASIDs of a device are the user's, or attached: never both */
TEST_F(nested, delegated_excludes_pasids)
{
	struct ioasid_device_info info = { .argsz = sizeof(info) };
	struct model_space space = self->root;
	__u32 id, one;

	PLUG(&self->a, PASIDS);
	ASSERT_EQ(0, delegated(self, &id));
	space.id = id;
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, pasid_attach(&self->a, self->root.id, 1));
	EXPECT_EQ(-EBUSY, model_attach(&self->a, &space));
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 1, GPA(DATA)));
	ATTACH(&self->a, &self->root);
	EXPECT_EQ(-EBUSY, model_attach(&self->a, &space));
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 0, GPA(DATA)));
	EXPECT_EQ(-EOPNOTSUPP, pasid_attach(&self->a, id, 1));
	EXPECT_EQ(-EOPNOTSUPP, pasid_attach(&self->a, id, 2));
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 1, GPA(DATA)));
	ASSERT_EQ(0, pasid_detach(&self->a, 1));
	ATTACH(&self->a, &space);
	EXPECT_EQ(-EBUSY, pasid_attach(&self->a, self->root.id, 1));
	EXPECT_EQ(-EBUSY, pasid_attach_any(&self->a, self->root.id, &one));
	pasid_set(self, 1, TABLE_A);
	ASSERT_EQ(0, bind_pasids(self->fd, id, 0, PASID_DATA()));
	EXPECT_EQ(-EBUSY, pasid_attach(&self->a, self->root.id, 1));
	REACHES_A(&self->a, 1);
	/* Those that could be attached if the device left the table */
	ASSERT_EQ(0, ia_device_info(self->fd, self->a.devid, &info));
	EXPECT_EQ(0, info.nr_pasids);
	EXPECT_EQ((1 << BITS) - 1, info.pasids_left);
	ATTACH(&self->a, &self->root);
	EXPECT_EQ(0, pasid_attach(&self->a, self->root.id, 1));
	EXPECT_EQ(DATA, pasid_page_at(&self->a, 1, GPA(DATA)));
}

/* Two devices of one group cannot attach, nor one whose IOMMU has no such table */
TEST_F(nested, delegated_refused)
{
	struct model_params plain = NESTING, params = PASIDS;
	struct model_space space = self->root;
	__u32 id;

	ASSERT_EQ(0, delegated(self, &id));
	space.id = id;
	ASSERT_EQ(0, model_plug(&self->model, &self->a, &params, 9));
	ASSERT_EQ(0, model_plug(&self->model, &self->b, &params, 9));
	EXPECT_EQ(-EOPNOTSUPP, model_attach(&self->a, &space));
	MODEL_REMOVE(&self->b);
	self->b = (struct model_device){};
	ASSERT_EQ(0, model_plug(&self->model, &self->b, &plain, 0));
	/* Nothing is bound yet: the format is not asked for */
	ATTACH(&self->b, &space);
	EXPECT_EQ(-EMEDIUMTYPE, bind_pasids(self->fd, id, 0, PASID_DATA()));
	ASSERT_EQ(0, model_detach(&self->b));
	ASSERT_EQ(0, bind_pasids(self->fd, id, 0, PASID_DATA()));
	EXPECT_EQ(-EMEDIUMTYPE, model_attach(&self->b, &space));
	EXPECT_EQ(-MODEL_FAULT_BLOCKED, pasid_page_at(&self->b, 0, VA(DATA)));
	EXPECT_EQ(0, info_of(self->fd, id).state);
}

TEST_F(nested, delegated_bad_input)
{
	struct model_space space = self->root;
	__u32 id;

	PLUG(&self->a, PASIDS);
	ASSERT_EQ(0, delegated(self, &id));
	space.id = id;
	ATTACH(&self->a, &space);
#define BAD(rc, ...)							\
	EXPECT_EQ(rc, bind_pasids(self->fd, id, 0, PASID_DATA(__VA_ARGS__)))
	BAD(-EINVAL, .table = GPA(PASID_PAGE) + 16);
	BAD(-EINVAL, .table = 1ULL << 52);
	BAD(-EINVAL, .pasid_bits = 0);
	BAD(-EINVAL, .pasid_bits = BITS + 1);
	BAD(-EINVAL, .pasid_bits = ~0U);
	BAD(-EOPNOTSUPP, .flags = 1);
	BAD(-ENXIO, .table = GPA(PAGES));
	EXPECT_EQ(-EINVAL, bind_pasids(self->fd, id, 0, self->mem, 8));
	EXPECT_EQ(-EINVAL, bind_pasids(self->fd, id, 0, self->mem, 513));
	EXPECT_EQ(-EOPNOTSUPP, bind_pasids(self->fd, self->child.id, 0, PASID_DATA()));
	EXPECT_EQ(-EOPNOTSUPP, bind_pasids(self->fd, self->root.id, 0, PASID_DATA()));
	EXPECT_EQ(-EOPNOTSUPP, bind_data(self->fd, id, 0, PASID_DATA()));
	EXPECT_EQ(-EOPNOTSUPP, unbind_table(self->fd, id));
	EXPECT_EQ(-EOPNOTSUPP, unbind_pasids(self->fd, self->child.id));
	EXPECT_EQ(UNBOUND | ATTACHED, info_of(self->fd, id).state);
	ASSERT_EQ(0, bind_pasids(self->fd, id, 0, PASID_DATA()));
	EXPECT_EQ(-EEXIST, bind_pasids(self->fd, id, 0, PASID_DATA()));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root.id, GPA(PASID_PAGE), PG,
				   NULL));
	EXPECT_EQ(0, flush_pasids(self->fd, id, INV(PASID_CACHE), 0));
	EXPECT_EQ(-EINVAL, flush_pasids(self->fd, id, INV(PASID_CACHE), 1));
	EXPECT_EQ(-EINVAL, flush_pasids(self->fd, id, INV(PASID), 1));
	EXPECT_EQ(-EINVAL, flush_pasids(self->fd, id, INV(IOTLB) | INV(PASID), 16));
	EXPECT_EQ(-EINVAL, flush_pasids(self->fd, id, INV(PASID_CACHE) |
					INV(RANGE), 0));
	EXPECT_EQ(-EOPNOTSUPP, flush_pasids(self->fd, id, 1 << 7, 0));
	ASSERT_EQ(0, ia_unmap_cascade(self->fd, self->root.id, GPA(PASID_PAGE), PG));
	ASSERT_EQ(0, flush_pasids(self->fd, id, INV(PASID_CACHE) | INV(IOTLB) |
				  INV(DEVTLB), 0));
	EXPECT_EQ(-MODEL_FAULT_S1_TABLE, pasid_page_at(&self->a, 1, VA(DATA)));
}

/* Random words as entries, under DMA with all PASIDs of the table */
TEST_F(nested, delegated_lies)
{
	int rounds = ia_slow_kernel() ? 300 : 3000;
	char *other = ia_mem(PAGES * PG);
	struct model_space space = self->root;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_LOOP |
			 IOASID_MODEL_DMA_GO_ON,
		.threads = 1,
		.address = VA(DATA),
		.length = 64,
		.count = 1,
		.operand = 3,
	};
	unsigned int seed = 5;
	__u64 word;
	__u32 id;
	int i;

	ASSERT_NE(NULL, other);
	memset(other, 0x77, PAGES * PG);
	PLUG(&self->a, PASIDS);
	ASSERT_EQ(0, delegated(self, &id));
	space.id = id;
	ATTACH(&self->a, &space);
	ASSERT_EQ(0, bind_pasids(self->fd, id, 0, PASID_DATA()));
	for (i = 0; i < 4; i++) {
		dma.pasid = i + 1;
		ASSERT_EQ(0, model_start(&self->a, 1 + i, &dma));
	}
	for (i = 0; i < rounds; i++) {
		word = GPA(rand_r(&seed) % (PAGES + 2)) |
		       (rand_r(&seed) & (rand_r(&seed) % 2 ? 0x31 : 0xfff));
		if (rand_r(&seed) % 16 == 0)
			word |= (__u64)rand_r(&seed) << 40;
		__atomic_store_n(pasid_entry(self, 1 + rand_r(&seed) % 4) +
				 (rand_r(&seed) % 16 == 0), word,
				 __ATOMIC_RELAXED);
		if (i % 5 == 0)
			flush_pasids(self->fd, id, INV(PASID_CACHE) |
				     INV(IOTLB) | INV(DEVTLB), 0);
		if (i % 61 == 0)
			renew_page(self, DATA + i % (PASID_PAGE - DATA));
	}
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, model_stop(&self->a, 1 + i, NULL));
	for (size_t j = 0; j < PAGES * PG; j++)
		ASSERT_EQ(0x77, other[j]);
	EXPECT_NO_HARM(&self->a);
}

/* ---- Fault injection ---- */

#define FAIL_STEPS 4

static int fail_step(struct _test_data_nested *self, unsigned int step)
{
	switch (step) {
	case 0:
		return BIND(IOASID_BIND_REPLACE, TABLE_B);
	case 1:
		return model_attach(&self->b, &self->child);
	case 2:
		return pasid_attach(&self->b, self->child.id, 3);
	default:
		return FLUSH(0, 0);
	}
}

static int undo_step(struct _test_data_nested *self, unsigned int step)
{
	switch (step) {
	case 0:
		return BIND(IOASID_BIND_REPLACE, TABLE_A);
	case 1:
		return model_detach(&self->b);
	case 2:
		return pasid_detach(&self->b, 3);
	default:
		return 0;
	}
}

/* With devices attached: every allocation fails once, and nothing changes */
TEST_F(nested, fail_nth)
{
	unsigned int nth, step, fatal;
	struct ia_state before, after;
	int fd, rc, failed;

	fd = open(FAIL_NTH, O_RDWR);
	if (fd < 0 || !set_knobs())
		SKIP(return, "the kernel injects no faults");
	PLUG(&self->a, PASIDS);
	PLUG(&self->b, PASIDS_1);
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, pasid_attach(&self->a, self->child.id, 1));
	ASSERT_EQ(0, model_bind(&self->b));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (step = 0; step < FAIL_STEPS; step++) {
		fatal = 0;
		failed = 1;
		for (nth = 1; failed && nth < MAX_FAILURES; nth++) {
			ASSERT_TRUE(arm(fd, nth));
			rc = fail_step(self, step);
			failed = disarm(fd);
			if (!rc) {
				ASSERT_EQ(0, undo_step(self, step));
				continue;
			}
			fatal++;
			ASSERT_NE(0, failed);
			ASSERT_TRUE(rc == -ENOMEM || rc == -EFAULT ||
				    rc == -EMEDIUMTYPE) TH_LOG("%d", rc);
			READS_A(&self->a);
			REACHES_A(&self->a, 1);
			NO_PASID(&self->b, 3);
			BLOCKED(&self->b);
			ASSERT_EQ(0, ia_state_read(self->fd, &after));
			ASSERT_EQ(NULL, ia_state_diff(&before, &after))
				TH_LOG("step %u, %u: %s", step, nth,
				       ia_state_diff(&before, &after));
		}
		EXPECT_EQ(0, failed);
		EXPECT_LT(0, fatal);
		TH_LOG("step %u: %u calls failed, %u of them fatal", step,
		       nth - 2, fatal);
	}
	restore_knobs();
	close(fd);
}

TEST_HARNESS_MAIN
