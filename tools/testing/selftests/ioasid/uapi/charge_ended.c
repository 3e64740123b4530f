// SPDX-License-Identifier: GPL-2.0-only
/*
 * The charge of processes that end: their mappings in a context that lives on
 * stay pinned, and are charged to their user from then on.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "ioasid_test.h"
#include "charge.h"

#define PG page_size

static const __u64 base = CHARGE_IOVA;

#define ROOM 32

FIXTURE(ended)
{
	/* one of each enum ioasid_charge */
	int fd[IOASID_CHARGE_ONCE + 1];
	__u32 id[IOASID_CHARGE_ONCE + 1];
	char *mem;
};

FIXTURE_VARIANT(ended)
{
	int charge;
};

FIXTURE_VARIANT_ADD(ended, mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_VARIANT_ADD(ended, once)
{
	.charge = IOASID_CHARGE_ONCE,
};

static int open_charge(__u64 charge, __u32 *id)
{
	int fd = ia_open(), rc;

	if (fd < 0)
		return fd;
	rc = ia_set_option(fd, IOASID_OPTION_CHARGE, charge, 0);
	if (!rc)
		rc = ia_alloc(fd, id);
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

FIXTURE_SETUP(ended)
{
	int i;

	for (i = 0; i <= IOASID_CHARGE_ONCE; i++) {
		self->fd[i] = open_charge(i, &self->id[i]);
		if (self->fd[i] == -ENOENT)
			SKIP(return, IA_ABSENT);
		ASSERT_LE(0, self->fd[i]);
	}
	self->mem = ia_mem(2 * ROOM * PG);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 1, 2 * ROOM * PG);
}

FIXTURE_TEARDOWN(ended)
{
	int i;

	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		close(self->fd[i]);
}

/*
 * Number of pages that can be mapped in one of the modes, checked to be exact.
 */
static long room(int fd, __u32 id, char *mem, unsigned long at_most)
{
	unsigned long n = left(fd, id);

	if (n > at_most ||
	    ia_map(fd, id, SZ_4G, mem, (n + 1) * PG) != -EDQUOT ||
	    (n && ia_map(fd, id, SZ_4G, mem, n * PG)) ||
	    (n && left(fd, id)) ||
	    (n && ia_unmap(fd, id, SZ_4G, n * PG, NULL)))
		return -1;
	return n;
}

/* In each mode, the charge for processes that ended counts for all of them. */
#define EXPECT_ROOM(pages)						\
do {									\
	int _i;								\
									\
	for (_i = 0; _i <= IOASID_CHARGE_ONCE; _i++)			\
		EXPECT_EQ((long)(pages),				\
			  room(self->fd[_i], self->id[_i], self->mem,	\
			       ROOM))					\
			TH_LOG("charged in way %d", _i);		\
} while (0)

/* A child maps pages by index, and ends; returns 0 or the error of the map. */
static int child_maps(int fd, __u32 id, char *mem, unsigned long index,
		      unsigned long pages)
{
	int status;
	pid_t pid;

	pid = ia_fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(-map_pages(fd, id, mem, index, pages));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	return -WEXITSTATUS(status);
}

#define CHILD_MAPS(index, pages)					\
	child_maps(self->fd[variant->charge], self->id[variant->charge],\
		   self->mem, index, pages)
#define UNMAP_ENDED(index, pages)					\
	unmap_pages(self->fd[variant->charge], self->id[variant->charge],\
		    index, pages)

/* Processes one after the other get no more than one alone. */
TEST_F(ended, together)
{
	int other, i;
	__u32 id;

	other = open_charge(variant->charge, &id);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_ROOM(ROOM);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, CHILD_MAPS(i * 8, 8));
		EXPECT_ROOM(ROOM - (i + 1) * 8);
	}
	EXPECT_EQ(-EDQUOT, CHILD_MAPS(ROOM, 1));
	EXPECT_EQ(0, locked());
	/* freed memory can be locked again, by any process */
	ASSERT_EQ(0, UNMAP_ENDED(4, 3));
	EXPECT_ROOM(3);
	EXPECT_EQ(-EDQUOT, CHILD_MAPS(ROOM, 4));
	ASSERT_EQ(0, CHILD_MAPS(ROOM, 3));
	EXPECT_ROOM(0);
	ASSERT_EQ(0, UNMAP_ENDED(0, 2 * ROOM));
	EXPECT_ROOM(ROOM);
	ASSERT_EQ(0, CHILD_MAPS(0, ROOM));
	EXPECT_EQ(-EDQUOT, CHILD_MAPS(ROOM, 1));
	/* the close of a file releases all of its charge */
	ASSERT_EQ(0, close(self->fd[variant->charge]));
	self->fd[variant->charge] = other;
	self->id[variant->charge] = id;
	EXPECT_ROOM(ROOM);
}

/* It adds to the charge of the process that maps. */
TEST_F(ended, on_top)
{
	int mm = self->fd[IOASID_CHARGE_MM], once = self->fd[IOASID_CHARGE_ONCE];
	__u32 mm_id = self->id[IOASID_CHARGE_MM];
	__u32 once_id = self->id[IOASID_CHARGE_ONCE];

	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, map_pages(mm, mm_id, self->mem, ROOM, 20));
	ASSERT_EQ(0, map_pages(once, once_id, self->mem, ROOM, 4));
	/* live processes have separate charges */
	ASSERT_EQ(0, CHILD_MAPS(0, 8));
	EXPECT_EQ(24, locked());
	EXPECT_EQ(0, room(mm, mm_id, self->mem, ROOM));
	EXPECT_EQ(0, room(once, once_id, self->mem, ROOM));
	EXPECT_EQ(ROOM - 8, left(self->fd[IOASID_CHARGE_USER],
				 self->id[IOASID_CHARGE_USER]));
	/* pages that are charged once already need no room */
	EXPECT_EQ(0, ia_map(once, once_id, 0, self->mem + ROOM * PG, 4 * PG));
	ASSERT_EQ(0, UNMAP_ENDED(4, 4));
	EXPECT_EQ(4, room(mm, mm_id, self->mem, ROOM));
	EXPECT_EQ(4, room(once, once_id, self->mem, ROOM));
	ASSERT_EQ(0, UNMAP_ENDED(0, 4));
	ASSERT_EQ(0, unmap_pages(mm, mm_id, ROOM, 20));
	EXPECT_EQ(ROOM - 4, room(mm, mm_id, self->mem, ROOM));
	EXPECT_EQ(4, locked());
}

/* Pages that one process maps several times. */
TEST_F(ended, several_times)
{
	bool once = variant->charge == IOASID_CHARGE_ONCE;
	int fd = self->fd[variant->charge];
	__u32 id = self->id[variant->charge];
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (map_pages(fd, id, self->mem, 0, 8) ||
		    ia_map(fd, id, 0, self->mem + 4 * PG, 8 * PG))
			_exit(1);
		_exit(0);
	}
	ASSERT_TRUE(exited_well(pid));
	EXPECT_ROOM(ROOM - (once ? 12 : 16));
	ASSERT_EQ(0, UNMAP_ENDED(2, 4));
	EXPECT_ROOM(ROOM - (once ? 10 : 12));
	ASSERT_EQ(0, ia_unmap(fd, id, 0, 8 * PG, NULL));
	EXPECT_ROOM(ROOM - 4);
	ASSERT_EQ(0, UNMAP_ENDED(0, 8));
	EXPECT_ROOM(ROOM);
}

/* An mm ends with the last process that uses it. */
static int wait_for_byte(void *from)
{
	char c;

	return read(*(int *)from, &c, 1) != 1;
}

TEST_F(ended, shared_mm)
{
	int fd = self->fd[variant->charge];
	__u32 id = self->id[variant->charge];
	int go[2], status;
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, pipe(go));
	/* the second process becomes a child of this one when the first ends */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char *stack = ia_mem(SZ_64K);

		close(go[1]);
		if (!stack || map_pages(fd, id, self->mem, 0, 8) ||
		    clone(wait_for_byte, stack + SZ_64K, CLONE_VM | SIGCHLD,
			  &go[0]) < 0)
			_exit(1);
		_exit(0);
	}
	ASSERT_TRUE(exited_well(pid));
	EXPECT_ROOM(ROOM);
	ASSERT_EQ(1, write(go[1], "", 1));
	ASSERT_LT(0, waitpid(-1, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ROOM(ROOM - 8);
}

/* Other users are not charged, and privilege lifts the limit. */
TEST_F(ended, other_users)
{
	struct ioasid_info info;
	pid_t pid;
	int i;

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(may_lock_as(60110, ROOM) || CHILD_MAPS(0, ROOM) ||
		      CHILD_MAPS(ROOM, 1) != -EDQUOT);
	ASSERT_TRUE(exited_well(pid));
	for (i = 0; i <= IOASID_CHARGE_ONCE; i++) {
		ASSERT_EQ(0, ia_info(self->fd[i], self->id[i], &info));
		EXPECT_EQ(~0ULL, info.bytes_left);
	}
	EXPECT_EQ(0, CHILD_MAPS(ROOM, ROOM));
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_ROOM(ROOM);
}

/*
 * A program that another one executes. Its environment has its task and the
 * contexts: "WHAT FD ID FD ID FD ID".
 */
#define EXECUTED "IOASID_CHARGE_EXECUTED"

struct executed {
	int way;
	int fd[IOASID_CHARGE_ONCE + 1];
	__u32 id[IOASID_CHARGE_ONCE + 1];
};

static __attribute__((constructor)) void executed(void)
{
	const char *env = getenv(EXECUTED);
	struct executed e;
	unsigned long want;
	char *mem;
	int i;

	if (!env)
		return;
	page_size = sysconf(_SC_PAGESIZE);
	mem = ia_mem(2 * ROOM * PG);
	if (!mem || sscanf(env, "%lu %d %d %u %d %u %d %u", &want, &e.way,
			   &e.fd[0], &e.id[0], &e.fd[1], &e.id[1], &e.fd[2],
			   &e.id[2]) != 8)
		_exit(10);
	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		if (room(e.fd[i], e.id[i], mem, ROOM) != (long)want)
			_exit(20 + i);
	if (locked())
		_exit(30);
	/* the new program can unmap mappings of the old one */
	if (unmap_pages(e.fd[e.way], e.id[e.way], 0, ROOM))
		_exit(40);
	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		if (room(e.fd[i], e.id[i], mem, ROOM) != ROOM)
			_exit(50 + i);
	_exit(0);
}

static void execute(unsigned long want, int way, const int *fd, const __u32 *id)
{
	char env[128];
	int i;

	for (i = 0; i <= IOASID_CHARGE_ONCE; i++)
		fcntl(fd[i], F_SETFD, 0);
	snprintf(env, sizeof(env), "%lu %d %d %u %d %u %d %u", want, way, fd[0],
		 id[0], fd[1], id[1], fd[2], id[2]);
	setenv(EXECUTED, env, 1);
	execl("/proc/self/exe", "charge", NULL);
	_exit(60);
}

TEST_F(ended, exec)
{
	int status;
	__u32 id;
	pid_t pid;
	int fd;

	/* a context that exec closes leaves no charge */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fd = open_charge(variant->charge, &id);
		if (fd < 0 || may_lock(ROOM) ||
		    map_pages(fd, id, self->mem, 0, ROOM))
			_exit(1);
		execute(ROOM, variant->charge, self->fd, self->id);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	ASSERT_EQ(0, may_lock(ROOM));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (map_pages(self->fd[variant->charge],
			      self->id[variant->charge], self->mem, 4, 8))
			_exit(1);
		execute(ROOM - 8, variant->charge, self->fd, self->id);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ROOM(ROOM);
}

/*
 * A process that ends closes the context that it mapped in. Its charge must at
 * no moment count for other processes of the user that stay below the limit.
 */
TEST_F(ended, closed_with_the_process)
{
	unsigned int i, rounds = ia_slow_kernel() ? 20 : 100;
	int status, way;
	pid_t pid;

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < rounds; i++) {
			__u32 id;
			int fd;

			if (!ia_fork()) {
				fd = open_charge(variant->charge, &id);
				_exit(fd < 0 || may_lock(ROOM) ||
				      map_pages(fd, id, self->mem, 0, ROOM));
			}
			if (wait(&status) < 0 || status)
				_exit(1);
		}
		_exit(0);
	}
	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; !waitpid(pid, &status, WNOHANG); i++) {
		way = i % (IOASID_CHARGE_ONCE + 1);
		ASSERT_EQ(0, map_pages(self->fd[way], self->id[way], self->mem,
				       0, ROOM))
			TH_LOG("charged in way %d", way);
		ASSERT_EQ(0, unmap_pages(self->fd[way], self->id[way], 0,
					 ROOM));
	}
	EXPECT_EQ(0, status);
	EXPECT_ROOM(ROOM);
}

/* Mappings of the process that ends are unmapped meanwhile. */
TEST_F(ended, unmapped_meanwhile)
{
	unsigned int i, rounds = ia_slow_kernel() ? 20 : 100;
	int fd = self->fd[variant->charge], status;
	__u32 id = self->id[variant->charge];
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < rounds; i++) {
			int rc = child_maps(fd, id, self->mem, i % ROOM, 16);

			if (rc && rc != -EDQUOT && rc != -EEXIST &&
			    rc != -ECANCELED)
				_exit(-rc);
		}
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG))
		ASSERT_EQ(0, unmap_pages(fd, id, 0, 2 * ROOM));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, unmap_pages(fd, id, 0, 2 * ROOM));
	EXPECT_ROOM(ROOM);
}

struct mapper {
	int fd;
	__u32 id;
	char *mem;
	unsigned int seed;
	unsigned int rounds;
	int rc;
};

static void *map_unmap(void *data)
{
	struct mapper *h = data;

	while (!h->rc) {
		h->rc = ia_map(h->fd, h->id, base + h->seed * PG,
			       h->mem + h->seed * PG, 4 * PG);
		/* the killed process may have left it there */
		if (h->rc == -EEXIST || h->rc == -EDQUOT)
			h->rc = 0;
		if (!h->rc && h->seed % 3)
			h->rc = ia_unmap(h->fd, h->id, base + h->seed * PG,
					 4 * PG, NULL);
	}
	return NULL;
}

/* Killed at any moment, also while it is charged for the first time. */
TEST_F(ended, killed)
{
	unsigned int i, n, rounds = ia_slow_kernel() ? 20 : 100;
	struct mapper h[4];
	pthread_t thread;
	int status;
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	srandom(815);
	for (i = 0; i < rounds; i++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			for (n = 0; n < 4; n++) {
				h[n] = (struct mapper){
					.fd = self->fd[variant->charge],
					.id = self->id[variant->charge],
					.mem = self->mem,
					.seed = 4 * n,
				};
				if (n && pthread_create(&thread, NULL,
							map_unmap, &h[n]))
					_exit(1);
			}
			map_unmap(&h[0]);
			_exit(2);
		}
		usleep(random() % 3000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	ASSERT_EQ(0, UNMAP_ENDED(0, 2 * ROOM));
	EXPECT_ROOM(ROOM);
}

/* Signals that do not kill do not fail the first map of a process. */
static void on_signal(int sig)
{
}

TEST_F(ended, signals)
{
	unsigned int i, rounds = ia_slow_kernel() ? 10 : 30;
	struct sigaction sa = { .sa_handler = on_signal };
	int fd = self->fd[variant->charge], status;
	__u32 id = self->id[variant->charge];
	pid_t pid;

	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	for (i = 0; i < rounds; i++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(-map_pages(fd, id, self->mem, 0, 4));
		while (!waitpid(pid, &status, WNOHANG))
			ASSERT_EQ(0, kill(pid, SIGUSR1));
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_EQ(0, WEXITSTATUS(status));
		EXPECT_EQ(ROOM - 4, left(fd, id));
		ASSERT_EQ(0, UNMAP_ENDED(0, 4));
	}
	EXPECT_ROOM(ROOM);
}

TEST_HARNESS_MAIN
