// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two edu devices of the host that share an IOMMU group, both of which QEMU's guest has:
 * each reads what the other one has written.
 *
 *	qemu_group -- QEMU ARG...
 *
 * QEMU's guest does not run, see lib/qemu_vtd.h; the devices are its 00:06.0 and
 * 00:07.0.
 */
#include <stdio.h>
#include <string.h>

#include "qemu_vtd.h"

#define OTHER 0x38
#define OTHER_BAR 0xe0100000ULL
#define NR_ROUNDS 8

int main(int argc, char **argv)
{
	unsigned int i;
	int failed = 0;
	pid_t pid;

	if (argc < 3 || strcmp(argv[1], "--")) {
		fprintf(stderr, "usage: qemu_group -- QEMU ARG...\n");
		return 2;
	}
	pid = qv_start_plain(argv + 2);
	qv_edu_init(QV_EDU, QV_BAR);
	qv_edu_init(OTHER, OTHER_BAR);
	for (i = 0; i < NR_ROUNDS; i++) {
		uint64_t at = QV_DATA + i * 3 * QV_PAGE, want = 0x9009ULL << 32 | i;

		*qv_at(at) = want;
		qv_edu_copy(i % 2 ? QV_BAR : OTHER_BAR, at, at + QV_PAGE);
		qv_edu_copy(i % 2 ? OTHER_BAR : QV_BAR, at + QV_PAGE, at + 2 * QV_PAGE);
		if (*qv_at(at + 2 * QV_PAGE) == want)
			continue;
		printf("# round %u: %#llx, not %#llx\n", i,
		       (unsigned long long)*qv_at(at + 2 * QV_PAGE),
		       (unsigned long long)want);
		failed = 1;
	}
	qv_stop(pid);
	return failed;
}
