// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory: mapped, but not pinned, so that its driver can revoke it.
 *
 * Invariants:
 *  - Device memory is what an mmap() of a device file put into the calling
 *    process, where the device is bound to the same context: a source (struct
 *    ioas_devmem_source).  It is not pinned and not charged.  A change of the
 *    process's page table that removes it (munmap, exit, a driver that resets
 *    the device or disables its memory), or that removes a permission of the
 *    mapping, first removes and flushes the IOPTEs.  From then on the mapping is
 *    REVOKED, for ever.  Other changes of the page table revoke nothing: see
 *    takes_away().
 *  - Or it is a region of a device's file, by its offset there.  The device's
 *    driver says when the memory goes, and when it is back: the IOPTEs are then
 *    written again.  It goes for ever when the device is closed.
 *  - A source lists the mappings of its memory (struct ioas_devmem_range): that
 *    of the root, and those of all descendants, by reference.  So it revokes
 *    them without a walk over the references, whose locks it cannot take.
 *  - A mapping that is not revoked is in every domain of the address space, and
 *    in the domain being populated.
 *  - For everything else this mapping is a range without memory: populate()
 *    skips it, and it is not read or cut.
 *
 * Locks: ioas_devmem_source.lock protects the list of mappings.  Below it,
 * ioas_devmem.lock is held to write, remove and revoke.  Revoking runs below the
 * locks of the mm and of drivers, and must not wait for reclaim: under these
 * locks memory is allocated with GFP_NOWAIT, and no lock is taken but those of
 * IOMMU drivers, and spinlocks by ioas_ops.changed.
 *
 * For that reason revoking does not take tables.sem either, which is held
 * while memory is allocated.  Instead, a thread that holds it for writing sets
 * ioas_devmem.exclusive, and revoking waits until it is clear, unseen by
 * lockdep.  The flag is set while a driver attaches a group, so the wait ends.
 * The attach cannot wait for the revoking thread in turn: an allocation that
 * reclaims visits pages of memory, and these are not in the range unless it was
 * revoked before; and an attach takes no lock that is held while the range is
 * changed.
 *
 * Waits: for mmap_lock and tables.sem, killable.  For ioas_devmem.lock and
 * ioas_devmem.exclusive not, since a change of the page table cannot fail: they
 * are held while a driver maps or unmaps one range, or attaches a group.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ioasid.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "devmem.h"
#include "domain.h"
#include "ioas.h"
#include "mapping.h"
#include "source.h"
#include "tables.h"

static u64 range_bytes(const struct ioas_devmem_range *range)
{
	return (u64)range->mem.npages << PAGE_SHIFT;
}

/* ---- Domains ---- */

static int write_range(struct ioas_domain *dom, void *arg)
{
	struct ioas_devmem_range *range = arg;

	return ioas_domain_map_device(dom, range->iova, &range->mem,
				      range->flags);
}

static void unwrite_range(struct ioas_domain *dom, void *arg)
{
	struct ioas_devmem_range *range = arg;

	ioas_domain_remove(dom, range->iova, range_bytes(range));
}

static int put_in(struct ioas_devmem_range *range)
{
	lockdep_assert_held(&range->ioas->devmem->lock);
	return ioas_tables_change(range->ioas, write_range, unwrite_range,
				  range);
}

/* Remove from all domains; returns true if one of them is poisoned */
static bool remove_range(struct ioas_devmem_range *range)
{
	lockdep_assert_held(&range->ioas->devmem->lock);
	return ioas_tables_remove_range(range->ioas, range->iova,
					range_bytes(range));
}

/* Number of times that memory is reclaimed for one write */
#define MAP_TRIES	64

/* Reclaim memory for GFP_NOWAIT, without the locks that revoking takes */
static bool reclaim_some(void)
{
	struct page *page = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_NOWARN, 2);

	if (!page)
		return false;
	__free_pages(page, 2);
	return true;
}

/* A mapping is in all domains, or it is revoked */
static void list_range(struct ioas_devmem_range *range, bool revoked)
{
	struct ioas_devmem *devmem = range->ioas->devmem;

	lockdep_assert_held(&devmem->lock);
	range->revoked = revoked;
	if (revoked)
		devmem->nr_revoked++;
	else
		list_add_tail(&range->node, &devmem->ranges);
	list_add_tail(&range->in_source, &range->source->ranges);
}

/**
 * ioas_devmem_map() - write device memory to the domains
 * @range: from ioas_devmem_get(), not mapped yet
 *
 * Called with tables.sem held for reading.
 *
 * Context: may sleep.
 * Return: 0; on failure it is in no domain that is not poisoned:
 * -EFAULT, it was revoked already, or for a child -ENXIO;
 * -ENOMEM, -ENOSPC or -EIO of the IOMMU driver.
 */
int ioas_devmem_map(struct ioas_devmem_range *range)
{
	struct ioas_devmem_source *source = range->source;
	struct ioas_devmem *devmem = range->ioas->devmem;
	unsigned int tries = 0;
	int ret;

	lockdep_assert_held_read(&range->ioas->tables.sem);
	do {
		mutex_lock(&source->lock);
		mutex_lock(&devmem->lock);
		if (source->lost)
			ret = range->ioas->parent ? -ENXIO : -EFAULT;
		else
			ret = source->revoked ? 0 : put_in(range);
		if (!ret)
			list_range(range, source->revoked);
		mutex_unlock(&devmem->lock);
		mutex_unlock(&source->lock);
	} while (ret == -ENOMEM && ++tries < MAP_TRIES && reclaim_some());
	return ret;
}

/**
 * ioas_devmem_unmap() - remove device memory from the domains
 * @range: mapped
 *
 * Called with tables.sem held for reading.
 *
 * Context: may sleep; needs no memory.
 */
void ioas_devmem_unmap(struct ioas_devmem_range *range)
{
	struct ioas_devmem_source *source = range->source;
	struct ioas_devmem *devmem = range->ioas->devmem;

	lockdep_assert_held_read(&range->ioas->tables.sem);
	mutex_lock(&source->lock);
	list_del_init(&range->in_source);
	mutex_lock(&devmem->lock);
	if (range->revoked) {
		range->revoked = false;
		devmem->nr_revoked--;
	} else {
		list_del_init(&range->node);
		remove_range(range);
	}
	mutex_unlock(&devmem->lock);
	mutex_unlock(&source->lock);
}

/**
 * ioas_devmem_restore() - undo ioas_devmem_unmap()
 * @range: the memory
 *
 * If that fails, the memory is as if it had been revoked.  Called with
 * tables.sem held for reading.
 *
 * Context: may sleep.
 */
void ioas_devmem_restore(struct ioas_devmem_range *range)
{
	struct ioas_devmem_source *source = range->source;
	struct ioas_devmem *devmem = range->ioas->devmem;

	if (!ioas_devmem_map(range))
		return;
	mutex_lock(&source->lock);
	mutex_lock(&devmem->lock);
	list_range(range, true);
	mutex_unlock(&devmem->lock);
	mutex_unlock(&source->lock);
}

/**
 * ioas_devmem_pages() - get the pages of device memory
 * @range: the memory; not NULL
 *
 * Return: the pages, for as long as the memory is not put.
 */
const struct ioasid_memory *
ioas_devmem_pages(const struct ioas_devmem_range *range)
{
	return &range->mem;
}

/**
 * ioas_devmem_populate() - write all device memory to the domain being
 *	populated
 * @ioas: the address space; between ioas_tables_lock() and ioas_tables_unlock()
 *
 * Context: may sleep.
 * Return: 0; on failure a part of it may be in the domain, which must not be
 * used:
 * -ENOMEM, -ENOSPC or -EIO of the IOMMU driver.
 */
int ioas_devmem_populate(struct ioas *ioas)
{
	struct ioas_devmem_range *range;
	unsigned int tries;
	int ret;

	lockdep_assert_held_write(&ioas->tables.sem);
	if (likely(!ioas->devmem))
		return 0;
	/* Other threads wait for tables.sem, or for @exclusive */
	list_for_each_entry(range, &ioas->devmem->ranges, node) {
		tries = 0;
		do {
			ret = write_range(ioas->tables.populating, range);
		} while (ret == -ENOMEM && ++tries < MAP_TRIES &&
			 reclaim_some());
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* ---- Revoke ---- */

static void poisoned_work(struct work_struct *work)
{
	struct ioas_devmem_range *range =
		container_of(work, struct ioas_devmem_range, work);

	range->ioas->ops->poisoned(range->ioas);
}

/* Lock the device memory of an address space while no group is attached to it */
static void devmem_lock(struct ioas_devmem *devmem)
{
	mutex_lock(&devmem->lock);
	while (devmem->exclusive) {
		mutex_unlock(&devmem->lock);
		wait_event(devmem->wait, !READ_ONCE(devmem->exclusive));
		mutex_lock(&devmem->lock);
	}
}

/* A domain failed: let the groups that are attached to it be blocked */
static void set_poisoned(struct ioas_devmem_range *range)
{
	struct ioas *ioas = range->ioas;

	spin_lock(&ioas->lock);
	ioas->poisoned = true;
	spin_unlock(&ioas->lock);
	schedule_work(&range->work);
}

/* Remove a range from all domains */
static void revoke_range(struct ioas_devmem_range *range)
{
	struct ioas_devmem *devmem = range->ioas->devmem;
	bool poisoned;

	lockdep_assert_held(&range->source->lock);
	devmem_lock(devmem);
	list_del_init(&range->node);
	poisoned = remove_range(range);
	devmem->nr_revoked++;
	WRITE_ONCE(range->revoked, true);
	mutex_unlock(&devmem->lock);
	range->ioas->ops->changed(range->ioas);
	if (unlikely(poisoned))
		set_poisoned(range);
}

/**
 * ioas_devmem_source_gone() - remove device memory from all domains
 * @source: the source, with its lock held
 *
 * Context: may sleep, but does not reclaim.
 */
void ioas_devmem_source_gone(struct ioas_devmem_source *source)
{
	struct ioas_devmem_range *range;

	lockdep_assert_held(&source->lock);
	list_for_each_entry(range, &source->ranges, in_source) {
		if (!range->revoked)
			revoke_range(range);
		cond_resched();
	}
	/* A reader that sees it set finds the IOPTEs removed and flushed */
	smp_store_release(&source->revoked, true);
}

/* Write a range that was revoked to all domains again */
static int restore_range(struct ioas_devmem_range *range)
{
	struct ioas_devmem *devmem = range->ioas->devmem;
	bool poisoned;
	int ret;

	lockdep_assert_held(&range->source->lock);
	devmem_lock(devmem);
	ret = put_in(range);
	poisoned = ret && ioas_tables_poisoned(range->ioas);
	if (!ret) {
		list_add_tail(&range->node, &devmem->ranges);
		devmem->nr_revoked--;
		WRITE_ONCE(range->revoked, false);
	}
	mutex_unlock(&devmem->lock);
	if (!ret)
		range->ioas->ops->changed(range->ioas);
	if (unlikely(poisoned))
		set_poisoned(range);
	return ret;
}

/**
 * ioas_devmem_source_back() - write device memory to the domains again
 * @source: the source, whose memory is there
 *
 * What cannot be written stays revoked until the memory goes and is back again.
 *
 * Context: may sleep.
 */
void ioas_devmem_source_back(struct ioas_devmem_source *source)
{
	struct ioas_devmem_range *range;
	unsigned int tries = 0;
	int ret;

	do {
		ret = 0;
		mutex_lock(&source->lock);
		source->revoked = false;
		list_for_each_entry(range, &source->ranges, in_source) {
			if (!range->revoked)
				continue;
			ret = restore_range(range);
			if (ret == -ENOMEM && tries < MAP_TRIES)
				break;
			cond_resched();
		}
		mutex_unlock(&source->lock);
	} while (ret == -ENOMEM && ++tries <= MAP_TRIES && reclaim_some());
}

/**
 * ioas_devmem_is_lost() - test whether device memory was revoked for ever
 * @range: the memory
 *
 * Return: true if it was.
 */
bool ioas_devmem_is_lost(const struct ioas_devmem_range *range)
{
	return READ_ONCE(range->source->lost);
}

/**
 * ioas_devmem_is_revoked() - test whether device memory was revoked
 * @range: the memory
 *
 * Return: true if it was.
 */
bool ioas_devmem_is_revoked(const struct ioas_devmem_range *range)
{
	return READ_ONCE(range->revoked);
}

/**
 * ioas_devmem_refer() - refer to device memory
 * @range: the memory
 * @mem: out, as by ioasid_memory_refer(), with the same conditions
 *
 * Return: true if the calling process mapped it, or it is a region.
 */
bool ioas_devmem_refer(const struct ioas_devmem_range *range,
		       struct ioasid_memory *mem)
{
	ioasid_memory_refer(&range->mem, 0, range->mem.npages, mem);
	return range->source->how ||
	       range->source->notifier.mm == current->mm;
}

/**
 * ioas_devmem_any_revoked() - test whether any device memory was revoked
 * @ioas: the address space
 *
 * Return: true if one of its mappings was.
 */
bool ioas_devmem_any_revoked(struct ioas *ioas)
{
	struct ioas_devmem *devmem = READ_ONCE(ioas->devmem);

	return devmem && READ_ONCE(devmem->nr_revoked);
}

/* ---- Get and put ---- */

/* Called with tables.sem held: a writer of it must not see this change */
static int devmem_init(struct ioas *ioas)
{
	struct ioas_devmem *devmem;

	lockdep_assert_held_read(&ioas->tables.sem);
	if (READ_ONCE(ioas->devmem))
		return 0;
	devmem = kzalloc(sizeof(*devmem), GFP_KERNEL_ACCOUNT);
	if (!devmem)
		return -ENOMEM;
	mutex_init(&devmem->lock);
	init_waitqueue_head(&devmem->wait);
	INIT_LIST_HEAD(&devmem->ranges);
	if (cmpxchg(&ioas->devmem, NULL, devmem))
		kfree(devmem);
	return 0;
}

/**
 * ioas_devmem_exit() - free the device memory part of an address space
 * @ioas: the address space; nothing is mapped
 */
void ioas_devmem_exit(struct ioas *ioas)
{
	kfree(ioas->devmem);
	ioas->devmem = NULL;
}

static void source_put(struct ioas_devmem_source *source)
{
	if (!refcount_dec_and_test(&source->refs))
		return;
	/* Waits for a thread that is revoking it */
	if (source->how)
		source->ops->unwatch(&source->region, source->how);
	else
		mmu_interval_notifier_remove(&source->notifier);
	mutex_destroy(&source->lock);
	kfree(source);
}

/**
 * ioas_devmem_prepare() - allocate what a mapping of device memory needs
 * @ioas: the address space; tables.sem is held for reading
 * @iova: first byte of the mapping
 * @flags: permission of the mapping
 *
 * Its source follows, or ioas_devmem_share(); or ioas_devmem_put().
 *
 * Context: may sleep.
 * Return: a range without memory; NULL without memory for it.
 */
struct ioas_devmem_range *ioas_devmem_prepare(struct ioas *ioas, u64 iova,
					      unsigned int flags)
{
	struct ioas_devmem_range *range;

	if (devmem_init(ioas))
		return NULL;
	range = kzalloc(sizeof(*range), GFP_KERNEL_ACCOUNT);
	if (!range)
		return NULL;
	range->ioas = ioas;
	range->iova = iova;
	range->flags = flags & (IOASID_MAP_READ | IOASID_MAP_WRITE);
	INIT_LIST_HEAD(&range->node);
	INIT_LIST_HEAD(&range->in_source);
	INIT_WORK(&range->work, poisoned_work);
	return range;
}

/**
 * ioas_devmem_share() - refer to device memory of another mapping
 * @range: from ioas_devmem_prepare()
 * @of: the memory of the mapping; cannot be released meanwhile
 * @at: index of its first page to refer to
 * @npages: number of pages
 *
 * Context: does not sleep.
 */
void ioas_devmem_share(struct ioas_devmem_range *range,
		       const struct ioas_devmem_range *of, unsigned long at,
		       unsigned long npages)
{
	refcount_inc(&of->source->refs);
	range->source = of->source;
	ioasid_memory_refer(&of->mem, at, npages, &range->mem);
}

/**
 * ioas_devmem_put() - undo ioas_devmem_get(), _prepare() and _share()
 * @range: the memory, in no domain that a device is attached to
 *
 * Context: may sleep; needs no memory.
 */
void ioas_devmem_put(struct ioas_devmem_range *range)
{
	struct ioas_devmem_source *source = range->source;
	struct ioas_devmem *devmem = range->ioas->devmem;

	if (source) {
		/*
		 * Still listed if the address space is freed with its mappings.
		 * With the lock no thread is revoking it.
		 */
		mutex_lock(&source->lock);
		list_del(&range->in_source);
		mutex_lock(&devmem->lock);
		list_del(&range->node);
		mutex_unlock(&devmem->lock);
		mutex_unlock(&source->lock);
		source_put(source);
	}
	cancel_work_sync(&range->work);
	ioasid_memory_unrefer(&range->mem);
	kfree(range);
}
