// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software devices on a space: kernel drivers that read, write and pin on a
 * device's behalf, with no IOMMU in between.
 *
 * Invariants:
 *  - A page that is pinned stays in its mapping: an unmap makes the mapping
 *    LEAVING, calls the listeners, and waits until the last pin is gone, or
 *    makes it LIVE again.
 *  - Listeners are called with no lock held, and with no mapping in a state that
 *    a thread waits for that pins or reads.  So a driver may hold a lock over
 *    these and take it in its callback: ioasid_driver_map models that one.
 *  - A reader holds a mapping by @readers for as long as it copies one page, or
 *    looks one up.
 *
 * Waits: for pins to go, as long as ioasid_unmap_request.patience, or until a
 * fatal signal; for a driver's callback to return, when its device leaves.  A
 * thread that pins or reads waits for CUTTING, which calls no driver and takes
 * as long as an IOMMU driver does to change the tables.
 *
 * Locks: ioasid_space.lock protects the pins and the list of listeners.
 */
#include <linux/highmem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "access.h"
#include "ioas.h"
#include "mapping.h"
#include "tree.h"

/* Pages that are let go, mappings that are looked at with the lock held */
#define UNPIN_BATCH	64
#define LIST_BATCH	256

#ifdef CONFIG_LOCKDEP

struct lockdep_map ioasid_driver_map =
	STATIC_LOCKDEP_MAP_INIT("ioasid_access_ops.unmap", &ioasid_driver_map);

struct lockdep_map ioasid_cutting_map =
	STATIC_LOCKDEP_MAP_INIT("IOASID_MAPPING_CUTTING", &ioasid_cutting_map);

#endif

/**
 * ioasid_software_init() - prepare a space for software devices
 * @space: the space; may be prepared already
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioasid_software_init(struct ioasid_space *space)
{
	struct ioasid_software *software;

	software = kzalloc(sizeof(*software), GFP_KERNEL_ACCOUNT);
	if (!software)
		return -ENOMEM;
	xa_init_flags(&software->pinned, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&software->listeners);
	spin_lock(&space->lock);
	if (!space->software)
		swap(space->software, software);
	spin_unlock(&space->lock);
	kfree(software);
	return 0;
}

/**
 * ioasid_listener_add() - a software device begins to use a space
 * @space: the space, prepared for software devices
 * @listener: the device
 */
void ioasid_listener_add(struct ioasid_space *space,
			 struct ioasid_listener *listener)
{
	spin_lock(&space->lock);
	listener->calls = 0;
	list_add_tail(&listener->node, &space->software->listeners);
	spin_unlock(&space->lock);
}

/**
 * ioasid_listener_remove() - a software device stops to use a space
 * @space: the space
 * @listener: the device; has no pins
 *
 * Context: may sleep, until threads have left the listener.
 */
void ioasid_listener_remove(struct ioasid_space *space,
			    struct ioasid_listener *listener)
{
	spin_lock(&space->lock);
	/* A thread that is in it needs it to find the next one */
	wait_event_cmd(space->wait, !listener->calls,
		       spin_unlock(&space->lock), spin_lock(&space->lock));
	list_del(&listener->node);
	spin_unlock(&space->lock);
}

/**
 * ioasid_software_free() - the space ends
 * @software: of the space; no listener is left
 */
void ioasid_software_free(struct ioasid_software *software)
{
	xa_destroy(&software->pinned);
	kfree(software);
}

/* ---- Unmap ---- */

/**
 * ioasid_software_pinned() - do software devices hold pages of a range
 * @space: the space, prepared for software devices; its lock is held
 * @start: first byte
 * @last: last byte
 *
 * Return: whether they do.
 */
bool ioasid_software_pinned(const struct ioasid_space *space, u64 start,
			    u64 last)
{
	unsigned long index = start >> PAGE_SHIFT;

	lockdep_assert_held(&space->lock);
	/* Where room was reserved only, nothing is pinned yet */
	return xa_find(&space->software->pinned, &index, last >> PAGE_SHIFT,
		       XA_PRESENT);
}

static bool is_pinned(const struct ioasid_space *space,
		      const struct ioasid_mapping *m)
{
	return ioasid_software_pinned(space, m->start, m->last);
}

/* The first mapping from @m on that is pinned; a list may be long */
static struct ioasid_mapping *first_pinned(struct ioasid_space *space,
					   struct ioasid_mapping *m)
{
	unsigned int n = 0;

	while (m && !is_pinned(space, m)) {
		m = m->next;
		if (++n % LIST_BATCH == 0)
			ioasid_space_relax(space);
	}
	return m;
}

/* Call a driver, with the lock dropped meanwhile */
static void call_listener(struct ioasid_space *space,
			  struct ioasid_listener *listener, u64 start, u64 last)
	__must_hold(&space->lock)
{
	listener->calls++;
	spin_unlock(&space->lock);
	/* As if the driver took its lock, and no other */
	lock_map_acquire(&ioasid_driver_map);
	lock_map_release(&ioasid_driver_map);
	listener->unmap(listener, start, last);
	spin_lock(&space->lock);
	if (!--listener->calls)
		ioasid_space_wake(space);
}

/**
 * ioasid_listeners_unmap() - have the software devices let go
 * @space: the space
 * @leaving: LEAVING mappings of the caller, linked by @next, ascending; those
 *	that are not let go of are LIVE again, and off the list
 * @req: whose patience it takes
 *
 * Context: may sleep; no lock is held.
 * Return: 0; -EBUSY, some were not let go of; -EINTR, a fatal signal.
 */
int ioasid_listeners_unmap(struct ioasid_space *space,
			   struct ioasid_mapping **leaving,
			   struct ioasid_unmap_request *req)
{
	bool forced = req->flags & IOASID_UNMAP_FORCED;
	struct ioasid_listener *listener;
	struct ioasid_mapping *m;
	unsigned int n = 0;
	DEFINE_WAIT(wait);
	int ret = 0;

	lockdep_assert_not_held(&space->domains_sem);
	spin_lock(&space->lock);
	for (m = *leaving; m; m = m->next) {
		if (++n % LIST_BATCH == 0)
			ioasid_space_relax(space);
		list_for_each_entry(listener, &space->software->listeners,
				    node) {
			if (!is_pinned(space, m))
				break;
			call_listener(space, listener, m->start, m->last);
		}
	}

	m = *leaving;
	while ((m = first_pinned(space, m)) && req->patience &&
	       (forced || !fatal_signal_pending(current))) {
		prepare_to_wait(&space->wait, &wait, forced ?
				TASK_UNINTERRUPTIBLE : TASK_KILLABLE);
		spin_unlock(&space->lock);
		req->patience = schedule_timeout(req->patience);
		finish_wait(&space->wait, &wait);
		spin_lock(&space->lock);
	}
	while ((m = *leaving)) {
		if (++n % LIST_BATCH == 0)
			ioasid_space_relax(space);
		if (is_pinned(space, m)) {
			if (!ret)
				req->kept = m->start;
			m->state = IOASID_MAPPING_LIVE;
			*leaving = m->next;
			ret = -EBUSY;
		} else {
			leaving = &m->next;
		}
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	if (ret && !forced && fatal_signal_pending(current))
		ret = -EINTR;
	return ret;
}

/* ---- Pin, read and write ---- */

static bool is_cut(struct ioasid_space *space, u64 addr)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, addr);

	return m && m->start <= addr && m->state == IOASID_MAPPING_CUTTING;
}

/*
 * The usable mapping at @addr, with a reader counted; waits while it is being
 * cut.  Called with the lock held.
 */
static struct ioasid_mapping *mapping_read(struct ioasid_space *space, u64 addr,
					   bool write)
	__must_hold(&space->lock)
{
	unsigned int need = write ? IOASID_MAP_WRITE : IOASID_MAP_READ;
	struct ioasid_mapping *m;

	for (;;) {
		m = ioasid_mapping_first(space, addr);
		if (!m || m->start > addr || !m->mem.npages)
			return ERR_PTR(-ENOENT);
		if (likely(m->state == IOASID_MAPPING_LIVE))
			break;
		if (m->state != IOASID_MAPPING_CUTTING)
			return ERR_PTR(-ENOENT);
		/* No driver is called back before that ends */
		spin_unlock(&space->lock);
		lock_map_acquire_read(&ioasid_cutting_map);
		lock_map_release(&ioasid_cutting_map);
		spin_lock(&space->lock);
		wait_event_cmd(space->wait, !is_cut(space, addr),
			       spin_unlock(&space->lock),
			       spin_lock(&space->lock));
	}
	if (!(m->flags & need))
		return ERR_PTR(-EPERM);
	m->readers++;
	return m;
}

static void mapping_read_done(struct ioasid_space *space,
			      struct ioasid_mapping *m)
{
	lockdep_assert_held(&space->lock);
	if (!--m->readers)
		ioasid_space_wake(space);
}

static int pin_one(struct ioasid_space *space, u64 iova, bool write,
		   struct page **page)
{
	unsigned long index = iova >> PAGE_SHIFT, count;
	struct ioasid_mapping *m;
	void *entry;
	int ret;

	/* Makes room, so that the store under the lock needs no memory */
	ret = xa_reserve(&space->software->pinned, index, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	spin_lock(&space->lock);
	m = mapping_read(space, iova, write);
	ret = PTR_ERR_OR_ZERO(m);
	if (!ret) {
		entry = xa_load(&space->software->pinned, index);
		count = entry ? xa_to_value(entry) : 0;
		/* An unpin may have taken the room away again */
		ret = xa_err(xa_store(&space->software->pinned, index,
				      xa_mk_value(count + 1), GFP_ATOMIC));
		spin_unlock(&space->lock);
		/* May be a long way through the extents */
		if (!ret)
			*page = ioasid_memory_page(&m->mem, (iova - m->start) >>
							    PAGE_SHIFT);
		spin_lock(&space->lock);
		mapping_read_done(space, m);
	}
	spin_unlock(&space->lock);
	if (ret)
		xa_release(&space->software->pinned, index);
	return ret;
}

/**
 * ioasid_space_unpin() - a software device lets pages go
 * @space: the space
 * @iova: first byte, page aligned
 * @npages: how many pages; those that are not pinned are passed over
 */
void ioasid_space_unpin(struct ioasid_space *space, u64 iova,
			unsigned long npages)
{
	unsigned long index = iova >> PAGE_SHIFT, count, last;
	unsigned int n = 0;
	void *entry;

	if (!npages)
		return;
	last = index + (npages - 1);
	spin_lock(&space->lock);
	/* In a huge range, only what is pinned is looked at */
	while ((entry = xa_find(&space->software->pinned, &index, last,
				XA_PRESENT))) {
		count = xa_to_value(entry) - 1;
		if (count)
			xa_store(&space->software->pinned, index,
				 xa_mk_value(count), GFP_ATOMIC);
		else
			xa_erase(&space->software->pinned, index);
		if (index++ == last)
			break;
		if (++n % UNPIN_BATCH == 0) {
			ioasid_space_wake(space);
			ioasid_space_relax(space);
		}
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
}

/**
 * ioasid_space_pin() - a software device pins pages
 * @space: the space
 * @iova: first byte, page aligned
 * @npages: how many pages
 * @write: the device will write
 * @pages: out, the pages
 *
 * They stay usable until they are unpinned; who unmaps them has the listeners
 * told, and waits.
 *
 * Context: may sleep.
 * Return: 0; -ENOENT, not all is mapped; -EPERM, not with this permission;
 * -ENOMEM.
 */
int ioasid_space_pin(struct ioasid_space *space, u64 iova,
		     unsigned long npages, bool write, struct page **pages)
{
	unsigned long done;
	int ret;

	for (done = 0; done < npages; done++) {
		ret = pin_one(space, iova + ((u64)done << PAGE_SHIFT), write,
			      &pages[done]);
		if (ret) {
			ioasid_space_unpin(space, iova, done);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/**
 * ioasid_space_unpin_all() - have a software device let everything go
 * @space: the space
 * @listener: the device
 *
 * Called before the device leaves.
 */
void ioasid_space_unpin_all(struct ioasid_space *space,
			    struct ioasid_listener *listener)
{
	unsigned long index;
	void *entry;

	xa_for_each(&space->software->pinned, index, entry) {
		u64 start = (u64)index << PAGE_SHIFT;

		listener->unmap(listener, start, start + (PAGE_SIZE - 1));
		cond_resched();
	}
}

static void copy_in_page(const struct ioasid_mapping *m, u64 offset, void *data,
			 size_t length, bool write)
{
	struct page *page = ioasid_memory_page(&m->mem, offset >> PAGE_SHIFT);

	if (write)
		memcpy_to_page(page, offset_in_page(offset), data, length);
	else
		memcpy_from_page(data, page, offset_in_page(offset), length);
}

/**
 * ioasid_space_rw() - read or write as a device would
 * @space: the space
 * @iova: first byte, of any alignment
 * @data: kernel memory
 * @length: bytes
 * @write: from @data to the IOVA
 *
 * Context: may sleep; any thread.
 * Return: 0; -ENOENT, not all is mapped; -EPERM, not with this permission. Part
 * may have been copied then.
 */
int ioasid_space_rw(struct ioasid_space *space, u64 iova, void *data,
		    size_t length, bool write)
{
	struct ioasid_mapping *m;
	size_t n;

	while (length) {
		n = min(length, PAGE_SIZE - offset_in_page(iova));
		spin_lock(&space->lock);
		m = mapping_read(space, iova, write);
		spin_unlock(&space->lock);
		if (IS_ERR(m))
			return PTR_ERR(m);

		/* Page by page, so that a change or unmap does not wait long */
		copy_in_page(m, iova - m->start, data, n, write);

		spin_lock(&space->lock);
		mapping_read_done(space, m);
		spin_unlock(&space->lock);
		iova += n;
		data += n;
		length -= n;
		cond_resched();
	}
	return 0;
}
