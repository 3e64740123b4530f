// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault queues: objects of a context, and their files.
 *
 * Invariants:
 *  - The file of a queue refers to no context: a process that was passed it keeps
 *    nothing of the context.
 *  - A queue is not freed by its id while IOASIDs name it, which they do until they
 *    are freed by theirs.  When the context ends it
 *    has no route left, as no device is bound.
 *  - IOASID_FAULT_QUEUE writes its output fields before it takes effect.
 *
 * Locks: none of its own.  User memory is accessed with no lock held.
 */
#include <linux/anon_inodes.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/ioasid.h>

#include "context.h"
#include "faults.h"
#include "ioas/ioas.h"
#include "ioctl.h"

#define DEPTH_MAX	65536

/* In ioasid_faults.named: the queue was freed */
#define NAMED_NEVER	INT_MIN

/**
 * struct ioasid_faults - a fault queue of a context
 * @obj: first: its id and references, one for each IOASID that names it
 * @cookie: any number that user space chose
 * @queue: the queue, with a reference
 * @named: number of IOASIDs that name it, or NAMED_NEVER
 * @rcu: frees it after look-ups that may still see it
 */
struct ioasid_faults {
	struct ioasid_object obj;
	u64 cookie;
	struct ioas_fault_queue *queue;
	atomic_t named;
	struct rcu_head rcu;
};

static_assert(!offsetof(struct ioasid_faults, obj));

static struct ioasid_faults *to_faults(struct ioasid_object *obj)
{
	return container_of(obj, struct ioasid_faults, obj);
}

/* ---- The object ---- */

static void faults_put(struct ioasid_object *obj)
{
	struct ioasid_faults *faults = to_faults(obj);

	if (!refcount_dec_and_test(&obj->users))
		return;
	ioas_fault_unlisten();
	ioas_fault_queue_put(faults->queue);
	kfree_rcu(faults, rcu);
}

static int faults_kill(struct ioasid_object *obj, bool cascade)
{
	return atomic_cmpxchg(&to_faults(obj)->named, 0, NAMED_NEVER) ?
	       -EBUSY : 0;
}

/* No IOASID names it: it has no routes */
static void faults_end(struct ioasid_object *obj)
{
	ioas_fault_queue_end(to_faults(obj)->queue);
	faults_put(obj);
}

static void faults_free(struct ioasid_object *obj, int killed)
{
	faults_end(obj);
}

static unsigned int faults_list(struct ioasid_object *obj, unsigned long *at,
				struct ioasid_list_long_entry *to, bool named)
{
	to->entry = (struct ioasid_list_entry){
		.type = IOASID_LIST_FAULT_QUEUE,
		.id = obj->id,
		.cookie = to_faults(obj)->cookie,
	};
	return 1;
}

static void show_queue(struct seq_file *m, struct ioas_fault_queue *queue)
{
	struct ioas_fault_stats stats;

	ioas_fault_queue_stats(queue, &stats);
	seq_printf(m, "depth=%u groups=%u events=%u lost=%llu\n", stats.depth,
		   stats.groups, stats.events, stats.lost);
}

static void faults_show(struct seq_file *m, struct ioasid_object *obj)
{
	seq_printf(m, "fault-queue:\tid=%u cookie=0x%llx ", obj->id,
		   to_faults(obj)->cookie);
	show_queue(m, to_faults(obj)->queue);
}

static const struct ioasid_object_ops faults_object_ops = {
	.put = faults_put,
	.kill = faults_kill,
	.free = faults_free,
	.end = faults_end,
	.list = faults_list,
	.show = faults_show,
};

void __init ioasid_faults_init(void)
{
	ioasid_object_register(IOASID_OBJECT_FAULTS, &faults_object_ops);
}

/**
 * ioasid_faults_name() - let an IOASID name a fault queue
 * @ctx: the context
 * @id: id of the queue
 *
 * Return: the queue; NULL, it does not exist.  ioasid_faults_unname()
 * and ioasid_faults_put() follow.
 */
struct ioasid_faults *ioasid_faults_name(struct ioasid_ctx *ctx, u32 id)
{
	struct ioasid_object *obj = ioasid_object_get(ctx, id,
						      IOASID_OBJECT_FAULTS);

	if (!obj)
		return NULL;
	/* It is being freed */
	if (!atomic_inc_unless_negative(&to_faults(obj)->named)) {
		faults_put(obj);
		return NULL;
	}
	return to_faults(obj);
}

/**
 * ioasid_faults_unname() - an IOASID does not name a fault queue any longer
 * @faults: the queue; ioasid_faults_put() follows
 *
 * It can be freed from here on: no device is attached to the IOASID.
 */
void ioasid_faults_unname(struct ioasid_faults *faults)
{
	atomic_dec(&faults->named);
}

/**
 * ioasid_faults_put() - drop the reference of ioasid_faults_name()
 * @faults: the queue
 *
 * Context: may sleep.
 */
void ioasid_faults_put(struct ioasid_faults *faults)
{
	faults_put(&faults->obj);
}

u32 ioasid_faults_id(const struct ioasid_faults *faults)
{
	return faults->obj.id;
}

struct ioas_fault_queue *ioasid_faults_queue(struct ioasid_faults *faults)
{
	return faults->queue;
}

/* ---- The file ---- */

/* Copy out records that fit; returns their number, or an errno */
static ssize_t read_records(struct ioas_fault_queue *queue,
			    struct ioasid_fault __user *to, size_t room,
			    struct ioasid_fault *records)
{
	size_t done = 0;
	int n = 0;

	while (done < room) {
		n = ioas_fault_queue_take(queue, records, room - done);
		if (n <= 0)
			break;
		if (copy_to_user(to + done, records, n * sizeof(*records))) {
			ioas_fault_queue_untake(queue, records);
			n = -EFAULT;
			break;
		}
		done += n;
		/* A flood may last as long as the array has room */
		if (signal_pending(current))
			break;
		cond_resched();
	}
	return done ?: n;
}

static ssize_t faults_read(struct file *filp, char __user *to, size_t length,
			   loff_t *pos)
{
	struct ioas_fault_queue *queue = filp->private_data;
	size_t room = length / sizeof(struct ioasid_fault);
	struct ioasid_fault *records;
	bool ended;
	ssize_t n;

	if (!room)
		return -EINVAL;
	records = kvmalloc_array(min_t(size_t, room, IOAS_FAULT_GROUP_MAX),
				 sizeof(*records), GFP_KERNEL_ACCOUNT);
	if (!records)
		return -ENOMEM;
	for (;;) {
		/* What came before the end is read first */
		ended = ioas_fault_queue_ended(queue);
		n = read_records(queue, (struct ioasid_fault __user *)to, room,
				 records);
		if (n || ended)
			break;
		n = filp->f_flags & O_NONBLOCK ? -EAGAIN :
						 ioas_fault_queue_wait(queue);
		if (n)
			break;
	}
	kvfree(records);
	return n > 0 ? n * sizeof(*records) : n;
}

static int answer(struct ioas_fault_queue *queue,
		  const struct ioasid_fault_response __user *from)
{
	struct ioasid_fault_response response;

	if (copy_from_user(&response, from, sizeof(response)))
		return -EFAULT;
	if (response.flags)
		return -EOPNOTSUPP;
	if (response.__reserved || response.code > IOASID_FAULT_INVALID)
		return -EINVAL;
	return ioas_fault_queue_answer(queue, response.id, response.code);
}

static ssize_t faults_write(struct file *filp, const char __user *from,
			    size_t length, loff_t *pos)
{
	const struct ioasid_fault_response __user *at =
		(const struct ioasid_fault_response __user *)from;
	size_t i, n = length / sizeof(*at);
	int ret = -EINVAL;

	for (i = 0; i < n; i++) {
		ret = answer(filp->private_data, &at[i]);
		if (!ret && signal_pending(current) && i + 1 < n)
			ret = -EINTR;
		if (ret)
			break;
		cond_resched();
	}
	return i ? i * sizeof(*at) : ret;
}

static __poll_t faults_poll(struct file *filp, struct poll_table_struct *wait)
{
	return ioas_fault_queue_poll(filp->private_data, filp, wait);
}

static int faults_release(struct inode *inode, struct file *filp)
{
	ioas_fault_queue_close(filp->private_data);
	ioas_fault_queue_put(filp->private_data);
	return 0;
}

static void faults_show_fdinfo(struct seq_file *m, struct file *filp)
{
	seq_puts(m, "ioasid-fault-queue:\t");
	show_queue(m, filp->private_data);
}

static const struct file_operations faults_fops = {
	.owner = THIS_MODULE,
	.read = faults_read,
	.write = faults_write,
	.poll = faults_poll,
	.release = faults_release,
	.show_fdinfo = faults_show_fdinfo,
	.llseek = noop_llseek,
};

/* ---- Commands ---- */

static struct ioas_fault_queue *alloc_queue(const struct ioasid_fault_queue *cmd)
{
	struct eventfd_ctx *eventfd = NULL;
	struct ioas_fault_queue *queue;

	if (cmd->eventfd >= 0) {
		eventfd = eventfd_ctx_fdget(cmd->eventfd);
		if (IS_ERR(eventfd))
			return ERR_CAST(eventfd);
	}
	queue = ioas_fault_queue_alloc(cmd->depth, eventfd, true);
	if (queue)
		return queue;
	if (eventfd)
		eventfd_ctx_put(eventfd);
	return ERR_PTR(-ENOMEM);
}

/* The object takes over the caller's reference to the queue, also on failure */
static struct ioasid_faults *alloc_faults(struct ioasid_ctx *ctx, u64 cookie,
					  struct ioas_fault_queue *queue)
{
	struct ioasid_faults *faults;
	int ret = -ENOMEM;

	faults = kzalloc(sizeof(*faults), GFP_KERNEL_ACCOUNT);
	if (!faults)
		goto err_put;
	faults->cookie = cookie;
	faults->queue = queue;
	ret = ioas_fault_listen();
	if (ret)
		goto err_free;
	ret = ioasid_object_reserve(ctx, &faults->obj, IOASID_OBJECT_FAULTS);
	if (ret)
		goto err_listen;
	return faults;

err_listen:
	ioas_fault_unlisten();
err_free:
	kfree(faults);
err_put:
	ioas_fault_queue_put(queue);
	return ERR_PTR(ret);
}

/* Undo alloc_faults() */
static void abort_faults(struct ioasid_faults *faults)
{
	xa_erase(&faults->obj.ctx->objects, faults->obj.id);
	ioas_fault_unlisten();
	ioas_fault_queue_put(faults->queue);
	/* Look-ups under RCU may still see it */
	kfree_rcu(faults, rcu);
}

static struct file *open_queue(struct ioas_fault_queue *queue)
{
	struct file *file = anon_inode_getfile("[ioasid-fault-queue]",
					       &faults_fops, queue, O_RDWR);

	if (!IS_ERR(file))
		ioas_fault_queue_get(queue);
	return file;
}

long ioasid_cmd_fault_queue(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			    void __user *user)
{
	struct ioasid_fault_queue __user *out = user;
	struct ioasid_fault_queue *cmd = &arg->fault_queue;
	struct ioas_fault_queue *queue;
	struct ioasid_faults *faults;
	struct file *file;
	int fd, ret;

	if (!cmd->depth || cmd->depth > DEPTH_MAX || cmd->eventfd < -1)
		return -EINVAL;
	queue = alloc_queue(cmd);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	faults = alloc_faults(ctx, cmd->cookie, queue);
	if (IS_ERR(faults))
		return PTR_ERR(faults);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto err_faults;
	}
	file = open_queue(queue);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_fd;
	}
	ret = -EFAULT;
	if (put_user(faults->obj.id, &out->queue) || put_user(fd, &out->fd))
		goto err_file;
	ioasid_object_publish(&faults->obj);
	fd_install(fd, file);
	return 0;

err_file:
	fput(file);
err_fd:
	put_unused_fd(fd);
err_faults:
	abort_faults(faults);
	return ret;
}
