/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time, which counts instructions under QEMU's -icount shift=0, and the median of
 * several runs.
 */
#ifndef __SELFTESTS_IOASID_STOPWATCH_H
#define __SELFTESTS_IOASID_STOPWATCH_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* Nanoseconds */
static inline uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorts @v */
static inline double median(uint64_t *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), compare_u64);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2.0;
}

#endif /* __SELFTESTS_IOASID_STOPWATCH_H */
