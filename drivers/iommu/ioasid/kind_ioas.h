/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ops of the kind MAP, for all kinds that are an address space.
 */
#ifndef _IOASID_KIND_IOAS_H
#define _IOASID_KIND_IOAS_H

#include "kind_map.h"

/* ---- Attachments ---- */

int ioasid_map_hold(struct ioasid *ioasid, unsigned int devices);
void ioasid_map_release(struct ioasid *ioasid, unsigned int devices);
void ioasid_map_set_partial(struct ioasid *ioasid, bool partial);
int ioasid_map_attach(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment, u64 *fault_addr);
int ioasid_map_detach(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment,
		      enum ioasid_detach how);
int ioasid_map_begin_move(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment, bool hitless);
int ioasid_map_abort_move(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment);
bool ioasid_map_block_poisoned(struct ioasid *ioasid,
			       struct ioasid_attachment *attachment);
bool ioasid_map_is_through(const struct ioasid *ioasid,
			   const struct ioas *ioas);

/* ---- Look ---- */

void ioasid_map_stats(struct ioasid *ioasid, struct ioas_stats *stats);
struct ioas_ranges *ioasid_map_info(struct ioasid *ioasid,
				    struct ioasid_info *info);

/* The ops of kinds whose attachments join their own address space: all but @attach */
#define IOASID_MAP_ATTACH_OPS						\
	.hold = ioasid_map_hold,					\
	.release = ioasid_map_release,					\
	.set_partial = ioasid_map_set_partial,				\
	.detach = ioasid_map_detach,					\
	.begin_move = ioasid_map_begin_move,				\
	.abort_move = ioasid_map_abort_move,				\
	.block_poisoned = ioasid_map_block_poisoned,			\
	.is_through = ioasid_map_is_through

#endif /* _IOASID_KIND_IOAS_H */
