/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vDPA devices, and their files of vhost-vdpa, for the tests and the benchmark of
 * /dev/ioasid.
 *
 * All functions return a negative errno when they fail.
 */
#ifndef __SELFTESTS_IOASID_VDPA_H
#define __SELFTESTS_IOASID_VDPA_H

#include <stdbool.h>

#include <linux/ioasid.h>
#include <linux/vhost.h>

#include "hw.h"
#include "vhost_ioasid.h"

/*
 * Load the simulators of the kernel, with these parameters of vdpa_sim; those that
 * are loaded with others are unloaded first, with their devices. -ENOENT if the
 * kernel has none.
 */
int vdpa_load(bool batch_mapping, bool use_va);

/*
 * Have a management device make a device, or remove it. @parent is "vdpasim_net",
 * "vdpasim_blk", or the address of a PCI device that vp_vdpa drives, with the bus:
 * "pci/0000:00:0a.0".
 */
int vdpa_add(const char *parent, const char *name);
int vdpa_del(const char *name);

/* Whether there is a device of this name. */
bool vdpa_exists(const char *name);

/* The file that vhost-vdpa has for the device. */
int vdpa_open(const char *name);

/* PCI devices of virtio that are of the type (VIRTIO_ID_*), as hw_find() */
int vdpa_find_pci(unsigned int type, char names[][HW_NAME], int max);

/* Give a PCI device to vp_vdpa, and add a vDPA device of that name. */
int vdpa_take_pci(const char *pci, const char *name);
int vdpa_give_back_pci(const char *pci, const char *name);

/* The commands of /dev/ioasid on the file */
int vdpa_bind_full(int fd, int ctx, __u32 ioasid, __u64 cookie, __u32 *devid,
		   __u64 *fault_addr);
int vdpa_bind(int fd, int ctx, __u64 cookie, __u32 *devid);
int vdpa_attach_full(int fd, __u32 flags, __u32 asid, __u32 ioasid,
		     __u64 *fault_addr);
int vdpa_detach_full(int fd, __u32 flags, __u32 asid, __u32 ioasid);

/* Address space 0, named by no flag */
int vdpa_attach(int fd, __u32 ioasid);
int vdpa_detach(int fd, __u32 ioasid);

/* Any address space, named by the flag */
int vdpa_attach_asid(int fd, __u32 asid, __u32 ioasid);
int vdpa_detach_asid(int fd, __u32 asid, __u32 ioasid);

/* A message to the IOTLB of vhost-vdpa; @type is VHOST_IOTLB_* */
int vdpa_message(int fd, unsigned int type, __u32 asid, __u64 iova, __u64 size,
		 const void *addr, unsigned int perm);

/* Map @size bytes at @addr for reading and writing, and unmap, by a message */
int vdpa_map(int fd, __u32 asid, __u64 iova, const void *addr, __u64 size);
int vdpa_unmap(int fd, __u32 asid, __u64 iova, __u64 size);

#endif /* __SELFTESTS_IOASID_VDPA_H */
