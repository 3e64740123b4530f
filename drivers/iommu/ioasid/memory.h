/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of user space: pinned, and kept as extents.
 *
 * The ground floor: knows processes and pages, knows nothing of IOASIDs.
 */
#ifndef _IOASID_MEMORY_H
#define _IOASID_MEMORY_H

#include <linux/bits.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/types.h>

#include "charge.h"

struct file;
struct ioasid_extents;
struct mutex;

/* A run of physically contiguous pages */
struct ioasid_run {
	unsigned long pfn;
	unsigned long npages;
};

/*
 * An extent packs a run into 8 bytes: the page frame number above, the count
 * of pages less one below.
 */
#define IOASID_EXTENT_COUNT_BITS	24
#define IOASID_EXTENT_MAX_PAGES		BIT(IOASID_EXTENT_COUNT_BITS)
#define IOASID_INLINE_EXTENTS		2

static inline u64 ioasid_extent_pack(unsigned long pfn, unsigned long npages)
{
	return (u64)pfn << IOASID_EXTENT_COUNT_BITS | (npages - 1);
}

/**
 * struct ioasid_memory - pinned memory behind a mapping
 * @inline_ext: the extents, when there are at most IOASID_INLINE_EXTENTS
 * @shared: otherwise a refcounted array, shared by the pieces that were cut
 *	from one mapping
 * @npages: how many pages are ours
 * @first: index of our first extent
 * @skip: pages of the first extent that are not ours
 * @is_shared: which of the two holds the extents
 * @writable: the pages were pinned for writing, and are dirty when unpinned
 *
 * Every page is pinned once for each mapping it is in, whatever folio it is
 * part of, so that a cut anywhere needs no bookkeeping.  Unpinning goes folio
 * by folio.
 */
struct ioasid_memory {
	union {
		u64 inline_ext[IOASID_INLINE_EXTENTS];
		struct ioasid_extents *shared;
	};
	unsigned long npages;
	unsigned int first;
	unsigned int skip : IOASID_EXTENT_COUNT_BITS;
	bool is_shared : 1;
	bool writable : 1;
};

/**
 * struct ioasid_extent_list - extents that grow in number while pages are pinned
 * @mem: what they will be; its inline ones serve first
 * @grown: takes over when those are full
 * @ext: the extents
 * @nr: how many
 * @room: how many there could be
 * @payer: who is charged once, or NULL
 * @charged: how many pages it was charged for
 * @at: the extent that has the last of these
 * @done: how many pages of that extent are of these
 */
struct ioasid_extent_list {
	struct ioasid_memory *mem;
	struct ioasid_extents *grown;
	u64 *ext;
	unsigned int nr;
	unsigned int room;
	struct ioasid_payer *payer;
	unsigned long charged;
	unsigned int at;
	unsigned int done;
};

void ioasid_extent_list_init(struct ioasid_extent_list *list,
			     struct ioasid_memory *mem, bool writable);
int ioasid_extent_list_add(struct ioasid_extent_list *list, unsigned long pfn,
			   unsigned long npages, unsigned long left);
int ioasid_extent_list_borrow(struct ioasid_extent_list *list,
			      const struct ioasid_memory *part,
			      unsigned long left);
int ioasid_extent_list_charge(struct ioasid_extent_list *list);
void ioasid_extent_list_finish(struct ioasid_extent_list *list);

/* Walks the runs of a struct ioasid_memory */
struct ioasid_runs {
	const u64 *ext;
	unsigned long skip;
	unsigned long left;
};

void ioasid_runs_start(struct ioasid_runs *runs,
		       const struct ioasid_memory *mem);

unsigned long ioasid_runs_from(struct ioasid_runs *runs,
			       const struct ioasid_memory *mem,
			       unsigned long at, unsigned long npages);

/**
 * ioasid_runs_next() - the next run
 * @runs: the walk
 * @run: out
 *
 * Return: false when there are no more.
 */
static inline bool ioasid_runs_next(struct ioasid_runs *runs,
				    struct ioasid_run *run)
{
	u64 ext;

	if (!runs->left)
		return false;
	ext = *runs->ext++;
	run->pfn = (ext >> IOASID_EXTENT_COUNT_BITS) + runs->skip;
	run->npages = (ext & (IOASID_EXTENT_MAX_PAGES - 1)) + 1 - runs->skip;
	run->npages = min(run->npages, runs->left);
	runs->left -= run->npages;
	runs->skip = 0;
	return true;
}

/**
 * ioasid_memory_is_run() - is memory a single run
 * @mem: the memory
 * @run: out, when it is
 *
 * Tells the most frequent case at once.
 *
 * Return: false when it may be more than one.
 */
static inline bool ioasid_memory_is_run(const struct ioasid_memory *mem,
					struct ioasid_run *run)
{
	u64 ext = mem->inline_ext[0];

	if (mem->is_shared || mem->first || mem->skip ||
	    (ext & (IOASID_EXTENT_MAX_PAGES - 1)) + 1 < mem->npages)
		return false;
	run->pfn = ext >> IOASID_EXTENT_COUNT_BITS;
	run->npages = mem->npages;
	return true;
}

/* What fits a page: 2 MiB of memory, where pages have 4 KiB */
#define IOASID_PIN_CHARGE_PAGES		(PAGE_SIZE / sizeof(struct page *))

/* How often a pin fails with -ENOMEM before memory is short */
#define IOASID_PIN_TRIES		16

void ioasid_pin_init(void);

/**
 * ioasid_refs_pinned_out() - are there too many references
 * @refs: of a folio
 *
 * The mm does not refuse a pin that overflows the count of references: it warns
 * of the next one.  A quarter of the count is kept free for the pins of others,
 * and for a thousand calls that have not looked here yet.  A pin counts 1024 for
 * a small folio, and 1 for a large one.
 *
 * Return: whether that is beyond what is allowed.
 */
static inline bool ioasid_refs_pinned_out(unsigned long refs)
{
	return refs > INT_MAX / 4 * 3UL;
}

/**
 * ioasid_folio_pinned_out() - is a folio pinned too often
 * @folio: the folio, pinned
 * @more: references that shall be added
 *
 * Return: whether the count is, or would be, beyond what is allowed.
 */
static inline bool ioasid_folio_pinned_out(struct folio *folio,
					   unsigned long more)
{
	return ioasid_refs_pinned_out((unsigned int)folio_ref_count(folio) +
				      more);
}

int ioasid_pin_errno(long err);
bool ioasid_pin_compete(unsigned int failed);
struct mutex *ioasid_pin_file_turn(struct file *file, u64 offset,
				   unsigned long *npages);
int ioasid_pin_file_wait(struct file *file, u64 offset);
int ioasid_pin_file(struct ioasid_memory *mem, struct ioasid_payer *payer,
		    struct file *file, u64 offset, unsigned long npages,
		    bool writable, u64 *fault_addr);
int ioasid_pin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
		       struct file *file, u64 addr, unsigned long npages,
		       bool writable, u64 *fault_addr);
void ioasid_unpin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
			  unsigned long charged);
int ioasid_pin_user(struct ioasid_memory *mem, u64 addr, unsigned long npages,
		    bool writable, u64 *fault_addr);
void ioasid_unpin(struct ioasid_memory *mem);
void ioasid_memory_cut(struct ioasid_memory *mem, unsigned long at,
		       struct ioasid_memory *tail);
void ioasid_memory_borrow(const struct ioasid_memory *mem, unsigned long at,
			  unsigned long npages, struct ioasid_memory *part);
void ioasid_memory_return(struct ioasid_memory *part);
struct page *ioasid_memory_page(const struct ioasid_memory *mem,
				unsigned long index);

/**
 * ioasid_memory_get() - charge the calling process for memory, and pin it
 * @mem: out, the memory; to be given back by ioasid_memory_put()
 * @account: the context's account
 * @file: a memfd, a file of tmpfs or of hugetlbfs, or NULL
 * @addr: first byte: an offset in @file, or an address of the calling process;
 *	page aligned
 * @npages: how many pages, not 0
 * @writable: pin for writing
 * @fault_addr: out on -EFAULT, -EHWPOISON and -EOVERFLOW, where the first page is
 *	that cannot be pinned; of a file, on other failures too
 *
 * Context: may sleep, for as long as a page fault takes; takes the lock of the
 * file's inode for reading.  Only a fatal signal interrupts it.
 * Return: the payer, or an ERR_PTR: -EDQUOT, a limit would be exceeded;
 * -EFAULT, some page cannot be pinned; -EHWPOISON, it is poisoned; -EOVERFLOW, it
 * is pinned too often; -ENOMEM; -EINTR, a fatal signal is
 * pending; of a file: -EOPNOTSUPP, of another sort; -EACCES, not opened for
 * this, or append-only; -EPERM, sealed against writing; -EINVAL, it ends before; -EFAULT, also
 * for a hole in a file that is not open for writing. On failure @mem holds no
 * pages.
 */
static inline struct ioasid_payer *
ioasid_memory_get(struct ioasid_memory *mem, struct ioasid_account *account,
		  struct file *file, u64 addr, unsigned long npages,
		  bool writable, u64 *fault_addr)
{
	struct ioasid_payer *payer;
	int ret;

	payer = ioasid_charge(account, npages);
	if (IS_ERR(payer))
		return payer;
	if (likely(!file && payer->charge != IOASID_CHARGE_ONCE))
		ret = ioasid_pin_user(mem, addr, npages, writable, fault_addr);
	else
		ret = ioasid_pin_charged(mem, payer, file, addr, npages,
					 writable, fault_addr);
	if (likely(!ret))
		return payer;
	mem->npages = 0;
	ioasid_uncharge(account, payer, npages);
	return ERR_PTR(ret);
}

/**
 * ioasid_memory_put() - unpin memory, and give back what it was charged
 * @mem: the memory; holds none afterwards
 * @account: the context's account
 * @payer: as ioasid_memory_get() returned it; the caller's reference goes
 *
 * No translation to these pages may be left, in any table or cache.
 *
 * Context: may sleep; does not wait for mmap_lock; needs no memory.
 */
static inline void ioasid_memory_put(struct ioasid_memory *mem,
				     struct ioasid_account *account,
				     struct ioasid_payer *payer)
{
	unsigned long npages = mem->npages;

	if (likely(payer->charge != IOASID_CHARGE_ONCE))
		ioasid_unpin(mem);
	else
		ioasid_unpin_charged(mem, payer, npages);
	ioasid_uncharge(account, payer, npages);
}

#endif /* _IOASID_MEMORY_H */
