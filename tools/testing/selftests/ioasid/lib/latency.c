// SPDX-License-Identifier: GPL-2.0-only
#include "latency.h"

bool latency_is_instructions(void)
{
	return getenv("IOASID_ICOUNT");
}

static int latency_write(const char *name, const char *value)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), LATENCY_DIR "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, value, strlen(value));
	close(fd);
	return n < 0 ? -errno : 0;
}

int latency_open(struct latency *latency)
{
	memset(latency, 0, sizeof(*latency));
	latency->on = -1;
	latency->max = -1;
	if (access(LATENCY_DIR "tracing_max_latency", F_OK) ||
	    latency_write("tracing_on", "0") ||
	    latency_write("current_tracer", "preemptirqsoff"))
		return -ENOENT;
	/* The trace of each function call would take time. */
	if (latency_write("options/function-trace", "0") ||
	    latency_write("options/sym-offset", "1") ||
	    latency_write("tracing_thresh", "0"))
		return -ENOENT;
	latency->on = open(LATENCY_DIR "tracing_on", O_WRONLY | O_CLOEXEC);
	latency->max = open(LATENCY_DIR "tracing_max_latency",
			    O_RDWR | O_CLOEXEC);
	return latency->on < 0 || latency->max < 0 ? -ENOENT : 0;
}

void latency_close(struct latency *latency)
{
	latency_write("current_tracer", "nop");
	latency_write("options/sym-offset", "0");
	latency_write("tracing_on", "1");
	if (latency->on >= 0)
		close(latency->on);
	if (latency->max >= 0)
		close(latency->max);
}

static void latency_append(struct latency *latency, const char *text)
{
	size_t at = strlen(latency->text);

	snprintf(latency->text + at, sizeof(latency->text) - at, "%s", text);
}

/* Read what the tracer has kept of the longest section. */
static void latency_read(struct latency *latency)
{
	bool stack = false;
	char line[512];
	FILE *f;

	latency->ours = false;
	latency->text[0] = 0;
	f = fopen(LATENCY_DIR "trace", "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "=> started at:") ||
		    strstr(line, "=> ended at:")) {
			latency_append(latency, strstr(line, "=>"));
			if (strstr(line, "=> started at:"))
				latency->ours = strstr(line, "[ioasid]") ||
						strstr(line, "[vfio_ioasid]");
		} else if (strstr(line, "<stack trace>")) {
			stack = true;
		} else if (stack && strstr(line, "=> ")) {
			latency_append(latency, strstr(line, "=>"));
		}
	}
	fclose(f);
}

void latency_start(struct latency *latency)
{
	if (pwrite(latency->max, "0", 1, 0) != 1 ||
	    pwrite(latency->on, "1", 1, 0) != 1)
		ksft_exit_fail_msg("the tracer cannot be started\n");
}

__u64 latency_stop(struct latency *latency, __u64 limit)
{
	char buf[32] = {};

	if (pwrite(latency->on, "0", 1, 0) != 1 ||
	    pread(latency->max, buf, sizeof(buf) - 1, 0) <= 0)
		ksft_exit_fail_msg("the tracer cannot be read\n");
	latency->us = strtoull(buf, NULL, 10);
	if (latency->us > limit)
		latency_read(latency);
	return latency->us;
}
