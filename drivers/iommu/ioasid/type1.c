// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands of VFIO's type1, version 1 and 2, on one IOASID.
 *
 * Invariants:
 *  - Results are those of type1 in Linux 6.12, errno for errno, but for the
 *    differences that Documentation/userspace-api/ioasid.rst lists.
 *
 * Locks: none.  Where type1 checks and changes under one lock, the address space
 * does both; mappings that come in between count as made afterwards.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>
#include <uapi/linux/ioasid.h>
#include <uapi/linux/vfio.h>

#include "kind_map.h"
#include "type1.h"

/**
 * ioasid_type1_errno() - find what type1 returns
 * @ret: 0, or an errno of /dev/ioasid
 *
 * Return: 0, or the errno that type1 has in its place.
 */
int ioasid_type1_errno(int ret)
{
	switch (ret) {
	case -EDQUOT:
	case -EOVERFLOW:
		return -ENOMEM;
	case -EHWPOISON:
	case -ENXIO:
	case -EACCES:
		return -EFAULT;
	case -ENOENT:
	case -ENODEV:
	case -EADDRINUSE:
	case -EMEDIUMTYPE:
		return -EINVAL;
	default:
		return ret;
	}
}

/* The page sizes that all domains have, as type1 tells them */
static u64 common_pgsizes(struct ioas *ioas)
{
	unsigned long pgsizes;
	unsigned int nr;

	pgsizes = ioas_pgsizes(ioas, &nr);
	if (!nr)
		pgsizes = ULONG_MAX;
	if (pgsizes & ~PAGE_MASK)
		pgsizes = (pgsizes & PAGE_MASK) | PAGE_SIZE;
	return pgsizes;
}

/* Behind struct vfio_iommu_type1_info, if there is room */
struct info_caps {
	struct vfio_iommu_type1_info_dma_avail avail __aligned(8);
	struct vfio_iommu_type1_info_cap_iova_range ranges __aligned(8);
};

static struct info_caps *alloc_caps(struct ioas *ioas, size_t *size)
{
	const u32 first = sizeof(struct vfio_iommu_type1_info);
	struct ioas_ranges *ranges;
	struct info_caps *caps;
	unsigned int i, nr;
	bool limited;

	ranges = ioas_copy_permitted(ioas, &limited);
	if (!ranges)
		return NULL;
	nr = limited ? ranges->nr : 0;
	*size = struct_size(caps, ranges.iova_ranges, nr);
	caps = kzalloc(*size, GFP_KERNEL_ACCOUNT);
	if (!caps)
		goto out;
	/* The number of mappings has no limit */
	caps->avail.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
	caps->avail.header.version = 1;
	caps->avail.avail = U32_MAX;
	caps->ranges.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	caps->ranges.header.version = 1;
	caps->ranges.nr_iovas = nr;
	for (i = 0; i < nr; i++) {
		caps->ranges.iova_ranges[i].start = ranges->range[i].start;
		caps->ranges.iova_ranges[i].end = ranges->range[i].last;
	}
	/* With emulated devices only, type1 tells no ranges */
	if (nr)
		caps->avail.header.next = first +
					  offsetof(struct info_caps, ranges);
	else
		*size = offsetof(struct info_caps, ranges);
out:
	kfree(ranges);
	return caps;
}

static int type1_get_info(struct ioasid *ioasid, void __user *user)
{
	size_t min = offsetofend(struct vfio_iommu_type1_info, iova_pgsizes);
	struct ioas *ioas = ioasid_map_ioas(ioasid);
	struct vfio_iommu_type1_info info = {};
	struct info_caps *caps;
	size_t size;
	int ret = 0;

	if (copy_from_user(&info, user, min))
		return -EFAULT;
	if (info.argsz < min)
		return -EINVAL;
	min = min_t(size_t, info.argsz, sizeof(info));

	caps = alloc_caps(ioas, &size);
	if (!caps)
		return -ENOMEM;
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = common_pgsizes(ioas);
	if (info.argsz < sizeof(info) + size) {
		info.argsz = sizeof(info) + size;
	} else {
		info.cap_offset = sizeof(info);
		if (copy_to_user(user + sizeof(info), caps, size))
			ret = -EFAULT;
	}
	kfree(caps);
	if (!ret && copy_to_user(user, &info, min))
		ret = -EFAULT;
	return ret;
}

/**
 * struct taken_query - a query for the first mapping that ends behind an address
 * @query: for ioas_query()
 * @iova: out, its first byte, or the address if it begins before
 */
struct taken_query {
	struct ioas_query query;
	u64 iova;
};

static int tell_taken(struct ioas_query *query, u32 nr,
		      const struct ioas_query_entry *entry)
{
	container_of(query, struct taken_query, query)->iova = entry->iova;
	return 0;
}

/* type1 looks for mappings before it checks what is permitted */
static bool is_taken(struct ioasid *ioasid, u64 start, u64 last)
{
	struct taken_query taken = {
		.query.start = start,
		.query.room = 1,
		.query.tell = tell_taken,
	};
	int ret;

	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->query,
			       ioasid_map_query, ioasid, &taken.query);
	return !ret && taken.query.nr && taken.iova <= last;
}

static int map_request(const struct vfio_iommu_type1_dma_map *map,
		       struct ioasid_map_dma *cmd, u64 *last)
{
	if (!map->flags ||
	    map->flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE))
		return -EINVAL;
	if (!range_valid(map->iova, map->size) ||
	    !range_valid(map->vaddr, map->size))
		return -EINVAL;
	cmd->flags = IOASID_MAP_FIXED;
	if (map->flags & VFIO_DMA_MAP_FLAG_READ)
		cmd->flags |= IOASID_MAP_READ;
	if (map->flags & VFIO_DMA_MAP_FLAG_WRITE)
		cmd->flags |= IOASID_MAP_WRITE;
	*last = map->iova + (map->size - 1);
	return 0;
}

static int type1_map_dma(struct ioasid *ioasid, void __user *user)
{
	size_t min = offsetofend(struct vfio_iommu_type1_dma_map, size);
	struct vfio_iommu_type1_dma_map map;
	struct ioasid_map_dma cmd = {};
	struct ioas_map_request req = {};
	u64 last;
	int ret;

	if (copy_from_user(&map, user, min))
		return -EFAULT;
	if (map.argsz < min)
		return -EINVAL;
	ret = map_request(&map, &cmd, &last);
	if (ret)
		return ret;

	req.flags = cmd.flags;
	req.iova = map.iova;
	req.addr = map.vaddr;
	req.length = map.size;
	/* A fixed IOVA is not written back: there is no structure to write to */
	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->map, ioasid_map_map,
			       ioasid, &cmd, NULL, &req);
	trace_ioasid_map(ioasid->obj.id, map.iova, map.size, req.flags, ret);
	if (ret == -EINVAL && is_taken(ioasid, map.iova, last))
		ret = -EEXIST;
	/* An unmap came while memory was pinned: as if it had come afterwards */
	if (ret == -ECANCELED)
		ret = 0;
	return ioasid_type1_errno(ret);
}

/*
 * The errno of type1 for a dirty log that was not started.  It reads the
 * structure that says where the bitmap goes, if the flags permit it.
 */
static int check_unmap_dirty(const struct vfio_iommu_type1_dma_unmap *unmap,
			     size_t min, void __user *user)
{
	struct vfio_bitmap bitmap;

	if (!(unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL) &&
	    unmap->argsz >= min + sizeof(bitmap) &&
	    copy_from_user(&bitmap, user + min, sizeof(bitmap)))
		return -EFAULT;
	return -EINVAL;
}

static int unmap_request(const struct vfio_iommu_type1_dma_unmap *unmap,
			 u32 type, struct ioas_unmap_request *req, u64 *last)
{
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap->iova || unmap->size)
			return -EINVAL;
		req->flags = IOASID_UNMAP_ALL;
		*last = U64_MAX;
		return 0;
	}
	if (!range_valid(unmap->iova, unmap->size))
		return -EINVAL;
	if (type == VFIO_TYPE1_IOMMU)
		req->flags = IOAS_UNMAP_WHOLE;
	*last = unmap->iova + (unmap->size - 1);
	return 0;
}

static int type1_unmap_dma(struct ioasid *ioasid, u32 type,
			   void __user *user)
{
	size_t min = offsetofend(struct vfio_iommu_type1_dma_unmap, size);
	struct ioas_unmap_request req = { .patience = IOAS_PATIENCE };
	struct vfio_iommu_type1_dma_unmap unmap;
	u64 last;
	int ret;

	if (copy_from_user(&unmap, user, min))
		return -EFAULT;
	if (unmap.argsz < min ||
	    unmap.flags & ~(VFIO_DMA_UNMAP_FLAG_ALL |
			    VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP))
		return -EINVAL;
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		return check_unmap_dirty(&unmap, min, user);
	ret = unmap_request(&unmap, type, &req, &last);
	if (ret)
		return ret;

	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->unmap, ioasid_map_unmap,
			       ioasid, unmap.iova, last, &req);
	trace_ioasid_unmap(ioasid->obj.id, unmap.iova, last - unmap.iova + 1,
			   req.removed, ret);
	if (ret)
		return ioasid_type1_errno(ret);
	unmap.size = req.removed;
	return copy_to_user(user, &unmap, min) ? -EFAULT : 0;
}

/**
 * ioasid_type1_ioctl() - run a command of type1 on an IOASID
 * @ioasid: the IOASID, a root of the kind MAP
 * @type: VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU
 * @nr: VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA or VFIO_IOMMU_UNMAP_DMA
 * @user: its structure
 *
 * Context: may sleep.
 * Return: what type1 returns.
 */
long ioasid_type1_ioctl(struct ioasid *ioasid, u32 type, unsigned int nr,
			void __user *user)
{
	switch (nr) {
	case VFIO_IOMMU_GET_INFO:
		return type1_get_info(ioasid, user);
	case VFIO_IOMMU_MAP_DMA:
		return type1_map_dma(ioasid, user);
	case VFIO_IOMMU_UNMAP_DMA:
		return type1_unmap_dma(ioasid, type, user);
	default:
		return -ENOTTY;
	}
}
