// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests that the kernel serves by itself, from a queue that user space does
 * not see.
 *
 * Invariants:
 *  - A group stays in its slot of the queue while it is served.  A detach takes it
 *    from there and answers it: it waits for no page.
 *  - A page may never come, such as one that a thread of user space is to fill in.  The
 *    thread that waits for it stays, even if its queue goes.  So each user has a pool of
 *    threads, with a limit: pages that never come hold up no other user, and no other
 *    queue of the user before the limit is reached.
 *  - Workers of a pool run in turn: one that still has groups after some of them lets
 *    others come first.
 *  - A worker that is busy has a reference to the server, and each server one to the
 *    module.
 *
 * Locks: pools_lock, a leaf, protects the pools.  A worker that ends clears its bit in
 * ioas_fault_server.busy before it looks at the queue once more, and a group is in the
 * queue before that bit is looked at: a group is not left behind.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include <uapi/linux/ioasid.h>

#include "fault_server.h"
#include "ioas.h"

/* Groups of one queue that wait or are served; of others the devices try again */
#define SERVER_DEPTH	64

/* Groups that a worker serves before others of its user have their turn */
#define SERVER_BATCH	64

static unsigned int max_fault_workers = 256;
module_param(max_fault_workers, uint, 0644);
MODULE_PARM_DESC(max_fault_workers,
		 "Threads that serve page requests of devices for a user, at most, 1 to 512. With CAP_SYS_RESOURCE each IOASID has 16 of its own.");

/* Works that end servers: a worker cannot wait for its own workqueue */
static struct workqueue_struct *free_wq;

/* ---- Pools ---- */

/**
 * struct ioas_fault_pool - threads of a user
 * @node: in pools; unhashed, it is that of one server
 * @uid: the user
 * @servers: how many use it; never 0
 * @wq: the threads
 */
struct ioas_fault_pool {
	struct hlist_node node;
	kuid_t uid;
	unsigned int servers;
	struct workqueue_struct *wq;
};

static DEFINE_HASHTABLE(pools, 6);
static DEFINE_MUTEX(pools_lock);	/* protects pools and their @servers */

/* The pool of a user, for one more server; or @spare, which becomes that, and may be NULL */
static struct ioas_fault_pool *join_pool(kuid_t uid,
					 struct ioas_fault_pool *spare)
{
	struct ioas_fault_pool *pool;

	mutex_lock(&pools_lock);
	hash_for_each_possible(pools, pool, node, __kuid_val(uid)) {
		if (!uid_eq(pool->uid, uid))
			continue;
		pool->servers++;
		goto unlock;
	}
	pool = spare;
	if (pool) {
		pool->uid = uid;
		hash_add(pools, &pool->node, __kuid_val(uid));
	}
unlock:
	mutex_unlock(&pools_lock);
	return pool;
}

static struct ioas_fault_pool *alloc_pool(unsigned int workers)
{
	struct ioas_fault_pool *pool;

	pool = kzalloc(sizeof(*pool), GFP_KERNEL_ACCOUNT);
	if (!pool)
		return NULL;
	pool->servers = 1;
	pool->wq = alloc_workqueue("ioasid_fault", WQ_UNBOUND, workers);
	if (pool->wq)
		return pool;
	kfree(pool);
	return NULL;
}

static void free_pool(struct ioas_fault_pool *pool)
{
	destroy_workqueue(pool->wq);
	kfree(pool);
}

/* The pool for a server of the caller, or NULL without memory */
static struct ioas_fault_pool *get_pool(void)
{
	struct ioas_fault_pool *pool, *spare;
	kuid_t uid = current_uid();

	/* Services of one uid, such as 0, do not hold up one another then */
	if (ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE))
		return alloc_pool(IOAS_FAULT_WORKERS);
	pool = join_pool(uid, NULL);
	if (pool)
		return pool;
	spare = alloc_pool(clamp_t(unsigned int, READ_ONCE(max_fault_workers),
				   1, WQ_UNBOUND_MAX_ACTIVE));
	if (!spare)
		return NULL;
	pool = join_pool(uid, spare);
	if (pool != spare)
		free_pool(spare);
	return pool;
}

/* With the last server: a worker that dropped its last reference may not have returned */
static void put_pool(struct ioas_fault_pool *pool)
{
	bool last;

	mutex_lock(&pools_lock);
	last = !--pool->servers;
	if (last)
		hash_del(&pool->node);
	mutex_unlock(&pools_lock);
	if (last)
		free_pool(pool);
}

/* ---- References ---- */

static void server_free(struct work_struct *work)
{
	struct ioas_fault_server *server =
		container_of(work, struct ioas_fault_server, free);

	if (server->pool)
		put_pool(server->pool);
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

/* Serve the groups that wait, or the first of them; true, all */
static bool serve_some(struct ioas_fault_server *server)
{
	void *buffer = kmalloc(PAGE_SIZE, GFP_KERNEL);
	unsigned int n;
	u32 id = 1;

	for (n = 0; n < SERVER_BATCH && id; n++) {
		id = take_group(server->queue);
		if (id)
			serve_group(server, id, buffer);
		cond_resched();
	}
	kfree(buffer);
	return !id;
}

static void server_work(struct work_struct *work)
{
	struct ioas_fault_worker *worker =
		container_of(work, struct ioas_fault_worker, work);
	struct ioas_fault_server *server = worker->server;
	unsigned int nr = worker - server->workers;

	do {
		if (!serve_some(server)) {
			queue_work(server->pool->wq, work);
			return;
		}
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
		queue_work(server->pool->wq, &server->workers[nr].work);
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
 * ioas_fault_server_start() - give a server threads, if it has none
 * @server: the server, whose queue has no route yet; callers serialise this
 *
 * They are those of the caller's user, or its own if the caller has CAP_SYS_RESOURCE.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioas_fault_server_start(struct ioas_fault_server *server)
{
	if (!server->pool)
		server->pool = get_pool();
	return server->pool ? 0 : -ENOMEM;
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
