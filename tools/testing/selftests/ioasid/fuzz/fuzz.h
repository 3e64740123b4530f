/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of /dev/ioasid: declarations that its parts share.
 *
 * fuzz.c runs operations, in several threads; fuzz_make*.c and fuzz_corpus.c make
 * them up; fuzz_run.c does one of them, fuzz_chaos.c one on "chaos" (see below);
 * fuzz_model*.c, the reference model, judge what came of it: they know
 * operations and results (fuzz_op.h), but not how they are run; fuzz_shrink.c
 * makes a short C program of operations that went wrong; fuzz_rough.c has
 * sessions run beside processes that get in their way; fuzz_served*.c have a model of
 * their own of IOASIDs whose memory the kernel brings in when it is used.
 *
 * Several threads work on one context, and results still are predictable: every
 * thread has IOASIDs of its own, a window of IOVAs of its own in one that they
 * share, a device of its own, and a word of its own in every page for DMA to
 * write to. Operations that depend on all threads (limits, lists, sums) hold
 * world.lock for writing, all others hold it for reading. One more IOASID,
 * "chaos", has no owner: all threads race on it, and only invariants are
 * checked, while no thread runs.
 *
 * Without --threads and --race, workers are not threads of the system: they
 * take turns in one thread, so that a seed repeats exactly.
 *
 * Tables of user space are in MEM_TABLE, see fuzz_tables(), and anywhere else, where
 * they make no sense.  With FUZZ_WITH_PASIDS the device of the first thread is
 * behind an IOMMU that walks them.  Only that thread changes them, and invalidates
 * them before it does anything else.  The model has a copy, to which it does what
 * the IOMMU does.  DMA is left out if what it would read as an entry is a word that
 * DMA of other threads writes to.
 *
 * To add a command: a name in enum fuzz_type, and a row in each of fuzz_types[]
 * (fuzz_make.c), fuzz_runs[] (fuzz_run.c), fuzz_judges[] (fuzz_model.c),
 * with a judge in another fuzz_model_*.c, and fuzz_prints[] (fuzz_shrink.c).
 *
 * Not made up, because the model does not know them: children of the shared
 * IOASID, imports of other contexts (but see fuzz_rough.c), memory of devices, and
 * roots that pin on demand and DMA to mirrors of the process (but see fuzz_served.c).
 */
#ifndef __SELFTESTS_IOASID_FUZZ_H
#define __SELFTESTS_IOASID_FUZZ_H

#include <pthread.h>

#include "fuzz_op.h"

struct fuzz_model;

/**
 * struct fuzz_world - a context under test
 * @fd: the context
 * @shared: id of the shared IOASID
 * @chaos: id of the IOASID where all threads race, 0 if there is none
 * @newest: highest id that was given
 * @device: files of the devices, -1 where there is none
 * @exports: files of exports, -1 where there is none
 * @queues: files of fault queues, -1 where there is none
 * @lock: held for writing by operations that depend on all threads
 * @limited: answers depend on what other threads do
 * @vm_pin: VmPin before
 * @vm_lck: VmLck before
 * @ring_used: io_uring had commands for the context
 * @digest: of operations and their results; repeats if workers take turns
 * @model: the model
 */
struct fuzz_world {
	struct fuzz_setting setting;
	int fd;
	__u32 shared;
	atomic_uint chaos;
	atomic_uint newest;
	int device[FUZZ_DEVICES];
	int exports[FUZZ_THREADS * FUZZ_EXPORTS];
	int queues[FUZZ_THREADS];
	pthread_rwlock_t lock;
	atomic_bool limited;
	__u64 vm_pin;
	__u64 vm_lck;
	atomic_bool ring_used;
	__u64 digest;
	struct fuzz_model *model;
};

extern struct fuzz_memory fuzz_mems[MEM_NR];
extern bool fuzz_have_devices, fuzz_have_physical;
/* Number of operations of each type that were done, and that succeeded. */
extern atomic_size_t fuzz_done[OP_NR], fuzz_succeeded[OP_NR];

/* Counts operations, of several processes; NULL where none of them does. */
extern atomic_size_t *fuzz_progress;

/* The next number of a sequence that @state begins. */
static inline __u64 fuzz_mix(__u64 *state)
{
	__u64 x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* What sessions have to bear. */
enum fuzz_roughness {
	FUZZ_IMPORTERS = 1 << 0,	/* importers, and what they import from */
	FUZZ_HIGH = 1 << 1,	/* a memory cgroup over memory.high */
	FUZZ_KILL = 1 << 2,	/* SIGKILL */
};

/**
 * struct fuzz_rough - sessions in rough surroundings
 * @seed: of all
 * @ops: how many operations, of all processes together
 * @seconds: how long at most, 0 for any time
 * @how: enum fuzz_roughness
 * @session: called in a process of its own, for sessions with that seed; 0, or
 *	a negative errno when they went wrong
 * @options: for @session
 */
struct fuzz_rough {
	__u64 seed;
	size_t ops;
	unsigned int seconds;
	unsigned int how;
	int (*session)(const struct fuzz_rough *rough, __u64 seed);
	const void *options;
};

/* fuzz_served.c */
bool fuzz_can_serve(void);
/* Sessions of @ops steps together; 0, or a negative errno. */
int fuzz_served(__u64 seed, size_t ops);

/* fuzz_rough.c */
int fuzz_rough(const struct fuzz_rough *rough);

/* fuzz_run.c */
void fuzz_run_init(void);
void fuzz_run_exit(void);
int fuzz_open(struct fuzz_world *w, const struct fuzz_setting *setting);
void fuzz_close(struct fuzz_world *w, struct fuzz_verdict *v);
bool fuzz_query(int fd, __u32 id, __u64 iova, struct ioasid_query_entry *entry);
void fuzz_build(const struct fuzz_world *w, const struct fuzz_op *op,
		union fuzz_arg *arg, size_t *size);
void fuzz_run(struct fuzz_world *w, const struct fuzz_op *op,
	      struct fuzz_verdict *v);
const char *fuzz_command(const struct fuzz_op *op);

/* fuzz_shrink.c */
long fuzz_replay(const struct fuzz_setting *setting, const struct fuzz_op *ops,
		 size_t nr, struct fuzz_verdict *v);
size_t fuzz_shrink(const struct fuzz_setting *setting, struct fuzz_op *ops,
		   size_t nr, struct fuzz_verdict *v);
void fuzz_print_program(FILE *f, const struct fuzz_setting *setting,
			const struct fuzz_op *ops, size_t nr,
			const struct fuzz_verdict *v);
void fuzz_print_ops(FILE *f, const struct fuzz_setting *setting,
		    const struct fuzz_op *ops, size_t nr);
int fuzz_read_ops(FILE *f, struct fuzz_setting *setting, struct fuzz_op **ops,
		  size_t *nr);

#endif /* __SELFTESTS_IOASID_FUZZ_H */
