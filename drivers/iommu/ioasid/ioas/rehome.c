// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rehome: the calling process becomes the payer of the mappings of a root.
 *
 * Invariants:
 *  - Memory is always charged: the calling process is charged before the payer
 *    of the mapping changes, and the old payer is released after that.  The
 *    payer changes under the lock, if the mapping has not changed since.
 *  - Nothing else of a mapping changes: its memory stays pinned, its IOPTEs stay.
 *  - A first walk finds mappings that cannot move, before any has moved.
 *  - A mapping whose memory is being pinned gets its payer from the thread that
 *    pins it: it does not move.
 *
 * Locks: ioas.lock, for a bounded number of mappings.  A charge may wait for
 * mmap_lock: with no lock held, and with no mapping in a state that others wait
 * for.
 */
#include <linux/err.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "../mem/charge.h"
#include "demand.h"
#include "devmem.h"
#include "ioas.h"
#include "mapping.h"
#include "tree.h"

/* Mappings that are visited before the lock is dropped for a moment */
#define REHOME_BATCH	64

/**
 * struct move - a mapping whose charge moves
 * @start: its first byte
 * @mem: its memory, by ioasid_memory_refer()
 * @from: its payer, with a reference
 */
struct move {
	u64 start;
	struct ioasid_memory mem;
	struct ioasid_payer *from;
};

/* True if a change of the mapping is in progress, which does not take long */
static bool in_flux(const struct ioas_mapping *m)
{
	return m->state == IOAS_MAPPING_WRITING ||
	       m->state == IOAS_MAPPING_REMOVING || ioas_mapping_changing(m);
}

static bool is_in_flux(struct ioas *ioas, u64 addr)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, addr);

	return m && m->start <= addr && in_flux(m);
}

/*
 * Find the first mapping at or after an address that nothing is about to
 * change.  Returns NULL if there is none, or an ERR_PTR: -EINTR.  The lock may
 * be dropped meanwhile.
 */
static struct ioas_mapping *find(struct ioas *ioas, u64 at)
	__must_hold(&ioas->lock)
{
	struct ioas_mapping *m;
	u64 start;

	while ((m = ioas_mapping_first(ioas, at)) && in_flux(m)) {
		start = max(m->start, at);
		if (ioas_wait(ioas, !is_in_flux(ioas, start), NULL))
			return ERR_PTR(-EINTR);
	}
	return m;
}

static bool is_published(const struct ioas_mapping *m)
{
	return m->state == IOAS_MAPPING_LIVE ||
	       m->state == IOAS_MAPPING_LEAVING;
}

static bool device_can_stay(const struct ioas_mapping *m)
{
	struct ioasid_memory mem;
	bool known = ioas_devmem_refer(m->device, &mem);

	ioasid_memory_unrefer(&mem);
	return known;
}

/* True if the mapping is of a file, or of the calling process */
static bool can_move(const struct ioas *ioas, const struct ioas_mapping *m)
{
	if (m->flags & IOASID_MAP_FILE)
		return true;
	switch (m->backing) {
	case IOAS_BACKING_PINNED:
		if (unlikely(ioas->demand) && !ioas_origin_known(m->origin))
			return false;
		return m->payer->mm == current->mm;
	case IOAS_BACKING_DEMAND:
		return ioas_origin_known(m->origin);
	case IOAS_BACKING_DEVICE:
		return device_can_stay(m);
	default:
		return true;
	}
}

static bool must_move(const struct ioas_mapping *m)
{
	return m->backing == IOAS_BACKING_PINNED && is_published(m) &&
	       !ioasid_payer_is_caller(m->payer);
}

/* Drop the lock between two mappings, if there were many */
static int walk_step(struct ioas *ioas, unsigned int *visited)
	__must_hold(&ioas->lock)
{
	if (++*visited % REHOME_BATCH)
		return 0;
	ioas_relax(ioas);
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/*
 * Check that all mappings can move.  Counts those that must, and the pages that
 * the limit of the calling process must have room for.
 */
static int check_all(struct ioas *ioas, struct ioas_rehome *rehome, u64 *moves,
		     unsigned long *npages)
{
	unsigned int visited = 0;
	struct ioas_mapping *m;
	u64 at = 0, last;
	int ret = 0;

	spin_lock(&ioas->lock);
	while (!ret) {
		m = find(ioas, at);
		if (!m)
			break;
		rehome->fail_iova = IS_ERR(m) ? at : m->start;
		ret = PTR_ERR_OR_ZERO(m);
		if (ret)
			break;
		if (is_published(m) && !can_move(ioas, m)) {
			ret = -EOPNOTSUPP;
			break;
		}
		if (must_move(m)) {
			++*moves;
			if (ioasid_charge_counts(m->payer))
				*npages += m->mem.npages;
		}
		last = m->last;
		if (last == U64_MAX)
			break;
		at = last + 1;
		ret = walk_step(ioas, &visited);
	}
	spin_unlock(&ioas->lock);
	return ret;
}

/* Refer to all memory of a mapping */
static void refer(const struct ioas_mapping *m, struct ioasid_memory *mem)
{
	ioasid_memory_refer(&m->mem, 0, m->mem.npages, mem);
}

/* Test whether two references by refer() are to the same pages */
static bool same_memory(const struct ioasid_memory *a,
			const struct ioasid_memory *b)
{
	if (a->npages != b->npages || a->is_shared != b->is_shared)
		return false;
	if (a->is_shared)
		return a->shared == b->shared && a->first == b->first &&
		       a->skip == b->skip;
	if (a->inline_ext[0] != b->inline_ext[0])
		return false;
	return a->npages <= ioasid_extent_pages(a->inline_ext[0]) ||
	       a->inline_ext[1] == b->inline_ext[1];
}

/*
 * Find the next mapping that must move, from *@at on, and move *@at to it.
 * Returns 1; 0, there is none; -EINTR; -EOPNOTSUPP, a mapping there cannot move.
 */
static int next_move(struct ioas *ioas, u64 *at, struct move *move)
{
	unsigned int visited = 0;
	struct ioas_mapping *m;
	int ret = 0;

	spin_lock(&ioas->lock);
	while (!ret) {
		m = find(ioas, *at);
		ret = PTR_ERR_OR_ZERO(m);
		if (ret || !m)
			break;
		if (must_move(m)) {
			*at = m->start;
			ret = can_move(ioas, m) ? 1 : -EOPNOTSUPP;
			break;
		}
		if (m->last == U64_MAX)
			break;
		*at = m->last + 1;
		ret = walk_step(ioas, &visited);
	}
	if (ret == 1) {
		move->start = m->start;
		move->from = m->payer;
		ioasid_payer_get(move->from);
		refer(m, &move->mem);
	}
	spin_unlock(&ioas->lock);
	return ret;
}

/* Make @to the payer of the mapping, unless that has changed meanwhile */
static bool set_payer(struct ioas *ioas, const struct move *move,
		      struct ioasid_payer *to)
{
	struct ioasid_memory now = {};
	struct ioas_mapping *m;
	bool same = false;

	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, move->start);
	if (m && m->start == move->start && must_move(m) &&
	    m->payer == move->from) {
		refer(m, &now);
		same = same_memory(&now, &move->mem);
		if (same)
			m->payer = to;
	}
	spin_unlock(&ioas->lock);
	ioasid_memory_unrefer(&now);
	return same;
}

/* Returns 1 if the charge has moved; 0, the mapping has changed; or -errno */
static int move_charge(struct ioas *ioas, struct move *move)
{
	struct ioasid_payer *to;

	to = ioasid_charge_take(ioas->account, move->from, &move->mem);
	if (IS_ERR(to))
		return PTR_ERR(to);
	if (!set_payer(ioas, move, to)) {
		ioasid_charge_leave(to, move->from, &move->mem);
		return 0;
	}
	/* The reference of the mapping */
	ioasid_charge_leave(move->from, to, &move->mem);
	return 1;
}

static int move_all(struct ioas *ioas, struct ioas_rehome *rehome)
{
	struct move move;
	u64 at = 0;
	int ret;

	while ((ret = next_move(ioas, &at, &move)) == 1) {
		ret = move_charge(ioas, &move);
		ioasid_memory_unrefer(&move.mem);
		ioasid_payer_put(move.from);
		if (ret < 0)
			break;
		rehome->moved += ret;
		cond_resched();
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
	}
	rehome->fail_iova = at;
	return ret;
}

/**
 * ioas_rehome() - make the calling process the payer of all mappings
 * @ioas: the address space
 * @rehome: how; tells how far it came
 *
 * Context: may sleep; takes mmap_lock; waits for no page fault of another
 * process.
 * Return: 0; or
 * -EOPNOTSUPP, @ioas is no root; or a mapping is of user addresses of another
 * process: nothing has moved, unless the mapping is newer than the call;
 * -EDQUOT, RLIMIT_MEMLOCK would be exceeded;
 * -ENOMEM;
 * -EINTR, a fatal signal.
 */
int ioas_rehome(struct ioas *ioas, struct ioas_rehome *rehome)
{
	unsigned long npages = 0;
	u64 moves = 0;
	int ret;

	if (ioas->parent)
		return -EOPNOTSUPP;
	ret = check_all(ioas, rehome, &moves, &npages);
	if (ret)
		return ret;
	if (!rehome->probe)
		return move_all(ioas, rehome);
	rehome->fail_iova = 0;
	rehome->moved = moves;
	return moves ? ioasid_charge_probe(ioas->account, npages) : 0;
}
