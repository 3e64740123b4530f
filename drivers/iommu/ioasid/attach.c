// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attachments by requester id: the IOASID that translates the DMA of a group.
 *
 * Invariants:
 *  - Routing by requester id belongs to the iommu group.  The first device that
 *    attaches moves the whole group.  Its siblings may join the same IOASID
 *    only.  An attach of a joined device to another IOASID moves all of them.
 *    The last detach blocks the group.
 *  - While a sibling that was bound before the first attach has neither joined
 *    nor been unbound, the IOASID takes no new mappings.  ioas.partial and the
 *    device that is waited for change together, under routes_lock.
 *  - A group whose move fails stays attached where it was.  A driver that could
 *    not replace its domain may fail to attach it there again: then the group
 *    is detached.
 *  - Every attached device counts in ioas.devices.  An address space with
 *    attached devices cannot be freed.
 *
 * Waits: a domain may take long to populate, during which ioasid_group.lock and
 * ioas.attach_lock are held.  The populating thread stops at a fatal signal.
 * Attach and detach wait for these locks killably.  An unbind, and a move that
 * leaves its IOASID, cannot fail: they wait for one attach of a sibling and one
 * attach to the same IOASID.  A poisoned domain waits for neither: no domain of
 * its IOASID is populated from then on, and a thread that has the lock of a group
 * blocks it before it unlocks.
 *
 * Locks: ioasid_group.lock serialises attaches, moves and detaches of a group.
 * It is held while a domain is populated.  ioasid_ctx.routes_lock protects the
 * routes, too, for readers that must not wait for that.
 */
#include "device.h"

/* The IOASID takes mappings again when the last sibling stops waiting */
static void stop_waiting(struct ioasid_group *group, struct ioasid_device *idev)
{
	if (!idev->waiting)
		return;
	idev->waiting = false;
	if (!--group->waiting)
		ioas_set_partial(&group->ioasid->ioas, false);
}

/* A sibling joins the IOASID that its group is attached to */
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

/*
 * Begin to attach the group, or to move it.  If it waits for siblings no map
 * succeeds from here on.
 */
static void begin_route(struct ioasid_group *group, struct ioasid *ioasid)
{
	lockdep_assert_held(&ioasid->obj.ctx->routes_lock);
	group->next = ioasid;
	if (group->waiting)
		ioas_set_partial(&ioasid->ioas, true);
}

/* Undo begin_route() */
static void abort_route(struct ioasid_group *group)
{
	lockdep_assert_held(&group->next->obj.ctx->routes_lock);
	if (group->waiting)
		ioas_set_partial(&group->next->ioas, false);
	group->next = NULL;
}

/* The first device of the group: attach the blocked group to @ioasid */
static int attach_first(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr)
{
	struct ioas_attachment *attachment =
		ioasid_group_attachment(idev->group);
	struct ioasid_group *group = idev->group;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_device *other;
	int ret;

	ret = ioas_hold(&ioasid->ioas, 1);
	if (ret)
		return ret;
	spin_lock(&ctx->routes_lock);
	list_for_each_entry(other, &group->devices, node) {
		other->waiting = other != idev;
		group->waiting += other->waiting;
	}
	begin_route(group, ioasid);
	spin_unlock(&ctx->routes_lock);

	attachment->group = group->group;
	attachment->dev = idev->dev;
	ret = ioas_attach(&ioasid->ioas, attachment, fault_addr);
	if (ret) {
		spin_lock(&ctx->routes_lock);
		abort_route(group);
		group->waiting = 0;
		list_for_each_entry(other, &group->devices, node)
			other->waiting = false;
		spin_unlock(&ctx->routes_lock);
		ioas_release(&ioasid->ioas, 1);
		return ret;
	}

	refcount_inc(&ioasid->obj.users);
	spin_lock(&ctx->routes_lock);
	group->next = NULL;
	group->ioasid = ioasid;
	group->attached = 1;
	idev->attached = true;
	spin_unlock(&ctx->routes_lock);
	return 0;
}

/* The group was detached from its IOASID: all of its devices are, too */
static void end_route(struct ioasid_group *group)
{
	struct ioasid *ioasid = group->ioasid;
	unsigned int attached = group->attached;
	struct ioasid_ctx *ctx = ioasid->obj.ctx;
	struct ioasid_device *idev;

	lockdep_assert_held(&group->lock);
	spin_lock(&ctx->routes_lock);
	list_for_each_entry(idev, &group->devices, node) {
		idev->attached = false;
		stop_waiting(group, idev);
	}
	group->attached = 0;
	group->ioasid = NULL;
	spin_unlock(&ctx->routes_lock);
	ioas_release(&ioasid->ioas, attached);
	ioasid_put(ioasid);
}

/* Move all attached devices of the group from one IOASID to another */
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
	spin_lock(&ctx->routes_lock);
	begin_route(group, ioasid);
	spin_unlock(&ctx->routes_lock);
	to->group = group->group;
	to->dev = idev->dev;
	ret = must_block ? ioas_block_killable(&old->ioas, from) : 0;
	if (ret)
		must_block = false;
	else
		ret = ioas_attach(&ioasid->ioas, to, fault_addr);
	if (ret) {
		spin_lock(&ctx->routes_lock);
		abort_route(group);
		spin_unlock(&ctx->routes_lock);
		ioas_release(&ioasid->ioas, group->attached);
		if (must_block && !poisoned && ioas_unblock(&old->ioas, from)) {
			ioas_detach(&old->ioas, from, false);
			end_route(group);
			ret = -ENOTCONN;
		}
		return ret;
	}

	refcount_inc(&ioasid->obj.users);
	spin_lock(&ctx->routes_lock);
	group->next = NULL;
	group->ioasid = ioasid;
	group->current_attachment = !group->current_attachment;
	if (group->waiting)
		ioas_set_partial(&old->ioas, false);
	spin_unlock(&ctx->routes_lock);

	ioas_detach(&old->ioas, from, true);
	ioas_release(&old->ioas, group->attached);
	ioasid_put(old);
	return 0;
}

/**
 * ioasid_group_attach() - attach a device that is not emulated
 * @idev: the device
 * @ioasid: the IOASID
 * @fault_addr: out on -EADDRINUSE, the first mapped IOVA that @idev cannot use
 *
 * Context: may sleep, for as long as it takes to populate a domain.
 * Return: 0, or an error of ioas_attach(), or:
 * -EBUSY, the group is attached to another IOASID and the device is not;
 * -ENOENT, @ioasid is being freed;
 * -EIO, @ioasid is poisoned;
 * -ENOTCONN, the group could not be moved, and could not be attached
 * where it was: it is detached;
 * -EINTR, a fatal signal.
 */
int ioasid_group_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr)
{
	struct ioasid_group *group = idev->group;
	int ret;

	/* A sibling's attach may be long */
	if (mutex_lock_killable(&group->lock))
		return -EINTR;
	if (!group->ioasid)
		ret = attach_first(idev, ioasid, fault_addr);
	else if (group->ioasid == ioasid)
		ret = attach_sibling(idev);
	else if (!idev->attached)
		ret = -EBUSY;
	else
		ret = move_group(idev, ioasid, fault_addr);
	ioasid_group_unlock(group);
	return ret;
}

static int detach_locked(struct ioasid_device *idev, bool killable)
{
	struct ioasid_group *group = idev->group;
	struct ioas_attachment *attachment = ioasid_group_attachment(group);
	struct ioas *ioas = &group->ioasid->ioas;
	struct ioasid_ctx *ctx = idev->obj.ctx;

	lockdep_assert_held(&group->lock);
	if (group->attached == 1) {
		if (!killable)
			ioas_detach(ioas, attachment, false);
		else if (ioas_detach_killable(ioas, attachment))
			return -EINTR;
		end_route(group);
		return 0;
	}
	spin_lock(&ctx->routes_lock);
	idev->attached = false;
	group->attached--;
	spin_unlock(&ctx->routes_lock);
	ioas_release(ioas, 1);
	return 0;
}

/**
 * ioasid_group_detach() - detach a device that is not emulated
 * @idev: the device
 * @id: the IOASID that the device is attached to, or 0 for any
 *
 * Context: may sleep.
 * Return: 0; -ENOENT, the device is not attached to it; -EINTR, a fatal signal.
 */
int ioasid_group_detach(struct ioasid_device *idev, u32 id)
{
	struct ioasid_group *group = idev->group;
	int ret;

	if (mutex_lock_killable(&group->lock))
		return -EINTR;
	if (!idev->attached || (id && group->ioasid->obj.id != id))
		ret = -ENOENT;
	else
		ret = detach_locked(idev, true);
	ioasid_group_unlock(group);
	return ret;
}

/**
 * ioasid_group_forget() - remove a device from its group
 * @idev: the device, not emulated
 *
 * The device is detached, and its IOASID does not wait for it from here on.
 *
 * Context: may sleep.
 */
void ioasid_group_forget(struct ioasid_device *idev)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_ctx *ctx = idev->obj.ctx;

	mutex_lock(&group->lock);
	if (idev->attached)
		detach_locked(idev, false);
	spin_lock(&ctx->routes_lock);
	stop_waiting(group, idev);
	list_del(&idev->node);
	spin_unlock(&ctx->routes_lock);
	ioasid_group_unlock(group);
}

/**
 * ioasid_waits_for() - find a device that an IOASID waits for
 * @ioasid: the IOASID
 * @devid: out, id of a device that has to attach
 * @cookie: out, its cookie
 *
 * Context: may sleep.
 * Return: true if there is one; the IOASID takes no new mappings then.
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
		if ((group->ioasid != ioasid && group->next != ioasid) ||
		    !group->waiting)
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

static bool is_routed_to(struct ioasid_group *group, struct ioasid *ioasid)
{
	struct ioasid_ctx *ctx = ioasid->obj.ctx;
	bool routed;

	spin_lock(&ctx->routes_lock);
	routed = group->ioasid == ioasid || group->next == ioasid;
	spin_unlock(&ctx->routes_lock);
	return routed;
}

/* A domain is poisoned: block the groups that are on it */
static void attach_poisoned(struct ioas *ioas)
{
	struct ioasid *ioasid = container_of(ioas, struct ioasid, ioas);
	struct ioasid_ctx *ctx = ioasid->obj.ctx;
	struct ioasid_group *group;

	mutex_lock(&ctx->lock);
again:
	list_for_each_entry(group, &ctx->groups, node) {
		if (!is_routed_to(group, ioasid))
			continue;
		WRITE_ONCE(group->poisoned, true);
		/* Pairs with ioasid_group_unlock() */
		smp_mb();
		/* A thread that has the lock, maybe for long, does it then */
		if (!mutex_trylock(&group->lock))
			continue;
		ioasid_group_visit(ctx, group);
		ioasid_group_unlock(group);
		if (!ioasid_group_leave(ctx, group))
			goto again;
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
 * ioasid_attach_init() - register the callbacks of address spaces
 */
void __init ioasid_attach_init(void)
{
	ioasid_set_ioas_ops(&attach_ioas_ops);
}
