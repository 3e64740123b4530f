// SPDX-License-Identifier: GPL-2.0-only
#include "mock.h"

int mock_load(void)
{
	static const char driver[] = "/sys/bus/platform/drivers/ioasid_mock";

	if (access(driver, F_OK) && system("modprobe -q ioasid_mock"))
		return -ENOENT;
	return access(driver, F_OK) ? -ENOENT : 0;
}

int mock_open(int nth)
{
	struct dirent **list;
	char path[300];
	int i, n, fd = -ENOENT;

	snprintf(path, sizeof(path),
		 "/sys/devices/platform/ioasid_mock.%d/vfio-dev", nth);
	n = scandir(path, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
				 list[i]->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd < 0)
				fd = -errno;
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return fd;
}

int mock_open_group(int nth)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/platform/ioasid_mock.%d",
		 nth);
	return hw_open_group_at(path);
}

int mock_access(int fd, bool write, __u64 at, void *data, size_t length)
{
	ssize_t n = write ? pwrite(fd, data, length, at) :
			    pread(fd, data, length, at);

	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EIO;
}

int mock_command(int fd, __u32 op, __u32 flags, __u64 iova, __u64 length,
		 __u64 offset)
{
	struct ioasid_mock_command cmd = {
		.op = op,
		.flags = flags,
		.iova = iova,
		.length = length,
		.offset = offset,
	};

	return mock_access(fd, true, IOASID_MOCK_COMMAND, &cmd, sizeof(cmd));
}

int mock_pin(int fd, __u64 iova, __u64 length)
{
	return mock_command(fd, IOASID_MOCK_PIN, IOASID_MOCK_PIN_WRITE, iova,
			    length, 0);
}

int mock_unpin(int fd, __u64 iova, __u64 length)
{
	return mock_command(fd, IOASID_MOCK_UNPIN, 0, iova, length, 0);
}

int mock_unpin_one(int fd, __u64 iova)
{
	return mock_command(fd, IOASID_MOCK_UNPIN, IOASID_MOCK_UNPIN_ONE, iova,
			    getpagesize(), 0);
}

struct ioasid_mock_status mock_status(int fd)
{
	struct ioasid_mock_status status;

	if (mock_access(fd, false, IOASID_MOCK_STATUS, &status, sizeof(status)))
		memset(&status, 0xff, sizeof(status));
	return status;
}

int mock_behave(int fd, __u32 unmap, __u32 delay_ms)
{
	struct ioasid_mock_manners manners = {
		.unmap = unmap,
		.delay_ms = delay_ms,
	};

	return mock_access(fd, true, IOASID_MOCK_MANNERS, &manners,
			   sizeof(manners));
}

int mock_get(int fd, __u32 op, __u32 flags, __u64 iova, void *data,
	     size_t length)
{
	int rc = mock_command(fd, op, flags, iova, length, 0);

	return rc ? rc : mock_access(fd, false, IOASID_MOCK_MEMORY, data,
				     length);
}

int mock_put(int fd, __u32 op, __u32 flags, __u64 iova, const void *data,
	     size_t length)
{
	int rc = mock_access(fd, true, IOASID_MOCK_MEMORY, (void *)data, length);

	return rc ? rc : mock_command(fd, op, flags, iova, length, 0);
}
