// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changing what is mapped: IOASID_MAP_PROTECT, IOASID_MAP_REPLACE, the cut size
 * and IOASID_UNMAP_SPLIT. A device does DMA all the time: its accesses to
 * unchanged pages never fail, and its accesses to changed pages see the old
 * state, the new state, or a fault.
 */
#include "ioasid_test.h"
#include "change.h"
#include "state.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define CHANNEL 1
#define PAGES (SZ_2M / PG)

FIXTURE(change)
{
	struct model model;
	struct model_device dev;
	struct model_space space;
	int fd;
	__u32 id;
	bool huge;
	char *mem;		/* two large pages, if there are such */
	char *other;		/* another one */
};

static char *large(size_t length, bool *huge)
{
	char *p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	*huge = p != MAP_FAILED;
	return *huge ? p : ia_mem_aligned(length, SZ_2M);
}

FIXTURE_SETUP(change)
{
	bool huge;
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	self->mem = large(2 * SZ_2M, &self->huge);
	self->other = large(SZ_2M, &huge);
	ASSERT_NE(NULL, self->mem);
	ASSERT_NE(NULL, self->other);
	self->huge &= huge;
	memset(self->mem, 0, 2 * SZ_2M);
	memset(self->other, 0, SZ_2M);
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	self->id = self->space.id;
}

FIXTURE_TEARDOWN(change)
{
	if (self->fd <= 0)
		return;
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
	munmap(self->mem, 2 * SZ_2M);
	munmap(self->other, SZ_2M);
}

/* --- the cut size --- */

/*
 * The pattern of virtio-mem: unmap all in one call, and unmap and map any block
 * while the device accesses all others.
 */
TEST_F(change, unplug_blocks)
{
	long long free_kb = ia_proc_field("/proc/meminfo", "MemAvailable");
	__u64 length = ia_slow_kernel() ? 32 * SZ_2M : SZ_1G, at;
	int blocks, i, n;
	char *mem;

	while (length > 16 * SZ_2M && free_kb * 1024 / 2 < (long long)length)
		length /= 2;
	blocks = length / SZ_2M;
	mem = ia_mem_aligned(length, SZ_2M);
	ASSERT_NE(NULL, mem);
	madvise(mem, length, MADV_HUGEPAGE);
	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, mem, length, SZ_2M));
	/* the device writes to the even blocks */
	for (n = 0; n < 2; n++) {
		struct ioasid_model_dma dma = {
			.op = IOASID_MODEL_FILL,
			.flags = IOASID_MODEL_DMA_LOOP | IOASID_MODEL_DMA_GO_ON,
			.threads = 1,
			.address = BASE,
			.length = PG,
			.stride = 2 * SZ_2M,
			.count = blocks / 2,
			.operand = n + 1,
		};

		ASSERT_EQ(0, model_start(&self->dev, CHANNEL, &dma));
		for (i = 1; i < blocks; i += 2) {
			at = BASE + i * SZ_2M;
			ASSERT_EQ(0, n ? map_cut(self->fd, self->id, at,
						 mem + i * SZ_2M, SZ_2M, SZ_2M) :
					 ia_unmap(self->fd, self->id, at, SZ_2M,
						  NULL));
		}
		/* the device may reach the first block only now */
		EXPECT_EQ(0, model_hammered(&self->dev, CHANNEL, blocks));
		EXPECT_EQ(0, hammer_stop(&self->dev, CHANNEL));
		EXPECT_EQ(n, can_write(&self->dev, BASE + SZ_2M, 1));
		for (i = 0; i < blocks; i += 2)
			ASSERT_TRUE(model_pattern_holds(mem + i * SZ_2M, n + 1,
							BASE + i * SZ_2M, PG));
	}
	EXPECT_EQ(-EINVAL, ia_unmap(self->fd, self->id, BASE + SZ_1M, SZ_2M,
				    NULL));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	munmap(mem, length);
}

/*
 * Unmap anywhere, from the middle of large IOPTEs; neighbours keep their pages.
 */
TEST_F(change, split_anywhere)
{
	static const int order[] = { 1, 511, 256, 255, 300, 3, 0, 510, 129 };
	long long pinned = ia_status("VmPin"), kb = PG / 1024;
	unsigned int i, gone = 0;
	bool out[512] = {};
	int page;

	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE, self->mem, SZ_2M));
	for (i = 0; i < PAGES; i++)
		memset(self->mem + i * PG, i % 100 + 1, PG);
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		if (order[i] >= (int)PAGES)
			continue;
		ASSERT_EQ(0, ia_unmap_full(self->fd, self->id,
					   IOASID_UNMAP_SPLIT,
					   BASE + order[i] * PG, PG, NULL));
		out[order[i]] = true;
		gone++;
		EXPECT_EQ(pinned + (long long)(PAGES - gone) * kb,
			  ia_status("VmPin"));
		for (page = 0; page < (int)PAGES; page += i ? 7 : 1)
			ASSERT_EQ(!out[page], can_read(&self->dev,
						       BASE + page * PG,
						       page % 100 + 1));
	}
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(pinned, ia_status("VmPin"));
}

/* --- PROTECT --- */

TEST_F(change, protect)
{
	struct ioasid_query_entry e[4];
	long long pinned;
	int i;

	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, 8 * PG, PG));
	pinned = ia_status("VmPin");
	/* the neighbours do not change */
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, BASE, 1, 2,
				  1));
	ASSERT_EQ(0, model_hammer(&self->dev, 2, IOASID_MODEL_FILL,
				  BASE + 4 * PG, 1, 4, 1));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, protect(self->fd, self->id, BASE + 2 * PG, 2 * PG,
				     IOASID_MAP_READ));
		EXPECT_FALSE(can_write(&self->dev, BASE + 2 * PG, 7));
		EXPECT_FALSE(can_write(&self->dev, BASE + 3 * PG, 7));
		self->mem[2 * PG] = i;
		memset(self->mem + 2 * PG, i, 8);
		EXPECT_TRUE(can_read(&self->dev, BASE + 2 * PG, i));
		ASSERT_EQ(0, protect(self->fd, self->id, BASE + 2 * PG, 2 * PG,
				     IOASID_MAP_WRITE));
		EXPECT_FALSE(can_read(&self->dev, BASE + 2 * PG, i));
		EXPECT_TRUE(can_write(&self->dev, BASE + 2 * PG, i + 1));
		EXPECT_EQ(i + 1, self->mem[2 * PG]);
		ASSERT_EQ(0, protect(self->fd, self->id, BASE + 2 * PG, 2 * PG,
				     IA_RW));
		EXPECT_TRUE(can_read(&self->dev, BASE + 2 * PG, i + 1));
	}
	EXPECT_EQ(0, hammer_stop(&self->dev, 1));
	EXPECT_EQ(0, hammer_stop(&self->dev, 2));
	ASSERT_EQ(0, protect(self->fd, self->id, BASE + 2 * PG, 2 * PG,
			     IOASID_MAP_READ));
	ASSERT_EQ(3, mappings(self->fd, self->id, e, 4));
	EXPECT_EQ(BASE + 2 * PG, e[1].iova);
	EXPECT_EQ(2 * PG, e[1].length);
	EXPECT_EQ(IOASID_MAP_READ | IOASID_QUERY_ADDR, e[1].flags);
	EXPECT_EQ(IA_PTR(self->mem) + 2 * PG, e[1].addr);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR, e[0].flags);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR, e[2].flags);
	/* across all three, of which some have the permission already */
	ASSERT_EQ(0, protect(self->fd, self->id, BASE, 8 * PG,
			     IOASID_MAP_READ));
	for (i = 0; i < 8; i++)
		EXPECT_FALSE(can_write(&self->dev, BASE + i * PG, 1));
	ASSERT_EQ(0, protect(self->fd, self->id, BASE, 8 * PG, IA_RW));
	for (i = 0; i < 8; i++)
		EXPECT_TRUE(can_write(&self->dev, BASE + i * PG, 1));
	EXPECT_EQ(pinned, ia_status("VmPin"));
	/* no change: no mapping is cut */
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE, self->mem, 8 * PG));
	ASSERT_EQ(0, protect(self->fd, self->id, BASE + PG, PG, IA_RW));
	EXPECT_EQ(1, mappings(self->fd, self->id, e, 4));
}

/*
 * If the driver changes permission in place, DMA that both permissions allow
 * never fails, and a TLB does not allow DMA that the new one forbids.
 */
TEST_F(change, protect_in_place)
{
	struct model_params params = {
		.flags = MODEL_PROTECT | MODEL_ATS | MODEL_CACHE_ABSENT,
	};
	__u64 large = BASE + SZ_2M, last = large + SZ_2M - 8, first, unmaps;
	unsigned int i, rounds = ia_slow_kernel() ? 20 : 100;
	struct model_space at = self->space;
	struct model_device dev;

	ASSERT_EQ(0, ia_alloc(self->fd, &at.id));
	ASSERT_EQ(0, model_plug(&self->model, &dev, &params, 0));
	ASSERT_EQ(0, model_attach(&dev, &at));
	ASSERT_EQ(0, ia_map(self->fd, at.id, BASE, self->mem, SZ_2M));
	ASSERT_EQ(0, map_cut(self->fd, at.id, large, self->mem + SZ_2M, SZ_2M,
			     PG));
	first = large - 64 * PG;
	ASSERT_EQ(0, model_fill(&dev, first, 5, 128));
	/* must be invalidated in its TLBs */
	EXPECT_TRUE(can_write(&dev, BASE, 1));
	EXPECT_TRUE(can_write(&dev, last, 1));
	unmaps = model_counters(&dev).unmaps;
	ASSERT_EQ(0, model_hammer(&dev, CHANNEL, IOASID_MODEL_VERIFY, first, 5,
				  128, 1));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, protect(self->fd, at.id, BASE, 2 * SZ_2M,
				     IOASID_MAP_READ));
		EXPECT_FALSE(can_write(&dev, BASE, 2));
		EXPECT_FALSE(can_write(&dev, last, 2));
		ASSERT_EQ(0, protect(self->fd, at.id, BASE, 2 * SZ_2M, IA_RW));
		EXPECT_TRUE(can_write(&dev, BASE, 3));
		EXPECT_TRUE(can_write(&dev, last, 3));
	}
	EXPECT_EQ(0, hammer_stop(&dev, CHANNEL));
	EXPECT_EQ(unmaps, model_counters(&dev).unmaps);
	EXPECT_LE(2 * rounds, model_counters(&dev).protects);
	/* a cut of an IOPTE at an edge cannot be in place */
	ASSERT_EQ(0, protect(self->fd, at.id, BASE + PG, PG,
			     IOASID_MAP_READ | IOASID_MAP_SPLIT));
	EXPECT_TRUE(can_write(&dev, BASE, 1));
	EXPECT_FALSE(can_write(&dev, BASE + PG, 1));
	EXPECT_TRUE(can_write(&dev, BASE + 2 * PG, 1));
	EXPECT_NO_HARM(&dev);
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

TEST_F(change, protect_large)
{
	struct ioasid_query_entry e[4];

	if (!self->huge)
		SKIP(return, "no huge pages");
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE, self->mem, 2 * SZ_2M));
	EXPECT_EQ(-EINVAL, protect(self->fd, self->id, BASE + PG, PG,
				   IOASID_MAP_READ));
	/* the other IOPTE stays */
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL,
				  BASE + SZ_2M, 1, 16, 1));
	ASSERT_EQ(0, protect(self->fd, self->id, BASE + PG, PG,
			     IOASID_MAP_READ | IOASID_MAP_SPLIT));
	EXPECT_EQ(0, hammer_stop(&self->dev, 1));
	ASSERT_EQ(3, mappings(self->fd, self->id, e, 4));
	EXPECT_EQ(PG, e[0].pgsizes);
	EXPECT_EQ(PG | SZ_2M, e[2].pgsizes);
	EXPECT_TRUE(can_write(&self->dev, BASE, 1));
	EXPECT_FALSE(can_write(&self->dev, BASE + PG, 1));
	EXPECT_TRUE(can_write(&self->dev, BASE + 2 * PG, 1));
	EXPECT_TRUE(can_write(&self->dev, BASE + SZ_2M - 8, 1));
	EXPECT_TRUE(can_write(&self->dev, BASE + SZ_2M, 1));
}

TEST_F(change, protect_refused)
{
	struct ia_state before, after;
	struct ioasid_query_entry e[8], f[8];
	int n;

	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, 8 * PG,
			     2 * PG));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, BASE + 8 * PG, PG));
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE + 10 * PG, self->mem, PG));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	n = mappings(self->fd, self->id, e, 8);
	EXPECT_EQ(-EINVAL, protect(self->fd, self->id, BASE + PG, PG,
				   IOASID_MAP_READ));
	EXPECT_EQ(BASE + PG, fault);
	EXPECT_EQ(-ENXIO, protect(self->fd, self->id, BASE, 9 * PG,
				  IOASID_MAP_READ));
	EXPECT_EQ(BASE + 8 * PG, fault);
	EXPECT_EQ(-ENXIO, protect(self->fd, self->id, BASE + 9 * PG, 2 * PG,
				  IOASID_MAP_READ));
	EXPECT_EQ(BASE + 9 * PG, fault);
	EXPECT_EQ(-ENXIO, protect(self->fd, self->id, BASE + 10 * PG, 2 * PG,
				  IOASID_MAP_READ));
	EXPECT_EQ(BASE + 11 * PG, fault);
	EXPECT_EQ(-ENOENT, protect(self->fd, self->id + 9, BASE, PG,
				   IOASID_MAP_READ));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	EXPECT_EQ(n, mappings(self->fd, self->id, f, 8));
	EXPECT_EQ(0, memcmp(e, f, n * sizeof(*e)));
	EXPECT_TRUE(can_write(&self->dev, BASE, 1));
}

/* Memory that was pinned for reading is pinned again for writing. */
TEST_F(change, protect_pins_again)
{
	char *mem = ia_mem(4 * PG), *shared;
	__u64 iova = BASE;
	long long pinned;
	int file, status;
	pid_t pid;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ia_map_full(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(mem), 4 * PG, 0, 0, 0, NULL));
	pinned = ia_status("VmPin");
	EXPECT_FALSE(can_write(&self->dev, BASE + PG, 9));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(protect(self->fd, self->id, BASE, 4 * PG, IA_RW) == -EPERM &&
		      fault != BASE ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, protect(self->fd, self->id, BASE + PG, 2 * PG,
			     IA_RW | IOASID_MAP_SPLIT));
	EXPECT_TRUE(can_write(&self->dev, BASE + PG, 9));
	EXPECT_TRUE(can_write(&self->dev, BASE + 2 * PG, 8));
	EXPECT_EQ(9, mem[PG]);
	EXPECT_EQ(8, mem[2 * PG]);
	EXPECT_FALSE(can_write(&self->dev, BASE, 9));
	EXPECT_FALSE(can_write(&self->dev, BASE + 3 * PG, 9));
	mem[0] = 0;
	memset(mem, 5, 8);
	EXPECT_TRUE(can_read(&self->dev, BASE, 5));
	EXPECT_EQ(pinned, ia_status("VmPin"));
	/* memory that may not be written, or is gone */
	ASSERT_EQ(0, mprotect(mem + 3 * PG, PG, PROT_READ));
	EXPECT_EQ(-EFAULT, protect(self->fd, self->id, BASE + 3 * PG, PG,
				   IA_RW));
	EXPECT_EQ(IA_PTR(mem) + 3 * PG, fault);
	EXPECT_EQ(pinned, ia_status("VmPin"));
	EXPECT_FALSE(can_write(&self->dev, BASE + 3 * PG, 9));

	file = memfd_create("change", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, PG));
	iova = BASE + 16 * PG;
	ASSERT_EQ(0, ia_map_file(self->fd, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 file, 0, PG));
	EXPECT_EQ(-EACCES, protect(self->fd, self->id, iova, PG, IA_RW));
	EXPECT_EQ(iova, fault);
	/* REPLACE does this */
	ASSERT_EQ(0, ia_map_file(self->fd, self->id,
				 IA_RW_FIXED | IOASID_MAP_REPLACE, &iova, file,
				 0, PG));
	EXPECT_TRUE(can_write(&self->dev, iova, 3));
	shared = mmap(NULL, PG, PROT_READ, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, shared);
	EXPECT_EQ(3, shared[0]);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	munmap(shared, PG);
	munmap(mem, 4 * PG);
	close(file);
}

/* --- REPLACE --- */

/* Cut the same memory in other ways: no access may fail. */
TEST_F(change, replace_same)
{
	struct ioasid_query_entry e[16];
	int i, n;

	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, SZ_2M,
			     SZ_64K));
	ASSERT_EQ(0, model_hammer(&self->dev, CHANNEL, IOASID_MODEL_FILL, BASE,
				  1, PAGES, 2));
	for (n = 0; n < 10; n++) {
		/* eight, then four over two each, then one */
		for (i = 0; i < 8; i++)
			ASSERT_EQ(0, replace(self->fd, self->id,
					     BASE + i * SZ_2M / 8,
					     self->mem + i * SZ_2M / 8,
					     SZ_2M / 8, IA_RW, SZ_64K));
		EXPECT_EQ(8, mappings(self->fd, self->id, e, 16));
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, replace(self->fd, self->id,
					     BASE + (2 * i + 1) * SZ_2M / 8,
					     self->mem +
						     (2 * i + 1) * SZ_2M / 8,
					     SZ_2M / 4, IA_RW, SZ_64K));
		EXPECT_EQ(5, mappings(self->fd, self->id, e, 16));
		/* from the middle of some */
		ASSERT_EQ(0, replace(self->fd, self->id, BASE + SZ_64K,
				     self->mem + SZ_64K, SZ_2M - 2 * SZ_64K,
				     IA_RW, SZ_64K));
		EXPECT_EQ(3, mappings(self->fd, self->id, e, 16));
		EXPECT_EQ(SZ_2M - 2 * SZ_64K, e[1].length);
		ASSERT_EQ(0, replace(self->fd, self->id, BASE, self->mem,
				     SZ_2M, IA_RW, SZ_64K));
		EXPECT_EQ(1, mappings(self->fd, self->id, e, 16));
	}
	EXPECT_EQ(0, hammer_stop(&self->dev, CHANNEL));
	EXPECT_TRUE(model_pattern_holds(self->mem, 1, BASE, SZ_2M));
}

/* A hole in guest RAM comes and goes: the RAM around it stays. */
TEST_F(change, replace_middle)
{
	const __u64 at = 8 * SZ_64K;
	long long pinned;
	int n;

	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, SZ_2M,
			     SZ_64K));
	pinned = ia_status("VmPin");
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, BASE, 1,
				  at / PG, 1));
	ASSERT_EQ(0, model_hammer(&self->dev, 2, IOASID_MODEL_FILL,
				  BASE + at + SZ_64K, 1,
				  (SZ_2M - at - SZ_64K) / PG, 1));
	for (n = 0; n < 20; n++) {
		ASSERT_EQ(0, replace(self->fd, self->id, BASE + at, self->other,
				     SZ_64K, IA_RW, SZ_64K));
		memset(self->mem + at, 1, PG);
		EXPECT_TRUE(can_write(&self->dev, BASE + at, 100 + n));
		EXPECT_EQ(100 + n, self->other[0]);
		EXPECT_EQ(1, self->mem[at]);
		EXPECT_EQ(pinned, ia_status("VmPin"));
		ASSERT_EQ(0, replace(self->fd, self->id, BASE + at,
				     self->mem + at, SZ_64K, IOASID_MAP_READ,
				     SZ_64K));
		EXPECT_FALSE(can_write(&self->dev, BASE + at, 5));
		EXPECT_EQ(1, self->mem[at]);
		EXPECT_EQ(100 + n, self->other[0]);
	}
	/* all at once, with the neighbours on either side */
	ASSERT_EQ(0, replace(self->fd, self->id, BASE, self->mem, SZ_2M, IA_RW,
			     SZ_64K));
	EXPECT_EQ(0, hammer_stop(&self->dev, 1));
	EXPECT_EQ(0, hammer_stop(&self->dev, 2));
	EXPECT_EQ(1, mappings(self->fd, self->id, NULL, 0));
	EXPECT_EQ(pinned, ia_status("VmPin"));
	EXPECT_TRUE(model_pattern_holds(self->mem, 1, BASE, at));
	EXPECT_TRUE(can_write(&self->dev, BASE + at, 6));
	EXPECT_EQ(6, self->mem[at]);
}

/* Several mappings, holes, and an end beyond all of them */
TEST_F(change, replace_over_holes)
{
	struct ioasid_query_entry e[4];
	long long pinned = ia_status("VmPin");
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->id, BASE + (4 * i + 1) * PG,
				    self->mem + (4 * i + 1) * PG, PG));
	/* mappings that stay */
	ASSERT_EQ(0, model_hammer(&self->dev, CHANNEL, IOASID_MODEL_FILL,
				  BASE + PG, 3, 1, 1));
	ASSERT_EQ(0, replace(self->fd, self->id, BASE, self->mem, 64 * PG,
			     IA_RW, PG));
	EXPECT_EQ(0, hammer_stop(&self->dev, CHANNEL));
	ASSERT_EQ(1, mappings(self->fd, self->id, e, 4));
	EXPECT_EQ(BASE, e[0].iova);
	EXPECT_EQ(64 * PG, e[0].length);
	ASSERT_EQ(0, model_fill(&self->dev, BASE, 9, 64));
	EXPECT_TRUE(model_pattern_holds(self->mem, 9, BASE, 64 * PG));
	/* a range with no mapping */
	ASSERT_EQ(0, replace(self->fd, self->id, BASE + SZ_1G, self->other, PG,
			     IA_RW, 0));
	EXPECT_TRUE(can_write(&self->dev, BASE + SZ_1G, 4));
	/* and the neighbours are unchanged */
	EXPECT_FALSE(can_write(&self->dev, BASE + 64 * PG, 4));
	EXPECT_FALSE(can_write(&self->dev, BASE - PG, 4));
	EXPECT_EQ(pinned + 65 * (long long)PG / 1024, ia_status("VmPin"));
	/* the last page that the device can use, and of the space */
	for (i = 0; i < 2; i++) {
		__u64 end = i ? 0 : 1ULL << 48;
		__u32 id = self->id;

		if (i)
			ASSERT_EQ(0, ia_alloc(self->fd, &id));
		ASSERT_EQ(0, replace(self->fd, id, end - SZ_2M, self->other,
				     SZ_2M, IA_RW, 0));
		ASSERT_EQ(0, replace(self->fd, id, end - PG, self->mem, PG,
				     IA_RW | IOASID_MAP_SPLIT, 0));
		EXPECT_EQ(i ? 2 : 4, mappings(self->fd, id, e, 4));
		if (!i) {
			EXPECT_TRUE(can_write(&self->dev, end - PG, 8));
			EXPECT_TRUE(can_write(&self->dev, end - 2 * PG, 9));
			EXPECT_EQ(8, self->mem[0]);
			EXPECT_EQ(9, self->other[SZ_2M - 2 * PG]);
		}
		ASSERT_EQ(0, ia_unmap_all(self->fd, id, NULL));
	}
	EXPECT_EQ(-EINVAL, replace(self->fd, self->id, -SZ_2M, self->other,
				   SZ_2M, IA_RW, 0));
	EXPECT_EQ(pinned, ia_status("VmPin"));
}

/* In the middle of a large IOPTE: the rest of it stays as it was. */
TEST_F(change, replace_split)
{
	struct ioasid_query_entry e[4];

	if (!self->huge)
		SKIP(return, "no huge pages");
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE, self->mem, 2 * SZ_2M));
	EXPECT_EQ(-EINVAL, replace(self->fd, self->id, BASE + PG, self->other,
				   PG, IA_RW, 0));
	EXPECT_EQ(1, mappings(self->fd, self->id, e, 4));
	EXPECT_EQ(SZ_2M, e[0].pgsizes);
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL,
				  BASE + SZ_2M, 1, 16, 1));
	ASSERT_EQ(0, replace(self->fd, self->id, BASE + 5 * PG, self->other,
			     3 * PG, IA_RW | IOASID_MAP_SPLIT, 0));
	EXPECT_EQ(0, hammer_stop(&self->dev, 1));
	ASSERT_EQ(3, mappings(self->fd, self->id, e, 4));
	EXPECT_EQ(PG, e[0].pgsizes);
	EXPECT_EQ(PG, e[1].pgsizes);
	EXPECT_EQ(PG | SZ_2M, e[2].pgsizes);
	ASSERT_EQ(0, model_fill(&self->dev, BASE, 4, PAGES + 1));
	EXPECT_TRUE(model_pattern_holds(self->mem, 4, BASE, 5 * PG));
	EXPECT_TRUE(model_pattern_holds(self->other, 4, BASE + 5 * PG, 3 * PG));
	EXPECT_TRUE(model_pattern_holds(self->mem + 8 * PG, 4, BASE + 8 * PG,
					SZ_2M - 7 * PG));
	/* large again */
	ASSERT_EQ(0, replace(self->fd, self->id, BASE, self->mem, 2 * SZ_2M,
			     IA_RW, 0));
	ASSERT_EQ(1, mappings(self->fd, self->id, e, 4));
	EXPECT_EQ(SZ_2M, e[0].pgsizes);
	ASSERT_EQ(0, model_fill(&self->dev, BASE, 5, PAGES));
	EXPECT_TRUE(model_pattern_holds(self->mem, 5, BASE, SZ_2M));
}

TEST_F(change, replace_refused)
{
	struct ioasid_query_entry e[8], f[8];
	struct ia_state before, after;
	int n;

	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, 8 * PG,
			     2 * PG));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, BASE + 8 * PG, PG));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	n = mappings(self->fd, self->id, e, 8);
	EXPECT_EQ(-EINVAL, replace(self->fd, self->id, BASE + PG, self->other,
				   PG, IA_RW, 0));
	EXPECT_EQ(-EEXIST, replace(self->fd, self->id, BASE, self->other,
				   SZ_64K, IA_RW, 0));
	EXPECT_EQ(BASE + 8 * PG, fault);
	EXPECT_EQ(-EFAULT, replace(self->fd, self->id, BASE, (void *)PG,
				   8 * PG, IA_RW, 0));
	EXPECT_EQ(PG, fault);
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	EXPECT_EQ(n, mappings(self->fd, self->id, f, 8));
	EXPECT_EQ(0, memcmp(e, f, n * sizeof(*e)));
	EXPECT_TRUE(can_write(&self->dev, BASE, 1));
}

/*
 * Fail each write of the table in turn: the old state is restored, and works.
 */
TEST_F(change, driver_fails)
{
	struct ioasid_query_entry e[4], f[4];
	struct ia_state before, after;
	int nth, pages, rc, failed = 0;

	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, 16 * PG,
			     2 * PG));
	ASSERT_EQ(0, ia_map(self->fd, self->id, BASE + 24 * PG,
			    self->mem + 24 * PG, 8 * PG));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	ASSERT_EQ(2, mappings(self->fd, self->id, e, 4));
	ASSERT_EQ(0, model_hammer(&self->dev, CHANNEL, IOASID_MODEL_FILL, BASE,
				  2, 2, 1));
	for (pages = 0; pages < 2; pages++) {
		for (nth = 1; ; nth++) {
			ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP,
						  nth, pages));
			rc = replace(self->fd, self->id, BASE + 4 * PG,
				     self->other, 24 * PG,
				     IA_RW | IOASID_MAP_SPLIT, 2 * PG);
			if (!rc)
				break;
			failed++;
			ASSERT_EQ(-ENOMEM, rc);
			ASSERT_EQ(0, ia_state_read(self->fd, &after));
			EXPECT_EQ(NULL, ia_state_diff(&before, &after));
			ASSERT_EQ(2, mappings(self->fd, self->id, f, 4));
			EXPECT_EQ(0, memcmp(e, f, 2 * sizeof(*e)));
			ASSERT_EQ(0, model_fill(&self->dev, BASE, nth, 16));
			EXPECT_TRUE(model_pattern_holds(self->mem + 2 * PG, nth,
							BASE + 2 * PG,
							14 * PG));
			ASSERT_EQ(0, model_fill(&self->dev, BASE + 24 * PG, nth,
						8));
			EXPECT_TRUE(model_pattern_holds(self->mem + 24 * PG,
							nth, BASE + 24 * PG,
							8 * PG));
			EXPECT_FALSE(can_write(&self->dev, BASE + 16 * PG, 1));
		}
		ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 0, 0));
		ASSERT_EQ(0, ia_unmap_full(self->fd, self->id, 0, BASE + 4 * PG,
					   24 * PG, NULL));
		ASSERT_EQ(0, replace(self->fd, self->id, BASE, self->mem,
				     16 * PG, IA_RW, 2 * PG));
		ASSERT_EQ(0, replace(self->fd, self->id, BASE + 24 * PG,
				     self->mem + 24 * PG, 8 * PG, IA_RW, 0));
		ASSERT_EQ(0, ia_state_read(self->fd, &after));
		EXPECT_EQ(NULL, ia_state_diff(&before, &after));
	}
	EXPECT_EQ(0, hammer_stop(&self->dev, CHANNEL));
	EXPECT_LT(10, failed);

	for (nth = 1; ; nth++) {
		ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, nth, 0));
		rc = protect(self->fd, self->id, BASE + 2 * PG, 12 * PG,
			     IOASID_MAP_READ);
		if (!rc)
			break;
		ASSERT_EQ(-ENOMEM, rc);
		ASSERT_EQ(2, mappings(self->fd, self->id, f, 4));
		ASSERT_EQ(0, model_fill(&self->dev, BASE, nth, 16));
	}
	EXPECT_LT(4, nth);
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 0, 0));
}

/* A second domain gets the same changes, and a third device all of them. */
TEST_F(change, two_domains)
{
	struct model_params params = { .unit = 77, .page_sizes = PG };
	struct model_device second;
	int nth, rc;

	ASSERT_EQ(0, model_plug(&self->model, &second, &params, 0));
	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, 16 * PG, PG));
	ASSERT_EQ(0, model_attach(&second, &self->space));
	for (nth = 1; ; nth++) {
		/* so that the first domain has to be restored */
		ASSERT_EQ(0, model_inject(&second, MODEL_INJECT_MAP, nth, 0));
		rc = replace(self->fd, self->id, BASE + 4 * PG, self->other,
			     8 * PG, IA_RW, PG);
		if (!rc)
			break;
		ASSERT_EQ(-ENOMEM, rc);
		ASSERT_EQ(0, model_fill(&self->dev, BASE, nth, 16));
		EXPECT_TRUE(model_pattern_holds(self->mem, nth, BASE, 16 * PG));
		ASSERT_EQ(0, model_fill(&second, BASE, nth + 1000, 16));
		EXPECT_TRUE(model_pattern_holds(self->mem, nth + 1000, BASE,
						16 * PG));
	}
	EXPECT_LT(1, nth);
	ASSERT_EQ(0, model_inject(&second, MODEL_INJECT_MAP, 0, 0));
	ASSERT_EQ(0, model_fill(&self->dev, BASE, 7, 16));
	EXPECT_TRUE(model_pattern_holds(self->other, 7, BASE + 4 * PG, 8 * PG));
	ASSERT_EQ(0, model_fill(&second, BASE, 8, 16));
	EXPECT_TRUE(model_pattern_holds(self->other, 8, BASE + 4 * PG, 8 * PG));
	EXPECT_TRUE(model_pattern_holds(self->mem, 8, BASE, 4 * PG));
	EXPECT_NO_HARM(&second);
	model_release(&second);
	EXPECT_EQ(0, model_unplug(&second, 0));
}

/* The domain is poisoned: pages that it may reach stay pinned. */
TEST_F(change, poisoned)
{
	long long pinned;
	int rc;

	ASSERT_EQ(0, map_cut(self->fd, self->id, BASE, self->mem, 16 * PG, PG));
	pinned = ia_status("VmPin");
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	rc = replace(self->fd, self->id, BASE, self->other, 16 * PG, IA_RW, PG);
	EXPECT_EQ(-EIO, rc);
	EXPECT_LE(pinned, ia_status("VmPin"));
	EXPECT_FALSE(can_write(&self->dev, BASE, 1));
	EXPECT_EQ(-EIO, replace(self->fd, self->id, BASE, self->other, PG,
				IA_RW, PG));
	EXPECT_EQ(-EIO, protect(self->fd, self->id, BASE, PG, IOASID_MAP_READ));
	ASSERT_EQ(0, model_detach(&self->dev));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_TRUE(can_write(&self->dev, BASE, 1));
	EXPECT_EQ(1, self->mem[0]);
	EXPECT_EQ(pinned, ia_status("VmPin"));
}

/* --- with concurrent commands --- */

struct worker {
	int fd;
	__u32 id;
	char *mem;
	char *other;
	bool stop;
	unsigned long rounds;
	unsigned long bad;
	int error;
};

static bool stopped(struct worker *w)
{
	return __atomic_load_n(&w->stop, __ATOMIC_RELAXED);
}

static void *worker_replace(void *data)
{
	struct worker *w = data;
	int rc;

	while (!stopped(w)) {
		w->rounds++;
		rc = replace(w->fd, w->id, BASE + 8 * PG, w->other, 16 * PG,
			     IA_RW, PG);
		w->bad += rc && rc != -ECANCELED;
		rc = replace(w->fd, w->id, BASE, w->mem, 64 * PG, IA_RW, PG);
		w->bad += rc && rc != -ECANCELED;
	}
	return NULL;
}

static void *worker_protect(void *data)
{
	struct worker *w = data;
	int rc;

	while (!stopped(w)) {
		w->rounds++;
		rc = protect(w->fd, w->id, BASE + 4 * PG, 8 * PG,
			     w->rounds & 1 ? IOASID_MAP_READ : IA_RW);
		w->bad += rc && rc != -ENXIO;
	}
	return NULL;
}

static void *worker_unmap(void *data)
{
	struct worker *w = data;
	int rc;

	while (!stopped(w)) {
		w->rounds++;
		rc = ia_unmap(w->fd, w->id, BASE + (w->rounds % 60) * PG,
			      4 * PG, NULL);
		if (rc)
			w->error = rc;
		w->bad += !!rc;
		rc = map_cut(w->fd, w->id, BASE + (w->rounds % 64) * PG, w->mem,
			     PG, PG);
		if (rc && rc != -EEXIST && rc != -ECANCELED) {
			w->error = rc - 1000;
			w->bad++;
		}
	}
	return NULL;
}

static void *worker_look(void *data)
{
	struct ioasid_query_entry e[64];
	struct worker *w = data;
	__u64 start;
	int n, i;

	while (!stopped(w)) {
		w->rounds++;
		n = mappings(w->fd, w->id, e, 64);
		w->bad += n < 0;
		for (i = 0, start = 0; i < n && i < 64; i++) {
			w->bad += e[i].iova < start || !e[i].length;
			start = e[i].iova;
		}
	}
	return NULL;
}

TEST_F(change, all_at_once)
{
	static void *(* const work[])(void *) = {
		worker_replace, worker_protect, worker_unmap, worker_look,
	};
	struct worker w[ARRAY_SIZE(work)];
	pthread_t thread[ARRAY_SIZE(work)];
	struct model_device second;
	struct ioasid_info info;
	__u64 deadline;
	unsigned int i;

	ASSERT_EQ(0, model_plug(&self->model, &second, NULL, 0));
	ASSERT_EQ(0, model_hammer(&self->dev, CHANNEL, IOASID_MODEL_FILL, BASE,
				  1, 64, 2));
	for (i = 0; i < ARRAY_SIZE(work); i++) {
		w[i] = (struct worker) {
			.fd = self->fd, .id = self->id, .mem = self->mem,
			.other = self->other,
		};
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, work[i], &w[i]));
	}
	deadline = ia_now_ms() + (ia_slow_kernel() ? 6000 : 4000);
	while (ia_now_ms() < deadline) {
		ASSERT_EQ(0, model_attach(&second, &self->space));
		ASSERT_EQ(0, model_detach(&second));
	}
	for (i = 0; i < ARRAY_SIZE(work); i++) {
		__atomic_store_n(&w[i].stop, true, __ATOMIC_RELAXED);
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, w[i].bad)
			TH_LOG("worker %u: %lu of %lu, %d", i, w[i].bad,
			       w[i].rounds, w[i].error);
		EXPECT_LT(0, w[i].rounds);
	}
	ASSERT_EQ(0, model_stop(&self->dev, CHANNEL, NULL));
	EXPECT_NO_HARM(&second);
	model_release(&second);
	EXPECT_EQ(0, model_unplug(&second, 0));
	/* and the rest is consistent */
	ASSERT_EQ(0, replace(self->fd, self->id, BASE, self->mem, 64 * PG,
			     IA_RW, PG));
	ASSERT_EQ(0, model_fill(&self->dev, BASE, 3, 64));
	EXPECT_TRUE(model_pattern_holds(self->mem, 3, BASE, 64 * PG));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(64 * PG, info.bytes_mapped);
	EXPECT_EQ(64 * PG, info.bytes_pinned);
	EXPECT_EQ(1, info.nr_mappings);
}

TEST_HARNESS_MAIN
