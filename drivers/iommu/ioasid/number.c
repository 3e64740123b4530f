// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers of PASIDs on the wire, where they are not those of user space: of devices
 * that a kernel driver shares among users.
 *
 * Invariants:
 *  - The numbers come from the pool of the IOMMU core, which all devices and all
 *    users in the kernel share.  User space never sees one.
 *  - A device whose numbers are translated has a number of its own for each
 *    attachment.
 *  - Of devices whose numbers are common, a vPASID means one IOASID and one number
 *    in all of a context, and an IOASID has one vPASID: so what a CPU or another
 *    device translates for one of them is right for all.
 *  - A number counts for the user that made the attach, or began the work, from
 *    before it is taken until it is in the pool again.
 *  - Listeners have been told that a number goes before it is in the pool again, and
 *    others are told when it is.
 *
 * Waits: ioasid_numbers.lock is held while listeners are called, which are kernel
 * drivers.  An attach waits for it killably.
 *
 * Locks: ioasid_numbers.lock, inside of ioasid_group.lock and ioasid_device.work_lock,
 * protects the common
 * numbers of a context; readers of @by_vpasid use RCU.  users_lock is a leaf.
 */
#include <kunit/visibility.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/export.h>
#include <linux/hashtable.h>
#include <linux/ioasid.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "context.h"
#include "device.h"
#include "number.h"

static unsigned int max_pasids = 4096;
module_param(max_pasids, uint, 0644);
MODULE_PARM_DESC(max_pasids,
		 "PASIDs of the machine that a user may have, of devices that share them. CAP_SYS_RESOURCE lifts it.");

/**
 * struct pasid_user - a user that has numbers
 * @node: in pasid_users
 * @uid: the user
 * @used: how many; never 0
 */
struct pasid_user {
	struct hlist_node node;
	kuid_t uid;
	u32 used;
};

static DEFINE_HASHTABLE(pasid_users, 6);
static DEFINE_MUTEX(users_lock);	/* protects pasid_users */

/**
 * struct ioasid_number - a number of the pool
 * @pasid: the number
 * @vpasid: of a common one: what user space calls it
 * @ioasid: of a common one: id of the IOASID
 * @users: of a common one: attachments that use it
 * @user: the user for which it counts
 * @rcu: frees it after translations that may still see it
 */
struct ioasid_number {
	u32 pasid;
	u32 vpasid;
	u32 ioasid;
	u32 users;
	struct pasid_user *user;
	struct rcu_head rcu;
};

/* ---- Quota ---- */

static struct pasid_user *lookup_user(kuid_t uid)
{
	struct pasid_user *user;

	lockdep_assert_held(&users_lock);
	hash_for_each_possible(pasid_users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

static int charge_user(struct pasid_user **charged)
{
	struct pasid_user *user, *spare;
	int ret = 0;

	spare = kmalloc(sizeof(*spare), GFP_KERNEL_ACCOUNT);
	if (!spare)
		return -ENOMEM;
	mutex_lock(&users_lock);
	user = lookup_user(current_uid());
	if ((user ? user->used : 0) >= READ_ONCE(max_pasids) &&
	    !capable(CAP_SYS_RESOURCE)) {
		ret = -EDQUOT;
	} else if (!user) {
		user = spare;
		spare = NULL;
		user->uid = current_uid();
		user->used = 0;
		hash_add(pasid_users, &user->node, __kuid_val(user->uid));
	}
	if (!ret)
		user->used++;
	mutex_unlock(&users_lock);
	kfree(spare);
	*charged = user;
	return ret;
}

static void uncharge_user(struct pasid_user *user)
{
	mutex_lock(&users_lock);
	if (--user->used)
		user = NULL;
	else
		hash_del(&user->node);
	mutex_unlock(&users_lock);
	kfree(user);
}

/**
 * ioasid_numbers_used() - count the numbers of the current user
 *
 * Context: may sleep.
 * Return: how many count for the user, in all contexts.
 */
u32 ioasid_numbers_used(void)
{
	struct pasid_user *user;
	u32 used;

	mutex_lock(&users_lock);
	user = lookup_user(current_uid());
	used = user ? user->used : 0;
	mutex_unlock(&users_lock);
	return used;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_numbers_used);

/**
 * ioasid_numbers_limit() - read the limit of numbers of a user
 *
 * Return: the limit.
 */
u32 ioasid_numbers_limit(void)
{
	return READ_ONCE(max_pasids);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_numbers_limit);

/**
 * ioasid_numbers_left() - count the numbers that the current user may still take
 *
 * Context: may sleep.
 * Return: how many; the pool may have fewer.
 */
u32 ioasid_numbers_left(void)
{
	u32 used = ioasid_numbers_used(), limit = ioasid_numbers_limit();

	return limit > used ? limit - used : 0;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_numbers_left);

/**
 * ioasid_numbers_count() - count a PASID, up to the limit of a context
 * @ctx: the context
 *
 * Return: true if the limit permits it.
 */
bool ioasid_numbers_count(struct ioasid_ctx *ctx)
{
	u64 limit = READ_ONCE(ctx->limit_pasids);
	int old = atomic_read(&ctx->nr_pasids);

	do {
		if ((u32)old >= limit || old == INT_MAX)
			return false;
	} while (!atomic_try_cmpxchg(&ctx->nr_pasids, &old, old + 1));
	return true;
}

/**
 * ioasid_numbers_uncount() - undo ioasid_numbers_count()
 * @ctx: the context
 */
void ioasid_numbers_uncount(struct ioasid_ctx *ctx)
{
	atomic_dec(&ctx->nr_pasids);
}

/* ---- Numbers ---- */

static struct ioasid_number *take_number(struct device *dev)
{
	struct ioasid_number *number;
	int ret;

	number = kzalloc(sizeof(*number), GFP_KERNEL_ACCOUNT);
	if (!number)
		return ERR_PTR(-ENOMEM);
	ret = charge_user(&number->user);
	if (ret)
		goto err_free;
	number->users = 1;
	number->pasid = ioas_iommu_alloc_pasid(dev);
	ret = -ENOSPC;
	if (number->pasid == IOMMU_PASID_INVALID)
		goto err_user;
	return number;

err_user:
	uncharge_user(number->user);
err_free:
	kfree(number);
	return ERR_PTR(ret);
}

/* Nothing is attached by it any more */
static void give_number(struct ioasid_device *idev, struct ioasid_number *number)
{
	struct ioasid_ctx *ctx = idev->obj.ctx;
	struct ioasid_pasid_gone gone = {
		.vpasid = number->vpasid,
		.pasid = number->pasid,
	};

	blocking_notifier_call_chain(&ctx->numbers.gone, IOASID_PASID_GONE,
				     &gone);
	ioas_iommu_free_pasid(number->pasid);
	uncharge_user(number->user);
	kfree_rcu(number, rcu);
	ioas_iommu_tell_returned();
}

/* The common number of a vPASID and an IOASID, with one user more */
static struct ioasid_number *get_common(struct ioasid_attachment *attachment)
{
	struct ioasid_numbers *numbers = &attachment->device->obj.ctx->numbers;
	u32 id = attachment->ioasid->obj.id, vpasid = attachment->vpasid;
	struct device *dev = attachment->device->dev;
	struct ioasid_number *number;
	int ret;

	lockdep_assert_held(&numbers->lock);
	number = xa_load(&numbers->by_vpasid, vpasid);
	if (number && number->ioasid != id)
		return ERR_PTR(-EEXIST);
	if (number) {
		if (number->pasid >= ioas_iommu_max_pasids(dev))
			return ERR_PTR(-ENOSPC);
		number->users++;
		return number;
	}
	if (xa_load(&numbers->by_ioasid, id))
		return ERR_PTR(-EEXIST);

	number = take_number(dev);
	if (IS_ERR(number))
		return number;
	number->vpasid = vpasid;
	number->ioasid = id;
	ret = xa_err(xa_store(&numbers->by_ioasid, id, number,
			      GFP_KERNEL_ACCOUNT));
	if (ret)
		goto err_give;
	ret = xa_err(xa_store(&numbers->by_vpasid, vpasid, number,
			      GFP_KERNEL_ACCOUNT));
	if (ret)
		goto err_erase;
	return number;

err_erase:
	xa_erase(&numbers->by_ioasid, id);
err_give:
	give_number(attachment->device, number);
	return ERR_PTR(ret);
}

/**
 * ioasid_number_get() - choose the PASID on the wire of an attachment
 * @attachment: the attachment, which routes nothing yet; out: its PASID
 *
 * Context: may sleep; ioasid_group.lock is held, or ioasid_device.work_lock.
 * Return: 0;
 * -EEXIST, of a device with common numbers: the vPASID is that of another IOASID,
 * or the IOASID has another vPASID;
 * -ENOSPC, the pool is empty, or the number is too wide for the device;
 * -EDQUOT, the user has no number left;
 * -EINTR, a fatal signal;
 * -ENOMEM.
 */
int ioasid_number_get(struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;
	struct ioasid_numbers *numbers = &idev->obj.ctx->numbers;
	struct ioasid_number *number;

	switch (idev->numbers) {
	case IOASID_NUMBERS_TRANSLATED:
		number = take_number(idev->dev);
		if (!IS_ERR(number))
			number->vpasid = attachment->vpasid;
		break;
	case IOASID_NUMBERS_COMMON:
		if (mutex_lock_killable(&numbers->lock))
			return -EINTR;
		number = get_common(attachment);
		mutex_unlock(&numbers->lock);
		break;
	default:
		return 0;
	}
	if (IS_ERR(number))
		return PTR_ERR(number);
	attachment->number = number;
	attachment->domain.pasid = number->pasid;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_number_get);

/**
 * ioasid_number_put() - undo ioasid_number_get()
 * @attachment: the attachment, which does not route any more
 *
 * Context: may sleep; needs no memory.
 */
void ioasid_number_put(struct ioasid_attachment *attachment)
{
	struct ioasid_device *idev = attachment->device;
	struct ioasid_numbers *numbers = &idev->obj.ctx->numbers;
	struct ioasid_number *number = attachment->number;

	if (!number)
		return;
	attachment->number = NULL;
	if (idev->numbers == IOASID_NUMBERS_TRANSLATED) {
		give_number(idev, number);
		return;
	}
	mutex_lock(&numbers->lock);
	if (!--number->users) {
		xa_erase(&numbers->by_vpasid, number->vpasid);
		xa_erase(&numbers->by_ioasid, number->ioasid);
		give_number(idev, number);
	}
	mutex_unlock(&numbers->lock);
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_number_put);

/**
 * ioasid_number_move() - let an attachment have the number of another one
 * @from: the attachment that has a number, or none
 * @to: the attachment that has none, of the same device and vPASID
 */
void ioasid_number_move(struct ioasid_attachment *from,
			struct ioasid_attachment *to)
{
	to->number = from->number;
	to->domain.pasid = from->domain.pasid;
	from->number = NULL;
}
EXPORT_SYMBOL_IF_KUNIT(ioasid_number_move);

/* ---- Contexts ---- */

void ioasid_numbers_init(struct ioasid_ctx *ctx)
{
	mutex_init(&ctx->numbers.lock);
	xa_init_flags(&ctx->numbers.by_vpasid, XA_FLAGS_ACCOUNT);
	xa_init_flags(&ctx->numbers.by_ioasid, XA_FLAGS_ACCOUNT);
	BLOCKING_INIT_NOTIFIER_HEAD(&ctx->numbers.gone);
}

/* No device is bound */
void ioasid_numbers_exit(struct ioasid_ctx *ctx)
{
	xa_destroy(&ctx->numbers.by_vpasid);
	xa_destroy(&ctx->numbers.by_ioasid);
	mutex_destroy(&ctx->numbers.lock);
}

/**
 * ioasid_pasid_translate() - find the PASID on the wire of a vPASID
 * @ctx: the context; the caller has a reference
 * @vpasid: what user space calls it
 * @pasid: out, the number
 *
 * For a translation by the CPU, or by a driver of several devices: of the devices
 * of @ctx that have common numbers.  The number is right until listeners of
 * ioasid_pasid_register_notifier() have heard that it goes: the caller registers
 * first.
 *
 * Context: any that can use RCU.
 * Return: 0, also while the attach is under way: the IOMMU blocks the number until
 * it is done; -ENOENT, @vpasid is not attached.
 */
int ioasid_pasid_translate(struct ioasid_ctx *ctx, u32 vpasid, u32 *pasid)
{
	struct ioasid_number *number;
	int ret = -ENOENT;

	rcu_read_lock();
	number = xa_load(&ctx->numbers.by_vpasid, vpasid);
	if (number) {
		*pasid = number->pasid;
		ret = 0;
	}
	rcu_read_unlock();
	return ret;
}
EXPORT_SYMBOL_GPL(ioasid_pasid_translate);

/**
 * ioasid_pasid_register_notifier() - be called before a number is used again
 * @ctx: the context; the caller has a reference until it unregisters
 * @nb: called with IOASID_PASID_GONE and a struct ioasid_pasid_gone: nothing is
 *	attached by the number any more, and no translation of it is in an IOTLB.
 *	When the callback returns, another user may get the number. It may sleep,
 *	but must not attach, detach or unbind a device.
 *
 * Context: may sleep.
 * Return: 0.
 */
int ioasid_pasid_register_notifier(struct ioasid_ctx *ctx,
				   struct notifier_block *nb)
{
	return blocking_notifier_chain_register(&ctx->numbers.gone, nb);
}
EXPORT_SYMBOL_GPL(ioasid_pasid_register_notifier);

/**
 * ioasid_pasid_unregister_notifier() - undo ioasid_pasid_register_notifier()
 * @ctx: the context
 * @nb: not called any more on return
 *
 * Context: may sleep.
 */
void ioasid_pasid_unregister_notifier(struct ioasid_ctx *ctx,
				      struct notifier_block *nb)
{
	blocking_notifier_chain_unregister(&ctx->numbers.gone, nb);
}
EXPORT_SYMBOL_GPL(ioasid_pasid_unregister_notifier);

/**
 * ioasid_pasid_register_returns() - be called when a number is in the pool again
 * @nb: called with IOASID_PASID_RETURNED. It must not sleep, and calls nothing of
 *	/dev/ioasid, whose locks are held.
 *
 * For a driver whose ioasid_pasid_begin() returned -ENOSPC: it may return 0 by now, or
 * another user may have got the number.  Users of the pool that are none of
 * /dev/ioasid's tell nothing when they return a number.
 *
 * Context: may sleep.
 */
void ioasid_pasid_register_returns(struct notifier_block *nb)
{
	ioas_iommu_register_returns(nb);
}
EXPORT_SYMBOL_GPL(ioasid_pasid_register_returns);

/**
 * ioasid_pasid_unregister_returns() - undo ioasid_pasid_register_returns()
 * @nb: not called any more on return
 *
 * Context: may sleep.
 */
void ioasid_pasid_unregister_returns(struct notifier_block *nb)
{
	ioas_iommu_unregister_returns(nb);
}
EXPORT_SYMBOL_GPL(ioasid_pasid_unregister_returns);
