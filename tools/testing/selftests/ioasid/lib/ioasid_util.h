/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers of the tests of /dev/ioasid.
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

#include <linux/capability.h>
#include <linux/ioasid.h>

#include "kselftest.h"

#define IA_NODE "/dev/ioasid"

#define IA_RW (IOASID_MAP_READ | IOASID_MAP_WRITE)
#define IA_RW_FIXED (IA_RW | IOASID_MAP_FIXED)

#define SZ_64K 0x10000ULL
#define SZ_1M 0x100000ULL
#define SZ_2M 0x200000ULL
#define SZ_1G 0x40000000ULL
#define SZ_4G 0x100000000ULL

extern unsigned long page_size;

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

int ia_open(void);

/* Every command without changes: the result of ioctl(), or -errno. */
int ia_cmd(int fd, unsigned long cmd, void *arg);

int ia_check(int fd, __u32 extension);
int ia_alloc_full(int fd, __u32 *id, __u64 cookie, __u64 cut_size);
int ia_alloc(int fd, __u32 *id);
int ia_free(int fd, __u32 id);
int ia_info(int fd, __u32 id, struct ioasid_info *info);
int ia_device_info(int fd, __u32 devid, struct ioasid_device_info *info);

/* The most general map; @iova is written only on success. */
int ia_map_full(int fd, __u32 id, __u32 flags, __u64 *iova, __u64 addr,
		__u64 length, __u64 cut_size, __u64 alignment, int file,
		__u64 *fault_addr);

/* Map @length bytes at @addr for reading and writing at @iova. */
int ia_map(int fd, __u32 id, __u64 iova, const void *addr, __u64 length);

/* The same, at an IOVA that the kernel chooses. */
int ia_map_any(int fd, __u32 id, __u64 *iova, const void *addr, __u64 length);

/* Map of a file, with permission @flags; at *@iova with IOASID_MAP_FIXED. */
int ia_map_file(int fd, __u32 id, __u32 flags, __u64 *iova, int file,
		__u64 offset, __u64 length);

int ia_reserve(int fd, __u32 id, __u64 iova, __u64 length);
/* What @unmapped is before the call, and after one that does not write it */
#define IA_UNTOUCHED 0x5a5a5a5a5a5a5a5aULL
int ia_unmap_full(int fd, __u32 id, __u32 flags, __u64 iova, __u64 length,
		  __u64 *unmapped);
int ia_unmap(int fd, __u32 id, __u64 iova, __u64 length, __u64 *unmapped);
int ia_unmap_all(int fd, __u32 id, __u64 *unmapped);
int ia_list(int fd, __u32 start, struct ioasid_list_entry *entries, __u32 *nr);
int ia_set_option(int fd, __u32 option, __u64 value, __u32 flags);
int ia_get_option(int fd, __u32 option, __u64 *value, __u32 *sealed);

/* Anonymous private memory, aligned to @align (a power of two), untouched. */
void *ia_mem_aligned(size_t length, size_t align);

void *ia_mem(size_t length);

/*
 * The number behind "NAME:", or "NAME ", in a file of /proc such as status or
 * vmstat; -1 if there is none.
 */
long long ia_proc_field(const char *path, const char *name);

long long ia_status(const char *name);

/*
 * Whether this kernel checks itself so much that big loops take too long.
 * Unlike debugfs, this needs no privilege.
 */
bool ia_slow_kernel(void);

/*
 * The page frame of an address of this process, 0 if there is none. For root.
 */
__u64 ia_pfn(const void *addr);

__u64 ia_now_ms(void);

/* How long a test goes on: $IOASID_SECONDS, or @seconds */
unsigned long ia_seconds(unsigned long seconds);

/* A child that ends with a test that failed. */
pid_t ia_fork(void);

/* Pass a file descriptor through a socket. */
int ia_send_fd(int sock, int fd);

int ia_recv_fd(int sock);

/* Give CAP_SYS_RESOURCE up until this process ends: limits of users bind it. */
int ia_drop_resource(void);

#endif /* __SELFTESTS_IOASID_UTIL_H */
