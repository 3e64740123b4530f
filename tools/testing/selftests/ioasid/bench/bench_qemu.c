// SPDX-License-Identifier: GPL-2.0-only
/*
 * What QEMU's emulated VT-d costs with a device of the host behind it, by back end.
 *
 *	bench_qemu [-r ROUNDS] [-o OWN] -- QEMU ARG...
 *	bench_qemu -s -- QEMU ARG...
 *	  -s print the instructions of the guest's switch of its VT-d, and end
 *	  -o how many of these are QEMU's own, with a device that has no back end
 *
 * Starts QEMU, which is to have a VT-d with caching mode and the device 00:06.0 behind
 * it, with a guest that does not run, see lib/qemu_vtd.h.  Time in a VM with -icount is
 * instructions.  The cost of a command that invalidates nothing is subtracted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "qemu_vtd.h"

static uint64_t *pte(unsigned int page)
{
	return &qv_at(QV_TABLE1)[page];
}

static void set(unsigned int first, unsigned int nr, int mapped)
{
	unsigned int i;

	for (i = first; i < first + nr; i++)
		*pte(i) = mapped ? (QV_DATA + i % 65536 * QV_PAGE) | 3 : 0;
}

static void report(const char *what, uint64_t cost, unsigned int per)
{
	printf("%-44s %10llu\n", what, (unsigned long long)(cost / per));
	fflush(stdout);
}

static void measure(unsigned int rounds, uint64_t own)
{
	uint64_t nothing = 0, map = 0, unmap = 0, map_one = 0, unmap_one = 0, gone;
	unsigned int i, j;

	/* What the kernel and QEMU still do, after the switch */
	sleep(1);
	report("the guest turns its IOMMU on", qv_switch_time, 1);
	report("unmap of its 512 MiB then", qv_switch_time - own, 1);
	qv_submit();
	for (i = 0; i < rounds * 16; i++)
		nothing += qv_submit();
	nothing /= rounds * 16;

	for (i = 0; i <= rounds; i++) {
		/* Not the first time, when the root is populated */
		if (i == 1) {
			map = 0;
			unmap = 0;
		}
		set(0, 512, 1);
		qv_invalidate(QV_IOVA, 9);
		map += qv_submit() - nothing;
		set(0, 512, 0);
		qv_invalidate(QV_IOVA, 9);
		unmap += qv_submit() - nothing;
	}
	report("map, 512 pages by one invalidation", map, 512 * rounds);
	report("unmap, 512 pages by one invalidation", unmap, 512 * rounds);

	for (j = 0; j < 512; j++) {
		set(j, 1, 1);
		qv_invalidate(QV_IOVA + j * QV_PAGE, 0);
		map_one += qv_submit() - nothing;
	}
	for (j = 0; j < 512; j++) {
		set(j, 1, 0);
		qv_invalidate(QV_IOVA + j * QV_PAGE, 0);
		unmap_one += qv_submit() - nothing;
	}
	report("map, one page per invalidation", map_one, 512);
	report("unmap, one page per invalidation", unmap_one, 512);
	report("both, one page per invalidation", map_one + unmap_one, 1024);

	/* type1 makes no more than 65535 mappings */
	set(0, 65024, 1);
	qv_invalidate_domain();
	qv_submit();
	qv_leave();
	gone = qv_submit() - nothing;
	report("254 MiB of them, when the device leaves", gone, 1);
}

int main(int argc, char **argv)
{
	unsigned int rounds = 4, only_switch = 0;
	uint64_t own = 0;
	pid_t pid;
	int c;

	while ((c = getopt(argc, argv, "r:so:")) != -1) {
		switch (c) {
		case 'r':
			rounds = atoi(optarg);
			break;
		case 's':
			only_switch = 1;
			break;
		case 'o':
			own = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (optind == argc || !rounds) {
		fprintf(stderr, "usage: bench_qemu [-r ROUNDS] [-o OWN] | -s -- QEMU ARG...\n");
		return 2;
	}
	pid = qv_start(argv + optind);
	if (only_switch)
		printf("%llu\n", (unsigned long long)qv_switch_time);
	else
		measure(rounds, own);
	qv_stop(pid);
	return 0;
}
