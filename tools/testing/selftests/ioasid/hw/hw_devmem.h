/* SPDX-License-Identifier: GPL-2.0 */
/* Memory of a device, as tests map it for other devices. */
#ifndef HW_DEVMEM_H
#define HW_DEVMEM_H

#include "ioasid_test.h"
#include "dut.h"

#define CMB_BAR 2
#define CMB_LEN (64 * page_size)

/* Map the memory once more; NULL if that fails. */
static inline char *map_memory(struct dut *peer, int prot)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = CMB_BAR,
	};
	char *p;

	if (ioctl(peer->fd, VFIO_DEVICE_GET_REGION_INFO, &info) ||
	    info.size < CMB_LEN)
		return NULL;
	p = mmap(NULL, CMB_LEN, prot, MAP_SHARED, peer->fd, info.offset);
	return p == MAP_FAILED ? NULL : p;
}

static inline int set_memory(struct dut *peer, bool on)
{
	__u16 command;
	int rc;

	rc = vfio_pci_read_config(peer->fd, 4, &command, sizeof(command));
	command = on ? command | 2 : command & ~2;
	return rc ? rc : vfio_pci_write_config(peer->fd, 4, &command,
					       sizeof(command));
}

/* Whether any device memory of an IOASID is revoked. */
static inline int revoked(int ctx, __u32 id)
{
	struct ioasid_info info;

	if (ia_info(ctx, id, &info))
		return -1;
	return !!(info.state & IOASID_STATE_REVOKED);
}

#endif /* HW_DEVMEM_H */
