// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map by reference to memory and memory of devices together.
 *
 * Invariants:
 *  - Memory of a device is mapped and revoked as a whole.  So a range of a
 *    parent that has both becomes several mappings of the child, the pieces: one
 *    for each run of memory, and one for each mapping of device memory.
 *  - Until all pieces are written, none of them is in the tree.  The mapping
 *    that reserved the range stands there for all, WRITING, with
 *    IOAS_BACKING_PIECES; so a failure is undone unseen.  Then they take its
 *    place, from the right.
 *  - populate() stops before the mapping until the pieces are LIVE.  If it was beyond
 *    the mapping from the start, each piece is written to the domain being populated,
 *    too.
 *
 * Locks: tables.sem is held for reading, from before the first piece has a
 * reference until the last one is in the tree.
 *
 * Waits: as for any write, a thread that waits for the mapping, or to hold
 * tables.sem for writing, ends it early.
 */
#include <linux/sched/signal.h>

#include "../mem/charge.h"
#include "backing.h"
#include "devmem.h"
#include "dirty.h"
#include "mapping.h"
#include "pieces.h"
#include "ref.h"
#include "split.h"
#include "tables.h"
#include "tree.h"

/* Pieces that are removed with one flush, and those that the lock is held for */
#define REMOVE_BATCH	256
#define INSERT_BATCH	16

/**
 * struct pieces - the pieces of a request
 * @ioas: the child
 * @whole: the mapping that reserved the range
 * @first: the pieces, descending, linked by @next
 * @nr: number of pieces
 * @in_populating: they are written to the domain being populated
 */
struct pieces {
	struct ioas *ioas;
	struct ioas_mapping *whole;
	struct ioas_mapping *first;
	unsigned int nr;
	bool in_populating;
};

/* Let a thread that waits for the whole stop the work on @m, too */
static int work_on(struct pieces *pieces, struct ioas_mapping *m)
{
	struct ioas_mapping *whole = pieces->whole;
	bool wanted;

	spin_lock(&pieces->ioas->lock);
	whole->next = m;
	wanted = whole->wanted;
	spin_unlock(&pieces->ioas->lock);
	if (wanted)
		return -EAGAIN;
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Refer to the parent's memory from the child's address @at on */
static int refer_piece(struct pieces *pieces,
		       const struct ioas_map_request *req, u64 at, u64 *addr)
{
	struct ioas_mapping *m = ioas_mapping_alloc(pieces->ioas, req), *whole;
	int ret;

	if (!m)
		return -ENOMEM;
	whole = pieces->whole;
	*addr = req->addr + (at - whole->start);
	m->start = at;
	m->last = at + ioas_ref_piece(pieces->ioas, *addr,
				      whole->last - at + 1) - 1;
	m->addr = *addr;
	ioas_mapping_set_state(m, IOAS_MAPPING_WRITING);
	ret = work_on(pieces, m);
	if (!ret)
		ret = ioas_ref_get(pieces->ioas, m, false, addr);
	if (ret < 0) {
		work_on(pieces, NULL);
		ioas_mapping_free(m);
		/* The parent has changed since ioas_ref_piece() */
		return ret == -EREMOTE ? -EAGAIN : ret;
	}
	m->next = pieces->first;
	pieces->first = m;
	pieces->nr++;
	return 0;
}

/* Write one piece to the domains; it is LIVE then, but not in the tree */
static int write_piece(struct pieces *pieces, struct ioas_mapping *m)
{
	struct ioas *ioas = pieces->ioas;
	int ret;

	ret = work_on(pieces, m);
	if (ret)
		return ret;
	if (ioas_mapping_is_device(m)) {
		ret = ioas_devmem_map(m->device);
	} else if (!ioas_tables_none(ioas)) {
		ret = ioas_tables_write(ioas, m);
		spin_unlock(&ioas->lock);
	}
	if (!ret)
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
	return ret;
}

/* Remove pieces that were written, up to @end; returns true if one is poisoned */
static bool unwrite_pieces(struct pieces *pieces, struct ioas_mapping *end)
{
	struct ioas_removal removal = { .scattered = true };
	struct ioas_mapping *m, *first = NULL, *next;
	bool poisoned = false;
	unsigned int n = 0;

	for (m = pieces->first; m != end; m = next) {
		next = m->next;
		if (ioas_mapping_is_device(m))
			ioas_devmem_unmap(m->device);
		m->in_populating = pieces->in_populating;
		if (!first)
			first = m;
		if (++n % REMOVE_BATCH && next != end)
			continue;
		m->next = NULL;
		removal.first = first;
		poisoned |= ioas_tables_remove(pieces->ioas, &removal);
		m->next = next;
		first = NULL;
		cond_resched();
	}
	return poisoned;
}

/* Undo all pieces, of which those before @end were written */
static void undo(struct pieces *pieces, struct ioas_mapping *end)
{
	struct ioas *ioas = pieces->ioas;
	struct ioas_mapping *m, *next;
	bool poisoned;

	spin_lock(&ioas->lock);
	pieces->whole->next = NULL;
	spin_unlock(&ioas->lock);
	/* A write that failed may have poisoned a domain, too */
	poisoned = unwrite_pieces(pieces, end) | ioas_tables_poisoned(ioas);
	for (m = pieces->first; m; m = next) {
		next = m->next;
		if (poisoned && ioas_mapping_has_memory(m)) {
			spin_lock(&ioas->lock);
			ioas_quarantine_add(ioas, m);
			spin_unlock(&ioas->lock);
		} else {
			if (ioas_dirty_any())
				ioas_dirty_undone(ioas, m);
			ioas_mapping_release(ioas, m);
		}
		cond_resched();
	}
	spin_lock(&ioas->lock);
	ioas->poisoned |= poisoned;
	pieces->whole->backing = IOAS_BACKING_NONE;
	spin_unlock(&ioas->lock);
}

/* Put the pieces into the tree, in place of the whole, which is freed */
static void publish(struct pieces *pieces)
{
	struct ioas_mapping *whole = pieces->whole, *m, *next;
	struct ioas *ioas = pieces->ioas;
	unsigned int n = 0;

	spin_lock(&ioas->lock);
	whole->next = NULL;
	for (m = pieces->first; m; m = next) {
		next = m->next;
		if (ioas_mapping_has_memory(m))
			ioas->bytes_mapped += ioas_mapping_bytes(m);
		if (next) {
			ioas_mapping_split_object(ioas, whole, m);
		} else {
			ioas_mapping_erase(ioas, whole);
			ioas_mapping_insert(ioas, m);
			if (unlikely(ioas->counted))
				atomic64_inc(&ioas->account->mappings);
			ioas->nr_mappings++;
		}
		if (++n % INSERT_BATCH == 0 && next)
			ioas_relax(ioas);
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	ioas_mapping_free(whole);
}

/**
 * ioas_map_pieces() - map by reference what needs several mappings
 * @ioas: a child; tables.sem is held for reading
 * @whole: WRITING, with no memory, as ioas_ref_get() failed with -EREMOTE; freed
 *	on success
 * @req: the request
 * @fault_addr: out on -ENXIO and -EACCES, the first address that failed
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0, all is mapped and published; on failure nothing is, and a domain
 * may be poisoned:
 * errnos of ioas_ref_get() and ioas_devmem_map();
 * -EDQUOT, the context permits no more mappings;
 * -ENOMEM, -ENOSPC or -EIO of the IOMMU driver;
 * -EAGAIN, try again after ioas_ref_wait(), with no lock held;
 * -EINTR, a fatal signal.
 */
int ioas_map_pieces(struct ioas *ioas, struct ioas_mapping *whole,
		    const struct ioas_map_request *req, u64 *fault_addr)
{
	struct pieces pieces = {
		.ioas = ioas,
		.whole = whole,
	};
	struct ioas_mapping *m;
	u64 at = whole->start;
	u64 charged = 0;
	int ret;

	lockdep_assert_held_read(&ioas->tables.sem);
	pieces.in_populating = ioas_tables_begin_pieces(ioas, whole);
	do {
		ret = refer_piece(&pieces, req, at, fault_addr);
		if (ret)
			break;
		at = pieces.first->last + 1;
	} while (pieces.first->last != whole->last);
	/* The whole is counted already */
	if (!ret && unlikely(ioas->counted) && pieces.nr > 1) {
		ret = ioasid_mappings_charge(ioas->account, pieces.nr - 1);
		charged = ret ? 0 : pieces.nr - 1;
	}
	for (m = pieces.first; m && !ret; m = m->next) {
		ret = write_piece(&pieces, m);
		if (ret)
			break;
	}
	if (ret)
		undo(&pieces, m);
	else
		publish(&pieces);
	/* The tree has counted the pieces by itself */
	if (unlikely(charged))
		ioasid_mappings_uncharge(ioas->account, charged);
	return ret;
}
