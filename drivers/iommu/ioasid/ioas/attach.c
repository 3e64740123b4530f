// SPDX-License-Identifier: GPL-2.0-only
/*
 * How an iommu group comes to translate by a space, and stops to.
 *
 * Invariants:
 *  - A domain holds every LIVE mapping before a group is attached to it; where
 *    a driver cannot have that (struct ioasid_domain.late), before the attach
 *    is reported to be done.
 *  - The fill of a domain keeps no map and no unmap waiting, but those of the
 *    mapping it is at.  It goes through the mappings in ascending order;
 *    fill_next of the domain says how far it came.  A mapping that begins below is in
 *    the filling domain: the fill put it there, or, when it was published
 *    after the fill came past, who mapped it.
 *  - Permitted ranges only ever narrow while no mapping of memory lies outside;
 *    they are narrowed before that is looked at, and widened again if not so.
 *
 * Locks: everything here takes attach_lock; then domains_sem for writing, by
 * ioasid_devmem_lock(), around what a driver does when it attaches, and around
 * changes of the lists.
 */
#include <linux/iommu.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../../iommu-priv.h"
#include "backing.h"
#include "devmem.h"
#include "domain.h"
#include "ioas.h"
#include "mapping.h"
#include "ranges.h"
#include "tree.h"

/* Mappings that are passed over between two looks at the scheduler */
#define WALK_BATCH	1024

/* Swap the permitted ranges */
static void swap_permitted(struct ioasid_space *space,
			   struct ioasid_ranges **ranges)
{
	lockdep_assert_held(&space->attach_lock);
	spin_lock(&space->lock);
	swap(space->permitted, *ranges);
	spin_unlock(&space->lock);
}

/*
 * Is memory mapped in [start, last], where no more can be?  May be a long way
 * past reserved ranges.
 */
static bool memory_within(struct ioasid_space *space, u64 start, u64 last,
			  u64 *at)
{
	struct ioasid_mapping *m;
	unsigned int n = 0;
	bool found;

	spin_lock(&space->lock);
	m = ioasid_mapping_first(space, start);
	while (m && m->start <= last && m->flags & IOASID_MAP_RESERVE) {
		if (++n % WALK_BATCH == 0) {
			if (m->last == U64_MAX) {
				m = NULL;
				break;
			}
			start = m->last + 1;
			spin_unlock(&space->lock);
			cond_resched();
			spin_lock(&space->lock);
			m = ioasid_mapping_first(space, start);
			continue;
		}
		m = ioasid_mapping_next(m);
	}
	found = m && m->start <= last;
	if (found)
		*at = max(m->start, start);
	spin_unlock(&space->lock);
	return found;
}

/* Is memory mapped outside of @ranges, where no more can be? */
static bool memory_outside(struct ioasid_space *space,
			   const struct ioasid_ranges *ranges, u64 *at)
{
	unsigned int i;
	u64 start = 0;

	for (i = 0; i < ranges->nr; i++) {
		if (ranges->range[i].start > start &&
		    memory_within(space, start, ranges->range[i].start - 1, at))
			return true;
		if (ranges->range[i].last == U64_MAX)
			return false;
		start = ranges->range[i].last + 1;
	}
	return memory_within(space, start, U64_MAX, at);
}

/* Narrow the permitted ranges to what @member can use in @dom too */
static int narrow(struct ioasid_space *space, struct ioasid_member *member,
		  struct ioasid_domain *dom, struct ioasid_ranges **before,
		  u64 *fault_addr)
{
	struct ioasid_ranges *ranges, *both;
	phys_addr_t sw_msi;
	int ret;

	ranges = ioasid_ranges_of_group(member->group, dom->iommu, &sw_msi);
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	both = ioasid_ranges_and(space->permitted ?: ranges, ranges);
	if (!both) {
		kfree(ranges);
		return -ENOMEM;
	}
	/* First, so that nothing is mapped behind the look at what is */
	*before = both;
	swap_permitted(space, before);
	ret = -EADDRINUSE;
	if (memory_outside(space, both, fault_addr))
		goto err;
	if (sw_msi != PHYS_ADDR_MAX && !dom->has_msi) {
		ret = iommu_get_msi_cookie(dom->iommu, sw_msi);
		if (ret)
			goto err;
		dom->has_msi = true;
	}
	member->ranges = ranges;
	return 0;
err:
	swap_permitted(space, before);
	kfree(both);
	kfree(ranges);
	return ret;
}

/* Permit again what was before narrow(): wider, so nothing is in the way */
static void widen(struct ioasid_space *space, struct ioasid_member *member,
		  struct ioasid_ranges *before)
{
	swap_permitted(space, &before);
	kfree(before);
	kfree(member->ranges);
	member->ranges = NULL;
}

/* What all members can use; with no memory to be had it stays as it is */
static void recompute_permitted(struct ioasid_space *space)
{
	struct ioasid_ranges *ranges = NULL, *both;
	struct ioasid_member *member;

	lockdep_assert_held(&space->attach_lock);
	hlist_for_each_entry(member, &space->members, node) {
		both = ioasid_ranges_and(ranges ?: member->ranges,
					 member->ranges);
		kfree(ranges);
		if (!both)
			return;
		ranges = both;
	}
	swap_permitted(space, &ranges);
	kfree(ranges);
}

/* ---- Fill ---- */

static void fill_begin(struct ioasid_space *space, struct ioasid_domain *dom)
{
	lockdep_assert_held_write(&space->domains_sem);
	spin_lock(&space->lock);
	space->filling = dom;
	dom->fill_next = 0;
	dom->fill_done = false;
	spin_unlock(&space->lock);
}

static void fill_end(struct ioasid_space *space)
{
	lockdep_assert_held_write(&space->domains_sem);
	spin_lock(&space->lock);
	space->filling = NULL;
	spin_unlock(&space->lock);
}

/*
 * The next mapping that the fill has to put in.  What is PINNING or FILLING its
 * mapper will put in, when it sees that the fill came past.  May be a long way:
 * drops and takes the lock.
 */
static struct ioasid_mapping *fill_first(struct ioasid_space *space)
	__must_hold(&space->lock)
{
	struct ioasid_domain *dom = space->filling;
	struct ioasid_mapping *m;
	unsigned int n = 0;

	m = ioasid_mapping_first(space, dom->fill_next);
	while (m && (m->start < dom->fill_next || !m->mem.npages ||
		     m->state == IOASID_MAPPING_PINNING ||
		     m->state == IOASID_MAPPING_FILLING)) {
		if (++n % WALK_BATCH == 0) {
			dom->fill_next = m->start;
			spin_unlock(&space->lock);
			cond_resched();
			spin_lock(&space->lock);
			/* It may be published by now: look at it again */
			m = ioasid_mapping_first(space, dom->fill_next);
			continue;
		}
		m = ioasid_mapping_next(m);
	}
	return m;
}

/* Must the fill wait for the mapping at an address? */
static bool is_changing(struct ioasid_space *space, u64 addr)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, addr);

	return m && m->start <= addr && (m->state == IOASID_MAPPING_FILLING ||
					 m->state == IOASID_MAPPING_CUTTING ||
					 m->state == IOASID_MAPPING_DYING);
}

static int fill(struct ioasid_space *space, struct ioasid_domain *dom)
{
	struct ioasid_mapping *m;
	u64 addr;
	int ret;

	lockdep_assert_held(&space->attach_lock);
	for (;;) {
		spin_lock(&space->lock);
		m = fill_first(space);
		if (!m) {
			dom->fill_done = true;
			spin_unlock(&space->lock);
			return 0;
		}
		if (m->state != IOASID_MAPPING_LIVE &&
		    m->state != IOASID_MAPPING_LEAVING) {
			/* Goes, is cut, or stays after all */
			addr = m->start;
			ret = ioasid_space_wait(space, !is_changing(space, addr),
						NULL);
			spin_unlock(&space->lock);
			if (ret)
				return ret;
			continue;
		}
		m->readers++;
		/* Those that it was set for before have had their turn */
		WRITE_ONCE(m->wanted, false);
		dom->fill_next = min(m->last, U64_MAX - 1) + 1;
		spin_unlock(&space->lock);

		/* Stops for a thread that removes or cuts the mapping */
		ret = ioasid_domain_map(dom, m->start, &m->mem, m->flags,
					m->cut_shift, &m->wanted);

		spin_lock(&space->lock);
		if (ret) {
			/* A thread that waits for us took it for filled in */
			dom->fill_next = m->start;
			m->in_filling = false;
		}
		if (!--m->readers)
			ioasid_space_wake(space);
		spin_unlock(&space->lock);
		if (ret && ret != -EAGAIN)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/* ---- Join and leave ---- */

/*
 * Point the group at a domain, from blocked or from where it is.  Late domains
 * must not replace each other: their callers block the group first.
 */
static int point_group(struct ioasid_space *space, struct ioasid_member *member,
		       struct ioasid_domain *dom)
{
	int ret;

	lockdep_assert_held_write(&space->domains_sem);
	if (dom->late) {
		ret = iommu_attach_group(dom->iommu, member->group);
		/* Comes from a domain that was not: no way to get here */
		return ret == -EBUSY ? -EINVAL : ret;
	}
	return iommu_group_replace_domain(member->group, dom->iommu);
}

static void add_member(struct ioasid_space *space, struct ioasid_member *member,
		       struct ioasid_domain *dom)
{
	dom->users++;
	member->dom = dom;
	member->blocked = false;
	hlist_add_head(&member->node, &space->members);
}

static int join_existing(struct ioasid_space *space,
			 struct ioasid_member *member,
			 struct ioasid_domain *dom, u64 *fault_addr)
{
	struct ioasid_ranges *before;
	int ret;

	ret = narrow(space, member, dom, &before, fault_addr);
	if (ret)
		return ret;
	ioasid_devmem_lock(space);
	ret = dom->poisoned ? -EIO : point_group(space, member, dom);
	ioasid_devmem_unlock(space);
	if (ret) {
		widen(space, member, before);
		return ret;
	}
	kfree(before);
	add_member(space, member, dom);
	return 0;
}

static int join_new(struct ioasid_space *space, struct ioasid_member *member,
		    struct ioasid_domain *dom, u64 *fault_addr)
{
	struct ioasid_ranges *before;
	bool pointed = false;
	int ret;

	if (dom->late) {
		ioasid_devmem_lock(space);
		ret = point_group(space, member, dom);
		ioasid_devmem_unlock(space);
		if (ret)
			return ret;
		pointed = true;
		ret = -EMEDIUMTYPE;
		if (!ioasid_domain_usable(dom))
			goto err_point;
	}
	ret = narrow(space, member, dom, &before, fault_addr);
	if (ret)
		goto err_point;

	ioasid_devmem_lock(space);
	fill_begin(space, dom);
	ret = ioasid_devmem_fill(space);
	ioasid_devmem_unlock(space);
	if (!ret)
		ret = fill(space, dom);

	ioasid_devmem_lock(space);
	if (!ret && dom->poisoned)
		ret = -EIO;
	if (!ret && !pointed)
		ret = point_group(space, member, dom);
	/* Off the domain before unmaps can no longer see it */
	if (ret && pointed) {
		iommu_detach_group(dom->iommu, member->group);
		pointed = false;
	}
	fill_end(space);
	if (!ret)
		list_add_tail(&dom->node, &space->domains);
	ioasid_devmem_unlock(space);
	if (ret)
		goto err_narrow;

	kfree(before);
	add_member(space, member, dom);
	return 0;

err_narrow:
	widen(space, member, before);
err_point:
	if (pointed)
		iommu_detach_group(dom->iommu, member->group);
	return ret;
}

/* Free a domain, and what only it could still reach */
static void free_domain(struct ioasid_space *space, struct ioasid_domain *dom)
{
	bool poisoned = dom->poisoned;

	lockdep_assert_held(&space->attach_lock);
	ioasid_domain_free(dom);
	if (!poisoned)
		return;
	list_for_each_entry(dom, &space->domains, node)
		if (dom->poisoned)
			return;
	ioasid_space_free_kept(space);
}

/* Join by a new domain, made in one of the ways that drivers make them */
static int join_made(struct ioasid_space *space, struct ioasid_member *member,
		     bool plain, u64 *fault_addr)
{
	struct ioasid_domain *dom;
	int ret;

	dom = ioasid_domain_alloc(member->dev, plain, space->must_enforce);
	if (IS_ERR(dom))
		return PTR_ERR(dom);
	ret = join_new(space, member, dom, fault_addr);
	if (ret)
		free_domain(space, dom);
	return ret == -EINVAL ? -EMEDIUMTYPE : ret;
}

/**
 * ioasid_space_join() - have a group translate by a space
 * @space: the space
 * @member: the group and one of its devices; on success in the space's list,
 *	until ioasid_space_leave()
 * @fault_addr: out on -EADDRINUSE
 *
 * The group is blocked, or attached to a domain of another space that is not
 * late, which it leaves without being blocked in between (but by its driver).
 *
 * Context: may sleep; takes attach_lock, which is held while a domain is
 * filled.
 * Return: 0; -EADDRINUSE, memory is mapped where the group cannot do DMA;
 * -EMEDIUMTYPE, no domain suits it; -EIO, the space is poisoned; -ENOMEM;
 * -EINTR; or what the IOMMU driver says. The group is then where it was; a late
 * one blocked.
 */
int ioasid_space_join(struct ioasid_space *space, struct ioasid_member *member,
		      u64 *fault_addr)
{
	struct ioasid_domain *dom;
	bool poisoned;
	int ret = -EIO;

	mutex_lock(&space->attach_lock);
	spin_lock(&space->lock);
	poisoned = space->poisoned;
	spin_unlock(&space->lock);
	if (poisoned)
		goto unlock;

	list_for_each_entry(dom, &space->domains, node) {
		if (!ioasid_domain_fits(dom, member->dev, space->must_enforce))
			continue;
		ret = join_existing(space, member, dom, fault_addr);
		/* -EINVAL: this one does not suit, says the driver */
		if (ret != -EINVAL)
			goto unlock;
	}

	ret = join_made(space, member, false, fault_addr);
	if (ret == -EMEDIUMTYPE)
		ret = join_made(space, member, true, fault_addr);
unlock:
	mutex_unlock(&space->attach_lock);
	return ret;
}

/**
 * ioasid_space_leave() - a group stops to translate by a space
 * @space: the space
 * @member: the group, joined
 * @moved: it has joined another space since; otherwise it is blocked
 *
 * A domain that nobody is attached to is freed, and what a poisoned one could
 * reach with it.
 *
 * Context: may sleep; needs no memory.
 */
void ioasid_space_leave(struct ioasid_space *space,
			struct ioasid_member *member, bool moved)
{
	struct ioasid_domain *dom = member->dom;

	mutex_lock(&space->attach_lock);
	ioasid_devmem_lock(space);
	if (!moved && !member->blocked)
		iommu_detach_group(dom->iommu, member->group);
	hlist_del(&member->node);
	member->dom = NULL;
	if (--dom->users)
		dom = NULL;
	else
		list_del(&dom->node);
	ioasid_devmem_unlock(space);

	kfree(member->ranges);
	member->ranges = NULL;
	recompute_permitted(space);
	if (dom)
		free_domain(space, dom);
	mutex_unlock(&space->attach_lock);
}

/**
 * ioasid_space_block() - block a group, but let it stay a member
 * @space: the space
 * @member: the group, joined
 *
 * Context: may sleep; needs no memory.
 */
void ioasid_space_block(struct ioasid_space *space,
			struct ioasid_member *member)
{
	mutex_lock(&space->attach_lock);
	if (!member->blocked) {
		ioasid_devmem_lock(space);
		iommu_detach_group(member->dom->iommu, member->group);
		ioasid_devmem_unlock(space);
		member->blocked = true;
	}
	mutex_unlock(&space->attach_lock);
}

/**
 * ioasid_space_unblock() - undo ioasid_space_block()
 * @space: the space
 * @member: the group, blocked
 *
 * Should the driver fail, the group stays blocked.
 *
 * Context: may sleep.
 */
void ioasid_space_unblock(struct ioasid_space *space,
			  struct ioasid_member *member)
{
	mutex_lock(&space->attach_lock);
	if (member->blocked && !member->dom->poisoned) {
		ioasid_devmem_lock(space);
		member->blocked = !!iommu_attach_group(member->dom->iommu,
						       member->group);
		ioasid_devmem_unlock(space);
	}
	mutex_unlock(&space->attach_lock);
}
