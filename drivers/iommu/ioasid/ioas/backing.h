/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is behind a mapping.
 */
#ifndef _IOASID_IOAS_BACKING_H
#define _IOASID_IOAS_BACKING_H

#include "../mem/memory.h"
#include "devmem.h"
#include "ref.h"
#include "types.h"

static __always_inline void mapping_give_back(struct ioasid_space *space,
					      struct ioasid_mapping *m)
{
	if (m->mem.npages) {
		if (unlikely(space->parent)) {
			m->next = NULL;
			ioasid_family_return(space, m);
		} else {
			ioasid_memory_put(&m->mem, space->account, m->payer);
		}
	} else if (unlikely(m->device)) {
		ioasid_devmem_put(m->device);
	}
}

void release_list(struct ioasid_space *space, struct ioasid_mapping *list);
void ioasid_mapping_release(struct ioasid_space *space,
			    struct ioasid_mapping *m);
int get_memory(struct ioasid_space *space, struct ioasid_mapping *m,
	       struct ioasid_map_request *req);
void ioasid_mapping_cut_memory(struct ioasid_space *space,
			       struct ioasid_mapping *m,
			       struct ioasid_mapping *tail, u64 at);
void ioasid_mapping_keep(struct ioasid_space *space, struct ioasid_mapping *m);
void ioasid_space_free_kept(struct ioasid_space *space);

#endif /* _IOASID_IOAS_BACKING_H */
