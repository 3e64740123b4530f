/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Emulated devices whose driver, ioasid_mock, does DMA as a test says.
 *
 * All functions return a negative errno when they fail.
 */
#ifndef __SELFTESTS_IOASID_MOCK_H
#define __SELFTESTS_IOASID_MOCK_H

#include "hw.h"
#include "ioasid_mock.h"

/* Load the module; -ENOENT if the kernel has no such driver. */
int mock_load(void);

/* The device file of the @nth one. */
int mock_open(int nth);

/* The file of its VFIO group, which has no other device */
int mock_open_group(int nth);

int mock_access(int fd, bool write, __u64 at, void *data, size_t length);
int mock_command(int fd, __u32 op, __u32 flags, __u64 iova, __u64 length,
		 __u64 offset);
int mock_pin(int fd, __u64 iova, __u64 length);
int mock_unpin(int fd, __u64 iova, __u64 length);

/* One of the pins of the page */
int mock_unpin_one(int fd, __u64 iova);

struct ioasid_mock_status mock_status(int fd);
int mock_behave(int fd, __u32 unmap, __u32 delay_ms);

/* Read at @iova by one of the two reading operations; at most 64 KiB. */
int mock_get(int fd, __u32 op, __u32 flags, __u64 iova, void *data,
	     size_t length);

/* Write to @iova by one of the two writing operations. */
int mock_put(int fd, __u32 op, __u32 flags, __u64 iova, const void *data,
	     size_t length);

#endif /* __SELFTESTS_IOASID_MOCK_H */
