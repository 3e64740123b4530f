/* SPDX-License-Identifier: GPL-2.0-only */
/* Lead the DMA of an attachment to a domain, or block it. */
#ifndef _IOASID_IOAS_ROUTE_H
#define _IOASID_IOAS_ROUTE_H

#include "types.h"

struct ioas_domain;
struct iommu_domain;

bool ioas_route_suits(const struct ioas_attachment *attachment,
		      const struct ioas_domain *dom);
int ioas_route_lead(struct ioas_attachment *attachment,
		    struct iommu_domain *iommu, bool finalize);
void ioas_route_block(struct ioas_attachment *attachment,
		      struct iommu_domain *iommu);
int ioas_route_unblock(struct ioas_attachment *attachment);

#endif /* _IOASID_IOAS_ROUTE_H */
