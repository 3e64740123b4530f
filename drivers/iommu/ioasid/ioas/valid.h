/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks of the arguments that all ways to map have. */
#ifndef _IOASID_IOAS_VALID_H
#define _IOASID_IOAS_VALID_H

#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/overflow.h>

#include "request.h"

/* True if [start, start + length) is whole pages, not empty, within 64 bits */
static inline bool range_valid(u64 start, u64 length)
{
	u64 last;

	return length && PAGE_ALIGNED(start) && PAGE_ALIGNED(length) &&
	       !check_add_overflow(start, length - 1, &last);
}

/**
 * ioas_map_valid() - check the arguments that all ways to map have
 * @flags: enum ioasid_map_flags
 * @iova: first byte, or 0
 * @addr: user address, file offset or address in the parent
 * @length: bytes
 * @fd: the file
 *
 * Return: true if they are consistent.
 */
static __always_inline bool ioas_map_valid(unsigned int flags, u64 iova,
					   u64 addr, u64 length, s32 fd)
{
	if (flags & IOASID_MAP_RESERVE) {
		if (flags & (IOASID_MAP_READ | IOASID_MAP_WRITE |
			     IOASID_MAP_FILE) || addr)
			return false;
	} else if (!(flags & (IOASID_MAP_READ | IOASID_MAP_WRITE))) {
		return false;
	}
	return (flags & IOASID_MAP_FILE || !fd) && range_valid(iova, length) &&
	       range_valid(addr, length);
}

/* The flags of maps that change what is mapped */
#define IOAS_CHANGE_FLAGS	(IOASID_MAP_PROTECT | IOASID_MAP_REPLACE)

/**
 * ioas_change_valid() - check the flags of PROTECT, REPLACE and SPLIT
 * @flags: enum ioasid_map_flags
 * @addr: user address, file offset or address in the parent
 * @cut_size: the cut size, in any unit; 0 for none
 *
 * Return: true if they are consistent.
 */
static inline bool ioas_change_valid(unsigned int flags, u64 addr, u64 cut_size)
{
	if (!(flags & IOAS_CHANGE_FLAGS))
		return !(flags & IOASID_MAP_SPLIT);
	if (!(flags & IOASID_MAP_FIXED) || flags & IOASID_MAP_RESERVE)
		return false;
	if (!(flags & IOASID_MAP_PROTECT))
		return true;
	return !(flags & (IOASID_MAP_REPLACE | IOASID_MAP_FILE)) && !addr &&
	       !cut_size;
}

/**
 * ioas_map_has_fault_addr() - test whether a failed map tells an address
 * @req: the request
 * @ret: its errno, with arguments that are in order
 *
 * Return: true if @req->fault_addr is valid.
 */
static inline bool ioas_map_has_fault_addr(const struct ioas_map_request *req,
					   int ret)
{
	return ret == -EEXIST || ret == -EFAULT || ret == -EINVAL ||
	       ret == -ENXIO || ret == -EBUSY || ret == -EOVERFLOW ||
	       ret == -EHWPOISON ||
	       (ret == -EACCES && !req->file);
}

#endif /* _IOASID_IOAS_VALID_H */
