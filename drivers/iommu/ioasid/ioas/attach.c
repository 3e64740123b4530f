// SPDX-License-Identifier: GPL-2.0-only
/*
 * How an iommu group comes to translate by a space, and stops to.
 *
 * Invariants:
 *  - A domain holds every LIVE mapping before a group is attached to it; where
 *    a driver cannot have that (struct ioas_domain.finalized_on_attach), before
 *    the attach is reported to be done.
 *  - The fill of a domain keeps no map and no unmap waiting, but those of the
 *    mapping it is at.  It goes through the mappings in ascending order;
 *    populate_next of the domain says how far it came.  A mapping that begins below is in
 *    the filling domain: the fill put it there, or, when it was published
 *    after the fill came past, who mapped it.
 *  - Permitted ranges only ever narrow while no mapping of memory lies outside;
 *    they are narrowed before that is looked at, and widened again if not so.
 *
 * Locks: everything here takes attach_lock; then domains_sem for writing, by
 * ioas_devmem_lock(), around what a driver does when it attaches, and around
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
static void swap_permitted(struct ioas *ioas,
			   struct ioas_ranges **ranges)
{
	lockdep_assert_held(&ioas->attach_lock);
	spin_lock(&ioas->lock);
	swap(ioas->permitted, *ranges);
	spin_unlock(&ioas->lock);
}

/*
 * Is memory mapped in [start, last], where no more can be?  May be a long way
 * past reserved ranges.
 */
static bool memory_within(struct ioas *ioas, u64 start, u64 last,
			  u64 *at)
{
	struct ioas_mapping *m;
	unsigned int n = 0;
	bool found;

	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, start);
	while (m && m->start <= last && m->flags & IOASID_MAP_RESERVE) {
		if (++n % WALK_BATCH == 0) {
			if (m->last == U64_MAX) {
				m = NULL;
				break;
			}
			start = m->last + 1;
			spin_unlock(&ioas->lock);
			cond_resched();
			spin_lock(&ioas->lock);
			m = ioas_mapping_first(ioas, start);
			continue;
		}
		m = ioas_mapping_next(m);
	}
	found = m && m->start <= last;
	if (found)
		*at = max(m->start, start);
	spin_unlock(&ioas->lock);
	return found;
}

/* Is memory mapped outside of @ranges, where no more can be? */
static bool memory_outside(struct ioas *ioas,
			   const struct ioas_ranges *ranges, u64 *at)
{
	unsigned int i;
	u64 start = 0;

	for (i = 0; i < ranges->nr; i++) {
		if (ranges->range[i].start > start &&
		    memory_within(ioas, start, ranges->range[i].start - 1, at))
			return true;
		if (ranges->range[i].last == U64_MAX)
			return false;
		start = ranges->range[i].last + 1;
	}
	return memory_within(ioas, start, U64_MAX, at);
}

/* Narrow the permitted ranges to what @attachment can use in @dom too */
static int narrow(struct ioas *ioas, struct ioas_attachment *attachment,
		  struct ioas_domain *dom, struct ioas_ranges **before,
		  u64 *fault_addr)
{
	struct ioas_ranges *ranges, *both;
	phys_addr_t sw_msi;
	int ret;

	ranges = ioas_ranges_of_group(attachment->group, dom->iommu, &sw_msi);
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	both = ioas_ranges_and(ioas->permitted ?: ranges, ranges);
	if (!both) {
		kfree(ranges);
		return -ENOMEM;
	}
	/* First, so that nothing is mapped behind the look at what is */
	*before = both;
	swap_permitted(ioas, before);
	ret = -EADDRINUSE;
	if (memory_outside(ioas, both, fault_addr))
		goto err;
	if (sw_msi != PHYS_ADDR_MAX && !dom->has_msi) {
		ret = iommu_get_msi_cookie(dom->iommu, sw_msi);
		if (ret)
			goto err;
		dom->has_msi = true;
	}
	attachment->ranges = ranges;
	return 0;
err:
	swap_permitted(ioas, before);
	kfree(both);
	kfree(ranges);
	return ret;
}

/* Permit again what was before narrow(): wider, so nothing is in the way */
static void widen(struct ioas *ioas, struct ioas_attachment *attachment,
		  struct ioas_ranges *before)
{
	swap_permitted(ioas, &before);
	kfree(before);
	kfree(attachment->ranges);
	attachment->ranges = NULL;
}

/* What all members can use; with no memory to be had it stays as it is */
static void recompute_permitted(struct ioas *ioas)
{
	struct ioas_ranges *ranges = NULL, *both;
	struct ioas_attachment *attachment;

	lockdep_assert_held(&ioas->attach_lock);
	hlist_for_each_entry(attachment, &ioas->attachments, node) {
		both = ioas_ranges_and(ranges ?: attachment->ranges,
				       attachment->ranges);
		kfree(ranges);
		if (!both)
			return;
		ranges = both;
	}
	swap_permitted(ioas, &ranges);
	kfree(ranges);
}

/* ---- Fill ---- */

static void populate_begin(struct ioas *ioas, struct ioas_domain *dom)
{
	lockdep_assert_held_write(&ioas->domains_sem);
	spin_lock(&ioas->lock);
	ioas->populating = dom;
	dom->populate_next = 0;
	dom->populate_done = false;
	spin_unlock(&ioas->lock);
}

static void populate_end(struct ioas *ioas)
{
	lockdep_assert_held_write(&ioas->domains_sem);
	spin_lock(&ioas->lock);
	ioas->populating = NULL;
	spin_unlock(&ioas->lock);
}

/*
 * The next mapping that the fill has to put in.  What is PINNING or WRITING its
 * mapper will put in, when it sees that the fill came past.  May be a long way:
 * drops and takes the lock.
 */
static struct ioas_mapping *populate_first(struct ioas *ioas)
	__must_hold(&ioas->lock)
{
	struct ioas_domain *dom = ioas->populating;
	struct ioas_mapping *m;
	unsigned int n = 0;

	m = ioas_mapping_first(ioas, dom->populate_next);
	while (m && (m->start < dom->populate_next || !m->mem.npages ||
		     m->state == IOAS_MAPPING_PINNING ||
		     m->state == IOAS_MAPPING_WRITING)) {
		if (++n % WALK_BATCH == 0) {
			dom->populate_next = m->start;
			spin_unlock(&ioas->lock);
			cond_resched();
			spin_lock(&ioas->lock);
			/* It may be published by now: look at it again */
			m = ioas_mapping_first(ioas, dom->populate_next);
			continue;
		}
		m = ioas_mapping_next(m);
	}
	return m;
}

/* Must the fill wait for the mapping at an address? */
static bool is_changing(struct ioas *ioas, u64 addr)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, addr);

	return m && m->start <= addr && (m->state == IOAS_MAPPING_WRITING ||
					 m->state == IOAS_MAPPING_CHANGING ||
					 m->state == IOAS_MAPPING_REMOVING);
}

static int populate(struct ioas *ioas, struct ioas_domain *dom)
{
	struct ioas_mapping *m;
	u64 addr;
	int ret;

	lockdep_assert_held(&ioas->attach_lock);
	for (;;) {
		spin_lock(&ioas->lock);
		m = populate_first(ioas);
		if (!m) {
			dom->populate_done = true;
			spin_unlock(&ioas->lock);
			return 0;
		}
		if (m->state != IOAS_MAPPING_LIVE &&
		    m->state != IOAS_MAPPING_LEAVING) {
			/* Goes, is cut, or stays after all */
			addr = m->start;
			ret = ioas_wait(ioas, !is_changing(ioas, addr),
					NULL);
			spin_unlock(&ioas->lock);
			if (ret)
				return ret;
			continue;
		}
		m->readers++;
		/* Those that it was set for before have had their turn */
		WRITE_ONCE(m->wanted, false);
		dom->populate_next = min(m->last, U64_MAX - 1) + 1;
		spin_unlock(&ioas->lock);

		/* Stops for a thread that removes or cuts the mapping */
		ret = ioas_domain_map(dom, m->start, &m->mem, m->flags,
				      m->cut_shift, &m->wanted);

		spin_lock(&ioas->lock);
		if (ret) {
			/* A thread that waits for us took it for filled in */
			dom->populate_next = m->start;
			m->in_populating = false;
		}
		if (!--m->readers)
			ioas_wake(ioas);
		spin_unlock(&ioas->lock);
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
static int point_group(struct ioas *ioas, struct ioas_attachment *attachment,
		       struct ioas_domain *dom)
{
	int ret;

	lockdep_assert_held_write(&ioas->domains_sem);
	if (dom->finalized_on_attach) {
		ret = iommu_attach_group(dom->iommu, attachment->group);
		/* Comes from a domain that was not: no way to get here */
		return ret == -EBUSY ? -EINVAL : ret;
	}
	return iommu_group_replace_domain(attachment->group, dom->iommu);
}

static void add_attachment(struct ioas *ioas,
			   struct ioas_attachment *attachment,
			   struct ioas_domain *dom)
{
	dom->users++;
	attachment->dom = dom;
	attachment->blocked = false;
	hlist_add_head(&attachment->node, &ioas->attachments);
}

static int join_existing(struct ioas *ioas,
			 struct ioas_attachment *attachment,
			 struct ioas_domain *dom, u64 *fault_addr)
{
	struct ioas_ranges *before;
	int ret;

	ret = narrow(ioas, attachment, dom, &before, fault_addr);
	if (ret)
		return ret;
	ioas_devmem_lock(ioas);
	ret = dom->poisoned ? -EIO : point_group(ioas, attachment, dom);
	ioas_devmem_unlock(ioas);
	if (ret) {
		widen(ioas, attachment, before);
		return ret;
	}
	kfree(before);
	add_attachment(ioas, attachment, dom);
	return 0;
}

static int join_new(struct ioas *ioas, struct ioas_attachment *attachment,
		    struct ioas_domain *dom, u64 *fault_addr)
{
	struct ioas_ranges *before;
	bool pointed = false;
	int ret;

	if (dom->finalized_on_attach) {
		ioas_devmem_lock(ioas);
		ret = point_group(ioas, attachment, dom);
		ioas_devmem_unlock(ioas);
		if (ret)
			return ret;
		pointed = true;
		ret = -EMEDIUMTYPE;
		if (!ioas_domain_usable(dom))
			goto err_point;
	}
	ret = narrow(ioas, attachment, dom, &before, fault_addr);
	if (ret)
		goto err_point;

	ioas_devmem_lock(ioas);
	populate_begin(ioas, dom);
	ret = ioas_devmem_populate(ioas);
	ioas_devmem_unlock(ioas);
	if (!ret)
		ret = populate(ioas, dom);

	ioas_devmem_lock(ioas);
	if (!ret && dom->poisoned)
		ret = -EIO;
	if (!ret && !pointed)
		ret = point_group(ioas, attachment, dom);
	/* Off the domain before unmaps can no longer see it */
	if (ret && pointed) {
		iommu_detach_group(dom->iommu, attachment->group);
		pointed = false;
	}
	populate_end(ioas);
	if (!ret)
		list_add_tail(&dom->node, &ioas->domains);
	ioas_devmem_unlock(ioas);
	if (ret)
		goto err_narrow;

	kfree(before);
	add_attachment(ioas, attachment, dom);
	return 0;

err_narrow:
	widen(ioas, attachment, before);
err_point:
	if (pointed)
		iommu_detach_group(dom->iommu, attachment->group);
	return ret;
}

/* Free a domain, and what only it could still reach */
static void free_domain(struct ioas *ioas, struct ioas_domain *dom)
{
	bool poisoned = dom->poisoned;

	lockdep_assert_held(&ioas->attach_lock);
	ioas_domain_free(dom);
	if (!poisoned)
		return;
	list_for_each_entry(dom, &ioas->domains, node)
		if (dom->poisoned)
			return;
	ioas_quarantine_release(ioas);
}

/* Join by a new domain, made in one of the ways that drivers make them */
static int join_made(struct ioas *ioas, struct ioas_attachment *attachment,
		     bool paging_only, u64 *fault_addr)
{
	struct ioas_domain *dom;
	int ret;

	dom = ioas_domain_alloc(attachment->dev, paging_only,
				ioas->enforce_cache_coherency);
	if (IS_ERR(dom))
		return PTR_ERR(dom);
	ret = join_new(ioas, attachment, dom, fault_addr);
	if (ret)
		free_domain(ioas, dom);
	return ret == -EINVAL ? -EMEDIUMTYPE : ret;
}

/**
 * ioas_attach() - have a group translate by a space
 * @ioas: the space
 * @attachment: the group and one of its devices; on success in the list,
 *	until ioas_detach()
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
int ioas_attach(struct ioas *ioas, struct ioas_attachment *attachment,
		u64 *fault_addr)
{
	struct ioas_domain *dom;
	bool poisoned;
	int ret = -EIO;

	mutex_lock(&ioas->attach_lock);
	spin_lock(&ioas->lock);
	poisoned = ioas->poisoned;
	spin_unlock(&ioas->lock);
	if (poisoned)
		goto unlock;

	list_for_each_entry(dom, &ioas->domains, node) {
		if (!ioas_domain_fits(dom, attachment->dev,
				      ioas->enforce_cache_coherency))
			continue;
		ret = join_existing(ioas, attachment, dom, fault_addr);
		/* -EINVAL: this one does not suit, says the driver */
		if (ret != -EINVAL)
			goto unlock;
	}

	ret = join_made(ioas, attachment, false, fault_addr);
	if (ret == -EMEDIUMTYPE)
		ret = join_made(ioas, attachment, true, fault_addr);
unlock:
	mutex_unlock(&ioas->attach_lock);
	return ret;
}

/**
 * ioas_detach() - a group stops to translate by a space
 * @ioas: the space
 * @attachment: the group, joined
 * @moved: it has joined another space since; otherwise it is blocked
 *
 * A domain that nobody is attached to is freed, and what a poisoned one could
 * reach with it.
 *
 * Context: may sleep; needs no memory.
 */
void ioas_detach(struct ioas *ioas,
		 struct ioas_attachment *attachment, bool moved)
{
	struct ioas_domain *dom = attachment->dom;

	mutex_lock(&ioas->attach_lock);
	ioas_devmem_lock(ioas);
	if (!moved && !attachment->blocked)
		iommu_detach_group(dom->iommu, attachment->group);
	hlist_del(&attachment->node);
	attachment->dom = NULL;
	if (--dom->users)
		dom = NULL;
	else
		list_del(&dom->node);
	ioas_devmem_unlock(ioas);

	kfree(attachment->ranges);
	attachment->ranges = NULL;
	recompute_permitted(ioas);
	if (dom)
		free_domain(ioas, dom);
	mutex_unlock(&ioas->attach_lock);
}

/**
 * ioas_attachment_poisoned() - can a table of a group not be trusted any longer
 * @attachment: of the group, attached
 *
 * Return: whether it is so.
 */
bool ioas_attachment_poisoned(const struct ioas_attachment *attachment)
{
	return READ_ONCE(attachment->dom->poisoned);
}

/**
 * ioas_attachment_must_block() - must a group be blocked before it moves
 * @attachment: of the group, attached
 *
 * Return: whether the driver cannot replace its domain by another.
 */
bool ioas_attachment_must_block(const struct ioas_attachment *attachment)
{
	return attachment->dom->finalized_on_attach;
}

/**
 * ioas_block() - block a group, but let it stay a member
 * @ioas: the space
 * @attachment: the group, joined
 *
 * Context: may sleep; needs no memory.
 */
void ioas_block(struct ioas *ioas,
		struct ioas_attachment *attachment)
{
	mutex_lock(&ioas->attach_lock);
	if (!attachment->blocked) {
		ioas_devmem_lock(ioas);
		iommu_detach_group(attachment->dom->iommu, attachment->group);
		ioas_devmem_unlock(ioas);
		attachment->blocked = true;
	}
	mutex_unlock(&ioas->attach_lock);
}

/**
 * ioas_unblock() - undo ioas_block()
 * @ioas: the space
 * @attachment: the group, blocked
 *
 * Should the driver fail, the group stays blocked.
 *
 * Context: may sleep.
 */
void ioas_unblock(struct ioas *ioas,
		  struct ioas_attachment *attachment)
{
	mutex_lock(&ioas->attach_lock);
	if (attachment->blocked && !attachment->dom->poisoned) {
		ioas_devmem_lock(ioas);
		attachment->blocked =
			!!iommu_attach_group(attachment->dom->iommu,
					     attachment->group);
		ioas_devmem_unlock(ioas);
	}
	mutex_unlock(&ioas->attach_lock);
}
