// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the ids of a context.
 */
#include <kunit/test.h>

#include "../context.h"
#include "util.h"

#define OBJECTS	64

struct ids {
	struct ioasid_ctx *ctx;
	struct ioasid_object obj[OBJECTS];
};

static int ids_init(struct kunit *test)
{
	struct ids *ids = kunit_kzalloc(test, sizeof(*ids), GFP_KERNEL);

	if (!ids)
		return -ENOMEM;
	ids->ctx = ioasid_ctx_alloc();
	if (!ids->ctx)
		return -ENOMEM;
	test->priv = ids;
	return 0;
}

static void ids_exit(struct kunit *test)
{
	struct ids *ids = test->priv;
	unsigned long id;
	void *entry;

	if (!ids)
		return;
	/* Destroying a context does not free these objects */
	xa_for_each(&ids->ctx->objects, id, entry)
		xa_erase(&ids->ctx->objects, id);
	ioasid_ctx_put(ids->ctx);
}

static void one_after_the_other(struct kunit *test)
{
	struct ids *ids = test->priv;
	unsigned int i;

	for (i = 0; i < OBJECTS; i++) {
		KUNIT_ASSERT_EQ(test,
				ioasid_object_reserve(ids->ctx, &ids->obj[i],
						      IOASID_OBJECT_DEVICE),
				0);
		KUNIT_EXPECT_EQ(test, ids->obj[i].id, i + 1);
		KUNIT_EXPECT_PTR_EQ(test, ids->obj[i].ctx, ids->ctx);
	}
	/* A freed id is not the next one */
	xa_erase(&ids->ctx->objects, ids->obj[3].id);
	KUNIT_ASSERT_EQ(test,
			ioasid_object_reserve(ids->ctx, &ids->obj[3],
					      IOASID_OBJECT_DEVICE),
			0);
	KUNIT_EXPECT_EQ(test, ids->obj[3].id, OBJECTS + 1);
}

static void publish(struct kunit *test)
{
	struct ids *ids = test->priv;
	struct ioasid_object *obj = &ids->obj[0];

	KUNIT_ASSERT_EQ(test,
			ioasid_object_reserve(ids->ctx, obj,
					      IOASID_OBJECT_DEVICE),
			0);
	KUNIT_EXPECT_NULL(test, ioasid_object_get(ids->ctx, obj->id,
						  IOASID_OBJECT_DEVICE));
	KUNIT_EXPECT_EQ(test, refcount_read(&obj->users), 0);

	ioasid_object_publish(obj);
	KUNIT_EXPECT_NULL(test, ioasid_object_get(ids->ctx, obj->id,
						  IOASID_OBJECT_IOASID));
	KUNIT_EXPECT_NULL(test, ioasid_object_get(ids->ctx, obj->id + 1,
						  IOASID_OBJECT_DEVICE));
	KUNIT_EXPECT_NULL(test, ioasid_object_get(ids->ctx, 0,
						  IOASID_OBJECT_DEVICE));
	KUNIT_EXPECT_EQ(test, refcount_read(&obj->users), 1);
	KUNIT_EXPECT_PTR_EQ(test, ioasid_object_get(ids->ctx, obj->id,
						    IOASID_OBJECT_DEVICE), obj);
	KUNIT_EXPECT_EQ(test, refcount_read(&obj->users), 2);
}

/* The smallest id follows the largest; neither is 0 or in use */
static void round_again(struct kunit *test)
{
	struct ids *ids = test->priv;
	const u32 want[] = { IOASID_MAX_ID - 1, IOASID_MAX_ID, 3, 6 };
	static const u32 taken[] = { 1, 2, 4, 5 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(taken); i++)
		KUNIT_ASSERT_EQ(test,
				xa_err(xa_store(&ids->ctx->objects, taken[i],
						&ids->obj[OBJECTS - 1],
						GFP_KERNEL)),
				0);
	atomic_set(&ids->ctx->last_id, IOASID_MAX_ID - 2);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		KUNIT_ASSERT_EQ(test,
				ioasid_object_reserve(ids->ctx, &ids->obj[i],
						      IOASID_OBJECT_DEVICE),
				0);
		KUNIT_EXPECT_EQ(test, ids->obj[i].id, want[i]);
	}

	/* The counter's sign is no part of an id */
	atomic_set(&ids->ctx->last_id, -3);
	KUNIT_ASSERT_EQ(test,
			ioasid_object_reserve(ids->ctx, &ids->obj[i],
					      IOASID_OBJECT_DEVICE),
			0);
	KUNIT_EXPECT_EQ(test, ids->obj[i].id, 7);
	KUNIT_EXPECT_GT(test, (int)ids->obj[i].id, 0);
}

/* Ids in use are distinct, after any ids were freed in between */
static void random_use(struct kunit *test)
{
	struct ids *ids = test->priv;
	bool used[OBJECTS] = {};
	struct rnd_state rnd;
	unsigned int n, i, k;

	random_seed(test, &rnd);
	for (n = 0; n < 5000; n++) {
		i = random_below(&rnd, OBJECTS);
		if (used[i]) {
			KUNIT_ASSERT_PTR_EQ(test,
					    xa_erase(&ids->ctx->objects,
						     ids->obj[i].id),
					    &ids->obj[i]);
			used[i] = false;
			continue;
		}
		if (!random_below(&rnd, 8))
			atomic_set(&ids->ctx->last_id,
				   IOASID_MAX_ID - random_below(&rnd, 8));
		KUNIT_ASSERT_EQ(test,
				ioasid_object_reserve(ids->ctx, &ids->obj[i],
						      IOASID_OBJECT_DEVICE),
				0);
		used[i] = true;
		KUNIT_ASSERT_GT(test, (int)ids->obj[i].id, 0);
		KUNIT_ASSERT_PTR_EQ(test, xa_load(&ids->ctx->objects,
						  ids->obj[i].id),
				    &ids->obj[i]);
		for (k = 0; k < OBJECTS; k++)
			if (k != i && used[k])
				KUNIT_ASSERT_NE(test, ids->obj[k].id,
						ids->obj[i].id);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(one_after_the_other),
	KUNIT_CASE(publish),
	KUNIT_CASE(round_again),
	KUNIT_CASE(random_use),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_ids",
	.init = ids_init,
	.exit = ids_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
