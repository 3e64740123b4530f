// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions for device frameworks: attach, detach and unbind of physical and
 * emulated devices, and the commands of device files, which are the same for
 * every framework.
 *
 * Locks: none of its own.  A framework makes its calls for one device one at a time.
 * It passes the mutex by which it does that to the commands, which drop it to access
 * user memory.
 */
#include <linux/export.h>
#include <linux/ioasid.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>
#include <uapi/linux/ioasid.h>

#include "attach.h"

#define BY_PASID	(IOASID_ATTACH_PASID | IOASID_ATTACH_PASID_ANY)
#define ATTACH_FLAGS	(BY_PASID | IOASID_ATTACH_NEW | IOASID_ATTACH_HITLESS)
#define ASID_FLAGS	(IOASID_ATTACH_ASID | IOASID_ATTACH_NEW)

/**
 * ioasid_device_id() - get the id of a device
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
 * ioasid_exists() - check if a context has an IOASID
 * @ctx: the context
 * @id: the IOASID
 *
 * A framework can fail early by this, before it touches the device.  The IOASID
 * may be freed at any time: ioasid_attach() checks again.
 *
 * Context: may sleep.
 * Return: true if it has.
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

static int attach_to(struct ioasid_device *idev, struct ioasid *ioasid,
		     u32 vpasid, u32 flags, u64 *fault_addr)
{
	int ret = 0;

	if (idev->ops && idev->ops->may_attach)
		ret = idev->ops->may_attach(idev->data);
	if (ret)
		return ret;
	if (flags & BY_PASID || idev->numbers)
		return ioasid_pasid_attach(idev, ioasid, vpasid, flags,
					   fault_addr);
	if (idev->group)
		return ioasid_group_attach(idev, ioasid, fault_addr);
	return ioasid_access_attach(idev, ioasid);
}

/* Attach a device, or one of its PASIDs if @flags say so */
static int do_attach(struct ioasid_device *idev, u32 id, u32 vpasid, u32 flags,
		     u64 *fault_addr)
{
	struct ioasid *ioasid;
	int ret = -ENOENT;

	ioasid = ioasid_get(idev->obj.ctx, id);
	if (ioasid) {
		ret = attach_to(idev, ioasid, vpasid, flags, fault_addr);
		ioasid_put(ioasid);
	}
	trace_ioasid_attach(idev->obj.id, vpasid, id, ret);
	return ret;
}

/* Detach a device, or one of its PASIDs */
static int do_detach(struct ioasid_device *idev, u32 id, u32 vpasid)
{
	int ret;

	if (vpasid != IOMMU_NO_PASID || idev->numbers)
		ret = ioasid_pasid_detach(idev, id, vpasid);
	else if (idev->group)
		ret = ioasid_group_detach(idev, id);
	else
		ret = ioasid_access_detach(idev, id);
	trace_ioasid_detach(idev->obj.id, vpasid, id, ret);
	return ret;
}

/**
 * ioasid_attach() - attach a device to an IOASID, or move it there
 * @idev: the device
 * @id: the IOASID, of the context that the device is bound to
 * @fault_addr: out on -EADDRINUSE, the first mapped IOVA that @idev cannot use
 *
 * Context: may sleep, for as long as it takes to populate a domain.
 * Return: 0; on failure, but for -ENOTCONN, the device stays attached
 * where it was:
 * -ENOENT, @id does not exist in the context;
 * -EBUSY, the group is attached to another IOASID and @idev is not;
 * -EADDRINUSE, memory is mapped where @idev cannot do DMA;
 * -EMEDIUMTYPE, the IOMMU of @idev cannot serve this IOASID;
 * -EOPNOTSUPP, the IOASID has a table of user space, and the IOMMU of @idev
 * walks none; or @idev is emulated, and the IOASID maps nothing itself;
 * -EEXIST, -ENOSPC and -EDQUOT of a shared device: see ioasid_number_get();
 * -ENODEV, the group was bound as a whole and has no device;
 * -EIO, the IOASID is poisoned;
 * -ENOTCONN, the IOMMU driver attached the group neither to @id nor to
 * the IOASID where it was: all devices of the group are detached;
 * -EINTR, a fatal signal;
 * -ENOMEM;
 * or an error of the IOMMU driver, or of &ioasid_device_ops.may_attach.
 */
int ioasid_attach(struct ioasid_device *idev, u32 id, u64 *fault_addr)
{
	return do_attach(idev, id, IOMMU_NO_PASID, 0, fault_addr);
}
EXPORT_SYMBOL_GPL(ioasid_attach);

/**
 * ioasid_detach() - detach a device
 * @idev: the device
 * @id: the IOASID that the device is attached to, or 0 for any
 *
 * Context: may sleep; needs no memory.
 * Return: 0; -ENOENT, the device is not attached to it; -EINTR, a fatal signal.
 */
int ioasid_detach(struct ioasid_device *idev, u32 id)
{
	return do_detach(idev, id, IOMMU_NO_PASID);
}
EXPORT_SYMBOL_GPL(ioasid_detach);

/**
 * ioasid_device_pasid() - find the PASID that a device has on the wire
 * @idev: the device, bound by ioasid_bind_shared()
 * @vpasid: what user space calls it; IOMMU_NO_PASID, that of DMA without one
 * @pasid: out, the number
 *
 * The number is valid until @vpasid is detached.  The caller carries that command out,
 * and stops the device from using the number before.
 *
 * Context: any but interrupts.
 * Return: 0; -ENOENT, @vpasid is not attached, or no work by it has begun.
 */
int ioasid_device_pasid(struct ioasid_device *idev, u32 vpasid, u32 *pasid)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_attachment *attachment;
	int ret = -ENOENT;

	spin_lock(&ctx->routes_lock);
	attachment = xa_load(&idev->attachments, vpasid);
	if (attachment && !xa_is_value(attachment) &&
	    attachment->domain.pasid != IOMMU_PASID_INVALID) {
		*pasid = attachment->domain.pasid;
		ret = 0;
	}
	spin_unlock(&ctx->routes_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_device_pasid);

/**
 * ioasid_unbind() - undo the bind of a device or of a group
 * @idev: the device; detached first, and not valid afterwards
 *
 * Context: may sleep; needs no memory, cannot fail.
 */
void ioasid_unbind(struct ioasid_device *idev)
{
	trace_ioasid_unbind(idev->obj.id, idev->cookie,
			    ioasid_device_name(idev));
	if (idev->group) {
		/* The claim of the group must not end before its PASIDs */
		ioasid_pasid_forget(idev);
		ioasid_group_forget(idev);
	} else {
		ioasid_access_detach(idev, 0);
	}
	ioasid_device_gone(idev);
}
EXPORT_SYMBOL_GPL(ioasid_unbind);

/**
 * ioasid_is_attached() - test whether a device is attached without a PASID
 * @idev: the device; of one that translates by itself, its address space 0
 *
 * The framework calls for one device at a time: this does not change meanwhile.
 * But siblings in its group can detach it, by a move that fails.
 *
 * Context: any but interrupts.
 * Return: true if it is.
 */
bool ioasid_is_attached(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	bool attached;

	spin_lock(&ctx->routes_lock);
	attached = ioasid_device_rid(idev);
	spin_unlock(&ctx->routes_lock);
	return attached;
}
EXPORT_SYMBOL_GPL(ioasid_is_attached);

/* ---- Commands of device files ---- */

/**
 * ioasid_arg_from_user() - copy in the argument of a command
 * @to: out
 * @size: its size
 * @min: its size in the first release
 * @arg: user address
 *
 * Checks argsz and the unknown tail.  The caller checks flags.
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0;
 * -EFAULT, it cannot be read;
 * -EINVAL, its size is too small;
 * -E2BIG, its unknown tail is not 0.
 */
int ioasid_arg_from_user(void *to, size_t size, size_t min, void __user *arg)
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
EXPORT_SYMBOL_GPL(ioasid_arg_from_user);

/**
 * ioasid_bind_from_user() - copy in the argument of a bind command
 * @arg: user address
 * @bind: out
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0;
 * -EFAULT, it cannot be read;
 * -EINVAL, its size is too small, or a reserved field is not 0;
 * -E2BIG, its unknown tail is not 0;
 * -EOPNOTSUPP, an unknown flag.
 */
int ioasid_bind_from_user(void __user *arg, struct ioasid_device_bind *bind)
{
	int ret;

	ret = ioasid_arg_from_user(bind, sizeof(*bind), sizeof(*bind), arg);
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
 * ioasid_bind_to_user() - copy out the id of a bound device
 * @arg: user address
 * @devid: the id
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0; -EFAULT.
 */
int ioasid_bind_to_user(void __user *arg, u32 devid)
{
	struct ioasid_device_bind __user *to = arg;

	return put_user(devid, &to->devid);
}
EXPORT_SYMBOL_GPL(ioasid_bind_to_user);

/**
 * ioasid_bind_fault_to_user() - copy out the IOVA at which a bind failed
 * @arg: user address
 * @fault_addr: from ioasid_attach(), with -EADDRINUSE
 *
 * A failure to copy is ignored: the command fails with -EADDRINUSE anyway.
 *
 * Context: may sleep, for as long as a page fault takes.
 */
void ioasid_bind_fault_to_user(void __user *arg, u64 fault_addr)
{
	struct ioasid_device_bind __user *to = arg;

	/* The command keeps the errno that it failed with */
	if (put_user(fault_addr, &to->fault_addr))
		return;
}
EXPORT_SYMBOL_GPL(ioasid_bind_fault_to_user);

/* @named: a flag says that @asid is the number of an address space */
static int check_asid(const struct ioasid_device *idev, bool named, u32 asid)
{
	if (named)
		return asid < idev->nr_asids ? 0 : -EINVAL;
	return asid ? -EINVAL : 0;
}

static int attach_from_user(const struct ioasid_device *idev, void __user *arg,
			    struct ioasid_device_attach *attach)
{
	bool any, hitless;
	int ret;

	ret = ioasid_arg_from_user(attach, sizeof(*attach), sizeof(*attach), arg);
	if (ret)
		return ret;
	if (idev->nr_asids) {
		if (attach->flags & ~ASID_FLAGS)
			return -EOPNOTSUPP;
		return check_asid(idev, attach->flags & IOASID_ATTACH_ASID,
				  attach->vpasid);
	}
	if (attach->flags & ~ATTACH_FLAGS)
		return -EOPNOTSUPP;
	any = attach->flags & IOASID_ATTACH_PASID_ANY;
	hitless = attach->flags & IOASID_ATTACH_HITLESS;
	if (!(attach->flags & IOASID_ATTACH_PASID) != !attach->vpasid ||
	    (any && attach->flags & IOASID_ATTACH_PASID) ||
	    (hitless && (any || attach->flags & IOASID_ATTACH_NEW)))
		return -EINVAL;
	/* No driver tells if it blocks a requester id in between */
	if (hitless && !attach->vpasid)
		return -EOPNOTSUPP;
	return 0;
}

/* With IOASID_ATTACH_PASID_ANY, choose a PASID, and tell user space which one */
static int reserve_pasid(struct ioasid_device *idev,
			 struct ioasid_device_attach *attach,
			 struct ioasid_device_attach __user *to)
{
	int ret;

	if (!(attach->flags & IOASID_ATTACH_PASID_ANY))
		return 0;
	ret = ioasid_pasid_reserve(idev, &attach->vpasid);
	if (ret || !put_user(attach->vpasid, &to->vpasid))
		return ret;
	ioasid_pasid_unreserve(idev, attach->vpasid);
	return -EFAULT;
}

static int attach_command(struct ioasid_device *idev,
			  struct ioasid_device_attach *attach)
{
	/* By PASID, the attach sees for itself if it is new */
	if (!attach->vpasid && attach->flags & IOASID_ATTACH_NEW &&
	    ioasid_is_attached(idev))
		return -EEXIST;
	return do_attach(idev, attach->ioasid, attach->vpasid, attach->flags,
			 &attach->fault_addr);
}

/**
 * ioasid_attach_ioctl() - execute the attach command of a device file
 * @idev: the device
 * @arg: user address of a struct ioasid_device_attach
 * @lock: what serialises the calls for @idev, held during the attach itself, and
 *	not while user memory is accessed; NULL, the caller serialises all of it
 *
 * Context: may sleep, for as long as it takes to populate a domain, or as a page
 * fault takes.
 * Return: 0;
 * -EFAULT, @arg cannot be read or written;
 * -EINVAL, its size is too small, or the flags or the PASID do not fit together;
 * -E2BIG, its unknown tail is not 0;
 * -EOPNOTSUPP, an unknown flag;
 * -EINTR, a fatal signal;
 * or an error as of VFIO_DEVICE_ATTACH_IOASID.
 */
int ioasid_attach_ioctl(struct ioasid_device *idev, void __user *arg,
			struct mutex *lock)
{
	struct ioasid_device_attach __user *to = arg;
	struct ioasid_device_attach attach;
	int ret;

	ret = attach_from_user(idev, arg, &attach);
	if (ret)
		return ret;
	ret = reserve_pasid(idev, &attach, to);
	if (ret)
		return ret;
	ret = lock ? mutex_lock_killable(lock) : 0;
	if (!ret) {
		ret = attach_command(idev, &attach);
		if (lock)
			mutex_unlock(lock);
	}
	if (ret && attach.flags & IOASID_ATTACH_PASID_ANY)
		ioasid_pasid_unreserve(idev, attach.vpasid);
	if (ret == -EADDRINUSE && put_user(attach.fault_addr, &to->fault_addr))
		return -EFAULT;
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_attach_ioctl);

static int detach_from_user(const struct ioasid_device *idev, void __user *arg,
			    struct ioasid_device_detach *detach)
{
	int ret;

	ret = ioasid_arg_from_user(detach, sizeof(*detach), sizeof(*detach), arg);
	if (ret)
		return ret;
	if (idev->nr_asids) {
		if (detach->flags & ~IOASID_DETACH_ASID)
			return -EOPNOTSUPP;
		return check_asid(idev, detach->flags, detach->vpasid);
	}
	if (detach->flags & ~IOASID_DETACH_PASID)
		return -EOPNOTSUPP;
	if (!detach->flags != !detach->vpasid)
		return -EINVAL;
	return 0;
}

/**
 * ioasid_detach_ioctl() - execute the detach command of a device file
 * @idev: the device
 * @arg: user address of a struct ioasid_device_detach
 * @lock: as of ioasid_attach_ioctl()
 *
 * Context: may sleep, for as long as a page fault takes; needs no memory.
 * Return: 0; -EFAULT, -EINVAL, -E2BIG, -EOPNOTSUPP or -EINTR as of
 * ioasid_attach_ioctl(); or an error as of VFIO_DEVICE_DETACH_IOASID.
 */
int ioasid_detach_ioctl(struct ioasid_device *idev, void __user *arg,
			struct mutex *lock)
{
	struct ioasid_device_detach detach;
	int ret;

	ret = detach_from_user(idev, arg, &detach);
	if (ret)
		return ret;
	if (lock && mutex_lock_killable(lock))
		return -EINTR;
	ret = do_detach(idev, detach.ioasid, detach.vpasid);
	if (lock)
		mutex_unlock(lock);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_detach_ioctl);
