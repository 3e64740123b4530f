/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sharing IOASIDs with other contexts.
 */
#ifndef _IOASID_SHARE_H
#define _IOASID_SHARE_H

#include "ioas/ioas.h"
#include "object.h"

struct ioasid;
struct ioasid_export;
struct ioasid_import;
struct ioasid_info;

/**
 * struct ioasid_grant - an IOASID that is exported
 * @users: the export's file, and each import of it
 * @export: what of it, and how much
 * @ioasid: the IOASID, with a reference, and one to what is left of its context
 */
struct ioasid_grant {
	refcount_t users;
	struct ioas_export export;
	struct ioasid *ioasid;
};

/**
 * struct ioasid_proxy - stands for an IOASID of another context: an import
 * @obj: first, its id; each child has a reference
 * @cookie: the user's
 * @grant: what was exported
 * @import: what children see of it
 * @rcu: frees it
 */
struct ioasid_proxy {
	struct ioasid_object obj;
	u64 cookie;
	struct ioasid_grant *grant;
	struct ioas_import import;
	struct rcu_head rcu;
};

/* import.c */
struct ioasid_grant *ioasid_grant_alloc(struct ioasid *ioasid);
void ioasid_grant_get(struct ioasid_grant *grant);
void ioasid_grant_put(struct ioasid_grant *grant);
struct ioasid_proxy *ioasid_proxy_alloc(struct ioasid_ctx *ctx,
					struct ioasid_grant *grant, u64 cookie);
void ioasid_proxy_abort(struct ioasid_proxy *proxy);
struct ioasid_proxy *ioasid_proxy_get(struct ioasid_ctx *ctx, u32 id);
void ioasid_proxy_put(struct ioasid_proxy *proxy);
int ioasid_share_export(struct ioasid_ctx *ctx,
			const struct ioasid_export *cmd,
			struct ioasid_export __user *out);
int ioasid_share_import(struct ioasid_ctx *ctx,
			const struct ioasid_import *cmd,
			struct ioasid_import __user *out);
int ioasid_share_info(struct ioasid_ctx *ctx, const struct ioasid_info *cmd,
		      struct ioasid_info __user *out);
void __init ioasid_share_init(void);

#endif /* _IOASID_SHARE_H */
