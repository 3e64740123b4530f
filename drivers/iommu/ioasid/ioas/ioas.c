// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: init, kill, exit; counters and state.
 *
 * Locks: the lock of the address space protects its counters.
 */
#include <kunit/visibility.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "../mem/charge.h"
#include "access.h"
#include "backing.h"
#include "demand.h"
#include "devmem.h"
#include "dirty.h"
#include "ioas.h"
#include "mapping.h"
#include "ref.h"
#include "tables.h"

/**
 * ioas_init() - initialise an empty address space
 * @ioas: uninitialised
 * @account: account that its mappings are charged to; outlives it
 * @ops: callbacks of the owner
 */
void ioas_init(struct ioas *ioas,
	       struct ioasid_account *account,
	       const struct ioas_ops *ops)
{
	ioas->account = account;
	ioas->ops = ops;
	spin_lock_init(&ioas->lock);
	/* Neighbours in the structure are written together */
	ioas->depth = 0;
	ioas->left = 0;
	ioas->cut_shift = 0;
	ioas->enforce_cache_coherency = false;
	ioas->nest_parent = false;
	ioas->memory_only = false;
	ioas->wants_dirty = false;
	ioas->serves_faults = false;
	ioas->mirrors_process = false;
	ioas->dead = false;
	ioas->poisoned = false;
	ioas->knows_gaps = false;
	ioas->counted = false;
	ioas->changes = 0;
	ioas->partial = 0;
	ioas->devices = 0;
	ioas->children = 0;
	ioas->mappings = RB_ROOT;
	ioas->nr_nodes = 0;
	ioas->nr_mappings = 0;
	ioas->bytes_mapped = 0;
	ioas->quarantine = NULL;
	ioas->permitted = NULL;
	ioas->holds = NULL;
	ioas->parent = NULL;
	ioas->import = NULL;
	ioas->as_parent = NULL;
	ioas->devmem = NULL;
	ioas->demand = NULL;
	init_waitqueue_head(&ioas->wait);
	ioas_tables_init(ioas);
	mutex_init(&ioas->attach_lock);
	INIT_HLIST_HEAD(&ioas->reaches);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_init);

/**
 * ioas_kill() - mark an address space dead: no new mappings, children or
 *	devices
 * @ioas: the address space
 * @cascade: even if it has children
 *
 * Return: 0, it is empty, and stays so; 1, it is not empty; or
 * -EBUSY, a device is attached, or it has children;
 * -ENOENT, it is dead already.
 */
int ioas_kill(struct ioas *ioas, bool cascade)
{
	int ret;

	spin_lock(&ioas->lock);
	if (ioas->dead) {
		ret = -ENOENT;
	} else if (ioas->devices || (ioas->children && !cascade)) {
		ret = -EBUSY;
	} else {
		ioas->dead = true;
		/*
		 * Under the lock: the tree may be empty while a mapping is
		 * replaced
		 */
		ret = !RB_EMPTY_ROOT(&ioas->mappings);
	}
	spin_unlock(&ioas->lock);
	return ret;
}

/**
 * ioas_exit() - free all that is in an address space
 * @ioas: the address space; no other thread uses it, no device is attached
 *
 * A second call finds nothing to free.
 *
 * Context: may sleep; yields.
 */
void ioas_exit(struct ioas *ioas)
{
	struct ioas_mapping *m, *next;

	if (unlikely(ioas->demand)) {
		ioas_demand_unserve(ioas);
		ioas_demand_stop(ioas);
	}
	if (unlikely(!RB_EMPTY_ROOT(&ioas->mappings))) {
		rbtree_postorder_for_each_entry_safe(m, next, &ioas->mappings,
						     rb) {
			ioas_mapping_release(ioas, m);
			cond_resched();
		}
		ioas->mappings = RB_ROOT;
		if (ioas->counted)
			ioasid_mappings_uncharge(ioas->account, ioas->nr_nodes);
	}
	if (unlikely(ioas->holds)) {
		ioas_holds_free(ioas->holds);
		ioas->holds = NULL;
	}
	if (unlikely(ioas->devmem))
		ioas_devmem_exit(ioas);
	if (unlikely(ioas->demand))
		ioas_demand_exit(ioas);
	if (unlikely(!ioas->parent && rcu_access_pointer(ioas->dirty)))
		ioas_dirty_exit(ioas);
	if (unlikely(ioas->permitted)) {
		kfree(ioas->permitted);
		ioas->permitted = NULL;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioas_exit);

/**
 * ioas_count_mappings() - count the mappings in the account from now on
 * @ioas: the address space
 *
 * Those that it has count as well.  Does not sleep.
 */
void ioas_count_mappings(struct ioas *ioas)
{
	spin_lock(&ioas->lock);
	if (!ioas->counted) {
		ioas->counted = true;
		/* Fillers, too: see ioas_mapping_insert_filler() */
		atomic64_add(ioas->nr_nodes, &ioas->account->mappings);
	}
	spin_unlock(&ioas->lock);
}

/* ---- Devices ---- */

/**
 * ioas_hold() - count devices that are about to attach
 * @ioas: the address space
 * @devices: number of devices
 *
 * Return: 0; -ENOENT, it is being freed; -EIO, it is poisoned.
 */
int ioas_hold(struct ioas *ioas, unsigned int devices)
{
	int ret = 0;

	spin_lock(&ioas->lock);
	if (ioas->dead)
		ret = -ENOENT;
	else if (ioas->poisoned)
		ret = -EIO;
	else
		ioas->devices += devices;
	spin_unlock(&ioas->lock);
	return ret;
}

/**
 * ioas_release() - undo ioas_hold()
 * @ioas: the address space
 * @devices: number of devices
 */
void ioas_release(struct ioas *ioas, unsigned int devices)
{
	spin_lock(&ioas->lock);
	ioas->devices -= devices;
	spin_unlock(&ioas->lock);
}

/**
 * ioas_set_partial() - count groups that wait for a sibling
 * @ioas: the address space
 * @partial: true for one more, false for one less
 */
void ioas_set_partial(struct ioas *ioas, bool partial)
{
	spin_lock(&ioas->lock);
	ioas->partial += partial ? 1 : -1;
	spin_unlock(&ioas->lock);
}

/* ---- State ---- */

static u32 ioas_state(const struct ioas *ioas)
{
	const struct ioas *parent = ioas->parent;
	u32 state = 0;

	lockdep_assert_held(&ioas->lock);
	if (ioas->devices)
		state |= IOASID_STATE_ATTACHED;
	if (ioas->partial)
		state |= IOASID_STATE_PARTIAL_GROUP;
	if (ioas->poisoned)
		state |= IOASID_STATE_POISONED;
	if (!parent) {
		if (rcu_access_pointer(ioas->dirty))
			state |= IOASID_STATE_TRACKING;
	} else if (ioas->import ? ioas_import_shut(parent, ioas->import) :
				  parent->dead) {
		state |= IOASID_STATE_ORPHAN;
	}
	return state;
}

/**
 * ioas_get_stats() - read the counters and the state of an address space
 * @ioas: the address space
 * @stats: out
 *
 * Context: any but interrupts.
 */
void ioas_get_stats(struct ioas *ioas, struct ioas_stats *stats)
{
	spin_lock(&ioas->lock);
	stats->nr_mappings = ioas->nr_mappings;
	stats->bytes_mapped = ioas->bytes_mapped;
	stats->bytes_pinned = 0;
	stats->bytes_demand = ioas->demand ? ioas->demand->bytes : 0;
	/* The root pins and charges what a child maps */
	if (!ioas->parent)
		stats->bytes_pinned = ioas->bytes_mapped +
				      ioas_quarantine_bytes(ioas);
	stats->nr_devices = ioas->devices;
	stats->nr_children = ioas->children;
	stats->cut_shift = ioas->cut_shift;
	stats->state = ioas_state(ioas);
	spin_unlock(&ioas->lock);
	if (ioas_devmem_any_revoked(ioas))
		stats->state |= IOASID_STATE_REVOKED;
}

/**
 * ioas_copy_permitted() - copy the IOVAs that all attached devices can use
 * @ioas: the address space
 * @limited: out, devices that do DMA are attached: otherwise all is permitted
 *
 * Return: the ranges, to be freed by kfree(); NULL, there is no memory.
 */
struct ioas_ranges *ioas_copy_permitted(struct ioas *ioas, bool *limited)
{
	struct ioas_ranges *copy = NULL;
	unsigned int nr = 1;

	for (;;) {
		kfree(copy);
		copy = kzalloc(struct_size(copy, range, nr),
			       GFP_KERNEL_ACCOUNT);
		if (!copy)
			return NULL;
		copy->nr = nr;
		spin_lock(&ioas->lock);
		*limited = ioas->permitted;
		if (!ioas->permitted) {
			copy->nr = 1;
			copy->range[0].start = 0;
			copy->range[0].last = U64_MAX;
			nr = 1;
		} else if (ioas->permitted->nr <= nr) {
			nr = ioas->permitted->nr;
			memcpy(copy->range, ioas->permitted->range,
			       nr * sizeof(copy->range[0]));
			copy->nr = nr;
		} else {
			nr = ioas->permitted->nr;
			copy->nr = 0;
		}
		spin_unlock(&ioas->lock);
		if (copy->nr || !nr)
			return copy;
	}
}
