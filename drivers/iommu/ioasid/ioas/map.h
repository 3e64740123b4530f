/* SPDX-License-Identifier: GPL-2.0-only */
/* Map, for the files of this folder; see ioas.h. */
#ifndef _IOASID_IOAS_MAP_H
#define _IOASID_IOAS_MAP_H

#include "types.h"

void ioas_abort_writing(struct ioas *ioas,
			struct ioas_mapping *m);

#endif /* _IOASID_IOAS_MAP_H */
