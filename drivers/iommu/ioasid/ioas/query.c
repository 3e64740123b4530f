// SPDX-License-Identifier: GPL-2.0-only
/*
 * Query: read mappings back.
 *
 * Invariants:
 *  - An entry was true at one moment between the begin and the end of the
 *    command: it is read under the lock.  A CHANGING mapping is waited for; a
 *    REMOVING one is reported until it is gone.
 *  - A user address is reported only to the process that mapped it; a file to all
 *    that have the context, since its offset says nothing without it.
 *  - The long walk through the extents needs no lock: it uses a copy that
 *    refers to them.  It keeps no thread waiting for the mapping.
 *
 * Locks: ioas.tables.sem for reading while page sizes are collected; then
 * ioas.lock, for a bounded number of mappings.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../mem/memory.h"
#include "backing.h"
#include "iopte.h"
#include "ioas.h"
#include "mapping.h"
#include "ref.h"
#include "tables.h"
#include "tree.h"

/* Mappings that are copied with the lock held */
#define QUERY_BATCH	32

/* Mappings that are skipped between two calls of the scheduler */
#define WALK_BATCH	1024

/* Copy of a mapping, for use without the lock */
struct snapshot {
	struct ioas_query_entry entry;
	struct ioas_backing_view view;
	u8 cut_shift;
};

struct walk {
	unsigned int nr_pgsizes;
	unsigned long *pgsizes;		/* bitmaps of tables, all different */
	struct snapshot shot[QUERY_BATCH];
};

/* Copy a mapping, except what is below @from, which was reported before */
static void take_shot(struct ioas *ioas, struct ioas_mapping *m,
		      u64 from, struct snapshot *shot)
{
	struct ioas_query_entry *entry = &shot->entry;

	*entry = (struct ioas_query_entry){
		.iova = from,
		.length = m->last - from + 1,
		.cut_size = m->cut_shift ? BIT_ULL(m->cut_shift) : 0,
		.flags = m->flags,
	};
	ioas_mapping_view(m, (from - m->start) >> PAGE_SHIFT, &shot->view);
	shot->cut_shift = shot->view.cuttable ? m->cut_shift : 0;
	entry->revoked = shot->view.revoked;
	entry->demand = shot->view.demand;
	entry->addr_known = shot->view.addr_known;
	if (entry->addr_known)
		entry->addr = ioas_mapping_addr(ioas, m) + (from - m->start);
	if ((m->backing == IOAS_BACKING_PINNED ||
	     m->backing == IOAS_BACKING_DEMAND) && m->flags & IOASID_MAP_FILE) {
		entry->inode_known = true;
		entry->ino = m->ino;
		entry->dev = m->dev;
	}
}

static bool is_cut(struct ioas *ioas, u64 addr)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, addr);

	return m && m->state == IOAS_MAPPING_CHANGING;
}

/*
 * Copy mappings from *@cursor on, and move it behind the last of them.  Returns
 * their number; clears @more if none is left.
 */
static unsigned int take_shots(struct ioas *ioas, struct walk *walk,
			       unsigned int room, u64 told, u64 *cursor,
			       bool *more)
{
	unsigned int nr = 0, passed = 0;
	struct ioas_mapping *m;

	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, *cursor);
	while (m && nr < room && passed < WALK_BATCH) {
		if (m->state == IOAS_MAPPING_CHANGING) {
			if (nr)
				break;
			if (ioas_wait(ioas, !is_cut(ioas, *cursor),
				      NULL))
				break;
			m = ioas_mapping_first(ioas, *cursor);
			continue;
		}
		if (m->state == IOAS_MAPPING_LIVE ||
		    m->state == IOAS_MAPPING_LEAVING ||
		    m->state == IOAS_MAPPING_REMOVING)
			take_shot(ioas, m, max(m->start, told),
				  &walk->shot[nr++]);
		passed++;
		*more = m->last != U64_MAX;
		if (!*more)
			break;
		*cursor = m->last + 1;
		m = ioas_mapping_next(m);
	}
	if (!m)
		*more = false;
	spin_unlock(&ioas->lock);
	return nr;
}

/* Find the IOPTE sizes that the drivers were asked for */
static u64 pgsizes_of(const struct walk *walk, const struct snapshot *shot)
{
	u64 pgsizes = 0;
	unsigned int i;

	for (i = 0; i < walk->nr_pgsizes; i++)
		pgsizes |= ioas_iopte_sizes(walk->pgsizes[i],
					    shot->entry.iova, &shot->view.mem,
					    shot->cut_shift);
	return pgsizes;
}

/**
 * ioas_query() - report the mappings of an address space
 * @ioas: the address space
 * @query: the query
 *
 * Context: may sleep; waits for no page fault of another thread.
 * Return: 0; -ENOMEM; -EINTR, a fatal signal; or an errno of @query->tell.
 */
int ioas_query(struct ioas *ioas, struct ioas_query *query)
{
	bool more = true;
	struct walk *walk;
	u32 i, n;
	int ret = 0;

	query->nr = 0;
	query->more = false;
	walk = kmalloc(sizeof(*walk), GFP_KERNEL_ACCOUNT);
	if (!walk)
		return -ENOMEM;
	walk->pgsizes = ioas_tables_pgsizes(ioas, &walk->nr_pgsizes);
	if (IS_ERR(walk->pgsizes)) {
		ret = PTR_ERR(walk->pgsizes);
		walk->pgsizes = NULL;
	}
	while (!ret && more && query->nr < query->room) {
		n = take_shots(ioas, walk,
			       min(query->room - query->nr, QUERY_BATCH),
			       query->nr ? query->start : 0, &query->start,
			       &more);
		for (i = 0; i < n; i++) {
			struct snapshot *shot = &walk->shot[i];

			shot->entry.pgsizes = pgsizes_of(walk, shot);
			ioasid_memory_unrefer(&shot->view.mem);
			if (!ret)
				ret = query->tell(query, query->nr + i,
						  &shot->entry);
		}
		query->nr += n;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	kfree(walk->pgsizes);
	kfree(walk);

	/* Without room nothing was tested yet */
	spin_lock(&ioas->lock);
	query->more = more && ioas_mapping_first(ioas, query->start);
	spin_unlock(&ioas->lock);
	return ret;
}
