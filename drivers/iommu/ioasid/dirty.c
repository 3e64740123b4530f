// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands that tell which pages were written.
 *
 * Invariants:
 *  - An unmap that tells writes to all of the bitmap before it removes anything.
 *    If the bitmap cannot be written after that, what it would have had stays in
 *    the log.
 *
 * Locks: none of its own.  User memory is accessed with no lock held.
 */
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>
#include <uapi/linux/ioasid.h>

#include "context.h"
#include "dirty.h"
#include "ioasids.h"
#include "ioctl.h"
#include "kind_map.h"

/* Blocks of more pages than that are not told as one bit */
#define MAX_BLOCK_SHIFT	(PAGE_SHIFT + 9)

long ioasid_cmd_set_dirty(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_set_dirty *cmd = &arg->set_dirty;
	bool on = cmd->flags & IOASID_SET_DIRTY_ON;
	bool off = cmd->flags & IOASID_SET_DIRTY_OFF;
	bool coarse = cmd->flags & IOASID_SET_DIRTY_COARSE;
	struct ioasid *ioasid;
	struct ioas *ioas;
	int ret;

	if (cmd->__reserved || on == off || (off && coarse))
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	ioas = ioasid_ioas(ioasid);
	if (IS_ERR(ioas))
		ret = PTR_ERR(ioas);
	else if (on)
		ret = ioas_dirty_start(ioas, coarse);
	else
		ret = ioas_dirty_stop(ioas);
	ioasid_put(ioasid);
	return ret;
}

static int put_words(struct ioas_dirty_request *req, u64 first,
		     const u64 *words, unsigned int n)
{
	struct ioasid_user_dirty *to = container_of(req, struct ioasid_user_dirty, req);

	return copy_to_user(to->bitmap + first, words, n * sizeof(*words)) ?
	       -EFAULT : 0;
}

/**
 * ioasid_user_dirty_init() - prepare to tell which pages were written
 * @to: uninitialised
 * @iova: first byte
 * @length: bytes
 * @page_size: bytes of a block that has a bit
 * @bitmap: address of the bitmap
 *
 * Return: 0; -EINVAL, an argument is wrong; -EOPNOTSUPP, @page_size is too large.
 */
int ioasid_user_dirty_init(struct ioasid_user_dirty *to, u64 iova, u64 length,
			   u64 page_size, u64 bitmap)
{
	*to = (struct ioasid_user_dirty){
		.req.start = iova,
		.req.last = iova + (length - 1),
		.req.put = put_words,
		.bitmap = u64_to_user_ptr(bitmap),
	};
	if (!range_valid(iova, length) || !page_size ||
	    size_to_shift(page_size, &to->req.shift))
		return -EINVAL;
	return to->req.shift > MAX_BLOCK_SHIFT ? -EOPNOTSUPP : 0;
}

/* Write zeroes to all of the bitmap */
static int clear_bitmap(const struct ioasid_user_dirty *to)
{
	unsigned int shift = to->req.shift;
	u64 left = ((to->req.last >> shift) - (to->req.start >> shift)) / 64 + 1;
	u64 __user *at = to->bitmap;
	u64 n;

	for (; left; left -= n) {
		n = min_t(u64, left, SZ_1M / sizeof(*at));
		if (clear_user(at, n * sizeof(*at)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		at += n;
		cond_resched();
	}
	return 0;
}

static u32 told(const struct ioasid_user_dirty *to)
{
	return to->req.exact ? IOASID_DIRTY_EXACT : 0;
}

long ioasid_cmd_get_dirty(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_get_dirty *cmd = &arg->get_dirty;
	struct ioasid *ioasid;
	struct ioasid_user_dirty to;
	struct ioas *ioas;
	int ret;

	if (cmd->told || cmd->nr_dirty || cmd->next)
		return -EINVAL;
	ret = ioasid_user_dirty_init(&to, cmd->iova, cmd->length,
				     cmd->page_size, cmd->bitmap);
	if (ret)
		return ret;
	to.req.keep = cmd->flags & IOASID_GET_DIRTY_NO_CLEAR;
	to.req.interruptible = true;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	/* The bits are gone from the log when these are written at last */
	if (copy_out(user, cmd, sizeof(*cmd))) {
		ret = -EFAULT;
		goto out_put;
	}
	ioas = ioasid_ioas(ioasid);
	ret = IS_ERR(ioas) ? PTR_ERR(ioas) : ioas_dirty_get(ioas, &to.req);
	if (ret == -ENOENT || ret == -EOPNOTSUPP)
		goto out_put;
	cmd->told = told(&to);
	cmd->nr_dirty = to.req.nr;
	cmd->next = ret ? to.req.next : 0;
	if (copy_out(user, cmd, sizeof(*cmd)))
		ret = -EFAULT;
out_put:
	ioasid_put(ioasid);
	return ret;
}

/**
 * ioasid_dirty_unmap() - unmap, and tell which pages were written
 * @ioasid: the IOASID
 * @to: the range, and where to tell
 * @req: how to unmap it, with IOASID_UNMAP_DIRTY
 *
 * Context: may sleep.
 * Return: as ioas_unmap(); or
 * -ENOENT, writes are not logged;
 * -EOPNOTSUPP, not a root of the kind MAP;
 * -EFAULT, the bitmap cannot be written.
 */
int ioasid_dirty_unmap(struct ioasid *ioasid, struct ioasid_user_dirty *to,
		       struct ioas_unmap_request *req)
{
	struct ioas *ioas = ioasid_ioas(ioasid);
	int ret, err = 0;

	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	/* What devices wrote last is in the log, and nothing writes any more */
	to->req.told_only = true;
	ret = ioas_dirty_started(ioas);
	if (!ret)
		ret = clear_bitmap(to);
	if (ret)
		return ret;
	ret = ioasid_map_unmap(ioasid, to->req.start, to->req.last, req);
	trace_ioasid_unmap(ioasid->obj.id, to->req.start,
			   to->req.last - to->req.start + 1, req->removed, ret);
	if (!ret || req->removed)
		err = ioas_dirty_get(ioas, &to->req);
	return ret ?: err;
}

/**
 * ioasid_unmap_dirty() - unmap, and tell which pages were written
 * @ctx: the context
 * @cmd: the command; without IOASID_UNMAP_DIRTY, it fails
 * @user: where it came from
 *
 * Context: may sleep.
 * Return: 0 or -errno: see struct ioasid_unmap_dma.
 */
long ioasid_unmap_dirty(struct ioasid_ctx *ctx, struct ioasid_unmap_dma *cmd,
			struct ioasid_unmap_dma __user *user)
{
	struct ioas_unmap_request req = {
		.flags = cmd->flags,
		.patience = IOAS_PATIENCE,
	};
	struct ioasid *ioasid;
	struct ioasid_user_dirty to;
	int ret;

	if (!(cmd->flags & IOASID_UNMAP_DIRTY) ||
	    cmd->flags & IOASID_UNMAP_ALL || cmd->told || cmd->__reserved2 ||
	    cmd->argsz < offsetofend(struct ioasid_unmap_dma, told))
		return -EINVAL;
	ret = ioasid_user_dirty_init(&to, cmd->iova, cmd->length,
				     cmd->page_size, cmd->bitmap);
	if (ret)
		return ret;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	if (put_user(0, &user->unmapped) || put_user(0, &user->told)) {
		ret = -EFAULT;
		goto out_put;
	}
	ret = ioasid_dirty_unmap(ioasid, &to, &req);
	if (put_user(req.removed, &user->unmapped) ||
	    put_user(told(&to), &user->told))
		ret = -EFAULT;
out_put:
	ioasid_put(ioasid);
	return ret;
}
