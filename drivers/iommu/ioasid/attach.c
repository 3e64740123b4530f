// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attachments, and the IOASID that translates the DMA of a group.
 *
 * Invariants:
 *  - Only a struct ioasid_attachment routes.  A group has one by requester id,
 *    ioasid_group.rid; while it moves it has a second one, ioasid_group.next.
 *    ioasid_device.attachments has, by PASID, those of the device: with
 *    IOMMU_NO_PASID that of its group, once the device has joined it, or its
 *    own if it is emulated; with a PASID see pasid.c.
 *  - A place in ioasid_device.attachments is reserved before an attach begins,
 *    so that no route needs memory to take effect, to change or to end.  It is
 *    reserved, and given back, with attaches of the device serialised.
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
#include <linux/slab.h>

#include <trace/events/ioasid.h>

#include "attach.h"
#include "kind_map.h"

/**
 * ioasid_attachment_alloc() - allocate an attachment
 * @idev: the device, or one of the devices of the group, that is to be attached
 * @ioasid: the IOASID; the attachment holds a reference
 * @vpasid: the PASID of user space; IOMMU_NO_PASID, by requester id
 *
 * Its place in ioasid_device.attachments is not reserved: that is for the thread
 * which serialises attaches of @idev.
 *
 * Context: may sleep.
 * Return: the attachment, which routes nothing yet; or NULL.
 */
struct ioasid_attachment *ioasid_attachment_alloc(struct ioasid_device *idev,
						  struct ioasid *ioasid,
						  u32 vpasid)
{
	struct ioasid_attachment *attachment;

	attachment = kzalloc(sizeof(*attachment), GFP_KERNEL_ACCOUNT);
	if (!attachment)
		return NULL;
	attachment->vpasid = vpasid;
	attachment->ioasid = ioasid;
	refcount_inc(&ioasid->obj.users);
	attachment->group = idev->group;
	if (idev->group) {
		attachment->domain.group = idev->group->group;
		attachment->domain.dev = idev->dev;
		attachment->domain.recorded = ioasid_device_records(idev);
		/* It has a number only while work goes on */
		attachment->domain.pasid = attachment->domain.recorded ?
						   IOMMU_PASID_INVALID : vpasid;
		if (idev->numbers == IOASID_NUMBERS_TABLES)
			attachment->domain.by = &idev->by;
		attachment->domain.home = idev->home;
		if (idev->home)
			attachment->domain.limit = &idev->by.range;
		attachment->domain.faults = (ioasid->faults ||
					     ioasid_served_queue(ioasid)) &&
					    !attachment->domain.by;
	}
	if (!idev->group || vpasid != IOMMU_NO_PASID || idev->numbers)
		attachment->device = idev;
	return attachment;
}

/**
 * ioasid_attachment_free() - free an attachment
 * @attachment: the attachment, which routes nothing; or NULL
 *
 * Context: may sleep.
 */
void ioasid_attachment_free(struct ioasid_attachment *attachment)
{
	if (!attachment)
		return;
	ioasid_put(attachment->ioasid);
	kfree(attachment);
}

/**
 * ioasid_device_route() - set the attachment of a device by requester id
 * @idev: the device
 * @attachment: the attachment; NULL for none
 */
void ioasid_device_route(struct ioasid_device *idev,
			 struct ioasid_attachment *attachment)
{
	lockdep_assert_held(&idev->obj.ctx->routes_lock);
	/* The place is reserved: this allocates nothing */
	if (attachment)
		xa_store(&idev->attachments, IOMMU_NO_PASID, attachment, 0);
	else
		xa_erase(&idev->attachments, IOMMU_NO_PASID);
}

static void set_partial(const struct ioasid_attachment *attachment,
			bool partial)
{
	ioasid_attachment_ops(attachment)->set_partial(attachment->ioasid, partial);
}

static void block_poisoned(struct ioasid_attachment *attachment)
{
	struct ioasid *ioasid = attachment->ioasid;
	bool blocked;

	if (attachment->domain.recorded)
		blocked = ioasid_work_block(attachment);
	else
		blocked = ioasid_attachment_ops(attachment)->block_poisoned(ioasid,
									    attachment);
	if (blocked)
		trace_ioasid_poison(ioasid->obj.id);
}

static void block_all_poisoned(struct ioasid_group *group)
{
	struct ioasid_attachment *attachment;

	lockdep_assert_held(&group->lock);
	if (group->rid)
		block_poisoned(group->rid);
	list_for_each_entry(attachment, &group->pasids, node) {
		block_poisoned(attachment);
		cond_resched();
	}
}

/**
 * ioasid_group_unlock() - unlock a group
 * @group: the group
 *
 * Blocks those of its routes that are on a domain that was poisoned.
 *
 * Context: may sleep.
 */
void ioasid_group_unlock(struct ioasid_group *group)
{
	do {
		if (unlikely(READ_ONCE(group->poisoned))) {
			/* Clear it before reading what is poisoned */
			smp_store_mb(group->poisoned, false);
			block_all_poisoned(group);
		}
		mutex_unlock(&group->lock);
		/* Pairs with attach_poisoned(), which may not get the lock */
		smp_mb();
	} while (unlikely(READ_ONCE(group->poisoned)) &&
		 mutex_trylock(&group->lock));
}

/* The IOASID takes mappings again when the last sibling stops waiting */
static void stop_waiting(struct ioasid_group *group, struct ioasid_device *idev)
{
	if (!idev->waiting)
		return;
	idev->waiting = false;
	if (!--group->rid->waiting)
		set_partial(group->rid, false);
}

/* A sibling joins the IOASID that its group is attached to */
static int attach_sibling(struct ioasid_device *idev)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_attachment *rid = group->rid;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	int ret;

	if (ioasid_device_rid(idev))
		return 0;
	ret = ioasid_attachment_hold(rid, 1);
	if (ret)
		return ret;
	ret = ioasid_route_faults(rid, idev, &idev->faults);
	if (ret) {
		ioasid_attachment_release(rid, 1);
		return ret;
	}
	ioas_fault_route_begin(NULL, idev->faults);
	spin_lock(&ctx->routes_lock);
	ioasid_device_route(idev, rid);
	rid->devices++;
	stop_waiting(group, idev);
	spin_unlock(&ctx->routes_lock);
	return 0;
}

/*
 * Begin to attach the group, or to move it.  If it waits for siblings no map
 * succeeds from here on.
 */
static void begin_route(struct ioasid_group *group,
			struct ioasid_attachment *next)
{
	lockdep_assert_held(&next->ioasid->obj.ctx->routes_lock);
	group->next = next;
	if (next->waiting)
		set_partial(next, true);
}

/* Undo begin_route() */
static void abort_route(struct ioasid_group *group)
{
	struct ioasid_attachment *next = group->next;

	lockdep_assert_held(&next->ioasid->obj.ctx->routes_lock);
	if (next->waiting)
		set_partial(next, false);
	group->next = NULL;
}

/* The first device of the group: attach the blocked group */
static int attach_first(struct ioasid_device *idev,
			struct ioasid_attachment *next, u64 *fault_addr)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_device *other;
	int ret;

	ret = ioasid_attachment_hold(next, 1);
	if (ret)
		return ret;
	ret = ioasid_route_faults(next, idev, &idev->faults);
	if (ret)
		goto err_release;
	spin_lock(&ctx->routes_lock);
	next->devices = 1;
	list_for_each_entry(other, &group->devices, node) {
		other->waiting = other != idev;
		next->waiting += other->waiting;
	}
	begin_route(group, next);
	spin_unlock(&ctx->routes_lock);

	ioas_fault_route_begin(NULL, idev->faults);
	ret = ioasid_attachment_ops(next)->attach(next->ioasid, next, fault_addr);
	spin_lock(&ctx->routes_lock);
	if (ret) {
		abort_route(group);
		list_for_each_entry(other, &group->devices, node)
			other->waiting = false;
	} else {
		group->next = NULL;
		group->rid = next;
		ioasid_device_route(idev, next);
	}
	spin_unlock(&ctx->routes_lock);
	if (!ret)
		return 0;
	ioas_fault_route_abort(NULL, idev->faults);
	idev->faults = NULL;
err_release:
	ioasid_attachment_release(next, 1);
	return ret;
}

/* The group was detached from its IOASID: all of its devices are, too */
static void end_route(struct ioasid_group *group)
{
	struct ioasid_attachment *rid = group->rid;
	struct ioasid_ctx *ctx = rid->ioasid->obj.ctx;
	struct ioasid_device *idev;

	lockdep_assert_held(&group->lock);
	ioasid_group_end_faults(group);
	spin_lock(&ctx->routes_lock);
	list_for_each_entry(idev, &group->devices, node) {
		ioasid_device_route(idev, NULL);
		stop_waiting(group, idev);
	}
	group->rid = NULL;
	spin_unlock(&ctx->routes_lock);
	ioasid_attachment_release(rid, rid->devices);
	ioasid_attachment_free(rid);
}

/*
 * A group could not be attached elsewhere.  Where it was blocked for that, attach
 * it again where it was, unless it is poisoned there.
 */
static int go_back(struct ioasid_group *group, int ret)
{
	struct ioasid_attachment *rid = group->rid;

	if (!ioasid_attachment_ops(rid)->abort_move(rid->ioasid, rid))
		return ret;
	ioasid_attachment_ops(rid)->detach(rid->ioasid, rid, IOASID_DETACH_BLOCK);
	end_route(group);
	return -ENOTCONN;
}

/* Move all attached devices of the group from one IOASID to another */
static int move_group(struct ioasid_device *idev,
		      struct ioasid_attachment *next, u64 *fault_addr)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_attachment *rid = group->rid;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_device *other;
	int ret, blocked;

	ret = ioasid_attachment_hold(next, rid->devices);
	if (ret)
		return ret;
	ret = ioasid_group_begin_faults(group, next);
	if (ret) {
		ioasid_attachment_release(next, rid->devices);
		return ret;
	}
	spin_lock(&ctx->routes_lock);
	next->devices = rid->devices;
	next->waiting = rid->waiting;
	begin_route(group, next);
	spin_unlock(&ctx->routes_lock);

	blocked = ioasid_attachment_ops(rid)->begin_move(rid->ioasid, rid, false);
	ret = blocked < 0 ? blocked :
			    ioasid_attachment_ops(next)->attach(next->ioasid, next, fault_addr);
	if (ret) {
		spin_lock(&ctx->routes_lock);
		abort_route(group);
		spin_unlock(&ctx->routes_lock);
		ioasid_group_finish_faults(group, false);
		ioasid_attachment_release(next, next->devices);
		return blocked < 0 ? ret : go_back(group, ret);
	}

	spin_lock(&ctx->routes_lock);
	group->next = NULL;
	group->rid = next;
	list_for_each_entry(other, &group->devices, node)
		if (ioasid_device_rid(other))
			ioasid_device_route(other, next);
	if (rid->waiting)
		set_partial(rid, false);
	spin_unlock(&ctx->routes_lock);
	ioasid_group_finish_faults(group, true);

	ioasid_attachment_ops(rid)->detach(rid->ioasid, rid, IOASID_DETACH_MOVED);
	ioasid_attachment_release(rid, rid->devices);
	ioasid_attachment_free(rid);
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
 * -EBUSY, the group is attached to another IOASID and the device is not; or
 * @ioasid takes PASIDs, and some are attached;
 * -ENOENT, @ioasid is being freed;
 * -EMEDIUMTYPE, @ioasid mirrors a process, or pins memory on demand, and the device has
 * no page requests that can be answered;
 * -EIO, @ioasid is poisoned;
 * -EOPNOTSUPP, no group can attach to the kind of @ioasid;
 * -ENOTCONN, the group could not be moved, and could not be attached where it
 * was: it is detached;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
int ioasid_group_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u64 *fault_addr)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_attachment *next, *unused;
	int ret = -EINTR;

	/* Not with the lock held: memory may take long to be allocated */
	next = ioasid_attachment_alloc(idev, ioasid, IOMMU_NO_PASID);
	if (!next)
		return -ENOMEM;
	unused = next;
	/* A sibling's attach may be long */
	if (mutex_lock_killable(&group->lock))
		goto out;
	if (xa_reserve(&idev->attachments, IOMMU_NO_PASID, GFP_KERNEL_ACCOUNT))
		ret = -ENOMEM;
	/* Its PASIDs would be those of a table of user space */
	else if (ioasid_kind_of(ioasid)->takes_pasids && !list_empty(&group->pasids))
		ret = -EBUSY;
	else if (!group->rid)
		ret = attach_first(idev, next, fault_addr);
	else if (group->rid->ioasid == ioasid)
		ret = attach_sibling(idev);
	else if (!ioasid_device_rid(idev))
		ret = -EBUSY;
	else
		ret = move_group(idev, next, fault_addr);
	if (group->rid == next)
		unused = NULL;
	/* Only if the place was not taken */
	xa_release(&idev->attachments, IOMMU_NO_PASID);
	ioasid_group_unlock(group);
out:
	ioasid_attachment_free(unused);
	return ret;
}

static int detach_locked(struct ioasid_device *idev, enum ioasid_detach how)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_attachment *rid = group->rid;
	struct ioasid_ctx *ctx = idev->obj.ctx;
	int ret;

	lockdep_assert_held(&group->lock);
	ioas_fault_route_begin(idev->faults, NULL);
	if (rid->devices == 1) {
		ret = ioasid_attachment_ops(rid)->detach(rid->ioasid, rid, how);
		if (ret) {
			ioas_fault_route_abort(idev->faults, NULL);
			return ret;
		}
		end_route(group);
		return 0;
	}
	ioasid_device_end_faults(idev);
	spin_lock(&ctx->routes_lock);
	ioasid_device_route(idev, NULL);
	rid->devices--;
	spin_unlock(&ctx->routes_lock);
	ioasid_attachment_release(rid, 1);
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
	struct ioasid_attachment *rid;
	int ret;

	if (mutex_lock_killable(&group->lock))
		return -EINTR;
	rid = ioasid_device_rid(idev);
	if (!rid || (id && rid->ioasid->obj.id != id))
		ret = -ENOENT;
	else
		ret = detach_locked(idev, IOASID_DETACH_KILLABLE);
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
	if (ioasid_device_rid(idev))
		detach_locked(idev, IOASID_DETACH_BLOCK);
	spin_lock(&ctx->routes_lock);
	stop_waiting(group, idev);
	list_del(&idev->node);
	spin_unlock(&ctx->routes_lock);
	ioasid_group_unlock(group);
}

static bool is_to(const struct ioasid_attachment *attachment,
		  const struct ioasid *ioasid)
{
	return attachment && attachment->ioasid == ioasid;
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
		if (!is_to(group->rid, ioasid) && !is_to(group->next, ioasid))
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

static bool is_through(const struct ioasid_attachment *attachment,
		       const struct ioas *ioas)
{
	return attachment &&
	       ioasid_attachment_ops(attachment)->is_through(attachment->ioasid, ioas);
}

/* Test whether the DMA of a group may go through the domains of @ioas */
static bool is_routed_through(struct ioasid_ctx *ctx,
			      struct ioasid_group *group,
			      const struct ioas *ioas)
{
	bool routed;

	spin_lock(&ctx->routes_lock);
	/* There may be many PASIDs: they are looked at when it is unlocked */
	routed = is_through(group->rid, ioas) || is_through(group->next, ioas) ||
		 !list_empty(&group->pasids);
	spin_unlock(&ctx->routes_lock);
	return routed;
}

/* Block those of the groups, and of their PASIDs, that are on a poisoned domain */
static void block_groups(struct ioasid_ctx *ctx, struct list_head *groups,
			 struct ioas *ioas)
{
	struct ioasid_group *group;
	struct list_head *at, *next;

	lockdep_assert_held(&ctx->lock);
	for (at = groups->next; at != groups; at = next) {
		cond_resched();
		group = list_entry(at, struct ioasid_group, node);
		next = at->next;
		if (!is_routed_through(ctx, group, ioas))
			continue;
		WRITE_ONCE(group->poisoned, true);
		/* Pairs with ioasid_group_unlock() */
		smp_mb();
		/* A thread that has the lock, maybe for long, does it then */
		if (!mutex_trylock(&group->lock))
			continue;
		ioasid_group_visit(ctx, group);
		ioasid_group_unlock(group);
		next = ioasid_group_leave(ctx, group);
	}
}

static void attach_changed(struct ioas *ioas)
{
	ioasid_object_event(&ioasid_of(ioas)->obj);
}

/* A domain is poisoned: block the groups and the PASIDs that are on it */
static void attach_poisoned(struct ioas *ioas)
{
	struct ioasid_ctx *ctx = ioasid_of(ioas)->obj.ctx;
	struct ioas_stats stats;

	ioas_get_stats(ioas, &stats);
	/* A failure may have left nothing behind that a device can reach */
	if (stats.state & IOASID_STATE_POISONED)
		attach_changed(ioas);
	mutex_lock(&ctx->lock);
	block_groups(ctx, &ctx->groups, ioas);
	block_groups(ctx, &ctx->shared, ioas);
	mutex_unlock(&ctx->lock);
}

static bool attach_owns_file(struct ioas *ioas, struct file *file)
{
	return ioasid_ctx_owns_file(ioasid_of(ioas)->obj.ctx, file);
}

static int attach_watch(struct ioas *ioas, struct file *file, u64 offset,
			u64 length, struct ioasid_region *region,
			const struct ioasid_device_ops **how)
{
	return ioasid_ctx_watch(ioasid_of(ioas)->obj.ctx, file, offset, length,
				region, how);
}

static const struct ioas_ops attach_ioas_ops = {
	.changed = attach_changed,
	.poisoned = attach_poisoned,
	.owns_file = attach_owns_file,
	.watch = attach_watch,
	.unwatch = ioasid_unwatch,
	.get = ioasid_ioas_get,
	.put = ioasid_ioas_put,
};

/**
 * ioasid_attach_init() - register the callbacks of address spaces
 */
void __init ioasid_attach_init(void)
{
	ioasid_map_set_ioas_ops(&attach_ioas_ops);
}
