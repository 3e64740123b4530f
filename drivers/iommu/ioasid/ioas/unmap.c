// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unmap: collect, remove, flush, release.
 *
 * Invariants:
 *  - A mapping is removed in the reverse order of a map: accesses unpin, all
 *    tables remove it, the IOTLBs are flushed, and only then its memory is
 *    unpinned (table before pin).  If a domain is poisoned, the mapping goes
 *    into quarantine.
 *  - Removing needs no memory.
 *
 * Locks: see struct ioas.
 */
#include <kunit/visibility.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "access.h"
#include "backing.h"
#include "demand.h"
#include "devmem.h"
#include "dirty.h"
#include "ioas.h"
#include "mapping.h"
#include "ref.h"
#include "split.h"
#include "tables.h"
#include "tree.h"
#include "unmap.h"

/* Mappings that are removed with one flush */
#define REMOVE_BATCH		256

/* Mappings that are erased with the lock held */
#define ERASE_BATCH		16

/*
 * Hold tables.sem for reading.  A thread of a child's process may have it for
 * as long as a huge unmap takes, while another one queues for writing.
 */
static __always_inline int hold_tables(struct ioas *ioas,
				       const struct ioas_unmap_request *req)
{
	if (likely(!(req->flags & IOAS_UNMAP_FORCED)))
		return down_read_killable(&ioas->tables.sem);
	down_read(&ioas->tables.sem);
	return 0;
}

/* True if accesses hold pages of the mapping */
static bool is_pinned(const struct ioas *ioas,
		      const struct ioas_mapping *m)
{
	return unlikely(ioas->holds) && ioas_mapping_has_memory(m) &&
	       ioas_holds_any(ioas, m->start, m->last);
}

/*
 * Collect what can be removed with one flush, and what accesses must unpin
 * first.  Returns 0; -EAGAIN, the mapping at the cursor must be waited for.
 */
static int collect(struct ioas *ioas, u64 *cursor, u64 start,
		   u64 last, const struct ioas_unmap_request *req,
		   struct ioas_removal *removal)
{
	bool whole = req->flags & IOAS_UNMAP_WHOLE;
	struct ioas_mapping **leaving = &removal->leaving, *m, *next;
	unsigned int n = 0;
	u64 end = 0;

	lockdep_assert_held(&ioas->lock);
	for (m = ioas_mapping_first(ioas, *cursor);
	     m && m->start <= last && n < REMOVE_BATCH; m = next, n++) {
		next = ioas_mapping_next(m);
		/* What replaces a CHANGING one may refer to it already */
		if (!ioas_mapping_changing(m) &&
		    !ioas_mapping_refers(m, req->of))
			continue;
		if (m->state == IOAS_MAPPING_PINNING) {
			ioas_mapping_erase(ioas, m);
			ioas_mapping_set_state(m, IOAS_MAPPING_CANCELLED);
			n += REMOVE_BATCH / ERASE_BATCH - 1;
			continue;
		}
		/* A part of a CHANGING one may be in the range afterwards */
		if (ioas_mapping_busy(m)) {
			*cursor = m->start;
			return n ? 0 : -EAGAIN;
		}
		/* Mapped after the edges were split */
		if (m->start < start || (m->last > last && !whole))
			continue;
		if (unlikely(ioas->as_parent) &&
		    ioas_refs_exist(ioas, m->start, m->last)) {
			removal->left_out = true;
			continue;
		}
		if (is_pinned(ioas, m)) {
			ioas_mapping_set_state(m, IOAS_MAPPING_LEAVING);
			m->next = NULL;
			*leaving = m;
			leaving = &m->next;
			continue;
		}
		m->in_populating = ioas_mapping_populated(ioas, m);
		ioas_mapping_set_state(m, IOAS_MAPPING_REMOVING);
		if (ioas_mapping_has_memory(m)) {
			removal->scattered |= end && end != m->start;
			end = m->last + 1;
		}
		m->next = NULL;
		*removal->tail = m;
		removal->tail = &m->next;
		removal->nr++;
	}
	*cursor = m && m->start <= last ? m->start : last;
	return 0;
}

/* As ioas_remove_mappings(); @tell if a domain is poisoned, or return only */
static __always_inline int remove_mappings(struct ioas *ioas,
					   struct ioas_removal *removal,
					   u64 *removed, bool tell)
{
	struct ioas_mapping *m, *next, *release = NULL;
	bool poisoned;
	unsigned int n = 0;

	if (!removal->first) {
		up_read(&ioas->tables.sem);
		return 0;
	}
	m = removal->first;
	if (unlikely(m->next || READ_ONCE(m->readers)))
		ioas_mapping_wait_readers(ioas, m);
	if (unlikely(ioas->devmem))
		for (m = removal->first; m; m = m->next)
			if (ioas_mapping_is_device(m))
				ioas_devmem_unmap(m->device);
	poisoned = ioas_tables_remove(ioas, removal);
	if (ioas_dirty_any())
		ioas_dirty_removed(ioas, removal);

	spin_lock(&ioas->lock);
	for (m = removal->first; m; m = next) {
		next = m->next;
		/* The whole 64 bit address space overflows the counter */
		if (check_add_overflow(*removed, ioas_mapping_bytes(m),
				       removed))
			*removed = U64_MAX;
		if (unlikely(++n % ERASE_BATCH == 0)) {
			ioas_wake(ioas);
			ioas_relax(ioas);
		}
		ioas_mapping_erase(ioas, m);
		ioas->nr_mappings--;
		if (ioas_mapping_has_memory(m)) {
			ioas->bytes_mapped -= ioas_mapping_bytes(m);
			if (unlikely(poisoned)) {
				ioas_quarantine_add(ioas, m);
				continue;
			}
		} else {
			ioas_demand_count(ioas, m, false);
		}
		m->next = release;
		release = m;
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	up_read(&ioas->tables.sem);

	if (likely(release && !release->next))
		ioas_mapping_release(ioas, release);
	else if (release)
		ioas_mapping_release_list(ioas, release);
	if (likely(!poisoned))
		return 0;
	if (tell)
		ioas->ops->poisoned(ioas);
	return -EIO;
}

/**
 * ioas_remove_mappings() - remove REMOVING mappings
 * @ioas: the address space; tables.sem is held, and dropped
 * @removal: the mappings, if any
 * @removed: the number of bytes is added to it; U64_MAX if it overflows
 *
 * One flush for all of them, if the IOMMU driver permits it.
 *
 * Return: 0; -EIO, an IOMMU failed.
 */
int ioas_remove_mappings(struct ioas *ioas, struct ioas_removal *removal,
			 u64 *removed)
{
	return remove_mappings(ioas, removal, removed, true);
}

/**
 * ioas_remove_mappings_untold() - remove REMOVING mappings, with locks of other
 *	address spaces held
 * @ioas: as for ioas_remove_mappings()
 * @removal: the same
 * @removed: the same
 *
 * Return: 0; -EIO, an IOMMU failed: the caller calls ioas_ops.poisoned().
 */
int ioas_remove_mappings_untold(struct ioas *ioas,
				struct ioas_removal *removal, u64 *removed)
{
	return remove_mappings(ioas, removal, removed, false);
}

/* Test whether the range is one mapping that can be removed at once */
static bool is_mapping(struct ioas *ioas, u64 start, u64 last,
		       struct ioas_removal *removal)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, start);

	lockdep_assert_held(&ioas->lock);
	if (!m || m->start != start || m->last != last ||
	    m->state != IOAS_MAPPING_LIVE || is_pinned(ioas, m) ||
	    (unlikely(ioas->as_parent) &&
	     ioas_refs_exist(ioas, start, last)))
		return false;
	m->in_populating = ioas_mapping_populated(ioas, m);
	ioas_mapping_set_state(m, IOAS_MAPPING_REMOVING);
	m->next = NULL;
	removal->first = m;
	removal->scattered = false;
	removal->tells = false;
	return true;
}

static void take_dirty(struct ioas *ioas, struct ioas_removal *removal,
		       const struct ioas_unmap_request *req)
{
	if (unlikely(req->flags & IOASID_UNMAP_DIRTY) && ioas_dirty_any())
		ioas_dirty_take(ioas, removal);
}

/* Ask accesses to unpin LEAVING mappings, then remove these */
static int remove_leaving(struct ioas *ioas,
			  struct ioas_mapping *leaving,
			  struct ioas_unmap_request *req)
{
	struct ioas_removal removal = { .scattered = true };
	struct ioas_mapping *m;
	int ret, err;

	ret = ioas_accesses_unmap(ioas, &leaving, req);
	removal.first = leaving;
	err = hold_tables(ioas, req);
	spin_lock(&ioas->lock);
	for (m = leaving; m; m = m->next) {
		m->in_populating = ioas_mapping_populated(ioas, m);
		ioas_mapping_set_state(m, err ? IOAS_MAPPING_LIVE :
						IOAS_MAPPING_REMOVING);
	}
	if (err)
		ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	if (!err) {
		take_dirty(ioas, &removal, req);
		err = ioas_remove_mappings(ioas, &removal, &req->removed);
	}
	return ret ?: err;
}

/* Wait for the busy mapping at the cursor: 0 to try again, 1 to skip it */
static int wait_at(struct ioas *ioas, u64 cursor,
		   struct ioas_unmap_request *req)
{
	int ret;

	spin_lock(&ioas->lock);
	ret = ioas_wait_busy(ioas, cursor, req, req->of);
	spin_unlock(&ioas->lock);
	return ret && req->flags & IOAS_UNMAP_FORCED ? 1 : ret;
}

/* One step of an unmap: what has one flush.  Moves the cursor. */
static int unmap_step(struct ioas *ioas, u64 *cursor, u64 start,
		      u64 last, struct ioas_unmap_request *req)
{
	struct ioas_removal removal = { .tail = &removal.first };
	struct ioas_mapping *m;
	int ret = 0, err;

	err = hold_tables(ioas, req);
	if (err)
		return err;
	ioas_lock_refs(ioas);
	err = collect(ioas, cursor, start, last, req, &removal);
	spin_unlock(&ioas->lock);
	if (err) {
		up_read(&ioas->tables.sem);
		err = wait_at(ioas, *cursor, req);
		if (err <= 0)
			return err;
		/* The patience ended: the mapping stays */
		spin_lock(&ioas->lock);
		m = ioas_mapping_first(ioas, *cursor);
		*cursor = m && m->last < last ? m->last + 1 : last;
		spin_unlock(&ioas->lock);
		return -EBUSY;
	}
	if (unlikely(removal.left_out))
		ret = -EBUSY;
	take_dirty(ioas, &removal, req);
	err = ioas_remove_mappings(ioas, &removal, &req->removed);
	if (unlikely(err))
		ret = err;
	if (unlikely(removal.leaving)) {
		err = remove_leaving(ioas, removal.leaving, req);
		if (err)
			ret = err;
	}
	return ret;
}

/* Split at the edges of the range, unless mappings begin and end there */
static int cut_edges(struct ioas *ioas, u64 start, u64 last,
		     const struct ioas_unmap_request *req)
{
	bool fit;

	spin_lock(&ioas->lock);
	fit = ioas_edges_fit(ioas, start, last);
	if (unlikely(ioas->demand && fit)) {
		ioas_demand_keep_apart(ioas, start);
		ioas_demand_keep_apart(ioas, last + 1);
	}
	spin_unlock(&ioas->lock);
	return fit ? 0 : ioas_split(ioas, start, last,
				    req->flags & IOASID_UNMAP_SPLIT);
}

/**
 * ioas_unmap_range() - unmap a range without a cascade
 * @ioas: the address space
 * @start: first byte
 * @last: last byte
 * @req: how
 *
 * Mappings that children refer to stay.
 *
 * Context: may sleep; waits for no page fault.
 * Return: as ioas_unmap().
 */
int ioas_unmap_range(struct ioas *ioas, u64 start, u64 last,
		     struct ioas_unmap_request *req)
{
	bool edges = !(req->flags & (IOASID_UNMAP_ALL | IOASID_UNMAP_DIRTY)) &&
		     !req->of;
	bool forced = req->flags & IOAS_UNMAP_FORCED;
	struct ioas_removal removal __uninitialized;
	u64 cursor = start;
	int ret = 0, err;

	req->removed = 0;
	if (likely(edges)) {
		bool fit, whole = req->flags & IOAS_UNMAP_WHOLE;

		err = hold_tables(ioas, req);
		if (unlikely(err))
			return err;
		ioas_lock_refs(ioas);
		if (likely(is_mapping(ioas, start, last, &removal))) {
			spin_unlock(&ioas->lock);
			return ioas_remove_mappings(ioas, &removal,
						    &req->removed);
		}
		fit = unlikely(whole) ? !ioas_mapping_split_by(ioas, start) :
					ioas_edges_fit(ioas, start, last);
		if (unlikely(ioas->demand && fit)) {
			ioas_demand_keep_apart(ioas, start);
			ioas_demand_keep_apart(ioas, last + 1);
		}
		spin_unlock(&ioas->lock);
		up_read(&ioas->tables.sem);
		if (unlikely(whole && !fit))
			return 0;
		/* A later mapping across an edge is ordered after this unmap */
		if (!fit) {
			ret = ioas_split(ioas, start, last, req->flags &
					 IOASID_UNMAP_SPLIT);
			if (ret)
				return ret;
		}
	} else if (req->flags & IOASID_UNMAP_DIRTY && !req->of) {
		ret = cut_edges(ioas, start, last, req);
		if (ret)
			return ret;
	}
	for (;;) {
		err = unmap_step(ioas, &cursor, start, last, req);
		if (unlikely(err))
			ret = err;
		/* Do not wait again for an access that did not unpin */
		if (ret && ret != -EIO && !forced)
			break;
		if (cursor == last)
			break;
		/* An address space that is freed is emptied to the end */
		if (fatal_signal_pending(current) && !forced)
			return -EINTR;
		cond_resched();
	}
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_unmap_range);
