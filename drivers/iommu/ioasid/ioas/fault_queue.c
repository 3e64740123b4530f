// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues of faults: what waits to be read, and to be answered.
 *
 * Invariants:
 *  - A group of page requests has one owner, which answers it: the handler that has
 *    taken it from the core; then a slot of a queue; then the thread that has taken it
 *    out of its slot.
 *  - A slot is free, waiting to be read, or told to user space.  The slots of a queue
 *    are allocated with it, so that neither a fault nor an answer needs memory.
 *  - An answer names its slot by an index and a number of the slot's that is another
 *    one for the next group.
 *  - A device has at most its share of the slots: a flood leaves room for others.
 *  - Records that find no room are counted; a record IOASID_FAULT_LOST has the count.
 *
 * Waits: ioas_fault_answer_all() waits for threads that are just answering a group of
 * the route.  No thread answers while it accesses user memory.
 *
 * Locks: ioas_fault_queue.lock protects all; it may be taken in a hard interrupt.
 */
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include <trace/events/ioasid.h>

#include <uapi/linux/ioasid.h>

#include "fault_queue.h"
#include "iommu.h"

/* Accesses that have failed: records that a queue has room for */
#define EVENTS		64
/* The same of a device in a second; others are counted only */
#define EVENTS_RATE	100
/* Groups that a device may always have in a queue */
#define SHARE_MIN	8

/* ---- Slots ---- */

/* The index of a slot takes 16 bits of an id, its turn the others */
#define TURN_SHIFT	16

/**
 * ioas_fault_slot_id() - the id of the group in a slot
 * @queue: the queue
 * @slot: one of its slots
 *
 * Return: the id, not 0.
 */
u32 ioas_fault_slot_id(const struct ioas_fault_queue *queue,
		       const struct fault_slot *slot)
{
	return (u32)slot->turn << TURN_SHIFT | (u32)(slot - queue->slots);
}

/**
 * ioas_fault_slot_find() - find the slot of a group that a reader was told of
 * @queue: the queue, locked
 * @id: id of the group
 *
 * Return: the slot; NULL, there is none, or the group was answered.
 */
struct fault_slot *ioas_fault_slot_find(struct ioas_fault_queue *queue, u32 id)
{
	u32 index = id & (BIT(TURN_SHIFT) - 1);
	struct fault_slot *slot;

	lockdep_assert_held(&queue->lock);
	if (index >= queue->depth)
		return NULL;
	slot = &queue->slots[array_index_nospec(index, queue->depth)];
	return slot->group && slot->told && ioas_fault_slot_id(queue, slot) == id ? slot :
									 NULL;
}

/*
 * Take a group out of its slot.  The caller answers it, and calls
 * end_answer() for the route.
 */
static struct iopf_group *take_group(struct ioas_fault_queue *queue,
				     struct fault_slot *slot)
{
	struct iopf_group *group = slot->group;

	lockdep_assert_held(&queue->lock);
	slot->group = NULL;
	slot->told = false;
	if (!++slot->turn)
		slot->turn = 1;
	list_del(&slot->in_route);
	/* The id is used again as late as possible */
	list_move_tail(&slot->node, &queue->free);
	slot->route->share->groups--;
	slot->route->answering++;
	return group;
}

/* From here on the route may be gone */
static void end_answer(struct ioas_fault_queue *queue,
		       struct ioas_fault_route *route)
{
	lockdep_assert_held(&queue->lock);
	if (!--route->answering)
		wake_up_all(&queue->answered);
}

/* Answer a group in a slot.  Drops and takes the lock */
static void answer_slot(struct ioas_fault_queue *queue, struct fault_slot *slot,
			u32 code)
	__must_hold(&queue->lock)
{
	struct ioas_fault_route *route = slot->route;
	const struct ioas_fault_origin *origin = &route->origin;
	u32 id = ioas_fault_slot_id(queue, slot);
	struct iopf_group *group = take_group(queue, slot);

	trace_ioasid_fault_answer(origin->devid, origin->vpasid,
				  origin->ioasid, id, code);

	spin_unlock_irq(&queue->lock);
	ioas_iommu_answer(group, code);
	cond_resched();
	spin_lock_irq(&queue->lock);
	end_answer(queue, route);
}

/* ---- Records ---- */

static bool has_records(const struct ioas_fault_queue *queue)
{
	const struct fault_share *share;

	if (!list_empty(&queue->waiting) || queue->nr_events || queue->lost)
		return true;
	list_for_each_entry(share, &queue->shares, node)
		if (share->lost)
			return true;
	return false;
}

static void tell(struct ioas_fault_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	if (queue->wake) {
		queue->wake(queue);
		return;
	}
	wake_up_interruptible_poll(&queue->wait, EPOLLIN | EPOLLRDNORM);
	if (queue->eventfd)
		eventfd_signal(queue->eventfd);
}

static void count_lost(struct ioas_fault_route *route)
{
	struct ioas_fault_queue *queue = route->queue;

	lockdep_assert_held(&queue->lock);
	atomic64_inc(&route->origin.counts->lost);
	if (queue->closed || queue->wake)
		return;
	/* One record tells of all that are lost until it is read */
	if (!route->share->lost++)
		tell(queue);
}

/* What user space does by requester id may have a PASID on the wire */
static u32 flags_of(const struct ioas_fault_origin *origin, bool by_pasid)
{
	if (by_pasid && origin->takes_pasids)
		return IOASID_FAULT_BY_PASID | IOASID_FAULT_TABLE;
	return origin->vpasid == IOMMU_NO_PASID ? 0 : IOASID_FAULT_BY_PASID;
}

/* ---- Page requests ---- */

static unsigned int share_limit(const struct ioas_fault_queue *queue)
{
	return max(SHARE_MIN, queue->depth / queue->nr_shares);
}

/* Describe a request of the group of a slot */
static void describe(const struct ioas_fault_queue *queue,
		     const struct fault_slot *slot,
		     const struct iommu_fault_page_request *prm,
		     struct ioasid_fault *to)
{
	const struct ioas_fault_origin *origin = &slot->route->origin;
	bool by_pasid = prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;

	*to = (struct ioasid_fault){
		.kind = IOASID_FAULT_PAGE_REQUEST,
		.flags = flags_of(origin, by_pasid),
		.ioasid = origin->ioasid,
		.devid = origin->devid,
		.cookie = origin->cookie,
		.addr = prm->addr,
		.vpasid = by_pasid && origin->takes_pasids ? prm->pasid :
							     origin->vpasid,
		.permission = prm->perm,
		.id = ioas_fault_slot_id(queue, slot),
		.group = prm->grpid,
		.time = slot->time,
	};
	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
		to->flags |= IOASID_FAULT_LAST;
}

/* Describe the group of a slot; returns the number of records */
static unsigned int describe_group(const struct ioas_fault_queue *queue,
				   const struct fault_slot *slot,
				   struct ioasid_fault *to)
{
	const struct iopf_fault *fault;
	unsigned int n = 0;

	list_for_each_entry(fault, &slot->group->faults, list)
		describe(queue, slot, &fault->fault.prm, &to[n++]);
	return n;
}

/* The last request stands for all */
static void trace_group(const struct ioas_fault_queue *queue,
			const struct fault_slot *slot)
{
	struct ioasid_fault record;

	if (!trace_ioasid_fault_enabled())
		return;
	describe(queue, slot, &slot->group->last_fault.fault.prm, &record);
	trace_ioasid_fault(&record);
}

/**
 * ioas_fault_keep() - give a group of page requests a slot
 * @route: the route by which it comes, whose queue is locked
 * @group: the group, which is taken over
 *
 * Return: true; false, there is none for it: the caller answers it.
 */
bool ioas_fault_keep(struct ioas_fault_route *route, struct iopf_group *group)
{
	struct ioas_fault_queue *queue = route->queue;
	struct fault_slot *slot;

	lockdep_assert_held(&queue->lock);
	slot = list_first_entry_or_null(&queue->free, struct fault_slot, node);
	if (!slot || queue->closed ||
	    group->fault_count > IOAS_FAULT_GROUP_MAX ||
	    route->share->groups >= share_limit(queue)) {
		/* The device tries again what the kernel serves */
		if (!queue->wake)
			count_lost(route);
		return false;
	}
	slot->group = group;
	slot->route = route;
	slot->time = ktime_get_ns();
	list_move_tail(&slot->node, &queue->waiting);
	list_add_tail(&slot->in_route, &route->slots);
	route->share->groups++;
	atomic64_inc(&route->origin.counts->told);
	trace_group(queue, slot);
	tell(queue);
	return true;
}

/* ---- Accesses that have failed ---- */

/* Count one for the second that it is in; false, there were too many */
static bool may_tell(struct fault_share *share, u64 now)
{
	u64 second = div_u64(now, NSEC_PER_SEC);

	if (share->second != second) {
		share->second = second;
		share->events = 0;
	}
	return share->events++ < EVENTS_RATE;
}

/**
 * ioas_fault_refused() - tell of an access that the IOMMU has refused
 * @route: the route of its device, whose queue is locked
 * @pasid: the PASID on the wire; IOMMU_NO_PASID, none
 * @addr: the address; U64_MAX, it is not known
 * @permission: enum ioasid_fault_permission; 0, it is not known
 * @reason: the code of the IOMMU
 *
 * Context: any, also a hard interrupt.
 */
void ioas_fault_refused(struct ioas_fault_route *route, u32 pasid, u64 addr,
			u32 permission, u64 reason)
{
	const struct ioas_fault_origin *origin = &route->origin;
	struct ioas_fault_queue *queue = route->queue;
	u64 now = ktime_get_ns();
	struct ioasid_fault *event;

	lockdep_assert_held(&queue->lock);
	if (queue->closed || !queue->events || queue->nr_events == EVENTS ||
	    !may_tell(route->share, now)) {
		count_lost(route);
		return;
	}
	event = &queue->events[(queue->first + queue->nr_events++) % EVENTS];
	*event = (struct ioasid_fault){
		.kind = IOASID_FAULT_UNREPAIRABLE,
		.flags = flags_of(origin, pasid != IOMMU_NO_PASID),
		.ioasid = origin->ioasid,
		.devid = origin->devid,
		.cookie = origin->cookie,
		.addr = addr,
		.vpasid = origin->takes_pasids ? pasid : origin->vpasid,
		.permission = permission,
		.time = now,
		.reason = reason,
	};
	trace_ioasid_fault(event);
	atomic64_inc(&origin->counts->told);
	tell(queue);
}

/* ---- Read ---- */

/* A record of lost ones; returns false if none are */
static bool take_lost(struct ioas_fault_queue *queue, struct ioasid_fault *to)
{
	struct fault_share *share;

	lockdep_assert_held(&queue->lock);
	*to = (struct ioasid_fault){
		.kind = IOASID_FAULT_LOST,
		.time = ktime_get_ns(),
	};
	if (queue->lost) {
		to->lost = queue->lost;
		queue->lost = 0;
		return true;
	}
	list_for_each_entry(share, &queue->shares, node) {
		if (!share->lost)
			continue;
		to->lost = share->lost;
		to->devid = share->devid;
		to->cookie = share->cookie;
		share->lost = 0;
		return true;
	}
	return false;
}

/**
 * ioas_fault_queue_take() - take a record, or the records of a group
 * @queue: the queue
 * @to: out
 * @room: number of records that @to has room for
 *
 * The group is told to user space from here on.
 *
 * Return: number of records; 0, there is none; -EINVAL, the group does not fit.
 */
int ioas_fault_queue_take(struct ioas_fault_queue *queue,
			  struct ioasid_fault *to, size_t room)
{
	struct fault_slot *slot;
	int n = 1;

	spin_lock_irq(&queue->lock);
	if (take_lost(queue, to))
		goto unlock;
	if (queue->nr_events) {
		*to = queue->events[queue->first];
		queue->first = (queue->first + 1) % EVENTS;
		queue->nr_events--;
		goto unlock;
	}
	slot = list_first_entry_or_null(&queue->waiting, struct fault_slot,
					node);
	if (!slot) {
		n = 0;
	} else if (slot->group->fault_count > room) {
		n = -EINVAL;
	} else {
		n = describe_group(queue, slot, to);
		slot->told = true;
		list_move_tail(&slot->node, &queue->told);
	}
unlock:
	spin_unlock_irq(&queue->lock);
	return n;
}

/* Count again what a record tells: its device may be gone */
static void put_lost(struct ioas_fault_queue *queue,
		     const struct ioasid_fault *from)
{
	struct fault_share *share;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry(share, &queue->shares, node) {
		if (share->devid == from->devid) {
			share->lost += from->lost;
			return;
		}
	}
	queue->lost += from->lost;
}

/**
 * ioas_fault_queue_untake() - undo ioas_fault_queue_take(): it was not told
 * @queue: the queue
 * @from: the first record
 */
void ioas_fault_queue_untake(struct ioas_fault_queue *queue,
			     const struct ioasid_fault *from)
{
	struct fault_slot *slot;

	spin_lock_irq(&queue->lock);
	if (from->id) {
		/* It may have been answered: the route is gone, or the id guessed */
		slot = ioas_fault_slot_find(queue, from->id);
		if (slot) {
			slot->told = false;
			list_move(&slot->node, &queue->waiting);
		}
	} else if (from->lost) {
		put_lost(queue, from);
	} else if (queue->nr_events == EVENTS) {
		queue->lost++;
	} else {
		queue->first = (queue->first + EVENTS - 1) % EVENTS;
		queue->events[queue->first] = *from;
		queue->nr_events++;
	}
	tell(queue);
	spin_unlock_irq(&queue->lock);
}

/**
 * ioas_fault_queue_ended() - test whether records can still come
 * @queue: the queue
 *
 * Return: true if none will come any longer: readers take what is left.
 */
bool ioas_fault_queue_ended(const struct ioas_fault_queue *queue)
{
	return READ_ONCE(queue->ended);
}

static bool may_take(struct ioas_fault_queue *queue)
{
	bool may;

	spin_lock_irq(&queue->lock);
	may = queue->ended || has_records(queue);
	spin_unlock_irq(&queue->lock);
	return may;
}

/**
 * ioas_fault_queue_wait() - wait for records, or until none can come
 * @queue: the queue
 *
 * Context: may sleep.
 * Return: 0; -ERESTARTSYS, a signal.
 */
int ioas_fault_queue_wait(struct ioas_fault_queue *queue)
{
	return wait_event_interruptible(queue->wait, may_take(queue));
}

/**
 * ioas_fault_queue_answer() - answer a group of page requests
 * @queue: the queue
 * @id: id of the group
 * @code: enum ioasid_fault_code
 *
 * Context: may sleep.
 * Return: 0; -ENOENT, no group that was told and not answered has this id.
 */
int ioas_fault_queue_answer(struct ioas_fault_queue *queue, u32 id, u32 code)
{
	struct fault_slot *slot;

	spin_lock_irq(&queue->lock);
	slot = ioas_fault_slot_find(queue, id);
	if (slot)
		answer_slot(queue, slot, code);
	spin_unlock_irq(&queue->lock);
	return slot ? 0 : -ENOENT;
}

/**
 * ioas_fault_queue_poll() - poll() of the file of a queue
 * @queue: the queue
 * @file: its file
 * @wait: the table
 *
 * Return: EPOLLIN and so on, there are records; EPOLLHUP, none will come any longer.
 */
__poll_t ioas_fault_queue_poll(struct ioas_fault_queue *queue,
			       struct file *file,
			       struct poll_table_struct *wait)
{
	__poll_t mask = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &queue->wait, wait);
	spin_lock_irq(&queue->lock);
	if (has_records(queue))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (queue->ended)
		mask |= EPOLLHUP;
	spin_unlock_irq(&queue->lock);
	return mask;
}

/**
 * ioas_fault_queue_stats() - count what is in a queue
 * @queue: the queue
 * @stats: out
 */
void ioas_fault_queue_stats(struct ioas_fault_queue *queue,
			    struct ioas_fault_stats *stats)
{
	const struct fault_share *share;

	spin_lock_irq(&queue->lock);
	*stats = (struct ioas_fault_stats){
		.depth = queue->depth,
		.events = queue->nr_events,
		.lost = queue->lost,
	};
	list_for_each_entry(share, &queue->shares, node) {
		stats->groups += share->groups;
		stats->lost += share->lost;
	}
	spin_unlock_irq(&queue->lock);
}

/**
 * ioas_fault_answer_all() - answer all groups of a route
 * @route: the route, by which no other comes any longer
 * @code: enum ioasid_fault_code
 *
 * Context: may sleep.
 */
void ioas_fault_answer_all(struct ioas_fault_route *route, u32 code)
{
	struct ioas_fault_queue *queue = route->queue;
	struct fault_slot *slot;

	spin_lock_irq(&queue->lock);
	for (;;) {
		slot = list_first_entry_or_null(&route->slots,
						struct fault_slot, in_route);
		if (slot) {
			answer_slot(queue, slot, code);
			continue;
		}
		if (!route->answering)
			break;
		spin_unlock_irq(&queue->lock);
		wait_event(queue->answered, !READ_ONCE(route->answering));
		spin_lock_irq(&queue->lock);
	}
	spin_unlock_irq(&queue->lock);
}

/* ---- Life of a queue ---- */

/**
 * ioas_fault_queue_alloc() - allocate a queue
 * @depth: number of groups of page requests that it has room for, at most 65536
 * @eventfd: signalled with each record, and put with the last reference; or NULL
 * @events: accesses that have failed are told, too
 *
 * Context: may sleep.
 * Return: the queue, with a reference; NULL, there is no memory: @eventfd is still
 * the caller's.
 */
struct ioas_fault_queue *ioas_fault_queue_alloc(u32 depth,
						struct eventfd_ctx *eventfd,
						bool events)
{
	struct ioas_fault_queue *queue;
	u32 i;

	queue = kvzalloc(struct_size(queue, slots, depth), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return NULL;
	if (events) {
		queue->events = kcalloc(EVENTS, sizeof(*queue->events),
					GFP_KERNEL_ACCOUNT);
		if (!queue->events) {
			kvfree(queue);
			return NULL;
		}
	}
	refcount_set(&queue->refs, 1);
	spin_lock_init(&queue->lock);
	init_waitqueue_head(&queue->wait);
	init_waitqueue_head(&queue->answered);
	queue->eventfd = eventfd;
	queue->depth = depth;
	INIT_LIST_HEAD(&queue->free);
	INIT_LIST_HEAD(&queue->waiting);
	INIT_LIST_HEAD(&queue->told);
	INIT_LIST_HEAD(&queue->shares);
	for (i = 0; i < depth; i++) {
		queue->slots[i].turn = 1;
		list_add_tail(&queue->slots[i].node, &queue->free);
	}
	return queue;
}

void ioas_fault_queue_get(struct ioas_fault_queue *queue)
{
	refcount_inc(&queue->refs);
}

/**
 * ioas_fault_queue_put() - drop a reference to a queue
 * @queue: the queue
 *
 * Context: may sleep.
 */
void ioas_fault_queue_put(struct ioas_fault_queue *queue)
{
	if (!refcount_dec_and_test(&queue->refs))
		return;
	if (queue->eventfd)
		eventfd_ctx_put(queue->eventfd);
	kfree(queue->events);
	kvfree(queue);
}

/**
 * ioas_fault_queue_close() - tell nothing any longer: the file is closed
 * @queue: the queue
 *
 * All groups are answered, and those that come later.
 *
 * Context: may sleep.
 */
void ioas_fault_queue_close(struct ioas_fault_queue *queue)
{
	struct fault_slot *slot;

	spin_lock_irq(&queue->lock);
	queue->closed = true;
	for (;;) {
		slot = list_first_entry_or_null(&queue->waiting,
						struct fault_slot, node) ?:
		       list_first_entry_or_null(&queue->told,
						struct fault_slot, node);
		if (!slot)
			break;
		answer_slot(queue, slot, IOASID_FAULT_INVALID);
	}
	spin_unlock_irq(&queue->lock);
}

/**
 * ioas_fault_queue_end() - let readers know that no fault will come any longer
 * @queue: the queue, to which there is no route
 */
void ioas_fault_queue_end(struct ioas_fault_queue *queue)
{
	spin_lock_irq(&queue->lock);
	queue->ended = true;
	wake_up_interruptible_poll(&queue->wait, EPOLLHUP);
	spin_unlock_irq(&queue->lock);
}
