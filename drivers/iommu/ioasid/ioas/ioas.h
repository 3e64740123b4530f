/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One address space: its mappings, its domains and its accesses.  The files
 * above this folder use this header and no other of it.
 *
 * Knows memory and domains; knows nothing of bound devices, contexts and ids.
 */
#ifndef _IOASID_IOAS_IOAS_H
#define _IOASID_IOAS_IOAS_H

#include <linux/compiler.h>
#include <linux/mm.h>

#include "fault.h"
#include "request.h"
#include "types.h"
#include "valid.h"

struct device;
struct iommu_group;
struct ioasid_device_info;

int ioas_unmap_range(struct ioas *ioas, u64 start, u64 last,
		     struct ioas_unmap_request *req);
int ioas_unmap_parent(struct ioas *ioas, u64 start, u64 last,
		      struct ioas_unmap_request *req);

#ifdef CONFIG_LOCKDEP
/*
 * Stands for a lock that a driver holds while it pins, and takes in its
 * callback
 */
extern struct lockdep_map ioas_driver_map;
#endif

#define IOAS_MAX_DEPTH	4

/**
 * ioas_quarantine_bytes() - count the memory in quarantine
 * @ioas: the address space; its lock is held
 *
 * Return: bytes that are unmapped but pinned, as a poisoned domain may reach
 * them.
 */
static inline u64 ioas_quarantine_bytes(const struct ioas *ioas)
{
	return ioas->quarantine ? ioas->quarantine->gap : 0;
}

/**
 * ioas_export_left() - tell how many more mappings an export permits
 * @export: the export
 *
 * Return: the number; U64_MAX for no limit.
 */
static inline u64 ioas_export_left(const struct ioas_export *export)
{
	u64 used = atomic64_read(&export->used);

	if (export->limit == U64_MAX)
		return U64_MAX;
	return used < export->limit ? export->limit - used : 0;
}

void ioas_init(struct ioas *ioas,
	       struct ioasid_account *account,
	       const struct ioas_ops *ops);
int ioas_kill(struct ioas *ioas, bool cascade);
int ioas_hold(struct ioas *ioas, unsigned int devices);
void ioas_release(struct ioas *ioas, unsigned int devices);
void ioas_set_partial(struct ioas *ioas, bool partial);
void ioas_count_mappings(struct ioas *ioas);
void ioas_get_stats(struct ioas *ioas, struct ioas_stats *stats);
unsigned long ioas_pgsizes(struct ioas *ioas, unsigned int *nr);
bool ioas_enforces_coherency(struct ioas *ioas);

/* The IOMMU of a device that is not attached yet */
bool ioas_iommu_present(struct device *dev);
bool ioas_iommu_is_coherent(struct device *dev);
bool ioas_iommu_isolates_msi(struct iommu_group *group);
bool ioas_iommu_is_singleton(struct iommu_group *group);
bool ioas_iommu_may_replace_pasids(void);
bool ioas_iommu_replaces_pasids(struct device *dev);
u32 ioas_iommu_alloc_pasid(struct device *dev);
void ioas_iommu_free_pasid(u32 pasid);
void ioas_iommu_tell_returned(void);
void ioas_iommu_register_returns(struct notifier_block *nb);
void ioas_iommu_unregister_returns(struct notifier_block *nb);
u32 ioas_iommu_max_pasids(struct device *dev);
int ioas_iommu_claim(struct device *dev, void *owner);
void ioas_iommu_release(struct device *dev);
int ioas_iommu_claim_group(struct iommu_group *group, void *owner);
void ioas_iommu_release_group(struct iommu_group *group);
bool ioas_iommu_group_claimed(struct iommu_group *group);
char *ioas_iommu_device_name(struct iommu_group *group);
struct ioas_ranges *ioas_describe(struct device *dev, struct iommu_group *group,
				  const struct ioasid_iova_range *limit,
				  struct ioasid_device_info *info,
				  void **hw_data);
struct ioas_ranges *ioas_copy_permitted(struct ioas *ioas, bool *limited);
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

/* Change in place */
int ioas_remap(struct ioas *ioas,
	       struct ioas_map_request *req);

int ioas_batch(struct ioas *ioas, struct ioas_batch_source *from, u32 nr,
	       struct ioas_batch_result *result);

/* Dirty tracking */
int ioas_dirty_start(struct ioas *ioas, bool coarse);
int ioas_dirty_stop(struct ioas *ioas);
int ioas_dirty_get(struct ioas *ioas, struct ioas_dirty_request *req);
int ioas_dirty_started(struct ioas *ioas);
void ioas_dirty_fini(void);

/* Read back */
int ioas_query(struct ioas *ioas, struct ioas_query *query);

/* Live update */

/**
 * struct ioas_rehome - a calling process becomes the payer of mappings
 * @probe: check, and change nothing
 * @nr: number of entries that tell where the process has memory
 * @read: read the @n entries from the number @first on; may sleep
 * @moved: out, number of mappings that it took over, or would; also on failure
 * @fail_iova: out on failure, first byte of the mapping, page or entry
 */
struct ioas_rehome {
	bool probe;
	u32 nr;
	int (*read)(struct ioas_rehome *rehome,
		    struct ioasid_rehome_entry *entries, u32 first,
		    unsigned int n);
	u64 moved;
	u64 fail_iova;
};

int ioas_rehome(struct ioas *ioas, struct ioas_rehome *rehome);

/* Attachments */
int ioas_attach(struct ioas *ioas, struct ioas_attachment *attachment,
		u64 *fault_addr);
void ioas_detach(struct ioas *ioas,
		 struct ioas_attachment *attachment, bool moved);
int ioas_detach_killable(struct ioas *ioas, struct ioas_attachment *attachment);
bool ioas_attachment_poisoned(const struct ioas_attachment *attachment);
bool ioas_attachment_must_block(const struct ioas_attachment *attachment);
bool ioas_block(struct ioas *ioas, struct ioas_attachment *attachment);
int ioas_block_killable(struct ioas *ioas, struct ioas_attachment *attachment);
int ioas_unblock(struct ioas *ioas, struct ioas_attachment *attachment);
int ioas_activate(struct ioas_attachment *attachment);
void ioas_deactivate(struct ioas_attachment *attachment);

/* Page tables of user space */
const struct ioasid_table_format *ioas_format_get(u32 type);
void ioas_format_put(const struct ioasid_table_format *format);
bool ioas_iommu_takes_tables(void);
bool ioas_iommu_tells_faults(void);
bool ioas_iommu_may_track_dirty(void);
void ioas_nests_init(struct ioas_nests *nests, struct ioas *parent,
		     const struct ioasid_table_format *format);
int ioas_nests_begin_move(struct ioas_attachment *attachment, bool hitless);
int ioas_nests_abort_move(struct ioas_attachment *attachment);
int ioas_nests_bind(struct ioas_nests *nests, struct ioas_table **table,
		    bool replace);
struct ioas_table *ioas_nests_unbind(struct ioas_nests *nests);
unsigned int ioas_nests_count(const struct ioas_nests *nests);
int ioas_nests_invalidate(struct ioas_nests *nests,
			  const struct iommu_group *only,
			  const void *entries, size_t size, u32 *nr);

/* Mirrors of processes */
#ifdef CONFIG_HMM_MIRROR
int ioas_process_init(struct ioas *ioas);
void ioas_process_exit(struct ioas *ioas);
struct ioas_fault_queue *ioas_process_queue(const struct ioas *ioas);
void ioas_process_stats(const struct ioas *ioas, struct ioas_stats *stats);
#endif

int ioas_demand_init(struct ioas *ioas);
int ioas_demand_serve(struct ioas *ioas);
void ioas_demand_stop(struct ioas *ioas);
struct ioas_fault_queue *ioas_demand_queue(const struct ioas *ioas);
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

int __init ioas_fault_server_setup(void);
void ioas_fault_server_cleanup(void);
int __init ioas_cache_init(void);
void ioas_cache_exit(void);

/* True if a table is bound, which may change at any time */
static inline bool ioas_nests_bound(const struct ioas_nests *nests)
{
	return READ_ONCE(nests->table);
}

/**
 * ioas_unmap() - unmap a range
 * @ioas: the address space
 * @start: first byte
 * @last: last byte
 * @req: how; with IOASID_UNMAP_ALL @start is 0 and @last U64_MAX
 *
 * Context: may sleep; waits for no page fault.
 * Return: 0; or
 * -EINVAL, an edge cuts a mapping off its grid;
 * -EBUSY, an access still holds pages, or see ioas_unmap_parent();
 * -EIO, an IOMMU failed;
 * -EINTR, a fatal signal;
 * -ENOMEM or -ENOSPC, a mapping could not be cut.
 */
static inline int ioas_unmap(struct ioas *ioas, u64 start,
			     u64 last, struct ioas_unmap_request *req)
{
	if (unlikely(READ_ONCE(ioas->as_parent)))
		return ioas_unmap_parent(ioas, start, last, req);
	return ioas_unmap_range(ioas, start, last, req);
}

#endif /* _IOASID_IOAS_IOAS_H */
