// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of user space: pin it, and keep it as extents.
 *
 * Invariants:
 *  - A page is pinned (FOLL_PIN, FOLL_LONGTERM) once for each mapping that it
 *    is in; memory of files, which the mm pins by folio, gets the missing pins
 *    added, so that unpinning does not ask where memory came from.
 *  - Memory is charged before it is pinned.  Charging once (IOASID_CHARGE_ONCE)
 *    has to know the pages: a part of at most PIN_CHARGE_PAGES is charged
 *    before the next is pinned.
 *
 * Locks: none here.  Pinning takes mmap_lock and, for files, i_rwsem; callers
 * hold no lock of this subsystem.
 */
#include <kunit/visibility.h>
#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/vmstat.h>
#include <uapi/linux/fcntl.h>

#include "memory.h"

/*
 * An array of extents.  Finding a page in a long one takes an index: @index[i]
 * is how many pages stand before extent i * INDEX_STEP, @hint an i that was found
 * last.  Where there was no memory for it, it is NULL, and one looks at extent by
 * extent.
 */
#define INDEX_STEP	4

struct ioasid_extents {
	refcount_t users;
	unsigned int nr;
	unsigned int hint;
	unsigned long *index;
	u64 ext[];
};

/* ---- Extents ---- */

static u64 extent_pack(unsigned long pfn, unsigned long npages)
{
	return (u64)pfn << IOASID_EXTENT_COUNT_BITS | (npages - 1);
}

static unsigned long extent_pages(u64 ext)
{
	return (ext & (IOASID_EXTENT_MAX_PAGES - 1)) + 1;
}

static const u64 *memory_extents(const struct ioasid_memory *mem)
{
	return mem->is_shared ? mem->shared->ext + mem->first :
				mem->inline_ext + mem->first;
}

/**
 * ioasid_runs_start() - begin to walk the runs of memory
 * @runs: the walk
 * @mem: what to walk; must not change or go until the walk ends
 */
void ioasid_runs_start(struct ioasid_runs *runs,
		       const struct ioasid_memory *mem)
{
	runs->ext = memory_extents(mem);
	runs->skip = mem->skip;
	runs->left = mem->npages;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_runs_start);

static void extents_index(struct ioasid_extents *extents)
{
	unsigned long pages = 0;
	unsigned int i;

	extents->index = NULL;
	extents->hint = 0;
	if (extents->nr <= INDEX_STEP)
		return;
	extents->index = kvmalloc_array(DIV_ROUND_UP(extents->nr, INDEX_STEP),
					sizeof(*extents->index),
					GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!extents->index)
		return;
	for (i = 0; i < extents->nr; i++) {
		if (i % INDEX_STEP == 0)
			extents->index[i / INDEX_STEP] = pages;
		pages += extent_pages(extents->ext[i]);
	}
}

static void extents_put(struct ioasid_extents *extents)
{
	if (!refcount_dec_and_test(&extents->users))
		return;
	kvfree(extents->index);
	kvfree(extents);
}

/*
 * Which extent holds page @page of @mem?  Counted from @mem's first one; @skip
 * is how many pages of that extent stand before the page.
 */
static __always_inline unsigned int
extent_of(const struct ioasid_memory *mem, unsigned long page,
	  unsigned long *skip)
{
	const u64 *ext = mem->is_shared ? mem->shared->ext : mem->inline_ext;
	unsigned int i = mem->first, low, high, mid;
	const unsigned long *index;

	page += mem->skip;
	if (mem->is_shared && mem->shared->index &&
	    page >= extent_pages(ext[i])) {
		index = mem->shared->index;
		low = i / INDEX_STEP;
		if (unlikely(i)) {
			/* Count from the beginning of the array */
			page += index[low];
			for (mid = low * INDEX_STEP; mid < i; mid++)
				page += extent_pages(ext[mid]);
		}
		/* The last step that does not begin beyond the page */
		high = (mem->shared->nr - 1) / INDEX_STEP;
		mid = READ_ONCE(mem->shared->hint);
		if (index[mid] <= page) {
			/* There, or in the step after it? */
			if (mid < high && page >= index[mid + 1])
				mid++;
			low = mid;
			if (low < high && page < index[low + 1])
				high = low;
		}
		while (low < high) {
			mid = high - (high - low) / 2;
			if (index[mid] <= page)
				low = mid;
			else
				high = mid - 1;
		}
		if (low != READ_ONCE(mem->shared->hint))
			WRITE_ONCE(mem->shared->hint, low);
		page -= index[low];
		i = low * INDEX_STEP;
	}
	while (page >= extent_pages(ext[i]))
		page -= extent_pages(ext[i++]);
	*skip = page;
	return i - mem->first;
}

/**
 * ioasid_runs_from() - begin to walk the runs of memory in the middle
 * @runs: the walk
 * @mem: what to walk; must not change or go until the walk ends
 * @at: index of the first page, below mem->npages
 * @npages: how many pages, at most what @mem has from @at on
 *
 * Return: how many pages of the first run stand before @at.
 */
unsigned long ioasid_runs_from(struct ioasid_runs *runs,
			       const struct ioasid_memory *mem,
			       unsigned long at, unsigned long npages)
{
	unsigned int index = extent_of(mem, at, &runs->skip);

	runs->ext = memory_extents(mem) + index;
	runs->left = npages;
	return index ? runs->skip : runs->skip - mem->skip;
}

/**
 * ioasid_memory_page() - the page at an index
 * @mem: the memory
 * @index: below mem->npages
 *
 * Return: the page, pinned as long as @mem is.
 */
struct page *ioasid_memory_page(const struct ioasid_memory *mem,
				unsigned long index)
{
	unsigned long skip;
	u64 ext = memory_extents(mem)[extent_of(mem, index, &skip)];

	return pfn_to_page((ext >> IOASID_EXTENT_COUNT_BITS) + skip);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_memory_page);

/**
 * ioasid_memory_cut() - cut memory in two
 * @mem: what to cut; keeps the pages below @at
 * @at: index of the first page of the second part, 0 < @at < mem->npages
 * @tail: gets the pages from @at on
 *
 * Needs no memory and cannot fail.
 */
void ioasid_memory_cut(struct ioasid_memory *mem, unsigned long at,
		       struct ioasid_memory *tail)
{
	unsigned long skip;
	unsigned int index = extent_of(mem, at, &skip);

	*tail = *mem;
	tail->first += index;
	tail->skip = skip;
	tail->npages -= at;
	mem->npages = at;
	if (mem->is_shared)
		refcount_inc(&mem->shared->users);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_memory_cut);

/**
 * ioasid_memory_borrow() - refer to a part of memory that is pinned elsewhere
 * @mem: the memory; must stay pinned for as long as @part is used
 * @at: index of the first page
 * @npages: how many pages, not 0, at most what @mem has from @at on
 * @part: out, the part; to be ended by ioasid_memory_return()
 *
 * Needs no memory, and as many steps as it takes to find the first page.
 */
void ioasid_memory_borrow(const struct ioasid_memory *mem, unsigned long at,
			  unsigned long npages, struct ioasid_memory *part)
{
	unsigned long pfn, skip, have;
	unsigned int index;
	u64 ext;

	index = extent_of(mem, at, &skip);
	ext = memory_extents(mem)[index];
	pfn = (ext >> IOASID_EXTENT_COUNT_BITS) + skip;
	have = extent_pages(ext) - skip;

	part->npages = npages;
	part->first = 0;
	part->skip = 0;
	part->is_shared = false;
	part->writable = false;
	if (likely(npages <= have)) {
		part->inline_ext[0] = extent_pack(pfn, npages);
	} else if (!mem->is_shared) {
		/* There are two, and this was the first */
		ext = mem->inline_ext[1];
		part->inline_ext[0] = extent_pack(pfn, have);
		part->inline_ext[1] =
			extent_pack(ext >> IOASID_EXTENT_COUNT_BITS,
				    npages - have);
	} else {
		refcount_inc(&mem->shared->users);
		part->shared = mem->shared;
		part->is_shared = true;
		part->first = mem->first + index;
		part->skip = skip;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_memory_borrow);

/**
 * ioasid_memory_return() - end what ioasid_memory_borrow() began
 * @part: the part, or what was put together of such; holds none afterwards
 */
void ioasid_memory_return(struct ioasid_memory *part)
{
	part->npages = 0;
	if (unlikely(part->is_shared)) {
		extents_put(part->shared);
		part->is_shared = false;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_memory_return);

/**
 * ioasid_extent_list_init() - begin a list of extents
 * @list: uninitialised
 * @mem: out, what will hold them
 * @writable: whether they are pinned for writing
 */
void ioasid_extent_list_init(struct ioasid_extent_list *list,
			     struct ioasid_memory *mem, bool writable)
{
	*list = (struct ioasid_extent_list){
		.mem = mem,
		.ext = mem->inline_ext,
		.room = IOASID_INLINE_EXTENTS,
	};
	mem->npages = 0;
	mem->first = 0;
	mem->skip = 0;
	mem->is_shared = false;
	mem->writable = writable;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_extent_list_init);

/* What one allocation can hold */
#define MAX_EXTENTS	((INT_MAX - sizeof(struct ioasid_extents)) / sizeof(u64))

static int extent_list_grow(struct ioasid_extent_list *list,
			    unsigned long left)
{
	struct ioasid_extents *grown;
	unsigned int room;

	/* Doubles, but never beyond what the pages to come could need */
	room = min3(max(list->room * 2UL, 16UL), list->nr + left,
		    MAX_EXTENTS);
	if (room <= list->nr)
		return -ENOMEM;
	grown = kvmalloc(struct_size(grown, ext, room),
			 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!grown)
		return -ENOMEM;
	memcpy(grown->ext, list->ext, list->nr * sizeof(u64));
	kvfree(list->grown);
	list->grown = grown;
	list->ext = grown->ext;
	list->room = room;
	return 0;
}

/**
 * ioasid_extent_list_add() - append contiguous pages
 * @list: the list
 * @pfn: the first page
 * @npages: how many, at most IOASID_EXTENT_MAX_PAGES
 * @left: how many more pages may follow
 *
 * Return: 0; -ENOMEM, none was appended.
 */
int ioasid_extent_list_add(struct ioasid_extent_list *list, unsigned long pfn,
			   unsigned long npages, unsigned long left)
{
	unsigned long take = 0, have;
	u64 last;
	int ret;

	if (list->nr) {
		last = list->ext[list->nr - 1];
		have = (last & (IOASID_EXTENT_MAX_PAGES - 1)) + 1;
		if ((last >> IOASID_EXTENT_COUNT_BITS) + have == pfn)
			take = min(npages, IOASID_EXTENT_MAX_PAGES - have);
	}
	if (take < npages && list->nr == list->room) {
		ret = extent_list_grow(list, left + 1);
		if (ret)
			return ret;
	}
	if (take)
		list->ext[list->nr - 1] += take;
	if (take < npages)
		list->ext[list->nr++] = extent_pack(pfn + take, npages - take);
	list->mem->npages += npages;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_extent_list_add);

/**
 * ioasid_extent_list_borrow() - append memory that is pinned elsewhere
 * @list: the list
 * @part: the memory
 * @left: how many pages may follow
 *
 * Return: 0; -ENOMEM.
 */
int ioasid_extent_list_borrow(struct ioasid_extent_list *list,
			      const struct ioasid_memory *part,
			      unsigned long left)
{
	struct ioasid_runs runs;
	struct ioasid_run run;
	int ret;

	ioasid_runs_start(&runs, part);
	while (ioasid_runs_next(&runs, &run)) {
		ret = ioasid_extent_list_add(list, run.pfn, run.npages,
					     left + runs.left);
		if (ret)
			return ret;
	}
	return 0;
}

/* Charge what was added since the last time, if it has to be known for that */
static int extent_list_charge(struct ioasid_extent_list *list)
{
	struct ioasid_runs runs;
	int ret;

	if (!list->payer)
		return 0;
	if (list->done && list->done == extent_pages(list->ext[list->at])) {
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
	list->done = extent_pages(list->ext[list->at]);
	return 0;
}

/**
 * ioasid_extent_list_finish() - hand the extents to their memory
 * @list: complete, or to be unpinned; ends
 */
void ioasid_extent_list_finish(struct ioasid_extent_list *list)
{
	struct ioasid_extents *fit;

	if (!list->grown)
		return;
	if (list->nr < list->room / 2) {
		fit = kvmalloc(struct_size(fit, ext, list->nr),
			       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (fit) {
			memcpy(fit->ext, list->ext, list->nr * sizeof(u64));
			kvfree(list->grown);
			list->grown = fit;
		}
	}
	refcount_set(&list->grown->users, 1);
	list->grown->nr = list->nr;
	extents_index(list->grown);
	list->mem->shared = list->grown;
	list->mem->is_shared = true;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_extent_list_finish);

/* ---- Pin ---- */

/* Pages to unpin between two looks at the scheduler */
#define UNPIN_BATCH		BIT(16)

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
	ioasid_memory_return(mem);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_unpin);

/**
 * ioasid_unpin_charged() - unpin memory, and give back what was charged once
 * @mem: the memory; holds none afterwards
 * @payer: who was charged, or NULL
 * @charged: how many of the first pages were
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
	ioasid_memory_return(mem);
}

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

/* Errors of the mm that a user need not tell apart */
static int pin_errno(long err)
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
		ret = pin_errno(pinned);
		if (ret == -EFAULT)
			*fault_addr = addr;
		return ret;
	}
	if (unlikely(page_pinned_out(page))) {
		unpin_user_page(page);
		mem->npages = 0;
		return -ENOMEM;
	}
	mem->inline_ext[0] = extent_pack(page_to_pfn(page), 1);
	mem->npages = 1;
	mem->first = 0;
	mem->skip = 0;
	mem->is_shared = false;
	mem->writable = writable;
	return 0;
}

#define PIN_STACK_PAGES		8
/* What fits a page: 2 MiB of memory, where pages have 4 KiB */
#define PIN_CHARGE_PAGES	(PAGE_SIZE / sizeof(struct page *))

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
		batch = PIN_CHARGE_PAGES;
	}

	while (npages) {
		pinned = pin_pages(addr, min(npages, batch), writable, pages);
		if (pinned <= 0) {
			ret = pin_errno(pinned);
			if (ret == -EFAULT)
				*fault_addr = addr;
			break;
		}
		npages -= pinned;
		addr += (u64)pinned << PAGE_SHIFT;
		ret = extent_list_add_pages(&list, pages, pinned, npages);
		if (!ret)
			ret = extent_list_charge(&list);
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

static unsigned int file_seals(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (shmem_file(file))
		return SHMEM_I(inode)->seals;
#ifdef CONFIG_HUGETLBFS
	return HUGETLBFS_I(inode)->seals;
#else
	return 0;
#endif
}

/* First page from @index on, below @end, that the file has no memory for */
static pgoff_t file_first_hole(struct file *file, pgoff_t index, pgoff_t end)
{
	XA_STATE(xas, &file->f_mapping->i_pages, index);
	void *entry;

	rcu_read_lock();
	while (index < end) {
		xas_set(&xas, index);
		entry = xas_load(&xas);
		if (xas_retry(&xas, entry))
			continue;
		if (!entry)
			break;
		/* A folio or, in swap, an entry of some order */
		index = (index | ((1UL << xas_get_order(&xas)) - 1)) + 1;
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	return min(index, end);
}

/*
 * memfd_pin_folios() pinned a folio once; make that once for each of @npages.
 * Safe because the folio is pinned already.
 */
static int folio_pin_more(struct folio *folio, unsigned long more)
{
	if (!more)
		return 0;
	if (folio_ref_count(folio) > (long)(INT_MAX / 2) - (long)more)
		return -ENOMEM;
	folio_ref_add(folio, more);
	atomic_add(more, &folio->_pincount);
	node_stat_mod_folio(folio, NR_FOLL_PIN_ACQUIRED, more);
	return 0;
}

/* Unpin once each */
static void unpin_folio_array(struct folio **folios, long n)
{
	while (n > 0)
		unpin_user_folio(folios[--n], 1);
}

/*
 * fallocate() leaves pages in tmpfs for whoever writes them first to clear:
 * that is us, as a device may read them.
 */
static void folio_make_uptodate(struct folio *folio)
{
	if (folio_test_uptodate(folio))
		return;
	folio_lock(folio);
	if (!folio_test_uptodate(folio)) {
		folio_zero_range(folio, 0, folio_size(folio));
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
}

/*
 * Have a hugetlbfs file get pages of its own for a hole.  What
 * memfd_pin_folios() would put there it takes from the reservations of others.
 */
static int file_fill_hole(struct file *file, u64 offset, u64 length)
{
	int ret = vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, offset, length);

	switch (ret) {
	case 0:
		return 0;
	case -EINTR:
		/* Any signal does that; the caller need not know */
		return fatal_signal_pending(current) ? -EINTR :
						       -ERESTARTNOINTR;
	case -ENOSPC:
	case -ENOMEM:
		return -ENOMEM;
	default:
		return -EFAULT;
	}
}

/* Are holes to be found before memfd_pin_folios() finds them? */
static bool file_must_not_grow(struct file *file)
{
	return !(file->f_mode & FMODE_WRITE) || is_file_hugepages(file);
}

static unsigned int file_order(struct file *file)
{
	return is_file_hugepages(file) ? huge_page_order(hstate_file(file)) : 0;
}

#define PIN_FILE_FOLIOS		512UL
/* How often somebody may punch the hole again that was just filled */
#define PIN_FILE_TRIES		16

/* May these pages of the file be pinned?  -EAGAIN: when the hole is filled */
static int file_check(struct ioasid_extent_list *list, struct file *file,
		      u64 offset, unsigned long npages, u64 *fault_addr)
{
	pgoff_t first = offset >> PAGE_SHIFT, hole;
	u64 size;

	lockdep_assert_held_read(&file_inode(file)->i_rwsem);
	*fault_addr = offset;
	if (list->mem->writable &&
	    file_seals(file) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;

	size = i_size_read(file_inode(file)) & PAGE_MASK;
	if (offset + ((u64)npages << PAGE_SHIFT) > size) {
		*fault_addr = max(offset, size);
		return -EINVAL;
	}

	if (!file_must_not_grow(file))
		return 0;
	hole = file_first_hole(file, first, first + npages);
	if (hole == first + npages)
		return 0;
	*fault_addr = (u64)hole << PAGE_SHIFT;
	return file->f_mode & FMODE_WRITE ? -EAGAIN : -EFAULT;
}

/*
 * Pin as many pages as one call of memfd_pin_folios() gives.  The inode's lock
 * keeps holes from being punched between the look for them and the pin, and
 * seals from being added between the look at them and the pin.
 */
static long pin_file_some(struct ioasid_extent_list *list, struct file *file,
			  struct folio **folios, u64 offset,
			  unsigned long npages, u64 *fault_addr)
{
	struct inode *inode = file_inode(file);
	unsigned int tries = PIN_FILE_TRIES;
	unsigned long done = 0;
	pgoff_t first;
	long n, i, ret;
	u64 end;

	if (file_must_not_grow(file))
		npages = min(npages, PIN_FILE_FOLIOS << file_order(file));
	if (list->payer)
		npages = min(npages, PIN_CHARGE_PAGES);
	end = offset + ((u64)npages << PAGE_SHIFT);
	for (;;) {
		ret = down_read_killable(&inode->i_rwsem);
		if (ret)
			return -EINTR;
		ret = file_check(list, file, offset, npages, fault_addr);
		if (!ret)
			break;
		up_read(&inode->i_rwsem);
		if (ret != -EAGAIN)
			return ret;
		if (!tries--)
			return -EFAULT;
		ret = file_fill_hole(file, *fault_addr, end - *fault_addr);
		if (ret)
			return ret;
	}

	n = memfd_pin_folios(file, offset, end - 1, folios, PIN_FILE_FOLIOS,
			     &first);
	if (n <= 0) {
		ret = pin_errno(n);
		goto unlock;
	}
	first >>= PAGE_SHIFT;

	for (i = 0; i < n; i++) {
		unsigned long take = min(folio_nr_pages(folios[i]) - first,
					 npages - done);
		unsigned long pfn = folio_pfn(folios[i]) + first;

		folio_make_uptodate(folios[i]);
		ret = folio_pin_more(folios[i], take - 1);
		if (!ret) {
			ret = ioasid_extent_list_add(list, pfn, take,
						     npages - done - take);
			if (ret && take > 1)
				unpin_user_folio(folios[i], take - 1);
		}
		if (ret) {
			unpin_folio_array(folios + i, n - i);
			goto unlock;
		}
		done += take;
		first = 0;
	}
	ret = done;
unlock:
	up_read(&inode->i_rwsem);
	return ret;
}

/*
 * Pin memory of a memfd, a file of tmpfs or of hugetlbfs.  Pages that the file
 * has not yet are added to it, but only if it was opened for writing.  With
 * @payer it is charged once, part by part.
 */
static int pin_file(struct ioasid_memory *mem, struct ioasid_payer *payer,
		    struct file *file, u64 offset, unsigned long npages,
		    bool writable, u64 *fault_addr)
{
	struct ioasid_extent_list list;
	struct folio **folios;
	long done;
	int ret = 0;

	if (!shmem_file(file) && !is_file_hugepages(file))
		return -EOPNOTSUPP;
	if (!(file->f_mode & FMODE_READ) ||
	    (writable && !(file->f_mode & FMODE_WRITE)))
		return -EACCES;
	if (offset > LLONG_MAX - ((u64)npages << PAGE_SHIFT)) {
		*fault_addr = offset;
		return -EINVAL;
	}

	ioasid_extent_list_init(&list, mem, writable);
	list.payer = payer;
	folios = kmalloc_array(PIN_FILE_FOLIOS, sizeof(*folios), GFP_KERNEL);
	if (!folios)
		return -ENOMEM;

	while (npages) {
		done = pin_file_some(&list, file, folios, offset, npages,
				     fault_addr);
		ret = done < 0 ? done : extent_list_charge(&list);
		if (ret)
			break;
		npages -= done;
		offset += (u64)done << PAGE_SHIFT;
		if (npages && fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}

	kfree(folios);
	ioasid_extent_list_finish(&list);
	if (ret)
		ioasid_unpin_charged(mem, payer, list.charged);
	return ret;
}

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
		return pin_file(mem, payer, file, addr, npages, writable,
				fault_addr);
	return pin_user_pages_list(mem, payer, addr, npages, writable,
				   fault_addr);
}
