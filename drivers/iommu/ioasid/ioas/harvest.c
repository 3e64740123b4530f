// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty bits of IOMMUs, from page tables to the log, and from there to the caller.
 *
 * Invariants:
 *  - The log is read only after a flush of all dirty bits that went there: a device
 *    that writes after that sets a dirty bit again.  So dirty bits are moved and
 *    flushed, and the log is read, with ioas_dirty.harvest held, those of a domain that
 *    leaves as well: a command that begins then finds them in one or the other.
 *  - A bit of the log is cleared after it was copied out.
 *
 * Locks: as in dirty.c.  No lock is held while words are copied out.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "dirty.h"
#include "dirty_log.h"
#include "domain.h"
#include "ioas.h"
#include "iommu.h"
#include "mapping.h"
#include "ref.h"
#include "tables.h"
#include "tree.h"

/* IOPTEs of single pages that are read while a mapping has a reader */
#define READ_STEP	SZ_128M

/* Mappings that are skipped between two calls of the scheduler */
#define WALK_BATCH	1024

/* ---- Harvest ---- */

static bool is_harvested(const struct ioas_mapping *m)
{
	return ioas_mapping_has_memory(m) && m->flags & IOASID_MAP_WRITE &&
	       (m->state == IOAS_MAPPING_LIVE ||
		m->state == IOAS_MAPPING_LEAVING);
}

/*
 * Find the next mapping that devices may write, from @cursor on.  A mapping in
 * another state is written or removed by a thread that records what is lost, or
 * split or changed by one that keeps its dirty bits.
 */
static struct ioas_mapping *next_written(struct ioas *ioas, u64 *cursor,
					 u64 last)
	__must_hold(&ioas->lock)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, *cursor);
	unsigned int n = 0;

	while (m && m->start <= last && !is_harvested(m)) {
		if (++n % WALK_BATCH == 0 && m->last != U64_MAX) {
			*cursor = m->last + 1;
			ioas_relax(ioas);
			m = ioas_mapping_first(ioas, *cursor);
			continue;
		}
		m = ioas_mapping_next(m);
	}
	return m && m->start <= last ? m : NULL;
}

/* Read a part of a mapping that has a reader; ioas_tables.sem is held */
static int harvest_mapping(struct ioas_dirty *log, struct ioas *ioas,
			   struct ioas_mapping *m, u64 from, u64 to)
{
	struct ioas_dirty_sink sink;
	bool coarse = false;
	int ret = 0;

	if (!ioas_dirty_sink(&sink, ioas, m))
		return 0;
	mutex_lock(&log->harvest);
	ret = ioas_tables_read_dirty(ioas, m, from, to, &sink, &coarse);
	mutex_unlock(&log->harvest);
	if (coarse)
		sink.record(&sink, from, to - from + 1, false);
	return ret;
}

/* Read a step of the address space's own domains.  Returns 1 at the end. */
static int harvest_step(struct ioas_dirty *log, struct ioas *ioas, u64 *cursor,
			u64 last)
{
	struct ioas_mapping *m;
	u64 from, to;
	int ret = 1;

	if (down_read_killable(&ioas->tables.sem))
		return -EINTR;
	if (ioas_tables_none(ioas))
		goto out;
	spin_lock(&ioas->lock);
	m = next_written(ioas, cursor, last);
	if (!m) {
		spin_unlock(&ioas->lock);
		goto out;
	}
	from = max(m->start, *cursor);
	to = min3(m->last, last, from | (READ_STEP - 1));
	m->readers++;
	spin_unlock(&ioas->lock);

	ret = harvest_mapping(log, ioas, m, from, to);

	spin_lock(&ioas->lock);
	if (!--m->readers)
		ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	*cursor = to + 1;
	if (!ret)
		ret = to == last;
out:
	up_read(&ioas->tables.sem);
	return ret;
}

static int harvest(struct ioas_dirty *log, struct ioas *ioas, u64 start,
		   u64 last);

/* Read the domains of all that refer to a range */
static int harvest_children(struct ioas_dirty *log, struct ioas *ioas,
			    u64 start, u64 last)
{
	enum ioas_refs_side side;
	struct ioas_ref_key key;
	struct ioas_mapping *m;
	struct ioas *child;
	bool any = false;
	u64 from, to;
	int ret = 0;

	for (side = 0; side < IOAS_REFS_SIDES && !ret; ) {
		ioas_lock_refs(ioas);
		m = ioas_ref_after(ioas, side, any ? &key : NULL, start, last);
		any = m;
		if (!m) {
			spin_unlock(&ioas->lock);
			side++;
			continue;
		}
		key = ioas_ref_key_of(m);
		child = m->ioas;
		from = m->start + (max(start, m->addr) - m->addr);
		to = m->start + (min(last, m->ref.last) - m->addr);
		/* Otherwise it is being destroyed: its unmap records the range */
		if (!child->ops->get(child))
			child = NULL;
		spin_unlock(&ioas->lock);
		if (child) {
			/* At most IOAS_MAX_DEPTH deep */
			ret = harvest(log, child, from, to);
			child->ops->put(child);
		}
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return ret;
}

/* Move dirty bits of a range from all IOMMUs to the log */
static int harvest(struct ioas_dirty *log, struct ioas *ioas, u64 start,
		   u64 last)
{
	u64 cursor = start;
	int ret;

	do {
		ret = harvest_step(log, ioas, &cursor, last);
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (!ret);
	if (ret < 0)
		return ret;
	ioas_dirty_mark_held(ioas, start, last);
	if (!READ_ONCE(ioas->as_parent))
		return 0;
	return harvest_children(log, ioas, start, last);
}

static bool is_changing(struct ioas *ioas, u64 addr)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, addr);

	return m && m->start <= addr && m->state == IOAS_MAPPING_CHANGING;
}

/*
 * Find the next mapping to read, and count a reader.  One that is being split
 * keeps its dirty bits, and has to be waited for: nothing takes longer than its
 * IOPTEs do.
 */
static struct ioas_mapping *next_to_leave(struct ioas *ioas, u64 *cursor)
	__must_hold(&ioas->lock)
{
	struct ioas_mapping *m;
	unsigned int n = 0;

	for (;;) {
		m = ioas_mapping_first(ioas, *cursor);
		while (m && !is_harvested(m) &&
		       m->state != IOAS_MAPPING_CHANGING &&
		       ++n % WALK_BATCH)
			m = ioas_mapping_next(m);
		if (!m)
			return NULL;
		*cursor = max(*cursor, m->start);
		if (is_harvested(m)) {
			m->readers++;
			return m;
		}
		if (m->state == IOAS_MAPPING_CHANGING)
			wait_event_cmd(ioas->wait, !is_changing(ioas, *cursor),
				       spin_unlock(&ioas->lock),
				       spin_lock(&ioas->lock));
		else
			ioas_relax(ioas);
	}
}

/* Move dirty bits of a part of a mapping that has a reader */
static void leave_mapping(struct ioas_dirty *log, struct ioas_domain *dom,
			  const struct ioas_mapping *m, u64 from, u64 to,
			  const struct ioas_dirty_sink *sink)
{
	int ret = -EOPNOTSUPP;

	if (dom->dirty) {
		mutex_lock(&log->harvest);
		ret = ioas_domain_read_dirty(dom, m->start, &m->mem,
					     m->cut_shift, from, to, sink);
		mutex_unlock(&log->harvest);
	}
	if (ret)
		sink->record(sink, from, to - from + 1, false);
}

/**
 * ioas_dirty_leave() - move all dirty bits of a domain to the log
 * @ioas: the address space; attach_lock is held
 * @dom: a domain in its list, or that was being populated, with no device
 *	attached any more
 *
 * Context: may sleep; needs no memory.
 */
void ioas_dirty_leave(struct ioas *ioas, struct ioas_domain *dom)
{
	struct ioas_dirty *log = ioas_log_of(ioas);
	struct ioas_dirty_sink sink;
	struct ioas_mapping *m;
	u64 cursor = 0, from, to;

	lockdep_assert_held(&ioas->attach_lock);
	if (!log)
		return;
	ioas_dirty_sink_init(&sink, ioas, NULL);
	do {
		spin_lock(&ioas->lock);
		m = next_to_leave(ioas, &cursor);
		spin_unlock(&ioas->lock);
		if (!m)
			break;
		from = cursor;
		to = min(m->last, from | (READ_STEP - 1));
		sink.m = m;
		leave_mapping(log, dom, m, from, to, &sink);
		spin_lock(&ioas->lock);
		if (!--m->readers)
			ioas_wake(ioas);
		spin_unlock(&ioas->lock);
		cursor = to + 1;
		cond_resched();
	} while (cursor);
	ioas_log_put(log);
}

/* ---- Start and stop ---- */

static int cover_all(struct ioas *ioas, struct ioas_dirty *log)
{
	struct ioas_mapping *m;
	u64 cursor = 0, start = 0, last = 0;
	bool memory = false;
	int ret = 0;

	do {
		spin_lock(&ioas->lock);
		m = ioas_mapping_first(ioas, cursor);
		if (m) {
			/* The memory of a mapping may be on its way */
			memory = !(m->flags & IOASID_MAP_RESERVE) &&
				 m->backing != IOAS_BACKING_DEVICE &&
				 m->backing != IOAS_BACKING_DEMAND;
			start = m->start;
			last = m->last;
		}
		spin_unlock(&ioas->lock);
		if (!m)
			break;
		if (memory)
			ret = ioas_log_cover(ioas, log, start, last);
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cursor = last + 1;
		cond_resched();
	} while (!ret && cursor);
	return ret;
}

static void log_clear(struct ioas_dirty *log)
{
	struct dirty_chunk *chunk;
	unsigned long index, i;

	mutex_lock(&log->cover);
	xa_for_each(&log->chunks, index, chunk) {
		xa_lock(&log->chunks);
		for (i = 0; i < CHUNK_WORDS; i++)
			atomic_long_set(&chunk->word[i], 0);
		__xa_clear_mark(&log->chunks, index, COARSE);
		xa_unlock(&log->chunks);
		cond_resched();
	}
	mutex_unlock(&log->cover);
}

static int start_locked(struct ioas *ioas, bool coarse)
{
	struct ioas_dirty *log;
	int ret;

	if (rcu_access_pointer(ioas->dirty))
		return -EEXIST;
	if (!coarse && !ioas_tables_are_dirty(ioas))
		return -EOPNOTSUPP;
	log = ioas_log_alloc();
	if (!log)
		return -ENOMEM;
	/* A mapping that does not see it is in the tree before cover_all() */
	rcu_assign_pointer(ioas->dirty, log);
	ret = cover_all(ioas, log);
	if (!ret)
		ret = harvest(log, ioas, 0, U64_MAX);
	if (!ret) {
		log_clear(log);
		return 0;
	}
	RCU_INIT_POINTER(ioas->dirty, NULL);
	ioas_log_put(log);
	return ret;
}

/**
 * ioas_dirty_start() - begin to log writes
 * @ioas: the address space
 * @coarse: also if a domain has no dirty bits
 *
 * Context: may sleep.
 * Return: 0; or
 * -EEXIST, they are logged already;
 * -EOPNOTSUPP, not a root; or a domain has no dirty bits;
 * -EIO, the IOMMU driver failed;
 * -ENOMEM; -EINTR, a fatal signal.
 */
int ioas_dirty_start(struct ioas *ioas, bool coarse)
{
	int ret;

	if (ioas->parent || !ioas_iommu_may_track_dirty())
		return -EOPNOTSUPP;
	/* Before the log is seen; takes locks that drivers allocate under */
	static_branch_deferred_inc(&ioas_dirty_key);
	ret = mutex_lock_killable(&ioas->attach_lock);
	if (!ret) {
		ret = start_locked(ioas, coarse);
		mutex_unlock(&ioas->attach_lock);
	}
	if (ret)
		static_branch_slow_dec_deferred(&ioas_dirty_key);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_dirty_start);

static void end(struct ioas_dirty *log)
{
	ioas_log_put(log);
	static_branch_slow_dec_deferred(&ioas_dirty_key);
}

/**
 * ioas_dirty_stop() - forget the log
 * @ioas: the address space
 *
 * Context: may sleep.
 * Return: 0; -ENOENT, writes are not logged; -EOPNOTSUPP, not a root; -EINTR, a
 * fatal signal.
 */
int ioas_dirty_stop(struct ioas *ioas)
{
	struct ioas_dirty *log;

	if (ioas->parent || !ioas_iommu_may_track_dirty())
		return -EOPNOTSUPP;
	if (mutex_lock_killable(&ioas->attach_lock))
		return -EINTR;
	log = rcu_replace_pointer(ioas->dirty, NULL,
				  lockdep_is_held(&ioas->attach_lock));
	mutex_unlock(&ioas->attach_lock);
	if (!log)
		return -ENOENT;
	end(log);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_dirty_stop);

/**
 * ioas_dirty_exit() - free the log of an address space that is freed
 * @ioas: the address space; no other thread uses it
 */
void ioas_dirty_exit(struct ioas *ioas)
{
	end(rcu_replace_pointer(ioas->dirty, NULL, true));
}

/* Before the module goes: the key may still be about to change */
void ioas_dirty_fini(void)
{
	static_key_deferred_flush(&ioas_dirty_key);
}

/* ---- Copy out ---- */

/**
 * struct window - a part of the log that is copied out at once
 * @first: number of the first word of the request
 * @nr: number of words
 * @from: first page
 * @to: last page
 * @snap: the log's words that have these pages
 * @out: the words
 */
struct window {
	u64 first;
	unsigned int nr;
	unsigned long from;
	unsigned long to;
	unsigned long snap[CHUNK_WORDS + 1];
	u64 out[CHUNK_PAGES / 64];
};

static unsigned long first_word(const struct window *window)
{
	return window->from / BITS_PER_LONG;
}

/* The last word of the window in the chunk that has @word */
static unsigned long chunk_end(const struct window *window, unsigned long word)
{
	return min(window->to / BITS_PER_LONG, word | (CHUNK_WORDS - 1));
}

/* Read the words from @word on of one chunk.  Returns false if it is coarse. */
static bool read_chunk(struct window *window, struct ioas_dirty *log,
		       unsigned long word)
{
	unsigned long *to = &window->snap[word - first_word(window)], all = 0;
	unsigned long end = chunk_end(window, word), index = word / CHUNK_WORDS;
	struct dirty_chunk *chunk;
	bool exact;

	rcu_read_lock();
	xa_lock(&log->chunks);
	chunk = xa_load(&log->chunks, index);
	for (; word <= end; word++) {
		*to = chunk ? atomic_long_read(&chunk->word[word %
							CHUNK_WORDS]) : 0;
		*to &= word_mask(word, window->from, window->to);
		all |= *to++;
	}
	exact = !all || !xa_get_mark(&log->chunks, index, COARSE);
	xa_unlock(&log->chunks);
	rcu_read_unlock();
	return exact;
}

/* As set in the bitmap of the caller, whose first block is @base */
static void fold(struct window *window, unsigned int to_block, u64 base)
{
	unsigned long word, bits, bit, block;

	memset(window->out, 0, window->nr * sizeof(u64));
	base += window->first * 64;
	for (word = first_word(window); word <= window->to / BITS_PER_LONG;
	     word++) {
		bits = window->snap[word - first_word(window)];
		for_each_set_bit(bit, &bits, BITS_PER_LONG) {
			block = ((word * BITS_PER_LONG + bit) >> to_block) -
				base;
			window->out[block / 64] |= BIT_ULL(block % 64);
		}
	}
}

static void window_read(struct window *window, struct ioas_dirty *log,
			struct ioas_dirty_request *req)
{
	unsigned long word = first_word(window);

	mutex_lock(&log->harvest);
	for (; word <= window->to / BITS_PER_LONG;
	     word = chunk_end(window, word) + 1)
		req->exact &= read_chunk(window, log, word);
	mutex_unlock(&log->harvest);
	fold(window, req->shift - PAGE_SHIFT, req->start >> req->shift);
}

/* Clear what was read; a chunk with no bit left is exact again */
static void clear_chunk(struct window *window, struct ioas_dirty *log,
			unsigned long word)
{
	unsigned long end = chunk_end(window, word), index = word / CHUNK_WORDS;
	struct dirty_chunk *chunk;
	unsigned long bits;

	rcu_read_lock();
	chunk = xa_load(&log->chunks, index);
	for (; chunk && word <= end; word++) {
		bits = window->snap[word - first_word(window)];
		if (bits)
			chunk_change(chunk, word, bits, false);
	}
	if (chunk && xa_get_mark(&log->chunks, index, COARSE)) {
		xa_lock(&log->chunks);
		if (chunk_is_clear(chunk))
			__xa_clear_mark(&log->chunks, index, COARSE);
		xa_unlock(&log->chunks);
	}
	rcu_read_unlock();
}

static void window_clear(struct window *window, struct ioas_dirty *log)
{
	unsigned long word = first_word(window);

	for (; word <= window->to / BITS_PER_LONG;
	     word = chunk_end(window, word) + 1)
		clear_chunk(window, log, word);
}

/*
 * Harvest up to @last at least, unless that was done.  Much at a time: what a large
 * IOPTE sets is told before a device can set it again.
 */
static int harvest_to(struct ioas *ioas, struct ioas_dirty *log,
		      struct ioas_dirty_request *req, u64 last, u64 *harvested)
{
	if (req->told_only || (*harvested && *harvested - 1 >= last))
		return 0;
	last = min(req->last, max(last, req->next | (HARVEST_STEP - 1)));
	*harvested = last + 1;
	return harvest(log, ioas, req->next, last);
}

/* Go to the next window.  Returns its last byte. */
static u64 window_begin(struct window *window, struct ioas_dirty_request *req,
			u64 words)
{
	unsigned int n = CHUNK_PAGES >> (req->shift - PAGE_SHIFT + 6);
	u64 base = req->start >> req->shift, last = req->last;

	window->nr = min_t(u64, n, words - window->first);
	if (window->first)
		req->next = (base + window->first * 64) << req->shift;
	if (window->first + window->nr < words)
		last = ((base + (window->first + window->nr) * 64) <<
			req->shift) - 1;
	window->from = req->next >> PAGE_SHIFT;
	window->to = last >> PAGE_SHIFT;
	return last;
}

static bool must_end(const struct ioas_dirty_request *req)
{
	return req->interruptible ? signal_pending(current) :
				    fatal_signal_pending(current);
}

static int copy_out_log(struct ioas *ioas, struct ioas_dirty *log,
			struct window *window, struct ioas_dirty_request *req)
{
	u64 base = req->start >> req->shift, end = req->last >> req->shift;
	u64 words = (end - base) / 64 + 1, harvested = 0;
	unsigned int i;
	int ret;

	for (window->first = 0; window->first < words;
	     window->first += window->nr) {
		ret = harvest_to(ioas, log, req,
				 window_begin(window, req, words), &harvested);
		if (ret)
			return ret;
		window_read(window, log, req);
		ret = req->put(req, window->first, window->out, window->nr);
		if (ret)
			return ret;
		if (!req->keep)
			window_clear(window, log);
		for (i = 0; i < window->nr; i++)
			req->nr += hweight64(window->out[i]);
		/* At least one window, so that a caller gets on */
		if (must_end(req) && window->first + window->nr < words) {
			window->first += window->nr;
			window_begin(window, req, words);
			return -EINTR;
		}
		cond_resched();
	}
	return 0;
}

/**
 * ioas_dirty_get() - tell which pages were written
 * @ioas: the address space
 * @req: the request; page aligned
 *
 * Context: may sleep; no lock is held while words are put.
 * Return: 0; or
 * -ENOENT, writes are not logged;
 * -EOPNOTSUPP, not a root;
 * -EIO, the IOMMU driver failed;
 * -ENOMEM; -EINTR, a signal;
 * or an errno of ioas_dirty_request.put.
 */
int ioas_dirty_get(struct ioas *ioas, struct ioas_dirty_request *req)
{
	struct ioas_dirty *log;
	struct window *window;
	int ret = -ENOMEM;

	req->next = req->start;
	req->nr = 0;
	req->exact = true;
	if (ioas->parent || !ioas_iommu_may_track_dirty())
		return -EOPNOTSUPP;
	log = ioas_log_get(ioas);
	if (!log)
		return -ENOENT;
	window = kmalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	if (window) {
		ret = copy_out_log(ioas, log, window, req);
		kfree(window);
	}
	ioas_log_put(log);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioas_dirty_get);

/**
 * ioas_dirty_started() - test whether writes are logged
 * @ioas: the address space
 *
 * Return: 0; -ENOENT, they are not; -EOPNOTSUPP, not a root.
 */
int ioas_dirty_started(struct ioas *ioas)
{
	if (ioas->parent || !ioas_iommu_may_track_dirty())
		return -EOPNOTSUPP;
	return rcu_access_pointer(ioas->dirty) ? 0 : -ENOENT;
}
