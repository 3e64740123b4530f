// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: mappings of a file whose charge moves between this process
 * and children of it, which end.
 */
#define _GNU_SOURCE
#include <linux/memfd.h>

#include "fuzz_served.h"

#define AT 0x100000000ULL

/* What the kernel does later, it does soon */
#define SETTLE_MS 60000

int home_open(struct served *s)
{
	s->home = ia_open();
	if (s->home < 0)
		return s->home;
	s->home_file = memfd_create("home", MFD_CLOEXEC);
	if (s->home_file < 0 || ftruncate(s->home_file, SERVED_PAGES * FUZZ_PAGE))
		return -errno;
	return SERVED_WANT(0, ia_set_option(s->home, IOASID_OPTION_CHARGE,
					    IOASID_CHARGE_MM, 0)) ?:
	       SERVED_WANT(0, ia_alloc(s->home, &s->home_id));
}

static unsigned int nr_pages(const struct served *s)
{
	return __builtin_popcount(s->home_pages);
}

/*
 * Pages that this process pays for.  If another thread has its mmap_lock, a charge is
 * released later.
 */
static int want_locked(unsigned int pages)
{
	const __u64 start = ia_now_ms();

	while (fuzz_status("VmLck:") != pages * FUZZ_PAGE &&
	       ia_now_ms() - start < SETTLE_MS)
		usleep(1000);
	return SERVED_WANT(pages * FUZZ_PAGE, fuzz_status("VmLck:"));
}

static int map(struct served *s, unsigned int page)
{
	__u64 iova = AT + page * FUZZ_PAGE;
	const bool there = s->home_pages >> page & 1;

	s->home_pages |= 1U << page;
	return SERVED_WANT(there ? -EEXIST : 0,
			   ia_map_file(s->home, s->home_id, IA_RW_FIXED, &iova,
				       s->home_file, page * FUZZ_PAGE, FUZZ_PAGE)) ?:
	       want_locked(nr_pages(s));
}

static int unmap(struct served *s, unsigned int page)
{
	s->home_pages &= ~(1U << page);
	return SERVED_WANT(0, ia_unmap(s->home, s->home_id, AT + page * FUZZ_PAGE,
				       FUZZ_PAGE, NULL)) ?:
	       want_locked(nr_pages(s));
}

/* Take over @pages mappings, after a look at what there is to take over */
static int take_over(struct served *s, unsigned int pages)
{
	__u64 moved, fail_iova;

	return SERVED_WANT(0, ia_rehome(s->home, s->home_id, IOASID_REHOME_PROBE,
					&moved, &fail_iova)) ?:
	       SERVED_WANT(pages, moved) ?: SERVED_WANT(0, fail_iova) ?:
	       SERVED_WANT(0, ia_rehome(s->home, s->home_id, 0, &moved, &fail_iova)) ?:
	       SERVED_WANT(pages, moved) ?: SERVED_WANT(0, fail_iova) ?:
	       want_locked(nr_pages(s)) ?:
	       SERVED_WANT(0, ia_rehome(s->home, s->home_id, 0, &moved, &fail_iova)) ?:
	       SERVED_WANT(0, moved);
}

/* Map memory of this process, which no child can take over */
static int with_memory(struct served *s, bool map)
{
	const __u64 iova = AT + SERVED_PAGES * FUZZ_PAGE;

	return map ? SERVED_WANT(0, ia_map(s->home, s->home_id, iova, s->demand.mem,
					   FUZZ_PAGE)) :
		     SERVED_WANT(0, ia_unmap(s->home, s->home_id, iova, FUZZ_PAGE,
					     NULL));
}

static int refused(struct served *s)
{
	__u64 moved, fail_iova;

	return SERVED_WANT(-EOPNOTSUPP, ia_rehome(s->home, s->home_id, 0, &moved,
						  &fail_iova)) ?:
	       SERVED_WANT(0, moved) ?:
	       SERVED_WANT(AT + SERVED_PAGES * FUZZ_PAGE, fail_iova) ?:
	       want_locked(0);
}

/* A child takes over all, or may not; it ends, and this process takes it back */
static int pass_on(struct served *s, bool may)
{
	int status = 0, rc = may ? 0 : with_memory(s, true);
	pid_t pid;

	fflush(stdout);
	pid = rc ? -1 : ia_fork();
	if (!pid) {
		rc = may ? take_over(s, nr_pages(s)) : refused(s);
		fflush(stdout);
		_exit(!!rc);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return rc ?: -ECHILD;
	rc = SERVED_WANT(0, status) ?: want_locked(may ? 0 : nr_pages(s) + 1);
	if (!may)
		return rc ?: with_memory(s, false);
	return rc ?: take_over(s, nr_pages(s));
}

int home_step(struct served *s)
{
	const unsigned int page = served_below(s, SERVED_PAGES);

	switch (served_below(s, 8)) {
	case 0 ... 2:
		return map(s, page);
	case 3:
		return unmap(s, page);
	case 4:
		return pass_on(s, false);
	case 5:
		return take_over(s, 0);
	default:
		return pass_on(s, true);
	}
}

int home_close(struct served *s)
{
	return SERVED_WANT(0, ia_unmap_all(s->home, s->home_id, NULL)) ?:
	       want_locked(0);
}
