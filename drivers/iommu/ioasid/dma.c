// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands that map, unmap and query IOVAs, and move their charge.
 *
 * Invariants:
 *  - Each command checks its arguments, looks the IOASID up, calls its kind,
 *    and copies out.
 *  - A command that cannot be undone writes to its output fields first.  If
 *    that fails nothing is done.
 *
 * Locks: none of its own.  User memory is accessed with no lock held.
 */
#include <linux/file.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>

#include "context.h"
#include "ioctl.h"
#include "kind_map.h"

static int check_map(const struct ioasid_map_dma *cmd, unsigned int *cut_shift)
{
	unsigned int unused;

	if (!ioas_map_valid(cmd->flags, cmd->iova, cmd->addr, cmd->length,
			    cmd->fd) ||
	    !ioas_change_valid(cmd->flags, cmd->addr, cmd->cut_size))
		return -EINVAL;
	if (cmd->flags & IOASID_MAP_FIXED ? cmd->alignment : cmd->iova)
		return -EINVAL;
	if (size_to_shift(cmd->cut_size, cut_shift) ||
	    size_to_shift(cmd->alignment, &unused))
		return -EINVAL;
	return 0;
}

/* Copy out the fault address, and reset the IOVA: the call can be repeated */
static int tell_map_failed(const struct ioasid_map_dma *cmd,
			   struct ioasid_map_dma __user *out,
			   const struct ioas_map_request *req, int ret)
{
	if (!(cmd->flags & IOASID_MAP_FIXED) && put_user(0, &out->iova))
		return -EFAULT;
	if (ioas_map_has_fault_addr(req, ret) &&
	    put_user(req->fault_addr, &out->fault_addr))
		return -EFAULT;
	return 0;
}

long ioasid_cmd_map_dma(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			void __user *user)
{
	struct ioasid_map_dma __user *out = user;
	struct ioasid_map_dma *cmd = &arg->map;
	struct ioas_map_request req = {
		.iova = cmd->iova,
		.addr = cmd->addr,
		.length = cmd->length,
		.alignment = cmd->alignment,
		.flags = cmd->flags,
	};
	struct ioasid *ioasid;
	int ret;

	ret = check_map(cmd, &req.cut_shift);
	if (ret)
		return ret;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	if (unlikely(cmd->flags & IOASID_MAP_FILE)) {
		ret = -EINVAL;
		if (ioasid->obj.parent)
			goto out_put;
		req.file = fget(cmd->fd);
		if (!req.file) {
			ret = -EBADF;
			goto out_put;
		}
	}

	if (unlikely(cmd->flags & IOAS_CHANGE_FLAGS))
		ret = ioasid_kind_call(ioasid_kind_of(ioasid)->change,
				       ioasid_map_change, ioasid, &req);
	else
		ret = ioasid_kind_call(ioasid_kind_of(ioasid)->map,
				       ioasid_map_map, ioasid, cmd, out, &req);
	trace_ioasid_map(cmd->ioasid, req.iova, cmd->length, cmd->flags, ret);
	if (unlikely(ret) && tell_map_failed(cmd, out, &req, ret))
		ret = -EFAULT;
	if (req.file)
		fput(req.file);
out_put:
	ioasid_put(ioasid);
	return ret;
}

long ioasid_cmd_unmap_dma(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_unmap_dma __user *out = user;
	struct ioasid_unmap_dma *cmd = &arg->unmap;
	struct ioas_unmap_request req = {
		.flags = cmd->flags,
		.patience = IOAS_PATIENCE,
	};
	u64 start = 0, last = U64_MAX;
	struct ioasid *ioasid;
	int ret;

	if (cmd->__reserved)
		return -EINVAL;
	/* One test, of what plain unmaps leave 0 */
	if (unlikely((cmd->flags & IOASID_UNMAP_DIRTY) | cmd->bitmap |
		     cmd->page_size | cmd->told | cmd->__reserved2))
		return ioasid_unmap_dirty(ctx, cmd, user);
	if (cmd->flags & IOASID_UNMAP_ALL) {
		if (cmd->iova || cmd->length ||
		    cmd->flags & IOASID_UNMAP_SPLIT)
			return -EINVAL;
	} else {
		if (!range_valid(cmd->iova, cmd->length))
			return -EINVAL;
		start = cmd->iova;
		last = start + (cmd->length - 1);
	}
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	/* Before the unmap, which a failed copy could not undo */
	if (put_user(0, &out->unmapped)) {
		ret = -EFAULT;
		goto out_put;
	}
	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->unmap,
			       ioasid_map_unmap, ioasid, start, last, &req);
	trace_ioasid_unmap(cmd->ioasid, start, last - start + 1, req.removed,
			   ret);
	if (put_user(req.removed, &out->unmapped))
		ret = -EFAULT;
out_put:
	ioasid_put(ioasid);
	return ret;
}

/* ---- Batches ---- */

static_assert(sizeof(struct ioas_batch_op) == sizeof(struct ioasid_dma_op));
static_assert(offsetof(struct ioas_batch_op, op) ==
	      offsetof(struct ioasid_dma_op, op));
static_assert(offsetof(struct ioas_batch_op, flags) ==
	      offsetof(struct ioasid_dma_op, flags));
static_assert(offsetof(struct ioas_batch_op, fd) ==
	      offsetof(struct ioasid_dma_op, fd));
static_assert(offsetof(struct ioas_batch_op, iova) ==
	      offsetof(struct ioasid_dma_op, iova));
static_assert(offsetof(struct ioas_batch_op, addr) ==
	      offsetof(struct ioasid_dma_op, addr));
static_assert(offsetof(struct ioas_batch_op, length) ==
	      offsetof(struct ioasid_dma_op, length));
static_assert((int)IOAS_OP_MAP == (int)IOASID_DMA_OP_MAP);
static_assert((int)IOAS_OP_UNMAP == (int)IOASID_DMA_OP_UNMAP);
static_assert((int)IOAS_OP_TARGETED == (int)IOASID_DMA_OP_IOASID);
static_assert((int)IOAS_OP_CUT_SHIFT == (int)IOASID_DMA_OP_CUT_SHIFT);

static int user_batch_read(struct ioas_batch_source *from,
			   struct ioas_batch_op *ops, u32 first, unsigned int n,
			   bool may_fault)
{
	struct ioasid_user_batch *batch = to_user_batch(from);
	struct ioasid_dma_op __user *user = batch->ops + first;

	if (may_fault)
		return copy_from_user(ops, user, n * sizeof(*ops)) ?
		       -EFAULT : 0;
	return copy_from_user_nofault(ops, user, n * sizeof(*ops)) ?
	       -EAGAIN : 0;
}

static int user_batch_write_iova(struct ioas_batch_source *from, u32 nr,
				 u64 iova)
{
	struct ioasid_user_batch *batch = to_user_batch(from);

	return put_user(iova, &batch->ops[nr].iova);
}

/**
 * ioasid_batch_get() - get the address space that an operation of a batch names
 * @from: in struct ioasid_batch
 * @id: the IOASID
 *
 * Return: the address space, with a reference to the IOASID; or an ERR_PTR:
 * -ENOENT, there is none; -EOPNOTSUPP, it is of another kind.
 */
struct ioas *ioasid_batch_get(struct ioas_batch_source *from, u32 id)
{
	struct ioasid_batch *batch =
		container_of(from, struct ioasid_batch, from);
	struct ioasid_object *obj;
	struct ioasid *ioasid;
	struct ioas *ioas;
	int ret = -ENOENT;

	/* Another kind must not get a reference, since its put may sleep */
	rcu_read_lock();
	obj = xa_load(&batch->ctx->objects, id);
	if (obj && obj->type == IOASID_OBJECT_IOASID)
		ret = ioasid_kinds[obj->kind]->batch ? 0 : -EOPNOTSUPP;
	rcu_read_unlock();
	if (ret)
		return ERR_PTR(ret);
	ioasid = ioasid_get(batch->ctx, id);
	if (!ioasid)
		return ERR_PTR(-ENOENT);
	ioas = ioasid_ioas(ioasid);
	/* Ids ascend: only if all of them were used meanwhile */
	if (IS_ERR(ioas))
		ioasid_put(ioasid);
	return ioas;
}

/**
 * ioasid_batch_put() - undo ioasid_batch_get()
 * @ioas: the address space
 */
void ioasid_batch_put(struct ioas *ioas)
{
	ioasid_put(ioasid_of(ioas));
}

/**
 * ioasid_user_batch_init() - read the operations of a batch from user memory
 * @batch: uninitialised
 * @ctx: the context
 * @ops: address of the array
 * @nowait: see struct ioas_batch_source
 */
void ioasid_user_batch_init(struct ioasid_user_batch *batch,
			    struct ioasid_ctx *ctx, u64 ops, bool nowait)
{
	batch->base.from.read = user_batch_read;
	batch->base.from.write_iova = user_batch_write_iova;
	batch->base.from.get = ioasid_batch_get;
	batch->base.from.put = ioasid_batch_put;
	batch->base.from.nowait = nowait;
	batch->base.ctx = ctx;
	batch->ops = u64_to_user_ptr(ops);
}

long ioasid_cmd_dma_batch(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_dma_batch __user *out = user;
	struct ioasid_dma_batch *cmd = &arg->batch;
	struct ioas_batch_result result = {};
	struct ioasid_user_batch batch;
	struct ioasid *ioasid;
	int ret;

	/* Before the batch, which a failed copy could not undo */
	if (put_user(0, &out->done))
		return -EFAULT;
	if (!cmd->nr)
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	ioasid_user_batch_init(&batch, ctx, cmd->ops, false);
	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->batch,
			       ioasid_map_batch, ioasid, &batch.base.from,
			       cmd->nr,
			       &result);
	trace_ioasid_batch(cmd->ioasid, cmd->nr, result.done, result.unmapped,
			   ret);
	ioasid_put(ioasid);
	if (put_user(result.done, &out->done) ||
	    /* User space never sees this errno: the call is restarted */
	    put_user(ret == -ERESTARTNOINTR ? -EINTR : ret, &out->error) ||
	    put_user(result.unmapped, &out->unmapped) ||
	    (result.has_fault_addr &&
	     put_user(result.fault_addr, &out->fault_addr)))
		return -EFAULT;
	return result.done ? 0 : ret;
}

/* ---- Query ---- */

/**
 * struct user_query - a query, and the array of the caller
 * @query: the query
 * @entries: address of the array
 * @size: bytes of an element
 */
struct user_query {
	struct ioas_query query;
	u64 entries;
	u32 size;
};

static int tell_user(struct ioas_query *query, u32 nr,
		     const struct ioas_query_entry *entry)
{
	struct user_query *to = container_of(query, struct user_query, query);
	struct ioasid_query_long_entry told = {
		.entry.iova = entry->iova,
		.entry.length = entry->length,
		.entry.addr = entry->addr,
		.entry.cut_size = entry->cut_size,
		.entry.pgsizes = entry->pgsizes,
		.entry.flags = entry->flags,
	};
	void __user *at = u64_to_user_ptr(to->entries + (u64)nr * to->size);
	u32 size = min_t(u32, to->size, sizeof(told));

	if (entry->addr_known)
		told.entry.flags |= IOASID_QUERY_ADDR;
	if (entry->demand)
		told.entry.flags |= IOASID_QUERY_DEMAND;
	if (entry->revoked)
		told.entry.flags |= IOASID_QUERY_REVOKED;
	if (entry->inode_known && size == sizeof(told)) {
		told.entry.flags |= IOASID_QUERY_INODE;
		told.ino = entry->ino;
		told.dev = entry->dev;
	}
	return copy_to_user(at, &told, size) ||
	       clear_user(at + size, to->size - size) ? -EFAULT : 0;
}

long ioasid_cmd_query_map(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_query_map *cmd = &arg->query;
	struct user_query to = {
		.query.start = cmd->start,
		.query.room = cmd->nr,
		.query.tell = tell_user,
		.entries = cmd->entries,
		.size = cmd->entry_size ?: sizeof(struct ioasid_query_entry),
	};
	struct ioasid *ioasid;
	int ret;

	if (cmd->more || cmd->next || to.size % sizeof(u64) ||
	    to.size < sizeof(struct ioasid_query_entry))
		return -EINVAL;
	if (to.size > IOASID_ENTRY_MAX)
		return -E2BIG;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	ret = ioasid_kind_call(ioasid_kind_of(ioasid)->query,
			       ioasid_map_query, ioasid, &to.query);
	ioasid_put(ioasid);
	cmd->nr = to.query.nr;
	cmd->next = to.query.more ? to.query.start : 0;
	cmd->more = to.query.more;
	return ret ?: copy_out(user, cmd, sizeof(*cmd));
}

/* ---- Rehome ---- */

/**
 * struct user_rehome - a rehome, and the array of the caller
 * @rehome: the rehome
 * @entries: address of the array
 * @size: bytes of an element
 */
struct user_rehome {
	struct ioas_rehome rehome;
	u64 entries;
	u32 size;
};

static int read_entries(struct ioas_rehome *rehome,
			struct ioasid_rehome_entry *entries, u32 first,
			unsigned int n)
{
	struct user_rehome *from = container_of(rehome, struct user_rehome,
						rehome);
	void __user *user = u64_to_user_ptr(from->entries +
					    (u64)first * from->size);
	unsigned int i;
	int ret = 0;

	if (from->size == sizeof(*entries))
		return copy_from_user(entries, user, n * sizeof(*entries)) ?
		       -EFAULT : 0;
	for (i = 0; i < n && !ret; i++)
		ret = copy_struct_from_user(&entries[i], sizeof(*entries),
					    user + (size_t)i * from->size,
					    from->size);
	return ret;
}

static int check_rehome(const struct ioasid_rehome *cmd)
{
	if (cmd->__reserved || cmd->moved || cmd->fail_iova)
		return -EINVAL;
	if (!cmd->nr)
		return 0;
	if (cmd->entry_size > IOASID_ENTRY_MAX)
		return -E2BIG;
	return cmd->entry_size < sizeof(struct ioasid_rehome_entry) ? -EINVAL :
								      0;
}

long ioasid_cmd_rehome(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user)
{
	struct ioasid_rehome *cmd = &arg->rehome;
	struct user_rehome from = {
		.rehome.probe = cmd->flags & IOASID_REHOME_PROBE,
		.rehome.nr = cmd->nr,
		.rehome.read = read_entries,
		.entries = cmd->entries,
		.size = cmd->entry_size,
	};
	struct ioasid *ioasid;
	struct ioas *ioas;
	int ret;

	ret = check_rehome(cmd);
	if (ret)
		return ret;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	/* A move cannot be undone */
	if (copy_out(user, cmd, sizeof(*cmd))) {
		ret = -EFAULT;
		goto out_put;
	}
	ioas = ioasid_ioas(ioasid);
	ret = IS_ERR(ioas) ? PTR_ERR(ioas) : ioas_rehome(ioas, &from.rehome);
	cmd->moved = from.rehome.moved;
	cmd->fail_iova = ret ? from.rehome.fail_iova : 0;
	if (copy_out(user, cmd, sizeof(*cmd)))
		ret = -EFAULT;
out_put:
	ioasid_put(ioasid);
	return ret;
}
