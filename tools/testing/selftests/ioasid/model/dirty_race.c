// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty tracking while devices write and mappings come, go and are cut: a shadow
 * of what each device wrote says that no write is told by no command.
 */
#include <pthread.h>

#include "ioasid_test.h"
#include "dirty.h"
#include "family.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES DIRTY_PAGES
#define ROUNDS 150

/*
 * The devices, each of which writes to a part of the root's pages: one to pages that
 * stay as they are, one to pages that are unmapped and mapped again, one through a
 * child whose mappings come and go, one through an import.
 */
enum { STEADY, UNMAPPED, CHILD, IMPORT, WRITERS };
#define PART (PAGES / WRITERS)

FIXTURE(dirty_race)
{
	struct model model;
	struct model other;
	struct model_space space[WRITERS];
	struct model_device dev[WRITERS];
	struct dirty_writer writer[WRITERS];
	pthread_t thread[WRITERS];
	pthread_t changer;
	struct dirty_shadow *shadow;
	atomic_bool end;
	char *mem;
	int export;
	__u64 bits[DIRTY_WORDS];
};

FIXTURE_VARIANT(dirty_race)
{
	__u32 model;
	bool exact;
	bool protects;
};

FIXTURE_VARIANT_ADD(dirty_race, exact)
{
	.model = MODEL_DIRTY | MODEL_EVICT_RANDOM,
	.exact = true,
};

FIXTURE_VARIANT_ADD(dirty_race, protect)
{
	.model = MODEL_DIRTY | MODEL_PROTECT | MODEL_ATS | MODEL_EVICT_RANDOM,
	.exact = true,
	.protects = true,
};

FIXTURE_VARIANT_ADD(dirty_race, coarse)
{
	.model = MODEL_EVICT_RANDOM,
};

static __u64 part(int nr)
{
	return BASE + nr * PART * PG;
}

FIXTURE_SETUP(dirty_race)
{
	struct model_params params = {
		.page_sizes = 1ULL << 12, .flags = variant->model,
	};
	__u32 import;
	int i, rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	if (ia_check(self->model.ctx, IOASID_EXT_DIRTY) <= 0)
		SKIP(return, "no dirty tracking");
	ASSERT_EQ(0, model_open(&self->other, MODEL_IOASID));
	self->mem = ia_mem(PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	self->shadow = calloc(1, sizeof(*self->shadow));
	ASSERT_NE(NULL, self->shadow);
	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &self->space[STEADY], 0, PG));
	self->space[UNMAPPED] = self->space[STEADY];
	ASSERT_EQ(0, model_map(&self->space[STEADY], BASE, self->mem,
			       PAGES * PG, MODEL_RW));
	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &self->space[CHILD],
				    self->space[STEADY].id, 0));
	ASSERT_EQ(0, ia_map_ref(self->model.ctx, self->space[CHILD].id,
				part(CHILD), part(CHILD), PART * PG, IA_RW));
	ASSERT_EQ(0, ia_export(self->model.ctx, self->space[STEADY].id,
			       EXPORT_RW, BASE, PAGES * PG, ~0ULL,
			       &self->export));
	ASSERT_EQ(0, ia_import(self->other.ctx, self->export, 0, &import));
	ASSERT_EQ(0, ia_alloc_dirty(&self->other, &self->space[IMPORT], import,
				    0));
	ASSERT_EQ(0, ia_map_ref(self->other.ctx, self->space[IMPORT].id,
				part(IMPORT), part(IMPORT) - BASE, PART * PG,
				IA_RW));
	for (i = 0; i < WRITERS; i++) {
		ASSERT_EQ(0, model_plug(i == IMPORT ? &self->other :
					&self->model, &self->dev[i], &params,
					0));
		ASSERT_EQ(0, model_attach(&self->dev[i], &self->space[i]));
		self->writer[i] = (struct dirty_writer){
			.dev = &self->dev[i],
			.shadow = self->shadow,
			.iova = part(i),
			.first = i * PART,
			.pages = PART,
		};
	}
	ASSERT_EQ(0, ia_set_dirty(self->model.ctx, self->space[STEADY].id,
				  IOASID_SET_DIRTY_ON | IOASID_SET_DIRTY_COARSE));
}

FIXTURE_TEARDOWN(dirty_race)
{
	int i;

	if (!self->shadow)
		return;
	for (i = 0; i < WRITERS; i++)
		if (self->dev[i].model)
			MODEL_REMOVE(&self->dev[i]);
	model_close(&self->other);
	model_close(&self->model);
	close(self->export);
	free(self->shadow);
}

static void begin(struct __test_metadata *_metadata,
		  struct _test_data_dirty_race *self, int from, int to)
{
	for (; from <= to; from++)
		ASSERT_EQ(0, pthread_create(&self->thread[from], NULL,
					    dirty_write, &self->writer[from]));
}

static void end(struct __test_metadata *_metadata,
		struct _test_data_dirty_race *self, int from, int to)
{
	int i;

	for (i = from; i <= to; i++)
		self->writer[i].end = true;
	for (i = from; i <= to; i++) {
		pthread_join(self->thread[i], NULL);
		EXPECT_EQ(0, self->writer[i].rc);
		EXPECT_LT(0, self->writer[i].written) TH_LOG("writer %d", i);
	}
}

/* GET_DIRTY of the pages from @first on; they must have all that was written */
static void get(struct __test_metadata *_metadata,
		struct _test_data_dirty_race *self, int first, int pages)
{
	struct ioasid_get_dirty cmd;

	dirty_before(self->shadow);
	ASSERT_EQ(0, ia_get_dirty(self->model.ctx, self->space[STEADY].id, 0,
				  BASE + first * PG, pages, self->bits, &cmd));
	ASSERT_EQ(-1, dirty_lost(self->shadow, self->bits, first, pages));
}

/* Nothing changes but the pages */
TEST_F(dirty_race, write)
{
	int round;

	begin(_metadata, self, 0, WRITERS - 1);
	for (round = 0; round < ROUNDS; round++)
		get(_metadata, self, 0, PAGES);
	end(_metadata, self, 0, WRITERS - 1);
	get(_metadata, self, 0, PAGES);
}

/* Each page is written once, and told once */
TEST_F(dirty_race, once)
{
	struct dirty_writer *w = &self->writer[STEADY];
	unsigned int told[PAGES] = {}, i, n, exact = 0;
	struct ioasid_get_dirty cmd;

	if (!variant->exact)
		SKIP(return, "all is told");
	/* The shadow has no room for more than one write of a page */
	for (n = 0; n < 40; n++) {
		for (i = 0; i < PART; i += 8)
			ASSERT_EQ(0, model_put(w->dev, w->iova +
					       (i + n % 8) * PG, "o", 1));
		ASSERT_EQ(0, ia_get_dirty(self->model.ctx, self->space[STEADY].id,
					  0, BASE, PAGES, self->bits, &cmd));
		EXPECT_EQ(IOASID_DIRTY_EXACT, cmd.told);
		EXPECT_EQ(PART / 8, cmd.nr_dirty);
		for (i = 0; i < PAGES; i++) {
			told[i] += dirty_has(self->bits, i);
			exact += dirty_has(self->bits, i);
		}
	}
	EXPECT_EQ(40 * PART / 8, exact);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i < PART ? 5 : 0, told[i]) TH_LOG("page %u", i);
}

struct once {
	struct model_device *dev;
	atomic_bool done;
	int rc;
};

static void *write_once(void *arg)
{
	struct once *once = arg;
	int i;

	/* 89 is prime to the number of pages */
	for (i = 0; i < PART && !once->rc; i++)
		once->rc = model_put(once->dev, BASE + i * 89 % PART * PG, "o",
				     1);
	once->done = true;
	return NULL;
}

/* The same, while commands tell */
TEST_F(dirty_race, once_concurrent)
{
	struct once once = { .dev = &self->dev[STEADY] };
	unsigned int told[PAGES] = {}, i;
	struct ioasid_get_dirty cmd;
	pthread_t thread;
	bool done;

	if (!variant->exact)
		SKIP(return, "all is told");
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_once, &once));
	do {
		done = once.done;
		ASSERT_EQ(0, ia_get_dirty(self->model.ctx, self->space[STEADY].id,
					  0, BASE, PAGES, self->bits, &cmd));
		EXPECT_EQ(IOASID_DIRTY_EXACT, cmd.told);
		for (i = 0; i < PAGES; i++)
			told[i] += dirty_has(self->bits, i);
	} while (!done);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, once.rc);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i < PART, told[i]) TH_LOG("page %u", i);
}

/* Two threads tell: what one of them does not, the other one does */
struct getter {
	int fd;
	__u32 id;
	atomic_bool end;
	unsigned int told[PAGES];
	int rc;
};

static void *get_all(void *arg)
{
	struct getter *getter = arg;
	__u64 bits[DIRTY_WORDS];
	struct ioasid_get_dirty cmd;
	int i;

	while (!getter->end && !getter->rc) {
		getter->rc = ia_get_dirty(getter->fd, getter->id, 0, BASE, PAGES,
					  bits, &cmd);
		for (i = 0; i < PAGES; i++)
			getter->told[i] += dirty_has(bits, i);
	}
	return NULL;
}

TEST_F(dirty_race, two_tell)
{
	struct getter *getter = calloc(2, sizeof(*getter));
	struct dirty_writer *w = &self->writer[STEADY];
	unsigned int before[PART], i, n;
	pthread_t thread[2];

	ASSERT_NE(NULL, getter);
	for (i = 0; i < 2; i++) {
		getter[i].fd = self->model.ctx;
		getter[i].id = self->space[STEADY].id;
	}
	/* Each round one write of each page: it is told by one of them */
	for (n = 0; n < 10; n++) {
		for (i = 0; i < PART; i++)
			before[i] = getter[0].told[i] + getter[1].told[i];
		for (i = 0; i < 2; i++) {
			getter[i].end = false;
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, get_all,
						    &getter[i]));
		}
		for (i = 0; i < PART; i++)
			ASSERT_EQ(0, model_put(w->dev, w->iova + i * PG, "t",
					       1));
		for (i = 0; i < 2; i++) {
			getter[i].end = true;
			pthread_join(thread[i], NULL);
			EXPECT_EQ(0, getter[i].rc);
		}
		get(_metadata, self, 0, PAGES);
		for (i = 0; i < PART; i++)
			EXPECT_LT(before[i], getter[0].told[i] +
				  getter[1].told[i] + dirty_has(self->bits, i))
				TH_LOG("page %u", i);
	}
	free(getter);
}

/* The device writes until an unmap ends its writes, which tells them all */
TEST_F(dirty_race, unmap)
{
	__u32 id = self->space[STEADY].id;
	unsigned int mask = 0, pages = 64;
	struct ioasid_unmap_dma cmd;
	int round, first;

	/* Two devices write to it */
	self->writer[STEADY].iova = part(UNMAPPED);
	self->writer[STEADY].first = PART;
	begin(_metadata, self, STEADY, UNMAPPED);
	for (round = 0; round < ROUNDS; round++) {
		first = PART + round * 37 % (PART - pages);
		/* So that few pages are dirty when the unmap begins */
		get(_metadata, self, first, pages);
		ASSERT_EQ(0, ia_unmap_dirty(self->model.ctx, id, 0, BASE +
					    first * PG, pages, self->bits, &cmd));
		EXPECT_EQ(pages * PG, cmd.unmapped);
		mask |= 1 << !!cmd.told;
		dirty_before(self->shadow);
		ASSERT_EQ(-1, dirty_lost(self->shadow, self->bits, first,
					 pages));
		ASSERT_EQ(0, model_map(&self->space[STEADY], BASE + first * PG,
				       self->mem + first * PG, pages * PG,
				       MODEL_RW));
	}
	end(_metadata, self, STEADY, UNMAPPED);
	get(_metadata, self, 0, PAGES);
	EXPECT_EQ(variant->protects ? 2 : 1, mask);
}

static void *change_children(void *arg)
{
	struct _test_data_dirty_race *self = arg;
	unsigned int seed = 1, at, n;
	int rc = 0, i = 0;

	while (!self->end && !rc) {
		int nr = i++ % 2 ? CHILD : IMPORT;
		struct model_space *space = &self->space[nr];
		int fd = space->model->ctx;
		__u64 iova, addr;

		n = 1 + rand_r(&seed) % 32;
		at = rand_r(&seed) % (PART - n);
		iova = part(nr) + at * PG;
		addr = nr == IMPORT ? iova - BASE : iova;
		switch (rand_r(&seed) % 3) {
		case 0:
			rc = ia_map_full(fd, space->id, IA_RW_FIXED |
					 IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
					 &iova, addr, n * PG, 0, 0, 0, NULL);
			break;
		case 1:
			rc = ia_map_full(fd, space->id, IOASID_MAP_FIXED |
					 IOASID_MAP_PROTECT | IOASID_MAP_READ |
					 IOASID_MAP_SPLIT, &iova, 0, n * PG, 0,
					 0, 0, NULL);
			if (!rc)
				rc = ia_map_full(fd, space->id,
						 IOASID_MAP_FIXED |
						 IOASID_MAP_PROTECT | IA_RW |
						 IOASID_MAP_SPLIT, &iova, 0,
						 n * PG, 0, 0, 0, NULL);
			break;
		default:
			rc = ia_unmap_full(fd, space->id, IOASID_UNMAP_SPLIT,
					   iova, n * PG, NULL);
			if (!rc)
				rc = ia_map_ref(fd, space->id, iova, addr,
						n * PG, IA_RW);
		}
	}
	return (void *)(long)rc;
}

/*
 * Children change what they map. A page that is changed at the same time may wait
 * for the next command, hence only the last one must have told all of theirs.
 */
TEST_F(dirty_race, children)
{
	int round, i;
	void *rc;

	begin(_metadata, self, 0, WRITERS - 1);
	ASSERT_EQ(0, pthread_create(&self->changer, NULL, change_children,
				    self));
	for (round = 0; round < ROUNDS; round++) {
		struct ioasid_get_dirty cmd;

		get(_metadata, self, 0, CHILD * PART);
		dirty_before(self->shadow);
		ASSERT_EQ(0, ia_get_dirty(self->model.ctx,
					  self->space[STEADY].id, 0, part(CHILD),
					  2 * PART, self->bits, &cmd));
		for (i = 0; i < 2 * PART; i++)
			if (dirty_has(self->bits, i))
				self->shadow->told[CHILD * PART + i] =
					self->shadow->began[CHILD * PART + i];
	}
	self->end = true;
	pthread_join(self->changer, &rc);
	EXPECT_EQ(NULL, rc) TH_LOG("%ld", (long)rc);
	end(_metadata, self, 0, WRITERS - 1);
	get(_metadata, self, 0, PAGES);
}

/* A device moves to and fro; it takes no write with it */
TEST_F(dirty_race, move)
{
	struct model_space none;
	int round;

	ASSERT_EQ(0, ia_alloc_dirty(&self->model, &none, 0, 0));
	begin(_metadata, self, STEADY, CHILD);
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, model_attach(&self->dev[CHILD], &none));
		get(_metadata, self, 0, PAGES);
		if (round % 2)
			ASSERT_EQ(0, model_detach(&self->dev[CHILD]));
		ASSERT_EQ(0, model_attach(&self->dev[CHILD],
					  &self->space[CHILD]));
		get(_metadata, self, 0, PAGES);
	}
	end(_metadata, self, STEADY, CHILD);
	get(_metadata, self, 0, PAGES);
}

TEST_HARNESS_MAIN
