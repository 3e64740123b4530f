// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a guest of QEMU comes and goes at random: below 1 MiB the chipset shows RAM
 * or the firmware's ROM, and the memory buffer of a disk moves, or is switched off.  An
 * edu device of the host, with no IOMMU before it, reads all that the CPU reads, and
 * writes what can be written.
 *
 *	qemu_sections [-n CHANGES] [-c CHANGES-PER-CHECK] [-s SEED] -- QEMU ARG...
 *
 * QEMU's guest does not run, see lib/qemu_vtd.h; the devices are its 00:06.0 and
 * 00:05.0.
 */
#include <stdbool.h>
#include <stdio.h>

#include "qemu_vtd.h"

/* The chipset's registers: from E0000 on four areas of 16 KiB, and from F0000 on one */
#define CHIPSET 0
#define PAM0 0x90
#define PAM_FROM_E0000 0x94
#define AREAS 0xe0000ULL
#define AREA_SIZE 0x4000ULL
#define AREAS_SIZE 0x20000ULL
#define NR_AREAS 5
#define READ_WRITE 3

#define DISK 0x28
#define DISK_REGISTERS 0xe1000000ULL
#define BAR2 0x18
#define COMMAND 4
#define ON 6
#define NR_PLACES 8
#define PLACE(n) (0xe2000000ULL + (n) * 0x1000000ULL)

#define ANSWER 0x800000ULL

static unsigned int mode[NR_AREAS];
static unsigned int place;
static bool disk_on;
static unsigned int checks[3];

static unsigned int area_of(uint64_t address)
{
	unsigned int n = (address - AREAS) / AREA_SIZE;

	return n < NR_AREAS ? n : NR_AREAS - 1;
}

static void show_areas(void)
{
	unsigned int value;

	/* The first byte and the last one are of others */
	value = qv_config(CHIPSET, PAM_FROM_E0000) & 0xff0000ff;
	value |= mode[0] << 8 | mode[1] << 12 | mode[2] << 16 | mode[3] << 20;
	qv_set_config(CHIPSET, PAM_FROM_E0000, value);
	value = qv_config(CHIPSET, PAM0) & ~0x30U;
	qv_set_config(CHIPSET, PAM0, value | mode[4] << 4);
}

static void change(void)
{
	switch (qv_below(4)) {
	case 0:
		place = qv_below(NR_PLACES);
		qv_set_config(DISK, BAR2, PLACE(place));
		break;
	case 1:
		disk_on = qv_below(2);
		qv_set_config(DISK, COMMAND, disk_on ? ON : 0);
		break;
	default:
		mode[qv_below(NR_AREAS)] = qv_below(4);
		show_areas();
	}
}

static int expect(const char *what, uint64_t address, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	printf("# %s %#llx: %#llx, not %#llx\n", what, (unsigned long long)address,
	       (unsigned long long)got, (unsigned long long)want);
	return 1;
}

static int check(void)
{
	uint64_t at = AREAS + qv_below(AREAS_SIZE / 8) * 8, number;
	uint64_t *answer = qv_at(ANSWER);

	if (disk_on && qv_below(2)) {
		at = PLACE(place) + qv_below(512) * 8;
		qv_command("writeq", at, 0xd15c00000000ULL | qv_below(1U << 24));
		checks[0]++;
	} else {
		checks[1]++;
	}
	*answer = ~0ULL;
	qv_edu_copy(QV_BAR, at, ANSWER);
	if (expect("read of", at, *answer, qv_read("readq", at)))
		return 1;
	if (at < AREAS + AREAS_SIZE && mode[area_of(at)] != READ_WRITE)
		return 0;
	checks[2]++;
	number = 0xb0b00000000ULL | qv_below(1U << 24);
	*answer = number;
	qv_edu_copy(QV_BAR, ANSWER, at);
	return expect("write of", at, qv_read("readq", at), number);
}

static void start(void)
{
	uint64_t at;

	for (at = AREAS; at < AREAS + AREAS_SIZE; at += 8)
		*qv_at(at) = 0x5a5a000000000000ULL | at;
	qv_edu_init(QV_EDU, QV_BAR);
	qv_set_config(DISK, 0x10, DISK_REGISTERS);
	qv_set_config(DISK, 0x14, 0);
	qv_set_config(DISK, BAR2, PLACE(0));
	qv_set_config(DISK, BAR2 + 4, 0);
	show_areas();
}

int main(int argc, char **argv)
{
	unsigned int changes = 2000, per_check = 4, i;
	int bad = 0;
	pid_t pid;

	argv = qv_options(argc, argv, &changes, &per_check);
	pid = qv_start_plain(argv);
	start();
	for (i = 0; i < changes && !bad; i++) {
		change();
		if (i % per_check == 0)
			bad = check();
	}
	qv_stop(pid);
	printf("# %u changes; %u reads of the disk, %u of other memory; %u writes\n", i,
	       checks[0], checks[1], checks[2]);
	return bad || !checks[0] || !checks[1] || !checks[2];
}
