/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A worker of the fuzzer, and what makes up its operations: fuzz_make.c makes
 * new ones, fuzz_make_table.c those on tables of user space, fuzz_corpus.c varies
 * those that reached new code.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_WORKER_H
#define __SELFTESTS_IOASID_FUZZ_WORKER_H

#include "fuzz.h"
#include "fuzz_model.h"

#define LONG_AGO 8	/* maximum length of a sequence of the corpus */

struct log;
struct round;

struct sequence {
	int nr;
	struct fuzz_op ops[LONG_AGO];
};

struct worker {
	pthread_t thread;
	struct fuzz_world *w;
	struct log *log;
	struct round *round;
	int nr;
	size_t ops;
	size_t done;
	__u64 random;
	struct sequence recent;
	/* the rest of a sequence of the corpus */
	struct sequence again;
	int again_at;
};

/* One of the constants */
#define ONE_OF(t, ...) \
	({ \
		static const __u64 one_of[] = { __VA_ARGS__ }; \
		one_of[below(t, sizeof(one_of) / sizeof(*one_of))]; \
	})

/* fuzz_make.c */
extern const struct fuzz_maker {
	const char *name;
	unsigned int per_mille;	/* how many of all operations */
	void (*make)(struct worker *t, struct fuzz_op *op);
} fuzz_types[OP_NR];

bool one_in(struct worker *t, unsigned int n);
__u64 below(struct worker *t, __u64 n);
bool is_window(const struct fuzz_op *op);
const struct fuzz_space *space_of(struct worker *t, const struct fuzz_op *op);
/* A random mapping of the space, NULL if it has none. */
const struct fuzz_mapping *some_mapping(struct worker *t,
					const struct fuzz_space *s);
/* A random id, mostly of an existing IOASID. */
void make_id(struct worker *t, struct fuzz_op *op);
__u64 make_iova(struct worker *t, const struct fuzz_space *s);
/* A random piece of memory; the system has at least one. */
void make_memory(struct worker *t, struct fuzz_op *op);
void keep_in_window(struct fuzz_op *op);
/* Whether the command has an IOVA and a length that may be wrong. */
bool makes_sense_spoilt(const struct fuzz_op *op);
void make_new(struct worker *t, struct fuzz_op *op);

/* fuzz_make_table.c */
/* Make it an alloc of a table, if that makes sense. */
bool make_table(struct worker *t, struct fuzz_op *op);
/* Make it a map that tables lead to, if that makes sense. */
bool make_below_table(struct worker *t, struct fuzz_op *op);
/* Often take a table for the id, if the device's IOMMU can use it. */
void prefer_table(struct worker *t, struct fuzz_op *op);
/*
 * If the space is a table that DMA cannot pass yet, make it the next operation that
 * is needed for that.  Returns false if it is not, and sometimes without need.
 */
bool make_way_to(struct worker *t, struct fuzz_op *op, int to);
/*
 * If the attach is to a table by PASID, make it one by requester id; or a detach of
 * a PASID that is in its way.
 */
void aim_at_pasids(struct worker *t, struct fuzz_op *op);
/* An address to which a table leads, or may lead. */
__u64 make_va(struct worker *t, const struct fuzz_space *s);
void make_bind_table(struct worker *t, struct fuzz_op *op);
void make_unbind_table(struct worker *t, struct fuzz_op *op);
void make_invalidate(struct worker *t, struct fuzz_op *op);
void make_entry(struct worker *t, struct fuzz_op *op);

/* fuzz_corpus.c */
void kcov_start(void);
void kcov_stop(void);
/*
 * Number of places in @buf that were not seen before. The first word of @buf is
 * the number of places that follow; there is room for @words - 1.
 */
size_t kcov_new(const unsigned long *buf, size_t words);
/* An operation of this thread that reached new code, sometimes varied. */
bool make_again(struct worker *t, struct fuzz_op *op);
/* Before an operation, and after it, if the kernel has KCOV. */
void corpus_begin(void);
void corpus_end(struct worker *t, const struct fuzz_op *op);

#endif /* __SELFTESTS_IOASID_FUZZ_WORKER_H */
