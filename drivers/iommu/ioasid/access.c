// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated devices: a kernel driver does DMA on their behalf.  It pins pages of
 * an IOASID, or copies from and to it.
 *
 * Invariants:
 *  - A page that a driver pinned stays usable until the driver unpins it: an
 *    unmap calls the driver's unmap callback, and waits for the unpin.
 *  - A device that is detached has no pins.
 *
 * Waits: an attach, a detach and an unbind wait until all threads have returned
 * from the driver's unmap callback.
 *
 * Locks: access_sem keeps a device attached to its IOASID while the driver
 * pins, unpins or copies.  The driver's unmap callback is called without
 * access_sem: it may wait for a thread of the driver that takes access_sem.
 */
#include <linux/export.h>
#include <linux/overflow.h>

#include <trace/events/ioasid.h>

#include "attach.h"
#include "kind_map.h"

static void access_unmap(struct ioas_access *access, u64 start, u64 last)
{
	struct ioasid_device *idev =
		container_of(access, struct ioasid_attachment, access)->device;

	if (idev->access_ops && idev->access_ops->unmap)
		idev->access_ops->unmap(idev->access_data, start,
					last - start + 1);
}

static void publish_access(struct ioasid_device *idev,
			   const struct ioasid_access_ops *ops, void *data)
{
	idev->access_ops = ops;
	idev->access_data = data;
	ioasid_object_publish(&idev->obj);
	trace_ioasid_bind(idev->obj.id, idev->cookie, ioasid_device_name(idev));
}

/**
 * ioasid_bind_access() - bind an emulated device to a context
 * @ctx: the context; referenced until ioasid_unbind()
 * @dev: the device, for its name
 * @ops: the driver's callbacks; may be NULL for a device that never pins
 * @data: passed to @ops
 * @cookie: any number that user space chose
 *
 * Context: may sleep.
 * Return: the bound device, or an ERR_PTR:
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
struct ioasid_device *
ioasid_bind_access(struct ioasid_ctx *ctx, struct device *dev,
		   const struct ioasid_access_ops *ops, void *data, u64 cookie)
{
	struct ioasid_device *idev;

	idev = ioasid_device_alloc(ctx, dev, cookie);
	if (IS_ERR(idev))
		return idev;
	publish_access(idev, ops, data);
	return idev;
}
EXPORT_SYMBOL_GPL(ioasid_bind_access);

/**
 * ioasid_bind_group_access() - bind the iommu group of an emulated device
 * @ctx: the context; referenced until ioasid_unbind()
 * @iommu_group: the group, for the name of its device
 * @ops: as for ioasid_bind_access()
 * @data: passed to @ops
 * @cookie: any number that user space chose
 *
 * Context: may sleep.
 * Return: as ioasid_bind_access(), or -ENODEV, the group has no device.
 */
struct ioasid_device *
ioasid_bind_group_access(struct ioasid_ctx *ctx,
			 struct iommu_group *iommu_group,
			 const struct ioasid_access_ops *ops, void *data,
			 u64 cookie)
{
	struct ioasid_device *idev;

	idev = ioasid_group_device_alloc(ctx, iommu_group, cookie);
	if (!IS_ERR(idev))
		publish_access(idev, ops, data);
	return idev;
}
EXPORT_SYMBOL_GPL(ioasid_bind_group_access);

static void set_route(struct ioasid_device *idev,
		      struct ioasid_attachment *attachment)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;

	down_write(&idev->access_sem);
	spin_lock(&ctx->routes_lock);
	ioasid_device_route(idev, attachment);
	spin_unlock(&ctx->routes_lock);
	up_write(&idev->access_sem);
}

/* Detach a device; if @next is not NULL, attach it there */
static void leave(struct ioasid_device *idev, struct ioasid_attachment *next)
{
	struct ioasid_attachment *attachment = ioasid_device_rid(idev);
	struct ioas *ioas = attachment->ioas;
	struct ioasid_ctx *ctx = idev->obj.ctx;

	/* From here on the driver can unpin, but not pin */
	down_write(&idev->access_sem);
	spin_lock(&ctx->routes_lock);
	attachment->leaving = true;
	spin_unlock(&ctx->routes_lock);
	up_write(&idev->access_sem);

	ioas_unpin_all(ioas, &attachment->access);
	ioas_access_remove(ioas, &attachment->access);
	if (next)
		ioas_access_add(next->ioas, &next->access);
	set_route(idev, next);

	ioas_release(ioas, attachment->devices);
	ioasid_attachment_free(attachment);
}

/**
 * ioasid_access_attach() - attach an emulated device
 * @idev: the device
 * @ioasid: the IOASID
 *
 * A device that is attached to another IOASID is detached from it first.
 *
 * Context: may sleep.
 * Return: 0;
 * -ENOENT, @ioasid is being freed;
 * -EIO, @ioasid is poisoned;
 * -EOPNOTSUPP, @ioasid is no address space;
 * -EMEDIUMTYPE, its memory is pinned on demand, and the device requests no page;
 * -ENOMEM.
 */
int ioasid_access_attach(struct ioasid_device *idev, struct ioasid *ioasid)
{
	struct ioasid_attachment *attachment, *old = ioasid_device_rid(idev);
	struct ioas *ioas = ioasid_ioas(ioasid);
	int ret;

	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	if (old && old->ioasid == ioasid)
		return 0;
	if (unlikely(ioas->demand))
		return -EMEDIUMTYPE;
	ret = ioas_hold(ioas, 1);
	if (ret)
		return ret;
	/* Before the detach: afterwards the attach must not fail */
	ret = ioas_holds_init(ioas);
	if (ret)
		goto err_release;
	ret = -ENOMEM;
	if (xa_reserve(&idev->attachments, IOMMU_NO_PASID, GFP_KERNEL_ACCOUNT))
		goto err_release;
	attachment = ioasid_attachment_alloc(idev, ioasid, IOMMU_NO_PASID);
	if (!attachment)
		goto err_place;
	attachment->devices = 1;
	attachment->ioas = ioas;
	attachment->access.unmap = access_unmap;

	if (old) {
		leave(idev, attachment);
		return 0;
	}
	ioas_access_add(ioas, &attachment->access);
	set_route(idev, attachment);
	return 0;

err_place:
	/* Only if the device is not attached */
	xa_release(&idev->attachments, IOMMU_NO_PASID);
err_release:
	ioas_release(ioas, 1);
	return ret;
}

/**
 * ioasid_access_detach() - detach an emulated device
 * @idev: the device
 * @id: the IOASID that the device is attached to, or 0 for any
 *
 * Context: may sleep.
 * Return: 0; -ENOENT, the device is not attached to it.
 */
int ioasid_access_detach(struct ioasid_device *idev, u32 id)
{
	struct ioasid_attachment *attachment = ioasid_device_rid(idev);

	if (!attachment || (id && attachment->ioasid->obj.id != id))
		return -ENOENT;
	leave(idev, NULL);
	return 0;
}

/* True if [iova, iova + length) is not empty and does not overflow */
static bool range_ok(u64 iova, u64 length)
{
	u64 last;

	return length && !check_add_overflow(iova, length - 1, &last);
}

/**
 * ioasid_access_pin_pages() - pin pages for an emulated device
 * @idev: the device
 * @iova: first byte, page aligned
 * @npages: how many pages
 * @flags: IOASID_ACCESS_WRITE if the device will write
 * @pages: out, the pages; usable until ioasid_access_unpin_pages()
 *
 * Context: may sleep; not from the unmap callback.
 * Return: 0; on failure no page is pinned:
 * -EINVAL, the device is not attached, or the range is malformed;
 * -ENOENT, part of the range is not mapped;
 * -EPERM, part of the range is mapped without this permission;
 * -ENOMEM.
 */
int ioasid_access_pin_pages(struct ioasid_device *idev, u64 iova,
			    unsigned long npages, unsigned int flags,
			    struct page **pages)
{
	struct ioasid_attachment *rid;
	int ret = -EINVAL;

	if (!PAGE_ALIGNED(iova) || npages > (ULONG_MAX >> PAGE_SHIFT) ||
	    !range_ok(iova, (u64)npages << PAGE_SHIFT) ||
	    flags & ~IOASID_ACCESS_WRITE)
		return -EINVAL;
	/* Without a callback no unmap could ever have the pages unpinned */
	if (!idev->access_ops || !idev->access_ops->unmap)
		return -EINVAL;
	lock_map_acquire(&ioas_driver_map);
	down_read(&idev->access_sem);
	rid = ioasid_device_rid(idev);
	if (rid && !rid->leaving)
		ret = ioas_pin_pages(rid->ioas, iova, npages,
				     flags & IOASID_ACCESS_WRITE, pages);
	up_read(&idev->access_sem);
	lock_map_release(&ioas_driver_map);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_access_pin_pages);

/**
 * ioasid_access_unpin_pages() - unpin pages of an emulated device
 * @idev: the device
 * @iova: first byte, page aligned
 * @npages: how many pages; pages that are not pinned are skipped
 *
 * Context: may sleep; the unmap callback may call it.
 */
void ioasid_access_unpin_pages(struct ioasid_device *idev, u64 iova,
			       unsigned long npages)
{
	struct ioasid_attachment *rid;

	if (!PAGE_ALIGNED(iova) || npages > (ULONG_MAX >> PAGE_SHIFT) ||
	    !range_ok(iova, (u64)npages << PAGE_SHIFT))
		return;
	down_read(&idev->access_sem);
	rid = ioasid_device_rid(idev);
	if (rid)
		ioas_unpin_pages(rid->ioas, iova, npages);
	up_read(&idev->access_sem);
}
EXPORT_SYMBOL_GPL(ioasid_access_unpin_pages);

/**
 * ioasid_access_rw() - read or write as an emulated device
 * @idev: the device
 * @iova: first byte, of any alignment
 * @data: kernel memory
 * @length: bytes
 * @flags: IOASID_ACCESS_WRITE to write to the IOVA
 *
 * Context: may sleep; any thread may call it, kernel threads too.
 * Return: 0; on failure part of @data may have been copied:
 * -EINVAL, the device is not attached, or the range is malformed;
 * -ENOENT, part of the range is not mapped;
 * -EPERM, part of the range is mapped without this permission.
 */
int ioasid_access_rw(struct ioasid_device *idev, u64 iova, void *data,
		     size_t length, unsigned int flags)
{
	struct ioasid_attachment *rid;
	int ret = -EINVAL;

	if (!range_ok(iova, length) || flags & ~IOASID_ACCESS_WRITE)
		return -EINVAL;
	down_read(&idev->access_sem);
	rid = ioasid_device_rid(idev);
	if (rid && !rid->leaving)
		ret = ioas_rw(rid->ioas, iova, data, length,
			      flags & IOASID_ACCESS_WRITE);
	up_read(&idev->access_sem);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_access_rw);
