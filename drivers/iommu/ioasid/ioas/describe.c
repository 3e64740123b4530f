// SPDX-License-Identifier: GPL-2.0-only
/*
 * Describe a device and its IOMMU, before the device is attached.
 *
 * Locks: none.
 */
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/slab.h>

#include <uapi/linux/iommufd.h>

#include "../../iommu-priv.h"
#include "domain.h"
#include "ioas.h"
#include "ranges.h"

/* Intel's extended capability register: scalable mode, second stage in it */
#define VTD_ECAP_SMTS	BIT_ULL(43)
#define VTD_ECAP_SLTS	BIT_ULL(46)

static bool can_nest(struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_domain *parent;

	if (!ops->domain_alloc_user)
		return false;
	parent = ops->domain_alloc_user(dev, IOMMU_HWPT_ALLOC_NEST_PARENT, NULL,
					NULL);
	if (IS_ERR_OR_NULL(parent))
		return false;
	iommu_domain_free(parent);
	return true;
}

/*
 * An Intel IOMMU without second stage: the domain that is described here is of
 * another sort than the domain that will be attached; see ioas_iommu_alloc().
 */
static bool only_first_stage(u32 hw_type, const void *hw_data)
{
	const struct iommu_hw_info_vtd *vtd = hw_data;

	return hw_type == IOMMU_HW_INFO_TYPE_INTEL_VTD &&
	       vtd->ecap_reg & VTD_ECAP_SMTS &&
	       !(vtd->ecap_reg & VTD_ECAP_SLTS);
}

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
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct ioas_ranges *ranges;
	struct iommu_domain *iommu;
	bool finalized_on_attach;
	phys_addr_t sw_msi;

	info->group = iommu_group_id(group);
	if (dev->iommu->max_pasids)
		info->pasid_width = ilog2(dev->iommu->max_pasids);
	if (device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY))
		info->caps |= IOASID_DEVICE_ENFORCE_SNOOP;
	if (device_iommu_capable(dev, IOMMU_CAP_DIRTY_TRACKING))
		info->caps |= IOASID_DEVICE_DIRTY;
	if (can_nest(dev))
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
	info->pgsizes = iommu->pgsize_bitmap;
	info->addr_width = 64;
	if (iommu->geometry.aperture_end)
		info->addr_width = fls64(iommu->geometry.aperture_end);
	if (finalized_on_attach)
		info->caps |= IOASID_DEVICE_ESTIMATE;
	ranges = ioas_ranges_of_group(group, iommu, &sw_msi);
	iommu_domain_free(iommu);
	if (IS_ERR(ranges))
		return ranges;

	if (ops->hw_info) {
		u32 length;
		void *data = ops->hw_info(dev, &length, &info->hw_type);

		if (IS_ERR(data)) {
			kfree(ranges);
			return ERR_CAST(data);
		}
		info->hw_len = length;
		*hw_data = data;
		if (only_first_stage(info->hw_type, data))
			info->caps |= IOASID_DEVICE_ESTIMATE;
	}
	return ranges;
}
