// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges of IOVAs that devices can use.
 *
 * Locks: none.
 */
#include <kunit/visibility.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "iommu.h"
#include "ranges.h"

static int range_cmp(const void *a, const void *b)
{
	const struct ioasid_iova_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Add what is in [start, end], in whole pages, and in none of the holes */
void ioas_ranges_between(struct ioas_ranges *ranges, u64 start, u64 end,
			 const struct ioasid_iova_range *hole,
			 unsigned int nr_holes)
{
	unsigned int i;
	u64 last;

	for (i = 0; start <= end; i++) {
		last = end;
		if (i < nr_holes && hole[i].start <= end) {
			if (hole[i].last < start)
				continue;
			if (hole[i].start <= start)
				goto skip;
			last = hole[i].start - 1;
		}
		ranges->nr++;
		ranges->range[ranges->nr - 1].start = start;
		ranges->range[ranges->nr - 1].last = last;
		if (last == end)
			break;
skip:
		if (hole[i].last == U64_MAX)
			break;
		start = hole[i].last + 1;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioas_ranges_between);

/**
 * ioas_ranges_of_group() - find the IOVAs that the devices of a group can use
 * @group: the group
 * @iommu: a domain with the aperture
 * @sw_msi: out, address where the IOMMU driver needs MSIs mapped by software;
 *	or PHYS_ADDR_MAX
 *
 * These are the aperture without the reserved regions of the devices.
 *
 * Context: may sleep.
 * Return: the ranges, to be freed by kfree(); or an ERR_PTR: -ENOMEM.
 */
struct ioas_ranges *ioas_ranges_of_group(struct iommu_group *group,
					 struct iommu_domain *iommu,
					 phys_addr_t *sw_msi)
{
	struct iommu_resv_region *resv;
	struct ioas_ranges *ranges = NULL;
	struct ioasid_iova_range *hole;
	unsigned int n = 0;
	bool hw_msi = false;
	LIST_HEAD(list);
	u64 start, end;

	*sw_msi = PHYS_ADDR_MAX;
	ioas_iommu_aperture(iommu, &start, &end);
	/* Inwards to whole pages */
	if (!PAGE_ALIGNED(start))
		start = (start | ~PAGE_MASK) + 1;
	if (!PAGE_ALIGNED(end + 1))
		end = (end & PAGE_MASK) - 1;

	if (ioas_iommu_resv_regions(group, &list))
		goto out;
	list_for_each_entry(resv, &list, list)
		n++;
	hole = kcalloc(n + 1, sizeof(*hole), GFP_KERNEL);
	ranges = kzalloc(struct_size(ranges, range, n + 1), GFP_KERNEL_ACCOUNT);
	if (!hole || !ranges) {
		kfree(hole);
		kfree(ranges);
		ranges = NULL;
		goto out;
	}

	n = 0;
	list_for_each_entry(resv, &list, list) {
		if (resv->type == IOMMU_RESV_DIRECT_RELAXABLE || !resv->length)
			continue;
		if (resv->type == IOMMU_RESV_MSI)
			hw_msi = true;
		if (resv->type == IOMMU_RESV_SW_MSI)
			*sw_msi = resv->start;
		hole[n].start = resv->start & PAGE_MASK;
		if (check_add_overflow((u64)resv->start, resv->length - 1,
				       &hole[n].last))
			hole[n].last = U64_MAX;
		hole[n].last |= ~PAGE_MASK;
		n++;
	}
	if (hw_msi)
		*sw_msi = PHYS_ADDR_MAX;
	sort(hole, n, sizeof(*hole), range_cmp, NULL);
	ioas_ranges_between(ranges, start, end, hole, n);
	kfree(hole);
out:
	ioas_iommu_resv_regions_free(&list);
	return ranges ?: ERR_PTR(-ENOMEM);
}

/**
 * ioas_ranges_and() - compute the intersection of ranges
 * @a: some ranges
 * @b: some other ranges
 *
 * Return: the ranges, to be freed by kfree(); or NULL, there is no memory.
 */
struct ioas_ranges *ioas_ranges_and(const struct ioas_ranges *a,
				    const struct ioas_ranges *b)
{
	struct ioas_ranges *both;
	unsigned int i = 0, j = 0;

	both = kzalloc(struct_size(both, range, a->nr + b->nr),
		       GFP_KERNEL_ACCOUNT);
	if (!both)
		return NULL;
	while (i < a->nr && j < b->nr) {
		u64 start = max(a->range[i].start, b->range[j].start);
		u64 last = min(a->range[i].last, b->range[j].last);

		if (start <= last) {
			both->nr++;
			both->range[both->nr - 1].start = start;
			both->range[both->nr - 1].last = last;
		}
		if (a->range[i].last < b->range[j].last)
			i++;
		else
			j++;
	}
	return both;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_ranges_and);

/**
 * ioas_ranges_limit() - keep what is within a range
 * @ranges: the ranges, or an ERR_PTR
 * @limit: the range, of whole pages; NULL, there is no limit
 *
 * Return: @ranges, with what is left of them.
 */
struct ioas_ranges *ioas_ranges_limit(struct ioas_ranges *ranges,
				      const struct ioasid_iova_range *limit)
{
	unsigned int i, n = 0;

	if (IS_ERR(ranges) || !limit)
		return ranges;
	for (i = 0; i < ranges->nr; i++) {
		struct ioasid_iova_range *range = &ranges->range[n];

		*range = ranges->range[i];
		range->start = max(range->start, limit->start);
		range->last = min(range->last, limit->last);
		if (range->start <= range->last)
			n++;
	}
	ranges->nr = n;
	return ranges;
}

/**
 * ioas_ranges_hold() - test whether one of the ranges contains all of a range
 * @ranges: the ranges
 * @start: first byte
 * @last: last byte
 * @bad: out, the first byte that is not contained, if any
 *
 * Return: true if one does.
 */
bool ioas_ranges_hold(const struct ioas_ranges *ranges, u64 start,
		      u64 last, u64 *bad)
{
	unsigned int i;

	*bad = start;
	for (i = 0; i < ranges->nr; i++) {
		if (ranges->range[i].last < start)
			continue;
		if (ranges->range[i].start > start)
			return false;
		if (ranges->range[i].last >= last)
			return true;
		*bad = ranges->range[i].last + 1;
		return false;
	}
	return false;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_ranges_hold);
