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

TEST_HARNESS_MAIN
