/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory behind a mapping. */
#ifndef _IOASID_IOAS_BACKING_H
#define _IOASID_IOAS_BACKING_H

#include "../mem/memory.h"
#include "devmem.h"
#include "ref.h"
#include "types.h"

static __always_inline void ioas_mapping_put_memory(struct ioas *ioas,
						    struct ioas_mapping *m)
{
	if (m->mem.npages) {
		if (unlikely(ioas->parent)) {
			m->next = NULL;
			ioas_ref_put(ioas, m);
		} else {
			ioasid_memory_put(&m->mem, ioas->account, m->payer);
		}
	} else if (unlikely(m->device)) {
		ioas_devmem_put(m->device);
	}
}

void ioas_mapping_release_list(struct ioas *ioas, struct ioas_mapping *list);
void ioas_mapping_release(struct ioas *ioas,
			  struct ioas_mapping *m);
int ioas_mapping_get_memory(struct ioas *ioas, struct ioas_mapping *m,
			    struct ioas_map_request *req);
void ioas_mapping_split_memory(struct ioas *ioas,
			       struct ioas_mapping *m,
			       struct ioas_mapping *tail, u64 at);
void ioas_quarantine_add(struct ioas *ioas, struct ioas_mapping *m);
void ioas_quarantine_release(struct ioas *ioas);

#endif /* _IOASID_IOAS_BACKING_H */
