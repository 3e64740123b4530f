/* SPDX-License-Identifier: GPL-2.0-only */
/* The hardware page tables of an address space. */
#ifndef _IOASID_IOAS_TABLES_H
#define _IOASID_IOAS_TABLES_H

#include "domain.h"
#include "mapping.h"
#include "types.h"

void ioas_tables_remove_many(struct ioas_domain *dom,
			     const struct ioas_removal *removal,
			     bool populating);

static __always_inline void
ioas_tables_remove(struct ioas_domain *dom, const struct ioas_removal *removal,
		   bool populating)
{
	struct ioas_mapping *m = removal->first;

	/* Nearly always it is one mapping */
	if (unlikely(!m || m->next))
		ioas_tables_remove_many(dom, removal, populating);
	else if (m->mem.npages && !(populating && !m->in_populating))
		ioas_domain_remove(dom, m->start, ioas_mapping_bytes(m));
}

bool ioas_tables_poisoned(struct ioas *ioas);
int ioas_tables_write(struct ioas *ioas, struct ioas_mapping *m)
	__acquires(&ioas->lock);

#endif /* _IOASID_IOAS_TABLES_H */
