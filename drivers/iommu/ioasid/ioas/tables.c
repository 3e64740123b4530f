// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware page tables of an address space: write and remove in all of
 * them.
 *
 * Locks: domains_sem is held.
 */
#include <linux/mm.h>

#include "domain.h"
#include "ioas.h"
#include "mapping.h"
#include "tables.h"

static int write_domain(struct ioas_domain *dom, struct ioas_mapping *m)
{
	return ioas_domain_map(dom, m->start, &m->mem, m->flags,
			       m->cut_shift, &m->wanted);
}

/* True if a domain may still reach memory that was removed from it */
bool ioas_tables_poisoned(struct ioas *ioas)
{
	struct ioas_domain *dom;

	lockdep_assert_held_read(&ioas->domains_sem);
	if (ioas->populating && READ_ONCE(ioas->populating->poisoned))
		return true;
	list_for_each_entry(dom, &ioas->domains, node)
		if (unlikely(READ_ONCE(dom->poisoned)))
			return true;
	return false;
}

/*
 * Write a WRITING mapping to all domains, and to the one being populated if
 * that is beyond it.  Makes the mapping LIVE.  Returns with the lock held; on
 * failure the mapping is in no domain that is not poisoned.
 */
int ioas_tables_write(struct ioas *ioas,
		      struct ioas_mapping *m)
	__acquires(&ioas->lock)
{
	struct ioas_domain *dom, *filled = NULL;
	bool in_populating = false;
	int ret = 0;

	lockdep_assert_held_read(&ioas->domains_sem);
	list_for_each_entry(dom, &ioas->domains, node) {
		ret = write_domain(dom, m);
		if (ret)
			goto undo;
		filled = dom;
	}
	spin_lock(&ioas->lock);
	while (!in_populating && ioas_mapping_populated(ioas, m)) {
		spin_unlock(&ioas->lock);
		ret = write_domain(ioas->populating, m);
		if (ret)
			goto undo;
		in_populating = true;
		spin_lock(&ioas->lock);
		/* So that populate() does not write a part that is split off */
		if (m->last >= ioas->populating->populate_next)
			ioas->populating->populate_next =
				min(m->last, U64_MAX - 1) + 1;
	}
	ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
	return 0;

undo:
	if (filled) {
		struct ioas_domain *out;

		list_for_each_entry(out, &ioas->domains, node) {
			ioas_domain_remove(out, m->start,
					   ioas_mapping_bytes(m));
			if (out == filled)
				break;
		}
	}
	spin_lock(&ioas->lock);
	return ret;
}

void ioas_tables_remove_many(struct ioas_domain *dom,
			     const struct ioas_removal *removal,
			     bool populating)
{
	struct ioas_gather gather __uninitialized;
	struct ioas_mapping *m;
	u64 start = 0, length = 0;

	ioas_gather_start(&gather, dom, removal->scattered);
	for (m = removal->first; m; m = m->next) {
		if (!m->mem.npages || (populating && !m->in_populating))
			continue;
		if (length && start + length == m->start) {
			length += ioas_mapping_bytes(m);
			continue;
		}
		if (length)
			ioas_gather_range(&gather, start, length);
		start = m->start;
		length = ioas_mapping_bytes(m);
	}
	if (length)
		ioas_gather_range(&gather, start, length);
	ioas_gather_finish(&gather);
}

/**
 * ioas_pgsizes() - count the hardware page tables, and find their page sizes
 * @ioas: the address space
 * @nr: out, number of tables
 *
 * Context: may sleep.
 * Return: bitmap of the page sizes that all tables have; with no table, of
 * those that the CPU has.
 */
unsigned long ioas_pgsizes(struct ioas *ioas, unsigned int *nr)
{
	unsigned long pgsizes = PAGE_SIZE | PMD_SIZE | PUD_SIZE;
	struct ioas_domain *dom;

	*nr = 0;
	down_read(&ioas->domains_sem);
	list_for_each_entry(dom, &ioas->domains, node) {
		if (!(*nr)++)
			pgsizes = dom->iommu->pgsize_bitmap;
		else
			pgsizes &= dom->iommu->pgsize_bitmap;
	}
	up_read(&ioas->domains_sem);
	return pgsizes;
}
