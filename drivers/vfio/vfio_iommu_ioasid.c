// SPDX-License-Identifier: GPL-2.0-only
/*
 * A back end of VFIO's containers (/dev/vfio/vfio) that translates by
 * /dev/ioasid.  It needs nothing of VFIO but vfio_register_iommu_driver(), and
 * serves a container in one of two ways:
 *
 *  - as type1: the container has a context of its own; type1's commands and those
 *    of /dev/ioasid both act on it, and groups are bound and attached as they come.
 *  - for a file of /dev/ioasid: groups are blocked as they come; a command binds
 *    them to the context of that file, others attach and detach them.
 *
 * Invariants
 *	VFIO owns the DMA of the groups: it claims it before attach_group(), and
 *	releases it after detach_group(). Between these a group is bound to at most
 *	one context, and its DMA is blocked or goes through an IOASID of it.
 *
 *	VFIO calls ioctl() with no lock held, so that the container may just lose
 *	its last group, and with it its reference to this module. Hence VFIO has
 *	the number of a container, by which a command finds it or not. Numbers
 *	are handed out in turn. A command has references of its own.
 *
 *	A group is unbound when none of its devices is open, but for one whose
 *	bind command fails to copy the id out. That one is &.binding until then:
 *	no command attaches it, and no driver pins by it.
 *
 *	&vfio_ioasid_container.ctx is set once, and the container has a reference
 *	to it until nothing uses the container.
 *
 *	Emulated devices of a container all use one IOASID, since VFIO does not say
 *	which device unpins: in a container for a file there is one such group.
 *
 * Locking
 *	VFIO's group_lock, vfio_ioasid_container.lock, the locks of /dev/ioasid.
 *	When an emulated device is detached, its driver is asked to unpin with
 *	all of them held; it takes none of them to do so.
 *
 *	vfio_ioasid_container.device_lock is held while drivers are asked to unpin;
 *	lists_lock is a leaf.
 *
 * Waits
 *	For vfio_ioasid_container.lock, which is held while a group attaches:
 *	killable in commands, but for the end of a bind, which must commit or
 *	undo it. A group that leaves waits for the attach of
 *	another group of the container, as it waits for a map with type1.
 *
 * Longer than 700 lines: a module of VFIO's is one file.
 */
#include <linux/cdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/xarray.h>
#include <uapi/linux/ioasid.h>
#include <uapi/linux/vfio.h>

#include "vfio.h"

static bool type1;
module_param(type1, bool, 0644);
MODULE_PARM_DESC(type1,
		 "Serve containers of programs that ask for VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU, in the place of vfio_iommu_type1. Counts for containers that are not set up yet.");

/**
 * struct vfio_ioasid_group - a group in a container
 * @node: in vfio_ioasid_container.groups
 * @group: the iommu group
 * @emulated: its devices are emulated
 * @idev: the group, bound; that of an emulated one is the container's
 * @binding: the group, bound by a command that has not copied the id out yet
 * @binding_ctx: the context of @binding, by which and the id the command finds
 *	it again; the command has a reference
 */
struct vfio_ioasid_group {
	struct list_head node;
	struct iommu_group *group;
	bool emulated;
	struct ioasid_device *idev;
	struct ioasid_device *binding;
	struct ioasid_ctx *binding_ctx;
};

/**
 * struct vfio_ioasid_container - a container
 * @users: VFIO, and each command under way
 * @rcu: frees it
 * @for_file: it serves a file of /dev/ioasid
 * @ctx: the context, or NULL while no group was bound to the file
 * @lock: serialises all that binds and attaches
 * @groups: the groups; changed under both @lock and @lists_lock
 * @nr_emulated: how many of them are emulated; protected by @lock
 * @access: the emulated ones, bound; or NULL
 * @device_lock: keeps @devices while drivers are called
 * @devices: open devices; changed under both @device_lock and @lists_lock
 * @lists_lock: protects the lists against looks that must not sleep
 */
struct vfio_ioasid_container {
	refcount_t users;
	struct rcu_head rcu;
	bool for_file;
	struct ioasid_ctx *ctx;
	struct mutex lock;		/* binds and attaches */
	struct list_head groups;
	unsigned int nr_emulated;
	struct ioasid_device *access;
	struct mutex device_lock;	/* keeps devices */
	struct list_head devices;
	spinlock_t lists_lock;		/* looks at groups and devices */
};

/* ---- Containers ---- */

static DEFINE_XARRAY_ALLOC1(vfio_ioasid_containers);
static u32 vfio_ioasid_next;

static unsigned long vfio_ioasid_number(void *iommu_data)
{
	return (unsigned long)iommu_data;
}

/* For calls of VFIO's that hold the container */
static struct vfio_ioasid_container *vfio_ioasid_container(void *iommu_data)
{
	return xa_load(&vfio_ioasid_containers, vfio_ioasid_number(iommu_data));
}

/* For a command, which vfio_ioasid_put_command() ends */
static struct vfio_ioasid_container *vfio_ioasid_get_command(void *iommu_data)
{
	struct vfio_ioasid_container *c;

	if (!try_module_get(THIS_MODULE))
		return NULL;
	rcu_read_lock();
	c = vfio_ioasid_container(iommu_data);
	if (c && !refcount_inc_not_zero(&c->users))
		c = NULL;
	rcu_read_unlock();
	if (!c)
		module_put(THIS_MODULE);
	return c;
}

static void vfio_ioasid_put(struct vfio_ioasid_container *c)
{
	if (!refcount_dec_and_test(&c->users))
		return;
	if (c->ctx) {
		if (!c->for_file)
			ioasid_ctx_close(c->ctx);
		ioasid_ctx_put(c->ctx);
	}
	mutex_destroy(&c->device_lock);
	mutex_destroy(&c->lock);
	kfree_rcu(c, rcu);
}

static void vfio_ioasid_put_command(struct vfio_ioasid_container *c)
{
	vfio_ioasid_put(c);
	module_put(THIS_MODULE);
}

static int vfio_ioasid_open_ctx(struct vfio_ioasid_container *c,
				unsigned long type)
{
	int ret;

	c->ctx = ioasid_ctx_alloc();
	if (!c->ctx)
		return -ENOMEM;
	ret = ioasid_container_open(c->ctx, type);
	if (ret) {
		ioasid_ctx_put(c->ctx);
		c->ctx = NULL;
	}
	return ret;
}

static bool vfio_ioasid_serves(unsigned long arg)
{
	switch (arg) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return READ_ONCE(type1);
	case IOASID_VFIO_IOMMU:
	case IOASID_VFIO_FILE:
		return true;
	default:
		return false;
	}
}

static void *vfio_ioasid_open(unsigned long arg)
{
	struct vfio_ioasid_container *c;
	u32 number;
	int ret;

	if (!vfio_ioasid_serves(arg) || arg == VFIO_UNMAP_ALL)
		return ERR_PTR(-EINVAL);
	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return ERR_PTR(-ENOMEM);
	refcount_set(&c->users, 1);
	mutex_init(&c->lock);
	INIT_LIST_HEAD(&c->groups);
	mutex_init(&c->device_lock);
	INIT_LIST_HEAD(&c->devices);
	spin_lock_init(&c->lists_lock);
	c->for_file = arg == IOASID_VFIO_FILE;
	if (!c->for_file) {
		ret = vfio_ioasid_open_ctx(c, arg == IOASID_VFIO_IOMMU ?
					      VFIO_TYPE1v2_IOMMU : arg);
		if (ret)
			goto err_put;
	}
	ret = xa_alloc_cyclic(&vfio_ioasid_containers, &number, c, xa_limit_31b,
			      &vfio_ioasid_next, GFP_KERNEL_ACCOUNT);
	if (ret < 0)
		goto err_put;
	return (void *)(unsigned long)number;

err_put:
	vfio_ioasid_put(c);
	return ERR_PTR(ret);
}

/* ---- Groups ---- */

static struct vfio_ioasid_group *
vfio_ioasid_find_group(struct vfio_ioasid_container *c,
		       struct iommu_group *iommu_group)
{
	struct vfio_ioasid_group *group;

	list_for_each_entry(group, &c->groups, node)
		if (group->group == iommu_group)
			return group;
	return NULL;
}

/* The open devices that drivers emulate are asked to unpin */
static void vfio_ioasid_access_unmap(void *data, u64 iova, u64 length)
{
	struct vfio_ioasid_container *c = data;
	struct vfio_device *device;

	mutex_lock(&c->device_lock);
	list_for_each_entry(device, &c->devices, iommu_entry)
		if (device->ops->dma_unmap)
			device->ops->dma_unmap(device, iova, length);
	mutex_unlock(&c->device_lock);
}

static const struct ioasid_access_ops vfio_ioasid_access_ops = {
	.unmap = vfio_ioasid_access_unmap,
};

/* All files of a device share the address space of its inode */
static bool vfio_ioasid_owns_file(void *data, struct file *file)
{
	struct vfio_ioasid_container *c = data;
	struct vfio_ioasid_group *group;
	struct vfio_device *device;
	bool owns = false;

	spin_lock(&c->lists_lock);
	list_for_each_entry(device, &c->devices, iommu_entry) {
		if (file->f_mapping != device->inode->i_mapping)
			continue;
		group = vfio_ioasid_find_group(c, device->dev->iommu_group);
		owns = group && !group->emulated && READ_ONCE(group->idev);
		break;
	}
	spin_unlock(&c->lists_lock);
	return owns;
}

static const struct ioasid_device_ops vfio_ioasid_device_ops = {
	.owns_file = vfio_ioasid_owns_file,
};

static struct ioasid_device *vfio_ioasid_bind(struct vfio_ioasid_container *c,
					      struct vfio_ioasid_group *group,
					      struct ioasid_ctx *ctx,
					      u64 cookie)
{
	lockdep_assert_held(&c->lock);
	if (!group->emulated)
		return ioasid_bind_group(ctx, group->group, true,
					 &vfio_ioasid_device_ops, c, cookie);
	if (c->access)
		return c->access;
	return ioasid_bind_group_access(ctx, group->group,
					&vfio_ioasid_access_ops, c, cookie);
}

/* From now on commands attach the group, and drivers pin by it */
static void vfio_ioasid_use(struct vfio_ioasid_container *c,
			    struct vfio_ioasid_group *group,
			    struct ioasid_device *idev)
{
	lockdep_assert_held(&c->lock);
	WRITE_ONCE(group->idev, idev);
	if (group->emulated)
		WRITE_ONCE(c->access, idev);
}

static void vfio_ioasid_unbind(struct vfio_ioasid_container *c,
			       struct vfio_ioasid_group *group)
{
	struct vfio_ioasid_group *other;

	lockdep_assert_held(&c->lock);
	if (group->binding)
		ioasid_unbind(group->binding);
	group->binding = NULL;
	if (!group->idev)
		return;
	if (group->emulated)
		list_for_each_entry(other, &c->groups, node)
			if (other != group && other->idev == group->idev)
				goto shared;
	/* Drivers may be asked to unpin, which they do by it */
	ioasid_unbind(group->idev);
	if (group->emulated)
		WRITE_ONCE(c->access, NULL);
shared:
	WRITE_ONCE(group->idev, NULL);
}

static int vfio_ioasid_start(struct vfio_ioasid_container *c,
			     struct vfio_ioasid_group *group)
{
	struct ioasid_device *idev;
	int ret;

	if (c->for_file)
		return group->emulated && c->nr_emulated ? -EBUSY : 0;
	idev = vfio_ioasid_bind(c, group, c->ctx, iommu_group_id(group->group));
	if (IS_ERR(idev))
		return PTR_ERR(idev) == -ENODEV ? -EINVAL : PTR_ERR(idev);
	/* The emulated ones stay where the first was attached */
	ret = idev == c->access ? 0 : ioasid_container_attach(idev);
	if (ret)
		ioasid_unbind(idev);
	else
		vfio_ioasid_use(c, group, idev);
	return ret;
}

static int vfio_ioasid_attach_group(void *iommu_data,
				    struct iommu_group *iommu_group,
				    enum vfio_group_type type)
{
	struct vfio_ioasid_container *c = vfio_ioasid_container(iommu_data);
	struct vfio_ioasid_group *group;
	int ret = -EINVAL;

	if (type != VFIO_IOMMU && type != VFIO_EMULATED_IOMMU)
		return -EINVAL;
	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return -ENOMEM;
	group->group = iommu_group;
	group->emulated = type == VFIO_EMULATED_IOMMU;

	mutex_lock(&c->lock);
	if (!vfio_ioasid_find_group(c, iommu_group))
		ret = vfio_ioasid_start(c, group);
	if (ret) {
		mutex_unlock(&c->lock);
		kfree(group);
		return ret;
	}
	c->nr_emulated += group->emulated;
	spin_lock(&c->lists_lock);
	list_add_tail(&group->node, &c->groups);
	spin_unlock(&c->lists_lock);
	mutex_unlock(&c->lock);
	return 0;
}

static void vfio_ioasid_remove_group(struct vfio_ioasid_container *c,
				     struct vfio_ioasid_group *group)
{
	lockdep_assert_held(&c->lock);
	vfio_ioasid_unbind(c, group);
	c->nr_emulated -= group->emulated;
	spin_lock(&c->lists_lock);
	list_del(&group->node);
	spin_unlock(&c->lists_lock);
	kfree(group);
}

static void vfio_ioasid_detach_group(void *iommu_data,
				     struct iommu_group *iommu_group)
{
	struct vfio_ioasid_container *c = vfio_ioasid_container(iommu_data);
	struct vfio_ioasid_group *group;

	mutex_lock(&c->lock);
	group = vfio_ioasid_find_group(c, iommu_group);
	if (group)
		vfio_ioasid_remove_group(c, group);
	mutex_unlock(&c->lock);
}

static void vfio_ioasid_release(void *iommu_data)
{
	struct vfio_ioasid_container *c;
	struct vfio_ioasid_group *group, *next;

	c = xa_erase(&vfio_ioasid_containers, vfio_ioasid_number(iommu_data));
	mutex_lock(&c->lock);
	list_for_each_entry_safe(group, next, &c->groups, node)
		vfio_ioasid_remove_group(c, group);
	mutex_unlock(&c->lock);
	vfio_ioasid_put(c);
}

/* ---- Commands that name a group ---- */

/*
 * The group of a file descriptor, in this container.  VFIO does not tell the
 * iommu group of a file; but the device of its node is named by the number.
 */
static struct vfio_ioasid_group *
vfio_ioasid_group_from_fd(struct vfio_ioasid_container *c, int fd)
{
	struct vfio_ioasid_group *group, *found = ERR_PTR(-EINVAL);
	struct file *file;
	struct cdev *cdev;
	int number;

	lockdep_assert_held(&c->lock);
	file = fget(fd);
	if (!file)
		return ERR_PTR(-EBADF);
	cdev = vfio_file_is_group(file) ? file_inode(file)->i_cdev : NULL;
	if (!cdev || !cdev->kobj.parent) {
		fput(file);
		return ERR_PTR(-EBADF);
	}
	if (!kstrtoint(kobject_name(cdev->kobj.parent), 10, &number))
		list_for_each_entry(group, &c->groups, node)
			if (iommu_group_id(group->group) == number)
				found = group;
	fput(file);
	return found;
}

/* Bind the group of a command; returns the id, or -errno */
static int vfio_ioasid_begin_bind(struct vfio_ioasid_container *c,
				  const struct ioasid_vfio_bind_group *cmd,
				  struct ioasid_ctx *ctx)
{
	struct vfio_ioasid_group *group;
	struct ioasid_device *idev;

	lockdep_assert_held(&c->lock);
	group = vfio_ioasid_group_from_fd(c, cmd->group_fd);
	if (IS_ERR(group))
		return PTR_ERR(group);
	if (group->idev || group->binding)
		return -EBUSY;
	if (c->ctx && c->ctx != ctx)
		return -EINVAL;
	idev = vfio_ioasid_bind(c, group, ctx, cmd->cookie);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	group->binding = idev;
	group->binding_ctx = ctx;
	return ioasid_device_id(idev);
}

/* From now on the container is one for this context */
static bool vfio_ioasid_set_ctx(struct vfio_ioasid_container *c,
				struct ioasid_ctx *ctx)
{
	lockdep_assert_held(&c->lock);
	if (c->ctx)
		return c->ctx == ctx;
	ioasid_ctx_get(ctx);
	/* Commands find it without the lock */
	smp_store_release(&c->ctx, ctx);
	return true;
}

/*
 * @ret is that of the copy.  The group may have left, and may have come again,
 * since; and the container may be one for another context by now.
 */
static int vfio_ioasid_end_bind(struct vfio_ioasid_container *c,
				struct ioasid_ctx *ctx, u32 devid, int ret)
{
	struct vfio_ioasid_group *group;
	struct ioasid_device *idev;

	mutex_lock(&c->lock);
	list_for_each_entry(group, &c->groups, node) {
		idev = group->binding;
		/* Ids of different contexts are the same */
		if (!idev || group->binding_ctx != ctx ||
		    ioasid_device_id(idev) != devid)
			continue;
		group->binding = NULL;
		if (!ret && !vfio_ioasid_set_ctx(c, ctx))
			ret = -EINVAL;
		if (ret)
			ioasid_unbind(idev);
		else
			vfio_ioasid_use(c, group, idev);
		break;
	}
	mutex_unlock(&c->lock);
	return ret;
}

static long vfio_ioasid_bind_group(struct vfio_ioasid_container *c,
				   void __user *arg)
{
	struct ioasid_vfio_bind_group __user *user = arg;
	struct ioasid_vfio_bind_group cmd;
	struct ioasid_ctx *ctx;
	int ret, devid;

	ret = ioasid_arg_from_user(&cmd, sizeof(cmd), sizeof(cmd), user);
	if (ret)
		return ret;
	if (cmd.flags)
		return -EOPNOTSUPP;
	if (cmd.__reserved)
		return -EINVAL;
	ctx = ioasid_ctx_from_fd(cmd.ioasid_fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	ret = mutex_lock_killable(&c->lock);
	if (ret)
		goto put;
	devid = vfio_ioasid_begin_bind(c, &cmd, ctx);
	mutex_unlock(&c->lock);
	ret = devid < 0 ? devid :
			  vfio_ioasid_end_bind(c, ctx, devid,
					       put_user(devid, &user->devid));
put:
	ioasid_ctx_put(ctx);
	return ret;
}

/* The bound group of a command that attaches or detaches; the lock is taken */
static struct vfio_ioasid_group *
vfio_ioasid_lock_group(struct vfio_ioasid_container *c, int fd)
{
	struct vfio_ioasid_group *group;
	int ret;

	ret = mutex_lock_killable(&c->lock);
	if (ret)
		return ERR_PTR(ret);
	group = vfio_ioasid_group_from_fd(c, fd);
	if (!IS_ERR(group) && !group->idev)
		group = ERR_PTR(-ENODEV);
	else if (!IS_ERR(group) && group->emulated && !c->for_file)
		group = ERR_PTR(-EOPNOTSUPP);
	if (IS_ERR(group))
		mutex_unlock(&c->lock);
	return group;
}

static long vfio_ioasid_attach_command(struct vfio_ioasid_container *c,
				       void __user *arg)
{
	struct ioasid_vfio_attach_group __user *user = arg;
	struct ioasid_vfio_attach_group cmd;
	struct vfio_ioasid_group *group;
	u64 fault_addr = 0;
	int ret;

	ret = ioasid_arg_from_user(&cmd, sizeof(cmd), sizeof(cmd), user);
	if (ret)
		return ret;
	if (cmd.flags)
		return -EOPNOTSUPP;
	group = vfio_ioasid_lock_group(c, cmd.group_fd);
	if (IS_ERR(group))
		return PTR_ERR(group);
	ret = ioasid_attach(group->idev, cmd.ioasid, &fault_addr);
	mutex_unlock(&c->lock);
	if (ret == -EADDRINUSE && put_user(fault_addr, &user->fault_addr))
		return -EFAULT;
	return ret;
}

static long vfio_ioasid_detach_command(struct vfio_ioasid_container *c,
				       void __user *user)
{
	struct ioasid_vfio_detach_group cmd;
	struct vfio_ioasid_group *group;
	int ret;

	ret = ioasid_arg_from_user(&cmd, sizeof(cmd), sizeof(cmd), user);
	if (ret)
		return ret;
	if (cmd.flags)
		return -EOPNOTSUPP;
	group = vfio_ioasid_lock_group(c, cmd.group_fd);
	if (IS_ERR(group))
		return PTR_ERR(group);
	ret = ioasid_detach(group->idev, cmd.ioasid);
	mutex_unlock(&c->lock);
	return ret;
}

static long vfio_ioasid_do_ioctl(struct vfio_ioasid_container *c,
				 unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct ioasid_ctx *ctx;

	switch (cmd) {
	case IOASID_VFIO_BIND_GROUP:
		return vfio_ioasid_bind_group(c, user);
	case IOASID_VFIO_ATTACH_GROUP:
		return vfio_ioasid_attach_command(c, user);
	case IOASID_VFIO_DETACH_GROUP:
		return vfio_ioasid_detach_command(c, user);
	}
	/* Paired with smp_store_release() in vfio_ioasid_do_bind() */
	ctx = smp_load_acquire(&c->ctx);
	if (!ctx)
		return cmd == VFIO_CHECK_EXTENSION ? 0 : -EINVAL;
	return ioasid_ctx_ioctl(ctx, cmd, arg);
}

static long vfio_ioasid_ioctl(void *iommu_data, unsigned int cmd,
			      unsigned long arg)
{
	struct vfio_ioasid_container *c;
	long ret;

	if (cmd == VFIO_CHECK_EXTENSION &&
	    (!iommu_data || arg == IOASID_VFIO_IOMMU ||
	     arg == IOASID_VFIO_FILE))
		return vfio_ioasid_serves(arg);
	c = vfio_ioasid_get_command(iommu_data);
	/* The last group has just left: as before VFIO_SET_IOMMU */
	if (!c)
		return -EINVAL;
	ret = vfio_ioasid_do_ioctl(c, cmd, arg);
	vfio_ioasid_put_command(c);
	return ret;
}

/* ---- Open devices, and what drivers of emulated ones do ---- */

static void vfio_ioasid_register_device(void *iommu_data,
					struct vfio_device *device)
{
	struct vfio_ioasid_container *c = vfio_ioasid_container(iommu_data);

	mutex_lock(&c->device_lock);
	spin_lock(&c->lists_lock);
	list_add(&device->iommu_entry, &c->devices);
	spin_unlock(&c->lists_lock);
	mutex_unlock(&c->device_lock);
}

static void vfio_ioasid_unregister_device(void *iommu_data,
					  struct vfio_device *device)
{
	struct vfio_ioasid_container *c = vfio_ioasid_container(iommu_data);

	mutex_lock(&c->device_lock);
	spin_lock(&c->lists_lock);
	list_del(&device->iommu_entry);
	spin_unlock(&c->lists_lock);
	mutex_unlock(&c->device_lock);
}

/* As drivers know it from type1 */
static int vfio_ioasid_access_errno(int ret)
{
	return ret == -ENOENT ? -EINVAL : ret;
}

static int vfio_ioasid_pin_pages(void *iommu_data, struct iommu_group *group,
				 dma_addr_t iova, int npage, int prot,
				 struct page **pages)
{
	struct vfio_ioasid_container *c = vfio_ioasid_container(iommu_data);
	struct ioasid_device *access = READ_ONCE(c->access);
	int ret;

	if (!access || !pages || npage <= 0)
		return -EINVAL;
	/* As VFIO has it, the pages are those from the page of @iova on. */
	ret = ioasid_access_pin_pages(access, ALIGN_DOWN(iova, PAGE_SIZE),
				      npage, prot & IOMMU_WRITE ?
				      IOASID_ACCESS_WRITE : IOASID_ACCESS_READ,
				      pages);
	return vfio_ioasid_access_errno(ret) ?: npage;
}

static void vfio_ioasid_unpin_pages(void *iommu_data, dma_addr_t iova,
				    int npage)
{
	struct vfio_ioasid_container *c = vfio_ioasid_container(iommu_data);
	struct ioasid_device *access = READ_ONCE(c->access);

	if (access && npage > 0)
		ioasid_access_unpin_pages(access, ALIGN_DOWN(iova, PAGE_SIZE),
					  npage);
}

static int vfio_ioasid_dma_rw(void *iommu_data, dma_addr_t iova, void *data,
			      size_t count, bool write)
{
	struct vfio_ioasid_container *c = vfio_ioasid_container(iommu_data);
	struct ioasid_device *access = READ_ONCE(c->access);

	if (!access)
		return -EINVAL;
	return vfio_ioasid_access_errno(ioasid_access_rw(access, iova, data,
							 count, write ?
							 IOASID_ACCESS_WRITE :
							 IOASID_ACCESS_READ));
}

static const struct vfio_iommu_driver_ops vfio_iommu_ioasid_ops = {
	.name			= "vfio-iommu-ioasid",
	.owner			= THIS_MODULE,
	.open			= vfio_ioasid_open,
	.release		= vfio_ioasid_release,
	.ioctl			= vfio_ioasid_ioctl,
	.attach_group		= vfio_ioasid_attach_group,
	.detach_group		= vfio_ioasid_detach_group,
	.register_device	= vfio_ioasid_register_device,
	.unregister_device	= vfio_ioasid_unregister_device,
	.pin_pages		= vfio_ioasid_pin_pages,
	.unpin_pages		= vfio_ioasid_unpin_pages,
	.dma_rw			= vfio_ioasid_dma_rw,
};

static int __init vfio_iommu_ioasid_init(void)
{
	return vfio_register_iommu_driver(&vfio_iommu_ioasid_ops);
}
module_init(vfio_iommu_ioasid_init);

static void __exit vfio_iommu_ioasid_exit(void)
{
	vfio_unregister_iommu_driver(&vfio_iommu_ioasid_ops);
	xa_destroy(&vfio_ioasid_containers);
}
module_exit(vfio_iommu_ioasid_exit);

/* VFIO asks the back end first that was registered last */
MODULE_SOFTDEP("pre: vfio_iommu_type1");
MODULE_DESCRIPTION("VFIO containers on /dev/ioasid");
MODULE_LICENSE("GPL");
