/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hardware page tables of an address space.
 */
#ifndef _IOASID_IOAS_TABLES_H
#define _IOASID_IOAS_TABLES_H

#include "domain.h"
#include "mapping.h"
#include "types.h"

void take_out_many(struct ioasid_domain *dom, const struct ioasid_dying *dying,
		   bool filling);

static __always_inline void take_out_of(struct ioasid_domain *dom,
					const struct ioasid_dying *dying,
					bool filling)
{
	struct ioasid_mapping *m = dying->first;

	/* Nearly always it is one */
	if (unlikely(!m || m->next))
		take_out_many(dom, dying, filling);
	else if (m->mem.npages && !(filling && !m->in_filling))
		ioasid_domain_take_out(dom, m->start, mapping_bytes(m));
}

bool any_poisoned(struct ioasid_space *space);
int fill_domains(struct ioasid_space *space, struct ioasid_mapping *m);

#endif /* _IOASID_IOAS_TABLES_H */
