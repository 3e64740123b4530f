// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping boundaries where there are none: cut mappings, and their IOPTEs.
 *
 * Locks: domains_sem for reading while a mapping is CUTTING.
 */
#include <linux/slab.h>

#include "backing.h"
#include "domain.h"
#include "mapping.h"
#include "ref.h"
#include "split.h"
#include "tables.h"
#include "tree.h"

/**
 * ioasid_mapping_off_grid() - does a cut need the IOPTEs replaced that span it
 * @m: the mapping
 * @at: where
 *
 * Return: whether @at is off the mapping's cut grid.
 */
bool ioasid_mapping_off_grid(const struct ioasid_mapping *m, u64 at)
{
	return !m->cut_shift || (at & (BIT_ULL(m->cut_shift) - 1));
}

/**
 * ioasid_mapping_cut_by() - the mapping that the edge of a range would cut
 * @space: the space; its lock is held
 * @at: the edge
 *
 * Return: the mapping that holds @at and the byte before, or NULL.
 */
struct ioasid_mapping *ioasid_mapping_cut_by(struct ioasid_space *space, u64 at)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, at);

	return m && m->start < at ? m : NULL;
}

static int split_iopte(struct ioasid_space *space, struct ioasid_mapping *m,
		       u64 floor, u64 at)
{
	struct ioasid_domain *dom;
	int ret;

	lockdep_assert_held_read(&space->domains_sem);
	if (!m->mem.npages || !ioasid_mapping_off_grid(m, at))
		return 0;
	list_for_each_entry(dom, &space->domains, node) {
		ret = ioasid_domain_split(dom, m->start, &m->mem, m->flags,
					  m->cut_shift, floor, at);
		if (ret)
			return ret;
	}
	/* m->in_filling was set when it became CUTTING */
	if (m->in_filling)
		return ioasid_domain_split(space->filling, m->start, &m->mem,
					   m->flags, m->cut_shift, floor, at);
	return 0;
}

/**
 * ioasid_mapping_cut_object() - let the end of a mapping be one of its own
 * @space: the space; its lock is held
 * @m: the mapping
 * @tail: prepared by ioasid_mapping_cut_memory(); LIVE
 */
void ioasid_mapping_cut_object(struct ioasid_space *space,
			       struct ioasid_mapping *m,
			       struct ioasid_mapping *tail)
{
	u64 at = tail->start;

	lockdep_assert_held(&space->lock);
	/* Another cut may have taken the end off since */
	tail->last = m->last;
	m->last = at - 1;
	set_state(tail, IOASID_MAPPING_LIVE);
	ioasid_mapping_insert(space, tail);
	space->nr_mappings++;
	/* Keeps what lies before its filling cursor true for the tail */
	tail->in_filling = false;
}

/* Does the range begin and end where mappings do? */
bool edges_fit(struct ioasid_space *space, u64 start, u64 last)
{
	return !ioasid_mapping_cut_by(space, start) &&
	       (last == U64_MAX || !ioasid_mapping_cut_by(space, last + 1));
}

static int check_edges(struct ioasid_space *space, u64 start, u64 last,
		       bool split)
{
	struct ioasid_mapping *left, *right;

	left = ioasid_mapping_cut_by(space, start);
	right = last == U64_MAX ? NULL :
				  ioasid_mapping_cut_by(space, last + 1);
	if (!split && ((left && ioasid_mapping_off_grid(left, start)) ||
		       (right && ioasid_mapping_off_grid(right, last + 1))))
		return -EINVAL;
	/* Device memory goes as a whole */
	if ((left && left->device) || (right && right->device))
		return -EINVAL;
	return 0;
}

/**
 * ioasid_space_check_edges() - could a range be cut out
 * @space: the space
 * @start: first byte
 * @last: last byte
 * @split: whether mappings may be cut off their grid
 *
 * Return: 0; -EINVAL, an edge cuts a mapping off its grid.
 */
int ioasid_space_check_edges(struct ioasid_space *space, u64 start, u64 last,
			     bool split)
{
	int ret;

	spin_lock(&space->lock);
	ret = check_edges(space, start, last, split);
	spin_unlock(&space->lock);
	return ret;
}

/**
 * ioasid_space_cut() - make mapping boundaries at the edges of a range
 * @space: the space
 * @start: first byte
 * @last: last byte
 * @split: whether mappings may be cut off their grid
 *
 * Context: may sleep; waits for nobody's page fault.
 * Return: 0; on failure nothing has changed: -EINVAL, an edge cuts a mapping
 * off its grid; -EBUSY, a child refers to memory across an edge; -EDQUOT, what is
 * left on both sides is a mapping too many; -EIO, an IOMMU failed; -ENOMEM;
 * -ENOSPC.
 */
int ioasid_space_cut(struct ioasid_space *space, u64 start, u64 last,
		     bool split)
{
	struct ioasid_mapping *spare[2] = {}, *left, *right;
	bool poisoned = false, counted = false;
	int ret;

again:
	down_read(&space->domains_sem);
	ioasid_family_lock(space);
	left = ioasid_mapping_cut_by(space, start);
	right = last == U64_MAX ? NULL : ioasid_mapping_cut_by(space, last + 1);

	ret = check_edges(space, start, last, split);
	if (ret)
		goto unlock;
	if (in_transit(left) || in_transit(right)) {
		u64 addr = in_transit(left) ? left->start : right->start;

		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		spin_lock(&space->lock);
		ret = ioasid_space_wait_in_transit(space, addr, NULL);
		spin_unlock(&space->lock);
		if (ret)
			goto free;
		goto again;
	}
	/* What is still being pinned is not cut, but cancelled as a whole */
	if (left && left->state == IOASID_MAPPING_PINNING)
		left = NULL;
	if (right && right->state == IOASID_MAPPING_PINNING)
		right = NULL;

	if (!left && !right)
		goto unlock;
	ret = -EBUSY;
	if ((left && ioasid_family_spans(space, start)) ||
	    (right && ioasid_family_spans(space, last + 1)))
		goto unlock;
	ret = 0;
	if (!spare[1]) {
		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		ret = -ENOMEM;
		spare[0] = kmem_cache_alloc(mapping_cache, GFP_KERNEL);
		if (!spare[0])
			return ret;
		spare[1] = kmem_cache_alloc(mapping_cache, GFP_KERNEL);
		if (!spare[1])
			goto free;
		goto again;
	}
	/* It will be two; which only counts where it refers to something */
	if (left && left == right && left->mem.npages) {
		ret = ioasid_family_may_cut(space);
		if (ret)
			goto unlock;
		counted = true;
	}

	if (left) {
		left->in_filling = ioasid_mapping_in_filling(space, left);
		set_state(left, IOASID_MAPPING_CUTTING);
	}
	if (right) {
		right->in_filling = ioasid_mapping_in_filling(space, right);
		set_state(right, IOASID_MAPPING_CUTTING);
	}
	spin_unlock(&space->lock);
	lock_map_acquire(&ioasid_cutting_map);
	if (left) {
		left->next = NULL;
		ioasid_mapping_wait_readers(space, left);
	}
	if (right) {
		right->next = NULL;
		ioasid_mapping_wait_readers(space, right);
	}
	if (left)
		ret = split_iopte(space, left, left->start, start);
	if (right && !ret)
		ret = split_iopte(space, right,
				  right == left ? start : right->start,
				  last + 1);
	poisoned = any_poisoned(space);
	if (poisoned && ret)
		ret = -EIO;
	/* From the right, so that @left still is what is cut by @start */
	if (right && !ret)
		ioasid_mapping_cut_memory(space, right, spare[1], last + 1);
	if (left && !ret)
		ioasid_mapping_cut_memory(space, left, spare[0], start);
	spin_lock(&space->lock);
	space->poisoned |= poisoned;
	if (left)
		set_state(left, IOASID_MAPPING_LIVE);
	if (right)
		set_state(right, IOASID_MAPPING_LIVE);
	if (right && !ret)
		ioasid_mapping_cut_object(space, right, spare[1]);
	if (left && !ret)
		ioasid_mapping_cut_object(space, left, spare[0]);
	if (right && !ret)
		spare[1] = NULL;
	if (left && !ret)
		spare[0] = NULL;
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	lock_map_release(&ioasid_cutting_map);
	up_read(&space->domains_sem);
	goto free;

unlock:
	spin_unlock(&space->lock);
	up_read(&space->domains_sem);
free:
	if (counted)
		ioasid_family_cut_done(space);
	if (spare[0])
		ioasid_mapping_free(spare[0]);
	if (spare[1])
		ioasid_mapping_free(spare[1]);
	if (unlikely(poisoned))
		space->ops->poisoned(space);
	return ret;
}
