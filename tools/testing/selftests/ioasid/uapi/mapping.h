/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An IOASID to map on, for the tests of maps without an attached device.
 *
 * That pages are pinned is seen from outside: a memfd with pinned pages
 * refuses F_SEAL_WRITE, and a pinned page keeps its frame when a fork would
 * otherwise have made a copy of it.
 */
#ifndef __SELFTESTS_IOASID_MAPPING_H
#define __SELFTESTS_IOASID_MAPPING_H

#include "ioasid_test.h"
#include "state.h"

#define PG page_size

static const __u64 base = SZ_1G;

static inline __u64 nr_mappings(int fd, __u32 id)
{
	struct ioasid_info info;

	return ia_info(fd, id, &info) ? ~0ULL : info.nr_mappings;
}

/* Check the counters of an IOASID; pinned pages are charged. */
static inline bool counts(int fd, __u32 id, __u64 mappings, __u64 bytes)
{
	struct ioasid_info info;

	if (ia_info(fd, id, &info))
		return false;
	if (info.nr_mappings == mappings && info.bytes_mapped == bytes &&
	    info.bytes_pinned == bytes && info.bytes_charged == bytes)
		return true;
	ksft_print_msg("expected: %llu mappings, %llu bytes\n", mappings, bytes);
	ksft_print_msg("found: %llu, mapped %llu, pinned %llu, charged %llu\n",
		       info.nr_mappings, info.bytes_mapped, info.bytes_pinned,
		       info.bytes_charged);
	return false;
}

FIXTURE(space)
{
	int fd;
	__u32 id;
	char *mem;
};

FIXTURE_SETUP(space)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, madvise(self->mem, SZ_2M, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
}

FIXTURE_TEARDOWN(space)
{
	struct ioasid_info info;
	__u64 unmapped;

	/* ALL unmaps the rest, and then the IOASID is empty */
	if (!ia_info(self->fd, self->id, &info)) {
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
		EXPECT_LE(info.bytes_mapped, unmapped);
		EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
		EXPECT_EQ(0, ia_free(self->fd, self->id));
	}
	close(self->fd);
}

#define MAP_AT(iova, pages)						\
	ia_map(self->fd, self->id, (iova), self->mem, (pages) * PG)

/* Unmap, and expect that @want pages are unmapped. */
#define UNMAP(want, iova, pages)					\
do {									\
	__u64 _unmapped;						\
									\
	EXPECT_EQ(0, ia_unmap(self->fd, self->id, iova, (pages) * PG,	\
			      &_unmapped));				\
	EXPECT_EQ((want) * PG, _unmapped);				\
} while (0)

/* Unmap, and expect an error and that no page is unmapped. */
#define UNMAP_REFUSED(iova, pages)					\
do {									\
	__u64 _unmapped, _before = nr_mappings(self->fd, self->id);	\
									\
	EXPECT_EQ(-EINVAL, ia_unmap(self->fd, self->id, iova,		\
				    (pages) * PG, &_unmapped));		\
	EXPECT_EQ(0, _unmapped);					\
	EXPECT_EQ(_before, nr_mappings(self->fd, self->id));		\
} while (0)

#endif /* __SELFTESTS_IOASID_MAPPING_H */
