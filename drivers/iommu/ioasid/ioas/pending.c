// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is pending in a batch: hold the tables, settle, undo.
 *
 * Invariants:
 *  - Pending mappings are WRITING or REMOVING, and tables.sem is held: a wait
 *    for them is one for at most PENDING_MAX mappings and PENDING_BYTES.
 *  - Batches of several address spaces are a set, which settles together.  With
 *    anything held in one of them, tables.sem of another one is only tried for: no
 *    thread waits for one with another one held.
 *  - No map is pending while a domain needs a sync after each write (struct
 *    ioas_domain.finalized_on_attach), or is being populated.
 *
 * Locks: as for single operations.
 */
#include <linux/slab.h>

#include "backing.h"
#include "ioas.h"
#include "map.h"
#include "mapping.h"
#include "pending.h"
#include "tables.h"
#include "unmap.h"

static void batch_reset(struct batch *batch)
{
	batch->writing = NULL;
	batch->writing_tail = &batch->writing;
	batch->cache.last = NULL;
	batch->nr = 0;
	batch->bytes = 0;
	batch->low = U64_MAX;
	batch->high = 0;
	batch->removal.first = NULL;
	batch->removal.tail = &batch->removal.first;
	batch->removal.nr = 0;
	batch->removal.scattered = false;
	batch->removal.left_out = false;
	batch->removal.tells = false;
	batch->removal.leaving = NULL;
	batch->end = 0;
}

/**
 * batch_init() - begin a batch, with nothing pending
 * @batch: the batch
 * @ioas: its address space
 * @from: the operations
 */
void batch_init(struct batch *batch, struct ioas *ioas,
		struct ioas_batch_source *from)
{
	batch->ioas = ioas;
	batch->from = from;
	batch->held = false;
	batch->failed = false;
	batch->op = 0;
	batch->unmapped = 0;
	batch->cache.spare = NULL;
	batch->set = NULL;
	batch_reset(batch);
}

/**
 * batch_set_holds() - test whether any tables are held
 * @set: the batches
 *
 * Return: true if ioas_tables.sem of one of them is held.
 */
bool batch_set_holds(struct batch_set *set)
{
	struct batch *b;
	unsigned int i;

	for (i = 0; (b = batch_of_set(set, i)); i++)
		if (b->held)
			return true;
	return false;
}

/**
 * batch_take_hold() - hold ioas_tables.sem, which is not held yet
 * @batch: the batch
 *
 * Context: may sleep, unless the operations must not wait, or the tables of
 * another batch of the set are held.
 * Return: false if it would have to wait, and must not, or is killed meanwhile.
 */
bool batch_take_hold(struct batch *batch)
{
	struct ioas *ioas = batch->ioas;

	if (batch->from->nowait ||
	    (batch->set && batch_set_holds(batch->set))) {
		if (!down_read_trylock(&ioas->tables.sem))
			return false;
	} else if (down_read_killable(&ioas->tables.sem)) {
		return false;
	}
	batch->held = true;
	batch->may_write = ioas_tables_sync_later(ioas);
	return true;
}

/*
 * iotlb_sync_map() failed, as it can on s390: undo the pending maps, and the
 * unmaps after them.
 */
static void undo_writing(struct batch *batch)
{
	struct ioas *ioas = batch->ioas;
	struct ioas_mapping **link = &batch->removal.first, *m, *next;
	unsigned int n = batch->at_writing.removal;
	struct ioas_removal written = {
		.first = batch->writing,
		.scattered = true,
	};

	ioas_tables_remove(ioas, &written);
	for (m = batch->writing; m; m = next) {
		next = m->next;
		ioas_abort_writing(ioas, m);
	}
	spin_lock(&ioas->lock);
	for (; n; n--)
		link = &(*link)->next;
	for (m = *link; m; m = m->next)
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
	*link = NULL;
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
	batch->writing = NULL;
	batch->op = batch->at_writing.op;
	batch->unmapped = batch->at_writing.unmapped;
}

static __always_inline void publish_writing(struct batch *batch)
{
	struct ioas *ioas = batch->ioas;
	struct ioas_mapping *m;

	if (!batch->writing)
		return;
	spin_lock(&ioas->lock);
	for (m = batch->writing; m; m = m->next) {
		ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
		ioas->nr_mappings++;
		if (ioas_mapping_has_memory(m))
			ioas->bytes_mapped += m->last - m->start + 1;
	}
	ioas_wake(ioas);
	spin_unlock(&ioas->lock);
}

/* Undo all that is pending in a set, of which one could not be synced */
static void set_undo(struct batch_set *set)
{
	struct ioas_mapping *m, *next;
	struct batch *b;
	unsigned int i;

	for (i = 0; (b = batch_of_set(set, i)); i++) {
		struct ioas_removal written = {
			.first = b->writing,
			.scattered = true,
		};

		b->op = set->op;
		b->unmapped = set->unmapped;
		if (!b->held)
			continue;
		if (b->writing)
			ioas_tables_remove(b->ioas, &written);
		for (m = b->writing; m; m = next) {
			next = m->next;
			ioas_abort_writing(b->ioas, m);
		}
		spin_lock(&b->ioas->lock);
		for (m = b->removal.first; m; m = m->next)
			ioas_mapping_set_state(m, IOAS_MAPPING_LIVE);
		ioas_wake(b->ioas);
		spin_unlock(&b->ioas->lock);
		batch_reset(b);
	}
}

/*
 * Settle everything that is pending in a set.  If a sync fails, none of it is
 * done: the operations of one address space are not in the order of the others.
 */
static noinline int set_settle(struct batch_set *set)
{
	u64 unused = 0;
	struct batch *b;
	unsigned int i;
	int ret = 0, err;

	for (i = 0; (b = batch_of_set(set, i)); i++) {
		if (!b->held || !b->writing)
			continue;
		err = ioas_tables_sync(b->ioas, b->low, b->high);
		b->failed |= err;
		ret = ret ?: err;
	}
	if (unlikely(ret))
		set_undo(set);
	for (i = 0; (b = batch_of_set(set, i)); i++) {
		if (!b->held)
			continue;
		publish_writing(b);
		/* Drops tables.sem */
		err = ioas_remove_mappings_untold(b->ioas, &b->removal,
						  &unused);
		b->held = false;
		batch_reset(b);
		b->failed |= err;
		ret = ret ?: err;
	}
	/* With no lock held */
	for (i = 0; (b = batch_of_set(set, i)); i++) {
		if (likely(!b->failed))
			continue;
		b->failed = false;
		b->ioas->ops->poisoned(b->ioas);
	}
	set->op = set->main->op;
	set->unmapped = set->main->unmapped;
	return ret;
}

/**
 * batch_settle() - make what is pending visible to devices, and publish it
 * @batch: the batch, with all of its set
 *
 * Context: may sleep; holds no tables afterwards.
 * Return: 0; or the errno of a domain: @op and @unmapped of the batch do not
 * count what was undone.
 */
int batch_settle(struct batch *batch)
{
	struct ioas *ioas = batch->ioas;
	int ret = 0, err;
	u64 unused = 0;

	if (unlikely(batch->set))
		return set_settle(batch->set);
	if (!batch->held)
		return 0;
	if (batch->writing) {
		ret = ioas_tables_sync(ioas, batch->low, batch->high);
		if (unlikely(ret)) {
			undo_writing(batch);
			batch->failed = true;
		}
	}
	publish_writing(batch);
	/* Drops tables.sem; the bytes that it unmaps were counted before */
	err = ioas_remove_mappings(ioas, &batch->removal, &unused);
	batch->held = false;
	batch_reset(batch);
	if (unlikely(batch->failed)) {
		batch->failed = false;
		ioas->ops->poisoned(ioas);
	}
	return ret ?: err;
}

/* ---- Several address spaces ---- */

/**
 * batch_set_pending() - test whether an operation is pending
 * @set: the batches
 *
 * Return: true if one of them has one.
 */
bool batch_set_pending(struct batch_set *set)
{
	struct batch *b;
	unsigned int i;

	for (i = 0; (b = batch_of_set(set, i)); i++)
		if (b->writing || b->removal.first)
			return true;
	return false;
}

/**
 * batch_set_release() - drop all locks, to allocate memory
 * @set: the batches; nothing is pending
 */
void batch_set_release(struct batch_set *set)
{
	struct batch *b;
	unsigned int i;

	for (i = 0; (b = batch_of_set(set, i)); i++)
		batch_release(b);
}

/**
 * batch_set_contended() - test whether another thread waits to attach a device
 * @set: the batches
 *
 * Return: true if one waits for tables that a batch holds.
 */
bool batch_set_contended(struct batch_set *set)
{
	struct batch *b;
	unsigned int i;

	for (i = 0; (b = batch_of_set(set, i)); i++)
		if (b->held && rwsem_is_contended(&b->ioas->tables.sem))
			return true;
	return false;
}

/**
 * batch_set_make() - make a set of a batch
 * @main: the batch
 *
 * Settles it first: the set knows of all that is pending to which operations it
 * belongs.
 *
 * Return: 0; -ENOMEM; or an errno of batch_settle().
 */
int batch_set_make(struct batch *main)
{
	struct batch_set *set;
	int ret;

	ret = batch_settle(main);
	if (ret)
		return ret;
	set = kmalloc(sizeof(*set), GFP_KERNEL_ACCOUNT);
	if (!set)
		return -ENOMEM;
	set->main = main;
	set->nr = 0;
	set->main_number = 0;
	set->op = 0;
	set->unmapped = 0;
	main->set = set;
	return 0;
}

/**
 * batch_set_empty() - drop the other address spaces
 * @set: the batches; nothing is pending
 */
void batch_set_empty(struct batch_set *set)
{
	struct batch *b;

	while (set->nr) {
		b = &set->other[--set->nr];
		b->from->put(b->ioas);
	}
}

/**
 * batch_set_find() - find the batch of an address space, or begin one
 * @set: the batches; those of a full set are settled and ended
 * @number: number of the address space
 *
 * Return: the batch; or an ERR_PTR: an errno of ioas_batch_source.get(), or of
 * batch_settle().
 */
struct batch *batch_set_find(struct batch_set *set, u32 number)
{
	struct ioas_batch_source *from = set->main->from;
	struct ioas *ioas;
	unsigned int i;
	int ret;

	if (number == set->main_number)
		return set->main;
	for (i = 0; i < set->nr; i++)
		if (set->number[i] == number)
			return &set->other[i];
	if (set->nr == SET_MAX) {
		ret = set_settle(set);
		if (ret)
			return ERR_PTR(ret);
		batch_set_empty(set);
	}
	ioas = from->get(from, number);
	if (IS_ERR(ioas))
		return ERR_CAST(ioas);
	if (ioas == set->main->ioas) {
		/* Not the last reference: the caller has one */
		from->put(ioas);
		set->main_number = number;
		return set->main;
	}
	batch_init(&set->other[set->nr], ioas, from);
	set->other[set->nr].set = set;
	set->number[set->nr] = number;
	return &set->other[set->nr++];
}
