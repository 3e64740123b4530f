/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's "edu" device: 4 KiB of memory of its own, and a DMA engine that
 * copies between them and the bus, one transfer of about 100 ms at a time.
 *
 * QEMU 7.2 takes a transfer that ends with the last byte of the device's
 * memory for an overrun and aborts: use at most EDU_MAX bytes.
 */
#ifndef __SELFTESTS_IOASID_EDU_H
#define __SELFTESTS_IOASID_EDU_H

#include <errno.h>
#include <stdint.h>
#include <unistd.h>
#include <sys/mman.h>

#include "vfio_pci.h"

#define EDU_MAX 4092

#define EDU_ID 0x00
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_RAISE 0x60
#define EDU_IRQ_ACK 0x64
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98

#define EDU_DMA_RUN 1
#define EDU_DMA_STORE 2

/* Address of the device's own memory, for the DMA engine. */
#define EDU_BUF 0x40000

struct edu {
	void *regs;
	__u64 size;
};

static inline uint32_t edu_read(struct edu *edu, unsigned int reg)
{
	return __atomic_load_n((uint32_t *)(edu->regs + reg), __ATOMIC_ACQUIRE);
}

static inline void edu_write(struct edu *edu, unsigned int reg, uint32_t value)
{
	__atomic_store_n((uint32_t *)(edu->regs + reg), value,
			 __ATOMIC_RELEASE);
}

static inline void edu_write64(struct edu *edu, unsigned int reg,
			       uint64_t value)
{
	__atomic_store_n((uint64_t *)(edu->regs + reg), value,
			 __ATOMIC_RELEASE);
}

static inline void edu_close(struct edu *edu)
{
	if (edu->regs)
		munmap(edu->regs, edu->size);
	edu->regs = NULL;
}

static inline int edu_wait(struct edu *edu)
{
	int i;

	for (i = 0; i < 20000; i++) {
		if (!(edu_read(edu, EDU_DMA_CMD) & EDU_DMA_RUN))
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

static inline int edu_open(struct edu *edu, int device)
{
	int rc;

	rc = vfio_pci_map_bar(device, 0, &edu->regs, &edu->size);
	if (rc) {
		edu->regs = NULL;
		return rc;
	}
	/*
	 * A reset does not stop a transfer of an earlier user: wait for its
	 * end.
	 */
	rc = edu_wait(edu);
	if (!rc)
		rc = vfio_pci_enable(device);
	if (!rc && (edu_read(edu, EDU_ID) & 0xff) != 0xed)
		rc = -ENODEV;
	if (rc)
		edu_close(edu);
	return rc;
}

static inline void edu_start(struct edu *edu, uint64_t src, uint64_t dst,
			     unsigned int length, unsigned int flags)
{
	edu_write64(edu, EDU_DMA_SRC, src);
	edu_write64(edu, EDU_DMA_DST, dst);
	edu_write64(edu, EDU_DMA_COUNT, length);
	edu_write64(edu, EDU_DMA_CMD, EDU_DMA_RUN | flags);
}

/* Make the device read @length bytes at @iova into its memory at @offset. */
static inline int edu_load(struct edu *edu, uint64_t iova, unsigned int offset,
			   unsigned int length)
{
	edu_start(edu, iova, EDU_BUF + offset, length, 0);
	return edu_wait(edu);
}

/* Make the device write @length bytes of its memory at @offset to @iova. */
static inline int edu_store(struct edu *edu, uint64_t iova, unsigned int offset,
			    unsigned int length)
{
	edu_start(edu, EDU_BUF + offset, iova, length, EDU_DMA_STORE);
	return edu_wait(edu);
}

#endif /* __SELFTESTS_IOASID_EDU_H */
