// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map and unmap on IOASIDs without an attached device: ranges, grids, counters,
 * files, and changes of the memory behind a mapping.
 *
 * That pages are pinned is seen from outside: a memfd with pinned pages
 * refuses F_SEAL_WRITE, and a pinned page keeps its frame when a fork would
 * otherwise have made a copy of it.
 */
#include <linux/memfd.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#include "ioasid_test.h"
#include "state.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define PG page_size

static const __u64 base = SZ_1G;

static __u64 nr_mappings(int fd, __u32 id)
{
	struct ioasid_info info;

	return ia_info(fd, id, &info) ? ~0ULL : info.nr_mappings;
}

/* Check the counters of an IOASID; pinned pages are charged. */
static bool counts(int fd, __u32 id, __u64 mappings, __u64 bytes)
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

TEST_F(space, map_unmap)
{
	struct ia_state before, after;
	int i;

	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, MAP_AT(base, 16));
		EXPECT_TRUE(counts(self->fd, self->id, 1, 16 * PG));
		UNMAP(16, base, 16);
		ASSERT_EQ(0, ia_state_read(self->fd, &after));
		EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	}
}

TEST_F(space, permissions)
{
	__u64 iova = base;

	ASSERT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->mem), PG, 0, 0, 0, NULL));
	iova += PG;
	ASSERT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_WRITE | IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->mem), PG, 0, 0, 0, NULL));
	EXPECT_TRUE(counts(self->fd, self->id, 2, 2 * PG));
}

TEST_F(space, overlap)
{
	static const struct {
		int start, pages, first;
	} taken[] = {
		/* [16, 32) is mapped, [40, 44) is reserved */
		{ 16, 16, 16 }, { 16, 1, 16 }, { 31, 1, 31 }, { 20, 4, 20 },
		{ 10, 7, 16 }, { 31, 2, 31 }, { 0, 64, 16 }, { 15, 18, 16 },
		{ 15, 2, 16 }, { 40, 4, 40 }, { 43, 1, 43 }, { 39, 2, 40 },
		{ 32, 9, 40 }, { 43, 8, 43 }, { 33, 60, 40 }, { 31, 10, 31 },
	};
	static const struct {
		int start, pages;
	} free[] = {
		{ 15, 1 }, { 32, 8 }, { 44, 1 }, { 0, 15 },
	};
	__u64 iova, fault_addr, flags;
	struct ia_state before, after;
	unsigned int i, n;
	int rc;

	ASSERT_EQ(0, MAP_AT(base + 16 * PG, 16));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, base + 40 * PG, 4 * PG));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (n = 0; n < 2 * ARRAY_SIZE(taken); n++) {
		i = n / 2;
		flags = n % 2 ? IOASID_MAP_RESERVE | IOASID_MAP_FIXED :
				IA_RW_FIXED;
		iova = base + taken[i].start * PG;
		fault_addr = 0;
		rc = ia_map_full(self->fd, self->id, flags, &iova,
				 n % 2 ? 0 : IA_PTR(self->mem),
				 taken[i].pages * PG, 0, 0, 0, &fault_addr);
		EXPECT_EQ(-EEXIST, rc);
		EXPECT_EQ(base + taken[i].first * PG, fault_addr)
			TH_LOG("pages %d at %d", taken[i].pages,
			       taken[i].start);
	}
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	for (i = 0; i < ARRAY_SIZE(free); i++)
		EXPECT_EQ(0, MAP_AT(base + free[i].start * PG, free[i].pages));
	/* 15 + 1 + 16 + 8 + 4 + 1 */
	UNMAP(45, base, 64);
}

TEST_F(space, reserve)
{
	__u64 iova = 0, other = 0;

	ASSERT_EQ(0, ia_reserve(self->fd, self->id, base, 1ULL << 40));
	EXPECT_TRUE(counts(self->fd, self->id, 1, 0));
	UNMAP((1ULL << 40) / PG, base, (1ULL << 40) / PG);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));

	/* at IOVAs that the kernel chooses */
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IOASID_MAP_RESERVE, &iova,
				 0, SZ_2M, 0, SZ_2M, 0, NULL));
	EXPECT_LE(SZ_4G, iova);
	EXPECT_EQ(0, iova % SZ_2M);
	EXPECT_EQ(-EEXIST, MAP_AT(iova, 1));
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IOASID_MAP_RESERVE, &other,
				 0, SZ_2M, 0, SZ_2M, 0, NULL));
	EXPECT_TRUE(other >= iova + SZ_2M || iova >= other + SZ_2M);
	UNMAP(SZ_2M / PG, iova, SZ_2M / PG);
	EXPECT_EQ(0, MAP_AT(iova, 1));
}

TEST_F(space, kernel_chooses)
{
	static const __u64 alignments[] = {
		0x10000, SZ_1M, SZ_2M, SZ_1G, 1ULL << 40, 1ULL << 62,
	};
	__u64 iova[64], fault_addr, offset;
	unsigned int i, j, k;

	/* apart from each other and from other mappings, not below 4 GiB */
	for (i = 0; i < 64; i++) {
		ASSERT_EQ(0, ia_map_any(self->fd, self->id, &iova[i],
					self->mem, (i % 3 + 1) * PG));
		ASSERT_LE(SZ_4G, iova[i]);
		ASSERT_EQ(0, iova[i] % PG);
		for (j = 0; j < i; j++) {
			ASSERT_TRUE(iova[j] >= iova[i] + (i % 3 + 1) * PG ||
				    iova[i] >= iova[j] + (j % 3 + 1) * PG);
		}
		/* the page is really mapped */
		ASSERT_EQ(-EEXIST, MAP_AT(iova[i], 1));
	}
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* with an explicit alignment */
	for (i = 0; i < ARRAY_SIZE(alignments); i++) {
		__u64 at = 0;

		ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW, &at,
					 IA_PTR(self->mem), PG, 0,
					 alignments[i], 0, &fault_addr));
		EXPECT_LE(SZ_4G, at);
		EXPECT_EQ(0, at % alignments[i]);
		EXPECT_EQ(-EEXIST, MAP_AT(at, 1));
	}
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* congruent modulo 2 MiB if a page of 2 MiB fits in */
	if (PG == 4096) {
		char *big = ia_mem_aligned(3 * SZ_2M, SZ_2M);

		ASSERT_NE(NULL, big);
		for (k = 0; k < 4; k++) {
			offset = k * 0x33000;
			ASSERT_EQ(0, ia_map_any(self->fd, self->id, &iova[0],
						big + offset, SZ_2M));
			EXPECT_EQ(offset % SZ_2M, iova[0] % SZ_2M);
		}
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
		munmap(big, 3 * SZ_2M);
	}
}

TEST_F(space, kernel_avoids)
{
	__u64 iova, fault_addr = 0;
	__u64 x = SZ_4G + 3 * PG;
	int i;

	/* the whole space but the last page */
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, 0, -PG));
	ASSERT_EQ(0, ia_map_any(self->fd, self->id, &iova, self->mem, PG));
	EXPECT_EQ(-PG, iova);
	EXPECT_EQ(-ENOSPC, ia_map_any(self->fd, self->id, &iova, self->mem,
				      PG));
	UNMAP(1, -PG, 1);
	EXPECT_EQ(-ENOSPC, ia_map_any(self->fd, self->id, &iova, self->mem,
				      2 * PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* all but two pages at x */
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, 0, x));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, x + 2 * PG,
				-(x + 2 * PG)));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ENOSPC, ia_map_any(self->fd, self->id, &iova,
					      self->mem, 3 * PG));
		ASSERT_EQ(0, ia_map_any(self->fd, self->id, &iova, self->mem,
					2 * PG));
		EXPECT_EQ(x, iova);
		UNMAP(2, x, 2);
		/* x is odd, the page behind it is even */
		EXPECT_EQ(-ENOSPC, ia_map_full(self->fd, self->id, IA_RW, &iova,
					       IA_PTR(self->mem), 2 * PG, 0,
					       2 * PG, 0, &fault_addr));
		ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW, &iova,
					 IA_PTR(self->mem), PG, 0, 2 * PG, 0,
					 &fault_addr));
		EXPECT_EQ(x + PG, iova);
		ASSERT_EQ(0, ia_map_any(self->fd, self->id, &iova, self->mem,
					PG));
		EXPECT_EQ(x, iova);
		EXPECT_EQ(-ENOSPC, ia_map_any(self->fd, self->id, &iova,
					      self->mem, PG));
		UNMAP(2, x, 2);
	}
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* not congruent if no congruent place is free */
	if (PG == 4096) {
		x = 3 * SZ_2M + SZ_4G + PG;
		ASSERT_EQ(0, ia_reserve(self->fd, self->id, 0, x));
		ASSERT_EQ(0, ia_reserve(self->fd, self->id, x + SZ_2M,
					-(x + SZ_2M)));
		ASSERT_EQ(0, ia_map_any(self->fd, self->id, &iova, self->mem,
					SZ_2M));
		EXPECT_EQ(x, iova);
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	}

	/* the kernel does not choose free IOVAs below 4 GiB */
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, SZ_4G, -SZ_4G));
	EXPECT_EQ(-ENOSPC, ia_map_any(self->fd, self->id, &iova, self->mem,
				      PG));
	EXPECT_EQ(0, MAP_AT(0, 1));
}

TEST_F(space, unmap_ranges)
{
	__u64 unmapped;
	int i;

	/* 1 to 4 pages at every eighth page */
	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, MAP_AT(base + i * 8 * PG, i % 4 + 1));
	EXPECT_TRUE(counts(self->fd, self->id, 16, 40 * PG));
	/* holes only */
	UNMAP(0, base + 4 * PG, 4);
	UNMAP(0, base + PG, 7);
	UNMAP(0, 0, base / PG);
	/* the exact range, and again */
	UNMAP(3, base + 16 * PG, 3);
	UNMAP(0, base + 16 * PG, 3);
	/* a part of the mappings, from hole to hole */
	UNMAP(4 + 1 + 2, base + 20 * PG, 24);
	EXPECT_TRUE(counts(self->fd, self->id, 12, 30 * PG));
	/* from the start of one to the end of another */
	UNMAP(3 + 4 + 1, base + 48 * PG, 17);
	EXPECT_TRUE(counts(self->fd, self->id, 9, 22 * PG));
	/* the whole space but its last page */
	ASSERT_EQ(0, MAP_AT(-PG, 1));
	UNMAP(22, 0, -PG / PG);
	EXPECT_TRUE(counts(self->fd, self->id, 1, PG));
	UNMAP(1, -PG, 1);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));

	/* all */
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
	EXPECT_EQ(0, unmapped);
	ASSERT_EQ(0, MAP_AT(0, 2));
	ASSERT_EQ(0, MAP_AT(-3 * PG, 3));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, base, 7 * PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
	EXPECT_EQ(12 * PG, unmapped);
}

TEST_F(space, edges)
{
	__u64 half = 1ULL << 63, fault_addr, iova;

	ASSERT_EQ(0, MAP_AT(0, 1));
	ASSERT_EQ(0, MAP_AT(-PG, 1));
	EXPECT_EQ(-EEXIST, MAP_AT(0, 1));
	iova = -4 * PG;
	EXPECT_EQ(-EEXIST, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				       IA_PTR(self->mem), 4 * PG, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(-PG, fault_addr);
	ASSERT_EQ(0, MAP_AT(-4 * PG, 3));
	EXPECT_TRUE(counts(self->fd, self->id, 3, 5 * PG));
	UNMAP(1, -PG, 1);
	UNMAP(0, -PG, 1);
	UNMAP(3, -4 * PG, 4);
	UNMAP(1, 0, 1);

	/* across the middle */
	ASSERT_EQ(0, MAP_AT(half - PG, 2));
	UNMAP(0, half + PG, (half - PG) / PG);
	UNMAP(0, 0, (half - PG) / PG);
	UNMAP(2, 0, -PG / PG);

	/* the two largest ranges that there can be */
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, 0, -PG));
	EXPECT_EQ(-EEXIST, ia_reserve(self->fd, self->id, PG, -PG));
	UNMAP(-PG / PG, 0, -PG / PG);
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, PG, -PG));
	EXPECT_EQ(0, MAP_AT(0, 1));
	UNMAP(-PG / PG, PG, -PG / PG);

	/* a cut in the last mapping that there can be */
	iova = -4 * PG;
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(self->mem), 4 * PG, 2 * PG, 0, 0,
				 NULL));
	UNMAP_REFUSED(-PG, 1);
	UNMAP(2, -2 * PG, 2);
	UNMAP(2, -4 * PG, 4);
}

TEST_F(space, no_grid)
{
	__u64 unmapped;

	ASSERT_EQ(0, MAP_AT(base, 16));
	ASSERT_EQ(0, MAP_AT(base + 16 * PG, 16));
	ASSERT_EQ(0, MAP_AT(base + 32 * PG, 16));
	UNMAP_REFUSED(base, 8);
	UNMAP_REFUSED(base + 8 * PG, 8);
	UNMAP_REFUSED(base + 8 * PG, 1);
	UNMAP_REFUSED(base + 15 * PG, 1);
	/* either edge counts, even with whole mappings in between */
	UNMAP_REFUSED(base, 33);
	UNMAP_REFUSED(base + 15 * PG, 33);
	UNMAP_REFUSED(base + PG, 46);
	UNMAP_REFUSED(0, (base + 40 * PG) / PG);
	EXPECT_TRUE(counts(self->fd, self->id, 3, 48 * PG));
	UNMAP(16, base + 16 * PG, 16);
	UNMAP_REFUSED(base + 8 * PG, 32);
	UNMAP(0, base + 16 * PG, 16);
	/* ALL ignores grids */
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
	EXPECT_EQ(32 * PG, unmapped);
}

/* The same rules for the grid of a mapping and for that of the IOASID. */
FIXTURE(grid)
{
	int fd;
	__u32 id;
	char *mem;
};

FIXTURE_VARIANT(grid)
{
	bool own;		/* the mappings' own grid */
	unsigned int other;	/* in pages, the cut size of the IOASID */
};

FIXTURE_VARIANT_ADD(grid, of_ioasid) {};

FIXTURE_VARIANT_ADD(grid, of_mapping)
{
	.own = true,
};

FIXTURE_VARIANT_ADD(grid, of_mapping_over_finer)
{
	.own = true,
	.other = 1,
};

FIXTURE_VARIANT_ADD(grid, of_mapping_over_coarser)
{
	.own = true,
	.other = 512,
};

FIXTURE_SETUP(grid)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc_full(self->fd, &self->id, 0,
				   variant->own ? variant->other * PG :
				   4 * PG));
}

FIXTURE_TEARDOWN(grid)
{
	EXPECT_EQ(0, ia_free(self->fd, self->id));
	close(self->fd);
}

/* Map on a grid of four pages. */
#define MAP_GRID(at, pages)						\
({									\
	__u64 _iova = (at);						\
									\
	ia_map_full(self->fd, self->id, IA_RW_FIXED, &_iova,		\
		    IA_PTR(self->mem), (pages) * PG,			\
		    variant->own ? 4 * PG : 0, 0, 0, NULL);		\
})

TEST_F(grid, on_it)
{
	ASSERT_EQ(0, MAP_GRID(base, 32));
	UNMAP(4, base + 8 * PG, 4);
	EXPECT_TRUE(counts(self->fd, self->id, 2, 28 * PG));
	UNMAP(0, base + 8 * PG, 4);
	/* only the hole is free, and can be mapped again */
	EXPECT_EQ(-EEXIST, MAP_GRID(base + 7 * PG, 2));
	EXPECT_EQ(-EEXIST, MAP_GRID(base + 11 * PG, 2));
	ASSERT_EQ(0, MAP_GRID(base + 8 * PG, 4));
	EXPECT_TRUE(counts(self->fd, self->id, 3, 32 * PG));
	/* over the boundaries of mappings, and from both ends */
	UNMAP(16, base + 4 * PG, 16);
	EXPECT_TRUE(counts(self->fd, self->id, 2, 16 * PG));
	UNMAP(4, base, 4);
	UNMAP(4, base + 28 * PG, 4);
	EXPECT_TRUE(counts(self->fd, self->id, 1, 8 * PG));
	/* the remaining mappings have the same grid */
	UNMAP_REFUSED(base + 21 * PG, 1);
	UNMAP(4, base + 24 * PG, 4);
	UNMAP(4, base, 64);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

TEST_F(grid, off_it)
{
	int start, end;

	ASSERT_EQ(0, MAP_GRID(base, 16));
	ASSERT_EQ(0, MAP_GRID(base + 16 * PG, 16));
	for (start = 0; start < 32; start++)
		for (end = start + 1; end <= 32; end++)
			if (start % 4 || end % 4)
				UNMAP_REFUSED(base + start * PG, end - start);
	EXPECT_TRUE(counts(self->fd, self->id, 2, 32 * PG));
}

/* The grid is one of IOVAs, independent of the start of a mapping. */
TEST_F(grid, is_of_iovas)
{
	ASSERT_EQ(0, MAP_GRID(base + 3 * PG, 10));
	UNMAP_REFUSED(base + 3 * PG, 4);
	UNMAP(1, base + 3 * PG, 1);
	UNMAP(1, base + 12 * PG, 1);
	UNMAP(4, base + 8 * PG, 4);
	/* the start and the end of a mapping need not lie on the grid */
	ASSERT_EQ(0, MAP_GRID(base + 17 * PG, 2));
	UNMAP(2, base + 17 * PG, 2);
	ASSERT_EQ(0, MAP_GRID(base + 17 * PG, 2));
	UNMAP(2 + 4, base + PG, 18);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

TEST_F(grid, split)
{
	__u64 unmapped;
	int i;

#define SPLIT(want, at, pages)						\
do {									\
	EXPECT_EQ(0, ia_unmap_full(self->fd, self->id,			\
				   IOASID_UNMAP_SPLIT, at, (pages) * PG, \
				   &unmapped));				\
	EXPECT_EQ((want) * PG, unmapped);				\
} while (0)
	ASSERT_EQ(0, MAP_GRID(base, 32));
	ASSERT_EQ(0, MAP_GRID(base + 32 * PG, 32));
	SPLIT(1, base + 5 * PG, 1);
	EXPECT_TRUE(counts(self->fd, self->id, 3, 63 * PG));
	SPLIT(0, base + 5 * PG, 1);
	SPLIT(2, base + 31 * PG, 2);
	SPLIT(1, base, 1);
	SPLIT(1, base + 63 * PG, 1);
	EXPECT_TRUE(counts(self->fd, self->id, 3, 59 * PG));
	EXPECT_EQ(0, MAP_GRID(base + 31 * PG, 2));
	/* without SPLIT, the pieces keep their grid */
	UNMAP_REFUSED(base + 8 * PG, 1);
	UNMAP(4, base + 8 * PG, 4);
	/* every second page of the rest of the second mapping */
	for (i = 34; i < 63; i += 2)
		SPLIT(1, base + i * PG, 1);
	EXPECT_TRUE(counts(self->fd, self->id, 3 + 1 + 15, (57 - 15) * PG));
	SPLIT(57 - 15, base, 64);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
#undef SPLIT
}

TEST_F(space, grid_sizes)
{
	__u64 iova, size;

	/* every page */
	iova = base;
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(self->mem), 8 * PG, PG, 0, 0, NULL));
	UNMAP(1, base + 3 * PG, 1);
	UNMAP(1, base, 1);
	UNMAP(6, base, 8);
	/* coarser than any mapping: the same as no grid */
	for (size = 16 * PG; size; size <<= 1) {
		iova = size == 1ULL << 63 ? 0 : size;
		ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
					 IA_PTR(self->mem), 8 * PG, size, 0, 0,
					 NULL));
		UNMAP_REFUSED(iova, 4);
		UNMAP(8, iova, 8);
	}
	/* but a mapping that spans a line of the grid can be cut there */
	iova = SZ_2M - 4 * PG;
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(self->mem), 8 * PG, SZ_2M, 0, 0, NULL));
	UNMAP_REFUSED(iova, 3);
	UNMAP(4, iova, 4);
	UNMAP(4, iova, 8);
	/* and a reserved range */
	iova = base;
	ASSERT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_RESERVE | IOASID_MAP_FIXED, &iova,
				 0, 16 * PG, 4 * PG, 0, 0, NULL));
	UNMAP_REFUSED(base, 3);
	UNMAP(4, base + 4 * PG, 4);
	EXPECT_EQ(-EEXIST, MAP_AT(base + 3 * PG, 1));
	EXPECT_EQ(0, MAP_AT(base + 4 * PG, 4));
}

TEST_F(space, same_memory_often)
{
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, MAP_AT(base + i * SZ_1M, 4));
	EXPECT_TRUE(counts(self->fd, self->id, 8, 32 * PG));
	for (i = 0; i < 8; i++)
		UNMAP(4, base + i * SZ_1M, 4);
}

TEST_F(space, many)
{
	unsigned long i, n = ia_slow_kernel() ? 10000 : 100000;
	unsigned long at;

	for (i = 0; i < n; i++) {
		/* not in the order of the addresses */
		at = i * 7919 % n;
		ASSERT_EQ(0, ia_map(self->fd, self->id, base + at * 2 * PG,
				    self->mem + at % 64 * PG, PG));
	}
	EXPECT_TRUE(counts(self->fd, self->id, n, n * PG));
	ASSERT_EQ(-EEXIST, MAP_AT(base + 4321 * 2 * PG, 1));
	for (i = 0; i < n; i += 2)
		UNMAP(1, base + i * 2 * PG, 1);
	EXPECT_TRUE(counts(self->fd, self->id, n / 2, n / 2 * PG));
	UNMAP(n / 2, base, n * 2);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));

	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, ia_map(self->fd, self->id, base + i * PG,
				    self->mem + i % 64 * PG, PG));
	}
	/* the teardown removes them */
}

TEST_F(space, two_are_apart)
{
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->fd, &other));
	ASSERT_EQ(0, MAP_AT(base, 4));
	ASSERT_EQ(0, ia_map(self->fd, other, base, self->mem, 8 * PG));
	UNMAP(4, 0, SZ_4G / PG);
	EXPECT_TRUE(counts(self->fd, other, 1, 8 * PG));
	ASSERT_EQ(0, ia_free(self->fd, other));
}

/*
 * Memory that cannot be pinned.
 */
TEST_F(space, bad_page)
{
	static const int lengths[] = { 1, 2, 8, 513, 3000 };
	__u64 iova = base, fault_addr;
	struct ia_state before, after;
	unsigned int l, k;
	int n, bad, how;
	const char *diff;
	char *p;

	for (l = 0; l < ARRAY_SIZE(lengths); l++) {
		n = lengths[l];
		int tries[] = { 0, 1, n / 2, n - 2, n - 1, 511, 512 };

		p = ia_mem((n + 1) * PG);
		ASSERT_NE(NULL, p);
		for (k = 0; k < ARRAY_SIZE(tries); k++) {
			bad = tries[k];
			if (bad < 0 || bad >= n)
				continue;
			for (how = 0; how < 2; how++) {
				if (how)
					munmap(p + bad * PG, PG);
				else
					mprotect(p + bad * PG, PG, PROT_NONE);
				ASSERT_EQ(0, ia_state_read(self->fd, &before));
				fault_addr = 0;
				EXPECT_EQ(-EFAULT,
					  ia_map_full(self->fd, self->id,
						      IA_RW_FIXED, &iova,
						      IA_PTR(p), n * PG, 0, 0,
						      0, &fault_addr));
				EXPECT_EQ(IA_PTR(p + bad * PG), fault_addr)
					TH_LOG("page %d of %d: %lld", bad, n,
					       (long long)(fault_addr -
							   IA_PTR(p)) /
					       (long long)PG);
				ASSERT_EQ(0, ia_state_read(self->fd, &after));
				diff = ia_state_diff(&before, &after);
				EXPECT_EQ(NULL, diff)
					TH_LOG("changed: %s", diff);
			}
			ASSERT_EQ(p + bad * PG,
				  mmap(p + bad * PG, PG, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				       -1, 0));
		}
		/* now it can be pinned */
		ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, n * PG));
		UNMAP(n, base, n);
		munmap(p, (n + 1) * PG);
	}
}

TEST_F(space, protection)
{
	__u64 iova = base, fault_addr = 0;
	char *p = ia_mem(4 * PG);

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, mprotect(p + 2 * PG, PG, PROT_READ));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				       IA_PTR(p), 4 * PG, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(IA_PTR(p + 2 * PG), fault_addr);
	fault_addr = 0;
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id,
				       IOASID_MAP_WRITE | IOASID_MAP_FIXED,
				       &iova, IA_PTR(p), 4 * PG, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(IA_PTR(p + 2 * PG), fault_addr);
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
	EXPECT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(p), 4 * PG, 0, 0, 0, NULL));
	UNMAP(4, base, 4);

	/*
	 * memory that is execute-only or write-only: root can read it, or not
	 */
	ASSERT_EQ(0, mprotect(p, 4 * PG, PROT_NONE));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id,
				       IOASID_MAP_READ | IOASID_MAP_FIXED,
				       &iova, IA_PTR(p), PG, 0, 0, 0, NULL));
	munmap(p, 4 * PG);
}

TEST_F(space, special_memory)
{
	int fd;
	void *p;

	/* only the process can access secret memory */
	fd = syscall(__NR_memfd_secret, 0);
	if (fd >= 0) {
		__u64 iova = base;

		ASSERT_EQ(0, ftruncate(fd, PG));
		p = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, p);
		memset(p, 1, PG);
		EXPECT_EQ(-EFAULT, ia_map(self->fd, self->id, base, p, PG));
		EXPECT_EQ(-EOPNOTSUPP, ia_map_file(self->fd, self->id,
						   IA_RW_FIXED, &iova, fd, 0,
						   PG));
		munmap(p, PG);
		close(fd);
	}
	/* device memory without struct page: the first physical page */
	fd = open("/dev/mem", O_RDWR);
	if (fd >= 0) {
		p = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED) {
			EXPECT_EQ(-EFAULT, ia_map(self->fd, self->id, base, p,
						  PG));
			munmap(p, PG);
		}
		close(fd);
	}
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

/* Changes by the process of memory that is mapped. */

/* The parent keeps pinned pages; a child gets copies. */
TEST_F(space, fork_writable)
{
	int to_child[2], status, i;
	__u64 pfn[4];
	pid_t pid;
	char c;

	for (i = 0; i < 4; i++)
		self->mem[i * PG] = 'a';
	ASSERT_EQ(0, MAP_AT(base, 4));
	for (i = 0; i < 4; i++) {
		pfn[i] = ia_pfn(self->mem + i * PG);
		ASSERT_NE(0, pfn[i]);
	}
	ASSERT_EQ(0, pipe(to_child));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* the child writes first, then reads its own data */
		for (i = 0; i < 4; i++) {
			if (ia_pfn(self->mem + i * PG) == pfn[i])
				_exit(1);
			self->mem[i * PG] = 'b';
		}
		if (read(to_child[0], &c, 1) != 1)
			_exit(2);
		for (i = 0; i < 4; i++)
			if (self->mem[i * PG] != 'b')
				_exit(3);
		_exit(0);
	}
	for (i = 0; i < 4; i++) {
		self->mem[i * PG] = 'c';
		EXPECT_EQ(pfn[i], ia_pfn(self->mem + i * PG));
	}
	ASSERT_EQ(1, write(to_child[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ('c', self->mem[i * PG]);
		EXPECT_EQ(pfn[i], ia_pfn(self->mem + i * PG));
	}
	close(to_child[0]);
	close(to_child[1]);
}

/* The map breaks the sharing of a page that a child shared before. */
TEST_F(space, fork_before)
{
	int to_child[2], status, i, round;
	__u64 iova, pfn[4];
	pid_t pid;
	char c;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < 4; i++)
			self->mem[i * PG] = 'a';
		ASSERT_EQ(0, pipe(to_child));
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (read(to_child[0], &c, 1) != 1)
				_exit(2);
			for (i = 0; i < 4; i++)
				if (self->mem[i * PG] != 'a')
					_exit(3);
			_exit(0);
		}
		iova = base;
		ASSERT_EQ(0, ia_map_full(self->fd, self->id, IOASID_MAP_FIXED |
					 (round ? IOASID_MAP_READ : IA_RW),
					 &iova, IA_PTR(self->mem), 4 * PG, 0, 0,
					 0, NULL));
		for (i = 0; i < 4; i++) {
			pfn[i] = ia_pfn(self->mem + i * PG);
			ASSERT_NE(0, pfn[i]);
			self->mem[i * PG] = 'c';
			/* a device reads the data that the parent writes */
			EXPECT_EQ(pfn[i], ia_pfn(self->mem + i * PG));
		}
		ASSERT_EQ(1, write(to_child[1], "", 1));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		UNMAP(4, base, 4);
		close(to_child[0]);
		close(to_child[1]);
	}
}

/* Memory that was never written, mapped for reading: not the zero page. */
TEST_F(space, read_untouched)
{
	__u64 iova = base, pfn;
	int i;

	ASSERT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->mem), 4 * PG, 0, 0, 0, NULL));
	for (i = 0; i < 4; i++) {
		pfn = ia_pfn(self->mem + i * PG);
		ASSERT_NE(0, pfn);
		EXPECT_EQ(0, self->mem[i * PG]);
		self->mem[i * PG] = 'x';
		EXPECT_EQ(pfn, ia_pfn(self->mem + i * PG));
	}
}

/* A private mapping of a file: the copy is pinned, and stays pinned. */
TEST_F(space, private_file)
{
	__u64 iova, pfn[2];
	int file, i, round;
	char *p, c;

	for (round = 0; round < 2; round++) {
		file = memfd_create("private", MFD_CLOEXEC);
		ASSERT_LE(0, file);
		ASSERT_EQ(0, ftruncate(file, 2 * PG));
		ASSERT_EQ(1, pwrite(file, "f", 1, 0));
		p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			 file, 0);
		ASSERT_NE(MAP_FAILED, p);
		ASSERT_EQ('f', p[0]);
		iova = base;
		ASSERT_EQ(0, ia_map_full(self->fd, self->id, IOASID_MAP_FIXED |
					 (round ? IOASID_MAP_READ : IA_RW),
					 &iova, IA_PTR(p), 2 * PG, 0, 0, 0,
					 NULL));
		for (i = 0; i < 2; i++) {
			pfn[i] = ia_pfn(p + i * PG);
			ASSERT_NE(0, pfn[i]);
			p[i * PG] = 'p';
			EXPECT_EQ(pfn[i], ia_pfn(p + i * PG));
			ASSERT_EQ(1, pread(file, &c, 1, i * PG));
			EXPECT_EQ(i ? 0 : 'f', c);
		}
		UNMAP(2, base, 2);
		munmap(p, 2 * PG);
		close(file);
	}
}

TEST_F(space, memory_goes_away)
{
	char *p = ia_mem(8 * PG);
	int status;
	pid_t pid;
	__u32 id;

	ASSERT_NE(NULL, p);
	memset(p, 1, 8 * PG);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, 8 * PG));
	ASSERT_EQ(0, madvise(p, 4 * PG, MADV_DONTNEED));
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(1, p[4 * PG]);
	EXPECT_TRUE(counts(self->fd, self->id, 1, 8 * PG));
	ASSERT_EQ(0, munmap(p + 4 * PG, 4 * PG));
	EXPECT_TRUE(counts(self->fd, self->id, 1, 8 * PG));
	UNMAP(8, base, 8);

	/* remapped elsewhere */
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, 4 * PG));
	p = mremap(p, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED,
		   self->mem);
	ASSERT_EQ(self->mem, p);
	UNMAP(4, base, 4);

	/* a process maps, unmaps its memory, and exits */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		p = ia_mem(8 * PG);
		if (ia_alloc(self->fd, &id) ||
		    ia_map(self->fd, id, base, p, 8 * PG) ||
		    munmap(p, 8 * PG))
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* its mapping stays until it is unmapped */
	id = self->id + 1;
	EXPECT_TRUE(counts(self->fd, id, 1, 8 * PG));
	EXPECT_EQ(0, ia_free(self->fd, id));
}

TEST_F(space, huge_pages)
{
	char *p = ia_mem_aligned(2 * SZ_2M, SZ_2M);
	long long huge;
	__u64 unmapped, iova = SZ_2M;
	__u64 pfn;
	int status;
	pid_t pid;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, madvise(p, 2 * SZ_2M, MADV_HUGEPAGE));
	memset(p, 1, 2 * SZ_2M);
	huge = ia_proc_field("/proc/self/smaps_rollup", "AnonHugePages");
	if (huge < 4096)
		SKIP(return, "no transparent huge pages");

	/* the whole mapping, and a part that starts and ends within */
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, 2 * SZ_2M));
	EXPECT_TRUE(counts(self->fd, self->id, 1, 2 * SZ_2M));
	UNMAP(2 * SZ_2M / PG, base, 2 * SZ_2M / PG);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p + 3 * PG,
			    2 * SZ_2M - 7 * PG));
	EXPECT_TRUE(counts(self->fd, self->id, 1, 2 * SZ_2M - 7 * PG));
	UNMAP(2 * SZ_2M / PG - 7, base, 2 * SZ_2M / PG - 7);

	/* cut to pieces, out of order */
	ASSERT_EQ(0, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(p), 2 * SZ_2M, SZ_64K, 0, 0, NULL));
	UNMAP(SZ_64K / PG, iova + SZ_1M, SZ_64K / PG);
	UNMAP(SZ_2M / PG, iova + SZ_1M + SZ_64K, SZ_2M / PG);
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, IOASID_UNMAP_SPLIT,
				   iova + PG, PG, &unmapped));
	EXPECT_EQ(PG, unmapped);
	EXPECT_TRUE(counts(self->fd, self->id, 3,
			   SZ_2M - SZ_64K - PG));
	UNMAP(1, iova, 1);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
	EXPECT_EQ(SZ_2M - SZ_64K - 2 * PG, unmapped);

	/* the process splits the pinned huge page */
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, SZ_2M));
	pfn = ia_pfn(p + SZ_1M);
	ASSERT_NE(0, pfn);
	ASSERT_EQ(0, madvise(p, SZ_64K, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(p + SZ_64K, PG, PROT_READ));
	EXPECT_EQ(pfn, ia_pfn(p + SZ_1M));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ia_pfn(p + SZ_1M) == pfn ? 1 : 0);
	p[SZ_1M] = 2;
	EXPECT_EQ(pfn, ia_pfn(p + SZ_1M));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	UNMAP(SZ_2M / PG, base, SZ_2M / PG);
	munmap(p, 2 * SZ_2M);
}

/*
 * Files: memfds of small and of huge pages, and a file in a tmpfs.
 */
FIXTURE(file)
{
	int fd;
	int file;
	__u32 id;
	__u64 page;	/* of the file */
	__u64 size;
	char dir[32];
};

FIXTURE_VARIANT(file)
{
	bool huge;
	bool tmpfs;
};

FIXTURE_VARIANT_ADD(file, memfd) {};

FIXTURE_VARIANT_ADD(file, hugetlb)
{
	.huge = true,
};

FIXTURE_VARIANT_ADD(file, tmpfs)
{
	.tmpfs = true,
};

#define HUGE_PAGES 4

FIXTURE_SETUP(file)
{
	char path[64];
	long long free;

	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc_full(self->fd, &self->id, 0, PG));
	if (variant->tmpfs) {
		snprintf(self->dir, sizeof(self->dir), "/tmp/ioasid.XXXXXX");
		ASSERT_NE(NULL, mkdtemp(self->dir));
		if (mount("none", self->dir, "tmpfs", 0, "size=16m")) {
			rmdir(self->dir);
			SKIP(return, "cannot mount a tmpfs");
		}
		snprintf(path, sizeof(path), "%s/file", self->dir);
		self->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ASSERT_LE(0, self->file);
	} else {
		self->file = memfd_create("ioasid", MFD_CLOEXEC |
					  MFD_ALLOW_SEALING |
					  (variant->huge ? MFD_HUGETLB : 0));
		if (self->file < 0 && variant->huge)
			SKIP(return, "no hugetlbfs");
		ASSERT_LE(0, self->file);
	}
	self->page = PG;
	self->size = 16 * PG;
	if (variant->huge) {
		self->page = 1024 * ia_proc_field("/proc/meminfo",
						  "Hugepagesize");
		self->size = HUGE_PAGES * self->page;
		free = ia_proc_field("/proc/meminfo", "HugePages_Free") -
		       ia_proc_field("/proc/meminfo", "HugePages_Rsvd");
		if (free < HUGE_PAGES)
			SKIP(return, "too few huge pages");
	}
	ASSERT_EQ(0, ftruncate(self->file, self->size));
}

FIXTURE_TEARDOWN(file)
{
	char path[64];

	EXPECT_EQ(0, ia_free(self->fd, self->id));
	close(self->fd);
	close(self->file);
	if (variant->tmpfs) {
		snprintf(path, sizeof(path), "%s/file", self->dir);
		EXPECT_EQ(0, unlink(path));
		/* the file must have no other references */
		EXPECT_EQ(0, umount(self->dir));
		rmdir(self->dir);
	}
}

/* Open the file again, with other flags. */
static int reopen(int file, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return open(path, flags | O_CLOEXEC);
}

static __u64 blocks(int file)
{
	struct stat st;

	return fstat(file, &st) ? ~0ULL : st.st_blocks * 512ULL;
}

/* Whether a write seal can be set, which pinned pages prevent. */
static int seal_write(int file)
{
	return fcntl(file, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0;
}

TEST_F(file, map_unmap)
{
	__u64 iova = base, any = 0, unmapped;
	struct ia_state before, after;
	int i;

	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
					 self->file, 0, self->size));
		EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
		/* a part of it, from the middle of a large page */
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &any,
					 self->file, 3 * PG, 8 * PG));
		EXPECT_LE(SZ_4G, any);
		EXPECT_TRUE(counts(self->fd, self->id, 2,
				   self->size + 8 * PG));
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, any, 8 * PG,
				      &unmapped));
		EXPECT_EQ(8 * PG, unmapped);
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, self->size,
				      &unmapped));
		EXPECT_EQ(self->size, unmapped);
		ASSERT_EQ(0, ia_state_read(self->fd, &after));
		EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	}
	/* the mapping has the pages that the file had, all of them */
	EXPECT_EQ(self->size, blocks(self->file));
}

TEST_F(file, congruent)
{
	__u64 iova = 0;

	if (!variant->huge)
		SKIP(return, "pages are small");
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &iova, self->file,
				 0, self->page));
	EXPECT_EQ(0, iova % self->page);
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &iova, self->file,
				 5 * PG, 2 * self->page));
	EXPECT_EQ(5 * PG, iova % self->page);
}

/* Cut on any page; pages stay pinned until the last piece is gone. */
TEST_F(file, cut)
{
	__u64 iova = base, unmapped, at;
	unsigned int i;

	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	for (i = 1; i < 16; i += 2) {
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova + i * PG, PG,
				      &unmapped));
		ASSERT_EQ(PG, unmapped);
	}
	EXPECT_TRUE(counts(self->fd, self->id, variant->huge ? 9 : 8,
			   self->size - 8 * PG));
	/* another mapping is placed in one hole */
	at = iova + PG;
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &at,
				 self->file, 15 * PG, PG));
	if (!variant->tmpfs)
		EXPECT_EQ(-EBUSY, seal_write(self->file));
	/* all but one page */
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, 10 * PG, &unmapped));
	EXPECT_EQ(6 * PG, unmapped);
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova + 11 * PG,
			      self->size - 11 * PG, &unmapped));
	EXPECT_TRUE(counts(self->fd, self->id, 1, PG));
	if (!variant->tmpfs)
		EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova + 10 * PG, PG,
			      &unmapped));
	EXPECT_EQ(PG, unmapped);
	if (!variant->tmpfs)
		EXPECT_EQ(0, seal_write(self->file));
}

TEST_F(file, open_modes)
{
	int ro, wo, path;
	__u64 iova = base;

	ASSERT_EQ(0, fallocate(self->file, 0, 0, self->size));
	ro = reopen(self->file, O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       ro, 0, self->size));
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id,
				       IOASID_MAP_WRITE | IOASID_MAP_FIXED,
				       &iova, ro, 0, self->size));
	EXPECT_EQ(0, ia_map_file(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova, ro,
				 0, self->size));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	close(ro);

	wo = reopen(self->file, O_WRONLY);
	ASSERT_LE(0, wo);
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       wo, 0, self->size));
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id,
				       IOASID_MAP_WRITE | IOASID_MAP_FIXED,
				       &iova, wo, 0, self->size));
	EXPECT_EQ(-EACCES, ia_map_file(self->fd, self->id,
				       IOASID_MAP_READ | IOASID_MAP_FIXED,
				       &iova, wo, 0, self->size));
	close(wo);

	path = reopen(self->file, O_PATH);
	ASSERT_LE(0, path);
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id,
				      IOASID_MAP_READ | IOASID_MAP_FIXED,
				      &iova, path, 0, self->size));
	close(path);
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				      path, 0, self->size));
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				      -1, 0, self->size));
	EXPECT_EQ(-EBADF, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				      INT_MAX, 0, self->size));
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

/* A process that may not write a file must not make it grow. */
TEST_F(file, holes)
{
	__u64 iova = base, fault_addr = 0;
	int ro;

	/* the second page is there, the others are holes */
	ASSERT_EQ(0, fallocate(self->file, 0, self->page, self->page));
	ASSERT_EQ(self->page, blocks(self->file));
	ro = reopen(self->file, O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IOASID_MAP_READ |
				       IOASID_MAP_FIXED | IOASID_MAP_FILE,
				       &iova, 0, self->size, 0, 0, ro,
				       &fault_addr));
	EXPECT_EQ(0, fault_addr);
	EXPECT_EQ(self->page, blocks(self->file));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IOASID_MAP_READ |
				       IOASID_MAP_FIXED | IOASID_MAP_FILE,
				       &iova, self->page, 2 * self->page, 0, 0,
				       ro, &fault_addr));
	EXPECT_EQ(2 * self->page, fault_addr);
	EXPECT_EQ(self->page, blocks(self->file));
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
	/* existing pages can be mapped */
	EXPECT_EQ(0, ia_map_file(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova, ro,
				 self->page, self->page));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(self->page, blocks(self->file));
	/* the failures left no page pinned */
	if (variant->tmpfs) {
		/* with permission to write, a map fills holes */
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED,
					 &iova, self->file, 0, self->size));
		EXPECT_EQ(self->size, blocks(self->file));
	} else {
		EXPECT_EQ(0, seal_write(self->file));
	}
	close(ro);
}

/*
 * fallocate() gives pages to a tmpfs file and leaves it to their first access
 * to clear them: a map has to clear them for devices. Until then, lseek() finds
 * no data.
 */
TEST_F(file, fallocated)
{
	__u64 iova = base;
	unsigned int i;
	char *p;

	ASSERT_EQ(0, fallocate(self->file, 0, 0, self->size));
	if (variant->huge || lseek(self->file, 0, SEEK_DATA) >= 0)
		SKIP(return, "pages are cleared at once");
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	EXPECT_EQ(0, lseek(self->file, 0, SEEK_DATA))
		TH_LOG("mapped pages with whatever was in them");
	EXPECT_EQ(self->size, lseek(self->file, 0, SEEK_HOLE));
	p = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < self->size; i++)
		ASSERT_EQ(0, p[i]);
	munmap(p, self->size);
}

/* A map does not use huge pages that others reserved. */
TEST_F(file, reservations)
{
	long long free, reserved, total;
	__u64 iova = base, size, i;
	struct ioasid_info info;
	int file, rc;
	char *p;

	if (!variant->huge)
		SKIP(return, "pages are small");
	total = ia_proc_field("/proc/meminfo", "HugePages_Total");
	free = ia_proc_field("/proc/meminfo", "HugePages_Free");
	reserved = ia_proc_field("/proc/meminfo", "HugePages_Rsvd");
	/* a hole: it has no reservation */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->page));
	EXPECT_EQ(free - 1, ia_proc_field("/proc/meminfo", "HugePages_Free"));
	EXPECT_EQ(reserved, ia_proc_field("/proc/meminfo", "HugePages_Rsvd"));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* another file reserves the rest, but does not touch it */
	free = ia_proc_field("/proc/meminfo", "HugePages_Free");
	reserved = ia_proc_field("/proc/meminfo", "HugePages_Rsvd");
	size = (free - reserved) * self->page;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	file = memfd_create("late", MFD_CLOEXEC | MFD_HUGETLB);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, self->page));
	rc = ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file, 0,
			 self->page);
	EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT)
		TH_LOG("%d", rc);
	EXPECT_EQ(free, ia_proc_field("/proc/meminfo", "HugePages_Free"));
	EXPECT_EQ(free, ia_proc_field("/proc/meminfo", "HugePages_Rsvd"));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(0, info.bytes_pinned);
	/* a SIGBUS ends the test */
	for (i = 0; i < size; i += self->page)
		p[i] = 1;
	munmap(p, size);
	close(file);
	EXPECT_EQ(total, ia_proc_field("/proc/meminfo", "HugePages_Total"));
	EXPECT_EQ(free, ia_proc_field("/proc/meminfo", "HugePages_Free"));
	EXPECT_EQ(reserved, ia_proc_field("/proc/meminfo", "HugePages_Rsvd"));
}

TEST_F(file, seals)
{
	static const int write_seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };
	__u64 iova = base;
	unsigned int i;
	int file;

	if (variant->tmpfs)
		SKIP(return, "cannot be sealed");
	for (i = 0; i < ARRAY_SIZE(write_seals); i++) {
		file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING |
				    (variant->huge ? MFD_HUGETLB : 0));
		ASSERT_LE(0, file);
		ASSERT_EQ(0, ftruncate(file, self->page));
		ASSERT_EQ(0, fallocate(file, 0, 0, self->page));
		ASSERT_EQ(0, fcntl(file, F_ADD_SEALS, write_seals[i]));
		EXPECT_EQ(-EPERM, ia_map_file(self->fd, self->id, IA_RW_FIXED,
					      &iova, file, 0, self->page));
		EXPECT_EQ(-EPERM, ia_map_file(self->fd, self->id,
					      IOASID_MAP_WRITE |
					      IOASID_MAP_FIXED, &iova, file, 0,
					      self->page));
		EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
		EXPECT_EQ(0, ia_map_file(self->fd, self->id,
					 IOASID_MAP_READ | IOASID_MAP_FIXED,
					 &iova, file, 0, self->page));
		ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
		close(file);
	}
	/* the other seals do not matter */
	ASSERT_EQ(0, fcntl(self->file, F_ADD_SEALS,
			   F_SEAL_SHRINK | F_SEAL_GROW));
	EXPECT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
}

/* A map must respect the seals of a file. */
TEST_F(file, pinned_is_not_sealed)
{
	__u64 iova = base;
	__u32 id;
	int fd;

	if (variant->tmpfs)
		SKIP(return, "cannot be sealed");
	/* unmap, free and close each release the pages */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, self->size, NULL));

	ASSERT_EQ(0, ia_alloc(self->fd, &id));
	ASSERT_EQ(0, ia_map_file(self->fd, id, IA_RW_FIXED, &iova, self->file,
				 0, self->page));
	EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_free(self->fd, id));

	fd = ia_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ia_alloc(fd, &id));
	ASSERT_EQ(0, ia_map_file(fd, id, IA_RW_FIXED, &iova, self->file, 0,
				 self->page));
	EXPECT_EQ(-EBUSY, seal_write(self->file));
	close(fd);
	EXPECT_EQ(0, seal_write(self->file));
}

/* The same for memory that is mapped by its address. */
TEST_F(file, by_address)
{
	__u64 iova = base, fault_addr = 0;
	int status;
	pid_t pid;
	char *p;
	int fd;

	p = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 self->file, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, p, self->size));
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
	ASSERT_EQ(0, munmap(p, self->size));
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
	if (!variant->tmpfs)
		EXPECT_EQ(-EBUSY, seal_write(self->file));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));

	/* no page stays pinned if the last one is bad */
	p = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 self->file, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + self->size - self->page, self->page));
	EXPECT_EQ(-EFAULT, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				       IA_PTR(p), self->size, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(IA_PTR(p + self->size - self->page), fault_addr);
	ASSERT_EQ(0, munmap(p, self->size - self->page));

	/*
	 * nor when the process that mapped is killed, and its file goes with it
	 */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		__u32 id;

		close(self->fd);
		fd = ia_open();
		p = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->file, 0);
		if (fd < 0 || p == MAP_FAILED || ia_alloc(fd, &id) ||
		    ia_map(fd, id, base, p, self->size))
			_exit(1);
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (!variant->tmpfs)
		EXPECT_EQ(0, seal_write(self->file));
}

TEST_F(file, end_of_file)
{
	__u64 iova = base, fault_addr;
	struct ia_state before, after;

	ASSERT_EQ(0, ia_state_read(self->fd, &before));
#define BEYOND(want, offset, length)					\
do {									\
	fault_addr = 1;							\
	EXPECT_EQ(-EINVAL, ia_map_full(self->fd, self->id,		\
				       IA_RW_FIXED | IOASID_MAP_FILE,	\
				       &iova, offset, length, 0, 0,	\
				       self->file, &fault_addr));	\
	EXPECT_EQ(want, fault_addr);					\
} while (0)
	BEYOND(self->size, 0, self->size + PG);
	BEYOND(self->size, self->size - PG, 2 * PG);
	BEYOND(self->size, self->size, PG);
	BEYOND(self->size + SZ_1G, self->size + SZ_1G, PG);
#undef BEYOND
	/* no file has such offsets */
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, 1ULL << 63, PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, -PG, PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, -PG, 2 * PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, (1ULL << 63) - PG, PG));
	/* misaligned */
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, 1, PG));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				       self->file, PG / 2, PG));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	if (!variant->tmpfs)
		EXPECT_EQ(0, seal_write(self->file));
}

/* Pinned pages stay when the file is truncated. */
TEST_F(file, truncated)
{
	__u64 iova = base, unmapped, other = 0;

	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, self->size));
	ASSERT_EQ(0, fallocate(self->file,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       self->page, self->page));
	ASSERT_EQ(0, ftruncate(self->file, self->page));
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->size));
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->id, IA_RW, &other,
				       self->file, self->page, self->page));
	/* of a file that grew again */
	ASSERT_EQ(0, ftruncate(self->file, 2 * self->page));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW, &other, self->file,
				 self->page, self->page));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, self->size,
			      &unmapped));
	EXPECT_EQ(self->size, unmapped);
	EXPECT_TRUE(counts(self->fd, self->id, 1, self->page));
}

/* The mapping needs the file descriptor only during the map. */
TEST_F(file, closed)
{
	long long free = ia_proc_field("/proc/meminfo", "HugePages_Free");
	__u64 iova = base, unmapped;
	int file;

	if (variant->tmpfs)
		SKIP(return, "has a name");
	file = memfd_create("closed", MFD_CLOEXEC |
			    (variant->huge ? MFD_HUGETLB : 0));
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 2 * self->page));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file,
				 0, 2 * self->page));
	close(file);
	EXPECT_TRUE(counts(self->fd, self->id, 1, 2 * self->page));
	if (variant->huge) {
		EXPECT_EQ(free - 2, ia_proc_field("/proc/meminfo",
						  "HugePages_Free"));
	}
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, 2 * self->page,
			      &unmapped));
	EXPECT_EQ(2 * self->page, unmapped);
	if (variant->huge) {
		EXPECT_EQ(free, ia_proc_field("/proc/meminfo",
					      "HugePages_Free"));
	}
}

/* Huge pages in a tmpfs, mapped and cut at any of their pages. */
TEST_F(space, huge_tmpfs)
{
	char dir[] = "/tmp/ioasid.XXXXXX";
	const __u64 size = 2 * SZ_2M;
	__u64 iova = SZ_2M, unmapped, left;
	char path[64];
	int file, i;

	ASSERT_NE(NULL, mkdtemp(dir));
	if (mount("none", dir, "tmpfs", 0, "huge=always,size=16m")) {
		rmdir(dir);
		SKIP(return, "no huge pages in tmpfs");
	}
	snprintf(path, sizeof(path), "%s/file", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, size));
	/* the last page stays a hole, if the huge page allows */
	ASSERT_EQ(1, pwrite(file, "x", 1, 0));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
					 file, 0, size));
		EXPECT_TRUE(counts(self->fd, self->id, 1, size));
		ASSERT_EQ(0, ia_unmap_full(self->fd, self->id,
					   IOASID_UNMAP_SPLIT, iova + 3 * PG,
					   size / 2, &unmapped));
		EXPECT_EQ(size / 2, unmapped);
		EXPECT_TRUE(counts(self->fd, self->id, 2, size / 2));
		/* the file shrinks while the rest is pinned */
		if (i)
			ASSERT_EQ(0, ftruncate(file, 5 * PG));
		UNMAP(3, iova, 3);
		left = size - size / 2 - 3 * PG;
		UNMAP(left / PG, iova + size - left, left / PG);
		EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
	}
	ASSERT_EQ(0, ftruncate(file, size));
	/* starting and ending within a huge page */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova, file,
				 7 * PG, SZ_2M));
	EXPECT_TRUE(counts(self->fd, self->id, 1, SZ_2M));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	close(file);
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
}

/* Files of other types. */
TEST_F(space, other_files)
{
	static const char * const paths[] = {
		"/proc/self/status", "/dev/null", "/dev/zero", "/tmp", "/",
		"/sys/kernel/mm", IA_NODE,
	};
	char dir[] = "/tmp/ioasid.XXXXXX";
	__u64 iova = base;
	unsigned int i;
	char path[64];
	int file, p[2];

#define NOT_MAPPED(f)							\
	EXPECT_EQ(-EOPNOTSUPP, ia_map_file(self->fd, self->id,		\
					   IOASID_MAP_READ |		\
					   IOASID_MAP_FIXED, &iova, f,	\
					   0, PG))
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		file = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue;
		NOT_MAPPED(file)
			TH_LOG("%s", paths[i]);
		close(file);
	}
	ASSERT_EQ(0, pipe(p));
	NOT_MAPPED(p[0]);
	close(p[0]);
	close(p[1]);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	NOT_MAPPED(p[0]);
	close(p[0]);
	close(p[1]);
	NOT_MAPPED(self->fd);

	/* a regular file of another file system */
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount("none", dir, "ramfs", 0, NULL));
	snprintf(path, sizeof(path), "%s/file", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT_LE(0, file);
	EXPECT_EQ(0, ftruncate(file, PG));
	EXPECT_EQ(1, write(file, "x", 1));
	NOT_MAPPED(file);
	close(file);
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
#undef NOT_MAPPED
	EXPECT_TRUE(counts(self->fd, self->id, 0, 0));
}

TEST_HARNESS_MAIN
