// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers of VFIO, for programs that know VFIO alone: which IOASID of a
 * context their commands act on, the designated one, and the groups in them.
 * This serves the file of /dev/ioasid, and containers of VFIO that have a context
 * as their back end.
 *
 * Invariants:
 *  - The designated IOASID is a root of the kind MAP.  VFIO_SET_IOMMU allocates
 *    one, unless IOASID_VFIO_IOASID has designated one before.
 *  - On the file of /dev/ioasid, the groups that VFIO gave to the context are in
 *    ioasid_container.groups.  After VFIO_SET_IOMMU each of them is bound as a
 *    whole, and was attached to the IOASID that was designated then.  When the
 *    last group leaves, that state ends, and the IOASID that VFIO_SET_IOMMU
 *    allocated is freed with all of its mappings, as VFIO does.
 *  - Results are those of VFIO in Linux 6.12, as in type1.c.
 *
 * Waits: ioasid_container.lock is held while groups attach.  Commands wait for
 * it killably.  A group that leaves waits for it, as it waits for its own attach.
 *
 * Locks: ioasid_container.lock, before those of groups and address spaces; VFIO
 * may hold its own around it.  Commands that map, unmap and describe do not take
 * it.
 */
#include <linux/export.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>
#include <uapi/linux/ioasid.h>
#include <uapi/linux/vfio.h>

#include "attach.h"
#include "ioctl.h"
#include "kind_map.h"
#include "type1.h"

/**
 * struct ioasid_container_group - a group that VFIO gave to a context
 * @node: in ioasid_container.groups
 * @group: the iommu group, with a reference
 * @emulated: its devices are emulated, and bound one by one
 * @idev: the group, while it is bound; or NULL
 */
struct ioasid_container_group {
	struct list_head node;
	struct iommu_group *group;
	bool emulated;
	struct ioasid_device *idev;
};

static bool is_type1(unsigned long type)
{
	return type == VFIO_TYPE1_IOMMU || type == VFIO_TYPE1v2_IOMMU;
}

/* ---- The designated IOASID ---- */

/* True if VFIO's commands can act on an IOASID */
static bool can_serve(struct ioasid *ioasid)
{
	struct ioas *ioas = ioasid_ioas(ioasid);

	return !IS_ERR(ioas) && !ioas->parent;
}

/* Get the IOASID with an id and a mark, or NULL: it may have been freed since */
static struct ioasid *get_marked(struct ioasid_ctx *ctx, u32 id,
				 enum ioasid_mark mark)
{
	struct ioasid *ioasid = id ? ioasid_get(ctx, id) : NULL;

	if (ioasid && !(READ_ONCE(ioasid->obj.marks) & mark)) {
		ioasid_put(ioasid);
		return NULL;
	}
	return ioasid;
}

/* Get the designated IOASID with a reference, or NULL */
static struct ioasid *get_designated(struct ioasid_ctx *ctx)
{
	return get_marked(ctx, READ_ONCE(ctx->container.ioasid),
			  IOASID_MARK_DESIGNATED);
}

static void set_designated(struct ioasid_ctx *ctx, struct ioasid *ioasid)
{
	lockdep_assert_held(&ctx->container.lock);
	WRITE_ONCE(ioasid->obj.marks,
		   ioasid->obj.marks | IOASID_MARK_DESIGNATED);
	/* A command that finds the id finds the mark */
	smp_store_release(&ctx->container.ioasid, ioasid->obj.id);
}

static int designate(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid *ioasid = ioasid_get(ctx, id);
	int ret = -EOPNOTSUPP;

	if (!ioasid)
		return -ENOENT;
	if (can_serve(ioasid)) {
		ret = mutex_lock_killable(&ctx->container.lock);
		if (!ret) {
			set_designated(ctx, ioasid);
			mutex_unlock(&ctx->container.lock);
		}
	}
	ioasid_put(ioasid);
	return ret;
}

long ioasid_cmd_vfio_ioasid(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			    void __user *user)
{
	struct ioasid_vfio_ioasid __user *out = user;
	struct ioasid_vfio_ioasid *cmd = &arg->vfio;
	struct ioasid *ioasid;
	u32 id = 0;

	if (cmd->__reserved)
		return -EINVAL;
	if (cmd->flags & IOASID_VFIO_IOASID_SET)
		return designate(ctx, cmd->ioasid);
	if (cmd->ioasid)
		return -EINVAL;
	ioasid = get_designated(ctx);
	if (ioasid) {
		id = ioasid->obj.id;
		ioasid_put(ioasid);
	}
	return put_user(id, &out->ioasid);
}

static int make_designated(struct ioasid_ctx *ctx)
{
	struct ioasid_params params = { .kind = IOASID_KIND_MAP };
	struct ioasid *ioasid;

	ioasid = ioasid_alloc(ctx, &params);
	if (IS_ERR(ioasid))
		return ioasid_type1_errno(PTR_ERR(ioasid));
	ctx->container.made = ioasid->obj.id;
	ioasid->obj.marks = IOASID_MARK_MADE;
	set_designated(ctx, ioasid);
	trace_ioasid_alloc(ioasid->obj.id);
	ioasid_object_publish(&ioasid->obj);
	return 0;
}

/* Free what make_designated() allocated, unless it is in use */
static void free_designated(struct ioasid_ctx *ctx)
{
	struct ioasid_container *container = &ctx->container;
	u32 id = container->made;
	struct ioasid *ioasid;

	container->made = 0;
	ioasid = get_marked(ctx, id, IOASID_MARK_MADE);
	if (!ioasid)
		return;
	if (container->ioasid == id)
		WRITE_ONCE(container->ioasid, 0);
	if (!ioasid_object_free(ctx, id, true))
		trace_ioasid_free(id);
	ioasid_put(ioasid);
}

/* Charge the process, as type1 does, unless the program has chosen otherwise */
static void charge_process(struct ioasid_ctx *ctx)
{
	mutex_lock(&ctx->lock);
	/* -EBUSY: memory was charged to the user before; that stays */
	if (!(ctx->sealed & BIT(IOASID_OPTION_CHARGE)) &&
	    ctx->account.charge == IOASID_CHARGE_USER)
		ioasid_account_set_charge(&ctx->account, IOASID_CHARGE_MM);
	mutex_unlock(&ctx->lock);
}

/* There is a designated IOASID afterwards */
static int container_prepare(struct ioasid_ctx *ctx)
{
	struct ioasid *ioasid;

	lockdep_assert_held(&ctx->container.lock);
	ioasid = get_designated(ctx);
	if (!ioasid)
		return make_designated(ctx);
	ioasid_put(ioasid);
	return 0;
}

/* The container is set up: commands act on it, and devices need no bind */
static void container_begin(struct ioasid_ctx *ctx, unsigned long type)
{
	lockdep_assert_held(&ctx->container.lock);
	charge_process(ctx);
	WRITE_ONCE(ctx->container.type, type);
}

/**
 * ioasid_container_open() - let a context serve a container of VFIO
 * @ctx: the context, which serves nothing else
 * @type: VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU
 *
 * For a back end of VFIO, which binds groups itself.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, another type; -ENOMEM.
 */
int ioasid_container_open(struct ioasid_ctx *ctx, unsigned long type)
{
	int ret;

	if (!is_type1(type))
		return -EINVAL;
	mutex_lock(&ctx->container.lock);
	ret = container_prepare(ctx);
	if (!ret)
		container_begin(ctx, type);
	mutex_unlock(&ctx->container.lock);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_container_open);

/**
 * ioasid_container_is_open() - check if VFIO_SET_IOMMU was done on a context
 * @ctx: the context
 *
 * Return: true if it was: the program uses the file as a container.
 */
bool ioasid_container_is_open(struct ioasid_ctx *ctx)
{
	return READ_ONCE(ctx->container.type);
}
EXPORT_SYMBOL_GPL(ioasid_container_is_open);

/* Id of the IOASID that the group of a device is attached to, or 0 */
static u32 group_ioasid(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	u32 id = 0;

	if (!idev->group)
		return 0;
	spin_lock(&ctx->routes_lock);
	if (idev->group->rid)
		id = idev->group->rid->ioasid->obj.id;
	spin_unlock(&ctx->routes_lock);
	return id;
}

/**
 * ioasid_container_attach() - attach a device to the designated IOASID
 * @idev: the device; if its group is attached, it joins the IOASID of the group
 *
 * Context: may sleep.
 * Return: 0, or an error that type1 has too.
 */
int ioasid_container_attach(struct ioasid_device *idev)
{
	struct ioasid *ioasid = get_designated(idev->obj.ctx);
	u32 id = group_ioasid(idev);
	u64 fault_addr;
	int ret;

	if (!id && ioasid)
		id = ioasid->obj.id;
	ret = ioasid_attach(idev, id, &fault_addr);
	if (ioasid)
		ioasid_put(ioasid);
	return ioasid_type1_errno(ret);
}
EXPORT_SYMBOL_GPL(ioasid_container_attach);

/* ---- Groups, on the file of /dev/ioasid ---- */

static int group_start(struct ioasid_ctx *ctx,
		       struct ioasid_container_group *group)
{
	struct ioasid_device *idev;
	int ret;

	/* An emulated device does no DMA before it is open, and bound */
	if (group->emulated)
		return 0;
	idev = ioasid_bind_group(ctx, group->group, false, NULL, NULL,
				 iommu_group_id(group->group));
	if (IS_ERR(idev))
		return ioasid_type1_errno(PTR_ERR(idev));
	ret = ioasid_container_attach(idev);
	if (ret)
		ioasid_unbind(idev);
	else
		group->idev = idev;
	return ret;
}

static void group_stop(struct ioasid_container_group *group)
{
	if (group->idev)
		ioasid_unbind(group->idev);
	group->idev = NULL;
}

/* VFIO_SET_IOMMU: its order of checks, and its errors */
static int container_set_iommu(struct ioasid_ctx *ctx, unsigned long type)
{
	struct ioasid_container *container = &ctx->container;
	struct ioasid_container_group *group;
	int ret;

	ret = mutex_lock_killable(&container->lock);
	if (ret)
		return ret;
	ret = -EINVAL;
	if (list_empty(&container->groups) || container->type)
		goto unlock;
	ret = -ENODEV;
	if (!is_type1(type))
		goto unlock;
	ret = container_prepare(ctx);
	if (ret)
		goto unlock;
	list_for_each_entry(group, &container->groups, node) {
		ret = group_start(ctx, group);
		if (ret)
			goto undo;
	}
	container_begin(ctx, type);
	goto unlock;

undo:
	list_for_each_entry_continue_reverse(group, &container->groups, node)
		group_stop(group);
	free_designated(ctx);
unlock:
	mutex_unlock(&container->lock);
	return ret;
}

/**
 * ioasid_container_add_group() - add a group that VFIO gives to a file
 * @ctx: the context; the caller has a reference until the group is removed
 * @iommu_group: the group; it has a device until it is removed
 * @emulated: its devices are emulated
 *
 * It is claimed when it is bound: by VFIO_SET_IOMMU, after that at once.
 *
 * Context: may sleep.
 * Return: 0; -EPERM, the group is in use; -ENOMEM; -EINTR, a fatal signal; and
 * after VFIO_SET_IOMMU an error of the bind or the attach, as type1 has it.
 */
int ioasid_container_add_group(struct ioasid_ctx *ctx,
			       struct iommu_group *iommu_group, bool emulated)
{
	struct ioasid_container *container = &ctx->container;
	struct ioasid_container_group *group;
	int ret;

	if (!emulated && ioas_iommu_group_claimed(iommu_group))
		return -EPERM;
	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return -ENOMEM;
	group->group = iommu_group;
	group->emulated = emulated;
	ret = mutex_lock_killable(&container->lock);
	if (ret)
		goto err_free;
	if (container->type)
		ret = group_start(ctx, group);
	if (!ret) {
		iommu_group_ref_get(iommu_group);
		list_add(&group->node, &container->groups);
	}
	mutex_unlock(&container->lock);
	if (!ret)
		return 0;
err_free:
	kfree(group);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_container_add_group);

/**
 * ioasid_container_remove_group() - undo ioasid_container_add_group()
 * @ctx: the context
 * @iommu_group: the group; none of its devices is open
 *
 * Context: may sleep; needs no memory.
 */
void ioasid_container_remove_group(struct ioasid_ctx *ctx,
				   struct iommu_group *iommu_group)
{
	struct ioasid_container *container = &ctx->container;
	struct ioasid_container_group *group;

	mutex_lock(&container->lock);
	list_for_each_entry(group, &container->groups, node) {
		if (group->group != iommu_group)
			continue;
		list_del(&group->node);
		group_stop(group);
		iommu_group_put(group->group);
		kfree(group);
		break;
	}
	if (list_empty(&container->groups) && container->type) {
		WRITE_ONCE(container->type, 0);
		free_designated(ctx);
	}
	mutex_unlock(&container->lock);
}
EXPORT_SYMBOL_GPL(ioasid_container_remove_group);

/* ---- Commands ---- */

static bool all_enforce(struct ioasid_ctx *ctx)
{
	struct ioasid *ioasid = get_designated(ctx);
	bool enforce;

	if (!ioasid)
		return false;
	enforce = ioas_enforces_coherency(ioasid_map_ioas(ioasid));
	ioasid_put(ioasid);
	return enforce;
}

static long container_check_extension(struct ioasid_ctx *ctx,
				      unsigned long extension)
{
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_DMA_CC_IOMMU:
		return ioasid_container_is_open(ctx) && all_enforce(ctx);
	default:
		return 0;
	}
}

/**
 * ioasid_container_ioctl() - run a command of VFIO's containers
 * @ctx: the context
 * @nr: the command
 * @arg: its argument
 *
 * Context: may sleep.
 * Return: what VFIO returns; -ENOTTY, @nr is no such command.
 */
long ioasid_container_ioctl(struct ioasid_ctx *ctx, unsigned int nr,
			    unsigned long arg)
{
	struct ioasid *ioasid;
	u32 type;
	long ret;

	switch (nr) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return container_check_extension(ctx, arg);
	case VFIO_SET_IOMMU:
		return container_set_iommu(ctx, arg);
	case VFIO_IOMMU_GET_INFO:
	case VFIO_IOMMU_MAP_DMA:
	case VFIO_IOMMU_UNMAP_DMA:
		break;
	case VFIO_IOMMU_DIRTY_PAGES:
		if (ioas_iommu_may_track_dirty())
			break;
		fallthrough;
	default:
		return -ENOTTY;
	}

	type = READ_ONCE(ctx->container.type);
	if (!type)
		return -EINVAL;
	ioasid = get_designated(ctx);
	if (!ioasid)
		return -EINVAL;
	ret = ioasid_type1_ioctl(ioasid, type, nr, (void __user *)arg);
	ioasid_put(ioasid);
	return ret;
}
