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

struct device;
struct ioasid_device_info;
struct ioasid_query_map;
int ioas_unmap_range(struct ioas *ioas, u64 start, u64 last,
		     struct ioas_unmap_request *req);
int ioas_unmap_parent(struct ioas *ioas, u64 start, u64 last,
		      struct ioas_unmap_request *req);

/* family.c */
#ifdef CONFIG_LOCKDEP
/* A lock that a driver holds while it pins, and takes in its callback */
extern struct lockdep_map ioas_driver_map;
#endif

#define IOAS_MAX_DEPTH	4

/**
 * ioas_map_has_fault_addr() - which failures have a place
 * @req: what was to be mapped
 * @ret: how it failed, with arguments that are in order
 *
 * Return: whether @req->fault_addr is for the caller to see.
 */
static inline bool ioas_map_has_fault_addr(const struct ioas_map_request *req,
					   int ret)
{
	return ret == -EEXIST || ret == -EFAULT || ret == -EINVAL ||
	       ret == -ENXIO || ret == -EBUSY || ret == -EOVERFLOW ||
	       ret == -EHWPOISON ||
	       (ret == -EACCES && !req->file);
}

/**
 * ioas_quarantine_bytes() - how much memory a poisoned domain may reach
 * @ioas: the space; its lock is held
 *
 * Return: bytes that were unmapped, and stay pinned.
 */
static inline u64 ioas_quarantine_bytes(const struct ioas *ioas)
{
	return ioas->quarantine ? ioas->quarantine->gap : 0;
}

void ioas_init(struct ioas *ioas,
	       struct ioasid_account *account,
	       const struct ioas_ops *ops);
int ioas_kill(struct ioas *ioas, bool cascade);
int ioas_hold(struct ioas *ioas, unsigned int devices);
void ioas_release(struct ioas *ioas, unsigned int devices);
void ioas_set_partial(struct ioas *ioas, bool partial);
void ioas_get_stats(struct ioas *ioas, struct ioas_stats *stats);
unsigned long ioas_pgsizes(struct ioas *ioas, unsigned int *nr);
struct ioas_ranges *ioas_describe(struct device *dev, struct iommu_group *group,
				  struct ioasid_device_info *info,
				  void **hw_data);
struct ioas_ranges *ioas_copy_permitted(struct ioas *ioas);
int ioas_import_kill(struct ioas *parent, struct ioas_import *import,
		     bool cascade);
bool ioas_export_shut(struct ioas *parent);
void ioas_exit(struct ioas *ioas);

struct ioas_mapping *ioas_reserve(struct ioas *ioas,
				  struct ioas_map_request *req);
void ioas_abort(struct ioas *ioas, struct ioas_mapping *m);
int ioas_map_ref(struct ioas *ioas,
		 struct ioas_map_request *req);
int ioas_commit(struct ioas *ioas, struct ioas_mapping *m,
		struct ioas_map_request *req);

/* change.c */
int ioas_remap(struct ioas *ioas,
	       struct ioas_map_request *req);

int ioas_batch(struct ioas *ioas,
	       const struct ioas_batch_source *from, u32 nr,
	       struct ioas_batch_result *result);

/* query.c */
int ioas_query(struct ioas *ioas, struct ioasid_query_map *cmd);

/* fill.c */
int ioas_attach(struct ioas *ioas, struct ioas_attachment *attachment,
		u64 *fault_addr);
void ioas_detach(struct ioas *ioas,
		 struct ioas_attachment *attachment, bool moved);
bool ioas_attachment_poisoned(const struct ioas_attachment *attachment);
bool ioas_attachment_must_block(const struct ioas_attachment *attachment);
void ioas_block(struct ioas *ioas,
		struct ioas_attachment *attachment);
void ioas_unblock(struct ioas *ioas,
		  struct ioas_attachment *attachment);

int ioas_parent_init(struct ioas *parent);
bool ioas_import_shut(const struct ioas *parent,
		      const struct ioas_import *import);
int ioas_add_child(struct ioas *parent,
		   struct ioas_import *import,
		   struct ioas *child);
void ioas_remove_child(struct ioas *parent,
		       struct ioas_import *import,
		       struct ioas *child);
void ioas_parent_exit(struct ioas *ioas);

void ioas_close_imports(struct ioas *ioas, long *patience);

int ioas_holds_init(struct ioas *ioas);
void ioas_access_add(struct ioas *ioas,
		     struct ioas_access *access);
void ioas_access_remove(struct ioas *ioas,
			struct ioas_access *access);
void ioas_unpin_pages(struct ioas *ioas, u64 iova,
		      unsigned long npages);
int ioas_pin_pages(struct ioas *ioas, u64 iova,
		   unsigned long npages, bool write, struct page **pages);
void ioas_unpin_all(struct ioas *ioas,
		    struct ioas_access *access);
int ioas_rw(struct ioas *ioas, u64 iova, void *data,
	    size_t length, bool write);

bool ioas_devmem_any_revoked(struct ioas *ioas);

int __init ioas_cache_init(void);
void ioas_cache_exit(void);

/**
 * ioas_unmap() - remove what is mapped in a range
 * @ioas: the space
 * @start: first byte
 * @last: last byte
 * @req: how; with IOASID_UNMAP_ALL @start is 0 and @last U64_MAX
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0; -EINVAL, an edge cuts a mapping off its grid; -EBUSY, a software
 * device did not let go, or see ioas_unmap_parent(); -EIO, an IOMMU failed;
 * -EINTR, a fatal signal; -ENOMEM and -ENOSPC when a mapping had to be cut.
 */
static inline int ioas_unmap(struct ioas *ioas, u64 start,
			     u64 last, struct ioas_unmap_request *req)
{
	if (unlikely(READ_ONCE(ioas->as_parent)))
		return ioas_unmap_parent(ioas, start, last, req);
	return ioas_unmap_range(ioas, start, last, req);
}

#endif /* _IOASID_IOAS_IOAS_H */
