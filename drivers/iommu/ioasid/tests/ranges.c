// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of struct ioas_ranges, compared with a bitmap of the pages of a small
 * address space.
 */
#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "../ioas/ranges.h"
#include "util.h"

#define PAGES	64

/*
 * Start of the small address space. @last + 1 of a range that ends with the
 * space overflows there.
 */
static const u64 bases[] = { 0, 1ULL << 40, 0 - PAGES * (u64)PAGE_SIZE };

static u64 page_addr(u64 base, unsigned int page)
{
	return base + page * (u64)PAGE_SIZE;
}

static struct ioas_ranges *to_ranges(struct kunit *test, u64 base, u64 bits)
{
	struct ioas_ranges *ranges;
	unsigned int start, end;

	ranges = kunit_kzalloc(test, struct_size(ranges, range, PAGES),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ranges);
	for (start = 0; start < PAGES; start = end) {
		end = start + 1;
		if (!(bits & BIT_ULL(start)))
			continue;
		while (end < PAGES && bits & BIT_ULL(end))
			end++;
		ranges->nr++;
		ranges->range[ranges->nr - 1].start = page_addr(base, start);
		ranges->range[ranges->nr - 1].last = page_addr(base, end) - 1;
	}
	return ranges;
}

static u64 to_bits(struct kunit *test, u64 base,
		   const struct ioas_ranges *ranges)
{
	u64 bits = 0, at;
	unsigned int i;

	for (i = 0; i < ranges->nr; i++) {
		u64 start = ranges->range[i].start - base;
		u64 last = ranges->range[i].last - base;

		KUNIT_ASSERT_LE(test, start, last);
		KUNIT_ASSERT_LT(test, last, PAGES * PAGE_SIZE);
		KUNIT_ASSERT_TRUE(test, PAGE_ALIGNED(start));
		KUNIT_ASSERT_TRUE(test, PAGE_ALIGNED(last + 1));
		if (i)
			KUNIT_ASSERT_GT(test, ranges->range[i].start,
					ranges->range[i - 1].last);
		for (at = start; at < last; at += PAGE_SIZE)
			bits |= BIT_ULL(at >> PAGE_SHIFT);
	}
	return bits;
}

/* Runs of ones and zeroes, often up to the ends of the space */
static u64 random_bits(struct rnd_state *rnd)
{
	u64 bits = 0;
	unsigned int at = 0;
	bool in = random_below(rnd, 2);

	while (at < PAGES) {
		unsigned int n = min(random_length(rnd, 24), PAGES - at);

		if (in)
			bits |= GENMASK_ULL(at + n - 1, at);
		at += n;
		in = !in;
	}
	return bits;
}

static void both(struct kunit *test)
{
	struct ioas_ranges *result;
	unsigned int i, rounds;
	struct rnd_state rnd;

	random_seed(test, &rnd);
	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		for (rounds = 0; rounds < 2000; rounds++) {
			u64 a = random_bits(&rnd), b = random_bits(&rnd);
			struct ioas_ranges *x = to_ranges(test, bases[i], a);
			struct ioas_ranges *y = to_ranges(test, bases[i], b);

			result = ioas_ranges_and(x, y);
			KUNIT_ASSERT_NOT_NULL(test, result);
			KUNIT_ASSERT_EQ_MSG(test, to_bits(test, bases[i], result),
					    a & b, "%llx, %llx at %llx", a,
					    b, bases[i]);
			kfree(result);
			kunit_kfree(test, x);
			kunit_kfree(test, y);
		}
	}
}

static void both_nothing(struct kunit *test)
{
	struct ioas_ranges *none = to_ranges(test, 0, 0), *result;
	struct ioas_ranges *all = to_ranges(test, 0, U64_MAX);

	result = ioas_ranges_and(none, all);
	KUNIT_ASSERT_NOT_NULL(test, result);
	KUNIT_EXPECT_EQ(test, result->nr, 0);
	kfree(result);
	result = ioas_ranges_and(none, none);
	KUNIT_ASSERT_NOT_NULL(test, result);
	KUNIT_EXPECT_EQ(test, result->nr, 0);
	kfree(result);
}

static void hold(struct kunit *test)
{
	unsigned int i, rounds;
	struct rnd_state rnd;

	random_seed(test, &rnd);
	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		for (rounds = 0; rounds < 5000; rounds++) {
			u64 bits = random_bits(&rnd), bad = 0, want;
			struct ioas_ranges *r = to_ranges(test, bases[i], bits);
			unsigned int start = random_below(&rnd, PAGES);
			unsigned int end = start +
					   random_length(&rnd, PAGES - start);
			bool held;

			want = ~bits & GENMASK_ULL(end - 1, start);
			held = ioas_ranges_hold(r, page_addr(bases[i], start),
						page_addr(bases[i], end) - 1,
						&bad);
			KUNIT_ASSERT_EQ_MSG(test, held, !want,
					    "%u to %u of %llx at %llx", start,
					    end, bits, bases[i]);
			if (want)
				KUNIT_ASSERT_EQ(test, bad,
						page_addr(bases[i],
							  __ffs64(want)));
			kunit_kfree(test, r);
		}
	}
}

static int by_start(const void *a, const void *b)
{
	const struct ioasid_iova_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Subtract holes: they may overlap, touch, and reach beyond the space */
static void between(struct kunit *test)
{
	struct ioasid_iova_range hole[8];
	struct ioas_ranges *ranges;
	unsigned int i, k, rounds;
	struct rnd_state rnd;

	random_seed(test, &rnd);
	ranges = kunit_kzalloc(test, struct_size(ranges, range,
						 ARRAY_SIZE(hole) + 1),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ranges);
	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		for (rounds = 0; rounds < 5000; rounds++) {
			unsigned int first = random_below(&rnd, PAGES);
			unsigned int last = first +
					    random_below(&rnd, PAGES - first);
			unsigned int nr = random_below(&rnd, ARRAY_SIZE(hole) + 1);
			u64 want = GENMASK_ULL(last, first);

			for (k = 0; k < nr; k++) {
				unsigned int s = random_below(&rnd, PAGES);
				unsigned int e = s + random_below(&rnd, PAGES - s);

				hole[k].start = page_addr(bases[i], s);
				hole[k].last = page_addr(bases[i], e + 1) - 1;
				want &= ~GENMASK_ULL(e, s);
			}
			sort(hole, nr, sizeof(*hole), by_start, NULL);
			ranges->nr = 0;
			ioas_ranges_between(ranges, page_addr(bases[i], first),
					    page_addr(bases[i], last + 1) - 1,
					    hole, nr);
			KUNIT_ASSERT_LE(test, ranges->nr, nr + 1);
			KUNIT_ASSERT_EQ_MSG(test, to_bits(test, bases[i], ranges),
					    want, "%u to %u at %llx, %u holes",
					    first, last, bases[i], nr);
		}
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(both),
	KUNIT_CASE(both_nothing),
	KUNIT_CASE(hold),
	KUNIT_CASE(between),
	{}
};

static struct kunit_suite suite = {
	.name = "ioas_ranges",
	.test_cases = cases,
};

kunit_test_suite(suite);
