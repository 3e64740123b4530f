// SPDX-License-Identifier: GPL-2.0-only
#include <poll.h>

#include "faults.h"

int fault_queue_cmd(int ctx, __u32 depth, struct ioasid_fault_queue *cmd)
{
	*cmd = (struct ioasid_fault_queue){
		.argsz = sizeof(*cmd),
		.depth = depth,
		.eventfd = -1,
		.cookie = 0xc00c1e,
		.fd = -1,
	};
	return ia_cmd(ctx, IOASID_FAULT_QUEUE, cmd);
}

int fault_queue_open(int ctx, __u32 depth, struct fault_queue *queue)
{
	struct ioasid_fault_queue cmd;
	int rc = fault_queue_cmd(ctx, depth, &cmd);

	queue->id = rc ? 0 : cmd.queue;
	queue->fd = rc ? -1 : cmd.fd;
	if (!rc && fcntl(cmd.fd, F_SETFL, O_RDWR | O_NONBLOCK))
		rc = -errno;
	return rc;
}

int fault_alloc(int ctx, __u32 flags, __u32 kind, __u32 parent, __u32 format,
		const struct fault_queue *queue, __u32 *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.kind = kind,
		.parent = parent,
		.format = format,
		.fault_queue = queue ? queue->id : 0,
	};
	int rc = ia_cmd(ctx, IOASID_ALLOC, &cmd);

	*id = cmd.ioasid;
	return rc;
}

int fault_read(int fd, struct ioasid_fault *records, unsigned int max)
{
	ssize_t n = read(fd, records, max * sizeof(*records));

	if (n < 0)
		return -errno;
	return n % sizeof(*records) ? -EPROTO : n / sizeof(*records);
}

int fault_answer(int fd, __u32 id, __u32 code)
{
	struct ioasid_fault_response response = { .id = id, .code = code };
	ssize_t n = write(fd, &response, sizeof(response));

	if (n < 0)
		return -errno;
	return n == sizeof(response) ? 0 : -EPROTO;
}

static bool poll_for(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, ms) == 1 && poll_fd.revents & POLLIN;
}

bool fault_has_records(int fd)
{
	return poll_for(fd, 0);
}

bool fault_wait(int fd)
{
	return poll_for(fd, FAULTS_PATIENCE_MS);
}

unsigned int fault_take(int fd, struct ioasid_fault *records, unsigned int nr)
{
	unsigned int n = 0;
	int rc;

	while (n < nr && fault_wait(fd)) {
		rc = fault_read(fd, records + n, FAULTS_MAX - n);
		if (rc <= 0)
			break;
		n += rc;
	}
	return n;
}

unsigned int fault_answer_all(int fd, __u32 code)
{
	struct ioasid_fault records[FAULTS_MAX];
	unsigned int groups = 0;
	int i, n;

	while ((n = fault_read(fd, records, FAULTS_MAX)) > 0) {
		for (i = 0; i < n; i++) {
			if (records[i].kind != IOASID_FAULT_PAGE_REQUEST ||
			    !(records[i].flags & IOASID_FAULT_LAST))
				continue;
			groups += !fault_answer(fd, records[i].id, code);
		}
	}
	return groups;
}

void fault_add(struct fault_sums *sums, const struct ioasid_fault *records,
	       unsigned int nr, __u32 devid)
{
	const struct ioasid_fault *record;

	for (record = records; record < records + nr; record++) {
		if (devid && record->devid != devid)
			continue;
		switch (record->kind) {
		case IOASID_FAULT_PAGE_REQUEST:
			sums->requests++;
			sums->groups += !!(record->flags & IOASID_FAULT_LAST);
			break;
		case IOASID_FAULT_UNREPAIRABLE:
			sums->unrepairable++;
			break;
		case IOASID_FAULT_LOST:
			sums->lost += record->lost;
			break;
		}
	}
}

/* ---- Model devices ---- */

#define REQUEST_RW (IOASID_MODEL_REQUEST_READ | IOASID_MODEL_REQUEST_WRITE)

static struct ioasid_model_dma request(__u32 pasid, __u32 group, __u64 addr,
				       unsigned int nr)
{
	return (struct ioasid_model_dma) {
		.op = IOASID_MODEL_REQUEST,
		.flags = pasid ? IOASID_MODEL_DMA_PASID : 0,
		.pasid = pasid,
		.threads = 1,
		.address = addr,
		.length = 1,
		.stride = page_size,
		.count = nr,
		.operand = REQUEST_RW,
		.compare = group,
	};
}

int fault_request_part(struct model_device *dev, __u32 pasid, __u32 group,
		       __u64 addr, unsigned int nr)
{
	struct ioasid_model_dma dma = request(pasid, group, addr, nr);

	return model_dma(dev, &dma, NULL);
}

int fault_request(struct model_device *dev, __u32 pasid, __u32 group,
		  __u64 addr, unsigned int nr)
{
	struct ioasid_model_dma dma;
	int rc = 0;

	if (nr > 1)
		rc = fault_request_part(dev, pasid, group, addr, nr - 1);
	if (rc)
		return rc;
	dma = request(pasid, group, addr + (nr - 1) * page_size, 1);
	dma.operand |= IOASID_MODEL_REQUEST_LAST;
	return model_dma(dev, &dma, NULL);
}

int fault_flood(struct model_device *dev, int channel, __u32 pasid, __u64 addr,
		unsigned int pages)
{
	struct ioasid_model_dma dma = request(pasid, channel, addr, pages);

	dma.operand |= IOASID_MODEL_REQUEST_LAST;
	dma.flags |= IOASID_MODEL_DMA_LOOP | IOASID_MODEL_DMA_GO_ON;
	return model_start(dev, channel, &dma);
}

int fault_dma(struct model_device *dev, int channel, __u32 op, __u32 pasid,
	      __u64 addr, __u64 seed)
{
	struct ioasid_model_dma dma = {
		.op = op,
		.flags = IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_ATS |
			 (pasid ? IOASID_MODEL_DMA_PASID : 0),
		.pasid = pasid,
		.threads = 1,
		.address = addr,
		.length = page_size,
		.count = 1,
		.operand = seed,
	};

	return model_start(dev, channel, &dma);
}

int fault_dma_ended(struct model_device *dev, int channel,
		    struct ioasid_model_status *status)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;
	int rc;

	do {
		rc = model_status(dev, channel, status);
		/* The status is final a moment before the channel is free */
		if (rc || status->run != IOASID_MODEL_RUNNING)
			return rc ? rc : model_stop(dev, channel, status);
		usleep(1000);
	} while (ia_now_ms() < deadline);
	return -ETIMEDOUT;
}

__u64 fault_responses(struct model_device *dev, __u32 code)
{
	struct ioasid_model_state state;

	return model_state(dev, &state) ? ~0ULL : state.responses[code];
}

bool fault_responded(struct model_device *dev, __u32 code, __u64 nr)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;

	while (fault_responses(dev, code) < nr) {
		if (ia_now_ms() > deadline)
			return false;
		usleep(1000);
	}
	return fault_responses(dev, code) == nr;
}

const char *fault_unanswered(struct model_device *dev, __u64 parts)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;
	struct model_counters counters;
	static char text[120];

	do {
		counters = model_counters(dev);
		if (counters.requests == counters.responses + parts)
			return NULL;
		usleep(1000);
	} while (ia_now_ms() < deadline);
	snprintf(text, sizeof(text),
		 "%llu requests, %llu of them not the last of a group, %llu responses",
		 counters.requests, parts, counters.responses);
	return text;
}

static struct ioasid_device_info device_info(struct model_device *dev)
{
	struct ioasid_device_info info = { .argsz = sizeof(info) };

	if (ia_device_info(dev->model->ctx, dev->devid, &info)) {
		info.faults = ~0ULL;
		info.faults_lost = ~0ULL;
	}
	return info;
}

__u64 fault_told(struct model_device *dev)
{
	return device_info(dev).faults;
}

__u64 fault_lost(struct model_device *dev)
{
	return device_info(dev).faults_lost;
}

bool fault_told_be(struct model_device *dev, __u64 nr)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;

	while (fault_told(dev) < nr) {
		if (ia_now_ms() > deadline)
			return false;
		usleep(1000);
	}
	return fault_told(dev) == nr;
}
