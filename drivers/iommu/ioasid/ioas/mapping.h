/* SPDX-License-Identifier: GPL-2.0-only */
/* Allocation of mappings, their states, and waits for them. */
#ifndef _IOASID_IOAS_MAPPING_H
#define _IOASID_IOAS_MAPPING_H

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "request.h"
#include "types.h"

extern struct kmem_cache *ioas_mapping_cache;

#ifdef CONFIG_LOCKDEP
/* Held while mappings are CHANGING, a state that pinning threads wait for */
extern struct lockdep_map ioas_changing_map;
#endif

static inline void ioas_mapping_set_state(struct ioas_mapping *m, enum ioas_mapping_state state)
{
	m->state = state;
}

static inline u64 ioas_mapping_bytes(const struct ioas_mapping *m)
{
	return m->last - m->start + 1;
}

/* True if the mapping has pages, whose IOPTEs are in the domains when it is LIVE */
static inline bool ioas_mapping_has_memory(const struct ioas_mapping *m)
{
	return m->backing >= IOAS_BACKING_PINNED;
}

/* True if the mapping is one of device memory */
static inline bool ioas_mapping_is_device(const struct ioas_mapping *m)
{
	return m->backing == IOAS_BACKING_DEVICE ||
	       m->backing == IOAS_BACKING_PARENT_DEVICE;
}

/* True if the mapping has a reference to the parent */
static inline bool ioas_mapping_has_ref(const struct ioas_mapping *m)
{
	return m->backing == IOAS_BACKING_PARENT ||
	       unlikely(m->backing == IOAS_BACKING_PARENT_DEVICE);
}

/* True if a change may be about to put another mapping in its place */
static inline bool ioas_mapping_changing(const struct ioas_mapping *m)
{
	return m->state == IOAS_MAPPING_CHANGING ||
	       m->state == IOAS_MAPPING_CLAIMED ||
	       m->state == IOAS_MAPPING_ABANDONED;
}

/* True if an unmap or a split must wait for the mapping */
static inline bool ioas_mapping_busy(const struct ioas_mapping *m)
{
	return m && (m->state == IOAS_MAPPING_WRITING ||
		     m->state == IOAS_MAPPING_LEAVING ||
		     m->state == IOAS_MAPPING_REMOVING ||
		     ioas_mapping_changing(m));
}

/**
 * ioas_mapping_free() - free a mapping that has no memory
 * @m: the mapping
 */
static inline void ioas_mapping_free(struct ioas_mapping *m)
{
	kmem_cache_free(ioas_mapping_cache, m);
}

/**
 * ioas_wake() - wake waiters after a change of state, or the last reader or pin
 * @ioas: the address space; its lock is held since before the change
 */
static inline void ioas_wake(struct ioas *ioas)
{
	lockdep_assert_held(&ioas->lock);
	/* Waiters queue themselves under the lock, before they test */
	if (waitqueue_active(&ioas->wait))
		wake_up_all(&ioas->wait);
}

/*
 * Wait until @condition, with the lock of @_ioas dropped meanwhile.  Returns
 * -EINTR on a fatal signal, or when the patience of a forced @req ends.
 * Without @req only a fatal signal ends the wait.
 */
#define ioas_wait(_ioas, condition, req)				\
({									\
	struct ioas *__ioas = (_ioas);					\
	struct ioas_unmap_request *__req = (req);			\
	bool __forced = __req && __req->flags & IOAS_UNMAP_FORCED;	\
	long __left = __forced ? __req->patience : MAX_SCHEDULE_TIMEOUT; \
	int __err = 0;							\
	DEFINE_WAIT(__wait);						\
									\
	while (!(condition)) {						\
		if (!__left || (!__forced &&				\
				fatal_signal_pending(current))) {	\
			__err = -EINTR;					\
			break;						\
		}							\
		prepare_to_wait(&__ioas->wait, &__wait, __forced ?	\
				TASK_UNINTERRUPTIBLE : TASK_KILLABLE);	\
		spin_unlock(&__ioas->lock);				\
		__left = schedule_timeout(__left);			\
		finish_wait(&__ioas->wait, &__wait);			\
		spin_lock(&__ioas->lock);				\
	}								\
	if (__forced)							\
		__req->patience = __left;				\
	__err;								\
})

/* Drop the lock for a moment in a long walk, so that others can run */
static inline void ioas_relax(struct ioas *ioas)
	__must_hold(&ioas->lock)
{
	spin_unlock(&ioas->lock);
	cond_resched();
	spin_lock(&ioas->lock);
}

static __always_inline struct ioas_mapping *
ioas_mapping_new(struct ioas *ioas, const struct ioas_map_request *req)
{
	struct ioas_mapping *m;

	if (req->cache && req->cache->spare) {
		m = req->cache->spare;
		req->cache->spare = m->next;
	} else {
		m = kmem_cache_alloc(ioas_mapping_cache, GFP_KERNEL);
	}
	if (!m)
		return NULL;
	m->mem.npages = 0;
	m->mem.is_shared = false;
	m->backing = IOAS_BACKING_NONE;
	m->addr = req->addr;
	m->readers = 0;
	m->wanted = false;
	m->flags = req->flags & ~IOASID_MAP_FIXED;
	m->cut_shift = req->cut_shift ?: ioas->cut_shift;
	m->state = req->state;
	return m;
}

int ioas_wait_busy(struct ioas *ioas, u64 addr,
		   struct ioas_unmap_request *req, bool cascade);
void ioas_mapping_wait_readers(struct ioas *ioas,
			       struct ioas_mapping *list);
void ioas_quarantine_add(struct ioas *ioas, struct ioas_mapping *m);
void ioas_batch_cache_fill(struct ioas_batch_cache *cache, unsigned int n);
void ioas_batch_cache_empty(struct ioas_batch_cache *cache);
struct ioas_mapping *
ioas_mapping_alloc(struct ioas *ioas,
		   const struct ioas_map_request *req);

#endif /* _IOASID_IOAS_MAPPING_H */
