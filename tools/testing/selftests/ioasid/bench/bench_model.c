// SPDX-License-Identifier: GPL-2.0-only
/*
 * What PASIDs, page tables of user space, dirty bits and page requests cost, on the
 * model IOMMU: no IOMMU that QEMU emulates has them.  Dirty bits and page requests also
 * through iommufd, on the same device.
 *
 * How to read the numbers
 *
 * As those of bench.c: instructions, in a VM of one vCPU under QEMU's -icount
 * shift=0; the median of several runs.  The IOMMU driver is the model's, whose part
 * of an attach or a flush is not that of a real one; so the bar of an attach by
 * PASID and its detach is what the IOMMU core and the model take for the two by
 * themselves, measured by a module that calls them, and 2,000 more.
 *
 *	bench_model [-j FILE] [-r ROUNDS] [-n COUNT] [-c]
 *	  -j  write the numbers to FILE as JSON, too
 *	  -r  runs (default: 9)
 *	  -n  operations of a run (default: 200)
 *	  -c  exit with status 1 if a bar was missed
 */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/param.h>

#include "accel.h"
#include "dirty.h"
#include "ioasid_util.h"
#include "family.h"
#include "faults.h"
#include "nested.h"
#include "pasid.h"
#include "process.h"
#include "stopwatch.h"

/* set_dev_pasid() and remove_dev_pasid() by the core, with the model's part */
#define CORE_ATTACH_DETACH 5388
#define BAR_ATTACH_DETACH (CORE_ATTACH_DETACH + 2000)
#define BAR_ACCEL 9000
#define BAR_FLOOD_WAIT 100000000
#define BAR_FLOOD_BYTES 1048576
#define MAX_RUNS 63
#define RANGES 64

static unsigned int runs = 9, count = 200;
static bool missed;
static FILE *json;
static int fd;
static char *memory;
static __u32 root, plain, child;
static struct model model;
static struct model_device dev;

static void must(const char *what, int rc)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "bench_model: %s: %s\n", what, strerror(-rc));
	exit(2);
}

/* Print a number; @bar 0: there is none */
static void print(const char *name, const char *key, unsigned long long result,
		  unsigned int bar)
{
	bool over = bar && result > bar;

	missed |= over;
	printf("%-44s %9llu", name, result);
	if (bar)
		printf("   bar %u%s", bar, over ? ": missed" : "");
	putchar('\n');
	if (json)
		fprintf(json, "%s\t\"%s\": %llu", ftell(json) > 2 ? ",\n" : "",
			key, result);
}

/* Print the instructions of one of @count calls of @op, and return them */
static unsigned long long measure(const char *name, const char *key,
				  int (*op)(void), unsigned int bar)
{
	uint64_t taken[MAX_RUNS], start;
	unsigned long long result;
	unsigned int run, i;

	for (run = 0; run <= runs; run++) {
		start = now();
		for (i = 0; i < count; i++)
			must(name, op());
		/* The first one warms up */
		if (run)
			taken[run - 1] = (now() - start) / count;
	}
	result = median(taken, runs);
	print(name, key, result, bar);
	return result;
}

/* ---- Operations ---- */

static int attach_detach(void)
{
	int rc = pasid_attach(&dev, plain, 5);

	return rc ? rc : pasid_detach(&dev, 5);
}

static int any_detach(void)
{
	__u32 pasid;
	int rc = pasid_attach_any(&dev, plain, &pasid);

	return rc ? rc : pasid_detach(&dev, pasid);
}

static int attach_detach_table(void)
{
	int rc = pasid_attach(&dev, child, 6);

	return rc ? rc : pasid_detach(&dev, 6);
}

static int move_there_and_back(void)
{
	int rc = pasid_attach(&dev, child, 7);

	return rc ? rc : pasid_attach(&dev, plain, 7);
}

static int bind_unbind(void)
{
	int rc = bind_table(fd, child, 0, TABLE_A);

	return rc ? rc : unbind_table(fd, child);
}

static int rebind(void)
{
	return bind_table(fd, child, IOASID_BIND_REPLACE, TABLE_A);
}

static struct ioasid_invalidate ranges[RANGES];

static int invalidate(unsigned int nr)
{
	struct ioasid_invalidate_cache cmd = nested_invalidation(child, ranges,
								 nr);
	int rc = ia_cmd(fd, IOASID_INVALIDATE_CACHE, &cmd);

	return rc ? rc : cmd.error;
}

static int invalidate_one(void)
{
	return invalidate(1);
}

static int invalidate_many(void)
{
	return invalidate(RANGES);
}

/* ---- Dirty bits: 1 GiB of 4 KiB pages ---- */

#define DIRTY_LENGTH SZ_1G
#define DIRTY_BITS (DIRTY_LENGTH / PG)
#define DIRTY_RUNS 3

static struct model_space dirty_space;
static __u32 hwpt;
static __u64 *dirty_bits;

static int get_dirty(void)
{
	struct ioasid_get_dirty cmd;

	return ia_get_dirty(dirty_space.model->ctx, dirty_space.id, 0, BASE,
			    DIRTY_BITS, dirty_bits, &cmd);
}

static int get_dirty_iommufd(void)
{
	struct iommu_hwpt_get_dirty_bitmap cmd = {
		.size = sizeof(cmd),
		.hwpt_id = hwpt,
		.iova = BASE,
		.length = DIRTY_LENGTH,
		.page_size = PG,
		.data = (unsigned long)dirty_bits,
	};

	return ioctl(dirty_space.model->ctx, IOMMU_HWPT_GET_DIRTY_BITMAP,
		     &cmd) ? -errno : 0;
}

/* An address space with dirty bits, and logging on */
static void track_iommufd(struct model_device *device)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
		.dev_id = device->devid,
		.pt_id = dirty_space.id,
	};
	struct iommu_hwpt_set_dirty_tracking set = {
		.size = sizeof(set),
		.flags = IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	int ctx = device->model->ctx;

	must("hwpt", ioctl(ctx, IOMMU_HWPT_ALLOC, &alloc) ? -errno : 0);
	hwpt = alloc.out_hwpt_id;
	attach.pt_id = hwpt;
	set.hwpt_id = hwpt;
	must("attach", ioctl(device->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
			     &attach) ? -errno : 0);
	must("track", ioctl(ctx, IOMMU_HWPT_SET_DIRTY_TRACKING, &set) ?
	     -errno : 0);
}

static void measure_dirty(enum model_api api, const char *name, const char *key)
{
	struct model_params params = {
		.page_sizes = 1ULL << 12, .flags = MODEL_DIRTY,
	};
	struct model_device device = {};
	unsigned int before[] = { runs, count };
	struct model other;
	void *p;
	int rc;

	rc = model_open(&other, api);
	if (rc == -ENOENT)
		return;
	must("open", rc);
	p = mmap(NULL, DIRTY_LENGTH, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	dirty_bits = ia_mem(DIRTY_BITS / 8);
	if (p == MAP_FAILED || !dirty_bits)
		must("memory", -ENOMEM);
	must("plug", model_plug(&other, &device, &params, 0));
	must("bind", model_bind(&device));
	if (api == MODEL_IOASID)
		must("alloc", ia_alloc_dirty(&other, &dirty_space, 0, 0));
	else
		must("alloc", model_space_open(&other, &dirty_space));
	must("map", model_map(&dirty_space, BASE, p, DIRTY_LENGTH, MODEL_RW));
	if (api == MODEL_IOASID) {
		must("attach", model_attach(&device, &dirty_space));
		must("track", ia_set_dirty(other.ctx, dirty_space.id,
					   IOASID_SET_DIRTY_ON));
	} else {
		track_iommufd(&device);
	}
	runs = DIRTY_RUNS;
	count = 1;
	measure(name, key, api == MODEL_IOASID ? get_dirty : get_dirty_iommufd,
		0);
	runs = before[0];
	count = before[1];
	model_release(&device);
	model_unplug(&device, 0);
	model_close(&other);
	munmap(p, DIRTY_LENGTH);
}

/* ---- An accelerator ---- */

static int accelerator;

/* A queue and a PASID for each piece of work, of which there is next to nothing */
static int accel_work(void)
{
	return acc_submit(accelerator, &(struct accel_submit){
		.op = ACCEL_FILL, .vpasid = 1, .dst = BASE, .length = 8,
	});
}

static int accel_work_beside(void)
{
	return acc_submit(accelerator, &(struct accel_submit){
		.op = ACCEL_FILL, .vpasid = 1, .dst = BASE + 64, .length = 8,
	});
}

/* Work that goes on until the first word of the memory says so */
static void *keep_pasid(void *unused)
{
	must("await", acc_await(accelerator, 1, 1));
	return NULL;
}

/* The difference is what a PASID costs: to take it, to lead it and to block it */
static void measure_accel(void)
{
	struct model_params params = { .pasid_bits = 16 };
	struct model_device device;
	unsigned long long all;
	pthread_t keeper;

	must("plug", acc_plug(&model, &device, &params));
	accelerator = acc_open(&device, 0);
	must("open", accelerator);
	must("bind", acc_bind(accelerator, fd, 2));
	must("attach", acc_attach(accelerator, plain, 1));
	all = measure("work by a queue and a PASID of an accelerator", "accel_work",
		      accel_work, 0);
	__atomic_store_n((__u64 *)memory, 0, __ATOMIC_RELAXED);
	must("thread", -pthread_create(&keeper, NULL, keep_pasid, NULL));
	while (acc_info(accelerator).pasids < 1)
		sched_yield();
	all -= measure("  by a PASID that other work keeps", "accel_kept",
		       accel_work_beside, 0);
	print("  to take the PASID and give it back", "accel_pasid", all, BAR_ACCEL);
	__atomic_store_n((__u64 *)memory, 1, __ATOMIC_RELEASE);
	pthread_join(keeper, NULL);
	close(accelerator);
	model_unplug(&device, 0);
}

/* ---- Page requests: the DMA of a device has found a page absent ---- */

static struct model_device asking;
static struct fault_queue queue;
static int fault_fd;

/* Wait for a record, as a program does that has nothing else to do */
static void wait_for_record(int file)
{
	struct pollfd p = { .fd = file, .events = POLLIN };

	must("poll", poll(&p, 1, 1000) == 1 ? 0 : -ETIMEDOUT);
}

static int answer_request(void)
{
	struct ioasid_fault record;
	int rc = fault_request(&asking, 0, 1, BASE, 1);

	if (rc)
		return rc;
	wait_for_record(queue.fd);
	rc = fault_read(queue.fd, &record, 1);
	return rc < 0 ? rc : fault_answer(queue.fd, record.id, IOASID_FAULT_SUCCESS);
}

static int answer_request_iommufd(void)
{
	struct iommu_hwpt_page_response response = {
		.code = IOMMUFD_PAGE_RESP_SUCCESS,
	};
	struct iommu_hwpt_pgfault record;
	int rc = fault_request(&asking, 0, 1, BASE, 1);

	if (rc)
		return rc;
	wait_for_record(fault_fd);
	if (read(fault_fd, &record, sizeof(record)) != sizeof(record))
		return -EPROTO;
	response.cookie = record.cookie;
	return write(fault_fd, &response, sizeof(response)) == sizeof(response) ?
	       0 : -EPROTO;
}

/* Requests to a file of iommufd's: it has them for tables of user space only */
static void tell_iommufd(struct model_space *space)
{
	struct iommu_fault_alloc faults = { .size = sizeof(faults) };
	struct model_s1 table = { .root = GPA(0), .levels = 3 };
	struct iommu_hwpt_alloc parent = {
		.size = sizeof(parent),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = asking.devid,
		.pt_id = space->id,
	};
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOMMU_HWPT_FAULT_ID_VALID,
		.dev_id = asking.devid,
		.data_type = MODEL_HWPT_DATA_S1,
		.data_len = sizeof(table),
		.data_uptr = IA_PTR(&table),
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	int ctx = asking.model->ctx;

	must("faults", ioctl(ctx, IOMMU_FAULT_QUEUE_ALLOC, &faults) ? -errno : 0);
	fault_fd = faults.out_fault_fd;
	must("parent", ioctl(ctx, IOMMU_HWPT_ALLOC, &parent) ? -errno : 0);
	alloc.pt_id = parent.out_hwpt_id;
	alloc.fault_id = faults.out_fault_id;
	must("hwpt", ioctl(ctx, IOMMU_HWPT_ALLOC, &alloc) ? -errno : 0);
	attach.pt_id = alloc.out_hwpt_id;
	must("attach", ioctl(asking.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
			     &attach) ? -errno : 0);
}

static void measure_requests(enum model_api api, const char *name,
			     const char *key)
{
	struct model_params params = {
		.flags = MODEL_PRI | MODEL_ATS | MODEL_NESTING,
	};
	struct model_space space;
	struct model other;
	__u32 id;
	int rc;

	rc = model_open(&other, api);
	if (rc == -ENOENT)
		return;
	must("open", rc);
	must("plug", model_plug(&other, &asking, &params, 0));
	must("bind", model_bind(&asking));
	if (api == MODEL_IOASID) {
		must("queue", fault_queue_open(other.ctx, 64, &queue));
		must("alloc", fault_alloc(other.ctx, 0, IOASID_KIND_MAP, 0, 0,
					  &queue, &id));
		must("attach", hw_attach(asking.fd, id));
	} else {
		must("alloc", model_space_open(&other, &space));
		tell_iommufd(&space);
	}
	measure(name, key, api == MODEL_IOASID ? answer_request :
						 answer_request_iommufd, 0);
	model_release(&asking);
	model_unplug(&asking, 0);
	model_close(&other);
}

/* ---- A device that asks without end, and its neighbour in the same queue ---- */

#define FLOOD_CHANNELS 3
/* Less than both may have outstanding: most of the flood is refused */
#define FLOOD_DEPTH 16

static struct ioasid_fault flood_records[FAULTS_MAX];

/* Answer what is there; whether a request of @calm was among it */
static bool answer_both(const struct model_device *calm)
{
	const struct ioasid_fault *r = flood_records;
	bool found = false;
	int i, nr;

	wait_for_record(queue.fd);
	nr = fault_read(queue.fd, flood_records, FAULTS_MAX);
	must("read", nr);
	for (i = 0; i < nr; i++, r++) {
		if (r->kind != IOASID_FAULT_PAGE_REQUEST)
			continue;
		must("answer", fault_answer(queue.fd, r->id, IOASID_FAULT_SUCCESS));
		found |= r->devid == calm->devid;
	}
	return found;
}

static unsigned long long flood_bytes(long long before)
{
	long long now = ia_proc_field("/proc/meminfo", "MemFree");

	return now < before ? (before - now) << 10 : 0;
}

/*
 * Each channel has a thread of the model, and all of them the CPU of the program
 * that answers: this is the longest wait, not the usual one.
 */
static void measure_flood(void)
{
	struct model_params params = { .flags = MODEL_PRI | MODEL_ATS };
	unsigned long long longest = 0, bytes = 0;
	struct model_device calm;
	struct model other;
	uint64_t start;
	long long free;
	unsigned int i;
	__u32 id;

	must("open", model_open(&other, MODEL_IOASID));
	must("plug", model_plug(&other, &asking, &params, 0));
	must("plug", model_plug(&other, &calm, &params, 0));
	must("bind", model_bind(&asking));
	must("bind", model_bind(&calm));
	must("queue", fault_queue_open(other.ctx, FLOOD_DEPTH, &queue));
	must("alloc", fault_alloc(other.ctx, 0, IOASID_KIND_MAP, 0, 0, &queue, &id));
	must("attach", hw_attach(asking.fd, id));
	must("attach", hw_attach(calm.fd, id));
	free = ia_proc_field("/proc/meminfo", "MemFree");
	for (i = 1; i <= FLOOD_CHANNELS; i++)
		must("flood", fault_flood(&asking, i, 0, BASE, 4));
	for (i = 0; i < count; i++) {
		start = now();
		must("request", fault_request(&calm, 0, i, BASE, 1));
		while (!answer_both(&calm))
			;
		longest = MAX(longest, now() - start);
		bytes = MAX(bytes, flood_bytes(free));
	}
	for (i = 1; i <= FLOOD_CHANNELS; i++)
		must("stop", model_stop(&asking, i, NULL));
	must("lost", fault_lost(&calm) ? -EPROTO : 0);
	must("flood", fault_lost(&asking) ? 0 : -EPROTO);
	print("longest wait for an answer beside a flood", "flood_wait", longest,
	      BAR_FLOOD_WAIT);
	print("  memory that the flood has taken, bytes", "flood_bytes", bytes,
	      BAR_FLOOD_BYTES);
	model_release(&asking);
	model_release(&calm);
	close(queue.fd);
	model_unplug(&asking, 0);
	model_unplug(&calm, 0);
	model_close(&other);
}

/* ---- The memory of a process ---- */

static char *window;

/* DMA to a page, which it requests if it is absent */
static int use_page(void)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_ATS,
		.threads = 1,
		.address = IA_PTR(window),
		.length = 64,
		.count = 1,
	};

	return model_dma(&asking, &dma, NULL);
}

/* It is absent each time, and all pages of its window are there */
static int serve_page(void)
{
	if (mprotect(window, PROCESS_WINDOW, PROT_NONE) ||
	    mprotect(window, PROCESS_WINDOW, PROT_READ | PROT_WRITE))
		return -errno;
	return use_page();
}

static int change_twice(void)
{
	if (mprotect(window, PROCESS_WINDOW, PROT_NONE) ||
	    mprotect(window, PROCESS_WINDOW, PROT_READ | PROT_WRITE))
		return -errno;
	return 0;
}

static __u32 same;
static int asking_ctx;

/* What the model's part in that is, with what pins take */
static int map_unmap(void)
{
	int rc = ia_map(asking_ctx, same, BASE, window, PROCESS_WINDOW);

	return rc ? rc : ia_unmap(asking_ctx, same, BASE, PROCESS_WINDOW, NULL);
}

static void measure_process(void)
{
	struct model_params params = PROCESS_PARAMS;
	struct model other;
	__u32 id;

	must("open", model_open(&other, MODEL_IOASID));
	if (ia_check(other.ctx, IOASID_EXT_PROCESS) <= 0)
		goto close;
	window = process_memory(PROCESS_WINDOW);
	must("memory", window ? 0 : -ENOMEM);
	memset(window, 1, PROCESS_WINDOW);
	must("plug", model_plug(&other, &asking, &params, 0));
	must("alloc", process_alloc(other.ctx, &id));
	must("attach", process_attach(&asking, id, 0));
	measure("DMA to memory of the process that is there", "process_dma",
		use_page, 0);
	measure("  to 2 MiB that it had given up", "process_served", serve_page, 0);
	must("detach", process_detach(&asking, 0));
	measure("  what the CPU takes of that", "process_cpu", change_twice, 0);
	asking_ctx = other.ctx;
	must("alloc", ia_alloc(asking_ctx, &same));
	must("attach", process_attach(&asking, same, 0));
	measure("  the same 2 MiB mapped, and unmapped", "process_map", map_unmap, 0);
	model_release(&asking);
	model_unplug(&asking, 0);
	munmap(window, PROCESS_WINDOW);
close:
	model_close(&other);
}

/* ---- The setting ---- */

static void set_up(void)
{
	struct model_params params = {
		.flags = MODEL_NESTING, .pasid_bits = 16,
	};
	int i;

	must("model", model_open(&model, MODEL_IOASID));
	fd = model.ctx;
	if (!ia_check(fd, IOASID_EXT_PGTABLE))
		must("tables of user space", -EOPNOTSUPP);
	memory = family_memory(PAGES);
	if (!memory)
		must("memory", -ENOMEM);
	must("alloc", nested_parent(fd, &root));
	for (i = 0; i < PAGES; i++)
		must("map", ia_map(fd, root, GPA(i), memory + i * PG, PG));
	must("alloc", ia_alloc(fd, &plain));
	must("map", ia_map(fd, plain, BASE, memory, PG));
	must("alloc", nested_child(fd, root, MODEL_HWPT_DATA_S1, &child));
	s1_init(memory, TABLE_A);
	must("plug", model_plug(&model, &dev, &params, 0));
	must("bind", model_bind(&dev));
	/* The domains are there: an attach makes none */
	must("attach", pasid_attach(&dev, plain, 1));
	must("attach", pasid_attach(&dev, child, 2));
	for (i = 0; i < RANGES; i++)
		ranges[i] = (struct ioasid_invalidate){
			.flags = IOASID_INVALIDATE_IOTLB |
				 IOASID_INVALIDATE_RANGE,
			.start = VA(i), .last = VA(i + 1) - 1,
		};
}

int main(int argc, char **argv)
{
	bool check = false;
	int c;

	while ((c = getopt(argc, argv, "j:r:n:c")) != -1) {
		switch (c) {
		case 'j':
			json = fopen(optarg, "w");
			if (!json)
				must(optarg, -errno);
			break;
		case 'r':
			runs = atoi(optarg);
			break;
		case 'n':
			count = atoi(optarg);
			break;
		case 'c':
			check = true;
			break;
		default:
			return 2;
		}
	}
	if (!runs || runs > MAX_RUNS || !count)
		must("arguments", -EINVAL);
	set_up();
	if (json)
		fprintf(json, "{\n");
	printf("model IOMMU; median of %u runs; instructions\n\n", runs);
	measure("attach a PASID, and detach it", "attach_detach", attach_detach,
		BAR_ATTACH_DETACH);
	measure("  the same, the kernel chooses it", "any_detach", any_detach, 0);
	measure("bind a table of user space, and unbind it", "bind_unbind",
		bind_unbind, 0);
	must("bind", bind_table(fd, child, 0, TABLE_A));
	measure("bind another one in its place", "rebind", rebind, 0);
	measure("attach a PASID to a table, and detach it",
		"attach_detach_table", attach_detach_table, 0);
	must("attach", pasid_attach(&dev, plain, 7));
	measure("move a PASID to a table, and back", "move", move_there_and_back,
		0);
	measure("invalidate one range", "invalidate", invalidate_one, 0);
	measure("  64 ranges", "invalidate_64", invalidate_many, 0);
	measure_accel();
	measure_dirty(MODEL_IOASID, "read the dirty bits of 1 GiB, 4 KiB pages",
		      "get_dirty");
	measure_dirty(MODEL_IOMMUFD, "  the same by iommufd", "get_dirty_iommufd");
	measure_requests(MODEL_IOASID, "read a page request, and answer it",
			 "page_request");
	measure_requests(MODEL_IOMMUFD, "  the same by iommufd",
			 "page_request_iommufd");
	measure_flood();
	measure_process();
	if (json) {
		fprintf(json, "\n}\n");
		fclose(json);
	}
	model_release(&dev);
	model_unplug(&dev, 0);
	model_close(&model);
	return check && missed;
}
