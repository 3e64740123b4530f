/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Operations of the fuzzer, and their results: what the runner and the model
 * both know.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_OP_H
#define __SELFTESTS_IOASID_FUZZ_OP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <linux/ioasid.h>
#include <linux/iommufd.h>

#include "fuzz_kit.h"
#include "model_abi.h"

#define FUZZ_THREADS	8	/* at most */
#define FUZZ_DEVICES	2	/* of the threads 0, 1, ... */
#define FUZZ_OWN	7	/* IOASIDs of each thread */
#define FUZZ_PASIDS	3	/* of each device that has PASIDs: 1, 2, ... */
#define FUZZ_PASID_BITS	2	/* what they fit in */

/* Spaces: those of the threads, and each thread's window of the shared one. */
#define FUZZ_WINDOW(thread) (FUZZ_THREADS * FUZZ_OWN + (thread))
#define FUZZ_SPACES FUZZ_WINDOW(FUZZ_THREADS)

#define FUZZ_WINDOW_SIZE (64 * FUZZ_PAGE)
#define FUZZ_WINDOW_START(thread) (0x200000000ULL + (thread) * FUZZ_WINDOW_SIZE)
#define FUZZ_SHARED_COOKIE 0x5a5a0001
#define FUZZ_CHAOS_COOKIE 0x5a5a0002

/* Chaos maps page n of MEM_ANON to page n behind this, and no other page. */
#define FUZZ_CHAOS_START 0x300000000ULL
#define FUZZ_CHAOS_PAGES 64

#define FUZZ_BATCH	40	/* maximum number of operations of one batch */
#define FUZZ_BATCH_SPAN	(16 * FUZZ_PAGE)	/* its IOVAs, from op.iova */
#define FUZZ_CHANGE	(IOASID_MAP_PROTECT | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT)
#define FUZZ_QUERY	40	/* mappings that are read back, at most */
#define FUZZ_EVENTS	8	/* events of one command, at most */
#define FUZZ_DIRTY	64	/* words of a bitmap, at most */
#define FUZZ_EXPORTS	3	/* files of each thread */
#define FUZZ_DMA_MAX	512	/* bytes of one DMA */
#define FUZZ_INVALIDATIONS 8	/* maximum number of one command */
#define FUZZ_TABLE_DATA	520	/* bytes that say what is bound, at most */
/* A table of a device that none here has */
#define FUZZ_OTHER_FORMAT IOMMU_HWPT_DATA_VTD_S1
#define FUZZ_ENTRIES	(2 * (FUZZ_SPACES + FUZZ_THREADS + (2 + FUZZ_PASIDS) * FUZZ_DEVICES) + 4)
#define FUZZ_TEXT	16384

/* Value of an output before the command, if it does not matter. */
#define FUZZ_UNSET 0x5e5e5e5e5e5e5e5eULL

/* DMA writes only to this part of each page; it has a word for each thread. */
#define FUZZ_SCRATCH(thread) (FUZZ_PAGE - 8 * FUZZ_THREADS + 8 * (thread))
/* If that is a table of user space: no entry with this index, or a higher one. */
#define FUZZ_INDEXES (FUZZ_SCRATCH(0) / 8)

enum fuzz_type {
	OP_CHECK,
	OP_ALLOC,
	OP_FREE,
	OP_INFO,
	OP_MAP,
	OP_UNMAP,
	OP_LIST,
	OP_OPTION,
	OP_BATCH,
	OP_URING,	/* OP_BATCH as commands of io_uring */
	OP_QUERY,
	OP_PROTECT,
	OP_REPLACE,
	OP_EXPORT,
	OP_IMPORT,
	OP_BIND_TABLE,
	OP_UNBIND_TABLE,
	OP_BIND_PASIDS,
	OP_UNBIND_PASIDS,
	OP_INVALIDATE,
	OP_QUEUE,
	OP_FREE_QUEUE,	/* IOASID_FREE */
	OP_SET_DIRTY,
	OP_GET_DIRTY,
	OP_REHOME,
	OP_DEVICE_INFO,
	OP_EVENTS,
	OP_UNKNOWN,	/* no command */
	OP_BIND,
	OP_GET_ID,
	OP_ATTACH,
	OP_DETACH,
	OP_REOPEN,	/* close the device's file, and open it again */
	OP_DMA_READ,
	OP_DMA_WRITE,
	OP_ENTRY,	/* change MEM_TABLE, and invalidate */
	OP_STATE,	/* fdinfo, and the counters of processes */
	OP_CHAOS,
	OP_CHAOS_CHECK,
	OP_NR,
};

/* How to choose the id in a command. */
enum fuzz_ref {
	REF_SPACE,	/* the id of op.space or, without one, its last id */
	REF_ZERO,
	REF_NEVER,	/* an id that was never given */
	REF_DEVICE,	/* the id of the thread's device */
};

/**
 * struct fuzz_op - one operation
 * @type: enum fuzz_type
 * @thread: whose
 * @ref: enum fuzz_ref
 * @size: enum fuzz_size
 * @space: index of the space that @ref is about
 * @mem: enum fuzz_mem, what to map
 * @flags: flags of the command
 * @iova: IOVA, or where a list starts; of a new child, see fuzz_parent()
 * @addr: in @mem, or as it is with MEM_RAW
 * @length: bytes, or room in an array
 * @cut: cut size, or the option or extension, or operations of a batch, or the
 *	depth of a fault queue, or which export, or the PASID of DMA, 0 for none
 * @align: alignment, or snoop; of a batch, see fuzz_batch_others(); of a fault queue
 *	what to subtract from -1 for an eventfd
 * @value: cookie, value, reserved field; what fuzz_batch_op() makes a batch of
 *
 * Commands with more fields use the fields that they leave free otherwise, see
 * fuzz_build().
 *
 * An operation means the same in every run: it names ids by the object that
 * they were given for.
 */
struct fuzz_op {
	__u8 type;
	__u8 thread;
	__u8 ref;
	__u8 size;
	__u8 space;
	__u8 mem;
	__u32 flags;
	__u64 iova;
	__u64 addr;
	__u64 length;
	__u64 cut;
	__u64 align;
	__u64 value;
};

/* Devices that OP_INVALIDATE names, in op.mem */
enum fuzz_devid {
	DEVID_NONE,
	DEVID_OWN,
	DEVID_NEVER,
	DEVID_SPACE,	/* the id of the IOASID */
	DEVID_NR,
};

/* Index of the space to be the parent, or -1: a random id, or none. */
static inline int fuzz_parent(const struct fuzz_op *op)
{
	return op->iova && op->iova <= FUZZ_OWN ?
	       (int)(op->thread * FUZZ_OWN + op->iova - 1) : -1;
}

/*
 * The fault queue of IOASID_ALLOC, in the upper half of op.length: none, an id that is
 * of no queue, or that of the thread's own.
 */
enum fuzz_queue_ref {
	QUEUE_NONE,
	QUEUE_NEVER,
	QUEUE_OWN,
};

static inline enum fuzz_queue_ref fuzz_queue_ref(const struct fuzz_op *op)
{
	return op->length >> 32;
}

/* Whether the command is IOASID_MAP_DMA. */
static inline bool fuzz_maps(const struct fuzz_op *op)
{
	return op->type == OP_MAP || op->type == OP_PROTECT ||
	       op->type == OP_REPLACE;
}

/* Whether it is made of others, see fuzz_batch_op(). */
static inline bool fuzz_is_batch(const struct fuzz_op *op)
{
	return op->type == OP_BATCH || op->type == OP_URING;
}

/* Whether @addr is an address of the process, if there is memory. */
static inline bool fuzz_has_address(const struct fuzz_op *op)
{
	return !(op->flags & (IOASID_MAP_FILE | IOASID_MAP_RESERVE |
			      IOASID_MAP_PROTECT));
}

/*
 * Two spaces that operations of a batch may name, each one more than the index, or 0.
 * Beside them, op.align has 1 if there is no array.
 */
static inline __u64 fuzz_batch_others(__u8 one, __u8 another)
{
	return (__u64)one << 8 | (__u64)another << 16;
}

/* Whether it is a command for a table by PASID. */
static inline bool fuzz_by_pasid(const struct fuzz_op *op)
{
	return op->type == OP_BIND_PASIDS || op->type == OP_UNBIND_PASIDS;
}

/* The exported file that the operation uses. */
static inline int fuzz_export(const struct fuzz_op *op)
{
	return op->thread * FUZZ_EXPORTS + op->cut % FUZZ_EXPORTS;
}

union fuzz_arg {
	__u32 argsz;
	struct ioasid_check_extension check;
	struct ioasid_alloc alloc;
	struct ioasid_free free;
	struct ioasid_info info;
	struct ioasid_device_info device;
	struct ioasid_map_dma map;
	struct ioasid_unmap_dma unmap;
	struct ioasid_list list;
	struct ioasid_set_option option;
	struct ioasid_dma_batch batch;
	struct ioasid_query_map query;
	struct ioasid_export export;
	struct ioasid_import import;
	struct ioasid_bind_table table;
	struct ioasid_unbind_table untable;
	struct ioasid_invalidate_cache invalidate;
	struct ioasid_get_events events;
	struct ioasid_fault_queue queue;
	struct ioasid_set_dirty set_dirty;
	struct ioasid_get_dirty get_dirty;
	struct ioasid_rehome rehome;
	struct ioasid_device_bind bind;
	struct ioasid_device_get_id get_id;
	struct ioasid_device_attach attach;
	struct ioasid_device_detach detach;
};

/* An entry of IOASID_INVALIDATE_CACHE; @own: if it is of the format. */
union fuzz_invalidation {
	struct ioasid_invalidate any;
	struct model_invalidate own;
};

/* The data of a bind; those of a table by PASID are alike, with bits for levels. */
union fuzz_root {
	struct model_s1 s1;
	__u8 bytes[FUZZ_TABLE_DATA];
};

/**
 * struct fuzz_result - result of an operation
 * @rc: return value of the call, or -errno; of io_uring, that of the first command
 * @newest: the highest id that was given before it
 * @in: the structure before
 * @arg: the structure afterwards
 * @ranges: array that the command filled
 * @entries: array that the command filled
 * @ops: of a batch, afterwards
 * @found: array that the command filled
 * @told: array that the command filled
 * @polled: of IOASID_GET_EVENTS, what poll() returns afterwards
 * @dirty: bitmap that the command filled
 * @root: for the command, what to bind
 * @invalidations: for the command
 * @data: data that DMA read
 * @text: fdinfo
 * @vm_pin: bytes that the process has pinned, as the kernel shows
 * @vm_lck: bytes that it has locked
 * @harm: violation that the model IOMMU reports
 * @chaos: IOASID_GET_INFO of chaos
 * @shared: IOASID_GET_INFO of the shared IOASID
 */
struct fuzz_result {
	int rc;
	__u32 newest;
	union fuzz_arg in;
	union fuzz_arg arg;
	struct ioasid_iova_range ranges[2];
	struct ioasid_list_entry entries[FUZZ_ENTRIES];
	struct ioasid_dma_op ops[FUZZ_BATCH];
	struct ioasid_query_entry found[FUZZ_QUERY + 1];
	struct ioasid_event told[FUZZ_EVENTS + 1];
	short polled;
	__u64 dirty[FUZZ_DIRTY];
	union fuzz_root root;
	union fuzz_invalidation invalidations[FUZZ_INVALIDATIONS];
	__u64 data[FUZZ_DMA_MAX / 8 + 1];
	char text[FUZZ_TEXT];
	__u64 vm_pin;
	__u64 vm_lck;
	char harm[96];
	struct ioasid_info chaos;
	struct ioasid_info shared;
};

/* A mistake of a result: @what is a C expression. */
struct fuzz_verdict {
	bool bad;
	char what[96];
	__u64 want;
	__u64 got;
	char why[160];
};

/* How the devices of a context do DMA. */
enum fuzz_physical {
	FUZZ_EMULATED,	/* by their driver */
	FUZZ_PHYSICAL,	/* through a model IOMMU, by requester id only */
	FUZZ_WITH_PASIDS,	/* each through one of its own, also by PASID */
	FUZZ_PHYSICAL_NR,
};

/**
 * struct fuzz_setting - properties of a context
 * @threads: how many
 * @rlimit: RLIMIT_MEMLOCK, or 0 to be allowed to lock without limit
 * @physical: enum fuzz_physical
 * @plant: mistake that the model makes on purpose, or 0
 */
struct fuzz_setting {
	int threads;
	int physical;
	__u64 rlimit;
	int plant;
};

/* fuzz_op.c: the @i-th operation of a batch, as an operation of its own. */
void fuzz_batch_op(const struct fuzz_op *batch, unsigned int i,
		   struct fuzz_op *op);

/* What a command binds. */
void fuzz_root(const struct fuzz_op *op, union fuzz_root *root);

/* The @i-th entry of an invalidation. */
void fuzz_invalidation(const struct fuzz_op *op, unsigned int i,
		       union fuzz_invalidation *inv);

#endif /* __SELFTESTS_IOASID_FUZZ_OP_H */
