// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of struct ioasid_memory: build, walk and cut lists of extents.
 *
 * Most of them use page frames that do not exist: only @pinned accesses memory.
 */
#include <kunit/test.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>

#include "util.h"

static unsigned int count_runs(const struct ioasid_memory *mem)
{
	struct ioasid_runs runs;
	struct ioasid_run run;
	unsigned int n = 0;

	ioasid_runs_start(&runs, mem);
	while (ioasid_runs_next(&runs, &run))
		n++;
	return n;
}

/* Check that memory is exactly these page frames, by each way to read it */
static void expect_pages(struct kunit *test, const struct ioasid_memory *mem,
			 const unsigned long *pfns, unsigned long n)
{
	struct ioasid_runs runs;
	struct ioasid_run run;
	unsigned long i, at = 0;

	KUNIT_ASSERT_EQ(test, mem->npages, n);
	ioasid_runs_start(&runs, mem);
	while (ioasid_runs_next(&runs, &run)) {
		KUNIT_ASSERT_GT(test, run.npages, 0);
		KUNIT_ASSERT_LE(test, at + run.npages, n);
		for (i = 0; i < run.npages; i++)
			KUNIT_ASSERT_EQ(test, run.pfn + i, pfns[at + i]);
		at += run.npages;
	}
	KUNIT_ASSERT_EQ(test, at, n);

	for (i = 0; i < n; i++)
		KUNIT_ASSERT_EQ(test,
				page_to_pfn(ioasid_memory_page(mem, i)),
				pfns[i]);

	/* False is allowed for a single run; true is not for several */
	if (ioasid_memory_is_run(mem, &run)) {
		KUNIT_ASSERT_EQ(test, run.npages, n);
		for (i = 0; i < n; i++)
			KUNIT_ASSERT_EQ(test, run.pfn + i, pfns[i]);
	}
}

static void empty(struct kunit *test)
{
	struct ioasid_extent_list list;
	struct ioasid_memory mem;

	ioasid_extent_list_init(&list, &mem, true);
	ioasid_extent_list_finish(&list);
	KUNIT_EXPECT_EQ(test, mem.npages, 0);
	KUNIT_EXPECT_TRUE(test, mem.writable);
	KUNIT_EXPECT_EQ(test, count_runs(&mem), 0);
	memory_forget(&mem);
}

static void neighbours_merge(struct kunit *test)
{
	unsigned long pfns[] = { 100, 101, 102, 200, 201, 199, 300 };
	struct ioasid_extent_list list;
	struct ioasid_memory mem;

	ioasid_extent_list_init(&list, &mem, false);
	KUNIT_ASSERT_EQ(test, ioasid_extent_list_add(&list, 100, 2, 5), 0);
	KUNIT_ASSERT_EQ(test, ioasid_extent_list_add(&list, 102, 1, 4), 0);
	KUNIT_ASSERT_EQ(test, ioasid_extent_list_add(&list, 200, 2, 2), 0);
	/* A page that precedes the last run is not contiguous with it */
	KUNIT_ASSERT_EQ(test, ioasid_extent_list_add(&list, 199, 1, 1), 0);
	KUNIT_ASSERT_EQ(test, ioasid_extent_list_add(&list, 300, 1, 0), 0);
	ioasid_extent_list_finish(&list);

	KUNIT_EXPECT_EQ(test, count_runs(&mem), 4);
	KUNIT_EXPECT_FALSE(test, mem.writable);
	expect_pages(test, &mem, pfns, ARRAY_SIZE(pfns));
	memory_forget(&mem);
}

static void inline_ones_first(struct kunit *test)
{
	struct ioasid_extent_list list;
	struct ioasid_memory mem;
	unsigned int i;

	for (i = 0; i <= IOASID_INLINE_EXTENTS; i++) {
		unsigned int k;

		ioasid_extent_list_init(&list, &mem, false);
		for (k = 0; k <= i; k++)
			KUNIT_ASSERT_EQ(test,
					ioasid_extent_list_add(&list, 8 * k + 8,
							       1, i - k),
					0);
		ioasid_extent_list_finish(&list);
		KUNIT_EXPECT_EQ(test, !mem.is_shared, i < IOASID_INLINE_EXTENTS);
		KUNIT_EXPECT_EQ(test, count_runs(&mem), i + 1);
		memory_forget(&mem);
	}
}

/* More pages than an extent can count */
static void longest(struct kunit *test)
{
	struct ioasid_extent_list list;
	struct ioasid_memory mem, tail;
	struct ioasid_runs runs;
	struct ioasid_run run;

	ioasid_extent_list_init(&list, &mem, false);
	KUNIT_ASSERT_EQ(test,
			ioasid_extent_list_add(&list, 4096,
					       IOASID_EXTENT_MAX_PAGES - 1, 5),
			0);
	KUNIT_ASSERT_EQ(test,
			ioasid_extent_list_add(&list,
					       4096 + IOASID_EXTENT_MAX_PAGES - 1,
					       5, 0),
			0);
	ioasid_extent_list_finish(&list);

	KUNIT_EXPECT_EQ(test, mem.npages, IOASID_EXTENT_MAX_PAGES + 4);
	KUNIT_EXPECT_FALSE(test, ioasid_memory_is_run(&mem, &run));
	ioasid_runs_start(&runs, &mem);
	KUNIT_ASSERT_TRUE(test, ioasid_runs_next(&runs, &run));
	KUNIT_EXPECT_EQ(test, run.pfn, 4096);
	KUNIT_EXPECT_EQ(test, run.npages, IOASID_EXTENT_MAX_PAGES);
	KUNIT_ASSERT_TRUE(test, ioasid_runs_next(&runs, &run));
	KUNIT_EXPECT_EQ(test, run.pfn, 4096 + IOASID_EXTENT_MAX_PAGES);
	KUNIT_EXPECT_EQ(test, run.npages, 4);
	KUNIT_EXPECT_FALSE(test, ioasid_runs_next(&runs, &run));

	/* At the boundary of the two, and one page to either side */
	ioasid_memory_cut(&mem, IOASID_EXTENT_MAX_PAGES + 1, &tail);
	KUNIT_EXPECT_EQ(test, page_to_pfn(ioasid_memory_page(&tail, 0)),
			4096 + IOASID_EXTENT_MAX_PAGES + 1);
	memory_forget(&tail);
	ioasid_memory_cut(&mem, IOASID_EXTENT_MAX_PAGES, &tail);
	KUNIT_EXPECT_EQ(test, page_to_pfn(ioasid_memory_page(&tail, 0)),
			4096 + IOASID_EXTENT_MAX_PAGES);
	KUNIT_EXPECT_EQ(test, count_runs(&mem), 1);
	memory_forget(&tail);
	ioasid_memory_cut(&mem, IOASID_EXTENT_MAX_PAGES - 1, &tail);
	KUNIT_EXPECT_EQ(test, tail.npages, 1);
	KUNIT_EXPECT_EQ(test, page_to_pfn(ioasid_memory_page(&tail, 0)),
			4096 + IOASID_EXTENT_MAX_PAGES - 1);
	memory_forget(&tail);
	memory_forget(&mem);
}

#define MODEL_PAGES	1000
#define MODEL_PIECES	64

static unsigned long fill_random(struct kunit *test, struct rnd_state *rnd,
				 struct ioasid_memory *mem, unsigned long *pfns)
{
	unsigned long n = random_length(rnd, MODEL_PAGES), at = 0, run, i;
	struct ioasid_extent_list list;
	unsigned long pfn = 1;

	ioasid_extent_list_init(&list, mem, random_below(rnd, 2));
	while (at < n) {
		run = min(n - at, (unsigned long)random_length(rnd, 40));
		/* Contiguous with the last run one time in three */
		if (random_below(rnd, 3))
			pfn = random_below(rnd, 1 << 20) + 1;
		for (i = 0; i < run; i++)
			pfns[at++] = pfn + i;
		KUNIT_ASSERT_EQ(test,
				ioasid_extent_list_add(&list, pfn, run, n - at),
				0);
		pfn += run;
	}
	ioasid_extent_list_finish(&list);
	return n;
}

static void random_cuts(struct kunit *test)
{
	struct ioasid_memory *piece;
	unsigned int rounds = 300, nr, i, k;
	unsigned long *pfns, at[MODEL_PIECES + 1];
	struct rnd_state rnd;

	random_seed(test, &rnd);
	pfns = kunit_kmalloc_array(test, MODEL_PAGES, sizeof(*pfns),
				   GFP_KERNEL);
	piece = kunit_kmalloc_array(test, MODEL_PIECES, sizeof(*piece),
				    GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pfns);
	KUNIT_ASSERT_NOT_NULL(test, piece);

	while (rounds--) {
		at[0] = 0;
		at[1] = fill_random(test, &rnd, &piece[0], pfns);
		expect_pages(test, &piece[0], pfns, at[1]);
		nr = 1;
		for (k = 0; k < 2 * MODEL_PIECES && nr < MODEL_PIECES; k++) {
			unsigned long cut;
			bool writable;

			i = random_below(&rnd, nr);
			if (piece[i].npages < 2)
				continue;
			cut = random_below(&rnd, piece[i].npages - 1) + 1;
			writable = piece[i].writable;
			memmove(&piece[i + 2], &piece[i + 1],
				(nr - i - 1) * sizeof(*piece));
			memmove(&at[i + 2], &at[i + 1],
				(nr - i) * sizeof(*at));
			ioasid_memory_cut(&piece[i], cut, &piece[i + 1]);
			at[i + 1] = at[i] + cut;
			nr++;
			KUNIT_ASSERT_EQ(test, !piece[i + 1].writable, !writable);
			expect_pages(test, &piece[i], pfns + at[i],
				     at[i + 1] - at[i]);
			expect_pages(test, &piece[i + 1], pfns + at[i + 1],
				     at[i + 2] - at[i + 1]);
		}
		/*
		 * Unpin in any order: the other pieces keep the shared extents
		 */
		for (k = nr; k; k--) {
			i = random_below(&rnd, k);
			expect_pages(test, &piece[i], pfns + at[i],
				     piece[i].npages);
			memory_forget(&piece[i]);
			piece[i] = piece[k - 1];
			at[i] = at[k - 1];
		}
		cond_resched();
	}
}

#define PINNED_PAGES	96

/* The kernel takes and drops other references meanwhile */
static int pins(struct page *page)
{
	return page_ref_count(page) / GUP_PIN_COUNTING_BIAS;
}

/* Every page is unpinned once, by the piece that holds it */
static void pinned(struct kunit *test)
{
	struct page *page[PINNED_PAGES];
	struct ioasid_memory mem, part[2];
	unsigned long addr, i;
	u64 fault = 0;

	addr = kunit_vm_mmap(test, NULL, 0, PINNED_PAGES * PAGE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	KUNIT_ASSERT_NE(test, addr, 0);

	KUNIT_ASSERT_EQ(test,
			ioasid_pin_user(&mem, addr, PINNED_PAGES, true, &fault),
			0);
	for (i = 0; i < PINNED_PAGES; i++) {
		page[i] = ioasid_memory_page(&mem, i);
		KUNIT_EXPECT_EQ_MSG(test, pins(page[i]), 1, "page %lu", i);
	}

	ioasid_memory_cut(&mem, PINNED_PAGES / 3, &part[0]);
	ioasid_memory_cut(&part[0], PINNED_PAGES / 3, &part[1]);
	ioasid_unpin(&part[0]);
	for (i = 0; i < PINNED_PAGES; i++)
		KUNIT_EXPECT_EQ_MSG(test, pins(page[i]),
				    i / (PINNED_PAGES / 3) == 1 ? 0 : 1,
				    "page %lu", i);
	ioasid_unpin(&mem);
	ioasid_unpin(&part[1]);
	for (i = 0; i < PINNED_PAGES; i++) {
		KUNIT_EXPECT_EQ_MSG(test, pins(page[i]), 0, "page %lu", i);
		/* The process still has the pages mapped */
		KUNIT_EXPECT_GT_MSG(test, page_ref_count(page[i]), 0,
				    "page %lu", i);
	}

	/* All or nothing, and the address of the failure */
	KUNIT_ASSERT_EQ(test, vm_munmap(addr + 70 * PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test,
			ioasid_pin_user(&mem, addr, PINNED_PAGES, true, &fault),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, fault, addr + 70 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mem.npages, 0);
	for (i = 0; i < 70; i++)
		KUNIT_EXPECT_EQ_MSG(test, pins(page[i]), 0, "page %lu", i);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(empty),
	KUNIT_CASE(neighbours_merge),
	KUNIT_CASE(inline_ones_first),
	KUNIT_CASE(longest),
	KUNIT_CASE_SLOW(random_cuts),
	KUNIT_CASE(pinned),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_extents",
	.test_cases = cases,
};

kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of /dev/ioasid");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
