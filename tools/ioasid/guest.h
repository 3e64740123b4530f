/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest in small, for demos: its memory, page tables in it in the format of the
 * model IOMMU, and the registers of a model device.
 *
 * Where a function fails, it says so, and ends the program.
 */
#ifndef IOASID_GUEST_H
#define IOASID_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libioasid.h"
#include "ioasid_mock.h"

#define PAGE 4096ULL

/* Pages of a table, one for each level */
#define TABLE_PAGES 3

/* Where the guest has its memory, and where its devices see it */
#define GPA(page) (0x80000000ULL + (page) * PAGE)
#define VA(page) (0x40000000ULL + (page) * PAGE)

/**
 * struct guest - a guest
 * @memory: its memory, at GPA(0)
 */
struct guest {
	unsigned char *memory;
};

void fail(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* End the program if @ret is a negative errno */
void need(int ret, const char *what);

/* Memory of @pages pages, which is not mapped yet */
struct guest guest_memory(int pages);

/* Map pages of it for the devices */
void guest_map_memory(int ctx, uint32_t gpa, struct guest *guest, int page,
		      int pages);

/* Write a table to the pages from @table on, that has no page */
void guest_table(struct guest *guest, int table);

/* Make @page of the device's addresses the guest's page @gpa; 0: nothing */
void guest_map(struct guest *guest, int table, int page, uint64_t gpa);

/* An IOASID for a table of the guest's; its faults come to @queue, if not 0 */
uint32_t guest_child(int ctx, uint32_t gpa, uint32_t queue);

/* Let the devices of an IOASID use the table at this page */
void guest_bind(int ctx, uint32_t child, int table);

/* Invalidate what caches have of a page of the device's addresses */
void guest_flush(int ctx, uint32_t child, int page);

/* The control node of the models */
int model_open(void);

/*
 * Plug in a device with an IOMMU that has these MODEL_* flags; its number, and its name
 * in sysfs
 */
uint32_t model_plug(int control, uint32_t flags, char *name, size_t size);

/* Read or write a register of an open device, or its memory */
void model_rw(struct ioasid_device *dev, bool write, int region, uint64_t at,
	      void *data, size_t length);

/* Start DMA of a channel; with IOASID_MODEL_DMA_WAIT it has ended then */
void model_start(struct ioasid_device *dev, int channel,
		 struct ioasid_model_dma *dma);

struct ioasid_model_status model_status(struct ioasid_device *dev, int channel);

#endif /* IOASID_GUEST_H */
