// SPDX-License-Identifier: GPL-2.0-only
#include "uffd.h"

int open_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd;

	fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

int hold_faults(int uffd, void *addr, unsigned long length)
{
	struct uffdio_register reg = {
		.range = { .start = IA_PTR(addr), .len = length },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

bool fault_waits(int uffd)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&p, 1, 20000) == 1 &&
	       read(uffd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

int release_faults(int uffd, void *addr, unsigned long length)
{
	struct uffdio_range range = { .start = IA_PTR(addr), .len = length };

	return ioctl(uffd, UFFDIO_UNREGISTER, &range) ? -errno : 0;
}
