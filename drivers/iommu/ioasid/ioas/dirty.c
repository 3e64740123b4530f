// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of pages that were written, in the addresses of a root.
 *
 * Invariants:
 *  - A dirty bit of an IOMMU is cleared only together with a record in the log,
 *    and the log is cleared only of what was copied out, or what a plain unmap of
 *    the root removes.
 *  - The log has a chunk wherever the root maps memory: it is allocated before
 *    the memory can be written by a device, so that a record needs no memory.
 *    Chunks where nothing is mapped are freed when there are too many of them.
 *  - Where dirty bits of an IOMMU are lost, since IOPTEs are removed from a child
 *    or replaced, all that was writable is recorded after that.
 *  - A chunk with a record that hardware or a write of software is not behind
 *    has the mark COARSE.  Such bits and the mark change with the lock of the
 *    chunks held.
 *
 * Locks: the log is found under RCU or by a reference, and its bits are atomic.
 * ioas.attach_lock serialises start and stop.  ioas_dirty.harvest and
 * ioas_dirty.cover are taken inside of tables.sem, of any address space of the
 * family, and ioas.lock inside of them; the lock of the chunks is a leaf.  A mapping
 * whose dirty bits are read has a reader, so that its IOPTEs stay.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "dirty.h"
#include "dirty_log.h"
#include "ioas.h"
#include "mapping.h"
#include "tables.h"
#include "tree.h"

/* Patching code interrupts all CPUs: not as often as programs like */
DEFINE_STATIC_KEY_DEFERRED_FALSE(ioas_dirty_key, HZ);

/* Chunks that are kept where nothing is mapped, beside as many as are needed */
#define SPARE_CHUNKS	64

/**
 * ioas_log_alloc() - make a log that says nothing
 *
 * Context: may sleep.
 * Return: the log, with a reference; NULL without memory.
 */
struct ioas_dirty *ioas_log_alloc(void)
{
	struct ioas_dirty *log = kzalloc(sizeof(*log), GFP_KERNEL_ACCOUNT);

	if (!log)
		return NULL;
	refcount_set(&log->refs, 1);
	xa_init_flags(&log->chunks, XA_FLAGS_ACCOUNT);
	mutex_init(&log->cover);
	mutex_init(&log->harvest);
	log->prune_at = SPARE_CHUNKS;
	return log;
}

/**
 * ioas_log_get() - get the log of a root
 * @root: the root
 *
 * Return: the log, with a reference; or NULL.
 */
struct ioas_dirty *ioas_log_get(struct ioas *root)
{
	struct ioas_dirty *log;

	rcu_read_lock();
	log = rcu_dereference(root->dirty);
	if (log && !refcount_inc_not_zero(&log->refs))
		log = NULL;
	rcu_read_unlock();
	return log;
}

/**
 * ioas_log_put() - drop a reference to a log
 * @log: the log
 *
 * Context: may sleep; needs no memory.
 */
void ioas_log_put(struct ioas_dirty *log)
{
	struct dirty_chunk *chunk;
	unsigned long index;

	if (!refcount_dec_and_test(&log->refs))
		return;
	/* Threads that record may still see it, for a moment */
	xa_for_each(&log->chunks, index, chunk) {
		xa_erase(&log->chunks, index);
		kvfree_rcu_mightsleep(chunk);
		cond_resched();
	}
	kfree_rcu(log, rcu);
}

/* ---- Chunks ---- */

/*
 * Take out a chunk that says nothing, of a range with no mapping.  Under the lock, as
 * a thread that trusts ioas_dirty_covered() then has a mapping there.
 */
static bool take_idle(struct ioas *root, struct ioas_dirty *log,
		      unsigned long index, struct dirty_chunk *chunk)
{
	u64 start = (u64)index << (PAGE_SHIFT + CHUNK_SHIFT);
	struct ioas_mapping *m;
	bool idle;

	spin_lock(&root->lock);
	m = ioas_mapping_first(root, start);
	idle = (!m || m->start > start + (CHUNK_PAGES * PAGE_SIZE - 1)) &&
	       chunk_is_clear(chunk);
	if (idle)
		xa_erase(&log->chunks, index);
	spin_unlock(&root->lock);
	return idle;
}

/*
 * Free chunks that say nothing, of ranges with no mapping.  A mapping is in the
 * tree before it is covered, and a record is of a mapping that is in the tree.
 */
static void prune(struct ioas *root, struct ioas_dirty *log)
{
	struct dirty_chunk *chunk;
	unsigned long index;

	lockdep_assert_held(&log->cover);
	xa_for_each(&log->chunks, index, chunk) {
		cond_resched();
		if (!take_idle(root, log, index, chunk))
			continue;
		kvfree_rcu_mightsleep(chunk);
		log->nr--;
	}
	log->prune_at = 2 * log->nr + SPARE_CHUNKS;
}

static int add_chunk(struct ioas *root, struct ioas_dirty *log,
		     unsigned long index)
{
	struct dirty_chunk *chunk;
	int ret;

	lockdep_assert_held(&log->cover);
	if (xa_load(&log->chunks, index))
		return 0;
	if (log->nr >= log->prune_at)
		prune(root, log);
	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return -ENOMEM;
	ret = xa_err(xa_store(&log->chunks, index, chunk, GFP_KERNEL_ACCOUNT));
	if (ret) {
		kfree(chunk);
		return ret;
	}
	log->nr++;
	return 0;
}

/**
 * ioas_log_cover() - have chunks for a range
 * @root: the root
 * @log: its log
 * @start: first byte
 * @last: last byte
 *
 * Context: may sleep.
 * Return: as ioas_dirty_cover().
 */
int ioas_log_cover(struct ioas *root, struct ioas_dirty *log, u64 start,
		   u64 last)
{
	unsigned long index = start >> (PAGE_SHIFT + CHUNK_SHIFT);
	unsigned long end = last >> (PAGE_SHIFT + CHUNK_SHIFT);
	int ret = 0;

	for (; index <= end && !ret; index++) {
		if (mutex_lock_killable(&log->cover))
			return -EINTR;
		ret = add_chunk(root, log, index);
		mutex_unlock(&log->cover);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return ret;
}

/**
 * ioas_dirty_cover() - have a log for memory that is about to be mapped
 * @ioas: the address space; may be a child, or not be tracked
 * @start: first byte
 * @last: last byte
 *
 * Called when a mapping of the range is in the tree, so that a start that this
 * call does not see finds it.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM; -EINTR, a fatal signal.
 */
int ioas_dirty_cover(struct ioas *ioas, u64 start, u64 last)
{
	struct ioas_dirty *log;
	int ret;

	if (ioas->parent)
		return 0;
	log = ioas_log_get(ioas);
	if (!log)
		return 0;
	ret = ioas_log_cover(ioas, log, start, last);
	ioas_log_put(log);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_dirty_cover);

/**
 * ioas_dirty_covered() - test whether there is a log for a range
 * @ioas: a root; its lock is held, so that a start that this call does not see
 *	finds what is mapped under it
 * @start: first byte
 * @last: last byte; the range is not long
 *
 * Return: true if there is, or if the root is not tracked.
 */
bool ioas_dirty_covered(struct ioas *ioas, u64 start, u64 last)
{
	unsigned long index = start >> (PAGE_SHIFT + CHUNK_SHIFT);
	unsigned long end = last >> (PAGE_SHIFT + CHUNK_SHIFT);
	struct ioas_dirty *log;
	bool covered = true;

	lockdep_assert_held(&ioas->lock);
	rcu_read_lock();
	log = rcu_dereference(ioas->dirty);
	for (; log && covered && index <= end; index++)
		covered = xa_load(&log->chunks, index);
	rcu_read_unlock();
	return covered;
}

/* ---- Record ---- */

/* Change those bits of the words from @word to @end that pages have */
static void change_words(struct dirty_chunk *chunk, unsigned long word,
			 unsigned long end, unsigned long first,
			 unsigned long last, bool set)
{
	for (; word <= end; word++)
		chunk_change(chunk, word, word_mask(word, first, last), set);
}

/* Change the bits of the pages from @first to @last */
static void log_change(struct ioas *root, unsigned long first,
		       unsigned long last, bool set, bool coarse)
{
	unsigned long word = first / BITS_PER_LONG, end, index;
	struct dirty_chunk *chunk;
	struct ioas_dirty *log;

	do {
		index = word / CHUNK_WORDS;
		end = min(last / BITS_PER_LONG, (index + 1) * CHUNK_WORDS - 1);
		rcu_read_lock();
		log = rcu_dereference(root->dirty);
		chunk = log ? xa_load(&log->chunks, index) : NULL;
		if (chunk && coarse) {
			xa_lock(&log->chunks);
			__xa_set_mark(&log->chunks, index, COARSE);
			change_words(chunk, word, end, first, last, set);
			xa_unlock(&log->chunks);
		} else if (chunk) {
			change_words(chunk, word, end, first, last, set);
		}
		rcu_read_unlock();
		word = end + 1;
	} while (word <= last / BITS_PER_LONG);
}

/*
 * Clear what the log has of a range that a root does not map any more.  A range whose
 * memory is pinned on demand may be long, and have few chunks.
 */
static void log_forget(struct ioas *root, u64 start, u64 last)
{
	unsigned long first = start >> PAGE_SHIFT, end = last >> PAGE_SHIFT;
	struct ioas_dirty *log = ioas_log_get(root);
	struct dirty_chunk *chunk;
	unsigned long index, base;

	if (!log)
		return;
	xa_for_each_range(&log->chunks, index, chunk, first >> CHUNK_SHIFT,
			  end >> CHUNK_SHIFT) {
		base = index << CHUNK_SHIFT;
		log_change(root, max(first, base),
			   min(end, base + (CHUNK_PAGES - 1)), false, false);
		cond_resched();
	}
	ioas_log_put(log);
}

static struct ioas *root_of(struct ioas *ioas)
{
	while (ioas->parent)
		ioas = ioas->parent;
	return ioas;
}

/**
 * ioas_log_of() - get the log that an address space is recorded in
 * @ioas: the address space, or a descendant of a root
 *
 * Return: the log, with a reference; or NULL.
 */
struct ioas_dirty *ioas_log_of(struct ioas *ioas)
{
	return ioas_log_get(root_of(ioas));
}

static bool is_tracked(struct ioas *ioas)
{
	return rcu_access_pointer(root_of(ioas)->dirty);
}

/* Translate to the parent's addresses, one mapping at a time */
static bool to_parent(struct ioas *ioas, u64 *start, u64 last,
		      struct ioasid_iova_range *range)
{
	struct ioas_mapping *m;
	bool more = false;

	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, *start);
	while (m && m->start <= last && m->backing != IOAS_BACKING_PARENT)
		m = ioas_mapping_next(m);
	if (m && m->start <= last) {
		range->start = m->addr + (max(m->start, *start) - m->start);
		range->last = m->addr + (min(m->last, last) - m->start);
		*start = m->last;
		more = true;
	}
	spin_unlock(&ioas->lock);
	return more;
}

static void mark(struct ioas *ioas, u64 start, u64 last, bool coarse)
{
	struct ioasid_iova_range range;

	if (!ioas->parent) {
		log_change(ioas, start >> PAGE_SHIFT, last >> PAGE_SHIFT, true,
			   coarse);
		return;
	}
	while (to_parent(ioas, &start, last, &range)) {
		/* At most IOAS_MAX_DEPTH deep */
		mark(ioas->parent, range.start, range.last, coarse);
		if (start >= last)
			break;
		start++;
	}
}

static void record(const struct ioas_dirty_sink *sink, u64 iova, u64 length,
		   bool exact)
{
	const struct ioas_mapping *m = sink->m;
	struct ioas *ioas = sink->ioas;
	u64 last = iova + (length - 1);

	if (m) {
		iova = max(iova, m->start);
		last = min(last, m->last);
		if (ioas->parent) {
			iova = m->addr + (iova - m->start);
			last = m->addr + (last - m->start);
			ioas = ioas->parent;
		}
	}
	mark(ioas, iova, last, !exact);
}

static bool is_on(const struct ioas_dirty_sink *sink)
{
	return ioas_dirty_any() && is_tracked(sink->ioas);
}

/* As mark(), of a range that may be long */
static void mark_long(struct ioas *ioas, u64 start, u64 last)
{
	u64 to;

	for (;; start = to + 1) {
		to = min(last, start | (HARVEST_STEP - 1));
		mark(ioas, start, to, true);
		if (to == last)
			break;
		cond_resched();
	}
}

/**
 * ioas_dirty_sink_init() - prepare to record what devices write
 * @sink: out, the sink
 * @ioas: the address space whose IOPTEs will be removed; the root may be tracked
 *	before that is done
 * @m: see struct ioas_dirty_sink; or NULL
 */
void ioas_dirty_sink_init(struct ioas_dirty_sink *sink, struct ioas *ioas,
			  const struct ioas_mapping *m)
{
	*sink = (struct ioas_dirty_sink){
		.record = record,
		.is_on = is_on,
		.ioas = ioas,
		.m = m,
	};
}

/**
 * ioas_dirty_sink() - prepare to record what devices write, if it is recorded
 * @sink: out, the sink
 * @ioas: the address space whose IOPTEs will be read
 * @m: see struct ioas_dirty_sink; or NULL
 *
 * Return: @sink; NULL if its root is not tracked.
 */
const struct ioas_dirty_sink *
ioas_dirty_sink(struct ioas_dirty_sink *sink, struct ioas *ioas,
		const struct ioas_mapping *m)
{
	if (!is_tracked(ioas))
		return NULL;
	ioas_dirty_sink_init(sink, ioas, m);
	return sink;
}

/**
 * ioas_dirty_mark() - record that software wrote a range
 * @ioas: the address space, or a descendant of a root that is tracked
 * @start: first byte
 * @last: last byte
 *
 * Context: any but interrupts; ioas.lock is not held.
 */
void ioas_dirty_mark(struct ioas *ioas, u64 start, u64 last)
{
	if (is_tracked(ioas))
		mark(ioas, start, last, false);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_dirty_mark);

/**
 * ioas_dirty_mark_held() - record the pages that accesses hold for writing
 * @ioas: the address space
 * @start: first byte
 * @last: last byte
 *
 * Context: may sleep; ioas.lock is not held.
 */
void ioas_dirty_mark_held(struct ioas *ioas, u64 start, u64 last)
{
	unsigned long index = start >> PAGE_SHIFT;
	struct ioas_holds *holds = READ_ONCE(ioas->holds);
	u64 at;

	if (!holds || !is_tracked(ioas))
		return;
	while (xa_find(&holds->held, &index, last >> PAGE_SHIFT,
		       IOAS_HELD_WRITABLE)) {
		at = (u64)index << PAGE_SHIFT;
		mark(ioas, at, at + (PAGE_SIZE - 1), true);
		if (index++ == last >> PAGE_SHIFT)
			break;
		cond_resched();
	}
}

/**
 * ioas_dirty_lost() - record what devices may have written by a mapping whose
 *	IOPTEs were removed or changed
 * @ioas: the address space
 * @m: the mapping as it was, which need not be in the tree
 *
 * Context: may sleep, but does not wait; ioas.lock is not held.
 */
void ioas_dirty_lost(struct ioas *ioas, const struct ioas_mapping *m)
{
	if (!ioas_mapping_has_memory(m) || !(m->flags & IOASID_MAP_WRITE) ||
	    !is_tracked(ioas))
		return;
	if (ioas->parent)
		mark_long(ioas->parent, m->addr,
			  m->addr + (m->last - m->start));
	else
		mark_long(ioas, m->start, m->last);
}

/**
 * ioas_dirty_undone() - record what devices may have written by a mapping that
 *	was not published: its IOPTEs were there for a moment
 * @ioas: the address space; of a root nothing is recorded
 * @m: the mapping
 *
 * Context: as ioas_dirty_lost().
 */
void ioas_dirty_undone(struct ioas *ioas, const struct ioas_mapping *m)
{
	if (ioas->parent)
		ioas_dirty_lost(ioas, m);
}

/**
 * ioas_dirty_take() - read the dirty bits of mappings that IOASID_UNMAP_DIRTY
 *	removes
 * @ioas: the address space; ioas_tables.sem is held for reading
 * @removal: REMOVING mappings
 *
 * Context: may sleep.
 */
void ioas_dirty_take(struct ioas *ioas, struct ioas_removal *removal)
{
	struct ioas_dirty_sink sink;

	/* What a child loses is recorded when it is removed */
	if (ioas->parent || !ioas_dirty_sink(&sink, ioas, NULL))
		return;
	removal->tells = true;
	ioas_tables_take_dirty(ioas, removal, &sink);
}

/* True if the log may know of a mapping of a root */
static bool was_covered(const struct ioas_mapping *m)
{
	return ioas_mapping_has_memory(m) ||
	       m->backing == IOAS_BACKING_DEMAND;
}

/**
 * ioas_dirty_removed() - note that mappings were removed from the tables
 * @ioas: the address space; ioas_tables.sem is held
 * @removal: the mappings, which still have their memory
 *
 * What a child could write is recorded.  What a root loses leaves the log, unless
 * it is told to the caller of the unmap.
 */
void ioas_dirty_removed(struct ioas *ioas, const struct ioas_removal *removal)
{
	struct ioas_mapping *m;

	/* With no table, and no domain that leaves, no device could write */
	if (!is_tracked(ioas) || (ioas->parent && ioas_tables_none(ioas)))
		return;
	for (m = removal->first; m; m = m->next) {
		if (ioas->parent || (removal->tells && m->inexact))
			ioas_dirty_lost(ioas, m);
		else if (!removal->tells && was_covered(m))
			log_forget(ioas, m->start, m->last);
		cond_resched();
	}
}
