// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that share an iommu group, of a model IOMMU: they attach together,
 * move together, are counted one by one, and the group waits for all of them.
 */
#include <pthread.h>

#include "ioasid_test.h"
#include "family.h"
#include "state.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES 4

#define ATTACHED IOASID_STATE_ATTACHED
#define PARTIAL (IOASID_STATE_ATTACHED | IOASID_STATE_PARTIAL_GROUP)

FIXTURE(group)
{
	struct model model;
	struct model_device a;
	struct model_device b;
	struct model_space one;
	struct model_space two;
	int fd;
	char *mem;
};

/* A space with memory at RESV lets no device attach. */
FIXTURE_VARIANT(group)
{
	struct model_params params;
};

#define RESV (8 * BASE)
#define RESV_PARAMS							\
	.nr_resv = 1,							\
	.resv = { { .start = RESV, .length = SZ_1M,			\
		    .type = MODEL_RESV_RESERVED } }

/* A domain replaces another one, and has its page sizes from the beginning. */
FIXTURE_VARIANT_ADD(group, replace)
{
	.params = { RESV_PARAMS },
};

/* A domain is finalized on attach, and only after the group was blocked. */
FIXTURE_VARIANT_ADD(group, finalize)
{
	.params = { RESV_PARAMS, .flags = MODEL_FINALIZE },
};

FIXTURE_SETUP(group)
{
	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, model_space_open(&self->model, &self->one));
	ASSERT_EQ(0, model_space_open(&self->model, &self->two));
	ASSERT_EQ(0, ia_map(self->fd, self->one.id, BASE, self->mem, PG));
	ASSERT_EQ(0, ia_map(self->fd, self->two.id, BASE, self->mem + PG, PG));
	ASSERT_EQ(0, model_plug(&self->model, &self->a, &variant->params, 11));
	ASSERT_EQ(0, model_plug(&self->model, &self->b, &variant->params, 11));
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, model_bind(&self->b));
}

FIXTURE_TEARDOWN(group)
{
	if (!self->a.model)
		return;
	EXPECT_NO_HARM(&self->a);
	model_release(&self->a);
	model_release(&self->b);
	model_unplug(&self->a, 0);
	model_unplug(&self->b, 0);
	model_close(&self->model);
}

#define STATE(space, bits, devices, waits_for)				\
do {									\
	struct ioasid_info _info = info_of(self->fd, self->space.id);	\
	struct model_device *_dev = waits_for;				\
									\
	EXPECT_EQ(bits, _info.state);					\
	EXPECT_EQ(devices, _info.nr_devices);				\
	EXPECT_EQ(_dev ? _dev->devid : 0, _info.waiting_devid);		\
	EXPECT_EQ(_dev ? _dev->id : 0, _info.waiting_cookie);		\
	EXPECT_EQ(_dev ? -EDEADLK : 0,					\
		  ia_map(self->fd, self->space.id, 2 * BASE, self->mem,	\
			 PG));						\
	EXPECT_EQ(0, ia_unmap(self->fd, self->space.id, 2 * BASE, PG,	\
			      NULL));					\
} while (0)

#define ATTACH(dev, space)						\
	ASSERT_EQ(0, model_attach(&self->dev, &self->space))
#define READS(dev, page) EXPECT_TRUE(reads(&self->dev, BASE, page))
#define FAULTS(dev) EXPECT_TRUE(faults(&self->dev, BASE))

TEST_F(group, partial)
{
	STATE(one, 0, 0, NULL);
	ATTACH(a, one);
	STATE(one, PARTIAL, 1, &self->b);
	READS(a, 0);
	ATTACH(b, one);
	STATE(one, ATTACHED, 2, NULL);
	READS(b, 0);
}

/* Mappings of one page, so that an attach takes its time */
#define MANY 16384

struct attach {
	pthread_t thread;
	struct model_device *dev;
	struct model_space *space;
	int done;
	int rc;
};

static void *attach_thread(void *arg)
{
	struct attach *attach = arg;

	attach->rc = model_attach(attach->dev, attach->space);
	__atomic_store_n(&attach->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* While the group attaches, its state and the errno of a map agree. */
TEST_F(group, partial_while_attaching)
{
	int i, round, during = 0;

	for (i = 1; i <= MANY; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->one.id, BASE + i * PG,
				    self->mem, PG));
	for (round = 0; round < 32 && !during; round++) {
		struct attach attach = { .dev = &self->a, .space = &self->one };

		ASSERT_EQ(0, pthread_create(&attach.thread, NULL, attach_thread,
					    &attach));
		while (!__atomic_load_n(&attach.done, __ATOMIC_SEQ_CST)) {
			struct ioasid_info info;
			int rc;

			rc = ia_map(self->fd, self->one.id, 2 * BASE, self->mem,
				    PG);
			if (rc != -EDEADLK) {
				EXPECT_EQ(0, rc);
				ia_unmap(self->fd, self->one.id, 2 * BASE, PG,
					 NULL);
				continue;
			}
			/* It stays so until the other device attaches */
			info = info_of(self->fd, self->one.id);
			EXPECT_EQ(PARTIAL, info.state);
			EXPECT_EQ(self->b.devid, info.waiting_devid);
			during += !__atomic_load_n(&attach.done,
						   __ATOMIC_SEQ_CST);
		}
		pthread_join(attach.thread, NULL);
		ASSERT_EQ(0, attach.rc);
		if (!during)
			ASSERT_EQ(0, model_detach(&self->a));
	}
	if (!during)
		SKIP(return, "the attach was too fast");
}

TEST_F(group, join)
{
	ATTACH(a, one);
	ATTACH(b, one);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->one.id));
	ASSERT_EQ(0, model_detach(&self->a));
	STATE(one, ATTACHED, 1, NULL);
	READS(b, 0);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->one.id));
	ASSERT_EQ(0, model_detach(&self->b));
	STATE(one, 0, 0, NULL);
	FAULTS(a);
	FAULTS(b);
	EXPECT_EQ(0, ia_free(self->fd, self->one.id));
}

TEST_F(group, move)
{
	ATTACH(a, one);
	ATTACH(b, one);
	ATTACH(b, two);
	STATE(one, 0, 0, NULL);
	STATE(two, ATTACHED, 2, NULL);
	READS(a, 1);
	READS(b, 1);
	self->a.space = &self->two;
	ASSERT_EQ(0, model_detach(&self->b));
	STATE(two, ATTACHED, 1, NULL);
	ASSERT_EQ(0, model_detach(&self->a));
	STATE(two, 0, 0, NULL);
	EXPECT_EQ(0, ia_free(self->fd, self->one.id));
	EXPECT_EQ(0, ia_free(self->fd, self->two.id));
}

TEST_F(group, move_partial)
{
	ATTACH(a, one);
	ATTACH(a, two);
	STATE(one, 0, 0, NULL);
	STATE(two, PARTIAL, 1, &self->b);
	ATTACH(b, two);
	STATE(two, ATTACHED, 2, NULL);
}

/* A move that fails: all devices stay, and the group waits, where they were. */
TEST_F(group, move_fails)
{
	struct ia_state before, after;
	const char *diff;

	ATTACH(a, one);
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH, 1, 0));
	EXPECT_EQ(-ENOMEM, model_attach(&self->a, &self->two));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff) TH_LOG("%s", diff);
	STATE(one, PARTIAL, 1, &self->b);
	STATE(two, 0, 0, NULL);
	READS(a, 0);
	ATTACH(b, one);
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH, 1, 0));
	EXPECT_EQ(-ENOMEM, model_attach(&self->b, &self->two));
	STATE(one, ATTACHED, 2, NULL);
	READS(b, 0);
}

/*
 * A move that fails after the group was attached to the new domain.  A group
 * that had to be blocked first is attached again; if that fails, too, it is
 * detached, and no device counts as attached.  Each attach of the group attaches
 * two devices.
 */
TEST_F(group, cannot_go_back)
{
	bool blocks = variant->params.flags & MODEL_FINALIZE;
	struct ia_state before, after;
	const char *diff;

	ASSERT_EQ(0, ia_map(self->fd, self->two.id, RESV, self->mem, PG));
	ATTACH(a, one);
	ATTACH(b, one);
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	EXPECT_EQ(-EADDRINUSE, model_attach(&self->a, &self->two));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff) TH_LOG("%s", diff);
	READS(a, 0);
	READS(b, 0);

	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH, 3, 0));
	EXPECT_EQ(blocks ? -ENOTCONN : -EADDRINUSE,
		  model_attach(&self->a, &self->two));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH, 0, 0));
	STATE(two, 0, 0, NULL);
	if (!blocks) {
		STATE(one, ATTACHED, 2, NULL);
		READS(a, 0);
		return;
	}
	STATE(one, 0, 0, NULL);
	FAULTS(a);
	FAULTS(b);
	EXPECT_EQ(-ENOENT, hw_detach(self->b.fd, 0));
	self->a.space->attached--;
	self->a.space = NULL;
	self->b.space->attached--;
	self->b.space = NULL;
	/* the first to attach again takes the group along */
	ATTACH(b, one);
	STATE(one, PARTIAL, 1, &self->a);
	READS(b, 0);
	ATTACH(a, one);
	STATE(one, ATTACHED, 2, NULL);
}

/*
 * A device that has not joined can attach nowhere else, and moves no other one.
 */
TEST_F(group, elsewhere)
{
	ATTACH(a, one);
	EXPECT_EQ(-EBUSY, model_attach(&self->b, &self->two));
	STATE(one, PARTIAL, 1, &self->b);
	STATE(two, 0, 0, NULL);
	READS(a, 0);
	EXPECT_EQ(-ENOENT, hw_detach(self->b.fd, 0));
}

TEST_F(group, partial_unbind)
{
	ATTACH(a, one);
	model_release(&self->b);
	STATE(one, ATTACHED, 1, NULL);
	/* a device that is bound later is not waited for */
	ASSERT_EQ(0, model_bind(&self->b));
	STATE(one, ATTACHED, 1, NULL);
	ATTACH(b, one);
	STATE(one, ATTACHED, 2, NULL);
	model_release(&self->a);
	STATE(one, ATTACHED, 1, NULL);
	READS(b, 0);
}

TEST_F(group, partial_detach)
{
	ATTACH(a, one);
	ASSERT_EQ(0, model_detach(&self->a));
	STATE(one, 0, 0, NULL);
	/* the other device is the first one now */
	ATTACH(b, two);
	STATE(two, PARTIAL, 1, &self->a);
	ASSERT_EQ(0, model_detach(&self->b));
	STATE(two, 0, 0, NULL);
}

TEST_HARNESS_MAIN
