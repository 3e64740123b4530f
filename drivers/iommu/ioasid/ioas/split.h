/* SPDX-License-Identifier: GPL-2.0-only */
/* Split mappings. */
#ifndef _IOASID_IOAS_SPLIT_H
#define _IOASID_IOAS_SPLIT_H

#include "types.h"

bool ioas_mapping_off_grid(const struct ioas_mapping *m, u64 at);
struct ioas_mapping *ioas_mapping_split_by(struct ioas *ioas,
					   u64 at);
bool ioas_edges_fit(struct ioas *ioas, u64 start, u64 last);
int ioas_check_edges(struct ioas *ioas, u64 start, u64 last,
		     bool split);
int ioas_split_child(struct ioas *ioas, u64 at, bool split);
int ioas_split(struct ioas *ioas, u64 start, u64 last,
	       bool split);

#endif /* _IOASID_IOAS_SPLIT_H */
