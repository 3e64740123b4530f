/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IOASIDs that mirror a process, and DMA of model devices that request pages there.
 */
#ifndef __SELFTESTS_IOASID_PROCESS_H
#define __SELFTESTS_IOASID_PROCESS_H

#include "faults.h"
#include "model.h"

#define PROCESS_WINDOW (2UL << 20)

/* Properties of an IOMMU whose devices can use the memory of a process */
#define PROCESS_PARAMS { .flags = MODEL_PRI | MODEL_ATS, .pasid_bits = 8 }

/* An IOASID that mirrors the caller */
int process_alloc(int ctx, __u32 *id);

/* Bind if need be, and attach: by requester id, if @pasid is 0 */
int process_attach(struct model_device *dev, __u32 id, __u32 pasid);
int process_detach(struct model_device *dev, __u32 pasid);

/*
 * Plug two devices, at an IOMMU each, and attach them by the PASIDs 1 and 2.  One
 * forgets translations by itself.
 */
int process_attach_two(struct model *model, struct model_device *dev, __u32 id);

/* In a FIXTURE_TEARDOWN(): each request has its answer, no harm was done; remove a device */
#define PROCESS_REMOVE(dev)						\
do {									\
	struct model_device *___dev = (dev);				\
	const char *__unanswered;					\
									\
	model_release(___dev);						\
	__unanswered = fault_unanswered(___dev, 0);			\
	EXPECT_EQ(NULL, __unanswered) TH_LOG("%s", __unanswered);	\
	MODEL_REMOVE(___dev);						\
} while (0)

/* Memory that begins where a window does, and is not huge */
char *process_memory(unsigned long size);

/*
 * DMA to or from a page, and wait for its end.  0; the reason why it failed, enum
 * model_reason; -EILSEQ, a VERIFY found something else; or another -errno.
 */
int process_dma(struct model_device *dev, __u32 op, __u32 pasid, const void *page,
		__u64 seed);

/* The device writes a pattern to pages, and the process finds it there */
bool process_writes(struct model_device *dev, __u32 pasid, char *p,
		    unsigned int pages, __u64 seed);

/* The process writes a pattern to pages, and the device finds it there */
bool process_reads(struct model_device *dev, __u32 pasid, char *p,
		   unsigned int pages, __u64 seed);

/*
 * The device writes to @count places, @stride bytes apart, whether they are there or
 * not, again and again until model_stop() of channel 1.
 */
int process_hammer(struct model_device *dev, __u32 pasid, const char *p,
		   __u64 stride, __u64 count, __u64 seed);

/* Number of pages that the device has requested */
__u64 process_requests(struct model_device *dev);

#endif /* __SELFTESTS_IOASID_PROCESS_H */
