// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is charged once (IOASID_CHARGE_ONCE), however often a process
 * maps it. VmLck shows the charge; pages count, not addresses.
 *
 * The processes have no privilege, and a limit that each test sets. Most tests
 * map one file in memory, so that the index of a page identifies it at any
 * address.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "ioasid_test.h"
#include "charge.h"
#include "fault.h"
#include "state.h"

#define PG page_size

/* Pages of the file */
#define PAGES 256
#define FILES 3
#define NR_IOASIDS 100

static const __u64 base = CHARGE_IOVA;

FIXTURE(once)
{
	int fd[FILES];
	__u32 id[FILES];
	int file;
	char *mem;
};

FIXTURE_SETUP(once)
{
	int i;

	for (i = 0; i < FILES; i++) {
		self->fd[i] = open_once(&self->id[i]);
		if (self->fd[i] == -ENOENT)
			SKIP(return, IA_ABSENT);
		ASSERT_LE(0, self->fd[i]);
	}
	self->file = memfd_create("charge", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, PAGES * PG));
	self->mem = mmap(NULL, PAGES * PG, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->file, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	memset(self->mem, 0x5a, PAGES * PG);
}

FIXTURE_TEARDOWN(once)
{
	int i;

	for (i = 0; i < FILES; i++)
		close(self->fd[i]);
	close(self->file);
	if (locked())
		TH_LOG("%ld pages are still charged", locked());
	EXPECT_EQ(0, locked());
}

#define MAP(n, index, pages)						\
({									\
	int _n = (n);							\
									\
	map_pages(self->fd[_n], self->id[_n], self->mem, index, pages);	\
})
#define UNMAP(n, index, pages)						\
({									\
	int _n = (n);							\
									\
	unmap_pages(self->fd[_n], self->id[_n], index, pages);		\
})

/* One copy of the memory is enough for three files and a hundred IOASIDs. */
TEST_F(once, one_copy_suffices)
{
	struct ioasid_info info;
	__u32 id[NR_IOASIDS];
	unsigned int i, n;

	ASSERT_EQ(0, may_lock(PAGES));
	for (i = 0; i < NR_IOASIDS; i++) {
		n = i % FILES;
		ASSERT_EQ(0, ia_alloc(self->fd[n], &id[i]));
		ASSERT_EQ(0, ia_map(self->fd[n], id[i], base, self->mem,
				    PAGES * PG));
	}
	EXPECT_EQ(PAGES, locked());
	for (n = 0; n < FILES; n++) {
		EXPECT_EQ(0, left(self->fd[n], self->id[n]));
		EXPECT_EQ(PAGES, fdinfo_charged(self->fd[n]));
	}
	ASSERT_EQ(0, ia_info(self->fd[0], id[0], &info));
	EXPECT_EQ(PAGES * PG, info.bytes_pinned);
	EXPECT_EQ(PAGES * PG, info.bytes_charged);

	/* and for no page more */
	EXPECT_EQ(-EDQUOT, ia_map(self->fd[0], self->id[0], base,
				  ia_mem(PG), PG));
	/* unmapped by free, by unmap, by close; the last one counts */
	for (i = 0; i < NR_IOASIDS - 4; i++) {
		n = i % FILES;
		ASSERT_EQ(0, i & 1 ? ia_free(self->fd[n], id[i]) :
				     ia_unmap_all(self->fd[n], id[i], NULL));
	}
	EXPECT_EQ(PAGES, locked());
	for (n = 0; n < FILES; n++) {
		EXPECT_EQ(PAGES, locked());
		ASSERT_EQ(0, close(self->fd[n]));
	}
	EXPECT_EQ(0, locked());
}

/* A map that adds nothing to the charge succeeds above the limit, too. */
TEST_F(once, limit_is_lowered)
{
	struct rlimit half = { PAGES / 2 * PG, PAGES / 2 * PG };

	ASSERT_EQ(0, may_lock(PAGES));
	ASSERT_EQ(0, MAP(0, 0, PAGES));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &half));
	EXPECT_EQ(0, MAP(1, 0, PAGES));
	EXPECT_EQ(0, MAP(2, 1, 1));
	EXPECT_EQ(PAGES, locked());
	/* One page of it is new */
	ASSERT_EQ(0, unmap_pages(self->fd[0], self->id[0], 0, 2));
	ASSERT_EQ(0, unmap_pages(self->fd[1], self->id[1], 0, 2));
	EXPECT_EQ(-EDQUOT, MAP(0, 0, 2));
	EXPECT_EQ(0, MAP(0, 1, 1));
	EXPECT_EQ(PAGES - 1, locked());
}

/* Memory that took the place of other memory at an address is another page. */
TEST_F(once, other_memory_at_the_same_address)
{
	char *mem = ia_mem(8 * PG);
	int i;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, may_lock(16));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ia_map(self->fd[i], self->id[i], base, mem,
				    8 * PG));
		EXPECT_EQ(8 * (i + 1), locked());
		ASSERT_EQ(0, munmap(mem, 8 * PG));
		ASSERT_EQ(mem, mmap(mem, 8 * PG, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
				    0));
	}
	EXPECT_EQ(-EDQUOT, ia_map(self->fd[2], self->id[2], base, mem, PG));
	EXPECT_EQ(16, locked());
	/*
	 * unmapped by the process, but charged until the device's mapping goes
	 */
	ASSERT_EQ(0, ia_unmap_all(self->fd[0], self->id[0], NULL));
	EXPECT_EQ(8, locked());
	EXPECT_EQ(0, ia_map(self->fd[2], self->id[2], base, mem, 8 * PG));
	EXPECT_EQ(16, locked());
}

/* By file, by address, by another address, read-only: the same pages. */
TEST_F(once, whatever_way)
{
	__u64 iova = SZ_4G;
	char *alias;

	alias = mmap(NULL, PAGES * PG, PROT_READ, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, alias);
	ASSERT_EQ(0, may_lock(64));
	ASSERT_EQ(0, MAP(0, 0, 64));
	EXPECT_EQ(0, ia_map_file(self->fd[0], self->id[0], IA_RW_FIXED, &iova,
				 self->file, 0, 64 * PG));
	EXPECT_EQ(0, ia_map_full(self->fd[1], self->id[1],
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(alias + 32 * PG), 32 * PG, 0, 0, 0,
				 NULL));
	EXPECT_EQ(64, locked());
	ASSERT_EQ(0, UNMAP(0, 0, 64));
	EXPECT_EQ(64, locked());
	ASSERT_EQ(0, ia_unmap(self->fd[0], self->id[0], iova, 64 * PG, NULL));
	EXPECT_EQ(32, locked());
}

/* One mapping that has the same page many times. */
TEST_F(once, again_and_again_in_one_mapping)
{
	char *mem = ia_mem(16 * PG);
	int i;

	ASSERT_NE(NULL, mem);
	for (i = 0; i < 16; i++)
		ASSERT_EQ(mem + i * PG,
			  mmap(mem + i * PG, PG, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, self->file,
			       (i % 3) * PG));
	ASSERT_EQ(0, may_lock(3));
	ASSERT_EQ(0, ia_map(self->fd[0], self->id[0], base, mem, 16 * PG));
	EXPECT_EQ(3, locked());
	ASSERT_EQ(0, UNMAP(0, 0, 13));
	EXPECT_EQ(3, locked());
	ASSERT_EQ(0, UNMAP(0, 13, 1));
	EXPECT_EQ(2, locked());
	ASSERT_EQ(0, UNMAP(0, 14, 2));
	EXPECT_EQ(0, locked());
}

TEST_F(once, overlaps)
{
	ASSERT_EQ(0, may_lock(30));
	ASSERT_EQ(0, MAP(0, 0, 20));
	ASSERT_EQ(0, MAP(1, 10, 20));
	EXPECT_EQ(30, locked());
	EXPECT_EQ(-EDQUOT, MAP(2, 0, 31));
	EXPECT_EQ(30, locked());
	ASSERT_EQ(0, MAP(2, 5, 20));
	EXPECT_EQ(30, locked());
	/* unmap the middle of all three, one after the other */
	ASSERT_EQ(0, UNMAP(0, 12, 4));
	ASSERT_EQ(0, UNMAP(1, 12, 4));
	EXPECT_EQ(30, locked());
	ASSERT_EQ(0, UNMAP(2, 12, 4));
	EXPECT_EQ(26, locked());
	ASSERT_EQ(0, UNMAP(0, 0, 20));
	EXPECT_EQ(21, locked());
	ASSERT_EQ(0, UNMAP(1, 0, 30));
	EXPECT_EQ(16, locked());
	ASSERT_EQ(0, UNMAP(2, 0, 30));
	EXPECT_EQ(0, locked());
}

/* Exact to the page, and all or nothing, even if several parts are pinned. */
TEST_F(once, exact)
{
	const unsigned long limit = 1500;
	char *mem = ia_mem(4 * limit * PG);
	struct ia_state before, after;
	const char *diff;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, may_lock(limit));
	EXPECT_EQ((long)limit, left(self->fd[0], self->id[0]));
	ASSERT_EQ(0, ia_state_read(self->fd[0], &before));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd[0], self->id[0], 0, mem,
				  (limit + 1) * PG));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd[0], self->id[0], 0, mem,
				  3 * limit * PG));
	ASSERT_EQ(0, ia_state_read(self->fd[0], &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
	ASSERT_EQ(0, ia_map(self->fd[0], self->id[0], 0, mem, limit * PG));
	EXPECT_EQ(0, left(self->fd[0], self->id[0]));
	EXPECT_EQ((long)limit, locked());
	EXPECT_EQ(-EDQUOT, ia_map(self->fd[1], self->id[1], 0, mem + PG,
				  limit * PG));
	EXPECT_EQ(0, ia_map(self->fd[1], self->id[1], 0, mem, limit * PG));
}

/* The context's own limit counts every mapping. */
TEST_F(once, limit_of_the_context)
{
	ASSERT_EQ(0, ia_set_option(self->fd[0], IOASID_OPTION_LIMIT_PINNED,
				   20 * PG, 0));
	ASSERT_EQ(0, may_lock(PAGES));
	ASSERT_EQ(0, MAP(0, 0, 20));
	EXPECT_EQ(0, left(self->fd[0], self->id[0]));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd[0], self->id[0], SZ_4G, self->mem,
				  PG));
	EXPECT_EQ(0, MAP(1, 0, 20));
	EXPECT_EQ(20, locked());
}

/* Other kinds of locked memory are charged in addition. */
TEST_F(once, on_top_of_others)
{
	int fd = ia_open();
	__u32 id;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ia_set_option(fd, IOASID_OPTION_CHARGE, IOASID_CHARGE_MM,
				   0));
	ASSERT_EQ(0, ia_alloc(fd, &id));
	ASSERT_EQ(0, may_lock(30));
	ASSERT_EQ(0, MAP(0, 0, 10));
	ASSERT_EQ(0, mlock(self->mem, 10 * PG));
	EXPECT_EQ(20, locked());
	ASSERT_EQ(0, ia_map(fd, id, base, self->mem, 10 * PG));
	EXPECT_EQ(30, locked());
	EXPECT_EQ(0, left(fd, id));
	EXPECT_EQ(-EDQUOT, MAP(1, 0, 11));
	EXPECT_EQ(0, MAP(1, 0, 10));
	EXPECT_EQ(30, locked());
	ASSERT_EQ(0, munlock(self->mem, 10 * PG));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(10, locked());
}

/* A part of a large page is charged by its size. */
TEST_F(once, large_page)
{
	unsigned long huge = SZ_2M / PG, quarter = huge / 4;
	char *mem = ia_mem_aligned(SZ_2M, SZ_2M);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, madvise(mem, SZ_2M, MADV_HUGEPAGE));
	memset(mem, 1, SZ_2M);
	ASSERT_EQ(0, may_lock(huge));
	ASSERT_EQ(0, ia_map(self->fd[1], self->id[1], base, mem + quarter * PG,
			    quarter * PG));
	EXPECT_EQ((long)quarter, locked());
	ASSERT_EQ(0, ia_map(self->fd[0], self->id[0], base, mem, SZ_2M));
	EXPECT_EQ((long)huge, locked());
	ASSERT_EQ(0, ia_map(self->fd[2], self->id[2], base,
			    mem + 3 * quarter * PG, PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd[0], self->id[0], NULL));
	EXPECT_EQ((long)quarter + 1, locked());
}

/* Each process is charged for pages that it maps, shared ones included. */
TEST_F(once, processes)
{
	pid_t pid;
	int i;

	ASSERT_EQ(0, may_lock(20));
	ASSERT_EQ(0, MAP(0, 0, 20));
	for (i = 0; i < 2; i++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			/* the parent's mappings do not charge this process */
			if (locked() || MAP(1, 0, 21) != -EDQUOT ||
			    MAP(1, 0, 20) || locked() != 20)
				_exit(1);
			/* nor does the end of the parent change the charge */
			if (UNMAP(0, 0, 10) || locked() != 20)
				_exit(2);
			if (ia_map(self->fd[2], self->id[2], SZ_4G, self->mem,
				   20 * PG) || locked() != 20)
				_exit(3);
			_exit(0);
		}
		ASSERT_TRUE(exited_well(pid));
		EXPECT_EQ(10, locked());
		/* mappings that the dead process left */
		EXPECT_EQ(0, ia_unmap_all(self->fd[1], self->id[1], NULL));
		EXPECT_EQ(0, ia_unmap_all(self->fd[2], self->id[2], NULL));
		EXPECT_EQ(10, locked());
		ASSERT_EQ(0, MAP(0, 0, 10));
		EXPECT_EQ(20, locked());
	}
}

/* The mode is set before the first map, and can be read back. */
TEST_F(once, option)
{
	__u64 value;

	ASSERT_EQ(0, ia_get_option(self->fd[0], IOASID_OPTION_CHARGE, &value,
				   NULL));
	EXPECT_EQ(IOASID_CHARGE_ONCE, value);
	EXPECT_EQ(0, ia_set_option(self->fd[0], IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_USER, 0));
	ASSERT_EQ(0, MAP(0, 0, 1));
	EXPECT_EQ(-EBUSY, ia_set_option(self->fd[0], IOASID_OPTION_CHARGE,
					IOASID_CHARGE_ONCE, 0));
	EXPECT_EQ(0, locked());
	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd[1], IOASID_OPTION_CHARGE,
					     IOASID_CHARGE_ONCE + 1, 0));
}

/*
 * Random maps and unmaps, whole and in part, of memory that lies in random
 * order in each of several places, against a count for each page.
 */
#define PLACES 4
#define SPACES 8

struct model {
	unsigned int count[PAGES];
	unsigned int charged;
	/* page of the file at each page of IOVA, -1 for none */
	short space[SPACES][PAGES];
};

static void model_count(struct model *m, unsigned int page, int delta)
{
	m->charged -= !!m->count[page];
	m->count[page] += delta;
	m->charged += !!m->count[page];
}

/* Number of pages that a map of [first, first + n) would add to the charge */
static unsigned int model_fresh(const struct model *m, const short *page,
				unsigned int n)
{
	bool seen[PAGES] = {};
	unsigned int i, fresh = 0;

	for (i = 0; i < n; i++) {
		fresh += !m->count[page[i]] && !seen[page[i]];
		seen[page[i]] = true;
	}
	return fresh;
}

TEST_F(once, random)
{
	unsigned int steps = ia_slow_kernel() ? 3000 : 30000, step, i;
	unsigned int hits = 0, refusals = 0, cuts = 0;
	const unsigned int limit = PAGES * 3 / 4;
	static short order[PLACES][PAGES];
	static struct model m;
	char *place[PLACES];
	__u32 id[SPACES];

	srandom(4711);
	memset(&m, 0, sizeof(m));
	memset(m.space, 0xff, sizeof(m.space));
	for (i = 0; i < PLACES; i++) {
		place[i] = ia_mem(PAGES * PG);
		ASSERT_NE(NULL, place[i]);
	}
	for (i = 0; i < PLACES * PAGES; i++) {
		unsigned int p = i / PAGES, at = i % PAGES;

		/*
		 * the first place in order, the others in runs or fully random
		 */
		order[p][at] = !p ? at : p == 1 ? at ^ 16 :
			       p == 2 ? (at * 5) % PAGES : random() % PAGES;
		ASSERT_NE(MAP_FAILED,
			  mmap(place[p] + at * PG, PG, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, self->file,
			       order[p][at] * PG));
	}
	for (i = 0; i < SPACES; i++)
		ASSERT_EQ(0, ia_alloc(self->fd[i % FILES], &id[i]));
	ASSERT_EQ(0, may_lock(limit));

	for (step = 0; step < steps; step++) {
		unsigned int s = random() % SPACES, p = random() % PLACES;
		unsigned int at = random() % PAGES, from = random() % PAGES;
		unsigned int n = 1 + random() % (random() % 2 ? 4 : PAGES);
		int fd = self->fd[s % FILES], rc, want = 0;
		bool any = false, more;

		n = n > PAGES - at ? PAGES - at : n;
		if (random() % 2) {
			n = n > PAGES - from ? PAGES - from : n;
			for (i = 0; i < n; i++)
				any |= m.space[s][at + i] >= 0;
			if (any)
				want = -EEXIST;
			else if (m.charged + model_fresh(&m, &order[p][from], n)
				 > limit)
				want = -EDQUOT;
			rc = ia_map(fd, id[s], base + at * PG,
				    place[p] + from * PG, n * PG);
			ASSERT_EQ(want, rc)
				TH_LOG("step %u", step);
			refusals += rc == -EDQUOT;
			hits += !rc;
			for (i = 0; !rc && i < n; i++) {
				m.space[s][at + i] = order[p][from + i];
				model_count(&m, order[p][from + i], 1);
			}
		} else {
			more = random() % 64 == 0;
			rc = more ? ia_unmap_all(fd, id[s], NULL) :
				    ia_unmap_full(fd, id[s], IOASID_UNMAP_SPLIT,
						  base + at * PG, n * PG, NULL);
			ASSERT_EQ(0, rc);
			if (more) {
				at = 0;
				n = PAGES;
			}
			cuts += at && m.space[s][at - 1] >= 0 &&
				m.space[s][at] >= 0;
			for (i = at; i < at + n; i++) {
				if (m.space[s][i] >= 0)
					model_count(&m, m.space[s][i], -1);
				m.space[s][i] = -1;
			}
		}
		ASSERT_EQ((long)(limit - m.charged), left(fd, id[s]))
			TH_LOG("step %u", step);
		if (step % 64 == 0) {
			ASSERT_EQ((long)m.charged, locked());
			ASSERT_EQ((long)m.charged, fdinfo_charged(fd));
		}
	}
	/* the test needs enough hits and refusals */
	EXPECT_LT(steps / 20, hits);
	EXPECT_LT(steps / 100, refusals);
	EXPECT_LT(steps / 100, cuts);
	for (i = 0; i < SPACES; i++)
		ASSERT_EQ(0, i % 2 ? ia_free(self->fd[i % FILES], id[i]) :
				     ia_unmap_all(self->fd[i % FILES], id[i],
						  NULL));
	EXPECT_EQ(0, locked());
}

/*
 * Threads that map and unmap the same memory, each in its own context: one copy
 * may be locked, so that no map may ever fail.
 */
struct hammer {
	int fd;
	__u32 id;
	char *mem;
	unsigned int seed;
	unsigned int rounds;
	int rc;
};

static void *hammer(void *data)
{
	struct hammer *h = data;
	unsigned int i, at, n;

	for (i = 0; i < h->rounds && !h->rc; i++) {
		at = rand_r(&h->seed) % PAGES;
		n = 1 + rand_r(&h->seed) % (PAGES - at);
		h->rc = ia_map(h->fd, h->id, base, h->mem + at * PG, n * PG);
		if (!h->rc && i % 3 == 0)
			h->rc = ia_unmap_full(h->fd, h->id, IOASID_UNMAP_SPLIT,
					      base + n / 2 * PG, PG, NULL);
		if (!h->rc)
			h->rc = ia_unmap_all(h->fd, h->id, NULL);
	}
	return NULL;
}

TEST_F(once, threads)
{
	struct hammer h[FILES];
	pthread_t thread[FILES];
	int i;

	ASSERT_EQ(0, may_lock(PAGES));
	for (i = 0; i < FILES; i++) {
		h[i] = (struct hammer){
			.fd = self->fd[i],
			.id = self->id[i],
			.mem = self->mem,
			.seed = i + 1,
			.rounds = ia_slow_kernel() ? 10 : 5000,
		};
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, hammer, &h[i]));
	}
	for (i = 0; i < FILES; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, h[i].rc);
	}
	/*
	 * charges whose release was deferred are released now, or by this map
	 */
	EXPECT_EQ(0, MAP(0, 0, PAGES));
	EXPECT_EQ(PAGES, locked());
}

/* One map fails for lack of room, while others succeed: no charge is left. */
TEST_F(once, threads_beyond_the_limit)
{
	unsigned int i, rounds = ia_slow_kernel() ? 10 : 3000;
	struct hammer h = {
		.fd = self->fd[0],
		.id = self->id[0],
		.mem = self->mem,
		.seed = 5,
		.rounds = rounds,
	};
	char *more = ia_mem(PAGES * PG);
	pthread_t thread;

	ASSERT_NE(NULL, more);
	ASSERT_EQ(0, may_lock(PAGES + 1));
	/* the memory and two pages more in one mapping */
	ASSERT_EQ(more, mmap(more, (PAGES - 2) * PG, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED, self->file, 0));
	ASSERT_EQ(0, MAP(2, PAGES - 2, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, hammer, &h));
	for (i = 0; i < rounds; i++) {
		EXPECT_EQ(-EDQUOT, ia_map(self->fd[1], self->id[1], base, more,
					  PAGES * PG));
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, h.rc);
	EXPECT_EQ(0, MAP(0, 0, PAGES));
	EXPECT_EQ(PAGES, locked());
	EXPECT_EQ(1, left(self->fd[0], self->id[0]));
}

/* Fail each allocation in turn: no charge is left. */
TEST_F(once, allocations_fail)
{
	int fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	unsigned int nth, i;
	char *mem;
	int rc;

	if (fail_nth < 0 || !set_knobs())
		SKIP(return, "no fault injection");
	/* no two pages are neighbours */
	mem = ia_mem(64 * PG);
	ASSERT_NE(NULL, mem);
	for (i = 0; i < 64; i++)
		ASSERT_NE(MAP_FAILED,
			  mmap(mem + i * PG, PG, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, self->file,
			       (i * 37 % PAGES) * PG));
	memset(mem, 1, 64 * PG);
	ASSERT_EQ(0, MAP(0, 0, PAGES / 2));
	for (nth = 1; nth < MAX_FAILURES; nth++) {
		bool failed;

		ASSERT_TRUE(arm(fail_nth, nth));
		rc = ia_map(self->fd[1], self->id[1], base, mem, 64 * PG);
		failed = disarm(fail_nth);
		if (!failed)
			break;
		/* the command may succeed without it */
		if (!rc)
			rc = ia_unmap_all(self->fd[1], self->id[1], NULL);
		ASSERT_EQ(PAGES / 2, locked());
	}
	ASSERT_EQ(0, rc);
	EXPECT_LT(16, nth);
	/* an unmap needs no allocation */
	for (nth = 1; nth < 8; nth++) {
		ASSERT_TRUE(arm(fail_nth, nth));
		rc = ia_unmap_full(self->fd[0], self->id[0], IOASID_UNMAP_SPLIT,
				   base + 8 * nth * PG, 3 * PG, NULL);
		disarm(fail_nth);
		EXPECT_TRUE(!rc || rc == -EFAULT || rc == -ENOMEM);
	}
	restore_knobs();
	close(fail_nth);
	ASSERT_EQ(0, ia_free(self->fd[1], self->id[1]));
	ASSERT_EQ(0, ia_free(self->fd[0], self->id[0]));
	EXPECT_EQ(0, locked());
}

/* Many mappings of one page beside a run of pages. */
TEST_F(once, pieces)
{
	unsigned long huge = SZ_2M / PG, pieces, i, n;
	char *mem = ia_mem_aligned(SZ_2M, SZ_2M);

	pieces = ia_slow_kernel() ? 2000 : 20000;
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, madvise(mem, SZ_2M, MADV_HUGEPAGE));
	memset(mem, 1, SZ_2M);
	ASSERT_EQ(0, may_lock(1 + huge));
	for (i = 0; i < pieces; i++)
		ASSERT_EQ(0, ia_map(self->fd[0], self->id[0], base + i * PG,
				    self->mem, PG));
	EXPECT_EQ(1, locked());
	for (n = 0; n < 4; n++) {
		ASSERT_EQ(0, ia_map(self->fd[1], self->id[1], base, mem, SZ_2M));
		/* every second page once more */
		for (i = n % 2; i < huge; i += 2)
			ASSERT_EQ(0, ia_map(self->fd[2], self->id[2],
					    base + i * PG, mem + i * PG, PG));
		EXPECT_EQ((long)huge + 1, locked());
		EXPECT_EQ(-EDQUOT, ia_map(self->fd[2], self->id[2], 0,
					  self->mem + PG, PG));
		ASSERT_EQ(0, ia_unmap_all(self->fd[1 + n % 2],
					  self->id[1 + n % 2], NULL));
		EXPECT_EQ((long)(n % 2 ? huge : huge / 2) + 1, locked());
		ASSERT_EQ(0, ia_unmap_all(self->fd[2 - n % 2],
					  self->id[2 - n % 2], NULL));
		EXPECT_EQ(1, locked());
	}
	ASSERT_EQ(0, ia_unmap_all(self->fd[0], self->id[0], NULL));
	EXPECT_EQ(0, locked());
}

TEST_HARNESS_MAIN
