// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared virtual addressing in a guest, in small: four processes of a guest have two
 * devices, by PASIDs, each with its own page table.  The devices ask for pages that are
 * absent; the VMM finds the process by device and PASID, and the guest brings the page.
 *
 * The devices and the IOMMU are models, of the module ioasid_mock: see its
 * ioasid_mock.h.  What the VMM does is what it would do with any other.
 *
 * The two devices have the same PASIDs, in the opposite order: a PASID alone names no
 * process.  All processes use the same addresses, for different memory.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest.h"

#define DEVICES 2
#define PROCESSES 4

/* Groups that may wait, and records of one read(): more than a group can have */
#define DEPTH 64
#define RECORDS 300

/* Pages of a process: each device fills a part, in which only the first are present */
#define PART 4
#define PRESENT 2
#define PAGES (DEVICES * PART)

/* An address that no process has */
#define NOWHERE PAGES

/* The guest's memory: tables, the pages of the processes, and one more for each */
#define TABLE(process) ((process) * TABLE_PAGES)
#define DATA(process, page) (TABLE(PROCESSES) + (process) * PAGES + (page))
#define SPARE(process) (DATA(PROCESSES, 0) + (process))
#define GUEST_PAGES SPARE(PROCESSES)

/* What a device writes for a process */
#define SEED(process) (100 + (process))
#define NEW_SEED 200

/* Requests that wait, of each device and process */
#define ASKED 3

/* For answers that the kernel gives */
#define PATIENCE_MS 10000

#define RW (IOASID_MODEL_REQUEST_READ | IOASID_MODEL_REQUEST_WRITE)

/**
 * struct process - a process of the guest
 * @ioasid: has its page table
 * @data: the page of the guest's memory for each of its own, 0: it has none there
 * @paged_in: pages that were brought because a device has asked
 */
struct process {
	uint32_t ioasid;
	int data[PAGES + 1];
	unsigned int paged_in;
};

/**
 * struct work - DMA of a device for a process
 * @dma: what it does
 * @refused: a request of it was answered IOASID_FAULT_INVALID
 * @status: how it ended
 */
struct work {
	struct ioasid_model_dma dma;
	bool refused;
	struct ioasid_model_status status;
};

/**
 * struct request - a request that was read, and is not answered yet
 * @device: the device
 * @process: the process
 * @id: of its group
 */
struct request {
	int device;
	int process;
	uint32_t id;
};

struct vmm {
	int ctx;
	int control;
	uint32_t gpa;
	uint32_t queue;
	int queue_fd;
	struct guest guest;
	struct process process[PROCESSES];
	struct ioasid_device device[DEVICES];
	uint32_t model[DEVICES];
	struct work work[DEVICES][PROCESSES];
	struct request waiting[DEPTH];
	int nr_waiting;
};

/* By the second device, the first process has the PASID of the last by the first */
static uint32_t vpasid(int device, int process)
{
	return 11 + (device ? PROCESSES - 1 - process : process);
}

/* ---- The guest ---- */

/* Bring a page: whether the process has it */
static bool page_in(struct vmm *vmm, int process, int page)
{
	struct process *p = &vmm->process[process];

	if (page < 0 || page >= PAGES || !p->data[page])
		return false;
	guest_map(&vmm->guest, TABLE(process), page, GPA(p->data[page]));
	p->paged_in++;
	return true;
}

/* Page @page becomes @data; 0: it is not the process's any longer */
static void change(struct vmm *vmm, int process, int page, int data)
{
	vmm->process[process].data[page] = data;
	guest_map(&vmm->guest, TABLE(process), page, data ? GPA(data) : 0);
}

static void make_process(struct vmm *vmm, int process)
{
	struct process *p = &vmm->process[process];
	int page;

	guest_table(&vmm->guest, TABLE(process));
	for (page = 0; page < PAGES; page++) {
		p->data[page] = DATA(process, page);
		if (page % PART < PRESENT)
			guest_map(&vmm->guest, TABLE(process), page,
				  GPA(p->data[page]));
	}
	p->ioasid = guest_child(vmm->ctx, vmm->gpa, vmm->queue);
	guest_bind(vmm->ctx, p->ioasid, TABLE(process));
}

static uint64_t *memory(struct vmm *vmm, int data)
{
	return (uint64_t *)(vmm->guest.memory + data * PAGE);
}

static void write_pattern(struct vmm *vmm, int data, uint64_t seed, int page)
{
	uint64_t *word = memory(vmm, data);
	unsigned int i;

	for (i = 0; i < PAGE / sizeof(*word); i++)
		word[i] = ioasid_model_word(seed, VA(page) + i * sizeof(*word));
}

static void expect_pattern(struct vmm *vmm, int data, uint64_t seed, int page)
{
	const uint64_t *word = memory(vmm, data);
	unsigned int i;

	for (i = 0; i < PAGE / sizeof(*word); i++)
		if (word[i] != ioasid_model_word(seed,
						 VA(page) + i * sizeof(*word)))
			fail("page %d of the guest's memory is wrong", data);
}

/* ---- The fault queue ---- */

/* The process that a record is about: device and PASID tell it */
static struct request find(struct vmm *vmm, const struct ioasid_fault *record)
{
	struct request request = { .device = record->cookie, .id = record->id };
	int *process = &request.process;

	if (record->cookie >= DEVICES || !(record->flags & IOASID_FAULT_BY_PASID))
		fail("a record is of no device, or has no PASID");
	for (*process = 0; *process < PROCESSES; ++*process)
		if (vpasid(request.device, *process) == record->vpasid)
			break;
	if (*process == PROCESSES ||
	    vmm->process[*process].ioasid != record->ioasid)
		fail("PASID %u of device %d is no process's", record->vpasid,
		     request.device);
	return request;
}

/* Read what is there: number of records */
static int read_queue(struct vmm *vmm, struct ioasid_fault *records, int timeout)
{
	struct pollfd ready = { .fd = vmm->queue_fd, .events = POLLIN };
	int i, n;

	if (poll(&ready, 1, timeout) <= 0)
		return 0;
	n = ioasid_fault_read(vmm->queue_fd, records, RECORDS);
	need(n, "read the queue");
	for (i = 0; i < n; i++)
		if (records[i].kind == IOASID_FAULT_LOST)
			fail("%llu records are lost",
			     (unsigned long long)records[i].lost);
	return n;
}

/* Have the guest bring the pages that devices ask for; groups are of one page here */
static void serve(struct vmm *vmm, int timeout)
{
	struct ioasid_fault records[RECORDS];
	struct request request;
	int i, n, page;
	bool have;

	n = read_queue(vmm, records, timeout);
	for (i = 0; i < n; i++) {
		if (records[i].kind != IOASID_FAULT_PAGE_REQUEST)
			continue;
		request = find(vmm, &records[i]);
		page = (int64_t)(records[i].addr - VA(0)) / (int64_t)PAGE;
		have = page_in(vmm, request.process, page);
		if (!have)
			vmm->work[request.device][request.process].refused = true;
		need(ioasid_fault_answer(vmm->queue_fd, request.id,
					 have ? IOASID_FAULT_SUCCESS :
						IOASID_FAULT_INVALID),
		     "answer");
	}
}

/* ---- DMA ---- */

/* A device has a channel for each process, and channel 0 */
static int channel_of(int process)
{
	return 1 + process;
}

static void start(struct vmm *vmm, int device, int process, uint32_t op,
		  uint64_t seed, int page, int pages)
{
	struct work *work = &vmm->work[device][process];

	*work = (struct work){
		.dma = {
			.op = op,
			.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_ATS |
				 IOASID_MODEL_DMA_PRI,
			.pasid = vpasid(device, process),
			.threads = 1,
			.address = VA(page),
			.length = PAGE,
			.stride = PAGE,
			.count = pages,
			.operand = seed,
		},
	};
	model_start(&vmm->device[device], channel_of(process), &work->dma);
}

/*
 * Whether it has ended.  A device does not wait for an answer as long as a slow machine
 * may need: what it gives up is started again.
 */
static bool ended(struct vmm *vmm, int device, int process)
{
	struct work *work = &vmm->work[device][process];

	work->status = model_status(&vmm->device[device], channel_of(process));
	if (work->status.run == IOASID_MODEL_RUNNING)
		return false;
	if (work->status.fault != MODEL_PAGE_REQUEST || work->refused)
		return true;
	model_start(&vmm->device[device], channel_of(process), &work->dma);
	return false;
}

static struct work *finish(struct vmm *vmm, int device, int process)
{
	while (!ended(vmm, device, process))
		serve(vmm, 5);
	return &vmm->work[device][process];
}

/* The DMA that was started is done, and has found what it should */
static void expect_done(struct vmm *vmm, int device, int process)
{
	struct work *work = finish(vmm, device, process);

	if (work->status.run != IOASID_MODEL_DONE || work->status.mismatches)
		fail("DMA of device %d, process %d: fault %u at %#llx, %llu mismatches",
		     device + 1, process + 1, work->status.fault,
		     (unsigned long long)work->status.fault_addr,
		     (unsigned long long)work->status.mismatches);
}

static void expect_refused(struct vmm *vmm, int device, int process)
{
	struct work *work = finish(vmm, device, process);

	if (!work->refused || work->status.fault != MODEL_PAGE_REQUEST)
		fail("device %d, process %d: no page was refused, fault %u",
		     device + 1, process + 1, work->status.fault);
}

static void verify(struct vmm *vmm, int device, int process, uint64_t seed,
		   int page, int pages)
{
	start(vmm, device, process, IOASID_MODEL_VERIFY, seed, page, pages);
	expect_done(vmm, device, process);
}

/* The device is stopped at once: there is no table, or nothing is attached */
static void expect_blocked(struct vmm *vmm, int device, int process)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_READ,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_ATS |
			 IOASID_MODEL_DMA_WAIT,
		.pasid = vpasid(device, process),
		.threads = 1,
		.address = VA(0),
		.length = 8,
		.count = 1,
	};

	model_start(&vmm->device[device], 0, &dma);
	if (!model_status(&vmm->device[device], 0).fault)
		fail("device %d still reaches process %d", device + 1, process + 1);
}

/* ---- Requests that wait ---- */

/* The device asks for pages, and does not wait */
static void ask(struct vmm *vmm, int device, int process)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_REQUEST,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_WAIT,
		.pasid = vpasid(device, process),
		.threads = 1,
		.address = VA(NOWHERE),
		.length = 1,
		.count = 1,
		.operand = RW | IOASID_MODEL_REQUEST_LAST,
	};
	int i;

	for (i = 0; i < ASKED; i++) {
		dma.compare = process * ASKED + i;
		model_start(&vmm->device[device], 0, &dma);
	}
}

/* Read that many requests, and answer none */
static void read_waiting(struct vmm *vmm, int nr)
{
	struct ioasid_fault records[RECORDS];
	int i, n;

	for (vmm->nr_waiting = 0; vmm->nr_waiting < nr;) {
		n = read_queue(vmm, records, -1);
		for (i = 0; i < n && vmm->nr_waiting < DEPTH; i++)
			if (records[i].kind == IOASID_FAULT_PAGE_REQUEST)
				vmm->waiting[vmm->nr_waiting++] =
					find(vmm, &records[i]);
	}
}

/* Answer what waits of a device for a process: as many were not answered before */
static void answer_waiting(struct vmm *vmm, int device, int process, int want)
{
	struct request *r;
	int ret, nr = 0;

	for (r = vmm->waiting; r < vmm->waiting + vmm->nr_waiting; r++) {
		if (r->device != device || r->process != process)
			continue;
		ret = ioasid_fault_answer(vmm->queue_fd, r->id,
					  IOASID_FAULT_INVALID);
		if (ret != -ENOENT)
			need(ret, "answer");
		nr += !ret;
	}
	if (nr != want)
		fail("device %d, process %d: %d requests have waited, not %d",
		     device + 1, process + 1, nr, want);
}

static struct ioasid_model_inspect inspect(struct vmm *vmm)
{
	struct ioasid_model_inspect look = {
		.id = vmm->model[0],
		.flags = IOASID_MODEL_LEDGER,
	};

	if (ioctl(vmm->control, IOASID_MODEL_INSPECT, &look))
		fail("the model IOMMU: %s", strerror(errno));
	return look;
}

/*
 * Wait until all requests but @waiting have an answer.  The kernel may still have those
 * in its hands that came right before a device was closed.
 */
static void expect_unanswered(struct vmm *vmm, uint64_t waiting)
{
	struct model_counters counters;
	int i;

	for (i = 0; i < PATIENCE_MS; i++) {
		counters = inspect(vmm).counters;
		if (counters.requests == counters.responses + waiting)
			return;
		usleep(1000);
	}
	fail("%llu requests, %llu answers, and %llu should wait",
	     (unsigned long long)counters.requests,
	     (unsigned long long)counters.responses,
	     (unsigned long long)waiting);
}

/* ---- The story ---- */

static void begin(struct vmm *vmm)
{
	puts("The VMM maps the guest's memory, and makes a queue for the faults of its devices.");
	vmm->ctx = ioasid_open();
	need(vmm->ctx, "/dev/ioasid");
	need(ioasid_alloc_nest_parent(vmm->ctx, 0, &vmm->gpa),
	     "an IOASID for the guest");
	vmm->guest = guest_memory(GUEST_PAGES);
	guest_map_memory(vmm->ctx, vmm->gpa, &vmm->guest, 0, GUEST_PAGES);
	vmm->queue_fd = ioasid_fault_queue_open(vmm->ctx, DEPTH, -1, 0,
						&vmm->queue);
	need(vmm->queue_fd, "a fault queue");
	printf("   %llu KiB at %#llx; %d groups of requests can wait\n",
	       GUEST_PAGES * PAGE / 1024, GPA(0), DEPTH);
}

static void begin_processes(struct vmm *vmm)
{
	int process;

	puts("Four processes of the guest have page tables; half of their pages are absent.");
	for (process = 0; process < PROCESSES; process++) {
		make_process(vmm, process);
		printf("   process %d: its table is at %#llx, IOASID %u\n",
		       process + 1, GPA(TABLE(process)),
		       vmm->process[process].ioasid);
	}
}

static void begin_devices(struct vmm *vmm)
{
	const uint32_t flags = MODEL_NESTING | MODEL_ATS | MODEL_PRI;
	int device, process;
	char name[128];
	uint32_t pasid;

	puts("The guest has two devices. Each process has both, by PASIDs that are not the same.");
	vmm->control = model_open();
	for (device = 0; device < DEVICES; device++) {
		vmm->model[device] = model_plug(vmm->control, flags, name,
						sizeof(name));
		need(ioasid_device_open(vmm->ctx, name, device,
					&vmm->device[device]),
		     "open the device");
		printf("   device %d:", device + 1);
		for (process = 0; process < PROCESSES; process++) {
			pasid = vpasid(device, process);
			need(ioasid_device_attach_pasid(&vmm->device[device],
							vmm->process[process].ioasid,
							IOASID_ATTACH_PASID,
							&pasid),
			     "attach a PASID");
			printf(" process %d by PASID %u%s", process + 1, pasid,
			       process + 1 < PROCESSES ? "," : "\n");
		}
	}
}

/* Do the same on both devices for all processes, at once */
static void all_at_once(struct vmm *vmm, uint32_t op, bool other)
{
	int device, process;

	for (device = 0; device < DEVICES; device++)
		for (process = 0; process < PROCESSES; process++)
			start(vmm, device, process, op, SEED(process),
			      (other ? !device : device) * PART, PART);
	for (device = 0; device < DEVICES; device++)
		for (process = 0; process < PROCESSES; process++)
			expect_done(vmm, device, process);
}

static void work_at_once(struct vmm *vmm)
{
	int process, page;

	puts("Both devices write for all processes at once, all to the same addresses.");
	all_at_once(vmm, IOASID_MODEL_FILL, false);
	for (process = 0; process < PROCESSES; process++) {
		for (page = 0; page < PAGES; page++)
			expect_pattern(vmm, DATA(process, page), SEED(process),
				       page);
		if (vmm->process[process].paged_in < DEVICES * (PART - PRESENT))
			fail("process %d has pages that no device has asked for",
			     process + 1);
		printf("   process %d: %d pages have its pattern; %d of them were absent\n",
		       process + 1, PAGES, DEVICES * (PART - PRESENT));
	}
	puts("Each device reads what the other one has written.");
	all_at_once(vmm, IOASID_MODEL_VERIFY, true);
	puts("   each process sees its own memory, by both");
}

static void wrong_address(struct vmm *vmm)
{
	puts("Device 1 goes to an address that process 3 does not have.");
	start(vmm, 1, 2, IOASID_MODEL_VERIFY, SEED(2), 0, PAGES);
	start(vmm, 0, 3, IOASID_MODEL_VERIFY, SEED(3), 0, PAGES);
	start(vmm, 0, 2, IOASID_MODEL_FILL, SEED(2), NOWHERE, 1);
	expect_refused(vmm, 0, 2);
	expect_done(vmm, 1, 2);
	expect_done(vmm, 0, 3);
	puts("   its request is refused, and this access alone fails");
}

static void change_table(struct vmm *vmm)
{
	const uint32_t ioasid = vmm->process[0].ioasid;
	int device;

	puts("The guest puts another page into the table of process 1, and takes one away.");
	for (device = 0; device < DEVICES; device++)
		verify(vmm, device, 0, SEED(0), 0, 2);
	write_pattern(vmm, SPARE(0), NEW_SEED, 0);
	change(vmm, 0, 0, SPARE(0));
	change(vmm, 0, 1, 0);
	for (device = 0; device < DEVICES; device++)
		verify(vmm, device, 0, SEED(0), 0, 2);
	puts("   the devices have the old ones in their caches");
	guest_flush(vmm->ctx, ioasid, 0);
	guest_flush(vmm->ctx, ioasid, 1);
	for (device = 0; device < DEVICES; device++) {
		verify(vmm, device, 0, NEW_SEED, 0, 1);
		start(vmm, device, 0, IOASID_MODEL_VERIFY, SEED(0), 1, 1);
		expect_refused(vmm, device, 0);
		verify(vmm, device, 1, SEED(1), 0, PAGES);
	}
	puts("   it invalidates them: both devices see the new page, and neither the other one");
}

/* The guest has taken a page of process 1 to its disk: both devices ask for it */
static void serve_process_1(struct vmm *vmm, int first)
{
	const int page = PART;
	int device;

	guest_map(&vmm->guest, TABLE(0), page, 0);
	guest_flush(vmm->ctx, vmm->process[0].ioasid, page);
	vmm->process[0].paged_in = 0;
	for (device = first; device < DEVICES; device++)
		verify(vmm, device, 0, SEED(0), page, 1);
	if (!vmm->process[0].paged_in)
		fail("a page was there, and should have been absent");
}

static void tear_down(struct vmm *vmm)
{
	int device, process;

	puts("Both devices ask for pages of processes 2, 3 and 4; the guest takes its time.");
	for (device = 0; device < DEVICES; device++)
		for (process = 1; process < PROCESSES; process++)
			ask(vmm, device, process);
	read_waiting(vmm, DEVICES * 3 * ASKED);
	expect_unanswered(vmm, DEVICES * 3 * ASKED);
	printf("   %d requests wait\n", vmm->nr_waiting);

	puts("Process 2 ends on device 2.");
	need(ioasid_device_detach_pasid(&vmm->device[1], vpasid(1, 1)), "detach");
	answer_waiting(vmm, 1, 1, 0);
	expect_unanswered(vmm, 5 * ASKED);
	expect_blocked(vmm, 1, 1);
	answer_waiting(vmm, 0, 1, ASKED);
	verify(vmm, 0, 1, SEED(1), 0, PAGES);
	puts("   the kernel has answered its requests there; those of device 1 have waited");

	puts("The table of process 3 is unbound.");
	need(ioasid_unbind_pgtable(vmm->ctx, vmm->process[2].ioasid), "unbind");
	for (device = 0; device < DEVICES; device++) {
		expect_blocked(vmm, device, 2);
		answer_waiting(vmm, device, 2, ASKED);
	}
	serve_process_1(vmm, 0);
	puts("   no device reaches it; process 1 gets pages by both as before");

	puts("Device 1 goes.");
	ioasid_device_close(&vmm->device[0]);
	answer_waiting(vmm, 0, 3, 0);
	expect_unanswered(vmm, ASKED);
	answer_waiting(vmm, 1, 3, ASKED);
	verify(vmm, 1, 3, SEED(3), 0, PAGES);
	serve_process_1(vmm, 1);
	puts("   the kernel has answered its requests; device 2 works on for processes 1 and 4");
}

static void end(struct vmm *vmm)
{
	struct ioasid_model_inspect look;
	int process;

	puts("All ends, with requests that were not even read.");
	ask(vmm, 1, 0);
	ask(vmm, 1, 3);
	ioasid_device_close(&vmm->device[1]);
	expect_unanswered(vmm, 0);
	for (process = 0; process < PROCESSES; process++)
		need(ioasid_free(vmm->ctx, vmm->process[process].ioasid), "free");
	need(ioasid_free(vmm->ctx, vmm->gpa), "free");
	need(ioasid_free(vmm->ctx, vmm->queue), "free the queue");
	close(vmm->queue_fd);
	close(vmm->ctx);
	look = inspect(vmm);
	if (look.counters.attached || look.counters.domains ||
	    look.lost_pages || look.counters.ledger_pages)
		fail("the IOMMU still has something");
	printf("   %llu requests, and as many answers; the IOMMU has nothing left\n",
	       (unsigned long long)look.counters.requests);
	close(vmm->control);
}

int main(void)
{
	static struct vmm vmm;

	begin(&vmm);
	begin_processes(&vmm);
	begin_devices(&vmm);
	work_at_once(&vmm);
	wrong_address(&vmm);
	change_table(&vmm);
	tear_down(&vmm);
	end(&vmm);
	puts("vsva-demo: each process was seen by its own PASIDs, and each request has its answer");
	return 0;
}
