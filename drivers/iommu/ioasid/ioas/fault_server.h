/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page requests that the kernel serves by itself.
 */
#ifndef _IOASID_IOAS_FAULT_SERVER_H
#define _IOASID_IOAS_FAULT_SERVER_H

#include <linux/refcount.h>
#include <linux/workqueue.h>

#include "fault_queue.h"

/* Groups of one queue that are served at a time */
#define IOAS_FAULT_WORKERS	16

struct ioas_fault_pool;
struct ioas_fault_server;

/**
 * struct ioas_fault_page - a page that a device requests
 * @addr: the address
 * @permission: enum ioasid_fault_permission
 */
struct ioas_fault_page {
	u64 addr;
	u32 permission;
};

/**
 * struct ioas_fault_worker - a thread that serves groups
 * @work: runs while there are groups
 * @server: the server
 */
struct ioas_fault_worker {
	struct work_struct work;
	struct ioas_fault_server *server;
};

/**
 * struct ioas_fault_server_ops - what serves page requests
 * @serve: make a page reachable for devices.  @buffer: PAGE_SIZE bytes, for the
 *	call.  May take long, and is called by several threads at a time.  Returns 0;
 *	-EAGAIN, the device shall try again; any other errno, it cannot have the page
 * @free: the last reference is gone: free what contains the server.  May sleep
 */
struct ioas_fault_server_ops {
	int (*serve)(struct ioas_fault_server *server,
		     const struct ioas_fault_page *page, void *buffer);
	void (*free)(struct ioas_fault_server *server);
};

/**
 * struct ioas_fault_server - threads that answer the page requests of a queue
 * @ops: what serves them
 * @queue: the queue
 * @refs: the owner, and each worker that is busy
 * @pool: where workers run; NULL until it is started
 * @busy: bitmap of workers that run, or are about to
 * @free: calls @ops->free
 * @workers: the workers
 */
struct ioas_fault_server {
	const struct ioas_fault_server_ops *ops;
	struct ioas_fault_queue *queue;
	refcount_t refs;
	struct ioas_fault_pool *pool;
	unsigned long busy;
	struct work_struct free;
	struct ioas_fault_worker workers[IOAS_FAULT_WORKERS];
};

int ioas_fault_server_init(struct ioas_fault_server *server,
			   const struct ioas_fault_server_ops *ops);
int ioas_fault_server_start(struct ioas_fault_server *server);
void ioas_fault_server_put(struct ioas_fault_server *server);
bool ioas_fault_server_defer(struct work_struct *work);

#endif /* _IOASID_IOAS_FAULT_SERVER_H */
