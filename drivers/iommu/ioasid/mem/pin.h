/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a process: pin it, charge for it, unpin it.
 */
#ifndef _IOASID_MEM_PIN_H
#define _IOASID_MEM_PIN_H

#include <linux/mm.h>

#include "charge.h"
#include "extent.h"

struct file;
struct mutex;

/* Page pointers that fit in a page: 2 MiB of memory, with pages of 4 KiB */
#define IOASID_PIN_CHARGE_PAGES		(PAGE_SIZE / sizeof(struct page *))

/* Number of failures of a pin with -ENOMEM that are taken for competition */
#define IOASID_PIN_TRIES		16

/**
 * ioasid_refs_pinned_out() - check whether a folio has too many references
 * @refs: references of the folio
 *
 * The mm does not refuse a pin that overflows the count of references: it warns
 * at the next pin.  So leave a quarter of the range of the count for other
 * users of pins, and for a thousand threads between a pin and its check: they
 * do not sleep there.  A pin counts 1024 for a small folio, and 1 for a large
 * one.
 *
 * Return: whether there are more than the limit.
 */
static inline bool ioasid_refs_pinned_out(unsigned long refs)
{
	return refs > INT_MAX / 4 * 3UL;
}

/**
 * ioasid_folio_pinned_out() - check whether a folio is pinned too often
 * @folio: the folio, pinned
 * @more: number of references to add
 *
 * Return: whether the count is, or would be, above the limit.
 */
static inline bool ioasid_folio_pinned_out(struct folio *folio,
					   unsigned long more)
{
	return ioasid_refs_pinned_out((unsigned int)folio_ref_count(folio) +
				      more);
}

int ioasid_pin_errno(long err);
int ioasid_extent_list_charge(struct ioasid_extent_list *list);
void ioasid_pin_init(void);
struct mutex *ioasid_pin_file_turn(struct file *file, u64 offset,
				   unsigned long *npages);
int ioasid_pin_file_wait(struct file *file, u64 offset);
bool ioasid_pin_compete(unsigned int failed);
int ioasid_pin_user_list(struct ioasid_memory *mem, struct ioasid_payer *payer,
			 u64 addr, unsigned long npages, bool writable,
			u64 *fault_addr);
int ioasid_pin_user(struct ioasid_memory *mem, u64 addr, unsigned long npages,
		    bool writable, u64 *fault_addr);
int ioasid_compare_user(const struct ioasid_memory *mem, u64 addr, bool writable,
			u64 *fault_addr);
void ioasid_unpin(struct ioasid_memory *mem);
void ioasid_unpin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
			  unsigned long charged);

#endif /* _IOASID_MEM_PIN_H */
