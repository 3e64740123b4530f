// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options of a context: values, seals, what they limit.
 */
#include <grp.h>

#include "ioasid_test.h"
#include "state.h"

FIXTURE(options)
{
	int fd;
	__u32 id;
	char *mem;
};

FIXTURE_SETUP(options)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
}

FIXTURE_TEARDOWN(options)
{
	close(self->fd);
}

TEST_F(options, options)
{
	static const struct {
		__u32 option;
		__u64 fallback, value, other;
	} table[] = {
		{ IOASID_OPTION_CHARGE, IOASID_CHARGE_USER, IOASID_CHARGE_MM,
		  IOASID_CHARGE_USER },
		{ IOASID_OPTION_LIMIT_PINNED, ~0ULL, 0x100000, 0 },
		{ IOASID_OPTION_LIMIT_IOASIDS, ~0ULL, 10, 1ULL << 40 },
		{ IOASID_OPTION_LIMIT_PASIDS, ~0ULL, 0, 1ULL << 20 },
		{ IOASID_OPTION_LIMIT_MAPPINGS, ~0ULL, 7, 1ULL << 40 },
	};
	struct ioasid_set_option cmd;
	__u32 option, sealed, i;
	__u64 value;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		option = table[i].option;
		value = 0;
		sealed = 5;
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].fallback, value);
		EXPECT_EQ(0, sealed);

		ASSERT_EQ(0, ia_set_option(self->fd, option, table[i].value,
					   0));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].value, value);
		EXPECT_EQ(0, sealed);
		ASSERT_EQ(0, ia_set_option(self->fd, option, table[i].other,
					   0));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].other, value);

		/* malformed, and no option is set or sealed */
		EXPECT_EQ(-EINVAL, ia_set_option(self->fd, option, 0,
						 IOASID_OPTION_GET |
						 IOASID_OPTION_SEAL));
		EXPECT_EQ(-EINVAL, ia_set_option(self->fd, option, 1,
						 IOASID_OPTION_GET));
		memset(&cmd, 0, sizeof(cmd));
		cmd.argsz = sizeof(cmd);
		cmd.option = option;
		cmd.value = table[i].value;
		cmd.sealed = 1;
		EXPECT_EQ(-EINVAL, ia_cmd(self->fd, IOASID_SET_OPTION, &cmd));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].other, value);
		EXPECT_EQ(0, sealed);

		ASSERT_EQ(0, ia_set_option(self->fd, option, table[i].value,
					   IOASID_OPTION_SEAL));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].value, value);
		EXPECT_EQ(1, sealed);
		EXPECT_EQ(-EPERM, ia_set_option(self->fd, option,
						table[i].other, 0));
		/* the value that it has can be set, and seals nothing else */
		EXPECT_EQ(0, ia_set_option(self->fd, option, table[i].value,
					   0));
		EXPECT_EQ(0, ia_set_option(self->fd, option, table[i].value,
					   IOASID_OPTION_SEAL));
		EXPECT_EQ(-EPERM, ia_set_option(self->fd, option,
						table[i].value + 1, 0));
		EXPECT_EQ(-EPERM, ia_set_option(self->fd, option,
						table[i].other,
						IOASID_OPTION_SEAL));
		ASSERT_EQ(0, ia_get_option(self->fd, option, &value, &sealed));
		EXPECT_EQ(table[i].value, value);
		EXPECT_EQ(1, sealed);
	}
	/* no such option, no such value */
	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, 0, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, ia_get_option(self->fd, 0, &value, NULL));
	for (option = 1U << 10; option; option <<= 1) {
		EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, option, 0, 0));
		EXPECT_EQ(-EOPNOTSUPP, ia_get_option(self->fd, option, &value,
						     NULL));
	}
	EXPECT_EQ(-EOPNOTSUPP, ia_get_option(self->fd, 0xffffffff, &value,
					     NULL));
}

TEST_F(options, option_charge)
{
	__u64 value, iova = SZ_1M;
	int other;

	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					     1000, 0));
	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					     ~0ULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					     (1ULL << 32) | IOASID_CHARGE_MM,
					     0));
	ASSERT_EQ(0, ia_get_option(self->fd, IOASID_OPTION_CHARGE, &value,
				   NULL));
	EXPECT_EQ(IOASID_CHARGE_USER, value);

	/* a reserved range is not charged */
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, 0, page_size));
	/* until the first charge, even if all is uncharged again */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_MM, 0));
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova, self->mem, page_size));
	EXPECT_EQ(-EBUSY, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					IOASID_CHARGE_USER, 0));
	EXPECT_EQ(-EBUSY, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					IOASID_CHARGE_USER,
					IOASID_OPTION_SEAL));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(-EBUSY, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
					IOASID_CHARGE_USER, 0));
	ASSERT_EQ(0, ia_get_option(self->fd, IOASID_OPTION_CHARGE, &value,
				   NULL));
	EXPECT_EQ(IOASID_CHARGE_MM, value);

	/* of this context only */
	other = ia_open();
	ASSERT_LE(0, other);
	EXPECT_EQ(0, ia_set_option(other, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_MM, 0));
	EXPECT_EQ(0, ia_set_option(other, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_USER, 0));
	close(other);
}

TEST_F(options, option_limit_ioasids)
{
	__u32 id[4], i;

	/* self->id is one of them */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, 5,
				   0));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, ia_alloc(self->fd, &id[i]));
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));
	ASSERT_EQ(0, ia_free(self->fd, id[1]));
	ASSERT_EQ(0, ia_alloc(self->fd, &id[1]));
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));

	/*
	 * below the current number: IOASIDs stay, but no new one can be
	 * allocated
	 */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, 2,
				   0));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &id[3]));
		ASSERT_EQ(0, ia_free(self->fd, id[i]));
	}
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));
	ASSERT_EQ(0, ia_free(self->fd, self->id));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));

	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, 0,
				   0));
	EXPECT_EQ(-EDQUOT, ia_alloc(self->fd, &i));
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS,
				   ~0ULL, 0));
	EXPECT_EQ(0, ia_alloc(self->fd, &i));
}

TEST_F(options, option_limit_pinned)
{
	struct ioasid_info info;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->fd, &other));
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED,
				   8 * page_size, 0));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(8 * page_size, info.bytes_left);
	/* the limit belongs to the context, not to an IOASID */
	ASSERT_EQ(0, ia_map(self->fd, self->id, 0, self->mem, 5 * page_size));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, other, 0, self->mem,
				  4 * page_size));
	ASSERT_EQ(0, ia_map(self->fd, other, 0, self->mem, 3 * page_size));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, other, SZ_1M, self->mem,
				  page_size));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(0, info.bytes_left);
	EXPECT_EQ(5 * page_size, info.bytes_pinned);
	/* an operation that maps no memory needs no quota */
	EXPECT_EQ(0, ia_reserve(self->fd, self->id, SZ_1G, SZ_1G));

	/* below the current number */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED,
				   page_size, 0));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(0, info.bytes_left);
	EXPECT_EQ(5 * page_size, info.bytes_pinned);
	ASSERT_EQ(0, ia_free(self->fd, other));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, self->id, SZ_1M, self->mem,
				  page_size));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, self->id, SZ_1M, self->mem,
				  2 * page_size));
	EXPECT_EQ(0, ia_map(self->fd, self->id, SZ_1M, self->mem, page_size));
}

FIXTURE(mappings)
{
	int fd;
	__u32 root;
	__u32 child;
	char *mem;
};

#define LIMIT(n) ia_set_option(self->fd, IOASID_OPTION_LIMIT_MAPPINGS, n, 0)
#define LEFT() mappings_left(self->fd, self->root)
#define AT(i) (SZ_1M + (i) * page_size)

static __u64 mappings_left(int fd, __u32 id)
{
	struct ioasid_info info = {};

	return ia_info(fd, id, &info) ? 0xdead : info.mappings_left;
}

static long long mappings_counted(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return ia_proc_field(path, "ioasid-mappings");
}

/* MAP_DMA of pages @first and up, of the root's memory, with @flags. */
static int map_flags(int fd, __u32 id, __u32 flags, __u64 iova, __u64 addr,
		     __u64 length)
{
	return ia_map_full(fd, id, flags, &iova, addr, length, 0, 0, 0, NULL);
}

#define MAP_CHILD(i) map_flags(self->fd, self->child, IA_RW_FIXED, AT(i), \
			       AT(0), page_size)

FIXTURE_SETUP(mappings)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
	};

	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
	alloc.parent = self->root;
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	self->child = alloc.ioasid;
	/* two mappings: one of eight pages in the root, one in the child */
	ASSERT_EQ(0, ia_map(self->fd, self->root, AT(0), self->mem,
			    8 * page_size));
	ASSERT_EQ(0, MAP_CHILD(0));
}

FIXTURE_TEARDOWN(mappings)
{
	close(self->fd);
}

/* What is mapped already counts; each way of mapping does. */
TEST_F(mappings, limit)
{
	__u64 removed;
	__u32 other;

	EXPECT_EQ(-1, mappings_counted(self->fd));
	EXPECT_EQ(~0ULL, LEFT());
	ASSERT_EQ(0, LIMIT(5));
	EXPECT_EQ(2, mappings_counted(self->fd));
	EXPECT_EQ(3, LEFT());
	ASSERT_EQ(0, ia_reserve(self->fd, self->child, 0, 4 * page_size));
	ASSERT_EQ(0, MAP_CHILD(1));
	/* of an IOASID that is made later, too */
	ASSERT_EQ(0, ia_alloc(self->fd, &other));
	EXPECT_EQ(1, mappings_left(self->fd, other));
	ASSERT_EQ(0, ia_map(self->fd, other, 0, self->mem, page_size));
	EXPECT_EQ(0, LEFT());
	EXPECT_EQ(5, mappings_counted(self->fd));

	EXPECT_EQ(-EDQUOT, MAP_CHILD(2));
	EXPECT_EQ(-EDQUOT, map_flags(self->fd, self->child, IA_RW, 0, AT(0),
				     page_size));
	EXPECT_EQ(-EDQUOT, ia_map(self->fd, other, SZ_1M, self->mem,
				  page_size));
	EXPECT_EQ(-EDQUOT, ia_reserve(self->fd, other, SZ_1G, page_size));
	/* other errors come first, and leave the number alone */
	EXPECT_EQ(-EEXIST, ia_unmap(self->fd, other, 0, page_size, &removed) ?:
			   MAP_CHILD(0));
	EXPECT_EQ(1, LEFT());
	/* of a map that fails in the middle, nothing is left */
	EXPECT_EQ(-EFAULT, ia_map(self->fd, other, 0, (void *)page_size,
				  page_size));
	EXPECT_EQ(-ENXIO, map_flags(self->fd, self->child, IA_RW_FIXED, AT(2),
				    AT(100), page_size));
	EXPECT_EQ(1, LEFT());
	EXPECT_EQ(4, mappings_counted(self->fd));

	/* below the current number */
	ASSERT_EQ(0, LIMIT(2));
	EXPECT_EQ(0, LEFT());
	EXPECT_EQ(-EDQUOT, MAP_CHILD(2));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->child, &removed));
	EXPECT_EQ(1, LEFT());
	ASSERT_EQ(0, MAP_CHILD(2));
	/* all that a free unmaps */
	ASSERT_EQ(0, ia_free(self->fd, self->child));
	EXPECT_EQ(1, LEFT());
	ASSERT_EQ(0, LIMIT(~0ULL));
	EXPECT_EQ(~0ULL, LEFT());
	EXPECT_EQ(1, mappings_counted(self->fd));
}

/* A mapping that is cut in two counts twice. */
TEST_F(mappings, cut)
{
	__u64 removed;

	ASSERT_EQ(0, LIMIT(2));
	ASSERT_EQ(0, ia_unmap(self->fd, self->child, AT(0), page_size,
			      &removed));
	ASSERT_EQ(0, map_flags(self->fd, self->child, IA_RW_FIXED, AT(0), AT(0),
			       8 * page_size));
	EXPECT_EQ(0, LEFT());
	/* from the middle it would be one more */
	EXPECT_EQ(-EDQUOT, ia_unmap_full(self->fd, self->child,
					 IOASID_UNMAP_SPLIT, AT(3), page_size,
					 &removed));
	EXPECT_EQ(0, removed);
	/* an end of it is not */
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->child, IOASID_UNMAP_SPLIT,
				   AT(7), page_size, &removed));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->child, IOASID_UNMAP_SPLIT,
				   AT(0), page_size, &removed));
	EXPECT_EQ(2, mappings_counted(self->fd));
	/* nor is all of it narrowed, but a part is */
	EXPECT_EQ(-EDQUOT, map_flags(self->fd, self->child, IOASID_MAP_FIXED |
				     IOASID_MAP_READ | IOASID_MAP_PROTECT |
				     IOASID_MAP_SPLIT, AT(1), 0, page_size));
	EXPECT_EQ(0, map_flags(self->fd, self->child, IOASID_MAP_FIXED |
			       IOASID_MAP_READ | IOASID_MAP_PROTECT,
			       AT(1), 0, 6 * page_size));
	EXPECT_EQ(2, mappings_counted(self->fd));
	ASSERT_EQ(0, LIMIT(3));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->child, IOASID_UNMAP_SPLIT,
				   AT(3), page_size, &removed));
	EXPECT_EQ(0, LEFT());
	/* a cascade cuts children, too, which counts but does not fail */
	ASSERT_EQ(0, LIMIT(6));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_CASCADE |
				   IOASID_UNMAP_SPLIT, AT(5), page_size,
				   &removed));
	EXPECT_EQ(5, mappings_counted(self->fd));
}

/* One mapping in the place of another needs no room. */
TEST_F(mappings, replace)
{
	__u32 flags = IA_RW_FIXED | IOASID_MAP_REPLACE | IOASID_MAP_SPLIT;
	__u64 removed;

	ASSERT_EQ(0, LIMIT(2));
	EXPECT_EQ(0, map_flags(self->fd, self->child, flags, AT(0), AT(1),
			       page_size));
	EXPECT_EQ(0, LEFT());
	/* where nothing was, it does; and so do two parts that stay */
	EXPECT_EQ(-EDQUOT, map_flags(self->fd, self->child, flags, AT(20), AT(1),
				     page_size));
	EXPECT_EQ(2, mappings_counted(self->fd));
	EXPECT_EQ(0, map_flags(self->fd, self->child, flags, AT(0), AT(0),
			       6 * page_size));
	EXPECT_EQ(-EDQUOT, map_flags(self->fd, self->root, flags, AT(20),
				     (__u64)self->mem, page_size));
	EXPECT_EQ(-EDQUOT, map_flags(self->fd, self->child, flags, AT(2), AT(7),
				     page_size));
	ASSERT_EQ(0, LIMIT(3));
	EXPECT_EQ(-EDQUOT, map_flags(self->fd, self->child, flags, AT(2), AT(7),
				     page_size));
	EXPECT_EQ(2, mappings_counted(self->fd));
	ASSERT_EQ(0, LIMIT(4));
	EXPECT_EQ(0, map_flags(self->fd, self->child, flags, AT(2), AT(7),
			       page_size));
	EXPECT_EQ(0, LEFT());
	EXPECT_EQ(0, map_flags(self->fd, self->child, flags, AT(0), AT(0),
			       6 * page_size));
	EXPECT_EQ(2, LEFT());
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->child, &removed));
	EXPECT_EQ(1, mappings_counted(self->fd));
}

/* A batch ends where the limit does, and counts what it unmapped. */
TEST_F(mappings, batch)
{
	struct ioasid_dma_op ops[4] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->child,
		.nr = 4,
		.ops = IA_PTR(ops),
	};
	int i;

	for (i = 0; i < 4; i++)
		ops[i] = (struct ioasid_dma_op) {
			.op = IOASID_DMA_OP_MAP,
			.flags = IA_RW_FIXED,
			.iova = AT(10 + i),
			.addr = AT(i),
			.length = page_size,
		};
	ASSERT_EQ(0, LIMIT(4));
	EXPECT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(2, batch.done);
	EXPECT_EQ(-EDQUOT, batch.error);
	EXPECT_EQ(0, LEFT());
	/* one goes, one comes */
	ops[0] = (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_UNMAP,
		.iova = AT(10),
		.length = page_size,
	};
	ops[1] = ops[2];
	batch.nr = 2;
	EXPECT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(2, batch.done);
	EXPECT_EQ(0, LEFT());
	EXPECT_EQ(4, mappings_counted(self->fd));
}

TEST_HARNESS_MAIN
