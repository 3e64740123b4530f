// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory behind a mapping: pinned memory, a reference to a parent, memory
 * of a device, or nothing.  Each of get, put, split and view tells them apart in
 * one place, here.
 *
 * Invariants:
 *  - Memory that a poisoned domain may still reach is in quarantine, pinned and
 *    charged, until no domain is poisoned.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/slab.h>

#include "../mem/memory.h"
#include "backing.h"
#include "demand.h"
#include "devmem.h"
#include "ioas.h"
#include "mapping.h"
#include "ref.h"

/* Free mappings and their memory, many at a time */
void ioas_mapping_release_list(struct ioas *ioas,
			       struct ioas_mapping *list)
{
	struct ioas_mapping *m, *next;
	unsigned int n = 0;
	void *freed[32] __uninitialized;

	if (ioas->parent)
		ioas_ref_put(ioas, list);
	for (m = list; m; m = next) {
		next = m->next;
		ioas_mapping_put_memory(ioas, m);
		freed[n++] = m;
		if (n == ARRAY_SIZE(freed) || !next) {
			kmem_cache_free_bulk(ioas_mapping_cache, n, freed);
			n = 0;
		}
	}
}

/**
 * ioas_mapping_release() - free a mapping and its memory
 * @ioas: the address space
 * @m: the mapping; no device reaches its memory
 */
void ioas_mapping_release(struct ioas *ioas,
			  struct ioas_mapping *m)
{
	ioas_mapping_put_memory(ioas, m);
	ioas_mapping_free(m);
}

/**
 * ioas_mapping_pin() - charge and pin memory for a mapping
 * @ioas: the address space
 * @m: mapping without memory; on success its backing is IOAS_BACKING_PINNED
 * @file: a file, in which ioas_mapping.addr is an offset; or NULL
 * @npages: number of pages
 * @write: the pages can be written
 * @fault_addr: see ioasid_memory_get()
 *
 * Context: may sleep, for as long as a page fault takes; with no lock held.
 * Return: 0; or an errno of ioasid_memory_get().
 */
int ioas_mapping_pin(struct ioas *ioas, struct ioas_mapping *m,
		     struct file *file, unsigned long npages, bool write,
		     u64 *fault_addr)
{
	struct ioasid_payer *payer;

	payer = ioasid_memory_get(&m->mem, ioas->account, NULL, file, m->addr,
				  npages, write, fault_addr);
	if (IS_ERR(payer))
		return PTR_ERR(payer);
	m->payer = payer;
	m->backing = IOAS_BACKING_PINNED;
	if (file) {
		m->ino = file_inode(file)->i_ino;
		m->dev = new_encode_dev(file_inode(file)->i_sb->s_dev);
	}
	return 0;
}

/**
 * ioas_mapping_get_memory() - get the memory of a root's mapping
 * @ioas: the address space, a root; a child's mapping gets it by ioas_ref_get()
 * @m: from ioas_reserve()
 * @req: the map request; @fault_addr is set as by ioasid_memory_get()
 *
 * Context: may sleep, for as long as a page fault takes; with no lock held.
 * Return: 0; or an errno of ioasid_memory_get(), ioas_demand_record() or
 * ioas_devmem_get().
 */
int ioas_mapping_get_memory(struct ioas *ioas, struct ioas_mapping *m,
			    struct ioas_map_request *req)
{
	struct ioas_devmem_range *device;
	int ret;

	if (unlikely(ioas->demand))
		ret = ioas_demand_record(m, req);
	else
		ret = ioas_mapping_pin(ioas, m, req->file,
				       req->length >> PAGE_SHIFT,
				       req->flags & IOASID_MAP_WRITE,
				       &req->fault_addr);
	if (likely(!ret))
		return 0;
	/* A device's memory cannot be pinned, and need not be charged */
	if (req->file) {
		if (ret != -EOPNOTSUPP)
			return ret;
		device = ioas_devmem_get_region(ioas, req, m->start);
		if (IS_ERR(device))
			return PTR_ERR(device);
	} else {
		if (ret != -EFAULT && ret != -EDQUOT)
			return ret;
		device = ioas_devmem_get(ioas, req, m->start);
		if (IS_ERR(device))
			return PTR_ERR(device) == -EFAULT ? ret :
							    PTR_ERR(device);
	}
	m->device = device;
	m->backing = IOAS_BACKING_DEVICE;
	return 0;
}

/**
 * ioas_mapping_split_memory() - split the memory of a mapping
 * @ioas: the address space
 * @m: CHANGING, so that no thread uses its memory; keeps what is below @at
 * @tail: uninitialised; gets the rest
 * @at: address of the split
 *
 * Context: may sleep; cannot fail.
 */
void ioas_mapping_split_memory(struct ioas *ioas,
			       struct ioas_mapping *m,
			       struct ioas_mapping *tail, u64 at)
{
	unsigned long index = (at - m->start) >> PAGE_SHIFT;

	*tail = *m;
	tail->readers = 0;
	tail->start = at;
	if (unlikely(ioas->demand))
		tail->apart = true;
	if (!(m->flags & IOASID_MAP_RESERVE))
		tail->addr += at - m->start;
	switch (m->backing) {
	case IOAS_BACKING_PINNED:
		ioasid_memory_cut(&m->mem, index, &tail->mem);
		ioasid_charge_cut(m->payer, tail->mem.skip);
		if (unlikely(ioas->demand))
			refcount_inc(&m->origin->users);
		break;
	case IOAS_BACKING_DEMAND:
		refcount_inc(&m->origin->users);
		break;
	case IOAS_BACKING_PARENT:
		ioasid_memory_cut(&m->mem, index, &tail->mem);
		ioas_ref_split(ioas, m, tail);
		break;
	case IOAS_BACKING_DEVICE:	/* edges_check() refuses it */
	case IOAS_BACKING_PARENT_DEVICE:
	case IOAS_BACKING_NONE:
	case IOAS_BACKING_PIECES:
		break;
	}
}

/**
 * ioas_mapping_view() - refer to the memory of a mapping, to read it
 * @m: the mapping; the lock of its address space is held
 * @skip: number of pages at its front to leave out
 * @view: out; ioasid_memory_unrefer() of its memory follows
 */
void ioas_mapping_view(const struct ioas_mapping *m, unsigned long skip,
		       struct ioas_backing_view *view)
{
	view->mem.npages = 0;
	view->mem.is_shared = false;
	view->addr_known = false;
	view->revoked = false;
	view->demand = false;
	view->cuttable = true;
	switch (m->backing) {
	case IOAS_BACKING_PINNED:
		ioasid_memory_refer(&m->mem, skip, m->mem.npages - skip,
				    &view->mem);
		view->addr_known = m->flags & IOASID_MAP_FILE ||
				   m->payer->mm == current->mm;
		break;
	case IOAS_BACKING_PARENT:
		ioasid_memory_refer(&m->mem, skip, m->mem.npages - skip,
				    &view->mem);
		view->addr_known = true;
		break;
	case IOAS_BACKING_DEVICE:
	case IOAS_BACKING_PARENT_DEVICE:
		view->addr_known = ioas_devmem_refer(m->device, &view->mem) ||
				   m->backing == IOAS_BACKING_PARENT_DEVICE;
		view->revoked = ioas_devmem_is_revoked(m->device);
		if (view->revoked)
			ioasid_memory_unrefer(&view->mem);
		view->cuttable = false;
		break;
	case IOAS_BACKING_DEMAND:
		view->addr_known = ioas_origin_known(m->origin);
		view->demand = true;
		break;
	case IOAS_BACKING_NONE:
	case IOAS_BACKING_PIECES:
		break;
	}
}

/**
 * ioas_quarantine_release() - free the mappings in quarantine
 * @ioas: the address space, without a poisoned domain; attach_lock is held
 */
void ioas_quarantine_release(struct ioas *ioas)
{
	struct ioas_mapping *m, *next;

	spin_lock(&ioas->lock);
	m = ioas->quarantine;
	ioas->quarantine = NULL;
	ioas->poisoned = false;
	spin_unlock(&ioas->lock);
	for (; m; m = next) {
		next = m->next;
		ioas_mapping_release(ioas, m);
		cond_resched();
	}
}
