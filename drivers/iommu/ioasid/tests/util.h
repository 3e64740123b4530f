/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the KUnit tests of /dev/ioasid: random numbers, and memory that
 * does not exist.
 */
#ifndef _IOASID_TESTS_UTIL_H
#define _IOASID_TESTS_UTIL_H

#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "../mem/memory.h"

/* The log has the seed, to repeat a run that failed */
static inline void random_seed(struct kunit *test, struct rnd_state *rnd)
{
	u64 seed = get_random_u64();

	kunit_info(test, "seed 0x%llx", seed);
	prandom_seed_state(rnd, seed);
}

/* From 0 to @n - 1 */
static inline u32 random_below(struct rnd_state *rnd, u32 n)
{
	return prandom_u32_state(rnd) % n;
}

/* From 1 to @n, small ones more often */
static inline u32 random_length(struct rnd_state *rnd, u32 n)
{
	return random_below(rnd, random_below(rnd, n) + 1) + 1;
}

/* Drop page frames that are not pinned, and free their list */
static inline void memory_forget(struct ioasid_memory *mem)
{
	mem->npages = 0;
	ioasid_unpin(mem);
}

#endif /* _IOASID_TESTS_UTIL_H */
