/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vhost-vdpa and its front of /dev/ioasid know of each other.  The front is
 * a module of its own, so that vhost-vdpa does not need /dev/ioasid.
 */
#ifndef _VHOST_VDPA_IOASID_H
#define _VHOST_VDPA_IOASID_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/vdpa.h>

#include <uapi/linux/ioasid.h>

struct iommu_domain;
struct vhost_vdpa_front;

/**
 * struct vhost_vdpa_link - an open file of vhost-vdpa, as its front sees it
 * @vdpa: the device; stays as long as the file is open
 * @mutex: that of the file, &vhost_dev.mutex: serialises its commands and IOTLB
 *	messages; protects @front and @bond
 * @map_lock: serialises calls of the parent that change its translations, or reset
 *	it.  Taken inside of @mutex, and of the locks of /dev/ioasid.  No user memory
 *	is accessed with it held
 * @range: the IOVAs of VHOST_VDPA_GET_IOVA_RANGE
 * @domain: of a parent that has neither set_map() nor dma_map(), the domain that
 *	its DMA device is attached to; NULL otherwise
 * @front: the front that the file is bound by, whose module is held; NULL, it is
 *	not bound
 * @bond: the front's
 */
struct vhost_vdpa_link {
	struct vdpa_device *vdpa;
	struct mutex *mutex;	/* see above */
	struct mutex map_lock;	/* see above */
	struct vdpa_iova_range range;
	struct iommu_domain *domain;
	const struct vhost_vdpa_front *front;
	void *bond;
};

/**
 * struct vhost_vdpa_front - the commands of /dev/ioasid on files of vhost-vdpa
 * @owner: module of the front
 * @bind: VHOST_VDPA_BIND_IOASID_FD. Sets &vhost_vdpa_link.front if it succeeds,
 *	and not otherwise. From then until @unbind, vhost-vdpa holds @owner
 * @attach: VHOST_VDPA_ATTACH_IOASID
 * @detach: VHOST_VDPA_DETACH_IOASID
 * @get_id: IOASID_DEVICE_GET_ID
 * @unbind: the file is closed, and the device was reset: undo @bind. Called with
 *	vhost_vdpa_link.mutex held, if @front is set
 * @has_asid: test whether an address space is attached, or about to be. Called with
 *	vhost_vdpa_link.mutex held, if @front is set
 *
 * The first four are called with no lock held.
 */
struct vhost_vdpa_front {
	struct module *owner;
	long (*bind)(struct vhost_vdpa_link *link, void __user *arg);
	long (*attach)(struct vhost_vdpa_link *link, void __user *arg);
	long (*detach)(struct vhost_vdpa_link *link, void __user *arg);
	long (*get_id)(struct vhost_vdpa_link *link, void __user *arg);
	void (*unbind)(struct vhost_vdpa_link *link);
	bool (*has_asid)(struct vhost_vdpa_link *link, u32 asid);
};

int vhost_vdpa_register_front(const struct vhost_vdpa_front *front);
void vhost_vdpa_unregister_front(const struct vhost_vdpa_front *front);
bool vhost_vdpa_has_messages(struct vhost_vdpa_link *link, u32 asid);

#endif /* _VHOST_VDPA_IOASID_H */
