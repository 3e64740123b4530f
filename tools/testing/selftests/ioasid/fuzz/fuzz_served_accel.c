// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: files of an accelerator, which come and go, and work by
 * them, on the mirror of the process and on children of the root that pins on demand.
 */
#include "fuzz_served.h"

#define NOT_BOUND -ENODEV

static __u32 space_of(const struct served *s, unsigned int to)
{
	return to == 1 ? s->mirror.id : s->demand.children[to - 2];
}

static struct served_file *some_file(struct served *s)
{
	return &s->files[served_below(s, SERVED_FILES)];
}

static int reopen(struct served *s, struct served_file *f)
{
	const bool open = f->fd < 0;

	if (!open)
		close(f->fd);
	*f = (struct served_file){ .fd = -1 };
	if (!open)
		return 0;
	f->fd = acc_open(&s->acc, 0);
	return f->fd < 0 ? served_complain("acc_open()", f->fd, 0) : 0;
}

static int bind_file(struct served *s, struct served_file *f)
{
	int rc = acc_bind(f->fd, s->fd, 1 + served_below(s, 100));

	if (f->bound)
		return SERVED_WANT(-EBUSY, rc);
	f->bound = true;
	return rc > 0 ? 0 : served_complain("acc_bind()", rc, 1);
}

static int attach(struct served *s, struct served_file *f, unsigned int vpasid)
{
	const unsigned int to = 1 + served_below(s, 1 + SERVED_CHILDREN);
	int rc;

	rc = SERVED_WANT(f->bound ? 0 : NOT_BOUND,
			 acc_attach(f->fd, space_of(s, to), vpasid));
	if (f->bound)
		f->to[vpasid] = to;
	return rc;
}

static int detach(struct served *s, struct served_file *f, unsigned int vpasid)
{
	const int want = !f->bound ? NOT_BOUND : f->to[vpasid] ? 0 : -ENOENT;

	f->to[vpasid] = 0;
	return SERVED_WANT(want, acc_detach(f->fd, vpasid));
}

static __u64 sum_of(const void *page)
{
	const __u64 *words = page;
	__u64 sum = 0;
	size_t i;

	for (i = 0; i < FUZZ_PAGE / sizeof(*words); i++)
		sum += words[i];
	return sum;
}

/* Add up a page that a child has */
static int sum_child(struct served *s, struct served_file *f, unsigned int vpasid)
{
	const unsigned int at = served_below(s, SERVED_PAGES);
	const __u8 ref = s->demand.refs[f->to[vpasid] - 2][at];
	struct accel_submit cmd = {
		.op = ACCEL_SUM, .vpasid = vpasid, .length = FUZZ_PAGE,
		.src = DEMAND_CHILD_AT + at * FUZZ_PAGE,
	};
	int rc;

	rc = SERVED_WANT(ref ? 0 : MODEL_FAULT_ABSENT, acc_submit(f->fd, &cmd));
	if (rc || !ref)
		return rc;
	return SERVED_WANT(sum_of(s->demand.mem + (ref - 1) * FUZZ_PAGE), cmd.result);
}

/* Add up a page of the process, or fill it */
static int work_mirror(struct served *s, struct served_file *f, unsigned int vpasid)
{
	const unsigned int page = served_below(s, SERVED_PAGES);
	const bool write = served_below(s, 2), may = mirror_may(s, page, write);
	const char *p = s->mirror.mem + page * FUZZ_PAGE;
	struct accel_submit cmd = {
		.op = write ? ACCEL_FILL : ACCEL_SUM, .vpasid = vpasid,
		.src = IA_PTR(p), .dst = IA_PTR(p), .length = FUZZ_PAGE,
		.seed = fuzz_mix(&s->random),
	};
	int rc;

	rc = SERVED_WANT(may ? 0 : MODEL_PAGE_REQUEST, acc_submit(f->fd, &cmd));
	if (rc)
		return rc;
	if (!may)
		return SERVED_WANT(IA_PTR(p), cmd.fault_addr);
	if (!write)
		return SERVED_WANT(sum_of(p), cmd.result);
	return SERVED_WANT(true, model_pattern_holds(p, cmd.seed, IA_PTR(p), FUZZ_PAGE));
}

static int submit(struct served *s, struct served_file *f, unsigned int vpasid)
{
	struct accel_submit cmd = {
		.op = ACCEL_SUM, .vpasid = vpasid, .length = FUZZ_PAGE,
		.src = DEMAND_CHILD_AT,
	};

	if (!f->bound || !f->to[vpasid])
		return SERVED_WANT(f->bound ? -ENOENT : NOT_BOUND,
				   acc_submit(f->fd, &cmd));
	return f->to[vpasid] == 1 ? work_mirror(s, f, vpasid) :
				    sum_child(s, f, vpasid);
}

/* A child of fork() has the file, and no work done */
static int in_child(struct served_file *f, unsigned int vpasid)
{
	struct accel_submit cmd = {
		.op = ACCEL_SUM, .vpasid = vpasid, .length = FUZZ_PAGE,
	};
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(acc_submit(f->fd, &cmd) != -EPERM);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return SERVED_WANT(0, status);
}

static int look(struct served *s, struct served_file *f)
{
	const struct accel_info info = acc_info(f->fd);

	/* the only thread that submits */
	return SERVED_WANT(0, info.pasids) ?: SERVED_WANT(0, info.waiting) ?:
	       SERVED_WANT(true, acc_ready(f->fd, 0)) ?:
	       SERVED_WANT(0, model_counters(&s->acc).attached);
}

int accel_step(struct served *s)
{
	const unsigned int vpasid = served_below(s, SERVED_PASIDS);
	struct served_file *f = some_file(s);

	if (f->fd < 0)
		return reopen(s, f);
	switch (served_below(s, 64)) {
	case 0:
		return reopen(s, f);
	case 1 ... 6:
		return bind_file(s, f);
	case 7 ... 16:
		return attach(s, f, vpasid);
	case 17 ... 20:
		return detach(s, f, vpasid);
	case 21:
		return in_child(f, vpasid);
	case 22 ... 25:
		return look(s, f);
	default:
		return submit(s, f, vpasid);
	}
}

void accel_close(struct served *s)
{
	int i;

	for (i = 0; i < SERVED_FILES; i++)
		if (s->files[i].fd >= 0)
			close(s->files[i].fd);
}
