// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory behind a mapping: pinned memory, a reference to a parent, memory
 * of a device, or nothing.
 *
 * Invariants:
 *  - Memory that a poisoned domain may still reach is in quarantine, pinned and
 *    charged, until no domain is poisoned.
 */
#include <linux/err.h>
#include <linux/slab.h>

#include "../mem/memory.h"
#include "backing.h"
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

/* Charge and pin, with no lock held: a page fault in here may hang for ever */
int ioas_mapping_get_memory(struct ioas *ioas, struct ioas_mapping *m,
			    struct ioas_map_request *req)
{
	struct ioas_devmem_range *device;
	struct ioasid_payer *payer;
	int ret;

	payer = ioasid_memory_get(&m->mem, ioas->account, req->file, req->addr,
				  req->length >> PAGE_SHIFT,
				  req->flags & IOASID_MAP_WRITE,
				  &req->fault_addr);
	if (!IS_ERR(payer)) {
		m->payer = payer;
		return 0;
	}
	ret = PTR_ERR(payer);
	if ((ret != -EFAULT && ret != -EDQUOT) || req->file)
		return ret;
	/* A device's memory cannot be pinned, and need not be charged */
	device = ioas_devmem_get(ioas, req, m->start);
	if (IS_ERR(device))
		return PTR_ERR(device) == -EFAULT ? ret : PTR_ERR(device);
	m->device = device;
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
	*tail = *m;
	tail->readers = 0;
	if (m->mem.npages)
		ioasid_memory_cut(&m->mem, (at - m->start) >> PAGE_SHIFT,
				  &tail->mem);
	if (m->payer)
		ioasid_charge_cut(m->payer, tail->mem.skip);
	if (!(m->flags & IOASID_MAP_RESERVE))
		tail->addr += at - m->start;
	tail->start = at;
	if (ioas->parent && m->mem.npages)
		ioas_ref_split(ioas, m, tail);
}

/**
 * ioas_quarantine_add() - put a mapping into quarantine
 * @ioas: the address space; its lock is held
 * @m: not in the tree; a poisoned domain may still reach its memory
 */
void ioas_quarantine_add(struct ioas *ioas, struct ioas_mapping *m)
{
	lockdep_assert_held(&ioas->lock);
	ioas->poisoned = true;
	m->gap = ioas_quarantine_bytes(ioas) + ioas_mapping_bytes(m);
	m->next = ioas->quarantine;
	ioas->quarantine = m;
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
