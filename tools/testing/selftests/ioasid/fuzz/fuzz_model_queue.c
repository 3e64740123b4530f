// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model: fault queues. Each thread has one at most.
 */
#include "fuzz_judge.h"

#define DEPTH_MAX 65536

int queue_users(const struct fuzz_model *m, int thread)
{
	int i, n = 0;

	for (i = thread * FUZZ_OWN; i < (thread + 1) * FUZZ_OWN; i++)
		n += m->spaces[i].live && m->spaces[i].queue;
	return n;
}

void judge_queue(struct judge *j)
{
	const struct ioasid_fault_queue *in = &j->r->in.queue;
	const struct ioasid_fault_queue *out = &j->r->arg.queue;
	struct fuzz_queue *queue = &j->m->queues[j->op->thread];

	common(j, in->flags, 0, WRITES);
	fails_if(j, !in->depth || in->depth > DEPTH_MAX || in->eventfd < -1,
		 EINVAL);
	if (!succeeded(j))
		return;
	judge_new_id(j, out->queue, "queue_cmd.queue");
	if (out->fd < 0)
		bad(j, 0, out->fd, "", "queue_cmd.fd");
	queue->live = true;
	queue->id = out->queue;
	queue->cookie = in->cookie;
}

void judge_free_queue(struct judge *j)
{
	const struct ioasid_free *in = &j->r->in.free;
	struct fuzz_queue *queue = &j->m->queues[j->op->thread];

	common(j, in->flags, IOASID_FREE_CASCADE, WRITES_NOTHING);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, !queue->live, ENOENT);
	fails_if(j, queue->live && queue_users(j->m, j->op->thread), EBUSY);
	if (succeeded(j))
		queue->live = false;
}
