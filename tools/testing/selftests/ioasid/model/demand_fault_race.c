// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices request the memory of a root, which is pinned on demand, while it is unmapped
 * and mapped, and devices come and go: no access comes after an unmap, none reaches
 * memory that is another one's by then, and each request has its answer.
 */
#include <pthread.h>

#include "ioasid_test.h"
#include "family.h"
#include "faults.h"
#include "process.h"

#define PG page_size
/* Windows are as small as this: the cut size.  Half of them may stay pinned if idle */
#define WINDOW (128 << 10)
#define WINDOWS 64
#define LENGTH (WINDOWS * WINDOW)
/* Where devices write: twice in each window */
#define STRIDE (WINDOW / 2)
#define NR_WRITES (LENGTH / STRIDE)
#define PATIENCE_MS 60000
/* Rounds, or fewer: as many as a slow machine does in the time */
#define ROUNDS 400
#define TIME_MS 25000
#define SEED 41
#define CANARY 0x43414e4152590000ULL

FIXTURE(demand_fault_race)
{
	struct model model;
	struct model_device dev[2];
	int fd;
	__u32 id;
	char *mem;
	bool stop;
};

FIXTURE_SETUP(demand_fault_race)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
		.cut_size = WINDOW,
	};
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	self->mem = process_memory(LENGTH);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &cmd));
	self->id = cmd.ioasid;
	ASSERT_EQ(0, ia_map(self->fd, self->id, IA_PTR(self->mem), self->mem,
			    LENGTH));
	ASSERT_EQ(0, process_attach_two(&self->model, self->dev, self->id));
}

FIXTURE_TEARDOWN(demand_fault_race)
{
	int i;

	for (i = 0; i < 2 && self->dev[i].model; i++)
		PROCESS_REMOVE(&self->dev[i]);
	model_close(&self->model);
}

/* Writes to all windows, again and again, whether they are there or not */
static int write_on(struct model_device *dev, __u32 pasid, const char *p)
{
	return process_hammer(dev, pasid, p, STRIDE, NR_WRITES, SEED + pasid);
}

/* Canaries in memory that was unmapped live */
static bool is_out_of_reach(char *p)
{
	bool hurt = false;
	int i, k;

	for (i = 0; i < 2; i++)
		*(__u64 *)(p + i * STRIDE) = CANARY + i;
	for (k = 0; k < 3; k++) {
		sched_yield();
		for (i = 0; i < 2; i++)
			hurt |= __atomic_load_n((__u64 *)(p + i * STRIDE),
						__ATOMIC_RELAXED) != CANARY + i;
	}
	return !hurt;
}

/* One window goes, others are requested meanwhile, and it comes again with new pages */
static const char *change(struct _test_data_demand_fault_race *self, int round)
{
	char *p = self->mem + round * 5 % WINDOWS * WINDOW;
	bool whole = round % 16 == 15;
	__u64 length = whole ? LENGTH : WINDOW;

	if (whole)
		p = self->mem;
	if (ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT, IA_PTR(p), length,
			  NULL))
		return "unmap";
	if (!is_out_of_reach(p))
		return "a device has written to what was unmapped";
	/* It is no longer pinned: the process has other pages from here on */
	if (round % 3 == 0 && madvise(p, length, MADV_DONTNEED))
		return "madvise";
	if (ia_map(self->fd, self->id, IA_PTR(p), p, length))
		return "map";
	return NULL;
}

static void *come_and_go(void *arg)
{
	struct _test_data_demand_fault_race *self = arg;
	long rc = 0;

	while (!rc && !__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		rc = process_detach(&self->dev[1], 2);
		if (!rc)
			rc = process_attach(&self->dev[1], self->id, 2);
	}
	return (void *)rc;
}

/* What is pinned is what the root says, and all of it goes */
static void check_end(struct __test_metadata *_metadata,
		      struct _test_data_demand_fault_race *self)
{
	struct ioasid_info info = info_of(self->fd, self->id);
	int i;

	EXPECT_EQ(LENGTH, info.bytes_pinned + info.bytes_demand);
	EXPECT_EQ(info.bytes_pinned, info.bytes_charged);
	for (i = 0; i < WINDOWS; i++)
		EXPECT_TRUE(process_writes(&self->dev[i % 2], 1 + i % 2,
					   self->mem + i * WINDOW + PG, 1, SEED));
	EXPECT_EQ(LENGTH, info_of(self->fd, self->id).bytes_pinned);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(0, info_of(self->fd, self->id).bytes_pinned);
}

static void change_on(struct __test_metadata *_metadata,
		      struct _test_data_demand_fault_race *self, bool moves)
{
	__u64 until = ia_now_ms() + TIME_MS;
	const char *wrong = NULL;
	pthread_t goer;
	void *rc = NULL;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, write_on(&self->dev[i], 1 + i, self->mem));
	if (moves)
		ASSERT_EQ(0, pthread_create(&goer, NULL, come_and_go, self));
	for (i = 0; i < ROUNDS && !wrong && ia_now_ms() < until; i++) {
		wrong = change(self, i);
		if (!wrong && i % 10 == 0 &&
		    model_hammered(&self->dev[0], 1, 4))
			wrong = "no access is done";
	}
	EXPECT_EQ(NULL, wrong) TH_LOG("round %d: %s", i, wrong);
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	if (moves)
		ASSERT_EQ(0, pthread_join(goer, &rc));
	EXPECT_EQ(NULL, rc);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, model_stop(&self->dev[i], 1, NULL));
	check_end(_metadata, self);
}

TEST_F(demand_fault_race, change)
{
	change_on(_metadata, self, false);
}

/* A domain is populated meanwhile, again and again */
TEST_F(demand_fault_race, attach)
{
	change_on(_metadata, self, true);
}

/* A worker has unpinned something, once no device is left */
static bool is_trimmed(struct _test_data_demand_fault_race *self)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;

	while (info_of(self->fd, self->id).bytes_pinned > LENGTH * 3 / 4 &&
	       ia_now_ms() < deadline)
		usleep(1000);
	return ia_now_ms() < deadline;
}

#define CHILDREN 2

struct referrer {
	struct _test_data_demand_fault_race *self;
	pthread_t thread;
	__u32 child;
	int nr;
	int rc;
};

static void *refer(void *arg)
{
	struct referrer *referrer = arg;
	struct _test_data_demand_fault_race *self = referrer->self;
	int i, window;

	for (i = 0; !referrer->rc && !__atomic_load_n(&self->stop, __ATOMIC_RELAXED);
	     i++) {
		window = (i * 7 + referrer->nr) % (WINDOWS - 1);
		referrer->rc = ia_map_ref(self->fd, referrer->child, SZ_4G,
					  IA_PTR(self->mem + window * WINDOW),
					  2 * WINDOW, IA_RW);
		if (!referrer->rc)
			referrer->rc = ia_unmap(self->fd, referrer->child, SZ_4G,
						2 * WINDOW, NULL);
	}
	return NULL;
}

/* Children refer to the same windows, the last device goes, and idle ones are unpinned */
TEST_F(demand_fault_race, children)
{
	struct referrer referrer[CHILDREN];
	__u64 until = ia_now_ms() + TIME_MS;
	int i;

	for (i = 0; i < CHILDREN; i++) {
		referrer[i] = (struct referrer){ .self = self, .nr = i };
		ASSERT_EQ(0, ia_child(self->fd, self->id, 0, &referrer[i].child));
		ASSERT_EQ(0, pthread_create(&referrer[i].thread, NULL, refer,
					    &referrer[i]));
	}
	ASSERT_EQ(0, process_detach(&self->dev[1], 2));
	for (i = 0; i < ROUNDS && ia_now_ms() < until; i++) {
		ASSERT_EQ(0, write_on(&self->dev[0], 1, self->mem));
		ASSERT_EQ(0, model_hammered(&self->dev[0], 1, 8));
		ASSERT_EQ(0, process_detach(&self->dev[0], 1));
		ASSERT_EQ(0, model_stop(&self->dev[0], 1, NULL));
		if (i % 4 == 3)
			ASSERT_TRUE(is_trimmed(self));
		ASSERT_EQ(0, process_attach(&self->dev[0], self->id, 1));
	}
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < CHILDREN; i++) {
		ASSERT_EQ(0, pthread_join(referrer[i].thread, NULL));
		EXPECT_EQ(0, referrer[i].rc);
		ASSERT_EQ(0, ia_free(self->fd, referrer[i].child));
	}
	ASSERT_EQ(0, process_attach(&self->dev[1], self->id, 2));
	check_end(_metadata, self);
}

TEST_HARNESS_MAIN
