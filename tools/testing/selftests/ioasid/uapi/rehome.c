// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_REHOME: a process takes over the charge of mappings of another one,
 * which runs or has ended. No device is needed.
 */
#define _GNU_SOURCE
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "charge.h"
#include "family.h"

#define PG page_size

#define ROOM 32
#define ROUNDS 200

static const __u64 base = CHARGE_IOVA;

FIXTURE(rehome)
{
	int fd;
	__u32 id;
	int file;
	/* What the predecessor does: its user, and how many pages it maps, twice */
	unsigned int uid;
	unsigned long pages[2];
	struct other predecessor;
};

FIXTURE_VARIANT(rehome)
{
	__u64 charge;
};

FIXTURE_VARIANT_ADD(rehome, user)
{
	.charge = IOASID_CHARGE_USER,
};

FIXTURE_VARIANT_ADD(rehome, mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_VARIANT_ADD(rehome, once)
{
	.charge = IOASID_CHARGE_ONCE,
};

FIXTURE_SETUP(rehome)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	if (!ia_check(self->fd, IOASID_EXT_MAP_FILE))
		SKIP(return, "no IOASID_MAP_FILE");
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	self->file = memfd_create("rehome", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, 2 * ROOM * PG));
}

FIXTURE_TEARDOWN(rehome)
{
	close(self->fd);
	close(self->file);
}

/* Pages of the file by index, to the same pages of IOVA from @base on. */
static int map_file(int fd, __u32 id, int file, unsigned long index,
		    unsigned long pages)
{
	__u64 iova = base + index * PG;

	return ia_map_file(fd, id, IA_RW_FIXED, &iova, file, index * PG,
			   pages * PG);
}

#define MAP_PAGES(index, pages)						\
	map_file(self->fd, self->id, self->file, index, pages)
#define REHOME(flags) ia_rehome(self->fd, self->id, flags, &moved, &fail_iova)

#define MINE() charged_to(variant->charge, getpid())
#define THEIRS() charged_to(variant->charge, self->predecessor.pid)

static int predecessor(void *arg)
{
	struct _test_data_rehome *self = arg;
	int rc = getuid() ? 0 : may_lock_as(self->uid, ROOM);

	rc = rc ?: MAP_PAGES(0, self->pages[0]);
	return rc ?: MAP_PAGES(ROOM, self->pages[1]);
}

/*
 * Fork the predecessor, whose user is @_uid: it maps two parts of the file, of
 * @first and of @second pages, and waits until it is told to end.
 */
#define START(_uid, first, second)					\
do {									\
	self->uid = (_uid);						\
	self->pages[0] = (first);					\
	self->pages[1] = (second);					\
	ASSERT_EQ(0, other_start(&self->predecessor, predecessor, self)); \
} while (0)

#define STOP() ASSERT_TRUE(other_stop(&self->predecessor))

/* All is charged to this process, and unmapping releases it. */
#define EXPECT_MINE(pages)						\
do {									\
	EXPECT_EQ(pages, MINE());					\
	EXPECT_EQ(ROOM - (pages), left(self->fd, self->id));		\
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));		\
	EXPECT_EQ(0, MINE());						\
	EXPECT_EQ(ROOM, left(self->fd, self->id));			\
} while (0)

/* From a process of the same user, which runs. */
TEST_F(rehome, running)
{
	bool shared = variant->charge == IOASID_CHARGE_USER;
	__u64 moved, fail_iova;

	EXPECT_LE(1, ia_check(self->fd, IOASID_EXT_REHOME));
	START(60100, 8, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_EQ(12, THEIRS());
	EXPECT_EQ(0, MINE());
	EXPECT_EQ(shared ? ROOM - 12 : ROOM, left(self->fd, self->id));

	EXPECT_EQ(0, REHOME(IOASID_REHOME_PROBE));
	EXPECT_EQ(2, moved);
	EXPECT_EQ(0, fail_iova);
	EXPECT_EQ(12, THEIRS());
	EXPECT_EQ(0, MINE());

	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(2, moved);
	EXPECT_EQ(0, fail_iova);
	EXPECT_EQ(0, THEIRS());
	EXPECT_EQ(12, MINE());
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(0, moved);
	STOP();
	EXPECT_MINE(12);
}

/* From a process that has ended, whose charge fills the limit of its user. */
TEST_F(rehome, ended)
{
	__u64 moved, fail_iova;

	START(60100, ROOM - 4, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	STOP();
	EXPECT_EQ(0, left(self->fd, self->id));
	EXPECT_EQ(-EDQUOT, map_file(self->fd, self->id, self->file, ROOM + 8, 1));
	EXPECT_EQ(0, REHOME(IOASID_REHOME_PROBE));
	EXPECT_EQ(2, moved);
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(2, moved);
	EXPECT_MINE(ROOM);
}

/* From a process of another user: it has a charge and a limit of its own. */
TEST_F(rehome, other_user)
{
	__u64 moved, fail_iova;

	START(60101, 8, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_EQ(ROOM, left(self->fd, self->id));
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(2, moved);
	EXPECT_EQ(0, THEIRS());
	STOP();
	EXPECT_MINE(12);
}

/* The limit ends a move between two mappings, and a repeated call continues. */
TEST_F(rehome, limit)
{
	bool once = variant->charge == IOASID_CHARGE_ONCE;
	__u64 moved, fail_iova;

	START(60101, 8, 4);
	ASSERT_EQ(0, may_lock(11));
	EXPECT_EQ(once ? 0 : -EDQUOT, REHOME(IOASID_REHOME_PROBE));
	EXPECT_EQ(0, MINE());
	EXPECT_EQ(-EDQUOT, REHOME(0));
	EXPECT_EQ(1, moved);
	EXPECT_EQ(base + ROOM * PG, fail_iova);
	EXPECT_EQ(8, MINE());
	EXPECT_EQ(4, THEIRS());
	ASSERT_EQ(0, unmap_pages(self->fd, self->id, 4, 1));
	EXPECT_EQ(7, MINE());
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(1, moved);
	EXPECT_EQ(0, fail_iova);
	EXPECT_EQ(11, MINE());
	EXPECT_EQ(0, THEIRS());
	STOP();
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(0, MINE());
	EXPECT_EQ(11, left(self->fd, self->id));
}

/* The limit of the context counts nothing twice. */
TEST_F(rehome, limit_pinned)
{
	__u64 moved, fail_iova;

	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED,
				   12 * PG, 0));
	START(60100, 8, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_EQ(0, REHOME(IOASID_REHOME_PROBE));
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(2, moved);
	EXPECT_EQ(12, MINE());
	STOP();
}

/* A cut after the move divides the charge. */
TEST_F(rehome, cut)
{
	__u64 moved, fail_iova;

	START(60100, 8, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, unmap_pages(self->fd, self->id, 2, 2));
	EXPECT_EQ(10, THEIRS());
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(3, moved);
	EXPECT_EQ(10, MINE());
	EXPECT_EQ(0, THEIRS());
	ASSERT_EQ(0, unmap_pages(self->fd, self->id, 5, 1));
	EXPECT_EQ(9, MINE());
	STOP();
	EXPECT_MINE(9);
}

/* Pages that both processes have mapped, and one of them twice. */
TEST_F(rehome, several_times)
{
	bool once = variant->charge == IOASID_CHARGE_ONCE;
	__u64 moved, fail_iova, iova = SZ_4G;

	START(60101, 8, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 4 * PG, 4 * PG));
	EXPECT_EQ(4, MINE());
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(2, moved);
	EXPECT_EQ(once ? 12 : 16, MINE());
	EXPECT_EQ(0, THEIRS());
	STOP();
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, 4 * PG, NULL));
	EXPECT_MINE(12);
}

/* User addresses of another process stay, and then files stay, too. */
TEST_F(rehome, addresses)
{
	__u64 moved, fail_iova;
	char *mem = ia_mem(PG);
	int status;
	pid_t pid;

	ASSERT_NE(NULL, mem);
	START(60100, 8, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-ia_map(self->fd, self->id, SZ_4G, mem, PG));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);

	EXPECT_EQ(-EOPNOTSUPP, REHOME(IOASID_REHOME_PROBE));
	EXPECT_EQ(-EOPNOTSUPP, REHOME(0));
	EXPECT_EQ(0, moved);
	EXPECT_EQ(SZ_4G, fail_iova);
	EXPECT_EQ(12, THEIRS());
	EXPECT_EQ(0, MINE());
	/* those of this process do no harm */
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, SZ_4G, PG, NULL));
	ASSERT_EQ(0, ia_map(self->fd, self->id, SZ_4G, mem, PG));
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(2, moved);
	STOP();
	EXPECT_MINE(13);
}

/* A child refers to two pages of its parent. */
static int pin_by_child(int fd, __u32 parent)
{
	__u32 id;
	int rc = ia_child(fd, parent, 0, &id);

	return rc ? rc : ia_map_ref(fd, id, base, base, 2 * PG, IA_RW);
}

/* Recorded memory of a root that pins on demand: files only. */
TEST_F(rehome, demand)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
	};
	__u64 moved, fail_iova;
	char *mem = ia_mem(PG);
	int status;
	pid_t pid;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	self->id = alloc.ioasid;
	START(60100, 8, 4);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(0, moved);
	/* what a child has pinned is charged to the process that did that */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-pin_by_child(self->fd, self->id));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(0, MINE());
	EXPECT_EQ(0, REHOME(0));
	EXPECT_LT(0, moved);
	EXPECT_LE(2, MINE());

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-ia_map(self->fd, self->id, SZ_4G, mem, PG));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(-EOPNOTSUPP, REHOME(0));
	EXPECT_EQ(SZ_4G, fail_iova);
	STOP();
}

/* A child has no charge of its own. */
TEST_F(rehome, child)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
		.parent = self->id,
	};
	__u64 moved, fail_iova;

	ASSERT_EQ(0, MAP_PAGES(0, 8));
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	EXPECT_EQ(-EOPNOTSUPP, ia_rehome(self->fd, alloc.ioasid, 0, &moved,
					 &fail_iova));
	EXPECT_EQ(-ENOENT, ia_rehome(self->fd, alloc.ioasid + 1, 0, &moved,
				     &fail_iova));
}

/* Map, cut, unmap and take over, against another process that does the same. */
static int compete(int fd, __u32 id, int file, unsigned int seed)
{
	int i, rc;

	for (i = 0; i < ROUNDS; i++) {
		switch (rand_r(&seed) % 4) {
		case 0:
			rc = map_file(fd, id, file, rand_r(&seed) % 2 * 4, 4);
			break;
		case 1:
			rc = unmap_pages(fd, id, rand_r(&seed) % 8, 1);
			break;
		default:
			rc = ia_rehome(fd, id, 0, NULL, NULL);
			if (rc)
				return rc;
		}
		if (rc && rc != -EEXIST && rc != -ENOENT && rc != -ECANCELED &&
		    rc != -EBUSY)
			return rc;
	}
	return 0;
}

/* Four processes. */
TEST_F(rehome, races)
{
	pid_t pid[3];
	__u64 moved, fail_iova;
	int i;

	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; i < 3; i++) {
		pid[i] = ia_fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			_exit(-compete(self->fd, self->id, self->file, i));
	}
	EXPECT_EQ(0, compete(self->fd, self->id, self->file, 3));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(exited_well(pid[i]));
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ASSERT_EQ(0, MAP_PAGES(0, 8));
	EXPECT_EQ(0, REHOME(0));
	EXPECT_EQ(0, moved);
	EXPECT_MINE(8);
}

/* The predecessor is killed while its mappings move. */
TEST_F(rehome, killed)
{
	__u64 moved, fail_iova;
	int i, status;

	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; i < 8; i++) {
		START(60100, 8, 4);
		ASSERT_EQ(0, kill(self->predecessor.pid, SIGKILL));
		ASSERT_EQ(0, REHOME(0));
		EXPECT_EQ(2, moved);
		ASSERT_EQ(self->predecessor.pid,
			  waitpid(self->predecessor.pid, &status, 0));
		close(self->predecessor.sock);
		EXPECT_MINE(12);
	}
}

TEST_HARNESS_MAIN
