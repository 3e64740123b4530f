/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes without privilege, with a limit of locked memory, and what they are
 * charged for. All sizes are in pages.
 */
#ifndef __SELFTESTS_IOASID_CHARGE_H
#define __SELFTESTS_IOASID_CHARGE_H

#include "ioasid_util.h"

#define CHARGE_IOVA SZ_1G

/* Number of pages that this process is charged for. */
long locked(void);

int may_lock_as(unsigned int uid, unsigned long pages);
int may_lock(unsigned long pages);

/* A context that charges once, and an IOASID of it. */
int open_once(__u32 *id);

/* "ioasid-charged" of the fdinfo of a file, in pages */
long fdinfo_charged(int fd);

bool exited_well(pid_t pid);

/* Pages of @mem by index, to the same pages of IOVA from CHARGE_IOVA on. */
int map_pages(int fd, __u32 id, char *mem, unsigned long index,
	      unsigned long pages);

int unmap_pages(int fd, __u32 id, unsigned long index, unsigned long pages);
long left(int fd, __u32 id);

/* Number of pages that a process is charged for, in one of the ways. */
long charged_to(__u64 charge, pid_t pid);

/*
 * Wait until a process is charged for that many pages: an unmap by another thread
 * may leave a debt, which is settled soon.
 */
bool charge_becomes(__u64 charge, pid_t pid, long pages);

/* IOASID_REHOME; @moved and @fail_iova can be NULL. */
int ia_rehome(int fd, __u32 id, __u32 flags, __u64 *moved, __u64 *fail_iova);
int ia_rehome_user(int fd, __u32 id, __u32 flags,
		   const struct ioasid_rehome_entry *entries, __u32 nr,
		   __u64 *moved, __u64 *fail_iova);

/* Another process, and a socket to it. */
struct other {
	pid_t pid;
	int sock;
};

/*
 * Fork a process that runs @run, and then waits for other_stop(). Returns what
 * @run does.
 */
int other_start(struct other *other, int (*run)(void *arg), void *arg);
bool other_stop(struct other *other);

#endif /* __SELFTESTS_IOASID_CHARGE_H */
