/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of the model IOMMU to software: properties of a unit, the
 * tables that user space builds for it, and its counters.  Both the kernel
 * module and the tests include this file.
 *
 * User tables
 * ===========
 * All are arrays of little-endian 64-bit words in the memory that stage 2 (the
 * nesting parent) translates; all addresses in them are its input addresses.
 * The unit reads and writes them when it walks, never when they are bound.
 *
 * Stage 1 has MODEL_S1_MIN_LEVELS to MODEL_S1_MAX_LEVELS levels.  A table is
 * 512 entries in 4096 bytes, aligned; bits [12 + 9 * n, 20 + 9 * n] of an
 * address index the table of level n, and the root is of level levels - 1.  An
 * entry is not there unless MODEL_S1_PRESENT.  It is a page if it is of level
 * 0, or has MODEL_S1_HUGE, and then of 4096 << (9 * n) bytes, to which its
 * address must be aligned; levels above MODEL_S1_MAX_HUGE have no pages.
 * Otherwise it points to a table of level n - 1.  Writes need MODEL_S1_WRITE in
 * all entries on the way.  The unit sets MODEL_S1_ACCESSED in every entry that
 * it uses, and MODEL_S1_DIRTY in a page's that it writes through, with an
 * atomic compare and exchange: stage 2 must let it write where tables are.  All
 * other bits must be 0.
 *
 * A PASID table is 1 << pasid_bits entries of two words, aligned to 4096.  The
 * first word is as MODEL_PASID_* say, the second must be 0.
 *
 * Caches
 * ======
 * The IOTLB, the PASID cache (entries of PASID tables of user space) and, for
 * accesses with MODEL_ACCESS_ATS, the device TLB keep entries until these are
 * invalidated.  Absent entries are not cached, unless the unit
 * has MODEL_CACHE_ABSENT.  Software that changes a table invalidates, with
 * &struct model_invalidate.  A dirty bit is set once for each entry of the
 * IOTLB: clear it, then invalidate.
 */
#ifndef IOASID_MOCK_MODEL_ABI_H
#define IOASID_MOCK_MODEL_ABI_H

#include <linux/const.h>
#include <linux/types.h>

/* ---- Properties of a unit ---- */

#define MODEL_MAX_RESV		8

/* Types in struct model_resv */
#define MODEL_RESV_DIRECT	0
#define MODEL_RESV_RELAXABLE	1
#define MODEL_RESV_RESERVED	2
#define MODEL_RESV_MSI		3
#define MODEL_RESV_SW_MSI	4

/**
 * struct model_resv - a reserved region
 * @start: first byte
 * @length: bytes
 * @type: MODEL_RESV_DIRECT ...
 * @reserved: 0
 */
struct model_resv {
	__u64 start;
	__u64 length;
	__u32 type;
	__u32 reserved;
};

/* Flags in struct model_params */
#define MODEL_ENFORCE_COHERENCY	_BITUL(0)  /* can enforce snooping */
#define MODEL_DIRTY		_BITUL(1)  /* has dirty bits in stage 2 */
#define MODEL_NESTING		_BITUL(2)  /* walks tables of user space */
#define MODEL_USER_PASID_TABLE	_BITUL(3)  /* and PASID tables */
#define MODEL_PRI		_BITUL(4)  /* takes page requests */
#define MODEL_ATS		_BITUL(5)  /* its devices have TLBs */
#define MODEL_NO_DEFERRED_FLUSH	_BITUL(6)  /* no flush of all by software */
#define MODEL_NO_ISOLATED_MSI	_BITUL(7)  /* MSIs are not isolated */
#define MODEL_EVICT_RANDOM	_BITUL(8)  /* caches forget at random */
#define MODEL_CACHE_ABSENT	_BITUL(9)  /* remembers what is not mapped */
#define MODEL_PROTECT		_BITUL(10) /* changes permission in place */
#define MODEL_FINALIZE		_BITUL(11) /* domains are finalized on attach */
#define MODEL_NO_REPLACE_PASIDS	_BITUL(12) /* detaches a PASID before it moves */
#define MODEL_FLAGS		(_BITUL(13) - 1)

#define MODEL_NO_CREDITS	(~0U)

/**
 * struct model_params - properties of a unit
 * @page_sizes: bitmap of page sizes: 2^9 to 2^51
 * @aperture_start: first IOVA
 * @aperture_last: last IOVA
 * @flags: MODEL_ENFORCE_COHERENCY ...
 * @levels: of stage 2 tables, 1 to 6.  Each resolves 9 bits; the lowest one's
 *	entries are of the smallest page size
 * @pasid_bits: width of PASIDs, 0 for none, at most 20
 * @unit: a number, to have more than one unit with equal properties
 * @prq_depth: number of page requests that fit in the queue, 0 for 1024
 * @nr_resv: number of elements of @resv that are used
 * @prq_credits: number of page requests that each of its devices may have
 *	outstanding, 0 for 32; MODEL_NO_CREDITS for devices that do not care
 * @reserved: 0
 * @resv: reserved regions of all its devices
 *
 * The queue overflows only if it is smaller than the sum of what its devices may
 * have outstanding: with the defaults, if there are more than 32 of them.
 *
 * Devices that are made with equal parameters are behind one unit, and so can
 * share domains; no others can.  All 0 gives 4 KiB, 2 MiB and 1 GiB pages in
 * four levels and a full aperture, and no capability.
 */
struct model_params {
	__u64 page_sizes;
	__u64 aperture_start;
	__u64 aperture_last;
	__u32 flags;
	__u32 levels;
	__u32 pasid_bits;
	__u32 unit;
	__u32 prq_depth;
	__u32 nr_resv;
	__u32 prq_credits;
	__u32 reserved;
	struct model_resv resv[MODEL_MAX_RESV];
};

/* ---- Faults and counters ---- */

/**
 * enum model_reason - why an access failed
 * @MODEL_OK: no failure
 * @MODEL_PAGE_REQUEST: the access may succeed after a page request
 * @MODEL_FAULT_BLOCKED: the RID is blocked, or the device is gone
 * @MODEL_FAULT_PASID: the PASID is too wide, or nothing is attached to it
 * @MODEL_FAULT_WIDTH: the address is beyond the aperture, or the table's width
 * @MODEL_FAULT_ABSENT: not mapped in stage 2
 * @MODEL_FAULT_DENIED: stage 2 does not permit it
 * @MODEL_FAULT_S1_ABSENT: not mapped in stage 1
 * @MODEL_FAULT_S1_DENIED: stage 1 does not permit it
 * @MODEL_FAULT_S1_FORMAT: a table of user space is malformed
 * @MODEL_FAULT_S1_TABLE: stage 2 does not map a table of user space, or not for
 *	writing
 * @MODEL_FAULT_MEMORY: no memory is there
 * @MODEL_FAULT_LEDGER: the page was released while it could be reached
 * @MODEL_FAULT_ALIGN: an atomic operation is not aligned
 */
enum model_reason {
	MODEL_OK,
	MODEL_PAGE_REQUEST,
	MODEL_FAULT_BLOCKED,
	MODEL_FAULT_PASID,
	MODEL_FAULT_WIDTH,
	MODEL_FAULT_ABSENT,
	MODEL_FAULT_DENIED,
	MODEL_FAULT_S1_ABSENT,
	MODEL_FAULT_S1_DENIED,
	MODEL_FAULT_S1_FORMAT,
	MODEL_FAULT_S1_TABLE,
	MODEL_FAULT_MEMORY,
	MODEL_FAULT_LEDGER,
	MODEL_FAULT_ALIGN,
};

#define MODEL_NO_PASID		(~0U)

/**
 * struct model_fault - the last fault of a device
 * @address: where
 * @pasid: the PASID, or MODEL_NO_PASID
 * @reason: enum model_reason
 * @write: whether it was a write
 * @count: faults since the device was made
 */
struct model_fault {
	__u64 address;
	__u32 pasid;
	__u32 reason;
	__u32 write;
	__u32 count;
};

/**
 * struct model_counters - events of a unit since it was made
 * @maps: calls of map_pages
 * @unmaps: calls of unmap_pages
 * @sync_maps: calls of iotlb_sync_map
 * @protects: calls of protect_pages
 * @flush_all: flushes of the whole of a domain
 * @flush_range: flushes of a range of a domain
 * @flush_user: flushes that user space asked for
 * @flush_pasid: flushes of the PASID cache, or of one PASID
 * @flush_devtlb: flushes of a device's TLB
 * @walks: walks of tables
 * @hits: accesses that a TLB translated
 * @stale: hits that a walk would have translated differently
 * @bypass: accesses through the identity domain
 * @no_snoop: accesses that went past the caches of the CPU
 * @faults: accesses that failed
 * @requests: page requests that were queued
 * @responses: page responses that came
 * @overflows: page requests for which the queue had no room
 * @ledger_pages: pages found that were released while they could be reached
 * @ledger_address: IOVA of the last of these pages
 * @ledger_pfn: page frame number of the last of these pages
 * @ledger_where: how it could be reached: enum model_holder
 * @attached: number of attachments, of RIDs and PASIDs, except to blocked and
 *	identity domains
 * @domains: number of domains
 * @cached: number of entries in IOTLBs and device TLBs
 */
struct model_counters {
	__u64 maps;
	__u64 unmaps;
	__u64 sync_maps;
	__u64 protects;
	__u64 flush_all;
	__u64 flush_range;
	__u64 flush_user;
	__u64 flush_pasid;
	__u64 flush_devtlb;
	__u64 walks;
	__u64 hits;
	__u64 stale;
	__u64 bypass;
	__u64 no_snoop;
	__u64 faults;
	__u64 requests;
	__u64 responses;
	__u64 overflows;
	__u64 ledger_pages;
	__u64 ledger_address;
	__u64 ledger_pfn;
	__u64 ledger_where;
	__u64 attached;
	__u64 domains;
	__u64 cached;
};

/**
 * enum model_holder - how a released page could be reached
 * @MODEL_HELD_BY_NONE: no such page yet
 * @MODEL_HELD_BY_TABLE: by an entry of a table
 * @MODEL_HELD_BY_FLUSH: by an entry that was unmapped, but is not flushed yet
 * @MODEL_HELD_BY_TLB: by the IOTLB or a device TLB
 */
enum model_holder {
	MODEL_HELD_BY_NONE,
	MODEL_HELD_BY_TABLE,
	MODEL_HELD_BY_FLUSH,
	MODEL_HELD_BY_TLB,
};

/**
 * enum model_injection - failures that can be injected
 * @MODEL_INJECT_ATTACH: attach of a domain to a RID, never of the blocked one,
 *	or the one that it is attached to
 * @MODEL_INJECT_ATTACH_PASID: the same, to a PASID
 * @MODEL_INJECT_MAP: map_pages, after some pages
 * @MODEL_INJECT_UNMAP: unmap_pages, that stops after some pages
 * @MODEL_INJECT_ALLOC: the allocation of a domain
 * @MODEL_INJECT_RESPONSE: a page response, that gets lost, and with it the
 *	credits of its group
 * @MODEL_INJECT_SYNC: iotlb_sync_map, that flushes nothing
 * @MODEL_INJECT_FEATURE: the enable of page requests of a device
 * @MODEL_INJECTIONS: number of kinds
 */
enum model_injection {
	MODEL_INJECT_ATTACH,
	MODEL_INJECT_ATTACH_PASID,
	MODEL_INJECT_MAP,
	MODEL_INJECT_UNMAP,
	MODEL_INJECT_ALLOC,
	MODEL_INJECT_RESPONSE,
	MODEL_INJECT_SYNC,
	MODEL_INJECT_FEATURE,
	MODEL_INJECTIONS,
};

/* ---- Tables of user space ---- */

/* enum iommu_hwpt_data_type, enum iommu_hw_info_type */
#define MODEL_HWPT_DATA_S1		0x494f4101
#define MODEL_HWPT_DATA_PASID_TABLE	0x494f4102
#define MODEL_HWPT_INVALIDATE		0x494f4103
#define MODEL_HW_INFO			0x494f4104

/**
 * struct model_hw_info - data of hw_info
 * @params: properties of the unit
 * @s1_page_sizes: page sizes of stage 1
 * @s1_max_levels: its levels, at most
 * @reserved: 0
 */
struct model_hw_info {
	struct model_params params;
	__u64 s1_page_sizes;
	__u32 s1_max_levels;
	__u32 reserved;
};

#define MODEL_S1_MIN_LEVELS	2
#define MODEL_S1_MAX_LEVELS	5
#define MODEL_S1_MAX_HUGE	2
#define MODEL_S1_ENTRIES	512

#define MODEL_S1_PRESENT	_BITULL(0)
#define MODEL_S1_WRITE		_BITULL(1)
#define MODEL_S1_ACCESSED	_BITULL(5)
#define MODEL_S1_DIRTY		_BITULL(6)
#define MODEL_S1_HUGE		_BITULL(7)
#define MODEL_S1_ADDRESS	0x000ffffffffff000ULL

/**
 * struct model_s1 - data for a nested domain, of MODEL_HWPT_DATA_S1
 * @root: address of the root table
 * @levels: MODEL_S1_MIN_LEVELS to MODEL_S1_MAX_LEVELS
 * @flags: 0
 */
struct model_s1 {
	__u64 root;
	__u32 levels;
	__u32 flags;
};

#define MODEL_PASID_VALID	_BITULL(0)
#define MODEL_PASID_BYPASS	_BITULL(1)  /* no stage 1 */
#define MODEL_PASID_LEVELS	(7ULL << 4)  /* of stage 1 */
#define MODEL_PASID_LEVELS_SHIFT 4
#define MODEL_PASID_ROOT	MODEL_S1_ADDRESS

/**
 * struct model_pasid_table - data for a nested domain, of
 *	MODEL_HWPT_DATA_PASID_TABLE
 * @table: address of the table
 * @pasid_bits: log2 of the number of entries; 1 to the unit's pasid_bits
 * @flags: 0
 *
 * Accesses of the device without a PASID use entry 0.
 */
struct model_pasid_table {
	__u64 table;
	__u32 pasid_bits;
	__u32 flags;
};

/* Flags in struct model_invalidate */
#define MODEL_INV_IOTLB		_BITUL(0)  /* in the IOTLB */
#define MODEL_INV_DEVTLB	_BITUL(1)  /* in device TLBs */
#define MODEL_INV_PASID_CACHE	_BITUL(2)  /* in the PASID cache */
#define MODEL_INV_PASID		_BITUL(3)  /* @pasid only, else all of them */
#define MODEL_INV_RANGE		_BITUL(4)  /* @start to @last only */
#define MODEL_INV_FLAGS		(_BITUL(5) - 1)

/**
 * struct model_invalidate - an invalidation of caches, of MODEL_HWPT_INVALIDATE
 * @start: first byte
 * @last: last byte
 * @flags: MODEL_INV_IOTLB ..., at least one of the caches
 * @pasid: a PASID of the user's table; with other domains MODEL_INV_PASID is
 *	refused
 *
 * The PASID cache has no addresses.  An invalidation of it does not invalidate
 * the IOTLB.
 */
struct model_invalidate {
	__u64 start;
	__u64 last;
	__u32 flags;
	__u32 pasid;
};

#endif
