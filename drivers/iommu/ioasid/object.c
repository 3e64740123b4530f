// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ids, and the objects behind them.
 *
 * Invariants:
 *  - An object is reserved, initialised and published, or aborted.  Until it is
 *    published it has an id, but no look-up finds it: its count is 0.
 *  - Look-ups take no lock: RCU keeps the memory of an object an object of that
 *    sort (SLAB_TYPESAFE_BY_RCU, or kfree_rcu()), a count that is not 0 says
 *    that it lives, and a look at context and id says that it is the one.
 *
 * Locks: the xarray's own lock, a leaf.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>

#include "context.h"

/* How many ids in a row may be found taken between two looks around */
#define ID_TRIES	1024

/**
 * ioasid_object_reserve() - take an id for an object
 * @ctx: the context
 * @obj: the object; stays invisible until ioasid_object_publish()
 * @type: its sort
 *
 * Ids are handed out one after the other; only when they have gone round can
 * one be taken, and the next be tried.
 *
 * Return: 0; -ENOSPC, no id is left; -ENOMEM; -EINTR, a fatal signal.
 */
int ioasid_object_reserve(struct ioasid_ctx *ctx, struct ioasid_object *obj,
			  enum ioasid_object_type type)
{
	unsigned int tries = 0;
	int ret;

	obj->ctx = ctx;
	obj->type = type;
	/* Before look-ups can come across it, whatever the memory was */
	refcount_set(&obj->users, 0);
	do {
		obj->id = atomic_inc_return(&ctx->last_id) & IOASID_MAX_ID;
		ret = -EBUSY;
		if (likely(obj->id))
			ret = xa_insert(&ctx->objects, obj->id, obj,
					GFP_KERNEL_ACCOUNT);
		if (likely(ret != -EBUSY))
			return ret;
		if (++tries % ID_TRIES == 0) {
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	} while (tries < IOASID_MAX_ID);
	return -ENOSPC;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_object_reserve);

/**
 * ioasid_object_publish() - let look-ups find an object
 * @obj: reserved, and initialised
 *
 * The caller's reference is the one that freeing it will drop.
 */
void ioasid_object_publish(struct ioasid_object *obj)
{
	/* Whoever sees the count sees what was written before it */
	atomic_set_release(&obj->users.refs, 1);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_object_publish);

/**
 * ioasid_object_get() - look an object up
 * @ctx: the context
 * @id: its id
 * @type: its sort
 *
 * Return: the object with a reference, or NULL.
 */
struct ioasid_object *ioasid_object_get(struct ioasid_ctx *ctx, u32 id,
					enum ioasid_object_type type)
{
	return ioasid_object_lookup(ctx, id, type);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_object_get);
