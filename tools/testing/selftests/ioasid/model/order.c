// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands on an IOASID while another thread uses it or its parent: no command
 * waits for ever, and the result is that of one command after the other.
 */
#include <pthread.h>

#include "ioasid_test.h"
#include "family.h"
#include "mock.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES 16

FIXTURE(order)
{
	int fd;
	__u32 root;
	char *mem;
};

FIXTURE_SETUP(order)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = family_memory(PAGES);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
}

FIXTURE_TEARDOWN(order)
{
	if (self->fd < 0)
		return;
	close(self->fd);
	EXPECT_EQ(0, ia_status("VmPin"));
}

/* An unmap that a grandchild refuses cuts no child. */
TEST_F(order, cascade_looks_first)
{
	__u32 root, first, second, below;
	__u64 unmapped;

	ASSERT_EQ(0, ia_alloc_full(self->fd, &root, 0, PG));
	ASSERT_EQ(0, ia_map(self->fd, root, BASE, self->mem, 8 * PG));
	ASSERT_EQ(0, ia_child(self->fd, root, PG, &second));
	ASSERT_EQ(0, ia_child(self->fd, root, PG, &first));
	ASSERT_EQ(0, ia_child(self->fd, second, 0, &below));
	ASSERT_EQ(0, ia_map_ref(self->fd, second, BASE, BASE, 8 * PG, IA_RW));
	ASSERT_EQ(0, ia_map_ref(self->fd, below, BASE, BASE, 8 * PG, IA_RW));
	ASSERT_EQ(0, ia_map_ref(self->fd, first, BASE, BASE, 8 * PG, IA_RW));
	EXPECT_EQ(-EBUSY, ia_unmap_full(self->fd, root, IOASID_UNMAP_CASCADE,
					BASE + 2 * PG, 4 * PG, &unmapped));
	EXPECT_EQ(0, unmapped);
	EXPECT_EQ(1, info_of(self->fd, root).nr_mappings);
	EXPECT_EQ(1, info_of(self->fd, first).nr_mappings);
	EXPECT_EQ(1, info_of(self->fd, second).nr_mappings);
	EXPECT_EQ(1, info_of(self->fd, below).nr_mappings);
	/* With SPLIT the whole depth is cut */
	EXPECT_EQ(0, ia_unmap_full(self->fd, root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, BASE + 2 * PG, 4 * PG,
				   &unmapped));
	EXPECT_EQ(4 * PG, unmapped);
	EXPECT_EQ(2, info_of(self->fd, root).nr_mappings);
	EXPECT_EQ(2, info_of(self->fd, first).nr_mappings);
	EXPECT_EQ(2, info_of(self->fd, second).nr_mappings);
	EXPECT_EQ(2, info_of(self->fd, below).nr_mappings);
	EXPECT_EQ(4 * PG, info_of(self->fd, below).bytes_mapped);
}

/*
 * An unmap that one child refuses removes no mapping, wherever that child is.
 */
TEST_F(order, busy_removes_nothing)
{
	__u64 unmapped;
	__u32 child;
	int i;

	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root, BASE + i * PG,
				    self->mem + i * PG, PG));
	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &child));
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(0, ia_map_ref(self->fd, child, BASE, BASE + i * PG,
					PG, IA_RW));
		EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, BASE,
					   PAGES * PG, &unmapped));
		EXPECT_EQ(0, unmapped);
		EXPECT_EQ(PAGES, info_of(self->fd, self->root).nr_mappings);
		ASSERT_EQ(0, ia_unmap(self->fd, child, BASE, PG, NULL));
	}
	EXPECT_EQ(0, ia_unmap(self->fd, self->root, BASE, PAGES * PG,
			      &unmapped));
	EXPECT_EQ(PAGES * PG, unmapped);
}

static int reserve_all(int fd, __u32 id)
{
	return ia_reserve(fd, id, 0, -PG) ?: ia_reserve(fd, id, -PG, PG);
}

/* 2^64 bytes are returned as all ones, in each way to unmap them. */
TEST_F(order, whole_space)
{
	struct ioasid_dma_op ops[2] = {
		{ .op = IOASID_DMA_OP_UNMAP, .length = -PG },
		{ .op = IOASID_DMA_OP_UNMAP, .iova = -PG, .length = PG },
	};
	struct ioasid_dma_batch cmd = {
		.argsz = sizeof(cmd),
		.ioasid = self->root,
		.nr = 2,
		.ops = IA_PTR(ops),
	};
	__u64 unmapped;

	ASSERT_EQ(0, reserve_all(self->fd, self->root));
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->root, &unmapped));
	EXPECT_EQ(~0ULL, unmapped);
	ASSERT_EQ(0, reserve_all(self->fd, self->root));
	EXPECT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &cmd));
	EXPECT_EQ(2, cmd.done);
	EXPECT_EQ(~0ULL, cmd.unmapped);
}

/* Bytes that an operation of a batch releases are free for the next one. */
TEST_F(order, quota_in_batch)
{
	struct ioasid_dma_op ops[3] = {
		{ .op = IOASID_DMA_OP_UNMAP, .iova = BASE, .length = PG },
		{ .op = IOASID_DMA_OP_MAP, .iova = BASE + PG, .length = PG,
		  .flags = IA_RW_FIXED },
		{ .op = IOASID_DMA_OP_MAP, .iova = BASE + 2 * PG, .length = PG,
		  .flags = IA_RW_FIXED },
	};
	struct ioasid_dma_batch cmd = {
		.argsz = sizeof(cmd),
		.nr = 3,
		.ops = IA_PTR(ops),
	};
	int user = ia_open(), export;
	__u32 import, child;

	ASSERT_LE(0, user);
	ASSERT_EQ(0, ia_map(self->fd, self->root, BASE, self->mem, PAGES * PG));
	ASSERT_EQ(0, ia_export(self->fd, self->root, EXPORT_RW, BASE,
			       PAGES * PG, 1, &export));
	ASSERT_EQ(0, ia_import(user, export, 0, &import));
	ASSERT_EQ(0, ia_child(user, import, 0, &child));
	ASSERT_EQ(0, ia_map_ref(user, child, BASE, 0, PG, IA_RW));
	cmd.ioasid = child;
	EXPECT_EQ(0, ia_cmd(user, IOASID_DMA_BATCH, &cmd));
	/* The second map is one too many */
	EXPECT_EQ(2, cmd.done);
	EXPECT_EQ(-EDQUOT, cmd.error);
	EXPECT_EQ(PG, cmd.unmapped);
	EXPECT_EQ(1, info_of(user, child).nr_mappings);
	close(export);
	close(user);
}

/* The search finds a fitting place behind thousands of unaligned ones. */
TEST_F(order, last_gap)
{
	const unsigned int nr = 3000;
	__u64 iova = 0, at = BASE;
	unsigned int i;

	/* Gaps of two pages at odd places; all other pages are mapped */
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, 0, BASE + PG));
	for (i = 0, at = BASE + PG; i < nr; i++, at += 4 * PG)
		ASSERT_EQ(0, ia_reserve(self->fd, self->root, at + 2 * PG,
					2 * PG));
	/* Except for one gap, at an even place */
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, at, PG));
	at += PG;
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, at + 2 * PG,
				-(at + 2 * PG) - PG));
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, -PG, PG));
	EXPECT_EQ(0, ia_map_full(self->fd, self->root, IA_RW, &iova,
				 IA_PTR(self->mem), 2 * PG, 0, 2 * PG, 0,
				 NULL));
	EXPECT_EQ(at, iova);
	EXPECT_EQ(-ENOSPC, ia_map_full(self->fd, self->root, IA_RW, &iova,
				       IA_PTR(self->mem), 2 * PG, 0, 2 * PG, 0,
				       NULL));
}

struct freer {
	int fd;
	__u32 id;
	pthread_barrier_t start;
	bool stop;
};

static void *free_one(void *data)
{
	struct freer *f = data;

	for (;;) {
		pthread_barrier_wait(&f->start);
		if (f->stop)
			return NULL;
		while (ia_free(f->fd, f->id) == -EBUSY)
			;
		pthread_barrier_wait(&f->start);
	}
}

/* Free an IOASID whose only mapping was replaced: the new one goes, too. */
TEST_F(order, replace_and_free)
{
	struct freer f = { .fd = self->fd };
	unsigned int rounds, seed = 5;
	__u64 iova = BASE;
	pthread_t thread;
	int export, k;

	pthread_barrier_init(&f.start, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, free_one, &f));
	for (rounds = 0; rounds < (ia_slow_kernel() ? 300 : 3000); rounds++) {
		ASSERT_EQ(0, ia_alloc(self->fd, &f.id));
		ASSERT_EQ(0, ia_map(self->fd, f.id, BASE, self->mem, PG));
		ASSERT_EQ(0, ia_export(self->fd, f.id, EXPORT_RW, BASE, PG, 1,
				       &export));
		pthread_barrier_wait(&f.start);
		for (k = rand_r(&seed) % 500; k; k--)
			__asm__ volatile("");
		ia_map_full(self->fd, f.id, IA_RW_FIXED | IOASID_MAP_REPLACE,
			    &iova, IA_PTR(self->mem) + PG, PG, 0, 0, 0, NULL);
		pthread_barrier_wait(&f.start);
		/* The export's file keeps no memory */
		ASSERT_EQ(0, ia_status("VmPin")) TH_LOG("round %u", rounds);
		close(export);
	}
	f.stop = true;
	pthread_barrier_wait(&f.start);
	pthread_join(thread, NULL);
}

struct pinner {
	int dev;
	bool stop;
	unsigned long pinned;
	unsigned long refused;
};

static void *pin_second(void *data)
{
	struct pinner *p = data;

	while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
		if (mock_pin(p->dev, BASE + PG, PG)) {
			p->refused++;
			continue;
		}
		p->pinned++;
		mock_unpin(p->dev, BASE + PG, PG);
	}
	return NULL;
}

/*
 * The driver holds one mutex over its pins, and takes it in its unmap callback.
 * A change of two mappings, of which the driver pins the first, does not make
 * it wait for the second one meanwhile.
 */
TEST_F(order, pin_beside_a_change)
{
	__u64 iova = BASE;
	pthread_t thread;
	struct pinner p;
	__u32 devid;
	int i;

	if (mock_load())
		SKIP(return, "no emulated devices");
	p = (struct pinner) { .dev = mock_open(0) };
	if (p.dev < 0)
		SKIP(return, "no emulated devices");
	ASSERT_EQ(0, hw_bind(p.dev, self->fd, 1, &devid));
	ASSERT_EQ(0, hw_attach(p.dev, self->root));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root, BASE + i * PG,
				    self->mem + i * PG, PG));
	ASSERT_EQ(0, pthread_create(&thread, NULL, pin_second, &p));
	for (i = 0; i < (ia_slow_kernel() ? 200 : 2000); i++) {
		ASSERT_EQ(0, mock_pin(p.dev, BASE, PG));
		ASSERT_EQ(0, ia_map_full(self->fd, self->root,
					 IOASID_MAP_READ | IOASID_MAP_FIXED |
					 IOASID_MAP_PROTECT, &iova, 0, 2 * PG,
					 0, 0, 0, NULL));
		EXPECT_EQ(0, ia_map_full(self->fd, self->root, IA_RW_FIXED |
					 IOASID_MAP_PROTECT, &iova, 0, 2 * PG,
					 0, 0, 0, NULL));
		/* And of a mapping that is unmapped alone */
		ASSERT_EQ(0, mock_pin(p.dev, BASE, PG));
		ASSERT_EQ(0, ia_unmap(self->fd, self->root, BASE, PG, NULL));
		ASSERT_EQ(0, ia_map(self->fd, self->root, BASE, self->mem, PG));
	}
	__atomic_store_n(&p.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_LT(0, p.pinned);
	close(p.dev);
}

TEST_HARNESS_MAIN
