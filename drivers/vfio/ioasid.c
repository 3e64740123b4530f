// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front of /dev/ioasid in VFIO: binds VFIO devices to contexts of
 * /dev/ioasid, and hands them the commands of device files.
 *
 * Invariants
 *	A device file gives no access to its device before it is bound, by its
 *	own command or, if the context is used as a container, as it is opened.
 *	One file has a device open in the first case, and shares the bond with
 *	none; in the second case any number of files shares it.
 *
 *	A device that the caller may not bind is not opened, reset or resumed.
 *
 *	From bind to unbind &vfio_device.iommu_data is the device's bond to the
 *	context: bind sets it before the driver's open_device() and goes after
 *	its close_device(). VFIO holds the context, and this module, for as long
 *	as a group, a device file or an open device refers to it.
 *
 * Locking dev_set->lock protects the bond, vfio_ioasid_bond.lock its
 *	attachment. An attach takes time in proportion to the mappings of the
 *	IOASID, so a command holds the latter only: devices of the same set do
 *	not wait for it. An open that attaches holds the former, too: the table
 *	of its group is there, so that it is short. The paths of emulated
 *	devices that pin and access memory take no lock of VFIO's: VFIO calls
 *	them only while the device is open.
 *
 *	The locks of /dev/ioasid nest inside of both. When an emulated device is
 *	detached, its driver is asked to unpin with the bond's lock held, or
 *	with dev_set->lock when it is unbound.
 *
 *	An access of user memory can hang: it is made without any lock.
 *
 * Waits
 *	For the bond's lock: killable; only commands of files that share the
 *	bond take it.
 *	For the locks of VFIO: killable in a bind, see backend.c.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/vfio.h>
#include <uapi/linux/ioasid.h>

#include "vfio.h"

static const struct vfio_iommu_backend vfio_ioasid_backend;

/**
 * struct vfio_ioasid_bond - &vfio_device.iommu_data of a bound device
 * @idev: the device in its context
 * @lock: serialises commands that attach and detach
 */
struct vfio_ioasid_bond {
	struct ioasid_device *idev;
	struct mutex lock;	/* serialises attach and detach */
};

static struct ioasid_device *vfio_ioasid_idev(struct vfio_device *device)
{
	struct vfio_ioasid_bond *bond = device->iommu_data;

	return bond->idev;
}

static void *vfio_ioasid_ctx_from_file(struct file *file)
{
	return ioasid_ctx_from_file(file);
}

static void vfio_ioasid_ctx_get(void *ctx)
{
	ioasid_ctx_get(ctx);
}

static void vfio_ioasid_ctx_put(void *ctx)
{
	ioasid_ctx_put(ctx);
}

static bool vfio_ioasid_ctx_has_group(void *ctx, struct iommu_group *group)
{
	return ioasid_ctx_has_group(ctx, group);
}

static int vfio_ioasid_set_group(void *ctx, struct iommu_group *group,
				 enum vfio_group_type type)
{
	if (type == VFIO_NO_IOMMU)
		return -EOPNOTSUPP;
	return ioasid_container_add_group(ctx, group,
					  type == VFIO_EMULATED_IOMMU);
}

static void vfio_ioasid_unset_group(void *ctx, struct iommu_group *group)
{
	ioasid_container_remove_group(ctx, group);
}

static bool vfio_ioasid_needs_bind(void *ctx)
{
	return !ioasid_container_is_open(ctx);
}

/* A driver that never pins may have no dma_unmap() */
static void vfio_ioasid_access_unmap(void *data, u64 iova, u64 length)
{
	struct vfio_device *device = data;

	if (device->ops->dma_unmap)
		device->ops->dma_unmap(device, iova, length);
}

static const struct ioasid_access_ops vfio_ioasid_access_ops = {
	.unmap = vfio_ioasid_access_unmap,
};

/* Its memory can be mmap()ed only through bound files, which share an inode */
static bool vfio_ioasid_owns_file(void *data, struct file *file)
{
	return vfio_file_is_of_device(file, data);
}

#ifdef VFIO_MEMORY_WATCH
/**
 * struct vfio_ioasid_watch - a watch over memory of a device
 * @base: the watch
 * @device: the device, until @closed is set
 * @region: is told of changes
 * @lock: protects @closed, which keeps @device
 * @closed: the device was closed, and knows the watch no more
 */
struct vfio_ioasid_watch {
	struct vfio_memory_watch base;
	struct vfio_device *device;
	struct ioasid_region *region;
	spinlock_t lock;		/* see above */
	bool closed;
};

static void vfio_ioasid_memory_changed(struct vfio_memory_watch *base,
				       enum vfio_memory_change change)
{
	struct vfio_ioasid_watch *watch =
		container_of(base, struct vfio_ioasid_watch, base);
	struct ioasid_region *region = watch->region;

	if (change == VFIO_MEMORY_BACK) {
		region->back(region);
		return;
	}
	region->gone(region, change == VFIO_MEMORY_CLOSED);
	if (change != VFIO_MEMORY_CLOSED)
		return;
	/* vfio_ioasid_unwatch() may free it as soon as the lock is dropped */
	spin_lock(&watch->lock);
	watch->closed = true;
	spin_unlock(&watch->lock);
}

static int vfio_ioasid_watch(void *data, u64 offset, u64 length,
			     struct ioasid_region *region)
{
	struct vfio_device *device = data;
	struct vfio_ioasid_watch *watch;
	int ret;

	if (!device->ops->watch_memory)
		return -EOPNOTSUPP;
	watch = kzalloc(sizeof(*watch), GFP_KERNEL_ACCOUNT);
	if (!watch)
		return -ENOMEM;
	watch->device = device;
	watch->region = region;
	watch->base.change = vfio_ioasid_memory_changed;
	spin_lock_init(&watch->lock);
	ret = device->ops->watch_memory(device, offset, length, &watch->base);
	if (ret) {
		kfree(watch);
		return ret;
	}
	region->phys = watch->base.phys;
	region->priv = watch;
	return 0;
}

static void vfio_ioasid_unwatch(struct ioasid_region *region)
{
	struct vfio_ioasid_watch *watch = region->priv;
	struct vfio_device *device = NULL;
	struct module *driver;

	/* An open device has its driver, which waits for references to it */
	spin_lock(&watch->lock);
	if (!watch->closed) {
		device = watch->device;
		driver = device->dev->driver->owner;
		get_device(&device->device);
		__module_get(driver);
	}
	spin_unlock(&watch->lock);
	if (device) {
		device->ops->unwatch_memory(device, &watch->base);
		put_device(&device->device);
		module_put(driver);
	}
	kfree(watch);
}
#endif

static const struct ioasid_device_ops vfio_ioasid_device_ops = {
	.owns_file = vfio_ioasid_owns_file,
#ifdef VFIO_MEMORY_WATCH
	.watch = vfio_ioasid_watch,
	.unwatch = vfio_ioasid_unwatch,
	.owner = THIS_MODULE,
#endif
};

/*
 * Look up the IOASID before the device is touched; attach when the device is
 * open and resumed.  Without a bind command the context is used as a container,
 * and vfio_ioasid_compat_attach() attaches.
 */
static int vfio_ioasid_bind(struct vfio_device_file *df, void *arg)
{
	const struct ioasid_device_bind *bind = arg;
	struct vfio_device *device = df->device;
	u64 cookie = bind ? bind->cookie : 0;
	struct vfio_ioasid_bond *bond;
	struct ioasid_device *idev;

	lockdep_assert_held(&device->dev_set->lock);

	if (vfio_device_is_noiommu(device))
		return -EOPNOTSUPP;
	if (bind && bind->ioasid &&
	    !ioasid_exists(df->iommu.ctx, bind->ioasid))
		return -ENOENT;

	bond = kzalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);
	if (!bond)
		return -ENOMEM;
	mutex_init(&bond->lock);

	if (device->emulated)
		idev = ioasid_bind_access(df->iommu.ctx, device->dev,
					  &vfio_ioasid_access_ops, device,
					  cookie);
	else
		idev = ioasid_bind_device(df->iommu.ctx, device->dev,
					  &vfio_ioasid_device_ops, device,
					  cookie);
	if (IS_ERR(idev)) {
		kfree(bond);
		return PTR_ERR(idev);
	}

	bond->idev = idev;
	device->iommu_data = bond;
	df->devid = ioasid_device_id(idev);
	return 0;
}

static void vfio_ioasid_unbind(struct vfio_device *device)
{
	struct vfio_ioasid_bond *bond = device->iommu_data;

	lockdep_assert_held(&device->dev_set->lock);

	/* May ask the driver to unpin, which it does through the bond */
	ioasid_unbind(bond->idev);
	device->iommu_data = NULL;
	mutex_destroy(&bond->lock);
	kfree(bond);
}

static int vfio_ioasid_attach(struct vfio_device *device, u32 ioasid,
			      u64 *fault_addr)
{
	struct vfio_ioasid_bond *bond = device->iommu_data;
	int ret;

	ret = mutex_lock_killable(&bond->lock);
	if (ret)
		return ret;
	ret = ioasid_attach(bond->idev, ioasid, fault_addr);
	mutex_unlock(&bond->lock);
	return ret;
}

/* VFIO_GROUP_GET_DEVICE_FD, if the context is used as a container */
static int vfio_ioasid_compat_attach(struct vfio_device *device, void *ctx)
{
	return ioasid_container_attach(vfio_ioasid_idev(device));
}

static long vfio_ioasid_bind_ioctl(struct vfio_device_file *df,
				   void __user *arg)
{
	struct ioasid_device_bind bind;
	u64 fault_addr = 0;
	int ret;

	ret = ioasid_bind_from_user(arg, &bind);
	if (ret)
		return ret;

	ret = vfio_df_bind_begin(df, VFIO_BACKEND_IOASID, bind.ioasid_fd,
				 &bind);
	if (ret == -EALREADY)
		return -EBUSY;
	if (ret == -EBADFD)
		return -EBADF;
	if (ret)
		return ret;

	if (bind.ioasid)
		ret = vfio_ioasid_attach(df->device, bind.ioasid, &fault_addr);
	/* The file cannot be used before the id was written to user space */
	if (!ret)
		ret = ioasid_bind_to_user(arg, df->devid);
	if (ret) {
		vfio_df_bind_abort(df);
		if (ret == -EADDRINUSE)
			ioasid_bind_fault_to_user(arg, fault_addr);
		return ret;
	}
	vfio_df_bind_commit(df);
	return 0;
}

static long vfio_ioasid_ioctl(struct vfio_device_file *df, unsigned int cmd,
			      void __user *arg)
{
	struct vfio_ioasid_bond *bond = df->device->iommu_data;

	switch (cmd) {
	case VFIO_DEVICE_ATTACH_IOASID:
		return ioasid_attach_ioctl(bond->idev, arg, &bond->lock);
	case VFIO_DEVICE_DETACH_IOASID:
		return ioasid_detach_ioctl(bond->idev, arg, &bond->lock);
	case IOASID_DEVICE_GET_ID:
		return ioasid_device_id_ioctl(bond->idev, arg);
	default:
		return -ENOIOCTLCMD;
	}
}

static int vfio_ioasid_pin_pages(struct vfio_device *device, dma_addr_t iova,
				 int npage, int prot, struct page **pages)
{
	unsigned int flags = prot & IOMMU_WRITE ? IOASID_ACCESS_WRITE : 0;
	int ret;

	if (!device->emulated || npage < 0)
		return -EINVAL;

	/* As in VFIO, the pages start with the page of @iova. */
	ret = ioasid_access_pin_pages(vfio_ioasid_idev(device),
				      ALIGN_DOWN(iova, PAGE_SIZE), npage,
				      flags, pages);
	return ret ?: npage;
}

static void vfio_ioasid_unpin_pages(struct vfio_device *device,
				    dma_addr_t iova, int npage)
{
	if (!device->emulated || npage <= 0)
		return;

	ioasid_access_unpin_pages(vfio_ioasid_idev(device),
				  ALIGN_DOWN(iova, PAGE_SIZE), npage);
}

static int vfio_ioasid_dma_rw(struct vfio_device *device, dma_addr_t iova,
			      void *data, size_t len, bool write)
{
	if (!device->emulated)
		return -EINVAL;

	return ioasid_access_rw(vfio_ioasid_idev(device), iova, data, len,
				write ? IOASID_ACCESS_WRITE :
					IOASID_ACCESS_READ);
}

static const struct vfio_iommu_backend vfio_ioasid_backend = {
	.owner		= THIS_MODULE,
	.id		= VFIO_BACKEND_IOASID,
	.ctx_from_file	= vfio_ioasid_ctx_from_file,
	.ctx_get	= vfio_ioasid_ctx_get,
	.ctx_put	= vfio_ioasid_ctx_put,
	.ctx_has_group	= vfio_ioasid_ctx_has_group,
	.set_group	= vfio_ioasid_set_group,
	.unset_group	= vfio_ioasid_unset_group,
	.needs_bind	= vfio_ioasid_needs_bind,
	.compat_attach	= vfio_ioasid_compat_attach,
	.bind_ioctl	= vfio_ioasid_bind_ioctl,
	.bind		= vfio_ioasid_bind,
	.unbind		= vfio_ioasid_unbind,
	.ioctl		= vfio_ioasid_ioctl,
	.pin_pages	= vfio_ioasid_pin_pages,
	.unpin_pages	= vfio_ioasid_unpin_pages,
	.dma_rw		= vfio_ioasid_dma_rw,
};

static int __init vfio_ioasid_init(void)
{
	return vfio_register_iommu_backend(&vfio_ioasid_backend);
}
module_init(vfio_ioasid_init);

static void __exit vfio_ioasid_exit(void)
{
	vfio_unregister_iommu_backend(&vfio_ioasid_backend);
}
module_exit(vfio_ioasid_exit);

MODULE_ALIAS("vfio-backend-ioasid");
MODULE_DESCRIPTION("VFIO support for /dev/ioasid");
MODULE_LICENSE("GPL");
