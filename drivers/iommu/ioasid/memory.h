/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of user space: pinned, kept as extents, charged to who asked for it.
 *
 * The ground floor: knows processes and pages, knows nothing of IOASIDs.
 */
#ifndef _IOASID_MEMORY_H
#define _IOASID_MEMORY_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct file;
struct ioasid_extents;
struct mm_struct;
struct user_struct;

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
 */
struct ioasid_extent_list {
	struct ioasid_memory *mem;
	struct ioasid_extents *grown;
	u64 *ext;
	unsigned int nr;
	unsigned int room;
};

void ioasid_extent_list_init(struct ioasid_extent_list *list,
			     struct ioasid_memory *mem, bool writable);
int ioasid_extent_list_add(struct ioasid_extent_list *list, unsigned long pfn,
			   unsigned long npages, unsigned long left);
int ioasid_extent_list_borrow(struct ioasid_extent_list *list,
			      const struct ioasid_memory *part,
			      unsigned long left);
void ioasid_extent_list_finish(struct ioasid_extent_list *list);

/* Walks the runs of a struct ioasid_memory */
struct ioasid_runs {
	const u64 *ext;
	unsigned long skip;
	unsigned long left;
};

void ioasid_runs_start(struct ioasid_runs *runs,
		       const struct ioasid_memory *mem);

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

int ioasid_pin_user(struct ioasid_memory *mem, u64 addr, unsigned long npages,
		    bool writable, u64 *fault_addr);
int ioasid_pin_file(struct ioasid_memory *mem, struct file *file, u64 offset,
		    unsigned long npages, bool writable, u64 *fault_addr);
void ioasid_unpin(struct ioasid_memory *mem);
void ioasid_memory_cut(struct ioasid_memory *mem, unsigned long at,
		       struct ioasid_memory *tail);
void ioasid_memory_borrow(const struct ioasid_memory *mem, unsigned long at,
			  unsigned long npages, struct ioasid_memory *part);
void ioasid_memory_return(struct ioasid_memory *part);
struct page *ioasid_memory_page(const struct ioasid_memory *mem,
				unsigned long index);

/**
 * struct ioasid_payer - who pays for pinned memory
 * @users: mappings that were charged to it, and the account's cache
 * @by_mm: charge mm->locked_vm, otherwise user->locked_vm
 * @mm: address space that mapped; mm_count is held
 * @user: user that mapped
 * @owed: pages to give back to @mm that could not be given at once
 * @work: gives them
 * @rcu: for the account's cache
 */
struct ioasid_payer {
	refcount_t users;
	bool by_mm;
	struct mm_struct *mm;
	struct user_struct *user;
	atomic_long_t owed;
	struct work_struct work;
	struct rcu_head rcu;
};

/**
 * struct ioasid_account - what a context pinned, and what it may pin
 * @pinned: bytes pinned
 * @limit: bytes that may be, U64_MAX for no limit
 * @lock: protects @cache against other writers, @by_mm and @used
 * @cache: the payer last charged
 * @by_mm: how new payers are charged
 * @used: something was charged, @by_mm is fixed
 */
struct ioasid_account {
	atomic64_t pinned;
	u64 limit;
	spinlock_t lock;		/* cache, by_mm, used */
	struct ioasid_payer __rcu *cache;
	bool by_mm;
	bool used;
};

void ioasid_account_init(struct ioasid_account *account);
void ioasid_account_exit(struct ioasid_account *account);
int ioasid_account_set_by_mm(struct ioasid_account *account, bool by_mm);
struct ioasid_payer *ioasid_charge(struct ioasid_account *account,
				   unsigned long npages);
void ioasid_uncharge(struct ioasid_account *account,
		     struct ioasid_payer *payer, unsigned long npages);
u64 ioasid_account_left(struct ioasid_account *account);

int __init ioasid_memory_init(void);
void ioasid_memory_exit(void);

#endif /* _IOASID_MEMORY_H */
