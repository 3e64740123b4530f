// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows of the memory of a process: what of them is in domains, page by page.
 *
 * Invariants:
 *  - struct process_part tells exactly what its domain has of the window.
 *  - A page is marked dirty after it was removed and flushed, if devices could write to
 *    it, and before the process, or the domain, has lost it.
 *  - A page that a poisoned domain may still reach has a reference.
 *
 * Locks: callers hold ioas_process.lock.  Nothing here allocates memory that needs
 * reclaim, but ioas_process_part_alloc(), which needs no lock.
 */
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "domain.h"
#include "iommu.h"
#include "process_window.h"

/* In process_part.pfns: unmapped, but a poisoned domain may reach it */
#define PFN_HELD	HMM_PFN_ERROR

static struct page *page_of(unsigned long pfn)
{
	return pfn_to_page(pfn & ~HMM_PFN_FLAGS);
}

/**
 * ioas_process_part_alloc() - allocate a part of a window, for any domain
 *
 * Context: may sleep.
 * Return: the part, in which nothing is mapped; or NULL.
 */
struct process_part *ioas_process_part_alloc(void)
{
	struct process_part *part = kzalloc(sizeof(*part), GFP_KERNEL_ACCOUNT);

	if (!part)
		return NULL;
	part->pfns = kcalloc(PROCESS_WINDOW_PAGES, sizeof(*part->pfns),
			     GFP_KERNEL_ACCOUNT);
	if (part->pfns)
		return part;
	kfree(part);
	return NULL;
}

/**
 * ioas_process_part_free() - undo ioas_process_part_alloc()
 * @part: the part, in no list; or NULL
 *
 * Context: any but interrupts.
 */
void ioas_process_part_free(struct process_part *part)
{
	if (!part)
		return;
	kfree(part->pfns);
	kfree(part);
}

/**
 * ioas_process_part_find() - find the part of a window in a domain
 * @window: the window
 * @dom: the domain
 *
 * Return: the part, or NULL.
 */
struct process_part *ioas_process_part_find(struct process_window *window,
					    const struct ioas_domain *dom)
{
	struct process_part *part;

	list_for_each_entry(part, &window->parts, node)
		if (part->dom == dom)
			return part;
	return NULL;
}

/* ---- Remove ---- */

/* Devices may have written to the pages.  Each folio is marked once */
static void set_dirty(const unsigned long *pfns, unsigned int nr)
{
	struct folio *last = NULL, *folio;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!(pfns[i] & HMM_PFN_WRITE))
			continue;
		folio = page_folio(page_of(pfns[i]));
		if (folio != last)
			folio_mark_dirty(folio);
		last = folio;
	}
}

/* Forget unmapped pages, or hold them if devices may still reach them */
static void forget(struct process_window *window, struct process_part *part,
		   unsigned int first, unsigned int nr, bool hold)
{
	unsigned int i;

	for (i = first; i < first + nr; i++) {
		if (!part->pfns[i])
			continue;
		window->nr_mapped--;
		if (hold) {
			get_page(page_of(part->pfns[i]));
			part->pfns[i] |= PFN_HELD;
			window->nr_held++;
		} else {
			part->pfns[i] = 0;
		}
	}
}

static bool is_mapped(const struct process_part *part, unsigned int i)
{
	return part->pfns[i] && !(part->pfns[i] & PFN_HELD);
}

/* The number of pages from @i on that are mapped, or are not, before @end */
static unsigned int run_of(const struct process_part *part, unsigned int i,
			   unsigned int end)
{
	unsigned int from = i;

	while (++i < end && is_mapped(part, i) == is_mapped(part, from))
		;
	return i - from;
}

/**
 * ioas_process_part_remove() - take pages of a window out of a domain
 * @window: the window
 * @part: its part
 * @dom: the domain; may be poisoned afterwards
 * @first: index of the first page in the window
 * @end: index after the last one
 *
 * No device reaches them on return, unless the domain is poisoned: then they are held.
 *
 * Context: may sleep.  Needs no memory.
 */
void ioas_process_part_remove(struct process_window *window,
			      struct process_part *part,
			      struct ioas_domain *dom, unsigned int first,
			      unsigned int end)
{
	unsigned int i, nr;
	struct ioas_gather gather;

	if (part->whole) {
		first = 0;
		end = PROCESS_WINDOW_PAGES;
	}
	ioas_gather_start(&gather, dom, true);
	for (i = first; i < end; i += nr) {
		nr = run_of(part, i, end);
		if (is_mapped(part, i))
			ioas_gather_range(&gather,
					  process_window_start(window) + i * PAGE_SIZE,
					  (u64)nr * PAGE_SIZE);
	}
	ioas_gather_finish(&gather);
	for (i = first; i < end; i += nr) {
		nr = run_of(part, i, end);
		if (!is_mapped(part, i))
			continue;
		set_dirty(&part->pfns[i], nr);
		forget(window, part, i, nr, READ_ONCE(dom->poisoned));
	}
	part->whole = false;
}

/* ---- Write ---- */

/*
 * True if the window is to be written anew: the process may write now where IOPTEs
 * permit reads.  No notifier tells of that.
 */
static bool permits_more(const struct process_part *part,
			 const unsigned long *pfns)
{
	unsigned int i;

	for (i = 0; i < PROCESS_WINDOW_PAGES; i++)
		if (is_mapped(part, i) && pfns[i] & HMM_PFN_VALID &&
		    pfns[i] & ~part->pfns[i] & HMM_PFN_WRITE)
			return true;
	return false;
}

/* A page that a domain lacks */
static bool is_lacking(const struct process_part *part,
		       const unsigned long *pfns, unsigned int i)
{
	return pfns[i] & HMM_PFN_VALID && !part->pfns[i];
}

/* The number of pages from @i on that are one piece of memory, of one permission */
static unsigned int piece_of(const struct process_part *part,
			     const unsigned long *pfns, unsigned int i)
{
	unsigned int from = i;

	while (++i < PROCESS_WINDOW_PAGES && is_lacking(part, pfns, i) &&
	       (pfns[i] & ~HMM_PFN_FLAGS) == (pfns[i - 1] & ~HMM_PFN_FLAGS) + 1 &&
	       (pfns[i] & HMM_PFN_WRITE) == (pfns[from] & HMM_PFN_WRITE))
		;
	return i - from;
}

/*
 * The cut size of IOPTEs, log2: that of pages, which are taken out one by one; but one
 * for a window that is mapped whole.
 */
static unsigned int cut_shift_of(const struct ioas_domain *dom, unsigned int nr)
{
	if (nr == PROCESS_WINDOW_PAGES ||
	    !(ioas_iommu_pgsizes(dom->iommu) & (PROCESS_WINDOW_SIZE - 1) & ~(2 * PAGE_SIZE - 1)))
		return 0;
	return PAGE_SHIFT;
}

/* A piece was not unmapped for certain after it was written in part */
static void hold_piece(struct process_window *window, struct process_part *part,
		       const unsigned long *pfns, unsigned int i, unsigned int nr)
{
	unsigned int end = i + nr;

	set_dirty(&pfns[i], nr);
	for (; i < end; i++) {
		get_page(page_of(pfns[i]));
		part->pfns[i] = pfns[i] | PFN_HELD;
		window->nr_held++;
	}
}

/* Write @nr pages from @i on, one piece, without a sync */
static int write_piece(struct process_window *window, struct process_part *part,
		       struct ioas_domain *dom, const unsigned long *pfns,
		       unsigned int i, unsigned int nr)
{
	unsigned long write = pfns[i] & HMM_PFN_WRITE;
	unsigned long pfn = pfns[i] & ~HMM_PFN_FLAGS;
	u64 iova = process_window_start(window) + i * PAGE_SIZE;
	u64 size = (u64)nr * PAGE_SIZE;
	size_t done = 0;
	unsigned int n;
	int ret;

	ret = ioas_domain_write_run(dom, iova, PFN_PHYS(pfn), size,
				    IOASID_MAP_READ | (write ? IOASID_MAP_WRITE : 0),
				    cut_shift_of(dom, nr),
				    GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN,
				    &done);
	if (ret) {
		ioas_domain_unwind(dom, iova, done, size);
		if (READ_ONCE(dom->poisoned))
			hold_piece(window, part, pfns, i, nr);
		return ret;
	}
	part->whole = nr == PROCESS_WINDOW_PAGES;
	for (n = 0; n < nr; n++)
		part->pfns[i + n] = (pfn + n) | HMM_PFN_VALID | write;
	window->nr_mapped += nr;
	return 0;
}

/**
 * ioas_process_part_write() - write pages of a window to a domain that it lacks
 * @window: the window
 * @part: its part
 * @dom: the domain; may be poisoned afterwards
 * @pfns: what the process has: of each page what hmm_range_fault() has found
 *
 * Context: may sleep, but does not reclaim.
 * Return: 0; on failure some are written:
 * -EIO, the IOMMU failed, or the domain is poisoned;
 * -ENOMEM, tables could not be allocated without reclaim;
 * -ENOSPC.
 */
int ioas_process_part_write(struct process_window *window,
			    struct process_part *part, struct ioas_domain *dom,
			    const unsigned long *pfns)
{
	unsigned int i, nr;
	int ret = 0, synced;

	if (READ_ONCE(dom->poisoned))
		return -EIO;
	if (permits_more(part, pfns))
		ioas_process_part_remove(window, part, dom, 0, PROCESS_WINDOW_PAGES);
	for (i = 0; i < PROCESS_WINDOW_PAGES && !ret; i += nr) {
		nr = 1;
		if (!is_lacking(part, pfns, i))
			continue;
		nr = piece_of(part, pfns, i);
		ret = write_piece(window, part, dom, pfns, i, nr);
	}
	synced = ioas_domain_sync(dom, process_window_start(window), PROCESS_WINDOW_SIZE);
	if (synced)
		ioas_process_part_remove(window, part, dom, 0, PROCESS_WINDOW_PAGES);
	return ret ?: synced;
}

/**
 * ioas_process_part_forget() - a domain goes: forget what of a window is in it
 * @window: the window
 * @part: the part; ioas_process_part_free() follows
 *
 * No device does DMA by the domain any longer.
 */
void ioas_process_part_forget(struct process_window *window,
			      struct process_part *part)
{
	unsigned int i;

	list_del(&part->node);
	for (i = 0; i < PROCESS_WINDOW_PAGES; i++) {
		if (is_mapped(part, i)) {
			set_dirty(&part->pfns[i], 1);
			forget(window, part, i, 1, false);
		} else if (part->pfns[i]) {
			put_page(page_of(part->pfns[i]));
			window->nr_held--;
		}
	}
}
