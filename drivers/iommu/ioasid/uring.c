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

#include "ioctl.h"
#include "kind_map.h"
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

/* ---- A batch in a registered buffer, which is pinned ---- */

struct fixed_batch {
	struct ioasid_batch base;
	struct iov_iter *ops;		/* those that were not read */
	struct iov_iter chunk;		/* those that were read last... */
	u32 first;			/* ...from this one on */
};

static int fixed_batch_read(struct ioas_batch_source *from,
			    struct ioas_batch_op *ops, u32 first,
			    unsigned int n, bool may_fault)
{
	struct fixed_batch *batch =
		container_of(from, struct fixed_batch, base.from);

	batch->chunk = *batch->ops;
	batch->first = first;
	return copy_from_iter(ops, n * sizeof(*ops), batch->ops) ==
	       n * sizeof(*ops) ? 0 : -EFAULT;
}

static int fixed_batch_write_iova(struct ioas_batch_source *from, u32 nr,
				  u64 iova)
{
	struct fixed_batch *batch =
		container_of(from, struct fixed_batch, base.from);
	struct iov_iter to = batch->chunk;

	to.data_source = ITER_DEST;
	iov_iter_advance(&to, (nr - batch->first) * sizeof(struct ioasid_dma_op) +
			 offsetof(struct ioasid_dma_op, iova));
	return copy_to_iter(&iova, sizeof(iova), &to) == sizeof(iova) ?
	       0 : -EFAULT;
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
	bool nowait = issue_flags & IO_URING_F_NONBLOCK;
	struct ioasid_ctx *ctx = cmd->file->private_data;
	struct ioas_batch_result result = {};
	struct ioas_batch_source *from;
	struct ioasid_user_batch user;
	struct fixed_batch fixed;
	struct ioasid *ioasid;
	struct iov_iter ops;
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
	if (nowait && args->nr > INLINE_OPS)
		return -EAGAIN;

	if (cmd->flags & IORING_URING_CMD_FIXED) {
		ret = io_uring_cmd_import_fixed(args->ops, (unsigned long)
						args->nr *
						sizeof(struct ioasid_dma_op),
						ITER_SOURCE, &ops, cmd);
		if (ret)
			return ret;
		fixed.base.from.read = fixed_batch_read;
		fixed.base.from.write_iova = fixed_batch_write_iova;
		fixed.base.from.get = ioasid_batch_get;
		fixed.base.from.put = ioasid_batch_put;
		fixed.base.from.nowait = nowait;
		fixed.base.ctx = ctx;
		fixed.ops = &ops;
		from = &fixed.base.from;
	} else {
		ioasid_user_batch_init(&user, ctx, args->ops, nowait);
		from = &user.base.from;
	}
	ioasid = ioasid_get(ctx, args->ioasid);
	if (!ioasid)
		return -ENOENT;
	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->batch,
			       ioasid_map_batch, ioasid, from, args->nr,
			       &result);
	trace_ioasid_batch(args->ioasid, args->nr, result.done,
			   result.unmapped, ret);
	ioasid_put(ioasid);
	if (result.done)
		return result.done;
	/* io_uring does not restart a command */
	return ret == -ERESTARTNOINTR ? -EINTR : ret;
}
