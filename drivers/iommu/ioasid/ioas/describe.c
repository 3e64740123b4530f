// SPDX-License-Identifier: GPL-2.0-only
/*
 * Describe a device and its IOMMU, before the device is attached.
 *
 * Locks: none.
 */
#include <linux/bitops.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "fault.h"
#include "ioas.h"
#include "iommu.h"
#include "ranges.h"

/**
 * struct describe - a device that is described
 * @info: out, the fields about the hardware
 * @hw_data: out, the IOMMU driver's description, or NULL
 * @iommu: out, a domain for the device; or an ERR_PTR, and then no @hw_data
 */
struct describe {
	struct ioasid_device_info *info;
	void *hw_data;
	struct iommu_domain *iommu;
};

/* PASIDs are those of a device alone in its group, bound by itself */
static void describe_pasids(struct device *dev, struct iommu_group *group,
			    struct ioasid_device_info *info)
{
	u32 pasids = ioas_iommu_is_singleton(group) ?
		     ioas_iommu_max_pasids(dev) : 0;

	if (!pasids)
		return;
	info->pasid_width = fls(pasids - 1);
	if (ioas_iommu_replaces_pasids(dev))
		info->caps |= IOASID_DEVICE_PASID_HITLESS;
}

static void describe_abilities(struct device *dev,
			       struct ioasid_device_info *info)
{
	if (ioas_iommu_can_enforce_coherency(dev))
		info->caps |= IOASID_DEVICE_ENFORCE_SNOOP;
	if (ioas_iommu_can_track_dirty(dev))
		info->caps |= IOASID_DEVICE_DIRTY;
	if (ioas_iommu_can_nest(dev))
		info->caps |= IOASID_DEVICE_NESTING;
	if (ioas_fault_requests(dev))
		info->caps |= IOASID_DEVICE_FAULTS;
}

static void describe_dev(struct device *dev, void *arg)
{
	struct describe *to = arg;
	struct ioasid_device_info *info = to->info;
	bool finalized_on_attach;
	u64 start, last;
	u32 length;
	void *data;

	describe_abilities(dev, info);
	/* A domain for the device has the limits of its table */
	to->iommu = ioas_iommu_alloc(dev, IOAS_IOMMU_USER, false,
				     &finalized_on_attach);
	if (IS_ERR(to->iommu) && PTR_ERR(to->iommu) != -ENOMEM)
		to->iommu = ioas_iommu_alloc(dev, IOAS_IOMMU_PAGING, false,
					     &finalized_on_attach);
	if (IS_ERR(to->iommu))
		return;
	info->pgsizes = ioas_iommu_pgsizes(to->iommu);
	ioas_iommu_aperture(to->iommu, &start, &last);
	info->addr_width = fls64(last);
	if (finalized_on_attach)
		info->caps |= IOASID_DEVICE_ESTIMATE;

	data = ioas_iommu_hw_info(dev, &length, &info->hw_type);
	if (IS_ERR(data)) {
		ioas_iommu_free(to->iommu);
		to->iommu = ERR_CAST(data);
	} else if (data) {
		info->hw_len = length;
		to->hw_data = data;
		if (ioas_iommu_only_first_stage(info->hw_type, data))
			info->caps |= IOASID_DEVICE_ESTIMATE;
	}
}

/**
 * ioas_describe() - describe a device and its IOMMU
 * @dev: the device; NULL for one of the group
 * @group: its group
 * @limit: what else limits its IOVAs, or NULL
 * @info: out, the fields about the hardware
 * @hw_data: out, the IOMMU driver's description, @info->hw_len bytes, to be
 *	freed by kfree(), or NULL
 *
 * Context: may sleep; the device is not removed meanwhile.
 * Return: IOVAs that the device can use, to be freed by kfree(); or an ERR_PTR:
 * -ENODEV, the group has no device; -ENOMEM, or an errno of the IOMMU driver.
 */
struct ioas_ranges *ioas_describe(struct device *dev, struct iommu_group *group,
				  const struct ioasid_iova_range *limit,
				  struct ioasid_device_info *info,
				  void **hw_data)
{
	struct describe to = { .info = info };
	struct ioas_ranges *ranges;
	phys_addr_t sw_msi;
	int ret;

	info->group = iommu_group_id(group);
	if (dev)
		describe_pasids(dev, group, info);
	ret = ioas_iommu_ask(group, dev, describe_dev, &to);
	if (ret)
		return ERR_PTR(ret);
	if (IS_ERR(to.iommu))
		return ERR_CAST(to.iommu);
	ranges = ioas_ranges_of_group(group, to.iommu, &sw_msi);
	ioas_iommu_free(to.iommu);
	ranges = ioas_ranges_limit(ranges, limit);
	if (IS_ERR(ranges))
		kfree(to.hw_data);
	else
		*hw_data = to.hw_data;
	return ranges;
}
