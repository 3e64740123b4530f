// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

void fail(const char *format, ...)
{
	va_list args;

	printf("%s: ", program_invocation_short_name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	exit(1);
}

void need(int ret, const char *what)
{
	if (ret < 0)
		fail("%s: %s", what, strerror(-ret));
}

/* ---- The guest ---- */

struct guest guest_memory(int pages)
{
	struct guest guest = {
		.memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	};

	if (guest.memory == MAP_FAILED)
		fail("the guest's memory: %s", strerror(errno));
	return guest;
}

void guest_map_memory(int ctx, uint32_t gpa, struct guest *guest, int page,
		      int pages)
{
	__u64 iova = GPA(page);

	need(ioasid_map(ctx, gpa, guest->memory + page * PAGE, pages * PAGE,
			IOASID_MAP_READ | IOASID_MAP_WRITE | IOASID_MAP_FIXED,
			&iova), "map the guest's memory");
}

static uint64_t *entry(struct guest *guest, int page, int index)
{
	return (uint64_t *)(guest->memory + page * PAGE) + index;
}

void guest_map(struct guest *guest, int table, int page, uint64_t gpa)
{
	uint64_t word = gpa ? gpa | MODEL_S1_PRESENT | MODEL_S1_WRITE : 0;

	__atomic_store_n(entry(guest, table + 2, page), word, __ATOMIC_RELEASE);
}

void guest_table(struct guest *guest, int table)
{
	uint64_t flags = MODEL_S1_PRESENT | MODEL_S1_WRITE;

	memset(guest->memory + table * PAGE, 0, TABLE_PAGES * PAGE);
	*entry(guest, table, VA(0) >> 30) = GPA(table + 1) | flags;
	*entry(guest, table + 1, 0) = GPA(table + 2) | flags;
}

uint32_t guest_child(int ctx, uint32_t gpa, uint32_t queue)
{
	struct ioasid_alloc alloc = {
		.kind = IOASID_KIND_PGTABLE,
		.parent = gpa,
		.format = MODEL_HWPT_DATA_S1,
		.fault_queue = queue,
	};

	need(ioasid_alloc_full(ctx, &alloc), "an IOASID for a table of the guest's");
	return alloc.ioasid;
}

void guest_bind(int ctx, uint32_t child, int table)
{
	struct model_s1 data = { .root = GPA(table), .levels = TABLE_PAGES };

	need(ioasid_bind_pgtable(ctx, child, IOASID_BIND_REPLACE, &data,
				 sizeof(data)), "bind");
}

void guest_flush(int ctx, uint32_t child, int page)
{
	struct ioasid_invalidate inv = {
		.flags = IOASID_INVALIDATE_IOTLB | IOASID_INVALIDATE_DEVTLB |
			 IOASID_INVALIDATE_RANGE,
		.start = VA(page),
		.last = VA(page) + PAGE - 1,
	};

	need(ioasid_invalidate(ctx, child, 0, &inv, 1, NULL), "invalidate");
}

/* ---- The models ---- */

int model_open(void)
{
	int control = open(IOASID_MODEL_NODE, O_RDWR | O_CLOEXEC);

	if (control < 0)
		fail("%s: %s", IOASID_MODEL_NODE, strerror(errno));
	return control;
}

uint32_t model_plug(int control, uint32_t flags, char *name, size_t size)
{
	struct ioasid_model_create create = {
		.kind = IOASID_MODEL_PHYSICAL,
		.params = { .flags = flags, .pasid_bits = 10 },
	};

	if (ioctl(control, IOASID_MODEL_CREATE, &create))
		fail("the model device: %s", strerror(errno));
	snprintf(name, size, "/sys/devices/platform/%s", create.name);
	return create.id;
}

void model_rw(struct ioasid_device *dev, bool write, int region, uint64_t at,
	      void *data, size_t length)
{
	off_t offset = ((uint64_t)region << IOASID_MODEL_REGION_SHIFT) + at;
	ssize_t n = write ? pwrite(dev->fd, data, length, offset) :
			    pread(dev->fd, data, length, offset);

	if (n != (ssize_t)length)
		fail("a register of the device: %s", strerror(errno));
}

static uint64_t channel_at(int channel, uint64_t reg)
{
	return IOASID_MODEL_CHANNEL + channel * IOASID_MODEL_CHANNEL_SIZE + reg;
}

void model_start(struct ioasid_device *dev, int channel,
		 struct ioasid_model_dma *dma)
{
	model_rw(dev, true, IOASID_MODEL_REGS,
		 channel_at(channel, IOASID_MODEL_START), dma, sizeof(*dma));
}

struct ioasid_model_status model_status(struct ioasid_device *dev, int channel)
{
	struct ioasid_model_status status;

	model_rw(dev, false, IOASID_MODEL_REGS,
		 channel_at(channel, IOASID_MODEL_STATUS), &status,
		 sizeof(status));
	return status;
}
