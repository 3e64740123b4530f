// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind PASID_TABLE: an IOASID whose table user space writes, in memory that the
 * parent maps, with a page table for each PASID of a device.
 *
 * Invariants:
 *  - It is an IOASID of the kind PGTABLE but for what follows.
 *  - The PASIDs of a device that is attached to it are those of the table: the
 *    device is attached by requester id, and none of its PASIDs is attached
 *    anywhere.  attach.c and pasid.c check that, by ioasid_kind_ops.takes_pasids.
 *  - The device is alone in its group, as for attachments by PASID.
 *
 * Locks: none of its own.
 */
#include "kind_pgtable.h"

static int pasid_table_init(struct ioasid *ioasid,
			    const struct ioasid_params *params,
			    struct ioasid_account *account,
			    const struct ioasid_parent *parent)
{
	return ioasid_pgtable_init(ioasid, params, account, parent, true);
}

static int pasid_table_attach(struct ioasid *ioasid,
			      struct ioasid_attachment *attachment,
			      u64 *fault_addr)
{
	if (attachment->domain.by ||
	    attachment->domain.pasid != IOMMU_NO_PASID ||
	    !ioas_iommu_is_singleton(attachment->domain.group))
		return -EOPNOTSUPP;
	return ioasid_pgtable_attach(ioasid, attachment, fault_addr);
}

const struct ioasid_kind_ops ioasid_kind_pasid_table = {
	.name = "pasid-table",
	.takes_pasids = true,
	IOASID_PGTABLE_OPS,
	.init = pasid_table_init,
	.attach = pasid_table_attach,
};
