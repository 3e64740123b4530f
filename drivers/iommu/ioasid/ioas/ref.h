/* SPDX-License-Identifier: GPL-2.0-only */
/* Mappings by reference. */
#ifndef _IOASID_IOAS_REF_H
#define _IOASID_IOAS_REF_H

#include "mapping.h"
#include "types.h"

void ioas_refs_index_all(struct ioas *ioas);

/* Total order of references, so that a walk can continue after any of them */
struct ioas_ref_key {
	u64 addr;
	unsigned long child;
};

/**
 * ioas_mapping_refers() - test whether a mapping refers to a range of its
 *	parent
 * @m: a child's mapping
 * @of: the range; or NULL for any range
 *
 * Return: true if any of the mapping lies in the range.
 */
static inline bool ioas_mapping_refers(const struct ioas_mapping *m,
				       const struct ioasid_iova_range *of)
{
	/* A mapping may refer to the range before its memory is complete */
	return likely(!of) || (!(m->flags & IOASID_MAP_RESERVE) &&
			       m->addr <= of->last &&
			       m->addr + (m->last - m->start) >= of->start);
}

/**
 * ioas_lock_refs() - lock an address space, with all references indexed
 * @ioas: the address space; may have no children
 *
 * Drops the lock between batches of references, so that another thread does not
 * wait for all of them.
 *
 * Context: may sleep; returns with the lock of the address space held.
 */
static inline void ioas_lock_refs(struct ioas *ioas)
	__acquires(&ioas->lock)
{
	spin_lock(&ioas->lock);
	if (unlikely(ioas->as_parent))
		ioas_refs_index_all(ioas);
}

/**
 * ioas_mapping_addr() - find the address that a mapping was made from
 * @ioas: the address space of the mapping
 * @m: the mapping
 *
 * Return: the address as the program passed it.
 */
static inline u64 ioas_mapping_addr(const struct ioas *ioas,
				    const struct ioas_mapping *m)
{
	if (ioas_mapping_has_ref(m) && unlikely(ioas->import))
		return m->addr - ioas->import->export->start;
	return m->addr;
}

/* ioas_ref_get(): it is device memory, which ioas_devmem_map() writes */
#define IOAS_REF_DEVICE	1

struct ioas_ref_key ioas_ref_key_of(const struct ioas_mapping *m);
bool ioas_refs_index(struct ioas *ioas);
struct ioas_mapping *ioas_ref_after(const struct ioas *parent,
				    enum ioas_refs_side side,
				    const struct ioas_ref_key *key,
				    u64 from, u64 to);
struct ioas_mapping *ioas_ref_find(const struct ioas *parent,
				   enum ioas_refs_side side,
				   const struct ioas_ref_key *key);
bool ioas_refs_exist(const struct ioas *ioas, u64 start,
		     u64 last);
bool ioas_refs_span(const struct ioas *ioas, u64 at);
bool ioas_range_frozen(const struct ioas *parent, u64 start, u64 last);
int ioas_ref_get(struct ioas *ioas, struct ioas_mapping *m,
		 bool nowait, u64 *fault_addr);
int ioas_ref_wait(struct ioas *ioas, struct ioas_map_request *req, u64 addr);
void ioas_ref_end_demand(struct ioas *ioas, struct ioas_map_request *req);
void ioas_ref_put(struct ioas *ioas,
		  struct ioas_mapping *list);
u64 ioas_ref_piece(struct ioas *ioas, u64 addr, u64 length);
int ioas_ref_may_split(struct ioas *ioas);
void ioas_ref_split_done(struct ioas *ioas);
void ioas_ref_split(struct ioas *ioas, struct ioas_mapping *m,
		    struct ioas_mapping *tail);

/**
 * ioas_ref_end() - end a request for which ioas_ref_wait() may have waited
 * @ioas: the address space
 * @req: the request
 *
 * What the parent has pinned for it need not stay pinned any longer.
 *
 * Context: may sleep; with no lock held.
 */
static __always_inline void ioas_ref_end(struct ioas *ioas,
					 struct ioas_map_request *req)
{
	if (unlikely(req->holds))
		ioas_ref_end_demand(ioas, req);
}

#endif /* _IOASID_IOAS_REF_H */
