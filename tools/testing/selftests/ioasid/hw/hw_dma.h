/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device of each type, bound to a context with an IOASID, to do DMA with.
 */
#ifndef __SELFTESTS_IOASID_HW_DMA_H
#define __SELFTESTS_IOASID_HW_DMA_H

#include "ioasid_test.h"
#include "dut.h"

#define NR_PAGES 64

FIXTURE(hw_dma)
{
	int ctx;
	__u32 id;
	struct dut dut;
	char *mem;
};

FIXTURE_VARIANT(hw_dma)
{
	const struct engine *engine;
};

FIXTURE_VARIANT_ADD(hw_dma, edu) { .engine = &engine_edu, };
FIXTURE_VARIANT_ADD(hw_dma, nvme) { .engine = &engine_nvme, };
FIXTURE_VARIANT_ADD(hw_dma, e1000e) { .engine = &engine_e1000e, };

FIXTURE_SETUP(hw_dma)
{
	int rc;

	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	/*
	 * Its resets take most of the time, and the kernel does not know it
	 * apart
	 */
	if (ia_slow_kernel() && variant->engine == &engine_e1000e)
		SKIP(return, "slow, and like the others");
	rc = dut_open(&self->dut, variant->engine, 0, 0);
	if (rc == -ENOENT)
		SKIP(return, "no %s behind an IOMMU", variant->engine->name);
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(NR_PAGES * page_size);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, NR_PAGES * page_size);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 0x1234));
}

FIXTURE_TEARDOWN(hw_dma)
{
	dut_close(&self->dut);
	close(self->ctx);
}

#define ATTACH() ASSERT_EQ(0, dut_attach(&self->dut, self->id))

#endif /* __SELFTESTS_IOASID_HW_DMA_H */
