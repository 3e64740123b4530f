// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind MAP: an IOASID that is one address space, which commands map and
 * unmap.
 *
 * Locks: none of its own.
 */
#include <uapi/linux/ioasid.h>

#include "kind_map.h"

/* ---- Attachments ---- */

static int map_hold(struct ioasid *ioasid, unsigned int devices)
{
	return ioas_hold(&ioasid->ioas, devices);
}

static void map_release(struct ioasid *ioasid, unsigned int devices)
{
	ioas_release(&ioasid->ioas, devices);
}

static void map_set_partial(struct ioasid *ioasid, bool partial)
{
	ioas_set_partial(&ioasid->ioas, partial);
}

static int map_attach(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment, u64 *fault_addr)
{
	return ioas_attach(&ioasid->ioas, &attachment->domain, fault_addr);
}

static int map_detach(struct ioasid *ioasid,
		      struct ioasid_attachment *attachment,
		      enum ioasid_detach how)
{
	struct ioas *ioas = &ioasid->ioas;

	if (how == IOASID_DETACH_KILLABLE)
		return ioas_detach_killable(ioas, &attachment->domain);
	ioas_detach(ioas, &attachment->domain, how == IOASID_DETACH_MOVED);
	return 0;
}

static int map_begin_move(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment)
{
	if (!ioas_attachment_must_block(&attachment->domain))
		return 0;
	return ioas_block_killable(&ioasid->ioas, &attachment->domain) ?: 1;
}

static int map_abort_move(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment)
{
	return ioas_unblock(&ioasid->ioas, &attachment->domain);
}

static bool map_block_poisoned(struct ioasid *ioasid,
			       struct ioasid_attachment *attachment)
{
	return ioas_attachment_poisoned(&attachment->domain) &&
	       ioas_block(&ioasid->ioas, &attachment->domain);
}

static bool map_is_through(const struct ioasid *ioasid, const struct ioas *ioas)
{
	return &ioasid->ioas == ioas;
}

/* ---- Look ---- */

static void map_stats(struct ioasid *ioasid, struct ioas_stats *stats)
{
	ioas_get_stats(&ioasid->ioas, stats);
}

static struct ioas_ranges *map_info(struct ioasid *ioasid,
				    struct ioasid_info *info)
{
	unsigned int nr_tables;

	info->snoop = ioasid->ioas.enforce_cache_coherency ? IOASID_SNOOP_ON :
							     IOASID_SNOOP_AUTO;
	info->pgsizes = ioas_pgsizes(&ioasid->ioas, &nr_tables);
	info->nr_domains = nr_tables;
	return ioas_copy_permitted(&ioasid->ioas);
}

const struct ioasid_kind_ops ioasid_kind_map = {
	.name = "map",
	.map = ioasid_map_map,
	.change = ioasid_map_change,
	.unmap = ioasid_map_unmap,
	.batch = ioasid_map_batch,
	.query = ioasid_map_query,
	.hold = map_hold,
	.release = map_release,
	.set_partial = map_set_partial,
	.attach = map_attach,
	.detach = map_detach,
	.begin_move = map_begin_move,
	.abort_move = map_abort_move,
	.block_poisoned = map_block_poisoned,
	.is_through = map_is_through,
	.stats = map_stats,
	.info = map_info,
};
