/* SPDX-License-Identifier: GPL-2.0-only */
/* Ranges of IOVAs that devices can use. */
#ifndef _IOASID_IOAS_RANGES_H
#define _IOASID_IOAS_RANGES_H

#include "types.h"

struct iommu_domain;

void ioas_ranges_between(struct ioas_ranges *ranges, u64 start, u64 end,
			 const struct ioasid_iova_range *hole,
			 unsigned int nr_holes);
struct ioas_ranges *ioas_ranges_of_group(struct iommu_group *group,
					 struct iommu_domain *iommu,
					 phys_addr_t *sw_msi);
struct ioas_ranges *ioas_ranges_and(const struct ioas_ranges *a,
				    const struct ioas_ranges *b);
bool ioas_ranges_hold(const struct ioas_ranges *ranges, u64 start,
		      u64 last, u64 *bad);

struct ioas_ranges *ioas_ranges_limit(struct ioas_ranges *ranges,
				      const struct ioasid_iova_range *limit);

#endif /* _IOASID_IOAS_RANGES_H */
