/* SPDX-License-Identifier: GPL-2.0-only */
/* Fault queues, and the page requests of model devices, for tests. */
#ifndef __SELFTESTS_IOASID_FAULTS_H
#define __SELFTESTS_IOASID_FAULTS_H

#include "model.h"

#define FAULTS_PATIENCE_MS 10000

/* Records of one read(): more than the largest group */
#define FAULTS_MAX 512

#define FAULT_RW (IOASID_FAULT_READ | IOASID_FAULT_WRITE)

/**
 * struct fault_queue - a fault queue, and its file
 * @id: id of the queue
 * @fd: its file, or -1; it is O_NONBLOCK
 */
struct fault_queue {
	__u32 id;
	int fd;
};

/* The command, without an eventfd; the file blocks. */
int fault_queue_cmd(int ctx, __u32 depth, struct ioasid_fault_queue *cmd);

int fault_queue_open(int ctx, __u32 depth, struct fault_queue *queue);

/* An IOASID whose faults come to a queue, or to none if @queue is NULL */
int fault_alloc(int ctx, __u32 flags, __u32 kind, __u32 parent, __u32 format,
		const struct fault_queue *queue, __u32 *id);

/* read() of up to @max records; their number, or -errno */
int fault_read(int fd, struct ioasid_fault *records, unsigned int max);

/* write() of one answer; 0, or -errno */
int fault_answer(int fd, __u32 id, __u32 code);

/* Whether poll() tells of records now */
bool fault_has_records(int fd);

/* Wait until it does */
bool fault_wait(int fd);

/*
 * Wait for @nr records of any kind, and take them; their number, which is less if no
 * more come, or more if the last read() had more.
 */
unsigned int fault_take(int fd, struct ioasid_fault *records, unsigned int nr);

/* Take all that are there now, and answer each group; the number of groups */
unsigned int fault_answer_all(int fd, __u32 code);

/**
 * struct fault_sums - what records said
 * @groups: groups of page requests
 * @requests: page requests
 * @unrepairable: accesses that have failed
 * @lost: sum of what was lost
 */
struct fault_sums {
	__u64 groups;
	__u64 requests;
	__u64 unrepairable;
	__u64 lost;
};

/* Add records, all of a device if @devid is not 0 */
void fault_add(struct fault_sums *sums, const struct ioasid_fault *records,
	       unsigned int nr, __u32 devid);

/* ---- Model devices ---- */

/* It asks for @nr pages in a group, from @addr on, and waits for no answer */
int fault_request(struct model_device *dev, __u32 pasid, __u32 group,
		  __u64 addr, unsigned int nr);

/* The same without the last request of the group */
int fault_request_part(struct model_device *dev, __u32 pasid, __u32 group,
		       __u64 addr, unsigned int nr);

/* It asks again and again on a channel, a group for each page, until model_stop() */
int fault_flood(struct model_device *dev, int channel, __u32 pasid, __u64 addr,
		unsigned int pages);

/* DMA that asks for an absent page; model_status() of the channel has the result */
int fault_dma(struct model_device *dev, int channel, __u32 op, __u32 pasid,
	      __u64 addr, __u64 seed);

/* Wait until the DMA has ended */
int fault_dma_ended(struct model_device *dev, int channel,
		    struct ioasid_model_status *status);

/* Number of responses that the device got since it was opened */
__u64 fault_responses(struct model_device *dev, __u32 code);

/* Wait until it got as many */
bool fault_responded(struct model_device *dev, __u32 code, __u64 nr);

/*
 * Wait until each request of the devices of an IOMMU has its response, but for @parts
 * that were not the last of their group.  NULL, or what is wrong.
 */
const char *fault_unanswered(struct model_device *dev, __u64 parts);

/* device_info.faults, and .faults_lost */
__u64 fault_told(struct model_device *dev);
__u64 fault_lost(struct model_device *dev);

/* Wait until so many of its faults were told, or wait to be read */
bool fault_told_be(struct model_device *dev, __u64 nr);

#endif /* __SELFTESTS_IOASID_FAULTS_H */
