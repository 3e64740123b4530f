// SPDX-License-Identifier: GPL-2.0-only
#include "hw.h"

const struct hw_id hw_edu = { 0x1234, 0x11e8, 0 };
const struct hw_id hw_nvme = { 0, 0, 0x0108 };
const struct hw_id hw_e1000e = { 0x8086, 0x10d3, 0 };

int hw_read_file(const char *path, char *buf, size_t size)
{
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return n;
}

int hw_write_file(const char *path, const char *text)
{
	int fd, rc = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

unsigned long hw_attribute(const char *name, const char *file)
{
	char path[192], buf[32];

	snprintf(path, sizeof(path), HW_PCI "%s/%s", name, file);
	if (hw_read_file(path, buf, sizeof(buf)) < 0)
		return ~0UL;
	return strtoul(buf, NULL, 16);
}

int hw_find(const struct hw_id *id, char names[][HW_NAME], int max)
{
	struct dirent **list;
	int i, n, found = 0;

	n = scandir(HW_PCI, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (found < max && name[0] != '.' && strlen(name) < HW_NAME &&
		    (!id->vendor || hw_attribute(name, "vendor") == id->vendor) &&
		    (!id->device || hw_attribute(name, "device") == id->device) &&
		    (!id->class || hw_attribute(name, "class") >> 8 == id->class))
			memcpy(names[found++], name, strlen(name) + 1);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return found;
}

/* The last component of the target of the device's link @file. */
static int hw_link(const char *name, const char *file, char *buf, size_t size)
{
	char path[192], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), HW_PCI "%s/%s", name, file);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	snprintf(buf, size, "%s", strrchr(target, '/') + 1);
	return 0;
}

bool hw_has_driver(const char *name, const char *driver)
{
	char now[64];

	return !hw_link(name, "driver", now, sizeof(now)) &&
	       (!driver || !strcmp(now, driver));
}

int hw_set_driver(const char *name, const char *driver)
{
	char path[128];

	if (driver && hw_has_driver(name, driver))
		return 0;
	snprintf(path, sizeof(path), HW_PCI "%s/driver_override", name);
	if (hw_write_file(path, driver ? driver : "\n"))
		return -ENOENT;
	snprintf(path, sizeof(path), HW_PCI "%s/driver/unbind", name);
	hw_write_file(path, name);
	hw_write_file("/sys/bus/pci/drivers_probe", name);
	return !driver || hw_has_driver(name, driver) ? 0 : -ENODEV;
}

int hw_take(const char *name)
{
	return hw_set_driver(name, "vfio-pci");
}

int hw_give_back(const char *name)
{
	return hw_set_driver(name, NULL);
}

int hw_group_at(const char *device)
{
	char path[160], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/iommu_group", device);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	return atoi(strrchr(target, '/') + 1);
}

int hw_group(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), HW_PCI "%s", name);
	return hw_group_at(path);
}

bool hw_have_cdevs(void)
{
	char line[64];
	bool found = false;
	FILE *f = fopen("/proc/devices", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " vfio-dev\n"))
			found = true;
	if (f)
		fclose(f);
	return found;
}

int hw_open_child(const char *device, const char *prefix, const char *nodes)
{
	struct dirent *entry;
	int fd = -ENODEV;
	char path[300];
	DIR *dir;

	dir = opendir(device);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(path, sizeof(path), "%s%s", nodes, entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
		break;
	}
	closedir(dir);
	return fd;
}

int hw_open_cdev(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), HW_PCI "%s/vfio-dev", name);
	return hw_open_child(path, "vfio", "/dev/vfio/devices/");
}

int hw_open_group(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), HW_PCI "%s", name);
	return hw_open_group_at(path);
}

int hw_open_group_at(const char *device)
{
	char path[64];
	int group, fd;

	group = hw_group_at(device);
	if (group < 0)
		return group;
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int hw_group_device(int group, const char *name)
{
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);

	return fd < 0 ? -errno : fd;
}

int hw_set_container(int group, int container)
{
	return ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ? -errno : 0;
}

int hw_open_device(const char *name)
{
	char path[128];
	int fd;

	if (hw_have_cdevs())
		return hw_open_cdev(name);
	snprintf(path, sizeof(path), HW_PCI "%s", name);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Whether the iommu group has more than one device. */
static bool hw_is_shared(int group)
{
	char path[64];
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices",
		 group);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n > 1;
}

/*
 * Put the file of the device in the place of its directory, if @device is that.
 * The file holds its group's, of which there is but one: keep that of a shared
 * group for the other devices of the test.
 */
static int hw_open_late(int device, int ctx)
{
	static int shared = -1, shared_group = -1;
	char path[64], target[256], *name;
	int group, fd, rc;
	ssize_t n;

	n = fcntl(device, F_GETFL);
	if (n < 0 || !(n & O_PATH))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", device);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	name = strrchr(target, '/') + 1;
	if (shared_group >= 0 && hw_group(name) == shared) {
		group = shared_group;
	} else {
		group = hw_open_group(name);
		if (group < 0)
			return group;
		rc = hw_set_container(group, ctx);
		if (rc) {
			close(group);
			return rc;
		}
		if (hw_is_shared(hw_group(name))) {
			shared = hw_group(name);
			shared_group = group;
		}
	}
	fd = hw_group_device(group, name);
	rc = fd < 0 ? fd : dup3(fd, device, O_CLOEXEC) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (group != shared_group)
		close(group);
	return rc;
}

int hw_bind_full(int device, int fd, __u32 ioasid, __u64 cookie, __u32 *devid,
		 __u64 *fault_addr)
{
	struct ioasid_device_bind bind = {
		.argsz = sizeof(bind),
		.ioasid_fd = fd,
		.ioasid = ioasid,
		.cookie = cookie,
	};
	int rc = hw_open_late(device, fd);

	if (!rc && ioctl(device, VFIO_DEVICE_BIND_IOASID_FD, &bind))
		rc = -errno;
	if (!rc && devid)
		*devid = bind.devid;
	if (fault_addr)
		*fault_addr = bind.fault_addr;
	return rc;
}

int hw_bind(int device, int fd, __u64 cookie, __u32 *devid)
{
	return hw_bind_full(device, fd, 0, cookie, devid, NULL);
}

int hw_attach_full(int device, __u32 ioasid, __u64 *fault_addr)
{
	struct ioasid_device_attach attach = {
		.argsz = sizeof(attach),
		.ioasid = ioasid,
	};
	int rc;

	rc = ioctl(device, VFIO_DEVICE_ATTACH_IOASID, &attach) ? -errno : 0;
	if (fault_addr)
		*fault_addr = attach.fault_addr;
	return rc;
}

int hw_attach(int device, __u32 ioasid)
{
	return hw_attach_full(device, ioasid, NULL);
}

int hw_detach(int device, __u32 ioasid)
{
	struct ioasid_device_detach detach = {
		.argsz = sizeof(detach),
		.ioasid = ioasid,
	};

	return ioctl(device, VFIO_DEVICE_DETACH_IOASID, &detach) ? -errno : 0;
}
