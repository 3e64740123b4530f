// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model: its spaces, their mappings, and what follows from them.
 */
#include <stdlib.h>

#include "fuzz_judge.h"

__u64 base_of(const struct fuzz_memory *mem)
{
	return (__u64)(unsigned long)mem->base;
}

bool page_aligned(__u64 x)
{
	return !(x % FUZZ_PAGE);
}

bool grid(__u64 size)
{
	return size >= FUZZ_PAGE && !(size & (size - 1));
}

bool is_range(__u64 start, __u64 length)
{
	return length && start + (length - 1) >= start;
}

/*
 * Spaces
 */

bool is_import(const struct fuzz_space *s)
{
	return s->export.nr;
}

bool model_is_map(const struct fuzz_space *s)
{
	return s->kind == IOASID_KIND_MAP;
}

__u64 model_base(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return s->via < 0 ? 0 : m->spaces[s->via].export.start;
}

const struct fuzz_export *terms(const struct fuzz_model *m,
				const struct fuzz_space *s)
{
	return s->via < 0 ? NULL : &m->spaces[s->via].export;
}

bool is_memory(const struct fuzz_mapping *map)
{
	return !(map->flags & IOASID_MAP_RESERVE);
}

__u64 mappings_of(const struct fuzz_model *m, const struct fuzz_export *export)
{
	const struct fuzz_space *c;
	__u64 sum = 0;
	size_t i;

	for (c = m->spaces; c < m->spaces + FUZZ_WINDOW(0); c++)
		if (c->live && c->via >= 0 &&
		    m->spaces[c->via].export.nr == export->nr)
			for (i = 0; i < c->nr; i++)
				sum += is_memory(&c->maps[i]);
	return sum;
}

__u64 mappings_left(const struct fuzz_model *m,
		    const struct fuzz_export *export)
{
	const __u64 nr = mappings_of(m, export);

	if (export->max == ALL_ONES)
		return ALL_ONES;
	return nr < export->max ? export->max - nr : 0;
}

struct fuzz_space *named(struct fuzz_model *m, const struct fuzz_op *op)
{
	struct fuzz_space *s = &m->spaces[op->space];

	return op->ref == REF_SPACE && s->live && !is_import(s) ? s : NULL;
}

struct fuzz_space *named_any(struct fuzz_model *m, const struct fuzz_op *op)
{
	struct fuzz_space *s = &m->spaces[op->space];

	return op->ref == REF_SPACE && s->live ? s : NULL;
}

struct fuzz_mapping *model_find(const struct fuzz_space *s, __u64 iova)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (iova >= s->maps[i].start && iova <= s->maps[i].last)
			return &s->maps[i];
	return NULL;
}

struct fuzz_mapping *first_in(const struct fuzz_space *s, __u64 start,
			      __u64 last)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (s->maps[i].start <= last && s->maps[i].last >= start)
			return &s->maps[i];
	return NULL;
}

void insert(struct fuzz_space *s, const struct fuzz_mapping *new)
{
	size_t i = s->nr;

	if (s->nr == s->room) {
		s->room = 2 * s->room + 16;
		s->maps = realloc(s->maps, s->room * sizeof(*s->maps));
		if (!s->maps)
			abort();
	}
	for (; i > 0 && s->maps[i - 1].start > new->start; i--)
		s->maps[i] = s->maps[i - 1];
	s->maps[i] = *new;
	s->nr++;
}

bool charges_once(const struct fuzz_model *m)
{
	return m->option[CHARGE] == IOASID_CHARGE_ONCE;
}

__u64 charge_once(struct fuzz_model *m, int mem, __u64 offset, __u64 length,
		  int change)
{
	__u64 at, sum = 0;

	for (at = offset; at < offset + length; at += FUZZ_PAGE) {
		__u16 *users = &m->users[mem][at / FUZZ_PAGE];

		if (change < 0)
			--*users;
		if (!*users)
			sum += FUZZ_PAGE;
		if (change > 0)
			++*users;
	}
	return sum;
}

bool is_child(const struct fuzz_space *s)
{
	return s->parent_id;
}

void account(struct fuzz_model *m, struct fuzz_space *s, __u64 bytes)
{
	s->mapped += bytes;
	if (!is_child(s))
		m->pinned += bytes;
}

__u64 cut_out(struct fuzz_model *m, struct fuzz_space *s, __u64 start,
	      __u64 last)
{
	struct fuzz_mapping *map, old, piece;
	__u64 sum = 0, from, to, length;
	bool all = false;

	forget_written(s, start, last);
	while ((map = first_in(s, start, last))) {
		old = *map;
		memmove(map, map + 1,
			(s->maps + s->nr - (map + 1)) * sizeof(*map));
		s->nr--;
		from = old.start > start ? old.start : start;
		to = old.last < last ? old.last : last;
		sum += to - from + 1;
		/* the whole 64 bit space */
		all |= !sum;
		if (is_memory(&old)) {
			length = to - from + 1;
			if (m->plant == PLANT_CHARGE && from != old.start)
				length -= FUZZ_PAGE;
			account(m, s, -length);
			if (charges_once(m) && !is_child(s))
				m->once -= charge_once(m, old.mem, old.offset +
						       (from - old.start),
						       length, -1);
		}
		if (old.start < from) {
			piece = old;
			piece.last = from - 1;
			insert(s, &piece);
		}
		if (old.last > to) {
			piece = old;
			piece.start = to + 1;
			if (m->plant != PLANT_DATA)
				piece.offset += piece.start - old.start;
			insert(s, &piece);
		}
	}
	return all ? ALL_ONES : sum;
}

void split(struct fuzz_space *s, __u64 at)
{
	struct fuzz_mapping *map = model_find(s, at), tail;

	if (!map || map->start == at)
		return;
	tail = *map;
	tail.start = at;
	tail.offset += at - map->start;
	map->last = at - 1;
	insert(s, &tail);
}

/*
 * Children
 */

bool refers(const struct fuzz_mapping *map, __u64 start, __u64 last,
	    __u64 *from, __u64 *to)
{
	const __u64 end = map->offset + (map->last - map->start);

	if (!is_memory(map) || map->offset > last || end < start)
		return false;
	*from = map->start + (start > map->offset ? start - map->offset : 0);
	*to = last < end ? map->last - (end - last) : map->last;
	return true;
}

/* The first mapping of a child that refers to a part of the range. */
static struct fuzz_mapping *reference(struct fuzz_model *m,
				      const struct fuzz_space *s, __u64 start,
				      __u64 last, struct fuzz_space **child,
				      __u64 *from, __u64 *to)
{
	struct fuzz_space *c;
	size_t i;

	if (!s->children)
		return NULL;
	for (c = m->spaces; c < m->spaces + FUZZ_WINDOW(0); c++) {
		if (!c->live || c->parent != s - m->spaces)
			continue;
		for (i = 0; i < c->nr; i++)
			if (refers(&c->maps[i], start, last, from, to)) {
				*child = c;
				return &c->maps[i];
			}
	}
	return NULL;
}

bool referred(struct fuzz_model *m, const struct fuzz_space *s, __u64 start,
	      __u64 last)
{
	struct fuzz_space *child;
	__u64 from, to;

	return reference(m, s, start, last, &child, &from, &to);
}

/* @told: the unmap came by an import, of which there are events */
static void cascade_by(struct fuzz_model *m, struct fuzz_space *s, __u64 start,
		       __u64 last, bool told)
{
	struct fuzz_space *child;
	__u64 from, to;
	bool tell;

	while (reference(m, s, start, last, &child, &from, &to)) {
		tell = told || child->via >= 0;
		cascade_by(m, child, from, to, tell);
		cut_out(m, child, from, to);
		if (tell)
			child->event = EVENT_PENDING;
	}
}

void cascade(struct fuzz_model *m, struct fuzz_space *s, __u64 start,
	     __u64 last)
{
	cascade_by(m, s, start, last, false);
}

void take_back(struct fuzz_model *m, struct fuzz_space *s)
{
	size_t i = 0;

	while (i < s->nr) {
		if (!is_memory(&s->maps[i])) {
			i++;
			continue;
		}
		cascade(m, s, s->maps[i].start, s->maps[i].last);
		cut_out(m, s, s->maps[i].start, s->maps[i].last);
	}
}

bool on_grid(const struct fuzz_mapping *map, __u64 at)
{
	return map->cut && !(at & (map->cut - 1));
}

bool descends(const struct fuzz_model *m, const struct fuzz_space *s,
	      const struct fuzz_space *from)
{
	while (s->live && s->parent >= 0) {
		s = &m->spaces[s->parent];
		if (s == from)
			return true;
	}
	return false;
}

bool goes(const struct fuzz_model *m, const struct fuzz_space *s, __u64 start,
	  __u64 last, const struct fuzz_space *c, __u64 iova, __u64 *more)
{
	const struct fuzz_mapping *map;
	__u64 end;

	*more = ALL_ONES;
	while (c != s) {
		map = model_find(c, iova);
		if (!map || !is_memory(map)) {
			*more = 0;
			return false;
		}
		if (map->last - iova < *more)
			*more = map->last - iova;
		iova = map->offset + (iova - map->start);
		c = &m->spaces[c->parent];
	}
	end = iova < start ? start - 1 : iova <= last ? last : ALL_ONES;
	if (end - iova < *more)
		*more = end - iova;
	return iova >= start && iova <= last;
}

/* Whether the unmap cuts a mapping of a descendant off its grid. */
static enum cut cuts_off_grid(const struct fuzz_model *m,
			      const struct fuzz_space *s, __u64 start,
			      __u64 last, const struct fuzz_space *c,
			      const struct fuzz_mapping *map)
{
	const struct fuzz_space *parent = &m->spaces[c->parent];
	const __u64 end = map->offset + (map->last - map->start);
	enum cut cut = CUT_NOT;
	__u64 at, more;
	bool was, is;

	if (parent == s)
		return (map->offset < start && end >= start &&
			!on_grid(map, map->start + (start - map->offset))) ||
		       (map->offset <= last && end > last &&
			!on_grid(map, map->start + (last + 1 - map->offset))) ?
		       CUT_MUST : CUT_NOT;
	was = goes(m, s, start, last, c, map->start, &more);
	for (at = map->start; map->last - at > more; was = is) {
		at += more + 1;
		is = goes(m, s, start, last, c, at, &more);
		if (on_grid(map, at))
			continue;
		if (is != was)
			return CUT_MUST;
		/* the mappings that it spans, one after the other */
		if (is &&
		    model_find(parent, map->offset + (at - map->start))->start ==
		    map->offset + (at - map->start))
			cut = CUT_PERHAPS;
	}
	return cut;
}

enum cut cuts_children(const struct fuzz_model *m, const struct fuzz_space *s,
		       __u64 start, __u64 last)
{
	const struct fuzz_space *c;
	enum cut cut = CUT_NOT, one;
	size_t i;

	if (!s->children)
		return cut;
	for (c = m->spaces; c < m->spaces + FUZZ_WINDOW(0); c++) {
		if (!descends(m, c, s))
			continue;
		for (i = 0; i < c->nr; i++) {
			if (!is_memory(&c->maps[i]))
				continue;
			one = cuts_off_grid(m, s, start, last, c, &c->maps[i]);
			if (one > cut)
				cut = one;
		}
	}
	return cut;
}

__u64 seen_children(const struct fuzz_space *s, __u64 got)
{
	if (got > (__u64)s->children && got - s->children <= (__u64)s->orphaned)
		return got;
	return s->children;
}

bool is_orphan(const struct fuzz_space *s)
{
	return is_child(s) && s->parent < 0;
}

int model_memory(const struct fuzz_model *m, const struct fuzz_space *s,
		 __u64 iova, __u64 *offset)
{
	const struct fuzz_mapping *map = model_find(s, iova);

	*offset = map->offset + (iova - map->start);
	if (!is_child(s))
		return map->mem;
	return model_memory(m, &m->spaces[s->parent], *offset, offset);
}

/* Whether a device is attached, or attached to a table whose parent it is. */
static bool in_use(const struct fuzz_model *m, const struct fuzz_space *s)
{
	const struct fuzz_space *c;

	if (s->devices)
		return true;
	if (!s->children || !s->nest_parent)
		return false;
	for (c = m->spaces; c < m->spaces + FUZZ_WINDOW(0); c++)
		if (c->live && model_is_table(c) && c->devices &&
		    c->parent == s - m->spaces)
			return true;
	return false;
}

bool restricted(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return m->physical && !model_is_table(s) && in_use(m, s);
}

__u64 permitted(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return restricted(m, s) ? PHYSICAL_LAST : ALL_ONES;
}

__u64 pgsizes(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return restricted(m, s) ? PHYSICAL_PGSIZES : m->machine.pgsizes;
}

__u64 memory_beyond(const struct fuzz_space *s, __u64 last)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (is_memory(&s->maps[i]) && s->maps[i].last > last)
			return s->maps[i].start > last ? s->maps[i].start :
			       last + 1;
	return 0;
}

/* The lowest free place for @length bytes that is @rest modulo @align. */
static bool choose_aligned(const struct fuzz_model *m,
			   const struct fuzz_space *s, __u64 length,
			   __u64 align, __u64 rest, __u64 *iova)
{
	const __u64 end = permitted(m, s);
	__u64 at = restricted(m, s) ? FUZZ_PAGE : LOWEST_CHOICE, next;
	struct fuzz_mapping *taken;

	for (;;) {
		next = at + ((rest - at) & (align - 1));
		if (next < at || !is_range(next, length) ||
		    next + (length - 1) > end)
			return false;
		taken = first_in(s, next, next + length - 1);
		if (!taken) {
			*iova = next;
			return true;
		}
		if (taken->last == ALL_ONES)
			return false;
		at = taken->last + 1;
	}
}

bool choose(const struct fuzz_model *m, const struct fuzz_space *s,
	    const struct ioasid_map_dma *in, __u64 *iova)
{
	const __u64 sizes = pgsizes(m, s);
	__u64 align = FUZZ_PAGE;
	int bit;

	if (in->alignment)
		return choose_aligned(m, s, in->length, in->alignment, 0, iova);
	for (bit = 12; bit < 63; bit++)
		if (sizes >> bit & 1 && 1ULL << bit <= in->length)
			align = 1ULL << bit;
	return choose_aligned(m, s, in->length, align,
			      in->addr & (align - 1), iova) ||
	       choose_aligned(m, s, in->length, FUZZ_PAGE, 0, iova);
}

/*
 * The context
 */

bool model_limited(const struct fuzz_model *m)
{
	return m->rlimit || charges_once(m) ||
	       m->option[LIMIT_PINNED] != ALL_ONES ||
	       m->option[LIMIT_IOASIDS] != ALL_ONES ||
	       m->option[LIMIT_PASIDS] != ALL_ONES;
}

__u64 all_pinned(const struct fuzz_model *m)
{
	return m->pinned + m->chaos_pinned;
}

__u64 left_of(__u64 limit, __u64 used)
{
	if (limit == ALL_ONES)
		return ALL_ONES;
	return used < limit ? limit - used : 0;
}

__u64 all_charged(const struct fuzz_model *m)
{
	return charges_once(m) ? m->once : all_pinned(m);
}

__u64 bytes_left(const struct fuzz_model *m)
{
	__u64 context = left_of(m->option[LIMIT_PINNED], all_pinned(m));
	__u64 process = left_of(m->rlimit ?: ALL_ONES, all_charged(m));

	return context < process ? context : process;
}

struct fuzz_device *model_device(struct fuzz_model *m, int thread)
{
	return thread < FUZZ_DEVICES ? &m->devices[thread] : NULL;
}

int model_route(const struct fuzz_model *m, const struct fuzz_op *op)
{
	const int *routes = m->devices[op->thread].routes;

	if (routes[0] >= 0 &&
	    m->spaces[routes[0]].kind == IOASID_KIND_PASID_TABLE)
		return routes[0];
	return routes[op->cut];
}

__u32 model_id(const struct fuzz_model *m, const struct fuzz_op *op)
{
	switch (op->ref) {
	case REF_ZERO:
		return 0;
	case REF_NEVER:
		return 0x7ffffff0;
	case REF_DEVICE:
		return op->thread < FUZZ_DEVICES ?
		       m->devices[op->thread].id : 0;
	}
	return m->spaces[op->space].id;
}

/* Whether it makes a root that pins when it likes, which fuzz_served.c is for. */
static bool makes_demand(const struct fuzz_model *m, const struct fuzz_op *op)
{
	const int parent = fuzz_parent(op);

	return op->flags & IOASID_ALLOC_DEMAND &&
	       op->addr == IOASID_KIND_MAP &&
	       !(parent < 0 ? op->iova : m->spaces[parent].id);
}

bool model_applies(const struct fuzz_model *m, const struct fuzz_op *op)
{
	const struct fuzz_device *d = NULL;

	if (op->thread < FUZZ_DEVICES)
		d = &m->devices[op->thread];
	switch (op->type) {
	case OP_ALLOC:
		return !m->spaces[op->space].live && !makes_demand(m, op);
	case OP_IMPORT:
		return !m->spaces[op->space].live;
	case OP_URING:
		return m->machine.has_ring;
	case OP_QUEUE:
		return !m->queues[op->thread].live;
	case OP_SET_DIRTY:
	case OP_GET_DIRTY:
		/* of the space that all threads share, only one could decide */
		return m->machine.tracks && op->space < FUZZ_WINDOW(0);
	case OP_BIND:
	case OP_GET_ID:
	case OP_ATTACH:
	case OP_DETACH:
	case OP_REOPEN:
		return d && m->machine.have_devices;
	case OP_CHAOS:
		return !model_limited(m);
	case OP_DMA_READ:
	case OP_DMA_WRITE:
		if (!d || !m->machine.have_devices || !d->bound)
			return false;
		if (m->physical == FUZZ_WITH_PASIDS)
			return model_may_walk(m, op);
		return !op->cut && d->routes[0] >= 0;
	case OP_ENTRY:
		/* no unit reads the tables of others */
		return model_nests(m, op->thread) &&
		       m->machine.mems[MEM_TABLE].base;
	}
	return true;
}
