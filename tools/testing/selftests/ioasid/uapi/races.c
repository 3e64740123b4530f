// SPDX-License-Identifier: GPL-2.0-only
/*
 * Concurrent commands: with each other, with close(), with the end of a
 * process, with changes of the memory that they map.
 */
#include <linux/memfd.h>
#include <stdatomic.h>

#include "ioasid_test.h"

#define PG page_size

static const __u64 base = SZ_1G;

/*
 * Every pair of commands, on the same few ids and addresses.
 */
#define NR_SLOTS 3
#define NR_PLACES 6

struct arena {
	int fd;
	int file;
	char *mem;
	atomic_uint ids[NR_SLOTS];
};

struct worker {
	struct arena *arena;
	int op;
	int rounds;
	bool leads;		/* the expected result, or a second one */
	unsigned int seed;
	int bad;		/* an errno that the command does not have */
	pthread_barrier_t *barrier;
};

static __u32 worker_id(struct worker *w)
{
	return atomic_load(&w->arena->ids[rand_r(&w->seed) % NR_SLOTS]);
}

static __u64 worker_place(struct worker *w)
{
	return base + rand_r(&w->seed) % NR_PLACES * PG;
}

static int op_alloc(struct worker *w)
{
	unsigned int slot = rand_r(&w->seed) % NR_SLOTS;
	__u32 id;
	int rc;

	/* on a grid of one page, so that every cut is on it */
	rc = ia_alloc_full(w->arena->fd, &id, slot, PG);
	if (rc)
		return rc;
	id = atomic_exchange(&w->arena->ids[slot], id);
	rc = id ? ia_free(w->arena->fd, id) : 0;
	return rc == -ENOENT ? 0 : rc;
}

static int op_free(struct worker *w)
{
	return ia_free(w->arena->fd, worker_id(w));
}

static int op_info(struct worker *w)
{
	struct ioasid_iova_range range;
	struct ioasid_info info = {
		.argsz = sizeof(info),
		.ioasid = worker_id(w),
		.nr_ranges = 1,
		.ranges = IA_PTR(&range),
	};
	int rc = ia_cmd(w->arena->fd, IOASID_GET_INFO, &info);

	/* consistent counters */
	if (!rc && (info.bytes_pinned % PG || info.nr_ranges != 1 ||
		    info.cut_size != PG))
		return -EPROTO;
	return rc;
}

static int op_list(struct worker *w)
{
	struct ioasid_list_entry entries[2 * NR_SLOTS] = {};
	__u32 i, nr = ARRAY_SIZE(entries);
	int rc = ia_list(w->arena->fd, 0, entries, &nr);

	if (!rc) {
		for (i = 0; i < nr && i < ARRAY_SIZE(entries); i++)
			if (!entries[i].id ||
			    entries[i].type != IOASID_LIST_IOASID ||
			    (i && entries[i].id <= entries[i - 1].id))
				return -EPROTO;
	}
	return rc;
}

static int op_map(struct worker *w)
{
	unsigned int pages = 1 + rand_r(&w->seed) % 3;

	return ia_map(w->arena->fd, worker_id(w), worker_place(w),
		      w->arena->mem, pages * PG);
}

static int op_map_any(struct worker *w)
{
	__u64 iova;

	return ia_map_any(w->arena->fd, worker_id(w), &iova, w->arena->mem,
			  PG);
}

static int op_map_file(struct worker *w)
{
	__u64 iova = worker_place(w);

	return ia_map_file(w->arena->fd, worker_id(w), IA_RW_FIXED, &iova,
			   w->arena->file, 0, 2 * PG);
}

static int op_reserve(struct worker *w)
{
	return ia_reserve(w->arena->fd, worker_id(w), worker_place(w), PG);
}

static int op_unmap(struct worker *w)
{
	return ia_unmap(w->arena->fd, worker_id(w), worker_place(w), 2 * PG,
			NULL);
}

static int op_unmap_all(struct worker *w)
{
	return ia_unmap_all(w->arena->fd, worker_id(w), NULL);
}

static int op_option(struct worker *w)
{
	__u64 value;
	int rc;

	rc = ia_set_option(w->arena->fd, IOASID_OPTION_LIMIT_PINNED, ~0ULL, 0);
	if (rc)
		return rc;
	rc = ia_get_option(w->arena->fd, IOASID_OPTION_LIMIT_PINNED, &value,
			   NULL);
	return rc || value == ~0ULL ? rc : -EPROTO;
}

static int op_fdinfo(struct worker *w)
{
	char path[64], text[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->arena->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 ? 0 : -EPROTO;
}

static const struct {
	const char *name;
	int (*run)(struct worker *w);
	int errors[4];
} ops[] = {
	{ "alloc", op_alloc, {} },
	{ "free", op_free, { ENOENT } },
	{ "info", op_info, { ENOENT } },
	{ "list", op_list, {} },
	{ "map", op_map, { ENOENT, EEXIST, ECANCELED } },
	{ "map_any", op_map_any, { ENOENT, ECANCELED } },
	{ "map_file", op_map_file, { ENOENT, EEXIST, ECANCELED } },
	{ "reserve", op_reserve, { ENOENT, EEXIST, ECANCELED } },
	{ "unmap", op_unmap, { ENOENT } },
	{ "unmap_all", op_unmap_all, { ENOENT } },
	{ "option", op_option, {} },
	{ "fdinfo", op_fdinfo, {} },
};

static void *worker_thread(void *arg)
{
	struct worker *w = arg;
	unsigned int i, k;
	int rc;

	for (i = 0; i < w->rounds; i++) {
		pthread_barrier_wait(w->barrier);
		rc = ops[w->op].run(w);
		for (k = 0; rc && k < ARRAY_SIZE(ops[0].errors); k++)
			if (ops[w->op].errors[k] && rc == -ops[w->op].errors[k])
				rc = 0;
		if (rc)
			w->bad = rc;
		pthread_barrier_wait(w->barrier);
		if (!w->leads)
			continue;
		/* make sure that there are objects to race on */
		for (k = 0; k < NR_SLOTS; k++) {
			__u32 id = atomic_load(&w->arena->ids[k]);
			struct ioasid_info info;

			if ((!id || ia_info(w->arena->fd, id, &info)) &&
			    !ia_alloc_full(w->arena->fd, &id, k, PG))
				atomic_store(&w->arena->ids[k], id);
		}
	}
	return NULL;
}

FIXTURE(pairs)
{
	struct arena arena;
};

FIXTURE_VARIANT(pairs)
{
	__u64 charge;
};

FIXTURE_VARIANT_ADD(pairs, charge_user)
{
	.charge = IOASID_CHARGE_USER,
};

FIXTURE_VARIANT_ADD(pairs, charge_mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_SETUP(pairs)
{
	struct arena *a = &self->arena;

	a->fd = ia_open();
	if (a->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, a->fd);
	ASSERT_EQ(0, ia_set_option(a->fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	a->file = memfd_create("pairs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, a->file);
	ASSERT_EQ(0, ftruncate(a->file, 4 * PG));
	a->mem = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_SHARED,
		      a->file, 0);
	ASSERT_NE(MAP_FAILED, a->mem);
}

FIXTURE_TEARDOWN(pairs)
{
	struct arena *a = &self->arena;

	close(a->fd);
	munmap(a->mem, 4 * PG);
	EXPECT_EQ(0, fcntl(a->file, F_ADD_SEALS, F_SEAL_WRITE))
		TH_LOG("pages stayed pinned");
	EXPECT_EQ(0, ia_status("VmPin"));
	/* charges of an mm may be released a little later */
	if (ia_status("VmLck")) {
		usleep(200000);
		EXPECT_EQ(0, ia_status("VmLck"));
	}
}

TEST_F_TIMEOUT(pairs, all, 280)
{
	struct ioasid_list_entry entries[16];
	struct arena *a = &self->arena;
	pthread_barrier_t barrier;
	struct worker w[2];
	pthread_t thread;
	unsigned int i, j, k;
	__u32 nr;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		for (j = i; j < ARRAY_SIZE(ops); j++) {
			ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
			for (k = 0; k < NR_SLOTS; k++)
				atomic_store(&a->ids[k], 0);
			for (k = 0; k < 2; k++) {
				w[k] = (struct worker) {
					.arena = a,
					.op = k ? j : i,
					.rounds = ia_slow_kernel() ? 100 : 500,
					.leads = !k,
					.seed = 2 * (i * 100 + j) + k,
					.barrier = &barrier,
				};
			}
			ASSERT_EQ(0, pthread_create(&thread, NULL,
						    worker_thread, &w[1]));
			worker_thread(&w[0]);
			ASSERT_EQ(0, pthread_join(thread, NULL));
			for (k = 0; k < 2; k++) {
				EXPECT_EQ(0, w[k].bad)
					TH_LOG("%s with %s: %s: %s",
					       ops[i].name, ops[j].name,
					       ops[w[k].op].name,
					       strerror(-w[k].bad));
			}
			nr = ARRAY_SIZE(entries);
			ASSERT_EQ(0, ia_list(a->fd, 0, entries, &nr));
			/* no thread lost an object */
			EXPECT_EQ(NR_SLOTS, nr);
			while (nr)
				ASSERT_EQ(0, ia_free(a->fd, entries[--nr].id));
			pthread_barrier_destroy(&barrier);
		}
	}
}

/* close() during commands of other threads. */
struct looper {
	int fd;
	__u32 id;
	char *mem;
	int place;
	int rc;
	atomic_int going;
};

static void *looper_thread(void *arg)
{
	struct looper *l = arg;
	__u64 iova = base + l->place * SZ_1M;

	do {
		l->rc = ia_map(l->fd, l->id, iova, l->mem, 2 * PG);
		atomic_store(&l->going, 1);
		if (!l->rc)
			l->rc = ia_unmap(l->fd, l->id, iova, 2 * PG, NULL);
	} while (!l->rc);
	return NULL;
}

FIXTURE(many)
{
	int fd;
};

FIXTURE_SETUP(many)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(many)
{
	close(self->fd);
}

TEST_F(many, close_under_way)
{
	int file, i, k, rounds = ia_slow_kernel() ? 40 : 200;
	struct looper l[2];
	pthread_t thread[2];
	char *mem;
	__u32 id;
	int fd;

	file = memfd_create("close", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 2 * PG));
	mem = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (i = 0; i < rounds; i++) {
		fd = ia_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ia_alloc(fd, &id));
		for (k = 0; k < 2; k++) {
			l[k] = (struct looper) {
				.fd = fd, .id = id, .mem = mem, .place = k,
			};
			ASSERT_EQ(0, pthread_create(&thread[k], NULL,
						    looper_thread, &l[k]));
		}
		for (k = 0; k < 2; k++)
			while (!atomic_load(&l[k].going))
				sched_yield();
		usleep(i % 7 * 10);
		ASSERT_EQ(0, close(fd));
		for (k = 0; k < 2; k++) {
			ASSERT_EQ(0, pthread_join(thread[k], NULL));
			EXPECT_EQ(-EBADF, l[k].rc);
		}
	}
	munmap(mem, 2 * PG);
	EXPECT_EQ(0, fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(0, ia_status("VmPin"));
	close(file);
}

/* Free in one thread, and look up in another: a freed id is gone. */
static void *freer_thread(void *arg)
{
	struct looper *l = arg;

	l->rc = ia_free(l->fd, l->id);
	atomic_store(&l->going, 1);
	return NULL;
}

TEST_F(many, freed_is_gone)
{
	int i, rounds = ia_slow_kernel() ? 200 : 1000;
	struct ioasid_info info;
	struct looper l[2];
	pthread_t thread[2];
	__u32 id;
	int k;

	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, ia_alloc(self->fd, &id));
		for (k = 0; k < 2; k++) {
			l[k] = (struct looper) { .fd = self->fd, .id = id };
			ASSERT_EQ(0, pthread_create(&thread[k], NULL,
						    freer_thread, &l[k]));
		}
		while (!atomic_load(&l[0].going) && !atomic_load(&l[1].going)) {
			int rc = ia_info(self->fd, id, &info);

			ASSERT_TRUE(rc == 0 || rc == -ENOENT);
		}
		for (k = 0; k < 2; k++)
			ASSERT_EQ(0, pthread_join(thread[k], NULL));
		EXPECT_EQ(-ENOENT, ia_info(self->fd, id, &info));
		/* exactly one of them freed it */
		EXPECT_EQ(-ENOENT, l[0].rc + l[1].rc);
	}
}

/* A map while its memory, or its file, changes. */
#define NR_CHANGING 16

struct changing {
	int fd;
	int file;
	__u32 id;
	char *mem;
	unsigned int seed;
	int rounds;
	atomic_int mapped, failed;	/* number of rounds */
	int bad;
	atomic_int stop;
};

/* Continue until enough of both happened, even if a thread is delayed. */
static bool enough(struct changing *c, unsigned int round)
{
	if (round < c->rounds)
		return false;
	usleep(round % 64 ? 0 : 1000);
	return round > 1000 * c->rounds ||
	       (atomic_load(&c->mapped) > 100 && atomic_load(&c->failed) > 100);
}

/* Map a part of it, for reading only or not, and unmap it again. */
static void *changing_thread(void *arg)
{
	struct changing *c = arg;
	unsigned int first, pages, flags;
	__u64 unmapped, iova;
	int rc;

	while (!atomic_load(&c->stop)) {
		first = rand_r(&c->seed) % NR_CHANGING;
		pages = 1 + rand_r(&c->seed) % (NR_CHANGING - first);
		flags = rand_r(&c->seed) % 2 ? IOASID_MAP_READ : IA_RW;
		iova = base;
		if (c->mem)
			rc = ia_map_full(c->fd, c->id, flags | IOASID_MAP_FIXED,
					 &iova, IA_PTR(c->mem + first * PG),
					 pages * PG, 0, 0, 0, NULL);
		else
			rc = ia_map_file(c->fd, c->id,
					 IOASID_MAP_READ | IOASID_MAP_FIXED,
					 &iova, c->file, first * PG,
					 pages * PG);
		if (!rc) {
			atomic_fetch_add(&c->mapped, 1);
			rc = ia_unmap_all(c->fd, c->id, &unmapped);
			if (!rc && unmapped != pages * PG)
				rc = -EPROTO;
		} else if (rc == -EFAULT || (!c->mem && rc == -EINVAL)) {
			atomic_fetch_add(&c->failed, 1);
			rc = 0;
		}
		if (rc)
			c->bad = rc;
	}
	return NULL;
}

FIXTURE(changing)
{
	struct changing c;
	pthread_t thread;
	int file;
	char *mem;
};

FIXTURE_SETUP(changing)
{
	struct changing *c = &self->c;

	c->fd = ia_open();
	if (c->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, c->fd);
	ASSERT_EQ(0, ia_alloc(c->fd, &c->id));
	c->rounds = ia_slow_kernel() ? 300 : 2000;
	self->file = memfd_create("changing", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, NR_CHANGING * PG));
	c->file = self->file;
	c->seed = 1;
}

FIXTURE_TEARDOWN(changing)
{
	struct changing *c = &self->c;
	struct ioasid_info info;

	atomic_store(&c->stop, 1);
	EXPECT_EQ(0, pthread_join(self->thread, NULL));
	ksft_print_msg("%d mapped, %d failed\n", atomic_load(&c->mapped),
		       atomic_load(&c->failed));
	EXPECT_EQ(0, c->bad)
		TH_LOG("%s", strerror(-c->bad));
	/* both really happened */
	EXPECT_LT(0, atomic_load(&c->mapped));
	EXPECT_LT(0, atomic_load(&c->failed));
	EXPECT_EQ(0, ia_info(c->fd, c->id, &info));
	EXPECT_EQ(0, info.nr_mappings);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, ia_status("VmPin"));
	if (self->mem)
		munmap(self->mem, NR_CHANGING * PG);
	EXPECT_EQ(0, fcntl(self->file, F_ADD_SEALS, F_SEAL_WRITE))
		TH_LOG("pages stayed pinned");
	close(c->fd);
}

TEST_F(changing, memory)
{
	unsigned int seed = 2, first, pages, i;
	pid_t pid;
	char *at;

	self->mem = mmap(NULL, NR_CHANGING * PG, PROT_READ | PROT_WRITE,
			 MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->c.mem = self->mem;
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, changing_thread,
				    &self->c));
	for (i = 0; !enough(&self->c, i); i++) {
		first = rand_r(&seed) % NR_CHANGING;
		pages = 1 + rand_r(&seed) % (NR_CHANGING - first);
		at = self->mem + first * PG;
		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
			ASSERT_EQ(at, mmap(at, pages * PG,
					   PROT_READ | PROT_WRITE, MAP_FIXED |
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
			break;
		case 2:
		case 3:
			ASSERT_EQ(at, mmap(at, pages * PG,
					   PROT_READ | PROT_WRITE, MAP_FIXED |
					   MAP_SHARED, self->file, first * PG));
			break;
		case 4:
			ASSERT_EQ(0, mprotect(at, pages * PG, PROT_NONE));
			break;
		case 5:
			ASSERT_EQ(0, mprotect(at, pages * PG,
					      PROT_READ | PROT_WRITE));
			break;
		case 6:
			ASSERT_EQ(0, madvise(at, pages * PG, MADV_DONTNEED));
			break;
		case 7:
			if (i % 16)
				break;
			pid = ia_fork();
			ASSERT_LE(0, pid);
			if (!pid)
				_exit(0);
			ASSERT_EQ(pid, waitpid(pid, NULL, 0));
			break;
		}
	}
}

TEST_F(changing, file)
{
	unsigned int seed = 3, first, pages, i;

	ASSERT_EQ(0, pthread_create(&self->thread, NULL, changing_thread,
				    &self->c));
	for (i = 0; !enough(&self->c, i); i++) {
		first = rand_r(&seed) % NR_CHANGING;
		pages = 1 + rand_r(&seed) % (NR_CHANGING - first);
		switch (rand_r(&seed) % 3) {
		case 0:
			ASSERT_EQ(0, fallocate(self->file,
					       FALLOC_FL_PUNCH_HOLE |
					       FALLOC_FL_KEEP_SIZE,
					       first * PG, pages * PG));
			break;
		case 1:
			ASSERT_EQ(0, ftruncate(self->file, first * PG));
			break;
		case 2:
			ASSERT_EQ(0, ftruncate(self->file, NR_CHANGING * PG));
			break;
		}
	}
}

/* A process that cannot write a file cannot make it grow, even in a race. */
TEST_F(changing, read_only_file)
{
	char path[64];
	struct stat st;
	unsigned int i;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->file);
	self->c.file = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->c.file);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, changing_thread,
				    &self->c));
	for (i = 0; !enough(&self->c, i); i++) {
		ASSERT_EQ(0, fallocate(self->file, 0, 0, NR_CHANGING * PG));
		if (i % 2)
			sched_yield();
		ASSERT_EQ(0, fallocate(self->file, FALLOC_FL_PUNCH_HOLE |
				       FALLOC_FL_KEEP_SIZE, 0,
				       NR_CHANGING * PG));
		ASSERT_EQ(0, fstat(self->file, &st));
		ASSERT_EQ(0, st.st_blocks);
	}
}

/* The end of a process, or of a file, that has many objects of each type. */
TEST_F_TIMEOUT(many, exit, 280)
{
	unsigned int nr = ia_slow_kernel() ? 20000 : 100000;
	int status, file;
	__u64 start;
	pid_t pid;
	char *mem;

	file = memfd_create("exit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, PG));
	close(self->fd);
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		__u32 id = 0, i;
		int fd = ia_open();

		mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, file,
			   0);
		for (i = 0; i < nr; i++)
			if (ia_alloc(fd, &id) ||
			    (i % 4 == 0 && ia_map(fd, id, base, mem, PG)))
				_exit(1);
		for (i = 0; i < nr / 4; i++)
			if (ia_map(fd, id, SZ_4G + i * 2 * PG, mem, PG))
				_exit(2);
		/* the parent measures from here on */
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	start = ia_now_ms();
	ASSERT_EQ(0, kill(pid, SIGCONT));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ksft_print_msg("%u IOASIDs, %u mappings: exit took %llu ms\n", nr,
		       nr / 2, ia_now_ms() - start);
	EXPECT_EQ(0, fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
	self->fd = -1;
}

TEST_F_TIMEOUT(many, million, 280)
{
	const unsigned int nr = 1 << 20;
	__u64 start, alloc_ms, close_ms;
	struct ioasid_list_entry entry;
	__u32 id = 0, count;
	unsigned int i;

	if (ia_slow_kernel())
		SKIP(return, "takes too long on a debug kernel");
	if (ia_proc_field("/proc/meminfo", "MemAvailable") < 1024 * 1024)
		SKIP(return, "needs 1 GiB of memory");
	start = ia_now_ms();
	for (i = 0; i < nr; i++)
		ASSERT_EQ(0, ia_alloc(self->fd, &id));
	alloc_ms = ia_now_ms() - start;
	count = 1;
	ASSERT_EQ(0, ia_list(self->fd, id, &entry, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(id, entry.id);
	start = ia_now_ms();
	ASSERT_EQ(0, close(self->fd));
	close_ms = ia_now_ms() - start;
	self->fd = -1;
	ksft_print_msg("%u IOASIDs: alloc %llu ms, close %llu ms\n", nr,
		       alloc_ms, close_ms);
	/* far below the time of a soft lockup */
	EXPECT_GT(20000, close_ms);
}

TEST_HARNESS_MAIN
