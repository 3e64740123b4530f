// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pin memory: in competition with other pins, from ZONE_MOVABLE, up to the
 * maximum number of pins, and of files that have holes, are poisoned or
 * append-only.
 *
 * The tests of ZONE_MOVABLE need a kernel that has one (movablecore=1G).
 */
#include <linux/fs.h>
#include <linux/memfd.h>
#include <sys/mount.h>
#include <sys/timerfd.h>

#include "ioasid_test.h"
#include "state.h"
#include "uffd.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef FS_APPEND_FL
#define FS_APPEND_FL 0x20
#endif

#define PG page_size
#define IOVA 0x100000000ULL
#define THREADS 4

/* ---- Competition ---- */

struct zone {
	__u64 start, end;
};

static struct zone movable(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	unsigned long long n, spanned = 0;
	struct zone zone = { 0, 0 };
	char line[256], name[32];
	bool in = false;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %*d, zone %31s", name) == 1)
			in = !strcmp(name, "Movable");
		else if (in && sscanf(line, " spanned %llu", &n) == 1)
			spanned = n;
		else if (in && spanned &&
			 sscanf(line, " start_pfn: %llu", &n) == 1)
			zone = (struct zone){ n, n + spanned };
	}
	if (f)
		fclose(f);
	return zone;
}

static unsigned long count_in(struct zone zone, char *mem, __u64 len)
{
	unsigned long n = 0;
	__u64 pfn, at;

	for (at = 0; at < len; at += PG) {
		pfn = ia_pfn(mem + at);
		n += pfn >= zone.start && pfn < zone.end;
	}
	return n;
}

enum source { BY_ADDRESS, BY_FILE };

struct job {
	pthread_t thread;
	pthread_barrier_t *start;
	enum source by;
	int fd;
	__u32 id;
	char *mem;
	int file;
	__u64 len;
	int result;
};

static void *do_job(void *arg)
{
	struct job *job = arg;
	__u64 iova = IOVA;

	pthread_barrier_wait(job->start);
	if (job->by == BY_FILE)
		job->result = ia_map_file(job->fd, job->id, IA_RW_FIXED, &iova,
					  job->file, 0, job->len);
	else
		job->result = ia_map(job->fd, job->id, iova, job->mem,
				     job->len);
	return NULL;
}

/* All at once; returns the first error. */
static int do_jobs(struct job *jobs, unsigned int nr)
{
	pthread_barrier_t start;
	unsigned int i, begun = 0;
	int rc = 0;

	pthread_barrier_init(&start, NULL, nr);
	for (i = 0; i < nr; i++) {
		jobs[i].start = &start;
		if (pthread_create(&jobs[i].thread, NULL, do_job, &jobs[i]))
			exit(99);
		begun++;
	}
	for (i = 0; i < begun; i++) {
		pthread_join(jobs[i].thread, NULL);
		if (jobs[i].result && !rc)
			rc = jobs[i].result;
	}
	pthread_barrier_destroy(&start);
	return rc;
}

FIXTURE(together)
{
	int fd;
	int file;
	__u64 len;
	__u64 unit;
	struct zone zone;
	struct job jobs[2 * THREADS];
};

FIXTURE_VARIANT(together)
{
	bool anon, thp, huge;
	bool by_file[2];	/* every other job */
};

/* clang-format off */
FIXTURE_VARIANT_ADD(together, anon) { .anon = true };
FIXTURE_VARIANT_ADD(together, thp) { .anon = true, .thp = true };
FIXTURE_VARIANT_ADD(together, shared) {};
FIXTURE_VARIANT_ADD(together, file) { .by_file = { true, true } };
FIXTURE_VARIANT_ADD(together, both) { .by_file = { true, false } };
FIXTURE_VARIANT_ADD(together, hugetlb) { .huge = true };
FIXTURE_VARIANT_ADD(together, hugetlb_file)
	{ .huge = true, .by_file = { true, true } };
FIXTURE_VARIANT_ADD(together, hugetlb_both)
	{ .huge = true, .by_file = { true, false } };
/* clang-format on */

FIXTURE_SETUP(together)
{
	unsigned int i;

	self->file = -1;
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->zone = movable();
	self->unit = variant->huge ? SZ_2M : PG;
	self->len = variant->huge ? 2 * SZ_2M : SZ_2M;
	if (variant->huge &&
	    (ia_proc_field("/proc/meminfo", "Hugepagesize") != 2048 ||
	     ia_proc_field("/proc/meminfo", "HugePages_Free") < 2))
		SKIP(return, "too few huge pages");
	for (i = 0; i < ARRAY_SIZE(self->jobs); i++) {
		self->jobs[i].by = variant->by_file[i % 2] ? BY_FILE :
							     BY_ADDRESS;
		self->jobs[i].fd = self->fd;
		self->jobs[i].len = self->len;
		ASSERT_EQ(0, ia_alloc(self->fd, &self->jobs[i].id));
	}
}

FIXTURE_TEARDOWN(together)
{
	close(self->fd);
}

static char *new_memory(struct job *jobs, unsigned int nr, bool anon, bool thp,
			bool huge, __u64 len)
{
	unsigned int i;
	int file = -1;
	char *mem;

	if (anon) {
		mem = ia_mem_aligned(len, SZ_2M);
		madvise(mem, len, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	} else {
		file = memfd_create("ioasid", huge ? MFD_HUGETLB : 0);
		if (file < 0 || ftruncate(file, len))
			return NULL;
		mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, file,
			   0);
		if (mem == MAP_FAILED)
			return NULL;
	}
	for (i = 0; i < nr; i++) {
		jobs[i].mem = mem;
		jobs[i].file = file;
	}
	return mem;
}

static void drop_memory(struct job *jobs)
{
	munmap(jobs->mem, jobs->len);
	if (jobs->file >= 0)
		close(jobs->file);
}

/* Existing memory that has to be migrated. */
TEST_F(together, pin)
{
	unsigned int round, rounds = ia_slow_kernel() ? 3 : 12, i;
	unsigned long seen = 0;
	char *mem;
	__u64 at;

	for (round = 0; round < rounds; round++) {
		mem = new_memory(self->jobs, ARRAY_SIZE(self->jobs),
				 variant->anon, variant->thp, variant->huge,
				 self->len);
		ASSERT_NE(NULL, mem);
		memset(mem, round + 1, self->len);
		seen += count_in(self->zone, mem, self->len);
		ASSERT_EQ(0, do_jobs(self->jobs, THREADS));
		ASSERT_EQ(0, count_in(self->zone, mem, self->len));
		for (at = 0; at < self->len; at += PG)
			ASSERT_EQ((char)(round + 1), mem[at]);
		for (i = 0; i < THREADS; i++)
			ASSERT_EQ(0, ia_unmap_all(self->fd, self->jobs[i].id,
						  NULL));
		drop_memory(self->jobs);
	}
	if (self->zone.end && !variant->huge)
		ASSERT_LT(0, seen);
}

/* A hole, which one thread fills while another pins filled pages. */
TEST_F(together, hole)
{
	unsigned int round, rounds = ia_slow_kernel() ? 5 : 25, i;
	long long free = ia_proc_field("/proc/meminfo", "HugePages_Free");
	char *mem;
	__u64 at;

	for (round = 0; round < rounds; round++) {
		mem = new_memory(self->jobs, ARRAY_SIZE(self->jobs),
				 variant->anon, variant->thp, variant->huge,
				 self->len);
		ASSERT_NE(NULL, mem);
		ASSERT_EQ(0, do_jobs(self->jobs, 2 * THREADS));
		ASSERT_EQ(0, count_in(self->zone, mem, self->len));
		for (at = 0; at < self->len; at += PG)
			ASSERT_EQ(0, mem[at]);
		for (i = 0; i < 2 * THREADS; i++)
			ASSERT_EQ(0, ia_unmap_all(self->fd, self->jobs[i].id,
						  NULL));
		drop_memory(self->jobs);
	}
	ASSERT_EQ(free, ia_proc_field("/proc/meminfo", "HugePages_Free"));
}

/* A pin that hangs in a page fault does not delay other pins. */
TEST_F(together, hangs)
{
	__u64 hang_at = self->len - self->unit;
	struct job hung = self->jobs[2 * THREADS - 1];
	pthread_barrier_t start;
	int uffd, round;
	__u64 iova;
	char *mem;

	if (variant->huge || variant->by_file[0])
		SKIP(return, "pins no page before it faults in the next");
	uffd = open_userfaultfd();
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	mem = new_memory(self->jobs, ARRAY_SIZE(self->jobs), variant->anon,
			 variant->thp, variant->huge, self->len);
	ASSERT_NE(NULL, mem);
	/* The last pages are missing; the others pin what is before */
	madvise(mem, self->len, MADV_NOHUGEPAGE);
	memset(mem, 1, hang_at - 8 * PG);
	ASSERT_EQ(0, hold_faults(uffd, mem, self->len));
	hung.mem = mem + hang_at - 10 * PG;
	hung.len = 3 * PG;
	pthread_barrier_init(&start, NULL, 1);
	hung.start = &start;
	ASSERT_EQ(0, pthread_create(&hung.thread, NULL, do_job, &hung));
	ASSERT_TRUE(fault_waits(uffd));

	for (round = 0; round < 4; round++) {
		unsigned int i;

		for (i = 0; i < THREADS; i++) {
			self->jobs[i].mem = mem;
			self->jobs[i].len = hang_at - 8 * PG;
		}
		ASSERT_EQ(0, do_jobs(self->jobs, THREADS));
		for (i = 0; i < THREADS; i++)
			ASSERT_EQ(0, ia_unmap_all(self->fd, self->jobs[i].id,
						  NULL));
	}
	iova = 2 * IOVA;
	ASSERT_EQ(0, ia_map(self->fd, self->jobs[0].id, iova, mem, PG));
	ASSERT_EQ(0, release_faults(uffd, mem, self->len));
	pthread_join(hung.thread, NULL);
	ASSERT_EQ(0, hung.result);
	close(uffd);
}

/* ---- Many pins ---- */

/*
 * A page is pinned once for each time that it is mapped; so a range of many
 * VMAs of the same page pins it many times with one command.
 */
#define WINDOW_PAGES 16384UL
/* More pins than this would overflow the count of a page */
#define MOST_PINS (INT_MAX / 1024UL)

FIXTURE(often)
{
	int fd;
	__u32 id;
	int file;
	char *mem;		/* of the file, once */
	char *window;		/* many times the same page */
	unsigned long hot;	/* its index in the file */
	long long tainted;
	__u64 iova;
};

#define FILE_PAGES 512UL

static long long kernel_tainted(void)
{
	long long value = -1;
	FILE *f = fopen("/proc/sys/kernel/tainted", "r");

	if (f && fscanf(f, "%lld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

FIXTURE_SETUP(often)
{
	unsigned long i;
	char *p;

	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	if (ia_slow_kernel())
		SKIP(return, "takes too long on a debug kernel");
	/* Or it pins 128 GiB */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_ONCE, 0));
	ASSERT_EQ(0, ia_alloc_full(self->fd, &self->id, 0, 0));
	self->tainted = kernel_tainted();
	self->iova = IOVA;
	self->file = memfd_create("ioasid", 0);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, FILE_PAGES * PG));
	self->mem = mmap(NULL, FILE_PAGES * PG, PROT_READ | PROT_WRITE,
			 MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	memset(self->mem, 1, FILE_PAGES * PG);
	/* A page that follows another one physically */
	self->hot = 1;
	for (i = 1; i < FILE_PAGES; i++)
		if (ia_pfn(self->mem + i * PG) ==
		    ia_pfn(self->mem + (i - 1) * PG) + 1)
			break;
	if (i < FILE_PAGES)
		self->hot = i;

	self->window = mmap(NULL, WINDOW_PAGES * PG, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->window);
	for (i = 0; i < WINDOW_PAGES; i++) {
		p = mmap(self->window + i * PG, PG, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, self->file, self->hot * PG);
		ASSERT_EQ(self->window + i * PG, p);
		*(volatile char *)p = 2;
	}
}

FIXTURE_TEARDOWN(often)
{
	close(self->fd);
}

/* Pin it until a pin is refused. */
static int exhaust(int fd, __u32 id, __u64 *iova, char *window,
		   unsigned long *pins)
{
	unsigned long step = WINDOW_PAGES;
	int rc = 0;

	while (step) {
		rc = ia_map(fd, id, *iova, window, step * PG);
		if (rc) {
			if (rc != -EOVERFLOW)
				return rc;
			step /= 2;
			continue;
		}
		*iova += step * PG;
		*pins += step;
		if (*pins > MOST_PINS)
			return 0;
	}
	return rc;
}

TEST_F(often, small)
{
	__u64 iova = IOVA / 2, fault = 0;
	unsigned long pins = 0;
	char *p;

	ASSERT_EQ(-EOVERFLOW, exhaust(self->fd, self->id, &self->iova,
				      self->window, &pins));
	/* The limit must be above a million pins */
	ASSERT_LT(1UL << 20, pins);

	/* By address: alone, after another, after its neighbour in a run */
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(self->window), PG, 0, 0, 0, &fault));
	ASSERT_EQ(IA_PTR(self->window), fault);
	p = self->mem + (self->hot - 1) * PG;
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(p), 2 * PG, 0, 0, 0, &fault));
	ASSERT_EQ(IA_PTR(p + PG), fault);
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(self->mem), FILE_PAGES * PG, 0, 0, 0,
			      &fault));
	ASSERT_EQ(IA_PTR(p + PG), fault);
	/* Of the file, too */
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id,
			      IA_RW_FIXED | IOASID_MAP_FILE, &iova,
			      self->hot * PG, PG, 0, 0, self->file, &fault));
	ASSERT_EQ(self->hot * PG, fault);
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id,
			      IOASID_MAP_READ | IOASID_MAP_FIXED |
				      IOASID_MAP_FILE,
			      &iova, 0, FILE_PAGES * PG, 0, 0, self->file,
			      &fault));
	ASSERT_EQ(self->hot * PG, fault);

	/* Other pages are not affected; and a refused map leaves no pin */
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova, p, PG));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, PG, NULL));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, IOVA, PG * WINDOW_PAGES,
			      NULL));
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova, self->mem,
			    FILE_PAGES * PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ASSERT_EQ(self->tainted, kernel_tainted());
}

struct often_job {
	int fd;
	__u32 id;
	__u64 iova;
	char *mem;
	unsigned long pages;
	int result;
};

static unsigned int often_done;

static void *often_run(void *arg)
{
	struct often_job *job = arg;

	job->result = ia_map(job->fd, job->id, job->iova, job->mem,
			     job->pages * PG);
	__atomic_add_fetch(&often_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* As many pages as are pinned together, and the last one hangs. */
#define OFTEN_PAGES 512
#define OFTEN_THREADS 1100

/* Threads that hang in a page fault pin no page meanwhile. */
TEST_F(often, hangs)
{
	static struct often_job jobs[OFTEN_THREADS];
	static pthread_t threads[OFTEN_THREADS];
	char *last = self->window + (OFTEN_PAGES - 1) * PG;
	struct pollfd p = { .events = POLLIN };
	unsigned int i, hung = 0;
	unsigned long pins = 0;
	struct uffd_msg msg;
	pthread_attr_t attr;
	int uffd;

	uffd = open_userfaultfd();
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, fcntl(uffd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(-EOVERFLOW, exhaust(self->fd, self->id, &self->iova,
				      self->window, &pins));
	ASSERT_EQ(last, mmap(last, PG, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, hold_faults(uffd, last, PG));

	often_done = 0;
	ASSERT_EQ(0, pthread_attr_init(&attr));
	ASSERT_EQ(0, pthread_attr_setstacksize(&attr, SZ_64K));
	for (i = 0; i < OFTEN_THREADS; i++) {
		jobs[i] = (struct often_job){
			.fd = self->fd,
			.id = self->id,
			.iova = self->iova + i * OFTEN_PAGES * PG,
			.mem = self->window,
			.pages = OFTEN_PAGES,
		};
		ASSERT_EQ(0, pthread_create(&threads[i], &attr, often_run,
					    &jobs[i]));
	}
	/* Each thread has returned, or hangs */
	p.fd = uffd;
	while (hung + __atomic_load_n(&often_done, __ATOMIC_SEQ_CST) <
	       OFTEN_THREADS)
		if (poll(&p, 1, 10) == 1 &&
		    read(uffd, &msg, sizeof(msg)) == sizeof(msg))
			hung++;
	EXPECT_EQ(0, hung);
	EXPECT_EQ(-EOVERFLOW, ia_map(self->fd, self->id, IOVA / 2,
				     self->window, PG));
	EXPECT_EQ(self->tainted, kernel_tainted());
	ASSERT_EQ(0, release_faults(uffd, last, PG));
	for (i = 0; i < OFTEN_THREADS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(-EOVERFLOW, jobs[i].result);
	}
	close(uffd);
	pthread_attr_destroy(&attr);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
}

/* A file of a single page is a small folio for sure. */
TEST_F(often, file)
{
	static struct ioasid_dma_op ops[4096];
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->id,
		.ops = IA_PTR(ops),
		.nr = ARRAY_SIZE(ops),
	};
	unsigned long pins = 0, i;
	__u64 iova = IOVA / 2;
	int rc;

	/* Most of it by address, as that is faster */
	while (pins < 1UL << 20) {
		ASSERT_EQ(0, ia_map(self->fd, self->id, self->iova,
				    self->window, WINDOW_PAGES * PG));
		self->iova += WINDOW_PAGES * PG;
		pins += WINDOW_PAGES;
	}
	do {
		for (i = 0; i < ARRAY_SIZE(ops); i++)
			ops[i] = (struct ioasid_dma_op){
				.op = IOASID_DMA_OP_MAP,
				.flags = IOASID_MAP_FIXED | IOASID_MAP_READ |
					 IOASID_MAP_FILE,
				.fd = self->file,
				.iova = self->iova + i * PG,
				.addr = self->hot * PG,
				.length = PG,
			};
		batch.done = 0;
		batch.error = 0;
		rc = ia_cmd(self->fd, IOASID_DMA_BATCH, &batch);
		pins += batch.done;
		self->iova += batch.done * PG;
		ASSERT_GE(MOST_PINS, pins);
	} while (!rc && batch.done == ARRAY_SIZE(ops));
	ASSERT_EQ(-EOVERFLOW, rc ? rc : batch.error);
	ASSERT_EQ(-EOVERFLOW, ia_map_file(self->fd, self->id,
					  IOASID_MAP_READ | IOASID_MAP_FIXED,
					  &iova, self->file, self->hot * PG, PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 self->file, self->hot * PG, PG));
	ASSERT_EQ(self->tainted, kernel_tainted());
}

/* ---- Files ---- */

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

/*
 * A large folio that is pinned cannot be split when a page of it is poisoned.
 * Of its other pages read() and page faults go on, and so do maps.
 */
TEST_F(files, poison_large)
{
	__u64 iova = IOVA, fault = 0;
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
