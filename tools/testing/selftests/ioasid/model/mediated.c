// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mediated devices: a kernel driver has a device with an IOMMU, and lets users have
 * PASIDs of it.  The PASIDs on the wire are others than those of user space.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "ioasid_test.h"
#include "family.h"
#include "mediated.h"
#include "nested.h"

#define BITS 6
#define LAST ((1U << BITS) - 1)
#undef BASE
#define BASE (4ULL * SZ_1G)
#define MAX_PASIDS "/sys/module/ioasid/parameters/max_pasids"

FIXTURE(mediated)
{
	struct model model;
	struct model_device parent;
	struct model_device other;
	struct mediated a;
	struct mediated b;
	int fd;
	char *mem;
	__u32 space[3];
};

FIXTURE_VARIANT(mediated)
{
	__u32 flags;
	__u64 params;
};

FIXTURE_VARIANT_ADD(mediated, translated) { .flags = 0 };
FIXTURE_VARIANT_ADD(mediated, translated_block) {
	.flags = 0, .params = MODEL_NO_REPLACE_PASIDS,
};

FIXTURE_VARIANT_ADD(mediated, common) { .flags = IOASID_MODEL_COMMON };

#define NOT_THERE MED_ERRNO(ENOENT)

static int med_page(struct mediated *med, __u32 vpasid, __u32 *pasid)
{
	return med_read(med, vpasid, BASE, pasid);
}

static struct ioasid_device_info med_info(int fd, struct mediated *med)
{
	struct ioasid_device_info info = { .argsz = sizeof(info) };

	if (ia_device_info(fd, med->devid, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

FIXTURE_SETUP(mediated)
{
	struct model_params params = {
		.pasid_bits = BITS, .flags = variant->params | MODEL_EVICT_RANDOM,
	};
	int i;

	FAMILY_OPEN(return, 4);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ia_alloc(self->fd, &self->space[i]));
		ASSERT_EQ(0, ia_map(self->fd, self->space[i], BASE,
				    self->mem + i * PG, PG));
	}
	ASSERT_EQ(0, mediated_plug(&self->model, &self->parent, &params));
	ASSERT_EQ(0, mediated_plug(&self->model, &self->other, &params));
	ASSERT_EQ(0, mediate(&self->model, self->parent.id, variant->flags,
			     &self->a));
	ASSERT_EQ(0, mediate(&self->model, self->other.id, variant->flags,
			     &self->b));
	ASSERT_EQ(0, med_bind(&self->a, self->fd, 1));
}

FIXTURE_TEARDOWN(mediated)
{
	if (!self->parent.model)
		return;
	close(self->a.fd);
	close(self->b.fd);
	EXPECT_NO_HARM(&self->parent);
	EXPECT_EQ(0, model_counters(&self->parent).attached);
	EXPECT_EQ(0, model_counters(&self->parent).stale);
	EXPECT_EQ(0, model_unplug(&self->parent, 0));
	EXPECT_EQ(0, model_unplug(&self->other, 0));
	model_close(&self->model);
}

#define IS_COMMON (variant->flags & IOASID_MODEL_COMMON)

/* A mediated device in a context of its own, with an IOASID that maps page 3 */
static int med_elsewhere(struct _test_data_mediated *self, int *ctx, __u32 *id,
			 struct mediated *med)
{
	int rc;

	*ctx = ia_open();
	if (*ctx < 0)
		return *ctx;
	rc = ia_alloc(*ctx, id);
	rc = rc ?: ia_map(*ctx, *id, BASE, self->mem + 3 * PG, PG);
	rc = rc ?: mediate(&self->model, self->parent.id, IOASID_MODEL_COMMON,
			   med);
	return rc ?: med_bind(med, *ctx, 3);
}

TEST_F(mediated, routes)
{
	struct ioasid_device_info info = med_info(self->fd, &self->a);
	__u32 one, other, none;

	EXPECT_EQ(BITS, info.pasid_width);
	EXPECT_EQ(IOASID_DEVICE_SHARED | (IS_COMMON ?
			  IOASID_DEVICE_PASID_COMMON :
			  IOASID_DEVICE_PASID_TRANSLATED),
		  info.caps & (IOASID_DEVICE_SHARED |
			       IOASID_DEVICE_PASID_COMMON |
			       IOASID_DEVICE_PASID_TRANSLATED));
	ASSERT_EQ(0, med_bind(&self->b, self->fd, 2));
	EXPECT_EQ(NOT_THERE, med_page(&self->a, 40, NULL));
	ASSERT_EQ(0, med_attach(&self->a, self->space[0], 40));
	EXPECT_EQ(0, med_page(&self->a, 40, &one));
	EXPECT_NE(40, one);
	/* Without a PASID, and yet it has one on the wire */
	ASSERT_EQ(0, med_attach(&self->a, self->space[1], 0));
	EXPECT_EQ(1, med_page(&self->a, 0, &none));
	EXPECT_NE(0, none);
	EXPECT_NE(one, none);
	EXPECT_EQ(self->space[1], med_info(self->fd, &self->a).ioasid);
	/* The same IOASID, on another device */
	ASSERT_EQ(0, med_attach(&self->b, self->space[0], 40));
	EXPECT_EQ(0, med_page(&self->b, 40, &other));
	EXPECT_EQ(!!IS_COMMON, one == other);
	EXPECT_EQ(2, info_of(self->fd, self->space[0]).nr_devices);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->space[0]));
	/* Each ends alone */
	ASSERT_EQ(0, med_detach(&self->a, 40));
	EXPECT_EQ(0, med_page(&self->b, 40, NULL));
	EXPECT_EQ(1, med_page(&self->a, 0, NULL));
	EXPECT_EQ(IS_COMMON ? -MODEL_FAULT_PASID : NOT_THERE,
		  med_page(&self->a, 40, NULL));
	ASSERT_EQ(0, med_detach(&self->b, 40));
	EXPECT_EQ(NOT_THERE, med_page(&self->a, 40, NULL));
	EXPECT_EQ(NOT_THERE, med_page(&self->b, 40, NULL));
	EXPECT_EQ(-ENOENT, med_detach(&self->b, 40));
	ASSERT_EQ(0, med_detach(&self->a, 0));
	EXPECT_EQ(-ENOENT, med_detach(&self->a, 0));
	EXPECT_EQ(0, model_counters(&self->parent).attached);
}

TEST_F(mediated, moves)
{
	__u32 before, after;

	ASSERT_EQ(0, med_attach(&self->a, self->space[0], 3));
	ASSERT_EQ(0, med_attach(&self->a, self->space[0], 3));
	EXPECT_EQ(-EEXIST, med_attach_flags(&self->a, self->space[1], 3,
					    IOASID_ATTACH_NEW));
	EXPECT_EQ(0, med_page(&self->a, 3, &before));
	if (IS_COMMON) {
		EXPECT_EQ(-EEXIST, med_attach(&self->a, self->space[1], 3));
		EXPECT_EQ(0, med_page(&self->a, 3, NULL));
		return;
	}
	ASSERT_EQ(0, med_attach(&self->a, self->space[1], 3));
	EXPECT_EQ(1, med_page(&self->a, 3, &after));
	EXPECT_EQ(before, after);
	/* One that fails, and fails for good */
	ASSERT_EQ(0, model_inject(&self->parent, MODEL_INJECT_ALLOC, 1, 0));
	EXPECT_EQ(-ENOMEM, med_attach(&self->a, self->space[2], 3));
	EXPECT_EQ(1, med_page(&self->a, 3, &after));
	EXPECT_EQ(before, after);
	ASSERT_EQ(0, med_detach(&self->a, 3));
	EXPECT_EQ(NOT_THERE, med_page(&self->a, 3, NULL));
}

/* A vPASID is one IOASID, and an IOASID one vPASID, on all of them */
TEST_F(mediated, common_is_one)
{
	__u32 number, again;

	if (!IS_COMMON)
		SKIP(return, "numbers are translated");
	ASSERT_EQ(0, med_bind(&self->b, self->fd, 2));
	ASSERT_EQ(0, med_attach(&self->a, self->space[0], 5));
	EXPECT_EQ(-EEXIST, med_attach(&self->b, self->space[1], 5));
	EXPECT_EQ(-EEXIST, med_attach(&self->b, self->space[0], 6));
	EXPECT_EQ(-EEXIST, med_attach(&self->a, self->space[0], 6));
	/* It is known to all, and attached on one */
	EXPECT_EQ(-MODEL_FAULT_PASID, med_page(&self->b, 5, &number));
	ASSERT_EQ(0, med_attach(&self->b, self->space[0], 5));
	ASSERT_EQ(0, med_detach(&self->a, 5));
	EXPECT_EQ(-MODEL_FAULT_PASID, med_page(&self->a, 5, &again));
	EXPECT_EQ(number, again);
	ASSERT_EQ(0, med_detach(&self->b, 5));
	EXPECT_EQ(0, med_attach(&self->b, self->space[1], 5));
	EXPECT_EQ(1, med_page(&self->b, 5, NULL));
	EXPECT_EQ(-MODEL_FAULT_PASID, med_page(&self->a, 5, NULL));
}

/*
 * The driver remembers a number of a's for another device; the number goes to
 * another context: the driver has heard that it went.
 */
TEST_F(mediated, gone)
{
	__u32 number, again, id;
	struct mediated c, d;
	int i, ctx;

	if (!IS_COMMON)
		SKIP(return, "numbers are translated");
	ASSERT_EQ(0, mediate(&self->model, self->parent.id, IOASID_MODEL_COMMON,
			     &d));
	ASSERT_EQ(0, med_bind(&d, self->fd, 2));
	/* The device has that number once */
	ASSERT_EQ(0, med_attach(&self->a, self->space[0], 9));
	EXPECT_EQ(-EBUSY, med_attach(&d, self->space[0], 9));
	ASSERT_EQ(0, med_detach(&self->a, 9));
	ASSERT_EQ(0, med_elsewhere(self, &ctx, &id, &c));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, med_attach(&self->a, self->space[0], 9));
		ASSERT_EQ(0, med_page(&d, 9, &number));
		ASSERT_EQ(0, med_detach(&self->a, 9));
		/* The pool hands out the lowest number */
		ASSERT_EQ(0, med_attach(&c, id, 9));
		ASSERT_EQ(3, med_page(&c, 9, &again));
		ASSERT_EQ(number, again);
		ASSERT_EQ(NOT_THERE, med_page(&d, 9, NULL));
		ASSERT_EQ(0, med_detach(&c, 9));
	}
	close(c.fd);
	close(d.fd);
	close(ctx);
}

/* Accesses by remembered numbers, while these go and are used by others */
struct accesses {
	struct mediated *med;
	int stop;
	int wrong;
	int right;
};

static void *access_thread(void *arg)
{
	struct accesses *acc = arg;
	int page;

	while (!__atomic_load_n(&acc->stop, __ATOMIC_RELAXED)) {
		page = med_page(acc->med, 9, NULL);
		acc->right += !page;
		/* Nothing is attached by the number yet, or any more */
		acc->wrong += page && page != NOT_THERE &&
			      page != -MODEL_FAULT_PASID;
	}
	return NULL;
}

TEST_F(mediated, gone_race)
{
	int i, ctx, rounds = ia_slow_kernel() ? 100 : 1000;
	struct mediated c, d;
	struct accesses acc = { .med = &d };
	pthread_t thread;
	__u32 id;

	if (!IS_COMMON)
		SKIP(return, "numbers are translated");
	ASSERT_EQ(0, mediate(&self->model, self->parent.id, IOASID_MODEL_COMMON,
			     &d));
	ASSERT_EQ(0, med_bind(&d, self->fd, 2));
	ASSERT_EQ(0, med_elsewhere(self, &ctx, &id, &c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, access_thread, &acc));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, med_attach(&self->a, self->space[0], 9));
		if (i % 8 == 0)
			while (!__atomic_load_n(&acc.right, __ATOMIC_RELAXED) &&
			       !__atomic_load_n(&acc.wrong, __ATOMIC_RELAXED))
				sched_yield();
		ASSERT_EQ(0, med_detach(&self->a, 9));
		ASSERT_EQ(0, med_attach(&c, id, 7));
		ASSERT_EQ(0, med_detach(&c, 7));
	}
	__atomic_store_n(&acc.stop, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, acc.wrong);
	close(c.fd);
	close(d.fd);
	close(ctx);
}

/* ---- Quota ---- */

static int write_limit(unsigned int limit)
{
	char text[16];
	int fd = open(MAX_PASIDS, O_WRONLY), n;

	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%u", limit);
	n = write(fd, text, n) == n ? 0 : -errno;
	close(fd);
	return n;
}

static long fdinfo_value(int fd, const char *name)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name));
	fclose(f);
	return value;
}

TEST_F(mediated, quota)
{
	__u32 one;
	int i;

	ASSERT_EQ(0, write_limit(3));
	EXPECT_EQ(3, med_info(self->fd, &self->a).pasids_left);
	EXPECT_EQ(3, fdinfo_value(self->fd, "ioasid-limit-user-pasids:"));
	ASSERT_EQ(0, ia_drop_resource());
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, med_attach(&self->a, self->space[i], 1 + i));
	EXPECT_EQ(3, fdinfo_value(self->fd, "ioasid-user-pasids:"));
	EXPECT_EQ(0, med_info(self->fd, &self->a).pasids_left);
	EXPECT_EQ(-ENOENT, med_detach(&self->a, 9));
	ASSERT_EQ(0, med_bind(&self->b, self->fd, 2));
	if (IS_COMMON) {
		/* One more use of a number is no more number */
		EXPECT_EQ(0, med_attach(&self->b, self->space[0], 1));
	} else {
		EXPECT_EQ(-EDQUOT, med_attach(&self->b, self->space[0], 1));
		EXPECT_EQ(-EDQUOT, med_attach_any(&self->b, self->space[0],
						  &one));
		/* Nor is a move */
		EXPECT_EQ(0, med_attach(&self->a, self->space[1], 1));
	}
	ASSERT_EQ(0, med_detach(&self->a, 2));
	EXPECT_EQ(2, fdinfo_value(self->fd, "ioasid-user-pasids:"));
	EXPECT_EQ(0, med_attach(&self->a, self->space[1], 4));
	EXPECT_EQ(3, fdinfo_value(self->fd, "ioasid-user-pasids:"));
	ASSERT_EQ(0, write_limit(4096));
	close(self->a.fd);
	close(self->b.fd);
	EXPECT_EQ(0, fdinfo_value(self->fd, "ioasid-user-pasids:"));
	self->a.fd = -1;
	self->b.fd = -1;
}

/* All numbers of the pool that the device can use */
TEST_F(mediated, pool_ends)
{
	__u32 ids[LAST], one, i, n = 0;
	int rc = 0;

	for (i = 0; i < LAST; i++) {
		ASSERT_EQ(0, ia_alloc(self->fd, &ids[i]));
		rc = med_attach_any(&self->a, ids[i], &one);
		if (rc)
			break;
		n++;
	}
	/* Other users in the kernel may have some */
	EXPECT_LT(LAST / 2, n);
	EXPECT_TRUE(!rc || rc == -ENOSPC);
	EXPECT_EQ(-ENOSPC, med_attach(&self->a, self->space[0], 0));
	ASSERT_EQ(0, med_detach(&self->a, 1));
	EXPECT_EQ(0, med_attach(&self->a, self->space[0], 0));
	EXPECT_EQ(0, med_page(&self->a, 0, NULL));
}

/* ---- Life ---- */

TEST_F(mediated, unplugged)
{
	ASSERT_EQ(0, med_attach(&self->a, self->space[0], 1));
	ASSERT_EQ(0, med_attach(&self->a, self->space[1], 0));
	ASSERT_EQ(0, model_unplug(&self->parent, 0));
	EXPECT_EQ(MED_ERRNO(ENODEV), med_page(&self->a, 1, NULL));
	EXPECT_EQ(-ENODEV, med_attach(&self->a, self->space[0], 2));
	EXPECT_EQ(0, info_of(self->fd, self->space[0]).nr_devices);
	EXPECT_EQ(0, info_of(self->fd, self->space[1]).nr_devices);
	EXPECT_EQ(0, fdinfo_value(self->fd, "ioasid-user-pasids:"));
	ASSERT_EQ(0, mediated_plug(&self->model, &self->parent,
				   &(struct model_params){ .pasid_bits = BITS }));
}

TEST_F(mediated, poison)
{
	ASSERT_EQ(0, med_attach(&self->a, self->space[0], 1));
	ASSERT_EQ(0, med_attach(&self->a, self->space[1], 2));
	ASSERT_EQ(0, model_inject(&self->parent, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_EQ(-EIO, ia_unmap(self->fd, self->space[0], BASE, PG, NULL));
	EXPECT_EQ(-MODEL_FAULT_PASID, med_page(&self->a, 1, NULL));
	EXPECT_EQ(1, med_page(&self->a, 2, NULL));
	ASSERT_EQ(0, med_detach(&self->a, 1));
}

TEST_F(mediated, bad_input)
{
	struct ioasid_model_create cmd = { .kind = IOASID_MODEL_SHARED };
	struct model_device plain;
	struct mediated c;
	__u32 id;

	EXPECT_EQ(-EBUSY, med_bind(&self->a, self->fd, 1));
	EXPECT_EQ(-ENODEV, med_attach(&self->b, self->space[0], 1));
	EXPECT_EQ(-ENODEV, med_detach(&self->b, 1));
	EXPECT_EQ(-EINVAL, med_attach(&self->a, self->space[0], LAST + 1));
	EXPECT_EQ(-ENOENT, med_attach(&self->a, 0x7fffffff, 1));
	/* A table by PASID would be for the requester id, which is the driver's */
	if (ia_check(self->fd, IOASID_EXT_PASID_TABLE)) {
		__u32 root;

		ASSERT_EQ(0, nested_parent(self->fd, &root));
		ASSERT_EQ(0, nested_alloc(self->fd, 0, IOASID_KIND_PASID_TABLE,
					  root, MODEL_HWPT_DATA_PASID_TABLE,
					  &id));
		EXPECT_EQ(-EOPNOTSUPP, med_attach(&self->a, id, 0));
		EXPECT_EQ(-EOPNOTSUPP, med_attach(&self->a, id, 1));
	}
	/* A device without PASIDs */
	ASSERT_EQ(0, model_create(&self->model, &cmd));
	plain = (struct model_device){ .model = &self->model, .id = cmd.id };
	ASSERT_EQ(0, mediate(&self->model, cmd.id, 0, &c));
	EXPECT_EQ(-EOPNOTSUPP, med_bind(&c, self->fd, 3));
	close(c.fd);
	EXPECT_EQ(0, model_unplug(&plain, 0));
	EXPECT_EQ(0, med_attach(&self->a, self->space[0], LAST));
	EXPECT_EQ(0, med_page(&self->a, LAST, NULL));
}

TEST_HARNESS_MAIN
