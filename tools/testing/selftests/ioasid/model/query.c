// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read mappings back: IOASID_QUERY_MAP returns the mappings as they were made,
 * shows addresses only to their process, and is consistent while other threads
 * map, cut and unmap.
 */
#include "ioasid_test.h"
#include "model.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)

struct answer {
	__u32 nr;
	__u32 more;
	__u64 next;
};

static int query(int fd, __u32 id, __u64 start,
		 struct ioasid_query_entry *entries, __u32 room,
		 struct answer *answer)
{
	struct ioasid_query_map cmd = {
		.argsz = sizeof(cmd),
		.ioasid = id,
		.nr = room,
		.start = start,
		.entries = IA_PTR(entries),
	};
	int rc = ia_cmd(fd, IOASID_QUERY_MAP, &cmd);

	answer->nr = cmd.nr;
	answer->more = cmd.more;
	answer->next = cmd.next;
	return rc;
}

FIXTURE(query)
{
	int fd;
	__u32 id;
	char *mem;
};

FIXTURE_SETUP(query)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	self->mem = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(query)
{
	close(self->fd);
}

#define EXPECT_ENTRY(e, _iova, _length, _flags, _addr, _cut)		\
do {									\
	const struct ioasid_query_entry *__e = &(e);			\
									\
	EXPECT_EQ(_iova, __e->iova);					\
	EXPECT_EQ(_length, __e->length);				\
	EXPECT_EQ(_flags, __e->flags);					\
	EXPECT_EQ(_addr, __e->addr);					\
	EXPECT_EQ(_cut, __e->cut_size);					\
	EXPECT_EQ(0, __e->__reserved);					\
} while (0)

TEST_F(query, all_kinds)
{
	__u64 iova = BASE + 8 * PG, top = -SZ_2M;
	struct ioasid_query_entry e[8];
	struct answer answer;
	int file;

	ASSERT_EQ(0, query(self->fd, self->id, 0, e, 8, &answer));
	EXPECT_EQ(0, answer.nr);
	EXPECT_EQ(0, answer.more);
	EXPECT_EQ(0, answer.next);

	file = memfd_create("query", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 4 * PG));
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE, self->mem + PG, 3 * PG));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 file, 2 * PG, 2 * PG));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, BASE + 16 * PG, 5 * PG));
	iova = BASE + 32 * PG;
	ASSERT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_WRITE | IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->mem), 8 * PG, 4 * PG, 0, 0,
				 NULL));
	/* up to the last byte there is */
	ASSERT_EQ(0, ia_map(self->fd, self->id, top, self->mem, SZ_2M));

	memset(e, 0x5a, sizeof(e));
	ASSERT_EQ(0, query(self->fd, self->id, 0, e, 8, &answer));
	ASSERT_EQ(5, answer.nr);
	EXPECT_EQ(0, answer.more);
	EXPECT_EQ(0, answer.next);
	EXPECT_ENTRY(e[0], BASE, 3 * PG, IA_RW | IOASID_QUERY_ADDR,
		     IA_PTR(self->mem + PG), 0);
	EXPECT_ENTRY(e[1], BASE + 8 * PG, 2 * PG,
		     IOASID_MAP_READ | IOASID_MAP_FILE | IOASID_QUERY_ADDR,
		     2 * PG, 0);
	EXPECT_ENTRY(e[2], BASE + 16 * PG, 5 * PG, IOASID_MAP_RESERVE, 0, 0);
	EXPECT_ENTRY(e[3], BASE + 32 * PG, 8 * PG,
		     IOASID_MAP_WRITE | IOASID_QUERY_ADDR, IA_PTR(self->mem),
		     4 * PG);
	EXPECT_ENTRY(e[4], top, SZ_2M, IA_RW | IOASID_QUERY_ADDR,
		     IA_PTR(self->mem), 0);
	/* no table, no IOPTE */
	EXPECT_EQ(0, e[0].pgsizes | e[1].pgsizes | e[2].pgsizes |
		     e[3].pgsizes | e[4].pgsizes);
	/* the kernel does not write outputs that were not asked for */
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, e[5].iova);

	/* as pieces */
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, BASE + 32 * PG, 4 * PG,
			      NULL));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   BASE + PG, PG, NULL));
	ASSERT_EQ(0, query(self->fd, self->id, 0, e, 8, &answer));
	ASSERT_EQ(6, answer.nr);
	EXPECT_ENTRY(e[0], BASE, PG, IA_RW | IOASID_QUERY_ADDR,
		     IA_PTR(self->mem + PG), 0);
	EXPECT_ENTRY(e[1], BASE + 2 * PG, PG, IA_RW | IOASID_QUERY_ADDR,
		     IA_PTR(self->mem + 3 * PG), 0);
	EXPECT_ENTRY(e[4], BASE + 36 * PG, 4 * PG,
		     IOASID_MAP_WRITE | IOASID_QUERY_ADDR,
		     IA_PTR(self->mem + 4 * PG), 4 * PG);
	close(file);
}

TEST_F(query, where_to_go_on)
{
	struct ioasid_query_entry e[8];
	struct answer answer;
	int i;

	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->id, BASE + 4 * i * PG,
				    self->mem, 2 * PG));
	/* from the middle of a mapping, its last byte, and behind it */
	ASSERT_EQ(0, query(self->fd, self->id, BASE + PG + 5, e, 1, &answer));
	EXPECT_EQ(1, answer.nr);
	EXPECT_EQ(BASE, e[0].iova);
	EXPECT_EQ(1, answer.more);
	ASSERT_EQ(0, query(self->fd, self->id, BASE + 2 * PG - 1, e, 1,
			   &answer));
	EXPECT_EQ(BASE, e[0].iova);
	ASSERT_EQ(0, query(self->fd, self->id, BASE + 2 * PG, e, 1, &answer));
	EXPECT_EQ(BASE + 4 * PG, e[0].iova);

	/* no room: only whether there is a mapping */
	ASSERT_EQ(0, query(self->fd, self->id, 7, NULL, 0, &answer));
	EXPECT_EQ(0, answer.nr);
	EXPECT_EQ(1, answer.more);
	EXPECT_EQ(7, answer.next);
	ASSERT_EQ(0, query(self->fd, self->id, BASE + 18 * PG, NULL, 0,
			   &answer));
	EXPECT_EQ(0, answer.more);
	EXPECT_EQ(0, answer.next);
	ASSERT_EQ(0, query(self->fd, self->id, ~0ULL, e, 1, &answer));
	EXPECT_EQ(0, answer.nr);

	/* the exact number of elements */
	ASSERT_EQ(0, query(self->fd, self->id, 0, e, 5, &answer));
	EXPECT_EQ(5, answer.nr);
	EXPECT_EQ(0, answer.more);
	ASSERT_EQ(0, query(self->fd, self->id, 0, e, 4, &answer));
	EXPECT_EQ(4, answer.nr);
	EXPECT_EQ(1, answer.more);
	EXPECT_LT(e[3].iova, answer.next);
	EXPECT_GE(BASE + 16 * PG, answer.next);
	ASSERT_EQ(0, query(self->fd, self->id, answer.next, e, 4, &answer));
	EXPECT_EQ(1, answer.nr);
	EXPECT_EQ(BASE + 16 * PG, e[0].iova);
	EXPECT_EQ(0, answer.more);

	/* a hole in the array */
	EXPECT_EQ(-EFAULT, query(self->fd, self->id, 0, (void *)8, 5, &answer));
	EXPECT_EQ(-ENOENT, query(self->fd, self->id + 1, 0, e, 5, &answer));
}

/* Addresses are shown only to the process that they belong to. */
TEST_F(query, other_process)
{
	struct ioasid_query_entry e[2];
	struct answer answer;
	int status;
	pid_t pid;

	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE, self->mem, PG));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (query(self->fd, self->id, 0, e, 2, &answer) ||
		    answer.nr != 1 || e[0].iova != BASE ||
		    e[0].length != PG)
			_exit(1);
		_exit(e[0].addr || e[0].flags != IA_RW ? 2 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, query(self->fd, self->id, 0, e, 2, &answer));
	EXPECT_EQ(IA_PTR(self->mem), e[0].addr);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR, e[0].flags);
}

TEST_F(query, child)
{
	struct ioasid_query_entry e[2];
	struct answer answer;
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
		.parent = self->id,
	};
	int status;
	pid_t pid;

	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	ASSERT_EQ(0, ia_map(self->fd, self->id, SZ_1G, self->mem, 8 * PG));
	ASSERT_EQ(0, ia_map(self->fd, alloc.ioasid, BASE,
			    (void *)(uintptr_t)(SZ_1G + 2 * PG), 4 * PG));
	/* every process sees an address of the parent */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (query(self->fd, alloc.ioasid, 0, e, 2, &answer))
			_exit(1);
		_exit(answer.nr != 1 || e[0].addr != SZ_1G + 2 * PG ||
		      e[0].flags != (IA_RW | IOASID_QUERY_ADDR));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, ia_unmap_full(self->fd, alloc.ioasid, IOASID_UNMAP_SPLIT,
				   BASE, PG, NULL));
	ASSERT_EQ(0, query(self->fd, alloc.ioasid, 0, e, 2, &answer));
	ASSERT_EQ(1, answer.nr);
	EXPECT_ENTRY(e[0], BASE + PG, 3 * PG, IA_RW | IOASID_QUERY_ADDR,
		     SZ_1G + 3 * PG, 0);
}

/* A successor finds the files that mappings are of. */
TEST_F(query, file)
{
	static const __u32 sizes[] = { 48, 56, 64, 72, 256 };
	struct ioasid_query_long_entry e;
	struct ioasid_query_map cmd;
	struct stat stats[2], *st;
	char buf[6 * 256], zero[256] = {};
	__u64 iova[2] = { BASE, BASE + SZ_1G };
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
		.parent = self->id,
	};
	unsigned int i, k, pass;
	int file[2];

	if (ia_check(self->fd, IOASID_EXT_MAP_FILE) <= 0)
		SKIP(return, "files cannot be mapped");
	for (i = 0; i < 2; i++) {
		file[i] = memfd_create("query", MFD_CLOEXEC);
		ASSERT_LE(0, file[i]);
		ASSERT_EQ(0, ftruncate(file[i], 16 * PG));
		ASSERT_EQ(0, fstat(file[i], &stats[i]));
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED,
					 &iova[i], file[i], (i + 1) * PG,
					 4 * PG));
		close(file[i]);
	}
	ASSERT_NE(stats[0].st_ino, stats[1].st_ino);
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE + 2 * SZ_1G, self->mem,
			    PG));
	/* a hole leaves two parts of the first file */
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   BASE + PG, PG, NULL));
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	ASSERT_EQ(0, ia_map(self->fd, alloc.ioasid, BASE,
			    (void *)(uintptr_t)BASE, PG));

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (pass = 0; pass < 2; pass++) {
			memset(buf, 0x5a, sizeof(buf));
			cmd = (struct ioasid_query_map) {
				.argsz = sizeof(cmd),
				.ioasid = pass ? alloc.ioasid : self->id,
				.nr = 5,
				.entries = IA_PTR(buf),
				.entry_size = sizes[i],
			};
			ASSERT_EQ(0, ia_cmd(self->fd, IOASID_QUERY_MAP, &cmd));
			ASSERT_EQ(pass ? 1 : 4, cmd.nr);
			EXPECT_EQ(0x5a, buf[cmd.nr * sizes[i]]);
			for (k = 0; k < cmd.nr; k++) {
				memset(&e, 0, sizeof(e));
				memcpy(&e, buf + k * sizes[i],
				       sizes[i] < sizeof(e) ? sizes[i] :
				       sizeof(e));
				if (sizes[i] > sizeof(e))
					EXPECT_EQ(0, memcmp(buf + k * sizes[i] +
							    sizeof(e), zero,
							    sizes[i] -
							    sizeof(e)));
				EXPECT_EQ(0, e.__reserved);
				/* by address, of a parent, or with no room */
				if (pass || k == 3 || sizes[i] < sizeof(e)) {
					EXPECT_EQ(0, e.entry.flags &
						     IOASID_QUERY_INODE);
					EXPECT_EQ(0, e.ino);
					EXPECT_EQ(0, e.dev);
					continue;
				}
				st = &stats[k == 2];
				EXPECT_EQ(IOASID_QUERY_INODE, e.entry.flags &
					  IOASID_QUERY_INODE);
				EXPECT_EQ(st->st_ino, e.ino);
				EXPECT_EQ(st->st_dev, e.dev);
				EXPECT_EQ(PG * (k == 0 ? 1 : k == 1 ? 3 : 2),
					  e.entry.addr);
			}
		}
}

/* All mappings, in order, each once. */
static bool walk(int fd, __u32 id, __u32 room, __u64 want, __u64 step)
{
	struct ioasid_query_entry *e = calloc(room, sizeof(*e));
	struct answer answer = {};
	__u64 seen = 0, start = 0;
	bool good = true;
	__u32 i;

	do {
		if (query(fd, id, start, e, room, &answer)) {
			good = false;
			break;
		}
		for (i = 0; i < answer.nr; i++, seen++)
			good &= e[i].iova == BASE + seen * step &&
				e[i].length == PG;
		good &= !answer.more || answer.next > start;
		start = answer.next;
	} while (good && answer.more);
	free(e);
	return good && seen == want;
}

TEST_F(query, many)
{
	__u64 nr = ia_slow_kernel() ? 20000 : 1000000, i;
	struct ioasid_dma_op *op = calloc(1000, sizeof(*op));
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.nr = 1000,
		.ops = IA_PTR(op),
	};
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
		.parent = self->id,
	};

	ASSERT_NE(NULL, op);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	ASSERT_EQ(0, ia_map(self->fd, self->id, SZ_1G, self->mem, PG));
	batch.ioasid = alloc.ioasid;
	for (i = 0; i < nr; i++) {
		op[i % 1000] = (struct ioasid_dma_op) {
			.op = IOASID_DMA_OP_MAP,
			.flags = IA_RW_FIXED,
			.iova = BASE + i * 2 * PG,
			.addr = SZ_1G,
			.length = PG,
		};
		if (i % 1000 == 999)
			ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	}
	EXPECT_TRUE(walk(self->fd, alloc.ioasid, 1000, nr, 2 * PG));
	EXPECT_TRUE(walk(self->fd, alloc.ioasid, nr + 1, nr, 2 * PG));
	free(op);
}

/* --- which IOPTEs --- */

TEST_F(query, page_sizes)
{
	struct model_params params = {};
	struct ioasid_query_entry e[4];
	struct model_space space;
	struct model_device dev;
	struct answer answer;
	struct model model;
	__u64 iova;
	char *mem;
	int rc;

	rc = model_open(&model, MODEL_IOASID);
	if (rc == -ENOENT)
		SKIP(return, "no model devices");
	ASSERT_EQ(0, rc);
	mem = mmap(NULL, 2 * SZ_2M, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "no huge pages");
	ASSERT_EQ(0, model_plug(&model, &dev, &params, 0));
	ASSERT_EQ(0, model_space_open(&model, &space));
	ASSERT_EQ(0, model_map(&space, BASE, mem, SZ_2M, MODEL_RW));
	ASSERT_EQ(0, query(model.ctx, space.id, 0, e, 4, &answer));
	EXPECT_EQ(0, e[0].pgsizes);
	ASSERT_EQ(0, model_attach(&dev, &space));
	ASSERT_EQ(0, query(model.ctx, space.id, 0, e, 4, &answer));
	EXPECT_EQ(SZ_2M, e[0].pgsizes);

	/* not aligned to each other; with a grid; and pieces */
	ASSERT_EQ(0, model_map(&space, BASE + SZ_2M + PG, mem, SZ_2M,
			       MODEL_RW));
	iova = BASE + 4 * SZ_2M;
	ASSERT_EQ(0, ia_map_full(model.ctx, space.id, IA_RW_FIXED, &iova,
				 IA_PTR(mem), SZ_2M, SZ_64K, 0, 0, NULL));
	iova = BASE + 8 * SZ_2M;
	ASSERT_EQ(0, ia_map_full(model.ctx, space.id, IA_RW_FIXED, &iova,
				 IA_PTR(mem + SZ_2M - SZ_64K), SZ_64K + SZ_2M,
				 0, 0, 0, NULL));
	ASSERT_EQ(0, query(model.ctx, space.id, 0, e, 4, &answer));
	ASSERT_EQ(4, answer.nr);
	EXPECT_EQ(SZ_2M, e[0].pgsizes);
	EXPECT_EQ(PG, e[1].pgsizes);
	EXPECT_EQ(PG, e[2].pgsizes);
	EXPECT_EQ(PG, e[3].pgsizes);
	ASSERT_EQ(0, ia_unmap(model.ctx, space.id, iova, SZ_64K + SZ_2M, NULL));
	iova = BASE + 8 * SZ_2M - SZ_64K;
	ASSERT_EQ(0, ia_map_full(model.ctx, space.id, IA_RW_FIXED, &iova,
				 IA_PTR(mem + SZ_2M - SZ_64K), SZ_64K + SZ_2M,
				 0, 0, 0, NULL));
	ASSERT_EQ(0, query(model.ctx, space.id, iova, e, 4, &answer));
	ASSERT_EQ(1, answer.nr);
	EXPECT_EQ(SZ_2M | PG, e[0].pgsizes);
	ASSERT_EQ(0, ia_unmap_full(model.ctx, space.id, IOASID_UNMAP_SPLIT,
				   BASE, PG, NULL));
	ASSERT_EQ(0, query(model.ctx, space.id, BASE, e, 1, &answer));
	EXPECT_EQ(BASE + PG, e[0].iova);
	EXPECT_EQ(PG, e[0].pgsizes);

	ASSERT_EQ(0, model_detach(&dev));
	ASSERT_EQ(0, query(model.ctx, space.id, BASE, e, 1, &answer));
	EXPECT_EQ(0, e[0].pgsizes);
	EXPECT_NO_HARM(&dev);
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	model_close(&model);
	munmap(mem, 2 * SZ_2M);
}

/* --- during changes --- */

struct churn {
	int fd;
	__u32 id;
	char *mem;
	bool stop;
	unsigned long rounds;
	unsigned long failed;
};

#define CHURN_PAGES 64

/* Map, cut page by page from either end, repeat. */
static void *churn(void *data)
{
	struct churn *c = data;
	int i;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		c->failed += !!ia_map(c->fd, c->id, BASE, c->mem,
				      CHURN_PAGES * PG);
		for (i = 0; i < CHURN_PAGES / 2; i++) {
			c->failed += !!ia_unmap_full(c->fd, c->id,
						     IOASID_UNMAP_SPLIT,
						     BASE + i * PG, PG, NULL);
			c->failed += !!ia_unmap_full(c->fd, c->id,
						     IOASID_UNMAP_SPLIT,
						     BASE + (CHURN_PAGES - 1 -
							     i) * PG,
						     PG, NULL);
		}
		c->rounds++;
	}
	return NULL;
}

TEST_F(query, consistent)
{
	struct churn c = { .fd = self->fd, .id = self->id, .mem = self->mem };
	__u64 deadline = ia_now_ms() + 2000, bad = 0, empty = 0, told = 0, end;
	struct ioasid_query_entry e[4];
	struct answer answer;
	pthread_t thread;
	__u32 i;

	/* Neighbours that do not change. */
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE - PG, self->mem, PG));
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE + CHURN_PAGES * PG,
			    self->mem, PG));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &c));
	while (ia_now_ms() < deadline) {
		ASSERT_EQ(0, query(self->fd, self->id, 0, e, 4, &answer));
		bad += answer.nr < 2 || e[0].iova != BASE - PG ||
		       e[answer.nr - 1].iova != BASE + CHURN_PAGES * PG;
		/* each element is consistent, and none overlap */
		for (i = 0, end = 0; i < answer.nr; i++) {
			bad += e[i].iova < end;
			end = e[i].iova + e[i].length;
			if (i && i + 1 < answer.nr)
				bad += e[i].addr - IA_PTR(self->mem) !=
				       e[i].iova - BASE;
		}
		empty += answer.nr == 2;
		told += answer.nr == 3;
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, c.failed);
	EXPECT_EQ(0, bad);
	EXPECT_LT(0, told)
		TH_LOG("%lu rounds, empty %llu", c.rounds, empty);
}

TEST_HARNESS_MAIN
