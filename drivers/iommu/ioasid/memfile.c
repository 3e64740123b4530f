// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a memfd, of a tmpfs or of a hugetlbfs: pin it by offset.
 *
 * Invariants:
 *  - The mm pins memory of files by folio.  The missing pins are added, so that
 *    there is one for each page, as for memory that is pinned by address.
 *
 * Locks: i_rwsem of the file for reading, and in it a turn, see pin.c; callers
 * hold no lock of this subsystem.
 *
 * Waits: for i_rwsem and a turn, killable; for memory and its migration.
 */
#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/vmstat.h>
#include <uapi/linux/fcntl.h>

#include "memory.h"

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

/* First page from @index on, below @end, that the file has no memory for */
static pgoff_t file_first_hole(struct file *file, pgoff_t index, pgoff_t end)
{
	XA_STATE(xas, &file->f_mapping->i_pages, index);
	void *entry;

	rcu_read_lock();
	while (index < end) {
		xas_set(&xas, index);
		entry = xas_load(&xas);
		if (xas_retry(&xas, entry))
			continue;
		if (!entry)
			break;
		/* A folio or, in swap, an entry of some order */
		index = (index | ((1UL << xas_get_order(&xas)) - 1)) + 1;
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	return min(index, end);
}

/*
 * memfd_pin_folios() pinned a folio once; make that once for each of @npages.
 * Safe because the folio is pinned already.
 */
static int folio_pin_more(struct folio *folio, unsigned long more)
{
	if (!more)
		return 0;
	if (folio_ref_count(folio) > (long)(INT_MAX / 2) - (long)more)
		return -ENOMEM;
	folio_ref_add(folio, more);
	atomic_add(more, &folio->_pincount);
	node_stat_mod_folio(folio, NR_FOLL_PIN_ACQUIRED, more);
	return 0;
}

/* Unpin once each */
static void unpin_folio_array(struct folio **folios, long n)
{
	while (n > 0)
		unpin_user_folio(folios[--n], 1);
}

/*
 * fallocate() leaves pages in tmpfs for whoever writes them first to clear:
 * that is us, as a device may read them.
 */
static void folio_make_uptodate(struct folio *folio)
{
	if (folio_test_uptodate(folio))
		return;
	folio_lock(folio);
	if (!folio_test_uptodate(folio)) {
		folio_zero_range(folio, 0, folio_size(folio));
		flush_dcache_folio(folio);
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
}

/*
 * Have a hugetlbfs file get pages of its own for a hole.  What
 * memfd_pin_folios() would put there it takes from the reservations of others.
 */
static int file_fill_hole(struct file *file, u64 offset, u64 length)
{
	int ret = vfs_fallocate(file, FALLOC_FL_KEEP_SIZE, offset, length);

	switch (ret) {
	case 0:
		return 0;
	case -EINTR:
		/* Any signal does that; the caller need not know */
		return fatal_signal_pending(current) ? -EINTR :
						       -ERESTARTNOINTR;
	case -ENOSPC:
	case -ENOMEM:
		return -ENOMEM;
	default:
		return -EFAULT;
	}
}

/* Are holes to be found before memfd_pin_folios() finds them? */
static bool file_must_not_grow(struct file *file)
{
	return !(file->f_mode & FMODE_WRITE) || is_file_hugepages(file);
}

static unsigned int file_order(struct file *file)
{
	return is_file_hugepages(file) ? huge_page_order(hstate_file(file)) : 0;
}

#define PIN_FILE_FOLIOS		512UL
/* How often somebody may punch the hole again that was just filled */
#define PIN_FILE_TRIES		16

/* May these pages of the file be pinned?  -EAGAIN: when the hole is filled */
static int file_check(struct ioasid_extent_list *list, struct file *file,
		      u64 offset, unsigned long npages, u64 *fault_addr)
{
	pgoff_t first = offset >> PAGE_SHIFT, hole;
	u64 size;

	lockdep_assert_held_read(&file_inode(file)->i_rwsem);
	*fault_addr = offset;
	if (list->mem->writable &&
	    file_seals(file) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;

	size = i_size_read(file_inode(file)) & PAGE_MASK;
	if (offset + ((u64)npages << PAGE_SHIFT) > size) {
		*fault_addr = max(offset, size);
		return -EINVAL;
	}

	if (!file_must_not_grow(file))
		return 0;
	hole = file_first_hole(file, first, first + npages);
	if (hole == first + npages)
		return 0;
	*fault_addr = (u64)hole << PAGE_SHIFT;
	return file->f_mode & FMODE_WRITE ? -EAGAIN : -EFAULT;
}

/*
 * One call of memfd_pin_folios().  It goes on for ever, and without a look at the
 * scheduler, while two of them compete for what has to be migrated: never do.
 */
static long pin_folios_in_turn(struct file *file, u64 offset,
			       unsigned long *npages, struct folio **folios,
			       pgoff_t *first)
{
	struct mutex *turn = ioasid_pin_file_turn(file, offset, npages);
	long n;

	if (IS_ERR(turn))
		return PTR_ERR(turn);
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
 * Pin as many pages as one call of memfd_pin_folios() gives; -EAGAIN, when there
 * was no memory or no way to migrate what is there just now.  The inode's lock
 * keeps holes from being punched between the look for them and the pin, and
 * seals from being added between the look at them and the pin.
 */
static long pin_file_some(struct ioasid_extent_list *list, struct file *file,
			  struct folio **folios, u64 offset,
			  unsigned long npages, u64 *fault_addr)
{
	struct inode *inode = file_inode(file);
	unsigned int tries = PIN_FILE_TRIES;
	unsigned long done = 0;
	pgoff_t first;
	long n, i, ret;
	u64 end;

	if (file_must_not_grow(file))
		npages = min(npages, PIN_FILE_FOLIOS << file_order(file));
	if (list->payer)
		npages = min(npages, IOASID_PIN_CHARGE_PAGES);
	end = offset + ((u64)npages << PAGE_SHIFT);
	for (;;) {
		ret = down_read_killable(&inode->i_rwsem);
		if (ret)
			return -EINTR;
		ret = file_check(list, file, offset, npages, fault_addr);
		if (!ret)
			break;
		up_read(&inode->i_rwsem);
		if (ret != -EAGAIN)
			return ret;
		if (!tries--)
			return -EFAULT;
		ret = file_fill_hole(file, *fault_addr, end - *fault_addr);
		if (ret)
			return ret;
	}

	ret = pin_folios_in_turn(file, offset, &npages, folios, &first);
	if (ret < 0)
		goto unlock;
	n = ret;
	for (i = 0; i < n; i++) {
		unsigned long take = min(folio_nr_pages(folios[i]) - first,
					 npages - done);
		unsigned long pfn = folio_pfn(folios[i]) + first;

		folio_make_uptodate(folios[i]);
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
	}
	ret = done;
unlock:
	up_read(&inode->i_rwsem);
	return ret;
}

/**
 * ioasid_pin_file() - pin memory of a memfd, a file of tmpfs or of hugetlbfs
 * @mem: out, the memory
 * @payer: charged once, part by part, unless it is NULL
 * @file: the file
 * @offset: first byte, page aligned
 * @npages: how many pages, not 0
 * @writable: pin for writing
 * @fault_addr: out on failure, the offset that it is about
 *
 * Pages that the file has not yet are added to it, but only if it was opened
 * for writing.
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
	int ret = 0;

	if (!shmem_file(file) && !is_file_hugepages(file))
		return -EOPNOTSUPP;
	if (!(file->f_mode & FMODE_READ) ||
	    (writable && !(file->f_mode & FMODE_WRITE)))
		return -EACCES;
	if (offset > LLONG_MAX - ((u64)npages << PAGE_SHIFT)) {
		*fault_addr = offset;
		return -EINVAL;
	}

	ioasid_extent_list_init(&list, mem, writable);
	list.payer = payer;
	folios = kmalloc_array(PIN_FILE_FOLIOS, sizeof(*folios), GFP_KERNEL);
	if (!folios)
		return -ENOMEM;

	while (npages) {
		done = pin_file_some(&list, file, folios, offset, npages,
				     fault_addr);
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
