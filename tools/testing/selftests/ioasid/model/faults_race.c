// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults, while all that ends them happens: devices that ask without end, threads
 * that read, answer, guess ids, attach elsewhere, detach, bind again, close queues and
 * free IOASIDs.  Each request gets one response, and nothing is left.
 */
#include <poll.h>
#include <pthread.h>

#include "faults_fixture.h"

#define QUEUES 3
#define DEVICES 3
#define READERS 3
#define PASIDS 3
#define FLOODS 3

/* The device that is bound again and again; the others stay bound */
#define BOUND_AGAIN 2

struct racer {
	struct race *race;
	void (*turn)(struct racer *r);
	pthread_t thread;
	unsigned int seed;
	unsigned int nr;
	unsigned long turns;
	unsigned long done;	/* turns that did what they are for */
	int bad;		/* the first result that is not allowed */
};

/**
 * struct race - what the threads share
 * @self: the fixture
 * @dev: devices behind one IOMMU
 * @lock: protects a queue's file and ids: a thread that uses them reads
 * @queue: queues
 * @id: an IOASID for each
 * @rebind: protects the file of the device that is bound again
 * @stop: end
 * @ids: ids that were told, for guesses
 */
struct race {
	struct _test_data_faults *self;
	struct model_device dev[DEVICES];
	pthread_rwlock_t lock[QUEUES];
	struct fault_queue queue[QUEUES];
	__u32 id[QUEUES];
	pthread_rwlock_t rebind;
	bool stop;
	__u32 ids[16];
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

static unsigned int any(struct racer *r, unsigned int n)
{
	return rand_r(&r->seed) % n;
}

static void bad_if(struct racer *r, bool bad, int rc)
{
	if (bad && !r->bad) {
		r->bad = rc ?: -EPROTO;
		__atomic_store_n(&r->race->stop, true, __ATOMIC_RELAXED);
	}
}

/* ---- Turns ---- */

/* Read, with buffers that are too small or cannot be written, too; answer some */
static void turn_read(struct racer *r)
{
	struct race *race = r->race;
	unsigned int q = any(r, QUEUES), how = any(r, 8), i;
	struct ioasid_fault record[8];
	int n, rc;

	pthread_rwlock_rdlock(&race->lock[q]);
	n = fault_read(race->queue[q].fd, how ? record : NULL,
		       how == 1 ? 1 : ARRAY_SIZE(record));
	bad_if(r, n < 0 && n != -EAGAIN && (how || n != -EFAULT), n);
	bad_if(r, !n, 0);
	for (i = 0; (int)i < n; i++) {
		if (record[i].kind == IOASID_FAULT_LOST)
			continue;
		bad_if(r, record[i].ioasid != race->id[q], 1000);
		bad_if(r, record[i].kind != IOASID_FAULT_PAGE_REQUEST, 1001);
		bad_if(r, !record[i].id, 1002);
		race->ids[any(r, ARRAY_SIZE(race->ids))] = record[i].id;
		/* Some are left to the thread that guesses ids, and to what ends them */
		if (how == 2)
			continue;
		rc = fault_answer(race->queue[q].fd, record[i].id, any(r, 2));
		bad_if(r, rc && rc != -ENOENT, rc);
		r->done += !rc;
	}
	pthread_rwlock_unlock(&race->lock[q]);
}

static void turn_guess(struct racer *r)
{
	struct ioasid_fault_response answer[4] = {};
	struct race *race = r->race;
	unsigned int q = any(r, QUEUES), i;
	ssize_t n;

	for (i = 0; i < ARRAY_SIZE(answer); i++) {
		answer[i].id = race->ids[any(r, ARRAY_SIZE(race->ids))];
		if (any(r, 2))
			answer[i].id += 1 << any(r, 20);
		answer[i].code = any(r, 2);
	}
	pthread_rwlock_rdlock(&race->lock[q]);
	n = write(race->queue[q].fd, answer, sizeof(answer));
	bad_if(r, n < 0 && errno != ENOENT, -errno);
	bad_if(r, n >= 0 && (!n || n % sizeof(answer[0])), n);
	pthread_rwlock_unlock(&race->lock[q]);
	r->done++;
}

/* Replace a queue: its file first, or its ids */
static void turn_close(struct racer *r)
{
	struct race *race = r->race;
	struct _test_data_faults *self = race->self;
	unsigned int q = any(r, QUEUES);
	struct fault_queue queue;
	__u32 id;
	int rc;

	rc = fault_queue_open(self->fd, 1 + any(r, 32), &queue) ?:
	     make_ioasid(self, &queue, &id);
	bad_if(r, rc, rc);
	if (rc)
		return;
	pthread_rwlock_wrlock(&race->lock[q]);
	bad_if(r, close(race->queue[q].fd), -errno);
	/* Devices may be attached to it until they move: then it stays */
	rc = ia_free(self->fd, race->id[q]);
	bad_if(r, rc && rc != -EBUSY, rc);
	if (!rc) {
		rc = ia_free(self->fd, race->queue[q].id);
		bad_if(r, rc, rc);
		r->done++;
	}
	race->queue[q] = queue;
	race->id[q] = id;
	pthread_rwlock_unlock(&race->lock[q]);
	usleep(any(r, 2000));
}

/* An IOASID with the queue comes and goes; a queue in use stays */
static void turn_free(struct racer *r)
{
	struct race *race = r->race;
	struct _test_data_faults *self = race->self;
	unsigned int q = any(r, QUEUES);
	__u32 id;
	int rc;

	pthread_rwlock_rdlock(&race->lock[q]);
	rc = make_ioasid(self, &race->queue[q], &id);
	bad_if(r, rc, rc);
	if (!rc) {
		rc = ia_free(self->fd, race->queue[q].id);
		bad_if(r, rc != -EBUSY, rc);
		rc = ia_free(self->fd, id);
		bad_if(r, rc, rc);
		r->done++;
	}
	pthread_rwlock_unlock(&race->lock[q]);
}

/* Attach, move, detach by requester id and by PASID */
static void turn_route(struct racer *r)
{
	struct race *race = r->race;
	struct model_device *dev = &race->dev[r->nr];
	unsigned int q = any(r, QUEUES), pasid = any(r, PASIDS + 1);
	int rc;

	if (r->nr == BOUND_AGAIN)
		pthread_rwlock_rdlock(&race->rebind);
	pthread_rwlock_rdlock(&race->lock[q]);
	if (!any(r, 3))
		rc = pasid ? pasid_detach(dev, pasid) : hw_detach(dev->fd, 0);
	else
		rc = pasid ? pasid_attach(dev, race->id[q], pasid) :
			     hw_attach(dev->fd, race->id[q]);
	pthread_rwlock_unlock(&race->lock[q]);
	bad_if(r, rc && rc != -ENOENT && rc != -ENOTCONN, rc);
	r->done += !rc;
	if (r->nr == BOUND_AGAIN)
		pthread_rwlock_unlock(&race->rebind);
}

static int begin_flood(struct model_device *dev)
{
	int i, rc = 0;

	for (i = 0; i < FLOODS && !rc; i++)
		rc = fault_flood(dev, 1 + i, i, VA(DATA), 4);
	return rc;
}

static void turn_bind(struct racer *r)
{
	struct race *race = r->race;
	struct model_device *dev = &race->dev[BOUND_AGAIN];
	int rc;

	usleep(any(r, 4000));
	pthread_rwlock_wrlock(&race->rebind);
	model_release(dev);
	rc = model_bind(dev);
	bad_if(r, rc, rc);
	rc = rc ?: begin_flood(dev);
	bad_if(r, rc, rc);
	r->done++;
	pthread_rwlock_unlock(&race->rebind);
}

static void *race_thread(void *arg)
{
	struct racer *r = arg;

	while (!__atomic_load_n(&r->race->stop, __ATOMIC_RELAXED)) {
		r->turn(r);
		r->turns++;
	}
	return NULL;
}

TEST_F_TIMEOUT(faults, everything, 200)
{
	struct racer racer[READERS + 3 + DEVICES + 1] = {};
	__u64 end = ia_now_ms() + (ia_slow_kernel() ? 40000 : 15000);
	struct model_params params = FAULTS_PARAMS;
	struct model_counters counters;
	struct race race = { .self = self };
	pthread_rwlockattr_t attr;
	const char *unanswered;
	unsigned int i, n = 0;

	for (i = 0; i < DEVICES; i++) {
		ASSERT_EQ(0, model_plug(&self->model, &race.dev[i], &params, 0));
		ASSERT_EQ(0, model_bind(&race.dev[i]));
		ASSERT_EQ(0, begin_flood(&race.dev[i]));
	}
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
				      PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&race.rebind, &attr);
	for (i = 0; i < QUEUES; i++) {
		pthread_rwlock_init(&race.lock[i], &attr);
		ASSERT_EQ(0, fault_queue_open(self->fd, 16, &race.queue[i]));
		ASSERT_EQ(0, make_ioasid(self, &race.queue[i], &race.id[i]));
	}
	for (i = 0; i < READERS; i++)
		racer[n++].turn = turn_read;
	racer[n++].turn = turn_guess;
	racer[n++].turn = turn_close;
	racer[n++].turn = turn_free;
	for (i = 0; i < DEVICES; i++) {
		racer[n].nr = i;
		racer[n++].turn = turn_route;
	}
	racer[n++].turn = turn_bind;
	ASSERT_EQ(ARRAY_SIZE(racer), n);
	for (i = 0; i < n; i++) {
		racer[i].race = &race;
		racer[i].seed = i;
		ASSERT_EQ(0, pthread_create(&racer[i].thread, NULL, race_thread,
					    &racer[i]));
	}
	while (ia_now_ms() < end && !__atomic_load_n(&race.stop, __ATOMIC_RELAXED))
		usleep(10000);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, pthread_join(racer[i].thread, NULL));
		EXPECT_EQ(0, racer[i].bad)
			TH_LOG("thread %u, after %lu turns", i, racer[i].turns);
		EXPECT_LT(0, racer[i].done) TH_LOG("thread %u", i);
	}
	for (i = 0; i < DEVICES; i++)
		model_release(&race.dev[i]);
	/* Nothing is attached: all are answered */
	unanswered = fault_unanswered(&self->a, 0);
	EXPECT_EQ(NULL, unanswered) TH_LOG("%s", unanswered);
	counters = model_counters(&self->a);
	EXPECT_LT(0, counters.requests);
	EXPECT_EQ(0, counters.attached);
	for (i = 0; i < QUEUES; i++) {
		struct fault_sums sums = {};
		int k = fault_read(race.queue[i].fd, self->record, FAULTS_MAX);

		/* That some were lost may be told yet */
		fault_add(&sums, self->record, k < 0 ? 0 : k, 0);
		EXPECT_EQ(0, sums.groups);
		EXPECT_EQ(0, close(race.queue[i].fd));
		EXPECT_EQ(0, ia_free(self->fd, race.id[i]));
		EXPECT_EQ(0, ia_free(self->fd, race.queue[i].id));
	}
	for (i = 0; i < DEVICES; i++)
		MODEL_REMOVE(&race.dev[i]);
	EXPECT_EQ(0, model_counters(&self->a).domains);
	TH_LOG("%llu requests", counters.requests);
}

/* ---- One device, two ends at the same time ---- */

struct end {
	struct _test_data_faults *self;
	struct fault_queue *queue;
	__u32 id;
	int rc;
};

static void *end_close(void *arg)
{
	struct end *end = arg;

	end->rc = close(end->queue->fd) ? -errno : 0;
	return NULL;
}

static void *end_answer(void *arg)
{
	struct end *end = arg;

	end->rc = fault_answer(end->queue->fd, end->id, IOASID_FAULT_SUCCESS);
	return NULL;
}

/* An answer, the close of the file and a detach meet at one group */
TEST_F(faults, ends_meet)
{
	int i, rounds = ia_slow_kernel() ? 200 : 2000;
	struct fault_queue queue;
	struct end by_close, by_answer;
	pthread_t closer, answerer;
	__u64 success = 0;
	__u32 id;

	for (i = 0; i < rounds; i++) {
		bool closes = i % 2;

		ASSERT_EQ(0, fault_queue_open(self->fd, 4, &queue));
		ASSERT_EQ(0, make_ioasid(self, &queue, &id));
		ASSERT_EQ(0, attach_to(self, &self->a, id));
		REQUEST(&self->a, 1, DATA, 1);
		ASSERT_EQ(1, fault_take(queue.fd, self->record, 1));
		by_answer = (struct end){
			.self = self, .queue = &queue, .id = self->record[0].id,
		};
		by_close = by_answer;
		ASSERT_EQ(0, pthread_create(&answerer, NULL, end_answer,
					    &by_answer));
		if (closes) {
			ASSERT_EQ(0, pthread_create(&closer, NULL, end_close,
						    &by_close));
		}
		ASSERT_EQ(0, detach(self, &self->a));
		ASSERT_EQ(0, pthread_join(answerer, NULL));
		ASSERT_EQ(0, closes ? pthread_join(closer, NULL) :
				      close(queue.fd));
		EXPECT_TRUE(!by_answer.rc || by_answer.rc == -ENOENT ||
			    (closes && by_answer.rc == -EBADF))
			TH_LOG("%d", by_answer.rc);
		success += !by_answer.rc;
		ASSERT_EQ(i + 1, model_counters(&self->a).responses);
		ASSERT_EQ(success, fault_responses(&self->a, IOASID_MODEL_SUCCESS));
		ASSERT_EQ(0, ia_free(self->fd, id));
		ASSERT_EQ(0, ia_free(self->fd, queue.id));
	}
}

TEST_HARNESS_MAIN
