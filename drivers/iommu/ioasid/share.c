// SPDX-License-Identifier: GPL-2.0-only
/*
 * Share memory with other contexts: exports, their files, and imports.
 *
 * Invariants:
 *  - The file of an export refers to no context and to no other file.  So a
 *    file that is passed between processes keeps no memory pinned.
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
#include "kind_map.h"
#include "share.h"

/* ---- Exports ---- */

static struct share_export *export_alloc(struct ioasid *ioasid)
{
	struct ioas *ioas = ioasid_ioas(ioasid);
	struct share_export *export;
	int ret;

	if (IS_ERR(ioas))
		return ERR_CAST(ioas);
	/* From here on the IOASID is emptied under its locks */
	ret = ioas_parent_init(ioas);
	if (ret)
		return ERR_PTR(ret);
	WRITE_ONCE(ioasid->obj.ctx->has_parents, true);
	export = kzalloc(sizeof(*export), GFP_KERNEL_ACCOUNT);
	if (!export)
		return ERR_PTR(-ENOMEM);
	refcount_set(&export->users, 1);
	refcount_inc(&ioasid->obj.users);
	refcount_inc(&ioasid->obj.ctx->refs);
	export->ioasid = ioasid;
	return export;
}

static void export_put(struct share_export *export)
{
	struct ioasid_ctx *ctx;

	if (!refcount_dec_and_test(&export->users))
		return;
	ctx = export->ioasid->obj.ctx;
	ioasid_put(export->ioasid);
	ioasid_ctx_drop(ctx);
	kfree(export);
}

/* ---- Imports ---- */

/* The address space that an import represents */
static struct ioas *parent_of(struct share_import *import)
{
	return ioasid_map_ioas(import->export->ioasid);
}

/* The caller calls ioasid_object_publish() or import_abort() next */
static struct share_import *import_alloc(struct ioasid_ctx *ctx,
					 struct share_export *export,
					 u64 cookie)
{
	struct share_import *import;
	int ret = -ENOMEM;

	if (!ioasid_ctx_count(ctx))
		return ERR_PTR(-EDQUOT);
	import = kzalloc(sizeof(*import), GFP_KERNEL_ACCOUNT);
	if (!import)
		goto err_count;
	import->cookie = cookie;
	import->export = export;
	import->base.export = &export->base;
	ret = ioas_add_child(parent_of(import), &import->base, NULL);
	if (ret)
		goto err_free;
	ret = ioasid_object_reserve(ctx, &import->obj, IOASID_OBJECT_IMPORT);
	if (ret)
		goto err_leave;
	refcount_inc(&export->users);
	return import;

err_leave:
	ioas_remove_child(parent_of(import), &import->base, NULL);
err_free:
	kfree(import);
err_count:
	atomic_dec(&ctx->nr_ioasids);
	return ERR_PTR(ret);
}

/*
 * The exported IOASID does not count the import as a child from here on.  If
 * the import has children, this is postponed to the removal of the last of
 * them.
 */
static void import_leave(struct share_import *import)
{
	ioas_remove_child(parent_of(import), &import->base, NULL);
}

static void import_destroy(struct share_import *import)
{
	import_leave(import);
	export_put(import->export);
	/* Look-ups under RCU may still see it */
	kfree_rcu(import, rcu);
}

static void import_abort(struct share_import *import)
{
	struct ioasid_ctx *ctx = import->obj.ctx;

	xa_erase(&ctx->objects, import->obj.id);
	atomic_dec(&ctx->nr_ioasids);
	import_destroy(import);
}

static struct share_import *import_of(struct ioasid_object *obj)
{
	return container_of(obj, struct share_import, obj);
}

static void import_put(struct ioasid_object *obj)
{
	if (refcount_dec_and_test(&obj->users))
		import_destroy(import_of(obj));
}

/* Unmap all from the children of an import: visits all ids of the context */
static void import_revoke(struct share_import *import)
{
	struct ioasid_iova_range all = { .start = 0, .last = U64_MAX };
	struct ioas_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOAS_UNMAP_FORCED,
		.of = &all,
		.patience = IOAS_PATIENCE,
	};
	struct ioasid_ctx *ctx = import->obj.ctx;
	struct ioasid_object *obj;
	struct ioasid *ioasid;
	struct ioas *ioas;
	unsigned long id;

	if (!READ_ONCE(import->base.children))
		return;
	xa_for_each(&ctx->objects, id, obj) {
		cond_resched();
		ioasid = ioasid_get(ctx, id);
		if (!ioasid)
			continue;
		ioas = ioasid_ioas(ioasid);
		if (!IS_ERR(ioas) && ioas_import_of(ioas) == &import->base)
			ioas_unmap(ioas, 0, U64_MAX, &req);
		ioasid_put(ioasid);
	}
}

/* ---- The file ---- */

static int share_release(struct inode *inode, struct file *filp)
{
	export_put(filp->private_data);
	return 0;
}

static void show_export(struct seq_file *m, struct share_export *export)
{
	const struct ioas_export *base = &export->base;

	seq_printf(m, "length=%llu permission=%s%s mappings=%lld max=",
		   base->last - base->start + 1,
		   base->permission & IOASID_MAP_READ ? "r" : "",
		   base->permission & IOASID_MAP_WRITE ? "w" : "",
		   atomic64_read(&base->used));
	if (base->limit == U64_MAX)
		seq_puts(m, "max");
	else
		seq_printf(m, "%llu", base->limit);
	seq_printf(m, " state=%s\n", ioas_export_shut(ioasid_map_ioas(export->ioasid)) ?
				      "revoked" : "valid");
}

static void share_show_fdinfo(struct seq_file *m, struct file *filp)
{
	seq_puts(m, "ioasid-export:\t");
	show_export(m, filp->private_data);
}

static const struct file_operations share_fops = {
	.owner = THIS_MODULE,
	.release = share_release,
	.show_fdinfo = share_show_fdinfo,
	.llseek = noop_llseek,
};

/* ---- Commands ---- */

/* Open a file of @export; the file takes over the caller's reference */
static int share_open(struct share_export *export, __s32 __user *out)
{
	struct file *file;
	int fd, ret;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		export_put(export);
		return fd;
	}
	file = anon_inode_getfile("[ioasid-export]", &share_fops, export,
				  O_RDWR);
	if (IS_ERR(file)) {
		export_put(export);
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

long ioasid_cmd_export(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user)
{
	struct ioasid_export __user *out = user;
	struct ioasid_export *cmd = &arg->export;
	struct share_export *export;
	struct ioasid *ioasid;

	if (!range_valid(cmd->iova, cmd->length) ||
	    !(cmd->flags & (IOASID_EXPORT_READ | IOASID_EXPORT_WRITE)) ||
	    !cmd->max_mappings)
		return -EINVAL;
	ioasid = ioasid_get(ctx, cmd->ioasid);
	if (!ioasid)
		return -ENOENT;
	export = export_alloc(ioasid);
	ioasid_put(ioasid);
	if (IS_ERR(export))
		return PTR_ERR(export);
	export->base.start = cmd->iova;
	export->base.last = cmd->iova + (cmd->length - 1);
	export->base.limit = cmd->max_mappings;
	if (cmd->flags & IOASID_EXPORT_READ)
		export->base.permission |= IOASID_MAP_READ;
	if (cmd->flags & IOASID_EXPORT_WRITE)
		export->base.permission |= IOASID_MAP_WRITE;
	return share_open(export, &out->fd);
}

/* Get the export of a file descriptor of the calling process */
static struct share_export *export_from_fd(int fd)
{
	struct file *file = fget(fd);
	struct share_export *export;

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &share_fops) {
		export = file->private_data;
		refcount_inc(&export->users);
	} else {
		export = ERR_PTR(-EBADF);
	}
	fput(file);
	return export;
}

long ioasid_cmd_import(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user)
{
	struct ioasid_import __user *out = user;
	struct share_export *export;
	struct share_import *import;

	export = export_from_fd(arg->import.fd);
	if (IS_ERR(export))
		return PTR_ERR(export);
	import = import_alloc(ctx, export, arg->import.cookie);
	export_put(export);
	if (IS_ERR(import))
		return PTR_ERR(import);
	if (put_user(import->obj.id, &out->ioasid)) {
		import_abort(import);
		return -EFAULT;
	}
	ioasid_object_publish(&import->obj);
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
	const struct ioas_export *base;
	struct ioasid_iova_range range;
	struct share_import *import;
	struct ioasid_object *obj;

	obj = ioasid_object_get(ctx, cmd->ioasid, IOASID_OBJECT_IMPORT);
	if (!obj)
		return -ENOENT;
	import = import_of(obj);
	base = import->base.export;
	info.cookie = import->cookie;
	info.nr_children = READ_ONCE(import->base.children);
	info.nr_mappings = atomic64_read(&base->used);
	info.mappings_left = min(ioas_export_left(base),
				 ioasid_mappings_left(&ctx->account));
	info.permission = base->permission;
	if (ioas_export_shut(parent_of(import)))
		info.state |= IOASID_STATE_ORPHAN;
	range.start = 0;
	range.last = base->last - base->start;
	import_put(obj);

	return copy_ranges(cmd->ranges, cmd->nr_ranges, &range, 1) ?:
	       copy_out(out, &info, sizeof(info));
}

/* ---- Imports as objects ---- */

static int import_kill(struct ioasid_object *obj, bool cascade)
{
	struct share_import *import = import_of(obj);

	return ioas_import_kill(parent_of(import), &import->base, cascade);
}

static void import_free(struct ioasid_object *obj, int killed)
{
	struct share_import *import = import_of(obj);

	if (READ_ONCE(import->base.children))
		ioasid_ctx_orphaned(obj->ctx);
	import_revoke(import);
	import_leave(import);
	import_put(obj);
}

static struct ioas *import_as_parent(struct ioasid_object *obj,
				     struct ioas_import **base)
{
	struct share_import *import = import_of(obj);

	*base = &import->base;
	return parent_of(import);
}

static unsigned int import_list(struct ioasid_object *obj, unsigned long *at,
				struct ioasid_list_long_entry *to, bool named)
{
	to->entry = (struct ioasid_list_entry){
		.type = IOASID_LIST_IOASID,
		.id = obj->id,
		.cookie = import_of(obj)->cookie,
		.kind = IOASID_KIND_IMPORT,
	};
	return 1;
}

static void import_show(struct seq_file *m, struct ioasid_object *obj)
{
	struct share_import *import = import_of(obj);

	seq_printf(m, "ioasid:\tid=%u kind=import cookie=0x%llx children=%u ",
		   obj->id, import->cookie, READ_ONCE(import->base.children));
	show_export(m, import->export);
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
