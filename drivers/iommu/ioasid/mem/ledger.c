// SPDX-License-Identifier: GPL-2.0-only
/*
 * Charges of an mm, which move to its user when the mm ends.
 *
 * Invariants:
 *  - Pinned memory is always charged.  When an mm ends, by exit or exec, its
 *    charge for memory that is still pinned moves to its user: to locked_vm of
 *    struct user_struct, and to struct ioasid_ended.  A map that charges an mm
 *    adds the latter to the locked_vm of that mm.  The charge is removed from
 *    the mm at the same time.
 *  - With IOASID_CHARGE_ONCE a page is charged to an mm while at least one
 *    mapping of the mm has it pinned.  Pages are told apart by page frame
 *    number, not by the address that they were mapped from: that address can
 *    have other memory by now.
 *  - The release of a charge allocates no memory and does not wait for
 *    mmap_lock: a page fault that hangs in another thread can hold that.
 *
 * The ledger of an mm holds the runs of pages that are charged once, each with
 * the number of mappings that have it pinned.  Runs do not overlap, and runs
 * that touch differ in their count, unless the piece of a mapping begins or
 * ends there.  (A piece is one run of pages in the extents of one mapping.) So
 * with n pieces there are at most 2n places where a run can begin or end, and
 * one more for each piece that is being added or removed: 3n nodes suffice, and
 * so does one node for each page.  The ledger allocates the nodes before it
 * adds a piece, and frees them after it has removed the piece: so a run can
 * always be split.
 *
 * An mmu notifier tells that an mm ends.  The process still has its files then,
 * and the close of these files may unpin all its memory: other processes of its
 * user that stay below their limits must not be refused meanwhile.  So the
 * ledger has a file, which no process has open.  The notifier puts the last
 * reference to it, and the file is released when the task has closed its files:
 * at the end of exit(), before the parent's wait() returns, or of exec().
 *
 * Locks: mmap_lock of the mm lets one charge run at a time, so that a page
 * counts as charged only after its charge has passed the limit; then
 * ioasid_ledger.lock.  These, ledgers_lock and ended_lock are leaves.  A
 * spinlock is held for at most LEDGER_STEPS steps of a loop, each of them
 * logarithmic.
 *
 * Waits:
 *  - A charge waits for mmap_lock of its mm, and the first one of an mm for the
 *    notifier to be registered: killable.
 *  - The thread that registers waits for mmap_lock of the same mm and for other
 *    mms that register.  Only these first charges wait for it.
 *  - The work that releases charges uses a trylock on mmap_lock, and is queued
 *    again if that fails.
 *  - The end of an mm waits for its mmap_lock.  No page fault can hold
 *    mmap_lock at that time.
 *
 * Longer than 700 lines: the runs and the life of a ledger share its lock.
 */
#include <kunit/visibility.h>
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/rbtree.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "ledger.h"

/**
 * struct ledger_run - pages that are pinned by the same number of mappings
 * @rb: in ioasid_ledger.runs
 * @next: in ioasid_ledger.spare
 * @first: page frame number of the first page
 * @last: of the last page
 * @count: number of mappings that have each of them pinned
 */
struct ledger_run {
	union {
		struct rb_node rb;
		struct ledger_run *next;
	};
	unsigned long first;
	unsigned long last;
	unsigned int count;
};

/**
 * struct ioasid_ledger - the charges of an mm
 * @rb: in ledgers
 * @notifier: its release() is called when @mm ends
 * @registered: completed when @notifier is registered, or has failed to
 *	register
 * @error: errno of a failed registration, or 0
 * @users: references: of payers, of @work while it is queued, of the thread
 *	that registers @notifier, and of @file after the end of @mm
 * @mm: the mm; mm_count is held by @notifier
 * @ended: the user that takes over the charges of @mm when it ends: the first
 *	user that was charged together with @mm
 * @file: released when @mm has ended and its task has closed its files
 * @ending: @charged moves to @ended; set before that, never cleared
 * @has_ended: @charged has moved to @ended
 * @charged: pages that @mm is charged, @owed included; protected by mmap_lock
 * @owed: pages whose charge is still to be released
 * @work: releases the charge of @owed
 * @delay: jiffies until @work tries again
 * @lock: protects the fields below
 * @runs: the pages that are charged once
 * @spare: free nodes
 * @nr_nodes: number of nodes, in @runs and in @spare
 * @pages: pages in @runs; more while a piece is added or removed
 * @pieces: pieces in @runs, and pieces that are being added or removed
 */
struct ioasid_ledger {
	struct rb_node rb;
	struct mmu_notifier notifier;
	struct completion registered;
	int error;
	refcount_t users;
	struct mm_struct *mm;
	struct ioasid_ended *ended;
	struct file *file;
	bool ending;
	bool has_ended;
	unsigned long charged;
	atomic_long_t owed;
	struct delayed_work work;
	unsigned long delay;

	spinlock_t lock;		/* @runs to @pieces */
	struct rb_root runs;
	struct ledger_run *spare;
	unsigned long nr_nodes;
	unsigned long pages;
	unsigned long pieces;
};

static struct workqueue_struct *ioasid_wq;

static struct kmem_cache *run_cache;

static DEFINE_SPINLOCK(ledgers_lock);	/* ledgers */

static struct rb_root ledgers = RB_ROOT;	/* by mm */

/* Maximum steps of a loop with a lock held; user space chooses their total */
#define LEDGER_STEPS	8

/* ---- Runs of a ledger ---- */

#define to_run(node)	rb_entry_safe(node, struct ledger_run, rb)

/* Find the first run that ends at or after a page */
static struct ledger_run *run_first(struct ioasid_ledger *ledger,
				    unsigned long pfn)
{
	struct rb_node *node = ledger->runs.rb_node;
	struct ledger_run *first = NULL, *run;

	lockdep_assert_held(&ledger->lock);
	while (node) {
		run = to_run(node);
		if (run->last < pfn) {
			node = node->rb_right;
			continue;
		}
		first = run;
		if (run->first <= pfn)
			break;
		node = node->rb_left;
	}
	return first;
}

static void node_put(struct ioasid_ledger *ledger, struct ledger_run *run)
{
	lockdep_assert_held(&ledger->lock);
	run->next = ledger->spare;
	ledger->spare = run;
}

static void run_insert(struct ioasid_ledger *ledger, unsigned long first,
		       unsigned long last, unsigned int count)
{
	struct rb_node **link = &ledger->runs.rb_node, *parent = NULL;
	struct ledger_run *run = ledger->spare;

	lockdep_assert_held(&ledger->lock);
	ledger->spare = run->next;
	run->first = first;
	run->last = last;
	run->count = count;
	while (*link) {
		parent = *link;
		link = first < to_run(parent)->first ? &parent->rb_left :
						       &parent->rb_right;
	}
	rb_link_node(&run->rb, parent, link);
	rb_insert_color(&run->rb, &ledger->runs);
}

static void run_erase(struct ioasid_ledger *ledger, struct ledger_run *run)
{
	rb_erase(&run->rb, &ledger->runs);
	node_put(ledger, run);
}

/* Remove the part of a run that is outside of [first, last] */
static void run_isolate(struct ioasid_ledger *ledger, struct ledger_run *run,
			unsigned long first, unsigned long last)
{
	unsigned long run_first = run->first, run_last = run->last;

	if (run_first < first) {
		run->first = first;
		run_insert(ledger, run_first, first - 1, run->count);
	}
	if (run_last > last) {
		run->last = last;
		run_insert(ledger, last + 1, run_last, run->count);
	}
}

/* Merge the runs on either side of the start of @pfn, if their counts agree */
static void run_join(struct ioasid_ledger *ledger, unsigned long pfn)
{
	struct ledger_run *run = run_first(ledger, pfn), *prev;

	if (!run || run->first != pfn)
		return;
	prev = to_run(rb_prev(&run->rb));
	if (!prev || prev->last + 1 != pfn || prev->count != run->count)
		return;
	run->first = prev->first;
	run_erase(ledger, prev);
}

/* Number of nodes that are needed: see the head of this file */
static unsigned long nodes_needed(const struct ioasid_ledger *ledger)
{
	return min(3 * ledger->pieces, ledger->pages);
}

/* Drop the lock between two steps of a loop, if others may change the ledger */
static void ledger_step(struct ioasid_ledger *ledger, unsigned int *steps)
{
	lockdep_assert_held(&ledger->lock);
	if (++*steps % LEDGER_STEPS)
		return;
	spin_unlock(&ledger->lock);
	cond_resched();
	spin_lock(&ledger->lock);
}

/* Take some of the nodes that are not needed, as a list */
static struct ledger_run *nodes_take(struct ioasid_ledger *ledger)
{
	struct ledger_run *list = NULL, *run;
	unsigned int n;

	lockdep_assert_held(&ledger->lock);
	for (n = 0; n < LEDGER_STEPS; n++) {
		if (ledger->nr_nodes <= nodes_needed(ledger))
			break;
		run = ledger->spare;
		ledger->spare = run->next;
		ledger->nr_nodes--;
		run->next = list;
		list = run;
	}
	return list;
}

/*
 * A piece was removed, or was merged with another one, and so were @pages: free
 * the nodes that are not needed.  Drops the lock.
 */
static void piece_out(struct ioasid_ledger *ledger, unsigned long pages)
	__releases(&ledger->lock)
{
	struct ledger_run *list, *run;

	lockdep_assert_held(&ledger->lock);
	ledger->pieces--;
	ledger->pages -= pages;
	while ((list = nodes_take(ledger))) {
		spin_unlock(&ledger->lock);
		while (list) {
			run = list;
			list = run->next;
			kmem_cache_free(run_cache, run);
		}
		cond_resched();
		spin_lock(&ledger->lock);
	}
	spin_unlock(&ledger->lock);
}

/* Allocate the nodes to add @pages pages as one piece */
static int piece_in(struct ioasid_ledger *ledger, unsigned long pages,
		    gfp_t gfp)
{
	struct ledger_run *run;
	int ret = 0;

	spin_lock(&ledger->lock);
	ledger->pieces++;
	ledger->pages += pages;
	while (ledger->nr_nodes < nodes_needed(ledger)) {
		spin_unlock(&ledger->lock);
		cond_resched();
		if (!(gfp & __GFP_NOFAIL) && fatal_signal_pending(current))
			ret = -EINTR;
		run = ret ? NULL : kmem_cache_alloc(run_cache, gfp);
		spin_lock(&ledger->lock);
		if (!run) {
			piece_out(ledger, pages);
			return ret ? ret : -ENOMEM;
		}
		node_put(ledger, run);
		ledger->nr_nodes++;
	}
	spin_unlock(&ledger->lock);
	return 0;
}

/* Add a piece.  Returns the number of its pages that were not there before. */
static unsigned long ledger_add(struct ioasid_ledger *ledger,
				unsigned long first, unsigned long last)
{
	unsigned long pfn, end, fresh = 0;
	unsigned int steps = 0;
	struct ledger_run *run;

	spin_lock(&ledger->lock);
	for (pfn = first; pfn <= last; pfn = end + 1) {
		run = run_first(ledger, pfn);
		if (!run || run->first > pfn) {
			end = run ? min(last, run->first - 1) : last;
			run_insert(ledger, pfn, end, 1);
			fresh += end - pfn + 1;
		} else {
			run_isolate(ledger, run, pfn, last);
			run->count++;
			end = run->last;
		}
		run_join(ledger, pfn);
		ledger_step(ledger, &steps);
	}
	run_join(ledger, last + 1);
	ledger->pages -= last - first + 1 - fresh;
	spin_unlock(&ledger->lock);
	return fresh;
}

/*
 * Remove a piece.  Pages that no piece has now are owed before the lock is
 * dropped: a thread that adds them again, and settles, is not charged twice.
 */
static void ledger_remove(struct ioasid_ledger *ledger, unsigned long first,
			  unsigned long last)
{
	unsigned long pfn, end, gone = 0;
	unsigned int steps = 0;
	struct ledger_run *run;

	spin_lock(&ledger->lock);
	for (pfn = first; pfn <= last; pfn = end + 1) {
		run = run_first(ledger, pfn);
		run_isolate(ledger, run, pfn, last);
		end = run->last;
		if (--run->count) {
			run_join(ledger, pfn);
		} else {
			gone += end - pfn + 1;
			atomic_long_add(end - pfn + 1, &ledger->owed);
			run_erase(ledger, run);
		}
		ledger_step(ledger, &steps);
	}
	run_join(ledger, last + 1);
	piece_out(ledger, gone);
}

/* ---- Ledgers ---- */

/**
 * ioasid_ledger_put() - drop a reference
 * @ledger: the ledger; need not be registered, nor be in the tree
 */
void ioasid_ledger_put(struct ioasid_ledger *ledger)
{
	if (!refcount_dec_and_lock(&ledger->users, &ledgers_lock))
		return;
	/* sparse does not know refcount_dec_and_lock() */
	__acquire(&ledgers_lock);
	if (!RB_EMPTY_NODE(&ledger->rb))
		rb_erase(&ledger->rb, &ledgers);
	spin_unlock(&ledgers_lock);
	ioasid_ended_put(ledger->ended);
	if (ledger->file) {
		ledger->file->private_data = NULL;
		fput(ledger->file);
	}
	if (ledger->notifier.mm)
		mmu_notifier_put(&ledger->notifier);
	else
		kfree(ledger);
}

static void ledger_settle_ended(struct ioasid_ledger *ledger)
{
	long owed = atomic_long_xchg(&ledger->owed, 0);

	if (!owed)
		return;
	atomic_long_sub(owed, &ledger->ended->pages);
	atomic_long_sub(owed, &ledger->ended->user->locked_vm);
}

/* Release the charge of owed pages; mmap_lock is held for writing */
static void ledger_settle(struct ioasid_ledger *ledger)
{
	long owed;

	if (ledger->has_ended) {
		ledger_settle_ended(ledger);
		return;
	}
	owed = atomic_long_xchg(&ledger->owed, 0);
	if (!owed)
		return;
	ledger->charged -= owed;
	__account_locked_vm(ledger->mm, owed, false, current, true);
}

/* The mm has ended: move its charges to its user */
static void ledger_end(struct ioasid_ledger *ledger)
{
	struct ioasid_ended *ended = ledger->ended;

	mmap_write_lock(ledger->mm);
	ledger_settle(ledger);
	__account_locked_vm(ledger->mm, ledger->charged, false, current, true);
	atomic_long_add(ledger->charged, &ended->user->locked_vm);
	/* Charges that move away from here do not count twice: ended_pages() */
	WRITE_ONCE(ledger->ending, true);
	/* Pairs with ended_pages() */
	smp_wmb();
	atomic_long_add(ledger->charged, &ended->pages);
	/* From here on ledger_give_back() needs no lock */
	smp_store_release(&ledger->has_ended, true);
	mmap_write_unlock(ledger->mm);
	/*
	 * Pages that became owed before @has_ended was seen; a full barrier by
	 * itself
	 */
	ledger_settle_ended(ledger);
}

static int ledger_file_release(struct inode *inode, struct file *file)
{
	struct ioasid_ledger *ledger = file->private_data;

	if (ledger) {
		ledger_end(ledger);
		ioasid_ledger_put(ledger);
	}
	return 0;
}

static const struct file_operations ledger_fops = {
	.owner = THIS_MODULE,
	.release = ledger_file_release,
};

/* The mm ends; its task has not closed its files yet */
static void ledger_notifier_release(struct mmu_notifier *notifier,
				    struct mm_struct *mm)
{
	struct ioasid_ledger *ledger =
		container_of(notifier, struct ioasid_ledger, notifier);
	struct file *file;

	/*
	 * Without users it has no charges; then ioasid_ledger_put() has the
	 * file
	 */
	if (!refcount_inc_not_zero(&ledger->users))
		return;
	file = ledger->file;
	ledger->file = NULL;
	fput(file);
}

static void ledger_notifier_free(struct mmu_notifier *notifier)
{
	kfree(container_of(notifier, struct ioasid_ledger, notifier));
}

static const struct mmu_notifier_ops ledger_notifier_ops = {
	.release = ledger_notifier_release,
	.free_notifier = ledger_notifier_free,
};

static int ledger_register_thread(void *data)
{
	struct ioasid_ledger *ledger = data;

	ledger->error = mmu_notifier_register(&ledger->notifier, ledger->mm);
	/*
	 * Put the mm before the completion: when the process that waits has
	 * seen all its tasks exit, the mm must have ended.
	 */
	mmput(ledger->mm);
	complete_all(&ledger->registered);
	ioasid_ledger_put(ledger);
	module_put_and_kthread_exit(0);
}

/*
 * mm_take_all_locks() fails at any signal, fatal or not, and may wait long for
 * other mms.  A map must not fail because of a signal, and must not wait
 * unkillably.  So a kernel thread registers the notifier: it gets no signals,
 * and the map can stop waiting for it.
 */
static int ledger_register(struct ioasid_ledger *ledger)
{
	struct task_struct *task;

	mmget(ledger->mm);
	refcount_inc(&ledger->users);
	__module_get(THIS_MODULE);
	task = kthread_run(ledger_register_thread, ledger, "ioasid-charge");
	if (IS_ERR(task)) {
		module_put(THIS_MODULE);
		ioasid_ledger_put(ledger);
		mmput(ledger->mm);
		return PTR_ERR(task);
	}
	if (wait_for_completion_killable(&ledger->registered))
		return -EINTR;
	return ledger->error;
}

static void ledger_work(struct work_struct *work)
{
	struct ioasid_ledger *ledger = container_of(to_delayed_work(work),
						    struct ioasid_ledger, work);

	if (down_write_trylock(&ledger->mm->mmap_lock)) {
		ledger_settle(ledger);
		mmap_write_unlock(ledger->mm);
		ledger->delay = 1;
		ioasid_ledger_put(ledger);
		return;
	}
	/* Double the delay, up to a second */
	ledger->delay = min_t(unsigned long, 2 * ledger->delay, HZ);
	if (!queue_delayed_work(ioasid_wq, &ledger->work, ledger->delay))
		ioasid_ledger_put(ledger);
}

static int ledger_cmp(const void *mm, const struct rb_node *node)
{
	const struct mm_struct *other =
		rb_entry(node, struct ioasid_ledger, rb)->mm;

	return mm < (void *)other ? -1 : mm > (void *)other;
}

static int ledger_cmp_nodes(struct rb_node *a, const struct rb_node *b)
{
	return ledger_cmp(rb_entry(a, struct ioasid_ledger, rb)->mm, b);
}

/* Ledgers in the tree have users: @users becomes 0 under the lock */
static struct ioasid_ledger *ledger_find(struct mm_struct *mm)
{
	struct ioasid_ledger *ledger = NULL;
	struct rb_node *found;

	spin_lock(&ledgers_lock);
	found = rb_find(mm, &ledgers, ledger_cmp);
	if (found) {
		ledger = rb_entry(found, struct ioasid_ledger, rb);
		refcount_inc(&ledger->users);
	}
	spin_unlock(&ledgers_lock);
	return ledger;
}

/* Make a ledger for the calling process, not in the tree yet */
static struct ioasid_ledger *ledger_alloc(struct ioasid_ended *ended)
{
	struct ioasid_ledger *ledger;
	int ret;

	ledger = kzalloc(sizeof(*ledger), GFP_KERNEL_ACCOUNT);
	if (!ledger)
		return ERR_PTR(-ENOMEM);
	RB_CLEAR_NODE(&ledger->rb);
	ledger->notifier.ops = &ledger_notifier_ops;
	init_completion(&ledger->registered);
	refcount_set(&ledger->users, 1);
	INIT_DELAYED_WORK(&ledger->work, ledger_work);
	ledger->delay = 1;
	spin_lock_init(&ledger->lock);
	ledger->runs = RB_ROOT;
	ledger->mm = current->mm;
	refcount_inc(&ended->users);
	ledger->ended = ended;
	ledger->file = anon_inode_getfile("[ioasid-charge]", &ledger_fops,
					  ledger, O_RDONLY);
	if (IS_ERR(ledger->file)) {
		ledger->file = NULL;
		ret = -ENOMEM;
		goto err_put;
	}
	ret = ledger_register(ledger);
	if (ret)
		goto err_put;
	return ledger;

err_put:
	ioasid_ledger_put(ledger);
	return ERR_PTR(ret);
}

/**
 * ioasid_ledger_get() - get the ledger of the calling process
 * @ended: what its user is charged for mms that ended
 *
 * Context: may sleep; killable.
 * Return: the ledger, with a reference; or an ERR_PTR: -ENOMEM, -EINTR.
 */
struct ioasid_ledger *ioasid_ledger_get(struct ioasid_ended *ended)
{
	struct ioasid_ledger *ledger, *other = NULL;
	struct rb_node *found;

	ledger = ledger_find(current->mm);
	if (ledger)
		return ledger;
	ledger = ledger_alloc(ended);
	if (IS_ERR(ledger))
		return ledger;

	spin_lock(&ledgers_lock);
	found = rb_find_add(&ledger->rb, &ledgers, ledger_cmp_nodes);
	if (found) {
		other = rb_entry(found, struct ioasid_ledger, rb);
		refcount_inc(&other->users);
		RB_CLEAR_NODE(&ledger->rb);
	}
	spin_unlock(&ledgers_lock);
	if (!other)
		return ledger;
	/* Another thread added one first */
	ioasid_ledger_put(ledger);
	return other;
}

/*
 * What a user is charged for mms that ended, except @npages that are about to
 * move away: the mm of @from, which may be NULL, has ended
 */
static unsigned long ended_pages(const struct ioasid_ended *ended,
				 unsigned long npages,
				 const struct ioasid_ledger *from)
{
	unsigned long pages = atomic_long_read(&ended->pages);

	if (!from || from->ended != ended)
		return pages;
	/* Pairs with ledger_end() */
	smp_rmb();
	return READ_ONCE(from->ending) ? pages - min(pages, npages) : pages;
}

/*
 * Charge an mm, within a limit; mmap_lock is held for writing.  @from is the
 * ledger that the charge moves from, or NULL.
 */
static int ledger_charge_locked(struct ioasid_ledger *ledger,
				const struct ioasid_ended *ended,
				unsigned long limit, unsigned long npages,
				const struct ioasid_ledger *from)
{
	unsigned long locked;

	ledger_settle(ledger);
	/*
	 * A map of pages that are charged already exceeds no limit: neither
	 * charges of others, nor a limit that was lowered, must fail it
	 */
	if (!npages)
		return 0;
	locked = ledger->mm->locked_vm + npages + ended_pages(ended, npages, from);
	if (locked > limit && !capable(CAP_IPC_LOCK))
		return -EDQUOT;
	ledger->charged += npages;
	return __account_locked_vm(ledger->mm, npages, true, current, true);
}

/**
 * ioasid_ledger_charge() - charge the mm of the calling process
 * @ledger: its ledger
 * @ended: what its user is charged for mms that ended
 * @limit: its RLIMIT_MEMLOCK, in pages
 * @npages: pages
 * @from: the ledger that the charge moves from, which keeps it for now; or NULL
 *
 * Context: may sleep; takes mmap_lock, killable.
 * Return: 0; -EDQUOT, RLIMIT_MEMLOCK would be exceeded; -ENOMEM; -EINTR.
 */
int ioasid_ledger_charge(struct ioasid_ledger *ledger,
			 const struct ioasid_ended *ended, unsigned long limit,
			 unsigned long npages,
			 const struct ioasid_ledger *from)
{
	struct mm_struct *mm = ledger->mm;
	int ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	ret = ledger_charge_locked(ledger, ended, limit, npages, from);
	mmap_write_unlock(mm);
	return ret;
}

/* Release the charge of owed pages, now or soon */
static void ledger_give_back(struct ioasid_ledger *ledger)
{
	if (!atomic_long_read(&ledger->owed))
		return;
	/*
	 * Add to @owed, then look; pairs with the end of ledger_settle_ended()
	 */
	smp_mb();
	/*
	 * Pairs with ledger_end(): @ended has the pages before they are
	 * subtracted
	 */
	if (smp_load_acquire(&ledger->has_ended)) {
		ledger_settle_ended(ledger);
		return;
	}
	if (down_write_trylock(&ledger->mm->mmap_lock)) {
		ledger_settle(ledger);
		mmap_write_unlock(ledger->mm);
		return;
	}
	refcount_inc(&ledger->users);
	if (!queue_delayed_work(ioasid_wq, &ledger->work, 0))
		ioasid_ledger_put(ledger);
}

/*
 * Remove the first @n of some runs; @fresh of their pages were not charged yet
 */
static void undo_runs(struct ioasid_ledger *ledger, struct ioasid_runs runs,
		      unsigned int n, unsigned long fresh)
{
	struct ioasid_run run;

	while (n-- && ioasid_runs_next(&runs, &run)) {
		ledger_remove(ledger, run.pfn, run.pfn + run.npages - 1);
		cond_resched();
	}
	/* Still owed are pages that other mappings unpinned meanwhile */
	atomic_long_sub(fresh, &ledger->owed);
	ledger_settle(ledger);
}

/**
 * ioasid_ledger_uncharge() - release a charge of ioasid_ledger_charge()
 * @ledger: the ledger
 * @npages: pages
 *
 * Context: may sleep; does not wait for mmap_lock; needs no memory.
 */
void ioasid_ledger_uncharge(struct ioasid_ledger *ledger, unsigned long npages)
{
	atomic_long_add(npages, &ledger->owed);
	ledger_give_back(ledger);
}

/**
 * ioasid_ledger_charge_runs() - charge pages that are not charged yet
 * @ledger: the ledger of the calling process
 * @ended: what its user is charged for mms that ended
 * @limit: its RLIMIT_MEMLOCK, in pages
 * @runs: the pages, pinned
 * @goes_on: as for ioasid_charge_runs()
 * @from: as for ioasid_ledger_charge()
 *
 * Context: may sleep, takes mmap_lock.
 * Return: as ioasid_charge_runs().
 */
int ioasid_ledger_charge_runs(struct ioasid_ledger *ledger,
			      const struct ioasid_ended *ended,
			      unsigned long limit, struct ioasid_runs runs,
			      bool goes_on, const struct ioasid_ledger *from)
{
	struct ioasid_runs walk = runs;
	unsigned long fresh = 0;
	unsigned int n = 0;
	struct ioasid_run run;
	int ret = 0;

	if (mmap_write_lock_killable(ledger->mm))
		return -EINTR;
	for (; ioasid_runs_next(&walk, &run); n++) {
		ret = piece_in(ledger, run.npages, GFP_KERNEL);
		if (ret)
			break;
		fresh += ledger_add(ledger, run.pfn, run.pfn + run.npages - 1);
	}
	if (!ret)
		ret = ledger_charge_locked(ledger, ended, limit, fresh, from);
	if (ret) {
		undo_runs(ledger, runs, n, fresh);
	} else if (goes_on) {
		spin_lock(&ledger->lock);
		piece_out(ledger, 0);
	}
	mmap_write_unlock(ledger->mm);
	return ret;
}

/**
 * ioasid_ledger_uncharge_runs() - release a charge of
 *	ioasid_ledger_charge_runs()
 * @ledger: the ledger
 * @runs: the pages
 *
 * Context: may sleep; does not wait for mmap_lock; needs no memory.
 */
void ioasid_ledger_uncharge_runs(struct ioasid_ledger *ledger,
				 struct ioasid_runs runs)
{
	struct ioasid_run run;

	while (ioasid_runs_next(&runs, &run)) {
		ledger_remove(ledger, run.pfn, run.pfn + run.npages - 1);
		cond_resched();
	}
	ledger_give_back(ledger);
}

/**
 * ioasid_ledger_cut() - prepare for a cut of a charged run in two
 * @ledger: the ledger
 *
 * Context: may sleep; cannot fail.
 */
void ioasid_ledger_cut(struct ioasid_ledger *ledger)
{
	piece_in(ledger, 0, GFP_KERNEL | __GFP_NOFAIL);
}

/**
 * ioasid_ledger_has_ended() - tell whether the charges are with the user
 * @ledger: the ledger
 *
 * Return: true if its mm has ended.
 */
bool ioasid_ledger_has_ended(const struct ioasid_ledger *ledger)
{
	return READ_ONCE(ledger->ending);
}

/**
 * ioasid_ledger_pages() - tell how many pages are charged once
 * @ledger: the ledger
 *
 * Return: pages; other threads may change the number.
 */
unsigned long ioasid_ledger_pages(const struct ioasid_ledger *ledger)
{
	return READ_ONCE(ledger->pages);
}

int __init ioasid_ledger_init(void)
{
	ioasid_wq = alloc_workqueue("ioasid", WQ_UNBOUND, 0);
	if (!ioasid_wq)
		return -ENOMEM;
	run_cache = kmem_cache_create("ioasid_charge",
				      sizeof(struct ledger_run), 0,
				      SLAB_ACCOUNT, NULL);
	if (!run_cache) {
		destroy_workqueue(ioasid_wq);
		return -ENOMEM;
	}
	return 0;
}

void ioasid_ledger_exit(void)
{
	destroy_workqueue(ioasid_wq);
	/* Ledgers are freed by SRCU callbacks of this module */
	mmu_notifier_synchronize();
	kmem_cache_destroy(run_cache);
}
