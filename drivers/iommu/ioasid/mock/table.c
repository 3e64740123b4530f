// SPDX-License-Identifier: GPL-2.0-only
/*
 * The format of the model IOMMU's own tables: stage 2, or the only stage.
 *
 * A table is a page of 512 entries.  An entry of level n covers 1 << (shift + 9
 * * n) bytes: it is 0, points to a table of level n - 1, or is a page.  A page
 * can be larger than what an entry covers, but not as large as what one of the
 * next level does: then all the entries that it covers are written, and each
 * names the page whole, its first byte and its size.
 *
 * Invariants:
 *  - An entry is written by cmpxchg.  A map that finds neither 0 nor an empty
 *    table there fails.
 *  - A table that was replaced is freed after a grace period of RCU: a look-up
 *    holds rcu_read_lock(), and needs no lock against map and unmap.  The
 *    caller must not map and unmap the same address at the same time.
 *  - Accessed and dirty bits are set by the hardware in the entry that it used,
 *    so those of a page are in any of its entries.
 *
 * Locks: none.
 */
#include <linux/bitfield.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "table.h"

static unsigned int level_shift(const struct model_table *table,
				unsigned int level)
{
	return table->shift + MODEL_TABLE_BITS * level;
}

static unsigned int index_at(const struct model_table *table, u64 iova,
			     unsigned int level)
{
	unsigned int shift = level_shift(table, level);

	if (shift >= 64)
		return 0;
	return (iova >> shift) & (MODEL_TABLE_ENTRIES - 1);
}

/* The last address that shares the entries from a level upwards with @iova */
static u64 last_at(const struct model_table *table, u64 iova, unsigned int level)
{
	unsigned int shift = level_shift(table, level);

	return shift >= 64 ? U64_MAX : iova | (BIT_ULL(shift) - 1);
}

static u64 *entry_to_table(u64 entry)
{
	return phys_to_virt(entry & MODEL_PTE_ADDRESS);
}

static unsigned int entry_shift(u64 entry)
{
	return FIELD_GET(MODEL_PTE_SHIFT, entry);
}

/**
 * model_table_init() - make a table
 * @table: to be filled
 * @shift: log2 of the smallest page size
 * @levels: how many
 *
 * Return: 0 or -ENOMEM.
 */
int model_table_init(struct model_table *table, unsigned int shift,
		     unsigned int levels)
{
	table->shift = shift;
	table->levels = levels;
	table->root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return table->root ? 0 : -ENOMEM;
}

static void free_level(u64 *entries, unsigned int level)
{
	unsigned int i;

	for (i = 0; level && i < MODEL_TABLE_ENTRIES; i++)
		if (entries[i] & MODEL_PTE_TABLE)
			free_level(entry_to_table(entries[i]), level - 1);
	free_page((unsigned long)entries);
	cond_resched();
}

/**
 * model_table_free() - free a table
 * @table: the table; nothing uses it
 *
 * Context: may sleep.
 */
void model_table_free(struct model_table *table)
{
	if (table->root)
		free_level(table->root, table->levels - 1);
	table->root = NULL;
}

static void free_replaced(struct rcu_head *rcu)
{
	__free_page(container_of(rcu, struct page, rcu_head));
}

/**
 * model_table_last() - tell how wide a table is
 * @table: the table
 *
 * Return: the last address that it can translate.
 */
u64 model_table_last(const struct model_table *table)
{
	return last_at(table, 0, table->levels);
}

/*
 * Check that a table and all tables below it are empty, so it can be replaced
 */
static bool is_empty(const u64 *entries, unsigned int level)
{
	unsigned int i;
	u64 entry;

	for (i = 0; i < MODEL_TABLE_ENTRIES; i++) {
		entry = READ_ONCE(entries[i]);
		if (!entry)
			continue;
		if (!(entry & MODEL_PTE_TABLE) ||
		    !is_empty(entry_to_table(entry), level - 1))
			return false;
	}
	return true;
}

static void free_empty(u64 *entries, unsigned int level)
{
	unsigned int i;

	for (i = 0; level && i < MODEL_TABLE_ENTRIES; i++)
		if (entries[i] & MODEL_PTE_TABLE)
			free_empty(entry_to_table(entries[i]), level - 1);
	call_rcu(&virt_to_page(entries)->rcu_head, free_replaced);
}

static int write_entry(u64 *slot, u64 new, unsigned int level)
{
	u64 old = READ_ONCE(*slot);

	if (old && (!(old & MODEL_PTE_TABLE) ||
		    !is_empty(entry_to_table(old), level - 1)))
		return -EEXIST;
	if (cmpxchg64(slot, old, new) != old)
		return -EEXIST;
	if (old)
		free_empty(entry_to_table(old), level - 1);
	return 0;
}

/* Get the table below an entry, allocate it if there is none */
static u64 *descend(u64 *slot, gfp_t gfp)
{
	u64 old = READ_ONCE(*slot), new;
	unsigned long page;

	if (!old) {
		page = get_zeroed_page(gfp);
		if (!page)
			return ERR_PTR(-ENOMEM);
		new = virt_to_phys((void *)page) | MODEL_PTE_TABLE;
		old = cmpxchg64(slot, 0, new);
		if (!old)
			return (u64 *)page;
		free_page(page);
	}
	if (!(old & MODEL_PTE_TABLE))
		return ERR_PTR(-EEXIST);
	return entry_to_table(old);
}

/**
 * model_table_map() - write a page
 * @table: the table
 * @iova: the IOVA, aligned to the page size
 * @phys: the physical address, aligned to the page size
 * @shift: log2 of the page size
 * @attributes: of MODEL_PTE_PRESENT, MODEL_PTE_SNOOP, MODEL_PTE_WATCH
 * @gfp: to allocate tables with
 *
 * Return: 0; -EEXIST, the address is mapped; -ENOMEM.
 */
int model_table_map(struct model_table *table, u64 iova, u64 phys,
		    unsigned int shift, u64 attributes, gfp_t gfp)
{
	unsigned int target = (shift - table->shift) / MODEL_TABLE_BITS;
	u64 entry = phys | attributes | FIELD_PREP(MODEL_PTE_SHIFT, shift);
	unsigned int level = table->levels - 1, index, n, i;
	u64 *entries = table->root;
	int ret;

	for (; level > target; level--) {
		entries = descend(&entries[index_at(table, iova, level)], gfp);
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	index = index_at(table, iova, level);
	n = 1U << (shift - level_shift(table, level));
	for (i = 0; i < n; i++) {
		ret = write_entry(&entries[index + i], entry, level);
		if (ret)
			break;
	}
	if (i == n)
		return 0;
	while (i--)
		WRITE_ONCE(entries[index + i], 0);
	return ret;
}

static void fill_leaf(struct model_leaf *leaf, u64 entry, u64 iova, u64 *slot)
{
	u64 mask = BIT_ULL(entry_shift(entry)) - 1;

	leaf->entry = entry;
	leaf->start = iova & ~mask;
	leaf->last = iova | mask;
	leaf->slot = slot;
}

/**
 * model_table_find() - look an address up
 * @table: the table
 * @iova: an address
 * @leaf: out, the page that is mapped there
 *
 * Context: rcu_read_lock() is held.
 * Return: whether a page is mapped there.
 */
bool model_table_find(const struct model_table *table, u64 iova,
		      struct model_leaf *leaf)
{
	return model_table_next(table, iova, iova, leaf);
}

/**
 * model_table_next() - find a page
 * @table: the table
 * @iova: where to begin
 * @last: where to end
 * @leaf: out, the first page that touches the range
 *
 * Context: rcu_read_lock() is held.
 * Return: whether there is one.
 */
bool model_table_next(const struct model_table *table, u64 iova, u64 last,
		      struct model_leaf *leaf)
{
	unsigned int level;
	u64 *entries, *slot;
	u64 entry;

	last = min(last, model_table_last(table));
	while (iova <= last) {
		entries = table->root;
		for (level = table->levels - 1;; level--) {
			slot = &entries[index_at(table, iova, level)];
			entry = READ_ONCE(*slot);
			if (!(entry & MODEL_PTE_TABLE))
				break;
			entries = entry_to_table(entry);
		}
		if (entry) {
			fill_leaf(leaf, entry, iova, slot);
			return true;
		}
		iova = last_at(table, iova, level);
		if (iova == U64_MAX)
			break;
		iova++;
	}
	return false;
}

/* All entries of a page, which are aligned in their table as the page is */
static u64 *leaf_entries(const struct model_table *table,
			 const struct model_leaf *leaf, unsigned int *n)
{
	unsigned int shift = entry_shift(leaf->entry), level;

	level = (shift - table->shift) / MODEL_TABLE_BITS;
	*n = 1U << (shift - level_shift(table, level));
	return (u64 *)((unsigned long)leaf->slot & ~(*n * sizeof(u64) - 1));
}

/**
 * model_table_clear() - clear bits in all entries of a page
 * @table: the table
 * @leaf: the page, as it was found
 * @bits: the bits to clear; U64_MAX unmaps the page
 *
 * Return: the bits that were set in any of its entries.
 */
u64 model_table_clear(struct model_table *table, const struct model_leaf *leaf,
		      u64 bits)
{
	u64 *slot, old, all = 0;
	unsigned int n, i;

	slot = leaf_entries(table, leaf, &n);
	for (i = 0; i < n; i++) {
		old = READ_ONCE(slot[i]);
		while (old & bits && !try_cmpxchg64(&slot[i], &old, old & ~bits))
			;
		all |= old;
	}
	return all;
}

/**
 * model_table_protect() - change the permission of a page in place
 * @table: the table
 * @leaf: the page, as it was found
 * @permission: MODEL_PTE_READ, MODEL_PTE_WRITE, at least one
 *
 * A concurrent walk of the table never finds the page absent.
 */
void model_table_protect(struct model_table *table,
			 const struct model_leaf *leaf, u64 permission)
{
	unsigned int n, i;
	u64 *slot, old;

	slot = leaf_entries(table, leaf, &n);
	for (i = 0; i < n; i++) {
		old = READ_ONCE(slot[i]);
		while (!try_cmpxchg64(&slot[i], &old,
				      (old & ~MODEL_PTE_PRESENT) | permission))
			;
	}
}
