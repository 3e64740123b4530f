// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every command, with its first, second, third... allocation or copy of user
 * memory made to fail, until it succeeds. A command that fails has to leave the
 * state as it was.
 */
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "charge.h"
#include "dirty.h"
#include "family.h"
#include "fault.h"
#include "faults.h"
#include "nested.h"
#include "process.h"
#include "state.h"

static const __u64 base = SZ_1G;

/* The objects that the commands use. */
struct stage {
	int fd;
	int file;
	int fd_close;		/* a context to close */
	__u32 id;
	__u32 id_new;
	__u32 id_child;
	__u32 id_parent;	/* of a page table of user space */
	struct fault_queue queue;
	int export;
	__u64 iova;
	char *mem;		/* 600 pages, no two of them neighbours */
	char *fresh;		/* never touched */
	char *shared;		/* the file, NULL: not mapped yet */
};

/*
 * A command: prepare() makes the objects that it needs, run() issues it, undo()
 * removes the objects that a success made, so that the state is again the one
 * before prepare().
 */
FIXTURE(command)
{
	struct stage stage;
	int fail_nth;
};

FIXTURE_VARIANT(command)
{
	__u64 charge;
	int (*prepare)(struct stage *s);
	int (*run)(struct stage *s);
	int (*undo)(struct stage *s);
	/*
	 * An unmap, free or rehome cannot be undone: if its results cannot be copied
	 * out, it may have been done completely.
	 */
	bool takes_away;
	/* A failure may leave mappings of children cut in pieces. */
	bool cuts;
	int rc;
};

static int run_check(struct stage *s)
{
	return ia_check(s->fd, IOASID_EXT_MAP);
}

FIXTURE_VARIANT_ADD(command, check_extension)
{
	.run = run_check,
	.rc = 1,
};

static int run_alloc(struct stage *s)
{
	return ia_alloc(s->fd, &s->id_new);
}

static int undo_alloc(struct stage *s)
{
	return ia_free(s->fd, s->id_new);
}

FIXTURE_VARIANT_ADD(command, alloc)
{
	.run = run_alloc,
	.undo = undo_alloc,
};

static int prepare_free(struct stage *s)
{
	int rc;

	/* the same state every time, except for the id */
	if (s->id_new && !ia_free(s->fd, s->id_new))
		s->id_new = 0;
	rc = ia_alloc(s->fd, &s->id_new);
	return rc ? rc : ia_map(s->fd, s->id_new, base, s->mem, 100 * PG);
}

static int run_free(struct stage *s)
{
	return ia_free(s->fd, s->id_new);
}

FIXTURE_VARIANT_ADD(command, free)
{
	.prepare = prepare_free,
	.run = run_free,
	.takes_away = true,
};

static int run_info(struct stage *s)
{
	struct ioasid_iova_range range = {};
	struct ioasid_info info = {
		.argsz = sizeof(info),
		.ioasid = s->id,
		.nr_ranges = 1,
		.ranges = IA_PTR(&range),
	};

	int rc = ia_cmd(s->fd, IOASID_GET_INFO, &info);

	if (!rc && (info.nr_ranges != 1 || range.last != ~0ULL ||
		    info.nr_mappings != 2))
		return -EPROTO;
	return rc;
}

FIXTURE_VARIANT_ADD(command, get_info)
{
	.run = run_info,
};

static int run_device_info(struct stage *s)
{
	struct ioasid_device_info info;

	return ia_device_info(s->fd, s->id, &info);
}

FIXTURE_VARIANT_ADD(command, device_get_info)
{
	.run = run_device_info,
	.rc = -ENOENT,
};

static int run_list(struct stage *s)
{
	struct ioasid_list_entry entries[4] = {};
	__u32 nr = ARRAY_SIZE(entries);
	int rc = ia_list(s->fd, 0, entries, &nr);

	if (!rc && (nr != 1 || entries[0].id != s->id))
		return -EPROTO;
	return rc;
}

FIXTURE_VARIANT_ADD(command, list)
{
	.run = run_list,
};

static int run_set_option(struct stage *s)
{
	return ia_set_option(s->fd, IOASID_OPTION_LIMIT_PINNED, ~0ULL, 0);
}

FIXTURE_VARIANT_ADD(command, set_option)
{
	.run = run_set_option,
};

static int run_get_option(struct stage *s)
{
	__u64 value;

	return ia_get_option(s->fd, IOASID_OPTION_LIMIT_PINNED, &value, NULL);
}

FIXTURE_VARIANT_ADD(command, get_option)
{
	.run = run_get_option,
};

static int undo_map(struct stage *s)
{
	__u64 unmapped;
	int rc = ia_unmap(s->fd, s->id, s->iova, SZ_1G, &unmapped);

	return rc || unmapped ? rc : -EPROTO;
}

static int run_map(struct stage *s)
{
	s->iova = SZ_4G;
	return ia_map(s->fd, s->id, s->iova, s->mem, PG);
}

FIXTURE_VARIANT_ADD(command, map_page)
{
	.run = run_map,
	.undo = undo_map,
};

FIXTURE_VARIANT_ADD(command, map_page_charge_mm)
{
	.charge = IOASID_CHARGE_MM,
	.run = run_map,
	.undo = undo_map,
};

FIXTURE_VARIANT_ADD(command, map_page_charge_once)
{
	.charge = IOASID_CHARGE_ONCE,
	.run = run_map,
	.undo = undo_map,
};

static int run_map_any(struct stage *s)
{
	return ia_map_any(s->fd, s->id, &s->iova, s->mem, PG);
}

FIXTURE_VARIANT_ADD(command, map_any)
{
	.run = run_map_any,
	.undo = undo_map,
};

static int run_map_long(struct stage *s)
{
	s->iova = SZ_4G;
	return ia_map(s->fd, s->id, s->iova, s->mem, 600 * PG);
}

FIXTURE_VARIANT_ADD(command, map_long)
{
	.run = run_map_long,
	.undo = undo_map,
};

FIXTURE_VARIANT_ADD(command, map_long_charge_mm)
{
	.charge = IOASID_CHARGE_MM,
	.run = run_map_long,
	.undo = undo_map,
};

static int prepare_fresh(struct stage *s)
{
	return madvise(s->fresh, 16 * PG, MADV_DONTNEED) ? -errno : 0;
}

static int run_map_fresh(struct stage *s)
{
	s->iova = SZ_4G;
	return ia_map(s->fd, s->id, s->iova, s->fresh, 16 * PG);
}

FIXTURE_VARIANT_ADD(command, map_fresh_memory)
{
	.prepare = prepare_fresh,
	.run = run_map_fresh,
	.undo = undo_map,
};

/* Of the 16 pages of the file, all but the first and the last are holes. */
static int prepare_file(struct stage *s)
{
	return fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 PG, 14 * PG) ? -errno : 0;
}

static int run_map_file(struct stage *s)
{
	s->iova = SZ_4G;
	return ia_map_file(s->fd, s->id, IA_RW_FIXED, &s->iova, s->file, 0,
			   16 * PG);
}

FIXTURE_VARIANT_ADD(command, map_file)
{
	.prepare = prepare_file,
	.run = run_map_file,
	.undo = undo_map,
};

static int run_reserve(struct stage *s)
{
	s->iova = SZ_4G;
	return ia_reserve(s->fd, s->id, s->iova, PG);
}

FIXTURE_VARIANT_ADD(command, reserve)
{
	.run = run_reserve,
	.undo = undo_map,
};

static int change_map(struct stage *s, __u32 flags, __u64 iova, void *mem,
		      __u64 length)
{
	return ia_map_full(s->fd, s->id, flags | IOASID_MAP_FIXED, &iova,
			   IA_PTR(mem), length, 0, 0, 0, NULL);
}

/* Two mappings to be read, with a hole in between */
static int prepare_change(struct stage *s)
{
	int rc;

	ia_unmap(s->fd, s->id, SZ_4G, SZ_1G, NULL);
	s->iova = SZ_4G;
	rc = change_map(s, IOASID_MAP_READ, SZ_4G, s->mem, 32 * PG);
	return rc ? rc : change_map(s, IOASID_MAP_READ, SZ_4G + 40 * PG,
				    s->mem + 40 * PG, 32 * PG);
}

static int run_protect(struct stage *s)
{
	return change_map(s, IA_RW | IOASID_MAP_PROTECT | IOASID_MAP_SPLIT,
			  SZ_4G + 3 * PG, NULL, 20 * PG);
}

FIXTURE_VARIANT_ADD(command, protect)
{
	.prepare = prepare_change,
	.run = run_protect,
	.undo = prepare_change,
};

static int run_replace(struct stage *s)
{
	return change_map(s, IA_RW | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT,
			  SZ_4G + 3 * PG, s->mem + 3 * PG, 60 * PG);
}

FIXTURE_VARIANT_ADD(command, replace)
{
	.prepare = prepare_change,
	.run = run_replace,
	.undo = prepare_change,
};

FIXTURE_VARIANT_ADD(command, replace_charge_once)
{
	.charge = IOASID_CHARGE_ONCE,
	.prepare = prepare_change,
	.run = run_replace,
	.undo = prepare_change,
};

static int run_query(struct stage *s)
{
	struct ioasid_query_entry e[4] = {};
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = s->id,
		.nr = ARRAY_SIZE(e),
		.entries = IA_PTR(e),
	};
	int rc = ia_cmd(s->fd, IOASID_QUERY_MAP, &query);

	return rc || query.nr == 2 ? rc : -EPROTO;
}

FIXTURE_VARIANT_ADD(command, query)
{
	.run = run_query,
};

static int prepare_unmap(struct stage *s)
{
	ia_unmap(s->fd, s->id, SZ_4G, SZ_1G, NULL);
	s->iova = SZ_4G;
	return ia_map_full(s->fd, s->id, IA_RW_FIXED, &s->iova, IA_PTR(s->mem),
			   600 * PG, 4 * PG, 0, 0, NULL);
}

static int run_unmap(struct stage *s)
{
	return ia_unmap(s->fd, s->id, SZ_4G, 600 * PG, NULL);
}

FIXTURE_VARIANT_ADD(command, unmap)
{
	.prepare = prepare_unmap,
	.run = run_unmap,
	.takes_away = true,
};

FIXTURE_VARIANT_ADD(command, unmap_charge_mm)
{
	.charge = IOASID_CHARGE_MM,
	.prepare = prepare_unmap,
	.run = run_unmap,
	.takes_away = true,
};

FIXTURE_VARIANT_ADD(command, unmap_charge_once)
{
	.charge = IOASID_CHARGE_ONCE,
	.prepare = prepare_unmap,
	.run = run_unmap,
	.takes_away = true,
};

static int run_cut(struct stage *s)
{
	return ia_unmap(s->fd, s->id, SZ_4G + 100 * PG, 200 * PG, NULL);
}

FIXTURE_VARIANT_ADD(command, unmap_cut)
{
	.prepare = prepare_unmap,
	.run = run_cut,
	.takes_away = true,
};

static int run_split(struct stage *s)
{
	return ia_unmap_full(s->fd, s->id, IOASID_UNMAP_SPLIT, SZ_4G + 101 * PG,
			     PG, NULL);
}

FIXTURE_VARIANT_ADD(command, unmap_split)
{
	.prepare = prepare_unmap,
	.run = run_split,
	.takes_away = true,
};

FIXTURE_VARIANT_ADD(command, unmap_split_charge_once)
{
	.charge = IOASID_CHARGE_ONCE,
	.prepare = prepare_unmap,
	.run = run_split,
	.takes_away = true,
};

static int prepare_unmap_all(struct stage *s)
{
	int rc = prepare_unmap(s);
	unsigned int i;

	for (i = 0; !rc && i < 20; i++)
		rc = ia_map(s->fd, s->id, SZ_4G + SZ_1G / 2 + i * 2 * PG,
			    s->mem, PG);
	return rc;
}

static int run_unmap_all(struct stage *s)
{
	return ia_unmap_all(s->fd, s->id, NULL);
}

FIXTURE_VARIANT_ADD(command, unmap_all)
{
	.prepare = prepare_unmap_all,
	.run = run_unmap_all,
	.takes_away = true,
};

static int run_child(struct stage *s)
{
	return ia_child(s->fd, s->id, 0, &s->id_new);
}

FIXTURE_VARIANT_ADD(command, alloc_child)
{
	.run = run_child,
	.undo = undo_alloc,
};

/* A root of 20 mappings of a page, and a child of it. */
static int prepare_family(struct stage *s)
{
	unsigned int i;
	int rc = 0;

	if (s->id_child)
		return 0;
	for (i = 0; !rc && i < 20; i++)
		rc = ia_map(s->fd, s->id, SZ_4G + i * PG, s->mem + i * PG, PG);
	return rc ? rc : ia_child(s->fd, s->id, 0, &s->id_child);
}

static int run_map_ref(struct stage *s)
{
	return ia_map_ref(s->fd, s->id_child, base, SZ_4G, 20 * PG, IA_RW);
}

static int undo_map_ref(struct stage *s)
{
	return ia_unmap(s->fd, s->id_child, base, 20 * PG, NULL);
}

FIXTURE_VARIANT_ADD(command, map_by_reference)
{
	.prepare = prepare_family,
	.run = run_map_ref,
	.undo = undo_map_ref,
};

static int prepare_cascade(struct stage *s)
{
	int rc = prepare_family(s);

	if (!rc)
		ia_unmap_full(s->fd, s->id, IOASID_UNMAP_CASCADE |
			      IOASID_UNMAP_SPLIT, 2 * SZ_4G, 4 * PG, NULL);
	if (!rc)
		rc = ia_map(s->fd, s->id, 2 * SZ_4G, s->mem, 4 * PG);
	if (!rc)
		rc = ia_unmap_all(s->fd, s->id_child, NULL);
	return rc ? rc : ia_map_ref(s->fd, s->id_child, base, 2 * SZ_4G, 4 * PG,
				    IA_RW);
}

static int run_cascade(struct stage *s)
{
	return ia_unmap_full(s->fd, s->id, IOASID_UNMAP_CASCADE |
			     IOASID_UNMAP_SPLIT, 2 * SZ_4G + PG, PG, NULL);
}

FIXTURE_VARIANT_ADD(command, unmap_cascade)
{
	.prepare = prepare_cascade,
	.run = run_cascade,
	.takes_away = true,
	.cuts = true,
};

/* A parent with a page, and a child whose format every kernel knows. */
static int prepare_pgtable(struct stage *s)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ALLOC_NEST_PARENT,
		.kind = IOASID_KIND_MAP,
	};
	int rc;

	if (s->id_child)
		return 0;
	rc = ia_cmd(s->fd, IOASID_ALLOC, &cmd);
	if (rc)
		return rc;
	s->id_parent = cmd.ioasid;
	rc = ia_map(s->fd, s->id_parent, base, s->mem, PG);
	return rc ? rc : nested_child(s->fd, s->id_parent,
				      IOMMU_HWPT_DATA_VTD_S1, &s->id_child);
}

static int run_alloc_pgtable(struct stage *s)
{
	return nested_child(s->fd, s->id_parent, IOMMU_HWPT_DATA_VTD_S1,
			    &s->id_new);
}

FIXTURE_VARIANT_ADD(command, alloc_pgtable)
{
	.prepare = prepare_pgtable,
	.run = run_alloc_pgtable,
	.undo = undo_alloc,
};

static int bind_vtd(struct stage *s, __u32 flags)
{
	struct iommu_hwpt_vtd_s1 vtd = {
		.pgtbl_addr = base, .addr_width = 48,
	};

	return bind_data(s->fd, s->id_child, flags, &vtd, sizeof(vtd));
}

static int run_bind(struct stage *s)
{
	return bind_vtd(s, 0);
}

static int undo_bind(struct stage *s)
{
	return unbind_table(s->fd, s->id_child);
}

FIXTURE_VARIANT_ADD(command, bind_pgtable)
{
	.prepare = prepare_pgtable,
	.run = run_bind,
	.undo = undo_bind,
};

static int prepare_rebind(struct stage *s)
{
	int rc = prepare_pgtable(s);

	return rc ? rc : bind_vtd(s, IOASID_BIND_REPLACE);
}

static int run_rebind(struct stage *s)
{
	return bind_vtd(s, IOASID_BIND_REPLACE);
}

FIXTURE_VARIANT_ADD(command, rebind_pgtable)
{
	.prepare = prepare_rebind,
	.run = run_rebind,
};

static int run_unbind(struct stage *s)
{
	return unbind_table(s->fd, s->id_child);
}

FIXTURE_VARIANT_ADD(command, unbind_pgtable)
{
	.prepare = prepare_rebind,
	.run = run_unbind,
	.takes_away = true,
};

static int run_invalidate(struct stage *s)
{
	return nested_flush(s->fd, s->id_child, 0, 0, 0);
}

FIXTURE_VARIANT_ADD(command, invalidate_cache)
{
	.prepare = prepare_pgtable,
	.run = run_invalidate,
};

static int run_fault_queue(struct stage *s)
{
	return fault_queue_open(s->fd, 64, &s->queue);
}

static int undo_fault_queue(struct stage *s)
{
	return close(s->queue.fd) ? -errno : ia_free(s->fd, s->queue.id);
}

FIXTURE_VARIANT_ADD(command, fault_queue)
{
	.run = run_fault_queue,
	.undo = undo_fault_queue,
};

static int prepare_with_queue(struct stage *s)
{
	return s->queue.id ? 0 : run_fault_queue(s);
}

static int run_with_queue(struct stage *s)
{
	return fault_alloc(s->fd, 0, IOASID_KIND_MAP, 0, 0, &s->queue,
			   &s->id_new);
}

FIXTURE_VARIANT_ADD(command, alloc_with_queue)
{
	.prepare = prepare_with_queue,
	.run = run_with_queue,
	.undo = undo_alloc,
};

static int run_alloc_process(struct stage *s)
{
	return process_alloc(s->fd, &s->id_new);
}

FIXTURE_VARIANT_ADD(command, alloc_process)
{
	.run = run_alloc_process,
	.undo = undo_alloc,
};

static int prepare_tracked(struct stage *s)
{
	int rc = ia_set_dirty(s->fd, s->id, IOASID_SET_DIRTY_ON);

	return rc == -EEXIST ? 0 : rc;
}

static int run_set_dirty(struct stage *s)
{
	return ia_set_dirty(s->fd, s->id, IOASID_SET_DIRTY_ON);
}

static int undo_set_dirty(struct stage *s)
{
	return ia_set_dirty(s->fd, s->id, IOASID_SET_DIRTY_OFF);
}

FIXTURE_VARIANT_ADD(command, set_dirty)
{
	.run = run_set_dirty,
	.undo = undo_set_dirty,
};

/* Another process maps, and ends; it stays when the command fails */
static int map_by_another(struct stage *s, int (*map)(struct stage *s))
{
	int status;
	pid_t pid;

	pid = ia_fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(-map(s));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	return WEXITSTATUS(status) == EEXIST ? 0 : -WEXITSTATUS(status);
}

static int map_a_page_of_file(struct stage *s)
{
	return ia_map_file(s->fd, s->id, IA_RW_FIXED, &s->iova, s->file, 0, PG);
}

static int prepare_rehome(struct stage *s)
{
	s->iova = 3 * SZ_4G;
	return map_by_another(s, map_a_page_of_file);
}

static int run_rehome(struct stage *s)
{
	return ia_rehome(s->fd, s->id, 0, NULL, NULL);
}

/* Only another process can take the charge away again */
static int undo_rehome(struct stage *s)
{
	int rc = ia_unmap(s->fd, s->id, s->iova, PG, NULL);

	return rc ? rc : prepare_rehome(s);
}

FIXTURE_VARIANT_ADD(command, rehome)
{
	.prepare = prepare_rehome,
	.run = run_rehome,
	.undo = undo_rehome,
	.takes_away = true,
};

FIXTURE_VARIANT_ADD(command, rehome_mm)
{
	.charge = IOASID_CHARGE_MM,
	.prepare = prepare_rehome,
	.run = run_rehome,
	.undo = undo_rehome,
	.takes_away = true,
};

/* fdinfo has the charge of the process that mapped last: this one */
static int prepare_rehome_once(struct stage *s)
{
	int rc = prepare_rehome(s);

	if (!rc)
		rc = ia_map(s->fd, s->id, 4 * SZ_4G, s->mem, PG);
	return rc ? rc : ia_unmap(s->fd, s->id, 4 * SZ_4G, PG, NULL);
}

static int undo_rehome_once(struct stage *s)
{
	int rc = ia_unmap(s->fd, s->id, s->iova, PG, NULL);

	return rc ? rc : prepare_rehome_once(s);
}

FIXTURE_VARIANT_ADD(command, rehome_once)
{
	.charge = IOASID_CHARGE_ONCE,
	.prepare = prepare_rehome_once,
	.run = run_rehome,
	.undo = undo_rehome_once,
	.takes_away = true,
};

static int map_shared(struct stage *s)
{
	return ia_map(s->fd, s->id, s->iova, s->shared, 16 * PG);
}

/* The other process maps pages that this one has, too, by its address. */
static int prepare_rehome_user(struct stage *s)
{
	s->iova = 3 * SZ_4G;
	if (!s->shared) {
		s->shared = mmap(NULL, 16 * PG, PROT_READ | PROT_WRITE,
				 MAP_SHARED, s->file, 0);
		if (s->shared == MAP_FAILED)
			return -errno;
	}
	return map_by_another(s, map_shared);
}

static int run_rehome_user(struct stage *s)
{
	struct ioasid_rehome_entry entry = {
		.iova = s->iova,
		.length = 16 * PG,
		.addr = IA_PTR(s->shared),
	};

	return ia_rehome_user(s->fd, s->id, 0, &entry, 1, NULL, NULL);
}

static int undo_rehome_user(struct stage *s)
{
	int rc = ia_unmap(s->fd, s->id, s->iova, 16 * PG, NULL);

	return rc ? rc : prepare_rehome_user(s);
}

FIXTURE_VARIANT_ADD(command, rehome_user)
{
	.charge = IOASID_CHARGE_MM,
	.prepare = prepare_rehome_user,
	.run = run_rehome_user,
	.undo = undo_rehome_user,
	.takes_away = true,
};

static int run_get_dirty(struct stage *s)
{
	struct ioasid_get_dirty cmd;

	/* In two parts of the log */
	return ia_get_dirty(s->fd, s->id, 0, base - 8 * PG, 16, s->fresh, &cmd);
}

FIXTURE_VARIANT_ADD(command, get_dirty)
{
	.prepare = prepare_tracked,
	.run = run_get_dirty,
};

static int prepare_unmap_dirty(struct stage *s)
{
	int rc = prepare_tracked(s);

	if (!rc)
		rc = ia_map(s->fd, s->id, base + SZ_1M, s->mem, 100 * PG);
	return rc == -EEXIST ? 0 : rc;
}

static int run_unmap_dirty(struct stage *s)
{
	struct ioasid_unmap_dma cmd;

	return ia_unmap_dirty(s->fd, s->id, 0, base + SZ_1M, 100, s->fresh,
			      &cmd);
}

FIXTURE_VARIANT_ADD(command, unmap_dirty)
{
	.prepare = prepare_unmap_dirty,
	.run = run_unmap_dirty,
	.takes_away = true,
};

/* Where the log has no room yet */
static int prepare_map_tracked(struct stage *s)
{
	s->iova = (s->iova ?: base) + SZ_1G;
	return prepare_tracked(s);
}

static int run_map_tracked(struct stage *s)
{
	return ia_map(s->fd, s->id, s->iova, s->mem, 16 * PG);
}

static int undo_map_tracked(struct stage *s)
{
	return ia_unmap(s->fd, s->id, s->iova, 16 * PG, NULL);
}

FIXTURE_VARIANT_ADD(command, map_tracked)
{
	.prepare = prepare_map_tracked,
	.run = run_map_tracked,
	.undo = undo_map_tracked,
};

static int run_export(struct stage *s)
{
	return ia_export(s->fd, s->id, EXPORT_RW, 0, SZ_1G, 1, &s->export);
}

static int undo_export(struct stage *s)
{
	return close(s->export) ? -errno : 0;
}

FIXTURE_VARIANT_ADD(command, export)
{
	.run = run_export,
	.undo = undo_export,
};

static int prepare_import(struct stage *s)
{
	return s->export ? 0 : run_export(s);
}

static int run_import(struct stage *s)
{
	return ia_import(s->fd, s->export, 0, &s->id_new);
}

FIXTURE_VARIANT_ADD(command, import)
{
	.prepare = prepare_import,
	.run = run_import,
	.undo = undo_alloc,
};

static int run_open(struct stage *s)
{
	s->fd_close = ia_open();
	return s->fd_close < 0 ? s->fd_close : 0;
}

static int undo_open(struct stage *s)
{
	return close(s->fd_close) ? -errno : 0;
}

FIXTURE_VARIANT_ADD(command, open)
{
	.run = run_open,
	.undo = undo_open,
};

/* close() cannot fail; the objects of the context must be gone nevertheless. */
static int prepare_close(struct stage *s)
{
	__u32 id;
	int i, rc;

	s->fd_close = ia_open();
	if (s->fd_close < 0)
		return s->fd_close;
	for (i = 0; i < 4; i++) {
		rc = ia_alloc(s->fd_close, &id);
		if (!rc)
			rc = ia_map(s->fd_close, id, base, s->mem, 600 * PG);
		if (rc)
			return rc;
	}
	return 0;
}

FIXTURE_VARIANT_ADD(command, close)
{
	.prepare = prepare_close,
	.run = undo_open,
	.takes_away = true,
};

FIXTURE_SETUP(command)
{
	struct stage *s = &self->stage;
	int i;

	s->fd = ia_open();
	if (s->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, s->fd);
	self->fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (self->fail_nth < 0)
		SKIP(return, "no fault injection");
	if (!set_knobs())
		SKIP(return, "no fault injection in debugfs");
	ASSERT_EQ(0, ia_set_option(s->fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	ASSERT_EQ(0, ia_alloc(s->fd, &s->id));
	s->mem = ia_mem(600 * PG);
	ASSERT_NE(NULL, s->mem);
	ASSERT_EQ(0, madvise(s->mem, 600 * PG, MADV_NOHUGEPAGE));
	/* from the end, so that page frames do not ascend */
	for (i = 599; i >= 0; i--)
		s->mem[i * PG] = 1;
	s->fresh = ia_mem(16 * PG);
	ASSERT_NE(NULL, s->fresh);
	s->file = memfd_create("fail_nth", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, s->file);
	ASSERT_EQ(0, ftruncate(s->file, 16 * PG));
	ASSERT_EQ(1, pwrite(s->file, "", 1, 0));
	ASSERT_EQ(1, pwrite(s->file, "", 1, 15 * PG));
	/* a mapping that has to stay as it is */
	ASSERT_EQ(0, ia_map(s->fd, s->id, base, s->mem, 2 * PG));
	ASSERT_EQ(0, ia_reserve(s->fd, s->id, SZ_4G - SZ_1M, PG));
}

FIXTURE_TEARDOWN(command)
{
	close(self->fail_nth);
	restore_knobs();
	close(self->stage.fd);
	if (self->stage.shared)
		EXPECT_EQ(0, munmap(self->stage.shared, 16 * PG));
	EXPECT_EQ(0, fcntl(self->stage.file, F_ADD_SEALS, F_SEAL_WRITE))
		TH_LOG("pages stayed pinned");
	EXPECT_EQ(0, ia_status("VmPin"));
	EXPECT_EQ(0, ia_status("VmLck"));
}

TEST_F_TIMEOUT(command, fails_cleanly, 250)
{
	struct ia_state before, after;
	struct stage *s = &self->stage;
	unsigned int nth, errors = 0;
	const char *diff;
	int rc, failed;

	for (nth = 1; nth < MAX_FAILURES; nth++) {
		if (variant->prepare)
			ASSERT_EQ(0, variant->prepare(s));
		ASSERT_EQ(0, ia_state_read(s->fd, &before));
		ASSERT_TRUE(arm(self->fail_nth, nth));
		rc = variant->run(s);
		failed = disarm(self->fail_nth);
		ASSERT_LE(0, failed);
		if (!failed)
			break;
		if (rc == variant->rc) {
			/* the command succeeds without it */
			if (variant->undo) {
				ASSERT_EQ(0, variant->undo(s));
				ASSERT_EQ(0, ia_state_read(s->fd, &after));
				diff = ia_state_diff(&before, &after);
				ASSERT_EQ(NULL, diff)
					TH_LOG("undone %u: %s", nth, diff);
			}
			continue;
		}
		errors++;
		/* of memory, or of a copy from or to user space */
		EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT)
			TH_LOG("failure %u: %s", nth, strerror(-rc));
		ASSERT_EQ(0, ia_state_read(s->fd, &after));
		if (variant->cuts) {
			ia_state_forget_pieces(&before);
			ia_state_forget_pieces(&after);
		}
		diff = ia_state_diff(&before, &after);
		if (!diff)
			continue;
		/*
		 * an object that was removed without a result is removed
		 * completely
		 */
		ASSERT_TRUE(variant->takes_away && rc == -EFAULT)
			TH_LOG("failure %u (%s): %s", nth, strerror(-rc), diff);
	}
	ASSERT_GT(MAX_FAILURES, nth);
	EXPECT_EQ(variant->rc, rc);
	if (rc == variant->rc && variant->undo)
		EXPECT_EQ(0, variant->undo(s));
	ksft_print_msg("%u failures, %u errors\n", nth - 1, errors);
}

TEST_HARNESS_MAIN
