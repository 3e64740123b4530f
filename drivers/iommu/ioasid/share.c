// SPDX-License-Identifier: GPL-2.0-only
/*
 * Share memory with other contexts: exports, their files, and imports.
 *
 * Invariants:
 *  - The file of an export refers to a grant, but to no context and to no other
 *    file.  So a file that is passed between processes keeps no memory pinned.
 *  - A command writes its output fields before it takes effect.
 *  - An import represents the exported IOASID for as long as its id or one of
 *    its children exists.
 *
 * Waits: to free an import waits for drivers that must unpin pages, and for
 * threads that use the mappings, at most IOAS_PATIENCE jiffies in all.
 *
 * Locks: none of its own.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "context.h"
#include "ioasids.h"
#include "ioctl.h"
#include "share.h"

/**
 * ioasid_grant_alloc() - allocate a grant, the object behind an export
 * @ioasid: the IOASID to export
 *
 * Context: may sleep.
 * Return: the grant with one reference, whose ioasid_grant.export the caller
 * sets; or NULL if there is no memory.
 */
struct ioasid_grant *ioasid_grant_alloc(struct ioasid *ioasid)
{
	struct ioasid_grant *grant;

	/* From here on the IOASID is emptied under its locks */
	if (ioas_parent_init(&ioasid->ioas))
		return NULL;
	WRITE_ONCE(ioasid->obj.ctx->has_families, true);
	grant = kzalloc(sizeof(*grant), GFP_KERNEL_ACCOUNT);
	if (!grant)
		return NULL;
	refcount_set(&grant->users, 1);
	refcount_inc(&ioasid->obj.users);
	refcount_inc(&ioasid->obj.ctx->refs);
	grant->ioasid = ioasid;
	return grant;
}

/**
 * ioasid_grant_get() - take a reference to a grant
 * @grant: the grant; the caller has a reference already
 */
void ioasid_grant_get(struct ioasid_grant *grant)
{
	refcount_inc(&grant->users);
}

/**
 * ioasid_grant_put() - drop a reference to a grant
 * @grant: the grant
 *
 * Context: may sleep.
 */
void ioasid_grant_put(struct ioasid_grant *grant)
{
	struct ioasid_ctx *ctx;

	if (!refcount_dec_and_test(&grant->users))
		return;
	ctx = grant->ioasid->obj.ctx;
	ioasid_put(grant->ioasid);
	ioasid_ctx_drop(ctx);
	kfree(grant);
}

/**
 * ioasid_proxy_alloc() - allocate a proxy, the object of an import
 * @ctx: the context
 * @grant: the grant of the export
 * @cookie: an arbitrary number of user space
 *
 * The caller calls ioasid_object_publish() or ioasid_proxy_abort() next.
 *
 * Context: may sleep.
 * Return: the proxy with its id, or an ERR_PTR:
 * -ENODEV, the exported IOASID was freed, or its context closed;
 * -ELOOP, the exported IOASID is too far from its root;
 * -EDEADLK, the exported IOASID waits for a sibling;
 * -EDQUOT, the context has reached its limit of IOASIDs;
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
struct ioasid_proxy *ioasid_proxy_alloc(struct ioasid_ctx *ctx,
					struct ioasid_grant *grant, u64 cookie)
{
	struct ioas *parent = &grant->ioasid->ioas;
	struct ioasid_proxy *proxy;
	int ret = -ENOMEM;

	if (!ioasid_ctx_count(ctx))
		return ERR_PTR(-EDQUOT);
	proxy = kzalloc(sizeof(*proxy), GFP_KERNEL_ACCOUNT);
	if (!proxy)
		goto err_count;
	proxy->cookie = cookie;
	proxy->grant = grant;
	proxy->import.export = &grant->export;
	ret = ioas_add_child(parent, &proxy->import, NULL);
	if (ret)
		goto err_free;
	ret = ioasid_object_reserve(ctx, &proxy->obj, IOASID_OBJECT_IMPORT);
	if (ret)
		goto err_leave;
	ioasid_grant_get(grant);
	return proxy;

err_leave:
	ioas_remove_child(parent, &proxy->import, NULL);
err_free:
	kfree(proxy);
err_count:
	atomic_dec(&ctx->nr_ioasids);
	return ERR_PTR(ret);
}

/*
 * The exported IOASID does not count the import as a child from here on.  If
 * the import has children, this is postponed to the removal of the last of
 * them.
 */
static void proxy_leave(struct ioasid_proxy *proxy)
{
	ioas_remove_child(&proxy->grant->ioasid->ioas, &proxy->import, NULL);
}

static void proxy_destroy(struct ioasid_proxy *proxy)
{
	proxy_leave(proxy);
	ioasid_grant_put(proxy->grant);
	/* Look-ups under RCU may still see it */
	kfree_rcu(proxy, rcu);
}

/**
 * ioasid_proxy_abort() - undo ioasid_proxy_alloc()
 * @proxy: the proxy, not published
 *
 * Context: may sleep.
 */
void ioasid_proxy_abort(struct ioasid_proxy *proxy)
{
	struct ioasid_ctx *ctx = proxy->obj.ctx;

	xa_erase(&ctx->objects, proxy->obj.id);
	atomic_dec(&ctx->nr_ioasids);
	proxy_destroy(proxy);
}

/**
 * ioasid_proxy_get() - look up an import
 * @ctx: the context
 * @id: its id
 *
 * Return: the proxy with a reference, or NULL.
 */
struct ioasid_proxy *ioasid_proxy_get(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid_object *obj = ioasid_object_get(ctx, id,
						      IOASID_OBJECT_IMPORT);

	return obj ? container_of(obj, struct ioasid_proxy, obj) : NULL;
}

/**
 * ioasid_proxy_put() - drop a reference to an import
 * @proxy: the proxy
 *
 * Context: may sleep.
 */
void ioasid_proxy_put(struct ioasid_proxy *proxy)
{
	if (refcount_dec_and_test(&proxy->obj.users))
		proxy_destroy(proxy);
}

/* Unmap all from the children of an import: visits all ids of the context */
static void proxy_revoke(struct ioasid_proxy *proxy)
{
	struct ioasid_iova_range all = { .start = 0, .last = U64_MAX };
	struct ioas_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOAS_UNMAP_FORCED,
		.of = &all,
		.patience = IOAS_PATIENCE,
	};
	struct ioasid_ctx *ctx = proxy->obj.ctx;
	struct ioasid_object *obj;
	struct ioasid *ioasid;
	unsigned long id;

	if (!READ_ONCE(proxy->import.children))
		return;
	xa_for_each(&ctx->objects, id, obj) {
		cond_resched();
		ioasid = ioasid_get(ctx, id);
		if (!ioasid)
			continue;
		if (ioasid->ioas.import == &proxy->import)
			ioas_unmap(&ioasid->ioas, 0, U64_MAX, &req);
		ioasid_put(ioasid);
	}
}

/* ---- The file ---- */

static int share_release(struct inode *inode, struct file *filp)
{
	ioasid_grant_put(filp->private_data);
	return 0;
}

static void show_terms(struct seq_file *m, struct ioasid_grant *grant)
{
	const struct ioas_export *export = &grant->export;

	seq_printf(m, "length=%llu permission=%s%s mappings=%lld max=",
		   export->last - export->start + 1,
		   export->permission & IOASID_MAP_READ ? "r" : "",
		   export->permission & IOASID_MAP_WRITE ? "w" : "",
		   atomic64_read(&export->used));
	if (export->limit == U64_MAX)
		seq_puts(m, "max");
	else
		seq_printf(m, "%llu", export->limit);
	seq_printf(m, " state=%s\n", ioas_export_shut(&grant->ioasid->ioas) ? "revoked" : "valid");
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

/* Open a file of @grant; the file takes over the caller's reference */
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
 * ioasid_share_export() - export a range of an IOASID: IOASID_EXPORT
 * @ctx: the context
 * @cmd: the argument; all flags are known, and the range is valid
 * @out: the structure in user memory
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0;
 * -EINVAL, no permission, or no mappings;
 * -ENOENT, the IOASID does not exist;
 * -EMFILE, -ENFILE, there are too many open files;
 * -EFAULT, @out cannot be written;
 * -ENOMEM.
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
	grant->export.start = cmd->iova;
	grant->export.last = cmd->iova + (cmd->length - 1);
	grant->export.limit = cmd->max_mappings;
	if (cmd->flags & IOASID_EXPORT_READ)
		grant->export.permission |= IOASID_MAP_READ;
	if (cmd->flags & IOASID_EXPORT_WRITE)
		grant->export.permission |= IOASID_MAP_WRITE;
	return share_open(grant, &out->fd);
}

/* Get the grant of a file descriptor of the calling process */
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
 * ioasid_share_info() - describe an import: IOASID_GET_INFO
 * @ctx: the context
 * @cmd: the argument
 * @out: the structure in user memory
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0;
 * -ENOENT, the import does not exist;
 * -EFAULT, @out or the array of ranges cannot be written.
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
	const struct ioas_export *export;
	struct ioasid_iova_range range;
	struct ioasid_proxy *proxy;
	s64 used;

	proxy = ioasid_proxy_get(ctx, cmd->ioasid);
	if (!proxy)
		return -ENOENT;
	export = proxy->import.export;
	used = atomic64_read(&export->used);
	info.cookie = proxy->cookie;
	info.nr_children = READ_ONCE(proxy->import.children);
	info.nr_mappings = used;
	if (export->limit == U64_MAX)
		info.mappings_left = U64_MAX;
	else if (used < export->limit)
		info.mappings_left = export->limit - used;
	info.permission = export->permission;
	if (ioas_export_shut(&proxy->grant->ioasid->ioas))
		info.state |= IOASID_STATE_ORPHAN;
	range.start = 0;
	range.last = export->last - export->start;
	ioasid_proxy_put(proxy);

	if (cmd->nr_ranges && copy_to_user(u64_to_user_ptr(cmd->ranges), &range,
					   sizeof(range)))
		return -EFAULT;
	if (copy_to_user(out, &info, min_t(size_t, cmd->argsz, sizeof(info))))
		return -EFAULT;
	return 0;
}

/* ---- Imports as objects ---- */

static struct ioasid_proxy *obj_to_proxy(struct ioasid_object *obj)
{
	return container_of(obj, struct ioasid_proxy, obj);
}

static void import_put(struct ioasid_object *obj)
{
	ioasid_proxy_put(obj_to_proxy(obj));
}

static int import_kill(struct ioasid_object *obj, bool cascade)
{
	struct ioasid_proxy *proxy = obj_to_proxy(obj);

	return ioas_import_kill(&proxy->grant->ioasid->ioas, &proxy->import,
				cascade);
}

static void import_free(struct ioasid_object *obj, int killed)
{
	struct ioasid_proxy *proxy = obj_to_proxy(obj);

	proxy_revoke(proxy);
	proxy_leave(proxy);
	ioasid_proxy_put(proxy);
}

static int import_as_parent(struct ioasid_object *obj, struct ioas *child)
{
	struct ioasid_proxy *proxy = obj_to_proxy(obj);

	return ioas_add_child(&proxy->grant->ioasid->ioas, &proxy->import,
			      child);
}

static unsigned int import_list(struct ioasid_object *obj,
				struct ioasid_list_entry *entry)
{
	*entry = (struct ioasid_list_entry){
		.type = IOASID_LIST_IOASID,
		.id = obj->id,
		.cookie = obj_to_proxy(obj)->cookie,
		.kind = IOASID_KIND_IMPORT,
	};
	return 1;
}

static void import_show(struct seq_file *m, struct ioasid_object *obj)
{
	struct ioasid_proxy *proxy = obj_to_proxy(obj);

	seq_printf(m, "ioasid:\tid=%u kind=import cookie=0x%llx children=%u ",
		   obj->id, proxy->cookie, READ_ONCE(proxy->import.children));
	show_terms(m, proxy->grant);
}

static const struct ioasid_object_ops import_object_ops = {
	.is_ioasid = true,
	.put = import_put,
	.kill = import_kill,
	.free = import_free,
	.as_parent = import_as_parent,
	.end = import_put,
	.list = import_list,
	.show = import_show,
};

/**
 * ioasid_share_init() - register the object type of imports
 */
void __init ioasid_share_init(void)
{
	ioasid_object_register(IOASID_OBJECT_IMPORT, &import_object_ops);
}

long ioasid_cmd_export(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user)
{
	struct ioasid_export *cmd = &arg->export;

	if (!range_valid(cmd->iova, cmd->length))
		return -EINVAL;
	return ioasid_share_export(ctx, cmd, user);
}

long ioasid_cmd_import(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user)
{
	return ioasid_share_import(ctx, &arg->import, user);
}
