// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on /dev/ioasid, compared with a model; see fuzz.h.
 *
 * Without options this is a test program: it runs a few fixed seeds, and new
 * ones. With options it runs as long as they say:
 *
 *	fuzz --seed 1 --ops 1000000
 *	fuzz --threads 4 --time 3600
 *	fuzz --race --time 3600
 *	fuzz --importers --high --kill --ops 1000000
 *	fuzz --served --ops 100000
 *	fuzz --replay FILE
 *
 * A seed repeats exactly, operation by operation, as long as its workers take
 * turns in one thread, in an order that the seed gives. With --threads each
 * worker is a thread of its own; with --race their number changes, too.
 *
 * With --importers, --high or --kill sessions run in a process beside others,
 * see fuzz_rough.c. That does not repeat.  With --served sessions are those of
 * fuzz_served.c.
 *
 * What goes wrong is made short and printed, as operations for --replay and
 * as a C program. Where the kernel has KCOV, operations that reached new code
 * are kept, and varied.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <sys/random.h>

#include "ioasid_test.h"
#include "fuzz_worker.h"

/*
 * Operations of each fixed seed; a debug kernel in an emulated machine does
 * fewer in the same time.
 */
#define FAST_OPS 50000
#define SLOW_OPS 6000

/* The same, of fuzz_served.c */
#define FAST_SERVED 8000
#define SLOW_SERVED 1000

#define ROUND_OPS 2500	/* of one context */
#define QUIET_OPS 1000	/* the same, for a planted mistake, which soon fails */
/* Maximum length of a planted mistake after shrinking. */
#define PLANT_OPS 10

struct options {
	__u64 seed;
	size_t ops;
	int threads;	/* 0: any number */
	bool race;	/* each worker is a thread; otherwise they take turns */
	unsigned int seconds;	/* 0: as long as it takes */
	int plant;
	bool physical;	/* no emulated devices */
	bool quiet;	/* it is meant to go wrong */
	unsigned int how;	/* enum fuzz_roughness */
	bool served;	/* sessions of fuzz_served.c */
	__u64 digest;	/* out, of all operations and their results */
};

/* Operations, in the order of their start. */
struct log {
	struct fuzz_op *ops;
	size_t room;
	atomic_size_t nr;
};

struct round {
	struct fuzz_world w;
	struct log log;
	struct worker workers[FUZZ_THREADS];
	pthread_mutex_t lock;
	atomic_bool stop;
	__u64 turns;		/* the worker whose turn it is */
	struct fuzz_verdict verdict;
	struct fuzz_op wrong;
};

/* Do one operation; returns false if it failed. */
static bool step(struct worker *t)
{
	struct fuzz_verdict v;
	struct fuzz_op op;
	size_t at;

	if (!make_again(t, &op))
		make_new(t, &op);
	at = t->log->nr++;
	t->log->ops[at] = op;
	corpus_begin();
	fuzz_run(t->w, &op, &v);
	t->done++;
	if (v.bad) {
		pthread_mutex_lock(&t->round->lock);
		if (!t->round->verdict.bad) {
			t->round->verdict = v;
			t->round->wrong = op;
		}
		t->round->stop = true;
		pthread_mutex_unlock(&t->round->lock);
		return false;
	}
	corpus_end(t, &op);
	return true;
}

static void *work(void *arg)
{
	struct worker *t = arg;

	if (t->w->setting.rlimit)
		fuzz_may_lock(false);
	kcov_start();
	while (t->done < t->ops && !t->round->stop && step(t))
		;
	kcov_stop();
	fuzz_run_exit();
	return NULL;
}

/* Run all workers in one thread, without coverage: that does not repeat. */
static void *work_in_turns(void *arg)
{
	struct round *r = arg;
	const int nr = r->w.setting.threads;
	struct worker *t;
	size_t left = 0;
	int i;

	if (r->w.setting.rlimit)
		fuzz_may_lock(false);
	for (i = 0; i < nr; i++)
		left += r->workers[i].ops;
	while (left) {
		t = &r->workers[fuzz_mix(&r->turns) % nr];
		if (t->done == t->ops)
			continue;
		if (!step(t))
			break;
		left--;
	}
	fuzz_run_exit();
	return NULL;
}

/* Run one context, from open to close. 0, or a negative errno if it cannot. */
static int run_round(struct round *r, const struct fuzz_setting *setting,
		     bool race, __u64 seed, size_t ops)
{
	pthread_t thread;
	int i, rc;

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	if (setting->rlimit)
		fuzz_limit(setting->rlimit);
	rc = fuzz_open(&r->w, setting);
	if (rc)
		return rc;
	r->log.room = ops + FUZZ_THREADS;
	r->log.ops = calloc(r->log.room, sizeof(*r->log.ops));
	if (!r->log.ops)
		return -ENOMEM;
	for (i = 0; i < setting->threads; i++) {
		struct worker *t = &r->workers[i];

		t->w = &r->w;
		t->log = &r->log;
		t->round = r;
		t->nr = i;
		t->ops = ops / setting->threads;
		t->random = seed + i * 0x5851f42d4c957f2dULL;
		if (race && pthread_create(&t->thread, NULL, work, t))
			abort();
	}
	r->turns = ~seed;
	if (!race) {
		if (pthread_create(&thread, NULL, work_in_turns, r))
			abort();
		pthread_join(thread, NULL);
	}
	for (i = 0; race && i < setting->threads; i++)
		pthread_join(r->workers[i].thread, NULL);
	fuzz_close(&r->w, &r->verdict);
	return 0;
}

/* Print the output of @print as lines of a test's comment. */
static void print_comment(const char *text)
{
	const char *end;

	for (; *text; text = end + 1) {
		end = strchrnul(text, '\n');
		printf("# %.*s\n", (int)(end - text), text);
		if (!*end)
			break;
	}
	fflush(stdout);
}

/* Report a failure; returns the number of operations that reproduce it. */
static size_t report(struct round *r, bool print)
{
	const struct fuzz_setting *setting = &r->w.setting;
	struct fuzz_verdict v = r->verdict;
	size_t nr = r->log.nr, size;
	char *text;
	FILE *f;

	if (print)
		printf("# after %zu operations: %s is %#llx (%lld), should be %#llx (%lld) %s\n",
		       nr, v.what, v.got, (long long)v.got, v.want,
		       (long long)v.want, v.why);
	if (r->log.nr > r->log.room)
		nr = r->log.room;
	nr = fuzz_shrink(setting, r->log.ops, nr, &v);
	if (!print)
		return nr;
	f = open_memstream(&text, &size);
	if (!f)
		return nr;
	if (nr) {
		fuzz_print_ops(f, setting, r->log.ops, nr);
		fuzz_print_program(f, setting, r->log.ops, nr, &v);
	} else {
		fprintf(f, "not so in one thread; what went wrong:\n");
		fuzz_print_ops(f, setting, &r->wrong, 1);
		fprintf(f, "the last operations:\n");
		nr = r->log.nr < 40 ? r->log.nr : 40;
		fuzz_print_ops(f, setting, r->log.ops + r->log.nr - nr, nr);
	}
	fclose(f);
	print_comment(text);
	free(text);
	return nr;
}

/*
 * Run rounds until one fails. Returns 0 if none did; the number of operations
 * that reproduce the failure; or a negative errno.
 */
static long session(struct options *o)
{
	const __u64 start = ia_now_ms();
	__u64 random = o->seed, how;
	static struct round r;
	struct fuzz_setting setting = { .plant = o->plant };
	size_t done = 0, nr;
	long rc;

	while (done < o->ops &&
	       (!o->seconds || ia_now_ms() - start < o->seconds * 1000ULL)) {
		/* Drawn whether it counts or not, so that seeds stay the same */
		setting.threads = 1 + (int)(fuzz_mix(&random) % 3);
		how = fuzz_mix(&random);
		if (o->threads)
			setting.threads = o->threads;
		setting.physical = FUZZ_EMULATED;
		/* every second one with PASIDs, and tables of user space */
		if (fuzz_have_physical && how % 2)
			setting.physical = FUZZ_WITH_PASIDS;
		else if (fuzz_have_physical && (o->physical || how / 2 % 2))
			setting.physical = FUZZ_PHYSICAL;
		/* the devices that show a mistake soon */
		if (fuzz_have_physical && o->plant)
			setting.physical = o->plant >= PLANT_PASID ?
					   FUZZ_WITH_PASIDS : FUZZ_EMULATED;
		setting.rlimit = fuzz_mix(&random) % 5 ? 0 : 8 << 20;
		nr = o->plant ? QUIET_OPS : ROUND_OPS;
		if (nr > o->ops - done)
			nr = o->ops - done;
		rc = run_round(&r, &setting, o->race, fuzz_mix(&random), nr);
		if (rc)
			return rc;
		if (r.verdict.bad) {
			rc = report(&r, !o->quiet);
			free(r.log.ops);
			return rc ?: LONG_MAX;
		}
		o->digest = o->digest * 31 + r.w.digest;
		done += r.log.nr ?: 1;
		free(r.log.ops);
	}
	if (!o->quiet) {
		printf("# seed %#llx: %zu operations in %llu ms", o->seed, done,
		       ia_now_ms() - start);
		if (!o->race)
			printf(", digest %#llx", o->digest);
		printf("; succeeded of");
		for (nr = 0; nr < OP_NR; nr++)
			printf(" %s %zu/%zu", fuzz_types[nr].name,
			       fuzz_succeeded[nr], fuzz_done[nr]);
		printf("\n");
		fflush(stdout);
	}
	return 0;
}

static __u64 new_seed(void)
{
	__u64 seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = ia_now_ms();
	return seed;
}

/* A session in a process that may be killed, with what it needs made there. */
static int rough_session(const struct fuzz_rough *rough, __u64 seed)
{
	struct options o = *(const struct options *)rough->options;

	o.seed = seed;
	o.race |= seed & 1;
	o.ops = rough->how & FUZZ_KILL ? SIZE_MAX : 4 * ROUND_OPS;
	fuzz_run_init();
	return session(&o) ? -EPROTO : 0;
}

static int rough(const struct options *o)
{
	const struct fuzz_rough rough = {
		.seed = o->seed,
		.ops = o->ops,
		.seconds = o->seconds,
		.how = o->how,
		.options = o,
		.session = rough_session,
	};

	return fuzz_rough(&rough);
}

/*
 * Tests
 */

FIXTURE(fuzz)
{
	struct options o;
};

FIXTURE_SETUP(fuzz)
{
	int fd = ia_open();

	if (fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, fd);
	close(fd);
	fuzz_run_init();
	if (!fuzz_have_devices)
		TH_LOG("no ioasid_mock: without DMA");
	self->o.ops = ia_slow_kernel() ? SLOW_OPS : FAST_OPS;
}

FIXTURE_TEARDOWN(fuzz)
{
}

static void run_seed(struct __test_metadata *_metadata, struct options *o,
		     __u64 seed)
{
	o->seed = seed;
	TH_LOG("seed %#llx", seed);
	ASSERT_EQ(0, session(o));
}

TEST_F(fuzz, seed_1)
{
	run_seed(_metadata, &self->o, 1);
}

TEST_F(fuzz, seed_2)
{
	run_seed(_metadata, &self->o, 2);
}

TEST_F(fuzz, seed_3)
{
	run_seed(_metadata, &self->o, 3);
}

TEST_F(fuzz, seed_random)
{
	run_seed(_metadata, &self->o, new_seed());
}

/* Several threads at once; such a run does not repeat. */
TEST_F(fuzz, race_random)
{
	self->o.race = true;
	run_seed(_metadata, &self->o, new_seed());
}

/* Beside importers that come and go, with little memory, killed at any time. */
TEST_F(fuzz, beside_others)
{
	self->o.seed = new_seed();
	self->o.how = FUZZ_IMPORTERS | FUZZ_KILL;
	if (!access("/sys/fs/cgroup/memory.stat", R_OK))
		self->o.how |= FUZZ_HIGH;
	TH_LOG("seed %#llx", self->o.seed);
	ASSERT_EQ(0, rough(&self->o));
}

/* Memory that the kernel brings in when it is used */
TEST_F(fuzz, served_random)
{
	const __u64 seed = new_seed();

	if (!fuzz_can_serve())
		SKIP(return, "no mirrors of processes, or no model devices");
	TH_LOG("seed %#llx", seed);
	ASSERT_EQ(0, fuzz_served(seed, ia_slow_kernel() ? SLOW_SERVED : FAST_SERVED));
}

/* Each operation of a seed, and what came of it, is the same the next time. */
TEST_F(fuzz, seed_repeats)
{
	__u64 digest;

	self->o.ops = 2 * ROUND_OPS;
	run_seed(_metadata, &self->o, 4);
	digest = self->o.digest;
	self->o.digest = 0;
	run_seed(_metadata, &self->o, 4);
	EXPECT_EQ(digest, self->o.digest);
	self->o.digest = 0;
	run_seed(_metadata, &self->o, 5);
	EXPECT_NE(digest, self->o.digest);
}

/*
 * A planted mistake of the model is found, and is shortened well, with one seed of
 * three: what is found first may have no shorter form that is near, such as mappings
 * whose places depend on each other.  The debug kernel takes minutes for all of them.
 */
TEST_F_TIMEOUT(fuzz, fuzz_self, 1200)
{
	int plant, tries;
	long nr;

	for (plant = PLANT_NONE + 1; plant < PLANT_NR; plant++) {
		if (plant >= PLANT_DATA && !fuzz_have_devices)
			continue;
		self->o.plant = plant;
		/* maximum, until it is found */
		self->o.ops = 5 * FAST_OPS;
		self->o.quiet = true;
		self->o.threads = 1;
		for (tries = 0; tries < 3; tries++) {
			self->o.seed = plant + tries * PLANT_NR;
			nr = session(&self->o);
			ASSERT_LT(0, nr) {
				TH_LOG("mistake %d is not found", plant);
			}
			if (nr <= PLANT_OPS)
				break;
		}
		EXPECT_GE(PLANT_OPS, nr) {
			TH_LOG("mistake %d takes %ld operations", plant, nr);
		}
	}
}

/* Reading the buffer that KCOV fills. */
TEST(kcov_buffer)
{
	unsigned long buf[8] = { 0 };

	EXPECT_EQ(0, kcov_new(buf, 8));
	buf[0] = 3;
	buf[1] = 0xffffffff81000010UL;
	buf[2] = 0xffffffff81000020UL;
	buf[3] = 0xffffffff81000010UL;
	buf[4] = 0xffffffff81000040UL;
	EXPECT_EQ(2, kcov_new(buf, 8));
	EXPECT_EQ(0, kcov_new(buf, 8));
	/* one more place */
	buf[0] = 4;
	EXPECT_EQ(1, kcov_new(buf, 8));
	/* places beyond the buffer are not read */
	buf[0] = 100;
	buf[7] = 0xffffffff81000080UL;
	buf[5] = buf[1];
	buf[6] = buf[1];
	EXPECT_EQ(1, kcov_new(buf, 8));
}

/*
 * As a tool
 */

static int replay(const char *path)
{
	struct fuzz_setting setting;
	struct fuzz_verdict v;
	struct fuzz_op *ops;
	size_t nr;
	FILE *f;
	long at;

	f = fopen(path, "re");
	if (!f || fuzz_read_ops(f, &setting, &ops, &nr)) {
		fprintf(stderr, "%s: no operations\n", path);
		return KSFT_FAIL;
	}
	fclose(f);
	at = fuzz_replay(&setting, ops, nr, &v);
	if (at >= 0) {
		printf("%ld: %s is %#llx, should be %#llx %s\n", at + 1, v.what,
		       v.got, v.want, v.why);
		nr = fuzz_shrink(&setting, ops, nr, &v);
		fuzz_print_ops(stdout, &setting, ops, nr);
		fuzz_print_program(stdout, &setting, ops, nr, &v);
	}
	free(ops);
	return at == -1 ? KSFT_PASS : KSFT_FAIL;
}

static int usage(const char *me)
{
	fprintf(stderr,
		"Usage: %s [--seed N] [--ops N] [--threads N] [--race] [--time SECONDS] [--physical] [--plant N]\n"
		"       %*s [--importers] [--high] [--kill] [--served]\n"
		"       %s --replay FILE\n"
		"       %s [options of a test program]\n", me,
		(int)strlen(me), "", me, me);
	return KSFT_FAIL;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "threads", required_argument, NULL, 't' },
		{ "race", no_argument, NULL, 'R' },
		{ "time", required_argument, NULL, 'T' },
		{ "physical", no_argument, NULL, 'P' },
		{ "importers", no_argument, NULL, 'I' },
		{ "high", no_argument, NULL, 'H' },
		{ "kill", no_argument, NULL, 'K' },
		{ "served", no_argument, NULL, 'S' },
		{ "plant", required_argument, NULL, 'p' },
		{ "replay", required_argument, NULL, 'r' },
		{}
	};
	struct options o = { .ops = 100000 };
	int opt;

	if (argc < 2 || strncmp(argv[1], "--", 2))
		return test_harness_run(argc, argv);
	setlinebuf(stdout);
	o.seed = new_seed();
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (opt) {
		case 's':
			o.seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			o.ops = strtoull(optarg, NULL, 0);
			break;
		case 't':
			o.threads = atoi(optarg);
			if (o.threads < 1 || o.threads > FUZZ_THREADS)
				return usage(argv[0]);
			o.race = o.threads > 1;
			break;
		case 'R':
			o.race = true;
			break;
		case 'T':
			o.seconds = atoi(optarg);
			o.ops = SIZE_MAX;
			break;
		case 'P':
			o.physical = true;
			break;
		case 'I':
			o.how |= FUZZ_IMPORTERS;
			break;
		case 'H':
			o.how |= FUZZ_HIGH;
			break;
		case 'K':
			o.how |= FUZZ_KILL;
			break;
		case 'S':
			o.served = true;
			break;
		case 'p':
			o.plant = atoi(optarg);
			break;
		case 'r':
			fuzz_run_init();
			return replay(optarg);
		default:
			return usage(argv[0]);
		}
	}
	printf("# seed %#llx\n", o.seed);
	if (o.served)
		return fuzz_served(o.seed, o.ops) ? KSFT_FAIL : KSFT_PASS;
	if (o.how)
		return rough(&o) ? KSFT_FAIL : KSFT_PASS;
	fuzz_run_init();
	return session(&o) ? KSFT_FAIL : KSFT_PASS;
}
