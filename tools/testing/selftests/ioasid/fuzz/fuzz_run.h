/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by fuzz_run.c and fuzz_chaos.c only.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_RUN_H
#define __SELFTESTS_IOASID_FUZZ_RUN_H

#include "fuzz.h"

/* fuzz_run.c */
int get_info(int fd, __u32 id, struct ioasid_info *info);
int alloc(int fd, __u64 cookie, __u32 *id);
void saw_id(struct fuzz_world *w, __u32 id);
int dma_read(struct fuzz_world *w, int thread, __u32 pasid, __u64 iova,
	     void *data, size_t length);
int attach(int device, __u32 id);

/* fuzz_chaos.c */
void run_chaos(struct fuzz_world *w, const struct fuzz_op *op,
	       struct fuzz_result *r);

void run_chaos_check(struct fuzz_world *w, const struct fuzz_op *op,
		     struct fuzz_result *r);

#endif /* __SELFTESTS_IOASID_FUZZ_RUN_H */
