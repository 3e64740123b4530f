// SPDX-License-Identifier: LGPL-2.1-only OR MIT
/*
 * A small NVMe driver in user space, see nvme.h.  After the NVM Express base
 * specification, revision 1.4.
 *
 * Memory that the caller gave, by page:
 *	0			buffer for what the driver itself asks
 *	then for each queue:	submission queue, completion queue, PRP lists:
 *				one for each command, of half a page
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sched.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "nvme.h"
#include "vfio_pci.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "for little-endian machines"
#endif

#define REG_CAP		0x00
#define REG_CC		0x14
#define REG_CSTS	0x1c
#define REG_AQA		0x24
#define REG_ASQ		0x28
#define REG_ACQ		0x30
#define REG_DOORBELLS	0x1000

#define CC_ENABLE	0x000001
#define CC_IOSQES	0x060000	/* entries of 2^6 bytes */
#define CC_IOCQES	0x400000	/* entries of 2^4 bytes */

#define CSTS_READY	0x1
#define CSTS_FATAL	0x2
#define CSTS_GONE	0xffffffff

#define FEATURE_NR_QUEUES	7
#define QUEUE_CONTIGUOUS	0x1
#define QUEUE_IRQ		0x2

#define IDENTIFY_NAMESPACE	0
#define IDENTIFY_CONTROLLER	1
#define IDENTIFY_ACTIVE		2

#define PRP_LIST_ENTRIES	(NVME_MAX_TRANSFER / NVME_PAGE)
#define PRP_LIST_SIZE		(PRP_LIST_ENTRIES * sizeof(__u64))
#define QUEUE_MEM_SIZE		(2 * NVME_PAGE + NVME_QUEUE_DEPTH * PRP_LIST_SIZE)

static_assert(sizeof(struct nvme_sqe) == 64, "size of an SQ entry");
static_assert(sizeof(struct nvme_cqe) == 16, "size of a CQ entry");
static_assert(NVME_PAGE % PRP_LIST_SIZE == 0, "no PRP list may cross a page");
static_assert(NVME_QUEUE_DEPTH * sizeof(struct nvme_sqe) <= NVME_PAGE, "SQ");

/*
 * Access memory that the controller accesses, too: single accesses that the
 * compiler neither splits nor drops nor moves.
 */
static __u32 read32(struct nvme *nvme, unsigned int reg)
{
	__u32 *p = (void *)((char *)nvme->regs + reg);

	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void write32(struct nvme *nvme, unsigned int reg, __u32 value)
{
	__u32 *p = (void *)((char *)nvme->regs + reg);

	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static __u16 read_status(const struct nvme_cqe *cqe)
{
	return __atomic_load_n(&cqe->status, __ATOMIC_ACQUIRE);
}

/* Make earlier writes to memory visible to the controller. */
static void dma_wmb(void)
{
#ifdef __aarch64__
	asm volatile("dmb oshst" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

static __u64 read64(struct nvme *nvme, unsigned int reg)
{
	return read32(nvme, reg) | (__u64)read32(nvme, reg + 4) << 32;
}

static void write64(struct nvme *nvme, unsigned int reg, __u64 value)
{
	write32(nvme, reg, (__u32)value);
	write32(nvme, reg + 4, value >> 32);
}

static unsigned int sq_doorbell(struct nvme *nvme, unsigned int qid)
{
	return REG_DOORBELLS + 2 * qid * nvme->doorbell_stride;
}

static unsigned int cq_doorbell(struct nvme *nvme, unsigned int qid)
{
	return REG_DOORBELLS + (2 * qid + 1) * nvme->doorbell_stride;
}

static __s64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static int check_health(struct nvme *nvme)
{
	__u32 csts = read32(nvme, REG_CSTS);

	if (csts == CSTS_GONE)
		return -ENODEV;
	return csts & CSTS_FATAL ? -EIO : 0;
}

/* Commands */

static struct nvme_queue *get_queue(struct nvme *nvme, unsigned int qid)
{
	return qid <= nvme->nr_io_queues ? &nvme->queues[qid] : NULL;
}

static int get_slot(struct nvme_queue *q)
{
	unsigned int i, cid;

	/*
	 * One entry stays free: a full queue must not look like an empty one.
	 */
	if (q->used == NVME_QUEUE_DEPTH - 1)
		return -EAGAIN;
	for (i = 0; i < NVME_QUEUE_DEPTH; i++) {
		cid = (q->next_cid + i) % NVME_QUEUE_DEPTH;
		if (q->slots[cid].state == NVME_SLOT_FREE) {
			q->next_cid = (cid + 1) % NVME_QUEUE_DEPTH;
			q->slots[cid].state = NVME_SLOT_SENT;
			q->used++;
			return cid;
		}
	}
	return -EAGAIN;
}

static void put_entry(struct nvme_queue *q, const struct nvme_sqe *cmd, int cid)
{
	struct nvme_sqe *entry = &q->sq[q->sq_tail];

	*entry = *cmd;
	entry->cid = cid;
	q->sq_tail = (q->sq_tail + 1) % NVME_QUEUE_DEPTH;
}

int nvme_queue_cmd(struct nvme *nvme, unsigned int qid,
		   const struct nvme_sqe *cmd)
{
	struct nvme_queue *q = get_queue(nvme, qid);
	int cid;

	if (!q)
		return -EINVAL;
	cid = get_slot(q);
	if (cid >= 0)
		put_entry(q, cmd, cid);
	return cid;
}

/*
 * The first PRP may start anywhere in its page; the second is either the other
 * page, or a list of the pages that follow.
 */
static void fill_prps(struct nvme_queue *q, struct nvme_sqe *cmd, int cid,
		      __u64 iova, __u64 len)
{
	__u64 first = NVME_PAGE - iova % NVME_PAGE;
	__u64 *list = q->prp_lists + cid * PRP_LIST_ENTRIES;
	__u64 done;

	cmd->prp1 = iova;
	if (len <= first)
		return;
	if (len <= first + NVME_PAGE) {
		cmd->prp2 = iova + first;
		return;
	}
	for (done = first; done < len; done += NVME_PAGE)
		*list++ = iova + done;
	cmd->prp2 = q->prp_iova + cid * PRP_LIST_SIZE;
}

int nvme_queue_rw(struct nvme *nvme, unsigned int qid, enum nvme_opcode opcode,
		  __u64 lba, unsigned int nr, __u64 iova)
{
	struct nvme_queue *q = get_queue(nvme, qid);
	__u64 len = (__u64)nr * nvme->block_size;
	struct nvme_sqe cmd = {
		.opcode = opcode,
		.nsid = nvme->nsid,
		.cdw10 = (__u32)lba,
		.cdw11 = lba >> 32,
		.cdw12 = nr - 1,
	};
	int cid;

	if (!q || !qid || !nr || nr > 0x10000 || len > nvme->max_transfer ||
	    iova % 4)
		return -EINVAL;
	cid = get_slot(q);
	if (cid < 0)
		return cid;
	fill_prps(q, &cmd, cid, iova, len);
	put_entry(q, &cmd, cid);
	return cid;
}

void nvme_ring(struct nvme *nvme, unsigned int qid)
{
	dma_wmb();
	write32(nvme, sq_doorbell(nvme, qid), nvme->queues[qid].sq_tail);
}

int nvme_submit_rw(struct nvme *nvme, unsigned int qid, enum nvme_opcode opcode,
		   __u64 lba, unsigned int nr, __u64 iova)
{
	int cid = nvme_queue_rw(nvme, qid, opcode, lba, nr, iova);

	if (cid >= 0)
		nvme_ring(nvme, qid);
	return cid;
}

/* Process the entries that the controller completed. */
static void reap(struct nvme *nvme, struct nvme_queue *q)
{
	const struct nvme_cqe *cqe;
	struct nvme_slot *slot;
	bool any = false;
	__u16 status;

	for (;;) {
		cqe = &q->cq[q->cq_head];
		status = read_status(cqe);
		if ((status & 1) != q->phase)
			break;
		/* Do not trust the command id of a broken controller. */
		slot = &q->slots[cqe->cid % NVME_QUEUE_DEPTH];
		if (slot->state == NVME_SLOT_SENT) {
			slot->state = NVME_SLOT_DONE;
			/* without "more" and "do not retry" */
			slot->status = status >> 1 & 0x7ff;
			slot->result = cqe->result;
		}
		if (++q->cq_head == NVME_QUEUE_DEPTH) {
			q->cq_head = 0;
			q->phase ^= 1;
		}
		any = true;
	}
	if (any)
		write32(nvme, cq_doorbell(nvme, q->id), q->cq_head);
}

/* Sleep until an interrupt, but not for long: a dead controller sends none. */
static void sleep_irq(struct nvme_queue *q, __s64 ms)
{
	struct pollfd pfd = { .fd = q->eventfd, .events = POLLIN };
	__u64 count;

	if (poll(&pfd, 1, ms < 100 ? (int)ms : 100) == 1 &&
	    read(q->eventfd, &count, sizeof(count)) < 0)
		return;
}

int nvme_wait(struct nvme *nvme, unsigned int qid, unsigned int cid,
	      unsigned int timeout_ms, __u32 *result)
{
	__s64 left, deadline = now_ms() + timeout_ms;
	struct nvme_queue *q = get_queue(nvme, qid);
	struct nvme_slot *slot;
	int ret;

	if (!q || cid >= NVME_QUEUE_DEPTH)
		return -EINVAL;
	slot = &q->slots[cid];
	if (slot->state == NVME_SLOT_FREE)
		return -EINVAL;
	for (;;) {
		reap(nvme, q);
		if (slot->state == NVME_SLOT_DONE)
			break;
		ret = check_health(nvme);
		if (ret)
			return ret;
		left = deadline - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		if (nvme->irqs)
			sleep_irq(q, left);
		else
			sched_yield();
	}
	slot->state = NVME_SLOT_FREE;
	q->used--;
	if (result)
		*result = slot->result;
	return slot->status;
}

int nvme_cmd(struct nvme *nvme, unsigned int qid, const struct nvme_sqe *cmd,
	     __u32 *result)
{
	int cid = nvme_queue_cmd(nvme, qid, cmd);

	if (cid < 0)
		return cid;
	nvme_ring(nvme, qid);
	return nvme_wait(nvme, qid, cid, nvme->timeout_ms, result);
}

int nvme_rw(struct nvme *nvme, unsigned int qid, enum nvme_opcode opcode,
	    __u64 lba, unsigned int nr, __u64 iova)
{
	int cid = nvme_submit_rw(nvme, qid, opcode, lba, nr, iova);

	if (cid < 0)
		return cid;
	return nvme_wait(nvme, qid, cid, nvme->timeout_ms, NULL);
}

int nvme_flush(struct nvme *nvme, unsigned int qid)
{
	struct nvme_sqe cmd = {
		.opcode = NVME_FLUSH,
		.nsid = nvme->nsid,
	};

	return nvme_cmd(nvme, qid, &cmd, NULL);
}

int nvme_abort(struct nvme *nvme, unsigned int qid, unsigned int cid)
{
	struct nvme_sqe cmd = {
		.opcode = NVME_ADMIN_ABORT,
		.cdw10 = qid | cid << 16,
	};
	__u32 not_aborted;
	int ret = nvme_cmd(nvme, 0, &cmd, &not_aborted);

	return !ret && not_aborted & 1 ? -EAGAIN : ret;
}

/* Start and stop */

/* Commands that should not fail. */
static int admin(struct nvme *nvme, const struct nvme_sqe *cmd, __u32 *result)
{
	int ret = nvme_cmd(nvme, 0, cmd, result);

	return ret > 0 ? -EPROTO : ret;
}

static int enable(struct nvme *nvme, bool on)
{
	__s64 deadline = now_ms() + nvme->ready_ms;
	__u32 csts;

	write32(nvme, REG_CC, on ? CC_ENABLE | CC_IOSQES | CC_IOCQES : 0);
	for (;;) {
		csts = read32(nvme, REG_CSTS);
		if (csts == CSTS_GONE)
			return -ENODEV;
		if (!(csts & CSTS_READY) == !on)
			return 0;
		/* A controller in a fatal state can still be disabled. */
		if (on && csts & CSTS_FATAL)
			return -EIO;
		if (now_ms() > deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, 1);
	}
}

static void init_queue(struct nvme_queue *q)
{
	memset(q->sq, 0, NVME_PAGE);
	memset(q->cq, 0, NVME_PAGE);
	memset(q->slots, 0, sizeof(q->slots));
	q->sq_tail = 0;
	q->cq_head = 0;
	q->phase = 1;
	q->used = 0;
	q->next_cid = 0;
}

static int create_queue(struct nvme *nvme, struct nvme_queue *q)
{
	struct nvme_sqe create_cq = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.prp1 = q->cq_iova,
		.cdw10 = q->id | (NVME_QUEUE_DEPTH - 1) << 16,
		.cdw11 = QUEUE_CONTIGUOUS,
	};
	struct nvme_sqe create_sq = {
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = q->sq_iova,
		.cdw10 = q->id | (NVME_QUEUE_DEPTH - 1) << 16,
		.cdw11 = QUEUE_CONTIGUOUS | q->id << 16,
	};
	int ret;

	if (nvme->irqs)
		create_cq.cdw11 |= QUEUE_IRQ | q->id << 16;
	ret = admin(nvme, &create_cq, NULL);
	return ret ? ret : admin(nvme, &create_sq, NULL);
}

static int set_nr_queues(struct nvme *nvme)
{
	unsigned int nr = nvme->nr_io_queues;
	struct nvme_sqe cmd = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = FEATURE_NR_QUEUES,
		.cdw11 = (nr - 1) | (nr - 1) << 16,
	};
	__u32 result;
	int ret;

	ret = admin(nvme, &cmd, &result);
	if (ret)
		return ret;
	if (nr > (result & 0xffff) + 1)
		nr = (result & 0xffff) + 1;
	if (nr > (result >> 16) + 1)
		nr = (result >> 16) + 1;
	nvme->nr_io_queues = nr;
	return 0;
}

int nvme_reset(struct nvme *nvme)
{
	struct nvme_queue *q = &nvme->queues[0];
	unsigned int i;
	int ret;

	ret = enable(nvme, false);
	if (ret)
		return ret;
	for (i = 0; i <= nvme->nr_io_queues; i++)
		init_queue(&nvme->queues[i]);
	write32(nvme, REG_AQA, (NVME_QUEUE_DEPTH - 1) |
			       (NVME_QUEUE_DEPTH - 1) << 16);
	write64(nvme, REG_ASQ, q->sq_iova);
	write64(nvme, REG_ACQ, q->cq_iova);
	dma_wmb();
	ret = enable(nvme, true);
	if (ret)
		return ret;
	ret = set_nr_queues(nvme);
	for (i = 1; !ret && i <= nvme->nr_io_queues; i++)
		ret = create_queue(nvme, &nvme->queues[i]);
	return ret;
}

static int identify(struct nvme *nvme, unsigned int what, __u32 nsid)
{
	struct nvme_sqe cmd = {
		.opcode = NVME_ADMIN_IDENTIFY,
		.nsid = nsid,
		.prp1 = nvme->data_iova,
		.cdw10 = what,
	};

	return admin(nvme, &cmd, NULL);
}

/* Text is padded with spaces. */
static void copy_text(char *to, const char *from, int len)
{
	while (len && (from[len - 1] == ' ' || !from[len - 1]))
		len--;
	memcpy(to, from, len);
	to[len] = '\0';
}

static int look_at_controller(struct nvme *nvme)
{
	const char *data = nvme->data;
	__u8 mdts;
	int ret;

	ret = identify(nvme, IDENTIFY_CONTROLLER, 0);
	if (ret)
		return ret;
	copy_text(nvme->serial, data + 4, 20);
	copy_text(nvme->model, data + 24, 40);
	copy_text(nvme->firmware, data + 64, 8);
	mdts = data[77];
	nvme->max_transfer = NVME_MAX_TRANSFER;
	if (mdts && mdts < 20 && NVME_PAGE << mdts < NVME_MAX_TRANSFER)
		nvme->max_transfer = NVME_PAGE << mdts;
	return 0;
}

static int look_at_namespace(struct nvme *nvme)
{
	const __u8 *data = nvme->data;
	__u32 format;
	int ret;

	ret = identify(nvme, IDENTIFY_ACTIVE, 0);
	if (ret)
		return ret;
	memcpy(&nvme->nsid, data, sizeof(nvme->nsid));
	if (!nvme->nsid)
		return -EOPNOTSUPP;
	ret = identify(nvme, IDENTIFY_NAMESPACE, nvme->nsid);
	if (ret)
		return ret;
	memcpy(&nvme->nr_blocks, data, sizeof(nvme->nr_blocks));
	memcpy(&format, data + 128 + 4 * (data[26] & 15), sizeof(format));
	/* No metadata, and blocks that a command can move. */
	if (format & 0xffff || (format >> 16 & 0xff) < 9 ||
	    (format >> 16 & 0xff) > 16)
		return -EOPNOTSUPP;
	nvme->block_size = 1u << (format >> 16 & 0xff);
	return nvme->block_size <= nvme->max_transfer ? 0 : -EOPNOTSUPP;
}

static int read_capabilities(struct nvme *nvme)
{
	__u64 cap = read64(nvme, REG_CAP);
	unsigned int i;

	if (cap == ~0ull)
		return -ENODEV;
	/* Queues of our depth, pages of 4096 bytes, the NVM command set. */
	if ((cap & 0xffff) < NVME_QUEUE_DEPTH - 1 || cap >> 48 & 15 ||
	    !(cap >> 37 & 1))
		return -EOPNOTSUPP;
	nvme->doorbell_stride = 4u << (cap >> 32 & 15);
	i = nvme->nr_io_queues;
	if (cq_doorbell(nvme, i) + sizeof(__u32) > nvme->regs_size)
		return -EOPNOTSUPP;
	/* In units of half a second; some controllers are too optimistic. */
	nvme->ready_ms = 500 * (cap >> 24 & 0xff) + 1000;
	return 0;
}

static int start_irqs(struct nvme *nvme)
{
	int fds[1 + NVME_MAX_IO_QUEUES];
	unsigned int i;
	int nr, ret;

	nr = vfio_pci_nr_irqs(nvme->fd, VFIO_PCI_MSIX_IRQ_INDEX);
	if (nr < 0)
		return nr;
	if (nr < 2)
		return -EOPNOTSUPP;
	if (nvme->nr_io_queues > (unsigned int)nr - 1)
		nvme->nr_io_queues = nr - 1;
	for (i = 0; i <= nvme->nr_io_queues; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fds[i] < 0)
			return -errno;
		nvme->queues[i].eventfd = fds[i];
	}
	ret = vfio_pci_enable_irqs(nvme->fd, VFIO_PCI_MSIX_IRQ_INDEX, fds,
				   nvme->nr_io_queues + 1);
	nvme->irqs = !ret;
	return ret;
}

static void init_memory(struct nvme *nvme, void *mem, __u64 iova)
{
	struct nvme_queue *q;
	unsigned int i;

	memset(mem, 0, nvme_mem_size(nvme->nr_io_queues));
	nvme->data = mem;
	nvme->data_iova = iova;
	for (i = 0; i <= NVME_MAX_IO_QUEUES; i++) {
		size_t offset = NVME_PAGE + i * QUEUE_MEM_SIZE;

		q = &nvme->queues[i];
		q->id = i;
		q->eventfd = -1;
		if (i > nvme->nr_io_queues)
			continue;
		q->sq = (void *)((char *)mem + offset);
		q->cq = (void *)((char *)mem + offset + NVME_PAGE);
		q->prp_lists = (void *)((char *)mem + offset + 2 * NVME_PAGE);
		q->sq_iova = iova + offset;
		q->cq_iova = iova + offset + NVME_PAGE;
		q->prp_iova = iova + offset + 2 * NVME_PAGE;
	}
}

size_t nvme_mem_size(unsigned int nr_io_queues)
{
	return NVME_PAGE + (1 + nr_io_queues) * QUEUE_MEM_SIZE;
}

int nvme_start(struct nvme *nvme, int fd, void *mem, __u64 iova,
	       unsigned int nr_io_queues, unsigned int flags)
{
	int ret;

	memset(nvme, 0, sizeof(*nvme));
	if (!nr_io_queues || nr_io_queues > NVME_MAX_IO_QUEUES ||
	    (uintptr_t)mem % NVME_PAGE || iova % NVME_PAGE)
		return -EINVAL;
	nvme->fd = fd;
	nvme->nr_io_queues = nr_io_queues;
	nvme->timeout_ms = 10000;
	init_memory(nvme, mem, iova);
	ret = vfio_pci_map_bar(fd, 0, &nvme->regs, &nvme->regs_size);
	if (ret)
		return ret;
	ret = vfio_pci_enable(fd);
	if (!ret)
		ret = read_capabilities(nvme);
	if (!ret && !(flags & NVME_POLL))
		ret = start_irqs(nvme);
	if (!ret)
		ret = nvme_reset(nvme);
	if (!ret)
		ret = look_at_controller(nvme);
	if (!ret)
		ret = look_at_namespace(nvme);
	if (ret)
		nvme_stop(nvme);
	return ret;
}

void nvme_stop(struct nvme *nvme)
{
	unsigned int i;

	if (!nvme->regs)
		return;
	/* Without bus mastering even a controller that ignores us is quiet. */
	enable(nvme, false);
	vfio_pci_disable(nvme->fd);
	if (nvme->irqs)
		vfio_pci_disable_irqs(nvme->fd, VFIO_PCI_MSIX_IRQ_INDEX);
	for (i = 0; i <= NVME_MAX_IO_QUEUES; i++) {
		if (nvme->queues[i].eventfd >= 0)
			close(nvme->queues[i].eventfd);
		nvme->queues[i].eventfd = -1;
	}
	munmap(nvme->regs, nvme->regs_size);
	nvme->regs = NULL;
	nvme->irqs = false;
}
