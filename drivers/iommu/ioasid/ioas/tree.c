// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mappings of an address space in order, and the gaps between them.
 *
 * Invariants:
 *  - Mappings do not overlap.
 *  - Gaps are up to date from the first time that an IOVA is chosen, or from
 *    KNOW_GAPS mappings on.  Address spaces that only use IOASID_MAP_FIXED for
 *    a few mappings never need the gaps and do not pay for them.
 *
 * Locks: the lock of the address space is held.  Choosing an IOVA may drop it,
 * since the search may visit many gaps.
 */
#include <kunit/visibility.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched/signal.h>

#include "../mem/charge.h"
#include "domain.h"
#include "mapping.h"
#include "ranges.h"
#include "tree.h"

/* While no device has set permitted ranges, avoid typical reserved ones */
#define FIRST_CHOICE		(4ULL << 30)

static inline u64 mapping_gap(struct ioas_mapping *m)
{
	return m->gap;
}

RB_DECLARE_CALLBACKS_MAX(static, gap_callbacks, struct ioas_mapping, rb, u64,
			 subtree_gap, mapping_gap)

/**
 * ioas_mapping_next() - find the mapping after a mapping
 * @m: a mapping in the tree
 *
 * Return: the next one, or NULL.
 */
struct ioas_mapping *ioas_mapping_next(struct ioas_mapping *m)
{
	return to_mapping(rb_next(&m->rb));
}
EXPORT_SYMBOL_IF_KUNIT(ioas_mapping_next);

static void set_gap(struct ioas_mapping *m, u64 gap)
{
	m->gap = gap;
	gap_callbacks.propagate(&m->rb, NULL);
}

/*
 * From this number of mappings on the gaps are always up to date.  Bounds the
 * time that it takes to compute them all.
 */
#define KNOW_GAPS	BIT(10)

/* Compute all gaps, which stay up to date from now on */
static void know_gaps(struct ioas *ioas)
{
	struct ioas_mapping *m;
	u64 start = 0;

	if (ioas->knows_gaps)
		return;
	ioas->knows_gaps = true;
	for (m = to_mapping(rb_first(&ioas->mappings)); m;
	     m = ioas_mapping_next(m)) {
		m->gap = m->start - start;
		start = m->last + 1;
	}
	for (m = to_mapping(rb_first_postorder(&ioas->mappings)); m;
	     m = to_mapping(rb_next_postorder(&m->rb)))
		gap_callbacks_compute_max(m, false);
}

/* Insert a mapping right after the one before, without a walk down the tree */
bool ioas_mapping_insert_next(struct ioas *ioas, struct ioas_mapping *m,
			      struct ioas_batch_cache *cache)
{
	struct ioas_mapping *prev = cache->last;

	lockdep_assert_held(&ioas->lock);
	if (!prev || !m->start || prev->last != m->start - 1 ||
	    ioas->nr_nodes >= KNOW_GAPS || ioas->knows_gaps)
		return false;
	if (cache->changes != ioas->changes)
		cache->next = ioas_mapping_next(prev);
	if (cache->next && cache->next->start <= m->last)
		return false;
	if (!prev->rb.rb_right)
		rb_link_node(&m->rb, &prev->rb, &prev->rb.rb_right);
	else
		rb_link_node(&m->rb, &cache->next->rb,
			     &cache->next->rb.rb_left);
	rb_insert_color(&m->rb, &ioas->mappings);
	ioas->nr_nodes++;
	cache->changes = ++ioas->changes;
	cache->last = m;
	return true;
}

/**
 * ioas_mapping_insert() - insert a mapping into the tree
 * @ioas: the address space; its lock is held
 * @m: the mapping; the caller counts it, if ioas.counted
 *
 * Return: false if it overlaps another one.
 */
bool ioas_mapping_insert(struct ioas *ioas, struct ioas_mapping *m)
{
	struct rb_node **link = &ioas->mappings.rb_node, *parent = NULL;
	struct ioas_mapping *prev = NULL, *next = NULL, *at;

	lockdep_assert_held(&ioas->lock);
	if (unlikely(ioas->nr_nodes >= KNOW_GAPS))
		know_gaps(ioas);
	while (*link) {
		parent = *link;
		at = to_mapping(parent);
		if (m->last < at->start) {
			next = at;
			link = &parent->rb_left;
		} else if (m->start > at->last) {
			prev = at;
			link = &parent->rb_right;
		} else {
			return false;
		}
	}
	rb_link_node(&m->rb, parent, link);
	ioas->nr_nodes++;
	ioas->changes++;
	if (likely(!ioas->knows_gaps)) {
		rb_insert_color(&m->rb, &ioas->mappings);
		return true;
	}
	m->subtree_gap = 0;
	set_gap(m, m->start - (prev ? prev->last + 1 : 0));
	if (next)
		set_gap(next, next->start - m->last - 1);
	rb_insert_augmented(&m->rb, &ioas->mappings, &gap_callbacks);
	return true;
}

/**
 * ioas_mapping_insert_filler() - insert a filler of a claim into the tree
 * @ioas: the address space; its lock is held
 * @m: the filler; overlaps nothing
 *
 * A filler is not counted.  One that is in the tree already when the address
 * space becomes ioas.counted is, until it is erased.
 */
void ioas_mapping_insert_filler(struct ioas *ioas, struct ioas_mapping *m)
{
	if (unlikely(ioas->counted))
		m->flags |= IOAS_MAPPING_UNCOUNTED;
	ioas_mapping_insert(ioas, m);
}

/* Erase a mapping that counts, or with gaps that are up to date */
static noinline void erase_counted(struct ioas *ioas, struct ioas_mapping *m)
{
	struct ioas_mapping *next;

	if (ioas->counted && !(m->flags & IOAS_MAPPING_UNCOUNTED))
		ioasid_mappings_uncharge(ioas->account, 1);
	if (!ioas->knows_gaps) {
		rb_erase(&m->rb, &ioas->mappings);
		return;
	}
	next = ioas_mapping_next(m);
	rb_erase_augmented(&m->rb, &ioas->mappings, &gap_callbacks);
	if (next)
		set_gap(next, next->gap + (m->last - m->start + 1) + m->gap);
	/* Later users may not need the gaps */
	if (RB_EMPTY_ROOT(&ioas->mappings))
		ioas->knows_gaps = false;
}

/**
 * ioas_mapping_erase() - erase a mapping from the tree
 * @ioas: the address space; its lock is held
 * @m: the mapping, which counts no longer
 */
void ioas_mapping_erase(struct ioas *ioas, struct ioas_mapping *m)
{
	lockdep_assert_held(&ioas->lock);
	ioas->nr_nodes--;
	ioas->changes++;
	/* One test of both */
	if (unlikely(ioas->knows_gaps || ioas->counted))
		erase_counted(ioas, m);
	else
		rb_erase(&m->rb, &ioas->mappings);
}

/**
 * ioas_mapping_absorb() - grow a mapping over the next one
 * @ioas: the address space; its lock is held
 * @m: the mapping; grows
 * @next: begins where @m ends; erased from the tree
 */
void ioas_mapping_absorb(struct ioas *ioas, struct ioas_mapping *m,
			 struct ioas_mapping *next)
{
	ioas_mapping_erase(ioas, next);
	m->last = next->last;
	next = ioas_mapping_next(m);
	if (ioas->knows_gaps && next)
		set_gap(next, next->start - m->last - 1);
}

/**
 * ioas_mapping_split_object() - split a mapping in the tree
 * @ioas: the address space; its lock is held
 * @m: the mapping
 * @tail: its upper part, with memory of its own; becomes LIVE
 */
void ioas_mapping_split_object(struct ioas *ioas,
			       struct ioas_mapping *m,
			       struct ioas_mapping *tail)
{
	u64 at = tail->start;

	lockdep_assert_held(&ioas->lock);
	/* A cut further right may have shortened @m since */
	tail->last = m->last;
	m->last = at - 1;
	ioas_mapping_set_state(tail, IOAS_MAPPING_LIVE);
	ioas_mapping_insert(ioas, tail);
	if (unlikely(ioas->counted))
		atomic64_inc(&ioas->account->mappings);
	ioas->nr_mappings++;
	/*
	 * LIVE mappings do not use it: populate_next tells whether @tail is
	 * populated
	 */
	tail->in_populating = false;
}

/* Find the leftmost mapping of a subtree with a wide enough gap before it */
static struct ioas_mapping *leftmost_gap(struct rb_node *node, u64 length)
{
	struct ioas_mapping *m, *left;

	for (;;) {
		m = to_mapping(node);
		left = to_mapping(node->rb_left);
		if (left && left->subtree_gap >= length) {
			node = node->rb_left;
			continue;
		}
		if (m->gap >= length)
			return m;
		node = node->rb_right;
	}
}

/* Find the first mapping after @m with a wide enough gap before it */
static struct ioas_mapping *next_gap(struct ioas_mapping *m, u64 length)
{
	struct rb_node *node = &m->rb, *parent;
	struct ioas_mapping *right;

	for (;;) {
		right = to_mapping(node->rb_right);
		if (right && right->subtree_gap >= length)
			return leftmost_gap(node->rb_right, length);
		while ((parent = rb_parent(node)) && node == parent->rb_right)
			node = parent;
		if (!parent)
			return NULL;
		node = parent;
		m = to_mapping(node);
		if (m->gap >= length)
			return m;
	}
}

/* Gaps that are visited with the lock held */
#define GAP_BATCH	128

/**
 * struct gap_query - search for free IOVAs
 * @low: lowest IOVA of the result
 * @high: highest IOVA of the result
 * @length: bytes
 * @align: a power of two
 * @offset: required offset from a multiple of @align
 * @need: length of the shortest gap that is visited
 * @from: gaps that end below it are not visited again
 */
struct gap_query {
	u64 low;
	u64 high;
	u64 length;
	u64 align;
	u64 offset;
	u64 need;
	u64 from;
};

/* Find the first fit in the gap before @m, or after all if @m is NULL */
static bool fits_gap(struct ioas *ioas, struct ioas_mapping *m,
		     const struct gap_query *query, u64 *iova)
{
	u64 from = 0, to = U64_MAX, start, last;

	if (m) {
		from = m->start - m->gap;
		to = m->start - 1;
	} else if (!RB_EMPTY_ROOT(&ioas->mappings)) {
		last = to_mapping(rb_last(&ioas->mappings))->last;
		if (last == U64_MAX)
			return false;
		from = last + 1;
	}
	from = max(query->low, from);
	to = min(to, query->high);
	start = from + ((query->offset - from) & (query->align - 1));
	if (start < from || check_add_overflow(start, query->length - 1, &last) ||
	    last > to)
		return false;
	*iova = start;
	return true;
}

/*
 * Visit some gaps.  Returns 0; -ENOSPC, no gap fits; -EAGAIN, there are more
 * from @query->from on.
 */
static int search_gaps(struct ioas *ioas, struct gap_query *query,
		       u64 *iova)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, query->from);
	unsigned int n = 0;

	/* Skip a mapping that covers @query->from, or whose gap is too small */
	if (m && (m->start <= query->from || m->gap < query->need))
		m = next_gap(m, query->need);
	while (!fits_gap(ioas, m, query, iova)) {
		if (!m || m->start > query->high)
			return -ENOSPC;
		if (++n == GAP_BATCH) {
			query->from = m->start;
			return -EAGAIN;
		}
		m = next_gap(m, query->need);
	}
	return 0;
}

/*
 * Choose the first fit within [low, high].  If a batch of gaps does not fit,
 * try a gap that is long enough for any alignment; if there is none, continue
 * with the others.  Returns -EAGAIN if the lock shall be dropped before the
 * next call.
 */
static int choose_within(struct ioas *ioas, struct gap_query *query,
			 u64 *iova)
{
	struct gap_query sure = *query;
	int ret;

	ret = search_gaps(ioas, query, iova);
	if (ret != -EAGAIN ||
	    check_add_overflow(query->length, query->align - PAGE_SIZE,
			       &sure.need))
		return ret;
	/* The first one fits, unless an end of the range is within it */
	if (!search_gaps(ioas, &sure, iova))
		return 0;
	return -EAGAIN;
}

/* Set the @i-th permitted range for @req; false if there is none */
static bool query_range(const struct ioas *ioas,
			const struct ioas_map_request *req, unsigned int i,
			struct gap_query *query)
{
	const struct ioas_ranges *permitted = ioas->permitted;

	if (i >= (permitted ? permitted->nr : 1))
		return false;
	query->low = FIRST_CHOICE;
	query->high = U64_MAX;
	if (permitted) {
		/* Avoid 0, which a driver that forgot to map would use */
		query->low = max(permitted->range[i].start, PAGE_SIZE);
		query->high = permitted->range[i].last;
	}
	query->length = req->length;
	query->need = req->length;
	query->from = query->low;
	return true;
}

/* Search with one alignment; returns as ioas_choose_iova() */
static int choose_aligned(struct ioas *ioas,
			  struct ioas_map_request *req, u64 align, u64 offset)
{
	const struct ioas_ranges *permitted = ioas->permitted;
	struct gap_query query = { .align = align, .offset = offset };
	unsigned int i;
	int ret;

	for (i = 0; query_range(ioas, req, i, &query); i++) {
		while ((ret = choose_within(ioas, &query, &req->iova)) ==
		       -EAGAIN) {
			if (fatal_signal_pending(current))
				return -EINTR;
			ioas_relax(ioas);
			know_gaps(ioas);
			if (ioas->permitted != permitted)
				return -EAGAIN;
		}
		if (ret != -ENOSPC)
			return ret;
	}
	return -ENOSPC;
}

/*
 * Choose an IOVA for @req.  May drop the lock: the caller must check the
 * address space again.  Returns -EAGAIN if it must start again.
 */
int ioas_choose_iova(struct ioas *ioas,
		     struct ioas_map_request *req, u64 largest)
{
	u64 align = req->alignment ?: largest;
	u64 offset = req->alignment ? 0 : req->addr & (align - 1);
	int ret;

	know_gaps(ioas);
	ret = choose_aligned(ioas, req, align, offset);
	/* Small pages may fit where large ones do not */
	if (ret == -ENOSPC && !req->alignment && align > PAGE_SIZE)
		ret = choose_aligned(ioas, req, PAGE_SIZE, 0);
	return ret;
}
