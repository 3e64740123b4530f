// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cascading unmap: unmap of a range of a parent, with all that refers to it.
 *
 * Invariants:
 *  - A cascading unmap visits the references in ascending order, each once.
 *    Where a child's mapping cannot be removed (an IOMMU fails, an access still
 *    holds pages), the reference stays, and with it the parent's mapping; all
 *    others are removed nevertheless.
 *  - All descendants are checked before anything is cut: a cut that is not
 *    allowed leaves nothing cut.
 *
 * Waits: a fatal signal ends each of them.  Where that must not be, as in a
 * close(), the sum of all waits of one call is limited: see struct
 * ioas_unmap_request.
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
#include "tree.h"

/* Beside the flags of struct ioas_unmap_request: only children in other contexts */
#define UNMAP_IMPORTS	BIT(29)

/* Beside these: the call is of another context, which has to be told of it */
#define UNMAP_OF_OTHERS	BIT(28)

/* The last byte of an unmap: a mapping that has @last may go whole */
static u64 unmap_end(struct ioas *ioas, u64 last,
		     const struct ioas_unmap_request *req)
{
	struct ioas_mapping *m;

	if (likely(!(req->flags & IOAS_UNMAP_WHOLE)))
		return last;
	m = ioas_mapping_first(ioas, last);
	return m && m->start <= last ? m->last : last;
}

/*
 * Freeze a range: no new reference until thaw().  Waits while another thread
 * has frozen some of it.
 */
static int freeze(struct ioas *ioas, struct ioas_freeze *freeze,
		  u64 start, u64 last, struct ioas_unmap_request *req)
{
	u64 end;
	int ret;

	freeze->it.start = start;
	freeze->task = current;
	spin_lock(&ioas->lock);
	do {
		end = unmap_end(ioas, last, req);
		ret = ioas_wait(ioas, !ioas_range_frozen(ioas, start, end),
				req);
	} while (!ret && unmap_end(ioas, last, req) != end);
	freeze->it.last = end;
	if (!ret)
		interval_tree_insert(&freeze->it, &ioas->as_parent->frozen);
	spin_unlock(&ioas->lock);
	return ret;
}

static void thaw(struct ioas *ioas, struct ioas_freeze *freeze)
{
	spin_lock(&ioas->lock);
	interval_tree_remove(&freeze->it, &ioas->as_parent->frozen);
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
}

/* Test whether this thread has frozen a range */
static bool frozen_by_us(struct ioas *ioas, u64 start, u64 last)
{
	struct interval_tree_node *it;
	bool ours = false;

	spin_lock(&ioas->lock);
	it = interval_tree_iter_first(&ioas->as_parent->frozen, start, last);
	if (it)
		ours = container_of(it, struct ioas_freeze, it)->task ==
		       current;
	spin_unlock(&ioas->lock);
	return ours;
}

/**
 * struct visit - a walk over the references to a range of a parent
 * @ioas: the parent
 * @side: children that are visited now
 * @from: the references end at @from or later
 * @to: the references begin at @to or before
 * @any: @key is valid
 * @key: key of the last visited reference
 * @child: child of the visited reference, kept by ioas_ops.get
 * @start: first byte of the child's mapping
 * @last: last byte of it
 *
 * The lock of the parent is not held in between.  The walk misses no reference,
 * since none is added to the range while it is frozen.
 */
struct visit {
	struct ioas *ioas;
	unsigned int side;
	u64 from;
	u64 to;
	bool any;
	struct ioas_ref_key key;
	struct ioas *child;
	u64 start;
	u64 last;
};

static void visit_begin(struct visit *visit, struct ioas *ioas,
			u64 from, u64 to)
{
	*visit = (struct visit){
		.ioas = ioas,
		.from = from,
		.to = to,
	};
}

/*
 * Go to the next reference.  Returns 1; 0, there is none; -EINTR.  If its child
 * is being destroyed, waits for the reference to end; with a forced @req skips
 * it when the patience ends.
 */
static int visit_next(struct visit *visit, struct ioas_unmap_request *req)
{
	struct ioas *ioas = visit->ioas;
	struct ioas_mapping *m;
	int ret = 0;

	visit->child = NULL;
	ioas_lock_refs(ioas);
	while (visit->side < IOAS_REFS_SIDES) {
		m = ioas_ref_after(ioas, visit->side,
				   visit->any ? &visit->key : NULL, visit->from,
				   visit->to);
		if (!m) {
			visit->side++;
			visit->any = false;
			continue;
		}
		visit->any = true;
		visit->key = ioas_ref_key_of(m);
		/* What is written now stops, and waits for the range to thaw */
		WRITE_ONCE(m->wanted, true);
		if (m->ioas->ops->get(m->ioas)) {
			visit->child = m->ioas;
			visit->start = m->start;
			visit->last = m->start + (m->ref.last - m->addr);
			ret = 1;
			break;
		}
		ret = ioas_wait(ioas, !ioas_ref_find(ioas, visit->side,
						     &visit->key), req);
		if (ret && !(req->flags & IOAS_UNMAP_FORCED))
			break;
		ret = 0;
	}
	spin_unlock(&ioas->lock);
	return ret;
}

/* True if the visited reference reaches @at */
static bool reaches(const struct visit *visit, u64 at)
{
	const struct ioas_mapping *m = ioas_ref_find(visit->ioas, visit->side,
						     &visit->key);

	return m && m->ref.last >= at;
}

/* Wait until the visited reference ends before @at, or at all */
static int visit_wait(struct visit *visit, u64 at, struct ioas_unmap_request *req)
{
	struct ioas *ioas = visit->ioas;
	int ret;

	spin_lock(&ioas->lock);
	ret = ioas_wait(ioas, !reaches(visit, at), req);
	spin_unlock(&ioas->lock);
	return ret;
}

static void visit_leave(struct visit *visit)
{
	visit->child->ops->put(visit->child);
	cond_resched();
}

/* A poisoned child may have mappings in quarantine, whose references stay */
static bool is_poisoned(struct ioas *ioas)
{
	bool poisoned;

	spin_lock(&ioas->lock);
	poisoned = ioas->poisoned;
	spin_unlock(&ioas->lock);
	return poisoned;
}

/* True if children can refer to the address space */
static bool is_parent(const struct ioas *ioas)
{
	return READ_ONCE(ioas->as_parent);
}

/**
 * struct planned_cut - a cut in a descendant that is a parent
 * @frozen: the bytes on both sides of the cut
 * @ioas: the descendant, kept by ioas_ops.get
 * @next: another planned cut
 */
struct planned_cut {
	struct ioas_freeze frozen;
	struct ioas *ioas;
	struct planned_cut *next;
};

static int plan_across(struct ioas *ioas, u64 at,
		       struct ioas_unmap_request *req,
		       struct planned_cut **plan);

/* Freeze the bytes around a cut in a child that is a parent itself */
static int plan_parent(struct ioas *ioas, u64 at,
		       struct ioas_unmap_request *req,
		       struct planned_cut **plan)
{
	struct planned_cut *cut;
	int ret;

	/* Visited before, if its owner has split the mapping below @at since */
	if (frozen_by_us(ioas, at - 1, at))
		return 0;
	cut = kmalloc(sizeof(*cut), GFP_KERNEL_ACCOUNT);
	if (!cut)
		return -ENOMEM;
	ret = freeze(ioas, &cut->frozen, at - 1, at, req);
	if (ret) {
		kfree(cut);
		return ret;
	}
	ioas->ops->get(ioas);
	cut->ioas = ioas;
	cut->next = *plan;
	*plan = cut;
	return plan_across(ioas, at, req, plan);
}

static bool off_grid(struct ioas *ioas, u64 at)
{
	struct ioas_mapping *m;
	bool off;

	spin_lock(&ioas->lock);
	m = ioas_mapping_split_by(ioas, at);
	off = m && ioas_mapping_off_grid(m, at);
	spin_unlock(&ioas->lock);
	return off;
}

/*
 * Check that every reference across @at can be cut there, in descendants too.
 * Until end_plan() no new reference spans it.
 */
static int plan_across(struct ioas *ioas, u64 at,
		       struct ioas_unmap_request *req,
		       struct planned_cut **plan)
{
	bool split = req->flags & IOASID_UNMAP_SPLIT;
	struct visit visit;
	u64 child_at;
	int ret;

	visit_begin(&visit, ioas, at, at - 1);
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
		thaw(plan->ioas, &plan->frozen);
		plan->ioas->ops->put(plan->ioas);
		kfree(plan);
		cond_resched();
	}
}

static int cut_family(struct ioas *ioas, u64 at, bool split,
		      struct ioas_unmap_request *req);

/* Cut each child's mapping that refers to memory across @at, which is frozen */
static int cut_children(struct ioas *ioas, u64 at, bool split,
			struct ioas_unmap_request *req)
{
	struct visit visit;
	bool poisoned;
	int ret;

	visit_begin(&visit, ioas, at, at - 1);
	while ((ret = visit_next(&visit, req)) > 0) {
		ret = cut_family(visit.child,
				 visit.start + (at - visit.key.addr), split,
				 req);
		/* Mappings in quarantine are not cut */
		poisoned = !ret && is_poisoned(visit.child);
		/* Another thread may be unmapping it, and there is nothing to cut */
		if (!ret && !poisoned)
			ret = visit_wait(&visit, at, req);
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

/* Cut the mapping across @at, and what refers to memory across it */
static int cut_family(struct ioas *ioas, u64 at, bool split,
		      struct ioas_unmap_request *req)
{
	struct ioas_freeze frozen;
	bool planned;
	int ret;

	if (!is_parent(ioas))
		return ioas_split_child(ioas, at, split);
	planned = frozen_by_us(ioas, at - 1, at);
	if (!planned) {
		/* It became a parent after the check: cut it in any case */
		split = true;
		ret = freeze(ioas, &frozen, at - 1, at, req);
		if (ret)
			return ret;
	}
	ret = cut_children(ioas, at, split, req);
	if (!ret)
		ret = ioas_split_child(ioas, at, split);
	if (!planned)
		thaw(ioas, &frozen);
	return ret;
}

/*
 * Cut at the edges of a frozen range.  All descendants are checked first: a cut
 * that is not allowed leaves nothing cut.
 */
static int cut_edges(struct ioas *ioas, u64 start, u64 last,
		     struct ioas_unmap_request *req)
{
	bool split = req->flags & IOASID_UNMAP_SPLIT;
	u64 edge[2] = { start, last + 1 };
	struct planned_cut *plan = NULL;
	unsigned int i;
	int ret = 0;

	/* With @of the range is a mapping as it was when it was visited */
	if (!req->of)
		ret = ioas_check_edges(ioas, start, last, split);
	for (i = 0; i < 2 && !ret; i++)
		if (edge[i])
			ret = plan_across(ioas, edge[i], req, &plan);
	for (i = 0; i < 2 && !ret; i++)
		if (edge[i])
			ret = cut_children(ioas, edge[i], split, req);
	if (!ret && !req->of)
		ret = ioas_split(ioas, start, last, split);
	end_plan(plan);
	return ret;
}

/*
 * Unmap in the children what refers to [start, last], which is frozen.
 * Continues after a child that fails.
 */
static int revoke(struct ioas *ioas, u64 start, u64 last,
		  struct ioas_unmap_request *req)
{
	struct ioasid_iova_range range = { .start = start, .last = last };
	unsigned int flags = req->flags & ~UNMAP_IMPORTS;
	struct ioas_unmap_request theirs = { .of = &range };
	struct visit visit;
	int ret = 0, err;

	visit_begin(&visit, ioas, start, last);
	if (req->flags & UNMAP_IMPORTS)
		visit.side = IOAS_REFS_IMPORTS;
	while ((err = visit_next(&visit, req)) > 0) {
		theirs.flags = flags;
		if (visit.child->import)
			theirs.flags |= UNMAP_OF_OTHERS;
		theirs.patience = req->patience;
		err = ioas_unmap(visit.child, visit.start, visit.last,
				 &theirs);
		req->patience = theirs.patience;
		if (unlikely(theirs.flags & UNMAP_OF_OTHERS))
			visit.child->ops->changed(visit.child);
		if (unlikely(is_poisoned(visit.child)))
			err = -EIO;
		/* Another thread may still be unmapping it */
		if (likely(!err))
			err = visit_wait(&visit, 0, req);
		visit_leave(&visit);
		if (unlikely(err)) {
			ret = ret ?: err == -EINVAL ? -EBUSY : err;
			if (err == -EINTR &&
			    !(req->flags & IOAS_UNMAP_FORCED))
				return err;
		}
		if (!(req->flags & IOAS_UNMAP_FORCED) &&
		    fatal_signal_pending(current))
			return -EINTR;
	}
	return err ?: ret;
}

/**
 * ioas_remove_child() - remove a child or an import from its parent
 * @parent: the parent
 * @import: as for ioas_add_child()
 * @child: has no mappings; NULL to remove @import itself
 *
 * When the last child of a dead parent is removed, the parent's remaining
 * mappings are unmapped.  A second call for the same child does nothing.  An
 * import that was freed before its children is removed with the last of them.
 *
 * Context: may sleep if @parent has mappings.
 */
void ioas_remove_child(struct ioas *parent,
		       struct ioas_import *import,
		       struct ioas *child)
{
	struct ioas_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOAS_UNMAP_FORCED,
		.patience = IOAS_PATIENCE,
	};
	bool empty;

	spin_lock(&parent->lock);
	if (child && !child->left) {
		child->left = 1;
		if (import)
			import->children--;
		else
			parent->children--;
	}
	if (import && !import->left && !import->children &&
	    (!child || import->dead)) {
		import->left = true;
		parent->children--;
	}
	empty = parent->dead && !parent->children &&
		!RB_EMPTY_ROOT(&parent->mappings);
	spin_unlock(&parent->lock);
	if (unlikely(empty))
		ioas_unmap_range(parent, 0, U64_MAX, &req);
}

/**
 * ioas_close_imports() - revoke an address space from all other contexts
 * @ioas: the address space
 * @patience: jiffies to wait for others; out, the rest of it
 *
 * Unmaps what their children refer to.  Mappings that cannot be unmapped in
 * that time stay pinned until the children unmap them.
 *
 * Context: may sleep.
 */
void ioas_close_imports(struct ioas *ioas, long *patience)
{
	struct ioas_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOAS_UNMAP_FORCED | UNMAP_IMPORTS,
		.patience = *patience,
	};

	if (!is_parent(ioas))
		return;
	/* A closed parent admits no new reference by an import */
	spin_lock(&ioas->lock);
	ioas->as_parent->closed = true;
	spin_unlock(&ioas->lock);
	revoke(ioas, 0, U64_MAX, &req);
	*patience = req.patience;
}

/* Without IOASID_UNMAP_CASCADE: all of the range, or nothing */
static int unmap_unreferenced(struct ioas *ioas, u64 start, u64 last,
			      struct ioas_unmap_request *req)
{
	int ret = 0;

	ioas_lock_refs(ioas);
	if (ioas_refs_exist(ioas, start, unmap_end(ioas, last, req)))
		ret = -EBUSY;
	spin_unlock(&ioas->lock);
	return ret ?: ioas_unmap_range(ioas, start, last, req);
}

static int unmap_cascade(struct ioas *ioas, u64 start, u64 last,
			 struct ioas_unmap_request *req)
{
	int ret = 0, err;

	if (!(req->flags & IOASID_UNMAP_ALL))
		ret = cut_edges(ioas, start, last, req);
	if (!ret)
		ret = revoke(ioas, start, last, req);
	/* Forced: unmap everything without a reference */
	if (!ret || req->flags & IOAS_UNMAP_FORCED) {
		err = ioas_unmap_range(ioas, start, last, req);
		ret = ret ?: err;
	}
	return ret;
}

/**
 * ioas_unmap_parent() - unmap a range of a parent
 * @ioas: the parent
 * @start: first byte
 * @last: last byte
 * @req: how; with IOASID_UNMAP_CASCADE the references to the range are unmapped
 *	in the children first
 *
 * Context: may sleep; waits for no page fault.
 * Return: as ioas_unmap(); or
 * -EBUSY, a child refers to memory in the range, or would have to be cut off
 * its grid: then nothing has changed.
 */
int ioas_unmap_parent(struct ioas *ioas, u64 start, u64 last,
		      struct ioas_unmap_request *req)
{
	struct ioas_freeze frozen;
	int ret, err;

	req->removed = 0;
	err = freeze(ioas, &frozen, start, last, req);
	/* The patience ended: unmap as much as possible nevertheless */
	if (err && !(req->flags & IOAS_UNMAP_FORCED))
		return err;
	if (req->flags & IOASID_UNMAP_CASCADE)
		ret = unmap_cascade(ioas, start, last, req);
	else
		ret = unmap_unreferenced(ioas, start, last, req);
	if (!err)
		thaw(ioas, &frozen);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_unmap_parent);
