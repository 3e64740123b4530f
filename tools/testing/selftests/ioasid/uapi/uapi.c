// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules that every command of /dev/ioasid follows: sizes, flags, reserved
 * fields, pointers, ids, arrays, options. No device is needed.
 *
 * Wherever a command is to fail, the state that the kernel shows of the
 * context has to be the same before and after.
 */
#include <assert.h>
#include <grp.h>

#include "ioasid_test.h"
#include "state.h"

/*
 * Nothing but naturally aligned fields without holes, so that 32 bit user
 * space has the same layout.
 */
#define AT(type, field, offset)						\
	static_assert(offsetof(struct type, field) == (offset),	\
		       #type "." #field)
#define SIZE(type, size)						\
	static_assert(sizeof(struct type) == (size), #type)

AT(ioasid_check_extension, extension, 8);
AT(ioasid_check_extension, __reserved, 12);
SIZE(ioasid_check_extension, 16);

AT(ioasid_alloc, kind, 8);
AT(ioasid_alloc, parent, 12);
AT(ioasid_alloc, cookie, 16);
AT(ioasid_alloc, cut_size, 24);
AT(ioasid_alloc, snoop, 32);
AT(ioasid_alloc, format, 36);
AT(ioasid_alloc, fault_queue, 40);
AT(ioasid_alloc, ioasid, 44);
SIZE(ioasid_alloc, 48);

AT(ioasid_free, ioasid, 8);
SIZE(ioasid_free, 16);

AT(ioasid_iova_range, last, 8);
SIZE(ioasid_iova_range, 16);

AT(ioasid_info, ioasid, 8);
AT(ioasid_info, state, 12);
AT(ioasid_info, kind, 16);
AT(ioasid_info, parent, 20);
AT(ioasid_info, cookie, 24);
AT(ioasid_info, cut_size, 32);
AT(ioasid_info, pgsizes, 40);
AT(ioasid_info, snoop, 48);
AT(ioasid_info, nr_domains, 52);
AT(ioasid_info, nr_devices, 56);
AT(ioasid_info, nr_children, 60);
AT(ioasid_info, nr_mappings, 64);
AT(ioasid_info, bytes_mapped, 72);
AT(ioasid_info, bytes_pinned, 80);
AT(ioasid_info, bytes_charged, 88);
AT(ioasid_info, bytes_left, 96);
AT(ioasid_info, waiting_cookie, 104);
AT(ioasid_info, waiting_devid, 112);
AT(ioasid_info, nr_ranges, 116);
AT(ioasid_info, ranges, 120);
AT(ioasid_info, mappings_left, 128);
AT(ioasid_info, permission, 136);
AT(ioasid_info, __reserved, 140);
SIZE(ioasid_info, 144);

AT(ioasid_device_info, devid, 8);
AT(ioasid_device_info, cookie, 16);
AT(ioasid_device_info, group, 24);
AT(ioasid_device_info, ioasid, 28);
AT(ioasid_device_info, pgsizes, 32);
AT(ioasid_device_info, addr_width, 40);
AT(ioasid_device_info, hw_len, 52);
AT(ioasid_device_info, hw_data, 56);
AT(ioasid_device_info, nr_ranges, 64);
AT(ioasid_device_info, __reserved, 68);
AT(ioasid_device_info, ranges, 72);
SIZE(ioasid_device_info, 80);

AT(ioasid_map_dma, ioasid, 8);
AT(ioasid_map_dma, fd, 12);
AT(ioasid_map_dma, iova, 16);
AT(ioasid_map_dma, addr, 24);
AT(ioasid_map_dma, length, 32);
AT(ioasid_map_dma, cut_size, 40);
AT(ioasid_map_dma, alignment, 48);
AT(ioasid_map_dma, fault_addr, 56);
SIZE(ioasid_map_dma, 64);

AT(ioasid_unmap_dma, ioasid, 8);
AT(ioasid_unmap_dma, __reserved, 12);
AT(ioasid_unmap_dma, iova, 16);
AT(ioasid_unmap_dma, length, 24);
AT(ioasid_unmap_dma, unmapped, 32);
SIZE(ioasid_unmap_dma, 40);

AT(ioasid_dma_op, flags, 2);
AT(ioasid_dma_op, fd, 4);
AT(ioasid_dma_op, iova, 8);
AT(ioasid_dma_op, addr, 16);
AT(ioasid_dma_op, length, 24);
SIZE(ioasid_dma_op, 32);

AT(ioasid_dma_batch, ioasid, 8);
AT(ioasid_dma_batch, nr, 12);
AT(ioasid_dma_batch, ops, 16);
AT(ioasid_dma_batch, done, 24);
AT(ioasid_dma_batch, error, 28);
AT(ioasid_dma_batch, unmapped, 32);
AT(ioasid_dma_batch, fault_addr, 40);
SIZE(ioasid_dma_batch, 48);

AT(ioasid_export, ioasid, 8);
AT(ioasid_export, fd, 12);
AT(ioasid_export, iova, 16);
AT(ioasid_export, length, 24);
AT(ioasid_export, max_mappings, 32);
SIZE(ioasid_export, 40);

AT(ioasid_import, fd, 8);
AT(ioasid_import, ioasid, 12);
AT(ioasid_import, cookie, 16);
SIZE(ioasid_import, 24);

AT(ioasid_list_entry, cookie, 8);
AT(ioasid_list_entry, ioasid, 16);
AT(ioasid_list_entry, parent, 28);
SIZE(ioasid_list_entry, 32);

AT(ioasid_list, start, 8);
AT(ioasid_list, nr, 12);
AT(ioasid_list, entries, 16);
SIZE(ioasid_list, 24);

AT(ioasid_set_option, option, 8);
AT(ioasid_set_option, sealed, 12);
AT(ioasid_set_option, value, 16);
SIZE(ioasid_set_option, 24);

AT(ioasid_device_bind, ioasid_fd, 8);
AT(ioasid_device_bind, ioasid, 12);
AT(ioasid_device_bind, cookie, 16);
AT(ioasid_device_bind, devid, 24);
AT(ioasid_device_bind, fault_addr, 32);
SIZE(ioasid_device_bind, 40);

AT(ioasid_device_attach, ioasid, 8);
AT(ioasid_device_attach, fault_addr, 16);
SIZE(ioasid_device_attach, 24);

AT(ioasid_device_detach, ioasid, 8);
SIZE(ioasid_device_detach, 16);

AT(ioasid_query_entry, length, 8);
AT(ioasid_query_entry, addr, 16);
AT(ioasid_query_entry, cut_size, 24);
AT(ioasid_query_entry, pgsizes, 32);
AT(ioasid_query_entry, flags, 40);
SIZE(ioasid_query_entry, 48);

AT(ioasid_query_map, ioasid, 8);
AT(ioasid_query_map, nr, 12);
AT(ioasid_query_map, start, 16);
AT(ioasid_query_map, entries, 24);
AT(ioasid_query_map, next, 32);
AT(ioasid_query_map, more, 40);
SIZE(ioasid_query_map, 48);

static_assert(IOASID_QUERY_MAP == 0x6948, "number");
static_assert(IOASID_CHECK_EXTENSION == 0x6940, "number");
static_assert(IOASID_SET_OPTION == 0x6954, "number");

static const __u64 iova_there = 0x10000000;
static const __u64 iova_new = 0x20000000;

/* A structure of any command, with more room behind it. */
union args {
	struct {
		__u32 argsz;
		__u32 flags;
	};
	struct ioasid_check_extension check;
	struct ioasid_alloc alloc;
	struct ioasid_free free;
	struct ioasid_info info;
	struct ioasid_device_info device;
	struct ioasid_map_dma map;
	struct ioasid_unmap_dma unmap;
	struct ioasid_dma_batch batch;
	struct ioasid_query_map query;
	struct ioasid_export export;
	struct ioasid_import import;
	struct ioasid_list list;
	struct ioasid_set_option option;
	__u8 bytes[4096];
};

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
	.copies_out = true,
	.reserved_at = {
		offsetof(struct ioasid_alloc, format),
		offsetof(struct ioasid_alloc, fault_queue),
	},
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
	.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT | IOASID_UNMAP_CASCADE,
	.copies_out = true,
	.id_at = offsetof(struct ioasid_unmap_dma, ioasid),
	.reserved_at = { offsetof(struct ioasid_unmap_dma, __reserved) },
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
		offsetof(struct ioasid_query_map, __reserved),
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

FIXTURE(uapi)
{
	int fd;
	__u32 id;
	char *mem;
};

FIXTURE_SETUP(uapi)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
}

FIXTURE_TEARDOWN(uapi)
{
	close(self->fd);
}

TEST_F(uapi, node)
{
	struct stat st;
	pid_t pid;
	int status;

	ASSERT_EQ(0, stat(IA_NODE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_uid);

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(2);
		_exit(open(IA_NODE, O_RDWR) < 0 && errno == EACCES ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
}

TEST_F(uapi, file_operations)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size, PROT_READ, MAP_SHARED,
				   self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(uapi, unknown_commands)
{
	static const __u8 known[] = {
		0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x48, 0x51, 0x52, 0x53,
		0x54,
	};
	unsigned int nr, i, type;
	bool is_known;
	__u32 size;
	int rc;

	for (nr = 0; nr < 256; nr++) {
		is_known = false;
		for (i = 0; i < sizeof(known); i++)
			is_known |= known[i] == nr;
		/*
		 * A later kernel may know more of them, and none of these
		 * accepts NULL; numbers outside of our range stay unknown.
		 */
		if (is_known) {
			EXPECT_EQ(-EFAULT, ia_cmd(self->fd, _IO('i', nr), NULL));
		} else if (nr < 0x40 || nr > 0x7f) {
			EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IO('i', nr), NULL));
		} else {
			rc = ia_cmd(self->fd, _IO('i', nr), NULL);
			EXPECT_TRUE(rc == -ENOTTY || rc == -EFAULT)
				TH_LOG("command %#x: %d", nr, rc);
		}
	}
	/* size and direction are part of a number */
	for (i = 0; i < sizeof(known); i++) {
		nr = known[i];
		EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IOW('i', nr, int), NULL));
		EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IOR('i', nr, int), NULL));
		EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IOWR('i', nr, int), NULL));
		for (size = 1; size < 1 << _IOC_SIZEBITS; size <<= 1) {
			EXPECT_EQ(-ENOTTY,
				  ia_cmd(self->fd,
					 _IOC(_IOC_NONE, 'i', nr, size), NULL));
		}
	}
	/* other types: of iommufd, of neighbours, of all bits */
	for (type = 0; type < 256; type++) {
		if (type == 'i' || type == 'T' || type == 'f' || type == ';' ||
		    type == 'X')
			continue;
		for (i = 0; i < sizeof(known); i++) {
			EXPECT_EQ(-ENOTTY,
				  ia_cmd(self->fd, _IO(type, known[i]), NULL));
		}
	}
	EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IO(';', 0x80), NULL));
	EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, 0xffffffff, NULL));
}

TEST_F(uapi, check_extension)
{
	__u32 i;

	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_MAP));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_MAP_FILE));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_SPLIT));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_QUERY_MAP));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_PROTECT));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_REPLACE));
	EXPECT_LE(1, ia_check(self->fd, IOASID_EXT_MAX_DEPTH));
	EXPECT_LE(1 << 20, ia_check(self->fd, IOASID_EXT_MAX_IOASIDS));
	EXPECT_EQ(0, ia_check(self->fd, 0));
	for (i = 1000; i; i <<= 1)
		EXPECT_EQ(0, ia_check(self->fd, i));
	EXPECT_EQ(0, ia_check(self->fd, 0xffffffff));
}

static int alloc_raw(int fd, struct ioasid_alloc *cmd)
{
	cmd->argsz = sizeof(*cmd);
	return ia_cmd(fd, IOASID_ALLOC, cmd);
}

TEST_F(uapi, alloc_arguments)
{
	struct ia_state before, after;
	struct ioasid_info info;
	unsigned int i;
	__u32 id;
	int rc;

#define ALLOC(...)							\
({									\
	struct ioasid_alloc _cmd = {					\
		.kind = IOASID_KIND_MAP,				\
		__VA_ARGS__						\
	};								\
									\
	alloc_raw(self->fd, &_cmd);					\
})
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (i = 10; i < 32; i++)
		EXPECT_EQ(-EOPNOTSUPP, ALLOC(.kind = 1U << i));
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.kind = 0xffffffff));
	rc = ALLOC(.kind = 0);
	EXPECT_TRUE(rc == -EOPNOTSUPP || rc == -EINVAL)
		TH_LOG("%d", rc);
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.snoop = IOASID_SNOOP_OFF));
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.snoop = 3));
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.snoop = 0x80000000));
	if (ia_check(self->fd, IOASID_EXT_MAX_DEPTH) == 1) {
		EXPECT_EQ(-EOPNOTSUPP, ALLOC(.parent = self->id));
		EXPECT_EQ(-EOPNOTSUPP, ALLOC(.parent = 0xffffffff));
	}
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = 1));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = page_size / 2));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = page_size + 1));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = page_size * 3));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = ~0ULL));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = (1ULL << 63) | page_size));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after));

	for (i = 0; i < 64; i++) {
		__u64 size = 1ULL << i;

		if (size < page_size)
			continue;
		ASSERT_EQ(0, ia_alloc_full(self->fd, &id, ~size, size));
		ASSERT_EQ(0, ia_info(self->fd, id, &info));
		EXPECT_EQ(size, info.cut_size);
		EXPECT_EQ(~size, info.cookie);
		ASSERT_EQ(0, ia_free(self->fd, id));
	}
	for (i = IOASID_SNOOP_AUTO; i <= IOASID_SNOOP_ON; i++) {
		struct ioasid_alloc cmd = {
			.kind = IOASID_KIND_MAP,
			.snoop = i,
			.ioasid = 0xdeadbeef,	/* the pointer is not used */
		};

		ASSERT_EQ(0, alloc_raw(self->fd, &cmd));
		ASSERT_EQ(0, ia_info(self->fd, cmd.ioasid, &info));
		EXPECT_EQ(i, info.snoop);
		ASSERT_EQ(0, ia_free(self->fd, cmd.ioasid));
	}
#undef ALLOC
}

TEST_F(uapi, ids)
{
	__u32 id, last, first, other_id;
	int i, other;

	/* never 0, ascending, not reused soon after a free */
	ASSERT_NE(0, self->id);
	last = self->id;
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, ia_alloc(self->fd, &id));
		ASSERT_LT(last, id);
		ASSERT_EQ(0, ia_free(self->fd, id));
		ASSERT_EQ(-ENOENT, ia_free(self->fd, id));
		last = id;
	}
	/* each context has its own ids */
	other = ia_open();
	ASSERT_LE(0, other);
	ASSERT_EQ(0, ia_alloc(other, &other_id));
	ASSERT_EQ(0, ia_alloc(self->fd, &first));
	ASSERT_NE(first, other_id);
	EXPECT_EQ(-ENOENT, ia_free(other, first));
	EXPECT_EQ(-ENOENT, ia_map(other, first, 0, self->mem, page_size));
	EXPECT_EQ(0, ia_free(self->fd, first));
	EXPECT_EQ(0, ia_free(other, other_id));
	close(other);
}

TEST_F(uapi, shared_by_all_descriptors)
{
	struct ioasid_info info;
	int copy, status;
	pid_t pid;
	__u32 id;

	copy = dup(self->fd);
	ASSERT_LE(0, copy);
	ASSERT_EQ(0, ia_info(copy, self->id, &info));
	ASSERT_EQ(0, ia_alloc(copy, &id));
	ASSERT_EQ(0, close(copy));
	ASSERT_EQ(0, ia_info(self->fd, id, &info));

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ia_free(self->fd, id) ? 1 : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(-ENOENT, ia_info(self->fd, id, &info));
}

TEST_F(uapi, info)
{
	struct ioasid_iova_range ranges[4];
	struct ioasid_info info;
	unsigned int i;
	char *edge;
	__u32 id;

	ASSERT_EQ(0, ia_alloc_full(self->fd, &id, 0x123456789abcdef0, SZ_2M));
	memset(&info, 0xff, sizeof(info));
	info.argsz = sizeof(info);
	info.flags = 0;
	info.ioasid = id;
	info.nr_ranges = 0;
	/* without room, the pointer is not used */
	info.ranges = 8;
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	EXPECT_EQ(sizeof(info), info.argsz);
	EXPECT_EQ(id, info.ioasid);
	EXPECT_EQ(0, info.state);
	EXPECT_EQ(IOASID_KIND_MAP, info.kind);
	EXPECT_EQ(0, info.parent);
	EXPECT_EQ(0x123456789abcdef0, info.cookie);
	EXPECT_EQ(SZ_2M, info.cut_size);
	EXPECT_NE(0, info.pgsizes & page_size);
	EXPECT_EQ(0, info.pgsizes & (page_size - 1));
#ifdef __x86_64__
	EXPECT_NE(0, info.pgsizes & SZ_2M);
#endif
	EXPECT_EQ(IOASID_SNOOP_AUTO, info.snoop);
	EXPECT_EQ(0, info.nr_domains);
	EXPECT_EQ(0, info.nr_devices);
	EXPECT_EQ(0, info.nr_children);
	EXPECT_EQ(0, info.nr_mappings);
	EXPECT_EQ(0, info.bytes_mapped);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_charged);
	EXPECT_EQ(~0ULL, info.bytes_left);
	EXPECT_EQ(0, info.waiting_cookie);
	EXPECT_EQ(0, info.waiting_devid);
	EXPECT_EQ(1, info.nr_ranges);

	/* more room than there are ranges */
	memset(ranges, 0xa5, sizeof(ranges));
	info.nr_ranges = ARRAY_SIZE(ranges);
	info.ranges = IA_PTR(ranges);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	EXPECT_EQ(1, info.nr_ranges);
	EXPECT_EQ(0, ranges[0].start);
	EXPECT_EQ(~0ULL, ranges[0].last);
	for (i = 1; i < ARRAY_SIZE(ranges); i++)
		EXPECT_EQ(0xa5a5a5a5a5a5a5a5, ranges[i].start);

	/* only the filled part has to be writable */
	edge = ia_mem(2 * page_size);
	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + page_size, page_size, PROT_NONE));
	info.nr_ranges = 0xffffffff;
	info.ranges = IA_PTR(edge + page_size - sizeof(ranges[0]));
	EXPECT_EQ(0, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	EXPECT_EQ(1, info.nr_ranges);
	info.ranges += 8;
	EXPECT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	info.nr_ranges = 1;
	info.ranges = 0;
	EXPECT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	info.ranges = 1ULL << 63;
	EXPECT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	ASSERT_EQ(0, ia_free(self->fd, id));
}

TEST_F(uapi, device_info)
{
	struct ioasid_device_info info;

	/* an IOASID is not a device */
	EXPECT_EQ(-ENOENT, ia_device_info(self->fd, self->id, &info));
	EXPECT_EQ(-ENOENT, ia_device_info(self->fd, 0, &info));
}

#define NR_LISTED 300

TEST_F(uapi, list)
{
	static struct ioasid_list_entry all[NR_LISTED + 4];
	static __u32 ids[NR_LISTED];
	struct ioasid_list_entry *e, some[7];
	struct ioasid_list cmd;
	__u32 nr, i, n, start;
	char *edge;

	ASSERT_EQ(0, ia_free(self->fd, self->id));

	/* no object has this id */
	nr = 4;
	memset(all, 0xa5, sizeof(all));
	ASSERT_EQ(0, ia_list(self->fd, 0, all, &nr));
	ASSERT_EQ(0, nr);
	ASSERT_EQ(0xa5a5a5a5, all[0].id);

	for (i = 0; i < NR_LISTED; i++) {
		ASSERT_EQ(0, ia_alloc_full(self->fd, &ids[i],
					   ~(__u64)i, 0));
	}
	/* holes between the ids */
	for (i = 0, n = 0; i < NR_LISTED; i++) {
		if (i % 10 == 3) {
			ASSERT_EQ(0, ia_free(self->fd, ids[i]));
			continue;
		}
		ids[n++] = ids[i];
	}

	/* without room, the pointer is not used */
	nr = 0;
	ASSERT_EQ(0, ia_list(self->fd, 0, (void *)8, &nr));
	ASSERT_EQ(n, nr);

	/* more room than entries */
	memset(all, 0xa5, sizeof(all));
	nr = ARRAY_SIZE(all);
	ASSERT_EQ(0, ia_list(self->fd, 0, all, &nr));
	ASSERT_EQ(n, nr);
	for (i = 0; i < n; i++) {
		e = &all[i];
		ASSERT_EQ(IOASID_LIST_IOASID, e->type);
		ASSERT_EQ(ids[i], e->id);
		ASSERT_EQ(IOASID_KIND_MAP, e->kind);
		ASSERT_EQ(0, e->parent);
		ASSERT_EQ(0, e->ioasid);
		ASSERT_EQ(0, e->vpasid);
		ASSERT_TRUE(~e->cookie < NR_LISTED && ~e->cookie % 10 != 3);
		if (i)
			ASSERT_LT(all[i - 1].id, e->id);
	}
	ASSERT_EQ(0xa5a5a5a5, all[n].type);

	/* exact, and one short: the first entries, and the number of all */
	for (i = n; i >= n - 1; i--) {
		memset(all, 0xa5, sizeof(all));
		nr = i;
		ASSERT_EQ(0, ia_list(self->fd, 0, all, &nr));
		ASSERT_EQ(n, nr);
		ASSERT_EQ(ids[i - 1], all[i - 1].id);
		ASSERT_EQ(0xa5a5a5a5, all[i].id);
	}

	/* piece by piece */
	start = 0;
	for (i = 0; i < n;) {
		__u32 k;

		nr = ARRAY_SIZE(some);
		ASSERT_EQ(0, ia_list(self->fd, start, some, &nr));
		ASSERT_EQ(n - i, nr);
		for (k = 0; k < nr && k < ARRAY_SIZE(some); k++)
			ASSERT_EQ(ids[i++], some[k].id);
		start = some[k - 1].id + 1;
	}
	nr = 1;
	ASSERT_EQ(0, ia_list(self->fd, start, some, &nr));
	ASSERT_EQ(0, nr);
	nr = 1;
	ASSERT_EQ(0, ia_list(self->fd, 0xffffffff, some, &nr));
	ASSERT_EQ(0, nr);

	/* start is inclusive */
	nr = 1;
	ASSERT_EQ(0, ia_list(self->fd, ids[5], some, &nr));
	ASSERT_EQ(n - 5, nr);
	ASSERT_EQ(ids[5], some[0].id);

	/* only the filled part has to be writable */
	edge = ia_mem(2 * page_size);
	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + page_size, page_size, PROT_NONE));
	nr = 0xffffffff;
	ASSERT_EQ(0, ia_list(self->fd, ids[n - 2],
			     (void *)(edge + page_size - 2 * sizeof(*e)), &nr));
	ASSERT_EQ(2, nr);
	memset(&cmd, 0, sizeof(cmd));
	cmd.argsz = sizeof(cmd);
	cmd.nr = 3;
	cmd.entries = IA_PTR(edge + page_size - 2 * sizeof(*e));
	ASSERT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_LIST, &cmd));
	cmd.entries = 0;
	cmd.nr = 1;
	ASSERT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_LIST, &cmd));
}

/* fdinfo lists 1024 IOASIDs, and counts the others. */
TEST_F(uapi, fdinfo_of_many)
{
	static const unsigned int listed = 1024, extra = 37;
	unsigned int i, lines, mores, more = 0;
	char path[64], line[512];
	__u32 id, last = 0;
	FILE *f;

	for (i = 1; i < listed + extra; i++)
		ASSERT_EQ(0, ia_alloc_full(self->fd, &last, i, 0));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	for (i = 0; i < 2; i++) {
		lines = 0;
		mores = 0;
		f = fopen(path, "re");
		ASSERT_NE(NULL, f);
		while (fgets(line, sizeof(line), f)) {
			if (sscanf(line, "ioasid:\tid=%u", &id) == 1) {
				lines++;
				EXPECT_EQ(0, mores);
				/* the lowest ids, with their lines */
				EXPECT_EQ(self->id + lines - 1, id);
				EXPECT_NE(NULL, strstr(line, "mappings=0"));
			}
			if (sscanf(line, "ioasid-more:\t%u", &more) == 1)
				mores++;
		}
		fclose(f);
		EXPECT_EQ(listed, lines);
		EXPECT_EQ(listed + extra - i,
			  ia_proc_field(path, "ioasid-count"));
		EXPECT_EQ(1, mores);
		EXPECT_EQ(extra - i, more);
		ASSERT_EQ(0, ia_free(self->fd, last--));
	}
	/* the number that it lists */
	for (; last >= self->id + listed; last--)
		ASSERT_EQ(0, ia_free(self->fd, last));
	f = fopen(path, "re");
	ASSERT_NE(NULL, f);
	lines = 0;
	while (fgets(line, sizeof(line), f)) {
		lines += !strncmp(line, "ioasid:", 7);
		EXPECT_NE(0, strncmp(line, "ioasid-more", 11));
	}
	fclose(f);
	EXPECT_EQ(listed, lines);
}

static int map_raw(int fd, struct ioasid_map_dma *cmd)
{
	cmd->argsz = sizeof(*cmd);
	return ia_cmd(fd, IOASID_MAP_DMA, cmd);
}

TEST_F(uapi, map_arguments)
{
	struct ia_state before, after;
	const char *diff;

#define MAP(...)							\
({									\
	struct ioasid_map_dma _cmd = {					\
		.flags = IA_RW_FIXED,					\
		.ioasid = self->id,					\
		.iova = iova_new,					\
		.addr = IA_PTR(self->mem),				\
		.length = page_size,					\
		__VA_ARGS__						\
	};								\
									\
	map_raw(self->fd, &_cmd);					\
})
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova_there, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));

	/* combinations of flags */
	EXPECT_EQ(-EINVAL, MAP(.flags = 0, .iova = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_FILE));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED |
					IOASID_MAP_READ, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED |
					IOASID_MAP_WRITE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED |
					IOASID_MAP_FILE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IA_RW,
			       .iova = 0, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW_FIXED | IOASID_MAP_SPLIT));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW | IOASID_MAP_REPLACE,
			       .iova = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_REPLACE));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_RESERVE |
					IOASID_MAP_REPLACE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW_FIXED | IOASID_MAP_REPLACE |
					IOASID_MAP_PROTECT, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW | IOASID_MAP_PROTECT, .iova = 0,
			       .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW_FIXED | IOASID_MAP_PROTECT |
					IOASID_MAP_FILE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_PROTECT,
			       .addr = 0));
	EXPECT_EQ(-ENXIO, MAP(.flags = IA_RW_FIXED | IOASID_MAP_PROTECT,
			      .addr = 0));

	/* fields that must be 0 */
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED));
	EXPECT_EQ(-EINVAL, MAP(.fd = -1));
	EXPECT_EQ(-EINVAL, MAP(.fd = 1));
	EXPECT_EQ(-EINVAL, MAP(.alignment = page_size));

	/* lengths and alignment */
	EXPECT_EQ(-EINVAL, MAP(.length = 0));
	EXPECT_EQ(-EINVAL, MAP(.length = 1));
	EXPECT_EQ(-EINVAL, MAP(.length = page_size - 1));
	EXPECT_EQ(-EINVAL, MAP(.length = page_size + 1));
	EXPECT_EQ(-EINVAL, MAP(.length = ~0ULL));
	EXPECT_EQ(-EINVAL, MAP(.iova = iova_new + 1));
	EXPECT_EQ(-EINVAL, MAP(.iova = iova_new + page_size / 2));
	EXPECT_EQ(-EINVAL, MAP(.iova = ~0ULL));
	EXPECT_EQ(-EINVAL, MAP(.addr = IA_PTR(self->mem) + 1));
	EXPECT_EQ(-EINVAL, MAP(.addr = IA_PTR(self->mem) + page_size / 2));

	/* overflows */
	EXPECT_EQ(-EINVAL, MAP(.iova = -page_size, .length = 2 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.iova = 1ULL << 63, .length = (1ULL << 63) +
							     page_size));
	EXPECT_EQ(-EINVAL, MAP(.iova = 2 * page_size, .length = -page_size));
	EXPECT_EQ(-EINVAL, MAP(.addr = -page_size, .length = 2 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.iova = 0, .length = -page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0,
			       .length = -page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED,
			       .addr = 0, .iova = 2 * page_size,
			       .length = -page_size));

	/* grids */
	EXPECT_EQ(-EINVAL, MAP(.cut_size = 1));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = page_size / 2));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = page_size + 1));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = 3 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = ~0ULL));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0, .alignment = 1));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0,
			       .alignment = page_size / 2));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0,
			       .alignment = 3 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0, .alignment = ~0ULL));

	/* an output, not an input */
	EXPECT_EQ(-EFAULT, MAP(.addr = 0));
	EXPECT_EQ(-EFAULT, MAP(.addr = 1ULL << 63));
	EXPECT_EQ(-EFAULT, MAP(.addr = -page_size));
	EXPECT_EQ(-EFAULT, MAP(.addr = -2 * page_size, .length = page_size));

	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
#undef MAP
}

TEST_F(uapi, unmap_arguments)
{
	struct ia_state before, after;
	const char *diff;
	__u64 unmapped;

	/* no argument is in order: nothing is written */
#define UNMAP(want, flags, iova, length)				\
do {									\
	EXPECT_EQ(want, ia_unmap_full(self->fd, self->id, flags, iova,	\
				      length, &unmapped));		\
	EXPECT_EQ(IA_UNTOUCHED, unmapped);				\
} while (0)
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova_there, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_map(self->fd, self->id, -page_size, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	UNMAP(-EINVAL, 0, iova_there, 0);
	UNMAP(-EINVAL, 0, iova_there, 1);
	UNMAP(-EINVAL, 0, iova_there, page_size - 1);
	UNMAP(-EINVAL, 0, iova_there, page_size + 1);
	UNMAP(-EINVAL, 0, iova_there, ~0ULL);
	UNMAP(-EINVAL, 0, iova_there + 1, page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_SPLIT, iova_there + page_size / 2,
	      page_size);
	UNMAP(-EINVAL, 0, -page_size, 2 * page_size);
	UNMAP(-EINVAL, 0, 2 * page_size, -page_size);
	UNMAP(-EINVAL, 0, 1ULL << 63, (1ULL << 63) + page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL, iova_there, 0);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL, 0, page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL, iova_there, page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT, 0, 0);
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
#undef UNMAP
}

TEST_F(uapi, options)
{
	static const struct {
		__u32 option;
		__u64 fallback, value, other;
	} table[] = {
		{ IOASID_OPTION_CHARGE, IOASID_CHARGE_USER, IOASID_CHARGE_MM,
		  IOASID_CHARGE_USER },
		{ IOASID_OPTION_LIMIT_PINNED, ~0ULL, 0x100000, 0 },
		{ IOASID_OPTION_LIMIT_IOASIDS, ~0ULL, 10, 1ULL << 40 },
	};
	struct ioasid_set_option cmd;
	__u32 option, sealed, i;
	__u64 value;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		option = table[i].option;
		value = 0;
		sealed = 5;
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].fallback, value);
		EXPECT_EQ(0, sealed);

		ASSERT_EQ(0, ia_set_option(self->fd, option, table[i].value,
					   0));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].value, value);
		EXPECT_EQ(0, sealed);
		ASSERT_EQ(0, ia_set_option(self->fd, option, table[i].other,
					   0));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].other, value);

		/* malformed, and no option is set or sealed */
		EXPECT_EQ(-EINVAL, ia_set_option(self->fd, option, 0,
						 IOASID_OPTION_GET |
						 IOASID_OPTION_SEAL));
		EXPECT_EQ(-EINVAL, ia_set_option(self->fd, option, 1,
						 IOASID_OPTION_GET));
		memset(&cmd, 0, sizeof(cmd));
		cmd.argsz = sizeof(cmd);
		cmd.option = option;
		cmd.value = table[i].value;
		cmd.sealed = 1;
		EXPECT_EQ(-EINVAL, ia_cmd(self->fd, IOASID_SET_OPTION, &cmd));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].other, value);
		EXPECT_EQ(0, sealed);

		ASSERT_EQ(0, ia_set_option(self->fd, option, table[i].value,
					   IOASID_OPTION_SEAL));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].value, value);
		EXPECT_EQ(1, sealed);
		EXPECT_EQ(-EPERM, ia_set_option(self->fd, option,
						table[i].other, 0));
		EXPECT_EQ(-EPERM, ia_set_option(self->fd, option,
						table[i].value, 0));
		EXPECT_EQ(-EPERM, ia_set_option(self->fd, option,
						table[i].other,
						IOASID_OPTION_SEAL));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].value, value);
		EXPECT_EQ(1, sealed);
	}
	/* no such option, no such value */
	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, 0, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, ia_get_option(self->fd, 0, &value, NULL));
	for (option = 1U << 10; option; option <<= 1) {
		EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, option, 0, 0));
		EXPECT_EQ(-EOPNOTSUPP, ia_get_option(self->fd, option, &value,
						     NULL));
	}
	EXPECT_EQ(-EOPNOTSUPP, ia_get_option(self->fd, 0xffffffff, &value,
					     NULL));
}

TEST_F(uapi, option_charge)
{
	__u64 value, iova = SZ_1M;
	int other;

	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					     1000, 0));
	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					     ~0ULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					     (1ULL << 32) | IOASID_CHARGE_MM,
					     0));
	ASSERT_EQ(0, ia_get_option(self->fd, IOASID_OPTION_CHARGE, &value,
				   NULL));
	EXPECT_EQ(IOASID_CHARGE_USER, value);

	/* a reserved range is not charged */
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, 0, page_size));
	/* until the first charge, even if all is uncharged again */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_MM, 0));
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova, self->mem, page_size));
	EXPECT_EQ(-EBUSY, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					IOASID_CHARGE_USER, 0));
	EXPECT_EQ(-EBUSY, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					IOASID_CHARGE_USER,
					IOASID_OPTION_SEAL));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(-EBUSY, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					IOASID_CHARGE_USER, 0));
	ASSERT_EQ(0, ia_get_option(self->fd, IOASID_OPTION_CHARGE, &value,
				   NULL));
	EXPECT_EQ(IOASID_CHARGE_MM, value);

	/* of this context only */
	other = ia_open();
	ASSERT_LE(0, other);
	EXPECT_EQ(0, ia_set_option(other, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_MM, 0));
	EXPECT_EQ(0, ia_set_option(other, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_USER, 0));
	close(other);
}

TEST_F(uapi, option_limit_ioasids)
{
	__u32 id[4], i;

	/* self->id is one of them */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, 5,
				   0));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, ia_alloc(self->fd, &id[i]));
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));
	ASSERT_EQ(0, ia_free(self->fd, id[1]));
	ASSERT_EQ(0, ia_alloc(self->fd, &id[1]));
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));

	/*
	 * below the current number: IOASIDs stay, but no new one can be
	 * allocated
	 */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, 2,
				   0));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &id[3]));
		ASSERT_EQ(0, ia_free(self->fd, id[i]));
	}
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));
	ASSERT_EQ(0, ia_free(self->fd, self->id));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));

	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, 0,
				   0));
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS,
				   ~0ULL, 0));
	EXPECT_EQ(0, ia_alloc(self->fd, &i));
}

TEST_F(uapi, option_limit_pinned)
{
	struct ioasid_info info;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->fd, &other));
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED,
				   8 * page_size, 0));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(8 * page_size, info.bytes_left);
	/* the limit belongs to the context, not to an IOASID */
	ASSERT_EQ(0, ia_map(self->fd, self->id, 0, self->mem, 5 * page_size));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, other, 0, self->mem,
				  4 * page_size));
	ASSERT_EQ(0, ia_map(self->fd, other, 0, self->mem, 3 * page_size));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, other, SZ_1M, self->mem,
				  page_size));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(0, info.bytes_left);
	EXPECT_EQ(5 * page_size, info.bytes_pinned);
	/* an operation that maps no memory needs no quota */
	EXPECT_EQ(0, ia_reserve(self->fd, self->id, SZ_1G, SZ_1G));

	/* below the current number */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED,
				   page_size, 0));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(0, info.bytes_left);
	EXPECT_EQ(5 * page_size, info.bytes_pinned);
	ASSERT_EQ(0, ia_free(self->fd, other));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, self->id, SZ_1M, self->mem,
				  page_size));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, self->id, SZ_1M, self->mem,
				  2 * page_size));
	EXPECT_EQ(0, ia_map(self->fd, self->id, SZ_1M, self->mem, page_size));
}

#ifdef __x86_64__
/*
 * Commands as a 32 bit program issues them: the int 0x80 gate takes even a
 * 64 bit program to the 32 bit system calls. Pointers must be below 4 GiB.
 */
static int compat_cmd(int fd, unsigned int cmd, void *arg)
{
	long rc;

	asm volatile("int $0x80"
		     : "=a" (rc)
		     : "a" (54L), "b" ((long)fd), "c" ((long)cmd), "d" (arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)rc;
}

TEST_F(uapi, compat)
{
	struct ioasid_iova_range *range;
	struct ioasid_list_entry *entry;
	union args *args;
	int status;
	pid_t pid;
	__u32 id;

	args = mmap(NULL, sizeof(*args), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, args);
	range = (void *)&args->bytes[2048];
	entry = (void *)range;

	/* without the gate, the call gives SIGSEGV or ENOSYS */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(compat_cmd(-1, 0, NULL) == -EBADF ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (status)
		SKIP(return, "no 32 bit system calls");

	EXPECT_EQ(-ENOTTY, compat_cmd(self->fd, _IO('i', 0x3f), args));
	EXPECT_EQ(-EFAULT, compat_cmd(self->fd, IOASID_ALLOC, NULL));

	args->check = (struct ioasid_check_extension) {
		.argsz = sizeof(args->check),
		.extension = IOASID_EXT_MAP,
	};
	EXPECT_EQ(1, compat_cmd(self->fd, IOASID_CHECK_EXTENSION, args));

	args->alloc = (struct ioasid_alloc) {
		.argsz = sizeof(args->alloc),
		.kind = IOASID_KIND_MAP,
		.cookie = 0x1122334455667788,
		.cut_size = 1ULL << 40,
	};
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_ALLOC, args));
	id = args->alloc.ioasid;
	ASSERT_NE(0, id);

	/* 64 bit values are passed completely */
	args->map = (struct ioasid_map_dma) {
		.argsz = sizeof(args->map),
		.flags = IA_RW_FIXED,
		.ioasid = id,
		.iova = 1ULL << 50,
		.addr = IA_PTR(self->mem),
		.length = page_size,
	};
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_MAP_DMA, args));
	EXPECT_EQ(-EEXIST, compat_cmd(self->fd, IOASID_MAP_DMA, args));
	EXPECT_EQ(1ULL << 50, args->map.fault_addr);

	memset(args, 0, sizeof(*args));
	args->info.argsz = sizeof(args->info);
	args->info.ioasid = id;
	args->info.nr_ranges = 1;
	args->info.ranges = IA_PTR(range);
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_GET_INFO, args));
	EXPECT_EQ(0x1122334455667788, args->info.cookie);
	EXPECT_EQ(1ULL << 40, args->info.cut_size);
	EXPECT_EQ(1, args->info.nr_mappings);
	EXPECT_EQ(page_size, args->info.bytes_mapped);
	EXPECT_EQ(1, args->info.nr_ranges);
	EXPECT_EQ(~0ULL, range->last);

	memset(args, 0, sizeof(*args));
	args->list.argsz = sizeof(args->list);
	args->list.start = id;
	args->list.nr = 1;
	args->list.entries = IA_PTR(entry);
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_LIST, args));
	EXPECT_EQ(1, args->list.nr);
	EXPECT_EQ(0x1122334455667788, entry->cookie);

	memset(args, 0, sizeof(*args));
	args->option.argsz = sizeof(args->option);
	args->option.flags = IOASID_OPTION_GET;
	args->option.option = IOASID_OPTION_LIMIT_PINNED;
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_SET_OPTION, args));
	EXPECT_EQ(~0ULL, args->option.value);

	memset(args, 0, sizeof(*args));
	args->device.argsz = sizeof(args->device);
	args->device.devid = id;
	EXPECT_EQ(-ENOENT, compat_cmd(self->fd, IOASID_DEVICE_GET_INFO, args));

	memset(args, 0, sizeof(*args));
	args->unmap.argsz = sizeof(args->unmap);
	args->unmap.ioasid = id;
	args->unmap.iova = 1ULL << 50;
	args->unmap.length = page_size;
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_UNMAP_DMA, args));
	EXPECT_EQ(page_size, args->unmap.unmapped);

	memset(args, 0, sizeof(*args));
	args->free.argsz = sizeof(args->free);
	args->free.ioasid = id;
	EXPECT_EQ(0, compat_cmd(self->fd, IOASID_FREE, args));
	EXPECT_EQ(-ENOENT, compat_cmd(self->fd, IOASID_FREE, args));
}
#endif /* __x86_64__ */

TEST_HARNESS_MAIN
