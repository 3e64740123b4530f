// SPDX-License-Identifier: GPL-2.0-only
#include "accel.h"

#define PARAMETERS "/sys/module/ioasid_mock/parameters/"

int acc_plug(struct model *model, struct model_device *dev,
	     const struct model_params *params)
{
	struct ioasid_model_create cmd = {
		.kind = IOASID_MODEL_ACCEL, .params = *params,
	};
	int rc = model_create(model, &cmd);

	*dev = (struct model_device){
		.model = model, .id = cmd.id, .fd = -1, .group = -1,
	};
	memcpy(dev->name, cmd.name, sizeof(dev->name));
	return rc;
}

int acc_open(const struct model_device *dev, int flags)
{
	const char *number = strrchr(dev->name, '.');
	char path[64];
	int fd;

	if (!number)
		return -EINVAL;
	snprintf(path, sizeof(path), "/dev/ioasid_accel%s", number + 1);
	fd = open(path, O_RDWR | O_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

int acc_bind(int fd, int ctx, __u64 cookie)
{
	struct ioasid_device_bind cmd = {
		.argsz = sizeof(cmd), .ioasid_fd = ctx, .cookie = cookie,
	};
	int rc = ia_cmd(fd, ACCEL_BIND_IOASID_FD, &cmd);

	return rc ? rc : (int)cmd.devid;
}

int acc_attach_flags(int fd, __u32 id, __u32 vpasid, __u32 flags)
{
	struct ioasid_device_attach cmd = {
		.argsz = sizeof(cmd),
		.flags = flags | (vpasid ? IOASID_ATTACH_PASID : 0),
		.ioasid = id,
		.vpasid = vpasid,
	};

	return ia_cmd(fd, ACCEL_ATTACH_IOASID, &cmd);
}

int acc_attach(int fd, __u32 id, __u32 vpasid)
{
	return acc_attach_flags(fd, id, vpasid, 0);
}

int acc_attach_any(int fd, __u32 id, __u32 *vpasid)
{
	struct ioasid_device_attach cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ATTACH_PASID_ANY,
		.ioasid = id,
	};
	int rc = ia_cmd(fd, ACCEL_ATTACH_IOASID, &cmd);

	*vpasid = cmd.vpasid;
	return rc;
}

int acc_detach(int fd, __u32 vpasid)
{
	struct ioasid_device_detach cmd = {
		.argsz = sizeof(cmd),
		.flags = vpasid ? IOASID_DETACH_PASID : 0,
		.vpasid = vpasid,
	};

	return ia_cmd(fd, ACCEL_DETACH_IOASID, &cmd);
}

int acc_submit(int fd, struct accel_submit *cmd)
{
	int rc = ia_cmd(fd, ACCEL_SUBMIT, cmd);

	return rc ? rc : (int)cmd->reason;
}

static __u64 page_at(unsigned int page)
{
	return ACCEL_BASE + page * page_size;
}

int acc_fill(int fd, __u32 vpasid, __u64 seed, unsigned int page)
{
	return acc_submit(fd, &(struct accel_submit){
		.op = ACCEL_FILL, .vpasid = vpasid, .seed = seed,
		.dst = page_at(page), .length = page_size,
	});
}

int acc_copy(int fd, __u32 vpasid, unsigned int from, unsigned int to)
{
	return acc_submit(fd, &(struct accel_submit){
		.op = ACCEL_COPY, .vpasid = vpasid, .src = page_at(from),
		.dst = page_at(to), .length = page_size,
	});
}

int acc_sum(int fd, __u32 vpasid, unsigned int page, __u64 *sum)
{
	struct accel_submit cmd = {
		.op = ACCEL_SUM, .vpasid = vpasid, .src = page_at(page),
		.length = page_size,
	};
	int rc = acc_submit(fd, &cmd);

	*sum = cmd.result;
	return rc;
}

int acc_await(int fd, __u32 vpasid, __u64 seed)
{
	return acc_submit(fd, &(struct accel_submit){
		.op = ACCEL_AWAIT, .vpasid = vpasid, .seed = seed,
		.src = page_at(0), .length = sizeof(__u64),
	});
}

struct accel_info acc_info(int fd)
{
	struct accel_info info;

	if (ia_cmd(fd, ACCEL_GET_INFO, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

bool acc_ready(int fd, int timeout)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	return poll(&pfd, 1, timeout) == 1 && pfd.revents & POLLOUT;
}

int acc_kernel_job(struct model_device *dev, __u64 seed, __u32 length)
{
	struct ioasid_model_accel_job cmd = {
		.id = dev->id, .seed = seed, .length = length,
	};
	int rc = ia_cmd(dev->model->control, IOASID_MODEL_ACCEL_JOB, &cmd);
	__u64 sum = 0;
	__u32 at;

	for (at = 0; at < length; at += sizeof(__u64))
		sum += ioasid_model_word(seed, at);
	return rc ? rc : cmd.sum == sum ? 0 : -EILSEQ;
}

static int set_parameter(const char *path, unsigned int value)
{
	char text[16];
	int fd = open(path, O_WRONLY), n;

	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%u", value);
	n = write(fd, text, n) == n ? 0 : -errno;
	close(fd);
	return n;
}

int acc_set_turn(unsigned int ms)
{
	return set_parameter(PARAMETERS "accel_turn_ms", ms);
}

int acc_hold_ends(bool hold)
{
	return set_parameter(PARAMETERS "accel_hold_ends", hold);
}
