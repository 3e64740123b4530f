/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kind MAP: an IOASID that is one address space; its commands, inline for
 * ioasid_kind_call().
 *
 * Invariants:
 *  - A map that chooses an IOVA copies it out before the mapping takes effect.
 *    If the copy fails the mapping is aborted.
 *
 * Locks: none of its own.  User memory is accessed with no lock held.
 */
#ifndef _IOASID_KIND_MAP_H
#define _IOASID_KIND_MAP_H

#include <linux/nospec.h>
#include <linux/uaccess.h>

#include <uapi/linux/ioasid.h>

#include "kind.h"

/**
 * struct ioasid_map - an IOASID of the kind MAP
 * @ioasid: first: the head
 * @ioas: the address space
 */
struct ioasid_map {
	struct ioasid ioasid;
	struct ioas ioas;
};

static_assert(!offsetof(struct ioasid_map, ioasid));

extern const struct ioas_ops *ioasid_map_ioas_ops;

struct ioasid_object *ioasid_map_leave(struct ioas *ioas);
void ioasid_map_empty(struct ioas *ioas, long *patience);
void __init ioasid_map_set_ioas_ops(const struct ioas_ops *ops);

/* The address space of an IOASID of the kind MAP */
static inline struct ioas *ioasid_map_ioas(struct ioasid *ioasid)
{
	return &container_of(ioasid, struct ioasid_map, ioasid)->ioas;
}

/**
 * ioasid_ioas() - get the address space that an IOASID is
 * @ioasid: the IOASID
 *
 * For what only an address space can do: it is exported and imported, children
 * refer to its mappings, and drivers of emulated devices access its memory.
 *
 * Return: the address space; ERR_PTR(-EOPNOTSUPP) if @ioasid is of another kind
 * than MAP.
 */
static inline struct ioas *ioasid_ioas(struct ioasid *ioasid)
{
	if (likely(ioasid->obj.kind == IOASID_KIND_MAP))
		return ioasid_map_ioas(ioasid);
	return ERR_PTR(-EOPNOTSUPP);
}

/* The IOASID that is this address space */
static inline struct ioasid *ioasid_of(struct ioas *ioas)
{
	return &container_of(ioas, struct ioasid_map, ioas)->ioasid;
}

/* ---- Life ---- */

static inline int ioasid_map_check(const struct ioasid_alloc *cmd)
{
	if (cmd->snoop > IOASID_SNOOP_ON)
		return -EOPNOTSUPP;
	if (unlikely(cmd->flags)) {
		/* The kernel serves the page requests of its devices */
		if (cmd->flags & IOASID_ALLOC_DEMAND && cmd->fault_queue)
			return -EOPNOTSUPP;
		if (cmd->parent && cmd->flags & ~IOASID_ALLOC_DIRTY)
			return -EOPNOTSUPP;
		if (cmd->flags & IOASID_ALLOC_NEST_PARENT &&
		    !ioas_iommu_takes_tables())
			return -EOPNOTSUPP;
		if (cmd->flags & IOASID_ALLOC_DIRTY &&
		    !ioas_iommu_may_track_dirty())
			return -EOPNOTSUPP;
		/* A device that walks a table of user space requests none of this */
		if (cmd->flags & IOASID_ALLOC_NEST_PARENT &&
		    cmd->flags & IOASID_ALLOC_DEMAND)
			return -EINVAL;
	}
	return cmd->format ? -EINVAL : 0;
}

/* Check that the kind of a new IOASID is known, and call its op check */
static inline int ioasid_check(const struct ioasid_alloc *cmd)
{
	const struct ioasid_kind_ops *ops;

	if (likely(cmd->kind == IOASID_KIND_MAP))
		return ioasid_map_check(cmd);
	if (cmd->kind >= IOASID_KINDS)
		return -EOPNOTSUPP;
	ops = ioasid_kinds[array_index_nospec(cmd->kind, IOASID_KINDS)];
	return ops ? ops->check(cmd) : -EOPNOTSUPP;
}

/* Where a kind allocates; @kind is known */
static inline struct kmem_cache *ioasid_cache(unsigned int kind)
{
	if (likely(kind == IOASID_KIND_MAP))
		return ioasid_caches[IOASID_KIND_MAP];
	return ioasid_caches[array_index_nospec(kind, IOASID_KINDS)];
}

static inline int ioasid_map_init(struct ioasid *ioasid,
				  const struct ioasid_params *params,
				  struct ioasid_account *account,
				  const struct ioasid_parent *parent)
{
	struct ioas *ioas = ioasid_map_ioas(ioasid);
	int ret;

	ioas_init(ioas, account, ioasid_map_ioas_ops);
	ioas->cut_shift = params->cut_shift;
	if (unlikely(params->snoop == IOASID_SNOOP_ON))
		ioas->enforce_cache_coherency = true;
	if (unlikely(params->nest_parent))
		ioas->nest_parent = true;
	if (unlikely(params->dirty))
		ioas->wants_dirty = true;
	if (unlikely(params->faults))
		ioas->serves_faults = true;
	if (unlikely(params->demand)) {
		ret = ioas_demand_init(ioas);
		return ret ?: ioas_demand_serve(ioas);
	}
	if (likely(!parent))
		return 0;
	return ioas_add_child(parent->ioas, parent->import, ioas);
}

static inline struct ioasid_object *ioasid_map_exit(struct ioasid *ioasid)
{
	struct ioas *ioas = ioasid_map_ioas(ioasid);

	ioas_exit(ioas);
	if (unlikely(ioas->as_parent))
		ioas_parent_exit(ioas);
	return unlikely(ioas->parent) ? ioasid_map_leave(ioas) : NULL;
}

/* Call the op exit */
static inline struct ioasid_object *ioasid_exit(struct ioasid *ioasid)
{
	if (likely(ioasid->obj.kind == IOASID_KIND_MAP))
		return ioasid_map_exit(ioasid);
	return ioasid_kind_of(ioasid)->exit(ioasid);
}

static inline int ioasid_map_kill(struct ioasid *ioasid, bool cascade)
{
	return ioas_kill(ioasid_map_ioas(ioasid), cascade);
}

static inline void ioasid_map_free(struct ioasid *ioasid, int killed)
{
	struct ioas *ioas = ioasid_map_ioas(ioasid);
	long patience = IOAS_PATIENCE;

	/* 0: the address space is empty */
	if (killed)
		ioasid_map_empty(ioas, &patience);
	/* An export's file, or children, may hold a reference for long */
	if (ioas->parent && RB_EMPTY_ROOT(&ioas->mappings))
		ioas_remove_child(ioas->parent, ioas->import, ioas);
}

/* Call the op free */
static inline void ioasid_free(struct ioasid *ioasid, int killed)
{
	if (likely(ioasid->obj.kind == IOASID_KIND_MAP))
		ioasid_map_free(ioasid, killed);
	else
		ioasid_kind_of(ioasid)->free(ioasid, killed);
}

/* ---- Commands ---- */

static inline int ioasid_map_map(struct ioasid *ioasid,
				 const struct ioasid_map_dma *cmd,
				 struct ioasid_map_dma __user *out,
				 struct ioas_map_request *req)
{
	bool fixed = cmd->flags & IOASID_MAP_FIXED;
	struct ioas *ioas = ioasid_map_ioas(ioasid);
	struct ioas_mapping *m;

	if (ioas->parent && fixed && !(cmd->flags & IOASID_MAP_RESERVE))
		return ioas_map_ref(ioas, req);
	m = ioas_reserve(ioas, req);
	if (IS_ERR(m))
		return PTR_ERR(m);
	if (!fixed && put_user(req->iova, &out->iova)) {
		ioas_abort(ioas, m);
		return -EFAULT;
	}
	return ioas_commit(ioas, m, req);
}

static inline int ioasid_map_change(struct ioasid *ioasid,
				    struct ioas_map_request *req)
{
	return ioas_remap(ioasid_map_ioas(ioasid), req);
}

static inline int ioasid_map_unmap(struct ioasid *ioasid, u64 start, u64 last,
				   struct ioas_unmap_request *req)
{
	return ioas_unmap(ioasid_map_ioas(ioasid), start, last, req);
}

static inline int ioasid_map_batch(struct ioasid *ioasid,
				   struct ioas_batch_source *from, u32 nr,
				   struct ioas_batch_result *result)
{
	return ioas_batch(ioasid_map_ioas(ioasid), from, nr, result);
}

static inline int ioasid_map_query(struct ioasid *ioasid,
				   struct ioas_query *query)
{
	return ioas_query(ioasid_map_ioas(ioasid), query);
}

#endif /* _IOASID_KIND_MAP_H */
