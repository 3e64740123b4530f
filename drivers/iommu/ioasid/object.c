// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ids, their objects, and the memory of a context.
 *
 * Invariants:
 *  - An object is reserved, initialised and published, or aborted.  Before it
 *    is published it has an id, but no look-up finds it: its users are 0.
 *  - Look-ups take no lock.  RCU keeps the memory an object of the same type
 *    (SLAB_TYPESAFE_BY_RCU, or kfree_rcu()).  An object with users is alive.
 *    After it has taken a reference, the look-up compares context and id: the
 *    memory may have become another object.
 *  - Functions for objects of any type call the ops of their types.
 *
 * Locks: the lock of the xarray.  ioasid_object_ops.kill, which takes the lock
 * of an address space, is called with it held.
 */
#include <kunit/visibility.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "context.h"

static const struct ioasid_object_ops *object_ops[IOASID_OBJECT_TYPES];

/* Ids that are tried between two checks for a signal */
#define ID_TRIES	1024

/**
 * ioasid_object_reserve() - allocate an id for an object
 * @ctx: the context
 * @obj: the object; no look-up finds it before ioasid_object_publish()
 * @type: its type
 *
 * Ids ascend.  After a wrap-around the next id may be in use: then the one
 * after it is tried.
 *
 * Context: may sleep.
 * Return: 0;
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
int ioasid_object_reserve(struct ioasid_ctx *ctx, struct ioasid_object *obj,
			  enum ioasid_object_type type)
{
	unsigned int tries = 0;
	int ret;

	obj->ctx = ctx;
	obj->type = type;
	/* Before the object is in the xarray: the memory may have been used */
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
 * ioasid_object_publish() - make an object visible to look-ups
 * @obj: the object, reserved and initialised
 *
 * It has one reference, which ioasid_object_free() drops.
 */
void ioasid_object_publish(struct ioasid_object *obj)
{
	/* A look-up that sees the reference sees the initialised object */
	atomic_set_release(&obj->users.refs, 1);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_object_publish);

/**
 * ioasid_object_get() - look up an object
 * @ctx: the context
 * @id: its id
 * @type: its type
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
 * ioasid_object_register() - set the ops of a type of objects
 * @type: the type
 * @ops: the ops; never freed
 */
void __init ioasid_object_register(enum ioasid_object_type type,
				   const struct ioasid_object_ops *ops)
{
	object_ops[type] = ops;
}

/**
 * ioasid_object_ops_of() - get the ops of an object
 * @obj: the object
 *
 * Return: the ops of its type.
 */
const struct ioasid_object_ops *
ioasid_object_ops_of(const struct ioasid_object *obj)
{
	return object_ops[obj->type];
}

/*
 * Take a reference to an object that was found under RCU, and unlock RCU.  Returns
 * NULL if the object is not published, or its memory became another object.
 */
static struct ioasid_object *object_hold(struct ioasid_object *obj,
					 struct ioasid_ctx *ctx, u32 id)
	__releases(RCU)
{
	bool held = obj && refcount_inc_not_zero(&obj->users);

	if (held)
		smp_acquire__after_ctrl_dep();
	rcu_read_unlock();
	if (!held)
		return NULL;
	if (likely(obj->ctx == ctx && obj->id == id))
		return obj;
	ioasid_object_ops_of(obj)->put(obj);
	return NULL;
}

/**
 * ioasid_object_first() - find the first object of any type from an id on
 * @ctx: the context
 * @id: the lowest id to look at; out, the id of the object
 *
 * Context: may sleep.
 * Return: the object with a reference, or NULL if there is none.
 */
struct ioasid_object *ioasid_object_first(struct ioasid_ctx *ctx,
					  unsigned long *id)
{
	struct ioasid_object *obj, *held;

	for (;; (*id)++) {
		rcu_read_lock();
		obj = xa_find(&ctx->objects, id, UINT_MAX, XA_PRESENT);
		held = object_hold(obj, ctx, *id);
		if (held || !obj)
			return held;
	}
}

/**
 * ioasid_object_any() - look up an object of any type
 * @ctx: the context
 * @id: its id
 *
 * Context: may sleep.
 * Return: the object with a reference, or NULL.
 */
struct ioasid_object *ioasid_object_any(struct ioasid_ctx *ctx, u32 id)
{
	rcu_read_lock();
	return object_hold(xa_load(&ctx->objects, id), ctx, id);
}

/**
 * ioasid_object_free() - free an object by its id
 * @ctx: the context
 * @id: its id
 * @cascade: free it even if it has children: their mappings of it are removed
 *
 * New commands do not find the object.  Commands that use it go on, and their
 * references keep its memory.
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0;
 * -EBUSY, a device is attached, or the object has children;
 * -ENOENT, @id has no object, or one that is not freed by its id.
 */
int ioasid_object_free(struct ioasid_ctx *ctx, u32 id, bool cascade)
{
	const struct ioasid_object_ops *ops = NULL;
	XA_STATE(xas, &ctx->objects, id);
	struct ioasid_object *obj;
	int ret = -ENOENT;

	/* The lock of the xarray keeps published objects in it */
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
EXPORT_SYMBOL_IF_KUNIT(ioasid_object_free);

/* ---- Events ---- */

static void events_wake(struct ioasid_ctx *ctx)
{
	wake_up_interruptible_poll(&ctx->events,
				   EPOLLIN | EPOLLRDNORM | EPOLLPRI);
}

/**
 * ioasid_object_event() - tell that the state of an IOASID has changed
 * @obj: its object; may be freed already, but its memory and that of the context
 *	stay meanwhile
 *
 * Context: any but interrupts; not with the lock of an address space held.
 */
void ioasid_object_event(struct ioasid_object *obj)
{
	struct ioasid_ctx *ctx = obj->ctx;
	bool any;

	/* ioasid_ctx_next_event() clears the mark before the state is read */
	xa_lock(&ctx->objects);
	any = xa_get_mark(&ctx->objects, obj->id, IOASID_EVENT_MARK);
	/* Nothing happens if the object was freed */
	__xa_set_mark(&ctx->objects, obj->id, IOASID_EVENT_MARK);
	xa_unlock(&ctx->objects);
	/* A million mappings may go one by one */
	if (!any)
		events_wake(ctx);
}

/* Objects that are looked at with the lock of the xarray held */
#define EVENT_BATCH	128

/**
 * ioasid_ctx_orphaned() - tell that a parent with children was freed
 * @ctx: the context
 *
 * Its children are looked for when the program wants events: it may free many
 * parents, with many other IOASIDs in the context.
 *
 * Context: any but interrupts; after the parent is out of the xarray.
 */
void ioasid_ctx_orphaned(struct ioasid_ctx *ctx)
{
	/* Pairs with xchg() in find_orphans() */
	smp_store_release(&ctx->orphaned, true);
	events_wake(ctx);
}

/*
 * Mark the children of parents that were freed, once each.  Visits all ids, but
 * only if a parent was freed since.
 */
static void find_orphans(struct ioasid_ctx *ctx)
{
	XA_STATE(xas, &ctx->objects, 0);
	struct ioasid_object *obj;
	unsigned int n = 0;
	bool any = false;

	if (likely(!READ_ONCE(ctx->orphaned)) || !xchg(&ctx->orphaned, false))
		return;
	xas_lock(&xas);
	xas_for_each(&xas, obj, UINT_MAX) {
		if (obj->type == IOASID_OBJECT_IOASID && obj->parent &&
		    !xas_get_mark(&xas, IOASID_ORPHAN_MARK) &&
		    !xa_load(&ctx->objects, obj->parent)) {
			xas_set_mark(&xas, IOASID_ORPHAN_MARK);
			xas_set_mark(&xas, IOASID_EVENT_MARK);
			any = true;
		}
		if (++n % EVENT_BATCH)
			continue;
		xas_pause(&xas);
		xas_unlock(&xas);
		cond_resched();
		xas_lock(&xas);
	}
	xas_unlock(&xas);
	/* Another thread may have looked meanwhile */
	if (any)
		events_wake(ctx);
}

/**
 * ioasid_ctx_has_event() - test whether there is an event
 * @ctx: the context
 *
 * Context: may sleep; if a parent was freed since, visits all ids.
 * Return: true if there is one that was not taken.
 */
bool ioasid_ctx_has_event(struct ioasid_ctx *ctx)
{
	find_orphans(ctx);
	return xa_marked(&ctx->objects, IOASID_EVENT_MARK);
}

/**
 * ioasid_ctx_next_event() - take the event with the lowest id
 * @ctx: the context
 *
 * The mark is cleared: if the state changes once more, there is another event.
 *
 * Context: may sleep, as ioasid_ctx_has_event().
 * Return: the object, with a reference; NULL, there is none.
 */
struct ioasid_object *ioasid_ctx_next_event(struct ioasid_ctx *ctx)
{
	struct ioasid_object *obj;
	unsigned long id = 0;
	bool held;

	find_orphans(ctx);
	for (;;) {
		xa_lock(&ctx->objects);
		obj = xa_find(&ctx->objects, &id, UINT_MAX, IOASID_EVENT_MARK);
		held = obj && refcount_inc_not_zero(&obj->users);
		/* One that is not published is told once it is */
		if (held)
			__xa_clear_mark(&ctx->objects, id, IOASID_EVENT_MARK);
		xa_unlock(&ctx->objects);
		if (held || !obj)
			return obj;
		id++;
		cond_resched();
	}
}

/**
 * ioasid_ctx_count() - count an IOASID or import, up to the limit
 * @ctx: the context
 *
 * Return: true; false if the limit is reached.
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
 * @ctx: the context; freed with the last one
 */
void ioasid_ctx_drop(struct ioasid_ctx *ctx)
{
	if (!refcount_dec_and_test(&ctx->refs))
		return;
	ioasid_account_exit(&ctx->account);
	mutex_destroy(&ctx->container.lock);
	mutex_destroy(&ctx->lock);
	kfree(ctx);
}
