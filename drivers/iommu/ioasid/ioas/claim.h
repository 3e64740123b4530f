/* SPDX-License-Identifier: GPL-2.0-only */
/* Claim a range for a change in place. */
#ifndef _IOASID_IOAS_CLAIM_H
#define _IOASID_IOAS_CLAIM_H

#include "diff.h"
#include "types.h"

/* Mappings that are visited with the lock held */
#define CLAIM_BATCH	64

bool ioas_change_is_referred(const struct ioas_change *change,
			     struct ioas_mapping *m);
struct ioas_mapping *ioas_claim_filler(struct ioas_change *change);
int ioas_claim(struct ioas_change *change);
void ioas_claim_cancel(struct ioas_change *change);
void ioas_unclaim(struct ioas_change *change);
void ioas_claim_unlock(struct ioas_change *change);

#endif /* _IOASID_IOAS_CLAIM_H */
