// SPDX-License-Identifier: GPL-2.0-only
/*
 * container WAY BDF - drive an edu device of QEMU through /dev/vfio/vfio, as a program
 * does that knows VFIO's type 1 alone: one part of it opens the container, another
 * finds it among the open files by the name of their links in /proc/self/fd, as
 * SPDK does, and maps memory by it.
 *
 * WAY is the server of /dev/vfio/vfio that is expected:
 *	type1	VFIO's own back end
 *	ioasid	the back end on /dev/ioasid
 *	file	the file of /dev/ioasid
 * and the last two also answer the commands of /dev/ioasid on the container's file: a
 * child of what was mapped, to which the group moves; and memory of the device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libioasid.h>
#include <limits.h>
#include <linux/ioasid.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef VFIO_DEVICE_ATTACH_IOASID
#define VFIO_DEVICE_ATTACH_IOASID _IO(VFIO_TYPE, VFIO_BASE + 24)
#endif

#define NODE "/dev/vfio/vfio"
#define SIZE (2UL << 20)
#define IOVA 0x10000000UL
#define CHILD_IOVA 0x40000000UL
#define BAR_IOVA 0x20000000UL

/* The device has 4 KiB of memory of its own */
#define EDU_BUFFER 0x40000UL
#define EDU_FROM 0x80
#define EDU_TO 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98
#define EDU_RUN 1
#define EDU_STORE 2

static volatile char *regs;
static int group, device;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

#define CHECK(condition) do {			\
	if (!(condition))			\
		die(#condition);		\
} while (0)

/* One part: open container, group and device */
static void open_all(const char *bdf)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	CHECK(n > 0);
	link[n] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	fd = open(NODE, O_RDWR);
	CHECK(fd >= 0);
	CHECK(ioctl(fd, VFIO_GET_API_VERSION) == VFIO_API_VERSION);
	CHECK(ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) > 0);
	group = open(path, O_RDWR);
	CHECK(group >= 0);
	CHECK(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &fd));
	CHECK(!ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	CHECK(device >= 0);
}

/* The other part: find the container */
static int find_container(void)
{
	struct dirent *entry;
	char link[PATH_MAX];
	int found = -1;
	ssize_t n;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	CHECK(dir);
	while ((entry = readdir(dir))) {
		n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (!strcmp(link, NODE))
			found = atoi(entry->d_name);
	}
	closedir(dir);
	return found;
}

static void open_registers(void)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t word;

	CHECK(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar));
	CHECK(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config));
	CHECK(pread(device, &word, 2, config.offset + 4) == 2);
	/* Memory, and bus mastering */
	word |= 6;
	CHECK(pwrite(device, &word, 2, config.offset + 4) == 2);
	regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		    bar.offset);
	CHECK(regs != MAP_FAILED);
}

static void transfer(uint64_t from, uint64_t to, uint64_t command)
{
	*(volatile uint64_t *)(regs + EDU_FROM) = from;
	*(volatile uint64_t *)(regs + EDU_TO) = to;
	*(volatile uint64_t *)(regs + EDU_COUNT) = 64;
	*(volatile uint64_t *)(regs + EDU_COMMAND) = command | EDU_RUN;
	while (*(volatile uint64_t *)(regs + EDU_COMMAND) & EDU_RUN)
		usleep(1000);
}

/* The device copies @text, which is at @iova, to the next page: is it there? */
static int copies(char *mem, uint64_t iova, const char *text)
{
	memset(mem, 0, 8192);
	strcpy(mem, text);
	transfer(iova, EDU_BUFFER, 0);
	transfer(EDU_BUFFER, iova + 4096, EDU_STORE);
	return !strcmp(mem + 4096, text);
}

/* The flags of the mapping at @iova */
static __u32 query(int fd, __u32 ioasid, __u64 iova)
{
	struct ioasid_query_entry entry = { 0 };
	struct ioasid_query_map arg = {
		.argsz = sizeof(arg),
		.ioasid = ioasid,
		.nr = 1,
		.start = iova,
		.entries = (uintptr_t)&entry,
	};

	CHECK(!ioctl(fd, IOASID_QUERY_MAP, &arg));
	CHECK(arg.nr == 1 && entry.iova == iova);
	return entry.flags;
}

static void commands_of_ioasid(int fd, bool file, char *mem)
{
	struct ioasid_vfio_ioasid which = { .argsz = sizeof(which) };
	struct ioasid_vfio_attach_group move = { .argsz = sizeof(move) };
	struct ioasid_device_attach attach = { .argsz = sizeof(attach) };
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)regs,
		.iova = BAR_IOVA,
		.size = 4096,
	};
	__u32 flags = IOASID_MAP_READ | IOASID_MAP_WRITE | IOASID_MAP_FIXED;
	__u64 iova = CHILD_IOVA, removed;
	struct ioasid_info info;
	__u32 child;

	CHECK(!ioctl(fd, IOASID_VFIO_IOASID, &which) && which.ioasid);
	CHECK(!ioasid_get_info(fd, which.ioasid, &info, NULL, 0));
	CHECK(info.bytes_mapped == SIZE);
	CHECK(!ioasid_alloc_child(fd, which.ioasid, 0, &child));
	CHECK(!ioasid_map_parent(fd, child, IOVA, 8192, flags, &iova));
	if (file) {
		attach.ioasid = child;
		CHECK(!ioctl(device, VFIO_DEVICE_ATTACH_IOASID, &attach));
	} else {
		move.group_fd = group;
		move.ioasid = child;
		CHECK(!ioctl(fd, IOASID_VFIO_ATTACH_GROUP, &move));
	}
	CHECK(copies(mem, CHILD_IOVA, "by the child"));
	CHECK(!copies(mem, IOVA, "by the parent"));
	move.ioasid = which.ioasid;
	attach.ioasid = which.ioasid;
	if (file)
		CHECK(!ioctl(device, VFIO_DEVICE_ATTACH_IOASID, &attach));
	else
		CHECK(!ioctl(fd, IOASID_VFIO_ATTACH_GROUP, &move));
	CHECK(copies(mem, IOVA, "by the parent again"));
	CHECK(!ioasid_unmap(fd, child, CHILD_IOVA, 8192, &removed));
	CHECK(removed == 8192);
	CHECK(!ioasid_free(fd, child));

	/* Memory of the device is mapped until it is revoked, here by munmap() */
	CHECK(!ioctl(fd, VFIO_IOMMU_MAP_DMA, &map));
	CHECK(query(fd, which.ioasid, BAR_IOVA) ==
	      (IOASID_MAP_READ | IOASID_MAP_WRITE | IOASID_QUERY_ADDR));
	CHECK(!munmap((void *)regs, 4096));
	CHECK(query(fd, which.ioasid, BAR_IOVA) & IOASID_QUERY_REVOKED);
	CHECK(!ioasid_unmap(fd, which.ioasid, BAR_IOVA, 4096, &removed));
	CHECK(removed == 4096);
}

int main(int argc, char **argv)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = IOVA,
		.size = SIZE,
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = IOVA,
		.size = SIZE,
	};
	bool type1, file;
	int fd;
	char *mem;

	if (argc != 3)
		return 2;
	type1 = !strcmp(argv[1], "type1");
	file = !strcmp(argv[1], "file");
	open_all(argv[2]);
	fd = find_container();
	CHECK(fd >= 0);
	open_registers();
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	map.vaddr = (uintptr_t)mem;
	CHECK(!ioctl(fd, VFIO_IOMMU_MAP_DMA, &map));
	CHECK(copies(mem, IOVA, "by what type 1 mapped"));
	if (type1) {
		struct ioasid_vfio_ioasid which = { .argsz = sizeof(which) };

		CHECK(ioctl(fd, IOASID_VFIO_IOASID, &which) < 0);
		CHECK(errno == ENOTTY);
	} else {
		bool known = ioctl(device, VFIO_DEVICE_ATTACH_IOASID, NULL) < 0 &&
			     errno == EFAULT;

		/* The device file knows the command where the file is the container */
		CHECK(known == file);
		commands_of_ioasid(fd, file, mem);
	}
	CHECK(!ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &unmap));
	CHECK(unmap.size == SIZE);
	printf("%s: %s is open as %d\n", argv[1], NODE, fd);
	return 0;
}
