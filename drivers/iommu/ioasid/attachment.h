/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The route of DMA to an IOASID, which attach.c, pasid.c and access.c make, and on
 * which the ops of kinds act.
 */
#ifndef _IOASID_ATTACHMENT_H
#define _IOASID_ATTACHMENT_H

#include "ioas/ioas.h"

struct ioasid;
struct ioasid_device;
struct ioasid_group;
struct ioasid_number;

/**
 * struct ioasid_attachment - a route of DMA to an IOASID
 * @group: the group whose DMA it routes; NULL for an emulated device
 * @device: the emulated device whose driver does the DMA, or the device of a
 *	PASID; NULL for a group
 * @vpasid: its index in ioasid_device.attachments: what user space calls the
 *	PASID; IOMMU_NO_PASID for the requester id alone.  @domain has the PASID on
 *	the wire
 * @number: what makes that another one than @vpasid, or NULL; of a recorded one,
 *	NULL while no work goes on: pasid_work.c
 * @node: of a PASID: in ioasid_group.pasids
 * @faults: of a PASID: the route of its faults; NULL: they are not reported
 * @ioasid: the IOASID, with a reference
 * @devices: number of devices that are attached by it; each counts in
 *	ioas.devices
 * @waiting: number of devices of @group that were bound before it began to
 *	attach, and have not attached yet: if there are any, it counts in
 *	ioas.partial
 * @leaving: the driver can unpin, but not pin any more; of a recorded one, no work
 *	can begin
 * @domain: of a group or a PASID: its domain, the IOVAs that it can use, and
 *	whether it is blocked; of the kind PGTABLE: the same in the parent, and the
 *	nested domain
 * @ioas: of an emulated device: the address space that its driver accesses
 * @access: of an emulated device: the pins of its driver
 *
 * @devices, @waiting, @leaving, @node, @faults and @number are protected by ioasid_ctx.routes_lock,
 * and by ioasid_group.lock or ioasid_device.access_sem; of a recorded one, @leaving,
 * @faults and @number by ioasid_device.work_lock.  @domain and @access belong
 * to the address space.  The rest does not change.
 */
struct ioasid_attachment {
	struct ioasid_group *group;
	struct ioasid_device *device;
	u32 vpasid;
	struct ioasid_number *number;
	struct list_head node;
	struct ioas_fault_route *faults;
	struct ioasid *ioasid;
	unsigned int devices;
	unsigned int waiting;
	bool leaving;
	union {
		struct ioas_attachment domain;
		struct {
			struct ioas *ioas;
			struct ioas_access access;
		};
	};
};

#endif /* _IOASID_ATTACHMENT_H */
