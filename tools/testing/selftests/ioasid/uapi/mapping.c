// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map and unmap on IOASIDs without an attached device: ranges, grids, counters.
 */
#include "mapping.h"

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

TEST_HARNESS_MAIN
