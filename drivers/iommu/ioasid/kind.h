/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kinds of IOASIDs: what differs between them.
 */
#ifndef _IOASID_KIND_H
#define _IOASID_KIND_H

#include <linux/indirect_call_wrapper.h>

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

/* kind_map.c: the names are those of the ops, for ioasid_kind_call() */
extern const struct ioasid_kind_ops ioasid_kind_map;
int ioasid_map_map(struct ioasid *ioasid, const struct ioasid_map_dma *cmd,
		   struct ioasid_map_dma __user *out,
		   struct ioas_map_request *req);
int ioasid_map_change(struct ioasid *ioasid, struct ioas_map_request *req);
int ioasid_map_unmap(struct ioasid *ioasid, u64 start, u64 last,
		     struct ioas_unmap_request *req);
int ioasid_map_batch(struct ioasid *ioasid,
		     struct ioas_batch_source *from, u32 nr,
		     struct ioas_batch_result *result);
int ioasid_map_query(struct ioasid *ioasid, struct ioas_query *query);

/* The ops of an IOASID */
static inline const struct ioasid_kind_ops *
ioasid_kind_of(const struct ioasid *ioasid)
{
	return ioasid_kinds[ioasid->obj.kind];
}

/*
 * Call an op of an IOASID, or return -EOPNOTSUPP if its kind has none; directly,
 * without a retpoline, if it is @direct, the op of the kind MAP
 */
#define ioasid_kind_call(op, direct, args...)				\
({									\
	typeof(op) _op = (op);						\
									\
	likely(_op) ? INDIRECT_CALL_1(_op, direct, args) : -EOPNOTSUPP;	\
})

#endif /* _IOASID_KIND_H */
