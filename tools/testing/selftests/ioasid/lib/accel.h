/* SPDX-License-Identifier: GPL-2.0-only */
/* Accelerators of the model, which processes share, for tests. */
#ifndef __SELFTESTS_IOASID_ACCEL_H
#define __SELFTESTS_IOASID_ACCEL_H

#include <poll.h>

#include "model.h"
#include "ioasid_accel.h"

/* Where each IOASID of a test has its memory */
#define ACCEL_BASE (4ULL * SZ_1G)

int acc_plug(struct model *model, struct model_device *dev,
	     const struct model_params *params);

/* Open its node; @flags: O_NONBLOCK, or 0 */
int acc_open(const struct model_device *dev, int flags);

int acc_bind(int fd, int ctx, __u64 cookie);
int acc_attach_flags(int fd, __u32 id, __u32 vpasid, __u32 flags);

/* @vpasid 0: without a PASID */
int acc_attach(int fd, __u32 id, __u32 vpasid);
int acc_attach_any(int fd, __u32 id, __u32 *vpasid);
int acc_detach(int fd, __u32 vpasid);

/* -errno; or enum model_reason of a fault; or 0 */
int acc_submit(int fd, struct accel_submit *cmd);

/* The same, of pages of ACCEL_BASE */
int acc_fill(int fd, __u32 vpasid, __u64 seed, unsigned int page);
int acc_copy(int fd, __u32 vpasid, unsigned int from, unsigned int to);
int acc_sum(int fd, __u32 vpasid, unsigned int page, __u64 *sum);

/* Work until the first word of page 0 is @seed */
int acc_await(int fd, __u32 vpasid, __u64 seed);

struct accel_info acc_info(int fd);

/* Whether poll() tells that the file would be given a queue */
bool acc_ready(int fd, int timeout);

/* Have a job of the kernel done; 0 if its result is right */
int acc_kernel_job(struct model_device *dev, __u64 seed, __u32 length);

/* Set a parameter of the module */
int acc_set_turn(unsigned int ms);

/* Jobs that the device has ended keep their PASID, until this is called again */
int acc_hold_ends(bool hold);

#endif /* __SELFTESTS_IOASID_ACCEL_H */
