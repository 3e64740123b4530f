// SPDX-License-Identifier: GPL-2.0-only
/*
 * An "edu" device of QEMU copies between pages of this process, in a guest that
 * has the device from its host: whether its DMA reaches the memory of the guest.
 *
 *	guest_edu [-w] DEVICE
 *	  -w when the copies were right, copy on and on, until killed or one is wrong
 *
 * In a guest with an IOMMU the device is on an IOASID there. In one without, VFIO
 * gives it to root with no protection, and its addresses are physical ones.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend.h"
#include "edu.h"
#include "hw.h"

#define UNSAFE "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define IOVA 0x40000000ULL
#define NR_PAGES 4
#define PAGE 4096ULL

static void die(const char *what)
{
	fprintf(stderr, "guest_edu: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool have_iommu(const char *device)
{
	char path[128];

	snprintf(path, sizeof(path), HW_PCI "%s/iommu", device);
	return !access(path, F_OK);
}

/* Some IOMMUs take a device when its driver probes it, and not before */
static void take(const char *device)
{
	if (!hw_take(device))
		return;
	if (!have_iommu(device) && hw_write_file(UNSAFE, "1"))
		die(UNSAFE);
	if (hw_take(device))
		die(device);
}

/* The device of a group that has no IOMMU */
static int open_unsafe(const char *device)
{
	int container, group, number = hw_group(device);
	char path[64];

	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (number < 0 || container < 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%d", number);
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0 || hw_set_container(group, container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU))
		return -1;
	return hw_group_device(group, device);
}

/* The physical address of a page that stays where it is */
static uint64_t physical(const void *page)
{
	uint64_t entry = 0;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 ||
	    pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * 8) != 8)
		die("pagemap");
	close(fd);
	if (!(entry >> 63))
		die("a page is not there");
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/* Copy page @from to page @to by the device, and compare */
static int copy(struct edu *edu, char *mem, const uint64_t *iova,
		unsigned int from, unsigned int to, unsigned int seed)
{
	char *a = mem + from * PAGE, *b = mem + to * PAGE;
	unsigned int i;

	for (i = 0; i < EDU_MAX; i++)
		a[i] = seed + i * 7 + i / 256;
	memset(b, 0, PAGE);
	if (edu_load(edu, iova[from], 0, EDU_MAX) ||
	    edu_store(edu, iova[to], 0, EDU_MAX))
		die("the transfer does not end");
	return memcmp(a, b, EDU_MAX) || b[EDU_MAX];
}

int main(int argc, char **argv)
{
	struct backend *be = &backends[IOASID];
	bool wait = false, iommu;
	uint64_t iova[NR_PAGES];
	const char *device;
	unsigned int i;
	struct edu edu;
	char *mem;
	int fd;

	while ((i = getopt(argc, argv, "w")) != -1U) {
		if (i != 'w')
			return 2;
		wait = true;
	}
	device = argv[optind];
	if (!device || argc > optind + 1) {
		fprintf(stderr, "usage: guest_edu [-w] DEVICE\n");
		return 2;
	}
	mem = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1,
		   0);
	if (mem == MAP_FAILED)
		die("mmap");

	take(device);
	iommu = have_iommu(device);
	if (iommu && (be->open(be, device) ||
		      be->map(be, IOVA, mem, NR_PAGES * PAGE)))
		die("/dev/ioasid");
	fd = iommu ? be->device : open_unsafe(device);
	if (fd < 0)
		die("no device without an IOMMU");
	for (i = 0; i < NR_PAGES; i++)
		iova[i] = iommu ? IOVA + i * PAGE : physical(mem + i * PAGE);
	if (edu_open(&edu, fd))
		die("edu");

	for (i = 1; i < NR_PAGES; i++) {
		if (copy(&edu, mem, iova, i - 1, i, i * 31)) {
			fprintf(stderr, "guest_edu: other bytes than those that were sent\n");
			return 1;
		}
	}
	printf("%u copies of %u bytes, %s\n", NR_PAGES - 1, EDU_MAX,
	       iommu ? "by IOVA" : "by physical address");
	fflush(stdout);
	for (i = 0; wait; i++) {
		if (copy(&edu, mem, iova, 0, 1, i)) {
			fprintf(stderr, "guest_edu: other bytes in copy %u\n", i);
			return 1;
		}
	}
	return 0;
}
