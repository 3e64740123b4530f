// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pin memory of files that have holes, are poisoned, append-only or full, and of
 * which a pin is interrupted.
 */
#include <linux/fs.h>
#include <linux/memfd.h>
#include <sys/mount.h>

#include "ioasid_test.h"
#include "state.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef FS_APPEND_FL
#define FS_APPEND_FL 0x20
#endif

#define PG page_size
#define IOVA 0x100000000ULL

FIXTURE(files)
{
	int fd;
	__u32 id;
	int file;
	__u64 unit;
	__u64 len;
};

FIXTURE_VARIANT(files)
{
	bool huge;
};

FIXTURE_VARIANT_ADD(files, memfd) {};
FIXTURE_VARIANT_ADD(files, hugetlb) { .huge = true };

FIXTURE_SETUP(files)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	self->unit = PG;
	if (variant->huge) {
		self->unit = 1024 *
			     ia_proc_field("/proc/meminfo", "Hugepagesize");
		if (ia_proc_field("/proc/meminfo", "HugePages_Free") < 4)
			SKIP(return, "too few huge pages");
	}
	self->file = memfd_create("ioasid", variant->huge ? MFD_HUGETLB : 0);
	ASSERT_LE(0, self->file);
	self->len = 4 * self->unit;
	ASSERT_EQ(0, ftruncate(self->file, self->len));
}

FIXTURE_TEARDOWN(files)
{
	close(self->fd);
	close(self->file);
}

/* Offset and length wrap in no type. */
TEST_F(files, ends)
{
	static const struct {
		__u64 offset, length;
	} beyond[] = {
		{ 0, 1ULL << 63 },
		{ 0, -SZ_2M },
		{ SZ_2M, -SZ_2M },
		{ 2 * SZ_2M, -2 * SZ_2M },
		{ SZ_2M, -2 * SZ_2M },
		{ SZ_2M, (1ULL << 63) - SZ_2M },
		{ SZ_2M, 1ULL << 63 },
		{ (1ULL << 63) - SZ_2M, SZ_2M },
		{ (1ULL << 63) - 2 * SZ_2M, SZ_2M },
		{ (1ULL << 63) - SZ_2M, 2 * SZ_2M },
		{ 1ULL << 63, SZ_2M },
		{ -SZ_2M, SZ_2M },
		{ -2 * SZ_2M, SZ_2M },
		{ -3 * SZ_2M, 2 * SZ_2M },
	};
	struct ia_state before, after;
	__u64 iova, fault, end;
	unsigned int i;
	int rc;

	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_ONCE, 0));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (i = 0; i < ARRAY_SIZE(beyond); i++) {
		iova = 0;
		rc = ia_map_full(self->fd, self->id,
				 IA_RW_FIXED | IOASID_MAP_FILE, &iova,
				 beyond[i].offset, beyond[i].length, 0, 0,
				 self->file, &fault);
		/* A length whose charge alone is impossible */
		ASSERT_TRUE(rc == -EINVAL || rc == -EDQUOT)
			TH_LOG("%u: %d", i, rc);
		if (beyond[i].length <= 2 * SZ_2M)
			ASSERT_EQ(-EINVAL, rc);
		/* The file ends there, or before the range */
		end = beyond[i].offset > self->len ? beyond[i].offset :
						     self->len;
		if (rc == -EINVAL)
			ASSERT_EQ(end, fault)
				TH_LOG("%u", i);
	}
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	ASSERT_EQ(NULL, ia_state_diff(&before, &after));
	iova = IOVA;
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->len));
}

struct pest {
	pthread_t victim;
	volatile bool stop;
	volatile unsigned long sent;
};

static volatile unsigned long handled;

static void handle(int sig)
{
	handled++;
}

static void *pester(void *arg)
{
	struct pest *pest = arg;

	while (!pest->stop) {
		pthread_kill(pest->victim, SIGUSR1);
		pest->sent++;
	}
	return NULL;
}

/* A flood of signals does not keep a hole from being filled. */
TEST_F(files, signals)
{
	struct sigaction sa = { .sa_handler = handle, .sa_flags = SA_RESTART };
	struct pest pest = { .victim = pthread_self() };
	pthread_t thread;
	sigset_t old, now;
	__u64 iova = IOVA;
	char *mem;
	int i;

	/* The hole is at the end */
	mem = mmap(NULL, self->len, PROT_READ | PROT_WRITE, MAP_SHARED,
		   self->file, 0);
	ASSERT_NE(MAP_FAILED, mem);
	*(volatile char *)mem = 1;
	sigprocmask(SIG_SETMASK, NULL, &old);
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, pester, &pest));
	while (!handled)
		sched_yield();
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
					 self->file, 0, self->len));
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
		ASSERT_EQ(0, fallocate(self->file, FALLOC_FL_KEEP_SIZE |
				       FALLOC_FL_PUNCH_HOLE, self->unit,
				       self->len - self->unit));
	}
	/* They are handled after that, and later ones as before */
	handled = 0;
	while (!handled)
		sched_yield();
	pest.stop = true;
	pthread_join(thread, NULL);
	sigprocmask(SIG_SETMASK, NULL, &now);
	for (i = 1; i < SIGRTMAX; i++)
		ASSERT_EQ(sigismember(&old, i), sigismember(&now, i));
	munmap(mem, self->len);
}

/* A fatal signal ends it, although other signals are blocked. */
TEST_F(files, killed)
{
	struct sigaction sa = { .sa_handler = handle, .sa_flags = SA_RESTART };
	static const int fatal[] = { SIGKILL, SIGTERM, SIGQUIT };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fatal); i++) {
		int status;
		pid_t pid;

		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct pest pest = { .victim = pthread_self() };
			struct rlimit none = { 0, 0 };
			pthread_t thread;
			__u64 iova;

			setrlimit(RLIMIT_CORE, &none);
			sigaction(SIGUSR1, &sa, NULL);
			pthread_create(&thread, NULL, pester, &pest);
			for (;;) {
				iova = IOVA;
				if (ia_map_file(self->fd, self->id, IA_RW_FIXED,
						&iova, self->file, 0,
						self->len) ||
				    ia_unmap_all(self->fd, self->id, NULL) ||
				    fallocate(self->file, FALLOC_FL_KEEP_SIZE |
					      FALLOC_FL_PUNCH_HOLE, 0,
					      self->len))
					_exit(1);
			}
		}
		usleep(50000);
		ASSERT_EQ(0, kill(pid, fatal[i]));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(fatal[i], WTERMSIG(status));
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	}
}

/*
 * A map of poisoned memory fails; a page fault there gives SIGBUS, read() EIO.
 */
TEST_F(files, poison)
{
	__u64 iova = IOVA, fault = 0;
	char *mem, c;

	mem = mmap(NULL, self->len, PROT_READ | PROT_WRITE, MAP_SHARED,
		   self->file, 0);
	ASSERT_NE(MAP_FAILED, mem);
	memset(mem, 1, self->len);
	/* The signal goes to the process that has the page mapped */
	ASSERT_NE(SIG_ERR, signal(SIGBUS, handle));
	if (madvise(mem + 2 * self->unit, PG, MADV_HWPOISON))
		SKIP(return, "memory cannot be poisoned");
	ASSERT_EQ(-1, pread(self->file, &c, 1, 2 * self->unit));
	ASSERT_EQ(EIO, errno);

	ASSERT_EQ(-EHWPOISON,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED | IOASID_MAP_FILE,
			      &iova, 0, self->len, 0, 0, self->file, &fault));
	ASSERT_EQ(2 * self->unit, fault);
	ASSERT_EQ(-EHWPOISON,
		  ia_map_full(self->fd, self->id,
			      IOASID_MAP_READ | IOASID_MAP_FIXED |
				      IOASID_MAP_FILE,
			      &iova, 2 * self->unit, PG, 0, 0, self->file,
			      &fault));
	ASSERT_EQ(2 * self->unit, fault);
	ASSERT_EQ(-EHWPOISON,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(mem), self->len, 0, 0, 0, &fault));
	ASSERT_EQ(IA_PTR(mem + 2 * self->unit), fault);
	ASSERT_EQ(-EHWPOISON,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(mem + 2 * self->unit), PG, 0, 0, 0,
			      &fault));
	ASSERT_EQ(IA_PTR(mem + 2 * self->unit), fault);

	/* The pages around it are not affected */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, 2 * self->unit));
	iova += 2 * self->unit;
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 3 * self->unit, self->unit));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	munmap(mem, self->len);
}

#define SHMEM_THP "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

static bool set_shmem_thp(const char *value)
{
	int fd = open(SHMEM_THP, O_WRONLY);
	bool ok = fd >= 0 && write(fd, value, strlen(value)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

#define UNPOISON "/sys/kernel/debug/hwpoison/unpoison-pfn"

/*
 * When a large folio is freed that has a poisoned page, the kernel gives that page to
 * others: heal it, if that can be done.
 */
static void unpoison(__u64 pfn)
{
	FILE *f;

	if (access(UNPOISON, F_OK) && system("modprobe -q hwpoison-inject"))
		return;
	f = fopen(UNPOISON, "we");
	if (!f)
		return;
	fprintf(f, "%llu", pfn);
	fclose(f);
}

/*
 * A large folio that is pinned cannot be split when a page of it is poisoned.
 * Of its other pages read() and page faults go on, and so do maps.
 */
TEST_F(files, poison_large)
{
	__u64 iova = IOVA, fault = 0, poisoned;
	char *mem, c;

	if (variant->huge)
		SKIP(return, "a page of hugetlbfs is one");
	if (!set_shmem_thp("always"))
		SKIP(return, "no large folios");
	close(self->file);
	self->file = memfd_create("large", 0);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, SZ_2M));
	mem = mmap(NULL, 2 * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	ASSERT_NE(MAP_FAILED, mem);
	mem = (char *)((IA_PTR(mem) + SZ_2M - 1) & -SZ_2M);
	ASSERT_EQ(mem, mmap(mem, SZ_2M, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, self->file, 0));
	memset(mem, 1, SZ_2M);
	set_shmem_thp("never");
	if (ia_pfn(mem) % 512 || ia_pfn(mem + 64 * PG) != ia_pfn(mem) + 64)
		SKIP(return, "no large folio");

	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, PG));
	ASSERT_NE(SIG_ERR, signal(SIGBUS, handle));
	poisoned = ia_pfn(mem + 8 * PG);
	/* It fails, after it has marked the page */
	if (!madvise(mem + 8 * PG, PG, MADV_HWPOISON) || errno == EPERM ||
	    errno == EINVAL)
		SKIP(return, "memory cannot be poisoned");
	ASSERT_EQ(-1, pread(self->file, &c, 1, 8 * PG));
	ASSERT_EQ(EIO, errno);
	ASSERT_EQ(1, pread(self->file, &c, 1, 9 * PG));

	iova += SZ_2M;
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, 8 * PG));
	iova += SZ_2M;
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 9 * PG, SZ_2M - 9 * PG));
	iova += SZ_2M;
	ASSERT_EQ(-EHWPOISON,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED | IOASID_MAP_FILE,
			      &iova, 0, SZ_2M, 0, 0, self->file, &fault));
	ASSERT_EQ(8 * PG, fault);
	ASSERT_EQ(-EHWPOISON,
		  ia_map_full(self->fd, self->id,
			      IOASID_MAP_READ | IOASID_MAP_FIXED |
				      IOASID_MAP_FILE,
			      &iova, 8 * PG, PG, 0, 0, self->file, &fault));
	ASSERT_EQ(8 * PG, fault);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	munmap(mem, SZ_2M);
	close(self->file);
	self->file = -1;
	unpoison(poisoned);
}

static void compare(struct __test_metadata *_metadata, int fd, __u32 id,
		    int file, bool writable, int expected)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0);
	__u32 flags = IOASID_MAP_READ | (writable ? IOASID_MAP_WRITE : 0);
	void *p = mmap(NULL, PG, prot, MAP_SHARED, file, 0);
	__u64 iova = IOVA;

	ASSERT_EQ(expected, p == MAP_FAILED ? -errno : 0);
	if (p != MAP_FAILED)
		munmap(p, PG);
	ASSERT_EQ(expected, ia_map_file(fd, id, flags | IOASID_MAP_FIXED, &iova,
					file, 0, PG));
	if (!expected)
		ASSERT_EQ(0, ia_unmap_all(fd, id, NULL));
}

/* A map of an append-only file fails in the same cases as mmap(). */
TEST_F(files, append)
{
	char dir[] = "/tmp/ioasid.XXXXXX", path[64];
	int file, read_only, append, flags = FS_APPEND_FL;

	if (variant->huge)
		SKIP(return, "a hugetlbfs has no such flag");
	ASSERT_NE(NULL, mkdtemp(dir));
	if (mount("none", dir, "tmpfs", 0, "size=1m")) {
		rmdir(dir);
		SKIP(return, "cannot mount a tmpfs");
	}
	snprintf(path, sizeof(path), "%s/file", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	append = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_LE(0, read_only);
	ASSERT_LE(0, append);
	ASSERT_EQ(0, ftruncate(file, PG));
	ASSERT_EQ(1, write(file, "x", 1));

#define COMPARE(file, writable, expected) \
	compare(_metadata, self->fd, self->id, file, writable, expected)
	/* The flag of a file description affects write() alone */
	COMPARE(append, true, 0);
	COMPARE(append, false, 0);
	COMPARE(read_only, true, -EACCES);
	if (!ioctl(file, FS_IOC_SETFLAGS, &flags)) {
		COMPARE(file, true, -EACCES);
		COMPARE(file, false, -EACCES);
		COMPARE(append, true, -EACCES);
		COMPARE(append, false, -EACCES);
		COMPARE(read_only, true, -EACCES);
		COMPARE(read_only, false, 0);
		flags = FS_IMMUTABLE_FL;
		ASSERT_EQ(0, ioctl(file, FS_IOC_SETFLAGS, &flags));
		COMPARE(file, true, 0);
		COMPARE(read_only, false, 0);
		flags = 0;
		ASSERT_EQ(0, ioctl(file, FS_IOC_SETFLAGS, &flags));
		COMPARE(file, true, 0);
	}
	close(append);
	close(read_only);
	close(file);
	umount(dir);
	rmdir(dir);
}

/* A map of a file that has no room to grow tells which page is missing. */
TEST_F(files, full)
{
	char dir[] = "/tmp/ioasid.XXXXXX", path[64], *mem;
	__u64 iova = IOVA, by_file = 0, by_addr = 0;
	int file;

	if (variant->huge)
		SKIP(return, "a hugetlbfs fills holes in another way");
	ASSERT_NE(NULL, mkdtemp(dir));
	if (mount("none", dir, "tmpfs", 0, "size=1m,huge=never")) {
		rmdir(dir);
		SKIP(return, "cannot mount a tmpfs");
	}
	snprintf(path, sizeof(path), "%s/file", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, SZ_2M));
	mem = mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, mem);

	EXPECT_EQ(-EFAULT,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED | IOASID_MAP_FILE,
			      &iova, 0, SZ_2M, 0, 0, file, &by_file));
	EXPECT_EQ(-EFAULT,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(mem), SZ_2M, 0, 0, 0, &by_addr));
	EXPECT_EQ(IA_PTR(mem) + SZ_1M, by_addr);
	EXPECT_EQ(SZ_1M, by_file);
	/* All that is before it can be mapped */
	EXPECT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file,
				 0, SZ_1M));
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	munmap(mem, SZ_2M);
	close(file);
	umount(dir);
	rmdir(dir);
}

TEST_HARNESS_MAIN
