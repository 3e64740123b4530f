// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pages that an mm was charged, and goes on to be charged when it has ended.
 *
 * Invariants:
 *  - Pinned memory is always charged.  When an mm ends, by exit or exec, what it
 *    is charged and is still pinned goes over to its user: to locked_vm of
 *    struct user_struct, and to struct ioasid_ended, which maps that charge an
 *    mm add to the locked_vm of that mm.  It leaves the mm at the same time.
 *  - With IOASID_CHARGE_ONCE a page is charged to an mm while at least one
 *    mapping that the mm made has it pinned.  What counts is the page, never
 *    the address that it was mapped from: other memory may be there by now.
 *  - Giving back needs no memory, and does not wait for mmap_lock, which a page
 *    fault that hangs in another thread may hold.
 *
 * The ledger of an mm holds the runs of pages that it was charged once, with
 * how many mappings have them pinned.  Runs do not overlap, and runs that touch
 * differ in their count where no mapping's piece begins or ends.  (A piece is a
 * run of pages as it stands in the extents of one mapping.)  So with n pieces
 * there are at most 2n places where a run can begin or end, and one for each
 * piece that is half-way in or out: 3n nodes suffice, and as many as there are
 * pages do too.  The ledger has them before a piece goes in, and keeps them
 * until it is out: a run can always be split.
 *
 * An mmu notifier tells that an mm ends.  The process still has its files then,
 * and closing them may unpin all that it mapped: other processes of its user,
 * which stay below their limits, must not be refused because of that.  So the
 * ledger has a file, which no process has open.  The notifier puts the last
 * reference to it, and the file is released when the task has closed its files:
 * at the end of exit(), before the parent's wait() returns, or of exec().
 *
 * Locks: mmap_lock of the mm lets one charge run at a time, so that no page
 * counts as charged before its charge has passed the limit; then
 * ioasid_ledger.lock.  This, ledgers_lock and ended_lock are leaves.  A spinlock
 * is held for at most LEDGER_STEPS steps of a loop, each of them logarithmic.
 *
 * Waits:
 *  - A charge waits for mmap_lock of its mm, and the first one of an mm for the
 *    notifier to be registered: killable.
 *  - The thread that registers waits for mmap_lock of the same mm and for other
 *    mms that register.  It keeps nothing waiting but these first charges.
 *  - Work that gives back tries mmap_lock and comes again.
 *  - The end of an mm waits for its mmap_lock.  No page fault can hold it then.
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
 * struct ledger_run - pages of which each is pinned by as many mappings
 * @rb: in ioasid_ledger.runs
 * @next: in ioasid_ledger.spare
 * @first: page frame number of the first page
 * @last: of the last page
 * @count: how many mappings have them pinned
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
 * struct ioasid_ledger - what an mm was charged
 * @rb: in ledgers
 * @notifier: tells that @mm ends
 * @registered: @notifier is registered, or could not be
 * @error: why it could not
 * @users: payers, @work while it is queued, the thread that registers, and
 *	@file from the end of @mm on
 * @mm: the mm; mm_count is held by @notifier
 * @ended: the user that @mm is charged to when it ends: the first that was
 *	charged with it
 * @file: released when @mm has ended and its task has closed its files
 * @has_ended: @charged went over to @ended
 * @charged: pages that @mm is charged, those owed included; mmap_lock
 * @owed: pages to give back that could not be given at once
 * @work: gives them
 * @delay: jiffies until @work tries again
 * @lock: protects all that follows
 * @runs: what was charged once
 * @spare: nodes that are not in @runs
 * @nr_nodes: how many nodes there are, in @runs and in @spare
 * @pages: pages in @runs; more while a piece goes in or out
 * @pieces: pieces in @runs, and on their way in or out
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
	bool has_ended;
	unsigned long charged;
	atomic_long_t owed;
	struct delayed_work work;
	unsigned long delay;

	spinlock_t lock;		/* what was charged once */
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

/* Steps of a loop with a lock held; user space chooses how many there are */
#define LEDGER_STEPS	8

/* ---- Runs of a ledger ---- */

#define to_run(node)	rb_entry_safe(node, struct ledger_run, rb)

/* The first run that ends at or after a page */
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

/* Cut what is not in [first, last] off a run */
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

/* Make one run of the two on either side of the front of @pfn, if they fit */
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

/* How many nodes there must be: see the head of this file */
static unsigned long nodes_needed(const struct ioasid_ledger *ledger)
{
	return min(3 * ledger->pieces, ledger->pages);
}

/* Between two steps of a loop that can do with whatever others do meanwhile */
static void ledger_step(struct ioasid_ledger *ledger, unsigned int *steps)
{
	lockdep_assert_held(&ledger->lock);
	if (++*steps % LEDGER_STEPS)
		return;
	spin_unlock(&ledger->lock);
	cond_resched();
	spin_lock(&ledger->lock);
}

/* Some of the nodes that are not needed any more, as a list */
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
 * A piece is out, or has become one with another, and @pages with it: free what
 * is not needed any more.  Drops the lock.
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

/* Before @pages pages go in as one piece */
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

/* Count a piece in.  Returns how many of its pages were not there before. */
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
 * Count a piece out.  Its pages that are not there any more are owed as soon as
 * somebody could see that: who adds them again, and settles, is not charged
 * for both.
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
 * @ledger: the ledger; may be one that was never registered, or in no tree
 */
void ioasid_ledger_put(struct ioasid_ledger *ledger)
{
	if (!refcount_dec_and_lock(&ledger->users, &ledgers_lock))
		return;
	/* Which sparse does not know */
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

/* Called with mmap_lock held for writing */
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

/* The mm has ended: from now on its user is charged */
static void ledger_end(struct ioasid_ledger *ledger)
{
	struct ioasid_ended *ended = ledger->ended;

	mmap_write_lock(ledger->mm);
	ledger_settle(ledger);
	__account_locked_vm(ledger->mm, ledger->charged, false, current, true);
	atomic_long_add(ledger->charged, &ended->user->locked_vm);
	atomic_long_add(ledger->charged, &ended->pages);
	/* From here on ledger_give_back() needs no lock */
	smp_store_release(&ledger->has_ended, true);
	mmap_write_unlock(ledger->mm);
	/* What became owed before that was seen; a full barrier by itself */
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

	/* Without users it is charged nothing; then ioasid_ledger_put() has the file */
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
	 * Before the process that waits goes on: it is to find the mm ended when
	 * it has seen all its tasks exit.
	 */
	mmput(ledger->mm);
	complete_all(&ledger->registered);
	ioasid_ledger_put(ledger);
	module_put_and_kthread_exit(0);
}

/*
 * mm_take_all_locks() gives up at the first signal, fatal or not, and may wait
 * long for other mms.  A map neither fails because of a signal nor waits
 * unkillably: so a thread registers, which gets no signals, and may be left.
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
	/* Twice as long each time, up to a second */
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

/* Those in the tree have users: @users becomes 0 under the lock */
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

/* A ledger of the calling process that is not in the tree */
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
 * ioasid_ledger_get() - the ledger of the calling process
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
	/* Another thread was faster */
	ioasid_ledger_put(ledger);
	return other;
}

/* Called with mmap_lock held for writing */
static int ledger_charge_locked(struct ioasid_ledger *ledger,
				const struct ioasid_ended *ended,
				unsigned long npages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long locked;

	ledger_settle(ledger);
	locked = ledger->mm->locked_vm + npages;
	/* To map again what is charged once is not made harder by others */
	if (npages)
		locked += atomic_long_read(&ended->pages);
	if (locked > limit && !capable(CAP_IPC_LOCK))
		return -EDQUOT;
	ledger->charged += npages;
	return __account_locked_vm(ledger->mm, npages, true, current, true);
}

/**
 * ioasid_ledger_charge() - charge the mm of the calling process
 * @ledger: its ledger
 * @ended: what its user is charged for mms that ended
 * @npages: pages
 *
 * Context: may sleep; takes mmap_lock, killable.
 * Return: 0; -EDQUOT, RLIMIT_MEMLOCK would be exceeded; -ENOMEM; -EINTR.
 */
int ioasid_ledger_charge(struct ioasid_ledger *ledger,
			 const struct ioasid_ended *ended, unsigned long npages)
{
	struct mm_struct *mm = ledger->mm;
	int ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	ret = ledger_charge_locked(ledger, ended, npages);
	mmap_write_unlock(mm);
	return ret;
}

/* Settle, now or soon */
static void ledger_give_back(struct ioasid_ledger *ledger)
{
	if (!atomic_long_read(&ledger->owed))
		return;
	/* Owed first, then looked; pairs with ledger_settle_ended() at the end */
	smp_mb();
	/* Pairs with ledger_end(): what it adds is there to be subtracted from */
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

/* Take back the first @n of some runs, of which @fresh pages were not charged */
static void undo_runs(struct ioasid_ledger *ledger, struct ioasid_runs runs,
		      unsigned int n, unsigned long fresh)
{
	struct ioasid_run run;

	while (n-- && ioasid_runs_next(&runs, &run)) {
		ledger_remove(ledger, run.pfn, run.pfn + run.npages - 1);
		cond_resched();
	}
	/* What is owed beyond these others let go meanwhile */
	atomic_long_sub(fresh, &ledger->owed);
	ledger_settle(ledger);
}

/**
 * ioasid_ledger_uncharge() - give back what ioasid_ledger_charge() charged
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
 * @ledger: of the calling process
 * @ended: what its user is charged for mms that ended
 * @runs: the pages, pinned
 * @goes_on: as for ioasid_charge_runs()
 *
 * Context: may sleep, takes mmap_lock.
 * Return: as ioasid_charge_runs().
 */
int ioasid_ledger_charge_runs(struct ioasid_ledger *ledger,
			      const struct ioasid_ended *ended,
			      struct ioasid_runs runs, bool goes_on)
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
		ret = ledger_charge_locked(ledger, ended, fresh);
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
 * ioasid_ledger_uncharge_runs() - give back what ioasid_ledger_charge_runs()
 *	charged
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
 * ioasid_ledger_cut() - a run that was charged will be two
 * @ledger: the ledger
 *
 * Context: may sleep; cannot fail.
 */
void ioasid_ledger_cut(struct ioasid_ledger *ledger)
{
	piece_in(ledger, 0, GFP_KERNEL | __GFP_NOFAIL);
}

/**
 * ioasid_ledger_pages() - how many pages were charged once
 * @ledger: the ledger
 *
 * Return: pages, as of some moment.
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
	/* Ledgers are freed by our code */
	mmu_notifier_synchronize();
	kmem_cache_destroy(run_cache);
}
