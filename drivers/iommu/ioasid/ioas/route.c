// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes: the DMA of a group, or of one PASID of a device, is led to a domain of
 * an address space, or to one that walks a table of user space, or blocked.
 *
 * Invariants:
 *  - A route that cannot be led to a domain stays where it was: blocked, or on a
 *    domain of another address space.
 *  - DMA with a PASID never takes the route of its group, nor the other way
 *    round: without a route of its own it is blocked.
 *  - A group that its kernel driver lends is blocked by a domain of the lender,
 *    which maps nothing.  The core's way to block would be the default domain, where
 *    the driver's DMA goes, since no owner has claimed the group.
 *  - A PASID is blocked when all of its translations are out of the IOTLBs, and
 *    not before: another attachment may have its number from then on.
 *  - What the IOMMU driver has a PASID attached to is ioas_attachment.on of the
 *    one attachment that routes it.
 *
 * Locks: callers hold attach_lock and, for writing, tables.sem of the address
 * space of the domain: a driver's attach may change the top of its table.
 */
#include "domain.h"
#include "ioas.h"
#include "iommu.h"
#include "mirror.h"
#include "route.h"

/**
 * ioas_route_suits() - test whether an attachment may be led to a domain
 * @attachment: the attachment
 * @dom: the domain
 *
 * A domain that is finalized on attach is finalized by that of a group only.
 * With a table of user space, nothing is led to @dom itself.
 *
 * Return: true if it may; the driver may refuse.
 */
bool ioas_route_suits(const struct ioas_attachment *attachment,
		      const struct ioas_domain *dom)
{
	/* There is no way to such a domain but through the default domain */
	if (attachment->home && dom->finalized_on_attach)
		return false;
	return attachment->pasid == IOMMU_NO_PASID || attachment->nests ||
	       attachment->by ||
	       (!dom->finalized_on_attach &&
		ioas_iommu_translates_pasids(dom->iommu));
}

/* What identifies the next attach of a group: the handle that is not used */
static struct iommu_attach_handle *
next_handle(struct ioas_attachment *attachment)
{
	return attachment->faults ? &attachment->handle[!attachment->handle_nr] :
				    NULL;
}

static int attach_group(struct ioas_attachment *attachment,
			struct iommu_domain *iommu, bool finalize)
{
	struct iommu_attach_handle *handle = next_handle(attachment);
	int ret;

	if (finalize)
		ret = ioas_iommu_attach(attachment->group, iommu, handle);
	else
		ret = ioas_iommu_replace(attachment->group, iommu, handle);
	if (!ret && handle)
		attachment->handle_nr = !attachment->handle_nr;
	return ret;
}

static int attach_pasid(struct ioas_attachment *attachment,
			struct iommu_domain *iommu)
{
	int ret = ioas_iommu_attach_pasid(attachment->dev, attachment->pasid,
					  iommu,
					  &attachment->handle[attachment->handle_nr]);

	if (!ret)
		attachment->on = iommu;
	return ret;
}

static void block_pasid(struct ioas_attachment *attachment)
{
	if (attachment->on)
		ioas_iommu_block_pasid(attachment->dev, attachment->pasid,
				       attachment->on);
	attachment->on = NULL;
}

/* From one domain to another, where the driver can replace it */
static int replace_pasid(struct ioas_attachment *attachment,
			 struct iommu_domain *iommu)
{
	unsigned int other = !attachment->handle_nr;
	int ret = ioas_iommu_replace_pasid(attachment->dev, attachment->pasid,
					   iommu, &attachment->handle[other]);

	if (!ret) {
		attachment->handle_nr = other;
		attachment->on = iommu;
	}
	return ret;
}

static int lead_pasid(struct ioas_attachment *attachment,
		      struct iommu_domain *iommu)
{
	struct iommu_domain *before = attachment->on;
	int ret;

	if (before && ioas_iommu_replaces_pasids(attachment->dev))
		return replace_pasid(attachment, iommu);
	block_pasid(attachment);
	ret = attach_pasid(attachment, iommu);
	/* It may fail to go back, too: it is blocked then */
	if (ret && before)
		attach_pasid(attachment, before);
	return ret;
}

/**
 * ioas_route_lead() - lead an attachment to a domain
 * @attachment: the attachment, blocked or on another domain
 * @iommu: the domain.  One that is finalized on attach must not replace another
 *	domain: callers block the group first
 * @finalize: the attach finalizes it
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, the driver refuses the domain; or the driver's errno: the
 * attachment is where it was, but for a PASID whose driver can neither replace
 * its domain nor attach it again to where it was: that is blocked.
 */
int ioas_route_lead(struct ioas_attachment *attachment,
		    struct iommu_domain *iommu, bool finalize)
{
	if (attachment->pasid != IOMMU_NO_PASID)
		return lead_pasid(attachment, iommu);
	return attach_group(attachment, iommu, finalize);
}

/**
 * ioas_route_block() - block an attachment
 * @attachment: the attachment; it has joined, if its device translates by itself
 * @iommu: the domain of a group
 *
 * Context: may sleep; needs no memory.
 */
void ioas_route_block(struct ioas_attachment *attachment,
		      struct iommu_domain *iommu)
{
	if (attachment->by)
		ioas_mirror_detach(attachment->dom);
	else if (attachment->pasid != IOMMU_NO_PASID)
		block_pasid(attachment);
	else if (!attachment->home ||
		 ioas_iommu_replace(attachment->group, attachment->home, NULL))
		ioas_iommu_block(attachment->group, iommu);
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

	if (attachment->by)
		return ioas_mirror_attach(attachment->dom);
	if (attachment->pasid != IOMMU_NO_PASID)
		return attach_pasid(attachment, iommu);
	return attach_group(attachment, iommu, !attachment->home);
}
