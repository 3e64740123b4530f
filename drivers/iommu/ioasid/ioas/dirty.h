/* SPDX-License-Identifier: GPL-2.0-only */
/* The log of pages that were written; see dirty.c. */
#ifndef _IOASID_IOAS_DIRTY_H
#define _IOASID_IOAS_DIRTY_H

#include <linux/jump_label_ratelimit.h>

#include "iommu.h"
#include "types.h"

extern struct static_key_false_deferred ioas_dirty_key;

/* True if any root is tracked: keeps hot paths free of a test */
static __always_inline bool ioas_dirty_any(void)
{
	return static_branch_unlikely(&ioas_dirty_key.key);
}

void ioas_dirty_exit(struct ioas *ioas);
int ioas_dirty_cover(struct ioas *ioas, u64 start, u64 last);
bool ioas_dirty_covered(struct ioas *ioas, u64 start, u64 last);
void ioas_dirty_sink_init(struct ioas_dirty_sink *sink, struct ioas *ioas,
			  const struct ioas_mapping *m);
const struct ioas_dirty_sink *
ioas_dirty_sink(struct ioas_dirty_sink *sink, struct ioas *ioas,
		const struct ioas_mapping *m);
void ioas_dirty_mark(struct ioas *ioas, u64 start, u64 last);
void ioas_dirty_mark_held(struct ioas *ioas, u64 start, u64 last);
void ioas_dirty_lost(struct ioas *ioas, const struct ioas_mapping *m);
void ioas_dirty_undone(struct ioas *ioas, const struct ioas_mapping *m);
void ioas_dirty_take(struct ioas *ioas, struct ioas_removal *removal);
void ioas_dirty_removed(struct ioas *ioas, const struct ioas_removal *removal);
void ioas_dirty_leave(struct ioas *ioas, struct ioas_domain *dom);

#endif /* _IOASID_IOAS_DIRTY_H */
