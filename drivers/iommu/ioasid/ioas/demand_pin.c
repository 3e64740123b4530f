// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pin what a root has recorded, and a child is about to refer to, or a device has
 * requested.
 *
 * Invariants:
 *  - The windows of the range are used before anything is pinned in them.
 *  - What is pinned takes the place of its record at once, or is unpinned again if
 *    the record is not there any more.
 *  - A part is CHANGING while it is written to the domains of the root, and LIVE when
 *    it is in all of them.  An unmap waits for that, which stops the write, and finds
 *    either the record or the part: no IOPTE is left of what it takes.  A domain that
 *    is populated meanwhile gets the part from one of both threads: see tables.c.
 *  - If the root is tracked, the log has the range before the memory can be found.
 *
 * Waits: for page faults, with no lock held.
 *
 * Locks: tables.sem is held for reading, from before the part takes the place of its
 * record until it is written; the lock of the root nests in it, and protects its
 * mappings.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../mem/charge.h"
#include "../mem/memory.h"
#include "demand.h"
#include "dirty.h"
#include "ioas.h"
#include "mapping.h"
#include "tables.h"
#include "tree.h"

/**
 * struct part - a part of a record that is to be pinned
 * @start: first byte
 * @last: last byte
 * @addr: the address that @start maps
 * @origin: its origin, with a reference
 * @flags: ioas_mapping.flags
 * @cut_shift: the same as of the record
 */
struct part {
	u64 start;
	u64 last;
	u64 addr;
	struct ioas_origin *origin;
	u8 flags;
	u8 cut_shift;
};

/* Describe the part of a record that lies in the window of @at */
static void take_part(struct ioas *ioas, struct ioas_mapping *m, u64 at,
		      struct part *part)
{
	unsigned long index = ioas_demand_window(ioas, at);

	part->start = max(m->start, ioas_demand_start(ioas, index));
	part->last = min(m->last, ioas_demand_last(ioas, index));
	part->addr = m->addr + (part->start - m->start);
	part->origin = m->origin;
	refcount_inc(&part->origin->users);
	part->flags = m->flags;
	part->cut_shift = m->cut_shift;
}

/*
 * Find the next part from *@cursor on that is recorded and not pinned.  Returns 1;
 * 0, there is none up to @last; -ENXIO, no memory is mapped at *@cursor; -EAGAIN,
 * what is mapped there must be waited for; -ENODEV, the root was freed.
 */
static int find_part(struct ioas *ioas, u64 *cursor, u64 last, struct part *part)
{
	struct ioas_mapping *m;
	unsigned int n = 0;
	int ret = -ENXIO;

	spin_lock(&ioas->lock);
	for (;;) {
		m = ioas_mapping_first(ioas, *cursor);
		if (ioas->dead)
			ret = -ENODEV;
		if (ioas->dead || !m || m->start > *cursor ||
		    m->state == IOAS_MAPPING_PINNING ||
		    m->state == IOAS_MAPPING_WRITING)
			break;
		if (m->state != IOAS_MAPPING_LIVE) {
			ret = -EAGAIN;
			break;
		}
		if (m->backing == IOAS_BACKING_DEMAND) {
			take_part(ioas, m, *cursor, part);
			ret = 1;
			break;
		}
		/* A reserved range may be of any length */
		if (m->backing == IOAS_BACKING_NONE)
			break;
		if (m->last >= last) {
			ret = 0;
			break;
		}
		*cursor = m->last + 1;
		if (++n % IOAS_DEMAND_BATCH == 0)
			ioas_relax(ioas);
	}
	spin_unlock(&ioas->lock);
	return ret;
}

/* Find the record that still has this part; the lock is held */
static struct ioas_mapping *record_of(struct ioas *ioas, const struct part *part)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, part->start);

	if (ioas->dead || !m || m->start > part->start || m->last < part->last ||
	    m->state != IOAS_MAPPING_LIVE || m->backing != IOAS_BACKING_DEMAND ||
	    m->origin != part->origin || m->flags != part->flags ||
	    m->addr + (part->start - m->start) != part->addr)
		return NULL;
	return m;
}

/*
 * Put a pinned part into the tree in place of a part of the record @m.  Returns the
 * record if nothing is left of it, to be freed.
 */
static struct ioas_mapping *cut_out(struct ioas *ioas, struct ioas_mapping *m,
				    struct ioas_mapping *pinned,
				    struct ioas_mapping **spare)
{
	struct ioas_mapping *tail = *spare;

	if (m->last > pinned->last) {
		*tail = *m;
		tail->start = pinned->last + 1;
		tail->addr += tail->start - m->start;
		tail->readers = 0;
		tail->apart = false;
		refcount_inc(&tail->origin->users);
		ioas_mapping_split_object(ioas, m, tail);
		*spare = NULL;
	}
	pinned->ino = m->ino;
	pinned->dev = m->dev;
	pinned->apart = m->apart && m->start == pinned->start;
	ioas->demand->bytes -= ioas_mapping_bytes(pinned);
	ioas->bytes_mapped += ioas_mapping_bytes(pinned);
	if (m->start < pinned->start) {
		ioas_mapping_split_object(ioas, m, pinned);
		return NULL;
	}
	ioas_mapping_erase(ioas, m);
	ioas_mapping_set_state(pinned, IOAS_MAPPING_LIVE);
	ioas_mapping_insert(ioas, pinned);
	if (unlikely(ioas->counted))
		atomic64_inc(&ioas->account->mappings);
	return m;
}

/* Mappings that the limit must permit: what a part leaves of its record on both sides */
static unsigned int nr_charged(const struct ioas *ioas, const struct ioas_mapping *m,
			       const struct part *part)
{
	if (likely(!ioas->counted))
		return 0;
	return (m->start < part->start) + (m->last > part->last);
}

/**
 * struct held - memory that is pinned, and that no mapping has
 * @mem: the memory
 * @payer: its payer; NULL, there is none
 */
struct held {
	struct ioasid_memory mem;
	struct ioasid_payer *payer;
};

/* The mappings that a part needs: itself, what is behind it, and its like for quarantine */
enum { PART, TAIL, LIKE, NR_SPARES };

/* Charge and pin; unpin what is idle if a limit is met */
static int get_memory(struct ioas *ioas, struct task_struct *task,
		      const struct part *part, struct held *held, u64 *fault_addr)
{
	unsigned long npages = (part->last - part->start + 1) >> PAGE_SHIFT;
	const struct ioas_origin *origin = part->origin;
	struct ioasid_payer *payer;
	bool again = true;
	u64 at = part->addr;

	/* Another process has mapped it, or has taken it over, since it was looked at */
	if (task && READ_ONCE(origin->mapper.task) != task)
		return -EAGAIN;
	/* The addresses of another process are not ours to pin */
	if (!ioas_origin_known(origin))
		return -EPERM;
	for (;;) {
		payer = ioasid_memory_get(&held->mem, ioas->account, task,
					  origin->file, part->addr, npages,
					  part->flags & IOASID_MAP_WRITE, &at);
		if (!IS_ERR(payer))
			break;
		if (PTR_ERR(payer) != -EDQUOT || !again) {
			*fault_addr = part->start + (at - part->addr);
			return PTR_ERR(payer);
		}
		again = false;
		ioas_demand_spare(ioas);
	}
	held->payer = payer;
	return 0;
}

static int alloc_spares(struct ioas *ioas, const struct part *part,
			struct ioas_mapping **spares)
{
	struct ioas_map_request req = {
		.addr = part->addr,
		.flags = part->flags,
	};
	unsigned int i;

	for (i = 0; i < NR_SPARES; i++) {
		spares[i] = ioas_mapping_alloc(ioas, &req);
		if (!spares[i])
			return -ENOMEM;
	}
	return 0;
}

static void free_spares(struct ioas_mapping **spares)
{
	unsigned int i;

	for (i = 0; i < NR_SPARES; i++)
		if (spares[i])
			ioas_mapping_free(spares[i]);
}

/* Let the mapping of a part have its memory */
static void give_memory(struct ioas_mapping *pinned, const struct part *part,
			struct held *held)
{
	pinned->start = part->start;
	pinned->last = part->last;
	pinned->cut_shift = part->cut_shift;
	pinned->origin = part->origin;
	refcount_inc(&part->origin->users);
	pinned->in_populating = false;
	pinned->mem = held->mem;
	pinned->payer = held->payer;
	pinned->backing = IOAS_BACKING_PINNED;
	held->payer = NULL;
}

/*
 * A part could not be written: it becomes a record again.  Its memory is in @held, or
 * in quarantine, if a domain is poisoned.
 */
static void take_memory(struct ioas *ioas, struct ioas_mapping *pinned,
			struct ioas_mapping **like, struct held *held)
{
	if (unlikely(ioas_tables_poisoned(ioas))) {
		**like = *pinned;
		refcount_inc(&pinned->origin->users);
		ioas_quarantine_add(ioas, *like);
		*like = NULL;
	} else {
		held->mem = pinned->mem;
		held->payer = pinned->payer;
	}
	WRITE_ONCE(pinned->wanted, false);
	ioas_demand_undo(ioas, pinned);
}

/* Write a part that is in the tree to the domains; the lock is dropped meanwhile */
static int write_part(struct ioas *ioas, struct ioas_mapping *pinned,
		      struct ioas_mapping **like, struct held *held)
	__must_hold(&ioas->lock)
{
	int ret;

	if (ioas_tables_none(ioas))
		return 0;
	ioas_mapping_set_state(pinned, IOAS_MAPPING_CHANGING);
	spin_unlock(&ioas->lock);
	lock_map_acquire(&ioas_changing_map);
	ret = ioas_tables_write(ioas, pinned);
	if (unlikely(ret)) {
		/* Devices used what was written; an unmap waits until that is recorded */
		if (ioas_dirty_any()) {
			spin_unlock(&ioas->lock);
			ioas_dirty_lost(ioas, pinned);
			spin_lock(&ioas->lock);
		}
		take_memory(ioas, pinned, like, held);
	}
	lock_map_release(&ioas_changing_map);
	return ret;
}

/*
 * Put memory into the tree, and write it to the domains.  @whole: out, a record to be
 * freed.  Returns 0; 1, the log of writes must have room for the part first; -EAGAIN,
 * the write was stopped; -EDQUOT, there may be no more mappings; or another errno.
 */
static int place_locked(struct ioas *ioas, const struct part *part,
			struct held *held, struct ioas_mapping **spares,
			struct ioas_mapping **whole)
	__must_hold(&ioas->lock)
{
	struct ioas_mapping *m = record_of(ioas, part), *pinned;
	unsigned int charged;
	int ret;

	/* Its domains take nothing any longer */
	if (unlikely(ioas->poisoned))
		return -EIO;
	if (!m)
		return 0;
	if (ioas_dirty_any() && !ioas_dirty_covered(ioas, part->start, part->last))
		return 1;
	charged = nr_charged(ioas, m, part);
	if (unlikely(charged)) {
		ret = ioasid_mappings_charge(ioas->account, charged);
		if (ret)
			return ret;
	}
	pinned = spares[PART];
	spares[PART] = NULL;
	give_memory(pinned, part, held);
	*whole = cut_out(ioas, m, pinned, &spares[TAIL]);
	/* The tree has counted them by itself */
	if (unlikely(charged))
		ioasid_mappings_uncharge(ioas->account, charged);
	ret = write_part(ioas, pinned, &spares[LIKE], held);
	ioas_wake(ioas);
	return ret;
}

/*
 * Put memory into the tree and the domains, if there is still a record of the part.
 * Returns 0; -EAGAIN, the write was stopped; or another errno, it has failed: the
 * caller has the memory, unless that is in quarantine.
 */
static int place(struct ioas *ioas, const struct part *part, struct held *held)
{
	struct ioas_mapping *spares[NR_SPARES] = {}, *whole = NULL;
	int ret = alloc_spares(ioas, part, spares);

	while (!ret) {
		if (down_read_killable(&ioas->tables.sem)) {
			ret = -EINTR;
			break;
		}
		spin_lock(&ioas->lock);
		ret = place_locked(ioas, part, held, spares, &whole);
		spin_unlock(&ioas->lock);
		up_read(&ioas->tables.sem);
		if (ret != 1)
			break;
		ret = ioas_dirty_cover(ioas, part->start, part->last);
	}
	if (whole) {
		ioas_origin_put(whole->origin);
		ioas_mapping_free(whole);
	}
	if (unlikely(ret) && !held->payer) {
		ioas->ops->poisoned(ioas);
		ret = -EIO;
	}
	free_spares(spares);
	return ret;
}

/* Pin a part, and put it into the tree if it is still a record there */
static int pin_part(struct ioas *ioas, struct task_struct *task,
		    const struct part *part, u64 *fault_addr)
{
	struct held held = {};
	bool again = true;
	int ret;

	ret = get_memory(ioas, task, part, &held, fault_addr);
	if (ret)
		return ret;
	do {
		ret = place(ioas, part, &held);
		/* What is idle has mappings, too */
		if (unlikely(ret == -EDQUOT) && again) {
			again = false;
			ioas_demand_spare(ioas);
			ret = -EAGAIN;
		}
		if (ret == -EAGAIN && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (ret == -EAGAIN);
	if (held.payer)
		ioasid_memory_put(&held.mem, ioas->account, held.payer);
	return ret;
}

/* Leave out of a part what is not in the range; returns false if nothing is */
static bool narrow(struct part *part, u64 start, u64 last)
{
	if (part->start >= start && part->last <= last)
		return false;
	if (part->start < start) {
		part->addr += start - part->start;
		part->start = start;
	}
	part->last = min(part->last, last);
	return true;
}

/*
 * Pin what is recorded in the window of a range; but what is not in the range only
 * if that is possible.
 */
static int pin_window(struct ioas *ioas, struct task_struct *task, u64 start,
		      u64 last, u64 *fault_addr)
{
	struct part part;
	u64 cursor = start;
	int ret;

	for (;;) {
		ret = find_part(ioas, &cursor, last, &part);
		*fault_addr = cursor;
		if (ret <= 0)
			return ret;
		ret = pin_part(ioas, task, &part, fault_addr);
		if (unlikely(ret) && ret != -EINTR &&
		    narrow(&part, cursor, last))
			ret = pin_part(ioas, task, &part, fault_addr);
		ioas_origin_put(part.origin);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/**
 * ioas_demand_pin() - pin what is recorded in a range, and use its windows
 * @ioas: the root
 * @task: NULL, the calling process needs the memory, and is charged; or the process
 *	that has mapped it, with whose mm and credentials a thread of the kernel runs
 * @start: first byte
 * @last: last byte
 * @fault_addr: out, an address of the root: the first that failed
 *
 * What the range has when it returns may be unmapped, and mapped again, at once.
 *
 * Context: may sleep, for as long as a page fault takes; with no lock held.
 * Return: 0, ioas_demand_put() follows; on failure no window is used:
 * -ENXIO, part of the range has no memory mapped;
 * -EAGAIN, what is mapped at *@fault_addr must be waited for; or, with @task, it is
 * not of that process any longer;
 * -ENODEV, the root was freed;
 * -EPERM, it is memory of another process, which has to refer to it first;
 * -EINTR, a fatal signal;
 * -EIO, the root is poisoned;
 * -EDQUOT, the context permits no more mappings;
 * -ENOMEM, -ENOSPC or -EIO of an IOMMU driver;
 * errnos of ioasid_memory_get().
 */
int ioas_demand_pin(struct ioas *ioas, struct task_struct *task, u64 start, u64 last,
		    u64 *fault_addr)
{
	u64 from = start, to;
	int ret;

	for (;;) {
		to = min(last, ioas_demand_last(ioas, ioas_demand_window(ioas, from)));
		*fault_addr = from;
		ret = ioas_demand_use(ioas, ioas_demand_window(ioas, from));
		if (ret)
			break;
		ret = pin_window(ioas, task, from, to, fault_addr);
		if (ret) {
			ioas_demand_put(ioas, from, to);
			break;
		}
		if (to == last)
			return 0;
		from = to + 1;
		/* What is pinned already has as many windows */
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	if (from != start)
		ioas_demand_put(ioas, start, from - 1);
	return ret;
}
