// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model devices of the emulated kind: VFIO devices whose DMA this driver does,
 * at commands of user space.  See ioasid_mock.h for these.
 *
 * They call VFIO as any driver of an emulated device does, and do not know
 * which of /dev/ioasid, iommufd and a container is behind it.
 *
 * Invariants:
 *  - Each struct mock_pin stands for one vfio_pin_pages() of one page, and is
 *    on &mock_device.pins until it is unpinned.  A device that is not open has
 *    none.
 *  - A page is accessed only while its pin is on the list.
 *  - With IOASID_MOCK_UNMAP_NOW, no pin of a range is left when its
 *    mock_dma_unmap() returns, and that sees every pin.
 *
 * Locks: &mock_device.lock is held over vfio_pin_pages() and
 * vfio_unpin_pages(), and taken by mock_dma_unmap(): an unmap may wait for a
 * pin.  User memory is not accessed with it held.  Copies without a pin take no
 * lock; commands that use the device's memory at the same time race, as in a
 * real device.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

#include "device.h"
#include "ioasid_mock.h"

#define MOCK_MAX_DELAY	60000

/**
 * struct mock_pin - a page that is pinned once
 * @node: in &mock_device.pins
 * @iova: its IOVA, page aligned
 * @offset: offset in the page of the IOVA that was pinned
 * @page: the page
 * @doomed: to be unpinned by &mock_device.unpin_late
 */
struct mock_pin {
	struct list_head node;
	u64 iova;
	unsigned int offset;
	struct page *page;
	bool doomed;
};

/**
 * struct mock_device - a model device
 * @vdev: the VFIO device
 * @memory: IOASID_MOCK_MEMORY_SIZE bytes
 * @lock: protects the fields below
 * @pins: struct mock_pin
 * @status: the status that user space reads; its @pins is the length of @pins
 * @manners: behaviour that user space has set
 * @unpin_late: the work that unpins doomed pins
 */
struct mock_device {
	struct vfio_device vdev;
	void *memory;
	struct mutex lock; /* @pins to @manners */
	struct list_head pins;
	struct ioasid_mock_status status;
	struct ioasid_mock_manners manners;
	struct delayed_work unpin_late;
};

static struct mock_device *to_mock(struct vfio_device *vdev)
{
	return container_of(vdev, struct mock_device, vdev);
}

/* ---- Pins ---- */

static void mock_drop(struct mock_device *mock, struct mock_pin *pin)
{
	lockdep_assert_held(&mock->lock);
	list_del(&pin->node);
	mock->status.pins--;
	vfio_unpin_pages(&mock->vdev, pin->iova + pin->offset, 1);
	kfree(pin);
}

/* Find a pin that touches [start, last] */
static struct mock_pin *mock_find(struct mock_device *mock, u64 start, u64 last)
{
	struct mock_pin *pin;

	lockdep_assert_held(&mock->lock);
	list_for_each_entry(pin, &mock->pins, node)
		if (pin->iova <= last && pin->iova + (PAGE_SIZE - 1) >= start)
			return pin;
	return NULL;
}

static void mock_drop_range(struct mock_device *mock, u64 start, u64 last)
{
	struct mock_pin *pin;

	while ((pin = mock_find(mock, start, last)))
		mock_drop(mock, pin);
}

static void mock_unpin_late(struct work_struct *work)
{
	struct mock_device *mock = container_of(to_delayed_work(work),
						struct mock_device, unpin_late);
	struct mock_pin *pin, *next;

	mutex_lock(&mock->lock);
	list_for_each_entry_safe(pin, next, &mock->pins, node)
		if (pin->doomed)
			mock_drop(mock, pin);
	mutex_unlock(&mock->lock);
}

/* VFIO calls this before [iova, iova + length) is unmapped */
static void mock_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct mock_device *mock = to_mock(vdev);
	u64 last = iova + (length - 1);
	unsigned int delay_ms = 0;
	struct mock_pin *pin;

	mutex_lock(&mock->lock);
	mock->status.unmaps++;
	mock->status.unmap_iova = iova;
	mock->status.unmap_length = length;
	if (mock->manners.unmap == IOASID_MOCK_UNMAP_NOW)
		delay_ms = mock->manners.delay_ms;
	mutex_unlock(&mock->lock);

	if (delay_ms)
		msleep(delay_ms);

	/* The device may have been closed meanwhile: look at the pins again */
	mutex_lock(&mock->lock);
	switch (mock->manners.unmap) {
	case IOASID_MOCK_UNMAP_NOW:
		mock_drop_range(mock, iova, last);
		break;
	case IOASID_MOCK_UNMAP_LATE:
		list_for_each_entry(pin, &mock->pins, node)
			if (pin->iova <= last &&
			    pin->iova + (PAGE_SIZE - 1) >= iova)
				pin->doomed = true;
		schedule_delayed_work(&mock->unpin_late,
				      msecs_to_jiffies(mock->manners.delay_ms));
		break;
	}
	mutex_unlock(&mock->lock);
}

/* ---- Commands ---- */

static int mock_pin(struct mock_device *mock,
		    const struct ioasid_mock_command *cmd)
{
	unsigned int npages = cmd->length >> PAGE_SHIFT, i;
	struct mock_pin *pin, *next;
	struct page **pages;
	LIST_HEAD(made);
	int prot, ret;

	if (npages > IOASID_MOCK_MAX_PAGES)
		return -EINVAL;
	pages = kcalloc(npages, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < npages; i++) {
		ret = -ENOMEM;
		pin = kzalloc(sizeof(*pin), GFP_KERNEL);
		if (!pin)
			goto out;
		pin->iova = (cmd->iova & PAGE_MASK) + ((u64)i << PAGE_SHIFT);
		pin->offset = offset_in_page(cmd->iova);
		list_add_tail(&pin->node, &made);
	}
	prot = IOMMU_READ;
	if (cmd->flags & IOASID_MOCK_PIN_WRITE)
		prot |= IOMMU_WRITE;

	mutex_lock(&mock->lock);
	ret = vfio_pin_pages(&mock->vdev, cmd->iova, npages, prot, pages);
	if (ret > 0 && ret != npages) {
		vfio_unpin_pages(&mock->vdev, cmd->iova, ret);
		ret = -EIO;
	}
	if (ret > 0) {
		i = 0;
		list_for_each_entry(pin, &made, node)
			pin->page = pages[i++];
		list_splice_tail_init(&made, &mock->pins);
		mock->status.pins += npages;
		ret = 0;
	}
	mutex_unlock(&mock->lock);
out:
	list_for_each_entry_safe(pin, next, &made, node)
		kfree(pin);
	kfree(pages);
	return ret;
}

static int mock_unpin(struct mock_device *mock,
		      const struct ioasid_mock_command *cmd)
{
	u64 last = cmd->iova + (cmd->length - 1);
	struct mock_pin *pin;

	mutex_lock(&mock->lock);
	if (cmd->flags & IOASID_MOCK_UNPIN_ONE) {
		pin = mock_find(mock, cmd->iova, last);
		if (pin)
			mock_drop(mock, pin);
	} else {
		mock_drop_range(mock, cmd->iova, last);
	}
	mutex_unlock(&mock->lock);
	return 0;
}

static int mock_copy_pinned(struct mock_device *mock,
			    const struct ioasid_mock_command *cmd)
{
	u64 iova = cmd->iova, left = cmd->length;
	void *memory = mock->memory + cmd->offset;
	struct mock_pin *pin;
	int ret = 0;

	mutex_lock(&mock->lock);
	while (left) {
		size_t in_page = offset_in_page(iova);
		size_t n = min_t(u64, left, PAGE_SIZE - in_page);

		pin = mock_find(mock, iova, iova);
		if (!pin) {
			ret = -ENXIO;
			break;
		}
		if (cmd->op == IOASID_MOCK_WRITE_PINNED)
			memcpy_to_page(pin->page, in_page, memory, n);
		else
			memcpy_from_page(memory, pin->page, in_page, n);
		iova += n;
		memory += n;
		left -= n;
	}
	mutex_unlock(&mock->lock);
	return ret;
}

static int mock_execute(struct mock_device *mock,
			const struct ioasid_mock_command *cmd)
{
	switch (cmd->op) {
	case IOASID_MOCK_PIN:
		return mock_pin(mock, cmd);
	case IOASID_MOCK_UNPIN:
		return mock_unpin(mock, cmd);
	case IOASID_MOCK_READ:
	case IOASID_MOCK_WRITE:
		return vfio_dma_rw(&mock->vdev, cmd->iova,
				   mock->memory + cmd->offset, cmd->length,
				   cmd->op == IOASID_MOCK_WRITE);
	case IOASID_MOCK_READ_PINNED:
	case IOASID_MOCK_WRITE_PINNED:
		return mock_copy_pinned(mock, cmd);
	}
	return -EINVAL;
}

/* A command that a kernel thread executes */
struct mock_errand {
	struct mock_device *mock;
	const struct ioasid_mock_command *cmd;
	struct completion done;
	int ret;
};

static int mock_thread(void *data)
{
	struct mock_errand *errand = data;

	errand->ret = mock_execute(errand->mock, errand->cmd);
	complete(&errand->done);
	return 0;
}

static int mock_execute_in_thread(struct mock_device *mock,
				  const struct ioasid_mock_command *cmd)
{
	struct mock_errand errand = {
		.mock = mock,
		.cmd = cmd,
		.done = COMPLETION_INITIALIZER_ONSTACK(errand.done),
	};
	struct task_struct *task;

	task = kthread_run(mock_thread, &errand, MODEL_EMULATED);
	if (IS_ERR(task))
		return PTR_ERR(task);
	wait_for_completion(&errand.done);
	return errand.ret;
}

static int mock_command(struct mock_device *mock,
			const struct ioasid_mock_command *cmd)
{
	u64 last;

	if (cmd->flags & ~(IOASID_MOCK_PIN_WRITE | IOASID_MOCK_KTHREAD |
			   IOASID_MOCK_UNPIN_ONE))
		return -EINVAL;
	if (!cmd->length ||
	    check_add_overflow(cmd->iova, cmd->length - 1, &last))
		return -EINVAL;
	if (cmd->op == IOASID_MOCK_PIN || cmd->op == IOASID_MOCK_UNPIN) {
		if ((cmd->op == IOASID_MOCK_UNPIN &&
		     !PAGE_ALIGNED(cmd->iova)) || !PAGE_ALIGNED(cmd->length))
			return -EINVAL;
	} else if (cmd->length > IOASID_MOCK_MEMORY_SIZE ||
		   cmd->offset > IOASID_MOCK_MEMORY_SIZE - cmd->length) {
		return -EINVAL;
	}
	if (cmd->flags & IOASID_MOCK_KTHREAD)
		return mock_execute_in_thread(mock, cmd);
	return mock_execute(mock, cmd);
}

/* ---- The region ---- */

/* Check that [pos, pos + count) is in the device's memory */
static bool mock_in_memory(loff_t pos, size_t count)
{
	return pos >= IOASID_MOCK_MEMORY && pos <= IOASID_MOCK_REGION_SIZE &&
	       count <= IOASID_MOCK_REGION_SIZE - pos;
}

static ssize_t mock_read(struct vfio_device *vdev, char __user *buf,
			 size_t count, loff_t *ppos)
{
	struct mock_device *mock = to_mock(vdev);
	struct ioasid_mock_manners manners;
	struct ioasid_mock_status status;
	const void *from;

	mutex_lock(&mock->lock);
	status = mock->status;
	manners = mock->manners;
	mutex_unlock(&mock->lock);

	if (*ppos == IOASID_MOCK_STATUS && count == sizeof(status))
		from = &status;
	else if (*ppos == IOASID_MOCK_MANNERS && count == sizeof(manners))
		from = &manners;
	else if (mock_in_memory(*ppos, count))
		from = mock->memory + (*ppos - IOASID_MOCK_MEMORY);
	else
		return -EINVAL;
	if (copy_to_user(buf, from, count))
		return -EFAULT;
	*ppos += count;
	return count;
}

static ssize_t mock_write(struct vfio_device *vdev, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	struct mock_device *mock = to_mock(vdev);
	struct ioasid_mock_manners manners;
	struct ioasid_mock_command cmd;
	int ret;

	if (*ppos == IOASID_MOCK_COMMAND && count == sizeof(cmd)) {
		if (copy_from_user(&cmd, buf, sizeof(cmd)))
			return -EFAULT;
		ret = mock_command(mock, &cmd);
		if (ret)
			return ret;
	} else if (*ppos == IOASID_MOCK_MANNERS && count == sizeof(manners)) {
		if (copy_from_user(&manners, buf, sizeof(manners)))
			return -EFAULT;
		if (manners.unmap > IOASID_MOCK_UNMAP_NEVER ||
		    manners.delay_ms > MOCK_MAX_DELAY)
			return -EINVAL;
		mutex_lock(&mock->lock);
		mock->manners = manners;
		mutex_unlock(&mock->lock);
	} else if (mock_in_memory(*ppos, count)) {
		if (copy_from_user(mock->memory + (*ppos - IOASID_MOCK_MEMORY),
				   buf, count))
			return -EFAULT;
	} else {
		return -EINVAL;
	}
	*ppos += count;
	return count;
}

static long mock_get_info(void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = 0;
	info.num_regions = 1;
	info.num_irqs = 0;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long mock_get_region_info(void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || info.index)
		return -EINVAL;
	info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	info.cap_offset = 0;
	info.size = IOASID_MOCK_REGION_SIZE;
	info.offset = 0;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long mock_ioctl(struct vfio_device *vdev, unsigned int cmd,
		       unsigned long arg)
{
	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return mock_get_info((void __user *)arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return mock_get_region_info((void __user *)arg);
	}
	return -ENOTTY;
}

/* ---- The device ---- */

static int mock_open(struct vfio_device *vdev)
{
	struct mock_device *mock = to_mock(vdev);

	mutex_lock(&mock->lock);
	mock->status = (struct ioasid_mock_status){};
	mock->manners = (struct ioasid_mock_manners){};
	mutex_unlock(&mock->lock);
	memset(mock->memory, 0, IOASID_MOCK_MEMORY_SIZE);
	return 0;
}

static void mock_close(struct vfio_device *vdev)
{
	struct mock_device *mock = to_mock(vdev);

	mutex_lock(&mock->lock);
	/* No unpin is delayed from here on */
	mock->manners = (struct ioasid_mock_manners){};
	mock_drop_range(mock, 0, U64_MAX);
	mutex_unlock(&mock->lock);
	cancel_delayed_work_sync(&mock->unpin_late);
}

static int mock_init(struct vfio_device *vdev)
{
	struct mock_device *mock = to_mock(vdev);

	mock->memory = kvzalloc(IOASID_MOCK_MEMORY_SIZE, GFP_KERNEL);
	if (!mock->memory)
		return -ENOMEM;
	mutex_init(&mock->lock);
	INIT_LIST_HEAD(&mock->pins);
	INIT_DELAYED_WORK(&mock->unpin_late, mock_unpin_late);
	return 0;
}

static void mock_release(struct vfio_device *vdev)
{
	struct mock_device *mock = to_mock(vdev);

	mutex_destroy(&mock->lock);
	kvfree(mock->memory);
}

static const struct vfio_device_ops mock_ops = {
	.name = MODEL_EMULATED,
	.init = mock_init,
	.release = mock_release,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
	.open_device = mock_open,
	.close_device = mock_close,
	.read = mock_read,
	.write = mock_write,
	.ioctl = mock_ioctl,
	.dma_unmap = mock_dma_unmap,
};

static int mock_probe(struct platform_device *pdev)
{
	struct mock_device *mock;
	int ret;

	mock = vfio_alloc_device(mock_device, vdev, &pdev->dev, &mock_ops);
	if (IS_ERR(mock))
		return PTR_ERR(mock);
	ret = vfio_register_emulated_iommu_dev(&mock->vdev);
	if (ret) {
		vfio_put_device(&mock->vdev);
		return ret;
	}
	platform_set_drvdata(pdev, mock);
	return 0;
}

static void mock_remove(struct platform_device *pdev)
{
	struct mock_device *mock = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&mock->vdev);
	vfio_put_device(&mock->vdev);
}

static struct platform_driver mock_driver = {
	.probe = mock_probe,
	.remove = mock_remove,
	.driver = {
		.name = MODEL_EMULATED,
	},
};

static struct platform_device *mock_devices[MODEL_EMULATED_FIXED];

static void mock_unregister(unsigned int nr)
{
	while (nr)
		platform_device_unregister(mock_devices[--nr]);
	platform_driver_unregister(&mock_driver);
}

/**
 * model_emulated_init() - register the driver, and make the fixed devices
 *
 * Context: may sleep.
 * Return: 0, or a negative errno.
 */
int __init model_emulated_init(void)
{
	struct platform_device *pdev;
	unsigned int i;
	int ret;

	ret = platform_driver_register(&mock_driver);
	if (ret)
		return ret;
	for (i = 0; i < MODEL_EMULATED_FIXED; i++) {
		pdev = platform_device_register_simple(MODEL_EMULATED, i, NULL,
						       0);
		if (IS_ERR(pdev)) {
			mock_unregister(i);
			return PTR_ERR(pdev);
		}
		mock_devices[i] = pdev;
	}
	return 0;
}

/**
 * model_emulated_exit() - undo model_emulated_init()
 *
 * Context: may sleep.  Only the fixed devices are left.
 */
void model_emulated_exit(void)
{
	mock_unregister(MODEL_EMULATED_FIXED);
}
