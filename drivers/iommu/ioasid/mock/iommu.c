// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver of the model IOMMU.
 *
 * Units come with their first device and go with their last one.  A device is a
 * platform device whose fwspec names its unit, so that the core finds the unit
 * whatever other IOMMUs the machine has; it is filled in before the device is
 * added, when it has no other users.
 *
 * The default domain is identity: DMA of the kernel works, and the counter
 * model_counters.bypass shows accesses that should not use that domain.
 *
 * Superpages cannot be split: as in the drivers of most hardware, unmap_pages
 * unmaps the whole page that a range ends in, and counts all of it.
 *
 * Invariants:
 *  - Domains attach to devices of the unit that they were made for, and to no
 *    others (EINVAL).
 *  - Pages that unmap_pages unmaps are flushed in iotlb_sync() or, if the
 *    gather is queued, in flush_iotlb_all().  They are flushed nowhere else, so
 *    that a caller that omits these is detected.  Changes of routes, and of
 *    dirty tracking, are flushed at once.
 *  - A page request is handed to the core only while the RID or PASID leads to
 *    the domain that it led to when the device asked, and page requests are on;
 *    neither changes while one is handed over.
 *  - A device has at most &model_params.prq_credits page requests outstanding,
 *    as PCI has it: a request is that from when it is queued until the response
 *    to its group.  A request that is not queued holds no credit, nor does a
 *    group whose last request is not.  A device without credits waits, so that a
 *    flood of one device leaves room in the queue for the others.
 *  - The ops live in memory of their own, so that devices do not pin the
 *    module: it can be removed at any time, and takes its devices away, if no
 *    domain is left.  Domains pin it.
 *
 * Locks: see hardware.h. units_lock protects the lists of units and groups, and
 * is outermost.
 */
#define pr_fmt(fmt) "ioasid_mock: " fmt

#include <kunit/visibility.h>
#include <linux/dma-mapping.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <uapi/linux/ioasid.h>
#include <uapi/linux/iommufd.h>

#include "hardware.h"

#define MODEL_CREDITS		32
/* Enough for 32 devices */
#define MODEL_PRQ_DEPTH		(32 * MODEL_CREDITS)
#define MODEL_MAX_PRQ_DEPTH	4096
#define MODEL_MAX_PASID_BITS	20

static LIST_HEAD(units);
static LIST_HEAD(groups);
static DEFINE_MUTEX(units_lock);

/* Ops differ in these: index of a unit's ops in model_ops */
#define MODEL_OPS_USER_PASIDS	BIT(0)
#define MODEL_OPS_NO_REPLACE	BIT(1)

static struct iommu_ops *model_ops[4];
static const struct iommu_domain_ops stage2_ops, stage2_strict_ops;
static const struct iommu_domain_ops stage1_ops, pasids_ops;

static struct model_dev *to_model_dev(struct device *dev)
{
	return dev_iommu_priv_get(dev);
}

/* ---- Injected failures ---- */

/**
 * model_should_fail() - check whether this call shall fail
 * @unit: where
 * @what: what
 * @pages: out, if so, the number of pages to do before; or NULL
 *
 * Return: whether it is.
 */
bool model_should_fail(struct model_unit *unit, enum model_injection what,
		       u32 *pages)
{
	struct model_failure *failure = &unit->failures[what];

	if (likely(!atomic_read(&failure->countdown)) ||
	    atomic_dec_if_positive(&failure->countdown))
		return false;
	if (pages)
		*pages = READ_ONCE(failure->pages);
	return true;
}

/**
 * model_inject() - make a later call fail
 * @mdev: a device of the unit
 * @what: what shall
 * @nth: the call from now on that fails, 1 is the next; 0 for none
 * @pages: number of pages that MODEL_INJECT_MAP and MODEL_INJECT_UNMAP do
 *	before
 *
 * One call fails.  This replaces an earlier injection of the same kind.
 *
 * Return: 0 or -EINVAL.
 */
int model_inject(struct model_dev *mdev, enum model_injection what, u32 nth,
		 u32 pages)
{
	struct model_failure *failure;

	if (what >= MODEL_INJECTIONS || nth > INT_MAX)
		return -EINVAL;
	failure = &mdev->unit->failures[what];
	WRITE_ONCE(failure->pages, pages);
	atomic_set(&failure->countdown, nth);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(model_inject);

/* ---- Units ---- */

static void unit_release(struct kref *kref)
{
	struct model_unit *unit = container_of(kref, struct model_unit, kref);

	mutex_destroy(&unit->mutex);
	kvfree(unit->prq);
	kfree(unit);
}

static void unit_put(struct model_unit *unit)
{
	kref_put(&unit->kref, unit_release);
}

static const struct model_params default_params = {
	.page_sizes = SZ_4K | SZ_2M | SZ_1G,
	.levels = 4,
};

/* The parameters, with defaults filled in */
static void complete_params(struct model_params *params)
{
	unsigned int width;

	if (!params->page_sizes)
		params->page_sizes = default_params.page_sizes;
	if (!params->levels)
		params->levels = default_params.levels;
	if (!params->prq_depth)
		params->prq_depth = MODEL_PRQ_DEPTH;
	if (!params->prq_credits)
		params->prq_credits = MODEL_CREDITS;
	if (!params->aperture_last && !params->aperture_start) {
		width = __ffs64(params->page_sizes) +
			MODEL_TABLE_BITS * params->levels;
		params->aperture_last =
			width >= 64 ? U64_MAX : BIT_ULL(width) - 1;
	}
}

/**
 * model_check_params() - check the parameters of a unit
 * @params: as for model_dev_create()
 *
 * Return: 0 or -EINVAL.
 */
int model_check_params(const struct model_params *params)
{
	struct model_params p = *params;
	unsigned int shift, width, i;

	if (p.levels > MODEL_TABLE_MAX_LEVELS || p.flags & ~MODEL_FLAGS ||
	    p.pasid_bits > MODEL_MAX_PASID_BITS ||
	    p.prq_depth > MODEL_MAX_PRQ_DEPTH || p.reserved ||
	    (p.prq_credits > MODEL_MAX_PRQ_DEPTH &&
	     p.prq_credits != MODEL_NO_CREDITS) ||
	    p.nr_resv > MODEL_MAX_RESV ||
	    p.page_sizes & ~GENMASK_ULL(MODEL_TABLE_MAX_SHIFT,
					MODEL_TABLE_MIN_SHIFT))
		return -EINVAL;
	complete_params(&p);
	shift = __ffs64(p.page_sizes);
	width = shift + MODEL_TABLE_BITS * p.levels;
	/*
	 * The largest page fits in a table of the highest level, and under it
	 */
	if (__fls(p.page_sizes) >= min(width, 64U))
		return -EINVAL;
	if (p.aperture_start > p.aperture_last ||
	    (width < 64 && p.aperture_last >> width))
		return -EINVAL;
	if (p.flags & MODEL_USER_PASID_TABLE &&
	    (!(p.flags & MODEL_NESTING) || !p.pasid_bits))
		return -EINVAL;
	for (i = 0; i < p.nr_resv; i++) {
		const struct model_resv *resv = &p.resv[i];

		if (resv->type > MODEL_RESV_SW_MSI || resv->reserved ||
		    !resv->length ||
		    resv->start + (resv->length - 1) < resv->start)
			return -EINVAL;
	}
	for (; i < MODEL_MAX_RESV; i++)
		if (memchr_inv(&p.resv[i], 0, sizeof(p.resv[i])))
			return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(model_check_params);

static void prq_work(struct work_struct *work);

/* Not a software node: 6.12 leaks a reference of those if memory is short */
static const struct fwnode_operations unit_fwnode_ops = {};

static const struct irq_domain_ops msi_ops = {};

/* Interrupts are not allocated in it: it only says that they are isolated */
static int unit_add_msi(struct model_unit *unit)
{
	struct irq_domain_info info = {
		.domain_flags = IRQ_DOMAIN_FLAG_ISOLATED_MSI,
		.hwirq_max = ~0U,
		.ops = &msi_ops,
	};

	if (unit->params.flags & MODEL_NO_ISOLATED_MSI)
		return 0;
	unit->msi = irq_domain_instantiate(&info);
	if (!IS_ERR(unit->msi))
		return 0;
	return PTR_ERR(unit->msi);
}

static void unit_remove(struct model_unit *unit)
{
	lockdep_assert_held(&units_lock);
	list_del(&unit->node);
	iommu_device_unregister(&unit->iommu);
	iommu_device_sysfs_remove(&unit->iommu);
	destroy_workqueue(unit->prq_wq);
	iopf_queue_free(unit->iopf);
	if (unit->msi)
		irq_domain_remove(unit->msi);
	unit_put(unit);
}

static const struct iommu_ops *ops_for(const struct model_params *params)
{
	unsigned int i = 0;

	if (params->flags & MODEL_USER_PASID_TABLE)
		i |= MODEL_OPS_USER_PASIDS;
	if (params->flags & MODEL_NO_REPLACE_PASIDS)
		i |= MODEL_OPS_NO_REPLACE;
	return model_ops[i];
}

static struct model_unit *unit_add(const struct model_params *params)
{
	static unsigned int number;
	struct model_unit *unit;
	unsigned int i;
	int ret;

	lockdep_assert_held(&units_lock);
	unit = kzalloc(sizeof(*unit), GFP_KERNEL);
	if (!unit)
		return ERR_PTR(-ENOMEM);
	kref_init(&unit->kref);
	unit->params = *params;
	unit->shift = __ffs64(params->page_sizes);
	mutex_init(&unit->mutex);
	INIT_LIST_HEAD(&unit->domains);
	rwlock_init(&unit->lock);
	for (i = 0; i < MODEL_COUNTERS; i++)
		atomic64_set(&unit->counters[i], 0);
	spin_lock_init(&unit->ledger_lock);
	spin_lock_init(&unit->prq_lock);
	INIT_WORK(&unit->prq_work, prq_work);
	unit->prq_depth = params->prq_depth;
	unit->iommu.max_pasids =
		params->pasid_bits ? 1U << params->pasid_bits : 0;

	ret = -ENOMEM;
	unit->prq = kvcalloc(unit->prq_depth, sizeof(*unit->prq), GFP_KERNEL);
	if (!unit->prq)
		goto err_put;
	fwnode_init(&unit->fwnode, &unit_fwnode_ops);
	unit->iommu.fwnode = &unit->fwnode;
	ret = unit_add_msi(unit);
	if (ret)
		goto err_put;
	ret = -ENOMEM;
	unit->iopf = iopf_queue_alloc("ioasid_model");
	if (!unit->iopf)
		goto err_msi;
	unit->prq_wq = alloc_ordered_workqueue("ioasid_model_prq", 0);
	if (!unit->prq_wq)
		goto err_iopf;
	ret = iommu_device_sysfs_add(&unit->iommu, NULL, NULL, "ioasid_model%u",
				     number++);
	if (ret)
		goto err_wq;
	ret = iommu_device_register(&unit->iommu,
				    ops_for(params), NULL);
	if (ret)
		goto err_sysfs;
	list_add(&unit->node, &units);
	return unit;

err_sysfs:
	iommu_device_sysfs_remove(&unit->iommu);
err_wq:
	destroy_workqueue(unit->prq_wq);
err_iopf:
	iopf_queue_free(unit->iopf);
err_msi:
	if (unit->msi)
		irq_domain_remove(unit->msi);
err_put:
	unit_put(unit);
	return ERR_PTR(ret);
}

static struct model_unit *unit_get(const struct model_params *params)
{
	struct model_unit *unit;

	lockdep_assert_held(&units_lock);
	list_for_each_entry(unit, &units, node)
		if (!memcmp(&unit->params, params, sizeof(*params)))
			goto found;
	unit = unit_add(params);
	if (IS_ERR(unit))
		return unit;
found:
	unit->devices++;
	return unit;
}

static void unit_leave(struct model_unit *unit)
{
	lockdep_assert_held(&units_lock);
	if (!--unit->devices)
		unit_remove(unit);
}

/* ---- Groups ---- */

static struct model_group *group_get(struct model_unit *unit, u32 key)
{
	struct model_group *group;

	lockdep_assert_held(&units_lock);
	list_for_each_entry(group, &groups, node) {
		if (group->unit == unit && group->key == key) {
			group->devices++;
			return group;
		}
	}
	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return ERR_PTR(-ENOMEM);
	group->group = iommu_group_alloc();
	if (IS_ERR(group->group)) {
		struct iommu_group *error = group->group;

		kfree(group);
		return ERR_CAST(error);
	}
	group->unit = unit;
	group->key = key;
	group->devices = 1;
	list_add(&group->node, &groups);
	return group;
}

static void group_leave(struct model_group *group)
{
	lockdep_assert_held(&units_lock);
	if (!group || --group->devices)
		return;
	list_del(&group->node);
	iommu_group_put(group->group);
	kfree(group);
}

/* ---- Devices ---- */

/* The only property of a device: how wide its PASIDs are */
static int read_property(const struct fwnode_handle *fwnode, const char *name,
			 unsigned int size, void *value, size_t n)
{
	const struct model_dev *mdev = container_of(fwnode, struct model_dev,
						    fwnode);

	if (strcmp(name, "pasid-num-bits") || size != sizeof(u32) ||
	    !mdev->unit->params.pasid_bits)
		return -EINVAL;
	if (!value)
		return 1;
	if (n != 1)
		return -EOVERFLOW;
	*(u32 *)value = mdev->unit->params.pasid_bits;
	return 0;
}

static const struct fwnode_operations dev_fwnode_ops = {
	.property_read_int_array = read_property,
};

/* Do as iommu_fwspec_init(), which is for buses that hold the core's lock */
static int fill_fwspec(struct device *dev, struct fwnode_handle *fwnode)
{
	struct iommu_fwspec *fwspec;
	struct dev_iommu *param;

	param = kzalloc(sizeof(*param), GFP_KERNEL);
	fwspec = kzalloc(struct_size(fwspec, ids, 1), GFP_KERNEL);
	if (!param || !fwspec) {
		kfree(param);
		kfree(fwspec);
		return -ENOMEM;
	}
	mutex_init(&param->lock);
	fwspec->iommu_fwnode = fwnode_handle_get(fwnode);
	param->fwspec = fwspec;
	dev->iommu = param;
	return 0;
}

/* The core frees it, unless the device was never added */
static void drop_fwspec(struct device *dev)
{
	struct dev_iommu *param = dev->iommu;

	if (!param)
		return;
	dev->iommu = NULL;
	fwnode_handle_put(param->fwspec->iommu_fwnode);
	kfree(param->fwspec);
	kfree(param);
}

/* The device may live longer than its node */
static void remove_platform_device(struct platform_device *pdev)
{
	platform_device_del(pdev);
	device_set_node(&pdev->dev, NULL);
	platform_device_put(pdev);
}

static struct platform_device *add_platform_device(struct model_dev *mdev,
						   const char *name, int id)
{
	struct platform_device *pdev;
	int ret;

	pdev = platform_device_alloc(name, id);
	if (!pdev)
		return ERR_PTR(-ENOMEM);
	pdev->platform_dma_mask = DMA_BIT_MASK(64);
	pdev->dev.coherent_dma_mask = DMA_BIT_MASK(64);
	pdev->dev.dma_mask = &pdev->platform_dma_mask;
	dev_set_msi_domain(&pdev->dev, mdev->unit->msi);
	fwnode_init(&mdev->fwnode, &dev_fwnode_ops);
	device_set_node(&pdev->dev, &mdev->fwnode);
	/* platform_device_add_data() copies its argument: here the pointer */
	ret = platform_device_add_data(pdev, &mdev, sizeof(mdev));
	if (!ret)
		ret = fill_fwspec(&pdev->dev, &mdev->unit->fwnode);
	if (!ret) {
		mdev->pdev = pdev;
		ret = platform_device_add(pdev);
		if (ret)
			drop_fwspec(&pdev->dev);
	}
	if (ret) {
		device_set_node(&pdev->dev, NULL);
		platform_device_put(pdev);
		return ERR_PTR(ret);
	}
	if (!device_iommu_mapped(&pdev->dev)) {
		remove_platform_device(pdev);
		return ERR_PTR(-ENODEV);
	}
	return pdev;
}

/**
 * model_dev_create() - plug a device in
 * @name: name of the platform device, and of its driver
 * @id: PLATFORM_DEVID_NONE, _AUTO, or a number
 * @params: properties of its unit
 * @group_key: devices of one unit with the same key share an iommu group; 0 for
 *	a group of its own
 *
 * Its driver, if there is one, has been probed when this returns.
 *
 * Context: may sleep.
 * Return: the device, or an ERR_PTR.
 */
struct model_dev *model_dev_create(const char *name, int id,
				   const struct model_params *params,
				   u32 group_key)
{
	struct model_params full = *params;
	struct platform_device *pdev;
	struct model_dev *mdev;
	int ret;

	ret = model_check_params(params);
	if (ret)
		return ERR_PTR(ret);
	complete_params(&full);
	mdev = kzalloc(sizeof(*mdev), GFP_KERNEL);
	if (!mdev)
		return ERR_PTR(-ENOMEM);
	mdev->rid.mdev = mdev;
	mdev->rid.pasid = MODEL_NO_PASID;
	model_tlb_init(&mdev->rid.devtlb);
	xa_init(&mdev->pasids);
	init_rwsem(&mdev->requests);
	mutex_init(&mdev->ops_lock);
	spin_lock_init(&mdev->fault_lock);

	mutex_lock(&units_lock);
	mdev->unit = unit_get(&full);
	if (IS_ERR(mdev->unit)) {
		ret = PTR_ERR(mdev->unit);
		mutex_unlock(&units_lock);
		goto err_free;
	}
	if (group_key) {
		mdev->group = group_get(mdev->unit, group_key);
		if (IS_ERR(mdev->group)) {
			ret = PTR_ERR(mdev->group);
			mdev->group = NULL;
		}
	}
	mutex_unlock(&units_lock);
	if (ret)
		goto err_leave;

	/* Its driver may make devices, too */
	pdev = add_platform_device(mdev, name, id);
	if (!IS_ERR(pdev))
		return mdev;
	ret = PTR_ERR(pdev);

err_leave:
	mutex_lock(&units_lock);
	group_leave(mdev->group);
	unit_leave(mdev->unit);
	mutex_unlock(&units_lock);
err_free:
	mutex_destroy(&mdev->ops_lock);
	kfree(mdev);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(model_dev_create);

/**
 * model_dev_destroy() - unplug a device
 * @mdev: the device; gone on return
 *
 * Waits until its driver has released it.
 *
 * Context: may sleep.
 */
void model_dev_destroy(struct model_dev *mdev)
{
	remove_platform_device(mdev->pdev);
	/* Drop its requests in the queue */
	flush_work(&mdev->unit->prq_work);
	mutex_lock(&units_lock);
	group_leave(mdev->group);
	unit_leave(mdev->unit);
	mutex_unlock(&units_lock);
	xa_destroy(&mdev->pasids);
	mutex_destroy(&mdev->ops_lock);
	kfree(mdev);
}
EXPORT_SYMBOL_IF_KUNIT(model_dev_destroy);

/**
 * model_dev_of() - get the model device of a device
 * @dev: a device that model_dev_create() made
 *
 * Return: the model device; in the driver's probe as well.
 */
struct model_dev *model_dev_of(struct device *dev)
{
	return *(struct model_dev **)dev_get_platdata(dev);
}

/**
 * model_dev_device() - get the device of a model device
 * @mdev: the model device
 *
 * Return: the device.
 */
struct device *model_dev_device(struct model_dev *mdev)
{
	return &mdev->pdev->dev;
}
EXPORT_SYMBOL_IF_KUNIT(model_dev_device);

/**
 * model_dev_params() - get the properties of a device's unit
 * @mdev: the device
 *
 * Return: its parameters, with defaults filled in.
 */
const struct model_params *model_dev_params(struct model_dev *mdev)
{
	return &mdev->unit->params;
}

/**
 * model_dev_set_ops() - set the callbacks of a driver
 * @mdev: the device
 * @ops: its ops, or NULL
 * @priv: for them
 *
 * When this returns, the previous ops are not called.
 *
 * Context: may sleep.
 */
void model_dev_set_ops(struct model_dev *mdev, const struct model_dev_ops *ops,
		       void *priv)
{
	mutex_lock(&mdev->ops_lock);
	mdev->ops = ops;
	mdev->priv = priv;
	mutex_unlock(&mdev->ops_lock);
}
EXPORT_SYMBOL_IF_KUNIT(model_dev_set_ops);

/**
 * model_last_fault() - get the last failed access of a device
 * @mdev: the device
 * @fault: out, the last failure
 */
void model_last_fault(struct model_dev *mdev, struct model_fault *fault)
{
	spin_lock(&mdev->fault_lock);
	*fault = mdev->fault;
	spin_unlock(&mdev->fault_lock);
}

/**
 * model_read_counters() - read the counters of a unit
 * @mdev: one of its devices
 * @counters: out
 */
void model_read_counters(struct model_dev *mdev,
			 struct model_counters *counters)
{
	u64 *out = (u64 *)counters;
	unsigned int i;

	for (i = 0; i < MODEL_COUNTERS; i++)
		out[i] = atomic64_read(&mdev->unit->counters[i]);
}
EXPORT_SYMBOL_IF_KUNIT(model_read_counters);

static struct iommu_device *model_probe_device(struct device *dev)
{
	struct model_dev *mdev = model_dev_of(dev);

	dev_iommu_priv_set(dev, mdev);
	return &mdev->unit->iommu;
}

static void pri_off(struct model_dev *mdev);

static void model_release_device(struct device *dev)
{
	struct model_dev *mdev = to_model_dev(dev);

	/* Done here because of release_domain: no slot has a domain now */
	down_write(&mdev->requests);
	if (mdev->pri)
		pri_off(mdev);
	up_write(&mdev->requests);
}

static struct iommu_group *model_device_group(struct device *dev)
{
	struct model_dev *mdev = to_model_dev(dev);

	if (mdev->group)
		return iommu_group_ref_get(mdev->group->group);
	return generic_device_group(dev);
}

static int model_def_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static bool model_capable(struct device *dev, enum iommu_cap cap)
{
	u32 flags = to_model_dev(dev)->unit->params.flags;

	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
		return true;
	case IOMMU_CAP_ENFORCE_CACHE_COHERENCY:
		return flags & MODEL_ENFORCE_COHERENCY;
	case IOMMU_CAP_DIRTY_TRACKING:
		return flags & MODEL_DIRTY;
	case IOMMU_CAP_DEFERRED_FLUSH:
		return !(flags & MODEL_NO_DEFERRED_FLUSH);
	default:
		return false;
	}
}

static void *model_hw_info(struct device *dev, u32 *length, u32 *type)
{
	struct model_unit *unit = to_model_dev(dev)->unit;
	struct model_hw_info *info;

	info = kzalloc(sizeof(*info), GFP_KERNEL);
	if (!info)
		return ERR_PTR(-ENOMEM);
	info->params = unit->params;
	if (unit->params.flags & MODEL_NESTING) {
		info->s1_page_sizes = SZ_4K | SZ_2M | SZ_1G;
		info->s1_max_levels = MODEL_S1_MAX_LEVELS;
	}
	*length = sizeof(*info);
	*type = MODEL_HW_INFO;
	return info;
}

static void model_get_resv_regions(struct device *dev, struct list_head *list)
{
	static const enum iommu_resv_type types[] = {
		[MODEL_RESV_DIRECT] = IOMMU_RESV_DIRECT,
		[MODEL_RESV_RELAXABLE] = IOMMU_RESV_DIRECT_RELAXABLE,
		[MODEL_RESV_RESERVED] = IOMMU_RESV_RESERVED,
		[MODEL_RESV_MSI] = IOMMU_RESV_MSI,
		[MODEL_RESV_SW_MSI] = IOMMU_RESV_SW_MSI,
	};
	const struct model_params *params = &to_model_dev(dev)->unit->params;
	int prot = IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE;
	const struct model_resv *resv = params->resv;
	struct iommu_resv_region *region;

	for (; resv < params->resv + params->nr_resv; resv++) {
		region = iommu_alloc_resv_region(resv->start, resv->length,
						 prot, types[resv->type],
						 GFP_KERNEL);
		if (region)
			list_add_tail(&region->list, list);
	}
}

/* ---- Attach ---- */

/* Change the route of a slot, while no page request of it is handed over */
static void slot_set(struct model_slot *slot, enum model_route route,
		     struct model_domain *dom)
{
	down_write(&slot->mdev->requests);
	model_slot_set(slot, route, dom);
	up_write(&slot->mdev->requests);
}

static int model_attach_blocked(struct iommu_domain *domain,
				struct device *dev)
{
	slot_set(&to_model_dev(dev)->rid, MODEL_BLOCKED, NULL);
	return 0;
}

static int model_attach_identity(struct iommu_domain *domain,
				 struct device *dev)
{
	slot_set(&to_model_dev(dev)->rid, MODEL_IDENTITY, NULL);
	return 0;
}

static struct iommu_domain blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &(const struct iommu_domain_ops){
		.attach_dev = model_attach_blocked,
	},
};

static struct iommu_domain identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &(const struct iommu_domain_ops){
		.attach_dev = model_attach_identity,
	},
};

/* Without page sizes and aperture nothing can be mapped */
static void stage2_finalize(struct model_domain *dom)
{
	const struct model_params *params = &dom->unit->params;

	dom->domain.pgsize_bitmap = params->page_sizes;
	dom->domain.geometry.aperture_start = params->aperture_start;
	dom->domain.geometry.aperture_end = params->aperture_last;
}

static int model_attach(struct iommu_domain *domain, struct device *dev)
{
	struct model_domain *dom = to_model_domain(domain);
	struct model_dev *mdev = to_model_dev(dev);

	if (dom->unit != mdev->unit)
		return -EINVAL;
	if (dom->kind == MODEL_PASIDS && !xa_empty(&mdev->pasids))
		return -EBUSY;
	/*
	 * An attach to the current domain must not fail: the core relies on it
	 */
	if (mdev->rid.dom != dom &&
	    model_should_fail(mdev->unit, MODEL_INJECT_ATTACH, NULL))
		return -ENOMEM;
	if (dom->kind == MODEL_STAGE2 && !domain->geometry.aperture_end)
		stage2_finalize(dom);
	slot_set(&mdev->rid, MODEL_TRANSLATED, dom);
	return 0;
}

static int model_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
			       ioasid_t pasid, struct iommu_domain *old)
{
	struct model_domain *dom = to_model_domain(domain);
	struct model_dev *mdev = to_model_dev(dev);
	struct model_slot *slot;
	int ret;

	if (dom->unit != mdev->unit || pasid >> mdev->unit->params.pasid_bits)
		return -EINVAL;
	if (mdev->rid.dom && mdev->rid.dom->kind == MODEL_PASIDS)
		return -EBUSY;
	slot = xa_load(&mdev->pasids, pasid);
	if (slot && mdev->unit->params.flags & MODEL_NO_REPLACE_PASIDS)
		return -EBUSY;
	if (model_should_fail(mdev->unit, MODEL_INJECT_ATTACH_PASID, NULL))
		return -ENOMEM;
	if (slot) {
		slot_set(slot, MODEL_TRANSLATED, dom);
		return 0;
	}
	slot = kzalloc(sizeof(*slot), GFP_KERNEL);
	if (!slot)
		return -ENOMEM;
	slot->mdev = mdev;
	slot->pasid = pasid;
	model_tlb_init(&slot->devtlb);
	ret = xa_reserve(&mdev->pasids, pasid, GFP_KERNEL);
	if (ret) {
		kfree(slot);
		return ret;
	}
	slot_set(slot, MODEL_TRANSLATED, dom);
	return 0;
}

static void model_remove_dev_pasid(struct device *dev, ioasid_t pasid,
				   struct iommu_domain *domain)
{
	struct model_dev *mdev = to_model_dev(dev);
	struct model_slot *slot = xa_load(&mdev->pasids, pasid);

	if (!slot)
		return;
	slot_set(slot, MODEL_BLOCKED, NULL);
	kfree(slot);
}

/* ---- Domains ---- */

static struct model_domain *domain_alloc(struct model_unit *unit,
					 enum model_kind kind)
{
	struct model_domain *dom;

	if (model_should_fail(unit, MODEL_INJECT_ALLOC, NULL))
		return ERR_PTR(-ENOMEM);
	/* Held for as long as the ops of the domain can be called */
	if (!try_module_get(THIS_MODULE))
		return ERR_PTR(-ENODEV);
	dom = kzalloc(sizeof(*dom), GFP_KERNEL_ACCOUNT);
	if (!dom) {
		module_put(THIS_MODULE);
		return ERR_PTR(-ENOMEM);
	}
	dom->kind = kind;
	dom->unit = unit;
	kref_get(&unit->kref);
	INIT_LIST_HEAD(&dom->node);
	INIT_LIST_HEAD(&dom->slots);
	model_tlb_init(&dom->tlb);
	INIT_LIST_HEAD(&dom->children);
	spin_lock_init(&dom->limbo_lock);
	dom->limbo = RB_ROOT_CACHED;
	xa_init(&dom->pasid_cache);
	return dom;
}

static void domain_discard(struct model_domain *dom)
{
	unit_put(dom->unit);
	kfree(dom);
	module_put(THIS_MODULE);
}

static void domain_publish(struct model_domain *dom)
{
	struct model_unit *unit = dom->unit;

	mutex_lock(&unit->mutex);
	list_add_tail(&dom->node, &unit->domains);
	mutex_unlock(&unit->mutex);
	model_count(unit, domains);
}

static void model_domain_free(struct iommu_domain *domain)
{
	struct model_domain *dom = to_model_domain(domain);
	struct model_unit *unit = dom->unit;

	mutex_lock(&unit->mutex);
	list_del(&dom->node);
	mutex_unlock(&unit->mutex);
	if (dom->parent) {
		write_lock(&unit->lock);
		list_del(&dom->sibling);
		write_unlock(&unit->lock);
	}
	/* The detach of the last slot flushed all caches */
	model_table_free(&dom->table);
	atomic64_dec(model_counter(unit, domains));
	domain_discard(dom);
}

static struct model_domain *stage2_alloc(struct model_unit *unit)
{
	const struct model_params *params = &unit->params;
	struct model_domain *dom;
	int ret;

	dom = domain_alloc(unit, MODEL_STAGE2);
	if (IS_ERR(dom))
		return dom;
	ret = model_table_init(&dom->table, unit->shift, params->levels);
	if (ret) {
		domain_discard(dom);
		return ERR_PTR(ret);
	}
	dom->domain.type = IOMMU_DOMAIN_UNMANAGED;
	dom->domain.ops = params->flags & MODEL_NO_DEFERRED_FLUSH ?
				  &stage2_strict_ops : &stage2_ops;
	dom->domain.owner = unit->iommu.ops;
	dom->domain.geometry.force_aperture = true;
	if (!(params->flags & MODEL_FINALIZE))
		stage2_finalize(dom);
	domain_publish(dom);
	return dom;
}

static struct iommu_domain *model_domain_alloc_paging(struct device *dev)
{
	struct model_domain *dom;

	if (!dev)
		return ERR_PTR(-ENODEV);
	dom = stage2_alloc(to_model_dev(dev)->unit);
	return IS_ERR(dom) ? ERR_CAST(dom) : &dom->domain;
}

static int nested_from_user(struct model_unit *unit, struct model_domain *dom,
			    const struct iommu_user_data *data)
{
	int ret;

	if (dom->kind == MODEL_PASIDS) {
		ret = iommu_copy_struct_from_user(&dom->pasids, data,
						  MODEL_HWPT_DATA_PASID_TABLE,
						  flags);
		if (ret)
			return ret;
		if (dom->pasids.flags)
			return -EOPNOTSUPP;
		if (!dom->pasids.pasid_bits ||
		    dom->pasids.pasid_bits > unit->params.pasid_bits ||
		    dom->pasids.table & ~MODEL_S1_ADDRESS)
			return -EINVAL;
		return 0;
	}
	ret = iommu_copy_struct_from_user(&dom->s1, data, MODEL_HWPT_DATA_S1,
					  flags);
	if (ret)
		return ret;
	if (dom->s1.flags)
		return -EOPNOTSUPP;
	if (dom->s1.levels < MODEL_S1_MIN_LEVELS ||
	    dom->s1.levels > MODEL_S1_MAX_LEVELS ||
	    dom->s1.root & ~MODEL_S1_ADDRESS)
		return -EINVAL;
	return 0;
}

static struct iommu_domain *nested_alloc(struct model_unit *unit,
					 struct model_domain *parent,
					 enum model_kind kind,
					 const struct iommu_user_data *data)
{
	struct model_domain *dom;
	int ret;

	dom = domain_alloc(unit, kind);
	if (IS_ERR(dom))
		return ERR_CAST(dom);
	ret = nested_from_user(unit, dom, data);
	if (ret) {
		domain_discard(dom);
		return ERR_PTR(ret);
	}
	dom->domain.type = IOMMU_DOMAIN_NESTED;
	dom->domain.ops = kind == MODEL_PASIDS ? &pasids_ops : &stage1_ops;
	dom->domain.owner = unit->iommu.ops;
	dom->parent = parent;
	write_lock(&unit->lock);
	list_add_tail(&dom->sibling, &parent->children);
	write_unlock(&unit->lock);
	domain_publish(dom);
	return &dom->domain;
}

static const struct iommu_dirty_ops model_dirty_ops;

static struct iommu_domain *
model_domain_alloc_user(struct device *dev, u32 flags,
			struct iommu_domain *parent,
			const struct iommu_user_data *data)
{
	struct model_unit *unit = to_model_dev(dev)->unit;
	u32 can = unit->params.flags;
	struct model_domain *dom;

	if (can & MODEL_FINALIZE)
		return ERR_PTR(-EOPNOTSUPP);
	if (parent) {
		struct model_domain *stage2 = to_model_domain(parent);

		if (flags || !data || !(can & MODEL_NESTING))
			return ERR_PTR(-EOPNOTSUPP);
		if ((parent->ops != &stage2_ops &&
		     parent->ops != &stage2_strict_ops) ||
		    stage2->unit != unit)
			return ERR_PTR(-EINVAL);
		if (data->type == MODEL_HWPT_DATA_S1)
			return nested_alloc(unit, stage2, MODEL_STAGE1, data);
		if (data->type == MODEL_HWPT_DATA_PASID_TABLE &&
		    can & MODEL_USER_PASID_TABLE)
			return nested_alloc(unit, stage2, MODEL_PASIDS, data);
		return ERR_PTR(-EOPNOTSUPP);
	}

	if (data || flags & ~(IOMMU_HWPT_ALLOC_NEST_PARENT |
			      IOMMU_HWPT_ALLOC_DIRTY_TRACKING))
		return ERR_PTR(-EOPNOTSUPP);
	if ((flags & IOMMU_HWPT_ALLOC_NEST_PARENT && !(can & MODEL_NESTING)) ||
	    (flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING && !(can & MODEL_DIRTY)))
		return ERR_PTR(-EOPNOTSUPP);
	dom = stage2_alloc(unit);
	if (IS_ERR(dom))
		return ERR_CAST(dom);
	if (flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING)
		dom->domain.dirty_ops = &model_dirty_ops;
	return &dom->domain;
}

/* ---- Map, unmap ---- */

static u64 prot_to_attributes(int prot)
{
	u64 attributes = 0;

	if (prot & IOMMU_READ)
		attributes |= MODEL_PTE_READ;
	if (prot & IOMMU_WRITE)
		attributes |= MODEL_PTE_WRITE;
	return attributes;
}

static int model_map_pages(struct iommu_domain *domain, unsigned long iova,
			   phys_addr_t phys, size_t pgsize, size_t pgcount,
			   int prot, gfp_t gfp, size_t *mapped)
{
	struct model_domain *dom = to_model_domain(domain);
	struct model_unit *unit = dom->unit;
	u64 attributes = prot_to_attributes(prot);
	u32 pages = 0;
	bool fail;
	int ret;

	model_count(unit, maps);
	if (!attributes)
		return -EINVAL;
	if (READ_ONCE(dom->snoop))
		attributes |= MODEL_PTE_SNOOP;
	fail = model_should_fail(unit, MODEL_INJECT_MAP, &pages);
	for (; pgcount; pgcount--) {
		if (fail && !pages--)
			return -ENOMEM;
		if (iova < domain->geometry.aperture_start ||
		    iova > domain->geometry.aperture_end ||
		    pgsize - 1 > domain->geometry.aperture_end - iova ||
		    phys & ~MODEL_PTE_ADDRESS)
			return -ERANGE;
		ret = model_table_map(&dom->table, iova, phys, __ffs(pgsize),
				      attributes | model_watch(phys, pgsize),
				      gfp);
		if (ret)
			return ret;
		*mapped += pgsize;
		iova += pgsize;
		phys += pgsize;
	}
	return fail ? -ENOMEM : 0;
}

static int model_iotlb_sync_map(struct iommu_domain *domain,
				unsigned long iova, size_t size)
{
	struct model_domain *dom = to_model_domain(domain);

	model_count(dom->unit, sync_maps);
	if (model_should_fail(dom->unit, MODEL_INJECT_SYNC, NULL))
		return -ENOMEM;
	if (dom->unit->params.flags & MODEL_CACHE_ABSENT && size)
		model_flush(dom, iova, iova + (size - 1));
	return 0;
}

/* Physically contiguous memory that was unmapped, not in the limbo yet */
struct row {
	u64 iova;
	u64 size;
	u64 phys;
	u64 watch;
};

static void row_end(struct model_domain *dom, struct row *row)
{
	if (row->size)
		model_limbo_add(dom, row->iova, row->iova + (row->size - 1),
				row->phys, row->watch);
	row->size = 0;
}

static void row_add(struct model_domain *dom, struct row *row, u64 iova,
		    u64 size, u64 phys, u64 watch)
{
	if (row->size && (row->iova + row->size != iova ||
			  row->phys + row->size != phys ||
			  row->watch != watch))
		row_end(dom, row);
	if (!row->size)
		*row = (struct row){
			.iova = iova,
			.phys = phys,
			.watch = watch,
		};
	row->size += size;
}

static size_t model_unmap_pages(struct iommu_domain *domain,
				unsigned long iova, size_t pgsize,
				size_t pgcount,
				struct iommu_iotlb_gather *gather)
{
	struct model_domain *dom = to_model_domain(domain);
	size_t size = pgsize * pgcount, done = 0;
	unsigned long start = iova;
	struct model_leaf leaf;
	struct row row = {};
	u32 pages = 0;
	bool fail;

	model_count(dom->unit, unmaps);
	fail = model_should_fail(dom->unit, MODEL_INJECT_UNMAP, &pages);
	while (done < size) {
		u64 at = iova + done, left;

		if (fail && !pages--)
			break;
		rcu_read_lock();
		if (!model_table_find(&dom->table, at, &leaf)) {
			rcu_read_unlock();
			break;
		}
		model_table_clear(&dom->table, &leaf, U64_MAX);
		rcu_read_unlock();
		row_add(dom, &row, leaf.start, leaf.last - leaf.start + 1,
			leaf.entry & MODEL_PTE_ADDRESS,
			leaf.entry & MODEL_PTE_WATCH);
		start = min(start, leaf.start);
		left = leaf.last - at + 1;
		done += left;
	}
	row_end(dom, &row);
	if (done && !iommu_iotlb_gather_queued(gather))
		iommu_iotlb_gather_add_page(domain, gather, start,
					    iova + done - start);
	return done;
}

static size_t model_protect_pages(struct iommu_domain *domain,
				  unsigned long iova, size_t pgsize,
				  size_t pgcount, int prot,
				  struct iommu_iotlb_gather *gather)
{
	struct model_domain *dom = to_model_domain(domain);
	u64 attributes = prot_to_attributes(prot);
	size_t size = pgsize * pgcount, done;
	struct model_leaf leaf;

	if (!(dom->unit->params.flags & MODEL_PROTECT) || !attributes)
		return 0;
	model_count(dom->unit, protects);
	for (done = 0; done < size; done += pgsize) {
		bool same;

		rcu_read_lock();
		same = model_table_find(&dom->table, iova + done, &leaf) &&
		       leaf.start == iova + done &&
		       leaf.last - leaf.start == pgsize - 1;
		if (same)
			model_table_protect(&dom->table, &leaf, attributes);
		rcu_read_unlock();
		if (!same)
			break;
	}
	if (done)
		iommu_iotlb_gather_add_page(domain, gather, iova, done);
	return done;
}

static phys_addr_t model_iova_to_phys(struct iommu_domain *domain,
				      dma_addr_t iova)
{
	struct model_domain *dom = to_model_domain(domain);
	struct model_leaf leaf;
	phys_addr_t phys = 0;

	rcu_read_lock();
	if (model_table_find(&dom->table, iova, &leaf))
		phys = model_leaf_phys(&leaf, iova);
	rcu_read_unlock();
	return phys;
}

static void model_iotlb_sync(struct iommu_domain *domain,
			     struct iommu_iotlb_gather *gather)
{
	struct model_domain *dom = to_model_domain(domain);

	/* The gather is empty, or is for model_flush_iotlb_all() */
	if (gather->queued || gather->start > gather->end)
		return;
	model_count(dom->unit, flush_range);
	model_flush(dom, gather->start, gather->end);
}

static void model_flush_iotlb_all(struct iommu_domain *domain)
{
	struct model_domain *dom = to_model_domain(domain);

	model_count(dom->unit, flush_all);
	model_flush(dom, 0, U64_MAX);
}

static bool model_enforce_cache_coherency(struct iommu_domain *domain)
{
	struct model_domain *dom = to_model_domain(domain);

	if (!(dom->unit->params.flags & MODEL_ENFORCE_COHERENCY))
		return false;
	/* For mappings from now on */
	WRITE_ONCE(dom->snoop, true);
	return true;
}

static const struct iommu_domain_ops stage2_ops = {
	.attach_dev = model_attach,
	.set_dev_pasid = model_set_dev_pasid,
	.map_pages = model_map_pages,
	.unmap_pages = model_unmap_pages,
	.flush_iotlb_all = model_flush_iotlb_all,
	.iotlb_sync_map = model_iotlb_sync_map,
	.iotlb_sync = model_iotlb_sync,
	.iova_to_phys = model_iova_to_phys,
	.enforce_cache_coherency = model_enforce_cache_coherency,
	.free = model_domain_free,
};

/* Without deferred flushes there is no flush_iotlb_all() */
static const struct iommu_domain_ops stage2_strict_ops = {
	.attach_dev = model_attach,
	.set_dev_pasid = model_set_dev_pasid,
	.map_pages = model_map_pages,
	.unmap_pages = model_unmap_pages,
	.iotlb_sync_map = model_iotlb_sync_map,
	.iotlb_sync = model_iotlb_sync,
	.iova_to_phys = model_iova_to_phys,
	.enforce_cache_coherency = model_enforce_cache_coherency,
	.free = model_domain_free,
};

static struct ioasid_domain_extension model_extensions[] = {
	{ .domain_ops = &stage2_ops, .protect_pages = model_protect_pages },
	{ .domain_ops = &stage2_strict_ops, .protect_pages = model_protect_pages },
};

/* ---- Formats of user tables ---- */

static int s1_root(const void *data, u32 length, u64 *root)
{
	const struct model_s1 *s1 = data;

	if (length != sizeof(*s1))
		return -EINVAL;
	if (s1->flags)
		return -EOPNOTSUPP;
	if (s1->levels < MODEL_S1_MIN_LEVELS ||
	    s1->levels > MODEL_S1_MAX_LEVELS || s1->root & ~MODEL_S1_ADDRESS)
		return -EINVAL;
	*root = s1->root;
	return 0;
}

static int pasids_root(const void *data, u32 length, u64 *root)
{
	const struct model_pasid_table *pasids = data;

	if (length != sizeof(*pasids))
		return -EINVAL;
	if (pasids->flags)
		return -EOPNOTSUPP;
	if (!pasids->pasid_bits || pasids->table & ~MODEL_S1_ADDRESS)
		return -EINVAL;
	*root = pasids->table;
	return 0;
}

static void table_invalidate(const struct ioasid_invalidate *from, void *to)
{
	struct model_invalidate *inv = to;

	*inv = (struct model_invalidate){
		.start = from->start,
		.last = from->last,
		.pasid = from->vpasid,
	};
	if (from->flags & IOASID_INVALIDATE_IOTLB)
		inv->flags |= MODEL_INV_IOTLB;
	if (from->flags & IOASID_INVALIDATE_DEVTLB)
		inv->flags |= MODEL_INV_DEVTLB;
	if (from->flags & IOASID_INVALIDATE_PASID_CACHE)
		inv->flags |= MODEL_INV_PASID_CACHE;
	if (from->flags & IOASID_INVALIDATE_PASID)
		inv->flags |= MODEL_INV_PASID;
	if (from->flags & IOASID_INVALIDATE_RANGE)
		inv->flags |= MODEL_INV_RANGE;
}

static struct ioasid_table_format model_formats[] = {
	{
		.owner = THIS_MODULE,
		.type = MODEL_HWPT_DATA_S1,
		.invalidate_type = MODEL_HWPT_INVALIDATE,
		.invalidate_size = sizeof(struct model_invalidate),
		.root = s1_root,
		.invalidate = table_invalidate,
	},
	{
		.owner = THIS_MODULE,
		.by_pasid = true,
		.type = MODEL_HWPT_DATA_PASID_TABLE,
		.invalidate_type = MODEL_HWPT_INVALIDATE,
		.invalidate_size = sizeof(struct model_invalidate),
		.root = pasids_root,
		.invalidate = table_invalidate,
	},
};

/* ---- Dirty tracking ---- */

static int model_set_dirty_tracking(struct iommu_domain *domain, bool enabled)
{
	struct model_domain *dom = to_model_domain(domain);

	if (READ_ONCE(dom->dirty) == enabled)
		return 0;
	WRITE_ONCE(dom->dirty, enabled);
	/* Cached entries say that no dirty bit is to be set */
	model_flush(dom, 0, U64_MAX);
	return 0;
}

static int model_read_and_clear_dirty(struct iommu_domain *domain,
				      unsigned long iova, size_t size,
				      unsigned long flags,
				      struct iommu_dirty_bitmap *dirty)
{
	struct model_domain *dom = to_model_domain(domain);
	u64 at = iova, last = iova + (size - 1), bits;
	struct model_leaf leaf;

	if (!READ_ONCE(dom->dirty) && dirty->bitmap)
		return -EINVAL;
	bits = flags & IOMMU_DIRTY_NO_CLEAR ? 0 : MODEL_PTE_DIRTY;
	for (;;) {
		u64 was;

		rcu_read_lock();
		if (!model_table_next(&dom->table, at, last, &leaf)) {
			rcu_read_unlock();
			return 0;
		}
		was = model_table_clear(&dom->table, &leaf, bits);
		rcu_read_unlock();
		if (was & MODEL_PTE_DIRTY)
			iommu_dirty_bitmap_record(dirty, max(at, leaf.start),
						  leaf.last + 1 -
						  max(at, leaf.start));
		if (leaf.last >= last)
			return 0;
		at = leaf.last + 1;
	}
}

static const struct iommu_dirty_ops model_dirty_ops = {
	.set_dirty_tracking = model_set_dirty_tracking,
	.read_and_clear_dirty = model_read_and_clear_dirty,
};

/* ---- Nested domains ---- */

static int check_invalidate(struct model_domain *dom,
			    const struct model_invalidate *inv)
{
	if (inv->flags & ~MODEL_INV_FLAGS)
		return -EOPNOTSUPP;
	if (!(inv->flags & (MODEL_INV_IOTLB | MODEL_INV_DEVTLB |
			    MODEL_INV_PASID_CACHE)))
		return -EINVAL;
	if (inv->flags & MODEL_INV_RANGE && inv->start > inv->last)
		return -EINVAL;
	if (dom->kind == MODEL_PASIDS) {
		if (inv->flags & MODEL_INV_PASID &&
		    inv->pasid >> dom->pasids.pasid_bits)
			return -EINVAL;
	} else if (inv->flags & (MODEL_INV_PASID | MODEL_INV_PASID_CACHE)) {
		return -EINVAL;
	}
	return 0;
}

static int model_cache_invalidate_user(struct iommu_domain *domain,
				       struct iommu_user_data_array *array)
{
	struct model_domain *dom = to_model_domain(domain);
	struct model_invalidate inv;
	u32 done = 0;
	int ret = 0;

	if (array->type != MODEL_HWPT_INVALIDATE)
		ret = -EINVAL;
	while (!ret && done < array->entry_num) {
		ret = iommu_copy_struct_from_user_array(&inv, array,
							MODEL_HWPT_INVALIDATE,
							done, pasid);
		if (!ret)
			ret = check_invalidate(dom, &inv);
		if (ret)
			break;
		model_flush_user(dom, &inv);
		done++;
		cond_resched();
	}
	array->entry_num = done;
	return ret;
}

static const struct iommu_domain_ops stage1_ops = {
	.attach_dev = model_attach,
	.set_dev_pasid = model_set_dev_pasid,
	.cache_invalidate_user = model_cache_invalidate_user,
	.free = model_domain_free,
};

static const struct iommu_domain_ops pasids_ops = {
	.attach_dev = model_attach,
	.cache_invalidate_user = model_cache_invalidate_user,
	.free = model_domain_free,
};

/* ---- Page requests ---- */

/* The device has nothing outstanding: responses to come return no credit */
static void credits_reset(struct model_dev *mdev)
{
	struct model_unit *unit = mdev->unit;

	spin_lock(&unit->prq_lock);
	mdev->credits = unit->params.prq_credits;
	memset(mdev->held, 0, sizeof(mdev->held));
	mdev->resets++;
	spin_unlock(&unit->prq_lock);
}

/* The response for a group returns the credits of all its requests */
static void credits_return(struct model_dev *mdev,
			   const struct iommu_fault_page_request *last)
{
	spin_lock(&mdev->unit->prq_lock);
	if (last->private_data[1] == mdev->resets)
		mdev->credits += last->private_data[0];
	spin_unlock(&mdev->unit->prq_lock);
}

static void respond(struct model_dev *mdev,
		    const struct iommu_fault_page_request *last,
		    const struct iommu_page_response *response)
{
	credits_return(mdev, last);
	model_count(mdev->unit, responses);
	mutex_lock(&mdev->ops_lock);
	if (mdev->ops && mdev->ops->page_response)
		mdev->ops->page_response(mdev->priv, response);
	mutex_unlock(&mdev->ops_lock);
}

static void respond_invalid(struct model_dev *mdev,
			    const struct iommu_fault_page_request *prm)
{
	struct iommu_page_response response = {
		.pasid = prm->pasid,
		.grpid = prm->grpid,
		.code = IOMMU_PAGE_RESP_INVALID,
	};

	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
		respond(mdev, prm, &response);
}

/* The slot that a request is routed by, or NULL; by either lock of routes */
static struct model_slot *
slot_of_request(struct model_dev *mdev,
		const struct iommu_fault_page_request *prm)
{
	if (!(prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID) ||
	    (mdev->rid.dom && mdev->rid.dom->kind == MODEL_PASIDS))
		return &mdev->rid;
	return xa_load(&mdev->pasids, prm->pasid);
}

static void model_page_response(struct device *dev, struct iopf_fault *evt,
				struct iommu_page_response *msg)
{
	struct model_dev *mdev = to_model_dev(dev);

	if (!(evt->fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE) ||
	    model_should_fail(mdev->unit, MODEL_INJECT_RESPONSE, NULL))
		return;
	respond(mdev, &evt->fault.prm, msg);
}

static int prq_add(struct model_unit *unit, struct model_request *request)
{
	struct iommu_fault_page_request *prm = &request->fault.prm;
	bool last = prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	struct model_dev *mdev = request->mdev;
	u32 *held = &mdev->held[prm->grpid];
	bool room = unit->prq_head - unit->prq_tail < unit->prq_depth;

	lockdep_assert_held(&unit->prq_lock);
	if (!mdev->credits)
		return -EAGAIN;
	if (room) {
		mdev->credits--;
		(*held)++;
	} else if (last) {
		/* There will be no response to the group */
		mdev->credits += *held;
	}
	if (last) {
		prm->private_data[0] = *held;
		prm->private_data[1] = mdev->resets;
		*held = 0;
	}
	if (!room)
		return -ENOSPC;
	unit->prq[unit->prq_head++ % unit->prq_depth] = *request;
	return 0;
}

static bool prq_take(struct model_unit *unit, struct model_request *request)
{
	bool any;

	spin_lock(&unit->prq_lock);
	any = unit->prq_tail != unit->prq_head;
	if (any)
		*request = unit->prq[unit->prq_tail++ % unit->prq_depth];
	spin_unlock(&unit->prq_lock);
	return any;
}

static void prq_work(struct work_struct *work)
{
	struct model_unit *unit = container_of(work, struct model_unit,
					       prq_work);
	unsigned int left = unit->prq_depth;
	struct model_request request;

	/* In bounded time, as flush_work() waits for it */
	for (; left && prq_take(unit, &request); left--) {
		struct iopf_fault evt = { .fault = request.fault };
		struct model_dev *mdev = request.mdev;
		struct model_slot *slot;

		down_read(&mdev->requests);
		slot = slot_of_request(mdev, &evt.fault.prm);
		/* The domain that is attached now did not get this request */
		if (mdev->pri && slot && slot->route == MODEL_TRANSLATED &&
		    slot->era == request.era)
			iommu_report_device_fault(&mdev->pdev->dev, &evt);
		else
			respond_invalid(mdev, &evt.fault.prm);
		up_read(&mdev->requests);
		cond_resched();
	}
	if (!left)
		queue_work(unit->prq_wq, &unit->prq_work);
	/* The last request of a group may be among the lost ones */
	else if (test_and_clear_bit(0, &unit->prq_overflow))
		iopf_queue_discard_partial(unit->iopf);
}

/**
 * model_report_page_request() - request a page
 * @mdev: the device
 * @pasid: the PASID, or MODEL_NO_PASID
 * @address: where
 * @group: number of the group that the request belongs to, below MODEL_GROUPS
 * @flags: MODEL_REQUEST_READ ...
 *
 * Context: does not sleep.
 * Return: 0, it is queued, and one response follows if it is the last of its
 * group; -EINVAL, @group is too large; -ENODEV, page requests are off; -EAGAIN,
 * the device has as many outstanding as it may, see model_may_request();
 * -ENOSPC, the queue is full, and all groups that are not complete are lost.
 */
int model_report_page_request(struct model_dev *mdev, u32 pasid, u64 address,
			      u32 group, unsigned int flags)
{
	struct model_unit *unit = mdev->unit;
	struct model_request request = {
		.mdev = mdev,
		.fault = {
			.type = IOMMU_FAULT_PAGE_REQ,
			.prm = {
				.addr = address & PAGE_MASK,
				.grpid = group,
			},
		},
	};
	struct iommu_fault_page_request *prm = &request.fault.prm;
	struct model_slot *slot;
	int ret;

	if (group >= MODEL_GROUPS)
		return -EINVAL;
	if (!READ_ONCE(mdev->pri))
		return -ENODEV;
	if (pasid != MODEL_NO_PASID) {
		prm->pasid = pasid;
		prm->flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			     IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
	}
	if (flags & MODEL_REQUEST_LAST)
		prm->flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	if (flags & MODEL_REQUEST_READ)
		prm->perm |= IOMMU_FAULT_PERM_READ;
	if (flags & MODEL_REQUEST_WRITE)
		prm->perm |= IOMMU_FAULT_PERM_WRITE;
	if (flags & MODEL_REQUEST_EXEC)
		prm->perm |= IOMMU_FAULT_PERM_EXEC;
	if (flags & MODEL_REQUEST_PRIV)
		prm->perm |= IOMMU_FAULT_PERM_PRIV;

	read_lock(&unit->lock);
	rcu_read_lock();
	slot = slot_of_request(mdev, prm);
	if (slot)
		request.era = slot->era;
	rcu_read_unlock();
	read_unlock(&unit->lock);

	spin_lock(&unit->prq_lock);
	ret = prq_add(unit, &request);
	spin_unlock(&unit->prq_lock);
	if (ret == -EAGAIN)
		return ret;
	if (ret) {
		model_count(unit, overflows);
		set_bit(0, &unit->prq_overflow);
	} else {
		model_count(unit, requests);
	}
	queue_work(unit->prq_wq, &unit->prq_work);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(model_report_page_request);

/**
 * model_may_request() - check whether to try a page request again
 * @mdev: the device
 *
 * After -EAGAIN of model_report_page_request().  It changes from false to true
 * before page_response() and requests_off() of the driver are called, or by its
 * own calls: a request that got -ENOSPC, a reset.
 *
 * Context: does not sleep.
 * Return: whether the device has a credit, or page requests are off.
 */
bool model_may_request(struct model_dev *mdev)
{
	return !READ_ONCE(mdev->pri) || READ_ONCE(mdev->credits);
}
EXPORT_SYMBOL_IF_KUNIT(model_may_request);

/**
 * model_dev_reset() - forget the page requests of a device
 * @mdev: the device, which sends none meanwhile
 *
 * The device has all its credits again.  Requests that it had outstanding are
 * out of the queue, but responses to them may come yet.
 *
 * Context: may sleep.
 */
void model_dev_reset(struct model_dev *mdev)
{
	credits_reset(mdev);
	flush_work(&mdev->unit->prq_work);
}
EXPORT_SYMBOL_IF_KUNIT(model_dev_reset);

static void pri_off(struct model_dev *mdev)
{
	lockdep_assert_held_write(&mdev->requests);
	WRITE_ONCE(mdev->pri, false);
	iopf_queue_remove_device(mdev->unit->iopf, &mdev->pdev->dev);
	mutex_lock(&mdev->ops_lock);
	if (mdev->ops && mdev->ops->requests_off)
		mdev->ops->requests_off(mdev->priv);
	mutex_unlock(&mdev->ops_lock);
}

static int model_dev_enable_feat(struct device *dev,
				 enum iommu_dev_features feature)
{
	struct model_dev *mdev = to_model_dev(dev);
	int ret;

	if (feature != IOMMU_DEV_FEAT_IOPF ||
	    !(mdev->unit->params.flags & MODEL_PRI))
		return -ENODEV;
	if (model_should_fail(mdev->unit, MODEL_INJECT_FEATURE, NULL))
		return -ENOMEM;
	down_write(&mdev->requests);
	ret = iopf_queue_add_device(mdev->unit->iopf, dev);
	if (!ret) {
		credits_reset(mdev);
		WRITE_ONCE(mdev->pri, true);
	}
	up_write(&mdev->requests);
	return ret;
}

static int model_dev_disable_feat(struct device *dev,
				  enum iommu_dev_features feature)
{
	struct model_dev *mdev = to_model_dev(dev);
	int ret = -EINVAL;

	if (feature != IOMMU_DEV_FEAT_IOPF)
		return -ENODEV;
	down_write(&mdev->requests);
	if (mdev->pri) {
		pri_off(mdev);
		ret = 0;
	}
	up_write(&mdev->requests);
	return ret;
}

/* ---- The module ---- */

static const struct iommu_ops ops_template = {
	.capable = model_capable,
	.hw_info = model_hw_info,
	.domain_alloc_user = model_domain_alloc_user,
	.domain_alloc_paging = model_domain_alloc_paging,
	.probe_device = model_probe_device,
	.release_device = model_release_device,
	.device_group = model_device_group,
	.get_resv_regions = model_get_resv_regions,
	.dev_enable_feat = model_dev_enable_feat,
	.dev_disable_feat = model_dev_disable_feat,
	.page_response = model_page_response,
	.def_domain_type = model_def_domain_type,
	.remove_dev_pasid = model_remove_dev_pasid,
	.default_domain_ops = &stage2_ops,
	.identity_domain = &identity_domain,
	.blocked_domain = &blocked_domain,
	.release_domain = &blocked_domain,
};

/**
 * model_init() - initialise the model IOMMU
 *
 * Return: 0 or -ENOMEM.
 */
int model_init(void)
{
	size_t i;
	int ret;

	ret = model_walk_init();
	if (ret)
		return ret;
	for (i = 0; i < ARRAY_SIZE(model_extensions); i++)
		ioasid_register_domain_extension(&model_extensions[i]);
	for (i = 0; i < ARRAY_SIZE(model_formats); i++)
		ioasid_register_table_format(&model_formats[i]);
	/*
	 * The ops live in memory outside of the module: see the head of this
	 * file
	 */
	for (i = 0; i < ARRAY_SIZE(model_ops); i++) {
		model_ops[i] = kmemdup(&ops_template, sizeof(ops_template),
				       GFP_KERNEL);
		if (!model_ops[i]) {
			model_exit();
			return -ENOMEM;
		}
		model_ops[i]->user_pasid_table = i & MODEL_OPS_USER_PASIDS;
#ifdef IOMMU_REPLACES_PASIDS
		model_ops[i]->replaces_pasids = !(i & MODEL_OPS_NO_REPLACE);
#endif
	}
	return 0;
}

/**
 * model_exit() - undo model_init()
 *
 * All devices are gone.
 */
void model_exit(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(model_extensions); i++)
		ioasid_unregister_domain_extension(&model_extensions[i]);
	for (i = 0; i < ARRAY_SIZE(model_formats); i++)
		ioasid_unregister_table_format(&model_formats[i]);
	for (i = 0; i < ARRAY_SIZE(model_ops); i++)
		kfree(model_ops[i]);
	model_walk_exit();
}

/* iova_bitmap_set() */
MODULE_IMPORT_NS(IOMMUFD);
