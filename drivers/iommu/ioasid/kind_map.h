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

#include <linux/uaccess.h>

#include <uapi/linux/ioasid.h>

#include "kind.h"

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
		return &ioasid->ioas;
	return ERR_PTR(-EOPNOTSUPP);
}

/* The IOASID that is this address space */
static inline struct ioasid *ioasid_of(struct ioas *ioas)
{
	return container_of(ioas, struct ioasid, ioas);
}

static inline int ioasid_map_map(struct ioasid *ioasid,
				 const struct ioasid_map_dma *cmd,
				 struct ioasid_map_dma __user *out,
				 struct ioas_map_request *req)
{
	bool fixed = cmd->flags & IOASID_MAP_FIXED;
	struct ioas *ioas = &ioasid->ioas;
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
	return ioas_remap(&ioasid->ioas, req);
}

static inline int ioasid_map_unmap(struct ioasid *ioasid, u64 start, u64 last,
				   struct ioas_unmap_request *req)
{
	return ioas_unmap(&ioasid->ioas, start, last, req);
}

static inline int ioasid_map_batch(struct ioasid *ioasid,
				   struct ioas_batch_source *from, u32 nr,
				   struct ioas_batch_result *result)
{
	return ioas_batch(&ioasid->ioas, from, nr, result);
}

static inline int ioasid_map_query(struct ioasid *ioasid,
				   struct ioas_query *query)
{
	return ioas_query(&ioasid->ioas, query);
}

#endif /* _IOASID_KIND_MAP_H */
