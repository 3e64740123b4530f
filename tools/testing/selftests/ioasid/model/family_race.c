// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping by reference, with concurrent commands: children, parents and whole
 * families change and go at the same time.
 */
#include "ioasid_test.h"
#include "family.h"

#define PG page_size
#define ROOT_BASE SZ_1G
#define BASE (4ULL * SZ_1G)
#define PAGES 64

FIXTURE(family_race)
{
	struct model model;
	struct model_device dev;
	struct model_space at;		/* for the device: the child */
	int fd;
	__u32 root;
	__u32 child;
	char *mem;
};

FIXTURE_SETUP(family_race)
{
	FAMILY_SETUP(return, PAGES);
}

FIXTURE_TEARDOWN(family_race)
{
	FAMILY_TEARDOWN();
}

#define RACERS 3

struct race {
	int fd;
	__u32 root;
	__u32 child;
	__u32 grandchild;
	char *mem;
	bool stop;
	unsigned long done[8];
};

static void *race_children(void *arg)
{
	static unsigned int seeds;
	unsigned int seed = __atomic_add_fetch(&seeds, 1, __ATOMIC_RELAXED);
	__u64 at = BASE + seed % RACERS * 64 * PG;
	struct race *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		__u32 id = seed % 2 ? r->child : r->grandchild;
		unsigned int n = 1 + rand_r(&seed) % 8;
		unsigned int from = rand_r(&seed) % 16;

		if (!ia_map_ref(r->fd, r->child, at, ROOT_BASE + from * PG,
				n * PG, IA_RW))
			r->done[0]++;
		if (!ia_map_ref(r->fd, r->grandchild, at, at, n * PG, IA_RW))
			r->done[1]++;
		if (!ia_unmap_full(r->fd, id, IOASID_UNMAP_SPLIT, at +
				   n / 2 * PG, PG, NULL))
			r->done[2]++;
		if (!ia_unmap(r->fd, r->grandchild, at, 64 * PG, NULL))
			r->done[3]++;
		if (!ia_unmap_full(r->fd, r->child, IOASID_UNMAP_CASCADE, at,
				   64 * PG, NULL))
			r->done[4]++;
	}
	return NULL;
}

static void *race_owner(void *arg)
{
	struct race *r = arg;
	unsigned int seed = 77;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		unsigned int at = rand_r(&seed) % 16, i;
		unsigned int n = 1 + rand_r(&seed) % (16 - at);

		if (!ia_unmap_full(r->fd, r->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, ROOT_BASE + at * PG,
				   n * PG, NULL))
			r->done[5]++;
		for (i = at; i < at + n; i++)
			ia_map(r->fd, r->root, ROOT_BASE + i * PG,
			       r->mem + i * PG, PG);
	}
	return NULL;
}

/* Children come and go, and whole families with them. */
static void *race_families(void *arg)
{
	struct race *r = arg;
	__u32 root, id, below;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		if (ia_alloc(r->fd, &root))
			continue;
		ia_map(r->fd, root, ROOT_BASE, r->mem, 4 * PG);
		if (!ia_child(r->fd, root, 0, &id)) {
			ia_map_ref(r->fd, id, BASE, ROOT_BASE, 4 * PG, IA_RW);
			if (!ia_child(r->fd, id, 0, &below)) {
				ia_map_ref(r->fd, below, BASE, BASE + PG, PG,
					   IA_RW);
				if (!ia_free_cascade(r->fd, root))
					r->done[6]++;
				ia_free_cascade(r->fd, id);
				ia_free(r->fd, below);
			}
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(family_race, races, 200)
{
	__u64 end = ia_now_ms() + (ia_slow_kernel() ? 20000 : 8000);
	struct model_space below = self->at;
	pthread_t thread[RACERS + 2];
	struct model_device dev;
	struct race r = {
		.fd = self->fd, .root = self->root, .child = self->child,
		.mem = self->mem,
	};
	int i;

	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem, 16 * PG));
	ASSERT_EQ(0, ia_child(self->fd, self->child, 0, &r.grandchild));
	below.id = r.grandchild;
	ASSERT_EQ(0, model_plug(&self->model, &dev, NULL, 0));
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, model_attach(&dev, &below));
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, BASE, 1,
				  RACERS * 64, 1));
	ASSERT_EQ(0, model_hammer(&dev, 1, IOASID_MODEL_FILL, BASE, 1,
				  RACERS * 64, 1));
	for (i = 0; i < RACERS; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, race_children, &r));
	ASSERT_EQ(0, pthread_create(&thread[i++], NULL, race_owner, &r));
	ASSERT_EQ(0, pthread_create(&thread[i++], NULL, race_families, &r));
	for (i = 0; ia_now_ms() < end; i++) {
		struct model_device *d = i % 2 ? &dev : &self->dev;
		struct model_space *s = d->space;

		usleep(20000);
		/* map elsewhere, unmap and map again */
		EXPECT_EQ(0, model_attach(d, s == &below ? &self->at : &below));
		EXPECT_EQ(NULL, model_harm(d));
		EXPECT_EQ(0, model_detach(d));
		EXPECT_EQ(0, model_attach(d, s));
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < RACERS + 2; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 7; i++)
		EXPECT_LT(0, r.done[i]) TH_LOG("%d", i);
	EXPECT_EQ(0, model_stop(&self->dev, 1, NULL));
	EXPECT_EQ(0, model_stop(&dev, 1, NULL));
	EXPECT_NO_HARM(&dev);
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	EXPECT_EQ(0, ia_free_cascade(self->fd, self->root));
	EXPECT_EQ(0, info_of(self->fd, r.grandchild).nr_mappings);
	EXPECT_EQ(0, ia_status("VmPin"));
}

struct heads {
	int fd;
	__u32 child;
	unsigned int done;
	bool stop;
};

#define HEADS	512

/*
 * The owner of the child unmaps the first page of each mapping, in random
 * order.
 */
static void *unmap_heads(void *arg)
{
	struct heads *h = arg;
	unsigned int i;

	for (i = 0; !__atomic_load_n(&h->stop, __ATOMIC_RELAXED); i++) {
		ia_unmap_full(h->fd, h->child, IOASID_UNMAP_SPLIT,
			      BASE + i * 337 % HEADS * 8 * PG, PG, NULL);
		__atomic_store_n(&h->done, i, __ATOMIC_RELAXED);
	}
	return NULL;
}

/*
 * A cascading unmap cuts 512 mappings of a child that is a parent, while the
 * owner of the child cuts the same mappings elsewhere.
 */
TEST_F_TIMEOUT(family_race, cut_at_both_ends, 90)
{
	struct heads h = { .fd = self->fd, .child = self->child };
	pthread_t thread;
	__u32 below;
	int i, k;

	ASSERT_EQ(0, ia_child(self->fd, self->child, 0, &below));
	for (k = 0; k < (ia_slow_kernel() ? 4 : 20); k++) {
		ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
				    4 * PG));
		for (i = 0; i < HEADS; i++)
			ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE +
						i * 8 * PG, ROOT_BASE, 4 * PG,
						IA_RW));
		/* The grandchild makes the child a parent */
		ASSERT_EQ(0, ia_map_ref(self->fd, below, 0, BASE + 2 * PG,
					2 * PG, IA_RW));
		h.stop = false;
		h.done = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, unmap_heads, &h));
		while (__atomic_load_n(&h.done, __ATOMIC_RELAXED) < 4)
			;
		EXPECT_EQ(0, ia_unmap_full(self->fd, self->root,
					   IOASID_UNMAP_CASCADE |
					   IOASID_UNMAP_SPLIT,
					   ROOT_BASE + 3 * PG, PG, NULL));
		__atomic_store_n(&h.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		EXPECT_EQ(1, info_of(self->fd, below).nr_mappings);
		EXPECT_EQ(PG, info_of(self->fd, below).bytes_mapped);
		EXPECT_EQ(HEADS, info_of(self->fd, self->child).nr_mappings);
		ASSERT_EQ(0, ia_unmap_full(self->fd, self->root,
					   IOASID_UNMAP_CASCADE |
					   IOASID_UNMAP_ALL, 0, 0, NULL));
		EXPECT_EQ(0, info_of(self->fd, below).nr_mappings);
	}
	EXPECT_EQ(0, ia_status("VmPin"));
}

TEST_HARNESS_MAIN
