/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory of a root that is pinned when children refer to it, or devices request it. */
#ifndef _IOASID_IOAS_DEMAND_H
#define _IOASID_IOAS_DEMAND_H

#include <linux/refcount.h>

#include "request.h"
#include "types.h"

struct cred;
struct ioas_domain;
struct mm_struct;
struct task_struct;

/* Windows, or mappings, that are visited with the lock held */
#define IOAS_DEMAND_BATCH	128

/**
 * struct ioas_origin - where memory comes from that is pinned on demand
 * @users: number of mappings that have it: those that one map request became
 * @mapper: the process that made that request, or has taken its mappings over: it is
 *	charged for what devices request.  Without @file, ioas_mapping.addr is an
 *	address of its mm, and it does not change
 * @file: the file in which it is an offset; or NULL
 */
struct ioas_origin {
	refcount_t users;
	struct ioas_mapper {
		struct mm_struct *mm;
		const struct cred *cred;
		struct task_struct *task;
	} mapper;
	struct file *file;
};

void ioas_demand_exit(struct ioas *ioas);
int ioas_demand_record(struct ioas_mapping *m, struct ioas_map_request *req);
void ioas_origin_put(struct ioas_origin *origin);
bool ioas_origin_known(const struct ioas_origin *origin);
int ioas_demand_get(struct ioas *ioas, u64 start, u64 last);
void ioas_demand_leave(struct ioas *ioas, u64 start, u64 last);
void ioas_demand_put(struct ioas *ioas, u64 start, u64 last);
void ioas_demand_released(struct ioas *ioas, const struct ioas_mapping *m);
void ioas_demand_keep_apart(struct ioas *ioas, u64 at);
void ioas_demand_split(struct ioas *ioas, u64 at);
int ioas_demand_use(struct ioas *ioas, unsigned long index);
void ioas_demand_spare(struct ioas *ioas);
void ioas_demand_undo(struct ioas *ioas, struct ioas_mapping *m);
void ioas_mapper_get(struct ioas_mapper *mapper);
void ioas_mapper_put(const struct ioas_mapper *mapper);
void ioas_origin_take(struct ioas_origin *origin);
int ioas_demand_pin(struct ioas *ioas, struct task_struct *task, u64 start, u64 last,
		    u64 *fault_addr);
int ioas_demand_join(struct ioas *ioas, struct ioas_domain *dom);
void ioas_demand_quit(struct ioas *ioas);
void ioas_demand_unserve(struct ioas *ioas);

/* The window that an address is in */
static inline unsigned long ioas_demand_window(const struct ioas *ioas, u64 addr)
{
	return addr >> ioas->demand->shift;
}

/* Its first byte */
static inline u64 ioas_demand_start(const struct ioas *ioas, unsigned long index)
{
	return (u64)index << ioas->demand->shift;
}

/* Its last byte */
static inline u64 ioas_demand_last(const struct ioas *ioas, unsigned long index)
{
	return ioas_demand_start(ioas, index) + (BIT_ULL(ioas->demand->shift) - 1);
}

/**
 * ioas_demand_count() - count memory that is recorded, and not pinned
 * @ioas: a root; its lock is held
 * @m: the mapping that comes or goes
 * @more: it comes
 */
static inline void ioas_demand_count(struct ioas *ioas,
				     const struct ioas_mapping *m, bool more)
{
	u64 bytes = m->last - m->start + 1;

	if (likely(m->backing != IOAS_BACKING_DEMAND))
		return;
	ioas->demand->bytes += more ? bytes : -bytes;
}

#endif /* _IOASID_IOAS_DEMAND_H */
