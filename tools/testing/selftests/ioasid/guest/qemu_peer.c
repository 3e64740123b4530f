// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peer to peer in QEMU: an edu device of the host reads and writes the memory buffer
 * of an NVMe disk, both of which the guest has.  After a reset of the disk, and after
 * its memory was off, DMA reaches it again, although nothing is mapped or invalidated.
 *
 *	qemu_peer [-v] -- QEMU ARG...
 *	  -v the edu device is behind a VT-d
 *
 * QEMU's guest does not run, see lib/qemu_vtd.h; the devices are its 00:06.0 and
 * 00:05.0.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qemu_vtd.h"

#define DISK 0x28
#define DISK_REGISTERS 0xe1000000ULL
#define DISK_BUFFER 0xe2000000ULL
#define WORD 0x800000ULL
#define COMMAND 4
#define ON 6
#define CAP_EXPRESS 0x10
#define DEVICE_CONTROL 8
#define RESET 0x8000

static uint64_t buffer, word;
static int failed;

static void expect(const char *step, uint64_t got, uint64_t want)
{
	bool right = got == want;

	printf("%s%s: %#llx\n", right ? "# " : "# wrong: ", step,
	       (unsigned long long)got);
	if (!right)
		failed = 1;
}

/* What the CPU writes, the device reads, and the other way round */
static void reaches(const char *step, uint64_t number)
{
	char line[64];

	qv_command("writeq", DISK_BUFFER, number);
	*qv_at(WORD) = 0;
	qv_edu_copy(QV_BAR, buffer, word);
	snprintf(line, sizeof(line), "%s: read", step);
	expect(line, *qv_at(WORD), number);

	*qv_at(WORD) = ~number;
	qv_edu_copy(QV_BAR, word, buffer + 8);
	snprintf(line, sizeof(line), "%s: written", step);
	expect(line, qv_read("readq", DISK_BUFFER + 8), ~number);
}

static unsigned int find_express(void)
{
	unsigned int at = qv_config(DISK, 0x34) & 0xff;

	while (at && (qv_config(DISK, at) & 0xff) != CAP_EXPRESS)
		at = qv_config(DISK, at) >> 8 & 0xff;
	if (!at)
		qv_die("the disk is not a PCI express device");
	return at;
}

static void init_disk(void)
{
	qv_set_config(DISK, 0x10, DISK_REGISTERS);
	qv_set_config(DISK, 0x14, 0);
	qv_set_config(DISK, 0x18, DISK_BUFFER);
	qv_set_config(DISK, 0x1c, 0);
	qv_set_config(DISK, COMMAND, ON);
}

static void map_in_guest(void)
{
	unsigned int i;

	for (i = 0; i < 128; i++)
		qv_at(QV_TABLE2)[i] = 0;
	qv_at(QV_TABLE2)[0] = QV_TABLE1 | 3;
	qv_at(QV_TABLE1)[0] = DISK_BUFFER | 3;
	qv_at(QV_TABLE1)[1] = WORD | 3;
	qv_invalidate_domain();
	qv_submit();
	buffer = QV_IOVA;
	word = QV_IOVA + QV_PAGE;
}

int main(int argc, char **argv)
{
	bool behind = argc > 1 && !strcmp(argv[1], "-v");
	unsigned int i, control;
	pid_t pid;

	argv += behind ? 2 : 1;
	if (!argv[0] || strcmp(argv[0], "--") || !argv[1]) {
		fprintf(stderr, "usage: qemu_peer [-v] -- QEMU ARG...\n");
		return 2;
	}
	pid = (behind ? qv_start : qv_start_plain)(argv + 1);
	qv_edu_init(QV_EDU, QV_BAR);
	init_disk();
	buffer = DISK_BUFFER;
	word = WORD;
	if (behind)
		map_in_guest();
	reaches("first", 0x1111);

	control = find_express() + DEVICE_CONTROL;
	for (i = 0; i < 3; i++) {
		qv_set_config(DISK, control, qv_config(DISK, control) | RESET);
		/* The host restores what the reset has cleared */
		usleep(300000);
		reaches("after a reset", 0x2222 + i);
	}
	for (i = 0; i < 3; i++) {
		qv_set_config(DISK, COMMAND, 0);
		qv_set_config(DISK, COMMAND, ON);
		reaches("after its memory was off", 0x3333 + i);
	}
	qv_stop(pid);
	return failed;
}
