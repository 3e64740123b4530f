// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/iommufd.h>
#include <linux/vdpa.h>
#include <linux/vhost.h>

#include "backend.h"
#include "hw.h"

/* --- /dev/ioasid --- */

static int ioasid_alloc(int fd, uint32_t *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_MAP,
	};

	if (ioctl(fd, IOASID_ALLOC, &cmd))
		return -1;
	*id = cmd.ioasid;
	return 0;
}

static int ioasid_free(int fd, uint32_t id)
{
	struct ioasid_free cmd = { .argsz = sizeof(cmd), .ioasid = id };

	return ioctl(fd, IOASID_FREE, &cmd);
}

int backend_map(struct backend *be, uint64_t iova, void *addr, uint64_t length)
{
	struct ioasid_map_dma cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_MAP_FIXED | IOASID_MAP_READ | IOASID_MAP_WRITE,
		.ioasid = be->id,
		.iova = iova,
		.addr = (uintptr_t)addr,
		.length = length,
	};

	return ioctl(be->fd, IOASID_MAP_DMA, &cmd);
}

static int ioasid_unmap(struct backend *be, uint64_t iova, uint64_t length)
{
	struct ioasid_unmap_dma cmd = {
		.argsz = sizeof(cmd),
		.ioasid = be->id,
		.iova = iova,
		.length = length,
	};

	return ioctl(be->fd, IOASID_UNMAP_DMA, &cmd);
}

static int ioasid_attach(struct backend *be, uint32_t id)
{
	return hw_attach(be->device, id);
}

static int ioasid_open(struct backend *be, const char *name)
{
	be->fd = open(be->node, O_RDWR | O_CLOEXEC);
	if (be->fd < 0)
		return -1;
	be->device = hw_open_device(name);
	if (be->device < 0 || ioasid_alloc(be->fd, &be->id))
		return -1;
	return hw_bind_full(be->device, be->fd, be->id, 0, NULL, NULL);
}

/* --- iommufd --- */

static int iommufd_alloc(int fd, uint32_t *id)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

	if (ioctl(fd, IOMMU_IOAS_ALLOC, &cmd))
		return -1;
	*id = cmd.out_ioas_id;
	return 0;
}

static int iommufd_free(int fd, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return ioctl(fd, IOMMU_DESTROY, &cmd);
}

static int iommufd_map(struct backend *be, uint64_t iova, void *addr,
		       uint64_t length)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = be->id,
		.user_va = (uintptr_t)addr,
		.length = length,
		.iova = iova,
	};

	return ioctl(be->fd, IOMMU_IOAS_MAP, &cmd);
}

static int iommufd_unmap(struct backend *be, uint64_t iova, uint64_t length)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = be->id,
		.iova = iova,
		.length = length,
	};

	return ioctl(be->fd, IOMMU_IOAS_UNMAP, &cmd);
}

static int iommufd_attach(struct backend *be, uint32_t id)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.pt_id = id,
	};

	return ioctl(be->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static int iommufd_open(struct backend *be, const char *name)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };

	be->fd = open(be->node, O_RDWR | O_CLOEXEC);
	if (be->fd < 0)
		return -1;
	be->device = hw_open_cdev(name);
	if (be->device < 0 || iommufd_alloc(be->fd, &be->id))
		return -1;
	bind.iommufd = be->fd;
	if (ioctl(be->device, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return -1;
	return iommufd_attach(be, be->id);
}

/* --- VFIO type1 --- */

static int type1_map(struct backend *be, uint64_t iova, void *addr,
		     uint64_t length)
{
	struct vfio_iommu_type1_dma_map cmd = {
		.argsz = sizeof(cmd),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)addr,
		.iova = iova,
		.size = length,
	};

	return ioctl(be->fd, VFIO_IOMMU_MAP_DMA, &cmd);
}

static int type1_unmap(struct backend *be, uint64_t iova, uint64_t length)
{
	struct vfio_iommu_type1_dma_unmap cmd = {
		.argsz = sizeof(cmd),
		.iova = iova,
		.size = length,
	};

	return ioctl(be->fd, VFIO_IOMMU_UNMAP_DMA, &cmd);
}

#define SERVED_BY_IOASID "/sys/module/vfio_iommu_ioasid/parameters/type1"

static int container_open(struct backend *be, const char *name)
{
	be->fd = open(be->node, O_RDWR | O_CLOEXEC);
	if (be->fd < 0)
		return -1;
	be->group = hw_open_group(name);
	if (be->group < 0 || hw_set_container(be->group, be->fd) ||
	    ioctl(be->fd, VFIO_SET_IOMMU, be->type))
		return -1;
	be->device = hw_group_device(be->group, name);
	return be->device < 0 ? -1 : 0;
}

static int type1_open(struct backend *be, const char *name)
{
	if (!access(SERVED_BY_IOASID, F_OK) &&
	    hw_write_file(SERVED_BY_IOASID, "0"))
		return -1;
	return container_open(be, name);
}

static int back_end_open(struct backend *be, const char *name)
{
	if (system("modprobe -q vfio_iommu_ioasid") ||
	    hw_write_file(SERVED_BY_IOASID, "1"))
		return -1;
	return container_open(be, name);
}

/* --- vhost-vdpa --- */

struct netlink_message {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	char room[256];
};

static void put_attr(struct netlink_message *m, unsigned int type,
		     const char *value)
{
	struct nlattr *attr = (void *)((char *)m + NLMSG_ALIGN(m->nl.nlmsg_len));

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + strlen(value) + 1;
	memcpy((char *)attr + NLA_HDRLEN, value, strlen(value) + 1);
	m->nl.nlmsg_len = NLMSG_ALIGN(m->nl.nlmsg_len) +
			  NLA_ALIGN(attr->nla_len);
}

static struct netlink_message new_message(unsigned int family,
					  unsigned int cmd)
{
	return (struct netlink_message) {
		.nl = {
			.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		},
		.genl = { .cmd = cmd, .version = 1 },
	};
}

/* Get attribute @type of the answer, or 0; -1 if the command failed. */
static int ask(int sock, struct netlink_message *m, unsigned int type)
{
	union {
		struct nlmsghdr nl;
		char room[4096];
	} answer;
	char *buf = answer.room;
	struct nlmsghdr *nl = &answer.nl;
	struct nlattr *attr;
	int value = 0;
	ssize_t n;

	if (send(sock, m, m->nl.nlmsg_len, 0) < 0)
		return -1;
	for (;;) {
		n = recv(sock, buf, sizeof(answer), 0);
		if (n < (ssize_t)NLMSG_HDRLEN)
			return -1;
		if (nl->nlmsg_type == NLMSG_ERROR) {
			errno = -((struct nlmsgerr *)NLMSG_DATA(nl))->error;
			return errno ? -1 : value;
		}
		for (attr = (void *)(buf + NLMSG_LENGTH(GENL_HDRLEN));
		     (char *)attr < buf + n;
		     attr = (void *)((char *)attr + NLA_ALIGN(attr->nla_len)))
			if (attr->nla_type == type)
				value = *(__u16 *)((char *)attr + NLA_HDRLEN);
	}
}

/* Make the simulated network device, whose file is the first then. */
static int vdpa_add(void)
{
	struct netlink_message m;
	int sock, family, rc = -1;

	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (sock < 0)
		return -1;
	m = new_message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	put_attr(&m, CTRL_ATTR_FAMILY_NAME, VDPA_GENL_NAME);
	family = ask(sock, &m, CTRL_ATTR_FAMILY_ID);
	if (family > 0) {
		m = new_message(family, VDPA_CMD_DEV_NEW);
		put_attr(&m, VDPA_ATTR_MGMTDEV_DEV_NAME, "vdpasim_net");
		put_attr(&m, VDPA_ATTR_DEV_NAME, "bench");
		rc = ask(sock, &m, VDPA_ATTR_UNSPEC);
	}
	close(sock);
	return rc;
}

static int vhost_message(struct backend *be, unsigned int type, uint64_t iova,
			 void *addr, uint64_t length)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = {
			.iova = iova,
			.size = length,
			.uaddr = (uintptr_t)addr,
			.perm = VHOST_ACCESS_RW,
			.type = type,
		},
	};

	return write(be->fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -1;
}

static int vhost_map(struct backend *be, uint64_t iova, void *addr,
		     uint64_t length)
{
	return vhost_message(be, VHOST_IOTLB_UPDATE, iova, addr, length);
}

static int vhost_unmap(struct backend *be, uint64_t iova, uint64_t length)
{
	return vhost_message(be, VHOST_IOTLB_INVALIDATE, iova, NULL, length);
}

/*
 * With batch_mapping, vhost-vdpa copies the whole list for each operation; with
 * use_va, it does not pin.
 */
static int vhost_open(struct backend *be, const char *name)
{
	uint64_t features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;

	if (access(be->node, F_OK) &&
	    (system("modprobe -q vdpa_sim batch_mapping=0 use_va=0") ||
	     system("modprobe -q vdpa_sim_net") ||
	     system("modprobe -q vhost_vdpa") || vdpa_add()))
		return -1;
	be->fd = open(be->node, O_RDWR | O_CLOEXEC);
	if (be->fd < 0 || ioctl(be->fd, VHOST_SET_OWNER))
		return -1;
	return ioctl(be->fd, VHOST_SET_BACKEND_FEATURES, &features);
}

struct backend backends[NR_BACKENDS] = {
	[IOASID] = {
		.name = "ioasid", .node = "/dev/ioasid",
		.open = ioasid_open, .map = backend_map, .unmap = ioasid_unmap,
		.alloc = ioasid_alloc, .free = ioasid_free,
		.attach = ioasid_attach,
	},
	[IOMMUFD] = {
		.name = "iommufd", .node = "/dev/iommu",
		.open = iommufd_open, .map = iommufd_map,
		.unmap = iommufd_unmap, .alloc = iommufd_alloc,
		.free = iommufd_free, .attach = iommufd_attach,
	},
	[IOMMUFD_FIX] = {
		.name = "iommufd-fix", .node = "/dev/iommu",
		.open = iommufd_open, .map = iommufd_map,
		.unmap = iommufd_unmap, .alloc = iommufd_alloc,
		.free = iommufd_free, .attach = iommufd_attach,
	},
	[TYPE1] = {
		.name = "type1", .node = "/dev/vfio/vfio",
		.open = type1_open, .map = type1_map, .unmap = type1_unmap,
		.type = VFIO_TYPE1v2_IOMMU,
	},
	[BACK_END] = {
		.name = "back-end", .node = "/dev/vfio/vfio",
		.open = back_end_open, .map = type1_map,
		.unmap = type1_unmap, .type = VFIO_TYPE1v2_IOMMU,
	},
	[CONTAINER] = {
		.name = "container", .node = "/dev/ioasid",
		.open = container_open, .map = type1_map,
		.unmap = type1_unmap, .type = VFIO_TYPE1v2_IOMMU,
	},
	[VHOST] = {
		.name = "vhost-vdpa", .node = "/dev/vhost-vdpa-0",
		.open = vhost_open, .map = vhost_map, .unmap = vhost_unmap,
	},
};

void backend_close(struct backend *be)
{
	if (be->device > 0)
		close(be->device);
	if (be->group > 0)
		close(be->group);
	if (be->fd > 0)
		close(be->fd);
	be->device = 0;
	be->group = 0;
	be->fd = 0;
}
