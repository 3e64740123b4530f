// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind MAP: an IOASID that is one address space, which commands map and
 * unmap.
 *
 * Locks: none of its own.
 */
#include <uapi/linux/ioasid.h>

#include "kind_map.h"

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
