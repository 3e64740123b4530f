// SPDX-License-Identifier: GPL-2.0-only
/*
 * PASIDs that the kernel chooses, while other threads use the same numbers: a
 * number belongs to the attach that it was chosen for, from before user space is
 * told it until it is detached.
 */
#include <pthread.h>

#include "ioasid_test.h"
#include "family.h"
#include "pasid.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define RESV (8 * BASE)
#define BITS 3
#define LAST ((1U << BITS) - 1)
#define THREADS 5

struct racer {
	struct model_device *dev;
	__u32 ioasid;
	int (*turn)(struct racer *r);
	pthread_t thread;
	unsigned int seed;
	unsigned long turns;
	unsigned long done;	/* with success, or as far as it can be */
	int bad;		/* first result that is not allowed */
	bool *stop;
};

FIXTURE(pasid_race)
{
	struct model model;
	struct model_device dev;
	struct model_space space;
	int fd;
	char *mem;
	bool plugged;
};

FIXTURE_SETUP(pasid_race)
{
	struct model_params params = {
		.pasid_bits = BITS,
		.nr_resv = 1,
		.resv = { { .start = RESV, .length = SZ_1M,
			    .type = MODEL_RESV_RESERVED } },
	};

	FAMILY_OPEN(return, 1);
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->space.id, BASE,
				IA_PTR(self->mem), PG, IA_RW));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, &params, 0));
	self->plugged = true;
	ASSERT_EQ(0, model_bind(&self->dev));
}

FIXTURE_TEARDOWN(pasid_race)
{
	if (!self->plugged)
		return;
	EXPECT_NO_HARM(&self->dev);
	model_release(&self->dev);
	EXPECT_EQ(0, model_counters(&self->dev).attached);
	EXPECT_EQ(0, model_counters(&self->dev).domains);
	EXPECT_EQ(0, model_unplug(&self->dev, 0));
	model_close(&self->model);
}

static __u32 some_pasid(struct racer *r)
{
	return 1 + rand_r(&r->seed) % LAST;
}

/* A number of its own, until this thread detaches it */
static int turn_any(struct racer *r)
{
	__u32 vpasid;
	int rc = pasid_attach_any(r->dev, r->ioasid, &vpasid);

	if (rc == -ENOSPC)
		return 0;
	rc = rc ?: pasid_detach_from(r->dev, r->ioasid, vpasid);
	r->done += !rc;
	return rc;
}

/* The same numbers, by name */
static int turn_new(struct racer *r)
{
	__u32 vpasid = some_pasid(r);
	int rc = pasid_attach_flags(r->dev, r->ioasid, vpasid,
				    IOASID_ATTACH_PASID | IOASID_ATTACH_NEW);

	if (rc == -EEXIST)
		return 0;
	rc = rc ?: pasid_detach_from(r->dev, r->ioasid, vpasid);
	r->done += !rc;
	return rc;
}

/* An attach that fails gives back its place, and no more */
static int turn_fails(struct racer *r)
{
	int rc = pasid_attach_flags(r->dev, r->ioasid, some_pasid(r),
				    IOASID_ATTACH_PASID | IOASID_ATTACH_NEW);

	r->done += rc == -EADDRINUSE;
	return rc == -EADDRINUSE || rc == -EEXIST ? 0 : rc ?: -EPROTO;
}

/* A number that is chosen, and that user space cannot be told */
static int turn_fault(struct racer *r)
{
	struct ioasid_device_attach *cmd;
	int rc;

	cmd = mmap(NULL, PG, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cmd == MAP_FAILED)
		return -ENOMEM;
	*cmd = (struct ioasid_device_attach){
		.argsz = sizeof(*cmd),
		.flags = IOASID_ATTACH_PASID_ANY,
		.ioasid = r->ioasid,
	};
	rc = mprotect(cmd, PG, PROT_READ) ? -errno : 0;
	rc = rc ?: ia_cmd(r->dev->fd, VFIO_DEVICE_ATTACH_IOASID, cmd);
	munmap(cmd, PG);
	r->done += rc == -EFAULT;
	return rc == -EFAULT || rc == -ENOSPC ? 0 : rc ?: -EPROTO;
}

/* There is nothing to detach: not from this IOASID, at no time */
static int turn_detach(struct racer *r)
{
	int rc = pasid_detach_from(r->dev, r->ioasid, some_pasid(r));

	r->done += rc == -ENOENT;
	return rc == -ENOENT ? 0 : rc ?: -EPROTO;
}

static void *race(void *arg)
{
	struct racer *r = arg;

	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED)) {
		r->bad = r->turn(r);
		r->turns++;
		if (r->bad) {
			__atomic_store_n(r->stop, true, __ATOMIC_RELAXED);
			break;
		}
	}
	return NULL;
}

/*
 * An IOASID of its own for each thread: a command that reaches the attachment of
 * another thread has another result.
 */
TEST_F_TIMEOUT(pasid_race, any_and_named, 120)
{
	int (*turns[THREADS])(struct racer *r) = {
		turn_any, turn_new, turn_fails, turn_fault, turn_detach,
	};
	__u64 end = ia_now_ms() + (ia_slow_kernel() ? 20000 : 8000);
	struct racer racer[THREADS] = {};
	bool stop = false;
	__u32 n, vpasid;
	int i;

	for (i = 0; i < THREADS; i++) {
		struct racer *r = &racer[i];

		r->dev = &self->dev;
		r->turn = turns[i];
		r->seed = i;
		r->stop = &stop;
		ASSERT_EQ(0, ia_alloc(self->fd, &r->ioasid));
		/* where the device cannot do DMA */
		if (r->turn == turn_fails)
			ASSERT_EQ(0, ia_map_ref(self->fd, r->ioasid,
						RESV,
						IA_PTR(self->mem), PG, IA_RW));
	}
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&racer[i].thread, NULL, race,
					    &racer[i]));
	while (ia_now_ms() < end && !__atomic_load_n(&stop, __ATOMIC_RELAXED))
		usleep(10000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(racer[i].thread, NULL));
	for (i = 0; i < THREADS; i++) {
		EXPECT_EQ(0, racer[i].bad)
			TH_LOG("thread %d, after %lu turns", i, racer[i].turns);
		EXPECT_LT(0, racer[i].done)
			TH_LOG("thread %d did nothing in %lu turns", i,
			       racer[i].turns);
		EXPECT_EQ(0, info_of(self->fd, racer[i].ioasid).nr_devices);
	}
	/* All numbers are free again */
	for (n = 1; n <= LAST; n++) {
		ASSERT_EQ(0, pasid_attach_any(&self->dev, self->space.id,
					      &vpasid));
		EXPECT_EQ(0, pasid_page_at(&self->dev, vpasid, BASE));
	}
	EXPECT_EQ(-ENOSPC, pasid_attach_any(&self->dev, self->space.id,
					    &vpasid));
	for (n = 1; n <= LAST; n++)
		EXPECT_EQ(0, pasid_detach(&self->dev, n));
}

TEST_HARNESS_MAIN
