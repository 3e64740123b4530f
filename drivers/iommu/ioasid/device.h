/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bound devices, their groups, and their attachments.
 */
#ifndef _IOASID_DEVICE_H
#define _IOASID_DEVICE_H

#include <linux/rwsem.h>

#include "context.h"
#include "ioas/ioas.h"
#include "ioasids.h"

/**
 * struct ioasid_group - an iommu group with a device bound to a context
 * @node: in ioasid_ctx.groups
 * @group: the iommu group
 * @bound: number of bound devices; protected by ioasid_ctx.lock
 * @visitors: threads that look at it without ioasid_ctx.lock, which protects this
 * @lock: serialises bind, unbind, attach and detach. Taken after
 *	ioasid_ctx.lock, before the locks of an address space
 * @devices: the bound devices
 * @ioasid: the IOASID that the group is attached to, with a reference, or NULL
 * @next: the IOASID that an attach or a move is in progress to, or NULL
 * @attachment: the attachment to @ioasid, and the new one during a move
 * @current_attachment: index of the attachment to @ioasid
 * @attached: number of attached devices
 * @waiting: number of devices that were bound before the attach of the group,
 *	which may be in progress, and have not attached yet
 * @poisoned: a domain of @ioasid or @next is poisoned: ioasid_group_unlock()
 *	has to look if it is the group's
 *
 * @devices to @waiting are written under both @lock and
 * ioasid_ctx.routes_lock. An @attachment belongs to its address space.
 */
struct ioasid_group {
	struct list_head node;
	struct iommu_group *group;
	unsigned int bound;
	unsigned int visitors;
	struct mutex lock;		/* serialises attach and detach */
	struct list_head devices;
	struct ioasid *ioasid;
	struct ioasid *next;
	struct ioas_attachment attachment[2];
	unsigned int current_attachment;
	unsigned int attached;
	unsigned int waiting;
	bool poisoned;
};

/**
 * struct ioasid_device - a device bound to a context
 * @obj: first: its id and references
 * @dev: the device; the framework keeps it until the unbind
 * @cookie: an arbitrary number of user space
 * @group: its group, NULL for an emulated device
 * @node: in ioasid_group.devices
 * @attached: the device is attached
 * @waiting: the device counts in ioasid_group.waiting
 * @ops: the framework's callbacks, or NULL
 * @data: passed to @ops
 * @lock: protects @gone, and keeps @dev while it is held and @gone is not set
 * @gone: the device was unbound
 * @rcu: frees the device after look-ups that may still see it
 * @access_ops: of an emulated device: the driver's callbacks, or NULL
 * @access_data: of an emulated device: passed to @access_ops
 * @access_sem: of an emulated device: protects @access and @leaving
 * @access: of an emulated device: the IOASID that it is attached to, with a
 *	reference, or NULL
 * @leaving: of an emulated device: the IOASID that it is being detached from
 * @ioas_access: of an emulated device: the attachment to @access
 *
 * @attached, @waiting and @access are also protected by ioasid_ctx.routes_lock.
 */
struct ioasid_device {
	struct ioasid_object obj;
	struct device *dev;
	u64 cookie;
	struct ioasid_group *group;
	struct list_head node;
	bool attached;
	bool waiting;
	const struct ioasid_device_ops *ops;
	void *data;
	struct mutex lock;		/* protects gone, keeps dev */
	bool gone;
	struct rcu_head rcu;

	const struct ioasid_access_ops *access_ops;
	void *access_data;
	struct rw_semaphore access_sem;
	struct ioasid *access;
	struct ioasid *leaving;
	struct ioas_access ioas_access;
};

/* device.c */
struct ioasid_device *ioasid_device_get(struct ioasid_ctx *ctx, u32 id);
void ioasid_device_put(struct ioasid_device *idev);
void __init ioasid_device_init(void);
struct ioasid_device *ioasid_device_alloc(struct ioasid_ctx *ctx,
					  struct device *dev, u64 cookie);
void ioasid_device_gone(struct ioasid_device *idev);
void ioasid_group_visit(struct ioasid_ctx *ctx, struct ioasid_group *group);
bool ioasid_group_leave(struct ioasid_ctx *ctx, struct ioasid_group *group);
void ioasid_group_unlock(struct ioasid_group *group);
bool ioasid_ctx_owns_file(struct ioasid_ctx *ctx, struct file *file);
struct ioas_ranges *ioasid_device_describe(struct ioasid_device *idev,
					   struct ioasid_device_info *info,
					   void **hw_data);

static inline struct ioas_attachment *
ioasid_group_attachment(struct ioasid_group *group)
{
	return &group->attachment[group->current_attachment];
}

/* attach.c */
void __init ioasid_attach_init(void);
int ioasid_group_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr);
int ioasid_group_detach(struct ioasid_device *idev, u32 id);
void ioasid_group_forget(struct ioasid_device *idev);
bool ioasid_waits_for(struct ioasid *ioasid, u32 *devid, u64 *cookie);

/* access.c */
int ioasid_access_attach(struct ioasid_device *idev, struct ioasid *ioasid);
int ioasid_access_detach(struct ioasid_device *idev, u32 id);

#endif /* _IOASID_DEVICE_H */
