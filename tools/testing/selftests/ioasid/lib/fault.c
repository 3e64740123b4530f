// SPDX-License-Identifier: GPL-2.0-only
#include "fault.h"

#define DEBUGFS "/sys/kernel/debug/"

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

bool set_knobs(void)
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

void restore_knobs(void)
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

bool arm(int fail_nth, unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	return pwrite(fail_nth, text, n, 0) == n;
}

int disarm(int fail_nth)
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
