/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changing what is mapped, and what a device sees of it. Of a change that fails,
 * @fault of family.h has the address.
 */
#ifndef __SELFTESTS_IOASID_CHANGE_H
#define __SELFTESTS_IOASID_CHANGE_H

#include "family.h"

int protect(int fd, __u32 id, __u64 iova, __u64 length, __u32 flags);
int replace(int fd, __u32 id, __u64 iova, const void *addr,
	    __u64 length, __u32 flags, __u64 cut_size);
int map_cut(int fd, __u32 id, __u64 iova, const void *addr, __u64 length,
	    __u64 cut_size);

/* Get the number of mappings, and the first few of them. */
int mappings(int fd, __u32 id, struct ioasid_query_entry *e, __u32 room);
bool can_write(struct model_device *dev, __u64 iova, char value);
bool can_read(struct model_device *dev, __u64 iova, char value);

/* Number of faults of a hammer; checks that it did access memory. */
__u64 hammer_stop(struct model_device *dev, int channel);

#endif /* __SELFTESTS_IOASID_CHANGE_H */
