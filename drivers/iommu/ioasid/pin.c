// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a process: pin it by address.
 *
 * Invariants:
 *  - Memory is charged before it is pinned.  Charging once (IOASID_CHARGE_ONCE)
 *    has to know the pages: a part of at most IOASID_PIN_CHARGE_PAGES is charged
 *    before the next is pinned.
 *
 * Locks: none here.  Pinning takes mmap_lock; callers hold no lock of this
 * subsystem.
 */
#include <kunit/visibility.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "memory.h"

/*
 * Pinned so often that a little more would make the count of references
 * overflow, which the mm warns of?  Far from it, as others pin too.
 */
static bool page_pinned_out(struct page *page)
{
	return (unsigned int)folio_ref_count(page_folio(page)) > INT_MAX / 2;
}

/* How many of the @n pages follow each other physically */
static unsigned long contiguous_pages(struct page **pages, unsigned long n)
{
	struct page *first = pages[0];
	unsigned long i = 1;

	while (i < n && pages[i] == nth_page(first, i))
		i++;
	return i;
}

static int extent_list_add_pages(struct ioasid_extent_list *list,
				 struct page **pages, unsigned long n,
				 unsigned long left)
{
	unsigned long run;
	int ret;

	while (n) {
		run = contiguous_pages(pages, n);
		n -= run;
		ret = -ENOMEM;
		if (likely(!page_pinned_out(pages[0])))
			ret = ioasid_extent_list_add(list,
						     page_to_pfn(pages[0]),
						     run, left + n);
		if (ret) {
			unpin_user_pages(pages, run + n);
			return ret;
		}
		pages += run;
	}
	return 0;
}

/**
 * ioasid_pin_errno() - errors of the mm that a user need not tell apart
 * @err: the mm's, 0 or negative
 *
 * Return: -errno for the user.
 */
int ioasid_pin_errno(long err)
{
	switch (err) {
	case -ENOMEM:
	case -EINTR:
		return err;
	default:
		return -EFAULT;
	}
}

/*
 * Who submitted a request to io_uring may close the ring, and does not wait for
 * a worker: there, any signal ends the wait for memory.
 */
static long pin_pages(u64 addr, unsigned long npages, bool writable,
		      struct page **pages)
{
	unsigned int gup = FOLL_LONGTERM | (writable ? FOLL_WRITE : 0);

	if (unlikely(current->flags & PF_IO_WORKER))
		return pin_user_pages_unlocked(addr, npages, pages,
					       gup | FOLL_INTERRUPTIBLE);
	return pin_user_pages_fast(addr, npages, gup, pages);
}

/* The most frequent case: one page, one extent */
static int pin_user_page(struct ioasid_memory *mem, u64 addr, bool writable,
			 u64 *fault_addr)
{
	struct page *page;
	long pinned;
	int ret;

	pinned = pin_pages(addr, 1, writable, &page);
	if (unlikely(pinned != 1)) {
		mem->npages = 0;
		ret = ioasid_pin_errno(pinned);
		if (ret == -EFAULT)
			*fault_addr = addr;
		return ret;
	}
	if (unlikely(page_pinned_out(page))) {
		unpin_user_page(page);
		mem->npages = 0;
		return -ENOMEM;
	}
	mem->inline_ext[0] = ioasid_extent_pack(page_to_pfn(page), 1);
	mem->npages = 1;
	mem->first = 0;
	mem->skip = 0;
	mem->is_shared = false;
	mem->writable = writable;
	return 0;
}

#define PIN_STACK_PAGES		8

/* With @payer it is charged once, part by part */
static int pin_user_pages_list(struct ioasid_memory *mem,
			       struct ioasid_payer *payer, u64 addr,
			       unsigned long npages, bool writable,
			       u64 *fault_addr)
{
	struct page *stack[PIN_STACK_PAGES] __uninitialized, **pages = stack;
	unsigned long batch = PIN_STACK_PAGES;
	struct ioasid_extent_list list;
	long pinned;
	int ret = 0;

	ioasid_extent_list_init(&list, mem, writable);
	list.payer = payer;
	if (npages > batch) {
		pages = (struct page **)__get_free_page(GFP_KERNEL);
		if (!pages)
			return -ENOMEM;
		batch = IOASID_PIN_CHARGE_PAGES;
	}

	while (npages) {
		pinned = pin_pages(addr, min(npages, batch), writable, pages);
		if (pinned <= 0) {
			ret = ioasid_pin_errno(pinned);
			if (ret == -EFAULT)
				*fault_addr = addr;
			break;
		}
		npages -= pinned;
		addr += (u64)pinned << PAGE_SHIFT;
		ret = extent_list_add_pages(&list, pages, pinned, npages);
		if (!ret)
			ret = ioasid_extent_list_charge(&list);
		if (ret || !npages)
			break;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}

	if (pages != stack)
		free_page((unsigned long)pages);
	ioasid_extent_list_finish(&list);
	if (ret)
		ioasid_unpin_charged(mem, payer, list.charged);
	return ret;
}

/**
 * ioasid_pin_user() - pin memory of the calling process
 * @mem: out, the memory; to be unpinned by ioasid_unpin()
 * @addr: first byte, page aligned
 * @npages: how many pages, not 0
 * @writable: pin for writing
 * @fault_addr: out on -EFAULT, the address of the first page that cannot be
 *	pinned
 *
 * Context: may sleep, for as long as a page fault takes.  Only a fatal signal
 * interrupts it.
 * Return: 0; -EFAULT, some page cannot be pinned; -ENOMEM; -EINTR, a fatal
 * signal is pending.
 */
int ioasid_pin_user(struct ioasid_memory *mem, u64 addr, unsigned long npages,
		    bool writable, u64 *fault_addr)
{
	if (npages == 1)
		return pin_user_page(mem, addr, writable, fault_addr);
	return pin_user_pages_list(mem, NULL, addr, npages, writable,
				   fault_addr);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_pin_user);

/**
 * ioasid_pin_charged() - pin memory of a file, or that is charged once
 * @mem: out, the memory
 * @payer: who is charged
 * @file: as for ioasid_memory_get(), which this is a part of
 * @addr: the same
 * @npages: the same
 * @writable: the same
 * @fault_addr: the same
 *
 * Return: 0, or -errno as ioasid_memory_get().
 */
int ioasid_pin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
		       struct file *file, u64 addr, unsigned long npages,
		       bool writable, u64 *fault_addr)
{
	if (payer->charge != IOASID_CHARGE_ONCE)
		payer = NULL;
	if (file)
		return ioasid_pin_file(mem, payer, file, addr, npages, writable,
				fault_addr);
	return pin_user_pages_list(mem, payer, addr, npages, writable,
				   fault_addr);
}
