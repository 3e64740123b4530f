// SPDX-License-Identifier: GPL-2.0-only
/*
 * Describe a device and its IOMMU, before the device is attached.
 *
 * Locks: none.
 */
#include <linux/log2.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "ioas.h"
#include "iommu.h"
#include "ranges.h"

/**
 * ioas_describe() - describe a device and its IOMMU
 * @dev: the device
 * @group: its group
 * @info: out, the fields about the hardware
 * @hw_data: out, the IOMMU driver's description, @info->hw_len bytes, to be
 *	freed by kfree(), or NULL
 *
 * Context: may sleep; the device is not removed meanwhile.
 * Return: IOVAs that the device can use, to be freed by kfree(); or an ERR_PTR:
 * -ENOMEM, or an errno of the IOMMU driver.
 */
struct ioas_ranges *ioas_describe(struct device *dev, struct iommu_group *group,
				  struct ioasid_device_info *info,
				  void **hw_data)
{
	struct ioas_ranges *ranges;
	struct iommu_domain *iommu;
	bool finalized_on_attach;
	phys_addr_t sw_msi;
	u64 start, last;
	u32 length, pasids;
	void *data;

	info->group = iommu_group_id(group);
	pasids = ioas_iommu_max_pasids(dev);
	if (pasids)
		info->pasid_width = ilog2(pasids);
	if (ioas_iommu_can_enforce_coherency(dev))
		info->caps |= IOASID_DEVICE_ENFORCE_SNOOP;
	if (ioas_iommu_can_track_dirty(dev))
		info->caps |= IOASID_DEVICE_DIRTY;
	if (ioas_iommu_can_nest(dev))
		info->caps |= IOASID_DEVICE_NESTING;
	if (IS_ENABLED(CONFIG_PCI_PRI) && dev_is_pci(dev) &&
	    pci_pri_supported(to_pci_dev(dev)))
		info->caps |= IOASID_DEVICE_FAULTS;

	/* A domain for the device has the limits of its table */
	iommu = ioas_iommu_alloc(dev, false, &finalized_on_attach);
	if (IS_ERR(iommu) && PTR_ERR(iommu) != -ENOMEM)
		iommu = ioas_iommu_alloc(dev, true, &finalized_on_attach);
	if (IS_ERR(iommu))
		return ERR_CAST(iommu);
	info->pgsizes = ioas_iommu_pgsizes(iommu);
	ioas_iommu_aperture(iommu, &start, &last);
	info->addr_width = fls64(last);
	if (finalized_on_attach)
		info->caps |= IOASID_DEVICE_ESTIMATE;
	ranges = ioas_ranges_of_group(group, iommu, &sw_msi);
	ioas_iommu_free(iommu);
	if (IS_ERR(ranges))
		return ranges;

	data = ioas_iommu_hw_info(dev, &length, &info->hw_type);
	if (IS_ERR(data)) {
		kfree(ranges);
		return ERR_CAST(data);
	}
	if (data) {
		info->hw_len = length;
		*hw_data = data;
		if (ioas_iommu_only_first_stage(info->hw_type, data))
			info->caps |= IOASID_DEVICE_ESTIMATE;
	}
	return ranges;
}
