// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changing mappings in place: IOASID_MAP_PROTECT and IOASID_MAP_REPLACE.
 *
 * Invariants:
 *  - All memory is pinned or borrowed, and all that a cut may need is allocated,
 *    before a table is touched.  What was there is unpinned only after all
 *    tables were changed and flushed (table before pin).
 *  - While tables change, the range is claimed: every mapping that touches it is
 *    CUTTING, and what is free is taken by fillers in that state.  Nothing else
 *    about the mappings changes before all tables have; so what fails has
 *    the tables changed back, and lets go of the claim.
 *  - Software devices let go before anything is claimed for good: what they lose
 *    is LEAVING meanwhile, which no thread waits for that pins, and the rest is
 *    LIVE.
 *
 * Waits: for mappings in transit, and for software devices, with nothing claimed
 * and no lock held; a fatal signal ends them.
 *
 * Locks: attach_lock keeps groups from coming and going, so that no domain is
 * being filled; domains_sem is held for reading for as long as anything is
 * claimed.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../mem/memory.h"
#include "access.h"
#include "backing.h"
#include "diff.h"
#include "domain.h"
#include "ioas.h"
#include "mapping.h"
#include "ranges.h"
#include "ref.h"
#include "split.h"
#include "tree.h"

/* Mappings that are looked at with the lock held */
#define CLAIM_BATCH	64

static bool is_poisoned(struct ioasid_space *space)
{
	struct ioasid_domain *dom;

	list_for_each_entry(dom, &space->domains, node)
		if (READ_ONCE(dom->poisoned))
			return true;
	return false;
}

/* ---- Claim ---- */

/* Does a child refer to bytes of a mapping that are in the range? */
static bool is_borrowed(const struct change *change, struct ioasid_mapping *m)
{
	const struct ioasid_space *space = change->space;

	lockdep_assert_held(&space->lock);
	return space->family &&
	       ioasid_family_refers(space, max(m->start, change->start),
				    min(m->last, change->last));
}

/* May the edges of the range cut this mapping? */
static int check_cut(const struct change *change, struct ioasid_mapping *m)
{
	u64 edge[2] = { change->start, change->last + 1 };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (edge[i] <= m->start || edge[i] > m->last)
			continue;
		if (!change->split && ioasid_mapping_off_grid(m, edge[i]))
			return -EINVAL;
		if (ioasid_family_spans(change->space, edge[i]))
			return -EBUSY;
	}
	return 0;
}

/* May this mapping be changed so? */
static int check_mapping(const struct change *change, struct ioasid_mapping *m)
{
	unsigned int lost = m->flags & ~change->flags & PERMISSION;
	int ret;

	if (!m->mem.npages) {
		if (change->new)
			return -EEXIST;
		return m->device ? -EOPNOTSUPP : -ENXIO;
	}
	if (!differs(change, m))
		return 0;
	ret = check_cut(change, m);
	if (ret)
		return ret;
	if ((change->new || lost) && is_borrowed(change, m))
		return -EBUSY;
	return 0;
}

/* What the whole space may refuse */
static int check_space(struct change *change)
{
	struct ioasid_space *space = change->space;

	lockdep_assert_held(&space->lock);
	if (space->dead)
		return -ENOENT;
	if (space->poisoned)
		return -EIO;
	if (space->partial)
		return -EDEADLK;
	if (change->new && space->permitted &&
	    !ioasid_ranges_hold(space->permitted, change->start, change->last,
				&change->fault_addr))
		return -EINVAL;
	return 0;
}

/* Fillers are freed, mappings LIVE again */
static void let_claim_go(struct change *change)
{
	struct ioasid_space *space = change->space;
	struct ioasid_mapping *m, *next;
	unsigned int n = 0;

	spin_lock(&space->lock);
	for (m = change->claimed; m; m = next) {
		next = m->next;
		if (is_filler(m)) {
			ioasid_mapping_erase(space, m);
			ioasid_mapping_free(m);
		} else {
			m->state = IOASID_MAPPING_LIVE;
		}
		if (++n % CLAIM_BATCH == 0) {
			ioasid_space_wake(space);
			ioasid_space_relax(space);
		}
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	change->claimed = NULL;
}

static void unlock_space(struct change *change)
{
	struct ioasid_space *space = change->space;

	up_read(&space->domains_sem);
	mutex_unlock(&space->attach_lock);
}

static void unclaim(struct change *change)
{
	let_claim_go(change);
	unlock_space(change);
}

/* A thread that would cut it does not fail for that, but waits */
static struct ioasid_mapping *alloc_filler(struct change *change)
{
	struct ioasid_map_request req = {
		.flags = IOASID_MAP_RESERVE,
		.cut_shift = PAGE_SHIFT,
		.state = IOASID_MAPPING_CUTTING,
		.place = &change->fillers,
	};

	return ioasid_mapping_alloc(change->space, &req);
}

/*
 * Claim what is at @cursor, up to @next.  Returns -EAGAIN when that has to be
 * waited for, -ENOBUFS when there is no filler left.
 */
static int claim_one(struct change *change, u64 cursor, u64 *next,
		     struct ioasid_mapping ***tail)
{
	struct ioasid_space *space = change->space;
	struct ioasid_mapping *m;
	int ret;

	m = ioasid_mapping_first(space, cursor);
	while (change->new && m && m->start <= change->last &&
	       m->state == IOASID_MAPPING_PINNING) {
		ioasid_mapping_erase(space, m);
		m->state = IOASID_MAPPING_CANCELLED;
		m = ioasid_mapping_first(space, cursor);
	}

	change->fault_addr = cursor;
	if (!m || m->start > cursor) {
		if (!change->new)
			return -ENXIO;
		if (!change->fillers.spare)
			return -ENOBUFS;
		*next = m ? min(m->start - 1, change->last) : change->last;
		m = alloc_filler(change);
		m->start = cursor;
		m->last = *next;
		ioasid_mapping_insert(space, m);
	} else {
		if (m->state == IOASID_MAPPING_PINNING)
			return -ENXIO;
		if (m->state != IOASID_MAPPING_LIVE && m != change->ours)
			return -EAGAIN;
		ret = check_mapping(change, m);
		if (ret)
			return ret;
		if (m == change->ours)
			change->ours = m->next;
		m->in_filling = false;
		m->state = IOASID_MAPPING_CUTTING;
	}
	m->next = NULL;
	**tail = m;
	*tail = &m->next;
	change->claimed_last = m;
	*next = m->last + 1;
	return 0;
}

/* Go through the range; as claim_one() */
static int claim_range(struct change *change)
{
	struct ioasid_mapping **tail = &change->claimed;
	struct ioasid_space *space = change->space;
	u64 cursor = change->start, next;
	unsigned int n = 0;
	int ret;

	change->ours = change->leaving;
	ioasid_family_lock(space);
	ret = check_space(change);
	while (!ret) {
		ret = claim_one(change, cursor, &next, &tail);
		if (ret || next > change->last || !next)
			break;
		cursor = next;
		if (++n % CLAIM_BATCH == 0) {
			spin_unlock(&space->lock);
			cond_resched();
			ioasid_family_lock(space);
			/* What was true before need not be */
			ret = check_space(change);
			if (!ret && fatal_signal_pending(current))
				ret = -EINTR;
		}
	}
	spin_unlock(&space->lock);
	/* What is claimed is on that list now */
	change->leaving = change->ours;
	return ret;
}

/* Mappings that software devices let go of are LIVE again, if not claimed */
static void end_leaving(struct change *change)
{
	struct ioasid_space *space = change->space;
	struct ioasid_mapping *m, *next;
	unsigned int n = 0;

	if (!change->leaving)
		return;
	spin_lock(&space->lock);
	for (m = change->leaving; m; m = next) {
		next = m->next;
		m->state = IOASID_MAPPING_LIVE;
		if (++n % CLAIM_BATCH == 0)
			ioasid_space_relax(space);
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	change->leaving = NULL;
}

/* Must devices stop to use something of it? */
static bool loses(const struct change *change, const struct ioasid_mapping *m)
{
	return !is_filler(m) &&
	       (change->new || change->repinned ||
		m->flags & ~change->flags & PERMISSION);
}

/* Do software devices hold pages that they must let go of? */
static bool must_let_go(struct change *change)
{
	struct ioasid_space *space = change->space;
	struct ioasid_mapping *m;
	unsigned int n = 0;
	bool must = false;

	if (likely(!READ_ONCE(space->software)))
		return false;
	spin_lock(&space->lock);
	for (m = change->claimed; m && !must; m = m->next) {
		must = loses(change, m) &&
		       ioasid_software_pinned(space, m->start, m->last);
		if (++n % CLAIM_BATCH == 0)
			ioasid_space_relax(space);
	}
	spin_unlock(&space->lock);
	return must;
}

/*
 * Have software devices let go of all that they lose, which is LEAVING from now
 * on; the claim ends.
 */
static int have_let_go(struct change *change)
{
	struct ioasid_mapping **leaving = &change->leaving, **link, *m;
	struct ioasid_space *space = change->space;
	unsigned int n = 0;
	int ret;

	spin_lock(&space->lock);
	for (link = &change->claimed; (m = *link);) {
		if (loses(change, m)) {
			m->state = IOASID_MAPPING_LEAVING;
			*link = m->next;
			m->next = NULL;
			*leaving = m;
			leaving = &m->next;
		} else {
			link = &m->next;
		}
		if (++n % CLAIM_BATCH == 0)
			ioasid_space_relax(space);
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	unclaim(change);
	ret = ioasid_listeners_unmap(space, &change->leaving,
				     &change->patience);
	if (ret == -EBUSY)
		change->fault_addr = max(change->patience.kept, change->start);
	return ret;
}

/* Some more fillers than there were the time before */
static int add_fillers(struct change *change, unsigned int *nr)
{
	*nr = min(2 * *nr, 1U << 20);
	ioasid_place_fill(&change->fillers, *nr);
	return change->fillers.spare ? 0 : -ENOMEM;
}

static int wait_for_transit(struct change *change)
{
	struct ioasid_space *space = change->space;
	int ret;

	spin_lock(&space->lock);
	ret = ioasid_space_wait_in_transit(space, change->fault_addr, NULL);
	spin_unlock(&space->lock);
	return ret;
}

/*
 * Claim the range.  On success attach_lock and domains_sem are held, until
 * unclaim().  Waits for whatever is in transit there, with nothing held.
 */
static int claim(struct change *change)
{
	struct ioasid_space *space = change->space;
	unsigned int nr_fillers = 1;
	int ret;

	for (;;) {
		ret = -EINTR;
		if (mutex_lock_killable(&space->attach_lock))
			break;
		down_read(&space->domains_sem);
		ret = claim_range(change);
		if (!ret && !must_let_go(change)) {
			ioasid_mapping_wait_readers(space, change->claimed);
			return 0;
		}
		if (!ret) {
			ret = have_let_go(change);
		} else {
			unclaim(change);
			/* A thread that is waited for may wait for it */
			end_leaving(change);
			if (ret == -ENOBUFS)
				ret = add_fillers(change, &nr_fillers);
			else if (ret == -EAGAIN)
				ret = wait_for_transit(change);
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

/* ---- Permission ---- */

/* Does the parent permit what a child's mapping shall? */
static int check_parent(struct change *change, const struct ioasid_mapping *m)
{
	const struct ioasid_window *window = change->space->window;
	struct ioasid_space *parent = change->space->parent;
	u64 from = max(m->start, change->start);
	u64 to = min(m->last, change->last);
	u64 cursor = m->addr + (from - m->start);
	u64 last = m->addr + (to - m->start);
	struct ioasid_mapping *owner;
	unsigned int n = 0, lacks;
	int ret = 0;

	/* They are there, and not narrowed, for as long as we refer to them */
	spin_lock(&parent->lock);
	for (;;) {
		owner = ioasid_mapping_first(parent, cursor);
		lacks = change->flags & ~owner->flags & PERMISSION;
		if (unlikely(window))
			lacks |= change->flags & ~window->terms->permission;
		if (lacks) {
			change->fault_addr = cursor;
			if (window)
				change->fault_addr -= window->terms->start;
			ret = -EACCES;
			break;
		}
		if (owner->last >= last)
			break;
		cursor = owner->last + 1;
		if (++n % CLAIM_BATCH == 0)
			ioasid_space_relax(parent);
	}
	spin_unlock(&parent->lock);
	return ret;
}

static bool must_repin(const struct change *change,
		       const struct ioasid_mapping *m)
{
	return change->flags & IOASID_MAP_WRITE && !m->mem.writable;
}

/* Is this the memory that belongs there, pinned for writing? */
static bool is_repinned(const struct change *change,
			const struct ioasid_mapping *m,
			const struct ioasid_mapping *repin)
{
	u64 start = max(m->start, change->start);

	return repin && repin->start == start &&
	       repin->last == min(m->last, change->last) &&
	       repin->addr == m->addr + (start - m->start) &&
	       repin->payer->mm == m->payer->mm;
}

/* Another page where a child refers to the one that was? */
static bool same_pages(const struct change *change,
		       const struct ioasid_mapping *m,
		       const struct ioasid_mapping *repin)
{
	struct ioasid_runs was, is;
	struct ioasid_run a = {}, b = {};
	unsigned long n;

	ioasid_runs_from(&was, &m->mem, page_index(m, repin->start),
			 repin->mem.npages);
	ioasid_runs_start(&is, &repin->mem);
	while ((a.npages || ioasid_runs_next(&was, &a)) &&
	       (b.npages || ioasid_runs_next(&is, &b))) {
		if (a.pfn != b.pfn)
			return false;
		n = min(a.npages, b.npages);
		a.pfn += n;
		a.npages -= n;
		b.pfn += n;
		b.npages -= n;
		cond_resched();
	}
	return true;
}

static void free_repinned(struct change *change)
{
	struct ioasid_mapping *m, *next;

	for (m = change->repinned; m; m = next) {
		next = m->next;
		ioasid_mapping_release(change->space, m);
		cond_resched();
	}
	change->repinned = NULL;
}

/* Which memory has to be pinned again: noted in change->repinned, unpinned yet */
static int note_repins(struct change *change)
{
	struct ioasid_mapping *m, *repin, **tail = &change->repinned;
	struct ioasid_map_request req = {};

	for (m = change->claimed; m; m = m->next) {
		if (!differs(change, m) || !must_repin(change, m))
			continue;
		change->fault_addr = max(m->start, change->start);
		/* Which file it was, and how it was open, nobody knows */
		if (m->flags & IOASID_MAP_FILE)
			return -EACCES;
		if (m->payer->mm != current->mm)
			return -EPERM;
		req.addr = m->addr + (change->fault_addr - m->start);
		repin = ioasid_mapping_alloc(change->space, &req);
		if (!repin)
			return -ENOMEM;
		repin->start = change->fault_addr;
		repin->last = min(m->last, change->last);
		repin->next = NULL;
		*tail = repin;
		tail = &repin->next;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* With nothing claimed: a page fault in here may hang for ever */
static int pin_repins(struct change *change)
{
	struct ioasid_mapping *m;
	struct ioasid_payer *payer;

	for (m = change->repinned; m; m = m->next) {
		payer = ioasid_memory_get(&m->mem, change->space->account, NULL,
					  m->addr,
					  page_index(m, m->last) + 1, true,
					  &change->fault_addr);
		if (IS_ERR(payer))
			return PTR_ERR(payer);
		m->payer = payer;
	}
	return 0;
}

/* Are all mappings ready for the permission?  1: what is missing was noted */
static int check_permission(struct change *change)
{
	struct ioasid_mapping *repin = change->repinned, *m;
	struct ioasid_space *space = change->space;
	bool borrowed;
	int ret;

	for (m = change->claimed; m; m = m->next) {
		if (!differs(change, m))
			continue;
		if (space->parent) {
			ret = check_parent(change, m);
			if (ret)
				return ret;
			continue;
		}
		if (!must_repin(change, m))
			continue;
		if (!is_repinned(change, m, repin)) {
			free_repinned(change);
			return note_repins(change) ?: 1;
		}
		ioasid_family_lock(space);
		borrowed = is_borrowed(change, m);
		spin_unlock(&space->lock);
		if (borrowed && !same_pages(change, m, repin))
			return -EBUSY;
		repin = repin->next;
		cond_resched();
	}
	return 0;
}

/* ---- Publish ---- */

/* Which edges of the range cut a mapping? */
static bool cuts_left(const struct change *change)
{
	return change->claimed->start < change->start &&
	       differs(change, change->claimed);
}

static bool cuts_right(const struct change *change)
{
	return change->claimed_last->last > change->last &&
	       differs(change, change->claimed_last);
}

/*
 * How many mappings more there may be than there were.  What replaces them is
 * counted already, for one that goes.
 */
static unsigned int nr_more(const struct change *change)
{
	bool left = cuts_left(change), right = cuts_right(change);

	if (change->new)
		return left && right && change->claimed == change->claimed_last;
	return left + right;
}

/*
 * Tables have changed: make mapping boundaries at the edges of the range.
 * Nothing claimed is outside of it afterwards.
 */
static void cut_edges(struct change *change)
{
	struct ioasid_mapping *left = change->claimed, **link;
	struct ioasid_mapping *right = change->claimed_last;
	struct ioasid_space *space = change->space;
	bool cut_left = cuts_left(change), cut_right = cuts_right(change);

	if (cut_right)
		ioasid_mapping_cut_memory(space, right, change->tail[1],
					  change->last + 1);
	if (cut_left)
		ioasid_mapping_cut_memory(space, left, change->tail[0],
					  change->start);
	spin_lock(&space->lock);
	if (cut_right) {
		ioasid_mapping_cut_object(space, right, change->tail[1]);
		change->tail[1] = NULL;
	}
	if (cut_left) {
		ioasid_mapping_cut_object(space, left, change->tail[0]);
		link = &change->claimed;
		change->tail[0]->state = IOASID_MAPPING_CUTTING;
		change->tail[0]->next = left->next;
		*link = change->tail[0];
		if (change->claimed_last == left)
			change->claimed_last = change->tail[0];
		change->tail[0] = NULL;
		left->state = IOASID_MAPPING_LIVE;
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
}

/* Let the claimed mappings have their new permission, and memory */
static void publish_permission(struct change *change)
{
	struct ioasid_mapping *m, *next, *repin = change->repinned;
	struct ioasid_space *space = change->space;
	unsigned int n = 0;

	spin_lock(&space->lock);
	for (m = change->claimed; m; m = next) {
		next = m->next;
		if (differs(change, m)) {
			if (!space->parent && must_repin(change, m)) {
				swap(m->mem, repin->mem);
				swap(m->payer, repin->payer);
				repin = repin->next;
			}
			m->flags = (m->flags & ~PERMISSION) | change->flags;
		}
		m->state = IOASID_MAPPING_LIVE;
		if (++n % CLAIM_BATCH == 0) {
			ioasid_space_wake(space);
			ioasid_space_relax(space);
		}
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	change->claimed = NULL;
}

/*
 * Let the new mapping have the place of the claimed ones.  A stand-in grows over
 * it first, as children's mappings must not seem to be smaller than they are.
 */
static void publish_new(struct change *change)
{
	struct ioasid_mapping *m, *stand_in = change->stand_in;
	struct ioasid_space *space = change->space;
	unsigned int n = 0;

	spin_lock(&space->lock);
	for (m = change->claimed; m; m = m->next) {
		if (m == change->claimed) {
			ioasid_mapping_erase(space, m);
			stand_in->start = m->start;
			stand_in->last = m->last;
			ioasid_mapping_insert(space, stand_in);
		} else {
			ioasid_mapping_absorb(space, stand_in, m);
		}
		if (!is_filler(m)) {
			space->nr_mappings--;
			space->bytes_mapped -= m->last - m->start + 1;
		}
		if (++n % CLAIM_BATCH == 0)
			ioasid_space_relax(space);
	}
	ioasid_mapping_erase(space, stand_in);
	change->new->state = IOASID_MAPPING_LIVE;
	ioasid_mapping_insert(space, change->new);
	space->nr_mappings++;
	space->bytes_mapped += change->last - change->start + 1;
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	change->new = NULL;
}

/* No table has the mappings any more that the new one replaced */
static void release_old(struct change *change)
{
	struct ioasid_mapping *m, *next;

	for (m = change->claimed; m; m = next) {
		next = m->next;
		ioasid_mapping_release(change->space, m);
		cond_resched();
	}
	change->claimed = NULL;
}

/* A poisoned domain may reach what it should have got */
static void keep_new(struct change *change)
{
	struct ioasid_space *space = change->space;
	struct ioasid_mapping *m, *next;
	unsigned int n = 0;

	spin_lock(&space->lock);
	space->poisoned = true;
	if (change->new)
		ioasid_mapping_keep(space, change->new);
	for (m = change->repinned; m; m = next) {
		next = m->next;
		ioasid_mapping_keep(space, m);
		if (++n % CLAIM_BATCH == 0)
			ioasid_space_relax(space);
	}
	spin_unlock(&space->lock);
	change->new = NULL;
	change->repinned = NULL;
}

/* With the range claimed, and everything there: returns with it let go */
static int carry_out(struct change *change)
{
	struct ioasid_space *space = change->space;
	unsigned int more = nr_more(change), i;
	bool replace = change->new, poisoned;
	int ret = 0;

	lock_map_acquire(&ioasid_cutting_map);
	for (i = 0; i < more && !ret; i++)
		ret = ioasid_family_may_cut(space);
	more = ret ? i - 1 : i;
	if (!ret)
		ret = change_tables(change);
	poisoned = ret && is_poisoned(space);
	if (ret) {
		if (poisoned) {
			keep_new(change);
			ret = -EIO;
		}
		lock_map_release(&ioasid_cutting_map);
		unclaim(change);
		if (poisoned)
			space->ops->poisoned(space);
	} else {
		cut_edges(change);
		if (replace) {
			publish_new(change);
			lock_map_release(&ioasid_cutting_map);
			unlock_space(change);
			release_old(change);
		} else {
			publish_permission(change);
			lock_map_release(&ioasid_cutting_map);
			unlock_space(change);
		}
	}
	while (more--)
		ioasid_family_cut_done(space);
	return ret;
}

static int protect(struct change *change)
{
	int ret;

	for (;;) {
		ret = claim(change);
		if (ret)
			return ret;
		ret = check_permission(change);
		if (!ret)
			return carry_out(change);
		unclaim(change);
		if (ret < 0)
			return ret;
		ret = pin_repins(change);
		if (ret)
			return ret;
	}
}

static int replace_root(struct change *change, struct ioasid_map_request *req)
{
	struct ioasid_mapping *new = change->new;
	struct ioasid_payer *payer;
	int ret;

	payer = ioasid_memory_get(&new->mem, change->space->account, req->file,
				  req->addr, req->length >> PAGE_SHIFT,
				  req->flags & IOASID_MAP_WRITE,
				  &req->fault_addr);
	if (IS_ERR(payer)) {
		change->fault_addr = req->fault_addr;
		return PTR_ERR(payer);
	}
	new->payer = payer;
	ret = claim(change);
	return ret ?: carry_out(change);
}

static int replace_child(struct change *change, struct ioasid_map_request *req)
{
	struct ioasid_space *space = change->space;
	struct ioasid_mapping *new = change->new;
	int ret;

	for (;;) {
		ret = claim(change);
		if (ret)
			return ret;
		new->state = IOASID_MAPPING_FILLING;
		ret = ioasid_family_borrow(space, new, false,
					   &change->fault_addr);
		if (!ret)
			return carry_out(change);
		unclaim(change);
		if (ret != -EAGAIN)
			return ret;
		WRITE_ONCE(new->wanted, false);
		ret = ioasid_family_wait(space, change->fault_addr,
					 req->addr + (req->length - 1));
		if (ret)
			return ret;
	}
}

static int alloc_spares(struct change *change, struct ioasid_map_request *req)
{
	struct ioasid_space *space = change->space;

	change->tail[0] = alloc_filler(change);
	change->tail[1] = alloc_filler(change);
	if (!change->tail[0] || !change->tail[1])
		return -ENOMEM;
	if (!(req->flags & IOASID_MAP_REPLACE))
		return 0;
	change->stand_in = alloc_filler(change);
	change->new = ioasid_mapping_alloc(space, req);
	if (!change->stand_in || !change->new)
		return -ENOMEM;
	change->new->flags = req->flags & (PERMISSION | IOASID_MAP_FILE);
	change->new->start = change->start;
	change->new->last = change->last;
	return 0;
}

static void free_spares(struct change *change)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (change->tail[i])
			ioasid_mapping_free(change->tail[i]);
	if (change->stand_in)
		ioasid_mapping_free(change->stand_in);
	if (change->new)
		ioasid_mapping_release(change->space, change->new);
	ioasid_place_empty(&change->fillers);
	free_repinned(change);
}

/**
 * ioasid_space_change() - change what is mapped in a range, in place
 * @space: the space
 * @req: with IOASID_MAP_PROTECT which permission; with IOASID_MAP_REPLACE what to
 *	map instead
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0; on failure nothing has changed: -ENXIO, something of the range is
 * not mapped, or of a child not in its parent; -EEXIST, a range is reserved, or
 * device memory; -EINVAL, not permitted, or an edge cuts a mapping off its
 * grid; -EBUSY, a child refers to what would change, or a software device does
 * not let go; -EPERM, -EACCES, memory cannot be pinned for writing by the
 * caller, or the parent does not permit that much; -EOPNOTSUPP, device memory;
 * those of ioasid_memory_get(), ioasid_space_reserve() and
 * ioasid_family_borrow(); -ENOMEM, -ENOSPC or -EIO of an IOMMU driver; -EINTR,
 * a fatal signal.
 */
int ioasid_space_change(struct ioasid_space *space,
			struct ioasid_map_request *req)
{
	struct change change = {
		.space = space,
		.start = req->iova,
		.last = req->iova + (req->length - 1),
		.flags = req->flags & PERMISSION,
		.split = req->flags & IOASID_MAP_SPLIT,
		.patience.patience = IOASID_PATIENCE,
	};
	int ret;

	ret = alloc_spares(&change, req);
	if (!ret) {
		if (!change.new)
			ret = protect(&change);
		else if (space->parent)
			ret = replace_child(&change, req);
		else
			ret = replace_root(&change, req);
	}
	free_spares(&change);
	req->fault_addr = change.fault_addr;
	return ret;
}
