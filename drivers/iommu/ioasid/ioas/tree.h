/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mappings of an address space in order, and the gaps between them.
 */
#ifndef _IOASID_IOAS_TREE_H
#define _IOASID_IOAS_TREE_H

#include "types.h"

#define to_mapping(node)	rb_entry_safe(node, struct ioasid_mapping, rb)

/**
 * ioasid_mapping_first() - the first mapping that ends at or after an address
 * @space: the space; its lock is held
 * @start: the address
 *
 * Return: the mapping, or NULL.
 */
static inline struct ioasid_mapping *ioasid_mapping_first(struct ioasid_space *space,
					    u64 start)
{
	struct rb_node *node = space->mappings.rb_node;
	struct ioasid_mapping *first = NULL, *m;

	lockdep_assert_held(&space->lock);
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

struct ioasid_mapping *ioasid_mapping_next(struct ioasid_mapping *m);
bool insert_next(struct ioasid_space *space, struct ioasid_mapping *m,
		 struct ioasid_place *place);
bool ioasid_mapping_insert(struct ioasid_space *space,
			   struct ioasid_mapping *m);
void ioasid_mapping_erase(struct ioasid_space *space, struct ioasid_mapping *m);
void ioasid_mapping_absorb(struct ioasid_space *space, struct ioasid_mapping *m,
			   struct ioasid_mapping *next);
u64 largest_page(struct ioasid_space *space, u64 length);
int choose_iova(struct ioasid_space *space, struct ioasid_map_request *req,
		u64 largest);

#endif /* _IOASID_IOAS_TREE_H */
