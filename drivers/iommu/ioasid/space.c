// SPDX-License-Identifier: GPL-2.0-only
/*
 * One address space: its mappings, and map and unmap.
 *
 * Invariants:
 *  - Mappings do not overlap.  A LIVE mapping of memory is in every domain of
 *    the space; reserved ranges are in none.
 *  - A mapping is made in three steps.  Its range is reserved, under the lock;
 *    its memory is charged and pinned, with no lock held, for however long that
 *    takes; it is written to the domains and published.  A step that fails
 *    undoes those before it.
 *  - A mapping is taken out in the reverse order: out of the software devices,
 *    out of every table, flush, and only then unpinned (table before pin).
 *    Where a table cannot be trusted any more the memory is kept.
 *  - Taking out needs no memory.
 *
 * Locks: see struct ioasid_space.  The lock is held for a bounded number of
 * steps; whatever is long is done with the mapping in a state that keeps
 * others off it.
 */
#include <kunit/visibility.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "space.h"

/* Before any device told its ranges, keep off where reserved ones may be */
#define FIRST_CHOICE		(4ULL << 30)
/* Mappings taken out with one flush */
#define DRAIN_BATCH		256

static struct kmem_cache *mapping_cache;

/* ---- The tree ---- */

#define to_mapping(node)	rb_entry_safe(node, struct ioasid_mapping, rb)

static inline u64 mapping_gap(struct ioasid_mapping *m)
{
	return m->gap;
}

RB_DECLARE_CALLBACKS_MAX(static, gap_callbacks, struct ioasid_mapping, rb, u64,
			 subtree_gap, mapping_gap)

/**
 * ioasid_mapping_next() - the mapping after a mapping
 * @m: a mapping in the tree
 *
 * Return: the next one, or NULL.
 */
struct ioasid_mapping *ioasid_mapping_next(struct ioasid_mapping *m)
{
	return to_mapping(rb_next(&m->rb));
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_mapping_next);

/**
 * ioasid_mapping_first() - the first mapping that ends at or after an address
 * @space: the space; its lock is held
 * @start: the address
 *
 * Return: the mapping, or NULL.
 */
struct ioasid_mapping *ioasid_mapping_first(struct ioasid_space *space,
					    u64 start)
{
	struct rb_node *node = space->mappings.rb_node;
	struct ioasid_mapping *first = NULL, *m;

	lockdep_assert_held(&space->lock);
	while (node) {
		m = to_mapping(node);
		if (m->last >= start) {
			first = m;
			if (m->start <= start)
				break;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return first;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_mapping_first);

static void set_gap(struct ioasid_mapping *m, u64 gap)
{
	m->gap = gap;
	gap_callbacks.propagate(&m->rb, NULL);
}

/*
 * With more nodes than that the gaps are known, so that it does not take long to
 * begin to know them.
 */
#define KNOW_GAPS	BIT(10)

/*
 * Know the gaps from now on.  Small spaces that only use IOASID_MAP_FIXED never
 * need them, and do not pay for them.
 */
static void know_gaps(struct ioasid_space *space)
{
	struct ioasid_mapping *m;
	u64 start = 0;

	if (space->knows_gaps)
		return;
	space->knows_gaps = true;
	for (m = to_mapping(rb_first(&space->mappings)); m;
	     m = ioasid_mapping_next(m)) {
		m->gap = m->start - start;
		start = m->last + 1;
	}
	for (m = to_mapping(rb_first_postorder(&space->mappings)); m;
	     m = to_mapping(rb_next_postorder(&m->rb)))
		gap_callbacks_compute_max(m, false);
}

/* Put a mapping in right after the one before, where the tree is known already */
static bool insert_next(struct ioasid_space *space, struct ioasid_mapping *m,
			struct ioasid_place *place)
{
	struct ioasid_mapping *prev = place->last;

	lockdep_assert_held(&space->lock);
	if (!prev || !m->start || prev->last != m->start - 1 ||
	    space->nr_nodes >= KNOW_GAPS || space->knows_gaps)
		return false;
	if (place->changes != space->changes)
		place->next = ioasid_mapping_next(prev);
	if (place->next && place->next->start <= m->last)
		return false;
	if (!prev->rb.rb_right)
		rb_link_node(&m->rb, &prev->rb, &prev->rb.rb_right);
	else
		rb_link_node(&m->rb, &place->next->rb,
			     &place->next->rb.rb_left);
	rb_insert_color(&m->rb, &space->mappings);
	space->nr_nodes++;
	place->changes = ++space->changes;
	place->last = m;
	return true;
}

/**
 * ioasid_mapping_insert() - put a mapping into the tree
 * @space: the space; its lock is held
 * @m: the mapping
 *
 * Return: false when something is there already.
 */
bool ioasid_mapping_insert(struct ioasid_space *space, struct ioasid_mapping *m)
{
	struct rb_node **link = &space->mappings.rb_node, *parent = NULL;
	struct ioasid_mapping *prev = NULL, *next = NULL, *at;

	lockdep_assert_held(&space->lock);
	if (unlikely(space->nr_nodes >= KNOW_GAPS))
		know_gaps(space);
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
	space->nr_nodes++;
	space->changes++;
	if (likely(!space->knows_gaps)) {
		rb_insert_color(&m->rb, &space->mappings);
		return true;
	}
	m->subtree_gap = 0;
	set_gap(m, m->start - (prev ? prev->last + 1 : 0));
	if (next)
		set_gap(next, next->start - m->last - 1);
	rb_insert_augmented(&m->rb, &space->mappings, &gap_callbacks);
	return true;
}

/**
 * ioasid_mapping_erase() - take a mapping out of the tree
 * @space: the space; its lock is held
 * @m: the mapping
 */
void ioasid_mapping_erase(struct ioasid_space *space, struct ioasid_mapping *m)
{
	struct ioasid_mapping *next;

	lockdep_assert_held(&space->lock);
	space->nr_nodes--;
	space->changes++;
	if (likely(!space->knows_gaps)) {
		rb_erase(&m->rb, &space->mappings);
		return;
	}
	next = ioasid_mapping_next(m);
	rb_erase_augmented(&m->rb, &space->mappings, &gap_callbacks);
	if (next)
		set_gap(next, next->gap + (m->last - m->start + 1) + m->gap);
	/* Not to be paid for by what comes after who wanted them */
	if (RB_EMPTY_ROOT(&space->mappings))
		space->knows_gaps = false;
}

/**
 * ioasid_mapping_absorb() - let a mapping take the place of the one after it
 * @space: the space; its lock is held
 * @m: the mapping; grows
 * @next: begins where @m ends; out of the tree afterwards
 */
void ioasid_mapping_absorb(struct ioasid_space *space, struct ioasid_mapping *m,
			   struct ioasid_mapping *next)
{
	ioasid_mapping_erase(space, next);
	m->last = next->last;
	next = ioasid_mapping_next(m);
	if (space->knows_gaps && next)
		set_gap(next, next->start - m->last - 1);
}

/* The leftmost mapping of a subtree that has a wide enough gap before it */
static struct ioasid_mapping *leftmost_gap(struct rb_node *node, u64 length)
{
	struct ioasid_mapping *m, *left;

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

/* The first mapping after @m with a wide enough gap before it */
static struct ioasid_mapping *next_gap(struct ioasid_mapping *m, u64 length)
{
	struct rb_node *node = &m->rb, *parent;
	struct ioasid_mapping *right;

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

/* Gaps that are looked at with the lock held */
#define GAP_BATCH	128

/**
 * struct gap_query - a place that is searched for
 * @low: first byte of where it may be
 * @high: last byte
 * @length: bytes
 * @align: a power of two
 * @offset: how far beyond a multiple of @align it shall begin
 * @need: gaps that are shorter are not looked at
 * @from: gaps that end below were looked at
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

/* Where in the gap before @m, or after all when it is NULL, does it fit? */
static bool fits_gap(struct ioasid_space *space, struct ioasid_mapping *m,
		     const struct gap_query *query, u64 *iova)
{
	u64 from = 0, to = U64_MAX, start, last;

	if (m) {
		from = m->start - m->gap;
		to = m->start - 1;
	} else if (!RB_EMPTY_ROOT(&space->mappings)) {
		last = to_mapping(rb_last(&space->mappings))->last;
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
 * Look at some gaps.  Returns 0; -ENOSPC, there is none; -EAGAIN, there are more
 * from @query->from on.
 */
static int search_gaps(struct ioasid_space *space, struct gap_query *query,
		       u64 *iova)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, query->from);
	unsigned int n = 0;

	/* The gap before a mapping that is not free to its beginning */
	if (m && (m->start <= query->from || m->gap < query->need))
		m = next_gap(m, query->need);
	while (!fits_gap(space, m, query, iova)) {
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
 * Choose a place within [low, high]: the first there is.  When too many gaps
 * turn out not to hold it, one that is so long that it must; and if there is none
 * the others, however many.  -EAGAIN when the lock shall be dropped before the
 * next call.
 */
static int choose_within(struct ioasid_space *space, struct gap_query *query,
			 u64 *iova)
{
	struct gap_query sure = *query;
	int ret;

	ret = search_gaps(space, query, iova);
	if (ret != -EAGAIN ||
	    check_add_overflow(query->length, query->align - PAGE_SIZE,
			       &sure.need))
		return ret;
	/* The first one holds it, unless the ends of the range are in the way */
	if (!search_gaps(space, &sure, iova))
		return 0;
	return -EAGAIN;
}

/* The largest IOPTE that could be used for a mapping of this length */
static u64 largest_page(struct ioasid_space *space, u64 length)
{
	unsigned long sizes = PAGE_SIZE | PMD_SIZE | PUD_SIZE;
	struct ioasid_domain *dom;

	dom = list_first_entry_or_null(&space->domains, struct ioasid_domain,
				       node);
	if (dom)
		sizes = dom->iommu->pgsize_bitmap;
	sizes &= GENMASK(__fls(length), PAGE_SHIFT);
	return sizes ? BIT_ULL(__fls(sizes)) : PAGE_SIZE;
}

/* Where @req may be, by number of the range; false when there is no such range */
static bool query_range(const struct ioasid_space *space,
			const struct ioasid_map_request *req, unsigned int i,
			struct gap_query *query)
{
	const struct ioasid_ranges *permitted = space->permitted;

	if (i >= (permitted ? permitted->nr : 1))
		return false;
	query->low = FIRST_CHOICE;
	query->high = U64_MAX;
	if (permitted) {
		/* 0 is what a driver that forgot to map would use */
		query->low = max(permitted->range[i].start, PAGE_SIZE);
		query->high = permitted->range[i].last;
	}
	query->length = req->length;
	query->need = req->length;
	query->from = query->low;
	return true;
}

/* Search with one alignment; as choose_iova() */
static int choose_aligned(struct ioasid_space *space,
			  struct ioasid_map_request *req, u64 align, u64 offset)
{
	const struct ioasid_ranges *permitted = space->permitted;
	struct gap_query query = { .align = align, .offset = offset };
	unsigned int i;
	int ret;

	for (i = 0; query_range(space, req, i, &query); i++) {
		while ((ret = choose_within(space, &query, &req->iova)) ==
		       -EAGAIN) {
			if (fatal_signal_pending(current))
				return -EINTR;
			ioasid_space_relax(space);
			know_gaps(space);
			if (space->permitted != permitted)
				return -EAGAIN;
		}
		if (ret != -ENOSPC)
			return ret;
	}
	return -ENOSPC;
}

/*
 * Choose where @req is mapped.  May drop the lock: what was seen of the space
 * before need not be true any more.  -EAGAIN: to be done again, from the start.
 */
static int choose_iova(struct ioasid_space *space,
		       struct ioasid_map_request *req, u64 largest)
{
	u64 align = req->alignment ?: largest;
	u64 offset = req->alignment ? 0 : req->addr & (align - 1);
	int ret;

	know_gaps(space);
	ret = choose_aligned(space, req, align, offset);
	/* Where large pages find no place small ones may */
	if (ret == -ENOSPC && !req->alignment && align > PAGE_SIZE)
		ret = choose_aligned(space, req, PAGE_SIZE, 0);
	return ret;
}

/* ---- States ---- */

static void set_state(struct ioasid_mapping *m, enum ioasid_mapping_state state)
{
	m->state = state;
}

static u64 mapping_bytes(const struct ioasid_mapping *m)
{
	return m->last - m->start + 1;
}

/* Must it be waited for before it can be removed or cut? */
static bool in_transit(const struct ioasid_mapping *m)
{
	return m && (m->state == IOASID_MAPPING_FILLING ||
		     m->state == IOASID_MAPPING_LEAVING ||
		     m->state == IOASID_MAPPING_CUTTING ||
		     m->state == IOASID_MAPPING_DYING);
}

/**
 * ioasid_space_wake() - a mapping changed state, or lost its last reader or pin
 * @space: the space; its lock is held since before the change
 */
void ioasid_space_wake(struct ioasid_space *space)
{
	lockdep_assert_held(&space->lock);
	/* Waiters queue themselves before they look, under the lock */
	if (waitqueue_active(&space->wait))
		wake_up_all(&space->wait);
}

/* Let a long write of the mapping's IOPTEs end, so that it can be had */
static bool still_in_transit(struct ioasid_space *space, u64 addr)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, addr);

	if (!m || m->start > addr || !in_transit(m))
		return false;
	WRITE_ONCE(m->wanted, true);
	return true;
}

/**
 * ioasid_space_wait_in_transit() - wait until a mapping can be used
 * @space: the space; its lock is held, and dropped meanwhile; domains_sem is not
 * @addr: where the mapping is
 * @req: for which unmap; or NULL
 *
 * Return: 0; -EINTR, a fatal signal, or the patience of a forced @req ended.
 */
int ioasid_space_wait_in_transit(struct ioasid_space *space, u64 addr,
				 struct ioasid_unmap_request *req)
	__must_hold(&space->lock)
{
	lockdep_assert_not_held(&space->domains_sem);
	return ioasid_space_wait(space, !still_in_transit(space, addr), req);
}

/**
 * ioasid_mapping_wait_readers() - wait until mappings are not read any more
 * @space: the space; its lock is not held
 * @list: mappings in a state in which no reader comes, linked by @next
 *
 * A reader copies a page, or is an attach that fills its domain with the mapping,
 * which stops at @wanted: both end soon, and wait for nothing.
 */
void ioasid_mapping_wait_readers(struct ioasid_space *space,
				 struct ioasid_mapping *list)
{
	struct ioasid_mapping *m;

	for (m = list; m; m = m->next) {
		if (likely(!READ_ONCE(m->readers)))
			continue;
		spin_lock(&space->lock);
		WRITE_ONCE(m->wanted, true);
		wait_event_cmd(space->wait, !m->readers,
			       spin_unlock(&space->lock),
			       spin_lock(&space->lock));
		WRITE_ONCE(m->wanted, false);
		spin_unlock(&space->lock);
	}
}

/* ---- Map ---- */

/**
 * ioasid_mapping_free() - free a mapping that has no memory
 * @m: the mapping
 */
void ioasid_mapping_free(struct ioasid_mapping *m)
{
	kmem_cache_free(mapping_cache, m);
}

static __always_inline void mapping_give_back(struct ioasid_space *space,
					      struct ioasid_mapping *m)
{
	if (m->mem.npages) {
		if (unlikely(space->parent)) {
			m->next = NULL;
			ioasid_family_return(space, m);
		} else {
			ioasid_memory_put(&m->mem, space->account, m->payer);
		}
	} else if (unlikely(m->device)) {
		ioasid_devmem_put(m->device);
	}
}

/**
 * ioasid_mapping_release() - free a mapping, and give back what it has
 * @space: the space
 * @m: the mapping; no device reaches its memory any more
 */
void ioasid_mapping_release(struct ioasid_space *space,
			    struct ioasid_mapping *m)
{
	mapping_give_back(space, m);
	ioasid_mapping_free(m);
}

/* The same for a list of them, which are freed together */
static void release_list(struct ioasid_space *space,
			 struct ioasid_mapping *list)
{
	struct ioasid_mapping *m, *next;
	unsigned int n = 0;
	void *freed[32] __uninitialized;

	if (space->parent)
		ioasid_family_return(space, list);
	for (m = list; m; m = next) {
		next = m->next;
		mapping_give_back(space, m);
		freed[n++] = m;
		if (n == ARRAY_SIZE(freed) || !next) {
			kmem_cache_free_bulk(mapping_cache, n, freed);
			n = 0;
		}
	}
}

/**
 * ioasid_place_fill() - have mappings to spare
 * @place: the place
 * @n: how many are wanted
 *
 * With no memory there are fewer, and the next map allocates its own.
 */
void ioasid_place_fill(struct ioasid_place *place, unsigned int n)
{
	void *spare[32];
	struct ioasid_mapping *m;
	unsigned int want, i;

	for (; n; n -= want) {
		want = min(n, ARRAY_SIZE(spare));
		if (!kmem_cache_alloc_bulk(mapping_cache, GFP_KERNEL, want,
					   spare))
			break;
		for (i = 0; i < want; i++) {
			m = spare[i];
			m->next = place->spare;
			place->spare = m;
		}
	}
}

/**
 * ioasid_place_empty() - free what was to spare
 * @place: the place
 */
void ioasid_place_empty(struct ioasid_place *place)
{
	struct ioasid_mapping *m;

	while ((m = place->spare)) {
		place->spare = m->next;
		ioasid_mapping_free(m);
	}
}

static __always_inline struct ioasid_mapping *
mapping_alloc(struct ioasid_space *space, const struct ioasid_map_request *req)
{
	struct ioasid_mapping *m;

	if (req->place && req->place->spare) {
		m = req->place->spare;
		req->place->spare = m->next;
	} else {
		m = kmem_cache_alloc(mapping_cache, GFP_KERNEL);
	}
	if (!m)
		return NULL;
	m->mem.npages = 0;
	m->mem.is_shared = false;
	m->payer = NULL;
	m->device = NULL;
	m->addr = req->addr;
	m->readers = 0;
	m->wanted = false;
	m->flags = req->flags & ~IOASID_MAP_FIXED;
	m->cut_shift = req->cut_shift ?: space->cut_shift;
	m->state = req->state;
	return m;
}

/**
 * ioasid_mapping_alloc() - make a mapping that has no memory yet
 * @space: the space
 * @req: what it will map
 *
 * Return: the mapping, in no tree; or NULL, there is no memory.
 */
struct ioasid_mapping *
ioasid_mapping_alloc(struct ioasid_space *space,
		     const struct ioasid_map_request *req)
{
	return mapping_alloc(space, req);
}

/* Does a space take anything new? */
static __always_inline int check_space(const struct ioasid_space *space)
{
	lockdep_assert_held(&space->lock);
	if (unlikely(space->dead))
		return -ENOENT;
	if (unlikely(space->poisoned))
		return -EIO;
	if (unlikely(space->partial))
		return -EDEADLK;
	return 0;
}

/**
 * ioasid_space_reserve() - take a range of IOVA for a new mapping
 * @space: the space
 * @req: what to map; @iova is set when it was chosen
 *
 * The first step of a map: to be followed by ioasid_space_commit() or
 * ioasid_space_abort().
 *
 * Context: may sleep.
 * Return: the mapping, not yet visible, or an ERR_PTR: -ENOENT, the space is
 * being freed; -EIO; -EDEADLK; -EINVAL, not permitted; -EEXIST; -ENOSPC;
 * -ENOMEM; -EINTR, a fatal signal.
 */
struct ioasid_mapping *ioasid_space_reserve(struct ioasid_space *space,
					    struct ioasid_map_request *req)
{
	bool reserve = req->flags & IOASID_MAP_RESERVE;
	struct ioasid_mapping *m, *taken;
	u64 largest = 0;
	int ret;

	m = mapping_alloc(space, req);
	if (!m)
		return ERR_PTR(-ENOMEM);

	if (!(req->flags & IOASID_MAP_FIXED)) {
		down_read(&space->domains_sem);
		largest = largest_page(space, req->length);
		up_read(&space->domains_sem);
	}

	spin_lock(&space->lock);
again:
	ret = check_space(space);
	if (unlikely(ret))
		goto err;

	if (req->flags & IOASID_MAP_FIXED) {
		ret = -EINVAL;
		if (space->permitted && !reserve &&
		    !ioasid_ranges_hold(space->permitted, req->iova,
					req->iova + (req->length - 1),
					&req->fault_addr))
			goto err;
	} else {
		ret = choose_iova(space, req, largest);
		if (ret == -EAGAIN)
			goto again;
		/* The lock may have been dropped */
		if (!ret)
			ret = check_space(space);
		if (ret)
			goto err;
		if (unlikely(space->permitted &&
			     !ioasid_ranges_hold(space->permitted, req->iova,
						 req->iova + (req->length - 1),
						 &req->fault_addr)))
			goto again;
	}
	m->start = req->iova;
	m->last = req->iova + (req->length - 1);
	if (!req->place || !insert_next(space, m, req->place)) {
		if (unlikely(!ioasid_mapping_insert(space, m))) {
			taken = ioasid_mapping_first(space, m->start);
			req->fault_addr = max(taken->start, m->start);
			ret = -EEXIST;
			goto err;
		}
		if (req->place) {
			req->place->last = m;
			/* What comes next was not looked at */
			req->place->changes = space->changes - 1;
		}
	}
	spin_unlock(&space->lock);
	return m;

err:
	spin_unlock(&space->lock);
	ioasid_mapping_free(m);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_reserve);

/**
 * ioasid_space_abort() - give a reserved range back
 * @space: the space
 * @m: from ioasid_space_reserve(); freed
 */
void ioasid_space_abort(struct ioasid_space *space, struct ioasid_mapping *m)
{
	spin_lock(&space->lock);
	if (m->state != IOASID_MAPPING_CANCELLED)
		ioasid_mapping_erase(space, m);
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	ioasid_mapping_release(space, m);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_abort);

/**
 * ioasid_mapping_keep() - keep what cannot be unpinned
 * @space: the space; its lock is held
 * @m: not in the tree; a poisoned domain may still reach its memory
 */
void ioasid_mapping_keep(struct ioasid_space *space, struct ioasid_mapping *m)
{
	lockdep_assert_held(&space->lock);
	space->poisoned = true;
	m->gap = ioasid_space_bytes_kept(space) + mapping_bytes(m);
	m->next = space->kept;
	space->kept = m;
}

/**
 * ioasid_space_free_kept() - the poisoned domains are gone
 * @space: the space; attach_lock is held
 */
void ioasid_space_free_kept(struct ioasid_space *space)
{
	struct ioasid_mapping *m, *next;

	spin_lock(&space->lock);
	m = space->kept;
	space->kept = NULL;
	space->poisoned = false;
	spin_unlock(&space->lock);
	for (; m; m = next) {
		next = m->next;
		ioasid_mapping_release(space, m);
		cond_resched();
	}
}

/**
 * ioasid_mapping_in_filling() - what a domain that is being filled has of it
 * @space: the space; its lock is held
 * @m: a mapping
 *
 * Return: whether a published mapping is in the domain that is being filled, and
 * whether one to be published must be put in there by who maps it.
 */
bool ioasid_mapping_in_filling(struct ioasid_space *space,
			       struct ioasid_mapping *m)
{
	const struct ioasid_domain *filling = space->filling;

	lockdep_assert_held(&space->lock);
	return unlikely(filling) && m->mem.npages &&
	       (filling->fill_done || m->start < filling->fill_next);
}

static int domain_put_in(struct ioasid_domain *dom, struct ioasid_mapping *m)
{
	return ioasid_domain_map(dom, m->start, &m->mem, m->flags,
				 m->cut_shift, &m->wanted);
}

/*
 * Write a FILLING mapping to all domains, and to the filling one if its fill
 * came past.  Publishes the mapping.  Returns with the lock held; on failure the
 * mapping is in no domain that can be trusted.
 */
static __always_inline int fill_domains(struct ioasid_space *space,
					struct ioasid_mapping *m)
	__acquires(&space->lock)
{
	struct ioasid_domain *dom, *filled = NULL;
	bool in_filling = false;
	int ret = 0;

	lockdep_assert_held_read(&space->domains_sem);
	list_for_each_entry(dom, &space->domains, node) {
		ret = domain_put_in(dom, m);
		if (ret)
			goto undo;
		filled = dom;
	}
	spin_lock(&space->lock);
	while (!in_filling && ioasid_mapping_in_filling(space, m)) {
		spin_unlock(&space->lock);
		ret = domain_put_in(space->filling, m);
		if (ret)
			goto undo;
		in_filling = true;
		spin_lock(&space->lock);
		/* So that a piece cut from it is not taken for one to fill */
		if (m->last >= space->filling->fill_next)
			space->filling->fill_next =
				min(m->last, U64_MAX - 1) + 1;
	}
	set_state(m, IOASID_MAPPING_LIVE);
	return 0;

undo:
	if (filled) {
		struct ioasid_domain *out;

		list_for_each_entry(out, &space->domains, node) {
			ioasid_domain_take_out(out, m->start,
					       mapping_bytes(m));
			if (out == filled)
				break;
		}
	}
	spin_lock(&space->lock);
	return ret;
}

/* Is there a domain that may still reach what was taken out of it? */
static bool any_poisoned(struct ioasid_space *space)
{
	struct ioasid_domain *dom;

	lockdep_assert_held_read(&space->domains_sem);
	if (space->filling && READ_ONCE(space->filling->poisoned))
		return true;
	list_for_each_entry(dom, &space->domains, node)
		if (unlikely(READ_ONCE(dom->poisoned)))
			return true;
	return false;
}

/* Charge and pin, with no lock held: a page fault in here may hang for ever */
static int get_memory(struct ioasid_space *space, struct ioasid_mapping *m,
		      struct ioasid_map_request *req)
{
	struct ioasid_device_range *device;
	struct ioasid_payer *payer;
	int ret;

	payer = ioasid_memory_get(&m->mem, space->account, req->file, req->addr,
				  req->length >> PAGE_SHIFT,
				  req->flags & IOASID_MAP_WRITE,
				  &req->fault_addr);
	if (!IS_ERR(payer)) {
		m->payer = payer;
		return 0;
	}
	ret = PTR_ERR(payer);
	if ((ret != -EFAULT && ret != -EDQUOT) || req->file)
		return ret;
	/* A device's memory cannot be pinned, and need not be charged */
	device = ioasid_devmem_get(space, req, m->start);
	if (IS_ERR(device))
		return PTR_ERR(device) == -EFAULT ? ret : PTR_ERR(device);
	m->device = device;
	return 0;
}

/**
 * ioasid_space_abort_filling() - give up a FILLING mapping that is in no domain
 * @space: the space; domains_sem is held
 * @m: from ioasid_space_reserve(), with or without memory; freed, unless a
 *	poisoned domain may reach it
 */
void ioasid_space_abort_filling(struct ioasid_space *space,
				struct ioasid_mapping *m)
{
	bool poisoned = m->mem.npages && any_poisoned(space);

	spin_lock(&space->lock);
	ioasid_mapping_erase(space, m);
	if (poisoned)
		ioasid_mapping_keep(space, m);
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	if (!poisoned)
		ioasid_mapping_release(space, m);
}

static int write_device(struct ioasid_space *space, struct ioasid_mapping *m)
	__must_hold(&space->lock)
{
	int ret;

	set_state(m, IOASID_MAPPING_FILLING);
	spin_unlock(&space->lock);
	ret = ioasid_devmem_map(m->device);
	spin_lock(&space->lock);
	if (!ret)
		set_state(m, IOASID_MAPPING_LIVE);
	return ret;
}

/* Write a mapping that has its memory to the domains, if there are any */
static int write_mapping(struct ioasid_space *space, struct ioasid_mapping *m)
	__must_hold(&space->lock)
{
	lockdep_assert_held_read(&space->domains_sem);
	if (unlikely(m->device))
		return write_device(space, m);
	if (!m->mem.npages ||
	    (list_empty(&space->domains) && !space->filling)) {
		set_state(m, IOASID_MAPPING_LIVE);
		return 0;
	}
	set_state(m, IOASID_MAPPING_FILLING);
	spin_unlock(&space->lock);
	return fill_domains(space, m);
}

/*
 * A mapping was written to the domains, or was not: let it be seen, or free it.
 * Called with the lock and domains_sem held, drops both.
 */
static __always_inline int
publish(struct ioasid_space *space, struct ioasid_mapping *m, int ret)
	__releases(&space->lock)
{
	bool poisoned = false;

	if (likely(!ret)) {
		space->nr_mappings++;
		if (m->mem.npages)
			space->bytes_mapped += mapping_bytes(m);
	} else {
		ioasid_mapping_erase(space, m);
		poisoned = m->mem.npages && any_poisoned(space);
		if (poisoned)
			ioasid_mapping_keep(space, m);
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	up_read(&space->domains_sem);
	if (unlikely(poisoned))
		space->ops->poisoned(space);
	else if (unlikely(ret))
		ioasid_mapping_release(space, m);
	return ret;
}

static int wait_for_parent(struct ioasid_space *space,
			   const struct ioasid_map_request *req, u64 addr)
{
	return ioasid_family_wait(space, addr, req->addr + (req->length - 1));
}

/* Write what was borrowed; as write_mapping(), with no lock held before */
static __always_inline int write_borrowed(struct ioasid_space *space,
					  struct ioasid_mapping *m)
	__acquires(&space->lock)
{
	if (unlikely(list_empty(&space->domains) && !space->filling)) {
		spin_lock(&space->lock);
		set_state(m, IOASID_MAPPING_LIVE);
		return 0;
	}
	return fill_domains(space, m);
}

/**
 * ioasid_space_refer() - map by reference, at a fixed IOVA
 * @space: a child
 * @req: what to map
 *
 * Nothing that it does takes long: so it is reserve and commit in one.  A write
 * that does take long stops for a thread that wants the mapping, or the memory,
 * and is begun again after it.
 *
 * Context: may sleep; waits for no page fault.
 * Return: as ioasid_space_reserve() and ioasid_space_commit().
 */
int ioasid_space_refer(struct ioasid_space *space,
		       struct ioasid_map_request *req)
{
	struct ioasid_mapping *m;
	u64 addr;
	int ret;

	req->state = IOASID_MAPPING_FILLING;
	for (;;) {
		down_read(&space->domains_sem);
		m = ioasid_space_reserve(space, req);
		if (IS_ERR(m)) {
			up_read(&space->domains_sem);
			return PTR_ERR(m);
		}
		addr = req->addr;
		ret = ioasid_family_borrow(space, m, false, &addr);
		if (likely(!ret)) {
			ret = write_borrowed(space, m);
			if (likely(ret != -EAGAIN))
				return publish(space, m, ret);
			spin_unlock(&space->lock);
		}
		ioasid_space_abort_filling(space, m);
		up_read(&space->domains_sem);
		if (ret != -EAGAIN) {
			req->fault_addr = addr;
			return ret;
		}
		cond_resched();
		ret = wait_for_parent(space, req, addr);
		if (ret)
			return ret;
	}
}

/*
 * Give a child's mapping its memory.  It is FILLING from before it refers to
 * anything, so that a thread that waits for that waits for something bounded.
 * Returns with the lock and domains_sem held.
 */
static int borrow_memory(struct ioasid_space *space, struct ioasid_mapping *m,
			 struct ioasid_map_request *req)
	__acquires(&space->lock)
{
	u64 addr;
	int ret;

	for (;;) {
		addr = req->addr;
		down_read(&space->domains_sem);
		spin_lock(&space->lock);
		if (unlikely(m->state == IOASID_MAPPING_CANCELLED))
			return -ECANCELED;
		set_state(m, IOASID_MAPPING_FILLING);
		WRITE_ONCE(m->wanted, false);
		spin_unlock(&space->lock);
		ret = ioasid_family_borrow(space, m, false, &addr);
		if (likely(!ret)) {
			ret = write_borrowed(space, m);
			if (likely(ret != -EAGAIN))
				return ret;
			spin_unlock(&space->lock);
			m->next = NULL;
			ioasid_family_return(space, m);
			/* Through a window it became the parent's */
			m->addr = req->addr;
		}
		spin_lock(&space->lock);
		if (likely(ret != -EAGAIN)) {
			req->fault_addr = addr;
			return ret;
		}
		set_state(m, IOASID_MAPPING_PINNING);
		ioasid_space_wake(space);
		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		cond_resched();
		ret = wait_for_parent(space, req, addr);
		if (ret) {
			down_read(&space->domains_sem);
			spin_lock(&space->lock);
			return m->state == IOASID_MAPPING_CANCELLED ?
			       -ECANCELED : ret;
		}
	}
}

/* Write a root's mapping; a thread that wants it meanwhile may cancel it */
static int write_pinned(struct ioasid_space *space, struct ioasid_mapping *m)
	__acquires(&space->lock)
{
	int ret;

	for (;;) {
		down_read(&space->domains_sem);
		spin_lock(&space->lock);
		if (unlikely(m->state == IOASID_MAPPING_CANCELLED))
			return -ECANCELED;
		ret = write_mapping(space, m);
		if (likely(ret != -EAGAIN))
			return ret;
		set_state(m, IOASID_MAPPING_PINNING);
		WRITE_ONCE(m->wanted, false);
		ioasid_space_wake(space);
		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		if (fatal_signal_pending(current)) {
			down_read(&space->domains_sem);
			spin_lock(&space->lock);
			return m->state == IOASID_MAPPING_CANCELLED ?
			       -ECANCELED : -EINTR;
		}
		cond_resched();
	}
}

/**
 * ioasid_space_commit() - make a reserved mapping real
 * @space: the space
 * @m: from ioasid_space_reserve(); not to be touched afterwards
 * @req: as given there
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0; -ECANCELED, somebody took the range back; -EDQUOT, -EFAULT and
 * the other errors of ioasid_memory_get(), or of a child those of
 * ioasid_family_borrow(); -ENOMEM, -ENOSPC or -EIO of the IOMMU driver. On
 * failure the range is free again.
 */
int ioasid_space_commit(struct ioasid_space *space, struct ioasid_mapping *m,
			struct ioasid_map_request *req)
{
	int ret;

	if (unlikely(space->parent) && !(req->flags & IOASID_MAP_RESERVE)) {
		ret = borrow_memory(space, m, req);
	} else {
		if (!(req->flags & IOASID_MAP_RESERVE)) {
			ret = get_memory(space, m, req);
			if (ret) {
				/* That it was undone matters more than why */
				spin_lock(&space->lock);
				if (m->state == IOASID_MAPPING_CANCELLED)
					ret = -ECANCELED;
				spin_unlock(&space->lock);
				ioasid_space_abort(space, m);
				return ret;
			}
		}
		ret = write_pinned(space, m);
	}
	if (likely(ret != -ECANCELED))
		return publish(space, m, ret);
	spin_unlock(&space->lock);
	up_read(&space->domains_sem);
	ioasid_mapping_release(space, m);
	return -ECANCELED;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_commit);

/* ---- Cut ---- */

/**
 * ioasid_mapping_off_grid() - does a cut need the IOPTEs replaced that span it
 * @m: the mapping
 * @at: where
 *
 * Return: whether @at is off the mapping's cut grid.
 */
bool ioasid_mapping_off_grid(const struct ioasid_mapping *m, u64 at)
{
	return !m->cut_shift || (at & (BIT_ULL(m->cut_shift) - 1));
}

/**
 * ioasid_mapping_cut_by() - the mapping that the edge of a range would cut
 * @space: the space; its lock is held
 * @at: the edge
 *
 * Return: the mapping that holds @at and the byte before, or NULL.
 */
struct ioasid_mapping *ioasid_mapping_cut_by(struct ioasid_space *space, u64 at)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, at);

	return m && m->start < at ? m : NULL;
}

static int split_iopte(struct ioasid_space *space, struct ioasid_mapping *m,
		       u64 floor, u64 at)
{
	struct ioasid_domain *dom;
	int ret;

	lockdep_assert_held_read(&space->domains_sem);
	if (!m->mem.npages || !ioasid_mapping_off_grid(m, at))
		return 0;
	list_for_each_entry(dom, &space->domains, node) {
		ret = ioasid_domain_split(dom, m->start, &m->mem, m->flags,
					  m->cut_shift, floor, at);
		if (ret)
			return ret;
	}
	/* m->in_filling was set when it became CUTTING */
	if (m->in_filling)
		return ioasid_domain_split(space->filling, m->start, &m->mem,
					   m->flags, m->cut_shift, floor, at);
	return 0;
}

/**
 * ioasid_mapping_cut_memory() - prepare what a mapping will lose in a cut
 * @space: the space
 * @m: CUTTING, so that nobody looks at its memory; keeps what is below @at
 * @tail: uninitialised; gets the rest
 * @at: where it is cut
 *
 * Context: may sleep; cannot fail.
 */
void ioasid_mapping_cut_memory(struct ioasid_space *space,
			       struct ioasid_mapping *m,
			       struct ioasid_mapping *tail, u64 at)
{
	*tail = *m;
	tail->readers = 0;
	if (m->mem.npages)
		ioasid_memory_cut(&m->mem, (at - m->start) >> PAGE_SHIFT,
				  &tail->mem);
	if (m->payer)
		ioasid_charge_cut(m->payer, tail->mem.skip);
	if (!(m->flags & IOASID_MAP_RESERVE))
		tail->addr += at - m->start;
	tail->start = at;
	if (space->parent && m->mem.npages)
		ioasid_family_cut(space, m, tail);
}

/**
 * ioasid_mapping_cut_object() - let the end of a mapping be one of its own
 * @space: the space; its lock is held
 * @m: the mapping
 * @tail: prepared by ioasid_mapping_cut_memory(); LIVE
 */
void ioasid_mapping_cut_object(struct ioasid_space *space,
			       struct ioasid_mapping *m,
			       struct ioasid_mapping *tail)
{
	u64 at = tail->start;

	lockdep_assert_held(&space->lock);
	/* Another cut may have taken the end off since */
	tail->last = m->last;
	m->last = at - 1;
	set_state(tail, IOASID_MAPPING_LIVE);
	ioasid_mapping_insert(space, tail);
	space->nr_mappings++;
	/* Keeps what lies before its filling cursor true for the tail */
	tail->in_filling = false;
}

/* Does the range begin and end where mappings do? */
static bool edges_fit(struct ioasid_space *space, u64 start, u64 last)
{
	return !ioasid_mapping_cut_by(space, start) &&
	       (last == U64_MAX || !ioasid_mapping_cut_by(space, last + 1));
}

static int check_edges(struct ioasid_space *space, u64 start, u64 last,
		       bool split)
{
	struct ioasid_mapping *left, *right;

	left = ioasid_mapping_cut_by(space, start);
	right = last == U64_MAX ? NULL :
				  ioasid_mapping_cut_by(space, last + 1);
	if (!split && ((left && ioasid_mapping_off_grid(left, start)) ||
		       (right && ioasid_mapping_off_grid(right, last + 1))))
		return -EINVAL;
	/* Device memory goes as a whole */
	if ((left && left->device) || (right && right->device))
		return -EINVAL;
	return 0;
}

/**
 * ioasid_space_check_edges() - could a range be cut out
 * @space: the space
 * @start: first byte
 * @last: last byte
 * @split: whether mappings may be cut off their grid
 *
 * Return: 0; -EINVAL, an edge cuts a mapping off its grid.
 */
int ioasid_space_check_edges(struct ioasid_space *space, u64 start, u64 last,
			     bool split)
{
	int ret;

	spin_lock(&space->lock);
	ret = check_edges(space, start, last, split);
	spin_unlock(&space->lock);
	return ret;
}

/**
 * ioasid_space_cut() - make mapping boundaries at the edges of a range
 * @space: the space
 * @start: first byte
 * @last: last byte
 * @split: whether mappings may be cut off their grid
 *
 * Context: may sleep; waits for nobody's page fault.
 * Return: 0; on failure nothing has changed: -EINVAL, an edge cuts a mapping
 * off its grid; -EBUSY, a child refers to memory across an edge; -EDQUOT, what is
 * left on both sides is a mapping too many; -EIO, an IOMMU failed; -ENOMEM;
 * -ENOSPC.
 */
int ioasid_space_cut(struct ioasid_space *space, u64 start, u64 last,
		     bool split)
{
	struct ioasid_mapping *spare[2] = {}, *left, *right;
	bool poisoned = false, counted = false;
	int ret;

again:
	down_read(&space->domains_sem);
	ioasid_family_lock(space);
	left = ioasid_mapping_cut_by(space, start);
	right = last == U64_MAX ? NULL : ioasid_mapping_cut_by(space, last + 1);

	ret = check_edges(space, start, last, split);
	if (ret)
		goto unlock;
	if (in_transit(left) || in_transit(right)) {
		u64 addr = in_transit(left) ? left->start : right->start;

		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		spin_lock(&space->lock);
		ret = ioasid_space_wait_in_transit(space, addr, NULL);
		spin_unlock(&space->lock);
		if (ret)
			goto free;
		goto again;
	}
	/* What is still being pinned is not cut, but cancelled as a whole */
	if (left && left->state == IOASID_MAPPING_PINNING)
		left = NULL;
	if (right && right->state == IOASID_MAPPING_PINNING)
		right = NULL;

	if (!left && !right)
		goto unlock;
	ret = -EBUSY;
	if ((left && ioasid_family_spans(space, start)) ||
	    (right && ioasid_family_spans(space, last + 1)))
		goto unlock;
	ret = 0;
	if (!spare[1]) {
		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		ret = -ENOMEM;
		spare[0] = kmem_cache_alloc(mapping_cache, GFP_KERNEL);
		if (!spare[0])
			return ret;
		spare[1] = kmem_cache_alloc(mapping_cache, GFP_KERNEL);
		if (!spare[1])
			goto free;
		goto again;
	}
	/* It will be two; which only counts where it refers to something */
	if (left && left == right && left->mem.npages) {
		ret = ioasid_family_may_cut(space);
		if (ret)
			goto unlock;
		counted = true;
	}

	if (left) {
		left->in_filling = ioasid_mapping_in_filling(space, left);
		set_state(left, IOASID_MAPPING_CUTTING);
	}
	if (right) {
		right->in_filling = ioasid_mapping_in_filling(space, right);
		set_state(right, IOASID_MAPPING_CUTTING);
	}
	spin_unlock(&space->lock);
	lock_map_acquire(&ioasid_cutting_map);
	if (left) {
		left->next = NULL;
		ioasid_mapping_wait_readers(space, left);
	}
	if (right) {
		right->next = NULL;
		ioasid_mapping_wait_readers(space, right);
	}
	if (left)
		ret = split_iopte(space, left, left->start, start);
	if (right && !ret)
		ret = split_iopte(space, right,
				  right == left ? start : right->start,
				  last + 1);
	poisoned = any_poisoned(space);
	if (poisoned && ret)
		ret = -EIO;
	/* From the right, so that @left still is what is cut by @start */
	if (right && !ret)
		ioasid_mapping_cut_memory(space, right, spare[1], last + 1);
	if (left && !ret)
		ioasid_mapping_cut_memory(space, left, spare[0], start);
	spin_lock(&space->lock);
	space->poisoned |= poisoned;
	if (left)
		set_state(left, IOASID_MAPPING_LIVE);
	if (right)
		set_state(right, IOASID_MAPPING_LIVE);
	if (right && !ret)
		ioasid_mapping_cut_object(space, right, spare[1]);
	if (left && !ret)
		ioasid_mapping_cut_object(space, left, spare[0]);
	if (right && !ret)
		spare[1] = NULL;
	if (left && !ret)
		spare[0] = NULL;
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	lock_map_release(&ioasid_cutting_map);
	up_read(&space->domains_sem);
	goto free;

unlock:
	spin_unlock(&space->lock);
	up_read(&space->domains_sem);
free:
	if (counted)
		ioasid_family_cut_done(space);
	if (spare[0])
		ioasid_mapping_free(spare[0]);
	if (spare[1])
		ioasid_mapping_free(spare[1]);
	if (unlikely(poisoned))
		space->ops->poisoned(space);
	return ret;
}

/* ---- Unmap ---- */

static noinline void take_out_many(struct ioasid_domain *dom,
				   const struct ioasid_dying *dying,
				   bool filling)
{
	struct ioasid_drain drain __uninitialized;
	struct ioasid_mapping *m;
	u64 start = 0, length = 0;

	ioasid_drain_start(&drain, dom, dying->scattered);
	for (m = dying->first; m; m = m->next) {
		if (!m->mem.npages || (filling && !m->in_filling))
			continue;
		if (length && start + length == m->start) {
			length += mapping_bytes(m);
			continue;
		}
		if (length)
			ioasid_drain_range(&drain, start, length);
		start = m->start;
		length = mapping_bytes(m);
	}
	if (length)
		ioasid_drain_range(&drain, start, length);
	ioasid_drain_finish(&drain);
}

static __always_inline void take_out_of(struct ioasid_domain *dom,
					const struct ioasid_dying *dying,
					bool filling)
{
	struct ioasid_mapping *m = dying->first;

	/* Nearly always it is one */
	if (unlikely(!m || m->next))
		take_out_many(dom, dying, filling);
	else if (m->mem.npages && !(filling && !m->in_filling))
		ioasid_domain_take_out(dom, m->start, mapping_bytes(m));
}

/* Do software devices hold pages of it? */
static bool is_pinned(const struct ioasid_space *space,
		      const struct ioasid_mapping *m)
{
	return unlikely(space->software) && m->mem.npages &&
	       ioasid_software_pinned(space, m->start, m->last);
}

/*
 * Collect what can go with one flush, and what drivers have to let go of first.
 * Returns 0; -EAGAIN, the mapping at the cursor has to be waited for.
 */
static int collect_dying(struct ioasid_space *space, u64 *cursor, u64 start,
			 u64 last, const struct ioasid_iova_range *of,
			 struct ioasid_dying *dying)
{
	struct ioasid_mapping **leaving = &dying->leaving, *m, *next;
	unsigned int n = 0;
	u64 end = 0;

	lockdep_assert_held(&space->lock);
	for (m = ioasid_mapping_first(space, *cursor);
	     m && m->start <= last && n < DRAIN_BATCH; m = next, n++) {
		next = ioasid_mapping_next(m);
		/* What replaces a CUTTING one may refer to it already */
		if (m->state != IOASID_MAPPING_CUTTING && !ioasid_refers(m, of))
			continue;
		if (m->state == IOASID_MAPPING_PINNING) {
			ioasid_mapping_erase(space, m);
			set_state(m, IOASID_MAPPING_CANCELLED);
			continue;
		}
		/* What is being cut may be in the range afterwards */
		if (in_transit(m)) {
			*cursor = m->start;
			return n ? 0 : -EAGAIN;
		}
		/* What an edge cuts came after the edges were looked at */
		if (m->start < start || m->last > last)
			continue;
		if (unlikely(space->family) &&
		    ioasid_family_refers(space, m->start, m->last)) {
			dying->left_out = true;
			continue;
		}
		if (is_pinned(space, m)) {
			set_state(m, IOASID_MAPPING_LEAVING);
			m->next = NULL;
			*leaving = m;
			leaving = &m->next;
			continue;
		}
		m->in_filling = ioasid_mapping_in_filling(space, m);
		set_state(m, IOASID_MAPPING_DYING);
		if (m->mem.npages) {
			dying->scattered |= end && end != m->start;
			end = m->last + 1;
		}
		m->next = NULL;
		*dying->tail = m;
		dying->tail = &m->next;
		dying->nr++;
	}
	*cursor = m && m->start <= last ? m->start : last;
	return 0;
}

/* Mappings that are erased with the lock held */
#define ERASE_BATCH	16

/**
 * ioasid_dying_drain() - remove what is DYING
 * @space: the space; domains_sem is held, and dropped
 * @dying: the mappings, if there are any
 * @removed: how many bytes were removed is added; U64_MAX when it is more
 *
 * One flush for all of them, where the IOMMU driver lets ranges share one.
 *
 * Return: 0; -EIO, an IOMMU failed.
 */
int ioasid_dying_drain(struct ioasid_space *space, struct ioasid_dying *dying,
		       u64 *removed)
{
	struct ioasid_mapping *m, *next, *release = NULL;
	struct ioasid_domain *dom;
	bool poisoned = false;
	unsigned int n = 0;

	if (!dying->first) {
		up_read(&space->domains_sem);
		return 0;
	}
	m = dying->first;
	if (unlikely(m->next || READ_ONCE(m->readers)))
		ioasid_mapping_wait_readers(space, m);
	if (unlikely(space->devmem))
		for (m = dying->first; m; m = m->next)
			if (m->device)
				ioasid_devmem_unmap(m->device);
	list_for_each_entry(dom, &space->domains, node) {
		take_out_of(dom, dying, false);
		poisoned |= READ_ONCE(dom->poisoned);
	}
	if (unlikely(space->filling)) {
		take_out_of(space->filling, dying, true);
		poisoned |= READ_ONCE(space->filling->poisoned);
	}

	spin_lock(&space->lock);
	for (m = dying->first; m; m = next) {
		next = m->next;
		/* Only the whole 64 bit space is more than can be told */
		if (check_add_overflow(*removed, mapping_bytes(m), removed))
			*removed = U64_MAX;
		if (unlikely(++n % ERASE_BATCH == 0)) {
			ioasid_space_wake(space);
			ioasid_space_relax(space);
		}
		ioasid_mapping_erase(space, m);
		space->nr_mappings--;
		if (m->mem.npages) {
			space->bytes_mapped -= mapping_bytes(m);
			if (unlikely(poisoned)) {
				ioasid_mapping_keep(space, m);
				continue;
			}
		}
		m->next = release;
		release = m;
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	up_read(&space->domains_sem);

	if (likely(release && !release->next))
		ioasid_mapping_release(space, release);
	else if (release)
		release_list(space, release);
	if (likely(!poisoned))
		return 0;
	space->ops->poisoned(space);
	return -EIO;
}

/* Is the range exactly one mapping, that can be removed at once? */
static bool is_mapping(struct ioasid_space *space, u64 start, u64 last,
		       struct ioasid_dying *dying)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, start);

	lockdep_assert_held(&space->lock);
	if (!m || m->start != start || m->last != last ||
	    m->state != IOASID_MAPPING_LIVE || is_pinned(space, m) ||
	    (unlikely(space->family) &&
	     ioasid_family_refers(space, start, last)))
		return false;
	m->in_filling = ioasid_mapping_in_filling(space, m);
	set_state(m, IOASID_MAPPING_DYING);
	m->next = NULL;
	dying->first = m;
	dying->scattered = false;
	return true;
}

/* Have drivers let go of LEAVING mappings, then remove them */
static int remove_leaving(struct ioasid_space *space,
			  struct ioasid_mapping *leaving,
			  struct ioasid_unmap_request *req)
{
	struct ioasid_dying dying = { .scattered = true };
	struct ioasid_mapping *m;
	int ret, err;

	ret = ioasid_listeners_unmap(space, &leaving, req);
	dying.first = leaving;
	down_read(&space->domains_sem);
	spin_lock(&space->lock);
	for (m = leaving; m; m = m->next) {
		m->in_filling = ioasid_mapping_in_filling(space, m);
		set_state(m, IOASID_MAPPING_DYING);
	}
	spin_unlock(&space->lock);
	err = ioasid_dying_drain(space, &dying, &req->removed);
	return ret ?: err;
}

/* The mapping at the cursor is in transit: 0 to look again, 1 to pass it over */
static int wait_at(struct ioasid_space *space, u64 cursor,
		   struct ioasid_unmap_request *req)
{
	int ret;

	spin_lock(&space->lock);
	ret = ioasid_space_wait_in_transit(space, cursor, req);
	spin_unlock(&space->lock);
	return ret && req->flags & IOASID_UNMAP_FORCED ? 1 : ret;
}

/* One step of an unmap: what has one flush.  Moves the cursor. */
static int unmap_step(struct ioasid_space *space, u64 *cursor, u64 start,
		      u64 last, struct ioasid_unmap_request *req)
{
	struct ioasid_dying dying = { .tail = &dying.first };
	struct ioasid_mapping *m;
	int ret = 0, err;

	down_read(&space->domains_sem);
	ioasid_family_lock(space);
	err = collect_dying(space, cursor, start, last, req->of, &dying);
	spin_unlock(&space->lock);
	if (err) {
		up_read(&space->domains_sem);
		err = wait_at(space, *cursor, req);
		if (err <= 0)
			return err;
		/* Patience ended: it stays */
		spin_lock(&space->lock);
		m = ioasid_mapping_first(space, *cursor);
		*cursor = m && m->last < last ? m->last + 1 : last;
		spin_unlock(&space->lock);
		return -EBUSY;
	}
	if (unlikely(dying.left_out))
		ret = -EBUSY;
	err = ioasid_dying_drain(space, &dying, &req->removed);
	if (unlikely(err))
		ret = err;
	if (unlikely(dying.leaving)) {
		err = remove_leaving(space, dying.leaving, req);
		if (err)
			ret = err;
	}
	return ret;
}

/**
 * ioasid_space_unmap_range() - remove what is mapped in a range
 * @space: the space
 * @start: first byte
 * @last: last byte
 * @req: how
 *
 * What children refer to stays.
 *
 * Context: may sleep; waits for no page fault.
 * Return: as ioasid_space_unmap().
 */
int ioasid_space_unmap_range(struct ioasid_space *space, u64 start, u64 last,
			     struct ioasid_unmap_request *req)
{
	bool edges = !(req->flags & IOASID_UNMAP_ALL) && !req->of;
	bool forced = req->flags & IOASID_UNMAP_FORCED;
	struct ioasid_dying dying __uninitialized;
	u64 cursor = start;
	int ret = 0, err;

	req->removed = 0;
	if (likely(edges)) {
		bool fit;

		down_read(&space->domains_sem);
		ioasid_family_lock(space);
		if (likely(is_mapping(space, start, last, &dying))) {
			spin_unlock(&space->lock);
			return ioasid_dying_drain(space, &dying, &req->removed);
		}
		fit = edges_fit(space, start, last);
		spin_unlock(&space->lock);
		up_read(&space->domains_sem);
		/* Whatever cuts the edges from here on comes after us */
		if (!fit) {
			ret = ioasid_space_cut(space, start, last, req->flags &
					       IOASID_UNMAP_SPLIT);
			if (ret)
				return ret;
		}
	}
	for (;;) {
		err = unmap_step(space, &cursor, start, last, req);
		if (unlikely(err))
			ret = err;
		/* A driver that does not let go is not waited for again */
		if (ret && ret != -EIO && !forced)
			break;
		if (cursor == last)
			break;
		/* A space that is freed is emptied to the end */
		if (fatal_signal_pending(current) && !forced)
			return -EINTR;
		cond_resched();
	}
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_unmap_range);

/* ---- Begin and end ---- */

/**
 * ioasid_space_init() - make an empty space
 * @space: uninitialised
 * @account: charged for its mappings; outlives it
 * @ops: the floor above
 */
void ioasid_space_init(struct ioasid_space *space,
		       struct ioasid_account *account,
		       const struct ioasid_space_ops *ops)
{
	space->account = account;
	space->ops = ops;
	spin_lock_init(&space->lock);
	space->cut_shift = 0;
	space->must_enforce = false;
	space->dead = false;
	space->poisoned = false;
	space->knows_gaps = false;
	space->changes = 0;
	space->nr_nodes = 0;
	space->partial = 0;
	space->devices = 0;
	space->mappings = RB_ROOT;
	init_waitqueue_head(&space->wait);
	space->nr_mappings = 0;
	space->bytes_mapped = 0;
	space->kept = NULL;
	space->permitted = NULL;
	space->software = NULL;
	space->parent = NULL;
	space->window = NULL;
	space->family = NULL;
	space->children = 0;
	space->depth = 0;
	space->left = 0;
	space->devmem = NULL;
	space->filling = NULL;
	init_rwsem(&space->domains_sem);
	INIT_LIST_HEAD(&space->domains);
	mutex_init(&space->attach_lock);
	INIT_HLIST_HEAD(&space->members);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_init);

/**
 * ioasid_space_kill() - let nobody begin anything any more
 * @space: the space
 * @cascade: though it may have children
 *
 * Return: 0, it is empty, and stays so; 1, it is not; -EBUSY, a device is
 * attached, or it has children; -ENOENT, was called before.
 */
int ioasid_space_kill(struct ioasid_space *space, bool cascade)
{
	int ret;

	spin_lock(&space->lock);
	if (space->dead) {
		ret = -ENOENT;
	} else if (space->devices || (space->children && !cascade)) {
		ret = -EBUSY;
	} else {
		space->dead = true;
		/* Without the lock it may seem so while a mapping is replaced */
		ret = !RB_EMPTY_ROOT(&space->mappings);
	}
	spin_unlock(&space->lock);
	return ret;
}

/**
 * ioasid_space_exit() - free all that is in a space
 * @space: the space; nobody else uses it, and no device is attached
 *
 * May be called again, and then finds nothing to do.
 *
 * Context: may sleep; yields.
 */
void ioasid_space_exit(struct ioasid_space *space)
{
	struct ioasid_mapping *m, *next;

	if (unlikely(!RB_EMPTY_ROOT(&space->mappings))) {
		rbtree_postorder_for_each_entry_safe(m, next, &space->mappings,
						     rb) {
			ioasid_mapping_release(space, m);
			cond_resched();
		}
		space->mappings = RB_ROOT;
	}
	if (unlikely(space->software)) {
		ioasid_software_free(space->software);
		space->software = NULL;
	}
	if (unlikely(space->devmem))
		ioasid_devmem_exit(space);
	if (unlikely(space->permitted)) {
		kfree(space->permitted);
		space->permitted = NULL;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_space_exit);

int __init ioasid_space_cache_init(void)
{
	mapping_cache = kmem_cache_create("ioasid_mapping",
					  sizeof(struct ioasid_mapping), 0,
					  SLAB_ACCOUNT, NULL);
	return mapping_cache ? 0 : -ENOMEM;
}

void ioasid_space_cache_exit(void)
{
	kmem_cache_destroy(mapping_cache);
}
