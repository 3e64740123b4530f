// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory on demand: what a root maps is recorded, and pinned when a child refers
 * to it, or a device requests it.
 *
 * Invariants:
 *  - A recorded mapping is LIVE, with IOAS_BACKING_DEMAND and no memory.  Once a
 *    child needs a part of it, that part becomes a mapping of its own, with pinned
 *    memory.  Both have the origin, so that the part can become a record again.
 *  - Windows are ranges of the same size, aligned to it.  A part that is pinned
 *    lies in one window.  A reference uses all windows that it lies in, from
 *    before it finds its memory until it is dropped, and so does a thread that pins
 *    for a reference.
 *  - The parts in a window that is not used are unpinned by a worker, IDLE_TIME
 *    after there were too many: an unmap does not wait for that.  Some windows are
 *    kept, up to IDLE_BYTES: those that were used last.  A thread that pins a window
 *    beyond that unpins another one, so that what is pinned cannot grow while the
 *    worker has no CPU.
 *  - Records that touch become one when what is between them is unpinned, but not
 *    across an edge of an unmap, which removes what it has found between its edges.
 *  - What is pinned is in the domains of the root, as any memory is: see
 *    demand_pin.c.  While there is a domain no window is unpinned, used or not: what
 *    a device has requested stays until it is unmapped, or the last device is
 *    detached.  The worker unpins then what is idle.  A window with nothing pinned is
 *    freed meanwhile as soon as it is not used, unless many mappings lie in it.
 *  - No software device uses the root itself.
 *  - A pin may hang in a page fault.  No state tells of it, so that no other thread
 *    waits for it: two threads may pin the same part, and one of them unpins again.
 *
 * Locks: the lock of the root protects the windows, and the number of users of an
 * origin need not be protected.  Memory is pinned and unpinned without it.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "../mem/memfile.h"
#include "../mem/memory.h"
#include "demand.h"
#include "ioas.h"
#include "mapping.h"
#include "tree.h"

/* log2 of the size of windows, unless the root has a cut size */
#define WINDOW_SHIFT	21

/* Memory that stays pinned in windows that are not used, and for how long more does */
#define IDLE_BYTES	SZ_4M
#define IDLE_TIME	(HZ / 10)

/* Mappings that are visited to find out whether a window has something pinned */
#define LOOK_BATCH	8

/* Parts that are unpinned at a time */
#define UNPIN_BATCH	8

/**
 * struct ioas_window - a range of IOVAs whose memory is pinned and unpinned together
 * @idle: in ioas_demand.idle, while @users is 0 and no thread unpins it
 * @index: its first byte, in units of the size of windows; its index in
 *	ioas_demand.windows
 * @users: number of references in it, and of threads that pin in it
 */
struct ioas_window {
	struct list_head idle;
	unsigned long index;
	unsigned long users;
};

static void trim(struct work_struct *work);

/* ---- Life ---- */

/**
 * ioas_demand_init() - let an address space pin its memory on demand
 * @ioas: a root, new, with its cut size
 *
 * Return: 0; -ENOMEM.
 */
int ioas_demand_init(struct ioas *ioas)
{
	struct ioas_demand *demand;

	demand = kzalloc(sizeof(*demand), GFP_KERNEL_ACCOUNT);
	if (!demand)
		return -ENOMEM;
	xa_init(&demand->windows);
	INIT_LIST_HEAD(&demand->idle);
	demand->shift = ioas->cut_shift ?: WINDOW_SHIFT;
	demand->max_idle = IDLE_BYTES >> demand->shift;
	INIT_DELAYED_WORK(&demand->trim, trim);
	demand->ioas = ioas;
	ioas->demand = demand;
	return 0;
}

/**
 * ioas_demand_stop() - see that no worker uses the address space any more
 * @ioas: the root; no other thread uses it
 *
 * Context: may sleep, for as long as unpinning a window takes.
 */
void ioas_demand_stop(struct ioas *ioas)
{
	cancel_delayed_work_sync(&ioas->demand->trim);
}

/**
 * ioas_demand_exit() - undo ioas_demand_init()
 * @ioas: the root, with no mapping, after ioas_demand_stop()
 *
 * Context: may sleep; yields.
 */
void ioas_demand_exit(struct ioas *ioas)
{
	struct ioas_demand *demand = ioas->demand;
	struct ioas_window *window;
	unsigned long index;

	xa_for_each(&demand->windows, index, window) {
		kfree(window);
		cond_resched();
	}
	xa_destroy(&demand->windows);
	kfree(demand);
	ioas->demand = NULL;
}

/* ---- Origins ---- */

/**
 * ioas_mapper_get() - keep the structures of a process that has mapped memory
 * @mapper: the process
 *
 * Context: any but interrupts.
 */
void ioas_mapper_get(struct ioas_mapper *mapper)
{
	mmgrab(mapper->mm);
	get_cred(mapper->cred);
	get_task_struct(mapper->task);
}

/**
 * ioas_mapper_put() - undo ioas_mapper_get()
 * @mapper: the process
 *
 * Context: any but interrupts.
 */
void ioas_mapper_put(const struct ioas_mapper *mapper)
{
	mmdrop(mapper->mm);
	put_cred(mapper->cred);
	put_task_struct(mapper->task);
}

static void mapper_init(struct ioas_mapper *mapper)
{
	mapper->mm = current->mm;
	mapper->cred = current_cred();
	WRITE_ONCE(mapper->task, current->group_leader);
	ioas_mapper_get(mapper);
}

/**
 * ioas_origin_take() - let the calling process be charged for what devices request
 * @origin: the origin, which it knows; the lock of the address space is held
 *
 * Does not sleep.
 */
void ioas_origin_take(struct ioas_origin *origin)
{
	ioas_mapper_put(&origin->mapper);
	mapper_init(&origin->mapper);
}

/**
 * ioas_origin_put() - drop a mapping's reference to its origin
 * @origin: the origin
 *
 * Context: any but interrupts.
 */
void ioas_origin_put(struct ioas_origin *origin)
{
	if (!refcount_dec_and_test(&origin->users))
		return;
	if (origin->file)
		fput(origin->file);
	ioas_mapper_put(&origin->mapper);
	kfree(origin);
}

/**
 * ioas_origin_known() - test whether the calling process may know the address
 * @origin: the origin
 *
 * Return: true if it is an offset in a file, or an address of this process.
 */
bool ioas_origin_known(const struct ioas_origin *origin)
{
	return origin->file || origin->mapper.mm == current->mm;
}

/**
 * ioas_demand_record() - record the memory of a mapping, to be pinned on demand
 * @m: from ioas_reserve(), of a root that was prepared by ioas_demand_init()
 * @req: the map request; @fault_addr is set as by ioasid_check_file()
 *
 * Nothing is known of the memory behind an address of the process.
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0; -ENOMEM; or an errno of ioasid_check_file().
 */
int ioas_demand_record(struct ioas_mapping *m, struct ioas_map_request *req)
{
	struct file *file = req->file;
	struct ioas_origin *origin;
	int ret;

	if (file) {
		ret = ioasid_check_file(file, req->addr, req->length >> PAGE_SHIFT,
					req->flags & IOASID_MAP_WRITE,
					&req->fault_addr);
		if (ret)
			return ret;
	}
	origin = kzalloc(sizeof(*origin), GFP_KERNEL_ACCOUNT);
	if (!origin)
		return -ENOMEM;
	refcount_set(&origin->users, 1);
	if (file) {
		origin->file = get_file(file);
		m->ino = file_inode(file)->i_ino;
		m->dev = new_encode_dev(file_inode(file)->i_sb->s_dev);
	}
	mapper_init(&origin->mapper);
	m->origin = origin;
	m->apart = true;
	m->backing = IOAS_BACKING_DEMAND;
	return 0;
}

/* ---- Unpin ---- */

/**
 * struct pinned - memory that no mapping has any more
 * @mem: the memory
 * @payer: its payer
 */
struct pinned {
	struct ioasid_memory mem;
	struct ioasid_payer *payer;
};

/* Test whether one record can take the place of two */
static bool are_one(const struct ioas_mapping *m, const struct ioas_mapping *next)
{
	return m && next && m->last + 1 == next->start && !next->apart &&
	       m->backing == IOAS_BACKING_DEMAND &&
	       next->backing == IOAS_BACKING_DEMAND &&
	       m->state == IOAS_MAPPING_LIVE && next->state == IOAS_MAPPING_LIVE &&
	       m->origin == next->origin && m->flags == next->flags &&
	       m->cut_shift == next->cut_shift &&
	       m->addr + ioas_mapping_bytes(m) == next->addr;
}

/* Merge a record with the next one, if they are one */
static void merge_with_next(struct ioas *ioas, struct ioas_mapping *m)
{
	struct ioas_mapping *next;

	if (!m)
		return;
	next = ioas_mapping_next(m);
	if (!are_one(m, next))
		return;
	ioas_mapping_absorb(ioas, m, next);
	ioas->nr_mappings--;
	/* Not the last one */
	ioas_origin_put(next->origin);
	ioas_mapping_free(next);
}

/* Make a record of a part, whose memory no table has, and the caller */
static void make_record(struct ioas *ioas, struct ioas_mapping *m)
{
	m->mem.npages = 0;
	m->mem.is_shared = false;
	m->backing = IOAS_BACKING_DEMAND;
	ioas->bytes_mapped -= ioas_mapping_bytes(m);
	ioas_demand_count(ioas, m, true);
}

static void merge_with_both(struct ioas *ioas, struct ioas_mapping *m)
{
	merge_with_next(ioas, m);
	merge_with_next(ioas, to_mapping(rb_prev(&m->rb)));
}

/**
 * ioas_demand_undo() - make a record again of a part that was being written
 * @ioas: the root; its lock is held
 * @m: the part, CHANGING; the caller has its memory.  May be freed
 */
void ioas_demand_undo(struct ioas *ioas, struct ioas_mapping *m)
{
	lockdep_assert_held(&ioas->lock);
	make_record(ioas, m);
	ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
	merge_with_both(ioas, m);
	ioas_wake(ioas);
}

/*
 * Make records of some of the parts from *@cursor to @last, and move the cursor
 * behind them.  Returns the number of parts whose memory is in @pinned now; clears
 * @more if there are no others.
 */
static unsigned int make_records(struct ioas *ioas, u64 *cursor, u64 last,
				 struct pinned *pinned, bool *more)
{
	struct ioas_mapping *m, *next;
	unsigned int n = 0, visited;

	m = ioas_mapping_first(ioas, *cursor);
	for (visited = 0; visited < IOAS_DEMAND_BATCH && n < UNPIN_BATCH; visited++) {
		if (!m || m->start > last || *cursor > last) {
			*more = false;
			break;
		}
		next = ioas_mapping_next(m);
		*more = m->last < last;
		*cursor = m->last + 1;
		if (m->state == IOAS_MAPPING_LIVE &&
		    m->backing == IOAS_BACKING_PINNED) {
			pinned[n].mem = m->mem;
			pinned[n].payer = m->payer;
			n++;
			make_record(ioas, m);
			if (are_one(m, next))
				next = ioas_mapping_next(next);
			merge_with_both(ioas, m);
		}
		if (!*more)
			break;
		m = next;
	}
	return n;
}

static void forget_window(struct ioas_demand *demand, struct ioas_window *window)
{
	if (demand->recent == window)
		demand->recent = NULL;
	xa_erase(&demand->windows, window->index);
	kfree(window);
}

/* True if something may be pinned in a window; bounds what is left by that of mappings */
static bool may_have_pinned(struct ioas *ioas, const struct ioas_window *window)
{
	u64 last = ioas_demand_last(ioas, window->index);
	struct ioas_mapping *m;
	unsigned int n = 0;

	m = ioas_mapping_first(ioas, ioas_demand_start(ioas, window->index));
	for (; m && m->start <= last; m = ioas_mapping_next(m))
		if (m->backing == IOAS_BACKING_PINNED || ++n == LOOK_BATCH)
			return true;
	return false;
}

/* Under a domain the worker does not free what is idle: returns true if it is freed */
static bool forget_empty(struct ioas *ioas, struct ioas_window *window)
{
	if (!ioas->demand->domains || may_have_pinned(ioas, window))
		return false;
	forget_window(ioas->demand, window);
	return true;
}

static void make_idle(struct ioas *ioas, struct ioas_window *window)
{
	struct ioas_demand *demand = ioas->demand;

	if (forget_empty(ioas, window))
		return;
	list_add_tail(&window->idle, &demand->idle);
	if (demand->nr_idle++ == demand->max_idle)
		queue_delayed_work(system_unbound_wq, &demand->trim, IDLE_TIME);
}

/* Test whether a window is gone, is used again, or another thread has made it idle */
static bool is_taken(struct ioas_demand *demand, unsigned long index,
		     const struct ioas_window *window)
{
	return xa_load(&demand->windows, index) != window || window->users ||
	       !list_empty(&window->idle);
}

/*
 * Unpin what is in an idle window, and free the window unless it is used meanwhile, or
 * the root gets a domain.  The lock is dropped in between.
 */
static void unpin_window(struct ioas *ioas, struct ioas_window *window)
	__must_hold(&ioas->lock)
{
	struct ioas_demand *demand = ioas->demand;
	unsigned long index = window->index;
	struct pinned pinned[UNPIN_BATCH];
	u64 cursor = ioas_demand_start(ioas, index);
	u64 last = ioas_demand_last(ioas, index);
	unsigned int i, n;
	bool more = true;

	list_del_init(&window->idle);
	demand->nr_idle--;
	do {
		n = make_records(ioas, &cursor, last, pinned, &more);
		if (!more)
			forget_window(demand, window);
		spin_unlock(&ioas->lock);
		for (i = 0; i < n; i++)
			ioasid_memory_put(&pinned[i].mem, ioas->account,
					  pinned[i].payer);
		cond_resched();
		spin_lock(&ioas->lock);
		/* If it was used since, it is idle again, or will be */
		if (!more || is_taken(demand, index, window))
			return;
	} while (!demand->domains);
	make_idle(ioas, window);
}

/*
 * Unpin what is idle in the window that was used first, if more than @max windows are
 * idle, and the memory is in no domain.  Returns false if not.
 */
static bool unpin_oldest(struct ioas *ioas, unsigned long max)
	__must_hold(&ioas->lock)
{
	struct ioas_demand *demand = ioas->demand;

	if (demand->nr_idle <= max || demand->domains)
		return false;
	unpin_window(ioas, list_first_entry(&demand->idle, struct ioas_window,
					    idle));
	return true;
}

static void trim(struct work_struct *work)
{
	struct ioas_demand *demand = container_of(to_delayed_work(work),
						  struct ioas_demand, trim);
	struct ioas *ioas = demand->ioas;

	spin_lock(&ioas->lock);
	while (unpin_oldest(ioas, demand->max_idle))
		;
	spin_unlock(&ioas->lock);
}

/**
 * ioas_demand_quit() - a domain of the root was freed
 * @ioas: the root; ioas_demand_join() was called for the domain
 *
 * Context: does not sleep.
 */
void ioas_demand_quit(struct ioas *ioas)
{
	struct ioas_demand *demand = ioas->demand;

	spin_lock(&ioas->lock);
	if (!--demand->domains && demand->nr_idle > demand->max_idle)
		queue_delayed_work(system_unbound_wq, &demand->trim, IDLE_TIME);
	spin_unlock(&ioas->lock);
}

/* ---- Windows ---- */

static struct ioas_window *find_window(struct ioas_demand *demand,
				       unsigned long index)
{
	struct ioas_window *window = demand->recent;

	if (likely(window && window->index == index))
		return window;
	window = xa_load(&demand->windows, index);
	if (window)
		demand->recent = window;
	return window;
}

static void take_from_idle(struct ioas_demand *demand, struct ioas_window *window)
{
	list_del_init(&window->idle);
	demand->nr_idle--;
}

static void use_window(struct ioas_demand *demand, struct ioas_window *window)
{
	if (!window->users++ && !list_empty(&window->idle))
		take_from_idle(demand, window);
}

static void leave_window(struct ioas *ioas, struct ioas_window *window)
{
	if (!--window->users)
		make_idle(ioas, window);
}

/**
 * ioas_demand_leave() - undo ioas_demand_get() or ioas_demand_pin()
 * @ioas: the root; its lock is held, and may be dropped in between
 * @start: first byte
 * @last: last byte
 */
void ioas_demand_leave(struct ioas *ioas, u64 start, u64 last)
	__must_hold(&ioas->lock)
{
	unsigned long index = ioas_demand_window(ioas, start);
	unsigned long end = ioas_demand_window(ioas, last);
	unsigned int n = 0;

	for (;;) {
		leave_window(ioas, find_window(ioas->demand, index));
		if (likely(index++ == end))
			break;
		if (++n % IOAS_DEMAND_BATCH == 0)
			ioas_relax(ioas);
	}
	/* Many references may be left in a row */
	if (unlikely(n))
		ioas_relax(ioas);
}

/**
 * ioas_demand_released() - note that a mapping is gone for good
 * @ioas: the root
 * @m: the mapping, a record or pinned, in no tree; drops its reference to its origin
 *
 * Context: any but interrupts.
 */
void ioas_demand_released(struct ioas *ioas, const struct ioas_mapping *m)
{
	struct ioas_demand *demand = ioas->demand;
	struct ioas_window *window = NULL;

	ioas_origin_put(m->origin);
	spin_lock(&ioas->lock);
	/* Look at it only if that may matter: ioas_exit() has no tree any longer */
	if (demand->domains)
		window = find_window(demand, ioas_demand_window(ioas, m->start));
	if (window && !list_empty(&window->idle) && !may_have_pinned(ioas, window)) {
		take_from_idle(demand, window);
		forget_window(demand, window);
	}
	spin_unlock(&ioas->lock);
}

/**
 * ioas_demand_keep_apart() - keep what touches an edge of a range in two mappings
 * @ioas: the root; its lock is held
 * @at: an edge at which no mapping is to be cut, where one may begin
 *
 * An unmap has cut at the edge, or found that it need not.
 */
void ioas_demand_keep_apart(struct ioas *ioas, u64 at)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, at);

	if (m && m->start == at)
		m->apart = true;
}

/**
 * ioas_demand_spare() - unpin all memory that no child refers to
 * @ioas: the root; if it has a domain, nothing is unpinned
 *
 * Context: may sleep; with no lock held.
 */
void ioas_demand_spare(struct ioas *ioas)
{
	/* What the worker has in its hands counts, too */
	flush_delayed_work(&ioas->demand->trim);
	spin_lock(&ioas->lock);
	while (unpin_oldest(ioas, 0))
		;
	spin_unlock(&ioas->lock);
}

/**
 * ioas_demand_get() - use the windows of a reference
 * @ioas: the root; its lock is held, and may be dropped in between
 * @start: first byte of the reference
 * @last: last byte
 *
 * Return: 0, ioas_demand_leave() follows; -EAGAIN, one of them is not there: see
 * ioas_demand_pin().
 */
int ioas_demand_get(struct ioas *ioas, u64 start, u64 last)
	__must_hold(&ioas->lock)
{
	unsigned long index = ioas_demand_window(ioas, start);
	unsigned long end = ioas_demand_window(ioas, last);
	struct ioas_window *window;
	unsigned int n = 0;

	for (;;) {
		window = find_window(ioas->demand, index);
		if (unlikely(!window))
			break;
		use_window(ioas->demand, window);
		if (likely(index == end))
			return 0;
		index++;
		if (++n % IOAS_DEMAND_BATCH == 0)
			ioas_relax(ioas);
	}
	if (index != ioas_demand_window(ioas, start))
		ioas_demand_leave(ioas, start, ioas_demand_start(ioas, index) - 1);
	return -EAGAIN;
}

/**
 * ioas_demand_put() - undo ioas_demand_get() or ioas_demand_pin()
 * @ioas: the root
 * @start: first byte
 * @last: last byte
 *
 * Context: may sleep; waits for nothing.
 */
void ioas_demand_put(struct ioas *ioas, u64 start, u64 last)
{
	spin_lock(&ioas->lock);
	ioas_demand_leave(ioas, start, last);
	spin_unlock(&ioas->lock);
}

/**
 * ioas_demand_split() - count a reference that becomes two
 * @ioas: the root; its lock is held
 * @at: where the second one begins
 */
void ioas_demand_split(struct ioas *ioas, u64 at)
{
	unsigned long index = ioas_demand_window(ioas, at);

	lockdep_assert_held(&ioas->lock);
	if (at != ioas_demand_start(ioas, index))
		use_window(ioas->demand, find_window(ioas->demand, index));
}

/**
 * ioas_demand_use() - use a window, which is made if there is none
 * @ioas: the root
 * @index: the window
 *
 * Context: may sleep; with no lock held.
 * Return: 0, ioas_demand_put() follows; -ENOMEM.
 */
int ioas_demand_use(struct ioas *ioas, unsigned long index)
{
	struct ioas_window *window, *old;

	for (;;) {
		spin_lock(&ioas->lock);
		window = find_window(ioas->demand, index);
		if (window)
			use_window(ioas->demand, window);
		spin_unlock(&ioas->lock);
		if (window)
			return 0;
		window = kmalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
		if (!window)
			return -ENOMEM;
		INIT_LIST_HEAD(&window->idle);
		window->index = index;
		window->users = 1;
		old = xa_cmpxchg(&ioas->demand->windows, index, NULL, window,
				 GFP_KERNEL_ACCOUNT);
		if (!old)
			break;
		kfree(window);
		if (xa_is_err(old))
			return xa_err(old);
	}

	/* The worker may be late */
	spin_lock(&ioas->lock);
	unpin_oldest(ioas, ioas->demand->max_idle);
	spin_unlock(&ioas->lock);
	return 0;
}
