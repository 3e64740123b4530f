// SPDX-License-Identifier: GPL-2.0-only
#include "family.h"

__thread __u64 fault;

int ia_child(int fd, __u32 parent, __u64 cut_size, __u32 *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_MAP,
		.parent = parent,
		.cut_size = cut_size,
	};
	int rc = ia_cmd(fd, IOASID_ALLOC, &cmd);

	*id = cmd.ioasid;
	return rc;
}

int ia_free_cascade(int fd, __u32 id)
{
	struct ioasid_free cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_FREE_CASCADE,
		.ioasid = id,
	};

	return ia_cmd(fd, IOASID_FREE, &cmd);
}

int ia_unmap_cascade(int fd, __u32 id, __u64 iova, __u64 length)
{
	return ia_unmap_full(fd, id, IOASID_UNMAP_CASCADE, iova, length, NULL);
}

int ia_map_ref(int fd, __u32 id, __u64 iova, __u64 addr, __u64 length,
	       __u32 permission)
{
	fault = ~0ULL;
	return ia_map_full(fd, id, permission | IOASID_MAP_FIXED, &iova, addr,
			   length, 0, 0, 0, &fault);
}

struct ioasid_info info_of(int fd, __u32 id)
{
	struct ioasid_info info;

	if (ia_info(fd, id, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

char *family_memory(int pages)
{
	char *mem = ia_mem(pages * page_size);
	int i;

	for (i = 0; mem && i < pages; i++)
		memset(mem + i * page_size, i + 1, page_size);
	return mem;
}

int family_space(struct model *model, bool child, char *mem, int pages,
		 __u32 *root, struct model_space *space)
{
	int rc = ia_alloc(model->ctx, root);

	*space = (struct model_space) {
		.model = model, .id = *root, .container = -1,
	};
	if (rc || !child)
		return rc;
	rc = ia_map(model->ctx, *root, FAMILY_ROOT_BASE, mem,
		    pages * page_size);
	return rc ? rc : ia_child(model->ctx, *root, 0, &space->id);
}

__u64 family_addr(__u32 root, const struct model_space *space, char *mem,
		  int page)
{
	return (space->id == root ? IA_PTR(mem) : FAMILY_ROOT_BASE) +
	       page * page_size;
}

bool reads(struct model_device *dev, __u64 iova, int number)
{
	unsigned char buf[16];
	size_t i;

	if (model_get(dev, iova, buf, sizeof(buf)))
		return false;
	for (i = 0; i < sizeof(buf); i++)
		if (buf[i] != (unsigned char)(number + 1))
			return false;
	return true;
}

bool faults(struct model_device *dev, __u64 iova)
{
	unsigned char buf[16];

	return model_get(dev, iova, buf, sizeof(buf)) > 0;
}

int ia_export(int fd, __u32 id, __u32 flags, __u64 iova, __u64 length,
	      __u64 max_mappings, int *export)
{
	struct ioasid_export cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
		.iova = iova,
		.length = length,
		.max_mappings = max_mappings,
	};
	int rc = ia_cmd(fd, IOASID_EXPORT, &cmd);

	*export = rc ? -1 : cmd.fd;
	return rc;
}

int ia_import(int fd, int export, __u64 cookie, __u32 *id)
{
	struct ioasid_import cmd = {
		.argsz = sizeof(cmd),
		.fd = export,
		.cookie = cookie,
	};
	int rc = ia_cmd(fd, IOASID_IMPORT, &cmd);

	*id = cmd.ioasid;
	return rc;
}
