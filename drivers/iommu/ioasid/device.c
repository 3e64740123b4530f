// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices bound to a context, and the iommu groups they are in.
 *
 * Invariants:
 *  - From its first bind to its last unbind a group is owned by the context and
 *    never on its default domain: the DMA of its devices is blocked, or goes
 *    through an IOASID of the context.
 *  - A bound device holds its context.  Who bound it sees to it that the struct
 *    device stays; whoever else looks at it does so under ioasid_device.lock.
 *
 * Locks: ioasid_ctx.lock, ioasid_group.lock, then those of a space;
 * ioasid_ctx.routes_lock is a leaf.
 */
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include <trace/events/ioasid.h>

#include "../iommu-priv.h"
#include "device.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Bind devices whose IOMMU does not isolate message signalled interrupts. A user who drives such a device can send interrupts to the host.");

/* ---- Objects ---- */

/**
 * ioasid_device_get() - look a device up
 * @ctx: the context
 * @id: its id
 *
 * Return: the device with a reference, or NULL.
 */
struct ioasid_device *ioasid_device_get(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid_object *obj = ioasid_object_get(ctx, id,
						      IOASID_OBJECT_DEVICE);

	return obj ? container_of(obj, struct ioasid_device, obj) : NULL;
}

/**
 * ioasid_device_put() - drop a reference to a device
 * @idev: the device
 */
void ioasid_device_put(struct ioasid_device *idev)
{
	if (refcount_dec_and_test(&idev->obj.users))
		kfree_rcu(idev, rcu);
}

/**
 * ioasid_device_alloc() - make a device object
 * @ctx: the context, which it takes a reference to
 * @dev: the device
 * @cookie: the user's
 *
 * Return: the object with its id, not published, or an ERR_PTR: -ENOSPC;
 * -ENOMEM.
 */
struct ioasid_device *ioasid_device_alloc(struct ioasid_ctx *ctx,
					  struct device *dev, u64 cookie)
{
	struct ioasid_device *idev;
	int ret;

	idev = kzalloc(sizeof(*idev), GFP_KERNEL_ACCOUNT);
	if (!idev)
		return ERR_PTR(-ENOMEM);
	idev->dev = dev;
	idev->cookie = cookie;
	INIT_LIST_HEAD(&idev->node);
	mutex_init(&idev->lock);
	init_rwsem(&idev->access_sem);
	ret = ioasid_object_reserve(ctx, &idev->obj, IOASID_OBJECT_DEVICE);
	if (ret) {
		kfree(idev);
		return ERR_PTR(ret);
	}
	ioasid_ctx_get(ctx);
	return idev;
}

/**
 * ioasid_device_gone() - undo ioasid_device_alloc(), published or not
 * @idev: the device, attached to nothing; gone
 *
 * Waits for who looks at the device.
 */
void ioasid_device_gone(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;

	mutex_lock(&idev->lock);
	idev->gone = true;
	mutex_unlock(&idev->lock);
	/* After @gone, so that nobody looks at a group that goes */
	if (idev->group)
		ioasid_group_unbind(idev);
	xa_erase(&ctx->objects, idev->obj.id);
	if (refcount_read(&idev->obj.users))
		ioasid_device_put(idev);
	else
		kfree_rcu(idev, rcu);
	ioasid_ctx_put(ctx);
}

/* ---- Groups ---- */

static struct ioasid_group *find_group(struct ioasid_ctx *ctx,
				       struct iommu_group *iommu_group)
{
	struct ioasid_group *group;

	lockdep_assert_held(&ctx->lock);
	list_for_each_entry(group, &ctx->groups, node)
		if (group->group == iommu_group)
			return group;
	return NULL;
}

/* The caller's reference to @iommu_group is taken over */
static struct ioasid_group *group_get(struct ioasid_ctx *ctx,
				      struct iommu_group *iommu_group)
{
	struct ioasid_group *group = find_group(ctx, iommu_group);

	if (!group) {
		group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
		if (!group)
			return NULL;
		group->group = iommu_group;
		mutex_init(&group->lock);
		INIT_LIST_HEAD(&group->devices);
		list_add_tail(&group->node, &ctx->groups);
	} else {
		iommu_group_put(iommu_group);
	}
	group->bound++;
	return group;
}

static void group_put(struct ioasid_ctx *ctx, struct ioasid_group *group)
{
	lockdep_assert_held(&ctx->lock);
	if (--group->bound)
		return;
	list_del(&group->node);
	iommu_group_put(group->group);
	mutex_destroy(&group->lock);
	kfree(group);
}

/**
 * ioasid_ctx_has_group() - is a device of a group bound to a context
 * @ctx: the context
 * @iommu_group: the group
 *
 * Context: may sleep.
 * Return: whether one is: then nobody else can drive the group's devices.
 */
bool ioasid_ctx_has_group(struct ioasid_ctx *ctx,
			  struct iommu_group *iommu_group)
{
	bool has;

	mutex_lock(&ctx->lock);
	has = iommu_group && find_group(ctx, iommu_group);
	mutex_unlock(&ctx->lock);
	return has;
}
EXPORT_SYMBOL_GPL(ioasid_ctx_has_group);

/**
 * ioasid_ctx_owns_file() - is a file that of a device bound to a context
 * @ctx: the context
 * @file: any file
 *
 * Context: may sleep.
 * Return: whether it is.
 */
bool ioasid_ctx_owns_file(struct ioasid_ctx *ctx, struct file *file)
{
	struct ioasid_group *group;
	struct ioasid_device *idev;
	bool owns = false;

	mutex_lock(&ctx->lock);
	spin_lock(&ctx->routes_lock);
	list_for_each_entry(group, &ctx->groups, node)
		list_for_each_entry(idev, &group->devices, node)
			owns |= idev->ops &&
				idev->ops->owns_file(idev->data, file);
	spin_unlock(&ctx->routes_lock);
	mutex_unlock(&ctx->lock);
	return owns;
}

static int check_device(struct device *dev, struct iommu_group *iommu_group)
{
	/* A device whose DMA is not coherent would need caches flushed */
	if (!device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY))
		return -EOPNOTSUPP;
	if (iommu_group_has_isolated_msi(iommu_group))
		return 0;
	if (!READ_ONCE(allow_unsafe_interrupts))
		return -EPERM;
	dev_warn_ratelimited(dev,
			     "ioasid: bound without interrupt isolation: its user can send interrupts to the host\n");
	return 0;
}

/**
 * ioasid_bind_device() - bind a device to a context
 * @ctx: the context; referenced until ioasid_unbind()
 * @dev: the device; the caller drives it, and keeps it until ioasid_unbind()
 * @ops: what the caller knows of the device, or NULL
 * @data: for @ops
 * @cookie: the user's
 *
 * The whole group is claimed for the context, and blocked.
 *
 * Context: may sleep.
 * Return: the binding, or an ERR_PTR: -EOPNOTSUPP, no IOMMU, or DMA is not
 * coherent; -EPERM, no isolated interrupts; -EBUSY, the group is in use by a
 * kernel driver or another owner; -ENOSPC; -ENOMEM; or what the IOMMU driver
 * says when it cannot block the group.
 */
struct ioasid_device *ioasid_bind_device(struct ioasid_ctx *ctx,
					 struct device *dev,
					 const struct ioasid_device_ops *ops,
					 void *data, u64 cookie)
{
	struct iommu_group *iommu_group;
	struct ioasid_group *group;
	struct ioasid_device *idev;
	int ret;

	iommu_group = iommu_group_get(dev);
	if (!iommu_group || !dev->iommu || !dev->iommu->iommu_dev) {
		iommu_group_put(iommu_group);
		return ERR_PTR(-EOPNOTSUPP);
	}
	ret = check_device(dev, iommu_group);
	if (ret)
		goto err_iommu_group;
	idev = ioasid_device_alloc(ctx, dev, cookie);
	if (IS_ERR(idev)) {
		ret = PTR_ERR(idev);
		goto err_iommu_group;
	}

	mutex_lock(&ctx->lock);
	ret = iommu_device_claim_dma_owner(dev, ctx);
	if (ret) {
		/* Some owner, or some domain, is there already */
		if (ret == -EPERM)
			ret = -EBUSY;
		goto err_unlock;
	}
	group = group_get(ctx, iommu_group);
	if (!group) {
		ret = -ENOMEM;
		goto err_owner;
	}

	mutex_unlock(&ctx->lock);

	/* Not under ctx->lock: an attach may hold the group for long */
	mutex_lock(&group->lock);
	idev->group = group;
	idev->ops = ops;
	idev->data = data;
	spin_lock(&ctx->routes_lock);
	list_add_tail(&idev->node, &group->devices);
	spin_unlock(&ctx->routes_lock);
	mutex_unlock(&group->lock);

	ioasid_object_publish(&idev->obj);
	trace_ioasid_bind(idev->obj.id, cookie, dev_name(dev));
	return idev;

err_owner:
	iommu_device_release_dma_owner(dev);
err_unlock:
	mutex_unlock(&ctx->lock);
	ioasid_device_gone(idev);
err_iommu_group:
	iommu_group_put(iommu_group);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(ioasid_bind_device);

/**
 * ioasid_group_unbind() - give up a device's group
 * @idev: the device, not emulated, after ioasid_group_forget()
 */
void ioasid_group_unbind(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_group *group = idev->group;

	mutex_lock(&ctx->lock);
	iommu_device_release_dma_owner(idev->dev);
	group_put(ctx, group);
	mutex_unlock(&ctx->lock);
}

/* ---- Look ---- */

/**
 * ioasid_device_attached_to() - what a device is attached to
 * @idev: the device
 *
 * Return: the id of the IOASID, or 0.
 */
u32 ioasid_device_attached_to(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	u32 id = 0;

	spin_lock(&ctx->routes_lock);
	if (idev->attached)
		id = idev->group ? idev->group->ioasid->obj.id :
				   idev->access->obj.id;
	spin_unlock(&ctx->routes_lock);
	return id;
}

static struct ioas_ranges *whole_space(void)
{
	struct ioas_ranges *ranges;

	ranges = kzalloc(struct_size(ranges, range, 1), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return ERR_PTR(-ENOMEM);
	ranges->nr = 1;
	ranges->range[0].last = U64_MAX;
	return ranges;
}

/**
 * ioasid_device_describe() - what a device can do
 * @idev: the device
 * @info: zeroed; out, all but what concerns the caller's buffers
 * @hw_data: out, what the IOMMU driver tells, @info->hw_len bytes, to be freed
 *	by kfree(), or NULL
 *
 * Return: the ranges that it can use, to be freed by kfree(), or an ERR_PTR:
 * -ENODEV, it was unbound; -ENOMEM; or what the IOMMU driver says.
 */
struct ioas_ranges *ioasid_device_describe(struct ioasid_device *idev,
					   struct ioasid_device_info *info,
					   void **hw_data)
{
	struct ioas_ranges *ranges;

	*hw_data = NULL;
	info->cookie = idev->cookie;
	info->ioasid = ioasid_device_attached_to(idev);
	if (!idev->group) {
		info->caps = IOASID_DEVICE_EMULATED;
		info->group = -1;
		info->pgsizes = PAGE_SIZE;
		info->addr_width = 64;
		return whole_space();
	}

	mutex_lock(&idev->lock);
	if (idev->gone)
		ranges = ERR_PTR(-ENODEV);
	else
		ranges = ioas_describe(idev->dev, idev->group->group, info,
				       hw_data);
	mutex_unlock(&idev->lock);
	return ranges;
}

/* ---- As objects ---- */

static void device_put(struct ioasid_object *obj)
{
	ioasid_device_put(container_of(obj, struct ioasid_device, obj));
}

static unsigned int device_list(struct ioasid_object *obj,
				struct ioasid_list_entry *entry)
{
	struct ioasid_device *idev = container_of(obj, struct ioasid_device,
						  obj);

	entry[0] = (struct ioasid_list_entry){
		.type = IOASID_LIST_DEVICE,
		.id = obj->id,
		.cookie = idev->cookie,
	};
	entry[1] = entry[0];
	entry[1].type = IOASID_LIST_ATTACHMENT;
	entry[1].ioasid = ioasid_device_attached_to(idev);
	return entry[1].ioasid ? 2 : 1;
}

static void device_show(struct seq_file *m, struct ioasid_object *obj)
{
	struct ioasid_device *idev = container_of(obj, struct ioasid_device,
						  obj);

	mutex_lock(&idev->lock);
	if (!idev->gone)
		seq_printf(m, "device:\tid=%u cookie=0x%llx name=%s group=%d ioasid=%u\n",
			   obj->id, idev->cookie, dev_name(idev->dev),
			   idev->group ? iommu_group_id(idev->group->group) : -1,
			   ioasid_device_attached_to(idev));
	mutex_unlock(&idev->lock);
}

static const struct ioasid_object_ops device_object_ops = {
	.put = device_put,
	.list = device_list,
	.show = device_show,
};

/**
 * ioasid_device_init() - register the type of devices
 */
void __init ioasid_device_init(void)
{
	ioasid_object_register(IOASID_OBJECT_DEVICE, &device_object_ops);
}
