// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contexts, ids, and the IOASIDs of a context.
 *
 * Invariants:
 *  - An object is reserved, initialised and published, or aborted.  Until it is
 *    published it has an id, but no look-up finds it: its count is 0.
 *  - Look-ups take no lock: RCU keeps the memory of an object an object of that
 *    sort (SLAB_TYPESAFE_BY_RCU, or kfree_rcu()), a count that is not 0 says
 *    that it lives, and a look at context and id says that it is the one.
 *  - A context lives as long as its file is open or a device is bound to it.
 *    It is destroyed with no device left, needs no memory for that, and yields.
 *    An empty shell of it stays for as long as another context may have business
 *    with its IOASIDs: with what it exported, or with children that it made of
 *    what it imported.
 *  - Where IOASIDs of several contexts are related, each may end at any time; so
 *    what can be seen from outside is emptied under the locks of the space.
 *
 * Locks: the xarray's own lock, a leaf.  See struct ioasid_ctx.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "context.h"

static struct kmem_cache *ioasid_cache;

/* ---- Ids ---- */

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

static __always_inline struct ioasid_object *
object_get(struct ioasid_ctx *ctx, u32 id, enum ioasid_object_type type)
{
	struct ioasid_object *obj;

	rcu_read_lock();
	obj = xa_load(&ctx->objects, id);
	if (obj && obj->type == type && refcount_inc_not_zero(&obj->users))
		smp_acquire__after_ctrl_dep();
	else
		obj = NULL;
	rcu_read_unlock();
	return obj;
}

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
	return object_get(ctx, id, type);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_object_get);

/* ---- IOASIDs ---- */

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

static struct ioasid *to_ioasid(struct ioasid_space *space)
{
	return container_of(space, struct ioasid, space);
}

static struct ioasid_proxy *to_proxy(struct ioasid_window *window)
{
	return container_of(window, struct ioasid_proxy, window);
}

/**
 * ioasid_parent_id() - the parent of an IOASID
 * @ioasid: the IOASID
 *
 * Return: id of the parent, or of the import that stands for it, though it may
 * have been freed; 0 for a root.
 */
u32 ioasid_parent_id(const struct ioasid *ioasid)
{
	const struct ioasid_space *space = &ioasid->space;

	if (space->window)
		return to_proxy(space->window)->obj.id;
	return space->parent ? to_ioasid(space->parent)->obj.id : 0;
}

static int join_family(struct ioasid_ctx *ctx, u32 id,
		       struct ioasid_space *child)
{
	struct ioasid *parent = ioasid_get(ctx, id);
	int ret;

	if (parent) {
		ret = ioasid_family_join(&parent->space, NULL, child);
		if (ret)
			ioasid_put(parent);
	} else {
		ret = ioasid_proxy_join(ctx, id, child);
	}
	if (!ret) {
		WRITE_ONCE(ctx->has_families, true);
		refcount_inc(&ctx->shells);
	}
	return ret;
}

static __always_inline void ioasid_exit(struct ioasid *ioasid)
{
	ioasid_space_exit(&ioasid->space);
	ioasid_family_exit(&ioasid->space);
}

static void ioasid_destroy(struct ioasid *ioasid)
{
	struct ioasid_window *window = ioasid->space.window;
	struct ioasid_space *parent = ioasid->space.parent;
	struct ioasid_ctx *ctx = ioasid->obj.ctx;

	ioasid_exit(ioasid);
	if (unlikely(parent))
		ioasid_family_leave(parent, window, &ioasid->space);
	kmem_cache_free(ioasid_cache, ioasid);
	if (likely(!parent))
		return;
	/* Families are not deep */
	if (window)
		ioasid_proxy_put(to_proxy(window));
	else
		ioasid_put(to_ioasid(parent));
	ioasid_ctx_release(ctx);
}

/**
 * ioasid_space_get() - keep a space that may be on its way out
 * @space: of an IOASID, whose memory does not go for now
 *
 * Return: true, undone by ioasid_space_put(); false when it is being destroyed.
 */
bool ioasid_space_get(struct ioasid_space *space)
{
	return refcount_inc_not_zero(&to_ioasid(space)->obj.users);
}

/**
 * ioasid_space_put() - undo ioasid_space_get()
 * @space: the space
 */
void ioasid_space_put(struct ioasid_space *space)
{
	ioasid_put(to_ioasid(space));
}

/**
 * ioasid_alloc() - make an IOASID
 * @ctx: the context
 * @params: its attributes
 * @ops: what its space tells the floor above
 *
 * To be followed by ioasid_object_publish() or ioasid_abort().
 *
 * Return: the IOASID with its id, or an ERR_PTR: -EDQUOT, the context has as
 * many as it may; -ENOENT, -ENODEV, -ELOOP or -EDEADLK for the parent's sake;
 * -ENOSPC; -ENOMEM.
 */
struct ioasid *ioasid_alloc(struct ioasid_ctx *ctx,
			    const struct ioasid_params *params,
			    const struct ioasid_space_ops *ops)
{
	struct ioasid *ioasid;
	int ret;

	if (unlikely(!ioasid_ctx_count(ctx)))
		return ERR_PTR(-EDQUOT);
	ret = -ENOMEM;
	/* Not zeroed: every field is set */
	ioasid = kmem_cache_alloc(ioasid_cache, GFP_KERNEL);
	if (!ioasid)
		goto err_count;
	ioasid->cookie = params->cookie;
	ioasid->obj.kind = params->kind;
	ioasid->obj.ctx = ctx;
	ioasid_space_init(&ioasid->space, &ctx->account, ops);
	ioasid->space.cut_shift = params->cut_shift;
	ioasid->space.must_enforce = params->snoop == IOASID_SNOOP_ON;
	if (params->parent) {
		ret = join_family(ctx, params->parent, &ioasid->space);
		if (ret)
			goto err_free;
	}
	ret = ioasid_object_reserve(ctx, &ioasid->obj, IOASID_OBJECT_IOASID);
	if (ret)
		goto err_family;
	return ioasid;

err_family:
	ioasid_destroy(ioasid);
	goto err_count;
err_free:
	kmem_cache_free(ioasid_cache, ioasid);
err_count:
	atomic_dec(&ctx->nr_ioasids);
	return ERR_PTR(ret);
}

/**
 * ioasid_abort() - undo ioasid_alloc()
 * @ioasid: not published
 */
void ioasid_abort(struct ioasid *ioasid)
{
	struct ioasid_ctx *ctx = ioasid->obj.ctx;

	xa_erase(&ctx->objects, ioasid->obj.id);
	atomic_dec(&ctx->nr_ioasids);
	ioasid_destroy(ioasid);
}

/**
 * ioasid_get() - look an IOASID up
 * @ctx: the context
 * @id: its id
 *
 * Return: the IOASID with a reference, or NULL.
 */
struct ioasid *ioasid_get(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid_object *obj = object_get(ctx, id, IOASID_OBJECT_IOASID);
	struct ioasid *ioasid;

	if (!obj)
		return NULL;
	ioasid = container_of(obj, struct ioasid, obj);
	/* Its memory may have become another IOASID between look and count */
	if (unlikely(obj->ctx != ctx || obj->id != id)) {
		ioasid_put(ioasid);
		return NULL;
	}
	return ioasid;
}

/**
 * ioasid_put() - drop a reference to an IOASID
 * @ioasid: the IOASID
 *
 * Context: may sleep.
 */
void ioasid_put(struct ioasid *ioasid)
{
	if (refcount_dec_and_test(&ioasid->obj.users))
		ioasid_destroy(ioasid);
}

/* Unmap all of a space that was killed; @patience: see ioasid_family_close() */
static void empty_space(struct ioasid_space *space, long *patience)
{
	struct ioasid_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOASID_UNMAP_FORCED,
		.patience = *patience,
	};

	/* No signal cuts this short: see ioasid_ctx_destroy() */
	ioasid_space_unmap(space, 0, U64_MAX, &req);
	*patience = req.patience;
}

/**
 * ioasid_free() - free an IOASID or an import
 * @ctx: the context
 * @id: its id
 * @cascade: though it may have children: they lose what they refer to
 *
 * Unmaps all.  Commands that are under way end; new ones do not find it.
 *
 * Context: may sleep; waits for nobody's page fault.
 * Return: 0; -EBUSY, a device is attached, or it has children; -ENOENT, there
 * is no such object.
 */
int ioasid_free(struct ioasid_ctx *ctx, u32 id, bool cascade)
{
	XA_STATE(xas, &ctx->objects, id);
	struct ioasid_proxy *proxy = NULL;
	struct ioasid *ioasid = NULL;
	long patience = IOASID_PATIENCE;
	struct ioasid_object *obj;
	int ret = -ENOENT;

	/* Under the xarray's lock what is in it and published stays so */
	xas_lock(&xas);
	obj = xas_load(&xas);
	if (obj && refcount_read(&obj->users)) {
		if (likely(obj->type == IOASID_OBJECT_IOASID)) {
			ioasid = container_of(obj, struct ioasid, obj);
			ret = ioasid_space_kill(&ioasid->space, cascade);
		} else if (obj->type == IOASID_OBJECT_IMPORT) {
			proxy = container_of(obj, struct ioasid_proxy, obj);
			ret = ioasid_proxy_kill(proxy, cascade);
		}
		if (ret >= 0)
			xas_store(&xas, NULL);
	}
	xas_unlock(&xas);
	if (ret < 0)
		return ret;

	atomic_dec(&ctx->nr_ioasids);
	if (unlikely(proxy)) {
		ioasid_proxy_revoke(proxy);
		ioasid_proxy_leave(proxy);
		ioasid_proxy_put(proxy);
		return 0;
	}
	if (ret)
		empty_space(&ioasid->space, &patience);
	/* The file of an export, or children, may keep it long after */
	if (ioasid->space.parent && RB_EMPTY_ROOT(&ioasid->space.mappings))
		ioasid_family_leave(ioasid->space.parent, ioasid->space.window,
				    &ioasid->space);
	ioasid_put(ioasid);
	return 0;
}

/* ---- Contexts ---- */

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
	refcount_set(&ctx->shells, 1);
	xa_init_flags(&ctx->objects, XA_FLAGS_ACCOUNT);
	ioasid_account_init(&ctx->account);
	atomic_set(&ctx->nr_ioasids, 0);
	ctx->limit_ioasids = U64_MAX;
	ctx->patience = IOASID_PATIENCE;
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
			ioasid_family_close(&ioasid->space, &ctx->patience);
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
	struct ioasid_space *space;
	unsigned long id;

	xa_for_each(&ctx->objects, id, obj) {
		if (obj->type != IOASID_OBJECT_IOASID)
			continue;
		space = &container_of(obj, struct ioasid, obj)->space;
		if ((space->family || space->window) &&
		    ioasid_space_kill(space, true) > 0)
			empty_space(space, &ctx->patience);
		cond_resched();
	}
}

/*
 * Have nothing mapped in a space that goes with its context.  What could not be
 * taken out for the sake of a child in another context goes with that.
 */
static void exit_space(struct ioasid_space *space)
{
	if (!space->family)
		ioasid_space_exit(space);
}

/* Does it go without sleep, and take nothing along? */
static bool is_easy(const struct ioasid_object *obj)
{
	const struct ioasid_space *space;

	if (unlikely(obj->type != IOASID_OBJECT_IOASID))
		return false;
	space = &container_of(obj, struct ioasid, obj)->space;
	return !space->parent && RB_EMPTY_ROOT(&space->mappings);
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
			exit_space(&ioasid->space);
			ioasid_put(ioasid);
		}
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
	if (nr_freed)
		kmem_cache_free_bulk(ioasid_cache, nr_freed, freed);
	forget_ids(&ctx->objects);
	ioasid_ctx_release(ctx);
}

/**
 * ioasid_ctx_release() - one less needs the shell of a context
 * @ctx: the context
 */
void ioasid_ctx_release(struct ioasid_ctx *ctx)
{
	if (!refcount_dec_and_test(&ctx->shells))
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

int __init ioasid_context_init(void)
{
	struct kmem_cache_args args = {
		.use_freeptr_offset = true,
		.freeptr_offset = offsetof(struct ioasid, cookie),
	};

	/* A look-up under RCU writes to @users alone of one that was freed */
	ioasid_cache = kmem_cache_create("ioasid", sizeof(struct ioasid), &args,
					 SLAB_ACCOUNT | SLAB_TYPESAFE_BY_RCU);
	return ioasid_cache ? 0 : -ENOMEM;
}

void ioasid_context_exit(void)
{
	kmem_cache_destroy(ioasid_cache);
}
