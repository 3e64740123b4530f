// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control node of ioasid_mock, and the module as a whole.  See
 * ioasid_mock.h for what it does.
 *
 * Invariants:
 *  - Each struct control_device stands for one platform device.  It belongs to
 *    one open file, as a member of &control_file.devices, until it is removed
 *    to be unplugged; from then on to its work.
 *  - An unplug waits until the device is closed.  The process that has it open
 *    may be the one that asked for the unplug, so only works unplug.
 *
 * Locks: &control_file.lock is held while a device is made or used.  A work
 * takes no lock.
 */
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "device.h"
#include "ioasid_mock.h"
#include "model.h"

/**
 * struct control_device - a device that an open file has made
 * @refs: references: of the open file, then of the work; and of a command that
 *	waits for the work
 * @mdev: the device, if it has an IOMMU, or NULL
 * @kind: enum ioasid_model_kind
 * @pdev: the device, if it is of the emulated kind, or NULL
 * @number: the number in its name
 * @unplug: the work that unplugs it
 * @gone: completed when it is unplugged
 */
struct control_device {
	refcount_t refs;
	struct model_dev *mdev;
	u32 kind;
	struct platform_device *pdev;
	int number;
	struct work_struct unplug;
	struct completion gone;
};

/**
 * struct control_file - an open file
 * @lock: serialises the commands of the file
 * @devices: &struct control_device by id
 */
struct control_file {
	struct mutex lock; /* See the head of this file */
	struct xarray devices;
};

static struct workqueue_struct *control_wq;
static DECLARE_WAIT_QUEUE_HEAD(control_wait);
static atomic_t control_queued = ATOMIC_INIT(0); /* devices in the queue */
static DEFINE_IDA(control_numbers);

/* Time within which a device that is not open is unplugged, in jiffies */
#define MAX_UNPLUG	HZ

/* ---- Devices ---- */

static void control_put(struct control_device *device)
{
	if (refcount_dec_and_test(&device->refs))
		kfree(device);
}

static struct device *control_dev(struct control_device *device)
{
	return device->mdev ? model_dev_device(device->mdev) :
			      &device->pdev->dev;
}

static void control_unplug(struct work_struct *work)
{
	struct control_device *device = container_of(work,
						     struct control_device,
						     unplug);

	if (device->mdev)
		model_dev_destroy(device->mdev);
	else
		platform_device_unregister(device->pdev);
	ida_free(&control_numbers, device->number);
	complete_all(&device->gone);
	control_put(device);
	if (atomic_dec_and_test(&control_queued))
		wake_up_all(&control_wait);
}

/* Queue the unplug of a device that was removed from its file */
static void control_queue(struct control_device *device)
{
	atomic_inc(&control_queued);
	queue_work(control_wq, &device->unplug);
}

/* By enum ioasid_model_kind */
static const char * const control_drivers[] = {
	[IOASID_MODEL_PHYSICAL] = MODEL_DEVICE,
	[IOASID_MODEL_EMULATED] = MODEL_EMULATED,
	[IOASID_MODEL_SHARED] = MODEL_SHARED,
	[IOASID_MODEL_ACCEL] = MODEL_ACCEL,
};

static struct control_device *
control_plug(const struct ioasid_model_create *cmd)
{
	struct control_device *device;
	bool bound;
	int ret;

	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return ERR_PTR(-ENOMEM);
	refcount_set(&device->refs, 1);
	INIT_WORK(&device->unplug, control_unplug);
	init_completion(&device->gone);
	ret = ida_alloc_min(&control_numbers, MODEL_EMULATED_FIXED, GFP_KERNEL);
	if (ret < 0)
		goto err_free;
	device->number = ret;

	device->kind = cmd->kind;
	if (cmd->kind != IOASID_MODEL_EMULATED) {
		device->mdev = model_dev_create(control_drivers[cmd->kind],
						device->number, &cmd->params,
						cmd->group_key);
		ret = PTR_ERR_OR_ZERO(device->mdev);
	} else {
		device->pdev = platform_device_register_simple(MODEL_EMULATED,
							       device->number,
							       NULL, 0);
		ret = PTR_ERR_OR_ZERO(device->pdev);
	}
	if (ret)
		goto err_number;

	/* The driver was probed by then */
	device_lock(control_dev(device));
	bound = device_is_bound(control_dev(device));
	device_unlock(control_dev(device));
	if (!bound) {
		control_queue(device);
		return ERR_PTR(-ENODEV);
	}
	return device;

err_number:
	ida_free(&control_numbers, device->number);
err_free:
	kfree(device);
	return ERR_PTR(ret);
}

/* ---- Commands ---- */

static bool all_zero(const void *p, size_t size)
{
	return !memchr_inv(p, 0, size);
}

static long control_create(struct control_file *file, void __user *arg)
{
	struct control_device *device;
	struct ioasid_model_create cmd;
	u32 id;
	int ret;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.reserved || cmd.kind >= ARRAY_SIZE(control_drivers))
		return -EINVAL;
	if (cmd.kind == IOASID_MODEL_EMULATED) {
		if (cmd.group_key || !all_zero(&cmd.params, sizeof(cmd.params)))
			return -EINVAL;
	} else {
		ret = model_check_params(&cmd.params);
		if (ret)
			return ret;
	}
	mutex_lock(&file->lock);
	device = control_plug(&cmd);
	if (IS_ERR(device)) {
		ret = PTR_ERR(device);
		goto out;
	}
	ret = xa_alloc(&file->devices, &id, device, xa_limit_31b, GFP_KERNEL);
	if (ret)
		goto err_unplug;
	cmd.id = id;
	strscpy_pad(cmd.name, dev_name(control_dev(device)));
	if (copy_to_user(arg, &cmd, sizeof(cmd))) {
		ret = -EFAULT;
		goto err_erase;
	}
	goto out;

err_erase:
	xa_erase(&file->devices, id);
err_unplug:
	control_queue(device);
out:
	mutex_unlock(&file->lock);
	return ret;
}

static long control_destroy(struct control_file *file, void __user *arg)
{
	struct ioasid_model_destroy cmd;
	struct control_device *device;
	int ret = 0;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.flags & ~IOASID_MODEL_ASYNC)
		return -EINVAL;
	mutex_lock(&file->lock);
	device = xa_erase(&file->devices, cmd.id);
	mutex_unlock(&file->lock);
	if (!device)
		return -ENOENT;
	refcount_inc(&device->refs);
	control_queue(device);
	if (!(cmd.flags & IOASID_MODEL_ASYNC) &&
	    wait_for_completion_killable(&device->gone))
		ret = -EINTR;
	control_put(device);
	return ret;
}

/* A device that has an IOMMU */
static struct model_dev *control_find(struct control_file *file, u32 id)
{
	struct control_device *device;

	lockdep_assert_held(&file->lock);
	device = xa_load(&file->devices, id);
	if (!device)
		return ERR_PTR(-ENOENT);
	return device->mdev ?: ERR_PTR(-EINVAL);
}

static long control_inject(struct control_file *file, void __user *arg)
{
	struct ioasid_model_inject cmd;
	struct model_dev *mdev;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.what >= MODEL_INJECTIONS)
		return -EINVAL;
	guard(mutex)(&file->lock);
	mdev = control_find(file, cmd.id);
	if (IS_ERR(mdev))
		return PTR_ERR(mdev);
	return model_inject(mdev, cmd.what, cmd.nth, cmd.pages);
}

static long control_inspect(struct control_file *file, void __user *arg)
{
	struct ioasid_model_inspect cmd;
	struct model_dev *mdev;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.flags & ~IOASID_MODEL_LEDGER)
		return -EINVAL;
	mutex_lock(&file->lock);
	mdev = control_find(file, cmd.id);
	if (!IS_ERR(mdev)) {
		/* First, because it counts the pages that it finds */
		cmd.lost_pages = 0;
		if (cmd.flags & IOASID_MODEL_LEDGER)
			cmd.lost_pages = model_audit(mdev);
		model_read_counters(mdev, &cmd.counters);
		model_last_fault(mdev, &cmd.fault);
	}
	mutex_unlock(&file->lock);
	if (IS_ERR(mdev))
		return PTR_ERR(mdev);
	return copy_to_user(arg, &cmd, sizeof(cmd)) ? -EFAULT : 0;
}

static long control_mediate(struct control_file *file, void __user *arg)
{
	struct ioasid_model_mediate __user *out = arg;
	struct control_device *device;
	struct ioasid_model_mediate cmd;
	struct file *filp;
	int fd;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (cmd.flags & ~IOASID_MODEL_COMMON || cmd.reserved)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	guard(mutex)(&file->lock);
	device = xa_load(&file->devices, cmd.id);
	if (!device)
		filp = ERR_PTR(-ENOENT);
	else if (device->kind != IOASID_MODEL_SHARED)
		filp = ERR_PTR(-EINVAL);
	else
		filp = model_mediate(device->mdev,
				     cmd.flags & IOASID_MODEL_COMMON);
	if (IS_ERR(filp)) {
		put_unused_fd(fd);
		return PTR_ERR(filp);
	}
	if (put_user(fd, &out->fd)) {
		fput(filp);
		put_unused_fd(fd);
		return -EFAULT;
	}
	fd_install(fd, filp);
	return 0;
}

static long control_accel_job(struct control_file *file, void __user *arg)
{
	struct ioasid_model_accel_job cmd;
	struct control_device *device;
	int ret;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (!cmd.length || cmd.length > IOASID_MODEL_ACCEL_LENGTH ||
	    cmd.length % sizeof(u64))
		return -EINVAL;
	mutex_lock(&file->lock);
	device = xa_load(&file->devices, cmd.id);
	if (!device)
		ret = -ENOENT;
	else if (device->kind != IOASID_MODEL_ACCEL)
		ret = -EINVAL;
	else
		ret = model_accel_job(device->mdev, cmd.seed, cmd.length,
				      &cmd.sum);
	mutex_unlock(&file->lock);
	if (ret)
		return ret;
	return copy_to_user(arg, &cmd, sizeof(cmd)) ? -EFAULT : 0;
}

static long control_ioctl(struct file *filp, unsigned int cmd,
			  unsigned long arg)
{
	struct control_file *file = filp->private_data;

	switch (cmd) {
	case IOASID_MODEL_CREATE:
		return control_create(file, (void __user *)arg);
	case IOASID_MODEL_DESTROY:
		return control_destroy(file, (void __user *)arg);
	case IOASID_MODEL_INJECT:
		return control_inject(file, (void __user *)arg);
	case IOASID_MODEL_MEDIATE:
		return control_mediate(file, (void __user *)arg);
	case IOASID_MODEL_ACCEL_JOB:
		return control_accel_job(file, (void __user *)arg);
	case IOASID_MODEL_INSPECT:
		return control_inspect(file, (void __user *)arg);
	}
	return -ENOTTY;
}

/*
 * A device that is still being unplugged shares its unit, and the counters of
 * that, with new devices of the same unit: wait for the devices of files that
 * were closed, but not for ever, since a process may have one of them open.
 */
static int control_open(struct inode *inode, struct file *filp)
{
	struct control_file *file;

	if (wait_event_killable_timeout(control_wait,
					!atomic_read(&control_queued),
					MAX_UNPLUG) < 0)
		return -EINTR;
	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	xa_init_flags(&file->devices, XA_FLAGS_ALLOC1);
	filp->private_data = file;
	return 0;
}

static int control_release(struct inode *inode, struct file *filp)
{
	struct control_file *file = filp->private_data;
	struct control_device *device;
	unsigned long id;

	xa_for_each(&file->devices, id, device)
		control_queue(device);
	xa_destroy(&file->devices);
	mutex_destroy(&file->lock);
	kfree(file);
	return 0;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.unlocked_ioctl = control_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice control_node = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ioasid_mock",
	.fops = &control_fops,
	.mode = 0600,
};

/* ---- The module ---- */

static int __init ioasid_mock_init(void)
{
	int ret;

	/* Each work may wait for the close of its device */
	control_wq = alloc_workqueue("ioasid_mock", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!control_wq)
		return -ENOMEM;
	ret = model_init();
	if (ret)
		goto err_wq;
	ret = model_emulated_init();
	if (ret)
		goto err_model;
	ret = model_devices_init();
	if (ret)
		goto err_emulated;
	ret = model_mediated_init();
	if (ret)
		goto err_devices;
	ret = model_accel_init();
	if (ret)
		goto err_mediated;
	ret = misc_register(&control_node);
	if (ret)
		goto err_accel;
	return 0;

err_accel:
	model_accel_exit();
err_mediated:
	model_mediated_exit();
err_devices:
	model_devices_exit();
err_emulated:
	model_emulated_exit();
err_model:
	model_exit();
err_wq:
	destroy_workqueue(control_wq);
	return ret;
}
module_init(ioasid_mock_init);

static void __exit ioasid_mock_exit(void)
{
	misc_deregister(&control_node);
	/* Devices of closed files may not be unplugged yet */
	destroy_workqueue(control_wq);
	model_accel_exit();
	model_mediated_exit();
	model_devices_exit();
	model_emulated_exit();
	model_exit();
	ida_destroy(&control_numbers);
}
module_exit(ioasid_mock_exit);

MODULE_DESCRIPTION("A model IOMMU and model devices to test /dev/ioasid with");
MODULE_LICENSE("GPL");
