/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit tests of /dev/ioasid share: random numbers, and memory that is
 * not there.
 */
#ifndef _IOASID_TESTS_UTIL_H
#define _IOASID_TESTS_UTIL_H

#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "../mem/memory.h"

/* A run that failed is repeated with its seed, which the log tells */
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

/* Forget page frames that nobody pinned, and free the list of them */
static inline void memory_forget(struct ioasid_memory *mem)
{
	mem->npages = 0;
	ioasid_unpin(mem);
}

#endif /* _IOASID_TESTS_UTIL_H */
