// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unplug devices, and try to remove modules, at every step of a device's life
 * and while threads use the device.
 *
 * An open device works until it is closed, and then goes; objects that it
 * shared with others stay. A module that is in use stays. Needs the module
 * ioasid_mock, no hardware.
 */
#include <poll.h>
#include <sys/eventfd.h>

#include "ioasid_test.h"
#include "family.h"

#define PG page_size
#define PAGES 16
#define BASE (4ULL * SZ_1G)
#define SEED 3

#define PATIENCE_MS 30000

/*
 * Modules that the tests need; none of them can be removed with a device bound
 */
static const char * const modules[] = { "ioasid_mock", "vfio_ioasid", "ioasid" };

/* 0 if the module was removed, or the errno of the attempt. */
static int remove_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/* Number of these modules that could be removed */
static int removed(void)
{
	unsigned int i;
	int nr = 0, rc;

	for (i = 0; i < ARRAY_SIZE(modules); i++) {
		rc = remove_module(modules[i]);
		/* built in, or in use */
		nr += rc != -ENOENT && rc != -EBUSY && rc != -EAGAIN;
	}
	return nr;
}

static bool gone(struct model_device *dev)
{
	__u64 end = ia_now_ms() + PATIENCE_MS;

	while (model_present(dev)) {
		if (ia_now_ms() > end)
			return false;
		usleep(2000);
	}
	return true;
}

static bool asked(int request)
{
	struct pollfd poll_fd = { .fd = request, .events = POLLIN };

	return poll(&poll_fd, 1, PATIENCE_MS) == 1;
}

/*
 * A device that stays, on the same IOASID as the unplugged one, and reads its
 * memory all the time.
 */
FIXTURE(unplug)
{
	struct model model;
	struct model_space space;
	struct model_space other;
	struct model_device stays;
	struct model_device dev;
	struct model_device sibling;
	int request;
	char *mem;
	int fd;
};

/* State of the device when it is unplugged */
FIXTURE_VARIANT(unplug)
{
	bool open;
	bool bound;
	bool attached;
	bool moved;
	bool detached;
	bool dma;
	bool sibling;
	bool poisoned;
};

FIXTURE_VARIANT_ADD(unplug, plugged) { };
FIXTURE_VARIANT_ADD(unplug, open) { .open = true };
FIXTURE_VARIANT_ADD(unplug, bound) { .bound = true };
FIXTURE_VARIANT_ADD(unplug, attached) { .bound = true, .attached = true };
FIXTURE_VARIANT_ADD(unplug, moved)
{
	.bound = true, .attached = true, .moved = true,
};

FIXTURE_VARIANT_ADD(unplug, detached)
{
	.bound = true, .attached = true, .detached = true,
};

FIXTURE_VARIANT_ADD(unplug, dma)
{
	.bound = true, .attached = true, .dma = true,
};

FIXTURE_VARIANT_ADD(unplug, group)
{
	.bound = true, .attached = true, .sibling = true, .dma = true,
};

FIXTURE_VARIANT_ADD(unplug, poisoned)
{
	.bound = true, .attached = true, .poisoned = true,
};

FIXTURE_SETUP(unplug)
{
	struct model_params params = { .unit = 1 };
	int rc = model_open(&self->model, MODEL_IOASID);

	self->mem = NULL;
	if (rc == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	self->request = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, self->request);
	self->mem = ia_mem(PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	model_pattern(self->mem, SEED, BASE, PAGES * PG);
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, model_space_open(&self->model, &self->other));
	ASSERT_EQ(0, model_map(&self->space, BASE, self->mem, PAGES * PG,
			       MODEL_RW));
	ASSERT_EQ(0, model_map(&self->other, BASE, self->mem, PAGES * PG,
			       MODEL_RW));
	ASSERT_EQ(0, model_plug(&self->model, &self->stays, NULL, 0));
	ASSERT_EQ(0, model_attach(&self->stays, &self->space));
	ASSERT_EQ(0, model_hammer(&self->stays, 1, IOASID_MODEL_VERIFY, BASE,
				  SEED, PAGES, 1));

	ASSERT_EQ(0, model_plug(&self->model, &self->dev, &params,
				variant->sibling));
	if (variant->sibling) {
		ASSERT_EQ(0, model_plug(&self->model, &self->sibling, &params,
					1));
		ASSERT_EQ(0, model_bind(&self->sibling));
	}
	if (variant->open) {
		self->dev.fd = model_open_cdev(&self->dev);
		ASSERT_LE(0, self->dev.fd);
	}
	if (variant->bound)
		ASSERT_EQ(0, model_bind(&self->dev));
	if (variant->bound)
		ASSERT_EQ(0, model_set_irq(&self->dev, IOASID_MODEL_IRQ_REQUEST,
					   self->request));
	if (variant->attached)
		ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	if (variant->sibling)
		ASSERT_EQ(0, model_attach(&self->sibling, &self->space));
	if (variant->dma)
		ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_VERIFY,
					  BASE, SEED, PAGES, 2));
	if (variant->moved)
		ASSERT_EQ(0, model_attach(&self->dev, &self->other));
	if (variant->detached)
		ASSERT_EQ(0, model_detach(&self->dev));
	if (variant->poisoned) {
		ASSERT_EQ(0, model_map(&self->space, 2 * BASE, self->mem, PG,
				       MODEL_RW));
		ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1,
					  0));
		ASSERT_EQ(-EIO, model_unmap(&self->space, 2 * BASE, PG));
	}
}

FIXTURE_TEARDOWN(unplug)
{
	struct ioasid_model_status status = {};

	if (!self->mem)
		return;
	/* Check that the device that stays was not affected. */
	EXPECT_EQ(0, model_hammered(&self->stays, 1, 4));
	EXPECT_EQ(0, model_stop(&self->stays, 1, &status));
	EXPECT_EQ(0, status.faults);
	EXPECT_EQ(0, status.mismatches);
	EXPECT_EQ(0, info_of(self->fd, self->space.id).state &
		  IOASID_STATE_POISONED);
	EXPECT_EQ(1, info_of(self->fd, self->space.id).nr_devices);
	EXPECT_EQ(1, info_of(self->fd, self->space.id).nr_domains);
	EXPECT_EQ(0, info_of(self->fd, self->other.id).nr_devices);
	EXPECT_NO_HARM(&self->stays);
	model_release(&self->stays);
	EXPECT_EQ(0, model_unplug(&self->stays, 0));
	EXPECT_EQ(0, model_space_close(&self->space));
	EXPECT_EQ(0, model_space_close(&self->other));
	EXPECT_EQ(0, ia_status("VmPin"));
	model_close(&self->model);
}

TEST_F(unplug, at_once)
{
	struct ioasid_model_status status;
	struct model_device again;

	EXPECT_EQ(0, removed());
	ASSERT_EQ(0, model_unplug(&self->dev, IOASID_MODEL_ASYNC));
	EXPECT_EQ(0, removed());
	if (variant->bound) {
		/*
		 * The user is asked to close it; until then, all of its
		 * functions work.
		 */
		EXPECT_TRUE(asked(self->request));
		EXPECT_TRUE(model_present(&self->dev));
	}
	if (variant->dma) {
		EXPECT_EQ(0, model_hammered(&self->dev, 1, 8));
		EXPECT_EQ(0, model_status(&self->dev, 1, &status));
		EXPECT_EQ(0, status.faults);
	}
	if (variant->bound && !variant->poisoned) {
		EXPECT_EQ(0, model_attach(&self->dev, &self->other));
		EXPECT_EQ(0, model_verify(&self->dev, BASE, SEED, PAGES));
		EXPECT_EQ(0, model_attach(&self->dev, &self->space));
		EXPECT_EQ(0, model_verify(&self->dev, BASE, SEED, PAGES));
	}
	if (variant->poisoned)
		EXPECT_EQ(MODEL_FAULT_BLOCKED,
			  model_verify(&self->dev, BASE, SEED, 1));
	if (variant->sibling) {
		/* The group stays attached when one of its devices goes. */
		model_release(&self->dev);
		EXPECT_TRUE(gone(&self->dev));
		EXPECT_EQ(0, model_verify(&self->sibling, BASE, SEED, PAGES));
		model_release(&self->sibling);
		EXPECT_EQ(0, model_unplug(&self->sibling, 0));
	}
	EXPECT_EQ(0, removed());
	model_release(&self->dev);
	EXPECT_TRUE(gone(&self->dev));
	/* A new device of the same kind can be plugged in. */
	ASSERT_EQ(0, model_plug(&self->model, &again, NULL, 0));
	ASSERT_EQ(0, model_attach(&again, &self->space));
	EXPECT_EQ(0, model_verify(&again, BASE, SEED, PAGES));
	model_release(&again);
	EXPECT_EQ(0, model_unplug(&again, 0));
}

/* The context's file is closed first, with all devices bound to it. */
TEST_F(unplug, context_closed)
{
	struct model_device *devs[] = { &self->dev, &self->sibling };
	unsigned int i;

	ASSERT_EQ(0, model_unplug(&self->dev, IOASID_MODEL_ASYNC));
	if (variant->sibling)
		ASSERT_EQ(0, model_unplug(&self->sibling, IOASID_MODEL_ASYNC));
	EXPECT_EQ(0, model_stop(&self->stays, 1, NULL));
	model_release(&self->stays);
	close(self->fd);
	/* A bound device keeps the context, and all its objects. */
	if (variant->bound)
		EXPECT_EQ(0, removed());
	if (variant->dma)
		EXPECT_EQ(0, model_hammered(&self->dev, 1, 8));
	for (i = 0; i <= variant->sibling; i++) {
		model_release(devs[i]);
		EXPECT_TRUE(gone(devs[i]));
	}
	EXPECT_EQ(0, ia_status("VmPin"));

	/* for the teardown */
	self->fd = ia_open();
	ASSERT_LE(0, self->fd);
	self->model.ctx = self->fd;
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, model_space_open(&self->model, &self->other));
	ASSERT_EQ(0, model_map(&self->space, BASE, self->mem, PAGES * PG,
			       MODEL_RW));
	ASSERT_EQ(0, model_attach(&self->stays, &self->space));
	ASSERT_EQ(0, model_hammer(&self->stays, 1, IOASID_MODEL_VERIFY, BASE,
				  SEED, PAGES, 1));
}

/* --- concurrency --- */

#define USERS 2

struct work {
	struct model *model;
	struct model_space *root;
	struct model_space *child;
	struct model_device devs[USERS];	/* plugged in now */
	unsigned int plugged[USERS];		/* number of times */
	char *mem;
	bool stop;
	unsigned long used, late, mapped, refused;
	unsigned int wrong;
	int error;
};

/*
 * Errors that a device may return while it is unplugged, and VFIO while its
 * module for /dev/ioasid is removed
 */
static bool may_be(int rc)
{
	return rc == -ENODEV || rc == -ENOENT || rc == -EIO || rc == -ENOTTY;
}

/* Open any device that is plugged in, and use it until the user is asked. */
static void *use(void *arg)
{
	static unsigned int numbers;
	unsigned int nr = __atomic_fetch_add(&numbers, 1, __ATOMIC_RELAXED) %
			  USERS;
	struct work *w = arg;
	struct model_device dev;
	int request = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), rc, i;
	__u64 count;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		dev = w->devs[nr];
		rc = model_bind(&dev);
		if (rc) {
			if (!may_be(rc))
				w->error = rc;
			__atomic_fetch_add(&w->late, 1, __ATOMIC_RELAXED);
			usleep(500);
			continue;
		}
		rc = model_set_irq(&dev, IOASID_MODEL_IRQ_REQUEST, request);
		/* All functions work until the end. */
		for (i = 0; !rc && i < 50; i++) {
			rc = model_attach(&dev, i % 2 ? w->root : w->child);
			if (!rc && model_verify(&dev, BASE, SEED, PAGES))
				w->wrong++;
			if (!rc && i % 3 == 0)
				rc = model_detach(&dev);
			if (read(request, &count, sizeof(count)) > 0)
				break;
		}
		if (rc)
			w->error = rc;
		__atomic_fetch_add(&w->used, 1, __ATOMIC_RELAXED);
		model_release(&dev);
	}
	close(request);
	return NULL;
}

static void *map_and_unmap(void *arg)
{
	struct work *w = arg;
	int fd = w->model->ctx, rc;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		rc = ia_map(fd, w->root->id, 2 * BASE, w->mem, 4 * PG);
		rc = rc ?: ia_map_ref(fd, w->child->id, 2 * BASE, 2 * BASE,
				      4 * PG, IA_RW);
		rc = rc ?: ia_unmap_full(fd, w->root->id, IOASID_UNMAP_CASCADE |
					 IOASID_UNMAP_SPLIT, 2 * BASE + PG, PG,
					 NULL);
		rc = rc ?: ia_unmap_cascade(fd, w->root->id, 2 * BASE, 4 * PG);
		if (rc)
			w->error = rc;
		w->mapped++;
	}
	return NULL;
}

static void *remove_modules(void *arg)
{
	struct work *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		if (!remove_module("ioasid_mock") || !remove_module("ioasid"))
			w->error = -EPROTO;
		/*
		 * This module may be removed between two users: the next one
		 * loads it.
		 */
		remove_module("vfio_ioasid");
		w->refused++;
		usleep(3000);
	}
	return NULL;
}

TEST(under_way)
{
	__u64 end = ia_now_ms() + (ia_slow_kernel() ? 8000 : 4000);
	struct model_params params[USERS] = { { .unit = 0 }, { .unit = 1 } };
	struct model_space root, child;
	struct model model;
	struct work w = { .model = &model, .root = &root, .child = &child };
	pthread_t threads[USERS + 2];
	unsigned int i, cycles = 0;
	struct model_device old;
	int rc;

	rc = model_open(&model, MODEL_IOASID);
	if (rc == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_EQ(0, rc);
	w.mem = ia_mem(PAGES * PG);
	ASSERT_NE(NULL, w.mem);
	model_pattern(w.mem, SEED, BASE, PAGES * PG);
	ASSERT_EQ(0, model_space_open(&model, &root));
	ASSERT_EQ(0, model_map(&root, BASE, w.mem, PAGES * PG, MODEL_RW));
	child = root;
	ASSERT_EQ(0, ia_child(model.ctx, root.id, 0, &child.id));
	ASSERT_EQ(0, ia_map_ref(model.ctx, child.id, BASE, BASE, PAGES * PG,
				IA_RW));
	for (i = 0; i < USERS; i++) {
		ASSERT_EQ(0, model_plug(&model, &w.devs[i], &params[i], 0));
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, use, &w));
	}
	ASSERT_EQ(0, pthread_create(&threads[i++], NULL, map_and_unmap, &w));
	ASSERT_EQ(0, pthread_create(&threads[i++], NULL, remove_modules, &w));
	for (; ia_now_ms() < end || cycles < 10; cycles++) {
		i = cycles % USERS;
		old = w.devs[i];
		usleep(cycles * 7919 % 20000);
		ASSERT_EQ(0, model_unplug(&old, IOASID_MODEL_ASYNC));
		/* sometimes in the other order */
		if (cycles % 4 == 0)
			ASSERT_TRUE(gone(&old));
		ASSERT_EQ(0, model_plug(&model, &w.devs[i], &params[i], 0));
		/* The device may be gone, and a new one may have its name. */
		if (strcmp(old.name, w.devs[i].name))
			ASSERT_TRUE(gone(&old));
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < USERS + 2; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < USERS; i++)
		EXPECT_EQ(0, model_unplug(&w.devs[i], 0));
	EXPECT_EQ(0, w.error) TH_LOG("%s", strerror(-w.error));
	EXPECT_EQ(0, w.wrong);
	EXPECT_LT(0, w.used);
	EXPECT_LT(0, w.mapped);
	EXPECT_LT(0, w.refused);
	ksft_print_msg("%u unplugged, used %lu times, %lu too late\n", cycles,
		       w.used, w.late);
	EXPECT_EQ(0, ia_free(model.ctx, child.id));
	EXPECT_EQ(0, ia_free(model.ctx, root.id));
	EXPECT_EQ(0, ia_status("VmPin"));
	model_close(&model);
}

/* With no users, all modules can be removed, and loaded again. */
TEST(remove_and_load)
{
	struct model_device dev;
	struct model_space space;
	struct model model;
	int i, k, rc;

	rc = model_open(&model, MODEL_IOASID);
	if (rc == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_EQ(0, rc);
	model_close(&model);
	for (i = 0; i < 3; i++) {
		/* Devices of an earlier test may not be unplugged yet. */
		for (k = 0; k < 500; k++) {
			rc = remove_module("ioasid_mock");
			if (rc != -EAGAIN && rc != -EBUSY)
				break;
			usleep(10000);
		}
		if (rc == -ENOENT)
			SKIP(return, "modules are not modules");
		ASSERT_EQ(0, rc);
		if (!remove_module("vfio_ioasid"))
			EXPECT_EQ(0, remove_module("ioasid"));
		ASSERT_EQ(0, system("modprobe -q vfio_ioasid"));
		ASSERT_EQ(0, model_open(&model, MODEL_IOASID));
		ASSERT_EQ(0, model_plug(&model, &dev, NULL, 0));
		ASSERT_EQ(0, model_space_open(&model, &space));
		ASSERT_EQ(0, model_attach(&dev, &space));
		model_release(&dev);
		ASSERT_EQ(0, model_unplug(&dev, 0));
		model_close(&model);
	}
}

TEST_HARNESS_MAIN
