// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_REHOME of user addresses: a process takes over mappings of memory that
 * it shares with another one, which runs or has ended. No device is needed.
 */
#define _GNU_SOURCE
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "charge.h"
#include "uffd.h"

#define PG page_size

#define ROOM 32
#define ROUNDS (ia_slow_kernel() ? 20 : 60)
#define MANY 5000

static const __u64 base = CHARGE_IOVA;

/*
 * The predecessor maps two parts of the file by its addresses: 8 pages, and 4
 * pages ROOM pages above. @mem is where this process has the file.
 */
FIXTURE(rehome_user)
{
	int fd;
	__u32 id;
	int file;
	char *mem;
	unsigned int uid;	/* of the predecessor; 0: any */
	__u32 flags;		/* with which it maps */
	struct other other;
	__u64 moved;
	__u64 fail_iova;
};

FIXTURE_VARIANT(rehome_user)
{
	__u64 charge;
};

FIXTURE_VARIANT_ADD(rehome_user, user)
{
	.charge = IOASID_CHARGE_USER,
};

FIXTURE_VARIANT_ADD(rehome_user, mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_VARIANT_ADD(rehome_user, once)
{
	.charge = IOASID_CHARGE_ONCE,
};

static void *share(int file, unsigned long pages)
{
	return mmap(NULL, pages * PG, PROT_READ | PROT_WRITE, MAP_SHARED, file,
		    0);
}

FIXTURE_SETUP(rehome_user)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(2, ia_check(self->fd, IOASID_EXT_REHOME));
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	self->file = memfd_create("rehome", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, 2 * ROOM * PG));
	self->mem = share(self->file, 2 * ROOM);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->flags = IA_RW_FIXED;
}

FIXTURE_TEARDOWN(rehome_user)
{
	close(self->fd);
	close(self->file);
}

/* Pages of @mem by index, to the same pages of IOVA from @base on. */
static int map_at(struct _test_data_rehome_user *self, char *mem,
		  unsigned long index, unsigned long pages)
{
	__u64 iova = base + index * PG;

	return ia_map_full(self->fd, self->id, self->flags, &iova,
			   IA_PTR(mem + index * PG), pages * PG, 0, 0, 0, NULL);
}

static int predecessor(void *arg)
{
	struct _test_data_rehome_user *self = arg;
	char *mem = share(self->file, 2 * ROOM);
	int rc = 0;

	if (mem == MAP_FAILED || mem == self->mem)
		return -ENOMEM;
	if (self->uid)
		rc = may_lock_as(self->uid, ROOM);
	if (!rc)
		rc = map_at(self, mem, 0, 8);
	return rc ? rc : map_at(self, mem, ROOM, 4);
}

#define START(_uid)							\
do {									\
	self->uid = getuid() ? 0 : (_uid);				\
	ASSERT_EQ(0, other_start(&self->other, predecessor, self));	\
} while (0)

#define STOP() ASSERT_TRUE(other_stop(&self->other))

#define MINE() charged_to(variant->charge, getpid())
#define THEIRS() charged_to(variant->charge, self->other.pid)

/* Where @mem has the pages of these IOVAs. */
static struct ioasid_rehome_entry entry(const char *mem, unsigned long index,
					unsigned long pages)
{
	return (struct ioasid_rehome_entry){
		.iova = base + index * PG,
		.length = pages * PG,
		.addr = IA_PTR(mem + index * PG),
	};
}

static int rehome(struct _test_data_rehome_user *self, __u32 flags,
		  const struct ioasid_rehome_entry *entries, __u32 nr)
{
	return ia_rehome_user(self->fd, self->id, flags, entries, nr,
			      &self->moved, &self->fail_iova);
}

/* The entries fail, with and without PROBE, at a page; @taken moved before. */
#define EXPECT_FAILS(errno_, index, taken, entries, nr)			\
do {									\
	EXPECT_EQ(-(errno_), rehome(self, IOASID_REHOME_PROBE, entries,	\
				    nr));				\
	EXPECT_EQ(taken, self->moved);					\
	EXPECT_EQ(base + (index) * PG, self->fail_iova);		\
	EXPECT_EQ(0, MINE());						\
	EXPECT_EQ(-(errno_), rehome(self, 0, entries, nr));		\
	EXPECT_EQ(taken, self->moved);					\
	EXPECT_EQ(base + (index) * PG, self->fail_iova);		\
} while (0)

/* The user address behind an IOVA, 0 if this process may not know it. */
static __u64 addr_of(struct _test_data_rehome_user *self, unsigned long index)
{
	struct ioasid_query_entry found = {};
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->id,
		.nr = 1,
		.start = base + index * PG,
		.entries = IA_PTR(&found),
	};
	int rc = ia_cmd(self->fd, IOASID_QUERY_MAP, &query);

	return !rc && query.nr == 1 && found.flags & IOASID_QUERY_ADDR ?
	       found.addr : 0;
}

/* All is charged to this process, and unmapping releases it. */
#define EXPECT_MINE(pages)						\
do {									\
	EXPECT_TRUE(charge_becomes(variant->charge, getpid(), pages));	\
	EXPECT_EQ(ROOM - (pages), left(self->fd, self->id));		\
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));		\
	EXPECT_EQ(0, MINE());						\
	EXPECT_EQ(ROOM, left(self->fd, self->id));			\
} while (0)

/* From a process that runs; what is between the mappings does not matter. */
TEST_F(rehome_user, running)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);

	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_EQ(0, rehome(self, IOASID_REHOME_PROBE, &all, 1));
	EXPECT_EQ(2, self->moved);
	EXPECT_EQ(0, self->fail_iova);
	EXPECT_EQ(12, THEIRS());
	EXPECT_EQ(0, MINE());
	EXPECT_EQ(0, addr_of(self, 0));

	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(2, self->moved);
	EXPECT_EQ(0, self->fail_iova);
	EXPECT_EQ(0, THEIRS());
	EXPECT_EQ(12, MINE());
	EXPECT_EQ(IA_PTR(self->mem), addr_of(self, 0));
	EXPECT_EQ(IA_PTR(self->mem + ROOM * PG), addr_of(self, ROOM));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(0, self->moved);
	EXPECT_EQ(0, ia_rehome(self->fd, self->id, 0, &self->moved, NULL));
	EXPECT_EQ(0, self->moved);
	STOP();
	EXPECT_MINE(12);
}

/* From a process of another user that has ended, with an entry for each. */
TEST_F(rehome_user, ended)
{
	struct ioasid_rehome_entry entries[] = {
		entry(self->mem, 0, 8),
		entry(self->mem, ROOM, 4),
	};

	START(60101);
	ASSERT_EQ(0, may_lock(ROOM));
	STOP();
	EXPECT_EQ(0, rehome(self, IOASID_REHOME_PROBE, entries, 2));
	EXPECT_EQ(2, self->moved);
	EXPECT_EQ(0, rehome(self, 0, entries, 2));
	EXPECT_EQ(2, self->moved);
	EXPECT_EQ(IA_PTR(self->mem), addr_of(self, 0));
	EXPECT_MINE(12);
}

/* Pieces of a mapping that was cut, in one entry. */
TEST_F(rehome_user, cut)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);

	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, unmap_pages(self->fd, self->id, 2, 2));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(3, self->moved);
	EXPECT_EQ(IA_PTR(self->mem + 4 * PG), addr_of(self, 4));
	ASSERT_EQ(0, unmap_pages(self->fd, self->id, 5, 1));
	EXPECT_EQ(IA_PTR(self->mem + 6 * PG), addr_of(self, 6));
	STOP();
	EXPECT_MINE(9);
}

/* Memory that is not the same, in whole or in part, or is not there. */
TEST_F(rehome_user, other_pages)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM), bad = all;
	char *private = ia_mem(2 * ROOM * PG);

	ASSERT_NE(NULL, private);
	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	bad.addr = IA_PTR(private);
	EXPECT_FAILS(EFAULT, 0, 0, &bad, 1);
	/* the same file, another page */
	ASSERT_NE(MAP_FAILED, mmap(self->mem + 5 * PG, PG,
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, self->file, 6 * PG));
	EXPECT_FAILS(EFAULT, 5, 0, &all, 1);
	/* a copy that reads the same */
	ASSERT_NE(MAP_FAILED, mmap(self->mem + 5 * PG, PG,
				   PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_FIXED, self->file, 5 * PG));
	EXPECT_FAILS(EFAULT, 5, 0, &all, 1);
	ASSERT_EQ(0, munmap(self->mem + 5 * PG, PG));
	EXPECT_FAILS(EFAULT, 5, 0, &all, 1);
	bad.addr = IA_PTR(-1UL) - 2 * ROOM * PG - (PG - 1);
	EXPECT_FAILS(EFAULT, 0, 0, &bad, 1);
	EXPECT_EQ(12, THEIRS());
	EXPECT_EQ(0, addr_of(self, 0));
	ASSERT_NE(MAP_FAILED, mmap(self->mem + 5 * PG, PG,
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, self->file, 5 * PG));
	/* the first mapping moves, the second does not */
	ASSERT_EQ(0, munmap(self->mem + (ROOM + 3) * PG, PG));
	EXPECT_FAILS(EFAULT, ROOM + 3, 1, &all, 1);
	EXPECT_EQ(8, MINE());
	EXPECT_EQ(4, THEIRS());
	EXPECT_EQ(IA_PTR(self->mem), addr_of(self, 0));
	EXPECT_EQ(0, addr_of(self, ROOM));
	STOP();
}

/* What was mapped for writing must be writable. */
TEST_F(rehome_user, read_only)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);

	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, mprotect(self->mem + 7 * PG, PG, PROT_READ));
	EXPECT_FAILS(EFAULT, 7, 0, &all, 1);
	STOP();
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	ASSERT_EQ(0, mprotect(self->mem, 2 * ROOM * PG, PROT_READ));
	self->flags = IOASID_MAP_READ | IOASID_MAP_FIXED;
	START(60100);
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(2, self->moved);
	/* it does not become writable by that */
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id,
				       IOASID_MAP_PROTECT | IA_RW_FIXED,
				       &(__u64){ base }, 0, 8 * PG, 0, 0, 0,
				       NULL));
	STOP();
	EXPECT_MINE(12);
}

/* Memory that was inherited: a pin for writing has copied it. */
static int map_inherited(void *arg)
{
	struct _test_data_rehome_user *self = arg;

	return map_at(self, self->mem, 0, 8);
}

TEST_F(rehome_user, inherited)
{
	struct ioasid_rehome_entry all;

	self->mem = ia_mem(2 * ROOM * PG);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 1, 2 * ROOM * PG);
	all = entry(self->mem, 0, 2 * ROOM);
	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, other_start(&self->other, map_inherited, self));
	EXPECT_FAILS(EFAULT, 0, 0, &all, 1);
	STOP();
}

/* Entries that cut a mapping, or are not in order, or malformed. */
TEST_F(rehome_user, bad_entries)
{
	static const unsigned long cuts[][3] = {
		/* first page, pages, of the mapping */
		{ 0, 7, 0 }, { 1, 7, 0 }, { 7, ROOM, 0 }, { 0, ROOM + 2, ROOM },
		{ 1, 2 * ROOM - 1, 0 }, { ROOM + 3, 1, ROOM },
	};
	static const unsigned long low[] = { 0, 14, ROOM, ROOM + 3 };
	struct ioasid_rehome_entry entries[3];
	unsigned int i;

	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; i < ARRAY_SIZE(cuts); i++) {
		int before = cuts[i][0] > 8;

		entries[0] = entry(self->mem, 0, 8);
		entries[before] = entry(self->mem, cuts[i][0], cuts[i][1]);
		EXPECT_FAILS(EINVAL, cuts[i][2], 0, entries, before + 1);
	}
	/* two for one mapping */
	entries[0] = entry(self->mem, 0, 4);
	entries[1] = entry(self->mem, 4, ROOM);
	EXPECT_FAILS(EINVAL, 0, 0, entries, 2);

	/* the last of three: below the others, between them, the same, overlaps */
	for (i = 0; i < ARRAY_SIZE(low); i++) {
		entries[0] = entry(self->mem, 4, 8);
		entries[1] = entry(self->mem, ROOM, 4);
		entries[2] = entry(self->mem, low[i], 4);
		EXPECT_FAILS(EINVAL, low[i], 0, entries, 3);
	}
	entries[0] = entry(self->mem, 0, 8);
	for (i = 0; i < 6; i++) {
		entries[2] = entry(self->mem, ROOM + 4, 4);
		switch (i) {
		case 0:
			entries[2].length = 0;
			break;
		case 1:
			entries[2].length++;
			break;
		case 2:
			entries[2].addr++;
			break;
		case 3:
			entries[2].length = -entries[2].iova + PG;
			break;
		case 4:
			entries[2].addr = -PG;
			break;
		default:
			entries[2].iova++;
		}
		EXPECT_EQ(-EINVAL, rehome(self, 0, entries, 3));
		EXPECT_EQ(entries[2].iova, self->fail_iova);
		EXPECT_EQ(0, self->moved);
	}
	EXPECT_EQ(12, THEIRS());
	STOP();
}

/* A mapping without entry keeps all others from moving. */
TEST_F(rehome_user, not_covered)
{
	struct ioasid_rehome_entry entries[] = {
		entry(self->mem, 0, 8),
		entry(self->mem, ROOM, 4),
	};
	__u64 iova = SZ_4G;

	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_FAILS(EOPNOTSUPP, ROOM, 0, &entries[0], 1);
	EXPECT_FAILS(EOPNOTSUPP, 0, 0, &entries[1], 1);
	EXPECT_FAILS(EOPNOTSUPP, 0, 0, entries, 0);
	/* files need none, and are no obstacle in one */
	if (ia_check(self->fd, IOASID_EXT_MAP_FILE))
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
					 self->file, 0, PG));
	entries[1].length = SZ_4G;
	EXPECT_EQ(0, rehome(self, 0, entries, 2));
	EXPECT_EQ(2, self->moved);
	STOP();
}

/* Many entries, of which two matter. */
TEST_F_TIMEOUT(rehome_user, many, 200)
{
	struct ioasid_rehome_entry *entries = calloc(MANY, sizeof(*entries));
	int i;

	ASSERT_NE(NULL, entries);
	entries[0] = entry(self->mem, 0, 8);
	for (i = 1; i < MANY; i++)
		entries[i] = entry(self->mem, 2 * ROOM + i, 1);
	for (i = 1; i < 24; i++)
		entries[i] = entry(self->mem, 7 + i, 1);
	entries[24] = entry(self->mem, ROOM, 4);
	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	/* the last one is read before anything moves */
	entries[MANY - 1].length = 0;
	EXPECT_EQ(-EINVAL, rehome(self, 0, entries, MANY));
	EXPECT_EQ(0, self->moved);
	EXPECT_EQ(entries[MANY - 1].iova, self->fail_iova);
	entries[MANY - 1].length = PG;
	EXPECT_EQ(0, rehome(self, 0, entries, MANY));
	EXPECT_EQ(2, self->moved);
	STOP();
	EXPECT_MINE(12);
	free(entries);
}

/* An array that cannot be read to its end, and elements of other sizes. */
TEST_F(rehome_user, array)
{
	struct ioasid_rehome cmd = {
		.argsz = sizeof(cmd),
		.ioasid = self->id,
		.nr = 2,
	};
	struct {
		struct ioasid_rehome_entry entry;
		__u64 more;
	} long_entries[2] = {
		{ entry(self->mem, 0, 8), 0 },
		{ entry(self->mem, ROOM, 4), 1 },
	};
	struct ioasid_rehome_entry *end;
	char *page;

	page = ia_mem(2 * PG);
	ASSERT_NE(NULL, page);
	ASSERT_EQ(0, munmap(page + PG, PG));
	end = (void *)(page + PG);
	end[-2] = entry(self->mem, 0, 8);
	end[-1] = entry(self->mem, ROOM, 4);
	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_EQ(-EFAULT, rehome(self, 0, end - 2, 3));
	EXPECT_EQ(0, self->moved);
	EXPECT_EQ(-EFAULT, rehome(self, 0, end - 2, ~0U));
	EXPECT_EQ(0, self->moved);
	EXPECT_EQ(-EFAULT, rehome(self, IOASID_REHOME_PROBE, NULL, 1));

	cmd.entries = IA_PTR(end - 2);
	cmd.entry_size = sizeof(*end) - 1;
	EXPECT_EQ(-EINVAL, ia_cmd(self->fd, IOASID_REHOME, &cmd));
	cmd.entry_size = 257;
	EXPECT_EQ(-E2BIG, ia_cmd(self->fd, IOASID_REHOME, &cmd));
	cmd.entries = IA_PTR(long_entries);
	cmd.entry_size = sizeof(long_entries[0]);
	EXPECT_EQ(-E2BIG, ia_cmd(self->fd, IOASID_REHOME, &cmd));
	EXPECT_EQ(0, cmd.moved);
	long_entries[1].more = 0;
	cmd.fail_iova = 0;
	EXPECT_EQ(0, ia_cmd(self->fd, IOASID_REHOME, &cmd));
	EXPECT_EQ(2, cmd.moved);
	/* without entries the rest is not looked at */
	EXPECT_EQ(0, rehome(self, 0, end, 0));
	STOP();
	EXPECT_MINE(12);
}

/* The limit ends a move between two mappings, and a repeated call continues. */
TEST_F(rehome_user, limit)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);
	bool once = variant->charge == IOASID_CHARGE_ONCE;

	START(60101);
	ASSERT_EQ(0, may_lock(11));
	EXPECT_EQ(once ? 0 : -EDQUOT,
		  rehome(self, IOASID_REHOME_PROBE, &all, 1));
	EXPECT_EQ(0, MINE());
	EXPECT_EQ(-EDQUOT, rehome(self, 0, &all, 1));
	EXPECT_EQ(1, self->moved);
	EXPECT_EQ(base + ROOM * PG, self->fail_iova);
	EXPECT_EQ(8, MINE());
	EXPECT_EQ(4, THEIRS());
	EXPECT_EQ(0, addr_of(self, ROOM));
	ASSERT_EQ(0, unmap_pages(self->fd, self->id, 4, 1));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(1, self->moved);
	EXPECT_EQ(11, MINE());
	EXPECT_EQ(0, THEIRS());
	STOP();
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(0, MINE());
}

/* A mapping of this process moves to another address of it. */
TEST_F(rehome_user, own)
{
	char *again = share(self->file, 2 * ROOM);
	struct ioasid_rehome_entry all = entry(again, 0, 2 * ROOM);

	ASSERT_NE(MAP_FAILED, again);
	ASSERT_EQ(0, may_lock(ROOM));
	ASSERT_EQ(0, map_at(self, self->mem, 0, 8));
	EXPECT_EQ(0, rehome(self, IOASID_REHOME_PROBE, &all, 1));
	EXPECT_EQ(1, self->moved);
	EXPECT_EQ(IA_PTR(self->mem), addr_of(self, 0));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(1, self->moved);
	EXPECT_EQ(IA_PTR(again), addr_of(self, 0));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(0, self->moved);
	EXPECT_MINE(8);
}

/* A root that pins on demand has recorded an address, not pages. */
TEST_F(rehome_user, demand)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
	};

	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	self->id = alloc.ioasid;
	START(60100);
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_FAILS(EOPNOTSUPP, 0, 0, &all, 1);
	STOP();
}

/* Huge pages, of hugetlbfs or of shared memory. */
static int map_huge(void *arg)
{
	struct _test_data_rehome_user *self = arg;
	unsigned long size = 1024 * ia_proc_field("/proc/meminfo",
						  "Hugepagesize");
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->file, 0);

	if (mem == MAP_FAILED)
		return -errno;
	return ia_map(self->fd, self->id, base, mem, size);
}

#define EXPECT_HUGE_MOVES(size)						\
do {									\
	struct ioasid_rehome_entry _all = { base, size };		\
	char *_mem = mmap(NULL, size, PROT_READ | PROT_WRITE,		\
			  MAP_SHARED, self->file, 0);			\
									\
	ASSERT_NE(MAP_FAILED, _mem);					\
	ASSERT_EQ(0, other_start(&self->other, map_huge, self));	\
	_all.addr = IA_PTR(_mem);					\
	EXPECT_EQ(0, rehome(self, 0, &_all, 1));			\
	EXPECT_EQ(1, self->moved);					\
	EXPECT_EQ(IA_PTR(_mem), addr_of(self, 0));			\
	EXPECT_EQ((long)((size) / PG), MINE());				\
	STOP();								\
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));		\
	munmap(_mem, size);						\
} while (0)

TEST_F(rehome_user, hugetlb)
{
	unsigned long size = 1024 * ia_proc_field("/proc/meminfo",
						  "Hugepagesize");

	if (ia_proc_field("/proc/meminfo", "HugePages_Free") <
	    ia_proc_field("/proc/meminfo", "HugePages_Rsvd") + 1)
		SKIP(return, "too few huge pages");
	close(self->file);
	self->file = memfd_create("rehome", MFD_CLOEXEC | MFD_HUGETLB);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, size));
	EXPECT_HUGE_MOVES(size);
}

#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* Set how shared memory gets huge pages; @old, what it was. */
static int set_shmem_enabled(const char *new, char *old, size_t size)
{
	int fd = open(SHMEM_ENABLED, O_RDWR | O_CLOEXEC);
	char line[128] = {};
	char *from, *to;
	bool done;

	if (fd < 0)
		return -errno;
	done = read(fd, line, sizeof(line) - 1) > 0 &&
	       write(fd, new, strlen(new)) == (ssize_t)strlen(new);
	close(fd);
	from = strchr(line, '[');
	to = strchr(line, ']');
	if (!done || !from || !to)
		return -EIO;
	*to = 0;
	snprintf(old, size, "%s", from + 1);
	return 0;
}

/* Memory of the file, huge if it can be; false: not at all. */
static bool fill_huge(int file, unsigned long size)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file,
			 0);

	if (mem == MAP_FAILED || madvise(mem, size, MADV_HUGEPAGE))
		return false;
	memset(mem, 1, size);
	return !munmap(mem, size);
}

/* Folios of shared memory that are larger than a page. */
TEST_F(rehome_user, thp)
{
	unsigned long size = 1024 * ia_proc_field("/proc/meminfo",
						  "Hugepagesize");
	long long huge = ia_proc_field("/proc/meminfo", "ShmemHugePages");
	char old[16], unused[16];

	if (set_shmem_enabled("advise", old, sizeof(old)))
		SKIP(return, "no huge pages of shared memory");
	ASSERT_EQ(0, ftruncate(self->file, 2 * size));
	EXPECT_TRUE(fill_huge(self->file, 2 * size));
	EXPECT_EQ(0, set_shmem_enabled(old, unused, sizeof(unused)));
	if (ia_proc_field("/proc/meminfo", "ShmemHugePages") == huge)
		SKIP(return, "no huge page");
	EXPECT_HUGE_MOVES(size);
}

/* Takes over, and hangs in a fault in @mem, whose userfaultfd it has sent. */
static int hang(struct _test_data_rehome_user *self, int sock, char *mem,
		const struct ioasid_rehome_entry *where)
{
	int uffd = open_userfaultfd();
	int rc;

	if (uffd < 0)
		return -uffd;
	rc = hold_faults(uffd, mem, 2 * ROOM * PG);
	if (!rc)
		rc = ia_send_fd(sock, uffd);
	return rc ? -rc : -rehome(self, 0, where, 1);
}

/* A process that hangs keeps no other one waiting, and can be killed. */
TEST_F_TIMEOUT(rehome_user, hangs, 200)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);
	char *mem = ia_mem(2 * ROOM * PG);
	struct ioasid_rehome_entry hung;
	int i, sock[2], status, uffd;
	pid_t pid;

	uffd = open_userfaultfd();
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	close(uffd);
	ASSERT_NE(NULL, mem);
	hung = entry(mem, 0, 2 * ROOM);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	START(60100);
	/* in the memory to compare, then in the array of entries */
	for (i = 0; i < 2; i++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(hang(self, sock[1], mem, i ? (void *)mem : &hung));
		uffd = ia_recv_fd(sock[0]);
		ASSERT_LE(0, uffd);
		ASSERT_TRUE(fault_waits(uffd));
		EXPECT_EQ(0, unmap_pages(self->fd, self->id, 2 + i, 1));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		close(uffd);
	}
	EXPECT_TRUE(charge_becomes(variant->charge, self->other.pid, 10));
	ASSERT_EQ(0, may_lock(ROOM));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(3, self->moved);
	STOP();
	EXPECT_MINE(10);
}

/* The predecessor is killed while its mappings move. */
TEST_F_TIMEOUT(rehome_user, killed, 200)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);
	int i, status;

	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; i < 8; i++) {
		START(60100);
		ASSERT_EQ(0, kill(self->other.pid, SIGKILL));
		ASSERT_EQ(0, rehome(self, 0, &all, 1));
		EXPECT_EQ(2, self->moved);
		ASSERT_EQ(self->other.pid,
			  waitpid(self->other.pid, &status, 0));
		close(self->other.sock);
		EXPECT_MINE(12);
	}
}

/* Map, cut, unmap and take over, against another process that does the same. */
static int compete(struct _test_data_rehome_user *self, unsigned int seed)
{
	char *mem = share(self->file, 2 * ROOM);
	struct ioasid_rehome_entry all = entry(mem, 0, 2 * ROOM);
	int i, rc;

	if (mem == MAP_FAILED)
		return -ENOMEM;
	for (i = 0; i < ROUNDS; i++) {
		switch (rand_r(&seed) % 4) {
		case 0:
			rc = map_at(self, mem, rand_r(&seed) % 2 * 4, 4);
			break;
		case 1:
			rc = unmap_pages(self->fd, self->id,
					 rand_r(&seed) % 8, 1);
			break;
		default:
			rc = rehome(self, 0, &all, 1);
			if (rc)
				return rc;
		}
		if (rc && rc != -EEXIST && rc != -ENOENT && rc != -ECANCELED &&
		    rc != -EBUSY)
			return rc;
	}
	return 0;
}

/* Four processes, each with the memory at an address of its own. */
TEST_F_TIMEOUT(rehome_user, races, 200)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);
	unsigned long i;
	pid_t pid[3];
	__u64 addr;

	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; i < 3; i++) {
		pid[i] = ia_fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			_exit(-compete(self, i));
	}
	EXPECT_EQ(0, compete(self, 3));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(exited_well(pid[i]));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	for (i = 0; i < 8; i++) {
		addr = addr_of(self, i);
		EXPECT_TRUE(!addr || !((addr - IA_PTR(self->mem)) % PG));
		EXPECT_TRUE(!addr || addr < IA_PTR(self->mem + 8 * PG));
	}
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ASSERT_EQ(0, map_at(self, self->mem, 0, 8));
	EXPECT_EQ(0, rehome(self, 0, &all, 1));
	EXPECT_EQ(0, self->moved);
	EXPECT_MINE(8);
}

/* Mappings of the predecessor are cut and unmapped while they move. */
TEST_F_TIMEOUT(rehome_user, cut_meanwhile, 200)
{
	struct ioasid_rehome_entry all = entry(self->mem, 0, 2 * ROOM);
	int i;

	ASSERT_EQ(0, may_lock(ROOM));
	for (i = 0; i < ROUNDS; i++) {
		pid_t pid;
		int page;

		START(60100);
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			for (page = 0; page < 8; page += 2)
				if (unmap_pages(self->fd, self->id, page, 1))
					_exit(1);
			_exit(0);
		}
		EXPECT_EQ(0, rehome(self, 0, &all, 1));
		EXPECT_TRUE(exited_well(pid));
		EXPECT_TRUE(charge_becomes(variant->charge, self->other.pid,
					   0));
		EXPECT_EQ(IA_PTR(self->mem + 7 * PG), addr_of(self, 7));
		STOP();
		EXPECT_MINE(8);
	}
}

TEST_HARNESS_MAIN
