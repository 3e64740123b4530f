/* SPDX-License-Identifier: GPL-2.0-only */
/* Unmap, for the files of this folder; see ioas.h. */
#ifndef _IOASID_IOAS_UNMAP_H
#define _IOASID_IOAS_UNMAP_H

#include "types.h"

int ioas_remove_mappings(struct ioas *ioas, struct ioas_removal *removal,
			 u64 *removed);
int ioas_remove_mappings_untold(struct ioas *ioas,
				struct ioas_removal *removal, u64 *removed);

#endif /* _IOASID_IOAS_UNMAP_H */
