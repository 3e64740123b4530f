/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For fixtures whose device @dev requests pages of @id, to which it is attached by
 * @pasid, or by requester id if that is 0.
 */
#ifndef __SELFTESTS_IOASID_PROCESS_FIXTURE_H
#define __SELFTESTS_IOASID_PROCESS_FIXTURE_H

#include "process.h"

/* Of what devices write; what the process writes has the next one */
#define SEED 21

#define ATTACH() ASSERT_EQ(0, process_attach(&self->dev, self->id, self->pasid))
#define DMA(op, p) process_dma(&self->dev, IOASID_MODEL_##op, self->pasid, p, SEED)
#define WRITES(p, pages) \
	EXPECT_TRUE(process_writes(&self->dev, self->pasid, p, pages, SEED))
#define READS(p, pages) \
	EXPECT_TRUE(process_reads(&self->dev, self->pasid, p, pages, SEED + 1))

/* The kernel says so, in place of the device's patience */
#define REFUSED(op, p)							\
do {									\
	__u64 __before = fault_responses(&self->dev, IOASID_MODEL_INVALID); \
									\
	EXPECT_EQ(MODEL_PAGE_REQUEST, DMA(op, p));			\
	EXPECT_EQ(__before + 1,						\
		  fault_responses(&self->dev, IOASID_MODEL_INVALID));	\
} while (0)

#endif /* __SELFTESTS_IOASID_PROCESS_FIXTURE_H */
