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

#include <linux/ioasid.h>

/* A part of a program, which has the tests in another. */
#ifdef IA_NO_TESTS
#include "kselftest.h"
#else
#include "kselftest_harness.h"
#endif

/* The debug kernel in an emulated machine is slow. */
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

/* Every command without changes: the result of ioctl(), or -errno. */
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

/* The same, at an IOVA that the kernel chooses. */
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

/* What @unmapped is before the call, and after one that does not write it */
#define IA_UNTOUCHED 0x5a5a5a5a5a5a5a5aULL

static inline int ia_unmap_full(int fd, __u32 id, __u32 flags, __u64 iova,
				__u64 length, __u64 *unmapped)
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

/*
 * The number behind "NAME:", or "NAME ", in a file of /proc such as status or
 * vmstat; -1 if there is none.
 */
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
		if (!strncmp(line, name, len) && strchr(": ", line[len])) {
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
 * Whether this kernel checks itself so much that big loops take too long.
 * Unlike debugfs, this needs no privilege.
 */
static inline bool ia_slow_kernel(void)
{
	return !access("/proc/lockdep", F_OK);
}

/*
 * All state of a context that user space can observe, to compare two of them:
 * LIST; GET_INFO and DEVICE_GET_INFO with their arrays, QUERY_MAP, options,
 * fdinfo of the context and of all exports that the process has open, and the
 * locked and pinned memory of the process. Mapped files are not part of it: see
 * ia_file_read().
 *
 * Entries beyond the room are in the sums.
 */
#define IA_STATE_MAX 64
#define IA_STATE_RANGES 128
#define IA_STATE_MAPPINGS 512
#define IA_STATE_TEXT 16384
#define IA_STATE_OPTIONS 3

struct ia_state {
	__u32 nr;
	__u32 nr_ranges;
	__u32 nr_mappings;
	__u32 next_fd;		/* number of the next file to be opened */
	long long vm_pin;
	long long vm_lck;
	__u64 option[IA_STATE_OPTIONS];
	__u32 sealed[IA_STATE_OPTIONS + 1];
	__u64 sum_ranges;
	__u64 sum_mappings;
	__u64 sum_text;
	struct ioasid_list_entry entries[IA_STATE_MAX];
	union {
		struct ioasid_info info;
		struct ioasid_device_info device;
	} infos[IA_STATE_MAX];
	/* of all objects, in the order of @entries */
	struct ioasid_iova_range ranges[IA_STATE_RANGES];
	struct {
		__u32 id;
		__u32 pad;
		struct ioasid_query_entry entry;
	} mappings[IA_STATE_MAPPINGS];
	char text[IA_STATE_TEXT];
};

/* FNV-1a */
static inline __u64 ia_sum(__u64 sum, const void *data, size_t length)
{
	const __u8 *byte = data;

	while (length--)
		sum = (sum ^ *byte++) * 0x100000001b3ULL;
	return sum;
}

static inline void ia_state_add_ranges(struct ia_state *state,
				       const struct ioasid_iova_range *ranges,
				       __u32 nr)
{
	__u32 i;

	state->sum_ranges = ia_sum(state->sum_ranges, ranges,
				   nr * sizeof(*ranges));
	for (i = 0; i < nr && state->nr_ranges < IA_STATE_RANGES; i++)
		state->ranges[state->nr_ranges++] = ranges[i];
}

static inline int ia_state_read_info(int fd, struct ia_state *state, __u32 i)
{
	struct ioasid_iova_range ranges[64] = {};
	struct ioasid_info *info = &state->infos[i].info;
	int rc;

	info->argsz = sizeof(*info);
	info->ioasid = state->entries[i].id;
	info->nr_ranges = 64;
	info->ranges = IA_PTR(ranges);
	rc = ia_cmd(fd, IOASID_GET_INFO, info);
	info->ranges = 0;
	if (rc)
		return rc;
	ia_state_add_ranges(state, ranges,
			    info->nr_ranges < 64 ? info->nr_ranges : 64);
	return 0;
}

static inline int ia_state_read_device(int fd, struct ia_state *state, __u32 i)
{
	struct ioasid_device_info *info = &state->infos[i].device;
	struct ioasid_iova_range ranges[64] = {};
	int rc;

	info->argsz = sizeof(*info);
	info->devid = state->entries[i].id;
	info->nr_ranges = 64;
	info->ranges = IA_PTR(ranges);
	rc = ia_cmd(fd, IOASID_DEVICE_GET_INFO, info);
	info->ranges = 0;
	/* unplugged, or behind an IOMMU that fails to make domains */
	if (rc == -ENODEV || rc == -EMEDIUMTYPE)
		return 0;
	if (rc)
		return rc;
	ia_state_add_ranges(state, ranges,
			    info->nr_ranges < 64 ? info->nr_ranges : 64);
	return 0;
}

static inline int ia_state_read_mappings(int fd, struct ia_state *state,
					 __u32 id)
{
	struct ioasid_query_entry entries[32];
	struct ioasid_query_map query = { .more = 1 };
	__u64 start = 0;
	__u32 i;
	int rc;

	while (query.more) {
		query = (struct ioasid_query_map) {
			.argsz = sizeof(query),
			.ioasid = id,
			.nr = 32,
			.start = start,
			.entries = IA_PTR(entries),
		};
		rc = ia_cmd(fd, IOASID_QUERY_MAP, &query);
		/* an import, which is like an IOASID otherwise */
		if (rc)
			return rc == -ENOENT ? 0 : rc;
		start = query.next;
		state->sum_mappings = ia_sum(state->sum_mappings, entries,
					     query.nr * sizeof(*entries));
		for (i = 0; i < query.nr; i++) {
			if (state->nr_mappings == IA_STATE_MAPPINGS)
				break;
			state->mappings[state->nr_mappings].id = id;
			state->mappings[state->nr_mappings++].entry = entries[i];
		}
	}
	return 0;
}

static inline void ia_state_read_text(int fd, struct ia_state *state,
				      size_t *used)
{
	char path[64], buf[4096];
	ssize_t n;
	size_t room;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	while (file >= 0 && (n = read(file, buf, sizeof(buf))) > 0) {
		state->sum_text = ia_sum(state->sum_text, buf, n);
		room = IA_STATE_TEXT - 1 - *used;
		if ((size_t)n < room)
			room = n;
		memcpy(state->text + *used, buf, room);
		*used += room;
	}
	if (file >= 0)
		close(file);
}

/* fdinfo of the context, and of every export of a low number. */
static inline void ia_state_read_fdinfo(int fd, struct ia_state *state)
{
	char path[64], target[64];
	size_t used = 0;
	__u32 i;
	ssize_t n;

	ia_state_read_text(fd, state, &used);
	for (i = 0; i < state->next_fd + 32; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		if (strstr(target, "[ioasid-export]"))
			ia_state_read_text(i, state, &used);
	}
}

static inline int ia_state_read(int fd, struct ia_state *state)
{
	struct ioasid_list_entry *e;
	__u32 i;
	int rc;

	memset(state, 0, sizeof(*state));
	state->next_fd = dup(fd);
	close(state->next_fd);
	state->vm_pin = ia_status("VmPin");
	state->vm_lck = ia_status("VmLck");
	state->nr = IA_STATE_MAX;
	rc = ia_list(fd, 0, state->entries, &state->nr);
	if (rc)
		return rc;
	if (state->nr > IA_STATE_MAX)
		return -E2BIG;
	for (i = 0; i < IA_STATE_OPTIONS; i++) {
		rc = ia_get_option(fd, IOASID_OPTION_CHARGE + i,
				   &state->option[i], &state->sealed[i]);
		if (rc)
			return rc;
	}
	for (i = 0; i < state->nr; i++) {
		e = &state->entries[i];
		rc = 0;
		if (e->type == IOASID_LIST_IOASID)
			rc = ia_state_read_info(fd, state, i) ?:
			     ia_state_read_mappings(fd, state, e->id);
		else if (e->type == IOASID_LIST_DEVICE)
			rc = ia_state_read_device(fd, state, i);
		if (rc)
			return rc;
	}
	ia_state_read_fdinfo(fd, state);
	return 0;
}

/* Remove the numbers behind "mappings=" from all lines but those of roots. */
static inline void ia_text_forget_pieces(char *text)
{
	char *from = text, *to = text, *line = text;
	const char *what = "mappings=";

	while (*from) {
		if (from == text || from[-1] == '\n')
			line = from;
		*to++ = *from++;
		if ((size_t)(from - line) < strlen(what) ||
		    strncmp(from - strlen(what), what, strlen(what)))
			continue;
		if (memmem(line, strcspn(line, "\n"), " parent=0 ", 10))
			continue;
		while (*from >= '0' && *from <= '9')
			from++;
	}
	memset(to, 0, from - to);
}

/*
 * Ignore the number of pieces of children's mappings, and the numbers of IOPTEs
 * that follow from that.
 */
static inline void ia_state_forget_pieces(struct ia_state *state)
{
	struct ioasid_query_entry *last, *m;
	struct ioasid_info *info;
	__u32 i, k, n = 0, root = 0;

	for (i = 0; i < state->nr; i++) {
		info = &state->infos[i].info;
		if (state->entries[i].type != IOASID_LIST_IOASID ||
		    (info->kind == IOASID_KIND_MAP && !info->parent))
			continue;
		info->nr_mappings = 0;
		if (~info->mappings_left)
			info->mappings_left = 0;
	}
	for (i = 0; i < state->nr_mappings; i++) {
		m = &state->mappings[i].entry;
		for (k = 0; k < state->nr; k++)
			if (state->entries[k].type == IOASID_LIST_IOASID &&
			    state->entries[k].id == state->mappings[i].id)
				root = !state->entries[k].parent;
		if (!root)
			m->pgsizes = 0;
		last = n ? &state->mappings[n - 1].entry : NULL;
		if (!root && last &&
		    state->mappings[n - 1].id == state->mappings[i].id &&
		    last->iova + last->length == m->iova &&
		    last->addr + last->length == m->addr &&
		    last->flags == m->flags && last->cut_size == m->cut_size)
			last->length += m->length;
		else
			state->mappings[n++] = state->mappings[i];
	}
	for (i = n; i < state->nr_mappings; i++)
		memset(&state->mappings[i], 0, sizeof(state->mappings[i]));
	state->nr_mappings = n;
	state->sum_mappings = 0;
	state->sum_text = 0;
	ia_text_forget_pieces(state->text);
}

/* Lines of two texts that differ, the first of them. */
static inline void ia_text_diff(char *to, size_t size, const char *a,
				const char *b)
{
	size_t i, line = 0;

	for (i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '\n')
			line = i + 1;
	snprintf(to, size, "fdinfo: %.*s, now %.*s",
		 (int)strcspn(a + line, "\n"), a + line,
		 (int)strcspn(b + line, "\n"), b + line);
}

/* NULL if @a and @b are the same, or else the difference. */
static inline const char *ia_state_diff(const struct ia_state *a,
					const struct ia_state *b)
{
	static char text[640];
	const struct ioasid_query_entry *m, *n;
	const struct ioasid_info *x, *y;
	__u32 i;

	if (!memcmp(a, b, sizeof(*a)))
		return NULL;
	if (a->vm_pin != b->vm_pin || a->vm_lck != b->vm_lck) {
		snprintf(text, sizeof(text),
			 "VmPin %lld, now %lld; VmLck %lld, now %lld",
			 a->vm_pin, b->vm_pin, a->vm_lck, b->vm_lck);
		return text;
	}
	if (a->next_fd != b->next_fd) {
		snprintf(text, sizeof(text), "next file %u, now %u", a->next_fd,
			 b->next_fd);
		return text;
	}
	if (a->nr != b->nr) {
		snprintf(text, sizeof(text), "%u objects, now %u", a->nr, b->nr);
		return text;
	}
	for (i = 0; i < IA_STATE_OPTIONS; i++) {
		if (a->option[i] == b->option[i] && a->sealed[i] == b->sealed[i])
			continue;
		snprintf(text, sizeof(text),
			 "option %u: %#llx sealed %u, now %#llx sealed %u", i + 1,
			 a->option[i], a->sealed[i], b->option[i], b->sealed[i]);
		return text;
	}
	for (i = 0; i < a->nr; i++) {
		if (memcmp(&a->entries[i], &b->entries[i],
			   sizeof(a->entries[i]))) {
			snprintf(text, sizeof(text), "entry %u: id %u, now %u",
				 i, a->entries[i].id, b->entries[i].id);
			return text;
		}
		if (!memcmp(&a->infos[i], &b->infos[i], sizeof(a->infos[i])))
			continue;
		if (a->entries[i].type != IOASID_LIST_IOASID) {
			snprintf(text, sizeof(text), "device %u",
				 a->entries[i].id);
			return text;
		}
		x = &a->infos[i].info;
		y = &b->infos[i].info;
		snprintf(text, sizeof(text),
			 "id %u: state %#x/%#x domains %u/%u devices %u/%u children %u/%u ranges %u/%u mappings %llu/%llu mapped %llu/%llu pinned %llu/%llu charged %llu/%llu left %llu/%llu",
			 a->entries[i].id, x->state, y->state, x->nr_domains,
			 y->nr_domains, x->nr_devices, y->nr_devices,
			 x->nr_children, y->nr_children, x->nr_ranges,
			 y->nr_ranges, x->nr_mappings, y->nr_mappings,
			 x->bytes_mapped, y->bytes_mapped, x->bytes_pinned,
			 y->bytes_pinned, x->bytes_charged, y->bytes_charged,
			 x->bytes_left, y->bytes_left);
		return text;
	}
	for (i = 0; i < IA_STATE_RANGES; i++) {
		if (!memcmp(&a->ranges[i], &b->ranges[i], sizeof(a->ranges[i])))
			continue;
		snprintf(text, sizeof(text),
			 "range %u: %#llx-%#llx, now %#llx-%#llx", i,
			 a->ranges[i].start, a->ranges[i].last,
			 b->ranges[i].start, b->ranges[i].last);
		return text;
	}
	for (i = 0; i < IA_STATE_MAPPINGS; i++) {
		if (!memcmp(&a->mappings[i], &b->mappings[i],
			    sizeof(a->mappings[i])))
			continue;
		m = &a->mappings[i].entry;
		n = &b->mappings[i].entry;
		snprintf(text, sizeof(text),
			 "mapping %u of %u: %#llx+%#llx addr %#llx cut %#llx pages %#llx flags %#x, now of %u: %#llx+%#llx addr %#llx cut %#llx pages %#llx flags %#x",
			 i, a->mappings[i].id, m->iova, m->length, m->addr,
			 m->cut_size, m->pgsizes, m->flags, b->mappings[i].id,
			 n->iova, n->length, n->addr, n->cut_size, n->pgsizes,
			 n->flags);
		return text;
	}
	if (strcmp(a->text, b->text)) {
		ia_text_diff(text, sizeof(text), a->text, b->text);
		return text;
	}
	return "one of many ranges, mappings or lines of fdinfo";
}

/* Observable state of a file: its size, and where it has memory. */
struct ia_file {
	__u64 size;
	__u64 blocks;
	__u64 seals;
	__u64 sum;
};

static inline int ia_file_read(int fd, struct ia_file *file)
{
	__u64 at[2] = { 0, 0 };
	struct stat st;
	int seals;

	memset(file, 0, sizeof(*file));
	if (fstat(fd, &st))
		return -errno;
	file->size = st.st_size;
	file->blocks = st.st_blocks;
	seals = fcntl(fd, F_GET_SEALS);
	file->seals = seals < 0 ? 0 : seals;
	for (;;) {
		off_t data = lseek(fd, at[1], SEEK_DATA);

		if (data < 0)
			break;
		at[0] = data;
		at[1] = lseek(fd, data, SEEK_HOLE);
		file->sum = ia_sum(file->sum, at, sizeof(at));
	}
	lseek(fd, 0, SEEK_SET);
	return 0;
}

/*
 * The page frame of an address of this process, 0 if there is none. For root.
 */
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

/* A child that ends with a test that failed. */
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

/* Pass a file descriptor through a socket. */
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
