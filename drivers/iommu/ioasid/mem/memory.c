// SPDX-License-Identifier: GPL-2.0-only
/*
 * Charge and pin memory of user space, of a process or of a file.
 */
#include "memfile.h"
#include "memory.h"

/**
 * ioasid_pin_charged() - pin memory of a file, or memory that is charged once
 * @mem: out, the memory
 * @payer: the payer that is charged
 * @file: as for ioasid_memory_get(), which calls this
 * @addr: the same
 * @npages: the same
 * @writable: the same
 * @fault_addr: the same
 *
 * Return: 0, or -errno as ioasid_memory_get().
 */
int ioasid_pin_charged(struct ioasid_memory *mem, struct ioasid_payer *payer,
		       struct file *file, u64 addr, unsigned long npages,
		       bool writable, u64 *fault_addr)
{
	if (payer->charge != IOASID_CHARGE_ONCE)
		payer = NULL;
	if (file)
		return ioasid_pin_file(mem, payer, file, addr, npages, writable,
				       fault_addr);
	return ioasid_pin_user_list(mem, payer, addr, npages, writable,
				    fault_addr);
}
