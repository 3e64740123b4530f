/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An emulated device, whose DMA is done by a driver of the kernel: a serial
 * port of the sample driver mtty.
 */
#ifndef __SELFTESTS_IOASID_MDEV_H
#define __SELFTESTS_IOASID_MDEV_H

#include "hw.h"

#define MDEV_UUID "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define MDEV "/sys/bus/mdev/devices/" MDEV_UUID

/* Create the device; -ENOENT if the kernel has no such driver. */
int mdev_create(void);

/* Its device file. */
int mdev_open(void);

int mdev_remove(void);

#endif /* __SELFTESTS_IOASID_MDEV_H */
