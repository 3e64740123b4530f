/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory behind a mapping: see enum ioas_backing. */
#ifndef _IOASID_IOAS_BACKING_H
#define _IOASID_IOAS_BACKING_H

#include <linux/types.h>

#include "../mem/memory.h"
#include "demand.h"
#include "devmem.h"
#include "ref.h"
#include "request.h"
#include "types.h"

static __always_inline void ioas_mapping_put_memory(struct ioas *ioas,
						    struct ioas_mapping *m)
{
	switch (m->backing) {
	case IOAS_BACKING_PINNED:
		ioasid_memory_put(&m->mem, ioas->account, m->payer);
		if (unlikely(ioas->demand))
			ioas_demand_released(ioas, m);
		break;
	case IOAS_BACKING_DEMAND:
		ioas_demand_released(ioas, m);
		break;
	case IOAS_BACKING_PARENT:
		m->next = NULL;
		ioas_ref_put(ioas, m);
		break;
	case IOAS_BACKING_PARENT_DEVICE:
		m->next = NULL;
		ioas_ref_put(ioas, m);
		fallthrough;
	case IOAS_BACKING_DEVICE:
		ioas_devmem_put(m->device);
		break;
	case IOAS_BACKING_NONE:
	case IOAS_BACKING_PIECES:
		break;
	}
}

/**
 * struct ioas_backing_view - the memory behind a part of a mapping, for readers
 * @mem: the memory; see ioasid_memory_refer(); empty if there is none
 * @addr_known: the calling process mapped it, at ioas_mapping.addr
 * @revoked: device memory that was revoked
 * @demand: it is recorded, and not pinned
 * @cuttable: its IOPTEs keep to the cut grid of the mapping
 */
struct ioas_backing_view {
	struct ioasid_memory mem;
	bool addr_known;
	bool revoked;
	bool demand;
	bool cuttable;
};

void ioas_mapping_release_list(struct ioas *ioas, struct ioas_mapping *list);
void ioas_mapping_release(struct ioas *ioas,
			  struct ioas_mapping *m);
int ioas_mapping_pin(struct ioas *ioas, struct ioas_mapping *m,
		     struct file *file, unsigned long npages, bool write,
		     u64 *fault_addr);
int ioas_mapping_get_memory(struct ioas *ioas, struct ioas_mapping *m,
			    struct ioas_map_request *req);
void ioas_mapping_split_memory(struct ioas *ioas,
			       struct ioas_mapping *m,
			       struct ioas_mapping *tail, u64 at);
void ioas_mapping_view(const struct ioas_mapping *m, unsigned long skip,
		       struct ioas_backing_view *view);
void ioas_quarantine_release(struct ioas *ioas);

#endif /* _IOASID_IOAS_BACKING_H */
