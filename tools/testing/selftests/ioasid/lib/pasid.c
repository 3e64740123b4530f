// SPDX-License-Identifier: GPL-2.0-only
#include "ioasid_util.h"
#include "pasid.h"

int pasid_attach_full(struct model_device *dev, __u32 ioasid, __u32 flags,
		      __u32 *vpasid, __u64 *fault_addr)
{
	struct ioasid_device_attach cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = ioasid,
		.vpasid = *vpasid,
		.fault_addr = IA_UNTOUCHED,
	};
	int rc = ia_cmd(dev->fd, VFIO_DEVICE_ATTACH_IOASID, &cmd);

	*vpasid = cmd.vpasid;
	if (fault_addr)
		*fault_addr = cmd.fault_addr;
	return rc;
}

int pasid_attach_flags(struct model_device *dev, __u32 ioasid, __u32 vpasid,
		       __u32 flags)
{
	return pasid_attach_full(dev, ioasid, flags, &vpasid, NULL);
}

int pasid_attach(struct model_device *dev, __u32 ioasid, __u32 vpasid)
{
	return pasid_attach_flags(dev, ioasid, vpasid, IOASID_ATTACH_PASID);
}

int pasid_attach_any(struct model_device *dev, __u32 ioasid, __u32 *vpasid)
{
	*vpasid = 0;
	return pasid_attach_full(dev, ioasid, IOASID_ATTACH_PASID_ANY, vpasid, NULL);
}

int pasid_detach_from(struct model_device *dev, __u32 ioasid, __u32 vpasid)
{
	struct ioasid_device_detach cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_DETACH_PASID,
		.ioasid = ioasid,
		.vpasid = vpasid,
	};

	return ia_cmd(dev->fd, VFIO_DEVICE_DETACH_IOASID, &cmd);
}

int pasid_detach(struct model_device *dev, __u32 vpasid)
{
	return pasid_detach_from(dev, 0, vpasid);
}

int pasid_page_at(struct model_device *dev, __u32 pasid, __u64 iova)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_READ,
		.flags = pasid ? IOASID_MODEL_DMA_PASID : 0,
		.pasid = pasid,
		.threads = 1,
		.address = iova,
		.length = 1,
		.count = 1,
	};
	__u8 byte;
	int rc = model_dma(dev, &dma, NULL);

	if (rc)
		return rc < 0 ? -1000 : -rc;
	if (model_read_memory(dev, 0, &byte, 1))
		return -1000;
	return byte - 1;
}
