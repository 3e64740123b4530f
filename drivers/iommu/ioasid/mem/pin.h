/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a process: charged, pinned, unpinned.
 */
#ifndef _IOASID_MEM_PIN_H
#define _IOASID_MEM_PIN_H

#include <linux/mm.h>

#include "charge.h"
#include "extent.h"

struct file;
struct mutex;

/* What fits a page: 2 MiB of memory, where pages have 4 KiB */
#define IOASID_PIN_CHARGE_PAGES		(PAGE_SIZE / sizeof(struct page *))

/* How often a pin fails with -ENOMEM before memory is short */
#define IOASID_PIN_TRIES		16

/**
 * ioasid_refs_pinned_out() - are there too many references
 * @refs: of a folio
 *
 * The mm does not refuse a pin that overflows the count of references: it warns
 * of the next one.  A quarter of the count is kept free for the pins of others,
 * and for a thousand calls that have not looked here yet.  A pin counts 1024 for
 * a small folio, and 1 for a large one.
 *
 * Return: whether that is beyond what is allowed.
 */
static inline bool ioasid_refs_pinned_out(unsigned long refs)
{
	return refs > INT_MAX / 4 * 3UL;
}

/**
 * ioasid_folio_pinned_out() - is a folio pinned too often
 * @folio: the folio, pinned
 * @more: references that shall be added
 *
 * Return: whether the count is, or would be, beyond what is allowed.
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
void ioasid_unpin(struct ioasid_memory *mem);
void ioasid_unpin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
			  unsigned long charged);

#endif /* _IOASID_MEM_PIN_H */
