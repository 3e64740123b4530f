// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rewrite the tables of a range, IOPTE by IOPTE.
 *
 * The IOPTEs before and after the change are compared from left to right.
 * Equal IOPTEs stay; others are removed, flushed, and written anew.
 *
 * Invariants:
 *  - If only the permission of an IOPTE changes, and the driver can change it
 *    in place, the IOPTE is not removed; one flush follows for all of these.
 *  - An IOPTE lies wholly in what changes, or wholly outside; where an edge of
 *    the range cuts one, all of it is part of what changes.  IOPTEs are aligned
 *    to their size, so if two overlap, the larger one contains the other.
 *
 * Locks: tables.sem is held for reading, and the range is claimed.
 */
#include <linux/slab.h>

#include "diff.h"
#include "dirty.h"
#include "domain.h"
#include "iommu.h"
#include "iopte.h"
#include "tables.h"

/* IOPTEs of a replaced range that are out of the table at a time */
#define REPLACE_BATCH	256

/* ---- What is mapped, IOPTE by IOPTE ---- */

/* A range that is mapped from one piece of memory, with one permission */
struct piece {
	u64 start;
	u64 last;
	const struct ioasid_memory *mem;
	u64 base;		/* IOVA of the memory's first page */
	unsigned int flags;
	unsigned int cut_shift;
};

/* An IOPTE */
struct iopte {
	u64 iova;
	u64 last;
	phys_addr_t phys;
	unsigned int flags;
};

/**
 * struct side - a walk over the IOPTEs before or after the change
 * @change: the change
 * @dom: the domain
 * @after: the walk is over the IOPTEs after the change
 * @m: current claimed mapping
 * @repin: current repinned memory
 * @end: there is no more
 * @at: IOVA of the next IOPTE
 * @phys: physical address of the next IOPTE
 * @left: bytes from there to the end of the run
 * @runs: the runs that follow in this piece
 * @flags: flags of this piece
 * @cut_shift: cut size of this piece
 */
struct side {
	const struct ioas_change *change;
	struct ioas_domain *dom;
	bool after;
	const struct ioas_mapping *m;
	const struct ioas_mapping *repin;
	bool end;
	u64 at;
	phys_addr_t phys;
	u64 left;
	struct ioasid_runs runs;
	unsigned int flags;
	unsigned int cut_shift;
};

static void whole_piece(const struct ioas_mapping *m, struct piece *piece)
{
	*piece = (struct piece){
		.start = m->start,
		.last = m->last,
		.mem = &m->mem,
		.base = m->start,
		.flags = m->flags,
		.cut_shift = m->cut_shift,
	};
}

/* Narrow a piece to the part around @at that the change keeps or makes */
static void changed_piece(struct side *side, u64 at, struct piece *piece)
{
	const struct ioas_change *change = side->change;

	if (at < change->start) {
		piece->last = min(piece->last, change->start - 1);
		return;
	}
	if (at > change->last) {
		piece->start = max(piece->start, change->last + 1);
		return;
	}
	piece->start = max(piece->start, change->start);
	piece->last = min(piece->last, change->last);
	piece->flags = change->flags;
	while (side->repin && side->repin->last < piece->start)
		side->repin = side->repin->next;
	if (side->repin && side->repin->start == piece->start) {
		piece->mem = &side->repin->mem;
		piece->base = side->repin->start;
	}
}

/* Find the piece that contains @at, or else the next one */
static bool find_piece(struct side *side, u64 at, struct piece *piece)
{
	const struct ioas_change *change = side->change;

	if (side->after && change->new && at >= change->start &&
	    at <= change->last) {
		whole_piece(change->new, piece);
		return true;
	}
	while (side->m && (side->m->last < at ||
			   !ioas_mapping_has_memory(side->m)))
		side->m = side->m->next;
	if (!side->m)
		return false;
	whole_piece(side->m, piece);
	if (side->after && ioas_change_differs(change, side->m))
		changed_piece(side, max(at, piece->start), piece);
	return true;
}

static void side_next_run(struct side *side)
{
	struct ioasid_run run;

	ioasid_runs_next(&side->runs, &run);
	side->phys = PFN_PHYS(run.pfn);
	side->left = (u64)run.npages << PAGE_SHIFT;
}

/* Go to what is mapped at @at, where an IOPTE begins, or behind */
static void side_seek(struct side *side, u64 at)
{
	struct piece piece;

	side->end = !find_piece(side, at, &piece);
	if (side->end)
		return;
	side->at = max(at, piece.start);
	ioasid_runs_from(&side->runs, piece.mem,
			 (side->at - piece.base) >> PAGE_SHIFT,
			 ((piece.last - side->at) >> PAGE_SHIFT) + 1);
	side_next_run(side);
	side->flags = piece.flags;
	side->cut_shift = piece.cut_shift;
}

static void side_init(struct side *side, const struct ioas_change *change,
		      struct ioas_domain *dom, bool after, u64 at)
{
	side->change = change;
	side->dom = dom;
	side->after = after;
	side->m = change->claimed;
	side->repin = change->repinned;
	side_seek(side, at);
}

static void side_advance(struct side *side, u64 bytes)
{
	side->at += bytes;
	side->phys += bytes;
	side->left -= bytes;
	if (side->left)
		return;
	if (side->runs.left)
		side_next_run(side);
	else if (side->at)
		side_seek(side, side->at);
	else
		side->end = true;
}

/* True if an IOPTE begins at or before @at */
static bool side_reaches(const struct side *side, u64 at)
{
	return !side->end && side->at <= at;
}

static void side_iopte(const struct side *side, struct iopte *iopte)
{
	iopte->iova = side->at;
	iopte->last = side->at +
		      (ioas_iopte_size(ioas_iommu_pgsizes(side->dom->iommu),
				       side->at, side->phys, side->left,
				       side->cut_shift) - 1);
	iopte->phys = side->phys;
	iopte->flags = side->flags & PERMISSION;
}

/* Except for the permission */
static bool same_page(const struct iopte *a, const struct iopte *b)
{
	return a->iova == b->iova && a->last == b->last && a->phys == b->phys;
}

/*
 * Find the IOPTE that an edge of the range cuts: @at is in @m, and so is the
 * byte before.
 */
static void iopte_across(const struct ioas_domain *dom,
			 const struct ioas_mapping *m, u64 at,
			 struct ioasid_iova_range *range)
{
	unsigned long index = ioas_page_index(m, at), before;
	struct ioasid_runs runs;
	struct ioasid_run run;
	u64 size;

	before = ioasid_runs_from(&runs, &m->mem, index,
				  m->mem.npages - index);
	ioasid_runs_next(&runs, &run);
	size = (u64)before << PAGE_SHIFT;
	ioas_iopte_around(ioas_iommu_pgsizes(dom->iommu), at - size,
			  PFN_PHYS(run.pfn) - size,
			  size + ((u64)run.npages << PAGE_SHIFT), m->cut_shift,
			  at, range);
}

/* Find what changes in the domain: the range, and IOPTEs that its edges cut */
static void find_bounds(const struct ioas_change *change,
			const struct ioas_domain *dom,
			struct ioasid_iova_range *bounds)
{
	struct ioasid_iova_range iopte;
	const struct ioas_mapping *m = change->claimed;

	bounds->start = change->start;
	bounds->last = change->last;
	if (m->start < change->start) {
		iopte_across(dom, m, change->start, &iopte);
		bounds->start = min(bounds->start, iopte.start);
	}
	m = change->claimed_last;
	if (m->last > change->last) {
		iopte_across(dom, m, change->last + 1, &iopte);
		if (iopte.start <= change->last)
			bounds->last = iopte.last;
	}
}

/* ---- Change the tables ---- */

/* A range of one domain that is removed and written with one flush */
struct stretch {
	u64 start;
	u64 last;
	unsigned int nr;
	struct side was;
	struct side is;
	struct ioas_gather gather;
	u64 gone;
	u64 gone_last;
	bool any_gone;
};

static void stretch_begin(struct stretch *stretch, const struct side *was,
			  const struct side *is, u64 start)
{
	stretch->start = start;
	stretch->nr = 0;
	stretch->was = *was;
	stretch->is = *is;
	stretch->any_gone = false;
	ioas_gather_start(&stretch->gather, was->dom, false);
}

static void stretch_remove(struct stretch *stretch, const struct iopte *iopte)
{
	if (stretch->any_gone && stretch->gone_last + 1 == iopte->iova) {
		stretch->gone_last = iopte->last;
		return;
	}
	if (stretch->any_gone)
		ioas_gather_range(&stretch->gather, stretch->gone,
				  stretch->gone_last - stretch->gone + 1);
	stretch->any_gone = true;
	stretch->gone = iopte->iova;
	stretch->gone_last = iopte->last;
}

/* Write what is mapped from @side->at to @last; adds to @done */
static int write_side(struct side *side, u64 last, gfp_t gfp, size_t *done)
{
	u64 start = side->at, bytes;
	int ret;

	if (!side_reaches(side, last))
		return 0;
	do {
		bytes = min(side->left, last - side->at + 1);
		ret = ioas_domain_write_run(side->dom, side->at, side->phys,
					    bytes, side->flags,
					    side->cut_shift, gfp, done);
		if (ret)
			return ret;
		side_advance(side, bytes);
		cond_resched();
	} while (side_reaches(side, last));
	return ioas_domain_sync(side->dom, start, last - start + 1);
}

/* Test whether dirty bits that are lost have to be recorded; after the flush */
static __always_inline bool is_tracked(const struct ioas_change *change)
{
	return ioas_dirty_any() && change->sink.is_on(&change->sink);
}

/* Record what devices may have written by the IOPTEs from @was on, up to @last */
static void record_lost(struct side was, u64 last)
{
	const struct ioas_dirty_sink *sink = &was.change->sink;
	struct iopte iopte;
	u64 bytes;

	while (side_reaches(&was, last)) {
		side_iopte(&was, &iopte);
		bytes = iopte.last - iopte.iova + 1;
		if (iopte.flags & IOASID_MAP_WRITE)
			sink->record(sink, iopte.iova, bytes, false);
		side_advance(&was, bytes);
		cond_resched();
	}
}

#define GFP_MUST	(GFP_KERNEL_ACCOUNT | __GFP_NOFAIL)

/* On failure all is as it was, unless the domain is poisoned */
static int stretch_end(struct stretch *stretch, bool must)
{
	const struct ioas_change *change = stretch->was.change;
	struct ioas_domain *dom = stretch->was.dom;
	struct side is;
	u64 length = stretch->last - stretch->start + 1;
	size_t done = 0;
	int ret;

	if (stretch->any_gone)
		ioas_gather_range(&stretch->gather, stretch->gone,
				  stretch->gone_last - stretch->gone + 1);
	ioas_gather_finish(&stretch->gather);
	if (is_tracked(change))
		record_lost(stretch->was, stretch->last);
	if (READ_ONCE(dom->poisoned))
		return -EIO;
	ret = write_side(&stretch->is, stretch->last,
			 must ? GFP_MUST : GFP_KERNEL_ACCOUNT, &done);
	if (likely(!ret))
		return 0;
	/*
	 * Unwinding needs a range without holes: only what was mapped before
	 * the change may have some
	 */
	if (!must) {
		ioas_domain_unwind(dom, stretch->start, done, length);
		/* A new mapping has pages of its own, and is recorded as a whole */
		if (!change->new && is_tracked(change)) {
			side_init(&is, change, dom, true, stretch->start);
			record_lost(is, stretch->last);
		}
		if (!READ_ONCE(dom->poisoned) &&
		    !write_side(&stretch->was, stretch->last, GFP_MUST, &done))
			return ret;
	}
	WRITE_ONCE(dom->poisoned, true);
	return -EIO;
}

/*
 * The owner of the parent does not wait for a change of what refers to its memory, or
 * is about to, and that may allocate many tables.
 */
static int must_stop(const struct ioas_change *change)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	if (READ_ONCE(change->ioas->change_must_stop))
		return -EAGAIN;
	return change->new && READ_ONCE(change->new->wanted) ? -EAGAIN : 0;
}

/* Bytes that a driver reads dirty bits of at a time */
#define READ_STEP	SZ_128M

/*
 * Record what devices have written by the IOPTEs from @first to @last, which a change
 * made read-only.  When a change is undone, some between them may be writable: dirty
 * bits cannot be read outside of a harvest then, and all of them count as written.
 */
static void record_protected(const struct ioas_change *change,
			     struct ioas_domain *dom, bool back, u64 first,
			     u64 last)
{
	struct side was;
	u64 at, to;

	for (at = first; dom->dirty && !back; at = to + 1) {
		to = min(last, at | (READ_STEP - 1));
		if (ioas_iommu_read_dirty(dom->iommu, at, to - at + 1,
					  &change->sink))
			break;
		if (to == last)
			return;
		cond_resched();
	}
	side_init(&was, change, dom, back, first);
	record_lost(was, last);
}

/*
 * Change the permission of an IOPTE in place, if it changes; false if that cannot be
 * done.  Extends @narrowed to it if devices cannot write by it any more.
 */
static bool keep_iopte(struct ioas_gather *gather, const struct iopte *was,
		       const struct iopte *is,
		       struct ioasid_iova_range *narrowed)
{
	if (was->flags == is->flags)
		return true;
	if (!ioas_gather_protect(gather, was->iova, was->last - was->iova + 1,
				 is->flags))
		return false;
	if (was->flags & ~is->flags & IOASID_MAP_WRITE) {
		narrowed->start = min(narrowed->start, was->iova);
		narrowed->last = was->last;
	}
	return true;
}

/*
 * Change a domain from one side to the other, within @bounds.  On failure
 * @bounds becomes the part that was changed, or @none is set if nothing was.
 */
static int change_table(const struct ioas_change *change,
			struct ioas_domain *dom,
			bool back, struct ioasid_iova_range *bounds, bool *none)
{
	unsigned int limit = change->new || back ? REPLACE_BATCH : 1;
	struct iopte a, b, *was, *is;
	struct ioas_gather gather;
	struct side from, to;
	struct stretch stretch;
	struct ioasid_iova_range narrowed = { .start = U64_MAX };
	bool open = false, same;
	u64 at, last, undone = bounds->start;
	int ret = 0;

	side_init(&from, change, dom, back, bounds->start);
	side_init(&to, change, dom, !back, bounds->start);
	ioas_gather_start(&gather, dom, false);
	for (;;) {
		was = side_reaches(&from, bounds->last) ? &a : NULL;
		is = side_reaches(&to, bounds->last) ? &b : NULL;
		if (was)
			side_iopte(&from, was);
		if (is)
			side_iopte(&to, is);
		at = min(was ? was->iova : U64_MAX, is ? is->iova : U64_MAX);
		if (was && was->iova != at)
			was = NULL;
		if (is && is->iova != at)
			is = NULL;
		same = was && is && same_page(was, is) &&
		       (was->flags == is->flags || ioas_domain_protects(dom));

		if (open && ((!was && !is) || at != stretch.last + 1 ||
			     stretch.nr >= limit || same)) {
			open = false;
			undone = stretch.start;
			ret = stretch_end(&stretch, back);
			if (ret)
				break;
			cond_resched();
		}
		if (!was && !is)
			break;
		if (!open && !back)
			ret = must_stop(change);
		if (ret) {
			undone = at;
			break;
		}
		if (same && keep_iopte(&gather, was, is, &narrowed)) {
			side_advance(&from, was->last - at + 1);
			side_advance(&to, was->last - at + 1);
			if (need_resched())
				cond_resched();
			continue;
		}

		if (!open) {
			stretch_begin(&stretch, &from, &to, at);
			open = true;
		}
		/* The larger one of the two contains whatever it overlaps */
		last = max(was ? was->last : 0, is ? is->last : 0);
		while (side_reaches(&from, last)) {
			side_iopte(&from, &a);
			stretch_remove(&stretch, &a);
			side_advance(&from, a.last - a.iova + 1);
		}
		while (side_reaches(&to, last)) {
			side_iopte(&to, &b);
			side_advance(&to, b.last - b.iova + 1);
		}
		stretch.last = last;
		stretch.nr++;
	}
	ioas_gather_finish(&gather);
	if (narrowed.start <= narrowed.last && is_tracked(change))
		record_protected(change, dom, back, narrowed.start,
				 narrowed.last);
	*none = !ret || undone == bounds->start;
	if (!*none)
		bounds->last = undone - 1;
	return ret;
}

/* On failure the domain is as it was, unless it is poisoned */
static int diff_table(struct ioas_domain *dom, void *arg)
{
	const struct ioas_change *change = arg;
	struct ioasid_iova_range bounds;
	bool none;
	int ret;

	find_bounds(change, dom, &bounds);
	ret = change_table(change, dom, false, &bounds, &none);
	if (unlikely(ret) && !none && !READ_ONCE(dom->poisoned))
		change_table(change, dom, true, &bounds, &none);
	return ret;
}

static void undo_table(struct ioas_domain *dom, void *arg)
{
	const struct ioas_change *change = arg;
	struct ioasid_iova_range bounds;
	bool none;

	find_bounds(change, dom, &bounds);
	change_table(change, dom, true, &bounds, &none);
}

/*
 * IOPTEs that stayed may be dirty by another address of the parent: a mapping that
 * took the place of one that refers to the same page elsewhere.
 */
static void record_moved(struct ioas_change *change)
{
	const struct ioas_mapping *new = change->new, *m;

	for (m = change->claimed; m; m = m->next)
		if (m->backing == IOAS_BACKING_PARENT &&
		    m->addr - m->start != new->addr - new->start)
			ioas_dirty_lost(change->ioas, m);
}

/* Change all domains; on failure only poisoned ones stay changed */
int ioas_diff_tables(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	int ret;

	lockdep_assert_held_read(&ioas->tables.sem);
	/* The root may be tracked before this ends */
	ioas_dirty_sink_init(&change->sink, ioas, NULL);
	ret = ioas_tables_change(ioas, diff_table, undo_table, change);
	if (change->new && ioas->parent && !ioas_tables_none(ioas) &&
	    is_tracked(change)) {
		if (ret)
			ioas_dirty_undone(ioas, change->new);
		else
			record_moved(change);
	}
	return ret;
}
