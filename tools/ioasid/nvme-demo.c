// SPDX-License-Identifier: LGPL-2.1-only OR MIT
/*
 * nvme-demo: drive an NVMe disk from user space through /dev/ioasid, report
 * each step, and show how the IOMMU handles mistakes of the driver.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libioasid.h"
#include "nvme.h"

#define NR_QUEUES	2
#define BUFFER_SIZE	0x100000u
#define SMALL_SIZE	0x10000u
#define NR_PIECES	(BUFFER_SIZE / SMALL_SIZE)
#define NR_ROUNDS	4
#define PATTERN		0x5a
#define RW		(IOASID_MAP_READ | IOASID_MAP_WRITE)

/* Memory that is mapped for the disk. */
struct buffer {
	char *mem;
	size_t size;
	__u64 iova;
};

struct demo {
	int fd;
	__u32 ioasid;
	__u32 queue;			/* of faults, and its file; or 0 and -1 */
	int faults;
	struct ioasid_device dev;
	struct nvme nvme;
	struct buffer queues;
	struct buffer buffer;
	char expected[SMALL_SIZE];	/* the start of the disk */
	bool no_fault_log;
};

static unsigned int step;

#define title(...)					\
	do {						\
		printf("\n%u. ", ++step);		\
		printf(__VA_ARGS__);			\
		puts("");				\
		fflush(stdout);				\
	} while (0)

#define say(...)					\
	do {						\
		fputs("   ", stdout);			\
		printf(__VA_ARGS__);			\
		puts("");				\
		fflush(stdout);				\
	} while (0)

#define die(...)					\
	do {						\
		fputs("nvme-demo: ", stderr);		\
		fprintf(stderr, __VA_ARGS__);		\
		fputs("\n", stderr);			\
		exit(1);				\
	} while (0)

/* End the program with an error if -errno is returned. */
static int check(const char *what, int ret)
{
	if (ret < 0)
		die("%s: %s", what, strerror(-ret));
	return ret;
}

/* End the program if a command fails. */
static void check_nvme(const char *what, int status)
{
	if (check(what, status))
		die("%s: the disk says 0x%03x", what, status);
}

static void map_buffer(struct demo *d, struct buffer *b)
{
	check("map", ioasid_map(d->fd, d->ioasid, b->mem, b->size, RW, &b->iova));
}

static void make_buffer(struct demo *d, struct buffer *b, size_t size)
{
	b->size = size;
	b->mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->mem == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	map_buffer(d, b);
}

static void show_lines(FILE *file)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, file) > 0)
		printf("      %s", line);
	free(line);
	fflush(stdout);
}

static void show_state(int fd)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	if (!file)
		die("%s: %s", path, strerror(errno));
	say("The kernel tells of it in %s:", path);
	show_lines(file);
	fclose(file);

	if (system("command -v ioasidctl >/dev/null"))
		return;
	file = popen("ioasidctl", "r");
	if (!file)
		die("ioasidctl: %s", strerror(errno));
	say("And this is how ioasidctl shows it:");
	show_lines(file);
	if (pclose(file))
		die("ioasidctl failed");
}

/*
 * Move a piece of the disk from or to the start of the buffer: commands as
 * large as the controller takes, spread over the queues, all at once.
 */
static void transfer(struct demo *d, enum nvme_opcode opcode, __u64 lba,
		     size_t size, struct buffer *b)
{
	struct nvme *nvme = &d->nvme;
	unsigned int qids[BUFFER_SIZE / NVME_PAGE];
	unsigned int cids[BUFFER_SIZE / NVME_PAGE];
	unsigned int nr = 0, i, blocks;
	size_t offset = 0, len;

	for (; offset < size; offset += len, nr++) {
		len = size - offset;
		if (len > nvme->max_transfer)
			len = nvme->max_transfer;
		blocks = len / nvme->block_size;
		qids[nr] = 1 + nr % nvme->nr_io_queues;
		cids[nr] = check("submit", nvme_submit_rw(nvme, qids[nr], opcode, lba,
							  blocks, b->iova + offset));
		lba += blocks;
	}
	for (i = 0; i < nr; i++)
		check_nvme(opcode == NVME_READ ? "read" : "write",
			   nvme_wait(nvme, qids[i], cids[i], nvme->timeout_ms, NULL));
}

/* Read the whole disk into sha256sum. */
static void read_disk(struct demo *d, char digest[65])
{
	__u64 done, size = d->nvme.nr_blocks * d->nvme.block_size;
	char path[] = "/tmp/nvme-demo.XXXXXX", command[64];
	FILE *sum, *file;
	size_t len;
	int fd;

	fd = mkstemp(path);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	snprintf(command, sizeof(command), "sha256sum >%s", path);
	sum = popen(command, "w");
	if (!sum)
		die("sha256sum: %s", strerror(errno));
	for (done = 0; done < size; done += len) {
		len = size - done < BUFFER_SIZE ? size - done : BUFFER_SIZE;
		transfer(d, NVME_READ, done / d->nvme.block_size, len, &d->buffer);
		if (!done)
			memcpy(d->expected, d->buffer.mem, sizeof(d->expected));
		if (fwrite(d->buffer.mem, 1, len, sum) != len)
			die("sha256sum: %s", strerror(errno));
	}
	if (pclose(sum))
		die("sha256sum failed");
	file = fdopen(fd, "r");
	if (!file || fscanf(file, "%64[0-9a-f]", digest) != 1)
		die("sha256sum says nothing");
	fclose(file);
	unlink(path);
}

static void write_and_read_back(struct demo *d)
{
	static const char text[] = "written by nvme-demo through /dev/ioasid\n";
	__u64 lba = d->nvme.nr_blocks - SMALL_SIZE / d->nvme.block_size;
	char *mem = d->buffer.mem;
	size_t i;

	for (i = 0; i < SMALL_SIZE; i++)
		mem[i] = text[i % (sizeof(text) - 1)];
	transfer(d, NVME_WRITE, lba, SMALL_SIZE, &d->buffer);
	check_nvme("flush", nvme_flush(&d->nvme, 1));
	memset(mem, PATTERN, SMALL_SIZE);
	transfer(d, NVME_READ, lba, SMALL_SIZE, &d->buffer);
	for (i = 0; i < SMALL_SIZE; i++)
		if (mem[i] != text[i % (sizeof(text) - 1)])
			die("byte %zu read is not what was written", i);
}

/*
 * An IOASID maps all memory, which registers it.  Its child maps only the
 * memory that the disk needs, for as long as it is needed.
 */
static void read_by_reference(struct demo *d)
{
	struct ioasid_dma_op maps[NR_PIECES] = {}, unmaps[NR_PIECES] = {};
	struct buffer *q = &d->queues, piece;
	struct ioasid_info info;
	unsigned int i, round;
	__u32 child;

	check("alloc", ioasid_alloc_child(d->fd, d->ioasid, 0xc41d, &child));
	check("map", ioasid_map_parent(d->fd, child, q->iova, q->size,
				       RW | IOASID_MAP_FIXED, &q->iova));
	check("attach", ioasid_device_attach(&d->dev, child));
	for (round = 0; round < NR_ROUNDS; round++) {
		memset(d->buffer.mem, PATTERN, NR_PIECES * SMALL_SIZE);
		for (i = 0; i < NR_PIECES; i++)
			maps[i] = (struct ioasid_dma_op){
				.op = IOASID_DMA_OP_MAP,
				.flags = IOASID_MAP_WRITE,
				.addr = d->buffer.iova + i * SMALL_SIZE,
				.length = SMALL_SIZE,
			};
		check("batch", ioasid_batch(d->fd, child, maps, NR_PIECES, NULL));
		for (i = 0; i < NR_PIECES; i++) {
			piece = (struct buffer){
				.mem = d->buffer.mem + i * SMALL_SIZE,
				.size = SMALL_SIZE,
				.iova = maps[i].iova,
			};
			transfer(d, NVME_READ, 0, SMALL_SIZE, &piece);
			if (memcmp(piece.mem, d->expected, SMALL_SIZE))
				die("what was read by reference is not what is on the disk");
			unmaps[i] = (struct ioasid_dma_op){
				.op = IOASID_DMA_OP_UNMAP,
				.iova = maps[i].iova,
				.length = SMALL_SIZE,
			};
		}
		check("batch", ioasid_batch(d->fd, child, unmaps, NR_PIECES, NULL));
	}
	check("info", ioasid_get_info(d->fd, child, &info, NULL, 0));
	if (info.bytes_pinned || info.bytes_mapped != q->size)
		die("the child has %llu bytes pinned, %llu mapped", info.bytes_pinned,
		    info.bytes_mapped);
	say("IOASID %u is a child of IOASID %u, and maps what that has mapped. The disk", child,
	    d->ioasid);
	say("moved there for %u reads, each into memory that was mapped for it alone:",
	    NR_ROUNDS * NR_PIECES);
	say("%u calls mapped and unmapped it, nothing was pinned again, and the disk",
	    2 * NR_ROUNDS);
	say("reached no other buffer.");
	check("attach", ioasid_device_attach(&d->dev, d->ioasid));
	check("unmap", ioasid_unmap_all(d->fd, child, NULL));
	check("free", ioasid_free(d->fd, child));
}

/* Skip older records. -EPERM: only root may read the log. */
static int open_kernel_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == EPERM)
		return -EPERM;
	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		die("/dev/kmsg: %s", strerror(errno));
	return fd;
}

/* Words that the drivers of Intel, AMD, Arm and virtio log for a fault. */
static bool tells_of_fault(const char *line)
{
	static const char * const drivers[] = {
		"DMAR", "AMD-Vi", "arm-smmu", "virtio_iommu", NULL
	};
	size_t i;

	if (!strcasestr(line, "fault"))
		return false;
	for (i = 0; drivers[i]; i++)
		if (strstr(line, drivers[i]))
			return true;
	return false;
}

/* Show the log of the IOMMU driver; it may take a moment. */
static unsigned int show_faults(int log)
{
	unsigned int lines = 0, tries = 0;
	char record[8192], *line;
	bool quiet = false;
	ssize_t n;

	while (tries < 30) {
		n = read(log, record, sizeof(record) - 1);
		/* EPIPE: records were overwritten, and others follow. */
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0) {
			/* One line may come before the others. */
			if (lines && quiet)
				break;
			quiet = true;
			poll(NULL, 0, 100);
			tries++;
			continue;
		}
		quiet = false;
		record[n] = '\0';
		line = strchr(record, ';');
		if (!line || !tells_of_fault(line))
			continue;
		line++;
		line[strcspn(line, "\n")] = '\0';
		if (lines++ < 4)
			say("   %s", line);
	}
	return lines;
}

static void read_again(struct demo *d, struct buffer *b)
{
	memset(b->mem, PATTERN, SMALL_SIZE);
	transfer(d, NVME_READ, 0, SMALL_SIZE, b);
	if (memcmp(b->mem, d->expected, SMALL_SIZE))
		die("what is read now is not what is on the disk");
	say("Its first %u KiB can be read again, and are as they were.", SMALL_SIZE >> 10);
}

/* What the kernel tells the program itself; it may take a moment. */
static void show_records(const struct demo *d)
{
	struct ioasid_fault fault[4];
	struct pollfd ready = { .fd = d->faults, .events = POLLIN };
	int i, n;

	say("The queue of faults:");
	if (poll(&ready, 1, 3000) <= 0) {
		if (!d->no_fault_log)
			die("no fault in the queue");
		say("   (nothing)");
		return;
	}
	n = check("faults", ioasid_fault_read(d->faults, fault, 4));
	for (i = 0; i < n; i++) {
		if (fault[i].kind == IOASID_FAULT_LOST)
			say("   and %llu more", fault[i].lost);
		else
			say("   device %u, on IOASID %u, may not %s 0x%llx (reason 0x%llx)",
			    fault[i].devid, fault[i].ioasid,
			    fault[i].permission & IOASID_FAULT_WRITE ? "write to" : "read from",
			    fault[i].addr, fault[i].reason);
	}
}

/* Where no queue tells of faults. */
static void show_kernel_log(const struct demo *d, int log)
{
	if (log < 0) {
		say("The kernel log is for root only.");
		return;
	}
	say("The kernel log:");
	if (!show_faults(log)) {
		if (!d->no_fault_log)
			die("no IOMMU fault in the kernel log");
		say("   (nothing)");
	}
	close(log);
}

static void make_a_mistake(struct demo *d)
{
	struct buffer b;
	int log = -1, cid, status;
	size_t i;

	make_buffer(d, &b, SMALL_SIZE);
	memset(b.mem, PATTERN, b.size);
	if (d->faults < 0)
		log = open_kernel_log();

	cid = check("queue", nvme_queue_rw(&d->nvme, 1, NVME_READ, 0,
					   b.size / d->nvme.block_size, b.iova));
	check("unmap", ioasid_unmap(d->fd, d->ioasid, b.iova, b.size, NULL));
	nvme_ring(&d->nvme, 1);
	say("A read into IOVA 0x%llx is queued; the buffer is unmapped; now the", b.iova);
	say("disk is told to go.");
	status = nvme_wait(&d->nvme, 1, cid, 2000, NULL);
	if (status == -ETIMEDOUT)
		say("The disk does not answer any more.");
	else if (check("wait", status))
		say("The disk reports that the command failed: 0x%03x.", status);
	else
		say("The disk did not notice, and believes that all went well.");
	if (d->faults >= 0)
		show_records(d);
	else
		show_kernel_log(d, log);
	for (i = 0; i < b.size; i++)
		if (b.mem[i] != PATTERN)
			die("byte %zu of the unmapped buffer was changed", i);
	say("The IOMMU stopped the DMA: not a byte of the %zu KiB has changed.",
	    b.size >> 10);

	title("Recover");
	check_nvme("reset", nvme_reset(&d->nvme));
	map_buffer(d, &b);
	say("The controller was reset; the buffer is mapped again, at IOVA 0x%llx.",
	    b.iova);
	read_again(d, &b);
}

/* Without its queues, a disk can neither fetch commands nor complete them. */
static void make_a_worse_mistake(struct demo *d)
{
	struct buffer *q = &d->queues;
	int cid, status;

	check("unmap", ioasid_unmap(d->fd, d->ioasid, q->iova, q->size, NULL));
	cid = check("submit", nvme_submit_rw(&d->nvme, 1, NVME_READ, 0, 1,
					     d->buffer.iova));
	status = nvme_wait(&d->nvme, 1, cid, 2000, NULL);
	if (status == -EIO)
		say("The disk reports a fatal error.");
	else if (status == -ETIMEDOUT)
		say("The disk does not answer any more.");
	else
		die("the disk answers (%d), without memory to do so", status);

	title("Recover");
	check("map", ioasid_map(d->fd, d->ioasid, q->mem, q->size,
				RW | IOASID_MAP_FIXED, &q->iova));
	check_nvme("reset", nvme_reset(&d->nvme));
	say("The queues are mapped again, at IOVA 0x%llx as before; the controller", q->iova);
	say("was reset.");
	read_again(d, &d->buffer);
}

static void take_device(struct demo *d, const char *name)
{
	int ret;

	title("Open /dev/ioasid, and bind the disk to it");
	d->fd = check("/dev/ioasid", ioasid_open());
	ret = ioasid_device_open(d->fd, name, 0xd15c, &d->dev);
	if (ret == -ENODEV)
		die("%s: there is no such device, or vfio-pci has not got it", name);
	check(name, ret);
	say("%s is device %u of this file. Its DMA is blocked: it reaches", d->dev.name,
	    d->dev.id);
	say("no memory at all.");
}

static void make_queue(struct demo *d)
{
	struct ioasid_check_extension extension = {
		.argsz = sizeof(extension),
		.extension = IOASID_EXT_UNREPAIRABLE,
	};

	d->faults = -1;
	if (ioctl(d->fd, IOASID_CHECK_EXTENSION, &extension) <= 0)
		return;
	d->faults = check("queue", ioasid_fault_queue_open(d->fd, 8, -1, 0xfa17,
							   &d->queue));
	say("Queue %u will tell of faults: what the disk does, and may not do.", d->queue);
}

static void make_space(struct demo *d)
{
	struct ioasid_alloc alloc = { .kind = IOASID_KIND_MAP, .cookie = 0xdee0 };

	title("Make an I/O address space, and map memory into it");
	make_queue(d);
	alloc.fault_queue = d->queue;
	check("alloc", ioasid_alloc_full(d->fd, &alloc));
	d->ioasid = alloc.ioasid;
	make_buffer(d, &d->queues, nvme_mem_size(NR_QUEUES));
	make_buffer(d, &d->buffer, BUFFER_SIZE);
	say("IOASID %u: queues, %4zu KiB at IOVA 0x%llx", d->ioasid,
	    d->queues.size >> 10, d->queues.iova);
	say("          buffer, %4zu KiB at IOVA 0x%llx", d->buffer.size >> 10,
	    d->buffer.iova);
}

static void attach(struct demo *d)
{
	title("Attach the disk to the address space");
	check("attach", ioasid_device_attach(&d->dev, d->ioasid));
	say("It now reaches these %zu KiB, and nothing else.",
	    (d->queues.size + d->buffer.size) >> 10);
	show_state(d->fd);
}

static void start(struct demo *d)
{
	struct nvme *nvme = &d->nvme;

	title("Start the controller");
	check("start", nvme_start(nvme, d->dev.fd, d->queues.mem, d->queues.iova,
				  NR_QUEUES, 0));
	say("%s, serial number %s: %llu blocks of %u bytes.", nvme->model, nvme->serial,
	    nvme->nr_blocks, nvme->block_size);
	say("%u I/O queues, each with an interrupt.", nvme->nr_io_queues);
	if (nvme->nr_blocks * nvme->block_size < 2 * SMALL_SIZE)
		die("the disk is too small");
}

static void stop(struct demo *d)
{
	struct ioasid_info info;

	nvme_stop(&d->nvme);
	check("detach", ioasid_device_detach(&d->dev));
	ioasid_device_close(&d->dev);
	check("unmap", ioasid_unmap_all(d->fd, d->ioasid, NULL));
	check("info", ioasid_get_info(d->fd, d->ioasid, &info, NULL, 0));
	if (info.bytes_mapped || info.bytes_pinned || info.nr_devices)
		die("%llu bytes are still mapped, %llu pinned, %u devices attached",
		    info.bytes_mapped, info.bytes_pinned, info.nr_devices);
	check("free", ioasid_free(d->fd, d->ioasid));
	if (d->faults >= 0) {
		check("free", ioasid_free(d->fd, d->queue));
		close(d->faults);
	}
	close(d->fd);
}

int main(int argc, char **argv)
{
	static struct demo d;
	char digest[65];

	if (argc > 1 && !strcmp(argv[1], "-n")) {
		d.no_fault_log = true;
		argc--;
		argv++;
	}
	if (argc < 2 || argc > 3 || argv[1][0] == '-') {
		fprintf(stderr,
			"usage: nvme-demo [-n] DEVICE [SHA256]\n"
			"Reads all of the NVMe disk DEVICE (a PCI address; the device must have been\n"
			"given to vfio-pci), compares its SHA-256, and OVERWRITES its last %u KiB.\n"
			"  -n    do not insist on an IOMMU fault in the kernel log; QEMU's AMD IOMMU\n"
			"        reports none\n",
			SMALL_SIZE >> 10);
		return 2;
	}
	printf("A disk driver in user space, on /dev/ioasid\n");
	take_device(&d, argv[1]);
	make_space(&d);
	attach(&d);
	start(&d);

	title("Read the whole disk, %llu KiB",
	      d.nvme.nr_blocks * d.nvme.block_size >> 10);
	read_disk(&d, digest);
	say("SHA-256 of what was read: %s", digest);
	if (argc == 3) {
		if (strcmp(digest, argv[2]))
			die("it should be %s", argv[2]);
		say("That is what it should be.");
	}

	title("Write the last %u KiB, and read them back", SMALL_SIZE >> 10);
	write_and_read_back(&d);
	say("What was read is what was written.");

	title("Map by reference: memory is registered once, and mapped for each read");
	read_by_reference(&d);

	title("Make a mistake: unmap a buffer that the disk is about to write to");
	make_a_mistake(&d);

	title("Make a worse mistake: unmap the queues, and send a command");
	make_a_worse_mistake(&d);

	title("Stop the controller, detach, unmap, close");
	stop(&d);
	say("Nothing is left behind. All went well.");
	return 0;
}
