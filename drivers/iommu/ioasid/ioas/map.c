// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map: reserve, commit, abort.
 *
 * Invariants:
 *  - A LIVE mapping of memory is in every domain of the address space; reserved
 *    ranges are in none.
 *  - A mapping is made in three steps.  Its range is reserved, under the lock;
 *    its memory is charged and pinned, with no lock held, for however long that
 *    takes; it is written to the domains and published.  A step that fails
 *    undoes those before it.
 *
 * Locks: see struct ioasid_space.  The lock is held for a bounded number of
 * steps; whatever is long is done with the mapping in a state that keeps
 * others off it.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "backing.h"
#include "devmem.h"
#include "ioas.h"
#include "map.h"
#include "mapping.h"
#include "ranges.h"
#include "ref.h"
#include "tables.h"
#include "tree.h"

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
