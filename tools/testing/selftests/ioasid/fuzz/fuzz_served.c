// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: IOASIDs whose memory the kernel brings in when it is
 * used, and what comes with them: a mirror of the process, whose memory changes
 * meanwhile; a root that pins on demand; an accelerator, which takes a PASID for each
 * piece of work; mappings whose charge moves between processes.
 *
 * What comes of each step is foreseen: devices find what the process finds with the
 * CPU, or nothing where it has nothing.  Some pages change at any time, while a device
 * writes to them: of these nothing is foreseen, but that no harm is done.
 *
 * When a session goes wrong, its seed and the step are printed.  The steps repeat, the
 * writes to pages that change do not.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "fuzz_served.h"

/* Steps of a session, after which all of it is closed */
#define SESSION_STEPS 1000

/* The channel of the device that writes on and on */
#define LOOSE_CHANNEL 1

static const char *doing = "nothing";

int served_complain(const char *what, long long got, long long want)
{
	printf("# served, %s: %s is %lld, should be %lld\n", doing, what, got,
	       want);
	return -EPROTO;
}

/* ---- Pages that change while they are used ---- */

struct loose {
	pthread_t thread;
	struct served *s;
	__u64 random;
	bool stop;
};

static void change_loose(struct loose *l)
{
	const unsigned int at = fuzz_mix(&l->random) % (SERVED_PAGES - 4);
	char *p = l->s->mirror.loose + at * FUZZ_PAGE;
	const size_t length = (1 + fuzz_mix(&l->random) % 4) * FUZZ_PAGE;

	switch (fuzz_mix(&l->random) % 4) {
	case 0:
		mprotect(p, length, PROT_READ);
		mprotect(p, length, PROT_READ | PROT_WRITE);
		break;
	case 1:
		madvise(p, length, MADV_DONTNEED);
		break;
	case 2:
		/* from one place to another, and new memory there */
		mremap(p, FUZZ_PAGE, FUZZ_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       p + FUZZ_PAGE);
		mmap(p, FUZZ_PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	default:
		mmap(p, length, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	}
}

static void *loose_thread(void *arg)
{
	struct loose *l = arg;

	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		change_loose(l);
		sched_yield();
	}
	return NULL;
}

static int loose_start(struct loose *l, struct served *s)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_ATS |
			 IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_LOOP |
			 IOASID_MODEL_DMA_GO_ON,
		.pasid = 1,
		.threads = 1,
		.address = IA_PTR(s->mirror.loose),
		.length = 64,
		.stride = FUZZ_PAGE,
		.count = SERVED_PAGES,
		.operand = s->random,
	};

	*l = (struct loose){ .s = s, .random = fuzz_mix(&s->random) };
	return SERVED_WANT(0, model_start(&s->dev, LOOSE_CHANNEL, &dma)) ?:
	       SERVED_WANT(0, pthread_create(&l->thread, NULL, loose_thread, l));
}

static int loose_stop(struct loose *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
	pthread_join(l->thread, NULL);
	return SERVED_WANT(0, model_stop(&l->s->dev, LOOSE_CHANNEL, NULL));
}

/* ---- Sessions ---- */

static int served_open(struct served *s, __u64 seed)
{
	const struct model_params requests[] = {
		{ .flags = MODEL_PRI | MODEL_ATS, .pasid_bits = 5 },
		{ .flags = MODEL_PRI | MODEL_ATS, .pasid_bits = 5, .unit = 1 },
	};
	int i, rc;

	*s = (struct served){
		.random = seed, .fd = -1, .home = -1, .home_file = -1,
		.dev.fd = -1, .mirror.file = -1,
	};
	for (i = 0; i < SERVED_FILES; i++)
		s->files[i].fd = -1;
	rc = model_open(&s->model, MODEL_IOASID);
	if (rc)
		return rc;
	s->fd = s->model.ctx;
	return SERVED_WANT(0, model_plug(&s->model, &s->dev, &requests[0], 0)) ?:
	       SERVED_WANT(0, acc_plug(&s->model, &s->acc, &requests[1])) ?:
	       SERVED_WANT(0, model_bind(&s->dev)) ?:
	       mirror_open(s) ?: demand_open(s) ?: home_open(s);
}

static int no_harm(struct model_device *dev)
{
	const char *harm = model_harm(dev);

	if (harm)
		printf("# served: %s\n", harm);
	return harm ? -EPROTO : 0;
}

/* Each request of a device has its answer, and no device is left attached */
static int served_close(struct served *s, int rc)
{
	const char *unanswered;

	doing = "the end";
	accel_close(s);
	if (!rc)
		rc = demand_close(s) ?: home_close(s);
	if (s->dev.model) {
		model_release(&s->dev);
		unanswered = fault_unanswered(&s->dev, 0);
		if (unanswered && !rc) {
			printf("# served: %s\n", unanswered);
			rc = -EPROTO;
		}
		rc = rc ?: no_harm(&s->dev) ?: no_harm(&s->acc) ?:
		     SERVED_WANT(0, model_counters(&s->acc).attached);
		model_unplug(&s->dev, 0);
	}
	if (s->acc.model)
		model_unplug(&s->acc, 0);
	close(s->home);
	close(s->home_file);
	close(s->mirror.file);
	if (s->mirror.mem)
		munmap((void *)((IA_PTR(s->mirror.mem) - 1) & -PROCESS_WINDOW),
		       2 * PROCESS_WINDOW);
	if (s->demand.mem)
		munmap(s->demand.mem, SERVED_PAGES * FUZZ_PAGE);
	model_close(&s->model);
	return rc;
}

static int served_step(struct served *s)
{
	switch (served_below(s, 16)) {
	case 0 ... 8:
		doing = "the mirror";
		return mirror_step(s);
	case 9 ... 11:
		doing = "the root on demand";
		return demand_step(s);
	case 12 ... 14:
		doing = "the accelerator";
		return accel_step(s);
	default:
		doing = "the charge";
		/* it takes a process */
		return served_below(s, 4) ? mirror_step(s) : home_step(s);
	}
}

static int session(__u64 seed, size_t steps, size_t *done)
{
	static struct served s;
	/* They take most of the time */
	const bool races = seed % 4 == 0;
	struct loose loose;
	size_t i = 0;
	int rc;

	rc = served_open(&s, seed);
	if (!rc && races)
		rc = loose_start(&loose, &s);
	if (rc)
		return served_close(&s, rc);
	for (; i < steps && !rc; i++) {
		rc = served_step(&s);
		++*done;
		if (fuzz_progress)
			++*fuzz_progress;
	}
	if (rc)
		printf("# served: seed %#llx, step %zu\n", seed, i);
	if (races)
		rc = loose_stop(&loose) ?: rc;
	return served_close(&s, rc);
}

/* Whether this kernel, and this machine, have what is needed */
bool fuzz_can_serve(void)
{
	int fd = ia_open(), has;

	if (fd < 0)
		return false;
	has = ia_check(fd, IOASID_EXT_PROCESS);
	close(fd);
	return has > 0 && !model_load();
}

int fuzz_served(__u64 seed, size_t ops)
{
	const __u64 start = ia_now_ms();
	__u64 random = seed;
	size_t done = 0;
	int rc = 0;

	while (!rc && done < ops)
		rc = session(fuzz_mix(&random), ops - done < SESSION_STEPS ?
			     ops - done : SESSION_STEPS, &done);
	printf("# served, seed %#llx: %zu steps in %llu ms%s\n", seed, done,
	       ia_now_ms() - start, rc ? ": FAILED" : "");
	return rc;
}
