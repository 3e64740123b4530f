// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO driver of the edu device of QEMU, with migration: what it adds to vfio-pci is the
 * state of the device.  With it a virtual machine migrates while a device writes to its
 * memory, which the log of its IOASID has to tell.
 *
 * The state is the lower 32 bits of the registers of the DMA engine, which reaches 28 bits
 * of address, unless QEMU is told otherwise.  The buffer of the device is none of it: only
 * DMA reaches that.  The memory of the device must be enabled when its state is saved or
 * loaded: EIO otherwise.
 *
 * Invariants:
 *  - The engine rests in all states but RUNNING.
 *  - A file of a state is of one transfer: it has its own copy of the state, or the only
 *    reference to what is to be loaded.
 *
 * Locks: edu_device.lock protects the state of the migration; in it nest memory_lock of
 * vfio-pci, by accesses to registers, and edu_transfer.lock.  vfio-pci resets a device with
 * memory_lock held, so that a reset is only noted there.
 */
#include <linux/anon_inodes.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8

/* Registers of the DMA engine in BAR 0, and what says that it runs */
#define EDU_DMA_SRC	0x80
#define EDU_DMA_DST	0x88
#define EDU_DMA_CNT	0x90
#define EDU_DMA_CMD	0x98
#define EDU_DMA_RUN	1

/* A transfer takes this long; a machine that is busy may be late */
#define EDU_DMA_MS		100
#define EDU_DMA_TIMEOUT_US	(10 * USEC_PER_SEC)

#define EDU_STATE_MAGIC		0x31756465

/**
 * struct edu_state - state of a device, as it is transferred
 * @magic: EDU_STATE_MAGIC
 * @src: register of the source
 * @dst: register of the destination
 * @cnt: register of the length
 */
struct edu_state {
	__le32 magic;
	__le32 src;
	__le32 dst;
	__le32 cnt;
};

/**
 * struct edu_transfer - what a file of a state refers to
 * @lock: protects the other fields
 * @state: what is read, or was written so far
 */
struct edu_transfer {
	struct mutex lock;		/* see the head of this file */
	struct edu_state state;
};

/**
 * struct edu_device - an edu device
 * @core: the device as vfio-pci knows it
 * @was_reset: not 0, it was reset, which the next edu_lock() heeds
 * @lock: protects the fields that follow
 * @mig_state: state of its migration
 * @loading: in RESUMING: file of the state that is written to, with a reference
 */
struct edu_device {
	struct vfio_pci_core_device core;
	atomic_t was_reset;
	struct mutex lock;		/* see the head of this file */
	enum vfio_device_mig_state mig_state;
	struct file *loading;
};

static struct edu_device *to_edu(struct vfio_device *vdev)
{
	return container_of(vdev, struct edu_device, core.vdev);
}

/* ---- Files of a state ---- */

static ssize_t edu_transfer_read(struct file *filp, char __user *buf, size_t len,
				 loff_t *pos)
{
	struct edu_transfer *t = filp->private_data;

	if (pos)
		return -ESPIPE;
	guard(mutex)(&t->lock);
	return simple_read_from_buffer(buf, len, &filp->f_pos, &t->state,
				       sizeof(t->state));
}

static ssize_t edu_transfer_write(struct file *filp, const char __user *buf,
				  size_t len, loff_t *pos)
{
	struct edu_transfer *t = filp->private_data;

	if (pos)
		return -ESPIPE;
	guard(mutex)(&t->lock);
	if (len > sizeof(t->state) - filp->f_pos)
		return -EFBIG;
	return simple_write_to_buffer(&t->state, sizeof(t->state), &filp->f_pos,
				      buf, len);
}

static int edu_transfer_release(struct inode *inode, struct file *filp)
{
	kfree(filp->private_data);
	return 0;
}

static const struct file_operations edu_read_fops = {
	.owner = THIS_MODULE,
	.read = edu_transfer_read,
	.release = edu_transfer_release,
};

static const struct file_operations edu_write_fops = {
	.owner = THIS_MODULE,
	.write = edu_transfer_write,
	.release = edu_transfer_release,
};

/* A file to read @state from; or, if that is NULL, to write one to */
static struct file *edu_transfer_open(const struct edu_state *state)
{
	struct edu_transfer *t;
	struct file *filp;

	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	mutex_init(&t->lock);
	if (state)
		t->state = *state;
	filp = anon_inode_getfile("ioasid_edu",
				  state ? &edu_read_fops : &edu_write_fops, t,
				  state ? O_RDONLY : O_WRONLY);
	if (IS_ERR(filp)) {
		kfree(t);
		return filp;
	}
	stream_open(filp->f_inode, filp);
	return filp;
}

/* ---- The device ---- */

static int edu_read(struct edu_device *edu, unsigned int reg, u32 *val)
{
	return vfio_pci_core_ioread32(&edu->core, true, val,
				      edu->core.barmap[0] + reg);
}

static int edu_write(struct edu_device *edu, unsigned int reg, u32 val)
{
	return vfio_pci_core_iowrite32(&edu->core, true, val,
				       edu->core.barmap[0] + reg);
}

static int edu_rests(struct edu_device *edu)
{
	u32 cmd = 0;
	int err, ret;

	ret = read_poll_timeout(edu_read, err, err || !(cmd & EDU_DMA_RUN), 1000,
				EDU_DMA_TIMEOUT_US, false, edu, EDU_DMA_CMD, &cmd);
	if (!err)
		return ret;
	/* Its memory is off: what has begun ends, and nothing begins */
	msleep(2 * EDU_DMA_MS);
	return 0;
}

static struct file *edu_save(struct edu_device *edu)
{
	struct edu_state state = { .magic = cpu_to_le32(EDU_STATE_MAGIC) };
	u32 src, dst, cnt;
	int ret;

	ret = edu_read(edu, EDU_DMA_SRC, &src) ?:
	      edu_read(edu, EDU_DMA_DST, &dst) ?:
	      edu_read(edu, EDU_DMA_CNT, &cnt);
	if (ret)
		return ERR_PTR(ret);
	state.src = cpu_to_le32(src);
	state.dst = cpu_to_le32(dst);
	state.cnt = cpu_to_le32(cnt);
	return edu_transfer_open(&state);
}

static void edu_forget(struct edu_device *edu)
{
	if (edu->loading)
		fput(edu->loading);
	edu->loading = NULL;
}

/* A reset has stopped the engine and ended a transfer */
static void edu_lock(struct edu_device *edu)
{
	mutex_lock(&edu->lock);
	if (atomic_xchg(&edu->was_reset, 0)) {
		edu->mig_state = VFIO_DEVICE_STATE_RUNNING;
		edu_forget(edu);
	}
}

static int edu_load(struct edu_device *edu)
{
	struct edu_transfer *t = edu->loading->private_data;

	guard(mutex)(&t->lock);
	if (edu->loading->f_pos != sizeof(t->state) ||
	    t->state.magic != cpu_to_le32(EDU_STATE_MAGIC))
		return -EINVAL;
	return edu_write(edu, EDU_DMA_SRC, le32_to_cpu(t->state.src)) ?:
	       edu_write(edu, EDU_DMA_DST, le32_to_cpu(t->state.dst)) ?:
	       edu_write(edu, EDU_DMA_CNT, le32_to_cpu(t->state.cnt));
}

#define EDU_ARC(from, to) ((from) << 8 | (to))

/* One arc of the states: a file, NULL where there is none, or an error */
static struct file *edu_step(struct edu_device *edu, u32 next)
{
	int ret;

	switch (EDU_ARC(edu->mig_state, next)) {
	case EDU_ARC(VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_STOP):
		return ERR_PTR(edu_rests(edu));
	case EDU_ARC(VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_RUNNING):
	case EDU_ARC(VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_STOP):
		return NULL;
	case EDU_ARC(VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_STOP_COPY):
		return edu_save(edu);
	case EDU_ARC(VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_RESUMING):
		edu->loading = edu_transfer_open(NULL);
		if (IS_ERR(edu->loading)) {
			ret = PTR_ERR(edu->loading);
			edu->loading = NULL;
			return ERR_PTR(ret);
		}
		/* One reference is the caller's */
		return get_file(edu->loading);
	case EDU_ARC(VFIO_DEVICE_STATE_RESUMING, VFIO_DEVICE_STATE_STOP):
		ret = edu_load(edu);
		if (!ret)
			edu_forget(edu);
		return ERR_PTR(ret);
	default:
		WARN_ON(1);
		return ERR_PTR(-EINVAL);
	}
}

static struct file *edu_set_state(struct vfio_device *vdev,
				  enum vfio_device_mig_state new_state)
{
	struct edu_device *edu = to_edu(vdev);
	enum vfio_device_mig_state next;
	struct file *filp = NULL;
	int ret;

	edu_lock(edu);
	while (edu->mig_state != new_state) {
		ret = vfio_mig_get_next_state(vdev, edu->mig_state, new_state,
					      &next);
		filp = ret ? ERR_PTR(ret) : edu_step(edu, next);
		if (IS_ERR(filp))
			break;
		edu->mig_state = next;
	}
	mutex_unlock(&edu->lock);
	return filp;
}

static int edu_get_state(struct vfio_device *vdev,
			 enum vfio_device_mig_state *state)
{
	struct edu_device *edu = to_edu(vdev);

	edu_lock(edu);
	*state = edu->mig_state;
	mutex_unlock(&edu->lock);
	return 0;
}

static int edu_get_data_size(struct vfio_device *vdev,
			     unsigned long *stop_copy_length)
{
	*stop_copy_length = sizeof(struct edu_state);
	return 0;
}

static const struct vfio_migration_ops edu_migration_ops = {
	.migration_set_state = edu_set_state,
	.migration_get_state = edu_get_state,
	.migration_get_data_size = edu_get_data_size,
};

static void edu_reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);
	struct edu_device *edu = container_of(core, struct edu_device, core);

	atomic_set(&edu->was_reset, 1);
}

static int edu_open(struct vfio_device *vdev)
{
	struct edu_device *edu = to_edu(vdev);
	int ret;

	ret = vfio_pci_core_enable(&edu->core);
	if (ret)
		return ret;
	ret = vfio_pci_core_setup_barmap(&edu->core, 0);
	if (ret) {
		vfio_pci_core_disable(&edu->core);
		return ret;
	}
	/* Its state is that after a reset */
	atomic_set(&edu->was_reset, 1);
	vfio_pci_core_finish_enable(&edu->core);
	return 0;
}

static void edu_close(struct vfio_device *vdev)
{
	struct edu_device *edu = to_edu(vdev);

	mutex_lock(&edu->lock);
	edu_forget(edu);
	mutex_unlock(&edu->lock);
	vfio_pci_core_close_device(vdev);
}

static int edu_init(struct vfio_device *vdev)
{
	struct edu_device *edu = to_edu(vdev);

	mutex_init(&edu->lock);
	vdev->migration_flags = VFIO_MIGRATION_STOP_COPY;
	vdev->mig_ops = &edu_migration_ops;
	return vfio_pci_core_init_dev(vdev);
}

static void edu_release(struct vfio_device *vdev)
{
	mutex_destroy(&to_edu(vdev)->lock);
	vfio_pci_core_release_dev(vdev);
}

static const struct vfio_device_ops edu_ops = {
	.name		= "ioasid-edu",
	.init		= edu_init,
	.release	= edu_release,
	.open_device	= edu_open,
	.close_device	= edu_close,
	.ioctl		= vfio_pci_core_ioctl,
	.device_feature	= vfio_pci_core_ioctl_feature,
	.read		= vfio_pci_core_read,
	.write		= vfio_pci_core_write,
	.mmap		= vfio_pci_core_mmap,
	.watch_memory	= vfio_pci_core_watch_memory,
	.unwatch_memory	= vfio_pci_core_unwatch_memory,
	.request	= vfio_pci_core_request,
	.match		= vfio_pci_core_match,
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
};

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu_device *edu;
	int ret;

	edu = vfio_alloc_device(edu_device, core.vdev, &pdev->dev, &edu_ops);
	if (IS_ERR(edu))
		return PTR_ERR(edu);
	dev_set_drvdata(&pdev->dev, &edu->core);
	ret = vfio_pci_core_register_device(&edu->core);
	if (ret)
		vfio_put_device(&edu->core.vdev);
	return ret;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(EDU_VENDOR, EDU_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static const struct pci_error_handlers edu_error_handlers = {
	.reset_done = edu_reset_done,
	.error_detected = vfio_pci_core_aer_err_detected,
};

static struct pci_driver edu_driver = {
	.name = "ioasid_edu",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
	.err_handler = &edu_error_handlers,
	.driver_managed_dma = true,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("VFIO driver of QEMU's edu device, with migration");
MODULE_LICENSE("GPL");
