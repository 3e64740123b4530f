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

struct ioas;
struct ioasid_ctx;
struct ioasid_list_entry;
struct ioasid_object;
struct seq_file;

enum ioasid_object_type {
	IOASID_OBJECT_IOASID = 1,
	IOASID_OBJECT_DEVICE,
	IOASID_OBJECT_IMPORT,
	IOASID_OBJECT_TYPES
};

/* Entries of IOASID_LIST that tell of one object */
#define IOASID_LIST_MAX		2

/**
 * struct ioasid_object_ops - one type of objects
 * @is_ioasid: they count against the limit of IOASIDs
 * @put: drop a reference. May sleep.
 * @kill: have nothing new begin with it, before it is freed by its id. Called
 *	under the lock of the ids. Returns 0 or more, or -errno. NULL: cannot be
 *	freed by its id.
 * @free: free what @kill, which returned @killed, has killed. May sleep.
 * @as_parent: make an address space its child, which gets the caller's reference
 *	to it. Returns 0 or -errno. NULL: cannot be a parent.
 * @close: the file of the context is closed: revoke what other contexts have of
 *	it. Waits for drivers for *@patience jiffies at most. NULL: nothing.
 * @revoke: the context ends: revoke what refers to it, and empty it if others can
 *	refer to it. NULL: nothing.
 * @end: the context ends: empty it, and drop its reference. NULL: none is left.
 * @list: describe it in up to IOASID_LIST_MAX entries. Returns how many.
 * @show: describe it in a line of fdinfo.
 */
struct ioasid_object_ops {
	bool is_ioasid;
	void (*put)(struct ioasid_object *obj);
	int (*kill)(struct ioasid_object *obj, bool cascade);
	void (*free)(struct ioasid_object *obj, int killed);
	int (*as_parent)(struct ioasid_object *obj, struct ioas *child);
	void (*close)(struct ioasid_object *obj, long *patience);
	void (*revoke)(struct ioasid_object *obj, long *patience);
	void (*end)(struct ioasid_object *obj);
	unsigned int (*list)(struct ioasid_object *obj,
			     struct ioasid_list_entry *entry);
	void (*show)(struct seq_file *m, struct ioasid_object *obj);
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
struct ioasid_object *ioasid_object_first(struct ioasid_ctx *ctx,
					  unsigned long *id);
struct ioasid_object *ioasid_object_any(struct ioasid_ctx *ctx, u32 id);
int ioasid_object_free(struct ioasid_ctx *ctx, u32 id, bool cascade);
const struct ioasid_object_ops *
ioasid_object_ops_of(const struct ioasid_object *obj);
void __init ioasid_object_register(enum ioasid_object_type type,
				   const struct ioasid_object_ops *ops);

#endif /* _IOASID_OBJECT_H */
