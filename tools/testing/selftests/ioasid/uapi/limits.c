// SPDX-License-Identifier: GPL-2.0-only
/*
 * Payers and limits of pinned memory: RLIMIT_MEMLOCK of processes without
 * privilege, by user and by mm, and the limits of a context that is passed on.
 *
 * The processes have users of their own, so that no other process is counted
 * with them.
 */
#include <grp.h>
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "state.h"

#define PG page_size

/* Pages that a process may lock */
#define LIMIT 16

static const __u64 base = SZ_1G;

/* Become an unprivileged user that may lock @bytes. */
static int become_limited(unsigned int uid, rlim_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) ||
	    setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		return -errno;
	/* which a change of users resets */
	return prctl(PR_SET_PDEATHSIG, SIGKILL) ? -errno : 0;
}

static int become(unsigned int uid, unsigned long pages)
{
	return become_limited(uid, pages * PG);
}

static bool exited_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

/*
 * A child and its parent that take turns. A wait for one that has ended fails
 * at once.
 */
struct turns {
	pid_t pid;
	int sock;
};

/* Returns as fork() does. */
static pid_t turns_start(struct turns *t)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	t->pid = ia_fork();
	/* each keeps one end */
	close(pair[t->pid ? 1 : 0]);
	t->sock = pair[t->pid ? 0 : 1];
	return t->pid;
}

static bool tell(struct turns *t)
{
	return send(t->sock, "", 1, MSG_NOSIGNAL) == 1;
}

static bool await(struct turns *t)
{
	char c;

	return recv(t->sock, &c, 1, 0) == 1;
}

/* For the parent: the child has ended, and succeeded. */
static bool turns_end(struct turns *t)
{
	bool well = exited_well(t->pid);

	close(t->sock);
	return well;
}

FIXTURE(charge)
{
	int fd;
	__u32 id;
	unsigned int uid;
	char *mem;
};

FIXTURE_VARIANT(charge)
{
	__u64 to;
};

FIXTURE_VARIANT_ADD(charge, user)
{
	.to = IOASID_CHARGE_USER,
};

FIXTURE_VARIANT_ADD(charge, mm)
{
	.to = IOASID_CHARGE_MM,
};

/* The payer is user 60000 or 60001; these users do not exist. */
FIXTURE_SETUP(charge)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->uid = 60000 + variant->to;
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE, variant->to,
				   0));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	self->mem = ia_mem(4 * LIMIT * PG);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(charge)
{
	close(self->fd);
}

/* By index of a page, the same in IOVA and in memory. */
static int map_pages(int fd, __u32 id, char *mem, unsigned long index,
		     unsigned long pages)
{
	return ia_map(fd, id, base + index * PG, mem + index * PG, pages * PG);
}

#define MAP(index, pages)						\
	map_pages(self->fd, self->id, self->mem, index, pages)
#define UNMAP(index, pages)						\
	ia_unmap(self->fd, self->id, base + (index) * PG, (pages) * PG, NULL)

static __u64 bytes_left(int fd, __u32 id)
{
	struct ioasid_info info;

	return ia_info(fd, id, &info) ? 0x5a5a : info.bytes_left;
}

/* Exactly so many pages can be mapped, in pieces or at once, and no more. */
#define ROOM(pages)							\
do {									\
	unsigned long _n = (pages), _i;					\
	int _fd = self->fd;						\
	__u32 _id;							\
									\
	ASSERT_EQ(0, ia_alloc(_fd, &_id));				\
	EXPECT_EQ(_n * PG, bytes_left(_fd, _id));			\
	EXPECT_EQ(-EDQUOT, ia_map(_fd, _id, 0, self->mem,		\
				  (_n + 1) * PG));			\
	if (_n) {							\
		EXPECT_EQ(0, ia_map(_fd, _id, 0, self->mem, _n * PG));	\
		EXPECT_EQ(0, bytes_left(_fd, _id));			\
		EXPECT_EQ(-EDQUOT, ia_map(_fd, _id, SZ_1G, self->mem,	\
					  PG));				\
		EXPECT_EQ(0, ia_unmap_all(_fd, _id, NULL));		\
	}								\
	for (_i = 0; _i < _n; _i++)					\
		EXPECT_EQ(0, ia_map(_fd, _id, _i * PG, self->mem, PG));	\
	EXPECT_EQ(-EDQUOT, ia_map(_fd, _id, _i * PG, self->mem, PG));	\
	EXPECT_EQ(0, ia_free(_fd, _id));				\
	EXPECT_EQ(_n * PG, bytes_left(_fd, self->id));			\
} while (0)

TEST_F(charge, exact)
{
	struct ia_state before, after;
	struct ioasid_info info;
	__u64 iova = base;
	const char *diff;

	ASSERT_EQ(0, become(self->uid, LIMIT));
	ROOM(LIMIT);
	ASSERT_EQ(0, MAP(0, LIMIT - 1));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	EXPECT_EQ(-EDQUOT, MAP(LIMIT, 2));
	EXPECT_EQ(-EDQUOT, MAP(LIMIT, 2 * LIMIT));
	EXPECT_EQ(-EDQUOT, ia_map_any(self->fd, self->id, &iova, self->mem,
				      2 * PG));
	iova = SZ_4G;
	EXPECT_EQ(-EDQUOT, ia_map_full(self->fd, self->id,
				       IOASID_MAP_READ | IOASID_MAP_FIXED,
				       &iova, IA_PTR(self->mem), 1ULL << 40, 0,
				       0, 0, NULL));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
	ASSERT_EQ(0, MAP(LIMIT, 1));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(LIMIT * PG, info.bytes_charged);
	EXPECT_EQ(LIMIT * PG, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_left);
	/* reserved ranges cost nothing */
	EXPECT_EQ(0, ia_reserve(self->fd, self->id, 0, SZ_1M));
	/* the payer is visible */
	EXPECT_EQ(variant->to == IOASID_CHARGE_MM ? LIMIT * PG / 1024 : 0,
		  ia_status("VmLck"));
	ASSERT_EQ(0, UNMAP(LIMIT, 1));
	ASSERT_EQ(0, UNMAP(0, LIMIT - 1));
	ASSERT_EQ(0, ia_status("VmLck"));
	ROOM(LIMIT);
}

TEST_F(charge, given_back)
{
	__u32 id, i;
	__u64 iova = base;
	char *hole;

	ASSERT_EQ(0, become(self->uid, LIMIT));
	/* by a part */
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(self->mem), LIMIT * PG, PG, 0, 0,
				 NULL));
	for (i = 0; i < LIMIT; i += 2)
		ASSERT_EQ(0, UNMAP(i, 1));
	ROOM(LIMIT / 2);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ROOM(LIMIT);
	/* by free */
	ASSERT_EQ(0, ia_alloc(self->fd, &id));
	ASSERT_EQ(0, ia_map(self->fd, id, base, self->mem, LIMIT * PG));
	ASSERT_EQ(0, ia_free(self->fd, id));
	ROOM(LIMIT);
	/* by failures: overlap, and a page that is not there */
	ASSERT_EQ(0, MAP(4, 1));
	for (i = 0; i < 2 * LIMIT; i++)
		ASSERT_EQ(-EEXIST, MAP(0, 5));
	hole = ia_mem(8 * PG);
	ASSERT_NE(NULL, hole);
	ASSERT_EQ(0, munmap(hole + 4 * PG, PG));
	for (i = 0; i < 2 * LIMIT; i++) {
		ASSERT_EQ(-EFAULT, ia_map(self->fd, self->id, SZ_4G, hole,
					  8 * PG));
	}
	ROOM(LIMIT - 1);
	ASSERT_EQ(0, UNMAP(4, 1));
	ASSERT_EQ(0, MAP(0, LIMIT));
	ASSERT_EQ(0, UNMAP(0, LIMIT));
	ROOM(LIMIT);
}

/* The charge of a process that closes the file, or dies. */
TEST_F(charge, given_back_at_exit)
{
	int other = ia_open(), how;
	pid_t pid;
	__u32 id;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ia_set_option(other, IOASID_OPTION_CHARGE, variant->to,
				   0));
	ASSERT_EQ(0, ia_alloc(other, &id));
	for (how = 0; how < 3; how++) {
		struct turns t;

		/* the child has the only descriptor of its own context */
		pid = turns_start(&t);
		ASSERT_LE(0, pid);
		if (!pid) {
			int fd;

			close(other);
			fd = ia_open();
			if (fd < 0 ||
			    ia_set_option(fd, IOASID_OPTION_CHARGE,
					  variant->to, 0) ||
			    become(self->uid, LIMIT) || ia_alloc(fd, &id) ||
			    ia_map(fd, id, base, self->mem, LIMIT * PG) ||
			    ia_map(fd, id, SZ_4G, self->mem, PG) != -EDQUOT)
				_exit(1);
			if (how == 1)
				_exit(0);
			/* wait for the kill */
			if (how == 2 && (!tell(&t) || !await(&t)))
				_exit(2);
			/* close is enough, and is done when it returns */
			if (close(fd) ||
			    ia_map(self->fd, self->id, base, self->mem,
				   LIMIT * PG) ||
			    ia_unmap_all(self->fd, self->id, NULL))
				_exit(3);
			_exit(0);
		}
		if (how == 2) {
			ASSERT_TRUE(await(&t));
			ASSERT_EQ(0, kill(pid, SIGKILL));
		}
		ASSERT_EQ(how != 2, turns_end(&t));
		/* the next process of this user has the full limit */
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (become(self->uid, LIMIT) ||
			    ia_map(other, id, base, self->mem, LIMIT * PG) ||
			    ia_unmap_all(other, id, NULL))
				_exit(1);
			_exit(0);
		}
		ASSERT_TRUE(exited_well(pid));
	}
	close(other);
}

/* Two processes of one user: together or apart, as the option says. */
TEST_F(charge, two_processes)
{
	bool apart = variant->to == IOASID_CHARGE_MM;
	struct turns t;
	pid_t pid;
	__u32 id;

	ASSERT_EQ(0, ia_alloc(self->fd, &id));
	pid = turns_start(&t);
	ASSERT_LE(0, pid);
	if (!pid) {
		if (become(self->uid, LIMIT) || MAP(0, LIMIT - 4) ||
		    !tell(&t) || !await(&t))
			_exit(1);
		/* the parent gets as much as the limit allows */
		if (MAP(LIMIT, 4) != (apart ? 0 : -EDQUOT) || MAP(32, 5) !=
		    -EDQUOT)
			_exit(2);
		_exit(0);
	}
	ASSERT_TRUE(await(&t));
	ASSERT_EQ(0, become(self->uid, LIMIT));
	if (apart) {
		ROOM(LIMIT);
		EXPECT_EQ(0, ia_map(self->fd, id, base, self->mem,
				    LIMIT * PG));
	} else {
		ROOM(4);
		EXPECT_EQ(0, ia_map(self->fd, id, base, self->mem, 4 * PG));
	}
	ASSERT_TRUE(tell(&t));
	EXPECT_TRUE(turns_end(&t));
}

/* One process that changes its user: the user at the time of the map pays. */
static int switch_user(unsigned int uid)
{
	return setresuid(0, 0, 0) || setresuid(uid, uid, 0) ? -errno : 0;
}

TEST_F(charge, change_of_user)
{
	struct rlimit limit = { LIMIT * PG, LIMIT * PG };
	bool mm = variant->to == IOASID_CHARGE_MM;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, switch_user(self->uid));
	ASSERT_EQ(0, MAP(0, LIMIT));
	ASSERT_EQ(-EDQUOT, MAP(LIMIT, 1));
	ASSERT_EQ(0, switch_user(self->uid + 10));
	EXPECT_EQ(mm ? 0 : LIMIT * PG, bytes_left(self->fd, self->id));
	EXPECT_EQ(mm ? -EDQUOT : 0, MAP(LIMIT, LIMIT));
	EXPECT_EQ(0, bytes_left(self->fd, self->id));
	/* and the payer at the time of the map is uncharged */
	ASSERT_EQ(0, UNMAP(0, LIMIT));
	EXPECT_EQ(mm ? LIMIT * PG : 0, bytes_left(self->fd, self->id));
	ASSERT_EQ(0, switch_user(self->uid));
	ROOM(LIMIT);
}

/* The other user is not charged. */
TEST_F(charge, two_users)
{
	struct turns t;
	pid_t pid;
	__u32 id;

	ASSERT_EQ(0, ia_alloc(self->fd, &id));
	pid = turns_start(&t);
	ASSERT_LE(0, pid);
	if (!pid) {
		if (become(self->uid + 10, LIMIT) || MAP(0, LIMIT) ||
		    !tell(&t) || !await(&t) ||
		    MAP(32, 1) != -EDQUOT)
			_exit(1);
		_exit(0);
	}
	ASSERT_TRUE(await(&t));
	ASSERT_EQ(0, become(self->uid, LIMIT));
	ROOM(LIMIT);
	ASSERT_TRUE(tell(&t));
	EXPECT_TRUE(turns_end(&t));
}

/* Two contexts of one process. */
TEST_F(charge, two_contexts)
{
	int fd = ia_open();
	__u32 id;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ia_set_option(fd, IOASID_OPTION_CHARGE, variant->to, 0));
	ASSERT_EQ(0, ia_alloc(fd, &id));
	ASSERT_EQ(0, become(self->uid, LIMIT));
	ASSERT_EQ(0, ia_map(fd, id, base, self->mem, 10 * PG));
	ROOM(LIMIT - 10);
	close(fd);
	ROOM(LIMIT);
}

TEST_F(charge, mlock)
{
	bool same = variant->to == IOASID_CHARGE_MM;

	ASSERT_EQ(0, become(self->uid, LIMIT));
	ASSERT_EQ(0, mlock(self->mem, 6 * PG));
	ROOM(same ? LIMIT - 6 : LIMIT);
	ASSERT_EQ(0, munlock(self->mem, 6 * PG));
	ASSERT_EQ(0, MAP(0, LIMIT));
	/* the other way round */
	if (same) {
		EXPECT_EQ(-1, mlock(self->mem, PG));
		EXPECT_EQ(ENOMEM, errno);
	} else {
		EXPECT_EQ(0, mlock(self->mem, LIMIT * PG));
	}
	ASSERT_EQ(0, UNMAP(0, LIMIT));
	EXPECT_EQ(0, mlock(self->mem, LIMIT * PG));
}

TEST_F(charge, limit_changes)
{
	struct rlimit limit = { 4 * PG, LIMIT * PG };

	ASSERT_EQ(0, become(self->uid, LIMIT));
	ASSERT_EQ(0, MAP(0, 8));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	EXPECT_EQ(0, bytes_left(self->fd, self->id));
	EXPECT_EQ(-EDQUOT, MAP(8, 1));
	ASSERT_EQ(0, UNMAP(0, 8));
	ROOM(4);
	limit.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ROOM(0);
	/* not a multiple of a page */
	limit.rlim_cur = 3 * PG - 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ROOM(2);
}

TEST_F(charge, no_limit)
{
	struct rlimit none = { 0, RLIM_INFINITY };

	/* root needs none */
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	EXPECT_EQ(~0ULL, bytes_left(self->fd, self->id));
	EXPECT_EQ(0, MAP(0, LIMIT));
	EXPECT_EQ(0, UNMAP(0, LIMIT));
	/* and processes without privilege need none */
	ASSERT_EQ(0, become_limited(self->uid, RLIM_INFINITY));
	EXPECT_EQ(~0ULL, bytes_left(self->fd, self->id));
	EXPECT_EQ(0, MAP(0, LIMIT));
}

TEST_F(charge, nothing_allowed)
{
	ASSERT_EQ(0, become(self->uid, 0));
	ROOM(0);
	EXPECT_EQ(0, ia_reserve(self->fd, self->id, 0, SZ_1G));
}

/*
 * Two processes map into one space: each pays for its own mappings, even after
 * its end, until they are unmapped.
 */
TEST_F(charge, shared_space)
{
	bool mm = variant->to == IOASID_CHARGE_MM;
	struct ioasid_info info;
	__u64 unmapped;
	struct turns t;
	pid_t pid;

	pid = turns_start(&t);
	ASSERT_LE(0, pid);
	if (!pid) {
		if (become(self->uid, LIMIT) || MAP(0, LIMIT) ||
		    MAP(60, 1) != -EDQUOT)
			_exit(1);
		if (ia_status("VmLck") != (mm ? LIMIT * PG / 1024 : 0))
			_exit(2);
		if (!tell(&t) || !await(&t))
			_exit(3);
		/* mappings of the parent have not changed the child's charge */
		if (bytes_left(self->fd, self->id) || MAP(60, 1) != -EDQUOT)
			_exit(4);
		_exit(0);
	}
	ASSERT_TRUE(await(&t));
	ASSERT_EQ(0, become(self->uid + 10, LIMIT));
	ASSERT_EQ(0, MAP(LIMIT, LIMIT));
	EXPECT_EQ(0, bytes_left(self->fd, self->id));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(2 * LIMIT * PG, info.bytes_pinned);
	EXPECT_EQ(2 * LIMIT * PG, info.bytes_charged);
	ASSERT_TRUE(tell(&t));
	EXPECT_TRUE(turns_end(&t));

	/* the mapping of the dead process stays, and its payer, too */
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(2 * LIMIT * PG, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_left);
	EXPECT_EQ(mm ? LIMIT * PG / 1024 : 0, ia_status("VmLck"));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, base, LIMIT * PG,
			      &unmapped));
	EXPECT_EQ(LIMIT * PG, unmapped);
	EXPECT_EQ(0, bytes_left(self->fd, self->id));
	EXPECT_EQ(mm ? LIMIT * PG / 1024 : 0, ia_status("VmLck"));
	ASSERT_EQ(0, UNMAP(LIMIT, LIMIT));
	ROOM(LIMIT);
}

/* Any process may unmap: the payer of the map is uncharged. */
TEST_F(charge, unmapped_by_another)
{
	struct turns t;
	pid_t pid;

	pid = turns_start(&t);
	ASSERT_LE(0, pid);
	if (!pid) {
		if (become(self->uid, LIMIT) || MAP(0, 10) ||
		    MAP(10, LIMIT - 10) || !tell(&t) ||
		    !await(&t))
			_exit(1);
		if (bytes_left(self->fd, self->id) != 10 * PG ||
		    MAP(20, 11) != -EDQUOT || MAP(20, 10))
			_exit(2);
		_exit(0);
	}
	ASSERT_TRUE(await(&t));
	ASSERT_EQ(0, UNMAP(0, 10));
	ASSERT_TRUE(tell(&t));
	EXPECT_TRUE(turns_end(&t));
}

/*
 * Mappings of a dead process are charged to its user, until they are unmapped.
 */
TEST_F(charge, remains_of_the_dead)
{
	pid_t pid;

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(become(self->uid, LIMIT) || MAP(0, LIMIT) ? 1 : 0);
	ASSERT_TRUE(exited_well(pid));
	/* in both ways */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (become(self->uid, LIMIT) || MAP(32, 1) != -EDQUOT)
			_exit(1);
		/* a process that holds the file can unmap them */
		if (UNMAP(0, LIMIT) || MAP(40, LIMIT - 1) ||
		    MAP(60, 2) != -EDQUOT)
			_exit(2);
		_exit(0);
	}
	EXPECT_TRUE(exited_well(pid));
}

/* Files are charged as memory is. */
TEST_F(charge, file)
{
	__u64 iova = base;
	int file;

	file = memfd_create("charged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 2 * LIMIT * PG));
	ASSERT_EQ(0, become(self->uid, LIMIT));
	EXPECT_EQ(-EDQUOT, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       file, 0, (LIMIT + 1) * PG));
	EXPECT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file,
				 0, LIMIT * PG));
	EXPECT_EQ(-EDQUOT, MAP(LIMIT, 1));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ROOM(LIMIT);
	EXPECT_EQ(0, fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
	close(file);
}

/*
 * A manager, as root, makes a context, limits it, and passes it on.
 */
FIXTURE(manager)
{
	int fd;
	int sock[2];
	char *mem;
};

FIXTURE_SETUP(manager)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				self->sock));
	self->mem = ia_mem(4 * LIMIT * PG);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(manager)
{
	close(self->fd);
}

/* The exit status of the child is the number of its call that failed. */
#define CHECK(expr)							\
do {									\
	if (!(expr)) {							\
		fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__,	\
			#expr);						\
		_exit(1);						\
	}								\
} while (0)

static void sealed_user(int sock, char *mem, unsigned int uid)
{
	struct ioasid_info info;
	__u32 id, more, sealed;
	__u64 value;
	int fd;

	if (uid)
		CHECK(!become(uid, 4 * LIMIT));
	fd = ia_recv_fd(sock);
	CHECK(fd >= 0);
	CHECK(ia_set_option(fd, IOASID_OPTION_LIMIT_PINNED, ~0ULL, 0) ==
	      -EPERM);
	CHECK(ia_set_option(fd, IOASID_OPTION_LIMIT_IOASIDS, ~0ULL, 0) ==
	      -EPERM);
	CHECK(ia_set_option(fd, IOASID_OPTION_LIMIT_PINNED, 0,
			    IOASID_OPTION_SEAL) == -EPERM);
	CHECK(!ia_get_option(fd, IOASID_OPTION_LIMIT_PINNED, &value, &sealed));
	CHECK(value == LIMIT * PG && sealed == 1);
	CHECK(!ia_get_option(fd, IOASID_OPTION_LIMIT_IOASIDS, &value, &sealed));
	CHECK(value == 2 && sealed == 1);
	/* options that were not sealed can be set */
	CHECK(!ia_set_option(fd, IOASID_OPTION_CHARGE, IOASID_CHARGE_MM, 0));

	CHECK(!ia_alloc(fd, &id));
	CHECK(!ia_alloc(fd, &more));
	CHECK(ia_alloc(fd, &more) == -EDQUOT);
	CHECK(!ia_info(fd, id, &info));
	CHECK(info.bytes_left == LIMIT * PG);
	CHECK(ia_map(fd, id, base, mem, (LIMIT + 1) * PG) == -EDQUOT);
	CHECK(!ia_map(fd, id, base, mem, (LIMIT - 1) * PG));
	CHECK(ia_map(fd, more, base, mem, 2 * PG) == -EDQUOT);
	CHECK(!ia_map(fd, more, base, mem, PG));
	CHECK(!ia_info(fd, id, &info));
	CHECK(info.bytes_left == 0);
	CHECK(!ia_free(fd, more));
	CHECK(!ia_alloc(fd, &more));
	_exit(0);
}

TEST_F(manager, sealed)
{
	unsigned int i, uids[] = { 0, 60020 };
	pid_t pid;
	int fd;

	for (i = 0; i < ARRAY_SIZE(uids); i++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid)
			sealed_user(self->sock[1], self->mem, uids[i]);
		fd = ia_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ia_set_option(fd, IOASID_OPTION_LIMIT_PINNED,
					   LIMIT * PG, IOASID_OPTION_SEAL));
		ASSERT_EQ(0, ia_set_option(fd, IOASID_OPTION_LIMIT_IOASIDS, 2,
					   IOASID_OPTION_SEAL));
		ASSERT_EQ(0, ia_send_fd(self->sock[0], fd));
		close(fd);
		EXPECT_TRUE(exited_well(pid));
	}
}

/*
 * A file in flight keeps its mappings; when it is dropped, they are unmapped.
 */
TEST_F(manager, in_flight)
{
	struct ioasid_info info;
	__u64 iova = base;
	int file, fd;
	__u32 id;

	file = memfd_create("in flight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, PG));
	ASSERT_EQ(0, ia_alloc_full(self->fd, &id, 42, 0));
	ASSERT_EQ(0, ia_map_file(self->fd, id, IA_RW_FIXED, &iova, file, 0,
				 PG));
	ASSERT_EQ(0, ia_send_fd(self->sock[0], self->fd));
	close(self->fd);
	EXPECT_EQ(-1, fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
	fd = ia_recv_fd(self->sock[1]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ia_info(fd, id, &info));
	EXPECT_EQ(42, info.cookie);
	EXPECT_EQ(PG, info.bytes_pinned);
	ASSERT_EQ(0, ia_send_fd(self->sock[0], fd));
	close(fd);
	EXPECT_EQ(-1, fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
	close(self->sock[0]);
	close(self->sock[1]);
	EXPECT_EQ(0, fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
	self->fd = -1;
}

/* A successor identifies objects by their cookies. */
TEST_F(manager, successor)
{
	struct ioasid_list_entry entries[4] = {};
	struct ioasid_info info;
	__u32 id[3], nr, i;
	pid_t pid;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ia_alloc_full(self->fd, &id[i], 100 + i, 0));
		ASSERT_EQ(0, ia_map(self->fd, id[i], base, self->mem,
				    (i + 1) * PG));
	}
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd;

		close(self->fd);
		fd = ia_recv_fd(self->sock[1]);
		CHECK(fd >= 0);
		nr = ARRAY_SIZE(entries);
		CHECK(!ia_list(fd, 0, entries, &nr));
		CHECK(nr == 3);
		for (i = 0; i < 3; i++) {
			CHECK(entries[i].cookie == 100 + i);
			CHECK(!ia_info(fd, entries[i].id, &info));
			CHECK(info.cookie == 100 + i);
			CHECK(info.bytes_mapped == (i + 1) * PG);
			CHECK(!ia_free(fd, entries[i].id));
		}
		_exit(0);
	}
	ASSERT_EQ(0, ia_send_fd(self->sock[0], self->fd));
	EXPECT_TRUE(exited_well(pid));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-ENOENT, ia_info(self->fd, id[i], &info));
}

/* The kernel charges its allocations to the user's memory cgroup. */
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static long long read_number(const char *path)
{
	char text[32] = {};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strtoll(text, NULL, 10);
}

#define CGROUP "/sys/fs/cgroup/ioasid-selftest"

TEST_F(manager, memory_cgroup)
{
	const unsigned int nr = 5000;
	long long *used;
	pid_t pid;

	used = mmap(NULL, PG, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, used);
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		SKIP(return, "no cgroup2 at /sys/fs/cgroup");
	if (access(CGROUP "/memory.current", R_OK)) {
		rmdir(CGROUP);
		SKIP(return, "no memory controller");
	}
	pid = ia_fork();
	if (!pid) {
		__u32 id, i;
		int fd;

		CHECK(!write_file(CGROUP "/cgroup.procs", "0"));
		fd = ia_open();
		CHECK(fd >= 0);
		self->mem[0] = 1;
		used[0] = read_number(CGROUP "/memory.current");
		for (i = 0; i < nr; i++)
			CHECK(!ia_alloc(fd, &id));
		used[1] = read_number(CGROUP "/memory.current");
		for (i = 0; i < nr; i++)
			CHECK(!ia_map(fd, id, base + i * PG, self->mem, PG));
		used[2] = read_number(CGROUP "/memory.current");
		for (i = 0; i < nr; i++)
			CHECK(!ia_reserve(fd, id, SZ_4G + i * PG, PG));
		used[3] = read_number(CGROUP "/memory.current");
		_exit(0);
	}
	EXPECT_TRUE(exited_well(pid));
	rmdir(CGROUP);
	/* at least an id, a node of a tree, and a few words each */
	EXPECT_LE(64 * nr, used[1] - used[0]);
	EXPECT_LE(48 * nr, used[2] - used[1]);
	EXPECT_LE(48 * nr, used[3] - used[2]);
	munmap(used, PG);
}

TEST_HARNESS_MAIN
