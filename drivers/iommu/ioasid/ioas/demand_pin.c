// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pin what a root has recorded, and a child is about to refer to.
 *
 * Invariants:
 *  - The windows of the range are used before anything is pinned in them.
 *  - What is pinned takes the place of its record at once, or is unpinned again if
 *    the record is not there any more.
 *  - If the root is tracked, the log has the range before the memory can be found.
 *
 * Waits: for page faults, with no lock held.
 *
 * Locks: the lock of the root protects its mappings.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../mem/memory.h"
#include "demand.h"
#include "dirty.h"
#include "mapping.h"
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

/* Charge and pin; unpin what is idle if a limit is met */
static int get_memory(struct ioas *ioas, struct ioas_mapping *pinned,
		      const struct part *part, u64 *fault_addr)
{
	unsigned long npages = ioas_mapping_bytes(pinned) >> PAGE_SHIFT;
	struct file *file = part->origin->file;
	struct ioasid_payer *payer;
	bool again = true;
	u64 at = part->addr;

	/* The addresses of another process are not ours to pin */
	if (!file && part->origin->mm != current->mm)
		return -EPERM;
	for (;;) {
		payer = ioasid_memory_get(&pinned->mem, ioas->account, NULL, file,
					  part->addr, npages,
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
	pinned->payer = payer;
	pinned->backing = IOAS_BACKING_PINNED;
	return 0;
}

/* Pin a part, and put it into the tree if it is still a record there */
static int pin_part(struct ioas *ioas, const struct part *part, u64 *fault_addr)
{
	struct ioas_map_request req = {
		.addr = part->addr,
		.flags = part->flags,
	};
	struct ioas_mapping *pinned, *spare, *m, *whole = NULL;
	int ret = -ENOMEM;

	pinned = ioas_mapping_alloc(ioas, &req);
	spare = ioas_mapping_alloc(ioas, &req);
	if (!pinned || !spare)
		goto out;
	pinned->start = part->start;
	pinned->last = part->last;
	pinned->cut_shift = part->cut_shift;
	pinned->origin = part->origin;
	pinned->in_populating = false;
	ret = get_memory(ioas, pinned, part, fault_addr);
	if (ret)
		goto out;
	spin_lock(&ioas->lock);
	m = record_of(ioas, part);
	while (m && ioas_dirty_any() &&
	       !ioas_dirty_covered(ioas, part->start, part->last)) {
		spin_unlock(&ioas->lock);
		ret = ioas_dirty_cover(ioas, part->start, part->last);
		if (ret)
			goto out_put;
		spin_lock(&ioas->lock);
		m = record_of(ioas, part);
	}
	if (m) {
		refcount_inc(&part->origin->users);
		whole = cut_out(ioas, m, pinned, &spare);
		pinned = NULL;
		ioas_wake(ioas);
	}
	spin_unlock(&ioas->lock);
out_put:
	if (pinned)
		ioasid_memory_put(&pinned->mem, ioas->account, pinned->payer);
	if (whole) {
		ioas_origin_put(whole->origin);
		ioas_mapping_free(whole);
	}
out:
	if (pinned)
		ioas_mapping_free(pinned);
	if (spare)
		ioas_mapping_free(spare);
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
static int pin_window(struct ioas *ioas, u64 start, u64 last, u64 *fault_addr)
{
	struct part part;
	u64 cursor = start;
	int ret;

	for (;;) {
		ret = find_part(ioas, &cursor, last, &part);
		*fault_addr = cursor;
		if (ret <= 0)
			return ret;
		ret = pin_part(ioas, &part, fault_addr);
		if (unlikely(ret) && ret != -EINTR &&
		    narrow(&part, cursor, last))
			ret = pin_part(ioas, &part, fault_addr);
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
 * @start: first byte
 * @last: last byte
 * @fault_addr: out, an address of the root: the first that failed
 *
 * What the range has when it returns may be unmapped, and mapped again, at once.
 *
 * Context: may sleep, for as long as a page fault takes; with no lock held.
 * Return: 0, ioas_demand_put() follows; on failure no window is used:
 * -ENXIO, part of the range has no memory mapped;
 * -EAGAIN, what is mapped at *@fault_addr must be waited for;
 * -ENODEV, the root was freed;
 * -EPERM, it is memory of another process, which has to refer to it first;
 * -EINTR, a fatal signal;
 * errnos of ioasid_memory_get().
 */
int ioas_demand_pin(struct ioas *ioas, u64 start, u64 last, u64 *fault_addr)
{
	u64 from = start, to;
	int ret;

	for (;;) {
		to = min(last, ioas_demand_last(ioas, ioas_demand_window(ioas, from)));
		*fault_addr = from;
		ret = ioas_demand_use(ioas, ioas_demand_window(ioas, from));
		if (ret)
			break;
		ret = pin_window(ioas, from, to, fault_addr);
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
