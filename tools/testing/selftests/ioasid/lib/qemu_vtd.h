/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest of QEMU that does not run, with a VT-d that this process drives: it writes
 * tables to the memory of the guest, a file, and invalidates by QEMU's test protocol.
 */
#ifndef __SELFTESTS_IOASID_QEMU_VTD_H
#define __SELFTESTS_IOASID_QEMU_VTD_H

#include <stdint.h>
#include <sys/types.h>

#define QV_SIZE (512ULL << 20)
/* That of a second one is smaller */
#define QV_SIZE1 (128ULL << 20)
#define QV_PAGE 4096ULL

/* Where the guest's tables map: one GiB, whose last level is at QV_TABLE1 */
#define QV_IOVA 0x40000000ULL
#define QV_TABLE2 0x111000ULL
#define QV_TABLE1 0x200000ULL
/* Memory that no table is in */
#define QV_DATA 0x1000000ULL

void qv_die(const char *what) __attribute__((noreturn));

/*
 * Start QEMU, whose guest has the memory file and listens to the socket: with tables
 * for the device 00:06.0 in its VT-d, or with none
 */
pid_t qv_start(char **argv);
/* Nanoseconds that it took to switch the VT-d on: the guest's memory is unmapped then */
extern uint64_t qv_switch_time;
pid_t qv_start_plain(char **argv);
void qv_stop(pid_t pid);

/*
 * There may be two guests: the next calls are for this one, 0 or 1.  The second one has the
 * memory file and the socket with a 1 at the end of their names.
 */
void qv_use(unsigned int n);

/* Connect to another socket of QEMU, when that listens */
int qv_connect(pid_t pid, const char *path);

/*
 * The options of a program that changes things at random, "[-n CHANGES]
 * [-c CHANGES-PER-CHECK] [-s SEED] -- QEMU ARG...": returns QEMU and its arguments
 */
char **qv_options(int argc, char **argv, unsigned int *changes,
		  unsigned int *per_check);
/* A random number less than this one; the seed decides which */
unsigned int qv_below(unsigned int n);

/* Configuration space of devices of bus 0; 00:06.0 is an edu device */
#define QV_EDU 0x30
uint32_t qv_config(unsigned int devfn, unsigned int where);
void qv_set_config(unsigned int devfn, unsigned int where, uint32_t value);

/* Give an edu device its registers' address: this one, or another one for others */
#define QV_BAR 0xe0000000ULL
void qv_edu_init(unsigned int devfn, uint64_t bar);
/* The one at this address reads 8 bytes at one address, and writes them to another one */
void qv_edu_copy(uint64_t bar, uint64_t from, uint64_t to);
/* What its registers of source and destination say */
uint64_t qv_edu_source(uint64_t bar);
uint64_t qv_edu_destination(uint64_t bar);

/* The memory of the guest at an address */
uint64_t *qv_at(uint64_t address);

/* A command of the test protocol, and its answer */
uint64_t qv_command(const char *name, uint64_t address, uint64_t value);
uint64_t qv_read(const char *name, uint64_t address);

/* Queue an invalidation: of a range, or of all */
void qv_invalidate(uint64_t iova, unsigned int order);
void qv_invalidate_domain(void);
/* Take the device out of its domain */
void qv_leave(void);

/* Hand over what is queued, and see it done: nanoseconds */
uint64_t qv_submit(void);

#endif
