// SPDX-License-Identifier: GPL-2.0-only
/*
 * Query: read mappings back.
 *
 * Invariants:
 *  - An entry was true at one moment between the begin and the end of the
 *    command: it is read under the lock.  A CHANGING mapping is waited for; a
 *    REMOVING one is reported until it is gone.
 *  - A user address is reported only to the process that mapped it.
 *  - The long walk through the extents needs no lock: it uses a copy that
 *    refers to them.  It keeps no thread waiting for the mapping.
 *
 * Locks: ioas.tables.sem for reading while page sizes are collected; then
 * ioas.lock, for a bounded number of mappings.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

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
	struct ioasid_query_entry entry;
	struct ioas_backing_view view;
	u8 cut_shift;
};

struct query {
	unsigned int nr_pgsizes;
	unsigned long *pgsizes;		/* bitmaps of tables, all different */
	struct snapshot shot[QUERY_BATCH];
};

/* Copy a mapping, except what is below @from, which was reported before */
static void take_shot(struct ioas *ioas, struct ioas_mapping *m,
		      u64 from, struct snapshot *shot)
{
	struct ioasid_query_entry *entry = &shot->entry;

	*entry = (struct ioasid_query_entry){
		.iova = from,
		.length = m->last - from + 1,
		.cut_size = m->cut_shift ? BIT_ULL(m->cut_shift) : 0,
		.flags = m->flags,
	};
	ioas_mapping_view(m, (from - m->start) >> PAGE_SHIFT, &shot->view);
	shot->cut_shift = shot->view.cuttable ? m->cut_shift : 0;
	if (shot->view.revoked)
		entry->flags |= IOASID_QUERY_REVOKED;
	if (shot->view.addr_known) {
		entry->addr = ioas_mapping_addr(ioas, m) +
			      (from - m->start);
		entry->flags |= IOASID_QUERY_ADDR;
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
static unsigned int take_shots(struct ioas *ioas, struct query *query,
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
				  &query->shot[nr++]);
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
static u64 pgsizes_of(const struct query *query, const struct snapshot *shot)
{
	u64 pgsizes = 0;
	unsigned int i;

	for (i = 0; i < query->nr_pgsizes; i++)
		pgsizes |= ioas_iopte_sizes(query->pgsizes[i],
					    shot->entry.iova, &shot->view.mem,
					    shot->cut_shift);
	return pgsizes;
}

/**
 * ioas_query() - report the mappings of an address space
 * @ioas: the address space
 * @cmd: first address, and array for the entries; out, the number of entries
 *
 * Context: may sleep; waits for no page fault of another thread.
 * Return: 0; -EFAULT; -ENOMEM; -EINTR, a fatal signal.
 */
int ioas_query(struct ioas *ioas, struct ioasid_query_map *cmd)
{
	struct ioasid_query_entry __user *to = u64_to_user_ptr(cmd->entries);
	u32 room = cmd->nr, i, n;
	u64 cursor = cmd->start;
	struct query *query;
	bool more = true;
	int ret = 0;

	cmd->nr = 0;
	query = kmalloc(sizeof(*query), GFP_KERNEL_ACCOUNT);
	if (!query)
		return -ENOMEM;
	query->pgsizes = ioas_tables_pgsizes(ioas, &query->nr_pgsizes);
	if (IS_ERR(query->pgsizes)) {
		ret = PTR_ERR(query->pgsizes);
		query->pgsizes = NULL;
	}
	while (!ret && more && cmd->nr < room) {
		n = take_shots(ioas, query, min(room - cmd->nr, QUERY_BATCH),
			       cmd->nr ? cursor : 0, &cursor, &more);
		for (i = 0; i < n; i++) {
			struct snapshot *shot = &query->shot[i];

			shot->entry.pgsizes = pgsizes_of(query, shot);
			ioasid_memory_return(&shot->view.mem);
			if (!ret && copy_to_user(to, &shot->entry,
						 sizeof(shot->entry)))
				ret = -EFAULT;
			to++;
		}
		cmd->nr += n;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	kfree(query->pgsizes);
	kfree(query);

	/* Without room in the array nothing was tested yet */
	spin_lock(&ioas->lock);
	more = more && ioas_mapping_first(ioas, cursor);
	spin_unlock(&ioas->lock);
	cmd->next = more ? cursor : 0;
	cmd->more = more;
	return ret;
}
