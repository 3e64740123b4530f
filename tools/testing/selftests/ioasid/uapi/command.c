// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules that every command of /dev/ioasid follows: sizes, flags, reserved
 * fields, pointers, ids. No device is needed.
 *
 * Wherever a command is to fail, the state that the kernel shows of the
 * context has to be the same before and after.
 *
 * More than 700 lines: one valid call of each command, which all tests issue.
 */
#include "ioasid_test.h"
#include "layout.h"
#include "state.h"

static const __u64 iova_there = 0x10000000;
static const __u64 iova_new = 0x20000000;

FIXTURE(command)
{
	int fd;
	__u32 id;
	char *mem;
	/* two pages, the second of which cannot be accessed */
	char *edge;
	union args args;
};

/*
 * One valid call of every command. fill() makes the objects that the call
 * needs; undo() removes the objects that it made, after success or failure.
 */
FIXTURE_VARIANT(command)
{
	unsigned long cmd;
	size_t size;
	size_t min;		/* size in the first release */
	__u32 flags;		/* valid flags */
	int rc;			/* result of the valid call */
	bool copies_out;
	size_t id_at;		/* offset of an id */
	size_t reserved_at[4];	/* offsets of __u32 that must be 0 */
	void (*fill)(int fd, __u32 id, void *mem, union args *args);
	bool (*undo)(int fd, __u32 id, union args *args, int rc);
};

static void fill_check(int fd, __u32 id, void *mem, union args *args)
{
	args->check.extension = IOASID_EXT_MAP;
}

FIXTURE_VARIANT_ADD(command, check_extension)
{
	.cmd = IOASID_CHECK_EXTENSION,
	.size = sizeof(struct ioasid_check_extension),
	.rc = 1,
	.reserved_at = { offsetof(struct ioasid_check_extension, __reserved) },
	.fill = fill_check,
};

static void fill_alloc(int fd, __u32 id, void *mem, union args *args)
{
	args->alloc.kind = IOASID_KIND_MAP;
	args->alloc.cookie = 7;
}

static bool undo_alloc(int fd, __u32 id, union args *args, int rc)
{
	return rc || (args->alloc.ioasid && !ia_free(fd, args->alloc.ioasid));
}

FIXTURE_VARIANT_ADD(command, alloc)
{
	.cmd = IOASID_ALLOC,
	.size = sizeof(struct ioasid_alloc),
	.flags = IOASID_ALLOC_NEST_PARENT | IOASID_ALLOC_DIRTY |
		 IOASID_ALLOC_DEMAND,
	.copies_out = true,
	.reserved_at = { offsetof(struct ioasid_alloc, format) },
	.fill = fill_alloc,
	.undo = undo_alloc,
};

/* Leaves args->free.ioasid 0 on failure, and then the call is ENOENT. */
static void fill_free(int fd, __u32 id, void *mem, union args *args)
{
	ia_alloc(fd, &args->free.ioasid);
}

static bool undo_free(int fd, __u32 id, union args *args, int rc)
{
	return args->free.ioasid && (!rc || !ia_free(fd, args->free.ioasid));
}

FIXTURE_VARIANT_ADD(command, free)
{
	.cmd = IOASID_FREE,
	.size = sizeof(struct ioasid_free),
	.flags = IOASID_FREE_CASCADE,
	.reserved_at = { offsetof(struct ioasid_free, __reserved) },
	.fill = fill_free,
	.undo = undo_free,
};

static void fill_info(int fd, __u32 id, void *mem, union args *args)
{
	args->info.ioasid = id;
}

FIXTURE_VARIANT_ADD(command, get_info)
{
	.cmd = IOASID_GET_INFO,
	.size = sizeof(struct ioasid_info),
	.min = offsetof(struct ioasid_info, mappings_left),
	.copies_out = true,
	.id_at = offsetof(struct ioasid_info, ioasid),
	.fill = fill_info,
};

/* An IOASID is an object of the wrong type. */
static void fill_device(int fd, __u32 id, void *mem, union args *args)
{
	args->device.devid = id;
}

FIXTURE_VARIANT_ADD(command, device_get_info)
{
	.cmd = IOASID_DEVICE_GET_INFO,
	.size = sizeof(struct ioasid_device_info),
	.min = offsetof(struct ioasid_device_info, nr_pasids),
	.rc = -ENOENT,
	.id_at = offsetof(struct ioasid_device_info, devid),
	.reserved_at = { offsetof(struct ioasid_device_info, __reserved) },
	.fill = fill_device,
};

static void fill_map(int fd, __u32 id, void *mem, union args *args)
{
	args->flags = IA_RW_FIXED;
	args->map.ioasid = id;
	args->map.iova = iova_new;
	args->map.addr = IA_PTR(mem);
	args->map.length = page_size;
}

static bool undo_map(int fd, __u32 id, union args *args, int rc)
{
	__u64 unmapped;

	return rc || (!ia_unmap(fd, id, args->map.iova, page_size, &unmapped) &&
		      unmapped == page_size);
}

FIXTURE_VARIANT_ADD(command, map_fixed)
{
	.cmd = IOASID_MAP_DMA,
	.size = sizeof(struct ioasid_map_dma),
	.flags = IA_RW_FIXED | IOASID_MAP_FILE | IOASID_MAP_RESERVE |
		 IOASID_MAP_PROTECT | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
	.id_at = offsetof(struct ioasid_map_dma, ioasid),
	/* without IOASID_MAP_FILE, and with IOASID_MAP_FIXED */
	.reserved_at = {
		offsetof(struct ioasid_map_dma, fd),
		offsetof(struct ioasid_map_dma, alignment),
		offsetof(struct ioasid_map_dma, alignment) + 4,
	},
	.fill = fill_map,
	.undo = undo_map,
};

static void fill_map_any(int fd, __u32 id, void *mem, union args *args)
{
	fill_map(fd, id, mem, args);
	args->flags = IA_RW;
	args->map.iova = 0;
}

FIXTURE_VARIANT_ADD(command, map_any)
{
	.cmd = IOASID_MAP_DMA,
	.size = sizeof(struct ioasid_map_dma),
	.flags = IA_RW_FIXED | IOASID_MAP_FILE | IOASID_MAP_RESERVE |
		 IOASID_MAP_PROTECT | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
	.copies_out = true,
	.id_at = offsetof(struct ioasid_map_dma, ioasid),
	/* without IOASID_MAP_FILE, and without IOASID_MAP_FIXED */
	.reserved_at = {
		offsetof(struct ioasid_map_dma, fd),
		offsetof(struct ioasid_map_dma, iova),
		offsetof(struct ioasid_map_dma, iova) + 4,
	},
	.fill = fill_map_any,
	.undo = undo_map,
};

/* Changes mappings to what they are. */
static void fill_protect(int fd, __u32 id, void *mem, union args *args)
{
	args->flags = IA_RW_FIXED | IOASID_MAP_PROTECT;
	args->map.ioasid = id;
	args->map.iova = iova_there;
	args->map.length = page_size;
}

FIXTURE_VARIANT_ADD(command, protect)
{
	.cmd = IOASID_MAP_DMA,
	.size = sizeof(struct ioasid_map_dma),
	.flags = IA_RW_FIXED | IOASID_MAP_FILE | IOASID_MAP_RESERVE |
		 IOASID_MAP_PROTECT | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
	.id_at = offsetof(struct ioasid_map_dma, ioasid),
	.reserved_at = {
		offsetof(struct ioasid_map_dma, fd),
		offsetof(struct ioasid_map_dma, alignment),
		offsetof(struct ioasid_map_dma, addr),
		offsetof(struct ioasid_map_dma, cut_size),
	},
	.fill = fill_protect,
};

static void fill_replace(int fd, __u32 id, void *mem, union args *args)
{
	fill_map(fd, id, mem, args);
	args->flags |= IOASID_MAP_REPLACE;
}

FIXTURE_VARIANT_ADD(command, replace)
{
	.cmd = IOASID_MAP_DMA,
	.size = sizeof(struct ioasid_map_dma),
	.flags = IA_RW_FIXED | IOASID_MAP_FILE | IOASID_MAP_RESERVE |
		 IOASID_MAP_PROTECT | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
	.id_at = offsetof(struct ioasid_map_dma, ioasid),
	.reserved_at = {
		offsetof(struct ioasid_map_dma, fd),
		offsetof(struct ioasid_map_dma, alignment),
		offsetof(struct ioasid_map_dma, alignment) + 4,
	},
	.fill = fill_replace,
	.undo = undo_map,
};

static void fill_unmap(int fd, __u32 id, void *mem, union args *args)
{
	args->unmap.ioasid = id;
	args->unmap.iova = iova_there;
	args->unmap.length = page_size;
}

/* Restores the mapping of the fixture after the call. */
static bool undo_unmap(int fd, __u32 id, union args *args, int rc)
{
	static void *mem;

	if (rc)
		return true;
	if (!mem)
		mem = ia_mem(page_size);
	return args->unmap.unmapped == page_size &&
	       !ia_map(fd, id, iova_there, mem, page_size);
}

FIXTURE_VARIANT_ADD(command, unmap)
{
	.cmd = IOASID_UNMAP_DMA,
	.size = sizeof(struct ioasid_unmap_dma),
	.min = offsetof(struct ioasid_unmap_dma, bitmap),
	.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT | IOASID_UNMAP_CASCADE |
		 IOASID_UNMAP_DIRTY,
	.copies_out = true,
	.id_at = offsetof(struct ioasid_unmap_dma, ioasid),
	.reserved_at = {
		offsetof(struct ioasid_unmap_dma, __reserved),
		offsetof(struct ioasid_unmap_dma, bitmap),
		offsetof(struct ioasid_unmap_dma, told),
		offsetof(struct ioasid_unmap_dma, __reserved2),
	},
	.fill = fill_unmap,
	.undo = undo_unmap,
};

static struct ioasid_dma_op batch_op;

static void fill_batch(int fd, __u32 id, void *mem, union args *args)
{
	batch_op = (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_MAP,
		.flags = IA_RW_FIXED,
		.iova = iova_new,
		.addr = IA_PTR(mem),
		.length = page_size,
	};
	args->batch.ioasid = id;
	args->batch.nr = 1;
	args->batch.ops = IA_PTR(&batch_op);
}

static bool undo_batch(int fd, __u32 id, union args *args, int rc)
{
	__u64 unmapped;

	return rc || (args->batch.done == 1 &&
		      !ia_unmap(fd, id, iova_new, page_size, &unmapped) &&
		      unmapped == page_size);
}

FIXTURE_VARIANT_ADD(command, batch)
{
	.cmd = IOASID_DMA_BATCH,
	.size = sizeof(struct ioasid_dma_batch),
	.copies_out = true,
	.id_at = offsetof(struct ioasid_dma_batch, ioasid),
	.fill = fill_batch,
	.undo = undo_batch,
};

static void fill_query(int fd, __u32 id, void *mem, union args *args)
{
	args->query.ioasid = id;
}

FIXTURE_VARIANT_ADD(command, query)
{
	.cmd = IOASID_QUERY_MAP,
	.size = sizeof(struct ioasid_query_map),
	.copies_out = true,
	.id_at = offsetof(struct ioasid_query_map, ioasid),
	.reserved_at = {
		offsetof(struct ioasid_query_map, next),
		offsetof(struct ioasid_query_map, next) + 4,
		offsetof(struct ioasid_query_map, more),
	},
	.fill = fill_query,
};

static void fill_export(int fd, __u32 id, void *mem, union args *args)
{
	args->flags = IOASID_EXPORT_READ | IOASID_EXPORT_WRITE;
	args->export.ioasid = id;
	args->export.length = SZ_1G;
	args->export.max_mappings = 1;
	args->export.fd = -1;
}

/* A call that failed leaves no file descriptor open. */
static bool undo_export(int fd, __u32 id, union args *args, int rc)
{
	int unused;
	bool right = rc || (fcntl(args->export.fd, F_GETFD) == FD_CLOEXEC &&
			    !close(args->export.fd));

	unused = dup(fd);
	close(unused);
	return right && unused < fd + 8;
}

FIXTURE_VARIANT_ADD(command, export)
{
	.cmd = IOASID_EXPORT,
	.size = sizeof(struct ioasid_export),
	.flags = IOASID_EXPORT_READ | IOASID_EXPORT_WRITE,
	.copies_out = true,
	.id_at = offsetof(struct ioasid_export, ioasid),
	.fill = fill_export,
	.undo = undo_export,
};

static void fill_import(int fd, __u32 id, void *mem, union args *args)
{
	static int export[2] = { -1, -1 };
	union args out = { .argsz = sizeof(out.export) };

	/* one for each test's context */
	if (export[0] != fd) {
		fill_export(fd, id, mem, &out);
		export[0] = fd;
		export[1] = ia_cmd(fd, IOASID_EXPORT, &out.export) ?
			-1 : out.export.fd;
	}
	args->import.fd = export[1];
	args->import.cookie = 9;
}

static bool undo_import(int fd, __u32 id, union args *args, int rc)
{
	return rc || (args->import.ioasid && !ia_free(fd, args->import.ioasid));
}

FIXTURE_VARIANT_ADD(command, import)
{
	.cmd = IOASID_IMPORT,
	.size = sizeof(struct ioasid_import),
	.copies_out = true,
	.fill = fill_import,
	.undo = undo_import,
};

static void fill_list(int fd, __u32 id, void *mem, union args *args)
{
}

FIXTURE_VARIANT_ADD(command, list)
{
	.cmd = IOASID_LIST,
	.size = sizeof(struct ioasid_list),
	.min = offsetof(struct ioasid_list, entry_size),
	.reserved_at = { offsetof(struct ioasid_list, __reserved) },
	.copies_out = true,
	.fill = fill_list,
};

FIXTURE_VARIANT_ADD(command, get_events)
{
	.cmd = IOASID_GET_EVENTS,
	.size = sizeof(struct ioasid_get_events),
	.reserved_at = { offsetof(struct ioasid_get_events, more) },
	.copies_out = true,
	.fill = fill_list,
};

static void fill_set(int fd, __u32 id, void *mem, union args *args)
{
	args->option.option = IOASID_OPTION_LIMIT_IOASIDS;
	args->option.value = 77;
}

static bool undo_set(int fd, __u32 id, union args *args, int rc)
{
	__u64 value;

	if (ia_get_option(fd, IOASID_OPTION_LIMIT_IOASIDS, &value, NULL) ||
	    value != (rc ? ~0ULL : 77))
		return false;
	return !ia_set_option(fd, IOASID_OPTION_LIMIT_IOASIDS, ~0ULL, 0);
}

FIXTURE_VARIANT_ADD(command, set_option)
{
	.cmd = IOASID_SET_OPTION,
	.size = sizeof(struct ioasid_set_option),
	.flags = IOASID_OPTION_GET | IOASID_OPTION_SEAL,
	.reserved_at = { offsetof(struct ioasid_set_option, sealed) },
	.fill = fill_set,
	.undo = undo_set,
};

static void fill_get(int fd, __u32 id, void *mem, union args *args)
{
	args->flags = IOASID_OPTION_GET;
	args->option.option = IOASID_OPTION_LIMIT_IOASIDS;
}

FIXTURE_VARIANT_ADD(command, get_option)
{
	.cmd = IOASID_SET_OPTION,
	.size = sizeof(struct ioasid_set_option),
	.flags = IOASID_OPTION_GET | IOASID_OPTION_SEAL,
	.copies_out = true,
	.reserved_at = {
		offsetof(struct ioasid_set_option, sealed),
		offsetof(struct ioasid_set_option, value),
		offsetof(struct ioasid_set_option, value) + 4,
	},
	.fill = fill_get,
};

static void fill_designate(int fd, __u32 id, void *mem, union args *args)
{
	args->flags = IOASID_VFIO_IOASID_SET;
	args->vfio.ioasid = id;
}

static bool undo_designate(int fd, __u32 id, union args *args, int rc)
{
	struct ioasid_vfio_ioasid cmd = { .argsz = sizeof(cmd) };
	__u32 other;

	if (ia_cmd(fd, IOASID_VFIO_IOASID, &cmd))
		return false;
	if (rc)
		return cmd.ioasid != id;
	if (cmd.ioasid != id || ia_alloc(fd, &other))
		return false;
	/* Another one: the next failure must leave that one */
	cmd.flags = IOASID_VFIO_IOASID_SET;
	cmd.ioasid = other;
	if (ia_cmd(fd, IOASID_VFIO_IOASID, &cmd))
		return false;
	return !ia_free(fd, other);
}

FIXTURE_VARIANT_ADD(command, designate)
{
	.cmd = IOASID_VFIO_IOASID,
	.size = sizeof(struct ioasid_vfio_ioasid),
	.flags = IOASID_VFIO_IOASID_SET,
	.id_at = offsetof(struct ioasid_vfio_ioasid, ioasid),
	.reserved_at = { offsetof(struct ioasid_vfio_ioasid, __reserved) },
	.fill = fill_designate,
	.undo = undo_designate,
};

static void fill_designated(int fd, __u32 id, void *mem, union args *args)
{
}

FIXTURE_VARIANT_ADD(command, designated)
{
	.cmd = IOASID_VFIO_IOASID,
	.size = sizeof(struct ioasid_vfio_ioasid),
	.flags = IOASID_VFIO_IOASID_SET,
	.copies_out = true,
	.reserved_at = {
		offsetof(struct ioasid_vfio_ioasid, ioasid),
		offsetof(struct ioasid_vfio_ioasid, __reserved),
	},
	.fill = fill_designated,
};

/*
 * Commands of page tables of user space: a kernel may lack the kind of IOASID that
 * has one, so the call names another kind.
 */
static void fill_bind(int fd, __u32 id, void *mem, union args *args)
{
	args->bind.ioasid = id;
	args->bind.length = 16;
	args->bind.data = IA_PTR(mem);
}

#define BIND_TABLE							\
	.size = sizeof(struct ioasid_bind_table),			\
	.flags = IOASID_BIND_REPLACE,					\
	.rc = -EOPNOTSUPP,						\
	.id_at = offsetof(struct ioasid_bind_table, ioasid),		\
	.reserved_at = {						\
		offsetof(struct ioasid_bind_table, __reserved),		\
		offsetof(struct ioasid_bind_table, __reserved) + 4,	\
		offsetof(struct ioasid_bind_table, __reserved) + 8,	\
		offsetof(struct ioasid_bind_table, __reserved) + 12,	\
	},								\
	.fill = fill_bind

FIXTURE_VARIANT_ADD(command, bind_pgtable)
{
	.cmd = IOASID_BIND_PGTABLE,
	BIND_TABLE,
};

FIXTURE_VARIANT_ADD(command, bind_pasid_table)
{
	.cmd = IOASID_BIND_PASID_TABLE,
	BIND_TABLE,
};

static void fill_unbind(int fd, __u32 id, void *mem, union args *args)
{
	args->unbind.ioasid = id;
}

#define UNBIND_TABLE							\
	.size = sizeof(struct ioasid_unbind_table),			\
	.rc = -EOPNOTSUPP,						\
	.id_at = offsetof(struct ioasid_unbind_table, ioasid),		\
	.reserved_at = {						\
		offsetof(struct ioasid_unbind_table, __reserved),	\
	},								\
	.fill = fill_unbind

FIXTURE_VARIANT_ADD(command, unbind_pgtable)
{
	.cmd = IOASID_UNBIND_PGTABLE,
	UNBIND_TABLE,
};

FIXTURE_VARIANT_ADD(command, unbind_pasid_table)
{
	.cmd = IOASID_UNBIND_PASID_TABLE,
	UNBIND_TABLE,
};

static void fill_invalidate(int fd, __u32 id, void *mem, union args *args)
{
	args->invalidate.ioasid = id;
	args->invalidate.nr = 1;
	args->invalidate.entries = IA_PTR(mem);
}

FIXTURE_VARIANT_ADD(command, invalidate_cache)
{
	.cmd = IOASID_INVALIDATE_CACHE,
	.size = sizeof(struct ioasid_invalidate_cache),
	.rc = -EOPNOTSUPP,
	.copies_out = true,
	.id_at = offsetof(struct ioasid_invalidate_cache, ioasid),
	.reserved_at = { offsetof(struct ioasid_invalidate_cache, __reserved) },
	.fill = fill_invalidate,
};

static void fill_fault_queue(int fd, __u32 id, void *mem, union args *args)
{
	args->fault_queue.depth = 4;
	args->fault_queue.eventfd = -1;
	args->fault_queue.fd = -1;
}

/* As undo_export() */
static bool undo_fault_queue(int fd, __u32 id, union args *args, int rc)
{
	int unused;
	bool right = rc ||
		     (fcntl(args->fault_queue.fd, F_GETFD) == FD_CLOEXEC &&
		      !close(args->fault_queue.fd) &&
		      !ia_free(fd, args->fault_queue.queue));

	unused = dup(fd);
	close(unused);
	return right && unused < fd + 8;
}

FIXTURE_VARIANT_ADD(command, fault_queue)
{
	.cmd = IOASID_FAULT_QUEUE,
	.size = sizeof(struct ioasid_fault_queue),
	.copies_out = true,
	.fill = fill_fault_queue,
	.undo = undo_fault_queue,
};

static void fill_set_dirty(int fd, __u32 id, void *mem, union args *args)
{
	args->set_dirty.flags = IOASID_SET_DIRTY_ON;
	args->set_dirty.ioasid = id;
}

static bool undo_set_dirty(int fd, __u32 id, union args *args, int rc)
{
	struct ioasid_set_dirty off = {
		.argsz = sizeof(off),
		.flags = IOASID_SET_DIRTY_OFF,
		.ioasid = id,
	};

	return ia_cmd(fd, IOASID_SET_DIRTY, &off) == (rc ? -ENOENT : 0);
}

FIXTURE_VARIANT_ADD(command, set_dirty)
{
	.cmd = IOASID_SET_DIRTY,
	.size = sizeof(struct ioasid_set_dirty),
	.flags = IOASID_SET_DIRTY_ON | IOASID_SET_DIRTY_OFF |
		 IOASID_SET_DIRTY_COARSE,
	.id_at = offsetof(struct ioasid_set_dirty, ioasid),
	.reserved_at = { offsetof(struct ioasid_set_dirty, __reserved) },
	.fill = fill_set_dirty,
	.undo = undo_set_dirty,
};

static void fill_rehome(int fd, __u32 id, void *mem, union args *args)
{
	args->rehome.ioasid = id;
}

FIXTURE_VARIANT_ADD(command, rehome)
{
	.cmd = IOASID_REHOME,
	.size = sizeof(struct ioasid_rehome),
	.min = offsetof(struct ioasid_rehome, entries),
	.flags = IOASID_REHOME_PROBE,
	.copies_out = true,
	.id_at = offsetof(struct ioasid_rehome, ioasid),
	.reserved_at = {
		offsetof(struct ioasid_rehome, __reserved),
		offsetof(struct ioasid_rehome, moved),
		offsetof(struct ioasid_rehome, fail_iova),
	},
	.fill = fill_rehome,
};

static void fill_get_dirty(int fd, __u32 id, void *mem, union args *args)
{
	args->get_dirty.ioasid = id;
	args->get_dirty.iova = iova_there;
	args->get_dirty.length = page_size;
	args->get_dirty.page_size = page_size;
	args->get_dirty.bitmap = IA_PTR(mem);
}

FIXTURE_VARIANT_ADD(command, get_dirty)
{
	.cmd = IOASID_GET_DIRTY,
	.size = sizeof(struct ioasid_get_dirty),
	.flags = IOASID_GET_DIRTY_NO_CLEAR,
	.rc = -ENOENT,
	.copies_out = true,
	.id_at = offsetof(struct ioasid_get_dirty, ioasid),
	.reserved_at = {
		offsetof(struct ioasid_get_dirty, told),
		offsetof(struct ioasid_get_dirty, nr_dirty),
		offsetof(struct ioasid_get_dirty, next),
	},
	.fill = fill_get_dirty,
};

FIXTURE_SETUP(command)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = ia_mem(4 * page_size);
	ASSERT_NE(NULL, self->mem);
	self->edge = ia_mem(2 * page_size);
	ASSERT_NE(NULL, self->edge);
	ASSERT_EQ(0, mprotect(self->edge + page_size, page_size, PROT_NONE));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova_there, self->mem,
			    page_size));
}

FIXTURE_TEARDOWN(command)
{
	close(self->fd);
}

/* Fill self->args with the valid call. */
#define FILL()								\
do {									\
	memset(&self->args, 0, sizeof(self->args));			\
	self->args.argsz = variant->size;				\
	variant->fill(self->fd, self->id, self->mem + page_size,	\
		      &self->args);					\
} while (0)

#define UNDO(rc)							\
	ASSERT_TRUE(!variant->undo ||					\
		    variant->undo(self->fd, self->id, &self->args, rc))

/* Issue the call at @p, expect @want, and that a failure changes no state. */
#define ISSUE(want, p)							\
do {									\
	const char *_diff;						\
	int _rc;							\
									\
	ASSERT_EQ(0, ia_state_read(self->fd, &before));			\
	_rc = ia_cmd(self->fd, variant->cmd, p);			\
	EXPECT_EQ(want, _rc);						\
	if (_rc < 0) {							\
		ASSERT_EQ(0, ia_state_read(self->fd, &after));		\
		_diff = ia_state_diff(&before, &after);			\
		EXPECT_EQ(NULL, _diff)					\
			TH_LOG("changed: %s", _diff);			\
	}								\
} while (0)

TEST_F(command, length)
{
	struct ia_state before, after;
	unsigned int n;

	/* too short, to the byte */
	for (n = 0; n < (variant->min ?: variant->size); n++) {
		FILL();
		self->args.argsz = n;
		ISSUE(-EINVAL, &self->args);
		UNDO(-EINVAL);
	}
	/* exact, and longer with zeroes */
	for (n = variant->size; n <= sizeof(self->args);
	     n = n < variant->size + 9 ? n + 1 : n * 2) {
		FILL();
		self->args.argsz = n;
		ISSUE(variant->rc, &self->args);
		UNDO(variant->rc < 0 ? variant->rc : 0);
	}
	/* longer, with a byte that is not 0 */
	for (n = variant->size; n < sizeof(self->args);
	     n = n < variant->size + 9 ? n + 1 : n * 2) {
		FILL();
		self->args.argsz = sizeof(self->args);
		self->args.bytes[n] = 1;
		ISSUE(-E2BIG, &self->args);
		UNDO(-E2BIG);
		FILL();
		self->args.argsz = n + 1;
		self->args.bytes[n] = 0x80;
		ISSUE(-E2BIG, &self->args);
		UNDO(-E2BIG);
	}
	/* bytes behind argsz are not read */
	FILL();
	self->args.bytes[variant->size] = 1;
	ISSUE(variant->rc, &self->args);
	UNDO(variant->rc < 0 ? variant->rc : 0);
}

/*
 * A structure of a page is the longest one, whatever its contents: the byte at
 * its end counts, and one more is too many even if it is zero.
 */
TEST_F(command, page_length)
{
	struct ia_state before, after;
	char *at = ia_mem(2 * page_size);

	ASSERT_NE(NULL, at);
	FILL();
	self->args.argsz = page_size;
	memcpy(at, &self->args, variant->size);
	ISSUE(variant->rc, at);
	memcpy(&self->args, at, variant->size);
	UNDO(variant->rc < 0 ? variant->rc : 0);
	EXPECT_EQ(0, at[page_size - 1]);

	FILL();
	self->args.argsz = page_size;
	memset(at, 0, page_size);
	memcpy(at, &self->args, variant->size);
	at[page_size - 1] = 1;
	ISSUE(-E2BIG, at);
	UNDO(-E2BIG);
	EXPECT_EQ(1, at[page_size - 1]);

	FILL();
	self->args.argsz = page_size + 1;
	memset(at, 0, 2 * page_size);
	memcpy(at, &self->args, variant->size);
	ISSUE(-E2BIG, at);
	UNDO(-E2BIG);

	/* one byte less, which ends with the memory */
	FILL();
	self->args.argsz = page_size - 1;
	memset(self->edge, 0, page_size);
	memcpy(self->edge + 1, &self->args, variant->size);
	ISSUE(variant->rc, self->edge + 1);
	memcpy(&self->args, self->edge + 1, variant->size);
	UNDO(variant->rc < 0 ? variant->rc : 0);
	munmap(at, 2 * page_size);
}

TEST_F(command, huge_length)
{
	static const __u32 huge[] = {
		0x2000, 0x10001, 0x7fffffff, 0x80000000, 0xffffffff,
	};
	char *at = self->edge + page_size - variant->size;
	struct ia_state before, after;
	unsigned int i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(huge); i++) {
		FILL();
		self->args.argsz = huge[i];
		memcpy(at, &self->args, variant->size);
		ASSERT_EQ(0, ia_state_read(self->fd, &before));
		rc = ia_cmd(self->fd, variant->cmd, at);
		EXPECT_TRUE(rc == -E2BIG || rc == -EFAULT)
			TH_LOG("argsz %#x: %d", huge[i], rc);
		ASSERT_EQ(0, ia_state_read(self->fd, &after));
		EXPECT_EQ(NULL, ia_state_diff(&before, &after));
		UNDO(rc);
	}
}

TEST_F(command, flags)
{
	struct ia_state before, after;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		if (variant->flags & (1U << bit))
			continue;
		FILL();
		self->args.flags |= 1U << bit;
		ISSUE(-EOPNOTSUPP, &self->args);
		UNDO(-EOPNOTSUPP);
	}
}

TEST_F(command, reserved)
{
	struct ia_state before, after;
	unsigned int i, bit;

	for (i = 0; i < ARRAY_SIZE(variant->reserved_at); i++) {
		if (!variant->reserved_at[i])
			break;
		for (bit = 0; bit < 32; bit++) {
			__u32 value = 1U << bit;

			FILL();
			memcpy(self->args.bytes + variant->reserved_at[i],
			       &value, sizeof(value));
			ISSUE(-EINVAL, &self->args);
			UNDO(-EINVAL);
		}
	}
	if (!i)
		SKIP(return, "has none");
}

TEST_F(command, unknown_id)
{
	__u32 bad[] = { 0, self->id + 1, self->id ^ 0x80000000, 0x7fffffff,
			0x80000000, 0xffffffff };
	struct ia_state before, after;
	unsigned int i;

	if (!variant->id_at)
		SKIP(return, "takes none, or is tested elsewhere");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		FILL();
		memcpy(self->args.bytes + variant->id_at, &bad[i],
		       sizeof(bad[i]));
		ISSUE(-ENOENT, &self->args);
	}
}

TEST_F(command, bad_pointer)
{
	struct ia_state before, after;
	char *at;

	FILL();
	ISSUE(-EFAULT, NULL);
	ISSUE(-EFAULT, (void *)8);
	ISSUE(-EFAULT, (void *)-4096UL);
	ISSUE(-EFAULT, (void *)(1UL << 63));
	ISSUE(-EFAULT, self->edge + page_size);
	/* the page ends within argsz, behind it, before the last word */
	at = self->edge + page_size;
	memset(self->edge, 0, page_size);
	ISSUE(-EFAULT, at - 2);
	memcpy(at - 4, &self->args, 4);
	ISSUE(-EFAULT, at - 4);
	memcpy(at - variant->size + 4, &self->args, variant->size - 4);
	ISSUE(-EFAULT, at - variant->size + 4);
	UNDO(-EFAULT);
	/* and exactly behind the struct, aligned or not */
	FILL();
	memcpy(at - variant->size, &self->args, variant->size);
	ISSUE(variant->rc, at - variant->size);
	memcpy(&self->args, at - variant->size, variant->size);
	UNDO(variant->rc < 0 ? variant->rc : 0);
	FILL();
	memcpy(at - variant->size - 1, &self->args, variant->size);
	ISSUE(variant->rc, at - variant->size - 1);
	memcpy(&self->args, at - variant->size - 1, variant->size);
	UNDO(variant->rc < 0 ? variant->rc : 0);
}

/* If a result cannot be written, the command is undone. */
TEST_F(command, read_only)
{
	int want = variant->copies_out ? -EFAULT : variant->rc;
	struct ia_state before, after;
	const char *diff;
	int rc;

	FILL();
	memcpy(self->edge, &self->args, variant->size);
	ASSERT_EQ(0, mprotect(self->edge, page_size, PROT_READ));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	rc = ia_cmd(self->fd, variant->cmd, self->edge);
	/* A fixed map has no new result, and need not write. */
	if (variant->cmd == IOASID_MAP_DMA && !variant->copies_out &&
	    rc == -EFAULT)
		want = -EFAULT;
	EXPECT_EQ(want, rc);
	if (rc < 0) {
		ASSERT_EQ(0, ia_state_read(self->fd, &after));
		diff = ia_state_diff(&before, &after);
		EXPECT_EQ(NULL, diff)
			TH_LOG("changed: %s", diff);
	}
	UNDO(rc < 0 ? rc : 0);
}

/* A failure of a longer struct must not write beyond its own. */
TEST_F(command, writes_within)
{
	unsigned int n;

	FILL();
	memset(self->args.bytes + variant->size, 0xa5,
	       sizeof(self->args) - variant->size);
	EXPECT_EQ(variant->rc, ia_cmd(self->fd, variant->cmd, &self->args));
	for (n = variant->size; n < sizeof(self->args); n++)
		ASSERT_EQ(0xa5, self->args.bytes[n]);
	EXPECT_EQ(variant->size, self->args.argsz);
	UNDO(variant->rc < 0 ? variant->rc : 0);
}

TEST_HARNESS_MAIN
