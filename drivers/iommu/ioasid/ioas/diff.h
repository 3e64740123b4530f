/* SPDX-License-Identifier: GPL-2.0-only */
/* Rewrite the tables of a range, IOPTE by IOPTE. */
#ifndef _IOASID_IOAS_DIFF_H
#define _IOASID_IOAS_DIFF_H

#include <uapi/linux/ioasid.h>

#include "request.h"
#include "types.h"

#define PERMISSION	(IOASID_MAP_READ | IOASID_MAP_WRITE)

/**
 * struct ioas_change - one change in place
 * @ioas: the address space
 * @start: first byte
 * @last: last byte
 * @flags: the new permission: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @split: mappings may be cut off their grid
 * @new: new mapping, with IOASID_MAP_REPLACE; NULL with IOASID_MAP_PROTECT
 * @claimed: mappings that touch the range, by @next, ascending; fillers have no
 *	memory
 * @claimed_last: the last of these
 * @claimed_maps: fillers stand for mappings whose memory is being pinned
 * @devices: with @new: device memory may be in the range
 * @referred: with @new: a child refers to memory in the range, or across an edge
 * @referred_at: the first IOVA where one does
 * @leaving: LEAVING mappings that are to be claimed, by @next, ascending
 * @ours: the first of these that is not claimed yet
 * @fillers: preallocated mappings for fillers
 * @patience: patience with accesses
 * @repinned: memory in the range that is pinned for writing, by @next,
 *	ascending
 * @sink: takes what devices have written, or may have, of IOPTEs that change
 * @tail: preallocated mappings for the upper parts of mappings at the edges
 * @stand_in: preallocated mapping that occupies the range while it is replaced
 * @fault_addr: out on some failures, the address that failed
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
	bool claimed_maps;
	bool devices;
	bool referred;
	u64 referred_at;
	struct ioas_mapping *leaving;
	struct ioas_mapping *ours;
	struct ioas_batch_cache fillers;
	struct ioas_unmap_request patience;
	struct ioas_mapping *repinned;
	struct ioas_dirty_sink sink;
	struct ioas_mapping *tail[2];
	struct ioas_mapping *stand_in;
	u64 fault_addr;
};

static inline bool ioas_is_filler(const struct ioas_mapping *m)
{
	return m->backing == IOAS_BACKING_NONE;
}

static inline u64 ioas_page_index(const struct ioas_mapping *m, u64 iova)
{
	return (iova - m->start) >> PAGE_SHIFT;
}

/* True if the change makes a difference to a mapping */
static inline bool ioas_change_differs(const struct ioas_change *change,
				       const struct ioas_mapping *m)
{
	return change->new || (m->flags & PERMISSION) != change->flags;
}

int ioas_diff_tables(struct ioas_change *change);

#endif /* _IOASID_IOAS_DIFF_H */
