/* SPDX-License-Identifier: GPL-2.0-only */
/* Attachments by PASID of model devices, for tests. */
#ifndef __SELFTESTS_IOASID_PASID_H
#define __SELFTESTS_IOASID_PASID_H

#include "model.h"

/* The command, and nothing around it; @fault_addr may be NULL */
int pasid_attach_full(struct model_device *dev, __u32 ioasid, __u32 flags,
		      __u32 *vpasid, __u64 *fault_addr);

int pasid_attach_flags(struct model_device *dev, __u32 ioasid, __u32 vpasid,
		       __u32 flags);

/* IOASID_ATTACH_PASID alone */
int pasid_attach(struct model_device *dev, __u32 ioasid, __u32 vpasid);

int pasid_attach_any(struct model_device *dev, __u32 ioasid, __u32 *vpasid);

int pasid_detach_from(struct model_device *dev, __u32 ioasid, __u32 vpasid);

int pasid_detach(struct model_device *dev, __u32 vpasid);

/*
 * Read a page of the memory of family_memory() with a PASID; 0, by requester id:
 * the number of the page, or -enum model_reason.
 */
int pasid_page_at(struct model_device *dev, __u32 pasid, __u64 iova);

#endif /* __SELFTESTS_IOASID_PASID_H */
