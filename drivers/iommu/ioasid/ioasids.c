// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASIDs: allocate, look up, free.
 *
 * Invariants:
 *  - A parent and its children may be in different contexts, each of which may
 *    end at any time.  So an IOASID that other contexts can refer to is emptied
 *    under the locks of its address space.
 *
 * Waits: a free waits for drivers that must unpin pages, and for threads that
 * use the mappings, at most IOAS_PATIENCE jiffies in all.
 *
 * Locks: none of its own.  The lock of the xarray is held while the mappings of
 * an IOASID are first counted, so that it is not freed meanwhile.
 */
#include <kunit/visibility.h>
#include <linux/bitops.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <trace/events/ioasid.h>

#include "context.h"
#include "faults.h"
#include "ioasids.h"
#include "ioctl.h"
#include "kind_map.h"

struct kmem_cache *ioasid_caches[IOASID_KINDS];

const struct ioasid_kind_ops * const ioasid_kinds[IOASID_KINDS] = {
	[IOASID_KIND_MAP] = &ioasid_kind_map,
	[IOASID_KIND_PGTABLE] = &ioasid_kind_pgtable,
	[IOASID_KIND_PASID_TABLE] = &ioasid_kind_pasid_table,
#ifdef CONFIG_HMM_MIRROR
	[IOASID_KIND_PROCESS] = &ioasid_kind_process,
#endif
};

/* Find the parent of a new IOASID, and take a reference to it */
static int get_parent(struct ioasid_ctx *ctx, u32 id,
		      struct ioasid_parent *parent)
{
	struct ioasid_object *obj = ioasid_object_any(ctx, id);
	const struct ioasid_object_ops *ops;
	struct ioas *ioas = ERR_PTR(-ENOENT);

	if (!obj)
		return -ENOENT;
	ops = ioasid_object_ops_of(obj);
	if (ops->as_parent)
		ioas = ops->as_parent(obj, &parent->import);
	if (IS_ERR(ioas)) {
		ops->put(obj);
		return PTR_ERR(ioas);
	}
	parent->obj = obj;
	parent->ioas = ioas;
	return 0;
}

static noinline int init_child(struct ioasid_ctx *ctx, struct ioasid *ioasid,
			       const struct ioasid_params *params)
{
	struct ioasid_parent parent;
	int ret;

	ret = get_parent(ctx, params->parent, &parent);
	if (ret)
		return ret;
	ret = ioasid_kind_of(ioasid)->init(ioasid, params, &ctx->account,
					   &parent);
	if (ret) {
		ioasid_object_ops_of(parent.obj)->put(parent.obj);
		return ret;
	}
	WRITE_ONCE(ctx->has_parents, true);
	refcount_inc(&ctx->refs);
	return 0;
}

/*
 * Test whether the parent was freed before the id of its new child was there: no
 * search for its children finds the child.  The lock of the xarray orders this with
 * ioasid_object_kill().
 */
static bool lost_parent(struct ioasid *ioasid)
{
	const struct ioas *ioas = ioasid_ioas(ioasid);

	return !IS_ERR(ioas) && (ioas->parent->dead ||
				 (ioas->import && ioas->import->dead));
}

/* Not inline, as init_child(): the registers that it needs cost a root, too */
static noinline void free_child(struct ioasid *ioasid,
				struct ioasid_object *parent)
{
	struct ioasid_ctx *ctx = ioasid->obj.ctx;

	kmem_cache_free(ioasid_cache(ioasid->obj.kind), ioasid);
	/* Recursion: at most IOAS_MAX_DEPTH levels */
	ioasid_object_ops_of(parent)->put(parent);
	ioasid_ctx_drop(ctx);
}

static void ioasid_destroy(struct ioasid *ioasid)
{
	struct ioasid_object *parent = ioasid_exit(ioasid);

	if (unlikely(ioasid->faults))
		ioasid_faults_put(ioasid->faults);
	if (likely(!parent))
		kmem_cache_free(ioasid_cache(ioasid->obj.kind), ioasid);
	else
		free_child(ioasid, parent);
}

/* The object is in the xarray, and maybe not published */
static void count_mappings(struct ioasid_object *obj)
{
	struct ioas *ioas;

	if (obj->type != IOASID_OBJECT_IOASID)
		return;
	ioas = ioasid_ioas(container_of(obj, struct ioasid, obj));
	if (!IS_ERR(ioas))
		ioas_count_mappings(ioas);
}

/* Objects that are looked at with the lock of the xarray held */
#define COUNT_BATCH	64

/**
 * ioasid_count_mappings() - count all mappings of a context from now on
 * @ctx: the context; its lock is held
 *
 * Mappings of an IOASID that is being freed are not counted.
 *
 * Context: may sleep.
 */
void ioasid_count_mappings(struct ioasid_ctx *ctx)
{
	XA_STATE(xas, &ctx->objects, 0);
	struct ioasid_object *obj;
	unsigned int n = 0;

	lockdep_assert_held(&ctx->lock);
	if (ctx->account.counting)
		return;
	/* An IOASID that the walk misses sees it once it is in the xarray */
	WRITE_ONCE(ctx->account.counting, true);
	xas_lock(&xas);
	xas_for_each(&xas, obj, UINT_MAX) {
		count_mappings(obj);
		if (++n % COUNT_BATCH)
			continue;
		xas_pause(&xas);
		xas_unlock(&xas);
		cond_resched();
		xas_lock(&xas);
	}
	xas_unlock(&xas);
}

/*
 * A thread that serves a page request, or blocks the groups of a poisoned domain, may drop
 * the last reference, and use the context before: it lives as long as that may be
 */
static bool keeps_context(const struct ioas *ioas)
{
	return ioas->demand || ioas->mirrors_process;
}

/**
 * ioasid_ioas_get() - take a reference to the IOASID of an address space
 * @ioas: the address space; the caller keeps its memory allocated
 *
 * Return: true, and ioasid_ioas_put() drops the reference; false if the IOASID
 * is being destroyed.
 */
bool ioasid_ioas_get(struct ioas *ioas)
{
	struct ioasid_object *obj = &ioasid_of(ioas)->obj;

	if (likely(!keeps_context(ioas)))
		return refcount_inc_not_zero(&obj->users);
	/* The roots of a context are found no longer than it lives */
	refcount_inc(&obj->ctx->refs);
	if (refcount_inc_not_zero(&obj->users))
		return true;
	ioasid_ctx_drop(obj->ctx);
	return false;
}

/**
 * ioasid_ioas_put() - undo ioasid_ioas_get()
 * @ioas: the address space
 *
 * Context: may sleep.
 */
void ioasid_ioas_put(struct ioas *ioas)
{
	struct ioasid_ctx *ctx = ioasid_of(ioas)->obj.ctx;
	bool keeps = keeps_context(ioas);

	ioasid_put(ioasid_of(ioas));
	if (unlikely(keeps))
		ioasid_ctx_drop(ctx);
}

/**
 * ioasid_alloc() - allocate an IOASID
 * @ctx: the context
 * @params: the attributes
 *
 * ioasid_object_publish() follows, or ioasid_abort().
 *
 * Context: may sleep.
 * Return: the IOASID, or an ERR_PTR:
 * -EDQUOT, the context has reached its limit;
 * -ENOENT, the parent does not exist, or is being freed;
 * -ENODEV, the parent is an import whose export was revoked;
 * -ELOOP, the parent is too far from its root;
 * -EDEADLK, the parent waits for a sibling;
 * -EOPNOTSUPP, the kind of the parent has no children, or none of this kind, or
 * the format is not known;
 * -ENOSPC, no id is left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
struct ioasid *ioasid_alloc(struct ioasid_ctx *ctx,
			    const struct ioasid_params *params)
{
	struct ioasid *ioasid;
	int ret;

	if (unlikely(!ioasid_ctx_count(ctx)))
		return ERR_PTR(-EDQUOT);
	ret = -ENOMEM;
	/* Not zeroed: all fields are set below */
	ioasid = kmem_cache_alloc(ioasid_cache(params->kind), GFP_KERNEL);
	if (!ioasid)
		goto err_count;
	ioasid->cookie = params->cookie;
	/* Until nothing can fail any longer the queue is the caller's */
	ioasid->faults = NULL;
	ioasid->obj.kind = params->kind;
	ioasid->obj.marks = 0;
	ioasid->obj.ctx = ctx;
	ioasid->obj.parent = params->parent;
	if (likely(!params->parent))
		ret = ioasid_kind_call(ioasid_kind_of(ioasid)->init,
				       ioasid_map_init, ioasid, params,
				       &ctx->account, NULL);
	else
		ret = init_child(ctx, ioasid, params);
	if (ret)
		goto err_free;
	ret = ioasid_object_reserve(ctx, &ioasid->obj, IOASID_OBJECT_IOASID);
	if (ret)
		goto err_destroy;
	/* The lock of the xarray orders this with ioasid_count_mappings() */
	if (unlikely(READ_ONCE(ctx->account.counting)))
		count_mappings(&ioasid->obj);
	if (unlikely(params->parent && lost_parent(ioasid)))
		ioasid_ctx_orphaned(ctx);
	ioasid->faults = params->faults;
	return ioasid;

err_destroy:
	ioasid_destroy(ioasid);
	goto err_count;
err_free:
	kmem_cache_free(ioasid_cache(params->kind), ioasid);
err_count:
	atomic_dec(&ctx->nr_ioasids);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_alloc);

/* Undo ioasid_alloc() */
static void ioasid_abort(struct ioasid *ioasid)
{
	struct ioasid_ctx *ctx = ioasid->obj.ctx;

	xa_erase(&ctx->objects, ioasid->obj.id);
	atomic_dec(&ctx->nr_ioasids);
	if (ioasid->faults)
		ioasid_faults_unname(ioasid->faults);
	ioasid_destroy(ioasid);
}

/**
 * ioasid_get() - look up an IOASID
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
	/* The memory may have become another IOASID before the reference */
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
EXPORT_SYMBOL_IF_KUNIT(ioasid_put);

/* ---- IOASIDs as objects ---- */

static void ioasid_object_put(struct ioasid_object *obj)
{
	ioasid_put(container_of(obj, struct ioasid, obj));
}

static int ioasid_object_kill(struct ioasid_object *obj, bool cascade)
{
	struct ioasid *ioasid = container_of(obj, struct ioasid, obj);

	return ioasid_kind_call(ioasid_kind_of(ioasid)->kill, ioasid_map_kill,
				ioasid, cascade);
}

static void ioasid_object_release(struct ioasid_object *obj, int killed)
{
	struct ioasid *ioasid = container_of(obj, struct ioasid, obj);
	struct ioas *ioas = ioasid_ioas(ioasid);

	if (!IS_ERR(ioas) && unlikely(READ_ONCE(ioas->children)))
		ioasid_ctx_orphaned(obj->ctx);
	ioasid_free(ioasid, killed);
	/* Not with the last reference: other threads may have some */
	if (unlikely(ioasid->faults))
		ioasid_faults_unname(ioasid->faults);
	ioasid_put(ioasid);
}

static struct ioas *ioasid_object_as_parent(struct ioasid_object *obj,
					    struct ioas_import **import)
{
	*import = NULL;
	return ioasid_ioas(container_of(obj, struct ioasid, obj));
}

static void ioasid_object_close(struct ioasid_object *obj, long *patience)
{
	struct ioas *ioas = ioasid_ioas(container_of(obj, struct ioasid, obj));

	if (!IS_ERR(ioas))
		ioas_close_imports(ioas, patience);
}

static void ioasid_object_revoke(struct ioasid_object *obj, long *patience)
{
	struct ioas *ioas = ioasid_ioas(container_of(obj, struct ioasid, obj));

	if (IS_ERR(ioas))
		return;
	if ((ioas->as_parent || ioas_import_of(ioas)) &&
	    ioas_kill(ioas, true) > 0)
		ioasid_map_empty(ioas, patience);
}

static void ioasid_object_end(struct ioasid_object *obj)
{
	struct ioasid *ioasid = container_of(obj, struct ioasid, obj);

	ioasid_kind_of(ioasid)->end(ioasid);
	ioasid_put(ioasid);
}

static unsigned int ioasid_object_list(struct ioasid_object *obj,
				       unsigned long *at,
				       struct ioasid_list_long_entry *to,
				       bool named)
{
	const struct ioasid *ioasid = container_of(obj, struct ioasid, obj);

	to->entry = (struct ioasid_list_entry){
		.type = IOASID_LIST_IOASID,
		.id = obj->id,
		.cookie = ioasid->cookie,
		.kind = obj->kind,
		.parent = obj->parent,
	};
	return 1;
}

/* Names of the bits of enum ioasid_state */
static const char * const state_words[] = {
	"attached", "partial", "poisoned", "orphan", "revoked", "unbound",
	"mm-gone", "tracking",
};

static void show_state(struct seq_file *m, unsigned long state)
{
	unsigned int bit;

	if (!(state & IOASID_STATE_ATTACHED))
		seq_puts(m, "idle");
	for_each_set_bit(bit, &state, ARRAY_SIZE(state_words)) {
		if (bit)
			seq_putc(m, ',');
		seq_puts(m, state_words[bit]);
	}
	seq_putc(m, '\n');
}

static void ioasid_object_show(struct seq_file *m, struct ioasid_object *obj)
{
	struct ioasid *ioasid = container_of(obj, struct ioasid, obj);
	struct ioas_stats stats;

	ioasid_kind_of(ioasid)->stats(ioasid, &stats);
	seq_printf(m, "ioasid:\tid=%u kind=%s parent=%u cookie=0x%llx devices=%u children=%u mappings=%llu mapped=%llu pinned=%llu charged=%llu demand=%llu state=",
		   ioasid->obj.id, ioasid_kind_of(ioasid)->name,
		   ioasid->obj.parent, ioasid->cookie,
		   stats.nr_devices, stats.nr_children, stats.nr_mappings,
		   stats.bytes_mapped, stats.bytes_pinned, stats.bytes_pinned,
		   stats.bytes_demand);
	show_state(m, stats.state);
}

static const struct ioasid_object_ops ioasid_object_ops = {
	.is_ioasid = true,
	.put = ioasid_object_put,
	.kill = ioasid_object_kill,
	.free = ioasid_object_release,
	.as_parent = ioasid_object_as_parent,
	.close = ioasid_object_close,
	.revoke = ioasid_object_revoke,
	.end = ioasid_object_end,
	.list = ioasid_object_list,
	.show = ioasid_object_show,
};

int __init ioasid_ioasids_init(void)
{
	struct kmem_cache_args args = {
		.use_freeptr_offset = true,
		.freeptr_offset = offsetof(struct ioasid, cookie),
	};
	const struct ioasid_kind_ops *ops;
	unsigned int kind;
	char name[32];

	for (kind = 0; kind < IOASID_KINDS; kind++) {
		ops = ioasid_kinds[kind];
		if (!ops)
			continue;
		snprintf(name, sizeof(name), "ioasid_%s", ops->name);
		/* Not in obj: look-ups may write to the users of a freed IOASID */
		ioasid_caches[kind] =
			kmem_cache_create(name, ops->size, &args,
					  SLAB_ACCOUNT | SLAB_TYPESAFE_BY_RCU);
		if (!ioasid_caches[kind]) {
			ioasid_ioasids_exit();
			return -ENOMEM;
		}
	}
	ioasid_object_register(IOASID_OBJECT_IOASID, &ioasid_object_ops);
	return 0;
}

void ioasid_ioasids_exit(void)
{
	unsigned int kind;

	for (kind = 0; kind < IOASID_KINDS; kind++)
		kmem_cache_destroy(ioasid_caches[kind]);
}

long ioasid_cmd_alloc(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		      void __user *user)
{
	struct ioasid_alloc __user *out = user;
	struct ioasid_alloc *cmd = &arg->alloc;
	struct ioasid_params params = {
		.cookie = cmd->cookie,
		.parent = cmd->parent,
		.kind = cmd->kind,
		.format = cmd->format,
		.snoop = cmd->snoop,
		.nest_parent = cmd->flags & IOASID_ALLOC_NEST_PARENT,
		.demand = cmd->flags & IOASID_ALLOC_DEMAND,
		.dirty = cmd->flags & IOASID_ALLOC_DIRTY,
	};
	struct ioasid *ioasid;
	unsigned int shift;
	int ret;

	ret = ioasid_check(cmd);
	if (ret)
		return ret;
	if (size_to_shift(cmd->cut_size, &shift))
		return -EINVAL;
	if (unlikely(cmd->fault_queue)) {
		params.faults = ioasid_faults_name(ctx, cmd->fault_queue);
		if (!params.faults)
			return -ENOENT;
	}

	params.cut_shift = shift;
	ioasid = ioasid_alloc(ctx, &params);
	if (IS_ERR(ioasid)) {
		if (params.faults) {
			ioasid_faults_unname(params.faults);
			ioasid_faults_put(params.faults);
		}
		return PTR_ERR(ioasid);
	}
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
	ret = ioasid_object_free(ctx, arg->free.ioasid, arg->free.flags &
				 IOASID_FREE_CASCADE);
	if (!ret)
		trace_ioasid_free(arg->free.ioasid);
	return ret;
}
