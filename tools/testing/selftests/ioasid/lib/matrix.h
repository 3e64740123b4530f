/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Model devices that do DMA while commands fail: a root and its child, each
 * with memory that has to stay as it is, and devices that read it all the time.
 *
 *	on_root		unit 0, attached to the root
 *	on_child	unit 0, attached to the child
 *	second		unit 1, attached to the child: its second domain
 *	spare, sibling	unit 2, one group; for commands to bind and to attach
 */
#ifndef __SELFTESTS_IOASID_MATRIX_H
#define __SELFTESTS_IOASID_MATRIX_H

#include <linux/memfd.h>

#include "family.h"

#define PG page_size

/* Memory that has to stay, in root and child: the pattern of this seed. */
#define KEEP SZ_1G
#define KEEP_PAGES 16
#define KEEP_SEED 5

/* Mappings of the root that children refer to, of 4, 4 and 8 pages */
#define FROM (2 * SZ_1G)
#define FROM_PAGES 16
/* and a mapping that may be in large pages */
#define FROM_HUGE (3 * SZ_1G)

/* The IOVA where commands map */
#define BASE (8 * SZ_1G)
#define END (128ULL << 40)

/* Pages of scattered memory, which is what family_memory() makes it */
#define MEM_PAGES 64

/* Channel that reads the memory that has to stay, during a command */
#define WATCH 1

struct stage {
	struct model model;
	int fd;
	struct model_space root;
	struct model_space child;
	struct model_space other;	/* a child without mappings */
	struct model_device on_root;
	struct model_device on_child;
	struct model_device second;
	struct model_device spare;
	struct model_device sibling;
	char *keep;
	char *mem;
	char *fresh;
	char *huge;
	int file;

	/* Space of the commands; reset() frees it. */
	__u32 id_new;
	__u32 id_below;
	int export;
	int ctx;
	/* IOVA that a command maps at; not reachable if it fails */
	struct model_space *at;
	__u64 iova;
	__u64 length;
	/* pages of @mem that a command unmaps; stay if it fails */
	__u64 there;
	unsigned int there_page;
	unsigned int there_pages;
	/* after a batch: mapped bytes, if it is known in which IOASID */
	__u32 mapped_id;
	__u64 mapped;
};

bool stage_verify(struct model_device *dev);

/*
 * Start devices that read the memory that has to stay. For the child, use the
 * device of its second domain, which is mapped and unmapped last.
 */
int stage_busy(struct stage *s);

/* Stop them. NULL if all was right, or the mistake. */
const char *stage_idle(struct model_device *dev);

const char *stage_wrong(struct stage *s);

/* Mappings that children can refer to, and only those and the ones that stay */
int stage_reset(struct stage *s);

/* -ENOENT if a device or a feature is missing. */
int stage_open(struct stage *s);

/* For commands that need devices of their own */
int stage_spare(struct stage *s);

int stage_unplug(struct model_device *dev);

#endif /* __SELFTESTS_IOASID_MATRIX_H */
