/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model IOMMU: its interface for the devices behind it.
 *
 * iommu.c is its driver, walk.c is the hardware, table.c the format of stage 2.
 * Its interface to user space is model_abi.h.
 *
 * A &struct model_dev is a platform device with an IOMMU.  Its maker gives it a
 * name, and a platform driver of that name drives it.  A driver that lets user
 * space do DMA sets driver_managed_dma.
 */
#ifndef IOASID_MOCK_MODEL_H
#define IOASID_MOCK_MODEL_H

#include <linux/device.h>
#include <linux/types.h>

#include "model_abi.h"

struct iommu_page_response;
struct model_dev;

/**
 * struct model_dev_ops - callbacks of a device
 * @page_response: a page response came.  Every reported page request that has
 *	@last gets exactly one, except for responses lost by injection.  It may
 *	come before model_report_page_request() returns.  Must not sleep for
 *	long: locks of the IOMMU core are held.  Not called after the device was
 *	unbound from its driver.
 * @requests_off: page requests were turned off.  A driver that waits for a
 *	credit tries again, to be told so.  The same rules
 *
 * @response's code is IOMMU_PAGE_RESP_SUCCESS: try again; _INVALID: do not;
 * _FAILURE: send no more.
 */
struct model_dev_ops {
	void (*page_response)(void *priv, const struct iommu_page_response *response);
	void (*requests_off)(void *priv);
};

int model_init(void);
void model_exit(void);

int model_check_params(const struct model_params *params);
struct model_dev *model_dev_create(const char *name, int id,
				   const struct model_params *params,
				   u32 group_key);
void model_dev_destroy(struct model_dev *mdev);

struct model_dev *model_dev_of(struct device *dev);
struct device *model_dev_device(struct model_dev *mdev);
const struct model_params *model_dev_params(struct model_dev *mdev);
void model_dev_set_ops(struct model_dev *mdev, const struct model_dev_ops *ops,
		       void *priv);

/**
 * enum model_op - type of an access
 * @MODEL_READ: memory to the buffer
 * @MODEL_WRITE: the buffer to memory
 * @MODEL_FETCH_ADD: add u32 or u64 operand[0] to memory; operand[0] becomes the
 *	old value.  This and the following need permission to read and write,
 *	and are of 4 or 8 bytes; the buffer is an array of u64
 * @MODEL_SWAP: the same, but memory becomes operand[0]
 * @MODEL_CAS: the same, but memory becomes operand[1] if it is operand[0]
 */
enum model_op {
	MODEL_READ,
	MODEL_WRITE,
	MODEL_FETCH_ADD,
	MODEL_SWAP,
	MODEL_CAS,
};

/* Flags of an access */
#define MODEL_ACCESS_ATS	BIT(0)	/* through the device's TLB */
#define MODEL_ACCESS_PRI	BIT(1)	/* absent: MODEL_PAGE_REQUEST */
#define MODEL_ACCESS_NO_SNOOP	BIT(2)	/* try to get past the CPU's caches */

enum model_reason model_access(struct model_dev *mdev, u32 pasid, u64 address,
			       void *buffer, size_t length, enum model_op op,
			       unsigned int flags, struct model_fault *fault);

/* Flags of a page request */
#define MODEL_REQUEST_READ	BIT(0)
#define MODEL_REQUEST_WRITE	BIT(1)
#define MODEL_REQUEST_EXEC	BIT(2)
#define MODEL_REQUEST_PRIV	BIT(3)
#define MODEL_REQUEST_LAST	BIT(4)	/* of its group, and wants a response */

/* Groups have numbers below */
#define MODEL_GROUPS		512

int model_report_page_request(struct model_dev *mdev, u32 pasid, u64 address,
			      u32 group, unsigned int flags);
bool model_may_request(struct model_dev *mdev);
void model_dev_reset(struct model_dev *mdev);

void model_last_fault(struct model_dev *mdev, struct model_fault *fault);
void model_read_counters(struct model_dev *mdev, struct model_counters *counters);
u64 model_audit(struct model_dev *mdev);
int model_inject(struct model_dev *mdev, enum model_injection what, u32 nth,
		 u32 pages);

#endif
