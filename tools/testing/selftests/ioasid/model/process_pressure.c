// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices work in the memory of a process that has less than it uses: pages are swapped
 * out and come back all the time, at the request of the CPU and of the devices.  What
 * was written is found again, and each request has its answer.
 *
 * The memory is limited by a cgroup, or by the machine: in a small VM the threads that
 * reclaim for all take pages from the devices, too.  Swap is compressed memory.
 *
 * It goes on for $IOASID_SECONDS.
 */
#include <pthread.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>

#include "ioasid_test.h"
#include "ioasid_util.h"
#include "family.h"
#include "faults.h"
#include "process.h"

#define PG page_size
#define CGROUP "/sys/fs/cgroup/ioasid-pressure"
#define ZRAM "/sys/block/zram0"
#define SWAP_BYTES "536870912"
#define DEVICES 2
#define CHUNK_PAGES 16
/* Bytes of each page: such pages are small when they are compressed */
#define USED 64
/* The seed of what is written to begin with */
#define FIRST ~0ULL

/* Memory of each thread, of which the cgroup has less than half */
#define CGROUP_BYTES (16UL << 20)
#define LIMIT "14M"

/* Machines with so little may be short of memory; how much they are */
#define SMALL_MACHINE (640UL << 20)
#define MORE (96UL << 20)
#define MIN_FREE "/proc/sys/vm/min_free_kbytes"

/**
 * struct worker - a thread with a device, and memory of its own
 * @dev: the device
 * @thread: the thread
 * @pasid: what the device uses there
 * @mem: the memory
 * @chunks: its length in chunks
 * @until: when it ends, in milliseconds
 * @seed: of random numbers
 * @has: the seed of what was last written to a chunk; 0: FIRST
 * @rounds: how often a chunk was written
 * @late: accesses of the device that did not wait for the answer
 * @wrong: what was wrong, or NULL
 */
struct worker {
	struct model_device *dev;
	pthread_t thread;
	__u32 pasid;
	char *mem;
	unsigned int chunks;
	__u64 until;
	unsigned int seed;
	__u64 *has;
	unsigned long rounds;
	unsigned long late;
	const char *wrong;
};

FIXTURE(pressure)
{
	struct model model;
	struct worker worker[DEVICES];
	struct model_device dev[DEVICES];
	int fd;
	__u32 id;
};

/* Swap to compressed memory; a reason why there is none */
static const char *begin_swap(void)
{
	/* In front: version 1, and the number of the last page */
	__u32 *page = ia_mem(PG);
	const char *lack = NULL;
	int dev;

	if (!page || system("modprobe -q zram") || access(ZRAM, F_OK))
		return "no zram";
	if (hw_write_file(ZRAM "/disksize", SWAP_BYTES))
		return "zram is in use";
	page[256] = 1;
	page[257] = strtoul(SWAP_BYTES, NULL, 0) / PG - 1;
	memcpy((char *)page + PG - 10, "SWAPSPACE2", 10);
	dev = open("/dev/zram0", O_RDWR | O_CLOEXEC);
	if (dev < 0 || write(dev, page, PG) != PG || fsync(dev) ||
	    swapon("/dev/zram0", 0))
		lack = "no swap";
	close(dev);
	munmap(page, PG);
	return lack;
}

static void end_swap(void)
{
	swapoff("/dev/zram0");
	hw_write_file(ZRAM "/reset", "1");
}

FIXTURE_SETUP(pressure)
{
	const char *lack;
	struct worker *w;
	int i, rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	if (ia_check(self->fd, IOASID_EXT_PROCESS) <= 0)
		SKIP(return, "no mirrors of processes");
	lack = begin_swap();
	if (lack)
		SKIP(return, "%s", lack);
	ASSERT_EQ(0, process_alloc(self->fd, &self->id));
	ASSERT_EQ(0, process_attach_two(&self->model, self->dev, self->id));
	for (i = 0; i < DEVICES; i++) {
		w = &self->worker[i];
		w->dev = &self->dev[i];
		w->pasid = 1 + i;
		w->seed = 1 + i;
	}
}

FIXTURE_TEARDOWN(pressure)
{
	int i;

	for (i = 0; i < DEVICES && self->dev[i].model; i++)
		PROCESS_REMOVE(&self->dev[i]);
	model_close(&self->model);
	end_swap();
}

/* 0; the reason why the device failed; or -errno, -EILSEQ: it has read something else */
static int device_does_once(struct worker *w, __u32 op, char *chunk, __u64 seed)
{
	struct ioasid_model_dma dma = {
		.op = op,
		.flags = IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_ATS |
			 IOASID_MODEL_DMA_PASID,
		.pasid = w->pasid,
		.address = IA_PTR(chunk),
		.length = USED,
		.stride = PG,
		.count = CHUNK_PAGES,
		.operand = seed,
	};
	struct ioasid_model_status status;
	int rc = model_dma(w->dev, &dma, &status);

	return rc ? rc : status.mismatches ? -EILSEQ : 0;
}

/*
 * An access of the device waits for two seconds, of which a busy machine has few; a
 * request that was refused is told from one that was late.
 */
static bool device_does(struct worker *w, __u32 op, char *chunk, __u64 seed)
{
	int rc;

	while ((rc = device_does_once(w, op, chunk, seed)) > 0) {
		if (fault_responses(w->dev, IOASID_MODEL_INVALID))
			break;
		w->late++;
	}
	return !rc;
}

static bool cpu_finds(char *chunk, __u64 seed)
{
	unsigned int i;

	for (i = 0; i < CHUNK_PAGES; i++, chunk += PG)
		if (!model_pattern_holds(chunk, seed, IA_PTR(chunk), USED))
			return false;
	return true;
}

static void cpu_writes(char *chunk, __u64 seed)
{
	unsigned int i;

	for (i = 0; i < CHUNK_PAGES; i++, chunk += PG)
		model_pattern(chunk, seed, IA_PTR(chunk), USED);
}

/* What was written last is there, as the CPU or the device sees it */
static bool has_kept(struct worker *w, char *chunk, __u64 seed)
{
	if (rand_r(&w->seed) % 2)
		return device_does(w, IOASID_MODEL_VERIFY, chunk, seed);
	return cpu_finds(chunk, seed);
}

static bool write_chunk(struct worker *w, char *chunk, __u64 seed)
{
	if (rand_r(&w->seed) % 2)
		return device_does(w, IOASID_MODEL_FILL, chunk, seed);
	cpu_writes(chunk, seed);
	return true;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int i;
	char *chunk;

	/* From here on there is too little */
	for (i = 0; i < w->chunks; i++)
		cpu_writes(w->mem + i * CHUNK_PAGES * PG, FIRST);
	w->until = ia_now_ms() + ia_seconds(5) * 1000;
	while (!w->wrong && ia_now_ms() < w->until) {
		i = rand_r(&w->seed) % w->chunks;
		chunk = w->mem + i * CHUNK_PAGES * PG;
		if (!has_kept(w, chunk, w->has[i] ?: FIRST))
			w->wrong = "something else is there";
		w->has[i] = ++w->rounds;
		if (!write_chunk(w, chunk, w->has[i]))
			w->wrong = "a write has failed";
	}
	return NULL;
}

/* Both threads work in @bytes of memory each, with less than that */
static void press(struct __test_metadata *_metadata,
		  struct _test_data_pressure *self, unsigned long bytes)
{
	long long out = ia_proc_field("/proc/vmstat", "pswpout");
	long long in = ia_proc_field("/proc/vmstat", "pswpin");
	struct worker *w;
	int i;

	for (i = 0; i < DEVICES; i++) {
		w = &self->worker[i];
		w->mem = process_memory(bytes);
		w->chunks = bytes / (CHUNK_PAGES * PG);
		w->has = calloc(w->chunks, sizeof(*w->has));
		ASSERT_TRUE(w->mem && w->has);
		ASSERT_EQ(0, pthread_create(&w->thread, NULL, work, w));
	}
	for (i = 0; i < DEVICES; i++) {
		w = &self->worker[i];
		ASSERT_EQ(0, pthread_join(w->thread, NULL));
		EXPECT_EQ(NULL, w->wrong) TH_LOG("%s", w->wrong);
		EXPECT_EQ(0, fault_responses(w->dev, IOASID_MODEL_INVALID));
		TH_LOG("device %d: %lu rounds, %llu pages requested, %lu late", i,
		       w->rounds, process_requests(w->dev), w->late);
		EXPECT_NO_HARM(w->dev);
		munmap(w->mem, bytes);
		free(w->has);
	}
	in = ia_proc_field("/proc/vmstat", "pswpin") - in;
	out = ia_proc_field("/proc/vmstat", "pswpout") - out;
	TH_LOG("%lld pages swapped out, %lld in", out, in);
	EXPECT_LT(0, out);
}

TEST_F_TIMEOUT(pressure, cgroup, 3600)
{
	if ((mkdir(CGROUP, 0755) && errno != EEXIST) ||
	    hw_write_file(CGROUP "/memory.max", LIMIT)) {
		rmdir(CGROUP);
		SKIP(return, "no memory cgroup");
	}
	ASSERT_EQ(0, hw_write_file(CGROUP "/cgroup.procs", "0"));
	press(_metadata, self, CGROUP_BYTES);
	ASSERT_EQ(0, hw_write_file("/sys/fs/cgroup/cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* All of the machine is short of memory */
TEST_F_TIMEOUT(pressure, machine, 3600)
{
	struct sysinfo info;
	unsigned long bytes;
	char min_free[32] = "";

	ASSERT_EQ(0, sysinfo(&info));
	if (info.totalram * info.mem_unit > SMALL_MACHINE)
		SKIP(return, "for a machine of %lu MiB", SMALL_MACHINE >> 20);
	/* Compressed memory needs some to begin with */
	ASSERT_LT(0, hw_read_file(MIN_FREE, min_free, sizeof(min_free)));
	ASSERT_EQ(0, hw_write_file(MIN_FREE, "16384"));
	bytes = ia_proc_field("/proc/meminfo", "MemAvailable") << 10;
	press(_metadata, self, (bytes + MORE) / DEVICES / PROCESS_WINDOW *
			       PROCESS_WINDOW);
	EXPECT_EQ(0, hw_write_file(MIN_FREE, min_free));
}

TEST_HARNESS_MAIN
