/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of user space: the interface of mem/.
 */
#ifndef _IOASID_MEM_MEMORY_H
#define _IOASID_MEM_MEMORY_H

#include <linux/err.h>

#include "charge.h"
#include "extent.h"
#include "pin.h"

struct file;

int ioasid_pin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
		       struct file *file, u64 addr, unsigned long npages,
		       bool writable, u64 *fault_addr);

/**
 * ioasid_memory_get() - charge the calling process for memory, and pin it
 * @mem: out, the memory; to be released with ioasid_memory_put()
 * @account: the context's account
 * @task: see ioasid_charge()
 * @file: a memfd, a file of tmpfs or of hugetlbfs, or NULL
 * @addr: first byte: an offset in @file, or an address of the calling process;
 *	page aligned
 * @npages: number of pages, not 0
 * @writable: pin for writing
 * @fault_addr: out on -EFAULT, -EHWPOISON and -EOVERFLOW, the address of the
 *	first page that cannot be pinned; with @file, on other failures too
 *
 * Context: may sleep, for as long as a page fault takes; takes the lock of the
 * file's inode for reading.  Only a fatal signal interrupts it.
 * Return: the payer, or an ERR_PTR: -EDQUOT, a limit would be exceeded;
 * -EFAULT, a page cannot be pinned; -EHWPOISON, a page is poisoned; -EOVERFLOW,
 * a page is pinned too often; -ENOMEM; -EINTR, a fatal signal is pending. With
 * @file also: -EOPNOTSUPP, the file is of another sort; -EACCES, it is not open
 * for this access, or is append-only; -EPERM, it is sealed against writing;
 * -EINVAL, it ends before the range does; -EFAULT, the range has a hole, and
 * the file is not open for writing. On failure @mem holds no pages.
 */
static inline struct ioasid_payer *
ioasid_memory_get(struct ioasid_memory *mem, struct ioasid_account *account,
		  struct task_struct *task, struct file *file, u64 addr,
		  unsigned long npages, bool writable, u64 *fault_addr)
{
	struct ioasid_payer *payer;
	int ret;

	payer = ioasid_charge(account, task, npages);
	if (IS_ERR(payer))
		return payer;
	if (likely(!file && payer->charge != IOASID_CHARGE_ONCE))
		ret = ioasid_pin_user(mem, addr, npages, writable, fault_addr);
	else
		ret = ioasid_pin_charged(mem, payer, file, addr, npages,
					 writable, fault_addr);
	if (likely(!ret))
		return payer;
	mem->npages = 0;
	ioasid_uncharge(account, payer, npages);
	return ERR_PTR(ret);
}

/**
 * ioasid_memory_put() - unpin memory, and release its charge
 * @mem: the memory; holds none afterwards
 * @account: the context's account
 * @payer: from ioasid_memory_get(); the caller's reference is put
 *
 * No page table, and no cache, may still translate to these pages.
 *
 * Context: may sleep; does not wait for mmap_lock; needs no memory.
 */
static inline void ioasid_memory_put(struct ioasid_memory *mem,
				     struct ioasid_account *account,
				     struct ioasid_payer *payer)
{
	unsigned long npages = mem->npages;

	if (likely(payer->charge != IOASID_CHARGE_ONCE))
		ioasid_unpin(mem);
	else
		ioasid_unpin_charged(mem, payer, npages);
	ioasid_uncharge(account, payer, npages);
}

#endif /* _IOASID_MEM_MEMORY_H */
