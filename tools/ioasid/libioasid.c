// SPDX-License-Identifier: LGPL-2.1-only OR MIT
/*
 * libioasid: thin wrappers of the commands of /dev/ioasid, and the look-up of a
 * device's VFIO file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/vfio.h>
#include <linux/vhost.h>

#include "libioasid.h"
#include "vfio_ioasid.h"
#include "vhost_ioasid.h"

static __thread __u64 fault_addr;

__u64 ioasid_fault_addr(void)
{
	return fault_addr;
}

static int do_ioctl(int fd, unsigned long command, void *arg)
{
	return ioctl(fd, command, arg) < 0 ? -errno : 0;
}

int ioasid_open(void)
{
	int fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int ioasid_alloc_full(int fd, struct ioasid_alloc *alloc)
{
	alloc->argsz = sizeof(*alloc);
	return do_ioctl(fd, IOASID_ALLOC, alloc);
}

static int alloc_id(int fd, struct ioasid_alloc *alloc, __u32 *ioasid)
{
	int ret = ioasid_alloc_full(fd, alloc);

	if (!ret)
		*ioasid = alloc->ioasid;
	return ret;
}

int ioasid_alloc(int fd, __u64 cookie, __u32 *ioasid)
{
	return ioasid_alloc_child(fd, 0, cookie, ioasid);
}

int ioasid_alloc_child(int fd, __u32 parent, __u64 cookie, __u32 *ioasid)
{
	struct ioasid_alloc alloc = {
		.kind = IOASID_KIND_MAP,
		.parent = parent,
		.cookie = cookie,
	};

	return alloc_id(fd, &alloc, ioasid);
}

/* A root with a flag */
static int alloc_root(int fd, __u32 flag, __u64 cookie, __u64 cut_size,
		      __u32 *ioasid)
{
	struct ioasid_alloc alloc = {
		.flags = flag,
		.kind = IOASID_KIND_MAP,
		.cookie = cookie,
		.cut_size = cut_size,
	};

	return alloc_id(fd, &alloc, ioasid);
}

int ioasid_alloc_nest_parent(int fd, __u64 cookie, __u32 *ioasid)
{
	return alloc_root(fd, IOASID_ALLOC_NEST_PARENT, cookie, 0, ioasid);
}

int ioasid_alloc_demand(int fd, __u64 cookie, __u64 cut_size, __u32 *ioasid)
{
	return alloc_root(fd, IOASID_ALLOC_DEMAND, cookie, cut_size, ioasid);
}

int ioasid_alloc_process(int fd, __u64 cookie, __u32 *ioasid)
{
	struct ioasid_alloc alloc = {
		.kind = IOASID_KIND_PROCESS,
		.cookie = cookie,
	};

	return alloc_id(fd, &alloc, ioasid);
}

int ioasid_alloc_table(int fd, __u32 kind, __u32 parent, __u32 format,
		       __u64 cookie, __u32 *ioasid)
{
	struct ioasid_alloc alloc = {
		.kind = kind,
		.parent = parent,
		.format = format,
		.cookie = cookie,
	};

	return alloc_id(fd, &alloc, ioasid);
}

static int bind_table(int fd, unsigned long command, __u32 ioasid, __u32 flags,
		      const void *data, __u32 length)
{
	struct ioasid_bind_table bind = {
		.argsz = sizeof(bind),
		.flags = flags,
		.ioasid = ioasid,
		.length = length,
		.data = (uintptr_t)data,
	};

	return do_ioctl(fd, command, &bind);
}

static int unbind_table(int fd, unsigned long command, __u32 ioasid)
{
	struct ioasid_unbind_table unbind = {
		.argsz = sizeof(unbind),
		.ioasid = ioasid,
	};

	return do_ioctl(fd, command, &unbind);
}

int ioasid_bind_pgtable(int fd, __u32 ioasid, __u32 flags, const void *data,
			__u32 length)
{
	return bind_table(fd, IOASID_BIND_PGTABLE, ioasid, flags, data, length);
}

int ioasid_unbind_pgtable(int fd, __u32 ioasid)
{
	return unbind_table(fd, IOASID_UNBIND_PGTABLE, ioasid);
}

int ioasid_bind_pasid_table(int fd, __u32 ioasid, __u32 flags, const void *data,
			    __u32 length)
{
	return bind_table(fd, IOASID_BIND_PASID_TABLE, ioasid, flags, data,
			  length);
}

int ioasid_unbind_pasid_table(int fd, __u32 ioasid)
{
	return unbind_table(fd, IOASID_UNBIND_PASID_TABLE, ioasid);
}

int ioasid_alloc_dirty(int fd, __u32 parent, __u64 cookie, __u32 *ioasid)
{
	struct ioasid_alloc alloc = {
		.flags = IOASID_ALLOC_DIRTY,
		.kind = IOASID_KIND_MAP,
		.parent = parent,
		.cookie = cookie,
	};

	return alloc_id(fd, &alloc, ioasid);
}

int ioasid_fault_queue_open(int fd, __u32 depth, int eventfd, __u64 cookie,
			    __u32 *queue)
{
	struct ioasid_fault_queue arg = {
		.argsz = sizeof(arg),
		.depth = depth,
		.eventfd = eventfd,
		.cookie = cookie,
	};
	int ret = do_ioctl(fd, IOASID_FAULT_QUEUE, &arg);

	if (ret)
		return ret;
	*queue = arg.queue;
	return arg.fd;
}

int ioasid_fault_read(int queue_fd, struct ioasid_fault *records, __u32 nr)
{
	ssize_t n = read(queue_fd, records, (size_t)nr * sizeof(*records));

	return n < 0 ? -errno : (int)(n / (ssize_t)sizeof(*records));
}

int ioasid_fault_answer(int queue_fd, __u32 id, __u32 code)
{
	struct ioasid_fault_response response = { .id = id, .code = code };

	return write(queue_fd, &response, sizeof(response)) < 0 ? -errno : 0;
}

int ioasid_set_dirty(int fd, __u32 ioasid, __u32 flags)
{
	struct ioasid_set_dirty set = {
		.argsz = sizeof(set),
		.flags = flags,
		.ioasid = ioasid,
	};

	return do_ioctl(fd, IOASID_SET_DIRTY, &set);
}

int ioasid_get_dirty(int fd, struct ioasid_get_dirty *get)
{
	get->argsz = sizeof(*get);
	get->told = 0;
	get->nr_dirty = 0;
	get->next = 0;
	return do_ioctl(fd, IOASID_GET_DIRTY, get);
}

int ioasid_rehome(int fd, __u32 ioasid, __u32 flags, __u64 *fail_iova)
{
	return ioasid_rehome_user(fd, ioasid, flags, NULL, 0, fail_iova);
}

int ioasid_rehome_user(int fd, __u32 ioasid, __u32 flags,
		       const struct ioasid_rehome_entry *entries, __u32 nr,
		       __u64 *fail_iova)
{
	struct ioasid_rehome rehome = {
		.argsz = sizeof(rehome),
		.flags = flags,
		.ioasid = ioasid,
		.entries = (uintptr_t)entries,
		.nr = nr,
		.entry_size = sizeof(*entries),
	};
	int ret = do_ioctl(fd, IOASID_REHOME, &rehome);

	if (fail_iova)
		*fail_iova = rehome.fail_iova;
	return ret;
}

int ioasid_get_events(int fd, struct ioasid_event *events, __u32 nr, int *more)
{
	struct ioasid_get_events get = {
		.argsz = sizeof(get),
		.nr = nr,
		.events = (uintptr_t)events,
	};
	int ret = nr > INT_MAX ? -EINVAL : do_ioctl(fd, IOASID_GET_EVENTS, &get);

	if (more)
		*more = ret ? 0 : get.more;
	return ret ? ret : (int)get.nr;
}

int ioasid_invalidate(int fd, __u32 ioasid, __u32 devid,
		      const struct ioasid_invalidate *entries, __u32 nr,
		      __u32 *done)
{
	struct ioasid_invalidate_cache cache = {
		.argsz = sizeof(cache),
		.ioasid = ioasid,
		.devid = devid,
		.nr = nr,
		.entries = (uintptr_t)entries,
	};
	int ret = do_ioctl(fd, IOASID_INVALIDATE_CACHE, &cache);

	if (done)
		*done = cache.done;
	return ret ? ret : cache.error;
}

int ioasid_free(int fd, __u32 ioasid)
{
	struct ioasid_free arg = {
		.argsz = sizeof(arg),
		.ioasid = ioasid,
	};

	return do_ioctl(fd, IOASID_FREE, &arg);
}

static int map(int fd, struct ioasid_map_dma *arg, __u64 *iova)
{
	int ret;

	arg->argsz = sizeof(*arg);
	if (arg->flags & IOASID_MAP_FIXED)
		arg->iova = *iova;
	ret = do_ioctl(fd, IOASID_MAP_DMA, arg);
	if (ret)
		fault_addr = arg->fault_addr;
	else
		*iova = arg->iova;
	return ret;
}

int ioasid_map(int fd, __u32 ioasid, void *addr, __u64 len, __u32 flags,
	       __u64 *iova)
{
	struct ioasid_map_dma arg = {
		.flags = flags,
		.ioasid = ioasid,
		.addr = (uintptr_t)addr,
		.length = len,
	};

	return map(fd, &arg, iova);
}

int ioasid_map_file(int fd, __u32 ioasid, int file, __u64 offset, __u64 len,
		    __u32 flags, __u64 *iova)
{
	struct ioasid_map_dma arg = {
		.flags = flags | IOASID_MAP_FILE,
		.ioasid = ioasid,
		.fd = file,
		.addr = offset,
		.length = len,
	};

	return map(fd, &arg, iova);
}

int ioasid_map_parent(int fd, __u32 ioasid, __u64 addr, __u64 len, __u32 flags,
		      __u64 *iova)
{
	struct ioasid_map_dma arg = {
		.flags = flags,
		.ioasid = ioasid,
		.addr = addr,
		.length = len,
	};

	return map(fd, &arg, iova);
}

int ioasid_batch(int fd, __u32 ioasid, struct ioasid_dma_op *ops, __u32 nr,
		 __u32 *done)
{
	struct ioasid_dma_batch arg = {
		.argsz = sizeof(arg),
		.ioasid = ioasid,
		.nr = nr,
		.ops = (uintptr_t)ops,
	};
	int ret = do_ioctl(fd, IOASID_DMA_BATCH, &arg);

	if (!ret && arg.done < nr)
		ret = arg.error;
	if (ret)
		fault_addr = arg.fault_addr;
	if (done)
		*done = arg.done;
	return ret;
}

static int unmap(int fd, struct ioasid_unmap_dma *arg, __u64 *unmapped)
{
	int ret;

	arg->argsz = sizeof(*arg);
	ret = do_ioctl(fd, IOASID_UNMAP_DMA, arg);
	if (unmapped)
		*unmapped = arg->unmapped;
	return ret;
}

int ioasid_unmap(int fd, __u32 ioasid, __u64 iova, __u64 len, __u64 *unmapped)
{
	struct ioasid_unmap_dma arg = {
		.ioasid = ioasid,
		.iova = iova,
		.length = len,
	};

	return unmap(fd, &arg, unmapped);
}

int ioasid_unmap_all(int fd, __u32 ioasid, __u64 *unmapped)
{
	struct ioasid_unmap_dma arg = {
		.flags = IOASID_UNMAP_ALL,
		.ioasid = ioasid,
	};

	return unmap(fd, &arg, unmapped);
}

int ioasid_unmap_dirty(int fd, __u32 ioasid, __u64 iova, __u64 len,
		       __u64 page_size, void *bitmap, int *exact,
		       __u64 *unmapped)
{
	struct ioasid_unmap_dma arg = {
		.argsz = sizeof(arg),
		.flags = IOASID_UNMAP_DIRTY,
		.ioasid = ioasid,
		.iova = iova,
		.length = len,
		.bitmap = (uintptr_t)bitmap,
		.page_size = page_size,
	};
	int ret = unmap(fd, &arg, unmapped);

	if (exact)
		*exact = !!(arg.told & IOASID_DIRTY_EXACT);
	return ret;
}

int ioasid_get_info(int fd, __u32 ioasid, struct ioasid_info *info,
		    struct ioasid_iova_range *ranges, __u32 nr_ranges)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->ioasid = ioasid;
	info->nr_ranges = nr_ranges;
	info->ranges = (uintptr_t)ranges;
	return do_ioctl(fd, IOASID_GET_INFO, info);
}

/*
 * The device's directory in sysfs, without symbolic links, so that its last
 * part is the name of the device.
 */
static int find_sysfs(const char *name, char sysfs[PATH_MAX])
{
	static const char node[] = "/dev/vfio/devices/";
	const char *domain = "", *c;
	char path[PATH_MAX];
	int colons = 0, n;

	if (!strncmp(name, node, strlen(node))) {
		n = snprintf(path, sizeof(path), "/sys/class/vfio-dev/%s/device",
			     name + strlen(node));
	} else if (strchr(name, '/')) {
		n = snprintf(path, sizeof(path), "%s", name);
	} else {
		for (c = name; *c; c++)
			colons += *c == ':';
		if (colons == 0)
			domain = "0000:00:";
		else if (colons == 1)
			domain = "0000:";
		n = snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s%s",
			     domain, name);
	}
	if (n >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return realpath(path, sysfs) ? 0 : -errno;
}

/* The device's VFIO device node, "/dev/vfio/devices/vfio0". */
static int find_node(const char *sysfs, char node[PATH_MAX])
{
	char path[PATH_MAX];
	struct dirent *entry;
	int ret = -ENODEV;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/vfio-dev", sysfs) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ENODEV : -errno;
	while ((entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "vfio", 4)) {
			snprintf(node, PATH_MAX, "/dev/vfio/devices/%s",
				 entry->d_name);
			ret = 0;
			break;
		}
	}
	closedir(dir);
	return ret;
}

static int open_node(const char *sysfs, struct ioasid_device *dev)
{
	char node[PATH_MAX];
	int ret;

	ret = find_node(sysfs, node);
	if (ret)
		return ret;
	dev->fd = open(node, O_RDWR | O_CLOEXEC);
	return dev->fd < 0 ? -errno : 0;
}

/* The file of the device's VFIO group */
static int find_group(const char *sysfs)
{
	char path[PATH_MAX], target[PATH_MAX], *number;
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "%s/iommu_group", sysfs) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	target[n] = '\0';
	number = strrchr(target, '/');
	number = number ? number + 1 : target;
	if (snprintf(path, sizeof(path), "/dev/vfio/%s", number) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	return fd;
}

/* Put the group into a container that lends it to a file of /dev/ioasid */
static int set_container(struct ioasid_device *dev)
{
	int ret;

	dev->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (dev->container < 0)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	if (ioctl(dev->container, VFIO_CHECK_EXTENSION, IOASID_VFIO_FILE) <= 0)
		return -EOPNOTSUPP;
	ret = do_ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &dev->container);
	if (ret)
		return ret;
	if (ioctl(dev->container, VFIO_SET_IOMMU, IOASID_VFIO_FILE) < 0)
		return -errno;
	return 0;
}

static int open_group(const char *sysfs, struct ioasid_device *dev,
		      bool container)
{
	int ret = -EBADFD;

	dev->group = find_group(sysfs);
	if (dev->group < 0) {
		ret = dev->group;
		dev->group = -1;
		return ret;
	}
	if (!container)
		ret = do_ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &dev->ctx);
	/* VFIO does not know what file this is */
	if (ret == -EBADFD)
		ret = set_container(dev);
	if (!ret) {
		dev->fd = ioctl(dev->group, VFIO_GROUP_GET_DEVICE_FD, dev->name);
		if (dev->fd < 0)
			ret = -errno;
	}
	if (ret)
		ioasid_device_close(dev);
	return ret;
}

static int init_device(int fd, const char *name, struct ioasid_device *dev,
		       char sysfs[PATH_MAX],
		       int (*find)(const char *name, char sysfs[PATH_MAX]))
{
	const char *base;
	int ret;

	memset(dev, 0, sizeof(*dev));
	dev->fd = -1;
	dev->ctx = fd;
	dev->group = -1;
	dev->container = -1;
	ret = find(name, sysfs);
	if (ret)
		return ret == -ENOENT ? -ENODEV : ret;
	base = strrchr(sysfs, '/') + 1;
	if (snprintf(dev->name, sizeof(dev->name), "%s", base) >= (int)sizeof(dev->name))
		return -ENAMETOOLONG;
	return 0;
}

static int bind_device(struct ioasid_device *dev, __u64 cookie)
{
	struct ioasid_device_bind arg = {
		.argsz = sizeof(arg),
		.ioasid_fd = dev->ctx,
		.cookie = cookie,
	};
	struct ioasid_vfio_bind_group group = {
		.argsz = sizeof(group),
		.group_fd = dev->group,
		.ioasid_fd = dev->ctx,
		.cookie = cookie,
	};
	int ret;

	if (dev->container < 0)
		ret = do_ioctl(dev->fd, dev->vdpa ? VHOST_VDPA_BIND_IOASID_FD :
						    VFIO_DEVICE_BIND_IOASID_FD,
			       &arg);
	else
		ret = do_ioctl(dev->container, IOASID_VFIO_BIND_GROUP, &group);
	if (ret) {
		fault_addr = arg.fault_addr;
		ioasid_device_close(dev);
		return ret;
	}
	dev->id = dev->container < 0 ? arg.devid : group.devid;
	return 0;
}

static int open_by_group(int fd, const char *name, __u64 cookie,
			 struct ioasid_device *dev, bool container)
{
	char sysfs[PATH_MAX];
	int ret;

	ret = init_device(fd, name, dev, sysfs, find_sysfs);
	if (!ret)
		ret = open_group(sysfs, dev, container);
	return ret ? ret : bind_device(dev, cookie);
}

/* Does VFIO know the command that binds?  It tells an unknown flag from that. */
static bool knows_bind(const struct ioasid_device *dev)
{
	struct ioasid_device_bind arg = {
		.argsz = sizeof(arg),
		.flags = ~0U,
		.ioasid_fd = dev->ctx,
	};

	return do_ioctl(dev->fd, VFIO_DEVICE_BIND_IOASID_FD, &arg) == -EOPNOTSUPP;
}

int ioasid_device_open(int fd, const char *name, __u64 cookie,
		       struct ioasid_device *dev)
{
	char sysfs[PATH_MAX];
	int ret;

	ret = init_device(fd, name, dev, sysfs, find_sysfs);
	if (ret)
		return ret;
	ret = open_node(sysfs, dev);
	/* A kernel without CONFIG_VFIO_DEVICE_CDEV makes no device nodes. */
	if (ret == -ENOENT || ret == -ENODEV)
		return open_by_group(fd, name, cookie, dev, false);
	if (ret)
		return ret;
	if (knows_bind(dev))
		return bind_device(dev, cookie);
	ioasid_device_close(dev);
	return open_by_group(fd, name, cookie, dev, true);
}

int ioasid_device_open_group(int fd, const char *name, __u64 cookie,
			     struct ioasid_device *dev)
{
	return open_by_group(fd, name, cookie, dev, false);
}

int ioasid_device_open_container(int fd, const char *name, __u64 cookie,
				 struct ioasid_device *dev)
{
	return open_by_group(fd, name, cookie, dev, true);
}

/* The directory of a vDPA device in sysfs, as find_sysfs() */
static int find_vdpa(const char *name, char sysfs[PATH_MAX])
{
	static const char node[] = "/dev/vhost-vdpa-";
	char path[PATH_MAX];
	int n;

	if (!strncmp(name, node, strlen(node))) {
		struct stat st;

		if (stat(name, &st))
			return -errno;
		n = snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/..",
			     major(st.st_rdev), minor(st.st_rdev));
	} else {
		n = snprintf(path, sizeof(path), "%s%s",
			     strchr(name, '/') ? "" : "/sys/bus/vdpa/devices/",
			     name);
	}
	if (n >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return realpath(path, sysfs) ? 0 : -errno;
}

/* Open the file that vhost-vdpa has for the device, and own it. */
static int open_vdpa(const char *sysfs, struct ioasid_device *dev)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int ret = -ENODEV;
	DIR *dir;

	dir = opendir(sysfs);
	if (!dir)
		return -errno;
	while (ret == -ENODEV && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vhost-vdpa-", 11))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		dev->fd = open(path, O_RDWR | O_CLOEXEC);
		ret = dev->fd < 0 ? -errno : do_ioctl(dev->fd, VHOST_SET_OWNER, NULL);
	}
	closedir(dir);
	if (ret)
		ioasid_device_close(dev);
	return ret;
}

int ioasid_device_open_vdpa(int fd, const char *name, __u64 cookie,
			    struct ioasid_device *dev)
{
	char sysfs[PATH_MAX];
	int ret;

	ret = init_device(fd, name, dev, sysfs, find_vdpa);
	if (ret)
		return ret;
	dev->vdpa = 1;
	ret = open_vdpa(sysfs, dev);
	return ret ? ret : bind_device(dev, cookie);
}

int ioasid_device_attach(struct ioasid_device *dev, __u32 ioasid)
{
	struct ioasid_device_attach arg = {
		.argsz = sizeof(arg),
		.ioasid = ioasid,
	};
	struct ioasid_vfio_attach_group group = {
		.argsz = sizeof(group),
		.group_fd = dev->group,
		.ioasid = ioasid,
	};
	int ret;

	if (dev->container < 0)
		ret = do_ioctl(dev->fd, dev->vdpa ? VHOST_VDPA_ATTACH_IOASID :
						    VFIO_DEVICE_ATTACH_IOASID,
			       &arg);
	else
		ret = do_ioctl(dev->container, IOASID_VFIO_ATTACH_GROUP, &group);
	if (ret)
		fault_addr = dev->container < 0 ? arg.fault_addr :
						  group.fault_addr;
	return ret;
}

int ioasid_device_attach_pasid(struct ioasid_device *dev, __u32 ioasid,
			       __u32 flags, __u32 *pasid)
{
	struct ioasid_device_attach arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.ioasid = ioasid,
		.vpasid = flags & IOASID_ATTACH_PASID_ANY ? 0 : *pasid,
	};
	int ret;

	/* A group in a container has only its requester id */
	if (dev->container >= 0 || dev->vdpa)
		return -EOPNOTSUPP;
	ret = do_ioctl(dev->fd, VFIO_DEVICE_ATTACH_IOASID, &arg);
	if (ret)
		fault_addr = arg.fault_addr;
	else
		*pasid = arg.vpasid;
	return ret;
}

int ioasid_device_attach_asid(struct ioasid_device *dev, __u32 ioasid,
			      __u32 asid)
{
	struct ioasid_device_attach arg = {
		.argsz = sizeof(arg),
		.flags = IOASID_ATTACH_ASID,
		.ioasid = ioasid,
		.vpasid = asid,
	};
	int ret;

	if (!dev->vdpa)
		return -EOPNOTSUPP;
	ret = do_ioctl(dev->fd, VHOST_VDPA_ATTACH_IOASID, &arg);
	if (ret)
		fault_addr = arg.fault_addr;
	return ret;
}

int ioasid_device_detach(struct ioasid_device *dev)
{
	struct ioasid_device_detach arg = {
		.argsz = sizeof(arg),
	};
	struct ioasid_vfio_detach_group group = {
		.argsz = sizeof(group),
		.group_fd = dev->group,
	};

	if (dev->container < 0)
		return do_ioctl(dev->fd, dev->vdpa ? VHOST_VDPA_DETACH_IOASID :
						     VFIO_DEVICE_DETACH_IOASID,
				&arg);
	return do_ioctl(dev->container, IOASID_VFIO_DETACH_GROUP, &group);
}

int ioasid_device_detach_pasid(struct ioasid_device *dev, __u32 pasid)
{
	struct ioasid_device_detach arg = {
		.argsz = sizeof(arg),
		.flags = IOASID_DETACH_PASID,
		.vpasid = pasid,
	};

	if (dev->container >= 0 || dev->vdpa)
		return -EOPNOTSUPP;
	return do_ioctl(dev->fd, VFIO_DEVICE_DETACH_IOASID, &arg);
}

int ioasid_device_detach_asid(struct ioasid_device *dev, __u32 asid)
{
	struct ioasid_device_detach arg = {
		.argsz = sizeof(arg),
		.flags = IOASID_DETACH_ASID,
		.vpasid = asid,
	};

	if (!dev->vdpa)
		return -EOPNOTSUPP;
	return do_ioctl(dev->fd, VHOST_VDPA_DETACH_IOASID, &arg);
}

void ioasid_device_close(struct ioasid_device *dev)
{
	if (dev->fd >= 0)
		close(dev->fd);
	if (dev->group >= 0)
		close(dev->group);
	if (dev->container >= 0)
		close(dev->container);
	dev->fd = -1;
	dev->group = -1;
	dev->container = -1;
}
