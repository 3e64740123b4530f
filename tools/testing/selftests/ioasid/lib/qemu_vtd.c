// SPDX-License-Identifier: GPL-2.0-only
/*
 * See qemu_vtd.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qemu_vtd.h"

/* Where tables are in the memory of the guest */
#define ROOT 0x100000ULL
#define CONTEXT 0x101000ULL
#define QUEUE 0x102000ULL
#define STATUS 0x103000ULL
#define TABLE3 0x110000ULL

/* Registers of VT-d, and their bits */
#define BASE 0xfed90000ULL
#define GCMD 0x18
#define RTADDR 0x20
#define IQT 0x88
#define IQA 0x90
#define TE 0x80000000
#define SRTP 0x40000000
#define QIE 0x04000000

#define DEVFN QV_EDU
#define DOMAIN 1ULL

/* Registers of the edu device, its buffer, and its command's bits */
#define EDU_SRC 0x80
#define EDU_DST 0x88
#define EDU_CNT 0x90
#define EDU_CMD 0x98
#define EDU_BUFFER 0x40000
#define EDU_RUN 1
#define EDU_TO_MEMORY 2

/* Guests, and the one that is driven */
static struct guest {
	const char *file, *socket;
	uint64_t size;
	char *memory;
	FILE *qtest, *answers;
} guests[] = {
	{ .file = "/dev/shm/guest", .socket = "/tmp/qtest", .size = QV_SIZE },
	{ .file = "/dev/shm/guest1", .socket = "/tmp/qtest1", .size = QV_SIZE1 },
}, *guest = guests;

static unsigned int tail, status;

uint64_t qv_switch_time;

void qv_die(const char *what)
{
	fprintf(stderr, "qemu_vtd: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t *qv_at(uint64_t address)
{
	return (uint64_t *)(guest->memory + address);
}

void qv_use(unsigned int n)
{
	guest = &guests[n];
}

static uint64_t answer(const char *name)
{
	char line[128];

	fflush(guest->qtest);
	if (!fgets(line, sizeof(line), guest->answers) || strncmp(line, "OK", 2))
		qv_die(name);
	return strtoull(line + 2, NULL, 0);
}

uint64_t qv_read(const char *name, uint64_t address)
{
	fprintf(guest->qtest, "%s 0x%llx\n", name, (unsigned long long)address);
	return answer(name);
}

uint64_t qv_command(const char *name, uint64_t address, uint64_t value)
{
	fprintf(guest->qtest, "%s 0x%llx 0x%llx\n", name, (unsigned long long)address,
		(unsigned long long)value);
	return answer(name);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void queue(uint64_t lo, uint64_t hi)
{
	qv_at(QUEUE + tail * 16)[0] = lo;
	qv_at(QUEUE + tail * 16)[1] = hi;
	tail = (tail + 1) % 256;
}

uint64_t qv_submit(void)
{
	uint64_t start;

	status++;
	queue(5 | 1 << 5 | (uint64_t)status << 32, STATUS);
	start = now();
	qv_command("writeq", BASE + IQT, tail * 16);
	start = now() - start;
	if ((uint32_t)qv_at(STATUS)[0] != status)
		qv_die("an invalidation is not complete");
	return start;
}

void qv_invalidate(uint64_t iova, unsigned int order)
{
	queue(2 | 3 << 4 | DOMAIN << 16, iova | order);
}

void qv_invalidate_domain(void)
{
	queue(2 | 2 << 4 | DOMAIN << 16, 0);
}

static void start_iommu(void)
{
	unsigned int i;

	qv_at(ROOT)[0] = CONTEXT | 1;
	qv_at(CONTEXT)[DEVFN * 2] = TABLE3 | 1;
	qv_at(CONTEXT)[DEVFN * 2 + 1] = 1 | DOMAIN << 8;
	qv_command("writeq", BASE + RTADDR, ROOT);
	qv_command("writel", BASE + GCMD, SRTP);
	qv_command("writeq", BASE + IQA, QUEUE);
	qv_command("writel", BASE + GCMD, QIE);
	qv_switch_time = now();
	qv_command("writel", BASE + GCMD, QIE | TE);
	qv_switch_time = now() - qv_switch_time;

	/* QEMU has seen that nothing is mapped, and does not know of tables yet */
	qv_at(TABLE3)[QV_IOVA >> 30] = QV_TABLE2 | 3;
	for (i = 0; i < 128; i++)
		qv_at(QV_TABLE2)[i] = (QV_TABLE1 + i * QV_PAGE) | 3;
	qv_invalidate_domain();
	qv_submit();
}

static pid_t run(char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		qv_die("fork");
	if (!pid) {
		execv(argv[0], argv);
		qv_die(argv[0]);
	}
	return pid;
}

int qv_connect(pid_t pid, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	while (connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			qv_die("QEMU has ended");
		usleep(10000);
	}
	return fd;
}

void qv_leave(void)
{
	qv_at(CONTEXT)[DEVFN * 2] = 0;
	queue(1 | 3 << 4 | DOMAIN << 16 | (uint64_t)DEVFN << 32, 0);
}

pid_t qv_start_plain(char **argv)
{
	pid_t pid;
	int fd;

	unlink(guest->socket);
	unlink(guest->file);
	fd = open(guest->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, guest->size))
		qv_die(guest->file);
	guest->memory = mmap(NULL, guest->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (guest->memory == MAP_FAILED)
		qv_die("mmap");
	close(fd);
	memset(guest->memory, 0, guest->size);

	pid = run(argv);
	fd = qv_connect(pid, guest->socket);
	guest->qtest = fdopen(fd, "w");
	guest->answers = fdopen(dup(fd), "r");
	if (!guest->qtest || !guest->answers)
		qv_die("fdopen");
	return pid;
}

pid_t qv_start(char **argv)
{
	pid_t pid = qv_start_plain(argv);

	start_iommu();
	return pid;
}

void qv_stop(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	unlink(guest->file);
}

static void choose(unsigned int devfn, unsigned int where)
{
	qv_command("outl", 0xcf8, 1U << 31 | devfn << 8 | where);
}

uint32_t qv_config(unsigned int devfn, unsigned int where)
{
	choose(devfn, where);
	return qv_read("inl", 0xcfc);
}

void qv_set_config(unsigned int devfn, unsigned int where, uint32_t value)
{
	choose(devfn, where);
	qv_command("outl", 0xcfc, value);
}

void qv_edu_init(unsigned int devfn, uint64_t bar)
{
	qv_set_config(devfn, 0x10, bar);
	qv_set_config(devfn, 4, 6);
}

static void edu(uint64_t bar, uint64_t from, uint64_t to, unsigned int flags)
{
	qv_command("writeq", bar + EDU_SRC, from);
	qv_command("writeq", bar + EDU_DST, to);
	qv_command("writeq", bar + EDU_CNT, 8);
	qv_command("writeq", bar + EDU_CMD, EDU_RUN | flags);
	while (qv_read("readq", bar + EDU_CMD) & EDU_RUN)
		usleep(1000);
}

void qv_edu_copy(uint64_t bar, uint64_t from, uint64_t to)
{
	edu(bar, from, EDU_BUFFER, 0);
	edu(bar, EDU_BUFFER, to, EDU_TO_MEMORY);
}

uint64_t qv_edu_source(uint64_t bar)
{
	return qv_read("readq", bar + EDU_SRC);
}

uint64_t qv_edu_destination(uint64_t bar)
{
	return qv_read("readq", bar + EDU_DST);
}

static unsigned int seed = 1;

unsigned int qv_below(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

char **qv_options(int argc, char **argv, unsigned int *changes,
		  unsigned int *per_check)
{
	int c;

	while ((c = getopt(argc, argv, "n:c:s:")) != -1) {
		switch (c) {
		case 'n':
			*changes = atoi(optarg);
			break;
		case 'c':
			*per_check = atoi(optarg);
			break;
		case 's':
			seed = atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
	if (optind == argc || !*changes || !*per_check) {
		fprintf(stderr, "usage: %s [-n CHANGES] [-c CHANGES-PER-CHECK] [-s SEED] %s\n",
			argv[0], "-- QEMU ARG...");
		exit(2);
	}
	return argv + optind;
}
