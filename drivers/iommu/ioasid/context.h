/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts.  A context is an open file of /dev/ioasid.
 */
#ifndef _IOASID_CONTEXT_H
#define _IOASID_CONTEXT_H

#include <linux/ioasid.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "mem/charge.h"
#include "object.h"

/**
 * struct ioasid_container - state of the container commands of VFIO
 * @lock: serialises groups that come and go, and changes of the other fields;
 *	taken before all other locks of the context
 * @groups: groups that VFIO gave to the file, see container.c
 * @type: the type that VFIO_SET_IOMMU has set, 0 for none
 * @ioasid: id of the designated IOASID, 0 for none
 * @made: id of the IOASID that VFIO_SET_IOMMU allocated, 0 for none
 */
struct ioasid_container {
	struct mutex lock;		/* groups, type, ioasid, made */
	struct list_head groups;
	u32 type;
	u32 ioasid;
	u32 made;
};

/**
 * struct ioasid_numbers - PASIDs of the machine that a context has
 * @lock: serialises changes of @by_vpasid and @by_ioasid
 * @by_vpasid: common numbers, struct ioasid_number by vPASID
 * @by_ioasid: the same by id of the IOASID
 * @gone: listeners that are told of numbers that go
 */
struct ioasid_numbers {
	struct mutex lock;		/* common numbers */
	struct xarray by_vpasid;
	struct xarray by_ioasid;
	struct blocking_notifier_head gone;
};

/**
 * struct ioasid_ctx - an open file of /dev/ioasid, and the devices bound to it
 * @users: the file, each bound device, and each container of VFIO that lends its
 *	groups to the file
 * @refs: keeps the structure and @account allocated after @users is 0 (as
 *	mm_count does for an mm): one for @users, one for each child and each
 *	export
 * @objects: IOASIDs, imports and devices by id
 * @last_id: the id that was allocated last; the sign bit does not count
 * @account: memory that is pinned and charged
 * @nr_ioasids: number of IOASIDs and imports
 * @limit_ioasids: limit of @nr_ioasids, U64_MAX for none
 * @nr_pasids: number of attachments by PASID
 * @limit_pasids: limit of @nr_pasids, U64_MAX for none
 * @patience: jiffies that close and destruction may still wait for drivers
 * @has_parents: an IOASID has had a parent, or was exported; never cleared
 * @lock: protects the options, @sealed, @groups and @shared; taken before the
 *	lock of a group
 * @sealed: bit per enum ioasid_option: the option cannot be changed
 * @groups: iommu groups that are owned for bound devices: at most those of the
 *	machine
 * @shared: those of devices that their kernel drivers share, one for each bind:
 *	as many as a driver permits
 * @routes_lock: protects the routes of devices and groups, for readers that
 *	must not wait for an attach; a leaf
 * @numbers: PASIDs of the machine
 * @container: state of the container commands of VFIO
 * @events: waits for an IOASID in @objects to have IOASID_EVENT_MARK
 * @orphaned: a parent was freed; its children are not marked yet
 */
struct ioasid_ctx {
	refcount_t users;
	refcount_t refs;
	struct xarray objects;
	atomic_t last_id;
	struct ioasid_account account;
	atomic_t nr_ioasids;
	u64 limit_ioasids;
	atomic_t nr_pasids;
	u64 limit_pasids;
	long patience;
	bool has_parents;
	struct mutex lock;		/* options, groups, shared */
	unsigned int sealed;
	struct list_head groups;
	struct list_head shared;
	spinlock_t routes_lock;		/* routes of devices and groups */
	struct ioasid_numbers numbers;
	struct ioasid_container container;
	wait_queue_head_t events;
	bool orphaned;
};

/* In ioasid_ctx.objects: the state of an IOASID has changed, and was not read since */
#define IOASID_EVENT_MARK	XA_MARK_0
/* The same: it is marked, or was, because its parent was freed */
#define IOASID_ORPHAN_MARK	XA_MARK_1

/* Look up an object; see ioasid_object_get() */
static __always_inline struct ioasid_object *
ioasid_object_lookup(struct ioasid_ctx *ctx, u32 id,
		     enum ioasid_object_type type)
{
	struct ioasid_object *obj;

	rcu_read_lock();
	obj = xa_load(&ctx->objects, id);
	if (obj && obj->type == type && refcount_inc_not_zero(&obj->users))
		smp_acquire__after_ctrl_dep();
	else
		obj = NULL;
	rcu_read_unlock();
	return obj;
}

/* How many more attachments by PASID the limit permits */
static inline u32 ioasid_ctx_pasids_left(struct ioasid_ctx *ctx)
{
	u64 limit = READ_ONCE(ctx->limit_pasids);
	u32 used = atomic_read(&ctx->nr_pasids);

	return limit > used ? min_t(u64, limit - used, U32_MAX) : 0;
}

/* object.c */
bool ioasid_ctx_count(struct ioasid_ctx *ctx);
void ioasid_object_event(struct ioasid_object *obj);
void ioasid_ctx_orphaned(struct ioasid_ctx *ctx);
bool ioasid_ctx_has_event(struct ioasid_ctx *ctx);
struct ioasid_object *ioasid_ctx_next_event(struct ioasid_ctx *ctx);
void ioasid_ctx_drop(struct ioasid_ctx *ctx);

#endif /* _IOASID_CONTEXT_H */
