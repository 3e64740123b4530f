/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The longest section of kernel code with preemption or interrupts off, as the
 * preemptirqsoff tracer sees it:
 *
 *	latency_open(&latency);		-ENOENT: this kernel cannot tell
 *	latency_start(&latency);
 *	...				the measured calls
 *	us = latency_stop(&latency);
 *
 * With QEMU's -icount an instruction takes a nanosecond, on any machine and
 * however loaded that is.  Without it the numbers mean little.
 *
 * A section counts as one of ours if a function of the module ioasid or of
 * vfio_ioasid began it, by taking a lock.  A section that another function of
 * the kernel began, for example the page allocator, is shown, and is no
 * failure.
 */
#ifndef __SELFTESTS_IOASID_LATENCY_H
#define __SELFTESTS_IOASID_LATENCY_H

#include "ioasid_util.h"

#define LATENCY_DIR "/sys/kernel/tracing/"

/* Room for the description of a section. */
#define LATENCY_TEXT 4096

/**
 * struct latency - a measurement
 * @on: tracing_on
 * @max: tracing_max_latency
 * @us: the longest section, in microseconds
 * @ours: whether it was one of ours
 * @text: where it began and ended, and the stack at its end
 */
struct latency {
	int on;
	int max;
	__u64 us;
	bool ours;
	char text[LATENCY_TEXT];
};

/* Whether time in this machine is instructions, as scripts/vm says. */
bool latency_is_instructions(void);

int latency_open(struct latency *latency);
void latency_close(struct latency *latency);
void latency_start(struct latency *latency);

/* Returns microseconds; above @limit, @text describes the section. */
__u64 latency_stop(struct latency *latency, __u64 limit);

#endif /* __SELFTESTS_IOASID_LATENCY_H */
