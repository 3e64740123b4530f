/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structures of one address space.  No prototypes; the arguments of calls
 * are in request.h.
 *
 * Longer than 260 lines: what refers to each other, with the states, the locks
 * and ten words.
 *
 * Ten words:
 *
 * IOAS
 *	One I/O address space, struct ioas.  IOASID is the number by which a
 *	program names it.
 * mapping
 *	A range of IOVAs with one permission and one kind of memory, struct
 *	ioas_mapping.
 * domain
 *	One hardware page table of an IOAS, struct ioas_domain, over struct
 *	iommu_domain.
 * IOPTE
 *	One entry of a domain, of any page size.
 * attachment
 *	The route of a group's or a device's DMA to an IOAS.
 * context
 *	An open file of /dev/ioasid with its IOASIDs, devices, options and
 *	account.
 * reference
 *	A child's mapping refers to a range of its parent, struct ioas_ref.
 * freeze
 *	No child can refer to a frozen range: a cascading unmap is in progress
 *	on it.
 * quarantine
 *	Mappings that a poisoned domain may still reach: unmapped, but pinned
 *	and charged.
 * payer
 *	The mm and the user that a mapping is charged to, struct ioasid_payer.
 */
#ifndef _IOASID_IOAS_TYPES_H
#define _IOASID_IOAS_TYPES_H

#include <linux/atomic.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <uapi/linux/ioasid.h>

#include "../mem/extent.h"

struct file;
struct ioasid_account;
struct ioasid_device_ops;
struct ioasid_mirror_ops;
struct ioasid_region;
struct ioas_devmem_range;
struct ioas_demand_server;
struct ioas_dirty;
struct ioas_domain;
struct ioas_origin;
struct ioasid_payer;
struct ioas_ranges;
struct ioasid_table_format;
struct iommu_domain;
struct iommu_group;

/**
 * struct ioas_ranges - IOVA ranges, ascending, disjoint
 * @nr: number of ranges
 * @range: the ranges
 */
struct ioas_ranges {
	unsigned int nr;
	struct ioasid_iova_range range[] __counted_by(nr);
};

/*
 * The states of a mapping.  Every change is made under ioas.lock.  "new" is a
 * mapping that was just allocated; "gone" is one that is out of the tree, and
 * is freed or in quarantine.
 *
 *	new --> PINNING <-----------> WRITING <-- new
 *	         |  |  \               |  |
 *	         |  |   +----+   +-----+  +--> gone
 *	         |  v        |   |
 *	         | gone      v   v
 *	         |           LIVE <----------> REMOVING --> gone
 *	         v           ^  ^                  ^
 *	     CANCELLED       |  |                  |
 *	         |           |  +---> LEAVING -----+
 *	         v           |          ^
 *	        gone         v          v
 *	       new ------> CHANGING <---+
 *	                     |
 *	                     +--> gone
 *
 *	PINNING <-----> CLAIMED ----> CANCELLED
 *	                  |
 *	                  +----> ABANDONED --> gone
 *
 * new -> PINNING: ioas_reserve(), or what IOASID_MAP_REPLACE will map
 * new -> WRITING: ioas_reserve() of a map by reference, or of a batch
 * new -> CHANGING: a filler of a claim
 * new -> LIVE: the upper part of a split mapping; memory that was pinned on demand
 * new -> CLAIMED -> CHANGING: a filler that stands for a CLAIMED mapping, which
 *     is out of the tree until that is CANCELLED
 * PINNING -> WRITING: the memory is pinned, or a child refers to its parent
 * PINNING -> LIVE: there is no IOPTE to write, or IOASID_MAP_REPLACE is
 *     published
 * PINNING -> CANCELLED: an unmap takes the range
 * PINNING -> CLAIMED: IOASID_MAP_REPLACE is about to take the range
 * CLAIMED -> PINNING: it failed
 * CLAIMED -> CANCELLED: it is published
 * CLAIMED -> ABANDONED: the memory cannot be pinned, or the map is interrupted
 * ABANDONED -> gone: the claim ends, and frees the mapping
 * PINNING -> gone: the memory cannot be pinned, or the map is interrupted
 * CANCELLED -> gone: the thread that maps it sees the state, and frees it
 * WRITING -> PINNING: the write was stopped, or the parent is busy: it tries
 *     again
 * WRITING -> LIVE: published
 * WRITING -> gone: the write failed, or the next try reserves the range anew
 * LIVE -> LEAVING: an unmap finds pages that accesses hold
 * LIVE -> CHANGING: a split, or a claim for IOASID_MAP_PROTECT or _REPLACE
 * LIVE -> REMOVING: an unmap
 * LEAVING -> LIVE: an access still holds pages, a claim ends without it, or a
 *     fatal signal ends the unmap
 * LEAVING -> CHANGING: the claim continues after the accesses unpinned
 * LEAVING -> REMOVING: the unmap continues after the accesses unpinned
 * CHANGING -> LIVE: the split or the change is over, or was undone
 * CHANGING -> LEAVING: a claim finds pages that accesses hold
 * CHANGING -> gone: replaced, or a filler of a claim that was given up
 * REMOVING -> LIVE: a batch undoes its unmaps
 * REMOVING -> gone: unmapped
 *
 * PINNING: the range is reserved, and its memory is being pinned.  That may
 * hang for ever in a page fault, so no thread waits for it.  A thread that
 * needs the range erases the mapping from the tree and makes it CANCELLED.
 * CANCELLED: out of the tree; the thread that maps it does not know yet.
 * CLAIMED: its memory is still being pinned, but it does not become WRITING
 * before the claim ends, which waits for no pin.
 * ABANDONED: CLAIMED, with no memory, and no thread that maps it.
 * WRITING: its IOPTEs are being written.  The write stops soon after
 * ioas_mapping.wanted is set.
 * LIVE: in every domain, and in the domain being populated if that is beyond
 * it.
 * LEAVING: LIVE for domains, unmapped for accesses, which are asked to unpin.
 * Domains can be added and removed meanwhile.
 * CHANGING: its IOPTEs are being split or rewritten.
 * REMOVING: its IOPTEs are being removed.
 *
 * A thread that pins or reads for an access waits for CHANGING only, in which
 * no access is called back.
 */
enum ioas_mapping_state {
	IOAS_MAPPING_PINNING,
	IOAS_MAPPING_WRITING,
	IOAS_MAPPING_LIVE,
	IOAS_MAPPING_LEAVING,
	IOAS_MAPPING_CHANGING,
	IOAS_MAPPING_REMOVING,
	IOAS_MAPPING_CANCELLED,
	IOAS_MAPPING_CLAIMED,
	IOAS_MAPPING_ABANDONED,
};

struct ioas_mapping;

struct ioas;

/**
 * struct ioas_ref - a reference of a child's mapping to a range of the parent
 * @rb: in ioas_parent.refs of the parent, by ioas_mapping.addr
 * @fresh: in ioas_parent.fresh, while the reference is not indexed
 * @last: last byte of the range, which begins at ioas_mapping.addr
 * @subtree_last: the largest @last in this subtree
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
 * enum ioas_backing - the memory behind a mapping
 * @IOAS_BACKING_NONE: none: a reserved range, a filler, or a mapping that does
 *	not have its memory yet, or no longer
 * @IOAS_BACKING_PIECES: none: several mappings will take its place
 * @IOAS_BACKING_DEMAND: none: it is recorded, and pinned on demand
 * @IOAS_BACKING_DEVICE: memory of a device, which is not pinned
 * @IOAS_BACKING_PARENT_DEVICE: the same, by a reference to the parent
 * @IOAS_BACKING_PINNED: memory that the mapping pins and charges
 * @IOAS_BACKING_PARENT: memory of the parent, by a reference to it
 *
 * The last two have ioas_mapping.mem: see ioas_mapping_has_memory().
 */
enum ioas_backing {
	IOAS_BACKING_NONE,
	IOAS_BACKING_PIECES,
	IOAS_BACKING_DEMAND,
	IOAS_BACKING_DEVICE,
	IOAS_BACKING_PARENT_DEVICE,
	IOAS_BACKING_PINNED,
	IOAS_BACKING_PARENT,
};

/*
 * In ioas_mapping.flags: a filler, which ioasid_account.mappings does not count.  The bit
 * is that of a flag which only commands have.
 */
#define IOAS_MAPPING_UNCOUNTED	IOASID_MAP_PROTECT

/**
 * struct ioas_mapping - a range of IOVAs with one permission
 * @rb: in ioas.mappings
 * @start: first byte
 * @last: last byte
 * @gap: bytes between the mapping before and this one; in ioas.quarantine:
 *	bytes of memory of this mapping and of those after it
 * @subtree_gap: the largest @gap in this subtree
 * @mem: the memory, if ioas_mapping_has_memory(); otherwise empty
 * @device: if ioas_mapping_is_device(): the device memory, in place of the
 *	extents of @mem, which is empty
 * @payer: of IOAS_BACKING_PINNED: the payer of the memory
 * @ino: of IOAS_BACKING_PINNED, with IOASID_MAP_FILE: inode number of the file
 * @dev: the same: device number of its file system, as stat() has it
 * @origin: with ioas.demand, of IOAS_BACKING_DEMAND and IOAS_BACKING_PINNED: where
 *	its memory comes from
 * @ioas: if ioas_mapping_has_ref(): the child
 * @ref: if ioas_mapping_has_ref(): the reference to the parent
 * @addr: user address, file offset or address in the parent that @start maps;
 *	ioas_mapping_addr() returns the last relative to an import
 * @next: in a list of mappings that are changed or removed together; with
 *	IOAS_BACKING_PIECES: the one that is being written, or NULL
 * @readers: number of threads that read @mem now; they wait for nothing
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE, IOASID_MAP_FILE,
 *	IOASID_MAP_RESERVE, IOAS_MAPPING_UNCOUNTED
 * @cut_shift: log2 of the cut size, 0 for none
 * @state: enum ioas_mapping_state
 * @backing: enum ioas_backing
 * @in_populating: while REMOVING or CHANGING: the domain being populated has it
 * @wanted: another thread waits for the mapping, or a cascading unmap of the
 *	parent for its reference: a long write of its IOPTEs stops, and is undone
 * @indexed: @ref is in a tree; protected by the lock of the parent
 * @apart: of a root with ioas.demand: it begins where an unmap has begun or ended,
 *	and does not become one with the mapping before it
 * @inexact: while REMOVING, with ioas_removal.tells: devices may have written it
 *	with no dirty bit that was read
 */
struct ioas_mapping {
	struct rb_node rb;
	u64 start;
	u64 last;
	u64 gap;
	u64 subtree_gap;
	union {
		struct ioasid_memory mem;
		struct ioas_devmem_range *device;
	};
	union {
		struct {
			struct ioasid_payer *payer;
			u64 ino;
			u32 dev;
			struct ioas_origin *origin;
		};
		struct {
			struct ioas *ioas;
			struct ioas_ref ref;
		};
	};
	u64 addr;
	struct ioas_mapping *next;
	unsigned int readers;
	u8 flags;
	u8 cut_shift;
	u8 state;
	enum ioas_backing backing : 8;
	bool in_populating;
	bool wanted;
	union {
		bool indexed;
		bool apart;
	};
	bool inexact;
};

/* Children of the same context, and children that use an import */
enum ioas_refs_side {
	IOAS_REFS_OWN,
	IOAS_REFS_IMPORTS,
	IOAS_REFS_SIDES
};

/**
 * struct ioas_freeze - a range of a parent with a cascading unmap in progress
 * @it: in ioas_parent.frozen
 * @task: the thread that unmaps it
 *
 * No child can refer to anything in the range until it thaws.
 */
struct ioas_freeze {
	struct interval_tree_node it;
	struct task_struct *task;
};

/**
 * struct ioas_parent - the part of an address space that parents need
 * @refs: mappings of children that refer to it, by @addr, then by pointer
 * @fresh: references that are not indexed yet
 * @frozen: struct ioas_freeze, which do not overlap
 * @closed: its context was closed: no import shows it
 *
 * Protected by the lock of the address space.
 */
struct ioas_parent {
	struct rb_root refs[IOAS_REFS_SIDES];
	struct list_head fresh;
	struct rb_root_cached frozen;
	bool closed;
};

/**
 * struct ioas_export - memory that is shared with other contexts
 * @start: first byte of the range of the parent; address 0 of an import
 * @last: last byte of the range
 * @permission: IOASID_MAP_READ, IOASID_MAP_WRITE: the most that imports permit
 * @limit: maximum number of mappings by reference through its imports
 * @used: current number of these
 */
struct ioas_export {
	u64 start;
	u64 last;
	u32 permission;
	u64 limit;
	atomic64_t used;
};

/**
 * struct ioas_import - a parent as children in another context see it
 * @export: range, permission and limit
 * @dead: freed: no new child, and no new reference
 * @left: the parent does not count it
 * @children: number of children
 *
 * Protected by the lock of the parent.
 */
struct ioas_import {
	struct ioas_export *export;
	bool dead;
	bool left;
	unsigned int children;
};

/**
 * struct ioas_access - a software device that uses an address space
 * @node: in ioas_holds.accesses
 * @calls: number of threads in @unmap; protected by the lock of the address
 *	space
 * @unmap: unpin the pages from @start to @last.  Called with no lock held: it
 *	may wait for threads that pin or read.
 */
struct ioas_access {
	struct list_head node;
	unsigned int calls;
	void (*unmap)(struct ioas_access *access, u64 start, u64 last);
};

/* Mark of ioas_holds.held: pinned for writing, by any of the accesses */
#define IOAS_HELD_WRITABLE	XA_MARK_0

/**
 * struct ioas_holds - accesses of an address space, and the pages that they
 *	hold
 * @held: pin count of each page, by page of IOVA
 * @accesses: the accesses
 *
 * Protected by the lock of the address space.
 */
struct ioas_holds {
	struct xarray held;
	struct list_head accesses;
};

/**
 * struct ioas_table - what user space said about its page table
 * @root: address in the parent of the page where it begins
 * @iova: of the mapping in the child that refers to that page
 * @length: bytes of @data
 * @data: a copy, for IOMMU drivers
 */
struct ioas_table {
	u64 root;
	u64 iova;
	u32 length;
	u8 data[] __counted_by(length);
};

/**
 * struct ioas_nests - a page table of user space, and where devices use it
 * @parent: the address space that translates its addresses, and its output
 * @format: its format
 * @sem: protects what follows; held for reading while caches are invalidated
 * @table: the table; NULL: none is bound
 * @moving: number of attachments that are about to be attached elsewhere
 * @still: threads that wait until @moving is 0
 * @nr: number of nested domains; read without @sem, too
 * @list: its nested domains, one for each domain of @parent below which it is
 *	used
 * @attachments: attachments of groups and PASIDs to @parent, whose DMA it
 *	translates first
 *
 * Lock order: ioas.attach_lock of @parent, @sem, ioas.tables.sem of @parent.
 */
struct ioas_nests {
	struct ioas *parent;
	const struct ioasid_table_format *format;
	struct rw_semaphore sem;	/* see above */
	struct ioas_table *table;
	unsigned int moving;
	wait_queue_head_t still;
	unsigned int nr;
	struct list_head list;
	struct hlist_head attachments;
};

/**
 * struct ioas_nest - a page table of user space over one domain
 * @node: in ioas_nests.list, or in that of a bind in progress
 * @dom: the domain, of the parent
 * @iommu: the nested domain
 * @users: attachments that use it, and a bind that made it
 */
struct ioas_nest {
	struct list_head node;
	struct ioas_domain *dom;
	struct iommu_domain *iommu;
	unsigned int users;
};

/**
 * struct ioas_reach - the IOVAs that a group can use in a domain
 * @node: in ioas.reaches
 * @group: the group
 * @dom: the domain
 * @ranges: the IOVAs
 * @users: attachments of the group, or of PASIDs of its device, to the domain
 */
struct ioas_reach {
	struct hlist_node node;
	const struct iommu_group *group;
	const struct ioas_domain *dom;
	struct ioas_ranges *ranges;
	unsigned int users;
};

/**
 * struct ioas_translator - a device that translates by itself
 * @ops: the ops of its framework
 * @data: passed to @ops
 * @range: the IOVAs that it translates
 */
struct ioas_translator {
	const struct ioasid_mirror_ops *ops;
	void *data;
	struct ioasid_iova_range range;
};

/**
 * struct ioas_attachment - the route of DMA to an address space: of an iommu
 *	group, of one PASID of a device, or of one table of a device that translates
 *	by itself
 * @group: the group
 * @dev: one of its devices, bound; NULL if the group was bound as a whole; with
 *	a PASID, the device
 * @pasid: the PASID; IOMMU_NO_PASID for the group; with @by the number of the table;
 *	IOMMU_PASID_INVALID, a PASID that has no number now
 * @by: the device, if it translates by itself; @dom is a mirror, and @group NULL
 * @home: the domain that the group goes to when it is blocked, and that maps
 *	nothing; NULL, the blocking domain of the core.  @dom is never finalized on
 *	attach if it is set
 * @limit: its IOVAs, if the IOMMU and the group do not limit them enough; or NULL
 * @on: with a PASID: what the IOMMU driver has attached it to, which may still be
 *	a domain of another address space; NULL, it is blocked
 * @faults: page requests are served
 * @recorded: it joins without being led: only ioas_activate() leads it
 * @ioas: the address space that it has joined
 * @handle: identify attaches of a PASID to the IOMMU core, and with @faults those of
 *	the group: one is used, the other one takes its place when the route changes
 * @handle_nr: the index of the one that is used
 * @dom: the domain that the group is attached to; NULL while there is none
 * @reach: the IOVAs that its group can use in @dom
 * @blocked: the group's DMA is blocked, since its domain is poisoned, the
 *	group is about to move, or it is recorded and not active
 * @nests: the table of user space that translates its DMA before @dom does; NULL
 *	if the group is attached to @dom itself
 * @in_nests: in ioas_nests.attachments
 * @nest: what translates its DMA: @nests over @dom; NULL: it is blocked
 * @moving: it is about to be attached elsewhere: it counts in ioas_nests.moving
 *
 * @group, @dev, @pasid, @faults, @recorded, @ioas and @by to @limit do not change while it
 * has joined; of a recorded one, @pasid does while it is not active.  The rest is
 * protected by ioas.attach_lock; @in_nests, @nest and @moving by ioas_nests.sem;
 * @on, @handle and @blocked of a recorded one by the caller of ioas_activate().
 */
struct ioas_attachment {
	struct iommu_group *group;
	struct device *dev;
	u32 pasid;
	const struct ioas_translator *by;
	struct iommu_domain *home;
	const struct ioasid_iova_range *limit;
	struct iommu_domain *on;
	bool faults;
	bool recorded;
	struct ioas *ioas;
	struct iommu_attach_handle handle[2];
	struct ioas_domain *dom;
	struct ioas_reach *reach;
	u8 handle_nr : 1;
	bool blocked;
	bool moving;
	struct ioas_nests *nests;
	struct hlist_node in_nests;
	struct ioas_nest *nest;
};

/**
 * struct ioas_tables - the domains of an address space
 * @sem: held for reading to use the domains, and from making a mapping WRITING,
 *	CHANGING or REMOVING until it leaves that state; for writing to change
 *	@list, and while a driver attaches a group
 * @list: the domains, fully populated; ioas/tables.[ch] alone walk it
 * @populating: the domain being populated, before it is in @list; struct
 *	ioas_domain has its progress.  Changes with @sem held for writing and
 *	the lock of the address space.
 */
struct ioas_tables {
	struct rw_semaphore sem;
	struct list_head list;
	struct ioas_domain *populating;
};

/**
 * struct ioas_devmem - device memory of an address space
 * @lock: serialises writing, removing and revoking; see ioas/devmem.c
 * @exclusive: ioas_tables.sem is held for writing
 * @wait: waits for @exclusive to be clear
 * @ranges: ranges that are in the domains, or would be if there were any
 * @nr_revoked: number of mappings that are revoked
 */
struct ioas_devmem {
	struct mutex lock;		/* see ioas/devmem.c */
	bool exclusive;
	wait_queue_head_t wait;
	struct list_head ranges;
	unsigned int nr_revoked;
};

/**
 * struct ioas_demand - memory of a root that is pinned when children refer to it,
 *	or devices request it
 * @windows: struct ioas_window, by address in units of their size
 * @recent: the one of these that was looked for last; or NULL
 * @idle: windows that are not used, whose memory is still pinned; in the order of
 *	their last use
 * @nr_idle: number of these
 * @max_idle: number of these above which @trim unpins
 * @domains: number of domains of the root; while there are any, nothing is unpinned
 *	but what is unmapped
 * @trim: unpins what was idle for a while
 * @ioas: the address space
 * @bytes: bytes that are recorded, and not pinned
 * @server: serves the page requests of devices; does not change
 * @shift: log2 of the size of windows
 *
 * Protected by the lock of the address space.
 */
struct ioas_demand {
	struct xarray windows;
	struct ioas_window *recent;
	struct list_head idle;
	unsigned long nr_idle;
	unsigned long max_idle;
	unsigned int domains;
	struct delayed_work trim;
	struct ioas *ioas;
	u64 bytes;
	struct ioas_demand_server *server;
	u8 shift;
};

/**
 * struct ioas_ops - callbacks of the owner of an address space
 * @changed: it is poisoned, memory of a device was revoked or is back, or memory of
 *	an import was revoked.  Does not sleep; called with no spinlock held.
 * @poisoned: one of its domains is poisoned: block the groups that are attached
 *	to it.  May sleep; called with no lock of the address space held.
 * @owns_file: test whether a file belongs to a device whose memory can be
 *	mapped here.  May sleep; called with no lock held.
 * @watch: watch memory of a device, at an offset in its file: see struct
 *	ioasid_device_ops.  @unwatch undoes it with what is returned in @how.  May
 *	sleep; called with no lock held.
 * @unwatch: undo @watch
 * @get: take a reference that keeps the structure allocated; false while it is
 *	being destroyed.  Called with a lock of its parent held.
 * @put: undo @get.  May sleep.
 */
struct ioas_ops {
	void (*changed)(struct ioas *ioas);
	void (*poisoned)(struct ioas *ioas);
	bool (*owns_file)(struct ioas *ioas, struct file *file);
	int (*watch)(struct ioas *ioas, struct file *file, u64 offset,
		     u64 length, struct ioasid_region *region,
		     const struct ioasid_device_ops **how);
	void (*unwatch)(struct ioasid_region *region,
			const struct ioasid_device_ops *how);
	bool (*get)(struct ioas *ioas);
	void (*put)(struct ioas *ioas);
};

/**
 * struct ioas - an address space
 * @account: account that its mappings are charged to
 * @ops: callbacks of the owner
 * @parent: address space that its mappings refer to, NULL for a root
 * @import: of a child: import through which it sees @parent in another context; or
 *	NULL; see ioas_import_of()
 * @dirty: of a root: the log if it is tracked, or NULL; changes with attach_lock held
 * @depth: number of parents above it
 * @left: neither @parent nor @import counts it
 * @lock: protects the mappings and all that follows up to @tables
 * @cut_shift: default cut size of new mappings, log2, 0 for none
 * @enforce_cache_coherency: no-snoop DMA must be made coherent
 * @nest_parent: its domains can be the stage 2 of tables of user space, where
 *	the IOMMU can do that
 * @memory_only: its mappings cannot refer to memory of devices
 * @wants_dirty: its domains have dirty bits, where the IOMMU can do that
 * @serves_faults: its domains lead page requests to routes for faults
 * @mirrors_process: its domains have what the page tables of a process have: see
 *	ioas/process.c
 * @dead: freed: no new mapping, device or child
 * @poisoned: a domain is poisoned
 * @knows_gaps: @gap and @subtree_gap of the mappings are up to date
 * @counted: its mappings are counted in ioasid_account.mappings; never cleared
 * @changes: number of changes of the tree, modulo 2^32
 * @partial: number of groups that wait for a sibling
 * @devices: number of attached devices
 * @mappings: mappings by IOVA
 * @wait: waits for mappings to change state, and for pins and readers to end
 * @nr_nodes: number of mappings in the tree, in any state
 * @process: with @mirrors_process, which has no mappings: the process
 * @nr_mappings: number of published mappings
 * @bytes_mapped: bytes of memory in these
 * @quarantine: mappings that a poisoned domain may still reach
 * @permitted: IOVAs that all attachments can use, NULL for all
 * @as_parent: what parents need; NULL until it is prepared to be a parent; set
 *	once
 * @children: number of children, each import counting as one
 * @change_must_stop: a cascading unmap of the parent waits for a CHANGING mapping;
 *	cleared when a change claims its range
 * @holds: accesses and their pins; NULL until it is prepared for them; set once
 * @devmem: device memory; NULL until some is mapped; set with tables.sem held
 *	for reading
 * @demand: of a root that pins its memory on demand; otherwise NULL; does not change
 * @tables: the domains
 * @attach_lock: serialises attach and detach; protects @reaches
 * @reaches: what limits @permitted, one for each group and domain, however many
 *	PASIDs of the group's device are attached
 *
 * Lock order: attach_lock, tables.sem, lock, lock of the parent.  A thread
 * that waits for a mapping to change state holds none of them; one that has
 * frozen a range of the parent may wait.
 */
struct ioas {
	struct ioasid_account *account;
	const struct ioas_ops *ops;
	struct ioas *parent;
	union {
		struct ioas_import *import;
		struct ioas_dirty __rcu *dirty;
	};

	spinlock_t lock;		/* protects the mappings */
	u8 depth : 7;			/* lock of the parent, as the next */
	u8 left : 1;
	u8 cut_shift;
	bool enforce_cache_coherency : 1;
	bool nest_parent : 1;
	bool memory_only : 1;
	bool wants_dirty : 1;
	bool serves_faults : 1;
	bool mirrors_process : 1;
	bool dead : 1;
	bool poisoned : 1;
	bool knows_gaps : 1;
	bool counted : 1;
	u32 changes;
	unsigned int partial;
	unsigned int devices;
	unsigned int children;
	bool change_must_stop;
	struct rb_root mappings;
	wait_queue_head_t wait;
	union {
		u64 nr_nodes;
		struct ioas_process *process;
	};
	u64 nr_mappings;
	u64 bytes_mapped;
	struct ioas_mapping *quarantine;
	struct ioas_ranges *permitted;
	struct ioas_parent *as_parent;
	struct ioas_holds *holds;
	struct ioas_devmem *devmem;
	struct ioas_demand *demand;

	struct ioas_tables tables;

	struct mutex attach_lock;	/* protects reaches */
	struct hlist_head reaches;
};

/* The import of an address space that may be a root */
static inline struct ioas_import *ioas_import_of(const struct ioas *ioas)
{
	return ioas->parent ? ioas->import : NULL;
}

/**
 * struct ioas_dirty_sink - where dirty bits go
 * @record: take a range that a device wrote; or, if not @exact, that it may have
 *	written.  Does not sleep
 * @is_on: test whether @record has an effect.  If it has none after a flush, no write
 *	by an IOPTE that was removed before the flush has to be recorded.  Does not
 *	sleep
 * @ioas: the address space whose IOPTEs are read
 * @m: the mapping whose IOPTEs are read, which does not change meanwhile; NULL:
 *	one of @ioas that is in the tree
 */
struct ioas_dirty_sink {
	void (*record)(const struct ioas_dirty_sink *sink, u64 iova, u64 length,
		       bool exact);
	bool (*is_on)(const struct ioas_dirty_sink *sink);
	struct ioas *ioas;
	const struct ioas_mapping *m;
};

/**
 * struct ioas_removal - mappings that are removed together
 * @first: REMOVING mappings, linked by @next
 * @tail: the @next of the last one
 * @nr: number of mappings
 * @scattered: the mappings do not all touch, or do not ascend
 * @left_out: some mappings were skipped, since children refer to them
 * @tells: what devices wrote is to stay in the log: with IOASID_UNMAP_DIRTY
 * @leaving: LEAVING mappings, linked by @next, ascending, to be removed later
 */
struct ioas_removal {
	struct ioas_mapping *first;
	struct ioas_mapping **tail;
	unsigned int nr;
	bool scattered;
	bool left_out;
	bool tells;
	struct ioas_mapping *leaving;
};

#endif /* _IOASID_IOAS_TYPES_H */
