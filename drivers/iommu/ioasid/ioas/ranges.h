/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ranges of IOVA that devices can use.
 */
#ifndef _IOASID_IOAS_RANGES_H
#define _IOASID_IOAS_RANGES_H

#include <linux/iommu.h>

#include "types.h"

void ioasid_ranges_between(struct ioasid_ranges *ranges, u64 start, u64 end,
			   const struct ioasid_iova_range *hole,
			   unsigned int nr_holes);
struct ioasid_ranges *ioasid_ranges_of_group(struct iommu_group *group,
					     struct iommu_domain *iommu,
					     phys_addr_t *sw_msi);
struct ioasid_ranges *ioasid_ranges_and(const struct ioasid_ranges *a,
					const struct ioasid_ranges *b);
bool ioasid_ranges_hold(const struct ioasid_ranges *ranges, u64 start,
			u64 last, u64 *bad);

#endif /* _IOASID_IOAS_RANGES_H */
