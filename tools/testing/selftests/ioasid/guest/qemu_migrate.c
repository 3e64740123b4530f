// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest of QEMU migrates to another QEMU, while an edu device writes to its memory:
 * afterwards both have the same memory, and the device of the other one has the
 * registers of the first one, and works.
 *
 *	qemu_migrate -- QEMU ARG... -- QEMU ARG...
 *
 * The first one has QMP at /tmp/qmp, and both have the edu device at 00:06.0, by a driver
 * that can save its state.  The other one waits at /tmp/migration.  No CPU of the guest
 * runs, see lib/qemu_vtd.h.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qemu_vtd.h"

/* What both have */
#define SIZE QV_SIZE1

/* Words that the device reads, and how often it writes one while the guest migrates */
#define WORDS 0x100000ULL
#define NR_COPIES 40

/* Commands of QMP */
#define BEGIN	"{'execute': 'qmp_capabilities'}"
#define SET(x)	"{'execute': 'migrate-set-parameters', 'arguments': {" x "}}"
#define SLOW	SET("'downtime-limit': 1, 'max-bandwidth': 20000000")
#define FAST	SET("'downtime-limit': 600000, 'max-bandwidth': 0")
#define MIGRATE	"{'execute': 'migrate', 'arguments': {'uri': 'unix:/tmp/migration'}}"
#define QUERY	"{'execute': 'query-migrate'}"

static FILE *qmp, *replies;
static int failed;

static void expect(const char *what, bool right)
{
	printf("# %s%s\n", right ? "" : "wrong: ", what);
	if (!right)
		failed = 1;
}

/* What a command of QMP answers; events are passed over */
static const char *command(const char *json)
{
	static char line[16384];

	fprintf(qmp, "%s\n", json);
	fflush(qmp);
	do {
		if (!fgets(line, sizeof(line), replies))
			qv_die("QMP");
	} while (!strstr(line, "\"return\"") && !strstr(line, "\"error\""));
	if (strstr(line, "\"error\"")) {
		printf("# %s: %s", json, line);
		qv_die("QMP");
	}
	return line;
}

/* Whether the migration has come to a state */
static bool is(const char *state)
{
	char status[64];

	snprintf(status, sizeof(status), "\"status\": \"%s\"", state);
	return strstr(command(QUERY), status);
}

/* The device copies a word to a page that the migration has perhaps sent already */
static void copy(unsigned int i)
{
	uint64_t to = QV_DATA + qv_below((SIZE - QV_DATA) / QV_PAGE) * QV_PAGE;

	qv_edu_copy(QV_BAR, WORDS + i % 512 * 8, to);
	if (*qv_at(to) != *qv_at(WORDS + i % 512 * 8)) {
		printf("# wrong: DMA to 0x%llx\n", (unsigned long long)to);
		failed = 1;
	}
}

/* Whether the other QEMU listens there, which is some time after it has begun */
static bool is_awaited(void)
{
	FILE *f = fopen("/proc/net/unix", "r");
	bool found = false;
	char line[256];

	if (!f)
		qv_die("/proc/net/unix");
	while (fgets(line, sizeof(line), f))
		/* The flags of a socket that accepts connections */
		if (strstr(line, " 00010000 ") && strstr(line, " /tmp/migration\n"))
			found = true;
	fclose(f);
	return found;
}

static void migrate(void)
{
	unsigned int i;

	while (!is_awaited())
		usleep(100000);
	/* It shall not end before the limits are raised */
	command(SLOW);
	command(MIGRATE);
	for (i = 0; i < NR_COPIES; i++)
		copy(i);
	expect("the guest migrates while the device writes", is("active"));
	command(FAST);
	while (!is("completed")) {
		if (is("failed") || is("cancelled")) {
			expect(command(QUERY), false);
			return;
		}
		usleep(100000);
	}
}

static void compare(void)
{
	unsigned int differ = 0;
	const void *there;
	uint64_t at;

	for (at = 0; at < SIZE; at += QV_PAGE) {
		qv_use(1);
		there = qv_at(at);
		qv_use(0);
		if (!memcmp(qv_at(at), there, QV_PAGE))
			continue;
		if (!differ++)
			printf("# the page at 0x%llx differs\n", (unsigned long long)at);
	}
	printf("# %u pages differ\n", differ);
	expect("the memory is the same there", !differ);
}

static void works_there(uint64_t source, uint64_t destination)
{
	qv_use(1);
	expect("the state of the device is the same there",
	       qv_edu_source(QV_BAR) == source &&
	       qv_edu_destination(QV_BAR) == destination);
	qv_edu_copy(QV_BAR, WORDS + 511 * 8, QV_DATA);
	expect("the device works there", *qv_at(QV_DATA) == 511 * 3 + 1);
}

int main(int argc, char **argv)
{
	uint64_t source, destination;
	pid_t pid, other;
	char line[1024];
	int i, fd;

	for (i = 2; i < argc && strcmp(argv[i], "--"); i++)
		;
	if (i + 1 >= argc || strcmp(argv[1], "--")) {
		fprintf(stderr, "usage: qemu_migrate -- QEMU ARG... -- QEMU ARG...\n");
		return 2;
	}
	argv[i] = NULL;
	qv_use(1);
	unlink("/tmp/migration");
	other = qv_start_plain(argv + i + 1);
	qv_use(0);
	unlink("/tmp/qmp");
	pid = qv_start_plain(argv + 2);
	fd = qv_connect(pid, "/tmp/qmp");
	qmp = fdopen(fd, "w");
	replies = fdopen(dup(fd), "r");
	if (!qmp || !replies || !fgets(line, sizeof(line), replies))
		qv_die("QMP");
	command(BEGIN);

	for (i = 0; i < 512; i++)
		qv_at(WORDS)[i] = i * 3 + 1;
	qv_edu_init(QV_EDU, QV_BAR);
	copy(0);
	migrate();
	/* No file of memory changes any more */
	source = qv_edu_source(QV_BAR);
	destination = qv_edu_destination(QV_BAR);
	compare();
	if (!failed)
		works_there(source, destination);
	qv_use(1);
	qv_stop(other);
	qv_use(0);
	qv_stop(pid);
	return failed;
}
