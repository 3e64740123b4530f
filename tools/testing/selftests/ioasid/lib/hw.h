/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI devices under VFIO, for the tests and the benchmark of /dev/ioasid that
 * have a device do DMA. Devices are named by their address ("0000:00:06.0").
 *
 * All functions return a negative errno when they fail.
 */
#ifndef __SELFTESTS_IOASID_HW_H
#define __SELFTESTS_IOASID_HW_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <linux/ioasid.h>
#include <linux/vfio.h>

#include "vfio_ioasid.h"

#define HW_PCI "/sys/bus/pci/devices/"

/* Room for the address of a device. */
#define HW_NAME 16

/* Ids of the devices; 0 stands for any. */
struct hw_id {
	unsigned int vendor;
	unsigned int device;
	unsigned int class;
};

extern const struct hw_id hw_edu;
extern const struct hw_id hw_nvme;
extern const struct hw_id hw_e1000e;

int hw_read_file(const char *path, char *buf, size_t size);
int hw_write_file(const char *path, const char *text);
unsigned long hw_attribute(const char *name, const char *file);

/* The addresses of up to @max such devices, sorted; returns how many. */
int hw_find(const struct hw_id *id, char names[][HW_NAME], int max);

bool hw_has_driver(const char *name, const char *driver);

/* Bind the device to @driver, or with NULL to any driver that matches. */
int hw_set_driver(const char *name, const char *driver);

/* Bind the device to vfio-pci, and back to its driver. */
int hw_take(const char *name);

int hw_give_back(const char *name);

/* The number of the device's iommu group. */
int hw_group(const char *name);

/* Whether a device can be opened without its group: CONFIG_VFIO_DEVICE_CDEV. */
bool hw_have_cdevs(void);

#define HW_NO_CDEVS	"this VFIO has no files of devices without groups"

/*
 * Open the file in the folder @nodes, which ends with a slash, of the first child of a
 * device's folder in sysfs that has a name with @prefix. -ENODEV: there is none.
 */
int hw_open_child(const char *device, const char *prefix, const char *nodes);

/* The character device of a device that vfio-pci drives. */
int hw_open_cdev(const char *name);

/*
 * A device to be bound, for tests that use it through any file. Where VFIO has
 * no files of devices without groups, the directory of the device stands for
 * the file until hw_bind_full(): a group gives one out only for a context.
 */
int hw_open_device(const char *name);

/* The VFIO group of the device; only one file of it can be open. */
int hw_open_group(const char *name);

/* The same of any device, by its directory in sysfs */
int hw_group_at(const char *device);
int hw_open_group_at(const char *device);

/* The device of a group that has a container. */
int hw_group_device(int group, const char *name);

int hw_set_container(int group, int container);
int hw_bind_full(int device, int fd, __u32 ioasid, __u64 cookie, __u32 *devid,
		 __u64 *fault_addr);
int hw_bind(int device, int fd, __u64 cookie, __u32 *devid);
int hw_attach_full(int device, __u32 ioasid, __u64 *fault_addr);
int hw_attach(int device, __u32 ioasid);
int hw_detach(int device, __u32 ioasid);

#endif /* __SELFTESTS_IOASID_HW_H */
