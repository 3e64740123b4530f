/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Structures of the model IOMMU that its driver, iommu.c, and its hardware,
 * walk.c, share.
 *
 * A unit is one IOMMU.  Its lock models the order of operations in hardware: it
 * is held for reading over each access of a device, from the look-up of the
 * route to the access of memory, and for writing over each change of a route
 * and each flush.  So when a flush returns, no access is under way that used a
 * flushed translation.
 *
 * Locks, outermost first: &model_unit.mutex, &model_dev.requests,
 * &model_unit.lock, &model_tlb.lock.
 */
#ifndef IOASID_MOCK_HARDWARE_H
#define IOASID_MOCK_HARDWARE_H

#include <linux/atomic.h>
#include <linux/fwnode.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "model.h"
#include "table.h"

struct platform_device;

#define MODEL_COUNTERS	(sizeof(struct model_counters) / sizeof(u64))

#define model_counter(unit, name)					\
	(&(unit)->counters[offsetof(struct model_counters, name) / sizeof(u64)])
#define model_count(unit, name)	atomic64_inc(model_counter(unit, name))

/**
 * struct model_tlb - a cache of a unit or of a device
 * @lock: protects @entries
 * @entries: &struct model_tlb_entry by address
 */
struct model_tlb {
	spinlock_t lock; /* Protects @entries */
	struct rb_root_cached entries;
};

/**
 * struct model_tlb_entry - one translation
 * @node: in &model_tlb.entries
 * @next: the next in that list
 * @pasid: the PASID, with a PASID table of user space; else MODEL_NO_PASID
 * @entry: as an entry of a stage 2 table, without the address; 0: absent
 * @phys: physical address that @node.start translates to
 */
struct model_tlb_entry {
	struct interval_tree_node node;
	struct model_tlb_entry *next;
	u32 pasid;
	u64 entry;
	u64 phys;
};

/**
 * struct model_limbo - memory that was unmapped, and not flushed yet
 * @node: in &model_domain.limbo, then in a list
 * @next: the next in that list
 * @phys: physical address that was mapped at @node.start
 * @watch: MODEL_PTE_PINNED or MODEL_PTE_HELD
 */
struct model_limbo {
	struct interval_tree_node node;
	struct model_limbo *next;
	u64 phys;
	u64 watch;
};

enum model_kind {
	MODEL_STAGE2,
	MODEL_STAGE1,
	MODEL_PASIDS,
};

/**
 * struct model_domain - a domain
 * @domain: the core's domain
 * @kind: the kind of domain
 * @unit: the unit of the domain, with a reference
 * @node: in &model_unit.domains
 * @slots: struct model_slot that it is attached to; protected by
 *	&model_unit.lock
 * @users: number of slots, those of @children included; protected by
 *	&model_unit.lock
 * @tlb: the IOTLB's entries with this domain's tag
 * @parent: the nesting parent of a nested domain
 * @children: nested domains; protected by &model_unit.lock
 * @sibling: in @children of the parent
 * @table: the stage 2 table
 * @snoop: mappings enforce snooping
 * @dirty: dirty tracking is on
 * @limbo_lock: protects @limbo
 * @limbo: struct model_limbo by address
 * @s1: data of a MODEL_STAGE1 domain
 * @pasids: data of a MODEL_PASIDS domain
 * @pasid_cache: the PASID cache's entries with this domain's tag: xa_mk_value()
 *	of the first word without its lowest bit, by PASID
 */
struct model_domain {
	struct iommu_domain domain;
	enum model_kind kind;
	struct model_unit *unit;
	struct list_head node;
	struct list_head slots;
	unsigned int users;
	struct model_tlb tlb;

	struct model_domain *parent;
	struct list_head children;
	struct list_head sibling;

	struct model_table table;
	bool snoop;
	bool dirty;
	spinlock_t limbo_lock; /* innermost */
	struct rb_root_cached limbo;

	struct model_s1 s1;
	struct model_pasid_table pasids;
	struct xarray pasid_cache;
};

enum model_route {
	MODEL_BLOCKED,
	MODEL_IDENTITY,
	MODEL_TRANSLATED,
};

/**
 * struct model_slot - the hardware's entry for a RID or a PASID
 * @route: kind of translation
 * @dom: the domain, if @route is MODEL_TRANSLATED
 * @node: in @dom->slots
 * @mdev: the device
 * @pasid: the PASID, or MODEL_NO_PASID for the RID
 * @era: a number that is new at every change of a route in the unit
 * @devtlb: the device TLB's entries of this slot
 *
 * &model_unit.lock protects all fields.  &model_dev.requests protects all of
 * them but @devtlb, too.
 */
struct model_slot {
	enum model_route route;
	struct model_domain *dom;
	struct list_head node;
	struct model_dev *mdev;
	u32 pasid;
	u64 era;
	struct model_tlb devtlb;
};

/**
 * struct model_failure - a failure to inject
 * @countdown: calls until the failure: 1 is the next; 0 is none
 * @pages: number of pages that the failing call does
 */
struct model_failure {
	atomic_t countdown;
	u32 pages;
};

/**
 * struct model_request - a page request in the queue
 * @mdev: the device that made it
 * @era: &model_slot.era when it was made
 * @fault: the fault to report to the core.  If it is the last one of its group,
 *	the private data are the number of credits that the group holds, and
 *	&model_dev.resets when it was made
 */
struct model_request {
	struct model_dev *mdev;
	u64 era;
	struct iommu_fault fault;
};

/**
 * struct model_unit - an IOMMU
 * @iommu: the core's IOMMU
 * @kref: references of devices and domains
 * @node: in the list of units; protected by units_lock, as is @devices
 * @params: its properties
 * @shift: log2 of the smallest page size
 * @devices: how many
 * @fwnode: the firmware node that identifies it to its devices
 * @msi: the irq domain of its devices, or NULL
 * @iopf: the queue of the core, or NULL
 * @mutex: protects @domains
 * @domains: struct model_domain
 * @lock: orders accesses, changes of routes and flushes
 * @eras: the last &model_slot.era; protected by @lock
 * @counters: the fields of struct model_counters
 * @ledger_lock: protects the ledger's fields in @counters
 * @failures: failures to inject, by enum model_injection
 * @prq_lock: protects the queue of page requests, and the credits of devices
 * @prq: the queue
 * @prq_depth: its length
 * @prq_head: index that the next request is written to
 * @prq_tail: index that the next request is read from
 * @prq_overflow: bit 0 is set when a request found the queue full
 * @prq_wq: workqueue of @prq_work
 * @prq_work: hands requests of the queue to the core
 */
struct model_unit {
	struct iommu_device iommu;
	struct kref kref;
	struct list_head node;
	struct model_params params;
	unsigned int shift;
	unsigned int devices;
	struct fwnode_handle fwnode;
	struct irq_domain *msi;
	struct iopf_queue *iopf;
	struct mutex mutex; /* Protects @domains */
	struct list_head domains;
	rwlock_t lock; /* Orders accesses, routes, flushes */
	u64 eras;
	atomic64_t counters[MODEL_COUNTERS];
	spinlock_t ledger_lock; /* Innermost */
	struct model_failure failures[MODEL_INJECTIONS];

	spinlock_t prq_lock; /* Innermost */
	struct model_request *prq;
	unsigned int prq_depth;
	unsigned int prq_head;
	unsigned int prq_tail;
	unsigned long prq_overflow;
	struct workqueue_struct *prq_wq;
	struct work_struct prq_work;
};

/**
 * struct model_group - devices that share an iommu group
 * @node: in the list of groups
 * @unit: behind which IOMMU
 * @key: the group key of its devices
 * @devices: how many
 * @group: the core's iommu group
 */
struct model_group {
	struct list_head node;
	struct model_unit *unit;
	u32 key;
	unsigned int devices;
	struct iommu_group *group;
};

/**
 * struct model_dev - a device
 * @unit: behind which IOMMU
 * @pdev: the platform device
 * @fwnode: its firmware node
 * @group: the group that it shares, or NULL
 * @rid: the slot of its RID
 * @pasids: struct model_slot by PASID; changes with &model_unit.lock held for
 *	writing
 * @requests: held for reading while a page request is handed to the core, for
 *	writing to wait until none is
 * @pri: page requests are on; protected by @requests
 * @credits: number of page requests that it may send before a response comes;
 *	this and the next two are protected by &model_unit.prq_lock
 * @held: by number of a group, credits held by its requests until the last one
 *	is sent
 * @resets: number of times that the device forgot all its requests
 * @ops: the ops of its driver
 * @priv: argument of the ops
 * @ops_lock: held while one of the ops is called
 * @fault_lock: protects @fault
 * @fault: the last one
 */
struct model_dev {
	struct model_unit *unit;
	struct platform_device *pdev;
	struct fwnode_handle fwnode;
	struct model_group *group;
	struct model_slot rid;
	struct xarray pasids;
	struct rw_semaphore requests; /* See hardware.h's head */
	bool pri;
	u32 credits;
	u32 held[MODEL_GROUPS];
	u64 resets;
	struct mutex ops_lock; /* Innermost that sleeps */
	const struct model_dev_ops *ops;
	void *priv;
	spinlock_t fault_lock; /* Innermost */
	struct model_fault fault;
};

static inline struct model_domain *to_model_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct model_domain, domain);
}

/* iommu.c */
bool model_should_fail(struct model_unit *unit, enum model_injection what,
		       u32 *pages);

/* walk.c */
int model_walk_init(void);
void model_walk_exit(void);
void model_tlb_init(struct model_tlb *tlb);
u64 model_watch(u64 phys, u64 size);
bool model_ledger_check(struct model_unit *unit, u64 address, u64 phys,
			u64 size, u64 watch, enum model_holder where);
void model_limbo_add(struct model_domain *dom, u64 iova, u64 last, u64 phys,
		     u64 watch);
void model_slot_set(struct model_slot *slot, enum model_route route,
		    struct model_domain *dom);
void model_flush(struct model_domain *dom, u64 start, u64 last);
void model_flush_user(struct model_domain *dom,
		      const struct model_invalidate *inv);

#endif
