/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exports of IOASIDs to other contexts, and imports.
 */
#ifndef _IOASID_SHARE_H
#define _IOASID_SHARE_H

#include "ioas/ioas.h"
#include "object.h"

struct ioasid;
struct ioasid_info;

/**
 * struct share_export - an export
 * @users: references: one for the file, and one for each import
 * @base: the range, permission and limit
 * @ioasid: the exported IOASID, with a reference to it and to the memory of its
 *	context; it is an address space
 */
struct share_export {
	refcount_t users;
	struct ioas_export base;
	struct ioasid *ioasid;
};

/**
 * struct share_import - an import: represents an IOASID of another context
 * @obj: first: its id and references, of which each child has one
 * @cookie: any number that user space chose
 * @export: the export, with a reference
 * @base: the state of the import that its children use
 * @rcu: frees the import after look-ups that may still see it
 */
struct share_import {
	struct ioasid_object obj;
	u64 cookie;
	struct share_export *export;
	struct ioas_import base;
	struct rcu_head rcu;
};

int ioasid_share_info(struct ioasid_ctx *ctx, const struct ioasid_info *cmd,
		      struct ioasid_info __user *out);
void __init ioasid_share_init(void);

#endif /* _IOASID_SHARE_H */
