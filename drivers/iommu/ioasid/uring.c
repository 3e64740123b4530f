// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_DMA_BATCH as a command of io_uring.
 *
 * Invariants:
 *  - What the ring shares with user space is read once, when the command is
 *    first issued, and kept: the entry may be reused while a worker goes on.
 *  - Whoever submits, a polling thread, or task work of either, carries out what
 *    is small and waits for nothing.  All else, and all that pins memory, is done
 *    by a worker.
 *  - Memory is that of the task that submitted, or nobody's.
 *  - A command that did anything ends with how much; so -ECANCELED and -EAGAIN
 *    always mean that nothing was done.
 *
 * Locks: that of the ring is held, but by workers, and outside of all of ours.
 */
#include <linux/io_uring/cmd.h>
#include <linux/sched.h>
#include <linux/uio.h>

#include <trace/events/ioasid.h>

#include "context.h"
#include "ioasids.h"
#include "uring.h"

/* Later kernels have it, and set it where this does */
#ifndef IORING_URING_CMD_REISSUE
#define IORING_URING_CMD_REISSUE	BIT(31)
#endif

/* More operations than that are for a worker: the ring is locked meanwhile */
#define INLINE_OPS	256

/* Have a copy of the arguments, in the command's private memory */
static int get_args(struct io_uring_cmd *cmd, struct ioasid_uring_batch *args)
{
	const struct io_uring_sqe *sqe = cmd->sqe;
	const struct ioasid_uring_batch *shared = io_uring_sqe_cmd(sqe);

	if (READ_ONCE(sqe->addr) || READ_ONCE(sqe->len) ||
	    READ_ONCE(sqe->file_index))
		return -EINVAL;
	args->ops = READ_ONCE(shared->ops);
	args->nr = READ_ONCE(shared->nr);
	args->ioasid = READ_ONCE(shared->ioasid);
	/* The result has to say how many were done */
	if (!args->nr || args->nr > INT_MAX)
		return -EINVAL;
	cmd->flags |= IORING_URING_CMD_REISSUE;
	return 0;
}

/**
 * ioasid_fops_uring_cmd() - carry out a command of io_uring
 * @cmd: the command
 * @issue_flags: as io_uring has them
 *
 * Return: how many operations were done; or if none was what the first one
 * returned; -EAGAIN, a worker has to do it.
 */
int ioasid_fops_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct ioasid_uring_batch *args =
		io_uring_cmd_to_pdu(cmd, struct ioasid_uring_batch);
	struct ioas_batch_source from = {
		.nowait = issue_flags & IO_URING_F_NONBLOCK,
	};
	struct ioas_batch_result result;
	struct ioasid *ioasid;
	struct iov_iter fixed;
	int ret;

	if (cmd->cmd_op != IOASID_DMA_BATCH)
		return -ENOTTY;
	if (!(cmd->flags & IORING_URING_CMD_REISSUE)) {
		ret = get_args(cmd, args);
		if (ret)
			return ret;
	}
	/* As when the task has gone, and a work queue cleans up behind it */
	if (!current->mm ||
	    current->mm != READ_ONCE(io_uring_cmd_get_task(cmd)->mm))
		return -EFAULT;
	if (from.nowait && args->nr > INLINE_OPS)
		return -EAGAIN;

	from.user = u64_to_user_ptr(args->ops);
	if (cmd->flags & IORING_URING_CMD_FIXED) {
		ret = io_uring_cmd_import_fixed(args->ops, (unsigned long)
						args->nr *
						sizeof(struct ioasid_dma_op),
						ITER_SOURCE, &fixed, cmd);
		if (ret)
			return ret;
		from.fixed = &fixed;
	}
	ioasid = ioasid_get(cmd->file->private_data, args->ioasid);
	if (!ioasid)
		return -ENOENT;
	ret = ioas_batch(&ioasid->ioas, &from, args->nr, &result);
	trace_ioasid_batch(args->ioasid, args->nr, result.done,
			   result.unmapped, ret);
	ioasid_put(ioasid);
	if (result.done)
		return result.done;
	/* Nobody would restart it */
	return ret == -ERESTARTNOINTR ? -EINTR : ret;
}
