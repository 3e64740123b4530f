/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An address space with a device, made by each API that can: /dev/ioasid, iommufd,
 * VFIO type1, vhost-vdpa; and by the commands of type1 on /dev/ioasid: on its file
 * as a container, and on VFIO's with vfio_iommu_ioasid behind it. For benchmarks.
 *
 * All functions return -1 when they fail, with the reason in errno.
 */
#ifndef __SELFTESTS_IOASID_BACKEND_H
#define __SELFTESTS_IOASID_BACKEND_H

#include <stdint.h>

enum backend_id {
	IOASID, IOMMUFD, IOMMUFD_FIX, TYPE1, BACK_END, CONTAINER, VHOST,
	NR_BACKENDS
};

/* One address space that the device is attached to, on one of several paths. */
struct backend {
	const char *name;
	int (*open)(struct backend *be, const char *name);
	int (*map)(struct backend *be, uint64_t iova, void *addr,
		   uint64_t length);
	int (*unmap)(struct backend *be, uint64_t iova, uint64_t length);
	/* an address space with no device */
	int (*alloc)(int fd, uint32_t *id);
	int (*free)(int fd, uint32_t id);
	int (*attach)(struct backend *be, uint32_t id);
	const char *node;
	/* of VFIO's containers, or 0: VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU */
	unsigned long type;

	int fd;
	int device;
	int group;
	uint32_t id;
};

extern struct backend backends[NR_BACKENDS];

void backend_close(struct backend *be);

/* The op map of /dev/ioasid: @addr is one of the parent if @be->id is a child. */
int backend_map(struct backend *be, uint64_t iova, void *addr, uint64_t length);

#endif /* __SELFTESTS_IOASID_BACKEND_H */
