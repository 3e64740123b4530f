/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attachments: the routes of DMA to IOASIDs.
 */
#ifndef _IOASID_ATTACH_H
#define _IOASID_ATTACH_H

#include <linux/iommu.h>

#include "attachment.h"
#include "device.h"
#include "ioasids.h"
#include "kind.h"

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

/* The ops of the IOASID of an attachment */
static inline const struct ioasid_kind_ops *
ioasid_attachment_ops(const struct ioasid_attachment *attachment)
{
	return ioasid_kind_of(attachment->ioasid);
}

/* Count devices that are about to be attached by an attachment */
static inline int ioasid_attachment_hold(const struct ioasid_attachment *attachment,
					 unsigned int devices)
{
	return ioasid_op_call(ioasid_attachment_ops(attachment)->hold,
			      attachment->ioasid, devices);
}

static inline void
ioasid_attachment_release(const struct ioasid_attachment *attachment,
			  unsigned int devices)
{
	ioasid_attachment_ops(attachment)->release(attachment->ioasid, devices);
}

/* fault_route.c */
int ioasid_route_faults(const struct ioasid_attachment *attachment,
			struct ioasid_device *idev,
			struct ioas_fault_route **route);
void ioasid_device_end_faults(struct ioasid_device *idev);
void ioasid_group_end_faults(struct ioasid_group *group);
int ioasid_group_begin_faults(struct ioasid_group *group,
			      const struct ioasid_attachment *next);
void ioasid_group_finish_faults(struct ioasid_group *group, bool moved);

/* pasid_work.c */
int ioasid_work_hold(const struct ioasid_attachment *attachment);
void ioasid_work_drop(const struct ioasid_attachment *attachment);
void ioasid_work_end(struct ioasid_attachment *attachment);
void ioasid_work_close(struct ioasid_attachment *attachment);
void ioasid_work_reopen(struct ioasid_attachment *attachment);
bool ioasid_work_block(struct ioasid_attachment *attachment);

/* attach.c */
struct ioasid_attachment *ioasid_attachment_alloc(struct ioasid_device *idev,
						  struct ioasid *ioasid,
						  u32 vpasid);
void ioasid_attachment_free(struct ioasid_attachment *attachment);
void ioasid_device_route(struct ioasid_device *idev,
			 struct ioasid_attachment *attachment);
void ioasid_group_unlock(struct ioasid_group *group);
int ioasid_group_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr);
int ioasid_group_detach(struct ioasid_device *idev, u32 id);
void ioasid_group_forget(struct ioasid_device *idev);
bool ioasid_waits_for(struct ioasid *ioasid, u32 *devid, u64 *cookie);
void __init ioasid_attach_init(void);

/* pasid.c */
int ioasid_pasid_reserve(struct ioasid_device *idev, u32 *vpasid);
void ioasid_pasid_unreserve(struct ioasid_device *idev, u32 vpasid);
bool ioasid_pasid_attached(struct ioasid_device *idev,
			   const struct ioasid *ioasid);
int ioasid_pasid_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u32 vpasid, u32 flags, u64 *fault_addr);
int ioasid_pasid_detach(struct ioasid_device *idev, u32 id, u32 vpasid);
void ioasid_pasid_forget(struct ioasid_device *idev);

/* access.c */
int ioasid_access_attach(struct ioasid_device *idev, struct ioasid *ioasid);
int ioasid_access_detach(struct ioasid_device *idev, u32 id);

#endif /* _IOASID_ATTACH_H */
