// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping boundaries where there are none: cut mappings, and their IOPTEs.
 *
 * Locks: domains_sem for reading while a mapping is CHANGING.
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
 * ioas_mapping_off_grid() - does a cut need the IOPTEs replaced that span it
 * @m: the mapping
 * @at: where
 *
 * Return: whether @at is off the mapping's cut grid.
 */
bool ioas_mapping_off_grid(const struct ioas_mapping *m, u64 at)
{
	return !m->cut_shift || (at & (BIT_ULL(m->cut_shift) - 1));
}

/**
 * ioas_mapping_split_by() - the mapping that the edge of a range would cut
 * @ioas: the space; its lock is held
 * @at: the edge
 *
 * Return: the mapping that holds @at and the byte before, or NULL.
 */
struct ioas_mapping *ioas_mapping_split_by(struct ioas *ioas, u64 at)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, at);

	return m && m->start < at ? m : NULL;
}

static int split_iopte(struct ioas *ioas, struct ioas_mapping *m,
		       u64 floor, u64 at)
{
	struct ioas_domain *dom;
	int ret;

	lockdep_assert_held_read(&ioas->domains_sem);
	if (!m->mem.npages || !ioas_mapping_off_grid(m, at))
		return 0;
	list_for_each_entry(dom, &ioas->domains, node) {
		ret = ioas_domain_split(dom, m->start, &m->mem, m->flags,
					m->cut_shift, floor, at);
		if (ret)
			return ret;
	}
	/* m->in_populating was set when it became CHANGING */
	if (m->in_populating)
		return ioas_domain_split(ioas->populating, m->start, &m->mem,
					 m->flags, m->cut_shift, floor, at);
	return 0;
}

/**
 * ioas_mapping_split_object() - let the end of a mapping be one of its own
 * @ioas: the space; its lock is held
 * @m: the mapping
 * @tail: prepared by ioas_mapping_split_memory(); LIVE
 */
void ioas_mapping_split_object(struct ioas *ioas,
			       struct ioas_mapping *m,
			       struct ioas_mapping *tail)
{
	u64 at = tail->start;

	lockdep_assert_held(&ioas->lock);
	/* Another cut may have taken the end off since */
	tail->last = m->last;
	m->last = at - 1;
	ioas_mapping_set_state(tail, IOAS_MAPPING_LIVE);
	ioas_mapping_insert(ioas, tail);
	ioas->nr_mappings++;
	/* Keeps what lies before its filling cursor true for the tail */
	tail->in_populating = false;
}

/* Does the range begin and end where mappings do? */
bool ioas_edges_fit(struct ioas *ioas, u64 start, u64 last)
{
	return !ioas_mapping_split_by(ioas, start) &&
	       (last == U64_MAX || !ioas_mapping_split_by(ioas, last + 1));
}

static int check_edges(struct ioas *ioas, u64 start, u64 last,
		       bool split)
{
	struct ioas_mapping *left, *right;

	left = ioas_mapping_split_by(ioas, start);
	right = last == U64_MAX ? NULL :
				  ioas_mapping_split_by(ioas, last + 1);
	if (!split && ((left && ioas_mapping_off_grid(left, start)) ||
		       (right && ioas_mapping_off_grid(right, last + 1))))
		return -EINVAL;
	/* Device memory goes as a whole */
	if ((left && left->device) || (right && right->device))
		return -EINVAL;
	return 0;
}

/**
 * ioas_check_edges() - could a range be cut out
 * @ioas: the space
 * @start: first byte
 * @last: last byte
 * @split: whether mappings may be cut off their grid
 *
 * Return: 0; -EINVAL, an edge cuts a mapping off its grid.
 */
int ioas_check_edges(struct ioas *ioas, u64 start, u64 last,
		     bool split)
{
	int ret;

	spin_lock(&ioas->lock);
	ret = check_edges(ioas, start, last, split);
	spin_unlock(&ioas->lock);
	return ret;
}

/**
 * ioas_split() - make mapping boundaries at the edges of a range
 * @ioas: the space
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
int ioas_split(struct ioas *ioas, u64 start, u64 last,
	       bool split)
{
	struct ioas_mapping *spare[2] = {}, *left, *right;
	bool poisoned = false, counted = false;
	int ret;

again:
	down_read(&ioas->domains_sem);
	ioas_lock_refs(ioas);
	left = ioas_mapping_split_by(ioas, start);
	right = last == U64_MAX ? NULL : ioas_mapping_split_by(ioas, last + 1);

	ret = check_edges(ioas, start, last, split);
	if (ret)
		goto unlock;
	if (ioas_mapping_busy(left) || ioas_mapping_busy(right)) {
		u64 addr = ioas_mapping_busy(left) ? left->start : right->start;

		spin_unlock(&ioas->lock);
		up_read(&ioas->domains_sem);
		spin_lock(&ioas->lock);
		ret = ioas_wait_busy(ioas, addr, NULL);
		spin_unlock(&ioas->lock);
		if (ret)
			goto free;
		goto again;
	}
	/* What is still being pinned is not cut, but cancelled as a whole */
	if (left && left->state == IOAS_MAPPING_PINNING)
		left = NULL;
	if (right && right->state == IOAS_MAPPING_PINNING)
		right = NULL;

	if (!left && !right)
		goto unlock;
	ret = -EBUSY;
	if ((left && ioas_refs_span(ioas, start)) ||
	    (right && ioas_refs_span(ioas, last + 1)))
		goto unlock;
	ret = 0;
	if (!spare[1]) {
		spin_unlock(&ioas->lock);
		up_read(&ioas->domains_sem);
		ret = -ENOMEM;
		spare[0] = kmem_cache_alloc(ioas_mapping_cache, GFP_KERNEL);
		if (!spare[0])
			return ret;
		spare[1] = kmem_cache_alloc(ioas_mapping_cache, GFP_KERNEL);
		if (!spare[1])
			goto free;
		goto again;
	}
	/* It will be two; which only counts where it refers to something */
	if (left && left == right && left->mem.npages) {
		ret = ioas_ref_may_split(ioas);
		if (ret)
			goto unlock;
		counted = true;
	}

	if (left) {
		left->in_populating = ioas_mapping_populated(ioas, left);
		ioas_mapping_set_state(left, IOAS_MAPPING_CHANGING);
	}
	if (right) {
		right->in_populating = ioas_mapping_populated(ioas, right);
		ioas_mapping_set_state(right, IOAS_MAPPING_CHANGING);
	}
	spin_unlock(&ioas->lock);
	lock_map_acquire(&ioas_changing_map);
	if (left) {
		left->next = NULL;
		ioas_mapping_wait_readers(ioas, left);
	}
	if (right) {
		right->next = NULL;
		ioas_mapping_wait_readers(ioas, right);
	}
	if (left)
		ret = split_iopte(ioas, left, left->start, start);
	if (right && !ret)
		ret = split_iopte(ioas, right,
				  right == left ? start : right->start,
				  last + 1);
	poisoned = ioas_tables_poisoned(ioas);
	if (poisoned && ret)
		ret = -EIO;
	/* From the right, so that @left still is what is cut by @start */
	if (right && !ret)
		ioas_mapping_split_memory(ioas, right, spare[1], last + 1);
	if (left && !ret)
		ioas_mapping_split_memory(ioas, left, spare[0], start);
	spin_lock(&ioas->lock);
	ioas->poisoned |= poisoned;
	if (left)
		ioas_mapping_set_state(left, IOAS_MAPPING_LIVE);
	if (right)
		ioas_mapping_set_state(right, IOAS_MAPPING_LIVE);
	if (right && !ret)
		ioas_mapping_split_object(ioas, right, spare[1]);
	if (left && !ret)
		ioas_mapping_split_object(ioas, left, spare[0]);
	if (right && !ret)
		spare[1] = NULL;
	if (left && !ret)
		spare[0] = NULL;
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	lock_map_release(&ioas_changing_map);
	up_read(&ioas->domains_sem);
	goto free;

unlock:
	spin_unlock(&ioas->lock);
	up_read(&ioas->domains_sem);
free:
	if (counted)
		ioas_ref_split_done(ioas);
	if (spare[0])
		ioas_mapping_free(spare[0]);
	if (spare[1])
		ioas_mapping_free(spare[1]);
	if (unlikely(poisoned))
		ioas->ops->poisoned(ioas);
	return ret;
}
