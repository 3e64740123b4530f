// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim a range for a change in place.
 *
 * Invariants:
 *  - While tables change, every mapping that touches the range is CHANGING, and
 *    free IOVAs in it are occupied by fillers in that state.
 *  - A mapping whose memory is being pinned is CLAIMED instead: it gets its
 *    range back if the change fails.  A filler is listed for it, in the same
 *    state, and takes its place in the tree when the change is published.
 *  - Accesses unpin before the final claim: the mappings that lose something
 *    are LEAVING meanwhile, a state that no pinning thread waits for, and the
 *    others are LIVE.
 *
 * Waits: for busy mappings, for accesses, and for cascading unmaps of the parent,
 * with nothing claimed and no lock held; a fatal signal ends them.
 *
 * Locks: attach_lock keeps groups from joining and leaving, so that no domain
 * is being populated; tables.sem is held for reading for as long as anything
 * is claimed.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>

#include "access.h"
#include "claim.h"
#include "diff.h"
#include "ioas.h"
#include "mapping.h"
#include "ranges.h"
#include "ref.h"
#include "split.h"
#include "tree.h"

/* Test whether a child refers to bytes of a mapping that are in the range */
bool ioas_change_is_referred(const struct ioas_change *change,
			     struct ioas_mapping *m)
{
	const struct ioas *ioas = change->ioas;

	lockdep_assert_held(&ioas->lock);
	return ioas->as_parent &&
	       ioas_refs_exist(ioas, max(m->start, change->start),
			       min(m->last, change->last));
}

/* A child refers to what would change: an error, unless nothing changes */
static int referred(struct ioas_change *change)
{
	if (!change->new)
		return -EBUSY;
	if (!change->referred)
		change->referred_at = change->fault_addr;
	change->referred = true;
	return 0;
}

/* Check that the edges of the range may cut this mapping */
static int check_cut(struct ioas_change *change, struct ioas_mapping *m)
{
	u64 edge[2] = { change->start, change->last + 1 };
	unsigned int i;
	int ret = 0;

	for (i = 0; i < 2; i++) {
		if (edge[i] <= m->start || edge[i] > m->last)
			continue;
		if (!change->split && ioas_mapping_off_grid(m, edge[i]))
			return -EINVAL;
		if (!ret && ioas_refs_span(change->ioas, edge[i]))
			ret = referred(change);
	}
	return ret;
}

/* Check that this mapping may be changed */
static int check_mapping(struct ioas_change *change, struct ioas_mapping *m)
{
	unsigned int lost = m->flags & ~change->flags & PERMISSION;
	int ret;

	if (!ioas_mapping_has_memory(m)) {
		if (!ioas_mapping_is_device(m))
			return change->new ? -EEXIST : -ENXIO;
		if (!change->new)
			return -EOPNOTSUPP;
		/* Device memory goes as a whole */
		if (m->start < change->start || m->last > change->last)
			return -EINVAL;
		change->devices = true;
		return ioas_change_is_referred(change, m) ? referred(change) :
							    0;
	}
	if (!ioas_change_differs(change, m))
		return 0;
	ret = check_cut(change, m);
	if (ret)
		return ret;
	if ((change->new || lost) && ioas_change_is_referred(change, m))
		return referred(change);
	return 0;
}

/* Check the state of the address space */
static int check_space(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;

	lockdep_assert_held(&ioas->lock);
	if (ioas->dead)
		return -ENOENT;
	if (ioas->poisoned)
		return -EIO;
	if (ioas->partial)
		return -EDEADLK;
	if (change->new && ioas->permitted &&
	    !ioas_ranges_hold(ioas->permitted, change->start, change->last,
			      &change->fault_addr))
		return -EINVAL;
	return 0;
}

/*
 * End the claim of the mapping for which a CLAIMED filler stands.  Its thread
 * goes on with it, unless it is cancelled.
 */
static void end_claimed(struct ioas *ioas, const struct ioas_mapping *filler,
			bool cancel)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, filler->start);

	if (m->state == IOAS_MAPPING_ABANDONED) {
		ioas_mapping_erase(ioas, m);
		ioas_mapping_free(m);
	} else if (cancel) {
		ioas_mapping_erase(ioas, m);
		ioas_mapping_set_state(m, IOAS_MAPPING_CANCELLED);
	} else {
		ioas_mapping_set_state(m, IOAS_MAPPING_PINNING);
	}
}

/**
 * ioas_claim_cancel() - cancel the maps in a claimed range
 * @change: the change, which cannot fail any more
 *
 * Afterwards all that is claimed is CHANGING, and in the tree.
 */
void ioas_claim_cancel(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	struct ioas_mapping *m;
	unsigned int n = 0;

	if (likely(!change->claimed_maps))
		return;
	spin_lock(&ioas->lock);
	for (m = change->claimed; m; m = m->next) {
		if (m->state == IOAS_MAPPING_CLAIMED) {
			end_claimed(ioas, m, true);
			ioas_mapping_set_state(m, IOAS_MAPPING_CHANGING);
			ioas_mapping_insert_filler(ioas, m);
		}
		if (++n % CLAIM_BATCH == 0) {
			ioas_wake(ioas);
			ioas_relax(ioas);
		}
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_claim_cancel);

/* Free the fillers, and give the mappings their states back */
static void release_claim(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	struct ioas_mapping *m, *next;
	unsigned int n = 0;

	spin_lock(&ioas->lock);
	for (m = change->claimed; m; m = next) {
		next = m->next;
		if (ioas_is_filler(m)) {
			if (m->state == IOAS_MAPPING_CLAIMED)
				end_claimed(ioas, m, false);
			else
				ioas_mapping_erase(ioas, m);
			ioas_mapping_free(m);
		} else {
			ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
		}
		if (++n % CLAIM_BATCH == 0) {
			ioas_wake(ioas);
			ioas_relax(ioas);
		}
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	change->claimed = NULL;
}

void ioas_claim_unlock(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;

	up_read(&ioas->tables.sem);
	mutex_unlock(&ioas->attach_lock);
}

void ioas_unclaim(struct ioas_change *change)
{
	release_claim(change);
	ioas_claim_unlock(change);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_unclaim);

/* Cut size of one page: a thread that would cut the filler waits instead */
struct ioas_mapping *ioas_claim_filler(struct ioas_change *change)
{
	struct ioas_map_request req = {
		.flags = IOASID_MAP_RESERVE,
		.cut_shift = PAGE_SHIFT,
		.state = IOAS_MAPPING_CHANGING,
		.cache = &change->fillers,
	};

	return ioas_mapping_alloc(change->ioas, &req);
}

/* Take a preallocated filler for [start, last] */
static struct ioas_mapping *take_filler(struct ioas_change *change, u64 start,
					u64 last)
{
	struct ioas_mapping *m;

	if (!change->fillers.spare)
		return NULL;
	m = ioas_claim_filler(change);
	m->start = start;
	m->last = min(last, change->last);
	return m;
}

/*
 * Claim what is at @cursor, up to @next.  Returns -EAGAIN if it is busy,
 * -ENOBUFS if there is no filler left.
 */
static int claim_one(struct ioas_change *change, u64 cursor, u64 *next,
		     struct ioas_mapping ***tail)
{
	struct ioas *ioas = change->ioas;
	struct ioas_mapping *m, *filler;
	int ret;

	change->fault_addr = cursor;
	m = ioas_mapping_first(ioas, cursor);
	if (!m || m->start > cursor) {
		if (!change->new)
			return -ENXIO;
		filler = take_filler(change, cursor,
				     m ? m->start - 1 : U64_MAX);
		if (!filler)
			return -ENOBUFS;
		m = filler;
		ioas_mapping_insert_filler(ioas, m);
	} else if (m->state == IOAS_MAPPING_PINNING) {
		if (!change->new)
			return -ENXIO;
		filler = take_filler(change, cursor, m->last);
		if (!filler)
			return -ENOBUFS;
		ioas_mapping_set_state(m, IOAS_MAPPING_CLAIMED);
		ioas_mapping_set_state(filler, IOAS_MAPPING_CLAIMED);
		change->claimed_maps = true;
		m = filler;
	} else {
		if (m->state != IOAS_MAPPING_LIVE && m != change->ours)
			return -EAGAIN;
		ret = check_mapping(change, m);
		if (ret)
			return ret;
		if (m == change->ours)
			change->ours = m->next;
		m->in_populating = false;
		ioas_mapping_set_state(m, IOAS_MAPPING_CHANGING);
	}
	m->next = NULL;
	**tail = m;
	*tail = &m->next;
	change->claimed_last = m;
	*next = m->last + 1;
	return 0;
}

/* Claim the range; returns as claim_one() */
static int claim_range(struct ioas_change *change)
{
	struct ioas_mapping **tail = &change->claimed;
	struct ioas *ioas = change->ioas;
	u64 cursor = change->start, next;
	unsigned int n = 0;
	int ret;

	change->ours = change->leaving;
	change->claimed_maps = false;
	change->referred = false;
	change->devices = false;
	ioas_lock_refs(ioas);
	/* A cascading unmap that waits sets it again: see still_busy() */
	WRITE_ONCE(ioas->change_must_stop, false);
	ret = check_space(change);
	while (!ret) {
		ret = claim_one(change, cursor, &next, &tail);
		if (ret || next > change->last || !next)
			break;
		cursor = next;
		if (++n % CLAIM_BATCH == 0) {
			spin_unlock(&ioas->lock);
			cond_resched();
			ioas_lock_refs(ioas);
			/* The lock was dropped: check again */
			ret = check_space(change);
			if (!ret && fatal_signal_pending(current))
				ret = -EINTR;
		}
	}
	spin_unlock(&ioas->lock);
	/* Claimed mappings are on the other list */
	change->leaving = change->ours;
	return ret;
}

/*
 * Test whether the owner of the parent is about to unmap what a claimed mapping
 * refers to: that comes first.  An owner that begins after this test has the change
 * stop.  Returns 1 if so, with @frozen, which must thaw; -ENXIO if the parent keeps
 * nothing mapped.
 */
static int check_parent(struct ioas_change *change,
			struct ioasid_iova_range *frozen)
{
	struct ioas *ioas = change->ioas, *parent = ioas->parent;
	const struct ioas_mapping *m;
	unsigned int n = 0;
	int ret = 0;

	if (!parent)
		return 0;
	spin_lock(&parent->lock);
	/* A new reference fails by itself */
	if (!change->new &&
	    (ioas->import ? ioas_import_shut(parent, ioas->import) :
			    parent->dead)) {
		change->fault_addr = change->start;
		ret = -ENXIO;
	}
	for (m = change->claimed; m && !ret; m = m->next) {
		if (likely(RB_EMPTY_ROOT(&parent->as_parent->frozen.rb_root)))
			break;
		if (ioas_mapping_has_ref(m) &&
		    ioas_range_frozen(parent, m->addr, m->ref.last)) {
			frozen->start = m->addr;
			frozen->last = m->ref.last;
			ret = 1;
		}
		if (++n % CLAIM_BATCH == 0)
			ioas_relax(parent);
	}
	spin_unlock(&parent->lock);
	return ret;
}

/* Wait until a cascading unmap of the parent has ended */
static int wait_for_thaw(struct ioas *parent,
			 const struct ioasid_iova_range *frozen)
{
	int ret;

	spin_lock(&parent->lock);
	ret = ioas_wait(parent, !ioas_range_frozen(parent, frozen->start,
						   frozen->last), NULL);
	spin_unlock(&parent->lock);
	return ret;
}

/* Make mappings LIVE that accesses have unpinned, but that were not claimed */
static void end_leaving(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	struct ioas_mapping *m, *next;
	unsigned int n = 0;

	if (!change->leaving)
		return;
	spin_lock(&ioas->lock);
	for (m = change->leaving; m; m = next) {
		next = m->next;
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
		if (++n % CLAIM_BATCH == 0)
			ioas_relax(ioas);
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	change->leaving = NULL;
}

/* True if devices lose a page or a permission of the mapping */
static bool loses(const struct ioas_change *change,
		  const struct ioas_mapping *m)
{
	return !ioas_is_filler(m) &&
	       (change->new || change->repinned ||
		m->flags & ~change->flags & PERMISSION);
}

/* Test whether accesses hold pages that they lose */
static bool accesses_hold(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	struct ioas_mapping *m;
	unsigned int n = 0;
	bool must = false;

	if (likely(!READ_ONCE(ioas->holds)))
		return false;
	spin_lock(&ioas->lock);
	for (m = change->claimed; m && !must; m = m->next) {
		must = loses(change, m) &&
		       ioas_holds_any(ioas, m->start, m->last);
		if (++n % CLAIM_BATCH == 0)
			ioas_relax(ioas);
	}
	spin_unlock(&ioas->lock);
	return must;
}

/*
 * Ask the accesses to unpin what they lose, which becomes LEAVING.  Ends the
 * claim.
 */
static int unpin_accesses(struct ioas_change *change)
{
	struct ioas_mapping **leaving = &change->leaving, **link, *m;
	struct ioas *ioas = change->ioas;
	unsigned int n = 0;
	int ret;

	spin_lock(&ioas->lock);
	for (link = &change->claimed; (m = *link);) {
		if (loses(change, m)) {
			ioas_mapping_set_state(m, IOAS_MAPPING_LEAVING);
			*link = m->next;
			m->next = NULL;
			*leaving = m;
			leaving = &m->next;
		} else {
			link = &m->next;
		}
		if (++n % CLAIM_BATCH == 0)
			ioas_relax(ioas);
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	ioas_unclaim(change);
	ret = ioas_accesses_unmap(ioas, &change->leaving,
				  &change->patience);
	if (ret == -EBUSY)
		change->fault_addr = max(change->patience.kept, change->start);
	return ret;
}

/* Preallocate more fillers than the last time */
static int add_fillers(struct ioas_change *change, unsigned int *nr)
{
	*nr = min(2 * *nr, 1U << 20);
	ioas_batch_cache_fill(&change->fillers, *nr);
	return change->fillers.spare ? 0 : -ENOMEM;
}

static int wait_for_busy(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	int ret;

	spin_lock(&ioas->lock);
	ret = ioas_wait_busy(ioas, change->fault_addr, NULL, false);
	spin_unlock(&ioas->lock);
	return ret;
}

/*
 * Claim the range, when no cascading unmap of the parent is about to unmap a part of
 * it.  On success attach_lock and tables.sem are held, until ioas_unclaim().  Waits
 * with nothing held.
 */
int ioas_claim(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	struct ioasid_iova_range frozen;
	unsigned int nr_fillers = 1;
	int ret;

	for (;;) {
		ret = -EINTR;
		if (mutex_lock_killable(&ioas->attach_lock))
			break;
		if (down_read_killable(&ioas->tables.sem)) {
			mutex_unlock(&ioas->attach_lock);
			break;
		}
		ret = claim_range(change) ?: check_parent(change, &frozen);
		if (!ret && !accesses_hold(change)) {
			ioas_mapping_wait_readers(ioas, change->claimed);
			return 0;
		}
		if (!ret) {
			ret = unpin_accesses(change);
		} else {
			ioas_unclaim(change);
			/*
			 * A thread that is waited for may wait for a LEAVING
			 * mapping
			 */
			end_leaving(change);
			if (ret == -ENOBUFS)
				ret = add_fillers(change, &nr_fillers);
			else if (ret == -EAGAIN)
				ret = wait_for_busy(change);
			else if (ret == 1)
				ret = wait_for_thaw(ioas->parent, &frozen);
		}
		if (ret)
			break;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
	}
	end_leaving(change);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_claim);
