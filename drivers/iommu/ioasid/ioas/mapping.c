// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocation of mappings, their states, and waits for them.
 *
 * Locks: states change under the lock of the address space.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ioas.h"
#include "mapping.h"
#include "tree.h"

struct kmem_cache *ioas_mapping_cache;

#ifdef CONFIG_LOCKDEP

struct lockdep_map ioas_driver_map =
	STATIC_LOCKDEP_MAP_INIT("ioasid_access_ops.unmap", &ioas_driver_map);

struct lockdep_map ioas_changing_map =
	STATIC_LOCKDEP_MAP_INIT("IOAS_MAPPING_CHANGING", &ioas_changing_map);

#endif

/*
 * Ask a long write of the mapping's IOPTEs to stop, and with @cascade a change that
 * has claimed the mapping
 */
static bool still_busy(struct ioas *ioas, u64 addr, bool cascade)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, addr);

	if (!m || m->start > addr || !ioas_mapping_busy(m))
		return false;
	WRITE_ONCE(m->wanted, true);
	if (unlikely(m->backing == IOAS_BACKING_PIECES && m->next))
		WRITE_ONCE(m->next->wanted, true);
	if (unlikely(cascade && ioas_mapping_changing(m)))
		WRITE_ONCE(ioas->change_must_stop, true);
	return true;
}

/**
 * ioas_wait_busy() - wait until a mapping is not busy
 * @ioas: the address space; its lock is held, and dropped meanwhile;
 *	tables.sem is not held
 * @addr: an address of the mapping
 * @req: the unmap that waits; or NULL
 * @cascade: a cascading unmap of the parent waits
 *
 * Return: 0; -EINTR, a fatal signal, or the patience of a forced @req ended.
 */
int ioas_wait_busy(struct ioas *ioas, u64 addr,
		   struct ioas_unmap_request *req, bool cascade)
	__must_hold(&ioas->lock)
{
	lockdep_assert_not_held(&ioas->tables.sem);
	return ioas_wait(ioas, !still_busy(ioas, addr, cascade), req);
}

/**
 * ioas_mapping_wait_readers() - wait until mappings have no readers
 * @ioas: the address space; its lock is not held
 * @list: mappings in a state that admits no new reader, linked by @next
 *
 * A reader copies a page, or populates a domain with the mapping, which stops
 * when ioas_mapping.wanted is set: both end soon, and wait for nothing.
 */
void ioas_mapping_wait_readers(struct ioas *ioas,
			       struct ioas_mapping *list)
{
	struct ioas_mapping *m;

	for (m = list; m; m = m->next) {
		if (likely(!READ_ONCE(m->readers)))
			continue;
		spin_lock(&ioas->lock);
		WRITE_ONCE(m->wanted, true);
		wait_event_cmd(ioas->wait, !m->readers,
			       spin_unlock(&ioas->lock),
			       spin_lock(&ioas->lock));
		WRITE_ONCE(m->wanted, false);
		spin_unlock(&ioas->lock);
	}
}

/**
 * ioas_quarantine_add() - put a mapping into quarantine
 * @ioas: the address space; its lock is held
 * @m: not in the tree; a poisoned domain may still reach its memory
 */
void ioas_quarantine_add(struct ioas *ioas, struct ioas_mapping *m)
{
	lockdep_assert_held(&ioas->lock);
	ioas->poisoned = true;
	m->gap = ioas_quarantine_bytes(ioas) + ioas_mapping_bytes(m);
	m->next = ioas->quarantine;
	ioas->quarantine = m;
}

/**
 * ioas_batch_cache_fill() - preallocate mappings
 * @cache: the batch cache
 * @n: number of mappings
 *
 * Without memory there are fewer, and the next map allocates its own.
 */
void ioas_batch_cache_fill(struct ioas_batch_cache *cache, unsigned int n)
{
	void *spare[32];
	struct ioas_mapping *m;
	unsigned int want, i;

	for (; n; n -= want) {
		want = min(n, ARRAY_SIZE(spare));
		if (!kmem_cache_alloc_bulk(ioas_mapping_cache, GFP_KERNEL, want,
					   spare))
			break;
		for (i = 0; i < want; i++) {
			m = spare[i];
			m->next = cache->spare;
			cache->spare = m;
		}
	}
}

/**
 * ioas_batch_cache_empty() - free the preallocated mappings
 * @cache: the batch cache
 */
void ioas_batch_cache_empty(struct ioas_batch_cache *cache)
{
	struct ioas_mapping *m;

	while ((m = cache->spare)) {
		cache->spare = m->next;
		ioas_mapping_free(m);
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioas_batch_cache_empty);

/**
 * ioas_mapping_alloc() - allocate a mapping without memory
 * @ioas: the address space
 * @req: the map request
 *
 * Return: the mapping, not in the tree; or NULL, there is no memory.
 */
struct ioas_mapping *
ioas_mapping_alloc(struct ioas *ioas,
		   const struct ioas_map_request *req)
{
	return ioas_mapping_new(ioas, req);
}

int __init ioas_cache_init(void)
{
	ioas_mapping_cache = kmem_cache_create("ioas_mapping",
					       sizeof(struct ioas_mapping), 0,
					       SLAB_ACCOUNT, NULL);
	return ioas_mapping_cache ? 0 : -ENOMEM;
}

void ioas_cache_exit(void)
{
	kmem_cache_destroy(ioas_mapping_cache);
}
