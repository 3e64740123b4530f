/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory, and interrupts, of tests of the model devices themselves. All other
 * tests that use these devices rely on what is tested here.
 */
#ifndef __SELFTESTS_IOASID_MODEL_BASIC_H
#define __SELFTESTS_IOASID_MODEL_BASIC_H

#include <poll.h>
#include <sys/eventfd.h>

#include "ioasid_test.h"
#include "model.h"

#define PG page_size
#define NR_PAGES 16
#define BASE 0x200000000ULL
#define AT(page) (BASE + (page) * PG)

#define PATIENCE_MS 10000

/* Pages of a test's memory, in its space */
#define MAP(page, nr) map_pages(&self->space, self->mem, page, nr)
#define UNMAP(page, nr) model_unmap(&self->space, AT(page), (nr) * PG)

static inline int map_pages(struct model_space *space, char *mem, int page, int nr)
{
	return model_map(space, AT(page), mem + page * PG, nr * PG, MODEL_RW);
}

static inline bool raised(int eventfd)
{
	struct pollfd poll_fd = { .fd = eventfd, .events = POLLIN };
	__u64 count;

	return poll(&poll_fd, 1, PATIENCE_MS) == 1 &&
	       read(eventfd, &count, sizeof(count)) == sizeof(count);
}

static inline bool quiet(int eventfd)
{
	struct pollfd poll_fd = { .fd = eventfd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 0;
}

#endif /* __SELFTESTS_IOASID_MODEL_BASIC_H */
