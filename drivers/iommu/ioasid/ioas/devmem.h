/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of devices behind mappings.
 */
#ifndef _IOASID_IOAS_DEVMEM_H
#define _IOASID_IOAS_DEVMEM_H

#include "types.h"

int ioasid_devmem_map(struct ioasid_device_range *range);
void ioasid_devmem_unmap(struct ioasid_device_range *range);
int ioasid_devmem_fill(struct ioasid_space *space);
void ioasid_devmem_lock(struct ioasid_space *space);
void ioasid_devmem_unlock(struct ioasid_space *space);
bool ioasid_devmem_is_revoked(const struct ioasid_device_range *range);
bool ioasid_devmem_borrow(const struct ioasid_device_range *range,
			  struct ioasid_memory *mem);
void ioasid_devmem_exit(struct ioasid_space *space);
/* devmem.c */
struct ioasid_device_range *
ioasid_devmem_get(struct ioasid_space *space,
		  struct ioasid_map_request *req, u64 iova);
void ioasid_devmem_put(struct ioasid_device_range *range);

#endif /* _IOASID_IOAS_DEVMEM_H */
