/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mappings by reference.
 */
#ifndef _IOASID_IOAS_REF_H
#define _IOASID_IOAS_REF_H

#include "types.h"

void ioasid_family_index_all(struct ioasid_space *space);

/* References have a total order, so that a walk can go on after any of them */
struct ref_key {
	u64 addr;
	unsigned long child;
};

/**
 * ioasid_refers() - does a mapping refer to a range of its parent
 * @m: a child's mapping
 * @of: the range, or NULL for whatever it refers to
 *
 * Return: whether any of it lies in there.
 */
static inline bool ioasid_refers(const struct ioasid_mapping *m,
				 const struct ioasid_iova_range *of)
{
	/* Its memory may just be put together, when it refers to it already */
	return likely(!of) || (!(m->flags & IOASID_MAP_RESERVE) &&
			       m->addr <= of->last &&
			       m->addr + (m->last - m->start) >= of->start);
}

/**
 * ioasid_family_lock() - lock a space whose references will be asked for
 * @space: the space; may have no children
 *
 * Meanwhile the lock is dropped now and then, so that a thread that waits for it
 * does not wait for all references to be indexed.
 *
 * Context: may sleep; returns with the space's lock held.
 */
static inline void ioasid_family_lock(struct ioasid_space *space)
	__acquires(&space->lock)
{
	spin_lock(&space->lock);
	if (unlikely(space->family))
		ioasid_family_index_all(space);
}

/**
 * ioasid_mapping_addr() - what a mapping was made from
 * @space: of the mapping
 * @m: the mapping
 *
 * Return: the address as it was given.
 */
static inline u64 ioasid_mapping_addr(const struct ioasid_space *space,
				      const struct ioasid_mapping *m)
{
	if (unlikely(space->window) && m->mem.npages)
		return m->addr - space->window->terms->start;
	return m->addr;
}

struct ref_key key_of(const struct ioasid_mapping *m);
bool ioasid_family_index(struct ioasid_space *space);
struct ioasid_mapping *ref_after(const struct ioasid_space *parent,
				 enum ioasid_family_side side,
				 const struct ref_key *key, u64 from, u64 to);
bool ref_exists(const struct ioasid_space *parent, enum ioasid_family_side side,
		const struct ref_key *key);
bool ioasid_family_refers(const struct ioasid_space *space, u64 start,
			  u64 last);
bool ioasid_family_spans(const struct ioasid_space *space, u64 at);
bool is_frozen(const struct ioasid_space *parent, u64 start, u64 last);
int ioasid_family_borrow(struct ioasid_space *space, struct ioasid_mapping *m,
			 bool nowait, u64 *fault_addr);
int ioasid_family_wait(struct ioasid_space *space, u64 addr, u64 last);
void ioasid_family_return(struct ioasid_space *space,
			  struct ioasid_mapping *list);
int ioasid_family_may_cut(struct ioasid_space *space);
void ioasid_family_cut_done(struct ioasid_space *space);
void ioasid_family_cut(struct ioasid_space *space, struct ioasid_mapping *m,
		       struct ioasid_mapping *tail);

#endif /* _IOASID_IOAS_REF_H */
