/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rewrite the tables of a range, IOPTE by IOPTE.
 */
#ifndef _IOASID_IOAS_DIFF_H
#define _IOASID_IOAS_DIFF_H

#include <uapi/linux/ioasid.h>

#include "types.h"

#define PERMISSION	(IOASID_MAP_READ | IOASID_MAP_WRITE)

/**
 * struct ioas_change - one change
 * @ioas: of which space
 * @start: first byte
 * @last: last byte
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE: the permission that shall be
 * @split: mappings may be cut off their grid
 * @new: with IOASID_MAP_REPLACE, what shall be mapped; NULL with
 *	IOASID_MAP_PROTECT
 * @claimed: by @next, ascending, what touches the range; fillers have no memory
 * @claimed_last: the last of these
 * @leaving: by @next, ascending, LEAVING mappings that are to be claimed
 * @ours: the first of these that was not claimed yet
 * @fillers: mappings to make fillers of
 * @patience: for software devices
 * @repinned: by @next, ascending, memory in the range, pinned for writing
 * @tail: spare objects for what the mappings at the edges will lose
 * @stand_in: a spare object that holds the range while it changes hands
 * @fault_addr: out on some failures, where
 */
struct ioas_change {
	struct ioas *ioas;
	u64 start;
	u64 last;
	unsigned int flags;
	bool split;
	struct ioas_mapping *new;
	struct ioas_mapping *claimed;
	struct ioas_mapping *claimed_last;
	struct ioas_mapping *leaving;
	struct ioas_mapping *ours;
	struct ioas_batch_cache fillers;
	struct ioas_unmap_request patience;
	struct ioas_mapping *repinned;
	struct ioas_mapping *tail[2];
	struct ioas_mapping *stand_in;
	u64 fault_addr;
};

static inline bool ioas_is_filler(const struct ioas_mapping *m)
{
	return !m->mem.npages;
}

static inline u64 ioas_page_index(const struct ioas_mapping *m, u64 iova)
{
	return (iova - m->start) >> PAGE_SHIFT;
}

/* Does the change make a difference to a mapping? */
static inline bool ioas_change_differs(const struct ioas_change *change,
				       const struct ioas_mapping *m)
{
	return change->new || (m->flags & PERMISSION) != change->flags;
}

int ioas_diff_tables(struct ioas_change *change);

#endif /* _IOASID_IOAS_DIFF_H */
