// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes: the DMA of a group, or of one PASID of a device, is led to a domain of
 * an address space, or blocked.
 *
 * Invariants:
 *  - A route that cannot be led to a domain stays where it was: blocked, or on a
 *    domain of another address space.
 *  - DMA with a PASID never takes the route of its group, nor the other way
 *    round: without a route of its own it is blocked.
 *  - A PASID is blocked when all of its translations are out of the IOTLBs, and
 *    not before: another attachment may have its number from then on.
 *
 * Locks: callers hold attach_lock and, for writing, tables.sem of the address
 * space of the domain: a driver's attach may change the top of its table.
 */
#include "domain.h"
#include "iommu.h"
#include "route.h"

/**
 * ioas_route_suits() - test whether an attachment may be led to a domain
 * @attachment: the attachment
 * @dom: the domain
 *
 * A domain that is finalized on attach is finalized by that of a group only.
 *
 * Return: true if it may; the driver may refuse.
 */
bool ioas_route_suits(const struct ioas_attachment *attachment,
		      const struct ioas_domain *dom)
{
	return attachment->pasid == IOMMU_NO_PASID ||
	       (!dom->finalized_on_attach &&
		ioas_iommu_translates_pasids(dom->iommu));
}

static int lead_pasid(struct ioas_attachment *attachment,
		      struct ioas_domain *dom)
{
	if (attachment->replaces)
		return ioas_iommu_replace_pasid(attachment->dev,
						attachment->pasid, dom->iommu,
						&attachment->handle);
	return ioas_iommu_attach_pasid(attachment->dev, attachment->pasid,
				       dom->iommu, &attachment->handle);
}

/**
 * ioas_route_lead() - lead an attachment to a domain
 * @ioas: the address space of the domain
 * @attachment: the attachment, blocked or on a domain of another address space
 * @dom: the domain, which suits it.  One that is finalized on attach must not
 *	replace another domain: callers block the group first
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, the driver refuses the domain; or the driver's errno.
 */
int ioas_route_lead(struct ioas *ioas, struct ioas_attachment *attachment,
		    struct ioas_domain *dom)
{
	lockdep_assert_held_write(&ioas->tables.sem);
	if (attachment->pasid != IOMMU_NO_PASID)
		return lead_pasid(attachment, dom);
	if (dom->finalized_on_attach)
		return ioas_iommu_attach(attachment->group, dom->iommu);
	return ioas_iommu_replace(attachment->group, dom->iommu);
}

/**
 * ioas_route_block() - block an attachment
 * @attachment: the attachment
 * @dom: the domain that it leads to
 *
 * Context: may sleep; needs no memory.
 */
void ioas_route_block(const struct ioas_attachment *attachment,
		      const struct ioas_domain *dom)
{
	if (attachment->pasid != IOMMU_NO_PASID)
		ioas_iommu_block_pasid(attachment->dev, attachment->pasid,
				       dom->iommu);
	else
		ioas_iommu_block(attachment->group, dom->iommu);
}

/**
 * ioas_route_unblock() - undo ioas_route_block()
 * @attachment: the attachment, which has joined and is blocked
 *
 * Context: may sleep.
 * Return: 0; or the driver's errno: it is still blocked.
 */
int ioas_route_unblock(struct ioas_attachment *attachment)
{
	struct iommu_domain *iommu = attachment->dom->iommu;

	if (attachment->pasid != IOMMU_NO_PASID)
		return ioas_iommu_attach_pasid(attachment->dev,
					       attachment->pasid, iommu,
					       &attachment->handle);
	return ioas_iommu_attach(attachment->group, iommu);
}
