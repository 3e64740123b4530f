// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of a context: IOASID_GET_INFO, IOASID_DEVICE_GET_INFO, IOASID_LIST
 * and fdinfo.
 *
 * Locks: none of its own.  User memory is accessed with no lock held.
 */
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "attach.h"
#include "device.h"
#include "faults.h"
#include "ioctl.h"
#include "kind.h"
#include "number.h"
#include "share.h"

static void info_from_stats(struct ioasid_info *info,
			    const struct ioas_stats *stats)
{
	if (stats->cut_shift)
		info->cut_size = BIT_ULL(stats->cut_shift);
	info->nr_devices = stats->nr_devices;
	info->nr_children = stats->nr_children;
	info->nr_mappings = stats->nr_mappings;
	info->bytes_mapped = stats->bytes_mapped;
	info->bytes_pinned = stats->bytes_pinned;
	info->bytes_charged = stats->bytes_pinned;
	info->bytes_demand = stats->bytes_demand;
	info->state = stats->state;
}

long ioasid_cmd_get_info(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			 void __user *user)
{
	struct ioasid_info *cmd = &arg->info;
	struct ioasid_info info = {
		.argsz = cmd->argsz,
		.ioasid = cmd->ioasid,
		.ranges = cmd->ranges,
	};
	const struct ioasid_kind_ops *ops;
	struct ioas_ranges *ranges;
	struct ioas_stats stats;
	struct ioasid *ioasid;
	int ret;

	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return ioasid_share_info(ctx, cmd, user);
	info.mappings_left = ioasid_mappings_left(&ctx->account);
	info.permission = IOASID_MAP_READ | IOASID_MAP_WRITE;
	info.kind = ioasid->obj.kind;
	info.parent = ioasid->obj.parent;
	info.cookie = ioasid->cookie;
	if (ioasid->faults)
		info.fault_queue = ioasid_faults_id(ioasid->faults);
	ops = ioasid_kind_of(ioasid);
	ops->stats(ioasid, &stats);
	info_from_stats(&info, &stats);
	info.bytes_left = ioasid_account_left(&ctx->account);
	/* The last sibling may have attached since: report one state */
	if (info.state & IOASID_STATE_PARTIAL_GROUP &&
	    !ioasid_waits_for(ioasid, &info.waiting_devid,
			      &info.waiting_cookie))
		info.state &= ~IOASID_STATE_PARTIAL_GROUP;
	ranges = ops->info(ioasid, &info);
	ioasid_put(ioasid);
	if (!ranges)
		return -ENOMEM;

	info.nr_ranges = ranges->nr;
	ret = copy_ranges(cmd->ranges, cmd->nr_ranges, ranges->range,
			  ranges->nr);
	kfree(ranges);
	return ret ?: copy_out(user, &info, sizeof(info));
}

long ioasid_cmd_device_get_info(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				void __user *user)
{
	struct ioasid_device_info *cmd = &arg->device;
	struct ioasid_device_info info = {
		.argsz = cmd->argsz,
		.devid = cmd->devid,
		.hw_data = cmd->hw_data,
		.ranges = cmd->ranges,
	};
	struct ioas_ranges *ranges;
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
	ret = copy_ranges(cmd->ranges, cmd->nr_ranges, ranges->range,
			  ranges->nr);
	if (!ret && cmd->hw_data && hw_data &&
	    copy_to_user(u64_to_user_ptr(cmd->hw_data), hw_data,
			 min(cmd->hw_len, info.hw_len)))
		ret = -EFAULT;
	if (!ret)
		ret = copy_out(user, &info, sizeof(info));
	kfree(hw_data);
	kfree(ranges);
	return ret;
}

/* Entries that are copied out together */
#define LIST_BATCH	32

/**
 * struct list_out - the array of the caller, and elements that will get there
 * @nr: number of elements in @buf
 * @total: number of entries
 * @room: number of elements that the array has room for
 * @size: bytes of an element
 * @to: where the next one goes
 * @buf: up to LIST_BATCH elements; what lies behind an entry is never written
 */
struct list_out {
	u32 nr;
	u32 total;
	u32 room;
	u32 size;
	u64 to;
	u8 buf[];
};

static int list_flush(struct list_out *out)
{
	u32 n = min(out->nr, out->room);

	if (n && copy_to_user(u64_to_user_ptr(out->to), out->buf,
			      n * out->size))
		return -EFAULT;
	out->to += (u64)n * out->size;
	out->room -= n;
	out->nr = 0;
	return 0;
}

static int list_add_entry(struct list_out *out,
			  const struct ioasid_list_long_entry *entry)
{
	out->total++;
	if (out->room <= out->nr)
		return 0;
	memcpy(out->buf + out->nr++ * out->size, entry,
	       min_t(u32, out->size, sizeof(*entry)));
	return out->nr == LIST_BATCH ? list_flush(out) : 0;
}

static int list_object(struct list_out *out, struct ioasid_object *obj)
{
	bool named = out->size > sizeof(struct ioasid_list_entry);
	struct ioasid_list_long_entry entry[IOASID_LIST_MAX];
	unsigned long at = 0;
	unsigned int n, i;
	int ret = 0;

	do {
		if (named)
			memset(entry, 0, sizeof(entry));
		n = ioasid_object_ops_of(obj)->list(obj, &at, entry, named);
		for (i = 0; i < n && !ret; i++)
			ret = list_add_entry(out, &entry[i]);
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (at && !ret);
	return ret;
}

long ioasid_cmd_list(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		     void __user *user)
{
	struct ioasid_list __user *to = user;
	struct ioasid_list *cmd = &arg->list;
	unsigned long id = cmd->start;
	struct ioasid_object *obj;
	u32 size = cmd->entry_size ?: sizeof(struct ioasid_list_entry);
	struct list_out *out;
	int ret = 0;

	if (cmd->__reserved || size < sizeof(struct ioasid_list_entry) ||
	    size % sizeof(u64))
		return -EINVAL;
	if (size > IOASID_ENTRY_MAX)
		return -E2BIG;
	out = kzalloc(struct_size(out, buf, size * LIST_BATCH),
		      GFP_KERNEL_ACCOUNT);
	if (!out)
		return -ENOMEM;
	out->size = size;
	out->room = cmd->nr;
	out->to = cmd->entries;
	for (; !ret && (obj = ioasid_object_first(ctx, &id)); id++) {
		ret = list_object(out, obj);
		ioasid_object_ops_of(obj)->put(obj);
	}
	if (!ret)
		ret = list_flush(out);
	if (!ret && put_user(out->total, &to->nr))
		ret = -EFAULT;
	kfree(out);
	return ret;
}

/* ---- Events ---- */

#define EVENT_STATES	(IOASID_STATE_POISONED | IOASID_STATE_ORPHAN | \
			 IOASID_STATE_REVOKED)

static int tell_event(struct ioasid_object *obj,
		      struct ioasid_event __user *to)
{
	struct ioasid *ioasid = container_of(obj, struct ioasid, obj);
	struct ioasid_event event = {
		.ioasid = obj->id,
		.cookie = ioasid->cookie,
	};
	struct ioas_stats stats;

	ioasid_kind_of(ioasid)->stats(ioasid, &stats);
	event.state = stats.state & EVENT_STATES;
	if (!copy_to_user(to, &event, sizeof(event)))
		return 0;
	/* So that it is not lost */
	ioasid_object_event(obj);
	return -EFAULT;
}

long ioasid_cmd_get_events(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			   void __user *user)
{
	struct ioasid_get_events *cmd = &arg->events;
	struct ioasid_get_events __user *out = user;
	struct ioasid_event __user *to;
	struct ioasid_object *obj;
	int ret = 0;
	u32 nr = 0;

	if (cmd->more)
		return -EINVAL;
	/* An event that was taken is not lost by a structure that is read-only */
	if (put_user(0, &out->more))
		return -EFAULT;
	to = u64_to_user_ptr(cmd->events);
	while (nr < cmd->nr && !ret) {
		obj = ioasid_ctx_next_event(ctx);
		if (!obj)
			break;
		ret = tell_event(obj, to + nr);
		ioasid_object_ops_of(obj)->put(obj);
		nr += !ret;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	/* Those that were told are not told again */
	if (ret && !nr)
		return ret;
	cmd->nr = nr;
	cmd->more = ioasid_ctx_has_event(ctx);
	return copy_out(out, cmd, sizeof(*cmd));
}

/* IOASIDs that have a line of their own in fdinfo */
#define FDINFO_IOASIDS	1024

static void show_limit(struct seq_file *m, const char *name, u64 limit)
{
	if (limit == U64_MAX)
		seq_printf(m, "%s:\tmax\n", name);
	else
		seq_printf(m, "%s:\t%llu\n", name, limit);
}

static const char * const charge_name[] = {
	[IOASID_CHARGE_USER] = "user",
	[IOASID_CHARGE_MM] = "mm",
	[IOASID_CHARGE_ONCE] = "once",
};

void ioasid_fops_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct ioasid_ctx *ctx = filp->private_data;
	const struct ioasid_object_ops *ops;
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
	seq_printf(m, "ioasid-pasids:\t%u\n", atomic_read(&ctx->nr_pasids));
	show_limit(m, "ioasid-limit-pasids", READ_ONCE(ctx->limit_pasids));
	if (READ_ONCE(ctx->account.counting))
		seq_printf(m, "ioasid-mappings:\t%llu\n",
			   (u64)atomic64_read(&ctx->account.mappings));
	show_limit(m, "ioasid-limit-mappings",
		   READ_ONCE(ctx->account.limit_mappings));
	seq_printf(m, "ioasid-user-pasids:\t%u\n", ioasid_numbers_used());
	show_limit(m, "ioasid-limit-user-pasids", ioasid_numbers_limit());

	for (; (obj = ioasid_object_first(ctx, &id)); id++) {
		ops = ioasid_object_ops_of(obj);
		if (ops->is_ioasid && shown++ >= FDINFO_IOASIDS)
			more++;
		else
			ops->show(m, obj);
		ops->put(obj);
		if (seq_has_overflowed(m) || fatal_signal_pending(current))
			return;
		cond_resched();
	}
	if (more)
		seq_printf(m, "ioasid-more:\t%u\n", more);
}
