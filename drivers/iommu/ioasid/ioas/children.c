// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parents, children and imports.
 *
 * Invariants:
 *  - A child has a reference on its parent's object, or on the object of the
 *    import, so that the parent's address space exists for as long as the
 *    child, possibly empty.
 *
 * Locks: the lock of the parent.
 */
#include <linux/slab.h>

#include "ioas.h"

/**
 * ioas_parent_init() - prepare an address space to be a parent
 * @parent: the address space; may be prepared already
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
 * ioas_import_shut() - test whether an import admits no new reference
 * @parent: the parent of the import; its lock is held, unless an outdated
 *	answer is good enough
 * @import: the import
 *
 * Return: true if the import or the parent was freed, or the parent's context
 * was closed.
 */
bool ioas_import_shut(const struct ioas *parent,
		      const struct ioas_import *import)
{
	return parent->dead || parent->as_parent->closed || import->dead;
}

/**
 * ioas_add_child() - make an address space the child of another one
 * @parent: the parent; the caller's reference to its object, or to the object
 *	of @import, becomes the child's
 * @import: import by which a child in another context sees it; or NULL
 * @child: new and empty; NULL to add @import itself
 *
 * Context: may sleep.
 * Return: 0; or
 * -ELOOP, @parent is too far from its root;
 * -ENOENT, @parent is being freed;
 * -ENODEV, @import or its parent was freed, or its context closed;
 * -EDEADLK, @parent waits for a sibling;
 * -ENOMEM.
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
 * ioas_import_kill() - mark an import dead: no new children
 * @parent: the parent of the import
 * @import: the import
 * @cascade: even if it has children
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
 * ioas_export_shut() - test whether an exported address space cannot be
 *	imported
 * @parent: the address space; was exported
 *
 * Return: true if it was freed, or its context was closed.
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
 * ioas_parent_exit() - free the part of an address space that parents need
 * @ioas: the address space; has no children
 */
void ioas_parent_exit(struct ioas *ioas)
{
	kfree(ioas->as_parent);
}
