/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One address space: its mappings, and the domains and software devices that
 * translate for it.  This is all that the files above this folder use.
 *
 * Knows memory and domains; knows nothing of devices, groups and ids.
 */
#ifndef _IOASID_IOAS_IOAS_H
#define _IOASID_IOAS_IOAS_H

#include <linux/compiler.h>

#include "types.h"

struct ioasid_query_map;
int ioasid_space_unmap_range(struct ioasid_space *space, u64 start, u64 last,
			     struct ioasid_unmap_request *req);
int ioasid_family_unmap(struct ioasid_space *space, u64 start, u64 last,
			struct ioasid_unmap_request *req);

/* family.c */
#define IOASID_MAX_DEPTH	4

/**
 * ioasid_map_has_fault_addr() - which failures have a place
 * @req: what was to be mapped
 * @ret: how it failed, with arguments that are in order
 *
 * Return: whether @req->fault_addr is for the caller to see.
 */
static inline bool ioasid_map_has_fault_addr(const struct ioasid_map_request *req,
					     int ret)
{
	return ret == -EEXIST || ret == -EFAULT || ret == -EINVAL ||
	       ret == -ENXIO || ret == -EBUSY || ret == -EOVERFLOW ||
	       ret == -EHWPOISON ||
	       (ret == -EACCES && !req->file);
}

/**
 * ioasid_space_bytes_kept() - how much memory a poisoned domain may reach
 * @space: the space; its lock is held
 *
 * Return: bytes that were unmapped, and stay pinned.
 */
static inline u64 ioasid_space_bytes_kept(const struct ioasid_space *space)
{
	return space->kept ? space->kept->gap : 0;
}

void ioasid_space_init(struct ioasid_space *space,
		       struct ioasid_account *account,
		       const struct ioasid_space_ops *ops);
int ioasid_space_kill(struct ioasid_space *space, bool cascade);
void ioasid_space_exit(struct ioasid_space *space);

struct ioasid_mapping *ioasid_space_reserve(struct ioasid_space *space,
					    struct ioasid_map_request *req);
void ioasid_space_abort(struct ioasid_space *space, struct ioasid_mapping *m);
int ioasid_space_refer(struct ioasid_space *space,
		       struct ioasid_map_request *req);
int ioasid_space_commit(struct ioasid_space *space, struct ioasid_mapping *m,
			struct ioasid_map_request *req);

/* change.c */
int ioasid_space_change(struct ioasid_space *space,
			struct ioasid_map_request *req);

int ioasid_space_batch(struct ioasid_space *space,
		       const struct ioasid_batch_source *from, u32 nr,
		       struct ioasid_batch_result *result);

/* query.c */
int ioasid_space_query(struct ioasid_space *space, struct ioasid_query_map *cmd);

/* fill.c */
int ioasid_space_join(struct ioasid_space *space, struct ioasid_member *member,
		      u64 *fault_addr);
void ioasid_space_leave(struct ioasid_space *space,
			struct ioasid_member *member, bool moved);
void ioasid_space_block(struct ioasid_space *space,
			struct ioasid_member *member);
void ioasid_space_unblock(struct ioasid_space *space,
			  struct ioasid_member *member);

int ioasid_family_begin(struct ioasid_space *parent);
bool ioasid_window_shut(const struct ioasid_space *parent,
			const struct ioasid_window *window);
int ioasid_family_join(struct ioasid_space *parent,
		       struct ioasid_window *window,
		       struct ioasid_space *child);
void ioasid_family_leave(struct ioasid_space *parent,
			 struct ioasid_window *window,
			 struct ioasid_space *child);
void ioasid_family_exit(struct ioasid_space *space);

void ioasid_family_close(struct ioasid_space *space, long *patience);

int ioasid_software_init(struct ioasid_space *space);
void ioasid_listener_add(struct ioasid_space *space,
			 struct ioasid_listener *listener);
void ioasid_listener_remove(struct ioasid_space *space,
			    struct ioasid_listener *listener);
void ioasid_space_unpin(struct ioasid_space *space, u64 iova,
			unsigned long npages);
int ioasid_space_pin(struct ioasid_space *space, u64 iova,
		     unsigned long npages, bool write, struct page **pages);
void ioasid_space_unpin_all(struct ioasid_space *space,
			    struct ioasid_listener *listener);
int ioasid_space_rw(struct ioasid_space *space, u64 iova, void *data,
		    size_t length, bool write);

bool ioasid_devmem_any_revoked(struct ioasid_space *space);

int __init ioasid_space_cache_init(void);
void ioasid_space_cache_exit(void);

/**
 * ioasid_space_unmap() - remove what is mapped in a range
 * @space: the space
 * @start: first byte
 * @last: last byte
 * @req: how; with IOASID_UNMAP_ALL @start is 0 and @last U64_MAX
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0; -EINVAL, an edge cuts a mapping off its grid; -EBUSY, a software
 * device did not let go, or see ioasid_family_unmap(); -EIO, an IOMMU failed;
 * -EINTR, a fatal signal; -ENOMEM and -ENOSPC when a mapping had to be cut.
 */
static inline int ioasid_space_unmap(struct ioasid_space *space, u64 start,
				     u64 last, struct ioasid_unmap_request *req)
{
	if (unlikely(READ_ONCE(space->family)))
		return ioasid_family_unmap(space, start, last, req);
	return ioasid_space_unmap_range(space, start, last, req);
}

#endif /* _IOASID_IOAS_IOAS_H */
