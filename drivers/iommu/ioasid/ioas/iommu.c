// SPDX-License-Identifier: GPL-2.0-only
/*
 * The door to the kernel's IOMMU core: see iommu.h.
 *
 * Longer than 700 lines: no other file calls the core or a driver, so that another
 * kernel changes this one alone.
 *
 * Locks: extensions_lock, which nests inside of everything.
 */
#include <linux/ioasid.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>
#include <uapi/linux/iommufd.h>

#include "../../iommu-pages.h"
#include "../../iommu-priv.h"

#include "iommu.h"
#include "ioas.h"
#include "types.h"

/* Intel's extended capability register: scalable mode, second stage in it */
#define VTD_ECAP_SMTS	BIT_ULL(43)
#define VTD_ECAP_SLTS	BIT_ULL(46)

/*
 * Replace an errno that the uAPI does not have, or that means something in
 * here: -EAGAIN is ours when a map is stopped, -EINTR after a fatal signal.
 */
int ioas_iommu_errno(int ret)
{
	return ret == -ENOMEM || ret == -ENOSPC ? ret : -EIO;
}

/* ---- Extensions of struct iommu_domain_ops ---- */

static DEFINE_MUTEX(extensions_lock);

static LIST_HEAD(extensions);

/**
 * ioasid_register_domain_extension() - register abilities of an IOMMU driver
 *	beside struct iommu_domain_ops
 * @ext: one for each struct iommu_domain_ops; stays until it is unregistered
 *
 * Applies to domains that are allocated from then on.
 *
 * Context: may sleep.
 */
void ioasid_register_domain_extension(struct ioasid_domain_extension *ext)
{
	mutex_lock(&extensions_lock);
	list_add(&ext->node, &extensions);
	mutex_unlock(&extensions_lock);
}
EXPORT_SYMBOL_GPL(ioasid_register_domain_extension);

/**
 * ioasid_unregister_domain_extension() - undo
 *	ioasid_register_domain_extension()
 * @ext: the extension
 *
 * No domain with these ops is left: a driver calls this when its module is
 * unloaded.
 *
 * Context: may sleep.
 */
void ioasid_unregister_domain_extension(struct ioasid_domain_extension *ext)
{
	mutex_lock(&extensions_lock);
	list_del(&ext->node);
	mutex_unlock(&extensions_lock);
}
EXPORT_SYMBOL_GPL(ioasid_unregister_domain_extension);

/**
 * ioas_iommu_extension() - find the extension of a domain's ops
 * @iommu: the domain
 *
 * Context: may sleep.
 * Return: the extension, which stays as long as the domain; or NULL.
 */
const struct ioasid_domain_extension *
ioas_iommu_extension(const struct iommu_domain *iommu)
{
	const struct ioasid_domain_extension *ext, *found = NULL;

	mutex_lock(&extensions_lock);
	list_for_each_entry(ext, &extensions, node)
		if (ext->domain_ops == iommu->ops)
			found = ext;
	mutex_unlock(&extensions_lock);
	return found;
}

/**
 * ioas_iommu_protect() - change the permission of an IOPTE in place
 * @iommu: the domain
 * @extension: of the domain, with protect_pages
 * @iova: first byte of the IOPTE
 * @size: its bytes
 * @prot: IOMMU_READ and so on
 * @iotlb: what is to be flushed is added to it
 *
 * Return: @size; 0, nothing was changed: the driver cannot, or has IOPTEs of
 * other sizes there.
 */
size_t ioas_iommu_protect(struct iommu_domain *iommu,
			  const struct ioasid_domain_extension *extension,
			  unsigned long iova, size_t size, int prot,
			  struct iommu_iotlb_gather *iotlb)
{
	return extension->protect_pages(iommu, iova, size, 1, prot, iotlb);
}

/* ---- Domains ---- */

/*
 * Check that an IOMMU keeps to the permission of the parent of a user's table: an
 * Intel IOMMU with this erratum may write where only reading is permitted.
 */
static int check_nesting(struct device *dev)
{
	const struct iommu_hw_info_vtd *vtd;
	u32 length, type;
	int ret = 0;
	void *data;

	data = ioas_iommu_hw_info(dev, &length, &type);
	if (IS_ERR_OR_NULL(data))
		return PTR_ERR(data);
	vtd = data;
	if (type == IOMMU_HW_INFO_TYPE_INTEL_VTD &&
	    vtd->flags & IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17)
		ret = -EOPNOTSUPP;
	kfree(data);
	return ret;
}

static struct iommu_domain *alloc_nest_parent(struct device *dev, u32 flags)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	int ret;

	if (!ops->domain_alloc_user)
		return ERR_PTR(-EOPNOTSUPP);
	ret = check_nesting(dev);
	if (ret)
		return ERR_PTR(ret);
	return ops->domain_alloc_user(dev, IOMMU_HWPT_ALLOC_NEST_PARENT | flags,
				      NULL, NULL);
}

/**
 * ioas_iommu_alloc() - allocate a domain of the IOMMU driver for a device
 * @dev: the device
 * @sort: the sort of domain
 * @dirty: with dirty bits; not of IOAS_IOMMU_PAGING
 * @finalized_on_attach: out, the driver sets aperture and page sizes when a
 *	device is attached, not before
 *
 * Drivers have two ways.  domain_alloc_user() takes the device, and sets all
 * limits at once; but on an Intel IOMMU that has only first stage tables, its
 * domain cannot be attached.
 *
 * Return: the domain; or an ERR_PTR:
 * -EMEDIUMTYPE, the driver lacks this way, or has no domain of this sort;
 * -ENOMEM.
 */
struct iommu_domain *ioas_iommu_alloc(struct device *dev,
				      enum ioas_iommu_sort sort, bool dirty,
				      bool *finalized_on_attach)
{
	u32 flags = dirty ? IOMMU_HWPT_ALLOC_DIRTY_TRACKING : 0;
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_domain *iommu;

	if (sort == IOAS_IOMMU_PAGING)
		iommu = iommu_paging_domain_alloc(dev);
	else if (sort == IOAS_IOMMU_NEST_PARENT)
		iommu = alloc_nest_parent(dev, flags);
	else if (ops->domain_alloc_user)
		iommu = ops->domain_alloc_user(dev, flags, NULL, NULL);
	else
		iommu = ERR_PTR(-EOPNOTSUPP);
	if (IS_ERR(iommu))
		return PTR_ERR(iommu) == -ENOMEM ? iommu :
						   ERR_PTR(-EMEDIUMTYPE);
	if (!iommu->owner)
		iommu->owner = ops;
	*finalized_on_attach = !iommu->geometry.aperture_end ||
		(sort == IOAS_IOMMU_PAGING && !ops->domain_alloc_paging);
	return iommu;
}

/**
 * ioas_iommu_may_track_dirty() - test whether this kernel can read dirty bits
 *
 * Return: true if it can, where an IOMMU has them.
 */
bool ioas_iommu_may_track_dirty(void)
{
	/* Defined by a patch of the IOMMU core */
#ifdef IOMMU_DIRTY_RECORD
	return true;
#else
	return false;
#endif
}

/**
 * ioas_iommu_track_dirty() - have the IOMMU set dirty bits in a domain
 * @iommu: the domain, to which no device is attached
 *
 * Devices that attach later do, too.
 *
 * Context: may sleep.
 * Return: 0; -EOPNOTSUPP, the domain has none; or an errno of the driver.
 */
int ioas_iommu_track_dirty(struct iommu_domain *iommu)
{
	if (!iommu->dirty_ops || !ioas_iommu_may_track_dirty())
		return -EOPNOTSUPP;
	return iommu->dirty_ops->set_dirty_tracking(iommu, true);
}

#ifdef IOMMU_DIRTY_RECORD

struct dirty_reader {
	struct iommu_dirty_bitmap bitmap;
	const struct ioas_dirty_sink *sink;
};

static void record_dirty(struct iommu_dirty_bitmap *bitmap, unsigned long iova,
			 unsigned long length)
{
	struct dirty_reader *reader = container_of(bitmap, struct dirty_reader,
						   bitmap);

	reader->sink->record(reader->sink, iova, length, true);
}

/**
 * ioas_iommu_read_dirty() - read and clear the dirty bits of a range, and flush
 * @iommu: the domain, after ioas_iommu_track_dirty()
 * @iova: where an IOPTE begins
 * @length: bytes
 * @sink: takes each dirty IOPTE
 *
 * Called with a lock held that keeps IOPTEs in the range from being removed.
 *
 * Context: may sleep.
 * Return: 0; or -errno of the driver: some bits were cleared and recorded.
 */
int ioas_iommu_read_dirty(struct iommu_domain *iommu, u64 iova, u64 length,
			  const struct ioas_dirty_sink *sink)
{
	struct dirty_reader reader = { .sink = sink };
	struct iommu_iotlb_gather gather;
	int ret;

	iommu_dirty_bitmap_init(&reader.bitmap, NULL, &gather);
	reader.bitmap.record = record_dirty;
	ret = iommu->dirty_ops->read_and_clear_dirty(iommu, iova, length, 0,
						     &reader.bitmap);
	/* Cached entries say that no dirty bit is to be set */
	if (gather.end)
		iommu_iotlb_sync(iommu, &gather);
	return ret;
}

#else

int ioas_iommu_read_dirty(struct iommu_domain *iommu, u64 iova, u64 length,
			  const struct ioas_dirty_sink *sink)
{
	return -EOPNOTSUPP;
}

#endif /* IOMMU_DIRTY_RECORD */

/**
 * ioas_iommu_free() - free a domain, with all that is mapped in it
 * @iommu: the domain; no device is attached
 *
 * Needs no memory.  Afterwards no device reaches what was mapped.
 *
 * Context: may sleep.
 */
void ioas_iommu_free(struct iommu_domain *iommu)
{
	iommu_domain_free(iommu);
}

/**
 * ioas_iommu_can_enforce_coherency() - test whether no-snoop DMA of a device
 *	can be made coherent
 * @dev: the device
 *
 * Return: true if it can, by ioas_iommu_enforce_coherency().
 */
bool ioas_iommu_can_enforce_coherency(struct device *dev)
{
	return device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
}

/**
 * ioas_iommu_enforce_coherency() - make no-snoop DMA coherent
 * @iommu: the domain; nothing is mapped in it
 *
 * Holds for all that is mapped and attached later; cannot be undone.
 *
 * Return: true if the driver does; it may still refuse.
 */
bool ioas_iommu_enforce_coherency(struct iommu_domain *iommu)
{
	return iommu->ops->enforce_cache_coherency &&
	       iommu->ops->enforce_cache_coherency(iommu);
}

/**
 * ioas_iommu_can_defer_flush() - test whether a gather may be queued
 * @dev: a device of the IOMMU
 * @iommu: the domain
 *
 * The core's flush of all does nothing, silently, if the driver has no op.
 *
 * Return: true if it may.
 */
bool ioas_iommu_can_defer_flush(struct device *dev,
				const struct iommu_domain *iommu)
{
	return device_iommu_capable(dev, IOMMU_CAP_DEFERRED_FLUSH) &&
	       iommu->ops->flush_iotlb_all;
}

/**
 * ioas_iommu_drives() - test whether a domain is of the driver of a device
 * @dev: the device
 * @iommu: the domain, of ioas_iommu_alloc()
 *
 * Return: true if the device may be attached to it; the driver may refuse.
 */
bool ioas_iommu_drives(struct device *dev, const struct iommu_domain *iommu)
{
	return dev_iommu_ops(dev) == iommu->owner;
}

/**
 * ioas_iommu_unit() - identify the IOMMU of a device
 * @dev: the device
 *
 * Return: the same for all devices behind one IOMMU; only to be compared.
 */
const void *ioas_iommu_unit(struct device *dev)
{
	return dev->iommu->iommu_dev;
}

/**
 * ioas_iommu_aperture() - find the IOVAs that a domain can translate
 * @iommu: the domain
 * @start: out, first byte
 * @last: out, last byte; U64_MAX if the driver does not tell (yet)
 */
void ioas_iommu_aperture(const struct iommu_domain *iommu, u64 *start,
			 u64 *last)
{
	*start = 0;
	*last = U64_MAX;
	if (iommu->geometry.aperture_end) {
		*start = iommu->geometry.aperture_start;
		*last = iommu->geometry.aperture_end;
	}
}

/* Flush all, then free the tables that became empty */
noinline void
ioas_iommu_gather_flush_all(struct iommu_domain *iommu,
			    struct iommu_iotlb_gather *iotlb)
{
	iommu_flush_iotlb_all(iommu);
	iommu_put_pages_list(&iotlb->freelist);
}

/* ---- Tables of user space ---- */

/* Test whether drivers can be given tables of user space that we have copied */
bool ioas_iommu_takes_tables(void)
{
#ifdef IOMMU_USER_DATA_KERNEL
	return true;
#else
	return false;
#endif
}

/**
 * ioas_iommu_alloc_nested() - allocate a domain that walks a table of user space
 * @dev: a device behind the IOMMU
 * @parent: the domain that translates the table's addresses, and its output; of
 *	the sort IOAS_IOMMU_NEST_PARENT, for the same IOMMU
 * @type: enum iommu_hwpt_data_type, or a number of the driver's
 * @data: what the type says: where the table is
 * @length: bytes of @data
 *
 * Context: may sleep.
 * Return: the domain, to be freed before @parent; or an ERR_PTR:
 * -EMEDIUMTYPE, the driver does not know the type, or cannot nest;
 * -EINVAL, it finds @data malformed;
 * -ENOMEM;
 * -EIO, any other failure.
 */
struct iommu_domain *ioas_iommu_alloc_nested(struct device *dev,
					     struct iommu_domain *parent,
					     u32 type, const void *data,
					     size_t length)
{
#ifdef IOMMU_USER_DATA_KERNEL
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	const struct iommu_user_data user = {
		.type = type,
		.kernel = true,
		.kptr = data,
		.len = length,
	};
	struct iommu_domain *iommu;

	if (!ops->domain_alloc_user)
		return ERR_PTR(-EMEDIUMTYPE);
	iommu = ops->domain_alloc_user(dev, 0, parent, &user);
	if (IS_ERR(iommu)) {
		if (PTR_ERR(iommu) == -EOPNOTSUPP)
			return ERR_PTR(-EMEDIUMTYPE);
		if (PTR_ERR(iommu) == -EINVAL)
			return iommu;
		return ERR_PTR(ioas_iommu_errno(PTR_ERR(iommu)));
	}
	if (!iommu->owner)
		iommu->owner = ops;
	return iommu;
#else
	return ERR_PTR(-EMEDIUMTYPE);
#endif
}

/**
 * ioas_iommu_invalidate() - invalidate what caches have of a table of user space
 * @iommu: the domain, of ioas_iommu_alloc_nested()
 * @type: enum iommu_hwpt_invalidate_data_type, or a number of the driver's
 * @entries: array of what the type says, in kernel memory
 * @size: bytes of an entry
 * @nr: number of entries; out, number of entries that were carried out, also on
 *	failure
 *
 * Context: may sleep.
 * Return: 0; or for the first entry that was not carried out: -EOPNOTSUPP, the
 * driver does not know it; -EINVAL, it is malformed; -EIO, any other failure.
 */
int ioas_iommu_invalidate(struct iommu_domain *iommu, u32 type,
			  const void *entries, size_t size, u32 *nr)
{
#ifdef IOMMU_USER_DATA_KERNEL
	struct iommu_user_data_array array = {
		.type = type,
		.kernel = true,
		.kptr = entries,
		.entry_len = size,
		.entry_num = *nr,
	};
	u32 all = *nr;
	int ret;

	if (!iommu->ops->cache_invalidate_user) {
		*nr = 0;
		return -EOPNOTSUPP;
	}
	ret = iommu->ops->cache_invalidate_user(iommu, &array);
	*nr = min(array.entry_num, all);
	if (!ret)
		return *nr < all ? -EIO : 0;
	return ret == -EOPNOTSUPP || ret == -EINVAL ? ret : -EIO;
#else
	*nr = 0;
	return -EOPNOTSUPP;
#endif
}

/* ---- Attach ---- */

/**
 * ioas_iommu_claim() - claim the group of a device, and block it
 * @dev: the device
 * @owner: the owner, one for all devices of the group
 *
 * From now on no kernel driver does DMA in the group, and it is never on its
 * default domain.
 *
 * Context: may sleep.
 * Return: 0; -EBUSY, a kernel driver or another owner uses the group, or it is
 * on another domain; -ENOMEM; or the driver's error, if it cannot block.
 */
int ioas_iommu_claim(struct device *dev, void *owner)
{
	int ret = iommu_device_claim_dma_owner(dev, owner);

	return ret == -EPERM ? -EBUSY : ret;
}

/**
 * ioas_iommu_release() - undo ioas_iommu_claim()
 * @dev: the device, blocked
 *
 * Context: may sleep.
 */
void ioas_iommu_release(struct device *dev)
{
	iommu_device_release_dma_owner(dev);
}

/**
 * ioas_iommu_claim_group() - claim a group as a whole, and block it
 * @group: the group, with a device
 * @owner: the owner
 *
 * Only one claim of this sort succeeds, and none by ioas_iommu_claim() beside
 * it.
 *
 * Context: may sleep.
 * Return: as ioas_iommu_claim().
 */
int ioas_iommu_claim_group(struct iommu_group *group, void *owner)
{
	int ret = iommu_group_claim_dma_owner(group, owner);

	return ret == -EPERM ? -EBUSY : ret;
}

/**
 * ioas_iommu_release_group() - undo ioas_iommu_claim_group()
 * @group: the group, blocked
 *
 * Context: may sleep.
 */
void ioas_iommu_release_group(struct iommu_group *group)
{
	iommu_group_release_dma_owner(group);
}

/**
 * ioas_iommu_group_claimed() - check if a group is in use
 * @group: the group
 *
 * Context: may sleep.
 * Return: true if a kernel driver or an owner of its DMA uses it; that may end,
 * or begin, at any time.
 */
bool ioas_iommu_group_claimed(struct iommu_group *group)
{
	return iommu_group_dma_owner_claimed(group);
}

/**
 * struct asked - a call of a function with a device of a group
 * @ask: the function
 * @arg: its argument
 */
struct asked {
	void (*ask)(struct device *dev, void *arg);
	void *arg;
};

static int ask_first(struct device *dev, void *arg)
{
	const struct asked *asked = arg;

	asked->ask(dev, asked->arg);
	return 1;
}

/**
 * ioas_iommu_ask() - call a function with a device of a group
 * @group: the group
 * @dev: a device of it that the caller keeps; NULL: the first one, which cannot
 *	leave the group until @ask returns
 * @ask: the function; may sleep, but not wait for the lock of the group
 * @arg: its argument
 *
 * Return: 0; -ENODEV, the group has no device.
 */
int ioas_iommu_ask(struct iommu_group *group, struct device *dev,
		   void (*ask)(struct device *dev, void *arg), void *arg)
{
	struct asked asked = { .ask = ask, .arg = arg };

	if (likely(dev)) {
		ask(dev, arg);
		return 0;
	}
	return iommu_group_for_each_dev(group, &asked, ask_first) ? 0 : -ENODEV;
}

static void copy_name(struct device *dev, void *arg)
{
	char **name = arg;

	*name = kstrdup(dev_name(dev), GFP_KERNEL_ACCOUNT);
}

/**
 * ioas_iommu_device_name() - copy the name of a device of a group
 * @group: the group
 *
 * Context: may sleep.
 * Return: the name, to be freed by kfree(); or an ERR_PTR: -ENODEV, the group
 * has no device; -ENOMEM.
 */
char *ioas_iommu_device_name(struct iommu_group *group)
{
	char *name = NULL;
	int ret = ioas_iommu_ask(group, NULL, copy_name, &name);

	if (ret)
		return ERR_PTR(ret);
	return name ?: ERR_PTR(-ENOMEM);
}

/**
 * ioas_iommu_attach() - attach a blocked group to a domain
 * @group: the group
 * @iommu: the domain
 * @handle: identifies the attach to what the core calls for page requests; stays
 *	until the group is blocked, or another handle or none replaces it; or NULL
 *
 * Context: may sleep.
 * Return: 0; on failure the group is still blocked: -EINVAL, the domain does
 * not suit the group, or the group is not blocked; or the driver's errno.
 */
int ioas_iommu_attach(struct iommu_group *group, struct iommu_domain *iommu,
		      struct iommu_attach_handle *handle)
{
	int ret = handle ? iommu_attach_group_handle(iommu, group, handle) :
			   iommu_attach_group(iommu, group);

	return ret == -EBUSY ? -EINVAL : ret;
}

/**
 * ioas_iommu_replace() - attach a group to a domain, from blocking or another
 *	domain
 * @group: the group
 * @iommu: the domain, not finalized on attach
 * @handle: as of ioas_iommu_attach()
 *
 * The group is not blocked in between, unless its driver does that.
 *
 * Context: may sleep.
 * Return: 0; on failure the group is where it was: -EINVAL, the domain does not
 * suit the group; or the driver's errno.
 */
int ioas_iommu_replace(struct iommu_group *group, struct iommu_domain *iommu,
		       struct iommu_attach_handle *handle)
{
	return iommu_replace_group_handle(group, iommu, handle);
}

/**
 * ioas_iommu_block() - block a group
 * @group: the group, claimed
 * @iommu: the domain that it is attached to
 *
 * Needs no memory.  The core warns if the driver fails.
 *
 * Context: may sleep.
 */
void ioas_iommu_block(struct iommu_group *group, struct iommu_domain *iommu)
{
	iommu_detach_group_handle(iommu, group);
}

/**
 * ioas_iommu_translates_pasids() - test whether a domain can be attached to a
 *	PASID
 * @iommu: the domain
 *
 * Return: true if it can; the driver may refuse.
 */
bool ioas_iommu_translates_pasids(const struct iommu_domain *iommu)
{
	return iommu->ops->set_dev_pasid;
}

/**
 * ioas_iommu_may_replace_pasids() - test whether IOMMU drivers can say that they
 *	replace the domain of a PASID
 *
 * Return: true if they can; false, the kernel lacks our patch.
 */
bool ioas_iommu_may_replace_pasids(void)
{
#ifdef IOMMU_REPLACES_PASIDS
	return true;
#else
	return false;
#endif
}

/**
 * ioas_iommu_replaces_pasids() - test for ioas_iommu_replace_pasid()
 * @dev: the device
 *
 * Return: true if it can be used; false, too, if the kernel lacks our patch.
 */
bool ioas_iommu_replaces_pasids(struct device *dev)
{
#ifdef IOMMU_REPLACES_PASIDS
	return dev_iommu_ops(dev)->replaces_pasids;
#else
	return false;
#endif
}

/**
 * ioas_iommu_alloc_pasid() - take a PASID of the pool of the machine
 * @dev: the device that will use it
 *
 * Context: may sleep.
 * Return: the PASID; IOMMU_PASID_INVALID, none is left that @dev can use.
 */
u32 ioas_iommu_alloc_pasid(struct device *dev)
{
	return iommu_alloc_global_pasid(dev);
}

void ioas_iommu_free_pasid(u32 pasid)
{
	iommu_free_global_pasid(pasid);
}

/* Of users that found the pool empty */
static ATOMIC_NOTIFIER_HEAD(pasid_returns);

/**
 * ioas_iommu_tell_returned() - tell users of the pool that a PASID is back
 *
 * Follows ioas_iommu_free_pasid(), and is a step of its own: the caller may have to
 * uncharge it first.
 *
 * Context: any.
 */
void ioas_iommu_tell_returned(void)
{
	atomic_notifier_call_chain(&pasid_returns, IOASID_PASID_RETURNED, NULL);
}

/**
 * ioas_iommu_register_returns() - see ioasid_pasid_register_returns()
 * @nb: called by ioas_iommu_tell_returned()
 *
 * Context: may sleep.
 */
void ioas_iommu_register_returns(struct notifier_block *nb)
{
	atomic_notifier_chain_register(&pasid_returns, nb);
}

/**
 * ioas_iommu_unregister_returns() - undo ioas_iommu_register_returns()
 * @nb: not called any more on return
 *
 * Context: may sleep.
 */
void ioas_iommu_unregister_returns(struct notifier_block *nb)
{
	atomic_notifier_chain_unregister(&pasid_returns, nb);
}

/**
 * ioas_iommu_attach_pasid() - attach a PASID of a device to a domain
 * @dev: the device, in a group that is claimed
 * @pasid: the PASID, to which nothing is attached
 * @iommu: the domain
 * @handle: identifies the attach; stays until the PASID is blocked, or another
 *	handle replaces it
 *
 * Context: may sleep.
 * Return: 0; on failure the PASID is still blocked: -EINVAL, the domain does
 * not suit the device; or the driver's errno.
 */
int ioas_iommu_attach_pasid(struct device *dev, u32 pasid,
			    struct iommu_domain *iommu,
			    struct iommu_attach_handle *handle)
{
	int ret = iommu_attach_device_pasid(iommu, dev, pasid, handle);

	return ret == -EOPNOTSUPP ? -EINVAL : ret;
}

/**
 * ioas_iommu_replace_pasid() - attach a PASID to a domain, from another one
 * @dev: the device; ioas_iommu_replaces_pasids()
 * @pasid: the PASID, attached by ioas_iommu_attach_pasid()
 * @iommu: the domain
 * @handle: as of ioas_iommu_attach_pasid()
 *
 * DMA goes on in between.
 *
 * Context: may sleep.
 * Return: 0; on failure the PASID is where it was: -EINVAL, the domain does not
 * suit the device; or the driver's errno.
 */
int ioas_iommu_replace_pasid(struct device *dev, u32 pasid,
			     struct iommu_domain *iommu,
			     struct iommu_attach_handle *handle)
{
#ifdef IOMMU_REPLACES_PASIDS
	return iommu_replace_device_pasid(iommu, dev, pasid, handle);
#else
	return -EINVAL;
#endif
}

/**
 * ioas_iommu_block_pasid() - block a PASID
 * @dev: the device
 * @pasid: the PASID
 * @iommu: the domain that it is attached to
 *
 * The driver has flushed all caches of the PASID on return, and no page request
 * of it is under way.  Needs no memory, cannot fail.
 *
 * Context: may sleep.
 */
void ioas_iommu_block_pasid(struct device *dev, u32 pasid,
			    struct iommu_domain *iommu)
{
	iommu_detach_device_pasid(iommu, dev, pasid);
}

/**
 * ioas_iommu_map_msi() - let the IOMMU driver map MSIs by software
 * @iommu: the domain
 * @base: IOVAs for them begin here
 *
 * Once for a domain, before a device is attached that needs it.
 *
 * Return: 0; -ENOMEM; or another errno of the core.
 */
int ioas_iommu_map_msi(struct iommu_domain *iommu, phys_addr_t base)
{
	return iommu_get_msi_cookie(iommu, base);
}

/**
 * ioas_iommu_resv_regions() - list the reserved regions of a group's devices
 * @group: the group
 * @list: out, struct iommu_resv_region; ioas_iommu_resv_regions_free() follows,
 *	also on failure
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioas_iommu_resv_regions(struct iommu_group *group, struct list_head *list)
{
	return iommu_get_group_resv_regions(group, list);
}

void ioas_iommu_resv_regions_free(struct list_head *list)
{
	struct iommu_resv_region *resv, *next;

	list_for_each_entry_safe(resv, next, list, list)
		kfree(resv);
}

/* ---- Faults ---- */

/* Test whether this kernel tells of accesses that have failed */
bool ioas_iommu_tells_faults(void)
{
#ifdef IOMMU_DMA_FAULT_NOTIFIER
	return true;
#else
	return false;
#endif
}

#ifdef IOMMU_DMA_FAULT_NOTIFIER

static_assert((int)IOASID_FAULT_READ == IOMMU_FAULT_PERM_READ);
static_assert((int)IOASID_FAULT_WRITE == IOMMU_FAULT_PERM_WRITE);
static_assert((int)IOASID_FAULT_EXEC == IOMMU_FAULT_PERM_EXEC);
static_assert((int)IOASID_FAULT_PRIV == IOMMU_FAULT_PERM_PRIV);

static int hear(struct notifier_block *nb, unsigned long action, void *data)
{
	const struct ioas_fault_listener *listener =
		container_of(nb, struct ioas_fault_listener, nb);
	const struct iommu_dma_fault *fault = data;

	listener->hear(fault->dev, fault->pasid,
		       fault->flags & IOMMU_DMA_FAULT_ADDR ? fault->addr :
							     U64_MAX,
		       fault->perm, fault->reason);
	return NOTIFY_DONE;
}

/**
 * ioas_iommu_listen() - listen to accesses that IOMMUs refuse
 * @listener: the listener
 *
 * Context: may sleep.
 * Return: 0, also where the kernel does not tell of them; or an errno of the core.
 */
int ioas_iommu_listen(struct ioas_fault_listener *listener)
{
	listener->nb.notifier_call = hear;
	return iommu_register_dma_fault_notifier(&listener->nb);
}

/**
 * ioas_iommu_unlisten() - undo ioas_iommu_listen()
 * @listener: the listener; is not called any longer on return
 *
 * Context: may sleep.
 */
void ioas_iommu_unlisten(struct ioas_fault_listener *listener)
{
	iommu_unregister_dma_fault_notifier(&listener->nb);
}

#else

int ioas_iommu_listen(struct ioas_fault_listener *listener)
{
	return 0;
}

void ioas_iommu_unlisten(struct ioas_fault_listener *listener)
{
}

#endif /* IOMMU_DMA_FAULT_NOTIFIER */

/* The responses to a virtual function's requests are those of its physical one */
static bool can_respond(struct device *dev)
{
	struct pci_dev *pdev;

	if (!dev_is_pci(dev))
		return true;
	pdev = to_pci_dev(dev);
	return !pdev->is_virtfn || !pci_pri_supported(pdev);
}

/**
 * ioas_iommu_enable_requests() - switch page requests of a device on
 * @dev: the device
 *
 * Context: may sleep.
 * Return: 0; -EBUSY, they are on; -ENOMEM; or another errno: the device has none, or a
 * failed one would end those of other devices.
 */
int ioas_iommu_enable_requests(struct device *dev)
{
	if (!can_respond(dev))
		return -EOPNOTSUPP;
	return iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_IOPF);
}

/**
 * ioas_iommu_disable_requests() - undo ioas_iommu_enable_requests()
 * @dev: the device; no group of its page requests waits for an answer
 *
 * Context: may sleep.
 */
void ioas_iommu_disable_requests(struct device *dev)
{
	iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_IOPF);
}

/* The PASID on the wire of a group of page requests, or IOMMU_NO_PASID */
u32 ioas_iommu_group_pasid(const struct iopf_group *group)
{
	const struct iommu_fault_page_request *prm =
		&group->last_fault.fault.prm;

	return prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID ?
	       prm->pasid : IOMMU_NO_PASID;
}

/**
 * ioas_iommu_take_group() - take a group of page requests over from the core
 * @group: the group; ioas_iommu_answer() follows
 *
 * Context: the handler of a domain.
 */
void ioas_iommu_take_group(struct iopf_group *group)
{
	iopf_group_dequeue(group);
}

/**
 * ioas_iommu_answer() - answer a group of page requests, and free it
 * @group: the group
 * @code: enum ioasid_fault_code
 *
 * Context: may sleep.
 */
void ioas_iommu_answer(struct iopf_group *group, u32 code)
{
	iopf_group_response(group, code == IOASID_FAULT_SUCCESS ?
				   IOMMU_PAGE_RESP_SUCCESS :
				   IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(group);
}

/* ---- Describe ---- */

/**
 * ioas_iommu_present() - test whether the DMA of a device is translated
 * @dev: the device
 *
 * Return: true if an IOMMU driver has the device.
 */
bool ioas_iommu_present(struct device *dev)
{
	return dev->iommu && dev->iommu->iommu_dev;
}

/**
 * ioas_iommu_is_coherent() - test whether the DMA of a device snoops caches
 * @dev: the device
 *
 * Return: true if it does, unless it asks not to.
 */
bool ioas_iommu_is_coherent(struct device *dev)
{
	return device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY);
}

/**
 * ioas_iommu_isolates_msi() - test whether interrupts of a group are isolated
 * @group: the group
 *
 * Return: true if its devices can send no interrupts but those that they were
 * given.
 */
bool ioas_iommu_isolates_msi(struct iommu_group *group)
{
	return iommu_group_has_isolated_msi(group);
}

bool ioas_iommu_can_track_dirty(struct device *dev)
{
	return device_iommu_capable(dev, IOMMU_CAP_DIRTY_TRACKING);
}

/* Test whether a domain for a device can be the parent of a user's table */
bool ioas_iommu_can_nest(struct device *dev)
{
	struct iommu_domain *parent = alloc_nest_parent(dev, 0);

	if (IS_ERR_OR_NULL(parent))
		return false;
	iommu_domain_free(parent);
	return true;
}

/*
 * The bus must let PASIDs pass: the driver has enabled them on a PCI device whose
 * way to the root does, a virtual function has those of its physical one.
 */
static bool bus_has_pasids(struct device *dev)
{
	return !dev_is_pci(dev) ||
	       pci_physfn(to_pci_dev(dev))->pasid_enabled;
}

/**
 * ioas_iommu_max_pasids() - find the number of PASIDs of a device
 * @dev: the device
 *
 * Return: the number, IOMMU_NO_PASID included; 0 if the device, its bus or its
 * IOMMU has none, or the IOMMU's driver attaches none to domains that map.
 */
u32 ioas_iommu_max_pasids(struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	if (!ops->default_domain_ops ||
	    !ops->default_domain_ops->set_dev_pasid || !bus_has_pasids(dev))
		return 0;
	return dev->iommu->max_pasids;
}

static int count_device(struct device *dev, void *arg)
{
	unsigned int *n = arg;

	/* The rest of a large group need not be counted */
	return ++*n > 1;
}

/**
 * ioas_iommu_is_singleton() - test whether a group has one device only
 * @group: the group
 *
 * Context: may sleep.
 * Return: true if it has.
 */
bool ioas_iommu_is_singleton(struct iommu_group *group)
{
	unsigned int n = 0;

	iommu_group_for_each_dev(group, &n, count_device);
	return n == 1;
}

/**
 * ioas_iommu_hw_info() - get the driver's description of an IOMMU
 * @dev: a device behind it
 * @length: out, bytes
 * @type: out, enum iommu_hw_info_type
 *
 * Return: the description, to be freed by kfree(); NULL, the driver has none;
 * or an ERR_PTR of the driver.
 */
void *ioas_iommu_hw_info(struct device *dev, u32 *length, u32 *type)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	return ops->hw_info ? ops->hw_info(dev, length, type) : NULL;
}

/**
 * ioas_iommu_only_first_stage() - test for an Intel IOMMU without second stage
 * @hw_type: enum iommu_hw_info_type
 * @hw_data: of ioas_iommu_hw_info()
 *
 * There, a domain made for the device is of another sort than the domain that
 * will be attached; see ioas_iommu_alloc().
 *
 * Return: true if it is one.
 */
bool ioas_iommu_only_first_stage(u32 hw_type, const void *hw_data)
{
	const struct iommu_hw_info_vtd *vtd = hw_data;

	return hw_type == IOMMU_HW_INFO_TYPE_INTEL_VTD &&
	       vtd->ecap_reg & VTD_ECAP_SMTS &&
	       !(vtd->ecap_reg & VTD_ECAP_SLTS);
}
