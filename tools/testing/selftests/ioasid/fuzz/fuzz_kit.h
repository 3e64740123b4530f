/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the fuzzer of /dev/ioasid and the programs that it prints: memory
 * to map, one piece of every type, tables of user space, and ways to pass a
 * structure to a command.  Needs the C library only.
 *
 * Every piece lies between inaccessible pages, so that a range beyond its end
 * cannot be pinned.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_KIT_H
#define __SELFTESTS_IOASID_FUZZ_KIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <linux/capability.h>
#include <linux/ioasid.h>
#include <linux/memfd.h>
#include <linux/types.h>

#include "model_abi.h"

#define FUZZ_PAGE 4096ULL
#define FUZZ_HUGE 0x200000ULL

/* Size of most pieces of memory. */
#define FUZZ_PIECE (64 * FUZZ_PAGE)

/* The largest piece of memory, in pages. */
#define FUZZ_MEM_PAGES (2 * FUZZ_HUGE / FUZZ_PAGE)

enum fuzz_mem {
	MEM_ANON,	/* private memory */
	MEM_THP,	/* private memory in huge pages */
	MEM_SHARED,	/* shared memory with no file */
	MEM_MEMFD,	/* a memfd, and a view of it */
	MEM_HUGETLB,	/* a memfd of huge pages, and a view of it */
	MEM_READONLY,	/* private memory that cannot be written */
	MEM_HOLED,	/* private memory with a hole in the middle */
	MEM_TABLE,	/* private memory that begins with fuzz_tables() */
	MEM_NONE,	/* addresses that cannot be accessed */
	MEM_SPARSE,	/* a memfd that ends in a hole; only as a file */
	MEM_RDONLY_FD,	/* the same, not open for writing */
	MEM_SEALED,	/* a memfd that is sealed against writing */
	MEM_PIPE,	/* a file that cannot be mapped */
	MEM_CLOSED,	/* no file at all */
	MEM_NR,
	MEM_RAW = MEM_NR,	/* no piece: the address is meant as it is */
};

/**
 * struct fuzz_memory - one piece
 * @name: for messages
 * @base: where it is mapped, NULL if it is not
 * @size: bytes; of the file, too
 * @filled: number of bytes from the start that hold the pattern; the rest is 0
 * @writable: through @base
 * @hole: first offset that cannot be pinned through @base
 * @hole_end: first offset behind @hole that can be pinned
 * @fd: its file, -1 if it has none
 * @file_error: errno of any map of the file, or 0
 * @write_error: errno of a map of the file for writing, or 0
 * @file_hole: first offset that cannot be pinned through @fd
 */
struct fuzz_memory {
	const char *name;
	char *base;
	__u64 size;
	__u64 filled;
	bool writable;
	__u64 hole;
	__u64 hole_end;
	int fd;
	int file_error;
	int write_error;
	__u64 file_hole;
};

/* The pattern of the 8 byte word at @offset of a piece. */
static inline __u64 fuzz_pattern(enum fuzz_mem kind, __u64 offset)
{
	__u64 x = offset / 8 + ((__u64)kind << 40) + 1;

	return x * 0x9e3779b97f4a7c15ULL;
}

static inline void fuzz_fill(enum fuzz_mem kind, char *at, __u64 length)
{
	__u64 offset;

	for (offset = 0; offset < length; offset += 8)
		*(__u64 *)(at + offset) = fuzz_pattern(kind, offset);
}

/*
 * Tables of user space, in the format of the model IOMMU.
 *
 * All addresses in them are the parent's: of tables, where it has MEM_TABLE mapped
 * at FUZZ_TABLES; of data, what it has mapped from FUZZ_DATA on, if anything.
 * Each root leads to the windows: FUZZ_VA(1) to FUZZ_VA(FUZZ_VAS) have entries,
 * good ones and others.
 */
#define FUZZ_DATA 0x100000000ULL
#define FUZZ_TABLES 0x110000000ULL
#define FUZZ_VAS 5
#define FUZZ_VA(window) ((window) * FUZZ_HUGE)
#define FUZZ_VA_PAGES 64

/* Pages of MEM_TABLE; the name of a root is the number of its levels. */
enum fuzz_table {
	TABLE_3,
	TABLE_2,
	TABLE_LEAF,
	TABLE_LEAF_BACK,
	TABLE_4,
	TABLE_5,
	TABLE_PASIDS,
	TABLE_PASIDS_BAD,
	TABLE_NR,
};

static inline __u64 *fuzz_entry(char *base, enum fuzz_table table, int index)
{
	return (__u64 *)(base + table * FUZZ_PAGE) + index;
}

/* An entry that leads to a table. */
static inline __u64 fuzz_to_table(enum fuzz_table table)
{
	return (FUZZ_TABLES + table * FUZZ_PAGE) | MODEL_S1_PRESENT |
	       MODEL_S1_WRITE;
}

/* An entry for a page, by its number from FUZZ_DATA on. */
static inline __u64 fuzz_to_page(__u64 page)
{
	return (FUZZ_DATA + page * FUZZ_PAGE) | MODEL_S1_PRESENT |
	       MODEL_S1_WRITE;
}

/* The entry of a PASID. */
static inline __u64 fuzz_to_root(enum fuzz_table table, __u64 levels)
{
	return (FUZZ_TABLES + table * FUZZ_PAGE) | MODEL_PASID_VALID |
	       levels << MODEL_PASID_LEVELS_SHIFT;
}

/* The entry of a page of the first window. */
static inline __u64 fuzz_leaf(int index)
{
	const __u64 entry = fuzz_to_page(index);

	if (index == 20)
		return entry | 1 << 9;
	if (index == 21)
		return fuzz_to_table(TABLE_LEAF);
	switch (index % 8) {
	case 3:
		return 0;
	case 7:
		return entry & ~MODEL_S1_WRITE;
	}
	return entry;
}

static inline void fuzz_tables(char *base)
{
	const __u64 far = FUZZ_HUGE / FUZZ_PAGE;
	int i;

	memset(base, 0, FUZZ_PIECE);
	*fuzz_entry(base, TABLE_5, 0) = fuzz_to_table(TABLE_4);
	*fuzz_entry(base, TABLE_4, 0) = fuzz_to_table(TABLE_3);
	*fuzz_entry(base, TABLE_3, 0) = fuzz_to_table(TABLE_2);
	*fuzz_entry(base, TABLE_2, 1) = fuzz_to_table(TABLE_LEAF);
	*fuzz_entry(base, TABLE_2, 2) = fuzz_to_page(0) | MODEL_S1_HUGE;
	*fuzz_entry(base, TABLE_2, 3) =
		(fuzz_to_page(far) | MODEL_S1_HUGE) & ~MODEL_S1_WRITE;
	*fuzz_entry(base, TABLE_2, 4) =
		fuzz_to_table(TABLE_LEAF_BACK) & ~MODEL_S1_WRITE;
	/* not aligned */
	*fuzz_entry(base, TABLE_2, 5) = fuzz_to_page(1) | MODEL_S1_HUGE;
	for (i = 0; i < FUZZ_VA_PAGES; i++) {
		*fuzz_entry(base, TABLE_LEAF, i) = fuzz_leaf(i);
		*fuzz_entry(base, TABLE_LEAF_BACK, i) =
			fuzz_to_page(FUZZ_VA_PAGES - 1 - i);
	}
	*fuzz_entry(base, TABLE_PASIDS, 0) = fuzz_to_root(TABLE_3, 3);
	*fuzz_entry(base, TABLE_PASIDS, 2) = fuzz_to_root(TABLE_2, 2);
	*fuzz_entry(base, TABLE_PASIDS, 4) =
		MODEL_PASID_VALID | MODEL_PASID_BYPASS;
	*fuzz_entry(base, TABLE_PASIDS, 6) = fuzz_to_root(TABLE_5, 5);
	*fuzz_entry(base, TABLE_PASIDS_BAD, 0) = fuzz_to_root(TABLE_3, 3);
	/* too few levels; a bit that is unknown, in each word */
	*fuzz_entry(base, TABLE_PASIDS_BAD, 2) = fuzz_to_root(TABLE_2, 1);
	*fuzz_entry(base, TABLE_PASIDS_BAD, 4) =
		fuzz_to_root(TABLE_2, 2) | 1 << 8;
	*fuzz_entry(base, TABLE_PASIDS_BAD, 6) = fuzz_to_root(TABLE_2, 2);
	*fuzz_entry(base, TABLE_PASIDS_BAD, 7) = 1;
}

/* Reserve @size bytes of address space, aligned to a huge page. */
static inline char *fuzz_place(__u64 size)
{
	char *p = mmap(NULL, size + 3 * FUZZ_HUGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return (char *)(((__u64)p + 2 * FUZZ_HUGE - 1) & ~(FUZZ_HUGE - 1));
}

static inline int fuzz_memfd(struct fuzz_memory *m, unsigned int flags)
{
	m->fd = memfd_create(m->name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	if (m->fd < 0 || ftruncate(m->fd, m->size))
		return -errno;
	return 0;
}

static inline int fuzz_view(struct fuzz_memory *m, int prot, int flags)
{
	m->base = fuzz_place(m->size);
	if (!m->base)
		return -errno;
	if (m->fd < 0)
		flags |= MAP_ANONYMOUS;
	if (mmap(m->base, m->size, prot, flags | MAP_FIXED, m->fd, 0) ==
	    MAP_FAILED)
		return -errno;
	return 0;
}

/* Write the pattern to the first @filled bytes of the file. */
static inline int fuzz_fill_file(struct fuzz_memory *m, enum fuzz_mem kind)
{
	char page[FUZZ_PAGE];
	__u64 at, i;

	for (at = 0; at < m->filled; at += FUZZ_PAGE) {
		for (i = 0; i < FUZZ_PAGE; i += 8)
			*(__u64 *)(page + i) = fuzz_pattern(kind, at + i);
		if (pwrite(m->fd, page, FUZZ_PAGE, at) != FUZZ_PAGE)
			return -EIO;
	}
	return 0;
}

static inline int fuzz_reopen(struct fuzz_memory *m, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(m->fd);
	m->fd = fd;
	return 0;
}

/*
 * Make one piece; a negative errno if this system has no memory of that type.
 */
static inline int fuzz_memory_make(struct fuzz_memory *m, enum fuzz_mem kind)
{
	const int rw = PROT_READ | PROT_WRITE;
	int rc = 0, pipes[2];

	*m = (struct fuzz_memory) {
		.size = FUZZ_PIECE,
		.hole = -1ULL,
		.hole_end = -1ULL,
		.file_hole = -1ULL,
		.fd = -1,
		.writable = true,
	};
	switch (kind) {
	case MEM_ANON:
		m->name = "anon";
		rc = fuzz_view(m, rw, MAP_PRIVATE);
		if (!rc)
			madvise(m->base, m->size, MADV_NOHUGEPAGE);
		break;
	case MEM_THP:
		m->name = "thp";
		m->size = 2 * FUZZ_HUGE;
		rc = fuzz_view(m, rw, MAP_PRIVATE);
		if (!rc)
			madvise(m->base, m->size, MADV_HUGEPAGE);
		break;
	case MEM_SHARED:
		m->name = "shared";
		rc = fuzz_view(m, rw, MAP_SHARED);
		break;
	case MEM_MEMFD:
		m->name = "memfd";
		rc = fuzz_memfd(m, 0);
		if (!rc)
			rc = fuzz_view(m, rw, MAP_SHARED);
		break;
	case MEM_HUGETLB:
		m->name = "hugetlb";
		m->size = 2 * FUZZ_HUGE;
		rc = fuzz_memfd(m, MFD_HUGETLB | MFD_HUGE_2MB);
		if (!rc)
			rc = fuzz_view(m, rw, MAP_SHARED);
		break;
	case MEM_READONLY:
		m->name = "readonly";
		rc = fuzz_view(m, rw, MAP_PRIVATE);
		m->writable = false;
		break;
	case MEM_HOLED:
		m->name = "holed";
		rc = fuzz_view(m, rw, MAP_PRIVATE);
		m->hole = 24 * FUZZ_PAGE;
		m->hole_end = 26 * FUZZ_PAGE;
		break;
	case MEM_TABLE:
		m->name = "table";
		rc = fuzz_view(m, rw, MAP_PRIVATE);
		if (rc)
			return rc;
		madvise(m->base, m->size, MADV_NOHUGEPAGE);
		fuzz_tables(m->base);
		return 0;
	case MEM_NONE:
		m->name = "none";
		m->base = fuzz_place(m->size);
		m->hole = 0;
		return m->base ? 0 : -errno;
	case MEM_SPARSE:
	case MEM_RDONLY_FD:
		m->name = kind == MEM_SPARSE ? "sparse" : "rdonly_fd";
		m->filled = 32 * FUZZ_PAGE;
		rc = fuzz_memfd(m, 0);
		if (!rc)
			rc = fuzz_fill_file(m, kind);
		if (!rc && kind == MEM_RDONLY_FD) {
			m->file_hole = m->filled;
			m->write_error = EACCES;
			rc = fuzz_reopen(m, O_RDONLY);
		}
		return rc;
	case MEM_SEALED:
		m->name = "sealed";
		m->filled = m->size;
		m->write_error = EPERM;
		rc = fuzz_memfd(m, 0);
		if (!rc)
			rc = fuzz_fill_file(m, kind);
		if (!rc && fcntl(m->fd, F_ADD_SEALS, F_SEAL_WRITE))
			rc = -errno;
		return rc;
	case MEM_PIPE:
		m->name = "pipe";
		m->file_error = EOPNOTSUPP;
		if (pipe2(pipes, O_CLOEXEC))
			return -errno;
		m->fd = pipes[0];
		return 0;
	default:
		m->name = "closed";
		m->file_error = EBADF;
		m->fd = 1 << 20;
		return 0;
	}
	if (rc)
		return rc;
	fuzz_fill(kind, m->base, m->size);
	m->filled = m->size;
	if (!m->writable && mprotect(m->base, m->size, PROT_READ))
		return -errno;
	if (m->hole != -1ULL)
		munmap(m->base + m->hole, m->hole_end - m->hole);
	return 0;
}

/* Whether this thread may lock more than RLIMIT_MEMLOCK. */
static inline int fuzz_may_lock(bool may)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	if (may)
		data[0].effective |= data[0].permitted & 1 << CAP_IPC_LOCK;
	else
		data[0].effective &= ~(1 << CAP_IPC_LOCK);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

static inline int fuzz_limit(__u64 bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	return setrlimit(RLIMIT_MEMLOCK, &limit) ? -errno : 0;
}

/* How to pass argsz and the structure. */
enum fuzz_size {
	SIZE_EXACT,
	SIZE_ZERO,
	SIZE_SHORT,	/* one 8 byte word is missing */
	SIZE_LONG,	/* more than the structure, with 0 */
	SIZE_DIRTY,	/* more than the structure, with a byte that is not 0 */
	SIZE_PAGE,	/* the maximum length */
	SIZE_BEYOND,	/* one byte more than the maximum */
	SIZE_ALL_ONES,
	SIZE_NOWHERE,	/* no structure */
	SIZE_CROSSING,	/* its end is missing */
	SIZE_READONLY,	/* it cannot be written to */
	SIZE_NR,
};

/* A pointer to no memory. */
#define FUZZ_NOWHERE 0x40

/*
 * Where a thread has its structures: two pages before one that cannot be read;
 * and the same pages, mapped read-only.
 */
#define FUZZ_AREA (2 * FUZZ_PAGE)

struct fuzz_area {
	char *rw;
	char *ro;
};

static inline int fuzz_area_make(struct fuzz_area *area)
{
	int fd = memfd_create("area", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, FUZZ_AREA))
		return -errno;
	area->rw = fuzz_place(FUZZ_AREA);
	area->ro = fuzz_place(FUZZ_AREA);
	if (!area->rw || !area->ro ||
	    mmap(area->rw, FUZZ_AREA, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    mmap(area->ro, FUZZ_AREA, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
		 0) == MAP_FAILED)
		return -errno;
	return close(fd);
}

static inline int fuzz_ioctl(int fd, unsigned long nr, void *arg)
{
	int rc = ioctl(fd, nr, arg);

	return rc < 0 ? -errno : rc;
}

/* Drop all that caches have of a table of user space. */
static inline int fuzz_flush(int fd, __u32 id, bool by_pasid)
{
	const struct ioasid_invalidate all = {
		.flags = IOASID_INVALIDATE_IOTLB | IOASID_INVALIDATE_DEVTLB |
			 (by_pasid ? IOASID_INVALIDATE_PASID_CACHE : 0),
	};
	struct ioasid_invalidate_cache arg = {
		.argsz = sizeof(arg),
		.ioasid = id,
		.nr = 1,
		.entries = (__u64)(unsigned long)&all,
	};

	return fuzz_ioctl(fd, IOASID_INVALIDATE_CACHE, &arg);
}

/* Issue a command with the structure @arg, passed as @how says. */
static inline int fuzz_issue(struct fuzz_area *area, int fd, unsigned long nr,
			     enum fuzz_size how, void *arg, size_t size)
{
	size_t whole = size;
	__u32 argsz = size;
	char *at;
	int rc;

	switch (how) {
	case SIZE_NOWHERE:
		return fuzz_ioctl(fd, nr, (void *)FUZZ_NOWHERE);
	case SIZE_ZERO:
		argsz = 0;
		break;
	case SIZE_SHORT:
		argsz = size - 8;
		break;
	case SIZE_LONG:
	case SIZE_DIRTY:
		whole += 16;
		argsz = whole;
		break;
	case SIZE_PAGE:
		whole = FUZZ_AREA;
		argsz = FUZZ_PAGE;
		break;
	case SIZE_BEYOND:
		whole = FUZZ_AREA;
		argsz = FUZZ_PAGE + 1;
		break;
	case SIZE_ALL_ONES:
		whole = FUZZ_AREA;
		argsz = ~0U;
		break;
	case SIZE_CROSSING:
		whole = size - 8;
		size = whole;
		break;
	default:
		break;
	}
	memcpy(arg, &argsz, sizeof(argsz));
	at = area->rw + FUZZ_AREA - whole;
	memset(at + size, 0, whole - size);
	if (how == SIZE_DIRTY)
		at[whole - 1] = 1;
	memcpy(at, arg, size);
	rc = fuzz_ioctl(fd, nr, how == SIZE_READONLY ?
			area->ro + FUZZ_AREA - whole : at);
	memcpy(arg, at, size);
	return rc;
}

/* Value in bytes of a line of /proc/self/status. */
static inline __u64 fuzz_status(const char *name)
{
	char text[4096], *at;
	ssize_t n;
	int fd;

	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, name);
	return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

#endif /* __SELFTESTS_IOASID_FUZZ_KIT_H */
