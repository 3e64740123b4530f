// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared virtual addressing in a guest, taken down at random: processes with a page
 * table each have two devices, by PASIDs that differ between the devices; the devices
 * ask for absent pages without end, and a thread or a process serves them.  Meanwhile
 * PASIDs are detached, tables unbound, devices unplugged, the queue's file and the
 * context closed, and the process that serves is killed.
 *
 * After each round each request has its answer, the IOMMU reaches nothing and has no
 * PASID, and no memory has what was written for another process.
 *
 * $IOASID_ROUNDS is the number of rounds.
 */
#include "faults_fixture.h"

#define DEVICES 2
#define PROCESSES 4

/* Pages of a process, from VA(0) on; it does not have the last one */
#define PROCESS_PAGES 8
#define NOWHERE (PROCESS_PAGES - 1)

/* The guest's memory; tables are as long as in nested.h */
#define TABLE(process) ((process) * TABLE_B)
#define PAGE(process, page) (TABLE(PROCESSES) + (process) * PROCESS_PAGES + (page))
#define GUEST_PAGES PAGE(PROCESSES, 0)

#define SEED(process) (100 + (process))

/* Bytes that the devices write to each page */
#define WRITTEN 64

/* The channel of requests without accesses; each process has one for DMA */
#define FLOOD_CHANNEL (PROCESSES + 1)

#define VSVA_DEPTH 32

enum act {
	DETACH,
	UNBIND,
	UNPLUG,
	CLOSE_CONTEXT,
	CLOSE_QUEUE,
	KILL,
	ACTS,
};

/**
 * struct shared - what the process that serves shares with the test
 * @served: groups that it has answered
 * @bad: the first thing that was wrong, or 0
 * @stop: ends the thread that serves
 */
struct shared {
	unsigned long served;
	int bad;
	bool stop;
};

/**
 * struct vsva - a guest, its devices, and the server of their requests
 * @self: the fixture, whose device a watches the IOMMU
 * @model: the control node of the fixture, and the context of a round; -1: closed
 * @dev: the devices
 * @queue: the queue of a round
 * @id: an IOASID for each process
 * @attached: PASIDs that are attached
 * @bound: tables that are bound
 * @unplugged: devices that go in the background
 * @mem: the guest's memory, which a process that serves shares
 * @shared: see there
 * @child: the process that serves; 0: @thread does; -1: it was killed
 * @thread: the thread that serves
 * @seed: of random numbers
 * @done: how often each act, in the middle of a round, had something to end
 * @served: requests that were answered by servers, in all rounds
 * @written: rounds in which the devices have written for a process
 */
struct vsva {
	struct _test_data_faults *self;
	struct model model;
	struct model_device dev[DEVICES];
	struct fault_queue queue;
	__u32 id[PROCESSES];
	bool attached[DEVICES][PROCESSES];
	bool bound[PROCESSES];
	bool unplugged[DEVICES];
	char *mem;
	struct shared *shared;
	pid_t child;
	pthread_t thread;
	unsigned int seed;
	unsigned long done[ACTS];
	unsigned long served;
	unsigned long written[PROCESSES];
};

FIXTURE_SETUP(faults)
{
	FAMILY_OPEN(return, PAGES);
	if (faults_lack(self->fd))
		SKIP(return, "%s", faults_lack(self->fd));
	set_up_faults(_metadata, self, &map_by_rid);
}

FIXTURE_TEARDOWN(faults)
{
	tear_down_faults(_metadata, self);
}

static unsigned int any(struct vsva *v, unsigned int n)
{
	return rand_r(&v->seed) % n;
}

/* The devices have the same PASIDs, in the opposite order */
static __u32 vpasid(unsigned int device, unsigned int process)
{
	return 1 + (device ? PROCESSES - 1 - process : process);
}

/* ---- The server ---- */

static void bad(struct vsva *v, int what)
{
	int none = 0;

	__atomic_compare_exchange_n(&v->shared->bad, &none, what, false,
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The process that a record is about, or PROCESSES */
static unsigned int process_of(struct vsva *v, const struct ioasid_fault *record)
{
	unsigned int d, p;

	for (d = 0; d < DEVICES; d++)
		if (v->dev[d].id == record->cookie &&
		    v->dev[d].devid == record->devid)
			break;
	for (p = 0; d < DEVICES && p < PROCESSES; p++)
		if (vpasid(d, p) == record->vpasid)
			return v->id[p] == record->ioasid ? p : PROCESSES;
	return PROCESSES;
}

/* Bring the page, if the process has it; the answer */
static __u32 bring(struct vsva *v, const struct ioasid_fault *record)
{
	unsigned int process = process_of(v, record);
	__u64 page = (record->addr - VA(0)) / PG;

	if (process == PROCESSES || page >= PROCESS_PAGES ||
	    !(record->flags & IOASID_FAULT_BY_PASID) ||
	    !(record->flags & IOASID_FAULT_LAST)) {
		bad(v, 1000 + record->vpasid);
		return IOASID_FAULT_INVALID;
	}
	if (page == NOWHERE)
		return IOASID_FAULT_INVALID;
	s1_map(v->mem, TABLE(process), page, PAGE(process, page));
	return IOASID_FAULT_SUCCESS;
}

/* -1 if another thread has closed it */
static int queue_file(const struct vsva *v)
{
	return __atomic_load_n(&v->queue.fd, __ATOMIC_RELAXED);
}

/*
 * Serve until nothing more comes, the file is closed, or the round ends.  It is not in
 * poll(), which would keep the file that another thread closes.
 */
static void serve(struct vsva *v)
{
	struct ioasid_fault record[FAULTS_MAX];
	int i, n, rc;

	while (!__atomic_load_n(&v->shared->stop, __ATOMIC_RELAXED)) {
		n = fault_read(queue_file(v), record, FAULTS_MAX);
		if (n == -EAGAIN) {
			usleep(200);
			continue;
		}
		if (n < 0 && n != -EBADF)
			bad(v, n);
		if (n <= 0)
			break;
		for (i = 0; i < n; i++) {
			if (record[i].kind != IOASID_FAULT_PAGE_REQUEST)
				continue;
			rc = fault_answer(queue_file(v), record[i].id,
					  bring(v, &record[i]));
			if (rc && rc != -ENOENT && rc != -EBADF)
				bad(v, rc);
			if (!rc)
				__atomic_add_fetch(&v->shared->served, 1,
						   __ATOMIC_RELAXED);
		}
	}
}

static void *serve_thread(void *arg)
{
	serve(arg);
	return NULL;
}

/* The process that serves has the file of the queue, and no other of ours */
static void serve_alone(struct vsva *v)
{
	if (syscall(SYS_close_range, 3, v->queue.fd - 1, 0) ||
	    syscall(SYS_close_range, v->queue.fd + 1, ~0U, 0))
		bad(v, -errno);
	serve(v);
	_exit(0);
}

static int begin_server(struct vsva *v, bool alone)
{
	memset(v->shared, 0, sizeof(*v->shared));
	v->child = 0;
	if (!alone)
		return pthread_create(&v->thread, NULL, serve_thread, v);
	v->child = ia_fork();
	if (!v->child)
		serve_alone(v);
	close(v->queue.fd);
	v->queue.fd = -1;
	return v->child < 0 ? -errno : 0;
}

/* Close the file of the queue, as it is: in the thread's hands, or by a kill */
static void close_queue(struct vsva *v)
{
	int fd;

	if (v->child > 0) {
		kill(v->child, SIGKILL);
		waitpid(v->child, NULL, 0);
		v->child = -1;
	} else if (v->queue.fd >= 0) {
		fd = v->queue.fd;
		__atomic_store_n(&v->queue.fd, -1, __ATOMIC_RELAXED);
		close(fd);
	}
}

static bool is_served(const struct vsva *v)
{
	return v->child > 0 || v->queue.fd >= 0;
}

/* ---- DMA ---- */

/* Accesses to all pages of a process, without end, for which absent ones are asked */
static int begin_dma(struct vsva *v, unsigned int d, unsigned int process)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_ATS |
			 IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_LOOP |
			 IOASID_MODEL_DMA_GO_ON,
		.pasid = vpasid(d, process),
		.threads = 1,
		.address = VA(0),
		.length = WRITTEN,
		.stride = PG,
		.count = PROCESS_PAGES,
		.operand = SEED(process),
	};

	return model_start(&v->dev[d], 1 + process, &dma);
}

static int begin_all_dma(struct vsva *v)
{
	unsigned int d, p;
	int rc = 0;

	for (d = 0; !rc && d < DEVICES; d++) {
		for (p = 0; !rc && p < PROCESSES; p++)
			rc = begin_dma(v, d, p);
		rc = rc ?: fault_flood(&v->dev[d], FLOOD_CHANNEL,
				       vpasid(d, any(v, PROCESSES)), VA(0),
				       PROCESS_PAGES);
	}
	return rc;
}

/* The guest takes a page away: the next access asks for it */
static int take_page(struct vsva *v)
{
	unsigned int process = any(v, PROCESSES), page = any(v, NOWHERE);

	s1_map(v->mem, TABLE(process), page, -1);
	if (v->model.ctx < 0)
		return 0;
	return nested_flush(v->model.ctx, v->id[process], 0, page, 1);
}

/* Whether requests will come, and be answered by the server */
static bool is_busy(const struct vsva *v)
{
	unsigned int d, p;

	for (d = 0; d < DEVICES; d++)
		for (p = 0; p < PROCESSES; p++)
			if (v->dev[d].fd >= 0 && v->attached[d][p] && v->bound[p])
				return is_served(v);
	return false;
}

/* Work until so many more requests were answered by the server */
static int work(struct vsva *v, unsigned int more)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;
	unsigned long until = v->shared->served + more;
	int rc = 0;

	while (!rc && is_busy(v) &&
	       __atomic_load_n(&v->shared->served, __ATOMIC_RELAXED) < until) {
		if (ia_now_ms() > deadline)
			return -ETIMEDOUT;
		rc = take_page(v);
		usleep(100);
	}
	return rc;
}

/* ---- Acts; each returns 0, or what it should not ---- */

static int detach_one(struct vsva *v)
{
	unsigned int d = any(v, DEVICES), p = any(v, PROCESSES);
	bool attached = v->attached[d][p];

	if (v->dev[d].fd < 0)
		return 0;
	v->attached[d][p] = false;
	v->done[DETACH] += attached;
	return pasid_detach(&v->dev[d], vpasid(d, p)) ==
	       (attached ? 0 : -ENOENT) ? 0 : -EPROTO;
}

static int unbind_one(struct vsva *v)
{
	unsigned int p = any(v, PROCESSES);
	bool bound = v->bound[p];

	if (v->model.ctx < 0)
		return 0;
	v->bound[p] = false;
	v->done[UNBIND] += bound;
	return unbind_table(v->model.ctx, v->id[p]) == (bound ? 0 : -ENOENT) ?
	       0 : -EPROTO;
}

static int unplug_one(struct vsva *v)
{
	unsigned int d = any(v, DEVICES);
	struct model_device *dev = &v->dev[d];
	int rc;

	if (dev->fd < 0)
		return 0;
	v->unplugged[d] = true;
	rc = model_unplug(dev, IOASID_MODEL_ASYNC);
	model_release(dev);
	v->done[UNPLUG]++;
	return rc;
}

static void close_context(struct vsva *v)
{
	if (v->model.ctx >= 0)
		close(v->model.ctx);
	v->model.ctx = -1;
}

static int do_act(struct vsva *v, enum act act)
{
	switch (act) {
	case DETACH:
		return detach_one(v);
	case UNBIND:
		return unbind_one(v);
	case UNPLUG:
		return unplug_one(v);
	case CLOSE_CONTEXT:
		v->done[act] += v->model.ctx >= 0;
		close_context(v);
		return 0;
	default:
		v->done[v->child ? KILL : CLOSE_QUEUE] += is_served(v);
		close_queue(v);
		return 0;
	}
}

/* ---- A round ---- */

static int begin_guest(struct vsva *v)
{
	__u32 root;
	int p, rc;

	memset(v->mem, 0, GUEST_PAGES * PG);
	v->model.ctx = ia_open();
	if (v->model.ctx < 0)
		return v->model.ctx;
	rc = nested_parent(v->model.ctx, &root) ?:
	     ia_map(v->model.ctx, root, GPA(0), v->mem, GUEST_PAGES * PG) ?:
	     fault_queue_open(v->model.ctx, VSVA_DEPTH, &v->queue);
	for (p = 0; !rc && p < PROCESSES; p++) {
		s1_init(v->mem, TABLE(p));
		rc = fault_alloc(v->model.ctx, 0, IOASID_KIND_PGTABLE, root,
				 MODEL_HWPT_DATA_S1, &v->queue, &v->id[p]) ?:
		     bind_table(v->model.ctx, v->id[p], 0, TABLE(p));
		v->bound[p] = true;
	}
	return rc;
}

/* Plug what was unplugged, and attach all */
static int begin_devices(struct vsva *v)
{
	struct model_params params = FAULTS_PARAMS;
	unsigned int d, p;
	int rc = 0;

	for (d = 0; !rc && d < DEVICES; d++) {
		if (!v->dev[d].model)
			rc = model_plug(&v->model, &v->dev[d], &params, 0);
		rc = rc ?: model_bind(&v->dev[d]);
		for (p = 0; !rc && p < PROCESSES; p++) {
			rc = pasid_attach(&v->dev[d], v->id[p], vpasid(d, p));
			v->attached[d][p] = true;
		}
	}
	return rc;
}

static void close_devices(struct vsva *v)
{
	unsigned int d;

	for (d = 0; d < DEVICES; d++)
		model_release(&v->dev[d]);
}

static void end_server(struct vsva *v)
{
	__atomic_store_n(&v->shared->stop, true, __ATOMIC_RELAXED);
	if (!v->child)
		pthread_join(v->thread, NULL);
	close_queue(v);
	v->served += v->shared->served;
}

/* What is left of a round ends, in any order */
static void end_round(struct vsva *v)
{
	unsigned int first = any(v, 3), i;

	for (i = 0; i < 3; i++) {
		switch ((first + i) % 3) {
		case 0:
			close_devices(v);
			break;
		case 1:
			close_context(v);
			break;
		case 2:
			end_server(v);
			break;
		}
	}
}

/* Wait until the devices that were unplugged are not there, to plug others */
static bool unplugged(struct vsva *v)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;
	unsigned int d;

	for (d = 0; d < DEVICES; d++) {
		if (!v->unplugged[d])
			continue;
		while (model_present(&v->dev[d])) {
			if (ia_now_ms() > deadline)
				return false;
			usleep(1000);
		}
		v->unplugged[d] = false;
		v->dev[d].model = NULL;
	}
	return true;
}

/* Wait until the IOMMU has no attachment by PASID, and no domain */
static bool all_gone(struct vsva *v)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;
	struct model_counters counters;

	do {
		counters = model_counters(&v->self->a);
		if (!counters.attached && !counters.domains)
			return true;
		usleep(1000);
	} while (ia_now_ms() < deadline);
	return false;
}

/* Words that the devices may not have written there for this process */
static unsigned int foreign_in_page(struct vsva *v, unsigned int process,
				    unsigned int page)
{
	const __u64 *word = (__u64 *)(v->mem + PAGE(process, page) * PG);
	unsigned int i, wrong = 0;
	__u64 mine;

	for (i = 0; i < PG / sizeof(*word); i++) {
		mine = 0;
		if (i < WRITTEN / sizeof(*word) && page != NOWHERE)
			mine = ioasid_model_word(SEED(process),
						 VA(page) + i * sizeof(*word));
		wrong += word[i] && word[i] != mine;
	}
	return wrong;
}

static unsigned int foreign_words(struct vsva *v)
{
	unsigned int p, page, wrong = 0;

	for (p = 0; p < PROCESSES; p++)
		for (page = 0; page < PROCESS_PAGES; page++)
			wrong += foreign_in_page(v, p, page);
	return wrong;
}

static bool has_written(struct vsva *v, unsigned int process)
{
	unsigned int page;

	for (page = 0; page < NOWHERE; page++)
		if (*(__u64 *)(v->mem + PAGE(process, page) * PG))
			return true;
	return false;
}

static unsigned long nr_rounds(void)
{
	const char *rounds = getenv("IOASID_ROUNDS");

	if (rounds)
		return strtoul(rounds, NULL, 0);
	return ia_slow_kernel() ? 12 : 36;
}

static void run_round(struct __test_metadata *_metadata, struct vsva *v,
		      unsigned long round)
{
	const enum act first = round % ACTS;
	const bool alone = first == KILL || (first != CLOSE_QUEUE && any(v, 2));
	unsigned int i, acts = any(v, 4);
	const char *unanswered;

	ASSERT_EQ(0, begin_guest(v));
	ASSERT_EQ(0, begin_devices(v));
	ASSERT_EQ(0, begin_server(v, alone));
	ASSERT_EQ(0, begin_all_dma(v));
	EXPECT_EQ(0, work(v, 8 + any(v, 24)));
	EXPECT_EQ(0, do_act(v, first)) TH_LOG("act %u", first);
	for (i = 0; i < acts; i++) {
		enum act act = any(v, ACTS);

		EXPECT_EQ(0, work(v, any(v, 16)));
		EXPECT_EQ(0, do_act(v, act)) TH_LOG("act %u", act);
	}
	end_round(v);
	EXPECT_EQ(0, v->shared->bad);
	EXPECT_TRUE(unplugged(v));
	unanswered = fault_unanswered(&v->self->a, 0);
	EXPECT_EQ(NULL, unanswered) TH_LOG("%s", unanswered);
	EXPECT_NO_HARM(&v->self->a);
	EXPECT_TRUE(all_gone(v));
	EXPECT_EQ(0, foreign_words(v));
	for (i = 0; i < PROCESSES; i++)
		v->written[i] += has_written(v, i);
}

TEST_F_TIMEOUT(faults, rounds, 3600)
{
	struct vsva vsva = {
		.self = self,
		.model = { .api = MODEL_IOASID, .control = self->model.control,
			   .ctx = -1 },
		.queue = { .fd = -1 },
		.seed = 1,
	};
	unsigned long round, rounds = nr_rounds();
	unsigned int i;

	vsva.mem = mmap(NULL, GUEST_PAGES * PG, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, vsva.mem);
	vsva.shared = mmap(NULL, PG, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, vsva.shared);
	for (round = 0; round < rounds; round++) {
		run_round(_metadata, &vsva, round);
		ASSERT_TRUE(__test_passed(_metadata))
			TH_LOG("round %lu", round);
		if (round % 100 == 99)
			TH_LOG("%lu of %lu rounds", round + 1, rounds);
	}
	TH_LOG("%lu rounds, %lu requests served", rounds, vsva.served);
	TH_LOG("%lu PASIDs detached, %lu tables unbound, %lu devices unplugged",
	       vsva.done[DETACH], vsva.done[UNBIND], vsva.done[UNPLUG]);
	TH_LOG("%lu contexts and %lu queues closed, %lu servers killed",
	       vsva.done[CLOSE_CONTEXT], vsva.done[CLOSE_QUEUE],
	       vsva.done[KILL]);
	for (i = 0; i < ACTS && rounds >= ACTS; i++)
		EXPECT_LT(0, vsva.done[i]) TH_LOG("act %u", i);
	for (i = 0; i < PROCESSES && rounds >= ACTS; i++)
		EXPECT_LT(0, vsva.written[i]);
	for (i = 0; i < DEVICES; i++)
		if (vsva.dev[i].model)
			EXPECT_EQ(0, model_unplug(&vsva.dev[i], 0));
}

TEST_HARNESS_MAIN
