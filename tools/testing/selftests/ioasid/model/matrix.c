// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every command, failing at every step, while devices do DMA.
 *
 * The failure is either one of the nth allocation or copy of user memory (needs
 * fault injection in the kernel), or one of the IOMMU: its maps, after some
 * pages; the allocation of a domain; an attach; and unmaps that stop early. A
 * command that fails leaves everything as it was, and DMA goes on and is right.
 * If an unmap stops for good, devices that can still reach its memory are
 * blocked, and the memory is kept until they are detached; other devices are
 * not affected.
 *
 * The IOMMU is a model, which can be made to fail, and detects memory that is
 * unpinned too early. It never fails to block a device.
 *
 * Longer than 900 lines: a table of all commands, and two walks over it.
 */
#include "ioasid_test.h"
#include "fault.h"
#include "matrix.h"
#include "state.h"

/* Number of failures of the IOMMU to try, of each type at each step */
static const unsigned int after_pages[] = { 0, 1, 3 };

/* Maximum number of failing calls of the IOMMU in one command */
#define MAX_CALLS (ia_slow_kernel() ? 3 : 12)

/*
 * Number of successive failures without an effect on a command, after which one
 * failure is skipped each time: long unmaps have hundreds of those.
 */
#define INDIFFERENT (ia_slow_kernel() ? 4 : 16)

FIXTURE(matrix)
{
	struct stage stage;
	int fail_nth;
};

/*
 * A command. prepare() makes the objects that it needs, after stage_reset();
 * run() issues it.
 */
FIXTURE_VARIANT(matrix)
{
	int (*prepare)(struct stage *s);
	int (*run)(struct stage *s);
	/*
	 * An unmap or free cannot be undone: if its results cannot be copied
	 * out, it may have been done completely.
	 */
	bool takes_away;
	/* Operations before the failing one are done. */
	bool batch;
	/* Cuts are not undone: DMA cannot detect them. */
	bool cuts;
	/* Has no result that could report a failure. */
	bool silent;
	/* Calls that must, and must not, reach the IOMMU */
	bool maps;
	bool unmaps;
	bool attaches;
};

/* --- IOASIDs --- */

static int run_alloc_child(struct stage *s)
{
	return ia_child(s->fd, s->root.id, 0, &s->id_new);
}

FIXTURE_VARIANT_ADD(matrix, alloc_child)
{
	.run = run_alloc_child,
};

static int prepare_free(struct stage *s)
{
	int rc = ia_child(s->fd, s->root.id, 0, &s->id_new);

	return rc ?: ia_map_ref(s->fd, s->id_new, BASE, FROM + 2 * PG, 12 * PG,
				IA_RW);
}

static int run_free(struct stage *s)
{
	return ia_free(s->fd, s->id_new);
}

FIXTURE_VARIANT_ADD(matrix, free_child)
{
	.prepare = prepare_free,
	.run = run_free,
	.takes_away = true,
};

/* Free a root, with a child that devices use */
static int prepare_free_cascade(struct stage *s)
{
	int rc = stage_spare(s);

	rc = rc ?: ia_alloc(s->fd, &s->id_new);
	rc = rc ?: ia_map(s->fd, s->id_new, FROM, s->mem, 16 * PG);
	rc = rc ?: ia_child(s->fd, s->id_new, 0, &s->id_below);
	rc = rc ?: ia_map_ref(s->fd, s->id_below, BASE, FROM, 8 * PG, IA_RW);
	rc = rc ?: ia_map_ref(s->fd, s->id_below, 2 * BASE, FROM, 8 * PG, IA_RW);
	return rc ?: hw_attach(s->spare.fd, s->id_below);
}

static int run_free_cascade(struct stage *s)
{
	return ia_free_cascade(s->fd, s->id_new);
}

FIXTURE_VARIANT_ADD(matrix, free_cascade)
{
	.prepare = prepare_free_cascade,
	.run = run_free_cascade,
	.takes_away = true,
	.silent = true,
	.unmaps = true,
};

/* --- map --- */

static int map_at(struct stage *s, struct model_space *space, __u64 iova,
		  __u64 length)
{
	s->at = space;
	s->iova = iova;
	s->length = length;
	return 0;
}

static int prepare_map(struct stage *s)
{
	return map_at(s, &s->root, BASE, PG);
}

static int run_map(struct stage *s)
{
	return ia_map(s->fd, s->at->id, s->iova, s->mem, s->length);
}

FIXTURE_VARIANT_ADD(matrix, map)
{
	.prepare = prepare_map,
	.run = run_map,
	.maps = true,
};

/* Tables of every level, and several of the lowest */
static int prepare_map_scattered(struct stage *s)
{
	static unsigned int nr;

	nr = (nr + 1) % 64;
	return map_at(s, &s->root, BASE + 8 * nr * SZ_1G - 20 * PG,
		      MEM_PAGES * PG);
}

FIXTURE_VARIANT_ADD(matrix, map_scattered)
{
	.prepare = prepare_map_scattered,
	.run = run_map,
	.maps = true,
};

static int prepare_map_fresh(struct stage *s)
{
	map_at(s, &s->root, BASE, 16 * PG);
	return madvise(s->fresh, 16 * PG, MADV_DONTNEED) ? -errno : 0;
}

static int run_map_fresh(struct stage *s)
{
	return ia_map(s->fd, s->at->id, s->iova, s->fresh, s->length);
}

FIXTURE_VARIANT_ADD(matrix, map_fresh_memory)
{
	.prepare = prepare_map_fresh,
	.run = run_map_fresh,
	.maps = true,
};

static int prepare_map_file(struct stage *s)
{
	map_at(s, &s->root, BASE, 16 * PG);
	return fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 0, 16 * PG) ? -errno : 0;
}

static int run_map_file(struct stage *s)
{
	__u64 iova = s->iova;

	return ia_map_file(s->fd, s->at->id, IA_RW_FIXED, &iova, s->file, 0,
			   s->length);
}

FIXTURE_VARIANT_ADD(matrix, map_file)
{
	.prepare = prepare_map_file,
	.run = run_map_file,
	.maps = true,
};

static int run_map_any(struct stage *s)
{
	__u64 iova;

	return ia_map_any(s->fd, s->root.id, &iova, s->mem, 16 * PG);
}

FIXTURE_VARIANT_ADD(matrix, map_any)
{
	.run = run_map_any,
	.maps = true,
};

static int run_reserve(struct stage *s)
{
	return ia_reserve(s->fd, s->child.id, BASE, PG);
}

FIXTURE_VARIANT_ADD(matrix, reserve)
{
	.run = run_reserve,
};

static int prepare_map_ref(struct stage *s)
{
	return map_at(s, &s->child, BASE, PG);
}

static int run_map_ref(struct stage *s)
{
	return ia_map_ref(s->fd, s->at->id, s->iova, FROM + 2 * PG, s->length,
			  IA_RW);
}

FIXTURE_VARIANT_ADD(matrix, map_by_reference)
{
	.prepare = prepare_map_ref,
	.run = run_map_ref,
	.maps = true,
};

static int prepare_map_ref_several(struct stage *s)
{
	return map_at(s, &s->child, BASE - 3 * PG, 12 * PG);
}

FIXTURE_VARIANT_ADD(matrix, map_by_reference_to_several)
{
	.prepare = prepare_map_ref_several,
	.run = run_map_ref,
	.maps = true,
};

static int run_map_ref_any(struct stage *s)
{
	__u64 iova;

	return ia_map_full(s->fd, s->child.id, IA_RW, &iova, FROM + 2 * PG,
			   12 * PG, 0, 0, 0, NULL);
}

FIXTURE_VARIANT_ADD(matrix, map_by_reference_any)
{
	.run = run_map_ref_any,
	.maps = true,
};

/* --- unmap --- */

/* In the child, and on the root's second page for children */
static int child_has(struct stage *s, unsigned int pages)
{
	s->there = BASE;
	s->there_page = 2;
	s->there_pages = pages;
	return ia_map_ref(s->fd, s->child.id, BASE, FROM + 2 * PG, pages * PG,
			  IA_RW);
}

static int prepare_unmap(struct stage *s)
{
	return child_has(s, 12);
}

static int run_unmap(struct stage *s)
{
	return ia_unmap(s->fd, s->child.id, BASE, 12 * PG, NULL);
}

FIXTURE_VARIANT_ADD(matrix, unmap)
{
	.prepare = prepare_unmap,
	.run = run_unmap,
	.takes_away = true,
	.unmaps = true,
};

static int prepare_unmap_several(struct stage *s)
{
	int rc = child_has(s, 12), i;

	for (i = 1; !rc && i < 4; i++)
		rc = ia_map_ref(s->fd, s->child.id, BASE + i * 16 * PG,
				FROM + i * PG, 5 * PG, IA_RW);
	return rc;
}

static int run_unmap_several(struct stage *s)
{
	return ia_unmap(s->fd, s->child.id, BASE - PG, SZ_1M, NULL);
}

FIXTURE_VARIANT_ADD(matrix, unmap_several)
{
	.prepare = prepare_unmap_several,
	.run = run_unmap_several,
	.takes_away = true,
	.unmaps = true,
};

static int prepare_unmap_root(struct stage *s)
{
	return ia_map(s->fd, s->root.id, BASE, s->mem, MEM_PAGES * PG);
}

static int run_unmap_root(struct stage *s)
{
	return ia_unmap(s->fd, s->root.id, BASE, MEM_PAGES * PG, NULL);
}

FIXTURE_VARIANT_ADD(matrix, unmap_root)
{
	.prepare = prepare_unmap_root,
	.run = run_unmap_root,
	.takes_away = true,
	.unmaps = true,
};

static int run_split(struct stage *s)
{
	return ia_unmap_full(s->fd, s->child.id, IOASID_UNMAP_SPLIT,
			     BASE + 5 * PG, PG, NULL);
}

FIXTURE_VARIANT_ADD(matrix, split)
{
	.prepare = prepare_unmap,
	.run = run_split,
	.takes_away = true,
	.unmaps = true,
};

/* Large IOPTEs are replaced by small ones. */
static int prepare_split_huge(struct stage *s)
{
	int rc = ia_map(s->fd, s->root.id, FROM_HUGE, s->huge, SZ_2M);

	return rc ?: ia_map_ref(s->fd, s->child.id, BASE, FROM_HUGE, SZ_2M,
				IA_RW);
}

static int run_split_huge(struct stage *s)
{
	return ia_unmap_full(s->fd, s->child.id, IOASID_UNMAP_SPLIT,
			     BASE + SZ_1M, PG, NULL);
}

FIXTURE_VARIANT_ADD(matrix, split_huge)
{
	.prepare = prepare_split_huge,
	.run = run_split_huge,
	.takes_away = true,
	.maps = true,
	.unmaps = true,
};

static int run_cascade(struct stage *s)
{
	return ia_unmap_cascade(s->fd, s->root.id, FROM, FROM_PAGES * PG);
}

FIXTURE_VARIANT_ADD(matrix, cascade)
{
	.prepare = prepare_unmap_several,
	.run = run_cascade,
	.takes_away = true,
	.unmaps = true,
};

static int run_cascade_split(struct stage *s)
{
	return ia_unmap_full(s->fd, s->root.id, IOASID_UNMAP_CASCADE |
			     IOASID_UNMAP_SPLIT, FROM + 5 * PG, PG, NULL);
}

FIXTURE_VARIANT_ADD(matrix, cascade_split)
{
	.prepare = prepare_unmap,
	.run = run_cascade_split,
	.takes_away = true,
	.cuts = true,
	.unmaps = true,
};

/* --- change --- */

static int run_protect(struct stage *s)
{
	return ia_map_ref(s->fd, s->child.id, BASE + 2 * PG, 0, 5 * PG,
			  IOASID_MAP_READ | IOASID_MAP_PROTECT |
			  IOASID_MAP_SPLIT);
}

FIXTURE_VARIANT_ADD(matrix, protect)
{
	.prepare = prepare_unmap,
	.run = run_protect,
	.takes_away = true,
	.cuts = true,
	.maps = true,
	.unmaps = true,
};

/* The first pages keep their memory. */
static int run_replace(struct stage *s)
{
	return ia_map_ref(s->fd, s->child.id, BASE + 4 * PG, FROM, 5 * PG,
			  IA_RW | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT);
}

FIXTURE_VARIANT_ADD(matrix, replace)
{
	.prepare = prepare_unmap,
	.run = run_replace,
	.takes_away = true,
	.cuts = true,
	.maps = true,
	.unmaps = true,
};

/* --- batch --- */

static int run_batch(struct stage *s, __u32 id, struct ioasid_dma_op *ops,
		     __u32 nr, const unsigned int *pages)
{
	struct ioasid_dma_batch cmd = {
		.argsz = sizeof(cmd), .ioasid = id, .nr = nr,
		.ops = IA_PTR(ops),
	};
	int rc = ia_cmd(s->fd, IOASID_DMA_BATCH, &cmd);

	rc = rc ?: cmd.error;
	/* Every operation is done completely, or not at all. */
	s->mapped_id = rc == -EFAULT || rc == -EIO ? 0 : id;
	s->mapped = pages[cmd.done] * PG;
	return rc || cmd.done == nr ? rc : -EPROTO;
}

static bool mapped_well(struct stage *s)
{
	return !s->mapped_id ||
	       info_of(s->fd, s->mapped_id).bytes_mapped == s->mapped;
}

static int prepare_batch_child(struct stage *s)
{
	return ia_map_ref(s->fd, s->child.id, BASE, FROM + 2 * PG, 4 * PG,
			  IA_RW);
}

static int run_batch_child(struct stage *s)
{
	/* KEEP, the mappings of prepare_batch_child(), and then */
	static const unsigned int pages[] = {
		20, 32, 28, 30, 30, 34, 22,
	};
	struct ioasid_dma_op ops[] = {
		{ .op = IOASID_DMA_OP_MAP, .flags = IA_RW_FIXED,
		  .iova = BASE + 16 * PG, .addr = FROM + 2 * PG,
		  .length = 12 * PG },
		{ .op = IOASID_DMA_OP_UNMAP, .iova = BASE, .length = 4 * PG },
		/* in the place of unmapped ones */
		{ .op = IOASID_DMA_OP_MAP, .flags = IA_RW_FIXED,
		  .iova = BASE + PG, .addr = FROM + 9 * PG, .length = 2 * PG },
		{ .op = IOASID_DMA_OP_MAP,
		  .flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED,
		  .iova = BASE + 8 * PG, .length = PG },
		{ .op = IOASID_DMA_OP_MAP, .flags = IA_RW, .addr = FROM,
		  .length = 4 * PG },
		{ .op = IOASID_DMA_OP_UNMAP, .iova = BASE + 16 * PG,
		  .length = 12 * PG },
	};

	return run_batch(s, s->child.id, ops, ARRAY_SIZE(ops), pages);
}

FIXTURE_VARIANT_ADD(matrix, batch)
{
	.prepare = prepare_batch_child,
	.run = run_batch_child,
	.takes_away = true,
	.batch = true,
	.maps = true,
	.unmaps = true,
};

static int run_batch_root(struct stage *s)
{
	/* KEEP, the mappings for children, and then */
	static const unsigned int pages[] = { 32, 42, 62, 52 };
	struct ioasid_dma_op ops[] = {
		{ .op = IOASID_DMA_OP_MAP, .flags = IA_RW_FIXED, .iova = BASE,
		  .addr = IA_PTR(s->mem), .length = 10 * PG },
		{ .op = IOASID_DMA_OP_MAP, .flags = IA_RW,
		  .addr = IA_PTR(s->mem), .length = 20 * PG },
		{ .op = IOASID_DMA_OP_UNMAP, .iova = BASE, .length = 10 * PG },
	};

	return run_batch(s, s->root.id, ops, ARRAY_SIZE(ops), pages);
}

FIXTURE_VARIANT_ADD(matrix, batch_root)
{
	.run = run_batch_root,
	.takes_away = true,
	.batch = true,
	.maps = true,
	.unmaps = true,
};

/* --- commands that only read --- */

static int run_get_info(struct stage *s)
{
	struct ioasid_iova_range ranges[4];
	struct ioasid_info info = {
		.argsz = sizeof(info), .ioasid = s->child.id,
		.nr_ranges = ARRAY_SIZE(ranges), .ranges = IA_PTR(ranges),
	};
	int rc = ia_cmd(s->fd, IOASID_GET_INFO, &info);

	if (!rc && (info.nr_domains != 2 || info.nr_devices != 2))
		return -EPROTO;
	return rc;
}

FIXTURE_VARIANT_ADD(matrix, get_info)
{
	.run = run_get_info,
};

static int run_device_get_info(struct stage *s)
{
	struct ioasid_iova_range ranges[4];
	struct model_hw_info hw;
	struct ioasid_device_info info = {
		.argsz = sizeof(info), .devid = s->second.devid,
		.nr_ranges = ARRAY_SIZE(ranges), .ranges = IA_PTR(ranges),
		.hw_len = sizeof(hw), .hw_data = IA_PTR(&hw),
	};
	int rc = ia_cmd(s->fd, IOASID_DEVICE_GET_INFO, &info);

	if (!rc && (hw.params.unit != 1 || info.ioasid != s->child.id))
		return -EPROTO;
	return rc;
}

FIXTURE_VARIANT_ADD(matrix, device_get_info)
{
	.run = run_device_get_info,
};

static int run_list(struct stage *s)
{
	struct ioasid_list_entry entries[16];
	__u32 nr = ARRAY_SIZE(entries);
	int rc = ia_list(s->fd, 0, entries, &nr);

	return rc || nr == 9 ? rc : -EPROTO;
}

FIXTURE_VARIANT_ADD(matrix, list)
{
	.run = run_list,
};

static int run_set_option(struct stage *s)
{
	return ia_set_option(s->fd, IOASID_OPTION_LIMIT_PINNED, ~0ULL, 0);
}

FIXTURE_VARIANT_ADD(matrix, set_option)
{
	.run = run_set_option,
};

static int run_query_map(struct stage *s)
{
	struct ioasid_query_entry entries[3];
	struct ioasid_query_map cmd = {
		.argsz = sizeof(cmd), .ioasid = s->child.id,
		.nr = ARRAY_SIZE(entries), .entries = IA_PTR(entries),
	};
	int rc = ia_cmd(s->fd, IOASID_QUERY_MAP, &cmd);

	return rc || (cmd.nr == 3 && cmd.more) ? rc : -EPROTO;
}

FIXTURE_VARIANT_ADD(matrix, query_map)
{
	.prepare = prepare_unmap_several,
	.run = run_query_map,
};

/* --- export and import --- */

static int run_export(struct stage *s)
{
	return ia_export(s->fd, s->root.id, EXPORT_RW, FROM, FROM_PAGES * PG,
			 ~0ULL, &s->export);
}

FIXTURE_VARIANT_ADD(matrix, export)
{
	.run = run_export,
};

static int run_import(struct stage *s)
{
	return ia_import(s->fd, s->export, 0, &s->id_new);
}

FIXTURE_VARIANT_ADD(matrix, import)
{
	.prepare = run_export,
	.run = run_import,
};

/* Devices use a child of an import, and the owner unmaps all of it. */
static int prepare_revoke_import(struct stage *s)
{
	__u32 id;
	int rc = run_export(s);

	s->ctx = ia_open();
	if (s->ctx < 0)
		return s->ctx;
	rc = rc ?: ia_import(s->ctx, s->export, 0, &id);
	rc = rc ?: ia_child(s->ctx, id, 0, &id);
	rc = rc ?: ia_map_ref(s->ctx, id, BASE, 2 * PG, 12 * PG, IA_RW);
	if (!rc && !s->spare.model)
		rc = stage_spare(s);
	if (rc)
		return rc;
	/* bound to the other context */
	model_release(&s->spare);
	s->spare.fd = model_open_cdev(&s->spare);
	if (s->spare.fd < 0)
		return s->spare.fd;
	rc = hw_bind_full(s->spare.fd, s->ctx, id, 1, NULL, NULL);
	if (!rc)
		s->spare.bound = true;
	return rc;
}

FIXTURE_VARIANT_ADD(matrix, revoke_import)
{
	.prepare = prepare_revoke_import,
	.run = run_cascade,
	.takes_away = true,
	.unmaps = true,
};

/* --- devices --- */

static int prepare_bind(struct stage *s)
{
	int rc = stage_spare(s);

	if (rc)
		return rc;
	model_release(&s->spare);
	s->spare.fd = model_open_cdev(&s->spare);
	return s->spare.fd < 0 ? s->spare.fd : 0;
}

static int run_bind(struct stage *s)
{
	return hw_bind(s->spare.fd, s->fd, 1, &s->spare.devid);
}

FIXTURE_VARIANT_ADD(matrix, bind)
{
	.prepare = prepare_bind,
	.run = run_bind,
};

static int run_bind_attach(struct stage *s)
{
	return hw_bind_full(s->spare.fd, s->fd, s->child.id, 1,
			    &s->spare.devid, NULL);
}

FIXTURE_VARIANT_ADD(matrix, bind_and_attach)
{
	.prepare = prepare_bind,
	.run = run_bind_attach,
	.maps = true,
	.attaches = true,
};

static int prepare_attach(struct stage *s)
{
	int rc = stage_spare(s);

	return rc ?: child_has(s, 12);
}

static int run_attach(struct stage *s)
{
	return model_attach(&s->spare, &s->child);
}

/* A third domain, which attach populates */
FIXTURE_VARIANT_ADD(matrix, attach)
{
	.prepare = prepare_attach,
	.run = run_attach,
	.maps = true,
	.attaches = true,
};

/* Two devices of a group: the second may fail after the first has moved. */
static int prepare_attach_group(struct stage *s)
{
	int rc = prepare_attach(s);

	return rc ?: model_bind(&s->sibling);
}

FIXTURE_VARIANT_ADD(matrix, attach_group)
{
	.prepare = prepare_attach_group,
	.run = run_attach,
	.maps = true,
	.attaches = true,
};

static int prepare_move(struct stage *s)
{
	int rc = prepare_attach_group(s);

	rc = rc ?: model_attach(&s->spare, &s->other);
	return rc ?: model_attach(&s->sibling, &s->other);
}

FIXTURE_VARIANT_ADD(matrix, move)
{
	.prepare = prepare_move,
	.run = run_attach,
	.maps = true,
	.attaches = true,
};

static int prepare_detach(struct stage *s)
{
	int rc = prepare_attach(s);

	return rc ?: model_attach(&s->spare, &s->child);
}

static int run_detach(struct stage *s)
{
	return model_detach(&s->spare);
}

FIXTURE_VARIANT_ADD(matrix, detach)
{
	.prepare = prepare_detach,
	.run = run_detach,
	.takes_away = true,
};

/* --- close --- */

static int run_close_device(struct stage *s)
{
	model_release(&s->spare);
	return 0;
}

FIXTURE_VARIANT_ADD(matrix, close_device)
{
	.prepare = prepare_detach,
	.run = run_close_device,
	.takes_away = true,
};

/* A context of its own, with a family and a device in it */
static int prepare_close(struct stage *s)
{
	__u32 root, child;
	int rc = prepare_bind(s);

	s->ctx = ia_open();
	if (s->ctx < 0)
		return s->ctx;
	rc = rc ?: ia_alloc(s->ctx, &root);
	rc = rc ?: ia_map(s->ctx, root, BASE, s->mem, MEM_PAGES * PG);
	rc = rc ?: ia_child(s->ctx, root, 0, &child);
	rc = rc ?: ia_map_ref(s->ctx, child, BASE, BASE, 20 * PG, IA_RW);
	rc = rc ?: hw_bind_full(s->spare.fd, s->ctx, child, 1, NULL, NULL);
	rc = rc ?: model_hammer(&s->spare, 2, IOASID_MODEL_READ, BASE, 0, 20, 1);
	if (!rc)
		s->spare.bound = true;
	return rc;
}

static int run_close_context(struct stage *s)
{
	close(s->ctx);
	s->ctx = -1;
	return run_close_device(s);
}

FIXTURE_VARIANT_ADD(matrix, close_context_first)
{
	.prepare = prepare_close,
	.run = run_close_context,
	.takes_away = true,
};

static int run_close_context_last(struct stage *s)
{
	run_close_device(s);
	close(s->ctx);
	s->ctx = -1;
	return 0;
}

FIXTURE_VARIANT_ADD(matrix, close_context_last)
{
	.prepare = prepare_close,
	.run = run_close_context_last,
	.takes_away = true,
};

/* ------------------------------------------------------------------------- */

FIXTURE_SETUP(matrix)
{
	int rc = stage_open(&self->stage);

	self->fail_nth = -1;
	if (rc == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(matrix)
{
	struct stage *s = &self->stage;

	if (s->file < 0)
		return;
	EXPECT_EQ(0, stage_reset(s));
	EXPECT_TRUE(stage_verify(&s->on_root));
	EXPECT_TRUE(stage_verify(&s->on_child));
	EXPECT_TRUE(stage_verify(&s->second));
	EXPECT_NO_HARM(&s->on_root);
	EXPECT_NO_HARM(&s->second);
	if (s->spare.model)
		EXPECT_NO_HARM(&s->spare);
	EXPECT_EQ(0, stage_unplug(&s->sibling));
	EXPECT_EQ(0, stage_unplug(&s->spare));
	EXPECT_EQ(0, stage_unplug(&s->second));
	EXPECT_EQ(0, stage_unplug(&s->on_child));
	model_release(&s->on_root);
	EXPECT_EQ(0, model_counters(&s->on_root).attached);
	EXPECT_EQ(0, stage_unplug(&s->on_root));
	EXPECT_EQ(0, ia_free_cascade(s->fd, s->root.id));
	EXPECT_EQ(0, ia_free(s->fd, s->child.id));
	EXPECT_EQ(0, ia_free(s->fd, s->other.id));
	EXPECT_EQ(0, fcntl(s->file, F_ADD_SEALS, F_SEAL_WRITE))
		TH_LOG("pages of the file stayed pinned");
	EXPECT_EQ(0, ia_status("VmPin"));
	EXPECT_EQ(0, ia_status("VmLck"));
	close(self->fail_nth);
	model_close(&s->model);
}

/*
 * Check that a failed command has made none of its mappings, and has unmapped
 * none, for each device of the space. NULL if so.
 */
static const char *dma_as_before(struct stage *s)
{
	struct model_device *devs[] = { &s->on_root, &s->on_child, &s->second };
	static char text[100];
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(devs); i++) {
		if (devs[i]->space == s->at &&
		    (!faults(devs[i], s->iova) ||
		     !faults(devs[i], s->iova + s->length - PG)))
			return "what was not mapped can be reached";
		if (devs[i]->space != &s->child)
			continue;
		for (k = 0; k < s->there_pages; k++) {
			if (reads(devs[i], s->there + k * PG,
				  s->there_page + k))
				continue;
			snprintf(text, sizeof(text),
				 "%s does not read page %u any more",
				 devs[i]->name, k);
			return text;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(matrix, fail_nth, 250)
{
	struct ia_state before, after;
	struct stage *s = &self->stage;
	unsigned int nth, errors = 0, tried = 0, indifferent = 0;
	const char *diff;
	int rc, failed;

	self->fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (self->fail_nth < 0)
		SKIP(return, "no fault injection");
	if (!set_knobs())
		SKIP(return, "no fault injection in debugfs");
	for (nth = 1; nth < MAX_FAILURES; nth += 1 + indifferent / INDIFFERENT) {
		ASSERT_EQ(0, stage_reset(s));
		if (variant->prepare)
			ASSERT_EQ(0, variant->prepare(s));
		ASSERT_EQ(0, ia_state_read(s->fd, &before));
		ASSERT_EQ(0, stage_busy(s));
		ASSERT_TRUE(arm(self->fail_nth, nth));
		rc = variant->run(s);
		failed = disarm(self->fail_nth);
		ASSERT_LE(0, failed);
		diff = stage_wrong(s);
		ASSERT_EQ(NULL, diff) TH_LOG("failure %u: %s", nth, diff);
		if (!failed)
			break;
		tried++;
		/* the command succeeds without it */
		indifferent = rc ? 0 : indifferent + 1;
		if (!rc)
			continue;
		errors++;
		EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT)
			TH_LOG("failure %u: %s", nth, strerror(-rc));
		if (variant->batch) {
			EXPECT_TRUE(mapped_well(s));
			continue;
		}
		ASSERT_EQ(0, ia_state_read(s->fd, &after));
		if (variant->cuts) {
			ia_state_forget_pieces(&before);
			ia_state_forget_pieces(&after);
		}
		diff = ia_state_diff(&before, &after) ?: dma_as_before(s);
		/*
		 * an object that was removed without a result is removed
		 * completely
		 */
		ASSERT_TRUE(!diff || (variant->takes_away && rc == -EFAULT))
			TH_LOG("failure %u (%s): %s", nth, strerror(-rc), diff);
	}
	restore_knobs();
	ASSERT_GT(MAX_FAILURES, nth);
	EXPECT_EQ(0, rc);
	ksft_print_msg("%u failures, %u errors\n", tried, errors);
}

static struct model_device *unit(struct stage *s, int nr)
{
	struct model_device *dev = nr == 0 ? &s->on_root :
				   nr == 1 ? &s->second : &s->spare;

	return dev->model ? dev : NULL;
}

#define UNITS 3

/* A command, and its calls of each unit without a failure */
struct command {
	struct stage *stage;
	int (*prepare)(struct stage *s);
	int (*run)(struct stage *s);
	bool batch;
	bool silent;
	unsigned int maps[UNITS];
	unsigned int unmaps[UNITS];
};

static int start(struct command *c)
{
	int rc = stage_reset(c->stage);

	return rc || !c->prepare ? rc : c->prepare(c->stage);
}

static void add_calls(struct command *c, int sign)
{
	struct model_counters counters;
	int i;

	for (i = 0; i < UNITS; i++) {
		if (!unit(c->stage, i))
			continue;
		counters = model_counters(unit(c->stage, i));
		c->maps[i] += sign * (int)counters.maps;
		c->unmaps[i] += sign * (int)counters.unmaps;
	}
}

static int count_calls(struct command *c)
{
	int rc = start(c);

	if (rc)
		return rc;
	add_calls(c, -1);
	rc = c->run(c->stage);
	add_calls(c, 1);
	return rc;
}

static bool any_calls(const unsigned int *calls)
{
	return calls[0] || calls[1] || calls[2];
}

/* The failing call */
struct failure {
	int unit;
	enum model_injection what;
	unsigned int nth;
	unsigned int pages;
};

/* Run the command with a failure that may have no effect. */
static int run_failing(struct command *c, const struct failure *f)
{
	struct model_device *dev = unit(c->stage, f->unit);
	int rc, injected;

	injected = model_inject(dev, f->what, f->nth, f->pages);
	rc = c->run(c->stage);
	injected = injected ?: model_inject(dev, f->what, 0, 0);
	return injected ? -EPROTO : rc;
}

/* A failing call that is reported; returns whether the command failed. */
static bool fail_call(struct __test_metadata *_metadata, struct command *c,
		      const struct failure *f)
{
	struct stage *s = c->stage;
	struct ia_state before, after;
	const char *diff;
	int rc;

	ASSERT_EQ(0, start(c));
	ASSERT_EQ(0, ia_state_read(s->fd, &before));
	ASSERT_EQ(0, stage_busy(s));
	rc = run_failing(c, f);
	diff = stage_wrong(s);
	ASSERT_EQ(NULL, diff) TH_LOG("%s", diff);
	if (!rc)
		return false;
	EXPECT_EQ(-ENOMEM, rc);
	if (c->batch) {
		EXPECT_TRUE(mapped_well(s));
		return true;
	}
	ASSERT_EQ(0, ia_state_read(s->fd, &after));
	diff = ia_state_diff(&before, &after) ?: dma_as_before(s);
	ASSERT_EQ(NULL, diff)
		TH_LOG("unit %d, call %u, %u pages: %s", f->unit, f->nth,
		       f->pages, diff);
	return true;
}

/*
 * A unit did not unmap all that it should. Check that its device on the
 * poisoned space is blocked, and no other one; that the space cannot map; and
 * that no reachable memory was released. NULL if so.
 */
static const char *poisoned_well(struct stage *s, int u, struct model_space *of)
{
	struct model_device *devs[] = {
		&s->on_root, &s->on_child, &s->second,
	};
	struct model_device *dev;
	unsigned int i;
	int of_unit;

	for (i = 0; i < ARRAY_SIZE(devs); i++) {
		dev = devs[i];
		of_unit = dev == &s->second;
		if (dev->space != of || of_unit != u) {
			if (!stage_verify(dev))
				return "a device that is not concerned is disturbed";
			continue;
		}
		if (model_verify(dev, KEEP, KEEP_SEED, 1) !=
		    MODEL_FAULT_BLOCKED)
			return "a device on a poisoned domain is not blocked";
	}
	if (of == &s->root &&
	    ia_map(s->fd, of->id, END - SZ_1G, s->mem, PG) != -EIO)
		return "mapped to a poisoned root";
	if (of != &s->root &&
	    ia_map_ref(s->fd, of->id, END - SZ_1G, KEEP, PG, IA_RW) != -EIO)
		return "mapped to a poisoned child";
	return model_harm(unit(s, u));
}

static bool is_poisoned(struct stage *s, __u32 id)
{
	return info_of(s->fd, id).state & IOASID_STATE_POISONED;
}

/* Detach the devices of a poisoned domain, and attach them again. */
static const char *recover(struct stage *s, int u, struct model_space *of)
{
	struct model_device *dev = u == 1 ? &s->second :
				   of == &s->root ? &s->on_root : &s->on_child;

	if (model_detach(dev))
		return "cannot detach";
	if (is_poisoned(s, of->id))
		return "poisoned though the domain is gone";
	if (model_attach(dev, of))
		return "cannot attach again";
	if (!stage_verify(dev))
		return "wrong after all was over";
	return NULL;
}

/* An unmap that stops early; returns whether a domain was poisoned. */
static bool stop_unmap(struct __test_metadata *_metadata, struct command *c,
		       const struct failure *f)
{
	struct stage *s = c->stage;
	struct model_space *spaces[] = { &s->root, &s->child };
	/* of spare's space, which reset() frees */
	bool poisoned = f->unit == 2 && !f->pages;
	const char *diff, *root, *child;
	struct ia_state before, after;
	unsigned int i;
	int rc;

	ASSERT_EQ(0, stage_reset(s));
	ASSERT_EQ(0, ia_state_read(s->fd, &before));
	ASSERT_EQ(0, start(c));
	ASSERT_EQ(0, stage_busy(s));
	rc = run_failing(c, f);
	root = stage_idle(&s->on_root);
	child = stage_idle(&s->second);
	if (f->unit != 0 || !is_poisoned(s, s->root.id))
		ASSERT_EQ(NULL, root) TH_LOG("%s", root);
	if (f->unit != 1 || !is_poisoned(s, s->child.id))
		ASSERT_EQ(NULL, child) TH_LOG("%s", child);
	for (i = 0; i < ARRAY_SIZE(spaces); i++) {
		if (!is_poisoned(s, spaces[i]->id))
			continue;
		poisoned = true;
		diff = poisoned_well(s, f->unit, spaces[i]) ?:
		       recover(s, f->unit, spaces[i]);
		ASSERT_EQ(NULL, diff)
			TH_LOG("unit %d, call %u: %s", f->unit, f->nth, diff);
	}
	/* Otherwise it stopped, but was continued. */
	EXPECT_EQ(!f->pages, poisoned);
	if (!c->silent)
		EXPECT_EQ(poisoned ? -EIO : 0, rc);
	diff = model_harm(unit(s, f->unit));
	EXPECT_EQ(NULL, diff) TH_LOG("%s", diff);
	ASSERT_EQ(0, stage_reset(s));
	ASSERT_EQ(0, ia_state_read(s->fd, &after));
	diff = ia_state_diff(&before, &after);
	ASSERT_EQ(NULL, diff)
		TH_LOG("unit %d, call %u, %u pages: %s", f->unit, f->nth,
		       f->pages, diff);
	return poisoned;
}

TEST_F_TIMEOUT(matrix, iommu_fails, 250)
{
	struct command c = {
		.stage = &self->stage,
		.prepare = variant->prepare,
		.run = variant->run,
		.batch = variant->batch,
		.silent = variant->silent,
	};
	unsigned int maps = 0, allocs = 0, attaches = 0, poisoned = 0, p;
	struct failure f;

	ASSERT_EQ(0, count_calls(&c));
	EXPECT_EQ(variant->maps, any_calls(c.maps));
	EXPECT_EQ(variant->unmaps, any_calls(c.unmaps));

	f.what = MODEL_INJECT_MAP;
	for (f.unit = 0; f.unit < UNITS; f.unit++) {
		for (f.nth = 1; f.nth <= c.maps[f.unit] &&
		     f.nth <= MAX_CALLS; f.nth++) {
			for (p = 0; p < ARRAY_SIZE(after_pages); p++) {
				f.pages = after_pages[p];
				maps += fail_call(_metadata, &c, &f);
			}
		}
	}
	f.pages = 0;
	for (f.unit = 0; variant->attaches && f.unit < UNITS; f.unit++) {
		for (f.nth = 1; f.nth <= 3; f.nth++) {
			f.what = MODEL_INJECT_ALLOC;
			allocs += fail_call(_metadata, &c, &f);
			f.what = MODEL_INJECT_ATTACH;
			attaches += fail_call(_metadata, &c, &f);
		}
	}
	f.what = MODEL_INJECT_UNMAP;
	for (f.unit = 0; f.unit < UNITS; f.unit++) {
		for (f.nth = 1; f.nth <= c.unmaps[f.unit] &&
		     f.nth <= MAX_CALLS; f.nth++) {
			for (p = 0; p < ARRAY_SIZE(after_pages); p++) {
				f.pages = after_pages[p];
				poisoned += stop_unmap(_metadata, &c, &f);
			}
		}
	}
	/* The failures had an effect. */
	EXPECT_EQ(variant->maps, !!maps);
	EXPECT_EQ(variant->attaches, !!allocs);
	EXPECT_EQ(variant->attaches, !!attaches);
	EXPECT_EQ(variant->unmaps, !!poisoned);
	ksft_print_msg("failed by map %u, alloc %u, attach %u, unmap %u\n",
		       maps, allocs, attaches, poisoned);
}

TEST_HARNESS_MAIN
