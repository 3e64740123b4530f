// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mirrors of processes: an address space whose domains have what the page tables of
 * a process have, page by page, as devices request it.
 *
 * Longer than 700 lines: a page request makes a window, looks its pages up, brings one
 * in and writes them, and a notifier may come between any two of these.
 *
 * Invariants:
 *  - An IOPTE is there only while the page table of the process has the same page, with
 *    at least the same permission.  The notifier of the window takes it out, and out of
 *    the IOTLBs, before the process loses the page.
 *  - A page that devices may have written is marked dirty before the process loses it,
 *    or the domain its IOPTE.
 *  - Nothing is pinned, and nothing is charged but what the mirror itself needs.
 *  - Each IOMMU has a domain of its own.  So a driver's attach changes nothing in a
 *    table that is in use, and no invalidation waits for an attach.
 *  - A page that a poisoned domain may still reach has a reference, until the domain
 *    is freed.
 *  - A window is found only in ioas_process.windows.  It is idle when it maps nothing
 *    and no worker uses it: of those, a few are kept, and a work frees the others.
 *  - The mm of the process may end at any time; what is left of it is grabbed.
 *
 * Waits: an invalidation waits for one worker that writes one window to all domains.
 * A worker may wait for a page for ever: nothing waits for it, see fault_server.c.  A
 * window is freed once no invalidation of the mm is under way, which may be one of
 * others that sleeps: workers and works wait for that, and nothing waits for these.
 *
 * Locks: ioas_process.lock protects windows and domains.  Reclaim takes it, by the
 * notifier: nothing that reclaims is called with it held.  ioas.lock nests in it.
 * mmap_lock is taken before it.
 */
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include <uapi/linux/ioasid.h>

#include "domain.h"
#include "fault_server.h"
#include "ioas.h"
#include "iommu.h"
#include "process.h"
#include "process_window.h"
#include "ranges.h"

/* Windows that map nothing and are kept: they are often needed again */
#define MAX_IDLE	64

/* A page that changes as often while it is looked at: the device tries again */
#define MAX_TRIES	64

/**
 * struct ioas_process - a process whose memory is mirrored
 * @server: serves the page requests of devices
 * @mm: its mm, grabbed
 * @lock: protects what follows
 * @ioas: the address space; NULL when that is gone
 * @targets: struct process_target
 * @windows: struct process_window, by address in units of PROCESS_WINDOW_SIZE
 * @idle: those that map nothing and are not used, by the time of their last use
 * @nr_idle: number of these
 * @nr_pages: pages that are mapped, in all domains; read without @lock
 * @ended: the mm has ended, and user space was told
 * @reap: frees idle windows, with a reference to @server
 * @poisoned: calls ioas_ops.poisoned, with a reference to the address space
 */
struct ioas_process {
	struct ioas_fault_server server;
	struct mm_struct *mm;
	struct mutex lock;		/* see above */
	struct ioas *ioas;
	struct list_head targets;
	struct xarray windows;
	struct list_head idle;
	unsigned int nr_idle;
	unsigned long nr_pages;
	bool ended;
	struct work_struct reap;
	struct work_struct poisoned;
};

/**
 * struct process_target - a domain that mirrors
 * @node: in ioas_process.targets
 * @dom: the domain, of one IOMMU
 * @leaving: nothing is written to it any longer
 */
struct process_target {
	struct list_head node;
	struct ioas_domain *dom;
	bool leaving;
};

static struct ioas_process *to_process(struct ioas_fault_server *server)
{
	return container_of(server, struct ioas_process, server);
}

/* ---- Idle windows ---- */

static void use_window(struct ioas_process *process, struct process_window *window)
{
	lockdep_assert_held(&process->lock);
	window->users++;
	if (list_empty(&window->idle))
		return;
	list_del_init(&window->idle);
	process->nr_idle--;
}

static void check_idle(struct ioas_process *process, struct process_window *window)
{
	lockdep_assert_held(&process->lock);
	if (window->users || window->nr_mapped || window->nr_held ||
	    !list_empty(&window->idle))
		return;
	list_add_tail(&window->idle, &process->idle);
	process->nr_idle++;
}

/* Of a window that no thread finds any longer, and that is not idle */
static void free_window(struct process_window *window)
{
	struct process_part *part, *next;

	mmu_interval_notifier_remove(&window->notifier);
	list_for_each_entry_safe(part, next, &window->parts, node)
		ioas_process_part_free(part);
	kfree(window);
}

/* Free idle windows until at most @max are left */
static void reap(struct ioas_process *process, unsigned int max)
{
	struct process_window *window;

	for (;;) {
		mutex_lock(&process->lock);
		window = NULL;
		if (process->nr_idle > max) {
			window = list_first_entry(&process->idle,
						  struct process_window, idle);
			/* The notifier still finds it */
			use_window(process, window);
			xa_erase(&process->windows,
				 process_window_start(window) >> PROCESS_WINDOW_SHIFT);
		}
		mutex_unlock(&process->lock);
		if (!window)
			return;
		free_window(window);
		cond_resched();
	}
}

static void reap_work(struct work_struct *work)
{
	struct ioas_process *process =
		container_of(work, struct ioas_process, reap);

	reap(process, MAX_IDLE);
	ioas_fault_server_put(&process->server);
}

/* Free idle windows by a thread that may wait for invalidations */
static void reap_later(struct ioas_process *process)
{
	lockdep_assert_held(&process->lock);
	/* Without a reference left, process_free() is about to free them all */
	if (process->nr_idle <= MAX_IDLE ||
	    !refcount_inc_not_zero(&process->server.refs))
		return;
	if (!ioas_fault_server_defer(&process->reap))
		ioas_fault_server_put(&process->server);
}

static void put_window(struct ioas_process *process, struct process_window *window)
{
	mutex_lock(&process->lock);
	window->users--;
	check_idle(process, window);
	mutex_unlock(&process->lock);
	reap(process, MAX_IDLE);
}

/* ---- Take out ---- */

static void poisoned_work(struct work_struct *work)
{
	struct ioas_process *process =
		container_of(work, struct ioas_process, poisoned);
	struct ioas *ioas = process->ioas;

	/* It has not gone: there is a reference */
	ioas->ops->poisoned(ioas);
	ioas->ops->put(ioas);
}

/* A domain failed: let the groups that are attached to it be blocked */
static void set_poisoned(struct ioas_process *process)
{
	struct ioas *ioas = process->ioas;

	lockdep_assert_held(&process->lock);
	if (!ioas)
		return;
	spin_lock(&ioas->lock);
	ioas->poisoned = true;
	spin_unlock(&ioas->lock);
	if (!ioas->ops->get(ioas))
		return;
	if (!ioas_fault_server_defer(&process->poisoned))
		ioas->ops->put(ioas);
}

/* The window has more pages than before, or less; a domain may be poisoned */
static void account(struct process_window *window, const struct ioas_domain *dom,
		    unsigned int before)
{
	struct ioas_process *process = window->process;

	lockdep_assert_held(&process->lock);
	WRITE_ONCE(process->nr_pages,
		   process->nr_pages + window->nr_mapped - before);
	if (unlikely(READ_ONCE(dom->poisoned)))
		set_poisoned(process);
}

/* Take the pages of a range out of a domain */
static void remove_range(struct process_window *window, struct ioas_domain *dom,
			 u64 start, u64 end)
{
	struct process_part *part = ioas_process_part_find(window, dom);
	u64 from = process_window_start(window);
	unsigned int before = window->nr_mapped;

	if (!part)
		return;
	start = max(start, from) - from;
	end = min(end, from + PROCESS_WINDOW_SIZE) - from;
	ioas_process_part_remove(window, part, dom, start >> PAGE_SHIFT,
				 DIV_ROUND_UP(end, PAGE_SIZE));
	account(window, dom, before);
}

/* Tell user space once that devices reach nothing any longer, as the mm has ended */
static void tell_end(struct ioas_process *process)
{
	lockdep_assert_held(&process->lock);
	if (process->ended || process->nr_pages || !process->ioas)
		return;
	process->ended = true;
	process->ioas->ops->changed(process->ioas);
}

/* An IOMMU driver may sleep when IOPTEs are taken out, and flushed */
static bool lock_to_invalidate(struct process_window *window, bool may_sleep)
{
	struct ioas_process *process = window->process;

	if (may_sleep) {
		mutex_lock(&process->lock);
		return true;
	}
	if (!mutex_trylock(&process->lock))
		return false;
	if (!window->nr_mapped)
		return true;
	mutex_unlock(&process->lock);
	return false;
}

static bool process_invalidate(struct mmu_interval_notifier *notifier,
			       const struct mmu_notifier_range *range,
			       unsigned long seq)
{
	struct process_window *window =
		container_of(notifier, struct process_window, notifier);
	struct ioas_process *process = window->process;
	struct process_target *target;

	if (!lock_to_invalidate(window, mmu_notifier_range_blockable(range)))
		return false;
	mmu_interval_set_seq(notifier, seq);
	list_for_each_entry(target, &process->targets, node)
		remove_range(window, target->dom, range->start, range->end);
	check_idle(process, window);
	reap_later(process);
	if (range->event == MMU_NOTIFY_RELEASE)
		tell_end(process);
	mutex_unlock(&process->lock);
	return true;
}

static const struct mmu_interval_notifier_ops process_notifier_ops = {
	.invalidate = process_invalidate,
};

/* ---- Put in ---- */

/*
 * Find the window of an address, or make it.  The caller puts it; the mm does not end
 * meanwhile.
 */
static struct process_window *get_window(struct ioas_process *process, u64 addr)
{
	unsigned long index = addr >> PROCESS_WINDOW_SHIFT;
	struct process_window *window;
	void *old;
	int ret;

	mutex_lock(&process->lock);
	window = xa_load(&process->windows, index);
	if (window)
		use_window(process, window);
	mutex_unlock(&process->lock);
	if (window)
		return window;

	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	if (!window)
		return ERR_PTR(-ENOMEM);
	window->process = process;
	window->users = 1;
	INIT_LIST_HEAD(&window->idle);
	INIT_LIST_HEAD(&window->parts);
	ret = mmu_interval_notifier_insert(&window->notifier, process->mm,
					   index << PROCESS_WINDOW_SHIFT, PROCESS_WINDOW_SIZE,
					   &process_notifier_ops);
	if (ret) {
		kfree(window);
		return ERR_PTR(ret);
	}
	old = xa_cmpxchg(&process->windows, index, NULL, window,
			 GFP_KERNEL_ACCOUNT);
	if (!old)
		return window;
	/* Another worker has made it, maybe for a moment: look again */
	free_window(window);
	return ERR_PTR(xa_is_err(old) ? xa_err(old) : -EAGAIN);
}

/* Let a window have a part for each domain; -EAGAIN, it lacks some still */
static int add_parts(struct ioas_process *process, struct process_window *window)
{
	struct process_target *target;
	struct process_part *part;
	int ret = 0;

	part = ioas_process_part_alloc();
	if (!part)
		return -ENOMEM;
	mutex_lock(&process->lock);
	list_for_each_entry(target, &process->targets, node) {
		if (target->leaving || ioas_process_part_find(window, target->dom))
			continue;
		if (!part) {
			ret = -EAGAIN;
			break;
		}
		part->dom = target->dom;
		list_add(&part->node, &window->parts);
		part = NULL;
	}
	mutex_unlock(&process->lock);
	ioas_process_part_free(part);
	return ret;
}

/* True if devices can use all of a window by all attachments */
static bool is_permitted(struct ioas *ioas, const struct process_window *window)
{
	u64 start = process_window_start(window), bad;
	bool permitted;

	spin_lock(&ioas->lock);
	permitted = !ioas->permitted ||
		    ioas_ranges_hold(ioas->permitted, start,
				     start + PROCESS_WINDOW_SIZE - 1, &bad);
	spin_unlock(&ioas->lock);
	return permitted;
}

static int write_all(struct ioas_process *process, struct process_window *window,
		     const unsigned long *pfns)
{
	struct process_target *target;
	struct process_part *part;
	unsigned int before;
	int ret;

	lockdep_assert_held(&process->lock);
	list_for_each_entry(target, &process->targets, node) {
		if (target->leaving)
			continue;
		if (!is_permitted(process->ioas, window))
			return -EFAULT;
		part = ioas_process_part_find(window, target->dom);
		if (!part)
			return -ENOENT;
		before = window->nr_mapped;
		ret = ioas_process_part_write(window, part, target->dom, pfns);
		account(window, target->dom, before);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- Page requests ---- */

/*
 * True for memory that GUP refuses, and hmm_range_fault() does not: shadow stacks, which
 * have writable pages that no instruction writes to but calls; and memfd_secret(), which
 * the kernel itself has not mapped
 */
static bool is_withheld(const struct vm_area_struct *vma)
{
	/* vma_is_secretmem() is not exported */
	return vma->vm_flags & VM_SHADOW_STACK ||
	       (vma->vm_file &&
		file_inode(vma->vm_file)->i_sb->s_magic == SECRETMEM_MAGIC);
}

/* Forget what was found of memory that is withheld; the mmap_lock is held */
static void skip_withheld(const struct hmm_range *range)
{
	VMA_ITERATOR(vmi, range->notifier->mm, range->start);
	struct vm_area_struct *vma;
	u64 addr, end;

	for_each_vma_range(vmi, vma, range->end) {
		if (!is_withheld(vma))
			continue;
		end = min_t(u64, vma->vm_end, range->end);
		for (addr = max_t(u64, vma->vm_start, range->start); addr < end;
		     addr += PAGE_SIZE)
			range->hmm_pfns[(addr - range->start) >> PAGE_SHIFT] =
				HMM_PFN_ERROR;
	}
}

/* Test whether a request may run code there; the mmap_lock is held */
static bool may_execute(struct mm_struct *mm, const struct ioas_fault_page *page)
{
	struct vm_area_struct *vma;

	if (!(page->permission & IOASID_FAULT_EXEC))
		return true;
	vma = vma_lookup(mm, page->addr);
	return vma && vma->vm_flags & VM_EXEC;
}

/*
 * Bring a page in that the process lacks, or lacks the permission for; the mmap_lock is
 * held, and may have been dropped.  Returns -EBUSY: look again; or another errno, it
 * cannot have the page.
 */
static int bring_in(struct mm_struct *mm, const struct ioas_fault_page *page,
		    unsigned long pfn)
{
	unsigned int flags = FAULT_FLAG_REMOTE;
	bool unlocked = false;

	if (pfn & HMM_PFN_ERROR)
		return -EFAULT;
	if (page->permission & IOASID_FAULT_WRITE)
		flags |= FAULT_FLAG_WRITE;
	/* Waits for userfaultfd, which hmm_range_fault() does not */
	return fixup_user_fault(mm, page->addr, flags, &unlocked) ?: -EBUSY;
}

/*
 * Write a page to the domains, with all pages of its window that the process has; and
 * bring it in, if it has not.  Returns 0; -EBUSY, the window has changed meanwhile;
 * -ENOENT, it lacks parts; -ENOMEM; or another errno, there is no such page.
 */
static int try_page(struct ioas_process *process, struct process_window *window,
		    const struct ioas_fault_page *page, unsigned long *pfns)
{
	unsigned long wants = HMM_PFN_VALID, pfn;
	u64 start = process_window_start(window);
	struct mm_struct *mm = process->mm;
	struct hmm_range range = {
		.notifier = &window->notifier,
		.notifier_seq = mmu_interval_read_begin(&window->notifier),
		.start = start,
		.end = min_t(u64, start + PROCESS_WINDOW_SIZE, mm->task_size),
		.hmm_pfns = pfns,
	};
	int ret = -EPERM;

	if (page->permission & IOASID_FAULT_WRITE)
		wants |= HMM_PFN_WRITE;
	memset(pfns, 0, PROCESS_WINDOW_PAGES * sizeof(*pfns));
	mmap_read_lock(mm);
	if (may_execute(mm, page))
		ret = hmm_range_fault(&range);
	if (!ret)
		skip_withheld(&range);
	pfn = pfns[(page->addr - start) >> PAGE_SHIFT];
	if (!ret && wants & ~pfn)
		ret = bring_in(mm, page, pfn);
	mmap_read_unlock(mm);
	if (ret)
		return ret;
	mutex_lock(&process->lock);
	if (mmu_interval_read_retry(&window->notifier, range.notifier_seq))
		ret = -EBUSY;
	else
		ret = write_all(process, window, pfns);
	mutex_unlock(&process->lock);
	return ret;
}

/* The tables of an IOMMU are allocated without reclaim: let there be memory */
static int make_room(void)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT);

	if (!page)
		return -ENOMEM;
	__free_page(page);
	return 0;
}

static int serve_page(struct ioas_process *process,
		      const struct ioas_fault_page *page, unsigned long *pfns)
{
	struct process_window *window;
	unsigned int tries;
	int ret = -EAGAIN;

	if (page->addr >= process->mm->task_size)
		return -EFAULT;
	window = get_window(process, page->addr);
	if (IS_ERR(window))
		return PTR_ERR(window);
	for (tries = 0; tries < MAX_TRIES; tries++) {
		ret = try_page(process, window, page, pfns);
		if (ret == -ENOENT)
			ret = add_parts(process, window) ?: -EAGAIN;
		else if (ret == -ENOMEM)
			ret = make_room() ?: -EAGAIN;
		else if (ret == -EBUSY)
			ret = -EAGAIN;
		if (ret != -EAGAIN)
			break;
		cond_resched();
	}
	put_window(process, window);
	return ret;
}

static_assert(PROCESS_WINDOW_PAGES * sizeof(unsigned long) <= PAGE_SIZE);

static int process_serve(struct ioas_fault_server *server,
			 const struct ioas_fault_page *page, void *buffer)
{
	struct ioas_process *process = to_process(server);
	struct mem_cgroup *memcg, *before;
	int ret;

	if (!mmget_not_zero(process->mm))
		return -ESRCH;
	/* Windows, parts and tables are charged to the process */
	memcg = get_mem_cgroup_from_mm(process->mm);
	before = set_active_memcg(memcg);
	ret = serve_page(process, page, buffer);
	set_active_memcg(before);
	mem_cgroup_put(memcg);
	mmput(process->mm);
	return ret;
}

/* ---- Domains ---- */

/* Memory above is only where a process asks for it, by a hint of mmap() */
#ifdef DEFAULT_MAP_WINDOW
#define HIGHEST_END	DEFAULT_MAP_WINDOW
#else
#define HIGHEST_END	U64_MAX
#endif

/* True if a domain can translate the addresses of the process */
static bool reaches_all(const struct ioas_process *process,
			const struct ioas_domain *dom)
{
	u64 start, last, end = min_t(u64, process->mm->task_size, HIGHEST_END);

	ioas_iommu_aperture(dom->iommu, &start, &last);
	return !start && last >= end - 1;
}

/**
 * ioas_process_join() - mirror a process in one more domain
 * @ioas: the address space; attach_lock is held
 * @dom: the domain, empty
 *
 * Context: may sleep.
 * Return: 0;
 * -EMEDIUMTYPE, the domain cannot translate the addresses of the process;
 * -ENOMEM.
 */
int ioas_process_join(struct ioas *ioas, struct ioas_domain *dom)
{
	struct ioas_process *process = ioas->process;
	struct process_target *target;
	int ret;

	lockdep_assert_held(&ioas->attach_lock);
	if (!reaches_all(process, dom))
		return -EMEDIUMTYPE;
	ret = ioas_fault_server_start(&process->server);
	if (ret)
		return ret;
	target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);
	if (!target)
		return -ENOMEM;
	target->dom = dom;
	mutex_lock(&process->lock);
	list_add_tail(&target->node, &process->targets);
	mutex_unlock(&process->lock);
	return 0;
}

static struct process_target *find_target(struct ioas_process *process,
					  const struct ioas_domain *dom)
{
	struct process_target *target;

	list_for_each_entry(target, &process->targets, node)
		if (target->dom == dom)
			return target;
	return NULL;
}

/* A domain goes: returns the part of a window in it, to be freed, or NULL */
static struct process_part *forget_part(struct process_window *window,
					const struct ioas_domain *dom)
{
	struct process_part *part = ioas_process_part_find(window, dom);
	struct ioas_process *process = window->process;
	unsigned int before = window->nr_mapped;

	lockdep_assert_held(&process->lock);
	if (!part)
		return NULL;
	ioas_process_part_forget(window, part);
	WRITE_ONCE(process->nr_pages,
		   process->nr_pages + window->nr_mapped - before);
	check_idle(process, window);
	return part;
}

/**
 * ioas_process_leave() - undo ioas_process_join(), if it was done
 * @ioas: the address space; attach_lock is held
 * @dom: the domain, to which no device is attached; is freed next
 *
 * Context: may sleep; needs no memory.
 */
void ioas_process_leave(struct ioas *ioas, struct ioas_domain *dom)
{
	struct ioas_process *process = ioas->process;
	struct process_target *target;
	struct process_window *window;
	struct process_part *part;
	unsigned long index = 0;

	lockdep_assert_held(&ioas->attach_lock);
	mutex_lock(&process->lock);
	target = find_target(process, dom);
	/* Invalidations see it until all is forgotten */
	if (target)
		target->leaving = true;
	while (target) {
		window = xa_find(&process->windows, &index, ULONG_MAX, XA_PRESENT);
		if (!window)
			break;
		part = forget_part(window, dom);
		mutex_unlock(&process->lock);
		ioas_process_part_free(part);
		cond_resched();
		index++;
		mutex_lock(&process->lock);
	}
	if (target)
		list_del(&target->node);
	reap_later(process);
	mutex_unlock(&process->lock);
	kfree(target);
}

/* ---- Life ---- */

static void process_free(struct ioas_fault_server *server)
{
	struct ioas_process *process = to_process(server);

	/* Without a domain and a worker all are idle */
	reap(process, 0);
	xa_destroy(&process->windows);
	mmdrop(process->mm);
	kfree(process);
}

static const struct ioas_fault_server_ops process_server_ops = {
	.serve = process_serve,
	.free = process_free,
};

/**
 * ioas_process_init() - let an address space mirror the calling process
 * @ioas: the address space, a root without mappings
 *
 * Context: may sleep.
 * Return: 0; -EOPNOTSUPP, the caller has no memory of its own; -ENOMEM.
 */
int ioas_process_init(struct ioas *ioas)
{
	struct ioas_process *process;
	int ret;

	if (!current->mm)
		return -EOPNOTSUPP;
	process = kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);
	if (!process)
		return -ENOMEM;
	ret = ioas_fault_server_init(&process->server, &process_server_ops);
	if (ret) {
		kfree(process);
		return ret;
	}
	mutex_init(&process->lock);
	INIT_LIST_HEAD(&process->targets);
	INIT_LIST_HEAD(&process->idle);
	INIT_WORK(&process->reap, reap_work);
	INIT_WORK(&process->poisoned, poisoned_work);
	xa_init(&process->windows);
	process->mm = current->mm;
	mmgrab(process->mm);
	process->ioas = ioas;
	ioas->process = process;
	ioas->mirrors_process = true;
	ioas->serves_faults = true;
	return 0;
}

/**
 * ioas_process_exit() - undo ioas_process_init()
 * @ioas: the address space, without domains
 *
 * Waits for no page.
 *
 * Context: may sleep.
 */
void ioas_process_exit(struct ioas *ioas)
{
	struct ioas_process *process = ioas->process;

	mutex_lock(&process->lock);
	process->ioas = NULL;
	mutex_unlock(&process->lock);
	ioas->process = NULL;
	ioas->mirrors_process = false;
	ioas_fault_server_put(&process->server);
}

/**
 * ioas_process_queue() - find the queue of the page requests of devices
 * @ioas: the address space
 *
 * Return: the queue, as long as the address space has not ended.
 */
struct ioas_fault_queue *ioas_process_queue(const struct ioas *ioas)
{
	return ioas->process->server.queue;
}

/**
 * ioas_process_stats() - tell what of the process is mirrored
 * @ioas: the address space
 * @stats: in, from ioas_get_stats(); out, with what there is of the process
 *
 * Context: any.
 */
void ioas_process_stats(const struct ioas *ioas, struct ioas_stats *stats)
{
	const struct ioas_process *process = ioas->process;

	stats->bytes_mapped = (u64)READ_ONCE(process->nr_pages) << PAGE_SHIFT;
	/* Pages that are mapped still are about to go */
	if (!atomic_read(&process->mm->mm_users) && !stats->bytes_mapped)
		stats->state |= IOASID_STATE_MM_GONE;
}
