// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sources of device memory: an mmap() of a device file, or a region of one.
 *
 * Invariants:
 *  - A source says when its memory goes, before it does: an MMU notifier of the
 *    process that has mmap()ed it, or the device's driver, which also says when
 *    the memory of a region is back.
 *
 * Locks: see devmem.c.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "devmem.h"
#include "ioas.h"
#include "source.h"

/* ---- Changes of a process's page table ---- */

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
static bool still_permitted(struct ioas_devmem_source *source,
			    const struct mmu_notifier_range *mmu_range)
{
	unsigned long start, end, need = vm_flags_needed(source->flags);
	struct mmu_interval_notifier *notifier = &source->notifier;
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
static bool takes_away(struct ioas_devmem_source *source,
		       const struct mmu_notifier_range *mmu_range)
{
	switch (mmu_range->event) {
	case MMU_NOTIFY_SOFT_DIRTY:
	case MMU_NOTIFY_PROTECTION_PAGE:
		/* Write-protected to see the next write, which is permitted */
		return false;
	case MMU_NOTIFY_PROTECTION_VMA:
		return !still_permitted(source, mmu_range);
	default:
		return true;
	}
}

/* Called below locks of the mm, and of the driver of the device */
static bool source_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *mmu_range,
			      unsigned long seq)
{
	struct ioas_devmem_source *source =
		container_of(notifier, struct ioas_devmem_source, notifier);

	/* If it was revoked, this may be a reclaim of other memory */
	if (smp_load_acquire(&source->revoked) ||
	    !takes_away(source, mmu_range)) {
		mmu_interval_set_seq(notifier, seq);
		return true;
	}
	if (!mmu_notifier_range_blockable(mmu_range))
		return false;

	mutex_lock(&source->lock);
	mmu_interval_set_seq(notifier, seq);
	if (!source->revoked) {
		source->lost = true;
		ioas_devmem_source_gone(source);
	}
	mutex_unlock(&source->lock);
	return true;
}

static const struct mmu_interval_notifier_ops source_notifier_ops = {
	.invalidate = source_invalidate,
};

/* ---- Regions ---- */

static void region_gone(struct ioasid_region *region, bool closed)
{
	struct ioas_devmem_source *source =
		container_of(region, struct ioas_devmem_source, region);

	mutex_lock(&source->lock);
	source->lost |= closed;
	if (!source->revoked)
		ioas_devmem_source_gone(source);
	mutex_unlock(&source->lock);
}

static void region_back(struct ioasid_region *region)
{
	ioas_devmem_source_back(container_of(region, struct ioas_devmem_source,
					     region));
}

/* ---- Find pages ---- */

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

/* ---- Get ---- */

static struct ioas_devmem_source *source_alloc(unsigned int flags)
{
	struct ioas_devmem_source *source;

	source = kzalloc(sizeof(*source), GFP_KERNEL_ACCOUNT);
	if (!source)
		return NULL;
	refcount_set(&source->refs, 1);
	mutex_init(&source->lock);
	INIT_LIST_HEAD(&source->ranges);
	source->flags = flags;
	return source;
}

static void range_free(struct ioas_devmem_range *range)
{
	mutex_destroy(&range->source->lock);
	kfree(range->source);
	kfree(range);
}

/* Allocate a range with a source of its own */
static struct ioas_devmem_range *range_alloc(struct ioas *ioas, u64 iova,
					     unsigned int flags)
{
	struct ioas_devmem_range *range;

	if (down_read_killable(&ioas->tables.sem))
		return ERR_PTR(-EINTR);
	range = ioas_devmem_prepare(ioas, iova, flags);
	up_read(&ioas->tables.sem);
	if (!range)
		return ERR_PTR(-ENOMEM);
	range->source = source_alloc(range->flags);
	if (!range->source) {
		kfree(range);
		return ERR_PTR(-ENOMEM);
	}
	return range;
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
	struct ioas_devmem_source *source;
	struct ioas_devmem_range *range;
	struct file *file;
	int ret;

	file = find_file(req->addr, req->addr + (req->length - 1), req->flags);
	if (!file)
		return ERR_PTR(-EFAULT);
	ret = -EFAULT;
	if (!ioas->ops->owns_file(ioas, file))
		goto err_file;
	range = range_alloc(ioas, iova, req->flags);
	ret = PTR_ERR_OR_ZERO(range);
	if (ret)
		goto err_file;
	source = range->source;

	/* Before the pages are looked up, so that no change is missed */
	ret = mmu_interval_notifier_insert(&source->notifier, mm, req->addr,
					   req->length, &source_notifier_ops);
	if (ret)
		goto err_source;
	/* Waits for changes that began before */
	mmu_interval_read_begin(&source->notifier);
	ret = find_pages(range, file, req->addr, req->length >> PAGE_SHIFT,
			 &req->fault_addr);
	if (ret)
		goto err_notifier;
	fput(file);
	return range;

err_notifier:
	mmu_interval_notifier_remove(&source->notifier);
err_source:
	range_free(range);
err_file:
	fput(file);
	return ERR_PTR(ret);
}

/* List the pages of a region */
static int list_pages(struct ioas_devmem_range *range, phys_addr_t phys,
		      unsigned long npages)
{
	struct ioasid_extent_list list;
	unsigned long n;
	int ret = 0;

	ioasid_extent_list_init(&list, &range->mem, false);
	for (; npages && !ret; npages -= n, phys += (u64)n << PAGE_SHIFT) {
		n = min(npages, IOASID_EXTENT_MAX_PAGES);
		ret = ioasid_extent_list_add(&list, PHYS_PFN(phys), n,
					     npages - n);
	}
	ioasid_extent_list_finish(&list);
	if (ret)
		ioasid_memory_unrefer(&range->mem);
	return ret;
}

/**
 * ioas_devmem_get_region() - find device memory in a device's file
 * @ioas: the address space
 * @req: the map request
 * @iova: first byte of the mapping
 *
 * Context: may sleep, for as long as a reset of the device takes; with no lock
 * held.
 * Return: the memory, to be released by ioas_devmem_put(); or an ERR_PTR:
 * -EOPNOTSUPP, it is no file of a device that is bound to the same context, or
 * the device's driver cannot say when memory goes;
 * -EACCES, the file lacks the permission;
 * -EINVAL, no memory that can be mapped is there;
 * -ENODEV, the device was unbound;
 * -ENOMEM;
 * -EINTR, a fatal signal.
 */
struct ioas_devmem_range *
ioas_devmem_get_region(struct ioas *ioas, struct ioas_map_request *req,
		       u64 iova)
{
	struct ioas_devmem_source *source;
	struct ioas_devmem_range *range;
	int ret;

	if (!ioas->ops->owns_file(ioas, req->file))
		return ERR_PTR(-EOPNOTSUPP);
	if (!(req->file->f_mode & FMODE_READ) ||
	    (req->flags & IOASID_MAP_WRITE &&
	     !(req->file->f_mode & FMODE_WRITE)))
		return ERR_PTR(-EACCES);
	range = range_alloc(ioas, iova, req->flags);
	if (IS_ERR(range))
		return range;
	source = range->source;
	source->ops = ioas->ops;
	source->region.gone = region_gone;
	source->region.back = region_back;
	/* Until region_back() is called */
	source->revoked = true;
	ret = ioas->ops->watch(ioas, req->file, req->addr, req->length,
			       &source->region, &source->how);
	req->fault_addr = req->addr;
	if (ret)
		goto err_source;
	ret = list_pages(range, source->region.phys, req->length >> PAGE_SHIFT);
	if (ret) {
		ioas->ops->unwatch(&source->region, source->how);
		goto err_source;
	}
	return range;

err_source:
	range_free(range);
	return ERR_PTR(ret);
}
