// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA of two real devices: in one IOASID, and in one of their own each.
 */
#include "ioasid_test.h"
#include "dut.h"
#include "ranges.h"

#define NR_PAGES 64

FIXTURE(hw_pair)
{
	int ctx;
	__u32 id;
	struct dut a, b;
	char *mem;
};

FIXTURE_SETUP(hw_pair)
{
	int rc;

	self->a.fd = -1;
	self->b.fd = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	rc = dut_open(&self->a, &engine_nvme, 0, 0);
	if (!rc)
		rc = dut_open(&self->b, &engine_edu, 0, 1);
	if (rc == -ENOENT)
		SKIP(return, "no nvme and no edu behind an IOMMU");
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(NR_PAGES * page_size);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	ASSERT_EQ(0, dut_admit(&self->a, self->ctx, self->id));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, self->id));
	ASSERT_EQ(0, dut_bind(&self->a, self->ctx, 1));
	ASSERT_EQ(0, dut_bind(&self->b, self->ctx, 2));
	ASSERT_NE(self->a.devid, self->b.devid);
}

FIXTURE_TEARDOWN(hw_pair)
{
	dut_close(&self->a);
	dut_close(&self->b);
	close(self->ctx);
}

TEST_F(hw_pair, share)
{
	struct ioasid_info info;
	char *p = self->mem;

	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, p, page_size));
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(2, info.nr_devices);
	/* one writes what the other reads */
	ASSERT_EQ(0, dut_put(&self->a, TEST_IOVA, 1));
	ASSERT_TRUE(dut_sees(&self->b, TEST_IOVA, 1));
	ASSERT_EQ(0, dut_put(&self->b, TEST_IOVA, 2));
	ASSERT_TRUE(dut_sees(&self->a, TEST_IOVA, 2));
	/* mapped once for both, and gone for both */
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M,
			    p + page_size, page_size));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA + SZ_1M, p + page_size));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA + SZ_1M, p + page_size));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, page_size,
			      NULL));
	ASSERT_TRUE(dut_misses(&self->a, TEST_IOVA, p));
	ASSERT_TRUE(dut_misses(&self->b, TEST_IOVA, p));
	/* one is detached, the other stays */
	ASSERT_EQ(0, hw_detach(self->b.fd, self->id));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(1, info.nr_devices);
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA + SZ_1M, p + page_size));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA + SZ_1M, p + page_size));
	dut_close(&self->a);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(0, info.nr_devices);
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA + SZ_1M, p + page_size));
}

/* The same IOVA has other memory for each device. */
TEST_F(hw_pair, apart)
{
	char *p = self->mem, *q = p + page_size;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, other));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, p, page_size));
	ASSERT_EQ(0, ia_map(self->ctx, other, TEST_IOVA, q, page_size));
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, other));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA, p));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA, q));
	ASSERT_TRUE(dut_misses(&self->b, TEST_IOVA, p));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, other, NULL));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA, p));
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA, q));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA, p));
	ASSERT_EQ(0, ia_free(self->ctx, other));
}

/* Ranges that either device cannot use are not permitted. */
TEST_F(hw_pair, ranges)
{
	struct ranges a, b, both;
	unsigned int i;

	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &a));
	ASSERT_EQ(0, hw_detach(self->a.fd, self->id));
	ASSERT_EQ(0, hw_attach(self->b.fd, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &b));
	ASSERT_EQ(0, hw_attach(self->a.fd, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &both));
	for (i = 0; i < both.nr; i++) {
		ASSERT_TRUE(permitted(&a, both.range[i].start,
				      both.range[i].last));
		ASSERT_TRUE(permitted(&b, both.range[i].start,
				      both.range[i].last));
	}
}

/* A gibibyte in one map, with the device before it and after it. */
static void one_gib(struct __test_metadata *_metadata, int ctx, __u32 id,
		    struct dut *dut, int fd)
{
	__u64 at[] = { 0, SZ_2M, SZ_1G / 2 - 1024, SZ_1G - DUT_LEN };
	__u64 iova = 2 * TEST_IOVA, unmapped;
	unsigned int i;
	char *p;

	ASSERT_EQ(0, ia_map_file(ctx, id, IA_RW_FIXED, &iova, fd, 0, SZ_1G));
	p = mmap(NULL, SZ_1G, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_reaches(dut, iova + at[i], p + at[i]));
	/* attach maps the whole space for a device that comes later */
	ASSERT_EQ(0, hw_detach(dut->fd, id));
	ASSERT_EQ(0, dut_attach(dut, id));
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_reaches(dut, iova + at[i], p + at[i]));
	ASSERT_EQ(0, ia_unmap(ctx, id, iova, SZ_1G, &unmapped));
	ASSERT_EQ(SZ_1G, unmapped);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_misses(dut, iova + at[i], p + at[i]));
	munmap(p, SZ_1G);
}

TEST_F(hw_pair, gibibyte)
{
	int fd;

	if (ia_slow_kernel() ||
	    ia_proc_field("/proc/meminfo", "MemAvailable") < 1200 * 1024)
		SKIP(return, "not enough memory, or time");
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	fd = memfd_create("gibibyte", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SZ_1G));
	one_gib(_metadata, self->ctx, self->id, &self->a, fd);
	close(fd);
}

TEST_HARNESS_MAIN
