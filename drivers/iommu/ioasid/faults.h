/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault queues of a context.
 */
#ifndef _IOASID_FAULTS_H
#define _IOASID_FAULTS_H

#include <linux/types.h>

struct ioas_fault_queue;
struct ioasid_ctx;
struct ioasid_faults;

struct ioasid_faults *ioasid_faults_name(struct ioasid_ctx *ctx, u32 id);
void ioasid_faults_unname(struct ioasid_faults *faults);
void ioasid_faults_put(struct ioasid_faults *faults);
u32 ioasid_faults_id(const struct ioasid_faults *faults);
struct ioas_fault_queue *ioasid_faults_queue(struct ioasid_faults *faults);
void __init ioasid_faults_init(void);

#endif /* _IOASID_FAULTS_H */
