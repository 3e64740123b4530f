// SPDX-License-Identifier: GPL-2.0-only
/*
 * Change mappings in place: IOASID_MAP_PROTECT and IOASID_MAP_REPLACE.
 *
 * Longer than 700 lines: a change is prepared, carried out and published or undone
 * as a whole, of memory and of memory of devices.
 *
 * Invariants:
 *  - All memory is pinned or referred to, and all that a cut may need is
 *    allocated, before a table is touched.  The old memory is unpinned after
 *    all tables were changed and flushed (table before pin).
 *  - While tables change, the range is claimed: every mapping that touches it
 *    is CHANGING, or CLAIMED if its memory is still being pinned, and free IOVAs
 *    in it are occupied by fillers.  Nothing else about the mappings changes
 *    before all tables have changed: a failure changes the tables back, and ends
 *    the claim.
 *  - Accesses unpin before the final claim: the mappings that lose something
 *    are LEAVING meanwhile, a state that no pinning thread waits for, and the
 *    others are LIVE.
 *
 * Waits: for busy mappings, for accesses, and for cascading unmaps of the parent,
 * with nothing claimed and no lock held; a fatal signal ends them.
 *
 * Locks: attach_lock keeps groups from joining and leaving, so that no domain
 * is being populated; tables.sem is held for reading for as long as anything
 * is claimed.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "../mem/charge.h"
#include "../mem/memory.h"
#include "access.h"
#include "backing.h"
#include "claim.h"
#include "devmem.h"
#include "diff.h"
#include "dirty.h"
#include "domain.h"
#include "ioas.h"
#include "mapping.h"
#include "ranges.h"
#include "ref.h"
#include "split.h"
#include "tables.h"
#include "tree.h"

/* ---- Permission ---- */

/* Check that the parent permits the new permission of a child's mapping */
static int check_parent(struct ioas_change *change,
			const struct ioas_mapping *m)
{
	const struct ioas_import *import = change->ioas->import;
	struct ioas *parent = change->ioas->parent;
	u64 from = max(m->start, change->start);
	u64 to = min(m->last, change->last);
	u64 cursor = m->addr + (from - m->start);
	u64 last = m->addr + (to - m->start);
	struct ioas_mapping *owner;
	unsigned int n = 0, lacks;
	int ret = 0;

	/* Our reference keeps the owners mapped, and their permission */
	spin_lock(&parent->lock);
	for (;;) {
		owner = ioas_mapping_first(parent, cursor);
		lacks = change->flags & ~owner->flags & PERMISSION;
		if (unlikely(import))
			lacks |= change->flags & ~import->export->permission;
		if (lacks) {
			change->fault_addr = cursor;
			if (import)
				change->fault_addr -= import->export->start;
			ret = -EACCES;
			break;
		}
		if (owner->last >= last)
			break;
		cursor = owner->last + 1;
		if (++n % CLAIM_BATCH == 0)
			ioas_relax(parent);
	}
	spin_unlock(&parent->lock);
	return ret;
}

static bool must_repin(const struct ioas_change *change,
		       const struct ioas_mapping *m)
{
	return change->flags & IOASID_MAP_WRITE && !m->mem.writable;
}

/* Test whether this is the memory of the mapping, pinned for writing */
static bool is_repinned(const struct ioas_change *change,
			const struct ioas_mapping *m,
			const struct ioas_mapping *repin)
{
	u64 start = max(m->start, change->start);

	return repin && repin->start == start &&
	       repin->last == min(m->last, change->last) &&
	       repin->addr == m->addr + (start - m->start) &&
	       repin->payer->mm == m->payer->mm;
}

static const struct ioasid_memory *pages_of(const struct ioas_mapping *m)
{
	return ioas_mapping_is_device(m) ? ioas_devmem_pages(m->device) :
					   &m->mem;
}

/* Test whether a mapping has the pages of @mem at @start */
static bool same_pages(const struct ioas_mapping *m, u64 start,
		       const struct ioasid_memory *mem, unsigned long at,
		       unsigned long npages)
{
	const struct ioasid_memory *old = pages_of(m);
	struct ioasid_runs was, is;
	struct ioasid_run a = {}, b = {};
	unsigned long n;

	ioasid_runs_from(&was, old, ioas_page_index(m, start), npages);
	ioasid_runs_from(&is, mem, at, npages);
	while ((a.npages || ioasid_runs_next(&was, &a)) &&
	       (b.npages || ioasid_runs_next(&is, &b))) {
		if (a.pfn != b.pfn)
			return false;
		n = min(a.npages, b.npages);
		a.pfn += n;
		a.npages -= n;
		b.pfn += n;
		b.npages -= n;
		cond_resched();
	}
	return true;
}

static void free_repinned(struct ioas_change *change)
{
	struct ioas_mapping *m, *next;

	for (m = change->repinned; m; m = next) {
		next = m->next;
		ioas_mapping_release(change->ioas, m);
		cond_resched();
	}
	change->repinned = NULL;
}

/* List in change->repinned the memory that must be pinned for writing */
static int note_repins(struct ioas_change *change)
{
	struct ioas_mapping *m, *repin, **tail = &change->repinned;
	struct ioas_map_request req = {};

	for (m = change->claimed; m; m = m->next) {
		if (!ioas_change_differs(change, m) || !must_repin(change, m))
			continue;
		change->fault_addr = max(m->start, change->start);
		/* The mapping has no reference to its file */
		if (m->flags & IOASID_MAP_FILE)
			return -EACCES;
		if (m->payer->mm != current->mm)
			return -EPERM;
		req.addr = m->addr + (change->fault_addr - m->start);
		repin = ioas_mapping_alloc(change->ioas, &req);
		if (!repin)
			return -ENOMEM;
		repin->start = change->fault_addr;
		repin->last = min(m->last, change->last);
		repin->next = NULL;
		*tail = repin;
		tail = &repin->next;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* With nothing claimed: a page fault in here may hang for ever */
static int pin_repins(struct ioas_change *change)
{
	struct ioas_mapping *m;
	int ret;

	for (m = change->repinned; m; m = m->next) {
		ret = ioas_mapping_pin(change->ioas, m, NULL,
				       ioas_page_index(m, m->last) + 1, true,
				       &change->fault_addr);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Check that all mappings can get the permission; returns 1 if memory must be
 * pinned first, which is in change->repinned.
 */
static int check_permission(struct ioas_change *change)
{
	struct ioas_mapping *repin = change->repinned, *m;
	struct ioas *ioas = change->ioas;
	bool referred;
	int ret;

	for (m = change->claimed; m; m = m->next) {
		if (!ioas_change_differs(change, m))
			continue;
		if (m->backing == IOAS_BACKING_PARENT) {
			ret = check_parent(change, m);
			if (ret)
				return ret;
			continue;
		}
		if (!must_repin(change, m))
			continue;
		if (!is_repinned(change, m, repin)) {
			free_repinned(change);
			return note_repins(change) ?: 1;
		}
		ioas_lock_refs(ioas);
		referred = ioas_change_is_referred(change, m);
		spin_unlock(&ioas->lock);
		/* Children refer to the pages that were pinned before */
		if (referred && !same_pages(m, repin->start, &repin->mem, 0,
					    repin->mem.npages))
			return -EBUSY;
		repin = repin->next;
		cond_resched();
	}
	return 0;
}

/*
 * Test whether the new mapping is the same as what it replaces: in pages,
 * permission and cut size.
 */
static bool changes_nothing(const struct ioas_change *change)
{
	const struct ioas_mapping *new = change->new, *m;
	u64 start, last;

	for (m = change->claimed; m; m = m->next) {
		if (ioas_is_filler(m) || m->cut_shift != new->cut_shift ||
		    (m->flags & PERMISSION) != change->flags ||
		    ioas_mapping_is_device(m) != ioas_mapping_is_device(new))
			return false;
		if (ioas_mapping_is_device(m) &&
		    ioas_devmem_is_revoked(m->device))
			return false;
		start = max(m->start, change->start);
		last = min(m->last, change->last);
		if (!same_pages(m, start, pages_of(new), ioas_page_index(new, start),
				((last - start) >> PAGE_SHIFT) + 1))
			return false;
		cond_resched();
	}
	return true;
}

/* ---- Publish ---- */

/* True if an edge of the range cuts a mapping: the left one, the right one */
static bool cuts_left(const struct ioas_change *change)
{
	return change->claimed->start < change->start &&
	       ioas_change_differs(change, change->claimed);
}

static bool cuts_right(const struct ioas_change *change)
{
	return change->claimed_last->last > change->last &&
	       ioas_change_differs(change, change->claimed_last);
}

/*
 * Count the mappings that a change adds.  With IOASID_MAP_REPLACE the new
 * mapping counts already, for one that is removed.
 */
static unsigned int nr_more(const struct ioas_change *change)
{
	bool left = cuts_left(change), right = cuts_right(change);

	if (change->new)
		return left && right && change->claimed == change->claimed_last;
	return left + right;
}

/*
 * Count the mappings that a change adds to the context, where that counts them:
 * with IOASID_MAP_REPLACE the new one, and the parts that edges cut off, less
 * those that are replaced, or whose maps are cancelled.
 */
static u64 nr_charged(const struct ioas_change *change)
{
	u64 more = cuts_left(change) + cuts_right(change), less = 0;
	const struct ioas_mapping *m;

	if (likely(!change->ioas->counted))
		return 0;
	if (!change->new)
		return more;
	for (m = change->claimed; m; m = m->next) {
		less += !ioas_is_filler(m) || m->state == IOAS_MAPPING_CLAIMED;
		cond_resched();
	}
	return more + 1 > less ? more + 1 - less : 0;
}

/*
 * Split mappings at the edges of the range, after the tables have changed.
 * Afterwards nothing claimed is outside of the range.
 */
static void cut_edges(struct ioas_change *change)
{
	struct ioas_mapping *left = change->claimed, **link;
	struct ioas_mapping *right = change->claimed_last;
	struct ioas *ioas = change->ioas;
	bool cut_left = cuts_left(change), cut_right = cuts_right(change);

	if (cut_right)
		ioas_mapping_split_memory(ioas, right, change->tail[1],
					  change->last + 1);
	if (cut_left)
		ioas_mapping_split_memory(ioas, left, change->tail[0],
					  change->start);
	spin_lock(&ioas->lock);
	if (cut_right) {
		ioas_mapping_split_object(ioas, right, change->tail[1]);
		change->tail[1] = NULL;
	}
	if (cut_left) {
		ioas_mapping_split_object(ioas, left, change->tail[0]);
		link = &change->claimed;
		ioas_mapping_set_state(change->tail[0], IOAS_MAPPING_CHANGING);
		change->tail[0]->next = left->next;
		*link = change->tail[0];
		if (change->claimed_last == left)
			change->claimed_last = change->tail[0];
		change->tail[0] = NULL;
		ioas_mapping_set_state(left, IOAS_MAPPING_LIVE);
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
}

/* Give the claimed mappings their new permission, and memory */
static void publish_permission(struct ioas_change *change)
{
	struct ioas_mapping *m, *next, *repin = change->repinned;
	struct ioas *ioas = change->ioas;
	unsigned int n = 0;

	spin_lock(&ioas->lock);
	for (m = change->claimed; m; m = next) {
		next = m->next;
		if (ioas_change_differs(change, m)) {
			if (m->backing == IOAS_BACKING_PINNED &&
			    must_repin(change, m)) {
				swap(m->mem, repin->mem);
				swap(m->payer, repin->payer);
				repin = repin->next;
			}
			m->flags = (m->flags & ~PERMISSION) | change->flags;
		}
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
		if (++n % CLAIM_BATCH == 0) {
			ioas_wake(ioas);
			ioas_relax(ioas);
		}
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	change->claimed = NULL;
}

/*
 * Put the new mapping in place of the claimed ones.  The lock is dropped in
 * between: a stand-in grows over the range first, so that no lookup finds a
 * hole in it.
 */
static void publish_new(struct ioas_change *change)
{
	struct ioas_mapping *m, *stand_in = change->stand_in;
	struct ioas *ioas = change->ioas;
	unsigned int n = 0;

	ioas_claim_cancel(change);
	spin_lock(&ioas->lock);
	for (m = change->claimed; m; m = m->next) {
		if (m == change->claimed) {
			ioas_mapping_erase(ioas, m);
			stand_in->start = m->start;
			stand_in->last = m->last;
			ioas_mapping_insert_filler(ioas, stand_in);
		} else {
			ioas_mapping_absorb(ioas, stand_in, m);
		}
		if (!ioas_is_filler(m)) {
			ioas->nr_mappings--;
			if (ioas_mapping_has_memory(m))
				ioas->bytes_mapped -= ioas_mapping_bytes(m);
		}
		if (++n % CLAIM_BATCH == 0)
			ioas_relax(ioas);
	}
	ioas_mapping_erase(ioas, stand_in);
	ioas_mapping_set_state(change->new, IOAS_MAPPING_LIVE);
	ioas_mapping_insert(ioas, change->new);
	if (unlikely(ioas->counted))
		atomic64_inc(&ioas->account->mappings);
	ioas->nr_mappings++;
	if (ioas_mapping_has_memory(change->new))
		ioas->bytes_mapped += ioas_mapping_bytes(change->new);
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	change->new = NULL;
}

/* Release the replaced mappings, which are in no table */
static void release_old(struct ioas_change *change)
{
	struct ioas_mapping *m, *next;

	for (m = change->claimed; m; m = next) {
		next = m->next;
		ioas_mapping_release(change->ioas, m);
		cond_resched();
	}
	change->claimed = NULL;
}

/* Put the new memory into quarantine: a poisoned domain may reach it */
static void keep_new(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	struct ioas_mapping *m, *next;
	unsigned int n = 0;

	spin_lock(&ioas->lock);
	ioas->poisoned = true;
	if (change->new && ioas_mapping_has_memory(change->new)) {
		ioas_quarantine_add(ioas, change->new);
		change->new = NULL;
	}
	for (m = change->repinned; m; m = next) {
		next = m->next;
		ioas_quarantine_add(ioas, m);
		if (++n % CLAIM_BATCH == 0)
			ioas_relax(ioas);
	}
	spin_unlock(&ioas->lock);
	change->repinned = NULL;
}

/* Remove the device memory in the range from the tables, or put it back */
static void remove_devices(struct ioas_change *change)
{
	struct ioas_mapping *m;

	if (likely(!change->devices))
		return;
	for (m = change->claimed; m; m = m->next)
		if (ioas_mapping_is_device(m))
			ioas_devmem_unmap(m->device);
}

static void restore_devices(struct ioas_change *change)
{
	struct ioas_mapping *m;

	if (likely(!change->devices))
		return;
	for (m = change->claimed; m; m = m->next)
		if (ioas_mapping_is_device(m))
			ioas_devmem_restore(m->device);
}

static int write_tables(struct ioas_change *change)
{
	struct ioas_mapping *new = change->new;
	int ret;

	remove_devices(change);
	if (unlikely(new && ioas_mapping_is_device(new)))
		ret = ioas_devmem_map(new->device);
	else
		ret = ioas_diff_tables(change);
	if (ret)
		restore_devices(change);
	return ret;
}

/*
 * Called with the range claimed and all memory pinned; ends the claim.  Returns
 * -EAGAIN, with nothing changed, for a cascading unmap of the parent.
 */
static int carry_out(struct ioas_change *change)
{
	struct ioas *ioas = change->ioas;
	unsigned int more = nr_more(change), i;
	bool replace = change->new, poisoned;
	u64 charged = nr_charged(change);
	int ret = 0;

	if (unlikely(charged)) {
		ret = ioasid_mappings_charge(ioas->account, charged);
		if (ret) {
			ioas_unclaim(change);
			return ret;
		}
	}
	lock_map_acquire(&ioas_changing_map);
	for (i = 0; i < more && !ret; i++)
		ret = ioas_ref_may_split(ioas);
	more = ret ? i - 1 : i;
	if (!ret)
		ret = write_tables(change);
	poisoned = ret && ioas_tables_poisoned(ioas);
	if (ret) {
		if (poisoned) {
			keep_new(change);
			ret = -EIO;
		}
		lock_map_release(&ioas_changing_map);
		ioas_unclaim(change);
		if (poisoned)
			ioas->ops->poisoned(ioas);
	} else {
		cut_edges(change);
		if (replace) {
			publish_new(change);
			lock_map_release(&ioas_changing_map);
			ioas_claim_unlock(change);
			release_old(change);
		} else {
			publish_permission(change);
			lock_map_release(&ioas_changing_map);
			ioas_claim_unlock(change);
		}
	}
	while (more--)
		ioas_ref_split_done(ioas);
	/* The trees have counted the mappings by themselves */
	if (unlikely(charged))
		ioasid_mappings_uncharge(ioas->account, charged);
	return ret;
}

/* Test whether there is memory in the range; device memory does not replace it */
static bool replaces_memory(struct ioas_change *change)
{
	struct ioas_mapping *m;

	for (m = change->claimed; m; m = m->next) {
		if (ioas_mapping_has_memory(m)) {
			change->fault_addr = max(m->start, change->start);
			return true;
		}
	}
	return false;
}

/*
 * As carry_out(), for a new mapping that has its memory.  Where children refer
 * to the range nothing may change.
 */
static int carry_out_new(struct ioas_change *change)
{
	int ret = 0;

	if (likely(!change->referred)) {
		if (likely(!ioas_mapping_is_device(change->new)) ||
		    !replaces_memory(change))
			return carry_out(change);
		ret = -EEXIST;
	} else if (!changes_nothing(change)) {
		change->fault_addr = change->referred_at;
		ret = -EBUSY;
	}
	ioas_unclaim(change);
	return ret;
}

static int protect(struct ioas_change *change)
{
	int ret;

	for (;;) {
		ret = ioas_claim(change);
		if (ret)
			return ret;
		ret = check_permission(change);
		if (!ret) {
			ret = carry_out(change);
			/* A cascading unmap of the parent comes first */
			if (ret == -EAGAIN && change->ioas->parent)
				continue;
			return ret;
		}
		ioas_unclaim(change);
		if (ret < 0)
			return ret;
		ret = pin_repins(change);
		if (ret)
			return ret;
	}
}

static int replace_root(struct ioas_change *change,
			struct ioas_map_request *req)
{
	struct ioas_mapping *new = change->new;
	int ret;

	ret = ioas_mapping_get_memory(change->ioas, new, req);
	if (ret) {
		change->fault_addr = req->fault_addr;
		return ret;
	}
	ret = ioas_claim(change);
	if (!ret && ioas_dirty_any()) {
		ret = ioas_dirty_cover(change->ioas, change->start,
				       change->last);
		if (ret) {
			ioas_unclaim(change);
			return ret;
		}
	}
	return ret ?: carry_out_new(change);
}

static int replace_child(struct ioas_change *change,
			 struct ioas_map_request *req)
{
	struct ioas *ioas = change->ioas;
	struct ioas_mapping *new = change->new;
	int ret;

	for (;;) {
		ret = ioas_claim(change);
		if (ret)
			return ret;
		ioas_mapping_set_state(new, IOAS_MAPPING_WRITING);
		ret = ioas_ref_get(ioas, new, false,
				   &change->fault_addr);
		if (ret < 0)
			ioas_unclaim(change);
		else
			ret = carry_out_new(change);
		/* Of several kinds of memory: see ioas_map_pieces() */
		if (ret == -EREMOTE)
			ret = -EOPNOTSUPP;
		if (ret != -EAGAIN)
			return ret;
		/* A cascading unmap of the parent comes first */
		if (ioas_mapping_has_ref(new)) {
			ioas_mapping_put_memory(ioas, new);
			new->backing = IOAS_BACKING_NONE;
			/* An import made it an address of the parent */
			new->addr = req->addr;
			change->fault_addr = req->addr;
		}
		WRITE_ONCE(new->wanted, false);
		ret = ioas_ref_wait(ioas, req, change->fault_addr);
		if (ret) {
			change->fault_addr = req->fault_addr;
			return ret;
		}
	}
}

static int alloc_spares(struct ioas_change *change,
			struct ioas_map_request *req)
{
	struct ioas *ioas = change->ioas;

	change->tail[0] = ioas_claim_filler(change);
	change->tail[1] = ioas_claim_filler(change);
	if (!change->tail[0] || !change->tail[1])
		return -ENOMEM;
	if (!(req->flags & IOASID_MAP_REPLACE))
		return 0;
	change->stand_in = ioas_claim_filler(change);
	change->new = ioas_mapping_alloc(ioas, req);
	if (!change->stand_in || !change->new)
		return -ENOMEM;
	change->new->flags = req->flags & (PERMISSION | IOASID_MAP_FILE);
	change->new->start = change->start;
	change->new->last = change->last;
	return 0;
}

static void free_spares(struct ioas_change *change)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (change->tail[i])
			ioas_mapping_free(change->tail[i]);
	if (change->stand_in)
		ioas_mapping_free(change->stand_in);
	if (change->new)
		ioas_mapping_release(change->ioas, change->new);
	ioas_batch_cache_empty(&change->fillers);
	free_repinned(change);
}

/*
 * Map by reference if nothing is mapped in the range, which costs no more than a
 * map.  Returns -EEXIST if there is something.
 */
static int replace_nothing(struct ioas *ioas, struct ioas_map_request *req)
{
	unsigned int flags = req->flags;
	struct ioas_mapping *m;
	bool taken;
	int ret;

	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, req->iova);
	taken = m && m->start <= req->iova + (req->length - 1);
	spin_unlock(&ioas->lock);
	if (taken)
		return -EEXIST;
	req->flags &= ~(IOASID_MAP_REPLACE | IOASID_MAP_SPLIT);
	ret = ioas_map_ref(ioas, req);
	req->flags = flags;
	return ret;
}

/**
 * ioas_remap() - change a range in place
 * @ioas: the address space
 * @req: the new permission, with IOASID_MAP_PROTECT; the new mapping, with
 *	IOASID_MAP_REPLACE
 *
 * Context: may sleep, for as long as a page fault takes.
 * Return: 0; on failure nothing has changed:
 * -ENXIO, a part of the range is not mapped, or of a child not in its parent;
 * -EEXIST, a range is reserved, or has memory that device memory would replace;
 * -EINVAL, the IOVAs are not permitted, or an edge cuts a mapping off its grid;
 * -EBUSY, a child refers to what would change, or an access still holds pages;
 * -EPERM, another process pinned memory that must be pinned for writing;
 * -EACCES, memory of a file must be pinned for writing, or the parent lacks the
 * permission;
 * -EOPNOTSUPP, IOASID_MAP_PROTECT of device memory, or several kinds of memory
 * of the parent, or a root that pins its memory on demand;
 * -EINTR, a fatal signal;
 * -ENOMEM, -ENOSPC or -EIO of an IOMMU driver;
 * errnos of ioasid_memory_get(), ioas_reserve() and ioas_ref_get().
 */
int ioas_remap(struct ioas *ioas,
	       struct ioas_map_request *req)
{
	struct ioas_change change = {
		.ioas = ioas,
		.start = req->iova,
		.last = req->iova + (req->length - 1),
		.flags = req->flags & PERMISSION,
		.split = req->flags & IOASID_MAP_SPLIT,
		.patience.patience = IOAS_PATIENCE,
	};
	int ret;

	/* What is recorded has nothing to change */
	if (unlikely(ioas->demand))
		return -EOPNOTSUPP;
	if (ioas->parent && req->flags & IOASID_MAP_REPLACE) {
		ret = replace_nothing(ioas, req);
		if (ret != -EEXIST)
			return ret;
	}
	ret = alloc_spares(&change, req);
	if (!ret) {
		if (!change.new)
			ret = protect(&change);
		else if (ioas->parent)
			ret = replace_child(&change, req);
		else
			ret = replace_root(&change, req);
	}
	free_spares(&change);
	ioas_ref_end(ioas, req);
	req->fault_addr = change.fault_addr;
	return ret;
}
