// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of user space over the domains of an address space.
 *
 * Invariants:
 *  - What devices reach through a table of user space is what the domain below
 *    maps, whatever the table says: the nested domain translates its addresses
 *    and its output by the domain.  So to unmap memory from the address space,
 *    and to flush, needs nothing of a nested domain.
 *  - There is one nested domain for each domain below which the table is used.
 *    It serves all groups and PASIDs whose attachments keep that domain, and is
 *    freed before the last of them leaves it.
 *  - While no table is bound, attachments are blocked.  The domain below them is
 *    populated: a bind makes nested domains, and moves no memory.
 *  - A bind makes all nested domains before it leads an attachment elsewhere.  If
 *    that fails, those before it go back; one that cannot go back is blocked.
 *  - While an attachment is about to be attached to another IOASID, binds and
 *    unbinds wait: it may be there already, or come back.  So no DMA goes through
 *    a table that was taken away when an unbind or a bind in its place returns.
 *  - A table is copied from user space once.  What attaches later gets the copy.
 *
 * Waits: @sem is held for reading during one call of the IOMMU driver per nested
 * domain, with a bounded number of invalidations, and for writing during one
 * attach by the driver for each attachment; a fatal signal ends a bind between two
 * of them, and so does the poison of a domain.  An unbound device that leaves waits
 * for one bind.  Binds and unbinds wait for moves killably, with no lock held.
 *
 * Locks: ioas_nests.sem, inside of attach_lock, outside of tables.sem, both of
 * the parent.
 */
#include <linux/ioasid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "domain.h"
#include "fault.h"
#include "ioas.h"
#include "iommu.h"
#include "nest.h"
#include "route.h"
#include "tables.h"

/**
 * ioas_nests_init() - initialise the nests of a table of user space
 * @nests: uninitialised
 * @parent: the address space below the table; outlives it
 * @format: the format of the table; outlives it
 */
void ioas_nests_init(struct ioas_nests *nests, struct ioas *parent,
		     const struct ioasid_table_format *format)
{
	nests->parent = parent;
	nests->format = format;
	init_rwsem(&nests->sem);
	nests->table = NULL;
	nests->moving = 0;
	init_waitqueue_head(&nests->still);
	nests->nr = 0;
	INIT_LIST_HEAD(&nests->list);
	INIT_HLIST_HEAD(&nests->attachments);
}

static struct ioas_nest *find_nest(struct list_head *list,
				   const struct ioas_domain *dom)
{
	struct ioas_nest *nest;

	list_for_each_entry(nest, list, node)
		if (nest->dom == dom)
			return nest;
	return NULL;
}

static void put_nest(struct ioas_nests *nests, struct ioas_nest *nest)
{
	lockdep_assert_held_write(&nests->sem);
	if (--nest->users)
		return;
	list_del(&nest->node);
	WRITE_ONCE(nests->nr, nests->nr - 1);
	ioas_iommu_free(nest->iommu);
	kfree(nest);
}

/**
 * struct nest_query - a nested domain that a device of a group is asked for
 * @nests: the nests
 * @table: the table
 * @dom: the domain below
 * @iommu: out, the nested domain, or an ERR_PTR
 */
struct nest_query {
	const struct ioas_nests *nests;
	const struct ioas_table *table;
	struct ioas_domain *dom;
	struct iommu_domain *iommu;
};

static void ask_nest(struct device *dev, void *arg)
{
	struct nest_query *query = arg;

	query->iommu = ioas_iommu_alloc_nested(dev, query->dom->iommu,
					       query->nests->format->type,
					       query->table->data,
					       query->table->length);
}

/*
 * Find the nested domain for an attachment in a list, or add it.  The caller puts
 * it.
 */
static struct ioas_nest *get_nest(struct ioas_nests *nests,
				  const struct ioas_table *table,
				  const struct ioas_attachment *attachment,
				  struct list_head *list)
{
	struct nest_query query = {
		.nests = nests,
		.table = table,
		.dom = attachment->dom,
	};
	struct ioas_nest *nest;
	int ret;

	nest = find_nest(list, attachment->dom);
	if (nest) {
		nest->users++;
		return nest;
	}
	nest = kmalloc(sizeof(*nest), GFP_KERNEL_ACCOUNT);
	if (!nest)
		return ERR_PTR(-ENOMEM);
	/* Its device may have been unbound: a sibling keeps the group attached */
	ret = ioas_iommu_ask(attachment->group, NULL, ask_nest, &query);
	if (!ret && IS_ERR(query.iommu))
		ret = PTR_ERR(query.iommu);
	if (ret) {
		kfree(nest);
		return ERR_PTR(ret);
	}
	if (attachment->faults)
		ioas_fault_serve(query.iommu);
	nest->dom = attachment->dom;
	nest->iommu = query.iommu;
	nest->users = 1;
	list_add_tail(&nest->node, list);
	WRITE_ONCE(nests->nr, nests->nr + 1);
	return nest;
}

/* Let an attachment have another nested domain, or none: it has a user less then */
static void set_nest(struct ioas_attachment *attachment, struct ioas_nest *nest)
{
	if (attachment->nest)
		put_nest(attachment->nests, attachment->nest);
	attachment->nest = nest;
}

/* The attachment does not move any longer: binds may go on */
static void end_move(struct ioas_attachment *attachment)
{
	struct ioas_nests *nests = attachment->nests;

	lockdep_assert_held_write(&nests->sem);
	if (!attachment->moving)
		return;
	attachment->moving = false;
	WRITE_ONCE(nests->moving, nests->moving - 1);
	if (!nests->moving)
		wake_up_all(&nests->still);
}

/* Lead the DMA of an attachment through a nested domain */
static int lead(const struct ioas_nests *nests,
		struct ioas_attachment *attachment,
		const struct ioas_nest *nest)
{
	int ret = -EIO;

	lockdep_assert_held_write(&nests->sem);
	/* The driver may rewrite the top of the domain below */
	ioas_tables_lock(nests->parent);
	if (!nest->dom->poisoned)
		ret = ioas_route_lead(attachment, nest->iommu, false);
	ioas_tables_unlock(nests->parent);
	if (ret == -EINVAL)
		return -EMEDIUMTYPE;
	return ret ? ioas_iommu_errno(ret) : 0;
}

static void block(const struct ioas_nests *nests,
		  struct ioas_attachment *attachment)
{
	lockdep_assert_held_write(&nests->sem);
	ioas_route_block(attachment, attachment->dom->iommu);
	set_nest(attachment, NULL);
}

/* ---- Attachments ---- */

/* Lead an attachment through the table, or block it if none is bound */
static int follow_table(struct ioas_nests *nests,
			struct ioas_attachment *attachment)
{
	struct ioas_nest *nest;
	int ret = 0;

	if (!nests->table) {
		block(nests, attachment);
		return 0;
	}
	nest = get_nest(nests, nests->table, attachment, &nests->list);
	if (IS_ERR(nest))
		return PTR_ERR(nest);
	if (nest != attachment->nest)
		ret = lead(nests, attachment, nest);
	if (ret)
		put_nest(nests, nest);
	else
		set_nest(attachment, nest);
	return ret;
}

/* The domain of an attachment stays */
static void assert_stays(const struct ioas_attachment *attachment)
{
	if (!attachment->recorded)
		lockdep_assert_held(&attachment->nests->parent->attach_lock);
}

/**
 * ioas_nests_join() - lead the DMA of an attachment through a table of user space
 * @attachment: the attachment, whose domain is populated; it is blocked, or
 *	attached to another address space.  It is blocked if no table is bound.
 *
 * Context: may sleep; attach_lock of the parent is held, unless @attachment is
 * recorded: then the caller keeps its domain.
 * Return: 0; on failure the attachment is as before, unless its driver blocks it:
 * -EMEDIUMTYPE, the IOMMU does not know the format of the table;
 * -EINVAL, its driver finds the table malformed;
 * -EIO, the IOMMU failed;
 * -ENOMEM;
 * -EINTR, a fatal signal.
 */
int ioas_nests_join(struct ioas_attachment *attachment)
{
	struct ioas_nests *nests = attachment->nests;
	int ret;

	assert_stays(attachment);
	if (down_write_killable(&nests->sem))
		return -EINTR;
	ret = follow_table(nests, attachment);
	if (!ret)
		hlist_add_head(&attachment->in_nests, &nests->attachments);
	up_write(&nests->sem);
	return ret;
}

/**
 * ioas_nests_leave() - undo ioas_nests_join(), if it was done
 * @attachment: the attachment, which has its domain still
 * @moved: it is attached elsewhere; otherwise it is blocked
 * @killable: a fatal signal ends the wait for a bind
 *
 * Context: may sleep; attach_lock of the parent is held, as for ioas_nests_join().
 * Needs no memory.
 * Return: 0; with @killable -EINTR, a fatal signal: nothing was done.
 */
int ioas_nests_leave(struct ioas_attachment *attachment, bool moved,
		     bool killable)
{
	struct ioas_nests *nests = attachment->nests;

	assert_stays(attachment);
	if (hlist_unhashed(&attachment->in_nests))
		return 0;
	if (!killable)
		down_write(&nests->sem);
	else if (down_write_killable(&nests->sem))
		return -EINTR;
	if (!moved && attachment->nest)
		block(nests, attachment);
	set_nest(attachment, NULL);
	hlist_del_init(&attachment->in_nests);
	end_move(attachment);
	up_write(&nests->sem);
	return 0;
}

/**
 * ioas_nests_block() - block an attachment, and keep it
 * @attachment: the attachment, which has joined
 *
 * Context: may sleep; attach_lock of the parent is held.  Needs no memory.
 * Return: true if it was not blocked before.
 */
bool ioas_nests_block(struct ioas_attachment *attachment)
{
	struct ioas_nests *nests = attachment->nests;
	bool blocks;

	lockdep_assert_held(&nests->parent->attach_lock);
	down_write(&nests->sem);
	blocks = attachment->nest;
	if (blocks)
		block(nests, attachment);
	up_write(&nests->sem);
	return blocks;
}

/**
 * ioas_nests_begin_move() - let an attachment be attached elsewhere
 * @attachment: the attachment, which has joined
 * @hitless: fail if its DMA would have to be blocked
 *
 * Binds and unbinds wait from here on, until ioas_detach() or
 * ioas_nests_abort_move(): only the caller changes its route.
 *
 * Context: may sleep.
 * Return: 0; 1, it is blocked; -EOPNOTSUPP; -EINTR, a fatal signal.
 */
int ioas_nests_begin_move(struct ioas_attachment *attachment, bool hitless)
{
	struct ioas_nests *nests = attachment->nests;
	int ret = 0;

	if (down_write_killable(&nests->sem))
		return -EINTR;
	if (attachment->pasid != IOMMU_NO_PASID && attachment->nest &&
	    !ioas_iommu_replaces_pasids(attachment->dev)) {
		ret = hitless ? -EOPNOTSUPP : 1;
		if (!hitless)
			block(nests, attachment);
	} else if (attachment->pasid != IOMMU_NO_PASID) {
		ret = !attachment->nest;
	}
	if (ret >= 0) {
		attachment->moving = true;
		WRITE_ONCE(nests->moving, nests->moving + 1);
	}
	up_write(&nests->sem);
	return ret;
}

/**
 * ioas_nests_abort_move() - undo ioas_nests_begin_move()
 * @attachment: the attachment
 *
 * Context: may sleep.
 * Return: 0, it follows the table again; or an errno of ioas_nests_join(): it is
 * blocked.
 */
int ioas_nests_abort_move(struct ioas_attachment *attachment)
{
	struct ioas_nests *nests = attachment->nests;
	int ret = 0;

	down_write(&nests->sem);
	end_move(attachment);
	if (!attachment->blocked)
		ret = follow_table(nests, attachment);
	if (ret)
		block(nests, attachment);
	up_write(&nests->sem);
	return ret;
}

/* ---- Bind ---- */

/* Lock for a bind or an unbind: no attachment is about to move then */
static int lock_still(struct ioas_nests *nests)
{
	for (;;) {
		if (down_write_killable(&nests->sem))
			return -EINTR;
		if (!nests->moving)
			return 0;
		up_write(&nests->sem);
		if (wait_event_killable(nests->still,
					!READ_ONCE(nests->moving)))
			return -EINTR;
	}
}

/* Lead attachments back that moved before @failed could not */
static void lead_back(struct ioas_nests *nests, struct ioas_attachment *failed)
{
	struct ioas_attachment *attachment;

	/* A driver may neither have replaced its domain nor attached it again */
	if (failed->pasid != IOMMU_NO_PASID && !failed->on)
		set_nest(failed, NULL);
	hlist_for_each_entry(attachment, &nests->attachments, in_nests) {
		if (attachment == failed)
			return;
		cond_resched();
		if (!attachment->nest ||
		    lead(nests, attachment, attachment->nest))
			block(nests, attachment);
	}
}

/* Lead all attachments through the nested domains of a list */
static int lead_all(struct ioas_nests *nests, struct list_head *list)
{
	struct ioas_attachment *attachment;
	struct ioas_nest *nest;
	int ret;

	hlist_for_each_entry(attachment, &nests->attachments, in_nests) {
		cond_resched();
		ret = fatal_signal_pending(current) ? -EINTR :
		      lead(nests, attachment, find_nest(list, attachment->dom));
		if (ret) {
			lead_back(nests, attachment);
			return ret;
		}
	}
	hlist_for_each_entry(attachment, &nests->attachments, in_nests) {
		cond_resched();
		nest = find_nest(list, attachment->dom);
		nest->users++;
		set_nest(attachment, nest);
	}
	return 0;
}

/* Put the nested domains that a bind has made: those that are used stay */
static void put_made(struct ioas_nests *nests, struct list_head *list)
{
	struct ioas_nest *nest, *next;

	list_for_each_entry_safe(nest, next, list, node)
		put_nest(nests, nest);
}

/**
 * ioas_nests_bind() - lead all DMA through a table of user space
 * @nests: the nests
 * @table: the table, which @nests takes over; out, the one that was bound before,
 *	or NULL
 * @replace: a table may be bound already
 *
 * Context: may sleep.
 * Return: 0; on failure @table stays the caller's, and nothing has changed, but
 * that an attachment which cannot go back is blocked:
 * -EEXIST, a table is bound;
 * or an errno of ioas_nests_join().
 */
int ioas_nests_bind(struct ioas_nests *nests, struct ioas_table **table,
		    bool replace)
{
	struct ioas_attachment *attachment;
	struct ioas_table *old;
	struct ioas_nest *nest;
	LIST_HEAD(list);
	int ret = 0;

	if (lock_still(nests))
		return -EINTR;
	if (nests->table && !replace) {
		ret = -EEXIST;
		goto unlock;
	}
	hlist_for_each_entry(attachment, &nests->attachments, in_nests) {
		cond_resched();
		if (find_nest(&list, attachment->dom))
			continue;
		nest = get_nest(nests, *table, attachment, &list);
		ret = PTR_ERR_OR_ZERO(nest);
		if (ret)
			goto err_made;
	}
	ret = lead_all(nests, &list);
	if (ret)
		goto err_made;
	old = nests->table;
	WRITE_ONCE(nests->table, *table);
	*table = old;
	/* No attachment has a nested domain of the old table any longer */
	put_made(nests, &list);
	list_splice_init(&list, &nests->list);
	up_write(&nests->sem);
	return 0;

err_made:
	put_made(nests, &list);
unlock:
	up_write(&nests->sem);
	return ret;
}

/**
 * ioas_nests_unbind() - undo ioas_nests_bind(): block all attachments
 * @nests: the nests
 *
 * Context: may sleep; needs no memory.
 * Return: the table, which becomes the caller's; or an ERR_PTR: -ENOENT, none is
 * bound; -EINTR, a fatal signal.
 */
struct ioas_table *ioas_nests_unbind(struct ioas_nests *nests)
{
	struct ioas_attachment *attachment;
	struct ioas_table *table;

	if (lock_still(nests))
		return ERR_PTR(-EINTR);
	table = nests->table;
	if (!table) {
		table = ERR_PTR(-ENOENT);
		goto unlock;
	}
	hlist_for_each_entry(attachment, &nests->attachments, in_nests) {
		if (attachment->nest)
			block(nests, attachment);
		cond_resched();
	}
	WRITE_ONCE(nests->table, NULL);
unlock:
	up_write(&nests->sem);
	return table;
}

/**
 * ioas_nests_count() - count the nested domains of a table of user space
 * @nests: the nests
 *
 * Return: number of nested domains, those of a bind in progress among them.
 */
unsigned int ioas_nests_count(const struct ioas_nests *nests)
{
	return READ_ONCE(nests->nr);
}

/* ---- Invalidate ---- */

/* Test whether a group, or a PASID of its device, goes through a nested domain */
static bool is_used(const struct ioas_nests *nests,
		    const struct ioas_nest *nest,
		    const struct iommu_group *group)
{
	const struct ioas_attachment *attachment;

	hlist_for_each_entry(attachment, &nests->attachments, in_nests) {
		if (attachment->group == group && attachment->nest == nest)
			return true;
		cond_resched();
	}
	return false;
}

/**
 * ioas_nests_invalidate() - invalidate what caches have of a table of user space
 * @nests: the nests
 * @only: at least for this group; NULL: for all
 * @entries: array of entries of the format, in kernel memory
 * @size: bytes of an entry
 * @nr: number of entries; out, number of entries that were carried out by all
 *
 * If nothing is bound, or no group attached, there is nothing to invalidate.
 *
 * Context: may sleep.
 * Return: 0; -EINTR, a fatal signal; or as ioas_iommu_invalidate() for the first
 * entry that was not carried out.
 */
int ioas_nests_invalidate(struct ioas_nests *nests,
			  const struct iommu_group *only,
			  const void *entries, size_t size, u32 *nr)
{
	u32 all = *nr, done;
	struct ioas_nest *nest;
	int ret = 0, err;

	if (down_read_killable(&nests->sem)) {
		*nr = 0;
		return -EINTR;
	}
	list_for_each_entry(nest, &nests->list, node) {
		if (only && !is_used(nests, nest, only))
			continue;
		done = all;
		err = ioas_iommu_invalidate(nest->iommu,
					    nests->format->invalidate_type,
					    entries, size, &done);
		if (err && done <= *nr) {
			*nr = done;
			ret = err;
		}
	}
	up_read(&nests->sem);
	return ret;
}
