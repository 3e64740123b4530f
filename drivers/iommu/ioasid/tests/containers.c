// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the IOASID that VFIO's commands act on, when ids begin again.
 */
#include <kunit/test.h>
#include <uapi/linux/ioasid.h>
#include <uapi/linux/vfio.h>

#include "../context.h"
#include "../ioasids.h"

static int containers_init(struct kunit *test)
{
	test->priv = ioasid_ctx_alloc();
	return test->priv ? 0 : -ENOMEM;
}

static void containers_exit(struct kunit *test)
{
	if (!test->priv)
		return;
	ioasid_ctx_close(test->priv);
	ioasid_ctx_put(test->priv);
}

/* A command that has found its IOASID fails at its structure */
static bool has_designated(struct ioasid_ctx *ctx)
{
	return ioasid_ctx_ioctl(ctx, VFIO_IOMMU_GET_INFO, ULONG_MAX) == -EFAULT;
}

/* Free the IOASID with the id @id, and allocate another one with this id */
static void use_again(struct kunit *test, u32 id)
{
	struct ioasid_params params = { .kind = IOASID_KIND_MAP };
	struct ioasid_ctx *ctx = test->priv;
	struct ioasid *ioasid;

	KUNIT_ASSERT_EQ(test, ioasid_object_free(ctx, id, false), 0);
	KUNIT_EXPECT_FALSE(test, has_designated(ctx));
	atomic_set(&ctx->last_id, id - 1);
	ioasid = ioasid_alloc(ctx, &params);
	KUNIT_ASSERT_FALSE(test, IS_ERR(ioasid));
	ioasid_object_publish(&ioasid->obj);
	KUNIT_ASSERT_EQ(test, ioasid->obj.id, id);
}

static bool exists(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid_object *obj;

	obj = ioasid_object_get(ctx, id, IOASID_OBJECT_IOASID);
	if (!obj)
		return false;
	ioasid_put(container_of(obj, struct ioasid, obj));
	return true;
}

/* The last group leaves, and with it the container */
static void leave(struct ioasid_ctx *ctx)
{
	ioasid_container_remove_group(ctx, NULL);
}

/* What VFIO_SET_IOMMU has allocated goes with the container */
static void made(struct kunit *test)
{
	struct ioasid_ctx *ctx = test->priv;
	u32 id;

	KUNIT_ASSERT_EQ(test, ioasid_container_open(ctx, VFIO_TYPE1v2_IOMMU),
			0);
	id = ctx->container.made;
	KUNIT_EXPECT_TRUE(test, has_designated(ctx));
	KUNIT_EXPECT_TRUE(test, exists(ctx, id));
	leave(ctx);
	KUNIT_EXPECT_FALSE(test, exists(ctx, id));
	KUNIT_EXPECT_EQ(test, ctx->container.ioasid, 0);
}

/* No command takes another IOASID for it, and the container frees no other one */
static void used_again(struct kunit *test)
{
	struct ioasid_ctx *ctx = test->priv;
	u32 id;

	KUNIT_ASSERT_EQ(test, ioasid_container_open(ctx, VFIO_TYPE1_IOMMU), 0);
	id = ctx->container.made;
	use_again(test, id);
	KUNIT_EXPECT_FALSE(test, has_designated(ctx));
	leave(ctx);
	KUNIT_EXPECT_TRUE(test, exists(ctx, id));

	/* Nor is it designated when the container is set up the next time */
	KUNIT_ASSERT_EQ(test, ioasid_container_open(ctx, VFIO_TYPE1_IOMMU), 0);
	KUNIT_EXPECT_NE(test, ctx->container.ioasid, id);
	KUNIT_EXPECT_TRUE(test, has_designated(ctx));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(made),
	KUNIT_CASE(used_again),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_containers",
	.init = containers_init,
	.exit = containers_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
