// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pin memory of a process, by address.
 *
 * Invariants:
 *  - Memory is charged before it is pinned.  IOASID_CHARGE_ONCE charges pages
 *    after they are pinned: at most IOASID_PIN_CHARGE_PAGES pages, before the
 *    next ones are pinned.
 *  - A comparison charges nothing: it pins at most as many pages at a time, and
 *    unpins them before the next ones, and before any page fault.
 *
 * Competition: memory that may move (ZONE_MOVABLE, CMA) is migrated before it
 * is pinned for long.  A migration fails while another task has the page pinned
 * or isolated, so that tasks that pin the same page make each other fail with
 * -ENOMEM, or retry for ever.  Therefore:
 *  - Pins of the same gibibyte of a file always take turns.
 *  - Pins by address compete first.  After -ENOMEM they take turns, too, of the
 *    file or of the same gibibyte of the mm; so do pins that begin meanwhile.
 *  - A turn of a file is held for a bounded time: no memory is faulted in
 *    meanwhile, so that neither userfaultfd nor FUSE can prolong it.  The wait
 *    for it is killable.  A turn of an mm may be long (memory of FUSE is
 *    migrated, too), so a pin does not wait for it, but tries again a bounded
 *    number of times.
 *
 * Locks: a turn is taken outside of mmap_lock; inside of i_rwsem only by
 * trylock, since hugetlbfs takes i_rwsem inside of mmap_lock.  Pinning takes
 * mmap_lock; callers hold no lock of this subsystem.
 *
 * Waits: for a page fault, which may hang for ever but is killable; for a turn;
 * for other users of the same pages, outside of this subsystem, a quarter of a
 * second at most.  A page fault is waited for with no page pinned: pages are
 * checked for too many pins after they are pinned, and any number of threads
 * may hang.
 */
#include <kunit/visibility.h>
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "pin.h"

/* Count how many of the @n pages are physically contiguous with the first */
static unsigned long contiguous_pages(struct page **pages, unsigned long n)
{
	struct page *first = pages[0];
	unsigned long i = 1;

	while (i < n && pages[i] == nth_page(first, i))
		i++;
	return i;
}

/* Check whether one of contiguous pages is pinned too often, and which */
static bool run_pinned_out(struct page *first, unsigned long n,
			   unsigned long *at)
{
	struct folio *folio;
	unsigned long i = 0;

	while (i < n) {
		struct page *page = nth_page(first, i);
		unsigned int refs = page_ref_count(page);

		/* A tail page has no references: its folio has them */
		if (likely(refs && !ioasid_refs_pinned_out(refs))) {
			i++;
			continue;
		}
		folio = page_folio(page);
		if (ioasid_folio_pinned_out(folio, 0)) {
			*at = i;
			return true;
		}
		i += folio_test_large(folio) ? folio_nr_pages(folio) -
					       folio_page_idx(folio, page) : 1;
	}
	return false;
}

/* Append pages to a list; on failure, @at is the index of the bad page */
static int extent_list_add_pages(struct ioasid_extent_list *list,
				 struct page **pages, unsigned long n,
				 unsigned long left, unsigned long *at)
{
	unsigned long run, done = 0;
	int ret;

	while (done < n) {
		run = contiguous_pages(pages + done, n - done);
		*at = 0;
		if (run_pinned_out(pages[done], run, at))
			ret = -EOVERFLOW;
		else
			ret = ioasid_extent_list_add(list,
						     page_to_pfn(pages[done]),
						     run, left + n - done - run);
		if (ret) {
			*at += done;
			unpin_user_pages(pages + done, n - done);
			return ret;
		}
		done += run;
	}
	return 0;
}

/**
 * ioasid_pin_errno() - convert an error of the mm to one for user space
 * @err: the mm's, 0 or negative
 *
 * Return: 0 or -errno for user space.
 */
int ioasid_pin_errno(long err)
{
	switch (err) {
	case -ENOMEM:
	case -EINTR:
	case -EHWPOISON:
		return err;
	case -EIO:
		/* Memory that could not be read from swap counts as poisoned */
		return -EHWPOISON;
	default:
		return -EFAULT;
	}
}

/**
 * ioasid_extent_list_charge() - charge for the pages since the last such charge
 * @list: the list
 *
 * Does nothing if the list has no payer.
 *
 * Return: 0; -EDQUOT or -ENOMEM, none of it was charged.
 */
int ioasid_extent_list_charge(struct ioasid_extent_list *list)
{
	struct ioasid_runs runs;
	int ret;

	if (!list->payer)
		return 0;
	if (list->done && list->done == ioasid_extent_pages(list->ext[list->at])) {
		list->at++;
		list->done = 0;
	}
	runs.ext = list->ext + list->at;
	runs.skip = list->done;
	runs.left = list->mem->npages - list->charged;
	ret = ioasid_charge_runs(list->payer, runs, list->done);
	if (ret)
		return ret;
	list->charged = list->mem->npages;
	list->at = list->nr - 1;
	list->done = ioasid_extent_pages(list->ext[list->at]);
	return 0;
}

static int pin_failed(long err, u64 addr, u64 *fault_addr)
{
	int ret = ioasid_pin_errno(err);

	if (ret == -EFAULT || ret == -EHWPOISON)
		*fault_addr = addr;
	return ret;
}

/* ---- Turns ---- */

#define NR_TURNS_BITS	6
#define NR_TURNS	BIT(NR_TURNS_BITS)
#define TURN_SHIFT	30

static struct mutex file_turns[NR_TURNS];

static struct mutex mm_turns[NR_TURNS];

/* Number of pins that failed for competition, and are trying again */
static atomic_t pins_compete = ATOMIC_INIT(0);

/**
 * ioasid_pin_init() - initialise the turns
 */
void __init ioasid_pin_init(void)
{
	unsigned int i;

	for (i = 0; i < NR_TURNS; i++) {
		mutex_init(&file_turns[i]);
		mutex_init(&mm_turns[i]);
	}
}

static struct mutex *turn_of(struct mutex *turns, const void *owner, u64 window)
{
	return &turns[hash_64(hash_ptr(owner, 32) + window, NR_TURNS_BITS)];
}

/* A folio is never in two windows */
static unsigned int turn_shift(struct file *file)
{
	unsigned int shift = TURN_SHIFT;

	if (file && is_file_hugepages(file))
		shift = max(shift, huge_page_shift(hstate_file(file)));
	return shift;
}

/* Limit @npages to the window that @at is in */
static u64 turn_window(struct file *file, u64 at, unsigned long *npages)
{
	unsigned int shift = turn_shift(file);
	u64 window = at >> shift;

	*npages = min_t(u64, *npages, (((window + 1) << shift) - at) >> PAGE_SHIFT);
	return window;
}

/**
 * ioasid_pin_file_turn() - take the turn to pin pages of a file
 * @file: of a tmpfs or of a hugetlbfs; its i_rwsem is held for reading
 * @offset: the first page
 * @npages: number of pages; out, number of pages that the turn covers
 *
 * Return: a mutex, to be unlocked when the pages are pinned; NULL, the turn is
 * busy: unlock i_rwsem, and call ioasid_pin_file_wait().
 */
struct mutex *ioasid_pin_file_turn(struct file *file, u64 offset,
				   unsigned long *npages)
{
	u64 window = turn_window(file, offset, npages);
	struct mutex *turn = turn_of(file_turns, file_inode(file), window);

	return mutex_trylock(turn) ? turn : NULL;
}

/**
 * ioasid_pin_file_wait() - wait until a turn may be free
 * @file: the file; its i_rwsem is not held
 * @offset: the first page
 *
 * mmap() of a hugetlbfs takes i_rwsem inside of mmap_lock, and a turn is held
 * outside of mmap_lock: so do not wait for a turn inside of i_rwsem.
 *
 * Return: 0; -EINTR, a fatal signal.
 */
int ioasid_pin_file_wait(struct file *file, u64 offset)
{
	unsigned long npages = 1;
	u64 window = turn_window(file, offset, &npages);
	struct mutex *turn = turn_of(file_turns, file_inode(file), window);

	if (mutex_lock_killable(turn))
		return -EINTR;
	mutex_unlock(turn);
	return 0;
}

/**
 * ioasid_pin_compete() - decide whether to retry a pin that failed
 * @failed: number of earlier failures of this pin
 *
 * Return: true: try again; false: a fatal signal is pending, or the failure was
 * not for competition.
 */
bool ioasid_pin_compete(unsigned int failed)
{
	if (failed >= IOASID_PIN_TRIES)
		return false;
	schedule_timeout_killable(msecs_to_jiffies(1 << min(failed, 4U)));
	return !fatal_signal_pending(current);
}

/* Take the turn for the memory that is mapped at @addr; NULL if it is busy */
static struct mutex *take_turn(u64 addr, unsigned long *npages)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct file *file = NULL;
	struct mutex *turn;	/* Pins that compete for this memory */
	u64 at;

	addr = untagged_addr(addr);
	if (mmap_read_lock_killable(mm))
		return ERR_PTR(-EINTR);
	vma = vma_lookup(mm, addr);
	if (vma) {
		*npages = min(*npages, (vma->vm_end - addr) >> PAGE_SHIFT);
		file = vma->vm_file;
	}
	if (file && vma->vm_flags & VM_MAYSHARE &&
	    (shmem_file(file) || is_file_hugepages(file))) {
		at = addr - vma->vm_start + ((u64)vma->vm_pgoff << PAGE_SHIFT);
		turn = turn_of(file_turns, file_inode(file),
			       turn_window(file, at, npages));
		mmap_read_unlock(mm);
		return mutex_lock_killable(turn) ? ERR_PTR(-EINTR) : turn;
	}
	turn = turn_of(mm_turns, mm, turn_window(file, addr, npages));
	mmap_read_unlock(mm);
	return mutex_trylock(turn) ? turn : NULL;
}

/* ---- By address ---- */

/*
 * io_uring kills its workers by a signal when the ring is closed: let any
 * signal interrupt GUP in a worker.
 */
static long pin_pages_once(u64 addr, unsigned long npages, bool writable,
			   unsigned int gup, struct page **pages)
{
	gup |= FOLL_LONGTERM | (writable ? FOLL_WRITE : 0);
	if (unlikely(current->flags & PF_IO_WORKER))
		return pin_user_pages_unlocked(addr, npages, pages,
					       gup | FOLL_INTERRUPTIBLE);
	return pin_user_pages_fast(addr, npages, gup, pages);
}

/*
 * Fault pages in, where long-term pins need not migrate them.  Take no reference:
 * it would keep others from migrating a page.  Do not read the memory: a read from
 * memory of a device may have an effect.  GUP visits a huge page once, unlike
 * fixup_user_fault().
 */
static bool fault_in(u64 addr, unsigned long npages, bool writable)
{
	unsigned int gup = writable ? FOLL_WRITE : 0, flags;
	long ret;

	if (unlikely(current->flags & PF_IO_WORKER))
		gup |= FOLL_INTERRUPTIBLE;
	flags = memalloc_pin_save();
	ret = get_user_pages_unlocked(addr, npages, NULL, gup);
	memalloc_pin_restore(flags);
	return ret > 0;
}

/*
 * Pin the pages that are present.  If the first is not, fault some in, and pin
 * those; or fault the first one in, with no other page pinned, in case that the
 * fault hangs.  A read-only pin may have to break COW: that is a fault, too, but
 * one that only a pin causes.
 */
static long pin_pages_present(u64 addr, unsigned long npages, bool writable,
			      struct page **pages)
{
	long pinned;

	if (npages == 1)
		return pin_pages_once(addr, 1, writable, 0, pages);
	pinned = pin_pages_once(addr, npages, writable, FOLL_NOFAULT, pages);
	if ((!pinned || pinned == -EFAULT) && writable &&
	    fault_in(addr, npages, true))
		pinned = pin_pages_once(addr, npages, writable, FOLL_NOFAULT,
					pages);
	if (!pinned || pinned == -EFAULT)
		pinned = pin_pages_once(addr, 1, writable, 0, pages);
	return pinned;
}

/* Number of times that a turn is found busy before a pin tries without it */
#define BUSY_TURNS		64

/* Number of times to fault in memory that is gone when the turn is taken */
#define TURN_FAULTS		8

/* Pin pages one at a time, while other tasks pin or migrate them */
static noinline long pin_pages_in_turn(u64 addr, unsigned long npages,
				       bool writable, struct page **pages)
{
	unsigned int failed = 0, busy = 0, faults = 0;
	struct mutex *turn;	/* See take_turn() */
	unsigned long n;
	long pinned;

	for (;;) {
		n = npages;
		turn = take_turn(addr, &n);
		pinned = -EINTR;
		if (IS_ERR(turn))
			break;
		if (turn) {
			/*
			 * A page fault may hang for ever: do not fault with the
			 * turn held
			 */
			atomic_inc(&pins_compete);
			pinned = pin_pages_once(addr, n, writable, FOLL_NOFAULT,
						pages);
			atomic_dec(&pins_compete);
			mutex_unlock(turn);
		} else if (++busy < BUSY_TURNS) {
			if (ioasid_pin_compete(0))
				continue;
			break;
		}
		if (turn && (!pinned || pinned == -EFAULT) &&
		    faults++ < TURN_FAULTS && fault_in(addr, n, writable))
			continue;
		if (!turn || !pinned || pinned == -EFAULT)
			pinned = pin_pages_once(addr, n, writable, 0, pages);
		if (pinned != -ENOMEM || !ioasid_pin_compete(failed++))
			break;
	}
	return fatal_signal_pending(current) && pinned == -ENOMEM ? -EINTR :
								    pinned;
}

static long pin_pages(u64 addr, unsigned long npages, bool writable,
		      struct page **pages)
{
	unsigned int gup = FOLL_LONGTERM | FOLL_HWPOISON;
	long pinned = -ENOMEM;

	if (likely(!atomic_read(&pins_compete)))
		pinned = pin_pages_present(addr, npages, writable, pages);
	if (unlikely(pinned == -ENOMEM))
		pinned = pin_pages_in_turn(addr, npages, writable, pages);
	if (likely(pinned != -EFAULT))
		return pinned;
	/*
	 * pin_user_pages_fast() has no flag to tell poison from other failures
	 */
	if (current->flags & PF_IO_WORKER)
		gup |= FOLL_INTERRUPTIBLE;
	return pin_user_pages_unlocked(addr, 1, pages,
				       gup | (writable ? FOLL_WRITE : 0));
}

/* The most frequent case: one page, one extent */
static int pin_user_page(struct ioasid_memory *mem, u64 addr, bool writable,
			 u64 *fault_addr)
{
	struct page *page;
	long pinned;

	pinned = pin_pages(addr, 1, writable, &page);
	if (unlikely(pinned != 1)) {
		mem->npages = 0;
		return pin_failed(pinned, addr, fault_addr);
	}
	if (ioasid_folio_pinned_out(page_folio(page), 0)) {
		unpin_user_page(page);
		mem->npages = 0;
		*fault_addr = addr;
		return -EOVERFLOW;
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

/* With @payer, pages are charged once, part by part */
/**
 * ioasid_pin_user_list() - pin any number of pages of the calling process
 * @mem: as for ioasid_pin_user()
 * @payer: the payer that is charged once for each page, or NULL
 * @addr: as for ioasid_pin_user()
 * @npages: the same
 * @writable: the same
 * @fault_addr: the same
 *
 * Return: as ioasid_pin_user() and ioasid_charge_runs().
 */
int ioasid_pin_user_list(struct ioasid_memory *mem, struct ioasid_payer *payer,
			 u64 addr, unsigned long npages, bool writable,
			 u64 *fault_addr)
{
	struct page *stack[PIN_STACK_PAGES], **pages = stack;
	unsigned long batch = PIN_STACK_PAGES, at;
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
			ret = pin_failed(pinned, addr, fault_addr);
			break;
		}
		npages -= pinned;
		ret = extent_list_add_pages(&list, pages, pinned, npages, &at);
		if (!ret)
			ret = ioasid_extent_list_charge(&list);
		else if (ret == -EOVERFLOW)
			*fault_addr = addr + ((u64)at << PAGE_SHIFT);
		addr += (u64)pinned << PAGE_SHIFT;
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
 * @mem: out, the memory; to be unpinned with ioasid_unpin()
 * @addr: first byte, page aligned
 * @npages: how many pages, not 0
 * @writable: pin for writing
 * @fault_addr: out on -EFAULT, the address of the first page that cannot be
 *	pinned
 *
 * Context: may sleep, for as long as a page fault takes.  Only a fatal signal
 * interrupts it.
 * Return: 0; -EFAULT, a page cannot be pinned; -ENOMEM; -EINTR, a fatal signal
 * is pending.
 */
int ioasid_pin_user(struct ioasid_memory *mem, u64 addr, unsigned long npages,
		    bool writable, u64 *fault_addr)
{
	if (npages == 1)
		return pin_user_page(mem, addr, writable, fault_addr);
	return ioasid_pin_user_list(mem, NULL, addr, npages, writable,
				    fault_addr);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_pin_user);

/* ---- Compare ---- */

/* Count how many of the pages are the next ones of a walk; @run is its last run */
static unsigned long same_pages(struct page **pages, unsigned long n,
				struct ioasid_runs *runs, struct ioasid_run *run)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		if (!run->npages && !ioasid_runs_next(runs, run))
			break;
		if (page_to_pfn(pages[i]) != run->pfn)
			break;
		run->pfn++;
		run->npages--;
	}
	return i;
}

/**
 * ioasid_compare_user() - check whether the calling process has the same memory
 * @mem: memory that another process has pinned, by ioasid_memory_refer(); it may
 *	be unpinned meanwhile
 * @addr: first byte, page aligned
 * @writable: the process must be able to write it
 * @fault_addr: out, how far it came: on failure the address of the page
 *
 * Pins the pages for the moment in which they are compared, some at a time.
 *
 * Context: may sleep, for as long as a page fault takes.  Only a fatal signal
 * interrupts it.
 * Return: 0; -EFAULT, a page cannot be pinned, or is another one; -EHWPOISON, it
 * is poisoned; -ENOMEM; -EINTR, a fatal signal is pending.
 */
int ioasid_compare_user(const struct ioasid_memory *mem, u64 addr, bool writable,
			u64 *fault_addr)
{
	struct page *stack[PIN_STACK_PAGES], **pages = stack;
	unsigned long batch = PIN_STACK_PAGES, left = mem->npages, same;
	struct ioasid_run run = {};
	struct ioasid_runs runs;
	long pinned;
	int ret = 0;

	*fault_addr = addr;
	if (left > batch) {
		pages = (struct page **)__get_free_page(GFP_KERNEL);
		if (!pages)
			return -ENOMEM;
		batch = IOASID_PIN_CHARGE_PAGES;
	}
	ioasid_runs_start(&runs, mem);
	while (left && !ret) {
		pinned = pin_pages(*fault_addr, min(left, batch), writable,
				   pages);
		if (pinned <= 0) {
			ret = ioasid_pin_errno(pinned);
			break;
		}
		same = same_pages(pages, pinned, &runs, &run);
		unpin_user_pages(pages, pinned);
		*fault_addr += (u64)same << PAGE_SHIFT;
		left -= same;
		if (same < pinned)
			ret = -EFAULT;
		else if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	if (pages != stack)
		free_page((unsigned long)pages);
	return ret;
}

/* ---- Unpin ---- */

/* Pages to unpin before cond_resched() */
#define UNPIN_BATCH		BIT(12)

static void unpin_pages(const struct ioasid_memory *mem)
{
	struct ioasid_runs runs;
	struct ioasid_run run;
	unsigned long n;

	if (ioasid_memory_is_run(mem, &run) && run.npages <= UNPIN_BATCH) {
		unpin_user_page_range_dirty_lock(pfn_to_page(run.pfn),
						 run.npages, mem->writable);
		return;
	}

	ioasid_runs_start(&runs, mem);
	while (ioasid_runs_next(&runs, &run)) {
		while (run.npages) {
			n = min(run.npages, UNPIN_BATCH);
			unpin_user_page_range_dirty_lock(pfn_to_page(run.pfn),
							 n, mem->writable);
			run.pfn += n;
			run.npages -= n;
			if (runs.left)
				cond_resched();
		}
	}
}

/**
 * ioasid_unpin() - unpin memory
 * @mem: the memory; holds none afterwards
 *
 * No translation to these pages may be left, in any table or cache.
 *
 * Context: may sleep.
 */
void ioasid_unpin(struct ioasid_memory *mem)
{
	unpin_pages(mem);
	ioasid_memory_unrefer(mem);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_unpin);

/**
 * ioasid_unpin_charged() - unpin memory, and release a charge of its pages
 * @mem: the memory; holds none afterwards
 * @payer: the payer that was charged, or NULL
 * @charged: number of pages, from the first, that were charged
 *
 * Context: may sleep; does not wait for mmap_lock; needs no memory.
 */
void ioasid_unpin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
			  unsigned long charged)
{
	struct ioasid_runs runs;

	unpin_pages(mem);
	if (payer) {
		mem->npages = charged;
		ioasid_runs_start(&runs, mem);
		ioasid_uncharge_runs(payer, runs);
	}
	ioasid_memory_unrefer(mem);
}
