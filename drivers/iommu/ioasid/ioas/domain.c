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
 * Locks: none.  Callers make sure that no two calls touch the same IOVA of a
 * domain at a time, and that no driver attaches a device to it meanwhile; calls
 * for different IOVAs run in parallel.
 */
#include <kunit/visibility.h>
#include <linux/bits.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "domain.h"
#include "iommu.h"
#include "iopte.h"
#include "types.h"

/* ---- Allocate ---- */

/**
 * ioas_domain_alloc() - allocate a domain that suits a device
 * @dev: the device
 * @sort: see ioas_iommu_alloc()
 * @dirty: with dirty bits, which the IOMMU sets from the start
 * @enforce_cache_coherency: fail if no-snoop DMA cannot be made coherent
 *
 * If the device's IOMMU can make no-snoop DMA coherent it does, so that what
 * VFIO tells KVM of the device stays true.
 *
 * Context: may sleep.
 * Return: the domain; or an ERR_PTR:
 * -EMEDIUMTYPE, the IOMMU has no domain of this sort, or with dirty bits, or
 * cannot enforce coherency;
 * -ENOMEM.
 */
struct ioas_domain *ioas_domain_alloc(struct device *dev,
				      enum ioas_iommu_sort sort,
				      bool dirty, bool enforce_cache_coherency)
{
	bool enforce = ioas_iommu_can_enforce_coherency(dev);
	struct ioas_domain *dom;
	bool finalized_on_attach;
	int ret;

	if (enforce_cache_coherency && !enforce)
		return ERR_PTR(-EMEDIUMTYPE);

	dom = kzalloc(sizeof(*dom), GFP_KERNEL_ACCOUNT);
	if (!dom)
		return ERR_PTR(-ENOMEM);
	dom->iommu = ioas_iommu_alloc(dev, sort, dirty, &finalized_on_attach);
	if (IS_ERR(dom->iommu)) {
		ret = PTR_ERR(dom->iommu);
		goto err_free;
	}
	dom->finalized_on_attach = finalized_on_attach;
	dom->nest_parent = sort == IOAS_IOMMU_NEST_PARENT;
	dom->unit = ioas_iommu_unit(dev);
	dom->extension = ioas_iommu_extension(dom->iommu);
	dom->deferred_flush = ioas_iommu_can_defer_flush(dev, dom->iommu);

	ret = -EMEDIUMTYPE;
	if (!finalized_on_attach && !ioas_domain_usable(dom))
		goto err_domain;
	if (enforce) {
		if (!ioas_iommu_enforce_coherency(dom->iommu))
			goto err_domain;
		dom->enforce_cache_coherency = true;
	}
	/* Before a device is attached: the driver need not change those */
	if (dirty) {
		if (ioas_iommu_track_dirty(dom->iommu))
			goto err_domain;
		dom->dirty = true;
	}
	return dom;

err_domain:
	ioas_iommu_free(dom->iommu);
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
	return ioas_iommu_pgsizes(dom->iommu) & (PAGE_SIZE | (PAGE_SIZE - 1));
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
	ioas_iommu_free(dom->iommu);
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
	if (dom->poisoned || !ioas_iommu_drives(dev, dom->iommu))
		return false;
	if (enforce_cache_coherency || ioas_iommu_can_enforce_coherency(dev))
		return dom->enforce_cache_coherency;
	return true;
}

/**
 * ioas_domain_can_nest() - test whether a domain can be the stage 2 of tables of
 *	user space that a device uses
 * @dom: the domain, which fits the device
 * @dev: the device
 *
 * A driver says whether it takes a domain when a device attaches to it.  Nested
 * domains are made later than that, so that only the IOMMU counts that @dom was
 * allocated for.
 *
 * Return: true if it can.
 */
bool ioas_domain_can_nest(const struct ioas_domain *dom, struct device *dev)
{
	return dom->nest_parent && dom->unit == ioas_iommu_unit(dev);
}

/* ---- Map and remove ---- */

/*
 * IOPTEs that a driver writes with one call: bounds the time that it allocates
 * tables for before @stop is tested.
 */
#define MAP_STEP	SZ_16K

static bool should_stop(const struct ioas_stop *stop)
{
	return stop && (READ_ONCE(*stop->wanted) ||
			(stop->sem && rwsem_is_contended(stop->sem)));
}

static __always_inline int
map_run_inline(struct ioas_domain *dom, unsigned long iova, phys_addr_t phys,
	       size_t size, int prot, gfp_t gfp, const struct ioas_stop *stop,
	       size_t *done)
{
	struct iommu_domain *iommu = dom->iommu;

	while (size) {
		size_t count, pgsize, mapped;
		int ret;

		pgsize = ioas_iopte_first(ioas_iommu_pgsizes(iommu), iova, phys,
					  size, &count);
		/*
		 * A driver that finalizes on attach cannot split what one call
		 * mapped
		 */
		if (unlikely(dom->finalized_on_attach))
			count = 1;
		count = min(count, MAP_STEP);
		ret = ioas_iommu_map(iommu, iova, phys, pgsize, count, prot,
				     gfp, &mapped);
		*done += mapped;
		if (ret)
			return ret;
		iova += mapped;
		phys += mapped;
		size -= min(size, mapped);
		if (unlikely(size)) {
			if (should_stop(stop))
				return -EAGAIN;
			cond_resched();
		}
	}
	return 0;
}

static noinline int map_run(struct ioas_domain *dom, unsigned long iova,
			    phys_addr_t phys, size_t size, int prot, gfp_t gfp,
			    const struct ioas_stop *stop, size_t *done)
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
		     const struct ioas_stop *stop, size_t *done)
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
		if (size) {
			if (should_stop(stop))
				return -EAGAIN;
			cond_resched();
		}
	}
	return 0;
}

static __always_inline int
map_memory(struct ioas_domain *dom, u64 iova, const struct ioasid_memory *mem,
	   int prot, unsigned int cut_shift, gfp_t gfp,
	   const struct ioas_stop *stop, size_t *done)
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
		if (should_stop(stop))
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

	while (done < length && ioas_iommu_phys(dom->iommu, iova + done))
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
	return ioas_iommu_sync_map(dom->iommu, iova, length);
}

/**
 * ioas_domain_map() - map memory
 * @dom: the domain
 * @iova: first byte; nothing is mapped from there to the memory's end
 * @mem: the memory
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @cut_shift: log2 of the cut size, 0 for none
 * @stop: why the map may end early, or NULL
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
		    unsigned int cut_shift, const struct ioas_stop *stop)
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
 * Return: 0; -EOPNOTSUPP, @dom is a mirror; -ENOMEM; -ENOSPC; -EIO, the driver
 * failed.
 */
int ioas_domain_map_device(struct ioas_domain *dom, u64 iova,
			   const struct ioasid_memory *mem,
			   unsigned int flags)
{
	int prot = (flags_to_prot(flags) & ~IOMMU_CACHE) | IOMMU_MMIO, ret = 0;
	struct ioasid_runs runs;
	struct ioasid_run run;
	size_t done = 0;

	if (dom->mirror)
		return -EOPNOTSUPP;
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
	ioas_iommu_gather_init(&gather->iotlb,
			       scattered && dom->deferred_flush);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_gather_start);

/* Bytes that are removed by one call of the driver */
#define GATHER_STEP	SZ_1G

/* The scheduler is called after a call that removed more than that */
#define GATHER_YIELD	SZ_4M

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
		pgsize = ioas_iopte_first(ioas_iommu_pgsizes(iommu), iova, iova,
					  min_t(u64, length, GATHER_STEP),
					  &count);
		size = pgsize * count;
		/* One flush for all steps, if there is more than one */
		if (!gather->begun && unlikely(size != length))
			iotlb->queued |= gather->dom->deferred_flush;
		else if (!iotlb->queued)
			ioas_iommu_gather_prepare(iommu, iotlb, iova, pgsize,
						  size);
		gather->begun = true;

		out = ioas_iommu_unmap(iommu, iova, pgsize, count, iotlb);
		if (unlikely(!out)) {
			WRITE_ONCE(gather->dom->poisoned, true);
			return;
		}
		iova += out;
		length -= min_t(u64, out, length);
		if (unlikely(length || out > GATHER_YIELD))
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
	const struct ioas_domain *dom = gather->dom;

	if (!ioas_iommu_protect(dom->iommu, dom->extension, iova, length,
				flags_to_prot(flags), &gather->iotlb))
		return false;
	gather->begun = true;
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_gather_protect);

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
		ioas_iommu_gather_sync(iommu, &gather->iotlb);
	else
		ioas_iommu_gather_flush_all(iommu, &gather->iotlb);
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

/*
 * Record if an IOPTE was written, and let no device write by it any more.  Returns
 * false if that cannot be done in place: its dirty bit may be set until it is
 * removed.
 */
static bool take_dirty(struct ioas_domain *dom, u64 iova, u64 size,
		       unsigned int flags, const struct ioas_dirty_sink *sink)
{
	struct ioas_gather gather;
	bool protected;

	if (!dom->dirty || !(flags & IOASID_MAP_READ) ||
	    !ioas_domain_protects(dom))
		return false;
	ioas_gather_start(&gather, dom, false);
	protected = ioas_gather_protect(&gather, iova, size, IOASID_MAP_READ);
	ioas_gather_finish(&gather);
	return protected && !ioas_iommu_read_dirty(dom->iommu, iova, size, sink);
}

/* Record that devices may have written by IOPTEs that were removed and flushed */
static void record_lost(const struct ioas_dirty_sink *sink, u64 iova, u64 size)
{
	if (sink && sink->is_on(sink))
		sink->record(sink, iova, size, false);
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
 * @sink: takes what devices have written, or may have, of IOPTEs that are
 *	replaced, or were there until the split failed; or NULL if they cannot write
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
		      unsigned int cut_shift, u64 floor, u64 at,
		      const struct ioas_dirty_sink *sink)
{
	unsigned long cut = (at - iova) >> PAGE_SHIFT, index = 0, sizes;
	int prot = flags_to_prot(flags), ret;
	struct ioas_gather gather;
	struct ioasid_runs runs;
	struct ioasid_run run;
	u64 start, last, from, to;
	size_t done = 0, pgsize;
	phys_addr_t phys;
	bool exact;

	/* Any page of a mirror can be removed */
	if (dom->mirror)
		return 0;
	/* The run that contains @at, and so every IOPTE that may span it */
	ioasid_runs_start(&runs, mem);
	while (ioasid_runs_next(&runs, &run) && index + run.npages <= cut)
		index += run.npages;
	start = iova + ((u64)index << PAGE_SHIFT);
	last = start + ((u64)run.npages << PAGE_SHIFT) - 1;
	phys = PFN_PHYS(run.pfn);
	if (start == at)
		return 0;

	for (sizes = ioas_iommu_pgsizes(dom->iommu); sizes; sizes &= ~pgsize) {
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

	exact = sink && sink->is_on(sink) &&
		take_dirty(dom, from, pgsize, flags, sink);
	ioas_gather_start(&gather, dom, false);
	ioas_gather_range(&gather, from, pgsize);
	ioas_gather_finish(&gather);
	/* Not before the flush: a record may be told, and cleared, at once */
	if (!exact)
		record_lost(sink, from, pgsize);
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
	record_lost(sink, from, pgsize);
	done = 0;
	if (map_run(dom, from, phys, pgsize, prot,
		    GFP_KERNEL_ACCOUNT | __GFP_NOFAIL, NULL, &done) ||
	    ioas_domain_sync(dom, from, pgsize))
		WRITE_ONCE(dom->poisoned, true);
	return dom->poisoned ? -EIO : ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_domain_split);
