/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one address space consists of.  No prototypes.
 *
 * Longer than 260 lines: all structures, with their comments.
 */
#ifndef _IOASID_IOAS_TYPES_H
#define _IOASID_IOAS_TYPES_H

#include <linux/atomic.h>
#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include <uapi/linux/ioasid.h>

#include "../mem/extent.h"

struct file;
struct ioasid_account;
struct ioas_devmem_range;
struct ioas_devmem;
struct ioas_domain;
struct ioasid_payer;
struct ioas_ranges;
struct iommu_group;

/**
 * struct ioas_ranges - IOVA ranges, ascending, disjoint
 * @nr: how many
 * @range: the ranges
 */
struct ioas_ranges {
	unsigned int nr;
	struct ioasid_iova_range range[] __counted_by(nr);
};

/*
 * The life of a mapping.  All changes are made under ioas.lock.
 *
 *	PINNING <-> WRITING -> LIVE --------> REMOVING -> gone
 *	   |                   |  ^  \         ^
 *	   v                   v  |   v        |
 *	CANCELLED             CHANGING LEAVING -+-> LIVE
 *
 * PINNING: its range is taken, its memory is being pinned, which may hang for
 * ever: no thread waits for it.  A thread that wants the range takes the
 * mapping out of the tree and makes it CANCELLED; the mapper, which owns it,
 * finds out and frees it.
 * WRITING: its IOPTEs are being written; ends soon after ioas_mapping.wanted
 * is set, then PINNING again.
 * LIVE: it is in every domain, and in the filling one if that came past it.
 * LEAVING: LIVE for domains, gone for software devices: drivers are asked to
 * unpin its pages.  Domains can come and go meanwhile.
 * CHANGING: its IOPTEs are being replaced by smaller or by other ones.
 * REMOVING: its IOPTEs are being removed.
 *
 * A thread that pins or reads waits for CHANGING only, in which no driver is
 * called back.
 */
enum ioas_mapping_state {
	IOAS_MAPPING_PINNING,
	IOAS_MAPPING_WRITING,
	IOAS_MAPPING_LIVE,
	IOAS_MAPPING_LEAVING,
	IOAS_MAPPING_CHANGING,
	IOAS_MAPPING_REMOVING,
	IOAS_MAPPING_CANCELLED,
};

struct ioas_mapping;

struct ioas;

/**
 * struct ioas_ref - a mapping of a child refers to a range of the parent
 * @rb: in ioas_parent.refs of the parent, by ioas_mapping.addr
 * @fresh: before it is there: in ioas_parent.fresh
 * @last: last byte of the range, which begins at ioas_mapping.addr
 * @subtree_last: in the tree, the largest @last in this subtree
 *
 * Protected by the lock of the parent.
 */
struct ioas_ref {
	union {
		struct rb_node rb;
		struct list_head fresh;
	};
	u64 last;
	u64 subtree_last;
};

/**
 * struct ioas_mapping - a range of IOVA with one permission
 * @rb: in ioas.mappings
 * @start: first byte
 * @last: last byte
 * @gap: bytes between the mapping before and this one; in ioas.quarantine: bytes
 *	of memory of this one and of those after it
 * @subtree_gap: the largest @gap in this subtree
 * @mem: what is mapped; no pages for a reserved range
 * @payer: who was charged; NULL for a reserved range, and of a child
 * @device: the device memory that is mapped, in place of @mem; or NULL
 * @ioas: of a child, with memory: the child
 * @ref: of a child, with memory: the range of the parent that it refers to
 * @addr: user address, file offset or parent address it was mapped from; for who
 *	uses a window ioas_mapping_addr() tells the last as seen through it
 * @next: in a list of mappings that are changed or removed together
 * @readers: threads that read @mem right now; they wait for nothing
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE, IOASID_MAP_FILE,
 *	IOASID_MAP_RESERVE
 * @cut_shift: log2 of the cut size, 0 for none
 * @state: enum ioas_mapping_state
 * @in_populating: while REMOVING or CHANGING: it is in the filling domain too
 * @wanted: another thread waits for the mapping: a long write of its IOPTEs
 *	stops, and is undone
 * @indexed: @ref is in a tree; protected by the lock of the parent
 */
struct ioas_mapping {
	struct rb_node rb;
	u64 start;
	u64 last;
	u64 gap;
	u64 subtree_gap;
	struct ioasid_memory mem;
	struct ioasid_payer *payer;
	struct ioas_devmem_range *device;
	struct ioas *ioas;
	struct ioas_ref ref;
	u64 addr;
	struct ioas_mapping *next;
	unsigned int readers;
	u8 flags;
	u8 cut_shift;
	u8 state;
	bool in_populating;
	bool wanted;
	bool indexed;
};

/* Which children: those of the same context, or those that see it by a window */
enum ioas_refs_side {
	IOAS_REFS_OWN,
	IOAS_REFS_IMPORTS,
	IOAS_REFS_SIDES
};

/**
 * struct ioas_freeze - a range that is being removed from a parent
 * @it: in ioas_parent.frozen
 * @task: the thread that removes it
 *
 * Until it thaws no child can refer to anything in it.
 */
struct ioas_freeze {
	struct interval_tree_node it;
	struct task_struct *task;
};

/**
 * struct ioas_parent - what a space has that is a parent
 * @refs: the mappings of children that refer to it, by @addr, then by pointer
 * @fresh: those that are in no tree yet
 * @frozen: struct ioas_freeze, which do not overlap
 * @closed: its context was closed: no window shows it any more
 *
 * Protected by the space's lock.
 */
struct ioas_parent {
	struct rb_root refs[IOAS_REFS_SIDES];
	struct list_head fresh;
	struct rb_root_cached frozen;
	bool closed;
};

/**
 * struct ioas_export - on which terms memory is shared with other contexts
 * @start: first byte of the parent that they see, at address 0
 * @last: last byte
 * @permission: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @limit: how many mappings their IOASIDs may have of it
 * @used: how many these have
 */
struct ioas_export {
	u64 start;
	u64 last;
	u32 permission;
	u64 limit;
	atomic64_t used;
};

/**
 * struct ioas_import - what the children in another context see of a parent
 * @export: what they may have
 * @dead: freed: they get nothing any more
 * @left: is not counted by the parent any more
 * @children: how many there are
 *
 * Protected by the lock of the parent's space.
 */
struct ioas_import {
	struct ioas_export *export;
	bool dead;
	bool left;
	unsigned int children;
};

/**
 * struct ioas_access - a software device that uses a space
 * @node: in ioas_holds.accesses
 * @calls: threads that are in @unmap; protected by the space's lock
 * @unmap: unpin what is pinned from @start to @last. Called with no lock held:
 *	it may wait for threads that pin or read.
 */
struct ioas_access {
	struct list_head node;
	unsigned int calls;
	void (*unmap)(struct ioas_access *access, u64 start, u64 last);
};

/**
 * struct ioas_holds - what a space has that software devices use
 * @held: by page of IOVA, how often they pinned it
 * @accesses: the devices
 *
 * Protected by the space's lock.
 */
struct ioas_holds {
	struct xarray held;
	struct list_head accesses;
};

/**
 * struct ioas_attachment - an iommu group that translates by a space
 * @node: in ioas.attachments
 * @group: the group
 * @dev: one of its devices, bound
 * @dom: the domain it is attached to; NULL while it is not
 * @ranges: the IOVAs that its devices can use
 * @blocked: its domain was poisoned, and it was taken off it
 *
 * Protected by ioas.attach_lock.
 */
struct ioas_attachment {
	struct hlist_node node;
	struct iommu_group *group;
	struct device *dev;
	struct ioas_domain *dom;
	struct ioas_ranges *ranges;
	bool blocked;
};

/**
 * struct ioas_ops - what a space tells the floor above
 * @poisoned: one of its domains is poisoned: block the groups that are on it.
 *	May sleep; called with no lock of the space held.
 * @owns_file: is a file that of a device that the space's mappings may reach?
 *	May sleep; called with no lock held.
 * @get: keep the space's memory; false when it is being destroyed. Called with
 *	a lock of its parent held.
 * @put: undo @get. May sleep.
 */
struct ioas_ops {
	void (*poisoned)(struct ioas *ioas);
	bool (*owns_file)(struct ioas *ioas, struct file *file);
	bool (*get)(struct ioas *ioas);
	void (*put)(struct ioas *ioas);
};

/**
 * struct ioas - an address space
 * @account: what its mappings are charged to
 * @ops: the floor above
 * @parent: what its mappings refer to, NULL for a root
 * @import: through which it sees @parent, that is of another context; or NULL
 * @depth: how many parents are above it
 * @left: is not counted by @parent, or @import, any more
 * @lock: protects the mappings and all that follows up to @domains_sem
 * @cut_shift: cut size of mappings that do not state one, log2, 0 for none
 * @enforce_cache_coherency: no-snoop DMA must be made coherent
 * @dead: freed; takes no new mapping and no new device
 * @poisoned: a domain is poisoned
 * @knows_gaps: @gap and @subtree_gap of the mappings are kept
 * @changes: how often the tree changed
 * @partial: groups that wait for a sibling
 * @devices: devices attached
 * @mappings: by IOVA
 * @wait: for mappings that change state, and pins that go
 * @nr_nodes: mappings in the tree, in whatever state
 * @nr_mappings: published mappings
 * @bytes_mapped: bytes of memory in them
 * @quarantine: mappings that a poisoned domain may still reach
 * @permitted: IOVAs that all members can use, NULL for all
 * @as_parent: of a parent; NULL while it never was to be one, set once
 * @children: how many spaces have this one as parent, a window counting as one
 * @holds: of the software devices; NULL while there never was one, set once
 * @devmem: device memory; NULL while there never was any, set with domains_sem
 *	held for reading
 * @populating: domain that is being filled, before it is in @domains; how far
 *	is in struct ioas_domain
 * @domains_sem: held for reading to use the domains, and from making a mapping
 *	WRITING, CHANGING or REMOVING until it leaves that state; for writing to
 *	change the list, and while a driver attaches a group
 * @domains: the domains, filled
 * @attach_lock: one attach or detach at a time; protects @attachments
 * @attachments: groups
 *
 * Lock order: attach_lock, domains_sem, lock, lock of the parent.  A thread that
 * waits for a mapping to change state holds none of them; one that has frozen a
 * range of the parent may wait.
 */
struct ioas {
	struct ioasid_account *account;
	const struct ioas_ops *ops;
	struct ioas *parent;
	struct ioas_import *import;

	spinlock_t lock;		/* the mappings */
	u8 depth : 7;			/* these two: lock of the parent */
	u8 left : 1;
	u8 cut_shift;
	bool enforce_cache_coherency : 1;
	bool dead : 1;
	bool poisoned : 1;
	bool knows_gaps : 1;
	u32 changes;
	unsigned int partial;
	unsigned int devices;
	unsigned int children;
	struct rb_root mappings;
	wait_queue_head_t wait;
	u64 nr_nodes;
	u64 nr_mappings;
	u64 bytes_mapped;
	struct ioas_mapping *quarantine;
	struct ioas_ranges *permitted;
	struct ioas_parent *as_parent;
	struct ioas_holds *holds;
	struct ioas_devmem *devmem;
	struct ioas_domain *populating;

	struct rw_semaphore domains_sem;
	struct list_head domains;

	struct mutex attach_lock;	/* members */
	struct hlist_head attachments;
};

/**
 * struct ioas_stats - what an address space tells of itself
 * @nr_mappings: published mappings
 * @bytes_mapped: bytes of memory in them
 * @bytes_pinned: bytes that it has pinned, those in quarantine included; 0 of a
 *	child, whose root has them
 * @nr_devices: devices attached
 * @nr_children: address spaces and imports that have it as parent
 * @cut_shift: log2 of the default cut size, 0 for none
 * @state: bits of enum ioasid_state
 */
struct ioas_stats {
	u64 nr_mappings;
	u64 bytes_mapped;
	u64 bytes_pinned;
	unsigned int nr_devices;
	unsigned int nr_children;
	unsigned int cut_shift;
	u32 state;
};

/**
 * struct ioas_batch_cache - what one of many requests leaves to the next
 * @last: the mapping made last, which cannot go meanwhile, or NULL
 * @next: the mapping after it, as of @changes
 * @changes: of the space
 * @spare: mappings that were allocated together, by @next
 */
struct ioas_batch_cache {
	struct ioas_mapping *last;
	struct ioas_mapping *next;
	u32 changes;
	struct ioas_mapping *spare;
};

/**
 * struct ioas_map_request - a mapping to be made
 * @iova: with IOASID_MAP_FIXED where; out, where it is
 * @addr: user address, or offset in @file
 * @length: bytes
 * @alignment: of an IOVA to be chosen, or 0
 * @file: with IOASID_MAP_FILE
 * @flags: enum ioasid_map_flags
 * @cut_shift: log2 of the cut size, 0 for the space's own
 * @state: IOAS_MAPPING_PINNING; or IOAS_MAPPING_WRITING, when domains_sem
 *	is held
 * @cache: where the request before mapped, or NULL
 * @fault_addr: out on some failures, where
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
};

/* How long one command waits for software devices, in all */
#define IOAS_PATIENCE		(5 * HZ)

/* Beside enum ioasid_unmap_flags: neither a signal nor a failure ends it early */
#define IOAS_UNMAP_FORCED	BIT(31)

/**
 * struct ioas_unmap_request - what shall be removed, and how
 * @flags: enum ioasid_unmap_flags, and IOAS_UNMAP_FORCED
 * @of: of a child: only what refers to this range of the parent; or NULL. Edges
 *	are not cut then.
 * @patience: jiffies: for how long drivers are waited for; with
 *	IOAS_UNMAP_FORCED whatever is waited for
 * @removed: out, bytes that were removed, also on failure; U64_MAX when there
 *	were more
 * @kept: out on -EBUSY for the sake of a software device: the first mapping that
 *	was not let go of
 *
 * A wait that is not forced ends with a fatal signal.
 */
struct ioas_unmap_request {
	unsigned int flags;
	const struct ioasid_iova_range *of;
	long patience;
	u64 removed;
	u64 kept;
};

/**
 * struct ioas_batch_result - what became of a batch
 * @done: operations done
 * @unmapped: bytes that they unmapped
 * @fault_addr: of the one that failed, as for IOASID_MAP_DMA
 * @has_fault_addr: that one has one
 */
struct ioas_batch_result {
	u32 done;
	u64 unmapped;
	u64 fault_addr;
	bool has_fault_addr;
};

/**
 * struct ioas_batch_source - where the operations of a batch are
 * @user: the array, in memory of the caller
 * @fixed: pages that hold it all, to be read instead; NULL for none. Advanced
 *	as they are read.
 * @nowait: do only what takes no long time; the first operation that would
 *	fails with -EAGAIN
 */
struct ioas_batch_source {
	struct ioasid_dma_op __user *user;
	struct iov_iter *fixed;
	bool nowait;
};

/**
 * struct ioas_removal - mappings that are on their way out together
 * @first: linked by @next
 * @tail: the last one's @next
 * @nr: how many
 * @scattered: they do not all touch, or do not ascend
 * @leaving: LEAVING mappings, linked by @next, ascending, that go later
 * @left_out: some were left out, as children refer to them
 */
struct ioas_removal {
	struct ioas_mapping *first;
	struct ioas_mapping **tail;
	unsigned int nr;
	bool scattered;
	bool left_out;
	struct ioas_mapping *leaving;
};

#endif /* _IOASID_IOAS_TYPES_H */
