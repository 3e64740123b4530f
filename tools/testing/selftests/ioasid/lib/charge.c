// SPDX-License-Identifier: GPL-2.0-only
#include <grp.h>

#include "charge.h"

#define PG page_size

long locked(void)
{
	return ia_status("VmLck") * 1024 / (long)PG;
}

int may_lock_as(unsigned int uid, unsigned long pages)
{
	struct rlimit limit = { pages * PG, pages * PG };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) ||
	    setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		return -errno;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) ? -errno : 0;
}

int may_lock(unsigned long pages)
{
	return may_lock_as(60100, pages);
}

int open_once(__u32 *id)
{
	int fd = ia_open(), rc;

	if (fd < 0)
		return fd;
	rc = ia_set_option(fd, IOASID_OPTION_CHARGE, IOASID_CHARGE_ONCE, 0);
	if (!rc)
		rc = ia_alloc(fd, id);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

long fdinfo_charged(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return ia_proc_field(path, "ioasid-charged") / (long)PG;
}

bool exited_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

int map_pages(int fd, __u32 id, char *mem, unsigned long index,
	      unsigned long pages)
{
	return ia_map(fd, id, CHARGE_IOVA + index * PG, mem + index * PG,
		      pages * PG);
}

int unmap_pages(int fd, __u32 id, unsigned long index, unsigned long pages)
{
	return ia_unmap_full(fd, id, IOASID_UNMAP_SPLIT,
			     CHARGE_IOVA + index * PG, pages * PG, NULL);
}

long left(int fd, __u32 id)
{
	struct ioasid_info info;

	return ia_info(fd, id, &info) ? -1 : (long)(info.bytes_left / PG);
}

long charged_to(__u64 charge, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return ia_proc_field(path, charge == IOASID_CHARGE_USER ? "VmPin" :
			     "VmLck") * 1024 / (long)PG;
}

bool charge_becomes(__u64 charge, pid_t pid, long pages)
{
	__u64 end = ia_now_ms() + 20000;

	while (charged_to(charge, pid) != pages) {
		if (ia_now_ms() > end)
			return false;
		usleep(1000);
	}
	return true;
}

int ia_rehome(int fd, __u32 id, __u32 flags, __u64 *moved, __u64 *fail_iova)
{
	return ia_rehome_user(fd, id, flags, NULL, 0, moved, fail_iova);
}

int ia_rehome_user(int fd, __u32 id, __u32 flags,
		   const struct ioasid_rehome_entry *entries, __u32 nr,
		   __u64 *moved, __u64 *fail_iova)
{
	struct ioasid_rehome cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
		.entries = IA_PTR(entries),
		.nr = nr,
		.entry_size = sizeof(*entries),
	};
	int rc = ia_cmd(fd, IOASID_REHOME, &cmd);

	if (moved)
		*moved = cmd.moved;
	if (fail_iova)
		*fail_iova = cmd.fail_iova;
	return rc;
}

static int other_run(int sock, int (*run)(void *arg), void *arg)
{
	int rc = run(arg);

	if (write(sock, &rc, sizeof(rc)) != sizeof(rc))
		return 1;
	return read(sock, &rc, 1) != 1;
}

int other_start(struct other *other, int (*run)(void *arg), void *arg)
{
	int sock[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return -errno;
	other->pid = ia_fork();
	if (!other->pid)
		_exit(other_run(sock[1], run, arg));
	close(sock[1]);
	other->sock = sock[0];
	if (other->pid < 0)
		return -EAGAIN;
	return read(sock[0], &rc, sizeof(rc)) == sizeof(rc) ? rc : -EPIPE;
}

bool other_stop(struct other *other)
{
	bool told = write(other->sock, "", 1) == 1;

	close(other->sock);
	return exited_well(other->pid) && told;
}
