// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "ioasid_util.h"
#include "mediated.h"

int mediated_plug(struct model *model, struct model_device *dev,
		  const struct model_params *params)
{
	struct ioasid_model_create cmd = {
		.kind = IOASID_MODEL_SHARED, .params = *params,
	};
	int rc = model_create(model, &cmd);

	*dev = (struct model_device){
		.model = model, .id = cmd.id, .fd = -1, .group = -1,
	};
	memcpy(dev->name, cmd.name, sizeof(dev->name));
	return rc;
}

int mediate(struct model *model, __u32 id, __u32 flags,
	    struct mediated *med)
{
	struct ioasid_model_mediate cmd = { .id = id, .flags = flags };
	int rc = ia_cmd(model->control, IOASID_MODEL_MEDIATE, &cmd);

	med->fd = rc ? -1 : cmd.fd;
	return rc;
}

int med_bind(struct mediated *med, int ctx, __u64 cookie)
{
	struct ioasid_device_bind cmd = {
		.argsz = sizeof(cmd), .ioasid_fd = ctx, .cookie = cookie,
	};
	int rc = ia_cmd(med->fd, VFIO_DEVICE_BIND_IOASID_FD, &cmd);

	med->devid = cmd.devid;
	return rc;
}

int med_attach_flags(struct mediated *med, __u32 id, __u32 vpasid,
		     __u32 flags)
{
	struct ioasid_device_attach cmd = {
		.argsz = sizeof(cmd),
		.flags = flags | (vpasid ? IOASID_ATTACH_PASID : 0),
		.ioasid = id,
		.vpasid = vpasid,
	};

	return ia_cmd(med->fd, VFIO_DEVICE_ATTACH_IOASID, &cmd);
}

int med_attach(struct mediated *med, __u32 id, __u32 vpasid)
{
	return med_attach_flags(med, id, vpasid, 0);
}

int med_attach_any(struct mediated *med, __u32 id, __u32 *vpasid)
{
	struct ioasid_device_attach cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ATTACH_PASID_ANY,
		.ioasid = id,
	};
	int rc = ia_cmd(med->fd, VFIO_DEVICE_ATTACH_IOASID, &cmd);

	*vpasid = cmd.vpasid;
	return rc;
}

int med_detach(struct mediated *med, __u32 vpasid)
{
	struct ioasid_device_detach cmd = {
		.argsz = sizeof(cmd),
		.flags = vpasid ? IOASID_DETACH_PASID : 0,
		.vpasid = vpasid,
	};

	return ia_cmd(med->fd, VFIO_DEVICE_DETACH_IOASID, &cmd);
}

int med_read(struct mediated *med, __u32 vpasid, __u64 address, __u32 *pasid)
{
	__u8 byte = 0;
	struct ioasid_model_mediated_dma cmd = {
		.vpasid = vpasid,
		.address = address,
		.length = 1,
		.data = IA_PTR(&byte),
	};
	int rc = ia_cmd(med->fd, IOASID_MODEL_MEDIATED_DMA, &cmd);

	if (pasid)
		*pasid = cmd.pasid;
	if (rc)
		return MED_ERRNO(-rc);
	return cmd.reason ? -(int)cmd.reason : byte - 1;
}
