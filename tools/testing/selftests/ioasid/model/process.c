// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASIDs that mirror a process: devices reach its memory as it is, as it comes and
 * goes, and nothing else.
 */
#include <linux/kernel-page-flags.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ioasid_test.h"
#include "family.h"
#include "fault.h"
#include "faults.h"
#include "pasid.h"
#include "process.h"
#include "process_fixture.h"
#include "uffd.h"

#define PG page_size
#define PATIENCE_MS 20000

FIXTURE(process)
{
	struct model model;
	struct model_device dev;
	int fd;
	__u32 id;
	__u32 pasid;
	char *mem;
};

FIXTURE_VARIANT(process)
{
	__u32 pasid;
};

FIXTURE_VARIANT_ADD(process, rid) { .pasid = 0 };
FIXTURE_VARIANT_ADD(process, pasid) { .pasid = 5 };

#define WINDOW_PAGES (PROCESS_WINDOW / PG)

FIXTURE_SETUP(process)
{
	struct model_params params = PROCESS_PARAMS;
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	self->pasid = variant->pasid;
	if (ia_check(self->fd, IOASID_EXT_PROCESS) <= 0)
		SKIP(return, "no mirrors of processes");
	self->mem = process_memory(2 * PROCESS_WINDOW);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, &params, 0));
	ASSERT_EQ(0, process_alloc(self->fd, &self->id));
}

FIXTURE_TEARDOWN(process)
{
	if (self->dev.model) {
		EXPECT_EQ(0, model_counters(&self->dev).stale);
		PROCESS_REMOVE(&self->dev);
	}
	model_close(&self->model);
}

static char touch(const char *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Memory that was never touched, and memory that was */
TEST_F(process, mirrors)
{
	struct ioasid_info info;

	ATTACH();
	info = info_of(self->fd, self->id);
	EXPECT_EQ(IOASID_KIND_PROCESS, info.kind);
	EXPECT_EQ(IOASID_STATE_ATTACHED, info.state);
	EXPECT_EQ(0, info.bytes_mapped);
	WRITES(self->mem, 3);
	READS(self->mem + PROCESS_WINDOW - 2 * PG, 4);
	info = info_of(self->fd, self->id);
	EXPECT_EQ(7 * PG, info.bytes_mapped);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_charged);
	EXPECT_EQ(0, info.nr_mappings);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_EQ(0, info_of(self->fd, self->id).bytes_mapped);
	EXPECT_TRUE(model_pattern_holds(self->mem, SEED, IA_PTR(self->mem), 3 * PG));
	/* Once more, from nothing */
	ASSERT_EQ(0, process_attach(&self->dev, self->id, self->pasid));
	WRITES(self->mem, 1);
	EXPECT_EQ(0, ia_free(self->fd, self->id) + EBUSY);
}

/* One request is enough for all pages of a window that are there */
TEST_F(process, neighbours)
{
	__u64 requests;

	memset(self->mem, 1, 2 * PROCESS_WINDOW);
	ATTACH();
	requests = process_requests(&self->dev);
	WRITES(self->mem + PG, 1);
	EXPECT_EQ(requests + 1, process_requests(&self->dev));
	EXPECT_EQ(PROCESS_WINDOW, info_of(self->fd, self->id).bytes_mapped);
	WRITES(self->mem + PROCESS_WINDOW - PG, 1);
	READS(self->mem, 1);
	EXPECT_EQ(requests + 1, process_requests(&self->dev));
	WRITES(self->mem + PROCESS_WINDOW, 1);
	EXPECT_EQ(requests + 2, process_requests(&self->dev));
}

/* What the process gives up is gone; what it has next is another thing */
TEST_F(process, unmapped)
{
	char *p = self->mem;

	memset(p, 1, PROCESS_WINDOW);
	ATTACH();
	WRITES(p + 4 * PG, 2);
	ASSERT_EQ(0, munmap(p + 4 * PG, PG));
	REFUSED(FILL, p + 4 * PG);
	REFUSED(VERIFY, p + 4 * PG);
	/* The others are there still */
	WRITES(p + 3 * PG, 1);
	WRITES(p + 5 * PG, 1);
	ASSERT_EQ(p + 4 * PG, mmap(p + 4 * PG, PG, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(-EILSEQ, DMA(VERIFY, p + 4 * PG));
	WRITES(p + 4 * PG, 1);
	/* Emptied, and filled with zeroes by the next access */
	ASSERT_EQ(0, madvise(p, PROCESS_WINDOW, MADV_DONTNEED));
	EXPECT_EQ(-EILSEQ, DMA(VERIFY, p + 5 * PG));
	EXPECT_EQ(0, touch(p + 5 * PG));
	WRITES(p + 5 * PG, 1);
	/* Where there was nothing ever */
	REFUSED(FILL, (char *)PROCESS_WINDOW);
	EXPECT_EQ(MODEL_FAULT_WIDTH, DMA(VERIFY, (char *)(1UL << 62)));
	REFUSED(VERIFY, (char *)(1UL << 47) - PG);
}

TEST_F(process, moved)
{
	char *p = self->mem, *to = p + PROCESS_WINDOW + 8 * PG;

	ATTACH();
	WRITES(p, 4);
	ASSERT_EQ(to, mremap(p, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	REFUSED(VERIFY, p);
	EXPECT_TRUE(model_pattern_holds(to, SEED, IA_PTR(p), 4 * PG));
	WRITES(to, 4);
}

/* The permissions of the process are those of devices */
TEST_F(process, protected)
{
	char *p = self->mem;

	ATTACH();
	WRITES(p, 2);
	ASSERT_EQ(0, mprotect(p, PG, PROT_READ));
	REFUSED(FILL, p);
	EXPECT_EQ(0, DMA(VERIFY, p));
	WRITES(p + PG, 1);
	ASSERT_EQ(0, mprotect(p, PG, PROT_NONE));
	REFUSED(VERIFY, p);
	ASSERT_EQ(0, mprotect(p, PG, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, DMA(VERIFY, p));
	WRITES(p, 1);
}

/* Read first, then written: by the device, or by the process */
TEST_F(process, copy_on_write)
{
	char *p = self->mem;
	char *q = self->mem + PG;

	ATTACH();
	/* The page of zeroes */
	EXPECT_EQ(0, touch(p));
	EXPECT_EQ(-EILSEQ, DMA(VERIFY, self->mem));
	WRITES(self->mem, 1);
	EXPECT_EQ(-EILSEQ, DMA(VERIFY, q));
	model_pattern(q, SEED, IA_PTR(q), PG);
	EXPECT_EQ(0, DMA(VERIFY, q));
	WRITES(q, 1);
}

/* Memory of a file: the permission grows, and no notifier tells of that */
TEST_F(process, file)
{
	int fd = memfd_create("process", MFD_CLOEXEC);
	char *p, *q = self->mem, page[65536];
	int i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 8 * PG));
	p = mmap(q, 8 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_EQ(q, p);
	ATTACH();
	for (i = 0; i < 8; i++)
		EXPECT_EQ(-EILSEQ, DMA(VERIFY, p + i * PG));
	WRITES(p, 8);
	ASSERT_EQ(PG, pread(fd, page, PG, 3 * PG));
	EXPECT_TRUE(model_pattern_holds(page, SEED, IA_PTR(p) + 3 * PG, PG));
	/* By the file, past all mappings */
	memset(page, 0, PG);
	ASSERT_EQ(PG, pwrite(fd, page, PG, 3 * PG));
	EXPECT_EQ(-EILSEQ, DMA(VERIFY, p + 3 * PG));
	EXPECT_EQ(0, DMA(VERIFY, p + 4 * PG));
	ASSERT_EQ(0, ftruncate(fd, 3 * PG));
	REFUSED(VERIFY, p + 4 * PG);
	EXPECT_EQ(0, DMA(VERIFY, p + 2 * PG));
	close(fd);
}

/* Huge pages, made and broken up while devices use them */
TEST_F(process, huge)
{
	char *p = self->mem;
	__u64 requests;

	ASSERT_EQ(0, madvise(p, PROCESS_WINDOW, MADV_HUGEPAGE));
	memset(p, 1, PROCESS_WINDOW);
	ATTACH();
	WRITES(p, 4);
	requests = process_requests(&self->dev);
	WRITES(p + PROCESS_WINDOW - PG, 1);
	EXPECT_EQ(requests, process_requests(&self->dev));
	EXPECT_EQ(PROCESS_WINDOW, info_of(self->fd, self->id).bytes_mapped);
	/* Split for the process, and one piece of memory still */
	ASSERT_EQ(0, mprotect(p + 8 * PG, PG, PROT_READ));
	ASSERT_EQ(0, mprotect(p + 8 * PG, PG, PROT_READ | PROT_WRITE));
	WRITES(p + 4 * PG, 1);
	EXPECT_EQ(PROCESS_WINDOW, info_of(self->fd, self->id).bytes_mapped);
	/* Only a page of it */
	ASSERT_EQ(0, munmap(p + 8 * PG, PG));
	REFUSED(FILL, p + 8 * PG);
	EXPECT_TRUE(model_pattern_holds(p, SEED, IA_PTR(p), 5 * PG));
	WRITES(p + 7 * PG, 1);
	WRITES(p + 9 * PG, 1);
	READS(p, 16 - 9);
	ASSERT_EQ(0, mprotect(p, PG, PROT_READ));
	REFUSED(FILL, p);
	WRITES(p + PG, 1);
}

/* The parent's memory stays what devices reach, on both sides of copies */
TEST_F(process, fork)
{
	int status, to_child[2], to_parent[2];
	char *p = self->mem, c;
	pid_t child;

	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	ATTACH();
	WRITES(p, 4);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		/* Pages of its own from here on */
		memset(p, 7, 2 * PG);
		if (write(to_parent[1], "1", 1) != 1 || read(to_child[0], &c, 1) != 1)
			_exit(1);
		/* What the device has written since is not here */
		_exit(p[0] != 7 || model_pattern_holds(p + 2 * PG, SEED + 3,
						       IA_PTR(p) + 2 * PG, PG));
	}
	ASSERT_EQ(1, read(to_parent[0], &c, 1));
	EXPECT_EQ(0, DMA(VERIFY, p));
	EXPECT_EQ(0, DMA(VERIFY, p + 3 * PG));
	EXPECT_TRUE(process_writes(&self->dev, self->pasid, p, 4, SEED + 3));
	READS(p + PG, 1);
	ASSERT_EQ(1, write(to_child[1], "1", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(process_writes(&self->dev, self->pasid, p, 4, SEED));
	/* KSM, swap and the like work on the same notifier */
}

/* The process gets a permission back, of which no notifier tells */
TEST_F(process, permitted)
{
	int status, to_child[2];
	char *p = self->mem, c;
	pid_t child;

	ASSERT_EQ(0, pipe(to_child));
	ATTACH();
	WRITES(p, 2);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(read(to_child[0], &c, 1) != 1);
	/* To be copied when the process, or its device, writes */
	EXPECT_EQ(0, DMA(VERIFY, p));
	EXPECT_EQ(0, DMA(VERIFY, p + PG));
	ASSERT_EQ(1, write(to_child[1], "1", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	/* Nothing shares the page any longer: it is not copied */
	memset(p, 0, PG);
	WRITES(p, 2);
}

/* A page that never comes holds up no other one, and no detach */
TEST_F(process, waits)
{
	struct ioasid_model_status status;
	char *p = self->mem, *q = p + 8 * PG;
	int uffd = open_userfaultfd();

	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ATTACH();
	ASSERT_EQ(0, hold_faults(uffd, p, PG));
	ASSERT_EQ(0, fault_dma(&self->dev, 1, IOASID_MODEL_FILL, self->pasid,
			       IA_PTR(p), SEED));
	ASSERT_TRUE(fault_waits(uffd));
	WRITES(q, 2);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	ASSERT_EQ(0, fault_dma_ended(&self->dev, 1, &status));
	EXPECT_EQ(IOASID_MODEL_FAULTED, status.run);
	/* The thread that waits still does, and the IOASID can go */
	ASSERT_EQ(0, ia_free(self->fd, self->id));
	ASSERT_EQ(0, release_faults(uffd, p, PG));
	close(uffd);
	EXPECT_EQ(0, touch(p));
}

#define MAX_FAULT_WORKERS "/sys/module/ioasid/parameters/max_fault_workers"

/* Users that have no threads before */
#define CROWD_UID 1201
#define OTHER_UID 1202

/* Pages that never come hold up no other user, and their own even if no IOASID is left */
TEST_F(process, crowd)
{
	struct ioasid_model_status status;
	char *p = self->mem;
	int uffd = open_userfaultfd();
	__u32 next, others;
	unsigned int i;

	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, ia_drop_resource());
	ASSERT_EQ(0, hold_faults(uffd, p, 2 * PG));
	ASSERT_EQ(0, hw_write_file(MAX_FAULT_WORKERS, "2"));
	ASSERT_EQ(0, setreuid(CROWD_UID, -1));
	ATTACH();
	ASSERT_EQ(0, hw_write_file(MAX_FAULT_WORKERS, "256"));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, fault_dma(&self->dev, 1 + i, IOASID_MODEL_FILL, self->pasid,
				       IA_PTR(p) + i * PG, SEED));
		ASSERT_TRUE(fault_waits(uffd));
	}
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, fault_dma_ended(&self->dev, 1 + i, &status));
	ASSERT_EQ(0, ia_free(self->fd, self->id));

	ASSERT_EQ(0, process_alloc(self->fd, &next));
	ASSERT_EQ(0, process_attach(&self->dev, next, 7));
	ASSERT_EQ(0, fault_dma(&self->dev, 1, IOASID_MODEL_FILL, 7, IA_PTR(p + 4 * PG), SEED));
	ASSERT_EQ(0, setreuid(OTHER_UID, -1));
	ASSERT_EQ(0, process_alloc(self->fd, &others));
	ASSERT_EQ(0, process_attach(&self->dev, others, 8));
	EXPECT_EQ(0, process_dma(&self->dev, IOASID_MODEL_FILL, 8, p + 5 * PG, SEED));
	usleep(200 * 1000);
	ASSERT_EQ(0, model_status(&self->dev, 1, &status));
	EXPECT_EQ(IOASID_MODEL_RUNNING, status.run);

	ASSERT_EQ(0, release_faults(uffd, p, 2 * PG));
	ASSERT_EQ(0, fault_dma_ended(&self->dev, 1, &status));
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	EXPECT_TRUE(model_pattern_holds(p + 4 * PG, SEED, IA_PTR(p) + 4 * PG, 2 * PG));
	EXPECT_EQ(0, process_detach(&self->dev, 7));
	EXPECT_EQ(0, process_detach(&self->dev, 8));
	close(uffd);
}

/* Memory of devices is not memory of the process */
TEST_F(process, device_memory)
{
	char *p;

	ATTACH();
	p = model_map_memory(&self->dev);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 1;
	REFUSED(VERIFY, p);
	WRITES(self->mem, 1);
	munmap(p, IOASID_MODEL_MEMORY_SIZE);
}

static void run_child(int fd, int to_parent, int to_child)
{
	char *p = process_memory(PROCESS_WINDOW), c;
	struct {
		char *p;
		__u32 id;
	} tell = { .p = p };

	model_pattern(p, SEED, IA_PTR(p), 4 * PG);
	if (process_alloc(fd, &tell.id) ||
	    write(to_parent, &tell, sizeof(tell)) != sizeof(tell) ||
	    read(to_child, &c, 1) != 1)
		_exit(1);
	/* Any other program does: this one lists its tests, to no file */
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	if (c == 'x')
		execl("/proc/self/exe", "process", "-l", NULL);
	_exit(0);
}

/* The memory of another process, which ends */
static void look_at_child(struct __test_metadata *_metadata,
			  struct _test_data_process *self, char how)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;
	int status, to_child[2], to_parent[2];
	struct {
		char *p;
		__u32 id;
	} told;
	pid_t child;

	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		run_child(self->fd, to_parent[1], to_child[0]);
	ASSERT_EQ(sizeof(told), read(to_parent[0], &told, sizeof(told)));
	ASSERT_EQ(0, process_attach(&self->dev, told.id, self->pasid));
	EXPECT_EQ(0, DMA(VERIFY, told.p + PG));
	EXPECT_EQ(0, DMA(FILL, told.p));
	EXPECT_EQ(IOASID_STATE_ATTACHED, info_of(self->fd, told.id).state);
	ASSERT_EQ(1, write(to_child[1], &how, 1));
	while (!(info_of(self->fd, told.id).state & IOASID_STATE_MM_GONE) &&
	       ia_now_ms() < deadline)
		usleep(1000);
	EXPECT_EQ(IOASID_STATE_ATTACHED | IOASID_STATE_MM_GONE,
		  info_of(self->fd, told.id).state);
	REFUSED(VERIFY, told.p + PG);
	REFUSED(FILL, told.p);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, info_of(self->fd, told.id).bytes_mapped);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_EQ(0, ia_free(self->fd, told.id));
}

TEST_F(process, ends)
{
	look_at_child(_metadata, self, 'e');
	look_at_child(_metadata, self, 'x');
}

#define IDLE_WINDOWS 1000UL
/* Each costs a page, at least */
#define IDLE_KB ((long long)(IDLE_WINDOWS * PG / 1024))

static long long slab(void)
{
	return ia_proc_field("/proc/meminfo", "SUnreclaim");
}

/* What devices reach no longer is forgotten, though they request nothing */
TEST_F(process, idle)
{
	unsigned long length = IDLE_WINDOWS * PROCESS_WINDOW, i;
	char *p = ia_mem_aligned(length, PROCESS_WINDOW);
	__u64 deadline;
	long long most;

	if (ia_slow_kernel())
		SKIP(return, "KASAN keeps what was freed");
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, madvise(p, length, MADV_NOHUGEPAGE));
	ATTACH();
	for (i = 0; i < IDLE_WINDOWS; i++)
		ASSERT_EQ(0, DMA(FILL, p + i * PROCESS_WINDOW));
	EXPECT_EQ(IDLE_WINDOWS * PG, info_of(self->fd, self->id).bytes_mapped);
	most = slab() - IDLE_KB / 2;
	ASSERT_EQ(0, munmap(p, length));
	EXPECT_EQ(0, info_of(self->fd, self->id).bytes_mapped);
	deadline = ia_now_ms() + PATIENCE_MS;
	while (slab() > most && ia_now_ms() < deadline)
		usleep(1000);
	EXPECT_GE(most, slab());
	WRITES(self->mem, 1);
}

/* memfd_secret(): the process has it alone */
TEST_F(process, secret)
{
	int fd = syscall(SYS_memfd_secret, 0);
	char *p;

	if (fd < 0)
		SKIP(return, "no memfd_secret()");
	ASSERT_EQ(0, ftruncate(fd, 4 * PG));
	ASSERT_EQ(self->mem + PG, mmap(self->mem + PG, 2 * PG,
				       PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, fd, 0));
	close(fd);
	p = self->mem + PG;
	p[0] = 1;
	ATTACH();
	/* What is there, and what is not yet; but what is around it */
	REFUSED(VERIFY, p);
	REFUSED(FILL, p);
	REFUSED(FILL, p + PG);
	WRITES(self->mem, 1);
	WRITES(self->mem + 3 * PG, 1);
	REFUSED(FILL, p);
	EXPECT_EQ(2 * PG, info_of(self->fd, self->id).bytes_mapped);
	EXPECT_EQ(1, touch(p));
	EXPECT_EQ(0, touch(p + PG));
}

/* The device moves there and back while it works */
TEST_F(process, moves)
{
	char *p = self->mem;
	__u32 map;

	memset(p, 0, 16 * PG);
	ASSERT_EQ(0, ia_alloc(self->fd, &map));
	ASSERT_EQ(0, ia_map(self->fd, map, IA_PTR(p), p, 16 * PG));
	ASSERT_EQ(0, process_attach(&self->dev, map, self->pasid));
	WRITES(p, 2);
	ASSERT_EQ(0, process_attach(&self->dev, self->id, self->pasid));
	WRITES(p, 2);
	WRITES(p + PROCESS_WINDOW, 1);
	ASSERT_EQ(0, process_attach(&self->dev, map, self->pasid));
	EXPECT_NE(0, DMA(VERIFY, p + PROCESS_WINDOW));
	WRITES(p + PG, 2);
	ASSERT_EQ(0, process_attach(&self->dev, self->id, self->pasid));
	WRITES(p + PROCESS_WINDOW, 1);
	ASSERT_EQ(0, ia_free(self->fd, map));
	WRITES(p, 4);
}

/* Whether the kernel takes a page for dirty: it has to be written to its file */
static bool is_dirty(__u64 pfn)
{
	__u64 flags = 0;
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, &flags, sizeof(flags), pfn * sizeof(flags)) !=
			      sizeof(flags))
		flags = 0;
	close(fd);
	return flags & 1 << KPF_DIRTY;
}

static __u64 pfn_of(const char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry = 0;

	if (fd < 0 || pread(fd, &entry, sizeof(entry), IA_PTR(p) / PG *
			    sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry & ((1ULL << 55) - 1);
}

/* Only the device has written to a page, and the page table of the process says so not */
TEST_F(process, dirty)
{
	int fd = memfd_create("process", MFD_CLOEXEC), i;
	char *p, *q = self->mem;
	__u64 pfn[3];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 3 * PG));
	p = mmap(q, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_EQ(q, p);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, touch(p + i * PG));
		pfn[i] = pfn_of(p + i * PG);
		ASSERT_NE(0, pfn[i]);
		if (is_dirty(pfn[i]))
			SKIP(return, "pages of files are born dirty");
	}
	ATTACH();
	EXPECT_EQ(0, DMA(FILL, p));
	EXPECT_EQ(0, DMA(FILL, p + PG));
	ASSERT_EQ(0, munmap(p, PG));
	EXPECT_TRUE(is_dirty(pfn[0]));
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_TRUE(is_dirty(pfn[1]));
	munmap(p, 3 * PG);
	close(fd);
}

/* Two IOMMUs have the same */
TEST_F(process, two_units)
{
	struct model_params params = PROCESS_PARAMS;
	char *p = self->mem;
	struct model_device b;

	params.unit = 1;
	ASSERT_EQ(0, model_plug(&self->model, &b, &params, 0));
	memset(p, 1, 8 * PG);
	ATTACH();
	WRITES(p, 4);
	ASSERT_EQ(0, process_attach(&b, self->id, self->pasid));
	EXPECT_EQ(2, info_of(self->fd, self->id).nr_domains);
	EXPECT_TRUE(process_writes(&b, self->pasid, p + 2 * PG, 4, SEED + 2));
	READS(p, 8);
	EXPECT_TRUE(process_reads(&b, self->pasid, p, 8, SEED + 4));
	ASSERT_EQ(0, munmap(p + 4 * PG, PG));
	REFUSED(VERIFY, p + 4 * PG);
	EXPECT_EQ(MODEL_PAGE_REQUEST,
		  process_dma(&b, IOASID_MODEL_FILL, self->pasid, p + 4 * PG, SEED));
	EXPECT_TRUE(process_writes(&b, self->pasid, p, 2, SEED));
	model_release(&b);
	EXPECT_EQ(1, info_of(self->fd, self->id).nr_domains);
	WRITES(p, 4);
	EXPECT_EQ(0, model_counters(&b).stale);
	MODEL_REMOVE(&b);
}

/* An IOMMU fails to take a page out: the page stays, and the device is blocked */
TEST_F(process, poisoned)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;
	char *p = self->mem;
	__u32 state;

	memset(p, 1, 8 * PG);
	ATTACH();
	WRITES(p, 8);
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	ASSERT_EQ(0, munmap(p + PG, 2 * PG));
	/* It may reach them until it is blocked: no process gets them meanwhile */
	EXPECT_NO_HARM(&self->dev);
	do {
		state = info_of(self->fd, self->id).state;
	} while (!(state & IOASID_STATE_POISONED) && ia_now_ms() < deadline);
	EXPECT_EQ(IOASID_STATE_ATTACHED | IOASID_STATE_POISONED, state);
	while (DMA(VERIFY, p + 4 * PG) != MODEL_FAULT_BLOCKED &&
	       DMA(VERIFY, p + 4 * PG) != MODEL_FAULT_PASID)
		ASSERT_LT(ia_now_ms(), deadline);
	EXPECT_EQ(0, munmap(p + 4 * PG, PG));
	EXPECT_NO_HARM(&self->dev);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_EQ(0, info_of(self->fd, self->id).state);
	ATTACH();
	WRITES(p + 5 * PG, 3);
}

/* The kernel takes the memory of this process out of a domain, in vain, and closes its files */
static void exit_poisoned(void)
{
	struct model_params params = PROCESS_PARAMS;
	char *p = process_memory(PROCESS_WINDOW);
	struct model_device dev;
	struct model model;
	__u32 id;

	if (!p || model_open(&model, MODEL_IOASID) ||
	    model_plug(&model, &dev, &params, 0) || process_alloc(model.ctx, &id) ||
	    process_attach(&dev, id, 5) || !process_writes(&dev, 5, p, 8, SEED) ||
	    model_inject(&dev, MODEL_INJECT_UNMAP, 1, 0))
		_exit(1);
	_exit(0);
}

/* The context goes when groups are about to be blocked, as a domain has failed */
TEST_F(process, ends_poisoned)
{
	unsigned int i;
	int status;
	pid_t child;

	for (i = 0; i < 20; i++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child)
			exit_poisoned();
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
	}
}

/* ---- Little memory ---- */

#define CGROUP "/sys/fs/cgroup/ioasid-process"
#define SPARE (16UL << 20)
/* What can be reclaimed at a time: more than a few windows need */
#define CHUNK (64 * PG)
#define CHUNK_WINDOWS 8
#define NEW_WINDOWS 400

/* Let this process have as much memory as it has now, and @more bytes */
static int limit_memory(unsigned long more)
{
	char text[32] = {};

	if (hw_write_file(CGROUP "/cgroup.procs", "0"))
		return -errno;
	if (hw_read_file(CGROUP "/memory.current", text, sizeof(text)) < 0)
		return -errno;
	snprintf(text, sizeof(text), "%llu", strtoull(text, NULL, 10) + more);
	return hw_write_file(CGROUP "/memory.max", text);
}

static void end_limit(void)
{
	hw_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(CGROUP);
}

/*
 * All that can be reclaimed is mirrored: reclaim takes it out of the mirror, also when
 * it is the mirror that needs memory.
 */
TEST_F(process, reclaim)
{
	char *spare = process_memory(SPARE);
	unsigned long i;
	char *p;

	if (access("/sys/fs/cgroup/memory.stat", R_OK) ||
	    (mkdir(CGROUP, 0755) && errno != EEXIST))
		SKIP(return, "no memory cgroups");
	p = process_memory(NEW_WINDOWS * PROCESS_WINDOW);
	ASSERT_NE(NULL, p);
	ASSERT_NE(NULL, spare);
	ASSERT_EQ(0, hw_write_file(CGROUP "/memory.max", "max"));
	ASSERT_EQ(0, hw_write_file(CGROUP "/cgroup.procs", "0"));
	memset(spare, 1, SPARE);
	/* So that the mirror does not make it dirty */
	ASSERT_EQ(0, mprotect(spare, SPARE, PROT_READ));
	ATTACH();
	for (i = 0; i < SPARE; i += PROCESS_WINDOW)
		EXPECT_EQ(-EILSEQ, DMA(VERIFY, spare + i));
	EXPECT_EQ(SPARE, info_of(self->fd, self->id).bytes_mapped);
	ASSERT_EQ(0, limit_memory(SZ_1M));
	/* Each one needs tables of its own */
	for (i = 0; i < NEW_WINDOWS; i++) {
		if (i % CHUNK_WINDOWS == 0) {
			ASSERT_EQ(0, madvise(spare, CHUNK, MADV_FREE));
			EXPECT_EQ(-EILSEQ, DMA(VERIFY, spare));
			spare += CHUNK;
		}
		ASSERT_EQ(0, DMA(FILL, p + i * PROCESS_WINDOW)) TH_LOG("window %lu", i);
	}
	for (i = 0; i < NEW_WINDOWS; i++)
		EXPECT_TRUE(model_pattern_holds(p + i * PROCESS_WINDOW, SEED,
						IA_PTR(p) + i * PROCESS_WINDOW, PG));
	EXPECT_GT(SPARE, info_of(self->fd, self->id).bytes_mapped);
	end_limit();
}

/* An IOMMU fails to put a page in: the device tries in vain, and nothing is lost */
TEST_F(process, map_fails)
{
	char *p = self->mem;

	memset(p, 1, PROCESS_WINDOW);
	ATTACH();
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 1, 3));
	WRITES(p, 4);
	ASSERT_EQ(0, munmap(p, PG));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_SYNC, 1, 0));
	ASSERT_EQ(0, madvise(p + PG, 8 * PG, MADV_DONTNEED));
	DMA(FILL, p + PG);
	WRITES(p + PG, 8);
}

/* ... and then fails to take out what it has put in */
TEST_F(process, unwind_fails)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;
	char *p = self->mem;

	memset(p, 1, 16 * PG);
	ATTACH();
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 1, 1));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	DMA(FILL, p);
	/* The device may reach them until it is blocked: no process gets them meanwhile */
	ASSERT_EQ(0, munmap(p, 16 * PG));
	EXPECT_NO_HARM(&self->dev);
	while (DMA(VERIFY, p) != MODEL_FAULT_BLOCKED && DMA(VERIFY, p) != MODEL_FAULT_PASID)
		ASSERT_LT(ia_now_ms(), deadline);
	EXPECT_TRUE(info_of(self->fd, self->id).state & IOASID_STATE_POISONED);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_EQ(0, info_of(self->fd, self->id).state);
	ATTACH();
	WRITES(p + 16 * PG, 3);
}

/* Each allocation of an attach fails once */
TEST_F(process, attach_fails)
{
	int failed = 1, fail_nth, rc = 0;
	unsigned int nth;

	if (!set_knobs())
		SKIP(return, "no fault injection");
	ASSERT_EQ(0, model_bind(&self->dev));
	fail_nth = open(FAIL_NTH, O_RDWR);
	ASSERT_LE(0, fail_nth);
	for (nth = 1; failed && nth < MAX_FAILURES; nth++) {
		ASSERT_TRUE(arm(fail_nth, nth));
		rc = process_attach(&self->dev, self->id, self->pasid);
		failed = disarm(fail_nth);
		if (rc) {
			ASSERT_TRUE(rc == -ENOMEM || rc == -EFAULT);
			EXPECT_EQ(0, info_of(self->fd, self->id).nr_domains);
		} else {
			WRITES(self->mem, 1);
			ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
		}
	}
	EXPECT_EQ(0, rc);
	EXPECT_LT(5, nth);
	close(fail_nth);
	restore_knobs();
}

/* What this kind does not have */
TEST_F(process, refusals)
{
	struct model_params narrow = PROCESS_PARAMS, none = { .pasid_bits = 8 };
	struct fault_queue queue;
	struct model_device b;
	__u32 id, child;

	EXPECT_EQ(-EOPNOTSUPP, fault_alloc(self->fd, IOASID_ALLOC_DEMAND,
					   IOASID_KIND_PROCESS, 0, 0, NULL, &id));
	EXPECT_EQ(-EOPNOTSUPP, fault_alloc(self->fd, IOASID_ALLOC_DIRTY,
					   IOASID_KIND_PROCESS, 0, 0, NULL, &id));
	EXPECT_EQ(-EINVAL, fault_alloc(self->fd, 0, IOASID_KIND_PROCESS, 0, 1, NULL,
				       &id));
	EXPECT_EQ(-EINVAL, fault_alloc(self->fd, 0, IOASID_KIND_PROCESS, self->id, 0,
				       NULL, &id));
	ASSERT_EQ(0, fault_queue_open(self->fd, 16, &queue));
	EXPECT_EQ(-EOPNOTSUPP, fault_alloc(self->fd, 0, IOASID_KIND_PROCESS, 0, 0,
					   &queue, &id));
	close(queue.fd);
	EXPECT_EQ(-EOPNOTSUPP, ia_child(self->fd, self->id, 0, &child));
	EXPECT_EQ(-EOPNOTSUPP, ia_map(self->fd, self->id, 0, self->mem, PG));
	EXPECT_EQ(-EOPNOTSUPP, ia_unmap(self->fd, self->id, 0, PG, NULL));

	ASSERT_EQ(0, model_plug(&self->model, &b, &none, 0));
	EXPECT_EQ(-EMEDIUMTYPE, process_attach(&b, self->id, self->pasid));
	EXPECT_EQ(0, info_of(self->fd, self->id).nr_devices);
	MODEL_REMOVE(&b);
	narrow.aperture_last = (1ULL << 46) - 1;
	ASSERT_EQ(0, model_plug(&self->model, &b, &narrow, 0));
	EXPECT_EQ(-EMEDIUMTYPE, process_attach(&b, self->id, self->pasid));
	EXPECT_EQ(0, info_of(self->fd, self->id).nr_devices);
	MODEL_REMOVE(&b);
}

/* Addresses that the device cannot use */
TEST_F(process, reserved)
{
	struct model_params params = PROCESS_PARAMS;
	char *p = self->mem;
	struct model_device b;

	params.nr_resv = 1;
	params.resv[0] = (struct model_resv){
		.start = IA_PTR(p) + 4 * PG, .length = PG,
		.type = MODEL_RESV_RESERVED,
	};
	ASSERT_EQ(0, model_plug(&self->model, &b, &params, 0));
	ASSERT_EQ(0, process_attach(&b, self->id, self->pasid));
	EXPECT_EQ(MODEL_PAGE_REQUEST,
		  process_dma(&b, IOASID_MODEL_FILL, self->pasid, p, SEED));
	EXPECT_TRUE(process_writes(&b, self->pasid, p + PROCESS_WINDOW, 2, SEED));
	MODEL_REMOVE(&b);
}

TEST_HARNESS_MAIN
