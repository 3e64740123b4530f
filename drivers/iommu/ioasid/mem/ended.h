/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What users are charged for mms that ended.
 */
#ifndef _IOASID_MEM_ENDED_H
#define _IOASID_MEM_ENDED_H

#include <linux/atomic.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>

struct user_struct;

/**
 * struct ioasid_ended - the charges of a user for mms that ended
 * @rb: in ended_users
 * @users: references, of payers and ledgers
 * @user: the user
 * @pages: number of pages; @user->locked_vm includes them
 */
struct ioasid_ended {
	struct rb_node rb;
	refcount_t users;
	struct user_struct *user;
	atomic_long_t pages;
};

struct ioasid_ended *ioasid_ended_get(struct user_struct *user);
void ioasid_ended_put(struct ioasid_ended *ended);
unsigned long ioasid_ended_pages(struct user_struct *user);

#endif /* _IOASID_MEM_ENDED_H */
