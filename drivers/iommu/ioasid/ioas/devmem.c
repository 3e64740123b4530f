// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory: mapped, but not pinned, so that its driver can revoke it.
 *
 * Invariants:
 *  - Device memory is what an mmap() of a device file put into the calling
 *    process, where the device is bound to the same context.  It is not pinned
 *    and not charged.  A change of the process's page table that removes it
 *    (munmap, exit, a driver that resets the device or disables its memory), or
 *    that removes a permission of the mapping, first removes and flushes the
 *    IOPTEs.  From then on the mapping is REVOKED, for ever.  Other changes of
 *    the page table revoke nothing: see takes_away().
 *  - A mapping that is not revoked is in every domain of the address space, and
 *    in the domain being populated.
 *  - For everything else this mapping is a range without memory: populate()
 *    skips it, it is not read or cut, and no child can refer to it.
 *
 * Locks: ioas_devmem.lock is held to write, remove and revoke.  Revoking runs
 * below the locks of the mm and of drivers, and must not wait for reclaim:
 * under the lock memory is allocated with GFP_NOWAIT, and no lock is taken but
 * those of IOMMU drivers.
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
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "devmem.h"
#include "domain.h"
#include "ioas.h"
#include "mapping.h"
#include "tables.h"

/**
 * struct ioas_devmem_range - device memory behind a mapping
 * @ioas: the address space
 * @node: in ioas_devmem.ranges; empty before it is mapped and after it is
 *	revoked
 * @iova: first byte of the mapping
 * @flags: permission of the mapping
 * @revoked: the process lost the memory, or a permission
 * @mem: the memory, not pinned
 * @notifier: notifier of changes of the page table
 * @work: calls ioas_ops.poisoned
 */
struct ioas_devmem_range {
	struct ioas *ioas;
	struct list_head node;
	u64 iova;
	unsigned int flags;
	bool revoked;
	struct ioasid_memory mem;
	struct mmu_interval_notifier notifier;
	struct work_struct work;
};

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

/**
 * ioas_devmem_map() - write device memory to the domains
 * @range: from ioas_devmem_get(), not mapped yet
 *
 * Called with tables.sem held for reading.
 *
 * Context: may sleep.
 * Return: 0; on failure it is in no domain that is not poisoned:
 * -EFAULT, it was revoked already;
 * -ENOMEM, -ENOSPC or -EIO of the IOMMU driver.
 */
int ioas_devmem_map(struct ioas_devmem_range *range)
{
	struct ioas_devmem *devmem = range->ioas->devmem;
	unsigned int tries = 0;
	int ret;

	lockdep_assert_held_read(&range->ioas->tables.sem);
	do {
		mutex_lock(&devmem->lock);
		ret = range->revoked ? -EFAULT : put_in(range);
		if (!ret)
			list_add_tail(&range->node, &devmem->ranges);
		mutex_unlock(&devmem->lock);
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
	struct ioas_devmem *devmem = range->ioas->devmem;

	lockdep_assert_held_read(&range->ioas->tables.sem);
	mutex_lock(&devmem->lock);
	if (range->revoked) {
		devmem->nr_revoked--;
	} else {
		list_del_init(&range->node);
		remove_range(range);
	}
	mutex_unlock(&devmem->lock);
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

static unsigned long vm_flags_needed(unsigned int flags)
{
	return (flags & IOASID_MAP_READ ? VM_READ : 0) |
	       (flags & IOASID_MAP_WRITE ? VM_WRITE : 0);
}

/*
 * Test whether the process still has all of a changed range, with the
 * permission of the mapping.  The mm holds mmap_lock, and has changed the VMAs
 * already.
 */
static bool still_permitted(struct ioas_devmem_range *range,
			    const struct mmu_notifier_range *mmu_range)
{
	unsigned long start, end, need = vm_flags_needed(range->flags);
	struct mmu_interval_notifier *notifier = &range->notifier;
	struct vm_area_struct *vma;

	mmap_assert_locked(mmu_range->mm);
	start = max(mmu_range->start, notifier->interval_tree.start);
	end = min(mmu_range->end, notifier->interval_tree.last + 1);
	VMA_ITERATOR(vmi, mmu_range->mm, start);
	for_each_vma_range(vmi, vma, end) {
		if (vma->vm_start > start || (vma->vm_flags & need) != need)
			return false;
		start = vma->vm_end;
	}
	return start >= end;
}

/*
 * Test whether a change removes something from the process.  MMU_NOTIFY_CLEAR
 * does if a driver zaps what it mapped.  It does not if a huge entry is split,
 * but the two cannot be told apart.
 */
static bool takes_away(struct ioas_devmem_range *range,
		       const struct mmu_notifier_range *mmu_range)
{
	switch (mmu_range->event) {
	case MMU_NOTIFY_SOFT_DIRTY:
	case MMU_NOTIFY_PROTECTION_PAGE:
		/* Write-protected to see the next write, which is permitted */
		return false;
	case MMU_NOTIFY_PROTECTION_VMA:
		return !still_permitted(range, mmu_range);
	default:
		return true;
	}
}

/* Called below locks of the mm, and of the driver of the device */
static bool range_invalidate(struct mmu_interval_notifier *notifier,
			     const struct mmu_notifier_range *mmu_range,
			     unsigned long seq)
{
	struct ioas_devmem_range *range =
		container_of(notifier, struct ioas_devmem_range, notifier);
	struct ioas *ioas = range->ioas;
	struct ioas_devmem *devmem = ioas->devmem;
	bool poisoned = false;

	/* If it was revoked, this may be a reclaim of other memory */
	if (smp_load_acquire(&range->revoked) ||
	    !takes_away(range, mmu_range)) {
		mmu_interval_set_seq(notifier, seq);
		return true;
	}
	if (!mmu_notifier_range_blockable(mmu_range))
		return false;

	mutex_lock(&devmem->lock);
	while (devmem->exclusive) {
		mutex_unlock(&devmem->lock);
		wait_event(devmem->wait, !READ_ONCE(devmem->exclusive));
		mutex_lock(&devmem->lock);
	}
	mmu_interval_set_seq(notifier, seq);
	if (!list_empty(&range->node)) {
		list_del_init(&range->node);
		poisoned = remove_range(range);
		devmem->nr_revoked++;
	}
	/* A reader that sees it set finds the IOPTEs removed and flushed */
	smp_store_release(&range->revoked, true);
	mutex_unlock(&devmem->lock);
	if (unlikely(poisoned)) {
		spin_lock(&ioas->lock);
		ioas->poisoned = true;
		spin_unlock(&ioas->lock);
		schedule_work(&range->work);
	}
	return true;
}

static const struct mmu_interval_notifier_ops range_notifier_ops = {
	.invalidate = range_invalidate,
};

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
 * Return: true if the calling process mapped it.
 */
bool ioas_devmem_refer(const struct ioas_devmem_range *range,
		       struct ioasid_memory *mem)
{
	ioasid_memory_refer(&range->mem, 0, range->mem.npages, mem);
	return range->notifier.mm == current->mm;
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

/* Get the file whose device memory covers all of [addr, last], or NULL */
static struct file *find_file(u64 addr, u64 last, unsigned int flags)
{
	unsigned long need = vm_flags_needed(flags);
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct file *file = NULL;

	if (mmap_read_lock_killable(mm))
		return NULL;
	vma = vma_lookup(mm, addr);
	if (vma && last < vma->vm_end && vma->vm_file &&
	    (vma->vm_flags & (VM_PFNMAP | VM_SHARED)) ==
		    (VM_PFNMAP | VM_SHARED) &&
	    (vma->vm_flags & need) == need)
		file = get_file(vma->vm_file);
	mmap_read_unlock(mm);
	return file;
}

/*
 * Find the PFN of one page; may fault it in.  Called with mmap_lock held for
 * reading.
 */
static int find_page(struct file *file, u64 addr, unsigned int flags,
		     unsigned long *pfn)
{
	unsigned long need = vm_flags_needed(flags);
	struct follow_pfnmap_args args = { .address = addr };
	bool write = flags & IOASID_MAP_WRITE;
	struct mm_struct *mm = current->mm;
	bool unlocked = false, suits;
	unsigned int tries;

	for (tries = 0; tries < 16; tries++) {
		args.vma = vma_lookup(mm, addr);
		if (!args.vma || args.vma->vm_file != file ||
		    (args.vma->vm_flags & need) != need)
			return -EFAULT;
		if (!follow_pfnmap_start(&args)) {
			suits = args.special && (args.writable || !write);
			*pfn = args.pfn;
			follow_pfnmap_end(&args);
			if (suits)
				return 0;
			if (!write)
				return -EFAULT;
		}
		/* May drop the lock, and take it again */
		if (fixup_user_fault(mm, addr, write ? FAULT_FLAG_WRITE : 0,
				     &unlocked))
			return -EFAULT;
	}
	return -EFAULT;
}

/* Pages that are looked up before mmap_lock is dropped for a moment */
#define FIND_BATCH	512

static int find_pages(struct ioas_devmem_range *range, struct file *file,
		      u64 addr, unsigned long npages, u64 *fault_addr)
{
	struct mm_struct *mm = current->mm;
	struct ioasid_extent_list list;
	unsigned long pfn, n = 0;
	int ret = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	ioasid_extent_list_init(&list, &range->mem, false);
	while (npages--) {
		ret = find_page(file, addr, range->flags, &pfn);
		if (ret) {
			*fault_addr = addr;
			break;
		}
		ret = ioasid_extent_list_add(&list, pfn, 1, npages);
		if (ret)
			break;
		addr += PAGE_SIZE;
		if (++n % FIND_BATCH || !npages)
			continue;
		mmap_read_unlock(mm);
		cond_resched();
		if (mmap_read_lock_killable(mm)) {
			ret = -EINTR;
			goto out;
		}
	}
	mmap_read_unlock(mm);
out:
	ioasid_extent_list_finish(&list);
	if (ret)
		ioasid_memory_unrefer(&range->mem);
	return ret;
}

static int devmem_init(struct ioas *ioas)
{
	struct ioas_devmem *devmem;

	if (READ_ONCE(ioas->devmem))
		return 0;
	devmem = kzalloc(sizeof(*devmem), GFP_KERNEL_ACCOUNT);
	if (!devmem)
		return -ENOMEM;
	mutex_init(&devmem->lock);
	init_waitqueue_head(&devmem->wait);
	INIT_LIST_HEAD(&devmem->ranges);
	/* A writer must find the same value at its lock and its unlock */
	if (down_read_killable(&ioas->tables.sem)) {
		kfree(devmem);
		return -EINTR;
	}
	if (cmpxchg(&ioas->devmem, NULL, devmem))
		kfree(devmem);
	up_read(&ioas->tables.sem);
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

/**
 * ioas_devmem_get() - find device memory of the calling process
 * @ioas: the address space
 * @req: the map request; @fault_addr is set on -EFAULT
 * @iova: first byte of the mapping
 *
 * Context: may sleep, for as long as a page fault takes; with no lock held.
 * Return: the memory, to be released by ioas_devmem_put(); or an ERR_PTR:
 * -EFAULT, it is no memory of a device here, or not all of it is present;
 * -ENOMEM;
 * -EINTR, a fatal signal.
 */
struct ioas_devmem_range *
ioas_devmem_get(struct ioas *ioas,
		struct ioas_map_request *req, u64 iova)
{
	struct mm_struct *mm = current->mm;
	struct ioas_devmem_range *range;
	struct file *file;
	int ret;

	file = find_file(req->addr, req->addr + (req->length - 1), req->flags);
	if (!file)
		return ERR_PTR(-EFAULT);
	ret = -EFAULT;
	if (!ioas->ops->owns_file(ioas, file))
		goto err_file;
	ret = devmem_init(ioas);
	if (ret)
		goto err_file;
	ret = -ENOMEM;
	range = kzalloc(sizeof(*range), GFP_KERNEL_ACCOUNT);
	if (!range)
		goto err_file;
	range->ioas = ioas;
	range->iova = iova;
	range->flags = req->flags;
	INIT_LIST_HEAD(&range->node);
	INIT_WORK(&range->work, poisoned_work);

	/* Before the pages are looked up, so that no change is missed */
	ret = mmu_interval_notifier_insert(&range->notifier, mm, req->addr,
					   req->length, &range_notifier_ops);
	if (ret)
		goto err_free;
	/* Waits for changes that began before */
	mmu_interval_read_begin(&range->notifier);
	ret = find_pages(range, file, req->addr, req->length >> PAGE_SHIFT,
			 &req->fault_addr);
	if (ret)
		goto err_notifier;
	fput(file);
	return range;

err_notifier:
	mmu_interval_notifier_remove(&range->notifier);
err_free:
	kfree(range);
err_file:
	fput(file);
	return ERR_PTR(ret);
}

/**
 * ioas_devmem_put() - undo ioas_devmem_get()
 * @range: the memory, in no domain that a device is attached to
 *
 * Context: may sleep; needs no memory.
 */
void ioas_devmem_put(struct ioas_devmem_range *range)
{
	struct ioas_devmem *devmem = range->ioas->devmem;

	/* Waits for a thread that is revoking it */
	mmu_interval_notifier_remove(&range->notifier);
	cancel_work_sync(&range->work);
	/* Still listed if the address space is freed with its mappings */
	mutex_lock(&devmem->lock);
	list_del(&range->node);
	mutex_unlock(&devmem->lock);
	ioasid_memory_unrefer(&range->mem);
	kfree(range);
}
