// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model devices of the physical kind: VFIO devices behind a model IOMMU, with
 * an engine that does DMA through it. See ioasid_mock.h for their interface to
 * user space.
 *
 * They call VFIO as any driver of a device does, and know no user of VFIO.
 *
 * Invariants:
 *  - A device that is not open does nothing: every channel was stopped, and all
 *    of its threads have ended, before close_device() returns, that is before
 *    VFIO takes the device from its address space.
 *  - A channel's threads end in bounded time once &model_channel.stop is set:
 *    they wait for page responses, and to be allowed page requests, only, and a
 *    stop ends both.
 *  - &model_channel.dma does not change while one of its threads runs.
 *  - The pages of a device's memory live as long as its VFIO device, which
 *    outlives every file and mapping.
 *
 * Locks:
 *	dev_set->lock (VFIO's)
 *	    model_vfio.lock		channels start and stop; resets
 *		model_vfio.memory_lock	protects memory_on; held for writing to
 *					zap mappings
 *	mmap_lock
 *	    model_vfio.memory_lock	held for reading in a page fault
 *	model_vfio.state_lock		spinlock: counts, responses, eventfds
 *	model_channel.status_lock	spinlock: the status but for counts
 * User memory is not accessed with any of them held.  page_response() is called
 * with locks of the IOMMU core held, and takes state_lock only.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/eventfd.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/platform_device.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "device.h"
#include "ioasid_mock.h"
#include "model.h"

struct model_vfio;

/**
 * struct model_thread - one hardware thread of a channel
 * @work: in &model_wq
 * @channel: the channel of the thread
 * @bounce: a buffer of PAGE_SIZE bytes
 */
struct model_thread {
	struct work_struct work;
	struct model_channel *channel;
	void *bounce;
};

/**
 * struct model_channel - a DMA channel of a device
 * @device: the device of the channel
 * @dma: the DMA of the channel
 * @stop: the threads shall end
 * @faulted: a fault has ended the DMA
 * @ended: the DMA has ended, and @status is final
 * @running: threads that have not ended
 * @threads: &dma.threads of them, or NULL; by &model_vfio.lock
 * @done: number of accesses
 * @faults: number of accesses that faulted
 * @mismatches: number of accesses that found other contents
 * @status_lock: protects @status
 * @status: for user space, without the counts above
 */
struct model_channel {
	struct model_vfio *device;
	struct ioasid_model_dma dma;
	bool stop;
	bool faulted;
	bool ended;
	atomic_t running;
	struct model_thread *threads;
	atomic64_t done;
	atomic64_t faults;
	atomic64_t mismatches;
	spinlock_t status_lock; /* See @status_lock */
	struct ioasid_model_status status;
};

/**
 * struct model_vfio - a device of the physical kind
 * @vdev: the VFIO device
 * @mdev: the device of the model IOMMU
 * @pages: IOASID_MODEL_MEMORY_SIZE of memory
 * @memory: their address
 * @lock: serialises starts, stops, resets
 * @memory_lock: protects @memory_on, see the head of this file
 * @memory_on: the memory can be accessed; protected by @memory_lock
 * @wait: woken when a thread ends or a page response comes
 * @state_lock: protects the fields below
 * @state: the state that user space reads
 * @irqs: the eventfds of interrupts
 * @requests: &struct model_wait, of threads that wait for a response
 * @next_group: number of the next group of page requests
 * @channels: its DMA channels
 */
struct model_vfio {
	struct vfio_device vdev;
	struct model_dev *mdev;
	struct page *pages;
	void *memory;
	struct mutex lock; /* See the head of this file */
	struct rw_semaphore memory_lock;
	bool memory_on;
	wait_queue_head_t wait;
	spinlock_t state_lock; /* @state to @next_group */
	struct ioasid_model_state state;
	struct eventfd_ctx *irqs[IOASID_MODEL_NR_IRQS];
	struct list_head requests;
	u32 next_group;
	struct model_channel channels[IOASID_MODEL_CHANNELS];
};

/**
 * struct model_wait - a thread that waits for a page response
 * @node: in &model_vfio.requests
 * @group: number of the group
 * @code: the code of the response, -1 until it comes
 */
struct model_wait {
	struct list_head node;
	u32 group;
	int code;
};

static struct workqueue_struct *model_wq;

static struct model_vfio *to_model(struct vfio_device *vdev)
{
	return container_of(vdev, struct model_vfio, vdev);
}

/* ---- Interrupts ---- */

static void raise_irq(struct model_vfio *device, enum ioasid_model_irq irq)
{
	unsigned long flags;

	spin_lock_irqsave(&device->state_lock, flags);
	device->state.irqs[irq]++;
	if (device->irqs[irq])
		eventfd_signal(device->irqs[irq]);
	spin_unlock_irqrestore(&device->state_lock, flags);
}

/* Takes over the caller's reference to @eventfd, which may be NULL */
static void set_irq(struct model_vfio *device, enum ioasid_model_irq irq,
		    struct eventfd_ctx *eventfd)
{
	unsigned long flags;

	spin_lock_irqsave(&device->state_lock, flags);
	swap(device->irqs[irq], eventfd);
	spin_unlock_irqrestore(&device->state_lock, flags);
	if (eventfd)
		eventfd_ctx_put(eventfd);
}

/* ---- Page requests ---- */

static void model_page_response(void *priv,
				const struct iommu_page_response *response)
{
	struct model_vfio *device = priv;
	struct ioasid_model_state *state = &device->state;
	struct model_wait *wait;
	bool expected = response->grpid < IOASID_MODEL_GROUPS;
	unsigned long flags;

	spin_lock_irqsave(&device->state_lock, flags);
	if (response->code < ARRAY_SIZE(state->responses))
		state->responses[response->code]++;
	list_for_each_entry(wait, &device->requests, node) {
		if (wait->group != response->grpid || wait->code != -1)
			continue;
		wait->code = response->code;
		expected = true;
		break;
	}
	if (!expected)
		state->unexpected++;
	memmove(&state->log[1], &state->log[0],
		sizeof(state->log) - sizeof(state->log[0]));
	state->log[0] = (struct ioasid_model_response){
		.pasid = response->pasid,
		.group = response->grpid,
		.code = response->code,
	};
	if (state->nr_log < IOASID_MODEL_LOG)
		state->nr_log++;
	spin_unlock_irqrestore(&device->state_lock, flags);
	wake_up_all(&device->wait);
}

static void model_requests_off(void *priv)
{
	struct model_vfio *device = priv;

	wake_up_all(&device->wait);
}

static const struct model_dev_ops model_dev_ops = {
	.page_response = model_page_response,
	.requests_off = model_requests_off,
};

/* Waits for a credit; -EINTR if the channel is stopped meanwhile */
static int send_request(struct model_channel *channel, u32 pasid, u64 address,
			u32 group, unsigned int flags)
{
	struct model_vfio *device = channel->device;
	bool waited = false;
	int ret;

	for (;;) {
		ret = model_report_page_request(device->mdev, pasid, address,
						group, flags);
		if (ret != -EAGAIN)
			break;
		if (!waited) {
			waited = true;
			spin_lock_irq(&device->state_lock);
			device->state.waits++;
			spin_unlock_irq(&device->state_lock);
		}
		wait_event_idle(device->wait,
				model_may_request(device->mdev) ||
				READ_ONCE(channel->stop));
		if (READ_ONCE(channel->stop))
			return -EINTR;
	}
	spin_lock_irq(&device->state_lock);
	device->state.requests++;
	if (ret)
		device->state.unsent++;
	spin_unlock_irq(&device->state_lock);
	/* A group that is lost gives its credits back */
	if (ret == -ENOSPC)
		wake_up_all(&device->wait);
	return ret;
}

/* Request a page; returns whether to try the access again */
static bool page_request(struct model_channel *channel, u32 pasid, u64 address,
			 bool write)
{
	struct model_vfio *device = channel->device;
	unsigned int flags = MODEL_REQUEST_READ | MODEL_REQUEST_LAST;
	struct model_wait wait = { .code = -1 };
	int code;

	if (write)
		flags |= MODEL_REQUEST_WRITE;
	spin_lock_irq(&device->state_lock);
	wait.group = device->next_group++;
	if (device->next_group == 2 * IOASID_MODEL_GROUPS)
		device->next_group = IOASID_MODEL_GROUPS;
	list_add_tail(&wait.node, &device->requests);
	spin_unlock_irq(&device->state_lock);

	if (!send_request(channel, pasid, ALIGN_DOWN(address, PAGE_SIZE),
			  wait.group, flags))
		wait_event_timeout(device->wait,
				   READ_ONCE(wait.code) != -1 ||
				   READ_ONCE(channel->stop),
				   msecs_to_jiffies(IOASID_MODEL_PATIENCE_MS));

	spin_lock_irq(&device->state_lock);
	list_del(&wait.node);
	code = wait.code;
	spin_unlock_irq(&device->state_lock);
	return code == IOMMU_PAGE_RESP_SUCCESS;
}

/* ---- The engine ---- */

static void note_fault(struct model_channel *channel, enum model_reason reason,
		       u64 address)
{
	bool go_on = channel->dma.flags & IOASID_MODEL_DMA_GO_ON;

	atomic64_inc(&channel->faults);
	spin_lock(&channel->status_lock);
	if (!channel->status.fault) {
		channel->status.fault = reason;
		channel->status.fault_addr = address;
	}
	spin_unlock(&channel->status_lock);
	if (!go_on) {
		WRITE_ONCE(channel->faulted, true);
		WRITE_ONCE(channel->stop, true);
		wake_up_all(&channel->device->wait);
	}
	raise_irq(channel->device, IOASID_MODEL_IRQ_FAULT);
}

/* Do one access, with page requests; returns whether it was done */
static bool do_access(struct model_channel *channel, u64 address, void *buffer,
		      size_t length, enum model_op op)
{
	const struct ioasid_model_dma *dma = &channel->dma;
	u32 pasid = dma->flags & IOASID_MODEL_DMA_PASID ? dma->pasid :
							 MODEL_NO_PASID;
	struct model_fault fault = { .address = address };
	enum model_reason reason;
	unsigned int flags = 0;

	if (dma->flags & IOASID_MODEL_DMA_ATS)
		flags |= MODEL_ACCESS_ATS;
	if (dma->flags & IOASID_MODEL_DMA_PRI)
		flags |= MODEL_ACCESS_PRI;
	if (dma->flags & IOASID_MODEL_DMA_NO_SNOOP)
		flags |= MODEL_ACCESS_NO_SNOOP;
	for (;;) {
		reason = model_access(channel->device->mdev, pasid, address,
				      buffer, length, op, flags, &fault);
		if (reason == MODEL_OK)
			return true;
		if (reason != MODEL_PAGE_REQUEST)
			break;
		if (!page_request(channel, pasid, fault.address,
				  op != MODEL_READ)) {
			if (READ_ONCE(channel->stop))
				return false;
			break;
		}
		/*
		 * The page of a response can be unmapped again: do not loop for
		 * ever
		 */
		if (READ_ONCE(channel->stop))
			return false;
		cond_resched();
	}
	note_fault(channel, reason, fault.address);
	return false;
}

/* Report that @got was read at @address instead of @want */
static bool compare(struct model_channel *channel, u64 address,
		    const u8 *want, const u8 *got, size_t length)
{
	struct ioasid_model_status *status = &channel->status;
	size_t at = 0, n;

	if (!memcmp(want, got, length))
		return true;
	while (want[at] == got[at])
		at++;
	spin_lock(&channel->status_lock);
	if (!status->expected && !status->found) {
		status->mismatch_addr = address + at;
		at = round_down(at, sizeof(u64));
		n = min(length - at, sizeof(u64));
		memcpy(&status->expected, want + at, n);
		memcpy(&status->found, got + at, n);
	}
	spin_unlock(&channel->status_lock);
	return false;
}

static void make_pattern(u64 *words, u64 seed, u64 address, size_t length)
{
	size_t i;

	for (i = 0; i < length / sizeof(*words); i++)
		words[i] = ioasid_model_word(seed,
					     address + i * sizeof(*words));
}

static bool pattern_holds(struct model_channel *channel, u64 address,
			  const u64 *words, size_t length)
{
	size_t i;
	u64 want;

	for (i = 0; i < length / sizeof(*words); i++) {
		want = ioasid_model_word(channel->dma.operand,
					 address + i * sizeof(*words));
		if (!compare(channel, address + i * sizeof(*words),
			     (u8 *)&want, (u8 *)&words[i], sizeof(want)))
			return false;
	}
	return true;
}

static void do_atomic(struct model_channel *channel, u64 address,
		      enum model_op op)
{
	u64 operand[2] = { channel->dma.operand, 0 };

	if (op == MODEL_CAS) {
		operand[0] = channel->dma.compare;
		operand[1] = channel->dma.operand;
	}
	if (!do_access(channel, address, operand, sizeof(u64), op))
		return;
	spin_lock(&channel->status_lock);
	channel->status.result = operand[0];
	spin_unlock(&channel->status_lock);
	atomic64_inc(&channel->done);
}

static void do_request(struct model_channel *channel, u64 address)
{
	const struct ioasid_model_dma *dma = &channel->dma;
	u32 pasid = dma->flags & IOASID_MODEL_DMA_PASID ? dma->pasid :
							 MODEL_NO_PASID;
	unsigned int flags = 0;
	int ret;

	if (dma->operand & IOASID_MODEL_REQUEST_READ)
		flags |= MODEL_REQUEST_READ;
	if (dma->operand & IOASID_MODEL_REQUEST_WRITE)
		flags |= MODEL_REQUEST_WRITE;
	if (dma->operand & IOASID_MODEL_REQUEST_LAST)
		flags |= MODEL_REQUEST_LAST;
	ret = send_request(channel, pasid, address, dma->compare, flags);
	if (!ret)
		atomic64_inc(&channel->done);
	else if (ret != -EINTR)
		note_fault(channel, MODEL_PAGE_REQUEST, address);
}

/* Copy in pieces of at most a page, the size of the bounce buffer */
static void do_copy(struct model_thread *thread, u64 address)
{
	struct model_channel *channel = thread->channel;
	const struct ioasid_model_dma *dma = &channel->dma;
	u8 *memory = channel->device->memory + dma->offset;
	u64 left = dma->length;
	bool same = true;
	size_t n;

	for (; left; address += n, memory += n, left -= n) {
		n = min_t(u64, left, PAGE_SIZE);
		switch (dma->op) {
		case IOASID_MODEL_READ:
			if (!do_access(channel, address, memory, n, MODEL_READ))
				return;
			break;
		case IOASID_MODEL_WRITE:
			if (!do_access(channel, address, memory, n, MODEL_WRITE))
				return;
			break;
		case IOASID_MODEL_FILL:
			make_pattern(thread->bounce, dma->operand, address, n);
			if (!do_access(channel, address, thread->bounce, n,
				       MODEL_WRITE))
				return;
			break;
		case IOASID_MODEL_VERIFY:
			if (!do_access(channel, address, thread->bounce, n,
				       MODEL_READ))
				return;
			same &= pattern_holds(channel, address, thread->bounce,
					      n);
			break;
		case IOASID_MODEL_COMPARE:
			if (!do_access(channel, address, thread->bounce, n,
				       MODEL_READ))
				return;
			same &= compare(channel, address, memory,
					thread->bounce, n);
			break;
		}
	}
	if (!same)
		atomic64_inc(&channel->mismatches);
	atomic64_inc(&channel->done);
}

static void do_one(struct model_thread *thread, u64 address)
{
	switch (thread->channel->dma.op) {
	case IOASID_MODEL_FETCH_ADD:
		do_atomic(thread->channel, address, MODEL_FETCH_ADD);
		break;
	case IOASID_MODEL_SWAP:
		do_atomic(thread->channel, address, MODEL_SWAP);
		break;
	case IOASID_MODEL_CAS:
		do_atomic(thread->channel, address, MODEL_CAS);
		break;
	case IOASID_MODEL_REQUEST:
		do_request(thread->channel, address);
		break;
	default:
		do_copy(thread, address);
	}
}

/* The I/O address of access @i */
static u64 address_of(const struct model_channel *channel, u64 i)
{
	const struct ioasid_model_dma *dma = &channel->dma;
	const u64 *list = channel->device->memory + dma->list;

	if (dma->flags & IOASID_MODEL_DMA_LIST)
		return READ_ONCE(list[i]);
	return dma->address + i * dma->stride;
}

/* The last thread of a channel sets the final status */
static void channel_end(struct model_channel *channel)
{
	u32 run = IOASID_MODEL_DONE;

	if (channel->faulted)
		run = IOASID_MODEL_FAULTED;
	else if (channel->stop)
		run = IOASID_MODEL_STOPPED;
	spin_lock(&channel->status_lock);
	channel->status.run = run;
	spin_unlock(&channel->status_lock);
	raise_irq(channel->device, IOASID_MODEL_IRQ_DONE);
	/* Pairs with channel_ended(): the status is final */
	smp_store_release(&channel->ended, true);
	wake_up_all(&channel->device->wait);
}

static bool channel_ended(struct model_channel *channel)
{
	/* Pairs with channel_end() */
	return smp_load_acquire(&channel->ended);
}

static void model_thread(struct work_struct *work)
{
	struct model_thread *thread = container_of(work, struct model_thread,
						   work);
	struct model_channel *channel = thread->channel;
	u64 i;

	do {
		for (i = 0; i < channel->dma.count; i++) {
			if (READ_ONCE(channel->stop))
				break;
			do_one(thread, address_of(channel, i));
			cond_resched();
		}
	} while (channel->dma.flags & IOASID_MODEL_DMA_LOOP &&
		 !READ_ONCE(channel->stop));
	if (atomic_dec_and_test(&channel->running))
		channel_end(channel);
}

static void channel_free(struct model_channel *channel)
{
	u32 i;

	if (!channel->threads)
		return;
	for (i = 0; i < channel->dma.threads; i++)
		kfree(channel->threads[i].bounce);
	kfree(channel->threads);
	channel->threads = NULL;
}

/* Threads that have ended are kept until here */
static void channel_stop(struct model_channel *channel)
{
	u32 i;

	lockdep_assert_held(&channel->device->lock);
	if (!channel->threads)
		return;
	WRITE_ONCE(channel->stop, true);
	wake_up_all(&channel->device->wait);
	for (i = 0; i < channel->dma.threads; i++)
		flush_work(&channel->threads[i].work);
	channel_free(channel);
}

static void model_stop(struct model_vfio *device)
{
	unsigned int i;

	for (i = 0; i < IOASID_MODEL_CHANNELS; i++)
		channel_stop(&device->channels[i]);
}

static void channel_clear(struct model_channel *channel)
{
	channel->stop = false;
	channel->faulted = false;
	atomic64_set(&channel->done, 0);
	atomic64_set(&channel->faults, 0);
	atomic64_set(&channel->mismatches, 0);
	spin_lock(&channel->status_lock);
	channel->status = (struct ioasid_model_status){};
	spin_unlock(&channel->status_lock);
}

static bool in_memory(u64 offset, u64 length)
{
	return length <= IOASID_MODEL_MEMORY_SIZE &&
	       offset <= IOASID_MODEL_MEMORY_SIZE - length;
}

static bool dma_valid(const struct ioasid_model_dma *dma)
{
	const u32 flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_LOOP |
			  IOASID_MODEL_DMA_GO_ON | IOASID_MODEL_DMA_WAIT |
			  IOASID_MODEL_DMA_LIST | IOASID_MODEL_DMA_ATS |
			  IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_NO_SNOOP;

	/* A stop does not interrupt an access: accesses must be short */
	if (dma->flags & ~flags || !dma->count || !dma->length ||
	    dma->length > IOASID_MODEL_MEMORY_SIZE || !dma->threads ||
	    dma->threads > IOASID_MODEL_MAX_THREADS)
		return false;
	if (dma->pasid && !(dma->flags & IOASID_MODEL_DMA_PASID))
		return false;
	if (dma->flags & IOASID_MODEL_DMA_LIST &&
	    (!IS_ALIGNED(dma->list, sizeof(u64)) ||
	     dma->count > IOASID_MODEL_MEMORY_SIZE / sizeof(u64) ||
	     !in_memory(dma->list, dma->count * sizeof(u64))))
		return false;
	switch (dma->op) {
	case IOASID_MODEL_READ:
	case IOASID_MODEL_WRITE:
	case IOASID_MODEL_COMPARE:
		return in_memory(dma->offset, dma->length);
	case IOASID_MODEL_FILL:
	case IOASID_MODEL_VERIFY:
		return IS_ALIGNED(dma->address | dma->length | dma->stride,
				  sizeof(u64));
	case IOASID_MODEL_FETCH_ADD:
	case IOASID_MODEL_SWAP:
	case IOASID_MODEL_CAS:
		return dma->length == sizeof(u64);
	case IOASID_MODEL_REQUEST:
		return dma->compare < IOASID_MODEL_GROUPS &&
		       !(dma->operand & ~(u64)(IOASID_MODEL_REQUEST_READ |
					       IOASID_MODEL_REQUEST_WRITE |
					       IOASID_MODEL_REQUEST_LAST));
	}
	return false;
}

static int channel_start(struct model_channel *channel,
			 const struct ioasid_model_dma *dma)
{
	struct model_vfio *device = channel->device;
	struct model_thread *threads;
	u32 i;

	if (!dma_valid(dma))
		return -EINVAL;
	mutex_lock(&device->lock);
	if (!channel_ended(channel)) {
		mutex_unlock(&device->lock);
		return -EBUSY;
	}
	/* Free the threads of the last DMA */
	channel_stop(channel);
	channel_clear(channel);

	threads = kcalloc(dma->threads, sizeof(*threads), GFP_KERNEL);
	if (!threads)
		goto err_unlock;
	channel->dma = *dma;
	channel->threads = threads;
	for (i = 0; i < dma->threads; i++) {
		INIT_WORK(&threads[i].work, model_thread);
		threads[i].channel = channel;
		threads[i].bounce = kmalloc(PAGE_SIZE, GFP_KERNEL);
		if (!threads[i].bounce)
			goto err_free;
	}
	spin_lock(&channel->status_lock);
	channel->status.run = IOASID_MODEL_RUNNING;
	spin_unlock(&channel->status_lock);
	atomic_set(&channel->running, dma->threads);
	channel->ended = false;
	for (i = 0; i < dma->threads; i++)
		queue_work(model_wq, &threads[i].work);
	mutex_unlock(&device->lock);

	if (dma->flags & IOASID_MODEL_DMA_WAIT &&
	    wait_event_killable(device->wait, channel_ended(channel))) {
		WRITE_ONCE(channel->stop, true);
		wake_up_all(&device->wait);
	}
	return 0;

err_free:
	channel_free(channel);
err_unlock:
	mutex_unlock(&device->lock);
	return -ENOMEM;
}

static void channel_status(struct model_channel *channel,
			   struct ioasid_model_status *status)
{
	spin_lock(&channel->status_lock);
	*status = channel->status;
	spin_unlock(&channel->status_lock);
	status->done = atomic64_read(&channel->done);
	status->faults = atomic64_read(&channel->faults);
	status->mismatches = atomic64_read(&channel->mismatches);
}

/* ---- Memory of the device ---- */

/* Unmap the memory from all processes, then turn it @on or off */
static void memory_zap(struct model_vfio *device, bool on)
{
	down_write(&device->memory_lock);
	unmap_mapping_range(device->vdev.inode->i_mapping,
			    (loff_t)IOASID_MODEL_MEMORY <<
				    IOASID_MODEL_REGION_SHIFT,
			    IOASID_MODEL_MEMORY_SIZE, true);
	device->memory_on = on;
	up_write(&device->memory_lock);
}

static bool memory_on(struct model_vfio *device)
{
	bool on;

	down_read(&device->memory_lock);
	on = device->memory_on;
	up_read(&device->memory_lock);
	return on;
}

static vm_fault_t memory_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct model_vfio *device = vma->vm_private_data;
	unsigned long page = vmf->pgoff &
		((1UL << (IOASID_MODEL_REGION_SHIFT - PAGE_SHIFT)) - 1);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	down_read(&device->memory_lock);
	if (device->memory_on)
		ret = vmf_insert_pfn(vma, vmf->address,
				     page_to_pfn(device->pages) + page);
	up_read(&device->memory_lock);
	if (ret == VM_FAULT_NOPAGE) {
		spin_lock_irq(&device->state_lock);
		device->state.memory_faults++;
		spin_unlock_irq(&device->state_lock);
	}
	return ret;
}

static const struct vm_operations_struct memory_vm_ops = {
	.fault = memory_fault,
};

static int model_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	unsigned int shift = IOASID_MODEL_REGION_SHIFT - PAGE_SHIFT;
	unsigned long page = vma->vm_pgoff & ((1UL << shift) - 1);
	unsigned long pages = IOASID_MODEL_MEMORY_SIZE >> PAGE_SHIFT;

	if (vma->vm_pgoff >> shift != IOASID_MODEL_MEMORY ||
	    !(vma->vm_flags & VM_SHARED) || page >= pages ||
	    vma_pages(vma) > pages - page)
		return -EINVAL;
	vma->vm_private_data = to_model(vdev);
	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &memory_vm_ops;
	return 0;
}

/* ---- Regions ---- */

/* Read one register, in a piece of its own size */
static ssize_t give(char __user *buf, size_t count, const void *from,
		    size_t size)
{
	if (count != size)
		return -EINVAL;
	return copy_to_user(buf, from, size) ? -EFAULT : size;
}

static ssize_t read_register(struct model_vfio *device, char __user *buf,
			     size_t count, u64 at)
{
	struct ioasid_model_status status;
	struct ioasid_model_state *state;
	ssize_t ret;
	u32 on;

	switch (at) {
	case IOASID_MODEL_STATE:
		state = kmalloc(sizeof(*state), GFP_KERNEL);
		if (!state)
			return -ENOMEM;
		spin_lock_irq(&device->state_lock);
		*state = device->state;
		spin_unlock_irq(&device->state_lock);
		ret = give(buf, count, state, sizeof(*state));
		kfree(state);
		return ret;
	case IOASID_MODEL_MEMORY_ON:
		on = memory_on(device);
		return give(buf, count, &on, sizeof(on));
	}
	if (at < IOASID_MODEL_CHANNEL || at >= IOASID_MODEL_REGS_SIZE)
		return -EINVAL;
	at -= IOASID_MODEL_CHANNEL;
	if (at % IOASID_MODEL_CHANNEL_SIZE != IOASID_MODEL_STATUS)
		return -EINVAL;
	channel_status(&device->channels[at / IOASID_MODEL_CHANNEL_SIZE],
		       &status);
	return give(buf, count, &status, sizeof(status));
}

static ssize_t write_register(struct model_vfio *device,
			      const char __user *buf, size_t count, u64 at)
{
	struct model_channel *channel;
	struct ioasid_model_dma dma;
	int ret;
	u32 on;

	if (at == IOASID_MODEL_MEMORY_ON) {
		if (count != sizeof(on))
			return -EINVAL;
		if (copy_from_user(&on, buf, sizeof(on)))
			return -EFAULT;
		mutex_lock(&device->lock);
		memory_zap(device, on);
		mutex_unlock(&device->lock);
		return count;
	}
	if (at < IOASID_MODEL_CHANNEL || at >= IOASID_MODEL_REGS_SIZE)
		return -EINVAL;
	at -= IOASID_MODEL_CHANNEL;
	channel = &device->channels[at / IOASID_MODEL_CHANNEL_SIZE];
	switch (at % IOASID_MODEL_CHANNEL_SIZE) {
	case IOASID_MODEL_START:
		if (count != sizeof(dma))
			return -EINVAL;
		if (copy_from_user(&dma, buf, sizeof(dma)))
			return -EFAULT;
		ret = channel_start(channel, &dma);
		return ret ?: count;
	case IOASID_MODEL_STOP:
		if (count != sizeof(u32))
			return -EINVAL;
		mutex_lock(&device->lock);
		channel_stop(channel);
		mutex_unlock(&device->lock);
		return count;
	}
	return -EINVAL;
}

static ssize_t model_rw(struct model_vfio *device, char __user *buf,
			size_t count, loff_t *ppos, bool write)
{
	unsigned int region = *ppos >> IOASID_MODEL_REGION_SHIFT;
	u64 at = *ppos & ((1ULL << IOASID_MODEL_REGION_SHIFT) - 1);
	ssize_t ret = count;

	if (region == IOASID_MODEL_REGS) {
		ret = write ? write_register(device, buf, count, at) :
			      read_register(device, buf, count, at);
	} else if (region != IOASID_MODEL_MEMORY || !in_memory(at, count)) {
		return -EINVAL;
	} else if (!memory_on(device)) {
		return -EIO;
	} else if (write) {
		if (copy_from_user(device->memory + at, buf, count))
			return -EFAULT;
	} else {
		if (copy_to_user(buf, device->memory + at, count))
			return -EFAULT;
	}
	if (ret > 0)
		*ppos += ret;
	return ret;
}

static ssize_t model_read(struct vfio_device *vdev, char __user *buf,
			  size_t count, loff_t *ppos)
{
	return model_rw(to_model(vdev), buf, count, ppos, false);
}

static ssize_t model_write(struct vfio_device *vdev, const char __user *buf,
			   size_t count, loff_t *ppos)
{
	return model_rw(to_model(vdev), (char __user *)buf, count, ppos, true);
}

/* ---- Commands of the device file ---- */

static long get_info(void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = 2;
	info.num_irqs = IOASID_MODEL_NR_IRQS;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long get_region_info(void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	info.cap_offset = 0;
	info.offset = (u64)info.index << IOASID_MODEL_REGION_SHIFT;
	switch (info.index) {
	case IOASID_MODEL_REGS:
		info.size = IOASID_MODEL_REGS_SIZE;
		break;
	case IOASID_MODEL_MEMORY:
		info.size = IOASID_MODEL_MEMORY_SIZE;
		info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
		break;
	default:
		return -EINVAL;
	}
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long get_irq_info(void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || info.index >= IOASID_MODEL_NR_IRQS)
		return -EINVAL;
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	info.count = 1;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long set_irqs(struct model_vfio *device, void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_irq_set, count), size;
	struct eventfd_ctx *eventfd = NULL;
	struct vfio_irq_set set;
	int ret, fd;
	u8 raise;

	if (copy_from_user(&set, arg, minsz))
		return -EFAULT;
	ret = vfio_set_irqs_validate_and_prepare(&set, 1, IOASID_MODEL_NR_IRQS,
						 &size);
	if (ret)
		return ret;
	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) !=
	    VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL;
	arg += minsz;

	switch (set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (set.count)
			raise_irq(device, set.index);
		else
			set_irq(device, set.index, NULL);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (!set.count)
			return 0;
		if (copy_from_user(&raise, arg, sizeof(raise)))
			return -EFAULT;
		if (raise)
			raise_irq(device, set.index);
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		if (!set.count)
			return 0;
		if (copy_from_user(&fd, arg, sizeof(fd)))
			return -EFAULT;
		if (fd >= 0) {
			eventfd = eventfd_ctx_fdget(fd);
			if (IS_ERR(eventfd))
				return PTR_ERR(eventfd);
		}
		set_irq(device, set.index, eventfd);
		return 0;
	}
	return -EINVAL;
}

/* Reset the device to its state at open, except for counts */
static void model_reset(struct model_vfio *device)
{
	unsigned int i;

	mutex_lock(&device->lock);
	model_stop(device);
	model_dev_reset(device->mdev);
	for (i = 0; i < IOASID_MODEL_CHANNELS; i++)
		channel_clear(&device->channels[i]);
	memory_zap(device, true);
	memset(device->memory, 0, IOASID_MODEL_MEMORY_SIZE);
	spin_lock_irq(&device->state_lock);
	device->state.resets++;
	spin_unlock_irq(&device->state_lock);
	mutex_unlock(&device->lock);
}

static long model_ioctl(struct vfio_device *vdev, unsigned int cmd,
			unsigned long arg)
{
	struct model_vfio *device = to_model(vdev);

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return get_info((void __user *)arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region_info((void __user *)arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return get_irq_info((void __user *)arg);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(device, (void __user *)arg);
	case VFIO_DEVICE_RESET:
		model_reset(device);
		return 0;
	}
	return -ENOTTY;
}

/* ---- Life ---- */

static int model_open(struct vfio_device *vdev)
{
	struct model_vfio *device = to_model(vdev);

	model_reset(device);
	spin_lock_irq(&device->state_lock);
	device->state = (struct ioasid_model_state){};
	spin_unlock_irq(&device->state_lock);
	return 0;
}

static void model_close(struct vfio_device *vdev)
{
	struct model_vfio *device = to_model(vdev);
	unsigned int i;

	mutex_lock(&device->lock);
	model_stop(device);
	mutex_unlock(&device->lock);
	for (i = 0; i < IOASID_MODEL_NR_IRQS; i++)
		set_irq(device, i, NULL);
}

static void model_request(struct vfio_device *vdev, unsigned int count)
{
	raise_irq(to_model(vdev), IOASID_MODEL_IRQ_REQUEST);
}

static int model_vfio_init(struct vfio_device *vdev)
{
	struct model_vfio *device = to_model(vdev);
	unsigned int order = get_order(IOASID_MODEL_MEMORY_SIZE);
	unsigned long page;
	unsigned int i;

	device->pages = alloc_pages(GFP_KERNEL | __GFP_ZERO, order);
	if (!device->pages)
		return -ENOMEM;
	/* Reserved pages: a mapping of them must not take them for RAM */
	split_page(device->pages, order);
	for (page = 0; page < 1UL << order; page++)
		SetPageReserved(device->pages + page);
	device->memory = page_address(device->pages);
	mutex_init(&device->lock);
	init_rwsem(&device->memory_lock);
	init_waitqueue_head(&device->wait);
	spin_lock_init(&device->state_lock);
	INIT_LIST_HEAD(&device->requests);
	device->next_group = IOASID_MODEL_GROUPS;
	for (i = 0; i < IOASID_MODEL_CHANNELS; i++) {
		device->channels[i].device = device;
		device->channels[i].ended = true;
		spin_lock_init(&device->channels[i].status_lock);
	}
	return 0;
}

static void model_vfio_release(struct vfio_device *vdev)
{
	struct model_vfio *device = to_model(vdev);
	unsigned int order = get_order(IOASID_MODEL_MEMORY_SIZE);
	unsigned long page;

	for (page = 0; page < 1UL << order; page++) {
		ClearPageReserved(device->pages + page);
		__free_page(device->pages + page);
	}
	mutex_destroy(&device->lock);
}

static const struct vfio_device_ops model_vfio_ops = {
	.name = MODEL_DEVICE,
	.init = model_vfio_init,
	.release = model_vfio_release,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
	.open_device = model_open,
	.close_device = model_close,
	.read = model_read,
	.write = model_write,
	.ioctl = model_ioctl,
	.mmap = model_mmap,
	.request = model_request,
};

static int model_probe(struct platform_device *pdev)
{
	struct model_vfio *device;
	int ret;

	device = vfio_alloc_device(model_vfio, vdev, &pdev->dev,
				   &model_vfio_ops);
	if (IS_ERR(device))
		return PTR_ERR(device);
	device->mdev = model_dev_of(&pdev->dev);
	if (!device->mdev) {
		ret = -ENODEV;
		goto err_put;
	}
	model_dev_set_ops(device->mdev, &model_dev_ops, device);
	ret = vfio_register_group_dev(&device->vdev);
	if (ret)
		goto err_ops;
	platform_set_drvdata(pdev, device);
	return 0;

err_ops:
	model_dev_set_ops(device->mdev, NULL, NULL);
err_put:
	vfio_put_device(&device->vdev);
	return ret;
}

static void model_remove(struct platform_device *pdev)
{
	struct model_vfio *device = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&device->vdev);
	model_dev_set_ops(device->mdev, NULL, NULL);
	vfio_put_device(&device->vdev);
}

static struct platform_driver model_driver = {
	.probe = model_probe,
	.remove = model_remove,
	.driver_managed_dma = true,
	.driver = {
		.name = MODEL_DEVICE,
	},
};

/**
 * model_devices_init() - register the driver of devices of the name
 *	MODEL_DEVICE
 *
 * Context: may sleep.
 * Return: 0, or a negative errno.
 */
int __init model_devices_init(void)
{
	int ret;

	model_wq = alloc_workqueue("ioasid_model", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!model_wq)
		return -ENOMEM;
	ret = platform_driver_register(&model_driver);
	if (ret)
		destroy_workqueue(model_wq);
	return ret;
}

/**
 * model_devices_exit() - undo model_devices_init()
 *
 * Context: may sleep. There are no such devices.
 */
void model_devices_exit(void)
{
	platform_driver_unregister(&model_driver);
	destroy_workqueue(model_wq);
}
