// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: many operations with one lookup and one flush.
 *
 * A map writes its IOPTEs at once; iotlb_sync_map() and publishing wait until
 * the batch settles.  An unmap marks its mappings; removing them waits until
 * the batch settles.  Until then both are pending.
 *
 * Invariants:
 *  - Everything pending (see pending.c) is settled before anything that may take
 *    long: touching user memory (except without a page fault), pinning, waiting,
 *    and allocating memory in a way that may sleep.  Mappings are allocated before
 *    anything is pending, tables with GFP_NOWAIT.
 *  - The result is that of the operations one after the other.  If an operation
 *    fails while others are pending, these are settled, and it is tried again,
 *    whatever the errno: settling may free the range, quota or memory that it
 *    lacked.  An operation that is not simple (of a root, at an IOVA that the
 *    kernel chooses, on parts of several mappings, a change of what is mapped...)
 *    is done by itself.
 *  - Operations that name other address spaces make a set of batches, one for each
 *    of them.  Device memory, whose removal takes a lock, is alone in it.
 *
 * Locks: as for single operations.
 */
#include <linux/file.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "access.h"
#include "backing.h"
#include "ioas.h"
#include "map.h"
#include "mapping.h"
#include "pending.h"
#include "ref.h"
#include "tables.h"
#include "tree.h"

/* Operations that are read at a time */
#define BATCH_OPS	32

/* Mappings that one operation may add to the pending ones */
#define BATCH_SPAN	64

/* A longer operation may take long */
#define NOWAIT_LENGTH	SZ_2M

/* ---- Operations ---- */

/* Not possible while something is pending, or only as a single operation */
#define NOT_SIMPLE	1

/* Names another address space: see struct batch_set */
#define TARGETED	2

/* Preallocate a mapping; false without memory, or if the batch is to settle */
static bool have_spare(struct batch *batch)
{
	if (likely(batch->cache.spare))
		return true;
	/* Settle first */
	if (batch_pending(batch) || batch->failed)
		return false;
	if (unlikely(batch->set))
		batch_set_release(batch->set);
	else
		batch_release(batch);
	ioas_batch_cache_fill(&batch->cache,
			      clamp(batch->spares, 1, PENDING_MAX));
	return batch->cache.spare;
}

static __always_inline int map_simple(struct batch *batch,
				      struct ioas_map_request *req)
{
	struct ioas *ioas = batch->ioas;
	struct ioas_mapping *m;
	int ret;

	if (unlikely(batch->nr >= PENDING_MAX || req->length > NOWAIT_LENGTH ||
		     !have_spare(batch)) ||
	    !batch_hold(batch) || !batch->may_write)
		return NOT_SIMPLE;
	req->state = IOAS_MAPPING_WRITING;
	req->cache = &batch->cache;
	m = ioas_reserve(ioas, req);
	if (IS_ERR(m))
		return batch_pending(batch) ? NOT_SIMPLE : PTR_ERR(m);
	if (!(req->flags & IOASID_MAP_RESERVE)) {
		ret = ioas_ref_get(ioas, m, true, &req->fault_addr);
		if (likely(!ret)) {
			ret = ioas_tables_write_unsynced(ioas, m);
			batch->failed |= ret;
		}
		if (unlikely(ret)) {
			ioas_abort_writing(ioas, m);
			batch->cache.last = NULL;
			/* A single operation may allocate */
			return batch_pending(batch) || ret == -EAGAIN ||
			       ret == -ENOMEM ? NOT_SIMPLE : ret;
		}
	}
	batch->nr++;

	if (!batch->writing) {
		batch->at_writing.op = batch->op;
		batch->at_writing.removal = batch->removal.nr;
		batch->at_writing.unmapped = batch->unmapped;
	}
	m->next = NULL;
	*batch->writing_tail = m;
	batch->writing_tail = &m->next;
	batch->low = min(batch->low, m->start);
	batch->high = max(batch->high, m->last);
	return 0;
}

/* Test whether [start, last] can be unmapped as it is, without a wait */
static bool range_simple(struct ioas *ioas,
			 struct ioas_mapping *m, u64 start, u64 last)
{
	unsigned int n = 0;

	if (m && m->start < start)
		return false;
	if (unlikely(ioas->holds) &&
	    ioas_holds_any(ioas, start, last))
		return false;
	if (unlikely(ioas->as_parent) &&
	    (!ioas_refs_index(ioas) ||
	     ioas_refs_exist(ioas, start, last)))
		return false;
	for (; m && m->start <= last; m = ioas_mapping_next(m))
		if (m->state != IOAS_MAPPING_LIVE || m->last > last ||
		    ++n > BATCH_SPAN)
			return false;
	return true;
}

/* The whole 64 bit address space overflows the counter */
static void batch_unmapped(struct batch *batch, u64 bytes)
{
	if (check_add_overflow(batch->unmapped, bytes, &batch->unmapped))
		batch->unmapped = U64_MAX;
}

static __always_inline int unmap_simple(struct batch *batch, u64 start,
					u64 last)
{
	struct ioas *ioas = batch->ioas;
	struct ioas_mapping *m;

	if (unlikely(batch->nr >= PENDING_MAX ||
		     batch->bytes >= PENDING_BYTES) || !batch_hold(batch))
		return NOT_SIMPLE;
	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, start);
	if (!range_simple(ioas, m, start, last)) {
		spin_unlock(&ioas->lock);
		return NOT_SIMPLE;
	}
	for (; m && m->start <= last; m = ioas_mapping_next(m)) {
		m->in_populating = ioas_mapping_populated(ioas, m);
		ioas_mapping_set_state(m, IOAS_MAPPING_REMOVING);
		m->next = NULL;
		*batch->removal.tail = m;
		batch->removal.tail = &m->next;
		batch->removal.nr++;
		batch->nr++;
		batch_unmapped(batch, m->last - m->start + 1);
		batch->bytes += min(m->last - m->start, PENDING_BYTES);
		if (ioas_mapping_has_memory(m)) {
			batch->removal.scattered |= batch->end &&
						  batch->end != m->start;
			batch->end = m->last + 1;
		}
	}
	spin_unlock(&ioas->lock);
	return 0;
}

/* Map as a single operation; nothing is pending */
static int map_ordinary(struct batch *batch, struct ioas_map_request *req,
			int fd)
{
	struct ioas_batch_source *from = batch->from;
	struct ioas *ioas = batch->ioas;
	struct ioas_mapping *m;
	int ret;

	req->file = NULL;
	if (req->flags & IOASID_MAP_FILE) {
		req->file = fget(fd);
		if (!req->file)
			return -EBADF;
	}
	req->state = IOAS_MAPPING_PINNING;
	req->cache = NULL;
	m = ioas_reserve(ioas, req);
	ret = PTR_ERR_OR_ZERO(m);
	if (!ret && !(req->flags & IOASID_MAP_FIXED) &&
	    from->write_iova(from, batch->op, req->iova)) {
		ioas_abort(ioas, m);
		ret = -EFAULT;
	} else if (!ret) {
		ret = ioas_commit(ioas, m, req);
		/* So that the call can be repeated */
		if (ret && !(req->flags & IOASID_MAP_FIXED) &&
		    from->write_iova(from, batch->op, 0))
			ret = -EFAULT;
	}
	if (req->file)
		fput(req->file);
	return ret;
}

#define OP_MAP_FLAGS	(IOASID_MAP_READ | IOASID_MAP_WRITE | \
			 IOASID_MAP_FIXED | IOASID_MAP_FILE | \
			 IOASID_MAP_RESERVE)

#define OP_RARE_FLAGS	(IOAS_CHANGE_FLAGS | IOASID_MAP_SPLIT | \
			 (U16_MAX & ~(BIT(IOAS_OP_CUT_SHIFT) - 1)))

/*
 * PROTECT or REPLACE as a single operation.  REPLACE where nothing is mapped, of
 * a child, is a map like any other, which can be pending.
 */
static int change(struct batch *batch, const struct ioas_map_request *req,
		  int fd, u64 *fault_addr)
{
	struct ioas_map_request single = *req;
	int ret;

	if (batch->ioas->parent && req->flags & IOASID_MAP_REPLACE) {
		single.flags &= ~(IOASID_MAP_REPLACE | IOASID_MAP_SPLIT);
		ret = map_simple(batch, &single);
		if (!ret)
			return 0;
		single = *req;
	}
	ret = batch_settle(batch);
	if (ret)
		return ret;
	if (batch->from->nowait)
		return -EAGAIN;
	if (req->flags & IOASID_MAP_FILE) {
		single.file = fget(fd);
		if (!single.file)
			return -EBADF;
	}
	ret = ioas_remap(batch->ioas, &single);
	*fault_addr = single.fault_addr;
	if (single.file)
		fput(single.file);
	return ret;
}

/*
 * Check the flags that few operations have.  Returns 0, it is a map with a cut
 * size; 1, it is a change; TARGETED; or -errno.
 */
static noinline int check_rare(const struct ioas_batch_op *op,
			       struct ioas_map_request *req)
{
	unsigned int cut_shift = op->flags >> IOAS_OP_CUT_SHIFT;

	if (op->flags & IOAS_OP_TARGETED)
		return TARGETED;
	if (op->flags & ~(OP_MAP_FLAGS | OP_RARE_FLAGS))
		return -EOPNOTSUPP;
	if (cut_shift && cut_shift < PAGE_SHIFT)
		return -EINVAL;
	if (!ioas_change_valid(op->flags, op->addr, cut_shift))
		return -EINVAL;
	req->cut_shift = cut_shift;
	req->flags &= BIT(IOAS_OP_CUT_SHIFT) - 1;
	return !!(op->flags & IOAS_CHANGE_FLAGS);
}

static __always_inline int op_map(struct batch *batch,
				  const struct ioas_batch_op *op,
				  struct ioas_batch_result *result)
{
	bool simple = op->flags & IOASID_MAP_FIXED &&
		      !(op->flags & IOASID_MAP_FILE) &&
		      (batch->ioas->parent || op->flags & IOASID_MAP_RESERVE);
	struct ioas_map_request req = {
		.iova = op->iova,
		.addr = op->addr,
		.length = op->length,
		.flags = op->flags,
	};
	int ret, changes = 0;

	if (unlikely(op->flags & ~OP_MAP_FLAGS)) {
		changes = check_rare(op, &req);
		if (changes < 0 || changes == TARGETED)
			return changes;
	}
	if (unlikely(!ioas_map_valid(op->flags, op->iova, op->addr, op->length,
				     op->fd)))
		return -EINVAL;
	if (unlikely(!(op->flags & IOASID_MAP_FIXED) && op->iova))
		return -EINVAL;
	if (unlikely(op->flags & IOASID_MAP_FILE && batch->ioas->parent))
		return -EINVAL;

	if (unlikely(changes)) {
		ret = change(batch, &req, op->fd, &req.fault_addr);
		goto out;
	}
	if (simple) {
		ret = map_simple(batch, &req);
		if (likely(ret != NOT_SIMPLE))
			goto out;
	}
	ret = batch_settle(batch);
	if (ret)
		goto out;
	if (!batch->from->nowait) {
		ret = map_ordinary(batch, &req, op->fd);
	} else {
		if (simple)
			ret = map_simple(batch, &req);
		if (!simple || ret == NOT_SIMPLE)
			ret = -EAGAIN;
	}
out:
	if (unlikely(ret) && ioas_map_has_fault_addr(&req, ret)) {
		result->has_fault_addr = true;
		result->fault_addr = req.fault_addr;
	}
	return ret;
}

static __always_inline int op_unmap(struct batch *batch,
				    const struct ioas_batch_op *op)
{
	struct ioas_unmap_request req = {
		.flags = op->flags,
		.patience = IOAS_PATIENCE,
	};
	u64 last;
	int ret;

	if (unlikely(op->flags & ~(IOASID_UNMAP_SPLIT | IOASID_UNMAP_CASCADE)))
		return op->flags & IOAS_OP_TARGETED ? TARGETED : -EOPNOTSUPP;
	if (unlikely(op->addr || op->fd || !range_valid(op->iova, op->length)))
		return -EINVAL;
	last = op->iova + (op->length - 1);
	if (likely(!unmap_simple(batch, op->iova, last)))
		return 0;
	ret = batch_settle(batch);
	if (ret)
		return ret;
	if (batch->from->nowait)
		return unmap_simple(batch, op->iova, last) ? -EAGAIN : 0;
	ret = ioas_unmap(batch->ioas, op->iova, last, &req);
	batch_unmapped(batch, req.removed);
	return ret;
}

/* Inline for each of its callers: there is a fast one */
static __always_inline int run_op(struct batch *batch,
				  const struct ioas_batch_op *op,
				  struct ioas_batch_result *result)
{
	switch (op->op) {
	case IOAS_OP_MAP:
		return op_map(batch, op, result);
	case IOAS_OP_UNMAP:
		return op_unmap(batch, op);
	default:
		return -EOPNOTSUPP;
	}
}

/* Read operations; nothing is pending during a page fault, which may hang */
static int read_ops(struct batch *batch, struct ioas_batch_op *ops,
		    unsigned int n)
{
	struct ioas_batch_source *from = batch->from;
	int ret;

	if (from->nowait || batch->held ||
	    (batch->set && batch_set_holds(batch->set))) {
		ret = from->read(from, ops, batch->op, n, false);
		if (likely(ret != -EAGAIN) || from->nowait)
			return ret;
		ret = batch_settle(batch);
		if (ret)
			return ret;
	}
	return from->read(from, ops, batch->op, n, true);
}

/* Estimate the number of maps, if the next operations are like these */
static unsigned int guess_spares(const struct ioas_batch_op *ops,
				 unsigned int n, u32 left)
{
	unsigned int i, maps = 0;

	for (i = 0; i < n; i++)
		maps += ops[i].op == IOAS_OP_MAP;
	return div_u64((u64)maps * min_t(u32, left, PENDING_MAX), n);
}

/* ---- Several address spaces ---- */

static noinline int set_run(struct batch_set *set,
			    const struct ioas_batch_op *op,
			    struct ioas_batch_result *result)
{
	struct batch *main = set->main, *b = main;
	struct ioas_batch_op one = *op;
	bool alone;
	int ret;

	if (one.op != IOAS_OP_MAP && one.op != IOAS_OP_UNMAP)
		return -EOPNOTSUPP;
	if (one.flags & IOAS_OP_TARGETED) {
		if (one.op == IOAS_OP_MAP && one.flags & IOASID_MAP_FILE)
			return -EINVAL;
		if (!one.fd)
			return -ENOENT;
		b = batch_set_find(set, one.fd);
		if (IS_ERR(b))
			return PTR_ERR(b);
		one.flags &= ~IOAS_OP_TARGETED;
		one.fd = 0;
	}
	alone = unlikely(b->ioas->devmem);
	if (alone) {
		ret = batch_settle(main);
		if (ret)
			return ret;
	}
	if (!batch_set_pending(set)) {
		set->op = main->op;
		set->unmapped = main->unmapped;
	}
	b->op = main->op;
	b->unmapped = main->unmapped;
	b->spares = main->spares;
	swap(b->cache.spare, main->cache.spare);
	ret = run_op(b, &one, result);
	swap(b->cache.spare, main->cache.spare);
	main->op = b->op;
	main->unmapped = b->unmapped;
	if (!ret && alone) {
		main->op++;
		ret = batch_settle(main);
		if (!ret)
			main->op--;
	}
	return ret;
}

/*
 * Carry out the operations from the first one on that names another address
 * space: @i of the @n in @ops, and then those that are not read yet.
 */
static noinline int run_set(struct batch *main, struct ioas_batch_op *ops,
			    unsigned int i, unsigned int n, u32 nr,
			    struct ioas_batch_result *result)
{
	struct ioas_batch_source *from = main->from;
	int ret;

	ret = batch_set_make(main);
	while (!ret) {
		/* As in ioas_batch() */
		if (main->spares && !batch_set_holds(main->set))
			have_spare(main);
		for (; i < n && !ret; i++) {
			if (from->nowait && ops[i].length > NOWAIT_LENGTH)
				return -EAGAIN;
			ret = set_run(main->set, &ops[i], result);
			if (!ret)
				main->op++;
		}
		if (ret || main->op == nr)
			break;
		if (signal_pending(current) && !from->nowait)
			return -EINTR;
		if (need_resched() || batch_set_contended(main->set)) {
			ret = batch_settle(main);
			cond_resched();
		}
		if (ret)
			break;
		n = min_t(u32, nr - main->op, BATCH_OPS);
		ret = read_ops(main, ops, n);
		if (ret)
			break;
		main->spares = guess_spares(ops, n, nr - main->op);
		i = 0;
	}
	return ret;
}

/* ---- All operations ---- */

/**
 * ioas_batch() - carry out operations one after the other
 * @ioas: the address space of those that name no other one
 * @from: the operations
 * @nr: number of operations
 * @result: all zeroes; out, the progress, also on failure
 *
 * Context: may sleep, for as long as a page fault takes, unless @from->nowait.
 * Return: 0; or the errno of the first operation that fails, after which no
 * other one is done;
 * -EINTR, a signal;
 * -EAGAIN, @from->nowait.
 */
int ioas_batch(struct ioas *ioas, struct ioas_batch_source *from, u32 nr,
	       struct ioas_batch_result *result)
{
	struct ioas_batch_op ops[BATCH_OPS] __uninitialized;
	struct batch batch __uninitialized;
	unsigned int i, n;
	int ret = 0, err;

	batch_init(&batch, ioas, from);
	while (batch.op < nr && !ret) {
		n = min_t(u32, nr - batch.op, BATCH_OPS);
		ret = read_ops(&batch, ops, n);
		batch.spares = guess_spares(ops, n, nr - batch.op);
		/* Now, rather than with the first of them pending */
		if (batch.spares && ioas->parent && !batch.held)
			have_spare(&batch);
		for (i = 0; i < n && !ret; i++) {
			if (unlikely(from->nowait &&
				     ops[i].length > NOWAIT_LENGTH)) {
				ret = -EAGAIN;
				break;
			}
			ret = run_op(&batch, &ops[i], result);
			if (likely(!ret))
				batch.op++;
		}
		if (unlikely(ret == TARGETED))
			ret = run_set(&batch, ops, i - 1, n, nr, result);
		if (ret || batch.op == nr)
			break;
		/* With @nowait the caller handles signals and task work soon */
		if (unlikely(signal_pending(current)) && !from->nowait) {
			ret = -EINTR;
		} else if (need_resched() ||
			   rwsem_is_contended(&ioas->tables.sem)) {
			ret = batch_settle(&batch);
			cond_resched();
		}
	}
	err = batch_settle(&batch);
	ioas_batch_cache_empty(&batch.cache);
	if (unlikely(batch.set)) {
		batch_set_empty(batch.set);
		kfree(batch.set);
	}
	result->done = batch.op;
	result->unmapped = batch.unmapped;
	/* A call that did something must not restart by itself */
	if (unlikely(ret == -ERESTARTNOINTR) && batch.op)
		ret = -EINTR;
	return err ?: ret;
}
