// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a mapping, as extents: build, walk, cut and share them.
 *
 * Locks: none.  An array of extents that several mappings share has a reference
 * count, and does not change.
 */
#include <kunit/visibility.h>
#include <linux/slab.h>

#include "extent.h"

/*
 * An array of extents.  Pages are looked up under spinlocks, so a long array
 * has an index: @index[i] is the number of pages before extent i * INDEX_STEP,
 * and @hint the i of the last look-up.  The index lies behind the extents, in
 * the same allocation; it is NULL where there are at most INDEX_STEP of them.
 */
#define INDEX_STEP	4

struct ioasid_extents {
	/* References, one for each mapping: these can exceed an int */
	atomic64_t users;
	unsigned int nr;
	unsigned int hint;
	unsigned long *index;
	u64 ext[];
};

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

/* Extents to index before cond_resched() */
#define INDEX_RESCHED	BIT(16)

/*
 * Allocate an array with room for @room extents and their index, no reference
 */
static struct ioasid_extents *extents_alloc(unsigned int room)
{
	struct ioasid_extents *extents;

	static_assert(sizeof(*extents->index) == sizeof(*extents->ext));
	return kvmalloc(struct_size(extents, ext,
				    room + DIV_ROUND_UP((size_t)room, INDEX_STEP)),
			GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

static void extents_index(struct ioasid_extents *extents)
{
	unsigned long pages = 0;
	unsigned int i;

	extents->index = NULL;
	extents->hint = 0;
	if (extents->nr <= INDEX_STEP)
		return;
	extents->index = (unsigned long *)(extents->ext + extents->nr);
	for (i = 0; i < extents->nr; i++) {
		if (i % INDEX_STEP == 0)
			extents->index[i / INDEX_STEP] = pages;
		pages += ioasid_extent_pages(extents->ext[i]);
		if (i % INDEX_RESCHED == INDEX_RESCHED - 1)
			cond_resched();
	}
}

static void extents_put(struct ioasid_extents *extents)
{
	if (atomic64_dec_and_test(&extents->users))
		kvfree(extents);
}

/*
 * Find the extent that holds page @page of @mem, counted from the first extent
 * of @mem.  @skip is the number of pages of that extent before the page.
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
	    page >= ioasid_extent_pages(ext[i])) {
		index = mem->shared->index;
		low = i / INDEX_STEP;
		if (unlikely(i)) {
			/* Count from the beginning of the array */
			page += index[low];
			for (mid = low * INDEX_STEP; mid < i; mid++)
				page += ioasid_extent_pages(ext[mid]);
		}
		/* The last step that does not begin beyond the page */
		high = (mem->shared->nr - 1) / INDEX_STEP;
		mid = READ_ONCE(mem->shared->hint);
		if (index[mid] <= page) {
			/* The extent is in this step or in the next */
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
	while (page >= ioasid_extent_pages(ext[i]))
		page -= ioasid_extent_pages(ext[i++]);
	*skip = page;
	return i - mem->first;
}

/**
 * ioasid_runs_from() - begin to walk the runs of memory in the middle
 * @runs: the walk
 * @mem: what to walk; must not change or go until the walk ends
 * @at: index of the first page, below mem->npages
 * @npages: number of pages; @mem has at least as many from @at on
 *
 * Return: the number of pages of the first run that are before @at.
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
 * ioasid_memory_page() - look up the page at an index
 * @mem: the memory
 * @index: below mem->npages
 *
 * Return: the page, pinned for as long as @mem is.
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
 * @mem: the memory; keeps the pages below @at
 * @at: index of the first page of @tail, 0 < @at < mem->npages
 * @tail: gets the pages from @at on
 *
 * Allocates no memory and cannot fail.
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
		atomic64_inc(&mem->shared->users);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_memory_cut);

/**
 * ioasid_memory_refer() - refer to a part of memory that is pinned elsewhere
 * @mem: the memory; must stay pinned for as long as @part is used
 * @at: index of the first page
 * @npages: number of pages, not 0; @mem has at least as many from @at on
 * @part: out, the part; to be ended with ioasid_memory_unrefer()
 *
 * Allocates no memory.  Takes as many steps as the look-up of the first page.
 */
void ioasid_memory_refer(const struct ioasid_memory *mem, unsigned long at,
			 unsigned long npages, struct ioasid_memory *part)
{
	unsigned long pfn, skip, have;
	unsigned int index;
	u64 ext;

	index = extent_of(mem, at, &skip);
	ext = memory_extents(mem)[index];
	pfn = (ext >> IOASID_EXTENT_COUNT_BITS) + skip;
	have = ioasid_extent_pages(ext) - skip;

	part->npages = npages;
	part->first = 0;
	part->skip = 0;
	part->is_shared = false;
	part->writable = false;
	if (likely(npages <= have)) {
		part->inline_ext[0] = ioasid_extent_pack(pfn, npages);
	} else if (!mem->is_shared) {
		/* The range has two extents, and this is the first */
		ext = mem->inline_ext[1];
		part->inline_ext[0] = ioasid_extent_pack(pfn, have);
		part->inline_ext[1] =
			ioasid_extent_pack(ext >> IOASID_EXTENT_COUNT_BITS,
					   npages - have);
	} else {
		atomic64_inc(&mem->shared->users);
		part->shared = mem->shared;
		part->is_shared = true;
		part->first = mem->first + index;
		part->skip = skip;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_memory_refer);

/**
 * ioasid_memory_unrefer() - end a reference of ioasid_memory_refer()
 * @part: the part, or memory that was built of several parts; empty afterwards
 */
void ioasid_memory_unrefer(struct ioasid_memory *part)
{
	part->npages = 0;
	if (unlikely(part->is_shared)) {
		extents_put(part->shared);
		part->is_shared = false;
	}
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_memory_unrefer);

/**
 * ioasid_extent_list_init() - begin a list of extents
 * @list: uninitialised
 * @mem: out, the memory that will hold the extents
 * @writable: whether the pages are pinned for writing
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

/* The maximum that one allocation can hold */
#define MAX_EXTENTS	((INT_MAX - sizeof(struct ioasid_extents)) / sizeof(u64) / \
			 (INDEX_STEP + 1) * INDEX_STEP)

static int extent_list_grow(struct ioasid_extent_list *list,
			    unsigned long left)
{
	struct ioasid_extents *grown;
	unsigned int room;

	/* Double the room, but not beyond the pages that can still follow */
	room = min3(max(list->room * 2UL, 16UL), list->nr + left,
		    MAX_EXTENTS);
	if (room <= list->nr)
		return -ENOMEM;
	grown = extents_alloc(room);
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
 * @npages: number of pages, at most IOASID_EXTENT_MAX_PAGES
 * @left: number of pages that may follow after these
 *
 * Return: 0; -ENOMEM, no page was appended.
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
		list->ext[list->nr++] = ioasid_extent_pack(pfn + take,
							   npages - take);
	list->mem->npages += npages;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_extent_list_add);

/**
 * ioasid_extent_list_refer() - append memory that is pinned elsewhere
 * @list: the list
 * @part: the memory
 * @left: number of pages that may follow
 *
 * Return: 0; -ENOMEM.
 */
int ioasid_extent_list_refer(struct ioasid_extent_list *list,
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

/**
 * ioasid_extent_list_finish() - hand the extents to their memory
 * @list: the list, complete or to be unpinned; not to be used afterwards
 */
void ioasid_extent_list_finish(struct ioasid_extent_list *list)
{
	struct ioasid_extents *fit;

	if (!list->grown)
		return;
	if (list->nr < list->room / 2) {
		fit = extents_alloc(list->nr);
		if (fit) {
			memcpy(fit->ext, list->ext, list->nr * sizeof(u64));
			kvfree(list->grown);
			list->grown = fit;
		}
	}
	atomic64_set(&list->grown->users, 1);
	list->grown->nr = list->nr;
	extents_index(list->grown);
	list->mem->shared = list->grown;
	list->mem->is_shared = true;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_extent_list_finish);
