// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attachments by PASID: DMA that a device tags with a PASID goes to an IOASID of
 * its own.
 *
 * Invariants:
 *  - A device that VFIO hands out whole has its PASIDs to itself, since the claim
 *    of its group keeps all other owners off: the vPASID of user space is the
 *    PASID on the wire.
 *  - Of a device that its kernel driver shares among users, the PASID on the wire
 *    is of number.c.  There, the vPASID IOMMU_NO_PASID is that of DMA which user
 *    space would do by requester id.
 *  - A PASID belongs to one device, which is alone in its group.  It routes
 *    neither the DMA of another PASID nor that of the requester id, and needs
 *    neither.
 *  - The order of a detach makes the reuse of a number safe: the IOMMU driver
 *    blocks the PASID, flushes its translations and drains its page requests;
 *    then the attachment leaves the IOASID; then all that wait are answered; then
 *    the number is free.
 *  - A move that fails leaves the PASID where it was.  A driver that cannot
 *    replace a domain may fail to attach it there again: then it is detached.
 *  - An attachment counts in ioas.devices, ioasid_device.nr_pasids and
 *    ioasid_ctx.nr_pasids, from before it takes effect until after its end.
 *  - A recorded attachment, of a driver that takes PASIDs only to work, has no number
 *    here, counts not in ioasid_ctx.nr_pasids, and routes nothing: pasid_work.c gives
 *    it all that.  To move one ends its work.
 *  - The tables of a device that translates by itself are attached like its PASIDs,
 *    and counted like them but for ioasid_ctx.nr_pasids.  They have numbers, too,
 *    which are no PASIDs.
 *  - A number that was chosen for an attach is IOASID_PASID_RESERVED until that
 *    attach begins: user space has been told the number by then.
 *
 * Waits: as those of attach.c.
 *
 * Locks: ioasid_group.lock serialises attaches, moves and detaches.  It is held
 * while a domain is populated.  ioasid_ctx.routes_lock protects the attachments,
 * too, for readers that must not wait for that.  ioasid_device.work_lock, inside of
 * ioasid_group.lock, keeps work from what a move or a detach takes away.
 */
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "attach.h"
#include "number.h"

/* The largest PASID of a device, or an errno; the caller keeps the device bound */
static int check_device(struct ioasid_device *idev, u32 *last)
{
	u32 pasids;

	if (idev->nr_asids) {
		*last = idev->nr_asids - 1;
		return idev->numbers ? 0 : -EOPNOTSUPP;
	}
	if (!idev->group || !idev->dev)
		return -EOPNOTSUPP;
	pasids = ioas_iommu_max_pasids(idev->dev);
	if (pasids < 2 || !ioas_iommu_is_singleton(idev->group->group))
		return -EOPNOTSUPP;
	*last = pasids - 1;
	return 0;
}

/* DMA of a shared device by requester id is that of its driver: see ioasid_attach() */
static bool is_vpasid(const struct ioasid_device *idev, u32 vpasid)
{
	return vpasid != IOMMU_NO_PASID || idev->numbers;
}

/* The attachment by a PASID, or NULL */
static struct ioasid_attachment *find(struct ioasid_device *idev, u32 vpasid)
{
	void *entry = xa_load(&idev->attachments, vpasid);

	return xa_is_value(entry) ? NULL : entry;
}

/* Count an attachment, up to the limit of the context */
static bool count_pasid(const struct ioasid_device *idev)
{
	return idev->nr_asids || ioasid_numbers_count(idev->obj.ctx);
}

static void uncount_pasid(const struct ioasid_device *idev)
{
	if (!idev->nr_asids)
		ioasid_numbers_uncount(idev->obj.ctx);
}

/**
 * ioasid_pasid_attached() - test whether a device is attached by PASID
 * @idev: the device
 * @ioasid: to this IOASID
 *
 * Context: may sleep.
 * Return: true if one of its PASIDs is.
 */
bool ioasid_pasid_attached(struct ioasid_device *idev,
			   const struct ioasid *ioasid)
{
	struct ioasid_attachment *attachment;
	unsigned long at = IOMMU_NO_PASID;
	bool found = false;

	while (!found) {
		spin_lock(&idev->obj.ctx->routes_lock);
		attachment = xa_find_after(&idev->attachments, &at, ULONG_MAX,
					   XA_PRESENT);
		found = attachment && !xa_is_value(attachment) &&
			attachment->ioasid == ioasid;
		spin_unlock(&idev->obj.ctx->routes_lock);
		if (!attachment)
			break;
		cond_resched();
	}
	return found;
}

/**
 * ioasid_pasid_reserve() - choose a PASID of a device for an attach
 * @idev: the device
 * @vpasid: out, the number; ioasid_pasid_attach() with IOASID_ATTACH_PASID_ANY
 *	or ioasid_pasid_unreserve() follows
 *
 * Context: may sleep.
 * Return: 0;
 * -EOPNOTSUPP, the device has no PASIDs, or is not alone in its group;
 * -ENOSPC, all are in use;
 * -ENOMEM.
 */
int ioasid_pasid_reserve(struct ioasid_device *idev, u32 *vpasid)
{
	u32 last;
	int ret = check_device(idev, &last);

	if (ret)
		return ret;
	ret = xa_alloc(&idev->attachments, vpasid, IOASID_PASID_RESERVED,
		       XA_LIMIT(IOMMU_NO_PASID + 1, last), GFP_KERNEL_ACCOUNT);
	return ret == -EBUSY ? -ENOSPC : ret;
}

/**
 * ioasid_pasid_unreserve() - undo ioasid_pasid_reserve()
 * @idev: the device
 * @vpasid: the number, reserved or attached since
 */
void ioasid_pasid_unreserve(struct ioasid_device *idev, u32 vpasid)
{
	xa_cmpxchg(&idev->attachments, vpasid, IOASID_PASID_RESERVED, NULL, 0);
}

static void add_route(struct ioasid_attachment *attachment)
{
	struct ioasid_ctx *ctx = attachment->device->obj.ctx;

	/* From here on the poison of its IOASID is seen */
	spin_lock(&ctx->routes_lock);
	attachment->devices = 1;
	list_add(&attachment->node, &attachment->group->pasids);
	spin_unlock(&ctx->routes_lock);
}

/* Make an attachment visible in place of @old, or of none */
static void set_route(struct ioasid_attachment *attachment,
		      struct ioasid_attachment *old)
{
	struct ioasid_device *idev = attachment->device;
	struct ioasid_ctx *ctx = idev->obj.ctx;

	spin_lock(&ctx->routes_lock);
	/* The place is reserved: this allocates nothing */
	xa_store(&idev->attachments, attachment->vpasid, attachment, 0);
	if (old)
		list_del(&old->node);
	else
		WRITE_ONCE(idev->nr_pasids, idev->nr_pasids + 1);
	spin_unlock(&ctx->routes_lock);
}

/* Undo add_route(): the attachment did not take effect */
static void remove_route(struct ioasid_attachment *attachment)
{
	struct ioasid_ctx *ctx = attachment->device->obj.ctx;

	spin_lock(&ctx->routes_lock);
	list_del(&attachment->node);
	spin_unlock(&ctx->routes_lock);
}

/* The PASID was detached from its IOASID: from here on its number is free */
static void end_route(struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;
	struct ioasid_ctx *ctx = idev->obj.ctx;

	lockdep_assert_held(&attachment->group->lock);
	ioas_fault_route_commit(attachment->faults, NULL, false);
	spin_lock(&ctx->routes_lock);
	xa_erase(&idev->attachments, attachment->vpasid);
	list_del(&attachment->node);
	WRITE_ONCE(idev->nr_pasids, idev->nr_pasids - 1);
	spin_unlock(&ctx->routes_lock);
	ioasid_attachment_release(attachment, 1);
	if (attachment->domain.recorded) {
		ioasid_work_drop(attachment);
	} else {
		ioasid_number_put(attachment);
		uncount_pasid(idev);
	}
	ioasid_attachment_free(attachment);
}

/* The attachment has moved: nothing is led by the old one any longer */
static void end_moved(struct ioasid_attachment *old)
{
	ioasid_attachment_ops(old)->detach(old->ioasid, old, IOASID_DETACH_MOVED);
	ioasid_attachment_release(old, 1);
	ioasid_attachment_free(old);
}

/*
 * Attach in place of @old, or of none, where an attach is only recorded.  Neither of
 * them is led anywhere by that, so that a failure leaves @old as it was.
 */
static int record(struct ioasid_attachment *next, struct ioasid_attachment *old,
		  u64 *fault_addr)
{
	struct ioasid_device *idev = next->device;
	int ret;

	ret = old ? 0 : ioasid_work_hold(next);
	if (ret)
		return ret;
	ret = ioasid_attachment_hold(next, 1);
	if (ret)
		goto err_work;
	add_route(next);
	ret = ioasid_attachment_ops(next)->attach(next->ioasid, next, fault_addr);
	if (ret)
		goto err_route;
	mutex_lock(&idev->work_lock);
	if (old)
		ioasid_work_end(old);
	set_route(next, old);
	mutex_unlock(&idev->work_lock);
	if (old)
		end_moved(old);
	return 0;

err_route:
	remove_route(next);
	ioasid_attachment_release(next, 1);
err_work:
	if (!old)
		ioasid_work_drop(next);
	return ret;
}

static int attach_first(struct ioasid_attachment *next, u64 *fault_addr)
{
	int ret;

	if (next->domain.recorded)
		return record(next, NULL, fault_addr);
	if (!count_pasid(next->device))
		return -EDQUOT;
	ret = ioasid_number_get(next);
	if (ret)
		goto err_count;
	ret = ioasid_attachment_hold(next, 1);
	if (ret)
		goto err_number;
	ret = ioasid_route_faults(next, next->device, &next->faults);
	if (ret)
		goto err_release;
	add_route(next);
	ioas_fault_route_begin(NULL, next->faults);
	ret = ioasid_attachment_ops(next)->attach(next->ioasid, next,
						  fault_addr);
	if (ret)
		goto err_route;
	set_route(next, NULL);
	return 0;

err_route:
	ioas_fault_route_abort(NULL, next->faults);
	next->faults = NULL;
	remove_route(next);
err_release:
	ioasid_attachment_release(next, 1);
err_number:
	ioasid_number_put(next);
err_count:
	uncount_pasid(next->device);
	return ret;
}

/* A PASID could not be attached elsewhere: it may have been blocked for that */
static int go_back(struct ioasid_attachment *old, int ret)
{
	const struct ioasid_kind_ops *ops = ioasid_attachment_ops(old);

	if (!ops->abort_move(old->ioasid, old))
		return ret;
	ops->detach(old->ioasid, old, IOASID_DETACH_BLOCK);
	end_route(old);
	return -ENOTCONN;
}

static void abort_move(struct ioasid_attachment *old,
		       struct ioasid_attachment *next)
{
	ioas_fault_route_abort(old->faults, next->faults);
	next->faults = NULL;
	remove_route(next);
	ioasid_attachment_release(next, 1);
}

static int move(struct ioasid_attachment *old, struct ioasid_attachment *next,
		bool hitless, u64 *fault_addr)
{
	const struct ioasid_kind_ops *ops = ioasid_attachment_ops(old);
	int ret, blocked;

	/* The work ends, and the PASID is blocked in between */
	if (next->domain.recorded)
		return hitless ? -EOPNOTSUPP : record(next, old, fault_addr);
	/* A common number belongs to one IOASID: it cannot move */
	if (next->device->numbers == IOASID_NUMBERS_COMMON)
		return -EEXIST;
	ret = ioasid_attachment_hold(next, 1);
	if (ret)
		return ret;
	/* The number moves, too */
	next->domain.pasid = old->domain.pasid;
	ret = ioasid_route_faults(next, next->device, &next->faults);
	if (ret) {
		ioasid_attachment_release(next, 1);
		return ret;
	}
	add_route(next);
	ioas_fault_route_begin(old->faults, next->faults);
	blocked = ops->begin_move(old->ioasid, old, hitless);
	if (blocked < 0) {
		abort_move(old, next);
		return blocked;
	}
	/* What it is on now, if that is not blocked */
	next->domain.on = old->domain.on;
	ioasid_number_move(old, next);
	ret = ioasid_attachment_ops(next)->attach(next->ioasid, next,
						  fault_addr);
	if (ret) {
		ioasid_number_move(next, old);
		abort_move(old, next);
		return go_back(old, ret);
	}
	set_route(next, old);
	ioas_fault_route_commit(old->faults, next->faults, true);
	old->faults = NULL;
	end_moved(old);
	return 0;
}

/* Returns 0 also if @next is not needed: it is not attached then */
static int attach_locked(struct ioasid_attachment *next, u32 flags,
			 u64 *fault_addr)
{
	struct ioasid_device *idev = next->device;
	struct ioasid_attachment *old;
	void *entry;

	lockdep_assert_held(&next->group->lock);
	/* A number that was chosen has its place */
	if (xa_reserve(&idev->attachments, next->vpasid, GFP_KERNEL_ACCOUNT))
		return -ENOMEM;
	entry = xa_load(&idev->attachments, next->vpasid);
	/* All PASIDs of the device are in a table of user space */
	if (next->group->rid &&
	    ioasid_attachment_ops(next->group->rid)->takes_pasids)
		return -EBUSY;
	/* A number that was chosen is for that attach only */
	if (flags & IOASID_ATTACH_PASID_ANY) {
		if (entry != IOASID_PASID_RESERVED)
			return -EEXIST;
		return attach_first(next, fault_addr);
	}
	if (!entry)
		return attach_first(next, fault_addr);
	if (flags & IOASID_ATTACH_NEW || xa_is_value(entry))
		return -EEXIST;
	old = entry;
	if (old->ioasid == next->ioasid)
		return 0;
	return move(old, next, flags & IOASID_ATTACH_HITLESS, fault_addr);
}

/**
 * ioasid_pasid_attach() - attach a PASID of a device, or move it
 * @idev: the device
 * @ioasid: the IOASID
 * @vpasid: the PASID; with IOASID_ATTACH_PASID_ANY it was reserved by
 *	ioasid_pasid_reserve(), and stays so on failure
 * @flags: IOASID_ATTACH_PASID, or IOASID_ATTACH_PASID_ANY; IOASID_ATTACH_NEW,
 *	IOASID_ATTACH_HITLESS
 * @fault_addr: out on -EADDRINUSE, the first mapped IOVA that @idev cannot use
 *
 * Context: may sleep, for as long as it takes to populate a domain.
 * Return: 0, or an error of ioas_attach(), or:
 * -EOPNOTSUPP, the device has no PASIDs or is not alone in its group; no device
 * can attach to the kind of @ioasid; or the PASID cannot be moved as
 * IOASID_ATTACH_HITLESS asks for;
 * -EINVAL, the device has no such PASID;
 * -EBUSY, the PASIDs are those of a table of user space: its requester id is
 * attached to an IOASID that takes them;
 * -EMEDIUMTYPE, as ioasid_group_attach();
 * -EEXIST, the PASID is attached, and IOASID_ATTACH_NEW is set; or an attach
 * has reserved it; or as ioasid_number_get(), also if a number that is common would
 * have to move;
 * -ENOSPC, as ioasid_number_get();
 * -EDQUOT, the limit of the context is reached, or that of the user;
 * -ENOENT, @ioasid is being freed;
 * -EIO, @ioasid is poisoned;
 * -ENOTCONN, the PASID could not be moved, and could not be attached where it
 * was: it is detached;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
int ioasid_pasid_attach(struct ioasid_device *idev, struct ioasid *ioasid,
			u32 vpasid, u32 flags, u64 *fault_addr)
{
	struct ioasid_attachment *next, *unused;
	u32 last;
	int ret = check_device(idev, &last);

	if (ret)
		return ret;
	if (!is_vpasid(idev, vpasid) || vpasid > last)
		return -EINVAL;
	/* Not with the lock held: memory may take long to be allocated */
	next = ioasid_attachment_alloc(idev, ioasid, vpasid);
	if (!next)
		return -ENOMEM;
	unused = next;
	ret = -EINTR;
	if (mutex_lock_killable(&idev->group->lock))
		goto out;
	ret = attach_locked(next, flags, fault_addr);
	if (find(idev, vpasid) == next)
		unused = NULL;
	/* Only if the place was not taken */
	xa_release(&idev->attachments, vpasid);
	ioasid_group_unlock(idev->group);
out:
	ioasid_attachment_free(unused);
	return ret;
}

/**
 * ioasid_pasid_detach() - detach a PASID of a device
 * @idev: the device
 * @id: the IOASID that the PASID is attached to, or 0 for any
 * @vpasid: the PASID
 *
 * When this returns, no translation of the PASID is in an IOTLB, and its number
 * can be used again.  Work by a recorded attachment has ended, too, if a fatal
 * signal ends this.
 *
 * Context: may sleep; needs no memory.
 * Return: 0;
 * -EOPNOTSUPP, the device has no PASIDs;
 * -EINVAL, @vpasid is none;
 * -ENOENT, the PASID is not attached, or not to @id;
 * -EINTR, a fatal signal.
 */
int ioasid_pasid_detach(struct ioasid_device *idev, u32 id, u32 vpasid)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_attachment *attachment;
	int ret = -ENOENT;

	if (!idev->nr_asids &&
	    (!group || !idev->dev || !ioas_iommu_max_pasids(idev->dev)))
		return -EOPNOTSUPP;
	if (!is_vpasid(idev, vpasid))
		return -EINVAL;
	if (mutex_lock_killable(&group->lock))
		return -EINTR;
	attachment = find(idev, vpasid);
	if (attachment && (!id || attachment->ioasid->obj.id == id)) {
		ioasid_work_close(attachment);
		ioas_fault_route_begin(attachment->faults, NULL);
		ret = ioasid_attachment_ops(attachment)->detach(attachment->ioasid,
								attachment,
								IOASID_DETACH_KILLABLE);
		if (!ret) {
			end_route(attachment);
		} else {
			ioas_fault_route_abort(attachment->faults, NULL);
			ioasid_work_reopen(attachment);
		}
	}
	ioasid_group_unlock(group);
	return ret;
}

/**
 * ioasid_pasid_forget() - detach all PASIDs of a device
 * @idev: the device, not emulated, which is about to be unbound
 *
 * Context: may sleep; needs no memory, cannot fail.
 */
void ioasid_pasid_forget(struct ioasid_device *idev)
{
	struct ioasid_group *group = idev->group;
	struct ioasid_attachment *attachment, *next;

	mutex_lock(&group->lock);
	list_for_each_entry_safe(attachment, next, &group->pasids, node) {
		if (attachment->device != idev)
			continue;
		ioasid_work_close(attachment);
		ioas_fault_route_begin(attachment->faults, NULL);
		ioasid_attachment_ops(attachment)->detach(attachment->ioasid,
							  attachment,
							  IOASID_DETACH_BLOCK);
		end_route(attachment);
		cond_resched();
	}
	ioasid_group_unlock(group);
}
