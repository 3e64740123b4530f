// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contexts: what an open file of /dev/ioasid stands for.
 *
 * Invariants:
 *  - A context lives as long as its file is open or a device is bound to it.
 *    It is destroyed with no device left, needs no memory for that, and yields.
 *    An empty shell of it stays for as long as another context may have business
 *    with its IOASIDs: with what it exported, or with children that it made of
 *    what it imported.
 *
 * Locks: see struct ioasid_ctx.
 */
#include <kunit/visibility.h>
#include <linux/slab.h>

#include "context.h"
#include "ioasids.h"
#include "share.h"

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
 * ioasid_ctx_alloc() - make a context
 *
 * Return: the context with one reference, or NULL.
 */
struct ioasid_ctx *ioasid_ctx_alloc(void)
{
	struct ioasid_ctx *ctx;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return NULL;
	refcount_set(&ctx->users, 1);
	refcount_set(&ctx->refs, 1);
	xa_init_flags(&ctx->objects, XA_FLAGS_ACCOUNT);
	ioasid_account_init(&ctx->account);
	atomic_set(&ctx->nr_ioasids, 0);
	ctx->limit_ioasids = U64_MAX;
	ctx->patience = IOAS_PATIENCE;
	mutex_init(&ctx->lock);
	INIT_LIST_HEAD(&ctx->groups);
	spin_lock_init(&ctx->routes_lock);
	return ctx;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_ctx_alloc);

/**
 * ioasid_ctx_close() - the file of a context is closed
 * @ctx: the context; the caller drops its reference afterwards
 *
 * Nobody is left who could take away what other contexts have imported, so that
 * goes, though devices that are bound may go on.
 *
 * Context: may sleep.
 */
void ioasid_ctx_close(struct ioasid_ctx *ctx)
{
	struct ioasid_object *obj;
	struct ioasid *ioasid;
	unsigned long id;

	if (!ctx->has_families)
		return;
	xa_for_each(&ctx->objects, id, obj) {
		ioasid = ioasid_get(ctx, id);
		if (ioasid) {
			ioas_close_imports(&ioasid->ioas, &ctx->patience);
			ioasid_put(ioasid);
		}
		cond_resched();
	}
}

/* How many IOASIDs are freed at a time, and between two looks at the scheduler */
#define FREE_BATCH	32
#define DESTROY_BATCH	(8 * FREE_BATCH)

/*
 * Take what children refer to out of them, before any memory goes; and out of
 * children what other contexts may want to take out.
 */
static void revoke_all(struct ioasid_ctx *ctx)
{
	struct ioasid_object *obj;
	struct ioas *ioas;
	unsigned long id;

	xa_for_each(&ctx->objects, id, obj) {
		if (obj->type != IOASID_OBJECT_IOASID)
			continue;
		ioas = &container_of(obj, struct ioasid, obj)->ioas;
		if ((ioas->as_parent || ioas->import) &&
		    ioas_kill(ioas, true) > 0)
			ioasid_empty(ioas, &ctx->patience);
		cond_resched();
	}
}

/*
 * Have nothing mapped in a space that goes with its context.  What could not be
 * taken out for the sake of a child in another context goes with that.
 */
static void exit_space(struct ioas *ioas)
{
	if (!ioas->as_parent)
		ioas_exit(ioas);
}

/* Does it go without sleep, and take nothing along? */
static bool is_easy(const struct ioasid_object *obj)
{
	const struct ioas *ioas;

	if (unlikely(obj->type != IOASID_OBJECT_IOASID))
		return false;
	ioas = &container_of(obj, struct ioasid, obj)->ioas;
	return !ioas->parent && RB_EMPTY_ROOT(&ioas->mappings);
}

/* Ids that are forgotten together: 64 nodes of an xarray */
#define FORGET_BATCH	4096

/* In pieces, since xa_destroy() has interrupts off from beginning to end */
static void forget_ids(struct xarray *ids)
{
	unsigned long id = 0;

	while (xa_find(ids, &id, ULONG_MAX, XA_PRESENT)) {
		id = round_down(id, FORGET_BATCH);
		xa_store_range(ids, id, id + FORGET_BATCH - 1, NULL,
			       GFP_KERNEL);
		id += FORGET_BATCH;
		cond_resched();
	}
	xa_destroy(ids);
}

static void ioasid_ctx_destroy(struct ioasid_ctx *ctx)
{
	void *freed[FREE_BATCH] __uninitialized;
	unsigned int n = 0, nr_freed = 0;
	XA_STATE(xas, &ctx->objects, 0);
	struct ioasid_object *obj;
	struct ioasid *ioasid;

	if (ctx->has_families)
		revoke_all(ctx);
	/*
	 * No device is left, and nobody looks anything up here.  But who looks
	 * something up in another context, in memory that was its own before,
	 * may hold a count for a moment: what is left to it is an empty shell.
	 */
	rcu_read_lock();
	xas_for_each(&xas, obj, ULONG_MAX) {
		ioasid = container_of(obj, struct ioasid, obj);
		if (likely(is_easy(obj)) && ++n % DESTROY_BATCH) {
			if (unlikely(!refcount_dec_and_test(&obj->users)))
				continue;
			ioasid_exit(ioasid);
			freed[nr_freed++] = ioasid;
			if (nr_freed == FREE_BATCH) {
				kmem_cache_free_bulk(ioasid_cache, nr_freed,
						     freed);
				nr_freed = 0;
			}
			continue;
		}
		/* Unpinning may sleep */
		xas_pause(&xas);
		rcu_read_unlock();
		if (obj->type == IOASID_OBJECT_IMPORT) {
			ioasid_proxy_put(container_of(obj, struct ioasid_proxy,
						      obj));
		} else {
			exit_space(&ioasid->ioas);
			ioasid_put(ioasid);
		}
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
	if (nr_freed)
		kmem_cache_free_bulk(ioasid_cache, nr_freed, freed);
	forget_ids(&ctx->objects);
	ioasid_ctx_drop(ctx);
}

/**
 * ioasid_ctx_drop() - one less needs the shell of a context
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

/**
 * ioasid_ctx_get() - take a reference to a context
 * @ctx: the context; the caller has one already
 */
void ioasid_ctx_get(struct ioasid_ctx *ctx)
{
	refcount_inc(&ctx->users);
}
EXPORT_SYMBOL_GPL(ioasid_ctx_get);

/**
 * ioasid_ctx_put() - drop a reference to a context
 * @ctx: the context; destroyed with the last one
 *
 * Context: may sleep.
 */
void ioasid_ctx_put(struct ioasid_ctx *ctx)
{
	if (refcount_dec_and_test(&ctx->users))
		ioasid_ctx_destroy(ctx);
}
EXPORT_SYMBOL_GPL(ioasid_ctx_put);
