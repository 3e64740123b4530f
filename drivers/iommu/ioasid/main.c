// SPDX-License-Identifier: GPL-2.0-only
/*
 * The node /dev/ioasid: commands, and state that can be seen.
 *
 * Invariants:
 *  - One table says which commands there are and how large their structures
 *    are; one function copies them in and checks what is common to all.
 *  - What a command tells the caller is copied out before it takes effect, or a
 *    copy that fails undoes it.
 *
 * Locks: none of its own.  User memory is touched with no lock held.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/ioasid.h>

#define CREATE_TRACE_POINTS
#include <trace/events/ioasid.h>

#include "device.h"
#include "ioas/domain.h"
#include "mem/pin.h"
#include "share.h"
#include "uring.h"

/* ---- Commands ---- */

/* A command's structure, copied in, and where it came from */
union ioasid_arg {
	struct {
		__u32 argsz;
		__u32 flags;
	};
	struct ioasid_check_extension check;
	struct ioasid_alloc alloc;
	struct ioasid_free free;
	struct ioasid_info info;
	struct ioasid_device_info device;
	struct ioasid_map_dma map;
	struct ioasid_unmap_dma unmap;
	struct ioasid_dma_batch batch;
	struct ioasid_export export;
	struct ioasid_import import;
	struct ioasid_query_map query;
	struct ioasid_list list;
	struct ioasid_set_option option;
};

static long cmd_check_extension(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				void __user *user)
{
	if (arg->check.__reserved)
		return -EINVAL;

	switch (arg->check.extension) {
	case IOASID_EXT_MAP:
	case IOASID_EXT_SPLIT:
	case IOASID_EXT_QUERY_MAP:
	case IOASID_EXT_PROTECT:
	case IOASID_EXT_REPLACE:
	case IOASID_EXT_DMA_BATCH:
	case IOASID_EXT_EXPORT:
		return 1;
	case IOASID_EXT_MAX_DEPTH:
		return IOASID_MAX_DEPTH;
	case IOASID_EXT_URING_BATCH:
		return IS_ENABLED(CONFIG_IO_URING);
	case IOASID_EXT_MAP_FILE:
		return IS_ENABLED(CONFIG_MEMFD_CREATE);
	case IOASID_EXT_MAX_IOASIDS:
		return IOASID_MAX_ID;
	default:
		return 0;
	}
}

/* A size that must be a power of two, at least a page, or 0 for none */
static int size_to_shift(u64 size, unsigned int *shift)
{
	*shift = 0;
	if (!size)
		return 0;
	if (!is_power_of_2(size) || size < PAGE_SIZE)
		return -EINVAL;
	*shift = ilog2(size);
	return 0;
}

static long cmd_alloc(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		      void __user *user)
{
	struct ioasid_alloc __user *out = user;
	struct ioasid_alloc *cmd = &arg->alloc;
	struct ioasid_params params = {};
	struct ioasid *ioasid;
	unsigned int shift;

	if (cmd->kind != IOASID_KIND_MAP)
		return -EOPNOTSUPP;
	if (cmd->snoop > IOASID_SNOOP_ON)
		return -EOPNOTSUPP;
	if (cmd->format || cmd->fault_queue)
		return -EINVAL;
	if (size_to_shift(cmd->cut_size, &shift))
		return -EINVAL;

	params.cookie = cmd->cookie;
	params.parent = cmd->parent;
	params.kind = cmd->kind;
	params.snoop = cmd->snoop;
	params.cut_shift = shift;
	ioasid = ioasid_alloc(ctx, &params, &ioasid_attach_space_ops);
	if (IS_ERR(ioasid))
		return PTR_ERR(ioasid);
	if (put_user(ioasid->obj.id, &out->ioasid)) {
		ioasid_abort(ioasid);
		return -EFAULT;
	}
	trace_ioasid_alloc(ioasid->obj.id);
	ioasid_object_publish(&ioasid->obj);
	return 0;
}

static long cmd_free(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		     void __user *user)
{
	int ret;

	if (arg->free.__reserved)
		return -EINVAL;
	ret = ioasid_free(ctx, arg->free.ioasid,
			  arg->free.flags & IOASID_FREE_CASCADE);
	if (!ret)
		trace_ioasid_free(arg->free.ioasid);
	return ret;
}

/* Copy as many ranges as fit into the caller's array */
static int copy_ranges(u64 to, u32 room, const struct ioasid_ranges *ranges)
{
	u32 n = min(room, ranges->nr);

	if (n && copy_to_user(u64_to_user_ptr(to), ranges->range,
			      n * sizeof(ranges->range[0])))
		return -EFAULT;
	return 0;
}

/* The permitted ranges of a space, to be freed by kfree() */
static struct ioasid_ranges *permitted_ranges(struct ioasid_space *space)
{
	struct ioasid_ranges *copy = NULL;
	unsigned int nr = 1;

	for (;;) {
		kfree(copy);
		copy = kzalloc(struct_size(copy, range, nr),
			       GFP_KERNEL_ACCOUNT);
		if (!copy)
			return NULL;
		copy->nr = nr;
		spin_lock(&space->lock);
		if (!space->permitted) {
			copy->nr = 1;
			copy->range[0].start = 0;
			copy->range[0].last = U64_MAX;
			nr = 1;
		} else if (space->permitted->nr <= nr) {
			nr = space->permitted->nr;
			memcpy(copy->range, space->permitted->range,
			       nr * sizeof(copy->range[0]));
			copy->nr = nr;
		} else {
			nr = space->permitted->nr;
			copy->nr = 0;
		}
		spin_unlock(&space->lock);
		if (copy->nr || !nr)
			return copy;
	}
}

/* Bits of enum ioasid_state that the space's lock protects; it is held. */
static u32 space_state(struct ioasid_space *space)
{
	const struct ioasid_space *parent = space->parent;
	u32 state = 0;

	if (space->devices)
		state |= IOASID_STATE_ATTACHED;
	if (space->partial)
		state |= IOASID_STATE_PARTIAL_GROUP;
	if (space->poisoned)
		state |= IOASID_STATE_POISONED;
	if (space->window ? ioasid_window_shut(parent, space->window) :
			    parent && parent->dead)
		state |= IOASID_STATE_ORPHAN;
	return state;
}

static void fill_info(struct ioasid *ioasid, struct ioasid_info *info)
{
	struct ioasid_space *space = &ioasid->space;
	const struct ioasid_space *parent = space->parent;
	struct ioasid_domain *dom;

	info->kind = ioasid->obj.kind;
	info->parent = ioasid_parent_id(ioasid);
	info->cookie = ioasid->cookie;
	info->snoop = ioasid->space.must_enforce ? IOASID_SNOOP_ON :
						   IOASID_SNOOP_AUTO;
	info->pgsizes = PAGE_SIZE | PMD_SIZE | PUD_SIZE;

	down_read(&space->domains_sem);
	list_for_each_entry(dom, &space->domains, node) {
		if (!info->nr_domains++)
			info->pgsizes = dom->iommu->pgsize_bitmap;
		else
			info->pgsizes &= dom->iommu->pgsize_bitmap;
	}
	up_read(&space->domains_sem);

	spin_lock(&space->lock);
	if (space->cut_shift)
		info->cut_size = BIT_ULL(space->cut_shift);
	info->nr_devices = space->devices;
	info->nr_children = space->children;
	info->nr_mappings = space->nr_mappings;
	info->bytes_mapped = space->bytes_mapped;
	/* What a child maps is pinned and charged by its root */
	if (!parent)
		info->bytes_pinned = space->bytes_mapped +
				     ioasid_space_bytes_kept(space);
	info->bytes_charged = info->bytes_pinned;
	info->state |= space_state(space);
	spin_unlock(&space->lock);
	if (ioasid_devmem_any_revoked(space))
		info->state |= IOASID_STATE_REVOKED;
}

static long cmd_get_info(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			 void __user *user)
{
	struct ioasid_info *cmd = &arg->info;
	struct ioasid_info info = {
		.argsz = cmd->argsz,
		.ioasid = cmd->ioasid,
		.ranges = cmd->ranges,
	};
	struct ioasid_ranges *ranges;
	struct ioasid *ioasid;
	int ret = -ENOMEM;

	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return ioasid_share_info(ctx, cmd, user);
	info.mappings_left = U64_MAX;
	info.permission = IOASID_MAP_READ | IOASID_MAP_WRITE;
	fill_info(ioasid, &info);
	info.bytes_left = ioasid_account_left(&ctx->account);
	/* It may have joined since: then nobody is waited for */
	if (info.state & IOASID_STATE_PARTIAL_GROUP &&
	    !ioasid_waits_for(ioasid, &info.waiting_devid,
			      &info.waiting_cookie))
		info.state &= ~IOASID_STATE_PARTIAL_GROUP;
	ranges = permitted_ranges(&ioasid->space);
	ioasid_put(ioasid);
	if (!ranges)
		return ret;

	info.nr_ranges = ranges->nr;
	ret = copy_ranges(cmd->ranges, cmd->nr_ranges, ranges);
	kfree(ranges);
	if (!ret && copy_to_user(user, &info, min_t(size_t, cmd->argsz,
						    sizeof(info))))
		ret = -EFAULT;
	return ret;
}

static long cmd_device_get_info(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				void __user *user)
{
	struct ioasid_device_info *cmd = &arg->device;
	struct ioasid_device_info info = {
		.argsz = cmd->argsz,
		.devid = cmd->devid,
		.hw_data = cmd->hw_data,
		.ranges = cmd->ranges,
	};
	struct ioasid_ranges *ranges;
	struct ioasid_device *idev;
	void *hw_data;
	int ret;

	if (cmd->__reserved)
		return -EINVAL;
	idev = ioasid_device_get(ctx, cmd->devid);
	if (!idev)
		return -ENOENT;
	ranges = ioasid_device_describe(idev, &info, &hw_data);
	ioasid_device_put(idev);
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);

	info.nr_ranges = ranges->nr;
	ret = copy_ranges(cmd->ranges, cmd->nr_ranges, ranges);
	if (!ret && cmd->hw_data && hw_data &&
	    copy_to_user(u64_to_user_ptr(cmd->hw_data), hw_data,
			 min(cmd->hw_len, info.hw_len)))
		ret = -EFAULT;
	if (!ret && copy_to_user(user, &info, min_t(size_t, cmd->argsz,
						    sizeof(info))))
		ret = -EFAULT;
	kfree(hw_data);
	kfree(ranges);
	return ret;
}

#define CHANGE_FLAGS	(IOASID_MAP_PROTECT | IOASID_MAP_REPLACE)
#define MAP_FLAGS	(IOASID_MAP_READ | IOASID_MAP_WRITE | \
			 IOASID_MAP_FIXED | IOASID_MAP_FILE | \
			 IOASID_MAP_RESERVE | CHANGE_FLAGS | IOASID_MAP_SPLIT)

/* Is [start, start + length) whole pages, not empty, within 64 bits? */
static bool range_valid(u64 start, u64 length)
{
	u64 last;

	return length && PAGE_ALIGNED(start) && PAGE_ALIGNED(length) &&
	       !check_add_overflow(start, length - 1, &last);
}

/* What is mapped is changed in place, if it is: does that fit together? */
static bool change_valid(const struct ioasid_map_dma *cmd)
{
	unsigned int flags = cmd->flags;

	if (!(flags & CHANGE_FLAGS))
		return !(flags & IOASID_MAP_SPLIT);
	if (!(flags & IOASID_MAP_FIXED) || flags & IOASID_MAP_RESERVE)
		return false;
	if (!(flags & IOASID_MAP_PROTECT))
		return true;
	return !(flags & (IOASID_MAP_REPLACE | IOASID_MAP_FILE)) &&
	       !cmd->addr && !cmd->cut_size;
}

static int check_map(const struct ioasid_map_dma *cmd, unsigned int *cut_shift)
{
	unsigned int unused, flags = cmd->flags;

	if (flags & IOASID_MAP_RESERVE) {
		if (flags & (IOASID_MAP_READ | IOASID_MAP_WRITE |
			     IOASID_MAP_FILE) || cmd->addr)
			return -EINVAL;
	} else if (!(flags & (IOASID_MAP_READ | IOASID_MAP_WRITE))) {
		return -EINVAL;
	}
	if (!change_valid(cmd))
		return -EINVAL;
	if (!(flags & IOASID_MAP_FILE) && cmd->fd)
		return -EINVAL;
	if (flags & IOASID_MAP_FIXED ? cmd->alignment : cmd->iova)
		return -EINVAL;
	if (!range_valid(cmd->iova, cmd->length) ||
	    !range_valid(cmd->addr, cmd->length))
		return -EINVAL;
	if (size_to_shift(cmd->cut_size, cut_shift) ||
	    size_to_shift(cmd->alignment, &unused))
		return -EINVAL;
	return 0;
}

/* Say where, and leave the structure such that the call can be repeated */
static int tell_map_failed(const struct ioasid_map_dma *cmd,
			   struct ioasid_map_dma __user *out,
			   const struct ioasid_map_request *req, int ret)
{
	if (!(cmd->flags & IOASID_MAP_FIXED) && put_user(0, &out->iova))
		return -EFAULT;
	if (ioasid_map_has_fault_addr(req, ret) &&
	    put_user(req->fault_addr, &out->fault_addr))
		return -EFAULT;
	return 0;
}

static long cmd_map_dma(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			void __user *user)
{
	struct ioasid_map_dma __user *out = user;
	struct ioasid_map_dma *cmd = &arg->map;
	struct ioasid_map_request req = {
		.iova = cmd->iova,
		.addr = cmd->addr,
		.length = cmd->length,
		.alignment = cmd->alignment,
		.flags = cmd->flags,
	};
	struct ioasid_mapping *m;
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
		if (ioasid->space.parent)
			goto out_put;
		req.file = fget(cmd->fd);
		if (!req.file) {
			ret = -EBADF;
			goto out_put;
		}
	}

	if (unlikely(cmd->flags & CHANGE_FLAGS)) {
		ret = ioasid_space_change(&ioasid->space, &req);
		goto out_tell;
	}
	if (ioasid->space.parent && (cmd->flags & (IOASID_MAP_FIXED |
						   IOASID_MAP_RESERVE)) ==
				    IOASID_MAP_FIXED) {
		ret = ioasid_space_refer(&ioasid->space, &req);
		goto out_tell;
	}
	m = ioasid_space_reserve(&ioasid->space, &req);
	if (IS_ERR(m)) {
		ret = PTR_ERR(m);
	} else if (!(cmd->flags & IOASID_MAP_FIXED) &&
		   put_user(req.iova, &out->iova)) {
		ioasid_space_abort(&ioasid->space, m);
		ret = -EFAULT;
		goto out_file;
	} else {
		ret = ioasid_space_commit(&ioasid->space, m, &req);
	}
out_tell:
	trace_ioasid_map(cmd->ioasid, req.iova, cmd->length, cmd->flags, ret);
	if (unlikely(ret) && tell_map_failed(cmd, out, &req, ret))
		ret = -EFAULT;
out_file:
	if (req.file)
		fput(req.file);
out_put:
	ioasid_put(ioasid);
	return ret;
}

static long cmd_unmap_dma(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_unmap_dma __user *out = user;
	struct ioasid_unmap_dma *cmd = &arg->unmap;
	struct ioasid_unmap_request req = {
		.flags = cmd->flags,
		.patience = IOASID_PATIENCE,
	};
	u64 start = 0, last = U64_MAX;
	struct ioasid *ioasid;
	int ret;

	/* What is unmapped cannot be mapped again when this cannot be told */
	if (put_user(0, &out->unmapped))
		return -EFAULT;
	if (cmd->__reserved)
		return -EINVAL;
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
	ret = ioasid_space_unmap(&ioasid->space, start, last, &req);
	trace_ioasid_unmap(cmd->ioasid, start, last - start + 1, req.removed,
			   ret);
	ioasid_put(ioasid);
	if (put_user(req.removed, &out->unmapped))
		ret = -EFAULT;
	return ret;
}

static long cmd_dma_batch(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_dma_batch __user *out = user;
	struct ioasid_dma_batch *cmd = &arg->batch;
	struct ioasid_batch_source from = {
		.user = u64_to_user_ptr(cmd->ops),
	};
	struct ioasid_batch_result result;
	struct ioasid *ioasid;
	int ret;

	/* What is done cannot be undone when this cannot be told */
	if (put_user(0, &out->done))
		return -EFAULT;
	if (!cmd->nr)
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	ret = ioasid_space_batch(&ioasid->space, &from, cmd->nr, &result);
	trace_ioasid_batch(cmd->ioasid, cmd->nr, result.done, result.unmapped,
			   ret);
	ioasid_put(ioasid);
	if (put_user(result.done, &out->done) ||
	    put_user(ret, &out->error) ||
	    put_user(result.unmapped, &out->unmapped) ||
	    (result.has_fault_addr &&
	     put_user(result.fault_addr, &out->fault_addr)))
		return -EFAULT;
	return result.done ? 0 : ret;
}

static long cmd_query_map(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user)
{
	struct ioasid_query_map *cmd = &arg->query;
	struct ioasid *ioasid;
	int ret;

	if (cmd->more || cmd->__reserved || cmd->next)
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	ret = ioasid_space_query(&ioasid->space, cmd);
	ioasid_put(ioasid);
	if (!ret && copy_to_user(user, cmd, min_t(size_t, cmd->argsz,
						  sizeof(*cmd))))
		ret = -EFAULT;
	return ret;
}

static long cmd_export(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user)
{
	struct ioasid_export *cmd = &arg->export;

	if (!range_valid(cmd->iova, cmd->length))
		return -EINVAL;
	return ioasid_share_export(ctx, cmd, user);
}

static long cmd_import(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user)
{
	return ioasid_share_import(ctx, &arg->import, user);
}

/* Entries that are copied out at a time */
#define LIST_BATCH	32

struct list_out {
	struct ioasid_list_entry entry[LIST_BATCH];
	u32 nr;
	u32 total;
	u32 room;
	u64 to;
};

static int list_flush(struct list_out *out)
{
	u32 n = min(out->nr, out->room);

	if (n && copy_to_user(u64_to_user_ptr(out->to), out->entry,
			      n * sizeof(out->entry[0])))
		return -EFAULT;
	out->to += (u64)n * sizeof(out->entry[0]);
	out->room -= n;
	out->nr = 0;
	return 0;
}

static int list_add_entry(struct list_out *out,
			  const struct ioasid_list_entry *entry)
{
	out->total++;
	if (out->room <= out->nr)
		return 0;
	out->entry[out->nr++] = *entry;
	return out->nr == LIST_BATCH ? list_flush(out) : 0;
}

static int list_ioasid(struct list_out *out, struct ioasid *ioasid)
{
	struct ioasid_list_entry entry = {
		.type = IOASID_LIST_IOASID,
		.id = ioasid->obj.id,
		.cookie = ioasid->cookie,
		.kind = ioasid->obj.kind,
		.parent = ioasid_parent_id(ioasid),
	};

	return list_add_entry(out, &entry);
}

static int list_import(struct list_out *out, struct ioasid_proxy *proxy)
{
	struct ioasid_list_entry entry = {
		.type = IOASID_LIST_IOASID,
		.id = proxy->obj.id,
		.cookie = proxy->cookie,
		.kind = IOASID_KIND_IMPORT,
	};

	return list_add_entry(out, &entry);
}

static int list_device(struct list_out *out, struct ioasid_device *idev)
{
	struct ioasid_list_entry entry = {
		.type = IOASID_LIST_DEVICE,
		.id = idev->obj.id,
		.cookie = idev->cookie,
	};
	int ret;

	ret = list_add_entry(out, &entry);
	entry.ioasid = ioasid_device_attached_to(idev);
	if (ret || !entry.ioasid)
		return ret;
	entry.type = IOASID_LIST_ATTACHMENT;
	return list_add_entry(out, &entry);
}

/*
 * The first object from *@id on, with a reference.  Its memory may be reused
 * under the look, so it is got like any other.
 */
static struct ioasid_object *object_first(struct ioasid_ctx *ctx,
					  unsigned long *id)
{
	struct ioasid_object *obj;
	struct ioasid_proxy *proxy;
	struct ioasid *ioasid;
	u8 type;

	for (;; (*id)++) {
		rcu_read_lock();
		obj = xa_find(&ctx->objects, id, UINT_MAX, XA_PRESENT);
		type = obj ? READ_ONCE(obj->type) : 0;
		rcu_read_unlock();
		if (!obj)
			return NULL;
		if (type == IOASID_OBJECT_IOASID) {
			ioasid = ioasid_get(ctx, *id);
			if (ioasid)
				return &ioasid->obj;
		} else if (type == IOASID_OBJECT_IMPORT) {
			proxy = ioasid_proxy_get(ctx, *id);
			if (proxy)
				return &proxy->obj;
		} else {
			obj = ioasid_object_get(ctx, *id, IOASID_OBJECT_DEVICE);
			if (obj)
				return obj;
		}
	}
}

static void object_put(struct ioasid_object *obj)
{
	if (obj->type == IOASID_OBJECT_IOASID)
		ioasid_put(container_of(obj, struct ioasid, obj));
	else if (obj->type == IOASID_OBJECT_IMPORT)
		ioasid_proxy_put(container_of(obj, struct ioasid_proxy, obj));
	else
		ioasid_device_put(container_of(obj, struct ioasid_device, obj));
}

static long cmd_list(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		     void __user *user)
{
	struct ioasid_list __user *to = user;
	struct ioasid_list *cmd = &arg->list;
	unsigned long id = cmd->start;
	struct ioasid_object *obj;
	struct list_out *out;
	int ret = 0;

	out = kzalloc(sizeof(*out), GFP_KERNEL_ACCOUNT);
	if (!out)
		return -ENOMEM;
	out->room = cmd->nr;
	out->to = cmd->entries;
	for (; !ret && (obj = object_first(ctx, &id)); id++) {
		if (obj->type == IOASID_OBJECT_IOASID)
			ret = list_ioasid(out, container_of(obj, struct ioasid,
							    obj));
		else if (obj->type == IOASID_OBJECT_IMPORT)
			ret = list_import(out, container_of(obj,
							    struct ioasid_proxy,
							    obj));
		else
			ret = list_device(out, container_of(obj,
							    struct ioasid_device,
							    obj));
		object_put(obj);
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	if (!ret)
		ret = list_flush(out);
	if (!ret && put_user(out->total, &to->nr))
		ret = -EFAULT;
	kfree(out);
	return ret;
}

static u64 option_get(struct ioasid_ctx *ctx, u32 option)
{
	switch (option) {
	case IOASID_OPTION_CHARGE:
		return ctx->account.charge;
	case IOASID_OPTION_LIMIT_PINNED:
		return ctx->account.limit;
	default:
		return ctx->limit_ioasids;
	}
}

static int option_set(struct ioasid_ctx *ctx, u32 option, u64 value)
{
	switch (option) {
	case IOASID_OPTION_CHARGE:
		if (value > IOASID_CHARGE_ONCE)
			return -EOPNOTSUPP;
		/* To seal what is in force is never too late */
		if (value == option_get(ctx, option))
			return 0;
		return ioasid_account_set_charge(&ctx->account, value);
	case IOASID_OPTION_LIMIT_PINNED:
		WRITE_ONCE(ctx->account.limit, value);
		return 0;
	default:
		WRITE_ONCE(ctx->limit_ioasids, value);
		return 0;
	}
}

static long cmd_set_option(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			   void __user *user)
{
	struct ioasid_set_option *cmd = &arg->option;
	bool get = cmd->flags & IOASID_OPTION_GET;
	int ret = 0;

	if (cmd->sealed || (get && (cmd->value ||
				    cmd->flags & IOASID_OPTION_SEAL)))
		return -EINVAL;
	if (cmd->option < IOASID_OPTION_CHARGE ||
	    cmd->option > IOASID_OPTION_LIMIT_IOASIDS)
		return -EOPNOTSUPP;

	mutex_lock(&ctx->lock);
	if (get) {
		cmd->value = option_get(ctx, cmd->option);
		cmd->sealed = !!(ctx->sealed & BIT(cmd->option));
	} else if (ctx->sealed & BIT(cmd->option)) {
		ret = -EPERM;
	} else {
		ret = option_set(ctx, cmd->option, cmd->value);
		if (!ret && cmd->flags & IOASID_OPTION_SEAL)
			ctx->sealed |= BIT(cmd->option);
	}
	mutex_unlock(&ctx->lock);

	if (get && copy_to_user(user, cmd, min_t(size_t, cmd->argsz,
						 sizeof(*cmd))))
		return -EFAULT;
	if (!get && !ret)
		trace_ioasid_option(cmd->option, cmd->value,
				    cmd->flags & IOASID_OPTION_SEAL);
	return ret;
}

/**
 * struct ioasid_cmd - a command
 * @size: of its structure
 * @min: the least that the first release of the command had
 * @flags: the flags that it knows
 * @fn: carries it out
 */
struct ioasid_cmd {
	u16 size;
	u16 min;
	u32 flags;
	long (*fn)(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		   void __user *user);
};

#define CMD(_nr, _type, _last, _flags, _fn)				\
	[_IOC_NR(_nr) - IOASID_BASE] = {				\
		.size = sizeof(_type) +					\
			BUILD_BUG_ON_ZERO(sizeof(_type) % sizeof(u64)),	\
		.min = offsetofend(_type, _last),			\
		.flags = _flags,					\
		.fn = _fn,						\
	}

static const struct ioasid_cmd ioasid_cmds[] = {
	CMD(IOASID_CHECK_EXTENSION, struct ioasid_check_extension, __reserved,
	    0, cmd_check_extension),
	CMD(IOASID_ALLOC, struct ioasid_alloc, ioasid, 0, cmd_alloc),
	CMD(IOASID_FREE, struct ioasid_free, __reserved, IOASID_FREE_CASCADE,
	    cmd_free),
	CMD(IOASID_GET_INFO, struct ioasid_info, ranges, 0, cmd_get_info),
	CMD(IOASID_DEVICE_GET_INFO, struct ioasid_device_info, ranges, 0,
	    cmd_device_get_info),
	CMD(IOASID_MAP_DMA, struct ioasid_map_dma, fault_addr, MAP_FLAGS,
	    cmd_map_dma),
	CMD(IOASID_UNMAP_DMA, struct ioasid_unmap_dma, unmapped,
	    IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT | IOASID_UNMAP_CASCADE,
	    cmd_unmap_dma),
	CMD(IOASID_DMA_BATCH, struct ioasid_dma_batch, fault_addr, 0,
	    cmd_dma_batch),
	CMD(IOASID_QUERY_MAP, struct ioasid_query_map, __reserved, 0,
	    cmd_query_map),
	CMD(IOASID_EXPORT, struct ioasid_export, max_mappings,
	    IOASID_EXPORT_READ | IOASID_EXPORT_WRITE, cmd_export),
	CMD(IOASID_IMPORT, struct ioasid_import, cookie, 0, cmd_import),
	CMD(IOASID_LIST, struct ioasid_list, entries, 0, cmd_list),
	CMD(IOASID_SET_OPTION, struct ioasid_set_option, value,
	    IOASID_OPTION_GET | IOASID_OPTION_SEAL, cmd_set_option),
};

/*
 * Copy in a structure of the size that the kernel has: nearly always the case,
 * and worth to go to user memory only once.
 */
static bool copy_same_size(union ioasid_arg *arg, unsigned int size,
			   const void __user *uptr)
{
	const u64 __user *from = uptr;
	u64 *to = (u64 *)arg;
	unsigned int i;

	if (!user_read_access_begin(uptr, size))
		return false;
	unsafe_get_user(to[0], from, fault);
	if (unlikely(arg->argsz != size))
		goto fault;
	for (i = 1; i < size / sizeof(u64); i++)
		unsafe_get_user(to[i], from + i, fault);
	user_read_access_end();
	return true;

fault:
	user_read_access_end();
	return false;
}

static int copy_any_size(union ioasid_arg *arg, const struct ioasid_cmd *cmd,
			 const void __user *uptr)
{
	u32 argsz;
	int ret;

	if (get_user(argsz, (u32 __user *)uptr))
		return -EFAULT;
	if (argsz < cmd->min)
		return -EINVAL;
	/* No structure will be: do not look through gigabytes of zeroes */
	if (argsz > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(arg, cmd->size, uptr, argsz);
	/* Another thread may have changed it in between */
	arg->argsz = argsz;
	return ret;
}

static long ioasid_fops_ioctl(struct file *filp, unsigned int nr,
			      unsigned long user)
{
	unsigned int index = _IOC_NR(nr) - IOASID_BASE;
	void __user *uptr = (void __user *)user;
	const struct ioasid_cmd *cmd;
	/* As much of it is copied in as the command looks at */
	union ioasid_arg arg __uninitialized;
	int ret;

	if (nr != _IO(IOASID_TYPE, _IOC_NR(nr)) ||
	    index >= ARRAY_SIZE(ioasid_cmds))
		return -ENOTTY;
	cmd = &ioasid_cmds[array_index_nospec(index, ARRAY_SIZE(ioasid_cmds))];
	if (!cmd->fn)
		return -ENOTTY;

	if (unlikely(!copy_same_size(&arg, cmd->size, uptr))) {
		ret = copy_any_size(&arg, cmd, uptr);
		if (ret)
			return ret;
	}
	if (arg.flags & ~cmd->flags)
		return -EOPNOTSUPP;
	return cmd->fn(filp->private_data, &arg, uptr);
}

/* ---- The file ---- */

static int ioasid_fops_open(struct inode *inode, struct file *filp)
{
	struct ioasid_ctx *ctx = ioasid_ctx_alloc();

	if (!ctx)
		return -ENOMEM;
	filp->private_data = ctx;
	return 0;
}

static int ioasid_fops_release(struct inode *inode, struct file *filp)
{
	ioasid_ctx_close(filp->private_data);
	ioasid_ctx_put(filp->private_data);
	return 0;
}

/* IOASIDs that fdinfo tells of one by one */
#define FDINFO_IOASIDS	1024

static void show_limit(struct seq_file *m, const char *name, u64 limit)
{
	if (limit == U64_MAX)
		seq_printf(m, "%s:\tmax\n", name);
	else
		seq_printf(m, "%s:\t%llu\n", name, limit);
}

static void show_device(struct seq_file *m, struct ioasid_device *idev)
{
	mutex_lock(&idev->lock);
	if (!idev->gone)
		seq_printf(m, "device:\tid=%u cookie=0x%llx name=%s group=%d ioasid=%u\n",
			   idev->obj.id, idev->cookie, dev_name(idev->dev),
			   idev->group ? iommu_group_id(idev->group->group) : -1,
			   ioasid_device_attached_to(idev));
	mutex_unlock(&idev->lock);
}

/* The words for enum ioasid_state */
static const char * const state_words[] = {
	"attached", "partial", "poisoned", "orphan", "revoked",
};

static void show_state(struct seq_file *m, unsigned long state)
{
	unsigned int bit;

	if (!(state & IOASID_STATE_ATTACHED))
		seq_puts(m, "idle");
	for_each_set_bit(bit, &state, ARRAY_SIZE(state_words)) {
		if (bit)
			seq_putc(m, ',');
		seq_puts(m, state_words[bit]);
	}
	seq_putc(m, '\n');
}

static void show_ioasid(struct seq_file *m, struct ioasid *ioasid)
{
	struct ioasid_space *space = &ioasid->space;
	const bool parent = space->parent;
	unsigned int devices, children;
	u64 nr_mappings, mapped, kept;
	u32 state;

	spin_lock(&space->lock);
	nr_mappings = space->nr_mappings;
	mapped = space->bytes_mapped;
	kept = ioasid_space_bytes_kept(space);
	devices = space->devices;
	children = space->children;
	state = space_state(space);
	spin_unlock(&space->lock);
	if (ioasid_devmem_any_revoked(space))
		state |= IOASID_STATE_REVOKED;
	seq_printf(m, "ioasid:\tid=%u kind=map parent=%u cookie=0x%llx devices=%u children=%u mappings=%llu mapped=%llu pinned=%llu charged=%llu state=",
		   ioasid->obj.id, ioasid_parent_id(ioasid), ioasid->cookie,
		   devices, children, nr_mappings, mapped,
		   parent ? 0 : mapped + kept, parent ? 0 : mapped + kept);
	show_state(m, state);
}

static const char * const charge_name[] = {
	[IOASID_CHARGE_USER] = "user",
	[IOASID_CHARGE_MM] = "mm",
	[IOASID_CHARGE_ONCE] = "once",
};

static void ioasid_fops_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct ioasid_ctx *ctx = filp->private_data;
	unsigned int shown = 0, more = 0;
	struct ioasid_object *obj;
	unsigned long id = 0;

	seq_printf(m, "ioasid-charge:\t%s\n",
		   charge_name[READ_ONCE(ctx->account.charge)]);
	seq_printf(m, "ioasid-charged:\t%llu\n",
		   ioasid_account_charged(&ctx->account));
	seq_printf(m, "ioasid-pinned:\t%llu\n",
		   (u64)atomic64_read(&ctx->account.pinned));
	show_limit(m, "ioasid-limit-pinned", READ_ONCE(ctx->account.limit));
	seq_printf(m, "ioasid-count:\t%u\n", atomic_read(&ctx->nr_ioasids));
	show_limit(m, "ioasid-limit-ioasids", READ_ONCE(ctx->limit_ioasids));

	for (; (obj = object_first(ctx, &id)); id++) {
		if (obj->type == IOASID_OBJECT_DEVICE)
			show_device(m, container_of(obj, struct ioasid_device,
						    obj));
		else if (shown++ >= FDINFO_IOASIDS)
			more++;
		else if (obj->type == IOASID_OBJECT_IMPORT)
			ioasid_share_show(m, container_of(obj,
							  struct ioasid_proxy,
							  obj));
		else
			show_ioasid(m, container_of(obj, struct ioasid, obj));
		object_put(obj);
		if (seq_has_overflowed(m) || fatal_signal_pending(current))
			return;
		cond_resched();
	}
	if (more)
		seq_printf(m, "ioasid-more:\t%u\n", more);
}

static const struct file_operations ioasid_fops = {
	.owner = THIS_MODULE,
	.open = ioasid_fops_open,
	.release = ioasid_fops_release,
	.unlocked_ioctl = ioasid_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = ioasid_fops_uring_cmd,
	.show_fdinfo = ioasid_fops_show_fdinfo,
};

/**
 * ioasid_file_is_ctx() - whether a file is one of /dev/ioasid
 * @file: any file
 *
 * For a framework that has to know before it loads its front: by symbol_get(),
 * since it does not need this module otherwise.
 *
 * Return: whether it is.
 */
bool ioasid_file_is_ctx(struct file *file)
{
	return file->f_op == &ioasid_fops;
}
EXPORT_SYMBOL_GPL(ioasid_file_is_ctx);

/**
 * ioasid_ctx_from_file() - the context of an open file
 * @file: any file
 *
 * Return: the context with a reference, or ERR_PTR(-EBADFD): the file is not
 * one of /dev/ioasid.
 */
struct ioasid_ctx *ioasid_ctx_from_file(struct file *file)
{
	struct ioasid_ctx *ctx;

	if (!ioasid_file_is_ctx(file))
		return ERR_PTR(-EBADFD);
	ctx = file->private_data;
	ioasid_ctx_get(ctx);
	return ctx;
}
EXPORT_SYMBOL_GPL(ioasid_ctx_from_file);

/**
 * ioasid_ctx_from_fd() - the context of a file descriptor
 * @fd: a file descriptor of the calling process
 *
 * Return: the context with a reference, or ERR_PTR(-EBADF): it is not open, or
 * not a file of /dev/ioasid.
 */
struct ioasid_ctx *ioasid_ctx_from_fd(int fd)
{
	struct file *file = fget(fd);
	struct ioasid_ctx *ctx;

	if (!file)
		return ERR_PTR(-EBADF);
	ctx = ioasid_ctx_from_file(file);
	fput(file);
	return IS_ERR(ctx) ? ERR_PTR(-EBADF) : ctx;
}
EXPORT_SYMBOL_GPL(ioasid_ctx_from_fd);

static struct miscdevice ioasid_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ioasid",
	.nodename = "ioasid",
	.mode = 0660,
	.fops = &ioasid_fops,
};

static int __init ioasid_init(void)
{
	int ret;

	ioasid_pin_init();
	ret = ioasid_charge_init();
	if (ret)
		return ret;
	ret = ioasid_space_cache_init();
	if (ret)
		goto err_memory;
	ret = ioasid_context_init();
	if (ret)
		goto err_space;
	ret = misc_register(&ioasid_misc);
	if (ret)
		goto err_context;
	return 0;

err_context:
	ioasid_context_exit();
err_space:
	ioasid_space_cache_exit();
err_memory:
	ioasid_charge_exit();
	return ret;
}
module_init(ioasid_init);

static void __exit ioasid_exit(void)
{
	misc_deregister(&ioasid_misc);
	/* Devices that were looked up are freed by RCU */
	rcu_barrier();
	ioasid_context_exit();
	ioasid_space_cache_exit();
	ioasid_charge_exit();
}
module_exit(ioasid_exit);

MODULE_DESCRIPTION("I/O address spaces for user space");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(IOMMUFD_INTERNAL);
