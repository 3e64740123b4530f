// SPDX-License-Identifier: GPL-2.0-only
/*
 * The throughput of two threads compared with one, and the delay of small maps
 * by an attach, on model devices; for /dev/ioasid and for iommufd.
 *
 * How to read the numbers
 *
 * These are ratios, of times that were taken on this machine in this boot, as a
 * count of instructions cannot show contention: CPUs that take turns have none.
 * Flushes of an emulated VT-d make its CPUs wait for each other, and would
 * dominate the result; hence the model device. The VM needs two CPUs, and the
 * host two for it that have nothing else to do.
 *
 * "Two threads": each maps and unmaps pages of its own, at addresses of its
 * own, for a while; then one thread alone does; and so on, in turn. The ratio
 * is that of the best of each; the median of the ratios of all rounds follows
 * it, and is better on a host whose speed changes. Either may meet the bar. A
 * busy host makes both less: a missed bar is tried again, and then the
 * throughput of two threads that only enter the kernel is measured; if that is
 * not close to twice the one of one thread, the host is "busy", and the bar
 * does not apply.
 *
 * "Attach": a device is attached to an address space with 100,000 mappings,
 * while another thread maps and unmaps a page in it, one at a time. None of
 * these may take more than a twentieth of the time of the attach; the median of
 * rounds, and the best. Both threads have a CPU for themselves.
 *
 *	bench_scale [-j FILE] [-r ROUNDS] [-t MS] [-c]
 *	  -j  write the numbers to FILE as JSON, too; "-" is standard output
 *	  -r  rounds (default: 9)
 *	  -t  milliseconds for each thread count in a round (default: 300)
 *	  -c  exit with status 1 if a bar was missed
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "model.h"
#include "stopwatch.h"

#define SZ_4K 0x1000ULL
#define SZ_4M 0x400000ULL
#define IOVA 0x100000000ULL
#define REGISTERED 0x10000000000ULL
#define THREADS 2
#define MAX_ROUNDS 63
/* Number of pages that a thread maps and unmaps in turn */
#define PAGES 256
#define NR_MANY 100000
/* Maximum number of maps and unmaps that are recorded during one attach */
#define MAX_MAPS 1000000

#define BAR_TWO 1.6
#define BAR_ATTACH 0.05
/* Throughput of two CPUs of an idle host, relative to one */
#define IDLE_HOST 1.8
/* Number of tries to meet a bar */
#define TRIES 4

static unsigned int rounds = 9, interval = 300;
static char *memory;
static FILE *json;
static bool missed, any_busy;

static void die(const char *what, int rc)
{
	fprintf(stderr, "bench_scale: %s: %s\n", what, strerror(-rc));
	exit(2);
}

static void must(const char *what, int rc)
{
	if (rc < 0)
		die(what, rc);
}

/* Between two rows of JSON */
static const char *separator(void)
{
	static bool any;
	bool first = !any;

	any = true;
	return first ? "" : ",";
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("a second CPU", -errno);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* --- an address space, with memory that it maps by reference or pins --- */

struct target {
	enum model_api api;
	struct model *model;
	struct model_space space;
	__u32 registry;		/* 0 for fresh memory */
};

static int target_map(struct target *t, __u64 iova, char *p)
{
	struct iommu_ioas_copy copy = {
		.size = sizeof(copy),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.dst_ioas_id = t->space.id,
		.src_ioas_id = t->registry,
		.length = SZ_4K,
		.dst_iova = iova,
		.src_iova = REGISTERED + (p - memory),
	};

	if (!t->registry)
		return model_map(&t->space, iova, p, SZ_4K, MODEL_RW);
	if (t->api == MODEL_IOMMUFD)
		return ia_cmd(t->model->ctx, IOMMU_IOAS_COPY, &copy);
	return model_map(&t->space, iova, (void *)copy.src_iova, SZ_4K,
			 MODEL_RW);
}

static int target_unmap(struct target *t, __u64 iova)
{
	return model_unmap(&t->space, iova, SZ_4K);
}

static __u32 register_memory(struct model *model)
{
	struct model_space space;

	must("alloc", model_space_open(model, &space));
	must("register", model_map(&space, REGISTERED, memory, SZ_4M,
				   MODEL_RW));
	return space.id;
}

static void target_open(struct target *t, struct model *model, __u32 registry)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_MAP,
		.parent = registry,
	};

	t->api = model->api;
	t->model = model;
	t->registry = registry;
	if (!registry || model->api == MODEL_IOMMUFD) {
		must("alloc", model_space_open(model, &t->space));
		return;
	}
	must("child", ia_cmd(model->ctx, IOASID_ALLOC, &cmd));
	t->space = (struct model_space) {
		.model = model,
		.id = cmd.ioasid,
		.container = -1,
	};
}

/* --- two threads --- */

enum work { COMPUTE, ENTER, MAP };

struct worker {
	pthread_t thread;
	enum work work;
	unsigned int nr;
	struct target *target;
	uint64_t done;
	int rc;
};

static atomic_bool go, stop;

static void *work(void *arg)
{
	struct worker *w = arg;
	__u64 iova = IOVA + w->nr * (1ULL << 32);
	unsigned int k;
	unsigned int i = 0;
	uint64_t done = 0;
	char *p;

	on_cpu(w->nr);
	while (!atomic_load(&go))
		;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		switch (w->work) {
		case COMPUTE:
			/* The loop must not be optimised away. */
			for (k = 0; k < 1000; k++)
				asm volatile("");
			break;
		case ENTER:
			syscall(SYS_getppid);
			break;
		case MAP:
			p = memory + (w->nr * PAGES + i) * SZ_4K;
			w->rc = target_map(w->target, iova + i * SZ_4K, p);
			if (!w->rc)
				w->rc = target_unmap(w->target,
						     iova + i * SZ_4K);
			if (w->rc)
				return NULL;
			i = (i + 1) % PAGES;
			break;
		}
		done++;
	}
	w->done = done;
	return NULL;
}

/* Throughput of @n threads, per second; thread k uses target k. */
static double run(enum work what, unsigned int n, struct target **targets)
{
	struct worker workers[THREADS] = {};
	uint64_t t, done = 0;
	unsigned int i;

	atomic_store(&go, false);
	atomic_store(&stop, false);
	for (i = 0; i < n; i++) {
		workers[i].work = what;
		workers[i].nr = i;
		workers[i].target = targets ? targets[i] : NULL;
		must("thread", -pthread_create(&workers[i].thread, NULL, work,
					       &workers[i]));
	}
	usleep(1000);
	t = now();
	atomic_store(&go, true);
	usleep(interval * 1000);
	atomic_store(&stop, true);
	t = now() - t;
	for (i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		must("map or unmap", workers[i].rc);
		done += workers[i].done;
	}
	return done * 1e9 / t;
}

/* The best of one thread and of two; ratios of all rounds, sorted. */
struct two {
	double one, two, ratio[MAX_ROUNDS];
};

static double run_rounds(struct two *t, enum work kind,
			 struct target **targets, unsigned int n)
{
	double a, b;
	unsigned int r;

	for (r = 0; r <= n; r++) {
		a = run(kind, 1, targets);
		b = run(kind, 2, targets);
		/* The first round warms up. */
		if (!r)
			continue;
		t->ratio[r - 1] = b / a;
		if (a > t->one)
			t->one = a;
		if (b > t->two)
			t->two = b;
	}
	qsort(t->ratio, n, sizeof(*t->ratio), compare);
	return t->two / t->one;
}

/* Check whether the host is busy. */
static bool host_busy(void)
{
	struct two t = {};

	return run_rounds(&t, ENTER, NULL, 3) < IDLE_HOST;
}

static const char *verdict(bool pass)
{
	bool busy = !pass && host_busy();

	missed |= !pass && !busy;
	any_busy |= busy;
	return pass ? "ok" : busy ? "busy host" : "MISSED";
}

static void report_two(const char *key, const char *api, const char *what,
		       enum work kind, struct target **targets, double bar)
{
	struct two t = {};
	unsigned int tries = TRIES;
	double best, median;

	do {
		memset(&t, 0, sizeof(t));
		best = run_rounds(&t, kind, targets, rounds);
		median = t.ratio[rounds / 2];
	} while (best < bar && median < bar && --tries);
	printf("%-8s %-44s %10.0f %10.0f %6.2f %7.2f", api, what, t.one,
	       t.two, best, median);
	if (bar)
		printf("  %.1f %s", bar, verdict(best >= bar || median >= bar));
	printf("\n");
	if (json) {
		fprintf(json, "%s\n\t\t{ \"key\": \"%s\", \"backend\": \"%s\",",
			separator(), key, api);
		fprintf(json, " \"name\": \"%s\", \"one\": %.0f, \"two\": %.0f,",
			what, t.one, t.two);
		fprintf(json, " \"ratio\": %.3f, \"median\": %.3f, \"bar\": %.1f }",
			best, median, bar);
	}
}

static void two_threads(enum model_api api, const char *name, double bar)
{
	struct model_device devices[2];
	struct target fresh[2], ref[2];
	struct model model;
	__u32 registry;
	int i;

	must("model device", model_open(&model, api));
	registry = register_memory(&model);
	for (i = 0; i < 2; i++) {
		must("plug", model_plug(&model, &devices[i], NULL, 0));
		target_open(&fresh[i], &model, 0);
		target_open(&ref[i], &model, registry);
		must("attach", model_attach(&devices[i], &fresh[i].space));
	}
	report_two("fresh_one", name, "fresh memory, one address space", MAP,
		   (struct target *[]){ &fresh[0], &fresh[0] }, bar);
	report_two("fresh_two", name, "fresh memory, two address spaces", MAP,
		   (struct target *[]){ &fresh[0], &fresh[1] }, bar);
	for (i = 0; i < 2; i++)
		must("attach", model_attach(&devices[i], &ref[i].space));
	report_two("ref_one", name, "by reference, one address space", MAP,
		   (struct target *[]){ &ref[0], &ref[0] }, bar);
	report_two("ref_two", name, "by reference, two of the same parent", MAP,
		   (struct target *[]){ &ref[0], &ref[1] }, bar);
	for (i = 0; i < 2; i++)
		model_release(&devices[i]);
	model_close(&model);
}

/* --- attach --- */

/* IOVA where the other thread maps and unmaps */
#define SMALL (IOVA + (1ULL << 36))

struct mapper {
	pthread_t thread;
	struct target *target;
	uint64_t *begin, *end;	/* of each map, and of each unmap */
	unsigned int n;
	int rc;
};

static void *map_small(void *arg)
{
	struct mapper *m = arg;

	on_cpu(1);
	atomic_store(&go, true);
	while (!atomic_load(&stop) && m->n < MAX_MAPS) {
		m->begin[m->n] = now();
		m->rc = m->n % 2 ? target_unmap(m->target, SMALL) :
				   target_map(m->target, SMALL, memory);
		m->end[m->n++] = now();
		if (m->rc)
			break;
	}
	return NULL;
}

struct hold_up {
	double ratio, attach, longest, p99;
	unsigned int ops;
};

static struct hold_up attach_once(struct model_device *dev, struct target *t,
				  struct mapper *m)
{
	struct hold_up h = {};
	uint64_t t0, t1;
	double *took;
	unsigned int i;

	m->n = 0;
	m->target = t;
	atomic_store(&go, false);
	atomic_store(&stop, false);
	must("thread", -pthread_create(&m->thread, NULL, map_small, m));
	while (!atomic_load(&go))
		;
	usleep(20000);
	t0 = now();
	must("attach", model_attach(dev, &t->space));
	t1 = now();
	usleep(20000);
	atomic_store(&stop, true);
	pthread_join(m->thread, NULL);
	must("small map or unmap", m->rc);
	if (m->n % 2)
		must("unmap", target_unmap(t, SMALL));

	took = calloc(m->n, sizeof(*took));
	if (!took)
		die("memory", -ENOMEM);
	for (i = 0; i < m->n; i++)
		if (m->end[i] > t0 && m->begin[i] < t1)
			took[h.ops++] = m->end[i] - m->begin[i];
	if (!h.ops)
		die("nothing done during the attach", -ENODATA);
	qsort(took, h.ops, sizeof(*took), compare);
	h.attach = t1 - t0;
	h.longest = took[h.ops - 1];
	h.p99 = took[(h.ops - 1) * 99 / 100];
	h.ratio = h.longest / h.attach;
	free(took);
	return h;
}

static int compare_hold_up(const void *a, const void *b)
{
	return compare(&((const struct hold_up *)a)->ratio,
		       &((const struct hold_up *)b)->ratio);
}

static void print_hold_up(const char *api, const char *what,
			  const struct hold_up *h, double bar)
{
	printf("%-8s %-28s %8.1f ms %8.2f ms %8.3f ms %8u %7.1f %%", api, what,
	       h->attach / 1e6, h->longest / 1e6, h->p99 / 1e6, h->ops,
	       h->ratio * 100);
	if (bar)
		printf("  %.0f %% %s", bar * 100, verdict(h->ratio <= bar));
	printf("\n");
}

static void attach(enum model_api api, const char *name, bool by_reference,
		   double bar)
{
	static struct hold_up all[MAX_ROUNDS];
	const struct hold_up *middle;
	struct model_device dev;
	struct mapper mapper;
	struct model model;
	struct target t;
	unsigned int i, r, tries = TRIES;
	char what[64];

	mapper.begin = calloc(MAX_MAPS, sizeof(*mapper.begin));
	mapper.end = calloc(MAX_MAPS, sizeof(*mapper.end));
	if (!mapper.begin || !mapper.end)
		die("memory", -ENOMEM);
	must("model device", model_open(&model, api));
	must("plug", model_plug(&model, &dev, NULL, 0));
	must("bind", model_bind(&dev));
	target_open(&t, &model, by_reference ? register_memory(&model) : 0);
	for (i = 0; i < NR_MANY; i++)
		must("map", target_map(&t, IOVA + i * 2 * SZ_4K,
				       memory + i % (SZ_4M / SZ_4K) * SZ_4K));
	on_cpu(0);
	do {
		for (r = 0; r < rounds; r++) {
			all[r] = attach_once(&dev, &t, &mapper);
			must("detach", model_detach(&dev));
		}
		qsort(all, rounds, sizeof(*all), compare_hold_up);
	} while (bar && all[0].ratio > bar && --tries);
	middle = &all[rounds / 2];
	snprintf(what, sizeof(what), "%s, median", by_reference ?
		 "by reference" : "fresh memory");
	print_hold_up(name, what, middle, 0);
	print_hold_up(name, "  best round", &all[0], bar);
	if (json) {
		fprintf(json, "%s\n\t\t{ \"key\": \"attach_%s\", \"backend\": \"%s\",",
			separator(), by_reference ? "ref" : "fresh", name);
		fprintf(json, " \"attach_ms\": %.2f, \"longest_ms\": %.3f,",
			middle->attach / 1e6, middle->longest / 1e6);
		fprintf(json, " \"p99_ms\": %.4f, \"ops\": %u,",
			middle->p99 / 1e6, middle->ops);
		fprintf(json, " \"median\": %.4f, \"ratio\": %.4f, \"bar\": %.2f }",
			middle->ratio, all[0].ratio, bar);
	}
	model_release(&dev);
	model_close(&model);
	free(mapper.begin);
	free(mapper.end);
}

static const struct {
	enum model_api api;
	const char *name;
	bool ours;
} apis[] = {
	{ MODEL_IOASID, "ioasid", true },
	{ MODEL_IOMMUFD, "iommufd", false },
};

int main(int argc, char **argv)
{
	struct rlimit limit = { 1ULL << 40, 1ULL << 40 };
	const char *path = NULL;
	bool check = false;
	unsigned int i;
	int opt;

	while ((opt = getopt(argc, argv, "j:r:t:c")) != -1) {
		switch (opt) {
		case 'j':
			path = optarg;
			break;
		case 'r':
			rounds = atoi(optarg);
			break;
		case 't':
			interval = atoi(optarg);
			break;
		case 'c':
			check = true;
			break;
		default:
			return 2;
		}
	}
	if (!rounds || rounds > MAX_ROUNDS || !interval) {
		fprintf(stderr, "bench_scale: 1 to %u rounds\n", MAX_ROUNDS);
		return 2;
	}
	if (path) {
		json = strcmp(path, "-") ? fopen(path, "we") : stdout;
		if (!json)
			die(path, -errno);
		fprintf(json, "{\n\t\"rows\": [");
	}
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		die("RLIMIT_MEMLOCK", -errno);
	setvbuf(stdout, NULL, _IOLBF, 0);
	memory = ia_mem_aligned(SZ_4M, SZ_4M);
	if (memory == MAP_FAILED || !memory)
		die("memory", -ENOMEM);
	madvise(memory, SZ_4M, MADV_NOHUGEPAGE);
	memset(memory, 1, SZ_4M);

	printf("two threads; per second; best of %u rounds\n", rounds);
	printf("%-8s %-44s %10s %10s %6s %7s  bar\n", "", "", "one", "two",
	       "ratio", "median");
	report_two("compute", "-", "no kernel", COMPUTE, NULL, 0);
	report_two("enter", "-", "the shortest system call", ENTER, NULL, 0);
	for (i = 0; i < ARRAY_SIZE(apis); i++)
		two_threads(apis[i].api, apis[i].name,
			    apis[i].ours ? BAR_TWO : 0);

	printf("\nattach of a device to %u mappings of 4K; %u rounds\n", NR_MANY,
	       rounds);
	printf("%-8s %-28s %11s %11s %11s %8s %9s  bar\n", "", "", "attach",
	       "longest op", "p99", "ops", "longest");
	for (i = 0; i < ARRAY_SIZE(apis); i++) {
		attach(apis[i].api, apis[i].name, false,
		       apis[i].ours ? BAR_ATTACH : 0);
		attach(apis[i].api, apis[i].name, true,
		       apis[i].ours ? BAR_ATTACH : 0);
	}
	if (json) {
		fprintf(json, "\n\t],\n\t\"busy\": %s\n}\n",
			any_busy ? "true" : "false");
		if (json != stdout && fclose(json))
			die(path, -errno);
	}
	return check && missed;
}
