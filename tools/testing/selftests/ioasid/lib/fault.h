/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault injection: makes the nth allocation, or copy of user memory, of a
 * thread fail.
 */
#ifndef __SELFTESTS_IOASID_FAULT_H
#define __SELFTESTS_IOASID_FAULT_H

#include "ioasid_util.h"

#define DEBUGFS "/sys/kernel/debug/"
#define FAIL_NTH "/proc/thread-self/fail-nth"

/* More than any command needs */
#define MAX_FAILURES 3000

/* Settings that make all injectable calls fail, and their old values. */
static struct {
	const char *path;
	const char *value;
	char before[16];
	int fd;
} knobs[] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "failslab/cache-filter", "N" },
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_usercopy/verbose", "0" },
};

static inline bool set_knobs(void)
{
	unsigned int i;
	bool any = false;
	ssize_t n;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		knobs[i].fd = open(knobs[i].path, O_RDWR | O_CLOEXEC);
		if (knobs[i].fd < 0)
			continue;
		/* some of the files cannot seek */
		n = read(knobs[i].fd, knobs[i].before,
			 sizeof(knobs[i].before) - 1);
		if (n <= 0 || write(knobs[i].fd, knobs[i].value,
				    strlen(knobs[i].value)) < 0)
			return false;
		any = true;
	}
	return any;
}

static inline void restore_knobs(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		if (knobs[i].fd < 0)
			continue;
		if (write(knobs[i].fd, knobs[i].before,
			  strlen(knobs[i].before)) < 0)
			ksft_print_msg("%s: not restored\n", knobs[i].path);
		close(knobs[i].fd);
	}
}

/* Arm: from now on the @nth call that can fail does. */
static inline bool arm(int fail_nth, unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	return pwrite(fail_nth, text, n, 0) == n;
}

/* Disarm; returns whether a call was made to fail. */
static inline int disarm(int fail_nth)
{
	char text[16] = {};
	bool failed = false;
	int i;

	/* The read copies memory, and may be the call that fails. */
	if (pread(fail_nth, text, sizeof(text) - 1, 0) > 0)
		failed = text[0] == '0';
	for (i = 0; i < 3; i++)
		if (pwrite(fail_nth, "0", 1, 0) == 1)
			return failed;
	return -1;
}

#endif /* __SELFTESTS_IOASID_FAULT_H */
