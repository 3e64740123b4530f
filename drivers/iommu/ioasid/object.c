// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ids, the objects behind them, and the memory of a context.
 *
 * Invariants:
 *  - An object is reserved, initialised and published, or aborted.  Until it is
 *    published it has an id, but no look-up finds it: its count is 0.
 *  - Look-ups take no lock: RCU keeps the memory of an object an object of that
 *    sort (SLAB_TYPESAFE_BY_RCU, or kfree_rcu()), a count that is not 0 says
 *    that it lives, and a look at context and id says that it is the one.
 *
 *  - What is done with objects of any type goes through their ops.
 *
 * Locks: the xarray's own lock, a leaf.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "context.h"

static const struct ioasid_object_ops *object_ops[IOASID_OBJECT_TYPES];

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

/**
 * ioasid_object_register() - tell what objects of a type do
 * @type: the type
 * @ops: stays
 */
void __init ioasid_object_register(enum ioasid_object_type type,
				   const struct ioasid_object_ops *ops)
{
	object_ops[type] = ops;
}

/**
 * ioasid_object_ops_of() - what an object does
 * @obj: the object
 *
 * Return: the ops of its type.
 */
const struct ioasid_object_ops *
ioasid_object_ops_of(const struct ioasid_object *obj)
{
	return object_ops[obj->type];
}

/**
 * ioasid_object_first() - look for an object of any type
 * @ctx: the context
 * @id: the least id that it may have; out, the one that it has
 *
 * Context: may sleep.
 * Return: the object with a reference, or NULL when there is none.
 */
struct ioasid_object *ioasid_object_first(struct ioasid_ctx *ctx,
					  unsigned long *id)
{
	struct ioasid_object *obj;

	for (;; (*id)++) {
		rcu_read_lock();
		obj = xa_find(&ctx->objects, id, UINT_MAX, XA_PRESENT);
		if (!obj) {
			rcu_read_unlock();
			return NULL;
		}
		if (!refcount_inc_not_zero(&obj->users)) {
			rcu_read_unlock();
			continue;
		}
		smp_acquire__after_ctrl_dep();
		rcu_read_unlock();
		/* Its memory may have become another object of this type */
		if (likely(obj->ctx == ctx && obj->id == *id))
			return obj;
		ioasid_object_ops_of(obj)->put(obj);
	}
}

/**
 * ioasid_object_any() - look an object of any type up
 * @ctx: the context
 * @id: its id
 *
 * Context: may sleep.
 * Return: the object with a reference, or NULL.
 */
struct ioasid_object *ioasid_object_any(struct ioasid_ctx *ctx, u32 id)
{
	unsigned long found = id;
	struct ioasid_object *obj = ioasid_object_first(ctx, &found);

	if (!obj || found == id)
		return obj;
	ioasid_object_ops_of(obj)->put(obj);
	return NULL;
}

/**
 * ioasid_object_free() - free an object by its id
 * @ctx: the context
 * @id: its id
 * @cascade: though it may have children: they lose what they refer to
 *
 * Commands that are under way end; new ones do not find it.
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0; -EBUSY, a device is attached, or it has children; -ENOENT, there
 * is no such object, or none that is freed by its id.
 */
int ioasid_object_free(struct ioasid_ctx *ctx, u32 id, bool cascade)
{
	const struct ioasid_object_ops *ops = NULL;
	XA_STATE(xas, &ctx->objects, id);
	struct ioasid_object *obj;
	int ret = -ENOENT;

	/* Under the xarray's lock what is in it and published stays so */
	xas_lock(&xas);
	obj = xas_load(&xas);
	if (obj && refcount_read(&obj->users)) {
		ops = ioasid_object_ops_of(obj);
		if (ops->kill)
			ret = ops->kill(obj, cascade);
		if (ret >= 0)
			xas_store(&xas, NULL);
	}
	xas_unlock(&xas);
	if (ret < 0)
		return ret;
	if (ops->is_ioasid)
		atomic_dec(&ctx->nr_ioasids);
	ops->free(obj, ret);
	return 0;
}

/**
 * ioasid_ctx_count() - count one more IOASID or import
 * @ctx: the context
 *
 * Return: false when there would be too many.
 */
bool ioasid_ctx_count(struct ioasid_ctx *ctx)
{
	u64 limit = READ_ONCE(ctx->limit_ioasids);
	int old = atomic_read(&ctx->nr_ioasids);

	do {
		if (unlikely(old >= limit))
			return false;
	} while (!atomic_try_cmpxchg(&ctx->nr_ioasids, &old, old + 1));
	return true;
}

/**
 * ioasid_ctx_drop() - drop a reference to the memory of a context
 * @ctx: the context
 */
void ioasid_ctx_drop(struct ioasid_ctx *ctx)
{
	if (!refcount_dec_and_test(&ctx->refs))
		return;
	ioasid_account_exit(&ctx->account);
	mutex_destroy(&ctx->lock);
	kfree(ctx);
}
