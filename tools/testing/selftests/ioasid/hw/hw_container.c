// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO's container commands, as type1 and as /dev/ioasid answer them: one list of
 * calls, made by each way.
 */
#include "hw_container.h"

/* Groups, and what can be done when */
static int list_groups(char *mem, unsigned long type)
{
	int c = open_container(), c2 = open_container();
	int g = hw_open_group(C), h = hw_open_group(A), d, e;
	unsigned long i;

	if (c < 0 || c2 < 0 || g < 0 || h < 0)
		return -ENODEV;
	RC(cmd(c, VFIO_GET_API_VERSION, NULL));
	for (i = 0; i <= 12; i++)
		if (i != VFIO_TYPE1_NESTING_IOMMU)
			RC(extension(c, i));
	DIFFERS(extension(c, VFIO_TYPE1_NESTING_IOMMU), way == BACK_END ||
		way == NUMBER ? 1 : 0);
	RC(set_iommu(c, type));
	RC(set_iommu(c, 99));
	RC(map(c, mem, BASE, 4096));
	RC(map_full(c, 0, 0, 0, 0, 0));
	RC(unmap(c, BASE, 4096));
	RC(unmap_all(c));
	RC(cmd(c, VFIO_IOMMU_GET_INFO, NULL));
	RC(status(g));
	RC(hw_set_container(g, -1));
	RC(hw_set_container(g, g));
	RC(hw_set_container(g, c));
	RC(hw_set_container(g, c));
	RC(hw_set_container(g, c2));
	RC(status(g));
	RC(map(c, mem, BASE, 4096));
	RC(set_iommu(c, 0));
	RC(set_iommu(c, 99));
	RC(set_iommu(c, VFIO_SPAPR_TCE_v2_IOMMU));
	RC(set_iommu(c, type));
	RC(set_iommu(c, type));
	RC(set_iommu(c, 99));
	RC(is_ioasid(c) == (way != TYPE1));
	for (i = 0; i <= 12; i++)
		if (i != VFIO_TYPE1_NESTING_IOMMU && i != VFIO_UPDATE_VADDR)
			RC(extension(c, i));
	DIFFERS(extension(c, VFIO_UPDATE_VADDR), 0);
	RC(map(c, mem, BASE, 4096));
	RC(unset(g));
	RC(unset(g));
	RC(map(c, mem, BASE, 4096));
	RC(unmap(c, BASE, 4096));
	RC(set_iommu(c, type));
	RC(hw_set_container(g, c));
	RC(set_iommu(c, type));
	RC(map(c, mem, BASE, 4096));
	RC(map(c, mem, BASE, 4096));
	/* A second group, while memory is mapped */
	RC(hw_set_container(h, c));
	RC(map(c, mem, BASE + 4096, 4096));
	d = hw_group_device(g, C);
	RC(d >= 0);
	RC(unset(h));
	RC(map(c, mem, BASE + 8192, 4096));
	RC(unmap(c, BASE, 4 * 4096));
	RC(hw_set_container(h, c));
	e = hw_group_device(h, A);
	RC(e >= 0);
	RC(unset(h));
	shut(&h);
	/* Its device keeps it there */
	RC(map(c, mem, BASE, 4096));
	h = hw_open_group(A);
	RC(h);
	shut(&e);
	h = hw_open_group(A);
	RC(h >= 0);
	RC(status(h));
	shut(&c2);
	/* The container's file may go first */
	RC(hw_set_container(h, c));
	shut(&c);
	e = hw_group_device(h, A);
	RC(e >= 0);
	shut(&e);
	shut(&h);
	shut(&d);
	shut(&g);
	return 0;
}

TEST_F_TIMEOUT(container, groups_v2, 300)
{
	SAME(list_groups, TYPE1v2);
}

TEST_F_TIMEOUT(container, groups_v1, 300)
{
	SAME(list_groups, TYPE1);
}

static int info_short(int fd, unsigned int argsz)
{
	struct info_buffer buf = { .info.argsz = argsz };
	int rc = cmd(fd, VFIO_IOMMU_GET_INFO, &buf);
	unsigned int i;

	for (i = argsz; i < sizeof(buf); i++)
		if (i >= 16 && ((char *)&buf)[i])
			return -ENOTRECOVERABLE;
	if (rc)
		return rc;
	/* It says how much it takes, and gives no capability */
	return (buf.info.argsz > sizeof(buf.info)) << 8 |
	       (argsz >= 24 && buf.info.cap_offset) << 4 | buf.info.flags;
}

/* With exactly as much room as it takes, and with less */
static int info_exact(int fd, int less)
{
	struct info_buffer buf = { .info.argsz = 24 };
	unsigned int need;

	if (cmd(fd, VFIO_IOMMU_GET_INFO, &buf))
		return -EIO;
	need = buf.info.argsz - less;
	memset(&buf, 0, sizeof(buf));
	buf.info.argsz = need;
	if (cmd(fd, VFIO_IOMMU_GET_INFO, &buf))
		return -EIO;
	return (buf.info.argsz == need) << 8 | !!buf.info.cap_offset;
}

static int list_info(char *mem, unsigned long type)
{
	struct box box;
	int rc = box_open(&box, type), h;

	if (rc)
		goto out;
	RC(cmd(box.fd, VFIO_IOMMU_GET_INFO, NULL));
	RC(info_short(box.fd, 0));
	RC(info_short(box.fd, 15));
	RC(info_short(box.fd, 16));
	RC(info_short(box.fd, 20));
	RC(info_short(box.fd, 24));
	RC(info_short(box.fd, 32));
	RC(info_exact(box.fd, 0));
	RC(info_exact(box.fd, 1));
	say_info(box.fd);
	h = hw_open_group(A);
	RC(hw_set_container(h, box.fd));
	say_info(box.fd);
	RC(unset(h));
	say_info(box.fd);
	shut(&h);
out:
	box_close(&box);
	return rc;
}

TEST_F_TIMEOUT(container, info, 300)
{
	SAME(list_info, TYPE1v2);
	SAME(list_info, TYPE1);
}

/* The bits of up to 64 pages, or an error */
static long long get_dirty(int fd, __u32 argsz, __u64 iova, __u64 pages,
			   __u64 pgsize, __u64 size)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
		__u64 bits;
	} arg = {
		.head.argsz = argsz,
		.head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		.get.iova = iova,
		.get.size = pages * 4096,
		.get.bitmap.pgsize = pgsize,
		.get.bitmap.size = size,
	};
	int rc;

	arg.get.bitmap.data = (void *)&arg.bits;
	rc = cmd(fd, VFIO_IOMMU_DIRTY_PAGES, &arg);
	return rc ?: (long long)arg.bits;
}

/*
 * The bits of the range, and the pages that were unmapped.  Behind the range type1 may
 * tell a bit that it shifted there for an earlier call, and did not clear.
 */
static long long unmap_dirty_flags(int fd, __u32 flags, __u64 iova, __u64 pages,
				   __u32 argsz, __u64 pgsize, __u64 size)
{
	struct {
		struct vfio_iommu_type1_dma_unmap head;
		struct vfio_bitmap bitmap;
		__u64 bits;
	} arg = {
		.head.argsz = argsz,
		.head.flags = flags | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
		.head.iova = iova,
		.head.size = pages * 4096,
		.bitmap.pgsize = pgsize,
		.bitmap.size = size,
	};
	int rc;

	arg.bitmap.data = (void *)&arg.bits;
	rc = cmd(fd, VFIO_IOMMU_UNMAP_DMA, &arg);
	if (pages < 56)
		arg.bits &= (1ULL << pages) - 1;
	return rc ?: (long long)(arg.bits << 8 | arg.head.size >> 12);
}

static long long unmap_dirty(int fd, __u64 iova, __u64 pages, __u32 argsz,
			     __u64 pgsize, __u64 size)
{
	return unmap_dirty_flags(fd, 0, iova, pages, argsz, pgsize, size);
}

static int list_maps(char *mem, unsigned long type)
{
	const __u64 p = (uintptr_t)mem;
	struct box box;
	char *ro, *none;
	int c, rc;

	ro = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	none = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(none + 4096, 4096);
	rc = box_open(&box, type);
	if (rc)
		goto out;
	c = box.fd;
	RC(cmd(c, VFIO_IOMMU_MAP_DMA, NULL));
	RC(map_full(c, 31, RW, p, BASE, 4096));
	RC(map_full(c, 32, RW, p, BASE, 4096));
	RC(map_full(c, 33, RW, p, BASE + 4096, 4096));
	RC(map_full(c, 32, 0, p, AT(9), 4096));
	RC(map_full(c, 32, 8, p, AT(9), 4096));
	RC(map_full(c, 32, 8 | RW, p, AT(9), 4096));
	RC(map_full(c, 32, RW | VFIO_DMA_MAP_FLAG_VADDR, p, AT(9), 4096));
	DIFFERS(map_full(c, 32, VFIO_DMA_MAP_FLAG_VADDR, p, AT(9), 4096),
		-EINVAL);
	RC(map_full(c, 32, VFIO_DMA_MAP_FLAG_READ, p, AT(10), 4096));
	RC(map_full(c, 32, VFIO_DMA_MAP_FLAG_WRITE, p, AT(11), 4096));
	RC(map_full(c, 32, RW, p, AT(12), 0));
	RC(map_full(c, 32, RW, p, AT(12), 1));
	RC(map_full(c, 32, RW, p, AT(12), 4095));
	RC(map_full(c, 32, RW, p + 1, AT(12), 4096));
	RC(map_full(c, 32, RW, p, AT(12) + 1, 4096));
	RC(map_full(c, 32, RW, p, AT(12) + 2048, 4096));
	RC(map_full(c, 32, RW, p, -4096ULL, 8192));
	RC(map_full(c, 32, RW, -4096ULL, AT(12), 8192));
	RC(map_full(c, 32, RW, p, -4096ULL, 4096));
	RC(map_full(c, 32, RW, -4096ULL, AT(12), 4096));
	RC(map_full(c, 32, RW, p, 0xfee00000, 4096));
	RC(map_full(c, 32, RW, p, 0xfedff000, 4096));
	RC(map_full(c, 32, RW, p, 0xfedff000, 8192));
	RC(map_full(c, 32, RW, p, 0xfedfe000, 4096));
	RC(map_full(c, 32, RW, p, 1ULL << 57, 4096));
	RC(map_full(c, 32, RW, p, 1ULL << 62, 4096));
	RC(map_full(c, 32, RW, p, 0, 4096));
	RC(map_full(c, 32, RW, 0, AT(12), 4096));
	RC(map_full(c, 32, RW, (uintptr_t)ro, AT(12), 4096));
	RC(map_full(c, 32, VFIO_DMA_MAP_FLAG_READ, (uintptr_t)ro, AT(13), 4096));
	RC(map_full(c, 32, RW, (uintptr_t)none, AT(14), 8192));
	RC(map_full(c, 32, RW, (uintptr_t)none, AT(14), 4096));
	/* Ranges that overlap */
	RC(map(c, mem, AT(100), 16 * 4096));
	RC(map(c, mem, AT(100), 4096));
	RC(map(c, mem, AT(99), 4096));
	RC(map(c, mem, AT(98), 3 * 4096));
	RC(map(c, mem, AT(115), 4096));
	RC(map(c, mem, AT(116), 4096));
	RC(map(c, mem, AT(90), 100 * 4096));
	/* Both taken, and where nothing can be: taken counts */
	RC(map_full(c, 32, RW, p, 0xfedf0000, 4096 * 15));
	RC(map_full(c, 32, RW, p, 0xfedfd000, 4096 * 4));
	say_dma(&box, BASE, "first");
	say_dma(&box, AT(10), "read");
	say_dma(&box, AT(11), "write only");
	say_dma(&box, AT(107), "middle");
	say_dma(&box, AT(12), "failed");
	RC(dirty(c, 0, 0) < 0);
	RC(dirty(c, 7, VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	RC(dirty(c, 8, 8));
	RC(dirty(c, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START |
		 VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
	RC(dirty(c, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
	RC(get_dirty(c, 48, AT(100), 16, 4096, 8));
	RC(dirty(c, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	RC(dirty(c, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	RC(dirty(c, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP));
	RC(get_dirty(c, 47, AT(100), 16, 4096, 8));
	RC(get_dirty(c, 48, AT(100), 16, 4096, 0));
	RC(get_dirty(c, 48, AT(100), 16, 4096, 7));
	RC(get_dirty(c, 48, AT(100), 16, 8192, 8));
	RC(get_dirty(c, 48, AT(100) + 1, 16, 4096, 8));
	RC(get_dirty(c, 48, AT(100), 0, 4096, 8));
	RC(get_dirty(c, 48, -4096ULL, 2, 4096, 8));
	/* Parts of a mapping */
	RC(get_dirty(c, 48, AT(101), 15, 4096, 8));
	RC(get_dirty(c, 48, AT(100), 15, 4096, 8));
	/* All of it, and holes around it */
	RC(get_dirty(c, 48, AT(100), 16, 4096, 8));
	RC(get_dirty(c, 48, AT(99), 18, 4096, 8));
	RC(unmap_dirty(c, AT(100), 16, 48, 4096, 4));
	RC(unmap_dirty(c, AT(100), 16, 48, 8192, 8));
	RC(unmap_dirty(c, AT(100), 15, 48, 4096, 8));
	RC(unmap_dirty(c, AT(100), 16, 48, 4096, 8));
	RC(unmap_dirty(c, AT(100), 16, 48, 4096, 8));
	RC(dirty(c, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
	RC(get_dirty(c, 48, AT(100), 16, 4096, 8));
	RC(cmd(c, _IO(VFIO_TYPE, VFIO_BASE + 90), NULL));
	RC(cmd(c, _IO('x', 1), NULL));
	RC(unmap_all(c));
	say_dma(&box, BASE, "unmapped");
out:
	box_close(&box);
	munmap(ro, 8192);
	munmap(none, 4096);
	return rc;
}

TEST_F_TIMEOUT(container, maps_v2, 300)
{
	SAME(list_maps, TYPE1v2);
}

TEST_F_TIMEOUT(container, maps_v1, 300)
{
	SAME(list_maps, TYPE1);
}

static int list_unmaps(char *mem, unsigned long type)
{
	struct box box;
	int c, rc;

	rc = box_open(&box, type);
	if (rc)
		goto out;
	c = box.fd;
	RC(cmd(c, VFIO_IOMMU_UNMAP_DMA, NULL));
	RC(map(c, mem, BASE, 4096));
	RC(unmap_full(c, 23, 0, BASE, 4096));
	RC(unmap_full(c, 24, 8, BASE, 4096));
	RC(unmap(c, BASE, 0));
	RC(unmap(c, BASE, 1));
	RC(unmap(c, BASE, 4095));
	RC(unmap(c, BASE + 1, 4096));
	RC(unmap(c, BASE - 4096, 8192 + 1));
	RC(unmap(c, -4096ULL, 8192));
	RC(unmap(c, -4096ULL, 4096));
	RC(unmap_full(c, 24, VFIO_DMA_UNMAP_FLAG_ALL, BASE, 0));
	RC(unmap_full(c, 24, VFIO_DMA_UNMAP_FLAG_ALL, 0, 4096));
	DIFFERS(unmap_full(c, 24, VFIO_DMA_UNMAP_FLAG_VADDR, AT(50), 4096),
		-EINVAL);
	RC(unmap_dirty(c, BASE, 1, 24, 4096, 8));
	RC(unmap_dirty(c, BASE, 1, 47, 4096, 8));
	RC(unmap_dirty(c, BASE, 1, 48, 4096, 0));
	RC(unmap_dirty(c, BASE, 1, 48, 4096, 8));
	RC(unmap_dirty_flags(c, VFIO_DMA_UNMAP_FLAG_ALL, BASE, 1, 48, 4096, 8));
	RC(unmap_dirty_flags(c, VFIO_DMA_UNMAP_FLAG_VADDR, BASE, 1, 48, 4096,
			     8));
	say_dma(&box, BASE, "still there");
	RC(unmap_full(c, 25, 0, BASE, 4096));
	RC(unmap(c, BASE, 4096));
	/* Three mappings with holes, and a range across */
	RC(map(c, mem + 4096, AT(1), 4 * 4096));
	RC(map(c, mem + 5 * 4096, AT(5), 2 * 4096));
	RC(map(c, mem + 9 * 4096, AT(9), 4096));
	RC(unmap(c, AT(2), 4096));
	RC(unmap(c, AT(4), 4096));
	RC(unmap(c, AT(2), 3 * 4096));
	RC(unmap(c, AT(2), 8 * 4096));
	say_dma(&box, AT(6), "second");
	say_dma(&box, AT(9), "third");
	/* Version 1 removes what begins in the range, whole */
	RC(unmap(c, AT(0), 2 * 4096));
	RC(unmap(c, AT(5), 4096));
	say_dma(&box, AT(1), "first");
	say_dma(&box, AT(6), "second");
	RC(unmap(c, AT(7), 2 * 4096));
	RC(unmap(c, AT(0), 10 * 4096));
	RC(unmap(c, AT(0), 10 * 4096));
	say_dma(&box, AT(9), "third");
	/* A large page that is not cut */
	RC(map(c, mem, AT(512), 512 * 4096));
	RC(unmap(c, AT(600), 4096));
	RC(unmap(c, AT(1023), 8192));
	RC(unmap(c, AT(511), 8192));
	say_dma(&box, AT(600), "large");
	RC(unmap(c, AT(512), 512 * 4096));
	RC(map(c, mem, AT(20), 4096));
	RC(map(c, mem, AT(30), 4096));
	RC(unmap_all(c));
	RC(unmap_all(c));
	say_dma(&box, AT(30), "all");
out:
	box_close(&box);
	return rc;
}

TEST_F_TIMEOUT(container, unmaps_v2, 300)
{
	SAME(list_unmaps, TYPE1v2);
}

TEST_F_TIMEOUT(container, unmaps_v1, 300)
{
	SAME(list_unmaps, TYPE1);
}

/* ---- A random walk ---- */

static unsigned int seed;

static unsigned int pick(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static int list_walk(char *mem, unsigned long type)
{
	struct box box;
	int i, rc, n, at, from;

	rc = box_open(&box, type);
	if (rc)
		goto out;
	for (i = 0; i < 1500; i++) {
		at = pick(64);
		n = 1 + pick(pick(4) ? 4 : 40);
		from = pick(PAGES - n);
		switch (pick(16)) {
		case 0:
			say("%d: unmap %d, %d and a bit = %s", i, at, n,
			    outcome(unmap(box.fd, AT(at) + pick(2) * 512,
					  n * 4096 + pick(2) * 512)));
			break;
		case 1 ... 6:
			say("%d: unmap %d, %d = %s", i, at, n,
			    outcome(unmap(box.fd, AT(at), n * 4096)));
			break;
		case 7:
			if (pick(8))
				break;
			say("%d: unmap all = %d", i, unmap_all(box.fd) >= 0);
			map(box.fd, box.blank, BLANK, 4096);
			map(box.fd, box.sink, SINK, 4096);
			break;
		case 8:
			/* The calls are quick, the device is not */
			if (pick(16))
				break;
			say_dma(&box, AT(at), "walk");
			break;
		default:
			say("%d: map %d, %d = %s", i, at, n,
			    outcome(map(box.fd, mem + from * 4096, AT(at),
					n * 4096)));
		}
	}
	for (i = 0; i < 64; i += 15)
		say_dma(&box, AT(i), "end");
out:
	box_close(&box);
	return rc;
}

static unsigned int first_seed(void)
{
	const char *text = getenv("IOASID_SEED");

	return text ? strtoul(text, NULL, 0) : time(NULL);
}

static int list_seeded_walk(char *mem, unsigned long type)
{
	static unsigned int start;

	if (way == TYPE1)
		start = first_seed();
	seed = start;
	ksft_print_msg("%s: IOASID_SEED=%u\n", way_names[way], start);
	return list_walk(mem, type);
}

TEST_F_TIMEOUT(container, walk_v2, 600)
{
	SAME(list_seeded_walk, TYPE1v2);
}

TEST_F_TIMEOUT(container, walk_v1, 600)
{
	SAME(list_seeded_walk, TYPE1);
}

TEST_HARNESS_MAIN
