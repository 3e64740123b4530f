/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small virtio driver in user space, over a file of vhost-vdpa: split virtqueues,
 * the network device and the block device of virtio 1.0.
 *
 * What the device has to reach to work at all, its rings and the headers of
 * requests, is in one block of control memory, of VIRTIO_CTRL bytes, which the test
 * maps. Memory that requests are about is named by IOVA only: whether it is mapped
 * is the test's affair.
 *
 * Functions return a negative errno when they fail.
 */
#ifndef __SELFTESTS_IOASID_VIRTIO_H
#define __SELFTESTS_IOASID_VIRTIO_H

#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "ioasid_util.h"
#include "vdpa.h"

/* Receive, transmit and control of a network device; 0 of a block device. */
#define VIRTIO_QUEUES 3
enum { VIRTIO_RX, VIRTIO_TX, VIRTIO_CVQ };

/* A page for each ring, and one for headers. */
#define VIRTIO_PAGE 0x1000
#define VIRTIO_HEADERS (VIRTIO_QUEUES * VIRTIO_PAGE)
#define VIRTIO_CTRL ((VIRTIO_QUEUES + 1) * VIRTIO_PAGE)

/* Every device moves this much at once, in whole sectors. */
#define VIRTIO_LEN 1024

/* Answer of virtio_copy() and virtio_blk(): the device met memory it cannot reach. */
#define VIRTIO_LOST 1

struct virtio_queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int kick;
	int call;
	__u16 next;
	__u16 added;
	__u16 seen;
};

struct virtio {
	int fd;
	__u32 id;
	__u64 features;
	unsigned int nr_queues;
	char *ctrl;
	/* Where the device finds @ctrl: of all queues but @ctrl_cvq, and of that */
	__u64 iova;
	__u64 iova_cvq;
	/* Of the control queue of a network device */
	__u32 cvq_asid;
	struct virtio_queue queue[VIRTIO_QUEUES];
};

/* One piece of a request */
struct virtio_piece {
	__u64 iova;
	__u32 length;
	bool device_writes;
};

/*
 * Open the file of the device, and make its control memory. What is mapped by
 * messages stays over a reset where the kernel can do that.
 */
int virtio_open(struct virtio *v, const char *name);

/*
 * Negotiate, and start the queues, which are at @iova; the control queue of a network
 * device, which may be of another address space, at @iova_cvq.
 */
int virtio_start_at(struct virtio *v, __u64 iova, __u64 iova_cvq);
int virtio_start(struct virtio *v, __u64 iova);
int virtio_set_status(struct virtio *v, __u8 status);
int virtio_get_status(struct virtio *v);
int virtio_reset(struct virtio *v);
void virtio_close(struct virtio *v);

/* Hand a request to the device, tell it, and see an answer. */
void virtio_add(struct virtio *v, unsigned int queue,
		const struct virtio_piece *pieces, unsigned int nr);
void virtio_kick(struct virtio *v, unsigned int queue);
bool virtio_answered(struct virtio *v, unsigned int queue, __u32 *length);

/* The same until there is an answer; -ETIME if there is none for long. */
int virtio_wait(struct virtio *v, unsigned int queue, __u32 *length);

/*
 * A request of a block device: its answer (VIRTIO_BLK_S_OK and so on), or a negative
 * errno.
 */
int virtio_blk(struct virtio *v, __u32 type, __u64 sector, __u64 iova,
	       __u32 length);

/* Read the device, or write it. */
int virtio_blk_read(struct virtio *v, __u64 sector, __u64 iova, __u32 length);
int virtio_blk_write(struct virtio *v, __u64 sector, __u64 iova, __u32 length);

/*
 * Have a simulated network device, which receives what it transmits, copy memory.
 * What is at @from must begin with virtio_frame(). VIRTIO_LOST if nothing came: the
 * device was then started anew, since it still has a buffer to receive to.
 */
int virtio_copy(struct virtio *v, __u64 to, __u64 from, __u32 length);

/* Make memory a packet that every device receives, with a pattern behind. */
void virtio_frame(void *p, __u32 length, unsigned int seed);
bool virtio_is_frame(const void *p, __u32 length, unsigned int seed);

/* Wait until a simulated device has looked at all that was added to a queue. */
int virtio_settle(struct virtio *v, unsigned int queue);

/* Set the address of a network device, by its control queue: 0 if it was set. */
int virtio_net_set_mac(struct virtio *v, const unsigned char mac[6]);
int virtio_net_get_mac(struct virtio *v, unsigned char mac[6]);

#endif /* __SELFTESTS_IOASID_VIRTIO_H */
