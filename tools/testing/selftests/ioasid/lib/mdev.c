// SPDX-License-Identifier: GPL-2.0-only
#include "mdev.h"

int mdev_create(void)
{
	static const char parent[] = "/sys/class/mdev_bus/mtty";
	char path[256];
	struct dirent **list;
	int i, n, rc = -ENOENT;

	if (access(parent, F_OK) && system("modprobe -q mtty"))
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/mdev_supported_types", parent);
	n = scandir(path, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.' && rc) {
			snprintf(path, sizeof(path),
				 "%s/mdev_supported_types/%.64s/create",
				 parent, list[i]->d_name);
			rc = hw_write_file(path, MDEV_UUID);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return rc == -EEXIST ? 0 : rc;
}

int mdev_open(void)
{
	struct dirent **list;
	char path[300];
	int i, n, fd = -ENOENT;

	n = scandir(MDEV "/vfio-dev", &list, NULL,
		    alphasort);
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
				 list[i]->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return fd;
}

int mdev_remove(void)
{
	return hw_write_file(MDEV "/remove", "1");
}
