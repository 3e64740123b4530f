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
 * ioas_init() - make an empty space
 * @ioas: uninitialised
 * @account: charged for its mappings; outlives it
 * @ops: the floor above
 */
void ioas_init(struct ioas *ioas,
	       struct ioasid_account *account,
	       const struct ioas_ops *ops)
{
	ioas->account = account;
	ioas->ops = ops;
	spin_lock_init(&ioas->lock);
	ioas->cut_shift = 0;
	ioas->enforce_cache_coherency = false;
	ioas->dead = false;
	ioas->poisoned = false;
	ioas->knows_gaps = false;
	ioas->changes = 0;
	ioas->nr_nodes = 0;
	ioas->partial = 0;
	ioas->devices = 0;
	ioas->mappings = RB_ROOT;
	init_waitqueue_head(&ioas->wait);
	ioas->nr_mappings = 0;
	ioas->bytes_mapped = 0;
	ioas->quarantine = NULL;
	ioas->permitted = NULL;
	ioas->holds = NULL;
	ioas->parent = NULL;
	ioas->import = NULL;
	ioas->as_parent = NULL;
	ioas->children = 0;
	ioas->depth = 0;
	ioas->left = 0;
	ioas->devmem = NULL;
	ioas->populating = NULL;
	init_rwsem(&ioas->domains_sem);
	INIT_LIST_HEAD(&ioas->domains);
	mutex_init(&ioas->attach_lock);
	INIT_HLIST_HEAD(&ioas->attachments);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_init);

/**
 * ioas_kill() - let nobody begin anything any more
 * @ioas: the space
 * @cascade: though it may have children
 *
 * Return: 0, it is empty, and stays so; 1, it is not; -EBUSY, a device is
 * attached, or it has children; -ENOENT, was called before.
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
		/* Without the lock it may seem so while a mapping is replaced */
		ret = !RB_EMPTY_ROOT(&ioas->mappings);
	}
	spin_unlock(&ioas->lock);
	return ret;
}

/**
 * ioas_exit() - free all that is in a space
 * @ioas: the space; nobody else uses it, and no device is attached
 *
 * May be called again, and then finds nothing to do.
 *
 * Context: may sleep; yields.
 */
void ioas_exit(struct ioas *ioas)
{
	struct ioas_mapping *m, *next;

	if (unlikely(!RB_EMPTY_ROOT(&ioas->mappings))) {
		rbtree_postorder_for_each_entry_safe(m, next, &ioas->mappings,
						     rb) {
			ioas_mapping_release(ioas, m);
			cond_resched();
		}
		ioas->mappings = RB_ROOT;
	}
	if (unlikely(ioas->holds)) {
		ioas_holds_free(ioas->holds);
		ioas->holds = NULL;
	}
	if (unlikely(ioas->devmem))
		ioas_devmem_exit(ioas);
	if (unlikely(ioas->permitted)) {
		kfree(ioas->permitted);
		ioas->permitted = NULL;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioas_exit);
