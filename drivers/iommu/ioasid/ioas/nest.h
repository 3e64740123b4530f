/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables of user space over the domains of an address space: for ioas/attach.c. */
#ifndef _IOASID_IOAS_NEST_H
#define _IOASID_IOAS_NEST_H

#include "types.h"

int ioas_nests_join(struct ioas_attachment *attachment);
int ioas_nests_leave(struct ioas_attachment *attachment, bool moved,
		     bool killable);
bool ioas_nests_block(struct ioas_attachment *attachment);

#endif /* _IOASID_IOAS_NEST_H */
