// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings by reference: a child's memory is that of its parent.
 *
 * Longer than 700 lines: references to memory and to memory of devices are found,
 * indexed, split and dropped under the same lock, by the same functions.
 *
 * Invariants:
 *  - A mapping of a child refers to a range of the parent (struct ioas_ref),
 *    from before its first IOPTE is written until its last one is flushed.  The
 *    parent has references in two trees, by address: those of its own context,
 *    and those of imports, so that neither is searched past the other.  Most
 *    references end before the parent changes, so they wait in a list and are
 *    indexed later: ioas_lock_refs() takes the lock and empties the list.
 *  - What is referred to is neither unmapped nor narrowed, and never cut where
 *    a reference spans the cut: its pages stay pinned, which is all that a
 *    child relies on.
 *  - Only a WRITING, LIVE, LEAVING, CHANGING or REMOVING mapping has a
 *    reference: a wait for it to end is one for something bounded, or for a
 *    driver.
 *  - The owner of the parent always wins: during a cascading unmap the range is
 *    frozen, and gets no new reference.
 *  - A child has a reference on its parent's object, or on the object of the
 *    import, so that the parent's address space exists for as long as the
 *    child, possibly empty.
 *
 * Locks: the references and the frozen ranges are protected by the lock of the
 * parent.
 */
#include <linux/interval_tree.h>
#include <linux/rbtree_augmented.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "demand.h"
#include "devmem.h"
#include "ioas.h"
#include "mapping.h"
#include "ref.h"
#include "tree.h"

/* References that are indexed with the lock held */
#define INDEX_BATCH	128
#define to_child(node)	rb_entry_safe(node, struct ioas_mapping, ref.rb)

static inline u64 ref_last(struct ioas_mapping *m)
{
	return m->ref.last;
}

RB_DECLARE_CALLBACKS_MAX(static, ref_callbacks, struct ioas_mapping, ref.rb,
			 u64, ref.subtree_last, ref_last)

struct ioas_ref_key ioas_ref_key_of(const struct ioas_mapping *m)
{
	return (struct ioas_ref_key){
		.addr = m->addr,
		.child = (unsigned long)m,
	};
}

static __always_inline bool key_before(const struct ioas_ref_key *a,
				       const struct ioas_ref_key *b)
{
	return a->addr < b->addr || (a->addr == b->addr && a->child < b->child);
}

static struct rb_root *refs_of(const struct ioas *parent,
			       const struct ioas_mapping *m)
{
	return &parent->as_parent->refs[m->ioas->import ? IOAS_REFS_IMPORTS :
							IOAS_REFS_OWN];
}

/* Called with the lock of the parent held, as all that follows */
static void ref_index(struct ioas *parent, struct ioas_mapping *m)
{
	struct rb_root *root = refs_of(parent, m);
	struct rb_node **link = &root->rb_node, *up = NULL;
	struct ioas_ref_key key = ioas_ref_key_of(m), other;
	struct ioas_mapping *at;
	u64 last = m->ref.last;

	lockdep_assert_held(&parent->lock);
	m->indexed = true;
	m->ref.subtree_last = last;
	while (*link) {
		up = *link;
		at = to_child(up);
		at->ref.subtree_last = max(at->ref.subtree_last, last);
		other = ioas_ref_key_of(at);
		link = key_before(&key, &other) ? &up->rb_left : &up->rb_right;
	}
	rb_link_node(&m->ref.rb, up, link);
	rb_insert_augmented(&m->ref.rb, root, &ref_callbacks);
}

static __always_inline void ref_add(struct ioas *parent,
				    struct ioas_mapping *m, u64 last)
{
	lockdep_assert_held(&parent->lock);
	m->indexed = false;
	m->ref.last = last;
	list_add_tail(&m->ref.fresh, &parent->as_parent->fresh);
}

static noinline void ref_unindex(struct ioas *parent,
				 struct ioas_mapping *m)
{
	lockdep_assert_held(&parent->lock);
	rb_erase_augmented(&m->ref.rb, refs_of(parent, m), &ref_callbacks);
}

static __always_inline void ref_del(struct ioas *parent,
				    struct ioas_mapping *m)
{
	lockdep_assert_held(&parent->lock);
	if (unlikely(m->indexed))
		ref_unindex(parent, m);
	else
		list_del(&m->ref.fresh);
}

/**
 * ioas_refs_index() - index a batch of references
 * @ioas: a parent; its lock is held
 *
 * Return: true if all are indexed, for as long as the lock is held.
 */
bool ioas_refs_index(struct ioas *ioas)
{
	struct ioas_parent *as_parent = ioas->as_parent;
	struct ioas_mapping *m;
	unsigned int n;

	lockdep_assert_held(&ioas->lock);
	for (n = 0; n < INDEX_BATCH; n++) {
		m = list_first_entry_or_null(&as_parent->fresh,
					     struct ioas_mapping, ref.fresh);
		if (!m)
			return true;
		list_del(&m->ref.fresh);
		ref_index(ioas, m);
	}
	return list_empty(&as_parent->fresh);
}

/**
 * ioas_refs_index_all() - index all references
 * @ioas: a parent; its lock is held, and dropped in between
 *
 * For ioas_lock_refs().
 */
void ioas_refs_index_all(struct ioas *ioas)
	__must_hold(&ioas->lock)
{
	while (!ioas_refs_index(ioas))
		ioas_relax(ioas);
}

/* Find the leftmost reference below @node that overlaps [from, to] */
static struct ioas_mapping *ref_leftmost(struct rb_node *node, u64 from,
					 u64 to)
{
	struct ioas_mapping *m = to_child(node), *left;

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

/* Find the next one after @m */
static struct ioas_mapping *ref_next(struct ioas_mapping *m, u64 from,
				     u64 to)
{
	struct rb_node *node = &m->ref.rb, *up;
	struct ioas_mapping *right;

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

/* Find the first one of a side after @key, or of all if @key is NULL */
struct ioas_mapping *ioas_ref_after(const struct ioas *parent,
				    enum ioas_refs_side side,
				    const struct ioas_ref_key *key,
				    u64 from, u64 to)
{
	struct rb_node *node = parent->as_parent->refs[side].rb_node;
	struct ioas_mapping *m = NULL, *at;
	struct ioas_ref_key other;

	lockdep_assert_held(&parent->lock);
	if (!key)
		return ref_leftmost(node, from, to);
	while (node) {
		at = to_child(node);
		other = ioas_ref_key_of(at);
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

/* Find the one with @key; NULL if it has ended */
struct ioas_mapping *ioas_ref_find(const struct ioas *parent,
				   enum ioas_refs_side side,
				   const struct ioas_ref_key *key)
{
	struct rb_node *node = parent->as_parent->refs[side].rb_node;
	struct ioas_ref_key other;

	lockdep_assert_held(&parent->lock);
	while (node) {
		other = ioas_ref_key_of(to_child(node));
		if (other.addr == key->addr && other.child == key->child)
			return to_child(node);
		node = key_before(key, &other) ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/**
 * ioas_refs_exist() - test whether a child refers to bytes of a range
 * @ioas: a parent, locked by ioas_lock_refs()
 * @start: first byte
 * @last: last byte
 *
 * Return: true if one does.
 */
bool ioas_refs_exist(const struct ioas *ioas, u64 start, u64 last)
{
	const struct ioas_parent *as_parent = ioas->as_parent;
	unsigned int i;

	lockdep_assert_held(&ioas->lock);
	lockdep_assert(list_empty(&as_parent->fresh));
	for (i = 0; i < IOAS_REFS_SIDES; i++)
		if (ref_leftmost(as_parent->refs[i].rb_node, start, last))
			return true;
	return false;
}

/**
 * ioas_refs_span() - test whether a child refers to memory on both sides of a
 *	cut
 * @ioas: the address space, locked by ioas_lock_refs()
 * @at: address of the cut
 *
 * Return: true if one does.
 */
bool ioas_refs_span(const struct ioas *ioas, u64 at)
{
	lockdep_assert_held(&ioas->lock);
	if (likely(!ioas->as_parent) || !at)
		return false;
	lockdep_assert(list_empty(&ioas->as_parent->fresh));
	/* A reference that begins before @at, and ends there or later */
	return ref_leftmost(ioas->as_parent->refs[IOAS_REFS_OWN].rb_node,
			    at, at - 1) ||
	       ref_leftmost(ioas->as_parent->refs[IOAS_REFS_IMPORTS].rb_node,
			    at, at - 1);
}

/* ---- Refer ---- */

bool ioas_range_frozen(const struct ioas *parent, u64 start, u64 last)
{
	lockdep_assert_held(&parent->lock);
	return unlikely(!RB_EMPTY_ROOT(&parent->as_parent->frozen.rb_root)) &&
	       interval_tree_iter_first(&parent->as_parent->frozen, start,
					last);
}

/*
 * Get the part of [addr, last] that one mapping of the parent has.  Returns
 * -EAGAIN if the caller must wait for the mapping, -EREMOTE if it is one of
 * device memory.
 */
static __always_inline int refer_to_run(struct ioas *parent, u64 addr,
					u64 last, unsigned int flags,
					struct ioasid_memory *part)
{
	struct ioas_mapping *m;
	u64 length;

	lockdep_assert_held(&parent->lock);
	m = ioas_mapping_first(parent, addr);
	if (!m || m->start > addr)
		return -ENXIO;
	if (unlikely(m->state != IOAS_MAPPING_LIVE)) {
		if (m->state == IOAS_MAPPING_PINNING ||
		    m->state == IOAS_MAPPING_WRITING)
			return -ENXIO;
		return -EAGAIN;
	}
	if (unlikely(!ioas_mapping_has_memory(m))) {
		if (m->backing == IOAS_BACKING_DEMAND)
			return -EAGAIN;
		return ioas_mapping_is_device(m) ? -EREMOTE : -ENXIO;
	}
	if (flags & ~m->flags & (IOASID_MAP_READ | IOASID_MAP_WRITE))
		return -EACCES;
	length = min(m->last, last) - addr + 1;
	ioasid_memory_refer(&m->mem, (addr - m->start) >> PAGE_SHIFT,
			    length >> PAGE_SHIFT, part);
	return 0;
}

/* Refer to [m->addr, last], and get the part in the parent's first mapping */
static __always_inline int refer_first(struct ioas *parent,
				       const struct ioas_import *import,
				       struct ioas_mapping *m, u64 last)
{
	int ret;

	if (unlikely(import) ? ioas_import_shut(parent, import) :
			       unlikely(parent->dead))
		return -ENODEV;
	if (ioas_range_frozen(parent, m->addr, last))
		return -EAGAIN;
	ret = refer_to_run(parent, m->addr, last, m->flags, &m->mem);
	if (likely(!ret))
		ref_add(parent, m, last);
	return ret;
}

/* Remove a reference, and wake a thread that waits for it to end */
static __always_inline void drop_ref(struct ioas *parent,
				     struct ioas_mapping *m)
{
	lockdep_assert_held(&parent->lock);
	ref_del(parent, m);
	/* Waiters queue themselves under the lock */
	if (unlikely(waitqueue_active(&parent->wait)))
		ioas_wake(parent);
}

/* Get the rest of [m->addr, last] from further mappings of the parent */
static noinline int refer_more(struct ioas *parent,
			       struct ioas_mapping *m, u64 last, u64 *at)
{
	struct ioasid_memory part = m->mem;
	struct ioasid_extent_list list;
	int ret;

	ioasid_extent_list_init(&list, &m->mem, false);
	for (;;) {
		*at += (u64)part.npages << PAGE_SHIFT;
		ret = ioasid_extent_list_refer(&list, &part,
					       (last - *at + 1) >> PAGE_SHIFT);
		ioasid_memory_unrefer(&part);
		if (ret || *at == last + 1)
			break;
		ret = -EINTR;
		if (fatal_signal_pending(current))
			break;
		/* Allocating extents may take long; see struct table_write */
		ret = -EAGAIN;
		if (READ_ONCE(m->wanted) ||
		    rwsem_is_contended(&m->ioas->tables.sem))
			break;
		cond_resched();

		spin_lock(&parent->lock);
		ret = refer_to_run(parent, *at, last, m->flags, &part);
		spin_unlock(&parent->lock);
		if (ret)
			break;
	}
	ioasid_extent_list_finish(&list);
	return ret;
}

/* Refer to device memory, which one mapping of the parent has */
static int refer_device(struct ioas *parent, struct ioas_mapping *m,
			struct ioas_devmem_range *range, u64 last)
{
	struct ioas_mapping *owner;

	lockdep_assert_held(&parent->lock);
	if (parent->dead)
		return -ENODEV;
	if (ioas_range_frozen(parent, m->addr, last))
		return -EAGAIN;
	owner = ioas_mapping_first(parent, m->addr);
	if (!owner || owner->start > m->addr ||
	    owner->state != IOAS_MAPPING_LIVE || !ioas_mapping_is_device(owner))
		return -EAGAIN;
	if (m->flags & ~owner->flags & (IOASID_MAP_READ | IOASID_MAP_WRITE))
		return -EACCES;
	/* See ioas_map_pieces() */
	if (owner->last < last)
		return -EREMOTE;
	if (ioas_devmem_is_lost(owner->device))
		return -ENXIO;
	ioas_devmem_share(range, owner->device,
			  (m->addr - owner->start) >> PAGE_SHIFT,
			  ((last - m->addr) >> PAGE_SHIFT) + 1);
	ref_add(parent, m, last);
	return 0;
}

static noinline int ref_get_device(struct ioas *ioas, struct ioas_mapping *m,
				   u64 last)
{
	struct ioas *parent = ioas->parent;
	struct ioas_devmem_range *range;
	int ret;

	if (ioas->import || ioas->memory_only)
		return -EREMOTE;
	range = ioas_devmem_prepare(ioas, m->start, m->flags);
	if (!range)
		return -ENOMEM;
	spin_lock(&parent->lock);
	ret = refer_device(parent, m, range, last);
	spin_unlock(&parent->lock);
	if (ret) {
		ioas_devmem_put(range);
		return ret;
	}
	m->device = range;
	m->backing = IOAS_BACKING_PARENT_DEVICE;
	return 0;
}

/* Count one more mapping by reference through the imports of an export */
static int export_charge(struct ioas_export *export)
{
	s64 old = atomic64_read(&export->used);

	do {
		if ((u64)old >= export->limit)
			return -EDQUOT;
	} while (!atomic64_try_cmpxchg(&export->used, &old, old + 1));
	return 0;
}

/* Translate @m->addr from an address of the import to one of the parent */
static int import_enter(struct ioas_import *import, struct ioas_mapping *m,
			u64 *fault_addr)
{
	struct ioas_export *export = import->export;
	u64 end = export->last - export->start;
	int ret;

	if (m->addr > end || m->last - m->start > end - m->addr) {
		*fault_addr = max(m->addr, end + 1);
		return -ENXIO;
	}
	*fault_addr = m->addr;
	if (m->flags & ~export->permission & (IOASID_MAP_READ | IOASID_MAP_WRITE))
		return -EACCES;
	ret = export_charge(export);
	if (!ret)
		m->addr += export->start;
	return ret;
}

/* Undo import_enter() */
static void import_leave(struct ioas_import *import, struct ioas_mapping *m,
			 u64 *fault_addr)
{
	struct ioas_export *export = import->export;

	atomic64_dec(&export->used);
	m->addr -= export->start;
	*fault_addr -= export->start;
}

/**
 * ioas_ref_get() - refer to memory of the parent
 * @ioas: the child
 * @m: WRITING, with @start, @last, @addr and @flags; on success it has memory,
 *	and refers to the range of the parent
 * @nowait: allocate nothing: -EAGAIN if more than one mapping of the parent is
 *	referred to, or device memory
 * @fault_addr: out on -ENXIO and -EACCES, the first address that failed
 *
 * Context: may sleep, for a bounded time.
 * Return: 0; IOAS_REF_DEVICE, it is device memory; or
 * -ENXIO, not all of it is mapped in the parent, or not for imports;
 * -EACCES, the parent or the export lacks the permission;
 * -ENODEV, the parent or the import was freed;
 * -EDQUOT, the export permits no more mappings;
 * -EREMOTE, several mappings of the parent have it, one with device memory: see
 * ioas_map_pieces();
 * -EAGAIN, try again after ioas_ref_wait(), with no lock held;
 * -ENOMEM; -EINTR.
 */
int ioas_ref_get(struct ioas *ioas, struct ioas_mapping *m,
		 bool nowait, u64 *fault_addr)
{
	struct ioas *parent = ioas->parent;
	struct ioas_import *import = ioas->import;
	u64 at, last;
	int ret;

	if (unlikely(import)) {
		ret = import_enter(import, m, fault_addr);
		if (ret)
			return ret;
	}
	at = m->addr;
	last = at + (m->last - m->start);
	m->ioas = ioas;
	spin_lock(&parent->lock);
	if (unlikely(parent->demand)) {
		ret = ioas_demand_get(parent, at, last);
		if (unlikely(ret)) {
			spin_unlock(&parent->lock);
			goto failed;
		}
	}
	ret = refer_first(parent, import, m, last);
	spin_unlock(&parent->lock);
	if (likely(!ret)) {
		if (unlikely(m->mem.npages != (last - at + 1) >> PAGE_SHIFT))
			ret = nowait ? -EAGAIN :
				       refer_more(parent, m, last, &at);
		if (likely(!ret)) {
			m->backing = IOAS_BACKING_PARENT;
			return 0;
		}
		spin_lock(&parent->lock);
		drop_ref(parent, m);
		spin_unlock(&parent->lock);
		ioasid_memory_unrefer(&m->mem);
	} else if (unlikely(ret == -EREMOTE)) {
		m->mem.npages = 0;
		ret = nowait ? -EAGAIN : ref_get_device(ioas, m, last);
		if (!ret)
			return IOAS_REF_DEVICE;
	}
	/* An export is of memory: the device is of another context */
	if (unlikely(ret == -EREMOTE) && (import || ioas->memory_only))
		ret = -ENXIO;
	if (unlikely(parent->demand))
		ioas_demand_put(parent, m->addr, last);
failed:
	m->mem.npages = 0;
	*fault_addr = at;
	if (unlikely(import))
		import_leave(import, m, fault_addr);
	return ret;
}

static bool must_wait(struct ioas *parent, u64 addr, u64 last)
{
	struct ioas_mapping *m;

	if (parent->dead)
		return false;
	if (ioas_range_frozen(parent, addr, last))
		return true;
	m = ioas_mapping_first(parent, addr);
	return m && m->start <= addr &&
	       (m->state == IOAS_MAPPING_LEAVING ||
		m->state == IOAS_MAPPING_CHANGING ||
		m->state == IOAS_MAPPING_REMOVING);
}

static u64 offset_of(const struct ioas *ioas)
{
	return ioas->import ? ioas->import->export->start : 0;
}

/**
 * ioas_ref_wait() - wait until ioas_ref_get() can be tried again
 * @ioas: the child
 * @req: the request; ioas_ref_end() follows once it has ended, or failed
 * @addr: address from ioas_ref_get() when it returned -EAGAIN
 *
 * What the parent pins on demand is pinned, and stays pinned meanwhile.
 *
 * Context: may sleep, for as long as a page fault of this memory takes; with no
 * lock held.
 * Return: 0; or, with @req->fault_addr set where that is told, an errno of
 * ioas_demand_pin();
 * -EINTR, a fatal signal.
 */
int ioas_ref_wait(struct ioas *ioas, struct ioas_map_request *req, u64 addr)
{
	u64 offset = offset_of(ioas), start = req->addr + offset;
	u64 last = start + (req->length - 1);
	struct ioas *parent = ioas->parent;
	int ret;

	addr += offset;
	do {
		spin_lock(&parent->lock);
		ret = ioas_wait(parent, !must_wait(parent, addr, last), NULL);
		spin_unlock(&parent->lock);
		if (ret || likely(!parent->demand))
			return ret;
		/* What was pinned before may have been unmapped, and mapped again */
		ioas_ref_end(ioas, req);
		ret = ioas_demand_pin(parent, NULL, start, last, &addr);
	} while (ret == -EAGAIN);
	req->fault_addr = addr - offset;
	req->holds = !ret;
	return ret;
}

void ioas_ref_end_demand(struct ioas *ioas, struct ioas_map_request *req)
{
	u64 start = req->addr + offset_of(ioas);

	ioas_demand_put(ioas->parent, start, start + (req->length - 1));
	req->holds = false;
}

/**
 * ioas_ref_put() - undo ioas_ref_get()
 * @ioas: the child
 * @list: mappings of it, by @next, at most as many as are removed together; in
 *	no table.  Of device memory only the reference is undone.
 */
void ioas_ref_put(struct ioas *ioas,
		  struct ioas_mapping *list)
{
	struct ioas *parent = ioas->parent;
	struct ioas_mapping *m;
	bool shared = false;
	s64 n = 0;

	spin_lock(&parent->lock);
	if (unlikely(parent->demand))
		for (m = list; m; m = m->next)
			if (ioas_mapping_has_ref(m))
				ioas_demand_leave(parent, m->addr, m->ref.last);
	for (m = list; m; m = m->next) {
		if (unlikely(m->backing != IOAS_BACKING_PARENT)) {
			if (m->backing == IOAS_BACKING_PARENT_DEVICE) {
				m->backing = IOAS_BACKING_DEVICE;
				drop_ref(parent, m);
			}
			continue;
		}
		m->backing = IOAS_BACKING_NONE;
		drop_ref(parent, m);
		n++;
		if (unlikely(m->mem.is_shared))
			shared = true;
		else
			m->mem.npages = 0;
	}
	spin_unlock(&parent->lock);
	for (m = list; m && unlikely(shared); m = m->next)
		ioasid_memory_unrefer(&m->mem);
	if (unlikely(ioas->import))
		atomic64_sub(n, &ioas->import->export->used);
}

/**
 * ioas_ref_piece() - find the part of a range that can be referred to by one
 *	mapping
 * @ioas: the child
 * @addr: first byte in the parent, which is no import
 * @length: bytes of the range
 *
 * It is all memory, of however many mappings of the parent, or device memory of
 * one of them.
 *
 * Return: its length, not 0; a guess where something is not mapped.
 */
u64 ioas_ref_piece(struct ioas *ioas, u64 addr, u64 length)
{
	struct ioas *parent = ioas->parent;
	u64 at = addr, last = addr + (length - 1);
	struct ioas_mapping *m;
	unsigned int n = 0;

	spin_lock(&parent->lock);
	for (;;) {
		m = ioas_mapping_first(parent, at);
		if (!m || m->start > last)
			break;
		if (ioas_mapping_is_device(m)) {
			if (m->start <= addr)
				last = min(last, m->last);
			else
				last = m->start - 1;
			break;
		}
		if (m->last >= last)
			break;
		at = m->last + 1;
		if (++n % INDEX_BATCH == 0)
			ioas_relax(parent);
	}
	spin_unlock(&parent->lock);
	return last - addr + 1;
}

/**
 * ioas_ref_may_split() - charge an export for one more mapping
 * @ioas: the address space of the mapping to split
 *
 * Called before a change, once for each mapping that it adds;
 * ioas_ref_split_done() follows.  A cut by the owner of the parent is counted,
 * but not limited.
 *
 * Return: 0; -EDQUOT, the export permits no more mappings.
 */
int ioas_ref_may_split(struct ioas *ioas)
{
	struct ioas_import *import = ioas_import_of(ioas);

	return import ? export_charge(import->export) : 0;
}

/**
 * ioas_ref_split_done() - undo ioas_ref_may_split()
 * @ioas: the address space of the mapping
 *
 * ioas_ref_split() has counted the new mapping by itself.
 */
void ioas_ref_split_done(struct ioas *ioas)
{
	struct ioas_import *import = ioas_import_of(ioas);

	if (import)
		atomic64_dec(&import->export->used);
}

/**
 * ioas_ref_split() - split the reference of a mapping
 * @ioas: the child
 * @m: CHANGING; keeps what is below the cut
 * @tail: a copy of it that begins at the cut, @addr too; gets the rest
 */
void ioas_ref_split(struct ioas *ioas, struct ioas_mapping *m,
		    struct ioas_mapping *tail)
{
	struct ioas *parent = ioas->parent;
	u64 last;

	spin_lock(&parent->lock);
	if (unlikely(parent->demand))
		ioas_demand_split(parent, tail->addr);
	last = m->ref.last;
	m->ref.last = tail->addr - 1;
	if (m->indexed) {
		ref_callbacks.propagate(&m->ref.rb, NULL);
		tail->ref.last = last;
		/* Index it now: a walk that is here must not miss it */
		ref_index(parent, tail);
	} else {
		ref_add(parent, tail, last);
	}
	spin_unlock(&parent->lock);
	if (unlikely(ioas->import))
		atomic64_inc(&ioas->import->export->used);
}
