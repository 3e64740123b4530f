/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Charges of an mm.
 *
 * Knows extents, processes and users.
 */
#ifndef _IOASID_MEM_LEDGER_H
#define _IOASID_MEM_LEDGER_H

#include <linux/atomic.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>

#include "ended.h"
#include "extent.h"

struct ioasid_ledger;

void ioasid_ledger_put(struct ioasid_ledger *ledger);
struct ioasid_ledger *ioasid_ledger_get(struct ioasid_ended *ended);
int ioasid_ledger_charge(struct ioasid_ledger *ledger,
			 const struct ioasid_ended *ended, unsigned long limit,
			 unsigned long npages,
			 const struct ioasid_ledger *from);
void ioasid_ledger_uncharge(struct ioasid_ledger *ledger, unsigned long npages);
int ioasid_ledger_charge_runs(struct ioasid_ledger *ledger,
			      const struct ioasid_ended *ended,
			      unsigned long limit, struct ioasid_runs runs,
			      bool goes_on, const struct ioasid_ledger *from);
void ioasid_ledger_uncharge_runs(struct ioasid_ledger *ledger,
				 struct ioasid_runs runs);
void ioasid_ledger_cut(struct ioasid_ledger *ledger);
bool ioasid_ledger_has_ended(const struct ioasid_ledger *ledger);
unsigned long ioasid_ledger_pages(const struct ioasid_ledger *ledger);

int __init ioasid_ledger_init(void);
void ioasid_ledger_exit(void);

#endif /* _IOASID_MEM_LEDGER_H */
