// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA of real devices to mappings that are cut and split, and of files.
 */
#include "hw_dma.h"
#include "ranges.h"

/* Cut on the grid: the neighbours' data stay where they are. */
TEST_F(hw_dma, cut)
{
	char *mem = huge_memory(SZ_2M * 2);
	struct ioasid_info info;
	__u64 iova = TEST_IOVA, unmapped;

	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(mem), 2 * SZ_2M, SZ_64K, 0, 0, NULL));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 3 * SZ_64K,
				mem + 3 * SZ_64K));
	/* off the grid: no page is unmapped, not even on the grid */
	ASSERT_EQ(-EINVAL, ia_unmap(self->ctx, self->id, iova + 3 * SZ_64K,
				    SZ_64K + page_size, &unmapped));
	ASSERT_EQ(0, unmapped);
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 3 * SZ_64K,
				mem + 3 * SZ_64K));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, iova + 3 * SZ_64K, SZ_64K,
			      &unmapped));
	ASSERT_EQ(SZ_64K, unmapped);
	ASSERT_TRUE(dut_misses(&self->dut, iova + 3 * SZ_64K,
			       mem + 3 * SZ_64K));
	ASSERT_TRUE(dut_misses(&self->dut, iova + 4 * SZ_64K - DUT_LEN,
			       mem + 4 * SZ_64K - DUT_LEN));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 3 * SZ_64K - DUT_LEN,
				mem + 3 * SZ_64K - DUT_LEN));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 4 * SZ_64K,
				mem + 4 * SZ_64K));
	ASSERT_TRUE(dut_reaches(&self->dut, iova, mem));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 2 * SZ_2M - DUT_LEN,
				mem + 2 * SZ_2M - DUT_LEN));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(self->dut.ctrl_size + 2 * SZ_2M - SZ_64K, info.bytes_mapped);
	/* other memory in the gap */
	ASSERT_EQ(0, ia_map(self->ctx, self->id, iova + 3 * SZ_64K, self->mem,
			    page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 3 * SZ_64K, self->mem));
	/* from the start and from the end, over the large page's edge */
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, iova, SZ_64K, NULL));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, iova + SZ_2M - SZ_64K,
			      SZ_2M + SZ_64K, &unmapped));
	ASSERT_EQ(SZ_2M + SZ_64K, unmapped);
	ASSERT_TRUE(dut_reaches(&self->dut, iova + SZ_64K, mem + SZ_64K));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + SZ_2M - SZ_64K - DUT_LEN,
				mem + SZ_2M - SZ_64K - DUT_LEN));
	ASSERT_TRUE(dut_misses(&self->dut, iova + SZ_2M, mem + SZ_2M));
}

static void split(struct __test_metadata *_metadata, int ctx, __u32 id,
		  struct dut *dut, char *mem, char *page)
{
	__u64 iova = TEST_IOVA, hole = 100 * page_size, unmapped;

	/* pages of the huge page to look at: around the cut, and the edges */
	const __u64 left[] = { 0, hole - page_size }, right[] = {
		hole + page_size, SZ_2M - page_size };
	int i;

	dut_fill(mem + hole, DUT_LEN, 70);
	for (i = 0; i < 2; i++) {
		dut_fill(mem + left[i], DUT_LEN, 71 + i);
		dut_fill(mem + right[i], DUT_LEN, 73 + i);
	}
	ASSERT_TRUE(dut_sees(dut, iova + hole, 70));
	ASSERT_EQ(0, ia_unmap_full(ctx, id, IOASID_UNMAP_SPLIT, iova + hole,
				   page_size, &unmapped));
	ASSERT_EQ(page_size, unmapped);
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(dut_sees(dut, iova + left[i], 71 + i));
		ASSERT_TRUE(dut_sees(dut, iova + right[i], 73 + i));
	}
	ASSERT_FALSE(dut_sees(dut, iova + hole, 70));
	ASSERT_TRUE(dut_misses(dut, iova + hole, mem + hole));
	ASSERT_TRUE(dut_reaches(dut, iova + hole + page_size,
				mem + hole + page_size));
	ASSERT_TRUE(dut_reaches(dut, iova + hole - DUT_LEN,
				mem + hole - DUT_LEN));
	ASSERT_EQ(0, ia_map(ctx, id, iova + hole, page, page_size));
	ASSERT_TRUE(dut_reaches(dut, iova + hole, page));
	/* cut the pieces again */
	ASSERT_EQ(0, ia_unmap_full(ctx, id, IOASID_UNMAP_SPLIT,
				   iova + hole + 2 * page_size,
				   SZ_2M / 2, &unmapped));
	ASSERT_EQ(SZ_2M / 2, unmapped);
	ASSERT_TRUE(dut_reaches(dut, iova + hole + page_size,
				mem + hole + page_size));
	ASSERT_TRUE(dut_reaches(dut, iova + hole + 2 * page_size + SZ_2M / 2,
				mem + hole + 2 * page_size + SZ_2M / 2));
	ASSERT_TRUE(dut_misses(dut, iova + hole + 2 * page_size + SZ_1M / 2,
			       mem + hole + 2 * page_size + SZ_1M / 2));
}

TEST_F(hw_dma, split)
{
	char *mem = huge_memory(SZ_2M * 2);

	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, mem, 2 * SZ_2M));
	split(_metadata, self->ctx, self->id, &self->dut, mem, self->mem);
	/* the large page beside it stays */
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_2M, mem + SZ_2M));
}

/* Split while no device is attached; the next one sees the result. */
TEST_F(hw_dma, split_detached)
{
	char *mem = huge_memory(SZ_2M);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, mem, SZ_2M));
	ASSERT_EQ(0, ia_unmap_full(self->ctx, self->id, IOASID_UNMAP_SPLIT,
				   TEST_IOVA + SZ_1M, page_size, NULL));
	ATTACH();
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, mem));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + SZ_1M, mem + SZ_1M));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_1M + page_size,
				mem + SZ_1M + page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_2M - DUT_LEN,
				mem + SZ_2M - DUT_LEN));
}

/* Splits of two domains must agree with the next attach. */
TEST_F(hw_dma, split_replace)
{
	char *mem = huge_memory(SZ_2M);
	__u32 other;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, other));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, mem, SZ_2M));
	ATTACH();
	ASSERT_EQ(0, ia_unmap_full(self->ctx, self->id, IOASID_UNMAP_SPLIT,
				   TEST_IOVA + SZ_1M, page_size, NULL));
	ASSERT_EQ(0, dut_attach(&self->dut, other));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, mem));
	ATTACH();
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, mem));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + SZ_1M, mem + SZ_1M));
}

TEST_F(hw_dma, file)
{
	__u64 iova = TEST_IOVA, offset = 3 * page_size;
	char page[DUT_LEN];
	int fd;

	fd = memfd_create("dma", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 16 * page_size));
	dut_fill(page, DUT_LEN, 81);
	ASSERT_EQ(DUT_LEN, pwrite(fd, page, DUT_LEN, offset));
	ATTACH();
	ASSERT_EQ(0, ia_map_file(self->ctx, self->id, IA_RW_FIXED, &iova, fd,
				 offset, 4 * page_size));
	ASSERT_TRUE(dut_sees(&self->dut, iova, 81));
	ASSERT_EQ(0, dut_put(&self->dut, iova + page_size, 82));
	ASSERT_EQ(DUT_LEN, pread(fd, page, DUT_LEN, offset + page_size));
	ASSERT_TRUE(dut_holds(page, DUT_LEN, 82));
	/* for reading only, at another IOVA, through another file descriptor */
	iova += SZ_1M;
	ASSERT_EQ(0, ia_map_file(self->ctx, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova, fd,
				 offset + page_size, page_size));
	ASSERT_TRUE(dut_sees(&self->dut, iova, 82));
	dut_put(&self->dut, iova, 83);
	ASSERT_EQ(DUT_LEN, pread(fd, page, DUT_LEN, offset + page_size));
	ASSERT_TRUE(dut_holds(page, DUT_LEN, 82));
	/* the map holds the memory, not the file */
	close(fd);
	ASSERT_TRUE(dut_sees(&self->dut, iova, 82));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, SZ_2M, NULL));
	ASSERT_FALSE(dut_sees(&self->dut, iova, 82));
}

TEST_F(hw_dma, hugetlb)
{
	__u64 iova = TEST_IOVA;
	char *mem;
	int fd;

	fd = memfd_create("dma", MFD_CLOEXEC | MFD_HUGETLB);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 2 * SZ_2M));
	mem = mmap(NULL, 2 * SZ_2M, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "no huge pages are reserved");
	memset(mem, 0, 2 * SZ_2M);
	ATTACH();
	/* by address */
	ASSERT_EQ(0, ia_map(self->ctx, self->id, iova, mem, 2 * SZ_2M));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + SZ_2M - 1024,
				mem + SZ_2M - 1024));
	split(_metadata, self->ctx, self->id, &self->dut, mem, self->mem);
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, iova, 2 * SZ_2M, NULL));
	/* by file, from a page in the middle */
	ASSERT_EQ(0, ia_map_file(self->ctx, self->id, IA_RW_FIXED, &iova, fd,
				 SZ_1M, SZ_2M));
	ASSERT_TRUE(dut_reaches(&self->dut, iova, mem + SZ_1M));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + SZ_1M, mem + SZ_2M));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + SZ_2M - DUT_LEN,
				mem + SZ_1M + SZ_2M - DUT_LEN));
	munmap(mem, 2 * SZ_2M);
	close(fd);
}

TEST_HARNESS_MAIN
