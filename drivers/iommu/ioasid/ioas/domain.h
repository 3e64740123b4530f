/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One hardware page table: allocate, map from extents, remove, flush.
 *
 * Knows struct iommu_domain and memory; knows nothing of mappings and IOASIDs.
 */
#ifndef _IOASID_IOAS_DOMAIN_H
#define _IOASID_IOAS_DOMAIN_H

#include <linux/list.h>
#include <linux/rwsem.h>

#include <uapi/linux/ioasid.h>

#include "../mem/extent.h"
#include "iommu.h"

struct ioasid_domain_extension;

/**
 * struct ioas_domain - a hardware page table
 * @node: in a list of the owner
 * @iommu: the domain
 * @populate_next: for the owner, while it is populated: mappings that begin
 *	below are in it
 * @populate_done: for the owner: all mappings are in it
 * @users: number of attached groups
 * @enforce_cache_coherency: no-snoop DMA is made coherent; constant since
 *	before the first map
 * @finalized_on_attach: the driver knows aperture and page sizes, and can map,
 *	only after an attach; it must not replace another domain
 * @deferred_flush: ranges that do not touch can share one flush
 * @nest_parent: can be the stage 2 of tables of user space
 * @has_msi: MSIs are mapped by software
 * @mirror: a table that a device has by itself: see mirror.c
 * @dirty: the IOMMU sets dirty bits
 * @demand: for the owner: it counts in ioas_demand.domains
 * @poisoned: an IOPTE could not be removed; never cleared
 * @extension: extension of the driver's ops; or NULL
 * @unit: the IOMMU that it was allocated for; only to be compared
 */
struct ioas_domain {
	struct list_head node;
	struct iommu_domain *iommu;
	u64 populate_next;
	bool populate_done;
	unsigned int users;
	bool enforce_cache_coherency : 1;
	bool finalized_on_attach : 1;
	bool deferred_flush : 1;
	bool nest_parent : 1;
	bool has_msi : 1;
	bool mirror : 1;
	bool dirty : 1;
	bool demand : 1;
	bool poisoned;
	const struct ioasid_domain_extension *extension;
	const void *unit;
};

/* True if the driver can change a permission in place; may still fail */
static inline bool ioas_domain_protects(const struct ioas_domain *dom)
{
	return dom->extension;
}

/**
 * struct ioas_gather - IOPTEs that are removed from one domain together
 * @dom: the domain
 * @iotlb: gather of the IOMMU driver
 * @begun: an IOPTE was removed or changed
 *
 * ioas_gather_range() removes IOPTEs from the table, ioas_gather_protect()
 * removes permissions.  They are out of every cache when ioas_gather_finish()
 * returns.
 */
struct ioas_gather {
	struct ioas_domain *dom;
	struct iommu_iotlb_gather iotlb;
	bool begun;
};

/**
 * struct ioas_stop - what ends a long write early
 * @wanted: true: a thread waits for the memory or the mapping
 * @sem: held for reading; ends the write when another thread waits to hold it
 *	for writing, as readers queue behind that thread; or NULL
 */
struct ioas_stop {
	const bool *wanted;
	struct rw_semaphore *sem;
};

struct ioas_domain *ioas_domain_alloc(struct device *dev,
				      enum ioas_iommu_sort sort,
				      bool dirty, bool enforce_cache_coherency);
bool ioas_domain_usable(struct ioas_domain *dom);
void ioas_domain_free(struct ioas_domain *dom);
bool ioas_domain_fits(struct ioas_domain *dom, struct device *dev,
		      bool enforce_cache_coherency);
bool ioas_domain_can_nest(const struct ioas_domain *dom, struct device *dev);
void ioas_domain_unwind(struct ioas_domain *dom, u64 iova, u64 done,
			u64 length);
int ioas_domain_write_run(struct ioas_domain *dom, u64 iova,
			  phys_addr_t phys, u64 size, unsigned int flags,
			  unsigned int cut_shift, gfp_t gfp, size_t *done);
int ioas_domain_write(struct ioas_domain *dom, u64 iova,
		      const struct ioasid_memory *mem, unsigned int flags,
		      unsigned int cut_shift, gfp_t gfp);
int ioas_domain_sync(struct ioas_domain *dom, u64 iova, u64 length);
int ioas_domain_map(struct ioas_domain *dom, u64 iova,
		    const struct ioasid_memory *mem, unsigned int flags,
		    unsigned int cut_shift, const struct ioas_stop *stop);
int ioas_domain_map_device(struct ioas_domain *dom, u64 iova,
			   const struct ioasid_memory *mem,
			   unsigned int flags);
void ioas_gather_start(struct ioas_gather *gather, struct ioas_domain *dom,
		       bool scattered);
void ioas_gather_range(struct ioas_gather *gather, u64 iova, u64 length);
bool ioas_gather_protect(struct ioas_gather *gather, u64 iova, u64 length,
			 unsigned int flags);
void ioas_gather_finish(struct ioas_gather *gather);
void ioas_domain_remove(struct ioas_domain *dom, u64 iova, u64 length);
int ioas_domain_split(struct ioas_domain *dom, u64 iova,
		      const struct ioasid_memory *mem, unsigned int flags,
		      unsigned int cut_shift, u64 floor, u64 at,
		      const struct ioas_dirty_sink *sink);
bool ioas_domain_protect(struct ioas_gather *gather, u64 iova,
			 const struct ioasid_memory *mem,
			 unsigned int cut_shift, unsigned int flags);
int ioas_domain_read_dirty(struct ioas_domain *dom, u64 iova,
			   const struct ioasid_memory *mem,
			   unsigned int cut_shift, u64 from, u64 to,
			   const struct ioas_dirty_sink *sink);

#endif /* _IOASID_IOAS_DOMAIN_H */
