// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attachments by requester id: which IOASID a group's DMA goes through.
 *
 * Invariants:
 *  - Routing by requester id belongs to the iommu group.  The first device that
 *    attaches takes the group along; siblings may join the same IOASID only;
 *    any that has joined may move all; the group is blocked when the last one
 *    detaches.
 *  - Siblings that were bound before the first attach are waited for: until
 *    they join or are unbound the IOASID takes no more mappings.
 *  - A group that cannot move stays where it is.
 *  - Every attached device counts in the space, which cannot be freed while it
 *    does.
 *
 * Locks: ioasid_group.lock around all of it, which is held while a domain is
 * filled; routes_lock around each change of who is attached, for those who look.
 */
#include <linux/iommu.h>
#include <linux/slab.h>

#include <trace/events/ioasid.h>

#include "device.h"

/* A sibling need not be waited for any more */
static void stop_waiting(struct ioasid_group *group, struct ioasid_device *idev)
{
	if (!idev->waiting)
		return;
	idev->waiting = false;
	if (!--group->waiting)
		ioas_set_partial(&group->ioasid->ioas, false);
}

/* A sibling of an attached device joins it */
static int attach_sibling(struct ioasid_device *idev)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	int ret;

	if (idev->attached)
		return 0;
	ret = ioas_hold(&group->ioasid->ioas, 1);
	if (ret)
		return ret;
	spin_lock(&ctx->routes_lock);
	idev->attached = true;
	group->attached++;
	stop_waiting(group, idev);
	spin_unlock(&ctx->routes_lock);
	return 0;
}

/* The first device of the group: the group goes from blocked to @ioasid */
static int attach_first(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr)
{
	struct ioas_attachment *attachment =
		ioasid_group_attachment(idev->group);
	struct ioasid_group *group = idev->group;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_device *other;
	unsigned int siblings = 0;
	int ret;

	list_for_each_entry(other, &group->devices, node)
		siblings += other != idev;

	ret = ioas_hold(&ioasid->ioas, 1);
	if (ret)
		return ret;
	/* Before the group gets there, so that no map slips in between */
	if (siblings)
		ioas_set_partial(&ioasid->ioas, true);
	attachment->group = group->group;
	attachment->dev = idev->dev;
	ret = ioas_attach(&ioasid->ioas, attachment, fault_addr);
	if (ret) {
		if (siblings)
			ioas_set_partial(&ioasid->ioas, false);
		ioas_release(&ioasid->ioas, 1);
		return ret;
	}

	refcount_inc(&ioasid->obj.users);
	spin_lock(&ctx->routes_lock);
	group->ioasid = ioasid;
	group->attached = 1;
	group->waiting = siblings;
	list_for_each_entry(other, &group->devices, node)
		other->waiting = other != idev;
	idev->attached = true;
	spin_unlock(&ctx->routes_lock);
	return 0;
}

/* All attached devices of the group go from one IOASID to another */
static int move_group(struct ioasid_device *idev, struct ioasid *ioasid,
		      u64 *fault_addr)
{
	struct ioasid_group *group = idev->group;
	struct ioas_attachment *from = ioasid_group_attachment(group);
	struct ioas_attachment *to =
		&group->attachment[!group->current_attachment];
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid *old = group->ioasid;
	bool must_block = ioas_attachment_must_block(from);
	bool poisoned = ioas_attachment_poisoned(from);
	int ret;

	ret = ioas_hold(&ioasid->ioas, group->attached);
	if (ret)
		return ret;
	if (group->waiting)
		ioas_set_partial(&ioasid->ioas, true);
	if (must_block)
		ioas_block(&old->ioas, from);
	to->group = group->group;
	to->dev = idev->dev;
	ret = ioas_attach(&ioasid->ioas, to, fault_addr);
	if (ret) {
		if (must_block && !poisoned)
			ioas_unblock(&old->ioas, from);
		if (group->waiting)
			ioas_set_partial(&ioasid->ioas, false);
		ioas_release(&ioasid->ioas, group->attached);
		return ret;
	}

	refcount_inc(&ioasid->obj.users);
	spin_lock(&ctx->routes_lock);
	group->ioasid = ioasid;
	group->current_attachment = !group->current_attachment;
	spin_unlock(&ctx->routes_lock);

	ioas_detach(&old->ioas, from, true);
	if (group->waiting)
		ioas_set_partial(&old->ioas, false);
	ioas_release(&old->ioas, group->attached);
	ioasid_put(old);
	return 0;
}

/**
 * ioasid_group_attach() - attach a device that is not emulated
 * @idev: the device
 * @ioasid: what to attach it to
 * @fault_addr: out on -EADDRINUSE
 *
 * Return: 0; -EBUSY, its group is attached elsewhere and the device is not;
 * -ENOENT, @ioasid is being freed; -EIO, it is poisoned; or the errors of
 * ioas_attach().
 */
int ioasid_group_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr)
{
	struct ioasid_group *group = idev->group;
	int ret;

	mutex_lock(&group->lock);
	if (!group->ioasid)
		ret = attach_first(idev, ioasid, fault_addr);
	else if (group->ioasid == ioasid)
		ret = attach_sibling(idev);
	else if (!idev->attached)
		ret = -EBUSY;
	else
		ret = move_group(idev, ioasid, fault_addr);
	mutex_unlock(&group->lock);
	return ret;
}

/* The group lock is held */
static void detach_locked(struct ioasid_device *idev)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid *ioasid = group->ioasid;
	struct ioasid_device *other;
	bool last;

	lockdep_assert_held(&group->lock);
	last = group->attached == 1;
	if (last)
		ioas_detach(&ioasid->ioas, ioasid_group_attachment(group),
			    false);
	spin_lock(&ctx->routes_lock);
	idev->attached = false;
	group->attached--;
	if (last) {
		list_for_each_entry(other, &group->devices, node)
			stop_waiting(group, other);
		group->ioasid = NULL;
	}
	spin_unlock(&ctx->routes_lock);
	ioas_release(&ioasid->ioas, 1);
	if (last)
		ioasid_put(ioasid);
}

/**
 * ioasid_group_detach() - detach a device that is not emulated
 * @idev: the device
 * @id: the IOASID that it is attached to, or 0 for whichever
 *
 * Return: 0; -ENOENT, it is not attached to it.
 */
int ioasid_group_detach(struct ioasid_device *idev, u32 id)
{
	struct ioasid_group *group = idev->group;
	int ret = 0;

	mutex_lock(&group->lock);
	if (!idev->attached || (id && group->ioasid->obj.id != id))
		ret = -ENOENT;
	else
		detach_locked(idev);
	mutex_unlock(&group->lock);
	return ret;
}

/**
 * ioasid_group_forget() - a device is about to be unbound
 * @idev: the device, not emulated; is detached, and nobody waits for it from
 *	here on
 */
void ioasid_group_forget(struct ioasid_device *idev)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_ctx *ctx = idev->obj.ctx;

	mutex_lock(&group->lock);
	if (idev->attached)
		detach_locked(idev);
	spin_lock(&ctx->routes_lock);
	stop_waiting(group, idev);
	list_del(&idev->node);
	spin_unlock(&ctx->routes_lock);
	mutex_unlock(&group->lock);
}

/**
 * ioasid_waits_for() - why an IOASID refuses mappings
 * @ioasid: the IOASID
 * @devid: out, id of a device that has to attach
 * @cookie: out, its cookie
 *
 * Return: whether there is such a device.
 */
bool ioasid_waits_for(struct ioasid *ioasid, u32 *devid, u64 *cookie)
{
	struct ioasid_ctx *ctx = ioasid->obj.ctx;
	struct ioasid_device *idev;
	struct ioasid_group *group;
	bool found = false;

	mutex_lock(&ctx->lock);
	spin_lock(&ctx->routes_lock);
	list_for_each_entry(group, &ctx->groups, node) {
		if (group->ioasid != ioasid || !group->waiting)
			continue;
		list_for_each_entry(idev, &group->devices, node) {
			if (!idev->waiting)
				continue;
			*devid = idev->obj.id;
			*cookie = idev->cookie;
			found = true;
			goto unlock;
		}
	}
unlock:
	spin_unlock(&ctx->routes_lock);
	mutex_unlock(&ctx->lock);
	return found;
}

/* A domain is poisoned: block the groups that are on it */
static void attach_poisoned(struct ioas *ioas)
{
	struct ioasid *ioasid = container_of(ioas, struct ioasid, ioas);
	struct ioasid_ctx *ctx = ioasid->obj.ctx;
	struct ioas_attachment *attachment;
	struct ioasid_group *group;
	bool on_it;

	mutex_lock(&ctx->lock);
	list_for_each_entry(group, &ctx->groups, node) {
		/* Not those that may be busy with an attach to something else */
		spin_lock(&ctx->routes_lock);
		on_it = group->ioasid == ioasid;
		spin_unlock(&ctx->routes_lock);
		if (!on_it)
			continue;
		mutex_lock(&group->lock);
		attachment = ioasid_group_attachment(group);
		if (group->ioasid == ioasid && ioas_attachment_poisoned(attachment)) {
			ioas_block(ioas, attachment);
			trace_ioasid_poison(ioasid->obj.id);
		}
		mutex_unlock(&group->lock);
	}
	mutex_unlock(&ctx->lock);
}

static bool attach_owns_file(struct ioas *ioas, struct file *file)
{
	struct ioasid *ioasid = container_of(ioas, struct ioasid, ioas);

	return ioasid_ctx_owns_file(ioasid->obj.ctx, file);
}

static const struct ioas_ops attach_ioas_ops = {
	.poisoned = attach_poisoned,
	.owns_file = attach_owns_file,
	.get = ioasid_ioas_get,
	.put = ioasid_ioas_put,
};

/**
 * ioasid_attach_init() - have address spaces tell of poison and ask for files
 */
void __init ioasid_attach_init(void)
{
	ioasid_set_ioas_ops(&attach_ioas_ops);
}
