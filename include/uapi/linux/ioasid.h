/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/ioasid: I/O address spaces for devices that user space drives.
 */
#ifndef _UAPI_LINUX_IOASID_H
#define _UAPI_LINUX_IOASID_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: Rules of the interface
 *
 * One open file of /dev/ioasid is a *context*.  It holds IOASIDs, each of them
 * one I/O address space, and the devices that were bound to it.
 *
 * Every structure begins with @argsz, its size as the caller was compiled with,
 * and @flags.  A caller may pass a structure that is shorter than the kernel's,
 * down to the minimum that the first release of the command had: the missing
 * part counts as zero.  A longer structure is accepted as long as the part that
 * the kernel does not know is zero.  The layout is the same for 32 and 64 bit
 * user space.
 *
 * Ids of IOASIDs and of devices come from one namespace per context, are
 * handed out cyclically and are never 0.  All addresses and lengths are in
 * bytes and multiples of the CPU's page size; a range reaches at most to the
 * last byte of the 64 bit space.  Structures are aligned to 8 bytes.
 *
 * Commands that fill an array of the caller return 0, fill as many elements as
 * fit, and return their total number, or where to continue.
 *
 * A command that fails has changed nothing, unless its description names the
 * outputs that say how far it came.  Errors that any command may return:
 *
 *  * ENOTTY: the command is not known.
 *  * EFAULT: a structure or an array of the caller's cannot be read or
 *    written.
 *  * EINVAL: @argsz is below the command's minimum; a reserved field is not
 *    0; an argument is malformed, misaligned or overflows.
 *  * E2BIG: the structure is longer than the kernel's and its unknown part is
 *    not zero, or it is longer than a page.
 *  * EOPNOTSUPP: an unknown flag, or a known field with a value that is not
 *    supported here.
 *  * ENOENT: an id that names no object, or an object of the wrong type.
 *  * ENOMEM: the kernel is out of memory, or the memory cgroup is.
 *  * EINTR: a fatal signal ended the command early.
 *
 * The structure of a command lists its further errors.
 */

#define IOASID_TYPE	'i'
#define IOASID_BASE	0x40

#define IOASID_CHECK_EXTENSION	_IO(IOASID_TYPE, IOASID_BASE + 0x00)
#define IOASID_ALLOC		_IO(IOASID_TYPE, IOASID_BASE + 0x01)
#define IOASID_FREE		_IO(IOASID_TYPE, IOASID_BASE + 0x02)
#define IOASID_GET_INFO		_IO(IOASID_TYPE, IOASID_BASE + 0x03)
#define IOASID_DEVICE_GET_INFO	_IO(IOASID_TYPE, IOASID_BASE + 0x04)
#define IOASID_MAP_DMA		_IO(IOASID_TYPE, IOASID_BASE + 0x05)
#define IOASID_UNMAP_DMA	_IO(IOASID_TYPE, IOASID_BASE + 0x06)
#define IOASID_DMA_BATCH	_IO(IOASID_TYPE, IOASID_BASE + 0x07)
#define IOASID_QUERY_MAP	_IO(IOASID_TYPE, IOASID_BASE + 0x08)
#define IOASID_BIND_PGTABLE	_IO(IOASID_TYPE, IOASID_BASE + 0x09)
#define IOASID_UNBIND_PGTABLE	_IO(IOASID_TYPE, IOASID_BASE + 0x0a)
#define IOASID_BIND_PASID_TABLE	_IO(IOASID_TYPE, IOASID_BASE + 0x0b)
#define IOASID_UNBIND_PASID_TABLE	_IO(IOASID_TYPE, IOASID_BASE + 0x0c)
#define IOASID_INVALIDATE_CACHE	_IO(IOASID_TYPE, IOASID_BASE + 0x0d)
#define IOASID_FAULT_QUEUE	_IO(IOASID_TYPE, IOASID_BASE + 0x0e)
#define IOASID_SET_DIRTY	_IO(IOASID_TYPE, IOASID_BASE + 0x0f)
#define IOASID_GET_DIRTY	_IO(IOASID_TYPE, IOASID_BASE + 0x10)
#define IOASID_EXPORT		_IO(IOASID_TYPE, IOASID_BASE + 0x11)
#define IOASID_IMPORT		_IO(IOASID_TYPE, IOASID_BASE + 0x12)
#define IOASID_LIST		_IO(IOASID_TYPE, IOASID_BASE + 0x13)
#define IOASID_SET_OPTION	_IO(IOASID_TYPE, IOASID_BASE + 0x14)
#define IOASID_REHOME		_IO(IOASID_TYPE, IOASID_BASE + 0x15)
#define IOASID_VFIO_IOASID	_IO(IOASID_TYPE, IOASID_BASE + 0x16)
#define IOASID_GET_EVENTS	_IO(IOASID_TYPE, IOASID_BASE + 0x1b)

/* Only on the file of a bound device: see struct ioasid_device_get_id */
#define IOASID_DEVICE_GET_ID	_IO(IOASID_TYPE, IOASID_BASE + 0x1a)

/* Only on the file of a VFIO container: see IOASID_VFIO_FILE */
#define IOASID_VFIO_BIND_GROUP	_IO(IOASID_TYPE, IOASID_BASE + 0x17)
#define IOASID_VFIO_ATTACH_GROUP _IO(IOASID_TYPE, IOASID_BASE + 0x18)
#define IOASID_VFIO_DETACH_GROUP _IO(IOASID_TYPE, IOASID_BASE + 0x19)

/**
 * enum ioasid_extension - features for IOASID_CHECK_EXTENSION
 * @IOASID_EXT_MAP: IOASIDs of the kind IOASID_KIND_MAP. 1 when there.
 * @IOASID_EXT_MAP_FILE: IOASID_MAP_FILE maps memfd, shmem and hugetlbfs files.
 *	1 when there; 0 while memory is in ZONE_MOVABLE, or the kernel has CMA, and
 *	its memfd_pin_folios() lacks a fix: the flag is then EOPNOTSUPP.
 * @IOASID_EXT_SPLIT: IOASID_UNMAP_SPLIT cuts mappings off their grid. 1 when
 *	there.
 * @IOASID_EXT_MAX_DEPTH: possible levels of IOASIDs, roots included. 1 means
 *	that an IOASID cannot be a parent.
 * @IOASID_EXT_MAX_IOASIDS: possible number of ids in a context, IOASIDs and
 *	devices together.
 * @IOASID_EXT_DMA_BATCH: IOASID_DMA_BATCH. 1 when there.
 * @IOASID_EXT_QUERY_MAP: IOASID_QUERY_MAP. 1 when there.
 * @IOASID_EXT_EXPORT: IOASID_EXPORT and IOASID_IMPORT. 1 when there.
 * @IOASID_EXT_URING_BATCH: struct ioasid_uring_batch. 1 when there.
 * @IOASID_EXT_PROTECT: IOASID_MAP_PROTECT. 1 when there.
 * @IOASID_EXT_REPLACE: IOASID_MAP_REPLACE. 1 when there.
 * @IOASID_EXT_PASID: IOASID_ATTACH_PASID and IOASID_ATTACH_PASID_ANY. 1 when
 *	there; @pasid_width of struct ioasid_device_info tells of each device.
 * @IOASID_EXT_BATCH_CHANGE: operations of IOASID_DMA_BATCH can have
 *	IOASID_MAP_PROTECT, IOASID_MAP_REPLACE, IOASID_MAP_SPLIT and a cut size. 1
 *	when there.
 * @IOASID_EXT_EVENTS: poll() of the file, and IOASID_GET_EVENTS. 1 when there.
 * @IOASID_EXT_BATCH_IOASID: operations of IOASID_DMA_BATCH can have
 *	IOASID_DMA_OP_IOASID. 1 when there.
 * @IOASID_EXT_FAULT_QUEUE: IOASID_FAULT_QUEUE, and @fault_queue of struct
 *	ioasid_alloc. 1 when there. IOASID_DEVICE_FAULTS tells of each device if it
 *	requests pages.
 * @IOASID_EXT_UNREPAIRABLE: records of the kind IOASID_FAULT_UNREPAIRABLE. 1 when
 *	there; 0 where the kernel's IOMMU core lacks what they need.
 * @IOASID_EXT_DEMAND: IOASID_ALLOC_DEMAND. 1 when there.
 * @IOASID_EXT_DEMAND_DEVICES: devices that request pages can attach to such an
 *	IOASID. 1 when there.
 * @IOASID_EXT_PROCESS: IOASID_KIND_PROCESS. 1 when the kernel was built with
 *	HMM_MIRROR.
 * @IOASID_EXT_PASID_HITLESS: IOASID_ATTACH_HITLESS. 1 when the kernel has it;
 *	IOASID_DEVICE_PASID_HITLESS says whether the IOMMU of a device supports it.
 * @IOASID_EXT_CHILD_DEVMEM: children can refer to memory of devices. 1 when
 *	there.
 * @IOASID_EXT_DEVICE_REGION: IOASID_MAP_FILE with a device file. 1 when the
 *	kernel's VFIO can tell when memory of a device goes, and when it is back;
 *	not all of its drivers can.
 * @IOASID_EXT_DIRTY: IOASID_SET_DIRTY, IOASID_GET_DIRTY, IOASID_UNMAP_DIRTY and
 *	IOASID_ALLOC_DIRTY. 1 when there; 0 where the kernel's IOMMU core lacks what
 *	they need.
 * @IOASID_EXT_PGTABLE: IOASID_ALLOC_NEST_PARENT and IOASID_KIND_PGTABLE, with
 *	IOASID_BIND_PGTABLE, IOASID_UNBIND_PGTABLE and IOASID_INVALIDATE_CACHE. 1
 *	when there; 0 where the kernel's IOMMU core lacks what they need: the kind
 *	and the flag are then EOPNOTSUPP. Whether the IOMMU of a device can walk a
 *	user's table, IOASID_DEVICE_GET_INFO tells.
 * @IOASID_EXT_PASID_TABLE: the same for IOASID_KIND_PASID_TABLE, with
 *	IOASID_BIND_PASID_TABLE and IOASID_UNBIND_PASID_TABLE.
 * @IOASID_EXT_REHOME: IOASID_REHOME. 1 or more when there; 2 or more when
 *	@entries of struct ioasid_rehome are there, too.
 */
enum ioasid_extension {
	IOASID_EXT_MAP = 1,
	IOASID_EXT_MAP_FILE = 2,
	IOASID_EXT_SPLIT = 3,
	IOASID_EXT_MAX_DEPTH = 4,
	IOASID_EXT_MAX_IOASIDS = 5,
	IOASID_EXT_DMA_BATCH = 6,
	IOASID_EXT_QUERY_MAP = 7,
	IOASID_EXT_EXPORT = 8,
	IOASID_EXT_URING_BATCH = 9,
	IOASID_EXT_PROTECT = 10,
	IOASID_EXT_REPLACE = 11,
	IOASID_EXT_PASID = 12,
	IOASID_EXT_PGTABLE = 13,
	IOASID_EXT_PASID_TABLE = 14,
	IOASID_EXT_FAULT_QUEUE = 15,
	IOASID_EXT_DEMAND = 16,
	IOASID_EXT_PROCESS = 17,
	IOASID_EXT_DIRTY = 18,
	IOASID_EXT_PASID_HITLESS = 19,
	IOASID_EXT_CHILD_DEVMEM = 20,
	IOASID_EXT_DEVICE_REGION = 21,
	IOASID_EXT_BATCH_CHANGE = 22,
	IOASID_EXT_EVENTS = 24,
	IOASID_EXT_BATCH_IOASID = 25,
	IOASID_EXT_UNREPAIRABLE = 26,
	IOASID_EXT_REHOME = 27,
	IOASID_EXT_DEMAND_DEVICES = 28,
};

/**
 * struct ioasid_check_extension - ioctl(IOASID_CHECK_EXTENSION)
 * @argsz: sizeof(struct ioasid_check_extension)
 * @flags: must be 0
 * @extension: one of enum ioasid_extension
 * @__reserved: must be 0
 *
 * Returns 0 when the extension is not there or not known, or else its value,
 * which is positive.
 */
struct ioasid_check_extension {
	__u32 argsz;
	__u32 flags;
	__u32 extension;
	__u32 __reserved;
};

/**
 * enum ioasid_kind - kinds of IOASIDs
 * @IOASID_KIND_MAP: IOASID_MAP_DMA and IOASID_UNMAP_DMA
 * @IOASID_KIND_PGTABLE: a page table that user space writes, in memory that the
 *	parent maps: IOASID_BIND_PGTABLE and IOASID_INVALIDATE_CACHE
 * @IOASID_KIND_PASID_TABLE: a table that user space writes, in memory that the
 *	parent maps, with a page table for each PASID: IOASID_BIND_PASID_TABLE and
 *	IOASID_INVALIDATE_CACHE
 * @IOASID_KIND_PROCESS: the memory of the process that makes it: no command maps it
 * @IOASID_KIND_IMPORT: stands for an IOASID of another context, made by
 *	IOASID_IMPORT and not by IOASID_ALLOC
 */
enum ioasid_kind {
	IOASID_KIND_MAP = 1,
	IOASID_KIND_PGTABLE = 2,
	IOASID_KIND_PASID_TABLE = 3,
	IOASID_KIND_PROCESS = 4,
	IOASID_KIND_IMPORT = 16,
};

/**
 * enum ioasid_snoop - whether no-snoop DMA of attached devices is made coherent
 * @IOASID_SNOOP_AUTO: enforced for every device whose IOMMU is able to
 * @IOASID_SNOOP_ON: enforced; devices whose IOMMU is not able to cannot attach
 * @IOASID_SNOOP_OFF: not enforced. Not supported (EOPNOTSUPP).
 */
enum ioasid_snoop {
	IOASID_SNOOP_AUTO = 0,
	IOASID_SNOOP_ON = 1,
	IOASID_SNOOP_OFF = 2,
};

/**
 * enum ioasid_alloc_flags - flags of IOASID_ALLOC
 * @IOASID_ALLOC_NEST_PARENT: a root that can be the parent of IOASIDs of the kind
 *	IOASID_KIND_PGTABLE. Where an IOMMU can walk tables of user space, its
 *	page tables for this IOASID are of the sort that these need below them.
 * @IOASID_ALLOC_DIRTY: of the kind IOASID_KIND_MAP: where an IOMMU has dirty
 *	bits, its page tables for this IOASID have them: see struct
 *	ioasid_set_dirty. An IOMMU may have none where a PASID is attached.
 * @IOASID_ALLOC_DEMAND: a root that pins no memory before children refer to it, or
 *	devices request it. Excludes IOASID_ALLOC_NEST_PARENT.
 */
enum ioasid_alloc_flags {
	IOASID_ALLOC_NEST_PARENT = 1 << 0,
	IOASID_ALLOC_DIRTY = 1 << 1,
	IOASID_ALLOC_DEMAND = 1 << 2,
};

/**
 * struct ioasid_alloc - ioctl(IOASID_ALLOC)
 * @argsz: sizeof(struct ioasid_alloc)
 * @flags: enum ioasid_alloc_flags
 * @kind: enum ioasid_kind
 * @parent: 0 for a root, whose mappings name memory of the caller; or an
 *	IOASID, whose addresses the mappings of this one, its child, will name;
 *	or an import
 * @cookie: any number; shown by IOASID_GET_INFO and IOASID_LIST
 * @cut_size: the cut size of mappings that do not state their own, in bytes:
 *	a power of two not below the page size, or 0 for none. Must be 0 for
 *	all kinds but IOASID_KIND_MAP
 * @snoop: enum ioasid_snoop; must be 0 for IOASID_KIND_PGTABLE and
 *	IOASID_KIND_PASID_TABLE, where the parent's applies
 * @format: format of a user's table: enum iommu_hwpt_data_type of
 *	linux/iommufd.h, or a number that an IOMMU driver has registered. Must be 0
 *	for IOASID_KIND_MAP and IOASID_KIND_PROCESS, and not 0 for the others
 * @fault_queue: id of a fault queue, where faults of devices that are attached to
 *	the IOASID are told; or 0. See struct ioasid_fault_queue
 * @ioasid: out, the id
 *
 * Makes an IOASID.  It is empty, costs no hardware resources before a device
 * attaches to it, and can be mapped to at once.
 *
 * A child maps by reference: IOASID_MAP_DMA on it names addresses of the
 * parent, and devices will reach the memory that the parent has mapped there.
 * Nothing is pinned or charged for a child.  It keeps its parent's mappings
 * from being unmapped, unless by IOASID_UNMAP_CASCADE.  Which devices are
 * attached to the parent, if any are, makes no difference to a child.
 *
 * With IOASID_ALLOC_DEMAND, IOASID_MAP_DMA pins and charges nothing.  When a child
 * refers to memory it is pinned and charged, with what else can be pinned in its
 * windows: ranges of @cut_size, or of 2 MiB where that is 0.  It stays pinned as long
 * as mappings of children lie in the window, and a fraction of a second longer; a few
 * MiB stay pinned until others take their place, or a limit of locked memory is met.
 * An address of a process stands for the memory that the process has there when it is
 * pinned, and only that process can refer to what is not pinned yet.  Memory of a
 * file can be pinned for any child.  What is pinned is a mapping of its
 * own, so that IOASID_QUERY_MAP tells several mappings of what was mapped at once,
 * IOASID_OPTION_LIMIT_MAPPINGS counts them, and IOASID_UNMAP_DMA can cut between them.
 * Memory of devices is mapped by IOASID_MAP_FILE only, and at once.
 *
 * Where IOASID_EXT_DEMAND_DEVICES is 1, devices can attach to such an IOASID that can
 * request pages (PCI PRI), by requester id or by PASID.  The attach of another device
 * returns EMEDIUMTYPE.  What is pinned is mapped for them.  The kernel answers their
 * requests: it pins the window of the page, for writing where the mapping permits
 * that, and charges the process that has mapped it, or has called IOASID_REHOME since,
 * within its limit of locked memory, and those of the context.  A device is told that
 * it cannot have a page where nothing is mapped, or without that permission, or the
 * page cannot be pinned or charged, and when the process has ended.  While a device is
 * attached nothing is unpinned but what is unmapped, even if no child refers to it;
 * after the last detach, that goes as above.
 *
 * An IOASID of the kind IOASID_KIND_PGTABLE has a parent that was made with
 * IOASID_ALLOC_NEST_PARENT.  DMA of devices that are attached to it goes through
 * a table of the user's, see struct ioasid_bind_table, and then through the
 * parent.  It takes none of the commands that map, unmap and look at mappings,
 * and cannot be a parent.  One of the kind IOASID_KIND_PASID_TABLE is the same for
 * devices that have a page table for each PASID; they attach by requester id.
 *
 * An IOASID of the kind IOASID_KIND_PROCESS has no parent.  Devices that are attached to
 * it use the addresses of the process that made it, with the permissions that the
 * process has there: all of its memory, as it comes and goes, but what devices are
 * mapped to, and memfd_secret().  Nothing is pinned, and no limit of locked memory counts.
 * Page tables, and what the kernel keeps of each 2 MiB of addresses that devices use,
 * are charged to the memory cgroup of the process.  A device must be able to request
 * pages (PCI PRI), and its IOMMU to translate the addresses of a process, or its attach
 * returns EMEDIUMTYPE.  The kernel answers the requests.  It refuses one if the process
 * has no page there, or lacks the permission; if an attached device has reserved
 * addresses in the same 2 MiB; and after the process has ended.  After fork()
 * it is the memory of the parent still, and after execve() nothing: see
 * IOASID_STATE_MM_GONE.  A child of fork() and other processes that have the file can
 * use the IOASID, but only devices reach the memory.  It takes none of the commands that
 * map, unmap and look at mappings, and cannot be a parent.
 *
 * Errors:
 *
 *  * EDQUOT: IOASID_OPTION_LIMIT_IOASIDS is reached.
 *  * ENOENT: @parent or @fault_queue does not exist.
 *  * ENOSPC: no id is left.
 *  * ELOOP: there would be more than IOASID_EXT_MAX_DEPTH levels.
 *  * EDEADLK: the parent waits for a sibling, see
 *    IOASID_STATE_PARTIAL_GROUP.
 *  * ENODEV: the IOASID behind an import was freed.
 *  * EOPNOTSUPP: IOASID_KIND_PROCESS with flags or @fault_queue, or where
 *    IOASID_EXT_PROCESS is 0; IOASID_ALLOC_NEST_PARENT for a child, or where
 *    IOASID_EXT_PGTABLE is 0; IOASID_ALLOC_DEMAND for a child, or with
 *    @fault_queue;
 *    IOASID_ALLOC_DIRTY where IOASID_EXT_DIRTY is 0, or for another kind than
 *    IOASID_KIND_MAP; for IOASID_KIND_PGTABLE and IOASID_KIND_PASID_TABLE: @format
 *    is not known, or the parent is an import, or was made without
 *    IOASID_ALLOC_NEST_PARENT.
 */
struct ioasid_alloc {
	__u32 argsz;
	__u32 flags;
	__u32 kind;
	__u32 parent;
	__u64 cookie;
	__u64 cut_size;
	__u32 snoop;
	__u32 format;
	__u32 fault_queue;
	__u32 ioasid;
};

/**
 * enum ioasid_free_flags - flags of IOASID_FREE
 * @IOASID_FREE_CASCADE: free a parent, too: mappings of children that refer to
 *	it are removed first. Children stay, with the devices that are attached
 *	to them, as orphans: see IOASID_STATE_ORPHAN.
 */
enum ioasid_free_flags {
	IOASID_FREE_CASCADE = 1 << 0,
};

/**
 * struct ioasid_free - ioctl(IOASID_FREE)
 * @argsz: sizeof(struct ioasid_free)
 * @flags: enum ioasid_free_flags
 * @ioasid: the IOASID to free, or an import, or a fault queue
 * @__reserved: must be 0
 *
 * Unmaps everything and frees the IOASID.  With IOASID_FREE_CASCADE a mapping
 * that refers to it even in part is removed as a whole.  If software devices do
 * not unpin within five seconds in all, or an IOMMU failed, that memory stays
 * pinned until the last child is freed.
 *
 * Errors:
 *
 *  * EBUSY: a device is attached; or the IOASID is the parent of others, or
 *    imported by another context, and IOASID_FREE_CASCADE is not given; or an
 *    IOASID was made with the fault queue, and is not freed.
 *
 * A command on the IOASID that runs in another thread goes on; one that is
 * still pinning memory fails with ECANCELED.
 */
struct ioasid_free {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
};

/**
 * struct ioasid_iova_range - a range of I/O virtual addresses
 * @start: first byte
 * @last: last byte, inclusive
 */
struct ioasid_iova_range {
	__u64 start;
	__u64 last;
};

/**
 * enum ioasid_state - state bits of an IOASID, in ioasid_info.state
 * @IOASID_STATE_ATTACHED: a device is attached
 * @IOASID_STATE_PARTIAL_GROUP: a device that shares its iommu group with an
 *	attached one was bound before the group attached, and has not joined:
 *	IOASID_MAP_DMA fails with EDEADLK until it attaches too or is unbound.
 *	@waiting_devid and @waiting_cookie of struct ioasid_info name it.
 * @IOASID_STATE_POISONED: an IOMMU failed to remove a translation. Its devices
 *	are blocked; memory that it may still reach stays pinned until they
 *	are detached; IOASID_MAP_DMA and attaches fail with EIO.
 * @IOASID_STATE_ORPHAN: the parent was freed, or the context that it was
 *	imported from was closed: IOASID_MAP_DMA fails with ENODEV, but for
 *	IOASID_MAP_RESERVE
 * @IOASID_STATE_REVOKED: mapped device memory was revoked: devices reach
 *	nothing there until it is unmapped and mapped again. See struct
 *	ioasid_map_dma.
 * @IOASID_STATE_UNBOUND: of the kinds IOASID_KIND_PGTABLE and
 *	IOASID_KIND_PASID_TABLE: no table is bound, and attached devices are blocked
 * @IOASID_STATE_MM_GONE: of the kind IOASID_KIND_PROCESS: the process has ended, or
 *	has executed another program: devices reach nothing
 * @IOASID_STATE_TRACKING: IOASID_SET_DIRTY was called: writes are logged
 */
enum ioasid_state {
	IOASID_STATE_ATTACHED = 1 << 0,
	IOASID_STATE_PARTIAL_GROUP = 1 << 1,
	IOASID_STATE_POISONED = 1 << 2,
	IOASID_STATE_ORPHAN = 1 << 3,
	IOASID_STATE_REVOKED = 1 << 4,
	IOASID_STATE_UNBOUND = 1 << 5,
	IOASID_STATE_MM_GONE = 1 << 6,
	IOASID_STATE_TRACKING = 1 << 7,
};

/**
 * struct ioasid_info - ioctl(IOASID_GET_INFO)
 * @argsz: sizeof(struct ioasid_info)
 * @flags: must be 0
 * @ioasid: the IOASID to look at, or an import
 * @state: out, enum ioasid_state
 * @kind: out, enum ioasid_kind
 * @parent: out, id of the parent, also when that was freed since; 0 for a root
 * @cookie: out, as given at IOASID_ALLOC
 * @cut_size: out, as given at IOASID_ALLOC
 * @pgsizes: out, bitmap of the IOPTE sizes that every domain can use; before
 *	any attach those of the CPU's page tables; 0 for a kind whose table is
 *	that of user space
 * @snoop: out, enum ioasid_snoop, as given at IOASID_ALLOC
 * @nr_domains: out, number of hardware page tables of this IOASID; of the kinds
 *	IOASID_KIND_PGTABLE and IOASID_KIND_PASID_TABLE, number of page tables of the
 *	parent below which its table is used
 * @nr_devices: out, number of attached devices
 * @nr_children: out, number of IOASIDs that have this one as parent; each
 *	import counts as one, whether it has children or not
 * @nr_mappings: out, number of mappings, reserved ranges included; of an
 *	import, number of mappings that all importers of the export have
 * @bytes_mapped: out, bytes that map memory; of the kind IOASID_KIND_PROCESS, those
 *	that devices reach just now without a request, in all hardware page tables
 * @bytes_pinned: out, bytes of memory pinned by this IOASID's mappings; 0 for
 *	a child
 * @bytes_charged: out, bytes of locked memory that were charged for them; see
 *	enum ioasid_charge for memory that is charged once
 * @bytes_left: out, bytes that the caller could still pin before a limit of
 *	the context or its RLIMIT_MEMLOCK is met; all ones when there is none
 * @waiting_cookie: out, with IOASID_STATE_PARTIAL_GROUP: cookie of the device
 *	waited for, otherwise 0
 * @waiting_devid: out, with IOASID_STATE_PARTIAL_GROUP: its id, otherwise 0
 * @nr_ranges: in, number of elements that @ranges has room for; out, number of
 *	permitted ranges
 * @ranges: pointer to an array of struct ioasid_iova_range, filled with the
 *	permitted IOVA ranges in ascending order. Not looked at when
 *	@nr_ranges is 0.
 * @mappings_left: out, number of mappings that can still be made before
 *	IOASID_OPTION_LIMIT_MAPPINGS is met, or of an import and of its children
 *	@max_mappings of the export; all ones when there is no limit
 * @permission: out, IOASID_MAP_READ and IOASID_MAP_WRITE: the most that
 *	children can have
 * @fault_queue: out, as given at IOASID_ALLOC
 * @bytes_demand: out, bytes that are mapped and not pinned, see IOASID_ALLOC_DEMAND
 *
 * The permitted ranges change with every attach and detach.  While no device
 * is attached they are the whole 64 bit space.
 *
 * For an import, @state, @kind, @cookie, @nr_children, @nr_mappings,
 * @bytes_left, @mappings_left and @permission are set, and the only permitted
 * range is the window that children can map from; the rest is 0.
 */
struct ioasid_info {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 state;
	__u32 kind;
	__u32 parent;
	__u64 cookie;
	__u64 cut_size;
	__u64 pgsizes;
	__u32 snoop;
	__u32 nr_domains;
	__u32 nr_devices;
	__u32 nr_children;
	__u64 nr_mappings;
	__u64 bytes_mapped;
	__u64 bytes_pinned;
	__u64 bytes_charged;
	__u64 bytes_left;
	__u64 waiting_cookie;
	__u32 waiting_devid;
	__u32 nr_ranges;
	__aligned_u64 ranges;
	__u64 mappings_left;
	__u32 permission;
	__u32 fault_queue;
	__u64 bytes_demand;
};

/**
 * enum ioasid_device_caps - capabilities of a bound device and its IOMMU
 * @IOASID_DEVICE_EMULATED: DMA is done by a kernel driver on the device's
 *	behalf; there is no IOMMU, and no limit to its IOVAs
 * @IOASID_DEVICE_ESTIMATE: the IOMMU driver knows ranges and page sizes only
 *	when a device attaches; the values here are a guess
 * @IOASID_DEVICE_ENFORCE_SNOOP: the IOMMU can make no-snoop DMA coherent
 * @IOASID_DEVICE_DIRTY: the IOMMU can log which pages were written
 * @IOASID_DEVICE_NESTING: the IOMMU can walk a table of the user's
 * @IOASID_DEVICE_FAULTS: the device can issue page requests
 * @IOASID_DEVICE_PASID_TRANSLATED: PASIDs on the wire are others than those of user
 *	space, one for each attachment
 * @IOASID_DEVICE_PASID_COMMON: PASIDs on the wire are others than those of user
 *	space, one for each IOASID: the same for all such devices of the context.
 *	There, a PASID means one IOASID on all of them, an IOASID has one PASID,
 *	and a PASID does not move
 * @IOASID_DEVICE_SHARED: a kernel driver shares the device among users, and keeps
 *	its requester id: what is attached without a PASID has one on the wire, too
 * @IOASID_DEVICE_TRANSLATES: the device, or its kernel driver, translates by
 *	itself: its tables mirror the IOASIDs that they are attached to. There is no
 *	IOMMU; memory of other devices is refused, with EOPNOTSUPP
 * @IOASID_DEVICE_PASID_HITLESS: a PASID can move from one IOASID to another
 *	without being blocked in between; see IOASID_ATTACH_HITLESS
 */
enum ioasid_device_caps {
	IOASID_DEVICE_EMULATED = 1 << 0,
	IOASID_DEVICE_ESTIMATE = 1 << 1,
	IOASID_DEVICE_ENFORCE_SNOOP = 1 << 2,
	IOASID_DEVICE_DIRTY = 1 << 3,
	IOASID_DEVICE_NESTING = 1 << 4,
	IOASID_DEVICE_FAULTS = 1 << 5,
	IOASID_DEVICE_PASID_TRANSLATED = 1 << 6,
	IOASID_DEVICE_PASID_COMMON = 1 << 7,
	IOASID_DEVICE_SHARED = 1 << 8,
	IOASID_DEVICE_TRANSLATES = 1 << 9,
	IOASID_DEVICE_PASID_HITLESS = 1 << 10,
};

/**
 * struct ioasid_device_info - ioctl(IOASID_DEVICE_GET_INFO)
 * @argsz: sizeof(struct ioasid_device_info)
 * @flags: must be 0
 * @devid: id of the device, from its bind
 * @caps: out, enum ioasid_device_caps
 * @cookie: out, as given when the device was bound
 * @group: out, number of its iommu group, -1 if it has none: an emulated device, or
 *	one with IOASID_DEVICE_TRANSLATES
 * @ioasid: out, the IOASID it is attached to, or 0
 * @pgsizes: out, bitmap of the IOPTE sizes its IOMMU can use
 * @addr_width: out, width of an IOVA in bits
 * @pasid_width: out, width of a PASID in bits; 0 unless the device, its bus and
 *	its IOMMU have PASIDs, the IOMMU's driver attaches them to IOASIDs, and
 *	the device is alone in its iommu group
 * @hw_type: out, type of the data in @hw_data: enum iommu_hw_info_type of
 *	linux/iommufd.h, 0 for nothing
 * @hw_len: in, size of the buffer at @hw_data; out, size of the data
 * @hw_data: pointer to a buffer for the IOMMU driver's description of its
 *	hardware, or 0
 * @nr_ranges: in, number of elements that @ranges has room for; out, number of
 *	permitted ranges
 * @__reserved: must be 0
 * @ranges: pointer to an array of struct ioasid_iova_range, filled with the
 *	IOVA ranges that the device can use, in ascending order
 * @nr_pasids: out, number of PASIDs that are attached
 * @pasids_left: out, number of PASIDs that can be attached beside these: what the
 *	device and IOASID_OPTION_LIMIT_PASIDS leave; with IOASID_DEVICE_SHARED, also
 *	what the limit of the caller's user leaves.  While the device is attached to
 *	an IOASID of kind IOASID_KIND_PASID_TABLE, no PASID can be: it is the number
 *	of those that can be attached once it has left
 * @faults: out, number of faults that have come to fault queues, read or not, a group
 *	of page requests counting as one
 * @faults_lost: out, number of those that were not told, though a queue was there
 *
 * The values are known before any attach: an IOASID that the device attaches to
 * will permit these ranges.
 *
 * Errors:
 *
 *  * ENODEV: the device is being unbound.
 *  * EMEDIUMTYPE: its IOMMU has no page tables that could be used.
 *
 * Other errors are those of the IOMMU driver.
 */
struct ioasid_device_info {
	__u32 argsz;
	__u32 flags;
	__u32 devid;
	__u32 caps;
	__u64 cookie;
	__s32 group;
	__u32 ioasid;
	__u64 pgsizes;
	__u32 addr_width;
	__u32 pasid_width;
	__u32 hw_type;
	__u32 hw_len;
	__aligned_u64 hw_data;
	__u32 nr_ranges;
	__u32 __reserved;
	__aligned_u64 ranges;
	__u32 nr_pasids;
	__u32 pasids_left;
	__u64 faults;
	__u64 faults_lost;
};

/**
 * enum ioasid_map_flags - flags of IOASID_MAP_DMA
 * @IOASID_MAP_READ: devices may read
 * @IOASID_MAP_WRITE: devices may write
 * @IOASID_MAP_FIXED: map at @iova; without it the kernel chooses
 * @IOASID_MAP_FILE: @addr is an offset in the file @fd
 * @IOASID_MAP_RESERVE: map nothing, but keep the range from being mapped or
 *	chosen by the kernel. With IOASID_MAP_FIXED it need not be within the
 *	permitted ranges. Excludes READ, WRITE and FILE.
 * @IOASID_MAP_PROTECT: map nothing, but set the permission of all mappings in
 *	the range, which must have no hole, to READ and WRITE as given. Needs
 *	FIXED; excludes RESERVE, REPLACE and FILE.
 * @IOASID_MAP_REPLACE: replace everything that is mapped in the range. Needs
 *	FIXED, excludes RESERVE.
 * @IOASID_MAP_SPLIT: with PROTECT or REPLACE, the edges of the range may cut
 *	mappings at any page
 */
enum ioasid_map_flags {
	IOASID_MAP_READ = 1 << 0,
	IOASID_MAP_WRITE = 1 << 1,
	IOASID_MAP_FIXED = 1 << 2,
	IOASID_MAP_FILE = 1 << 3,
	IOASID_MAP_RESERVE = 1 << 4,
	IOASID_MAP_PROTECT = 1 << 5,
	IOASID_MAP_REPLACE = 1 << 6,
	IOASID_MAP_SPLIT = 1 << 7,
};

/**
 * DOC: Changing what is mapped
 *
 * IOASID_MAP_PROTECT and IOASID_MAP_REPLACE change a range without unmapping it
 * in between.  IOPTEs that are the same before and after, in address, size and
 * permission, are not touched: DMA to them goes on all the while.  Any other is
 * removed, flushed from the IOTLBs, and written anew; DMA to it fails in
 * between.  IOASID_MAP_PROTECT does so with one IOPTE at a time,
 * IOASID_MAP_REPLACE with up to 256 at a time.  Where only the permission of an
 * IOPTE changes, and the IOMMU's driver can change it in place, it is not
 * removed, and no DMA fails that either permission allows; but no driver for
 * real hardware in this kernel can.
 *
 * The edges of the range may split mappings where their cut size allows it, or
 * with IOASID_MAP_SPLIT at any page.  An IOPTE that spans an edge is written
 * anew as smaller ones, its part outside of the range included.
 *
 * New memory is pinned before anything is changed, and old memory is unpinned
 * when no device can reach it any more.  Meanwhile both are charged.  Software
 * devices must unpin all mappings in the range that lose permission or memory.
 * If the command fails nothing has changed, though DMA to the range may have
 * failed for a moment.  It waits for an attach to the same IOASID that is in
 * progress, and delays another one.
 *
 * Permission to write is added to memory that was mapped without it by pinning
 * the memory again: only the process that mapped it can do that, and for a file
 * only IOASID_MAP_REPLACE.
 */

/**
 * struct ioasid_map_dma - ioctl(IOASID_MAP_DMA)
 * @argsz: sizeof(struct ioasid_map_dma)
 * @flags: enum ioasid_map_flags, at least one of READ, WRITE and RESERVE
 * @ioasid: the IOASID to map to
 * @fd: with IOASID_MAP_FILE a memfd, a file of a tmpfs or of a hugetlbfs, or a
 *	device file; must be 0 otherwise
 * @iova: with IOASID_MAP_FIXED the IOVA to map at, otherwise 0; out, the IOVA
 *	of the mapping
 * @addr: an address of the calling process, or an offset in @fd; for a child
 *	an address of the parent. Must be 0 with IOASID_MAP_RESERVE and
 *	IOASID_MAP_PROTECT.
 * @length: bytes, not 0
 * @cut_size: the grid in IOVA on which IOASID_UNMAP_DMA may later cut this
 *	mapping, in bytes: a power of two not below the page size, or 0 for
 *	the IOASID's own. No IOPTE will span a line of the grid. Must be 0
 *	with IOASID_MAP_PROTECT, which does not change it.
 * @alignment: without IOASID_MAP_FIXED the alignment of the IOVA to choose, a
 *	power of two not below the page size, or 0. Must be 0 with FIXED.
 * @fault_addr: out on EEXIST: first IOVA that is taken; on EFAULT, EINVAL,
 *	EHWPOISON and EOVERFLOW of memory: the first address or offset that
 *	cannot be pinned; on
 *	EINVAL of an IOVA: the first one that is not permitted; on ENXIO, and
 *	on EACCES of a child: the first address of the parent that it is about;
 *	on EBUSY: the first IOVA that it is about. Otherwise not written.
 *
 * Memory is pinned and charged at once, whether a device is attached or not,
 * and stays so until it is unmapped.  A child maps the memory that its parent
 * has mapped from @addr on, which may be several mappings without a hole
 * between them, and with no more permission than each of these has.  The IOVA
 * that the kernel chooses is congruent to @addr modulo the largest page that
 * @length can hold, unless @alignment is given, and if such a range is free;
 * while no device restricts the IOASID it is 4 GiB or higher.
 *
 * Memory of a device is mapped too, for one device to reach another (peer to
 * peer): @addr lies within one mmap() of the device file of a device that is
 * bound to the same context.  It is neither pinned nor charged, cannot be
 * split, and cannot be used by software devices.  With IOASID_EXT_CHILD_DEVMEM
 * children can refer to it, but those of imports cannot; a child's mapping of
 * memory and of memory of devices becomes several mappings, one for each run of
 * memory and for each mapping of memory of a device.  It is revoked, in all
 * descendants too, before the process loses it by munmap(), mremap() or exit, or by
 * an mprotect() that removes a permission of the mapping, and before the device
 * is reset or its memory switched off.  The mapping stays, see
 * IOASID_STATE_REVOKED.
 *
 * With IOASID_EXT_DEVICE_REGION, IOASID_MAP_FILE maps memory of a device by the
 * device file of a device that is bound to the same context, and an offset, as
 * for mmap() of that file.  It is revoked before the memory goes, in a reset, in
 * low power or when it is switched off, and is back, in descendants too, when the
 * memory is there again.  It can be made while the memory is gone.  When the
 * device is closed, or unbound, it is revoked for good.
 *
 * Errors:
 *
 *  * EEXIST: the range overlaps a mapping or a reserved range.
 *  * EINVAL: the range is not within one permitted range, or the file ends
 *    before @length, or has no memory there that can be mapped; of a child:
 *    IOASID_MAP_FILE.
 *  * EFAULT: memory cannot be pinned, nor is it memory of a device that can
 *    be mapped.
 *  * EBADF: @fd is not open.
 *  * EACCES: @fd is not open for reading, or for writing with
 *    IOASID_MAP_WRITE, or is open for writing and append-only. Of a child:
 *    the mapping of the parent, or the export, does not permit as much.
 *  * EPERM: @fd is sealed against writing; of a child: it is memory of another
 *    process, and not pinned yet, see IOASID_ALLOC_DEMAND.
 *  * EHWPOISON: memory is poisoned.
 *  * EOVERFLOW: a page is pinned as often as its count allows, 1.5 million
 *    times.
 *  * EOPNOTSUPP: @fd is a file of another type, or IOASID_EXT_MAP_FILE is 0;
 *    or @fd is a device file of a device that is not bound to the same context,
 *    or whose driver cannot tell when memory goes; or it is memory of a device,
 *    and a device with IOASID_DEVICE_TRANSLATES is attached.
 *  * ENOSPC: no free range is large enough; or a device with
 *    IOASID_DEVICE_TRANSLATES cannot hold one more mapping.
 *  * EDQUOT: RLIMIT_MEMLOCK, IOASID_OPTION_LIMIT_PINNED or
 *    IOASID_OPTION_LIMIT_MAPPINGS would be exceeded, for a child also by what its
 *    parent has to pin, see IOASID_ALLOC_DEMAND. Of a child: the export permits no
 *    more mappings.
 *  * EDEADLK: see IOASID_STATE_PARTIAL_GROUP.
 *  * EIO: the IOMMU failed, or see IOASID_STATE_POISONED.
 *  * ECANCELED: the range was unmapped or replaced, or the IOASID freed,
 *    while memory was being pinned.
 *  * ENXIO: of a child: part of the range is not mapped in the parent, or
 *    lies beyond the window of the export, or is memory of a device that was
 *    revoked, or that an import cannot refer to.
 *  * ENODEV: of a child: the parent was freed; of a device file: the device is
 *    being closed.
 *
 * IOASID_MAP_PROTECT and IOASID_MAP_REPLACE, with an IOVA in @fault_addr:
 *
 *  * EINVAL: an edge of the range splits a mapping where its cut size does
 *    not allow it.
 *  * EBUSY: a child refers to memory that would be replaced, narrowed, or
 *    split at an edge, or a software device goes on using it.  With
 *    IOASID_MAP_REPLACE not if all of the range has the same pages already,
 *    with the same permission and cut size: then nothing is touched.
 *
 * IOASID_MAP_PROTECT only:
 *
 *  * ENXIO: part of the range is not mapped, or reserved.
 *  * EPERM: another process mapped it, without permission to write.
 *  * EACCES: it is of a file that was mapped without permission to write,
 *    or the parent does not permit as much.
 *  * EFAULT: it cannot be pinned for writing.
 *  * EDQUOT: pinning it for writing would exceed a limit, or the mappings that
 *    the edges of the range add.
 *  * EOPNOTSUPP: it is memory of a device.
 *
 * IOASID_MAP_REPLACE only:
 *
 *  * EEXIST: part of the range is reserved; or the new memory is memory of a
 *    device, and part of the range is memory.
 *  * EINVAL: an edge of the range splits memory of a device.
 *  * EOPNOTSUPP: of a child: the new memory is of several kinds, and part of the
 *    range is mapped.
 */
struct ioasid_map_dma {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__s32 fd;
	__u64 iova;
	__u64 addr;
	__u64 length;
	__u64 cut_size;
	__u64 alignment;
	__u64 fault_addr;
};

/**
 * enum ioasid_unmap_flags - flags of IOASID_UNMAP_DMA
 * @IOASID_UNMAP_ALL: unmap all; @iova and @length must be 0. Excludes
 *	IOASID_UNMAP_SPLIT.
 * @IOASID_UNMAP_SPLIT: the edges of the range may split mappings at any page.
 *	Where an edge lies inside an IOPTE, that IOPTE is replaced by smaller
 *	ones, and DMA to the rest of it fails for a moment.
 * @IOASID_UNMAP_CASCADE: remove the range from children first. Where an edge of
 *	the range lies inside a child's mapping, that is split as well, on its
 *	grid, or with IOASID_UNMAP_SPLIT anywhere.
 * @IOASID_UNMAP_DIRTY: tell in @bitmap which pages of the range were written, as
 *	IOASID_GET_DIRTY does; devices write none after that. Excludes
 *	IOASID_UNMAP_ALL.
 */
enum ioasid_unmap_flags {
	IOASID_UNMAP_ALL = 1 << 0,
	IOASID_UNMAP_SPLIT = 1 << 1,
	IOASID_UNMAP_CASCADE = 1 << 2,
	IOASID_UNMAP_DIRTY = 1 << 3,
};

/**
 * struct ioasid_unmap_dma - ioctl(IOASID_UNMAP_DMA)
 * @argsz: sizeof(struct ioasid_unmap_dma)
 * @flags: enum ioasid_unmap_flags
 * @ioasid: the IOASID to unmap from
 * @__reserved: must be 0
 * @iova: first byte
 * @length: bytes, not 0 unless IOASID_UNMAP_ALL
 * @unmapped: out, also when the command fails once its arguments were found to
 *	be in order: bytes that were unmapped from this IOASID, reserved ranges
 *	included; all ones for the whole 64 bit space
 * @bitmap: with IOASID_UNMAP_DIRTY: as in struct ioasid_get_dirty; otherwise 0
 * @page_size: the same
 * @told: must be 0; out, with IOASID_UNMAP_DIRTY, enum ioasid_dirty_told
 * @__reserved2: must be 0
 *
 * The range may span several mappings and holes.  When the command returns no
 * device can reach the memory that it unmapped, which is no longer pinned.
 * Unmapping an empty range succeeds, with 0 in @unmapped.
 *
 * A mapping that is being made by another thread, and still waits for its
 * memory, is cancelled.
 *
 * With IOASID_UNMAP_DIRTY all writes of devices to the memory that was unmapped
 * have been told when the command returns, by this @bitmap or before.
 * IOASID_DIRTY_EXACT is told where an IOMMU can take the permission to write from
 * IOPTEs in place, so that it reads dirty bits when no device can set one any
 * more; elsewhere all that could be written counts as written. What children lose
 * by IOASID_UNMAP_CASCADE always counts so. If @bitmap cannot be written, the
 * command fails before anything was unmapped. If that becomes so meanwhile, it
 * fails with EFAULT and @unmapped, and IOASID_GET_DIRTY of the range tells what
 * @bitmap lacks.
 *
 * Errors:
 *
 *  * EINVAL: an edge of the range splits a mapping where its cut size does
 *    not allow it. Nothing was unmapped. Or @page_size is wrong, or an output
 *    field is not 0.
 *  * EFAULT: IOASID_UNMAP_DIRTY, and @bitmap cannot be written.
 *  * ENOENT: IOASID_UNMAP_DIRTY, and the IOASID's writes are not logged.
 *  * EOPNOTSUPP: IOASID_UNMAP_DIRTY, and the IOASID is no root of the kind
 *    IOASID_KIND_MAP, or @page_size is too large.
 *  * ENOMEM: there is no memory to split a mapping. Nothing was unmapped.
 *  * ENOSPC: as ENOMEM, from an IOMMU driver.
 *  * EBUSY: a child refers to the memory, and IOASID_UNMAP_CASCADE is not
 *    given: nothing was unmapped. Or a child would have to be split off its
 *    grid: nothing has changed, in children either. Or a software device
 *    goes on using the memory.
 *  * EDQUOT: the range lies inside of one mapping, which it splits in two, and
 *    there may be no more: see IOASID_OPTION_LIMIT_MAPPINGS, and struct
 *    ioasid_import. Nothing was unmapped.
 *  * EINTR: a fatal signal.
 *  * EIO: the IOMMU failed, see IOASID_STATE_POISONED.
 *
 * With IOASID_UNMAP_CASCADE a child that causes EBUSY or EIO does not keep
 * the others from losing their mappings. With EIO, EDQUOT, ENOMEM, ENOSPC,
 * EINTR, or EBUSY of a software device, mappings of children that remain may
 * have been split.
 */
struct ioasid_unmap_dma {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
	__u64 iova;
	__u64 length;
	__u64 unmapped;
	__u64 bitmap;
	__u64 page_size;
	__u32 told;
	__u32 __reserved2;
};

/**
 * enum ioasid_dma_op_type - types of operations of IOASID_DMA_BATCH
 * @IOASID_DMA_OP_MAP: maps, as IOASID_MAP_DMA. @flags: enum ioasid_map_flags, and
 *	IOASID_DMA_OP_CUT() for a cut size of its own. There is no alignment.
 *	Where the kernel chooses the IOVA, it is written to @iova.
 * @IOASID_DMA_OP_UNMAP: unmaps, as IOASID_UNMAP_DMA. @flags:
 *	IOASID_UNMAP_SPLIT, IOASID_UNMAP_CASCADE. @addr and @fd must be 0.
 */
enum ioasid_dma_op_type {
	IOASID_DMA_OP_MAP = 1,
	IOASID_DMA_OP_UNMAP = 2,
};

/**
 * enum ioasid_dma_op_flags - flags of operations of both types
 * @IOASID_DMA_OP_IOASID: the operation is not of the IOASID of the batch, but of the
 *	one that @fd names, of the same context. Excludes IOASID_MAP_FILE.
 */
enum ioasid_dma_op_flags {
	IOASID_DMA_OP_IOASID = 1 << 8,
};

/*
 * In the flags of IOASID_DMA_OP_MAP, bits 10 to 15: log2 of the cut size, not less
 * than that of the page size, or 0 for the IOASID's own.
 */
#define IOASID_DMA_OP_CUT_SHIFT		10
#define IOASID_DMA_OP_CUT(log2)		((log2) << IOASID_DMA_OP_CUT_SHIFT)

/**
 * struct ioasid_dma_op - an operation of IOASID_DMA_BATCH
 * @op: enum ioasid_dma_op_type
 * @flags: as @op has it
 * @fd: with IOASID_DMA_OP_IOASID the id of an IOASID; otherwise as in struct
 *	ioasid_map_dma
 * @iova: first byte
 * @addr: as in struct ioasid_map_dma
 * @length: bytes, not 0
 */
struct ioasid_dma_op {
	__u16 op;
	__u16 flags;
	__s32 fd;
	__u64 iova;
	__u64 addr;
	__u64 length;
};

/**
 * struct ioasid_dma_batch - ioctl(IOASID_DMA_BATCH)
 * @argsz: sizeof(struct ioasid_dma_batch)
 * @flags: must be 0
 * @ioasid: the IOASID to map to and unmap from, for operations without
 *	IOASID_DMA_OP_IOASID
 * @nr: how many operations, not 0
 * @ops: pointer to an array of struct ioasid_dma_op
 * @done: out, also when the command fails: how many operations were done
 * @error: out, when they were not all done: the negative errno of the first
 *	one that was not; otherwise 0
 * @unmapped: out, bytes that the operations unmapped
 * @fault_addr: out when they were not all done, as in struct ioasid_map_dma
 *	for the one that was not, where that has one
 *
 * Carries out operations as if one after the other, each of them wholly or not
 * at all, up to the first that fails.  The IOTLBs are flushed for all of them
 * together, once for each hardware page table, also where operations name several
 * IOASIDs: when the command returns no device can reach any unmapped memory.
 * An operation that maps where the same batch unmapped waits for that flush.
 *
 * Cheap are operations of a child that map at a fixed IOVA, also with
 * IOASID_MAP_REPLACE where nothing is mapped, and those of any IOASID that unmap
 * whole mappings; others are carried out one by one.
 *
 * Returns 0 when any operation was done: look at @done.
 *
 * Errors are those of IOASID_MAP_DMA and IOASID_UNMAP_DMA for the first
 * operation, and:
 *
 *  * EOPNOTSUPP: the first operation is not known.
 *  * ENOENT: @ioasid, or the IOASID that the first operation names, does not
 *    exist.
 *  * EINTR: there is a signal for the caller.
 */
struct ioasid_dma_batch {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 nr;
	__aligned_u64 ops;
	__u32 done;
	__s32 error;
	__u64 unmapped;
	__u64 fault_addr;
};

/**
 * struct ioasid_uring_batch - IOASID_DMA_BATCH as a command of io_uring
 * @ops: pointer to an array of struct ioasid_dma_op, in memory of the process
 *	that submits; with IORING_URING_CMD_FIXED within a registered buffer
 * @nr: how many operations, neither 0 nor more than INT_MAX
 * @ioasid: the IOASID to map to and unmap from
 *
 * What the 16 bytes @cmd of a struct io_uring_sqe hold whose @opcode is
 * IORING_OP_URING_CMD, @fd is the context and @cmd_op is IOASID_DMA_BATCH.
 * @addr, @len and @file_index must be 0, @uring_cmd_flags may be
 * IORING_URING_CMD_FIXED.
 *
 * The result is the number of operations that were done, or if none was, the
 * negative errno of the first.  If it is less than @nr, the next operation
 * failed, or would have had to wait: submit the rest, and look at its result.
 * A short result does not break a chain of links.
 *
 * Small operations that ioctl() calls cheap are done while they are submitted.
 * Any other operation ends the command before it; if it is the first, a worker
 * carries out all of them.  A worker also carries out commands with more than 256
 * operations, or with IOSQE_ASYNC.  Commands that are under way together are
 * carried out in any order, and an operation must not be changed until the
 * command is completed.  An entry of the submission queue that is linked behind
 * another, or drained, may be read when its turn comes: leave it alone until
 * then, or set IOSQE_ASYNC.
 *
 * Memory is that of the process that submitted, which is also charged if memory
 * is charged to a process.  If it is charged to a user, that is the user of the
 * credentials, of the process or of the personality that @personality names.
 * Files are those of the process.
 *
 * A command that is cancelled, also because the ring is closed or the process
 * ends, stops behind the operation that is under way, and does not wait for
 * memory any longer.  Its result counts the operations that were done.
 *
 * Errors are those of the ioctl, and:
 *
 *  * ECANCELED: the command was cancelled before it began.
 *  * EINTR: the command was cancelled while its first operation was
 *    waiting.
 *  * EFAULT: the array is not within the registered buffer, or the process
 *    is ending.
 *  * ENOTTY: another @cmd_op.
 */
struct ioasid_uring_batch {
	__aligned_u64 ops;
	__u32 nr;
	__u32 ioasid;
};

/**
 * enum ioasid_query_flags - flags of a mapping, beside enum ioasid_map_flags
 * @IOASID_QUERY_ADDR: @addr of struct ioasid_query_entry is set
 * @IOASID_QUERY_REVOKED: memory of a device that is not there any more: nothing
 *	is mapped in the IOMMUs
 * @IOASID_QUERY_DEMAND: nothing is pinned, see IOASID_ALLOC_DEMAND
 * @IOASID_QUERY_INODE: @dev and @ino of struct ioasid_query_long_entry are set
 */
enum ioasid_query_flags {
	IOASID_QUERY_ADDR = 1 << 16,
	IOASID_QUERY_REVOKED = 1 << 17,
	IOASID_QUERY_INODE = 1 << 18,
	IOASID_QUERY_DEMAND = 1 << 19,
};

/**
 * struct ioasid_query_entry - one mapping, from IOASID_QUERY_MAP
 * @iova: first byte
 * @length: bytes
 * @addr: with IOASID_QUERY_ADDR as in struct ioasid_map_dma: an address of the
 *	caller, an offset in a file, or an address of the parent. Otherwise 0:
 *	it is an address of another process, or a reserved range.
 * @cut_size: the cut size in force, the IOASID's own where the mapping did not
 *	state one; 0 for none
 * @pgsizes: bitmap of the IOPTE sizes that the IOMMU drivers were asked for, in
 *	whichever hardware page tables there are; 0 while there is none.
 *	Drivers do not report the sizes that they used, which may be smaller.
 * @flags: enum ioasid_query_flags, and of enum ioasid_map_flags READ, WRITE,
 *	FILE and RESERVE, as they are in force
 * @__reserved: out, 0
 */
struct ioasid_query_entry {
	__u64 iova;
	__u64 length;
	__u64 addr;
	__u64 cut_size;
	__u64 pgsizes;
	__u32 flags;
	__u32 __reserved;
};

/**
 * struct ioasid_query_long_entry - one mapping, from IOASID_QUERY_MAP, and its file
 * @entry: as in the short form, but for the flag IOASID_QUERY_INODE
 * @ino: with IOASID_QUERY_INODE, st_ino of the file that IOASID_MAP_FILE named;
 *	@addr is the offset in it. Otherwise 0
 * @dev: with IOASID_QUERY_INODE, st_dev of the file, otherwise 0
 * @__reserved: out, 0
 *
 * Memory that was mapped by address has no file here, whatever is mapped at that
 * address: it is known to the process only that it belongs to.  Nor has memory of
 * a parent: IOASID_QUERY_MAP of the parent tells, to owners of its context.
 */
struct ioasid_query_long_entry {
	struct ioasid_query_entry entry;
	__u64 ino;
	__u32 dev;
	__u32 __reserved;
};

/**
 * struct ioasid_query_map - ioctl(IOASID_QUERY_MAP)
 * @argsz: sizeof(struct ioasid_query_map)
 * @flags: must be 0
 * @ioasid: the IOASID to look at
 * @nr: in, how many elements @entries has room for; out, how many were filled
 * @start: an IOVA, of any alignment
 * @entries: pointer to an array of elements of @entry_size bytes, filled in
 *	ascending order with the mappings and reserved ranges that end at
 *	@start or after it. Not looked at when @nr is 0.
 * @next: must be 0; out, with @more the @start to go on with, otherwise 0
 * @more: must be 0; out, 1 when there are more than fitted, otherwise 0
 * @entry_size: sizeof(struct ioasid_query_long_entry), or 0 for struct
 *	ioasid_query_entry. In general a multiple of 8 from 48 on: an element has
 *	as much of struct ioasid_query_long_entry as fits, and zeroes behind it
 *
 * Reads mappings back.  Each piece of a mapping that was split has an entry.
 * Each entry was true at some moment of the command; mappings that other
 * threads map and unmap meanwhile may have one or not.  Mappings whose memory
 * is still being pinned have none.  IOASID_GET_INFO returns the number of
 * mappings.
 *
 * Errors:
 *
 *  * EINVAL: also if @entry_size is not 0, and the kernel is older than this field.
 *  * E2BIG: @entry_size is larger than 256.
 */
struct ioasid_query_map {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 nr;
	__u64 start;
	__aligned_u64 entries;
	__u64 next;
	__u32 more;
	__u32 entry_size;
};

/**
 * enum ioasid_bind_flags - flags of IOASID_BIND_PGTABLE and
 *	IOASID_BIND_PASID_TABLE
 * @IOASID_BIND_REPLACE: a table that is bound already is replaced
 */
enum ioasid_bind_flags {
	IOASID_BIND_REPLACE = 1 << 0,
};

/**
 * struct ioasid_bind_table - ioctl(IOASID_BIND_PGTABLE), and
 *	ioctl(IOASID_BIND_PASID_TABLE)
 * @argsz: sizeof(struct ioasid_bind_table)
 * @flags: enum ioasid_bind_flags
 * @ioasid: the IOASID, of the kind IOASID_KIND_PGTABLE or, for
 *	IOASID_BIND_PASID_TABLE, IOASID_KIND_PASID_TABLE
 * @length: bytes of @data, 1 to 512
 * @data: pointer to what the format of the IOASID says, such as struct
 *	iommu_hwpt_vtd_s1 of linux/iommufd.h: where the table is, and how to read
 *	it
 * @__reserved: must be 0
 *
 * Gives the IOASID its table.  All addresses in the table, and its own, are
 * addresses of the parent.  The DMA of each device that is attached, or will be,
 * goes through it; devices reach no memory but what the parent maps, with the
 * permission that the parent gives, whatever the table says.  The kernel never
 * reads the table.
 *
 * @data is copied: it may change afterwards.  A device may be attached before or
 * after the bind.  An attached device is blocked while nothing is bound.  The
 * long work, to populate hardware tables with the mappings of the parent, is done
 * when a device attaches.
 *
 * The page of the parent where the table begins cannot be unmapped while it is
 * bound, unless with IOASID_UNMAP_CASCADE or IOASID_FREE_CASCADE: devices then
 * fault until another table is bound.  Other pages that have a part of the table
 * can be unmapped: devices that come there fault.
 *
 * With IOASID_BIND_REPLACE devices go from one table to the other without being
 * blocked, where the IOMMU can do that.  No DMA goes through the old table when
 * the command returns.
 *
 * While a device that is attached moves to another IOASID, the command waits for
 * it; a fatal signal ends that.
 *
 * A device that is attached to an IOASID of the kind IOASID_KIND_PASID_TABLE, by
 * requester id, has the PASIDs of that table, and none of its PASIDs can be
 * attached beside it.  The table has an entry for DMA without a PASID, too.
 *
 * Errors:
 *
 *  * EOPNOTSUPP: the IOASID is of another kind, or @data has a flag that is not
 *    known.
 *  * EINVAL: @data is malformed; its length is not that of the format.
 *  * EEXIST: a table is bound, and IOASID_BIND_REPLACE is not given.
 *  * ENXIO: the parent does not map the address of the table.
 *  * EACCES: the parent does not permit reading there.
 *  * EMEDIUMTYPE: the IOMMU of an attached device does not take such a table.
 *  * EDEADLK: see IOASID_STATE_PARTIAL_GROUP.
 *  * ENODEV: see IOASID_STATE_ORPHAN.
 *  * EIO: an IOMMU failed, or see IOASID_STATE_POISONED.
 *
 * After any error devices that had the new table already have the old one again;
 * one whose IOMMU could not go back is blocked until the next bind.  Some IOMMUs
 * block a device that they fail to attach.
 */
struct ioasid_bind_table {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 length;
	__aligned_u64 data;
	__u64 __reserved[2];
};

/**
 * struct ioasid_unbind_table - ioctl(IOASID_UNBIND_PGTABLE), and
 *	ioctl(IOASID_UNBIND_PASID_TABLE)
 * @argsz: sizeof(struct ioasid_unbind_table)
 * @flags: must be 0
 * @ioasid: the IOASID, of the kind IOASID_KIND_PGTABLE or, for
 *	IOASID_UNBIND_PASID_TABLE, IOASID_KIND_PASID_TABLE
 * @__reserved: must be 0
 *
 * Takes the table away: attached devices are blocked, and stay attached.  Waits
 * for devices that move to another IOASID, as IOASID_BIND_PGTABLE does.
 *
 * Errors:
 *
 *  * ENOENT: no table is bound.
 *  * EOPNOTSUPP: the IOASID is of another kind.
 */
struct ioasid_unbind_table {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
};

/**
 * enum ioasid_invalidate_flags - what is invalidated
 * @IOASID_INVALIDATE_IOTLB: in the IOTLB
 * @IOASID_INVALIDATE_DEVTLB: in TLBs of devices
 * @IOASID_INVALIDATE_PASID_CACHE: what caches have of the table by PASID itself,
 *	not of the page tables in it; only of IOASID_KIND_PASID_TABLE
 * @IOASID_INVALIDATE_PASID: of the PASID @vpasid only; only of
 *	IOASID_KIND_PASID_TABLE
 * @IOASID_INVALIDATE_RANGE: addresses from @start to @last only; not of
 *	IOASID_INVALIDATE_PASID_CACHE alone
 * @IOASID_INVALIDATE_LEAF: only entries for pages have changed, none for tables
 */
enum ioasid_invalidate_flags {
	IOASID_INVALIDATE_IOTLB = 1 << 0,
	IOASID_INVALIDATE_DEVTLB = 1 << 1,
	IOASID_INVALIDATE_PASID_CACHE = 1 << 2,
	IOASID_INVALIDATE_PASID = 1 << 3,
	IOASID_INVALIDATE_RANGE = 1 << 4,
	IOASID_INVALIDATE_LEAF = 1 << 5,
};

/**
 * struct ioasid_invalidate - one invalidation of IOASID_INVALIDATE_CACHE
 * @flags: enum ioasid_invalidate_flags; at least one of IOASID_INVALIDATE_IOTLB,
 *	IOASID_INVALIDATE_DEVTLB and IOASID_INVALIDATE_PASID_CACHE
 * @vpasid: with IOASID_INVALIDATE_PASID: the PASID; otherwise 0
 * @start: with IOASID_INVALIDATE_RANGE: first byte; otherwise 0
 * @last: with IOASID_INVALIDATE_RANGE: last byte; otherwise 0
 *
 * An IOMMU may invalidate more.
 */
struct ioasid_invalidate {
	__u32 flags;
	__u32 vpasid;
	__u64 start;
	__u64 last;
};

/**
 * struct ioasid_invalidate_cache - ioctl(IOASID_INVALIDATE_CACHE)
 * @argsz: sizeof(struct ioasid_invalidate_cache)
 * @flags: must be 0
 * @ioasid: the IOASID, of the kind IOASID_KIND_PGTABLE or
 *	IOASID_KIND_PASID_TABLE
 * @devid: 0: for all attached devices; otherwise at least for this one
 * @type: with @entry_size 0: must be 0; otherwise the type of the entries: enum
 *	iommu_hwpt_invalidate_data_type of linux/iommufd.h, or that of the driver
 *	that has registered the format
 * @entry_size: 0: the entries are struct ioasid_invalidate; otherwise bytes of
 *	one entry, at most 64
 * @nr: number of entries, not 0
 * @done: out, also when the command fails: number of entries that were carried
 *	out
 * @entries: pointer to the array
 * @error: out, when they were not all carried out: the negative errno of the
 *	first that was not; otherwise 0
 * @__reserved: must be 0
 *
 * Invalidates what caches have of the user's table.  To be called when the table
 * has changed, as the format says.  While nothing is bound, or no device is
 * attached, no cache has anything of it.
 *
 * Returns 0 when any entry was carried out: look at @done.
 *
 * Errors:
 *
 *  * EOPNOTSUPP: the IOASID is of another kind; @type is not that of the format;
 *    an entry has a flag that is not known.
 *  * EINVAL: an entry is malformed, names no cache, or a PASID that the table
 *    does not have; @entry_size is too large.
 *  * ENOENT: no device has the id @devid.
 *  * ENODEV: that device is not attached to the IOASID.
 *  * EIO: an IOMMU failed.
 */
struct ioasid_invalidate_cache {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 devid;
	__u32 type;
	__u32 entry_size;
	__u32 nr;
	__u32 done;
	__aligned_u64 entries;
	__s32 error;
	__u32 __reserved;
};

/**
 * struct ioasid_fault_queue - ioctl(IOASID_FAULT_QUEUE)
 * @argsz: sizeof(struct ioasid_fault_queue)
 * @flags: must be 0
 * @depth: maximum number of groups of page requests that wait for an answer, 1 to
 *	65536
 * @eventfd: an eventfd that is signalled with each record, or -1
 * @cookie: any number; shown by IOASID_LIST
 * @queue: out, id of the queue, for @fault_queue of struct ioasid_alloc; IOASID_FREE
 *	frees it
 * @fd: out, the file of the queue; closed on exec
 *
 * Makes a queue of faults, and opens its file.  read() of the file takes records, see
 * struct ioasid_fault; write() answers page requests, see struct
 * ioasid_fault_response.  poll() tells if there are records.  The file can be passed
 * to another process.
 *
 * Any number of IOASIDs can be made with one queue.  It gets the faults of the devices
 * that are attached to them.  Faults of other devices are not reported.
 *
 * A device that requests pages is one with IOASID_DEVICE_FAULTS.  It asks for those
 * that it finds absent, in groups, and waits until a group is answered.  That can
 * take as long as the program wants.  A group is answered once: by the program, or by
 * the kernel with IOASID_FAULT_INVALID if
 *
 *  * @depth groups wait already, or the device has more than its share of them, which
 *    is @depth divided by the number of devices of the queue, or 8 if that is more;
 *  * the device is detached or unbound;
 *  * the file of the queue is closed, whether the group was read or not.
 *
 * When a device is attached to another IOASID instead, the kernel answers its groups
 * with IOASID_FAULT_SUCCESS: it tries again there.  To bind or
 * unbind a table answers no group: the program still does that.
 *
 * A device whose page requests cannot be served attaches all the same, and no page
 * request of it is told.
 *
 * Errors:
 *
 *  * EBADF: @eventfd is not an open file.
 *  * EINVAL: @eventfd is a file of another kind; @depth is out of range.
 *  * EMFILE: the process can open no more files.
 *  * ENFILE: the system can open no more files.
 *  * ENOSPC: no id is left.
 */
struct ioasid_fault_queue {
	__u32 argsz;
	__u32 flags;
	__u32 depth;
	__s32 eventfd;
	__u64 cookie;
	__u32 queue;
	__s32 fd;
};

/**
 * enum ioasid_fault_kind - kinds of records of a fault queue
 * @IOASID_FAULT_PAGE_REQUEST: a device asks for a page
 * @IOASID_FAULT_UNREPAIRABLE: an access of a device has failed, and is not repeated
 * @IOASID_FAULT_LOST: records of a device were not told: @lost is their number, a
 *	group of page requests counting as one. There was no room, or there were more
 *	than 100 of the kind IOASID_FAULT_UNREPAIRABLE in a second
 */
enum ioasid_fault_kind {
	IOASID_FAULT_PAGE_REQUEST = 1,
	IOASID_FAULT_UNREPAIRABLE = 2,
	IOASID_FAULT_LOST = 3,
};

/**
 * enum ioasid_fault_flags - flags of a record of a fault queue
 * @IOASID_FAULT_LAST: the last page request of its group
 * @IOASID_FAULT_BY_PASID: the access has the PASID @vpasid
 * @IOASID_FAULT_TABLE: @vpasid is an index of the PASID table of the user's
 */
enum ioasid_fault_flags {
	IOASID_FAULT_LAST = 1 << 0,
	IOASID_FAULT_BY_PASID = 1 << 1,
	IOASID_FAULT_TABLE = 1 << 2,
};

/**
 * enum ioasid_fault_permission - what a faulting access needs
 * @IOASID_FAULT_READ: to read
 * @IOASID_FAULT_WRITE: to write
 * @IOASID_FAULT_EXEC: to execute
 * @IOASID_FAULT_PRIV: to be done with privilege
 */
enum ioasid_fault_permission {
	IOASID_FAULT_READ = 1 << 0,
	IOASID_FAULT_WRITE = 1 << 1,
	IOASID_FAULT_EXEC = 1 << 2,
	IOASID_FAULT_PRIV = 1 << 3,
};

/**
 * struct ioasid_fault - a record of a fault queue
 * @kind: enum ioasid_fault_kind
 * @flags: enum ioasid_fault_flags
 * @ioasid: the IOASID that the device is attached to; of IOASID_FAULT_LOST 0
 * @devid: the device
 * @cookie: its cookie
 * @addr: address of the access; of a page request, of its page; of an IOMMU that
 *	does not tell it, all ones
 * @vpasid: the PASID, as user space knows it; 0, none
 * @permission: enum ioasid_fault_permission; 0, the IOMMU does not tell
 * @id: of IOASID_FAULT_PAGE_REQUEST: of the group, for the answer. Not 0
 * @group: of IOASID_FAULT_PAGE_REQUEST: the number that the device gave to the group
 * @time: when it came, in nanoseconds of CLOCK_MONOTONIC
 * @lost: of IOASID_FAULT_LOST: number of records that were not told
 * @reason: of IOASID_FAULT_UNREPAIRABLE: the number that the IOMMU's manual gives to
 *	the reason, or 0
 * @__reserved: 0
 *
 * read() returns whole records, and whole groups: the requests of a group follow each
 * other.  It fails with EINVAL where the first group does not fit; a group has at
 * most 257 requests.  With O_NONBLOCK it fails with EAGAIN where there is no record.
 * It returns 0 when the queue was freed, or its context has ended, and nothing is
 * left to read.  If the buffer cannot be written, EFAULT, nothing is lost.
 */
struct ioasid_fault {
	__u32 kind;
	__u32 flags;
	__u32 ioasid;
	__u32 devid;
	__u64 cookie;
	__u64 addr;
	__u32 vpasid;
	__u32 permission;
	__u32 id;
	__u32 group;
	__u64 time;
	__u64 lost;
	__u64 reason;
	__u64 __reserved[3];
};

/**
 * enum ioasid_fault_code - answers to a group of page requests
 * @IOASID_FAULT_SUCCESS: the pages are there: the device tries again
 * @IOASID_FAULT_INVALID: they will not be there: the device's accesses fail
 */
enum ioasid_fault_code {
	IOASID_FAULT_SUCCESS = 0,
	IOASID_FAULT_INVALID = 1,
};

/**
 * struct ioasid_fault_response - an answer to a group of page requests
 * @id: of struct ioasid_fault
 * @code: enum ioasid_fault_code
 * @flags: must be 0
 * @__reserved: must be 0
 *
 * write() takes an array of answers, and returns the bytes of those that were given.
 * If there is none it fails: EINVAL, no whole answer, an unknown @code, or a reserved
 * field that is not 0; EOPNOTSUPP, an unknown flag; ENOENT, no group of this queue
 * that was read and not answered has @id.  The kernel may have answered it.
 */
struct ioasid_fault_response {
	__u32 id;
	__u32 code;
	__u32 flags;
	__u32 __reserved;
};

/**
 * enum ioasid_set_dirty_flags - flags of IOASID_SET_DIRTY
 * @IOASID_SET_DIRTY_ON: begin to log writes. Excludes IOASID_SET_DIRTY_OFF.
 * @IOASID_SET_DIRTY_OFF: forget the log.
 * @IOASID_SET_DIRTY_COARSE: with IOASID_SET_DIRTY_ON: also if a page table of the
 *	IOASID has no dirty bits. All that its devices may write then counts as
 *	written.
 */
enum ioasid_set_dirty_flags {
	IOASID_SET_DIRTY_ON = 1 << 0,
	IOASID_SET_DIRTY_OFF = 1 << 1,
	IOASID_SET_DIRTY_COARSE = 1 << 2,
};

/**
 * struct ioasid_set_dirty - ioctl(IOASID_SET_DIRTY)
 * @argsz: sizeof(struct ioasid_set_dirty)
 * @flags: enum ioasid_set_dirty_flags, exactly one of ON and OFF
 * @ioasid: a root of the kind IOASID_KIND_MAP
 * @__reserved: must be 0
 *
 * While writes are logged, IOASID_GET_DIRTY tells which pages were written, by
 * the addresses of the root: by devices that are attached to it, or to its
 * descendants, also in other contexts, and by software devices.  The log begins
 * empty: writes are logged from when the command returns.  It costs a bit for
 * each page that is mapped, charged to the memory cgroup of the caller.
 *
 * Page tables have dirty bits if their IOASID was made with IOASID_ALLOC_DIRTY
 * and the IOMMU has IOASID_DEVICE_DIRTY.  That of a child is its own: give the
 * flag to children as well.
 *
 * Writes to mapped device memory are not logged.
 *
 * Errors:
 *
 *  * EINVAL: not exactly one of ON and OFF, or OFF with COARSE.
 *  * EEXIST: ON, and writes are logged already.
 *  * ENOENT: OFF, and writes are not logged.
 *  * EOPNOTSUPP: not a root of the kind IOASID_KIND_MAP; a page table has no
 *    dirty bits, and COARSE is not given; or IOASID_EXT_DIRTY is 0.
 *  * EIO: the IOMMU failed; writes are not logged.
 */
struct ioasid_set_dirty {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
};

/**
 * enum ioasid_get_dirty_flags - flags of IOASID_GET_DIRTY
 * @IOASID_GET_DIRTY_NO_CLEAR: leave the pages in the log
 */
enum ioasid_get_dirty_flags {
	IOASID_GET_DIRTY_NO_CLEAR = 1 << 0,
};

/**
 * enum ioasid_dirty_told - accuracy of the bits
 * @IOASID_DIRTY_EXACT: each bit stands for a page that was written. Without it, bits
 *	of pages that were not written may be set, too
 */
enum ioasid_dirty_told {
	IOASID_DIRTY_EXACT = 1 << 0,
};

/**
 * struct ioasid_get_dirty - ioctl(IOASID_GET_DIRTY)
 * @argsz: sizeof(struct ioasid_get_dirty)
 * @flags: enum ioasid_get_dirty_flags
 * @ioasid: an IOASID whose writes are logged
 * @told: must be 0; out, enum ioasid_dirty_told
 * @iova: first byte of the range, a multiple of the page size
 * @length: bytes, likewise, not 0. Mappings and holes may be in it.
 * @page_size: bytes of a block that a bit stands for: a power of two from the
 *	page size to 512 pages. The range need not be aligned to it.
 * @bitmap: address of an array of __u64. Bit 0 is the block that contains @iova,
 *	bit 63 of the first word is followed by bit 0 of the second one. All words
 *	up to the block that contains the last byte are written.
 * @nr_dirty: must be 0; out, number of bits set
 * @next: must be 0; out, 0; or, with EFAULT, EINTR, ENOMEM and EIO, where to
 *	continue
 *
 * Tells which pages of the range were written since they were last told or
 * mapped, or since IOASID_SET_DIRTY, and removes them from the log.  A page is
 * removed from it only after its bit was copied to @bitmap, so that no bit is
 * lost with a command that fails: bits of what lies before @next were copied
 * out, as for a command on that range alone, and those of the rest are kept.
 * @next is where a word of @bitmap begins.  A long command ends with EINTR when
 * there is a signal.
 *
 * A write that was done before the command was issued is in this bitmap, unless
 * it was told before.  A write that is concurrent is in this or the next one. A
 * page whose mapping another command changes at the same time may wait for the
 * next one as well.
 *
 * The hardware knows IOPTEs.  A write to any byte of one is one to all of it; a
 * cut size limits them.  IOASID_DIRTY_EXACT is not told where a page table has no
 * dirty bits; or IOPTEs were replaced, by a split or a change, or removed from
 * children, since then all that devices could write by them counts as written; or
 * a software device holds pages for writing.
 *
 * Errors:
 *
 *  * EINVAL: @iova, @length or @page_size, or an output field is not 0.
 *  * EFAULT: @bitmap cannot be written.
 *  * ENOENT: the IOASID's writes are not logged.
 *  * EOPNOTSUPP: not a root of the kind IOASID_KIND_MAP, or @page_size is too
 *    large.
 *  * EINTR: a signal.
 *  * EIO: the IOMMU failed.
 *  * ENOMEM.
 */
struct ioasid_get_dirty {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 told;
	__u64 iova;
	__u64 length;
	__u64 page_size;
	__u64 bitmap;
	__u64 nr_dirty;
	__u64 next;
};

/**
 * enum ioasid_export_flags - flags of IOASID_EXPORT
 * @IOASID_EXPORT_READ: children of an import may be mapped for reading
 * @IOASID_EXPORT_WRITE: children of an import may be mapped for writing
 */
enum ioasid_export_flags {
	IOASID_EXPORT_READ = 1 << 0,
	IOASID_EXPORT_WRITE = 1 << 1,
};

/**
 * struct ioasid_export - ioctl(IOASID_EXPORT)
 * @argsz: sizeof(struct ioasid_export)
 * @flags: enum ioasid_export_flags, at least one of them
 * @ioasid: the IOASID whose memory is exported
 * @fd: out, a file descriptor that can be sent to other processes; closed on
 *	exec
 * @iova: first byte of the window that is exported
 * @length: bytes of the window, not 0
 * @max_mappings: possible number of mappings of all importers together; all
 *	ones for no limit; not 0
 *
 * Memory that is mapped in the window, now or later, can be mapped in other
 * contexts, with no more permission than @flags and the mapping itself have.
 * It stays pinned and charged as it is, and nothing is charged to importers.
 *
 * The exporter remains the owner: IOASID_UNMAP_CASCADE, IOASID_FREE_CASCADE and
 * closing the file of its context, even if devices are bound to that, revoke
 * the memory without the consent of importers.  Without CASCADE, unmapping
 * memory that an importer uses fails with EBUSY.  The file itself keeps no
 * memory: before an import, nothing is in use.
 *
 * Errors:
 *
 *  * EMFILE: the process can open no more files.
 *  * ENFILE: the system can open no more files.
 */
struct ioasid_export {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__s32 fd;
	__u64 iova;
	__u64 length;
	__u64 max_mappings;
};

/**
 * struct ioasid_import - ioctl(IOASID_IMPORT)
 * @argsz: sizeof(struct ioasid_import)
 * @flags: must be 0
 * @fd: from IOASID_EXPORT; not needed any more afterwards
 * @ioasid: out, the id of the import
 * @cookie: any number; shown by IOASID_GET_INFO and IOASID_LIST
 *
 * Makes an object that can be the parent of IOASIDs, and nothing else: it can
 * be given to IOASID_ALLOC as @parent, to IOASID_GET_INFO and to IOASID_FREE,
 * and counts as an IOASID where these are counted.  Its children map from
 * address 0, the first byte of the window, on.  They are one level below the
 * IOASID that was exported.
 *
 * A mapping that spans the edge of a range that the owner unmaps is split
 * there, on its grid; the mapping that this adds does not count against
 * @max_mappings of struct ioasid_export until one is unmapped.  Unmapping from
 * the middle of a mapping adds one too, and fails with EDQUOT if there may be
 * no more.
 *
 * After the owner unmapped memory, IOASID_MAP_DMA of it fails with ENXIO; after
 * it freed the IOASID or closed its context, with ENODEV, and so do
 * IOASID_ALLOC and IOASID_IMPORT.  To free an import with children takes
 * IOASID_FREE_CASCADE.
 *
 * Errors:
 *
 *  * EBADF: @fd is not open or no export.
 *  * ENODEV: the exported IOASID was freed.
 *  * ELOOP: children of the import would be more than IOASID_EXT_MAX_DEPTH
 *    levels away from a root.
 *  * EDQUOT: IOASID_OPTION_LIMIT_IOASIDS is reached.
 *  * ENOSPC: no id is left.
 *  * EDEADLK: see IOASID_STATE_PARTIAL_GROUP.
 */
struct ioasid_import {
	__u32 argsz;
	__u32 flags;
	__s32 fd;
	__u32 ioasid;
	__u64 cookie;
};

/**
 * enum ioasid_list_type - types of entries of IOASID_LIST
 * @IOASID_LIST_IOASID: an IOASID or an import: @id, @cookie, @kind, @parent
 * @IOASID_LIST_DEVICE: a device: @id, @cookie
 * @IOASID_LIST_ATTACHMENT: a device attached to an IOASID: @id and @cookie of
 *	the device, @ioasid, @vpasid
 * @IOASID_LIST_FAULT_QUEUE: a fault queue: @id, @cookie
 */
enum ioasid_list_type {
	IOASID_LIST_IOASID = 1,
	IOASID_LIST_DEVICE = 2,
	IOASID_LIST_ATTACHMENT = 3,
	IOASID_LIST_FAULT_QUEUE = 4,
};

/**
 * struct ioasid_list_entry - one entry of IOASID_LIST
 * @type: enum ioasid_list_type
 * @id: id of the IOASID or device
 * @cookie: its cookie
 * @ioasid: of an attachment: the IOASID
 * @vpasid: of an attachment: the PASID; 0, by requester id
 * @kind: of an IOASID: enum ioasid_kind
 * @parent: of an IOASID: its parent, or 0
 */
struct ioasid_list_entry {
	__u32 type;
	__u32 id;
	__u64 cookie;
	__u32 ioasid;
	__u32 vpasid;
	__u32 kind;
	__u32 parent;
};

/**
 * struct ioasid_list_long_entry - one entry of IOASID_LIST, with a name
 * @entry: as in the short form
 * @name: of a device, and of its attachments: its name in sysfs, cut off after 63
 *	bytes; of other entries, and of a device that is being unbound, empty.
 *	Filled up with zeroes
 */
struct ioasid_list_long_entry {
	struct ioasid_list_entry entry;
	char name[64];
};

/**
 * struct ioasid_list - ioctl(IOASID_LIST)
 * @argsz: sizeof(struct ioasid_list)
 * @flags: must be 0
 * @start: list objects with this id or a higher one
 * @nr: in, how many elements @entries has room for; out, how many entries
 *	there are from @start on
 * @entries: pointer to an array of elements of @entry_size bytes, filled in
 *	ascending order of ids; the attachments of a device follow it, in
 *	ascending order of PASIDs. Not looked at when @nr is 0.
 * @entry_size: sizeof(struct ioasid_list_long_entry), or 0 for struct
 *	ioasid_list_entry. In general a multiple of 8 from 32 on: an element has
 *	as much of struct ioasid_list_long_entry as fits, and zeroes behind it
 * @__reserved: must be 0
 *
 * For a process that took the file over and needs its contents.  To continue a
 * list that did not fit, set @start to the id that follows the last object
 * whose entries all fitted.
 *
 * Errors:
 *
 *  * E2BIG: @entry_size is larger than 256; or the kernel is older than this field.
 */
struct ioasid_list {
	__u32 argsz;
	__u32 flags;
	__u32 start;
	__u32 nr;
	__aligned_u64 entries;
	__u32 entry_size;
	__u32 __reserved;
};

/**
 * struct ioasid_event - an IOASID whose state has changed
 * @ioasid: its id
 * @state: IOASID_STATE_POISONED, IOASID_STATE_ORPHAN and IOASID_STATE_REVOKED, as
 *	far as it is in that state now
 * @cookie: its cookie
 */
struct ioasid_event {
	__u32 ioasid;
	__u32 state;
	__u64 cookie;
};

/**
 * struct ioasid_get_events - ioctl(IOASID_GET_EVENTS)
 * @argsz: sizeof(struct ioasid_get_events)
 * @flags: must be 0
 * @nr: in, number of elements that @events has room for; out, number of elements
 *	that were filled
 * @more: must be 0; out, 1 when there are more events
 * @events: pointer to an array of struct ioasid_event. Not looked at when @nr is 0
 *
 * An IOASID has an event when an IOMMU failed that serves it
 * (IOASID_STATE_POISONED), when device memory that it maps was revoked
 * (IOASID_STATE_REVOKED) or is back, and when its parent in this context was freed
 * (IOASID_STATE_ORPHAN).  An IOASID below an import also has one when the exporting
 * context unmaps memory that it maps; if that context, or its IOASID, is gone for
 * good, the state is IOASID_STATE_ORPHAN.
 *
 * There is an event each time anew, until this command has told it.  An IOASID has at
 * most one at a time: the command tells which states there are now, and these may
 * have ended meanwhile.  Events are told in ascending order of ids, and each to one
 * caller only.  To find one takes as long in a context with a million of IOASIDs as
 * in one with a few; but after a parent was freed, the next poll() or command looks
 * at all of them once.
 *
 * poll() of the file returns POLLIN, POLLRDNORM and POLLPRI while there is an event
 * that was not told (level-triggered).  Edge-triggered epoll wakes at each event.
 * There is nothing to read().
 */
struct ioasid_get_events {
	__u32 argsz;
	__u32 flags;
	__u32 nr;
	__u32 more;
	__aligned_u64 events;
};

/**
 * enum ioasid_option - options of a context
 * @IOASID_OPTION_CHARGE: the way to charge locked memory, enum ioasid_charge.
 *	Can be set until memory is first charged, even for a map that then
 *	fails; setting the current value always succeeds.
 * @IOASID_OPTION_LIMIT_PINNED: bytes that the context may pin; all ones for
 *	no limit, the default. Memory that is pinned already stays, even if
 *	it is more.
 * @IOASID_OPTION_LIMIT_IOASIDS: possible number of IOASIDs of the context; all
 *	ones for no limit, the default.
 * @IOASID_OPTION_LIMIT_PASIDS: possible number of attachments by PASID, of all
 *	devices of the context; all ones for no limit, the default. What is
 *	attached already stays, even if it is more. If a driver of a shared device
 *	takes PASIDs only to work, each counts only while work goes on by it.
 * @IOASID_OPTION_LIMIT_MAPPINGS: possible number of mappings of all IOASIDs of
 *	the context together, with reserved ranges, and with mappings that are
 *	being made; all ones for no limit, the default. What is mapped already
 *	stays, even if it is more. While there has been no limit, maps need not
 *	count. What IOASID_ALLOC_DEMAND pins is a mapping of its own in each window.
 */
enum ioasid_option {
	IOASID_OPTION_CHARGE = 1,
	IOASID_OPTION_LIMIT_PINNED = 2,
	IOASID_OPTION_LIMIT_IOASIDS = 3,
	IOASID_OPTION_LIMIT_PASIDS = 4,
	IOASID_OPTION_LIMIT_MAPPINGS = 5,
};

/**
 * enum ioasid_charge - values of IOASID_OPTION_CHARGE
 * @IOASID_CHARGE_USER: to the user, together with all that this user's other
 *	processes lock in this way
 * @IOASID_CHARGE_MM: to the process that maps, as mlock() does
 * @IOASID_CHARGE_ONCE: to the process that maps, as mlock() does, but each page
 *	only once, however often the process maps it, to all IOASIDs of all
 *	contexts that charge in this way. It is uncharged when the last of
 *	these mappings is unmapped.
 *
 * In each way RLIMIT_MEMLOCK of the process that maps is the limit, and
 * CAP_IPC_LOCK lifts it.
 *
 * Memory can stay pinned when the process that mapped it has ended or executed
 * another program, and has closed its files.  Its charge then moves to
 * its user, as with IOASID_CHARGE_USER, until it is unmapped.  When a
 * process of that user is charged for a map with IOASID_CHARGE_MM or
 * IOASID_CHARGE_ONCE, this counts against the limit, too.
 *
 * Charging once costs time and memory for each run of contiguous pages of a
 * mapping, and has limits.  Pages count, not addresses: whether they are mapped
 * by address or by file, and later changes of the address, do not matter.
 * Pages that another process maps, of memory that both share, are charged to
 * both.  Pages that are charged to the process in another way, or that it has
 * locked by mlock(), are charged on top.  A map that exceeds the limit is found
 * out after at most 512 pages beyond it were pinned for a moment, and fails
 * with EDQUOT like any other.  IOASID_OPTION_LIMIT_PINNED counts every mapping
 * all the same, and so do @bytes_pinned and @bytes_charged of struct
 * ioasid_info: the latter is then the charge if nothing was shared.  The key
 * "ioasid-charged" in the fdinfo of each context of a process has its charge in
 * all.
 */
enum ioasid_charge {
	IOASID_CHARGE_USER = 0,
	IOASID_CHARGE_MM = 1,
	IOASID_CHARGE_ONCE = 2,
};

/**
 * enum ioasid_option_flags - flags of IOASID_SET_OPTION
 * @IOASID_OPTION_GET: do not set the option but read it
 * @IOASID_OPTION_SEAL: set the option and forbid further changes: only the value
 *	that it has can be set. Excludes IOASID_OPTION_GET.
 */
enum ioasid_option_flags {
	IOASID_OPTION_GET = 1 << 0,
	IOASID_OPTION_SEAL = 1 << 1,
};

/**
 * struct ioasid_set_option - ioctl(IOASID_SET_OPTION)
 * @argsz: sizeof(struct ioasid_set_option)
 * @flags: enum ioasid_option_flags
 * @option: enum ioasid_option
 * @sealed: out with IOASID_OPTION_GET: 1 if the option is sealed; must be 0
 *	on input
 * @value: the value to set, must be 0 with IOASID_OPTION_GET; out with
 *	IOASID_OPTION_GET, the value
 *
 * A manager sets and seals limits before it passes the file on.
 *
 * Errors:
 *
 *  * EPERM: the option is sealed, and has another value.
 *  * EBUSY: it is too late to set IOASID_OPTION_CHARGE.
 *  * EOPNOTSUPP: no such option or value.
 */
struct ioasid_set_option {
	__u32 argsz;
	__u32 flags;
	__u32 option;
	__u32 sealed;
	__u64 value;
};

/**
 * DOC: Commands of device files
 *
 * Device frameworks give their device files three commands of their own
 * numbers, which take these structures: VFIO_DEVICE_BIND_IOASID_FD,
 * VFIO_DEVICE_ATTACH_IOASID and VFIO_DEVICE_DETACH_IOASID; and
 * VHOST_VDPA_BIND_IOASID_FD, VHOST_VDPA_ATTACH_IOASID and VHOST_VDPA_DETACH_IOASID.
 * IOASID_DEVICE_GET_ID has the same number in all frameworks.
 */

/**
 * struct ioasid_device_get_id - ioctl(IOASID_DEVICE_GET_ID) on a device file
 * @argsz: sizeof(struct ioasid_device_get_id)
 * @flags: must be 0
 * @ioasid_fd: an open file of /dev/ioasid that the device should be bound to, or
 *	-1 for any
 * @devid: out, the id of the device in the file that it is bound to
 * @cookie: out, as given when it was bound
 *
 * For a process that took over files: tells which of its device files belongs to
 * which entry of IOASID_LIST.  IOASID_DEVICE_GET_INFO says more of a device.
 *
 * Errors:
 *
 *  * EINVAL: the device is not bound; of a file of vhost-vdpa ENODEV.
 *  * EBADF: @ioasid_fd is neither -1 nor an open file of /dev/ioasid.
 *  * EXDEV: the device is bound to another file.
 */
struct ioasid_device_get_id {
	__u32 argsz;
	__u32 flags;
	__s32 ioasid_fd;
	__u32 devid;
	__u64 cookie;
};

/**
 * struct ioasid_device_bind - bind a device to a context
 * @argsz: sizeof(struct ioasid_device_bind)
 * @flags: must be 0
 * @ioasid_fd: an open file of /dev/ioasid
 * @ioasid: an IOASID of that file to attach to at once, or 0
 * @cookie: any number; the kernel shows it together with the device
 * @devid: out, the id of the device in that file
 * @__reserved: must be 0
 * @fault_addr: out on EADDRINUSE, see struct ioasid_device_attach
 *
 * From here until its file is closed the device can do no DMA but through an
 * IOASID of this context: while it is attached to none, its DMA is blocked.
 * The first device of an iommu group to be bound blocks the whole group.
 * There is no access to the device before it is bound, and no unbind: closing
 * the device file does it.  A bind that is refused because the device or its
 * group is in use, or because a file or an IOASID does not exist, has no effect
 * on the device: it is not opened, reset or resumed.
 *
 * Errors:
 *
 *  * EBADF: @ioasid_fd is not open or not a file of /dev/ioasid.
 *  * EINVAL: the device file is that of a group that was given another
 *    context.
 *  * EBUSY: the device is bound already, or is in use through a VFIO group,
 *    container or iommufd; or its group is in use by a kernel driver or
 *    another context.
 *  * EPERM: the interrupts of the device are not isolated (see the module
 *    parameter allow_unsafe_interrupts).
 *  * EOPNOTSUPP: the device has no IOMMU or its DMA is not coherent.
 *  * ENOSPC: no id is left.
 *
 * Other errors are those of the IOMMU driver that cannot block the group,
 * and with @ioasid those of attaching.
 */
struct ioasid_device_bind {
	__u32 argsz;
	__u32 flags;
	__s32 ioasid_fd;
	__u32 ioasid;
	__u64 cookie;
	__u32 devid;
	__u32 __reserved;
	__u64 fault_addr;
};

/**
 * enum ioasid_attach_flags - flags of struct ioasid_device_attach
 * @IOASID_ATTACH_PASID: attach the device's DMA with the PASID @vpasid, instead of
 *	its DMA by requester id
 * @IOASID_ATTACH_PASID_ANY: the same, with a PASID of the device that is not in
 *	use. The kernel chooses it and writes it to @vpasid before it takes
 *	effect, and also if the attach then fails. Excludes IOASID_ATTACH_PASID.
 * @IOASID_ATTACH_NEW: fail with EEXIST if the device, or its PASID, is attached
 * @IOASID_ATTACH_HITLESS: if the PASID is attached, let its DMA go on while it
 *	moves, or fail with EOPNOTSUPP. Needs IOASID_ATTACH_PASID; excludes
 *	IOASID_ATTACH_NEW.
 * @IOASID_ATTACH_ASID: of a vDPA device: attach its address space @vpasid; without
 *	it, address space 0. Excludes all flags but IOASID_ATTACH_NEW.
 */
enum ioasid_attach_flags {
	IOASID_ATTACH_PASID = 1 << 0,
	IOASID_ATTACH_PASID_ANY = 1 << 1,
	IOASID_ATTACH_NEW = 1 << 2,
	IOASID_ATTACH_HITLESS = 1 << 3,
	IOASID_ATTACH_ASID = 1 << 4,
};

/**
 * struct ioasid_device_attach - attach a bound device to an IOASID
 * @argsz: sizeof(struct ioasid_device_attach)
 * @flags: enum ioasid_attach_flags
 * @ioasid: the IOASID, of the context that the device was bound to
 * @vpasid: with IOASID_ATTACH_PASID the PASID, 1 or more; with IOASID_ATTACH_ASID
 *	the number of the vDPA address space; must be 0 without them; out with
 *	IOASID_ATTACH_PASID_ANY
 * @fault_addr: out on EADDRINUSE: the first IOVA that is mapped and that the
 *	device cannot use
 *
 * Attaching a device that is attached already moves it to the new IOASID.
 * When that fails, it stays where it was, but for ENOTCONN.  DMA that is
 * under way during the move may fail where the hardware blocks for a moment.
 *
 * Routing by requester id belongs to the iommu group: the first device of the
 * group to attach takes the group along; the others then may attach to the
 * same IOASID; attaching one of the attached ones elsewhere moves them all.
 *
 * Routing by PASID belongs to the device, which must be alone in its group.  Each
 * of its PASIDs has an IOASID of its own, beside that of the requester id.  An
 * IOASID can be attached by any number of devices and PASIDs.  DMA with a PASID
 * that is not attached fails, and never goes to the IOASID of the requester id,
 * nor the other way round.  A PASID moves without being blocked where
 * IOASID_DEVICE_PASID_HITLESS is set.  Elsewhere its DMA fails during the move.
 *
 * A vDPA device has address spaces, whose number is that of VHOST_VDPA_GET_AS_NUM.
 * Each has an IOASID of its own.  While it is attached, and IOASID_DEVICE_TRANSLATES
 * is set, what is mapped and unmapped takes effect in the device before the command
 * returns.  It moves without being blocked in between, if the device can replace all
 * of its translations at once.
 *
 * Errors:
 *
 *  * ENODEV: the device is not bound; or the IOASID has a table of user space,
 *    and its parent was freed.
 *  * ENOENT: there is no such IOASID.
 *  * EINVAL: flags that exclude each other, or @vpasid is not a PASID, or an address
 *    space, of the device.
 *  * EOPNOTSUPP: an unknown flag, or one that is not for this framework; with
 *    IOASID_DEVICE_TRANSLATES, memory of other devices is mapped, or the IOASID has
 *    a table of user space; the device has no PASIDs or shares its group;
 *    the IOASID is of the kind IOASID_KIND_PASID_TABLE, and the attach is by
 *    PASID or the device shares its group; or is of a kind with a table of user
 *    space, and the device lacks IOASID_DEVICE_NESTING; or the PASID, or the
 *    requester id, cannot move as IOASID_ATTACH_HITLESS asks for.
 *  * EEXIST: the device, or its PASID, is attached, and IOASID_ATTACH_NEW is set;
 *    or another command has chosen this PASID; or with IOASID_DEVICE_PASID_COMMON,
 *    the PASID has another IOASID, or the IOASID another PASID, on any of these
 *    devices.
 *  * ENOSPC: with IOASID_ATTACH_PASID_ANY, or with IOASID_DEVICE_SHARED, all PASIDs
 *    are in use; with IOASID_DEVICE_TRANSLATES, the device cannot hold all mappings.
 *  * EDQUOT: IOASID_OPTION_LIMIT_PASIDS is reached; or with IOASID_DEVICE_SHARED,
 *    the limit of the caller's user, of the module parameter max_pasids, unless it
 *    has CAP_SYS_RESOURCE.
 *  * EADDRINUSE: memory is mapped at IOVAs that the device cannot use.
 *  * EMEDIUMTYPE: the device's IOMMU cannot serve this IOASID, or not by PASID; or
 *    the IOASID was made with IOASID_ALLOC_DEMAND, and the device requests no pages.
 *  * EBUSY: another device of the group is attached elsewhere; or the IOASID, or
 *    the one that the requester id is attached to, is of the kind
 *    IOASID_KIND_PASID_TABLE, and PASIDs would be attached beside it; or the vDPA
 *    address space has mappings of IOTLB messages, or is in a batch of these; or with
 *    IOASID_DEVICE_PASID_COMMON, another user of the same hardware has the IOASID
 *    attached.
 *  * EIO: the IOMMU failed, or see IOASID_STATE_POISONED.
 *  * ENOTCONN: the move failed, and so did attaching the device where it
 *    was: it is detached now, with all devices of its group.  Only an IOMMU
 *    that cannot replace a page table by another one does this, such as
 *    virtio-iommu.  Of a move of a PASID: it alone is detached.
 *
 * Other errors are those of the IOMMU driver.
 */
struct ioasid_device_attach {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 vpasid;
	__u64 fault_addr;
};

/**
 * enum ioasid_detach_flags - flags of struct ioasid_device_detach
 * @IOASID_DETACH_PASID: detach the PASID @vpasid of the device, and nothing else
 * @IOASID_DETACH_ASID: of a vDPA device: detach its address space @vpasid; without
 *	it, address space 0
 */
enum ioasid_detach_flags {
	IOASID_DETACH_PASID = 1 << 0,
	IOASID_DETACH_ASID = 1 << 1,
};

/**
 * struct ioasid_device_detach - detach a device from its IOASID
 * @argsz: sizeof(struct ioasid_device_detach)
 * @flags: enum ioasid_detach_flags
 * @ioasid: the IOASID it is attached to, or 0 for any
 * @vpasid: with IOASID_DETACH_PASID the PASID, 1 or more; with IOASID_DETACH_ASID
 *	the number of the vDPA address space; must be 0 without them
 *
 * The group is blocked when its last attached device detaches.  A PASID is
 * blocked, and its translations are flushed, before the command returns: its
 * number can be used for another attach.  The requester id and other PASIDs stay
 * attached.
 *
 * Errors:
 *
 *  * ENODEV: the device is not bound.
 *  * ENOENT: it, or its PASID, is not attached, or not to @ioasid.
 *  * EINVAL: both flags; @vpasid is 0 with IOASID_DETACH_PASID, not 0 with none, or
 *    no address space of the device.
 *  * EOPNOTSUPP: an unknown flag, one that is not for this framework, or the device
 *    has no PASIDs.
 */
struct ioasid_device_detach {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 vpasid;
};

/**
 * enum ioasid_rehome_flags - flags of IOASID_REHOME
 * @IOASID_REHOME_PROBE: check, and change nothing
 */
enum ioasid_rehome_flags {
	IOASID_REHOME_PROBE = 1 << 0,
};

/**
 * struct ioasid_rehome_entry - where the caller has memory that is mapped
 * @iova: first byte
 * @length: bytes
 * @addr: the user address of the memory at @iova
 *
 * All are multiples of the page size, and @length is not 0.
 */
struct ioasid_rehome_entry {
	__u64 iova;
	__u64 length;
	__u64 addr;
};

/**
 * struct ioasid_rehome - ioctl(IOASID_REHOME)
 * @argsz: sizeof(struct ioasid_rehome)
 * @flags: enum ioasid_rehome_flags
 * @ioasid: a root of the kind IOASID_KIND_MAP
 * @__reserved: must be 0
 * @moved: number of mappings that the caller took over, or would take over; 0 on
 *	input. Valid on failure, too.
 * @fail_iova: first byte of the mapping that could not be moved, or of the page,
 *	or of the entry: see below; 0 on input, and on success
 * @entries: pointer to an array of elements of @entry_size bytes, struct
 *	ioasid_rehome_entry. Not looked at when @nr is 0
 * @nr: number of elements
 * @entry_size: sizeof(struct ioasid_rehome_entry). Larger elements, up to 256 bytes,
 *	are accepted if all bytes that the kernel does not know are 0.
 *
 * The caller becomes the process and the user that pay for the mappings of the
 * root: their charge moves to it, as IOASID_OPTION_CHARGE says, under its
 * RLIMIT_MEMLOCK.  So a process that was passed the context's file takes over
 * from its predecessor, which may run or have ended.  No page is unpinned, and no
 * translation changes: DMA goes on.
 *
 * Mappings of files move, see IOASID_MAP_FILE, in ascending order of IOVAs, each
 * of them as a whole.  Those that the caller pays for already stay as they are,
 * as does memory of a device that was mapped by its file.  Mappings that another
 * thread makes meanwhile are charged to the process of that thread.  Children
 * need nothing: their memory is charged with the root.
 *
 * Mappings of user addresses move if an entry says where the caller has their
 * memory: memory that both processes share, at any address.  The kernel compares
 * page by page what is there with what is mapped.  The caller must be able to
 * write it, if it was mapped for writing.  The mapping then is one of the caller's
 * address: see IOASID_QUERY_MAP.  A mapping that the caller pays for already
 * moves to the address of its entry, if it has another one.
 *
 * Entries ascend, and do not overlap.  An entry can cover any number of mappings,
 * but all of each: it may not begin or end inside of a mapping of user addresses.
 * Mappings of files and ranges that are not mapped can be among them.  Memory of a
 * device that was mapped by an address, and memory that an IOASID with
 * IOASID_ALLOC_DEMAND has recorded by an address, cannot move.
 *
 * All entries are read, and all mappings are checked against them, before anything
 * moves.  Pages are compared later, when it is the turn of their mapping.  If they
 * are not present, the comparison faults them in, and waits for that.
 *
 * A charge counts once against a limit that both processes share.  This is the
 * user's locked memory, with IOASID_CHARGE_USER, and what a user is charged for
 * processes that ended, with the other modes.
 *
 * IOASID_REHOME_PROBE checks the mappings, their pages and the limit of the caller.
 * With IOASID_CHARGE_ONCE it does not check the limit.
 *
 * Errors, with @moved and @fail_iova:
 *
 *  * EINVAL: a field that must be 0 is not, or @entry_size is too small; the entry
 *    at @fail_iova is malformed, or does not ascend; or an entry covers only a part
 *    of the mapping at @fail_iova. Nothing was moved, unless the mapping, or what
 *    the entries say, is newer than the call.
 *  * E2BIG: @entry_size is larger than 256, or a byte of an element that the kernel
 *    does not know is not 0.
 *  * EOPNOTSUPP: not a root of the kind IOASID_KIND_MAP; or another process has
 *    mapped user addresses at @fail_iova, and no entry is for them, or none can
 *    be. Nothing was moved, unless that was mapped during the call.
 *  * EFAULT: the caller has no memory for the page at @fail_iova, or may not write
 *    it, or has another page there. What is below has moved. Also if @entries
 *    cannot be read.
 *  * EHWPOISON: the caller's page for @fail_iova is poisoned.
 *  * EDQUOT: RLIMIT_MEMLOCK of the caller would be exceeded at @fail_iova. What
 *    is below has moved. With PROBE, @fail_iova is 0.
 *  * ENOMEM, EINTR: at @fail_iova. What is below has moved. A repeated call
 *    continues.
 */
struct ioasid_rehome {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
	__u64 moved;
	__u64 fail_iova;
	__aligned_u64 entries;
	__u32 nr;
	__u32 entry_size;
};

/**
 * enum ioasid_vfio_ioasid_flags - flags of struct ioasid_vfio_ioasid
 * @IOASID_VFIO_IOASID_SET: designate @ioasid; otherwise tell which one is
 */
enum ioasid_vfio_ioasid_flags {
	IOASID_VFIO_IOASID_SET = 1 << 0,
};

/**
 * struct ioasid_vfio_ioasid - the IOASID that VFIO's container commands act on
 * @argsz: sizeof(struct ioasid_vfio_ioasid)
 * @flags: enum ioasid_vfio_ioasid_flags
 * @ioasid: in with IOASID_VFIO_IOASID_SET, an IOASID without parent; out without
 *	it, the designated IOASID, or 0; must be 0 on input then
 * @__reserved: must be 0
 *
 * The file answers the commands of VFIO's type1 containers.  They map to and
 * unmap from the designated IOASID, and describe it; groups that are given to
 * the file afterwards attach to it.  Groups that are attached and memory that is
 * mapped stay where they are.  If none is designated, VFIO_SET_IOMMU allocates an
 * IOASID, which is freed when the last group leaves, unless a device that was
 * bound by a command is attached to it.
 *
 * Errors:
 *
 *  * EOPNOTSUPP: the IOASID has a parent, or another kind than IOASID_KIND_MAP.
 */
struct ioasid_vfio_ioasid {
	__u32 argsz;
	__u32 flags;
	__u32 ioasid;
	__u32 __reserved;
};

/*
 * Arguments of VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU on a VFIO container that
 * vfio_iommu_ioasid serves.
 *
 * IOASID_VFIO_IOMMU: as VFIO_TYPE1v2_IOMMU, always served by this module.  The
 * container has a context of its own and takes its commands too.
 *
 * IOASID_VFIO_FILE: the container lends its groups to an open file of
 * /dev/ioasid.  Their DMA is blocked until they are bound and attached by
 * IOASID_VFIO_BIND_GROUP and IOASID_VFIO_ATTACH_GROUP.  After a bind the container
 * takes the commands of that file, too; before, these fail with EINVAL.
 */
#define IOASID_VFIO_IOMMU	0x6901
#define IOASID_VFIO_FILE	0x6902

/**
 * struct ioasid_vfio_bind_group - bind a group of a container to /dev/ioasid
 * @argsz: sizeof(struct ioasid_vfio_bind_group)
 * @flags: must be 0
 * @group_fd: a file of the VFIO group, which is in this container
 * @ioasid_fd: a file of /dev/ioasid, the same for all groups of the container
 * @cookie: any number that user space chose
 * @devid: out, the id of the bound group; it is used like that of a device
 * @__reserved: must be 0
 *
 * The binding ends when the group leaves the container.
 *
 * Errors:
 *
 *  * EBADF: a file descriptor is not open, or is a file of another sort.
 *  * EINVAL: the group is not in this container, or the container uses another
 *    file.
 *  * EBUSY: the group is bound.
 *  * EPERM: its interrupts are not isolated.
 *  * ENOSPC: no id is left.
 *
 * Other errors are those of the IOMMU driver.
 */
struct ioasid_vfio_bind_group {
	__u32 argsz;
	__u32 flags;
	__s32 group_fd;
	__s32 ioasid_fd;
	__u64 cookie;
	__u32 devid;
	__u32 __reserved;
};

/**
 * struct ioasid_vfio_attach_group - attach a group of a container to an IOASID
 * @argsz: sizeof(struct ioasid_vfio_attach_group)
 * @flags: must be 0
 * @group_fd: a file of the VFIO group, which is in this container
 * @ioasid: the IOASID, of the context of this container
 * @fault_addr: out on EADDRINUSE: the first IOVA that is mapped and that the
 *	group cannot use
 *
 * A group that is attached moves; when that fails, it stays where it was, but for
 * ENOTCONN.
 *
 * Errors: those of VFIO_DEVICE_ATTACH_IOASID, and
 *
 *  * EBADF: @group_fd is not open, or is a file of another sort.
 *  * EINVAL: the group is not in this container.
 *  * ENODEV: it is not bound.
 *  * EOPNOTSUPP: its devices are emulated, and the container serves type1.
 */
struct ioasid_vfio_attach_group {
	__u32 argsz;
	__u32 flags;
	__s32 group_fd;
	__u32 ioasid;
	__u64 fault_addr;
};

/**
 * struct ioasid_vfio_detach_group - detach a group of a container
 * @argsz: sizeof(struct ioasid_vfio_detach_group)
 * @flags: must be 0
 * @group_fd: a file of the VFIO group, which is in this container
 * @ioasid: the IOASID it is attached to, or 0 for any
 *
 * The group is blocked.
 *
 * Errors:
 *
 *  * ENOENT: it is not attached, or not to @ioasid.
 *
 * Others are as of IOASID_VFIO_ATTACH_GROUP.
 */
struct ioasid_vfio_detach_group {
	__u32 argsz;
	__u32 flags;
	__s32 group_fd;
	__u32 ioasid;
};

#endif /* _UAPI_LINUX_IOASID_H */
