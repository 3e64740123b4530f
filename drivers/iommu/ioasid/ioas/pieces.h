/* SPDX-License-Identifier: GPL-2.0-only */
/* Map by reference to memory and memory of devices together. */
#ifndef _IOASID_IOAS_PIECES_H
#define _IOASID_IOAS_PIECES_H

#include "request.h"
#include "types.h"

int ioas_map_pieces(struct ioas *ioas, struct ioas_mapping *whole,
		    const struct ioas_map_request *req, u64 *fault_addr);

#endif /* _IOASID_IOAS_PIECES_H */
