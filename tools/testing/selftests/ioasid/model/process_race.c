// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices work in the memory of a process while it changes: no access comes after the
 * change, none reaches memory that is another one's by then, and each request has its
 * answer.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ioasid_test.h"
#include "family.h"
#include "faults.h"
#include "process.h"

#define PG page_size
#define NR_PAGES 64
/* Rounds, or fewer: as many as a slow machine does in the time */
#define ROUNDS 150
#define TIME_MS 40000
#define GIVE_UP_ROUNDS 300
#define SEED 31
#define CANARY 0x43414e4152590000ULL

FIXTURE(process_race)
{
	struct model model;
	struct model_device dev[2];
	int fd;
	__u32 id;
	char *mem;
	bool stop;
};

FIXTURE_SETUP(process_race)
{
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	if (ia_check(self->fd, IOASID_EXT_PROCESS) <= 0)
		SKIP(return, "no mirrors of processes");
	self->mem = process_memory(PROCESS_WINDOW);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, process_alloc(self->fd, &self->id));
	ASSERT_EQ(0, process_attach_two(&self->model, self->dev, self->id));
}

FIXTURE_TEARDOWN(process_race)
{
	int i;

	for (i = 0; i < 2 && self->dev[i].model; i++)
		PROCESS_REMOVE(&self->dev[i]);
	model_close(&self->model);
}

/* Writes to all pages, again and again, whether they are there or not */
static int write_on(struct model_device *dev, __u32 pasid, const char *p)
{
	return process_hammer(dev, pasid, p, PG, NR_PAGES, SEED + pasid);
}

static bool devices_write(struct _test_data_process_race *self, __u64 more)
{
	return !model_hammered(&self->dev[0], 1, more) &&
	       !model_hammered(&self->dev[1], 1, more);
}

/* Memory that comes and goes, and that no device may reach */
static void *keep_canaries(void *arg)
{
	struct _test_data_process_race *self = arg;
	bool hurt = false;
	int i, words;
	__u64 *p;

	words = NR_PAGES * PG / sizeof(*p);
	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		p = mmap(NULL, NR_PAGES * PG, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (p == MAP_FAILED)
			break;
		for (i = 0; i < words; i += 8)
			p[i] = CANARY + i;
		sched_yield();
		for (i = 0; i < words; i += 8)
			hurt |= p[i] != CANARY + i;
		munmap(p, NR_PAGES * PG);
	}
	return (void *)(long)hurt;
}

/* Pages that are read-only do not change any longer */
static bool is_still(const char *p)
{
	static char copy[NR_PAGES][64];
	int i;

	for (i = 0; i < NR_PAGES; i++)
		memcpy(copy[i], p + i * PG, 64);
	usleep(500);
	for (i = 0; i < NR_PAGES; i++)
		if (memcmp(copy[i], p + i * PG, 64))
			return false;
	return true;
}

/* The child's copy does not change, while that of the parent does */
static bool child_is_still(const char *p)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(!is_still(p));
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

static bool change(char *p, int round)
{
	int page = round * 7 % (NR_PAGES - 8);

	switch (round % 6) {
	case 0:
		return !munmap(p + page * PG, 8 * PG) &&
		       mmap(p + page * PG, 8 * PG, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
				p + page * PG;
	case 1:
		return !mprotect(p, NR_PAGES * PG, PROT_READ) && is_still(p) &&
		       !mprotect(p, NR_PAGES * PG, PROT_READ | PROT_WRITE);
	case 2:
		return !madvise(p + page * PG, 8 * PG, MADV_DONTNEED);
	case 3:
		return child_is_still(p);
	case 4:
		/* All pages of the machine may move */
		hw_write_file("/proc/sys/vm/compact_memory", "1");
		return true;
	default:
		madvise(p, PROCESS_WINDOW, round % 12 == 5 ? MADV_HUGEPAGE :
							      MADV_NOHUGEPAGE);
		return !madvise(p, PROCESS_WINDOW, MADV_DONTNEED);
	}
}

/* Both devices write, and a thread keeps canaries, until end_writes() */
static void begin_writes(struct __test_metadata *_metadata,
			 struct _test_data_process_race *self,
			 pthread_t *canaries)
{
	int i;

	ASSERT_EQ(0, pthread_create(canaries, NULL, keep_canaries, self));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, write_on(&self->dev[i], 1 + i, self->mem));
}

static void end_writes(struct __test_metadata *_metadata,
		       struct _test_data_process_race *self, pthread_t canaries)
{
	void *hurt;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, model_stop(&self->dev[i], 1, NULL));
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(canaries, &hurt));
	EXPECT_EQ(NULL, hurt);
}

TEST_F(process_race, change)
{
	__u64 until = ia_now_ms() + TIME_MS;
	pthread_t canaries;
	int i;

	begin_writes(_metadata, self, &canaries);
	for (i = 0; i < ROUNDS && ia_now_ms() < until; i++) {
		ASSERT_TRUE(change(self->mem, i)) TH_LOG("round %d", i);
		if (i % 10 == 0)
			ASSERT_TRUE(devices_write(self, NR_PAGES));
	}
	end_writes(_metadata, self, canaries);
	/* It works, after all that */
	EXPECT_TRUE(process_writes(&self->dev[0], 1, self->mem, 4, SEED));
	EXPECT_TRUE(process_writes(&self->dev[1], 2, self->mem, 4, SEED));
}

/* Pages that go just while they are looked up for a device are not put in */
TEST_F(process_race, give_up)
{
	__u64 until = ia_now_ms() + TIME_MS;
	pthread_t canaries;
	int i;

	begin_writes(_metadata, self, &canaries);
	/* All pages are there: a worker that writes them holds up the next one */
	for (i = 0; i < GIVE_UP_ROUNDS && ia_now_ms() < until; i++) {
		memset(self->mem, i, PROCESS_WINDOW);
		ASSERT_EQ(0, madvise(self->mem, PROCESS_WINDOW, MADV_DONTNEED));
	}
	end_writes(_metadata, self, canaries);
	/* What is mapped is what the process has */
	EXPECT_TRUE(process_reads(&self->dev[0], 1, self->mem, NR_PAGES, SEED));
	EXPECT_TRUE(process_reads(&self->dev[1], 2, self->mem, NR_PAGES, SEED));
	EXPECT_TRUE(process_writes(&self->dev[0], 1, self->mem, NR_PAGES, SEED));
}

/* Devices come and go meanwhile */
TEST_F(process_race, attach)
{
	__u64 until = ia_now_ms() + TIME_MS;
	struct ioasid_model_status status;
	int i, rc;

	for (i = 0; i < ROUNDS && ia_now_ms() < until; i++) {
		ASSERT_EQ(0, write_on(&self->dev[0], 1, self->mem));
		if (i % 3 == 0)
			ASSERT_TRUE(change(self->mem, i));
		ASSERT_EQ(0, process_detach(&self->dev[0], 1));
		ASSERT_EQ(0, model_stop(&self->dev[0], 1, &status));
		rc = process_attach(&self->dev[0], self->id, 1);
		ASSERT_EQ(0, rc);
	}
	EXPECT_TRUE(process_writes(&self->dev[0], 1, self->mem, 4, SEED));
}

/* A process that works with memory of its own, until it is killed */
static void be_killed(struct _test_data_process_race *self, int tell)
{
	char *p = process_memory(PROCESS_WINDOW);
	struct {
		char *p;
		__u32 id;
	} told = { .p = p };
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (process_alloc(self->fd, &told.id) ||
	    write(tell, &told, sizeof(told)) != sizeof(told))
		_exit(1);
	for (i = 0;; i++)
		change(p, i);
}

TEST_F(process_race, killed)
{
	__u64 until = ia_now_ms() + TIME_MS;
	struct {
		char *p;
		__u32 id;
	} told;
	int i, status, tell[2];
	pid_t child;

	ASSERT_EQ(0, pipe(tell));
	for (i = 0; i < ROUNDS / 5 && ia_now_ms() < until; i++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			be_killed(self, tell[1]);
		ASSERT_EQ(sizeof(told), read(tell[0], &told, sizeof(told)));
		ASSERT_EQ(0, process_attach(&self->dev[0], told.id, 1));
		ASSERT_EQ(0, write_on(&self->dev[0], 1, told.p));
		ASSERT_EQ(0, model_hammered(&self->dev[0], 1, NR_PAGES / 2));
		ASSERT_EQ(0, kill(child, SIGKILL));
		if (i % 2)
			ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, process_detach(&self->dev[0], 1));
		ASSERT_EQ(0, model_stop(&self->dev[0], 1, NULL));
		if (!(i % 2))
			ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, ia_free(self->fd, told.id));
		ASSERT_EQ(0, process_attach(&self->dev[0], self->id, 1));
	}
	EXPECT_TRUE(process_writes(&self->dev[0], 1, self->mem, 4, SEED));
}

TEST_HARNESS_MAIN
