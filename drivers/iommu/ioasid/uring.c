// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_DMA_BATCH as a command of io_uring.
 *
 * Invariants:
 *  - The submission queue entry, which user space can write to, is read once,
 *    when the command is first issued, and copied: user space may reuse the
 *    entry while a worker runs the command.
 *  - The submitting task, a polling thread, and task work of either run small
 *    batches that do not wait.  Workers run all other batches, and all that pin
 *    memory.
 *  - A batch uses the memory of the task that submitted it, and no other.
 *  - A command that completed any operation returns how many.  So -ECANCELED
 *    and -EAGAIN always mean that nothing was done.
 *
 * Locks: except in workers, the lock of the ring is held, outside of all locks
 * of this subsystem.
 */
#include <linux/io_uring/cmd.h>
#include <linux/sched.h>
#include <linux/uio.h>

#include <trace/events/ioasid.h>

#include "context.h"
#include "ioasids.h"
#include "uring.h"

/* Later kernels define and set this flag: see get_args() */
#ifndef IORING_URING_CMD_REISSUE
#define IORING_URING_CMD_REISSUE	BIT(31)
#endif

/* Larger batches are left to a worker, as the lock of the ring is held here */
#define INLINE_OPS	256

/* Copy the arguments to the private memory of the command */
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
	/* The result, an int, returns how many were done */
	if (!args->nr || args->nr > INT_MAX)
		return -EINVAL;
	cmd->flags |= IORING_URING_CMD_REISSUE;
	return 0;
}

/**
 * ioasid_fops_uring_cmd() - run a command of io_uring
 * @cmd: the command
 * @issue_flags: flags of io_uring
 *
 * Context: may sleep, but not with IO_URING_F_NONBLOCK.
 * Return: the number of operations that were done; if that is 0, the errno of
 * the first operation, or:
 * -EAGAIN, a worker has to run the command;
 * -ENOTTY, @cmd is not IOASID_DMA_BATCH;
 * -EINVAL, a field of the command is invalid;
 * -EFAULT, the submitting task has exited, or the array is not within the
 * registered buffer;
 * -ENOENT, the IOASID does not exist;
 * -EINTR, a signal.
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
	/* After the task exited a work queue cancels its commands */
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
	/* io_uring does not restart a command */
	return ret == -ERESTARTNOINTR ? -EINTR : ret;
}
