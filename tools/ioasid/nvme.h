/* SPDX-License-Identifier: LGPL-2.1-only OR MIT */
/*
 * A small NVMe driver in user space, on a VFIO device file.
 *
 * It neither maps nor allocates memory for DMA: the caller gives it one piece
 * of mapped memory for its queues, and IOVAs as buffers. So it works with any
 * API for address spaces, and tests can pass wrong IOVAs.
 *
 * Queue 0 is the admin queue, I/O queues count from 1.  Different queues may be
 * used by different threads, one queue by one thread only.
 *
 * Every call returns 0 or -errno, unless its comment says otherwise. Errors
 * that any of them may return: -ENODEV, the controller is gone; -EIO, it
 * reports to be in a fatal state.
 */
#ifndef NVME_H
#define NVME_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#define NVME_PAGE		4096u
#define NVME_MAX_IO_QUEUES	4
#define NVME_QUEUE_DEPTH	64
/* A command moves this much at most, or less if the controller says so. */
#define NVME_MAX_TRANSFER	0x100000u

enum nvme_opcode {
	NVME_FLUSH = 0x00,
	NVME_WRITE = 0x01,
	NVME_READ = 0x02,
	/* on the admin queue */
	NVME_ADMIN_DELETE_SQ = 0x00,
	NVME_ADMIN_CREATE_SQ = 0x01,
	NVME_ADMIN_DELETE_CQ = 0x04,
	NVME_ADMIN_CREATE_CQ = 0x05,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
};

/* Status that nvme_wait() returns: status code type and status code. */
enum nvme_status {
	NVME_OK = 0x000,
	NVME_INVALID_FIELD = 0x002,
	NVME_DATA_TRANSFER_ERROR = 0x004,
	NVME_INTERNAL_ERROR = 0x006,
	NVME_ABORTED = 0x007,
	NVME_LBA_RANGE = 0x080,
};

/* A submission queue entry. */
struct nvme_sqe {
	__u8 opcode;
	__u8 flags;
	__u16 cid;
	__u32 nsid;
	__u32 cdw2;
	__u32 cdw3;
	__u64 metadata;
	__u64 prp1;
	__u64 prp2;
	__u32 cdw10;
	__u32 cdw11;
	__u32 cdw12;
	__u32 cdw13;
	__u32 cdw14;
	__u32 cdw15;
};

/* A completion queue entry. */
struct nvme_cqe {
	__u32 result;
	__u32 reserved;
	__u16 sq_head;
	__u16 sq_id;
	__u16 cid;
	__u16 status;
};

/* A command as the driver sees it; its index is the command id. */
struct nvme_slot {
	enum { NVME_SLOT_FREE, NVME_SLOT_SENT, NVME_SLOT_DONE } state;
	__u16 status;
	__u32 result;
};

struct nvme_queue {
	unsigned int id;
	unsigned int sq_tail;
	unsigned int cq_head;
	unsigned int phase;
	unsigned int used;
	unsigned int next_cid;
	int eventfd;
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	__u64 *prp_lists;
	__u64 sq_iova;
	__u64 cq_iova;
	__u64 prp_iova;
	struct nvme_slot slots[NVME_QUEUE_DEPTH];
};

/**
 * struct nvme - a controller
 * @nr_io_queues: how many I/O queues there are; they count from 1
 * @timeout_ms: for commands that the driver itself sends and waits for
 * @nsid: id of the namespace: the first one there is
 * @block_size: of the namespace, in bytes
 * @nr_blocks: of the namespace
 * @max_transfer: what one command can move, in bytes
 * @serial: serial number of the controller
 * @model: its model
 * @firmware: its firmware revision
 *
 * Other fields are internal.
 */
struct nvme {
	unsigned int nr_io_queues;
	unsigned int timeout_ms;
	__u32 nsid;
	__u32 block_size;
	__u64 nr_blocks;
	__u32 max_transfer;
	char serial[21];
	char model[41];
	char firmware[9];

	int fd;
	bool irqs;
	void *regs;
	__u64 regs_size;
	unsigned int doorbell_stride;
	unsigned int ready_ms;
	void *data;
	__u64 data_iova;
	struct nvme_queue queues[1 + NVME_MAX_IO_QUEUES];
};

enum nvme_flags {
	/* Do not use interrupts but look at the completion queues. */
	NVME_POLL = 1 << 0,
};

/**
 * nvme_mem_size - compute how much memory nvme_start() needs
 * @nr_io_queues: how many I/O queues, at most NVME_MAX_IO_QUEUES
 *
 * Return: bytes, whole pages.
 */
size_t nvme_mem_size(unsigned int nr_io_queues);

/**
 * nvme_start - reset and enable a controller, and identify its first namespace
 * @nvme: out
 * @fd: the VFIO device file; its device is attached to an address space
 * @mem: memory for the driver's queues, page aligned
 * @iova: where the device finds that memory; it reads and writes it
 * @nr_io_queues: how many I/O queues, each with an interrupt of its own if the
 *	controller has enough. The controller may grant fewer queues.
 * @flags: enum nvme_flags
 *
 * Errors: -ETIMEDOUT, the controller does not get ready or does not answer;
 * -EOPNOTSUPP, it cannot do what this driver needs; -EPROTO, it failed a
 * command.
 */
int nvme_start(struct nvme *nvme, int fd, void *mem, __u64 iova,
	       unsigned int nr_io_queues, unsigned int flags);

/**
 * nvme_stop - disable the controller, and undo nvme_start()
 * @nvme: the controller
 *
 * When this returns, the device does no more DMA. Does nothing after a failed
 * nvme_start().
 */
void nvme_stop(struct nvme *nvme);

/**
 * nvme_reset - reset the controller and make its queues anew
 * @nvme: the controller
 *
 * All commands that are under way are forgotten, and their buffers no longer
 * in use.
 */
int nvme_reset(struct nvme *nvme);

/**
 * nvme_queue_cmd - put a command into a queue, and do not tell the controller
 * @nvme: the controller
 * @qid: the queue
 * @cmd: the command; its cid is chosen here
 *
 * Return: the command id, or -EAGAIN when the queue is full.
 */
int nvme_queue_cmd(struct nvme *nvme, unsigned int qid,
		   const struct nvme_sqe *cmd);

/**
 * nvme_queue_rw - put a read or write into a queue
 * @nvme: the controller
 * @qid: the queue
 * @opcode: NVME_READ or NVME_WRITE
 * @lba: first block
 * @nr: how many blocks
 * @iova: the buffer, as the device sees it, in one piece; on a 4-byte boundary
 *
 * Does not tell the controller.
 *
 * Return: the command id, -EAGAIN when the queue is full, or -EINVAL when this
 * is more than one command can move.
 */
int nvme_queue_rw(struct nvme *nvme, unsigned int qid, enum nvme_opcode opcode,
		  __u64 lba, unsigned int nr, __u64 iova);

/**
 * nvme_ring - tell the controller of the commands in a queue
 * @nvme: the controller
 * @qid: the queue
 */
void nvme_ring(struct nvme *nvme, unsigned int qid);

/**
 * nvme_submit_rw - nvme_queue_rw() and nvme_ring()
 * @nvme: the controller
 * @qid: the queue
 * @opcode: NVME_READ or NVME_WRITE
 * @lba: first block
 * @nr: how many blocks
 * @iova: the buffer
 *
 * Return: as nvme_queue_rw().
 */
int nvme_submit_rw(struct nvme *nvme, unsigned int qid, enum nvme_opcode opcode,
		   __u64 lba, unsigned int nr, __u64 iova);

/**
 * nvme_wait - wait for a command
 * @nvme: the controller
 * @qid: its queue
 * @cid: its id
 * @timeout_ms: how long
 * @result: out, dword 0 of the completion. May be NULL.
 *
 * Return: the status of the command, 0 (NVME_OK) or positive; or -ETIMEDOUT.
 * The controller still owns the command then, and may use its buffer at any
 * time: wait again, or nvme_reset().
 */
int nvme_wait(struct nvme *nvme, unsigned int qid, unsigned int cid,
	      unsigned int timeout_ms, __u32 *result);

/**
 * nvme_cmd - queue a command, tell the controller, wait for it
 * @nvme: the controller
 * @qid: the queue
 * @cmd: the command
 * @result: as of nvme_wait()
 *
 * Return: as nvme_wait(), or -EAGAIN when the queue is full.
 */
int nvme_cmd(struct nvme *nvme, unsigned int qid, const struct nvme_sqe *cmd,
	     __u32 *result);

/**
 * nvme_rw - read or write, and wait for it
 * @nvme: the controller
 * @qid: the queue
 * @opcode: NVME_READ or NVME_WRITE
 * @lba: first block
 * @nr: how many blocks
 * @iova: the buffer
 *
 * Return: as nvme_queue_rw() and nvme_wait().
 */
int nvme_rw(struct nvme *nvme, unsigned int qid, enum nvme_opcode opcode,
	    __u64 lba, unsigned int nr, __u64 iova);

/**
 * nvme_flush - flush all writes to the medium
 * @nvme: the controller
 * @qid: a queue
 *
 * Return: as nvme_wait().
 */
int nvme_flush(struct nvme *nvme, unsigned int qid);

/**
 * nvme_abort - ask the controller to abort a command
 * @nvme: the controller
 * @qid: the command's queue
 * @cid: its id. Whether aborted or not, it still completes: nvme_wait().
 *
 * Return: as nvme_wait(); 0 when the command was aborted, -EAGAIN when the
 * controller would not.
 */
int nvme_abort(struct nvme *nvme, unsigned int qid, unsigned int cid);

#endif /* NVME_H */
