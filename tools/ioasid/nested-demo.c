// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMM in small: a guest has memory, and writes page tables in it for a device that
 * it was given; the IOMMU walks the guest's table first, and then that of the VMM.
 *
 * The device and the IOMMU are models, of the module ioasid_mock: see its
 * ioasid_mock.h.  What the VMM does is what it would do with any other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libioasid.h"
#include "ioasid_mock.h"

#define PAGE 4096ULL
#define ENTRIES 512

/* Pages of the guest's memory; a table has three of them, one for each level */
#define GUEST_PAGES 64
#define TABLE_1 0
#define TABLE_2 3
#define LETTERS 16
#define TAKEN (LETTERS + 25)

/* Where the guest has its memory, and where its device sees it */
#define GPA(page) (0x80000000ULL + (page) * PAGE)
#define VA(page) (0x40000000ULL + (page) * PAGE)

struct guest {
	unsigned char *memory;
};

static void fail(const char *format, ...)
{
	va_list args;

	printf("nested-demo: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	exit(1);
}

static void need(int ret, const char *what)
{
	if (ret < 0)
		fail("%s: %s", what, strerror(-ret));
}

/* ---- The guest ---- */

static uint64_t *entry(struct guest *guest, int page, int index)
{
	return (uint64_t *)(guest->memory + page * PAGE) + index;
}

/* Make @page of the device's addresses the guest's page @gpa; 0: nothing */
static void guest_map(struct guest *guest, int table, int page, uint64_t gpa)
{
	uint64_t word = gpa ? gpa | MODEL_S1_PRESENT | MODEL_S1_WRITE : 0;

	__atomic_store_n(entry(guest, table + 2, page), word, __ATOMIC_RELEASE);
}

static void guest_table(struct guest *guest, int table)
{
	uint64_t flags = MODEL_S1_PRESENT | MODEL_S1_WRITE;

	memset(guest->memory + table * PAGE, 0, 3 * PAGE);
	*entry(guest, table, VA(0) >> 30) = GPA(table + 1) | flags;
	*entry(guest, table + 1, 0) = GPA(table + 2) | flags;
}

/* ---- The device ---- */

static void device_rw(int fd, bool write, int region, uint64_t at, void *data,
		      size_t length)
{
	off_t offset = ((uint64_t)region << IOASID_MODEL_REGION_SHIFT) + at;
	ssize_t n = write ? pwrite(fd, data, length, offset) :
			    pread(fd, data, length, offset);

	if (n != (ssize_t)length)
		fail("a register of the device: %s", strerror(errno));
}

/* What the device reads there, with a PASID, or without if that is 0; -1: it faults */
static int device_reads(struct ioasid_device *dev, uint32_t pasid, uint64_t addr)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_READ,
		.flags = IOASID_MODEL_DMA_WAIT | IOASID_MODEL_DMA_ATS |
			 (pasid ? IOASID_MODEL_DMA_PASID : 0),
		.pasid = pasid,
		.threads = 1,
		.address = addr,
		.length = 1,
		.count = 1,
	};
	struct ioasid_model_status status;
	unsigned char byte;

	device_rw(dev->fd, true, IOASID_MODEL_REGS,
		  IOASID_MODEL_CHANNEL + IOASID_MODEL_START, &dma, sizeof(dma));
	device_rw(dev->fd, false, IOASID_MODEL_REGS,
		  IOASID_MODEL_CHANNEL + IOASID_MODEL_STATUS, &status,
		  sizeof(status));
	if (status.fault)
		return -1;
	device_rw(dev->fd, false, IOASID_MODEL_MEMORY, 0, &byte, 1);
	return byte;
}

static void expect(struct ioasid_device *dev, uint32_t pasid, uint64_t addr,
		   int want)
{
	int got = device_reads(dev, pasid, addr);

	printf("   the device reads %#llx", (unsigned long long)addr);
	if (pasid)
		printf(" with PASID %u", pasid);
	if (got < 0)
		printf(": the IOMMU stops it\n");
	else
		printf(": '%c'\n", got);
	if (got != want)
		fail("that is wrong");
}

/* A device, with an IOMMU that walks two stages and knows PASIDs */
static void plug(int control, char *name, size_t size)
{
	struct ioasid_model_create create = {
		.kind = IOASID_MODEL_PHYSICAL,
		.params = {
			.flags = MODEL_NESTING | MODEL_ATS,
			.pasid_bits = 10,
		},
	};

	if (ioctl(control, IOASID_MODEL_CREATE, &create))
		fail("the model device: %s", strerror(errno));
	snprintf(name, size, "/sys/devices/platform/%s", create.name);
}

/* ---- The VMM ---- */

static void flush(int ctx, uint32_t child, int page)
{
	struct ioasid_invalidate inv = {
		.flags = IOASID_INVALIDATE_IOTLB | IOASID_INVALIDATE_DEVTLB |
			 IOASID_INVALIDATE_RANGE,
		.start = VA(page),
		.last = VA(page) + PAGE - 1,
	};

	need(ioasid_invalidate(ctx, child, 0, &inv, 1, NULL), "invalidate");
}

static uint32_t guest_child(int ctx, uint32_t gpa)
{
	uint32_t child;

	need(ioasid_alloc_table(ctx, IOASID_KIND_PGTABLE, gpa, MODEL_HWPT_DATA_S1,
				0, &child), "an IOASID for a table of the guest's");
	return child;
}

static void bind_table(int ctx, uint32_t child, int table)
{
	struct model_s1 data = { .root = GPA(table), .levels = 3 };

	need(ioasid_bind_pgtable(ctx, child, IOASID_BIND_REPLACE, &data,
				 sizeof(data)), "bind");
}

/* The pages that the VMM can take away by themselves are mappings of their own */
static void map_guest(int ctx, uint32_t gpa, struct guest *guest, int page,
		      int pages)
{
	__u64 iova = GPA(page);

	need(ioasid_map(ctx, gpa, guest->memory + page * PAGE, pages * PAGE,
			IOASID_MAP_READ | IOASID_MAP_WRITE | IOASID_MAP_FIXED,
			&iova), "map the guest's memory");
}

static struct guest make_guest(int ctx, uint32_t gpa)
{
	struct guest guest;
	int i;

	guest.memory = mmap(NULL, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (guest.memory == MAP_FAILED)
		fail("the guest's memory: %s", strerror(errno));
	for (i = 0; i < 26; i++)
		memset(guest.memory + (LETTERS + i) * PAGE, 'A' + i, PAGE);
	map_guest(ctx, gpa, &guest, 0, TAKEN);
	map_guest(ctx, gpa, &guest, TAKEN, 1);
	map_guest(ctx, gpa, &guest, TAKEN + 1, GUEST_PAGES - TAKEN - 1);
	return guest;
}

int main(void)
{
	uint32_t gpa, child, process, pasid = 0;
	struct ioasid_device dev;
	struct guest guest;
	char name[128];
	int ctx, control;

	ctx = ioasid_open();
	need(ctx, "/dev/ioasid");
	control = open(IOASID_MODEL_NODE, O_RDWR | O_CLOEXEC);
	if (control < 0)
		fail("%s: %s", IOASID_MODEL_NODE, strerror(errno));
	plug(control, name, sizeof(name));

	puts("The VMM maps the guest's memory: one IOASID, whose addresses are the guest's.");
	need(ioasid_alloc_nest_parent(ctx, 0, &gpa), "an IOASID for the guest");
	guest = make_guest(ctx, gpa);
	printf("   %llu KiB at %#llx\n", GUEST_PAGES * PAGE / 1024, GPA(0));

	puts("It gives a device to the guest: attached, and blocked until there is a table.");
	need(ioasid_device_open(ctx, name, 0, &dev), "open the device");
	child = guest_child(ctx, gpa);
	need(ioasid_device_attach(&dev, child), "attach");
	expect(&dev, 0, VA(0), -1);

	puts("The guest writes a page table in its memory, and its virtual IOMMU hands it over.");
	guest_table(&guest, TABLE_1);
	guest_map(&guest, TABLE_1, 0, GPA(LETTERS + 0));
	guest_map(&guest, TABLE_1, 1, GPA(LETTERS + 1));
	bind_table(ctx, child, TABLE_1);
	expect(&dev, 0, VA(0), 'A');
	expect(&dev, 0, VA(1), 'B');
	expect(&dev, 0, VA(2), -1);

	puts("The guest changes an entry, which the IOMMU caches until it is invalidated.");
	guest_map(&guest, TABLE_1, 0, GPA(LETTERS + 24));
	expect(&dev, 0, VA(0), 'A');
	flush(ctx, child, 0);
	expect(&dev, 0, VA(0), 'Y');

	puts("The guest's table lies: it has an address that the guest does not have.");
	guest_map(&guest, TABLE_1, 1, GPA(GUEST_PAGES));
	flush(ctx, child, 1);
	expect(&dev, 0, VA(1), -1);

	puts("A process in the guest has the device, too, by a PASID, with a table of its own.");
	guest_table(&guest, TABLE_2);
	guest_map(&guest, TABLE_2, 0, GPA(TAKEN));
	process = guest_child(ctx, gpa);
	bind_table(ctx, process, TABLE_2);
	need(ioasid_device_attach_pasid(&dev, process, IOASID_ATTACH_PASID_ANY,
					&pasid), "attach a PASID");
	expect(&dev, pasid, VA(0), 'Z');
	expect(&dev, 0, VA(0), 'Y');
	expect(&dev, pasid + 1, VA(0), -1);

	puts("The VMM takes a page from the guest: no table of the guest's reaches it.");
	need(ioasid_unmap(ctx, gpa, GPA(TAKEN), PAGE, NULL), "unmap");
	expect(&dev, pasid, VA(0), -1);
	expect(&dev, 0, VA(0), 'Y');

	puts("It ends: the PASID, the tables, the device.");
	need(ioasid_device_detach_pasid(&dev, pasid), "detach the PASID");
	expect(&dev, pasid, VA(0), -1);
	need(ioasid_unbind_pgtable(ctx, child), "unbind");
	expect(&dev, 0, VA(0), -1);
	ioasid_device_close(&dev);
	need(ioasid_free(ctx, process), "free");
	need(ioasid_free(ctx, child), "free");
	need(ioasid_free(ctx, gpa), "free");
	close(control);
	close(ctx);
	puts("nested-demo: the device reached what both stages permit, and nothing else");
	return 0;
}
