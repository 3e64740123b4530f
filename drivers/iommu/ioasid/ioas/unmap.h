/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unmap, for the files of this folder; see ioas.h.
 */
#ifndef _IOASID_IOAS_UNMAP_H
#define _IOASID_IOAS_UNMAP_H

#include "types.h"

int ioasid_dying_drain(struct ioasid_space *space, struct ioasid_dying *dying,
		       u64 *removed);

#endif /* _IOASID_IOAS_UNMAP_H */
