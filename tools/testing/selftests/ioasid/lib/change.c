// SPDX-License-Identifier: GPL-2.0-only
#include "change.h"

int protect(int fd, __u32 id, __u64 iova, __u64 length, __u32 flags)
{
	fault = ~0ULL;
	return ia_map_full(fd, id, flags | IOASID_MAP_PROTECT | IOASID_MAP_FIXED,
			   &iova, 0, length, 0, 0, 0, &fault);
}

int replace(int fd, __u32 id, __u64 iova, const void *addr,
	    __u64 length, __u32 flags, __u64 cut_size)
{
	fault = ~0ULL;
	return ia_map_full(fd, id, flags | IOASID_MAP_REPLACE | IOASID_MAP_FIXED,
			   &iova, IA_PTR(addr), length, cut_size, 0, 0, &fault);
}

int map_cut(int fd, __u32 id, __u64 iova, const void *addr, __u64 length,
	    __u64 cut_size)
{
	return ia_map_full(fd, id, IA_RW_FIXED, &iova, IA_PTR(addr), length,
			   cut_size, 0, 0, NULL);
}

int mappings(int fd, __u32 id, struct ioasid_query_entry *e, __u32 room)
{
	struct ioasid_query_map cmd = {
		.argsz = sizeof(cmd),
		.ioasid = id,
		.nr = room,
		.entries = IA_PTR(e),
	};
	int rc = ia_cmd(fd, IOASID_QUERY_MAP, &cmd);

	return rc ? rc : (int)(cmd.nr + cmd.more);
}

bool can_write(struct model_device *dev, __u64 iova, char value)
{
	char buf[8];

	memset(buf, value, sizeof(buf));
	return !model_put(dev, iova, buf, sizeof(buf));
}

bool can_read(struct model_device *dev, __u64 iova, char value)
{
	char buf[8], want[8];

	memset(want, value, sizeof(want));
	return !model_get(dev, iova, buf, sizeof(buf)) &&
	       !memcmp(buf, want, sizeof(buf));
}

__u64 hammer_stop(struct model_device *dev, int channel)
{
	struct ioasid_model_status status = {};
	int rc = model_hammered(dev, channel, 50);

	if (rc || model_stop(dev, channel, &status) || !status.done)
		return ~0ULL;
	return status.faults + status.mismatches;
}
