/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mapping boundaries where there are none.
 */
#ifndef _IOASID_IOAS_SPLIT_H
#define _IOASID_IOAS_SPLIT_H

#include "types.h"

bool ioasid_mapping_off_grid(const struct ioasid_mapping *m, u64 at);
struct ioasid_mapping *ioasid_mapping_cut_by(struct ioasid_space *space,
					     u64 at);
void ioasid_mapping_cut_object(struct ioasid_space *space,
			       struct ioasid_mapping *m,
			       struct ioasid_mapping *tail);
bool edges_fit(struct ioasid_space *space, u64 start, u64 last);
int ioasid_space_check_edges(struct ioasid_space *space, u64 start, u64 last,
			     bool split);
int ioasid_space_cut(struct ioasid_space *space, u64 start, u64 last,
		     bool split);

#endif /* _IOASID_IOAS_SPLIT_H */
