// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind MAP: an IOASID that is one address space, which commands map and
 * unmap.
 *
 * Invariants:
 *  - A child has a reference to the object of its parent, or of the import that
 *    represents it.
 *
 * Locks: none of its own.
 */
#include <uapi/linux/ioasid.h>

#include "kind_ioas.h"
#include "share.h"

/* ---- Life ---- */

const struct ioas_ops *ioasid_map_ioas_ops;

/**
 * ioasid_map_set_ioas_ops() - set the callbacks of all address spaces
 * @ops: the callbacks; never freed
 */
void __init ioasid_map_set_ioas_ops(const struct ioas_ops *ops)
{
	ioasid_map_ioas_ops = ops;
}

/**
 * ioasid_map_leave() - remove an address space from its parent
 * @ioas: the child, empty
 *
 * Return: the object whose reference the child has.
 */
struct ioasid_object *ioasid_map_leave(struct ioas *ioas)
{
	struct ioas_import *import = ioas->import;
	struct ioas *parent = ioas->parent;

	ioas_remove_child(parent, import, ioas);
	if (import)
		return &container_of(import, struct share_import, base)->obj;
	return &ioasid_of(parent)->obj;
}

/**
 * ioasid_map_empty() - unmap all of an address space
 * @ioas: the address space, after ioas_kill()
 * @patience: jiffies that the unmap may wait for drivers; out, what is left
 *
 * Context: may sleep.
 */
void ioasid_map_empty(struct ioas *ioas, long *patience)
{
	struct ioas_unmap_request req = {
		.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE |
			 IOAS_UNMAP_FORCED,
		.patience = *patience,
	};

	/* FORCED: neither a signal nor a failure ends the unmap early */
	ioas_unmap(ioas, 0, U64_MAX, &req);
	*patience = req.patience;
}

/*
 * A thread that serves a page request may use the address space still: unpin what there
 * is now, and let the last put free the rest
 */
static void end_demand(struct ioas *ioas)
{
	long patience = IOAS_PATIENCE;

	if (ioas_kill(ioas, false) > 0)
		ioasid_map_empty(ioas, &patience);
	/* The worker that trims may have memory in its hands */
	ioas_demand_stop(ioas);
}

/* Children and exports may still refer to a parent: the last put empties it */
static void map_end(struct ioasid *ioasid)
{
	struct ioas *ioas = ioasid_map_ioas(ioasid);

	if (unlikely(ioas->demand))
		end_demand(ioas);
	else if (!ioas->as_parent)
		ioas_exit(ioas);
}

/* ---- Attachments ---- */

int ioasid_map_hold(struct ioasid *ioasid, unsigned int devices)
{
	return ioas_hold(ioasid_map_ioas(ioasid), devices);
}

void ioasid_map_release(struct ioasid *ioasid, unsigned int devices)
{
	ioas_release(ioasid_map_ioas(ioasid), devices);
}

void ioasid_map_set_partial(struct ioasid *ioasid, bool partial)
{
	ioas_set_partial(ioasid_map_ioas(ioasid), partial);
}

int ioasid_map_attach(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment, u64 *fault_addr)
{
	return ioas_attach(ioasid_map_ioas(ioasid), &attachment->domain, fault_addr);
}

int ioasid_map_detach(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment,
		      enum ioasid_detach how)
{
	struct ioas *ioas = ioasid_map_ioas(ioasid);

	if (how == IOASID_DETACH_KILLABLE)
		return ioas_detach_killable(ioas, &attachment->domain);
	ioas_detach(ioas, &attachment->domain, how == IOASID_DETACH_MOVED);
	return 0;
}

int ioasid_map_begin_move(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment, bool hitless)
{
	if (!ioas_attachment_must_block(&attachment->domain))
		return 0;
	if (hitless)
		return -EOPNOTSUPP;
	return ioas_block_killable(ioasid_map_ioas(ioasid), &attachment->domain) ?: 1;
}

int ioasid_map_abort_move(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment)
{
	if (!attachment->domain.blocked && !attachment->domain.by)
		return 0;
	return ioas_unblock(ioasid_map_ioas(ioasid), &attachment->domain);
}

bool ioasid_map_block_poisoned(struct ioasid *ioasid,
			       struct ioasid_attachment *attachment)
{
	return ioas_attachment_poisoned(&attachment->domain) &&
	       ioas_block(ioasid_map_ioas(ioasid), &attachment->domain);
}

static int map_attach(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment, u64 *fault_addr)
{
	/* What is pinned on demand comes by page requests */
	if (unlikely(ioasid_map_ioas(ioasid)->demand) &&
	    !(attachment->domain.faults && attachment->domain.dev))
		return -EMEDIUMTYPE;
	return ioasid_map_attach(ioasid, attachment, fault_addr);
}

static struct ioas_fault_queue *map_fault_queue(const struct ioasid *ioasid)
{
	return ioas_demand_queue(&container_of(ioasid, struct ioasid_map, ioasid)->ioas);
}

bool ioasid_map_is_through(const struct ioasid *ioasid, const struct ioas *ioas)
{
	return &container_of(ioasid, struct ioasid_map, ioasid)->ioas == ioas;
}

/* ---- Look ---- */

void ioasid_map_stats(struct ioasid *ioasid, struct ioas_stats *stats)
{
	ioas_get_stats(ioasid_map_ioas(ioasid), stats);
}

struct ioas_ranges *ioasid_map_info(struct ioasid *ioasid,
				    struct ioasid_info *info)
{
	struct ioas *ioas = ioasid_map_ioas(ioasid);
	struct ioas_import *import = ioas_import_of(ioas);
	unsigned int nr_tables;
	bool limited;

	info->snoop = ioas->enforce_cache_coherency ? IOASID_SNOOP_ON :
						      IOASID_SNOOP_AUTO;
	if (import)
		info->mappings_left = min(info->mappings_left,
					  ioas_export_left(import->export));
	info->pgsizes = ioas_pgsizes(ioas, &nr_tables);
	info->nr_domains = nr_tables;
	return ioas_copy_permitted(ioas, &limited);
}

const struct ioasid_kind_ops ioasid_kind_map = {
	.name = "map",
	.size = sizeof(struct ioasid_map),
	.check = ioasid_map_check,
	.init = ioasid_map_init,
	.exit = ioasid_map_exit,
	.kill = ioasid_map_kill,
	.free = ioasid_map_free,
	.end = map_end,
	.map = ioasid_map_map,
	.change = ioasid_map_change,
	.unmap = ioasid_map_unmap,
	.batch = ioasid_map_batch,
	.query = ioasid_map_query,
	.attach = map_attach,
	IOASID_MAP_ATTACH_OPS,
	.fault_queue = map_fault_queue,
	.stats = ioasid_map_stats,
	.info = ioasid_map_info,
};
