/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Software devices on an address space, for the files of this folder; see ioas.h.
 */
#ifndef _IOASID_IOAS_ACCESS_H
#define _IOASID_IOAS_ACCESS_H

#include "types.h"

#ifdef CONFIG_LOCKDEP

/* A lock that a driver holds while it pins, and takes in its callback */
extern struct lockdep_map ioasid_driver_map;

/* Held as long as mappings are CUTTING, for which threads wait that pin */
extern struct lockdep_map ioasid_cutting_map;

#endif

void ioasid_software_free(struct ioasid_software *software);
bool ioasid_software_pinned(const struct ioasid_space *space, u64 start,
			    u64 last);
int ioasid_listeners_unmap(struct ioasid_space *space,
			   struct ioasid_mapping **leaving,
			   struct ioasid_unmap_request *req);

#endif /* _IOASID_IOAS_ACCESS_H */
