// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front of /dev/ioasid in VFIO: binds VFIO devices to contexts of
 * /dev/ioasid, and hands them the commands of device files.
 *
 * Invariants
 *	A device file gives no access to its device before it is bound. Exactly
 *	one file has a device open.
 *
 *	From bind to unbind &vfio_device.iommu_data is the device's bond to the
 *	context: it is set before the driver's open_device() and goes after its
 *	close_device(). VFIO holds the context, and this module, for as long as
 *	a group, a device file or an open device refers to it.
 *
 * Locking
 *	All that changes the bond or its attachment runs under dev_set->lock,
 *	and so one at a time for each device. The paths of emulated devices
 *	that pin and access memory take no lock of VFIO's: VFIO calls them only
 *	while the device is open.
 *
 *	The locks of /dev/ioasid nest inside of dev_set->lock. An emulated
 *	device's driver is asked to unpin with one of them held, the space's
 *	domains_sem for reading, which keeps attaches and detaches of the IOASID
 *	waiting; and, when it is detached, with dev_set->lock.
 *
 *	User memory can take for ever to answer: it is read and written without
 *	dev_set->lock, which siblings of the device wait for. Only the id that
 *	a bind makes is written with it, since it must come before the file can
 *	be used.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/vfio.h>
#include <uapi/linux/ioasid.h>

#include "vfio.h"

static const struct vfio_iommu_backend vfio_ioasid_backend;

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

static int vfio_ioasid_set_group(void *ctx, bool noiommu)
{
	return noiommu ? -EOPNOTSUPP : 0;
}

static bool vfio_ioasid_needs_bind(void *ctx)
{
	return true;
}

/* The driver may never have pinned anything, and have no dma_unmap() then. */
static void vfio_ioasid_access_unmap(void *data, u64 iova, u64 length)
{
	struct vfio_device *device = data;

	if (device->ops->dma_unmap)
		device->ops->dma_unmap(device, iova, length);
}

static const struct ioasid_access_ops vfio_ioasid_access_ops = {
	.unmap = vfio_ioasid_access_unmap,
};

/* Memory can be mmap()ed only by the one file that is bound. */
static bool vfio_ioasid_owns_file(void *data, struct file *file)
{
	return vfio_file_is_of_device(file, data);
}

static const struct ioasid_device_ops vfio_ioasid_device_ops = {
	.owns_file = vfio_ioasid_owns_file,
};

/*
 * The attach that a bind command may ask for is done here, before the driver
 * opens and resets the device: when it fails nothing has happened to the device.
 */
static int vfio_ioasid_bind(struct vfio_device_file *df)
{
	struct ioasid_device_bind *bind = df->bind_arg;
	struct vfio_device *device = df->device;
	struct ioasid_device *idev;
	int ret;

	lockdep_assert_held(&device->dev_set->lock);

	if (vfio_device_is_noiommu(device))
		return -EOPNOTSUPP;

	if (device->emulated)
		idev = ioasid_bind_access(df->iommu.ctx, device->dev,
					  &vfio_ioasid_access_ops, device,
					  bind->cookie);
	else
		idev = ioasid_bind_device(df->iommu.ctx, device->dev,
					  &vfio_ioasid_device_ops, device,
					  bind->cookie);
	if (IS_ERR(idev))
		return PTR_ERR(idev);

	if (bind->ioasid) {
		ret = ioasid_attach(idev, bind->ioasid, &bind->fault_addr);
		if (ret) {
			ioasid_unbind(idev);
			return ret;
		}
	}

	device->iommu_data = idev;
	df->devid = ioasid_device_id(idev);
	return 0;
}

static void vfio_ioasid_unbind(struct vfio_device *device)
{
	lockdep_assert_held(&device->dev_set->lock);

	ioasid_unbind(device->iommu_data);
	device->iommu_data = NULL;
}

static long vfio_ioasid_bind_ioctl(struct vfio_device_file *df,
				   void __user *arg)
{
	struct vfio_iommu_ctx iommu = { .backend = &vfio_ioasid_backend };
	struct ioasid_device_bind bind;
	struct ioasid_ctx *ctx;
	int ret;

	ret = ioasid_bind_from_user(arg, &bind);
	if (ret)
		return ret;

	ctx = ioasid_ctx_from_fd(bind.ioasid_fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);

	iommu.ctx = ctx;
	ret = vfio_df_bind_begin(df, &iommu, &bind);
	if (ret) {
		if (ret == -EADDRINUSE)
			ioasid_bind_fault_to_user(arg, &bind);
		goto out_put;
	}

	/* Nobody can use the file before its user was told the id. */
	bind.devid = df->devid;
	ret = ioasid_bind_to_user(arg, &bind);
	if (ret)
		vfio_df_bind_abort(df);
	else
		vfio_df_bind_commit(df);

out_put:
	ioasid_ctx_put(ctx);
	return ret;
}

static long vfio_ioasid_attach_ioctl(struct vfio_device *device,
				     void __user *arg)
{
	struct ioasid_device_attach attach;
	u64 fault_addr = 0;
	int ret;

	ret = ioasid_attach_from_user(arg, &attach);
	if (ret)
		return ret;

	mutex_lock(&device->dev_set->lock);
	ret = ioasid_attach(device->iommu_data, attach.ioasid, &fault_addr);
	mutex_unlock(&device->dev_set->lock);

	if (ret == -EADDRINUSE && ioasid_attach_fault_to_user(arg, fault_addr))
		return -EFAULT;
	return ret;
}

static long vfio_ioasid_detach_ioctl(struct vfio_device *device,
				     void __user *arg)
{
	struct ioasid_device_detach detach;
	int ret;

	ret = ioasid_detach_from_user(arg, &detach);
	if (ret)
		return ret;

	mutex_lock(&device->dev_set->lock);
	ret = ioasid_detach(device->iommu_data, detach.ioasid);
	mutex_unlock(&device->dev_set->lock);
	return ret;
}

static long vfio_ioasid_ioctl(struct vfio_device_file *df, unsigned int cmd,
			      void __user *arg)
{
	switch (cmd) {
	case VFIO_DEVICE_ATTACH_IOASID:
		return vfio_ioasid_attach_ioctl(df->device, arg);
	case VFIO_DEVICE_DETACH_IOASID:
		return vfio_ioasid_detach_ioctl(df->device, arg);
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

	/* As VFIO has it, the pages are those from the page of @iova on. */
	ret = ioasid_access_pin_pages(device->iommu_data,
				      ALIGN_DOWN(iova, PAGE_SIZE), npage,
				      flags, pages);
	return ret ?: npage;
}

static void vfio_ioasid_unpin_pages(struct vfio_device *device,
				    dma_addr_t iova, int npage)
{
	if (!device->emulated || npage <= 0)
		return;

	ioasid_access_unpin_pages(device->iommu_data,
				  ALIGN_DOWN(iova, PAGE_SIZE), npage);
}

static int vfio_ioasid_dma_rw(struct vfio_device *device, dma_addr_t iova,
			      void *data, size_t len, bool write)
{
	if (!device->emulated)
		return -EINVAL;

	return ioasid_access_rw(device->iommu_data, iova, data, len,
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
	.needs_bind	= vfio_ioasid_needs_bind,
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
