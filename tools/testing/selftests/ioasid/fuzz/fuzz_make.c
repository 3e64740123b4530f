// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: makes new operations up, one function for each type.
 */
#include "fuzz_worker.h"

bool one_in(struct worker *t, unsigned int n)
{
	return fuzz_mix(&t->random) % n == 0;
}

__u64 below(struct worker *t, __u64 n)
{
	return fuzz_mix(&t->random) % n;
}

const struct fuzz_space *space_of(struct worker *t, const struct fuzz_op *op)
{
	return &t->w->model->spaces[op->space];
}

bool is_window(const struct fuzz_op *op)
{
	return op->space >= FUZZ_WINDOW(0);
}

const struct fuzz_mapping *some_mapping(struct worker *t,
					const struct fuzz_space *s)
{
	return s->nr ? &s->maps[below(t, s->nr)] : NULL;
}

void make_id(struct worker *t, struct fuzz_op *op)
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

__u64 make_iova(struct worker *t, const struct fuzz_space *s)
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
	op->cut = below(t, 32);
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

/* An IOASID that mirrors the process; returns false if it is not to be one */
static bool make_mirror(struct worker *t, struct fuzz_op *op)
{
	if (!one_in(t, 16))
		return false;
	op->addr = IOASID_KIND_PROCESS;
	op->align = ONE_OF(t, 0, 0, 1);
	switch (below(t, 12)) {
	case 0:
		op->iova = make_parent(t);
		break;
	case 1:
		op->flags = 1U << below(t, 3);
		break;
	case 2:
		op->cut = make_grid(t);
		break;
	case 3:
		op->length = ONE_OF(t, 1, (__u64)QUEUE_OWN << 32);
		break;
	}
	return true;
}

static void make_alloc(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	op->space = t->nr * FUZZ_OWN + below(t, FUZZ_OWN);
	op->value = make_cookie(t);
	if (make_table(t, op) || make_mirror(t, op))
		return;
	op->addr = IOASID_KIND_MAP;
	if (one_in(t, 20))
		op->addr = ONE_OF(t, 0, IOASID_KIND_PGTABLE,
				  IOASID_KIND_PASID_TABLE, 5,
				  IOASID_KIND_PROCESS,
				  IOASID_KIND_IMPORT, -1U);
	if (one_in(t, 2))
		op->iova = one_in(t, 40) ? 0x7ffffff0 : make_parent(t);
	if (one_in(t, op->iova ? 24 : 2))
		op->flags = IOASID_ALLOC_NEST_PARENT;
	if (one_in(t, 2))
		op->flags |= IOASID_ALLOC_DIRTY;
	if (op->iova && one_in(t, 40))
		op->flags |= IOASID_ALLOC_DEMAND;
	op->cut = make_grid(t);
	if (one_in(t, 8))
		op->align = ONE_OF(t, 0, 1, 2, 3);
	if (one_in(t, 30))
		op->length = 1;
	if (one_in(t, 4))
		op->length |= one_in(t, 12) ? (__u64)QUEUE_NEVER << 32 :
					      (__u64)QUEUE_OWN << 32;
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

void make_memory(struct worker *t, struct fuzz_op *op)
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
	if (make_below_table(t, op))
		return;
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

/* Bytes that a bit of a bitmap stands for */
static __u64 make_block(struct worker *t)
{
	if (one_in(t, 24))
		return ONE_OF(t, 0, FUZZ_PAGE / 2, 3 * FUZZ_PAGE,
			      1024 * FUZZ_PAGE, 1ULL << 63);
	return FUZZ_PAGE << (one_in(t, 2) ? 0 : below(t, 10));
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
	if (one_in(t, space_of(t, op)->tracked ? 2 : 24)) {
		op->flags |= IOASID_UNMAP_DIRTY;
		op->cut = make_block(t);
	}
}

static void make_list(struct worker *t, struct fuzz_op *op)
{
	op->iova = one_in(t, 2) ? 0 : ONE_OF(t, 1, 5, 100, 0xffffffff);
	if (one_in(t, 2))
		op->iova = space_of(t, op)->id;
	op->length = one_in(t, 2) ? FUZZ_ENTRIES - 1 : below(t, 8);
	op->addr = one_in(t, 20);
}

static void make_events(struct worker *t, struct fuzz_op *op)
{
	op->length = one_in(t, 2) ? FUZZ_EVENTS : below(t, 4);
	op->addr = one_in(t, 20);
	op->value = one_in(t, 24);
	op->flags = one_in(t, 40);
}

static void make_option(struct worker *t, struct fuzz_op *op)
{
	const __u64 pinned = t->w->model->pinned;

	op->cut = one_in(t, 16) ? ONE_OF(t, 0, 6, -1U) : 1 + below(t, 5);
	op->flags = one_in(t, 2) ? IOASID_OPTION_GET : 0;
	if (one_in(t, 40))
		op->flags |= IOASID_OPTION_SEAL;
	if (!(op->flags & IOASID_OPTION_GET)) {
		if (op->cut == IOASID_OPTION_CHARGE)
			op->value = one_in(t, 8) ? ONE_OF(t, 3, -1ULL) :
				    below(t, 3);
		/* the model does not count the mappings of all threads */
		else if (op->cut == IOASID_OPTION_LIMIT_MAPPINGS ||
			 !one_in(t, 4))
			op->value = -1ULL;
		else if (op->cut == IOASID_OPTION_LIMIT_PINNED)
			op->value = one_in(t, 4) ? ONE_OF(t, 0, 1, 1 << 20) :
				    pinned + below(t, 64) * FUZZ_PAGE;
		else if (op->cut == IOASID_OPTION_LIMIT_PASIDS)
			op->value = below(t, 2 * FUZZ_PASIDS);
		else
			op->value = below(t, 16);
	} else if (one_in(t, 16)) {
		op->value = 1;
	}
	if (one_in(t, 32))
		op->align = 1;
}

/* Mostly one that can map the same memory. */
static __u8 other_space(struct worker *t, const struct fuzz_op *op)
{
	const struct fuzz_space *s;
	int try, at = 0;

	for (try = 0; try < 6; try++) {
		at = t->nr * FUZZ_OWN + below(t, FUZZ_OWN);
		s = &t->w->model->spaces[at];
		if (s->live && at != op->space &&
		    s->parent == space_of(t, op)->parent)
			break;
	}
	return at + 1;
}

static void make_batch(struct worker *t, struct fuzz_op *op)
{
	do {
		make_map(t, op);
	} while (op->flags & ~0xff);
	op->flags &= ~IOASID_MAP_FIXED;
	if (one_in(t, 3))
		op->flags |= ONE_OF(t, IOASID_MAP_PROTECT, IOASID_MAP_REPLACE,
				    IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
				    IOASID_MAP_SPLIT);
	op->size = SIZE_EXACT;
	op->iova = make_iova(t, space_of(t, op)) - below(t, 8) * FUZZ_PAGE;
	op->cut = 1 + below(t, one_in(t, 3) ? FUZZ_BATCH : 6);
	op->length = 0;
	op->align = 0;
	if (one_in(t, 3))
		op->align = fuzz_batch_others(other_space(t, op),
					      other_space(t, op));
	op->value = fuzz_mix(&t->random);
	if (op->mem < MEM_NR && one_in(t, 2))
		op->addr = below(t, 16) * FUZZ_PAGE;
	switch (below(t, 100)) {
	case 0:
		op->cut = 0;
		break;
	case 1:
		op->align |= 1;
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

static void make_queue(struct worker *t, struct fuzz_op *op)
{
	op->value = make_cookie(t);
	op->cut = 1 + below(t, 16);
	if (one_in(t, 12))
		op->cut = ONE_OF(t, 0, 65536, 65537, -1U);
	if (one_in(t, 20))
		op->align = 1;
	if (one_in(t, 24))
		op->flags = 1U << below(t, 32);
}

static void make_free_queue(struct worker *t, struct fuzz_op *op)
{
	if (one_in(t, 3))
		op->flags = IOASID_FREE_CASCADE;
	if (one_in(t, 16))
		op->value = 1;
}

static void make_set_dirty(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	op->flags = space_of(t, op)->tracked && one_in(t, 4) ?
		    IOASID_SET_DIRTY_OFF : IOASID_SET_DIRTY_ON;
	if (one_in(t, 2))
		op->flags |= IOASID_SET_DIRTY_COARSE;
	if (one_in(t, 16))
		op->flags = below(t, 8);
	if (one_in(t, 32))
		op->value = 1;
}

static void make_get_dirty(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_mapping *map;

	make_id(t, op);
	map = some_mapping(t, space_of(t, op));
	if (map && one_in(t, 2)) {
		op->iova = map->start;
		op->length = map->last + 1 - map->start;
	} else {
		op->iova = make_iova(t, space_of(t, op));
		op->length = make_length(t, space_of(t, op), op->iova);
	}
	op->cut = make_block(t);
	if (one_in(t, 3))
		op->flags = IOASID_GET_DIRTY_NO_CLEAR;
	op->addr = one_in(t, 20);
	if (one_in(t, 32))
		op->value = 1;
}

/* The process pays for all mappings already. */
static void make_rehome(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	if (one_in(t, 2))
		op->flags = IOASID_REHOME_PROBE;
	if (one_in(t, 16))
		op->value = 1;
	if (one_in(t, 32))
		op->length = 1;
	if (one_in(t, 32))
		op->iova = FUZZ_PAGE;
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
	prefer_table(t, op);
	if (one_in(t, 3))
		op->ref = REF_ZERO;
	op->mem = one_in(t, 8) ? ONE_OF(t, MEM_CLOSED, MEM_PIPE, MEM_MEMFD) :
		  MEM_RAW;
	op->value = make_cookie(t);
	if (one_in(t, 16))
		op->length = 1;
}

static void make_get_id(struct worker *t, struct fuzz_op *op)
{
	op->mem = one_in(t, 4) ? ONE_OF(t, MEM_CLOSED, MEM_PIPE, MEM_MEMFD) :
		  MEM_RAW;
	/* of any context */
	op->value = one_in(t, 3);
}

static void make_attach(struct worker *t, struct fuzz_op *op)
{
	make_id(t, op);
	prefer_table(t, op);
	if (one_in(t, 16))
		op->value = 1;
	if (one_in(t, 16))
		op->flags = below(t, 16);
	if (t->w->setting.physical != FUZZ_WITH_PASIDS || one_in(t, 3))
		return;
	op->flags = IOASID_ATTACH_PASID |
		    ONE_OF(t, 0, 0, 0, IOASID_ATTACH_NEW, IOASID_ATTACH_HITLESS);
	op->value = 1 + below(t, one_in(t, 12) ? 2 * FUZZ_PASIDS : FUZZ_PASIDS);
	if (one_in(t, 4)) {
		op->flags = IOASID_ATTACH_PASID_ANY |
			    ONE_OF(t, 0, 0, IOASID_ATTACH_NEW);
		op->value = 0;
	}
	aim_at_pasids(t, op);
}

static void make_detach(struct worker *t, struct fuzz_op *op)
{
	make_attach(t, op);
	op->flags &= one_in(t, 16) ? -1U : IOASID_DETACH_PASID;
	if (op->flags && !op->value)
		op->value = 1 + below(t, FUZZ_PASIDS);
	if (one_in(t, 2))
		op->ref = REF_ZERO;
}

/* DMA by a device, which has to be bound and attached first. */
static void make_dma(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_device *d = model_device(t->w->model, t->nr);
	const struct fuzz_mapping *map;
	const struct fuzz_space *s;
	int to;

	if (!d)
		return;
	if (t->w->setting.physical == FUZZ_WITH_PASIDS) {
		op->cut = below(t, FUZZ_PASIDS + 1);
		/* mostly one that is attached */
		if (d->routes[op->cut] < 0 && !one_in(t, 8))
			op->cut = below(t, FUZZ_PASIDS + 1);
	}
	to = model_route(t->w->model, op);
	if (!d->bound || (to < 0 && (!op->cut || one_in(t, 2)))) {
		const __u64 pasid = op->cut;

		op->cut = 0;
		make_id(t, op);
		prefer_table(t, op);
		if (d->bound && pasid) {
			op->flags = IOASID_ATTACH_PASID;
			op->value = pasid;
		}
		op->type = d->bound ? OP_ATTACH : OP_BIND;
		op->mem = MEM_RAW;
		if (d->bound)
			aim_at_pasids(t, op);
		return;
	}
	if (to >= 0 && make_way_to(t, op, to))
		return;
	if (to >= 0)
		op->space = to;
	s = space_of(t, op);
	/* some PASIDs of a table are not translated by it */
	if (s->kind == IOASID_KIND_PASID_TABLE && s->parent >= 0 && one_in(t, 4))
		s = &t->w->model->spaces[s->parent];
	map = some_mapping(t, s);
	op->iova = model_is_table(s) ? make_va(t, s) : make_iova(t, s);
	if (map && !model_is_table(s) && !one_in(t, 6)) {
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

const struct fuzz_maker fuzz_types[OP_NR] = {
	[OP_CHECK] = { "check", 5, make_check },
	[OP_ALLOC] = { "alloc", 44, make_alloc },
	[OP_FREE] = { "free", 15, make_free },
	[OP_INFO] = { "info", 26, make_info },
	[OP_MAP] = { "map", 214, make_map },
	[OP_UNMAP] = { "unmap", 180, make_unmap },
	[OP_LIST] = { "list", 8, make_list },
	[OP_OPTION] = { "option", 10, make_option },
	[OP_BATCH] = { "batch", 38, make_batch },
	[OP_URING] = { "uring", 18, make_batch },
	[OP_QUERY] = { "query", 20, make_query },
	[OP_PROTECT] = { "protect", 28, make_protect },
	[OP_REPLACE] = { "replace", 32, make_replace },
	[OP_EXPORT] = { "export", 7, make_export },
	[OP_IMPORT] = { "import", 14, make_import },
	[OP_BIND_TABLE] = { "bind_table", 9, make_bind_table },
	[OP_UNBIND_TABLE] = { "unbind_table", 2, make_unbind_table },
	[OP_BIND_PASIDS] = { "bind_pasids", 4, make_bind_table },
	[OP_UNBIND_PASIDS] = { "unbind_pasids", 1, make_unbind_table },
	[OP_INVALIDATE] = { "invalidate", 6, make_invalidate },
	[OP_QUEUE] = { "queue", 5, make_queue },
	[OP_FREE_QUEUE] = { "free_queue", 3, make_free_queue },
	[OP_SET_DIRTY] = { "set_dirty", 6, make_set_dirty },
	[OP_GET_DIRTY] = { "get_dirty", 10, make_get_dirty },
	[OP_REHOME] = { "rehome", 6, make_rehome },
	[OP_DEVICE_INFO] = { "device_info", 8, make_device_info },
	[OP_EVENTS] = { "events", 6, make_events },
	[OP_UNKNOWN] = { "unknown", 2, make_nothing },
	[OP_BIND] = { "bind", 5, make_bind },
	[OP_GET_ID] = { "get_id", 3, make_get_id },
	[OP_ATTACH] = { "attach", 22, make_attach },
	[OP_DETACH] = { "detach", 6, make_detach },
	[OP_REOPEN] = { "reopen", 1, make_nothing },
	[OP_DMA_READ] = { "dma_read", 121, make_dma },
	[OP_DMA_WRITE] = { "dma_write", 50, make_dma },
	[OP_ENTRY] = { "entry", 8, make_entry },
	[OP_STATE] = { "state", 6, make_nothing },
	[OP_CHAOS] = { "chaos", 49, make_chaos },
	[OP_CHAOS_CHECK] = { "chaos_check", 2, make_nothing },
};

/* Windows of other threads are not checked. */
void keep_in_window(struct fuzz_op *op)
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
	case OP_URING:
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

bool makes_sense_spoilt(const struct fuzz_op *op)
{
	return fuzz_maps(op) || op->type == OP_UNMAP;
}

void make_new(struct worker *t, struct fuzz_op *op)
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
