// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unmap: collect, remove, flush, release.
 *
 * Invariants:
 *  - A mapping is taken out in the reverse order: out of the software devices,
 *    out of every table, flush, and only then unpinned (table before pin).
 *    Where a table cannot be trusted any more the memory is kept.
 *  - Taking out needs no memory.
 *
 * Locks: see struct ioasid_space.
 */
#include <kunit/visibility.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "access.h"
#include "backing.h"
#include "devmem.h"
#include "ioas.h"
#include "mapping.h"
#include "ref.h"
#include "split.h"
#include "tables.h"
#include "tree.h"
#include "unmap.h"

/* Mappings taken out with one flush */
#define DRAIN_BATCH		256

/* Do software devices hold pages of it? */
static bool is_pinned(const struct ioasid_space *space,
		      const struct ioasid_mapping *m)
{
	return unlikely(space->software) && m->mem.npages &&
	       ioasid_software_pinned(space, m->start, m->last);
}

/*
 * Collect what can go with one flush, and what drivers have to let go of first.
 * Returns 0; -EAGAIN, the mapping at the cursor has to be waited for.
 */
static int collect_dying(struct ioasid_space *space, u64 *cursor, u64 start,
			 u64 last, const struct ioasid_iova_range *of,
			 struct ioasid_dying *dying)
{
	struct ioasid_mapping **leaving = &dying->leaving, *m, *next;
	unsigned int n = 0;
	u64 end = 0;

	lockdep_assert_held(&space->lock);
	for (m = ioasid_mapping_first(space, *cursor);
	     m && m->start <= last && n < DRAIN_BATCH; m = next, n++) {
		next = ioasid_mapping_next(m);
		/* What replaces a CUTTING one may refer to it already */
		if (m->state != IOASID_MAPPING_CUTTING && !ioasid_refers(m, of))
			continue;
		if (m->state == IOASID_MAPPING_PINNING) {
			ioasid_mapping_erase(space, m);
			set_state(m, IOASID_MAPPING_CANCELLED);
			continue;
		}
		/* What is being cut may be in the range afterwards */
		if (in_transit(m)) {
			*cursor = m->start;
			return n ? 0 : -EAGAIN;
		}
		/* What an edge cuts came after the edges were looked at */
		if (m->start < start || m->last > last)
			continue;
		if (unlikely(space->family) &&
		    ioasid_family_refers(space, m->start, m->last)) {
			dying->left_out = true;
			continue;
		}
		if (is_pinned(space, m)) {
			set_state(m, IOASID_MAPPING_LEAVING);
			m->next = NULL;
			*leaving = m;
			leaving = &m->next;
			continue;
		}
		m->in_filling = ioasid_mapping_in_filling(space, m);
		set_state(m, IOASID_MAPPING_DYING);
		if (m->mem.npages) {
			dying->scattered |= end && end != m->start;
			end = m->last + 1;
		}
		m->next = NULL;
		*dying->tail = m;
		dying->tail = &m->next;
		dying->nr++;
	}
	*cursor = m && m->start <= last ? m->start : last;
	return 0;
}

/* Mappings that are erased with the lock held */
#define ERASE_BATCH	16

/**
 * ioasid_dying_drain() - remove what is DYING
 * @space: the space; domains_sem is held, and dropped
 * @dying: the mappings, if there are any
 * @removed: how many bytes were removed is added; U64_MAX when it is more
 *
 * One flush for all of them, where the IOMMU driver lets ranges share one.
 *
 * Return: 0; -EIO, an IOMMU failed.
 */
int ioasid_dying_drain(struct ioasid_space *space, struct ioasid_dying *dying,
		       u64 *removed)
{
	struct ioasid_mapping *m, *next, *release = NULL;
	struct ioasid_domain *dom;
	bool poisoned = false;
	unsigned int n = 0;

	if (!dying->first) {
		up_read(&space->domains_sem);
		return 0;
	}
	m = dying->first;
	if (unlikely(m->next || READ_ONCE(m->readers)))
		ioasid_mapping_wait_readers(space, m);
	if (unlikely(space->devmem))
		for (m = dying->first; m; m = m->next)
			if (m->device)
				ioasid_devmem_unmap(m->device);
	list_for_each_entry(dom, &space->domains, node) {
		take_out_of(dom, dying, false);
		poisoned |= READ_ONCE(dom->poisoned);
	}
	if (unlikely(space->filling)) {
		take_out_of(space->filling, dying, true);
		poisoned |= READ_ONCE(space->filling->poisoned);
	}

	spin_lock(&space->lock);
	for (m = dying->first; m; m = next) {
		next = m->next;
		/* Only the whole 64 bit space is more than can be told */
		if (check_add_overflow(*removed, mapping_bytes(m), removed))
			*removed = U64_MAX;
		if (unlikely(++n % ERASE_BATCH == 0)) {
			ioasid_space_wake(space);
			ioasid_space_relax(space);
		}
		ioasid_mapping_erase(space, m);
		space->nr_mappings--;
		if (m->mem.npages) {
			space->bytes_mapped -= mapping_bytes(m);
			if (unlikely(poisoned)) {
				ioasid_mapping_keep(space, m);
				continue;
			}
		}
		m->next = release;
		release = m;
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	up_read(&space->domains_sem);

	if (likely(release && !release->next))
		ioasid_mapping_release(space, release);
	else if (release)
		release_list(space, release);
	if (likely(!poisoned))
		return 0;
	space->ops->poisoned(space);
	return -EIO;
}

/* Is the range exactly one mapping, that can be removed at once? */
static bool is_mapping(struct ioasid_space *space, u64 start, u64 last,
		       struct ioasid_dying *dying)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, start);

	lockdep_assert_held(&space->lock);
	if (!m || m->start != start || m->last != last ||
	    m->state != IOASID_MAPPING_LIVE || is_pinned(space, m) ||
	    (unlikely(space->family) &&
	     ioasid_family_refers(space, start, last)))
		return false;
	m->in_filling = ioasid_mapping_in_filling(space, m);
	set_state(m, IOASID_MAPPING_DYING);
	m->next = NULL;
	dying->first = m;
	dying->scattered = false;
	return true;
}

/* Have drivers let go of LEAVING mappings, then remove them */
static int remove_leaving(struct ioasid_space *space,
			  struct ioasid_mapping *leaving,
			  struct ioasid_unmap_request *req)
{
	struct ioasid_dying dying = { .scattered = true };
	struct ioasid_mapping *m;
	int ret, err;

	ret = ioasid_listeners_unmap(space, &leaving, req);
	dying.first = leaving;
	down_read(&space->domains_sem);
	spin_lock(&space->lock);
	for (m = leaving; m; m = m->next) {
		m->in_filling = ioasid_mapping_in_filling(space, m);
		set_state(m, IOASID_MAPPING_DYING);
	}
	spin_unlock(&space->lock);
	err = ioasid_dying_drain(space, &dying, &req->removed);
	return ret ?: err;
}

/* The mapping at the cursor is in transit: 0 to look again, 1 to pass it over */
static int wait_at(struct ioasid_space *space, u64 cursor,
		   struct ioasid_unmap_request *req)
{
	int ret;

	spin_lock(&space->lock);
	ret = ioasid_space_wait_in_transit(space, cursor, req);
	spin_unlock(&space->lock);
	return ret && req->flags & IOASID_UNMAP_FORCED ? 1 : ret;
}

/* One step of an unmap: what has one flush.  Moves the cursor. */
static int unmap_step(struct ioasid_space *space, u64 *cursor, u64 start,
		      u64 last, struct ioasid_unmap_request *req)
{
	struct ioasid_dying dying = { .tail = &dying.first };
	struct ioasid_mapping *m;
	int ret = 0, err;

	down_read(&space->domains_sem);
	ioasid_family_lock(space);
	err = collect_dying(space, cursor, start, last, req->of, &dying);
	spin_unlock(&space->lock);
	if (err) {
		up_read(&space->domains_sem);
		err = wait_at(space, *cursor, req);
		if (err <= 0)
			return err;
		/* Patience ended: it stays */
		spin_lock(&space->lock);
		m = ioasid_mapping_first(space, *cursor);
		*cursor = m && m->last < last ? m->last + 1 : last;
		spin_unlock(&space->lock);
		return -EBUSY;
	}
	if (unlikely(dying.left_out))
		ret = -EBUSY;
	err = ioasid_dying_drain(space, &dying, &req->removed);
	if (unlikely(err))
		ret = err;
	if (unlikely(dying.leaving)) {
		err = remove_leaving(space, dying.leaving, req);
		if (err)
			ret = err;
	}
	return ret;
}

/**
 * ioasid_space_unmap_range() - remove what is mapped in a range
 * @space: the space
 * @start: first byte
 * @last: last byte
 * @req: how
 *
 * What children refer to stays.
 *
 * Context: may sleep; waits for no page fault.
 * Return: as ioasid_space_unmap().
 */
int ioasid_space_unmap_range(struct ioasid_space *space, u64 start, u64 last,
			     struct ioasid_unmap_request *req)
{
	bool edges = !(req->flags & IOASID_UNMAP_ALL) && !req->of;
	bool forced = req->flags & IOASID_UNMAP_FORCED;
	struct ioasid_dying dying __uninitialized;
	u64 cursor = start;
	int ret = 0, err;

	req->removed = 0;
	if (likely(edges)) {
		bool fit;

		down_read(&space->domains_sem);
		ioasid_family_lock(space);
		if (likely(is_mapping(space, start, last, &dying))) {
			spin_unlock(&space->lock);
			return ioasid_dying_drain(space, &dying, &req->removed);
		}
		fit = edges_fit(space, start, last);
		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		/* Whatever cuts the edges from here on comes after us */
		if (!fit) {
			ret = ioasid_space_cut(space, start, last, req->flags &
					       IOASID_UNMAP_SPLIT);
			if (ret)
				return ret;
		}
	}
	for (;;) {
		err = unmap_step(space, &cursor, start, last, req);
		if (unlikely(err))
			ret = err;
		/* A driver that does not let go is not waited for again */
		if (ret && ret != -EIO && !forced)
			break;
		if (cursor == last)
			break;
		/* A space that is freed is emptied to the end */
		if (fatal_signal_pending(current) && !forced)
			return -EINTR;
		cond_resched();
	}
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_unmap_range);
