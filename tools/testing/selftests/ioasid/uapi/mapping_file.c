// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map files without an attached device: memfd, hugetlb, tmpfs.
 */
#include <linux/memfd.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#include "mapping.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/*
 * Files: memfds of small and of huge pages, and a file in a tmpfs.
 */
FIXTURE(file)
{
	int fd;
	int file;
	__u32 id;
	__u64 page;	/* of the file */
	__u64 size;
	char dir[32];
};

FIXTURE_VARIANT(file)
{
	bool huge;
	bool tmpfs;
};

FIXTURE_VARIANT_ADD(file, memfd) {};

FIXTURE_VARIANT_ADD(file, hugetlb)
{
	.huge = true,
};

FIXTURE_VARIANT_ADD(file, tmpfs)
{
	.tmpfs = true,
};

#define HUGE_PAGES 4

FIXTURE_SETUP(file)
{
	char path[64];
	long long free;

	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc_full(self->fd, &self->id, 0, PG));
	if (variant->tmpfs) {
		snprintf(self->dir, sizeof(self->dir), "/tmp/ioasid.XXXXXX");
		ASSERT_NE(NULL, mkdtemp(self->dir));
		if (mount("none", self->dir, "tmpfs", 0, "size=16m")) {
			rmdir(self->dir);
			SKIP(return, "cannot mount a tmpfs");
		}
		snprintf(path, sizeof(path), "%s/file", self->dir);
		self->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ASSERT_LE(0, self->file);
	} else {
		self->file = memfd_create("ioasid", MFD_CLOEXEC |
					  MFD_ALLOW_SEALING |
					  (variant->huge ? MFD_HUGETLB : 0));
		if (self->file < 0 && variant->huge)
			SKIP(return, "no hugetlbfs");
		ASSERT_LE(0, self->file);
	}
	self->page = PG;
	self->size = 16 * PG;
	if (variant->huge) {
		self->page = 1024 * ia_proc_field("/proc/meminfo",
						  "Hugepagesize");
		self->size = HUGE_PAGES * self->page;
		free = ia_proc_field("/proc/meminfo", "HugePages_Free") -
		       ia_proc_field("/proc/meminfo", "HugePages_Rsvd");
		if (free < HUGE_PAGES)
			SKIP(return, "too few huge pages");
	}
	ASSERT_EQ(0, ftruncate(self->file, self->size));
}

FIXTURE_TEARDOWN(file)
{
	char path[64];

	EXPECT_EQ(0, ia_free(self->fd, self->id));
	close(self->fd);
	close(self->file);
	if (variant->tmpfs) {
		snprintf(path, sizeof(path), "%s/file", self->dir);
		EXPECT_EQ(0, unlink(path));
		/* the file must have no other references */
		EXPECT_EQ(0, umount(self->dir));
		rmdir(self->dir);
	}
}

/* Open the file again, with other flags. */
static int reopen(int file, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return open(path, flags | O_CLOEXEC);
}

static __u64 blocks(int file)
{
	struct stat st;

	return fstat(file, &st) ? ~0ULL : st.st_blocks * 512ULL;
}

/* Whether a write seal can be set, which pinned pages prevent. */
static int seal_write(int file)
{
	return fcntl(file, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0;
}

TEST_F(file, map_unmap)
{
	__u64 iova = base, any = 0, unmapped;
	struct ia_state before, after;
	int i;

	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
					 self->file, 0, self->size));
		EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
		/* a part of it, from the middle of a large page */
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &any,
					 self->file, 3 * PG, 8 * PG));
		EXPECT_LE(SZ_4G, any);
		EXPECT_TRUE(counts(self->fd, self->id, 2,
				   self->size + 8 * PG));
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, any, 8 * PG,
				      &unmapped));
		EXPECT_EQ(8 * PG, unmapped);
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, self->size,
				      &unmapped));
		EXPECT_EQ(self->size, unmapped);
		ASSERT_EQ(0, ia_state_read(self->fd, &after));
		EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	}
	/* the mapping has the pages that the file had, all of them */
	EXPECT_EQ(self->size, blocks(self->file));
}

TEST_F(file, congruent)
{
	__u64 iova = 0;

	if (!variant->huge)
		SKIP(return, "pages are small");
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &iova, self->file,
				 0, self->page));
	EXPECT_EQ(0, iova % self->page);
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &iova, self->file,
				 5 * PG, 2 * self->page));
	EXPECT_EQ(5 * PG, iova % self->page);
}

/* Cut on any page; pages stay pinned until the last piece is gone. */
TEST_F(file, cut)
{
	__u64 iova = base, unmapped, at;
	unsigned int i;

	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	for (i = 1; i < 16; i += 2) {
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova + i * PG, PG,
				      &unmapped));
		ASSERT_EQ(PG, unmapped);
	}
	EXPECT_TRUE(counts(self->fd, self->id, variant->huge ? 9 : 8,
			   self->size - 8 * PG));
	/* another mapping is placed in one hole */
	at = iova + PG;
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &at,
				 self->file, 15 * PG, PG));
	if (!variant->tmpfs)
		EXPECT_EQ(-EBUSY, seal_write(self->file));
	/* all but one page */
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, 10 * PG, &unmapped));
	EXPECT_EQ(6 * PG, unmapped);
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova + 11 * PG,
			      self->size - 11 * PG, &unmapped));
	EXPECT_TRUE(counts(self->fd, self->id, 1, PG));
	if (!variant->tmpfs)
		EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova + 10 * PG, PG,
			      &unmapped));
	EXPECT_EQ(PG, unmapped);
	if (!variant->tmpfs)
		EXPECT_EQ(0, seal_write(self->file));
}

TEST_F(file, open_modes)
{
	int ro, wo, path;
	__u64 iova = base;

	ASSERT_EQ(0, fallocate(self->file, 0, 0, self->size));
	ro = reopen(self->file, O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       ro, 0, self->size));
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id,
				       IOASID_MAP_WRITE | IOASID_MAP_FIXED,
				       &iova, ro, 0, self->size));
	EXPECT_EQ(0, ia_map_file(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova, ro,
				 0, self->size));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	close(ro);

	wo = reopen(self->file, O_WRONLY);
	ASSERT_LE(0, wo);
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       wo, 0, self->size));
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id,
				       IOASID_MAP_WRITE | IOASID_MAP_FIXED,
				       &iova, wo, 0, self->size));
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id,
				       IOASID_MAP_READ | IOASID_MAP_FIXED,
				       &iova, wo, 0, self->size));
	close(wo);

	path = reopen(self->file, O_PATH);
	ASSERT_LE(0, path);
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id,
				      IOASID_MAP_READ | IOASID_MAP_FIXED,
				      &iova, path, 0, self->size));
	close(path);
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				      path, 0, self->size));
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				      -1, 0, self->size));
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				      INT_MAX, 0, self->size));
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

/* A process that may not write a file must not make it grow. */
TEST_F(file, holes)
{
	__u64 iova = base, fault_addr = 0;
	int ro;

	/* the second page is there, the others are holes */
	ASSERT_EQ(0, fallocate(self->file, 0, self->page, self->page));
	ASSERT_EQ(self->page, blocks(self->file));
	ro = reopen(self->file, O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IOASID_MAP_READ |
				       IOASID_MAP_FIXED | IOASID_MAP_FILE,
				       &iova, 0, self->size, 0, 0, ro,
				       &fault_addr));
	EXPECT_EQ(0, fault_addr);
	EXPECT_EQ(self->page, blocks(self->file));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IOASID_MAP_READ |
				       IOASID_MAP_FIXED | IOASID_MAP_FILE,
				       &iova, self->page, 2 * self->page, 0, 0,
				       ro, &fault_addr));
	EXPECT_EQ(2 * self->page, fault_addr);
	EXPECT_EQ(self->page, blocks(self->file));
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
	/* existing pages can be mapped */
	EXPECT_EQ(0, ia_map_file(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova, ro,
				 self->page, self->page));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(self->page, blocks(self->file));
	/* the failures left no page pinned */
	if (variant->tmpfs) {
		/* with permission to write, a map fills holes */
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED,
					 &iova, self->file, 0, self->size));
		EXPECT_EQ(self->size, blocks(self->file));
	} else {
		EXPECT_EQ(0, seal_write(self->file));
	}
	close(ro);
}

/*
 * fallocate() gives pages to a tmpfs file and leaves it to their first access
 * to clear them: a map has to clear them for devices. Until then, lseek() finds
 * no data.
 */
TEST_F(file, fallocated)
{
	__u64 iova = base;
	unsigned int i;
	char *p;

	ASSERT_EQ(0, fallocate(self->file, 0, 0, self->size));
	if (variant->huge || lseek(self->file, 0, SEEK_DATA) >= 0)
		SKIP(return, "pages are cleared at once");
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	EXPECT_EQ(0, lseek(self->file, 0, SEEK_DATA))
		TH_LOG("mapped pages with whatever was in them");
	EXPECT_EQ(self->size, lseek(self->file, 0, SEEK_HOLE));
	p = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < self->size; i++)
		ASSERT_EQ(0, p[i]);
	munmap(p, self->size);
}

/* A map does not use huge pages that others reserved. */
TEST_F(file, reservations)
{
	long long free, reserved, total;
	__u64 iova = base, size, i;
	struct ioasid_info info;
	int file, rc;
	char *p;

	if (!variant->huge)
		SKIP(return, "pages are small");
	total = ia_proc_field("/proc/meminfo", "HugePages_Total");
	free = ia_proc_field("/proc/meminfo", "HugePages_Free");
	reserved = ia_proc_field("/proc/meminfo", "HugePages_Rsvd");
	/* a hole: it has no reservation */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->page));
	EXPECT_EQ(free - 1, ia_proc_field("/proc/meminfo", "HugePages_Free"));
	EXPECT_EQ(reserved, ia_proc_field("/proc/meminfo", "HugePages_Rsvd"));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* another file reserves the rest, but does not touch it */
	free = ia_proc_field("/proc/meminfo", "HugePages_Free");
	reserved = ia_proc_field("/proc/meminfo", "HugePages_Rsvd");
	size = (free - reserved) * self->page;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	file = memfd_create("late", MFD_CLOEXEC | MFD_HUGETLB);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, self->page));
	rc = ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file, 0,
			 self->page);
	EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT)
		TH_LOG("%d", rc);
	EXPECT_EQ(free, ia_proc_field("/proc/meminfo", "HugePages_Free"));
	EXPECT_EQ(free, ia_proc_field("/proc/meminfo", "HugePages_Rsvd"));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(0, info.bytes_pinned);
	/* a SIGBUS ends the test */
	for (i = 0; i < size; i += self->page)
		p[i] = 1;
	munmap(p, size);
	close(file);
	EXPECT_EQ(total, ia_proc_field("/proc/meminfo", "HugePages_Total"));
	EXPECT_EQ(free, ia_proc_field("/proc/meminfo", "HugePages_Free"));
	EXPECT_EQ(reserved, ia_proc_field("/proc/meminfo", "HugePages_Rsvd"));
}

TEST_F(file, seals)
{
	static const int write_seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };
	__u64 iova = base;
	unsigned int i;
	int file;

	if (variant->tmpfs)
		SKIP(return, "cannot be sealed");
	for (i = 0; i < ARRAY_SIZE(write_seals); i++) {
		file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING |
				    (variant->huge ? MFD_HUGETLB : 0));
		ASSERT_LE(0, file);
		ASSERT_EQ(0, ftruncate(file, self->page));
		ASSERT_EQ(0, fallocate(file, 0, 0, self->page));
		ASSERT_EQ(0, fcntl(file, F_ADD_SEALS, write_seals[i]));
		EXPECT_EQ(-EPERM, ia_map_file(self->fd, self->id, IA_RW_FIXED,
					      &iova, file, 0, self->page));
		EXPECT_EQ(-EPERM, ia_map_file(self->fd, self->id,
					      IOASID_MAP_WRITE |
					      IOASID_MAP_FIXED, &iova, file, 0,
					      self->page));
		EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
		EXPECT_EQ(0, ia_map_file(self->fd, self->id,
					 IOASID_MAP_READ | IOASID_MAP_FIXED,
					 &iova, file, 0, self->page));
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
		close(file);
	}
	/* the other seals do not matter */
	ASSERT_EQ(0, fcntl(self->file, F_ADD_SEALS,
			   F_SEAL_SHRINK | F_SEAL_GROW));
	EXPECT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
}

/* A map must respect the seals of a file. */
TEST_F(file, pinned_is_not_sealed)
{
	__u64 iova = base;
	__u32 id;
	int fd;

	if (variant->tmpfs)
		SKIP(return, "cannot be sealed");
	/* unmap, free and close each release the pages */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, self->size, NULL));

	ASSERT_EQ(0, ia_alloc(self->fd, &id));
	ASSERT_EQ(0, ia_map_file(self->fd, id, IA_RW_FIXED, &iova, self->file,
				 0, self->page));
	EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_free(self->fd, id));

	fd = ia_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ia_alloc(fd, &id));
	ASSERT_EQ(0, ia_map_file(fd, id, IA_RW_FIXED, &iova, self->file, 0,
				 self->page));
	EXPECT_EQ(-EBUSY, seal_write(self->file));
	close(fd);
	EXPECT_EQ(0, seal_write(self->file));
}

/* The same for memory that is mapped by its address. */
TEST_F(file, by_address)
{
	__u64 iova = base, fault_addr = 0;
	int status;
	pid_t pid;
	char *p;
	int fd;

	p = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 self->file, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, self->size));
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
	ASSERT_EQ(0, munmap(p, self->size));
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
	if (!variant->tmpfs)
		EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* no page stays pinned if the last one is bad */
	p = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 self->file, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + self->size - self->page, self->page));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				       IA_PTR(p), self->size, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(IA_PTR(p + self->size - self->page), fault_addr);
	ASSERT_EQ(0, munmap(p, self->size - self->page));

	/*
	 * nor when the process that mapped is killed, and its file goes with it
	 */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		__u32 id;

		close(self->fd);
		fd = ia_open();
		p = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->file, 0);
		if (fd < 0 || p == MAP_FAILED || ia_alloc(fd, &id) ||
		    ia_map(fd, id, base, p, self->size))
			_exit(1);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (!variant->tmpfs)
		EXPECT_EQ(0, seal_write(self->file));
}

TEST_F(file, end_of_file)
{
	__u64 iova = base, fault_addr;
	struct ia_state before, after;

	ASSERT_EQ(0, ia_state_read(self->fd, &before));
#define BEYOND(want, offset, length)					\
do {									\
	fault_addr = 1;							\
	EXPECT_EQ(-EINVAL, ia_map_full(self->fd, self->id,		\
				       IA_RW_FIXED | IOASID_MAP_FILE,	\
				       &iova, offset, length, 0, 0,	\
				       self->file, &fault_addr));	\
	EXPECT_EQ(want, fault_addr);					\
} while (0)
	BEYOND(self->size, 0, self->size + PG);
	BEYOND(self->size, self->size - PG, 2 * PG);
	BEYOND(self->size, self->size, PG);
	BEYOND(self->size + SZ_1G, self->size + SZ_1G, PG);
#undef BEYOND
	/* no file has such offsets */
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, 1ULL << 63, PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, -PG, PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, -PG, 2 * PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, (1ULL << 63) - PG, PG));
	/* misaligned */
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, 1, PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, PG / 2, PG));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	if (!variant->tmpfs)
		EXPECT_EQ(0, seal_write(self->file));
}

/* Pinned pages stay when the file is truncated. */
TEST_F(file, truncated)
{
	__u64 iova = base, unmapped, other = 0;

	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	ASSERT_EQ(0, fallocate(self->file,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       self->page, self->page));
	ASSERT_EQ(0, ftruncate(self->file, self->page));
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW, &other,
				       self->file, self->page, self->page));
	/* of a file that grew again */
	ASSERT_EQ(0, ftruncate(self->file, 2 * self->page));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &other, self->file,
				 self->page, self->page));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, self->size,
			      &unmapped));
	EXPECT_EQ(self->size, unmapped);
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->page));
}

/* The mapping needs the file descriptor only during the map. */
TEST_F(file, closed)
{
	long long free = ia_proc_field("/proc/meminfo", "HugePages_Free");
	__u64 iova = base, unmapped;
	int file;

	if (variant->tmpfs)
		SKIP(return, "has a name");
	file = memfd_create("closed", MFD_CLOEXEC |
			    (variant->huge ? MFD_HUGETLB : 0));
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 2 * self->page));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file,
				 0, 2 * self->page));
	close(file);
	EXPECT_TRUE(counts(self->fd, self->id, 1, 2 * self->page));
	if (variant->huge) {
		EXPECT_EQ(free - 2, ia_proc_field("/proc/meminfo",
						  "HugePages_Free"));
	}
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, 2 * self->page,
			      &unmapped));
	EXPECT_EQ(2 * self->page, unmapped);
	if (variant->huge) {
		EXPECT_EQ(free, ia_proc_field("/proc/meminfo",
					      "HugePages_Free"));
	}
}

/* Huge pages in a tmpfs, mapped and cut at any of their pages. */
TEST_F(space, huge_tmpfs)
{
	char dir[] = "/tmp/ioasid.XXXXXX";
	const __u64 size = 2 * SZ_2M;
	__u64 iova = SZ_2M, unmapped, left;
	char path[64];
	int file, i;

	ASSERT_NE(NULL, mkdtemp(dir));
	if (mount("none", dir, "tmpfs", 0, "huge=always,size=16m")) {
		rmdir(dir);
		SKIP(return, "no huge pages in tmpfs");
	}
	snprintf(path, sizeof(path), "%s/file", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, size));
	/* the last page stays a hole, if the huge page allows */
	ASSERT_EQ(1, pwrite(file, "x", 1, 0));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
					 file, 0, size));
		EXPECT_TRUE(counts(self->fd, self->id, 1, size));
		ASSERT_EQ(0, ia_unmap_full(self->fd, self->id,
					   IOASID_UNMAP_SPLIT, iova + 3 * PG,
					   size / 2, &unmapped));
		EXPECT_EQ(size / 2, unmapped);
		EXPECT_TRUE(counts(self->fd, self->id, 2, size / 2));
		/* the file shrinks while the rest is pinned */
		if (i)
			ASSERT_EQ(0, ftruncate(file, 5 * PG));
		UNMAP(3, iova, 3);
		left = size - size / 2 - 3 * PG;
		UNMAP(left / PG, iova + size - left, left / PG);
		EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
	}
	ASSERT_EQ(0, ftruncate(file, size));
	/* starting and ending within a huge page */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file,
				 7 * PG, SZ_2M));
	EXPECT_TRUE(counts(self->fd, self->id, 1, SZ_2M));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	close(file);
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
}

/* Files of other types. */
TEST_F(space, other_files)
{
	static const char * const paths[] = {
		"/proc/self/status", "/dev/null", "/dev/zero", "/tmp", "/",
		"/sys/kernel/mm", IA_NODE,
	};
	char dir[] = "/tmp/ioasid.XXXXXX";
	__u64 iova = base;
	unsigned int i;
	char path[64];
	int file, p[2];

#define NOT_MAPPED(f)							\
	EXPECT_EQ(-EOPNOTSUPP, ia_map_file(self->fd, self->id,		\
					   IOASID_MAP_READ |		\
					   IOASID_MAP_FIXED, &iova, f,	\
					   0, PG))
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		file = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue;
		NOT_MAPPED(file)
			TH_LOG("%s", paths[i]);
		close(file);
	}
	ASSERT_EQ(0, pipe(p));
	NOT_MAPPED(p[0]);
	close(p[0]);
	close(p[1]);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	NOT_MAPPED(p[0]);
	close(p[0]);
	close(p[1]);
	NOT_MAPPED(self->fd);

	/* a regular file of another file system */
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount("none", dir, "ramfs", 0, NULL));
	snprintf(path, sizeof(path), "%s/file", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT_LE(0, file);
	EXPECT_EQ(0, ftruncate(file, PG));
	EXPECT_EQ(1, write(file, "x", 1));
	NOT_MAPPED(file);
	close(file);
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
#undef NOT_MAPPED
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

TEST_HARNESS_MAIN
