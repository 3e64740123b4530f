// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model: commands that map, unmap, change and query.
 */
#include "fuzz_judge.h"

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

	/* a table has one, which is not shown */
	if (model_is_table(c) && j->m->machine.mappings(j->m->machine.fd, c->id))
		return;
	for (i = 0; i < c->nr && !j->v->bad; i++) {
		map = &c->maps[i];
		if (!is_memory(map))
			continue;
		if (model_is_table(c) ||
		    !j->m->machine.query(j->m->machine.fd, c->id, map->start,
					 &entry))
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
	for (level = j->m->machine.depth; level > s->level; level--)
		for (c = j->m->spaces; c < j->m->spaces + FUZZ_WINDOW(0); c++)
			if (c->level == level && descends(j->m, c, s)) {
				see_child(j, s, start, last, c);
				if (!c->event)
					c->event = EVENT_PERHAPS;
			}
}

/* End of the memory to map, and the reason: errors with addresses. */
static void judge_memory(struct judge *j, const struct ioasid_map_dma *in)
{
	const struct fuzz_memory *mem = NULL;
	const bool write = in->flags & IOASID_MAP_WRITE;
	__u64 offset, end, bad_at;

	if (j->op->mem < MEM_NR)
		mem = &j->m->machine.mems[j->op->mem];
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
	return in->addr - base_of(&m->machine.mems[op->mem]);
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
	if (j->untold ||
	    (j->op->size != SIZE_EXACT && j->op->size != SIZE_LONG &&
	     j->op->size != SIZE_PAGE))
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
		 !j->m->machine.mems[map->mem].writable, EFAULT,
		 base_of(&j->m->machine.mems[map->mem]) + offset);
	/* the pages may differ from those that a child refers to */
	if (referred(j->m, s, from, to))
		perhaps(j, EBUSY);
	return to - from + 1;
}

/*
 * Whether IOASID_MAP_REPLACE finds what it would map, so that nothing changes
 * under children. The pages may be the same at different addresses: of a
 * child, and where nothing was written.
 */
enum same { SAME_NO, SAME_PERHAPS, SAME_YES };

static enum same same_memory(struct judge *j, const struct fuzz_space *s,
			     const struct ioasid_map_dma *in)
{
	const __u32 rw = IOASID_MAP_READ | IOASID_MAP_WRITE;
	const __u64 last = in->iova + in->length - 1;
	const __u64 offset = piece_offset(j->m, j->op, s, in);
	const struct fuzz_mapping *map;
	enum same same = SAME_YES;
	__u64 from, at;

	for (at = in->iova; ; at = map->last + 1) {
		map = model_find(s, at);
		if (!map || !is_memory(map) || (map->flags ^ in->flags) & rw ||
		    map->cut != (in->cut_size ?: s->cut))
			return SAME_NO;
		from = map->offset + (at - map->start);
		if (from != offset + (at - in->iova) ||
		    (!is_child(s) && map->mem != j->op->mem)) {
			if (!is_child(s) && in->flags & IOASID_MAP_WRITE)
				return SAME_NO;
			same = SAME_PERHAPS;
		}
		if (map->last >= last)
			return same;
	}
}

static void judge_change(struct judge *j, struct fuzz_space *s,
			 const struct ioasid_map_dma *in)
{
	const __u64 last = in->iova + in->length - 1;
	const bool protect = in->flags & IOASID_MAP_PROTECT;
	const bool off_grid = in->flags & IOASID_MAP_SPLIT;
	const struct fuzz_mapping *map;
	__u64 from, to, at = in->iova, pins = 0, left;
	const enum same same = protect ? SAME_NO : same_memory(j, s, in);
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
			if (busy && same == SAME_PERHAPS && !j->untouched)
				perhaps(j, EBUSY);
			j->untouched |= busy && same != SAME_NO;
			fails_within(j, busy && same == SAME_NO, EBUSY, from,
				     to + 1);
			if (protect)
				pins += judge_widening(j, s, map, from, to, in);
		}
		if (to == last)
			break;
	}
	if (terms(j->m, s)) {
		left = mappings_left(j->m, terms(j->m, s));
		more += cut;
		fails_if(j, !j->untouched && more > 0 && left < (__u64)more,
			 EDQUOT);
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

/* Errors of a file where no memory is mapped: it may be looked up first. */
static void fails_without_file(struct judge *j, const struct ioasid_map_dma *in)
{
	const struct fuzz_memory *mem = NULL;

	if (!(in->flags & IOASID_MAP_FILE))
		return;
	if (j->op->mem < MEM_NR)
		mem = &j->m->machine.mems[j->op->mem];
	/* no child has files */
	fails_if(j, true, EINVAL);
	fails_if(j, !mem || mem->fd < 0 || mem->file_error == EBADF, EBADF);
}

void judge_map(struct judge *j)
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
	if (s && !model_is_map(s)) {
		fails_if(j, true, EOPNOTSUPP);
		fails_without_file(j, in);
		succeeded(j);
		judge_map_failed(j);
		return;
	}
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
	if (j->untouched)
		return;
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

void judge_unmap(struct judge *j)
{
	const struct ioasid_unmap_dma *in = &j->r->in.unmap;
	const __u64 last = in->iova + in->length - 1;
	const bool all = in->flags & IOASID_UNMAP_ALL;
	const bool split = in->flags & IOASID_UNMAP_SPLIT;
	const bool with_children = in->flags & IOASID_UNMAP_CASCADE;
	const bool dirty = in->flags & IOASID_UNMAP_DIRTY;
	const __u64 start = all ? 0 : in->iova, end = all ? ALL_ONES : last;
	struct fuzz_space *s = named(j->m, j->op);
	const struct fuzz_mapping *before;
	enum cut cut;
	bool malformed;

	common(j, in->flags, IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT |
	       IOASID_UNMAP_CASCADE | (j->unmapped ? 0 : IOASID_UNMAP_DIRTY),
	       WRITES);
	fails_if(j, in->__reserved || in->__reserved2, EINVAL);
	if (dirty) {
		fails_if(j, all || j->op->size == SIZE_SHORT, EINVAL);
		judge_bitmap(j, in->iova, in->length, in->page_size,
			     in->bitmap);
		fails_if(j, s && (!model_is_map(s) || is_child(s)),
			 EOPNOTSUPP);
		fails_if(j, s && !s->tracked, ENOENT);
	}
	fails_if(j, all && (split || in->iova || in->length), EINVAL);
	fails_if(j, !all && (!is_range(in->iova, in->length) ||
			     !page_aligned(in->iova | in->length)), EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && !model_is_map(s), EOPNOTSUPP);
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
	if (dirty)
		judge_dirty(j, s, in->iova, in->length, in->page_size);
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
		.untold = j->op->type == OP_URING,
		.unmapped = unmapped,
	};
	unsigned int cut;
	bool named;

	fuzz_batch_op(j->op, i, &op);
	named = op.flags & IOASID_DMA_OP_IOASID;
	op.flags &= ~IOASID_DMA_OP_IOASID;
	memset(&r.in, 0, sizeof(r.in));
	r.rc = rc;
	if (op.type == OP_UNMAP) {
		r.in.unmap.flags = op.flags;
		r.in.unmap.iova = op.iova;
		r.in.unmap.length = op.length;
		r.arg = r.in;
		judge_unmap(&one);
		return;
	}
	cut = op.flags >> IOASID_DMA_OP_CUT_SHIFT;
	r.in.map.flags = op.flags & (IOASID_DMA_OP_CUT(1) - 1);
	r.in.map.cut_size = cut ? 1ULL << cut : 0;
	fails_if(&one, named && op.flags & IOASID_MAP_FILE, EINVAL);
	r.in.map.fd = named ? 0 : after->fd;
	r.in.map.iova = op.iova;
	r.in.map.addr = after->addr;
	r.in.map.length = op.length;
	r.arg = r.in;
	r.arg.map.iova = after->iova;
	r.arg.map.fault_addr = rc ? j->r->arg.batch.fault_addr : FUZZ_UNSET;
	judge_map(&one);
}

void judge_batch(struct judge *j)
{
	const struct ioasid_dma_batch *in = &j->r->in.batch;
	const struct ioasid_dma_batch *out = &j->r->arg.batch;
	const struct fuzz_space *s = named(j->m, j->op);
	__u64 unmapped = 0;
	unsigned int i;

	/* a command of io_uring has neither flags nor a size */
	if (j->op->type == OP_BATCH)
		common(j, in->flags, 0, WRITES);
	fails_if(j, !in->nr, EINVAL);
	fails_if(j, in->ops == FUZZ_NOWHERE, EFAULT);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && !model_is_map(s), EOPNOTSUPP);
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
	if (j->op->type == OP_BATCH)
		SAME(unmapped, batch.unmapped);
}

void judge_rehome(struct judge *j)
{
	const struct ioasid_rehome *in = &j->r->in.rehome;
	const struct fuzz_space *s = named(j->m, j->op);

	common(j, in->flags, IOASID_REHOME_PROBE, WRITES);
	fails_if(j, in->__reserved || in->moved || in->fail_iova, EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && (!model_is_map(s) || is_child(s)), EOPNOTSUPP);
	if (!succeeded(j))
		return;
	SAME(0, rehome.moved);
	SAME(0, rehome.fail_iova);
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
	return base_of(&m->machine.mems[map->mem]) + map->offset;
}

void judge_query(struct judge *j)
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
	/* an odd size, or none */
	fails_if(j, in->entry_size, EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && !model_is_map(s), EOPNOTSUPP);
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
