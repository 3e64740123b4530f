/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kind PGTABLE, and what the kind PASID_TABLE has of it: the ops.
 */
#ifndef _IOASID_KIND_PGTABLE_H
#define _IOASID_KIND_PGTABLE_H

#include "kind_ioas.h"

/**
 * struct ioasid_pgtable - an IOASID with a table of user space
 * @map: first: the head, and the child of the parent
 * @nests: the table, and where it is used
 * @tables: number of tables that were bound, in any order
 */
struct ioasid_pgtable {
	struct ioasid_map map;
	struct ioas_nests nests;
	atomic64_t tables;
};

static_assert(!offsetof(struct ioasid_pgtable, map));

static inline struct ioasid_pgtable *to_pgtable(struct ioasid *ioasid)
{
	return container_of(ioasid, struct ioasid_pgtable, map.ioasid);
}

int ioasid_pgtable_check(const struct ioasid_alloc *cmd);
int ioasid_pgtable_init(struct ioasid *ioasid,
			const struct ioasid_params *params,
			struct ioasid_account *account,
			const struct ioasid_parent *parent, bool by_pasid);
struct ioasid_object *ioasid_pgtable_exit(struct ioasid *ioasid);
void ioasid_pgtable_end(struct ioasid *ioasid);
int ioasid_pgtable_bind(struct ioasid *ioasid, struct ioas_table *table,
			bool replace);
int ioasid_pgtable_unbind(struct ioasid *ioasid);
const struct ioasid_table_format *ioasid_pgtable_format(struct ioasid *ioasid);
int ioasid_pgtable_invalidate(struct ioasid *ioasid,
			      const struct iommu_group *only,
			      const void *entries, size_t size, u32 *nr);
int ioasid_pgtable_attach(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment, u64 *fault_addr);
int ioasid_pgtable_detach(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment,
			  enum ioasid_detach how);
int ioasid_pgtable_begin_move(struct ioasid *ioasid,
			      struct ioasid_attachment *attachment,
			      bool hitless);
int ioasid_pgtable_abort_move(struct ioasid *ioasid,
			      struct ioasid_attachment *attachment);
bool ioasid_pgtable_block_poisoned(struct ioasid *ioasid,
				   struct ioasid_attachment *attachment);
bool ioasid_pgtable_is_through(const struct ioasid *ioasid,
			       const struct ioas *ioas);
void ioasid_pgtable_stats(struct ioasid *ioasid, struct ioas_stats *stats);
struct ioas_ranges *ioasid_pgtable_info(struct ioasid *ioasid,
					struct ioasid_info *info);

/* The ops that both kinds have: all but @init and @attach */
#define IOASID_PGTABLE_OPS						\
	.size = sizeof(struct ioasid_pgtable),				\
	.check = ioasid_pgtable_check,					\
	.exit = ioasid_pgtable_exit,					\
	.kill = ioasid_map_kill,					\
	.free = ioasid_map_free,					\
	.end = ioasid_pgtable_end,					\
	.format = ioasid_pgtable_format,				\
	.bind = ioasid_pgtable_bind,					\
	.unbind = ioasid_pgtable_unbind,				\
	.invalidate = ioasid_pgtable_invalidate,			\
	.hold = ioasid_map_hold,					\
	.release = ioasid_map_release,					\
	.set_partial = ioasid_map_set_partial,				\
	.detach = ioasid_pgtable_detach,				\
	.begin_move = ioasid_pgtable_begin_move,			\
	.abort_move = ioasid_pgtable_abort_move,			\
	.block_poisoned = ioasid_pgtable_block_poisoned,		\
	.is_through = ioasid_pgtable_is_through,			\
	.stats = ioasid_pgtable_stats,					\
	.info = ioasid_pgtable_info

#endif /* _IOASID_KIND_PGTABLE_H */
