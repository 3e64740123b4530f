// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map: reserve, commit, abort.
 *
 * Invariants:
 *  - A LIVE mapping of memory is in every domain of the address space; reserved
 *    ranges are in none.
 *  - A map has three steps.  Its range is reserved, under the lock; its memory
 *    is charged and pinned, with no lock held, for as long as that takes; it is
 *    written to the domains and published.  A step that fails undoes the steps
 *    before it.
 *
 * Locks: see struct ioas.  The lock is held for a bounded number of steps;
 * everything long happens without it, while the state of the mapping keeps
 * other threads away.
 */
#include <kunit/visibility.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../mem/charge.h"
#include "backing.h"
#include "demand.h"
#include "devmem.h"
#include "dirty.h"
#include "ioas.h"
#include "map.h"
#include "mapping.h"
#include "pieces.h"
#include "ranges.h"
#include "ref.h"
#include "tables.h"
#include "tree.h"

/* Check that an address space takes new mappings */
static __always_inline int check_space(const struct ioas *ioas)
{
	lockdep_assert_held(&ioas->lock);
	/* One test for two of them */
	if (unlikely(ioas->dead || ioas->poisoned))
		return ioas->dead ? -ENOENT : -EIO;
	if (unlikely(ioas->partial))
		return -EDEADLK;
	return 0;
}

/**
 * ioas_reserve() - reserve a range of IOVAs for a new mapping
 * @ioas: the address space
 * @req: the map request; @iova is set if it is chosen
 *
 * The first step of a map; ioas_commit() or ioas_abort() follows.
 *
 * Context: may sleep.
 * Return: the mapping, not published; or an ERR_PTR:
 * -ENOENT, the address space is being freed;
 * -EIO, it is poisoned;
 * -EDEADLK, it waits for a sibling;
 * -EINVAL, the IOVAs are not permitted;
 * -EEXIST, something is mapped there;
 * -EDQUOT, the context permits no more mappings;
 * -ENOSPC, no range of IOVAs is free;
 * -ENOMEM;
 * -EINTR, a fatal signal.
 */
struct ioas_mapping *ioas_reserve(struct ioas *ioas,
				  struct ioas_map_request *req)
{
	bool reserve = req->flags & IOASID_MAP_RESERVE;
	struct ioas_mapping *m, *taken;
	u64 largest = 0;
	int ret;

	m = ioas_mapping_new(ioas, req);
	if (!m)
		return ERR_PTR(-ENOMEM);

	if (!(req->flags & IOASID_MAP_FIXED))
		largest = ioas_tables_largest_page(ioas, req->length);

	spin_lock(&ioas->lock);
again:
	ret = check_space(ioas);
	if (unlikely(ret))
		goto err;

	if (req->flags & IOASID_MAP_FIXED) {
		ret = -EINVAL;
		if (ioas->permitted && !reserve &&
		    !ioas_ranges_hold(ioas->permitted, req->iova,
				      req->iova + (req->length - 1),
				      &req->fault_addr))
			goto err;
	} else {
		ret = ioas_choose_iova(ioas, req, largest);
		if (ret == -EAGAIN)
			goto again;
		/* The lock may have been dropped */
		if (!ret)
			ret = check_space(ioas);
		if (ret)
			goto err;
		if (unlikely(ioas->permitted &&
			     !ioas_ranges_hold(ioas->permitted, req->iova,
					       req->iova + (req->length - 1),
					       &req->fault_addr)))
			goto again;
	}
	m->start = req->iova;
	m->last = req->iova + (req->length - 1);
	if (unlikely(ioas->counted)) {
		ret = ioasid_mappings_charge(ioas->account, 1);
		if (ret)
			goto err;
	}
	if (!req->cache || !ioas_mapping_insert_next(ioas, m, req->cache)) {
		if (unlikely(!ioas_mapping_insert(ioas, m))) {
			if (unlikely(ioas->counted))
				ioasid_mappings_uncharge(ioas->account, 1);
			taken = ioas_mapping_first(ioas, m->start);
			req->fault_addr = max(taken->start, m->start);
			ret = -EEXIST;
			goto err;
		}
		if (req->cache) {
			req->cache->last = m;
			/* @next of the cache is not known */
			req->cache->changes = ioas->changes - 1;
		}
	}
	spin_unlock(&ioas->lock);
	return m;

err:
	spin_unlock(&ioas->lock);
	ioas_mapping_free(m);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_reserve);

/*
 * Free a mapping that is in no table, or leave it to the claim that has it.
 * Returns -ECANCELED if another thread took the range; or @ret.
 */
static int abandon(struct ioas *ioas, struct ioas_mapping *m, int ret)
{
	ioas_mapping_put_memory(ioas, m);
	m->backing = IOAS_BACKING_NONE;
	spin_lock(&ioas->lock);
	if (unlikely(m->state == IOAS_MAPPING_CLAIMED)) {
		ioas_mapping_set_state(m, IOAS_MAPPING_ABANDONED);
		spin_unlock(&ioas->lock);
		return ret;
	}
	if (m->state == IOAS_MAPPING_CANCELLED)
		ret = -ECANCELED;
	else
		ioas_mapping_erase(ioas, m);
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	ioas_mapping_free(m);
	return ret;
}

/**
 * ioas_abort() - free a reserved range
 * @ioas: the address space
 * @m: from ioas_reserve(); not to be touched afterwards
 */
void ioas_abort(struct ioas *ioas, struct ioas_mapping *m)
{
	abandon(ioas, m, 0);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_abort);

/**
 * ioas_abort_writing() - free a WRITING mapping that is in no domain
 * @ioas: the address space; tables.sem is held
 * @m: from ioas_reserve(), with or without memory; freed, or put into
 *	quarantine if a domain is poisoned
 */
void ioas_abort_writing(struct ioas *ioas,
			struct ioas_mapping *m)
{
	bool poisoned = ioas_mapping_has_memory(m) && ioas_tables_poisoned(ioas);

	spin_lock(&ioas->lock);
	ioas_mapping_erase(ioas, m);
	if (poisoned)
		ioas_quarantine_add(ioas, m);
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	if (poisoned)
		return;
	if (ioas_dirty_any())
		ioas_dirty_undone(ioas, m);
	ioas_mapping_release(ioas, m);
}

static int write_device(struct ioas *ioas, struct ioas_mapping *m)
	__must_hold(&ioas->lock)
{
	int ret;

	ioas_mapping_set_state(m, IOAS_MAPPING_WRITING);
	spin_unlock(&ioas->lock);
	ret = ioas_devmem_map(m->device);
	spin_lock(&ioas->lock);
	if (!ret)
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
	return ret;
}

/* Write a mapping that has its memory to the domains, if there are any */
static int write_mapping(struct ioas *ioas, struct ioas_mapping *m)
	__must_hold(&ioas->lock)
{
	lockdep_assert_held_read(&ioas->tables.sem);
	if (unlikely(ioas_mapping_is_device(m)))
		return write_device(ioas, m);
	if (!ioas_mapping_has_memory(m) || ioas_tables_none(ioas)) {
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
		return 0;
	}
	ioas_mapping_set_state(m, IOAS_MAPPING_WRITING);
	spin_unlock(&ioas->lock);
	return ioas_tables_write(ioas, m);
}

/*
 * Publish a mapping, or free it if it could not be written to the domains.
 * Called with the lock and tables.sem held, drops both.
 */
static __always_inline int
publish(struct ioas *ioas, struct ioas_mapping *m, int ret)
	__releases(&ioas->lock)
{
	bool poisoned = false, kept = false;

	if (likely(!ret)) {
		ioas->nr_mappings++;
		if (likely(ioas_mapping_has_memory(m)))
			ioas->bytes_mapped += ioas_mapping_bytes(m);
		else
			ioas_demand_count(ioas, m, true);
	} else {
		ioas_mapping_erase(ioas, m);
		poisoned = m->backing != IOAS_BACKING_NONE &&
			   ioas_tables_poisoned(ioas);
		if (poisoned) {
			ioas->poisoned = true;
			kept = ioas_mapping_has_memory(m);
		}
		if (kept)
			ioas_quarantine_add(ioas, m);
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	up_read(&ioas->tables.sem);
	if (unlikely(ret && !kept)) {
		if (ioas_dirty_any())
			ioas_dirty_undone(ioas, m);
		ioas_mapping_release(ioas, m);
	}
	if (unlikely(poisoned))
		ioas->ops->poisoned(ioas);
	return ret;
}

/* As write_mapping(), for a reference, and called without the lock */
static __always_inline int write_ref(struct ioas *ioas,
				     struct ioas_mapping *m)
	__acquires(&ioas->lock)
{
	if (unlikely(ioas_tables_none(ioas))) {
		spin_lock(&ioas->lock);
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
		return 0;
	}
	return ioas_tables_write(ioas, m);
}

/* Write and publish a reference to device memory */
static noinline int publish_device(struct ioas *ioas, struct ioas_mapping *m)
{
	int ret;

	spin_lock(&ioas->lock);
	ret = write_device(ioas, m);
	return publish(ioas, m, ret);
}

/*
 * Refer to the parent's memory by several mappings, write and publish.  On failure
 * tables.sem is still held, and the range reserved; @poisoned is set if a domain
 * must be blocked after that.
 */
static noinline int publish_pieces(struct ioas *ioas, struct ioas_mapping *m,
				   const struct ioas_map_request *req,
				   u64 *addr, bool *poisoned)
{
	int ret = ioas_map_pieces(ioas, m, req, addr);

	if (ret)
		*poisoned = ioas_tables_poisoned(ioas);
	else
		up_read(&ioas->tables.sem);
	return ret;
}

static __always_inline int map_ref(struct ioas *ioas,
				   struct ioas_map_request *req)
{
	struct ioas_mapping *m;
	bool poisoned = false;
	u64 addr;
	int ret;

	req->state = IOAS_MAPPING_WRITING;
	for (;;) {
		if (unlikely(down_read_killable(&ioas->tables.sem)))
			return -EINTR;
		m = ioas_reserve(ioas, req);
		if (IS_ERR(m)) {
			up_read(&ioas->tables.sem);
			return PTR_ERR(m);
		}
		addr = req->addr;
		ret = ioas_ref_get(ioas, m, false, &addr);
		if (likely(!ret)) {
			ret = write_ref(ioas, m);
			if (likely(ret != -EAGAIN))
				return publish(ioas, m, ret);
			spin_unlock(&ioas->lock);
		} else if (unlikely(ret == IOAS_REF_DEVICE)) {
			return publish_device(ioas, m);
		} else if (unlikely(ret == -EREMOTE)) {
			ret = publish_pieces(ioas, m, req, &addr, &poisoned);
			if (!ret)
				return 0;
		}
		ioas_abort_writing(ioas, m);
		up_read(&ioas->tables.sem);
		if (unlikely(poisoned))
			ioas->ops->poisoned(ioas);
		if (ret != -EAGAIN) {
			req->fault_addr = addr;
			return ret;
		}
		cond_resched();
		ret = ioas_ref_wait(ioas, req, addr);
		if (ret)
			return ret;
	}
}

/**
 * ioas_map_ref() - map by reference, at a fixed IOVA
 * @ioas: a child
 * @req: the map request
 *
 * Reserve and commit in one, since no step takes long, but for a page fault of
 * memory that the parent pins on demand.  A long write stops for a thread that waits
 * for the mapping, or for the memory, and is then tried again.
 *
 * Context: may sleep; waits for no page fault but that of its memory.
 * Return: as ioas_reserve() and ioas_commit().
 */
int ioas_map_ref(struct ioas *ioas, struct ioas_map_request *req)
{
	int ret = map_ref(ioas, req);

	ioas_ref_end(ioas, req);
	return ret;
}

/*
 * Take tables.sem and the lock, to write a mapping that is in no table.  Waits
 * while a claim has it.  Returns -ECANCELED, the range was taken, or -EINTR, a
 * fatal signal: only the lock is held then.
 */
static __always_inline int lock_mapping(struct ioas *ioas,
					struct ioas_mapping *m)
	__acquires(&ioas->lock)
{
	int ret;

	for (;;) {
		ret = down_read_killable(&ioas->tables.sem);
		spin_lock(&ioas->lock);
		if (unlikely(ret) || likely(m->state == IOAS_MAPPING_PINNING))
			return ret;
		up_read(&ioas->tables.sem);
		ret = ioas_wait(ioas, m->state != IOAS_MAPPING_CLAIMED, NULL);
		if (m->state == IOAS_MAPPING_CANCELLED)
			ret = -ECANCELED;
		if (ret)
			return ret;
		spin_unlock(&ioas->lock);
	}
}

/* Make a mapping PINNING again, whose write was stopped */
static void unlock_mapping(struct ioas *ioas, struct ioas_mapping *m)
	__releases(&ioas->lock)
{
	ioas_mapping_set_state(m, IOAS_MAPPING_PINNING);
	WRITE_ONCE(m->wanted, false);
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	up_read(&ioas->tables.sem);
	cond_resched();
}

/*
 * Refer to the parent's memory, write and publish.  The mapping is WRITING
 * before it has a reference, so that a thread that waits for the reference waits
 * for something bounded.
 */
static int commit_reference(struct ioas *ioas, struct ioas_mapping *m,
			    struct ioas_map_request *req)
{
	bool poisoned = false;
	u64 addr;
	int ret;

	do {
		addr = req->addr;
		ret = lock_mapping(ioas, m);
		if (unlikely(ret)) {
			spin_unlock(&ioas->lock);
			break;
		}
		ioas_mapping_set_state(m, IOAS_MAPPING_WRITING);
		spin_unlock(&ioas->lock);
		ret = ioas_ref_get(ioas, m, false, &addr);
		if (likely(!ret)) {
			ret = write_ref(ioas, m);
			if (likely(ret != -EAGAIN))
				return publish(ioas, m, ret);
			spin_unlock(&ioas->lock);
			if (ioas_dirty_any())
				ioas_dirty_undone(ioas, m);
			m->next = NULL;
			ioas_ref_put(ioas, m);
			/* An import made it an address of the parent */
			m->addr = req->addr;
		} else if (unlikely(ret == IOAS_REF_DEVICE)) {
			return publish_device(ioas, m);
		} else if (unlikely(ret == -EREMOTE)) {
			ret = publish_pieces(ioas, m, req, &addr, &poisoned);
			if (!ret)
				return 0;
		}
		spin_lock(&ioas->lock);
		if (likely(ret != -EAGAIN)) {
			req->fault_addr = addr;
			ret = publish(ioas, m, ret);
			if (unlikely(poisoned))
				ioas->ops->poisoned(ioas);
			return ret;
		}
		unlock_mapping(ioas, m);
		if (unlikely(poisoned))
			ioas->ops->poisoned(ioas);
		ret = ioas_ref_wait(ioas, req, addr);
	} while (!ret);
	return abandon(ioas, m, ret);
}

/* Write and publish a mapping that has its memory, or is reserved */
static int commit_pinned(struct ioas *ioas, struct ioas_mapping *m)
{
	int ret;

	do {
		ret = lock_mapping(ioas, m);
		if (unlikely(ret)) {
			spin_unlock(&ioas->lock);
			break;
		}
		ret = write_mapping(ioas, m);
		if (likely(ret != -EAGAIN))
			return publish(ioas, m, ret);
		/* A thread that needs the range may cancel it now */
		unlock_mapping(ioas, m);
		ret = fatal_signal_pending(current) ? -EINTR : 0;
	} while (!ret);
	return abandon(ioas, m, ret);
}

/**
 * ioas_commit() - pin, write and publish a reserved mapping
 * @ioas: the address space
 * @m: from ioas_reserve(); not to be touched afterwards
 * @req: the request that was passed there
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0; on failure the range is free again:
 * -ECANCELED, another thread took the range;
 * -EINTR, a fatal signal;
 * errnos of ioasid_memory_get(), or for a child of ioas_ref_get();
 * -ENOMEM, -ENOSPC or -EIO of the IOMMU driver.
 */
int ioas_commit(struct ioas *ioas, struct ioas_mapping *m,
		struct ioas_map_request *req)
{
	int ret;

	if (req->flags & IOASID_MAP_RESERVE)
		return commit_pinned(ioas, m);
	if (unlikely(ioas->parent)) {
		ret = commit_reference(ioas, m, req);
		ioas_ref_end(ioas, req);
		return ret;
	}
	ret = ioas_mapping_get_memory(ioas, m, req);
	/* What is pinned on demand is covered then */
	if (!ret && ioas_dirty_any() && ioas_mapping_has_memory(m))
		ret = ioas_dirty_cover(ioas, m->start, m->last);
	if (ret)
		return abandon(ioas, m, ret);
	return commit_pinned(ioas, m);
}
EXPORT_SYMBOL_IF_KUNIT(ioas_commit);
