/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An emulated device that is attached, and memory for it to see. Needs the module
 * ioasid_mock.
 */
#ifndef __SELFTESTS_IOASID_HW_EMULATED_H
#define __SELFTESTS_IOASID_HW_EMULATED_H

#include "ioasid_test.h"
#include "dut.h"
#include "mock.h"

#define PG page_size
#define NR_PAGES 16
#define BASE TEST_IOVA

/* Maximum wait of the kernel for a driver: 5 seconds, and only if needed. */
#define PATIENCE_MS 5000
#define DELAY_MS 300

#define PINS(fd) (mock_status(fd).pins)
#define UNMAPS(fd) (mock_status(fd).unmaps)

/* Fill pages of memory, each with a pattern of its own. */
static inline void fill_pages(char *mem, int nr, unsigned int seed)
{
	int i;

	for (i = 0; i < nr; i++)
		dut_fill(mem + i * PG, PG, seed + i);
}

/* Whether the device sees the pattern, by its pins or without. */
static inline bool sees(int fd, __u32 op, __u64 iova, unsigned int seed)
{
	char buf[0x1000];

	memset(buf, 0, sizeof(buf));
	return !mock_get(fd, op, 0, iova, buf, sizeof(buf)) &&
	       dut_holds(buf, sizeof(buf), seed);
}

static inline bool sees_pinned(int fd, __u64 iova, unsigned int seed)
{
	return sees(fd, IOASID_MOCK_READ_PINNED, iova, seed);
}

static inline bool sees_mapped(int fd, __u64 iova, unsigned int seed)
{
	return sees(fd, IOASID_MOCK_READ, iova, seed);
}

FIXTURE(hw_emulated)
{
	int ctx;
	__u32 id;
	int fd;
	__u32 devid;
	char *mem;
};

/* A device that is attached, and memory that is not mapped. */
FIXTURE_SETUP(hw_emulated)
{
	self->fd = -1;
	self->mem = NULL;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	if (mock_load())
		SKIP(return, "no ioasid_mock to emulate devices");
	self->mem = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	fill_pages(self->mem, NR_PAGES, 1);
	self->fd = mock_open(0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	ASSERT_EQ(0, hw_bind(self->fd, self->ctx, 0xe0, &self->devid));
	ASSERT_EQ(0, hw_attach(self->fd, self->id));
}

FIXTURE_TEARDOWN(hw_emulated)
{
	if (self->fd >= 0)
		close(self->fd);
	if (self->ctx >= 0)
		close(self->ctx);
	if (self->mem)
		munmap(self->mem, NR_PAGES * PG);
}

static inline int map(struct _test_data_hw_emulated *self, int first, int nr)
{
	return ia_map(self->ctx, self->id, BASE + first * PG,
		      self->mem + first * PG, nr * PG);
}

static inline int unmap(struct _test_data_hw_emulated *self, int first, int nr,
			__u64 *unmapped)
{
	return ia_unmap(self->ctx, self->id, BASE + first * PG, nr * PG,
			unmapped);
}

/* Unmap it from the middle of any mapping. */
static inline int cut(struct _test_data_hw_emulated *self, int first, int nr)
{
	return ia_unmap_full(self->ctx, self->id, IOASID_UNMAP_SPLIT,
			     BASE + first * PG, nr * PG, NULL);
}

#endif /* __SELFTESTS_IOASID_HW_EMULATED_H */
