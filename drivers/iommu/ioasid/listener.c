// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software devices on a space: kernel drivers that read, write and pin on a
 * device's behalf, with no IOMMU in between.
 *
 * Invariants:
 *  - A page that is pinned stays in its mapping: who unmaps has the listeners
 *    told, and waits until the last pin is gone, or gives the mapping back.
 *  - ioasid_mapping.pins is the sum of what is counted for its pages.
 *  - Who reads or writes holds the mapping by @readers for as long as it
 *    copies.
 *
 * Locks: ioasid_space.lock protects the pins, ioasid_space.domains_sem the list
 * of listeners.
 */
#include <linux/highmem.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "space.h"

/* How long a software device may take to let a page go */
#define LISTENER_TIMEOUT	(5 * HZ)

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
	int ret = 0;

	down_write(&space->domains_sem);
	if (!space->software) {
		software = kzalloc(sizeof(*software), GFP_KERNEL_ACCOUNT);
		if (software) {
			xa_init_flags(&software->pinned, XA_FLAGS_ACCOUNT);
			INIT_LIST_HEAD(&software->listeners);
			space->software = software;
		} else {
			ret = -ENOMEM;
		}
	}
	up_write(&space->domains_sem);
	return ret;
}

/**
 * ioasid_listener_add() - a software device begins to use a space
 * @space: the space, prepared for software devices
 * @listener: the device
 *
 * Context: may sleep.
 */
void ioasid_listener_add(struct ioasid_space *space,
			 struct ioasid_listener *listener)
{
	down_write(&space->domains_sem);
	list_add_tail(&listener->node, &space->software->listeners);
	up_write(&space->domains_sem);
}

/**
 * ioasid_listener_remove() - a software device stops to use a space
 * @space: the space
 * @listener: the device; has no pins
 *
 * Context: may sleep.
 */
void ioasid_listener_remove(struct ioasid_space *space,
			    struct ioasid_listener *listener)
{
	down_write(&space->domains_sem);
	list_del(&listener->node);
	up_write(&space->domains_sem);
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

static bool pins_left(const struct ioasid_mapping *m)
{
	for (; m; m = m->next)
		if (m->pins)
			return true;
	return false;
}

/**
 * ioasid_listeners_unmap() - have the software devices let go
 * @space: the space; domains_sem is held
 * @dying: DYING mappings, linked by @next; those that are not let go of are
 *	LIVE again, and off the list
 *
 * Return: 0; -EBUSY, some were not let go of.
 */
int ioasid_listeners_unmap(struct ioasid_space *space,
			   struct ioasid_mapping **dying)
{
	struct ioasid_listener *listener;
	long left = LISTENER_TIMEOUT;
	struct ioasid_mapping *m;
	int ret = 0;

	lockdep_assert_held_read(&space->domains_sem);
	list_for_each_entry(listener, &space->software->listeners, node)
		for (m = *dying; m; m = m->next)
			if (READ_ONCE(m->pins))
				listener->unmap(listener, m->start, m->last);

	spin_lock(&space->lock);
	while (pins_left(*dying) && left) {
		DEFINE_WAIT(wait);

		prepare_to_wait(&space->wait, &wait, TASK_UNINTERRUPTIBLE);
		spin_unlock(&space->lock);
		left = schedule_timeout(left);
		finish_wait(&space->wait, &wait);
		spin_lock(&space->lock);
	}
	while ((m = *dying)) {
		if (m->pins) {
			m->state = IOASID_MAPPING_LIVE;
			*dying = m->next;
			ret = -EBUSY;
		} else {
			dying = &m->next;
		}
	}
	ioasid_space_wake(space);
	spin_unlock(&space->lock);
	return ret;
}

static bool has_pins(struct ioasid_space *space, const struct ioasid_mapping *m)
{
	bool pins;

	/* The lock orders this with the wake-up */
	spin_lock(&space->lock);
	pins = m->pins;
	spin_unlock(&space->lock);
	return pins;
}

/**
 * ioasid_listeners_let_go() - have the software devices let go of a mapping
 * @space: the space; domains_sem is held
 * @m: DYING, and stays so
 *
 * Return: 0; -EBUSY, it was not let go of.
 */
int ioasid_listeners_let_go(struct ioasid_space *space,
			    struct ioasid_mapping *m)
{
	struct ioasid_listener *listener;
	long left;

	lockdep_assert_held_read(&space->domains_sem);
	list_for_each_entry(listener, &space->software->listeners, node)
		if (READ_ONCE(m->pins))
			listener->unmap(listener, m->start, m->last);
	left = wait_event_timeout(space->wait, !has_pins(space, m),
				  LISTENER_TIMEOUT);
	return left ? 0 : -EBUSY;
}

/* ---- Pin, read and write ---- */

/* Nobody waits for readers to go, and the mapping at @addr is not being cut */
static bool may_read(struct ioasid_space *space, u64 addr)
{
	struct ioasid_mapping *m = ioasid_mapping_first(space, addr);

	return !space->wanting &&
	       !(m && m->start <= addr && m->state == IOASID_MAPPING_CUTTING);
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
		if (m->state != IOASID_MAPPING_LIVE &&
		    m->state != IOASID_MAPPING_CUTTING)
			return ERR_PTR(-ENOENT);
		if (may_read(space, addr))
			break;
		wait_event_cmd(space->wait, may_read(space, addr),
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
		if (!ret)
			m->pins++;
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
	unsigned long index = iova >> PAGE_SHIFT, count;
	struct ioasid_mapping *m;
	void *entry;

	spin_lock(&space->lock);
	for (; npages; npages--, index++) {
		entry = xa_load(&space->software->pinned, index);
		if (!entry)
			continue;
		count = xa_to_value(entry) - 1;
		if (count)
			xa_store(&space->software->pinned, index, xa_mk_value(count),
				 GFP_ATOMIC);
		else
			xa_erase(&space->software->pinned, index);
		m = ioasid_mapping_first(space, (u64)index << PAGE_SHIFT);
		if (m && m->pins && !--m->pins)
			ioasid_space_wake(space);
	}
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

	down_read(&space->domains_sem);
	xa_for_each(&space->software->pinned, index, entry) {
		u64 start = (u64)index << PAGE_SHIFT;

		listener->unmap(listener, start, start + (PAGE_SIZE - 1));
		cond_resched();
	}
	up_read(&space->domains_sem);
}

static void copy_memory(struct ioasid_mapping *m, u64 offset, void *data,
			size_t length, bool write)
{
	while (length) {
		size_t in_page = offset_in_page(offset);
		size_t n = min(length, PAGE_SIZE - in_page);
		struct page *page = ioasid_memory_page(&m->mem,
						       offset >> PAGE_SHIFT);

		if (write)
			memcpy_to_page(page, in_page, data, n);
		else
			memcpy_from_page(data, page, in_page, n);
		offset += n;
		data += n;
		length -= n;
	}
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
		spin_lock(&space->lock);
		m = mapping_read(space, iova, write);
		spin_unlock(&space->lock);
		if (IS_ERR(m))
			return PTR_ERR(m);

		n = min_t(u64, length - 1, m->last - iova) + 1;
		copy_memory(m, iova - m->start, data, n, write);

		spin_lock(&space->lock);
		mapping_read_done(space, m);
		spin_unlock(&space->lock);
		iova += n;
		data += n;
		length -= n;
	}
	return 0;
}
