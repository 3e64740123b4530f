/* SPDX-License-Identifier: GPL-2.0-only */
/* Mirrors: tables that a device keeps by itself, as the domain of an IOMMU. */
#ifndef _IOASID_IOAS_MIRROR_H
#define _IOASID_IOAS_MIRROR_H

#include "types.h"

struct ioas_domain *ioas_mirror_alloc(const struct ioas_translator *by, u32 asid);
struct ioas_ranges *ioas_mirror_ranges(const struct ioas_translator *by);
int ioas_mirror_attach(struct ioas_domain *dom);
void ioas_mirror_detach(struct ioas_domain *dom);

#endif /* _IOASID_IOAS_MIRROR_H */
