// SPDX-License-Identifier: GPL-2.0-only
/*
 * What users are charged for mms that ended.
 *
 * Invariants:
 *  - A user has one struct ioasid_ended while a payer or a ledger needs it.
 *
 * Locks: ended_lock protects the tree; a leaf.
 */
#include <linux/cred.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "ended.h"

static DEFINE_SPINLOCK(ended_lock);

static struct rb_root ended_users = RB_ROOT;	/* by user */

static int ended_cmp(const void *user, const struct rb_node *node)
{
	const struct user_struct *other =
		rb_entry(node, struct ioasid_ended, rb)->user;

	return user < (void *)other ? -1 : user > (void *)other;
}

static int ended_cmp_nodes(struct rb_node *a, const struct rb_node *b)
{
	return ended_cmp(rb_entry(a, struct ioasid_ended, rb)->user, b);
}

/**
 * ioasid_ended_get() - get the charges of a user for mms that ended
 * @user: the user
 *
 * Return: the charges, with a reference; NULL, no memory.
 */
struct ioasid_ended *ioasid_ended_get(struct user_struct *user)
{
	struct ioasid_ended *ended;
	struct rb_node *found;

	ended = kzalloc(sizeof(*ended), GFP_KERNEL_ACCOUNT);
	if (!ended)
		return NULL;
	refcount_set(&ended->users, 1);
	ended->user = get_uid(user);

	spin_lock(&ended_lock);
	/*
	 * Entries of the tree have a count above 0: it becomes 0 under the lock
	 */
	found = rb_find_add(&ended->rb, &ended_users, ended_cmp_nodes);
	if (found)
		refcount_inc(&rb_entry(found, struct ioasid_ended, rb)->users);
	spin_unlock(&ended_lock);
	if (!found)
		return ended;
	free_uid(ended->user);
	kfree(ended);
	return rb_entry(found, struct ioasid_ended, rb);
}

/**
 * ioasid_ended_put() - drop a reference
 * @ended: from ioasid_ended_get()
 */
void ioasid_ended_put(struct ioasid_ended *ended)
{
	if (!refcount_dec_and_lock(&ended->users, &ended_lock))
		return;
	/* sparse does not know refcount_dec_and_lock() */
	__acquire(&ended_lock);
	rb_erase(&ended->rb, &ended_users);
	spin_unlock(&ended_lock);
	free_uid(ended->user);
	kfree(ended);
}

/**
 * ioasid_ended_pages() - tell how much a user is charged for mms that ended
 * @user: the user
 *
 * Return: pages.
 */
unsigned long ioasid_ended_pages(struct user_struct *user)
{
	unsigned long pages = 0;
	struct rb_node *found;

	spin_lock(&ended_lock);
	found = rb_find(user, &ended_users, ended_cmp);
	if (found)
		pages = atomic_long_read(&rb_entry(found, struct ioasid_ended,
						   rb)->pages);
	spin_unlock(&ended_lock);
	return pages;
}
