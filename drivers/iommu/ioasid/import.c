// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASIDs that are parents in other contexts than their own.
 *
 * Invariants:
 *  - A grant is what a context exported: an IOASID, and on which terms.  It holds
 *    the IOASID, and of the context what the IOASID needs, but keeps neither from
 *    being freed or closed: what is left then is an empty shell.
 *  - A proxy is an object of the importing context and stands for the IOASID as
 *    a parent there.  To the IOASID it counts as a child.
 *  - What the children of a proxy map they borrow from the IOASID itself, so its
 *    owner takes it away like from children of its own.
 *  - What memory a grant's IOASID still has when it is freed, for the sake of a
 *    child that did not let go, goes with the last proxy: with the account that
 *    is charged for it.
 *
 * Locks: ioasid_window is protected by the lock of the IOASID's space.
 */
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "context.h"

/**
 * ioasid_grant_alloc() - have an IOASID be a parent in other contexts
 * @ioasid: the IOASID
 *
 * Return: the grant with one reference and its terms to be set, or NULL.
 */
struct ioasid_grant *ioasid_grant_alloc(struct ioasid *ioasid)
{
	struct ioasid_grant *grant;

	/* From now on it is emptied under its locks */
	if (ioasid_family_begin(&ioasid->space))
		return NULL;
	WRITE_ONCE(ioasid->obj.ctx->has_families, true);
	grant = kzalloc(sizeof(*grant), GFP_KERNEL_ACCOUNT);
	if (!grant)
		return NULL;
	refcount_set(&grant->users, 1);
	refcount_inc(&ioasid->obj.users);
	refcount_inc(&ioasid->obj.ctx->shells);
	grant->ioasid = ioasid;
	return grant;
}

/**
 * ioasid_grant_get() - take a reference to a grant
 * @grant: the grant; the caller has one already
 */
void ioasid_grant_get(struct ioasid_grant *grant)
{
	refcount_inc(&grant->users);
}

/**
 * ioasid_grant_put() - drop a reference to a grant
 * @grant: the grant
 *
 * Context: may sleep.
 */
void ioasid_grant_put(struct ioasid_grant *grant)
{
	struct ioasid_ctx *ctx;

	if (!refcount_dec_and_test(&grant->users))
		return;
	ctx = grant->ioasid->obj.ctx;
	ioasid_put(grant->ioasid);
	ioasid_ctx_release(ctx);
	kfree(grant);
}

/**
 * ioasid_proxy_alloc() - import what was granted
 * @ctx: the context
 * @grant: the grant
 * @cookie: the user's
 *
 * To be followed by ioasid_object_publish() or ioasid_proxy_abort().
 *
 * Return: the proxy with its id, or an ERR_PTR: -ENODEV, the IOASID was freed;
 * -ELOOP, its children cannot be parents; -EDEADLK; -EDQUOT, the context has as
 * many IOASIDs as it may; -ENOSPC; -ENOMEM.
 */
struct ioasid_proxy *ioasid_proxy_alloc(struct ioasid_ctx *ctx,
					struct ioasid_grant *grant, u64 cookie)
{
	struct ioasid_space *parent = &grant->ioasid->space;
	struct ioasid_proxy *proxy;
	int ret = -ENOMEM;

	if (!ioasid_ctx_count(ctx))
		return ERR_PTR(-EDQUOT);
	proxy = kzalloc(sizeof(*proxy), GFP_KERNEL_ACCOUNT);
	if (!proxy)
		goto err_count;
	proxy->cookie = cookie;
	proxy->grant = grant;
	proxy->window.terms = &grant->terms;
	ret = ioasid_family_join(parent, &proxy->window, NULL);
	if (ret)
		goto err_free;
	ret = ioasid_object_reserve(ctx, &proxy->obj, IOASID_OBJECT_IMPORT);
	if (ret)
		goto err_leave;
	ioasid_grant_get(grant);
	return proxy;

err_leave:
	ioasid_family_leave(parent, &proxy->window, NULL);
err_free:
	kfree(proxy);
err_count:
	atomic_dec(&ctx->nr_ioasids);
	return ERR_PTR(ret);
}

/**
 * ioasid_proxy_leave() - let its owner not count an import any more
 * @proxy: the proxy, that nobody can find any more; when it has children, the
 *	last of them does it
 */
void ioasid_proxy_leave(struct ioasid_proxy *proxy)
{
	ioasid_family_leave(&proxy->grant->ioasid->space, &proxy->window, NULL);
}

static void proxy_destroy(struct ioasid_proxy *proxy)
{
	ioasid_proxy_leave(proxy);
	ioasid_grant_put(proxy->grant);
	/* Who looks it up by RCU may come across it */
	kfree_rcu(proxy, rcu);
}

/**
 * ioasid_proxy_abort() - undo ioasid_proxy_alloc()
 * @proxy: not published
 */
void ioasid_proxy_abort(struct ioasid_proxy *proxy)
{
	struct ioasid_ctx *ctx = proxy->obj.ctx;

	xa_erase(&ctx->objects, proxy->obj.id);
	atomic_dec(&ctx->nr_ioasids);
	proxy_destroy(proxy);
}

/**
 * ioasid_proxy_get() - look an import up
 * @ctx: the context
 * @id: its id
 *
 * Return: the proxy with a reference, or NULL.
 */
struct ioasid_proxy *ioasid_proxy_get(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid_object *obj = ioasid_object_get(ctx, id,
						      IOASID_OBJECT_IMPORT);

	return obj ? container_of(obj, struct ioasid_proxy, obj) : NULL;
}

/**
 * ioasid_proxy_put() - drop a reference to an import
 * @proxy: the proxy
 *
 * Context: may sleep.
 */
void ioasid_proxy_put(struct ioasid_proxy *proxy)
{
	if (refcount_dec_and_test(&proxy->obj.users))
		proxy_destroy(proxy);
}

/**
 * ioasid_proxy_join() - make a space the child of an import
 * @ctx: the context
 * @id: id of the import
 * @child: new, and empty
 *
 * Return: 0; -ENOENT, there is no such import; -ENODEV, what it stands for was
 * freed; -EDEADLK; -ENOMEM.
 */
int ioasid_proxy_join(struct ioasid_ctx *ctx, u32 id,
		      struct ioasid_space *child)
{
	struct ioasid_proxy *proxy = ioasid_proxy_get(ctx, id);
	int ret;

	if (!proxy)
		return -ENOENT;
	ret = ioasid_family_join(&proxy->grant->ioasid->space, &proxy->window,
				 child);
	if (ret)
		ioasid_proxy_put(proxy);
	return ret;
}

/**
 * ioasid_proxy_kill() - have an import be the parent of nothing new
 * @proxy: the proxy
 * @cascade: though it may have children
 *
 * Return: 0; -EBUSY, it has children.
 */
int ioasid_proxy_kill(struct ioasid_proxy *proxy, bool cascade)
{
	struct ioasid_space *parent = &proxy->grant->ioasid->space;
	int ret = 0;

	spin_lock(&parent->lock);
	if (proxy->window.children && !cascade)
		ret = -EBUSY;
	else
		proxy->window.dead = true;
	spin_unlock(&parent->lock);
	return ret;
}

/**
 * ioasid_proxy_revoke() - take out of the children of an import what they have
 * @proxy: the proxy, killed
 *
 * Context: may sleep; looks at all IOASIDs of the context if there are children.
 */
void ioasid_proxy_revoke(struct ioasid_proxy *proxy)
{
	struct ioasid_iova_range all = { .start = 0, .last = U64_MAX };
	struct ioasid_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOASID_UNMAP_FORCED,
		.of = &all,
		.patience = IOASID_PATIENCE,
	};
	struct ioasid_ctx *ctx = proxy->obj.ctx;
	struct ioasid_object *obj;
	struct ioasid *ioasid;
	unsigned long id;

	if (!READ_ONCE(proxy->window.children))
		return;
	xa_for_each(&ctx->objects, id, obj) {
		ioasid = ioasid_get(ctx, id);
		if (!ioasid)
			continue;
		if (ioasid->space.window == &proxy->window)
			ioasid_space_unmap(&ioasid->space, 0, U64_MAX, &req);
		ioasid_put(ioasid);
		cond_resched();
	}
}
