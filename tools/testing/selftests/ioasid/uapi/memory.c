// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pin memory: in competition with other pins, from ZONE_MOVABLE, and up to the
 * maximum number of pins.
 *
 * The tests of ZONE_MOVABLE need a kernel that has one (movablecore=1G).
 */
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "uffd.h"

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
	char *run;		/* the page before it, physically, and this one */
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
	__u64 pfn[FILE_PAGES];
	unsigned long i, before;
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
	/* A page, but the first, that follows another one physically */
	self->hot = 1;
	before = 0;
	for (i = 0; i < FILE_PAGES; i++)
		pfn[i] = ia_pfn(self->mem + i * PG);
	for (i = FILE_PAGES; i < FILE_PAGES * FILE_PAGES; i++) {
		if (pfn[i / FILE_PAGES] != pfn[i % FILE_PAGES] + 1)
			continue;
		self->hot = i / FILE_PAGES;
		before = i % FILE_PAGES;
		break;
	}
	self->run = mmap(NULL, 2 * PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_NE(MAP_FAILED, self->run);
	for (i = 0; i < 2; i++) {
		p = mmap(self->run + i * PG, PG, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, self->file,
			 (i ? self->hot : before) * PG);
		ASSERT_EQ(self->run + i * PG, p);
		*(volatile char *)p = 2;
	}

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

	ASSERT_EQ(-EOVERFLOW, exhaust(self->fd, self->id, &self->iova,
				      self->window, &pins));
	/* The limit must be above a million pins */
	ASSERT_LT(1UL << 20, pins);

	/* By address: alone, after another, after its neighbour in a run */
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(self->window), PG, 0, 0, 0, &fault));
	ASSERT_EQ(IA_PTR(self->window), fault);
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(self->run), 2 * PG, 0, 0, 0, &fault));
	ASSERT_EQ(IA_PTR(self->run + PG), fault);
	ASSERT_EQ(-EOVERFLOW,
		  ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
			      IA_PTR(self->mem), FILE_PAGES * PG, 0, 0, 0,
			      &fault));
	ASSERT_EQ(IA_PTR(self->mem + self->hot * PG), fault);
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
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova, self->run, PG));
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

TEST_HARNESS_MAIN
