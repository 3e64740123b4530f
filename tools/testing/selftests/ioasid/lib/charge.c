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

int ia_rehome(int fd, __u32 id, __u32 flags, __u64 *moved, __u64 *fail_iova)
{
	struct ioasid_rehome cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
	};
	int rc = ia_cmd(fd, IOASID_REHOME, &cmd);

	if (moved)
		*moved = cmd.moved;
	if (fail_iova)
		*fail_iova = cmd.fail_iova;
	return rc;
}
