// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random commands of four threads on two devices under DMA, by requester id and by
 * PASID, through one stage and two: attach, replace and detach, bind and unbind,
 * invalidate, map, unmap, cascade, alloc and free.  No access reaches memory that
 * was released.  When it is over, and user space has invalidated what it changed, no
 * cache has what a walk would not find, and nothing is left.
 *
 * IOASID_OPS in the environment is the number of commands of each thread.
 */
#include <pthread.h>

#include "nested_fixture.h"
#include "pasid.h"
#include "state.h"

#define THREADS 4
#define CHILDREN 3
#define PASIDS 6
#define COMMANDS 8
#define STORM { .flags = MODEL_NESTING | MODEL_USER_PASID_TABLE | MODEL_ATS | \
			 MODEL_EVICT_RANDOM, .pasid_bits = 6 }
#define STORM_1 { .flags = MODEL_NESTING | MODEL_USER_PASID_TABLE | \
			   MODEL_NO_REPLACE_PASIDS, .pasid_bits = 6, .unit = 1 }

struct storm {
	struct _test_data_nested *self;
	__u32 ioasid[CHILDREN + 3];
	__u32 delegated;
	pthread_t thread;
	unsigned int seed;
	unsigned long ops;
	unsigned long done;
	int bad;
	const char *what;
	unsigned long succeeded[COMMANDS];
};

static __u32 any_ioasid(struct storm *s)
{
	return s->ioasid[rand_r(&s->seed) % ARRAY_SIZE(s->ioasid)];
}

static __u32 any_child(struct storm *s)
{
	return s->ioasid[rand_r(&s->seed) % CHILDREN];
}

/* The errnos that another thread, or the state of a moment, is the reason for */
static bool allowed(int rc)
{
	switch (rc) {
	case 0:
	case -EEXIST:
	case -ENOENT:
	case -ENXIO:
	case -EBUSY:
	case -ECANCELED:
	case -EMEDIUMTYPE:
	case -EOPNOTSUPP:
	case -ENODEV:
	case -EINVAL:
		return true;
	}
	return false;
}

/* A word of a table: a page, a table, or nonsense */
static void lie(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	int table = rand_r(&s->seed) % 2 ? TABLE_A : TABLE_B;
	int level = rand_r(&s->seed) % 3;
	__u64 word = GPA(rand_r(&s->seed) % (PAGES + 2)) |
		     (rand_r(&s->seed) & 0xfff);

	__atomic_store_n(s1_entry(self->mem, table, level,
				  rand_r(&s->seed) % 16), word,
			 __ATOMIC_RELAXED);
}

static void truth(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	int table = rand_r(&s->seed) % 2 ? TABLE_A : TABLE_B;
	int i;

	s1_init(self->mem, table);
	for (i = DATA; i < PAGES; i++)
		s1_map(self->mem, table, i, i);
}

static int flush_some(struct storm *s)
{
	struct ioasid_invalidate inv[3] = {};
	struct ioasid_invalidate_cache cmd =
		nested_invalidation(any_child(s), inv,
				    1 + rand_r(&s->seed) % ARRAY_SIZE(inv));
	unsigned int i;

	for (i = 0; i < cmd.nr; i++) {
		inv[i].flags = 1 + rand_r(&s->seed) % 3;
		if (rand_r(&s->seed) % 2) {
			inv[i].flags |= IOASID_INVALIDATE_RANGE;
			inv[i].start = VA(rand_r(&s->seed) % PAGES);
			inv[i].last = inv[i].start + PG - 1;
		}
	}
	if (rand_r(&s->seed) % 4 == 0)
		cmd.devid = s->self->a.devid;
	return ia_cmd(s->self->fd, IOASID_INVALIDATE_CACHE, &cmd);
}

static int map_root(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	int page = rand_r(&s->seed) % PAGES;

	return ia_map(self->fd, self->root.id, GPA(page), self->mem + page * PG,
		      PG);
}

static int unmap_root(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	int page = rand_r(&s->seed) % PAGES;
	bool cascade = rand_r(&s->seed) % 2;

	return ia_unmap_full(self->fd, self->root.id,
			     cascade ? IOASID_UNMAP_CASCADE : 0, GPA(page), PG,
			     NULL);
}

static int attach_some(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	struct model_device *dev = rand_r(&s->seed) % 2 ? &self->a : &self->b;
	__u32 pasid = 1 + rand_r(&s->seed) % PASIDS, flags = IOASID_ATTACH_PASID;
	__u32 none = 0;

	switch (rand_r(&s->seed) % 6) {
	case 0:
		return pasid_attach_full(dev, any_ioasid(s), 0, &none, NULL);
	case 1:
		return pasid_attach_any(dev, any_ioasid(s), &none);
	case 2:
		flags |= IOASID_ATTACH_NEW;
		break;
	case 3:
		flags |= IOASID_ATTACH_HITLESS;
		break;
	}
	return pasid_attach_flags(dev, any_ioasid(s), pasid, flags);
}

static int detach_some(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	struct model_device *dev = rand_r(&s->seed) % 2 ? &self->a : &self->b;
	struct ioasid_device_detach cmd = { .argsz = sizeof(cmd) };

	if (rand_r(&s->seed) % 6)
		return pasid_detach(dev, 1 + rand_r(&s->seed) % 10);
	return ia_cmd(dev->fd, VFIO_DEVICE_DETACH_IOASID, &cmd);
}

static int bind_some(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	struct model_pasid_table data = { .table = GPA(DATA), .pasid_bits = 4 };
	__u32 flags = rand_r(&s->seed) % 3 ? IOASID_BIND_REPLACE : 0;

	if (rand_r(&s->seed) % 8 == 0)
		return bind_pasids(self->fd, s->delegated, flags, &data,
				   sizeof(data));
	return bind_table(self->fd, any_child(s), flags,
			  rand_r(&s->seed) % 2 ? TABLE_A : TABLE_B);
}

static int unbind_some(struct storm *s)
{
	if (rand_r(&s->seed) % 4 == 0)
		return unbind_pasids(s->self->fd, s->delegated);
	return unbind_table(s->self->fd, any_child(s));
}

/* An IOASID that lives for a moment */
static int alloc_some(struct storm *s)
{
	struct _test_data_nested *self = s->self;
	__u32 id, pasid = 0;
	int rc = nested_child(self->fd, self->root.id, MODEL_HWPT_DATA_S1, &id);

	if (rc)
		return rc;
	bind_table(self->fd, id, 0, TABLE_A);
	if (!pasid_attach_any(&self->a, id, &pasid) && rand_r(&s->seed) % 2)
		pasid_detach(&self->a, pasid);
	/* Another thread may detach or move what is attached */
	rc = ia_free(self->fd, id);
	if (rc == -EBUSY) {
		pasid_detach_from(&self->a, id, pasid);
		ia_free(self->fd, id);
	}
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct storm *s);
	unsigned int weight;
} commands[COMMANDS] = {
	{ "attach", attach_some, 8 },
	{ "detach", detach_some, 6 },
	{ "bind", bind_some, 6 },
	{ "unbind", unbind_some, 2 },
	{ "invalidate", flush_some, 6 },
	{ "map", map_root, 6 },
	{ "unmap", unmap_root, 4 },
	{ "alloc", alloc_some, 1 },
};

static void *storm_thread(void *arg)
{
	struct storm *s = arg;
	unsigned int i, n, sum = 0;
	int rc;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		sum += commands[i].weight;
	for (; s->done < s->ops; s->done++) {
		if (rand_r(&s->seed) % 4 == 0)
			lie(s);
		if (rand_r(&s->seed) % 16 == 0)
			truth(s);
		n = rand_r(&s->seed) % sum;
		for (i = 0; n >= commands[i].weight; i++)
			n -= commands[i].weight;
		rc = commands[i].run(s);
		s->succeeded[i] += !rc;
		if (allowed(rc) || s->bad)
			continue;
		s->bad = rc;
		s->what = commands[i].name;
	}
	return NULL;
}

/* DMA on four channels: by requester id and with three of the PASIDs */
static int storm_dma(struct model_device *dev)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_LOOP | IOASID_MODEL_DMA_GO_ON,
		.threads = 1,
		.address = VA(DATA),
		.length = 64,
		.stride = PG,
		.count = PAGES - DATA,
		.operand = 3,
	};
	int i, rc = 0;

	for (i = 0; !rc && i < 4; i++) {
		dma.pasid = i;
		if (i)
			dma.flags |= IOASID_MODEL_DMA_PASID;
		rc = model_start(dev, 1 + i, &dma);
	}
	return rc;
}

static void storm_stop(struct model_device *dev)
{
	for (int i = 0; i < 4; i++)
		model_stop(dev, 1 + i, NULL);
}

/* Accesses by requester id and all PASIDs, which caches may have */
static void look_at_all(struct model_device *dev)
{
	for (__u32 pasid = 0; pasid < 64; pasid++)
		for (int page = 0; page < PAGES; page++) {
			pasid_page_at(dev, pasid, VA(page));
			pasid_page_at(dev, pasid, GPA(page));
		}
}

static int flush_everything(int fd, __u32 id, __u32 flags)
{
	struct ioasid_invalidate inv = {
		.flags = flags | IOASID_INVALIDATE_IOTLB |
			 IOASID_INVALIDATE_DEVTLB,
	};
	struct ioasid_invalidate_cache cmd = nested_invalidation(id, &inv, 1);

	return ia_cmd(fd, IOASID_INVALIDATE_CACHE, &cmd);
}

static unsigned long nr_ops(void)
{
	const char *ops = getenv("IOASID_OPS");

	if (ops)
		return strtoul(ops, NULL, 0);
	return ia_slow_kernel() ? 1000 : 10000;
}

TEST_F_TIMEOUT(nested, storm, 3600)
{
	struct storm storm[THREADS] = {};
	struct model_device watch = {}, watch_1 = {};
	__u64 stale, stale_1;
	__u32 delegated;
	int i, j;

	ASSERT_EQ(0, model_plug(&self->model, &watch,
				&(struct model_params)STORM, 0));
	ASSERT_EQ(0, model_plug(&self->model, &watch_1,
				&(struct model_params)STORM_1, 0));
	PLUG(&self->a, STORM);
	PLUG(&self->b, STORM_1);
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, model_bind(&self->b));
	ASSERT_EQ(0, nested_alloc(self->fd, 0, IOASID_KIND_PASID_TABLE,
				  self->root.id, MODEL_HWPT_DATA_PASID_TABLE,
				  &delegated));
	storm[0].ioasid[0] = self->child.id;
	for (i = 1; i < CHILDREN; i++)
		ASSERT_EQ(0, nested_child(self->fd, self->root.id,
					  MODEL_HWPT_DATA_S1,
					  &storm[0].ioasid[i]));
	storm[0].ioasid[i++] = self->root.id;
	ASSERT_EQ(0, ia_child(self->fd, self->root.id, 0, &storm[0].ioasid[i]));
	ASSERT_EQ(0, ia_map_ref(self->fd, storm[0].ioasid[i], VA(DATA),
				GPA(DATA), PG, IA_RW));
	storm[0].ioasid[++i] = delegated;
	for (i = 0; i < THREADS; i++) {
		memcpy(storm[i].ioasid, storm[0].ioasid, sizeof(storm[0].ioasid));
		storm[i].self = self;
		storm[i].delegated = delegated;
		storm[i].seed = 31 + i;
		storm[i].ops = nr_ops();
	}
	ASSERT_EQ(0, storm_dma(&self->a));
	ASSERT_EQ(0, storm_dma(&self->b));
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&storm[i].thread, NULL, storm_thread,
					    &storm[i]));
	for (i = 0; i < THREADS; i++) {
		pthread_join(storm[i].thread, NULL);
		EXPECT_EQ(0, storm[i].bad)
			TH_LOG("%s: %s", storm[i].what, strerror(-storm[i].bad));
		EXPECT_EQ(storm[i].ops, storm[i].done);
		for (j = 0; j < COMMANDS; j++)
			EXPECT_LT(0, storm[i].succeeded[j])
				TH_LOG("command %d", j);
	}
	storm_stop(&self->a);
	storm_stop(&self->b);
	EXPECT_NO_HARM(&self->a);
	EXPECT_NO_HARM(&self->b);
	for (i = 0; i < CHILDREN; i++)
		ASSERT_EQ(0, flush_everything(self->fd, storm[0].ioasid[i], 0));
	ASSERT_EQ(0, flush_everything(self->fd, delegated,
				      IOASID_INVALIDATE_PASID_CACHE));
	stale = model_counters(&self->a).stale;
	stale_1 = model_counters(&self->b).stale;
	look_at_all(&self->a);
	look_at_all(&self->b);
	EXPECT_EQ(stale, model_counters(&self->a).stale);
	EXPECT_EQ(stale_1, model_counters(&self->b).stale);
	/* Nothing is left when the devices are closed */
	model_release(&self->a);
	model_release(&self->b);
	for (j = 0; j < (int)ARRAY_SIZE(storm[0].ioasid); j++)
		EXPECT_EQ(0, info_of(self->fd, storm[0].ioasid[j]).nr_devices);
	EXPECT_EQ(0, model_counters(&watch).attached);
	EXPECT_EQ(0, model_counters(&watch_1).attached);
	EXPECT_EQ(0, model_counters(&watch).domains);
	EXPECT_EQ(0, model_counters(&watch_1).domains);
	MODEL_REMOVE(&watch);
	MODEL_REMOVE(&watch_1);
}

TEST_HARNESS_MAIN
