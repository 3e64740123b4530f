// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model devices of the shared kind, and the mediated devices that users make of
 * them: the least that a kernel driver does to let user space have PASIDs of its
 * device.  See ioasid_mock.h for their interface to user space.
 *
 * Invariants:
 *  - A mediated device does DMA with PASIDs that /dev/ioasid has attached only: it
 *    asks for the number of a vPASID with each access, or remembers what
 *    ioasid_pasid_translate() said until it hears that the number goes.
 *  - It is bound to at most one context.  The unplug of its device unbinds it.
 *
 * Locks: mediated_lock protects struct mediated.mdev and the list of devices;
 * inside of it struct mediated.lock serialises the commands of a file; inside of
 * that struct mediated.sem, held for reading over an access by a number that is
 * remembered.  The locks of /dev/ioasid nest between the last two: a listener
 * takes @sem.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/platform_device.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>
#include <uapi/linux/ioasid.h>
#include <uapi/linux/vfio.h>

#include "device.h"
#include "ioasid_mock.h"
#include "model.h"

static DEFINE_MUTEX(mediated_lock);	/* see the head of this file */

/**
 * struct mediated - a mediated device
 * @node: in mediated_devices
 * @mdev: the device that does its DMA; NULL when that was unplugged
 * @common: its PASIDs are common ones
 * @lock: serialises the commands of its file
 * @ctx: with @common: the context that it is bound to, with a reference; or NULL
 * @idev: the device in that context; NULL while it is not bound
 * @gone: with @common: listens for numbers that go
 * @sem: protects @numbers; held for reading while one of them is used
 * @numbers: with @common: what the driver remembers, xa_mk_value() by vPASID
 */
struct mediated {
	struct list_head node;
	struct model_dev *mdev;
	bool common;
	struct mutex lock;		/* commands */
	struct ioasid_ctx *ctx;
	struct ioasid_device *idev;
	struct notifier_block gone;
	struct rw_semaphore sem;	/* numbers */
	struct xarray numbers;
};

static LIST_HEAD(mediated_devices);

/* ---- Bind ---- */

static int mediated_gone(struct notifier_block *nb, unsigned long event,
			 void *data)
{
	struct mediated *med = container_of(nb, struct mediated, gone);
	const struct ioasid_pasid_gone *gone = data;

	/* Waits for an access that is under way */
	down_write(&med->sem);
	/* Another device may have a number of its own for the same vPASID */
	xa_cmpxchg(&med->numbers, gone->vpasid, xa_mk_value(gone->pasid), NULL,
		   0);
	up_write(&med->sem);
	return NOTIFY_OK;
}

static void mediated_unbind(struct mediated *med)
{
	lockdep_assert_held(&med->lock);
	if (!med->idev)
		return;
	ioasid_unbind(med->idev);
	med->idev = NULL;
	if (!med->ctx)
		return;
	ioasid_pasid_unregister_notifier(med->ctx, &med->gone);
	xa_destroy(&med->numbers);
	ioasid_ctx_put(med->ctx);
	med->ctx = NULL;
}

static long mediated_bind(struct mediated *med, void __user *arg)
{
	struct ioasid_device_bind bind;
	struct ioasid_ctx *ctx;
	u64 fault_addr = 0;
	int ret;

	ret = ioasid_bind_from_user(arg, &bind);
	if (ret)
		return ret;
	if (!med->mdev)
		return -ENODEV;
	if (med->idev)
		return -EBUSY;
	ctx = ioasid_ctx_from_fd(bind.ioasid_fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	med->idev = ioasid_bind_shared(ctx, model_dev_device(med->mdev),
				       med->common, NULL, NULL, bind.cookie);
	if (IS_ERR(med->idev)) {
		ret = PTR_ERR(med->idev);
		med->idev = NULL;
		ioasid_ctx_put(ctx);
		return ret;
	}
	if (med->common) {
		med->ctx = ctx;
		ioasid_pasid_register_notifier(ctx, &med->gone);
	} else {
		/* The bond has a reference of its own */
		ioasid_ctx_put(ctx);
	}
	if (bind.ioasid)
		ret = ioasid_attach(med->idev, bind.ioasid, &fault_addr);
	if (!ret)
		ret = ioasid_bind_to_user(arg, ioasid_device_id(med->idev));
	if (ret)
		mediated_unbind(med);
	if (ret == -EADDRINUSE)
		ioasid_bind_fault_to_user(arg, fault_addr);
	return ret;
}

/* ---- DMA ---- */

/* The number of a vPASID, of any device of the context */
static int remembered(struct mediated *med, u32 vpasid, u32 *pasid)
{
	void *entry = xa_load(&med->numbers, vpasid);
	int ret;

	if (entry) {
		*pasid = xa_to_value(entry);
		return 0;
	}
	ret = ioasid_pasid_translate(med->ctx, vpasid, pasid);
	if (ret)
		return ret;
	return xa_err(xa_store(&med->numbers, vpasid, xa_mk_value(*pasid),
			       GFP_KERNEL));
}

static int do_access(struct mediated *med, struct ioasid_model_mediated_dma *cmd,
		     void *buffer)
{
	struct model_fault fault = {};
	u32 pasid;
	int ret;

	/* A number that goes is not forgotten before, nor remembered after this */
	down_read(&med->sem);
	ret = med->common ? remembered(med, cmd->vpasid, &pasid) :
			    ioasid_device_pasid(med->idev, cmd->vpasid, &pasid);
	if (!ret) {
		cmd->pasid = pasid;
		cmd->reason = model_access(med->mdev, pasid, cmd->address,
					   buffer, cmd->length,
					   cmd->write ? MODEL_WRITE : MODEL_READ,
					   0, &fault);
	}
	up_read(&med->sem);
	return ret;
}

static long mediated_dma(struct mediated *med, void __user *arg)
{
	struct ioasid_model_mediated_dma cmd;
	void __user *data;
	void *buffer;
	int ret;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	if (!cmd.length || cmd.length > PAGE_SIZE || cmd.write > 1 ||
	    cmd.reserved)
		return -EINVAL;
	if (!med->idev)
		return -ENODEV;
	data = u64_to_user_ptr(cmd.data);
	buffer = kzalloc(cmd.length, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	ret = -EFAULT;
	if (cmd.write && copy_from_user(buffer, data, cmd.length))
		goto out;
	ret = do_access(med, &cmd, buffer);
	if (ret)
		goto out;
	if (!cmd.write && !cmd.reason && copy_to_user(data, buffer, cmd.length))
		ret = -EFAULT;
	if (!ret && copy_to_user(arg, &cmd, sizeof(cmd)))
		ret = -EFAULT;
out:
	kfree(buffer);
	return ret;
}

/* ---- Files ---- */

static long mediated_command(struct mediated *med, unsigned int cmd,
			     void __user *arg)
{
	switch (cmd) {
	case VFIO_DEVICE_BIND_IOASID_FD:
		return mediated_bind(med, arg);
	case VFIO_DEVICE_ATTACH_IOASID:
		return med->idev ? ioasid_attach_ioctl(med->idev, arg, NULL) :
				   -ENODEV;
	case VFIO_DEVICE_DETACH_IOASID:
		return med->idev ? ioasid_detach_ioctl(med->idev, arg, NULL) :
				   -ENODEV;
	case IOASID_MODEL_MEDIATED_DMA:
		return mediated_dma(med, arg);
	}
	return -ENOTTY;
}

static long mediated_ioctl(struct file *filp, unsigned int cmd,
			   unsigned long arg)
{
	struct mediated *med = filp->private_data;
	long ret;

	if (mutex_lock_killable(&med->lock))
		return -EINTR;
	ret = mediated_command(med, cmd, (void __user *)arg);
	mutex_unlock(&med->lock);
	return ret;
}

static int mediated_release(struct inode *inode, struct file *filp)
{
	struct mediated *med = filp->private_data;

	mutex_lock(&mediated_lock);
	mutex_lock(&med->lock);
	mediated_unbind(med);
	mutex_unlock(&med->lock);
	/* Not before: until then, an unplug waits for it */
	list_del(&med->node);
	mutex_unlock(&mediated_lock);
	mutex_destroy(&med->lock);
	xa_destroy(&med->numbers);
	kfree(med);
	return 0;
}

static const struct file_operations mediated_fops = {
	.owner = THIS_MODULE,
	.release = mediated_release,
	.unlocked_ioctl = mediated_ioctl,
	.llseek = noop_llseek,
};

/**
 * model_mediate() - make a mediated device
 * @mdev: the device that does its DMA, of the name MODEL_SHARED; the caller keeps
 *	it
 * @common: its PASIDs are common ones of its context
 *
 * Context: may sleep.
 * Return: its file; or an ERR_PTR: -ENOMEM, or as anon_inode_getfile().
 */
struct file *model_mediate(struct model_dev *mdev, bool common)
{
	struct mediated *med;
	struct file *filp;

	med = kzalloc(sizeof(*med), GFP_KERNEL);
	if (!med)
		return ERR_PTR(-ENOMEM);
	mutex_init(&med->lock);
	init_rwsem(&med->sem);
	xa_init(&med->numbers);
	med->mdev = mdev;
	med->common = common;
	med->gone.notifier_call = mediated_gone;
	filp = anon_inode_getfile("[ioasid_mediated]", &mediated_fops, med,
				  O_RDWR);
	if (IS_ERR(filp)) {
		kfree(med);
		return filp;
	}
	mutex_lock(&mediated_lock);
	list_add(&med->node, &mediated_devices);
	mutex_unlock(&mediated_lock);
	return filp;
}

/* ---- The driver ---- */

static int shared_probe(struct platform_device *pdev)
{
	return model_dev_of(&pdev->dev) ? 0 : -ENODEV;
}

/* Its users lose their PASIDs, and keep their files */
static void shared_remove(struct platform_device *pdev)
{
	struct model_dev *mdev = model_dev_of(&pdev->dev);
	struct mediated *med;

	mutex_lock(&mediated_lock);
	list_for_each_entry(med, &mediated_devices, node) {
		if (med->mdev != mdev)
			continue;
		mutex_lock(&med->lock);
		mediated_unbind(med);
		med->mdev = NULL;
		mutex_unlock(&med->lock);
	}
	mutex_unlock(&mediated_lock);
}

/* It has the DMA API, as any kernel driver: no driver_managed_dma */
static struct platform_driver shared_driver = {
	.probe = shared_probe,
	.remove = shared_remove,
	.driver = {
		.name = MODEL_SHARED,
	},
};

/**
 * model_mediated_init() - register the driver of devices of the name MODEL_SHARED
 *
 * Context: may sleep.
 * Return: 0, or a negative errno.
 */
int __init model_mediated_init(void)
{
	return platform_driver_register(&shared_driver);
}

/**
 * model_mediated_exit() - undo model_mediated_init()
 *
 * Context: may sleep. There are no such devices, nor files.
 */
void model_mediated_exit(void)
{
	platform_driver_unregister(&shared_driver);
}
