/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts: what an open file of /dev/ioasid stands for.
 */
#ifndef _IOASID_CONTEXT_H
#define _IOASID_CONTEXT_H

#include <linux/ioasid.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "mem/charge.h"
#include "object.h"

/**
 * struct ioasid_ctx - an open file of /dev/ioasid, and the devices bound to it
 * @users: the file, and each bound device
 * @refs: who needs this structure, and @account, once that is over: children
 *	that the owner of a parent may be looking at, and grants; one for @users
 * @objects: IOASIDs and devices by id
 * @last_id: the id handed out last; the high bit does not count
 * @account: what is pinned
 * @nr_ioasids: how many IOASIDs there are
 * @limit_ioasids: how many there may be, U64_MAX for no limit
 * @patience: jiffies: for how long others are waited for when it ends
 * @has_families: some of them have had children, or can have; or have a parent
 *	in another context
 * @lock: protects the options and @groups; taken before the locks of a group
 * @sealed: bit per enum ioasid_option
 * @groups: iommu groups with a bound device
 * @routes_lock: protects who is attached to what against readers that must not
 *	wait for an attach; a leaf
 */
struct ioasid_ctx {
	refcount_t users;
	refcount_t refs;
	struct xarray objects;
	atomic_t last_id;
	struct ioasid_account account;
	atomic_t nr_ioasids;
	u64 limit_ioasids;
	long patience;
	bool has_families;
	struct mutex lock;		/* options, groups */
	unsigned int sealed;
	struct list_head groups;
	spinlock_t routes_lock;		/* who is attached to what */
};

/* Look an object up; see ioasid_object_get() */
static __always_inline struct ioasid_object *
ioasid_object_lookup(struct ioasid_ctx *ctx, u32 id,
		     enum ioasid_object_type type)
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

/* object.c */
bool ioasid_ctx_count(struct ioasid_ctx *ctx);
void ioasid_ctx_drop(struct ioasid_ctx *ctx);

/* context.c */
struct ioasid_ctx *ioasid_ctx_alloc(void);
void ioasid_ctx_close(struct ioasid_ctx *ctx);
void ioasid_ctx_get(struct ioasid_ctx *ctx);
void ioasid_ctx_put(struct ioasid_ctx *ctx);

#endif /* _IOASID_CONTEXT_H */
