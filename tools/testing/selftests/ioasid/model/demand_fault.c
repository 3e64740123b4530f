// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that are attached to a root whose memory is pinned on demand: what they
 * request is pinned, window by window, and stays until it is unmapped, or they go.
 */
#include <linux/memfd.h>
#include <sys/wait.h>

#include "ioasid_test.h"
#include "charge.h"
#include "dirty.h"
#include "family.h"
#include "fault.h"
#include "faults.h"
#include "pasid.h"
#include "process.h"
#include "process_fixture.h"
#include "uffd.h"

#define PG page_size
#define WINDOW PROCESS_WINDOW
#define WINDOW_PAGES (WINDOW / PG)
#define WINDOWS 8UL
#define LENGTH (WINDOWS * WINDOW)
#define CHILD_AT SZ_4G
/* What may stay pinned without a reference */
#define IDLE (2 * WINDOW)
#define PATIENCE_MS 60000

static int alloc_demand(int fd, __u32 flags, __u32 *id)
{
	return fault_alloc(fd, IOASID_ALLOC_DEMAND | flags, IOASID_KIND_MAP, 0, 0,
			   NULL, id);
}

FIXTURE(demand_fault)
{
	struct model model;
	struct model_device dev;
	int fd;
	__u32 id;
	__u32 pasid;
	char *mem;
};

FIXTURE_VARIANT(demand_fault)
{
	__u32 pasid;
};

FIXTURE_VARIANT_ADD(demand_fault, rid) { .pasid = 0 };
FIXTURE_VARIANT_ADD(demand_fault, pasid) { .pasid = 5 };

/* IOVAs are the addresses of the memory */
FIXTURE_SETUP(demand_fault)
{
	struct model_params params = PROCESS_PARAMS;
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	self->pasid = variant->pasid;
	ASSERT_EQ(1, ia_check(self->fd, IOASID_EXT_DEMAND_DEVICES));
	self->mem = process_memory(LENGTH);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, &params, 0));
	ASSERT_EQ(0, alloc_demand(self->fd, 0, &self->id));
	ASSERT_EQ(0, ia_map(self->fd, self->id, IA_PTR(self->mem), self->mem,
			    LENGTH));
}

FIXTURE_TEARDOWN(demand_fault)
{
	if (self->dev.model) {
		EXPECT_EQ(0, model_counters(&self->dev).stale);
		PROCESS_REMOVE(&self->dev);
	}
	model_close(&self->model);
}

static __u64 pinned(struct _test_data_demand_fault *self)
{
	return info_of(self->fd, self->id).bytes_pinned;
}

/* What is pinned, charged to this process; the rest is recorded */
#define PINS(bytes)							\
do {									\
	struct ioasid_info __info = info_of(self->fd, self->id);	\
	__u64 __bytes = (bytes);					\
									\
	EXPECT_EQ(__bytes, __info.bytes_pinned);			\
	EXPECT_EQ(__bytes, __info.bytes_mapped);			\
	EXPECT_EQ(__bytes, __info.bytes_charged);			\
	EXPECT_EQ(LENGTH - __bytes, __info.bytes_demand);		\
	EXPECT_EQ(__bytes >> 10, ia_status("VmPin"));			\
} while (0)

/* The charge goes a moment after the memory */
static bool pins_just(struct _test_data_demand_fault *self, __u64 bytes)
{
	return pinned(self) == bytes &&
	       ia_status("VmPin") == (long long)(bytes >> 10);
}

/* A worker gets round to unpin all but so much */
static bool pins_at_last(struct _test_data_demand_fault *self, __u64 bytes)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;

	while (!pins_just(self, bytes) && ia_now_ms() < deadline)
		usleep(1000);
	return pins_just(self, bytes);
}

/* The process does not pin anything any longer: a thread that it had hung has ended */
static bool ends_pinning(void)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;

	while (ia_status("VmPin") && ia_now_ms() < deadline)
		usleep(1000);
	return !ia_status("VmPin");
}

static char *window(struct _test_data_demand_fault *self, int nr)
{
	return self->mem + nr * WINDOW;
}

static int press(struct _test_data_demand_fault *self, __u64 bytes)
{
	return ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED, bytes, 0);
}

/* A touch pins one window, and maps all of it for the device */
TEST_F(demand_fault, touches)
{
	struct ioasid_query_entry entry[4] = {};
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->id,
		.nr = 4,
		.entries = IA_PTR(entry),
	};
	__u64 requests;

	ATTACH();
	PINS(0);
	EXPECT_EQ(IOASID_STATE_ATTACHED, info_of(self->fd, self->id).state);
	requests = process_requests(&self->dev);
	WRITES(window(self, 2) + PG, 1);
	PINS(WINDOW);
	EXPECT_EQ(requests + 1, process_requests(&self->dev));
	WRITES(window(self, 2) + WINDOW - PG, 1);
	READS(window(self, 2), 4);
	EXPECT_EQ(requests + 1, process_requests(&self->dev));
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_QUERY_MAP, &query));
	ASSERT_EQ(3, query.nr);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR | IOASID_QUERY_DEMAND, entry[0].flags);
	EXPECT_EQ(IA_PTR(window(self, 2)), entry[1].iova);
	EXPECT_EQ(WINDOW, entry[1].length);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR, entry[1].flags);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR | IOASID_QUERY_DEMAND, entry[2].flags);
	/* Across two windows */
	READS(window(self, 5) - 2 * PG, 4);
	EXPECT_EQ(requests + 3, process_requests(&self->dev));
	PINS(3 * WINDOW);
}

/* A read pins for writing, too: one request is enough */
TEST_F(demand_fault, read_first)
{
	__u64 requests;

	ATTACH();
	requests = process_requests(&self->dev);
	EXPECT_EQ(-EILSEQ, DMA(VERIFY, self->mem));
	WRITES(self->mem, 2);
	READS(self->mem, 2);
	EXPECT_EQ(requests + 1, process_requests(&self->dev));
}

/* Nothing is unpinned under a device; after the last detach what is idle is */
TEST_F(demand_fault, stays)
{
	struct ioasid_info info;
	int i;

	ATTACH();
	for (i = 0; i < 4; i++)
		WRITES(window(self, i), 2);
	/* A limit that is met takes nothing from the device */
	ASSERT_EQ(0, press(self, 4 * WINDOW));
	REFUSED(FILL, window(self, 4));
	PINS(4 * WINDOW);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, DMA(VERIFY, window(self, i)));
		EXPECT_EQ(0, DMA(FILL, window(self, i) + WINDOW - PG));
	}
	EXPECT_NO_HARM(&self->dev);
	ASSERT_EQ(0, press(self, UINT64_MAX));
	WRITES(window(self, 4), 1);
	PINS(5 * WINDOW);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_TRUE(pins_at_last(self, IDLE));
	PINS(IDLE);
	/* The next one has at once what is pinned, and the rest when it asks */
	ATTACH();
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0, DMA(FILL, window(self, i)));
	PINS(5 * WINDOW);
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, IA_PTR(self->mem), LENGTH, NULL));
	info = info_of(self->fd, self->id);
	EXPECT_EQ(0, info.bytes_pinned + info.bytes_demand + info.nr_mappings);
	EXPECT_EQ(0, ia_status("VmPin"));
	REFUSED(FILL, self->mem);
}

/* Windows that are used one after the other, so far apart that each costs 600 bytes */
#define PASSED 8000ULL
#define APART (64 * WINDOW)
#define MOST_KB ((long long)PASSED * 600 / 1024 / 2)

/* What of the kernel's memory grows with windows; some is freed a moment later */
static bool slab_grows(long long before)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS / 4;

	while (ia_proc_field("/proc/meminfo", "Slab") > before + MOST_KB &&
	       ia_now_ms() < deadline)
		usleep(1000);
	return ia_proc_field("/proc/meminfo", "Slab") > before + MOST_KB;
}

/* What is used no longer leaves nothing behind, though a device is attached */
TEST_F(demand_fault, windows)
{
	__u64 at = IA_PTR(self->mem) + SZ_1G, i;
	long long before;
	__u32 child;

	if (ia_slow_kernel())
		SKIP(return, "KASAN keeps what was freed");
	ASSERT_EQ(0, ia_child(self->fd, self->id, 0, &child));
	ATTACH();
	before = ia_proc_field("/proc/meminfo", "Slab");
	/* Where nothing is mapped */
	for (i = 0; i < PASSED; i++)
		ASSERT_EQ(-ENXIO, ia_map_ref(self->fd, child, CHILD_AT,
					     at + i * APART, PG, IA_RW));
	EXPECT_FALSE(slab_grows(before));
	/* What is requested, and unmapped */
	for (i = 0; i < PASSED; i++) {
		ASSERT_EQ(0, ia_map(self->fd, self->id, at + i * APART,
				    self->mem, PG));
		ASSERT_EQ(0, DMA(FILL, (char *)at + i * APART));
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, at + i * APART, PG,
				      NULL));
	}
	EXPECT_FALSE(slab_grows(before));
	/* What a child refers to, and unmaps after its parent has */
	for (i = 0; i < PASSED; i++) {
		ASSERT_EQ(0, ia_map(self->fd, self->id, at + i * APART,
				    self->mem, PG));
		ASSERT_EQ(0, ia_map_ref(self->fd, child, CHILD_AT,
					at + i * APART, PG, IA_RW));
		ASSERT_EQ(0, ia_unmap_cascade(self->fd, self->id,
					      at + i * APART, PG));
	}
	EXPECT_FALSE(slab_grows(before));
	EXPECT_EQ(0, pinned(self));
}

/* What is not mapped, and what is mapped read-only */
TEST_F(demand_fault, refuses)
{
	__u64 iova = IA_PTR(self->mem) + LENGTH;
	char *p = (char *)iova;

	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IOASID_MAP_READ |
				 IOASID_MAP_FIXED, &iova, IA_PTR(self->mem),
				 4 * PG, 0, 0, 0, NULL));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, iova + 8 * PG, PG));
	ATTACH();
	REFUSED(FILL, self->mem - PG);
	REFUSED(FILL, p + 4 * PG);
	REFUSED(VERIFY, p + 4 * PG);
	REFUSED(VERIFY, p + 8 * PG);
	REFUSED(FILL, p);
	EXPECT_EQ(0, pinned(self));
	EXPECT_EQ(-EILSEQ, DMA(VERIFY, p));
	EXPECT_EQ(4 * PG, pinned(self));
	REFUSED(FILL, p);
	WRITES(self->mem, 1);
	/* Part of a window has no memory: a page of the rest is enough */
	ASSERT_EQ(0, munmap(window(self, 3) + 4 * PG, PG));
	REFUSED(FILL, window(self, 3) + 4 * PG);
	EXPECT_EQ(WINDOW + 4 * PG, pinned(self));
	WRITES(window(self, 3) + 5 * PG, 1);
	EXPECT_EQ(WINDOW + 5 * PG, pinned(self));
}

/* ---- Other processes ---- */

struct told {
	char *p;
	__u32 id;
};

/* Maps memory of its own, and memory of a file behind it */
static void be_mapper(int fd, int file, unsigned long limit, int tell, int wait)
{
	struct told told = { .p = process_memory(4 * WINDOW) };
	__u64 at = IA_PTR(told.p) + 4 * WINDOW;
	char c;

	if (limit && may_lock(limit))
		_exit(1);
	if (alloc_demand(fd, 0, &told.id) ||
	    ia_map(fd, told.id, IA_PTR(told.p), told.p, 4 * WINDOW) ||
	    ia_map_file(fd, told.id, IA_RW_FIXED, &at, file, 0, 4 * WINDOW) ||
	    write(tell, &told, sizeof(told)) != sizeof(told))
		_exit(1);
	/* It says what it is charged for, until it is to end */
	while (read(wait, &c, 1) == 1) {
		long long kib = ia_status("VmPin");

		if (write(tell, &kib, sizeof(kib)) != sizeof(kib))
			_exit(1);
	}
	_exit(0);
}

struct mapper {
	struct told told;
	pid_t pid;
	int file;
	int tell[2];
	int wait[2];
};

static bool begin_mapper(struct mapper *mapper, int fd, unsigned long limit)
{
	mapper->file = memfd_create("demand_fault", MFD_CLOEXEC);
	if (mapper->file < 0 || ftruncate(mapper->file, 4 * WINDOW) ||
	    pipe(mapper->tell) || pipe(mapper->wait))
		return false;
	mapper->pid = fork();
	if (!mapper->pid) {
		close(mapper->wait[1]);
		be_mapper(fd, mapper->file, limit, mapper->tell[1],
			  mapper->wait[0]);
	}
	close(mapper->tell[1]);
	close(mapper->wait[0]);
	return mapper->pid > 0 && read(mapper->tell[0], &mapper->told,
				       sizeof(mapper->told)) == sizeof(mapper->told);
}

/* Bytes that it is charged for */
static long long mapper_pins(struct mapper *mapper)
{
	long long kib;

	if (write(mapper->wait[1], "1", 1) != 1 ||
	    read(mapper->tell[0], &kib, sizeof(kib)) != sizeof(kib))
		return -1;
	return kib << 10;
}

static bool end_mapper(struct mapper *mapper)
{
	close(mapper->wait[1]);
	close(mapper->tell[0]);
	return exited_well(mapper->pid);
}

/* The process that has mapped it is charged, within its limit */
TEST_F(demand_fault, limit)
{
	struct mapper mapper;
	char *p;

	ASSERT_TRUE(begin_mapper(&mapper, self->fd, WINDOW_PAGES + 2));
	p = mapper.told.p;
	ASSERT_EQ(0, process_attach(&self->dev, mapper.told.id, self->pasid));
	EXPECT_EQ(0, DMA(FILL, p));
	EXPECT_EQ(WINDOW, mapper_pins(&mapper));
	EXPECT_EQ(0, ia_status("VmPin"));
	/* Not another window, but a page, of memory or of a file */
	EXPECT_EQ(0, DMA(FILL, p + WINDOW));
	EXPECT_EQ(0, DMA(FILL, p + 5 * WINDOW));
	EXPECT_EQ(WINDOW + 2 * PG, mapper_pins(&mapper));
	REFUSED(FILL, p + WINDOW + PG);
	REFUSED(FILL, p + 5 * WINDOW + PG);
	EXPECT_EQ(WINDOW + 2 * PG, mapper_pins(&mapper));
	EXPECT_EQ(WINDOW + 2 * PG,
		  info_of(self->fd, mapper.told.id).bytes_pinned);
	EXPECT_EQ(0, DMA(FILL, p + PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, mapper.told.id, NULL));
	EXPECT_EQ(0, mapper_pins(&mapper));
	EXPECT_TRUE(end_mapper(&mapper));
	close(mapper.file);
}

/* What is pinned is a mapping of its own, up to their limit */
TEST_F(demand_fault, mappings)
{
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_MAPPINGS, 2, 0));
	ATTACH();
	REFUSED(FILL, window(self, 2));
	PINS(0);
	WRITES(self->mem, 1);
	PINS(WINDOW);
	EXPECT_EQ(0, info_of(self->fd, self->id).mappings_left);
	WRITES(self->mem + WINDOW - PG, 1);
	/* The next one takes the place of the front of the rest */
	REFUSED(FILL, window(self, 1));
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_MAPPINGS, 3, 0));
	WRITES(window(self, 1), 1);
	PINS(2 * WINDOW);
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, IA_PTR(self->mem), LENGTH, NULL));
	EXPECT_EQ(3, info_of(self->fd, self->id).mappings_left);
}

/* It ends: devices keep what they have, and get nothing more */
TEST_F(demand_fault, ends)
{
	struct mapper mapper;
	char *p;

	ASSERT_TRUE(begin_mapper(&mapper, self->fd, 0));
	p = mapper.told.p;
	ASSERT_EQ(0, process_attach(&self->dev, mapper.told.id, self->pasid));
	EXPECT_EQ(0, DMA(FILL, p));
	EXPECT_TRUE(end_mapper(&mapper));
	EXPECT_EQ(0, DMA(VERIFY, p));
	REFUSED(FILL, p + WINDOW);
	REFUSED(FILL, p + 4 * WINDOW);
	EXPECT_EQ(WINDOW, info_of(self->fd, mapper.told.id).bytes_pinned);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_EQ(0, ia_free(self->fd, mapper.told.id));
	close(mapper.file);
}

/* Memory of a file, which a process takes over before that which mapped it ends */
TEST_F(demand_fault, rehomed)
{
	char page[65536];
	struct mapper mapper;
	char *p;

	ASSERT_TRUE(begin_mapper(&mapper, self->fd, 0));
	p = mapper.told.p + 4 * WINDOW;
	/* Memory of the process itself cannot be taken over */
	ASSERT_EQ(0, ia_unmap(self->fd, mapper.told.id, IA_PTR(mapper.told.p),
			      4 * WINDOW, NULL));
	ASSERT_EQ(0, process_attach(&self->dev, mapper.told.id, self->pasid));
	EXPECT_EQ(0, DMA(FILL, p));
	EXPECT_EQ(WINDOW, mapper_pins(&mapper));
	ASSERT_EQ(0, ia_rehome(self->fd, mapper.told.id, 0, NULL, NULL));
	EXPECT_EQ(0, mapper_pins(&mapper));
	EXPECT_EQ(WINDOW >> 10, ia_status("VmPin"));
	EXPECT_TRUE(end_mapper(&mapper));
	EXPECT_EQ(0, DMA(FILL, p + WINDOW + 3 * PG));
	EXPECT_EQ(2 * WINDOW >> 10, ia_status("VmPin"));
	ASSERT_EQ(PG, pread(mapper.file, page, PG, WINDOW + 3 * PG));
	EXPECT_TRUE(model_pattern_holds(page, SEED, IA_PTR(p) + WINDOW + 3 * PG, PG));
	close(mapper.file);
}

/* ---- A page that never comes ---- */

/* It holds up no other one, no unmap, no detach, and not the end of the IOASID */
TEST_F(demand_fault, waits)
{
	struct ioasid_model_status status;
	int uffd = open_userfaultfd();

	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ATTACH();
	ASSERT_EQ(0, hold_faults(uffd, self->mem, PG));
	ASSERT_EQ(0, fault_dma(&self->dev, 1, IOASID_MODEL_FILL, self->pasid,
			       IA_PTR(self->mem), SEED));
	ASSERT_TRUE(fault_waits(uffd));
	WRITES(window(self, 1), 2);
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   IA_PTR(self->mem), WINDOW, NULL));
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	ASSERT_EQ(0, fault_dma_ended(&self->dev, 1, &status));
	EXPECT_EQ(IOASID_MODEL_FAULTED, status.run);
	ASSERT_EQ(0, ia_free(self->fd, self->id));
	ASSERT_EQ(0, release_faults(uffd, self->mem, PG));
	EXPECT_TRUE(ends_pinning());
	close(uffd);
}

/* Nor the end of the context */
TEST_F(demand_fault, closes)
{
	struct model other = self->model;
	int uffd = open_userfaultfd();
	__u32 id;

	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	other.ctx = ia_open();
	ASSERT_LE(0, other.ctx);
	self->dev.model = &other;
	ASSERT_EQ(0, alloc_demand(other.ctx, 0, &id));
	ASSERT_EQ(0, ia_map(other.ctx, id, IA_PTR(self->mem), self->mem, LENGTH));
	ASSERT_EQ(0, process_attach(&self->dev, id, self->pasid));
	ASSERT_EQ(0, hold_faults(uffd, self->mem, PG));
	WRITES(window(self, 1), 2);
	ASSERT_EQ(0, fault_dma(&self->dev, 1, IOASID_MODEL_FILL, self->pasid,
			       IA_PTR(self->mem), SEED));
	ASSERT_TRUE(fault_waits(uffd));
	model_release(&self->dev);
	ASSERT_EQ(0, close(other.ctx));
	self->dev.model = &self->model;
	/* All is unpinned but what the thread has pinned, or charges */
	EXPECT_GE(WINDOW >> 10, ia_status("VmPin"));
	ASSERT_EQ(0, release_faults(uffd, self->mem, PG));
	EXPECT_TRUE(ends_pinning());
	close(uffd);
}

/* The process, with the device, in a page that never comes, until it is killed */
static void be_hung(struct _test_data_demand_fault *self, int sock)
{
	char *p = process_memory(WINDOW);
	int uffd = open_userfaultfd();
	__u32 id;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (alloc_demand(self->fd, 0, &id) ||
	    ia_map(self->fd, id, IA_PTR(p), p, WINDOW) ||
	    process_attach(&self->dev, id, self->pasid) ||
	    hold_faults(uffd, p, PG) ||
	    fault_dma(&self->dev, 1, IOASID_MODEL_FILL, self->pasid, IA_PTR(p),
		      SEED) ||
	    !fault_waits(uffd) || ia_send_fd(sock, uffd) ||
	    write(sock, &id, sizeof(id)) != sizeof(id))
		_exit(1);
	for (;;)
		pause();
}

TEST_F(demand_fault, killed)
{
	int uffd = open_userfaultfd(), sock[2], status;
	pid_t child;
	__u32 id;

	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	close(uffd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		be_hung(self, sock[1]);
	close(sock[1]);
	uffd = ia_recv_fd(sock[0]);
	ASSERT_LE(0, uffd);
	ASSERT_EQ(sizeof(id), read(sock[0], &id, sizeof(id)));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	/* The device is free, and so is the IOASID; the thread waits still */
	ATTACH();
	WRITES(self->mem, 1);
	EXPECT_EQ(0, ia_free(self->fd, id));
	close(uffd);
	close(sock[0]);
}

/* ---- Several devices, and children ---- */

TEST_F(demand_fault, two_units)
{
	struct model_params params = PROCESS_PARAMS;
	char *p = self->mem;
	struct model_device b;
	__u64 requests;

	params.unit = 1;
	ASSERT_EQ(0, model_plug(&self->model, &b, &params, 0));
	ATTACH();
	WRITES(p, 4);
	ASSERT_EQ(0, process_attach(&b, self->id, self->pasid));
	EXPECT_EQ(2, info_of(self->fd, self->id).nr_domains);
	/* It has what is pinned; what it requests, both have */
	requests = process_requests(&b);
	EXPECT_TRUE(process_writes(&b, self->pasid, p + 2 * PG, 4, SEED + 2));
	EXPECT_EQ(requests, process_requests(&b));
	EXPECT_TRUE(process_writes(&b, self->pasid, window(self, 3), 2, SEED));
	EXPECT_EQ(requests + 1, process_requests(&b));
	requests = process_requests(&self->dev);
	READS(window(self, 3), 4);
	EXPECT_EQ(requests, process_requests(&self->dev));
	PINS(2 * WINDOW);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	EXPECT_TRUE(process_reads(&b, self->pasid, p, 4, SEED + 4));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   IA_PTR(p), WINDOW, NULL));
	EXPECT_EQ(MODEL_PAGE_REQUEST,
		  process_dma(&b, IOASID_MODEL_FILL, self->pasid, p, SEED));
	EXPECT_EQ(0, model_counters(&b).stale);
	MODEL_REMOVE(&b);
	EXPECT_EQ(0, info_of(self->fd, self->id).nr_domains);
}

/* A child, with a device that requests nothing, beside the root's */
TEST_F(demand_fault, child)
{
	struct model_space at = { .model = &self->model, .container = -1 };
	struct model_device b;
	__u64 requests;

	ASSERT_EQ(0, model_plug(&self->model, &b, NULL, 0));
	ASSERT_EQ(0, ia_child(self->fd, self->id, 0, &at.id));
	ASSERT_EQ(0, model_attach(&b, &at));
	ATTACH();
	requests = process_requests(&self->dev);
	/* What the child refers to is pinned, and the root's devices have it */
	ASSERT_EQ(0, ia_map_ref(self->fd, at.id, CHILD_AT,
				IA_PTR(window(self, 1)), 4 * PG, IA_RW));
	PINS(WINDOW);
	WRITES(window(self, 1) + 8 * PG, 2);
	EXPECT_EQ(requests, process_requests(&self->dev));
	/* And what they have requested, the child has */
	WRITES(window(self, 2), 1);
	EXPECT_EQ(requests + 1, process_requests(&self->dev));
	ASSERT_EQ(0, ia_map_ref(self->fd, at.id, CHILD_AT + SZ_1G,
				IA_PTR(window(self, 2)), 4 * PG, IA_RW));
	PINS(2 * WINDOW);
	ASSERT_EQ(0, model_fill(&b, CHILD_AT, SEED, 2));
	EXPECT_TRUE(model_pattern_holds(window(self, 1), SEED, CHILD_AT, 2 * PG));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->id, IA_PTR(self->mem), LENGTH,
				   NULL));
	WRITES(window(self, 2) + PG, 1);
	/* The child gives it up, the device has it still; and the other way round */
	ASSERT_EQ(0, ia_unmap(self->fd, at.id, CHILD_AT, 4 * PG, NULL));
	WRITES(window(self, 1), 3);
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	ASSERT_EQ(0, model_fill(&b, CHILD_AT + SZ_1G, SEED, 4));
	EXPECT_TRUE(model_pattern_holds(window(self, 2), SEED, CHILD_AT + SZ_1G,
					4 * PG));
	MODEL_REMOVE(&b);
}

/* From memory that is pinned at once, and back */
TEST_F(demand_fault, moves)
{
	__u32 map;

	ASSERT_EQ(0, ia_alloc(self->fd, &map));
	ASSERT_EQ(0, ia_map(self->fd, map, IA_PTR(self->mem), self->mem, 16 * PG));
	ASSERT_EQ(0, process_attach(&self->dev, map, self->pasid));
	WRITES(self->mem, 2);
	ASSERT_EQ(0, process_attach(&self->dev, self->id, self->pasid));
	WRITES(self->mem, 2);
	WRITES(window(self, 1), 1);
	ASSERT_EQ(0, process_attach(&self->dev, map, self->pasid));
	EXPECT_NE(0, DMA(VERIFY, window(self, 1)));
	ASSERT_EQ(0, process_attach(&self->dev, self->id, self->pasid));
	WRITES(window(self, 1), 1);
	ASSERT_EQ(0, ia_free(self->fd, map));
	WRITES(self->mem, 4);
}

/* ---- Changes ---- */

/* What is unmapped is gone, pinned or not; what is mapped next is another thing */
TEST_F(demand_fault, unmapped)
{
	char *p = window(self, 1), *other = process_memory(WINDOW);
	__u64 iova = IA_PTR(p), unmapped;

	ATTACH();
	WRITES(p, 4);
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   iova + PG, 2 * PG, &unmapped));
	EXPECT_EQ(2 * PG, unmapped);
	EXPECT_EQ(WINDOW - 2 * PG, pinned(self));
	REFUSED(FILL, p + PG);
	REFUSED(VERIFY, p + 2 * PG);
	WRITES(p, 1);
	WRITES(p + 3 * PG, 3);
	/* Other memory */
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova + PG, other, 2 * PG));
	memset(p, 0x11, WINDOW);
	EXPECT_EQ(0, DMA(FILL, p + PG));
	EXPECT_TRUE(model_pattern_holds(other, SEED, iova + PG, PG));
	EXPECT_EQ(0x11, p[PG]);
	PINS(WINDOW);
	/* What no device has touched */
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   IA_PTR(window(self, 4)) + PG, 2 * WINDOW, NULL));
	EXPECT_EQ(WINDOW, pinned(self));
	REFUSED(FILL, window(self, 5));
	WRITES(window(self, 4), 1);
	EXPECT_EQ(WINDOW + PG, pinned(self));
	/* In place there are no changes, as without devices */
	EXPECT_EQ(-EOPNOTSUPP, ia_map_full(self->fd, self->id, IA_RW_FIXED |
					   IOASID_MAP_REPLACE, &iova,
					   IA_PTR(other), PG, 0, 0, 0, NULL));
	EXPECT_EQ(-EOPNOTSUPP, ia_map_full(self->fd, self->id, IOASID_MAP_READ |
					   IOASID_MAP_FIXED | IOASID_MAP_PROTECT,
					   &iova, 0, PG, 0, 0, 0, NULL));
	WRITES(p, 1);
}

/* An IOMMU fails to map: what was recorded still is, and can be had later */
TEST_F(demand_fault, map_fails)
{
	ATTACH();
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 1, 0));
	/* A page, where a window was too much */
	DMA(FILL, self->mem);
	WRITES(self->mem, 4);
	WRITES(window(self, 1), 4);
	EXPECT_GE(2 * WINDOW, pinned(self));
	PINS(pinned(self));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, IA_PTR(self->mem), LENGTH, NULL));
	EXPECT_EQ(0, ia_status("VmPin"));
	EXPECT_NO_HARM(&self->dev);
}

/*
 * One IOMMU fails to map, and the other one to undo that: what it may still reach stays
 * pinned until its device is detached, and the device is blocked
 */
TEST_F(demand_fault, poisoned)
{
	struct model_params params = PROCESS_PARAMS;
	struct model_device b;
	struct ioasid_info info;

	params.unit = 1;
	ASSERT_EQ(0, model_plug(&self->model, &b, &params, 0));
	ATTACH();
	ASSERT_EQ(0, process_attach(&b, self->id, self->pasid));
	WRITES(self->mem, 1);
	ASSERT_EQ(0, model_inject(&b, MODEL_INJECT_MAP, 1, 0));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_NE(0, DMA(FILL, window(self, 1)));
	info = info_of(self->fd, self->id);
	EXPECT_EQ(IOASID_STATE_ATTACHED | IOASID_STATE_POISONED, info.state);
	EXPECT_EQ(WINDOW, info.bytes_mapped);
	EXPECT_EQ(2 * WINDOW, info.bytes_pinned);
	EXPECT_EQ(LENGTH - WINDOW, info.bytes_demand);
	EXPECT_NO_HARM(&self->dev);
	EXPECT_EQ(MODEL_PAGE_REQUEST, process_dma(&b, IOASID_MODEL_FILL, self->pasid,
						  window(self, 1), SEED));
	ASSERT_EQ(0, process_detach(&self->dev, self->pasid));
	info = info_of(self->fd, self->id);
	EXPECT_EQ(IOASID_STATE_ATTACHED, info.state);
	EXPECT_EQ(WINDOW, info.bytes_pinned);
	EXPECT_TRUE(process_writes(&b, self->pasid, window(self, 1), 2, SEED));
	ATTACH();
	WRITES(window(self, 1), 2);
	PINS(2 * WINDOW);
	MODEL_REMOVE(&b);
}

/* Each allocation of an attach fails once */
TEST_F(demand_fault, attach_fails)
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

/* Writes of the device are told, of what was pinned before the start, and after it */
TEST_F(demand_fault, dirty)
{
	struct model_params params = PROCESS_PARAMS;
	__u64 bits[LENGTH / 4096 / 64] = {};
	struct ioasid_get_dirty cmd;
	struct model_device b;
	__u32 id;

	if (self->pasid)
		SKIP(return, "an IOMMU may have no dirty bits by PASID");
	params.flags |= MODEL_DIRTY;
	ASSERT_EQ(0, model_plug(&self->model, &b, &params, 0));
	ASSERT_EQ(0, alloc_demand(self->fd, IOASID_ALLOC_DIRTY, &id));
	ASSERT_EQ(0, ia_map(self->fd, id, IA_PTR(self->mem), self->mem, LENGTH));
	ASSERT_EQ(0, process_attach(&b, id, 0));
	EXPECT_TRUE(process_writes(&b, 0, self->mem + PG, 2, SEED));
	ASSERT_EQ(0, ia_set_dirty(self->fd, id, IOASID_SET_DIRTY_ON));
	ASSERT_EQ(0, ia_get_dirty(self->fd, id, 0, IA_PTR(self->mem), LENGTH / PG,
				  bits, &cmd));
	memset(bits, 0, sizeof(bits));
	EXPECT_TRUE(process_writes(&b, 0, self->mem + 3 * PG, 1, SEED));
	EXPECT_TRUE(process_writes(&b, 0, window(self, 2) + 7 * PG, 2, SEED));
	EXPECT_TRUE(process_reads(&b, 0, window(self, 3), 2, SEED));
	ASSERT_EQ(0, ia_get_dirty(self->fd, id, 0, IA_PTR(self->mem), LENGTH / PG,
				  bits, &cmd));
	EXPECT_EQ(3, dirty_count(bits, LENGTH / PG));
	EXPECT_TRUE(dirty_has(bits, 3));
	EXPECT_TRUE(dirty_has(bits, 2 * WINDOW_PAGES + 7));
	EXPECT_TRUE(dirty_has(bits, 2 * WINDOW_PAGES + 8));
	/* What was written before the detach is told after it */
	EXPECT_TRUE(process_writes(&b, 0, self->mem + 9 * PG, 1, SEED));
	ASSERT_EQ(0, process_detach(&b, 0));
	memset(bits, 0, sizeof(bits));
	ASSERT_EQ(0, ia_get_dirty(self->fd, id, 0, IA_PTR(self->mem), LENGTH / PG,
				  bits, &cmd));
	EXPECT_TRUE(dirty_has(bits, 9));
	EXPECT_EQ(1, dirty_count(bits, LENGTH / PG));
	ASSERT_EQ(0, ia_set_dirty(self->fd, id, IOASID_SET_DIRTY_OFF));
	EXPECT_EQ(0, model_counters(&b).stale);
	MODEL_REMOVE(&b);
}

/* Devices use each IOPTE at once, until the write of a window fails and is undone */
TEST_F(demand_fault, dirty_undone)
{
	struct model_params params = PROCESS_PARAMS;
	__u64 bits[LENGTH / 4096 / 64] = {};
	struct ioasid_get_dirty cmd;
	struct model_device b;
	__u32 id;

	if (self->pasid)
		SKIP(return, "an IOMMU may have no dirty bits by PASID");
	params.flags |= MODEL_DIRTY;
	ASSERT_EQ(0, model_plug(&self->model, &b, &params, 0));
	ASSERT_EQ(0, alloc_demand(self->fd, IOASID_ALLOC_DIRTY, &id));
	ASSERT_EQ(0, ia_map(self->fd, id, IA_PTR(self->mem), self->mem, LENGTH));
	ASSERT_EQ(0, process_attach(&b, id, 0));
	ASSERT_EQ(0, ia_set_dirty(self->fd, id, IOASID_SET_DIRTY_ON));
	ASSERT_EQ(0, model_inject(&b, MODEL_INJECT_MAP, 1, 0));
	/* A page, where a window was too much */
	EXPECT_TRUE(process_writes(&b, 0, window(self, 2) + 7 * PG, 1, SEED));
	ASSERT_EQ(0, ia_get_dirty(self->fd, id, 0, IA_PTR(self->mem), LENGTH / PG,
				  bits, &cmd));
	EXPECT_EQ(WINDOW_PAGES, cmd.nr_dirty);
	EXPECT_EQ(0, cmd.told);
	EXPECT_TRUE(dirty_has(bits, 2 * WINDOW_PAGES));
	EXPECT_TRUE(dirty_has(bits, 3 * WINDOW_PAGES - 1));
	MODEL_REMOVE(&b);
}

/* Which devices cannot attach, and what the root cannot have */
TEST_F(demand_fault, refusals)
{
	struct model_params none = { .pasid_bits = 8 };
	struct fault_queue queue;
	struct model_device b;
	__u32 id;

	ASSERT_EQ(0, model_plug(&self->model, &b, &none, 0));
	EXPECT_EQ(-EMEDIUMTYPE, process_attach(&b, self->id, self->pasid));
	EXPECT_EQ(0, info_of(self->fd, self->id).nr_devices);
	EXPECT_EQ(0, info_of(self->fd, self->id).nr_domains);
	MODEL_REMOVE(&b);
	ASSERT_EQ(0, fault_queue_open(self->fd, 16, &queue));
	EXPECT_EQ(-EOPNOTSUPP, fault_alloc(self->fd, IOASID_ALLOC_DEMAND,
					   IOASID_KIND_MAP, 0, 0, &queue, &id));
	close(queue.fd);
}

TEST_HARNESS_MAIN
