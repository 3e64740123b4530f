/* SPDX-License-Identifier: GPL-2.0-only */
/* The sizes of IOPTEs. */
#ifndef _IOASID_IOAS_IOPTE_H
#define _IOASID_IOAS_IOPTE_H

#include <linux/bits.h>
#include <linux/types.h>

#include <uapi/linux/ioasid.h>

#include "../mem/extent.h"

/**
 * ioas_iopte_first() - find the largest IOPTE at the front of a run
 * @sizes: bitmap of the sizes that it may have
 * @iova: first byte
 * @phys: physical address of that byte
 * @size: bytes of the run
 * @count: out, number of IOPTEs of that size before the run ends, or a larger
 *	one becomes possible
 *
 * Return: its size.
 */
static __always_inline size_t
ioas_iopte_first(unsigned long sizes, unsigned long iova, phys_addr_t phys,
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

unsigned long ioas_iopte_sizes(unsigned long pgsizes, u64 iova,
			       const struct ioasid_memory *mem,
			       unsigned int cut_shift);
size_t ioas_iopte_size(unsigned long pgsizes, u64 iova, phys_addr_t phys,
		       u64 size, unsigned int cut_shift);
void ioas_iopte_around(unsigned long pgsizes, u64 iova, phys_addr_t phys,
		       u64 size, unsigned int cut_shift, u64 at,
		       struct ioasid_iova_range *range);

#endif /* _IOASID_IOAS_IOPTE_H */
