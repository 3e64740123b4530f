// SPDX-License-Identifier: GPL-2.0-only
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vdpa.h>

#include "vdpa.h"

#define VDPA_BUS "/sys/bus/vdpa/devices/"

/* --- modules --- */

static bool vdpa_has_parameter(const char *name, char value)
{
	char path[96], now[8];

	snprintf(path, sizeof(path), "/sys/module/vdpa_sim/parameters/%s",
		 name);
	return hw_read_file(path, now, sizeof(now)) > 0 && now[0] == value;
}

int vdpa_load(bool batch_mapping, bool use_va)
{
	char command[96];

	/* else its devices have no file */
	if (system("modprobe -q vhost_vdpa"))
		return -ENOENT;
	if (!vdpa_has_parameter("batch_mapping", batch_mapping ? '1' : '0') ||
	    !vdpa_has_parameter("use_va", use_va ? 'Y' : 'N')) {
		/* Those that are not loaded do not matter */
		if (system("for m in vdpa_sim_net vdpa_sim_blk vdpa_sim; do "
			   "modprobe -q -r $m; done; true"))
			return -ENOENT;
		snprintf(command, sizeof(command),
			 "modprobe -q vdpa_sim batch_mapping=%d use_va=%d",
			 batch_mapping, use_va);
		if (system(command))
			return -ENOENT;
	}
	return system("modprobe -q vdpa_sim_net && modprobe -q vdpa_sim_blk") ?
		-ENOENT : 0;
}

/* --- generic netlink --- */

struct vdpa_request {
	struct nlmsghdr head;
	struct genlmsghdr generic;
	char attributes[256];
};

static void vdpa_begin(struct vdpa_request *request, int family,
		       unsigned int command)
{
	memset(request, 0, sizeof(*request));
	request->head.nlmsg_len = NLMSG_LENGTH(sizeof(request->generic));
	request->head.nlmsg_type = family;
	request->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request->generic.cmd = command;
	request->generic.version = 1;
}

static void vdpa_put_string(struct vdpa_request *request, unsigned int type,
			    const char *text, size_t length)
{
	struct nlattr *attr = (void *)request + NLMSG_ALIGN(request->head.nlmsg_len);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + length + 1;
	memcpy((void *)attr + NLA_HDRLEN, text, length);
	request->head.nlmsg_len = NLMSG_ALIGN(request->head.nlmsg_len) +
		NLA_ALIGN(attr->nla_len);
}

/* The number of the family in the answer to CTRL_CMD_GETFAMILY */
static int vdpa_family(struct nlmsghdr *head)
{
	void *end = (void *)head + head->nlmsg_len;
	struct nlattr *attr = NLMSG_DATA(head) + GENL_HDRLEN;

	while ((void *)attr + NLA_HDRLEN <= end && attr->nla_len >= NLA_HDRLEN) {
		if (attr->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(__u16 *)((void *)attr + NLA_HDRLEN);
		attr = (void *)attr + NLA_ALIGN(attr->nla_len);
	}
	return -ENOENT;
}

/* Returns the number of the family that was asked for, if one was, or 0. */
static int vdpa_talk(int sock, struct vdpa_request *request)
{
	union {
		char buf[8192];
		struct nlmsghdr head;
	} answer;
	int family = 0;

	if (send(sock, request, request->head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(sock, answer.buf, sizeof(answer.buf), 0);
		struct nlmsghdr *head = &answer.head;

		if (n < 0)
			return -errno;
		for (; NLMSG_OK(head, n); head = NLMSG_NEXT(head, n)) {
			if (head->nlmsg_type == NLMSG_ERROR) {
				int error = ((struct nlmsgerr *)NLMSG_DATA(head))->error;

				return error ? error : family;
			}
			family = vdpa_family(head);
		}
	}
}

/* A socket of generic netlink, and the number of vDPA's family */
static int vdpa_socket(int *family)
{
	struct vdpa_request request;
	int sock;

	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (sock < 0)
		return -errno;
	vdpa_begin(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	vdpa_put_string(&request, CTRL_ATTR_FAMILY_NAME, VDPA_GENL_NAME,
			strlen(VDPA_GENL_NAME));
	*family = vdpa_talk(sock, &request);
	if (*family > 0)
		return sock;
	close(sock);
	return *family ? *family : -ENOENT;
}

int vdpa_add(const char *parent, const char *name)
{
	const char *slash = strchr(parent, '/');
	struct vdpa_request request;
	int sock, family, rc;

	sock = vdpa_socket(&family);
	if (sock < 0)
		return sock;
	vdpa_begin(&request, family, VDPA_CMD_DEV_NEW);
	if (slash) {
		vdpa_put_string(&request, VDPA_ATTR_MGMTDEV_BUS_NAME, parent,
				slash - parent);
		parent = slash + 1;
	}
	vdpa_put_string(&request, VDPA_ATTR_MGMTDEV_DEV_NAME, parent,
			strlen(parent));
	vdpa_put_string(&request, VDPA_ATTR_DEV_NAME, name, strlen(name));
	rc = vdpa_talk(sock, &request);
	close(sock);
	return rc;
}

int vdpa_del(const char *name)
{
	struct vdpa_request request;
	int sock, family, rc;

	sock = vdpa_socket(&family);
	if (sock < 0)
		return sock;
	vdpa_begin(&request, family, VDPA_CMD_DEV_DEL);
	vdpa_put_string(&request, VDPA_ATTR_DEV_NAME, name, strlen(name));
	rc = vdpa_talk(sock, &request);
	close(sock);
	return rc;
}

/* --- devices --- */

bool vdpa_exists(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), VDPA_BUS "%s", name);
	return !access(path, F_OK);
}

int vdpa_open(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), VDPA_BUS "%s", name);
	return hw_open_child(path, "vhost-vdpa-", "/dev/");
}

int vdpa_find_pci(unsigned int type, char names[][HW_NAME], int max)
{
	const struct hw_id id = { 0x1af4, 0x1040 + type, 0 };

	return hw_find(&id, names, max);
}

int vdpa_take_pci(const char *pci, const char *name)
{
	char parent[32];
	int rc;

	if (system("modprobe -q vhost_vdpa && modprobe -q vp_vdpa"))
		return -ENOENT;
	rc = hw_set_driver(pci, "vp-vdpa");
	if (rc)
		return rc;
	snprintf(parent, sizeof(parent), "pci/%s", pci);
	return vdpa_exists(name) ? 0 : vdpa_add(parent, name);
}

int vdpa_give_back_pci(const char *pci, const char *name)
{
	int rc = vdpa_del(name);

	return rc ? rc : hw_give_back(pci);
}

/* --- commands of /dev/ioasid --- */

int vdpa_bind_full(int fd, int ctx, __u32 ioasid, __u64 cookie, __u32 *devid,
		   __u64 *fault_addr)
{
	struct ioasid_device_bind bind = {
		.argsz = sizeof(bind),
		.ioasid_fd = ctx,
		.ioasid = ioasid,
		.cookie = cookie,
	};
	int rc;

	rc = ioctl(fd, VHOST_VDPA_BIND_IOASID_FD, &bind) ? -errno : 0;
	if (!rc && devid)
		*devid = bind.devid;
	if (fault_addr)
		*fault_addr = bind.fault_addr;
	return rc;
}

int vdpa_bind(int fd, int ctx, __u64 cookie, __u32 *devid)
{
	return vdpa_bind_full(fd, ctx, 0, cookie, devid, NULL);
}

int vdpa_attach_full(int fd, __u32 flags, __u32 asid, __u32 ioasid,
		     __u64 *fault_addr)
{
	struct ioasid_device_attach attach = {
		.argsz = sizeof(attach),
		.flags = flags,
		.ioasid = ioasid,
		.vpasid = asid,
	};
	int rc;

	rc = ioctl(fd, VHOST_VDPA_ATTACH_IOASID, &attach) ? -errno : 0;
	if (fault_addr)
		*fault_addr = attach.fault_addr;
	return rc;
}

int vdpa_detach_full(int fd, __u32 flags, __u32 asid, __u32 ioasid)
{
	struct ioasid_device_detach detach = {
		.argsz = sizeof(detach),
		.flags = flags,
		.ioasid = ioasid,
		.vpasid = asid,
	};

	return ioctl(fd, VHOST_VDPA_DETACH_IOASID, &detach) ? -errno : 0;
}

int vdpa_attach(int fd, __u32 ioasid)
{
	return vdpa_attach_full(fd, 0, 0, ioasid, NULL);
}

int vdpa_detach(int fd, __u32 ioasid)
{
	return vdpa_detach_full(fd, 0, 0, ioasid);
}

int vdpa_attach_asid(int fd, __u32 asid, __u32 ioasid)
{
	return vdpa_attach_full(fd, IOASID_ATTACH_ASID, asid, ioasid, NULL);
}

int vdpa_detach_asid(int fd, __u32 asid, __u32 ioasid)
{
	return vdpa_detach_full(fd, IOASID_DETACH_ASID, asid, ioasid);
}

/* --- messages --- */

int vdpa_message(int fd, unsigned int type, __u32 asid, __u64 iova, __u64 size,
		 const void *addr, unsigned int perm)
{
	struct vhost_msg_v2 message = {
		.type = VHOST_IOTLB_MSG_V2,
		.asid = asid,
		.iotlb = {
			.iova = iova,
			.size = size,
			.uaddr = (uintptr_t)addr,
			.perm = perm,
			.type = type,
		},
	};

	return write(fd, &message, sizeof(message)) < 0 ? -errno : 0;
}

int vdpa_map(int fd, __u32 asid, __u64 iova, const void *addr, __u64 size)
{
	return vdpa_message(fd, VHOST_IOTLB_UPDATE, asid, iova, size, addr,
			    VHOST_ACCESS_RW);
}

int vdpa_unmap(int fd, __u32 asid, __u64 iova, __u64 size)
{
	return vdpa_message(fd, VHOST_IOTLB_INVALIDATE, asid, iova, size, NULL,
			    0);
}
