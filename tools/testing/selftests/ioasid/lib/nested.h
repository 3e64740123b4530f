/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tables of user space, in the format of the model IOMMU, and the commands
 * for them.
 */
#ifndef __SELFTESTS_IOASID_NESTED_H
#define __SELFTESTS_IOASID_NESTED_H

#include "model.h"

#define PG page_size
#define PAGES 16

/* Where the parent has the memory, and devices see it by a user's table */
#define GUEST 0x100000ULL
#define BASE (4ULL * SZ_1G)
#define GPA(page) (GUEST + (page) * PG)
#define VA(page) (BASE + (page) * PG)

/* Each table is three pages; the rest is data */
#define TABLE_A 0
#define TABLE_B 3
#define DATA 6
#define LEAF 2
#define S1_RW (MODEL_S1_PRESENT | MODEL_S1_WRITE)

#define ATTACHED IOASID_STATE_ATTACHED
#define UNBOUND IOASID_STATE_UNBOUND

#define NESTING { .flags = MODEL_NESTING | MODEL_ATS }
#define NESTING_1 { .flags = MODEL_NESTING | MODEL_ATS, .unit = 1 }

int nested_alloc(int fd, __u32 flags, __u32 kind, __u32 parent, __u32 format,
		 __u32 *id);

int bind_data(int fd, __u32 id, __u32 flags, const void *data, __u32 length);

int nested_parent(int fd, __u32 *id);
int nested_child(int fd, __u32 parent, __u32 format, __u32 *id);

/* Bind the table at this page of the memory */
int bind_table(int fd, __u32 id, __u32 flags, int page);

int unbind_table(int fd, __u32 id);

/* The same for tables by PASID */
int bind_pasids(int fd, __u32 id, __u32 flags, const void *data, __u32 length);
int unbind_pasids(int fd, __u32 id);

struct ioasid_invalidate_cache
nested_invalidation(__u32 id, const struct ioasid_invalidate *inv, __u32 nr);

/* Invalidate pages, all if @nr is 0; for a device, or all if @devid is 0 */
int nested_flush(int fd, __u32 id, __u32 devid, int page, int nr);

__u64 *s1_entry(char *mem, int table, int level, int index);

/* Make the device's page @page the data page @data; -1: none */
void s1_map(char *mem, int table, int page, int data);

/* A table that has no pages yet */
void s1_init(char *mem, int table);

/* Why the device cannot read there, or 0 */
enum model_reason model_reason(struct model_device *dev, __u64 at);

#endif /* __SELFTESTS_IOASID_NESTED_H */
