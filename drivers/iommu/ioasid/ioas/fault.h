/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of devices: the routes by which they come to queues.
 */
#ifndef _IOASID_IOAS_FAULT_H
#define _IOASID_IOAS_FAULT_H

#include "fault_queue.h"

struct device;
struct iommu_domain;

int ioas_fault_listen(void);
void ioas_fault_unlisten(void);
bool ioas_fault_requests(struct device *dev);
void ioas_fault_serve(struct iommu_domain *iommu);
struct ioas_fault_route *ioas_fault_route_alloc(struct ioas_fault_queue *queue,
						const struct ioas_fault_origin *origin);
void ioas_fault_route_free(struct ioas_fault_route *route);
void ioas_fault_route_begin(struct ioas_fault_route *old,
			    struct ioas_fault_route *next);
void ioas_fault_route_commit(struct ioas_fault_route *old,
			     struct ioas_fault_route *next, bool moved);
void ioas_fault_route_abort(struct ioas_fault_route *old,
			    struct ioas_fault_route *next);

#endif /* _IOASID_IOAS_FAULT_H */
