// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty bits of a domain: reading them, and taking the permission to write from a
 * mapping, so that none is set after that.
 *
 * Locks: none of its own.  The caller keeps the IOPTEs from being removed.
 */
#include <linux/sched.h>

#include "../mem/extent.h"
#include "../mem/memory.h"
#include "domain.h"
#include "iommu.h"
#include "iopte.h"
#include "types.h"

/**
 * ioas_domain_protect() - change the permission of a mapping in place
 * @gather: begun, of a domain with ioas_domain_protects()
 * @iova: first byte of the mapping
 * @mem: its memory
 * @cut_shift: its cut size
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE
 *
 * Takes effect with ioas_gather_finish().
 *
 * Context: may sleep.
 * Return: true if all of it was changed; false if only some was, or nothing.
 */
bool ioas_domain_protect(struct ioas_gather *gather, u64 iova,
			 const struct ioasid_memory *mem,
			 unsigned int cut_shift, unsigned int flags)
{
	unsigned long pgsizes = ioas_iommu_pgsizes(gather->dom->iommu), n = 0;
	struct ioasid_runs runs;
	struct ioasid_run run;

	ioasid_runs_start(&runs, mem);
	while (ioasid_runs_next(&runs, &run)) {
		u64 size = (u64)run.npages << PAGE_SHIFT, pgsize;
		phys_addr_t phys = PFN_PHYS(run.pfn);

		for (; size; size -= pgsize) {
			pgsize = ioas_iopte_size(pgsizes, iova, phys, size,
						 cut_shift);
			if (!ioas_gather_protect(gather, iova, pgsize, flags))
				return false;
			iova += pgsize;
			phys += pgsize;
			if (++n % 1024 == 0)
				cond_resched();
		}
	}
	return true;
}

/**
 * ioas_domain_read_dirty() - read and clear the dirty bits of a range, and flush
 * @dom: the domain, with dirty bits
 * @iova: first byte of the mapping
 * @mem: its memory
 * @cut_shift: its cut size
 * @from: first byte of the range, in the mapping
 * @to: last byte of the range, in the mapping
 * @sink: takes each dirty IOPTE, which may exceed the range
 *
 * Drivers step from IOPTE to IOPTE, and must begin where one does: a step from the
 * middle of a large one may miss small ones behind it.
 *
 * Context: may sleep.
 * Return: 0; or -errno of the driver.
 */
int ioas_domain_read_dirty(struct ioas_domain *dom, u64 iova,
			   const struct ioasid_memory *mem,
			   unsigned int cut_shift, u64 from, u64 to,
			   const struct ioas_dirty_sink *sink)
{
	unsigned long index = (from - iova) >> PAGE_SHIFT, before;
	struct ioasid_iova_range range;
	struct ioasid_runs runs;
	struct ioasid_run run;
	u64 size;

	before = ioasid_runs_from(&runs, mem, index, mem->npages - index);
	ioasid_runs_next(&runs, &run);
	size = (u64)before << PAGE_SHIFT;
	ioas_iopte_around(ioas_iommu_pgsizes(dom->iommu), from - size,
			  PFN_PHYS(run.pfn) - size,
			  size + ((u64)run.npages << PAGE_SHIFT), cut_shift,
			  from, &range);
	return ioas_iommu_read_dirty(dom->iommu, range.start,
				     to - range.start + 1, sink);
}
