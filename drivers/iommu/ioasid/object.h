/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ids, and their objects.
 */
#ifndef _IOASID_OBJECT_H
#define _IOASID_OBJECT_H

#include <linux/bits.h>
#include <linux/limits.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct ioas;
struct ioas_import;
struct ioasid_ctx;
struct ioasid_list_long_entry;
struct ioasid_object;
struct seq_file;

enum ioasid_object_type {
	IOASID_OBJECT_IOASID = 1,
	IOASID_OBJECT_DEVICE,
	IOASID_OBJECT_IMPORT,
	IOASID_OBJECT_FAULTS,
	IOASID_OBJECT_TYPES
};

/* The most entries of IOASID_LIST for one object */
#define IOASID_LIST_MAX		2

/**
 * struct ioasid_object_ops - ops of one type of objects
 * @is_ioasid: the objects count in ioasid_ctx.nr_ioasids
 * @put: drop a reference. May sleep.
 * @kill: mark the object dead, before it is freed by its id: no new mappings,
 *	children or attachments. Called under the lock of the xarray. Returns 0
 *	or more, or -errno. NULL: the objects are not freed by id.
 * @free: free the object after @kill, which returned @killed. May sleep.
 * @as_parent: get the address space to which the children of the object refer,
 *	and the import by which they see it, or NULL. Returns an ERR_PTR if the
 *	object cannot be a parent. NULL: no object of the type can.
 * @close: revoke the imports of the object when the file of the context is
 *	closed. Waits for at most *@patience jiffies, and subtracts the time
 *	waited. NULL: there are none.
 * @revoke: when the context ends, before any object is freed: revoke all
 *	mappings that refer to the object, and empty it if other contexts can
 *	refer to it. Waits as @close. NULL: there are none.
 * @end: when the context ends: empty the object, and drop its last reference.
 *	NULL: none is left when the context ends.
 * @list: describe the object in up to IOASID_LIST_MAX entries. Returns how
 *	many. *@at is 0 at first; if it is not 0 on return, there are more: the
 *	next call gets the same value. @named: all is zeroed, and names are
 *	wanted, for which it may sleep; otherwise names are not looked at.
 * @show: describe the object in a line of fdinfo.
 */
struct ioasid_object_ops {
	bool is_ioasid;
	void (*put)(struct ioasid_object *obj);
	int (*kill)(struct ioasid_object *obj, bool cascade);
	void (*free)(struct ioasid_object *obj, int killed);
	struct ioas *(*as_parent)(struct ioasid_object *obj,
				  struct ioas_import **import);
	void (*close)(struct ioasid_object *obj, long *patience);
	void (*revoke)(struct ioasid_object *obj, long *patience);
	void (*end)(struct ioasid_object *obj);
	unsigned int (*list)(struct ioasid_object *obj, unsigned long *at,
			     struct ioasid_list_long_entry *to, bool named);
	void (*show)(struct seq_file *m, struct ioasid_object *obj);
};

/*
 * Marks of an IOASID, which stay until it is freed.  An id that was remembered
 * may be that of another IOASID by now, which does not have the mark.
 */
enum ioasid_mark {
	IOASID_MARK_DESIGNATED	= BIT(0), /* the commands of VFIO acted on it */
	IOASID_MARK_MADE	= BIT(1), /* VFIO_SET_IOMMU allocated it */
};

/* Ids are positive as an int: no id can be mistaken for an errno */
#define IOASID_MAX_ID	INT_MAX

/**
 * struct ioasid_object - the head of each structure that has an id
 * @ctx: the context
 * @id: the id
 * @type: enum ioasid_object_type
 * @kind: of an IOASID: enum ioasid_kind
 * @marks: of an IOASID: enum ioasid_mark; written under ioasid_container.lock
 * @users: references; 0 before the object is published
 * @parent: of an IOASID: id of the parent, or of the import that represents it,
 *	even if that was freed; 0 for a root
 */
struct ioasid_object {
	struct ioasid_ctx *ctx;
	u32 id;
	u8 type;
	u8 kind;
	u8 marks;
	refcount_t users;
	u32 parent;
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
