// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices bound to a context, and their iommu groups.
 *
 * Longer than 700 lines: what binds devices, groups and shared devices makes and
 * ends the same two objects, whose fields belong to this file.
 *
 * Invariants:
 *  - From its first bind to its last unbind a group is owned by the context and
 *    never on its default domain: the DMA of its devices is blocked, or
 *    translated by an IOASID of the context.
 *    But for a device that its kernel driver shares: that keeps its DMA by
 *    requester id.  A driver may lend the group instead: the lender's domain, which
 *    maps nothing, blocks it then.
 *  - A bound device holds a reference to its context.
 *  - The framework keeps the struct device until it unbinds the device.  All
 *    other users of ioasid_device.dev hold ioasid_device.lock, and check gone.
 *  - A group that was bound as a whole is a device without a struct device.
 *    Where a device is needed, the first in the group serves, which cannot leave
 *    the group meanwhile.  The group has one claim, and no claim of a device
 *    beside it: the context's, or that of the framework that has blocked it.
 *
 * Waits: ioasid_ctx.lock is held for one claim or release of a group, which is
 * a call of the IOMMU driver for each of its devices, and to walk the groups.
 * Nothing is allocated, pinned or populated with it held, no other lock is
 * waited for.
 *
 * Locks: ioasid_ctx.lock and ioasid_device.lock, not together;
 * ioasid_ctx.routes_lock is a leaf, but for that of ioasid_device.attachments.
 */
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <trace/events/ioasid.h>

#include "attach.h"
#include "device.h"
#include "number.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Bind devices whose IOMMU does not isolate message signalled interrupts. A user who drives such a device can send interrupts to the host.");

/* ---- Objects ---- */

/**
 * ioasid_device_get() - look up a device
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

static void device_free(struct ioasid_device *idev)
{
	kfree(idev->name);
	xa_destroy(&idev->uses);
	kfree_rcu(idev, rcu);
}

/**
 * ioasid_device_put() - drop a reference to a device
 * @idev: the device
 */
void ioasid_device_put(struct ioasid_device *idev)
{
	if (refcount_dec_and_test(&idev->obj.users))
		device_free(idev);
}

/**
 * ioasid_device_alloc() - allocate a device object
 * @ctx: the context; the object holds a reference to it
 * @dev: the device
 * @cookie: any number that user space chose
 *
 * Context: may sleep.
 * Return: the object with its id, not published, or an ERR_PTR:
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
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
	xa_init_flags(&idev->attachments, XA_FLAGS_ALLOC | XA_FLAGS_ACCOUNT);
	xa_init_flags(&idev->uses, XA_FLAGS_ACCOUNT);
	mutex_init(&idev->work_lock);
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
 * ioasid_group_device_alloc() - allocate a device object for a whole group
 * @ctx: the context; the object holds a reference to it
 * @iommu_group: the group
 * @cookie: any number that user space chose
 *
 * Context: may sleep.
 * Return: as ioasid_device_alloc(), or -ENODEV, the group has no device.
 */
struct ioasid_device *
ioasid_group_device_alloc(struct ioasid_ctx *ctx,
			  struct iommu_group *iommu_group, u64 cookie)
{
	char *name = ioas_iommu_device_name(iommu_group);
	struct ioasid_device *idev;

	if (IS_ERR(name))
		return ERR_CAST(name);
	idev = ioasid_device_alloc(ctx, NULL, cookie);
	if (IS_ERR(idev))
		kfree(name);
	else
		idev->name = name;
	return idev;
}

/* ---- Groups ---- */

static struct ioasid_group *find_group(struct ioasid_ctx *ctx,
				       struct iommu_group *iommu_group)
{
	struct ioasid_group *group;

	lockdep_assert_held(&ctx->lock);
	list_for_each_entry(group, &ctx->groups, node)
		if (group->group == iommu_group && group->bound)
			return group;
	return NULL;
}

/* Takes over the caller's reference to @iommu_group, also if it fails */
static struct ioasid_group *group_alloc(struct iommu_group *iommu_group)
{
	struct ioasid_group *group;

	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group) {
		iommu_group_put(iommu_group);
		return NULL;
	}
	group->group = iommu_group;
	INIT_LIST_HEAD(&group->node);
	mutex_init(&group->lock);
	INIT_LIST_HEAD(&group->devices);
	INIT_LIST_HEAD(&group->pasids);
	return group;
}

static void group_free(struct ioasid_group *group)
{
	list_del(&group->node);
	iommu_group_put(group->group);
	mutex_destroy(&group->lock);
	kfree(group);
}

/* Count one more device of a group, which becomes @spare if it is the first */
static struct ioasid_group *group_get(struct ioasid_ctx *ctx,
				      struct ioasid_group **spare)
{
	struct ioasid_group *group = find_group(ctx, (*spare)->group);

	if (!group) {
		group = *spare;
		*spare = NULL;
		list_add_tail(&group->node, &ctx->groups);
	}
	group->bound++;
	return group;
}

static void group_put(struct ioasid_ctx *ctx, struct ioasid_group *group)
{
	lockdep_assert_held(&ctx->lock);
	if (!--group->bound && !group->visitors)
		group_free(group);
}

/**
 * ioasid_group_visit() - drop the lock of the context to look at a group
 * @ctx: the context, locked; unlocked on return
 * @group: the group
 */
void ioasid_group_visit(struct ioasid_ctx *ctx, struct ioasid_group *group)
{
	lockdep_assert_held(&ctx->lock);
	group->visitors++;
	mutex_unlock(&ctx->lock);
}

/**
 * ioasid_group_leave() - undo ioasid_group_visit()
 * @ctx: the context; locked on return
 * @group: the visited group; it may have lost its last device, and is freed then
 *
 * Return: the next one in the list, or its head.
 */
struct list_head *ioasid_group_leave(struct ioasid_ctx *ctx,
				     struct ioasid_group *group)
{
	struct list_head *next;

	mutex_lock(&ctx->lock);
	next = group->node.next;
	if (!--group->visitors && !group->bound)
		group_free(group);
	return next;
}

/**
 * ioasid_ctx_has_group() - check if a device of a group is bound to a context
 * @ctx: the context
 * @iommu_group: the group, or NULL
 *
 * Context: may sleep.
 * Return: true if one is: the context owns the DMA of the whole group then.
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

/* Test whether a device of one of these groups owns a file */
static bool own_file(struct ioasid_ctx *ctx, struct list_head *groups,
		     struct file *file)
{
	struct ioasid_group *group;
	struct ioasid_device *idev;
	bool owns = false;

	lockdep_assert_held(&ctx->lock);
	list_for_each_entry(group, groups, node) {
		spin_lock(&ctx->routes_lock);
		list_for_each_entry(idev, &group->devices, node)
			owns |= idev->ops && idev->ops->owns_file &&
				idev->ops->owns_file(idev->data, file);
		spin_unlock(&ctx->routes_lock);
		if (owns)
			break;
		cond_resched();
	}
	return owns;
}

/**
 * ioasid_ctx_owns_file() - check if a device bound to a context owns a file
 * @ctx: the context
 * @file: any file
 *
 * Context: may sleep.
 * Return: true if @file is a file of a bound device.
 */
bool ioasid_ctx_owns_file(struct ioasid_ctx *ctx, struct file *file)
{
	bool owns;

	mutex_lock(&ctx->lock);
	owns = own_file(ctx, &ctx->groups, file) ||
	       own_file(ctx, &ctx->shared, file);
	mutex_unlock(&ctx->lock);
	return owns;
}

/* Find the device whose file it is, and refer to it; or NULL */
static struct ioasid_device *device_of_file(struct ioasid_ctx *ctx,
					    struct file *file)
{
	struct ioasid_device *idev, *found = NULL;
	struct ioasid_group *group;

	mutex_lock(&ctx->lock);
	spin_lock(&ctx->routes_lock);
	list_for_each_entry(group, &ctx->groups, node)
		list_for_each_entry(idev, &group->devices, node)
			if (!found && idev->ops && idev->ops->watch &&
			    idev->ops->owns_file(idev->data, file) &&
			    refcount_inc_not_zero(&idev->obj.users))
				found = idev;
	spin_unlock(&ctx->routes_lock);
	mutex_unlock(&ctx->lock);
	return found;
}

/**
 * ioasid_ctx_watch() - watch memory of a device that is bound to a context
 * @ctx: the context
 * @file: a file of the device
 * @offset: offset of the memory, as for mmap()
 * @length: bytes
 * @region: told of changes, until ioasid_unwatch()
 * @how: out, for ioasid_unwatch()
 *
 * Context: may sleep, for as long as a reset of the device takes.
 * Return: 0;
 * -EOPNOTSUPP, @file is of no bound device, or its driver cannot watch;
 * -ENODEV, the device was unbound;
 * an errno of the framework.
 */
int ioasid_ctx_watch(struct ioasid_ctx *ctx, struct file *file, u64 offset,
		     u64 length, struct ioasid_region *region,
		     const struct ioasid_device_ops **how)
{
	struct ioasid_device *idev = device_of_file(ctx, file);
	int ret = -ENODEV;

	if (!idev)
		return -EOPNOTSUPP;
	mutex_lock(&idev->lock);
	if (!idev->gone) {
		/* A bound device keeps the module of its framework */
		__module_get(idev->ops->owner);
		*how = idev->ops;
		ret = idev->ops->watch(idev->data, offset, length, region);
		if (ret)
			module_put(idev->ops->owner);
	}
	mutex_unlock(&idev->lock);
	ioasid_device_put(idev);
	return ret;
}

/**
 * ioasid_unwatch() - undo ioasid_ctx_watch()
 * @region: the region
 * @how: from ioasid_ctx_watch()
 *
 * Context: may sleep, for as long as a reset of the device takes.
 */
void ioasid_unwatch(struct ioasid_region *region,
		    const struct ioasid_device_ops *how)
{
	struct module *owner = how->owner;

	how->unwatch(region);
	module_put(owner);
}

/* ---- Bind ---- */

/* Release the ownership of a device's group */
static void group_unbind(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_group *group = idev->group;

	mutex_lock(&ctx->lock);
	if (group->owner == IOASID_OWNER_DEVICES)
		ioas_iommu_release(idev->dev);
	else if (group->owner == IOASID_OWNER_GROUP && group->bound == 1)
		ioas_iommu_release_group(group->group);
	group_put(ctx, group);
	mutex_unlock(&ctx->lock);
}

/**
 * ioasid_device_gone() - undo ioasid_device_alloc(), published or not
 * @idev: the device, not attached; freed when its last reference is dropped
 *
 * Context: may sleep; waits for threads that hold @idev->lock.
 */
void ioasid_device_gone(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;

	mutex_lock(&idev->lock);
	idev->gone = true;
	mutex_unlock(&idev->lock);
	/* After @gone: no thread reads the group from here on */
	if (idev->group)
		group_unbind(idev);
	xa_erase(&ctx->objects, idev->obj.id);
	if (refcount_read(&idev->obj.users))
		ioasid_device_put(idev);
	else
		device_free(idev);
	ioasid_ctx_put(ctx);
}

static int check_interrupts(struct iommu_group *iommu_group, bool *unsafe)
{
	*unsafe = !ioas_iommu_isolates_msi(iommu_group);
	return *unsafe && !READ_ONCE(allow_unsafe_interrupts) ? -EPERM : 0;
}

static int check_device(struct device *dev, struct iommu_group *iommu_group,
			bool *unsafe)
{
	/* DMA that is not coherent would need cache flushes */
	if (!ioas_iommu_is_coherent(dev))
		return -EOPNOTSUPP;
	return check_interrupts(iommu_group, unsafe);
}

static void warn_unsafe(struct device *dev)
{
	dev_warn_ratelimited(dev,
			     "ioasid: bound without interrupt isolation: its user can send interrupts to the host\n");
}

/* Add a device to its group, and publish it */
static void add_device(struct ioasid_device *idev, struct ioasid_group *group,
		       const struct ioasid_device_ops *ops, void *data)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;

	/* An attach of the group may be in progress: it does not wait for this */
	idev->group = group;
	idev->ops = ops;
	idev->data = data;
	spin_lock(&ctx->routes_lock);
	list_add_tail(&idev->node, &group->devices);
	spin_unlock(&ctx->routes_lock);

	ioasid_object_publish(&idev->obj);
	trace_ioasid_bind(idev->obj.id, idev->cookie, ioasid_device_name(idev));
}

/* Claim the group of a device for the context, unless it was bound as a whole */
static int claim_for_device(struct ioasid_ctx *ctx, struct device *dev,
			    struct iommu_group *iommu_group)
{
	struct ioasid_group *group = find_group(ctx, iommu_group);

	if (group && group->owner != IOASID_OWNER_DEVICES)
		return 0;
	return ioas_iommu_claim(dev, ctx);
}

/**
 * ioasid_bind_device() - bind a device to a context
 * @ctx: the context; referenced until ioasid_unbind()
 * @dev: the device; the caller drives it, and keeps it until ioasid_unbind()
 * @ops: the framework's callbacks, or NULL
 * @data: passed to @ops
 * @cookie: any number that user space chose
 *
 * The context claims the whole iommu group, and blocks it; unless the group was
 * bound as a whole before.
 *
 * Context: may sleep.
 * Return: the bound device, or an ERR_PTR:
 * -EOPNOTSUPP, @dev has no IOMMU, or its DMA is not coherent;
 * -EPERM, the interrupts of the group are not isolated;
 * -EBUSY, a kernel driver or another owner uses the group;
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM;
 * or the IOMMU driver's error, if it cannot block the group.
 */
struct ioasid_device *ioasid_bind_device(struct ioasid_ctx *ctx,
					 struct device *dev,
					 const struct ioasid_device_ops *ops,
					 void *data, u64 cookie)
{
	struct ioasid_group *group, *spare;
	struct iommu_group *iommu_group;
	struct ioasid_device *idev;
	bool unsafe;
	int ret;

	iommu_group = iommu_group_get(dev);
	if (!iommu_group || !ioas_iommu_present(dev)) {
		iommu_group_put(iommu_group);
		return ERR_PTR(-EOPNOTSUPP);
	}
	ret = check_device(dev, iommu_group, &unsafe);
	if (ret) {
		iommu_group_put(iommu_group);
		return ERR_PTR(ret);
	}
	/* Not under ctx->lock: memory may take long to be allocated */
	spare = group_alloc(iommu_group);
	if (!spare)
		return ERR_PTR(-ENOMEM);
	idev = ioasid_device_alloc(ctx, dev, cookie);
	if (IS_ERR(idev)) {
		group_free(spare);
		return idev;
	}

	ret = -EINTR;
	if (mutex_lock_killable(&ctx->lock))
		goto err_gone;
	ret = claim_for_device(ctx, dev, iommu_group);
	if (ret) {
		mutex_unlock(&ctx->lock);
		goto err_gone;
	}
	group = group_get(ctx, &spare);
	mutex_unlock(&ctx->lock);
	if (spare)
		group_free(spare);

	if (unsafe)
		warn_unsafe(dev);
	add_device(idev, group, ops, data);
	return idev;

err_gone:
	ioasid_device_gone(idev);
	group_free(spare);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(ioasid_bind_device);

/**
 * ioasid_bind_group() - bind an iommu group to a context, as one device
 * @ctx: the context; referenced until ioasid_unbind()
 * @iommu_group: the group; the caller keeps a device in it until ioasid_unbind()
 * @owned: the caller has claimed the group's DMA, which is blocked, and keeps
 *	the claim until ioasid_unbind(); otherwise the context claims it
 * @ops: the framework's callbacks, or NULL
 * @data: passed to @ops
 * @cookie: any number that user space chose
 *
 * For a framework that hands out groups.  Their DMA is coherent: the framework
 * has checked that.  Single devices of the group can be bound afterwards, until
 * this is undone.
 *
 * Context: may sleep.
 * Return: the bound group, or an ERR_PTR:
 * -EPERM, the interrupts of the group are not isolated;
 * -EBUSY, a device of the group is bound to @ctx, or a kernel driver or another
 * owner uses it;
 * -ENODEV, the group has no device;
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM;
 * or the IOMMU driver's error, if it cannot block the group.
 */
struct ioasid_device *ioasid_bind_group(struct ioasid_ctx *ctx,
					struct iommu_group *iommu_group,
					bool owned,
					const struct ioasid_device_ops *ops,
					void *data, u64 cookie)
{
	struct ioasid_group *group, *spare;
	struct ioasid_device *idev;
	bool unsafe;
	int ret;

	ret = check_interrupts(iommu_group, &unsafe);
	if (ret)
		return ERR_PTR(ret);
	spare = group_alloc(iommu_group_ref_get(iommu_group));
	if (!spare)
		return ERR_PTR(-ENOMEM);
	spare->owner = owned ? IOASID_OWNER_CALLER : IOASID_OWNER_GROUP;
	idev = ioasid_group_device_alloc(ctx, iommu_group, cookie);
	if (IS_ERR(idev)) {
		group_free(spare);
		return idev;
	}

	ret = -EINTR;
	if (mutex_lock_killable(&ctx->lock))
		goto err_gone;
	ret = -EBUSY;
	if (!find_group(ctx, iommu_group))
		ret = owned ? 0 : ioas_iommu_claim_group(iommu_group, ctx);
	if (ret) {
		mutex_unlock(&ctx->lock);
		goto err_gone;
	}
	group = group_get(ctx, &spare);
	mutex_unlock(&ctx->lock);

	if (unsafe)
		pr_warn_ratelimited("ioasid: %s: bound without interrupt isolation: its user can send interrupts to the host\n",
				    idev->name);
	add_device(idev, group, ops, data);
	return idev;

err_gone:
	ioasid_device_gone(idev);
	group_free(spare);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(ioasid_bind_group);

/*
 * Allocate a device, and a group of its own, which no owner has claimed. A reference
 * to @iommu_group, which may be NULL, goes to *@group, or is dropped.
 */
static struct ioasid_device *alloc_alone(struct ioasid_ctx *ctx,
					 struct device *dev,
					 struct iommu_group *iommu_group,
					 u64 cookie,
					 struct ioasid_group **group)
{
	struct ioasid_device *idev;

	*group = group_alloc(iommu_group);
	if (!*group)
		return ERR_PTR(-ENOMEM);
	idev = ioasid_device_alloc(ctx, dev, cookie);
	if (IS_ERR(idev))
		group_free(*group);
	return idev;
}

/* Publish what alloc_alone() returned, or free it and return an ERR_PTR */
static struct ioasid_device *add_alone(struct ioasid_device *idev,
				       struct ioasid_group *group)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;

	if (mutex_lock_killable(&ctx->lock)) {
		ioasid_device_gone(idev);
		group_free(group);
		return ERR_PTR(-EINTR);
	}
	group->owner = IOASID_OWNER_DRIVER;
	group->bound = 1;
	list_add_tail(&group->node, &ctx->shared);
	mutex_unlock(&ctx->lock);
	add_device(idev, group, idev->ops, idev->data);
	return idev;
}

/**
 * ioasid_bind_shared() - bind a device that its kernel driver shares among users
 * @ctx: the context; referenced until ioasid_unbind()
 * @dev: the device; the caller is its driver, and keeps it until ioasid_unbind()
 * @common: a PASID must mean the same on all such devices of @ctx, see
 *	ioasid_pasid_translate(); otherwise each attachment has a number of its own,
 *	see ioasid_device_pasid()
 * @ops: callbacks, or NULL
 * @data: passed to @ops
 * @cookie: any number that user space chose
 *
 * The driver keeps the DMA of @dev by requester id for itself: nothing is claimed,
 * and nothing blocked.  @dev is attached by PASIDs only, whose numbers are of the
 * pool of the machine.  What user space attaches without a PASID has one, too.
 * The driver lets a user's work on the device have no other PASIDs than those that
 * user space attached.  It has the DMA API, so that no other owner can claim the
 * group: it does not set driver_managed_dma.
 *
 * If @ops has pasid_stop, an attach is only recorded: the IOASID is ready for the
 * device, but @dev has no PASID for it, and no way there.  Both come with the first
 * ioasid_pasid_begin(), and go with the last ioasid_pasid_end().
 *
 * The same device can be bound any number of times.
 *
 * Context: may sleep.
 * Return: the bound device, or an ERR_PTR:
 * -EOPNOTSUPP, @dev has no IOMMU, no PASIDs, or is not alone in its group; its DMA
 * is not coherent; or no driver keeps other owners off it;
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
struct ioasid_device *ioasid_bind_shared(struct ioasid_ctx *ctx,
					 struct device *dev, bool common,
					 const struct ioasid_device_ops *ops,
					 void *data, u64 cookie)
{
	struct iommu_group *iommu_group = iommu_group_get(dev);
	struct ioasid_device *idev;
	struct ioasid_group *group;

	if (!iommu_group || !ioas_iommu_present(dev) ||
	    !ioas_iommu_is_coherent(dev) || ioas_iommu_max_pasids(dev) < 2 ||
	    !ioas_iommu_is_singleton(iommu_group) ||
	    !ioas_iommu_group_claimed(iommu_group)) {
		iommu_group_put(iommu_group);
		return ERR_PTR(-EOPNOTSUPP);
	}
	idev = alloc_alone(ctx, dev, iommu_group, cookie, &group);
	if (IS_ERR(idev))
		return idev;
	idev->numbers = common ? IOASID_NUMBERS_COMMON :
				 IOASID_NUMBERS_TRANSLATED;
	idev->ops = ops;
	idev->data = data;
	return add_alone(idev, group);
}
EXPORT_SYMBOL_GPL(ioasid_bind_shared);

/**
 * ioasid_bind_lent() - bind a device whose kernel driver lends its DMA
 * @ctx: the context; referenced until ioasid_unbind()
 * @dev: the device; the caller keeps it until ioasid_unbind()
 * @home: the domain that the device's group is attached to. It maps nothing while
 *	the device is bound, and stays until ioasid_unbind()
 * @start: first IOVA that the device can use
 * @last: last IOVA that it can use
 * @ops: the caller's callbacks, or NULL
 * @data: passed to @ops
 * @cookie: any number that user space chose
 *
 * The kernel driver of @dev owns the group, so that nothing can be claimed, and
 * leaves its DMA to the caller: it does none by itself.  The group goes from @home
 * to the IOASID that the device is attached to, and back to @home, and never to its
 * default domain meanwhile: as long as it is bound its DMA is blocked, or
 * translated by an IOASID of @ctx.  It has one address space of user space, ASID 0,
 * and no PASIDs.
 *
 * Context: may sleep.
 * Return: the bound device, or an ERR_PTR:
 * -EOPNOTSUPP, @dev has no IOMMU, or its DMA is not coherent;
 * -EBUSY, the group has other devices;
 * -EPERM, the interrupts of the group are not isolated;
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
struct ioasid_device *ioasid_bind_lent(struct ioasid_ctx *ctx,
				       struct device *dev,
				       struct iommu_domain *home, u64 start,
				       u64 last,
				       const struct ioasid_device_ops *ops,
				       void *data, u64 cookie)
{
	struct iommu_group *iommu_group = iommu_group_get(dev);
	struct ioasid_device *idev;
	struct ioasid_group *group;
	bool unsafe;
	int ret;

	ret = -EOPNOTSUPP;
	if (!iommu_group || !ioas_iommu_present(dev))
		goto err_put;
	ret = -EBUSY;
	if (!ioas_iommu_is_singleton(iommu_group))
		goto err_put;
	ret = check_device(dev, iommu_group, &unsafe);
	if (ret)
		goto err_put;
	idev = alloc_alone(ctx, dev, iommu_group, cookie, &group);
	if (IS_ERR(idev))
		return idev;
	idev->nr_asids = 1;
	idev->home = home;
	idev->ops = ops;
	idev->data = data;
	idev->by.range.start = start;
	idev->by.range.last = last;
	if (unsafe)
		warn_unsafe(dev);
	return add_alone(idev, group);

err_put:
	iommu_group_put(iommu_group);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(ioasid_bind_lent);

/**
 * ioasid_bind_mirror() - bind a device that translates by itself
 * @ctx: the context; referenced until ioasid_unbind()
 * @dev: the device, for its name; the caller keeps it until ioasid_unbind()
 * @ops: the ops of its tables
 * @data: passed to @ops
 * @nr_asids: number of its tables, 1 or more. User space attaches each one by its
 *	number, from 0 on, with IOASID_ATTACH_ASID
 * @start: first IOVA that it can translate, page aligned
 * @last: last IOVA that it can translate, of a page
 * @cookie: any number that user space chose
 *
 * There is no iommu group: nothing is claimed.  The tables translate nothing when the
 * caller binds the device.  It calls ioasid_attach_ioctl(), ioasid_detach_ioctl() and
 * ioasid_unbind(), and lends a mutex to the first two: @ops are called back from within
 * these, and from maps and unmaps of any thread.
 *
 * Context: may sleep.
 * Return: the bound device, or an ERR_PTR:
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
struct ioasid_device *ioasid_bind_mirror(struct ioasid_ctx *ctx,
					 struct device *dev,
					 const struct ioasid_mirror_ops *ops,
					 void *data, u32 nr_asids, u64 start,
					 u64 last, u64 cookie)
{
	struct ioasid_device *idev;
	struct ioasid_group *group;

	idev = alloc_alone(ctx, dev, NULL, cookie, &group);
	if (IS_ERR(idev))
		return idev;
	idev->numbers = IOASID_NUMBERS_TABLES;
	idev->nr_asids = nr_asids;
	idev->by.ops = ops;
	idev->by.data = data;
	idev->by.range.start = start;
	idev->by.range.last = last;
	return add_alone(idev, group);
}
EXPORT_SYMBOL_GPL(ioasid_bind_mirror);
