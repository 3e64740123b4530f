/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One hardware page table: make it, fill it from extents, drain it, flush it.
 *
 * Knows struct iommu_domain and memory; knows nothing of mappings and IOASIDs.
 */
#ifndef _IOASID_IOAS_DOMAIN_H
#define _IOASID_IOAS_DOMAIN_H

#include <linux/iommu.h>
#include <linux/list.h>

#include <uapi/linux/ioasid.h>

#include "../mem/extent.h"

struct ioasid_domain_extension;

/**
 * struct ioasid_domain - a hardware page table
 * @node: in the list of who owns it
 * @iommu: the domain
 * @fill_next: its owner's, while it is filled: what begins below it is in
 * @fill_done: its owner's: all is in
 * @users: how many groups are attached
 * @enforced: no-snoop DMA is made coherent; from before the first map to the
 *	end
 * @late: the driver tells aperture and page sizes, and can map, only after an
 *	attach; and must not be asked to replace a domain by another
 * @queued: ranges that do not touch can share one flush
 * @has_msi: it maps MSIs by software
 * @poisoned: a translation could not be taken out. Set once.
 * @protect_pages: see struct ioasid_domain_extension; NULL if the driver has
 *	none
 */
struct ioasid_domain {
	struct list_head node;
	struct iommu_domain *iommu;
	u64 fill_next;
	bool fill_done;
	unsigned int users;
	bool enforced : 1;
	bool late : 1;
	bool queued : 1;
	bool has_msi : 1;
	bool poisoned;
	size_t (*protect_pages)(struct iommu_domain *domain, unsigned long iova,
				size_t pgsize, size_t pgcount, int prot,
				struct iommu_iotlb_gather *gather);
};

/* Can the driver change a permission in place?  Not always, then */
static inline bool ioasid_domain_protects(const struct ioasid_domain *dom)
{
	return dom->protect_pages;
}

/**
 * struct ioasid_drain - translations on their way out of one domain
 * @dom: the domain
 * @gather: what the IOMMU driver collects
 * @begun: something was taken out, or changed
 *
 * ioasid_drain_range() takes translations out of the table, or
 * ioasid_drain_protect() permission; only when ioasid_drain_finish() returned
 * are they out of every cache.
 */
struct ioasid_drain {
	struct ioasid_domain *dom;
	struct iommu_iotlb_gather gather;
	bool begun;
};

void ioasid_register_domain_extension(struct ioasid_domain_extension *ext);
void ioasid_unregister_domain_extension(struct ioasid_domain_extension *ext);
struct iommu_domain *ioasid_iommu_alloc(struct device *dev, bool plain,
					bool *late);
struct ioasid_domain *ioasid_domain_alloc(struct device *dev, bool plain,
					  bool must_enforce);
bool ioasid_domain_usable(struct ioasid_domain *dom);
void ioasid_domain_free(struct ioasid_domain *dom);
bool ioasid_domain_fits(struct ioasid_domain *dom, struct device *dev,
			bool must_enforce);
unsigned long ioasid_iopte_sizes(unsigned long pgsizes, u64 iova,
				 const struct ioasid_memory *mem,
				 unsigned int cut_shift);
size_t ioasid_domain_iopte(const struct ioasid_domain *dom, u64 iova,
			   phys_addr_t phys, u64 size, unsigned int cut_shift);
void ioasid_domain_iopte_around(const struct ioasid_domain *dom, u64 iova,
				phys_addr_t phys, u64 size,
				unsigned int cut_shift, u64 at,
				struct ioasid_iova_range *range);
void ioasid_domain_take_back(struct ioasid_domain *dom, u64 iova, u64 done,
			     u64 length);
int ioasid_domain_write_run(struct ioasid_domain *dom, u64 iova,
			    phys_addr_t phys, u64 size, unsigned int flags,
			    unsigned int cut_shift, gfp_t gfp, size_t *done);
int ioasid_domain_write(struct ioasid_domain *dom, u64 iova,
			const struct ioasid_memory *mem, unsigned int flags,
			unsigned int cut_shift, gfp_t gfp);
int ioasid_domain_sync(struct ioasid_domain *dom, u64 iova, u64 length);
int ioasid_domain_map(struct ioasid_domain *dom, u64 iova,
		      const struct ioasid_memory *mem, unsigned int flags,
		      unsigned int cut_shift, const bool *stop);
int ioasid_domain_map_device(struct ioasid_domain *dom, u64 iova,
			     const struct ioasid_memory *mem,
			     unsigned int flags);
void ioasid_drain_start(struct ioasid_drain *drain, struct ioasid_domain *dom,
			bool scattered);
void ioasid_drain_range(struct ioasid_drain *drain, u64 iova, u64 length);
bool ioasid_drain_protect(struct ioasid_drain *drain, u64 iova, u64 length,
			  unsigned int flags);
void ioasid_drain_finish(struct ioasid_drain *drain);
void ioasid_domain_take_out(struct ioasid_domain *dom, u64 iova, u64 length);
int ioasid_domain_split(struct ioasid_domain *dom, u64 iova,
			const struct ioasid_memory *mem, unsigned int flags,
			unsigned int cut_shift, u64 floor, u64 at);

#endif /* _IOASID_IOAS_DOMAIN_H */
