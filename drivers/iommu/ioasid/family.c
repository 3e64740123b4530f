// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping by reference: spaces whose memory is that of a parent.
 *
 * Invariants:
 *  - A mapping of a child holds a reference (struct ioasid_ref) on each mapping
 *    of the parent that it spans, from before its first IOPTE is written until
 *    its last one is flushed out.  A mapping with references is neither taken
 *    out nor narrowed, and never cut where one of them spans the cut: its
 *    pages stay pinned, which is all that a child relies on.
 *  - The n-th reference of a mapping is on the n-th mapping that it spans.
 *  - Only a FILLING, LIVE, CUTTING or DYING mapping has references: whoever
 *    waits for them to go waits for something bounded.
 *  - The owner of the parent always wins: while it takes a range out with all
 *    that refers to it, the range is barred, and nobody can borrow from it.
 *  - Where the owner cannot have a child's translation taken out (an IOMMU
 *    fails, a software device does not let go), the reference stays, and with it
 *    the parent's mapping; all others lose theirs nevertheless.
 *  - A child has a reference on its parent's object, or on the one that stands
 *    for it, so that the parent's space is there for as long as the child is, if
 *    only as an empty shell.
 *
 * Locks: the references on a mapping are protected by the lock of the mapping's
 * space, the parent.  ioasid_family.lock, one for each space that is a parent,
 * is taken with no other lock held but those of its ancestors.  Nobody waits
 * for a parent who holds a reference on it.
 */
#include <kunit/visibility.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "space.h"

/* Mappings that are passed over between two looks at the scheduler */
#define WALK_BATCH	1024

/* Beside enum ioasid_unmap_flags: only of children in other contexts */
#define UNMAP_WINDOWS	BIT(30)

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
	mutex_init(&family->lock);
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
	bool empty;
	u64 removed;

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
		ioasid_space_unmap_range(parent, 0, U64_MAX, IOASID_UNMAP_ALL |
					 IOASID_UNMAP_FORCED, NULL, &removed);
}

/**
 * ioasid_family_exit() - a space ends, and has no children left
 * @space: the space
 */
void ioasid_family_exit(struct ioasid_space *space)
{
	if (likely(!space->family))
		return;
	mutex_destroy(&space->family->lock);
	kfree(space->family);
}

/* ---- Borrow ---- */

static bool is_barred(const struct ioasid_space *parent, u64 start, u64 last)
{
	const struct ioasid_family *family = parent->family;

	lockdep_assert_held(&parent->lock);
	return unlikely(family->barred) && start <= family->last &&
	       last >= family->start;
}

/*
 * Refer to as much of [addr, last] as one mapping of the parent holds.  -EAGAIN
 * when that must be waited for.
 */
static int borrow_one(struct ioasid_space *parent, u64 addr, u64 last,
		      unsigned int flags, struct ioasid_ref *ref,
		      struct ioasid_memory *part)
{
	struct ioasid_mapping *m;
	u64 length;

	lockdep_assert_held(&parent->lock);
	if (unlikely(parent->dead))
		return -ENODEV;
	if (is_barred(parent, addr, last))
		return -EAGAIN;
	m = ioasid_mapping_first(parent, addr);
	if (!m || m->start > addr)
		return -ENXIO;
	if (unlikely(m->state != IOASID_MAPPING_LIVE)) {
		if (m->state == IOASID_MAPPING_CUTTING ||
		    m->state == IOASID_MAPPING_DYING)
			return -EAGAIN;
		return -ENXIO;
	}
	if (!m->mem.npages)
		return -ENXIO;
	if (flags & ~m->flags & (IOASID_MAP_READ | IOASID_MAP_WRITE))
		return -EACCES;
	length = min(m->last, last) - addr + 1;
	ioasid_memory_borrow(&m->mem, (addr - m->start) >> PAGE_SHIFT,
			     length >> PAGE_SHIFT, part);
	hlist_add_head(&ref->node, &m->refs);
	return 0;
}

/* Who takes a range out may wait for what was done */
static void changed(struct ioasid_space *parent)
{
	lockdep_assert_held(&parent->lock);
	if (unlikely(parent->family->barred)) {
		parent->family->changes++;
		ioasid_space_wake(parent);
	}
}

/* Drop the references of a mapping but its first; yields */
static void drop_more(struct ioasid_space *parent, struct ioasid_mapping *m)
	__must_hold(&parent->lock)
{
	unsigned int n = 0;
	struct ioasid_ref *ref;

	while ((ref = m->ref.next)) {
		m->ref.next = ref->next;
		hlist_del(&ref->node);
		kfree(ref);
		if (++n % WALK_BATCH == 0)
			cond_resched_lock(&parent->lock);
	}
}

/* Drop the references of a mapping that is in no table */
static void drop_refs(struct ioasid_space *parent, struct ioasid_mapping *m)
	__must_hold(&parent->lock)
{
	lockdep_assert_held(&parent->lock);
	if (unlikely(m->ref.next))
		drop_more(parent, m);
	hlist_del_init(&m->ref.node);
	changed(parent);
}

/* More than one mapping of the parent: the rest of [m->addr, m->addr + length) */
static noinline int
borrow_more(struct ioasid_space *parent, struct ioasid_mapping *m,
	    unsigned int flags, u64 last, u64 *at)
{
	struct ioasid_ref *tail = &m->ref, *ref;
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
		cond_resched();

		ret = -ENOMEM;
		ref = kmalloc(sizeof(*ref), GFP_KERNEL_ACCOUNT);
		if (!ref)
			break;
		ref->child = m;
		ref->next = NULL;
		spin_lock(&parent->lock);
		ret = borrow_one(parent, *at, last, flags, ref, &part);
		spin_unlock(&parent->lock);
		if (ret) {
			kfree(ref);
			break;
		}
		tail->next = ref;
		tail = ref;
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
 *	and references on who owns it
 * @fault_addr: out on -ENXIO and -EACCES, the first address that it is about
 *
 * Context: may sleep, for a bounded time.
 * Return: 0; -ENXIO, not all of it is mapped in the parent; -EACCES, the parent
 * does not permit that much; -ENODEV, the parent was freed; -EDQUOT, no more
 * mappings through this window; -EAGAIN, to be repeated after
 * ioasid_family_wait(), with no lock held; -ENOMEM; -EINTR.
 */
int ioasid_family_borrow(struct ioasid_space *space, struct ioasid_mapping *m,
			 u64 *fault_addr)
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
	m->round = 0;
	m->ref.child = m;
	m->ref.next = NULL;
	spin_lock(&parent->lock);
	if (unlikely(window && ioasid_window_shut(parent, window)))
		ret = -ENODEV;
	else
		ret = borrow_one(parent, at, last, m->flags, &m->ref, &m->mem);
	spin_unlock(&parent->lock);
	if (likely(!ret)) {
		if (likely(m->mem.npages == (last - at + 1) >> PAGE_SHIFT))
			return 0;
		ret = borrow_more(parent, m, m->flags, last, &at);
		if (!ret)
			return 0;
		spin_lock(&parent->lock);
		drop_refs(parent, m);
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
	if (is_barred(parent, addr, last))
		return true;
	m = ioasid_mapping_first(parent, addr);
	return m && m->start <= addr && (m->state == IOASID_MAPPING_CUTTING ||
					 m->state == IOASID_MAPPING_DYING);
}

/**
 * ioasid_family_wait() - wait until it may be borrowed again
 * @space: the child
 * @addr: as told by ioasid_family_borrow() when it returned -EAGAIN
 * @last: last byte of what is to be borrowed
 */
void ioasid_family_wait(struct ioasid_space *space, u64 addr, u64 last)
{
	struct ioasid_space *parent = space->parent;

	if (space->window) {
		addr += space->window->terms->start;
		last += space->window->terms->start;
	}
	spin_lock(&parent->lock);
	wait_event_cmd(parent->wait, !must_wait(parent, addr, last),
		       spin_unlock(&parent->lock), spin_lock(&parent->lock));
	spin_unlock(&parent->lock);
}

/**
 * ioasid_family_return() - give back what was borrowed
 * @space: the child
 * @list: mappings of it, by @next; in no table any more
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
		drop_refs(parent, m);
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
 * ioasid_family_cut() - have the end of a mapping take its references along
 * @space: the child
 * @m: CUTTING; keeps those before the cut
 * @tail: a copy of it, begins at the cut, @addr too; gets those from there on
 */
void ioasid_family_cut(struct ioasid_space *space, struct ioasid_mapping *m,
		       struct ioasid_mapping *tail)
{
	struct ioasid_space *parent = space->parent;
	struct ioasid_ref *ref = &m->ref, *prev = NULL;
	struct ioasid_mapping *owner;

	spin_lock(&parent->lock);
	owner = ioasid_mapping_first(parent, m->addr);
	while (owner->last < tail->addr) {
		prev = ref;
		ref = ref->next;
		owner = ioasid_mapping_next(owner);
	}
	tail->ref.next = ref->next;
	hlist_add_behind(&tail->ref.node, &ref->node);
	if (owner->start < tail->addr) {
		ref->next = NULL;
	} else {
		/* Not the first one: that begins where @m does */
		hlist_del(&ref->node);
		prev->next = NULL;
		kfree(ref);
	}
	for (ref = &tail->ref; ref; ref = ref->next)
		ref->child = tail;
	spin_unlock(&parent->lock);
	if (unlikely(space->window))
		atomic64_inc(&space->window->terms->used);
}

/**
 * ioasid_family_changed() - a mapping was cut
 * @space: the child
 *
 * Who takes out what it refers to may have come across a piece before that was
 * one.
 */
void ioasid_family_changed(struct ioasid_space *space)
{
	spin_lock(&space->parent->lock);
	changed(space->parent);
	spin_unlock(&space->parent->lock);
}

/* ---- What is borrowed ---- */

/* Does it refer to bytes on either side of @at? */
static bool ref_spans(const struct ioasid_ref *ref, u64 at)
{
	const struct ioasid_mapping *child = ref->child;

	/* @last only ever comes closer, when the child is cut */
	return child->addr < at &&
	       at - child->addr <= READ_ONCE(child->last) - child->start;
}

static struct ioasid_ref *ref_across(struct ioasid_mapping *m, u64 at)
{
	struct ioasid_ref *ref;

	hlist_for_each_entry(ref, &m->refs, node)
		if (ref_spans(ref, at))
			return ref;
	return NULL;
}

/**
 * ioasid_family_spans() - is a mapping borrowed across a cut
 * @m: the mapping; the lock of its space is held
 * @at: where it would be cut
 *
 * Return: whether it is.
 */
bool ioasid_family_spans(struct ioasid_mapping *m, u64 at)
{
	return ref_across(m, at);
}

/**
 * ioasid_family_divide() - have the references follow the memory
 * @m: was cut, and not borrowed across the cut; the lock of its space is held
 * @tail: its end
 */
void ioasid_family_divide(struct ioasid_mapping *m, struct ioasid_mapping *tail)
{
	struct hlist_node *next;
	struct ioasid_ref *ref;

	hlist_for_each_entry_safe(ref, next, &m->refs, node) {
		if (ref->child->addr < tail->start)
			continue;
		hlist_del(&ref->node);
		hlist_add_head(&ref->node, &tail->refs);
	}
}

/* Does it refer to bytes in [@start, @last]? */
static bool ref_touches(const struct ioasid_ref *ref, u64 start, u64 last)
{
	const struct ioasid_mapping *child = ref->child;

	return child->addr <= last &&
	       child->addr + (READ_ONCE(child->last) - child->start) >= start;
}

/* Is anything in [start, last] borrowed? */
static bool is_borrowed(struct ioasid_space *space, u64 start, u64 last)
{
	struct ioasid_mapping *m;
	struct ioasid_ref *ref;
	unsigned int n = 0;
	bool found = false;

	spin_lock(&space->lock);
	m = ioasid_mapping_first(space, start);
	while (m && m->start <= last) {
		if (!hlist_empty(&m->refs)) {
			found = m->start >= start && m->last <= last;
			hlist_for_each_entry(ref, &m->refs, node) {
				if (found)
					break;
				found = ref_touches(ref, start, last);
			}
			if (found)
				break;
		}
		if (++n % WALK_BATCH) {
			m = ioasid_mapping_next(m);
			continue;
		}
		if (m->last == U64_MAX)
			break;
		start = m->last + 1;
		spin_unlock(&space->lock);
		cond_resched();
		spin_lock(&space->lock);
		m = ioasid_mapping_first(space, start);
	}
	spin_unlock(&space->lock);
	return found;
}

/* ---- Cascade ---- */

static void bar(struct ioasid_space *space, u64 start, u64 last)
{
	struct ioasid_family *family = space->family;

	mutex_lock_nested(&family->lock, space->depth);
	spin_lock(&space->lock);
	family->barred = true;
	family->round++;
	family->start = start;
	family->last = last;
	spin_unlock(&space->lock);
}

static void unbar(struct ioasid_space *space)
{
	struct ioasid_family *family = space->family;

	spin_lock(&space->lock);
	family->barred = false;
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	mutex_unlock(&family->lock);
}

/*
 * Get the child that a reference is of; where it is on its way out already,
 * wait for that and return NULL.  Called with the lock held, and drops it.
 */
static struct ioasid_space *get_child(struct ioasid_space *space,
				      struct ioasid_ref *ref)
	__releases(&space->lock)
{
	struct ioasid_space *child = ref->child->space;
	u64 changes = space->family->changes;

	if (!child->ops->get(child)) {
		wait_event_cmd(space->wait, space->family->changes != changes,
			       spin_unlock(&space->lock),
			       spin_lock(&space->lock));
		child = NULL;
	}
	spin_unlock(&space->lock);
	return child;
}

/* What a poisoned child keeps it does not give back */
static bool is_poisoned(struct ioasid_space *space)
{
	bool poisoned;

	spin_lock(&space->lock);
	poisoned = space->poisoned;
	spin_unlock(&space->lock);
	return poisoned;
}

static int cut_family(struct ioasid_space *space, u64 at, bool split);

/* Have no child refer to memory across @at, whose surroundings are barred */
static int cut_children(struct ioasid_space *space, u64 at, bool split)
{
	struct ioasid_mapping *m;
	struct ioasid_space *child;
	struct ioasid_ref *ref;
	u64 child_at;
	int ret;

	for (;;) {
		spin_lock(&space->lock);
		m = ioasid_mapping_first(space, at);
		if (!m || m->start > at)
			break;
		/* Before anything is cut, as far as one can see from here */
		hlist_for_each_entry(ref, &m->refs, node) {
			if (!split && ref_spans(ref, at) &&
			    ioasid_mapping_off_grid(ref->child,
						    ref->child->start +
						    (at - ref->child->addr))) {
				spin_unlock(&space->lock);
				return -EBUSY;
			}
		}
		ref = ref_across(m, at);
		if (!ref)
			break;
		child_at = ref->child->start + (at - ref->child->addr);
		child = get_child(space, ref);
		if (!child)
			continue;
		ret = cut_family(child, child_at, split);
		/* What it keeps it does not cut */
		if (!ret && is_poisoned(child))
			ret = -EIO;
		child->ops->put(child);
		if (ret)
			return ret == -EINVAL ? -EBUSY : ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	spin_unlock(&space->lock);
	return 0;
}

/* Make a mapping boundary at @at, and in what is borrowed across it */
static int cut_family(struct ioasid_space *space, u64 at, bool split)
{
	bool is_parent = READ_ONCE(space->family);
	int ret = 0;

	if (is_parent) {
		bar(space, at - 1, at);
		ret = cut_children(space, at, split);
	}
	if (!ret)
		ret = ioasid_space_cut(space, at, U64_MAX, split);
	if (is_parent)
		unbar(space);
	return ret;
}

/* A reference of @m on [@start, @last] that was not given up in this round */
static struct ioasid_ref *first_ref(struct ioasid_space *space,
				    struct ioasid_mapping *m, u64 start,
				    u64 last, unsigned int flags,
				    const struct ioasid_iova_range *of)
{
	struct ioasid_ref *ref;

	if (hlist_empty(&m->refs) || !ioasid_refers(m, of))
		return NULL;
	hlist_for_each_entry(ref, &m->refs, node) {
		if (unlikely(flags & UNMAP_WINDOWS) && !ref->child->space->window)
			continue;
		if (likely(ref->child->round != space->family->round &&
			   ref_touches(ref, start, last)))
			return ref;
	}
	return NULL;
}

/*
 * @child could not be made to drop what it refers to from [@from, @to]: give that
 * up, and have it stand behind the others.
 */
static void give_up(struct ioasid_space *space, u64 at,
		    struct ioasid_space *child, u64 from, u64 to)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, at);
	struct hlist_node *next, *last = NULL;
	HLIST_HEAD(given_up);
	struct ioasid_ref *ref;

	lockdep_assert_held(&space->lock);
	if (!m)
		return;
	hlist_for_each_entry_safe(ref, next, &m->refs, node) {
		if (ref->child->space == child && ref->child->start >= from &&
		    ref->child->start <= to) {
			ref->child->round = space->family->round;
			hlist_del(&ref->node);
			hlist_add_head(&ref->node, &given_up);
		} else {
			last = &ref->node;
		}
	}
	if (!last)
		hlist_move_list(&given_up, &m->refs);
	while (!hlist_empty(&given_up)) {
		struct hlist_node *node = given_up.first;

		hlist_del(node);
		hlist_add_behind(node, last);
	}
}

/*
 * The first reference on [*@cursor, @last], which is barred; moves the cursor.
 * May be a long way: drops and takes the lock.
 */
static struct ioasid_ref *next_ref(struct ioasid_space *space, u64 *cursor,
				   u64 start, u64 last, unsigned int flags,
				   const struct ioasid_iova_range *of)
	__must_hold(&space->lock)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, *cursor);
	struct ioasid_ref *ref;
	unsigned int n = 0;

	while (m && m->start <= last) {
		ref = first_ref(space, m, start, last, flags, of);
		if (ref) {
			*cursor = m->start;
			return ref;
		}
		if (m->last >= last)
			break;
		if (++n % WALK_BATCH) {
			m = ioasid_mapping_next(m);
			continue;
		}
		*cursor = m->last + 1;
		cond_resched_lock(&space->lock);
		m = ioasid_mapping_first(space, *cursor);
	}
	return NULL;
}

/**
 * ioasid_family_revoke() - take out of a child what refers to a range
 * @child: the child
 * @start: first byte to look at
 * @last: last byte to look at
 * @flags: IOASID_UNMAP_CASCADE and others, as for ioasid_family_unmap()
 * @of: the range of its parent
 *
 * Return: as ioasid_family_unmap().
 */
int ioasid_family_revoke(struct ioasid_space *child, u64 start, u64 last,
			 unsigned int flags, const struct ioasid_iova_range *of)
{
	u64 removed;

	if (READ_ONCE(child->family))
		return ioasid_family_unmap(child, start, last, flags, of,
					   &removed);
	return ioasid_space_unmap_range(child, start, last, flags, of,
					&removed);
}

/*
 * Take out of the children what refers to [start, last], which is barred.  One
 * that fails does not keep the others from losing theirs.
 */
static int revoke(struct ioasid_space *space, u64 start, u64 last,
		  unsigned int flags, const struct ioasid_iova_range *of)
{
	struct ioasid_iova_range range = { .start = start, .last = last };
	u64 cursor = start, from, to, changes;
	unsigned int theirs = flags & ~UNMAP_WINDOWS;
	struct ioasid_space *child;
	struct ioasid_ref *ref;
	int ret = 0, err;

	spin_lock(&space->lock);
	while ((ref = next_ref(space, &cursor, start, last, flags, of))) {
		from = ref->child->start;
		to = READ_ONCE(ref->child->last);
		changes = space->family->changes;
		child = get_child(space, ref);
		if (!child) {
			spin_lock(&space->lock);
			continue;
		}
		err = ioasid_family_revoke(child, from, to, theirs, &range);
		if (unlikely(is_poisoned(child))) {
			/* It keeps all of it: at once, not one by one */
			err = -EIO;
			from = 0;
			to = U64_MAX;
			ioasid_family_revoke(child, from, to, theirs |
					     IOASID_UNMAP_ALL, &range);
		}
		if (unlikely(err)) {
			ret = ret ?: err == -EINVAL ? -EBUSY : err;
			spin_lock(&space->lock);
			give_up(space, cursor, child, from, to);
			spin_unlock(&space->lock);
		}
		child->ops->put(child);
		if (!(flags & IOASID_UNMAP_FORCED) &&
		    fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		spin_lock(&space->lock);
		/* Taken out by another, who has still to give it back? */
		if (likely(!err))
			wait_event_cmd(space->wait,
				       space->family->changes != changes,
				       spin_unlock(&space->lock),
				       spin_lock(&space->lock));
	}
	spin_unlock(&space->lock);
	return ret;
}

/**
 * ioasid_family_close() - have no other context see a space any more
 * @space: the space
 *
 * What their children refer to is taken out of them.
 *
 * Context: may sleep.
 */
void ioasid_family_close(struct ioasid_space *space)
{
	if (!READ_ONCE(space->family))
		return;
	bar(space, 0, U64_MAX);
	spin_lock(&space->lock);
	space->family->closed = true;
	spin_unlock(&space->lock);
	revoke(space, 0, U64_MAX, IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
	       IOASID_UNMAP_FORCED | UNMAP_WINDOWS, NULL);
	unbar(space);
}

/**
 * ioasid_family_unmap() - take out what is mapped in a range of a parent
 * @space: the parent
 * @start: first byte
 * @last: last byte
 * @flags: enum ioasid_unmap_flags; with IOASID_UNMAP_CASCADE what children
 *	refer to is taken out of them first
 * @of: as for ioasid_space_unmap_range()
 * @removed: out, bytes that were taken out of @space, also on failure
 *
 * Context: may sleep; waits for nobody's page fault.
 * Return: as ioasid_space_unmap(), and -EBUSY, a child refers to memory in the
 * range, or would have to be cut off its grid.
 */
int ioasid_family_unmap(struct ioasid_space *space, u64 start, u64 last,
			unsigned int flags,
			const struct ioasid_iova_range *of, u64 *removed)
{
	bool split = flags & IOASID_UNMAP_SPLIT;
	int ret = 0, err;

	*removed = 0;
	if (!(flags & IOASID_UNMAP_CASCADE)) {
		if (is_borrowed(space, start, last))
			return -EBUSY;
		return ioasid_space_unmap_range(space, start, last, flags, of,
						removed);
	}

	bar(space, start, last);
	if (!(flags & IOASID_UNMAP_ALL)) {
		/* With @of the range is what a mapping was, looked at before */
		if (!of)
			ret = ioasid_space_check_edges(space, start, last,
						       split);
		if (!ret && start)
			ret = cut_children(space, start, split);
		if (!ret && last != U64_MAX)
			ret = cut_children(space, last + 1, split);
		if (!ret && !of)
			ret = ioasid_space_cut(space, start, last, split);
	}
	if (!ret)
		ret = revoke(space, start, last, flags, of);
	/* By force, all goes that nobody refers to any more */
	if (!ret || flags & IOASID_UNMAP_FORCED) {
		err = ioasid_space_unmap_range(space, start, last, flags, of,
					       removed);
		ret = ret ?: err;
	}
	unbar(space);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_family_unmap);
