/* SPDX-License-Identifier: GPL-2.0-only */
/* The log of pages that were written, for dirty.c and harvest.c only. */
#ifndef _IOASID_IOAS_DIRTY_LOG_H
#define _IOASID_IOAS_DIRTY_LOG_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/xarray.h>

#include "types.h"

#define CHUNK_SHIFT	15
#define CHUNK_PAGES	BIT(CHUNK_SHIFT)
#define CHUNK_WORDS	(CHUNK_PAGES / BITS_PER_LONG)

/* A chunk with records that no dirty bit and no write of software is behind */
#define COARSE		XA_MARK_0

/* Bytes that are read before they are copied out; no IOPTE should be larger */
#define HARVEST_STEP	SZ_1G

struct dirty_chunk {
	atomic_long_t word[CHUNK_WORDS];
};

/**
 * struct ioas_dirty - a log
 * @refs: references
 * @rcu: for its end
 * @chunks: struct dirty_chunk, by page of the root over CHUNK_PAGES
 * @cover: serialises changes of @chunks, but for marks
 * @nr: number of chunks
 * @prune_at: how many there may be before those are freed that are not needed
 * @harvest: serialises moving dirty bits to the log, up to the flush, and reading
 *	the log
 */
struct ioas_dirty {
	refcount_t refs;
	struct rcu_head rcu;
	struct xarray chunks;
	struct mutex cover;		/* see above */
	unsigned long nr;
	unsigned long prune_at;
	struct mutex harvest;		/* see above */
};

struct ioas_dirty *ioas_log_alloc(void);
struct ioas_dirty *ioas_log_get(struct ioas *root);
struct ioas_dirty *ioas_log_of(struct ioas *ioas);
void ioas_log_put(struct ioas_dirty *log);
int ioas_log_cover(struct ioas *root, struct ioas_dirty *log, u64 start,
		   u64 last);

/* The bits of a word that are of the pages from @first to @last */
static inline unsigned long
word_mask(unsigned long word, unsigned long first, unsigned long last)
{
	unsigned long mask = ~0UL;

	if (word == first / BITS_PER_LONG)
		mask &= BITMAP_FIRST_WORD_MASK(first);
	if (word == last / BITS_PER_LONG)
		mask &= BITMAP_LAST_WORD_MASK(last + 1);
	return mask;
}

static inline void chunk_change(struct dirty_chunk *chunk, unsigned long word,
				unsigned long mask, bool set)
{
	atomic_long_t *at = &chunk->word[word % CHUNK_WORDS];

	if (set)
		atomic_long_or(mask, at);
	else
		atomic_long_andnot(mask, at);
}

static inline bool chunk_is_clear(struct dirty_chunk *chunk)
{
	unsigned int i;

	for (i = 0; i < CHUNK_WORDS; i++)
		if (atomic_long_read(&chunk->word[i]))
			return false;
	return true;
}

#endif /* _IOASID_IOAS_DIRTY_LOG_H */
