/* SPDX-License-Identifier: GPL-2.0-only */
/* Where device memory comes from, and the mappings of it. */
#ifndef _IOASID_IOAS_SOURCE_H
#define _IOASID_IOAS_SOURCE_H

#include <linux/ioasid.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

#include "types.h"

/**
 * struct ioas_devmem_source - where device memory comes from
 * @refs: one for each range
 * @lock: protects @ranges and @revoked
 * @ranges: ranges that are mapped, or revoked
 * @flags: permission that the process must keep
 * @revoked: the process lost the memory, or a permission; the region is gone
 * @lost: it is revoked for ever
 * @notifier: notifier of changes of the page table, if it is no region
 * @region: the region, with @how
 * @how: callbacks for @region; NULL: it is no region
 * @ops: callbacks of the owner of the address space that mapped it
 */
struct ioas_devmem_source {
	refcount_t refs;
	struct mutex lock;		/* see devmem.c */
	struct list_head ranges;
	unsigned int flags;
	bool revoked;
	bool lost;
	union {
		struct mmu_interval_notifier notifier;
		struct ioasid_region region;
	};
	const struct ioasid_device_ops *how;
	const struct ioas_ops *ops;
};

/**
 * struct ioas_devmem_range - device memory behind a mapping
 * @source: where it comes from
 * @in_source: in ioas_devmem_source.ranges; empty before it is mapped
 * @ioas: the address space
 * @node: in ioas_devmem.ranges; empty before it is mapped and after it is
 *	revoked
 * @iova: first byte of the mapping
 * @flags: permission of the mapping
 * @revoked: it is mapped, but in no domain
 * @mem: the memory, not pinned
 * @work: calls ioas_ops.poisoned
 */
struct ioas_devmem_range {
	struct ioas_devmem_source *source;
	struct list_head in_source;
	struct ioas *ioas;
	struct list_head node;
	u64 iova;
	unsigned int flags;
	bool revoked;
	struct ioasid_memory mem;
	struct work_struct work;
};

void ioas_devmem_source_gone(struct ioas_devmem_source *source);
void ioas_devmem_source_back(struct ioas_devmem_source *source);

#endif /* _IOASID_IOAS_SOURCE_H */
