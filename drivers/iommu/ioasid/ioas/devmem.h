/* SPDX-License-Identifier: GPL-2.0-only */
/* Device memory behind mappings. */
#ifndef _IOASID_IOAS_DEVMEM_H
#define _IOASID_IOAS_DEVMEM_H

#include "request.h"
#include "types.h"

int ioas_devmem_map(struct ioas_devmem_range *range);
void ioas_devmem_unmap(struct ioas_devmem_range *range);
void ioas_devmem_restore(struct ioas_devmem_range *range);
const struct ioasid_memory *
ioas_devmem_pages(const struct ioas_devmem_range *range);
int ioas_devmem_populate(struct ioas *ioas);
bool ioas_devmem_is_lost(const struct ioas_devmem_range *range);
bool ioas_devmem_is_revoked(const struct ioas_devmem_range *range);
bool ioas_devmem_refer(const struct ioas_devmem_range *range,
		       struct ioasid_memory *mem);
void ioas_devmem_exit(struct ioas *ioas);
/* Get and put */
struct ioas_devmem_range *
ioas_devmem_get(struct ioas *ioas,
		struct ioas_map_request *req, u64 iova);
struct ioas_devmem_range *
ioas_devmem_get_region(struct ioas *ioas, struct ioas_map_request *req,
		       u64 iova);
struct ioas_devmem_range *ioas_devmem_prepare(struct ioas *ioas, u64 iova,
					      unsigned int flags);
void ioas_devmem_share(struct ioas_devmem_range *range,
		       const struct ioas_devmem_range *of, unsigned long at,
		       unsigned long npages);
void ioas_devmem_put(struct ioas_devmem_range *range);

#endif /* _IOASID_IOAS_DEVMEM_H */
