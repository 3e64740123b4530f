// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware page tables of an address space, written and emptied together.
 *
 * Locks: domains_sem is held.
 */
#include <linux/mm.h>

#include "domain.h"
#include "mapping.h"
#include "tables.h"

static int domain_put_in(struct ioasid_domain *dom, struct ioasid_mapping *m)
{
	return ioasid_domain_map(dom, m->start, &m->mem, m->flags,
				 m->cut_shift, &m->wanted);
}

/* Is there a domain that may still reach what was taken out of it? */
bool any_poisoned(struct ioasid_space *space)
{
	struct ioasid_domain *dom;

	lockdep_assert_held_read(&space->domains_sem);
	if (space->filling && READ_ONCE(space->filling->poisoned))
		return true;
	list_for_each_entry(dom, &space->domains, node)
		if (unlikely(READ_ONCE(dom->poisoned)))
			return true;
	return false;
}

/*
 * Write a FILLING mapping to all domains, and to the filling one if its fill
 * came past.  Publishes the mapping.  Returns with the lock held; on failure the
 * mapping is in no domain that can be trusted.
 */
int fill_domains(struct ioasid_space *space,
					struct ioasid_mapping *m)
	__acquires(&space->lock)
{
	struct ioasid_domain *dom, *filled = NULL;
	bool in_filling = false;
	int ret = 0;

	lockdep_assert_held_read(&space->domains_sem);
	list_for_each_entry(dom, &space->domains, node) {
		ret = domain_put_in(dom, m);
		if (ret)
			goto undo;
		filled = dom;
	}
	spin_lock(&space->lock);
	while (!in_filling && ioasid_mapping_in_filling(space, m)) {
		spin_unlock(&space->lock);
		ret = domain_put_in(space->filling, m);
		if (ret)
			goto undo;
		in_filling = true;
		spin_lock(&space->lock);
		/* So that a piece cut from it is not taken for one to fill */
		if (m->last >= space->filling->fill_next)
			space->filling->fill_next =
				min(m->last, U64_MAX - 1) + 1;
	}
	set_state(m, IOASID_MAPPING_LIVE);
	return 0;

undo:
	if (filled) {
		struct ioasid_domain *out;

		list_for_each_entry(out, &space->domains, node) {
			ioasid_domain_take_out(out, m->start,
					       mapping_bytes(m));
			if (out == filled)
				break;
		}
	}
	spin_lock(&space->lock);
	return ret;
}

void take_out_many(struct ioasid_domain *dom,
				   const struct ioasid_dying *dying,
				   bool filling)
{
	struct ioasid_drain drain __uninitialized;
	struct ioasid_mapping *m;
	u64 start = 0, length = 0;

	ioasid_drain_start(&drain, dom, dying->scattered);
	for (m = dying->first; m; m = m->next) {
		if (!m->mem.npages || (filling && !m->in_filling))
			continue;
		if (length && start + length == m->start) {
			length += mapping_bytes(m);
			continue;
		}
		if (length)
			ioasid_drain_range(&drain, start, length);
		start = m->start;
		length = mapping_bytes(m);
	}
	if (length)
		ioasid_drain_range(&drain, start, length);
	ioasid_drain_finish(&drain);
}
