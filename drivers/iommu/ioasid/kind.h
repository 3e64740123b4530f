/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kinds of IOASIDs: what differs between them.
 */
#ifndef _IOASID_KIND_H
#define _IOASID_KIND_H

#include "attachment.h"
#include "ioasids.h"

struct ioas_table;
struct ioasid_alloc;
struct ioasid_info;
struct ioasid_map_dma;
struct ioasid_table_format;

/**
 * struct ioasid_parent - the parent of a new IOASID
 * @obj: its object, or the object of the import that represents it, with a
 *	reference that becomes that of the child
 * @ioas: its address space
 * @import: the import, or NULL
 */
struct ioasid_parent {
	struct ioasid_object *obj;
	struct ioas *ioas;
	struct ioas_import *import;
};

/**
 * enum ioasid_detach - how a group leaves an IOASID
 * @IOASID_DETACH_BLOCK: it is blocked.  Cannot fail
 * @IOASID_DETACH_KILLABLE: it is blocked; a fatal signal may end the wait for
 *	other attaches with -EINTR
 * @IOASID_DETACH_MOVED: its DMA goes to another IOASID already.  Cannot fail
 */
enum ioasid_detach {
	IOASID_DETACH_BLOCK,
	IOASID_DETACH_KILLABLE,
	IOASID_DETACH_MOVED,
};

/**
 * struct ioasid_kind_ops - a kind of IOASIDs
 * @name: its name in fdinfo
 * @size: size of what it allocates, which begins with struct ioasid
 * @takes_pasids: it translates the DMA of devices with any PASID: they attach by
 *	requester id, and none of their PASIDs is attached
 * @check: check the attributes of IOASID_ALLOC that depend on the kind
 * @init: initialise all but the head of a new IOASID, whose memory is not zeroed,
 *	and make it a child of @parent, which is NULL for a root.  @account is that
 *	of the context.  Returns 0, or an errno as of ioas_add_child(): then
 *	nothing is left to free
 * @exit: free all that is in an IOASID, and leave the parent; no other thread
 *	uses it.  Returns the object of the parent, whose reference the caller
 *	drops, or NULL for a root
 * @kill: see struct ioasid_object_ops; does not sleep
 * @free: unmap all, after @kill has returned @killed
 * @end: the context ends: free what @exit would free, unless other contexts refer
 *	to it
 * @map: IOASID_MAP_DMA; a chosen IOVA is written to @out before the mapping takes
 *	effect.  @req is complete, and has the file
 * @change: IOASID_MAP_DMA with IOASID_MAP_PROTECT or IOASID_MAP_REPLACE
 * @unmap: IOASID_UNMAP_DMA
 * @batch: IOASID_DMA_BATCH; @result is all zeroes
 * @query: IOASID_QUERY_MAP
 * @format: the format of the user's table.  There is one with @bind
 * @bind: IOASID_BIND_PGTABLE or, if @takes_pasids, IOASID_BIND_PASID_TABLE.  With
 *	@replace set, a table may be bound already.  @table, of kmalloc(), is taken
 *	over on success
 * @unbind: IOASID_UNBIND_PGTABLE or IOASID_UNBIND_PASID_TABLE
 * @invalidate: IOASID_INVALIDATE_CACHE, at least for the group @only; NULL: for
 *	all.  @entries are of the format of the table, @size bytes each.  @nr:
 *	number of entries; out, number of entries that were carried out
 * @hold: count devices that are about to attach.  Does not sleep.  Returns 0;
 *	-ENOENT, it is being freed; -EIO, it is poisoned.  NULL: no group can
 *	attach, and none of the ops from here to @fault_queue is called
 * @release: undo @hold
 * @set_partial: count groups that wait for a sibling: commands that add to the
 *	IOASID return -EDEADLK while there are any.  Does not sleep
 * @attach: lead the DMA of a group, or of a PASID, which is blocked or attached to
 *	another IOASID, here.  This op and those that follow take attachments of
 *	both sorts.  Returns 0, or an errno as of ioas_attach(): then nothing has
 *	changed
 * @detach: end @attach.  Returns 0, or -EINTR if it is killable
 * @begin_move: the group is about to be attached to another IOASID: block it, if
 *	its driver cannot replace what translates its DMA.  Returns 1 if it is
 *	blocked, and 0 if not; -EOPNOTSUPP, it would have to be and @hitless is
 *	set; -EINTR, a fatal signal
 * @abort_move: undo @begin_move that did not fail.  A poisoned group stays
 *	blocked.  Returns 0, or an errno: the group is blocked
 * @block_poisoned: block a group if what translates its DMA is poisoned.  Returns
 *	true if it was not blocked before
 * @is_through: test whether the DMA of an IOASID goes through the domains of an
 *	address space, whose poison is its own, too.  Called under
 *	ioasid_ctx.routes_lock
 * @fault_queue: find the queue where the kernel itself serves page requests of
 *	devices; lives as long as the IOASID.  NULL, or if it returns NULL: they go to
 *	the queue that user space has named, if any
 * @stats: read the counters and the state, for fdinfo and IOASID_GET_INFO.  Does
 *	not sleep
 * @info: fill in the fields of IOASID_GET_INFO that depend on the kind and are not
 *	of @stats.  Returns the permitted IOVAs, to be freed by kfree(); NULL, there
 *	is no memory
 *
 * A command whose op is NULL returns -EOPNOTSUPP: ioasid_kind_call().  All before
 * @map, @stats and @info are always there.  All may sleep where nothing else is
 * said, and return 0 or an errno of their command.
 */
struct ioasid_kind_ops {
	const char *name;
	size_t size;
	bool takes_pasids;
	int (*check)(const struct ioasid_alloc *cmd);
	int (*init)(struct ioasid *ioasid, const struct ioasid_params *params,
		    struct ioasid_account *account,
		    const struct ioasid_parent *parent);
	struct ioasid_object *(*exit)(struct ioasid *ioasid);
	int (*kill)(struct ioasid *ioasid, bool cascade);
	void (*free)(struct ioasid *ioasid, int killed);
	void (*end)(struct ioasid *ioasid);

	int (*map)(struct ioasid *ioasid, const struct ioasid_map_dma *cmd,
		   struct ioasid_map_dma __user *out,
		   struct ioas_map_request *req);
	int (*change)(struct ioasid *ioasid, struct ioas_map_request *req);
	int (*unmap)(struct ioasid *ioasid, u64 start, u64 last,
		     struct ioas_unmap_request *req);
	int (*batch)(struct ioasid *ioasid,
		     struct ioas_batch_source *from, u32 nr,
		     struct ioas_batch_result *result);
	int (*query)(struct ioasid *ioasid, struct ioas_query *query);

	const struct ioasid_table_format *(*format)(struct ioasid *ioasid);
	int (*bind)(struct ioasid *ioasid, struct ioas_table *table,
		    bool replace);
	int (*unbind)(struct ioasid *ioasid);
	int (*invalidate)(struct ioasid *ioasid,
			  const struct iommu_group *only,
			  const void *entries, size_t size, u32 *nr);

	int (*hold)(struct ioasid *ioasid, unsigned int devices);
	void (*release)(struct ioasid *ioasid, unsigned int devices);
	void (*set_partial)(struct ioasid *ioasid, bool partial);
	int (*attach)(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment, u64 *fault_addr);
	int (*detach)(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment,
		      enum ioasid_detach how);
	int (*begin_move)(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment, bool hitless);
	int (*abort_move)(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment);
	bool (*block_poisoned)(struct ioasid *ioasid,
			       struct ioasid_attachment *attachment);
	bool (*is_through)(const struct ioasid *ioasid,
			   const struct ioas *ioas);

	struct ioas_fault_queue *(*fault_queue)(const struct ioasid *ioasid);

	void (*stats)(struct ioasid *ioasid, struct ioas_stats *stats);
	struct ioas_ranges *(*info)(struct ioasid *ioasid,
				    struct ioasid_info *info);
};

#define IOASID_KINDS	(IOASID_KIND_PROCESS + 1)

/* By enum ioasid_kind; NULL for a kind that IOASID_ALLOC does not know */
extern const struct ioasid_kind_ops * const ioasid_kinds[IOASID_KINDS];

/* By enum ioasid_kind: where the kind allocates */
extern struct kmem_cache *ioasid_caches[IOASID_KINDS];

extern const struct ioasid_kind_ops ioasid_kind_map;
extern const struct ioasid_kind_ops ioasid_kind_pgtable;
extern const struct ioasid_kind_ops ioasid_kind_pasid_table;
extern const struct ioasid_kind_ops ioasid_kind_process;

/* The ops of an IOASID */
static inline const struct ioasid_kind_ops *
ioasid_kind_of(const struct ioasid *ioasid)
{
	return ioasid_kinds[ioasid->obj.kind];
}

/* The queue where the kernel serves page requests of devices, or NULL */
static inline struct ioas_fault_queue *
ioasid_served_queue(const struct ioasid *ioasid)
{
	const struct ioasid_kind_ops *ops = ioasid_kind_of(ioasid);

	return ops->fault_queue ? ops->fault_queue(ioasid) : NULL;
}

/* Call an op, or return -EOPNOTSUPP if there is none */
#define ioasid_op_call(op, args...)					\
({									\
	typeof(op) _op = (op);						\
									\
	_op ? _op(args) : -EOPNOTSUPP;					\
})

/*
 * Call an op of the IOASID @callee.  @direct is the op of the kind MAP, from
 * kind_map.h: hot paths have it inline.
 */
#define ioasid_kind_call(op, direct, callee, args...)			\
({									\
	struct ioasid *_ioasid = (callee);				\
									\
	likely(_ioasid->obj.kind == IOASID_KIND_MAP) ?			\
		direct(_ioasid, args) :					\
		ioasid_op_call(op, _ioasid, args);			\
})

#endif /* _IOASID_KIND_H */
