/* SPDX-License-Identifier: GPL-2.0-only */
/* Accesses of an address space, for the files of this folder; see ioas.h. */
#ifndef _IOASID_IOAS_ACCESS_H
#define _IOASID_IOAS_ACCESS_H

#include "request.h"
#include "types.h"

void ioas_holds_free(struct ioas_holds *holds);
bool ioas_holds_any(const struct ioas *ioas, u64 start,
		    u64 last);
int ioas_accesses_unmap(struct ioas *ioas,
			struct ioas_mapping **leaving,
			struct ioas_unmap_request *req);

#endif /* _IOASID_IOAS_ACCESS_H */
