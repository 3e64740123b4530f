// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses of an address space: software devices, whose kernel drivers read,
 * write and pin on a device's behalf, with no IOMMU in between.
 *
 * Invariants:
 *  - A page that is pinned stays in its mapping: an unmap makes the mapping
 *    LEAVING, calls the accesses, and waits until the last pin ends, or makes
 *    it LIVE again.
 *  - Accesses are called with no lock held, and with no mapping in a state that
 *    pinning or reading threads wait for.  So a driver may hold a lock over
 *    these and take it in its callback: ioas_driver_map models that lock.
 *  - A reader holds a mapping by @readers while it copies one page, or looks
 *    one up.
 *
 * Waits: for pins to end, as long as ioas_unmap_request.patience, or until a
 * fatal signal; for a driver's callback to return, when its access is removed.
 * A thread that pins or reads waits for CHANGING, which calls no driver and
 * takes as long as an IOMMU driver takes to change the tables.
 *
 * Locks: ioas.lock protects the pins and the list of accesses.
 */
#include <linux/highmem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "access.h"
#include "dirty.h"
#include "ioas.h"
#include "mapping.h"
#include "tree.h"

/* Pages that are unpinned, and mappings that are tested, with the lock held */
#define UNPIN_BATCH	64
#define LIST_BATCH	256

/**
 * ioas_holds_init() - prepare an address space for accesses
 * @ioas: the address space; may be prepared already
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioas_holds_init(struct ioas *ioas)
{
	struct ioas_holds *holds;

	if (READ_ONCE(ioas->holds))
		return 0;
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
 * ioas_access_add() - add an access to an address space
 * @ioas: the address space, prepared for accesses
 * @access: the access
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
 * ioas_access_remove() - remove an access from its address space
 * @ioas: the address space
 * @access: the access; has no pins
 *
 * Context: may sleep, until all calls of the access have returned.
 */
void ioas_access_remove(struct ioas *ioas,
			struct ioas_access *access)
{
	spin_lock(&ioas->lock);
	/* A caller of the access needs it to find the next one */
	wait_event_cmd(ioas->wait, !access->calls,
		       spin_unlock(&ioas->lock), spin_lock(&ioas->lock));
	list_del(&access->node);
	spin_unlock(&ioas->lock);
}

/**
 * ioas_holds_free() - free the table of pins
 * @holds: of the address space; has no access
 */
void ioas_holds_free(struct ioas_holds *holds)
{
	xa_destroy(&holds->held);
	kfree(holds);
}

/* ---- Unmap ---- */

/**
 * ioas_holds_any() - test whether accesses hold pages of a range
 * @ioas: the address space, prepared for accesses; its lock is held
 * @start: first byte
 * @last: last byte
 *
 * Return: true if they do.
 */
bool ioas_holds_any(const struct ioas *ioas, u64 start,
		    u64 last)
{
	unsigned long index = start >> PAGE_SHIFT;

	lockdep_assert_held(&ioas->lock);
	/* Reserved entries do not count: nothing is pinned there yet */
	return xa_find(&ioas->holds->held, &index, last >> PAGE_SHIFT,
		       XA_PRESENT);
}

static bool is_pinned(const struct ioas *ioas,
		      const struct ioas_mapping *m)
{
	return ioas_holds_any(ioas, m->start, m->last);
}

/* Find the first mapping from @m on that is pinned; the list may be long */
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

/* Call an access, with the lock dropped meanwhile */
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
 * ioas_accesses_unmap() - ask the accesses to unpin, and wait for it
 * @ioas: the address space
 * @leaving: LEAVING mappings of the caller, linked by @next, ascending; those
 *	that stay pinned become LIVE, and leave the list
 * @req: its patience is used up
 *
 * Context: may sleep; no lock is held.
 * Return: 0; -EBUSY, some pages are still held; -EINTR, a fatal signal.
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

	lockdep_assert_not_held(&ioas->tables.sem);
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
 * Find the usable mapping at @addr, and count a reader.  Waits while it is
 * CHANGING.  Called with the lock held.
 */
static struct ioas_mapping *mapping_read(struct ioas *ioas, u64 addr,
					 bool write)
	__must_hold(&ioas->lock)
{
	unsigned int need = write ? IOASID_MAP_WRITE : IOASID_MAP_READ;
	struct ioas_mapping *m;

	for (;;) {
		m = ioas_mapping_first(ioas, addr);
		if (!m || m->start > addr || !ioas_mapping_has_memory(m))
			return ERR_PTR(-ENOENT);
		if (likely(m->state == IOAS_MAPPING_LIVE))
			break;
		if (m->state != IOAS_MAPPING_CHANGING)
			return ERR_PTR(-ENOENT);
		/* No driver is called back before CHANGING ends */
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

	/* Reserve the entry: the store under the lock needs no memory */
	ret = xa_reserve(&ioas->holds->held, index, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	spin_lock(&ioas->lock);
	m = mapping_read(ioas, iova, write);
	ret = PTR_ERR_OR_ZERO(m);
	if (!ret) {
		entry = xa_load(&ioas->holds->held, index);
		count = entry ? xa_to_value(entry) : 0;
		/* An unpin may have freed the reserved entry */
		ret = xa_err(xa_store(&ioas->holds->held, index,
				      xa_mk_value(count + 1), GFP_ATOMIC));
		if (!ret && write)
			xa_set_mark(&ioas->holds->held, index,
				    IOAS_HELD_WRITABLE);
		spin_unlock(&ioas->lock);
		/* The walk through the extents may be long */
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
 * ioas_unpin_pages() - unpin pages for an access
 * @ioas: the address space
 * @iova: first byte, page aligned
 * @npages: number of pages; pages that are not pinned are skipped
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
	/* What was pinned for writing was written by now */
	if (ioas_dirty_any())
		ioas_dirty_mark_held(ioas, iova, ((u64)last << PAGE_SHIFT) |
						 (PAGE_SIZE - 1));
	spin_lock(&ioas->lock);
	/* In a huge range, visit only pages that are pinned */
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
 * ioas_pin_pages() - pin pages for an access
 * @ioas: the address space
 * @iova: first byte, page aligned
 * @npages: number of pages
 * @write: the access will write
 * @pages: out, the pages
 *
 * The pages stay usable until they are unpinned: an unmap calls the accesses,
 * and waits.
 *
 * Context: may sleep.
 * Return: 0; or
 * -ENOENT, not all is mapped;
 * -EPERM, a mapping lacks the permission;
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
 * ioas_unpin_all() - ask an access to unpin all its pages
 * @ioas: the address space
 * @access: the access
 *
 * Called before the access is removed.
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
 * ioas_rw() - copy from or to an address space, as a device would
 * @ioas: the address space
 * @iova: first byte, of any alignment
 * @data: kernel memory
 * @length: bytes
 * @write: copy from @data to the IOVA
 *
 * Context: may sleep; any thread.
 * Return: 0; -ENOENT, not all is mapped; -EPERM, a mapping lacks the
 * permission.  On failure a part may have been copied.
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

		/* Page by page: a change or an unmap must not wait long */
		copy_in_page(m, iova - m->start, data, n, write);
		if (write && ioas_dirty_any())
			ioas_dirty_mark(ioas, iova, iova + (n - 1));

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
