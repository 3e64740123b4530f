// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses of a real device that fail: the IOMMU reports them, and the program that
 * has the device reads of each of them in its fault queue.
 */
#include "ioasid_test.h"
#include "dut.h"
#include "faults.h"

#define COOKIE 0x1234
#define DEPTH 8

FIXTURE(hw_fault)
{
	int ctx;
	__u32 id;
	struct fault_queue queue;
	struct dut dut;
	char *mem;
	struct ioasid_fault record[FAULTS_MAX];
};

FIXTURE_SETUP(hw_fault)
{
	int rc;

	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	if (ia_check(self->ctx, IOASID_EXT_UNREPAIRABLE) <= 0)
		SKIP(return, "the kernel does not tell of failed accesses");
	rc = dut_open(&self->dut, &engine_edu, 0, 0);
	if (rc == -ENOENT)
		SKIP(return, "no edu behind an IOMMU");
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(page_size);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, fault_queue_open(self->ctx, DEPTH, &self->queue));
	ASSERT_EQ(0, fault_alloc(self->ctx, 0, IOASID_KIND_MAP, 0, 0,
				 &self->queue, &self->id));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, COOKIE));
}

FIXTURE_TEARDOWN(hw_fault)
{
	dut_close(&self->dut);
	if (self->queue.fd > 0)
		close(self->queue.fd);
	close(self->ctx);
}

/*
 * A write that fails is told once for each access of the IOMMU that it is made of:
 * the device is free to split it.
 */
TEST_F(hw_fault, write)
{
	struct ioasid_device_info info;
	struct ioasid_fault *r = self->record;
	struct fault_sums sums = {};
	unsigned int n, i;

	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(-EAGAIN, fault_read(self->queue.fd, r, FAULTS_MAX));
	dut_store(&self->dut, TEST_IOVA + SZ_1M, DUT_LEN);
	n = fault_take(self->queue.fd, r, 1);
	if (!n && !access("/sys/class/iommu/ivhd0", F_OK))
		SKIP(return, "this AMD-Vi logged no event, as that of QEMU");
	ASSERT_LE(1, n);
	for (i = 0; i < n; i++) {
		if (i < 3)
			TH_LOG("kind %u, address %#llx, permission %u, reason %llu",
			       r[i].kind, r[i].addr, r[i].permission,
			       r[i].reason);
		if (r[i].kind == IOASID_FAULT_LOST)
			continue;
		EXPECT_EQ(IOASID_FAULT_UNREPAIRABLE, r[i].kind);
		EXPECT_EQ(0, r[i].flags);
		EXPECT_EQ(self->id, r[i].ioasid);
		EXPECT_EQ(self->dut.devid, r[i].devid);
		EXPECT_EQ(COOKIE, r[i].cookie);
		EXPECT_EQ(0, r[i].vpasid);
		EXPECT_EQ(0, r[i].id);
		EXPECT_NE(0, r[i].time);
		if (r[i].addr != ~0ULL) {
			EXPECT_LE(TEST_IOVA + SZ_1M, r[i].addr | (page_size - 1));
			EXPECT_GT(TEST_IOVA + SZ_1M + DUT_LEN, r[i].addr);
		}
		EXPECT_TRUE(!r[i].permission ||
			    r[i].permission == IOASID_FAULT_WRITE);
	}
	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &info));
	EXPECT_LE(1, info.faults);
	fault_add(&sums, r, n, self->dut.devid);
	EXPECT_LE(sums.unrepairable, info.faults);
	EXPECT_LE(sums.lost, info.faults_lost);
	/* What is mapped works as before */
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
}

/* Elsewhere nothing is told */
TEST_F(hw_fault, no_queue)
{
	struct ioasid_device_info info;
	__u32 plain;

	ASSERT_EQ(0, ia_alloc(self->ctx, &plain));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, plain));
	ASSERT_EQ(0, dut_attach(&self->dut, plain));
	dut_store(&self->dut, TEST_IOVA + SZ_1M, DUT_LEN);
	ASSERT_EQ(-EAGAIN, fault_read(self->queue.fd, self->record, FAULTS_MAX));
	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &info));
	EXPECT_EQ(0, info.faults + info.faults_lost);
}

TEST_HARNESS_MAIN
