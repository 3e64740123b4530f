// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes of the faults of attached devices: to the queue that their IOASID names, or
 * that its kind has.
 *
 * Invariants:
 *  - Each device of a group has a route for its faults, since records name it.  It has
 *    one by requester id while it has joined its group's attachment, and one for each
 *    PASID.
 *  - Emulated devices, and those that translate by themselves, have no faults.
 *
 * Locks: ioasid_group.lock serialises all.
 */
#include <linux/list.h>

#include "attach.h"
#include "faults.h"

/* Where faults of devices go that are attached to an IOASID */
static struct ioas_fault_queue *queue_of(const struct ioasid *ioasid)
{
	return ioasid_served_queue(ioasid) ?: ioasid_faults_queue(ioasid->faults);
}

/**
 * ioasid_route_faults() - allocate the route of a device's faults
 * @attachment: the attachment of the device, with its PASID on the wire
 * @idev: the device
 * @route: out, the route; NULL: its faults are not reported
 *
 * Context: may sleep; ioasid_group.lock is held.
 * Return: as ioas_fault_route_alloc(), or 0.
 */
int ioasid_route_faults(const struct ioasid_attachment *attachment,
			struct ioasid_device *idev,
			struct ioas_fault_route **route)
{
	const struct ioasid *ioasid = attachment->ioasid;
	struct ioas_fault_origin origin = {
		.dev = idev->dev,
		.pasid = attachment->domain.pasid,
		.takes_pasids = ioasid_kind_of(ioasid)->takes_pasids,
		.vpasid = attachment->vpasid,
		.ioasid = ioasid->obj.id,
		.devid = idev->obj.id,
		.cookie = idev->cookie,
		.counts = &idev->fault_counts,
	};
	struct ioas_fault_route *made;

	*route = NULL;
	/* A group that was bound as a whole has no device to tell of */
	if (likely(!attachment->domain.faults) || !idev->dev)
		return 0;
	made = ioas_fault_route_alloc(queue_of(ioasid), &origin);
	if (IS_ERR(made))
		return PTR_ERR(made);
	*route = made;
	return 0;
}

/* The device of the group that has joined, after @idev; or the first, or NULL */
static struct ioasid_device *next_joined(struct ioasid_group *group,
					 struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = group->rid->ioasid->obj.ctx;

	lockdep_assert_held(&group->lock);
	/* Devices join and leave the list, but not one that has joined */
	spin_lock(&ctx->routes_lock);
	idev = list_prepare_entry(idev, &group->devices, node);
	list_for_each_entry_continue(idev, &group->devices, node)
		if (ioasid_device_rid(idev))
			break;
	if (list_entry_is_head(idev, &group->devices, node))
		idev = NULL;
	spin_unlock(&ctx->routes_lock);
	return idev;
}

/**
 * ioasid_device_end_faults() - tell no faults of a device any longer
 * @idev: the device, detached by requester id
 *
 * Context: may sleep; ioasid_group.lock is held.
 */
void ioasid_device_end_faults(struct ioasid_device *idev)
{
	ioas_fault_route_commit(idev->faults, NULL, false);
	idev->faults = NULL;
}

/**
 * ioasid_group_end_faults() - the same for all devices of a group
 * @group: the group, detached
 *
 * Context: may sleep; ioasid_group.lock is held.
 */
void ioasid_group_end_faults(struct ioasid_group *group)
{
	struct ioasid_device *idev;

	for (idev = next_joined(group, NULL); idev; idev = next_joined(group, idev))
		ioasid_device_end_faults(idev);
}

/**
 * ioasid_group_begin_faults() - prepare the routes of a group that is to move
 * @group: the group
 * @next: the attachment that it will have
 *
 * Its page requests are not reported until ioasid_group_finish_faults().
 *
 * Context: may sleep.
 * Return: as ioasid_route_faults().
 */
int ioasid_group_begin_faults(struct ioasid_group *group,
			      const struct ioasid_attachment *next)
{
	struct ioasid_device *idev;
	int ret;

	for (idev = next_joined(group, NULL); idev; idev = next_joined(group, idev)) {
		ret = ioasid_route_faults(next, idev, &idev->next_faults);
		if (ret)
			goto err_free;
	}
	for (idev = next_joined(group, NULL); idev; idev = next_joined(group, idev))
		ioas_fault_route_begin(idev->faults, idev->next_faults);
	return 0;

err_free:
	for (idev = next_joined(group, NULL); idev; idev = next_joined(group, idev)) {
		ioas_fault_route_free(idev->next_faults);
		idev->next_faults = NULL;
	}
	return ret;
}

/**
 * ioasid_group_finish_faults() - end what ioasid_group_begin_faults() has begun
 * @group: the group
 * @moved: it is attached elsewhere, where its faults are told
 *
 * Context: may sleep.
 */
void ioasid_group_finish_faults(struct ioasid_group *group, bool moved)
{
	struct ioasid_device *idev;

	for (idev = next_joined(group, NULL); idev; idev = next_joined(group, idev)) {
		if (moved) {
			ioas_fault_route_commit(idev->faults, idev->next_faults, true);
			idev->faults = idev->next_faults;
		} else {
			ioas_fault_route_abort(idev->faults, idev->next_faults);
		}
		idev->next_faults = NULL;
	}
}
