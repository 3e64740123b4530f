// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accelerators that a kernel driver shares among processes: a process has a hardware
 * queue and a PASID only while its work is done.
 */
#include <pthread.h>
#include <sched.h>

#include "ioasid_test.h"
#include "accel.h"
#include "family.h"
#include "faults.h"
#include "nested.h"
#include "process.h"
#include "uffd.h"

#define PG page_size
#undef BASE
#define BASE ACCEL_BASE
#define QUEUES 15
#define BITS 4
/* Pages of each IOASID */
#define EACH 2
#define MAX_PASIDS "/sys/module/ioasid/parameters/max_pasids"
/* What ends an acc_await() */
#define GO 0x600d

FIXTURE(accel)
{
	struct model model;
	struct model_device dev;
	int fd;			/* context */
	int acc;		/* bound to it */
	int devid;
	char *mem;
	__u32 space[2];
};

FIXTURE_SETUP(accel)
{
	struct model_params params = {
		.pasid_bits = BITS, .flags = MODEL_NESTING | MODEL_EVICT_RANDOM,
	};
	int i;

	FAMILY_OPEN(return, 2 * EACH);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ia_alloc(self->fd, &self->space[i]));
		ASSERT_EQ(0, ia_map(self->fd, self->space[i], BASE,
				    self->mem + i * EACH * PG, EACH * PG));
	}
	ASSERT_EQ(0, acc_plug(&self->model, &self->dev, &params));
	self->acc = acc_open(&self->dev, 0);
	ASSERT_LE(0, self->acc);
	self->devid = acc_bind(self->acc, self->fd, 1);
	ASSERT_LT(0, self->devid);
}

/* All queues and all numbers are there, and nothing is attached on the wire */
#define EXPECT_IDLE()							\
do {									\
	int __acc = acc_open(&self->dev, 0);				\
									\
	ASSERT_LE(0, __acc);						\
	EXPECT_EQ(0, acc_info(__acc).busy);				\
	EXPECT_EQ(0, acc_info(__acc).waiting);			\
	EXPECT_EQ(0, acc_info(__acc).pasids);				\
	EXPECT_EQ(0, model_counters(&self->dev).attached);		\
	EXPECT_EQ(0, fdinfo_value(self->fd, "ioasid-user-pasids"));	\
	EXPECT_EQ(0, fdinfo_value(self->fd, "ioasid-pasids"));		\
	close(__acc);							\
} while (0)

static long fdinfo_value(int fd, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return ia_proc_field(path, name);
}

FIXTURE_TEARDOWN(accel)
{
	if (!self->dev.model)
		return;
	close(self->acc);
	EXPECT_IDLE();
	EXPECT_NO_HARM(&self->dev);
	EXPECT_EQ(0, model_counters(&self->dev).stale);
	EXPECT_EQ(0, model_unplug(&self->dev, 0));
	model_close(&self->model);
}

static __u64 *word_of(struct _test_data_accel *self, int space)
{
	return (__u64 *)(self->mem + space * EACH * PG);
}

/* Wait for a condition */
#define UNTIL(condition)						\
do {									\
	while (!(condition))						\
		usleep(1000);						\
} while (0)

/* ---- Work that goes on ---- */

struct hold {
	pthread_t thread;
	int fd;
	__u32 vpasid;
	int rc;
};

static void *hold_thread(void *arg)
{
	struct hold *hold = arg;

	hold->rc = acc_await(hold->fd, hold->vpasid, GO);
	return NULL;
}

static int hold_start(struct hold *hold, int fd, __u32 vpasid)
{
	hold->fd = fd;
	hold->vpasid = vpasid;
	return pthread_create(&hold->thread, NULL, hold_thread, hold);
}

static int hold_end(struct hold *hold)
{
	int rc = pthread_join(hold->thread, NULL);

	return rc ? -rc : hold->rc;
}

/* Work on @nr queues by a vPASID, until it is released; returns when it goes on */
static int hold_all(int acc, struct hold *holds, int nr, __u32 vpasid)
{
	__u32 had = acc_info(acc).pasids;
	int i, rc = 0;

	for (i = 0; i < nr && !rc; i++)
		rc = hold_start(&holds[i], acc, vpasid);
	while (!rc && acc_info(acc).pasids != had + nr)
		usleep(1000);
	return rc;
}

#define RELEASE(holds, nr, space)					\
do {									\
	int __i;							\
									\
	__atomic_store_n(word_of(self, space), GO, __ATOMIC_RELEASE);	\
	for (__i = 0; __i < (nr); __i++)				\
		EXPECT_EQ(0, hold_end(&(holds)[__i]));			\
} while (0)

static bool all_is(const char *mem, __u64 seed, __u64 iova)
{
	return model_pattern_holds(mem, seed, iova, PG);
}

TEST_F(accel, works)
{
	struct accel_info info = acc_info(self->acc);
	__u64 sum, want = 0;
	__u32 any;
	int i;

	EXPECT_EQ(QUEUES, info.queues);
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 7));
	ASSERT_EQ(0, acc_attach_any(self->acc, self->space[1], &any));
	EXPECT_NE(7, any);
	EXPECT_NE(0, any);
	/* They are attached, and cost neither a number nor a route */
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->space[0]));
	EXPECT_EQ(1, info_of(self->fd, self->space[0]).nr_devices);
	EXPECT_IDLE();

	EXPECT_EQ(0, acc_fill(self->acc, 7, 3, 0));
	EXPECT_TRUE(all_is(self->mem, 3, BASE));
	EXPECT_EQ(0, acc_copy(self->acc, 7, 0, 1));
	EXPECT_EQ(0, memcmp(self->mem, self->mem + PG, PG));
	for (i = 0; i < (int)(PG / sizeof(__u64)); i++)
		want += ioasid_model_word(3, BASE + i * sizeof(__u64));
	EXPECT_EQ(0, acc_sum(self->acc, 7, 1, &sum));
	EXPECT_EQ(want, sum);
	/* The other one has its own memory */
	EXPECT_EQ(0, acc_fill(self->acc, any, 4, 1));
	EXPECT_TRUE(all_is(self->mem + 3 * PG, 4, BASE + PG));
	EXPECT_EQ(0, memcmp(self->mem, self->mem + PG, PG));
	/* What is unmapped, or mapped late, or elsewhere */
	EXPECT_EQ(MODEL_FAULT_ABSENT, acc_fill(self->acc, 7, 5, EACH));
	ASSERT_EQ(0, ia_map(self->fd, self->space[0], BASE + EACH * PG,
			    self->mem + 2 * PG, PG));
	EXPECT_EQ(0, acc_fill(self->acc, 7, 5, EACH));
	EXPECT_TRUE(all_is(self->mem + 2 * PG, 5, BASE + EACH * PG));

	info = acc_info(self->acc);
	EXPECT_EQ(1, info.most_pasids);
	EXPECT_EQ(6, info.jobs);
	EXPECT_IDLE();
	EXPECT_EQ(0, acc_detach(self->acc, 7));
	EXPECT_EQ(-ENOENT, acc_fill(self->acc, 7, 3, 0));
	EXPECT_EQ(0, ia_free(self->fd, self->space[0]));
}

/* Without a PASID of user space, there is one on the wire nevertheless */
TEST_F(accel, no_pasid)
{
	struct ioasid_device_bind bind = {
		.argsz = sizeof(bind), .ioasid_fd = self->fd,
		.ioasid = self->space[1],
	};
	int acc = acc_open(&self->dev, 0);

	EXPECT_EQ(-ENOENT, acc_fill(self->acc, 0, 1, 0));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 0));
	EXPECT_EQ(0, acc_fill(self->acc, 0, 1, 0));
	EXPECT_TRUE(all_is(self->mem, 1, BASE));
	ASSERT_LE(0, acc);
	ASSERT_EQ(0, ia_cmd(acc, ACCEL_BIND_IOASID_FD, &bind));
	EXPECT_EQ(0, acc_fill(acc, 0, 2, 0));
	EXPECT_TRUE(all_is(self->mem + EACH * PG, 2, BASE));
	EXPECT_EQ(0, acc_detach(self->acc, 0));
	EXPECT_EQ(-ENOENT, acc_fill(self->acc, 0, 1, 0));
	close(acc);
}

/* Uses of one vPASID are counted: it has one number */
TEST_F(accel, counts)
{
	struct hold holds[3];

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 7));
	ASSERT_EQ(0, hold_all(self->acc, holds, 3, 7));
	EXPECT_EQ(1, model_counters(&self->dev).attached);
	EXPECT_EQ(1, fdinfo_value(self->fd, "ioasid-user-pasids"));
	EXPECT_EQ(0, acc_fill(self->acc, 7, 3, 1));
	EXPECT_EQ(1, model_counters(&self->dev).attached);
	RELEASE(holds, 3, 0);
	EXPECT_IDLE();
}

TEST_F(accel, bad_input)
{
	struct accel_submit ok = {
		.op = ACCEL_FILL, .vpasid = 1, .dst = BASE, .length = 8,
	}, cmd;
	struct ioasid_model_accel_job job = { .id = self->dev.id };
	int acc = acc_open(&self->dev, 0);

#define BAD(field, value)						\
do {									\
	cmd = ok;							\
	cmd.field = value;						\
	EXPECT_EQ(-EINVAL, acc_submit(self->acc, &cmd));		\
} while (0)
	ASSERT_LE(0, acc);
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	BAD(op, 0);
	BAD(op, ACCEL_AWAIT + 1);
	BAD(length, 0);
	BAD(length, ACCEL_MAX_LENGTH + 8);
	BAD(length, 12);
	BAD(src, 4);
	BAD(dst, 4);
	BAD(reserved, 1);
	cmd = ok;
	cmd.op = ACCEL_AWAIT;
	cmd.length = 16;
	EXPECT_EQ(-EINVAL, acc_submit(self->acc, &cmd));
	EXPECT_EQ(-EFAULT, ia_cmd(self->acc, ACCEL_SUBMIT, NULL));
	EXPECT_EQ(-EFAULT, ia_cmd(self->acc, ACCEL_GET_INFO, NULL));
	EXPECT_EQ(-ENOTTY, ia_cmd(self->acc, _IO(ACCEL_TYPE, 99), NULL));
	EXPECT_EQ(0, acc_submit(self->acc, &ok));

	EXPECT_EQ(-EBUSY, acc_bind(self->acc, self->fd, 1));
	EXPECT_EQ(-ENODEV, acc_submit(acc, &ok));
	EXPECT_EQ(-ENODEV, acc_attach(acc, self->space[0], 1));
	EXPECT_EQ(-ENODEV, acc_detach(acc, 1));
	EXPECT_EQ(-ENOENT, acc_attach(self->acc, 0x7fffffff, 2));
	EXPECT_EQ(-EINVAL, acc_attach(self->acc, self->space[0], 1 << BITS));
	EXPECT_EQ(-EEXIST, acc_attach_flags(self->acc, self->space[1], 1,
					    IOASID_ATTACH_NEW));
	EXPECT_EQ(-EOPNOTSUPP, acc_attach_flags(self->acc, self->space[1], 1,
						IOASID_ATTACH_HITLESS));
	EXPECT_EQ(-ENOENT, acc_detach(self->acc, 2));
	EXPECT_EQ(0, acc_submit(self->acc, &ok));

	EXPECT_EQ(-EINVAL, ia_cmd(self->model.control, IOASID_MODEL_ACCEL_JOB,
				  &job));
	job.length = IOASID_MODEL_ACCEL_LENGTH + 8;
	EXPECT_EQ(-EINVAL, ia_cmd(self->model.control, IOASID_MODEL_ACCEL_JOB,
				  &job));
	job.length = 8;
	job.id = 0x7fffffff;
	EXPECT_EQ(-ENOENT, ia_cmd(self->model.control, IOASID_MODEL_ACCEL_JOB,
				  &job));
	close(acc);
}

/* ---- The line ---- */

/* Files get queues in the order in which they asked, one at a time */
TEST_F(accel, first_come)
{
	struct hold holds[QUEUES];
	int acc[3], i;

	ASSERT_EQ(0, acc_set_turn(3600 * 1000));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	for (i = 0; i < 3; i++) {
		acc[i] = acc_open(&self->dev, O_NONBLOCK);
		ASSERT_LE(0, acc[i]);
		ASSERT_LT(0, acc_bind(acc[i], self->fd, 2 + i));
		ASSERT_EQ(0, acc_attach(acc[i], self->space[1], 1));
		EXPECT_TRUE(acc_ready(acc[i], 0));
	}
	ASSERT_EQ(0, hold_all(self->acc, holds, QUEUES, 1));
	EXPECT_EQ(QUEUES, acc_info(self->acc).busy);
	/* One asks by a command, the others by poll() */
	EXPECT_EQ(-EAGAIN, acc_fill(acc[0], 1, 1, 0));
	EXPECT_FALSE(acc_ready(acc[1], 0));
	EXPECT_FALSE(acc_ready(acc[2], 0));
	EXPECT_FALSE(acc_ready(acc[0], 0));
	EXPECT_EQ(3, acc_info(self->acc).waiting);

	/* All but the three that are in line end: there are queues for these */
	RELEASE(holds, QUEUES, 0);
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(acc_ready(acc[i], -1));
	EXPECT_EQ(3, acc_info(self->acc).busy);
	EXPECT_EQ(0, acc_info(self->acc).waiting);
	/* Each has its own: it need not hurry */
	for (i = 2; i >= 0; i--)
		EXPECT_EQ(0, acc_fill(acc[i], 1, i, 0));
	EXPECT_EQ(0, acc_info(self->acc).busy);
	for (i = 0; i < 3; i++)
		close(acc[i]);
	ASSERT_EQ(0, acc_set_turn(1000));
}

/* One queue comes back: the first in line has it, and no other */
TEST_F(accel, one_at_a_time)
{
	struct hold holds[QUEUES - 1], last;
	int acc[3], i, j;

	ASSERT_EQ(0, acc_set_turn(3600 * 1000));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 2));
	for (i = 0; i < 3; i++) {
		acc[i] = acc_open(&self->dev, O_NONBLOCK);
		ASSERT_LE(0, acc[i]);
		ASSERT_LT(0, acc_bind(acc[i], self->fd, 2 + i));
		ASSERT_EQ(0, acc_attach(acc[i], self->space[1], 1));
	}
	ASSERT_EQ(0, hold_all(self->acc, holds, QUEUES - 1, 1));
	ASSERT_EQ(0, hold_all(self->acc, &last, 1, 2));
	for (i = 0; i < 3; i++)
		EXPECT_FALSE(acc_ready(acc[i], 0));
	RELEASE(&last, 1, 1);
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(acc_ready(acc[i], -1));
		for (j = i + 1; j < 3; j++) {
			EXPECT_FALSE(acc_ready(acc[j], 0));
			/* Not its turn */
			EXPECT_EQ(-EAGAIN, acc_fill(acc[j], 1, 1, 0));
		}
		EXPECT_EQ(QUEUES, acc_info(self->acc).busy);
		/* A file that is closed lets the next one have its turn, too */
		if (i != 1)
			EXPECT_EQ(0, acc_fill(acc[i], 1, i, 0));
		close(acc[i]);
	}
	EXPECT_EQ(QUEUES - 1, acc_info(self->acc).busy);
	RELEASE(holds, QUEUES - 1, 0);
	ASSERT_EQ(0, acc_set_turn(1000));
}

/* A file that does not use its turn does not keep the others from theirs */
TEST_F(accel, lapses)
{
	struct hold holds[QUEUES - 1], last;
	int acc[2], i;

	ASSERT_EQ(0, acc_set_turn(1));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 2));
	for (i = 0; i < 2; i++) {
		acc[i] = acc_open(&self->dev, O_NONBLOCK);
		ASSERT_LE(0, acc[i]);
		ASSERT_LT(0, acc_bind(acc[i], self->fd, 2 + i));
		ASSERT_EQ(0, acc_attach(acc[i], self->space[1], 1));
	}
	ASSERT_EQ(0, hold_all(self->acc, holds, QUEUES - 1, 1));
	ASSERT_EQ(0, hold_all(self->acc, &last, 1, 2));
	EXPECT_FALSE(acc_ready(acc[0], 0));
	EXPECT_FALSE(acc_ready(acc[1], 0));
	RELEASE(&last, 1, 1);
	EXPECT_TRUE(acc_ready(acc[1], -1));
	RELEASE(holds, QUEUES - 1, 0);
	close(acc[0]);
	close(acc[1]);
	ASSERT_EQ(0, acc_set_turn(1000));
}

/* A thread that waits has its turn, too */
TEST_F(accel, waits)
{
	struct hold holds[QUEUES + 3];
	int i;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, hold_all(self->acc, holds, QUEUES, 1));
	for (i = QUEUES; i < QUEUES + 3; i++)
		ASSERT_EQ(0, hold_start(&holds[i], self->acc, 1));
	UNTIL(acc_info(self->acc).waiting == 3);
	EXPECT_EQ(QUEUES, acc_info(self->acc).pasids);
	RELEASE(holds, QUEUES + 3, 0);
	EXPECT_EQ(QUEUES, acc_info(self->acc).most_pasids);
}

/* ---- No PASID is left ---- */

TEST_F(accel, no_number)
{
	struct model_params params = { .pasid_bits = 2 };
	struct model_device dev;
	struct hold holds[4];
	int acc[4], i, n = 0;
	__u32 space[4];

	/* A file that polls is not told by the time alone */
	ASSERT_EQ(0, acc_set_turn(3600 * 1000));
	ASSERT_EQ(0, acc_plug(&self->model, &dev, &params));
	for (i = 0; i < 4; i++) {
		acc[i] = acc_open(&dev, 0);
		ASSERT_LE(0, acc[i]);
		ASSERT_LT(0, acc_bind(acc[i], self->fd, 2 + i));
		ASSERT_EQ(0, ia_alloc(self->fd, &space[i]));
		ASSERT_EQ(0, ia_map(self->fd, space[i], BASE,
				    self->mem + i % 2 * PG, PG));
		ASSERT_EQ(0, acc_attach(acc[i], space[i], 1));
	}
	/* Other users in the kernel may have some of the three */
	for (i = 0; i < 3; i++) {
		if (acc_fill(acc[i], 1, 1, 0))
			break;
		ASSERT_EQ(0, hold_start(&holds[n++], acc[i], 1));
		UNTIL(acc_info(acc[0]).pasids == (__u32)n);
	}
	ASSERT_LT(0, n);
	EXPECT_EQ(-ENOSPC, acc_fill(acc[3], 1, 1, 0));
	EXPECT_FALSE(acc_ready(acc[3], 0));
	EXPECT_EQ(n, acc_info(acc[0]).busy);
	__atomic_store_n((__u64 *)self->mem, GO, __ATOMIC_RELEASE);
	EXPECT_EQ(0, hold_end(&holds[0]));
	EXPECT_TRUE(acc_ready(acc[3], -1));
	EXPECT_EQ(0, acc_copy(acc[3], 1, 0, 0));
	__atomic_store_n((__u64 *)(self->mem + PG), GO, __ATOMIC_RELEASE);
	for (i = 1; i < n; i++)
		EXPECT_EQ(0, hold_end(&holds[i]));
	for (i = 0; i < 4; i++)
		close(acc[i]);
	ASSERT_EQ(0, acc_set_turn(1000));
	EXPECT_EQ(0, model_counters(&dev).attached);
	EXPECT_NO_HARM(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

/* Another device has all numbers: poll() tells when one comes back, and not before */
TEST_F(accel, no_number_elsewhere)
{
	struct model_params params = { .pasid_bits = 2 };
	struct model_device dev[2];
	struct hold holds[3];
	int acc[2], i, n = 0;

	ASSERT_EQ(0, acc_set_turn(3600 * 1000));
	for (i = 0; i < 2; i++) {
		params.unit = i;
		ASSERT_EQ(0, acc_plug(&self->model, &dev[i], &params));
		acc[i] = acc_open(&dev[i], 0);
		ASSERT_LE(0, acc[i]);
		ASSERT_LT(0, acc_bind(acc[i], self->fd, 2 + i));
	}
	/* A number for each of them */
	for (i = 1; i <= 3; i++) {
		ASSERT_EQ(0, acc_attach(acc[0], self->space[0], i));
		if (acc_fill(acc[0], i, 1, 1))
			break;
		ASSERT_EQ(0, hold_start(&holds[n++], acc[0], i));
		UNTIL(acc_info(acc[0]).pasids == (__u32)n);
	}
	ASSERT_LT(0, n);
	ASSERT_EQ(0, acc_attach(acc[1], self->space[1], 1));
	EXPECT_EQ(-ENOSPC, acc_fill(acc[1], 1, 1, 0));
	EXPECT_EQ(0, acc_info(acc[1]).busy);
	EXPECT_FALSE(acc_ready(acc[1], 0));
	EXPECT_FALSE(acc_ready(acc[1], 0));
	ASSERT_EQ(0, acc_detach(acc[0], 1));
	EXPECT_EQ(-ECANCELED, hold_end(&holds[0]));
	EXPECT_TRUE(acc_ready(acc[1], -1));
	EXPECT_EQ(0, acc_fill(acc[1], 1, 1, 0));
	RELEASE(holds + 1, n - 1, 0);
	/* If nothing tells, it is tried again after a time */
	ASSERT_EQ(0, acc_set_turn(1));
	word_of(self, 0)[0] = 0;
	for (i = 1; i <= n; i++) {
		if (i == 1)
			ASSERT_EQ(0, acc_attach(acc[0], self->space[0], i));
		ASSERT_EQ(0, hold_start(&holds[i - 1], acc[0], i));
		UNTIL(acc_info(acc[0]).pasids == (__u32)i);
	}
	EXPECT_EQ(-ENOSPC, acc_fill(acc[1], 1, 1, 0));
	EXPECT_TRUE(acc_ready(acc[1], -1));
	EXPECT_EQ(-ENOSPC, acc_fill(acc[1], 1, 1, 0));
	RELEASE(holds, n, 0);
	ASSERT_EQ(0, acc_set_turn(1000));
	for (i = 0; i < 2; i++) {
		close(acc[i]);
		EXPECT_EQ(0, model_counters(&dev[i]).attached);
		EXPECT_NO_HARM(&dev[i]);
		EXPECT_EQ(0, model_unplug(&dev[i], 0));
	}
}

TEST_F(accel, limits)
{
	struct hold hold;

	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PASIDS, 1, 0));
	/* An attach takes none */
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 2));
	ASSERT_EQ(0, hold_all(self->acc, &hold, 1, 1));
	EXPECT_EQ(1, fdinfo_value(self->fd, "ioasid-pasids"));
	EXPECT_EQ(-EDQUOT, acc_fill(self->acc, 2, 1, 1));
	EXPECT_EQ(0, acc_fill(self->acc, 1, 1, 1));
	RELEASE(&hold, 1, 0);
	EXPECT_EQ(0, acc_fill(self->acc, 2, 1, 1));
}

static int write_limit(const char *limit)
{
	int fd = open(MAX_PASIDS, O_WRONLY), rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, limit, strlen(limit)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

TEST_F(accel, quota)
{
	struct hold hold;

	ASSERT_EQ(0, write_limit("1"));
	ASSERT_EQ(0, ia_drop_resource());
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 2));
	ASSERT_EQ(0, hold_all(self->acc, &hold, 1, 1));
	EXPECT_EQ(-EDQUOT, acc_fill(self->acc, 2, 1, 1));
	RELEASE(&hold, 1, 0);
	EXPECT_EQ(0, acc_fill(self->acc, 2, 1, 1));
	ASSERT_EQ(0, write_limit("4096"));
}

/* The IOMMU refuses the PASID: nothing is left behind */
TEST_F(accel, refused)
{
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_ATTACH_PASID, 1, 0));
	EXPECT_EQ(-ENOMEM, acc_fill(self->acc, 1, 1, 0));
	EXPECT_IDLE();
	EXPECT_EQ(0, acc_fill(self->acc, 1, 1, 0));
}

/* ---- Work is stopped ---- */

TEST_F(accel, detach)
{
	struct hold holds[2], other;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 2));
	ASSERT_EQ(0, hold_all(self->acc, holds, 2, 1));
	ASSERT_EQ(0, hold_all(self->acc, &other, 1, 2));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->space[0]));
	EXPECT_EQ(0, acc_detach(self->acc, 1));
	/* The device has stopped, whether its threads know or not */
	EXPECT_EQ(1, model_counters(&self->dev).attached);
	EXPECT_EQ(0, ia_free(self->fd, self->space[0]));
	EXPECT_EQ(-ECANCELED, hold_end(&holds[0]));
	EXPECT_EQ(-ECANCELED, hold_end(&holds[1]));
	EXPECT_EQ(-ENOENT, acc_fill(self->acc, 1, 1, 0));
	/* What came late has taken nothing from another attachment */
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 1));
	EXPECT_EQ(0, acc_fill(self->acc, 1, 1, 1));
	EXPECT_EQ(1, acc_info(self->acc).pasids);
	RELEASE(&other, 1, 1);
}

/* The work that was stopped ends when another attachment has the vPASID, and works */
TEST_F(accel, late_end)
{
	struct hold late, next;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, hold_all(self->acc, &late, 1, 1));
	ASSERT_EQ(0, acc_hold_ends(true));
	EXPECT_EQ(0, acc_detach(self->acc, 1));
	EXPECT_EQ(0, ia_free(self->fd, self->space[0]));
	EXPECT_EQ(0, model_counters(&self->dev).attached);
	EXPECT_EQ(0, fdinfo_value(self->fd, "ioasid-pasids"));
	/* Its thread has not ended it */
	EXPECT_EQ(1, acc_info(self->acc).pasids);
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 1));
	ASSERT_EQ(0, hold_all(self->acc, &next, 1, 1));
	EXPECT_EQ(1, model_counters(&self->dev).attached);
	ASSERT_EQ(0, acc_hold_ends(false));
	EXPECT_EQ(-ECANCELED, hold_end(&late));
	/* The next one has its PASID still */
	EXPECT_EQ(1, acc_info(self->acc).pasids);
	EXPECT_EQ(1, model_counters(&self->dev).attached);
	EXPECT_EQ(1, fdinfo_value(self->fd, "ioasid-pasids"));
	RELEASE(&next, 1, 1);
	/* And without any attachment */
	word_of(self, 1)[0] = 0;
	ASSERT_EQ(0, hold_all(self->acc, &late, 1, 1));
	ASSERT_EQ(0, acc_hold_ends(true));
	EXPECT_EQ(0, acc_detach(self->acc, 1));
	ASSERT_EQ(0, acc_hold_ends(false));
	EXPECT_EQ(-ECANCELED, hold_end(&late));
}

TEST_F(accel, move)
{
	struct hold hold;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, hold_all(self->acc, &hold, 1, 1));
	/* One that fails stops nothing */
	EXPECT_EQ(-ENOENT, acc_attach(self->acc, 0x7fffffff, 1));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_ALLOC, 1, 0));
	EXPECT_GT(0, acc_attach(self->acc, self->space[1], 1));
	EXPECT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	EXPECT_EQ(1, acc_info(self->acc).pasids);
	EXPECT_EQ(0, acc_attach(self->acc, self->space[1], 1));
	EXPECT_EQ(-ECANCELED, hold_end(&hold));
	EXPECT_EQ(0, acc_fill(self->acc, 1, 6, 0));
	EXPECT_TRUE(all_is(self->mem + EACH * PG, 6, BASE));
	EXPECT_EQ(0, info_of(self->fd, self->space[0]).nr_devices);
	EXPECT_EQ(0, ia_free(self->fd, self->space[0]));
}

/* A vPASID is detached and attached again all the time, while work goes on by it */
TEST_F(accel, detach_race)
{
	int i, rounds = ia_slow_kernel() ? 100 : 1000;
	struct hold holds[4];
	int j, rc, wrong = 0;

	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, acc_attach(self->acc, self->space[i % 2], 1));
		for (j = 0; j < 4; j++)
			ASSERT_EQ(0, hold_start(&holds[j], self->acc, 1));
		if (i % 4 == 0)
			UNTIL(acc_info(self->acc).pasids);
		if (i % 3) {
			ASSERT_EQ(0, acc_detach(self->acc, 1));
		} else {
			ASSERT_EQ(0, acc_attach(self->acc,
						self->space[!(i % 2)], 1));
			/* Some may have begun after the move */
			__atomic_store_n(word_of(self, 0), GO, __ATOMIC_RELEASE);
			__atomic_store_n(word_of(self, 1), GO, __ATOMIC_RELEASE);
		}
		for (j = 0; j < 4; j++) {
			rc = hold_end(&holds[j]);
			wrong += rc && rc != -ECANCELED && rc != -ENOENT;
		}
		rc = i % 3 ? 0 : acc_detach(self->acc, 1);
		ASSERT_EQ(0, rc);
		__atomic_store_n(word_of(self, 0), 0, __ATOMIC_RELEASE);
		__atomic_store_n(word_of(self, 1), 0, __ATOMIC_RELEASE);
		EXPECT_EQ(0, model_counters(&self->dev).attached);
	}
	EXPECT_EQ(0, wrong);
	EXPECT_IDLE();
}

TEST_F(accel, unplug)
{
	struct model_params params = { .pasid_bits = BITS };
	struct hold holds[QUEUES + 2];
	struct pollfd pfd = { .events = POLLOUT };
	int i, rc;

	pfd.fd = acc_open(&self->dev, O_NONBLOCK);
	ASSERT_LE(0, pfd.fd);
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, hold_all(self->acc, holds, QUEUES, 1));
	for (i = QUEUES; i < QUEUES + 2; i++)
		ASSERT_EQ(0, hold_start(&holds[i], self->acc, 1));
	UNTIL(acc_info(self->acc).waiting == 2);
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	EXPECT_EQ(0, model_unplug(&self->dev, 0));
	for (i = 0; i < QUEUES + 2; i++) {
		rc = hold_end(&holds[i]);
		EXPECT_TRUE(rc == -ENODEV || rc == -ECANCELED);
	}
	EXPECT_EQ(1, poll(&pfd, 1, -1));
	EXPECT_TRUE(pfd.revents & POLLERR);
	EXPECT_EQ(-ENODEV, acc_fill(self->acc, 1, 1, 0));
	EXPECT_EQ(-ENODEV, acc_attach(self->acc, self->space[0], 1));
	EXPECT_EQ(-ENODEV, acc_bind(self->acc, self->fd, 1));
	EXPECT_EQ(0, info_of(self->fd, self->space[0]).nr_devices);
	EXPECT_EQ(0, ia_free(self->fd, self->space[0]));
	close(pfd.fd);
	ASSERT_EQ(0, acc_plug(&self->model, &self->dev, &params));
}

static void *close_thread(void *arg)
{
	close((int)(long)arg);
	return NULL;
}

/* A device that goes is bound no longer, also if its file is just being closed */
TEST_F(accel, unplug_closing)
{
	struct model_params params = { .pasid_bits = BITS };
	struct model_device dev;
	pthread_t thread;
	int i, acc;

	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, acc_plug(&self->model, &dev, &params));
		acc = acc_open(&dev, 0);
		ASSERT_LE(0, acc);
		ASSERT_LT(0, acc_bind(acc, self->fd, 2));
		ASSERT_EQ(0, acc_attach(acc, self->space[0], 1));
		ASSERT_EQ(0, pthread_create(&thread, NULL, close_thread,
					    (void *)(long)acc));
		EXPECT_EQ(0, model_unplug(&dev, 0));
		EXPECT_EQ(0, info_of(self->fd, self->space[0]).nr_devices);
		ASSERT_EQ(0, pthread_join(thread, NULL));
	}
}

TEST_F(accel, poison)
{
	struct hold hold, other;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[1], 2));
	ASSERT_EQ(0, hold_all(self->acc, &hold, 1, 1));
	ASSERT_EQ(0, hold_all(self->acc, &other, 1, 2));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_EQ(-EIO, ia_unmap(self->fd, self->space[0], BASE, EACH * PG,
				 NULL));
	EXPECT_EQ(-ECANCELED, hold_end(&hold));
	EXPECT_EQ(-EIO, acc_fill(self->acc, 1, 1, 0));
	EXPECT_EQ(1, acc_info(self->acc).pasids);
	EXPECT_EQ(0, acc_fill(self->acc, 2, 1, 1));
	RELEASE(&other, 1, 1);
	EXPECT_IDLE();
	EXPECT_EQ(0, acc_detach(self->acc, 1));
	EXPECT_EQ(0, acc_attach(self->acc, self->space[1], 1));
	EXPECT_EQ(0, acc_fill(self->acc, 1, 1, 1));
}

/* ---- Processes ---- */

/* A file that was inherited is for those that look */
TEST_F(accel, fork)
{
	struct accel_info info;
	int status;
	pid_t pid;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	pid = ia_fork();
	if (!pid) {
		int acc = acc_open(&self->dev, 0), rc = 0;

		rc |= acc_fill(self->acc, 1, 1, 0) != -EPERM;
		rc |= (acc_attach(self->acc, self->space[1], 2) != -EPERM) << 1;
		rc |= (acc_detach(self->acc, 1) != -EPERM) << 2;
		rc |= (acc_bind(self->acc, self->fd, 1) != -EPERM) << 3;
		info = acc_info(self->acc);
		rc |= (info.queues != QUEUES) << 4;
		/* A file of its own is another matter */
		rc |= (acc < 0 || acc_bind(acc, self->fd, 2) <= 0) << 5;
		_exit(rc);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, acc_fill(self->acc, 1, 1, 0));
}

/* Processes that work, and that wait, are killed: the next in line has the queues */
TEST_F(accel, killed)
{
	pid_t pids[QUEUES + 3];
	struct hold hold;
	int i, acc;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	for (i = 0; i < QUEUES + 3; i++) {
		pids[i] = ia_fork();
		if (!pids[i]) {
			acc = acc_open(&self->dev, 0);
			if (acc < 0 || acc_bind(acc, self->fd, 2 + i) <= 0 ||
			    acc_attach(acc, self->space[1], 1))
				_exit(1);
			acc_await(acc, 1, GO);
			_exit(2);
		}
		ASSERT_LT(0, pids[i]);
	}
	UNTIL(acc_info(self->acc).pasids == QUEUES &&
	      acc_info(self->acc).waiting == 3);
	ASSERT_EQ(0, hold_start(&hold, self->acc, 1));
	UNTIL(acc_info(self->acc).waiting == 4);
	for (i = QUEUES + 2; i >= 0; i--) {
		ASSERT_EQ(0, kill(pids[i], SIGKILL));
		ASSERT_EQ(pids[i], waitpid(pids[i], NULL, 0));
	}
	UNTIL(acc_info(self->acc).busy == 1);
	EXPECT_EQ(0, acc_info(self->acc).waiting);
	EXPECT_EQ(0, info_of(self->fd, self->space[1]).nr_devices);
	RELEASE(&hold, 1, 0);
	EXPECT_LE(acc_info(self->acc).most_pasids, QUEUES);
}

/* ---- Kinds, faults ---- */

TEST_F(accel, child)
{
	__u32 child;

	ASSERT_EQ(0, ia_child(self->fd, self->space[0], 0, &child));
	ASSERT_EQ(0, ia_map_ref(self->fd, child, BASE, BASE + PG, PG, IA_RW));
	ASSERT_EQ(0, acc_attach(self->acc, child, 1));
	EXPECT_EQ(0, acc_fill(self->acc, 1, 9, 0));
	EXPECT_TRUE(all_is(self->mem + PG, 9, BASE));
	EXPECT_EQ(MODEL_FAULT_ABSENT, acc_fill(self->acc, 1, 9, 1));
}

/* What the domain of one IOMMU is not for needs another one */
TEST_F(accel, two_iommus)
{
	struct model_params params = { .pasid_bits = BITS, .unit = 1 };
	struct model_device dev;
	int acc;

	ASSERT_EQ(0, acc_plug(&self->model, &dev, &params));
	acc = acc_open(&dev, 0);
	ASSERT_LE(0, acc);
	ASSERT_LT(0, acc_bind(acc, self->fd, 2));
	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(acc, self->space[0], 1));
	ASSERT_EQ(0, acc_attach(acc, self->space[0], 2));
	EXPECT_EQ(2, info_of(self->fd, self->space[0]).nr_domains);
	EXPECT_IDLE();
	EXPECT_EQ(0, model_counters(&dev).attached);
	EXPECT_EQ(0, acc_fill(self->acc, 1, 1, 0));
	EXPECT_TRUE(all_is(self->mem, 1, BASE));
	EXPECT_EQ(0, acc_fill(acc, 1, 2, 0));
	EXPECT_TRUE(all_is(self->mem, 2, BASE));
	EXPECT_EQ(0, acc_fill(acc, 2, 3, 0));
	EXPECT_TRUE(all_is(self->mem, 3, BASE));
	close(acc);
	EXPECT_NO_HARM(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

/* A table of user space is followed from the first work on, or from its bind */
TEST_F(accel, user_table)
{
	char *mem = family_memory(PAGES);
	struct hold hold;
	__u32 root, id;

	if (!ia_check(self->fd, IOASID_EXT_PGTABLE))
		SKIP(return, "this kernel takes no tables");
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, nested_parent(self->fd, &root));
	ASSERT_EQ(0, ia_map(self->fd, root, GUEST, mem, PAGES * PG));
	ASSERT_EQ(0, nested_alloc(self->fd, 0, IOASID_KIND_PGTABLE, root,
				  MODEL_HWPT_DATA_S1, &id));
	s1_init(mem, TABLE_A);
	s1_map(mem, TABLE_A, 0, DATA);
	ASSERT_EQ(0, acc_attach(self->acc, id, 1));
	EXPECT_EQ(MODEL_FAULT_PASID, acc_fill(self->acc, 1, 3, 0));
	EXPECT_IDLE();
	ASSERT_EQ(0, bind_table(self->fd, id, 0, TABLE_A));
	EXPECT_IDLE();
	EXPECT_EQ(0, acc_fill(self->acc, 1, 3, 0));
	EXPECT_TRUE(all_is(mem + DATA * PG, 3, BASE));
	EXPECT_IDLE();
	ASSERT_EQ(0, hold_all(self->acc, &hold, 1, 1));
	EXPECT_EQ(1, model_counters(&self->dev).attached);
	s1_init(mem, TABLE_B);
	s1_map(mem, TABLE_B, 0, DATA + 1);
	ASSERT_EQ(0, bind_table(self->fd, id, IOASID_BIND_REPLACE, TABLE_B));
	__atomic_store_n((__u64 *)(mem + (DATA + 1) * PG), GO, __ATOMIC_RELEASE);
	EXPECT_EQ(0, hold_end(&hold));
	EXPECT_IDLE();
	ASSERT_EQ(0, unbind_table(self->fd, id));
	EXPECT_EQ(MODEL_FAULT_PASID, acc_fill(self->acc, 1, 3, 0));
	EXPECT_EQ(0, acc_detach(self->acc, 1));
}

/* What its work must not reach is told to the process, by its name of the PASID */
TEST_F(accel, faults)
{
	struct ioasid_fault record;
	struct fault_queue queue;
	__u32 id;

	if (!ia_check(self->fd, IOASID_EXT_UNREPAIRABLE))
		SKIP(return, "this kernel tells no faults");
	ASSERT_EQ(0, fault_queue_open(self->fd, 8, &queue));
	ASSERT_EQ(0, fault_alloc(self->fd, 0, IOASID_KIND_MAP, 0, 0, &queue, &id));
	ASSERT_EQ(0, acc_attach(self->acc, id, 5));
	EXPECT_EQ(MODEL_FAULT_ABSENT, acc_fill(self->acc, 5, 1, 0));
	ASSERT_EQ(1, fault_take(queue.fd, &record, 1));
	EXPECT_EQ(IOASID_FAULT_UNREPAIRABLE, record.kind);
	EXPECT_EQ(5, record.vpasid);
	EXPECT_EQ(id, record.ioasid);
	EXPECT_EQ((__u32)self->devid, record.devid);
	EXPECT_EQ(BASE, record.addr);
	EXPECT_IDLE();
	close(queue.fd);
}

#define REQUESTING { .pasid_bits = BITS, .flags = MODEL_PRI | MODEL_ATS }

/* Work on the memory of the process itself, which the device requests as it goes */
TEST_F(accel, process)
{
	struct accel_submit cmd = { .op = ACCEL_FILL, .vpasid = 1, .seed = 6 };
	struct model_params params = REQUESTING;
	struct model_device dev;
	unsigned int i;
	__u32 id;
	char *p;
	int acc;

	if (ia_check(self->fd, IOASID_EXT_PROCESS) <= 0)
		SKIP(return, "no mirrors of processes");
	p = process_memory(PROCESS_WINDOW);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, acc_plug(&self->model, &dev, &params));
	acc = acc_open(&dev, 0);
	ASSERT_LE(0, acc);
	ASSERT_LT(0, acc_bind(acc, self->fd, 2));
	ASSERT_EQ(0, process_alloc(self->fd, &id));
	ASSERT_EQ(0, acc_attach(acc, id, 1));
	cmd.length = 40 * PG;
	cmd.dst = IA_PTR(p);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, acc_submit(acc, &cmd));
		EXPECT_TRUE(model_pattern_holds(p, 6, IA_PTR(p), 40 * PG));
		EXPECT_EQ(0, model_counters(&dev).attached);
		ASSERT_EQ(0, madvise(p, PROCESS_WINDOW, MADV_DONTNEED));
	}
	/* Where the process has nothing */
	ASSERT_EQ(0, munmap(p + 8 * PG, PG));
	EXPECT_EQ(MODEL_PAGE_REQUEST, acc_submit(acc, &cmd));
	EXPECT_EQ(IA_PTR(p) + 8 * PG, cmd.fault_addr);
	EXPECT_TRUE(model_pattern_holds(p, 6, IA_PTR(p), 8 * PG));
	/* The kind does not suit a device that requests nothing */
	ASSERT_EQ(0, acc_attach(self->acc, id, 7));
	EXPECT_EQ(-EMEDIUMTYPE, acc_fill(self->acc, 7, 1, 0));
	close(acc);
	EXPECT_NO_HARM(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

struct page_waiter {
	int acc;
	struct accel_submit cmd;
	int rc;
};

static void *submit_one(void *arg)
{
	struct page_waiter *w = arg;

	w->rc = acc_submit(w->acc, &w->cmd);
	return NULL;
}

/* A page that never comes: a detach stops the job that waits for it */
TEST_F(accel, process_waits)
{
	struct page_waiter w = {
		.cmd = { .op = ACCEL_FILL, .vpasid = 1, .length = PG },
	};
	struct model_params params = REQUESTING;
	struct model_device dev;
	pthread_t thread;
	__u32 id;
	int uffd;
	char *p;

	if (ia_check(self->fd, IOASID_EXT_PROCESS) <= 0)
		SKIP(return, "no mirrors of processes");
	uffd = open_userfaultfd();
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	p = process_memory(PROCESS_WINDOW);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, acc_plug(&self->model, &dev, &params));
	w.acc = acc_open(&dev, 0);
	ASSERT_LE(0, w.acc);
	ASSERT_LT(0, acc_bind(w.acc, self->fd, 2));
	ASSERT_EQ(0, process_alloc(self->fd, &id));
	ASSERT_EQ(0, acc_attach(w.acc, id, 1));
	ASSERT_EQ(0, hold_faults(uffd, p, PG));
	w.cmd.dst = IA_PTR(p);
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_one, &w));
	ASSERT_TRUE(fault_waits(uffd));
	/* Another job of the process goes on meanwhile */
	EXPECT_EQ(0, acc_submit(w.acc, &(struct accel_submit){
		.op = ACCEL_FILL, .vpasid = 1, .length = PG,
		.dst = IA_PTR(p + 9 * PG),
	}));
	ASSERT_EQ(0, acc_detach(w.acc, 1));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-ECANCELED, w.rc);
	ASSERT_EQ(0, release_faults(uffd, p, PG));
	close(uffd);
	close(w.acc);
	EXPECT_NO_HARM(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

/* ---- The kernel, and the crowd ---- */

/* It has a queue, whatever users do, and its DMA is by requester id */
TEST_F(accel, kernel)
{
	struct hold holds[QUEUES];
	__u64 bypass;

	ASSERT_EQ(0, acc_attach(self->acc, self->space[0], 1));
	ASSERT_EQ(0, hold_all(self->acc, holds, QUEUES, 1));
	bypass = model_counters(&self->dev).bypass;
	EXPECT_EQ(0, acc_kernel_job(&self->dev, 5, PG));
	EXPECT_EQ(0, acc_kernel_job(&self->dev, 6, SZ_64K));
	/* Users have done nothing past the IOMMU meanwhile */
	EXPECT_EQ(1 + SZ_64K / PG, model_counters(&self->dev).bypass - bypass);
	EXPECT_EQ(2, acc_info(self->acc).kernel_jobs);
	RELEASE(holds, QUEUES, 0);
}

/* In memory that all share; @go: a pipe, at its end when all may begin */
struct crowd {
	unsigned int ready;
	int go[2];
	unsigned int rounds;
	unsigned int wrong;
	unsigned int no_number;
};

/* One process of the crowd: returns what is wrong */
static int one_of_many(struct model_device *dev, struct crowd *crowd,
		       unsigned int number)
{
	int fd = ia_open(), acc = acc_open(dev, 0), rc;
	char end;
	__u64 sum, want = 0, seed = number + 1;
	unsigned int i, rounds, seeds = number;
	__u64 *mem = ia_mem(2 * PG);
	__u32 id, vpasid;

	close(crowd->go[1]);
	if (fd < 0 || acc < 0 || ia_alloc(fd, &id) ||
	    ia_map(fd, id, BASE, mem, 2 * PG) || acc_bind(acc, fd, 1) <= 0 ||
	    acc_attach_any(acc, id, &vpasid))
		return 1;
	__atomic_fetch_add(&crowd->ready, 1, __ATOMIC_RELEASE);
	if (read(crowd->go[0], &end, 1))
		return 3;
	for (i = 0; i < PG / sizeof(*mem); i++)
		want += ioasid_model_word(seed, BASE + i * sizeof(*mem));
	rounds = 1 + rand_r(&seeds) % crowd->rounds;
	for (i = 0; i < rounds; i++) {
		memset(mem, 0xee, 2 * PG);
		rc = acc_fill(acc, vpasid, seed, 0);
		rc = rc ?: acc_copy(acc, vpasid, 0, 1);
		rc = rc ?: acc_sum(acc, vpasid, 1, &sum);
		if (rc == -ENOSPC)
			__atomic_fetch_add(&crowd->no_number, 1, __ATOMIC_RELAXED);
		if (rc || sum != want || !all_is((char *)mem, seed, BASE) ||
		    memcmp(mem, (char *)mem + PG, PG)) {
			__atomic_fetch_add(&crowd->wrong, 1, __ATOMIC_RELAXED);
			return 2;
		}
	}
	/* Some end without a word */
	if (rand_r(&seeds) % 2) {
		close(acc);
		close(fd);
	}
	return 0;
}

static pid_t join_crowd(struct model_device *dev, struct crowd *crowd,
			unsigned int number)
{
	pid_t pid = ia_fork();

	if (!pid)
		_exit(one_of_many(dev, crowd, number));
	return pid;
}

/*
 * As many PASIDs as queues: a process that finds a queue must find a number, too.
 * For $IOASID_SECONDS those that have ended are replaced.
 */
TEST_F_TIMEOUT(accel, crowd, 900)
{
	unsigned int nr = ia_slow_kernel() ? 100 : 1000, i, left, jobs = 0, born = nr;
	__u64 until;
	struct crowd *crowd;
	int status, bad = 0;
	__u64 attached = 0;
	unsigned int seed = 1;
	pid_t *pids, pid;

	crowd = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	ASSERT_NE(MAP_FAILED, crowd);
	pids = calloc(nr, sizeof(*pids));
	ASSERT_NE(NULL, pids);
	ASSERT_EQ(0, pipe(crowd->go));
	crowd->rounds = 8;
	for (i = 0; i < nr; i++) {
		pids[i] = join_crowd(&self->dev, crowd, i);
		ASSERT_LT(0, pids[i]);
	}
	UNTIL(__atomic_load_n(&crowd->ready, __ATOMIC_ACQUIRE) == nr ||
	      waitpid(-1, NULL, WNOHANG) > 0);
	ASSERT_EQ(nr, crowd->ready);
	/* All are attached, and none has anything */
	EXPECT_IDLE();
	close(crowd->go[1]);
	/* In processes that come later the number is another file's */
	crowd->go[1] = -1;
	until = ia_now_ms() + ia_seconds(0) * 1000;
	for (left = nr; left;) {
		EXPECT_EQ(0, acc_kernel_job(&self->dev, jobs++, PG));
		attached = model_counters(&self->dev).attached;
		EXPECT_GE(QUEUES, attached);
		EXPECT_GE(QUEUES, acc_info(self->acc).pasids);
		usleep(1000);
		i = rand_r(&seed) % nr;
		if (pids[i] && rand_r(&seed) % 8 == 0)
			kill(pids[i], SIGKILL);
		pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			continue;
		left--;
		bad += status &&
		       !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		for (i = 0; i < nr && pids[i] != pid;)
			i++;
		ASSERT_GT(nr, i);
		pids[i] = 0;
		if (ia_now_ms() >= until)
			continue;
		pids[i] = join_crowd(&self->dev, crowd, born++);
		ASSERT_LT(0, pids[i]);
		left++;
	}
	close(crowd->go[0]);
	TH_LOG("%u processes, %u jobs of the kernel's", born, jobs);
	EXPECT_EQ(0, bad);
	EXPECT_EQ(0, crowd->wrong);
	EXPECT_EQ(0, crowd->no_number);
	EXPECT_GE(QUEUES, acc_info(self->acc).most_pasids);
	EXPECT_EQ(jobs, acc_info(self->acc).kernel_jobs);
	UNTIL(!acc_info(self->acc).busy);
	EXPECT_IDLE();
	free(pids);
}

TEST_HARNESS_MAIN
