// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contexts.  A context is an open file of /dev/ioasid.
 *
 * Invariants:
 *  - A context lives as long as its file is open, a device is bound to it, or a
 *    container of VFIO lends its groups to it, whose commands act on it even when
 *    the file is closed.  When it is destroyed no device is left.  The destruction needs no memory,
 *    and yields.
 *  - The memory of a context stays allocated while one of its exports or
 *    children exists: an export's file, or the owner of a parent in another
 *    context, still refers to them.
 *
 * Waits: close and destruction wait for drivers that must unpin pages, and for
 * threads that use the mappings, at most IOAS_PATIENCE jiffies in all.
 *
 * Locks: see struct ioasid_ctx.
 */
#include <linux/slab.h>

#include "context.h"
#include "number.h"
#include "kind_map.h"

/**
 * ioasid_ctx_alloc() - allocate a context
 *
 * Context: may sleep.
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
	atomic_set(&ctx->nr_pasids, 0);
	ctx->limit_pasids = U64_MAX;
	ctx->patience = IOAS_PATIENCE;
	mutex_init(&ctx->lock);
	INIT_LIST_HEAD(&ctx->groups);
	INIT_LIST_HEAD(&ctx->shared);
	spin_lock_init(&ctx->routes_lock);
	init_waitqueue_head(&ctx->events);
	ctx->orphaned = false;
	ioasid_numbers_init(ctx);
	mutex_init(&ctx->container.lock);
	INIT_LIST_HEAD(&ctx->container.groups);
	return ctx;
}
EXPORT_SYMBOL_GPL(ioasid_ctx_alloc);

/**
 * ioasid_ctx_close() - revoke the exports of a context whose file is closed
 * @ctx: the context; the caller drops its reference afterwards
 *
 * A closed context can no longer free its exported IOASIDs, so the mappings of
 * importers are removed here.  Bound devices keep the context, and their own
 * attachments, until they are unbound.
 *
 * Context: may sleep.
 */
void ioasid_ctx_close(struct ioasid_ctx *ctx)
{
	const struct ioasid_object_ops *ops;
	struct ioasid_object *obj;
	unsigned long id = 0;

	if (!ctx->has_parents)
		return;
	for (; (obj = ioasid_object_first(ctx, &id)); id++) {
		ops = ioasid_object_ops_of(obj);
		if (ops->close)
			ops->close(obj, &ctx->patience);
		ops->put(obj);
		cond_resched();
	}
}
EXPORT_SYMBOL_GPL(ioasid_ctx_close);

/* IOASIDs that are freed at a time, and between two calls of cond_resched() */
#define FREE_BATCH	32
#define DESTROY_BATCH	(8 * FREE_BATCH)

/*
 * Before any object is freed, empty the parents with their children, and the
 * children of imports, whose owners may be about to revoke their mappings.
 */
static void revoke_all(struct ioasid_ctx *ctx)
{
	const struct ioasid_object_ops *ops;
	struct ioasid_object *obj;
	unsigned long id;

	xa_for_each(&ctx->objects, id, obj) {
		ops = ioasid_object_ops_of(obj);
		if (ops->revoke)
			ops->revoke(obj, &ctx->patience);
		cond_resched();
	}
}

/*
 * An empty root of the kind MAP, with nothing whose end may sleep: the common case,
 * freed without sleep and indirect call
 */
static bool is_easy(struct ioasid_object *obj)
{
	struct ioas *ioas;

	if (unlikely(obj->type != IOASID_OBJECT_IOASID))
		return false;
	ioas = ioasid_ioas(container_of(obj, struct ioasid, obj));
	return !IS_ERR(ioas) && !ioas->parent && !ioas->demand &&
	       !rcu_access_pointer(ioas->dirty) &&
	       !container_of(obj, struct ioasid, obj)->faults && RB_EMPTY_ROOT(&ioas->mappings);
}

/* Ids that are erased together: 64 nodes of an xarray */
#define FORGET_BATCH	4096

/* In pieces: xa_destroy() disables interrupts from beginning to end */
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
	struct kmem_cache *cache = ioasid_cache(IOASID_KIND_MAP);
	void *freed[FREE_BATCH] __uninitialized;
	unsigned int n = 0, nr_freed = 0;
	XA_STATE(xas, &ctx->objects, 0);
	struct ioasid_object *obj;
	struct ioasid *ioasid;

	if (ctx->has_parents)
		revoke_all(ctx);
	/*
	 * No device is left, and no thread looks up ids of this context.  A
	 * look-up in another context may hold a reference for a moment, if the
	 * memory was an object there before.  Its put then frees the object,
	 * which is empty by then.
	 */
	rcu_read_lock();
	xas_for_each(&xas, obj, ULONG_MAX) {
		ioasid = container_of(obj, struct ioasid, obj);
		if (likely(is_easy(obj)) && ++n % DESTROY_BATCH) {
			if (unlikely(!refcount_dec_and_test(&obj->users)))
				continue;
			ioasid_map_exit(ioasid);
			freed[nr_freed++] = ioasid;
			if (nr_freed == FREE_BATCH) {
				kmem_cache_free_bulk(cache, nr_freed, freed);
				nr_freed = 0;
			}
			continue;
		}
		/* Unpinning may sleep */
		xas_pause(&xas);
		rcu_read_unlock();
		ioasid_object_ops_of(obj)->end(obj);
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
	if (nr_freed)
		kmem_cache_free_bulk(cache, nr_freed, freed);
	forget_ids(&ctx->objects);
	ioasid_numbers_exit(ctx);
	ioasid_ctx_drop(ctx);
}

/**
 * ioasid_ctx_get() - take a reference to a context
 * @ctx: the context; the caller has a reference already
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
