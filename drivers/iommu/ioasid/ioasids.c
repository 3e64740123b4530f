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

void ioasid_exit(struct ioasid *ioasid)
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
void empty_space(struct ioasid_space *space, long *patience)
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

long cmd_alloc(struct ioasid_ctx *ctx, union ioasid_arg *arg,
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
	ioasid = ioasid_alloc(ctx, &params, &ioasid_attach_space_ops);
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

long cmd_free(struct ioasid_ctx *ctx, union ioasid_arg *arg,
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
