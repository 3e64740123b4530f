// SPDX-License-Identifier: GPL-2.0-only
/*
 * As many IOASIDs in one file as there may ever be: 1,048,576 of them, roots
 * and children down to the greatest depth; made and freed, with and without
 * CASCADE, while devices do DMA and are moved from one to the other; and all
 * freed by close().
 */
#include <sched.h>
#include <stdatomic.h>

#include "ioasid_test.h"
#include "model.h"

#define PG page_size
#define BASE SZ_4G
#define DEPTH 4
#define CHAINS 64
/* Devices that do DMA all the time */
#define HAMMERS 4
#define MAX_DEVICES 64

static int alloc_child(int fd, __u32 parent, __u32 *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_MAP,
		.parent = parent,
	};
	int rc = ia_cmd(fd, IOASID_ALLOC, &cmd);

	*id = cmd.ioasid;
	return rc;
}

static int free_cascade(int fd, __u32 id)
{
	struct ioasid_free cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_FREE_CASCADE,
		.ioasid = id,
	};

	return ia_cmd(fd, IOASID_FREE, &cmd);
}

/*
 * A root that maps a page at BASE, and a chain of children below it that map
 * the same page there.
 */
struct chain {
	struct model_space at[DEPTH];
	char *page;
};

static int chain_make(struct model *model, struct chain *chain, char *page)
{
	__u32 parent = 0;
	__u64 addr;
	int i, rc;

	chain->page = page;
	for (i = 0; i < DEPTH; i++) {
		struct model_space *at = &chain->at[i];

		*at = (struct model_space) { .model = model, .container = -1 };
		rc = alloc_child(model->ctx, parent, &at->id);
		if (rc)
			return rc;
		addr = i ? BASE : IA_PTR(page);
		rc = ia_map(model->ctx, at->id, BASE, (void *)addr, PG);
		if (rc)
			return rc;
		parent = at->id;
	}
	return 0;
}

/* Whether the device writes to the page of that chain. */
static int reaches(struct model_device *dev, struct chain *chain, __u64 seed)
{
	int rc = model_fill(dev, BASE, seed, 1);

	if (rc)
		return rc;
	return model_pattern_holds(chain->page, seed, BASE, PG) ? 0 : -EILSEQ;
}

FIXTURE(million)
{
	struct model model;
	struct model_device dev[MAX_DEVICES];
	struct model_device witness;
	unsigned int nr_devices;
	unsigned int nr;		/* IOASIDs */
	struct chain chain[CHAINS];
	char *mem;
	int kmsg;
};

FIXTURE_SETUP(million)
{
	unsigned int i;
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	ASSERT_EQ(DEPTH, ia_check(self->model.ctx, IOASID_EXT_MAX_DEPTH));
	self->nr = ia_slow_kernel() ? 1 << 13 : 1 << 20;
	self->nr_devices = ia_slow_kernel() ? 16 : MAX_DEVICES;
	self->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, self->kmsg);
	lseek(self->kmsg, 0, SEEK_END);
	self->mem = ia_mem((CHAINS + 1) * PG);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, (CHAINS + 1) * PG);
	for (i = 0; i < CHAINS; i++)
		ASSERT_EQ(0, chain_make(&self->model, &self->chain[i],
					self->mem + i * PG));
	for (i = 0; i < self->nr_devices; i++) {
		ASSERT_EQ(0, model_plug(&self->model, &self->dev[i], NULL, 0));
		ASSERT_EQ(0, model_attach(&self->dev[i],
					  &self->chain[i].at[i % DEPTH]));
	}
	ASSERT_EQ(0, model_plug(&self->model, &self->witness, NULL, 0));
	for (i = 0; i < HAMMERS; i++)
		ASSERT_EQ(0, model_hammer(&self->dev[i], 1, IOASID_MODEL_READ,
					  BASE, 0, 1, 1));
}

FIXTURE_TEARDOWN(million)
{
	unsigned int i;

	for (i = 0; i < self->nr_devices; i++) {
		model_release(&self->dev[i]);
		EXPECT_EQ(0, model_unplug(&self->dev[i], 0));
	}
	model_release(&self->witness);
	EXPECT_EQ(0, model_unplug(&self->witness, 0));
	close(self->kmsg);
	model_close(&self->model);
}

/* Move one device after the other, each to a random IOASID. */
struct mover {
	pthread_t thread;
	atomic_bool stop;
	struct model_device *dev;
	unsigned int nr_devices;
	struct chain *chain;
	unsigned long moves;
	int failed;
};

static void *mover_thread(void *arg)
{
	struct mover *mover = arg;
	unsigned int seed = 1;

	while (!atomic_load(&mover->stop) && !mover->failed) {
		unsigned long n = mover->moves;
		struct model_device *dev = &mover->dev[n % mover->nr_devices];
		struct chain *chain = &mover->chain[rand_r(&seed) % CHAINS];

		mover->failed = model_attach(dev,
					     &chain->at[rand_r(&seed) % DEPTH]);
		if (!mover->failed)
			mover->failed = reaches(dev, chain, n);
		mover->moves++;
		/* Let other threads run */
		usleep(100);
	}
	return NULL;
}

/* A thread on the same CPU that never sleeps. */
struct spinner {
	pthread_t thread;
	atomic_bool stop;
	atomic_ulong rounds;
};

static void *spinner_thread(void *arg)
{
	struct spinner *spinner = arg;

	while (!atomic_load(&spinner->stop))
		atomic_fetch_add(&spinner->rounds, 1);
	return NULL;
}

/* Number of times that this thread was preempted. */
static long long nr_preempted(void)
{
	return ia_proc_field("/proc/thread-self/status",
			     "nonvoluntary_ctxt_switches");
}

static bool one_cpu(bool one)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < (one ? 1 : CPU_SETSIZE); i++)
		CPU_SET(i, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

/* The first warning of the kernel since the test began, or NULL. */
static const char *complaint(int kmsg)
{
	static const char * const words[] = {
		"soft lockup", "rcu_sched", "rcu: INFO", "blocked for more",
		"WARNING:", "BUG:", "hogged CPU",
	};
	static char line[1024];
	unsigned int i;
	ssize_t n;

	for (;;) {
		n = read(kmsg, line, sizeof(line) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			return NULL;
		line[n] = 0;
		for (i = 0; i < ARRAY_SIZE(words); i++)
			if (strstr(line, words[i]))
				return line;
	}
}

static long long nr_ioasids(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return ia_proc_field(path, "ioasid-count");
}

static long long mem_free_kb(void)
{
	return ia_proc_field("/proc/meminfo", "MemFree");
}

/*
 * Free a root while a device is attached below it, and while others are moved:
 * the device faults, and has no other effect.
 */
static int lose_parent(struct model_device *dev, struct chain *chain,
		       char *page, __u64 seed)
{
	int rc;

	rc = chain_make(dev->model, chain, page);
	if (!rc)
		rc = model_attach(dev, &chain->at[DEPTH - 1]);
	if (!rc)
		rc = reaches(dev, chain, seed);
	if (!rc)
		rc = free_cascade(dev->model->ctx, chain->at[1].id);
	if (rc)
		return rc;
	rc = reaches(dev, chain, seed);
	return rc == MODEL_FAULT_ABSENT ? 0 : -EPROTO;
}

TEST_F_TIMEOUT(million, all_freed_by_close, 600)
{
	unsigned int i, n, live, freed = 0, seed = 7, losses = 0;
	__u32 last[DEPTH] = {}, *ids;
	struct spinner spinner = {};
	struct mover mover = {
		.dev = self->dev,
		.nr_devices = self->nr_devices,
		.chain = self->chain,
	};
	const char *why;
	struct chain chain;
	__u64 t0, t1;
	long long kb, yields;
	int fd = self->model.ctx;

	/* Touch it now, so that only the kernel uses free memory later */
	ids = malloc(self->nr * sizeof(*ids));
	ASSERT_NE(NULL, ids);
	memset(ids, 0, self->nr * sizeof(*ids));
	live = CHAINS * DEPTH;
	ASSERT_EQ(live, nr_ioasids(fd));
	ASSERT_EQ(0, pthread_create(&mover.thread, NULL, mover_thread,
				    &mover));

	kb = mem_free_kb();
	t0 = ia_now_ms();
	for (n = 0; live < self->nr; n++) {
		/*
		 * At the depth n % DEPTH: below a root that stays, or below a
		 * chain
		 */
		unsigned int depth = n % DEPTH;
		__u32 parent = 0;

		if (depth)
			parent = n & 16 ? last[depth - 1] :
				 self->chain[n / 32 % CHAINS].at[depth - 1].id;
		ASSERT_EQ(0, alloc_child(fd, parent, &last[depth]));
		ids[n % self->nr] = last[depth];
		live++;

		/* Free some again, with their children */
		if (n % 16 == 15 && n > 64) {
			i = rand_r(&seed) % ((n < self->nr ? n : self->nr) - 16);
			if (ids[i]) {
				ASSERT_EQ(0, free_cascade(fd, ids[i]));
				ids[i] = 0;
				live--;
				freed++;
			}
		}
		if (n % (self->nr / 64) == 100) {
			ASSERT_EQ(0, lose_parent(&self->witness, &chain,
						 self->mem + CHAINS * PG, n));
			live += DEPTH - 1;
			losses++;
		}
	}
	t1 = ia_now_ms();
	kb -= mem_free_kb();
	ASSERT_EQ(live, nr_ioasids(fd));
	ASSERT_EQ(0, mover.failed);
	ksft_print_msg("%u IOASIDs, %llu ns and %lld bytes each\n", live,
		       (t1 - t0) * 1000000ULL / n, kb * 1024 / live);
	ksft_print_msg("%u more freed, %u below a device; %lu moves\n", freed,
		       losses, mover.moves);

	atomic_store(&mover.stop, true);
	ASSERT_EQ(0, pthread_join(mover.thread, NULL));
	ASSERT_EQ(0, mover.failed);
	EXPECT_LT(self->nr_devices, mover.moves);
	for (i = 0; i < self->nr_devices; i++) {
		if (i < HAMMERS) {
			EXPECT_EQ(0, model_hammered(&self->dev[i], 1, 1));
			EXPECT_EQ(0, model_stop(&self->dev[i], 1, NULL));
		}
		EXPECT_NO_HARM(&self->dev[i]);
		model_release(&self->dev[i]);
	}
	EXPECT_NO_HARM(&self->witness);
	model_release(&self->witness);

	/*
	 * Another thread on this CPU runs sometimes: count how often, because
	 * the length of its waits depends on the machine. The last switch may
	 * be that on the return to user space.
	 */
	ASSERT_TRUE(one_cpu(true));
	ASSERT_EQ(0, pthread_create(&spinner.thread, NULL, spinner_thread,
				    &spinner));
	while (!atomic_load(&spinner.rounds))
		sched_yield();
	yields = nr_preempted();
	t0 = ia_now_ms();
	ASSERT_EQ(0, close(fd));
	yields = nr_preempted() - yields;
	t1 = ia_now_ms();
	atomic_store(&spinner.stop, true);
	ASSERT_EQ(0, pthread_join(spinner.thread, NULL));
	self->model.ctx = -1;
	ASSERT_TRUE(one_cpu(false));
	ksft_print_msg("close() took %llu ms, %llu ns each\n", t1 - t0,
		       (t1 - t0) * 1000000ULL / live);
	ksft_print_msg("and yielded to another thread %lld times\n", yields);
	EXPECT_LT(1, yields);
	why = complaint(self->kmsg);
	EXPECT_EQ(NULL, why) TH_LOG("%s", why);
	free(ids);
}

TEST_HARNESS_MAIN
