/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of the model devices, for user space that tests with them.
 *
 * A device has one region, which is read and written at these offsets of its
 * device file. All fields are in the byte order of the machine.
 */
#ifndef _IOASID_MOCK_H
#define _IOASID_MOCK_H

#include <linux/types.h>

/* Write a struct ioasid_mock_command: it is executed before write() returns */
#define IOASID_MOCK_COMMAND	0x000
/* Read a struct ioasid_mock_status */
#define IOASID_MOCK_STATUS	0x100
/* Read or write a struct ioasid_mock_manners */
#define IOASID_MOCK_MANNERS	0x200
/* The memory of the device, to read and write in any size */
#define IOASID_MOCK_MEMORY	0x10000
#define IOASID_MOCK_MEMORY_SIZE	0x10000
#define IOASID_MOCK_REGION_SIZE	(IOASID_MOCK_MEMORY + IOASID_MOCK_MEMORY_SIZE)

/* Pages that one command can pin */
#define IOASID_MOCK_MAX_PAGES	512

/**
 * enum ioasid_mock_op - what a command does
 * @IOASID_MOCK_PIN: pin @length / PAGE_SIZE pages from @iova on, each on top of
 *	the pins that it has. All or none.
 * @IOASID_MOCK_UNPIN: drop all pins of the pages in the range
 * @IOASID_MOCK_READ: copy from @iova to the memory, with no pin
 * @IOASID_MOCK_WRITE: copy from the memory to @iova, with no pin
 * @IOASID_MOCK_READ_PINNED: copy from @iova to the memory, by the pinned pages,
 *	whatever is mapped there now
 * @IOASID_MOCK_WRITE_PINNED: copy from the memory to @iova, by the pinned pages
 */
enum ioasid_mock_op {
	IOASID_MOCK_PIN = 1,
	IOASID_MOCK_UNPIN = 2,
	IOASID_MOCK_READ = 3,
	IOASID_MOCK_WRITE = 4,
	IOASID_MOCK_READ_PINNED = 5,
	IOASID_MOCK_WRITE_PINNED = 6,
};

/**
 * enum ioasid_mock_flags - how it does it
 * @IOASID_MOCK_PIN_WRITE: pin for writing too
 * @IOASID_MOCK_KTHREAD: from a kernel thread, which has no mm
 */
enum ioasid_mock_flags {
	IOASID_MOCK_PIN_WRITE = 1 << 0,
	IOASID_MOCK_KTHREAD = 1 << 1,
};

/**
 * struct ioasid_mock_command - a command
 * @op: enum ioasid_mock_op
 * @flags: enum ioasid_mock_flags
 * @iova: first byte; of a page, to pin and unpin
 * @length: bytes; whole pages, to pin and unpin
 * @offset: in the memory, to copy
 *
 * The write() fails with what VFIO says; with ENXIO when a page is not pinned
 * that has to be; with EINVAL when the command is malformed.
 */
struct ioasid_mock_command {
	__u32 op;
	__u32 flags;
	__u64 iova;
	__u64 length;
	__u64 offset;
};

/**
 * struct ioasid_mock_status - what the device has, and what became of it
 * @pins: pins that it holds; a page that is pinned twice counts twice
 * @unmaps: calls of its dma_unmap() since it was opened
 * @unmap_iova: of the last one
 * @unmap_length: of the last one
 */
struct ioasid_mock_status {
	__u64 pins;
	__u64 unmaps;
	__u64 unmap_iova;
	__u64 unmap_length;
};

/**
 * enum ioasid_mock_unmap - how dma_unmap() takes it
 * @IOASID_MOCK_UNMAP_NOW: unpins before it returns, as it must
 * @IOASID_MOCK_UNMAP_LATE: returns, and unpins later
 * @IOASID_MOCK_UNMAP_NEVER: does not unpin
 */
enum ioasid_mock_unmap {
	IOASID_MOCK_UNMAP_NOW = 0,
	IOASID_MOCK_UNMAP_LATE = 1,
	IOASID_MOCK_UNMAP_NEVER = 2,
};

/**
 * struct ioasid_mock_manners - how the device behaves
 * @unmap: enum ioasid_mock_unmap
 * @delay_ms: milliseconds until dma_unmap() unpins, up to 60000; with
 *	IOASID_MOCK_UNMAP_NOW it does not return before
 *
 * All 0 when the device is opened. A device with other manners than
 * IOASID_MOCK_UNMAP_NOW must not be detached with pins.
 */
struct ioasid_mock_manners {
	__u32 unmap;
	__u32 delay_ms;
};

#endif /* _IOASID_MOCK_H */
