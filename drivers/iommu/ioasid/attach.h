/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attachments: the routes of DMA to IOASIDs.
 */
#ifndef _IOASID_ATTACH_H
#define _IOASID_ATTACH_H

#include <linux/iommu.h>

#include "device.h"
#include "ioas/ioas.h"
#include "ioasids.h"

/**
 * struct ioasid_attachment - a route of DMA to an IOASID
 * @group: the group whose DMA it routes; NULL for an emulated device
 * @device: the emulated device whose driver does the DMA; NULL for a group
 * @pasid: the PASID that the DMA has; IOMMU_NO_PASID for the requester id alone
 * @ioasid: the IOASID, with a reference
 * @devices: number of devices that are attached by it; each counts in
 *	ioas.devices
 * @waiting: number of devices of @group that were bound before it began to
 *	attach, and have not attached yet: if there are any, it counts in
 *	ioas.partial
 * @leaving: the driver can unpin, but not pin any more
 * @domain: of a group: its domain, the IOVAs that it can use, and whether it is
 *	blocked
 * @access: of an emulated device: the pins of its driver
 *
 * @devices, @waiting and @leaving are protected by ioasid_ctx.routes_lock, and
 * by ioasid_group.lock or ioasid_device.access_sem.  @domain and @access belong
 * to the address space.  The rest does not change.
 */
struct ioasid_attachment {
	struct ioasid_group *group;
	struct ioasid_device *device;
	u32 pasid;
	struct ioasid *ioasid;
	unsigned int devices;
	unsigned int waiting;
	bool leaving;
	union {
		struct ioas_attachment domain;
		struct ioas_access access;
	};
};

/**
 * ioasid_device_rid() - get the attachment of a device by requester id
 * @idev: the device; ioasid_ctx.routes_lock, ioasid_group.lock or
 *	ioasid_device.access_sem is held, or no other thread attaches or detaches
 *	an emulated device
 *
 * Return: the attachment; NULL if the device is not attached.
 */
static inline struct ioasid_attachment *
ioasid_device_rid(struct ioasid_device *idev)
{
	return xa_load(&idev->attachments, IOMMU_NO_PASID);
}

/* attach.c */
struct ioasid_attachment *ioasid_attachment_alloc(struct ioasid_device *idev,
						  struct ioasid *ioasid);
void ioasid_attachment_free(struct ioasid_attachment *attachment);
void ioasid_device_route(struct ioasid_device *idev,
			 struct ioasid_attachment *attachment);
int ioasid_group_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr);
int ioasid_group_detach(struct ioasid_device *idev, u32 id);
void ioasid_group_forget(struct ioasid_device *idev);
bool ioasid_waits_for(struct ioasid *ioasid, u32 *devid, u64 *cookie);
void __init ioasid_attach_init(void);

/* access.c */
int ioasid_access_attach(struct ioasid_device *idev, struct ioasid *ioasid);
int ioasid_access_detach(struct ioasid_device *idev, u32 id);

#endif /* _IOASID_ATTACH_H */
