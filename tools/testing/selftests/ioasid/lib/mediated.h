/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mediated devices of the model: a kernel driver has a device with an IOMMU, and
 * lets users have PASIDs of it.
 */
#ifndef __SELFTESTS_IOASID_MEDIATED_H
#define __SELFTESTS_IOASID_MEDIATED_H

#include "model.h"

/* One file, of a mediated device */
struct mediated {
	int fd;
	__u32 devid;
};

/* Plug a device that can be mediated */
int mediated_plug(struct model *model, struct model_device *dev,
		  const struct model_params *params);

/* Open a mediated device on a device; @flags: enum ioasid_model_mediate_flags */
int mediate(struct model *model, __u32 id, __u32 flags, struct mediated *med);

int med_bind(struct mediated *med, int ctx, __u64 cookie);

/* @vpasid 0: without a PASID */
int med_attach_flags(struct mediated *med, __u32 id, __u32 vpasid, __u32 flags);
int med_attach(struct mediated *med, __u32 id, __u32 vpasid);
int med_attach_any(struct mediated *med, __u32 id, __u32 *vpasid);
int med_detach(struct mediated *med, __u32 vpasid);

/* An errno of a command, among values that are not */
#define MED_ERRNO(errno) (-1000 - (errno))

/*
 * The page that DMA reads, by its first byte, which is its number and 1;
 * -enum model_reason; or MED_ERRNO().  @pasid: out, the number on the wire, or NULL
 */
int med_read(struct mediated *med, __u32 vpasid, __u64 address, __u32 *pasid);

#endif /* __SELFTESTS_IOASID_MEDIATED_H */
