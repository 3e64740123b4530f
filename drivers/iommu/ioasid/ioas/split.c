// SPDX-License-Identifier: GPL-2.0-only
/*
 * Split mappings and their IOPTEs.
 *
 * Locks: tables.sem is held for reading while a mapping is CHANGING.
 */
#include <linux/slab.h>

#include "../mem/charge.h"
#include "backing.h"
#include "demand.h"
#include "dirty.h"
#include "mapping.h"
#include "ref.h"
#include "split.h"
#include "tables.h"
#include "tree.h"

/**
 * ioas_mapping_off_grid() - test whether a cut may have to replace an IOPTE
 * @m: the mapping
 * @at: address of the cut
 *
 * Return: true if @at is off the mapping's cut grid.
 */
bool ioas_mapping_off_grid(const struct ioas_mapping *m, u64 at)
{
	return !m->cut_shift || (at & (BIT_ULL(m->cut_shift) - 1));
}

/**
 * ioas_mapping_split_by() - find the mapping that an edge of a range cuts
 * @ioas: the address space; its lock is held
 * @at: the edge
 *
 * Return: the mapping that contains @at and the byte before, or NULL.
 */
struct ioas_mapping *ioas_mapping_split_by(struct ioas *ioas, u64 at)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, at);

	return m && m->start < at ? m : NULL;
}

static int split_iopte(struct ioas *ioas, struct ioas_mapping *m,
		       u64 floor, u64 at)
{
	const struct ioas_dirty_sink *to = NULL;
	struct ioas_dirty_sink sink;

	if (!ioas_mapping_has_memory(m) || !ioas_mapping_off_grid(m, at))
		return 0;
	/*
	 * The dirty bit of an IOPTE is one of all the smaller ones.  Tracking may start
	 * while it is split: SET_DIRTY does not wait for that.
	 */
	if (m->flags & IOASID_MAP_WRITE) {
		ioas_dirty_sink_init(&sink, ioas, m);
		to = &sink;
	}
	return ioas_tables_split(ioas, m, floor, at, to);
}

/* True if the range begins and ends where mappings do */
bool ioas_edges_fit(struct ioas *ioas, u64 start, u64 last)
{
	return !ioas_mapping_split_by(ioas, start) &&
	       (last == U64_MAX || !ioas_mapping_split_by(ioas, last + 1));
}

/* ---- The edges of a range ---- */

/**
 * struct ioas_edge - one end of a range
 * @at: first byte of the range, or the byte after its last; 0 at the end of the
 *	address space
 * @m: the mapping that it cuts, or NULL
 * @spare: preallocated mapping for the upper part of @m
 */
struct ioas_edge {
	u64 at;
	struct ioas_mapping *m;
	struct ioas_mapping *spare;
};

/**
 * struct ioas_edges - both ends of a range
 * @edge: the left one, and the right one; both may cut the same mapping
 * @cascade: a cascading unmap of the parent cuts
 * @busy: address of a mapping that the caller must wait for
 */
struct ioas_edges {
	struct ioas_edge edge[2];
	bool cascade;
	u64 busy;
};

static void edges_find(struct ioas *ioas, struct ioas_edges *edges)
{
	struct ioas_edge *e;

	for (e = edges->edge; e < edges->edge + 2; e++)
		e->m = e->at ? ioas_mapping_split_by(ioas, e->at) : NULL;
}

static int edges_check(struct ioas_edges *edges, bool split)
{
	struct ioas_edge *e;

	for (e = edges->edge; e < edges->edge + 2; e++) {
		if (!e->m)
			continue;
		if (!split && ioas_mapping_off_grid(e->m, e->at))
			return -EINVAL;
		/* Device memory is unmapped as a whole */
		if (ioas_mapping_is_device(e->m))
			return -EINVAL;
	}
	return 0;
}

/**
 * ioas_check_edges() - check whether a range can be cut out
 * @ioas: the address space
 * @start: first byte
 * @last: last byte
 * @split: mappings may be cut off their grid
 *
 * Return: 0; -EINVAL, an edge cuts a mapping off its grid.
 */
int ioas_check_edges(struct ioas *ioas, u64 start, u64 last, bool split)
{
	struct ioas_edges edges = {
		.edge[0].at = start,
		.edge[1].at = last + 1,
	};
	int ret;

	spin_lock(&ioas->lock);
	edges_find(ioas, &edges);
	ret = edges_check(&edges, split);
	spin_unlock(&ioas->lock);
	return ret;
}

/*
 * Check what the edges cut.  Returns 1, it can be cut; 0, they cut nothing;
 * -EAGAIN, @edges->busy must be waited for; -ENOBUFS, preallocated mappings are
 * lacking; or another -errno.
 */
static int edges_look(struct ioas *ioas, struct ioas_edges *edges, bool split)
{
	struct ioas_edge *e;
	bool cuts = false;
	int ret;

	lockdep_assert_held(&ioas->lock);
	edges_find(ioas, edges);
	ret = edges_check(edges, split);
	if (ret)
		return ret;
	for (e = edges->edge; e < edges->edge + 2; e++) {
		if (ioas_mapping_busy(e->m)) {
			edges->busy = e->m->start;
			return -EAGAIN;
		}
	}
	for (e = edges->edge; e < edges->edge + 2; e++) {
		/* A PINNING mapping is not cut, but cancelled as a whole */
		if (e->m && e->m->state == IOAS_MAPPING_PINNING)
			e->m = NULL;
		if (!e->m) {
			if (unlikely(ioas->demand))
				ioas_demand_keep_apart(ioas, e->at);
			continue;
		}
		if (ioas_refs_span(ioas, e->at))
			return -EBUSY;
		cuts = true;
	}
	if (!cuts)
		return 0;
	return edges->edge[1].spare ? 1 : -ENOBUFS;
}

static int edges_alloc(struct ioas_edges *edges)
{
	struct ioas_edge *e;

	for (e = edges->edge; e < edges->edge + 2; e++) {
		e->spare = kmem_cache_alloc(ioas_mapping_cache, GFP_KERNEL);
		if (!e->spare)
			return -ENOMEM;
	}
	return 0;
}

static void edges_free(struct ioas_edges *edges)
{
	struct ioas_edge *e;

	for (e = edges->edge; e < edges->edge + 2; e++)
		if (e->spare)
			ioas_mapping_free(e->spare);
}

/* Split the IOPTEs and the memory of the mappings that the edges cut */
static int edges_cut_tables(struct ioas *ioas, struct ioas_edges *edges)
{
	struct ioas_edge *left = &edges->edge[0], *right = &edges->edge[1];
	int ret = 0;

	if (left->m)
		ret = split_iopte(ioas, left->m, left->m->start, left->at);
	if (right->m && !ret)
		ret = split_iopte(ioas, right->m, right->m == left->m ?
				  left->at : right->m->start, right->at);
	if (ret)
		return ret;
	/* From the right, so that the left edge still cuts the same mapping */
	if (right->m)
		ioas_mapping_split_memory(ioas, right->m, right->spare,
					  right->at);
	if (left->m)
		ioas_mapping_split_memory(ioas, left->m, left->spare, left->at);
	return 0;
}

/* Insert the upper parts into the tree; from the right, as above */
static void edges_publish(struct ioas *ioas, struct ioas_edges *edges)
{
	struct ioas_edge *e;

	for (e = edges->edge + 1; e >= edges->edge; e--) {
		if (!e->m)
			continue;
		ioas_mapping_split_object(ioas, e->m, e->spare);
		e->spare = NULL;
	}
}

/*
 * Cut what edges_look() found.  Called with the lock and tables.sem, drops
 * both
 */
static int edges_cut(struct ioas *ioas, struct ioas_edges *edges)
	__releases(&ioas->lock)
{
	struct ioas_edge *left = &edges->edge[0], *right = &edges->edge[1], *e;
	bool poisoned = false, counted = false, charged = false;
	int ret = 0;

	/*
	 * One mapping becomes two, which the context counts, and an export if
	 * it has memory
	 */
	if (left->m && left->m == right->m) {
		if (unlikely(ioas->counted)) {
			ret = ioasid_mappings_charge(ioas->account, 1);
			charged = !ret;
		}
		if (!ret && ioas_mapping_has_memory(left->m)) {
			ret = ioas_ref_may_split(ioas);
			counted = !ret;
		}
		if (ret) {
			spin_unlock(&ioas->lock);
			up_read(&ioas->tables.sem);
			if (charged)
				ioasid_mappings_uncharge(ioas->account, 1);
			return ret;
		}
	}
	for (e = edges->edge; e < edges->edge + 2; e++) {
		if (!e->m)
			continue;
		e->m->in_populating = ioas_mapping_populated(ioas, e->m);
		ioas_mapping_set_state(e->m, IOAS_MAPPING_CHANGING);
	}
	spin_unlock(&ioas->lock);

	lock_map_acquire(&ioas_changing_map);
	for (e = edges->edge; e < edges->edge + 2; e++) {
		if (!e->m)
			continue;
		e->m->next = NULL;
		ioas_mapping_wait_readers(ioas, e->m);
	}
	ret = edges_cut_tables(ioas, edges);
	poisoned = ioas_tables_poisoned(ioas);
	if (poisoned && ret)
		ret = -EIO;

	spin_lock(&ioas->lock);
	ioas->poisoned |= poisoned;
	for (e = edges->edge; e < edges->edge + 2; e++)
		if (e->m)
			ioas_mapping_set_state(e->m, IOAS_MAPPING_LIVE);
	if (!ret)
		edges_publish(ioas, edges);
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	lock_map_release(&ioas_changing_map);
	up_read(&ioas->tables.sem);
	if (counted)
		ioas_ref_split_done(ioas);
	/* The split has counted its mapping by itself */
	if (unlikely(charged))
		ioasid_mappings_uncharge(ioas->account, 1);
	if (unlikely(poisoned))
		ioas->ops->poisoned(ioas);
	return ret;
}

static int cut_at(struct ioas *ioas, struct ioas_edges *edges, bool split)
{
	int ret;

	do {
		ret = down_read_killable(&ioas->tables.sem);
		if (ret)
			break;
		ioas_lock_refs(ioas);
		ret = edges_look(ioas, edges, split);
		if (ret == 1) {
			ret = edges_cut(ioas, edges);
			break;
		}
		spin_unlock(&ioas->lock);
		up_read(&ioas->tables.sem);
		if (ret == -EAGAIN) {
			spin_lock(&ioas->lock);
			ret = ioas_wait_busy(ioas, edges->busy, NULL,
					     edges->cascade) ?: -EAGAIN;
			spin_unlock(&ioas->lock);
		} else if (ret == -ENOBUFS) {
			ret = edges_alloc(edges) ?: -EAGAIN;
		}
	} while (ret == -EAGAIN);
	edges_free(edges);
	return ret;
}

/**
 * ioas_split() - split mappings at the edges of a range
 * @ioas: the address space
 * @start: first byte
 * @last: last byte
 * @split: mappings may be cut off their grid
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0; on failure nothing has changed:
 * -EINVAL, an edge cuts a mapping off its grid;
 * -EBUSY, a child refers to memory across an edge;
 * -EDQUOT, the context or the export permits no more mappings;
 * -EIO, an IOMMU failed;
 * -EINTR, a fatal signal;
 * -ENOMEM; -ENOSPC.
 */
int ioas_split(struct ioas *ioas, u64 start, u64 last, bool split)
{
	struct ioas_edges edges = {
		.edge[0].at = start,
		.edge[1].at = last + 1,
	};

	return cut_at(ioas, &edges, split);
}

/**
 * ioas_split_child() - split a mapping for a cascading unmap of the parent
 * @ioas: the child
 * @at: address of the cut
 * @split: the mapping may be cut off its grid
 *
 * A change in place that has claimed the mapping stops.
 *
 * Context: as for ioas_split().
 * Return: as for ioas_split().
 */
int ioas_split_child(struct ioas *ioas, u64 at, bool split)
{
	struct ioas_edges edges = {
		.edge[0].at = at,
		.cascade = true,
	};

	return cut_at(ioas, &edges, split);
}
