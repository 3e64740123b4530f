// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests that the kernel serves by itself, from a queue that user space does
 * not see.
 *
 * Invariants:
 *  - A group stays in its slot of the queue while it is served.  A detach takes it
 *    from there and answers it: it waits for no page.
 *  - Each queue has threads of its own: a page that never comes, such as one that a
 *    thread of user space is to fill in, holds up no other queue.
 *  - A worker that is busy has a reference to the server, and each server one to the
 *    module.
 *
 * Locks: none of its own.  A worker that ends clears its bit in
 * ioas_fault_server.busy before it looks at the queue once more, and a group is in the
 * queue before that bit is looked at: a group is not left behind.
 */
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "fault_server.h"
#include "ioas.h"

/* Groups of one queue that wait or are served; of others the devices try again */
#define SERVER_DEPTH	64

/* Works that end servers: a worker cannot wait for its own workqueue */
static struct workqueue_struct *free_wq;

static void server_free(struct work_struct *work)
{
	struct ioas_fault_server *server =
		container_of(work, struct ioas_fault_server, free);

	/* The worker that dropped the last reference may not have returned */
	if (server->wq)
		destroy_workqueue(server->wq);
	ioas_fault_queue_put(server->queue);
	server->ops->free(server);
	/* ioas_fault_server_cleanup() waits for this work */
	module_put(THIS_MODULE);
}

/**
 * ioas_fault_server_put() - drop a reference to a server
 * @server: the server; with the last reference its queue has no route
 *
 * Context: any.
 */
void ioas_fault_server_put(struct ioas_fault_server *server)
{
	if (refcount_dec_and_test(&server->refs))
		queue_work(free_wq, &server->free);
}

/* ---- The queue ---- */

/*
 * Take a group to be served, which stays in its slot: its id; 0, no group waits.
 * ioas_fault_queue_answer() answers it, unless ioas_fault_answer_all() does.
 */
static u32 take_group(struct ioas_fault_queue *queue)
{
	struct fault_slot *slot;
	u32 id = 0;

	spin_lock_irq(&queue->lock);
	slot = list_first_entry_or_null(&queue->waiting, struct fault_slot,
					node);
	if (slot) {
		slot->told = true;
		list_move_tail(&slot->node, &queue->told);
		id = ioas_fault_slot_id(queue, slot);
	}
	spin_unlock_irq(&queue->lock);
	return id;
}

/* The page @nr of a group; false, it has not as many, or was answered */
static bool get_page_of(struct ioas_fault_queue *queue, u32 id, unsigned int nr,
			struct ioas_fault_page *page)
{
	const struct iopf_fault *fault;
	struct fault_slot *slot;
	bool found = false;

	spin_lock_irq(&queue->lock);
	slot = ioas_fault_slot_find(queue, id);
	if (!slot)
		goto unlock;
	list_for_each_entry(fault, &slot->group->faults, list) {
		if (nr--)
			continue;
		page->addr = fault->fault.prm.addr;
		page->permission = fault->fault.prm.perm;
		found = true;
		break;
	}
unlock:
	spin_unlock_irq(&queue->lock);
	return found;
}

static bool has_groups(struct ioas_fault_queue *queue)
{
	bool has;

	spin_lock_irq(&queue->lock);
	has = !list_empty(&queue->waiting);
	spin_unlock_irq(&queue->lock);
	return has;
}

/* ---- Workers ---- */

/* Serve a group that was taken */
static void serve_group(struct ioas_fault_server *server, u32 id, void *buffer)
{
	u32 code = IOASID_FAULT_SUCCESS;
	struct ioas_fault_page page;
	unsigned int nr;
	int ret;

	for (nr = 0; get_page_of(server->queue, id, nr, &page); nr++) {
		ret = buffer ? server->ops->serve(server, &page, buffer) :
			       -ENOMEM;
		if (!ret)
			continue;
		if (ret != -EAGAIN)
			code = IOASID_FAULT_INVALID;
		break;
	}
	/* It may have been answered meanwhile */
	ioas_fault_queue_answer(server->queue, id, code);
}

static void serve_all(struct ioas_fault_server *server)
{
	void *buffer = kmalloc(PAGE_SIZE, GFP_KERNEL);
	u32 id;

	for (;;) {
		id = take_group(server->queue);
		if (!id)
			break;
		serve_group(server, id, buffer);
		cond_resched();
	}
	kfree(buffer);
}

static void server_work(struct work_struct *work)
{
	struct ioas_fault_worker *worker =
		container_of(work, struct ioas_fault_worker, work);
	struct ioas_fault_server *server = worker->server;
	unsigned int nr = worker - server->workers;

	do {
		serve_all(server);
		clear_bit(nr, &server->busy);
		/* Pairs with the lock of the queue in server_wake() */
		smp_mb__after_atomic();
	} while (has_groups(server->queue) &&
		 !test_and_set_bit(nr, &server->busy));
	ioas_fault_server_put(server);
}

/* See ioas_fault_queue.wake */
static void server_wake(struct ioas_fault_queue *queue)
{
	struct ioas_fault_server *server = queue->server;
	unsigned int nr;

	for (nr = 0; nr < IOAS_FAULT_WORKERS; nr++) {
		if (test_and_set_bit(nr, &server->busy))
			continue;
		refcount_inc(&server->refs);
		queue_work(server->wq, &server->workers[nr].work);
		return;
	}
}

/* ---- Life ---- */

/**
 * ioas_fault_server_init() - initialise a server
 * @server: all zeroes
 * @ops: what serves requests
 *
 * The caller has a reference.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM: nothing is left to put.
 */
int ioas_fault_server_init(struct ioas_fault_server *server,
			   const struct ioas_fault_server_ops *ops)
{
	unsigned int nr;

	server->queue = ioas_fault_queue_alloc(SERVER_DEPTH, NULL, false);
	if (!server->queue)
		return -ENOMEM;
	server->queue->server = server;
	server->queue->wake = server_wake;
	server->ops = ops;
	refcount_set(&server->refs, 1);
	INIT_WORK(&server->free, server_free);
	for (nr = 0; nr < IOAS_FAULT_WORKERS; nr++) {
		INIT_WORK(&server->workers[nr].work, server_work);
		server->workers[nr].server = server;
	}
	__module_get(THIS_MODULE);
	return 0;
}

/**
 * ioas_fault_server_start() - make the threads of a server, if it has none
 * @server: the server, whose queue has no route yet; callers serialise this
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioas_fault_server_start(struct ioas_fault_server *server)
{
	if (server->wq)
		return 0;
	server->wq = alloc_workqueue("ioasid_fault", WQ_UNBOUND,
				     IOAS_FAULT_WORKERS);
	return server->wq ? 0 : -ENOMEM;
}

/**
 * ioas_fault_server_defer() - run a work that may drop the last reference of an owner
 * @work: the work
 *
 * The module is not unloaded before the work has returned.
 *
 * Context: any.
 * Return: true; false, it is queued already.
 */
bool ioas_fault_server_defer(struct work_struct *work)
{
	return queue_work(free_wq, work);
}

/**
 * ioas_fault_server_setup() - prepare for servers
 *
 * Return: 0; -ENOMEM.
 */
int __init ioas_fault_server_setup(void)
{
	free_wq = alloc_workqueue("ioasid_free", WQ_UNBOUND, 0);
	return free_wq ? 0 : -ENOMEM;
}

/**
 * ioas_fault_server_cleanup() - undo ioas_fault_server_setup()
 *
 * No server is left, but the last work of one may not have returned.
 */
void ioas_fault_server_cleanup(void)
{
	destroy_workqueue(free_wq);
}
