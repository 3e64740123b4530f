/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of /dev/ioasid share.
 *
 * The ia_*() functions are one command each. They return 0 (or what the
 * command returns) or a negative errno, so that an expectation names the
 * error it wants: ASSERT_EQ(-EEXIST, ia_map(...)).
 */
#ifndef __SELFTESTS_IOASID_UTIL_H
#define __SELFTESTS_IOASID_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <linux/ioasid.h>

#include "../kselftest_harness.h"

/* The debug kernel in an emulated machine takes its time. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 240

#define IA_NODE "/dev/ioasid"

#define IA_RW (IOASID_MAP_READ | IOASID_MAP_WRITE)
#define IA_RW_FIXED (IA_RW | IOASID_MAP_FIXED)

#define SZ_64K 0x10000ULL
#define SZ_1M 0x100000ULL
#define SZ_2M 0x200000ULL
#define SZ_1G 0x40000000ULL
#define SZ_4G 0x100000000ULL

static unsigned long page_size;

static __attribute__((constructor)) void ia_init(void)
{
	page_size = sysconf(_SC_PAGESIZE);
}

#define IA_PTR(p) ((__u64)(uintptr_t)(p))

/*
 * Open the node. For a FIXTURE_SETUP() or a TEST():
 *
 *	fd = ia_open();
 *	if (fd == -ENOENT)
 *		SKIP(return, IA_ABSENT);
 *	ASSERT_LE(0, fd);
 */
#define IA_ABSENT "there is no " IA_NODE

static inline int ia_open(void)
{
	int fd = open(IA_NODE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return errno == ENODEV || errno == ENXIO ? -ENOENT : -errno;
}

/* Every command as it is: what ioctl() returns, or -errno. */
static inline int ia_cmd(int fd, unsigned long cmd, void *arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

static inline int ia_check(int fd, __u32 extension)
{
	struct ioasid_check_extension cmd = {
		.argsz = sizeof(cmd),
		.extension = extension,
	};

	return ia_cmd(fd, IOASID_CHECK_EXTENSION, &cmd);
}

static inline int ia_alloc_full(int fd, __u32 *id, __u64 cookie, __u64 cut_size)
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

static inline int ia_alloc(int fd, __u32 *id)
{
	return ia_alloc_full(fd, id, 0, 0);
}

static inline int ia_free(int fd, __u32 id)
{
	struct ioasid_free cmd = {
		.argsz = sizeof(cmd),
		.ioasid = id,
	};

	return ia_cmd(fd, IOASID_FREE, &cmd);
}

static inline int ia_info(int fd, __u32 id, struct ioasid_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->ioasid = id;
	return ia_cmd(fd, IOASID_GET_INFO, info);
}

static inline int ia_device_info(int fd, __u32 devid,
				 struct ioasid_device_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->devid = devid;
	return ia_cmd(fd, IOASID_DEVICE_GET_INFO, info);
}

/* The most general map; @iova is written only on success. */
static inline int ia_map_full(int fd, __u32 id, __u32 flags, __u64 *iova,
			      __u64 addr, __u64 length, __u64 cut_size,
			      __u64 alignment, int file, __u64 *fault_addr)
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

/* Map @length bytes at @addr for reading and writing at @iova. */
static inline int ia_map(int fd, __u32 id, __u64 iova, const void *addr,
			 __u64 length)
{
	return ia_map_full(fd, id, IA_RW_FIXED, &iova, IA_PTR(addr), length,
			   0, 0, 0, NULL);
}

/* The same where the kernel chooses. */
static inline int ia_map_any(int fd, __u32 id, __u64 *iova, const void *addr,
			     __u64 length)
{
	return ia_map_full(fd, id, IA_RW, iova, IA_PTR(addr), length, 0, 0, 0,
			   NULL);
}

/* Map of a file, with permission @flags; at *@iova with IOASID_MAP_FIXED. */
static inline int ia_map_file(int fd, __u32 id, __u32 flags, __u64 *iova,
			      int file, __u64 offset, __u64 length)
{
	return ia_map_full(fd, id, flags | IOASID_MAP_FILE, iova, offset,
			   length, 0, 0, file, NULL);
}

static inline int ia_reserve(int fd, __u32 id, __u64 iova, __u64 length)
{
	return ia_map_full(fd, id, IOASID_MAP_RESERVE | IOASID_MAP_FIXED,
			   &iova, 0, length, 0, 0, 0, NULL);
}

static inline int ia_unmap_full(int fd, __u32 id, __u32 flags, __u64 iova,
				__u64 length, __u64 *unmapped)
{
	struct ioasid_unmap_dma cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
		.iova = iova,
		.length = length,
		.unmapped = 0x5a5a5a5a5a5a5a5aULL,
	};
	int rc = ia_cmd(fd, IOASID_UNMAP_DMA, &cmd);

	if (unmapped)
		*unmapped = cmd.unmapped;
	return rc;
}

static inline int ia_unmap(int fd, __u32 id, __u64 iova, __u64 length,
			   __u64 *unmapped)
{
	return ia_unmap_full(fd, id, 0, iova, length, unmapped);
}

static inline int ia_unmap_all(int fd, __u32 id, __u64 *unmapped)
{
	return ia_unmap_full(fd, id, IOASID_UNMAP_ALL, 0, 0, unmapped);
}

static inline int ia_list(int fd, __u32 start, struct ioasid_list_entry *entries,
			  __u32 *nr)
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

static inline int ia_set_option(int fd, __u32 option, __u64 value, __u32 flags)
{
	struct ioasid_set_option cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.option = option,
		.value = value,
	};

	return ia_cmd(fd, IOASID_SET_OPTION, &cmd);
}

static inline int ia_get_option(int fd, __u32 option, __u64 *value,
				__u32 *sealed)
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

/* Anonymous private memory, aligned to @align (a power of two), untouched. */
static inline void *ia_mem_aligned(size_t length, size_t align)
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

static inline void *ia_mem(size_t length)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The number behind "NAME:" in a file of /proc such as status; -1 if none. */
static inline long long ia_proc_field(const char *path, const char *name)
{
	size_t len = strlen(name);
	long long value = -1;
	char line[256];
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && line[len] == ':') {
			value = strtoll(line + len + 1, NULL, 10);
			break;
		}
	}
	fclose(f);
	return value;
}

static inline long long ia_status(const char *name)
{
	return ia_proc_field("/proc/self/status", name);
}

/*
 * Whether this kernel checks itself so much that big loops take too long. To
 * be seen without privilege, too, which debugfs is not.
 */
static inline bool ia_slow_kernel(void)
{
	return !access("/proc/lockdep", F_OK);
}

/* What the kernel shows of a context: two of them can be compared. */
#define IA_STATE_MAX 64

struct ia_state {
	__u32 nr;
	__u32 pad;
	long long vm_pin;
	long long vm_lck;
	struct ioasid_list_entry entries[IA_STATE_MAX];
	struct ioasid_info infos[IA_STATE_MAX];
};

static inline int ia_state_read(int fd, struct ia_state *state)
{
	struct ioasid_list_entry *e;
	int rc;

	memset(state, 0, sizeof(*state));
	state->vm_pin = ia_status("VmPin");
	state->vm_lck = ia_status("VmLck");
	state->nr = IA_STATE_MAX;
	rc = ia_list(fd, 0, state->entries, &state->nr);
	if (rc)
		return rc;
	if (state->nr > IA_STATE_MAX)
		return -E2BIG;
	for (e = state->entries; e < state->entries + state->nr; e++) {
		if (e->type != IOASID_LIST_IOASID)
			continue;
		rc = ia_info(fd, e->id, &state->infos[e - state->entries]);
		if (rc)
			return rc;
	}
	return 0;
}

/* NULL when @a and @b are the same, or else what differs. */
static inline const char *ia_state_diff(const struct ia_state *a,
					const struct ia_state *b)
{
	static char text[160];
	__u32 i;

	if (a->vm_pin != b->vm_pin || a->vm_lck != b->vm_lck) {
		snprintf(text, sizeof(text),
			 "VmPin %lld, now %lld; VmLck %lld, now %lld",
			 a->vm_pin, b->vm_pin, a->vm_lck, b->vm_lck);
		return text;
	}
	if (a->nr != b->nr) {
		snprintf(text, sizeof(text), "%u objects, now %u", a->nr, b->nr);
		return text;
	}
	for (i = 0; i < a->nr; i++) {
		if (memcmp(&a->entries[i], &b->entries[i],
			   sizeof(a->entries[i]))) {
			snprintf(text, sizeof(text), "entry %u: id %u, now %u",
				 i, a->entries[i].id, b->entries[i].id);
			return text;
		}
		if (memcmp(&a->infos[i], &b->infos[i], sizeof(a->infos[i]))) {
			snprintf(text, sizeof(text),
				 "id %u: mappings %llu/%llu mapped %llu/%llu pinned %llu/%llu charged %llu/%llu left %llu/%llu",
				 a->entries[i].id, a->infos[i].nr_mappings,
				 b->infos[i].nr_mappings,
				 a->infos[i].bytes_mapped,
				 b->infos[i].bytes_mapped,
				 a->infos[i].bytes_pinned,
				 b->infos[i].bytes_pinned,
				 a->infos[i].bytes_charged,
				 b->infos[i].bytes_charged,
				 a->infos[i].bytes_left, b->infos[i].bytes_left);
			return text;
		}
	}
	return NULL;
}

/* The page frame behind an address of ours, 0 if there is none. For root. */
static inline __u64 ia_pfn(const void *addr)
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

static inline __u64 ia_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* A child that does not outlive a test that failed. */
static inline pid_t ia_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(KSFT_FAIL);
	}
	return pid;
}

/* Pass a descriptor through a socket. */
static inline int ia_send_fd(int sock, int fd)
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

static inline int ia_recv_fd(int sock)
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

#endif /* __SELFTESTS_IOASID_UTIL_H */
