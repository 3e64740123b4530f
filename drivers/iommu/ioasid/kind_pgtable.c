// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind PGTABLE: an IOASID whose page table user space writes, in memory that
 * the parent maps.
 *
 * Invariants:
 *  - It is an address space without domains of its own, the child of a root that
 *    was made with IOASID_ALLOC_NEST_PARENT.  Groups that attach to it join the parent,
 *    and DMA passes through the user's table first: ioas/nest.c.
 *  - Its only mappings refer to the page where a table that was bound begins: as
 *    long as a table is bound, that page cannot be unmapped from the parent,
 *    unless by a cascade.
 *
 * Locks: none of its own.
 */
#include <linux/ioasid.h>
#include <linux/slab.h>

#include <uapi/linux/ioasid.h>

#include "kind_pgtable.h"

/* ---- Life ---- */

int ioasid_pgtable_check(const struct ioasid_alloc *cmd)
{
	if (!ioas_iommu_takes_tables() || cmd->flags)
		return -EOPNOTSUPP;
	if (!cmd->parent || !cmd->format || cmd->cut_size || cmd->snoop)
		return -EINVAL;
	return 0;
}

int ioasid_pgtable_init(struct ioasid *ioasid,
			const struct ioasid_params *params,
			struct ioasid_account *account,
			const struct ioasid_parent *parent, bool by_pasid)
{
	struct ioasid_pgtable *pgt = to_pgtable(ioasid);
	const struct ioasid_table_format *format;
	int ret;

	/* An import may permit less than its root, which no IOMMU would see */
	if (parent->import || !parent->ioas->nest_parent)
		return -EOPNOTSUPP;
	format = ioas_format_get(params->format);
	if (!format)
		return -EOPNOTSUPP;
	ret = -EOPNOTSUPP;
	if (format->by_pasid != by_pasid)
		goto err_format;
	ret = ioasid_map_init(ioasid, params, account, parent);
	if (ret)
		goto err_format;
	/* The pages of tables */
	pgt->map.ioas.memory_only = true;
	ioas_nests_init(&pgt->nests, parent->ioas, format);
	atomic64_set(&pgt->tables, 0);
	return 0;

err_format:
	ioas_format_put(format);
	return ret;
}

static int pgtable_init(struct ioasid *ioasid,
			const struct ioasid_params *params,
			struct ioasid_account *account,
			const struct ioasid_parent *parent)
{
	return ioasid_pgtable_init(ioasid, params, account, parent, false);
}

struct ioasid_object *ioasid_pgtable_exit(struct ioasid *ioasid)
{
	struct ioasid_pgtable *pgt = to_pgtable(ioasid);
	struct ioasid_object *parent = ioasid_map_exit(ioasid);

	kfree(pgt->nests.table);
	ioas_format_put(pgt->nests.format);
	return parent;
}

/* No other context can refer to it */
void ioasid_pgtable_end(struct ioasid *ioasid)
{
	ioas_exit(ioasid_map_ioas(ioasid));
}

/* ---- Commands ---- */

/* Refer to the page where a table begins, so that it stays mapped */
static int refer(struct ioasid_pgtable *pgt, struct ioas_table *table)
{
	struct ioas_map_request req = {
		.addr = table->root,
		.length = PAGE_SIZE,
		.flags = IOASID_MAP_READ | IOASID_MAP_FIXED,
	};

	/* Each table has a place of its own, also when the one before has gone */
	table->iova = (u64)atomic64_inc_return(&pgt->tables) << PAGE_SHIFT;
	req.iova = table->iova;
	return ioas_map_ref(&pgt->map.ioas, &req);
}

/* Undo refer(); a cascade may have done it */
static void unrefer(struct ioasid_pgtable *pgt, const struct ioas_table *table)
{
	struct ioas_unmap_request req = {
		.flags = IOAS_UNMAP_FORCED,
		.patience = IOAS_PATIENCE,
	};

	ioas_unmap(&pgt->map.ioas, table->iova, table->iova + (PAGE_SIZE - 1),
		   &req);
}

/* @table is freed by the caller if this fails */
int ioasid_pgtable_bind(struct ioasid *ioasid, struct ioas_table *table,
			bool replace)
{
	struct ioasid_pgtable *pgt = to_pgtable(ioasid);
	struct ioas_table *old = table;
	int ret;

	ret = pgt->nests.format->root(table->data, table->length, &table->root);
	if (ret)
		return ret;
	if (!replace && ioas_nests_bound(&pgt->nests))
		return -EEXIST;
	table->root &= PAGE_MASK;
	ret = refer(pgt, table);
	if (ret)
		return ret;
	ret = ioas_nests_bind(&pgt->nests, &old, replace);
	if (ret) {
		unrefer(pgt, table);
		return ret;
	}
	if (old)
		unrefer(pgt, old);
	kfree(old);
	return 0;
}

int ioasid_pgtable_unbind(struct ioasid *ioasid)
{
	struct ioasid_pgtable *pgt = to_pgtable(ioasid);
	struct ioas_table *table = ioas_nests_unbind(&pgt->nests);

	if (IS_ERR(table))
		return PTR_ERR(table);
	unrefer(pgt, table);
	kfree(table);
	return 0;
}

const struct ioasid_table_format *ioasid_pgtable_format(struct ioasid *ioasid)
{
	return to_pgtable(ioasid)->nests.format;
}

int ioasid_pgtable_invalidate(struct ioasid *ioasid,
			      const struct iommu_group *only,
			      const void *entries, size_t size, u32 *nr)
{
	return ioas_nests_invalidate(&to_pgtable(ioasid)->nests, only, entries,
				     size, nr);
}

/* ---- Attachments ---- */

int ioasid_pgtable_attach(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment, u64 *fault_addr)
{
	struct ioas_nests *nests = &to_pgtable(ioasid)->nests;

	attachment->domain.nests = nests;
	return ioas_attach(nests->parent, &attachment->domain, fault_addr);
}

int ioasid_pgtable_detach(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment,
			  enum ioasid_detach how)
{
	struct ioas *parent = to_pgtable(ioasid)->nests.parent;

	if (how == IOASID_DETACH_KILLABLE)
		return ioas_detach_killable(parent, &attachment->domain);
	ioas_detach(parent, &attachment->domain, how == IOASID_DETACH_MOVED);
	return 0;
}

int ioasid_pgtable_begin_move(struct ioasid *ioasid,
			      struct ioasid_attachment *attachment,
			      bool hitless)
{
	return ioas_nests_begin_move(&attachment->domain, hitless);
}

int ioasid_pgtable_abort_move(struct ioasid *ioasid,
			      struct ioasid_attachment *attachment)
{
	return ioas_nests_abort_move(&attachment->domain);
}

bool ioasid_pgtable_block_poisoned(struct ioasid *ioasid,
				   struct ioasid_attachment *attachment)
{
	return ioas_attachment_poisoned(&attachment->domain) &&
	       ioas_block(to_pgtable(ioasid)->nests.parent, &attachment->domain);
}

bool ioasid_pgtable_is_through(const struct ioasid *ioasid,
			       const struct ioas *ioas)
{
	return container_of(ioasid, struct ioasid_pgtable, map.ioasid)
		       ->nests.parent == ioas;
}

/* ---- Look ---- */

void ioasid_pgtable_stats(struct ioasid *ioasid, struct ioas_stats *stats)
{
	struct ioas_nests *nests = &to_pgtable(ioasid)->nests;
	struct ioas_stats below;

	ioas_get_stats(nests->parent, &below);
	ioas_get_stats(ioasid_map_ioas(ioasid), stats);
	stats->state |= below.state & IOASID_STATE_POISONED;
	if (!ioas_nests_bound(nests))
		stats->state |= IOASID_STATE_UNBOUND;
}

/* The user's table says what is permitted */
struct ioas_ranges *ioasid_pgtable_info(struct ioasid *ioasid,
					struct ioasid_info *info)
{
	bool limited;

	info->snoop = IOASID_SNOOP_AUTO;
	info->nr_domains = ioas_nests_count(&to_pgtable(ioasid)->nests);
	return ioas_copy_permitted(ioasid_map_ioas(ioasid), &limited);
}

const struct ioasid_kind_ops ioasid_kind_pgtable = {
	.name = "pgtable",
	IOASID_PGTABLE_OPS,
	.init = pgtable_init,
	.attach = ioasid_pgtable_attach,
};
