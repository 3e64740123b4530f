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

#define EDU_IRQ_RAISE 0x60
#define EDU_IRQ_ACK 0x64
#define EDU_DMA_STORE 2

/* Address of the device's own memory, for the DMA engine. */
#define EDU_BUF 0x40000

struct edu {
	void *regs;
	__u64 size;
};

void edu_write(struct edu *edu, unsigned int reg, uint32_t value);
void edu_close(struct edu *edu);
int edu_open(struct edu *edu, int device);
void edu_start(struct edu *edu, uint64_t src, uint64_t dst, unsigned int length,
	       unsigned int flags);

/* Make the device read @length bytes at @iova into its memory at @offset. */
int edu_load(struct edu *edu, uint64_t iova, unsigned int offset,
	     unsigned int length);

/* Make the device write @length bytes of its memory at @offset to @iova. */
int edu_store(struct edu *edu, uint64_t iova, unsigned int offset,
	      unsigned int length);

#endif /* __SELFTESTS_IOASID_EDU_H */
