// SPDX-License-Identifier: GPL-2.0-only
#include "ranges.h"

int get_ranges(int ctx, __u32 id, struct ranges *r)
{
	struct ioasid_info info = {
		.argsz = sizeof(info),
		.ioasid = id,
		.nr_ranges = NR_RANGES,
		.ranges = IA_PTR(r->range),
	};
	int rc = ia_cmd(ctx, IOASID_GET_INFO, &info);

	r->nr = info.nr_ranges;
	return rc;
}

int get_device_ranges(int ctx, __u32 devid, struct ranges *r)
{
	struct ioasid_device_info info = {
		.argsz = sizeof(info),
		.devid = devid,
		.nr_ranges = NR_RANGES,
		.ranges = IA_PTR(r->range),
	};
	int rc = ia_cmd(ctx, IOASID_DEVICE_GET_INFO, &info);

	r->nr = info.nr_ranges;
	return rc;
}

bool permitted(const struct ranges *r, __u64 start, __u64 last)
{
	__u32 i;

	for (i = 0; i < r->nr; i++)
		if (start >= r->range[i].start && last <= r->range[i].last)
			return true;
	return false;
}

__u64 first_hole(const struct ranges *r)
{
	return r->range[0].last + 1;
}

void *huge_memory(size_t length)
{
	void *p = ia_mem_aligned(length, SZ_2M);

	if (p) {
		madvise(p, length, MADV_HUGEPAGE);
		memset(p, 1, length);
	}
	return p;
}
