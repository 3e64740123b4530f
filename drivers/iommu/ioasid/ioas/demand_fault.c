// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of devices that are attached to a root whose memory is pinned on demand:
 * what has the page is pinned, window by window.
 *
 * Invariants:
 *  - A worker pins with the mm and the credentials of the process that has mapped the
 *    memory, which is charged, within its own limit.
 *  - What a worker pins is pinned for writing if the mapping permits that, whatever the
 *    device asks for.
 *  - A worker that serves a request has a reference to the address space, which may be
 *    freed meanwhile: nothing waits for the worker, and what it has pinned then is
 *    unpinned again.
 *
 * Waits: a worker may wait for a page for ever: nothing waits for it, see
 * fault_server.c.
 *
 * Locks: ioas_demand_server.lock is a leaf, and protects its @ioas.
 */
#include <linux/cred.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "demand.h"
#include "devmem.h"
#include "domain.h"
#include "fault_server.h"
#include "ioas.h"
#include "mapping.h"
#include "tree.h"

/**
 * struct ioas_demand_server - serves the page requests of a root
 * @server: the server
 * @lock: protects @ioas
 * @ioas: the root; NULL when it has ended
 */
struct ioas_demand_server {
	struct ioas_fault_server server;
	spinlock_t lock;		/* see above */
	struct ioas *ioas;
};

static struct ioas_demand_server *to_demand_server(struct ioas_fault_server *server)
{
	return container_of(server, struct ioas_demand_server, server);
}

/* ---- Page requests ---- */

static bool permits(const struct ioas_mapping *m, u32 permission)
{
	u32 lacks = 0;

	if (!(m->flags & IOASID_MAP_READ))
		lacks |= IOASID_FAULT_READ | IOASID_FAULT_EXEC;
	if (!(m->flags & IOASID_MAP_WRITE))
		lacks |= IOASID_FAULT_WRITE;
	return !(permission & lacks);
}

/* What a request finds in a mapping: see look_up() */
static int look_at(const struct ioas_mapping *m, u32 permission)
{
	if (m->state == IOAS_MAPPING_PINNING || m->state == IOAS_MAPPING_WRITING ||
	    m->flags & IOASID_MAP_RESERVE)
		return -EFAULT;
	if (!permits(m, permission))
		return -EACCES;
	if (m->state != IOAS_MAPPING_LIVE)
		return -EAGAIN;
	if (ioas_mapping_is_device(m))
		return ioas_devmem_is_revoked(m->device) ? -EFAULT : 0;
	return m->backing == IOAS_BACKING_DEMAND;
}

/*
 * Look what is mapped where a device requests a page.  Returns 1, a record, and the
 * caller puts @mapper; 0, memory that domains have; -EAGAIN, it is about to change; or
 * another errno, the device cannot have the page.
 */
static int look_up(struct ioas *ioas, const struct ioas_fault_page *page,
		   struct ioas_mapper *mapper)
{
	struct ioas_mapping *m;
	int ret = -EFAULT;

	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, page->addr);
	if (ioas->dead)
		ret = -ENODEV;
	else if (ioas->poisoned)
		ret = -EIO;
	else if (m && m->start <= page->addr)
		ret = look_at(m, page->permission);
	if (ret == 1) {
		*mapper = m->origin->mapper;
		ioas_mapper_get(mapper);
	}
	spin_unlock(&ioas->lock);
	return ret;
}

/* Pin the window of a page, as far as one mapping has it */
static int pin_page(struct ioas *ioas, struct task_struct *task, u64 addr)
{
	u64 start = addr & PAGE_MASK, last = start + (PAGE_SIZE - 1), at;
	int ret;

	ret = ioas_demand_pin(ioas, task, start, last, &at);
	/* It stays pinned as long as there is a domain */
	if (!ret)
		ioas_demand_put(ioas, start, last);
	return ret;
}

/* Do that as the process that has mapped it */
static int pin_as(struct ioas *ioas, const struct ioas_mapper *mapper, u64 addr)
{
	struct mem_cgroup *memcg, *memcg_before;
	const struct cred *cred_before;
	int ret;

	if (!mmget_not_zero(mapper->mm))
		return -ECANCELED;
	kthread_use_mm(mapper->mm);
	cred_before = override_creds(mapper->cred);
	memcg = get_mem_cgroup_from_mm(mapper->mm);
	memcg_before = set_active_memcg(memcg);
	ret = pin_page(ioas, mapper->task, addr);
	set_active_memcg(memcg_before);
	mem_cgroup_put(memcg);
	revert_creds(cred_before);
	kthread_unuse_mm(mapper->mm);
	mmput(mapper->mm);
	return ret;
}

/* The root, with a reference; or NULL */
static struct ioas *get_ioas(struct ioas_demand_server *demand)
{
	struct ioas *ioas;

	spin_lock(&demand->lock);
	ioas = demand->ioas;
	if (ioas && !ioas->ops->get(ioas))
		ioas = NULL;
	spin_unlock(&demand->lock);
	return ioas;
}

static int demand_serve(struct ioas_fault_server *server,
			const struct ioas_fault_page *page, void *buffer)
{
	struct ioas *ioas = get_ioas(to_demand_server(server));
	struct ioas_mapper mapper;
	int ret;

	if (!ioas)
		return -ENODEV;
	ret = look_up(ioas, page, &mapper);
	if (ret == 1) {
		ret = pin_as(ioas, &mapper, page->addr);
		ioas_mapper_put(&mapper);
	}
	ioas->ops->put(ioas);
	return ret;
}

static void demand_server_free(struct ioas_fault_server *server)
{
	kfree(to_demand_server(server));
}

static const struct ioas_fault_server_ops demand_server_ops = {
	.serve = demand_serve,
	.free = demand_server_free,
};

/* ---- Domains ---- */

/**
 * ioas_demand_join() - a domain is about to be populated
 * @ioas: the root; attach_lock is held
 * @dom: the domain; ioas_demand_quit() follows once it was freed
 *
 * Nothing that it may get is unpinned from here on, but what is unmapped.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int ioas_demand_join(struct ioas *ioas, struct ioas_domain *dom)
{
	struct ioas_demand *demand = ioas->demand;
	int ret;

	lockdep_assert_held(&ioas->attach_lock);
	ret = ioas_fault_server_start(&demand->server->server);
	if (ret)
		return ret;
	spin_lock(&ioas->lock);
	demand->domains++;
	spin_unlock(&ioas->lock);
	dom->demand = true;
	return 0;
}

/* ---- Life ---- */

/**
 * ioas_demand_serve() - let devices request the memory of an address space
 * @ioas: a root, after ioas_demand_init()
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM: ioas_demand_init() is undone.
 */
int ioas_demand_serve(struct ioas *ioas)
{
	struct ioas_demand_server *demand;

	demand = kzalloc(sizeof(*demand), GFP_KERNEL_ACCOUNT);
	if (!demand || ioas_fault_server_init(&demand->server, &demand_server_ops)) {
		kfree(demand);
		ioas_demand_exit(ioas);
		return -ENOMEM;
	}
	spin_lock_init(&demand->lock);
	demand->ioas = ioas;
	ioas->demand->server = demand;
	ioas->serves_faults = true;
	return 0;
}

/**
 * ioas_demand_unserve() - undo ioas_demand_serve(), if it was called
 * @ioas: the root, without domains; no other thread uses it, nor begins to
 *
 * Waits for no page.
 *
 * Context: may sleep.
 */
void ioas_demand_unserve(struct ioas *ioas)
{
	struct ioas_demand_server *demand = ioas->demand->server;

	if (!demand)
		return;
	spin_lock(&demand->lock);
	demand->ioas = NULL;
	spin_unlock(&demand->lock);
	ioas->demand->server = NULL;
	ioas_fault_server_put(&demand->server);
}

/**
 * ioas_demand_queue() - find the queue of the page requests of devices
 * @ioas: the address space
 *
 * Return: the queue, as long as the address space has not ended; NULL, it pins nothing
 * on demand.
 */
struct ioas_fault_queue *ioas_demand_queue(const struct ioas *ioas)
{
	return ioas->demand ? ioas->demand->server->server.queue : NULL;
}
