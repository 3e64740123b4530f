// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the log of pages that were written: what it tells, in blocks of all
 * sizes, and what it keeps; compared with an array of pages.
 *
 * There is no domain: only software writes.
 */
#include <kunit/test.h>
#include <linux/slab.h>

#include "../ioas/dirty.h"
#include "../ioas/dirty_log.h"
#include "../ioas/ioas.h"
#include "util.h"

/* Three blocks of the log, not aligned to them */
#define PAGES	(3 * 32768 + 77)

/* The bitmap of a caller */
#define WORDS	(PAGES / 64 + 2)

struct dirty_log {
	struct ioasid_account account;
	struct ioas ioas;
	u64 base;
	bool written[PAGES];
	u64 words[WORDS];
	u64 fail_at;
	struct ioas_dirty_request req;
};

static int put(struct ioas_dirty_request *req, u64 first, const u64 *words,
	       unsigned int n)
{
	struct dirty_log *log = container_of(req, struct dirty_log, req);

	if (first + n > log->fail_at)
		return -EFAULT;
	memcpy(&log->words[first], words, n * sizeof(*words));
	return 0;
}

/* Read pages, and compare those before where it ended */
static void get(struct kunit *test, struct dirty_log *log, unsigned int page,
		unsigned int n, unsigned int shift, bool keep, u64 fail_at)
{
	u64 start = log->base + (u64)page * PAGE_SIZE, block, nr = 0, i;
	unsigned int end = page + n;
	bool bit = false;
	int ret;

	log->fail_at = fail_at;
	log->req = (struct ioas_dirty_request){
		.start = start,
		.last = start + ((u64)n * PAGE_SIZE - 1),
		.shift = PAGE_SHIFT + shift,
		.keep = keep,
		.put = put,
	};
	memset(log->words, 0xa5, sizeof(log->words));
	ret = ioas_dirty_get(&log->ioas, &log->req);
	if (ret) {
		KUNIT_EXPECT_EQ(test, ret, -EFAULT);
		KUNIT_ASSERT_GE(test, log->req.next, start);
		KUNIT_ASSERT_LE(test, log->req.next, log->req.last);
		end = (log->req.next - log->base) / PAGE_SIZE;
	}
	for (i = page; i < end; i++) {
		u64 at = log->base + i * PAGE_SIZE;

		bit |= log->written[i];
		block = (at >> log->req.shift) - (start >> log->req.shift);
		if (!keep)
			log->written[i] = false;
		if (i + 1 < end &&
		    (at + PAGE_SIZE) >> log->req.shift == at >> log->req.shift)
			continue;
		KUNIT_ASSERT_EQ_MSG(test, log->words[block / 64] >> block % 64 &
				    1, bit, "page %llu of %u, %u", i, page, n);
		nr += bit;
		bit = false;
	}
	KUNIT_EXPECT_EQ(test, log->req.nr, nr);
	KUNIT_EXPECT_TRUE(test, log->req.exact);
}

static void run(struct kunit *test, u64 base)
{
	struct dirty_log *log = kvzalloc(sizeof(*log), GFP_KERNEL);
	struct rnd_state rnd;
	unsigned int round, page, n, i;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, log);
	random_seed(test, &rnd);
	log->base = base;
	ioasid_account_init(&log->account);
	ioas_init(&log->ioas, &log->account, NULL);
	ret = ioas_dirty_start(&log->ioas, false);
	if (ret == -EOPNOTSUPP) {
		ioas_exit(&log->ioas);
		ioasid_account_exit(&log->account);
		kvfree(log);
		kunit_skip(test, "the kernel lacks a patch to the IOMMU core");
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, ioas_dirty_start(&log->ioas, false), -EEXIST);
	KUNIT_ASSERT_EQ(test,
			ioas_dirty_cover(&log->ioas, base,
					 base + (u64)PAGES * PAGE_SIZE - 1), 0);
	for (round = 0; round < 200; round++) {
		for (i = random_below(&rnd, 20); i; i--) {
			page = random_below(&rnd, PAGES);
			n = random_length(&rnd, min(PAGES - page, 300U));
			ioas_dirty_mark(&log->ioas, base + (u64)page * PAGE_SIZE,
					base + (u64)(page + n) * PAGE_SIZE - 1);
			memset(&log->written[page], true, n);
		}
		page = random_below(&rnd, PAGES);
		n = random_length(&rnd, PAGES - page);
		get(test, log, page, n, random_below(&rnd, 10),
		    !random_below(&rnd, 3),
		    random_below(&rnd, 4) ? U64_MAX : random_below(&rnd, 1600));
	}
	get(test, log, 0, PAGES, 0, false, U64_MAX);
	get(test, log, 0, PAGES, 9, false, U64_MAX);
	KUNIT_EXPECT_EQ(test, log->req.nr, 0);
	KUNIT_EXPECT_EQ(test, ioas_dirty_stop(&log->ioas), 0);
	KUNIT_EXPECT_EQ(test, ioas_dirty_stop(&log->ioas), -ENOENT);
	KUNIT_EXPECT_EQ(test, ioas_dirty_get(&log->ioas, &log->req), -ENOENT);
	/* It ends with the address space, too */
	KUNIT_EXPECT_EQ(test, ioas_dirty_start(&log->ioas, true), 0);
	ioas_exit(&log->ioas);
	ioasid_account_exit(&log->account);
	kvfree(log);
}

static void low(struct kunit *test)
{
	run(test, 0);
}

static void middle(struct kunit *test)
{
	run(test, (6ULL << 30) + 5 * PAGE_SIZE);
}

static void end_of_space(struct kunit *test)
{
	run(test, 0 - (u64)PAGES * PAGE_SIZE);
}

/* The log does not grow where nothing is mapped any more, and forgets no page */
static void blocks_are_freed(struct kunit *test)
{
	struct dirty_log *log = kvzalloc(sizeof(*log), GFP_KERNEL);
	struct ioas_dirty *blocks;
	u64 at = SZ_1G;
	int ret, i;

	KUNIT_ASSERT_NOT_NULL(test, log);
	ioasid_account_init(&log->account);
	ioas_init(&log->ioas, &log->account, NULL);
	ret = ioas_dirty_start(&log->ioas, false);
	KUNIT_EXPECT_TRUE(test, !ret || ret == -EOPNOTSUPP);
	if (ret)
		goto out;
	blocks = rcu_access_pointer(log->ioas.dirty);
	log->base = at;
	KUNIT_EXPECT_EQ(test, ioas_dirty_cover(&log->ioas, at, at), 0);
	ioas_dirty_mark(&log->ioas, at, at);
	log->written[0] = true;
	for (i = 0; i < 1000; i++) {
		at += CHUNK_PAGES * PAGE_SIZE;
		KUNIT_EXPECT_EQ(test, ioas_dirty_cover(&log->ioas, at, at), 0);
		KUNIT_EXPECT_LE(test, blocks->nr, 100);
	}
	get(test, log, 0, 1, 0, false, U64_MAX);
	KUNIT_EXPECT_EQ(test, log->req.nr, 1);
out:
	ioas_exit(&log->ioas);
	ioasid_account_exit(&log->account);
	kvfree(log);
	if (ret)
		kunit_skip(test, "the kernel lacks a patch to the IOMMU core");
}

static struct kunit_case cases[] = {
	KUNIT_CASE(blocks_are_freed),
	KUNIT_CASE_SLOW(low),
	KUNIT_CASE_SLOW(middle),
	KUNIT_CASE_SLOW(end_of_space),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_dirty",
	.test_cases = cases,
};

kunit_test_suite(suite);
