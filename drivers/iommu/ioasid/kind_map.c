// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind MAP: an IOASID that is one address space, which commands map and
 * unmap.
 *
 * Invariants:
 *  - A map that chooses an IOVA copies it out before the mapping takes effect.
 *    If the copy fails the mapping is aborted.
 *
 * Locks: none of its own.  User memory is accessed with no lock held.
 */
#include <linux/uaccess.h>

#include <uapi/linux/ioasid.h>

#include "kind.h"

int ioasid_map_map(struct ioasid *ioasid, const struct ioasid_map_dma *cmd,
		   struct ioasid_map_dma __user *out,
		   struct ioas_map_request *req)
{
	bool fixed = cmd->flags & IOASID_MAP_FIXED;
	struct ioas *ioas = &ioasid->ioas;
	struct ioas_mapping *m;

	if (ioas->parent && fixed && !(cmd->flags & IOASID_MAP_RESERVE))
		return ioas_map_ref(ioas, req);
	m = ioas_reserve(ioas, req);
	if (IS_ERR(m))
		return PTR_ERR(m);
	if (!fixed && put_user(req->iova, &out->iova)) {
		ioas_abort(ioas, m);
		return -EFAULT;
	}
	return ioas_commit(ioas, m, req);
}

int ioasid_map_change(struct ioasid *ioasid, struct ioas_map_request *req)
{
	return ioas_remap(&ioasid->ioas, req);
}

int ioasid_map_unmap(struct ioasid *ioasid, u64 start, u64 last,
		     struct ioas_unmap_request *req)
{
	return ioas_unmap(&ioasid->ioas, start, last, req);
}

int ioasid_map_batch(struct ioasid *ioasid,
		     struct ioas_batch_source *from, u32 nr,
		     struct ioas_batch_result *result)
{
	return ioas_batch(&ioasid->ioas, from, nr, result);
}

int ioasid_map_query(struct ioasid *ioasid, struct ioas_query *query)
{
	return ioas_query(&ioasid->ioas, query);
}

static void map_info(struct ioasid *ioasid, struct ioasid_info *info)
{
	struct ioas_stats stats;
	unsigned int nr_tables;

	ioas_get_stats(&ioasid->ioas, &stats);
	info->snoop = ioasid->ioas.enforce_cache_coherency ? IOASID_SNOOP_ON :
							     IOASID_SNOOP_AUTO;
	info->pgsizes = ioas_pgsizes(&ioasid->ioas, &nr_tables);
	info->nr_domains = nr_tables;
	if (stats.cut_shift)
		info->cut_size = BIT_ULL(stats.cut_shift);
	info->nr_devices = stats.nr_devices;
	info->nr_children = stats.nr_children;
	info->nr_mappings = stats.nr_mappings;
	info->bytes_mapped = stats.bytes_mapped;
	info->bytes_pinned = stats.bytes_pinned;
	info->bytes_charged = stats.bytes_pinned;
	info->state = stats.state;
}

const struct ioasid_kind_ops ioasid_kind_map = {
	.name = "map",
	.map = ioasid_map_map,
	.change = ioasid_map_change,
	.unmap = ioasid_map_unmap,
	.batch = ioasid_map_batch,
	.query = ioasid_map_query,
	.info = map_info,
};
