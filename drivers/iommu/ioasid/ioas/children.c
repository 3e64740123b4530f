// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parents and children among address spaces, and imports between them.
 *
 * Invariants:
 *  - A child has a reference on its parent's object, or on the import that stands
 *    for it, so that the parent's address space exists for as long as the child,
 *    if only empty.
 *
 * Locks: the lock of the parent.
 */
#include <linux/slab.h>

#include "ioas.h"

/**
 * ioas_parent_init() - prepare a space to be a parent
 * @parent: the space; may be prepared already
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioas_parent_init(struct ioas *parent)
{
	struct ioas_parent *as_parent;

	if (READ_ONCE(parent->as_parent))
		return 0;
	as_parent = kzalloc(sizeof(*as_parent), GFP_KERNEL_ACCOUNT);
	if (!as_parent)
		return -ENOMEM;
	as_parent->frozen = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&as_parent->fresh);
	spin_lock(&parent->lock);
	if (!parent->as_parent)
		swap(parent->as_parent, as_parent);
	spin_unlock(&parent->lock);
	kfree(as_parent);
	return 0;
}

/**
 * ioas_import_shut() - can nothing more be had through a window
 * @parent: what is seen through it; its lock is held, or an old answer does
 * @import: the window
 *
 * Return: whether it or the parent was freed, or the parent's context closed.
 */
bool ioas_import_shut(const struct ioas *parent,
		      const struct ioas_import *import)
{
	return parent->dead || parent->as_parent->closed || import->dead;
}

/**
 * ioas_add_child() - make a space the child of another
 * @parent: the parent; the caller's reference to its object, or to what holds
 *	@import, becomes the child's
 * @import: through which a child in another context sees it; or NULL
 * @child: new, and empty; NULL when it is @import that joins
 *
 * Context: may sleep.
 * Return: 0; -ELOOP, @parent is too far from its root; -ENOENT, it is being
 * freed, or -ENODEV through a window; -EDEADLK, it waits for a sibling; -ENOMEM.
 */
int ioas_add_child(struct ioas *parent,
		   struct ioas_import *import, struct ioas *child)
{
	int ret;

	ret = ioas_parent_init(parent);
	if (ret)
		return ret;

	spin_lock(&parent->lock);
	if (import && ioas_import_shut(parent, import)) {
		ret = -ENODEV;
	} else if (parent->dead) {
		ret = -ENOENT;
	} else if (parent->depth + 1 >= IOAS_MAX_DEPTH) {
		ret = -ELOOP;
	} else if (parent->partial) {
		ret = -EDEADLK;
	} else {
		if (import && child)
			import->children++;
		else
			parent->children++;
		if (child) {
			child->parent = parent;
			child->import = import;
			child->depth = parent->depth + 1;
		}
	}
	spin_unlock(&parent->lock);
	return ret;
}

/**
 * ioas_import_kill() - have an import be the parent of nothing new
 * @parent: what is seen through it
 * @import: the import
 * @cascade: though it may have children
 *
 * Return: 0; -EBUSY, it has children.
 */
int ioas_import_kill(struct ioas *parent, struct ioas_import *import,
		     bool cascade)
{
	int ret = 0;

	spin_lock(&parent->lock);
	if (import->children && !cascade)
		ret = -EBUSY;
	else
		import->dead = true;
	spin_unlock(&parent->lock);
	return ret;
}

/**
 * ioas_export_shut() - can nothing more be imported from an address space
 * @parent: the address space; was exported
 *
 * Return: whether it was freed, or its context closed.
 */
bool ioas_export_shut(struct ioas *parent)
{
	bool shut;

	spin_lock(&parent->lock);
	shut = parent->dead || parent->as_parent->closed;
	spin_unlock(&parent->lock);
	return shut;
}

/**
 * ioas_parent_exit() - a space ends, and has no children left
 * @ioas: the space
 */
void ioas_parent_exit(struct ioas *ioas)
{
	kfree(ioas->as_parent);
}
