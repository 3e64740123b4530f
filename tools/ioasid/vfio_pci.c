// SPDX-License-Identifier: LGPL-2.1-only OR MIT
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "vfio_pci.h"

#define MAX_IRQS 256

static int region_info(int fd, unsigned int index,
		       struct vfio_region_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	return ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info) ? -errno : 0;
}

static int access_config(int fd, unsigned int offset, void *in,
			 const void *out, unsigned int len)
{
	struct vfio_region_info info;
	ssize_t n;
	int ret;

	ret = region_info(fd, VFIO_PCI_CONFIG_REGION_INDEX, &info);
	if (ret)
		return ret;
	if (in)
		n = pread(fd, in, len, info.offset + offset);
	else
		n = pwrite(fd, out, len, info.offset + offset);
	if (n < 0)
		return -errno;
	return n == (ssize_t)len ? 0 : -EIO;
}

int vfio_pci_read_config(int fd, unsigned int offset, void *buf,
			 unsigned int len)
{
	return access_config(fd, offset, buf, NULL, len);
}

int vfio_pci_write_config(int fd, unsigned int offset, const void *buf,
			  unsigned int len)
{
	return access_config(fd, offset, NULL, buf, len);
}

static int change_command(int fd, __u16 clear, __u16 set)
{
	__u16 command;
	int ret;

	ret = vfio_pci_read_config(fd, PCI_COMMAND, &command, sizeof(command));
	if (ret)
		return ret;
	command = (command & ~clear) | set;
	return vfio_pci_write_config(fd, PCI_COMMAND, &command, sizeof(command));
}

int vfio_pci_enable(int fd)
{
	return change_command(fd, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

int vfio_pci_disable(int fd)
{
	return change_command(fd, PCI_COMMAND_MASTER, 0);
}

int vfio_pci_map_bar(int fd, unsigned int bar, void **map, __u64 *size)
{
	struct vfio_region_info info;
	void *p;
	int ret;

	if (bar > VFIO_PCI_BAR5_REGION_INDEX)
		return -EINVAL;
	ret = region_info(fd, VFIO_PCI_BAR0_REGION_INDEX + bar, &info);
	if (ret)
		return ret;
	if (!info.size)
		return -ENODEV;
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return -EOPNOTSUPP;
	p = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 info.offset);
	if (p == MAP_FAILED)
		return -errno;
	*map = p;
	*size = info.size;
	return 0;
}

int vfio_pci_nr_irqs(int fd, unsigned int index)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info),
		.index = index,
	};

	if (ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info))
		return -errno;
	return info.count;
}

int vfio_pci_enable_irqs(int fd, unsigned int index, const int *eventfds,
			 unsigned int nr)
{
	/* The file descriptors follow the header. */
	union {
		struct vfio_irq_set set;
		char room[sizeof(struct vfio_irq_set) + MAX_IRQS * sizeof(__s32)];
	} arg;

	if (!nr || nr > MAX_IRQS)
		return -EINVAL;
	memset(&arg.set, 0, sizeof(arg.set));
	arg.set.argsz = sizeof(arg.set) + nr * sizeof(__s32);
	arg.set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	arg.set.index = index;
	arg.set.count = nr;
	memcpy(arg.room + sizeof(arg.set), eventfds, nr * sizeof(__s32));
	return ioctl(fd, VFIO_DEVICE_SET_IRQS, &arg) ? -errno : 0;
}

int vfio_pci_disable_irqs(int fd, unsigned int index)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
	};

	return ioctl(fd, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}

int vfio_pci_reset(int fd)
{
	return ioctl(fd, VFIO_DEVICE_RESET) ? -errno : 0;
}
