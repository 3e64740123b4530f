/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault injection: makes the nth allocation, or copy of user memory, of a
 * thread fail.
 */
#ifndef __SELFTESTS_IOASID_FAULT_H
#define __SELFTESTS_IOASID_FAULT_H

#include "ioasid_util.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"

/* More than any command needs */
#define MAX_FAILURES 3000

/* Make all injectable calls fail; false if this kernel cannot, or not all. */
bool set_knobs(void);

/* The settings of before. */
void restore_knobs(void);

/* Arm: from now on the @nth call that can fail does. */
bool arm(int fail_nth, unsigned int nth);

/* Disarm; returns whether a call was made to fail. */
int disarm(int fail_nth);

#endif /* __SELFTESTS_IOASID_FAULT_H */
