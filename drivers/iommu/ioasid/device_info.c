// SPDX-License-Identifier: GPL-2.0-only
/*
 * What user space is told of bound devices: descriptions, lists, fdinfo.
 *
 * Waits: ioasid_device.lock is held for one description of the device by the
 * driver.
 *
 * Locks: ioasid_device.lock keeps the struct device; ioasid_ctx.routes_lock is a
 * leaf.
 */
#include <linux/iommu.h>
#include <linux/seq_file.h>

#include "attach.h"
#include "device.h"
#include "number.h"

/* Id of the IOASID that a device is attached to, or 0 */
static u32 attached_to(struct ioasid_device *idev)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_attachment *rid;
	u32 id = 0;

	spin_lock(&ctx->routes_lock);
	rid = ioasid_device_rid(idev);
	if (rid && !rid->leaving)
		id = rid->ioasid->obj.id;
	spin_unlock(&ctx->routes_lock);
	return id;
}

/* How many PASIDs the device is attached by, and how many it still can be */
static void describe_pasids(struct ioasid_device *idev,
			    struct ioasid_device_info *info)
{
	u32 pasids = ioas_iommu_max_pasids(idev->dev);

	info->nr_pasids = READ_ONCE(idev->nr_pasids);
	if (pasids > info->nr_pasids)
		info->pasids_left = min(pasids - 1 - info->nr_pasids,
					ioasid_ctx_pasids_left(idev->obj.ctx));
	if (!idev->numbers)
		return;
	info->pasids_left = min(info->pasids_left, ioasid_numbers_left());
	info->caps |= IOASID_DEVICE_SHARED;
	info->caps |= idev->numbers == IOASID_NUMBERS_COMMON ?
			      IOASID_DEVICE_PASID_COMMON :
			      IOASID_DEVICE_PASID_TRANSLATED;
}

static struct ioas_ranges *one_range(u64 start, u64 last)
{
	struct ioas_ranges *ranges;

	ranges = kzalloc(struct_size(ranges, range, 1), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return ERR_PTR(-ENOMEM);
	ranges->nr = 1;
	ranges->range[0].start = start;
	ranges->range[0].last = last;
	return ranges;
}

/**
 * ioasid_device_describe() - describe a device and its IOMMU
 * @idev: the device
 * @info: zeroed; out, all fields but those of the caller's buffers
 * @hw_data: out, the IOMMU driver's description, @info->hw_len bytes, to be
 *	freed by kfree(), or NULL
 *
 * Context: may sleep.
 * Return: the IOVA ranges that the device can use, to be freed by kfree(), or
 * an ERR_PTR:
 * -ENODEV, the device was unbound;
 * -ENOMEM;
 * or the IOMMU driver's error.
 */
struct ioas_ranges *ioasid_device_describe(struct ioasid_device *idev,
					   struct ioasid_device_info *info,
					   void **hw_data)
{
	struct ioas_ranges *ranges;

	*hw_data = NULL;
	info->cookie = idev->cookie;
	info->ioasid = attached_to(idev);
	info->faults = atomic64_read(&idev->fault_counts.told);
	info->faults_lost = atomic64_read(&idev->fault_counts.lost);
	if (!idev->group) {
		info->caps = IOASID_DEVICE_EMULATED;
		info->group = -1;
		info->pgsizes = PAGE_SIZE;
		info->addr_width = 64;
		return one_range(0, U64_MAX);
	}
	if (idev->numbers == IOASID_NUMBERS_TABLES) {
		info->caps = IOASID_DEVICE_TRANSLATES;
		info->group = -1;
		info->pgsizes = PAGE_SIZE;
		info->addr_width = fls64(idev->by.range.last);
		return one_range(idev->by.range.start, idev->by.range.last);
	}

	mutex_lock(&idev->lock);
	if (idev->gone)
		ranges = ERR_PTR(-ENODEV);
	else
		ranges = ioas_describe(idev->dev, idev->group->group,
				       idev->home ? &idev->by.range : NULL,
				       info, hw_data);
	/* A driver that lends its DMA has no PASIDs to lend */
	if (idev->nr_asids)
		info->pasid_width = 0;
	if (!IS_ERR(ranges) && info->pasid_width)
		describe_pasids(idev, info);
	mutex_unlock(&idev->lock);
	return ranges;
}

/* ---- Devices as objects ---- */

static void device_put(struct ioasid_object *obj)
{
	ioasid_device_put(container_of(obj, struct ioasid_device, obj));
}

/* The next attachments by PASID, from *@at on */
static unsigned int list_pasids(struct ioasid_device *idev, unsigned long *at,
				struct ioasid_list_long_entry *to)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_attachment *attachment;
	unsigned int n = 0;

	spin_lock(&ctx->routes_lock);
	while (n < IOASID_LIST_MAX) {
		attachment = xa_find(&idev->attachments, at, U32_MAX,
				     XA_PRESENT);
		if (!attachment) {
			*at = 0;
			break;
		}
		if (!xa_is_value(attachment))
			to[n++].entry = (struct ioasid_list_entry){
				.type = IOASID_LIST_ATTACHMENT,
				.id = idev->obj.id,
				.cookie = idev->cookie,
				.ioasid = attachment->ioasid->obj.id,
				.vpasid = *at,
			};
		++*at;
	}
	spin_unlock(&ctx->routes_lock);
	return n;
}

/* The device, and its attachment by requester id */
static unsigned int list_rid(struct ioasid_device *idev, unsigned long *at,
			     struct ioasid_list_long_entry *to)
{
	if (READ_ONCE(idev->nr_pasids))
		*at = 1;
	to[0].entry = (struct ioasid_list_entry){
		.type = IOASID_LIST_DEVICE,
		.id = idev->obj.id,
		.cookie = idev->cookie,
	};
	to[1].entry = to[0].entry;
	to[1].entry.type = IOASID_LIST_ATTACHMENT;
	to[1].entry.ioasid = attached_to(idev);
	return to[1].entry.ioasid ? 2 : 1;
}

static unsigned int device_list(struct ioasid_object *obj, unsigned long *at,
				struct ioasid_list_long_entry *to, bool named)
{
	struct ioasid_device *idev = container_of(obj, struct ioasid_device,
						  obj);
	unsigned int n, i;

	n = *at ? list_pasids(idev, at, to) : list_rid(idev, at, to);
	/* After a fatal signal the list ends here */
	if (!named || mutex_lock_killable(&idev->lock))
		return n;
	for (i = 0; i < n && !idev->gone; i++)
		strscpy(to[i].name, ioasid_device_name(idev));
	mutex_unlock(&idev->lock);
	return n;
}

/* One line for each address space that is attached */
static void show_asids(struct seq_file *m, struct ioasid_device *idev)
{
	struct ioasid_list_long_entry to[IOASID_LIST_MAX];
	u32 ioasid = attached_to(idev);
	unsigned long at = 1;
	unsigned int i, n;

	if (ioasid)
		seq_printf(m, "attachment:\tdevice=%u asid=0 ioasid=%u\n",
			   idev->obj.id, ioasid);
	do {
		n = list_pasids(idev, &at, to);
		for (i = 0; i < n; i++)
			seq_printf(m, "attachment:\tdevice=%u asid=%u ioasid=%u\n",
				   idev->obj.id, to[i].entry.vpasid,
				   to[i].entry.ioasid);
	} while (at);
}

static void device_show(struct seq_file *m, struct ioasid_object *obj)
{
	struct ioasid_device *idev = container_of(obj, struct ioasid_device,
						  obj);

	mutex_lock(&idev->lock);
	if (!idev->gone) {
		seq_printf(m, "device:\tid=%u cookie=0x%llx name=%s group=%d ioasid=%u pasids=%u faults=%lld lost=%lld\n",
			   obj->id, idev->cookie, ioasid_device_name(idev),
			   idev->group && idev->group->group ?
				iommu_group_id(idev->group->group) : -1,
			   attached_to(idev), READ_ONCE(idev->nr_pasids),
			   atomic64_read(&idev->fault_counts.told),
			   atomic64_read(&idev->fault_counts.lost));
		if (idev->nr_asids)
			show_asids(m, idev);
	}
	mutex_unlock(&idev->lock);
}

static const struct ioasid_object_ops device_object_ops = {
	.put = device_put,
	.list = device_list,
	.show = device_show,
};

/**
 * ioasid_device_init() - register the object type of devices
 */
void __init ioasid_device_init(void)
{
	ioasid_object_register(IOASID_OBJECT_DEVICE, &device_object_ops);
}
