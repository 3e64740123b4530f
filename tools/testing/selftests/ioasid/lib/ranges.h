/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The IOVAs that an IOASID or a device permits, and memory that needs many.
 */
#ifndef __SELFTESTS_IOASID_RANGES_H
#define __SELFTESTS_IOASID_RANGES_H

#include "ioasid_util.h"

#define NR_RANGES 32

struct ranges {
	struct ioasid_iova_range range[NR_RANGES];
	__u32 nr;
};

int get_ranges(int ctx, __u32 id, struct ranges *r);
int get_device_ranges(int ctx, __u32 devid, struct ranges *r);
bool permitted(const struct ranges *r, __u64 start, __u64 last);

/* The first IOVA above the first permitted range; 0 if there is none. */
__u64 first_hole(const struct ranges *r);

/* Memory that may be in huge pages, and is there. */
void *huge_memory(size_t length);

#endif /* __SELFTESTS_IOASID_RANGES_H */
