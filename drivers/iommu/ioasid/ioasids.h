/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IOASIDs.
 */
#ifndef _IOASID_IOASIDS_H
#define _IOASID_IOASIDS_H

#include "ioas/ioas.h"
#include "object.h"

struct ioasid_account;
struct ioasid_faults;

/**
 * struct ioasid - an IOASID, the head of what its kind allocates
 * @obj: first: its id and references
 * @cookie: any number that user space chose
 * @faults: where faults are told, named by the IOASID; or NULL
 */
struct ioasid {
	struct ioasid_object obj;
	u64 cookie;
	struct ioasid_faults *faults;
};

/**
 * struct ioasid_params - attributes of a new IOASID
 * @cookie: any number that user space chose
 * @kind: enum ioasid_kind
 * @format: format of a user's table
 * @snoop: enum ioasid_snoop
 * @nest_parent: it can be the parent of user's tables
 * @demand: its memory is pinned on demand
 * @dirty: its domains have dirty bits
 * @cut_shift: log2 of the default cut size, 0 for none
 * @parent: id of the parent, 0 for a root
 * @faults: where faults are told, named by the IOASID once that has its id; or NULL
 */
struct ioasid_params {
	u64 cookie;
	struct ioasid_faults *faults;
	u32 parent;
	u32 format;
	u8 kind;
	u8 snoop;
	bool nest_parent;
	bool demand;
	bool dirty;
	u8 cut_shift;
};

bool ioasid_ioas_get(struct ioas *ioas);
void ioasid_ioas_put(struct ioas *ioas);
struct ioasid *ioasid_alloc(struct ioasid_ctx *ctx,
			    const struct ioasid_params *params);
struct ioasid *ioasid_get(struct ioasid_ctx *ctx, u32 id);
void ioasid_put(struct ioasid *ioasid);
void ioasid_count_mappings(struct ioasid_ctx *ctx);
int __init ioasid_ioasids_init(void);
void ioasid_ioasids_exit(void);

#endif /* _IOASID_IOASIDS_H */
