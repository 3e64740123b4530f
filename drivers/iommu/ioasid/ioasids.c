// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASIDs: made, looked up, freed.
 *
 * Invariants:
 *  - Where IOASIDs of several contexts are related, each may end at any time; so
 *    what can be seen from outside is emptied under the locks of the space.
 *
 * Locks: none of its own.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>

#include "context.h"
#include "device.h"
#include "ioasids.h"
#include "ioctl.h"
#include "share.h"

struct kmem_cache *ioasid_cache;

static struct ioasid *to_ioasid(struct ioas *ioas)
{
	return container_of(ioas, struct ioasid, ioas);
}

static struct ioasid_proxy *to_proxy(struct ioas_import *import)
{
	return container_of(import, struct ioasid_proxy, import);
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
	const struct ioas *ioas = &ioasid->ioas;

	if (ioas->import)
		return to_proxy(ioas->import)->obj.id;
	return ioas->parent ? to_ioasid(ioas->parent)->obj.id : 0;
}

static int join_family(struct ioasid_ctx *ctx, u32 id,
		       struct ioas *child)
{
	struct ioasid *parent = ioasid_get(ctx, id);
	int ret;

	if (parent) {
		ret = ioas_add_child(&parent->ioas, NULL, child);
		if (ret)
			ioasid_put(parent);
	} else {
		ret = ioasid_proxy_join(ctx, id, child);
	}
	if (!ret) {
		WRITE_ONCE(ctx->has_families, true);
		refcount_inc(&ctx->refs);
	}
	return ret;
}

void ioasid_exit(struct ioasid *ioasid)
{
	ioas_exit(&ioasid->ioas);
	ioas_parent_exit(&ioasid->ioas);
}

static void ioasid_destroy(struct ioasid *ioasid)
{
	struct ioas_import *import = ioasid->ioas.import;
	struct ioas *parent = ioasid->ioas.parent;
	struct ioasid_ctx *ctx = ioasid->obj.ctx;

	ioasid_exit(ioasid);
	if (unlikely(parent))
		ioas_remove_child(parent, import, &ioasid->ioas);
	kmem_cache_free(ioasid_cache, ioasid);
	if (likely(!parent))
		return;
	/* Families are not deep */
	if (import)
		ioasid_proxy_put(to_proxy(import));
	else
		ioasid_put(to_ioasid(parent));
	ioasid_ctx_drop(ctx);
}

/**
 * ioasid_ioas_get() - keep a space that may be on its way out
 * @ioas: of an IOASID, whose memory does not go for now
 *
 * Return: true, undone by ioasid_ioas_put(); false when it is being destroyed.
 */
bool ioasid_ioas_get(struct ioas *ioas)
{
	return refcount_inc_not_zero(&to_ioasid(ioas)->obj.users);
}

/**
 * ioasid_ioas_put() - undo ioasid_ioas_get()
 * @ioas: the space
 */
void ioasid_ioas_put(struct ioas *ioas)
{
	ioasid_put(to_ioasid(ioas));
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
			    const struct ioas_ops *ops)
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
	ioas_init(&ioasid->ioas, &ctx->account, ops);
	ioasid->ioas.cut_shift = params->cut_shift;
	ioasid->ioas.enforce_cache_coherency = params->snoop == IOASID_SNOOP_ON;
	if (params->parent) {
		ret = join_family(ctx, params->parent, &ioasid->ioas);
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
	struct ioasid_object *obj;
	struct ioasid *ioasid;

	obj = ioasid_object_lookup(ctx, id, IOASID_OBJECT_IOASID);
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

/* Unmap all of a space that was killed; @patience: see ioas_close_imports() */
void ioasid_empty(struct ioas *ioas, long *patience)
{
	struct ioas_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOAS_UNMAP_FORCED,
		.patience = *patience,
	};

	/* No signal cuts this short: see ioasid_ctx_destroy() */
	ioas_unmap(ioas, 0, U64_MAX, &req);
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
	long patience = IOAS_PATIENCE;
	struct ioasid_object *obj;
	int ret = -ENOENT;

	/* Under the xarray's lock what is in it and published stays so */
	xas_lock(&xas);
	obj = xas_load(&xas);
	if (obj && refcount_read(&obj->users)) {
		if (likely(obj->type == IOASID_OBJECT_IOASID)) {
			ioasid = container_of(obj, struct ioasid, obj);
			ret = ioas_kill(&ioasid->ioas, cascade);
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
		ioasid_empty(&ioasid->ioas, &patience);
	/* The file of an export, or children, may keep it long after */
	if (ioasid->ioas.parent && RB_EMPTY_ROOT(&ioasid->ioas.mappings))
		ioas_remove_child(ioasid->ioas.parent, ioasid->ioas.import,
				  &ioasid->ioas);
	ioasid_put(ioasid);
	return 0;
}

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

long ioasid_cmd_alloc(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		      void __user *user)
{
	struct ioasid_alloc __user *out = user;
	struct ioasid_alloc *cmd = &arg->alloc;
	struct ioasid_params params = {};
	struct ioasid *ioasid;
	unsigned int shift;

	if (cmd->kind != IOASID_KIND_MAP)
		return -EOPNOTSUPP;
	if (cmd->snoop > IOASID_SNOOP_ON)
		return -EOPNOTSUPP;
	if (cmd->format || cmd->fault_queue)
		return -EINVAL;
	if (size_to_shift(cmd->cut_size, &shift))
		return -EINVAL;

	params.cookie = cmd->cookie;
	params.parent = cmd->parent;
	params.kind = cmd->kind;
	params.snoop = cmd->snoop;
	params.cut_shift = shift;
	ioasid = ioasid_alloc(ctx, &params, &ioasid_ioas_ops);
	if (IS_ERR(ioasid))
		return PTR_ERR(ioasid);
	if (put_user(ioasid->obj.id, &out->ioasid)) {
		ioasid_abort(ioasid);
		return -EFAULT;
	}
	trace_ioasid_alloc(ioasid->obj.id);
	ioasid_object_publish(&ioasid->obj);
	return 0;
}

long ioasid_cmd_free(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		     void __user *user)
{
	int ret;

	if (arg->free.__reserved)
		return -EINVAL;
	ret = ioasid_free(ctx, arg->free.ioasid,
			  arg->free.flags & IOASID_FREE_CASCADE);
	if (!ret)
		trace_ioasid_free(arg->free.ioasid);
	return ret;
}
