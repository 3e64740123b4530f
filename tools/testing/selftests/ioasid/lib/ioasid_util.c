// SPDX-License-Identifier: GPL-2.0-only
#include "ioasid_util.h"

unsigned long page_size;

static __attribute__((constructor)) void ia_init(void)
{
	page_size = sysconf(_SC_PAGESIZE);
}

int ia_open(void)
{
	int fd = open(IA_NODE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return errno == ENODEV || errno == ENXIO ? -ENOENT : -errno;
}

int ia_cmd(int fd, unsigned long cmd, void *arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

int ia_check(int fd, __u32 extension)
{
	struct ioasid_check_extension cmd = {
		.argsz = sizeof(cmd),
		.extension = extension,
	};

	return ia_cmd(fd, IOASID_CHECK_EXTENSION, &cmd);
}

int ia_alloc_full(int fd, __u32 *id, __u64 cookie, __u64 cut_size)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_MAP,
		.cookie = cookie,
		.cut_size = cut_size,
	};
	int rc = ia_cmd(fd, IOASID_ALLOC, &cmd);

	if (!rc)
		*id = cmd.ioasid;
	return rc;
}

int ia_alloc(int fd, __u32 *id)
{
	return ia_alloc_full(fd, id, 0, 0);
}

int ia_free(int fd, __u32 id)
{
	struct ioasid_free cmd = {
		.argsz = sizeof(cmd),
		.ioasid = id,
	};

	return ia_cmd(fd, IOASID_FREE, &cmd);
}

int ia_info(int fd, __u32 id, struct ioasid_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->ioasid = id;
	return ia_cmd(fd, IOASID_GET_INFO, info);
}

int ia_device_info(int fd, __u32 devid, struct ioasid_device_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->devid = devid;
	return ia_cmd(fd, IOASID_DEVICE_GET_INFO, info);
}

int ia_map_full(int fd, __u32 id, __u32 flags, __u64 *iova, __u64 addr,
		__u64 length, __u64 cut_size, __u64 alignment, int file,
		__u64 *fault_addr)
{
	struct ioasid_map_dma cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
		.fd = file,
		.iova = flags & IOASID_MAP_FIXED ? *iova : 0,
		.addr = addr,
		.length = length,
		.cut_size = cut_size,
		.alignment = alignment,
	};
	int rc = ia_cmd(fd, IOASID_MAP_DMA, &cmd);

	if (!rc)
		*iova = cmd.iova;
	if (fault_addr)
		*fault_addr = cmd.fault_addr;
	return rc;
}

int ia_map(int fd, __u32 id, __u64 iova, const void *addr, __u64 length)
{
	return ia_map_full(fd, id, IA_RW_FIXED, &iova, IA_PTR(addr), length,
			   0, 0, 0, NULL);
}

int ia_map_any(int fd, __u32 id, __u64 *iova, const void *addr, __u64 length)
{
	return ia_map_full(fd, id, IA_RW, iova, IA_PTR(addr), length, 0, 0, 0,
			   NULL);
}

int ia_map_file(int fd, __u32 id, __u32 flags, __u64 *iova, int file,
		__u64 offset, __u64 length)
{
	return ia_map_full(fd, id, flags | IOASID_MAP_FILE, iova, offset,
			   length, 0, 0, file, NULL);
}

int ia_reserve(int fd, __u32 id, __u64 iova, __u64 length)
{
	return ia_map_full(fd, id, IOASID_MAP_RESERVE | IOASID_MAP_FIXED,
			   &iova, 0, length, 0, 0, 0, NULL);
}

int ia_unmap_full(int fd, __u32 id, __u32 flags, __u64 iova, __u64 length,
		  __u64 *unmapped)
{
	struct ioasid_unmap_dma cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
		.iova = iova,
		.length = length,
		.unmapped = IA_UNTOUCHED,
	};
	int rc = ia_cmd(fd, IOASID_UNMAP_DMA, &cmd);

	if (unmapped)
		*unmapped = cmd.unmapped;
	return rc;
}

int ia_unmap(int fd, __u32 id, __u64 iova, __u64 length, __u64 *unmapped)
{
	return ia_unmap_full(fd, id, 0, iova, length, unmapped);
}

int ia_unmap_all(int fd, __u32 id, __u64 *unmapped)
{
	return ia_unmap_full(fd, id, IOASID_UNMAP_ALL, 0, 0, unmapped);
}

int ia_list(int fd, __u32 start, struct ioasid_list_entry *entries, __u32 *nr)
{
	struct ioasid_list cmd = {
		.argsz = sizeof(cmd),
		.start = start,
		.nr = *nr,
		.entries = IA_PTR(entries),
	};
	int rc = ia_cmd(fd, IOASID_LIST, &cmd);

	*nr = cmd.nr;
	return rc;
}

int ia_set_option(int fd, __u32 option, __u64 value, __u32 flags)
{
	struct ioasid_set_option cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.option = option,
		.value = value,
	};

	return ia_cmd(fd, IOASID_SET_OPTION, &cmd);
}

int ia_get_option(int fd, __u32 option, __u64 *value, __u32 *sealed)
{
	struct ioasid_set_option cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_OPTION_GET,
		.option = option,
	};
	int rc = ia_cmd(fd, IOASID_SET_OPTION, &cmd);

	if (!rc) {
		*value = cmd.value;
		if (sealed)
			*sealed = cmd.sealed;
	}
	return rc;
}

void *ia_mem_aligned(size_t length, size_t align)
{
	uintptr_t raw, start;
	char *p;

	p = mmap(NULL, length + align, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	raw = (uintptr_t)p;
	start = (raw + align - 1) & ~(uintptr_t)(align - 1);
	if (start > raw)
		munmap(p, start - raw);
	munmap((void *)(start + length), raw + align - start);
	return (void *)start;
}

void *ia_mem(size_t length)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

long long ia_proc_field(const char *path, const char *name)
{
	size_t len = strlen(name);
	long long value = -1;
	char line[256];
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && strchr(": ", line[len])) {
			value = strtoll(line + len + 1, NULL, 10);
			break;
		}
	}
	fclose(f);
	return value;
}

long long ia_status(const char *name)
{
	return ia_proc_field("/proc/self/status", name);
}

bool ia_slow_kernel(void)
{
	return !access("/proc/lockdep", F_OK);
}

unsigned long ia_seconds(unsigned long seconds)
{
	const char *text = getenv("IOASID_SECONDS");

	return text ? strtoul(text, NULL, 0) : seconds;
}

__u64 ia_pfn(const void *addr)
{
	__u64 entry = 0;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry),
		  (uintptr_t)addr / page_size * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	if (!(entry & (1ULL << 63)))
		return 0;
	return entry & ((1ULL << 55) - 1);
}

__u64 ia_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

pid_t ia_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(KSFT_FAIL);
	}
	return pid;
}

int ia_send_fd(int sock, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {};
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.buf,
		.msg_controllen = sizeof(u.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

int ia_recv_fd(int sock)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {};
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.buf,
		.msg_controllen = sizeof(u.buf),
	};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -EIO;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -EIO;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

int ia_drop_resource(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	data[0].effective &= ~(1U << CAP_SYS_RESOURCE);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}
