// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on /dev/ioasid, compared with a model; see fuzz.h.
 *
 * Without options this is a test program: it runs a few fixed seeds, and new
 * ones. With options it runs as long as they say:
 *
 *	fuzz --seed 1 --ops 1000000
 *	fuzz --threads 4 --time 3600
 *	fuzz --race --time 3600
 *	fuzz --importers --high --kill --ops 1000000
 *	fuzz --replay FILE
 *
 * A seed repeats exactly, operation by operation, as long as its workers take
 * turns in one thread, in an order that the seed gives. With --threads each
 * worker is a thread of its own; with --race their number changes, too.
 *
 * With --importers, --high or --kill sessions run in a process beside others,
 * see fuzz_rough.c. That does not repeat.
 *
 * What goes wrong is made short and printed, as operations for --replay and
 * as a C program. Where the kernel has KCOV, operations that reached new code
 * are kept, and varied.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <sys/random.h>

#include "ioasid_test.h"
#include "fuzz_model.h"

/*
 * Operations of each fixed seed; a debug kernel in an emulated machine does
 * fewer in the same time.
 */
#define FAST_OPS 50000
#define SLOW_OPS 6000

#define ROUND_OPS 2500	/* of one context */
#define QUIET_OPS 1000	/* the same, for a planted mistake, which soon fails */
#define LONG_AGO 8	/* maximum size of the corpus */
#define CORPUS 1024

/* Maximum length of a planted mistake after shrinking. */
#define PLANT_OPS 10

struct options {
	__u64 seed;
	size_t ops;
	int threads;	/* 0: any number */
	bool race;	/* each worker is a thread; otherwise they take turns */
	unsigned int seconds;	/* 0: as long as it takes */
	int plant;
	bool physical;	/* no emulated devices */
	bool quiet;	/* it is meant to go wrong */
	unsigned int how;	/* enum fuzz_roughness */
	__u64 digest;	/* out, of all operations and their results */
};

/* Operations, in the order of their start. */
struct log {
	struct fuzz_op *ops;
	size_t room;
	atomic_size_t nr;
};

struct sequence {
	int nr;
	struct fuzz_op ops[LONG_AGO];
};

struct worker {
	pthread_t thread;
	struct fuzz_world *w;
	struct log *log;
	struct round *round;
	int nr;
	size_t ops;
	size_t done;
	__u64 random;
	struct sequence recent;
	/* the rest of a sequence of the corpus */
	struct sequence again;
	int again_at;
};

struct round {
	struct fuzz_world w;
	struct log log;
	struct worker workers[FUZZ_THREADS];
	pthread_mutex_t lock;
	atomic_bool stop;
	__u64 turns;		/* the worker whose turn it is */
	struct fuzz_verdict verdict;
	struct fuzz_op wrong;
};

/*
 * KCOV
 */

#define KCOV_INIT_TRACE _IOR('c', 1, unsigned long)
#define KCOV_ENABLE _IO('c', 100)
#define KCOV_TRACE_PC 0
#define KCOV_WORDS 65536UL
#define SEEN_BITS 0x100000UL

static atomic_uchar seen[SEEN_BITS / 8];
static struct sequence corpus[CORPUS];
static size_t corpus_nr;
static pthread_mutex_t corpus_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread unsigned long *cover;

static void kcov_start(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	void *p;

	cover = NULL;
	if (fd < 0)
		return;
	if (!ioctl(fd, KCOV_INIT_TRACE, KCOV_WORDS)) {
		p = mmap(NULL, KCOV_WORDS * sizeof(long),
			 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED && !ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
			cover = p;
		else if (p != MAP_FAILED)
			munmap(p, KCOV_WORDS * sizeof(long));
	}
	/* The thread's coverage ends with the thread. */
	close(fd);
}

static void kcov_stop(void)
{
	if (cover)
		munmap(cover, KCOV_WORDS * sizeof(long));
	cover = NULL;
}

/*
 * Number of places in @buf that were not seen before. The first word of @buf is
 * the number of places that follow; there is room for @words - 1.
 */
static size_t kcov_new(const unsigned long *buf, size_t words)
{
	size_t i, nr = buf[0], found = 0;
	__u64 bit;

	if (nr > words - 1)
		nr = words - 1;
	for (i = 1; i <= nr; i++) {
		bit = buf[i] * 0x9e3779b97f4a7c15ULL >> 32 & (SEEN_BITS - 1);
		if (!(atomic_fetch_or(&seen[bit / 8], 1 << bit % 8) &
		      1 << bit % 8))
			found++;
	}
	return found;
}

static void corpus_add(struct worker *t, const struct sequence *s)
{
	pthread_mutex_lock(&corpus_lock);
	if (corpus_nr < CORPUS)
		corpus[corpus_nr++] = *s;
	else
		corpus[fuzz_mix(&t->random) % CORPUS] = *s;
	pthread_mutex_unlock(&corpus_lock);
}

/* Generating operations */

static bool one_in(struct worker *t, unsigned int n)
{
	return fuzz_mix(&t->random) % n == 0;
}

static __u64 below(struct worker *t, __u64 n)
{
	return fuzz_mix(&t->random) % n;
}

#define ONE_OF(t, ...) \
	({ \
		static const __u64 one_of[] = { __VA_ARGS__ }; \
		one_of[below(t, sizeof(one_of) / sizeof(*one_of))]; \
	})

static const struct fuzz_space *space_of(struct worker *t,
					 const struct fuzz_op *op)
{
	return &t->w->model->spaces[op->space];
}

static bool is_window(const struct fuzz_op *op)
{
	return op->space >= FUZZ_WINDOW(0);
}

/* A random mapping of the space, NULL if it has none. */
static const struct fuzz_mapping *some_mapping(struct worker *t,
					       const struct fuzz_space *s)
{
	return s->nr ? &s->maps[below(t, s->nr)] : NULL;
}

/* A random id, mostly of an existing IOASID. */
static void make_id(struct worker *t, struct fuzz_op *op)
{
	int try;

	for (try = 0; try < 4; try++) {
		op->space = t->nr * FUZZ_OWN + below(t, FUZZ_OWN);
		if (space_of(t, op)->live)
			break;
	}
	if (one_in(t, 6))
		op->space = FUZZ_WINDOW(t->nr);
	op->ref = one_in(t, 50) ? ONE_OF(t, REF_ZERO, REF_NEVER, REF_DEVICE) :
		  REF_SPACE;
}

static __u64 make_iova(struct worker *t, const struct fuzz_space *s)
{
	const struct fuzz_mapping *map = some_mapping(t, s);
	const __u64 arena = 0x100000000ULL;

	switch (below(t, 16)) {
	case 0 ... 11:
		if (!map || one_in(t, 2))
			return arena + below(t, 256) * FUZZ_PAGE;
		return (one_in(t, 2) ? map->start : map->last + 1) +
		       ONE_OF(t, 0, 0, FUZZ_PAGE, -FUZZ_PAGE);
	case 12:
		return ONE_OF(t, 0, FUZZ_PAGE, 1ULL << 63, 1ULL << 47,
			      1ULL << 48);
	case 13:
		return -(1 + below(t, 8)) * FUZZ_PAGE;
	case 14:
		return arena + below(t, 8) * FUZZ_HUGE +
		       ONE_OF(t, 0, FUZZ_PAGE, -FUZZ_PAGE);
	default:
		return fuzz_mix(&t->random) & ~(FUZZ_PAGE - 1);
	}
}

static __u64 make_length(struct worker *t, const struct fuzz_space *s,
			 __u64 iova)
{
	const struct fuzz_mapping *map = some_mapping(t, s);

	switch (below(t, 24)) {
	case 0 ... 2:
		if (map && map->last > iova && map->last - iova < 1 << 24)
			return map->last + 1 - iova;
		break;
	case 3:
		return ONE_OF(t, FUZZ_HUGE, 2 * FUZZ_HUGE, FUZZ_HUGE + FUZZ_PAGE,
			      FUZZ_HUGE - FUZZ_PAGE);
	case 4:
		return -iova;
	case 5:
		if (one_in(t, 2))
			return ONE_OF(t, 1ULL << 32, 1ULL << 40, 1ULL << 63,
				      -FUZZ_PAGE, -FUZZ_PAGE - 1);
	}
	return (1 + below(t, one_in(t, 4) ? 32 : 6)) * FUZZ_PAGE;
}

static __u64 make_grid(struct worker *t)
{
	if (one_in(t, 3))
		return one_in(t, 12) ?
		       ONE_OF(t, 1, FUZZ_PAGE / 2, 3 * FUZZ_PAGE, FUZZ_PAGE + 1,
			      -1ULL) :
		       ONE_OF(t, FUZZ_PAGE, 2 * FUZZ_PAGE, 4 * FUZZ_PAGE,
			      FUZZ_HUGE, 1ULL << 30, 1ULL << 63);
	return 0;
}

static __u64 make_cookie(struct worker *t)
{
	return one_in(t, 4) ? ONE_OF(t, 0, -1ULL, 1ULL << 63) : fuzz_mix(&t->random);
}

static void make_check(struct worker *t, struct fuzz_op *op)
{
	op->cut = below(t, 14);
	if (one_in(t, 8))
		op->value = 1;
}

/* For fuzz_parent(), mostly an existing space; imports have no other use. */
static __u64 make_parent(struct worker *t)
{
	const struct fuzz_space *own = t->w->model->spaces + t->nr * FUZZ_OWN;
	__u64 i;

	for (i = 0; i < FUZZ_OWN; i++)
		if (own[i].live && own[i].export.nr && one_in(t, 2))
			return i + 1;
	i = below(t, FUZZ_OWN);
	if (!own[i].live)
		i = below(t, FUZZ_OWN);
	return i + 1;
}

static void make_export(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_mapping *map;

	make_id(t, op);
	if (is_window(op))
		op->space = t->nr * FUZZ_OWN;
	map = some_mapping(t, space_of(t, op));
	op->flags = ONE_OF(t, IOASID_EXPORT_READ | IOASID_EXPORT_WRITE,
			   IOASID_EXPORT_READ | IOASID_EXPORT_WRITE,
			   IOASID_EXPORT_READ, IOASID_EXPORT_WRITE);
	if (one_in(t, 24))
		op->flags = below(t, 8);
	op->cut = below(t, FUZZ_EXPORTS);
	op->value = ONE_OF(t, -1ULL, -1ULL, 1, 1, 2, 3);
	if (one_in(t, 24))
		op->value = 0;
	op->length = -FUZZ_PAGE;
	if (map && one_in(t, 2)) {
		op->iova = map->start + ONE_OF(t, 0, FUZZ_PAGE, -FUZZ_PAGE);
		op->length = (1 + below(t, 64)) * FUZZ_PAGE;
	}
	if (one_in(t, 24))
		op->iova = make_iova(t, space_of(t, op)) + below(t, 3) - 1;
	if (one_in(t, 24))
		op->length = below(t, 3) * FUZZ_PAGE / 2;
}

static void make_import(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_export *e;
	int try;

	for (try = 0; try < 4; try++) {
		op->space = t->nr * FUZZ_OWN + below(t, FUZZ_OWN);
		if (!space_of(t, op)->live)
			break;
	}
	op->mem = one_in(t, 24) ? ONE_OF(t, MEM_CLOSED, MEM_MEMFD) : MEM_RAW;
	for (try = 0; try < 4; try++) {
		op->cut = below(t, FUZZ_EXPORTS);
		e = &t->w->model->exports[fuzz_export(op)];
		if (e->nr && t->w->model->spaces[e->space].live)
			break;
	}
	op->value = make_cookie(t);
	op->flags = one_in(t, 24);
}

static void make_alloc(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	op->space = t->nr * FUZZ_OWN + below(t, FUZZ_OWN);
	op->addr = one_in(t, 20) ? ONE_OF(t, 0, 2, 3, IOASID_KIND_IMPORT, -1U) :
		   IOASID_KIND_MAP;
	if (one_in(t, 2))
		op->iova = one_in(t, 40) ? 0x7ffffff0 : make_parent(t);
	op->value = make_cookie(t);
	op->cut = make_grid(t);
	if (one_in(t, 8))
		op->align = ONE_OF(t, 0, 1, 2, 3);
	if (one_in(t, 30))
		op->length = ONE_OF(t, 1, 1ULL << 32);
}

static void make_free(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	op->space = t->nr * FUZZ_OWN + below(t, FUZZ_OWN);
	if (one_in(t, 3))
		op->flags = IOASID_FREE_CASCADE;
	if (one_in(t, 16))
		op->value = 1;
}

static void make_info(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	op->space = t->nr * FUZZ_OWN + below(t, FUZZ_OWN);
	op->length = below(t, 3);
	op->addr = one_in(t, 20);
}

/* A random piece of memory; the system has at least one. */
static void make_memory(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_memory *mem;
	__u64 page;

	if (op->flags & IOASID_MAP_FILE) {
		op->mem = ONE_OF(t, MEM_MEMFD, MEM_MEMFD, MEM_HUGETLB,
				 MEM_SPARSE, MEM_RDONLY_FD, MEM_SEALED);
		if (one_in(t, 16))
			op->mem = ONE_OF(t, MEM_PIPE, MEM_CLOSED, MEM_ANON,
					 MEM_RAW);
	} else {
		op->mem = ONE_OF(t, MEM_ANON, MEM_ANON, MEM_THP, MEM_SHARED,
				 MEM_MEMFD, MEM_HUGETLB, MEM_READONLY,
				 MEM_HOLED);
		if (one_in(t, 24))
			op->mem = ONE_OF(t, MEM_NONE, MEM_RAW);
	}
	if (op->mem == MEM_RAW) {
		op->addr = ONE_OF(t, 0, FUZZ_PAGE, 0x7ffffffff000, 1ULL << 47,
				  1ULL << 63, -FUZZ_PAGE);
		return;
	}
	mem = &fuzz_mems[op->mem];
	if (!mem->size)
		op->mem = MEM_ANON;
	mem = &fuzz_mems[op->mem];
	page = below(t, mem->size / FUZZ_PAGE);
	if (one_in(t, 3))
		page = ONE_OF(t, 0, 0, 24, 26, 32, 63, 511, 512);
	if (page > mem->size / FUZZ_PAGE)
		page = mem->size / FUZZ_PAGE;
	op->addr = page * FUZZ_PAGE;
	/* mostly a length that fits */
	if (op->addr + op->length > mem->size && !one_in(t, 8) &&
	    op->addr < mem->size)
		op->length = mem->size - op->addr;
}

/* Mostly a range that the parent has mapped; it may be several mappings. */
static void make_reference(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_space *s = space_of(t, op);
	const struct fuzz_mapping *map;
	__u64 pages, base;

	op->mem = MEM_RAW;
	if (!one_in(t, 40))
		op->flags &= ~IOASID_MAP_FILE;
	base = model_base(t->w->model, s);
	map = s->parent < 0 ? NULL :
	      some_mapping(t, &t->w->model->spaces[s->parent]);
	if (!map) {
		op->addr = make_iova(t, s);
		return;
	}
	pages = (map->last - map->start) / FUZZ_PAGE + 1;
	op->addr = map->start + below(t, pages ?: 1) * FUZZ_PAGE;
	if (one_in(t, 3))
		op->addr = map->start;
	if (one_in(t, 24))
		op->addr = make_iova(t, s);
	else if (!one_in(t, 4) && map->last - op->addr < op->length)
		op->length = map->last - op->addr + 1;
	op->addr -= base;
	/* mostly with a permission of the parent's mapping */
	if (!one_in(t, 8) && map->flags & op->flags)
		op->flags &= map->flags | ~(IOASID_MAP_READ | IOASID_MAP_WRITE);
}

static void make_map(struct worker *t, struct fuzz_op *op)
{
	const __u32 rw = IOASID_MAP_READ | IOASID_MAP_WRITE;

	make_id(t, op);
	op->flags = ONE_OF(t, rw, rw, rw, rw, IOASID_MAP_READ, IOASID_MAP_READ,
			   IOASID_MAP_WRITE, IOASID_MAP_RESERVE);
	if (one_in(t, 40))
		op->flags = below(t, 32);
	if (!(op->flags & IOASID_MAP_RESERVE) && one_in(t, 4))
		op->flags |= IOASID_MAP_FILE;
	if (!one_in(t, 3) || is_window(op))
		op->flags |= IOASID_MAP_FIXED;
	op->iova = make_iova(t, space_of(t, op));
	op->length = make_length(t, space_of(t, op), op->iova);
	if (!(op->flags & IOASID_MAP_FIXED)) {
		op->align = make_grid(t);
		if (!one_in(t, 32))
			op->iova = 0;
	} else if (one_in(t, 32)) {
		op->align = FUZZ_PAGE;
	}
	if (space_of(t, op)->parent_id && !one_in(t, 20) &&
	    !(op->flags & IOASID_MAP_RESERVE))
		make_reference(t, op);
	else if (!(op->flags & IOASID_MAP_RESERVE) || one_in(t, 20))
		make_memory(t, op);
	op->cut = make_grid(t);
	if (one_in(t, 64))
		op->value = 3;
}

/* A random part of a mapping, or of its surroundings. */
static const struct fuzz_mapping *make_part(struct worker *t,
					    struct fuzz_op *op)
{
	const struct fuzz_space *s = space_of(t, op);
	const struct fuzz_mapping *map = some_mapping(t, s);

	if (!map || one_in(t, 12)) {
		op->iova = make_iova(t, s);
		op->length = make_length(t, s, op->iova);
		return NULL;
	}
	op->iova = map->start;
	op->length = map->last + 1 - map->start;
	if (op->length > FUZZ_PAGE && !one_in(t, 3)) {
		op->iova += below(t, op->length / FUZZ_PAGE) * FUZZ_PAGE;
		op->length = map->last + 1 - op->iova;
		if (one_in(t, 2))
			op->length = (1 + below(t, op->length / FUZZ_PAGE)) *
				     FUZZ_PAGE;
	}
	/* and its neighbours */
	if (one_in(t, 6))
		op->length += (1 + below(t, 8)) * FUZZ_PAGE;
	return map;
}

static __u32 make_permission(struct worker *t)
{
	const __u32 rw = IOASID_MAP_READ | IOASID_MAP_WRITE;

	return ONE_OF(t, rw, rw, IOASID_MAP_READ, IOASID_MAP_READ,
		      IOASID_MAP_WRITE);
}

static void make_protect(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	op->mem = MEM_RAW;
	op->flags = make_permission(t) | IOASID_MAP_FIXED | IOASID_MAP_PROTECT;
	if (one_in(t, 2))
		op->flags |= IOASID_MAP_SPLIT;
	if (one_in(t, 40))
		op->flags ^= 1 << below(t, 8);
	make_part(t, op);
	if (one_in(t, 64))
		op->addr = FUZZ_PAGE;
	if (one_in(t, 64))
		op->cut = FUZZ_PAGE;
}

static void make_replace(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_mapping *map;

	make_id(t, op);
	op->flags = make_permission(t) | IOASID_MAP_FIXED | IOASID_MAP_REPLACE;
	if (one_in(t, 2))
		op->flags |= IOASID_MAP_SPLIT;
	if (one_in(t, 4))
		op->flags |= IOASID_MAP_FILE;
	if (one_in(t, 40))
		op->flags ^= 1 << below(t, 8);
	map = make_part(t, op);
	op->cut = make_grid(t);
	if (space_of(t, op)->parent_id) {
		make_reference(t, op);
	} else if (map && !(map->flags & IOASID_MAP_RESERVE) && one_in(t, 3)) {
		/* the same range again, or one close to it */
		op->flags &= ~IOASID_MAP_FILE;
		op->flags |= map->flags & IOASID_MAP_FILE;
		op->mem = map->mem;
		op->addr = map->offset + (op->iova - map->start);
		if (one_in(t, 4))
			op->addr += FUZZ_PAGE;
		if (one_in(t, 2))
			op->cut = map->cut;
	} else {
		make_memory(t, op);
	}
}

static void make_unmap(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_mapping *map;

	make_id(t, op);
	map = some_mapping(t, space_of(t, op));
	if (one_in(t, 3))
		op->flags = IOASID_UNMAP_CASCADE;
	if (one_in(t, space_of(t, op)->nr > 24 ? 4 : 24) && !is_window(op)) {
		op->flags |= IOASID_UNMAP_ALL;
		if (!one_in(t, 8))
			return;
	}
	if (one_in(t, 3))
		op->flags |= IOASID_UNMAP_SPLIT;
	if (map && one_in(t, 3)) {
		op->iova = map->start;
		op->length = map->last + 1 - map->start;
	} else {
		op->iova = make_iova(t, space_of(t, op));
		op->length = make_length(t, space_of(t, op), op->iova);
	}
	if (one_in(t, 64))
		op->value = 1;
}

static void make_list(struct worker *t, struct fuzz_op *op)
{
	op->iova = one_in(t, 2) ? 0 : ONE_OF(t, 1, 5, 100, 0xffffffff);
	if (one_in(t, 2))
		op->iova = space_of(t, op)->id;
	op->length = one_in(t, 2) ? FUZZ_ENTRIES - 1 : below(t, 8);
	op->addr = one_in(t, 20);
}

static void make_option(struct worker *t, struct fuzz_op *op)
{
	const __u64 pinned = t->w->model->pinned;

	op->cut = one_in(t, 16) ? ONE_OF(t, 0, 4, -1U) : 1 + below(t, 3);
	op->flags = one_in(t, 2) ? IOASID_OPTION_GET : 0;
	if (one_in(t, 40))
		op->flags |= IOASID_OPTION_SEAL;
	if (!(op->flags & IOASID_OPTION_GET)) {
		if (op->cut == IOASID_OPTION_CHARGE)
			op->value = one_in(t, 8) ? ONE_OF(t, 3, -1ULL) :
				    below(t, 3);
		else if (!one_in(t, 4))
			op->value = -1ULL;
		else if (op->cut == IOASID_OPTION_LIMIT_PINNED)
			op->value = one_in(t, 4) ? ONE_OF(t, 0, 1, 1 << 20) :
				    pinned + below(t, 64) * FUZZ_PAGE;
		else
			op->value = below(t, 16);
	} else if (one_in(t, 16)) {
		op->value = 1;
	}
	if (one_in(t, 32))
		op->align = 1;
}

static void make_batch(struct worker *t, struct fuzz_op *op)
{
	do {
		make_map(t, op);
	} while (op->flags & ~0xff);
	op->flags &= ~IOASID_MAP_FIXED;
	if (one_in(t, 40))
		op->flags |= ONE_OF(t, IOASID_MAP_PROTECT, IOASID_MAP_REPLACE,
				    IOASID_MAP_SPLIT);
	op->size = SIZE_EXACT;
	op->iova = make_iova(t, space_of(t, op)) - below(t, 8) * FUZZ_PAGE;
	op->cut = 1 + below(t, one_in(t, 3) ? FUZZ_BATCH : 6);
	op->length = 0;
	op->align = 0;
	op->value = fuzz_mix(&t->random);
	if (op->mem < MEM_NR && one_in(t, 2))
		op->addr = below(t, 16) * FUZZ_PAGE;
	switch (below(t, 100)) {
	case 0:
		op->cut = 0;
		break;
	case 1:
		op->align = 1;
		break;
	case 2:
		op->length = 1;
		break;
	}
}

static void make_query(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	if (is_window(op))
		op->space = t->nr * FUZZ_OWN;
	if (one_in(t, 2))
		op->iova = make_iova(t, space_of(t, op)) + below(t, 3) - 1;
	op->length = one_in(t, 2) ? FUZZ_QUERY : below(t, 4);
	op->addr = one_in(t, 20);
	if (one_in(t, 32))
		op->value = 1;
}

static void make_device_info(struct worker *t, struct fuzz_op *op)
{
	op->ref = one_in(t, 8) ? ONE_OF(t, REF_SPACE, REF_ZERO, REF_NEVER) :
		  REF_DEVICE;
	op->length = below(t, 3);
	op->addr = one_in(t, 20);
	if (one_in(t, 16))
		op->value = 1;
}

static void make_nothing(struct worker *t, struct fuzz_op *op)
{
}

static void make_bind(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	if (one_in(t, 3))
		op->ref = REF_ZERO;
	op->mem = one_in(t, 8) ? ONE_OF(t, MEM_CLOSED, MEM_PIPE, MEM_MEMFD) :
		  MEM_RAW;
	op->value = make_cookie(t);
	if (one_in(t, 16))
		op->length = 1;
}

static void make_attach(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	if (one_in(t, 16))
		op->value = 1;
}

static void make_detach(struct worker *t, struct fuzz_op *op)
{
	make_attach(t, op);
	if (one_in(t, 2))
		op->ref = REF_ZERO;
}

/* DMA by a device, which has to be bound and attached first. */
static void make_dma(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_device *d = model_device(t->w->model, t->nr);
	const struct fuzz_mapping *map;
	const struct fuzz_space *s;

	if (!d)
		return;
	if (!d->bound || d->space < 0) {
		make_id(t, op);
		op->type = d->bound ? OP_ATTACH : OP_BIND;
		op->mem = MEM_RAW;
		return;
	}
	op->space = d->space;
	s = space_of(t, op);
	map = some_mapping(t, s);
	op->iova = make_iova(t, s);
	if (map && !one_in(t, 6)) {
		op->iova = map->start;
		if (map->last - map->start >= FUZZ_PAGE)
			op->iova += below(t, (map->last - map->start) /
					  FUZZ_PAGE) * FUZZ_PAGE;
		if (one_in(t, 4))
			op->iova = map->last & ~(FUZZ_PAGE - 1);
	}
	if (op->type == OP_DMA_WRITE) {
		op->iova += FUZZ_SCRATCH(t->nr);
		op->value = fuzz_mix(&t->random);
		return;
	}
	op->length = 1 + below(t, one_in(t, 4) ? FUZZ_DMA_MAX : 16);
	op->iova += one_in(t, 4) ? FUZZ_PAGE - 1 - below(t, op->length) :
		    below(t, FUZZ_PAGE);
	if (op->iova + op->length - 1 < op->iova)
		op->iova -= FUZZ_PAGE;
}

static void make_chaos(struct worker *t, struct fuzz_op *op)
{
	op->addr = ONE_OF(t, 0, 0, 0, 0, 1, 1, 1, 2, 5, 5, 6, 6);
	if (one_in(t, 24))
		op->addr = 3;
	if (one_in(t, 8))
		op->addr = 4;
	op->iova = below(t, FUZZ_CHAOS_PAGES);
	op->length = (1 + below(t, 4)) * FUZZ_PAGE;
	op->cut = one_in(t, 2) ? FUZZ_PAGE : 0;
	op->flags = below(t, 4);
}

/* @per_mille: probability of a mistake */
static const struct {
	const char *name;
	unsigned int per_mille;
	void (*make)(struct worker *t, struct fuzz_op *op);
} fuzz_types[OP_NR] = {
	[OP_CHECK] = { "check", 5, make_check },
	[OP_ALLOC] = { "alloc", 44, make_alloc },
	[OP_FREE] = { "free", 15, make_free },
	[OP_INFO] = { "info", 50, make_info },
	[OP_MAP] = { "map", 235, make_map },
	[OP_UNMAP] = { "unmap", 190, make_unmap },
	[OP_LIST] = { "list", 8, make_list },
	[OP_OPTION] = { "option", 10, make_option },
	[OP_BATCH] = { "batch", 50, make_batch },
	[OP_QUERY] = { "query", 20, make_query },
	[OP_PROTECT] = { "protect", 28, make_protect },
	[OP_REPLACE] = { "replace", 32, make_replace },
	[OP_EXPORT] = { "export", 7, make_export },
	[OP_IMPORT] = { "import", 14, make_import },
	[OP_DEVICE_INFO] = { "device_info", 8, make_device_info },
	[OP_UNKNOWN] = { "unknown", 2, make_nothing },
	[OP_BIND] = { "bind", 5, make_bind },
	[OP_ATTACH] = { "attach", 20, make_attach },
	[OP_DETACH] = { "detach", 4, make_detach },
	[OP_REOPEN] = { "reopen", 1, make_nothing },
	[OP_DMA_READ] = { "dma_read", 135, make_dma },
	[OP_DMA_WRITE] = { "dma_write", 50, make_dma },
	[OP_STATE] = { "state", 6, make_nothing },
	[OP_CHAOS] = { "chaos", 59, make_chaos },
	[OP_CHAOS_CHECK] = { "chaos_check", 2, make_nothing },
};

/* Windows of other threads are not checked. */
static void keep_in_window(struct fuzz_op *op)
{
	const __u64 start = FUZZ_WINDOW_START(op->thread);
	const __u64 end = start + FUZZ_WINDOW_SIZE;

	switch (op->type) {
	case OP_FREE:
	case OP_INFO:
	case OP_QUERY:
		op->space = op->thread * FUZZ_OWN;
		return;
	case OP_UNMAP:
		op->flags &= ~IOASID_UNMAP_ALL;
		break;
	case OP_MAP:
	case OP_PROTECT:
	case OP_REPLACE:
		op->flags |= IOASID_MAP_FIXED;
		break;
	case OP_BATCH:
		op->iova = start + op->iova % FUZZ_PAGE + op->iova / FUZZ_PAGE *
			   FUZZ_PAGE % (FUZZ_WINDOW_SIZE - FUZZ_BATCH_SPAN);
		return;
	case OP_DMA_READ:
	case OP_DMA_WRITE:
		break;
	default:
		return;
	}
	if (op->iova < start || op->iova >= end)
		op->iova = start + op->iova % FUZZ_WINDOW_SIZE;
	if (op->length > end - op->iova)
		op->length = end - op->iova;
}

/* Mistakes that are possible in any command. */
static void spoil(struct worker *t, struct fuzz_op *op)
{
	switch (below(t, 6)) {
	case 0 ... 1:
		op->size = below(t, SIZE_NR);
		break;
	case 2:
		op->flags |= 1U << (16 + below(t, 16));
		break;
	case 3:
		op->iova += ONE_OF(t, 1, -1);
		break;
	case 4:
		op->length = ONE_OF(t, 0, 1, FUZZ_PAGE - 1, FUZZ_PAGE + 1);
		break;
	case 5:
		op->addr += ONE_OF(t, 1, -1, FUZZ_PAGE / 2);
		break;
	}
}

static bool is_command(const struct fuzz_op *op)
{
	return op->type <= OP_DETACH;
}

static bool makes_sense_spoilt(const struct fuzz_op *op)
{
	return fuzz_maps(op) || op->type == OP_UNMAP;
}

static void make_new(struct worker *t, struct fuzz_op *op)
{
	unsigned int at = below(t, 1000), type;

	memset(op, 0, sizeof(*op));
	for (type = 0; at >= fuzz_types[type].per_mille; type++)
		at -= fuzz_types[type].per_mille;
	op->type = type;
	op->thread = t->nr;
	op->space = t->nr * FUZZ_OWN;
	fuzz_types[type].make(t, op);
	if (one_in(t, 20) && makes_sense_spoilt(op))
		spoil(t, op);
	else if (one_in(t, 20) && is_command(op))
		op->size = below(t, SIZE_NR);
	if (is_window(op))
		keep_in_window(op);
}

/* An operation of this thread that reached new code, sometimes varied. */
static bool make_again(struct worker *t, struct fuzz_op *op)
{
	if (t->again_at == t->again.nr && corpus_nr && one_in(t, 8)) {
		pthread_mutex_lock(&corpus_lock);
		t->again = corpus[below(t, corpus_nr)];
		pthread_mutex_unlock(&corpus_lock);
		t->again_at = 0;
	}
	if (t->again_at == t->again.nr)
		return false;
	*op = t->again.ops[t->again_at++];
	if (is_window(op)) {
		op->iova += FUZZ_WINDOW_START(t->nr) -
			    FUZZ_WINDOW_START(op->thread);
		op->space = FUZZ_WINDOW(t->nr);
	} else {
		op->space = t->nr * FUZZ_OWN + op->space % FUZZ_OWN;
	}
	if (op->type == OP_DMA_WRITE)
		op->iova = (op->iova & ~(FUZZ_PAGE - 1)) + FUZZ_SCRATCH(t->nr);
	op->thread = t->nr;
	if (one_in(t, 3) && makes_sense_spoilt(op))
		op->iova += ONE_OF(t, FUZZ_PAGE, -FUZZ_PAGE, 1);
	if (one_in(t, 3) && makes_sense_spoilt(op))
		op->length += ONE_OF(t, FUZZ_PAGE, -FUZZ_PAGE);
	if (is_window(op))
		keep_in_window(op);
	return true;
}

/* Running operations */

static void remember(struct worker *t, const struct fuzz_op *op)
{
	struct sequence *s = &t->recent;

	if (s->nr == LONG_AGO) {
		memmove(s->ops, s->ops + 1, sizeof(*op) * (LONG_AGO - 1));
		s->nr--;
	}
	s->ops[s->nr++] = *op;
	if (kcov_new(cover, KCOV_WORDS))
		corpus_add(t, s);
}

/* Do one operation; returns false if it failed. */
static bool step(struct worker *t)
{
	struct fuzz_verdict v;
	struct fuzz_op op;
	size_t at;

	if (!make_again(t, &op))
		make_new(t, &op);
	at = t->log->nr++;
	t->log->ops[at] = op;
	if (cover)
		__atomic_store_n(cover, 0, __ATOMIC_RELAXED);
	fuzz_run(t->w, &op, &v);
	t->done++;
	if (v.bad) {
		pthread_mutex_lock(&t->round->lock);
		if (!t->round->verdict.bad) {
			t->round->verdict = v;
			t->round->wrong = op;
		}
		t->round->stop = true;
		pthread_mutex_unlock(&t->round->lock);
		return false;
	}
	if (cover)
		remember(t, &op);
	return true;
}

static void *work(void *arg)
{
	struct worker *t = arg;

	if (t->w->setting.rlimit)
		fuzz_may_lock(false);
	kcov_start();
	while (t->done < t->ops && !t->round->stop && step(t))
		;
	kcov_stop();
	fuzz_run_exit();
	return NULL;
}

/* Run all workers in one thread, without coverage: that does not repeat. */
static void *work_in_turns(void *arg)
{
	struct round *r = arg;
	const int nr = r->w.setting.threads;
	struct worker *t;
	size_t left = 0;
	int i;

	if (r->w.setting.rlimit)
		fuzz_may_lock(false);
	for (i = 0; i < nr; i++)
		left += r->workers[i].ops;
	while (left) {
		t = &r->workers[fuzz_mix(&r->turns) % nr];
		if (t->done == t->ops)
			continue;
		if (!step(t))
			break;
		left--;
	}
	fuzz_run_exit();
	return NULL;
}

/* Run one context, from open to close. 0, or a negative errno if it cannot. */
static int run_round(struct round *r, const struct fuzz_setting *setting,
		     bool race, __u64 seed, size_t ops)
{
	pthread_t thread;
	int i, rc;

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	if (setting->rlimit)
		fuzz_limit(setting->rlimit);
	rc = fuzz_open(&r->w, setting);
	if (rc)
		return rc;
	r->log.room = ops + FUZZ_THREADS;
	r->log.ops = calloc(r->log.room, sizeof(*r->log.ops));
	if (!r->log.ops)
		return -ENOMEM;
	for (i = 0; i < setting->threads; i++) {
		struct worker *t = &r->workers[i];

		t->w = &r->w;
		t->log = &r->log;
		t->round = r;
		t->nr = i;
		t->ops = ops / setting->threads;
		t->random = seed + i * 0x5851f42d4c957f2dULL;
		if (race && pthread_create(&t->thread, NULL, work, t))
			abort();
	}
	r->turns = ~seed;
	if (!race) {
		if (pthread_create(&thread, NULL, work_in_turns, r))
			abort();
		pthread_join(thread, NULL);
	}
	for (i = 0; race && i < setting->threads; i++)
		pthread_join(r->workers[i].thread, NULL);
	fuzz_close(&r->w, &r->verdict);
	return 0;
}

/* Print the output of @print as lines of a test's comment. */
static void print_comment(const char *text)
{
	const char *end;

	for (; *text; text = end + 1) {
		end = strchrnul(text, '\n');
		printf("# %.*s\n", (int)(end - text), text);
		if (!*end)
			break;
	}
	fflush(stdout);
}

/* Report a failure; returns the number of operations that reproduce it. */
static size_t report(struct round *r, bool print)
{
	const struct fuzz_setting *setting = &r->w.setting;
	struct fuzz_verdict v = r->verdict;
	size_t nr = r->log.nr, size;
	char *text;
	FILE *f;

	if (print)
		printf("# after %zu operations: %s is %#llx (%lld), should be %#llx (%lld) %s\n",
		       nr, v.what, v.got, (long long)v.got, v.want,
		       (long long)v.want, v.why);
	if (r->log.nr > r->log.room)
		nr = r->log.room;
	nr = fuzz_shrink(setting, r->log.ops, nr, &v);
	if (!print)
		return nr;
	f = open_memstream(&text, &size);
	if (!f)
		return nr;
	if (nr) {
		fuzz_print_ops(f, setting, r->log.ops, nr);
		fuzz_print_program(f, setting, r->log.ops, nr, &v);
	} else {
		fprintf(f, "not so in one thread; what went wrong:\n");
		fuzz_print_ops(f, setting, &r->wrong, 1);
		fprintf(f, "the last operations:\n");
		nr = r->log.nr < 40 ? r->log.nr : 40;
		fuzz_print_ops(f, setting, r->log.ops + r->log.nr - nr, nr);
	}
	fclose(f);
	print_comment(text);
	free(text);
	return nr;
}

/*
 * Run rounds until one fails. Returns 0 if none did; the number of operations
 * that reproduce the failure; or a negative errno.
 */
static long session(struct options *o)
{
	const __u64 start = ia_now_ms();
	__u64 random = o->seed;
	static struct round r;
	struct fuzz_setting setting = { .plant = o->plant };
	size_t done = 0, nr;
	long rc;

	while (done < o->ops &&
	       (!o->seconds || ia_now_ms() - start < o->seconds * 1000ULL)) {
		/* Drawn whether it counts or not, so that seeds stay the same */
		setting.threads = 1 + (int)(fuzz_mix(&random) % 3);
		setting.physical = fuzz_mix(&random) % 2;
		if (o->threads)
			setting.threads = o->threads;
		setting.physical = fuzz_have_physical &&
				   (o->physical || setting.physical);
		setting.rlimit = fuzz_mix(&random) % 5 ? 0 : 8 << 20;
		nr = o->quiet ? QUIET_OPS : ROUND_OPS;
		if (nr > o->ops - done)
			nr = o->ops - done;
		rc = run_round(&r, &setting, o->race, fuzz_mix(&random), nr);
		if (rc)
			return rc;
		if (r.verdict.bad) {
			rc = report(&r, !o->quiet);
			free(r.log.ops);
			return rc ?: LONG_MAX;
		}
		o->digest = o->digest * 31 + r.w.digest;
		done += r.log.nr ?: 1;
		free(r.log.ops);
	}
	if (!o->quiet) {
		printf("# seed %#llx: %zu operations in %llu ms", o->seed, done,
		       ia_now_ms() - start);
		if (!o->race)
			printf(", digest %#llx", o->digest);
		printf("; succeeded of");
		for (nr = 0; nr < OP_NR; nr++)
			printf(" %s %zu/%zu", fuzz_types[nr].name,
			       fuzz_succeeded[nr], fuzz_done[nr]);
		printf("\n");
		fflush(stdout);
	}
	return 0;
}

static __u64 new_seed(void)
{
	__u64 seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = ia_now_ms();
	return seed;
}

/* A session in a process that may be killed, with what it needs made there. */
static int rough_session(const struct fuzz_rough *rough, __u64 seed)
{
	struct options o = *(const struct options *)rough->options;

	o.seed = seed;
	o.race |= seed & 1;
	o.ops = rough->how & FUZZ_KILL ? SIZE_MAX : 4 * ROUND_OPS;
	fuzz_run_init();
	return session(&o) ? -EPROTO : 0;
}

static int rough(const struct options *o)
{
	const struct fuzz_rough rough = {
		.seed = o->seed,
		.ops = o->ops,
		.seconds = o->seconds,
		.how = o->how,
		.options = o,
		.session = rough_session,
	};

	return fuzz_rough(&rough);
}

/*
 * Tests
 */

FIXTURE(fuzz)
{
	struct options o;
};

FIXTURE_SETUP(fuzz)
{
	int fd = ia_open();

	if (fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, fd);
	close(fd);
	fuzz_run_init();
	if (!fuzz_have_devices)
		TH_LOG("no ioasid_mock: without DMA");
	self->o.ops = ia_slow_kernel() ? SLOW_OPS : FAST_OPS;
}

FIXTURE_TEARDOWN(fuzz)
{
}

static void run_seed(struct __test_metadata *_metadata, struct options *o,
		     __u64 seed)
{
	o->seed = seed;
	TH_LOG("seed %#llx", seed);
	ASSERT_EQ(0, session(o));
}

TEST_F(fuzz, seed_1)
{
	run_seed(_metadata, &self->o, 1);
}

TEST_F(fuzz, seed_2)
{
	run_seed(_metadata, &self->o, 2);
}

TEST_F(fuzz, seed_3)
{
	run_seed(_metadata, &self->o, 3);
}

/* A batch of an importer that is at its quota, and unmaps before it maps. */
TEST_F(fuzz, seed_120)
{
	run_seed(_metadata, &self->o, 120);
}

TEST_F(fuzz, seed_random)
{
	run_seed(_metadata, &self->o, new_seed());
}

/* Several threads at once; such a run does not repeat. */
TEST_F(fuzz, race_random)
{
	self->o.race = true;
	run_seed(_metadata, &self->o, new_seed());
}

/* Beside importers that come and go, with little memory, killed at any time. */
TEST_F(fuzz, beside_others)
{
	self->o.seed = new_seed();
	self->o.how = FUZZ_IMPORTERS | FUZZ_KILL;
	if (!access("/sys/fs/cgroup/memory.stat", R_OK))
		self->o.how |= FUZZ_HIGH;
	TH_LOG("seed %#llx", self->o.seed);
	ASSERT_EQ(0, rough(&self->o));
}

/* Each operation of a seed, and what came of it, is the same the next time. */
TEST_F(fuzz, seed_repeats)
{
	__u64 digest;

	self->o.ops = 2 * ROUND_OPS;
	run_seed(_metadata, &self->o, 4);
	digest = self->o.digest;
	self->o.digest = 0;
	run_seed(_metadata, &self->o, 4);
	EXPECT_EQ(digest, self->o.digest);
	self->o.digest = 0;
	run_seed(_metadata, &self->o, 5);
	EXPECT_NE(digest, self->o.digest);
}

/* A planted mistake of the model is found, and is shortened well. */
TEST_F(fuzz, fuzz_self)
{
	int plant;
	long nr;

	for (plant = PLANT_NONE + 1; plant < PLANT_NR; plant++) {
		if (plant >= PLANT_DATA && !fuzz_have_devices)
			continue;
		self->o.plant = plant;
		/* maximum, until it is found */
		self->o.ops = 5 * FAST_OPS;
		self->o.quiet = true;
		self->o.threads = 1;
		self->o.seed = plant;
		nr = session(&self->o);
		EXPECT_LT(0, nr) {
			TH_LOG("mistake %d is not found", plant);
		}
		EXPECT_GE(PLANT_OPS, nr) {
			TH_LOG("mistake %d takes %ld operations", plant, nr);
		}
	}
}

/* Reading the buffer that KCOV fills. */
TEST(kcov_buffer)
{
	unsigned long buf[8] = { 0 };

	EXPECT_EQ(0, kcov_new(buf, 8));
	buf[0] = 3;
	buf[1] = 0xffffffff81000010UL;
	buf[2] = 0xffffffff81000020UL;
	buf[3] = 0xffffffff81000010UL;
	buf[4] = 0xffffffff81000040UL;
	EXPECT_EQ(2, kcov_new(buf, 8));
	EXPECT_EQ(0, kcov_new(buf, 8));
	/* one more place */
	buf[0] = 4;
	EXPECT_EQ(1, kcov_new(buf, 8));
	/* places beyond the buffer are not read */
	buf[0] = 100;
	buf[7] = 0xffffffff81000080UL;
	buf[5] = buf[1];
	buf[6] = buf[1];
	EXPECT_EQ(1, kcov_new(buf, 8));
}

/*
 * As a tool
 */

static int replay(const char *path)
{
	struct fuzz_setting setting;
	struct fuzz_verdict v;
	struct fuzz_op *ops;
	size_t nr;
	FILE *f;
	long at;

	f = fopen(path, "re");
	if (!f || fuzz_read_ops(f, &setting, &ops, &nr)) {
		fprintf(stderr, "%s: no operations\n", path);
		return KSFT_FAIL;
	}
	fclose(f);
	at = fuzz_replay(&setting, ops, nr, &v);
	if (at >= 0) {
		printf("%ld: %s is %#llx, should be %#llx %s\n", at + 1, v.what,
		       v.got, v.want, v.why);
		nr = fuzz_shrink(&setting, ops, nr, &v);
		fuzz_print_ops(stdout, &setting, ops, nr);
		fuzz_print_program(stdout, &setting, ops, nr, &v);
	}
	free(ops);
	return at == -1 ? KSFT_PASS : KSFT_FAIL;
}

static int usage(const char *me)
{
	fprintf(stderr,
		"Usage: %s [--seed N] [--ops N] [--threads N] [--race] [--time SECONDS] [--physical] [--plant N]\n"
		"       %*s [--importers] [--high] [--kill]\n"
		"       %s --replay FILE\n"
		"       %s [options of a test program]\n", me,
		(int)strlen(me), "", me, me);
	return KSFT_FAIL;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "threads", required_argument, NULL, 't' },
		{ "race", no_argument, NULL, 'R' },
		{ "time", required_argument, NULL, 'T' },
		{ "physical", no_argument, NULL, 'P' },
		{ "importers", no_argument, NULL, 'I' },
		{ "high", no_argument, NULL, 'H' },
		{ "kill", no_argument, NULL, 'K' },
		{ "plant", required_argument, NULL, 'p' },
		{ "replay", required_argument, NULL, 'r' },
		{}
	};
	struct options o = { .ops = 100000 };
	int opt;

	if (argc < 2 || strncmp(argv[1], "--", 2))
		return test_harness_run(argc, argv);
	setlinebuf(stdout);
	o.seed = new_seed();
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (opt) {
		case 's':
			o.seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			o.ops = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o.threads = atoi(optarg);
			if (o.threads < 1 || o.threads > FUZZ_THREADS)
				return usage(argv[0]);
			o.race = o.threads > 1;
			break;
		case 'R':
			o.race = true;
			break;
		case 'T':
			o.seconds = atoi(optarg);
			o.ops = SIZE_MAX;
			break;
		case 'P':
			o.physical = true;
			break;
		case 'I':
			o.how |= FUZZ_IMPORTERS;
			break;
		case 'H':
			o.how |= FUZZ_HIGH;
			break;
		case 'K':
			o.how |= FUZZ_KILL;
			break;
		case 'p':
			o.plant = atoi(optarg);
			break;
		case 'r':
			fuzz_run_init();
			return replay(optarg);
		default:
			return usage(argv[0]);
		}
	}
	printf("# seed %#llx\n", o.seed);
	if (o.how)
		return rough(&o) ? KSFT_FAIL : KSFT_PASS;
	fuzz_run_init();
	return session(&o) ? KSFT_FAIL : KSFT_PASS;
}
