/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of ioasid_mock, for tests in user space. All fields are in the
 * byte order of the machine; nothing here is stable.
 *
 * There are two kinds of devices. Devices of the emulated kind have no IOMMU:
 * their driver does their DMA. Two of them exist as soon as the module is
 * loaded; their interface comes first here. Devices of the physical kind do DMA
 * themselves, through the tables of a model IOMMU, which model_abi.h describes.
 * The control node makes devices of both kinds.
 */
#ifndef _IOASID_MOCK_H
#define _IOASID_MOCK_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "model_abi.h"

/* ---- An emulated device ---- */

/*
 * It has one region, which is read and written at these offsets of its device
 * file.
 */

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

/* Maximum number of pages that one command can pin */
#define IOASID_MOCK_MAX_PAGES	512

/**
 * enum ioasid_mock_op - what a command does
 * @IOASID_MOCK_PIN: pin @length / PAGE_SIZE pages from that of @iova on, each
 *	on top of the pins that it has. All or none.
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
 * enum ioasid_mock_flags - options of a command
 * @IOASID_MOCK_PIN_WRITE: pin for writing too
 * @IOASID_MOCK_KTHREAD: from a kernel thread, which has no mm
 * @IOASID_MOCK_UNPIN_ONE: unpin only one of the pins in the range
 */
enum ioasid_mock_flags {
	IOASID_MOCK_PIN_WRITE = 1 << 0,
	IOASID_MOCK_KTHREAD = 1 << 1,
	IOASID_MOCK_UNPIN_ONE = 1 << 2,
};

/**
 * struct ioasid_mock_command - a command
 * @op: enum ioasid_mock_op
 * @flags: enum ioasid_mock_flags
 * @iova: first byte; of a page, to unpin
 * @length: bytes; whole pages, to pin and unpin
 * @offset: in the memory, to copy
 *
 * The write() fails with the errno of VFIO; with ENXIO, if a page is not pinned
 * that has to be; with EINVAL, if the command is malformed.
 */
struct ioasid_mock_command {
	__u32 op;
	__u32 flags;
	__u64 iova;
	__u64 length;
	__u64 offset;
};

/**
 * struct ioasid_mock_status - pins of the device, and calls of dma_unmap()
 * @pins: pins that it holds; a page that is pinned twice counts twice
 * @unmaps: calls of its dma_unmap() since it was opened
 * @unmap_iova: IOVA of the last call
 * @unmap_length: length of the last call
 */
struct ioasid_mock_status {
	__u64 pins;
	__u64 unmaps;
	__u64 unmap_iova;
	__u64 unmap_length;
};

/**
 * enum ioasid_mock_unmap - behaviour of dma_unmap()
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

/* ---- The control node ---- */

/*
 * For root. Ids are those of one open file and never 0.
 *
 * The close of a file unplugs its devices, in the background: the unplug of a
 * device waits until it is closed. The module cannot be removed while there are
 * devices of the physical kind.
 *
 * Errors of any command: ENOENT, no such id; EINVAL, an argument is malformed;
 * EFAULT; ENOMEM.
 */
#define IOASID_MODEL_NODE	"/dev/ioasid_mock"
#define IOASID_MODEL_TYPE	0xb7

#define IOASID_MODEL_CREATE \
	_IOWR(IOASID_MODEL_TYPE, 0, struct ioasid_model_create)
#define IOASID_MODEL_DESTROY \
	_IOW(IOASID_MODEL_TYPE, 1, struct ioasid_model_destroy)
#define IOASID_MODEL_INJECT \
	_IOW(IOASID_MODEL_TYPE, 2, struct ioasid_model_inject)
#define IOASID_MODEL_INSPECT \
	_IOWR(IOASID_MODEL_TYPE, 3, struct ioasid_model_inspect)
#define IOASID_MODEL_MEDIATE \
	_IOWR(IOASID_MODEL_TYPE, 4, struct ioasid_model_mediate)

#define IOASID_MODEL_NAME	32

/**
 * enum ioasid_model_kind - how the DMA of a device is done
 * @IOASID_MODEL_PHYSICAL: by the device, through its IOMMU
 * @IOASID_MODEL_EMULATED: by its driver, with VFIO's functions
 * @IOASID_MODEL_SHARED: by the device, through its IOMMU; a kernel driver has it,
 *	and makes mediated devices of it: IOASID_MODEL_MEDIATE
 * @IOASID_MODEL_ACCEL: the same, but the driver is that of an accelerator: see
 *	ioasid_accel.h
 */
enum ioasid_model_kind {
	IOASID_MODEL_PHYSICAL = 0,
	IOASID_MODEL_EMULATED = 1,
	IOASID_MODEL_SHARED = 2,
	IOASID_MODEL_ACCEL = 3,
};

/**
 * struct ioasid_model_create - ioctl(IOASID_MODEL_CREATE): plug in a device
 * @kind: enum ioasid_model_kind
 * @group_key: devices with equal keys, but for 0, and equal @params are in one
 *	iommu group; 0 for a group of its own
 * @id: out, for the other commands
 * @reserved: 0
 * @params: of the IOMMU that it is behind; all 0 for the emulated kind
 * @name: out, of the device, on the platform bus
 *
 * Errors: ENODEV, its driver could not make a VFIO device of it; or an error
 * that an IOMMU's driver can return when a device is plugged in.
 */
struct ioasid_model_create {
	__u32 kind;
	__u32 group_key;
	__u32 id;
	__u32 reserved;
	struct model_params params;
	char name[IOASID_MODEL_NAME];
};

/**
 * enum ioasid_model_destroy_flags - how to unplug a device
 * @IOASID_MODEL_ASYNC: do not wait until it has gone
 */
enum ioasid_model_destroy_flags {
	IOASID_MODEL_ASYNC = 1 << 0,
};

/**
 * struct ioasid_model_destroy - ioctl(IOASID_MODEL_DESTROY): unplug a device
 * @id: the device; the id ends, even if the wait is interrupted
 * @flags: enum ioasid_model_destroy_flags
 *
 * IOASID_MODEL_IRQ_REQUEST asks the process that has it open to close it; until
 * then it works.
 *
 * Errors: EINTR, a fatal signal is pending; the unplug continues in the
 * background.
 */
struct ioasid_model_destroy {
	__u32 id;
	__u32 flags;
};

/**
 * struct ioasid_model_inject - ioctl(IOASID_MODEL_INJECT): make something fail
 * @id: a device that has an IOMMU
 * @what: enum model_injection
 * @nth: the call from now on that fails: 1 is the next; 0 cancels
 * @pages: number of pages that a map or unmap does before it fails
 *
 * The failure is one of the IOMMU, for any of its devices.
 */
struct ioasid_model_inject {
	__u32 id;
	__u32 what;
	__u32 nth;
	__u32 pages;
};

/**
 * enum ioasid_model_inspect_flags - checks to do now
 * @IOASID_MODEL_LEDGER: check that all memory that the IOMMU can reach is still
 *	pinned or allocated
 */
enum ioasid_model_inspect_flags {
	IOASID_MODEL_LEDGER = 1 << 0,
};

/**
 * struct ioasid_model_inspect - ioctl(IOASID_MODEL_INSPECT): look at an IOMMU
 * @id: a device that has an IOMMU
 * @flags: enum ioasid_model_inspect_flags
 * @lost_pages: out, with IOASID_MODEL_LEDGER: pages that can be reached, and
 *	were released
 * @counters: out, the counters of the IOMMU
 * @fault: out, the last fault of the device
 */
struct ioasid_model_inspect {
	__u32 id;
	__u32 flags;
	__u64 lost_pages;
	struct model_counters counters;
	struct model_fault fault;
};

/**
 * enum ioasid_model_mediate_flags - properties of a mediated device
 * @IOASID_MODEL_COMMON: its PASIDs are the same for all such devices of a context
 */
enum ioasid_model_mediate_flags {
	IOASID_MODEL_COMMON = 1 << 0,
};

/**
 * struct ioasid_model_mediate - ioctl(IOASID_MODEL_MEDIATE): make a mediated device
 * @id: a device of the shared kind
 * @flags: enum ioasid_model_mediate_flags
 * @fd: out, its file, close-on-exec
 * @reserved: 0
 *
 * The file takes VFIO_DEVICE_BIND_IOASID_FD, VFIO_DEVICE_ATTACH_IOASID and
 * VFIO_DEVICE_DETACH_IOASID, as a device file of VFIO does, and
 * IOASID_MODEL_MEDIATED_DMA.  The device keeps its DMA by requester id.
 */
struct ioasid_model_mediate {
	__u32 id;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
};

#define IOASID_MODEL_MEDIATED_DMA \
	_IOWR(IOASID_MODEL_TYPE, 5, struct ioasid_model_mediated_dma)

/**
 * struct ioasid_model_mediated_dma - ioctl(IOASID_MODEL_MEDIATED_DMA): DMA of a
 *	mediated device
 * @vpasid: the PASID of user space; 0, that of DMA without one
 * @write: 1 to write to @address, 0 to read
 * @address: I/O address
 * @length: bytes, up to the size of a page
 * @pasid: out, the PASID that the device had on the wire.  It is for tests: a
 *	driver keeps it from user space
 * @data: pointer to the data
 * @reason: out, enum model_reason
 * @reserved: 0
 *
 * With IOASID_MODEL_COMMON, @vpasid is that of any device of the context.
 *
 * Errors: ENODEV, not bound, or the device was unplugged; ENOENT, @vpasid is not
 * attached.
 */
struct ioasid_model_mediated_dma {
	__u32 vpasid;
	__u32 write;
	__u64 address;
	__u32 length;
	__u32 pasid;
	__u64 data;
	__u32 reason;
	__u32 reserved;
};

/* ---- An accelerator ---- */

#define IOASID_MODEL_ACCEL_JOB \
	_IOWR(IOASID_MODEL_TYPE, 6, struct ioasid_model_accel_job)

/* Maximum length of a job of the kernel */
#define IOASID_MODEL_ACCEL_LENGTH	(64 << 10)

/**
 * struct ioasid_model_accel_job - ioctl(IOASID_MODEL_ACCEL_JOB): have an accelerator
 *	do a piece of work for the kernel, by requester id
 * @id: an accelerator
 * @length: bytes, a multiple of 8, up to IOASID_MODEL_ACCEL_LENGTH
 * @seed: the data are the pattern of this seed from 0 on, see ioasid_model_word()
 * @sum: out, the sum of their words, as the accelerator has read them
 *
 * Errors: EIO, it could not read them.
 */
struct ioasid_model_accel_job {
	__u32 id;
	__u32 length;
	__u64 seed;
	__u64 sum;
};

/* ---- A device of the physical kind ---- */

/*
 * Region 0, registers: each is read or written in one piece, of its own size.
 * Channel n has its registers at IOASID_MODEL_CHANNEL + n * 0x200.
 */
#define IOASID_MODEL_REGS		0
#define IOASID_MODEL_STATE		0x000	/* r: ioasid_model_state */
#define IOASID_MODEL_MEMORY_ON		0x800	/* rw: __u32, see region 1 */
#define IOASID_MODEL_CHANNEL		0x1000
#define IOASID_MODEL_CHANNEL_SIZE	0x200
#define IOASID_MODEL_CHANNELS		8
/* w: struct ioasid_model_dma, starts DMA; EBUSY while one is under way */
#define IOASID_MODEL_START		0x000
/* r: struct ioasid_model_status */
#define IOASID_MODEL_STATUS		0x080
/* w: __u32 of any value: stops the DMA, and returns when it has ended */
#define IOASID_MODEL_STOP		0x100
#define IOASID_MODEL_REGS_SIZE	\
	(IOASID_MODEL_CHANNEL + IOASID_MODEL_CHANNELS * IOASID_MODEL_CHANNEL_SIZE)

/*
 * Region 1, memory of the device: to read, write and mmap(), and a target of
 * DMA where VFIO's user can map it. A reset zaps the pages in every mmap(); the
 * next access faults them in again. While the memory is off, page faults give
 * SIGBUS, and read() and write() give EIO. The engine can access it
 * nevertheless.
 */
#define IOASID_MODEL_MEMORY		1
#define IOASID_MODEL_MEMORY_SIZE	0x40000

/* The offset of a region in the device file is its index << this. */
#define IOASID_MODEL_REGION_SHIFT	40

/**
 * enum ioasid_model_irq - interrupts of a device
 * @IOASID_MODEL_IRQ_DONE: the DMA of a channel has ended, for any reason
 * @IOASID_MODEL_IRQ_FAULT: an access faulted
 * @IOASID_MODEL_IRQ_REQUEST: the device is about to be unplugged
 *
 * Each is an index with one interrupt. VFIO_DEVICE_SET_IRQS sets its eventfd,
 * or triggers it.
 */
enum ioasid_model_irq {
	IOASID_MODEL_IRQ_DONE = 0,
	IOASID_MODEL_IRQ_FAULT = 1,
	IOASID_MODEL_IRQ_REQUEST = 2,
};

#define IOASID_MODEL_NR_IRQS	3

/**
 * enum ioasid_model_op - type of an access
 * @IOASID_MODEL_READ: copy to the device's memory at @offset
 * @IOASID_MODEL_WRITE: copy from the device's memory at @offset
 * @IOASID_MODEL_COMPARE: read, and compare with the device's memory at @offset
 * @IOASID_MODEL_FILL: write the pattern of @operand, see ioasid_model_word()
 * @IOASID_MODEL_VERIFY: read, and compare with the pattern of @operand
 * @IOASID_MODEL_FETCH_ADD: add @operand to 8 bytes, atomically
 * @IOASID_MODEL_SWAP: make 8 bytes @operand, atomically
 * @IOASID_MODEL_CAS: if 8 bytes are @compare make them @operand, atomically
 * @IOASID_MODEL_REQUEST: no access, but a page request; @operand is flags, see
 *	enum ioasid_model_request, and @compare the number of its group, below
 *	IOASID_MODEL_GROUPS. The device does not wait for the response, but may
 *	have to wait for those to earlier requests: see @prq_credits of &struct
 *	model_params
 */
enum ioasid_model_op {
	IOASID_MODEL_READ = 1,
	IOASID_MODEL_WRITE = 2,
	IOASID_MODEL_COMPARE = 3,
	IOASID_MODEL_FILL = 4,
	IOASID_MODEL_VERIFY = 5,
	IOASID_MODEL_FETCH_ADD = 6,
	IOASID_MODEL_SWAP = 7,
	IOASID_MODEL_CAS = 8,
	IOASID_MODEL_REQUEST = 9,
};

/**
 * enum ioasid_model_request - flags of a page request
 * @IOASID_MODEL_REQUEST_READ: permission to read
 * @IOASID_MODEL_REQUEST_WRITE: permission to write
 * @IOASID_MODEL_REQUEST_LAST: the request is the last one of its group, and
 *	wants a response for the group
 */
enum ioasid_model_request {
	IOASID_MODEL_REQUEST_READ = 1 << 0,
	IOASID_MODEL_REQUEST_WRITE = 1 << 1,
	IOASID_MODEL_REQUEST_LAST = 1 << 2,
};

/* Number of groups for user space; the device numbers its own from here on. */
#define IOASID_MODEL_GROUPS	256

/**
 * enum ioasid_model_dma_flags - how DMA is done
 * @IOASID_MODEL_DMA_PASID: with the PASID @pasid, otherwise by requester id
 * @IOASID_MODEL_DMA_LOOP: begin again after @count accesses, until stopped
 * @IOASID_MODEL_DMA_GO_ON: count faults and go on; otherwise all threads end
 *	with the first one
 * @IOASID_MODEL_DMA_WAIT: the write() that starts it returns when it has ended
 * @IOASID_MODEL_DMA_LIST: addresses are not @address and the following ones in
 *	steps of @stride, but @count elements of __u64 in device memory at @list
 * @IOASID_MODEL_DMA_ATS: through the TLB of the device
 * @IOASID_MODEL_DMA_PRI: request a page that is absent, and try again when it
 *	is there. Without a response for IOASID_MODEL_PATIENCE_MS the access
 *	faults; the wait until the device may send the request has no limit
 * @IOASID_MODEL_DMA_NO_SNOOP: past the caches of the CPU, if the IOMMU permits
 *	that
 */
enum ioasid_model_dma_flags {
	IOASID_MODEL_DMA_PASID = 1 << 0,
	IOASID_MODEL_DMA_LOOP = 1 << 1,
	IOASID_MODEL_DMA_GO_ON = 1 << 2,
	IOASID_MODEL_DMA_WAIT = 1 << 3,
	IOASID_MODEL_DMA_LIST = 1 << 4,
	IOASID_MODEL_DMA_ATS = 1 << 5,
	IOASID_MODEL_DMA_PRI = 1 << 6,
	IOASID_MODEL_DMA_NO_SNOOP = 1 << 7,
};

#define IOASID_MODEL_MAX_THREADS	16
#define IOASID_MODEL_PATIENCE_MS	2000

/**
 * struct ioasid_model_dma - DMA of a channel
 * @op: enum ioasid_model_op
 * @flags: enum ioasid_model_dma_flags
 * @pasid: with IOASID_MODEL_DMA_PASID
 * @threads: number of threads that each do all of it, 1 to 16
 * @address: I/O address of the first access
 * @length: bytes of each access, up to the size of the memory; 8 for atomic
 *	ones. A multiple of 8, as addresses are then, for patterns
 * @stride: from one address to the next; 0 for the same again
 * @count: accesses of each thread, not 0
 * @offset: in device memory, for READ, WRITE and COMPARE
 * @operand: see enum ioasid_model_op
 * @compare: see enum ioasid_model_op
 * @list: offset in device memory, with IOASID_MODEL_DMA_LIST
 */
struct ioasid_model_dma {
	__u32 op;
	__u32 flags;
	__u32 pasid;
	__u32 threads;
	__u64 address;
	__u64 length;
	__u64 stride;
	__u64 count;
	__u64 offset;
	__u64 operand;
	__u64 compare;
	__u64 list;
};

/**
 * enum ioasid_model_run - state of a channel
 * @IOASID_MODEL_IDLE: no DMA since the device was opened or reset
 * @IOASID_MODEL_RUNNING: DMA is under way
 * @IOASID_MODEL_DONE: the DMA is complete
 * @IOASID_MODEL_STOPPED: the DMA was stopped, or the device was reset
 * @IOASID_MODEL_FAULTED: a fault ended the DMA
 */
enum ioasid_model_run {
	IOASID_MODEL_IDLE = 0,
	IOASID_MODEL_RUNNING = 1,
	IOASID_MODEL_DONE = 2,
	IOASID_MODEL_STOPPED = 3,
	IOASID_MODEL_FAULTED = 4,
};

/**
 * struct ioasid_model_status - result of the DMA of a channel
 * @run: enum ioasid_model_run
 * @fault: enum model_reason of the first fault, or 0; MODEL_PAGE_REQUEST: a
 *	requested page did not come
 * @fault_addr: I/O address of the first fault
 * @done: accesses that were done in full
 * @faults: accesses that faulted
 * @mismatches: accesses that found other contents than expected
 * @mismatch_addr: I/O address of the first byte of the first mismatch
 * @expected: the expected 8 bytes around there
 * @found: the 8 bytes that were found
 * @result: the value before the last atomic access
 */
struct ioasid_model_status {
	__u32 run;
	__u32 fault;
	__u64 fault_addr;
	__u64 done;
	__u64 faults;
	__u64 mismatches;
	__u64 mismatch_addr;
	__u64 expected;
	__u64 found;
	__u64 result;
};

/**
 * enum ioasid_model_response_code - code of a response to a page request
 * @IOASID_MODEL_SUCCESS: try again
 * @IOASID_MODEL_INVALID: the page will not come
 * @IOASID_MODEL_FAILURE: send no more requests
 */
enum ioasid_model_response_code {
	IOASID_MODEL_SUCCESS = 0,
	IOASID_MODEL_INVALID = 1,
	IOASID_MODEL_FAILURE = 2,
};

/**
 * struct ioasid_model_response - a response to a page request
 * @pasid: the PASID, or MODEL_NO_PASID
 * @group: the number of its group
 * @code: enum ioasid_model_response_code
 * @reserved: 0
 */
struct ioasid_model_response {
	__u32 pasid;
	__u32 group;
	__u32 code;
	__u32 reserved;
};

#define IOASID_MODEL_LOG	32

/**
 * struct ioasid_model_state - events of a device since it was opened
 * @resets: number of resets
 * @irqs: number of times each interrupt was raised, with or without an eventfd
 * @memory_faults: pages of its memory that were faulted in to mappings
 * @requests: page requests that it sent
 * @unsent: page requests that the IOMMU did not take
 * @responses: responses that came, by enum ioasid_model_response_code
 * @unexpected: responses among them to groups that expected none
 * @waits: page requests that had to wait for a credit, see &model_params
 * @nr_log: number of elements of @log that are filled
 * @reserved: 0
 * @log: the last responses, latest first
 */
struct ioasid_model_state {
	__u64 resets;
	__u64 irqs[IOASID_MODEL_NR_IRQS];
	__u64 memory_faults;
	__u64 requests;
	__u64 unsent;
	__u64 responses[3];
	__u64 unexpected;
	__u64 waits;
	__u32 nr_log;
	__u32 reserved;
	struct ioasid_model_response log[IOASID_MODEL_LOG];
};

/* The word of the pattern @seed that belongs at the I/O address @addr. */
static inline __u64 ioasid_model_word(__u64 seed, __u64 addr)
{
	__u64 word = (addr >> 3) + seed * 0x9e3779b97f4a7c15ULL;

	word ^= word >> 31;
	return word * 0xbf58476d1ce4e5b9ULL + 1;
}

#endif /* _IOASID_MOCK_H */
