/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The format of the model IOMMU's own tables, see table.c.
 */
#ifndef IOASID_MOCK_TABLE_H
#define IOASID_MOCK_TABLE_H

#include <linux/bits.h>
#include <linux/types.h>

#define MODEL_PTE_READ		BIT_ULL(0)
#define MODEL_PTE_WRITE		BIT_ULL(1)
#define MODEL_PTE_TABLE		BIT_ULL(2)
#define MODEL_PTE_SNOOP		BIT_ULL(3)
#define MODEL_PTE_ACCESSED	BIT_ULL(4)
#define MODEL_PTE_DIRTY		BIT_ULL(5)
/* For the ledger: the state of the memory when it was mapped */
#define MODEL_PTE_PINNED	BIT_ULL(6)
#define MODEL_PTE_HELD		BIT_ULL(7)
#define MODEL_PTE_WATCH		(MODEL_PTE_PINNED | MODEL_PTE_HELD)
#define MODEL_PTE_ADDRESS	GENMASK_ULL(51, 9)
#define MODEL_PTE_SHIFT		GENMASK_ULL(57, 52)
#define MODEL_PTE_PRESENT	(MODEL_PTE_READ | MODEL_PTE_WRITE)

#define MODEL_TABLE_BITS	9
#define MODEL_TABLE_ENTRIES	BIT(MODEL_TABLE_BITS)
#define MODEL_TABLE_MIN_SHIFT	9
#define MODEL_TABLE_MAX_SHIFT	51
#define MODEL_TABLE_MAX_LEVELS	6

/**
 * struct model_table - a radix tree of pages
 * @root: the table of level @levels - 1
 * @levels: how many
 * @shift: log2 of what an entry of level 0 covers
 */
struct model_table {
	u64 *root;
	unsigned int levels;
	unsigned int shift;
};

/**
 * struct model_leaf - a page in a table
 * @entry: the entry
 * @start: first IOVA of the page
 * @last: last one
 * @slot: the location of the entry that was looked up
 */
struct model_leaf {
	u64 entry;
	u64 start;
	u64 last;
	u64 *slot;
};

int model_table_init(struct model_table *table, unsigned int shift,
		     unsigned int levels);
void model_table_free(struct model_table *table);
u64 model_table_last(const struct model_table *table);
int model_table_map(struct model_table *table, u64 iova, u64 phys,
		    unsigned int shift, u64 attributes, gfp_t gfp);
bool model_table_find(const struct model_table *table, u64 iova,
		      struct model_leaf *leaf);
bool model_table_next(const struct model_table *table, u64 iova, u64 last,
		      struct model_leaf *leaf);
u64 model_table_clear(struct model_table *table, const struct model_leaf *leaf,
		      u64 bits);
void model_table_protect(struct model_table *table,
			 const struct model_leaf *leaf, u64 permission);

static inline u64 model_leaf_phys(const struct model_leaf *leaf, u64 iova)
{
	return (leaf->entry & MODEL_PTE_ADDRESS) + (iova - leaf->start);
}

#endif
