/* SPDX-License-Identifier: GPL-2.0-only */
/* Arguments and results of calls of an address space.  No prototypes. */
#ifndef _IOASID_IOAS_REQUEST_H
#define _IOASID_IOAS_REQUEST_H

#include <linux/bits.h>
#include <linux/jiffies.h>
#include <linux/types.h>

#include "types.h"

/**
 * struct ioas_stats - state and counters of an address space
 * @nr_mappings: number of published mappings
 * @bytes_mapped: bytes of memory in them
 * @bytes_pinned: bytes that it has pinned, quarantine included; 0 for a child,
 *	whose root has pinned them
 * @bytes_demand: bytes that it has recorded, and not pinned
 * @nr_devices: number of attached devices
 * @nr_children: number of address spaces and imports that have it as parent
 * @cut_shift: log2 of the default cut size, 0 for none
 * @state: bits of enum ioasid_state
 */
struct ioas_stats {
	u64 nr_mappings;
	u64 bytes_mapped;
	u64 bytes_pinned;
	u64 bytes_demand;
	unsigned int nr_devices;
	unsigned int nr_children;
	unsigned int cut_shift;
	u32 state;
};

/**
 * struct ioas_batch_cache - hint and preallocation for a series of requests
 * @last: mapping that was made last, which cannot be removed meanwhile; or NULL
 * @next: mapping after @last, valid if @changes is current
 * @changes: ioas.changes at the time of @next
 * @spare: preallocated mappings, linked by @next
 */
struct ioas_batch_cache {
	struct ioas_mapping *last;
	struct ioas_mapping *next;
	u32 changes;
	struct ioas_mapping *spare;
};

/**
 * struct ioas_map_request - a mapping to be made
 * @iova: the IOVA, with IOASID_MAP_FIXED; out, the chosen IOVA without
 * @addr: user address, or offset in @file
 * @length: bytes
 * @alignment: alignment of an IOVA to be chosen, or 0
 * @file: the file, with IOASID_MAP_FILE
 * @flags: enum ioasid_map_flags
 * @cut_shift: log2 of the cut size, 0 for the default of the address space
 * @state: IOAS_MAPPING_PINNING; or IOAS_MAPPING_WRITING, when tables.sem
 *	is held
 * @cache: hint and preallocation; or NULL
 * @fault_addr: out on some failures, the address that failed
 * @holds: windows of the parent are used for it: see ioas_ref_wait()
 */
struct ioas_map_request {
	u64 iova;
	u64 addr;
	u64 length;
	u64 alignment;
	struct file *file;
	unsigned int flags;
	unsigned int cut_shift;
	enum ioas_mapping_state state;
	struct ioas_batch_cache *cache;
	u64 fault_addr;
	bool holds;
};

/* Time in jiffies that one command waits for accesses, in all */
#define IOAS_PATIENCE		(5 * HZ)

/* Beside enum ioasid_unmap_flags: continue after signals and failures */
#define IOAS_UNMAP_FORCED	BIT(31)

/*
 * Beside enum ioasid_unmap_flags: cut nothing.  A mapping that begins in the
 * range is unmapped whole; if one begins before the range and reaches into it,
 * nothing is unmapped.
 */
#define IOAS_UNMAP_WHOLE	BIT(30)

/**
 * struct ioas_unmap_request - how to unmap a range
 * @flags: enum ioasid_unmap_flags, IOAS_UNMAP_FORCED and IOAS_UNMAP_WHOLE
 * @of: for a child: unmap only what refers to this range of the parent; or
 *	NULL.  Edges are not cut then.
 * @patience: jiffies to wait for accesses; with IOAS_UNMAP_FORCED for
 *	everything
 * @removed: out, bytes that were unmapped, also on failure; U64_MAX when it is
 *	more
 * @kept: out on -EBUSY because of an access: first mapping with pages that are
 *	still held
 *
 * A fatal signal ends a wait that is not forced.
 */
struct ioas_unmap_request {
	unsigned int flags;
	const struct ioasid_iova_range *of;
	long patience;
	u64 removed;
	u64 kept;
};

/**
 * struct ioas_batch_result - result of a batch
 * @done: number of operations done
 * @unmapped: bytes that they unmapped
 * @fault_addr: of the operation that failed, as for IOASID_MAP_DMA
 * @has_fault_addr: @fault_addr is valid
 */
struct ioas_batch_result {
	u32 done;
	u64 unmapped;
	u64 fault_addr;
	bool has_fault_addr;
};

/* Types of operations of a batch; the values are those of the uAPI */
enum ioas_op {
	IOAS_OP_MAP = 1,
	IOAS_OP_UNMAP = 2,
};

/* In ioas_batch_op.flags of a map: log2 of the cut size, from this bit on */
#define IOAS_OP_CUT_SHIFT	10

/* In ioas_batch_op.flags: @fd is the number of another address space */
#define IOAS_OP_TARGETED	BIT(8)

/**
 * struct ioas_batch_op - an operation of a batch, not checked
 * @op: enum ioas_op
 * @flags: enum ioasid_map_flags or enum ioasid_unmap_flags, and of a map the log2
 *	of the cut size
 * @fd: with IOASID_MAP_FILE: the file; with IOAS_OP_TARGETED: the number of the
 *	address space
 * @iova: first byte
 * @addr: user address, offset in the file, or address in the parent
 * @length: bytes
 *
 * Laid out as struct ioasid_dma_op, so that a source need not convert it.
 */
struct ioas_batch_op {
	u16 op;
	u16 flags;
	s32 fd;
	u64 iova;
	u64 addr;
	u64 length;
};

/**
 * struct ioas_batch_source - where the operations of a batch come from
 * @read: read @n operations, from number @first on, which is behind those that
 *	were read before.  Without @may_fault it returns -EAGAIN instead of
 *	handling a page fault.
 * @write_iova: tell the IOVA that was chosen for operation @nr, one of those
 *	that were read last; may handle a page fault
 * @get: get the address space that has a number, with a reference; or an ERR_PTR.
 *	Does not sleep
 * @put: drop the reference.  May sleep; called with no lock held
 * @nowait: fail with -EAGAIN at the first operation that may take long
 */
struct ioas_batch_source {
	int (*read)(struct ioas_batch_source *from, struct ioas_batch_op *ops,
		    u32 first, unsigned int n, bool may_fault);
	int (*write_iova)(struct ioas_batch_source *from, u32 nr, u64 iova);
	struct ioas *(*get)(struct ioas_batch_source *from, u32 number);
	void (*put)(struct ioas *ioas);
	bool nowait;
};

/**
 * struct ioas_dirty_request - which pages were written
 * @start: first byte
 * @last: last byte
 * @shift: log2 of the bytes of a block
 * @keep: leave the pages in the log
 * @told_only: do not read dirty bits of IOMMUs
 * @interruptible: any signal ends it; otherwise, a fatal one
 * @put: take @n words, from number @first on; may handle a page fault
 * @next: out, on failure: what lies before was put
 * @nr: out, number of bits set
 * @exact: out, a dirty bit or a write of software is behind each of them
 */
struct ioas_dirty_request {
	u64 start;
	u64 last;
	unsigned int shift;
	bool keep;
	bool told_only;
	bool interruptible;
	int (*put)(struct ioas_dirty_request *req, u64 first, const u64 *words,
		   unsigned int n);
	u64 next;
	u64 nr;
	bool exact;
};

/**
 * struct ioas_query_entry - what a query tells of a mapping
 * @iova: first byte
 * @length: bytes
 * @addr: if @addr_known, the address that it was made from
 * @pgsizes: bitmap of the IOPTE sizes that drivers were asked for
 * @cut_size: bytes; 0 for none
 * @flags: enum ioasid_map_flags
 * @ino: if @inode_known, inode number of the file that it was made from
 * @dev: the same: device number of its file system
 * @addr_known: the calling process may know @addr
 * @inode_known: there is a file, which the owner of the mapping has named
 * @revoked: device memory that was revoked
 * @demand: it is recorded, and not pinned
 */
struct ioas_query_entry {
	u64 iova;
	u64 length;
	u64 addr;
	u64 pgsizes;
	u64 cut_size;
	u64 ino;
	u32 dev;
	unsigned int flags;
	bool addr_known;
	bool inode_known;
	bool revoked;
	bool demand;
};

/**
 * struct ioas_query - a query
 * @start: address to begin at; out, if @more: address to continue at
 * @room: maximum number of entries
 * @nr: out, number of entries, also on failure
 * @more: out, there are mappings from @start on
 * @tell: take an entry, the @nr-th; may handle a page fault.  After a failure
 *	it is not called again.
 */
struct ioas_query {
	u64 start;
	u32 room;
	u32 nr;
	bool more;
	int (*tell)(struct ioas_query *query, u32 nr,
		    const struct ioas_query_entry *entry);
};

#endif /* _IOASID_IOAS_REQUEST_H */
