// SPDX-License-Identifier: GPL-2.0-only
/*
 * What device frameworks call: attach, detach and unbind for devices of either
 * sort, and the commands of device files, which are the same for every
 * framework.
 *
 * Locks: none here.  A front calls for one device from one thread at a time.
 */
#include <linux/export.h>
#include <linux/ioasid.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>
#include <uapi/linux/ioasid.h>

#include "device.h"

/**
 * ioasid_device_ctx() - the context that a device is bound to
 * @idev: the device
 *
 * Return: the context, without a reference; there until ioasid_unbind().
 */
struct ioasid_ctx *ioasid_device_ctx(struct ioasid_device *idev)
{
	return idev->obj.ctx;
}
EXPORT_SYMBOL_GPL(ioasid_device_ctx);

/**
 * ioasid_device_id() - the id of a device
 * @idev: the device
 *
 * Return: its id in its context.
 */
u32 ioasid_device_id(struct ioasid_device *idev)
{
	return idev->obj.id;
}
EXPORT_SYMBOL_GPL(ioasid_device_id);

/**
 * ioasid_exists() - whether a context has an IOASID
 * @ctx: the context
 * @id: the IOASID
 *
 * For a front that fails early, before it touches the device.  It may be freed
 * at any time: the attach looks again.
 *
 * Return: whether it has.
 */
bool ioasid_exists(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid *ioasid = ioasid_get(ctx, id);

	if (!ioasid)
		return false;
	ioasid_put(ioasid);
	return true;
}
EXPORT_SYMBOL_GPL(ioasid_exists);

/**
 * ioasid_attach() - attach a device to an IOASID, or move it there
 * @idev: the device
 * @id: the IOASID, of the context that the device is bound to
 * @fault_addr: out on -EADDRINUSE, the first IOVA that is in the way
 *
 * Context: may sleep, for as long as it takes to fill a domain.
 * Return: 0; -ENOENT, no such IOASID; -EBUSY, the device's group is attached
 * elsewhere and it is not; -EADDRINUSE, memory is mapped where the device
 * cannot do DMA; -EMEDIUMTYPE, the device's IOMMU cannot serve this IOASID;
 * -EIO, the IOASID is poisoned; -ENOMEM; -EINTR; or what the IOMMU driver says.
 * The device is then where it was.
 */
int ioasid_attach(struct ioasid_device *idev, u32 id, u64 *fault_addr)
{
	struct ioasid *ioasid;
	int ret = -ENOENT;

	ioasid = ioasid_get(idev->obj.ctx, id);
	if (ioasid) {
		ret = idev->group ?
			      ioasid_group_attach(idev, ioasid, fault_addr) :
			      ioasid_access_attach(idev, ioasid);
		ioasid_put(ioasid);
	}
	trace_ioasid_attach(idev->obj.id, id, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_attach);

/**
 * ioasid_detach() - detach a device
 * @idev: the device
 * @id: the IOASID that it is attached to, or 0 for whichever
 *
 * Context: may sleep; needs no memory.
 * Return: 0; -ENOENT, it is not attached to it.
 */
int ioasid_detach(struct ioasid_device *idev, u32 id)
{
	int ret = idev->group ? ioasid_group_detach(idev, id) :
				ioasid_access_detach(idev, id);

	trace_ioasid_detach(idev->obj.id, id, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_detach);

/**
 * ioasid_unbind() - undo ioasid_bind_device() or ioasid_bind_access()
 * @idev: the device; is detached, and gone
 *
 * Context: may sleep; needs no memory, cannot fail.
 */
void ioasid_unbind(struct ioasid_device *idev)
{
	trace_ioasid_unbind(idev->obj.id, idev->cookie, dev_name(idev->dev));
	if (idev->group)
		ioasid_group_forget(idev);
	else
		ioasid_access_detach(idev, 0);
	ioasid_device_gone(idev);
}
EXPORT_SYMBOL_GPL(ioasid_unbind);

/* ---- The commands of device files ---- */

/*
 * Copy a structure in: @min is what its first release had.  Checks @argsz and
 * the unknown tail, and leaves flags to the caller.
 */
static int copy_arg(void *to, size_t size, size_t min, void __user *arg)
{
	u32 argsz;

	if (get_user(argsz, (u32 __user *)arg))
		return -EFAULT;
	if (argsz < min)
		return -EINVAL;
	if (argsz > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(to, size, arg, argsz);
}

/**
 * ioasid_bind_from_user() - copy the argument of a bind command in
 * @arg: user address
 * @bind: out
 *
 * Return: 0; -EFAULT; -EINVAL; -E2BIG; -EOPNOTSUPP, an unknown flag.
 */
int ioasid_bind_from_user(void __user *arg, struct ioasid_device_bind *bind)
{
	int ret = copy_arg(bind, sizeof(*bind), sizeof(*bind), arg);

	if (ret)
		return ret;
	if (bind->flags)
		return -EOPNOTSUPP;
	if (bind->__reserved)
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_GPL(ioasid_bind_from_user);

/**
 * ioasid_bind_to_user() - tell the id that a bind command made
 * @arg: user address
 * @devid: the id of the device
 *
 * Return: 0; -EFAULT.
 */
int ioasid_bind_to_user(void __user *arg, u32 devid)
{
	struct ioasid_device_bind __user *to = arg;

	return put_user(devid, &to->devid);
}
EXPORT_SYMBOL_GPL(ioasid_bind_to_user);

/**
 * ioasid_bind_fault_to_user() - tell where a bind command failed to attach
 * @arg: user address
 * @fault_addr: what ioasid_attach() said with -EADDRINUSE; copied as well as it
 *	can be
 */
void ioasid_bind_fault_to_user(void __user *arg, u64 fault_addr)
{
	struct ioasid_device_bind __user *to = arg;

	/* The command has failed already; there is no better errno to give */
	if (put_user(fault_addr, &to->fault_addr))
		return;
}
EXPORT_SYMBOL_GPL(ioasid_bind_fault_to_user);

/**
 * ioasid_attach_from_user() - copy the argument of an attach command in
 * @arg: user address
 * @attach: out
 *
 * Return: 0; -EFAULT; -EINVAL; -E2BIG; -EOPNOTSUPP, an unknown flag.
 */
int ioasid_attach_from_user(void __user *arg,
			    struct ioasid_device_attach *attach)
{
	int ret = copy_arg(attach, sizeof(*attach), sizeof(*attach), arg);

	if (ret)
		return ret;
	if (attach->flags)
		return -EOPNOTSUPP;
	if (attach->vpasid)
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_GPL(ioasid_attach_from_user);

/**
 * ioasid_attach_fault_to_user() - tell where an attach command failed
 * @arg: user address
 * @fault_addr: what ioasid_attach() said with -EADDRINUSE
 *
 * Return: 0; -EFAULT.
 */
int ioasid_attach_fault_to_user(void __user *arg, u64 fault_addr)
{
	struct ioasid_device_attach __user *to = arg;

	return put_user(fault_addr, &to->fault_addr);
}
EXPORT_SYMBOL_GPL(ioasid_attach_fault_to_user);

/**
 * ioasid_detach_from_user() - copy the argument of a detach command in
 * @arg: user address
 * @detach: out
 *
 * Return: 0; -EFAULT; -EINVAL; -E2BIG; -EOPNOTSUPP, an unknown flag.
 */
int ioasid_detach_from_user(void __user *arg,
			    struct ioasid_device_detach *detach)
{
	int ret = copy_arg(detach, sizeof(*detach), sizeof(*detach), arg);

	if (ret)
		return ret;
	if (detach->flags)
		return -EOPNOTSUPP;
	if (detach->vpasid)
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_GPL(ioasid_detach_from_user);
