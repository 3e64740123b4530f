// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is charged once (IOASID_CHARGE_ONCE), however often a process
 * maps it. VmLck shows the charge; pages count, not addresses. And memory that
 * stays pinned when the process that mapped it ends.
 *
 * The processes have no privilege, and a limit that each test sets. Most tests
 * map one file in memory, so that the index of a page identifies it at any
 * address.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <sched.h>

#include "ioasid_test.h"
#include "fault.h"
#include "state.h"

#define PG page_size

/* Pages of the file */
#define PAGES 256
#define FILES 3
#define NR_IOASIDS 100

static const __u64 base = SZ_1G;

/* Number of pages that this process is charged for. */
static long locked(void)
{
	return ia_status("VmLck") * 1024 / (long)PG;
}

static int may_lock_as(unsigned int uid, unsigned long pages)
{
	struct rlimit limit = { pages * PG, pages * PG };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) ||
	    setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		return -errno;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) ? -errno : 0;
}

static int may_lock(unsigned long pages)
{
	return may_lock_as(60100, pages);
}

/* A context that charges once, and an IOASID of it. */
static int open_once(__u32 *id)
{
	int fd = ia_open(), rc;

	if (fd < 0)
		return fd;
	rc = ia_set_option(fd, IOASID_OPTION_CHARGE, IOASID_CHARGE_ONCE, 0);
	if (!rc)
		rc = ia_alloc(fd, id);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

/* "ioasid-charged" of the fdinfo of a file, in pages */
static long fdinfo_charged(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return ia_proc_field(path, "ioasid-charged") / (long)PG;
}

static bool exited_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

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

/* Pages of the file by index, to the same pages of IOVA. */
static int map_pages(int fd, __u32 id, char *mem, unsigned long index,
		     unsigned long pages)
{
	return ia_map(fd, id, base + index * PG, mem + index * PG, pages * PG);
}

static int unmap_pages(int fd, __u32 id, unsigned long index,
		       unsigned long pages)
{
	return ia_unmap_full(fd, id, IOASID_UNMAP_SPLIT, base + index * PG,
			     pages * PG, NULL);
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

static long left(int fd, __u32 id)
{
	struct ioasid_info info;

	return ia_info(fd, id, &info) ? -1 : (long)(info.bytes_left / PG);
}

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

/*
 * Processes that end. Their mappings in a context that lives on stay pinned,
 * and are charged to their user from then on: to locked memory of the user, and
 * to the limit of each process of the user.
 */
#define ROOM 32

FIXTURE(ended)
{
	/* one of each enum ioasid_charge */
	int fd[IOASID_CHARGE_ONCE + 1];
	__u32 id[IOASID_CHARGE_ONCE + 1];
	char *mem;
};

FIXTURE_VARIANT(ended)
{
	int charge;
};

FIXTURE_VARIANT_ADD(ended, mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_VARIANT_ADD(ended, once)
{
	.charge = IOASID_CHARGE_ONCE,
};

static int open_charge(__u64 charge, __u32 *id)
{
	int fd = ia_open(), rc;

	if (fd < 0)
		return fd;
	rc = ia_set_option(fd, IOASID_OPTION_CHARGE, charge, 0);
	if (!rc)
		rc = ia_alloc(fd, id);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

FIXTURE_SETUP(ended)
{
	int i;

	for (i = 0; i <= IOASID_CHARGE_ONCE; i++) {
		self->fd[i] = open_charge(i, &self->id[i]);
		if (self->fd[i] == -ENOENT)
			SKIP(return, IA_ABSENT);
		ASSERT_LE(0, self->fd[i]);
	}
	self->mem = ia_mem(2 * ROOM * PG);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 1, 2 * ROOM * PG);
}

FIXTURE_TEARDOWN(ended)
{
	int i;

	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		close(self->fd[i]);
}

/*
 * Number of pages that can be mapped in one of the modes, checked to be exact.
 */
static long room(int fd, __u32 id, char *mem, unsigned long at_most)
{
	unsigned long n = left(fd, id);

	if (n > at_most ||
	    ia_map(fd, id, SZ_4G, mem, (n + 1) * PG) != -EDQUOT ||
	    (n && ia_map(fd, id, SZ_4G, mem, n * PG)) ||
	    (n && left(fd, id)) ||
	    (n && ia_unmap(fd, id, SZ_4G, n * PG, NULL)))
		return -1;
	return n;
}

/* In each mode, the charge for processes that ended counts for all of them. */
#define EXPECT_ROOM(pages)						\
do {									\
	int _i;								\
									\
	for (_i = 0; _i <= IOASID_CHARGE_ONCE; _i++)			\
		EXPECT_EQ((long)(pages),				\
			  room(self->fd[_i], self->id[_i], self->mem,	\
			       ROOM))					\
			TH_LOG("charged in way %d", _i);		\
} while (0)

/* A child maps pages by index, and ends; returns 0 or the error of the map. */
static int child_maps(int fd, __u32 id, char *mem, unsigned long index,
		      unsigned long pages)
{
	int status;
	pid_t pid;

	pid = ia_fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(-map_pages(fd, id, mem, index, pages));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	return -WEXITSTATUS(status);
}

#define CHILD_MAPS(index, pages)					\
	child_maps(self->fd[variant->charge], self->id[variant->charge],\
		   self->mem, index, pages)
#define UNMAP_ENDED(index, pages)					\
	unmap_pages(self->fd[variant->charge], self->id[variant->charge],\
		    index, pages)

/* Processes one after the other get no more than one alone. */
TEST_F(ended, together)
{
	int other, i;
	__u32 id;

	other = open_charge(variant->charge, &id);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_ROOM(ROOM);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, CHILD_MAPS(i * 8, 8));
		EXPECT_ROOM(ROOM - (i + 1) * 8);
	}
	EXPECT_EQ(-EDQUOT, CHILD_MAPS(ROOM, 1));
	EXPECT_EQ(0, locked());
	/* freed memory can be locked again, by any process */
	ASSERT_EQ(0, UNMAP_ENDED(4, 3));
	EXPECT_ROOM(3);
	EXPECT_EQ(-EDQUOT, CHILD_MAPS(ROOM, 4));
	ASSERT_EQ(0, CHILD_MAPS(ROOM, 3));
	EXPECT_ROOM(0);
	ASSERT_EQ(0, UNMAP_ENDED(0, 2 * ROOM));
	EXPECT_ROOM(ROOM);
	ASSERT_EQ(0, CHILD_MAPS(0, ROOM));
	EXPECT_EQ(-EDQUOT, CHILD_MAPS(ROOM, 1));
	/* the close of a file releases all of its charge */
	ASSERT_EQ(0, close(self->fd[variant->charge]));
	self->fd[variant->charge] = other;
	self->id[variant->charge] = id;
	EXPECT_ROOM(ROOM);
}

/* It adds to the charge of the process that maps. */
TEST_F(ended, on_top)
{
	int mm = self->fd[IOASID_CHARGE_MM], once = self->fd[IOASID_CHARGE_ONCE];
	__u32 mm_id = self->id[IOASID_CHARGE_MM];
	__u32 once_id = self->id[IOASID_CHARGE_ONCE];

	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, map_pages(mm, mm_id, self->mem, ROOM, 20));
	ASSERT_EQ(0, map_pages(once, once_id, self->mem, ROOM, 4));
	/* live processes have separate charges */
	ASSERT_EQ(0, CHILD_MAPS(0, 8));
	EXPECT_EQ(24, locked());
	EXPECT_EQ(0, room(mm, mm_id, self->mem, ROOM));
	EXPECT_EQ(0, room(once, once_id, self->mem, ROOM));
	EXPECT_EQ(ROOM - 8, left(self->fd[IOASID_CHARGE_USER],
				 self->id[IOASID_CHARGE_USER]));
	/* pages that are charged once already need no room */
	EXPECT_EQ(0, ia_map(once, once_id, 0, self->mem + ROOM * PG, 4 * PG));
	ASSERT_EQ(0, UNMAP_ENDED(4, 4));
	EXPECT_EQ(4, room(mm, mm_id, self->mem, ROOM));
	EXPECT_EQ(4, room(once, once_id, self->mem, ROOM));
	ASSERT_EQ(0, UNMAP_ENDED(0, 4));
	ASSERT_EQ(0, unmap_pages(mm, mm_id, ROOM, 20));
	EXPECT_EQ(ROOM - 4, room(mm, mm_id, self->mem, ROOM));
	EXPECT_EQ(4, locked());
}

/* Pages that one process maps several times. */
TEST_F(ended, several_times)
{
	bool once = variant->charge == IOASID_CHARGE_ONCE;
	int fd = self->fd[variant->charge];
	__u32 id = self->id[variant->charge];
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (map_pages(fd, id, self->mem, 0, 8) ||
		    ia_map(fd, id, 0, self->mem + 4 * PG, 8 * PG))
			_exit(1);
		_exit(0);
	}
	ASSERT_TRUE(exited_well(pid));
	EXPECT_ROOM(ROOM - (once ? 12 : 16));
	ASSERT_EQ(0, UNMAP_ENDED(2, 4));
	EXPECT_ROOM(ROOM - (once ? 10 : 12));
	ASSERT_EQ(0, ia_unmap(fd, id, 0, 8 * PG, NULL));
	EXPECT_ROOM(ROOM - 4);
	ASSERT_EQ(0, UNMAP_ENDED(0, 8));
	EXPECT_ROOM(ROOM);
}

/* An mm ends with the last process that uses it. */
static int wait_for_byte(void *from)
{
	char c;

	return read(*(int *)from, &c, 1) != 1;
}

TEST_F(ended, shared_mm)
{
	int fd = self->fd[variant->charge];
	__u32 id = self->id[variant->charge];
	int go[2], status;
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, pipe(go));
	/* the second process becomes a child of this one when the first ends */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char *stack = ia_mem(SZ_64K);

		close(go[1]);
		if (!stack || map_pages(fd, id, self->mem, 0, 8) ||
		    clone(wait_for_byte, stack + SZ_64K, CLONE_VM | SIGCHLD,
			  &go[0]) < 0)
			_exit(1);
		_exit(0);
	}
	ASSERT_TRUE(exited_well(pid));
	EXPECT_ROOM(ROOM);
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_LT(0, waitpid(-1, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ROOM(ROOM - 8);
}

/* Other users are not charged, and privilege lifts the limit. */
TEST_F(ended, other_users)
{
	struct ioasid_info info;
	pid_t pid;
	int i;

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(may_lock_as(60110, ROOM) || CHILD_MAPS(0, ROOM) ||
		      CHILD_MAPS(ROOM, 1) != -EDQUOT);
	ASSERT_TRUE(exited_well(pid));
	for (i = 0; i <= IOASID_CHARGE_ONCE; i++) {
		ASSERT_EQ(0, ia_info(self->fd[i], self->id[i], &info));
		EXPECT_EQ(~0ULL, info.bytes_left);
	}
	EXPECT_EQ(0, CHILD_MAPS(ROOM, ROOM));
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_ROOM(ROOM);
}

/*
 * A program that another one executes. Its environment has its task and the
 * contexts: "WHAT FD ID FD ID FD ID".
 */
#define EXECUTED "IOASID_CHARGE_EXECUTED"

struct executed {
	int way;
	int fd[IOASID_CHARGE_ONCE + 1];
	__u32 id[IOASID_CHARGE_ONCE + 1];
};

static __attribute__((constructor)) void executed(void)
{
	const char *env = getenv(EXECUTED);
	struct executed e;
	unsigned long want;
	char *mem;
	int i;

	if (!env)
		return;
	page_size = sysconf(_SC_PAGESIZE);
	mem = ia_mem(2 * ROOM * PG);
	if (!mem || sscanf(env, "%lu %d %d %u %d %u %d %u", &want, &e.way,
			   &e.fd[0], &e.id[0], &e.fd[1], &e.id[1], &e.fd[2],
			   &e.id[2]) != 8)
		_exit(10);
	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		if (room(e.fd[i], e.id[i], mem, ROOM) != (long)want)
			_exit(20 + i);
	if (locked())
		_exit(30);
	/* the new program can unmap mappings of the old one */
	if (unmap_pages(e.fd[e.way], e.id[e.way], 0, ROOM))
		_exit(40);
	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		if (room(e.fd[i], e.id[i], mem, ROOM) != ROOM)
			_exit(50 + i);
	_exit(0);
}

static void execute(unsigned long want, int way, const int *fd, const __u32 *id)
{
	char env[128];
	int i;

	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		fcntl(fd[i], F_SETFD, 0);
	snprintf(env, sizeof(env), "%lu %d %d %u %d %u %d %u", want, way, fd[0],
		 id[0], fd[1], id[1], fd[2], id[2]);
	setenv(EXECUTED, env, 1);
	execl("/proc/self/exe", "charge", NULL);
	_exit(60);
}

TEST_F(ended, exec)
{
	int status;
	__u32 id;
	pid_t pid;
	int fd;

	/* a context that exec closes leaves no charge */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fd = open_charge(variant->charge, &id);
		if (fd < 0 || may_lock(ROOM) ||
		    map_pages(fd, id, self->mem, 0, ROOM))
			_exit(1);
		execute(ROOM, variant->charge, self->fd, self->id);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	ASSERT_EQ(0, may_lock(ROOM));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (map_pages(self->fd[variant->charge],
			      self->id[variant->charge], self->mem, 4, 8))
			_exit(1);
		execute(ROOM - 8, variant->charge, self->fd, self->id);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ROOM(ROOM);
}

/*
 * A process that ends closes the context that it mapped in. Its charge must at
 * no moment count for other processes of the user that stay below the limit.
 */
TEST_F(ended, closed_with_the_process)
{
	unsigned int i, rounds = ia_slow_kernel() ? 20 : 100;
	int status, way;
	pid_t pid;

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < rounds; i++) {
			__u32 id;
			int fd;

			if (!ia_fork()) {
				fd = open_charge(variant->charge, &id);
				_exit(fd < 0 || may_lock(ROOM) ||
				      map_pages(fd, id, self->mem, 0, ROOM));
			}
			if (wait(&status) < 0 || status)
				_exit(1);
		}
		_exit(0);
	}
	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; !waitpid(pid, &status, WNOHANG); i++) {
		way = i % (IOASID_CHARGE_ONCE + 1);
		ASSERT_EQ(0, map_pages(self->fd[way], self->id[way], self->mem,
				       0, ROOM))
			TH_LOG("charged in way %d", way);
		ASSERT_EQ(0, unmap_pages(self->fd[way], self->id[way], 0,
					 ROOM));
	}
	EXPECT_EQ(0, status);
	EXPECT_ROOM(ROOM);
}

/* Mappings of the process that ends are unmapped meanwhile. */
TEST_F(ended, unmapped_meanwhile)
{
	unsigned int i, rounds = ia_slow_kernel() ? 20 : 100;
	int fd = self->fd[variant->charge], status;
	__u32 id = self->id[variant->charge];
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < rounds; i++) {
			int rc = child_maps(fd, id, self->mem, i % ROOM, 16);

			if (rc && rc != -EDQUOT && rc != -EEXIST &&
			    rc != -ECANCELED)
				_exit(-rc);
		}
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG))
		ASSERT_EQ(0, unmap_pages(fd, id, 0, 2 * ROOM));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, unmap_pages(fd, id, 0, 2 * ROOM));
	EXPECT_ROOM(ROOM);
}

static void *map_unmap(void *data)
{
	struct hammer *h = data;

	while (!h->rc) {
		h->rc = ia_map(h->fd, h->id, base + h->seed * PG,
			       h->mem + h->seed * PG, 4 * PG);
		/* the killed process may have left it there */
		if (h->rc == -EEXIST || h->rc == -EDQUOT)
			h->rc = 0;
		if (!h->rc && h->seed % 3)
			h->rc = ia_unmap(h->fd, h->id, base + h->seed * PG,
					 4 * PG, NULL);
	}
	return NULL;
}

/* Killed at any moment, also while it is charged for the first time. */
TEST_F(ended, killed)
{
	unsigned int i, n, rounds = ia_slow_kernel() ? 20 : 100;
	struct hammer h[4];
	pthread_t thread;
	int status;
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	srandom(815);
	for (i = 0; i < rounds; i++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			for (n = 0; n < 4; n++) {
				h[n] = (struct hammer){
					.fd = self->fd[variant->charge],
					.id = self->id[variant->charge],
					.mem = self->mem,
					.seed = 4 * n,
				};
				if (n && pthread_create(&thread, NULL,
							map_unmap, &h[n]))
					_exit(1);
			}
			map_unmap(&h[0]);
			_exit(2);
		}
		usleep(random() % 3000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	ASSERT_EQ(0, UNMAP_ENDED(0, 2 * ROOM));
	EXPECT_ROOM(ROOM);
}

/* Signals that do not kill do not fail the first map of a process. */
static void on_signal(int sig)
{
}

TEST_F(ended, signals)
{
	unsigned int i, rounds = ia_slow_kernel() ? 10 : 30;
	struct sigaction sa = { .sa_handler = on_signal };
	int fd = self->fd[variant->charge], status;
	__u32 id = self->id[variant->charge];
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	for (i = 0; i < rounds; i++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(-map_pages(fd, id, self->mem, 0, 4));
		while (!waitpid(pid, &status, WNOHANG))
			ASSERT_EQ(0, kill(pid, SIGUSR1));
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_EQ(0, WEXITSTATUS(status));
		EXPECT_EQ(ROOM - 4, left(fd, id));
		ASSERT_EQ(0, UNMAP_ENDED(0, 4));
	}
	EXPECT_ROOM(ROOM);
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
