/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ids, and the objects behind them.
 */
#ifndef _IOASID_OBJECT_H
#define _IOASID_OBJECT_H

#include <linux/limits.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct ioasid_ctx;

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

int ioasid_object_reserve(struct ioasid_ctx *ctx, struct ioasid_object *obj,
			  enum ioasid_object_type type);
void ioasid_object_publish(struct ioasid_object *obj);
struct ioasid_object *ioasid_object_get(struct ioasid_ctx *ctx, u32 id,
					enum ioasid_object_type type);

#endif /* _IOASID_OBJECT_H */
