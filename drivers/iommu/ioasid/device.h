/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bound devices, their groups, and their attachments.
 */
#ifndef _IOASID_DEVICE_H
#define _IOASID_DEVICE_H

#include <linux/device.h>
#include <linux/ioasid.h>
#include <linux/rwsem.h>

#include "context.h"
#include "ioas/ioas.h"
#include "ioasids.h"

struct ioasid_attachment;

/**
 * enum ioasid_group_owner - the claim that keeps other owners off a group's DMA
 * @IOASID_OWNER_DEVICES: each bound device has one
 * @IOASID_OWNER_GROUP: the group has one, until its last device is unbound
 * @IOASID_OWNER_CALLER: the caller of ioasid_bind_group() has one
 * @IOASID_OWNER_DRIVER: none: the kernel driver of the device has its DMA by
 *	requester id, or the device translates by itself; the structure is of one
 *	bind of one device, and in ioasid_ctx.shared
 */
enum ioasid_group_owner {
	IOASID_OWNER_DEVICES,
	IOASID_OWNER_GROUP,
	IOASID_OWNER_CALLER,
	IOASID_OWNER_DRIVER,
};

/**
 * enum ioasid_numbers_of - the PASIDs of a device on the wire
 * @IOASID_NUMBERS_OWN: those of user space: all are the device's own
 * @IOASID_NUMBERS_TRANSLATED: of the pool of the machine, one for each attachment
 * @IOASID_NUMBERS_COMMON: of that pool, one for each IOASID of the context
 * @IOASID_NUMBERS_TABLES: none: they are numbers of tables that the device has by
 *	itself, the first of which is IOMMU_NO_PASID
 */
enum ioasid_numbers_of {
	IOASID_NUMBERS_OWN,
	IOASID_NUMBERS_TRANSLATED,
	IOASID_NUMBERS_COMMON,
	IOASID_NUMBERS_TABLES,
};

/**
 * struct ioasid_group - an iommu group with a device bound to a context
 * @node: in ioasid_ctx.groups, or ioasid_ctx.shared
 * @group: the iommu group; NULL of a device that translates by itself
 * @bound: number of bound devices; protected by ioasid_ctx.lock
 * @owner: enum ioasid_group_owner; constant since the first bind
 * @visitors: threads that look at it without ioasid_ctx.lock, which protects this
 * @lock: serialises attach, move and detach
 * @devices: the bound devices
 * @rid: the attachment by requester id, or NULL: its DMA is blocked
 * @next: the attachment that an attach or a move is about to make, or NULL
 * @pasids: attachments by PASID, and those that are about to be made
 * @poisoned: a domain of an IOASID that it may be routed to is poisoned: the
 *	thread that unlocks @lock has to look if it is
 *
 * ioasid_ctx.routes_lock protects @devices.  @rid, @next and @pasids are written
 * under both @lock and ioasid_ctx.routes_lock.
 */
struct ioasid_group {
	struct list_head node;
	struct iommu_group *group;
	unsigned int bound;
	enum ioasid_group_owner owner;
	unsigned int visitors;
	struct mutex lock;		/* serialises attach and detach */
	struct list_head devices;
	struct ioasid_attachment *rid;
	struct ioasid_attachment *next;
	struct list_head pasids;
	bool poisoned;
};

/**
 * struct ioasid_device - a device bound to a context
 * @obj: first: its id and references
 * @dev: the device; the framework keeps it until the unbind.  NULL if a whole
 *	group was bound
 * @name: of a group that was bound as a whole: the name of one of its devices
 * @cookie: any number that user space chose
 * @group: its group, NULL for an emulated device
 * @node: in ioasid_group.devices
 * @attachments: its attachments by PASID; with IOMMU_NO_PASID that of its group,
 *	if it has joined that, or that of an emulated device;
 *	IOASID_PASID_RESERVED for a number that was chosen for an attach
 * @nr_pasids: number of attachments by PASID
 * @numbers: the PASIDs that it has on the wire
 * @by: of IOASID_NUMBERS_TABLES: how it translates; with @home: its IOVAs
 * @home: of a device whose kernel driver lends its group: the domain that it goes
 *	back to, which maps nothing; or NULL
 * @nr_asids: number of address spaces that user space tells apart by
 *	IOASID_ATTACH_ASID; 0: it has PASIDs
 * @faults: by requester id: the route of its faults; NULL: they are not reported
 * @next_faults: the same, of an attachment that it is about to have
 * @fault_counts: counts of its faults
 * @waiting: the device counts in ioasid_attachment.waiting of its group's
 *	attachment
 * @ops: the framework's callbacks, or NULL
 * @data: passed to @ops
 * @work_lock: see pasid_work.c
 * @uses: of a device whose driver has pasid_stop: by vPASID, number of
 *	ioasid_pasid_begin() without an ioasid_pasid_end(), and one more while it is
 *	attached; protected by @work_lock
 * @lock: protects @gone, and keeps @dev while it is held and @gone is not set
 * @gone: the device was unbound
 * @rcu: frees the device after look-ups that may still see it
 * @access_ops: of an emulated device: the driver's callbacks, or NULL
 * @access_data: of an emulated device: passed to @access_ops
 * @access_sem: of an emulated device: protects its attachment
 *
 * ioasid_ctx.routes_lock protects @attachments, @nr_pasids and @waiting, too;
 * ioasid_group.lock alone @faults and @next_faults.
 */
struct ioasid_device {
	struct ioasid_object obj;
	struct device *dev;
	char *name;
	u64 cookie;
	struct ioasid_group *group;
	struct list_head node;
	struct xarray attachments;
	u32 nr_pasids;
	enum ioasid_numbers_of numbers;
	struct ioas_translator by;
	struct iommu_domain *home;
	u32 nr_asids;
	struct ioas_fault_route *faults;
	struct ioas_fault_route *next_faults;
	struct ioas_fault_counts fault_counts;
	bool waiting;
	const struct ioasid_device_ops *ops;
	void *data;
	struct mutex work_lock;		/* work by PASIDs */
	struct xarray uses;
	struct mutex lock;		/* protects gone, keeps dev */
	bool gone;
	struct rcu_head rcu;

	const struct ioasid_access_ops *access_ops;
	void *access_data;
	struct rw_semaphore access_sem;
};

/* In ioasid_device.attachments: a PASID that is reserved, but not attached */
#define IOASID_PASID_RESERVED	xa_mk_value(0)

/* device.c */
struct ioasid_device *ioasid_device_get(struct ioasid_ctx *ctx, u32 id);
void ioasid_device_put(struct ioasid_device *idev);
void __init ioasid_device_init(void);
struct ioasid_device *ioasid_device_alloc(struct ioasid_ctx *ctx,
					  struct device *dev, u64 cookie);
struct ioasid_device *
ioasid_group_device_alloc(struct ioasid_ctx *ctx,
			  struct iommu_group *iommu_group, u64 cookie);
void ioasid_device_gone(struct ioasid_device *idev);
void ioasid_group_visit(struct ioasid_ctx *ctx, struct ioasid_group *group);
struct list_head *ioasid_group_leave(struct ioasid_ctx *ctx,
				     struct ioasid_group *group);
bool ioasid_ctx_owns_file(struct ioasid_ctx *ctx, struct file *file);
int ioasid_ctx_watch(struct ioasid_ctx *ctx, struct file *file, u64 offset,
		     u64 length, struct ioasid_region *region,
		     const struct ioasid_device_ops **how);
void ioasid_unwatch(struct ioasid_region *region,
		    const struct ioasid_device_ops *how);
struct ioas_ranges *ioasid_device_describe(struct ioasid_device *idev,
					   struct ioasid_device_info *info,
					   void **hw_data);

/* Attachments of the device take effect only while its driver works by them */
static inline bool ioasid_device_records(const struct ioasid_device *idev)
{
	return idev->ops && idev->ops->pasid_stop;
}

/* The caller keeps the device bound, or holds ioasid_device.lock */
static inline const char *ioasid_device_name(const struct ioasid_device *idev)
{
	return idev->dev ? dev_name(idev->dev) : idev->name;
}

#endif /* _IOASID_DEVICE_H */
