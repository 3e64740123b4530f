// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of formats of page tables: what a driver is told to invalidate.
 */
#include <kunit/test.h>
#include <linux/ioasid.h>
#include <linux/sizes.h>
#include <uapi/linux/ioasid.h>
#include <uapi/linux/iommufd.h>

#include "../ioas/ioas.h"

#define ALL	U64_MAX		/* pages: the driver flushes all there is */

struct vtd_range {
	u64 start;
	u64 last;
	u64 addr;
	u64 npages;
};

/* The driver computes the bytes of a range as npages << 12, in an u64 */
static const struct vtd_range vtd_ranges[] = {
	{ 0, 0, 0, 1 },
	{ 0, SZ_4K - 1, 0, 1 },
	{ SZ_4K - 1, SZ_4K, 0, 2 },
	{ 5 * SZ_4K, 7 * SZ_4K - 1, 5 * SZ_4K, 2 },
	{ 5 * SZ_4K + 1, 7 * SZ_4K, 5 * SZ_4K, 3 },
	{ U64_MAX, U64_MAX, U64_MAX - SZ_4K + 1, 1 },
	{ 0, BIT_ULL(63) - 1, 0, BIT_ULL(51) },
	/* the longest one whose bytes an u64 can count */
	{ SZ_4K, U64_MAX, SZ_4K, BIT_ULL(52) - 1 },
	{ 0, U64_MAX - SZ_4K, 0, BIT_ULL(52) - 1 },
	/* 2^52 pages: 0 bytes in an u64 */
	{ 0, U64_MAX - SZ_4K + 1, 0, ALL },
	{ SZ_4K - 1, U64_MAX, 0, ALL },
	{ 0, U64_MAX, 0, ALL },
};

static void vtd_range(struct kunit *test)
{
	const struct ioasid_table_format *format;
	unsigned int i;

	format = ioas_format_get(IOMMU_HWPT_DATA_VTD_S1);
	KUNIT_ASSERT_NOT_NULL(test, format);
	for (i = 0; i < ARRAY_SIZE(vtd_ranges); i++) {
		const struct vtd_range *range = &vtd_ranges[i];
		struct ioasid_invalidate from = {
			.flags = IOASID_INVALIDATE_IOTLB |
				 IOASID_INVALIDATE_RANGE,
			.start = range->start,
			.last = range->last,
		};
		struct iommu_hwpt_vtd_s1_invalidate to;

		memset(&to, 0xff, sizeof(to));
		format->invalidate(&from, &to);
		KUNIT_EXPECT_EQ_MSG(test, to.addr, range->addr, "range %u", i);
		KUNIT_EXPECT_EQ_MSG(test, to.npages, range->npages, "range %u",
				    i);
		KUNIT_EXPECT_EQ(test, to.flags, 0);
		KUNIT_EXPECT_EQ(test, to.__reserved, 0);
		/* Without the flag, the range is that of another command */
		from.flags = IOASID_INVALIDATE_IOTLB | IOASID_INVALIDATE_LEAF;
		format->invalidate(&from, &to);
		KUNIT_EXPECT_EQ(test, to.addr, 0);
		KUNIT_EXPECT_EQ(test, to.npages, ALL);
		KUNIT_EXPECT_EQ(test, to.flags, IOMMU_VTD_INV_FLAGS_LEAF);
	}
	ioas_format_put(format);
}

static void unknown(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, ioas_format_get(IOMMU_HWPT_DATA_NONE));
	KUNIT_EXPECT_NULL(test, ioas_format_get(U32_MAX));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(vtd_range),
	KUNIT_CASE(unknown),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_formats",
	.test_cases = cases,
};

kunit_test_suite(suite);
