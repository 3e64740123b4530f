// SPDX-License-Identifier: GPL-2.0-only
/*
 * The node /dev/ioasid and its commands.
 *
 * Invariants:
 *  - One table lists the commands and the sizes of their structures.  One
 *    function copies the structures in, and checks the fields that are common
 *    to all.
 *
 * Locks: ioasid_ctx.lock protects the options.  User memory is accessed with no
 * lock held.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include <trace/events/ioasid.h>

#include "context.h"
#include "attach.h"
#include "device.h"
#include "faults.h"
#include "ioctl.h"
#include "ioas/ioas.h"
#include "ioasids.h"
#include "mem/memfile.h"
#include "mem/pin.h"
#include "share.h"
#include "uring.h"

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
	case IOASID_EXT_BATCH_CHANGE:
	case IOASID_EXT_BATCH_IOASID:
	case IOASID_EXT_EXPORT:
	case IOASID_EXT_PASID:
	case IOASID_EXT_CHILD_DEVMEM:
	case IOASID_EXT_EVENTS:
	case IOASID_EXT_DEMAND:
	case IOASID_EXT_DEMAND_DEVICES:
	case IOASID_EXT_FAULT_QUEUE:
		return 1;
	case IOASID_EXT_REHOME:
		return 2;
	case IOASID_EXT_PGTABLE:
	case IOASID_EXT_PASID_TABLE:
		return ioas_iommu_takes_tables();
	case IOASID_EXT_PROCESS:
		return IS_ENABLED(CONFIG_HMM_MIRROR);
	case IOASID_EXT_DIRTY:
		return ioas_iommu_may_track_dirty();
	case IOASID_EXT_UNREPAIRABLE:
		return ioas_iommu_tells_faults();
	case IOASID_EXT_MAX_DEPTH:
		return IOAS_MAX_DEPTH;
	case IOASID_EXT_URING_BATCH:
		return IS_ENABLED(CONFIG_IO_URING);
	case IOASID_EXT_PASID_HITLESS:
		return ioas_iommu_may_replace_pasids();
	case IOASID_EXT_DEVICE_REGION:
#ifdef VFIO_MEMORY_WATCH
		return IS_ENABLED(CONFIG_VFIO_IOASID);
#else
		return 0;
#endif
	case IOASID_EXT_MAP_FILE:
		return ioasid_can_pin_files();
	case IOASID_EXT_MAX_IOASIDS:
		return IOASID_MAX_ID;
	default:
		return 0;
	}
}

static u64 option_get(struct ioasid_ctx *ctx, u32 option)
{
	switch (option) {
	case IOASID_OPTION_CHARGE:
		return ctx->account.charge;
	case IOASID_OPTION_LIMIT_PINNED:
		return ctx->account.limit;
	case IOASID_OPTION_LIMIT_PASIDS:
		return ctx->limit_pasids;
	case IOASID_OPTION_LIMIT_MAPPINGS:
		return ctx->account.limit_mappings;
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
		/* The value in force can be set, and sealed, at any time */
		if (value == option_get(ctx, option))
			return 0;
		return ioasid_account_set_charge(&ctx->account, value);
	case IOASID_OPTION_LIMIT_PINNED:
		WRITE_ONCE(ctx->account.limit, value);
		return 0;
	case IOASID_OPTION_LIMIT_PASIDS:
		WRITE_ONCE(ctx->limit_pasids, value);
		return 0;
	case IOASID_OPTION_LIMIT_MAPPINGS:
		/* Without a limit, maps do not pay for a counter */
		if (value != U64_MAX)
			ioasid_count_mappings(ctx);
		WRITE_ONCE(ctx->account.limit_mappings, value);
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
	    cmd->option > IOASID_OPTION_LIMIT_MAPPINGS)
		return -EOPNOTSUPP;

	if (mutex_lock_killable(&ctx->lock))
		return -EINTR;
	if (get) {
		cmd->value = option_get(ctx, cmd->option);
		cmd->sealed = !!(ctx->sealed & BIT(cmd->option));
	} else if (ctx->sealed & BIT(cmd->option)) {
		/* A program that was passed the file may ask for what is set */
		if (cmd->value != option_get(ctx, cmd->option))
			ret = -EPERM;
	} else {
		ret = option_set(ctx, cmd->option, cmd->value);
		if (!ret && cmd->flags & IOASID_OPTION_SEAL)
			ctx->sealed |= BIT(cmd->option);
	}
	mutex_unlock(&ctx->lock);

	if (get)
		return copy_out(user, cmd, sizeof(*cmd));
	if (!ret)
		trace_ioasid_option(cmd->option, cmd->value,
				    cmd->flags & IOASID_OPTION_SEAL);
	return ret;
}

#define CMD(_nr, _type, _last, _flags, _fn)				\
	[_IOC_NR(_nr) - IOASID_BASE] = {				\
		.size = sizeof(_type) +					\
			BUILD_BUG_ON_ZERO(sizeof(_type) % sizeof(u64) || \
					  sizeof(_type) == sizeof(u64)),\
		.min = offsetofend(_type, _last),			\
		.flags = _flags,					\
		.fn = _fn,						\
	}

static const struct ioasid_cmd ioasid_cmds[] = {
	CMD(IOASID_CHECK_EXTENSION, struct ioasid_check_extension, __reserved,
	    0, cmd_check_extension),
	CMD(IOASID_ALLOC, struct ioasid_alloc, ioasid,
	    IOASID_ALLOC_NEST_PARENT | IOASID_ALLOC_DIRTY | IOASID_ALLOC_DEMAND,
	    ioasid_cmd_alloc),
	CMD(IOASID_FREE, struct ioasid_free, __reserved, IOASID_FREE_CASCADE,
	    ioasid_cmd_free),
	CMD(IOASID_GET_INFO, struct ioasid_info, ranges, 0,
	    ioasid_cmd_get_info),
	CMD(IOASID_DEVICE_GET_INFO, struct ioasid_device_info, ranges, 0,
	    ioasid_cmd_device_get_info),
	CMD(IOASID_MAP_DMA, struct ioasid_map_dma, fault_addr, MAP_FLAGS,
	    ioasid_cmd_map_dma),
	CMD(IOASID_UNMAP_DMA, struct ioasid_unmap_dma, unmapped,
	    IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT | IOASID_UNMAP_CASCADE |
	    IOASID_UNMAP_DIRTY, ioasid_cmd_unmap_dma),
	CMD(IOASID_DMA_BATCH, struct ioasid_dma_batch, fault_addr, 0,
	    ioasid_cmd_dma_batch),
	CMD(IOASID_QUERY_MAP, struct ioasid_query_map, entry_size, 0,
	    ioasid_cmd_query_map),
	CMD(IOASID_BIND_PGTABLE, struct ioasid_bind_table, __reserved,
	    IOASID_BIND_REPLACE, ioasid_cmd_bind_pgtable),
	CMD(IOASID_UNBIND_PGTABLE, struct ioasid_unbind_table, __reserved, 0,
	    ioasid_cmd_unbind_pgtable),
	CMD(IOASID_BIND_PASID_TABLE, struct ioasid_bind_table, __reserved,
	    IOASID_BIND_REPLACE, ioasid_cmd_bind_pasid_table),
	CMD(IOASID_UNBIND_PASID_TABLE, struct ioasid_unbind_table, __reserved,
	    0, ioasid_cmd_unbind_pasid_table),
	CMD(IOASID_INVALIDATE_CACHE, struct ioasid_invalidate_cache, __reserved,
	    0, ioasid_cmd_invalidate_cache),
	CMD(IOASID_FAULT_QUEUE, struct ioasid_fault_queue, fd, 0,
	    ioasid_cmd_fault_queue),
	CMD(IOASID_SET_DIRTY, struct ioasid_set_dirty, __reserved,
	    IOASID_SET_DIRTY_ON | IOASID_SET_DIRTY_OFF |
	    IOASID_SET_DIRTY_COARSE, ioasid_cmd_set_dirty),
	CMD(IOASID_GET_DIRTY, struct ioasid_get_dirty, next,
	    IOASID_GET_DIRTY_NO_CLEAR, ioasid_cmd_get_dirty),
	CMD(IOASID_EXPORT, struct ioasid_export, max_mappings,
	    IOASID_EXPORT_READ | IOASID_EXPORT_WRITE, ioasid_cmd_export),
	CMD(IOASID_IMPORT, struct ioasid_import, cookie, 0, ioasid_cmd_import),
	CMD(IOASID_LIST, struct ioasid_list, entries, 0, ioasid_cmd_list),
	CMD(IOASID_SET_OPTION, struct ioasid_set_option, value,
	    IOASID_OPTION_GET | IOASID_OPTION_SEAL, cmd_set_option),
	CMD(IOASID_REHOME, struct ioasid_rehome, fail_iova, IOASID_REHOME_PROBE,
	    ioasid_cmd_rehome),
	CMD(IOASID_VFIO_IOASID, struct ioasid_vfio_ioasid, __reserved,
	    IOASID_VFIO_IOASID_SET, ioasid_cmd_vfio_ioasid),
	CMD(IOASID_GET_EVENTS, struct ioasid_get_events, events, 0,
	    ioasid_cmd_get_events),
};

/*
 * Copy in a structure of the size that the kernel has.  This is the common
 * case, and needs one section of access to user memory.
 */
static __always_inline bool copy_same_size(union ioasid_arg *arg,
					   unsigned int size,
					   const void __user *uptr)
{
	const u64 __user *from = uptr;
	unsigned int i, n = size / sizeof(u64);
	u64 *to = (u64 *)arg;

	if (!user_read_access_begin(uptr, size))
		return false;
	unsafe_get_user(to[0], from, fault);
	if (unlikely(arg->argsz != size))
		goto fault;
	for (i = n - 1; i >= 8; i--)
		unsafe_get_user(to[i], from + i, fault);
	/* All commands pay for this: a loop takes as long as the words do */
	switch (i) {
	case 7:
		unsafe_get_user(to[7], from + 7, fault);
		fallthrough;
	case 6:
		unsafe_get_user(to[6], from + 6, fault);
		fallthrough;
	case 5:
		unsafe_get_user(to[5], from + 5, fault);
		fallthrough;
	case 4:
		unsafe_get_user(to[4], from + 4, fault);
		fallthrough;
	case 3:
		unsafe_get_user(to[3], from + 3, fault);
		fallthrough;
	case 2:
		unsafe_get_user(to[2], from + 2, fault);
		fallthrough;
	default:
		unsafe_get_user(to[1], from + 1, fault);
	}
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
	/* No structure is that large: do not check gigabytes of zeroes */
	if (argsz > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(arg, cmd->size, uptr, argsz);
	/* Another thread may have changed argsz between the two reads */
	arg->argsz = argsz;
	return ret;
}

static __always_inline long do_ioctl(struct ioasid_ctx *ctx, unsigned int nr,
				     unsigned long user)
{
	unsigned int index = _IOC_NR(nr) - IOASID_BASE;
	void __user *uptr = (void __user *)user;
	const struct ioasid_cmd *cmd;
	/* Only the structure of the command is copied in, and read */
	union ioasid_arg arg __uninitialized;
	int ret;

	if (unlikely(nr != _IO(IOASID_TYPE, _IOC_NR(nr)) ||
		     index >= ARRAY_SIZE(ioasid_cmds)))
		return ioasid_container_ioctl(ctx, nr, user);
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
	return cmd->fn(ctx, &arg, uptr);
}

static long ioasid_fops_ioctl(struct file *filp, unsigned int nr,
			      unsigned long user)
{
	return do_ioctl(filp->private_data, nr, user);
}

/**
 * ioasid_ctx_ioctl() - run a command on a context, for the file of a framework
 * @ctx: the context
 * @nr: a command of the file of /dev/ioasid, or of VFIO's containers
 * @user: its argument
 *
 * Context: may sleep.
 * Return: what the command returns; -ENOTTY, there is no such command.
 */
long ioasid_ctx_ioctl(struct ioasid_ctx *ctx, unsigned int nr,
		      unsigned long user)
{
	return do_ioctl(ctx, nr, user);
}
EXPORT_SYMBOL_GPL(ioasid_ctx_ioctl);

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

static __poll_t ioasid_fops_poll(struct file *filp, poll_table *wait)
{
	struct ioasid_ctx *ctx = filp->private_data;

	poll_wait(filp, &ctx->events, wait);
	if (ioasid_ctx_has_event(ctx))
		return EPOLLIN | EPOLLRDNORM | EPOLLPRI;
	return 0;
}

static const struct file_operations ioasid_fops = {
	.owner = THIS_MODULE,
	.open = ioasid_fops_open,
	.release = ioasid_fops_release,
	.poll = ioasid_fops_poll,
	.unlocked_ioctl = ioasid_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = ioasid_fops_uring_cmd,
	.show_fdinfo = ioasid_fops_show_fdinfo,
};

/**
 * ioasid_file_is_ctx() - check if a file is an open /dev/ioasid
 * @file: any file
 *
 * A framework that does not depend on this module calls this function by
 * symbol_get(), before it loads its module for /dev/ioasid.
 *
 * Return: true if it is.
 */
bool ioasid_file_is_ctx(struct file *file)
{
	return file->f_op == &ioasid_fops;
}
EXPORT_SYMBOL_GPL(ioasid_file_is_ctx);

/**
 * ioasid_ctx_from_file() - get the context of an open file
 * @file: any file
 *
 * Return: the context with a reference, or ERR_PTR(-EBADFD) if @file is not an
 * open /dev/ioasid.
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
 * ioasid_ctx_from_fd() - get the context of a file descriptor
 * @fd: a file descriptor of the calling process
 *
 * Return: the context with a reference, or ERR_PTR(-EBADF) if @fd is not open,
 * or not an open /dev/ioasid.
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

/**
 * ioasid_device_id_ioctl() - execute IOASID_DEVICE_GET_ID
 * @idev: the device
 * @arg: user address of a struct ioasid_device_get_id
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0; or an error as of ioasid_bind_from_user(), or
 * -EBADF, the file descriptor in it is not of a context;
 * -EXDEV, @idev is bound to another context.
 */
int ioasid_device_id_ioctl(struct ioasid_device *idev, void __user *arg)
{
	struct ioasid_device_get_id cmd;
	struct ioasid_ctx *ctx;
	int ret;

	ret = ioasid_arg_from_user(&cmd, sizeof(cmd), sizeof(cmd), arg);
	if (ret)
		return ret;
	if (cmd.flags)
		return -EOPNOTSUPP;
	if (cmd.ioasid_fd != -1) {
		ctx = ioasid_ctx_from_fd(cmd.ioasid_fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
		if (ctx != idev->obj.ctx)
			ret = -EXDEV;
		ioasid_ctx_put(ctx);
		if (ret)
			return ret;
	}
	cmd.devid = idev->obj.id;
	cmd.cookie = idev->cookie;
	return copy_to_user(arg, &cmd, sizeof(cmd)) ? -EFAULT : 0;
}
EXPORT_SYMBOL_GPL(ioasid_device_id_ioctl);

static struct miscdevice ioasid_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ioasid",
	.nodename = "ioasid",
	.mode = 0660,
	.fops = &ioasid_fops,
};

static int __init ioasid_module_init(void)
{
	int ret;

	ioasid_pin_init();
	ret = ioasid_charge_init();
	if (ret)
		return ret;
	ret = ioas_cache_init();
	if (ret)
		goto err_memory;
	ret = ioas_fault_server_setup();
	if (ret)
		goto err_space;
	ret = ioasid_ioasids_init();
	if (ret)
		goto err_server;
	ioasid_share_init();
	ioasid_faults_init();
	ioasid_device_init();
	ioasid_attach_init();
	ret = misc_register(&ioasid_misc);
	if (ret)
		goto err_context;
	return 0;

err_context:
	ioasid_ioasids_exit();
err_server:
	ioas_fault_server_cleanup();
err_space:
	ioas_cache_exit();
err_memory:
	ioasid_charge_exit();
	return ret;
}

module_init(ioasid_module_init);

static void __exit ioasid_module_exit(void)
{
	misc_deregister(&ioasid_misc);
	ioas_dirty_fini();
	ioas_fault_server_cleanup();
	/* Devices and imports are freed by kfree_rcu() */
	rcu_barrier();
	ioasid_ioasids_exit();
	ioas_cache_exit();
	ioasid_charge_exit();
}

module_exit(ioasid_module_exit);

MODULE_DESCRIPTION("I/O address spaces for user space");

MODULE_LICENSE("GPL");

MODULE_IMPORT_NS(IOMMUFD_INTERNAL);
