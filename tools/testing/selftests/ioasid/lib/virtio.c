// SPDX-License-Identifier: GPL-2.0-only
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "virtio.h"

/* Of a page of a ring: descriptors, then the two others. */
#define RING_SIZE 64
#define RING_AVAIL 0x400
#define RING_USED 0x800

/* Of the page of headers, for each queue. */
#define HEADER(queue) (VIRTIO_HEADERS + (queue) * 0x100)
#define ANSWER 0x80

/* Far more than any device takes, also on the debug kernel. */
#define PATIENCE_MS 60000

static bool virtio_is_cvq(struct virtio *v, unsigned int queue)
{
	return v->id == VIRTIO_ID_NET && queue == VIRTIO_CVQ;
}

/* The IOVA of a byte of control memory, for the device when it works on a queue */
static __u64 virtio_iova(struct virtio *v, unsigned int queue, size_t offset)
{
	return (virtio_is_cvq(v, queue) ? v->iova_cvq : v->iova) + offset;
}

static int virtio_cmd(struct virtio *v, unsigned long command, void *arg)
{
	return ioctl(v->fd, command, arg) < 0 ? -errno : 0;
}

int virtio_open(struct virtio *v, const char *name)
{
	const __u64 wanted = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2 |
		1ULL << VHOST_BACKEND_F_IOTLB_BATCH |
		1ULL << VHOST_BACKEND_F_IOTLB_ASID |
		1ULL << VHOST_BACKEND_F_IOTLB_PERSIST;
	__u64 backend;
	unsigned int i;
	int rc;

	memset(v, 0, sizeof(*v));
	for (i = 0; i < VIRTIO_QUEUES; i++) {
		v->queue[i].kick = -1;
		v->queue[i].call = -1;
	}
	v->fd = vdpa_open(name);
	if (v->fd < 0)
		return v->fd;
	v->ctrl = ia_mem(VIRTIO_CTRL);
	rc = v->ctrl ? 0 : -ENOMEM;
	if (!rc)
		rc = virtio_cmd(v, VHOST_SET_OWNER, NULL);
	if (!rc)
		rc = virtio_cmd(v, VHOST_GET_BACKEND_FEATURES, &backend);
	backend &= wanted;
	if (!rc)
		rc = virtio_cmd(v, VHOST_SET_BACKEND_FEATURES, &backend);
	if (!rc)
		rc = virtio_cmd(v, VHOST_VDPA_GET_DEVICE_ID, &v->id);
	if (!rc)
		rc = virtio_cmd(v, VHOST_VDPA_GET_VQS_COUNT, &v->nr_queues);
	if (v->nr_queues > VIRTIO_QUEUES)
		v->nr_queues = VIRTIO_QUEUES;
	if (v->id == VIRTIO_ID_BLOCK)
		v->nr_queues = 1;
	for (i = 0; !rc && i < v->nr_queues; i++) {
		v->queue[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		v->queue[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->queue[i].kick < 0 || v->queue[i].call < 0)
			rc = -errno;
	}
	if (rc)
		virtio_close(v);
	return rc;
}

int virtio_set_status(struct virtio *v, __u8 status)
{
	return virtio_cmd(v, VHOST_VDPA_SET_STATUS, &status);
}

int virtio_get_status(struct virtio *v)
{
	__u8 status;
	int rc = virtio_cmd(v, VHOST_VDPA_GET_STATUS, &status);

	return rc ? rc : status;
}

int virtio_reset(struct virtio *v)
{
	return virtio_set_status(v, 0);
}

void virtio_close(struct virtio *v)
{
	unsigned int i;

	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	for (i = 0; i < VIRTIO_QUEUES; i++) {
		if (v->queue[i].kick >= 0)
			close(v->queue[i].kick);
		if (v->queue[i].call >= 0)
			close(v->queue[i].call);
		v->queue[i].kick = -1;
		v->queue[i].call = -1;
	}
	if (v->ctrl)
		munmap(v->ctrl, VIRTIO_CTRL);
	v->ctrl = NULL;
}

static int virtio_start_queue(struct virtio *v, unsigned int i)
{
	struct virtio_queue *q = &v->queue[i];
	struct vhost_vring_state state = { .index = i, .num = RING_SIZE };
	struct vhost_vring_file file = { .index = i, .fd = q->kick };
	__u64 ring = virtio_iova(v, i, i * VIRTIO_PAGE);
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = ring,
		.avail_user_addr = ring + RING_AVAIL,
		.used_user_addr = ring + RING_USED,
	};
	char *page = v->ctrl + i * VIRTIO_PAGE;
	int rc;

	memset(page, 0, VIRTIO_PAGE);
	q->desc = (void *)page;
	q->avail = (void *)(page + RING_AVAIL);
	q->used = (void *)(page + RING_USED);
	q->next = 0;
	q->added = 0;
	q->seen = 0;
	rc = virtio_cmd(v, VHOST_SET_VRING_NUM, &state);
	state.num = 0;
	if (!rc)
		rc = virtio_cmd(v, VHOST_SET_VRING_BASE, &state);
	if (!rc)
		rc = virtio_cmd(v, VHOST_SET_VRING_ADDR, &addr);
	if (!rc)
		rc = virtio_cmd(v, VHOST_SET_VRING_KICK, &file);
	file.fd = q->call;
	if (!rc)
		rc = virtio_cmd(v, VHOST_SET_VRING_CALL, &file);
	state.num = 1;
	if (!rc)
		rc = virtio_cmd(v, VHOST_VDPA_SET_VRING_ENABLE, &state);
	return rc;
}

int virtio_start_at(struct virtio *v, __u64 iova, __u64 iova_cvq)
{
	__u64 wanted = 1ULL << VIRTIO_F_VERSION_1 |
		1ULL << VIRTIO_F_ACCESS_PLATFORM;
	/* the control queue has a group of its own */
	struct vhost_vring_state group = { .index = 1, .num = v->cvq_asid };
	__u8 status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	unsigned int i;
	int rc;

	if (v->id == VIRTIO_ID_BLOCK)
		wanted |= 1ULL << VIRTIO_BLK_F_FLUSH |
			1ULL << VIRTIO_BLK_F_DISCARD |
			1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	else
		wanted |= 1ULL << VIRTIO_NET_F_MAC |
			1ULL << VIRTIO_NET_F_CTRL_VQ |
			1ULL << VIRTIO_NET_F_CTRL_MAC_ADDR;
	v->iova = iova;
	v->iova_cvq = iova_cvq;
	rc = virtio_reset(v);
	if (!rc)
		rc = virtio_set_status(v, status);
	if (!rc)
		rc = virtio_cmd(v, VHOST_GET_FEATURES, &v->features);
	v->features &= wanted;
	if (!rc)
		rc = virtio_cmd(v, VHOST_SET_FEATURES, &v->features);
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (!rc)
		rc = virtio_set_status(v, status);
	/* a reset leads all groups back to the first address space */
	if (!rc && v->cvq_asid)
		rc = virtio_cmd(v, VHOST_VDPA_SET_GROUP_ASID, &group);
	for (i = 0; !rc && i < v->nr_queues; i++)
		rc = virtio_start_queue(v, i);
	status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if (!rc)
		rc = virtio_set_status(v, status);
	return rc;
}

int virtio_start(struct virtio *v, __u64 iova)
{
	return virtio_start_at(v, iova, iova);
}

/* --- queues --- */

void virtio_add(struct virtio *v, unsigned int queue,
		const struct virtio_piece *pieces, unsigned int nr)
{
	struct virtio_queue *q = &v->queue[queue];
	__u16 head = q->next % RING_SIZE;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct vring_desc *desc = &q->desc[q->next++ % RING_SIZE];

		desc->addr = pieces[i].iova;
		desc->len = pieces[i].length;
		desc->flags = (pieces[i].device_writes ? VRING_DESC_F_WRITE : 0) |
			(i + 1 < nr ? VRING_DESC_F_NEXT : 0);
		desc->next = q->next % RING_SIZE;
	}
	q->avail->ring[q->added % RING_SIZE] = head;
	__atomic_store_n(&q->avail->idx, ++q->added, __ATOMIC_RELEASE);
}

void virtio_kick(struct virtio *v, unsigned int queue)
{
	__u64 one = 1;

	/* only full when it was told, and has not looked: then it will */
	if (write(v->queue[queue].kick, &one, sizeof(one)) < 0)
		return;
}

bool virtio_answered(struct virtio *v, unsigned int queue, __u32 *length)
{
	struct virtio_queue *q = &v->queue[queue];

	if (__atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) == q->seen)
		return false;
	if (length)
		*length = q->used->ring[q->seen % RING_SIZE].len;
	q->seen++;
	return true;
}

int virtio_wait(struct virtio *v, unsigned int queue, __u32 *length)
{
	__u64 end = ia_now_ms() + PATIENCE_MS;

	while (!virtio_answered(v, queue, length)) {
		struct pollfd call = {
			.fd = v->queue[queue].call,
			.events = POLLIN,
		};
		__u64 count;

		/* a request that is answered by no more than the ring has no event */
		poll(&call, 1, 5);
		if (read(call.fd, &count, sizeof(count)) < 0 &&
		    errno != EAGAIN)
			return -errno;
		if (ia_now_ms() > end)
			return -ETIME;
	}
	return 0;
}

int virtio_settle(struct virtio *v, unsigned int queue)
{
	struct vhost_vring_state state = { .index = queue };
	__u64 end = ia_now_ms() + PATIENCE_MS;
	unsigned int i;
	int rc;

	for (i = 1;; i++) {
		state.index = queue;
		rc = virtio_cmd(v, VHOST_GET_VRING_BASE, &state);
		if (rc)
			return rc;
		if ((__u16)state.num == v->queue[queue].added)
			break;
		if (ia_now_ms() > end)
			return -ETIME;
		/* it may have met a ring that was not mapped, and stopped */
		if (!(i % 64))
			virtio_kick(v, queue);
		sched_yield();
	}
	/* waits for the worker to be through with it */
	rc = virtio_get_status(v);
	return rc < 0 ? rc : 0;
}

/* --- block devices --- */

int virtio_blk(struct virtio *v, __u32 type, __u64 sector, __u64 iova,
	       __u32 length)
{
	struct virtio_blk_outhdr *header = (void *)(v->ctrl + HEADER(0));
	__u8 *answer = (void *)(v->ctrl + HEADER(0) + ANSWER);
	struct virtio_piece pieces[3] = {
		{ virtio_iova(v, 0, HEADER(0)), sizeof(*header), false },
		{ iova, length, type == VIRTIO_BLK_T_IN ||
				type == VIRTIO_BLK_T_GET_ID },
		{ virtio_iova(v, 0, HEADER(0) + ANSWER), 1, true },
	};
	int rc;

	header->type = type;
	header->ioprio = 0;
	header->sector = sector;
	*answer = 0xff;
	if (!length)
		pieces[1] = pieces[2];
	virtio_add(v, 0, pieces, length ? 3 : 2);
	virtio_kick(v, 0);
	rc = virtio_wait(v, 0, NULL);
	return rc ? rc : __atomic_load_n(answer, __ATOMIC_ACQUIRE);
}

int virtio_blk_read(struct virtio *v, __u64 sector, __u64 iova, __u32 length)
{
	return virtio_blk(v, VIRTIO_BLK_T_IN, sector, iova, length);
}

int virtio_blk_write(struct virtio *v, __u64 sector, __u64 iova, __u32 length)
{
	return virtio_blk(v, VIRTIO_BLK_T_OUT, sector, iova, length);
}

/* --- network devices --- */

void virtio_frame(void *p, __u32 length, unsigned int seed)
{
	unsigned char *byte = p;
	__u32 i;

	for (i = 0; i < length; i++)
		byte[i] = i < 6 ? 0xff : (seed * 31 + i * 7 + i / 256) & 0xff;
}

bool virtio_is_frame(const void *p, __u32 length, unsigned int seed)
{
	unsigned char expected[VIRTIO_PAGE];

	if (length > sizeof(expected))
		return false;
	virtio_frame(expected, length, seed);
	return !memcmp(p, expected, length);
}

int virtio_copy(struct virtio *v, __u64 to, __u64 from, __u32 length)
{
	__u32 header = sizeof(struct virtio_net_hdr_v1);
	struct virtio_piece rx[2] = {
		{ virtio_iova(v, VIRTIO_RX, HEADER(VIRTIO_RX)), header, true },
		{ to, length, true },
	};
	struct virtio_piece tx[2] = {
		{ virtio_iova(v, VIRTIO_TX, HEADER(VIRTIO_TX)), header, false },
		{ from, length, false },
	};
	__u32 got;
	int rc;

	virtio_add(v, VIRTIO_RX, rx, 2);
	virtio_add(v, VIRTIO_TX, tx, 2);
	virtio_kick(v, VIRTIO_TX);
	rc = virtio_settle(v, VIRTIO_TX);
	if (rc)
		return rc;
	while (virtio_answered(v, VIRTIO_TX, NULL))
		;
	if (!virtio_answered(v, VIRTIO_RX, &got)) {
		rc = virtio_start_at(v, v->iova, v->iova_cvq);
		return rc ? rc : VIRTIO_LOST;
	}
	return got == header + length ? 0 : -EIO;
}

int virtio_net_set_mac(struct virtio *v, const unsigned char mac[6])
{
	struct virtio_net_ctrl_hdr *header = (void *)(v->ctrl + HEADER(VIRTIO_CVQ));
	__u8 *answer = (void *)(v->ctrl + HEADER(VIRTIO_CVQ) + ANSWER);
	struct virtio_piece pieces[3] = {
		{ virtio_iova(v, VIRTIO_CVQ, HEADER(VIRTIO_CVQ)),
		  sizeof(*header), false },
		{ virtio_iova(v, VIRTIO_CVQ, HEADER(VIRTIO_CVQ) + 0x40), 6,
		  false },
		{ virtio_iova(v, VIRTIO_CVQ, HEADER(VIRTIO_CVQ) + ANSWER), 1,
		  true },
	};
	int rc;

	header->class = VIRTIO_NET_CTRL_MAC;
	header->cmd = VIRTIO_NET_CTRL_MAC_ADDR_SET;
	memcpy((char *)header + 0x40, mac, 6);
	*answer = 0xff;
	virtio_add(v, VIRTIO_CVQ, pieces, 3);
	virtio_kick(v, VIRTIO_CVQ);
	rc = virtio_wait(v, VIRTIO_CVQ, NULL);
	return rc ? rc : __atomic_load_n(answer, __ATOMIC_ACQUIRE);
}

int virtio_net_get_mac(struct virtio *v, unsigned char mac[6])
{
	char buf[sizeof(struct vhost_vdpa_config) + 6];
	struct vhost_vdpa_config *config = (void *)buf;
	int rc;

	config->off = 0;
	config->len = 6;
	rc = virtio_cmd(v, VHOST_VDPA_GET_CONFIG, config);
	if (!rc)
		memcpy(mac, config->buf, 6);
	return rc;
}
