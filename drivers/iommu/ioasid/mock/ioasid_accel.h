/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of ioasid_accel, the model accelerator, for its users: see accel.c.
 * All fields are in the byte order of the machine; nothing here is stable.
 *
 * A process opens /dev/ioasid_accelN, N being the number in the name of the model
 * device, binds the file to a context of /dev/ioasid, attaches IOASIDs by PASIDs, and
 * submits work.  It has a hardware queue, and a PASID on the wire, only while a piece
 * of its work is done.
 *
 * poll() tells POLLOUT when a queue would be given to this file.  Files, and threads
 * that wait in ACCEL_SUBMIT, get queues in the order in which they began to wait.  A
 * file that does not use its turn for accel_turn_ms, a parameter of the module, loses
 * it, and is last in line when it polls again.
 *
 * Errors of any command: EFAULT; ENOMEM; ENODEV, the device was unplugged; EINTR, a
 * fatal signal; EPERM, the file was opened by another process: it was inherited, or
 * passed on.
 */
#ifndef _IOASID_ACCEL_H
#define _IOASID_ACCEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ACCEL_TYPE	0xb8

/*
 * struct ioasid_device_bind, as VFIO_DEVICE_BIND_IOASID_FD takes it.  EBUSY, the file
 * is bound.  It is unbound when it is closed.
 */
#define ACCEL_BIND_IOASID_FD	_IO(ACCEL_TYPE, 0)

/* struct ioasid_device_attach, as VFIO_DEVICE_ATTACH_IOASID; ENODEV, not bound */
#define ACCEL_ATTACH_IOASID	_IO(ACCEL_TYPE, 1)

/* struct ioasid_device_detach, the same.  Work by the PASID is stopped */
#define ACCEL_DETACH_IOASID	_IO(ACCEL_TYPE, 2)

#define ACCEL_SUBMIT		_IOWR(ACCEL_TYPE, 3, struct accel_submit)
#define ACCEL_GET_INFO		_IOR(ACCEL_TYPE, 4, struct accel_info)

/**
 * enum accel_op - what the accelerator does
 * @ACCEL_FILL: write the pattern of @seed, see ioasid_model_word(), to @dst
 * @ACCEL_SUM: add up the words at @src
 * @ACCEL_COPY: copy from @src to @dst
 * @ACCEL_AWAIT: read the word at @src until it is @seed; @length is 8.  For tests: a
 *	job that takes as long as its user likes is what a real device must not offer
 */
enum accel_op {
	ACCEL_FILL = 1,
	ACCEL_SUM = 2,
	ACCEL_COPY = 3,
	ACCEL_AWAIT = 4,
};

#define ACCEL_MAX_LENGTH	0x100000

/**
 * struct accel_submit - ioctl(ACCEL_SUBMIT): have a piece of work done, and wait for it
 * @op: enum accel_op
 * @vpasid: the PASID of the I/O address space; 0, that of an attach without a PASID
 * @src: I/O address, a multiple of 8
 * @dst: the same
 * @length: bytes, a multiple of 8, up to ACCEL_MAX_LENGTH
 * @seed: see enum accel_op
 * @result: out, of ACCEL_SUM
 * @fault_addr: out, if @reason is not 0: the address that faulted
 * @reason: out, enum model_reason: why the work ended early, or 0
 * @reserved: 0
 *
 * Errors: EINVAL, an argument is malformed; ENODEV, not bound; EAGAIN, no queue is
 * free and the file has O_NONBLOCK: it is in line now; ENOENT, @vpasid is not
 * attached; ENOSPC, no PASID is left on this machine: poll() tells when it may be
 * tried again; EDQUOT, the user has no PASID left, or the context; EIO, the IOASID is
 * poisoned; ECANCELED, @vpasid was detached, or attached elsewhere, or its IOASID
 * poisoned, meanwhile.
 */
struct accel_submit {
	__u32 op;
	__u32 vpasid;
	__u64 src;
	__u64 dst;
	__u64 length;
	__u64 seed;
	__u64 result;
	__u64 fault_addr;
	__u32 reason;
	__u32 reserved;
};

/**
 * struct accel_info - ioctl(ACCEL_GET_INFO): look at the accelerator
 * @queues: number of queues that users can have
 * @busy: number of them that are in use, or reserved for a file whose turn it is
 * @waiting: files and threads in line
 * @pasids: pieces of work that have a PASID now
 * @most_pasids: the most that there were at a time
 * @reserved: 0
 * @jobs: pieces of work that were done for users, in full or not
 * @kernel_jobs: pieces of work that were done for the kernel
 */
struct accel_info {
	__u32 queues;
	__u32 busy;
	__u32 waiting;
	__u32 pasids;
	__u32 most_pasids;
	__u32 reserved;
	__u64 jobs;
	__u64 kernel_jobs;
};

#endif /* _IOASID_ACCEL_H */
