// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work by PASID: a driver that shares its device takes a PASID for a user when work
 * begins, and gives it back when the work has ended.
 *
 * Invariants:
 *  - An attachment of a driver that has pasid_stop is recorded.  It has joined its
 *    IOASID, whose domain is populated, but it has no number and routes nothing.  The
 *    first ioasid_pasid_begin() changes that, and the last ioasid_pasid_end(): they
 *    map nothing.
 *  - It is active while it has a number: ioasid_attachment.number.  As long as it is,
 *    a use of its vPASID is counted; it counts in ioasid_ctx.nr_pasids, and its number
 *    for the user.
 *  - Work ends in this order, which makes the reuse of a number safe: the driver has
 *    stopped the device; the IOMMU driver blocks the PASID, flushes its translations
 *    and drains its page requests; all that wait are answered; the number is free.
 *  - If the attachment ends first, the driver has been told to stop by pasid_stop, and
 *    its calls of ioasid_pasid_end() are still due.  Uses belong to the vPASID of the
 *    device, not to the attachment: one that ends late may keep the number of a later
 *    attachment longer than is needed, and never shorter.
 *  - Work by a poisoned domain is stopped and blocked, and keeps its number until the
 *    last ioasid_pasid_end().
 *
 * Waits: ioasid_device.work_lock is held over calls of the IOMMU driver and over
 * pasid_stop, which is bounded, and never while a domain is populated.  A begin waits
 * for it killably.
 *
 * Locks: ioasid_device.work_lock, inside of ioasid_group.lock, serialises begins, ends
 * and what stops work.  ioas_nests.sem, tables.sem, ioasid_numbers.lock and the locks
 * that a driver's pasid_stop takes nest in it.
 */
#include <linux/export.h>
#include <linux/ioasid.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "attach.h"
#include "number.h"

/* ---- Uses ---- */

static unsigned long uses_of(struct ioasid_device *idev, u32 vpasid)
{
	void *entry = xa_load(&idev->uses, vpasid);

	lockdep_assert_held(&idev->work_lock);
	return entry ? xa_to_value(entry) : 0;
}

/* The first use is that of an attach: the others allocate nothing */
static int add_use(struct ioasid_device *idev, u32 vpasid)
{
	unsigned long uses = uses_of(idev, vpasid);

	return xa_err(xa_store(&idev->uses, vpasid, xa_mk_value(uses + 1),
			       GFP_KERNEL_ACCOUNT));
}

static void remove_use(struct ioasid_device *idev, u32 vpasid)
{
	unsigned long uses = uses_of(idev, vpasid);

	if (uses > 1)
		xa_store(&idev->uses, vpasid, xa_mk_value(uses - 1), 0);
	else
		xa_erase(&idev->uses, vpasid);
}

/**
 * ioasid_work_hold() - let work by an attachment be counted
 * @attachment: the attachment, about to be recorded; none is at its vPASID
 *
 * Context: may sleep; ioasid_group.lock is held.
 * Return: 0; -ENOMEM.
 */
int ioasid_work_hold(const struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;
	int ret;

	lockdep_assert_held(&attachment->group->lock);
	mutex_lock(&idev->work_lock);
	ret = add_use(idev, attachment->vpasid);
	mutex_unlock(&idev->work_lock);
	return ret;
}

/**
 * ioasid_work_drop() - undo ioasid_work_hold()
 * @attachment: the attachment, which cannot be found: on return no thread sees it
 *
 * Context: may sleep; ioasid_group.lock is held.  Needs no memory.
 */
void ioasid_work_drop(const struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;

	lockdep_assert_held(&attachment->group->lock);
	mutex_lock(&idev->work_lock);
	remove_use(idev, attachment->vpasid);
	mutex_unlock(&idev->work_lock);
}

/* ---- Routes ---- */

static int lead(struct ioasid_attachment *attachment)
{
	int ret;

	ret = ioasid_route_faults(attachment, attachment->device,
				  &attachment->faults);
	if (ret)
		return ret;
	ioas_fault_route_begin(NULL, attachment->faults);
	ret = ioas_activate(&attachment->domain);
	if (!ret)
		return 0;
	ioas_fault_route_abort(NULL, attachment->faults);
	attachment->faults = NULL;
	return ret;
}

/* Give the number back; nothing is led by it */
static void put_number(struct ioasid_attachment *attachment)
{
	ioasid_number_put(attachment);
	attachment->domain.pasid = IOMMU_PASID_INVALID;
}

static int activate(struct ioasid_attachment *attachment)
{
	struct ioasid_ctx *ctx = attachment->device->obj.ctx;
	int ret;

	if (!ioasid_numbers_count(ctx))
		return -EDQUOT;
	ret = ioasid_number_get(attachment);
	if (ret)
		goto err_count;
	ret = lead(attachment);
	if (ret)
		goto err_number;
	return 0;

err_number:
	put_number(attachment);
err_count:
	ioasid_numbers_uncount(ctx);
	return ret;
}

/* In the order that the head of this file says; the device has stopped */
static void deactivate(struct ioasid_attachment *attachment)
{
	if (!attachment->number)
		return;
	ioas_fault_route_begin(attachment->faults, NULL);
	ioas_deactivate(&attachment->domain);
	ioas_fault_route_commit(attachment->faults, NULL, false);
	attachment->faults = NULL;
	put_number(attachment);
	ioasid_numbers_uncount(attachment->device->obj.ctx);
}

/* ---- Stop ---- */

/* A blocked attachment was stopped before */
static bool is_led(const struct ioasid_attachment *attachment)
{
	return attachment->number && !attachment->domain.blocked;
}

static void stop(struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;

	lockdep_assert_held(&idev->work_lock);
	if (is_led(attachment))
		idev->ops->pasid_stop(idev->data, attachment->vpasid);
}

/**
 * ioasid_work_end() - stop the work by a recorded attachment, and end it
 * @attachment: the attachment
 *
 * Context: may sleep; ioasid_device.work_lock is held.  Needs no memory.
 */
void ioasid_work_end(struct ioasid_attachment *attachment)
{
	stop(attachment);
	deactivate(attachment);
}

/**
 * ioasid_work_close() - the same, and let no work begin
 * @attachment: an attachment by PASID; nothing is done if it is not recorded
 *
 * Context: may sleep; ioasid_group.lock is held.  Needs no memory.
 */
void ioasid_work_close(struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;

	if (!attachment->domain.recorded)
		return;
	lockdep_assert_held(&attachment->group->lock);
	mutex_lock(&idev->work_lock);
	attachment->leaving = true;
	ioasid_work_end(attachment);
	mutex_unlock(&idev->work_lock);
}

/**
 * ioasid_work_reopen() - undo ioasid_work_close(): work can begin again
 * @attachment: the attachment, which could not be detached
 *
 * Context: may sleep; ioasid_group.lock is held.
 */
void ioasid_work_reopen(struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;

	if (!attachment->domain.recorded)
		return;
	mutex_lock(&idev->work_lock);
	attachment->leaving = false;
	mutex_unlock(&idev->work_lock);
}

/**
 * ioasid_work_block() - stop and block work by a poisoned domain
 * @attachment: the attachment, recorded
 *
 * The number stays until the work has ended.
 *
 * Context: may sleep; ioasid_group.lock is held.  Needs no memory.
 * Return: true if the domain is poisoned, and work went on.
 */
bool ioasid_work_block(struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;
	bool led;

	lockdep_assert_held(&attachment->group->lock);
	if (!ioas_attachment_poisoned(&attachment->domain))
		return false;
	mutex_lock(&idev->work_lock);
	led = is_led(attachment);
	stop(attachment);
	ioas_deactivate(&attachment->domain);
	mutex_unlock(&idev->work_lock);
	return led;
}

/* ---- For drivers ---- */

static struct ioasid_attachment *find_recorded(struct ioasid_device *idev,
					       u32 vpasid)
{
	struct ioasid_attachment *attachment;

	lockdep_assert_held(&idev->work_lock);
	attachment = xa_load(&idev->attachments, vpasid);
	if (!attachment || xa_is_value(attachment) || attachment->leaving)
		return NULL;
	return attachment;
}

static int begin(struct ioasid_device *idev, u32 vpasid, u32 *pasid)
{
	struct ioasid_attachment *attachment = find_recorded(idev, vpasid);
	int ret;

	if (!attachment)
		return -ENOENT;
	if (ioas_attachment_poisoned(&attachment->domain))
		return -EIO;
	ret = add_use(idev, vpasid);
	if (ret)
		return ret;
	if (!attachment->number)
		ret = activate(attachment);
	if (ret)
		remove_use(idev, vpasid);
	else
		*pasid = attachment->domain.pasid;
	return ret;
}

/**
 * ioasid_pasid_begin() - take a PASID of the machine, to work for a user
 * @idev: the device, of ioasid_bind_shared() with &ioasid_device_ops.pasid_stop
 * @vpasid: what user space calls the PASID; IOMMU_NO_PASID, that of DMA without one
 * @pasid: out, the number that the device has on the wire
 *
 * The first one leads DMA with a number that nothing else has to the IOASID that
 * @vpasid is attached to.  It maps no memory, and waits for no attach.  The number
 * is right, and the IOASID stays, until ioasid_pasid_end(), or until
 * &ioasid_device_ops.pasid_stop is called for @vpasid: that can be before this
 * returns.
 *
 * Context: may sleep.  Any number of threads may begin and end work of a device, also
 * beside an attach, a move and a detach, but not beside ioasid_unbind().  No lock is
 * held that &ioasid_device_ops.pasid_stop takes.
 * Return: 0, ioasid_pasid_end() follows; or
 * -ENOENT, @vpasid is not attached;
 * -ENOSPC, no number is left, or none that the device can have;
 * -EDQUOT, the limit of PASIDs of the context is reached, or that of the user;
 * -EIO, the IOASID is poisoned, or the IOMMU failed;
 * -EMEDIUMTYPE, the IOMMU cannot serve the IOASID by PASID; or the IOASID tells
 * faults, and page requests of the device cannot be answered;
 * -EINVAL, the IOMMU driver finds the table of user space malformed;
 * -EEXIST, of a device with common numbers: as ioasid_number_get();
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
int ioasid_pasid_begin(struct ioasid_device *idev, u32 vpasid, u32 *pasid)
{
	int ret;

	if (!ioasid_device_records(idev))
		return -ENOENT;
	if (mutex_lock_killable(&idev->work_lock))
		return -EINTR;
	ret = begin(idev, vpasid, pasid);
	mutex_unlock(&idev->work_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_pasid_begin);

/**
 * ioasid_pasid_end() - undo ioasid_pasid_begin(): the work has ended
 * @idev: the device
 * @vpasid: as there
 *
 * The device does no DMA by this work any longer.  The last one blocks the PASID and
 * gives the number back, unless &ioasid_device_ops.pasid_stop was called: then nothing
 * is left to do.
 *
 * Context: may sleep, as ioasid_pasid_begin(); waits for no attach; needs no memory,
 * cannot fail.
 */
void ioasid_pasid_end(struct ioasid_device *idev, u32 vpasid)
{
	struct ioasid_attachment *attachment;

	mutex_lock(&idev->work_lock);
	attachment = find_recorded(idev, vpasid);
	if (!WARN_ON_ONCE(uses_of(idev, vpasid) < (attachment ? 2 : 1)))
		remove_use(idev, vpasid);
	/* The one that is left is that of the attach */
	if (attachment && uses_of(idev, vpasid) == 1)
		deactivate(attachment);
	mutex_unlock(&idev->work_lock);
}
EXPORT_SYMBOL_GPL(ioasid_pasid_end);
