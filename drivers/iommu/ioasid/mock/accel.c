// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioasid_accel: an accelerator that a kernel driver shares among processes, on the
 * model IOMMU.  It is the example for drivers of real ones; ioasid_accel.h is its
 * interface to user space.
 *
 * The driver has the requester id, and a queue for it, all the time: the DMA API works
 * as ever.  A process has neither a queue nor a PASID when it opens the device, binds
 * it and attaches address spaces.  It takes both to submit work, and gives both back
 * when the work is done.  So a few queues, and as many PASIDs, serve any number of
 * processes.  What is to be copied from here is
 *
 *	ioasid_bind_shared()			once for each open file
 *	ioasid_attach_ioctl(), _detach_ioctl()	the driver has no part in them
 *	ioasid_pasid_begin(), the job, ioasid_pasid_end()
 *	pasid_stop				accel_pasid_stop()
 *	ioasid_unbind()				after the last job has ended
 *
 * Invariants:
 *  - A queue is idle, or belongs to one job from before its PASID is taken until after
 *    it was given back.  So there are no more PASIDs than queues, and the next job
 *    finds the number in the pool when it finds the queue.
 *  - A queue has the file and the vPASID of its job before ioasid_pasid_begin().
 *    pasid_stop may be called from then on: it marks the queue, and queue_start() looks
 *    at the mark under the same lock.  A job whose PASID has gone never starts.
 *  - The job that pasid_stop waits for is stopped, which takes one access.  Its thread
 *    gives the queue to no other job before ioasid_pasid_end() has returned.
 *  - Queues are given in the order of the line.  Each waiter has a wait queue of its
 *    own: a queue that is free wakes one thread.
 *  - A queue has one page request at a time, of a group that no other one has.  It is
 *    answered before ioasid_pasid_end() returns for the last job by the PASID; of a job
 *    that was stopped before, the answer finds no group.
 *  - Work is for the process that opened the file.  Others that have inherited it can
 *    close it, and look.
 *
 * Waits: for a queue, and for a job: killable.  A job of a killed process is stopped.
 *
 * A pool without PASIDs: the line stands until one comes back, which is told; or until a
 * turn's time has passed, since the pool has users that tell nothing.
 *
 * Locks, outermost first: accels_lock, accel.mutex, accel.kernel_lock, accel_file.sem,
 * accel_file.lock, those of /dev/ioasid, accel.lock.  pasid_stop and
 * accel_pasid_returned() are called with locks of /dev/ioasid held: they take accel.lock,
 * and no other.  accel.answer_lock is a leaf; it is taken with locks of the IOMMU core
 * held.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/ioasid.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/platform_device.h>
#include <linux/poll.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/ioasid.h>

#include "device.h"
#include "ioasid_accel.h"
#include "ioasid_mock.h"
#include "model.h"

static unsigned int accel_queues = 16;
module_param(accel_queues, uint, 0444);
MODULE_PARM_DESC(accel_queues,
		 "Hardware queues of a model accelerator, 2 to 256. The kernel keeps one.");

static unsigned int accel_turn_ms = 1000;
module_param(accel_turn_ms, uint, 0644);
MODULE_PARM_DESC(accel_turn_ms,
		 "Milliseconds that a queue is reserved for a file that polls for it.");

static bool accel_hold_ends;
module_param(accel_hold_ends, bool, 0644);
MODULE_PARM_DESC(accel_hold_ends,
		 "For tests: jobs that the device has ended keep their PASID until this is 0.");

/* In accel_queue.group: none */
#define NO_GROUP	U32_MAX

struct accel_file;

/**
 * struct accel_job - what a queue does
 * @cmd: the command, and its result
 * @pasid: the PASID on the wire, or MODEL_NO_PASID
 * @stopped: it has ended early, since the queue was stopped
 */
struct accel_job {
	struct accel_submit cmd;
	u32 pasid;
	bool stopped;
};

/**
 * struct accel_queue - a hardware queue, which does one job at a time
 * @node: in accel.idle
 * @accel: the accelerator
 * @file: whose job it is; NULL, it is idle, reserved, or the kernel's
 * @vpasid: by which the job is done
 * @stop: the job shall end, or not start
 * @running: the device does the job
 * @done: completed when it has ended
 * @job: the job
 * @work: the device
 * @buffer: a page, which it copies by
 * @group: number of the page request that it has sent, or NO_GROUP
 * @answer: what came: enum iommu_page_response_code
 *
 * accel.lock protects @node to @running, accel.answer_lock @group and @answer.
 */
struct accel_queue {
	struct list_head node;
	struct accel *accel;
	struct accel_file *file;
	u32 vpasid;
	bool stop;
	bool running;
	struct completion done;
	struct accel_job job;
	struct work_struct work;
	void *buffer;
	u32 group;
	int answer;
};

/**
 * struct accel_waiter - a thread or a file in line for a queue
 * @node: in accel.line; in accel.turns once a file has @queue
 * @wait: what is woken when it has one
 * @queue: its queue, or NULL
 * @polls: it is a file, which may never come to use it
 * @lapses: in jiffies, when such a queue is taken back
 */
struct accel_waiter {
	struct list_head node;
	wait_queue_head_t *wait;
	struct accel_queue *queue;
	bool polls;
	unsigned long lapses;
};

/**
 * struct accel - an accelerator
 * @refs: of the driver, and of each open file
 * @node: in accels
 * @mdev: the device
 * @access: flags of its accesses
 * @answers: queues that wait for answers to page requests
 * @answer_lock: protects the requests of queues
 * @last_group: the last number of a request, to be cut to what there is
 * @misc: its node
 * @name: of that
 * @mutex: protects @files, and keeps their bonds until it is unlocked
 * @files: open files
 * @lock: protects what follows, but for @kernel and @kernel_lock
 * @dead: it is being unplugged: no queue is given, and no job started
 * @dry: the pool had no PASID left.  No queue is given until one is back
 * @returned: number of PASIDs that have come back
 * @returns: counts these
 * @again: looks at a pool that is dry, whose users may tell nothing
 * @idle: queues that have no job
 * @line: waiters without a queue
 * @turns: files that have a queue, and have not come to use it
 * @lapse: takes queues back from these
 * @info: the counts
 * @kernel_lock: serialises jobs of the kernel
 * @kernel: the queue for these
 * @nr_queues: number of @queues
 * @queues: the queues for users
 */
struct accel {
	struct kref refs;
	struct list_head node;
	struct model_dev *mdev;
	unsigned int access;
	wait_queue_head_t answers;
	spinlock_t answer_lock;		/* page requests */
	atomic_t last_group;
	struct miscdevice misc;
	char name[IOASID_MODEL_NAME];
	struct mutex mutex;		/* files */
	struct list_head files;
	spinlock_t lock;		/* queues and waiters */
	bool dead;
	bool dry;
	unsigned int returned;
	struct notifier_block returns;
	struct delayed_work again;
	struct list_head idle;
	struct list_head line;
	struct list_head turns;
	struct delayed_work lapse;
	struct accel_info info;
	struct mutex kernel_lock;	/* jobs of the kernel */
	struct accel_queue kernel;
	unsigned int nr_queues;
	struct accel_queue queues[] __counted_by(nr_queues);
};

/**
 * struct accel_file - an open file: all that a process costs that does not work
 * @node: in accel.files
 * @accel: the accelerator
 * @mm: of the process that opened it; only compared
 * @sem: protects @idev; held for reading over a job
 * @lock: serialises attaches and detaches
 * @idev: the device in the context that the file is bound to, or NULL
 * @wait: for poll()
 * @poller: the file in line
 */
struct accel_file {
	struct list_head node;
	struct accel *accel;
	struct mm_struct *mm;
	struct rw_semaphore sem;	/* idev */
	struct mutex lock;		/* attaches */
	struct ioasid_device *idev;
	wait_queue_head_t wait;
	struct accel_waiter poller;
};

static LIST_HEAD(accels);
static DEFINE_MUTEX(accels_lock);	/* protects accels */
static struct workqueue_struct *accel_wq;

/* ---- The device: what hardware does, and a driver does not ---- */

/* The answer to the request of a queue has come */
static void accel_page_response(void *priv,
				const struct iommu_page_response *response)
{
	struct accel *accel = priv;
	struct accel_queue *queue;
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&accel->answer_lock, flags);
	for (i = 0; i < accel->nr_queues; i++) {
		queue = &accel->queues[i];
		if (queue->group != response->grpid)
			continue;
		queue->answer = response->code;
		WRITE_ONCE(queue->group, NO_GROUP);
	}
	spin_unlock_irqrestore(&accel->answer_lock, flags);
	wake_up_all(&accel->answers);
}

static void accel_requests_off(void *priv)
{
	struct accel *accel = priv;

	wake_up_all(&accel->answers);
}

static const struct model_dev_ops accel_model_ops = {
	.page_response = accel_page_response,
	.requests_off = accel_requests_off,
};

static void set_group(struct accel_queue *queue, u32 group)
{
	spin_lock_irq(&queue->accel->answer_lock);
	queue->answer = IOMMU_PAGE_RESP_INVALID;
	WRITE_ONCE(queue->group, group);
	spin_unlock_irq(&queue->accel->answer_lock);
}

/* Number of a request: no other queue has it, nor had it lately */
static u32 next_group(struct accel *accel)
{
	return (u32)atomic_inc_return(&accel->last_group) % MODEL_GROUPS;
}

/* Request a page, and wait for the answer; true: try the access again */
static bool request_page(struct accel_queue *queue, u64 address, bool write)
{
	unsigned int flags = MODEL_REQUEST_READ | MODEL_REQUEST_LAST |
			     (write ? MODEL_REQUEST_WRITE : 0);
	struct accel *accel = queue->accel;
	u32 group = next_group(accel);
	int ret;

	set_group(queue, group);
	for (;;) {
		ret = model_report_page_request(accel->mdev, queue->job.pasid,
						ALIGN_DOWN(address, PAGE_SIZE),
						group, flags);
		if (ret != -EAGAIN || READ_ONCE(queue->stop))
			break;
		/* It has too many requests already */
		wait_event_idle(accel->answers,
				model_may_request(accel->mdev) ||
				READ_ONCE(queue->stop));
	}
	if (!ret)
		wait_event_idle(accel->answers,
				READ_ONCE(queue->group) == NO_GROUP ||
				READ_ONCE(queue->stop));
	if (READ_ONCE(queue->group) != NO_GROUP)
		set_group(queue, NO_GROUP);
	return queue->answer == IOMMU_PAGE_RESP_SUCCESS;
}

static bool do_access(struct accel_queue *queue, u64 address, size_t length,
		      enum model_op op)
{
	struct accel_job *job = &queue->job;
	struct model_fault fault = {};

	do {
		job->cmd.reason = model_access(queue->accel->mdev, job->pasid,
					       address, queue->buffer, length, op,
					       queue->accel->access, &fault);
		if (READ_ONCE(queue->stop))
			break;
	} while (job->cmd.reason == MODEL_PAGE_REQUEST &&
		 request_page(queue, fault.address, op == MODEL_WRITE));
	if (job->cmd.reason)
		job->cmd.fault_addr = fault.address;
	return !job->cmd.reason;
}

/* Do a part of a job that the buffer can hold; false, it faulted */
static bool do_part(struct accel_queue *queue, u64 at, size_t length)
{
	struct accel_submit *cmd = &queue->job.cmd;
	u64 *words = queue->buffer;
	size_t i, nr = length / sizeof(*words);

	if (cmd->op == ACCEL_FILL)
		for (i = 0; i < nr; i++)
			words[i] = ioasid_model_word(cmd->seed, cmd->dst + at +
						     i * sizeof(*words));
	else if (!do_access(queue, cmd->src + at, length, MODEL_READ))
		return false;
	if (cmd->op == ACCEL_SUM)
		for (i = 0; i < nr; i++)
			cmd->result += words[i];
	return cmd->op == ACCEL_SUM || cmd->op == ACCEL_AWAIT ||
	       do_access(queue, cmd->dst + at, length, MODEL_WRITE);
}

static void do_job(struct accel_queue *queue)
{
	struct accel_job *job = &queue->job;
	const u64 *word = queue->buffer;
	size_t length;
	u64 at = 0;

	while (at < job->cmd.length) {
		job->stopped = READ_ONCE(queue->stop);
		if (job->stopped)
			return;
		length = min_t(u64, job->cmd.length - at, PAGE_SIZE);
		if (!do_part(queue, at, length)) {
			job->stopped = READ_ONCE(queue->stop);
			return;
		}
		if (job->cmd.op != ACCEL_AWAIT || *word == job->cmd.seed)
			at += length;
		else
			usleep_range(100, 1000);
		cond_resched();
	}
}

static void accel_engine(struct work_struct *work)
{
	struct accel_queue *queue = container_of(work, struct accel_queue, work);

	do_job(queue);
	spin_lock(&queue->accel->lock);
	queue->running = false;
	spin_unlock(&queue->accel->lock);
	complete_all(&queue->done);
}

/* ---- Jobs ---- */

/* Start the device, unless the PASID has gone since the queue was prepared */
static int queue_start(struct accel_queue *queue)
{
	struct accel *accel = queue->accel;
	int ret = 0;

	spin_lock(&accel->lock);
	if (accel->dead) {
		ret = -ENODEV;
	} else if (queue->stop) {
		ret = -ECANCELED;
	} else {
		reinit_completion(&queue->done);
		queue->running = true;
		queue_work(accel_wq, &queue->work);
	}
	spin_unlock(&accel->lock);
	return ret;
}

/* Do the job of a queue, which was prepared */
static int queue_run(struct accel_queue *queue)
{
	int ret = queue_start(queue);

	if (ret)
		return ret;
	ret = wait_for_completion_killable(&queue->done);
	if (ret) {
		WRITE_ONCE(queue->stop, true);
		wake_up_all(&queue->accel->answers);
		/* One access of the device */
		wait_for_completion(&queue->done);
		return -EINTR;
	}
	if (!queue->job.stopped)
		return 0;
	return READ_ONCE(queue->accel->dead) ? -ENODEV : -ECANCELED;
}

/* A queue is about to have a job: from here on accel_pasid_stop() finds it */
static void queue_prepare(struct accel_queue *queue, struct accel_file *file,
			  const struct accel_submit *cmd)
{
	spin_lock(&queue->accel->lock);
	queue->file = file;
	queue->vpasid = cmd->vpasid;
	queue->stop = false;
	spin_unlock(&queue->accel->lock);
	queue->job = (struct accel_job){
		.cmd = *cmd,
		.pasid = MODEL_NO_PASID,
	};
}

/*
 * A PASID is about to be blocked: let the device do nothing by it any longer.  Called
 * with locks of /dev/ioasid held, for which the thread whose job it is may wait, in
 * ioasid_pasid_begin() or in ioasid_pasid_end(): this waits for the device, and not for
 * that thread.
 */
static void accel_pasid_stop(void *data, u32 vpasid)
{
	struct accel_file *file = data;
	struct accel *accel = file->accel;
	struct accel_queue *queue;
	unsigned int i;
	bool running;

	for (i = 0; i < accel->nr_queues; i++) {
		queue = &accel->queues[i];
		spin_lock(&accel->lock);
		running = false;
		if (queue->file == file && queue->vpasid == vpasid) {
			WRITE_ONCE(queue->stop, true);
			running = queue->running;
		}
		spin_unlock(&accel->lock);
		/* Until ioasid_pasid_end(), it gets no other job */
		if (running) {
			wake_up_all(&accel->answers);
			wait_for_completion(&queue->done);
		}
	}
}

static const struct ioasid_device_ops accel_ioasid_ops = {
	.pasid_stop = accel_pasid_stop,
};

static void count_pasids(struct accel *accel, int more)
{
	struct accel_info *info = &accel->info;

	spin_lock(&accel->lock);
	info->pasids += more;
	info->most_pasids = max(info->most_pasids, info->pasids);
	spin_unlock(&accel->lock);
}

/* Do a job by a PASID, which is taken for it */
static int do_work(struct accel_file *file, struct accel_queue *queue,
		   const struct accel_submit *cmd)
{
	int ret;

	queue_prepare(queue, file, cmd);
	ret = ioasid_pasid_begin(file->idev, cmd->vpasid, &queue->job.pasid);
	if (ret)
		return ret;
	count_pasids(file->accel, 1);
	ret = queue_run(queue);
	/* That is late, if it was stopped */
	while (READ_ONCE(accel_hold_ends) && !fatal_signal_pending(current))
		usleep_range(1000, 2000);
	ioasid_pasid_end(file->idev, cmd->vpasid);
	count_pasids(file->accel, -1);
	return ret;
}

/* ---- The line ---- */

static unsigned long turn_time(void)
{
	return msecs_to_jiffies(READ_ONCE(accel_turn_ms));
}

/* Give idle queues to those that are first in line */
static void serve(struct accel *accel)
{
	unsigned long turn = turn_time();
	struct accel_waiter *waiter;

	lockdep_assert_held(&accel->lock);
	while (!list_empty(&accel->line) && !list_empty(&accel->idle) &&
	       !accel->dry && !accel->dead) {
		waiter = list_first_entry(&accel->line, struct accel_waiter, node);
		waiter->queue = list_first_entry(&accel->idle,
						 struct accel_queue, node);
		list_del_init(&waiter->queue->node);
		accel->info.busy++;
		list_del_init(&waiter->node);
		accel->info.waiting--;
		if (waiter->polls) {
			waiter->lapses = jiffies + turn;
			if (list_empty(&accel->turns))
				mod_delayed_work(accel_wq, &accel->lapse, turn);
			list_add_tail(&waiter->node, &accel->turns);
		}
		wake_up(waiter->wait);
	}
}

static void put_queue(struct accel *accel, struct accel_queue *queue)
{
	lockdep_assert_held(&accel->lock);
	queue->file = NULL;
	list_add(&queue->node, &accel->idle);
	accel->info.busy--;
	serve(accel);
}

static void join_line(struct accel *accel, struct accel_waiter *waiter)
{
	lockdep_assert_held(&accel->lock);
	/* It may be there */
	if (!list_empty(&waiter->node))
		return;
	list_add_tail(&waiter->node, &accel->line);
	accel->info.waiting++;
}

/* Take a waiter out of the line.  Returns its queue, if its turn has come, or NULL */
static struct accel_queue *leave_line(struct accel *accel,
				      struct accel_waiter *waiter)
{
	struct accel_queue *queue = waiter->queue;

	lockdep_assert_held(&accel->lock);
	if (!queue && !list_empty(&waiter->node))
		accel->info.waiting--;
	list_del_init(&waiter->node);
	waiter->queue = NULL;
	return queue;
}

/* A queue that no other waiter would be given, or NULL */
static struct accel_queue *free_queue(struct accel *accel)
{
	lockdep_assert_held(&accel->lock);
	if (!list_empty(&accel->line) || accel->dry)
		return NULL;
	return list_first_entry_or_null(&accel->idle, struct accel_queue, node);
}

/* Take queues from files that do not use their turn */
static void accel_lapse(struct work_struct *work)
{
	struct accel *accel = container_of(work, struct accel, lapse.work);
	struct accel_waiter *waiter;

	spin_lock(&accel->lock);
	while (!list_empty(&accel->turns)) {
		waiter = list_first_entry(&accel->turns, struct accel_waiter, node);
		if (time_before(jiffies, waiter->lapses)) {
			queue_delayed_work(accel_wq, &accel->lapse,
					   waiter->lapses - jiffies);
			break;
		}
		put_queue(accel, leave_line(accel, waiter));
	}
	spin_unlock(&accel->lock);
}

/* Wait in line.  Returns a queue or an ERR_PTR */
static struct accel_queue *wait_in_line(struct accel *accel)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wait);
	struct accel_waiter waiter = { .wait = &wait };
	struct accel_queue *queue;
	int ret;

	INIT_LIST_HEAD(&waiter.node);
	spin_lock(&accel->lock);
	join_line(accel, &waiter);
	spin_unlock(&accel->lock);
	ret = wait_event_killable(wait,
				  READ_ONCE(waiter.queue) || READ_ONCE(accel->dead));
	spin_lock(&accel->lock);
	queue = leave_line(accel, &waiter);
	if (ret && queue)
		put_queue(accel, queue);
	spin_unlock(&accel->lock);
	if (ret)
		return ERR_PTR(-EINTR);
	return queue ?: ERR_PTR(-ENODEV);
}

/* Get a queue for a job of a file.  Returns it or an ERR_PTR */
static struct accel_queue *get_queue(struct accel_file *file, bool wait)
{
	struct accel *accel = file->accel;
	struct accel_queue *queue;

	spin_lock(&accel->lock);
	if (file->poller.queue) {
		queue = leave_line(accel, &file->poller);
	} else {
		queue = free_queue(accel);
		if (queue) {
			list_del_init(&queue->node);
			accel->info.busy++;
		} else if (!wait) {
			join_line(accel, &file->poller);
		}
	}
	spin_unlock(&accel->lock);
	if (queue)
		return queue;
	return wait ? wait_in_line(accel) : ERR_PTR(-EAGAIN);
}

/* There may be a PASID: let the line go on */
static void try_again(struct accel *accel)
{
	lockdep_assert_held(&accel->lock);
	accel->dry = false;
	serve(accel);
}

static int accel_pasid_returned(struct notifier_block *nb, unsigned long event,
				void *data)
{
	struct accel *accel = container_of(nb, struct accel, returns);

	spin_lock(&accel->lock);
	accel->returned++;
	try_again(accel);
	spin_unlock(&accel->lock);
	return NOTIFY_DONE;
}

/* A user of the pool that tells nothing may have returned a PASID */
static void accel_again(struct work_struct *work)
{
	struct accel *accel = container_of(work, struct accel, again.work);

	spin_lock(&accel->lock);
	try_again(accel);
	spin_unlock(&accel->lock);
}

static unsigned int nr_returned(struct accel *accel)
{
	unsigned int nr;

	spin_lock(&accel->lock);
	nr = accel->returned;
	spin_unlock(&accel->lock);
	return nr;
}

/*
 * A job has ended, or has found no PASID.  Then none is tried until one comes back, if
 * none did since there were @returned
 */
static void end_job(struct accel_queue *queue, bool no_pasid,
		    unsigned int returned)
{
	struct accel *accel = queue->accel;

	spin_lock(&accel->lock);
	accel->dry = no_pasid && accel->returned == returned;
	if (accel->dry && !accel->dead)
		mod_delayed_work(accel_wq, &accel->again, turn_time());
	if (!no_pasid)
		accel->info.jobs++;
	put_queue(accel, queue);
	spin_unlock(&accel->lock);
}

/* ---- Commands ---- */

/* Work is for the process that opened the file */
static int check_owner(const struct accel_file *file)
{
	return current->mm == file->mm ? 0 : -EPERM;
}

static int bind_locked(struct accel_file *file, struct ioasid_ctx *ctx,
		       struct ioasid_device_bind *bind, void __user *arg,
		       u64 *fault_addr)
{
	struct ioasid_device *idev;
	int ret = 0;

	if (READ_ONCE(file->accel->dead))
		return -ENODEV;
	if (file->idev)
		return -EBUSY;
	idev = ioasid_bind_shared(ctx, model_dev_device(file->accel->mdev), false,
				  &accel_ioasid_ops, file, bind->cookie);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	if (bind->ioasid)
		ret = ioasid_attach(idev, bind->ioasid, fault_addr);
	if (!ret)
		ret = ioasid_bind_to_user(arg, ioasid_device_id(idev));
	if (ret)
		ioasid_unbind(idev);
	else
		WRITE_ONCE(file->idev, idev);
	return ret;
}

static long accel_bind(struct accel_file *file, void __user *arg)
{
	struct ioasid_device_bind bind;
	struct ioasid_ctx *ctx;
	u64 fault_addr = 0;
	int ret;

	ret = ioasid_bind_from_user(arg, &bind);
	if (ret)
		return ret;
	/* Not behind its work */
	if (READ_ONCE(file->idev))
		return -EBUSY;
	ctx = ioasid_ctx_from_fd(bind.ioasid_fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	ret = -EINTR;
	if (!down_write_killable(&file->sem)) {
		ret = bind_locked(file, ctx, &bind, arg, &fault_addr);
		up_write(&file->sem);
	}
	/* The bond has a reference of its own */
	ioasid_ctx_put(ctx);
	if (ret == -EADDRINUSE)
		ioasid_bind_fault_to_user(arg, fault_addr);
	return ret;
}

/* Attaches and detaches go on beside work */
static long accel_route(struct accel_file *file, void __user *arg,
			int (*ioctl)(struct ioasid_device *idev, void __user *arg,
				     struct mutex *lock))
{
	long ret = -ENODEV;

	if (down_read_killable(&file->sem))
		return -EINTR;
	if (file->idev)
		ret = ioctl(file->idev, arg, &file->lock);
	up_read(&file->sem);
	return ret;
}

static int check_submit(const struct accel_submit *cmd)
{
	if (cmd->op < ACCEL_FILL || cmd->op > ACCEL_AWAIT || !cmd->length ||
	    cmd->length > ACCEL_MAX_LENGTH || cmd->reserved ||
	    !IS_ALIGNED(cmd->src | cmd->dst | cmd->length, sizeof(u64)) ||
	    (cmd->op == ACCEL_AWAIT && cmd->length != sizeof(u64)))
		return -EINVAL;
	return 0;
}

static long accel_submit(struct accel_file *file, void __user *arg, bool wait)
{
	struct accel_queue *queue;
	struct accel_submit cmd;
	unsigned int returned;
	int ret;

	if (copy_from_user(&cmd, arg, sizeof(cmd)))
		return -EFAULT;
	cmd.result = 0;
	cmd.fault_addr = 0;
	cmd.reason = 0;
	ret = check_submit(&cmd);
	if (ret)
		return ret;
	if (!READ_ONCE(file->idev))
		return -ENODEV;
	queue = get_queue(file, wait);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	returned = nr_returned(file->accel);
	/* An unplug may have unbound it meanwhile */
	ret = down_read_killable(&file->sem);
	if (!ret) {
		ret = file->idev ? do_work(file, queue, &cmd) : -ENODEV;
		up_read(&file->sem);
	}
	cmd = queue->job.cmd;
	end_job(queue, ret == -ENOSPC, returned);
	if (!ret && copy_to_user(arg, &cmd, sizeof(cmd)))
		ret = -EFAULT;
	return ret;
}

static long accel_get_info(struct accel *accel, void __user *arg)
{
	struct accel_info info;

	spin_lock(&accel->lock);
	info = accel->info;
	spin_unlock(&accel->lock);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long accel_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct accel_file *file = filp->private_data;
	void __user *user = (void __user *)arg;
	int ret;

	if (cmd == ACCEL_GET_INFO)
		return accel_get_info(file->accel, user);
	ret = check_owner(file);
	if (ret)
		return ret;
	switch (cmd) {
	case ACCEL_BIND_IOASID_FD:
		return accel_bind(file, user);
	case ACCEL_ATTACH_IOASID:
		return accel_route(file, user, ioasid_attach_ioctl);
	case ACCEL_DETACH_IOASID:
		return accel_route(file, user, ioasid_detach_ioctl);
	case ACCEL_SUBMIT:
		return accel_submit(file, user, !(filp->f_flags & O_NONBLOCK));
	}
	return -ENOTTY;
}

static __poll_t accel_poll(struct file *filp, struct poll_table_struct *wait)
{
	struct accel_file *file = filp->private_data;
	struct accel *accel = file->accel;
	__poll_t ready = 0;

	poll_wait(filp, &file->wait, wait);
	spin_lock(&accel->lock);
	if (accel->dead)
		ready = EPOLLERR | EPOLLHUP;
	else if (file->poller.queue || free_queue(accel))
		ready = EPOLLOUT | EPOLLWRNORM;
	else
		join_line(accel, &file->poller);
	spin_unlock(&accel->lock);
	return ready;
}

/* ---- Files ---- */

static void accel_free(struct kref *refs)
{
	struct accel *accel = container_of(refs, struct accel, refs);
	unsigned int i;

	for (i = 0; i < accel->nr_queues; i++)
		kfree(accel->queues[i].buffer);
	kfree(accel->kernel.buffer);
	mutex_destroy(&accel->mutex);
	mutex_destroy(&accel->kernel_lock);
	kfree(accel);
}

static int accel_open(struct inode *inode, struct file *filp)
{
	struct accel *accel = container_of(filp->private_data, struct accel, misc);
	struct accel_file *file;

	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	file->accel = accel;
	file->mm = current->mm;
	mmgrab(file->mm);
	init_rwsem(&file->sem);
	mutex_init(&file->lock);
	init_waitqueue_head(&file->wait);
	INIT_LIST_HEAD(&file->poller.node);
	file->poller.wait = &file->wait;
	file->poller.polls = true;
	kref_get(&accel->refs);
	mutex_lock(&accel->mutex);
	list_add(&file->node, &accel->files);
	mutex_unlock(&accel->mutex);
	filp->private_data = file;
	return 0;
}

static void unbind(struct accel_file *file)
{
	/* Waits until its last job has ended */
	down_write(&file->sem);
	if (file->idev)
		ioasid_unbind(file->idev);
	WRITE_ONCE(file->idev, NULL);
	up_write(&file->sem);
}

/* No command is under way: all work has ended */
static int accel_release(struct inode *inode, struct file *filp)
{
	struct accel_file *file = filp->private_data;
	struct accel *accel = file->accel;
	struct accel_queue *queue;

	/* The device stays until it is unbound: accel_remove() finds the file so long */
	unbind(file);
	mutex_lock(&accel->mutex);
	list_del(&file->node);
	mutex_unlock(&accel->mutex);
	spin_lock(&accel->lock);
	queue = leave_line(accel, &file->poller);
	if (queue)
		put_queue(accel, queue);
	spin_unlock(&accel->lock);
	mmdrop(file->mm);
	mutex_destroy(&file->lock);
	kfree(file);
	kref_put(&accel->refs, accel_free);
	return 0;
}

static const struct file_operations accel_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = accel_release,
	.unlocked_ioctl = accel_ioctl,
	.poll = accel_poll,
	.llseek = noop_llseek,
};

/* ---- The kernel's own work ---- */

/* By requester id and the DMA API, as if there were no users */
static int kernel_sum(struct accel *accel, void *data, u32 length, u64 *sum)
{
	struct device *dev = model_dev_device(accel->mdev);
	struct accel_queue *queue = &accel->kernel;
	struct accel_submit cmd = { .op = ACCEL_SUM, .length = length };
	dma_addr_t address;
	int ret;

	lockdep_assert_held(&accel->kernel_lock);
	address = dma_map_single(dev, data, length, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, address))
		return -ENOMEM;
	cmd.src = address;
	queue_prepare(queue, NULL, &cmd);
	ret = queue_run(queue);
	dma_unmap_single(dev, address, length, DMA_TO_DEVICE);
	if (!ret && queue->job.cmd.reason)
		ret = -EIO;
	*sum = queue->job.cmd.result;
	return ret;
}

/* With a reference, or NULL */
static struct accel *accel_find(struct model_dev *mdev)
{
	struct accel *accel, *found = NULL;

	mutex_lock(&accels_lock);
	list_for_each_entry(accel, &accels, node) {
		if (accel->mdev != mdev)
			continue;
		kref_get(&accel->refs);
		found = accel;
		break;
	}
	mutex_unlock(&accels_lock);
	return found;
}

/**
 * model_accel_job() - have an accelerator do a piece of work for the kernel
 * @mdev: the device, of the name MODEL_ACCEL; the caller keeps it
 * @seed: the data are the pattern of this seed, see ioasid_model_word(), from 0 on
 * @length: bytes, a multiple of 8, up to 64 KiB
 * @sum: out, the sum of the words
 *
 * Context: may sleep.
 * Return: 0; -ENODEV, it is being unplugged; -EIO, the device could not read the data;
 * -EINTR, a fatal signal; -ENOMEM.
 */
int model_accel_job(struct model_dev *mdev, u64 seed, u32 length, u64 *sum)
{
	struct accel *accel = accel_find(mdev);
	u64 *words;
	int ret;
	u32 i;

	if (!accel)
		return -ENODEV;
	ret = -ENOMEM;
	words = kmalloc(length, GFP_KERNEL);
	if (!words)
		goto put;
	for (i = 0; i < length / sizeof(*words); i++)
		words[i] = ioasid_model_word(seed, i * sizeof(*words));
	ret = -EINTR;
	if (!mutex_lock_killable(&accel->kernel_lock)) {
		ret = kernel_sum(accel, words, length, sum);
		mutex_unlock(&accel->kernel_lock);
	}
	if (!ret) {
		spin_lock(&accel->lock);
		accel->info.kernel_jobs++;
		spin_unlock(&accel->lock);
	}
	kfree(words);
put:
	kref_put(&accel->refs, accel_free);
	return ret;
}

/* ---- The driver ---- */

static int queue_init(struct accel_queue *queue, struct accel *accel)
{
	queue->accel = accel;
	INIT_LIST_HEAD(&queue->node);
	init_completion(&queue->done);
	INIT_WORK(&queue->work, accel_engine);
	queue->group = NO_GROUP;
	queue->buffer = kmalloc(PAGE_SIZE, GFP_KERNEL);
	return queue->buffer ? 0 : -ENOMEM;
}

static struct accel *accel_alloc(struct platform_device *pdev)
{
	unsigned int i, nr = clamp(accel_queues, 2, 256) - 1;
	struct accel *accel;
	int ret;

	accel = kzalloc(struct_size(accel, queues, nr), GFP_KERNEL);
	if (!accel)
		return NULL;
	kref_init(&accel->refs);
	accel->nr_queues = nr;
	accel->info.queues = nr;
	accel->mdev = model_dev_of(&pdev->dev);
	mutex_init(&accel->mutex);
	mutex_init(&accel->kernel_lock);
	INIT_LIST_HEAD(&accel->files);
	spin_lock_init(&accel->lock);
	spin_lock_init(&accel->answer_lock);
	init_waitqueue_head(&accel->answers);
	if (model_dev_params(accel->mdev)->flags & MODEL_PRI)
		accel->access = MODEL_ACCESS_ATS | MODEL_ACCESS_PRI;
	INIT_LIST_HEAD(&accel->idle);
	INIT_LIST_HEAD(&accel->line);
	INIT_LIST_HEAD(&accel->turns);
	INIT_DELAYED_WORK(&accel->lapse, accel_lapse);
	INIT_DELAYED_WORK(&accel->again, accel_again);
	accel->returns.notifier_call = accel_pasid_returned;
	snprintf(accel->name, sizeof(accel->name), MODEL_ACCEL "%d", pdev->id);
	accel->misc.minor = MISC_DYNAMIC_MINOR;
	accel->misc.name = accel->name;
	accel->misc.fops = &accel_fops;
	accel->misc.parent = &pdev->dev;
	accel->misc.mode = 0666;
	ret = queue_init(&accel->kernel, accel);
	for (i = 0; i < nr && !ret; i++) {
		ret = queue_init(&accel->queues[i], accel);
		list_add_tail(&accel->queues[i].node, &accel->idle);
	}
	if (!ret)
		return accel;
	kref_put(&accel->refs, accel_free);
	return NULL;
}

static int accel_probe(struct platform_device *pdev)
{
	struct accel *accel;
	int ret;

	if (!model_dev_of(&pdev->dev))
		return -ENODEV;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	accel = accel_alloc(pdev);
	if (!accel)
		return -ENOMEM;
	platform_set_drvdata(pdev, accel);
	model_dev_set_ops(accel->mdev, &accel_model_ops, accel);
	mutex_lock(&accels_lock);
	list_add(&accel->node, &accels);
	mutex_unlock(&accels_lock);
	ioasid_pasid_register_returns(&accel->returns);
	ret = misc_register(&accel->misc);
	if (!ret)
		return 0;
	ioasid_pasid_unregister_returns(&accel->returns);
	mutex_lock(&accels_lock);
	list_del(&accel->node);
	mutex_unlock(&accels_lock);
	model_dev_set_ops(accel->mdev, NULL, NULL);
	kref_put(&accel->refs, accel_free);
	return ret;
}

/* Let no job begin, stop those that go on, and wake all that wait */
static void accel_kill(struct accel *accel)
{
	struct accel_waiter *waiter;
	struct accel_file *file;
	unsigned int i;

	lockdep_assert_held(&accel->mutex);
	spin_lock(&accel->lock);
	WRITE_ONCE(accel->dead, true);
	for (i = 0; i < accel->nr_queues; i++)
		WRITE_ONCE(accel->queues[i].stop, true);
	WRITE_ONCE(accel->kernel.stop, true);
	list_for_each_entry(waiter, &accel->line, node)
		wake_up(waiter->wait);
	spin_unlock(&accel->lock);
	wake_up_all(&accel->answers);
	list_for_each_entry(file, &accel->files, node)
		wake_up(&file->wait);
}

/* Its users lose their PASIDs, and keep their files */
static void accel_remove(struct platform_device *pdev)
{
	struct accel *accel = platform_get_drvdata(pdev);
	struct accel_file *file;

	misc_deregister(&accel->misc);
	mutex_lock(&accels_lock);
	list_del(&accel->node);
	mutex_unlock(&accels_lock);
	mutex_lock(&accel->mutex);
	accel_kill(accel);
	list_for_each_entry(file, &accel->files, node)
		unbind(file);
	mutex_unlock(&accel->mutex);
	/* A job of the kernel */
	mutex_lock(&accel->kernel_lock);
	mutex_unlock(&accel->kernel_lock);
	ioasid_pasid_unregister_returns(&accel->returns);
	cancel_delayed_work_sync(&accel->lapse);
	cancel_delayed_work_sync(&accel->again);
	model_dev_set_ops(accel->mdev, NULL, NULL);
	kref_put(&accel->refs, accel_free);
}

/* It has the DMA API, as any kernel driver: no driver_managed_dma */
static struct platform_driver accel_driver = {
	.probe = accel_probe,
	.remove = accel_remove,
	.driver = {
		.name = MODEL_ACCEL,
	},
};

/**
 * model_accel_init() - register the driver of devices of the name MODEL_ACCEL
 *
 * Context: may sleep.
 * Return: 0, or a negative errno.
 */
int __init model_accel_init(void)
{
	int ret;

	accel_wq = alloc_workqueue("ioasid_accel", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!accel_wq)
		return -ENOMEM;
	ret = platform_driver_register(&accel_driver);
	if (ret)
		destroy_workqueue(accel_wq);
	return ret;
}

/**
 * model_accel_exit() - undo model_accel_init()
 *
 * Context: may sleep.  There are no such devices, nor files.
 */
void model_accel_exit(void)
{
	platform_driver_unregister(&accel_driver);
	destroy_workqueue(accel_wq);
}
