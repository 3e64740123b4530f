/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of memfds, and of files of tmpfs and hugetlbfs.
 */
#ifndef _IOASID_MEM_MEMFILE_H
#define _IOASID_MEM_MEMFILE_H

#include <linux/types.h>

struct file;
struct ioasid_memory;
struct ioasid_payer;

bool ioasid_can_pin_files(void);
int ioasid_check_file(struct file *file, u64 offset, unsigned long npages,
		      bool writable, u64 *fault_addr);
int ioasid_pin_file(struct ioasid_memory *mem, struct ioasid_payer *payer,
		    struct file *file, u64 offset, unsigned long npages,
		    bool writable, u64 *fault_addr);

#endif /* _IOASID_MEM_MEMFILE_H */
