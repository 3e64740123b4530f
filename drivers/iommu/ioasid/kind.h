/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kinds of IOASIDs: what differs between them.
 */
#ifndef _IOASID_KIND_H
#define _IOASID_KIND_H

#include "ioasids.h"

struct ioasid_info;
struct ioasid_map_dma;

/**
 * struct ioasid_kind_ops - a kind of IOASIDs
 * @name: its name in fdinfo
 * @map: IOASID_MAP_DMA; a chosen IOVA is written to @out before the mapping takes
 *	effect.  @req is complete, and has the file
 * @change: IOASID_MAP_DMA with IOASID_MAP_PROTECT or IOASID_MAP_REPLACE
 * @unmap: IOASID_UNMAP_DMA
 * @batch: IOASID_DMA_BATCH
 * @query: IOASID_QUERY_MAP
 * @info: fill in the fields of IOASID_GET_INFO that depend on the kind
 *
 * A command whose op is NULL returns -EOPNOTSUPP: ioasid_kind_call().  @name and
 * @info are always there.  All may sleep, and return 0 or an errno of their
 * command.
 */
struct ioasid_kind_ops {
	const char *name;
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
	void (*info)(struct ioasid *ioasid, struct ioasid_info *info);
};

#define IOASID_KINDS	(IOASID_KIND_MAP + 1)

/* By enum ioasid_kind; NULL for a kind that IOASID_ALLOC does not know */
extern const struct ioasid_kind_ops * const ioasid_kinds[IOASID_KINDS];

extern const struct ioasid_kind_ops ioasid_kind_map;

/* The ops of an IOASID */
static inline const struct ioasid_kind_ops *
ioasid_kind_of(const struct ioasid *ioasid)
{
	return ioasid_kinds[ioasid->obj.kind];
}

/*
 * Call an op of the IOASID @callee, or return -EOPNOTSUPP if its kind has none.
 * @direct is the op of the kind MAP, from kind_map.h: hot paths have it inline.
 */
#define ioasid_kind_call(op, direct, callee, args...)			\
({									\
	struct ioasid *_ioasid = (callee);				\
	int _ret;							\
									\
	if (likely(_ioasid->obj.kind == IOASID_KIND_MAP)) {		\
		_ret = direct(_ioasid, args);				\
	} else {							\
		typeof(op) _op = (op);					\
									\
		_ret = _op ? _op(_ioasid, args) : -EOPNOTSUPP;		\
	}								\
	_ret;								\
})

#endif /* _IOASID_KIND_H */
