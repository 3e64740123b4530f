/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The door to the kernel's IOMMU core.  No other file calls drivers/iommu or an
 * IOMMU driver, except for references to iommu groups.
 *
 * Longer than 260 lines: maps and unmaps are inline.
 *
 * Each function says what the core and its drivers promise, and hides where
 * they differ.  Calls for different IOVAs of a domain run in parallel.  For the
 * same IOVA, and beside an attach to the domain, callers exclude each other.
 *
 * A kernel that lacks one of our patches to drivers/iommu lacks a feature, not
 * correctness: the patch defines a macro, and the function here that needs the
 * patch tests it.  No version is compared.
 *
 *	IOMMU_USER_DATA_KERNEL	ioas_iommu_takes_tables()
 *	IOMMU_REPLACES_PASIDS	ioas_iommu_replaces_pasids()
 *	IOMMU_DIRTY_RECORD	ioas_iommu_may_track_dirty()
 *	IOMMU_DMA_FAULT_NOTIFIER ioas_iommu_tells_faults()
 *
 * Locks: extensions_lock protects the list of extensions that IOMMU drivers
 * registered, and nests inside of everything.
 */
#ifndef _IOASID_IOAS_IOMMU_H
#define _IOASID_IOAS_IOMMU_H

#include <linux/iommu.h>
#include <linux/notifier.h>

struct ioas_dirty_sink;
struct ioasid_domain_extension;

/* ---- Domains ---- */

/**
 * enum ioas_iommu_sort - sorts of domains that drivers allocate
 * @IOAS_IOMMU_USER: for the device
 * @IOAS_IOMMU_PAGING: as for kernel drivers
 * @IOAS_IOMMU_NEST_PARENT: for the device; can be the stage 2 of user's tables
 */
enum ioas_iommu_sort {
	IOAS_IOMMU_USER,
	IOAS_IOMMU_PAGING,
	IOAS_IOMMU_NEST_PARENT,
};

struct iommu_domain *ioas_iommu_alloc(struct device *dev,
				      enum ioas_iommu_sort sort, bool dirty,
				      bool *finalized_on_attach);
int ioas_iommu_track_dirty(struct iommu_domain *iommu);
int ioas_iommu_read_dirty(struct iommu_domain *iommu, u64 iova, u64 length,
			  const struct ioas_dirty_sink *sink);
void ioas_iommu_free(struct iommu_domain *iommu);
bool ioas_iommu_can_enforce_coherency(struct device *dev);
bool ioas_iommu_enforce_coherency(struct iommu_domain *iommu);
bool ioas_iommu_can_defer_flush(struct device *dev,
				const struct iommu_domain *iommu);
bool ioas_iommu_drives(struct device *dev, const struct iommu_domain *iommu);
const void *ioas_iommu_unit(struct device *dev);
const struct ioasid_domain_extension *
ioas_iommu_extension(const struct iommu_domain *iommu);
void ioas_iommu_aperture(const struct iommu_domain *iommu, u64 *start,
			 u64 *last);

/**
 * ioas_iommu_pgsizes() - find the page sizes of a domain
 * @iommu: the domain; if it is finalized on attach, after its first attach
 *
 * Constant from then on.
 *
 * Return: bitmap of the sizes of IOPTEs that the driver writes.
 */
static inline unsigned long
ioas_iommu_pgsizes(const struct iommu_domain *iommu)
{
	return iommu->pgsize_bitmap;
}

/* ---- Tables of user space ---- */

struct iommu_domain *ioas_iommu_alloc_nested(struct device *dev,
					     struct iommu_domain *parent,
					     u32 type, const void *data,
					     size_t length);
int ioas_iommu_invalidate(struct iommu_domain *iommu, u32 type,
			  const void *entries, size_t size, u32 *nr);

/* ---- Attach ---- */

int ioas_iommu_attach(struct iommu_group *group, struct iommu_domain *iommu,
		      struct iommu_attach_handle *handle);
int ioas_iommu_replace(struct iommu_group *group, struct iommu_domain *iommu,
		       struct iommu_attach_handle *handle);
void ioas_iommu_block(struct iommu_group *group, struct iommu_domain *iommu);
bool ioas_iommu_translates_pasids(const struct iommu_domain *iommu);
int ioas_iommu_attach_pasid(struct device *dev, u32 pasid,
			    struct iommu_domain *iommu,
			    struct iommu_attach_handle *handle);
int ioas_iommu_replace_pasid(struct device *dev, u32 pasid,
			     struct iommu_domain *iommu,
			     struct iommu_attach_handle *handle);
void ioas_iommu_block_pasid(struct device *dev, u32 pasid,
			    struct iommu_domain *iommu);
int ioas_iommu_map_msi(struct iommu_domain *iommu, phys_addr_t base);
int ioas_iommu_ask(struct iommu_group *group, struct device *dev,
		   void (*ask)(struct device *dev, void *arg), void *arg);
int ioas_iommu_resv_regions(struct iommu_group *group, struct list_head *list);
void ioas_iommu_resv_regions_free(struct list_head *list);

/* ---- Faults ---- */

/**
 * struct ioas_fault_listener - a listener for accesses that IOMMUs refuse
 * @nb: of the core
 * @hear: an access of @dev was refused.  @pasid: IOMMU_NO_PASID, it has none.  @addr:
 *	U64_MAX, it is not known.  @perm: enum ioasid_fault_permission, 0, it is not
 *	known.  @reason: the code of the IOMMU.  Called in any context.
 */
struct ioas_fault_listener {
	struct notifier_block nb;
	void (*hear)(const struct device *dev, u32 pasid, u64 addr, u32 perm,
		     u64 reason);
};

int ioas_iommu_listen(struct ioas_fault_listener *listener);
void ioas_iommu_unlisten(struct ioas_fault_listener *listener);
int ioas_iommu_enable_requests(struct device *dev);
void ioas_iommu_disable_requests(struct device *dev);
u32 ioas_iommu_group_pasid(const struct iopf_group *group);
void ioas_iommu_take_group(struct iopf_group *group);
void ioas_iommu_answer(struct iopf_group *group, u32 code);

/* ---- Describe ---- */

bool ioas_iommu_can_track_dirty(struct device *dev);
bool ioas_iommu_can_nest(struct device *dev);
void *ioas_iommu_hw_info(struct device *dev, u32 *length, u32 *type);
bool ioas_iommu_only_first_stage(u32 hw_type, const void *hw_data);

/* ---- Map ---- */

int ioas_iommu_errno(int ret);

/**
 * ioas_iommu_map() - write IOPTEs of one size
 * @iommu: the domain
 * @iova: first byte; nothing is mapped there
 * @phys: physical address; as @iova, aligned to @pgsize
 * @pgsize: one of ioas_iommu_pgsizes()
 * @count: number of IOPTEs
 * @prot: IOMMU_READ and so on
 * @gfp: flags for the allocation of tables
 * @mapped: out, bytes; may be less than asked for, without a failure.  On a
 *	failure the driver may have written more than it says, upwards, without
 *	a gap.
 *
 * Devices may not see the IOPTEs before ioas_iommu_sync_map().  A driver may
 * join IOPTEs of one call into larger ones, which ioas_iommu_unmap() removes
 * by any size.
 *
 * Return: 0 and @mapped is not 0; -ENOMEM; -ENOSPC; -EIO, any other failure.
 */
static __always_inline int
ioas_iommu_map(struct iommu_domain *iommu, unsigned long iova, phys_addr_t phys,
	       size_t pgsize, size_t count, int prot, gfp_t gfp, size_t *mapped)
{
	int ret;

	*mapped = 0;
	ret = iommu->ops->map_pages(iommu, iova, phys, pgsize, count, prot, gfp,
				    mapped);
	if (ret)
		return ioas_iommu_errno(ret);
	return *mapped ? 0 : -EIO;
}

/**
 * ioas_iommu_sync_map() - make written IOPTEs visible to devices
 * @iommu: the domain
 * @iova: first byte
 * @length: bytes; may include IOVAs that were not written
 *
 * Can fail where the IOMMU is virtual: with virtio-iommu, and on s390.
 *
 * Return: 0; -ENOMEM; -ENOSPC; -EIO, any other failure.  After a failure
 * devices may see the IOPTEs or not: they are to be unmapped and flushed.
 */
static inline int ioas_iommu_sync_map(struct iommu_domain *iommu,
				      unsigned long iova, size_t length)
{
	int ret;

	if (!iommu->ops->iotlb_sync_map)
		return 0;
	ret = iommu->ops->iotlb_sync_map(iommu, iova, length);
	return ret ? ioas_iommu_errno(ret) : 0;
}

/**
 * ioas_iommu_phys() - read back what an IOVA is mapped to
 * @iommu: the domain
 * @iova: the IOVA
 *
 * Return: the physical address; 0, nothing is mapped there.
 */
static inline phys_addr_t ioas_iommu_phys(struct iommu_domain *iommu, u64 iova)
{
	return iommu_iova_to_phys(iommu, iova);
}

/* ---- Unmap ---- */

/**
 * ioas_iommu_gather_init() - begin to gather what is to be flushed
 * @iotlb: uninitialised
 * @queued: one flush of all follows; needs ioas_iommu_can_defer_flush().
 *	Drivers then gather no ranges, and flush by themselves nowhere.
 */
static __always_inline void
ioas_iommu_gather_init(struct iommu_iotlb_gather *iotlb, bool queued)
{
	iommu_iotlb_gather_init(iotlb);
	iotlb->queued = queued;
}

/* Flush what was gathered; afterwards no device uses these IOPTEs */
static __always_inline void
ioas_iommu_gather_sync(struct iommu_domain *iommu,
		       struct iommu_iotlb_gather *iotlb)
{
	iommu_iotlb_sync(iommu, iotlb);
}

/* The same for a queued gather: flush the whole IOTLB of the domain */
void ioas_iommu_gather_flush_all(struct iommu_domain *iommu,
				 struct iommu_iotlb_gather *iotlb);

/**
 * ioas_iommu_gather_prepare() - flush before a step that does not follow the
 *	steps before
 * @iommu: the domain
 * @iotlb: the gather, not queued
 * @iova: first byte of the step
 * @pgsize: its page size
 * @size: its bytes
 *
 * By default a gather flushes when a step has another page size, or does not
 * follow the step before.  On an Intel IOMMU the tables that the new step freed
 * are on its list by then, and would be freed before the flush that covers
 * them.
 */
static __always_inline void
ioas_iommu_gather_prepare(struct iommu_domain *iommu,
			  struct iommu_iotlb_gather *iotlb, unsigned long iova,
			  size_t pgsize, size_t size)
{
	if (iotlb->pgsize &&
	    ((iotlb->pgsize != pgsize && iotlb->pgsize != size) ||
	     iotlb->end + 1 != iova))
		iommu_iotlb_sync(iommu, iotlb);
}

/**
 * ioas_iommu_unmap() - remove IOPTEs
 * @iommu: the domain
 * @iova: first byte, where an IOPTE begins
 * @pgsize: a size of which IOPTEs there are, or of which the driver may join
 *	smaller ones
 * @count: number of these sizes, all of it mapped
 * @iotlb: what is to be flushed is added to it; tables that became empty wait
 *	there for the flush
 *
 * Needs no memory.
 *
 * Return: number of bytes removed; more than asked for if the last IOPTE is
 * larger; 0, the driver failed.
 */
static __always_inline size_t
ioas_iommu_unmap(struct iommu_domain *iommu, unsigned long iova, size_t pgsize,
		 size_t count, struct iommu_iotlb_gather *iotlb)
{
	return iommu->ops->unmap_pages(iommu, iova, pgsize, count, iotlb);
}

size_t ioas_iommu_protect(struct iommu_domain *iommu,
			  const struct ioasid_domain_extension *extension,
			  unsigned long iova, size_t size, int prot,
			  struct iommu_iotlb_gather *iotlb);

#endif /* _IOASID_IOAS_IOMMU_H */
