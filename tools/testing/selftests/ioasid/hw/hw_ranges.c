// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOVAs that real devices permit, and what follows for maps and attaches.
 */
#include "hw_dma.h"
#include "ranges.h"

/* A space with a mapping that this device cannot use. */
TEST_F(hw_dma, conflict)
{
	__u64 hole, fault_addr = 0;
	struct ioasid_info info;
	struct ranges r;
	__u32 other;

	ATTACH();
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &r));
	hole = first_hole(&r);
	if (!hole)
		SKIP(return, "the device can use every IOVA");
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, other));
	ASSERT_EQ(0, ia_map(self->ctx, other, hole - page_size, self->mem,
			    2 * page_size));
	ASSERT_EQ(-EADDRINUSE, hw_attach_full(self->dut.fd, other,
					      &fault_addr));
	ASSERT_EQ(hole, fault_addr);
	/* the device has not moved */
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(1, info.nr_devices);
	ASSERT_EQ(0, ia_info(self->ctx, other, &info));
	ASSERT_EQ(0, info.nr_devices);
	ASSERT_EQ(0, info.state);
	ASSERT_EQ(0, info.nr_domains);
	/* a device that was not attached is not attached now */
	ASSERT_EQ(0, dut_prime(&self->dut, 61));
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	fault_addr = 0;
	ASSERT_EQ(-EADDRINUSE, hw_attach_full(self->dut.fd, other,
					      &fault_addr));
	ASSERT_EQ(hole, fault_addr);
	ASSERT_TRUE(dut_blocked(&self->dut, hole - page_size, self->mem));
	ASSERT_EQ(-ENOENT, hw_detach(self->dut.fd, 0));
	ASSERT_EQ(0, get_ranges(self->ctx, other, &r));
	ASSERT_EQ(1, r.nr);
	ASSERT_EQ(0, r.range[0].start);
	ASSERT_EQ(~0ULL, r.range[0].last);
	/* without that mapping it can */
	ASSERT_EQ(0, ia_unmap(self->ctx, other, hole - page_size,
			      2 * page_size, NULL));
	ASSERT_EQ(0, ia_map(self->ctx, other, hole - page_size, self->mem,
			    page_size));
	/* reserved ranges do not matter, they only limit the kernel's choice */
	ASSERT_EQ(0, ia_reserve(self->ctx, other, hole, page_size));
	ASSERT_EQ(0, dut_attach(&self->dut, other));
	ASSERT_TRUE(dut_reaches(&self->dut, hole - page_size, self->mem));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, 0));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, ~0u));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, self->dut.devid));
	ASSERT_TRUE(dut_reaches(&self->dut, hole - page_size, self->mem));
}

TEST_F(hw_dma, permitted_ranges)
{
	struct ioasid_device_info dev;
	struct ranges before, after;
	char path[128], type[32];
	__u64 start, last, iova;
	unsigned int i;
	FILE *f;

	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &dev));
	ASSERT_EQ(0, get_device_ranges(self->ctx, self->dut.devid, &before));
	ASSERT_EQ(dev.nr_ranges, before.nr);
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &after));
	ASSERT_EQ(1, after.nr);
	ASSERT_EQ(0, after.range[0].start);
	ASSERT_EQ(~0ULL, after.range[0].last);
	ATTACH();
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &after));
	ASSERT_LT(0, after.nr);
	ASSERT_GE(NR_RANGES, after.nr);
	if (!(dev.caps & IOASID_DEVICE_ESTIMATE)) {
		ASSERT_EQ(before.nr, after.nr);
		for (i = 0; i < after.nr; i++) {
			EXPECT_EQ(before.range[i].start, after.range[i].start);
			EXPECT_EQ(before.range[i].last, after.range[i].last);
		}
	}
	for (i = 1; i < after.nr; i++)
		ASSERT_LT(after.range[i - 1].last, after.range[i].start);

	/* regions reserved by the platform are not among them */
	snprintf(path, sizeof(path), HW_PCI "%s/iommu_group/reserved_regions",
		 self->dut.name);
	f = fopen(path, "re");
	ASSERT_NE(NULL, f);
	while (fscanf(f, "%llx %llx %31s", &start, &last, type) == 3) {
		if (!strcmp(type, "direct-relaxable"))
			continue;
		for (i = 0; i < after.nr; i++)
			EXPECT_TRUE(last < after.range[i].start ||
				    start > after.range[i].last);
	}
	fclose(f);

	/* no map outside, or half outside */
	for (i = 0; i < after.nr; i++) {
		__u64 fault_addr = 0;

		iova = after.range[i].last + 1;
		if (!iova)
			continue;
		EXPECT_EQ(-EINVAL, ia_map_full(self->ctx, self->id,
					       IA_RW_FIXED, &iova,
					       IA_PTR(self->mem), page_size, 0,
					       0, 0, &fault_addr));
		EXPECT_EQ(iova, fault_addr);
		fault_addr = 0;
		iova -= page_size;
		EXPECT_EQ(-EINVAL, ia_map_full(self->ctx, self->id,
					       IA_RW_FIXED, &iova,
					       IA_PTR(self->mem),
					       2 * page_size, 0, 0, 0,
					       &fault_addr));
		EXPECT_EQ(iova + page_size, fault_addr);
		/* but up to the last byte */
		EXPECT_EQ(0, ia_map(self->ctx, self->id, iova, self->mem,
				    page_size)) {
			TH_LOG("at 0x%llx", iova);
		}
		EXPECT_TRUE(dut_reaches(&self->dut, iova, self->mem)) {
			TH_LOG("at 0x%llx", iova);
		}
	}
	/* the first page there is */
	iova = after.range[0].start;
	ASSERT_EQ(0, ia_map(self->ctx, self->id, iova, self->mem, page_size));
	/* for e1000e, address 0 stands for no buffer at all */
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 512, self->mem + 512));

	/* device memory stays mapped until the device goes */
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &after));
	ASSERT_EQ(1, after.nr);
	ASSERT_EQ(~0ULL, after.range[0].last);
}

TEST_F(hw_dma, info)
{
	struct ioasid_device_info dev;
	struct ioasid_info info;

	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &dev));
	EXPECT_EQ(0x1234, dev.cookie);
	EXPECT_EQ(hw_group(self->dut.name), dev.group);
	EXPECT_EQ(0, dev.ioasid);
	EXPECT_EQ(0, dev.caps & IOASID_DEVICE_EMULATED);
	EXPECT_NE(0, dev.pgsizes & page_size);
	EXPECT_LE(32, dev.addr_width);
	EXPECT_GE(64, dev.addr_width);
	EXPECT_LE(1, dev.nr_ranges);
	EXPECT_EQ(-ENOENT, ia_device_info(self->ctx, self->id, &dev));
	EXPECT_EQ(-ENOENT, ia_info(self->ctx, self->dut.devid, &info));

	ATTACH();
	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &dev));
	EXPECT_EQ(self->id, dev.ioasid);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(1, info.nr_domains);
	EXPECT_EQ(1, info.nr_devices);
	EXPECT_EQ(IOASID_STATE_ATTACHED, info.state);
	EXPECT_EQ(self->dut.ctrl_size, info.bytes_mapped);
	EXPECT_EQ(self->dut.ctrl_size, info.bytes_pinned);
	EXPECT_NE(0, info.pgsizes & page_size);
	if (!(dev.caps & IOASID_DEVICE_ESTIMATE))
		EXPECT_EQ(dev.pgsizes, info.pgsizes);
	EXPECT_EQ(0, info.waiting_devid);
}

/* The description of the hardware by VFIO and by this interface agree. */
TEST_F(hw_dma, hardware_info)
{
	char buf[256 + 8];
	struct ioasid_device_info dev = {
		.argsz = sizeof(dev),
		.devid = self->dut.devid,
		.hw_len = 256,
		.hw_data = IA_PTR(buf),
	};
	__u32 len, i;

	memset(buf, 0x5a, sizeof(buf));
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_DEVICE_GET_INFO, &dev));
	len = dev.hw_len;
	ASSERT_EQ(!dev.hw_type, !len);
	ASSERT_GE(256, len);
	for (i = len; i < sizeof(buf); i++)
		ASSERT_TRUE(buf[i] == 0x5a || (buf[i] == 0 && i < 256));
	/* no more than there is room for */
	memset(buf, 0x5a, sizeof(buf));
	dev.hw_len = 4;
	dev.nr_ranges = 0;
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_DEVICE_GET_INFO, &dev));
	ASSERT_EQ(len, dev.hw_len);
	for (i = 4; i < sizeof(buf); i++)
		ASSERT_EQ(0x5a, buf[i]);
}

TEST_F(hw_dma, kernel_chosen)
{
	size_t sizes[] = { page_size, 3 * page_size, SZ_64K, SZ_2M, SZ_1M };
	struct ioasid_info info;
	unsigned int i, j;
	struct ranges r;
	__u64 iova[5];
	char *mem;

	mem = huge_memory(4 * SZ_2M);
	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &r));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	for (i = 0; i < 5; i++) {
		__u64 page = page_size, size;
		/* not aligned to more than a page, but for the large one */
		char *p = mem + i * SZ_1M + (i == 3 ? 0 : page_size);

		if (i == 3)
			p = mem + 2 * SZ_2M;
		ASSERT_EQ(0, ia_map_any(self->ctx, self->id, &iova[i], p,
					sizes[i]));
		ASSERT_TRUE(permitted(&r, iova[i], iova[i] + sizes[i] - 1));
		for (size = page_size; size <= sizes[i]; size *= 2)
			if (info.pgsizes & size)
				page = size;
		ASSERT_EQ(IA_PTR(p) % page, iova[i] % page);
		for (j = 0; j < i; j++)
			ASSERT_TRUE(iova[i] + sizes[i] <= iova[j] ||
				    iova[j] + sizes[j] <= iova[i]);
		ASSERT_TRUE(dut_reaches(&self->dut, iova[i], p));
		ASSERT_TRUE(dut_reaches(&self->dut,
					iova[i] + sizes[i] - DUT_LEN,
					p + sizes[i] - DUT_LEN));
	}
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id, IA_RW, &iova[0],
				 IA_PTR(self->mem), page_size, 0, SZ_2M, 0,
				 NULL));
	ASSERT_EQ(0, iova[0] % SZ_2M);
	ASSERT_TRUE(dut_reaches(&self->dut, iova[0], self->mem));
}

TEST_HARNESS_MAIN
