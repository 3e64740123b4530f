// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: where the kernel has KCOV, sequences of operations
 * that reached new code are kept, and made again.
 */
#include "fuzz_worker.h"

#define CORPUS 1024

#define KCOV_INIT_TRACE _IOR('c', 1, unsigned long)
#define KCOV_ENABLE _IO('c', 100)
#define KCOV_TRACE_PC 0
#define KCOV_WORDS 65536UL
#define SEEN_BITS 0x100000UL

static atomic_uchar seen[SEEN_BITS / 8];
static struct sequence corpus[CORPUS];
static size_t corpus_nr;
static pthread_mutex_t corpus_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread unsigned long *cover;

void kcov_start(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	void *p;

	cover = NULL;
	if (fd < 0)
		return;
	if (!ioctl(fd, KCOV_INIT_TRACE, KCOV_WORDS)) {
		p = mmap(NULL, KCOV_WORDS * sizeof(long),
			 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED && !ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
			cover = p;
		else if (p != MAP_FAILED)
			munmap(p, KCOV_WORDS * sizeof(long));
	}
	/* The thread's coverage ends with the thread. */
	close(fd);
}

void kcov_stop(void)
{
	if (cover)
		munmap(cover, KCOV_WORDS * sizeof(long));
	cover = NULL;
}

size_t kcov_new(const unsigned long *buf, size_t words)
{
	size_t i, nr = buf[0], found = 0;
	__u64 bit;

	if (nr > words - 1)
		nr = words - 1;
	for (i = 1; i <= nr; i++) {
		bit = buf[i] * 0x9e3779b97f4a7c15ULL >> 32 & (SEEN_BITS - 1);
		if (!(atomic_fetch_or(&seen[bit / 8], 1 << bit % 8) &
		      1 << bit % 8))
			found++;
	}
	return found;
}

static void corpus_add(struct worker *t, const struct sequence *s)
{
	pthread_mutex_lock(&corpus_lock);
	if (corpus_nr < CORPUS)
		corpus[corpus_nr++] = *s;
	else
		corpus[fuzz_mix(&t->random) % CORPUS] = *s;
	pthread_mutex_unlock(&corpus_lock);
}

bool make_again(struct worker *t, struct fuzz_op *op)
{
	if (t->again_at == t->again.nr && corpus_nr && one_in(t, 8)) {
		pthread_mutex_lock(&corpus_lock);
		t->again = corpus[below(t, corpus_nr)];
		pthread_mutex_unlock(&corpus_lock);
		t->again_at = 0;
	}
	if (t->again_at == t->again.nr)
		return false;
	*op = t->again.ops[t->again_at++];
	if (is_window(op)) {
		op->iova += FUZZ_WINDOW_START(t->nr) -
			    FUZZ_WINDOW_START(op->thread);
		op->space = FUZZ_WINDOW(t->nr);
	} else {
		op->space = t->nr * FUZZ_OWN + op->space % FUZZ_OWN;
	}
	if (op->type == OP_DMA_WRITE)
		op->iova = (op->iova & ~(FUZZ_PAGE - 1)) + FUZZ_SCRATCH(t->nr);
	op->thread = t->nr;
	if (one_in(t, 3) && makes_sense_spoilt(op))
		op->iova += ONE_OF(t, FUZZ_PAGE, -FUZZ_PAGE, 1);
	if (one_in(t, 3) && makes_sense_spoilt(op))
		op->length += ONE_OF(t, FUZZ_PAGE, -FUZZ_PAGE);
	if (is_window(op))
		keep_in_window(op);
	return true;
}

void corpus_begin(void)
{
	if (cover)
		__atomic_store_n(cover, 0, __ATOMIC_RELAXED);
}

void corpus_end(struct worker *t, const struct fuzz_op *op)
{
	struct sequence *s = &t->recent;

	if (!cover)
		return;
	if (s->nr == LONG_AGO) {
		memmove(s->ops, s->ops + 1, sizeof(*op) * (LONG_AGO - 1));
		s->nr--;
	}
	s->ops[s->nr++] = *op;
	if (kcov_new(cover, KCOV_WORDS))
		corpus_add(t, s);
}
