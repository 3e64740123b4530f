// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unmap of a range of a parent, with all that refers to it.
 *
 * Invariants:
 *  - A cascading unmap goes through the references in ascending order and visits
 *    each once.  Where a child's translation cannot be removed (an IOMMU fails, a
 *    software device does not let go), the reference stays, and with it the
 *    parent's mapping; all others are removed nevertheless.
 *  - The whole depth is looked at before anything is cut: a cut that is not
 *    allowed leaves nothing cut.
 *
 * Waits: a fatal signal ends each of them.  Where that must not be, as in a
 * close(), all that one call waits for together is limited: see struct
 * ioasid_unmap_request.
 *
 * Locks: the references and the frozen ranges are protected by the lock of the
 * parent.  A thread that has frozen a range holds no lock for that; it freezes
 * further ranges in descendants only.
 */
#include <kunit/visibility.h>
#include <linux/interval_tree.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ioas.h"
#include "mapping.h"
#include "ref.h"
#include "split.h"

/* Beside enum ioasid_unmap_flags: only of children in other contexts */
#define UNMAP_WINDOWS	BIT(30)

/*
 * Freeze a range: nothing new refers to it until thaw().  Waits for another
 * thread that has frozen some of it.
 */
static int freeze(struct ioasid_space *space, struct ioasid_freeze *freeze,
		  u64 start, u64 last, struct ioasid_unmap_request *req)
{
	int ret;

	freeze->it.start = start;
	freeze->it.last = last;
	freeze->task = current;
	spin_lock(&space->lock);
	ret = ioasid_space_wait(space, !is_frozen(space, start, last), req);
	if (!ret)
		interval_tree_insert(&freeze->it, &space->family->frozen);
	spin_unlock(&space->lock);
	return ret;
}

static void thaw(struct ioasid_space *space, struct ioasid_freeze *freeze)
{
	spin_lock(&space->lock);
	interval_tree_remove(&freeze->it, &space->family->frozen);
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
}

/* Is it this thread that has frozen a range? */
static bool frozen_by_us(struct ioasid_space *space, u64 start, u64 last)
{
	struct interval_tree_node *it;
	bool ours = false;

	spin_lock(&space->lock);
	it = interval_tree_iter_first(&space->family->frozen, start, last);
	if (it)
		ours = container_of(it, struct ioasid_freeze, it)->task ==
		       current;
	spin_unlock(&space->lock);
	return ours;
}

/**
 * struct visit - a walk over the references to a range of a parent
 * @space: the parent
 * @side: which children are visited
 * @from: references end there or later
 * @to: and begin here or before
 * @any: @key is that of the one visited last
 * @key: see @any
 * @child: of the one that is visited, with a reference
 * @start: first byte of its mapping
 * @last: last byte
 *
 * The lock of the space is not held in between.  As no reference begins in the
 * range while it is frozen, the walk visits all there are.
 */
struct visit {
	struct ioasid_space *space;
	unsigned int side;
	u64 from;
	u64 to;
	bool any;
	struct ref_key key;
	struct ioasid_space *child;
	u64 start;
	u64 last;
};

static void visit_begin(struct visit *visit, struct ioasid_space *space,
			u64 from, u64 to)
{
	*visit = (struct visit){
		.space = space,
		.from = from,
		.to = to,
	};
}

/*
 * Go to the next reference: 1; 0, there is none; -EINTR.  One whose child is being
 * destroyed is waited for instead; with a forced @req it is passed over in the
 * end.
 */
static int visit_next(struct visit *visit, struct ioasid_unmap_request *req)
{
	struct ioasid_space *space = visit->space;
	struct ioasid_mapping *m;
	int ret = 0;

	visit->child = NULL;
	ioasid_family_lock(space);
	while (visit->side < IOASID_FAMILY_SIDES) {
		m = ref_after(space, visit->side,
			      visit->any ? &visit->key : NULL, visit->from,
			      visit->to);
		if (!m) {
			visit->side++;
			visit->any = false;
			continue;
		}
		visit->any = true;
		visit->key = key_of(m);
		if (m->space->ops->get(m->space)) {
			visit->child = m->space;
			visit->start = m->start;
			visit->last = m->start + (m->ref.last - m->addr);
			ret = 1;
			break;
		}
		ret = ioasid_space_wait(space, !ref_exists(space, visit->side,
							   &visit->key), req);
		if (ret && !(req->flags & IOASID_UNMAP_FORCED))
			break;
		ret = 0;
	}
	spin_unlock(&space->lock);
	return ret;
}

/* Wait until the reference that is visited is gone */
static int visit_wait(struct visit *visit, struct ioasid_unmap_request *req)
{
	struct ioasid_space *space = visit->space;
	int ret;

	spin_lock(&space->lock);
	ret = ioasid_space_wait(space, !ref_exists(space, visit->side,
						   &visit->key), req);
	spin_unlock(&space->lock);
	return ret;
}

static void visit_leave(struct visit *visit)
{
	visit->child->ops->put(visit->child);
	cond_resched();
}

/* What a poisoned child keeps it does not give back */
static bool is_poisoned(struct ioasid_space *space)
{
	bool poisoned;

	spin_lock(&space->lock);
	poisoned = space->poisoned;
	spin_unlock(&space->lock);
	return poisoned;
}

/* Is a space one that others can refer to? */
static bool is_parent(const struct ioasid_space *space)
{
	return READ_ONCE(space->family);
}

/**
 * struct planned_cut - what has to be cut in a descendant that is a parent
 * @frozen: the surroundings of the cut
 * @space: the descendant, with a reference
 * @next: another one
 */
struct planned_cut {
	struct ioasid_freeze frozen;
	struct ioasid_space *space;
	struct planned_cut *next;
};

static int plan_across(struct ioasid_space *space, u64 at,
		       struct ioasid_unmap_request *req,
		       struct planned_cut **plan);

/* Freeze the surroundings of a cut in a child that is a parent itself */
static int plan_parent(struct ioasid_space *space, u64 at,
		       struct ioasid_unmap_request *req,
		       struct planned_cut **plan)
{
	struct planned_cut *cut;
	int ret;

	/* Visited again, when its owner cut the mapping meanwhile before @at */
	if (frozen_by_us(space, at - 1, at))
		return 0;
	cut = kmalloc(sizeof(*cut), GFP_KERNEL_ACCOUNT);
	if (!cut)
		return -ENOMEM;
	ret = freeze(space, &cut->frozen, at - 1, at, req);
	if (ret) {
		kfree(cut);
		return ret;
	}
	space->ops->get(space);
	cut->space = space;
	cut->next = *plan;
	*plan = cut;
	return plan_across(space, at, req, plan);
}

static bool off_grid(struct ioasid_space *space, u64 at)
{
	struct ioasid_mapping *m;
	bool off;

	spin_lock(&space->lock);
	m = ioasid_mapping_cut_by(space, at);
	off = m && ioasid_mapping_off_grid(m, at);
	spin_unlock(&space->lock);
	return off;
}

/*
 * See that all that refers to memory across @at can be cut there, in descendants
 * too, and that nothing new comes across it until end_plan().
 */
static int plan_across(struct ioasid_space *space, u64 at,
		       struct ioasid_unmap_request *req,
		       struct planned_cut **plan)
{
	bool split = req->flags & IOASID_UNMAP_SPLIT;
	struct visit visit;
	u64 child_at;
	int ret;

	visit_begin(&visit, space, at, at - 1);
	while ((ret = visit_next(&visit, req)) > 0) {
		child_at = visit.start + (at - visit.key.addr);
		ret = 0;
		if (!split && off_grid(visit.child, child_at))
			ret = -EBUSY;
		else if (is_parent(visit.child))
			ret = plan_parent(visit.child, child_at, req, plan);
		visit_leave(&visit);
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		if (ret)
			break;
	}
	return ret;
}

static void end_plan(struct planned_cut *plan)
{
	struct planned_cut *next;

	for (; plan; plan = next) {
		next = plan->next;
		thaw(plan->space, &plan->frozen);
		plan->space->ops->put(plan->space);
		kfree(plan);
		cond_resched();
	}
}

static int cut_family(struct ioasid_space *space, u64 at, bool split,
		      struct ioasid_unmap_request *req);

/* Have no child refer to memory across @at, whose surroundings are frozen */
static int cut_children(struct ioasid_space *space, u64 at, bool split,
			struct ioasid_unmap_request *req)
{
	struct visit visit;
	bool poisoned;
	int ret;

	visit_begin(&visit, space, at, at - 1);
	while ((ret = visit_next(&visit, req)) > 0) {
		ret = cut_family(visit.child,
				 visit.start + (at - visit.key.addr), split,
				 req);
		/* What it keeps it does not cut */
		poisoned = !ret && is_poisoned(visit.child);
		visit_leave(&visit);
		if (poisoned)
			ret = -EIO;
		else if (ret == -EINVAL)
			ret = -EBUSY;
		else if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		if (ret)
			break;
	}
	return ret;
}

/* Make a mapping boundary at @at, and in what refers to memory across it */
static int cut_family(struct ioasid_space *space, u64 at, bool split,
		      struct ioasid_unmap_request *req)
{
	struct ioasid_freeze frozen;
	bool planned;
	int ret;

	if (!is_parent(space))
		return ioasid_space_cut(space, at, U64_MAX, split);
	planned = frozen_by_us(space, at - 1, at);
	if (!planned) {
		/* Its first child came after all was planned, so is cut anyway */
		split = true;
		ret = freeze(space, &frozen, at - 1, at, req);
		if (ret)
			return ret;
	}
	ret = cut_children(space, at, split, req);
	if (!ret)
		ret = ioasid_space_cut(space, at, U64_MAX, split);
	if (!planned)
		thaw(space, &frozen);
	return ret;
}

/*
 * Make boundaries at the edges of a range that is frozen.  First the whole depth
 * is looked at, so that a cut that is not allowed leaves nothing cut.
 */
static int cut_edges(struct ioasid_space *space, u64 start, u64 last,
		     struct ioasid_unmap_request *req)
{
	bool split = req->flags & IOASID_UNMAP_SPLIT;
	u64 edge[2] = { start, last + 1 };
	struct planned_cut *plan = NULL;
	unsigned int i;
	int ret = 0;

	/* With @of the range is a mapping as it was when it was looked at */
	if (!req->of)
		ret = ioasid_space_check_edges(space, start, last, split);
	for (i = 0; i < 2 && !ret; i++)
		if (edge[i])
			ret = plan_across(space, edge[i], req, &plan);
	for (i = 0; i < 2 && !ret; i++)
		if (edge[i])
			ret = cut_children(space, edge[i], split, req);
	if (!ret && !req->of)
		ret = ioasid_space_cut(space, start, last, split);
	end_plan(plan);
	return ret;
}

/*
 * Remove from the children what refers to [start, last], which is frozen.  One
 * that fails does not keep the others from losing theirs.
 */
static int revoke(struct ioasid_space *space, u64 start, u64 last,
		  struct ioasid_unmap_request *req)
{
	struct ioasid_iova_range range = { .start = start, .last = last };
	struct ioasid_unmap_request theirs = {
		.flags = req->flags & ~UNMAP_WINDOWS,
		.of = &range,
	};
	struct visit visit;
	int ret = 0, err;

	visit_begin(&visit, space, start, last);
	if (req->flags & UNMAP_WINDOWS)
		visit.side = IOASID_FAMILY_WINDOWS;
	while ((err = visit_next(&visit, req)) > 0) {
		theirs.patience = req->patience;
		err = ioasid_space_unmap(visit.child, visit.start, visit.last,
					 &theirs);
		req->patience = theirs.patience;
		if (unlikely(is_poisoned(visit.child)))
			err = -EIO;
		/* Another thread that unmapped it may have yet to drop it */
		if (likely(!err))
			err = visit_wait(&visit, req);
		visit_leave(&visit);
		if (unlikely(err)) {
			ret = ret ?: err == -EINVAL ? -EBUSY : err;
			if (err == -EINTR &&
			    !(req->flags & IOASID_UNMAP_FORCED))
				return err;
		}
		if (!(req->flags & IOASID_UNMAP_FORCED) &&
		    fatal_signal_pending(current))
			return -EINTR;
	}
	return err ?: ret;
}

/**
 * ioasid_family_close() - have no other context see a space any more
 * @space: the space
 * @patience: jiffies, for how long others are waited for; what is left of it
 *
 * What their children refer to is removed from them; what cannot be in that time
 * stays pinned until they let it go.
 *
 * Context: may sleep.
 */
void ioasid_family_close(struct ioasid_space *space, long *patience)
{
	struct ioasid_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOASID_UNMAP_FORCED | UNMAP_WINDOWS,
		.patience = *patience,
	};

	if (!is_parent(space))
		return;
	/* Nothing new comes through a window that is closed */
	spin_lock(&space->lock);
	space->family->closed = true;
	spin_unlock(&space->lock);
	revoke(space, 0, U64_MAX, &req);
	*patience = req.patience;
}

/* Without IOASID_UNMAP_CASCADE: all of the range, or nothing */
static int unmap_childless(struct ioasid_space *space, u64 start, u64 last,
			   struct ioasid_unmap_request *req)
{
	int ret = 0;

	ioasid_family_lock(space);
	if (ioasid_family_refers(space, start, last))
		ret = -EBUSY;
	spin_unlock(&space->lock);
	return ret ?: ioasid_space_unmap_range(space, start, last, req);
}

static int unmap_cascade(struct ioasid_space *space, u64 start, u64 last,
			 struct ioasid_unmap_request *req)
{
	int ret = 0, err;

	if (!(req->flags & IOASID_UNMAP_ALL))
		ret = cut_edges(space, start, last, req);
	if (!ret)
		ret = revoke(space, start, last, req);
	/* By force, all goes that nothing refers to any more */
	if (!ret || req->flags & IOASID_UNMAP_FORCED) {
		err = ioasid_space_unmap_range(space, start, last, req);
		ret = ret ?: err;
	}
	return ret;
}

/**
 * ioasid_family_unmap() - remove what is mapped in a range of a parent
 * @space: the parent
 * @start: first byte
 * @last: last byte
 * @req: how; with IOASID_UNMAP_CASCADE what children refer to is removed from
 *	them first
 *
 * Context: may sleep; waits for no page fault.
 * Return: as ioasid_space_unmap(), and -EBUSY, a child refers to memory in the
 * range, or would have to be cut off its grid: then nothing has changed.
 */
int ioasid_family_unmap(struct ioasid_space *space, u64 start, u64 last,
			struct ioasid_unmap_request *req)
{
	struct ioasid_freeze frozen;
	int ret, err;

	req->removed = 0;
	err = freeze(space, &frozen, start, last, req);
	/* Patience ended: whatever can be removed is, all the same */
	if (err && !(req->flags & IOASID_UNMAP_FORCED))
		return err;
	if (req->flags & IOASID_UNMAP_CASCADE)
		ret = unmap_cascade(space, start, last, req);
	else
		ret = unmap_childless(space, start, last, req);
	if (!err)
		thaw(space, &frozen);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_family_unmap);
