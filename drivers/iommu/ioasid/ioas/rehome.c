// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rehome: the calling process becomes the payer of the mappings of a root, and
 * user addresses become its own.
 *
 * Invariants:
 *  - Memory is always charged: the calling process is charged before the payer
 *    of the mapping changes, and the old payer is released after that.  The
 *    payer changes under the lock, if the mapping has not changed since.
 *  - A user address changes together with the payer, after the pages there were
 *    found to be those of the mapping.  The comparison needs no mapping: it has a
 *    reference to the extents, which are numbers.  If the mapping has changed
 *    since, the result of the comparison is not used, and it is repeated.
 *  - Nothing else of a mapping changes: its memory stays pinned, its IOPTEs stay.
 *  - A first walk finds mappings that cannot move, before any has moved.  It does
 *    not compare pages.
 *  - A mapping whose memory is being pinned gets its payer from the thread that
 *    pins it: it does not move.
 *
 * Locks: ioas.lock, for a bounded number of mappings.  A charge may wait for
 * mmap_lock, and a comparison or the read of entries for a page fault, which may
 * hang for ever: with no lock held, and with no mapping in a state that others
 * wait for.
 */
#include <linux/err.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "../mem/memory.h"
#include "demand.h"
#include "devmem.h"
#include "home.h"
#include "ioas.h"
#include "mapping.h"
#include "tree.h"

/* Mappings that are visited before the lock is dropped for a moment */
#define REHOME_BATCH	64

/**
 * struct move - a mapping whose charge moves
 * @start: its first byte
 * @last: its last byte
 * @mem: its memory, by refer()
 * @from: its payer, with a reference
 * @has_home: it is one of a user address, with an entry
 * @addr: with @has_home, where the calling process has its memory
 */
struct move {
	u64 start;
	u64 last;
	struct ioasid_memory mem;
	struct ioasid_payer *from;
	bool has_home;
	u64 addr;
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
 * change, and go on to its entry.  Returns NULL if there is none, or an ERR_PTR:
 * -EINTR, or an errno of ioas_homes_seek().  The lock may be dropped meanwhile.
 */
static struct ioas_mapping *find(struct ioas *ioas, struct ioas_homes *homes,
				 u64 at)
	__must_hold(&ioas->lock)
{
	struct ioas_mapping *m;
	u64 start;
	int ret = 0;

	homes->rehome->fail_iova = at;
	while (!ret && (m = ioas_mapping_first(ioas, at))) {
		start = max(m->start, at);
		if (in_flux(m)) {
			ret = ioas_wait(ioas, !is_in_flux(ioas, start), NULL);
		} else if (ioas_homes_behind(homes, m->start)) {
			start = m->start;
			spin_unlock(&ioas->lock);
			ret = ioas_homes_seek(homes, start);
			spin_lock(&ioas->lock);
		} else {
			homes->rehome->fail_iova = m->start;
			return m;
		}
	}
	return ERR_PTR(ret);
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

/* What devices will request is charged to the calling process from here on */
static void take_origin(const struct ioas *ioas, const struct ioas_rehome *rehome,
			const struct ioas_mapping *m)
{
	if (likely(!ioas->demand) || rehome->probe)
		return;
	if ((m->backing == IOAS_BACKING_DEMAND || m->backing == IOAS_BACKING_PINNED) &&
	    is_published(m) && can_move(ioas, m))
		ioas_origin_take(m->origin);
}

/* The entry for a mapping of user addresses, or NULL */
static const struct ioasid_rehome_entry *
home_of(const struct ioas *ioas, const struct ioas_homes *homes,
	const struct ioas_mapping *m)
{
	if (m->backing != IOAS_BACKING_PINNED || m->flags & IOASID_MAP_FILE ||
	    unlikely(ioas->demand))
		return NULL;
	return ioas_home_of(homes, m);
}

static u64 addr_in(const struct ioasid_rehome_entry *home,
		   const struct ioas_mapping *m)
{
	return home->addr + (m->start - home->iova);
}

/* Returns 0; -EINVAL, an entry cuts the mapping; -EOPNOTSUPP, it cannot move */
static int check(const struct ioas *ioas, const struct ioas_homes *homes,
		 const struct ioas_mapping *m)
{
	const struct ioasid_rehome_entry *home;

	if (!is_published(m))
		return 0;
	home = home_of(ioas, homes, m);
	if (home)
		return ioas_home_covers(home, m) ? 0 : -EINVAL;
	return can_move(ioas, m) ? 0 : -EOPNOTSUPP;
}

static bool must_move(const struct ioas *ioas, const struct ioas_homes *homes,
		      const struct ioas_mapping *m)
{
	const struct ioasid_rehome_entry *home;

	if (m->backing != IOAS_BACKING_PINNED || !is_published(m))
		return false;
	home = home_of(ioas, homes, m);
	return !ioasid_payer_is_caller(m->payer) ||
	       (home && m->addr != addr_in(home, m));
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
 * Check that all mappings can move, and all entries.  Counts the mappings that
 * must, and the pages that the limit of the calling process must have room for.
 */
static int check_all(struct ioas *ioas, struct ioas_homes *homes, u64 *moves,
		     unsigned long *npages)
{
	unsigned int visited = 0;
	struct ioas_mapping *m;
	u64 at = 0, last;
	int ret = 0;

	spin_lock(&ioas->lock);
	while (!ret) {
		m = find(ioas, homes, at);
		ret = PTR_ERR_OR_ZERO(m);
		if (ret || !m)
			break;
		ret = check(ioas, homes, m);
		if (ret)
			break;
		if (must_move(ioas, homes, m)) {
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
	return ret ?: ioas_homes_finish(homes);
}

/* Refer to all memory of a mapping */
static void refer(const struct ioas_mapping *m, struct ioasid_memory *mem)
{
	ioasid_memory_refer(&m->mem, 0, m->mem.npages, mem);
	mem->writable = m->mem.writable;
}

/* Test whether two references by refer() are to the same pages */
static bool same_memory(const struct ioasid_memory *a,
			const struct ioasid_memory *b)
{
	if (a->npages != b->npages || a->is_shared != b->is_shared ||
	    a->writable != b->writable)
		return false;
	if (a->is_shared)
		return a->shared == b->shared && a->first == b->first &&
		       a->skip == b->skip;
	if (a->inline_ext[0] != b->inline_ext[0])
		return false;
	return a->npages <= ioasid_extent_pages(a->inline_ext[0]) ||
	       a->inline_ext[1] == b->inline_ext[1];
}

static void begin_move(struct ioas *ioas, const struct ioas_homes *homes,
		       const struct ioas_mapping *m, struct move *move)
{
	const struct ioasid_rehome_entry *home = home_of(ioas, homes, m);

	move->start = m->start;
	move->last = m->last;
	move->from = m->payer;
	ioasid_payer_get(move->from);
	refer(m, &move->mem);
	move->has_home = home;
	if (home)
		move->addr = addr_in(home, m);
}

static void end_move(struct move *move)
{
	ioasid_memory_unrefer(&move->mem);
	ioasid_payer_put(move->from);
}

/*
 * Find the next mapping that must move, from *@at on, and move *@at to it.
 * Returns 1, end_move() follows; 0, there is none; an errno of check() for a
 * mapping there; or one of find().
 */
static int next_move(struct ioas *ioas, struct ioas_homes *homes, u64 *at,
		     struct move *move)
{
	unsigned int visited = 0;
	struct ioas_mapping *m;
	int ret = 0;

	spin_lock(&ioas->lock);
	while (!ret) {
		m = find(ioas, homes, *at);
		ret = PTR_ERR_OR_ZERO(m);
		if (ret || !m)
			break;
		take_origin(ioas, homes->rehome, m);
		if (must_move(ioas, homes, m)) {
			*at = m->start;
			ret = check(ioas, homes, m) ?: 1;
			break;
		}
		if (m->last == U64_MAX)
			break;
		*at = m->last + 1;
		ret = walk_step(ioas, &visited);
	}
	if (ret == 1)
		begin_move(ioas, homes, m, move);
	spin_unlock(&ioas->lock);
	return ret;
}

/*
 * Find the mapping again; NULL if it has changed meanwhile.  Its memory is in
 * @now, to be unreferred without the lock.
 */
static struct ioas_mapping *find_again(struct ioas *ioas,
				       const struct move *move,
				       struct ioasid_memory *now)
{
	struct ioas_mapping *m = ioas_mapping_first(ioas, move->start);

	if (!m || m->start != move->start || !is_published(m) ||
	    m->backing != IOAS_BACKING_PINNED || m->payer != move->from ||
	    (move->has_home && m->flags & IOASID_MAP_FILE))
		return NULL;
	refer(m, now);
	return same_memory(now, &move->mem) ? m : NULL;
}

/* Make @to the payer of the mapping, unless that has changed meanwhile */
static bool set_home(struct ioas *ioas, const struct move *move,
		     struct ioasid_payer *to)
{
	struct ioasid_memory now = {};
	struct ioas_mapping *m;

	spin_lock(&ioas->lock);
	m = find_again(ioas, move, &now);
	if (m) {
		m->payer = to;
		if (move->has_home)
			m->addr = move->addr;
	}
	spin_unlock(&ioas->lock);
	ioasid_memory_unrefer(&now);
	return m;
}

static bool is_unchanged(struct ioas *ioas, const struct move *move)
{
	struct ioasid_memory now = {};
	bool same;

	spin_lock(&ioas->lock);
	same = find_again(ioas, move, &now);
	spin_unlock(&ioas->lock);
	ioasid_memory_unrefer(&now);
	return same;
}

/*
 * Compare the memory of the calling process with that of the mapping.  Returns
 * 1 if it is the same; 0, the mapping has changed; or an errno of
 * ioasid_compare_user().
 */
static int compare(struct ioas *ioas, struct ioas_rehome *rehome,
		   const struct move *move)
{
	u64 at;
	int ret;

	ret = ioasid_compare_user(&move->mem, move->addr, move->mem.writable,
				  &at);
	if (!ret)
		return 1;
	if (ret != -EINTR && !is_unchanged(ioas, move))
		return 0;
	rehome->fail_iova = move->start + (at - move->addr);
	return ret;
}

/* Returns 1 if the charge has moved; 0, the mapping has changed; or -errno */
static int move_charge(struct ioas *ioas, struct move *move)
{
	struct ioasid_payer *to;

	to = ioasid_charge_take(ioas->account, move->from, &move->mem);
	if (IS_ERR(to))
		return PTR_ERR(to);
	if (!set_home(ioas, move, to)) {
		ioasid_charge_leave(to, move->from, &move->mem);
		return 0;
	}
	/* The reference of the mapping */
	ioasid_charge_leave(move->from, to, &move->mem);
	return 1;
}

/* Returns 1 if the mapping has moved, or would; 0, it has changed; or -errno */
static int move_one(struct ioas *ioas, struct ioas_rehome *rehome,
		    struct move *move)
{
	int ret = move->has_home ? compare(ioas, rehome, move) : 1;

	if (ret != 1 || rehome->probe)
		return ret;
	return move_charge(ioas, move);
}

static int move_all(struct ioas *ioas, struct ioas_homes *homes)
{
	struct ioas_rehome *rehome = homes->rehome;
	struct move move;
	u64 at = 0;
	int ret;

	ioas_homes_init(homes, rehome);
	while ((ret = next_move(ioas, homes, &at, &move)) == 1) {
		ret = move_one(ioas, rehome, &move);
		end_move(&move);
		if (ret < 0)
			break;
		rehome->moved += ret;
		cond_resched();
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		if (!ret)
			continue;
		ret = 0;
		if (move.last == U64_MAX)
			break;
		at = move.last + 1;
	}
	return ret;
}

static int probe_all(struct ioas *ioas, struct ioas_homes *homes, u64 moves,
		     unsigned long npages)
{
	struct ioas_rehome *rehome = homes->rehome;
	int ret;

	if (!rehome->nr) {
		rehome->moved = moves;
	} else {
		ret = move_all(ioas, homes);
		if (ret)
			return ret;
	}
	rehome->fail_iova = 0;
	return moves ? ioasid_charge_probe(ioas->account, npages) : 0;
}

/**
 * ioas_rehome() - make the calling process the payer of all mappings
 * @ioas: the address space
 * @rehome: how; tells how far it came
 *
 * Context: may sleep, for as long as a page fault of the calling process takes;
 * takes mmap_lock; waits for no page fault of another process.
 * Return: 0; or
 * -EOPNOTSUPP, @ioas is no root; or a mapping is of user addresses of another
 * process, and has no entry: nothing has moved, unless the mapping is newer than
 * the call;
 * -EINVAL, an entry is malformed, does not ascend, or cuts a mapping: the same;
 * -EFAULT, an entry cannot be read, or the calling process has not the pages of a
 * mapping; -EHWPOISON, one of its pages is poisoned;
 * -E2BIG, an entry is of a later version;
 * -EDQUOT, RLIMIT_MEMLOCK would be exceeded;
 * -ENOMEM;
 * -EINTR, a fatal signal.
 */
int ioas_rehome(struct ioas *ioas, struct ioas_rehome *rehome)
{
	unsigned long npages = 0;
	struct ioas_homes homes;
	u64 moves = 0;
	int ret;

	if (ioas->parent)
		return -EOPNOTSUPP;
	ioas_homes_init(&homes, rehome);
	ret = check_all(ioas, &homes, &moves, &npages);
	if (ret)
		return ret;
	return rehome->probe ? probe_all(ioas, &homes, moves, npages) :
			       move_all(ioas, &homes);
}
