/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts, ids, and the IOASIDs of a context.
 *
 * Knows spaces; knows nothing of devices but that they are objects with ids.
 */
#ifndef _IOASID_CONTEXT_H
#define _IOASID_CONTEXT_H

#include <linux/ioasid.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "ioas/ioas.h"
#include "mem/charge.h"

enum ioasid_object_type {
	IOASID_OBJECT_IOASID = 1,
	IOASID_OBJECT_DEVICE,
	IOASID_OBJECT_IMPORT,
};

/* Ids are positive as an int, so that nobody takes one for an errno */
#define IOASID_MAX_ID	INT_MAX

/**
 * struct ioasid_object - what has an id
 * @ctx: the context
 * @id: the id
 * @type: enum ioasid_object_type
 * @kind: of an IOASID, enum ioasid_kind
 * @users: references; 0 until the object is published
 */
struct ioasid_object {
	struct ioasid_ctx *ctx;
	u32 id;
	u8 type;
	u8 kind;
	refcount_t users;
};

/**
 * struct ioasid - an IOASID
 * @obj: first, its id
 * @cookie: the user's
 * @space: what it holds
 */
struct ioasid {
	struct ioasid_object obj;
	u64 cookie;
	struct ioasid_space space;
};

/**
 * struct ioasid_grant - an IOASID that is exported
 * @users: the export's file, and each import of it
 * @terms: what of it, and how much
 * @ioasid: the IOASID, with a reference, and one to what is left of its context
 */
struct ioasid_grant {
	refcount_t users;
	struct ioasid_terms terms;
	struct ioasid *ioasid;
};

/**
 * struct ioasid_proxy - stands for an IOASID of another context: an import
 * @obj: first, its id; each child has a reference
 * @cookie: the user's
 * @grant: what was exported
 * @window: what children see of it
 * @rcu: frees it
 */
struct ioasid_proxy {
	struct ioasid_object obj;
	u64 cookie;
	struct ioasid_grant *grant;
	struct ioasid_window window;
	struct rcu_head rcu;
};

/**
 * struct ioasid_ctx - an open file of /dev/ioasid, and the devices bound to it
 * @users: the file, and each bound device
 * @shells: who needs this structure, and @account, once that is over: children
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
	refcount_t shells;
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

struct ioasid_ctx *ioasid_ctx_alloc(void);
void ioasid_ctx_close(struct ioasid_ctx *ctx);

int ioasid_object_reserve(struct ioasid_ctx *ctx, struct ioasid_object *obj,
			  enum ioasid_object_type type);
void ioasid_object_publish(struct ioasid_object *obj);
struct ioasid_object *ioasid_object_get(struct ioasid_ctx *ctx, u32 id,
					enum ioasid_object_type type);

/**
 * struct ioasid_params - what an IOASID is born with
 * @cookie: the user's
 * @kind: enum ioasid_kind
 * @snoop: enum ioasid_snoop
 * @cut_shift: log2 of the default cut size, 0 for none
 * @parent: id of the parent, 0 for a root
 */
struct ioasid_params {
	u64 cookie;
	u32 parent;
	u8 kind;
	u8 snoop;
	u8 cut_shift;
};

struct ioasid *ioasid_alloc(struct ioasid_ctx *ctx,
			    const struct ioasid_params *params,
			    const struct ioasid_space_ops *ops);
void ioasid_abort(struct ioasid *ioasid);
int ioasid_free(struct ioasid_ctx *ctx, u32 id, bool cascade);
struct ioasid *ioasid_get(struct ioasid_ctx *ctx, u32 id);
void ioasid_put(struct ioasid *ioasid);
u32 ioasid_parent_id(const struct ioasid *ioasid);
bool ioasid_space_get(struct ioasid_space *space);
void ioasid_space_put(struct ioasid_space *space);

void ioasid_ctx_release(struct ioasid_ctx *ctx);

/* import.c */
struct ioasid_grant *ioasid_grant_alloc(struct ioasid *ioasid);
void ioasid_grant_get(struct ioasid_grant *grant);
void ioasid_grant_put(struct ioasid_grant *grant);
struct ioasid_proxy *ioasid_proxy_alloc(struct ioasid_ctx *ctx,
					struct ioasid_grant *grant, u64 cookie);
void ioasid_proxy_abort(struct ioasid_proxy *proxy);
struct ioasid_proxy *ioasid_proxy_get(struct ioasid_ctx *ctx, u32 id);
void ioasid_proxy_put(struct ioasid_proxy *proxy);
int ioasid_proxy_join(struct ioasid_ctx *ctx, u32 id,
		      struct ioasid_space *child);
int ioasid_proxy_kill(struct ioasid_proxy *proxy, bool cascade);
void ioasid_proxy_revoke(struct ioasid_proxy *proxy);
void ioasid_proxy_leave(struct ioasid_proxy *proxy);

/* For the other file of this floor */
bool ioasid_ctx_count(struct ioasid_ctx *ctx);

int __init ioasid_context_init(void);
void ioasid_context_exit(void);

#endif /* _IOASID_CONTEXT_H */
