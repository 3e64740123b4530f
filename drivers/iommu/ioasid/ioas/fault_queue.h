/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Queues of faults.
 */
#ifndef _IOASID_IOAS_FAULT_QUEUE_H
#define _IOASID_IOAS_FAULT_QUEUE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct device;
struct eventfd_ctx;
struct file;
struct fault_slot;
struct ioas_fault_queue;
struct ioas_fault_server;
struct ioas_fault_route;
struct ioasid_fault;
struct iopf_group;
struct poll_table_struct;

/* The most page requests of one group: the core drops others */
#define IOAS_FAULT_GROUP_MAX	257

/**
 * struct ioas_fault_counts - faults of a device
 * @told: records and groups that were told
 * @lost: those that were not
 */
struct ioas_fault_counts {
	atomic64_t told;
	atomic64_t lost;
};

/**
 * struct ioas_fault_origin - where the faults of a route come from
 * @dev: the device
 * @pasid: the PASID on the wire; IOMMU_NO_PASID, by requester id
 * @takes_pasids: by requester id: faults of all PASIDs that have no route
 * @vpasid: of records: the PASID of user space
 * @ioasid: the same: id of the IOASID
 * @devid: the same: id of the device
 * @cookie: the same: its cookie
 * @counts: of the device; outlives the route
 */
struct ioas_fault_origin {
	struct device *dev;
	u32 pasid;
	bool takes_pasids;
	u32 vpasid;
	u32 ioasid;
	u32 devid;
	u64 cookie;
	struct ioas_fault_counts *counts;
};

/**
 * struct ioas_fault_stats - what is in a queue
 * @depth: groups of page requests that it has room for
 * @groups: those that wait to be read, or to be answered
 * @events: accesses that have failed, and wait to be read
 * @lost: records that were lost since the last one that told of it
 */
struct ioas_fault_stats {
	u32 depth;
	u32 groups;
	u32 events;
	u64 lost;
};

/**
 * struct fault_share - a device that has routes to a queue
 * @node: in ioas_fault_queue.shares
 * @counts: of the device; only to be compared
 * @devid: of records that tell of lost ones
 * @cookie: the same
 * @routes: number of routes
 * @groups: number of slots that its groups have
 * @lost: records that were not told, and whose loss was not told either
 * @second: the second that @events counts in
 * @events: accesses that have failed in it
 */
struct fault_share {
	struct list_head node;
	const struct ioas_fault_counts *counts;
	u32 devid;
	u64 cookie;
	unsigned int routes;
	unsigned int groups;
	u64 lost;
	u64 second;
	unsigned int events;
};

/**
 * struct ioas_fault_route - a route of the faults of a device, or of its PASID
 * @node: in routes, by device and PASID
 * @origin: where they come from
 * @queue: where they go, with a reference
 * @share: the device's, of @queue
 * @slots: groups that wait to be answered
 * @answering: number of groups that threads are answering
 * @moving: the attachment is about to move, or to end
 * @requests: counts in struct fault_requester
 */
struct ioas_fault_route {
	struct hlist_node node;
	struct ioas_fault_origin origin;
	struct ioas_fault_queue *queue;
	struct fault_share *share;
	struct list_head slots;
	unsigned int answering;
	bool moving;
	bool requests;
};

/**
 * struct fault_slot - room for a group of page requests
 * @node: in one of the lists of struct ioas_fault_queue
 * @in_route: in ioas_fault_route.slots
 * @group: the group; NULL, the slot is free
 * @route: the route by which it came
 * @time: when it came
 * @turn: number of the group in this slot, for its id; not 0
 * @told: it was read
 */
struct fault_slot {
	struct list_head node;
	struct list_head in_route;
	struct iopf_group *group;
	struct ioas_fault_route *route;
	u64 time;
	u16 turn;
	bool told;
};

/**
 * struct ioas_fault_queue - a queue of faults
 * @refs: the file, the object of the context, and each route
 * @lock: protects what follows, and what slots, routes and shares have
 * @wait: threads that wait for records
 * @answered: threads that wait until ioas_fault_route.answering is 0
 * @eventfd: signalled with each record; or NULL
 * @wake: let @server serve page requests; NULL, user space reads them.  Does not
 *	sleep, and is called with @lock held
 * @server: for @wake
 * @closed: the file is closed: nothing is told any longer
 * @ended: no fault will come any longer
 * @free: slots that are free
 * @waiting: slots to be read, in the order in which their groups came
 * @told: slots that were read
 * @shares: struct fault_share
 * @nr_shares: number of these
 * @lost: records of devices that have no share any longer, as fault_share.lost
 * @events: ring of accesses that have failed; NULL, they are only counted
 * @first: index of the one that is read next
 * @nr_events: number of these
 * @depth: number of @slots
 * @slots: the slots
 */
struct ioas_fault_queue {
	refcount_t refs;
	spinlock_t lock;		/* see above */
	wait_queue_head_t wait;
	wait_queue_head_t answered;
	struct eventfd_ctx *eventfd;
	void (*wake)(struct ioas_fault_queue *queue);
	struct ioas_fault_server *server;
	bool closed;
	bool ended;
	struct list_head free;
	struct list_head waiting;
	struct list_head told;
	struct list_head shares;
	unsigned int nr_shares;
	u64 lost;
	struct ioasid_fault *events;
	unsigned int first;
	unsigned int nr_events;
	u32 depth;
	struct fault_slot slots[] __counted_by(depth);
};

/* Queues */
struct ioas_fault_queue *ioas_fault_queue_alloc(u32 depth,
						struct eventfd_ctx *eventfd,
						bool events);
void ioas_fault_queue_put(struct ioas_fault_queue *queue);
void ioas_fault_queue_get(struct ioas_fault_queue *queue);
void ioas_fault_queue_close(struct ioas_fault_queue *queue);
void ioas_fault_queue_end(struct ioas_fault_queue *queue);
int ioas_fault_queue_take(struct ioas_fault_queue *queue,
			  struct ioasid_fault *to, size_t room);
void ioas_fault_queue_untake(struct ioas_fault_queue *queue,
			     const struct ioasid_fault *from);
bool ioas_fault_queue_ended(const struct ioas_fault_queue *queue);
int ioas_fault_queue_wait(struct ioas_fault_queue *queue);
int ioas_fault_queue_answer(struct ioas_fault_queue *queue, u32 id, u32 code);
__poll_t ioas_fault_queue_poll(struct ioas_fault_queue *queue,
			       struct file *file,
			       struct poll_table_struct *wait);

void ioas_fault_queue_stats(struct ioas_fault_queue *queue,
			    struct ioas_fault_stats *stats);

/* For servers */
u32 ioas_fault_slot_id(const struct ioas_fault_queue *queue,
		       const struct fault_slot *slot);
struct fault_slot *ioas_fault_slot_find(struct ioas_fault_queue *queue, u32 id);

/* For routes */
bool ioas_fault_keep(struct ioas_fault_route *route, struct iopf_group *group);
void ioas_fault_refused(struct ioas_fault_route *route, u32 pasid, u64 addr,
			u32 permission, u64 reason);
void ioas_fault_answer_all(struct ioas_fault_route *route, u32 code);

#endif /* _IOASID_IOAS_FAULT_QUEUE_H */
