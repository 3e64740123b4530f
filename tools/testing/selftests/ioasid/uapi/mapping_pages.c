// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map memory of every type, and change the memory behind a mapping.
 */
#include <linux/memfd.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#include "mapping.h"

/*
 * Memory that cannot be pinned.
 */
TEST_F(space, bad_page)
{
	static const int lengths[] = { 1, 2, 8, 513, 3000 };
	__u64 iova = base, fault_addr;
	struct ia_state before, after;
	unsigned int l, k;
	int n, bad, how;
	const char *diff;
	char *p;

	for (l = 0; l < ARRAY_SIZE(lengths); l++) {
		n = lengths[l];
		int tries[] = { 0, 1, n / 2, n - 2, n - 1, 511, 512 };

		p = ia_mem((n + 1) * PG);
		ASSERT_NE(NULL, p);
		for (k = 0; k < ARRAY_SIZE(tries); k++) {
			bad = tries[k];
			if (bad < 0 || bad >= n)
				continue;
			for (how = 0; how < 2; how++) {
				if (how)
					munmap(p + bad * PG, PG);
				else
					mprotect(p + bad * PG, PG, PROT_NONE);
				ASSERT_EQ(0, ia_state_read(self->fd, &before));
				fault_addr = 0;
				EXPECT_EQ(-EFAULT,
					  ia_map_full(self->fd, self->id,
						      IA_RW_FIXED, &iova,
						      IA_PTR(p), n * PG, 0, 0,
						      0, &fault_addr));
				EXPECT_EQ(IA_PTR(p + bad * PG), fault_addr)
					TH_LOG("page %d of %d: %lld", bad, n,
					       (long long)(fault_addr -
							   IA_PTR(p)) /
					       (long long)PG);
				ASSERT_EQ(0, ia_state_read(self->fd, &after));
				diff = ia_state_diff(&before, &after);
				EXPECT_EQ(NULL, diff)
					TH_LOG("changed: %s", diff);
			}
			ASSERT_EQ(p + bad * PG,
				  mmap(p + bad * PG, PG, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				       -1, 0));
		}
		/* now it can be pinned */
		ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, n * PG));
		UNMAP(n, base, n);
		munmap(p, (n + 1) * PG);
	}
}

TEST_F(space, protection)
{
	__u64 iova = base, fault_addr = 0;
	char *p = ia_mem(4 * PG);

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, mprotect(p + 2 * PG, PG, PROT_READ));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				       IA_PTR(p), 4 * PG, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(IA_PTR(p + 2 * PG), fault_addr);
	fault_addr = 0;
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id,
				       IOASID_MAP_WRITE | IOASID_MAP_FIXED,
				       &iova, IA_PTR(p), 4 * PG, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(IA_PTR(p + 2 * PG), fault_addr);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
	EXPECT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(p), 4 * PG, 0, 0, 0, NULL));
	UNMAP(4, base, 4);

	/*
	 * memory that is execute-only or write-only: root can read it, or not
	 */
	ASSERT_EQ(0, mprotect(p, 4 * PG, PROT_NONE));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id,
				       IOASID_MAP_READ | IOASID_MAP_FIXED,
				       &iova, IA_PTR(p), PG, 0, 0, 0, NULL));
	munmap(p, 4 * PG);
}

TEST_F(space, special_memory)
{
	int fd;
	void *p;

	/* only the process can access secret memory */
	fd = syscall(__NR_memfd_secret, 0);
	if (fd >= 0) {
		__u64 iova = base;

		ASSERT_EQ(0, ftruncate(fd, PG));
		p = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, p);
		memset(p, 1, PG);
		EXPECT_EQ(-EFAULT, ia_map(self->fd, self->id, base, p, PG));
		EXPECT_EQ(-EOPNOTSUPP, ia_map_file(self->fd, self->id,
						   IA_RW_FIXED, &iova, fd, 0,
						   PG));
		munmap(p, PG);
		close(fd);
	}
	/* device memory without struct page: the first physical page */
	fd = open("/dev/mem", O_RDWR);
	if (fd >= 0) {
		p = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED) {
			EXPECT_EQ(-EFAULT, ia_map(self->fd, self->id, base, p,
						  PG));
			munmap(p, PG);
		}
		close(fd);
	}
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

/* Changes by the process of memory that is mapped. */

/* The parent keeps pinned pages; a child gets copies. */
TEST_F(space, fork_writable)
{
	int to_child[2], status, i;
	__u64 pfn[4];
	pid_t pid;
	char c;

	for (i = 0; i < 4; i++)
		self->mem[i * PG] = 'a';
	ASSERT_EQ(0, MAP_AT(base, 4));
	for (i = 0; i < 4; i++) {
		pfn[i] = ia_pfn(self->mem + i * PG);
		ASSERT_NE(0, pfn[i]);
	}
	ASSERT_EQ(0, pipe(to_child));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* the child writes first, then reads its own data */
		for (i = 0; i < 4; i++) {
			if (ia_pfn(self->mem + i * PG) == pfn[i])
				_exit(1);
			self->mem[i * PG] = 'b';
		}
		if (read(to_child[0], &c, 1) != 1)
			_exit(2);
		for (i = 0; i < 4; i++)
			if (self->mem[i * PG] != 'b')
				_exit(3);
		_exit(0);
	}
	for (i = 0; i < 4; i++) {
		self->mem[i * PG] = 'c';
		EXPECT_EQ(pfn[i], ia_pfn(self->mem + i * PG));
	}
	ASSERT_EQ(1, write(to_child[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ('c', self->mem[i * PG]);
		EXPECT_EQ(pfn[i], ia_pfn(self->mem + i * PG));
	}
	close(to_child[0]);
	close(to_child[1]);
}

/* The map breaks the sharing of a page that a child shared before. */
TEST_F(space, fork_before)
{
	int to_child[2], status, i, round;
	__u64 iova, pfn[4];
	pid_t pid;
	char c;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < 4; i++)
			self->mem[i * PG] = 'a';
		ASSERT_EQ(0, pipe(to_child));
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (read(to_child[0], &c, 1) != 1)
				_exit(2);
			for (i = 0; i < 4; i++)
				if (self->mem[i * PG] != 'a')
					_exit(3);
			_exit(0);
		}
		iova = base;
		ASSERT_EQ(0, ia_map_full(self->fd, self->id, IOASID_MAP_FIXED |
					 (round ? IOASID_MAP_READ : IA_RW),
					 &iova, IA_PTR(self->mem), 4 * PG, 0, 0,
					 0, NULL));
		for (i = 0; i < 4; i++) {
			pfn[i] = ia_pfn(self->mem + i * PG);
			ASSERT_NE(0, pfn[i]);
			self->mem[i * PG] = 'c';
			/* a device reads the data that the parent writes */
			EXPECT_EQ(pfn[i], ia_pfn(self->mem + i * PG));
		}
		ASSERT_EQ(1, write(to_child[1], "", 1));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		UNMAP(4, base, 4);
		close(to_child[0]);
		close(to_child[1]);
	}
}

/* Memory that was never written, mapped for reading: not the zero page. */
TEST_F(space, read_untouched)
{
	__u64 iova = base, pfn;
	int i;

	ASSERT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->mem), 4 * PG, 0, 0, 0, NULL));
	for (i = 0; i < 4; i++) {
		pfn = ia_pfn(self->mem + i * PG);
		ASSERT_NE(0, pfn);
		EXPECT_EQ(0, self->mem[i * PG]);
		self->mem[i * PG] = 'x';
		EXPECT_EQ(pfn, ia_pfn(self->mem + i * PG));
	}
}

/* A private mapping of a file: the copy is pinned, and stays pinned. */
TEST_F(space, private_file)
{
	__u64 iova, pfn[2];
	int file, i, round;
	char *p, c;

	for (round = 0; round < 2; round++) {
		file = memfd_create("private", MFD_CLOEXEC);
		ASSERT_LE(0, file);
		ASSERT_EQ(0, ftruncate(file, 2 * PG));
		ASSERT_EQ(1, pwrite(file, "f", 1, 0));
		p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			 file, 0);
		ASSERT_NE(MAP_FAILED, p);
		ASSERT_EQ('f', p[0]);
		iova = base;
		ASSERT_EQ(0, ia_map_full(self->fd, self->id, IOASID_MAP_FIXED |
					 (round ? IOASID_MAP_READ : IA_RW),
					 &iova, IA_PTR(p), 2 * PG, 0, 0, 0,
					 NULL));
		for (i = 0; i < 2; i++) {
			pfn[i] = ia_pfn(p + i * PG);
			ASSERT_NE(0, pfn[i]);
			p[i * PG] = 'p';
			EXPECT_EQ(pfn[i], ia_pfn(p + i * PG));
			ASSERT_EQ(1, pread(file, &c, 1, i * PG));
			EXPECT_EQ(i ? 0 : 'f', c);
		}
		UNMAP(2, base, 2);
		munmap(p, 2 * PG);
		close(file);
	}
}

TEST_F(space, memory_goes_away)
{
	char *p = ia_mem(8 * PG);
	int status;
	pid_t pid;
	__u32 id;

	ASSERT_NE(NULL, p);
	memset(p, 1, 8 * PG);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, 8 * PG));
	ASSERT_EQ(0, madvise(p, 4 * PG, MADV_DONTNEED));
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(1, p[4 * PG]);
	EXPECT_TRUE(counts(self->fd, self->id, 1, 8 * PG));
	ASSERT_EQ(0, munmap(p + 4 * PG, 4 * PG));
	EXPECT_TRUE(counts(self->fd, self->id, 1, 8 * PG));
	UNMAP(8, base, 8);

	/* remapped elsewhere */
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, 4 * PG));
	p = mremap(p, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED,
		   self->mem);
	ASSERT_EQ(self->mem, p);
	UNMAP(4, base, 4);

	/* a process maps, unmaps its memory, and exits */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		p = ia_mem(8 * PG);
		if (ia_alloc(self->fd, &id) ||
		    ia_map(self->fd, id, base, p, 8 * PG) ||
		    munmap(p, 8 * PG))
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* its mapping stays until it is unmapped */
	id = self->id + 1;
	EXPECT_TRUE(counts(self->fd, id, 1, 8 * PG));
	EXPECT_EQ(0, ia_free(self->fd, id));
}

TEST_F(space, huge_pages)
{
	char *p = ia_mem_aligned(2 * SZ_2M, SZ_2M);
	long long huge;
	__u64 unmapped, iova = SZ_2M;
	__u64 pfn;
	int status;
	pid_t pid;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, madvise(p, 2 * SZ_2M, MADV_HUGEPAGE));
	memset(p, 1, 2 * SZ_2M);
	huge = ia_proc_field("/proc/self/smaps_rollup", "AnonHugePages");
	if (huge < 4096)
		SKIP(return, "no transparent huge pages");

	/* the whole mapping, and a part that starts and ends within */
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, 2 * SZ_2M));
	EXPECT_TRUE(counts(self->fd, self->id, 1, 2 * SZ_2M));
	UNMAP(2 * SZ_2M / PG, base, 2 * SZ_2M / PG);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p + 3 * PG,
			    2 * SZ_2M - 7 * PG));
	EXPECT_TRUE(counts(self->fd, self->id, 1, 2 * SZ_2M - 7 * PG));
	UNMAP(2 * SZ_2M / PG - 7, base, 2 * SZ_2M / PG - 7);

	/* cut to pieces, out of order */
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(p), 2 * SZ_2M, SZ_64K, 0, 0, NULL));
	UNMAP(SZ_64K / PG, iova + SZ_1M, SZ_64K / PG);
	UNMAP(SZ_2M / PG, iova + SZ_1M + SZ_64K, SZ_2M / PG);
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   iova + PG, PG, &unmapped));
	EXPECT_EQ(PG, unmapped);
	EXPECT_TRUE(counts(self->fd, self->id, 3,
			   SZ_2M - SZ_64K - PG));
	UNMAP(1, iova, 1);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
	EXPECT_EQ(SZ_2M - SZ_64K - 2 * PG, unmapped);

	/* the process splits the pinned huge page */
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, SZ_2M));
	pfn = ia_pfn(p + SZ_1M);
	ASSERT_NE(0, pfn);
	ASSERT_EQ(0, madvise(p, SZ_64K, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(p + SZ_64K, PG, PROT_READ));
	EXPECT_EQ(pfn, ia_pfn(p + SZ_1M));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ia_pfn(p + SZ_1M) == pfn ? 1 : 0);
	p[SZ_1M] = 2;
	EXPECT_EQ(pfn, ia_pfn(p + SZ_1M));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	UNMAP(SZ_2M / PG, base, SZ_2M / PG);
	munmap(p, 2 * SZ_2M);
}

TEST_HARNESS_MAIN
