// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of devices in children: mapped by reference, alone and together with
 * memory, and revoked together with the mapping of the parent.
 */
#include "ioasid_test.h"
#include "dut.h"
#include "hw_devmem.h"
#include "state.h"

/* Where the root has the device memory, with a page of memory on each side */
#define ROOT_MEM TEST_IOVA
#define ROOT_BAR (ROOT_MEM + page_size)
#define ROOT_END (ROOT_BAR + CMB_LEN)
#define CHILD_IOVA (TEST_IOVA + SZ_1G)
#define GRAND_IOVA (TEST_IOVA + 2ULL * SZ_1G)

FIXTURE(hw_devmem_child)
{
	int ctx;
	__u32 root;
	__u32 child;
	__u32 grand;		/* child of the child; the device is attached */
	struct dut dut;		/* does DMA */
	struct dut peer;	/* has the memory */
	char *mem;		/* two pages */
	char *bar;		/* the mapped memory */
	char *view;		/* where the CPU reads it */
};

FIXTURE_VARIANT(hw_devmem_child)
{
	const struct engine *engine;
};

FIXTURE_VARIANT_ADD(hw_devmem_child, edu) { .engine = &engine_edu, };
FIXTURE_VARIANT_ADD(hw_devmem_child, nvme) { .engine = &engine_nvme, };

static int make_child(int ctx, __u32 parent, __u32 *child)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
		.parent = parent,
	};
	int rc = ia_cmd(ctx, IOASID_ALLOC, &alloc);

	*child = alloc.ioasid;
	return rc;
}

static int refer(int ctx, __u32 child, __u64 iova, __u64 addr, __u64 length)
{
	return ia_map(ctx, child, iova, (void *)(uintptr_t)addr, length);
}

/* What the device needs for itself, at the same address in each generation */
static int admit(struct dut *dut, int ctx, __u32 child)
{
	return refer(ctx, child, dut_ctrl(dut), dut_ctrl(dut), dut->ctrl_size);
}

FIXTURE_SETUP(hw_devmem_child)
{
	int rc;

	self->dut.fd = -1;
	self->peer.fd = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	rc = dut_open(&self->dut, variant->engine, 0, 0);
	if (!rc)
		rc = dut_open(&self->peer, &engine_nvme, 1, 1);
	if (rc == -ENOENT)
		SKIP(return, "no two devices behind an IOMMU");
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(2 * page_size);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->root));
	ASSERT_EQ(0, make_child(self->ctx, self->root, &self->child));
	ASSERT_EQ(0, make_child(self->ctx, self->child, &self->grand));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->root));
	ASSERT_EQ(0, admit(&self->dut, self->ctx, self->child));
	ASSERT_EQ(0, admit(&self->dut, self->ctx, self->grand));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	ASSERT_EQ(0, dut_bind(&self->peer, self->ctx, 2));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	self->bar = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	if (!self->bar)
		SKIP(return, "the second NVMe disk has no memory buffer");
	self->view = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->view);
	ASSERT_EQ(0, ia_map(self->ctx, self->root, ROOT_MEM, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_map(self->ctx, self->root, ROOT_BAR, self->bar,
			    CMB_LEN));
	ASSERT_EQ(0, ia_map(self->ctx, self->root, ROOT_END,
			    self->mem + page_size, page_size));
}

FIXTURE_TEARDOWN(hw_devmem_child)
{
	dut_close(&self->dut);
	dut_close(&self->peer);
	close(self->ctx);
}

#define ATTACH(id) ASSERT_EQ(0, dut_attach(&self->dut, id))
#define REACHES(iova, p) ASSERT_TRUE(dut_reaches(&self->dut, iova, p))
#define MISSES(iova, p) ASSERT_TRUE(dut_misses(&self->dut, iova, p))
#define REVOKED(id) revoked(self->ctx, id)
/* All of the device memory in the child, and its second half in the grandchild */
#define REFER()								\
do {									\
	ASSERT_EQ(0, refer(self->ctx, self->child, CHILD_IOVA, ROOT_BAR, \
			   CMB_LEN));					\
	ASSERT_EQ(0, refer(self->ctx, self->grand, GRAND_IOVA,		\
			   CHILD_IOVA + CMB_LEN / 2, CMB_LEN / 2));	\
} while (0)
#define HALF (self->view + CMB_LEN / 2)

TEST_F(hw_devmem_child, map)
{
	struct ioasid_info before, after;

	EXPECT_EQ(1, ia_check(self->ctx, IOASID_EXT_CHILD_DEVMEM));
	ASSERT_EQ(0, ia_info(self->ctx, self->child, &before));
	/* mapped before a device attaches, and after */
	REFER();
	ATTACH(self->grand);
	REACHES(GRAND_IOVA, HALF);
	ASSERT_EQ(0, refer(self->ctx, self->grand, GRAND_IOVA + SZ_1M,
			   CHILD_IOVA, page_size));
	REACHES(GRAND_IOVA + SZ_1M, self->view);
	ASSERT_TRUE(dut_reaches(&self->dut, GRAND_IOVA + CMB_LEN / 2 - DUT_LEN,
				self->view + CMB_LEN - DUT_LEN));
	dut_fill(HALF, DUT_LEN, 80);
	ASSERT_TRUE(dut_sees(&self->dut, GRAND_IOVA, 80));
	/* a mapping, but no bytes of memory, as in the root */
	ASSERT_EQ(0, ia_info(self->ctx, self->child, &after));
	EXPECT_EQ(before.nr_mappings + 1, after.nr_mappings);
	EXPECT_EQ(before.bytes_mapped, after.bytes_mapped);
	EXPECT_EQ(before.bytes_pinned, after.bytes_pinned);
	EXPECT_EQ(before.bytes_charged, after.bytes_charged);
	/* it goes as a whole, and stays in the parent for as long */
	EXPECT_EQ(-EINVAL, ia_unmap_full(self->ctx, self->grand,
					 IOASID_UNMAP_SPLIT, GRAND_IOVA,
					 page_size, NULL));
	EXPECT_EQ(-EBUSY, ia_unmap(self->ctx, self->child, CHILD_IOVA, CMB_LEN,
				   NULL));
	EXPECT_EQ(-EBUSY, ia_unmap(self->ctx, self->root, ROOT_BAR, CMB_LEN,
				   NULL));
	REACHES(GRAND_IOVA, HALF);
	ASSERT_EQ(0, ia_unmap(self->ctx, self->grand, GRAND_IOVA, CMB_LEN / 2,
			      NULL));
	MISSES(GRAND_IOVA, HALF);
	REACHES(GRAND_IOVA + SZ_1M, self->view);
	ASSERT_EQ(0, ia_unmap_full(self->ctx, self->root, IOASID_UNMAP_CASCADE,
				   ROOT_BAR, CMB_LEN, NULL));
	MISSES(GRAND_IOVA + SZ_1M, self->view);
	EXPECT_EQ(-ENXIO, refer(self->ctx, self->child, CHILD_IOVA, ROOT_BAR,
				CMB_LEN));
	EXPECT_EQ(0, REVOKED(self->grand));
}

TEST_F(hw_devmem_child, query)
{
	struct ioasid_query_entry e;
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->child,
		.start = CHILD_IOVA,
		.entries = IA_PTR(&e),
		.nr = 1,
	};

	REFER();
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_QUERY_MAP, &query));
	ASSERT_EQ(1, query.nr);
	EXPECT_EQ(CHILD_IOVA, e.iova);
	EXPECT_EQ(CMB_LEN, e.length);
	EXPECT_EQ(ROOT_BAR, e.addr);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR, e.flags);
	ASSERT_EQ(0, set_memory(&self->peer, false));
	query.nr = 1;
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_QUERY_MAP, &query));
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR | IOASID_QUERY_REVOKED, e.flags);
	EXPECT_EQ(ROOT_BAR, e.addr);
}

/* No more permission than the parent; no change in place; no import. */
TEST_F(hw_devmem_child, refused)
{
	struct ia_state before, after;
	__u64 iova = TEST_IOVA + SZ_1M, fault = 0;
	const char *diff;

	ASSERT_EQ(0, ia_map_full(self->ctx, self->root,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->bar), CMB_LEN, 0, 0, 0, NULL));
	REFER();
	ASSERT_EQ(0, ia_state_read(self->ctx, &before));
	iova = CHILD_IOVA + SZ_1M;
	EXPECT_EQ(-EACCES, ia_map_full(self->ctx, self->child, IA_RW_FIXED,
				       &iova, TEST_IOVA + SZ_1M, page_size, 0,
				       0, 0, &fault));
	EXPECT_EQ(TEST_IOVA + SZ_1M, fault);
	EXPECT_EQ(-EEXIST, refer(self->ctx, self->child, CHILD_IOVA + CMB_LEN -
				 page_size, ROOT_BAR, 2 * page_size));
	EXPECT_EQ(-EOPNOTSUPP, ia_map_full(self->ctx, self->child,
					   IOASID_MAP_READ | IOASID_MAP_FIXED |
					   IOASID_MAP_PROTECT,
					   &(__u64){ CHILD_IOVA }, 0, CMB_LEN,
					   0, 0, 0, NULL));
	/* a part of it; by it, over memory; by it and memory */
	EXPECT_EQ(-EINVAL, ia_map_full(self->ctx, self->child, IA_RW_FIXED |
				       IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
				       &(__u64){ CHILD_IOVA }, ROOT_MEM,
				       page_size, 0, 0, 0, NULL));
	EXPECT_EQ(-EEXIST, ia_map_full(self->ctx, self->root, IA_RW_FIXED |
				       IOASID_MAP_REPLACE,
				       &(__u64){ ROOT_MEM }, IA_PTR(self->bar),
				       page_size, 0, 0, 0, NULL));
	EXPECT_EQ(-EOPNOTSUPP, ia_map_full(self->ctx, self->child, IA_RW_FIXED |
					   IOASID_MAP_REPLACE,
					   &(__u64){ CHILD_IOVA }, ROOT_MEM,
					   CMB_LEN, 0, 0, 0, NULL));
	/* less of it, under a child */
	EXPECT_EQ(-EBUSY, ia_map_full(self->ctx, self->root, IOASID_MAP_READ |
				      IOASID_MAP_FIXED | IOASID_MAP_REPLACE,
				      &(__u64){ ROOT_BAR }, IA_PTR(self->bar),
				      CMB_LEN, 0, 0, 0, NULL));
	ASSERT_EQ(0, ia_state_read(self->ctx, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
}

/* Replaced, or brought back, with nothing unmapped in between. */
TEST_F(hw_devmem_child, replace)
{
	struct ioasid_info before, after;
	__u64 iova = CHILD_IOVA;

#define REPLACE(id, iova, addr, length)					\
	ia_map_full(self->ctx, id, IA_RW_FIXED | IOASID_MAP_REPLACE,	\
		    &(__u64){ iova }, addr, length, 0, 0, 0, NULL)

	ATTACH(self->child);
	ASSERT_EQ(0, refer(self->ctx, self->child, iova, ROOT_BAR, page_size));
	ASSERT_EQ(0, ia_info(self->ctx, self->child, &before));
	/* another part, memory, nothing, and a part again */
	ASSERT_EQ(0, REPLACE(self->child, iova, ROOT_BAR + page_size,
			     page_size));
	REACHES(iova, self->view + page_size);
	ASSERT_EQ(0, REPLACE(self->child, iova, ROOT_MEM, page_size));
	REACHES(iova, self->mem);
	ASSERT_EQ(0, ia_unmap(self->ctx, self->child, iova, page_size, NULL));
	ASSERT_EQ(0, REPLACE(self->child, iova, ROOT_BAR + 2 * page_size,
			     page_size));
	REACHES(iova, self->view + 2 * page_size);
	ASSERT_EQ(0, ia_info(self->ctx, self->child, &after));
	EXPECT_EQ(before.nr_mappings, after.nr_mappings);
	EXPECT_EQ(before.bytes_mapped, after.bytes_mapped);
	/* by itself in the root, under the child: nothing is touched */
	ASSERT_EQ(0, REPLACE(self->root, ROOT_BAR, IA_PTR(self->bar), CMB_LEN));
	REACHES(iova, self->view + 2 * page_size);
	/* revoked: the mapping is replaced by one of what is there again */
	ASSERT_EQ(0, set_memory(&self->peer, false));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(-EBUSY, REPLACE(self->root, ROOT_BAR, IA_PTR(self->bar),
				  CMB_LEN));
	EXPECT_EQ(1, REVOKED(self->child));
	ASSERT_EQ(0, REPLACE(self->child, iova, ROOT_MEM, page_size));
	EXPECT_EQ(0, REVOKED(self->child));
	ASSERT_EQ(0, REPLACE(self->root, ROOT_BAR, IA_PTR(self->bar), CMB_LEN));
	EXPECT_EQ(0, REVOKED(self->root));
	/* memory is not replaced by it */
	EXPECT_EQ(-EEXIST, REPLACE(self->child, iova, ROOT_BAR, page_size));
	REACHES(iova, self->mem);
	ASSERT_EQ(0, ia_unmap(self->ctx, self->child, iova, page_size, NULL));
	ASSERT_EQ(0, REPLACE(self->child, iova, ROOT_BAR, page_size));
	REACHES(iova, self->view);
}

/* Memory and device memory together: one mapping each; all, or none. */
TEST_F(hw_devmem_child, mixed)
{
	struct ioasid_dma_op op = {
		.op = IOASID_DMA_OP_MAP,
		.flags = IA_RW_FIXED,
		.iova = CHILD_IOVA + 2 * SZ_1M,
		.addr = ROOT_MEM,
		.length = CMB_LEN + 2 * page_size,
	};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->child,
		.nr = 1,
		.ops = IA_PTR(&op),
	};
	struct ioasid_info before, after;
	__u64 iova, removed, at[3];
	unsigned int i;

	ATTACH(self->child);
	ASSERT_EQ(0, ia_info(self->ctx, self->child, &before));
	at[0] = CHILD_IOVA;
	ASSERT_EQ(0, refer(self->ctx, self->child, at[0], ROOT_MEM,
			   CMB_LEN + 2 * page_size));
	ASSERT_EQ(0, ia_map_any(self->ctx, self->child, &at[1],
				(void *)(uintptr_t)ROOT_MEM,
				CMB_LEN + 2 * page_size));
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_DMA_BATCH, &batch));
	at[2] = op.iova;
	for (i = 0; i < 3; i++) {
		iova = at[i];
		REACHES(iova, self->mem);
		REACHES(iova + page_size, self->view);
		ASSERT_TRUE(dut_reaches(&self->dut, iova + CMB_LEN,
					self->view + CMB_LEN - page_size));
		REACHES(iova + page_size + CMB_LEN, self->mem + page_size);
	}
	ASSERT_EQ(0, ia_info(self->ctx, self->child, &after));
	EXPECT_EQ(before.nr_mappings + 9, after.nr_mappings);
	EXPECT_EQ(before.bytes_mapped + 6 * page_size, after.bytes_mapped);
	/* the memory stays when the device memory goes */
	ASSERT_EQ(0, set_memory(&self->peer, false));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	for (i = 0; i < 3; i++) {
		iova = at[i];
		REACHES(iova, self->mem);
		MISSES(iova + page_size, self->view);
		REACHES(iova + page_size + CMB_LEN, self->mem + page_size);
		ASSERT_EQ(0, ia_unmap(self->ctx, self->child, iova, CMB_LEN +
				      2 * page_size, &removed));
		EXPECT_EQ(CMB_LEN + 2 * page_size, removed);
	}
	/* what is revoked cannot be referred to; nothing stays mapped */
	EXPECT_EQ(-ENXIO, refer(self->ctx, self->child, CHILD_IOVA, ROOT_MEM,
				CMB_LEN + 2 * page_size));
	EXPECT_EQ(-ENXIO, ia_map_any(self->ctx, self->child, &iova,
				     (void *)(uintptr_t)ROOT_MEM,
				     CMB_LEN + 2 * page_size));
	MISSES(CHILD_IOVA, self->mem);
	ASSERT_EQ(0, ia_info(self->ctx, self->child, &after));
	EXPECT_EQ(before.nr_mappings, after.nr_mappings);
	EXPECT_EQ(before.bytes_mapped, after.bytes_mapped);
	EXPECT_EQ(0, REVOKED(self->child));
}

/* Each way to lose the memory takes it from all generations, for good. */
static void lose_by_reset(struct dut *peer, char *bar)
{
	vfio_pci_reset(peer->fd);
}

static void lose_by_command(struct dut *peer, char *bar)
{
	set_memory(peer, false);
}

static void lose_by_munmap(struct dut *peer, char *bar)
{
	munmap(bar + page_size, page_size);
}

static void lose_by_mprotect(struct dut *peer, char *bar)
{
	mprotect(bar, CMB_LEN, PROT_READ);
}

TEST_F(hw_devmem_child, revoked)
{
	static void (*const lose[])(struct dut *peer, char *bar) = {
		lose_by_reset, lose_by_command, lose_by_mprotect,
		lose_by_munmap,
	};
	__u32 ids[] = { self->root, self->child, self->grand };
	unsigned int i, k;

	ATTACH(self->grand);
	for (i = 0; i < ARRAY_SIZE(lose); i++) {
		REFER();
		REACHES(GRAND_IOVA, HALF);
		for (k = 0; k < 3; k++)
			EXPECT_EQ(0, REVOKED(ids[k]));
		lose[i](&self->peer, self->bar);
		for (k = 0; k < 3; k++)
			EXPECT_EQ(1, REVOKED(ids[k]));
		ASSERT_EQ(0, set_memory(&self->peer, true));
		MISSES(GRAND_IOVA, HALF);
		EXPECT_EQ(-ENXIO, refer(self->ctx, self->grand, GRAND_IOVA +
					SZ_1M, CHILD_IOVA, page_size));
		/* a domain that is populated later does not have it either */
		ATTACH(self->root);
		ATTACH(self->grand);
		MISSES(GRAND_IOVA, HALF);
		/* each generation shows it until it unmaps it */
		ASSERT_EQ(0, ia_unmap(self->ctx, self->grand, GRAND_IOVA,
				      CMB_LEN / 2, NULL));
		EXPECT_EQ(0, REVOKED(self->grand));
		EXPECT_EQ(1, REVOKED(self->child));
		ASSERT_EQ(0, ia_unmap_full(self->ctx, self->root,
					   IOASID_UNMAP_CASCADE, ROOT_BAR,
					   CMB_LEN, NULL));
		EXPECT_EQ(0, REVOKED(self->child));
		EXPECT_EQ(0, REVOKED(self->root));
		if (i == ARRAY_SIZE(lose) - 1)
			break;
		ASSERT_EQ(0, mprotect(self->bar, CMB_LEN,
				      PROT_READ | PROT_WRITE));
		ASSERT_EQ(0, ia_map(self->ctx, self->root, ROOT_BAR, self->bar,
				    CMB_LEN));
	}
}

/* Freed while its memory is referred to; closed, which ends nothing. */
TEST_F(hw_devmem_child, freed)
{
	REFER();
	ATTACH(self->grand);
	EXPECT_EQ(-EBUSY, ia_free(self->ctx, self->root));
	ASSERT_EQ(0, ia_unmap_full(self->ctx, self->child,
				   IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE, 0,
				   0, NULL));
	ASSERT_EQ(0, admit(&self->dut, self->ctx, self->child));
	ASSERT_EQ(0, admit(&self->dut, self->ctx, self->grand));
	MISSES(GRAND_IOVA, HALF);
	REFER();
	REACHES(GRAND_IOVA, HALF);
	close(self->ctx);
	self->ctx = -1;
	REACHES(GRAND_IOVA, HALF);
}

/*
 * Map and unmap children while the memory comes and goes, and a device is
 * attached, moved and detached.
 */
struct spoiler {
	struct dut *peer;
	struct dut *dut;
	__u32 ids[2];
	unsigned int rounds;
	unsigned int attached;
	/* to pause with the memory there, and which of the pauses has begun */
	unsigned int pause;
	unsigned int paused;
	bool stop;
};

static void *spoil(void *data)
{
	struct spoiler *s = data;
	unsigned int pause;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		pause = __atomic_load_n(&s->pause, __ATOMIC_ACQUIRE);
		if (pause) {
			set_memory(s->peer, true);
			__atomic_store_n(&s->paused, pause, __ATOMIC_RELEASE);
		} else {
			set_memory(s->peer, s->rounds++ & 1);
		}
		usleep(200);
	}
	return NULL;
}

/* @pause: a number of its own, or 0 to go on */
static void pause_spoiler(struct spoiler *s, unsigned int pause)
{
	__atomic_store_n(&s->pause, pause, __ATOMIC_RELEASE);
	while (pause && __atomic_load_n(&s->paused, __ATOMIC_ACQUIRE) != pause)
		usleep(200);
}

static void *attach_and_detach(void *data)
{
	struct spoiler *s = data;
	unsigned int i;

	for (i = 0; !__atomic_load_n(&s->stop, __ATOMIC_RELAXED); i++) {
		s->attached += !hw_attach(s->dut->fd, s->ids[i % 2]);
		if (i % 3 == 0)
			hw_detach(s->dut->fd, 0);
	}
	return NULL;
}

TEST_F(hw_devmem_child, races)
{
	struct spoiler s = {
		.peer = &self->peer,
		.dut = &self->dut,
		.ids = { self->child, self->grand },
	};
	unsigned int i, mapped = 0, missed = 0;
	unsigned int rounds = ia_slow_kernel() ? 200 : 2000;
	pthread_t thread[2];
	__u64 length;
	int rc;

	/* Memory behind the device memory */
	ASSERT_EQ(0, ia_map(self->ctx, self->root, ROOT_BAR + SZ_1M + CMB_LEN,
			    self->mem, page_size));
	ASSERT_EQ(0, pthread_create(&thread[0], NULL, spoil, &s));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, attach_and_detach, &s));
	for (i = 0; i < rounds; i++) {
		/* however slow this is, some of it meets memory */
		if (i % 8 == 0)
			pause_spoiler(&s, i + 1);
		rc = ia_map(self->ctx, self->root, ROOT_BAR + SZ_1M, self->bar,
			    CMB_LEN);
		ASSERT_TRUE(!rc || rc == -EFAULT);
		length = CMB_LEN + i % 2 * page_size;
		if (!rc) {
			rc = refer(self->ctx, self->child, CHILD_IOVA,
				   ROOT_BAR + SZ_1M, length);
			ASSERT_TRUE(!rc || rc == -ENXIO);
		}
		if (!rc) {
			rc = refer(self->ctx, self->grand, GRAND_IOVA,
				   CHILD_IOVA, CMB_LEN / 2);
			ASSERT_TRUE(!rc || rc == -ENXIO);
		}
		if (i % 8 == 0) {
			EXPECT_EQ(0, rc);
			pause_spoiler(&s, 0);
		}
		mapped += !rc;
		missed += !!rc;
		ASSERT_EQ(0, ia_unmap_full(self->ctx, self->root,
					   IOASID_UNMAP_CASCADE,
					   ROOT_BAR + SZ_1M, CMB_LEN, NULL));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->child, CHILD_IOVA,
				      length, NULL));
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	TH_LOG("%u mapped, %u missed, %u changes, %u attached", mapped, missed,
	       s.rounds, s.attached);
	EXPECT_LT(0, mapped);
	EXPECT_LT(8, s.attached);
	EXPECT_LT(8, s.rounds);
	EXPECT_EQ(0, REVOKED(self->child));
	EXPECT_EQ(0, REVOKED(self->grand));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->root, ROOT_BAR, CMB_LEN, NULL));
	ASSERT_EQ(0, ia_map(self->ctx, self->root, ROOT_BAR, self->bar,
			    CMB_LEN));
	REFER();
	ATTACH(self->grand);
	REACHES(GRAND_IOVA, HALF);
}

TEST_HARNESS_MAIN
