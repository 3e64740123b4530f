// SPDX-License-Identifier: GPL-2.0-only
/*
 * One hardware page table: map, split, remove.
 *
 * Invariants:
 *  - No IOPTE spans a line of the cut grid of its mapping: a run is passed to
 *    the driver in pieces that end on the lines.
 *  - An IOPTE is removed only after ioas_gather_finish(): callers unpin after
 *    that.
 *  - If a driver removes less than it was asked to, the domain is poisoned: its
 *    table cannot be trusted.  The owner of the domain must block its devices,
 *    and keep every page that it may still reach.
 *  - Coherency is enforced before the first map, or never.
 *
 * Locks: extensions_lock protects the list of extensions that IOMMU drivers
 * registered, and nests inside of everything.  There is no other lock here.
 * Callers make sure that no two calls touch the same IOVA of a domain at a
 * time, and that no driver attaches a device to it meanwhile; calls for
 * different IOVAs run in parallel, as the IOMMU API permits.
 *
 * Longer than 700 lines: the one file that calls drivers of IOMMUs.
 */
#include <kunit/visibility.h>
#include <linux/bits.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "../../iommu-pages.h"
#include "../../iommu-priv.h"

#include "domain.h"

/* ---- Extensions of struct iommu_domain_ops ---- */

static DEFINE_MUTEX(extensions_lock);

static LIST_HEAD(extensions);

/**
 * ioasid_register_domain_extension() - register abilities of an IOMMU driver
 *	beside struct iommu_domain_ops
 * @ext: one for each struct iommu_domain_ops; stays until it is unregistered
 *
 * Applies to domains that are allocated from then on.
 *
 * Context: may sleep.
 */
void ioasid_register_domain_extension(struct ioasid_domain_extension *ext)
{
	mutex_lock(&extensions_lock);
	list_add(&ext->node, &extensions);
	mutex_unlock(&extensions_lock);
}
EXPORT_SYMBOL_GPL(ioasid_register_domain_extension);

/**
 * ioasid_unregister_domain_extension() - undo
 *	ioasid_register_domain_extension()
 * @ext: the extension
 *
 * No domain with these ops is left: a driver calls this when its module is
 * unloaded.
 *
 * Context: may sleep.
 */
void ioasid_unregister_domain_extension(struct ioasid_domain_extension *ext)
{
	mutex_lock(&extensions_lock);
	list_del(&ext->node);
	mutex_unlock(&extensions_lock);
}
EXPORT_SYMBOL_GPL(ioasid_unregister_domain_extension);

static void find_extension(struct ioas_domain *dom)
{
	struct ioasid_domain_extension *ext;

	mutex_lock(&extensions_lock);
	list_for_each_entry(ext, &extensions, node)
		if (ext->domain_ops == dom->iommu->ops)
			dom->protect_pages = ext->protect_pages;
	mutex_unlock(&extensions_lock);
}

/* ---- Allocate ---- */

/**
 * ioas_iommu_alloc() - allocate a domain of the IOMMU driver for a device
 * @dev: the device
 * @paging_only: allocate it as for kernel drivers
 * @finalized_on_attach: out, the driver sets aperture and page sizes when a
 *	device is attached, not before
 *
 * Drivers have two ways.  domain_alloc_user() takes the device, and sets all
 * limits at once; but on an Intel IOMMU that has only first stage tables, its
 * domain cannot be attached.
 *
 * Return: the domain; or an ERR_PTR:
 * -EMEDIUMTYPE, the driver lacks this way;
 * -ENOMEM.
 */
struct iommu_domain *ioas_iommu_alloc(struct device *dev, bool paging_only,
				      bool *finalized_on_attach)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_domain *iommu;

	if (paging_only)
		iommu = iommu_paging_domain_alloc(dev);
	else if (ops->domain_alloc_user)
		iommu = ops->domain_alloc_user(dev, 0, NULL, NULL);
	else
		iommu = ERR_PTR(-EOPNOTSUPP);
	if (IS_ERR(iommu))
		return PTR_ERR(iommu) == -ENOMEM ? iommu :
						   ERR_PTR(-EMEDIUMTYPE);
	if (!iommu->owner)
		iommu->owner = ops;
	*finalized_on_attach = !iommu->geometry.aperture_end ||
		(paging_only && !ops->domain_alloc_paging);
	return iommu;
}

/**
 * ioas_domain_alloc() - allocate a domain that suits a device
 * @dev: the device
 * @paging_only: see ioas_iommu_alloc()
 * @enforce_cache_coherency: fail if no-snoop DMA cannot be made coherent
 *
 * If the device's IOMMU can make no-snoop DMA coherent it does, so that what
 * VFIO tells KVM of the device stays true.
 *
 * Context: may sleep.
 * Return: the domain; or an ERR_PTR:
 * -EMEDIUMTYPE, the IOMMU has no domain of this sort, or cannot enforce
 * coherency;
 * -ENOMEM.
 */
struct ioas_domain *ioas_domain_alloc(struct device *dev, bool paging_only,
				      bool enforce_cache_coherency)
{
	bool enforce = device_iommu_capable(dev,
					    IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
	struct ioas_domain *dom;
	bool finalized_on_attach;
	int ret;

	if (enforce_cache_coherency && !enforce)
		return ERR_PTR(-EMEDIUMTYPE);

	dom = kzalloc(sizeof(*dom), GFP_KERNEL_ACCOUNT);
	if (!dom)
		return ERR_PTR(-ENOMEM);
	dom->iommu = ioas_iommu_alloc(dev, paging_only, &finalized_on_attach);
	if (IS_ERR(dom->iommu)) {
		ret = PTR_ERR(dom->iommu);
		goto err_free;
	}
	dom->finalized_on_attach = finalized_on_attach;
	find_extension(dom);
	dom->deferred_flush =
		device_iommu_capable(dev, IOMMU_CAP_DEFERRED_FLUSH) &&
		      dom->iommu->ops->flush_iotlb_all;

	ret = -EMEDIUMTYPE;
	if (!finalized_on_attach && !ioas_domain_usable(dom))
		goto err_domain;
	if (enforce) {
		if (!dom->iommu->ops->enforce_cache_coherency ||
		    !dom->iommu->ops->enforce_cache_coherency(dom->iommu))
			goto err_domain;
		dom->enforce_cache_coherency = true;
	}
	return dom;

err_domain:
	iommu_domain_free(dom->iommu);
err_free:
	kfree(dom);
	return ERR_PTR(ret);
}

/**
 * ioas_domain_usable() - test whether a domain can map single pages of the CPU
 * @dom: the domain; if it is finalized on attach, after its first attach
 *
 * Return: true if it can.
 */
bool ioas_domain_usable(struct ioas_domain *dom)
{
	return dom->iommu->pgsize_bitmap & (PAGE_SIZE | (PAGE_SIZE - 1));
}

/**
 * ioas_domain_free() - free a domain, with all that is mapped in it
 * @dom: the domain; no device is attached
 *
 * Needs no memory.  Afterwards no device reaches what was mapped.
 *
 * Context: may sleep.
 */
void ioas_domain_free(struct ioas_domain *dom)
{
	iommu_domain_free(dom->iommu);
	kfree(dom);
}

/**
 * ioas_domain_fits() - test whether a device may be attached to a domain
 * @dom: the domain
 * @dev: the device
 * @enforce_cache_coherency: no-snoop DMA must be made coherent
 *
 * Return: true if the domain suits the device; the driver may still refuse.
 */
bool ioas_domain_fits(struct ioas_domain *dom, struct device *dev,
		      bool enforce_cache_coherency)
{
	if (dom->poisoned || dev_iommu_ops(dev) != dom->iommu->owner)
		return false;
	if (enforce_cache_coherency ||
	    device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY))
		return dom->enforce_cache_coherency;
	return true;
}

/* ---- Map and remove ---- */

/*
 * Find the largest IOPTE at the front of a run, and the number of IOPTEs of
 * that size before the run ends or a larger one becomes possible.
 */
static __always_inline size_t
best_pgsize(unsigned long sizes, unsigned long iova, phys_addr_t phys,
	    size_t size, size_t *count)
{
	unsigned long fit, larger, to_larger;
	size_t pgsize;

	*count = 1;
	if (size == PAGE_SIZE && likely(sizes & PAGE_SIZE))
		return PAGE_SIZE;
	fit = sizes & GENMASK(__fls(size), 0);
	if (iova | phys)
		fit &= GENMASK(__ffs(iova | phys), 0);
	pgsize = BIT(__fls(fit));

	larger = sizes & ~((pgsize << 1) - 1);
	if (larger) {
		larger = BIT(__ffs(larger));
		if (!((iova ^ phys) & (larger - 1))) {
			to_larger = larger - (iova & (larger - 1));
			if (to_larger < size && size - to_larger >= larger)
				size = to_larger;
		}
	}
	*count = size / pgsize;
	return pgsize;
}

/* Sizes of an IOPTE that cannot span a line of the cut grid */
static unsigned long sizes_within(unsigned long pgsizes, unsigned int cut_shift)
{
	return cut_shift ? pgsizes & GENMASK(cut_shift, 0) : pgsizes;
}

/**
 * ioas_iopte_sizes() - find the sizes of IOPTEs of a mapping
 * @pgsizes: bitmap of the sizes that the driver has
 * @iova: first byte of the mapping
 * @mem: the memory
 * @cut_shift: log2 of the cut size, 0 for none
 *
 * An IOPTE is as large as possible, aligned to its size, within a run and a
 * cell of the cut grid.  So the IOPTE at an address does not depend on the
 * history of the mapping: no cut leaves smaller ones behind.
 *
 * Context: may sleep; yields.
 * Return: bitmap of the sizes; after a fatal signal, of those found so far.
 */
unsigned long ioas_iopte_sizes(unsigned long pgsizes, u64 iova,
			       const struct ioasid_memory *mem,
			       unsigned int cut_shift)
{
	unsigned long used = 0, nr = 0;
	struct ioasid_runs runs;
	struct ioasid_run run;

	pgsizes = sizes_within(pgsizes, cut_shift);
	ioasid_runs_start(&runs, mem);
	while (used != pgsizes && ioasid_runs_next(&runs, &run)) {
		u64 size = (u64)run.npages << PAGE_SHIFT;
		phys_addr_t phys = PFN_PHYS(run.pfn);

		while (size) {
			size_t count, pgsize;

			pgsize = best_pgsize(pgsizes, iova, phys, size, &count);
			used |= pgsize;
			iova += pgsize * count;
			phys += pgsize * count;
			size -= pgsize * count;
		}
		if (++nr % 1024)
			continue;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return used;
}

/**
 * ioas_domain_iopte() - find the size of the first IOPTE of a run
 * @dom: the domain
 * @iova: first byte of the rest of the run, where an IOPTE begins
 * @phys: physical address of that byte
 * @size: bytes to the end of the run
 * @cut_shift: log2 of the cut size, 0 for none
 *
 * Return: the size of the IOPTE: see ioas_iopte_sizes().
 */
size_t ioas_domain_iopte(const struct ioas_domain *dom, u64 iova,
			 phys_addr_t phys, u64 size, unsigned int cut_shift)
{
	size_t count;

	return best_pgsize(sizes_within(dom->iommu->pgsize_bitmap, cut_shift),
			   iova, phys, size, &count);
}

/**
 * ioas_domain_iopte_around() - find the IOPTE that spans an address
 * @dom: the domain
 * @iova: first byte of a run
 * @phys: physical address of that byte
 * @size: bytes of the run
 * @cut_shift: log2 of the cut size, 0 for none
 * @at: an address in the run
 * @range: out, the IOVAs of the IOPTE
 */
void ioas_domain_iopte_around(const struct ioas_domain *dom, u64 iova,
			      phys_addr_t phys, u64 size,
			      unsigned int cut_shift, u64 at,
			      struct ioasid_iova_range *range)
{
	unsigned long sizes = sizes_within(dom->iommu->pgsize_bitmap,
					   cut_shift);
	u64 last = iova + (size - 1), mask;

	for (; sizes; sizes &= mask) {
		mask = BIT(__fls(sizes)) - 1;
		range->start = at & ~mask;
		range->last = at | mask;
		if (range->start >= iova && range->last <= last &&
		    !((iova ^ phys) & mask))
			return;
	}
}

/*
 * Replace a driver's errno that the uAPI does not have; or that means something
 * here: -EAGAIN is ours when *@stop is true, -EINTR after a fatal signal.
 */
static noinline int driver_errno(int ret)
{
	return ret == -ENOMEM || ret == -ENOSPC ? ret : -EIO;
}

/*
 * IOPTEs that a driver writes with one call: bounds the time that it allocates
 * tables for before *@stop is tested.
 */
#define MAP_STEP	SZ_16K

static __always_inline int
map_run_inline(struct ioas_domain *dom, unsigned long iova, phys_addr_t phys,
	       size_t size, int prot, gfp_t gfp, const bool *stop, size_t *done)
{
	struct iommu_domain *iommu = dom->iommu;

	while (size) {
		size_t count, pgsize, mapped = 0;
		int ret;

		pgsize = best_pgsize(iommu->pgsize_bitmap, iova, phys, size,
				     &count);
		/*
		 * A driver that finalizes on attach cannot split what one call
		 * mapped
		 */
		if (unlikely(dom->finalized_on_attach))
			count = 1;
		count = min(count, MAP_STEP);
		ret = iommu->ops->map_pages(iommu, iova, phys, pgsize, count,
					    prot, gfp, &mapped);
		*done += mapped;
		if (ret)
			return driver_errno(ret);
		/* Returns success but maps nothing: would loop for ever */
		if (!mapped)
			return -EIO;
		iova += mapped;
		phys += mapped;
		size -= min(size, mapped);
		if (unlikely(size && stop && READ_ONCE(*stop)))
			return -EAGAIN;
	}
	return 0;
}

static noinline int map_run(struct ioas_domain *dom, unsigned long iova,
			    phys_addr_t phys, size_t size, int prot, gfp_t gfp,
			    const bool *stop, size_t *done)
{
	return map_run_inline(dom, iova, phys, size, prot, gfp, stop, done);
}

static int flags_to_prot(unsigned int flags)
{
	return IOMMU_CACHE | (flags & IOASID_MAP_READ ? IOMMU_READ : 0) |
	       (flags & IOASID_MAP_WRITE ? IOMMU_WRITE : 0);
}

/* Map a run in pieces that end on the lines of the cut grid */
static int map_cells(struct ioas_domain *dom, u64 iova, phys_addr_t phys,
		     u64 size, int prot, gfp_t gfp, unsigned int cut_shift,
		     const bool *stop, size_t *done)
{
	u64 cell = BIT_ULL(cut_shift), piece;
	int ret;

	while (size) {
		piece = min(size, cell - (iova & (cell - 1)));
		ret = map_run(dom, iova, phys, piece, prot, gfp, stop, done);
		if (ret)
			return ret;
		iova += piece;
		phys += piece;
		size -= piece;
		if (size && stop && READ_ONCE(*stop))
			return -EAGAIN;
	}
	return 0;
}

static __always_inline int
map_memory(struct ioas_domain *dom, u64 iova, const struct ioasid_memory *mem,
	   int prot, unsigned int cut_shift, gfp_t gfp, const bool *stop,
	   size_t *done)
{
	struct ioasid_runs runs __uninitialized;
	struct ioasid_run run __uninitialized;
	int ret;

	if (!cut_shift && likely(ioasid_memory_is_run(mem, &run)))
		return map_run_inline(dom, iova, PFN_PHYS(run.pfn),
				      (u64)run.npages << PAGE_SHIFT, prot,
				      gfp, stop, done);

	ioasid_runs_start(&runs, mem);
	while (ioasid_runs_next(&runs, &run)) {
		u64 size = (u64)run.npages << PAGE_SHIFT;

		if (cut_shift)
			ret = map_cells(dom, iova, PFN_PHYS(run.pfn), size,
					prot, gfp, cut_shift, stop, done);
		else
			ret = map_run(dom, iova, PFN_PHYS(run.pfn), size, prot,
				      gfp, stop, done);
		if (ret)
			return ret;
		iova += size;
		if (!runs.left)
			break;
		if (stop && READ_ONCE(*stop))
			return -EAGAIN;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/**
 * ioas_domain_unwind() - remove what a failed map left behind
 * @dom: the domain
 * @iova: first byte of the map
 * @done: bytes that are known to be mapped
 * @length: bytes of the whole map
 *
 * A driver may not count what it wrote before it failed.  But it writes
 * upwards: IOPTEs that follow @done, up to @length, are of this map.
 */
void ioas_domain_unwind(struct ioas_domain *dom, u64 iova, u64 done,
			u64 length)
{
	struct ioas_gather gather;

	while (done < length && iommu_iova_to_phys(dom->iommu, iova + done))
		done += PAGE_SIZE;
	if (!done)
		return;
	ioas_gather_start(&gather, dom, false);
	ioas_gather_range(&gather, iova, done);
	ioas_gather_finish(&gather);
}

/**
 * ioas_domain_write_run() - map contiguous memory, without iotlb_sync_map()
 * @dom: the domain
 * @iova: first byte; nothing is mapped from there to the run's end
 * @phys: physical address of the memory
 * @size: bytes
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @cut_shift: log2 of the cut size, 0 for none
 * @gfp: flags for the allocation of tables
 * @done: the number of mapped bytes is added to it, also on failure
 *
 * As ioas_domain_write(), but a failure leaves IOPTEs behind, which
 * ioas_domain_unwind() removes.
 *
 * Return: 0; -ENOMEM; -ENOSPC; -EIO, the driver failed.
 */
int ioas_domain_write_run(struct ioas_domain *dom, u64 iova,
			  phys_addr_t phys, u64 size, unsigned int flags,
			  unsigned int cut_shift, gfp_t gfp, size_t *done)
{
	int prot = flags_to_prot(flags);

	if (cut_shift)
		return map_cells(dom, iova, phys, size, prot, gfp, cut_shift,
				 NULL, done);
	return map_run(dom, iova, phys, size, prot, gfp, NULL, done);
}

/**
 * ioas_domain_write() - map memory, without iotlb_sync_map()
 * @dom: the domain
 * @iova: first byte; nothing is mapped from there to the memory's end
 * @mem: the memory
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @cut_shift: log2 of the cut size, 0 for none
 * @gfp: flags for the allocation of tables
 *
 * Devices may not see it before ioas_domain_sync(), one for many writes.  On
 * failure nothing stays mapped, unless @dom->poisoned is set.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM; -ENOSPC; -EINTR, a fatal signal; -EIO, the driver failed.
 */
int ioas_domain_write(struct ioas_domain *dom, u64 iova,
		      const struct ioasid_memory *mem, unsigned int flags,
		      unsigned int cut_shift, gfp_t gfp)
{
	size_t done = 0;
	int ret;

	ret = map_memory(dom, iova, mem, flags_to_prot(flags), cut_shift, gfp,
			 NULL, &done);
	if (likely(!ret))
		return 0;
	ioas_domain_unwind(dom, iova, done, (u64)mem->npages << PAGE_SHIFT);
	return ret;
}

/**
 * ioas_domain_sync() - make written IOPTEs visible to devices
 * @dom: the domain
 * @iova: first byte
 * @length: bytes; may include IOVAs that were not written
 *
 * Return: 0; -ENOMEM; -ENOSPC; -EIO, the driver failed.
 */
int ioas_domain_sync(struct ioas_domain *dom, u64 iova, u64 length)
{
	struct iommu_domain *iommu = dom->iommu;

	int ret = 0;

	if (iommu->ops->iotlb_sync_map)
		ret = iommu->ops->iotlb_sync_map(iommu, iova, length);
	return ret ? driver_errno(ret) : 0;
}

/**
 * ioas_domain_map() - map memory
 * @dom: the domain
 * @iova: first byte; nothing is mapped from there to the memory's end
 * @mem: the memory
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @cut_shift: log2 of the cut size, 0 for none
 * @stop: the map ends early when it becomes true; or NULL
 *
 * Calls iotlb_sync_map() once.  On failure nothing stays mapped, unless
 * @dom->poisoned is set.
 *
 * Context: may sleep.
 * Return: 0; or
 * -EINTR, a fatal signal;
 * -EAGAIN, @stop;
 * -EIO, the driver failed;
 * -ENOMEM; -ENOSPC.
 */
int ioas_domain_map(struct ioas_domain *dom, u64 iova,
		    const struct ioasid_memory *mem, unsigned int flags,
		    unsigned int cut_shift, const bool *stop)
{
	size_t done = 0;
	int ret;

	ret = map_memory(dom, iova, mem, flags_to_prot(flags), cut_shift,
			 GFP_KERNEL_ACCOUNT, stop, &done);
	if (!ret)
		ret = ioas_domain_sync(dom, iova, done);
	if (likely(!ret))
		return 0;
	ioas_domain_unwind(dom, iova, done, (u64)mem->npages << PAGE_SHIFT);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_domain_map);

/**
 * ioas_domain_map_device() - map device memory
 * @dom: the domain
 * @iova: first byte; nothing is mapped from there to the memory's end
 * @mem: the memory
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE
 *
 * Allocates with GFP_NOWAIT.  On failure nothing stays mapped, unless
 * @dom->poisoned is set.
 *
 * Context: may sleep, but does not reclaim.
 * Return: 0; -ENOMEM; -ENOSPC; -EIO, the driver failed.
 */
int ioas_domain_map_device(struct ioas_domain *dom, u64 iova,
			   const struct ioasid_memory *mem,
			   unsigned int flags)
{
	int prot = (flags_to_prot(flags) & ~IOMMU_CACHE) | IOMMU_MMIO, ret = 0;
	struct ioasid_runs runs;
	struct ioasid_run run;
	size_t done = 0;

	ioasid_runs_start(&runs, mem);
	while (!ret && ioasid_runs_next(&runs, &run)) {
		ret = map_run(dom, iova + done, PFN_PHYS(run.pfn),
			      (u64)run.npages << PAGE_SHIFT, prot,
			      GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN, NULL,
			      &done);
		cond_resched();
	}
	if (!ret)
		ret = ioas_domain_sync(dom, iova, done);
	if (!ret)
		return 0;
	ioas_domain_unwind(dom, iova, done, (u64)mem->npages << PAGE_SHIFT);
	return ret;
}

/**
 * ioas_gather_start() - begin to remove IOPTEs
 * @gather: uninitialised
 * @dom: the domain
 * @scattered: the ranges to remove do not all touch
 */
void ioas_gather_start(struct ioas_gather *gather, struct ioas_domain *dom,
		       bool scattered)
{
	gather->dom = dom;
	gather->begun = false;
	iommu_iotlb_gather_init(&gather->iotlb);
	gather->iotlb.queued = scattered && dom->deferred_flush;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_gather_start);

/* Bytes that are removed between two calls of the scheduler */
#define GATHER_STEP	SZ_1G

/*
 * By default a gather flushes when a step has another page size, or does not
 * follow the step before.  On an Intel IOMMU the tables that the new step freed
 * are on its list by then, and would be freed before the flush that covers
 * them.
 */
static bool would_flush(const struct iommu_iotlb_gather *iotlb,
			unsigned long iova, size_t pgsize, size_t size)
{
	return iotlb->pgsize &&
	       ((iotlb->pgsize != pgsize && iotlb->pgsize != size) ||
		iotlb->end + 1 != iova);
}

/**
 * ioas_gather_range() - remove the IOPTEs of a range
 * @gather: begun
 * @iova: first byte, where an IOPTE begins
 * @length: bytes, all of them mapped
 *
 * Poisons the domain if the driver removes less.
 */
void ioas_gather_range(struct ioas_gather *gather, u64 iova, u64 length)
{
	struct iommu_domain *iommu = gather->dom->iommu;
	struct iommu_iotlb_gather *iotlb = &gather->iotlb;
	size_t count, pgsize, size, out;

	while (length) {
		pgsize = best_pgsize(iommu->pgsize_bitmap, iova, iova,
				     min_t(u64, length, GATHER_STEP), &count);
		size = pgsize * count;
		/* One flush for all steps, if there is more than one */
		if (!gather->begun && unlikely(size != length))
			iotlb->queued |= gather->dom->deferred_flush;
		else if (!iotlb->queued &&
			 would_flush(iotlb, iova, pgsize, size))
			iommu_iotlb_sync(iommu, iotlb);
		gather->begun = true;

		out = iommu->ops->unmap_pages(iommu, iova, pgsize, count,
					      iotlb);
		if (unlikely(!out)) {
			WRITE_ONCE(gather->dom->poisoned, true);
			return;
		}
		iova += out;
		length -= min_t(u64, out, length);
		if (length)
			cond_resched();
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioas_gather_range);

/**
 * ioas_gather_protect() - change the permission of an IOPTE in place
 * @gather: begun, of a domain with ioas_domain_protects()
 * @iova: first byte of the IOPTE
 * @length: its size
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE
 *
 * Return: true if it was changed; false if nothing was: the IOMMU driver cannot
 * change it in place, or has IOPTEs of other sizes there.
 */
bool ioas_gather_protect(struct ioas_gather *gather, u64 iova, u64 length,
			 unsigned int flags)
{
	struct iommu_domain *iommu = gather->dom->iommu;

	if (!gather->dom->protect_pages(iommu, iova, length, 1,
					flags_to_prot(flags), &gather->iotlb))
		return false;
	gather->begun = true;
	return true;
}

/* Flush all, then free the tables that became empty */
static noinline void flush_queued(struct iommu_domain *iommu,
				  struct iommu_iotlb_gather *iotlb)
{
	iommu_flush_iotlb_all(iommu);
	iommu_put_pages_list(&iotlb->freelist);
}

/**
 * ioas_gather_finish() - flush the removed IOPTEs
 * @gather: begun; ends
 *
 * On return no device reaches what they mapped.
 */
void ioas_gather_finish(struct ioas_gather *gather)
{
	struct iommu_domain *iommu = gather->dom->iommu;

	if (!gather->begun)
		return;
	if (likely(!gather->iotlb.queued))
		iommu_iotlb_sync(iommu, &gather->iotlb);
	else
		flush_queued(iommu, &gather->iotlb);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_gather_finish);

/**
 * ioas_domain_remove() - remove a range, and flush
 * @dom: the domain
 * @iova: first byte, where an IOPTE begins
 * @length: bytes, all of them mapped
 */
void ioas_domain_remove(struct ioas_domain *dom, u64 iova, u64 length)
{
	struct ioas_gather gather __uninitialized;

	ioas_gather_start(&gather, dom, false);
	ioas_gather_range(&gather, iova, length);
	ioas_gather_finish(&gather);
}

/**
 * ioas_domain_split() - split the IOPTE that spans an address
 * @dom: the domain
 * @iova: first byte of the mapping
 * @mem: its memory
 * @flags: its permission
 * @cut_shift: its cut size
 * @floor: an address in the mapping, below @at, where an IOPTE begins: the
 *	first byte of the mapping, or the address of an earlier split
 * @at: address inside the mapping where an IOPTE shall begin
 *
 * Only the IOPTE that spans @at is replaced, by smaller ones; DMA to it fails
 * for a moment.  The driver does not tell the size that it chose: the largest
 * possible IOPTE is removed, and mapped again on both sides of @at.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM; -ENOSPC; -EIO, the driver failed.  On failure all is
 * mapped as before, unless @dom->poisoned is set.
 */
int ioas_domain_split(struct ioas_domain *dom, u64 iova,
		      const struct ioasid_memory *mem, unsigned int flags,
		      unsigned int cut_shift, u64 floor, u64 at)
{
	struct iommu_domain *iommu = dom->iommu;
	unsigned long cut = (at - iova) >> PAGE_SHIFT, index = 0, sizes;
	int prot = flags_to_prot(flags), ret;
	struct ioas_gather gather;
	struct ioasid_runs runs;
	struct ioasid_run run;
	u64 start, last, from, to;
	size_t done = 0, pgsize;
	phys_addr_t phys;

	/* The run that contains @at, and so every IOPTE that may span it */
	ioasid_runs_start(&runs, mem);
	while (ioasid_runs_next(&runs, &run) && index + run.npages <= cut)
		index += run.npages;
	start = iova + ((u64)index << PAGE_SHIFT);
	last = start + ((u64)run.npages << PAGE_SHIFT) - 1;
	phys = PFN_PHYS(run.pfn);
	if (start == at)
		return 0;

	for (sizes = iommu->pgsize_bitmap; sizes; sizes &= ~pgsize) {
		pgsize = BIT(__fls(sizes));
		if (pgsize <= PAGE_SIZE)
			return 0;
		if (cut_shift && pgsize > BIT_ULL(cut_shift))
			continue;
		from = at & ~((u64)pgsize - 1);
		to = from + (pgsize - 1);
		if (from >= max(start, floor) && to <= last && from < at &&
		    !((from ^ (phys + (from - start))) & (pgsize - 1)))
			break;
	}
	if (!sizes)
		return 0;

	ioas_gather_start(&gather, dom, false);
	ioas_gather_range(&gather, from, pgsize);
	ioas_gather_finish(&gather);
	if (dom->poisoned)
		return -EIO;

	phys += from - start;
	ret = map_run(dom, from, phys, at - from, prot, GFP_KERNEL_ACCOUNT,
		      NULL, &done);
	if (!ret)
		ret = map_run(dom, at, phys + (at - from), to - at + 1, prot,
			      GFP_KERNEL_ACCOUNT, NULL, &done);
	if (!ret)
		ret = ioas_domain_sync(dom, from, pgsize);
	if (!ret)
		return 0;

	/* Map again what was there, which must not fail for lack of memory */
	ioas_domain_unwind(dom, from, done, pgsize);
	done = 0;
	if (map_run(dom, from, phys, pgsize, prot,
		    GFP_KERNEL_ACCOUNT | __GFP_NOFAIL, NULL, &done) ||
	    ioas_domain_sync(dom, from, pgsize))
		WRITE_ONCE(dom->poisoned, true);
	return dom->poisoned ? -EIO : ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_domain_split);
