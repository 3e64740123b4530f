/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A worker of the fuzzer, and what makes up its operations: fuzz_make.c makes
 * new ones, fuzz_corpus.c varies those that reached new code.
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
void keep_in_window(struct fuzz_op *op);
/* Whether the command has an IOVA and a length that may be wrong. */
bool makes_sense_spoilt(const struct fuzz_op *op);
void make_new(struct worker *t, struct fuzz_op *op);

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
