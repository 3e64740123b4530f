// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sharing memory with other contexts: export, import, and the file in between.
 *
 * Invariants:
 *  - The file holds a grant, and neither a context nor another file: so files
 *    that are sent around keep nobody's memory pinned.
 *  - What a command tells the caller is written before it takes effect.
 *
 * Locks: none of its own.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include <uapi/linux/ioasid.h>

#include "share.h"

/* ---- The file ---- */

static int share_release(struct inode *inode, struct file *filp)
{
	ioasid_grant_put(filp->private_data);
	return 0;
}

static bool is_gone(struct ioasid_grant *grant)
{
	struct ioasid_space *space = &grant->ioasid->space;
	bool gone;

	spin_lock(&space->lock);
	gone = space->dead || space->family->closed;
	spin_unlock(&space->lock);
	return gone;
}

static void show_terms(struct seq_file *m, struct ioasid_grant *grant)
{
	const struct ioasid_terms *terms = &grant->terms;

	seq_printf(m, "length=%llu permission=%s%s mappings=%lld max=",
		   terms->last - terms->start + 1,
		   terms->permission & IOASID_MAP_READ ? "r" : "",
		   terms->permission & IOASID_MAP_WRITE ? "w" : "",
		   atomic64_read(&terms->used));
	if (terms->limit == U64_MAX)
		seq_puts(m, "max");
	else
		seq_printf(m, "%llu", terms->limit);
	seq_printf(m, " state=%s\n", is_gone(grant) ? "revoked" : "valid");
}

static void share_show_fdinfo(struct seq_file *m, struct file *filp)
{
	seq_puts(m, "ioasid-export:\t");
	show_terms(m, filp->private_data);
}

static const struct file_operations share_fops = {
	.owner = THIS_MODULE,
	.release = share_release,
	.show_fdinfo = share_show_fdinfo,
	.llseek = noop_llseek,
};

/* ---- Commands ---- */

/* Give the caller a file of @grant, which it takes over */
static int share_open(struct ioasid_grant *grant, __s32 __user *out)
{
	struct file *file;
	int fd, ret;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ioasid_grant_put(grant);
		return fd;
	}
	file = anon_inode_getfile("[ioasid-export]", &share_fops, grant,
				  O_RDWR);
	if (IS_ERR(file)) {
		ioasid_grant_put(grant);
		ret = PTR_ERR(file);
	} else if (put_user(fd, out)) {
		fput(file);
		ret = -EFAULT;
	} else {
		fd_install(fd, file);
		return 0;
	}
	put_unused_fd(fd);
	return ret;
}

/**
 * ioasid_share_export() - IOASID_EXPORT
 * @ctx: the context
 * @cmd: its argument; flags and range are sound
 * @out: where the caller has it
 *
 * Return: 0; -errno.
 */
int ioasid_share_export(struct ioasid_ctx *ctx,
			const struct ioasid_export *cmd,
			struct ioasid_export __user *out)
{
	struct ioasid_grant *grant;
	struct ioasid *ioasid;

	if (!(cmd->flags & (IOASID_EXPORT_READ | IOASID_EXPORT_WRITE)) ||
	    !cmd->max_mappings)
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	grant = ioasid_grant_alloc(ioasid);
	ioasid_put(ioasid);
	if (!grant)
		return -ENOMEM;
	grant->terms.start = cmd->iova;
	grant->terms.last = cmd->iova + (cmd->length - 1);
	grant->terms.limit = cmd->max_mappings;
	if (cmd->flags & IOASID_EXPORT_READ)
		grant->terms.permission |= IOASID_MAP_READ;
	if (cmd->flags & IOASID_EXPORT_WRITE)
		grant->terms.permission |= IOASID_MAP_WRITE;
	return share_open(grant, &out->fd);
}

/* The grant behind a file descriptor of the calling process */
static struct ioasid_grant *grant_from_fd(int fd)
{
	struct file *file = fget(fd);
	struct ioasid_grant *grant;

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &share_fops) {
		grant = file->private_data;
		ioasid_grant_get(grant);
	} else {
		grant = ERR_PTR(-EBADF);
	}
	fput(file);
	return grant;
}

/**
 * ioasid_share_import() - IOASID_IMPORT
 * @ctx: the context
 * @cmd: its argument
 * @out: where the caller has it
 *
 * Return: 0; -errno.
 */
int ioasid_share_import(struct ioasid_ctx *ctx,
			const struct ioasid_import *cmd,
			struct ioasid_import __user *out)
{
	struct ioasid_grant *grant;
	struct ioasid_proxy *proxy;

	grant = grant_from_fd(cmd->fd);
	if (IS_ERR(grant))
		return PTR_ERR(grant);
	proxy = ioasid_proxy_alloc(ctx, grant, cmd->cookie);
	ioasid_grant_put(grant);
	if (IS_ERR(proxy))
		return PTR_ERR(proxy);
	if (put_user(proxy->obj.id, &out->ioasid)) {
		ioasid_proxy_abort(proxy);
		return -EFAULT;
	}
	ioasid_object_publish(&proxy->obj);
	return 0;
}

/**
 * ioasid_share_info() - IOASID_GET_INFO of an import
 * @ctx: the context
 * @cmd: its argument
 * @out: where the caller has it
 *
 * Return: 0; -ENOENT, there is no such import; -EFAULT.
 */
int ioasid_share_info(struct ioasid_ctx *ctx, const struct ioasid_info *cmd,
		      struct ioasid_info __user *out)
{
	struct ioasid_info info = {
		.argsz = cmd->argsz,
		.ioasid = cmd->ioasid,
		.kind = IOASID_KIND_IMPORT,
		.bytes_left = ioasid_account_left(&ctx->account),
		.nr_ranges = 1,
		.ranges = cmd->ranges,
	};
	const struct ioasid_terms *terms;
	struct ioasid_iova_range range;
	struct ioasid_proxy *proxy;
	s64 used;

	proxy = ioasid_proxy_get(ctx, cmd->ioasid);
	if (!proxy)
		return -ENOENT;
	terms = proxy->window.terms;
	used = atomic64_read(&terms->used);
	info.cookie = proxy->cookie;
	info.nr_children = READ_ONCE(proxy->window.children);
	info.nr_mappings = used;
	if (terms->limit == U64_MAX)
		info.mappings_left = U64_MAX;
	else if (used < terms->limit)
		info.mappings_left = terms->limit - used;
	info.permission = terms->permission;
	if (is_gone(proxy->grant))
		info.state |= IOASID_STATE_ORPHAN;
	range.start = 0;
	range.last = terms->last - terms->start;
	ioasid_proxy_put(proxy);

	if (cmd->nr_ranges && copy_to_user(u64_to_user_ptr(cmd->ranges), &range,
					   sizeof(range)))
		return -EFAULT;
	if (copy_to_user(out, &info, min_t(size_t, cmd->argsz, sizeof(info))))
		return -EFAULT;
	return 0;
}

/**
 * ioasid_share_show() - tell of an import in fdinfo
 * @m: the file
 * @proxy: the import
 */
void ioasid_share_show(struct seq_file *m, struct ioasid_proxy *proxy)
{
	seq_printf(m, "ioasid:\tid=%u kind=import cookie=0x%llx children=%u ",
		   proxy->obj.id, proxy->cookie,
		   READ_ONCE(proxy->window.children));
	show_terms(m, proxy->grant);
}
