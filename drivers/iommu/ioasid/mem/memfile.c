// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pin memory of a memfd, or of a file of tmpfs or hugetlbfs, by offset.
 *
 * Invariants:
 *  - The mm pins memory of files by folio.  This adds the missing pins: each
 *    page has one, as memory that is pinned by address.
 *
 * Locks: i_rwsem of the file for reading; inside of it a trylock of a turn, see
 * pin.c.  Callers hold no lock of this subsystem.
 *
 * Waits: for i_rwsem, a turn and locked folios, killable; for memory and its
 * migration.
 */
#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/vmstat.h>
#include <uapi/linux/fcntl.h>

#include "memfile.h"
#include "pin.h"

static unsigned int file_seals(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (shmem_file(file))
		return SHMEM_I(inode)->seals;
#ifdef CONFIG_HUGETLBFS
	return HUGETLBFS_I(inode)->seals;
#else
	return 0;
#endif
}

#define PIN_FILE_FOLIOS		512UL

/*
 * Count the pages of a folio, of @n from @first on, that are before the first
 * one that is poisoned.  The folio may be split or freed meanwhile.  As for
 * read() and page faults, the other pages of a large folio of tmpfs are good,
 * and a page of hugetlbfs is bad as a whole.
 */
static unsigned long folio_good_pages(struct folio *folio, unsigned long first,
				      unsigned long n)
{
	unsigned long i = 0;

	if (likely(!folio_contain_hwpoisoned_page(folio)))
		return n;
	if (folio_test_hugetlb(folio))
		return 0;
	while (i < n && !PageHWPoison(folio_page(folio, first + i)))
		i++;
	return i;
}

/*
 * Find the first page from @index on, below @end, that is poisoned or, with
 * @holes, that is a hole in the file.  Without @holes, look only at as many
 * folios as one call may pin.
 */
static pgoff_t file_first_bad(struct file *file, pgoff_t index, pgoff_t end,
			      bool holes, bool *poisoned)
{
	XA_STATE(xas, &file->f_mapping->i_pages, index);
	unsigned long nr = 0, pages, good;
	pgoff_t first;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, end - 1) {
		if (xas_retry(&xas, entry))
			continue;
		if (holes && xas.xa_index > index)
			break;
		/*
		 * The entry is a folio or, if swapped out, a value of some
		 * order
		 */
		pages = 1UL << xas_get_order(&xas);
		first = round_down(xas.xa_index, pages);
		index = max(index, first);
		pages = min(end, first + pages) - index;
		good = xa_is_value(entry) ? pages :
		       folio_good_pages(entry, index - first, pages);
		index += good;
		if (good < pages) {
			*poisoned = true;
			break;
		}
		if (++nr == PIN_FILE_FOLIOS && !holes)
			break;
		if (need_resched()) {
			xas_pause(&xas);
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	if (!holes && !*poisoned)
		return end;
	return min(index, end);
}

/*
 * memfd_pin_folios() pins a folio once: add the pins for @npages in all.  Safe
 * because the folio is pinned already.  6.12 does not export folio_add_pin(),
 * and that adds only one pin per call.
 */
static int folio_pin_more(struct folio *folio, unsigned long more)
{
	if (ioasid_folio_pinned_out(folio, more))
		return -EOVERFLOW;
	if (!more)
		return 0;
	folio_ref_add(folio, more);
	atomic_add(more, &folio->_pincount);
	node_stat_mod_folio(folio, NR_FOLL_PIN_ACQUIRED, more);
	return 0;
}

/* Unpin each folio once */
static void unpin_folio_array(struct folio **folios, long n)
{
	while (n > 0)
		unpin_user_folio(folios[--n], 1);
}

/*
 * fallocate() leaves pages of tmpfs uncleared until their first access: clear
 * them here, because a device may read them.
 */
static int folio_make_usable(struct folio *folio)
{
	if (folio_test_uptodate(folio))
		return 0;
	if (folio_lock_killable(folio))
		return -EINTR;
	if (!folio_test_uptodate(folio)) {
		folio_zero_range(folio, 0, folio_size(folio));
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
	return 0;
}

/*
 * fallocate() of hugetlbfs stops at any signal, and does nothing while one is
 * pending.  So block all signals but fatal ones, and defer the notification of
 * task work until the system call ends.
 */
static int fallocate_blocked(struct file *file, u64 offset, u64 length)
{
	/* A reference of this task: the sighand must not be freed meanwhile */
	struct sighand_struct *sighand =
		rcu_dereference_protected(current->sighand, true);
	bool notified = test_thread_flag(TIF_NOTIFY_SIGNAL);
	sigset_t block, old;
	int sig, ret;

	sigfillset(&block);
	spin_lock_irq(&sighand->siglock);
	for (sig = 1; sig <= _NSIG; sig++)
		if (!sig_kernel_ignore(sig) && !sig_kernel_stop(sig) &&
		    sighand->action[sig - 1].sa.sa_handler == SIG_DFL)
			sigdelset(&block, sig);
	spin_unlock_irq(&sighand->siglock);

	sigprocmask(SIG_BLOCK, &block, &old);
	clear_notify_signal();
	ret = vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, offset, length);
	if (notified || task_work_pending(current))
		set_thread_flag(TIF_NOTIFY_SIGNAL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/* Huge pages to fill at a time: others wait for the lock of the inode */
#define FILL_HUGE_PAGES		8

/*
 * Fill a hole of a hugetlbfs file, or the beginning of one, with fallocate().
 * memfd_pin_folios() would use huge pages that other files have reserved.
 */
static int file_fill_hole(struct file *file, u64 offset, u64 length)
{
	struct rw_semaphore *lock = &file_inode(file)->i_rwsem;
	int ret;

	length = min_t(u64, length, FILL_HUGE_PAGES * huge_page_size(hstate_file(file)));
	/*
	 * Another fallocate() may hold the lock for long, and this one is not
	 * killable
	 */
	if (down_write_killable(lock))
		return -EINTR;
	up_write(lock);
	ret = vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, offset, length);
	/* io_uring cancels a request by a signal */
	if (ret == -EINTR && !(current->flags & PF_IO_WORKER) &&
	    !fatal_signal_pending(current))
		ret = fallocate_blocked(file, offset, length);

	switch (ret) {
	case 0:
	case -EPERM:
		return ret;
	case -EINTR:
		/*
		 * A stop, a core dump or a freeze is pending: return, and start
		 * again
		 */
		return fatal_signal_pending(current) ? -EINTR :
						       -ERESTARTNOINTR;
	case -ENOSPC:
	case -ENOMEM:
		return -ENOMEM;
	default:
		return -EFAULT;
	}
}

/* Whether to look for holes before memfd_pin_folios() fills them */
static bool file_must_not_grow(struct file *file)
{
	return !(file->f_mode & FMODE_WRITE) || is_file_hugepages(file);
}

static unsigned int file_order(struct file *file)
{
	return is_file_hugepages(file) ? huge_page_order(hstate_file(file)) : 0;
}

/* Maximum number of times to fill a hole that is punched again */
#define PIN_FILE_TRIES		16

/* Find the first page from @offset on that is not wholly in the file */
static u64 file_end(struct file *file, u64 offset)
{
	return max_t(u64, offset, i_size_read(file_inode(file)) & PAGE_MASK);
}

/*
 * Check whether @npages of the file may be pinned, of the @left that the caller
 * wants.  -EAGAIN: a hole was found, which has to be filled first.
 */
static int file_check(struct ioasid_extent_list *list, struct file *file,
		      u64 offset, unsigned long npages, unsigned long left,
		      u64 *fault_addr)
{
	pgoff_t first = offset >> PAGE_SHIFT, bad;
	bool poisoned = false;
	u64 end;

	lockdep_assert_held_read(&file_inode(file)->i_rwsem);
	*fault_addr = offset;
	if (list->mem->writable &&
	    file_seals(file) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;

	end = file_end(file, offset);
	if (left > (end - offset) >> PAGE_SHIFT) {
		*fault_addr = end;
		return -EINVAL;
	}

	/*
	 * memfd_pin_folios() loops for ever on a poisoned folio that would have
	 * to be migrated, and cannot be.
	 */
	bad = file_first_bad(file, first, first + npages,
			     file_must_not_grow(file), &poisoned);
	if (bad == first + npages)
		return 0;
	*fault_addr = (u64)bad << PAGE_SHIFT;
	if (poisoned)
		return -EHWPOISON;
	return file->f_mode & FMODE_WRITE ? -EAGAIN : -EFAULT;
}

/*
 * Call memfd_pin_folios() once.  Two calls that compete for the same memory
 * that has to be migrated loop for ever, with no cond_resched(): the caller has
 * the turn, so that they never do.
 */
static long pin_folios_in_turn(struct file *file, u64 offset,
			       unsigned long *npages, struct folio **folios,
			       pgoff_t *first)
{
	struct mutex *turn = ioasid_pin_file_turn(file, offset, npages);
	long n;

	if (!turn)
		return -EBUSY;
	n = memfd_pin_folios(file, offset,
			     offset + ((u64)*npages << PAGE_SHIFT) - 1, folios,
			     PIN_FILE_FOLIOS, first);
	mutex_unlock(turn);
	if (n > 0) {
		*first >>= PAGE_SHIFT;
		return n;
	}
	return n == -ENOMEM ? -EAGAIN : ioasid_pin_errno(n);
}

/*
 * Pin as many pages as one call of memfd_pin_folios() can.  -EAGAIN: there is
 * no memory, or the pages cannot be migrated just now.  -EBUSY: another pin has
 * the turn.  The inode's lock keeps holes from being punched, and seals from
 * being added, between the check and the pin.
 */
static long pin_file_some(struct ioasid_extent_list *list, struct file *file,
			  struct folio **folios, u64 offset,
			  unsigned long npages, u64 *fault_addr)
{
	struct inode *inode = file_inode(file);
	unsigned int tries = PIN_FILE_TRIES;
	unsigned long left = npages, done = 0;
	u64 end, filled = 0;
	pgoff_t first;
	long n, i, ret;

	if (file_must_not_grow(file))
		npages = min(npages, PIN_FILE_FOLIOS << file_order(file));
	if (list->payer)
		npages = min(npages, IOASID_PIN_CHARGE_PAGES);
	end = offset + ((u64)npages << PAGE_SHIFT);
	for (;;) {
		ret = down_read_killable(&inode->i_rwsem);
		if (ret)
			return -EINTR;
		ret = file_check(list, file, offset, npages, left, fault_addr);
		if (!ret)
			break;
		up_read(&inode->i_rwsem);
		if (ret != -EAGAIN)
			return ret;
		if (*fault_addr > filled)
			tries = PIN_FILE_TRIES;
		else if (!tries--)
			return -EFAULT;
		filled = *fault_addr;
		ret = file_fill_hole(file, *fault_addr, end - *fault_addr);
		if (ret)
			return ret;
	}

	ret = pin_folios_in_turn(file, offset, &npages, folios, &first);
	/* A page of them cannot be had: pin what is before it, then tell which */
	while ((ret == -EFAULT || ret == -EHWPOISON) && npages > 1) {
		npages /= 2;
		ret = pin_folios_in_turn(file, offset, &npages, folios, &first);
	}
	if (ret < 0)
		goto unlock;
	n = ret;
	for (i = 0; i < n; i++) {
		unsigned long take = min(folio_nr_pages(folios[i]) - first,
					 npages - done);
		unsigned long pfn = folio_pfn(folios[i]) + first;
		unsigned long good = folio_good_pages(folios[i], first, take);

		*fault_addr = offset + ((u64)done << PAGE_SHIFT);
		/* Poisoned memory stays in its file */
		ret = folio_make_usable(folios[i]);
		if (good < take) {
			*fault_addr += (u64)good << PAGE_SHIFT;
			ret = -EHWPOISON;
		}
		if (!ret)
			ret = folio_pin_more(folios[i], take - 1);
		if (!ret) {
			ret = ioasid_extent_list_add(list, pfn, take,
						     npages - done - take);
			if (ret && take > 1)
				unpin_user_folio(folios[i], take - 1);
		}
		if (ret) {
			unpin_folio_array(folios + i, n - i);
			goto unlock;
		}
		done += take;
		first = 0;
		cond_resched();
	}
	ret = done;
unlock:
	up_read(&inode->i_rwsem);
	return ret;
}

#ifdef MEMFD_PIN_FOLIOS_KILLABLE
static bool must_migrate(void)
{
	return false;
}
#else
/*
 * May a folio have to be migrated to be pinned?  This memfd_pin_folios() would
 * repeat that for ever while another task has the folio isolated.
 */
static bool must_migrate(void)
{
	int nid;

	if (IS_ENABLED(CONFIG_CMA))
		return true;
	for_each_node_state(nid, N_MEMORY) {
		if (populated_zone(&NODE_DATA(nid)->node_zones[ZONE_MOVABLE]))
			return true;
	}
	return false;
}
#endif

/**
 * ioasid_can_pin_files() - can this kernel pin memory of files?
 *
 * Return: false if memory is in ZONE_MOVABLE or may be in CMA, and the kernel
 * lacks the patch of memfd_pin_folios().
 */
bool ioasid_can_pin_files(void)
{
	return IS_ENABLED(CONFIG_MEMFD_CREATE) && !must_migrate();
}

/**
 * ioasid_check_file() - check what can be known of a file before it is pinned
 * @file: the file
 * @offset: first byte, page aligned
 * @npages: number of pages, not 0
 * @writable: the pages are to be pinned for writing
 * @fault_addr: out on -EINVAL, the offset of the first page that is not in the file
 *
 * Return: 0; or
 * -EOPNOTSUPP, it is no memfd, nor a file of tmpfs or hugetlbfs, or this kernel
 * cannot pin memory of files;
 * -EACCES, it is not open for this access, or is append-only;
 * -EPERM, it is sealed against writing;
 * -EINVAL, it ends before the range does.
 */
int ioasid_check_file(struct file *file, u64 offset, unsigned long npages,
		      bool writable, u64 *fault_addr)
{
	u64 end;

	if (!shmem_file(file) && !is_file_hugepages(file))
		return -EOPNOTSUPP;
	if (must_migrate())
		return -EOPNOTSUPP;
	if (!(file->f_mode & FMODE_READ) ||
	    (writable && !(file->f_mode & FMODE_WRITE)))
		return -EACCES;
	/* The same rule as in mmap(), also for a read-only mapping */
	if (IS_APPEND(file_inode(file)) && file->f_mode & FMODE_WRITE)
		return -EACCES;
	if (writable && file_seals(file) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	end = file_end(file, offset);
	if (npages > (end - offset) >> PAGE_SHIFT) {
		*fault_addr = end;
		return -EINVAL;
	}
	return 0;
}

/**
 * ioasid_pin_file() - pin memory of a memfd, a file of tmpfs or of hugetlbfs
 * @mem: out, the memory
 * @payer: charged once for each page, part by part; or NULL
 * @file: the file
 * @offset: first byte, page aligned
 * @npages: number of pages, not 0
 * @writable: pin for writing
 * @fault_addr: out on failure, the offset of the first page that cannot be
 *	pinned
 *
 * Holes are filled, but only if the file was opened for writing.
 *
 * Return: 0, or -errno as ioasid_memory_get().
 */
int ioasid_pin_file(struct ioasid_memory *mem, struct ioasid_payer *payer,
		    struct file *file, u64 offset, unsigned long npages,
		    bool writable, u64 *fault_addr)
{
	struct ioasid_extent_list list;
	struct folio **folios;
	unsigned int failed = 0;
	long done;
	int ret;

	*fault_addr = offset;
	ret = ioasid_check_file(file, offset, npages, writable, fault_addr);
	if (ret)
		return ret;

	ioasid_extent_list_init(&list, mem, writable);
	list.payer = payer;
	folios = kmalloc_array(PIN_FILE_FOLIOS, sizeof(*folios), GFP_KERNEL);
	if (!folios)
		return -ENOMEM;

	while (npages) {
		done = pin_file_some(&list, file, folios, offset, npages,
				     fault_addr);
		if (done == -EBUSY) {
			ret = ioasid_pin_file_wait(file, offset);
			if (ret)
				break;
			continue;
		}
		if (unlikely(done == -EAGAIN)) {
			if (ioasid_pin_compete(failed++))
				continue;
			done = fatal_signal_pending(current) ? -EINTR : -ENOMEM;
		}
		failed = 0;
		ret = done < 0 ? done : ioasid_extent_list_charge(&list);
		if (ret)
			break;
		npages -= done;
		offset += (u64)done << PAGE_SHIFT;
		if (npages && fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}

	kfree(folios);
	ioasid_extent_list_finish(&list);
	if (ret)
		ioasid_unpin_charged(mem, payer, list.charged);
	return ret;
}
