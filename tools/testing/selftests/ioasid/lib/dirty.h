/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty tracking for tests: the commands, and a check that no write is lost.
 *
 * All functions return a negative errno when they fail.
 */
#ifndef __SELFTESTS_IOASID_DIRTY_H
#define __SELFTESTS_IOASID_DIRTY_H

#include <stdatomic.h>

#include "model.h"

#define DIRTY_PAGES 1024
#define DIRTY_WORDS (DIRTY_PAGES / 64)

/* An IOASID with dirty bits; @cut_size may be 0. */
int ia_alloc_dirty(struct model *model, struct model_space *space, __u32 parent,
		   __u64 cut_size);

int ia_set_dirty(int fd, __u32 id, __u32 flags);

/* @cmd gets the outputs. */
int ia_get_dirty(int fd, __u32 id, __u32 flags, __u64 iova, __u64 pages,
		 void *bits, struct ioasid_get_dirty *cmd);
int ia_unmap_dirty(int fd, __u32 id, __u32 flags, __u64 iova, __u64 pages,
		   void *bits, struct ioasid_unmap_dma *cmd);

static inline bool dirty_has(const __u64 *bits, unsigned int page)
{
	return bits[page / 64] >> page % 64 & 1;
}

unsigned int dirty_count(const __u64 *bits, unsigned int pages);

/**
 * struct dirty_shadow - what devices wrote, page by page, and what was told of it
 * @began: writes that began
 * @ended: writes that ended, and were done
 * @before: @ended before a command that tells
 * @told: writes that can have been told: @began after the last command that told
 *	the page
 */
struct dirty_shadow {
	atomic_uint began[DIRTY_PAGES];
	atomic_uint ended[DIRTY_PAGES];
	unsigned int before[DIRTY_PAGES];
	unsigned int told[DIRTY_PAGES];
};

/* Before a command: what has ended by now it tells, or an earlier one did. */
void dirty_before(struct dirty_shadow *shadow);

/*
 * After a command that told @bits of @pages pages from @first on: the first page
 * with a write that no command told, or -1.
 */
int dirty_lost(struct dirty_shadow *shadow, const __u64 *bits,
	       unsigned int first, unsigned int pages);

/**
 * struct dirty_writer - a thread that has a device write to random pages
 * @dev: the device
 * @shadow: counts the writes
 * @iova: IOVA of page @first
 * @first: number of the first page
 * @pages: number of pages
 * @end: it is to end
 * @written: number of writes that were done
 * @rc: an error, which ends it
 */
struct dirty_writer {
	struct model_device *dev;
	struct dirty_shadow *shadow;
	__u64 iova;
	unsigned int first;
	unsigned int pages;
	atomic_bool end;
	atomic_uint written;
	int rc;
};

/* For pthread_create(). DMA may fault: then nothing was written. */
void *dirty_write(void *writer);

#endif /* __SELFTESTS_IOASID_DIRTY_H */
