// SPDX-License-Identifier: GPL-2.0-only
/*
 * Formats of page tables of user space: what the kernel has to know of them.
 *
 * A format that a driver registered keeps the driver's module loaded while it is
 * used.
 *
 * Locks: formats_lock, a leaf.
 */
#include <kunit/visibility.h>
#include <linux/ioasid.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>

#include <uapi/linux/ioasid.h>
#include <uapi/linux/iommufd.h>

#include "ioas.h"

static DEFINE_MUTEX(formats_lock);

static LIST_HEAD(formats);

/**
 * ioasid_register_table_format() - register a format of page tables
 * @format: the format; its type is not registered yet
 *
 * Context: may sleep.
 */
void ioasid_register_table_format(struct ioasid_table_format *format)
{
	mutex_lock(&formats_lock);
	list_add_tail(&format->node, &formats);
	mutex_unlock(&formats_lock);
}
EXPORT_SYMBOL_GPL(ioasid_register_table_format);

/**
 * ioasid_unregister_table_format() - undo ioasid_register_table_format()
 * @format: the format
 *
 * A driver calls this when its module is unloaded, which it is not while the
 * format is used.
 *
 * Context: may sleep.
 */
void ioasid_unregister_table_format(struct ioasid_table_format *format)
{
	mutex_lock(&formats_lock);
	list_del(&format->node);
	mutex_unlock(&formats_lock);
}
EXPORT_SYMBOL_GPL(ioasid_unregister_table_format);

/* ---- Intel VT-d: first stage ---- */

static int vtd_s1_root(const void *data, u32 length, u64 *root)
{
	const struct iommu_hwpt_vtd_s1 *vtd = data;

	if (length != sizeof(*vtd) || vtd->__reserved)
		return -EINVAL;
	if (vtd->flags & ~(IOMMU_VTD_S1_SRE | IOMMU_VTD_S1_EAFE |
			   IOMMU_VTD_S1_WPE))
		return -EOPNOTSUPP;
	if (!IS_ALIGNED(vtd->pgtbl_addr, SZ_4K))
		return -EINVAL;
	*root = vtd->pgtbl_addr;
	return 0;
}

/* The driver invalidates TLBs of devices together with the IOTLB */
static void vtd_s1_invalidate(const struct ioasid_invalidate *from, void *to)
{
	struct iommu_hwpt_vtd_s1_invalidate *inv = to;
	u64 pages;

	*inv = (struct iommu_hwpt_vtd_s1_invalidate){ .npages = U64_MAX };
	if (from->flags & IOASID_INVALIDATE_LEAF)
		inv->flags = IOMMU_VTD_INV_FLAGS_LEAF;
	if (!(from->flags & IOASID_INVALIDATE_RANGE))
		return;
	pages = (from->last >> 12) - (from->start >> 12) + 1;
	/* The bytes of all pages are no u64 */
	if (pages > U64_MAX >> 12)
		return;
	inv->addr = from->start & ~((u64)SZ_4K - 1);
	inv->npages = pages;
}

static const struct ioasid_table_format vtd_s1 = {
	.type = IOMMU_HWPT_DATA_VTD_S1,
	.invalidate_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
	.invalidate_size = sizeof(struct iommu_hwpt_vtd_s1_invalidate),
	.root = vtd_s1_root,
	.invalidate = vtd_s1_invalidate,
};

/**
 * ioas_format_get() - look up a format
 * @type: enum iommu_hwpt_data_type, or the number that a driver registered
 *
 * Context: may sleep.
 * Return: the format, until ioas_format_put(); or NULL.
 */
const struct ioasid_table_format *ioas_format_get(u32 type)
{
	const struct ioasid_table_format *format, *found = NULL;

	if (type == vtd_s1.type)
		return &vtd_s1;
	mutex_lock(&formats_lock);
	list_for_each_entry(format, &formats, node)
		if (format->type == type && try_module_get(format->owner))
			found = format;
	mutex_unlock(&formats_lock);
	return found;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_format_get);

/**
 * ioas_format_put() - undo ioas_format_get()
 * @format: the format
 */
void ioas_format_put(const struct ioasid_table_format *format)
{
	module_put(format->owner);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_format_put);
