// SPDX-License-Identifier: GPL-2.0-only
#include "nested.h"

int nested_alloc(int fd, __u32 flags, __u32 kind, __u32 parent, __u32 format,
		 __u32 *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.kind = kind,
		.parent = parent,
		.format = format,
	};
	int rc = ia_cmd(fd, IOASID_ALLOC, &cmd);

	*id = cmd.ioasid;
	return rc;
}

int nested_parent(int fd, __u32 *id)
{
	return nested_alloc(fd, IOASID_ALLOC_NEST_PARENT, IOASID_KIND_MAP, 0, 0,
			    id);
}

int nested_child(int fd, __u32 parent, __u32 format, __u32 *id)
{
	return nested_alloc(fd, 0, IOASID_KIND_PGTABLE, parent, format, id);
}

static int bind_any(int fd, unsigned long nr, __u32 id, __u32 flags,
		    const void *data, __u32 length)
{
	struct ioasid_bind_table cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
		.length = length,
		.data = IA_PTR(data),
	};

	return ia_cmd(fd, nr, &cmd);
}

int bind_data(int fd, __u32 id, __u32 flags, const void *data, __u32 length)
{
	return bind_any(fd, IOASID_BIND_PGTABLE, id, flags, data, length);
}

int bind_pasids(int fd, __u32 id, __u32 flags, const void *data, __u32 length)
{
	return bind_any(fd, IOASID_BIND_PASID_TABLE, id, flags, data, length);
}

int bind_table(int fd, __u32 id, __u32 flags, int page)
{
	struct model_s1 s1 = { .root = GPA(page), .levels = 3 };

	return bind_data(fd, id, flags, &s1, sizeof(s1));
}

int unbind_table(int fd, __u32 id)
{
	struct ioasid_unbind_table cmd = { .argsz = sizeof(cmd), .ioasid = id };

	return ia_cmd(fd, IOASID_UNBIND_PGTABLE, &cmd);
}

int unbind_pasids(int fd, __u32 id)
{
	struct ioasid_unbind_table cmd = { .argsz = sizeof(cmd), .ioasid = id };

	return ia_cmd(fd, IOASID_UNBIND_PASID_TABLE, &cmd);
}

struct ioasid_invalidate_cache
nested_invalidation(__u32 id, const struct ioasid_invalidate *inv, __u32 nr)
{
	return (struct ioasid_invalidate_cache) {
		.argsz = sizeof(struct ioasid_invalidate_cache),
		.ioasid = id,
		.nr = nr,
		.done = 77,
		.entries = IA_PTR(inv),
	};
}

int nested_flush(int fd, __u32 id, __u32 devid, int page, int nr)
{
	struct ioasid_invalidate inv = {
		.flags = IOASID_INVALIDATE_IOTLB | IOASID_INVALIDATE_DEVTLB,
	};
	struct ioasid_invalidate_cache cmd = nested_invalidation(id, &inv, 1);
	int rc;

	if (nr) {
		inv.flags |= IOASID_INVALIDATE_RANGE;
		inv.start = VA(page);
		inv.last = VA(page + nr) - 1;
	}
	cmd.devid = devid;
	rc = ia_cmd(fd, IOASID_INVALIDATE_CACHE, &cmd);
	if (!rc && (cmd.done != 1 || cmd.error))
		return -EPROTO;
	return rc;
}

__u64 *s1_entry(char *mem, int table, int level, int index)
{
	return (__u64 *)(mem + (table + level) * PG) + index;
}

void s1_map(char *mem, int table, int page, int data)
{
	__atomic_store_n(s1_entry(mem, table, LEAF, page),
			 data < 0 ? 0 : GPA(data) | S1_RW, __ATOMIC_RELEASE);
}

void s1_init(char *mem, int table)
{
	memset(mem + table * PG, 0, 3 * PG);
	*s1_entry(mem, table, 0, BASE >> 30) = GPA(table + 1) | S1_RW;
	*s1_entry(mem, table, 1, 0) = GPA(table + LEAF) | S1_RW;
}

enum model_reason model_reason(struct model_device *dev, __u64 at)
{
	unsigned char buf[16];

	return model_get(dev, at, buf, sizeof(buf));
}
