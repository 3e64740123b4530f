// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings by reference: address spaces whose memory is that of a parent.
 *
 * Invariants:
 *  - A mapping of a child refers to a range of the parent (struct ioasid_ref),
 *    from before its first IOPTE is written until its last one is flushed.
 *    The parent has these in two trees, by address: those of its own context, and
 *    those of importers, so that neither is searched past the other.  Most end
 *    before the parent changes: they wait in a list until a thread asks.  A
 *    thread that asks takes the lock by ioasid_family_lock(), which empties it.
 *  - What is referred to is neither unmapped nor narrowed, and never cut where
 *    a reference spans the cut: its pages stay pinned, which is all that a
 *    child relies on.
 *  - Only a FILLING, LIVE, LEAVING, CUTTING or DYING mapping refers to anything:
 *    a wait for it to end is one for something bounded, or for a driver.
 *  - The owner of the parent always wins: while a range is unmapped with all
 *    that refers to it, the range is frozen, and nothing new refers to it.
 *  - A child has a reference on its parent's object, or on the one that stands
 *    for it, so that the parent's space is there for as long as the child is, if
 *    only as an empty shell.
 *
 * Locks: the references and the frozen ranges are protected by the lock of the
 * parent.
 */
#include <linux/interval_tree.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ioas.h"
#include "mapping.h"
#include "ref.h"
#include "tree.h"

/* References that are indexed with the lock held */
#define INDEX_BATCH	128
#define to_child(node)	rb_entry_safe(node, struct ioasid_mapping, ref.rb)

static inline u64 ref_last(struct ioasid_mapping *m)
{
	return m->ref.last;
}

RB_DECLARE_CALLBACKS_MAX(static, ref_callbacks, struct ioasid_mapping, ref.rb,
			 u64, ref.subtree_last, ref_last)

struct ref_key key_of(const struct ioasid_mapping *m)
{
	return (struct ref_key){ .addr = m->addr, .child = (unsigned long)m };
}

static __always_inline bool key_before(const struct ref_key *a,
				       const struct ref_key *b)
{
	return a->addr < b->addr || (a->addr == b->addr && a->child < b->child);
}

static struct rb_root *refs_of(const struct ioasid_space *parent,
			       const struct ioasid_mapping *m)
{
	return &parent->family->refs[m->space->window ? IOASID_FAMILY_WINDOWS :
							IOASID_FAMILY_OWN];
}

/* Called with the lock of the parent held, as all that follows */
static void ref_index(struct ioasid_space *parent, struct ioasid_mapping *m)
{
	struct rb_root *root = refs_of(parent, m);
	struct rb_node **link = &root->rb_node, *up = NULL;
	struct ref_key key = key_of(m), other;
	struct ioasid_mapping *at;
	u64 last = m->ref.last;

	lockdep_assert_held(&parent->lock);
	m->indexed = true;
	m->ref.subtree_last = last;
	while (*link) {
		up = *link;
		at = to_child(up);
		at->ref.subtree_last = max(at->ref.subtree_last, last);
		other = key_of(at);
		link = key_before(&key, &other) ? &up->rb_left : &up->rb_right;
	}
	rb_link_node(&m->ref.rb, up, link);
	rb_insert_augmented(&m->ref.rb, root, &ref_callbacks);
}

static __always_inline void ref_add(struct ioasid_space *parent,
				    struct ioasid_mapping *m, u64 last)
{
	lockdep_assert_held(&parent->lock);
	m->indexed = false;
	m->ref.last = last;
	list_add_tail(&m->ref.fresh, &parent->family->fresh);
}

static noinline void ref_unindex(struct ioasid_space *parent,
				 struct ioasid_mapping *m)
{
	lockdep_assert_held(&parent->lock);
	rb_erase_augmented(&m->ref.rb, refs_of(parent, m), &ref_callbacks);
}

static __always_inline void ref_del(struct ioasid_space *parent,
				    struct ioasid_mapping *m)
{
	lockdep_assert_held(&parent->lock);
	if (unlikely(m->indexed))
		ref_unindex(parent, m);
	else
		list_del(&m->ref.fresh);
}

/**
 * ioasid_family_index() - put references into the trees, some at most
 * @space: a parent; its lock is held
 *
 * Return: whether all are there now, for as long as the lock is held.
 */
bool ioasid_family_index(struct ioasid_space *space)
{
	struct ioasid_family *family = space->family;
	struct ioasid_mapping *m;
	unsigned int n;

	lockdep_assert_held(&space->lock);
	for (n = 0; n < INDEX_BATCH; n++) {
		m = list_first_entry_or_null(&family->fresh,
					     struct ioasid_mapping, ref.fresh);
		if (!m)
			return true;
		list_del(&m->ref.fresh);
		ref_index(space, m);
	}
	return list_empty(&family->fresh);
}

/**
 * ioasid_family_index_all() - put all references into the trees
 * @space: a parent; its lock is held, and dropped in between
 *
 * For ioasid_family_lock().
 */
void ioasid_family_index_all(struct ioasid_space *space)
	__must_hold(&space->lock)
{
	while (!ioasid_family_index(space))
		ioasid_space_relax(space);
}

/* The leftmost reference below @node that begins by @to and ends from @from on */
static struct ioasid_mapping *ref_leftmost(struct rb_node *node, u64 from,
					   u64 to)
{
	struct ioasid_mapping *m = to_child(node), *left;

	if (!m || m->ref.subtree_last < from)
		return NULL;
	for (;;) {
		left = to_child(m->ref.rb.rb_left);
		if (left && left->ref.subtree_last >= from) {
			m = left;
			continue;
		}
		if (m->addr > to)
			return NULL;
		if (m->ref.last >= from)
			return m;
		m = to_child(m->ref.rb.rb_right);
		if (!m || m->ref.subtree_last < from)
			return NULL;
	}
}

/* The one after @m */
static struct ioasid_mapping *ref_next(struct ioasid_mapping *m, u64 from,
				       u64 to)
{
	struct rb_node *node = &m->ref.rb, *up;
	struct ioasid_mapping *right;

	for (;;) {
		right = to_child(node->rb_right);
		if (right && right->ref.subtree_last >= from)
			return ref_leftmost(node->rb_right, from, to);
		while ((up = rb_parent(node)) && node == up->rb_right)
			node = up;
		if (!up)
			return NULL;
		node = up;
		m = to_child(node);
		if (m->addr > to)
			return NULL;
		if (m->ref.last >= from)
			return m;
	}
}

/* The first one of a side after @key, or of all when that is NULL */
struct ioasid_mapping *ref_after(const struct ioasid_space *parent,
					enum ioasid_family_side side,
					const struct ref_key *key, u64 from,
					u64 to)
{
	struct rb_node *node = parent->family->refs[side].rb_node;
	struct ioasid_mapping *m = NULL, *at;
	struct ref_key other;

	lockdep_assert_held(&parent->lock);
	if (!key)
		return ref_leftmost(node, from, to);
	while (node) {
		at = to_child(node);
		other = key_of(at);
		if (key_before(key, &other)) {
			m = at;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	if (m && m->addr <= to && m->ref.last < from)
		m = ref_next(m, from, to);
	return m && m->addr <= to ? m : NULL;
}

bool ref_exists(const struct ioasid_space *parent,
		       enum ioasid_family_side side, const struct ref_key *key)
{
	struct rb_node *node = parent->family->refs[side].rb_node;
	struct ref_key other;

	while (node) {
		other = key_of(to_child(node));
		if (other.addr == key->addr && other.child == key->child)
			return true;
		node = key_before(key, &other) ? node->rb_left : node->rb_right;
	}
	return false;
}

/**
 * ioasid_family_refers() - does a child refer to bytes of a range
 * @space: a parent, locked by ioasid_family_lock()
 * @start: first byte
 * @last: last byte
 *
 * Return: whether one does.
 */
bool ioasid_family_refers(const struct ioasid_space *space, u64 start, u64 last)
{
	const struct ioasid_family *family = space->family;
	unsigned int i;

	lockdep_assert_held(&space->lock);
	lockdep_assert(list_empty(&family->fresh));
	for (i = 0; i < IOASID_FAMILY_SIDES; i++)
		if (ref_leftmost(family->refs[i].rb_node, start, last))
			return true;
	return false;
}

/**
 * ioasid_family_spans() - does a child refer to memory on both sides of a cut
 * @space: the space, locked by ioasid_family_lock()
 * @at: where it would be cut
 *
 * Return: whether one does.
 */
bool ioasid_family_spans(const struct ioasid_space *space, u64 at)
{
	lockdep_assert_held(&space->lock);
	if (likely(!space->family) || !at)
		return false;
	lockdep_assert(list_empty(&space->family->fresh));
	/* One that begins before @at, and ends there or later */
	return ref_leftmost(space->family->refs[IOASID_FAMILY_OWN].rb_node,
			    at, at - 1) ||
	       ref_leftmost(space->family->refs[IOASID_FAMILY_WINDOWS].rb_node,
			    at, at - 1);
}

/* ---- Parents and children ---- */

/**
 * ioasid_family_begin() - prepare a space to be a parent
 * @parent: the space; may be prepared already
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioasid_family_begin(struct ioasid_space *parent)
{
	struct ioasid_family *family;

	if (READ_ONCE(parent->family))
		return 0;
	family = kzalloc(sizeof(*family), GFP_KERNEL_ACCOUNT);
	if (!family)
		return -ENOMEM;
	family->frozen = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&family->fresh);
	spin_lock(&parent->lock);
	if (!parent->family)
		swap(parent->family, family);
	spin_unlock(&parent->lock);
	kfree(family);
	return 0;
}

/**
 * ioasid_window_shut() - can nothing more be had through a window
 * @parent: what is seen through it; its lock is held, or an old answer does
 * @window: the window
 *
 * Return: whether it or the parent was freed, or the parent's context closed.
 */
bool ioasid_window_shut(const struct ioasid_space *parent,
			const struct ioasid_window *window)
{
	return parent->dead || parent->family->closed || window->dead;
}

/**
 * ioasid_family_join() - make a space the child of another
 * @parent: the parent; the caller's reference to its object, or to what holds
 *	@window, becomes the child's
 * @window: through which a child in another context sees it; or NULL
 * @child: new, and empty; NULL when it is @window that joins
 *
 * Context: may sleep.
 * Return: 0; -ELOOP, @parent is too far from its root; -ENOENT, it is being
 * freed, or -ENODEV through a window; -EDEADLK, it waits for a sibling; -ENOMEM.
 */
int ioasid_family_join(struct ioasid_space *parent,
		       struct ioasid_window *window, struct ioasid_space *child)
{
	int ret;

	ret = ioasid_family_begin(parent);
	if (ret)
		return ret;

	spin_lock(&parent->lock);
	if (window && ioasid_window_shut(parent, window)) {
		ret = -ENODEV;
	} else if (parent->dead) {
		ret = -ENOENT;
	} else if (parent->depth + 1 >= IOASID_MAX_DEPTH) {
		ret = -ELOOP;
	} else if (parent->partial) {
		ret = -EDEADLK;
	} else {
		if (window && child)
			window->children++;
		else
			parent->children++;
		if (child) {
			child->parent = parent;
			child->window = window;
			child->depth = parent->depth + 1;
		}
	}
	spin_unlock(&parent->lock);
	return ret;
}

/**
 * ioasid_family_leave() - a child or a window ends
 * @parent: the parent
 * @window: as for ioasid_family_join()
 * @child: has no mappings; NULL when it is @window that ends
 *
 * When it is the last one of a parent that was freed, what could not be taken
 * out of the parent before goes now.  May be called again, and then does nothing;
 * a window that was freed while it had children ends with the last of these.
 *
 * Context: may sleep if @parent has mappings.
 */
void ioasid_family_leave(struct ioasid_space *parent,
			 struct ioasid_window *window,
			 struct ioasid_space *child)
{
	struct ioasid_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_FORCED,
		.patience = IOASID_PATIENCE,
	};
	bool empty;

	spin_lock(&parent->lock);
	if (child && !child->left) {
		child->left = 1;
		if (window)
			window->children--;
		else
			parent->children--;
	}
	if (window && !window->left && !window->children &&
	    (!child || window->dead)) {
		window->left = true;
		parent->children--;
	}
	empty = parent->dead && !parent->children &&
		!RB_EMPTY_ROOT(&parent->mappings);
	spin_unlock(&parent->lock);
	if (unlikely(empty))
		ioasid_space_unmap_range(parent, 0, U64_MAX, &req);
}

/**
 * ioasid_family_exit() - a space ends, and has no children left
 * @space: the space
 */
void ioasid_family_exit(struct ioasid_space *space)
{
	kfree(space->family);
}

/* ---- Borrow ---- */

bool is_frozen(const struct ioasid_space *parent, u64 start, u64 last)
{
	lockdep_assert_held(&parent->lock);
	return unlikely(!RB_EMPTY_ROOT(&parent->family->frozen.rb_root)) &&
	       interval_tree_iter_first(&parent->family->frozen, start, last);
}

/*
 * See what one mapping of the parent holds of [addr, last].  -EAGAIN when that
 * must be waited for.
 */
static __always_inline int borrow_one(struct ioasid_space *parent, u64 addr,
				      u64 last, unsigned int flags,
				      struct ioasid_memory *part)
{
	struct ioasid_mapping *m;
	u64 length;

	lockdep_assert_held(&parent->lock);
	m = ioasid_mapping_first(parent, addr);
	if (!m || m->start > addr)
		return -ENXIO;
	if (unlikely(m->state != IOASID_MAPPING_LIVE)) {
		if (m->state == IOASID_MAPPING_PINNING ||
		    m->state == IOASID_MAPPING_FILLING)
			return -ENXIO;
		return -EAGAIN;
	}
	if (!m->mem.npages)
		return -ENXIO;
	if (flags & ~m->flags & (IOASID_MAP_READ | IOASID_MAP_WRITE))
		return -EACCES;
	length = min(m->last, last) - addr + 1;
	ioasid_memory_borrow(&m->mem, (addr - m->start) >> PAGE_SHIFT,
			     length >> PAGE_SHIFT, part);
	return 0;
}

/* Refer to [m->addr, last], and to what the parent's first mapping has of it */
static __always_inline int borrow_first(struct ioasid_space *parent,
					const struct ioasid_window *window,
					struct ioasid_mapping *m, u64 last)
{
	int ret;

	if (unlikely(window) ? ioasid_window_shut(parent, window) :
			       unlikely(parent->dead))
		return -ENODEV;
	if (is_frozen(parent, m->addr, last))
		return -EAGAIN;
	ret = borrow_one(parent, m->addr, last, m->flags, &m->mem);
	if (likely(!ret))
		ref_add(parent, m, last);
	return ret;
}

/* A thread that unmaps a range may wait for a reference on it to go */
static __always_inline void drop_ref(struct ioasid_space *parent,
				     struct ioasid_mapping *m)
{
	lockdep_assert_held(&parent->lock);
	ref_del(parent, m);
	/* Waiters queue themselves under the lock */
	if (unlikely(waitqueue_active(&parent->wait)))
		ioasid_space_wake(parent);
}

/* More than one mapping of the parent: the rest of [m->addr, last] */
static noinline int borrow_more(struct ioasid_space *parent,
				struct ioasid_mapping *m, u64 last, u64 *at)
{
	struct ioasid_memory part = m->mem;
	struct ioasid_extent_list list;
	int ret;

	ioasid_extent_list_init(&list, &m->mem, false);
	for (;;) {
		*at += (u64)part.npages << PAGE_SHIFT;
		ret = ioasid_extent_list_borrow(&list, &part,
						(last - *at + 1) >> PAGE_SHIFT);
		ioasid_memory_return(&part);
		if (ret || *at == last + 1)
			break;
		ret = -EINTR;
		if (fatal_signal_pending(current))
			break;
		/* Memory for the extents may be long in coming */
		ret = -EAGAIN;
		if (READ_ONCE(m->wanted))
			break;
		cond_resched();

		spin_lock(&parent->lock);
		ret = borrow_one(parent, *at, last, m->flags, &part);
		spin_unlock(&parent->lock);
		if (ret)
			break;
	}
	ioasid_extent_list_finish(&list);
	return ret;
}

/* Count one more mapping of a window's children */
static int terms_charge(struct ioasid_terms *terms)
{
	s64 old = atomic64_read(&terms->used);

	do {
		if ((u64)old >= terms->limit)
			return -EDQUOT;
	} while (!atomic64_try_cmpxchg(&terms->used, &old, old + 1));
	return 0;
}

/* Look through the window: @m->addr is from its first byte on, and becomes the
 * parent's.
 */
static int window_enter(struct ioasid_window *window, struct ioasid_mapping *m,
			u64 *fault_addr)
{
	struct ioasid_terms *terms = window->terms;
	u64 end = terms->last - terms->start;
	int ret;

	if (m->addr > end || m->last - m->start > end - m->addr) {
		*fault_addr = max(m->addr, end + 1);
		return -ENXIO;
	}
	*fault_addr = m->addr;
	if (m->flags & ~terms->permission & (IOASID_MAP_READ | IOASID_MAP_WRITE))
		return -EACCES;
	ret = terms_charge(terms);
	if (!ret)
		m->addr += terms->start;
	return ret;
}

/* Undo window_enter() */
static void window_leave(struct ioasid_window *window, struct ioasid_mapping *m,
			 u64 *fault_addr)
{
	struct ioasid_terms *terms = window->terms;

	atomic64_dec(&terms->used);
	m->addr -= terms->start;
	*fault_addr -= terms->start;
}

/**
 * ioasid_family_borrow() - refer to memory of the parent
 * @space: the child
 * @m: FILLING, @start, @last, @addr and @flags are set; on success has memory,
 *	and refers to the range of the parent
 * @nowait: allocate nothing: -EAGAIN when more than one mapping of the parent
 *	is referred to
 * @fault_addr: out on -ENXIO and -EACCES, the first address that it is about
 *
 * Context: may sleep, for a bounded time.
 * Return: 0; -ENXIO, not all of it is mapped in the parent; -EACCES, the parent
 * does not permit that much; -ENODEV, the parent was freed; -EDQUOT, no more
 * mappings through this window; -EAGAIN, to be repeated after
 * ioasid_family_wait(), with no lock held; -ENOMEM; -EINTR.
 */
int ioasid_family_borrow(struct ioasid_space *space, struct ioasid_mapping *m,
			 bool nowait, u64 *fault_addr)
{
	struct ioasid_space *parent = space->parent;
	struct ioasid_window *window = space->window;
	u64 at, last;
	int ret;

	if (unlikely(window)) {
		ret = window_enter(window, m, fault_addr);
		if (ret)
			return ret;
	}
	at = m->addr;
	last = at + (m->last - m->start);
	m->space = space;
	spin_lock(&parent->lock);
	ret = borrow_first(parent, window, m, last);
	spin_unlock(&parent->lock);
	if (likely(!ret)) {
		if (likely(m->mem.npages == (last - at + 1) >> PAGE_SHIFT))
			return 0;
		ret = nowait ? -EAGAIN : borrow_more(parent, m, last, &at);
		if (!ret)
			return 0;
		spin_lock(&parent->lock);
		drop_ref(parent, m);
		spin_unlock(&parent->lock);
		ioasid_memory_return(&m->mem);
	}
	m->mem.npages = 0;
	*fault_addr = at;
	if (unlikely(window))
		window_leave(window, m, fault_addr);
	return ret;
}

static bool must_wait(struct ioasid_space *parent, u64 addr, u64 last)
{
	struct ioasid_mapping *m;

	if (parent->dead)
		return false;
	if (is_frozen(parent, addr, last))
		return true;
	m = ioasid_mapping_first(parent, addr);
	return m && m->start <= addr &&
	       (m->state == IOASID_MAPPING_LEAVING ||
		m->state == IOASID_MAPPING_CUTTING ||
		m->state == IOASID_MAPPING_DYING);
}

/**
 * ioasid_family_wait() - wait until it may be borrowed again
 * @space: the child
 * @addr: as told by ioasid_family_borrow() when it returned -EAGAIN
 * @last: last byte of what is to be borrowed
 *
 * Return: 0; -EINTR, a fatal signal.
 */
int ioasid_family_wait(struct ioasid_space *space, u64 addr, u64 last)
{
	struct ioasid_space *parent = space->parent;
	int ret;

	if (space->window) {
		addr += space->window->terms->start;
		last += space->window->terms->start;
	}
	spin_lock(&parent->lock);
	ret = ioasid_space_wait(parent, !must_wait(parent, addr, last), NULL);
	spin_unlock(&parent->lock);
	return ret;
}

/**
 * ioasid_family_return() - give back what was borrowed
 * @space: the child
 * @list: mappings of it, by @next, at most as many as are removed together; in
 *	no table any more
 */
void ioasid_family_return(struct ioasid_space *space,
			  struct ioasid_mapping *list)
{
	struct ioasid_space *parent = space->parent;
	struct ioasid_mapping *m;
	bool shared = false;
	s64 n = 0;

	spin_lock(&parent->lock);
	for (m = list; m; m = m->next) {
		if (!m->mem.npages)
			continue;
		drop_ref(parent, m);
		n++;
		if (unlikely(m->mem.is_shared))
			shared = true;
		else
			m->mem.npages = 0;
	}
	spin_unlock(&parent->lock);
	for (m = list; m && unlikely(shared); m = m->next)
		ioasid_memory_return(&m->mem);
	if (unlikely(space->window))
		atomic64_sub(n, &space->window->terms->used);
}

/**
 * ioasid_family_may_cut() - may a mapping be cut into more than there were
 * @space: of the mapping
 *
 * To be asked when both ends of what will be left stay; ioasid_family_cut_done()
 * follows if so.  What the owner of the parent cuts is counted, but not limited.
 *
 * Return: 0; -EDQUOT, no more mappings through this window.
 */
int ioasid_family_may_cut(struct ioasid_space *space)
{
	return space->window ? terms_charge(space->window->terms) : 0;
}

/**
 * ioasid_family_cut_done() - follows ioasid_family_may_cut()
 * @space: of the mapping
 *
 * What came of the cut counts by itself.
 */
void ioasid_family_cut_done(struct ioasid_space *space)
{
	if (space->window)
		atomic64_dec(&space->window->terms->used);
}

/**
 * ioasid_family_cut() - have the end of a mapping take its reference along
 * @space: the child
 * @m: CUTTING; keeps what is below the cut
 * @tail: a copy of it, begins at the cut, @addr too; gets the rest
 */
void ioasid_family_cut(struct ioasid_space *space, struct ioasid_mapping *m,
		       struct ioasid_mapping *tail)
{
	struct ioasid_space *parent = space->parent;
	u64 last;

	spin_lock(&parent->lock);
	last = m->ref.last;
	m->ref.last = tail->addr - 1;
	if (m->indexed) {
		ref_callbacks.propagate(&m->ref.rb, NULL);
		tail->ref.last = last;
		/* A walk that has come here must not miss it */
		ref_index(parent, tail);
	} else {
		ref_add(parent, tail, last);
	}
	spin_unlock(&parent->lock);
	if (unlikely(space->window))
		atomic64_inc(&space->window->terms->used);
}
