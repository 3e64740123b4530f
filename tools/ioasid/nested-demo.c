// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMM in small: a guest has memory, and writes page tables in it for a device that
 * it was given; the IOMMU walks the guest's table first, and then that of the VMM.
 *
 * The device and the IOMMU are models, of the module ioasid_mock: see its
 * ioasid_mock.h.  What the VMM does is what it would do with any other.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

/* Pages of the guest's memory; a table has three of them, one for each level */
#define GUEST_PAGES 64
#define TABLE_1 0
#define TABLE_2 3
#define LETTERS 16
#define TAKEN (LETTERS + 25)

/* ---- The device ---- */

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
	unsigned char byte;

	model_start(dev, 0, &dma);
	if (model_status(dev, 0).fault)
		return -1;
	model_rw(dev, false, IOASID_MODEL_MEMORY, 0, &byte, 1);
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

/* ---- The VMM ---- */

/* The pages that the VMM can take away by themselves are mappings of their own */
static struct guest make_guest(int ctx, uint32_t gpa)
{
	struct guest guest = guest_memory(GUEST_PAGES);
	int i;

	for (i = 0; i < 26; i++)
		memset(guest.memory + (LETTERS + i) * PAGE, 'A' + i, PAGE);
	guest_map_memory(ctx, gpa, &guest, 0, TAKEN);
	guest_map_memory(ctx, gpa, &guest, TAKEN, 1);
	guest_map_memory(ctx, gpa, &guest, TAKEN + 1,
			 GUEST_PAGES - TAKEN - 1);
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
	control = model_open();
	model_plug(control, MODEL_NESTING | MODEL_ATS, name, sizeof(name));

	puts("The VMM maps the guest's memory: one IOASID, whose addresses are the guest's.");
	need(ioasid_alloc_nest_parent(ctx, 0, &gpa), "an IOASID for the guest");
	guest = make_guest(ctx, gpa);
	printf("   %llu KiB at %#llx\n", GUEST_PAGES * PAGE / 1024, GPA(0));

	puts("It gives a device to the guest: attached, and blocked until there is a table.");
	need(ioasid_device_open(ctx, name, 0, &dev), "open the device");
	child = guest_child(ctx, gpa, 0);
	need(ioasid_device_attach(&dev, child), "attach");
	expect(&dev, 0, VA(0), -1);

	puts("The guest writes a page table in its memory, and its virtual IOMMU hands it over.");
	guest_table(&guest, TABLE_1);
	guest_map(&guest, TABLE_1, 0, GPA(LETTERS + 0));
	guest_map(&guest, TABLE_1, 1, GPA(LETTERS + 1));
	guest_bind(ctx, child, TABLE_1);
	expect(&dev, 0, VA(0), 'A');
	expect(&dev, 0, VA(1), 'B');
	expect(&dev, 0, VA(2), -1);

	puts("The guest changes an entry, which the IOMMU caches until it is invalidated.");
	guest_map(&guest, TABLE_1, 0, GPA(LETTERS + 24));
	expect(&dev, 0, VA(0), 'A');
	guest_flush(ctx, child, 0);
	expect(&dev, 0, VA(0), 'Y');

	puts("The guest's table lies: it has an address that the guest does not have.");
	guest_map(&guest, TABLE_1, 1, GPA(GUEST_PAGES));
	guest_flush(ctx, child, 1);
	expect(&dev, 0, VA(1), -1);

	puts("A process in the guest has the device, too, by a PASID, with a table of its own.");
	guest_table(&guest, TABLE_2);
	guest_map(&guest, TABLE_2, 0, GPA(TAKEN));
	process = guest_child(ctx, gpa, 0);
	guest_bind(ctx, process, TABLE_2);
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
