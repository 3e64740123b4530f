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

#include "dirty.h"
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

/* The page size of dirty pages */
static u64 smallest_pgsize(struct ioas *ioas)
{
	u64 pgsizes = common_pgsizes(ioas);

	return pgsizes & -pgsizes;
}

/* Bytes of a bitmap */
#define BITMAP_BYTES(npages)	(ALIGN(npages, BITS_PER_TYPE(u64)) / BITS_PER_BYTE)
#define BITMAP_BYTES_MAX	BITMAP_BYTES((u64)INT_MAX)

/* Behind struct vfio_iommu_type1_info, if there is room */
struct info_caps {
	struct vfio_iommu_type1_info_dma_avail avail __aligned(8);
	struct vfio_iommu_type1_info_cap_migration migration __aligned(8);
	struct vfio_iommu_type1_info_cap_iova_range ranges __aligned(8);
};

static struct info_caps *alloc_caps(struct ioas *ioas, size_t *size)
{
	const u32 first = sizeof(struct vfio_iommu_type1_info);
	struct ioas_ranges *ranges;
	struct info_caps *caps;
	unsigned int i, nr;
	bool limited;
	u32 *next;

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
	caps->migration.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
	caps->migration.header.version = 1;
	caps->migration.pgsize_bitmap = smallest_pgsize(ioas);
	caps->migration.max_dirty_bitmap_size = BITMAP_BYTES_MAX;
	next = &caps->avail.header.next;
	if (ioas_iommu_may_track_dirty()) {
		*next = first + offsetof(struct info_caps, migration);
		next = &caps->migration.header.next;
	}
	/* With emulated devices only, type1 tells no ranges */
	if (nr)
		*next = first + offsetof(struct info_caps, ranges);
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

/* The order of checks of type1: a page size of 0 is checked last */
static int check_bitmap(u64 size, const struct vfio_bitmap *bitmap)
{
	u64 npages = bitmap->pgsize ? size >> __ffs(bitmap->pgsize) : 0;

	if (!access_ok(bitmap->data, bitmap->size) || !npages ||
	    !bitmap->size || bitmap->size > BITMAP_BYTES_MAX ||
	    bitmap->size < BITMAP_BYTES(npages))
		return -EINVAL;
	return 0;
}

/* Prepare to tell of a range in the page size that type1 has */
static int dirty_request(struct ioas *ioas, u64 iova, u64 size,
			 const struct vfio_bitmap *bitmap,
			 struct ioasid_user_dirty *to)
{
	int ret = check_bitmap(size, bitmap);

	if (ret)
		return ret;
	if (bitmap->pgsize != smallest_pgsize(ioas))
		return -EINVAL;
	return ioasid_user_dirty_init(to, iova, size, bitmap->pgsize,
				      (unsigned long)bitmap->data);
}

/* Unmap, and tell which pages were written.  A log must have been started. */
static int unmap_dirty(struct ioasid *ioasid,
		       const struct vfio_iommu_type1_dma_unmap *unmap,
		       size_t min, void __user *user,
		       struct ioas_unmap_request *req)
{
	struct ioasid_user_dirty to;
	struct vfio_bitmap bitmap;
	int ret;

	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL ||
	    unmap->argsz < min + sizeof(bitmap))
		return -EINVAL;
	if (copy_from_user(&bitmap, user + min, sizeof(bitmap)))
		return -EFAULT;
	ret = dirty_request(ioasid_map_ioas(ioasid), unmap->iova, unmap->size,
			    &bitmap, &to);
	if (ret)
		return ret;
	req->flags = IOASID_UNMAP_DIRTY;
	ret = ioasid_dirty_unmap(ioasid, &to, req);
	return ret == -EOPNOTSUPP ? -EINVAL : ret;
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
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) {
		ret = unmap_dirty(ioasid, &unmap, min, user, &req);
		goto out;
	}
	ret = unmap_request(&unmap, type, &req, &last);
	if (ret)
		return ret;

	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->unmap, ioasid_map_unmap,
			       ioasid, unmap.iova, last, &req);
	trace_ioasid_unmap(ioasid->obj.id, unmap.iova, last - unmap.iova + 1,
			   req.removed, ret);
out:
	if (ret)
		return ioasid_type1_errno(ret);
	unmap.size = req.removed;
	return copy_to_user(user, &unmap, min) ? -EFAULT : 0;
}

/* ---- Dirty pages ---- */

/**
 * struct edge_query - a query for the mapping that contains an address
 * @query: for ioas_query()
 * @start: out, its first byte
 * @last: out, its last byte
 */
struct edge_query {
	struct ioas_query query;
	u64 start;
	u64 last;
};

static int tell_edge(struct ioas_query *query, u32 nr,
		     const struct ioas_query_entry *entry)
{
	struct edge_query *edge = container_of(query, struct edge_query, query);

	edge->start = entry->iova;
	edge->last = entry->iova + (entry->length - 1);
	return 0;
}

/* Test whether the byte at @at and the next one are of one mapping */
static bool is_inside(struct ioasid *ioasid, u64 at)
{
	struct edge_query edge = {
		.query.start = at,
		.query.room = 1,
		.query.tell = tell_edge,
	};
	int ret;

	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->query,
			       ioasid_map_query, ioasid, &edge.query);
	return !ret && edge.query.nr && edge.start <= at && edge.last > at;
}

/* As for unmaps, mappings are told of as a whole */
static int get_dirty(struct ioasid *ioasid, size_t data_size,
		     void __user *user)
{
	struct vfio_iommu_type1_dirty_bitmap_get get;
	struct ioas *ioas = ioasid_map_ioas(ioasid);
	struct ioasid_user_dirty to;
	int ret;

	if (data_size < sizeof(get))
		return -EINVAL;
	if (copy_from_user(&get, user, sizeof(get)))
		return -EFAULT;
	if (get.iova + get.size < get.iova)
		return -EINVAL;
	ret = dirty_request(ioas, get.iova, get.size, &get.bitmap, &to);
	if (ret)
		return ret;
	if (ioas_dirty_started(ioas) ||
	    (get.iova && is_inside(ioasid, get.iova - 1)) ||
	    is_inside(ioasid, to.req.last))
		return -EINVAL;
	return ioas_dirty_get(ioas, &to.req);
}

static int type1_dirty_pages(struct ioasid *ioasid, u32 type,
			     void __user *user)
{
	size_t min = offsetofend(struct vfio_iommu_type1_dirty_bitmap, flags);
	struct vfio_iommu_type1_dirty_bitmap dirty;
	struct ioas *ioas = ioasid_map_ioas(ioasid);
	int ret;

	if (type != VFIO_TYPE1v2_IOMMU)
		return -EACCES;
	if (copy_from_user(&dirty, user, min))
		return -EFAULT;
	if (dirty.argsz < min)
		return -EINVAL;
	switch (dirty.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		/* type1 knows no dirty bits, and so no lack of them */
		ret = ioas_dirty_start(ioas, true);
		return ret == -EEXIST ? 0 : ret;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		ret = ioas_dirty_stop(ioas);
		return ret == -ENOENT ? 0 : ret;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return get_dirty(ioasid, dirty.argsz - min, user + min);
	default:
		return -EINVAL;
	}
}

/**
 * ioasid_type1_ioctl() - run a command of type1 on an IOASID
 * @ioasid: the IOASID, a root of the kind MAP
 * @type: VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU
 * @nr: VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA or
 *	VFIO_IOMMU_DIRTY_PAGES
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
	case VFIO_IOMMU_DIRTY_PAGES:
		return type1_dirty_pages(ioasid, type, user);
	default:
		return -ENOTTY;
	}
}
