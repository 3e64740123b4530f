// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of user space: poison, parents that go, every way to end at each
 * step, and all commands at once.
 */
#include "nested_fixture.h"

TEST_F(nested, poison)
{
	struct ioasid_info info;

	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING_1);
	ATTACH(&self->a, &self->child);
	ATTACH(&self->b, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_EQ(-EIO, ia_unmap_cascade(self->fd, self->root.id, GUEST,
					 PAGES * PG));
	info = info_of(self->fd, self->child.id);
	EXPECT_EQ(ATTACHED | IOASID_STATE_POISONED, info.state);
	BLOCKED(&self->a);
	/* Its domain has no fault: but there is no memory any more */
	FAULTS(MODEL_FAULT_S1_TABLE, &self->b, VA(DATA));
	EXPECT_EQ(-EIO, ia_map(self->fd, self->root.id, GUEST, self->mem, PG));
	EXPECT_EQ(-ENXIO, BIND(IOASID_BIND_REPLACE, TABLE_A));
	BLOCKED(&self->a);
	EXPECT_NO_HARM(&self->a);
	ASSERT_EQ(0, UNBIND());
	EXPECT_EQ(-EIO, model_attach(&self->a, &self->root));
	ASSERT_EQ(0, model_detach(&self->a));
	ASSERT_EQ(0, model_detach(&self->b));
	EXPECT_EQ(0, ia_free(self->fd, self->child.id));
	EXPECT_EQ(0, ia_free(self->fd, self->root.id));
}

/* The tables stay mapped: a bind fails at the poisoned domain, and changes nothing */
TEST_F(nested, poison_of_one)
{
	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING_1);
	ATTACH(&self->a, &self->child);
	ATTACH(&self->b, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_EQ(-EIO, ia_unmap_cascade(self->fd, self->root.id, GPA(DATA + 1),
					 PG));
	STATE(ATTACHED | IOASID_STATE_POISONED, 2, 1);
	BLOCKED(&self->a);
	READS_A(&self->b);
	EXPECT_EQ(-EIO, BIND(IOASID_BIND_REPLACE, TABLE_B));
	BLOCKED(&self->a);
	READS_A(&self->b);
	EXPECT_NO_HARM(&self->a);
	/* Without that domain, the same is possible */
	ASSERT_EQ(0, model_detach(&self->a));
	STATE(ATTACHED, 1, 1);
	ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE, TABLE_B));
	READS_B(&self->b);
	ATTACH(&self->a, &self->child);
	READS_B(&self->a);
}

TEST_F(nested, orphan)
{
	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING);
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	READS_A(&self->a);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->root.id));
	ASSERT_EQ(0, ia_free_cascade(self->fd, self->root.id));
	munmap(self->mem, PAGES * PG);
	FAULTS(MODEL_FAULT_S1_TABLE, &self->a, VA(DATA));
	STATE(ATTACHED | IOASID_STATE_ORPHAN, 1, 1);
	EXPECT_EQ(-ENODEV, BIND(IOASID_BIND_REPLACE, TABLE_B));
	EXPECT_EQ(-ENODEV, model_attach(&self->b, &self->child));
	EXPECT_EQ(0, FLUSH(0, 0));
	EXPECT_EQ(0, UNBIND());
	STATE(ATTACHED | UNBOUND | IOASID_STATE_ORPHAN, 1, 0);
	BLOCKED(&self->a);
	EXPECT_EQ(-ENODEV, BIND(0, TABLE_B));
	ASSERT_EQ(0, model_detach(&self->a));
	EXPECT_EQ(0, ia_free(self->fd, self->child.id));
}

/* Each way to end, at each step, with a device that does DMA meanwhile */
FIXTURE(nested_end)
{
	struct model model;
	int fd;
};

FIXTURE_VARIANT(nested_end)
{
	void (*end)(struct model *model, struct model_device *dev);
};

static void close_device(struct model *model, struct model_device *dev)
{
	model_release(dev);
}

static void unplug(struct model *model, struct model_device *dev)
{
	/* Closed by the teardown of the process */
	model_unplug(dev, IOASID_MODEL_ASYNC);
}

static void close_context(struct model *model, struct model_device *dev)
{
	close(model->ctx);
	model_release(dev);
}

static void just_exit(struct model *model, struct model_device *dev)
{
}

FIXTURE_VARIANT_ADD(nested_end, close_device) { .end = close_device, };
FIXTURE_VARIANT_ADD(nested_end, unplug) { .end = unplug, };
FIXTURE_VARIANT_ADD(nested_end, close_context) { .end = close_context, };
FIXTURE_VARIANT_ADD(nested_end, exit) { .end = just_exit, };

FIXTURE_SETUP(nested_end)
{
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	if (!ia_check(self->fd, IOASID_EXT_PGTABLE))
		SKIP(return, "the kernel lacks a patch to the IOMMU core");
}

FIXTURE_TEARDOWN(nested_end)
{
	model_close(&self->model);
}

#define STEPS 6

/* A process as a test goes on */
struct steps {
	struct model *model;
	struct model_device *dev;
	struct model_space root;
	struct model_space child;
	char *mem;
};

static int make(struct steps *s)
{
	int rc = nested_parent(s->model->ctx, &s->root.id);

	if (!rc)
		rc = ia_map(s->model->ctx, s->root.id, GUEST, s->mem, PAGES * PG);
	return rc ? rc : nested_child(s->model->ctx, s->root.id,
				      MODEL_HWPT_DATA_S1, &s->child.id);
}

static int bind_and_hammer(struct steps *s)
{
	int rc = bind_table(s->model->ctx, s->child.id, 0, TABLE_A);

	if (!rc)
		rc = model_hammer(s->dev, 1, IOASID_MODEL_FILL, VA(DATA), 3, 4,
				  2);
	return rc ? rc : model_hammered(s->dev, 1, 5);
}

static int do_step(struct steps *s, int step)
{
	switch (step) {
	case 0:
		return model_bind(s->dev);
	case 1:
		return make(s);
	case 2:
		return model_attach(s->dev, &s->child);
	case 3:
		return bind_and_hammer(s);
	case 4:
		return ia_free_cascade(s->model->ctx, s->root.id);
	default:
		return unbind_table(s->model->ctx, s->child.id);
	}
}

static int steps(struct model *model, struct model_device *dev, int last)
{
	struct steps s = {
		.model = model,
		.dev = dev,
		.root = { .model = model, .container = -1 },
		.mem = family_memory(PAGES),
	};
	int i, rc = 0;

	s.child = s.root;
	s1_init(s.mem, TABLE_A);
	for (i = DATA; i < PAGES; i++)
		s1_map(s.mem, TABLE_A, i, i);
	for (i = 0; !rc && i <= last; i++)
		rc = do_step(&s, i);
	return rc;
}

TEST_F(nested_end, at_each_step)
{
	struct model_params params = NESTING;
	struct model_device watch = {};
	struct model_counters counters;

	/* It keeps the IOMMU, and its counters */
	ASSERT_EQ(0, model_plug(&self->model, &watch, &params, 0));
	for (int last = 0; last < STEPS; last++) {
		int status;
		pid_t pid;

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct model_device dev = {};
			struct model model;
			int line;

			if (model_open(&model, MODEL_IOASID) ||
			    model_plug(&model, &dev, &params, 0))
				_exit(1);
			line = steps(&model, &dev, last);
			if (line)
				_exit(2);
			variant->end(&model, &dev);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_EQ(0, WEXITSTATUS(status)) TH_LOG("step %d", last);
		counters = model_counters(&watch);
		EXPECT_EQ(0, counters.attached);
		EXPECT_EQ(0, counters.ledger_pages);
		EXPECT_NO_HARM(&watch);
	}
	MODEL_REMOVE(&watch);
}

/* Binds, invalidations, attaches and unmaps by threads, with DMA */
#define ROUNDS (ia_slow_kernel() ? 60 : 400)

struct race {
	struct _test_data_nested *self;
	bool stop;
	int errors;
};

static void *race_bind(void *arg)
{
	struct race *race = arg;
	struct _test_data_nested *self = race->self;

	for (int i = 0; i < ROUNDS; i++) {
		int rc = i % 5 ? BIND(IOASID_BIND_REPLACE,
				      i % 2 ? TABLE_A : TABLE_B) : UNBIND();

		/* The page where it begins may be unmapped */
		race->errors += rc && rc != -ENXIO && rc != -ENOENT;
	}
	__atomic_store_n(&race->stop, true, __ATOMIC_RELAXED);
	return NULL;
}

static void *race_flush(void *arg)
{
	struct race *race = arg;
	struct _test_data_nested *self = race->self;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED))
		race->errors += FLUSH(0, 0) != 0;
	return NULL;
}

static void *race_attach(void *arg)
{
	struct race *race = arg;
	struct _test_data_nested *self = race->self;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		race->errors += model_attach(&self->b, &self->child) != 0;
		race->errors += model_attach(&self->b, &self->root) != 0;
		race->errors += model_detach(&self->b) != 0;
	}
	return NULL;
}

static void *race_unmap(void *arg)
{
	struct race *race = arg;
	struct _test_data_nested *self = race->self;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		race->errors += ia_unmap_cascade(self->fd, self->root.id, GUEST,
						 PAGES * PG) != 0;
		race->errors += ia_map(self->fd, self->root.id, GUEST, self->mem,
				       PAGES * PG) != 0;
	}
	return NULL;
}

TEST_F(nested, race)
{
	static void *(*const threads[])(void *) = {
		race_bind, race_flush, race_attach, race_unmap,
	};
	struct race races[ARRAY_SIZE(threads)] = {};
	pthread_t thread[ARRAY_SIZE(threads)];

	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING);
	ASSERT_EQ(0, model_bind(&self->b));
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, model_hammer(&self->a, 1, IOASID_MODEL_FILL, VA(DATA), 3,
				  4, 2));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		races[i].self = self;
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, threads[i],
					    &races[i]));
	}
	ASSERT_EQ(0, pthread_join(thread[0], NULL));
	for (size_t i = 1; i < ARRAY_SIZE(threads); i++) {
		__atomic_store_n(&races[i].stop, true, __ATOMIC_RELAXED);
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	}
	EXPECT_EQ(0, races[0].errors);
	EXPECT_EQ(0, races[1].errors);
	EXPECT_EQ(0, races[2].errors);
	EXPECT_EQ(0, races[3].errors);
	ASSERT_EQ(0, model_stop(&self->a, 1, NULL));
	EXPECT_NO_HARM(&self->a);
}

TEST_HARNESS_MAIN
