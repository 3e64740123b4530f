/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accounts of contexts, and what pinned memory is charged to.
 */
#ifndef _IOASID_MEM_CHARGE_H
#define _IOASID_MEM_CHARGE_H

#include <linux/atomic.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <uapi/linux/ioasid.h>

#include "extent.h"

struct ioasid_ended;
struct ioasid_ledger;
struct mm_struct;
struct task_struct;
struct user_struct;

/**
 * struct ioasid_payer - the user and the mm that pinned memory is charged to
 * @users: references: one for each mapping that was charged, one of the
 *	account's cache
 * @charge: enum ioasid_charge
 * @mm: the mm that mapped, or took the mapping over; mm_count is held
 * @user: its user
 * @task: with a reference, its process, whose limit holds; NULL, the calling one's
 * @ledger: the charges of @mm; NULL with IOASID_CHARGE_USER
 * @ended: the charges of @user for mms that ended; NULL with IOASID_CHARGE_USER
 * @rcu: frees the structure after look-ups of the cache
 */
struct ioasid_payer {
	refcount_t users;
	u8 charge;
	struct mm_struct *mm;
	struct user_struct *user;
	struct task_struct *task;
	struct ioasid_ledger *ledger;
	struct ioasid_ended *ended;
	struct rcu_head rcu;
};

/**
 * struct ioasid_account - pinned memory and mappings of a context, and their
 *	limits
 * @pinned: bytes pinned
 * @limit: maximum of @pinned, U64_MAX for no limit
 * @mappings: mappings of the address spaces that are ioas.counted
 * @limit_mappings: maximum of @mappings, U64_MAX for no limit
 * @counting: new address spaces are ioas.counted; never cleared
 * @lock: protects @cache against other writers, @charge and @used
 * @cache: the payer that was charged last
 * @charge: enum ioasid_charge, the mode of new payers
 * @used: there was a charge, @charge is fixed
 */
struct ioasid_account {
	atomic64_t pinned;
	u64 limit;
	atomic64_t mappings;
	u64 limit_mappings;
	bool counting;
	spinlock_t lock;		/* cache, charge, used */
	struct ioasid_payer __rcu *cache;
	u8 charge;
	bool used;
};

struct ioasid_payer *ioasid_charge(struct ioasid_account *account,
				   struct task_struct *task,
				   unsigned long npages);
void ioasid_uncharge(struct ioasid_account *account,
		     struct ioasid_payer *payer, unsigned long npages);
/* With IOASID_CHARGE_ONCE: charge the pages that ioasid_charge() did not */
int ioasid_charge_runs(struct ioasid_payer *payer, struct ioasid_runs runs,
		       bool goes_on);
void ioasid_uncharge_runs(struct ioasid_payer *payer, struct ioasid_runs runs);
void ioasid_charge_cut(struct ioasid_payer *payer, bool inside);
/* Move a charge to the calling process */
bool ioasid_payer_is_caller(const struct ioasid_payer *payer);
void ioasid_payer_get(struct ioasid_payer *payer);
void ioasid_payer_put(struct ioasid_payer *payer);
struct ioasid_payer *ioasid_charge_take(struct ioasid_account *account,
					const struct ioasid_payer *from,
					const struct ioasid_memory *mem);
void ioasid_charge_leave(struct ioasid_payer *payer,
			 const struct ioasid_payer *other,
			 const struct ioasid_memory *mem);
bool ioasid_charge_counts(const struct ioasid_payer *payer);
int ioasid_charge_probe(struct ioasid_account *account, unsigned long npages);
u64 ioasid_account_left(struct ioasid_account *account);
u64 ioasid_account_charged(struct ioasid_account *account);
int ioasid_account_set_charge(struct ioasid_account *account,
			      unsigned int charge);
int ioasid_mappings_charge(struct ioasid_account *account, u64 n);
void ioasid_mappings_uncharge(struct ioasid_account *account, u64 n);
u64 ioasid_mappings_left(struct ioasid_account *account);
void ioasid_account_init(struct ioasid_account *account);
void ioasid_account_exit(struct ioasid_account *account);
int __init ioasid_charge_init(void);
void ioasid_charge_exit(void);

#endif /* _IOASID_MEM_CHARGE_H */
