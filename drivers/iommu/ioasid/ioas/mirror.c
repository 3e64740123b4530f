// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mirrors: a device that translates by itself, such as a vDPA device with an IOMMU
 * on its chip, has the mappings of an address space in a table of its own.
 *
 * That table looks like the domain of an IOMMU driver here, so that maps, unmaps,
 * batches, changes of permission, and cascading unmaps of a parent reach it in
 * order with all other domains, and undo what fails.  It is in no IOMMU, and no
 * struct device is ever attached to it.
 *
 * Invariants:
 *  - A table is complete before it is attached: what is written to it until then
 *    reaches the device at once, with ioasid_mirror_ops.attach.
 *  - Once it is attached, iotlb_sync_map() and iotlb_sync() commit what was
 *    written and removed before: one commit for each request, or batch.
 *  - If removed translations cannot be committed, the domain is poisoned: the
 *    device may use them still.
 *  - Memory of other devices is never in a mirror: nothing tells the device to
 *    stop using it before it is revoked.
 *
 * Locks: none.  Calls for different IOVAs run in parallel, and beside attach and
 * detach: the ops serialise them.
 */
#include <kunit/visibility.h>
#include <linux/ioasid.h>
#include <linux/slab.h>

#include "domain.h"
#include "iommu.h"
#include "mirror.h"

/**
 * struct mirror - the table of a device as a domain
 * @iommu: what the files that write domains see
 * @dom: its owner's structure
 * @ops: the ops of the device's framework
 * @table: the framework's table
 */
struct mirror {
	struct iommu_domain iommu;
	struct ioas_domain *dom;
	const struct ioasid_mirror_ops *ops;
	void *table;
};

static struct mirror *to_mirror(struct iommu_domain *iommu)
{
	return container_of(iommu, struct mirror, iommu);
}

static int mirror_map_pages(struct iommu_domain *iommu, unsigned long iova,
			    phys_addr_t phys, size_t pgsize, size_t count,
			    int prot, gfp_t gfp, size_t *mapped)
{
	struct mirror *mirror = to_mirror(iommu);
	int ret;

	ret = mirror->ops->map(mirror->table, iova, pgsize * count, phys,
			       prot & (IOMMU_READ | IOMMU_WRITE), gfp);
	if (!ret)
		*mapped = pgsize * count;
	return ret;
}

static size_t mirror_unmap_pages(struct iommu_domain *iommu, unsigned long iova,
				 size_t pgsize, size_t count,
				 struct iommu_iotlb_gather *gather)
{
	struct mirror *mirror = to_mirror(iommu);

	mirror->ops->unmap(mirror->table, iova, pgsize * count);
	return pgsize * count;
}

static size_t mirror_protect_pages(struct iommu_domain *iommu,
				   unsigned long iova, size_t pgsize,
				   size_t count, int prot,
				   struct iommu_iotlb_gather *gather)
{
	struct mirror *mirror = to_mirror(iommu);

	if (!mirror->ops->protect ||
	    mirror->ops->protect(mirror->table, iova, pgsize * count,
				 prot & (IOMMU_READ | IOMMU_WRITE)))
		return 0;
	return pgsize * count;
}

static int mirror_sync_map(struct iommu_domain *iommu, unsigned long iova,
			   size_t size)
{
	struct mirror *mirror = to_mirror(iommu);

	return mirror->ops->commit(mirror->table);
}

static void mirror_sync(struct iommu_domain *iommu,
			struct iommu_iotlb_gather *gather)
{
	struct mirror *mirror = to_mirror(iommu);

	if (unlikely(mirror->ops->commit(mirror->table)))
		WRITE_ONCE(mirror->dom->poisoned, true);
}

static phys_addr_t mirror_phys(struct iommu_domain *iommu, dma_addr_t iova)
{
	struct mirror *mirror = to_mirror(iommu);

	return mirror->ops->phys(mirror->table, iova);
}

static void mirror_free(struct iommu_domain *iommu)
{
	struct mirror *mirror = to_mirror(iommu);

	mirror->ops->free(mirror->table);
	kfree(mirror);
}

static const struct iommu_domain_ops mirror_domain_ops = {
	.map_pages = mirror_map_pages,
	.unmap_pages = mirror_unmap_pages,
	.iotlb_sync_map = mirror_sync_map,
	.iotlb_sync = mirror_sync,
	.iova_to_phys = mirror_phys,
	.free = mirror_free,
};

static const struct ioasid_domain_extension mirror_extension = {
	.domain_ops = &mirror_domain_ops,
	.protect_pages = mirror_protect_pages,
};

/**
 * ioas_mirror_alloc() - allocate the table of a device, as a domain
 * @by: the device
 * @asid: which of its tables
 *
 * The page sizes are those of the CPU.  They cost the table nothing: an entry of
 * it is as long as the device likes.
 *
 * Context: may sleep.
 * Return: the domain, empty and not attached; or an ERR_PTR: -ENOMEM; or an errno
 * of ioasid_mirror_ops.alloc.
 */
struct ioas_domain *ioas_mirror_alloc(const struct ioas_translator *by, u32 asid)
{
	struct ioas_domain *dom;
	struct mirror *mirror;
	int ret = -ENOMEM;

	dom = kzalloc(sizeof(*dom), GFP_KERNEL_ACCOUNT);
	mirror = kzalloc(sizeof(*mirror), GFP_KERNEL_ACCOUNT);
	if (!dom || !mirror)
		goto err_free;
	mirror->table = by->ops->alloc(by->data, asid);
	ret = PTR_ERR_OR_ZERO(mirror->table);
	if (ret)
		goto err_free;
	mirror->ops = by->ops;
	mirror->dom = dom;
	mirror->iommu.type = IOMMU_DOMAIN_UNMANAGED;
	mirror->iommu.ops = &mirror_domain_ops;
	mirror->iommu.pgsize_bitmap = PAGE_SIZE | PMD_SIZE | PUD_SIZE;
	mirror->iommu.geometry.aperture_start = by->range.start;
	mirror->iommu.geometry.aperture_end = by->range.last;
	mirror->iommu.geometry.force_aperture = true;

	dom->iommu = &mirror->iommu;
	dom->mirror = true;
	/* The device's framework has checked that its DMA is coherent */
	dom->enforce_cache_coherency = true;
	dom->extension = &mirror_extension;
	return dom;

err_free:
	kfree(mirror);
	kfree(dom);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_mirror_alloc);

/**
 * ioas_mirror_ranges() - the IOVAs that a device can translate
 * @by: the device
 *
 * Return: the ranges, to be freed by kfree(); or an ERR_PTR: -ENOMEM.
 */
struct ioas_ranges *ioas_mirror_ranges(const struct ioas_translator *by)
{
	struct ioas_ranges *ranges;

	ranges = kzalloc(struct_size(ranges, range, 1), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return ERR_PTR(-ENOMEM);
	ranges->nr = 1;
	ranges->range[0] = by->range;
	return ranges;
}

/**
 * ioas_mirror_attach() - let the device translate by a mirror
 * @dom: the mirror, with all mappings; it takes the place of the one that the
 *	device uses now
 *
 * Context: may sleep, for as long as the device takes for all of them.
 * Return: 0; or the errno of ioasid_mirror_ops.attach: the device uses what it
 * used before, or nothing.
 */
int ioas_mirror_attach(struct ioas_domain *dom)
{
	struct mirror *mirror = to_mirror(dom->iommu);

	return mirror->ops->attach(mirror->table);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_mirror_attach);

/**
 * ioas_mirror_detach() - let the device translate nothing
 * @dom: the mirror; does nothing if another one has taken its place
 *
 * Context: may sleep; needs no memory.
 */
void ioas_mirror_detach(struct ioas_domain *dom)
{
	struct mirror *mirror = to_mirror(dom->iommu);

	mirror->ops->detach(mirror->table);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_mirror_detach);
