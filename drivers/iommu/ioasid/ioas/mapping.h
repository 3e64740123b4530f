/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mappings as objects, their states, and waits for them.
 */
#ifndef _IOASID_IOAS_MAPPING_H
#define _IOASID_IOAS_MAPPING_H

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "types.h"

extern struct kmem_cache *mapping_cache;

static inline void set_state(struct ioasid_mapping *m, enum ioasid_mapping_state state)
{
	m->state = state;
}

static inline u64 mapping_bytes(const struct ioasid_mapping *m)
{
	return m->last - m->start + 1;
}

/* Must it be waited for before it can be removed or cut? */
static inline bool in_transit(const struct ioasid_mapping *m)
{
	return m && (m->state == IOASID_MAPPING_FILLING ||
		     m->state == IOASID_MAPPING_LEAVING ||
		     m->state == IOASID_MAPPING_CUTTING ||
		     m->state == IOASID_MAPPING_DYING);
}

/**
 * ioasid_mapping_free() - free a mapping that has no memory
 * @m: the mapping
 */
static inline void ioasid_mapping_free(struct ioasid_mapping *m)
{
	kmem_cache_free(mapping_cache, m);
}

/**
 * ioasid_space_wake() - a mapping changed state, or lost its last reader or pin
 * @space: the space; its lock is held since before the change
 */
static inline void ioasid_space_wake(struct ioasid_space *space)
{
	lockdep_assert_held(&space->lock);
	/* Waiters queue themselves before they look, under the lock */
	if (waitqueue_active(&space->wait))
		wake_up_all(&space->wait);
}

/*
 * Wait, with the lock of @space dropped meanwhile, until @condition.  Returns
 * -EINTR on a fatal signal, or when the patience of a forced @req ends; @req may
 * be NULL: as long as it takes.
 */
#define ioasid_space_wait(space, condition, req)			\
({									\
	struct ioasid_space *__space = (space);				\
	struct ioasid_unmap_request *__req = (req);			\
	bool __forced = __req && __req->flags & IOASID_UNMAP_FORCED;	\
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
		prepare_to_wait(&__space->wait, &__wait, __forced ?	\
				TASK_UNINTERRUPTIBLE : TASK_KILLABLE);	\
		spin_unlock(&__space->lock);				\
		__left = schedule_timeout(__left);			\
		finish_wait(&__space->wait, &__wait);			\
		spin_lock(&__space->lock);				\
	}								\
	if (__forced)							\
		__req->patience = __left;				\
	__err;								\
})

/* Have preemption on for a moment, in a walk that may be long */
static inline void ioasid_space_relax(struct ioasid_space *space)
	__must_hold(&space->lock)
{
	spin_unlock(&space->lock);
	cond_resched();
	spin_lock(&space->lock);
}

static __always_inline struct ioasid_mapping *
mapping_alloc(struct ioasid_space *space, const struct ioasid_map_request *req)
{
	struct ioasid_mapping *m;

	if (req->place && req->place->spare) {
		m = req->place->spare;
		req->place->spare = m->next;
	} else {
		m = kmem_cache_alloc(mapping_cache, GFP_KERNEL);
	}
	if (!m)
		return NULL;
	m->mem.npages = 0;
	m->mem.is_shared = false;
	m->payer = NULL;
	m->device = NULL;
	m->addr = req->addr;
	m->readers = 0;
	m->wanted = false;
	m->flags = req->flags & ~IOASID_MAP_FIXED;
	m->cut_shift = req->cut_shift ?: space->cut_shift;
	m->state = req->state;
	return m;
}

int ioasid_space_wait_in_transit(struct ioasid_space *space, u64 addr,
				 struct ioasid_unmap_request *req);
void ioasid_mapping_wait_readers(struct ioasid_space *space,
				 struct ioasid_mapping *list);
void ioasid_place_fill(struct ioasid_place *place, unsigned int n);
void ioasid_place_empty(struct ioasid_place *place);
struct ioasid_mapping *
ioasid_mapping_alloc(struct ioasid_space *space,
		     const struct ioasid_map_request *req);
bool ioasid_mapping_in_filling(struct ioasid_space *space,
			       struct ioasid_mapping *m);

#endif /* _IOASID_IOAS_MAPPING_H */
