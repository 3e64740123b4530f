/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a mapping as extents.
 *
 * The lowest layer: it knows pages by their frame numbers only.
 */
#ifndef _IOASID_MEM_EXTENT_H
#define _IOASID_MEM_EXTENT_H

#include <linux/bits.h>
#include <linux/mm.h>
#include <linux/types.h>

struct ioasid_extents;
struct ioasid_payer;

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

/* Number of pages of an extent */
static inline unsigned long ioasid_extent_pages(u64 ext)
{
	return (ext & (IOASID_EXTENT_MAX_PAGES - 1)) + 1;
}

/**
 * struct ioasid_memory - pinned memory behind a mapping
 * @inline_ext: the extents, if there are at most IOASID_INLINE_EXTENTS
 * @shared: otherwise a refcounted array, shared by all pieces of one mapping
 *	that was cut
 * @npages: number of pages
 * @first: index of the first extent that is used
 * @skip: number of pages of the first extent that are not part of this memory
 * @is_shared: @shared holds the extents, not @inline_ext
 * @writable: the pages were pinned for writing, and are dirty when unpinned
 *
 * Every page is pinned once for each mapping that it is in, and not once for
 * each folio.  So a cut at any page needs no bookkeeping.  Pages are unpinned
 * folio by folio.
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
 * struct ioasid_extent_list - a growing list of extents, while pages are pinned
 * @mem: the memory that will hold the extents; its inline extents are filled
 *	first
 * @grown: the array that is used when the inline extents are full
 * @ext: the extents
 * @nr: number of extents
 * @room: number of extents that fit in @ext
 * @payer: the payer that is charged once for each page, or NULL
 * @charged: number of pages that @payer was charged for
 * @at: index of the extent that holds the last charged page
 * @done: number of charged pages in that extent
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

/* Walks the runs of a struct ioasid_memory */
struct ioasid_runs {
	const u64 *ext;
	unsigned long skip;
	unsigned long left;
};

/**
 * ioasid_runs_next() - get the next run
 * @runs: the walk
 * @run: out
 *
 * Return: false if there are no more.
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
 * ioasid_memory_is_run() - check whether memory is a single run
 * @mem: the memory
 * @run: out, the run, if so
 *
 * A quick check for the most frequent case.
 *
 * Return: false if there can be more than one run.
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

void ioasid_runs_start(struct ioasid_runs *runs,
		       const struct ioasid_memory *mem);
unsigned long ioasid_runs_from(struct ioasid_runs *runs,
			       const struct ioasid_memory *mem,
			       unsigned long at, unsigned long npages);
struct page *ioasid_memory_page(const struct ioasid_memory *mem,
				unsigned long index);
void ioasid_memory_cut(struct ioasid_memory *mem, unsigned long at,
		       struct ioasid_memory *tail);
void ioasid_memory_refer(const struct ioasid_memory *mem, unsigned long at,
			 unsigned long npages, struct ioasid_memory *part);
void ioasid_memory_unrefer(struct ioasid_memory *part);
void ioasid_extent_list_init(struct ioasid_extent_list *list,
			     struct ioasid_memory *mem, bool writable);
int ioasid_extent_list_add(struct ioasid_extent_list *list, unsigned long pfn,
			   unsigned long npages, unsigned long left);
int ioasid_extent_list_refer(struct ioasid_extent_list *list,
			     const struct ioasid_memory *part,
			     unsigned long left);
void ioasid_extent_list_finish(struct ioasid_extent_list *list);

#endif /* _IOASID_MEM_EXTENT_H */
