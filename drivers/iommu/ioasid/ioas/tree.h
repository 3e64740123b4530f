/* SPDX-License-Identifier: GPL-2.0-only */
/* The mappings of an address space in order, and the gaps between them. */
#ifndef _IOASID_IOAS_TREE_H
#define _IOASID_IOAS_TREE_H

#include "request.h"
#include "types.h"

#define to_mapping(node)	rb_entry_safe(node, struct ioas_mapping, rb)

/**
 * ioas_mapping_first() - find the first mapping that ends at or after an
 *	address
 * @ioas: the address space; its lock is held
 * @start: the address
 *
 * Return: the mapping, or NULL.
 */
static inline struct ioas_mapping *ioas_mapping_first(struct ioas *ioas,
						      u64 start)
{
	struct rb_node *node = ioas->mappings.rb_node;
	struct ioas_mapping *first = NULL, *m;

	lockdep_assert_held(&ioas->lock);
	while (node) {
		m = to_mapping(node);
		if (m->last >= start) {
			first = m;
			if (m->start <= start)
				break;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return first;
}

struct ioas_mapping *ioas_mapping_next(struct ioas_mapping *m);
bool ioas_mapping_insert_next(struct ioas *ioas, struct ioas_mapping *m,
			      struct ioas_batch_cache *cache);
bool ioas_mapping_insert(struct ioas *ioas,
			 struct ioas_mapping *m);
void ioas_mapping_insert_filler(struct ioas *ioas, struct ioas_mapping *m);
void ioas_mapping_erase(struct ioas *ioas, struct ioas_mapping *m);
void ioas_mapping_absorb(struct ioas *ioas, struct ioas_mapping *m,
			 struct ioas_mapping *next);
void ioas_mapping_split_object(struct ioas *ioas, struct ioas_mapping *m,
			       struct ioas_mapping *tail);
int ioas_choose_iova(struct ioas *ioas, struct ioas_map_request *req,
		     u64 largest);

#endif /* _IOASID_IOAS_TREE_H */
