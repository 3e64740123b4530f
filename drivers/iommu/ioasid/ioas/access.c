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
 *    these and take it in its callback: ioas_driver_map models that one.
 *  - A reader holds a mapping by @readers for as long as it copies one page, or
 *    looks one up.
 *
 * Waits: for pins to go, as long as ioas_unmap_request.patience, or until a
 * fatal signal; for a driver's callback to return, when its device leaves.  A
 * thread that pins or reads waits for CHANGING, which calls no driver and takes
 * as long as an IOMMU driver does to change the tables.
 *
 * Locks: ioas.lock protects the pins and the list of listeners.
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

/**
 * ioas_holds_init() - prepare a space for software devices
 * @ioas: the space; may be prepared already
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioas_holds_init(struct ioas *ioas)
{
	struct ioas_holds *holds;

	holds = kzalloc(sizeof(*holds), GFP_KERNEL_ACCOUNT);
	if (!holds)
		return -ENOMEM;
	xa_init_flags(&holds->held, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&holds->accesses);
	spin_lock(&ioas->lock);
	if (!ioas->holds)
		swap(ioas->holds, holds);
	spin_unlock(&ioas->lock);
	kfree(holds);
	return 0;
}

/**
 * ioas_access_add() - a software device begins to use a space
 * @ioas: the space, prepared for software devices
 * @access: the device
 */
void ioas_access_add(struct ioas *ioas,
		     struct ioas_access *access)
{
	spin_lock(&ioas->lock);
	access->calls = 0;
	list_add_tail(&access->node, &ioas->holds->accesses);
	spin_unlock(&ioas->lock);
}

/**
 * ioas_access_remove() - a software device stops to use a space
 * @ioas: the space
 * @access: the device; has no pins
 *
 * Context: may sleep, until threads have left the listener.
 */
void ioas_access_remove(struct ioas *ioas,
			struct ioas_access *access)
{
	spin_lock(&ioas->lock);
	/* A thread that is in it needs it to find the next one */
	wait_event_cmd(ioas->wait, !access->calls,
		       spin_unlock(&ioas->lock), spin_lock(&ioas->lock));
	list_del(&access->node);
	spin_unlock(&ioas->lock);
}

/**
 * ioas_holds_free() - the space ends
 * @holds: of the space; no listener is left
 */
void ioas_holds_free(struct ioas_holds *holds)
{
	xa_destroy(&holds->held);
	kfree(holds);
}

/* ---- Unmap ---- */

/**
 * ioas_holds_any() - do software devices hold pages of a range
 * @ioas: the space, prepared for software devices; its lock is held
 * @start: first byte
 * @last: last byte
 *
 * Return: whether they do.
 */
bool ioas_holds_any(const struct ioas *ioas, u64 start,
		    u64 last)
{
	unsigned long index = start >> PAGE_SHIFT;

	lockdep_assert_held(&ioas->lock);
	/* Where room was reserved only, nothing is pinned yet */
	return xa_find(&ioas->holds->held, &index, last >> PAGE_SHIFT,
		       XA_PRESENT);
}

static bool is_pinned(const struct ioas *ioas,
		      const struct ioas_mapping *m)
{
	return ioas_holds_any(ioas, m->start, m->last);
}

/* The first mapping from @m on that is pinned; a list may be long */
static struct ioas_mapping *first_pinned(struct ioas *ioas,
					 struct ioas_mapping *m)
{
	unsigned int n = 0;

	while (m && !is_pinned(ioas, m)) {
		m = m->next;
		if (++n % LIST_BATCH == 0)
			ioas_relax(ioas);
	}
	return m;
}

/* Call a driver, with the lock dropped meanwhile */
static void call_access(struct ioas *ioas,
			struct ioas_access *access, u64 start, u64 last)
	__must_hold(&ioas->lock)
{
	access->calls++;
	spin_unlock(&ioas->lock);
	/* As if the driver took its lock, and no other */
	lock_map_acquire(&ioas_driver_map);
	lock_map_release(&ioas_driver_map);
	access->unmap(access, start, last);
	spin_lock(&ioas->lock);
	if (!--access->calls)
		ioas_wake(ioas);
}

/**
 * ioas_accesses_unmap() - have the software devices let go
 * @ioas: the space
 * @leaving: LEAVING mappings of the caller, linked by @next, ascending; those
 *	that are not let go of are LIVE again, and off the list
 * @req: whose patience it takes
 *
 * Context: may sleep; no lock is held.
 * Return: 0; -EBUSY, some were not let go of; -EINTR, a fatal signal.
 */
int ioas_accesses_unmap(struct ioas *ioas,
			struct ioas_mapping **leaving,
			struct ioas_unmap_request *req)
{
	bool forced = req->flags & IOAS_UNMAP_FORCED;
	struct ioas_access *access;
	struct ioas_mapping *m;
	unsigned int n = 0;
	DEFINE_WAIT(wait);
	int ret = 0;

	lockdep_assert_not_held(&ioas->domains_sem);
	spin_lock(&ioas->lock);
	for (m = *leaving; m; m = m->next) {
		if (++n % LIST_BATCH == 0)
			ioas_relax(ioas);
		list_for_each_entry(access, &ioas->holds->accesses,
				    node) {
			if (!is_pinned(ioas, m))
				break;
			call_access(ioas, access, m->start, m->last);
		}
	}

	m = *leaving;
	while ((m = first_pinned(ioas, m)) && req->patience &&
	       (forced || !fatal_signal_pending(current))) {
		prepare_to_wait(&ioas->wait, &wait, forced ?
				TASK_UNINTERRUPTIBLE : TASK_KILLABLE);
		spin_unlock(&ioas->lock);
		req->patience = schedule_timeout(req->patience);
		finish_wait(&ioas->wait, &wait);
		spin_lock(&ioas->lock);
	}
	while ((m = *leaving)) {
		if (++n % LIST_BATCH == 0)
			ioas_relax(ioas);
		if (is_pinned(ioas, m)) {
			if (!ret)
				req->kept = m->start;
			ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
			*leaving = m->next;
			ret = -EBUSY;
		} else {
			leaving = &m->next;
		}
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	if (ret && !forced && fatal_signal_pending(current))
		ret = -EINTR;
	return ret;
}

/* ---- Pin, read and write ---- */

static bool is_cut(struct ioas *ioas, u64 addr)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, addr);

	return m && m->start <= addr && m->state == IOAS_MAPPING_CHANGING;
}

/*
 * The usable mapping at @addr, with a reader counted; waits while it is being
 * cut.  Called with the lock held.
 */
static struct ioas_mapping *mapping_read(struct ioas *ioas, u64 addr,
					 bool write)
	__must_hold(&ioas->lock)
{
	unsigned int need = write ? IOASID_MAP_WRITE : IOASID_MAP_READ;
	struct ioas_mapping *m;

	for (;;) {
		m = ioas_mapping_first(ioas, addr);
		if (!m || m->start > addr || !m->mem.npages)
			return ERR_PTR(-ENOENT);
		if (likely(m->state == IOAS_MAPPING_LIVE))
			break;
		if (m->state != IOAS_MAPPING_CHANGING)
			return ERR_PTR(-ENOENT);
		/* No driver is called back before that ends */
		spin_unlock(&ioas->lock);
		lock_map_acquire_read(&ioas_changing_map);
		lock_map_release(&ioas_changing_map);
		spin_lock(&ioas->lock);
		wait_event_cmd(ioas->wait, !is_cut(ioas, addr),
			       spin_unlock(&ioas->lock),
			       spin_lock(&ioas->lock));
	}
	if (!(m->flags & need))
		return ERR_PTR(-EPERM);
	m->readers++;
	return m;
}

static void mapping_read_done(struct ioas *ioas,
			      struct ioas_mapping *m)
{
	lockdep_assert_held(&ioas->lock);
	if (!--m->readers)
		ioas_wake(ioas);
}

static int pin_one(struct ioas *ioas, u64 iova, bool write,
		   struct page **page)
{
	unsigned long index = iova >> PAGE_SHIFT, count;
	struct ioas_mapping *m;
	void *entry;
	int ret;

	/* Makes room, so that the store under the lock needs no memory */
	ret = xa_reserve(&ioas->holds->held, index, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	spin_lock(&ioas->lock);
	m = mapping_read(ioas, iova, write);
	ret = PTR_ERR_OR_ZERO(m);
	if (!ret) {
		entry = xa_load(&ioas->holds->held, index);
		count = entry ? xa_to_value(entry) : 0;
		/* An unpin may have taken the room away again */
		ret = xa_err(xa_store(&ioas->holds->held, index,
				      xa_mk_value(count + 1), GFP_ATOMIC));
		spin_unlock(&ioas->lock);
		/* May be a long way through the extents */
		if (!ret)
			*page = ioasid_memory_page(&m->mem, (iova - m->start) >>
							    PAGE_SHIFT);
		spin_lock(&ioas->lock);
		mapping_read_done(ioas, m);
	}
	spin_unlock(&ioas->lock);
	if (ret)
		xa_release(&ioas->holds->held, index);
	return ret;
}

/**
 * ioas_unpin_pages() - a software device lets pages go
 * @ioas: the space
 * @iova: first byte, page aligned
 * @npages: how many pages; those that are not pinned are passed over
 */
void ioas_unpin_pages(struct ioas *ioas, u64 iova,
		      unsigned long npages)
{
	unsigned long index = iova >> PAGE_SHIFT, count, last;
	unsigned int n = 0;
	void *entry;

	if (!npages)
		return;
	last = index + (npages - 1);
	spin_lock(&ioas->lock);
	/* In a huge range, only what is pinned is looked at */
	while ((entry = xa_find(&ioas->holds->held, &index, last,
				XA_PRESENT))) {
		count = xa_to_value(entry) - 1;
		if (count)
			xa_store(&ioas->holds->held, index,
				 xa_mk_value(count), GFP_ATOMIC);
		else
			xa_erase(&ioas->holds->held, index);
		if (index++ == last)
			break;
		if (++n % UNPIN_BATCH == 0) {
			ioas_wake(ioas);
			ioas_relax(ioas);
		}
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
}

/**
 * ioas_pin_pages() - a software device pins pages
 * @ioas: the space
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
int ioas_pin_pages(struct ioas *ioas, u64 iova,
		   unsigned long npages, bool write, struct page **pages)
{
	unsigned long done;
	int ret;

	for (done = 0; done < npages; done++) {
		ret = pin_one(ioas, iova + ((u64)done << PAGE_SHIFT), write,
			      &pages[done]);
		if (ret) {
			ioas_unpin_pages(ioas, iova, done);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/**
 * ioas_unpin_all() - have a software device let everything go
 * @ioas: the space
 * @access: the device
 *
 * Called before the device leaves.
 */
void ioas_unpin_all(struct ioas *ioas,
		    struct ioas_access *access)
{
	unsigned long index;
	void *entry;

	xa_for_each(&ioas->holds->held, index, entry) {
		u64 start = (u64)index << PAGE_SHIFT;

		access->unmap(access, start, start + (PAGE_SIZE - 1));
		cond_resched();
	}
}

static void copy_in_page(const struct ioas_mapping *m, u64 offset, void *data,
			 size_t length, bool write)
{
	struct page *page = ioasid_memory_page(&m->mem, offset >> PAGE_SHIFT);

	if (write)
		memcpy_to_page(page, offset_in_page(offset), data, length);
	else
		memcpy_from_page(data, page, offset_in_page(offset), length);
}

/**
 * ioas_rw() - read or write as a device would
 * @ioas: the space
 * @iova: first byte, of any alignment
 * @data: kernel memory
 * @length: bytes
 * @write: from @data to the IOVA
 *
 * Context: may sleep; any thread.
 * Return: 0; -ENOENT, not all is mapped; -EPERM, not with this permission. Part
 * may have been copied then.
 */
int ioas_rw(struct ioas *ioas, u64 iova, void *data,
	    size_t length, bool write)
{
	struct ioas_mapping *m;
	size_t n;

	while (length) {
		n = min(length, PAGE_SIZE - offset_in_page(iova));
		spin_lock(&ioas->lock);
		m = mapping_read(ioas, iova, write);
		spin_unlock(&ioas->lock);
		if (IS_ERR(m))
			return PTR_ERR(m);

		/* Page by page, so that a change or unmap does not wait long */
		copy_in_page(m, iova - m->start, data, n, write);

		spin_lock(&ioas->lock);
		mapping_read_done(ioas, m);
		spin_unlock(&ioas->lock);
		iova += n;
		data += n;
		length -= n;
		cond_resched();
	}
	return 0;
}
