// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accounts of contexts, and what pinned memory is charged to.
 *
 * Invariants:
 *  - The charge of a mapping is released from the payer that was charged, or that has
 *    taken the charge over.  Any process may release it; that allocates no memory.
 *  - The first charge of an account fixes the mode of all its charges.
 *
 * Locks: ioasid_account.lock is a leaf.  RCU protects the look-up of the cached
 * payer.
 *
 * Waits: see ledger.c.
 */
#include <kunit/visibility.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "charge.h"
#include "ledger.h"

/* ---- Payers ---- */

static void payer_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct ioasid_payer, rcu));
}

static void payer_put(struct ioasid_payer *payer)
{
	if (!refcount_dec_and_test(&payer->users))
		return;
	if (payer->ledger) {
		ioasid_ledger_put(payer->ledger);
		ioasid_ended_put(payer->ended);
	}
	mmdrop(payer->mm);
	free_uid(payer->user);
	if (unlikely(payer->task))
		put_task_struct(payer->task);
	call_rcu(&payer->rcu, payer_free_rcu);
}

/* Not called with IOASID_CHARGE_USER */
static int payer_get_ledger(struct ioasid_payer *payer)
{
	payer->ended = ioasid_ended_get(current_user());
	if (!payer->ended)
		return -ENOMEM;
	payer->ledger = ioasid_ledger_get(payer->ended);
	if (!IS_ERR(payer->ledger))
		return 0;
	ioasid_ended_put(payer->ended);
	return PTR_ERR(payer->ledger);
}

static struct ioasid_payer *payer_get_slow(struct ioasid_account *account,
					   struct task_struct *task)
{
	struct ioasid_payer *payer, *old = NULL;
	int ret;

	payer = kzalloc(sizeof(*payer), GFP_KERNEL_ACCOUNT);
	if (!payer)
		return ERR_PTR(-ENOMEM);
	payer->charge = READ_ONCE(account->charge);
	if (payer->charge != IOASID_CHARGE_USER) {
		ret = payer_get_ledger(payer);
		if (ret) {
			kfree(payer);
			return ERR_PTR(ret);
		}
	}
	/* One reference for the caller, one for the cache */
	refcount_set(&payer->users, 2);
	payer->mm = current->mm;
	mmgrab(payer->mm);
	payer->user = get_uid(current_user());
	if (unlikely(task))
		payer->task = get_task_struct(task);

	spin_lock(&account->lock);
	old = rcu_replace_pointer(account->cache, payer,
				  lockdep_is_held(&account->lock));
	spin_unlock(&account->lock);
	if (old)
		payer_put(old);
	return payer;
}

/* Get the payer for the calling process, usually the cached one */
static struct ioasid_payer *payer_get(struct ioasid_account *account,
				      struct task_struct *task)
{
	struct ioasid_payer *payer;

	rcu_read_lock();
	payer = rcu_dereference(account->cache);
	if (payer && payer->mm == current->mm &&
	    payer->user == current_user() && payer->task == task &&
	    payer->charge == READ_ONCE(account->charge) &&
	    refcount_inc_not_zero(&payer->users)) {
		rcu_read_unlock();
		return payer;
	}
	rcu_read_unlock();
	return payer_get_slow(account, task);
}

/* RLIMIT_MEMLOCK of the process that is charged, in pages */
static unsigned long payer_limit(const struct ioasid_payer *payer)
{
	unsigned long limit = likely(!payer->task) ?
				      rlimit(RLIMIT_MEMLOCK) :
				      task_rlimit(payer->task, RLIMIT_MEMLOCK);

	return limit >> PAGE_SHIFT;
}

static int payer_charge_user(struct ioasid_payer *payer, unsigned long npages)
{
	unsigned long limit = payer_limit(payer);
	atomic_long_t *locked = &payer->user->locked_vm;
	long old = atomic_long_read(locked), new;

	do {
		if (check_add_overflow(old, (long)npages, &new))
			return -EDQUOT;
		if ((unsigned long)new > limit && !capable(CAP_IPC_LOCK))
			return -EDQUOT;
	} while (!atomic_long_try_cmpxchg(locked, &old, new));
	atomic64_add(npages, &payer->mm->pinned_vm);
	return 0;
}

static int payer_charge(struct ioasid_payer *payer, unsigned long npages)
{
	if (likely(payer->charge == IOASID_CHARGE_USER))
		return payer_charge_user(payer, npages);
	if (payer->charge == IOASID_CHARGE_MM)
		return ioasid_ledger_charge(payer->ledger, payer->ended,
					    payer_limit(payer), npages, NULL);
	/* ioasid_charge_runs() charges, once the pages are known */
	return 0;
}

/* Uncharge a payer, and put the caller's reference */
static void payer_uncharge(struct ioasid_payer *payer, unsigned long npages)
{
	if (likely(payer->charge == IOASID_CHARGE_USER)) {
		atomic_long_sub(npages, &payer->user->locked_vm);
		atomic64_sub(npages, &payer->mm->pinned_vm);
	} else if (payer->charge == IOASID_CHARGE_MM) {
		ioasid_ledger_uncharge(payer->ledger, npages);
	}
	payer_put(payer);
}

/* ---- Accounts ---- */

/* Add bytes to an account, up to its limit */
static bool account_pin(struct ioasid_account *account, u64 bytes)
{
	u64 limit = READ_ONCE(account->limit);
	s64 old;

	/* The sizes of reserved ranges can overflow a sum */
	if (likely(limit == U64_MAX)) {
		atomic64_add(bytes, &account->pinned);
		return true;
	}
	old = atomic64_read(&account->pinned);
	do {
		if (unlikely(old > limit || bytes > limit - old))
			return false;
	} while (!atomic64_try_cmpxchg(&account->pinned, &old, old + bytes));
	return true;
}

/* The first charge succeeded: this fixes the mode of the account */
static bool account_use(struct ioasid_account *account,
			const struct ioasid_payer *payer)
{
	spin_lock(&account->lock);
	if (payer->charge == account->charge)
		account->used = true;
	spin_unlock(&account->lock);
	return payer->charge == account->charge;
}

/**
 * ioasid_charge() - charge the calling process for memory
 * @account: the context's account
 * @task: the process that a thread of the kernel charges, with whose mm and
 *	credentials it runs for that; NULL, the calling process
 * @npages: how many pages
 *
 * With IOASID_CHARGE_ONCE only the context's own limit is looked at, and the
 * rest left to ioasid_charge_runs().
 *
 * Context: may sleep.
 * Return: the payer, to be passed to ioasid_uncharge(); or an ERR_PTR:
 * -EDQUOT, a limit would be exceeded; -ENOMEM; -EINTR.
 */
struct ioasid_payer *ioasid_charge(struct ioasid_account *account,
				   struct task_struct *task,
				   unsigned long npages)
{
	u64 bytes = (u64)npages << PAGE_SHIFT;
	struct ioasid_payer *payer;
	int ret;

	if (unlikely(!account_pin(account, bytes)))
		return ERR_PTR(-EDQUOT);
again:
	payer = payer_get(account, task);
	if (IS_ERR(payer)) {
		ret = PTR_ERR(payer);
		goto err_bytes;
	}
	ret = payer_charge(payer, npages);
	if (unlikely(ret))
		goto err_put;
	if (likely(READ_ONCE(account->used)) || account_use(account, payer))
		return payer;
	/* Another thread set another mode just before this first charge */
	payer_uncharge(payer, npages);
	goto again;

err_put:
	payer_put(payer);
err_bytes:
	atomic64_sub(bytes, &account->pinned);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_charge);

/**
 * ioasid_uncharge() - release a charge
 * @account: the context's account
 * @payer: from ioasid_charge(); the caller's reference is put
 * @npages: how many pages
 *
 * With IOASID_CHARGE_ONCE, call ioasid_uncharge_runs() first.
 *
 * Context: may sleep; does not wait for mmap_lock.
 */
void ioasid_uncharge(struct ioasid_account *account,
		     struct ioasid_payer *payer, unsigned long npages)
{
	atomic64_sub((u64)npages << PAGE_SHIFT, &account->pinned);
	payer_uncharge(payer, npages);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_uncharge);

/**
 * ioasid_charge_runs() - charge pages that are not charged yet
 * @payer: from ioasid_charge(), with IOASID_CHARGE_ONCE
 * @runs: the pages, pinned
 * @goes_on: the first run continues the last run that was charged for the same
 *	mapping, in the same extent
 *
 * Context: called by the process that is charged; may sleep, takes mmap_lock.
 * Return: 0; -EDQUOT, RLIMIT_MEMLOCK would be exceeded; -ENOMEM; -EINTR. On
 * failure nothing was charged.
 */
int ioasid_charge_runs(struct ioasid_payer *payer, struct ioasid_runs runs,
		       bool goes_on)
{
	return ioasid_ledger_charge_runs(payer->ledger, payer->ended,
					 payer_limit(payer), runs, goes_on,
					 NULL);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_charge_runs);

/**
 * ioasid_uncharge_runs() - release a charge of ioasid_charge_runs()
 * @payer: the payer that was charged
 * @runs: the pages
 *
 * Context: may sleep; does not wait for mmap_lock; needs no memory.
 */
void ioasid_uncharge_runs(struct ioasid_payer *payer, struct ioasid_runs runs)
{
	ioasid_ledger_uncharge_runs(payer->ledger, runs);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_uncharge_runs);

/**
 * ioasid_charge_cut() - prepare a charge for a cut of its mapping in two
 * @payer: the payer that was charged; gets a reference for the second part
 * @inside: the cut is inside of an extent, not between two
 *
 * The two parts can be unmapped at different times.  With IOASID_CHARGE_ONCE
 * this allocates the nodes that an unmap of one part needs; the allocation
 * cannot fail.
 *
 * Context: may sleep.
 */
void ioasid_charge_cut(struct ioasid_payer *payer, bool inside)
{
	refcount_inc(&payer->users);
	if (payer->charge == IOASID_CHARGE_ONCE && inside)
		ioasid_ledger_cut(payer->ledger);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_charge_cut);

/* ---- Moves ---- */

/* Runs that are charged at a time, with mmap_lock held */
#define TAKE_RUNS	512

/* Whether a charge can move between two payers with their ledger, or user */
static bool payer_shares(const struct ioasid_payer *payer,
			 const struct ioasid_payer *other)
{
	if (payer->charge == IOASID_CHARGE_USER)
		return payer->user == other->user;
	return payer->ledger == other->ledger;
}

/* Cut the next runs off the front of others */
static struct ioasid_runs take_front(struct ioasid_runs *runs)
{
	struct ioasid_runs front = *runs;
	struct ioasid_run run;
	unsigned int n;

	front.left = 0;
	for (n = 0; n < TAKE_RUNS && ioasid_runs_next(runs, &run); n++)
		front.left += run.npages;
	return front;
}

static int take_runs(struct ioasid_payer *payer,
		     const struct ioasid_payer *from,
		     const struct ioasid_memory *mem)
{
	struct ioasid_runs left, front, done;
	int ret;

	ioasid_runs_start(&left, mem);
	done = left;
	done.left = 0;
	while (left.left) {
		front = take_front(&left);
		ret = ioasid_ledger_charge_runs(payer->ledger, payer->ended,
						payer_limit(payer), front,
						false, from->ledger);
		if (ret) {
			ioasid_ledger_uncharge_runs(payer->ledger, done);
			return ret;
		}
		done.left += front.left;
	}
	return 0;
}

static int payer_take(struct ioasid_payer *payer,
		      const struct ioasid_payer *from,
		      const struct ioasid_memory *mem)
{
	bool shares = payer_shares(payer, from);

	if (payer->charge == IOASID_CHARGE_USER) {
		if (!shares)
			return payer_charge_user(payer, mem->npages);
		atomic64_add(mem->npages, &payer->mm->pinned_vm);
		return 0;
	}
	if (shares)
		return 0;
	if (payer->charge == IOASID_CHARGE_MM)
		return ioasid_ledger_charge(payer->ledger, payer->ended,
					    payer_limit(payer), mem->npages,
					    from->ledger);
	return take_runs(payer, from, mem);
}

/**
 * ioasid_payer_is_caller() - check whether the calling process pays
 * @payer: the payer
 *
 * Return: true if @payer is the calling process and its user.
 */
bool ioasid_payer_is_caller(const struct ioasid_payer *payer)
{
	return payer->mm == current->mm && payer->user == current_user();
}

/**
 * ioasid_payer_get() - take a reference to the payer of a mapping
 * @payer: the payer; the mapping has a reference
 *
 * Context: does not sleep.
 */
void ioasid_payer_get(struct ioasid_payer *payer)
{
	refcount_inc(&payer->users);
}

/**
 * ioasid_payer_put() - drop a reference of ioasid_payer_get()
 * @payer: the payer
 *
 * Context: may sleep.
 */
void ioasid_payer_put(struct ioasid_payer *payer)
{
	payer_put(payer);
}

/**
 * ioasid_charge_take() - charge the calling process for charged memory
 * @account: the context's account; what it has pinned does not change
 * @from: the payer that is charged
 * @mem: the memory
 *
 * Both payers are charged now, except for what they share: ioasid_charge_leave()
 * releases the charge of one of them.
 *
 * Context: may sleep; takes mmap_lock.
 * Return: the payer; or an ERR_PTR: -EDQUOT, RLIMIT_MEMLOCK would be exceeded;
 * -ENOMEM; -EINTR. On failure nothing was charged.
 */
struct ioasid_payer *ioasid_charge_take(struct ioasid_account *account,
					const struct ioasid_payer *from,
					const struct ioasid_memory *mem)
{
	struct ioasid_payer *payer = payer_get(account, NULL);
	int ret;

	if (IS_ERR(payer))
		return payer;
	ret = payer_take(payer, from, mem);
	if (!ret)
		return payer;
	payer_put(payer);
	return ERR_PTR(ret);
}

/**
 * ioasid_charge_leave() - release one of two charges for the same memory
 * @payer: the payer to release; the caller's reference is put
 * @other: the payer that stays charged
 * @mem: the memory
 *
 * Context: may sleep; does not wait for mmap_lock; needs no memory.
 */
void ioasid_charge_leave(struct ioasid_payer *payer,
			 const struct ioasid_payer *other,
			 const struct ioasid_memory *mem)
{
	bool shares = payer_shares(payer, other);
	struct ioasid_runs runs;

	if (payer->charge == IOASID_CHARGE_USER) {
		atomic64_sub(mem->npages, &payer->mm->pinned_vm);
		if (!shares)
			atomic_long_sub(mem->npages, &payer->user->locked_vm);
	} else if (!shares && payer->charge == IOASID_CHARGE_MM) {
		ioasid_ledger_uncharge(payer->ledger, mem->npages);
	} else if (!shares) {
		ioasid_runs_start(&runs, mem);
		ioasid_ledger_uncharge_runs(payer->ledger, runs);
	}
	payer_put(payer);
}

/**
 * ioasid_charge_counts() - check whether a charge that moves to the calling
 *	process counts against its limit
 * @payer: the payer that is charged
 *
 * What a user is charged for an mm that ended counts against the limit of its
 * other mms already.
 *
 * Return: true if it does.
 */
bool ioasid_charge_counts(const struct ioasid_payer *payer)
{
	if (payer->charge == IOASID_CHARGE_USER)
		return payer->user != current_user();
	return payer->mm != current->mm &&
	       !(payer->user == current_user() &&
		 ioasid_ledger_has_ended(payer->ledger));
}

/**
 * ioasid_charge_probe() - check whether the calling process can be charged
 * @account: the context's account, which has been charged
 * @npages: how many pages
 *
 * The charge is made, and released at once.  With IOASID_CHARGE_ONCE no limit is
 * checked.
 *
 * Context: may sleep; takes mmap_lock.
 * Return: 0; or an errno of ioasid_charge_take(). Nothing was charged.
 */
int ioasid_charge_probe(struct ioasid_account *account, unsigned long npages)
{
	struct ioasid_payer *payer = payer_get(account, NULL);
	int ret;

	if (IS_ERR(payer))
		return PTR_ERR(payer);
	ret = payer_charge(payer, npages);
	if (ret)
		payer_put(payer);
	else
		payer_uncharge(payer, npages);
	return ret;
}

/**
 * ioasid_account_left() - tell how much the calling process can still pin
 * @account: the context's account
 *
 * Return: bytes, U64_MAX when nothing limits them.
 */
u64 ioasid_account_left(struct ioasid_account *account)
{
	u64 limit = READ_ONCE(account->limit), left = U64_MAX;
	u64 pinned = atomic64_read(&account->pinned);
	unsigned long rlim = rlimit(RLIMIT_MEMLOCK);
	struct user_struct *user = current_user();
	u64 locked;

	if (limit != U64_MAX)
		left = limit > pinned ? limit - pinned : 0;
	if (rlim == RLIM_INFINITY || capable(CAP_IPC_LOCK))
		return left;
	if (READ_ONCE(account->charge) == IOASID_CHARGE_USER)
		locked = atomic_long_read(&user->locked_vm);
	else
		locked = READ_ONCE(current->mm->locked_vm) + ioasid_ended_pages(user);
	locked <<= PAGE_SHIFT;
	rlim &= PAGE_MASK;
	return min(left, rlim > locked ? rlim - locked : 0);
}

/**
 * ioasid_account_charged() - tell how much is charged
 * @account: the context's account
 *
 * Return: bytes; with IOASID_CHARGE_ONCE, the charge of the process that mapped
 * last, in all its contexts.
 */
u64 ioasid_account_charged(struct ioasid_account *account)
{
	u64 bytes = atomic64_read(&account->pinned);
	struct ioasid_payer *payer;

	if (READ_ONCE(account->charge) != IOASID_CHARGE_ONCE)
		return bytes;
	rcu_read_lock();
	payer = rcu_dereference(account->cache);
	if (payer && !refcount_inc_not_zero(&payer->users))
		payer = NULL;
	rcu_read_unlock();
	if (!payer)
		return bytes;
	if (payer->charge == IOASID_CHARGE_ONCE)
		bytes = (u64)ioasid_ledger_pages(payer->ledger) << PAGE_SHIFT;
	payer_put(payer);
	return bytes;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_account_charged);

/**
 * ioasid_account_set_charge() - set the mode of charges
 * @account: the context's account
 * @charge: enum ioasid_charge
 *
 * Return: 0; -EBUSY, the account has been charged already.
 */
int ioasid_account_set_charge(struct ioasid_account *account,
			      unsigned int charge)
{
	int ret = -EBUSY;

	spin_lock(&account->lock);
	if (!account->used) {
		WRITE_ONCE(account->charge, charge);
		ret = 0;
	}
	spin_unlock(&account->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_account_set_charge);

/**
 * ioasid_mappings_charge() - count mappings, up to the limit
 * @account: the account
 * @n: number of mappings
 *
 * Return: 0; -EDQUOT, there would be more than the limit.
 */
int ioasid_mappings_charge(struct ioasid_account *account, u64 n)
{
	u64 limit = READ_ONCE(account->limit_mappings);
	s64 old = atomic64_read(&account->mappings);

	do {
		if ((u64)old > limit || n > limit - old)
			return -EDQUOT;
	} while (!atomic64_try_cmpxchg(&account->mappings, &old, old + n));
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_mappings_charge);

/**
 * ioasid_mappings_uncharge() - undo ioasid_mappings_charge()
 * @account: the account
 * @n: number of mappings
 */
void ioasid_mappings_uncharge(struct ioasid_account *account, u64 n)
{
	atomic64_sub(n, &account->mappings);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_mappings_uncharge);

/**
 * ioasid_mappings_left() - tell how many more mappings the limit permits
 * @account: the account
 *
 * Return: the number; U64_MAX for no limit.
 */
u64 ioasid_mappings_left(struct ioasid_account *account)
{
	u64 limit = READ_ONCE(account->limit_mappings);
	u64 used = atomic64_read(&account->mappings);

	if (limit == U64_MAX)
		return U64_MAX;
	return used < limit ? limit - used : 0;
}

/**
 * ioasid_account_init() - initialise an account with no limit that charges
 *	users
 * @account: the account
 */
void ioasid_account_init(struct ioasid_account *account)
{
	atomic64_set(&account->pinned, 0);
	account->limit = U64_MAX;
	atomic64_set(&account->mappings, 0);
	account->limit_mappings = U64_MAX;
	account->counting = false;
	spin_lock_init(&account->lock);
	RCU_INIT_POINTER(account->cache, NULL);
	account->charge = IOASID_CHARGE_USER;
	account->used = false;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_account_init);

/**
 * ioasid_account_exit() - release an account
 * @account: the context's account; nothing is charged to it
 */
void ioasid_account_exit(struct ioasid_account *account)
{
	struct ioasid_payer *payer =
		rcu_dereference_protected(account->cache, true);

	if (payer)
		payer_put(payer);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_account_exit);

int __init ioasid_charge_init(void)
{
	return ioasid_ledger_init();
}

void ioasid_charge_exit(void)
{
	/* Payers are freed by RCU callbacks of this module */
	rcu_barrier();
	ioasid_ledger_exit();
}
