// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings as objects, their states, and waits for them.
 *
 * Locks: states change under the lock of the address space.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "domain.h"
#include "ioas.h"
#include "mapping.h"
#include "tree.h"

struct kmem_cache *mapping_cache;

/* Let a long write of the mapping's IOPTEs end, so that it can be had */
static bool still_in_transit(struct ioasid_space *space, u64 addr)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, addr);

	if (!m || m->start > addr || !in_transit(m))
		return false;
	WRITE_ONCE(m->wanted, true);
	return true;
}

/**
 * ioasid_space_wait_in_transit() - wait until a mapping can be used
 * @space: the space; its lock is held, and dropped meanwhile; domains_sem is not
 * @addr: where the mapping is
 * @req: for which unmap; or NULL
 *
 * Return: 0; -EINTR, a fatal signal, or the patience of a forced @req ended.
 */
int ioasid_space_wait_in_transit(struct ioasid_space *space, u64 addr,
				 struct ioasid_unmap_request *req)
	__must_hold(&space->lock)
{
	lockdep_assert_not_held(&space->domains_sem);
	return ioasid_space_wait(space, !still_in_transit(space, addr), req);
}

/**
 * ioasid_mapping_wait_readers() - wait until mappings are not read any more
 * @space: the space; its lock is not held
 * @list: mappings in a state in which no reader comes, linked by @next
 *
 * A reader copies a page, or is an attach that fills its domain with the mapping,
 * which stops at @wanted: both end soon, and wait for nothing.
 */
void ioasid_mapping_wait_readers(struct ioasid_space *space,
				 struct ioasid_mapping *list)
{
	struct ioasid_mapping *m;

	for (m = list; m; m = m->next) {
		if (likely(!READ_ONCE(m->readers)))
			continue;
		spin_lock(&space->lock);
		WRITE_ONCE(m->wanted, true);
		wait_event_cmd(space->wait, !m->readers,
			       spin_unlock(&space->lock),
			       spin_lock(&space->lock));
		WRITE_ONCE(m->wanted, false);
		spin_unlock(&space->lock);
	}
}

/**
 * ioasid_place_fill() - have mappings to spare
 * @place: the place
 * @n: how many are wanted
 *
 * With no memory there are fewer, and the next map allocates its own.
 */
void ioasid_place_fill(struct ioasid_place *place, unsigned int n)
{
	void *spare[32];
	struct ioasid_mapping *m;
	unsigned int want, i;

	for (; n; n -= want) {
		want = min(n, ARRAY_SIZE(spare));
		if (!kmem_cache_alloc_bulk(mapping_cache, GFP_KERNEL, want,
					   spare))
			break;
		for (i = 0; i < want; i++) {
			m = spare[i];
			m->next = place->spare;
			place->spare = m;
		}
	}
}

/**
 * ioasid_place_empty() - free what was to spare
 * @place: the place
 */
void ioasid_place_empty(struct ioasid_place *place)
{
	struct ioasid_mapping *m;

	while ((m = place->spare)) {
		place->spare = m->next;
		ioasid_mapping_free(m);
	}
}

/**
 * ioasid_mapping_alloc() - make a mapping that has no memory yet
 * @space: the space
 * @req: what it will map
 *
 * Return: the mapping, in no tree; or NULL, there is no memory.
 */
struct ioasid_mapping *
ioasid_mapping_alloc(struct ioasid_space *space,
		     const struct ioasid_map_request *req)
{
	return mapping_alloc(space, req);
}

/**
 * ioasid_mapping_in_filling() - what a domain that is being filled has of it
 * @space: the space; its lock is held
 * @m: a mapping
 *
 * Return: whether a published mapping is in the domain that is being filled, and
 * whether one to be published must be put in there by who maps it.
 */
bool ioasid_mapping_in_filling(struct ioasid_space *space,
			       struct ioasid_mapping *m)
{
	const struct ioasid_domain *filling = space->filling;

	lockdep_assert_held(&space->lock);
	return unlikely(filling) && m->mem.npages &&
	       (filling->fill_done || m->start < filling->fill_next);
}

int __init ioasid_space_cache_init(void)
{
	mapping_cache = kmem_cache_create("ioasid_mapping",
					  sizeof(struct ioasid_mapping), 0,
					  SLAB_ACCOUNT, NULL);
	return mapping_cache ? 0 : -ENOMEM;
}

void ioasid_space_cache_exit(void)
{
	kmem_cache_destroy(mapping_cache);
}
