/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device that is opened on its own, or by way of its group, not bound yet.
 */
#ifndef __SELFTESTS_IOASID_HW_LIFE_H
#define __SELFTESTS_IOASID_HW_LIFE_H

#include "ioasid_test.h"
#include "dut.h"

/* A device fd is opened on its own, or by way of its group. */
FIXTURE(hw_life)
{
	int ctx;
	__u32 id;
	struct dut dut;
	int group;
	char *mem;
};

FIXTURE_VARIANT(hw_life)
{
	const struct engine *engine;
	bool by_group;
};

FIXTURE_VARIANT_ADD(hw_life, cdev) { .engine = &engine_nvme, };
FIXTURE_VARIANT_ADD(hw_life, group) {
	.engine = &engine_nvme, .by_group = true,
};

FIXTURE_SETUP(hw_life)
{
	int rc;

	self->dut.fd = -1;
	self->group = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	if (!variant->by_group && !hw_have_cdevs())
		SKIP(return, HW_NO_CDEVS);
	ASSERT_LE(0, self->ctx);
	rc = dut_find(&self->dut, variant->engine, 0);
	if (rc == -ENOENT)
		SKIP(return, "no %s behind an IOMMU", variant->engine->name);
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(16 * page_size);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, 16 * page_size);
	ASSERT_EQ(0, ia_alloc_full(self->ctx, &self->id, 0x1d, 0));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx, variant->by_group,
				     &self->group));
}

FIXTURE_TEARDOWN(hw_life)
{
	dut_close_either(&self->dut, &self->group);
	dut_close(&self->dut);
	close(self->ctx);
}

/* Bind and attach the device. */
#define START()								\
do {									\
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 0xd0));		\
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));			\
} while (0)

static inline bool works(struct dut *dut, void *p)
{
	return dut_reaches(dut, TEST_IOVA, p);
}

#endif /* __SELFTESTS_IOASID_HW_LIFE_H */
