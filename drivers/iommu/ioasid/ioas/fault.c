// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults of devices: page requests, which wait for an answer, and accesses that have
 * failed.  Routes lead them to queues, which user space reads.
 *
 * Invariants:
 *  - A fault is reported by the route that exists when it comes.  While an attachment
 *    moves its route reports no page request, since the core may still name the old
 *    domain: the device is told to try again, and repeats the request.
 *  - A device's page requests are on as long as it has a route.  The core frees groups
 *    when they are switched off, so that all are answered before.
 *  - The last route of a PASID is gone, and its groups are answered, before another
 *    attachment can have the number.
 *
 * Locks: fault_routes_lock protects the hash of routes; ioas_fault_queue.lock, which
 * nests in it, what they have.  Both may be taken in a hard interrupt.  The handler is
 * called by a thread of the IOMMU driver for which a detach waits: it takes nothing
 * else but locks of the core.  requesters_lock protects the list of devices whose page
 * requests are on, nr_listeners_lock the number of listeners.
 */
#include <linux/device.h>
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "fault.h"
#include "iommu.h"

#define ROUTE_BITS	10

static DEFINE_HASHTABLE(routes, ROUTE_BITS);
static DEFINE_SPINLOCK(fault_routes_lock);

/**
 * struct fault_requester - a device whose page requests are on
 * @node: in requesters
 * @dev: the device
 * @routes: number of routes
 * @ours: they are off when there is no route any longer
 */
struct fault_requester {
	struct list_head node;
	struct device *dev;
	unsigned int routes;
	bool ours;
};

static LIST_HEAD(requesters);
static DEFINE_MUTEX(requesters_lock);

/* ---- Faults ---- */

static u32 hash_of(const struct device *dev, u32 pasid)
{
	return hash_ptr(dev, 32) ^ pasid;
}

static struct ioas_fault_route *find_route(const struct device *dev, u32 pasid)
{
	struct ioas_fault_route *route;

	lockdep_assert_held(&fault_routes_lock);
	hash_for_each_possible(routes, route, node, hash_of(dev, pasid))
		if (route->origin.dev == dev && route->origin.pasid == pasid)
			return route;
	return NULL;
}

/* The route of a fault, or NULL */
static struct ioas_fault_route *route_of(const struct device *dev, u32 pasid)
{
	struct ioas_fault_route *route = find_route(dev, pasid);

	if (!route && pasid != IOMMU_NO_PASID) {
		route = find_route(dev, IOMMU_NO_PASID);
		if (route && !route->origin.takes_pasids)
			route = NULL;
	}
	return route;
}

/*
 * Take a group from the core.  Called by a thread of the IOMMU driver, which holds its
 * locks.  Returns 0: after an errno the core tells the device to send no more.
 */
static int handle_group(struct iopf_group *group)
{
	struct device *dev = group->fault_param->dev;
	u32 pasid = ioas_iommu_group_pasid(group);
	u32 code = IOASID_FAULT_INVALID;
	struct ioas_fault_route *route;
	unsigned long flags;
	bool kept = false;

	ioas_iommu_take_group(group);
	spin_lock_irqsave(&fault_routes_lock, flags);
	route = route_of(dev, pasid);
	if (route) {
		spin_lock(&route->queue->lock);
		if (!route->moving)
			kept = ioas_fault_keep(route, group);
		/* The device tries again; a server gets round to it */
		if (route->moving || route->queue->wake)
			code = IOASID_FAULT_SUCCESS;
		spin_unlock(&route->queue->lock);
	}
	spin_unlock_irqrestore(&fault_routes_lock, flags);
	if (!kept)
		ioas_iommu_answer(group, code);
	return 0;
}

/**
 * ioas_fault_serve() - let a domain lead page requests to routes
 * @iommu: the domain, to which nothing is attached
 */
void ioas_fault_serve(struct iommu_domain *iommu)
{
	iommu->iopf_handler = handle_group;
}

/* See struct ioas_fault_listener */
static void hear(const struct device *dev, u32 pasid, u64 addr, u32 permission,
		 u64 reason)
{
	struct ioas_fault_route *route;
	unsigned long flags;

	spin_lock_irqsave(&fault_routes_lock, flags);
	route = route_of(dev, pasid);
	if (route) {
		spin_lock(&route->queue->lock);
		ioas_fault_refused(route, pasid, addr, permission, reason);
		spin_unlock(&route->queue->lock);
	}
	spin_unlock_irqrestore(&fault_routes_lock, flags);
}

static struct ioas_fault_listener listener = { .hear = hear };
static unsigned int nr_listeners;
static DEFINE_MUTEX(nr_listeners_lock);

/**
 * ioas_fault_listen() - have IOMMUs tell of accesses that they refuse
 *
 * They look for nothing as long as there is no queue.
 *
 * Context: may sleep.
 * Return: 0; or an errno of the IOMMU core.
 */
int ioas_fault_listen(void)
{
	int ret = 0;

	mutex_lock(&nr_listeners_lock);
	if (!nr_listeners)
		ret = ioas_iommu_listen(&listener);
	if (!ret)
		nr_listeners++;
	mutex_unlock(&nr_listeners_lock);
	return ret;
}

/**
 * ioas_fault_unlisten() - undo ioas_fault_listen()
 *
 * Context: may sleep.
 */
void ioas_fault_unlisten(void)
{
	mutex_lock(&nr_listeners_lock);
	if (!--nr_listeners)
		ioas_iommu_unlisten(&listener);
	mutex_unlock(&nr_listeners_lock);
}

/* ---- Devices ---- */

/* Switch page requests of a device on.  @on: out, they are */
static int requester_get(struct device *dev, bool *on)
{
	struct fault_requester *requester;
	int ret = 0;

	*on = false;
	mutex_lock(&requesters_lock);
	list_for_each_entry(requester, &requesters, node) {
		if (requester->dev != dev)
			continue;
		requester->routes++;
		*on = true;
		goto unlock;
	}
	ret = -ENOMEM;
	requester = kzalloc(sizeof(*requester), GFP_KERNEL_ACCOUNT);
	if (!requester)
		goto unlock;
	ret = ioas_iommu_enable_requests(dev);
	if (ret && ret != -EBUSY) {
		kfree(requester);
		/* Otherwise it has none, or none that can be served */
		if (ret != -ENOMEM)
			ret = 0;
		goto unlock;
	}
	/* The driver that shares the device may have switched them on */
	requester->ours = !ret;
	requester->dev = dev;
	requester->routes = 1;
	list_add(&requester->node, &requesters);
	*on = true;
	ret = 0;
unlock:
	mutex_unlock(&requesters_lock);
	return ret;
}

static void requester_put(struct device *dev)
{
	struct fault_requester *requester;

	mutex_lock(&requesters_lock);
	list_for_each_entry(requester, &requesters, node) {
		if (requester->dev != dev)
			continue;
		if (!--requester->routes) {
			if (requester->ours)
				ioas_iommu_disable_requests(dev);
			list_del(&requester->node);
			kfree(requester);
		}
		break;
	}
	mutex_unlock(&requesters_lock);
}

/**
 * ioas_fault_requests() - test whether a device requests pages
 * @dev: the device
 *
 * Only the driver of its IOMMU knows, when the requests are switched on.
 *
 * Context: may sleep.
 * Return: true if it does; false, too, without memory.
 */
bool ioas_fault_requests(struct device *dev)
{
	bool on;

	if (requester_get(dev, &on))
		return false;
	if (on)
		requester_put(dev);
	return on;
}

/* ---- Routes ---- */

/*
 * Let a device have one more route to a queue: its share, or @unused, which becomes
 * that and is NULL then
 */
static struct fault_share *get_share(struct ioas_fault_queue *queue,
				     const struct ioas_fault_origin *origin,
				     struct fault_share **unused)
{
	struct fault_share *share;

	spin_lock_irq(&queue->lock);
	list_for_each_entry(share, &queue->shares, node) {
		/* Several devices of a driver may have one struct device */
		if (share->counts != origin->counts)
			continue;
		share->routes++;
		goto unlock;
	}
	share = *unused;
	*unused = NULL;
	share->counts = origin->counts;
	share->devid = origin->devid;
	share->cookie = origin->cookie;
	share->routes = 1;
	list_add_tail(&share->node, &queue->shares);
	queue->nr_shares++;
unlock:
	spin_unlock_irq(&queue->lock);
	return share;
}

/* Undo get_share(): the share is freed with the last route */
static void put_share(struct ioas_fault_queue *queue, struct fault_share *share)
{
	spin_lock_irq(&queue->lock);
	if (!--share->routes) {
		list_del(&share->node);
		queue->nr_shares--;
		queue->lost += share->lost;
	} else {
		share = NULL;
	}
	spin_unlock_irq(&queue->lock);
	kfree(share);
}

/**
 * ioas_fault_route_alloc() - allocate a route for faults
 * @queue: where they go
 * @origin: where they come from; its device stays until the route is freed
 *
 * The page requests of the device are on from here on, if it has any.  The route
 * leads nothing before ioas_fault_route_begin() or ioas_fault_route_commit().
 *
 * Context: may sleep.
 * Return: the route; or an ERR_PTR: -EMEDIUMTYPE, the queue is that of a server, and the
 * device has no page requests that can be answered; -ENOMEM.
 */
struct ioas_fault_route *ioas_fault_route_alloc(struct ioas_fault_queue *queue,
						const struct ioas_fault_origin *origin)
{
	struct ioas_fault_route *route;
	struct fault_share *share;
	int ret;

	route = kzalloc(sizeof(*route), GFP_KERNEL_ACCOUNT);
	share = kzalloc(sizeof(*share), GFP_KERNEL_ACCOUNT);
	ret = -ENOMEM;
	if (!route || !share)
		goto err;
	ret = requester_get(origin->dev, &route->requests);
	if (ret)
		goto err;
	ret = -EMEDIUMTYPE;
	/* All that it is to reach comes by requests */
	if (queue->wake && !route->requests)
		goto err;
	route->origin = *origin;
	route->queue = queue;
	INIT_LIST_HEAD(&route->slots);
	ioas_fault_queue_get(queue);
	route->share = get_share(queue, origin, &share);
	kfree(share);
	return route;

err:
	kfree(share);
	kfree(route);
	return ERR_PTR(ret);
}

/**
 * ioas_fault_route_free() - free a route that leads nothing
 * @route: the route, with no group; or NULL
 *
 * Context: may sleep.
 */
void ioas_fault_route_free(struct ioas_fault_route *route)
{
	if (!route)
		return;
	if (route->requests)
		requester_put(route->origin.dev);
	put_share(route->queue, route->share);
	ioas_fault_queue_put(route->queue);
	kfree(route);
}

static void publish(struct ioas_fault_route *route)
{
	lockdep_assert_held(&fault_routes_lock);
	hash_add(routes, &route->node,
		 hash_of(route->origin.dev, route->origin.pasid));
}

static void set_moving(struct ioas_fault_route *route, bool moving)
{
	lockdep_assert_held(&fault_routes_lock);
	spin_lock(&route->queue->lock);
	route->moving = moving;
	spin_unlock(&route->queue->lock);
}

/**
 * ioas_fault_route_begin() - an attachment is about to be made, to move or to end
 * @old: its route; NULL, it has none, or is about to be made
 * @next: the route that it will have; NULL, none
 *
 * ioas_fault_route_commit() or ioas_fault_route_abort() follows.
 *
 * Both are of the same device and PASID.  From here on a device whose requests come
 * by @old tries again.
 *
 * Context: may sleep.
 */
void ioas_fault_route_begin(struct ioas_fault_route *old,
			    struct ioas_fault_route *next)
{
	spin_lock_irq(&fault_routes_lock);
	if (old)
		set_moving(old, true);
	else if (next)
		publish(next);
	spin_unlock_irq(&fault_routes_lock);
}

/**
 * ioas_fault_route_commit() - an attachment was made, has moved or has ended
 * @old: as for ioas_fault_route_begin(); freed
 * @next: the same; leads faults from here on
 * @moved: the attachment has moved: its device tries again what @old has told
 *
 * The driver hands over no request that came by @old any longer.
 *
 * Context: may sleep.
 */
void ioas_fault_route_commit(struct ioas_fault_route *old,
			     struct ioas_fault_route *next, bool moved)
{
	if (!old)
		return;
	spin_lock_irq(&fault_routes_lock);
	hash_del(&old->node);
	if (next)
		publish(next);
	spin_unlock_irq(&fault_routes_lock);
	ioas_fault_answer_all(old, moved ? IOASID_FAULT_SUCCESS : IOASID_FAULT_INVALID);
	ioas_fault_route_free(old);
}

/**
 * ioas_fault_route_abort() - an attachment is as before ioas_fault_route_begin()
 * @old: as there; leads faults again
 * @next: the same; freed
 *
 * Context: may sleep.
 */
void ioas_fault_route_abort(struct ioas_fault_route *old,
			    struct ioas_fault_route *next)
{
	spin_lock_irq(&fault_routes_lock);
	if (old)
		set_moving(old, false);
	else if (next)
		hash_del(&next->node);
	spin_unlock_irq(&fault_routes_lock);
	if (!next)
		return;
	ioas_fault_answer_all(next, IOASID_FAULT_INVALID);
	ioas_fault_route_free(next);
}
