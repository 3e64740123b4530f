// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model of /dev/ioasid, see fuzz_model.h.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdlib.h>

#include "fuzz_model.h"

#define ALL_ONES (~0ULL)
#define LOWEST_CHOICE 0x100000000ULL
/* Addresses that the model IOMMU can translate. */
#define PHYSICAL_LAST 0xffffffffffffULL
#define PHYSICAL_PGSIZES 0x40201000ULL
#define NO_OFFSET ALL_ONES

#define CHARGE IOASID_OPTION_CHARGE
#define LIMIT_PINNED IOASID_OPTION_LIMIT_PINNED
#define LIMIT_IOASIDS IOASID_OPTION_LIMIT_IOASIDS

/*
 * An error that the documentation permits, and the addresses it may come with.
 */
struct error {
	int error;
	bool told;
	__u64 at;
	__u64 to;
};

struct judge {
	struct fuzz_model *m;
	const struct fuzz_op *op;
	const struct fuzz_result *r;
	struct fuzz_verdict *v;
	struct error errors[32];
	int nr;
	/* the command may fail in this way, or succeed */
	int perhaps[8];
	int nr_perhaps;
	/* of a batch: total length that its operations unmap */
	__u64 *unmapped;
};

static __attribute__((format(printf, 5, 6)))
void bad(struct judge *j, __u64 want, __u64 got, const char *why,
	 const char *what, ...)
{
	va_list args;

	if (j->v->bad)
		return;
	j->v->bad = true;
	j->v->want = want;
	j->v->got = got;
	va_start(args, what);
	vsnprintf(j->v->what, sizeof(j->v->what), what, args);
	va_end(args);
	snprintf(j->v->why, sizeof(j->v->why), "%s", why);
}

static void same(struct judge *j, __u64 want, __u64 got, const char *what)
{
	if (want != got)
		bad(j, want, got, "", "%s", what);
}

/* A field of the structure afterwards. */
#define SAME(want, field) same(j, want, j->r->arg.field, #field)

static void fails_within(struct judge *j, bool condition, int error, __u64 at,
			 __u64 to)
{
	if (condition)
		j->errors[j->nr++] = (struct error){ error, true, at, to };
}

static void fails_at(struct judge *j, bool condition, int error, __u64 at)
{
	fails_within(j, condition, error, at, at);
}

static void fails_if(struct judge *j, bool condition, int error)
{
	if (condition)
		j->errors[j->nr++] = (struct error){ .error = error };
}

static void perhaps(struct judge *j, int error)
{
	j->perhaps[j->nr_perhaps++] = error;
}

static bool may_perhaps(const struct judge *j, int error)
{
	int i;

	for (i = 0; i < j->nr_perhaps; i++)
		if (j->perhaps[i] == error)
			return true;
	return false;
}

/* Whether the command may have failed with this error. */
static bool may_fail(const struct judge *j, int error)
{
	int i;

	for (i = 0; i < j->nr; i++)
		if (j->errors[i].error == error)
			return true;
	return may_perhaps(j, error);
}

/* Checks that all commands share. */
enum writes { WRITES_NOTHING, WRITES_PERHAPS, WRITES };

static void common(struct judge *j, __u32 flags, __u32 known,
		   enum writes writes)
{
	fails_if(j, flags & ~known, EOPNOTSUPP);
	switch (j->op->size) {
	case SIZE_ZERO:
		fails_if(j, true, EINVAL);
		break;
	case SIZE_SHORT:
		/* the first release had a shorter structure */
		fails_if(j, j->op->type != OP_INFO, EINVAL);
		break;
	case SIZE_DIRTY:
	case SIZE_BEYOND:
	case SIZE_ALL_ONES:
		fails_if(j, true, E2BIG);
		break;
	case SIZE_NOWHERE:
	case SIZE_CROSSING:
		fails_if(j, true, EFAULT);
		break;
	case SIZE_READONLY:
		fails_if(j, writes == WRITES, EFAULT);
		if (writes == WRITES_PERHAPS)
			perhaps(j, EFAULT);
		break;
	}
}

/* Whether it succeeded. Judges the errno. */
static bool succeeded(struct judge *j)
{
	const int rc = j->r->rc;
	char why[160] = "";
	int i, n = 0;

	if (rc >= 0 && !j->nr)
		return true;
	if (rc < 0 && may_fail(j, -rc))
		return false;
	for (i = 0; i < j->nr && n < (int)sizeof(why); i++)
		n += snprintf(why + n, sizeof(why) - n, " -%d",
			      j->errors[i].error);
	bad(j, j->nr ? -j->errors[0].error : 0, rc, why, "rc");
	return false;
}

static __u64 base_of(const struct fuzz_memory *mem)
{
	return (__u64)(unsigned long)mem->base;
}

static bool page_aligned(__u64 x)
{
	return !(x % FUZZ_PAGE);
}

static bool grid(__u64 size)
{
	return size >= FUZZ_PAGE && !(size & (size - 1));
}

/* Whether @length bytes from @start on are a range. */
static bool is_range(__u64 start, __u64 length)
{
	return length && start + (length - 1) >= start;
}

/*
 * Spaces
 */

/* A space that is a parent, and has no other use. */
static bool is_import(const struct fuzz_space *s)
{
	return s->export.nr;
}

__u64 model_base(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return s->via < 0 ? 0 : m->spaces[s->via].export.start;
}

/* The terms of an import for the maps of its children. */
static const struct fuzz_export *terms(const struct fuzz_model *m,
				       const struct fuzz_space *s)
{
	return s->via < 0 ? NULL : &m->spaces[s->via].export;
}

static bool is_memory(const struct fuzz_mapping *map)
{
	return !(map->flags & IOASID_MAP_RESERVE);
}

/* Number of mappings of an export. */
static __u64 mappings_of(const struct fuzz_model *m,
			 const struct fuzz_export *export)
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

/* Number of mappings that may be added. */
static __u64 mappings_left(const struct fuzz_model *m,
			   const struct fuzz_export *export)
{
	const __u64 nr = mappings_of(m, export);

	if (export->max == ALL_ONES)
		return ALL_ONES;
	return nr < export->max ? export->max - nr : 0;
}

/* The space that the command names, NULL if there is none. */
static struct fuzz_space *named(struct fuzz_model *m, const struct fuzz_op *op)
{
	struct fuzz_space *s = &m->spaces[op->space];

	return op->ref == REF_SPACE && s->live && !is_import(s) ? s : NULL;
}

/* The same, or an import. */
static struct fuzz_space *named_any(struct fuzz_model *m,
				    const struct fuzz_op *op)
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

/* The first mapping that has a byte in the range. */
static struct fuzz_mapping *first_in(const struct fuzz_space *s, __u64 start,
				     __u64 last)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (s->maps[i].start <= last && s->maps[i].last >= start)
			return &s->maps[i];
	return NULL;
}

static void insert(struct fuzz_space *s, const struct fuzz_mapping *new)
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

static bool charges_once(const struct fuzz_model *m)
{
	return m->option[CHARGE] == IOASID_CHARGE_ONCE;
}

/* Number of bytes of a piece that are charged anew, or released. */
static __u64 charge_once(struct fuzz_model *m, int mem, __u64 offset,
			 __u64 length, int change)
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

/* Map memory of the parent, which pins none. */
static bool is_child(const struct fuzz_space *s)
{
	return s->parent_id;
}

static void account(struct fuzz_model *m, struct fuzz_space *s, __u64 bytes)
{
	s->mapped += bytes;
	if (!is_child(s))
		m->pinned += bytes;
}

/* Unmap the range; returns the number of bytes. */
static __u64 cut_out(struct fuzz_model *m, struct fuzz_space *s, __u64 start,
		     __u64 last)
{
	struct fuzz_mapping *map, old, piece;
	__u64 sum = 0, from, to, length;
	bool all = false;

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

/* Split a mapping that spans @at. */
static void split(struct fuzz_space *s, __u64 at)
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

/* Whether @map has memory of the parent's range; if so, at which IOVAs. */
static bool refers(const struct fuzz_mapping *map, __u64 start, __u64 last,
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

static bool referred(struct fuzz_model *m, const struct fuzz_space *s,
		     __u64 start, __u64 last)
{
	struct fuzz_space *child;
	__u64 from, to;

	return reference(m, s, start, last, &child, &from, &to);
}

/* Unmap the range from all children, and from theirs. */
static void cascade(struct fuzz_model *m, struct fuzz_space *s, __u64 start,
		    __u64 last)
{
	struct fuzz_space *child;
	__u64 from, to;

	while (reference(m, s, start, last, &child, &from, &to)) {
		cascade(m, child, from, to);
		cut_out(m, child, from, to);
	}
}

/* Unmap all references to the parent from a child. */
static void take_back(struct fuzz_model *m, struct fuzz_space *s)
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

static bool on_grid(const struct fuzz_mapping *map, __u64 at)
{
	return map->cut && !(at & (map->cut - 1));
}

static bool descends(const struct fuzz_model *m, const struct fuzz_space *s,
		     const struct fuzz_space *from)
{
	while (s->live && s->parent >= 0) {
		s = &m->spaces[s->parent];
		if (s == from)
			return true;
	}
	return false;
}

/*
 * Whether memory at @iova of a descendant is in the range of @s; @more is the
 * number of further bytes in it, in one mapping of each level.
 */
static bool goes(const struct fuzz_model *m, const struct fuzz_space *s,
		 __u64 start, __u64 last, const struct fuzz_space *c,
		 __u64 iova, __u64 *more)
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

enum cut { CUT_NOT, CUT_PERHAPS, CUT_MUST };

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

/* The same for all descendants. */
static enum cut cuts_children(const struct fuzz_model *m,
			      const struct fuzz_space *s, __u64 start,
			      __u64 last)
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

/*
 * A cascading unmap failed: find the mappings of a descendant that were
 * unmapped or cut nevertheless.
 */
static void see_child(struct judge *j, struct fuzz_space *s, __u64 start,
		      __u64 last, struct fuzz_space *c)
{
	struct ioasid_query_entry entry;
	struct fuzz_mapping *map;
	__u64 at, end, more;
	size_t i;

	for (i = 0; i < c->nr && !j->v->bad; i++) {
		map = &c->maps[i];
		if (!is_memory(map))
			continue;
		if (!fuzz_query(j->m->fd, c->id, map->start, &entry))
			entry.iova = ALL_ONES;
		if (entry.iova <= map->start) {
			end = entry.iova + (entry.length - 1);
			if (end >= map->last)
				continue;
			split(c, end + 1);
			continue;
		}
		end = entry.iova - 1 < map->last ? entry.iova - 1 : map->last;
		for (at = map->start; ; at += more + 1) {
			if (!goes(j->m, s, start, last, c, at, &more))
				bad(j, at, 0, "is not mapped any more",
				    "lost by id[%d]", (int)(c - j->m->spaces));
			if (more >= end - at || j->v->bad)
				break;
		}
		cut_out(j->m, c, map->start, end);
		i--;
	}
}

static void see_children(struct judge *j, struct fuzz_space *s, __u64 start,
			 __u64 last)
{
	struct fuzz_space *c;
	int level;

	if (!s->children)
		return;
	/* references are found through the spaces in between */
	for (level = j->m->depth; level > s->level; level--)
		for (c = j->m->spaces; c < j->m->spaces + FUZZ_WINDOW(0); c++)
			if (c->level == level && descends(j->m, c, s))
				see_child(j, s, start, last, c);
}

/* Number of children to expect, if the kernel says @got. */
static __u64 seen_children(const struct fuzz_space *s, __u64 got)
{
	if (got > (__u64)s->children && got - s->children <= (__u64)s->orphaned)
		return got;
	return s->children;
}

static bool is_orphan(const struct fuzz_space *s)
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

static bool restricted(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return m->physical && s->devices;
}

/* The last IOVA that the devices permit. */
static __u64 permitted(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return restricted(m, s) ? PHYSICAL_LAST : ALL_ONES;
}

static __u64 pgsizes(const struct fuzz_model *m, const struct fuzz_space *s)
{
	return restricted(m, s) ? PHYSICAL_PGSIZES : m->pgsizes;
}

/* The first IOVA beyond @last that maps memory; 0 if there is none. */
static __u64 memory_beyond(const struct fuzz_space *s, __u64 last)
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

static bool choose(const struct fuzz_model *m, const struct fuzz_space *s,
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
	       m->option[LIMIT_IOASIDS] != ALL_ONES;
}

static __u64 all_pinned(const struct fuzz_model *m)
{
	return m->pinned + m->chaos_pinned;
}

static __u64 left_of(__u64 limit, __u64 used)
{
	if (limit == ALL_ONES)
		return ALL_ONES;
	return used < limit ? limit - used : 0;
}

/* The charge of the process. */
static __u64 all_charged(const struct fuzz_model *m)
{
	return charges_once(m) ? m->once : all_pinned(m);
}

static __u64 bytes_left(const struct fuzz_model *m)
{
	__u64 context = left_of(m->option[LIMIT_PINNED], all_pinned(m));
	__u64 process = left_of(m->rlimit ?: ALL_ONES, all_charged(m));

	return context < process ? context : process;
}

struct fuzz_device *model_device(struct fuzz_model *m, int thread)
{
	return thread < FUZZ_DEVICES ? &m->devices[thread] : NULL;
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

bool model_applies(const struct fuzz_model *m, const struct fuzz_op *op)
{
	const struct fuzz_device *d = NULL;

	if (op->thread < FUZZ_DEVICES)
		d = &m->devices[op->thread];
	switch (op->type) {
	case OP_ALLOC:
	case OP_IMPORT:
		return !m->spaces[op->space].live;
	case OP_BIND:
	case OP_ATTACH:
	case OP_DETACH:
	case OP_REOPEN:
		return d && fuzz_have_devices;
	case OP_CHAOS:
		return !model_limited(m);
	case OP_DMA_READ:
	case OP_DMA_WRITE:
		return d && fuzz_have_devices && d->bound && d->space >= 0;
	}
	return true;
}

/* A new id is higher than all ids from before the command. */
static void judge_new_id(struct judge *j, __u32 id, const char *what)
{
	if (!id || id <= j->r->newest)
		bad(j, j->r->newest + 1, id, "not cyclic", "%s", what);
}

/*
 * Commands
 */

static void judge_check(struct judge *j)
{
	const struct ioasid_check_extension *in = &j->r->in.check;

	common(j, in->flags, 0, WRITES_PERHAPS);
	fails_if(j, in->__reserved, EINVAL);
	if (!succeeded(j))
		return;
	switch (in->extension) {
	case IOASID_EXT_MAP:
	case IOASID_EXT_MAP_FILE:
	case IOASID_EXT_SPLIT:
	case IOASID_EXT_DMA_BATCH:
	case IOASID_EXT_QUERY_MAP:
	case IOASID_EXT_EXPORT:
	case IOASID_EXT_PROTECT:
	case IOASID_EXT_REPLACE:
		if (j->r->rc != 1)
			bad(j, 1, j->r->rc, "", "rc");
		break;
	case IOASID_EXT_MAX_DEPTH:
	case IOASID_EXT_MAX_IOASIDS:
		if (j->r->rc < 1)
			bad(j, 1, j->r->rc, "at least", "rc");
		break;
	}
}

/* One more IOASID or import may exceed the limit. */
static void fails_beyond_limit(struct judge *j)
{
	fails_if(j, j->m->option[LIMIT_IOASIDS] != ALL_ONES &&
		 j->m->ioasids + !!j->m->chaos >= j->m->option[LIMIT_IOASIDS],
		 EDQUOT);
}

static void judge_alloc(struct judge *j)
{
	const struct ioasid_alloc *in = &j->r->in.alloc;
	struct fuzz_space *s = &j->m->spaces[j->op->space], *parent = NULL;

	if (fuzz_parent(j->op) >= 0)
		parent = &j->m->spaces[fuzz_parent(j->op)];
	if (parent && !parent->live)
		parent = NULL;
	common(j, in->flags, 0, WRITES);
	fails_if(j, in->kind != IOASID_KIND_MAP, EOPNOTSUPP);
	fails_if(j, in->parent && !parent, ENOENT);
	fails_if(j, parent && parent->level >= j->m->depth, ELOOP);
	fails_if(j, parent && is_import(parent) && parent->parent < 0, ENODEV);
	fails_if(j, in->cut_size && !grid(in->cut_size), EINVAL);
	fails_if(j, in->snoop > IOASID_SNOOP_ON, EOPNOTSUPP);
	fails_if(j, in->format || in->fault_queue, EINVAL);
	fails_if(j, in->format || in->fault_queue, EOPNOTSUPP);
	fails_beyond_limit(j);
	if (!succeeded(j))
		return;
	judge_new_id(j, j->r->arg.alloc.ioasid, "alloc.ioasid");
	s->live = true;
	s->id = j->r->arg.alloc.ioasid;
	s->cookie = in->cookie;
	s->cut = in->cut_size;
	s->snoop = in->snoop;
	s->parent = parent ? fuzz_parent(j->op) : -1;
	s->via = -1;
	s->export.nr = 0;
	s->imports = parent && is_import(parent);
	if (s->imports) {
		s->via = s->parent;
		s->parent = parent->parent;
	}
	s->parent_id = in->parent;
	s->children = 0;
	s->orphaned = 0;
	s->level = parent ? parent->level + 1 : 1;
	if (parent)
		parent->children++;
	s->devices = 0;
	j->m->ioasids++;
}

static void judge_free(struct judge *j)
{
	const struct ioasid_free *in = &j->r->in.free;
	struct fuzz_space *s = named_any(j->m, j->op), *c, *parent;

	common(j, in->flags, IOASID_FREE_CASCADE, WRITES_NOTHING);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && s->devices, EBUSY);
	fails_if(j, s && s->children && !(in->flags & IOASID_FREE_CASCADE),
		 EBUSY);
	if (s && s->orphaned && !(in->flags & IOASID_FREE_CASCADE))
		perhaps(j, EBUSY);
	if (!succeeded(j))
		return;
	cascade(j->m, s, 0, ALL_ONES);
	for (c = j->m->spaces; c < j->m->spaces + FUZZ_WINDOW(0); c++) {
		if (c->live && c->via == s - j->m->spaces) {
			take_back(j->m, c);
			c->parent = -1;
			c->via = -1;
		}
		if (c->live && c->parent == s - j->m->spaces)
			c->parent = -1;
	}
	parent = s->via >= 0 ? &j->m->spaces[s->via] :
		 s->parent >= 0 ? &j->m->spaces[s->parent] : NULL;
	if (parent) {
		parent->children--;
		if (is_import(s) && s->children)
			parent->orphaned++;
	}
	cut_out(j->m, s, 0, ALL_ONES);
	s->nr = 0;
	account(j->m, s, -s->mapped);
	s->live = false;
	j->m->ioasids--;
}

static void judge_ranges(struct judge *j, __u32 room, __u32 nr, __u64 last,
			 const char *what)
{
	const struct ioasid_iova_range *range = j->r->ranges;

	if (nr != 1)
		bad(j, 1, nr, "", "%s", what);
	if (room && range->start)
		bad(j, 0, range->start, "", "ranges[0].start");
	if (room && range->last != last)
		bad(j, last, range->last, "", "ranges[0].last");
	if (range[1].start != FUZZ_UNSET)
		bad(j, FUZZ_UNSET, range[1].start, "more than there is",
		    "ranges[1].start");
}

static void judge_import_info(struct judge *j, const struct fuzz_space *s)
{
	const struct ioasid_info *out = &j->r->arg.info;
	__u64 unused[] = {
		out->parent, out->cut_size, out->pgsizes, out->snoop,
		out->nr_domains, out->nr_devices, out->bytes_mapped,
		out->bytes_pinned, out->bytes_charged, out->waiting_cookie,
		out->waiting_devid,
	};
	size_t i;

	SAME(s->parent < 0 ? IOASID_STATE_ORPHAN : 0, info.state);
	SAME(IOASID_KIND_IMPORT, info.kind);
	SAME(s->cookie, info.cookie);
	SAME(seen_children(s, out->nr_children), info.nr_children);
	SAME(mappings_of(j->m, &s->export), info.nr_mappings);
	SAME(bytes_left(j->m), info.bytes_left);
	SAME(mappings_left(j->m, &s->export), info.mappings_left);
	if (j->op->size != SIZE_SHORT) {
		SAME(s->export.permission, info.permission);
		SAME(0, info.__reserved);
	}
	for (i = 0; i < sizeof(unused) / sizeof(*unused); i++)
		if (unused[i])
			bad(j, 0, unused[i], "not told of an import",
			    "field %zu of info", i);
	judge_ranges(j, j->r->in.info.nr_ranges, out->nr_ranges,
		     s->export.last - s->export.start, "info.nr_ranges");
}

static void judge_info(struct judge *j)
{
	const struct ioasid_info *in = &j->r->in.info;
	const struct ioasid_info *out = &j->r->arg.info;
	struct fuzz_space *s = named_any(j->m, j->op);

	common(j, in->flags, 0, WRITES);
	fails_if(j, !s, ENOENT);
	fails_if(j, in->nr_ranges && in->ranges == FUZZ_NOWHERE, EFAULT);
	if (!succeeded(j))
		return;
	if (is_import(s)) {
		judge_import_info(j, s);
		return;
	}
	SAME((s->devices ? IOASID_STATE_ATTACHED : 0) |
	     (is_orphan(s) ? IOASID_STATE_ORPHAN : 0), info.state);
	SAME(IOASID_KIND_MAP, info.kind);
	SAME(s->parent_id, info.parent);
	SAME(s->cookie, info.cookie);
	SAME(s->cut, info.cut_size);
	SAME(pgsizes(j->m, s), info.pgsizes);
	SAME(s->snoop, info.snoop);
	SAME(restricted(j->m, s), info.nr_domains);
	SAME(s->devices, info.nr_devices);
	SAME(seen_children(s, out->nr_children), info.nr_children);
	SAME(s->nr, info.nr_mappings);
	SAME(s->mapped, info.bytes_mapped);
	SAME(is_child(s) ? 0 : s->mapped, info.bytes_pinned);
	SAME(is_child(s) ? 0 : s->mapped, info.bytes_charged);
	SAME(bytes_left(j->m), info.bytes_left);
	SAME(0, info.waiting_cookie);
	SAME(0, info.waiting_devid);
	SAME(ALL_ONES, info.mappings_left);
	if (j->op->size != SIZE_SHORT) {
		SAME(IOASID_MAP_READ | IOASID_MAP_WRITE, info.permission);
		SAME(0, info.__reserved);
	}
	judge_ranges(j, in->nr_ranges, out->nr_ranges, permitted(j->m, s),
		     "info.nr_ranges");
}

/* End of the memory to map, and the reason: errors with addresses. */
static void judge_memory(struct judge *j, const struct ioasid_map_dma *in)
{
	const struct fuzz_memory *mem = NULL;
	const bool write = in->flags & IOASID_MAP_WRITE;
	__u64 offset, end, bad_at;

	if (j->op->mem < MEM_NR)
		mem = &fuzz_mems[j->op->mem];
	if (in->flags & IOASID_MAP_FILE) {
		fails_if(j, !mem || mem->fd < 0, EBADF);
		if (!mem || mem->fd < 0)
			return;
		fails_if(j, mem->file_error, mem->file_error);
		if (mem->file_error)
			return;
		fails_if(j, write && mem->write_error, mem->write_error);
		end = in->addr + in->length;
		fails_at(j, end > mem->size, EINVAL,
			 in->addr > mem->size ? in->addr : mem->size);
		/* files have no such offsets */
		fails_at(j, end >> 63, EINVAL, in->addr);
		fails_at(j, end > mem->file_hole && in->addr < mem->size,
			 EFAULT, in->addr > mem->file_hole ? in->addr :
			 mem->file_hole);
		return;
	}
	if (!mem || !mem->base) {
		fails_at(j, true, EFAULT, in->addr);
		return;
	}
	offset = in->addr - base_of(mem);
	end = offset + in->length;
	bad_at = NO_OFFSET;
	if (offset >= mem->size || (write && !mem->writable))
		bad_at = offset;
	else if (offset < mem->hole_end && end > mem->hole)
		bad_at = offset > mem->hole ? offset : mem->hole;
	else if (end > mem->size)
		bad_at = mem->size;
	fails_at(j, bad_at != NO_OFFSET, EFAULT, base_of(mem) + bad_at);
}

/* The first address of the parent that cannot be mapped. */
static void judge_reference(struct judge *j, const struct fuzz_space *s,
			    const struct ioasid_map_dma *in)
{
	const __u32 rw = in->flags & (IOASID_MAP_READ | IOASID_MAP_WRITE);
	const struct fuzz_export *export = terms(j->m, s);
	const __u64 base = model_base(j->m, s);
	const struct fuzz_mapping *map;
	__u64 at, last = in->addr + in->length - 1;

	if (in->flags & IOASID_MAP_FILE) {
		fails_if(j, true, EINVAL);
		fails_if(j, in->fd < 0, EBADF);
		return;
	}
	fails_if(j, is_orphan(s), ENODEV);
	if (is_orphan(s) && s->imports) {
		/* the terms may forbid a mapping that is gone already */
		perhaps(j, ENXIO);
		perhaps(j, EACCES);
		perhaps(j, EDQUOT);
	}
	if (is_orphan(s))
		return;
	if (export) {
		fails_at(j, rw & ~export->permission, EACCES, in->addr);
		/* it replaces another mapping: the number may stay the same */
		if (!(in->flags & IOASID_MAP_REPLACE))
			fails_if(j, mappings_left(j->m, export) <
				 (j->m->plant != PLANT_QUOTA), EDQUOT);
		if (last > export->last - base)
			fails_at(j, true, ENXIO, in->addr > export->last - base ?
				 in->addr : export->last - base + 1);
		if (in->addr > export->last - base)
			return;
		if (last > export->last - base)
			last = export->last - base;
	}
	last += base;
	for (at = in->addr + base; ; at = map->last + 1) {
		map = model_find(&j->m->spaces[s->parent], at);
		if (!map || !is_memory(map)) {
			fails_at(j, true, ENXIO, at - base);
			return;
		}
		if (rw & ~map->flags) {
			fails_at(j, true, EACCES, at - base);
			return;
		}
		if (map->last >= last)
			return;
	}
}

/* Location of the memory of a mapping, in its piece or in the parent. */
static __u64 piece_offset(const struct fuzz_model *m, const struct fuzz_op *op,
			  const struct fuzz_space *s,
			  const struct ioasid_map_dma *in)
{
	if (in->flags & IOASID_MAP_RESERVE)
		return 0;
	if (s && is_child(s))
		return in->addr + model_base(m, s);
	if (in->flags & IOASID_MAP_FILE)
		return in->addr;
	return in->addr - base_of(&fuzz_mems[op->mem]);
}

static void judge_limits(struct judge *j, const struct ioasid_map_dma *in)
{
	const bool failed = j->nr;
	__u64 more = in->length;

	fails_if(j, more > left_of(j->m->option[LIMIT_PINNED],
				   all_pinned(j->m)), EDQUOT);
	/* without its memory a map can only fail */
	if (charges_once(j->m) && !failed)
		more = charge_once(j->m, j->op->mem,
				   piece_offset(j->m, j->op, NULL, in),
				   in->length, 0);
	fails_if(j, more > left_of(j->m->rlimit ?: ALL_ONES,
				   all_charged(j->m)), EDQUOT);
}

static void judge_map_failed(struct judge *j)
{
	const __u64 got = j->r->arg.map.fault_addr;
	__u64 want = FUZZ_UNSET;
	int i;

	/* The output cannot be written, or there is none. */
	if (j->op->size != SIZE_EXACT && j->op->size != SIZE_LONG &&
	    j->op->size != SIZE_PAGE)
		return;
	for (i = 0; i < j->nr; i++) {
		if (j->errors[i].error != -j->r->rc)
			continue;
		want = j->errors[i].told ? j->errors[i].at : FUZZ_UNSET;
		if (want == got || (j->unmapped && want == FUZZ_UNSET) ||
		    (j->errors[i].told && got >= want && got <= j->errors[i].to))
			return;
	}
	if (may_perhaps(j, -j->r->rc))
		return;
	bad(j, want, got, "", "map.fault_addr");
}

/*
 * IOASID_MAP_PROTECT and IOASID_MAP_REPLACE
 */

/* Whether the change changes a mapping: otherwise it is not cut. */
static bool changes(const struct fuzz_mapping *map,
		    const struct ioasid_map_dma *in)
{
	const __u32 rw = IOASID_MAP_READ | IOASID_MAP_WRITE;

	return in->flags & IOASID_MAP_REPLACE ||
	       (is_memory(map) && (map->flags ^ in->flags) & rw);
}

/* Whether a mapping of a child refers to memory on both sides of @at. */
static bool spanned(struct fuzz_model *m, const struct fuzz_space *s, __u64 at)
{
	const struct fuzz_space *c;
	__u64 from, to;
	size_t i;

	if (!s->children)
		return false;
	for (c = m->spaces; c < m->spaces + FUZZ_WINDOW(0); c++) {
		if (!c->live || c->parent != s - m->spaces)
			continue;
		for (i = 0; i < c->nr; i++)
			if (refers(&c->maps[i], at, at, &from, &to) &&
			    c->maps[i].offset != at)
				return true;
	}
	return false;
}

/*
 * Change the permission of the part from @from to @to of @map. Returns the
 * number of bytes that have to be pinned again, for writing.
 */
static __u64 judge_widening(struct judge *j, const struct fuzz_space *s,
			    const struct fuzz_mapping *map, __u64 from,
			    __u64 to, const struct ioasid_map_dma *in)
{
	const __u64 offset = map->offset + (from - map->start);
	const struct fuzz_mapping *above;
	__u32 may;
	__u64 at;

	if (is_child(s)) {
		for (at = offset; ; at = above->last + 1) {
			above = model_find(&j->m->spaces[s->parent], at);
			may = above->flags;
			if (terms(j->m, s))
				may &= terms(j->m, s)->permission;
			/* the parent's address, in a child */
			fails_at(j, in->flags & ~may &
				 (IOASID_MAP_READ | IOASID_MAP_WRITE), EACCES,
				 at - model_base(j->m, s));
			if (j->nr > 16 || above->last >= offset + (to - from))
				return 0;
		}
	}
	if (!(in->flags & IOASID_MAP_WRITE) || map->writable)
		return 0;
	fails_within(j, map->flags & IOASID_MAP_FILE, EACCES, from, to);
	fails_at(j, !(map->flags & IOASID_MAP_FILE) &&
		 !fuzz_mems[map->mem].writable, EFAULT,
		 base_of(&fuzz_mems[map->mem]) + offset);
	/* the pages may differ from those that a child refers to */
	if (referred(j->m, s, from, to))
		perhaps(j, EBUSY);
	return to - from + 1;
}

static void judge_change(struct judge *j, struct fuzz_space *s,
			 const struct ioasid_map_dma *in)
{
	const __u64 last = in->iova + in->length - 1;
	const bool protect = in->flags & IOASID_MAP_PROTECT;
	const bool off_grid = in->flags & IOASID_MAP_SPLIT;
	const struct fuzz_mapping *map;
	__u64 from, to, at = in->iova, pins = 0, left;
	int more = protect ? 0 : 1, cut = 0;
	bool busy;

	for (;; at = to + 1) {
		map = first_in(s, at, last);
		fails_at(j, protect && (!map || map->start > at), ENXIO, at);
		if (!map || j->nr > 16)
			break;
		from = map->start > at ? map->start : at;
		to = map->last < last ? map->last : last;
		fails_at(j, !is_memory(map), protect ? ENXIO : EEXIST, from);
		if (is_memory(map) && changes(map, in)) {
			cut += (map->start < from) + (map->last > to);
			more -= !protect;
			/* the address of the error is unspecified */
			fails_within(j, !off_grid &&
				     ((map->start < from &&
				       !on_grid(map, from)) ||
				      (map->last > to &&
				       !on_grid(map, to + 1))), EINVAL, from,
				     to + 1);
			busy = (map->start < from && spanned(j->m, s, from)) ||
			       (map->last > to && spanned(j->m, s, to + 1));
			if (!protect || map->flags & ~in->flags &
			    (IOASID_MAP_READ | IOASID_MAP_WRITE))
				busy |= referred(j->m, s, from, to);
			busy = busy && j->m->plant != PLANT_REPLACE;
			fails_within(j, busy, EBUSY, from, to + 1);
			if (protect)
				pins += judge_widening(j, s, map, from, to, in);
		}
		if (to == last)
			break;
	}
	if (terms(j->m, s)) {
		left = mappings_left(j->m, terms(j->m, s));
		more += cut;
		fails_if(j, more > 0 && left < (__u64)more, EDQUOT);
		/* the order of unmap and map in the limit is unspecified */
		if (left < (__u64)cut + !protect)
			perhaps(j, EDQUOT);
	}
	fails_if(j, pins > left_of(j->m->option[LIMIT_PINNED],
				   all_pinned(j->m)), EDQUOT);
	/* the same memory, charged once */
	fails_if(j, !charges_once(j->m) &&
		 pins > left_of(j->m->rlimit ?: ALL_ONES, all_charged(j->m)),
		 EDQUOT);
}

static void protect(struct fuzz_model *m, struct fuzz_space *s,
		    const struct ioasid_map_dma *in)
{
	const __u64 last = in->iova + in->length - 1;
	const __u32 rw = in->flags & (IOASID_MAP_READ | IOASID_MAP_WRITE);
	struct fuzz_mapping *map;
	__u64 at = in->iova;

	for (;; at = map->last + 1) {
		map = model_find(s, at);
		if (changes(map, in)) {
			split(s, at);
			if (model_find(s, at)->last > last)
				split(s, last + 1);
			map = model_find(s, at);
			if (m->plant != PLANT_PROTECT)
				map->flags &= ~(IOASID_MAP_READ |
						IOASID_MAP_WRITE);
			map->flags |= rw;
			if (rw & IOASID_MAP_WRITE)
				map->writable = true;
		}
		if (map->last >= last)
			return;
	}
}

static void judge_map(struct judge *j)
{
	const struct ioasid_map_dma *in = &j->r->in.map;
	const __u32 rw = IOASID_MAP_READ | IOASID_MAP_WRITE;
	const bool fixed = in->flags & IOASID_MAP_FIXED;
	const bool reserve = in->flags & IOASID_MAP_RESERVE;
	const bool protects = in->flags & IOASID_MAP_PROTECT;
	const bool change = protects || in->flags & IOASID_MAP_REPLACE;
	struct fuzz_space *s = named(j->m, j->op);
	struct fuzz_mapping *taken, new;
	bool range, malformed, place = false;
	__u64 iova = 0, last, end;

	common(j, in->flags, rw | IOASID_MAP_FIXED | IOASID_MAP_FILE |
	       IOASID_MAP_RESERVE | FUZZ_CHANGE,
	       fixed ? WRITES_PERHAPS : WRITES);
	/* a batch only maps */
	fails_if(j, j->unmapped && in->flags & FUZZ_CHANGE, EOPNOTSUPP);
	fails_if(j, change && (!fixed || reserve), EINVAL);
	fails_if(j, protects && (in->flags & (IOASID_MAP_REPLACE |
					      IOASID_MAP_FILE) ||
				 in->addr || in->cut_size), EINVAL);
	fails_if(j, !change && in->flags & IOASID_MAP_SPLIT, EINVAL);
	fails_if(j, !(in->flags & (rw | IOASID_MAP_RESERVE)), EINVAL);
	fails_if(j, reserve && in->flags & (rw | IOASID_MAP_FILE), EINVAL);
	fails_if(j, reserve && in->addr, EINVAL);
	fails_if(j, !(in->flags & IOASID_MAP_FILE) && in->fd, EINVAL);
	fails_if(j, !fixed && in->iova, EINVAL);
	fails_if(j, fixed && in->alignment, EINVAL);
	fails_if(j, in->alignment && !grid(in->alignment), EINVAL);
	fails_if(j, in->cut_size && !grid(in->cut_size), EINVAL);
	fails_if(j, !in->length || !page_aligned(in->length | in->iova |
						 in->addr), EINVAL);
	range = is_range(fixed ? in->iova : 0, in->length) &&
		is_range(in->addr, in->length);
	fails_if(j, !range, EINVAL);
	malformed = j->nr;
	fails_if(j, !s, ENOENT);
	if (protects) {
		/* without a parent, no map succeeds */
		fails_if(j, s && is_orphan(s), ENODEV);
	} else if (range && !reserve && s && is_child(s)) {
		judge_reference(j, s, in);
	} else if (range && !reserve) {
		judge_memory(j, in);
		judge_limits(j, in);
	}
	if (s && range && fixed) {
		last = in->iova + in->length - 1;
		end = permitted(j->m, s);
		fails_at(j, !reserve && !protects && last > end, EINVAL,
			 in->iova > end ? in->iova : end + 1);
		if (j->m->plant == PLANT_OVERLAP && in->length > FUZZ_PAGE)
			last -= FUZZ_PAGE;
		taken = change ? NULL : first_in(s, in->iova, last);
		fails_at(j, taken, EEXIST, taken && taken->start > in->iova ?
			 taken->start : in->iova);
		if (change && !malformed)
			judge_change(j, s, in);
		iova = in->iova;
	} else if (s && range && !j->nr) {
		place = choose(j->m, s, in, &iova);
		fails_if(j, !place, ENOSPC);
	} else if (s && range) {
		/* other mistakes of the command may win */
		fails_if(j, (!in->alignment || grid(in->alignment)) &&
			 !choose(j->m, s, in, &iova), ENOSPC);
	}
	if (!succeeded(j)) {
		if (!s || !is_child(s))
			j->m->tried = true;
		judge_map_failed(j);
		return;
	}
	if (j->op->size != SIZE_READONLY) {
		SAME(iova, map.iova);
		SAME(FUZZ_UNSET, map.fault_addr);
	}
	if (protects) {
		protect(j->m, s, in);
		return;
	}
	if (change)
		cut_out(j->m, s, iova, iova + in->length - 1);
	new = (struct fuzz_mapping) {
		.start = iova,
		.last = iova + in->length - 1,
		.cut = in->cut_size ?: s->cut,
		.offset = piece_offset(j->m, j->op, s, in),
		.flags = in->flags & (rw | IOASID_MAP_RESERVE |
				      IOASID_MAP_FILE),
		.mem = j->op->mem,
		.writable = in->flags & IOASID_MAP_WRITE,
	};
	insert(s, &new);
	if (!reserve)
		account(j->m, s, in->length);
	if (!reserve && !is_child(s)) {
		j->m->charged = true;
		if (charges_once(j->m))
			j->m->once += charge_once(j->m, new.mem, new.offset,
						  in->length, 1);
	}
}

/* Whether a cut before @at is forbidden by a mapping. */
static bool cuts(const struct fuzz_space *s, __u64 at)
{
	const struct fuzz_mapping *map = model_find(s, at);

	return map && map->start != at && (!map->cut || at & (map->cut - 1));
}

static void judge_unmap(struct judge *j)
{
	const struct ioasid_unmap_dma *in = &j->r->in.unmap;
	const __u64 last = in->iova + in->length - 1;
	const bool all = in->flags & IOASID_UNMAP_ALL;
	const bool split = in->flags & IOASID_UNMAP_SPLIT;
	const bool with_children = in->flags & IOASID_UNMAP_CASCADE;
	const __u64 start = all ? 0 : in->iova, end = all ? ALL_ONES : last;
	struct fuzz_space *s = named(j->m, j->op);
	const struct fuzz_mapping *before;
	enum cut cut;
	bool malformed;

	common(j, in->flags, IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT |
	       IOASID_UNMAP_CASCADE, WRITES);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, all && (split || in->iova || in->length), EINVAL);
	fails_if(j, !all && (!is_range(in->iova, in->length) ||
			     !page_aligned(in->iova | in->length)), EINVAL);
	fails_if(j, !s, ENOENT);
	malformed = j->nr;
	if (!malformed && !all && !split)
		fails_if(j, cuts(s, in->iova) ||
			 (last != ALL_ONES && j->m->plant != PLANT_CUT &&
			  cuts(s, last + 1)), EINVAL);
	/* from the middle of a mapping, which splits it */
	before = malformed || all || !in->iova ? NULL :
		 model_find(s, in->iova - 1);
	if (before && terms(j->m, s) && before->last > last &&
	    !mappings_left(j->m, terms(j->m, s)))
		fails_if(j, is_memory(before), EDQUOT);
	if (!malformed && with_children && !all && !split) {
		cut = cuts_children(j->m, s, start, end);
		fails_if(j, cut == CUT_MUST, EBUSY);
		if (cut == CUT_PERHAPS)
			perhaps(j, EBUSY);
	}
	if (!malformed && !with_children && j->m->plant != PLANT_REFERENCE)
		fails_if(j, referred(j->m, s, start, end), EBUSY);
	if (!succeeded(j)) {
		if (!malformed && with_children)
			see_children(j, s, start, end);
		/* without a mapping to unmap, the option is ignored */
		if (!j->unmapped &&
		    (!malformed || j->r->arg.unmap.unmapped != in->unmapped))
			SAME(0, unmap.unmapped);
		return;
	}
	cascade(j->m, s, start, end);
	if (j->unmapped)
		*j->unmapped += cut_out(j->m, s, start, end);
	else
		SAME(cut_out(j->m, s, start, end), unmap.unmapped);
}

static void judge_batch_op(struct judge *j, unsigned int i, int rc,
			   __u64 *unmapped)
{
	const struct ioasid_dma_op *after = &j->r->ops[i];
	struct fuzz_result r;
	struct fuzz_op op;
	struct judge one = {
		.m = j->m,
		.op = &op,
		.r = &r,
		.v = j->v,
		.unmapped = unmapped,
	};

	fuzz_batch_op(j->op, i, &op);
	memset(&r.in, 0, sizeof(r.in));
	r.rc = rc;
	if (op.type == OP_UNMAP) {
		r.in.unmap.flags = op.flags;
		r.in.unmap.ioasid = j->r->in.batch.ioasid;
		r.in.unmap.iova = op.iova;
		r.in.unmap.length = op.length;
		r.arg = r.in;
		judge_unmap(&one);
		return;
	}
	r.in.map.flags = op.flags;
	r.in.map.ioasid = j->r->in.batch.ioasid;
	r.in.map.fd = after->fd;
	r.in.map.iova = op.iova;
	r.in.map.addr = after->addr;
	r.in.map.length = op.length;
	r.arg = r.in;
	r.arg.map.iova = after->iova;
	r.arg.map.fault_addr = rc ? j->r->arg.batch.fault_addr : FUZZ_UNSET;
	judge_map(&one);
}

/* Do its operations one after the other, up to one that fails. */
static void judge_batch(struct judge *j)
{
	const struct ioasid_dma_batch *in = &j->r->in.batch;
	const struct ioasid_dma_batch *out = &j->r->arg.batch;
	__u64 unmapped = 0;
	unsigned int i;

	common(j, in->flags, 0, WRITES);
	fails_if(j, !in->nr, EINVAL);
	fails_if(j, in->ops == FUZZ_NOWHERE, EFAULT);
	fails_if(j, !named(j->m, j->op), ENOENT);
	if (j->nr) {
		succeeded(j);
		return;
	}
	if (out->done > in->nr || (j->r->rc < 0 && out->done) ||
	    (!j->r->rc && !out->done))
		bad(j, in->nr, out->done, "", "batch.done");
	for (i = 0; i < out->done && !j->v->bad; i++)
		judge_batch_op(j, i, 0, &unmapped);
	if (j->v->bad)
		return;
	if (out->done == in->nr)
		SAME(0, batch.error);
	else if (out->error >= 0 || (j->r->rc && j->r->rc != out->error))
		bad(j, j->r->rc, out->error, "", "batch.error");
	else
		judge_batch_op(j, i, out->error, &unmapped);
	SAME(unmapped, batch.unmapped);
}

/* Address of memory that IOASID_QUERY_MAP returns. */
static __u64 told_address(const struct fuzz_model *m,
			  const struct fuzz_space *s,
			  const struct fuzz_mapping *map)
{
	if (is_child(s))
		return map->offset - model_base(m, s);
	if (map->flags & IOASID_MAP_FILE)
		return map->offset;
	return base_of(&fuzz_mems[map->mem]) + map->offset;
}

static void judge_query(struct judge *j)
{
	const struct ioasid_query_map *in = &j->r->in.query;
	const struct ioasid_query_entry *got = j->r->found;
	struct fuzz_space *s = named(j->m, j->op);
	const struct fuzz_mapping *map;
	size_t first = 0, nr, i;
	__u64 addr;

	while (s && first < s->nr && s->maps[first].last < in->start)
		first++;
	nr = s ? s->nr - first : 0;
	common(j, in->flags, 0, WRITES);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, nr && in->nr && in->entries == FUZZ_NOWHERE, EFAULT);
	if (!succeeded(j))
		return;
	SAME(nr < in->nr ? nr : in->nr, query.nr);
	SAME(nr > in->nr, query.more);
	/* the continuation is before the next mapping, behind the last one */
	if (nr <= in->nr)
		SAME(0, query.next);
	else if (j->r->arg.query.next > s->maps[first + in->nr].last ||
		 (in->nr && j->r->arg.query.next <=
			    s->maps[first + in->nr - 1].last))
		bad(j, s->maps[first + in->nr].start, j->r->arg.query.next, "",
		    "query.next");
	for (i = 0; i < nr && i < in->nr && !j->v->bad; i++) {
		map = &s->maps[first + i];
		if (got[i].iova != map->start)
			bad(j, map->start, got[i].iova, "", "found[%zu].iova", i);
		if (got[i].length != map->last - map->start + 1)
			bad(j, map->last - map->start + 1, got[i].length, "",
			    "found[%zu].length", i);
		if (got[i].flags != (map->flags | (is_memory(map) ?
						   IOASID_QUERY_ADDR : 0)))
			bad(j, map->flags, got[i].flags, "but for ADDR",
			    "found[%zu].flags", i);
		addr = is_memory(map) ? told_address(j->m, s, map) : 0;
		if (got[i].addr != addr)
			bad(j, addr, got[i].addr, "", "found[%zu].addr", i);
		if (got[i].cut_size != map->cut)
			bad(j, map->cut, got[i].cut_size, "",
			    "found[%zu].cut_size", i);
		if (got[i].pgsizes & ~pgsizes(j->m, s) ||
		    !got[i].pgsizes != (!restricted(j->m, s) || !is_memory(map)))
			bad(j, pgsizes(j->m, s), got[i].pgsizes, "some of them",
			    "found[%zu].pgsizes", i);
		if (got[i].__reserved)
			bad(j, 0, got[i].__reserved, "", "found[%zu].__reserved",
			    i);
	}
	if (got[i].iova != FUZZ_UNSET)
		bad(j, FUZZ_UNSET, got[i].iova, "more than there is",
		    "found[%zu].iova", i);
}

static void judge_export(struct judge *j)
{
	const struct ioasid_export *in = &j->r->in.export;
	struct fuzz_space *s = named(j->m, j->op);

	common(j, in->flags, IOASID_EXPORT_READ | IOASID_EXPORT_WRITE, WRITES);
	fails_if(j, !in->flags || !in->max_mappings, EINVAL);
	fails_if(j, !is_range(in->iova, in->length), EINVAL);
	fails_if(j, !page_aligned(in->iova | in->length), EINVAL);
	fails_if(j, !s, ENOENT);
	if (!succeeded(j))
		return;
	j->m->exports[fuzz_export(j->op)] = (struct fuzz_export) {
		.nr = ++j->m->nr_exports,
		.space = j->op->space,
		.id = s->id,
		.start = in->iova,
		.last = in->iova + in->length - 1,
		.permission =
			(in->flags & IOASID_EXPORT_READ ? IOASID_MAP_READ : 0) |
			(in->flags & IOASID_EXPORT_WRITE ? IOASID_MAP_WRITE : 0),
		.max = in->max_mappings,
	};
}

static void judge_import(struct judge *j)
{
	const struct ioasid_import *in = &j->r->in.import;
	const struct fuzz_export *e = &j->m->exports[fuzz_export(j->op)];
	struct fuzz_space *s = &j->m->spaces[j->op->space], *from;

	common(j, in->flags, 0, WRITES);
	if (j->op->mem != MEM_RAW || !e->nr) {
		fails_if(j, true, EBADF);
		succeeded(j);
		return;
	}
	from = &j->m->spaces[e->space];
	if (!from->live || from->id != e->id)
		from = NULL;
	fails_if(j, !from, ENODEV);
	fails_if(j, from && from->level >= j->m->depth, ELOOP);
	fails_beyond_limit(j);
	if (!succeeded(j))
		return;
	judge_new_id(j, j->r->arg.import.ioasid, "import.ioasid");
	s->live = true;
	s->id = j->r->arg.import.ioasid;
	s->cookie = in->cookie;
	s->cut = 0;
	s->snoop = 0;
	s->parent = e->space;
	s->via = -1;
	s->export = *e;
	s->imports = false;
	s->parent_id = 0;
	s->children = 0;
	s->orphaned = 0;
	s->level = from->level;
	s->devices = 0;
	from->children++;
	j->m->ioasids++;
}

static int by_id(const void *a, const void *b)
{
	const struct ioasid_list_entry *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (int)x->type - (int)y->type;
}

/* All objects, in the order of IOASID_LIST. */
static size_t list(const struct fuzz_model *m, struct ioasid_list_entry *all)
{
	struct ioasid_list_entry *e = all;
	int i;

	for (i = 0; i < FUZZ_WINDOW(0); i++)
		if (m->spaces[i].live)
			*e++ = (struct ioasid_list_entry) {
				.type = IOASID_LIST_IOASID,
				.id = m->spaces[i].id,
				.cookie = m->spaces[i].cookie,
				.kind = is_import(&m->spaces[i]) ?
					IOASID_KIND_IMPORT : IOASID_KIND_MAP,
				.parent = m->spaces[i].parent_id,
			};
	*e++ = (struct ioasid_list_entry) {
		.type = IOASID_LIST_IOASID,
		.id = m->shared,
		.cookie = FUZZ_SHARED_COOKIE,
		.kind = IOASID_KIND_MAP,
	};
	if (m->chaos)
		*e++ = (struct ioasid_list_entry) {
			.type = IOASID_LIST_IOASID,
			.id = m->chaos,
			.cookie = FUZZ_CHAOS_COOKIE,
			.kind = IOASID_KIND_MAP,
		};
	for (i = 0; i < FUZZ_DEVICES; i++) {
		const struct fuzz_device *d = &m->devices[i];

		if (!d->bound)
			continue;
		*e++ = (struct ioasid_list_entry) {
			.type = IOASID_LIST_DEVICE,
			.id = d->id,
			.cookie = d->cookie,
		};
		if (d->space >= 0)
			*e++ = (struct ioasid_list_entry) {
				.type = IOASID_LIST_ATTACHMENT,
				.id = d->id,
				.cookie = d->cookie,
				.ioasid = m->spaces[d->space].id,
			};
	}
	qsort(all, e - all, sizeof(*all), by_id);
	return e - all;
}

static void judge_list(struct judge *j)
{
	const struct ioasid_list *in = &j->r->in.list;
	struct ioasid_list_entry all[FUZZ_ENTRIES], *e = all;
	const struct ioasid_list_entry *got = j->r->entries;
	size_t nr, i;

	nr = list(j->m, all);
	while (nr && e->id < in->start) {
		e++;
		nr--;
	}
	common(j, in->flags, 0, WRITES);
	fails_if(j, nr && in->nr && in->entries == FUZZ_NOWHERE, EFAULT);
	if (in->nr && in->entries == FUZZ_NOWHERE)
		perhaps(j, EFAULT);
	if (!succeeded(j))
		return;
	SAME(nr, list.nr);
	for (i = 0; i < nr && i < in->nr && !j->v->bad; i++) {
		if (got[i].type != e[i].type)
			bad(j, e[i].type, got[i].type, "", "entries[%zu].type",
			    i);
		if (got[i].id != e[i].id)
			bad(j, e[i].id, got[i].id, "", "entries[%zu].id", i);
		if (got[i].cookie != e[i].cookie)
			bad(j, e[i].cookie, got[i].cookie, "",
			    "entries[%zu].cookie", i);
		if (got[i].ioasid != e[i].ioasid)
			bad(j, e[i].ioasid, got[i].ioasid, "",
			    "entries[%zu].ioasid", i);
		if (memcmp(&got[i], &e[i], sizeof(*e)))
			bad(j, e[i].kind, got[i].kind, "kind, vpasid, parent",
			    "entries[%zu].kind", i);
	}
	if (*(__u64 *)&got[i] != FUZZ_UNSET)
		bad(j, FUZZ_UNSET, *(__u64 *)&got[i], "more than there is",
		    "*(__u64 *)&entries[%zu]", i);
}

static void judge_option(struct judge *j)
{
	const struct ioasid_set_option *in = &j->r->in.option;
	const bool get = in->flags & IOASID_OPTION_GET;
	const bool known = in->option >= CHARGE && in->option <= LIMIT_IOASIDS;
	struct fuzz_model *m = j->m;

	common(j, in->flags, IOASID_OPTION_GET | IOASID_OPTION_SEAL,
	       get ? WRITES : WRITES_PERHAPS);
	fails_if(j, get && in->flags & IOASID_OPTION_SEAL, EINVAL);
	fails_if(j, in->sealed, EINVAL);
	fails_if(j, get && in->value, EINVAL);
	fails_if(j, !known, EOPNOTSUPP);
	if (!get && known) {
		fails_if(j, m->sealed[in->option], EPERM);
		fails_if(j, in->option == CHARGE &&
			 in->value > IOASID_CHARGE_ONCE, EOPNOTSUPP);
		/* the current value can always be set */
		fails_if(j, in->option == CHARGE && m->charged &&
			 in->value != m->option[CHARGE], EBUSY);
		/* a map that failed may have been charged for a moment */
		if (in->option == CHARGE && m->tried)
			perhaps(j, EBUSY);
	}
	if (!succeeded(j))
		return;
	if (get) {
		SAME(m->option[in->option], option.value);
		SAME(m->sealed[in->option], option.sealed);
		return;
	}
	m->option[in->option] = in->value;
	if (in->flags & IOASID_OPTION_SEAL)
		m->sealed[in->option] = true;
}

static void judge_device_info(struct judge *j)
{
	const struct ioasid_device_info *in = &j->r->in.device;
	const struct ioasid_device_info *out = &j->r->arg.device;
	struct fuzz_device *d = model_device(j->m, j->op->thread);

	if (j->op->ref != REF_DEVICE || !d || !d->bound)
		d = NULL;
	common(j, in->flags, 0, WRITES);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, !d, ENOENT);
	fails_if(j, in->nr_ranges && in->ranges == FUZZ_NOWHERE, EFAULT);
	if (!succeeded(j))
		return;
	SAME(d->cookie, device.cookie);
	if (j->m->physical) {
		SAME(IOASID_DEVICE_ENFORCE_SNOOP, device.caps);
		SAME(PHYSICAL_PGSIZES, device.pgsizes);
		SAME(48, device.addr_width);
		if (out->group < 0)
			bad(j, 0, out->group, "", "device.group");
	} else {
		SAME(IOASID_DEVICE_EMULATED, device.caps);
		SAME((__u64)-1, device.group);
		SAME(0, device.hw_type);
		SAME(0, device.hw_len);
	}
	SAME(d->space >= 0 ? j->m->spaces[d->space].id : 0, device.ioasid);
	SAME(0, device.pasid_width);
	judge_ranges(j, in->nr_ranges, out->nr_ranges,
		     j->m->physical ? PHYSICAL_LAST : ALL_ONES, "device.nr_ranges");
}

static void judge_unknown(struct judge *j)
{
	fails_if(j, true, ENOTTY);
	succeeded(j);
}

/*
 * Devices. Emulated ones restrict nothing, so attaching one always succeeds;
 * those of the physical kind are alike, and so share one domain.
 */

static void move(struct fuzz_model *m, struct fuzz_device *d, int space)
{
	if (d->space >= 0)
		m->spaces[d->space].devices--;
	d->space = space;
	if (space >= 0)
		m->spaces[space].devices++;
}

/* Whether memory beyond the device's ranges is in the way of an attach. */
static void judge_place(struct judge *j, const struct fuzz_device *d,
			const struct fuzz_space *s)
{
	const bool there = d->space >= 0 && s == &j->m->spaces[d->space];
	const __u64 beyond = memory_beyond(s, PHYSICAL_LAST);

	if (j->m->physical && !there)
		fails_at(j, beyond, EADDRINUSE, beyond);
}

/* The address that comes with EADDRINUSE. */
static void judge_told(struct judge *j, __u64 got, const char *what)
{
	int i;

	/* the output cannot be written */
	if (j->op->size == SIZE_READONLY)
		return;
	for (i = 0; i < j->nr; i++)
		if (j->errors[i].told && j->r->rc == -j->errors[i].error)
			same(j, j->errors[i].at, got, what);
}

static void judge_bind(struct judge *j)
{
	const struct ioasid_device_bind *in = &j->r->in.bind;
	struct fuzz_device *d = model_device(j->m, j->op->thread);
	struct fuzz_space *s = named(j->m, j->op);

	common(j, in->flags, 0, WRITES);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, in->ioasid_fd < 0 || j->op->mem != MEM_RAW, EBADF);
	fails_if(j, d->bound, EBUSY);
	fails_if(j, in->ioasid && !s, ENOENT);
	if (in->ioasid && s)
		judge_place(j, d, s);
	if (!succeeded(j)) {
		judge_told(j, j->r->arg.bind.fault_addr, "bind.fault_addr");
		return;
	}
	judge_new_id(j, j->r->arg.bind.devid, "bind.devid");
	d->bound = true;
	d->id = j->r->arg.bind.devid;
	d->cookie = in->cookie;
	d->space = -1;
	if (in->ioasid)
		move(j->m, d, j->op->space);
}

static void judge_attach(struct judge *j)
{
	const struct ioasid_device_attach *in = &j->r->in.attach;
	struct fuzz_device *d = model_device(j->m, j->op->thread);
	struct fuzz_space *s = named(j->m, j->op);

	common(j, in->flags, 0, WRITES_PERHAPS);
	fails_if(j, in->vpasid, EINVAL);
	fails_if(j, !d->bound, ENODEV);
	fails_if(j, !s, ENOENT);
	if (s && d->bound)
		judge_place(j, d, s);
	if (!succeeded(j)) {
		judge_told(j, j->r->arg.attach.fault_addr, "attach.fault_addr");
		return;
	}
	move(j->m, d, j->op->space);
}

static void judge_detach(struct judge *j)
{
	const struct ioasid_device_detach *in = &j->r->in.detach;
	struct fuzz_device *d = model_device(j->m, j->op->thread);

	common(j, in->flags, 0, WRITES_NOTHING);
	fails_if(j, in->vpasid, EINVAL);
	fails_if(j, !d->bound, ENODEV);
	fails_if(j, d->bound && d->space < 0, ENOENT);
	fails_if(j, d->bound && d->space >= 0 && in->ioasid &&
		 in->ioasid != j->m->spaces[d->space].id, ENOENT);
	if (!succeeded(j))
		return;
	move(j->m, d, -1);
}

static void judge_reopen(struct judge *j)
{
	struct fuzz_device *d = model_device(j->m, j->op->thread);

	if (!succeeded(j))
		return;
	move(j->m, d, -1);
	d->bound = false;
}

/* Whether DMA may access all of the range; otherwise, errors. */
static void judge_reach(struct judge *j, struct fuzz_space *s, __u64 iova,
			__u64 length, __u32 permission)
{
	struct fuzz_mapping *map;
	__u64 at, last = iova + length - 1;

	for (at = iova; ; at = map->last + 1) {
		map = model_find(s, at);
		fails_if(j, !map || !is_memory(map), ENOENT);
		if (!map)
			return;
		fails_if(j, is_memory(map) && !(map->flags & permission),
			 EPERM);
		if (map->last >= last || j->nr > 8)
			return;
	}
}

static __u8 expected_byte(const struct fuzz_model *m,
			  const struct fuzz_space *s, __u64 iova)
{
	__u64 offset, word = 0;
	const int mem = model_memory(m, s, iova, &offset);

	if (offset < fuzz_mems[mem].filled)
		word = fuzz_pattern(mem, offset & ~7ULL);
	return word >> (offset % 8 * 8);
}

static void judge_dma_read(struct judge *j)
{
	const struct fuzz_op *op = j->op;
	struct fuzz_device *d = model_device(j->m, op->thread);
	struct fuzz_space *s = &j->m->spaces[d->space];
	const __u8 *got = (const __u8 *)j->r->data;
	__u32 permission = IOASID_MAP_READ;
	__u64 i, iova;
	__u8 want;

	if (j->m->plant == PLANT_PERMISSION)
		permission |= IOASID_MAP_WRITE;
	judge_reach(j, s, op->iova, op->length, permission);
	if (!succeeded(j))
		return;
	for (i = 0; i < op->length; i++) {
		iova = op->iova + i;
		if (iova % FUZZ_PAGE >= FUZZ_SCRATCH(0))
			continue;
		want = expected_byte(j->m, s, iova);
		if (got[i] != want) {
			bad(j, want, got[i], "", "((__u8 *)data)[%llu]", i);
			return;
		}
	}
}

static void judge_dma_write(struct judge *j)
{
	const struct fuzz_op *op = j->op;
	struct fuzz_device *d = model_device(j->m, op->thread);

	judge_reach(j, &j->m->spaces[d->space], op->iova, 8, IOASID_MAP_WRITE);
	if (!succeeded(j))
		return;
	if (j->r->data[0] != op->value)
		bad(j, op->value, j->r->data[0], "what memory holds then",
		    "data[0]");
}

/* Observable state. Runs while no other operation does. */

/* The value of a key, or of a field of a line, of fdinfo. */
static const char *field(const char *line, const char *name)
{
	const char *end = strchr(line, '\n');
	const char *at = strstr(line, name);

	if (!at || (end && at > end))
		return NULL;
	return at + strlen(name);
}

static __u64 number(const char *at, int base)
{
	if (!at)
		return FUZZ_UNSET;
	if (!strncmp(at, "max", 3))
		return ALL_ONES;
	return strtoull(at, NULL, base);
}

static void judge_line(struct judge *j, const char *key, __u64 want)
{
	const char *at = strstr(j->r->text, key);
	__u64 got = number(at ? at + strlen(key) : NULL, 10);

	if (want != got)
		bad(j, want, got, "", "fdinfo(\"%s\")", key + 1);
}

static void judge_fields(struct judge *j, int space, const char *line)
{
	const struct fuzz_space *s = &j->m->spaces[space];
	const struct {
		const char *name;
		int base;
		__u64 want;
	} fields[] = {
		{ " parent=", 10, s->parent_id },
		{ " cookie=", 16, s->cookie },
		{ " devices=", 10, s->devices },
		{ " children=", 10,
		  seen_children(s, number(field(line, " children="), 10)) },
		{ " mappings=", 10, s->nr },
		{ " mapped=", 10, s->mapped },
		{ " pinned=", 10, is_child(s) ? 0 : s->mapped },
		{ " charged=", 10, is_child(s) ? 0 : s->mapped },
	};
	size_t i;
	__u64 got;

	for (i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (is_import(s) && strcmp(fields[i].name, " cookie=") &&
		    strcmp(fields[i].name, " children="))
			continue;
		got = number(field(line, fields[i].name), fields[i].base);
		if (got != fields[i].want)
			bad(j, fields[i].want, got, "", "fdinfo(id[%d], \"%s\")",
			    space, fields[i].name);
	}
	if (!is_import(s) && !field(line, s->devices ? " state=attached" : " state=idle"))
		bad(j, s->devices, !s->devices, "attached",
		    "fdinfo(id[%d], \"state\")", space);
}

static void judge_text(struct judge *j)
{
	static const char *const payers[] = {
		[IOASID_CHARGE_USER] = "\nioasid-charge:\tuser\n",
		[IOASID_CHARGE_MM] = "\nioasid-charge:\tmm\n",
		[IOASID_CHARGE_ONCE] = "\nioasid-charge:\tonce\n",
	};
	const struct fuzz_model *m = j->m;
	const char *text = j->r->text, *line;
	const struct fuzz_space *s;
	char head[48];
	int i;

	judge_line(j, "\nioasid-pinned:\t", all_pinned(m));
	judge_line(j, "\nioasid-limit-pinned:\t", m->option[LIMIT_PINNED]);
	judge_line(j, "\nioasid-count:\t", m->ioasids + !!m->chaos);
	judge_line(j, "\nioasid-limit-ioasids:\t", m->option[LIMIT_IOASIDS]);
	if (!strstr(text, payers[m->option[CHARGE]]))
		bad(j, m->option[CHARGE], !m->option[CHARGE], "",
		    "fdinfo(\"ioasid-charge\")");
	for (i = 0; i < FUZZ_WINDOW(0); i++) {
		s = &m->spaces[i];
		snprintf(head, sizeof(head), "\nioasid:\tid=%u ", s->id);
		line = strstr(text, head);
		if (!!line != s->live)
			bad(j, s->live, !!line, "has a line",
			    "fdinfo(id[%d])", i);
		if (line && s->live)
			judge_fields(j, i, line + 1);
	}
}

static void judge_state(struct judge *j)
{
	const struct fuzz_model *m = j->m;
	const bool mm = m->option[CHARGE] != IOASID_CHARGE_USER;
	__u64 mappings = 0, mapped = 0, pinned = all_charged(m);
	int i, devices = 0;

	if (!succeeded(j))
		return;
	for (i = 0; i < FUZZ_THREADS; i++) {
		mappings += m->spaces[FUZZ_WINDOW(i)].nr;
		mapped += m->spaces[FUZZ_WINDOW(i)].mapped;
		devices += m->spaces[FUZZ_WINDOW(i)].devices;
	}
	if (j->r->shared.nr_mappings != mappings)
		bad(j, mappings, j->r->shared.nr_mappings, "",
		    "shared.nr_mappings");
	if (j->r->shared.bytes_pinned != mapped)
		bad(j, mapped, j->r->shared.bytes_pinned, "",
		    "shared.bytes_pinned");
	if (j->r->shared.nr_devices != (__u32)devices)
		bad(j, devices, j->r->shared.nr_devices, "",
		    "shared.nr_devices");
	if (j->r->vm_pin != (mm ? 0 : pinned))
		bad(j, mm ? 0 : pinned, j->r->vm_pin, "", "vm_pin()");
	if (j->r->vm_lck != (mm ? pinned : 0))
		bad(j, mm ? pinned : 0, j->r->vm_lck, "", "vm_lck()");
	if (j->r->harm[0])
		bad(j, 0, 1, j->r->harm, "harm()");
	judge_text(j);
}

/* A command on chaos may fail only because of a race. */
static void judge_chaos(struct judge *j)
{
	static const int races[] = {
		0, ENOENT, EEXIST, ECANCELED, EINVAL, ENXIO,
	};
	size_t i;

	for (i = 0; i < sizeof(races) / sizeof(*races); i++)
		if (j->r->rc == -races[i])
			return;
	bad(j, 0, j->r->rc, "not the error of a race", "rc");
}

/* fuzz_run.c has compared. */
static void judge_chaos_check(struct judge *j)
{
	if (j->r->rc)
		bad(j, 0, j->r->rc, j->r->text, "rc");
}

static void (*const fuzz_judges[OP_NR])(struct judge *j) = {
	[OP_CHECK] = judge_check,
	[OP_ALLOC] = judge_alloc,
	[OP_FREE] = judge_free,
	[OP_INFO] = judge_info,
	[OP_MAP] = judge_map,
	[OP_UNMAP] = judge_unmap,
	[OP_LIST] = judge_list,
	[OP_OPTION] = judge_option,
	[OP_BATCH] = judge_batch,
	[OP_QUERY] = judge_query,
	[OP_PROTECT] = judge_map,
	[OP_REPLACE] = judge_map,
	[OP_EXPORT] = judge_export,
	[OP_IMPORT] = judge_import,
	[OP_DEVICE_INFO] = judge_device_info,
	[OP_UNKNOWN] = judge_unknown,
	[OP_BIND] = judge_bind,
	[OP_ATTACH] = judge_attach,
	[OP_DETACH] = judge_detach,
	[OP_REOPEN] = judge_reopen,
	[OP_DMA_READ] = judge_dma_read,
	[OP_DMA_WRITE] = judge_dma_write,
	[OP_STATE] = judge_state,
	[OP_CHAOS] = judge_chaos,
	[OP_CHAOS_CHECK] = judge_chaos_check,
};

void model_judge(struct fuzz_model *m, const struct fuzz_op *op,
		 const struct fuzz_result *r, struct fuzz_verdict *v)
{
	struct judge j = { .m = m, .op = op, .r = r, .v = v };

	v->bad = false;
	fuzz_judges[op->type](&j);
}

void model_init(struct fuzz_model *m, const struct fuzz_setting *setting)
{
	int i;

	memset(m, 0, sizeof(*m));
	m->plant = setting->plant;
	m->physical = setting->physical;
	m->rlimit = setting->rlimit;
	m->option[LIMIT_PINNED] = ALL_ONES;
	m->option[LIMIT_IOASIDS] = ALL_ONES;
	for (i = 0; i < FUZZ_DEVICES; i++)
		m->devices[i].space = -1;
}

void model_free(struct fuzz_model *m)
{
	int i;

	for (i = 0; i < FUZZ_SPACES; i++)
		free(m->spaces[i].maps);
}
