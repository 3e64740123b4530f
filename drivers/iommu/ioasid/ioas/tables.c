// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware page tables of an address space: write, change and remove in all
 * of them, or in none.
 *
 * Invariants:
 *  - This file and its header alone walk the domains.
 *  - A LIVE mapping of memory is in every domain of the list, and in the domain
 *    being populated if that is beyond it.
 *  - What fails in one domain is undone in those before it, whether the driver
 *    failed to write or to sync.
 *
 * Locks: ioas_tables.sem is held: for reading, from before a mapping becomes
 * WRITING, CHANGING or REMOVING; for writing, by ioas_tables_lock(), to add and
 * delete domains.  Device memory is written with ioas_devmem.lock held, and
 * removed with that lock alone; see devmem.c.
 *
 * Waits: a long write ends early for a thread that waits for the mapping, or to
 * hold ioas_tables.sem for writing; its caller drops the lock and tries again.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "domain.h"
#include "ioas.h"
#include "iommu.h"
#include "mapping.h"
#include "tables.h"

/* ---- The list ---- */

/**
 * ioas_tables_lock() - exclude map, unmap and revoke from the domains
 * @ioas: the address space; ioas_tables.sem is taken for writing
 */
void ioas_tables_lock(struct ioas *ioas)
{
	down_write(&ioas->tables.sem);
	if (likely(!ioas->devmem))
		return;
	mutex_lock(&ioas->devmem->lock);
	ioas->devmem->exclusive = true;
	mutex_unlock(&ioas->devmem->lock);
}

/**
 * ioas_tables_unlock() - undo ioas_tables_lock()
 * @ioas: the address space
 */
void ioas_tables_unlock(struct ioas *ioas)
{
	if (unlikely(ioas->devmem)) {
		mutex_lock(&ioas->devmem->lock);
		ioas->devmem->exclusive = false;
		mutex_unlock(&ioas->devmem->lock);
		wake_up_all(&ioas->devmem->wait);
	}
	up_write(&ioas->tables.sem);
}

/**
 * ioas_tables_populate_begin() - begin to populate a domain
 * @ioas: the address space; between ioas_tables_lock() and ioas_tables_unlock()
 * @dom: the domain, empty
 */
void ioas_tables_populate_begin(struct ioas *ioas, struct ioas_domain *dom)
{
	lockdep_assert_held_write(&ioas->tables.sem);
	spin_lock(&ioas->lock);
	ioas->tables.populating = dom;
	dom->populate_next = 0;
	dom->populate_done = false;
	spin_unlock(&ioas->lock);
}

/**
 * ioas_tables_populate_end() - add the domain being populated, or forget it
 * @ioas: the address space; between ioas_tables_lock() and ioas_tables_unlock()
 * @add: the domain has all mappings, and devices are attached to it
 */
void ioas_tables_populate_end(struct ioas *ioas, bool add)
{
	struct ioas_domain *dom = ioas->tables.populating;

	lockdep_assert_held_write(&ioas->tables.sem);
	spin_lock(&ioas->lock);
	ioas->tables.populating = NULL;
	spin_unlock(&ioas->lock);
	if (add)
		list_add_tail(&dom->node, &ioas->tables.list);
}

/**
 * ioas_tables_del() - delete a domain without attachments from the list
 * @ioas: the address space; between ioas_tables_lock() and ioas_tables_unlock()
 * @dom: the domain
 */
void ioas_tables_del(struct ioas *ioas, struct ioas_domain *dom)
{
	lockdep_assert_held_write(&ioas->tables.sem);
	list_del(&dom->node);
}

/**
 * ioas_tables_next_fit() - find a domain that a device may be attached to
 * @ioas: the address space; attach_lock is held
 * @dom: the domain that was found before; or NULL
 * @dev: the device
 *
 * Return: the next domain that suits the device, or NULL.
 */
struct ioas_domain *ioas_tables_next_fit(struct ioas *ioas,
					 struct ioas_domain *dom,
					 struct device *dev)
{
	lockdep_assert_held(&ioas->attach_lock);
	dom = list_prepare_entry(dom, &ioas->tables.list, node);
	list_for_each_entry_continue(dom, &ioas->tables.list, node)
		if (ioas_domain_fits(dom, dev, ioas->enforce_cache_coherency))
			return dom;
	return NULL;
}

/**
 * ioas_tables_poisoned() - test whether a domain may reach removed memory
 * @ioas: the address space; ioas_tables.sem, attach_lock or ioas_devmem.lock is
 *	held
 *
 * Return: true if a domain is poisoned.
 */
bool ioas_tables_poisoned(struct ioas *ioas)
{
	struct ioas_domain *dom;

	lockdep_assert(lockdep_is_held(&ioas->tables.sem) ||
		       lockdep_is_held(&ioas->attach_lock) ||
		       (ioas->devmem &&
			lockdep_is_held(&ioas->devmem->lock)));
	if (ioas->tables.populating &&
	    READ_ONCE(ioas->tables.populating->poisoned))
		return true;
	list_for_each_entry(dom, &ioas->tables.list, node)
		if (unlikely(READ_ONCE(dom->poisoned)))
			return true;
	return false;
}

/**
 * ioas_tables_sync_later() - test whether one sync may follow several writes
 * @ioas: the address space; ioas_tables.sem is held
 *
 * Return: true if ioas_tables_write_unsynced() may be used, until the lock is
 * dropped.
 */
bool ioas_tables_sync_later(struct ioas *ioas)
{
	struct ioas_domain *dom;

	lockdep_assert_held_read(&ioas->tables.sem);
	if (ioas->tables.populating)
		return false;
	list_for_each_entry(dom, &ioas->tables.list, node)
		if (dom->finalized_on_attach)
			return false;
	return true;
}

/**
 * ioas_mapping_populated() - test whether populate is beyond a mapping
 * @ioas: the address space; its lock is held
 * @m: a mapping
 *
 * Return: true if the domain being populated has a published mapping, or must
 * be written by the thread that maps it.
 */
bool ioas_mapping_populated(struct ioas *ioas,
			    struct ioas_mapping *m)
{
	const struct ioas_domain *populating = ioas->tables.populating;

	lockdep_assert_held(&ioas->lock);
	return unlikely(populating) && ioas_mapping_has_memory(m) &&
	       (populating->populate_done ||
		m->start < populating->populate_next);
}

/**
 * ioas_tables_begin_pieces() - announce mappings that will take the place of one
 * @ioas: the address space; ioas_tables.sem is held for reading
 * @m: WRITING, with no memory; its backing becomes IOAS_BACKING_PIECES.  populate()
 *	stops before it until the pieces are in its place
 *
 * Return: true if populate() was beyond it, or in it: the pieces must be written
 * to the domain being populated, which ioas_tables_write() does.
 */
bool ioas_tables_begin_pieces(struct ioas *ioas, struct ioas_mapping *m)
{
	struct ioas_domain *populating;
	bool passed;

	lockdep_assert_held_read(&ioas->tables.sem);
	spin_lock(&ioas->lock);
	populating = ioas->tables.populating;
	passed = populating && (populating->populate_done ||
				m->start < populating->populate_next);
	/* Nothing was mapped there that populate() might have to write again */
	if (passed && m->last >= populating->populate_next)
		populating->populate_next = min(m->last, U64_MAX - 1) + 1;
	m->next = NULL;
	m->backing = IOAS_BACKING_PIECES;
	spin_unlock(&ioas->lock);
	return passed;
}

/* ---- All or none ---- */

/* Undo what was done in the domains before @end; NULL: in the whole list */
static __always_inline void
undo_before(struct ioas *ioas, struct ioas_domain *end,
	    void (*undo)(struct ioas_domain *dom, void *arg), void *arg)
{
	struct ioas_domain *dom;

	list_for_each_entry(dom, &ioas->tables.list, node) {
		if (dom == end)
			break;
		undo(dom, arg);
	}
}

static __always_inline int
all_or_none(struct ioas *ioas,
	    int (*change)(struct ioas_domain *dom, void *arg),
	    void (*undo)(struct ioas_domain *dom, void *arg), void *arg)
{
	struct ioas_domain *dom;
	int ret;

	list_for_each_entry(dom, &ioas->tables.list, node) {
		ret = change(dom, arg);
		if (unlikely(ret)) {
			undo_before(ioas, dom, undo, arg);
			return ret;
		}
	}
	return 0;
}

/**
 * ioas_tables_change() - change all domains, or none
 * @ioas: the address space
 * @change: changes one domain; if it fails, the domain is as before or poisoned
 * @undo: undoes @change in one domain
 * @arg: argument of both
 *
 * The domain being populated is changed too, as the last.  Called with a lock
 * held that keeps domains from being added or deleted.
 *
 * Return: 0; or the errno of @change, after @undo in the domains that were
 * changed before.
 */
int ioas_tables_change(struct ioas *ioas,
		       int (*change)(struct ioas_domain *dom, void *arg),
		       void (*undo)(struct ioas_domain *dom, void *arg),
		       void *arg)
{
	int ret = all_or_none(ioas, change, undo, arg);

	if (ret || !ioas->tables.populating)
		return ret;
	ret = change(ioas->tables.populating, arg);
	if (ret)
		undo_before(ioas, NULL, undo, arg);
	return ret;
}

/**
 * struct table_write - a mapping that is written to all domains
 * @m: the mapping
 * @stop: what ends the write early: a thread that waits for the mapping; or one
 *	that is about to attach, since cascading unmaps of the parent queue
 *	behind it
 */
struct table_write {
	struct ioas_mapping *m;
	struct ioas_stop stop;
};

static int write_table(struct ioas_domain *dom, void *arg)
{
	struct table_write *write = arg;
	struct ioas_mapping *m = write->m;

	return ioas_domain_map(dom, m->start, &m->mem, m->flags, m->cut_shift,
			       &write->stop);
}

static void unwrite_table(struct ioas_domain *dom, void *arg)
{
	struct table_write *write = arg;
	struct ioas_mapping *m = write->m;

	ioas_domain_remove(dom, m->start, ioas_mapping_bytes(m));
}

/**
 * ioas_tables_write() - write a mapping to all domains, or to none
 * @ioas: the address space; ioas_tables.sem is held for reading
 * @m: WRITING; becomes LIVE
 *
 * Written also to the domain being populated, if that is beyond it.  Returns
 * with the lock held.
 *
 * Return: 0; or the errno of ioas_domain_map(): the mapping is still WRITING,
 * and in no domain that is not poisoned.
 */
int ioas_tables_write(struct ioas *ioas, struct ioas_mapping *m)
	__acquires(&ioas->lock)
{
	struct table_write write = {
		.m = m,
		.stop.wanted = &m->wanted,
		.stop.sem = &ioas->tables.sem,
	};
	bool in_populating = false;
	int ret;

	lockdep_assert_held_read(&ioas->tables.sem);
	ret = all_or_none(ioas, write_table, unwrite_table, &write);
	spin_lock(&ioas->lock);
	if (unlikely(ret))
		return ret;
	while (!in_populating && ioas_mapping_populated(ioas, m)) {
		spin_unlock(&ioas->lock);
		ret = write_table(ioas->tables.populating, &write);
		if (ret)
			undo_before(ioas, NULL, unwrite_table, &write);
		in_populating = true;
		spin_lock(&ioas->lock);
		if (ret)
			return ret;
		/* So that populate() does not write a part that is split off */
		if (m->last >= ioas->tables.populating->populate_next)
			ioas->tables.populating->populate_next =
				min(m->last, U64_MAX - 1) + 1;
	}
	ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
	return 0;
}

/* A domain failed in ioas_tables_write_unsynced() */
void ioas_tables_unwrite(struct ioas *ioas, struct ioas_mapping *m,
			 struct ioas_domain *failed)
{
	struct table_write write = { .m = m };

	undo_before(ioas, failed, unwrite_table, &write);
}

/**
 * ioas_tables_sync() - make mappings that were written visible to devices
 * @ioas: the address space; ioas_tables.sem is held
 * @start: first byte
 * @last: last byte; other IOVAs between them are not harmed
 *
 * Return: 0; or the errno of ioas_domain_sync(): devices may see the mappings,
 * or not.
 */
int ioas_tables_sync(struct ioas *ioas, u64 start, u64 last)
{
	struct ioas_domain *dom;
	int ret;

	list_for_each_entry(dom, &ioas->tables.list, node) {
		ret = ioas_domain_sync(dom, start, last - start + 1);
		if (unlikely(ret))
			return ret;
	}
	return 0;
}

/**
 * ioas_tables_split() - split the IOPTEs that span an address
 * @ioas: the address space; ioas_tables.sem is held for reading
 * @m: the mapping, CHANGING, with memory
 * @floor: see ioas_domain_split()
 * @at: address inside the mapping where an IOPTE shall begin
 * @sink: see ioas_domain_split()
 *
 * Return: 0; or the errno of ioas_domain_split(): the same is mapped as before,
 * unless a domain is poisoned, in smaller IOPTEs in some domains.
 */
int ioas_tables_split(struct ioas *ioas, struct ioas_mapping *m, u64 floor,
		      u64 at, const struct ioas_dirty_sink *sink)
{
	struct ioas_domain *dom;
	int ret;

	lockdep_assert_held_read(&ioas->tables.sem);
	list_for_each_entry(dom, &ioas->tables.list, node) {
		ret = ioas_domain_split(dom, m->start, &m->mem, m->flags,
					m->cut_shift, floor, at, sink);
		if (ret)
			return ret;
	}
	/* m->in_populating was set when it became CHANGING */
	if (m->in_populating)
		return ioas_domain_split(ioas->tables.populating, m->start,
					 &m->mem, m->flags, m->cut_shift, floor,
					 at, NULL);
	return 0;
}

/* ---- Remove ---- */

/**
 * ioas_tables_remove_range() - remove a range from all domains, and flush
 * @ioas: the address space
 * @start: first byte, where an IOPTE begins
 * @length: bytes, all of them mapped in each domain, and in the domain being
 *	populated
 *
 * Called with a lock held that keeps domains from being added or deleted.
 *
 * Return: true if a domain is poisoned, and may still reach the memory.
 */
bool ioas_tables_remove_range(struct ioas *ioas, u64 start, u64 length)
{
	struct ioas_domain *dom;
	bool poisoned = false;

	list_for_each_entry(dom, &ioas->tables.list, node) {
		ioas_domain_remove(dom, start, length);
		poisoned |= READ_ONCE(dom->poisoned);
	}
	dom = ioas->tables.populating;
	if (dom) {
		ioas_domain_remove(dom, start, length);
		poisoned |= READ_ONCE(dom->poisoned);
	}
	return poisoned;
}

/* Remove @removal from one domain, with one flush if the driver permits it */
void ioas_table_remove_many(struct ioas_domain *dom,
			    const struct ioas_removal *removal,
			    bool populating)
{
	struct ioas_gather gather __uninitialized;
	struct ioas_mapping *m;
	u64 start = 0, length = 0;

	ioas_gather_start(&gather, dom, removal->scattered);
	for (m = removal->first; m; m = m->next) {
		if (!ioas_mapping_has_memory(m) ||
		    (populating && !m->in_populating))
			continue;
		if (length && start + length == m->start) {
			length += ioas_mapping_bytes(m);
			continue;
		}
		if (length)
			ioas_gather_range(&gather, start, length);
		start = m->start;
		length = ioas_mapping_bytes(m);
	}
	if (length)
		ioas_gather_range(&gather, start, length);
	ioas_gather_finish(&gather);
}

/* ---- Dirty bits ---- */

/* True if devices can write by a domain, which has no dirty bits, before it is listed */
static bool is_led_early(const struct ioas_domain *populating)
{
	return unlikely(populating) &&
	       (populating->finalized_on_attach || populating->mirror);
}

/**
 * ioas_tables_are_dirty() - test whether all domains have dirty bits
 * @ioas: the address space; attach_lock is held
 *
 * Return: true if they have.
 */
bool ioas_tables_are_dirty(struct ioas *ioas)
{
	struct ioas_domain *dom;

	lockdep_assert_held(&ioas->attach_lock);
	list_for_each_entry(dom, &ioas->tables.list, node)
		if (!dom->dirty)
			return false;
	return true;
}

/**
 * ioas_tables_read_dirty() - read and clear the dirty bits of a mapping, and
 *	flush
 * @ioas: the address space; ioas_tables.sem is held
 * @m: the mapping, with a reader
 * @from: first byte
 * @to: last byte
 * @sink: takes each dirty IOPTE, which may exceed the range
 * @coarse: out, set if a domain has no dirty bits
 *
 * Return: 0; -EIO, a driver failed: some bits were cleared and recorded.
 */
int ioas_tables_read_dirty(struct ioas *ioas, const struct ioas_mapping *m,
			   u64 from, u64 to, const struct ioas_dirty_sink *sink,
			   bool *coarse)
{
	struct ioas_domain *dom;

	lockdep_assert_held_read(&ioas->tables.sem);
	*coarse |= is_led_early(ioas->tables.populating);
	list_for_each_entry(dom, &ioas->tables.list, node) {
		if (!dom->dirty)
			*coarse = true;
		else if (ioas_domain_read_dirty(dom, m->start, &m->mem,
						m->cut_shift, from, to, sink))
			return -EIO;
	}
	return 0;
}

static bool is_written(const struct ioas_mapping *m)
{
	return ioas_mapping_has_memory(m) && m->flags & IOASID_MAP_WRITE;
}

/* Let no device write by a domain, and read its dirty bits after that */
static void take_dirty(struct ioas_domain *dom,
		       const struct ioas_removal *removal,
		       struct ioas_dirty_sink *sink)
{
	bool can = dom->dirty && ioas_domain_protects(dom);
	struct ioas_gather gather;
	struct ioas_mapping *m;

	ioas_gather_start(&gather, dom, removal->scattered);
	for (m = removal->first; m; m = m->next) {
		if (!is_written(m))
			continue;
		/* None is left in place of write permission alone */
		if (!can || !(m->flags & IOASID_MAP_READ) ||
		    !ioas_domain_protect(&gather, m->start, &m->mem,
					 m->cut_shift, IOASID_MAP_READ))
			m->inexact = true;
	}
	ioas_gather_finish(&gather);
	for (m = removal->first; m && can; m = m->next) {
		if (!is_written(m) || m->inexact)
			continue;
		sink->m = m;
		if (ioas_domain_read_dirty(dom, m->start, &m->mem, m->cut_shift,
					   m->start, m->last, sink))
			m->inexact = true;
		cond_resched();
	}
}

/**
 * ioas_tables_take_dirty() - read the dirty bits of mappings for the last time
 * @ioas: the address space; ioas_tables.sem is held for reading
 * @removal: REMOVING mappings; out, @inexact of them is set where devices can
 *	write until they are removed
 * @sink: takes each dirty IOPTE
 *
 * The domain being populated has no dirty bits that count: see is_led_early().
 */
void ioas_tables_take_dirty(struct ioas *ioas,
			    const struct ioas_removal *removal,
			    struct ioas_dirty_sink *sink)
{
	struct ioas_domain *dom = ioas->tables.populating;
	struct ioas_mapping *m;

	lockdep_assert_held_read(&ioas->tables.sem);
	for (m = removal->first; m; m = m->next)
		m->inexact = is_led_early(dom);
	list_for_each_entry(dom, &ioas->tables.list, node)
		take_dirty(dom, removal, sink);
}

/* ---- Page sizes ---- */

/**
 * ioas_pgsizes() - count the hardware page tables, and find their page sizes
 * @ioas: the address space
 * @nr: out, number of tables
 *
 * Context: may sleep.
 * Return: bitmap of the page sizes that all tables have; with no table, of
 * those that the CPU has.
 */
unsigned long ioas_pgsizes(struct ioas *ioas, unsigned int *nr)
{
	unsigned long pgsizes = PAGE_SIZE | PMD_SIZE | PUD_SIZE;
	struct ioas_domain *dom;

	*nr = 0;
	/* The result does not matter to a process that is killed */
	if (down_read_killable(&ioas->tables.sem))
		return pgsizes;
	list_for_each_entry(dom, &ioas->tables.list, node) {
		if (!(*nr)++)
			pgsizes = ioas_iommu_pgsizes(dom->iommu);
		else
			pgsizes &= ioas_iommu_pgsizes(dom->iommu);
	}
	up_read(&ioas->tables.sem);
	return pgsizes;
}

/**
 * ioas_enforces_coherency() - test whether no-snoop DMA is made coherent
 * @ioas: the address space
 *
 * Context: may sleep.
 * Return: true if it is in every table.
 */
bool ioas_enforces_coherency(struct ioas *ioas)
{
	struct ioas_domain *dom;
	bool enforces = true;

	down_read(&ioas->tables.sem);
	list_for_each_entry(dom, &ioas->tables.list, node)
		enforces &= dom->enforce_cache_coherency;
	up_read(&ioas->tables.sem);
	return enforces;
}

/**
 * ioas_tables_pgsizes() - collect the page sizes of the domains
 * @ioas: the address space
 * @nr: out, number of bitmaps
 *
 * Context: may sleep.
 * Return: bitmaps, each one once, to be freed by kfree(); NULL if there is
 * none; or an ERR_PTR: -ENOMEM; -EINTR, a fatal signal.
 */
unsigned long *ioas_tables_pgsizes(struct ioas *ioas, unsigned int *nr)
{
	unsigned long *pgsizes = NULL;
	struct ioas_domain *dom;
	unsigned int n = 0, i;

	*nr = 0;
	if (down_read_killable(&ioas->tables.sem))
		return ERR_PTR(-EINTR);
	list_for_each_entry(dom, &ioas->tables.list, node)
		n++;
	if (!n)
		goto unlock;
	pgsizes = kmalloc_array(n, sizeof(*pgsizes), GFP_KERNEL_ACCOUNT);
	if (!pgsizes) {
		pgsizes = ERR_PTR(-ENOMEM);
		goto unlock;
	}
	list_for_each_entry(dom, &ioas->tables.list, node) {
		for (i = 0; i < *nr; i++)
			if (pgsizes[i] == ioas_iommu_pgsizes(dom->iommu))
				break;
		if (i == *nr)
			pgsizes[(*nr)++] = ioas_iommu_pgsizes(dom->iommu);
	}
unlock:
	up_read(&ioas->tables.sem);
	return pgsizes;
}

/**
 * ioas_tables_largest_page() - find the largest IOPTE that a mapping can use
 * @ioas: the address space
 * @length: bytes of the mapping
 *
 * Context: may sleep.
 * Return: its size, in the first domain; with no domain, for the page sizes of
 * the CPU.
 */
u64 ioas_tables_largest_page(struct ioas *ioas, u64 length)
{
	unsigned long sizes = PAGE_SIZE | PMD_SIZE | PUD_SIZE;
	struct ioas_domain *dom;

	/* The map that asks fails, too */
	if (down_read_killable(&ioas->tables.sem))
		return PAGE_SIZE;
	dom = list_first_entry_or_null(&ioas->tables.list, struct ioas_domain,
				       node);
	if (dom)
		sizes = ioas_iommu_pgsizes(dom->iommu);
	up_read(&ioas->tables.sem);
	sizes &= GENMASK(__fls(length), PAGE_SHIFT);
	return sizes ? BIT_ULL(__fls(sizes)) : PAGE_SIZE;
}
