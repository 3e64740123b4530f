/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exports of IOASIDs to other contexts, and imports.
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
 * struct ioasid_grant - an export
 * @users: references: one for the file, and one for each import
 * @export: the range, permission and limit
 * @ioasid: the exported IOASID, with a reference to it and to the memory of its
 *	context
 */
struct ioasid_grant {
	refcount_t users;
	struct ioas_export export;
	struct ioasid *ioasid;
};

/**
 * struct ioasid_proxy - an import: represents an IOASID of another context
 * @obj: first: its id and references, of which each child has one
 * @cookie: an arbitrary number of user space
 * @grant: the grant of the export, with a reference
 * @import: the state of the import that its children use
 * @rcu: frees the proxy after look-ups that may still see it
 */
struct ioasid_proxy {
	struct ioasid_object obj;
	u64 cookie;
	struct ioasid_grant *grant;
	struct ioas_import import;
	struct rcu_head rcu;
};

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
