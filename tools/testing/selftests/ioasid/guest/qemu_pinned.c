// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that is pinned for a guest of QEMU behind a VT-d, after it has switched it
 * on: as much as its tables map, and a tenth of 64 MiB more at most, a moment later.
 *
 *	qemu_pinned -- QEMU ARG...
 *
 * QEMU's guest does not run, see lib/qemu_vtd.h.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qemu_vtd.h"

/* 64 MiB of the guest's memory */
#define NR_PAGES 16384
#define NR_SUPERPAGE (2 << 20 >> 12)

static long long before;
static int failed;

/* Pages that the kernel has pinned for devices and others, at present */
static long long pinned(void)
{
	long long value, pages = 0;
	char name[64];
	FILE *f;

	/* CPUs count by themselves, and must be asked to tell */
	f = fopen("/proc/sys/vm/stat_refresh", "w");
	if (!f || fputs("1", f) == EOF || fclose(f))
		qv_die("stat_refresh");

	f = fopen("/proc/vmstat", "r");
	if (!f)
		qv_die("/proc/vmstat");
	while (fscanf(f, "%63s %lld", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			pages += value;
		else if (!strcmp(name, "nr_foll_pin_released"))
			pages -= value;
	}
	fclose(f);
	return pages;
}

static void expect(const char *step, long long pages)
{
	long long now, most = pages + NR_PAGES / 10;
	int right, i;

	/* The kernel may unpin in the background; it has a minute for it */
	for (i = 0; i < 600; i++) {
		now = pinned() - before;
		if (now <= most)
			break;
		usleep(100000);
	}
	right = now >= pages && now <= most;

	printf("# %s%s: %lld pages are pinned, of %lld that are mapped\n",
	       right ? "" : "wrong: ", step, now, pages);
	if (!right)
		failed = 1;
}

static void map(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < NR_PAGES; i++)
		qv_at(QV_TABLE1)[i] = i < nr ? (QV_DATA + i * QV_PAGE) | 3 : 0;
	qv_invalidate_domain();
	qv_submit();
}

int main(int argc, char **argv)
{
	pid_t pid;
	int round;

	if (argc < 3 || strcmp(argv[1], "--")) {
		fprintf(stderr, "usage: qemu_pinned -- QEMU ARG...\n");
		return 2;
	}
	before = pinned();
	pid = qv_start(argv + 2);
	for (round = 0; round < 2; round++) {
		expect("nothing is mapped", 0);
		map(NR_PAGES);
		expect("64 MiB", NR_PAGES);
		map(NR_PAGES / 2);
		expect("32 MiB", NR_PAGES / 2);
		map(NR_SUPERPAGE / 2);
		expect("1 MiB", NR_SUPERPAGE / 2);
		map(0);
	}
	qv_stop(pid);
	return failed;
}
