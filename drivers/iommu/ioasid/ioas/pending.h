/* SPDX-License-Identifier: GPL-2.0-only */
/* What is pending in a batch: see pending.c.  The hot paths are here. */
#ifndef _IOASID_IOAS_PENDING_H
#define _IOASID_IOAS_PENDING_H

#include <linux/sizes.h>

#include "request.h"
#include "types.h"

/* Limits of what is pending in one address space: mappings, and bytes to unmap */
#define PENDING_MAX	256
#define PENDING_BYTES	SZ_1G

/* Other address spaces that a batch acts on before it settles */
#define SET_MAX		16

/**
 * struct batch - a batch, and what is pending
 * @ioas: the address space
 * @from: the operations
 * @held: tables.sem is held
 * @failed: a driver failed: a domain may be poisoned
 * @may_write: mappings may be pending
 * @writing: WRITING mappings, linked by @next, in order
 * @writing_tail: the @next of the last one
 * @cache: hint and preallocated mappings; those of a set are in @main
 * @nr: number of pending mappings
 * @bytes: bytes that pending operations unmap
 * @spares: number of mappings that the next operations may need
 * @low: first byte that was written
 * @high: last byte that was written
 * @removal: REMOVING mappings
 * @end: first byte after the last of them; 0 for none
 * @at_writing: @op, @removal.nr and @unmapped when @writing was empty
 * @set: with other batches; NULL while it is alone
 * @op: number of operations that are done or pending
 * @unmapped: bytes that they unmap
 */
struct batch {
	struct ioas *ioas;
	struct ioas_batch_source *from;
	bool held;
	bool failed;
	bool may_write;
	struct ioas_mapping *writing;
	struct ioas_mapping **writing_tail;
	struct ioas_batch_cache cache;
	unsigned int nr;
	u64 bytes;
	unsigned int spares;
	u64 low;
	u64 high;
	struct ioas_removal removal;
	u64 end;
	struct {
		unsigned int op;
		unsigned int removal;
		u64 unmapped;
	} at_writing;
	unsigned int op;
	u64 unmapped;
	struct batch_set *set;
};

/**
 * struct batch_set - batches of several address spaces, which settle together
 * @main: the batch of the address space of operations without IOAS_OP_TARGETED
 * @nr: number of the others
 * @main_number: number of the address space of @main; 0 until it is known
 * @op: @main->op when nothing was pending
 * @unmapped: @main->unmapped at that time
 * @number: the numbers of the address spaces of @other
 * @other: their batches; @op and @unmapped are those of @main while they run
 */
struct batch_set {
	struct batch *main;
	unsigned int nr;
	u32 main_number;
	unsigned int op;
	u64 unmapped;
	u32 number[SET_MAX];
	struct batch other[SET_MAX];
};

/* The @i-th batch of a set, or NULL */
static inline struct batch *batch_of_set(struct batch_set *set, unsigned int i)
{
	if (i > set->nr)
		return NULL;
	return i ? &set->other[i - 1] : set->main;
}

bool batch_take_hold(struct batch *batch);
int batch_settle(struct batch *batch);
void batch_init(struct batch *batch, struct ioas *ioas,
		struct ioas_batch_source *from);
bool batch_set_holds(struct batch_set *set);
bool batch_set_pending(struct batch_set *set);
void batch_set_release(struct batch_set *set);
int batch_set_make(struct batch *main);
void batch_set_empty(struct batch_set *set);
struct batch *batch_set_find(struct batch_set *set, u32 number);
bool batch_set_contended(struct batch_set *set);

/**
 * batch_hold() - hold ioas_tables.sem until the batch settles
 * @batch: the batch
 *
 * Return: as batch_take_hold().
 */
static __always_inline bool batch_hold(struct batch *batch)
{
	return likely(batch->held) || batch_take_hold(batch);
}

/**
 * batch_pending() - test whether an operation is pending
 * @batch: the batch, and those of its set
 *
 * Return: true if one is.
 */
static inline bool batch_pending(const struct batch *batch)
{
	if (unlikely(batch->set))
		return batch_set_pending(batch->set);
	return batch->writing || batch->removal.first;
}

/**
 * batch_release() - drop ioas_tables.sem
 * @batch: the batch; nothing is pending
 */
static inline void batch_release(struct batch *batch)
{
	if (!batch->held)
		return;
	up_read(&batch->ioas->tables.sem);
	batch->held = false;
}

#endif /* _IOASID_IOAS_PENDING_H */
