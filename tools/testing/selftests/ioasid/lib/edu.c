// SPDX-License-Identifier: GPL-2.0-only
#include "edu.h"

#define EDU_ID 0x00
#define EDU_IRQ_STATUS 0x24
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98

#define EDU_DMA_RUN 1

static uint32_t edu_read(struct edu *edu, unsigned int reg)
{
	return __atomic_load_n((uint32_t *)(edu->regs + reg), __ATOMIC_ACQUIRE);
}

void edu_write(struct edu *edu, unsigned int reg, uint32_t value)
{
	__atomic_store_n((uint32_t *)(edu->regs + reg), value,
			 __ATOMIC_RELEASE);
}

static void edu_write64(struct edu *edu, unsigned int reg, uint64_t value)
{
	__atomic_store_n((uint64_t *)(edu->regs + reg), value,
			 __ATOMIC_RELEASE);
}

void edu_close(struct edu *edu)
{
	if (edu->regs)
		munmap(edu->regs, edu->size);
	edu->regs = NULL;
}

static int edu_wait(struct edu *edu)
{
	int i;

	for (i = 0; i < 20000; i++) {
		if (!(edu_read(edu, EDU_DMA_CMD) & EDU_DMA_RUN))
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

int edu_open(struct edu *edu, int device)
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

void edu_start(struct edu *edu, uint64_t src, uint64_t dst, unsigned int length,
	       unsigned int flags)
{
	edu_write64(edu, EDU_DMA_SRC, src);
	edu_write64(edu, EDU_DMA_DST, dst);
	edu_write64(edu, EDU_DMA_COUNT, length);
	edu_write64(edu, EDU_DMA_CMD, EDU_DMA_RUN | flags);
}

int edu_load(struct edu *edu, uint64_t iova, unsigned int offset,
	     unsigned int length)
{
	edu_start(edu, iova, EDU_BUF + offset, length, 0);
	return edu_wait(edu);
}

int edu_store(struct edu *edu, uint64_t iova, unsigned int offset,
	      unsigned int length)
{
	edu_start(edu, EDU_BUF + offset, iova, length, EDU_DMA_STORE);
	return edu_wait(edu);
}
