// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attachments: iommu groups, and PASIDs of devices, join and leave an address
 * space.
 *
 * Longer than 700 lines: a join narrows, populates and leads, and each step undoes
 * those before it.
 *
 * Invariants:
 *  - A domain holds every LIVE mapping before a group is attached to it; where
 *    a driver cannot do that (struct ioas_domain.finalized_on_attach), before
 *    the attach returns.
 *  - Populating a domain delays no map and no unmap, except of the mapping
 *    being written.  It visits the mappings in ascending order, and
 *    populate_next of the domain is its progress.  A mapping that begins below
 *    populate_next is in the domain: populate() wrote it, or, if it was
 *    published after populate() passed, the thread that mapped it.
 *  - The table of a device that translates by itself, a mirror, has one
 *    attachment.  It is populated before the device knows of it, and attached
 *    while maps and unmaps go on: it is serialised with them by itself.
 *  - A group whose DMA a table of user space translates first is not attached
 *    to the domain itself: its attachment keeps the domain, populated, for the
 *    nested domains of ioas/nest.c.
 *  - An attachment that is recorded keeps the domain, populated, too, and is led
 *    there only while it is active.
 *  - Permitted ranges become narrower only while no memory is mapped outside of
 *    them.  They are narrowed first; if memory is found outside, they are
 *    widened again.
 *
 * Locks: everything here takes attach_lock; then tables.sem for writing, by
 * ioas_tables_lock(), around a driver's attach, and around changes of the
 * lists.  To activate what is recorded takes no attach_lock: it waits for no
 * domain that is populated.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "backing.h"
#include "demand.h"
#include "devmem.h"
#include "dirty.h"
#include "domain.h"
#include "fault.h"
#include "ioas.h"
#include "iommu.h"
#include "mapping.h"
#include "mirror.h"
#include "nest.h"
#include "process.h"
#include "ranges.h"
#include "route.h"
#include "tables.h"
#include "tree.h"

/* Mappings that are skipped between two calls of the scheduler */
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
 * Test whether memory is mapped in [start, last], which is not permitted.  The
 * walk past reserved ranges may be long.
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

/* Test whether memory is mapped outside of @ranges */
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

static struct ioas_reach *find_reach(struct ioas *ioas,
				     const struct iommu_group *group,
				     const struct ioas_domain *dom)
{
	struct ioas_reach *reach;

	lockdep_assert_held(&ioas->attach_lock);
	hlist_for_each_entry(reach, &ioas->reaches, node)
		if (reach->group == group && reach->dom == dom)
			return reach;
	return NULL;
}

static struct ioas_reach *alloc_reach(const struct ioas_attachment *attachment,
				      const struct ioas_domain *dom,
				      phys_addr_t *sw_msi)
{
	struct ioas_reach *reach;
	int ret;

	reach = kzalloc(sizeof(*reach), GFP_KERNEL_ACCOUNT);
	if (!reach)
		return ERR_PTR(-ENOMEM);
	*sw_msi = PHYS_ADDR_MAX;
	if (attachment->by)
		reach->ranges = ioas_mirror_ranges(attachment->by);
	else
		reach->ranges = ioas_ranges_of_group(attachment->group,
						     dom->iommu, sw_msi);
	reach->ranges = ioas_ranges_limit(reach->ranges, attachment->limit);
	if (IS_ERR(reach->ranges)) {
		ret = PTR_ERR(reach->ranges);
		kfree(reach);
		return ERR_PTR(ret);
	}
	reach->group = attachment->group;
	reach->dom = dom;
	reach->users = 1;
	return reach;
}

static void free_reach(struct ioas_reach *reach)
{
	kfree(reach->ranges);
	kfree(reach);
}

/*
 * Narrow the permitted ranges to those that @attachment can use in @dom too.  They
 * are narrow enough if its group is attached there already, such as by another
 * PASID.  @before: out, what widen() or kfree() takes.
 */
static int narrow(struct ioas *ioas, struct ioas_attachment *attachment,
		  struct ioas_domain *dom, struct ioas_ranges **before,
		  u64 *fault_addr)
{
	struct ioas_reach *reach;
	struct ioas_ranges *both;
	phys_addr_t sw_msi;
	int ret;

	*before = NULL;
	reach = find_reach(ioas, attachment->group, dom);
	if (reach) {
		reach->users++;
		attachment->reach = reach;
		return 0;
	}
	reach = alloc_reach(attachment, dom, &sw_msi);
	if (IS_ERR(reach))
		return PTR_ERR(reach);
	both = ioas_ranges_and(ioas->permitted ?: reach->ranges, reach->ranges);
	if (!both) {
		free_reach(reach);
		return -ENOMEM;
	}
	/* Before the test, so that nothing is mapped outside after it */
	*before = both;
	swap_permitted(ioas, before);
	ret = -EADDRINUSE;
	if (memory_outside(ioas, both, fault_addr))
		goto err;
	if (sw_msi != PHYS_ADDR_MAX && !dom->has_msi) {
		ret = ioas_iommu_map_msi(dom->iommu, sw_msi);
		if (ret)
			goto err;
		dom->has_msi = true;
	}
	hlist_add_head(&reach->node, &ioas->reaches);
	attachment->reach = reach;
	return 0;
err:
	swap_permitted(ioas, before);
	kfree(both);
	free_reach(reach);
	return ret;
}

/* Returns true if no other attachment has the reach of this one */
static bool put_reach(struct ioas_attachment *attachment)
{
	struct ioas_reach *reach = attachment->reach;

	attachment->reach = NULL;
	if (--reach->users)
		return false;
	hlist_del(&reach->node);
	free_reach(reach);
	return true;
}

/* Undo narrow(); wider ranges need no test */
static void widen(struct ioas *ioas, struct ioas_attachment *attachment,
		  struct ioas_ranges *before)
{
	if (!put_reach(attachment))
		return;
	swap_permitted(ioas, &before);
	kfree(before);
}

/* Compute what all attachments can use; without memory it stays as it is */
static void recompute_permitted(struct ioas *ioas)
{
	struct ioas_ranges *ranges = NULL, *both;
	struct ioas_reach *reach;

	lockdep_assert_held(&ioas->attach_lock);
	hlist_for_each_entry(reach, &ioas->reaches, node) {
		both = ioas_ranges_and(ranges ?: reach->ranges, reach->ranges);
		kfree(ranges);
		if (!both)
			return;
		ranges = both;
	}
	swap_permitted(ioas, &ranges);
	kfree(ranges);
}

/* ---- Populate ---- */

/*
 * True if the mapping is not written by populate().  A PINNING or WRITING one is
 * left to the thread that maps it, which sees that populate() has passed it;
 * unless others will take its place, which are written when they are there.
 */
static bool populate_skips(const struct ioas_domain *dom,
			   const struct ioas_mapping *m)
{
	if (m->start < dom->populate_next)
		return true;
	if (unlikely(m->backing == IOAS_BACKING_PIECES))
		return false;
	return !ioas_mapping_has_memory(m) ||
	       m->state == IOAS_MAPPING_PINNING ||
	       m->state == IOAS_MAPPING_WRITING;
}

/*
 * Find the next mapping that must be written.  The walk may be long: drops and
 * takes the lock.
 */
static struct ioas_mapping *populate_first(struct ioas *ioas)
	__must_hold(&ioas->lock)
{
	struct ioas_domain *dom = ioas->tables.populating;
	struct ioas_mapping *m;
	unsigned int n = 0;

	m = ioas_mapping_first(ioas, dom->populate_next);
	while (m && populate_skips(dom, m)) {
		if (++n % WALK_BATCH == 0) {
			dom->populate_next = m->start;
			spin_unlock(&ioas->lock);
			cond_resched();
			spin_lock(&ioas->lock);
			/* It may be published by now: test it again */
			m = ioas_mapping_first(ioas, dom->populate_next);
			continue;
		}
		m = ioas_mapping_next(m);
	}
	return m;
}

/* True if populate() must wait for the mapping at an address */
static bool is_changing(struct ioas *ioas, u64 addr)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, addr);

	return m && m->start <= addr && (m->state == IOAS_MAPPING_WRITING ||
					 m->state == IOAS_MAPPING_CHANGING ||
					 m->state == IOAS_MAPPING_REMOVING);
}

static int populate(struct ioas *ioas, struct ioas_domain *dom)
{
	struct ioas_stop stop = {};
	struct ioas_mapping *m;
	u64 addr;
	int ret;

	lockdep_assert_held(&ioas->attach_lock);
	for (;;) {
		spin_lock(&ioas->lock);
		/* Groups that must be blocked wait for attach_lock */
		if (unlikely(ioas->poisoned)) {
			spin_unlock(&ioas->lock);
			return -EIO;
		}
		m = populate_first(ioas);
		if (!m) {
			dom->populate_done = true;
			spin_unlock(&ioas->lock);
			return 0;
		}
		if (m->state != IOAS_MAPPING_LIVE &&
		    m->state != IOAS_MAPPING_LEAVING) {
			/* It is removed, cut, replaced, or becomes LIVE again */
			addr = m->start;
			ret = ioas_wait(ioas, !is_changing(ioas, addr),
					NULL);
			spin_unlock(&ioas->lock);
			if (ret)
				return ret;
			continue;
		}
		m->readers++;
		/* Threads that set it before have had their turn */
		WRITE_ONCE(m->wanted, false);
		dom->populate_next = min(m->last, U64_MAX - 1) + 1;
		spin_unlock(&ioas->lock);

		/* Stops for a thread that removes or cuts the mapping */
		stop.wanted = &m->wanted;
		ret = ioas_domain_map(dom, m->start, &m->mem, m->flags,
				      m->cut_shift, &stop);

		spin_lock(&ioas->lock);
		if (ret) {
			/* A waiting thread took the mapping for populated */
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
 * Test whether the driver would lead a recorded attachment to a domain, for a moment
 * by a number of the pool; with none left, an existing domain is not used.  A driver
 * takes a domain that was made for the device, unless its dirty bits are in the way,
 * and one where it has led the device before.
 */
static int try_lead(struct ioas_attachment *attachment, struct ioas_domain *dom)
{
	int ret;

	if (attachment->reach->users > 1 || (!dom->users && !dom->dirty))
		return 0;
	attachment->pasid = ioas_iommu_alloc_pasid(attachment->dev);
	if (attachment->pasid == IOMMU_PASID_INVALID)
		return dom->users ? -EINVAL : 0;
	ret = ioas_route_lead(attachment, dom->iommu, false);
	if (!ret)
		ioas_route_block(attachment, dom->iommu);
	ioas_iommu_free_pasid(attachment->pasid);
	/* Another user may have found the pool empty meanwhile */
	ioas_iommu_tell_returned();
	attachment->pasid = IOMMU_PASID_INVALID;
	return ret;
}

/*
 * Lead an attachment to a domain.  With a table of user space ioas_nests_join()
 * does that.
 */
static int lead(struct ioas *ioas, struct ioas_attachment *attachment,
		struct ioas_domain *dom)
{
	lockdep_assert_held_write(&ioas->tables.sem);
	if (attachment->nests)
		return 0;
	if (attachment->recorded)
		return try_lead(attachment, dom);
	return ioas_route_lead(attachment, dom->iommu, dom->finalized_on_attach);
}

static void add_attachment(struct ioas_attachment *attachment,
			   struct ioas_domain *dom)
{
	dom->users++;
	attachment->dom = dom;
	attachment->blocked = attachment->recorded;
}

static int join_existing(struct ioas *ioas,
			 struct ioas_attachment *attachment,
			 struct ioas_domain *dom, u64 *fault_addr)
{
	struct ioas_ranges *before;
	int ret;

	if (!ioas_route_suits(attachment, dom))
		return -EINVAL;
	ret = narrow(ioas, attachment, dom, &before, fault_addr);
	if (ret)
		return ret;
	ioas_tables_lock(ioas);
	ret = dom->poisoned ? -EIO : lead(ioas, attachment, dom);
	ioas_tables_unlock(ioas);
	if (ret) {
		widen(ioas, attachment, before);
		return ret;
	}
	kfree(before);
	add_attachment(attachment, dom);
	return 0;
}

static int join_new(struct ioas *ioas, struct ioas_attachment *attachment,
		    struct ioas_domain *dom, u64 *fault_addr)
{
	struct ioas_ranges *before;
	bool pointed = false;
	int ret;

	if (!ioas_route_suits(attachment, dom))
		return -EINVAL;
	if (dom->finalized_on_attach) {
		ioas_tables_lock(ioas);
		ret = lead(ioas, attachment, dom);
		ioas_tables_unlock(ioas);
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
	/* Its device may request pages as soon as it is led there */
	if (unlikely(ioas->mirrors_process))
		ret = ioas_process_join(ioas, dom);
	else if (unlikely(ioas->demand))
		ret = ioas_demand_join(ioas, dom);
	if (ret)
		goto err_narrow;

	ioas_tables_lock(ioas);
	ioas_tables_populate_begin(ioas, dom);
	ret = ioas_devmem_populate(ioas);
	ioas_tables_unlock(ioas);
	if (!ret)
		ret = populate(ioas, dom);

	ioas_tables_lock(ioas);
	if (!ret && dom->poisoned)
		ret = -EIO;
	if (!ret && !pointed)
		ret = lead(ioas, attachment, dom);
	/* Detach before unmaps stop seeing the domain */
	if (ret && pointed) {
		ioas_route_block(attachment, dom->iommu);
		pointed = false;
		if (ioas_dirty_any())
			ioas_dirty_leave(ioas, dom);
	}
	ioas_tables_populate_end(ioas, !ret);
	ioas_tables_unlock(ioas);
	if (ret)
		goto err_narrow;

	kfree(before);
	add_attachment(attachment, dom);
	return 0;

err_narrow:
	widen(ioas, attachment, before);
err_point:
	if (pointed)
		ioas_route_block(attachment, dom->iommu);
	return ret;
}

/* Free a domain, and the quarantine if no other domain is poisoned */
static void free_domain(struct ioas *ioas, struct ioas_domain *dom)
{
	bool poisoned = dom->poisoned, demand = dom->demand;

	lockdep_assert_held(&ioas->attach_lock);
	if (unlikely(ioas->mirrors_process))
		ioas_process_leave(ioas, dom);
	ioas_domain_free(dom);
	if (poisoned && !ioas_tables_poisoned(ioas))
		ioas_quarantine_release(ioas);
	if (unlikely(demand))
		ioas_demand_quit(ioas);
}

/**
 * struct domain_query - a question about domains to a device of a group
 * @ioas: the address space
 * @dom: in and out: see the functions that ask
 * @sort: see ioas_domain_alloc()
 * @dirty: with dirty bits
 * @nests: only domains below which tables of user space can be used
 * @same_unit: only domains that were allocated for the IOMMU of the device
 */
struct domain_query {
	struct ioas *ioas;
	struct ioas_domain *dom;
	enum ioas_iommu_sort sort;
	bool dirty;
	bool nests;
	bool same_unit;
};

/* Test whether a domain that fits the device is one that is asked for */
static bool is_asked_for(const struct domain_query *query, struct device *dev)
{
	if (query->nests && !ioas_domain_can_nest(query->dom, dev))
		return false;
	return !query->same_unit || query->dom->unit == ioas_iommu_unit(dev);
}

static void ask_next_fit(struct device *dev, void *arg)
{
	struct domain_query *query = arg;

	do {
		query->dom = ioas_tables_next_fit(query->ioas, query->dom, dev);
	} while (query->dom && !is_asked_for(query, dev));
}

static void ask_alloc(struct device *dev, void *arg)
{
	struct domain_query *query = arg;

	query->dom = ioas_domain_alloc(dev, query->sort, query->dirty,
				       query->ioas->enforce_cache_coherency);
	if (unlikely(query->ioas->serves_faults) && !IS_ERR(query->dom))
		ioas_fault_serve(query->dom->iommu);
}

static int join_made_dirty(struct ioas *ioas, struct ioas_attachment *attachment,
			   enum ioas_iommu_sort sort, bool dirty,
			   u64 *fault_addr)
{
	struct domain_query query = {
		.ioas = ioas,
		.sort = sort,
		.dirty = dirty,
	};
	int ret;

	ret = ioas_iommu_ask(attachment->group, attachment->dev, ask_alloc,
			     &query);
	if (ret)
		return ret;
	if (IS_ERR(query.dom))
		return PTR_ERR(query.dom);
	ret = join_new(ioas, attachment, query.dom, fault_addr);
	if (ret)
		free_domain(ioas, query.dom);
	return ret == -EINVAL ? -EMEDIUMTYPE : ret;
}

/*
 * Join by a new domain of one of the sorts that drivers allocate, with dirty bits
 * if it can have them and they are wanted
 */
static int join_made(struct ioas *ioas, struct ioas_attachment *attachment,
		     enum ioas_iommu_sort sort, u64 *fault_addr)
{
	int ret = -EMEDIUMTYPE;

	if ((ioas->wants_dirty ||
	     (!ioas->parent && rcu_access_pointer(ioas->dirty))) &&
	    sort != IOAS_IOMMU_PAGING)
		ret = join_made_dirty(ioas, attachment, sort, true, fault_addr);
	if (ret == -EMEDIUMTYPE)
		ret = join_made_dirty(ioas, attachment, sort, false,
				      fault_addr);
	return ret;
}

static void ask_can_nest(struct device *dev, void *arg)
{
	bool *can = arg;

	*can = ioas_iommu_can_nest(dev);
}

/* The errno for an attachment that no domain below a table of user space suits */
static int why_not_nested(const struct ioas_attachment *attachment)
{
	bool can = false;
	int ret = ioas_iommu_ask(attachment->group, attachment->dev,
				 ask_can_nest, &can);

	return ret ?: can ? -EMEDIUMTYPE : -EOPNOTSUPP;
}

/* Populate a mirror, and let its device translate by it */
static int populate_mirror(struct ioas *ioas, struct ioas_domain *dom)
{
	bool led = false;
	int ret;

	ioas_tables_lock(ioas);
	ioas_tables_populate_begin(ioas, dom);
	ret = ioas_devmem_populate(ioas);
	ioas_tables_unlock(ioas);
	if (!ret)
		ret = populate(ioas, dom);
	/* Maps and unmaps go on, and write to the domain that is populated */
	if (!ret) {
		led = true;
		ret = ioas_mirror_attach(dom);
	}

	ioas_tables_lock(ioas);
	if (!ret && dom->poisoned)
		ret = -EIO;
	/* Before unmaps stop seeing the domain */
	if (ret) {
		ioas_mirror_detach(dom);
		if (led && ioas_dirty_any())
			ioas_dirty_leave(ioas, dom);
	}
	ioas_tables_populate_end(ioas, !ret);
	ioas_tables_unlock(ioas);
	return ret;
}

static int join_mirror(struct ioas *ioas, struct ioas_attachment *attachment,
		       u64 *fault_addr)
{
	struct ioas_ranges *before;
	struct ioas_domain *dom;
	int ret;

	if (attachment->nests)
		return -EOPNOTSUPP;
	dom = ioas_mirror_alloc(attachment->by, attachment->pasid);
	if (IS_ERR(dom))
		return PTR_ERR(dom);
	ret = narrow(ioas, attachment, dom, &before, fault_addr);
	if (ret)
		goto err_free;
	ret = populate_mirror(ioas, dom);
	if (ret)
		goto err_narrow;
	kfree(before);
	add_attachment(attachment, dom);
	return 0;

err_narrow:
	widen(ioas, attachment, before);
err_free:
	free_domain(ioas, dom);
	return ret;
}

static int join(struct ioas *ioas, struct ioas_attachment *attachment,
		u64 *fault_addr)
{
	struct domain_query query = {
		.ioas = ioas,
		.nests = attachment->nests,
		/* Mirrors of processes are invalidated beside attaches */
		.same_unit = ioas->mirrors_process,
	};
	int ret;

	if (attachment->by)
		return join_mirror(ioas, attachment, fault_addr);
	for (;;) {
		ret = ioas_iommu_ask(attachment->group, attachment->dev,
				     ask_next_fit, &query);
		if (ret)
			return ret;
		if (!query.dom)
			break;
		ret = join_existing(ioas, attachment, query.dom, fault_addr);
		/* -EINVAL: the driver refuses this domain */
		if (ret != -EINVAL)
			return ret;
	}

	ret = -EMEDIUMTYPE;
	if (ioas->nest_parent)
		ret = join_made(ioas, attachment, IOAS_IOMMU_NEST_PARENT,
				fault_addr);
	if (ret != -EMEDIUMTYPE)
		return ret;
	if (attachment->nests)
		return why_not_nested(attachment);
	ret = join_made(ioas, attachment, IOAS_IOMMU_USER, fault_addr);
	if (ret == -EMEDIUMTYPE)
		ret = join_made(ioas, attachment, IOAS_IOMMU_PAGING, fault_addr);
	return ret;
}

static int leave(struct ioas *ioas, struct ioas_attachment *attachment,
		 bool moved, bool killable)
{
	struct ioas_domain *dom = attachment->dom;
	int ret;

	lockdep_assert_held(&ioas->attach_lock);
	if (attachment->nests) {
		ret = ioas_nests_leave(attachment, moved, killable);
		if (ret)
			return ret;
	}
	ioas_tables_lock(ioas);
	if (!moved && !attachment->blocked && !attachment->nests)
		ioas_route_block(attachment, dom->iommu);
	attachment->dom = NULL;
	if (!--dom->users && ioas_dirty_any()) {
		/* Unmaps see the domain until all its dirty bits were read */
		ioas_tables_unlock(ioas);
		ioas_dirty_leave(ioas, dom);
		ioas_tables_lock(ioas);
	}
	if (dom->users)
		dom = NULL;
	else
		ioas_tables_del(ioas, dom);
	ioas_tables_unlock(ioas);

	if (put_reach(attachment))
		recompute_permitted(ioas);
	if (dom)
		free_domain(ioas, dom);
	return 0;
}

/**
 * ioas_attach() - attach a group, or a PASID of a device, to an address space
 * @ioas: the address space
 * @attachment: the group and one of its devices, or the device and its PASID; it
 *	has joined on success, until ioas_detach()
 * @fault_addr: out on -EADDRINUSE, an address that the group cannot use
 *
 * The group is blocked, or attached to a domain of another address space that
 * is not finalized on attach.  It moves from there without being blocked in
 * between, unless its driver does that.  A PASID is blocked, or
 * @attachment->on is a domain of another address space.  With
 * @attachment->recorded it stays blocked: ioas_activate().
 *
 * Context: may sleep; takes attach_lock, which is held while a domain is
 * populated.
 * Return: 0; on failure the group is as before, or blocked if the domain is
 * finalized on attach:
 * -EADDRINUSE, memory is mapped where the group cannot do DMA;
 * -EMEDIUMTYPE, no domain suits the group;
 * -EOPNOTSUPP, with @attachment->nests: its IOMMU walks no table of user space;
 * with @attachment->by: the address space has a table of user space, or memory of a
 * device;
 * -EIO, the address space is poisoned;
 * -ENODEV, the group was bound as a whole, and has no device; or, with
 * @attachment->nests, the address space is being freed;
 * -ENOMEM;
 * -EINTR;
 * or an errno of ioas_nests_join(), of the IOMMU driver, or of
 * ioasid_mirror_ops.alloc and attach.
 */
int ioas_attach(struct ioas *ioas, struct ioas_attachment *attachment,
		u64 *fault_addr)
{
	bool poisoned, dead;
	int ret;

	/* The attach of another group may be long */
	if (mutex_lock_killable(&ioas->attach_lock))
		return -EINTR;
	attachment->ioas = ioas;
	spin_lock(&ioas->lock);
	poisoned = ioas->poisoned;
	dead = ioas->dead;
	spin_unlock(&ioas->lock);
	if (poisoned)
		ret = -EIO;
	else if (attachment->nests && dead)
		ret = -ENODEV;
	else
		ret = join(ioas, attachment, fault_addr);
	if (!ret && attachment->nests && !attachment->recorded) {
		ret = ioas_nests_join(attachment);
		if (ret)
			leave(ioas, attachment, true, false);
	}
	mutex_unlock(&ioas->attach_lock);
	return ret;
}

/**
 * ioas_detach() - detach a group from an address space
 * @ioas: the address space
 * @attachment: the attachment, which has joined
 * @moved: the group has joined another address space since; otherwise it is
 *	blocked
 *
 * A domain without attachments is freed.  If it was the last poisoned one, the
 * quarantine is released.
 *
 * Context: may sleep, for as long as another group attaches; needs no memory.
 */
void ioas_detach(struct ioas *ioas,
		 struct ioas_attachment *attachment, bool moved)
{
	mutex_lock(&ioas->attach_lock);
	leave(ioas, attachment, moved, false);
	mutex_unlock(&ioas->attach_lock);
}

/**
 * ioas_detach_killable() - detach and block a group, unless a signal is fatal
 * @ioas: the address space
 * @attachment: the attachment, which has joined
 *
 * Context: as ioas_detach().
 * Return: 0; -EINTR, a fatal signal: nothing was done.
 */
int ioas_detach_killable(struct ioas *ioas, struct ioas_attachment *attachment)
{
	int ret;

	if (mutex_lock_killable(&ioas->attach_lock))
		return -EINTR;
	ret = leave(ioas, attachment, false, true);
	mutex_unlock(&ioas->attach_lock);
	return ret;
}

/**
 * ioas_attachment_poisoned() - test whether the domain of a group is poisoned
 * @attachment: the attachment, which has joined
 *
 * Return: true if it is.
 */
bool ioas_attachment_poisoned(const struct ioas_attachment *attachment)
{
	return READ_ONCE(attachment->dom->poisoned);
}

/**
 * ioas_attachment_must_block() - test whether a move must block the group or the
 *	PASID first
 * @attachment: the attachment, which has joined
 *
 * Return: true if the driver cannot replace the domain by another one, or the
 * PASID is blocked.
 */
bool ioas_attachment_must_block(const struct ioas_attachment *attachment)
{
	if (attachment->by)
		return false;
	if (attachment->pasid != IOMMU_NO_PASID)
		return attachment->blocked ||
		       !ioas_iommu_replaces_pasids(attachment->dev);
	return attachment->dom->finalized_on_attach;
}

static bool block(struct ioas *ioas, struct ioas_attachment *attachment)
{
	lockdep_assert_held(&ioas->attach_lock);
	if (attachment->blocked)
		return false;
	attachment->blocked = true;
	if (attachment->nests)
		return ioas_nests_block(attachment);
	ioas_tables_lock(ioas);
	ioas_route_block(attachment, attachment->dom->iommu);
	ioas_tables_unlock(ioas);
	return true;
}

/**
 * ioas_block() - block a group, and keep its attachment
 * @ioas: the address space
 * @attachment: the attachment, which has joined
 *
 * Context: may sleep; needs no memory.  Other groups cannot make it wait for
 * long if @ioas is poisoned: no domain is populated then.
 * Return: true if it was not blocked before.
 */
bool ioas_block(struct ioas *ioas, struct ioas_attachment *attachment)
{
	bool blocked;

	mutex_lock(&ioas->attach_lock);
	blocked = block(ioas, attachment);
	mutex_unlock(&ioas->attach_lock);
	return blocked;
}

/**
 * ioas_block_killable() - block a group, unless a signal is fatal
 * @ioas: the address space
 * @attachment: the attachment, which has joined
 *
 * Context: may sleep, for as long as another group attaches; needs no memory.
 * Return: 0; -EINTR, a fatal signal: nothing was done.
 */
int ioas_block_killable(struct ioas *ioas, struct ioas_attachment *attachment)
{
	if (mutex_lock_killable(&ioas->attach_lock))
		return -EINTR;
	block(ioas, attachment);
	mutex_unlock(&ioas->attach_lock);
	return 0;
}

/**
 * ioas_unblock() - undo ioas_block()
 * @ioas: the address space
 * @attachment: the attachment, blocked
 *
 * A group whose domain is poisoned stays blocked.
 *
 * Context: may sleep.
 * Return: 0; or the IOMMU driver's error: the group is still blocked.
 */
int ioas_unblock(struct ioas *ioas, struct ioas_attachment *attachment)
{
	int ret = 0;

	mutex_lock(&ioas->attach_lock);
	/* Another mirror may have taken the place of this one, and failed */
	if ((attachment->blocked || attachment->by) &&
	    !attachment->dom->poisoned) {
		ioas_tables_lock(ioas);
		ret = ioas_route_unblock(attachment);
		ioas_tables_unlock(ioas);
		attachment->blocked = ret;
	}
	mutex_unlock(&ioas->attach_lock);
	return ret;
}

/* ---- Recorded attachments ---- */

/**
 * ioas_activate() - lead the DMA of a recorded attachment
 * @attachment: the attachment, which has joined, with a PASID that is blocked.  The
 *	caller serialises this with ioas_deactivate(), and with its detach
 *
 * The domain is populated: no memory is mapped.  Without a table of user space that
 * is bound, the PASID is led when one is.
 *
 * Context: may sleep; waits for no attach.
 * Return: 0; on failure it is still blocked:
 * -EIO, the domain is poisoned, or the IOMMU failed;
 * -EMEDIUMTYPE, the IOMMU driver refuses the domain, or does not know the format of
 * the table;
 * -EINVAL, it finds the table malformed;
 * -ENOSPC, the IOMMU driver;
 * -ENOMEM;
 * -EINTR, a fatal signal.
 */
int ioas_activate(struct ioas_attachment *attachment)
{
	struct ioas *ioas = attachment->ioas;
	int ret = -EIO;

	if (attachment->nests) {
		ret = ioas_nests_join(attachment);
	} else {
		ioas_tables_lock(ioas);
		if (!attachment->dom->poisoned)
			ret = ioas_route_unblock(attachment);
		ioas_tables_unlock(ioas);
		if (ret)
			ret = ret == -EINVAL ? -EMEDIUMTYPE : ioas_iommu_errno(ret);
	}
	attachment->blocked = ret;
	return ret;
}

/**
 * ioas_deactivate() - undo ioas_activate(), if it was done
 * @attachment: the attachment, which has joined
 *
 * On return no translation of the PASID is in an IOTLB, and no page request of it
 * is under way.
 *
 * Context: may sleep; waits for no attach; needs no memory, cannot fail.
 */
void ioas_deactivate(struct ioas_attachment *attachment)
{
	if (attachment->blocked)
		return;
	attachment->blocked = true;
	if (attachment->nests) {
		ioas_nests_leave(attachment, false, false);
		return;
	}
	ioas_tables_lock(attachment->ioas);
	ioas_route_block(attachment, attachment->dom->iommu);
	ioas_tables_unlock(attachment->ioas);
}
