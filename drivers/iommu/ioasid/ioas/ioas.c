// SPDX-License-Identifier: GPL-2.0-only
/*
 * An address space begins and ends.
 */
#include <kunit/visibility.h>
#include <linux/slab.h>

#include "access.h"
#include "backing.h"
#include "devmem.h"
#include "ioas.h"
#include "mapping.h"

/**
 * ioasid_space_init() - make an empty space
 * @space: uninitialised
 * @account: charged for its mappings; outlives it
 * @ops: the floor above
 */
void ioasid_space_init(struct ioasid_space *space,
		       struct ioasid_account *account,
		       const struct ioasid_space_ops *ops)
{
	space->account = account;
	space->ops = ops;
	spin_lock_init(&space->lock);
	space->cut_shift = 0;
	space->must_enforce = false;
	space->dead = false;
	space->poisoned = false;
	space->knows_gaps = false;
	space->changes = 0;
	space->nr_nodes = 0;
	space->partial = 0;
	space->devices = 0;
	space->mappings = RB_ROOT;
	init_waitqueue_head(&space->wait);
	space->nr_mappings = 0;
	space->bytes_mapped = 0;
	space->kept = NULL;
	space->permitted = NULL;
	space->software = NULL;
	space->parent = NULL;
	space->window = NULL;
	space->family = NULL;
	space->children = 0;
	space->depth = 0;
	space->left = 0;
	space->devmem = NULL;
	space->filling = NULL;
	init_rwsem(&space->domains_sem);
	INIT_LIST_HEAD(&space->domains);
	mutex_init(&space->attach_lock);
	INIT_HLIST_HEAD(&space->members);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_init);

/**
 * ioasid_space_kill() - let nobody begin anything any more
 * @space: the space
 * @cascade: though it may have children
 *
 * Return: 0, it is empty, and stays so; 1, it is not; -EBUSY, a device is
 * attached, or it has children; -ENOENT, was called before.
 */
int ioasid_space_kill(struct ioasid_space *space, bool cascade)
{
	int ret;

	spin_lock(&space->lock);
	if (space->dead) {
		ret = -ENOENT;
	} else if (space->devices || (space->children && !cascade)) {
		ret = -EBUSY;
	} else {
		space->dead = true;
		/* Without the lock it may seem so while a mapping is replaced */
		ret = !RB_EMPTY_ROOT(&space->mappings);
	}
	spin_unlock(&space->lock);
	return ret;
}

/**
 * ioasid_space_exit() - free all that is in a space
 * @space: the space; nobody else uses it, and no device is attached
 *
 * May be called again, and then finds nothing to do.
 *
 * Context: may sleep; yields.
 */
void ioasid_space_exit(struct ioasid_space *space)
{
	struct ioasid_mapping *m, *next;

	if (unlikely(!RB_EMPTY_ROOT(&space->mappings))) {
		rbtree_postorder_for_each_entry_safe(m, next, &space->mappings,
						     rb) {
			ioasid_mapping_release(space, m);
			cond_resched();
		}
		space->mappings = RB_ROOT;
	}
	if (unlikely(space->software)) {
		ioasid_software_free(space->software);
		space->software = NULL;
	}
	if (unlikely(space->devmem))
		ioasid_devmem_exit(space);
	if (unlikely(space->permitted)) {
		kfree(space->permitted);
		space->permitted = NULL;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_exit);
