/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hardware page tables of an address space.  See tables.c; the hot paths
 * are here.
 */
#ifndef _IOASID_IOAS_TABLES_H
#define _IOASID_IOAS_TABLES_H

#include "domain.h"
#include "mapping.h"
#include "types.h"

void ioas_tables_lock(struct ioas *ioas);
void ioas_tables_unlock(struct ioas *ioas);
void ioas_tables_populate_begin(struct ioas *ioas, struct ioas_domain *dom);
void ioas_tables_populate_end(struct ioas *ioas, bool add);
void ioas_tables_del(struct ioas *ioas, struct ioas_domain *dom);
struct ioas_domain *ioas_tables_next_fit(struct ioas *ioas,
					 struct ioas_domain *dom,
					 struct device *dev);
bool ioas_tables_poisoned(struct ioas *ioas);
bool ioas_tables_sync_later(struct ioas *ioas);
bool ioas_mapping_populated(struct ioas *ioas, struct ioas_mapping *m);
bool ioas_tables_begin_pieces(struct ioas *ioas, struct ioas_mapping *m);

int ioas_tables_change(struct ioas *ioas,
		       int (*change)(struct ioas_domain *dom, void *arg),
		       void (*undo)(struct ioas_domain *dom, void *arg),
		       void *arg);
int ioas_tables_write(struct ioas *ioas, struct ioas_mapping *m)
	__acquires(&ioas->lock);
void ioas_tables_unwrite(struct ioas *ioas, struct ioas_mapping *m,
			 struct ioas_domain *failed);
int ioas_tables_sync(struct ioas *ioas, u64 start, u64 last);
int ioas_tables_split(struct ioas *ioas, struct ioas_mapping *m, u64 floor,
		      u64 at, const struct ioas_dirty_sink *sink);
void ioas_table_remove_many(struct ioas_domain *dom,
			    const struct ioas_removal *removal,
			    bool populating);
bool ioas_tables_remove_range(struct ioas *ioas, u64 start, u64 length);

bool ioas_tables_are_dirty(struct ioas *ioas);
int ioas_tables_read_dirty(struct ioas *ioas, const struct ioas_mapping *m,
			   u64 from, u64 to, const struct ioas_dirty_sink *sink,
			   bool *coarse);
void ioas_tables_take_dirty(struct ioas *ioas,
			    const struct ioas_removal *removal,
			    struct ioas_dirty_sink *sink);

unsigned long *ioas_tables_pgsizes(struct ioas *ioas, unsigned int *nr);
u64 ioas_tables_largest_page(struct ioas *ioas, u64 length);

static inline void ioas_tables_init(struct ioas *ioas)
{
	init_rwsem(&ioas->tables.sem);
	INIT_LIST_HEAD(&ioas->tables.list);
	ioas->tables.populating = NULL;
}

/* True if a mapping that becomes LIVE has no domain to be written to */
static __always_inline bool ioas_tables_none(const struct ioas *ioas)
{
	return list_empty(&ioas->tables.list) && !ioas->tables.populating;
}

/**
 * ioas_tables_write_unsynced() - write a mapping to all domains, or to none,
 *	without a sync and without sleeping for memory
 * @ioas: the address space; ioas_tables_sync_later() is true
 * @m: WRITING
 *
 * Return: 0; or the errno of ioas_domain_write(): the mapping is in no domain
 * that is not poisoned.
 */
static __always_inline int ioas_tables_write_unsynced(struct ioas *ioas,
						      struct ioas_mapping *m)
{
	struct ioas_domain *dom;
	int ret;

	list_for_each_entry(dom, &ioas->tables.list, node) {
		ret = ioas_domain_write(dom, m->start, &m->mem, m->flags,
					m->cut_shift, GFP_NOWAIT |
					__GFP_ACCOUNT | __GFP_NOWARN);
		if (unlikely(ret)) {
			ioas_tables_unwrite(ioas, m, dom);
			return ret;
		}
	}
	return 0;
}

static __always_inline void
ioas_table_remove(struct ioas_domain *dom, const struct ioas_removal *removal,
		  bool populating)
{
	struct ioas_mapping *m = removal->first;

	/* Nearly always it is one mapping */
	if (unlikely(!m || m->next))
		ioas_table_remove_many(dom, removal, populating);
	else if (ioas_mapping_has_memory(m) && !(populating && !m->in_populating))
		ioas_domain_remove(dom, m->start, ioas_mapping_bytes(m));
}

/**
 * ioas_tables_remove() - remove mappings from all domains, and flush
 * @ioas: the address space; ioas_tables.sem is held
 * @removal: the mappings
 *
 * Return: true if a domain is poisoned, and may still reach their memory.
 */
static __always_inline bool
ioas_tables_remove(struct ioas *ioas, const struct ioas_removal *removal)
{
	struct ioas_domain *dom;
	bool poisoned = false;

	list_for_each_entry(dom, &ioas->tables.list, node) {
		ioas_table_remove(dom, removal, false);
		poisoned |= READ_ONCE(dom->poisoned);
	}
	dom = ioas->tables.populating;
	if (unlikely(dom)) {
		ioas_table_remove(dom, removal, true);
		poisoned |= READ_ONCE(dom->poisoned);
	}
	return poisoned;
}

#endif /* _IOASID_IOAS_TABLES_H */
