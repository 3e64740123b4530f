// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sizes of IOPTEs: how a mapping is divided into IOPTEs.
 *
 * Invariants:
 *  - An IOPTE is as large as possible, aligned to its size, within a run and a
 *    cell of the cut grid.  So the IOPTE at an address does not depend on the
 *    history of the mapping: no cut leaves smaller ones behind.
 *
 * Locks: none.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "iopte.h"

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

			pgsize = ioas_iopte_first(pgsizes, iova, phys, size,
						  &count);
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
 * ioas_iopte_size() - find the size of the first IOPTE of a run
 * @pgsizes: bitmap of the sizes that the driver has
 * @iova: first byte of the rest of the run, where an IOPTE begins
 * @phys: physical address of that byte
 * @size: bytes to the end of the run
 * @cut_shift: log2 of the cut size, 0 for none
 *
 * Return: the size of the IOPTE.
 */
size_t ioas_iopte_size(unsigned long pgsizes, u64 iova, phys_addr_t phys,
		       u64 size, unsigned int cut_shift)
{
	size_t count;

	return ioas_iopte_first(sizes_within(pgsizes, cut_shift), iova, phys,
				size, &count);
}

/**
 * ioas_iopte_around() - find the IOPTE that spans an address
 * @pgsizes: bitmap of the sizes that the driver has
 * @iova: first byte of a run
 * @phys: physical address of that byte
 * @size: bytes of the run
 * @cut_shift: log2 of the cut size, 0 for none
 * @at: an address in the run
 * @range: out, the IOVAs of the IOPTE
 */
void ioas_iopte_around(unsigned long pgsizes, u64 iova, phys_addr_t phys,
		       u64 size, unsigned int cut_shift, u64 at,
		       struct ioasid_iova_range *range)
{
	unsigned long sizes = sizes_within(pgsizes, cut_shift);
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
