// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is behind a mapping: pinned memory, a reference to a parent, memory of a
 * device, or nothing.
 *
 * Invariants:
 *  - Memory that a poisoned domain may still reach is kept, pinned and charged,
 *    until the domains are gone.
 */
#include <linux/err.h>
#include <linux/slab.h>

#include "../mem/memory.h"
#include "backing.h"
#include "devmem.h"
#include "ioas.h"
#include "mapping.h"
#include "ref.h"

/* The same for a list of them, which are freed together */
void release_list(struct ioasid_space *space,
			 struct ioasid_mapping *list)
{
	struct ioasid_mapping *m, *next;
	unsigned int n = 0;
	void *freed[32] __uninitialized;

	if (space->parent)
		ioasid_family_return(space, list);
	for (m = list; m; m = next) {
		next = m->next;
		mapping_give_back(space, m);
		freed[n++] = m;
		if (n == ARRAY_SIZE(freed) || !next) {
			kmem_cache_free_bulk(mapping_cache, n, freed);
			n = 0;
		}
	}
}

/**
 * ioasid_mapping_release() - free a mapping, and give back what it has
 * @space: the space
 * @m: the mapping; no device reaches its memory any more
 */
void ioasid_mapping_release(struct ioasid_space *space,
			    struct ioasid_mapping *m)
{
	mapping_give_back(space, m);
	ioasid_mapping_free(m);
}

/* Charge and pin, with no lock held: a page fault in here may hang for ever */
int get_memory(struct ioasid_space *space, struct ioasid_mapping *m,
		      struct ioasid_map_request *req)
{
	struct ioasid_device_range *device;
	struct ioasid_payer *payer;
	int ret;

	payer = ioasid_memory_get(&m->mem, space->account, req->file, req->addr,
				  req->length >> PAGE_SHIFT,
				  req->flags & IOASID_MAP_WRITE,
				  &req->fault_addr);
	if (!IS_ERR(payer)) {
		m->payer = payer;
		return 0;
	}
	ret = PTR_ERR(payer);
	if ((ret != -EFAULT && ret != -EDQUOT) || req->file)
		return ret;
	/* A device's memory cannot be pinned, and need not be charged */
	device = ioasid_devmem_get(space, req, m->start);
	if (IS_ERR(device))
		return PTR_ERR(device) == -EFAULT ? ret : PTR_ERR(device);
	m->device = device;
	return 0;
}

/**
 * ioasid_mapping_cut_memory() - prepare what a mapping will lose in a cut
 * @space: the space
 * @m: CUTTING, so that nobody looks at its memory; keeps what is below @at
 * @tail: uninitialised; gets the rest
 * @at: where it is cut
 *
 * Context: may sleep; cannot fail.
 */
void ioasid_mapping_cut_memory(struct ioasid_space *space,
			       struct ioasid_mapping *m,
			       struct ioasid_mapping *tail, u64 at)
{
	*tail = *m;
	tail->readers = 0;
	if (m->mem.npages)
		ioasid_memory_cut(&m->mem, (at - m->start) >> PAGE_SHIFT,
				  &tail->mem);
	if (m->payer)
		ioasid_charge_cut(m->payer, tail->mem.skip);
	if (!(m->flags & IOASID_MAP_RESERVE))
		tail->addr += at - m->start;
	tail->start = at;
	if (space->parent && m->mem.npages)
		ioasid_family_cut(space, m, tail);
}

/**
 * ioasid_mapping_keep() - keep what cannot be unpinned
 * @space: the space; its lock is held
 * @m: not in the tree; a poisoned domain may still reach its memory
 */
void ioasid_mapping_keep(struct ioasid_space *space, struct ioasid_mapping *m)
{
	lockdep_assert_held(&space->lock);
	space->poisoned = true;
	m->gap = ioasid_space_bytes_kept(space) + mapping_bytes(m);
	m->next = space->kept;
	space->kept = m;
}

/**
 * ioasid_space_free_kept() - the poisoned domains are gone
 * @space: the space; attach_lock is held
 */
void ioasid_space_free_kept(struct ioasid_space *space)
{
	struct ioasid_mapping *m, *next;

	spin_lock(&space->lock);
	m = space->kept;
	space->kept = NULL;
	space->poisoned = false;
	spin_unlock(&space->lock);
	for (; m; m = next) {
		next = m->next;
		ioasid_mapping_release(space, m);
		cond_resched();
	}
}
