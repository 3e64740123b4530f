// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the quota of PASIDs of the machine: of several users, with one pool.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/iommu.h>

#include "../context.h"
#include "../device.h"
#include "../number.h"

#define USERS	3
#define UID	61000	/* of the first one: it has no number but those of a test */

/**
 * struct numbers - a device that takes numbers, and users
 * @ctx: context of the device
 * @idev: the device; nothing but its numbers is there
 * @creds: of the users, without capabilities
 * @attachments: enough to use the limit up
 */
struct numbers {
	struct ioasid_ctx *ctx;
	struct ioasid_device idev;
	struct cred *creds[USERS];
	struct ioasid_attachment *attachments;
};

static void numbers_exit(struct kunit *test)
{
	struct numbers *numbers = test->priv;
	unsigned int i;

	if (!numbers)
		return;
	if (numbers->idev.dev)
		numbers->idev.dev->iommu = NULL;
	for (i = 0; i < USERS; i++)
		put_cred(numbers->creds[i]);
	if (numbers->ctx)
		ioasid_ctx_put(numbers->ctx);
}

static int numbers_init(struct kunit *test)
{
	struct numbers *numbers = kunit_kzalloc(test, sizeof(*numbers),
						GFP_KERNEL);
	struct dev_iommu *iommu = kunit_kzalloc(test, sizeof(*iommu),
						GFP_KERNEL);
	struct device *dev = kunit_device_register(test, "ioasid-numbers");
	u32 n = ioasid_numbers_limit() + 1;
	struct cred *cred;
	unsigned int i;

	if (!numbers || !iommu || IS_ERR(dev))
		return -ENOMEM;
	test->priv = numbers;
	numbers->attachments = kunit_kcalloc(test, n,
					     sizeof(*numbers->attachments),
					     GFP_KERNEL);
	numbers->ctx = ioasid_ctx_alloc();
	if (!numbers->attachments || !numbers->ctx)
		return -ENOMEM;
	for (i = 0; i < USERS; i++) {
		cred = prepare_creds();
		if (!cred)
			return -ENOMEM;
		numbers->creds[i] = cred;
		cred->uid = KUIDT_INIT(UID + i);
		cap_clear(cred->cap_effective);
	}
	/* beside those that other devices have */
	iommu->max_pasids = 1 << 20;
	dev->iommu = iommu;
	numbers->idev.dev = dev;
	numbers->idev.obj.ctx = numbers->ctx;
	numbers->idev.numbers = IOASID_NUMBERS_TRANSLATED;
	for (i = 0; i < n; i++)
		numbers->attachments[i].device = &numbers->idev;
	return 0;
}

/* Let a user take a number, as the process that attaches */
static int take(struct numbers *numbers, unsigned int user, u32 at)
{
	const struct cred *old = override_creds(numbers->creds[user]);
	int ret = ioasid_number_get(&numbers->attachments[at]);

	revert_creds(old);
	return ret;
}

static u32 used(struct numbers *numbers, unsigned int user)
{
	const struct cred *old = override_creds(numbers->creds[user]);
	u32 n = ioasid_numbers_used();

	revert_creds(old);
	return n;
}

static u32 left(struct numbers *numbers, unsigned int user)
{
	const struct cred *old = override_creds(numbers->creds[user]);
	u32 n = ioasid_numbers_left();

	revert_creds(old);
	return n;
}

/* Each user has the whole limit, whatever others have */
static void alone(struct kunit *test)
{
	const u32 limit = ioasid_numbers_limit();
	struct numbers *numbers = test->priv;
	u32 i;

	KUNIT_ASSERT_GT(test, limit, 2);
	for (i = 0; i < limit - 2; i++)
		KUNIT_ASSERT_EQ(test, take(numbers, 0, i), 0);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), limit - 2);
	KUNIT_EXPECT_EQ(test, left(numbers, 0), 2);
	KUNIT_EXPECT_EQ(test, left(numbers, 1), limit);
	KUNIT_EXPECT_EQ(test, take(numbers, 1, i), 0);
	KUNIT_EXPECT_EQ(test, left(numbers, 0), 2);
	KUNIT_EXPECT_EQ(test, left(numbers, 1), limit - 1);
	KUNIT_EXPECT_EQ(test, left(numbers, 2), limit);
	for (i = 0; i < limit - 1; i++)
		ioasid_number_put(&numbers->attachments[i]);
	for (i = 0; i < USERS; i++)
		KUNIT_EXPECT_EQ(test, used(numbers, i), 0);
}

/* The last number of the limit is given, and no more */
static void exact(struct kunit *test)
{
	const u32 limit = ioasid_numbers_limit();
	struct numbers *numbers = test->priv;
	u32 i;

	for (i = 0; i < limit; i++)
		KUNIT_ASSERT_EQ(test, take(numbers, 0, i), 0);
	KUNIT_EXPECT_EQ(test, left(numbers, 0), 0);
	KUNIT_EXPECT_EQ(test, take(numbers, 0, limit), -EDQUOT);
	KUNIT_EXPECT_NULL(test, numbers->attachments[limit].number);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), limit);

	/* CAP_SYS_RESOURCE lifts it; beyond it none is left, not less than that */
	cap_raise(numbers->creds[0]->cap_effective, CAP_SYS_RESOURCE);
	KUNIT_EXPECT_EQ(test, take(numbers, 0, limit), 0);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), limit + 1);
	KUNIT_EXPECT_EQ(test, left(numbers, 0), 0);
	cap_clear(numbers->creds[0]->cap_effective);

	ioasid_number_put(&numbers->attachments[0]);
	KUNIT_EXPECT_EQ(test, left(numbers, 0), 0);
	KUNIT_EXPECT_EQ(test, take(numbers, 0, 0), -EDQUOT);
	ioasid_number_put(&numbers->attachments[1]);
	KUNIT_EXPECT_EQ(test, left(numbers, 0), 1);
	KUNIT_EXPECT_EQ(test, take(numbers, 0, 0), 0);
	for (i = 0; i <= limit; i++)
		ioasid_number_put(&numbers->attachments[i]);
	KUNIT_EXPECT_EQ(test, left(numbers, 0), limit);
}

/* A number counts for the user that took it, whichever gives it back */
static void given_by_another(struct kunit *test)
{
	struct numbers *numbers = test->priv;
	const struct cred *old;
	unsigned int i;

	for (i = 0; i < USERS; i++)
		KUNIT_ASSERT_EQ(test, take(numbers, i, i), 0);
	KUNIT_ASSERT_EQ(test, take(numbers, 1, USERS), 0);
	old = override_creds(numbers->creds[2]);
	ioasid_number_put(&numbers->attachments[0]);
	ioasid_number_put(&numbers->attachments[1]);
	revert_creds(old);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), 0);
	KUNIT_EXPECT_EQ(test, used(numbers, 1), 1);
	KUNIT_EXPECT_EQ(test, used(numbers, 2), 1);
	/* a user whose last number went can begin again */
	KUNIT_EXPECT_EQ(test, take(numbers, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), 1);
	ioasid_number_put(&numbers->attachments[0]);
	ioasid_number_put(&numbers->attachments[2]);
	ioasid_number_put(&numbers->attachments[USERS]);
	for (i = 0; i < USERS; i++)
		KUNIT_EXPECT_EQ(test, used(numbers, i), 0);
}

/* Without a number in the pool, none counts */
static void pool_is_empty(struct kunit *test)
{
	struct numbers *numbers = test->priv;

	numbers->idev.dev->iommu->max_pasids = 0;
	KUNIT_EXPECT_EQ(test, take(numbers, 0, 0), -ENOSPC);
	KUNIT_EXPECT_NULL(test, numbers->attachments[0].number);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), 0);
}

/* A move takes no number, and gives none back */
static void moves(struct kunit *test)
{
	struct numbers *numbers = test->priv;
	struct ioasid_attachment *from = &numbers->attachments[0];
	struct ioasid_attachment *to = &numbers->attachments[1];
	u32 pasid;

	KUNIT_ASSERT_EQ(test, take(numbers, 0, 0), 0);
	pasid = from->domain.pasid;
	ioasid_number_move(from, to);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), 1);
	KUNIT_EXPECT_EQ(test, to->domain.pasid, pasid);
	ioasid_number_put(from);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), 1);
	ioasid_number_put(to);
	KUNIT_EXPECT_EQ(test, used(numbers, 0), 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(alone),
	KUNIT_CASE(exact),
	KUNIT_CASE(given_by_another),
	KUNIT_CASE(pool_is_empty),
	KUNIT_CASE(moves),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_numbers",
	.init = numbers_init,
	.exit = numbers_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
