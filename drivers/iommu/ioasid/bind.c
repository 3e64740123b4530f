// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables of user space: IOASID_BIND_PGTABLE, IOASID_UNBIND_PGTABLE, the same for
 * tables by PASID, and IOASID_INVALIDATE_CACHE.
 *
 * Invariants:
 *  - What user space says of its table, and each invalidation, is copied once.
 *  - Invalidations are carried out in chunks of a bounded size: the caller can be
 *    killed between two of them, and other threads can bind and attach.
 *
 * Locks: ioasid_ctx.routes_lock and ioasid_device.lock, to find the attachments of
 * a device.  User memory is accessed with no lock held.
 */
#include <linux/ioasid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "attach.h"
#include "device.h"
#include "ioctl.h"
#include "kind.h"

/* The longest description of a table, and of an invalidation */
#define TABLE_MAX	512
#define ENTRY_MAX	64

/* Invalidations that are carried out together */
#define CHUNK		64

static struct ioas_table *table_from_user(u64 data, u32 length)
{
	struct ioas_table *table;

	if (!length || length > TABLE_MAX)
		return ERR_PTR(-EINVAL);
	table = kmalloc(struct_size(table, data, length), GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	table->length = length;
	if (copy_from_user(table->data, u64_to_user_ptr(data), length)) {
		kfree(table);
		return ERR_PTR(-EFAULT);
	}
	return table;
}

/* Test whether an IOASID takes tables of this sort */
static bool takes_tables(const struct ioasid *ioasid, bool by_pasid)
{
	const struct ioasid_kind_ops *ops = ioasid_kind_of(ioasid);

	return ops->bind && ops->takes_pasids == by_pasid;
}

static long bind_table(struct ioasid_ctx *ctx,
		       const struct ioasid_bind_table *cmd, bool by_pasid)
{
	struct ioas_table *table;
	struct ioasid *ioasid;
	int ret;

	if (cmd->__reserved[0] || cmd->__reserved[1])
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	ret = -EOPNOTSUPP;
	if (!takes_tables(ioasid, by_pasid))
		goto put;
	table = table_from_user(cmd->data, cmd->length);
	ret = PTR_ERR_OR_ZERO(table);
	if (ret)
		goto put;
	ret = ioasid_kind_of(ioasid)->bind(ioasid, table,
					   cmd->flags & IOASID_BIND_REPLACE);
	if (ret)
		kfree(table);
put:
	ioasid_put(ioasid);
	return ret;
}

static long unbind_table(struct ioasid_ctx *ctx,
			 const struct ioasid_unbind_table *cmd, bool by_pasid)
{
	struct ioasid *ioasid;
	int ret = -EOPNOTSUPP;

	if (cmd->__reserved)
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	if (takes_tables(ioasid, by_pasid))
		ret = ioasid_kind_of(ioasid)->unbind(ioasid);
	ioasid_put(ioasid);
	return ret;
}

long ioasid_cmd_bind_pgtable(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			     void __user *user)
{
	return bind_table(ctx, &arg->bind, false);
}

long ioasid_cmd_unbind_pgtable(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			       void __user *user)
{
	return unbind_table(ctx, &arg->unbind, false);
}

long ioasid_cmd_bind_pasid_table(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				 void __user *user)
{
	return bind_table(ctx, &arg->bind, true);
}

long ioasid_cmd_unbind_pasid_table(struct ioasid_ctx *ctx,
				   union ioasid_arg *arg, void __user *user)
{
	return unbind_table(ctx, &arg->unbind, true);
}

/* ---- Invalidate ---- */

/**
 * struct invalidation - an IOASID_INVALIDATE_CACHE in progress
 * @ioasid: the IOASID
 * @format: format of its table
 * @idev: the device that is asked for, or NULL
 * @only: its group
 * @own: the entries are of the format, not struct ioasid_invalidate
 * @from: the entries that are left
 * @size: bytes of one
 * @in: a chunk of them
 * @entries: the same as the format has them; @in if @own
 */
struct invalidation {
	struct ioasid *ioasid;
	const struct ioasid_table_format *format;
	struct ioasid_device *idev;
	const struct iommu_group *only;
	bool own;
	void __user *from;
	u32 size;
	void *in;
	void *entries;
};

#define INVALIDATE_TLB	(IOASID_INVALIDATE_IOTLB | IOASID_INVALIDATE_DEVTLB)
#define INVALIDATE_BY_PASID						\
	(IOASID_INVALIDATE_PASID_CACHE | IOASID_INVALIDATE_PASID)

static int check_invalidate(const struct ioasid_invalidate *inv, bool by_pasid)
{
	if (inv->flags & ~(INVALIDATE_TLB | INVALIDATE_BY_PASID |
			   IOASID_INVALIDATE_RANGE | IOASID_INVALIDATE_LEAF))
		return -EOPNOTSUPP;
	if (!(inv->flags & (INVALIDATE_TLB | IOASID_INVALIDATE_PASID_CACHE)) ||
	    (!by_pasid && inv->flags & INVALIDATE_BY_PASID) ||
	    (inv->vpasid && !(inv->flags & IOASID_INVALIDATE_PASID)))
		return -EINVAL;
	if (!(inv->flags & IOASID_INVALIDATE_RANGE))
		return inv->start || inv->last ? -EINVAL : 0;
	/* The PASID cache has no addresses */
	if (!(inv->flags & INVALIDATE_TLB) || inv->start > inv->last)
		return -EINVAL;
	return 0;
}

/* Copy a chunk in, and translate it.  @nr: out, entries before one that is bad */
static int next_chunk(struct invalidation *work, u32 *nr)
{
	const struct ioasid_invalidate *inv = work->in;
	u32 i, all = *nr;
	int ret;

	*nr = 0;
	if (copy_from_user(work->in, work->from, all * work->size))
		return -EFAULT;
	work->from += all * work->size;
	*nr = all;
	for (i = 0; !work->own && i < all; i++, inv++) {
		ret = check_invalidate(inv, work->format->by_pasid);
		if (ret) {
			*nr = i;
			return ret;
		}
		work->format->invalidate(inv, work->entries + i *
					 work->format->invalidate_size);
	}
	return 0;
}

/* The group of a device; only to be compared, as the device may be unbound */
static const struct iommu_group *group_of(struct ioasid_device *idev)
{
	const struct iommu_group *group = NULL;

	mutex_lock(&idev->lock);
	if (!idev->gone && idev->group)
		group = idev->group->group;
	mutex_unlock(&idev->lock);
	return group;
}

/* Test whether a device is attached to the IOASID, by requester id or by PASID */
static bool is_attached(const struct invalidation *work)
{
	struct ioasid_ctx *ctx = work->ioasid->obj.ctx;
	struct ioasid_device *idev = work->idev;
	const struct ioasid_attachment *rid;
	bool attached;

	spin_lock(&ctx->routes_lock);
	rid = ioasid_device_rid(idev);
	attached = idev->group && rid && rid->ioasid == work->ioasid;
	spin_unlock(&ctx->routes_lock);
	return attached || ioasid_pasid_attached(idev, work->ioasid);
}

static int invalidate_all(struct invalidation *work, u32 nr, u32 *done)
{
	const struct ioasid_kind_ops *ops = ioasid_kind_of(work->ioasid);
	u32 size = work->own ? work->size : work->format->invalidate_size;
	u32 n, valid;
	int ret, bad;

	for (*done = 0; *done < nr; cond_resched()) {
		if (fatal_signal_pending(current))
			return -EINTR;
		n = min(nr - *done, CHUNK);
		bad = next_chunk(work, &n);
		valid = n;
		ret = n ? ops->invalidate(work->ioasid, work->only, work->entries,
					  size, &n) : 0;
		*done += n;
		if (ret || bad)
			return n < valid ? ret : bad ?: ret;
	}
	return 0;
}

static int invalidate(struct invalidation *work,
		      const struct ioasid_invalidate_cache *cmd, u32 *done)
{
	int ret = -ENOMEM;

	work->own = cmd->entry_size;
	work->size = cmd->entry_size ?: sizeof(struct ioasid_invalidate);
	if (!cmd->nr || (work->own ? work->size > ENTRY_MAX : cmd->type))
		return -EINVAL;
	if (work->own && cmd->type != work->format->invalidate_type)
		return -EOPNOTSUPP;
	work->from = u64_to_user_ptr(cmd->entries);
	work->in = kmalloc_array(CHUNK, work->size, GFP_KERNEL_ACCOUNT);
	work->entries = work->own ? work->in :
			kmalloc_array(CHUNK, work->format->invalidate_size,
				      GFP_KERNEL_ACCOUNT);
	if (work->in && work->entries)
		ret = invalidate_all(work, cmd->nr, done);
	if (!work->own)
		kfree(work->entries);
	kfree(work->in);
	return ret;
}

long ioasid_cmd_invalidate_cache(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				 void __user *user)
{
	struct ioasid_invalidate_cache __user *out = user;
	struct ioasid_invalidate_cache *cmd = &arg->invalidate;
	struct invalidation work = {};
	u32 done = 0;
	int ret;

	if (put_user(0, &out->done))
		return -EFAULT;
	if (cmd->__reserved)
		return -EINVAL;
	work.ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!work.ioasid)
		return -ENOENT;
	ret = -EOPNOTSUPP;
	if (!ioasid_kind_of(work.ioasid)->invalidate)
		goto put;
	work.format = ioasid_kind_of(work.ioasid)->format(work.ioasid);
	if (cmd->devid) {
		ret = -ENOENT;
		work.idev = ioasid_device_get(ctx, cmd->devid);
		if (!work.idev)
			goto put;
	}
	ret = -ENODEV;
	if (work.idev)
		work.only = group_of(work.idev);
	if (!work.idev || (work.only && is_attached(&work)))
		ret = invalidate(&work, cmd, &done);
	if (work.idev)
		ioasid_device_put(work.idev);
put:
	ioasid_put(work.ioasid);
	if (put_user(done, &out->done) || put_user(ret, &out->error))
		return -EFAULT;
	return done ? 0 : ret;
}
