// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA of real devices through an IOASID. Data that the device writes must be in
 * memory, data that it reads must come from there, and its writes to unmapped
 * IOVAs must change no memory.
 */
#include "ioasid_test.h"
#include "dut.h"

#define NR_PAGES 64
#define NR_RANGES 32
#define MAX_SPACES 16

struct ranges {
	struct ioasid_iova_range range[NR_RANGES];
	__u32 nr;
};

static int get_ranges(int ctx, __u32 id, struct ranges *r)
{
	struct ioasid_info info = {
		.argsz = sizeof(info),
		.ioasid = id,
		.nr_ranges = NR_RANGES,
		.ranges = IA_PTR(r->range),
	};
	int rc = ia_cmd(ctx, IOASID_GET_INFO, &info);

	r->nr = info.nr_ranges;
	return rc;
}

static int get_device_ranges(int ctx, __u32 devid, struct ranges *r)
{
	struct ioasid_device_info info = {
		.argsz = sizeof(info),
		.devid = devid,
		.nr_ranges = NR_RANGES,
		.ranges = IA_PTR(r->range),
	};
	int rc = ia_cmd(ctx, IOASID_DEVICE_GET_INFO, &info);

	r->nr = info.nr_ranges;
	return rc;
}

static bool permitted(const struct ranges *r, __u64 start, __u64 last)
{
	__u32 i;

	for (i = 0; i < r->nr; i++)
		if (start >= r->range[i].start && last <= r->range[i].last)
			return true;
	return false;
}

/* The first IOVA above the first permitted range; 0 if there is none. */
static __u64 first_hole(const struct ranges *r)
{
	return r->range[0].last + 1;
}

static void *huge_memory(size_t length)
{
	void *p = ia_mem_aligned(length, SZ_2M);

	if (p) {
		madvise(p, length, MADV_HUGEPAGE);
		memset(p, 1, length);
	}
	return p;
}

FIXTURE(hw_dma)
{
	int ctx;
	__u32 id;
	struct dut dut;
	char *mem;
};

FIXTURE_VARIANT(hw_dma)
{
	const struct engine *engine;
};

FIXTURE_VARIANT_ADD(hw_dma, edu) { .engine = &engine_edu, };
FIXTURE_VARIANT_ADD(hw_dma, nvme) { .engine = &engine_nvme, };
FIXTURE_VARIANT_ADD(hw_dma, e1000e) { .engine = &engine_e1000e, };

FIXTURE_SETUP(hw_dma)
{
	int rc;

	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	/*
	 * Its resets take most of the time, and the kernel does not know it
	 * apart
	 */
	if (ia_slow_kernel() && variant->engine == &engine_e1000e)
		SKIP(return, "slow, and like the others");
	rc = dut_open(&self->dut, variant->engine, 0, 0);
	if (rc == -ENOENT)
		SKIP(return, "no %s behind an IOMMU", variant->engine->name);
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(NR_PAGES * page_size);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, NR_PAGES * page_size);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 0x1234));
}

FIXTURE_TEARDOWN(hw_dma)
{
	dut_close(&self->dut);
	close(self->ctx);
}

#define ATTACH() ASSERT_EQ(0, dut_attach(&self->dut, self->id))

TEST_F(hw_dma, map)
{
	char *a = self->mem, *b = self->mem + page_size;

	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M, b,
			    page_size));
	dut_fill(a, DUT_LEN, 1);
	ASSERT_EQ(0, dut_load(&self->dut, TEST_IOVA, DUT_LEN));
	ASSERT_EQ(0, dut_store(&self->dut, TEST_IOVA + SZ_1M, DUT_LEN));
	ASSERT_TRUE(dut_holds(b, DUT_LEN, 1));
	ASSERT_TRUE(dut_holds(a, DUT_LEN, 1));
	/* the bytes after it are not the device's */
	ASSERT_EQ(0, b[DUT_LEN]);
	/* not from the start of the page */
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + 512, a + 512));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + page_size - DUT_LEN,
				a + page_size - DUT_LEN));
}

/* Two pages that are neighbours for the device only. */
TEST_F(hw_dma, neighbours)
{
	char *a = self->mem, *b = self->mem + 7 * page_size;

	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + page_size, b,
			    page_size));
	ASSERT_EQ(0, dut_put(&self->dut, TEST_IOVA + page_size - 1024, 3));
	dut_fill(self->mem + page_size, DUT_LEN, 3);
	ASSERT_EQ(0, memcmp(a + page_size - 1024, self->mem + page_size, 1024));
	ASSERT_EQ(0, memcmp(b, self->mem + page_size + 1024, 1024));
}

TEST_F(hw_dma, unmap)
{
	char *a = self->mem;
	__u64 unmapped;

	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, page_size,
			      &unmapped));
	ASSERT_EQ(page_size, unmapped);
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, a));
	dut_fill(a, DUT_LEN, 5);
	ASSERT_FALSE(dut_sees(&self->dut, TEST_IOVA, 5));
	/* and where no memory was ever mapped */
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + SZ_2M, a));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, &unmapped));
	ASSERT_EQ(page_size + self->dut.ctrl_size, unmapped);
	ASSERT_TRUE(dut_blocked(&self->dut, TEST_IOVA, a));
}

/* New memory at an IOVA shows an IOTLB that keeps the old entry. */
TEST_F(hw_dma, remap)
{
	int i, n = variant->engine->slow ? 4 : 100;
	char *a, *b;

	ATTACH();
	for (i = 0; i < n; i++) {
		a = self->mem + i % (NR_PAGES - 1) * page_size;
		b = a + page_size;
		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a,
				    page_size));
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA,
				      page_size, NULL));
		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, b,
				    page_size));
		ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, a));
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, b));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA,
				      page_size, NULL));
	}
}

/* Large pages are replaced by small ones, and come back. */
TEST_F(hw_dma, remap_sizes)
{
	char *huge = huge_memory(SZ_2M);
	char *a = self->mem;
	int i;

	ASSERT_NE(NULL, huge);
	ATTACH();
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, huge,
				    SZ_2M));
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_1M,
					huge + SZ_1M));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, SZ_2M,
				      NULL));
		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M, a,
				    page_size));
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_1M, a));
		ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, huge));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, SZ_2M,
				      NULL));
	}
}

TEST_F(hw_dma, read_only)
{
	__u64 iova = TEST_IOVA;
	char *a = self->mem;

	ATTACH();
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(a), page_size, 0, 0, 0, NULL));
	dut_fill(a, DUT_LEN, 11);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 11));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, a));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, iova, page_size, NULL));
	/* the same page for both */
	ASSERT_EQ(0, ia_map(self->ctx, self->id, iova, a, page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
}

TEST_F(hw_dma, write_only)
{
	__u64 iova = TEST_IOVA;
	char *a = self->mem;

	ATTACH();
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_WRITE | IOASID_MAP_FIXED, &iova,
				 IA_PTR(a), page_size, 0, 0, 0, NULL));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
}

/*
 * Memory that was only read, or never touched, when it was mapped for reading:
 * the device reads later writes of the process.
 */
TEST_F(hw_dma, read_only_unshared)
{
	__u64 iova = TEST_IOVA;
	char *a, *b;

	a = ia_mem(page_size);
	b = ia_mem(page_size);
	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	/* the zero page */
	ASSERT_EQ(0, __atomic_load_n(a, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(a), page_size, 0, 0, 0, NULL));
	iova += page_size;
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(b), page_size, 0, 0, 0, NULL));
	ATTACH();
	dut_fill(a, DUT_LEN, 21);
	dut_fill(b, DUT_LEN, 22);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 21));
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA + page_size, 22));
}

/* After a fork the parent writes to its own page: the one that is pinned. */
TEST_F(hw_dma, fork)
{
	char *a = self->mem;
	int status;
	pid_t pid;

	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	dut_fill(a, DUT_LEN, 31);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* the child's copy is its own */
		dut_fill(a, DUT_LEN, 32);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 31));
	dut_fill(a, DUT_LEN, 33);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 33));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
}

/* The device keeps access when the process has unmapped the pages. */
TEST_F(hw_dma, munmap)
{
	char *a = ia_mem(page_size);

	ASSERT_NE(NULL, a);
	dut_fill(a, DUT_LEN, 41);
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	ATTACH();
	munmap(a, page_size);
	memset(ia_mem(SZ_1M), 0x5a, SZ_1M);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 41));
	ASSERT_EQ(0, dut_put(&self->dut, TEST_IOVA, 42));
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 42));
}

TEST_F(hw_dma, maps_before_attach)
{
	int i;

	for (i = 0; i < NR_PAGES; i++) {
		char *p = self->mem + i * page_size;

		dut_fill(p, DUT_LEN, 100 + i);
		ASSERT_EQ(0, ia_map(self->ctx, self->id,
				    TEST_IOVA + i * 3 * page_size, p,
				    page_size));
	}
	/* a map that was not undone */
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA + 15 * page_size,
			      page_size, NULL));
	ATTACH();
	for (i = 0; i < NR_PAGES; i += variant->engine->slow ? 21 : 1) {
		if (i == 5)
			continue;
		ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA + i * 3 * page_size,
				     100 + i));
	}
	ASSERT_FALSE(dut_sees(&self->dut, TEST_IOVA + 15 * page_size, 105));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + 15 * page_size,
			       self->mem + 5 * page_size));
}

/* One unmap over mappings and the holes between them. */
TEST_F(hw_dma, unmap_range)
{
	__u64 unmapped;
	int i;

	ATTACH();
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ia_map(self->ctx, self->id,
				    TEST_IOVA + i * 2 * page_size,
				    self->mem + i * page_size, page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + 6 * page_size,
				self->mem + 3 * page_size));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA + page_size,
			      12 * page_size, &unmapped));
	ASSERT_EQ(6 * page_size, unmapped);
	for (i = 0; i < 8; i++) {
		__u64 iova = TEST_IOVA + i * 2 * page_size;
		char *p = self->mem + i * page_size;

		if (variant->engine->slow && i > 3 && i < 7)
			continue;
		if (i && i < 7)
			ASSERT_TRUE(dut_misses(&self->dut, iova, p));
		if (!i || i == 7)
			ASSERT_TRUE(dut_reaches(&self->dut, iova, p));
	}
}

/* A device that is bound, but not attached, reaches no memory. */
TEST_F(hw_dma, blocked)
{
	__u64 phys;

	if (variant->engine != &engine_edu)
		SKIP(return, "it has to reach its queues");
	mlock(self->mem, page_size);
	phys = ia_pfn(self->mem) * page_size;
	ASSERT_NE(0, phys);
	/* before it ever attaches: any contents of its memory will do */
	ASSERT_EQ(0, engine_edu.start(&self->dut));
	self->dut.started = true;
	ASSERT_TRUE(dut_blocked(&self->dut, phys, self->mem));
	ASSERT_TRUE(dut_blocked(&self->dut, TEST_IOVA, self->mem));
	ASSERT_TRUE(dut_blocked(&self->dut, dut_ctrl(&self->dut),
				self->dut.ctrl));
	ATTACH();
	ASSERT_EQ(0, dut_prime(&self->dut, 51));
	ASSERT_TRUE(dut_blocked(&self->dut, phys, self->mem));
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	ASSERT_TRUE(dut_blocked(&self->dut, phys, self->mem));
	ASSERT_TRUE(dut_blocked(&self->dut, dut_ctrl(&self->dut),
				self->dut.ctrl));
}

TEST_F(hw_dma, detach)
{
	int i;

	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	for (i = 0; i < 3; i++) {
		struct ioasid_info info;

		ATTACH();
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
		ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
		ASSERT_EQ(IOASID_STATE_ATTACHED, info.state);
		ASSERT_EQ(1, info.nr_devices);
		ASSERT_EQ(-EBUSY, ia_free(self->ctx, self->id));
		ASSERT_EQ(0, hw_detach(self->dut.fd, i ? self->id : 0));
		ASSERT_TRUE(dut_blocked(&self->dut, TEST_IOVA, self->mem));
		ASSERT_EQ(-ENOENT, hw_detach(self->dut.fd, self->id));
		ASSERT_EQ(-ENOENT, hw_detach(self->dut.fd, 0));
		ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
		ASSERT_EQ(0, info.state);
		ASSERT_EQ(0, info.nr_devices);
		ASSERT_EQ(page_size + self->dut.ctrl_size, info.bytes_mapped);
	}
	ASSERT_EQ(0, ia_free(self->ctx, self->id));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, self->id));
}

/* Mapped and unmapped while the device was detached. */
TEST_F(hw_dma, detach_changes)
{
	char *a = self->mem, *b = a + page_size, *c = b + page_size;

	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M, c,
			    page_size));
	ATTACH();
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, page_size,
			      NULL));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, b, page_size));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA + SZ_1M,
			      page_size, NULL));
	ATTACH();
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, a));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, b));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + SZ_1M, c));
}

TEST_F(hw_dma, replace)
{
	char *a = self->mem, *b = a + page_size;
	struct ioasid_device_info dev;
	struct ioasid_info info;
	__u32 other;
	int i;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, other));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, a, page_size));
	ASSERT_EQ(0, ia_map(self->ctx, other, TEST_IOVA, b, page_size));
	for (i = 0; i < 2; i++) {
		ATTACH();
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, a));
		ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, b));
		/* to the IOASID that it is attached to */
		ATTACH();
		ASSERT_EQ(0, dut_attach(&self->dut, other));
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, b));
		ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, a));
		ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
		ASSERT_EQ(0, info.nr_devices);
		ASSERT_EQ(0, info.state);
		ASSERT_EQ(0, ia_info(self->ctx, other, &info));
		ASSERT_EQ(1, info.nr_devices);
		ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &dev));
		ASSERT_EQ(other, dev.ioasid);
		ASSERT_EQ(-ENOENT, hw_detach(self->dut.fd, self->id));
	}
	ASSERT_EQ(0, ia_free(self->ctx, self->id));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, b));
}

TEST_F(hw_dma, many_spaces)
{
	int i, n = variant->engine->slow ? 4 : MAX_SPACES;
	__u32 ids[MAX_SPACES];

	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, ia_alloc(self->ctx, &ids[i]));
		ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, ids[i]));
		ASSERT_EQ(0, ia_map(self->ctx, ids[i], TEST_IOVA,
				    self->mem + i * page_size, page_size));
	}
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, dut_attach(&self->dut, ids[i * 7 % n]));
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA,
					self->mem + i * 7 % n * page_size));
	}
}

/* A space with a mapping that this device cannot use. */
TEST_F(hw_dma, conflict)
{
	__u64 hole, fault_addr = 0;
	struct ioasid_info info;
	struct ranges r;
	__u32 other;

	ATTACH();
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &r));
	hole = first_hole(&r);
	if (!hole)
		SKIP(return, "the device can use every IOVA");
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, other));
	ASSERT_EQ(0, ia_map(self->ctx, other, hole - page_size, self->mem,
			    2 * page_size));
	ASSERT_EQ(-EADDRINUSE, hw_attach_full(self->dut.fd, other,
					      &fault_addr));
	ASSERT_EQ(hole, fault_addr);
	/* the device has not moved */
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(1, info.nr_devices);
	ASSERT_EQ(0, ia_info(self->ctx, other, &info));
	ASSERT_EQ(0, info.nr_devices);
	ASSERT_EQ(0, info.state);
	ASSERT_EQ(0, info.nr_domains);
	/* a device that was not attached is not attached now */
	ASSERT_EQ(0, dut_prime(&self->dut, 61));
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	fault_addr = 0;
	ASSERT_EQ(-EADDRINUSE, hw_attach_full(self->dut.fd, other,
					      &fault_addr));
	ASSERT_EQ(hole, fault_addr);
	ASSERT_TRUE(dut_blocked(&self->dut, hole - page_size, self->mem));
	ASSERT_EQ(-ENOENT, hw_detach(self->dut.fd, 0));
	ASSERT_EQ(0, get_ranges(self->ctx, other, &r));
	ASSERT_EQ(1, r.nr);
	ASSERT_EQ(0, r.range[0].start);
	ASSERT_EQ(~0ULL, r.range[0].last);
	/* without that mapping it can */
	ASSERT_EQ(0, ia_unmap(self->ctx, other, hole - page_size,
			      2 * page_size, NULL));
	ASSERT_EQ(0, ia_map(self->ctx, other, hole - page_size, self->mem,
			    page_size));
	/* reserved ranges do not matter, they only limit the kernel's choice */
	ASSERT_EQ(0, ia_reserve(self->ctx, other, hole, page_size));
	ASSERT_EQ(0, dut_attach(&self->dut, other));
	ASSERT_TRUE(dut_reaches(&self->dut, hole - page_size, self->mem));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, 0));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, ~0u));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, self->dut.devid));
	ASSERT_TRUE(dut_reaches(&self->dut, hole - page_size, self->mem));
}

TEST_F(hw_dma, permitted_ranges)
{
	struct ioasid_device_info dev;
	struct ranges before, after;
	char path[128], type[32];
	__u64 start, last, iova;
	unsigned int i;
	FILE *f;

	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &dev));
	ASSERT_EQ(0, get_device_ranges(self->ctx, self->dut.devid, &before));
	ASSERT_EQ(dev.nr_ranges, before.nr);
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &after));
	ASSERT_EQ(1, after.nr);
	ASSERT_EQ(0, after.range[0].start);
	ASSERT_EQ(~0ULL, after.range[0].last);
	ATTACH();
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &after));
	ASSERT_LT(0, after.nr);
	ASSERT_GE(NR_RANGES, after.nr);
	if (!(dev.caps & IOASID_DEVICE_ESTIMATE)) {
		ASSERT_EQ(before.nr, after.nr);
		for (i = 0; i < after.nr; i++) {
			EXPECT_EQ(before.range[i].start, after.range[i].start);
			EXPECT_EQ(before.range[i].last, after.range[i].last);
		}
	}
	for (i = 1; i < after.nr; i++)
		ASSERT_LT(after.range[i - 1].last, after.range[i].start);

	/* regions reserved by the platform are not among them */
	snprintf(path, sizeof(path), HW_PCI "%s/iommu_group/reserved_regions",
		 self->dut.name);
	f = fopen(path, "re");
	ASSERT_NE(NULL, f);
	while (fscanf(f, "%llx %llx %31s", &start, &last, type) == 3) {
		if (!strcmp(type, "direct-relaxable"))
			continue;
		for (i = 0; i < after.nr; i++)
			EXPECT_TRUE(last < after.range[i].start ||
				    start > after.range[i].last);
	}
	fclose(f);

	/* no map outside, or half outside */
	for (i = 0; i < after.nr; i++) {
		__u64 fault_addr = 0;

		iova = after.range[i].last + 1;
		if (!iova)
			continue;
		EXPECT_EQ(-EINVAL, ia_map_full(self->ctx, self->id,
					       IA_RW_FIXED, &iova,
					       IA_PTR(self->mem), page_size, 0,
					       0, 0, &fault_addr));
		EXPECT_EQ(iova, fault_addr);
		fault_addr = 0;
		iova -= page_size;
		EXPECT_EQ(-EINVAL, ia_map_full(self->ctx, self->id,
					       IA_RW_FIXED, &iova,
					       IA_PTR(self->mem),
					       2 * page_size, 0, 0, 0,
					       &fault_addr));
		EXPECT_EQ(iova + page_size, fault_addr);
		/* but up to the last byte */
		EXPECT_EQ(0, ia_map(self->ctx, self->id, iova, self->mem,
				    page_size)) {
			TH_LOG("at 0x%llx", iova);
		}
		EXPECT_TRUE(dut_reaches(&self->dut, iova, self->mem)) {
			TH_LOG("at 0x%llx", iova);
		}
	}
	/* the first page there is */
	iova = after.range[0].start;
	ASSERT_EQ(0, ia_map(self->ctx, self->id, iova, self->mem, page_size));
	/* for e1000e, address 0 stands for no buffer at all */
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 512, self->mem + 512));

	/* device memory stays mapped until the device goes */
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &after));
	ASSERT_EQ(1, after.nr);
	ASSERT_EQ(~0ULL, after.range[0].last);
}

TEST_F(hw_dma, info)
{
	struct ioasid_device_info dev;
	struct ioasid_info info;

	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &dev));
	EXPECT_EQ(0x1234, dev.cookie);
	EXPECT_EQ(hw_group(self->dut.name), dev.group);
	EXPECT_EQ(0, dev.ioasid);
	EXPECT_EQ(0, dev.caps & IOASID_DEVICE_EMULATED);
	EXPECT_NE(0, dev.pgsizes & page_size);
	EXPECT_LE(32, dev.addr_width);
	EXPECT_GE(64, dev.addr_width);
	EXPECT_LE(1, dev.nr_ranges);
	EXPECT_EQ(-ENOENT, ia_device_info(self->ctx, self->id, &dev));
	EXPECT_EQ(-ENOENT, ia_info(self->ctx, self->dut.devid, &info));

	ATTACH();
	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &dev));
	EXPECT_EQ(self->id, dev.ioasid);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(1, info.nr_domains);
	EXPECT_EQ(1, info.nr_devices);
	EXPECT_EQ(IOASID_STATE_ATTACHED, info.state);
	EXPECT_EQ(self->dut.ctrl_size, info.bytes_mapped);
	EXPECT_EQ(self->dut.ctrl_size, info.bytes_pinned);
	EXPECT_NE(0, info.pgsizes & page_size);
	if (!(dev.caps & IOASID_DEVICE_ESTIMATE))
		EXPECT_EQ(dev.pgsizes, info.pgsizes);
	EXPECT_EQ(0, info.waiting_devid);
}

/* The description of the hardware by VFIO and by this interface agree. */
TEST_F(hw_dma, hardware_info)
{
	char buf[256 + 8];
	struct ioasid_device_info dev = {
		.argsz = sizeof(dev),
		.devid = self->dut.devid,
		.hw_len = 256,
		.hw_data = IA_PTR(buf),
	};
	__u32 len, i;

	memset(buf, 0x5a, sizeof(buf));
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_DEVICE_GET_INFO, &dev));
	len = dev.hw_len;
	ASSERT_EQ(!dev.hw_type, !len);
	ASSERT_GE(256, len);
	for (i = len; i < sizeof(buf); i++)
		ASSERT_TRUE(buf[i] == 0x5a || (buf[i] == 0 && i < 256));
	/* no more than there is room for */
	memset(buf, 0x5a, sizeof(buf));
	dev.hw_len = 4;
	dev.nr_ranges = 0;
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_DEVICE_GET_INFO, &dev));
	ASSERT_EQ(len, dev.hw_len);
	for (i = 4; i < sizeof(buf); i++)
		ASSERT_EQ(0x5a, buf[i]);
}

TEST_F(hw_dma, kernel_chosen)
{
	size_t sizes[] = { page_size, 3 * page_size, SZ_64K, SZ_2M, SZ_1M };
	struct ioasid_info info;
	unsigned int i, j;
	struct ranges r;
	__u64 iova[5];
	char *mem;

	mem = huge_memory(4 * SZ_2M);
	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &r));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	for (i = 0; i < 5; i++) {
		__u64 page = page_size, size;
		/* not aligned to more than a page, but for the large one */
		char *p = mem + i * SZ_1M + (i == 3 ? 0 : page_size);

		if (i == 3)
			p = mem + 2 * SZ_2M;
		ASSERT_EQ(0, ia_map_any(self->ctx, self->id, &iova[i], p,
					sizes[i]));
		ASSERT_TRUE(permitted(&r, iova[i], iova[i] + sizes[i] - 1));
		for (size = page_size; size <= sizes[i]; size *= 2)
			if (info.pgsizes & size)
				page = size;
		ASSERT_EQ(IA_PTR(p) % page, iova[i] % page);
		for (j = 0; j < i; j++)
			ASSERT_TRUE(iova[i] + sizes[i] <= iova[j] ||
				    iova[j] + sizes[j] <= iova[i]);
		ASSERT_TRUE(dut_reaches(&self->dut, iova[i], p));
		ASSERT_TRUE(dut_reaches(&self->dut,
					iova[i] + sizes[i] - DUT_LEN,
					p + sizes[i] - DUT_LEN));
	}
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id, IA_RW, &iova[0],
				 IA_PTR(self->mem), page_size, 0, SZ_2M, 0,
				 NULL));
	ASSERT_EQ(0, iova[0] % SZ_2M);
	ASSERT_TRUE(dut_reaches(&self->dut, iova[0], self->mem));
}

TEST_F(hw_dma, thp)
{
	static const __u64 at[] = { 0, SZ_2M - 1024, SZ_2M, 3 * SZ_2M - 1024,
				    8 * SZ_2M - DUT_LEN };
	char *mem = huge_memory(8 * SZ_2M);
	unsigned int i;

	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, mem, 8 * SZ_2M));
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + at[i],
					mem + at[i]));
	/* in the middle of the device's large pages, not of memory's */
	ASSERT_EQ(0, ia_map(self->ctx, self->id,
			    TEST_IOVA + 16 * SZ_2M + page_size, mem,
			    8 * SZ_2M));
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + 16 * SZ_2M +
					page_size + at[i], mem + at[i]));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, 8 * SZ_2M,
			      NULL));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + SZ_2M, mem + SZ_2M));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + 17 * SZ_2M + page_size,
				mem + SZ_2M));
}

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

TEST_F(hw_dma, bind_and_attach)
{
	__u64 hole, fault_addr = 0;
	struct dut dut;
	struct ranges r;
	__u32 other;
	int rc;

	ATTACH();
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &r));
	dut_close(&self->dut);
	ASSERT_EQ(-ENOENT, ia_device_info(self->ctx, self->dut.devid,
					  &(struct ioasid_device_info){}));

	rc = dut_open(&dut, variant->engine, 0, 1);
	ASSERT_EQ(0, rc);
	self->dut = dut;
	ASSERT_EQ(0, dut_admit(&dut, self->ctx, self->id));
	/* a bind that cannot attach binds nothing */
	ASSERT_EQ(-ENOENT, hw_bind_full(dut.fd, self->ctx, ~0u, 1, NULL,
					NULL));
	hole = first_hole(&r);
	if (hole) {
		ASSERT_EQ(0, ia_alloc(self->ctx, &other));
		ASSERT_EQ(0, ia_map(self->ctx, other, hole, self->mem,
				    page_size));
		ASSERT_EQ(-EADDRINUSE, hw_bind_full(dut.fd, self->ctx, other,
						    1, NULL, &fault_addr));
		ASSERT_EQ(hole, fault_addr);
	}
	ASSERT_EQ(-ENODEV, hw_attach(dut.fd, self->id));
	ASSERT_EQ(0, hw_bind_full(dut.fd, self->ctx, self->id, 77,
				  &self->dut.devid, NULL));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, variant->engine->start(&self->dut));
	self->dut.started = true;
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
}

/* The context lives as long as its last device. */
TEST_F(hw_dma, close_context)
{
	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, close(self->ctx));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	/* it still can move */
	ASSERT_EQ(0, dut_prime(&self->dut, 91));
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	ASSERT_TRUE(dut_blocked(&self->dut, TEST_IOVA, self->mem));
	ATTACH();
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	dut_close(&self->dut);
	self->ctx = ia_open();
	ASSERT_LE(0, self->ctx);
}

/* Bound again, by another context, the device sees no mapping of the first. */
TEST_F(hw_dma, rebind)
{
	int second;
	__u32 id;

	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	dut_stop(&self->dut);
	close(self->dut.fd);
	self->dut.fd = hw_open_cdev(self->dut.name);
	ASSERT_LE(0, self->dut.fd);
	second = ia_open();
	ASSERT_LE(0, second);
	ASSERT_EQ(0, ia_alloc(second, &id));
	ASSERT_EQ(0, dut_admit(&self->dut, second, id));
	ASSERT_EQ(0, dut_bind(&self->dut, second, 1));
	ASSERT_EQ(0, dut_attach(&self->dut, id));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_map(second, id, TEST_IOVA, self->mem + page_size,
			    page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem + page_size));
	close(second);
}

/* --- DMA while the space changes --- */

struct streamer {
	struct dut *dut;
	__u64 iova;
	unsigned int done;
	bool stop;
	pthread_t thread;
};

static void *stream(void *arg)
{
	struct streamer *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		dut_store(s->dut, s->iova, DUT_LEN);
		__atomic_add_fetch(&s->done, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static int stream_start(struct streamer *s, struct dut *dut, __u64 iova)
{
	*s = (struct streamer){ .dut = dut, .iova = iova };
	return -pthread_create(&s->thread, NULL, stream, s);
}

/* Wait until @n more transfers began and ended. */
static void stream_wait(struct streamer *s, unsigned int n)
{
	unsigned int from = __atomic_load_n(&s->done, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&s->done, __ATOMIC_ACQUIRE) < from + n + 1)
		usleep(100);
}

static void stream_stop(struct streamer *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	pthread_join(s->thread, NULL);
}

/* A device that does DMA all the time cannot reach unmapped memory. */
TEST_F(hw_dma, unmap_under_dma)
{
	int i, n = variant->engine->slow ? 4 : 30;
	struct streamer s;

	ATTACH();
	ASSERT_EQ(0, dut_prime(&self->dut, 95));
	ASSERT_EQ(0, stream_start(&s, &self->dut, TEST_IOVA));
	for (i = 0; i < n; i++) {
		char *p = self->mem + i * page_size;

		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, p,
				    page_size));
		stream_wait(&s, 1);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 95));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA,
				      page_size, NULL));
		/*
		 * The IOMMU has to drain transfers that are under way. Emulated
		 * ones do not: wait for the end.
		 */
		stream_wait(&s, 1);
		dut_fill(p, DUT_LEN, 96);
		stream_wait(&s, 2);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 96));
	}
	stream_stop(&s);
}

/* And its neighbours stay reachable meanwhile. */
TEST_F(hw_dma, neighbours_change_under_dma)
{
	char *mem = huge_memory(SZ_2M);
	__u64 iova = TEST_IOVA;
	struct streamer s;
	int i;

	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(mem), SZ_2M, page_size, 0, 0, NULL));
	ASSERT_EQ(0, dut_prime(&self->dut, 97));
	ASSERT_EQ(0, stream_start(&s, &self->dut, TEST_IOVA + SZ_1M));
	for (i = 0; i < 3; i++) {
		char *p = mem + SZ_1M;
		int j;

		dut_fill(p, DUT_LEN, 98);
		for (j = 0; j < 200; j++) {
			__u64 at = (j % 2 ? SZ_1M + page_size * (1 + j % 16) :
				    SZ_1M - page_size * (1 + j % 16));

			ASSERT_EQ(0, ia_unmap(self->ctx, self->id,
					      TEST_IOVA + at, page_size,
					      NULL));
			ASSERT_EQ(0, ia_map(self->ctx, self->id,
					    TEST_IOVA + at, mem + at,
					    page_size));
		}
		stream_wait(&s, 1);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 97));
	}
	stream_stop(&s);
	/* not one transfer failed */
	EXPECT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_1M, mem + SZ_1M));
}

static int change_map(int ctx, __u32 id, __u32 flags, __u64 iova, const void *p,
		      __u64 length)
{
	return ia_map_full(ctx, id, flags | IOASID_MAP_FIXED, &iova, IA_PTR(p),
			   length, flags & IOASID_MAP_REPLACE ? page_size : 0,
			   0, 0, NULL);
}

/* A replace by the same pages keeps them reachable meanwhile. */
TEST_F(hw_dma, replaced_under_dma)
{
	char *mem = huge_memory(SZ_2M), *other = huge_memory(SZ_2M);
	struct streamer s;
	int i, j;

	ASSERT_NE(NULL, mem);
	ASSERT_NE(NULL, other);
	ATTACH();
	ASSERT_EQ(0, change_map(self->ctx, self->id, IA_RW | IOASID_MAP_REPLACE,
				TEST_IOVA, mem, SZ_2M));
	ASSERT_EQ(0, dut_prime(&self->dut, 97));
	ASSERT_EQ(0, stream_start(&s, &self->dut, TEST_IOVA + SZ_1M));
	for (i = 0; i < 3; i++) {
		char *p = mem + SZ_1M;

		dut_fill(p, DUT_LEN, 98);
		for (j = 0; j < 20; j++) {
			__u64 at = SZ_1M + page_size;

			/* other memory beside it; protected; as it was */
			ASSERT_EQ(0, change_map(self->ctx, self->id,
						IA_RW | IOASID_MAP_REPLACE,
						TEST_IOVA + at, other, SZ_64K));
			ASSERT_EQ(0, change_map(self->ctx, self->id,
						IOASID_MAP_READ |
						IOASID_MAP_PROTECT,
						TEST_IOVA, NULL, SZ_1M));
			ASSERT_EQ(0, change_map(self->ctx, self->id,
						IA_RW | IOASID_MAP_REPLACE,
						TEST_IOVA, mem, SZ_2M));
		}
		stream_wait(&s, 1);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 97));
	}
	stream_stop(&s);
	/* not one transfer failed */
	EXPECT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_1M, mem + SZ_1M));
	/* and the changes took effect */
	ASSERT_EQ(0, change_map(self->ctx, self->id, IA_RW | IOASID_MAP_REPLACE,
				TEST_IOVA, other, page_size));
	EXPECT_TRUE(dut_reaches(&self->dut, TEST_IOVA, other));
	ASSERT_EQ(0, change_map(self->ctx, self->id, IOASID_MAP_READ |
				IOASID_MAP_PROTECT, TEST_IOVA, NULL, page_size));
	dut_fill(other, DUT_LEN, 99);
	dut_store(&self->dut, TEST_IOVA, DUT_LEN);
	EXPECT_TRUE(dut_holds(other, DUT_LEN, 99));
}

/* --- interrupts --- */

static bool interrupted(int eventfd)
{
	struct pollfd pfd = { .fd = eventfd, .events = POLLIN };
	__u64 count;

	return poll(&pfd, 1, 5000) == 1 &&
	       read(eventfd, &count, sizeof(count)) == sizeof(count);
}

TEST_F(hw_dma, interrupts)
{
	struct dut *dut = &self->dut;
	int i, fd;

	fd = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, fd);
	if (variant->engine == &engine_edu) {
		ATTACH();
		ASSERT_EQ(0, vfio_pci_enable_irqs(dut->fd,
						  VFIO_PCI_MSI_IRQ_INDEX, &fd,
						  1));
		for (i = 0; i < 5; i++) {
			edu_write(&dut->edu, EDU_IRQ_RAISE, 1);
			ASSERT_TRUE(interrupted(fd));
			edu_write(&dut->edu, EDU_IRQ_ACK, 1);
		}
		/* the IOASID does not route them */
		ASSERT_EQ(0, hw_detach(dut->fd, self->id));
		edu_write(&dut->edu, EDU_IRQ_ACK, 1);
		ATTACH();
		edu_write(&dut->edu, EDU_IRQ_RAISE, 1);
		ASSERT_TRUE(interrupted(fd));
		edu_write(&dut->edu, EDU_IRQ_ACK, 1);
		ASSERT_EQ(0, vfio_pci_disable_irqs(dut->fd,
						   VFIO_PCI_MSI_IRQ_INDEX));
	} else if (variant->engine == &engine_nvme) {
		ASSERT_EQ(0, hw_attach(dut->fd, self->id));
		ASSERT_EQ(0, nvme_start(&dut->nvme, dut->fd,
					dut->ctrl + CTRL_QUEUES,
					dut_ctrl(dut) + CTRL_QUEUES, 1, 0));
		dut->started = true;
		for (i = 0; i < 5; i++) {
			int cid;

			/* the driver consumes the event, if it is to wait */
			cid = nvme_submit_rw(&dut->nvme, 1, NVME_READ, 0, 1,
					     dut_ctrl(dut));
			ASSERT_LE(0, cid);
			ASSERT_TRUE(interrupted(dut->nvme.queues[1].eventfd));
			ASSERT_EQ(0, nvme_wait(&dut->nvme, 1, cid, 1000, NULL));
		}
	} else {
		SKIP(return, "no driver for its interrupts");
	}
	close(fd);
}

/* --- two devices --- */

FIXTURE(hw_pair)
{
	int ctx;
	__u32 id;
	struct dut a, b;
	char *mem;
};

FIXTURE_SETUP(hw_pair)
{
	int rc;

	self->a.fd = -1;
	self->b.fd = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	rc = dut_open(&self->a, &engine_nvme, 0, 0);
	if (!rc)
		rc = dut_open(&self->b, &engine_edu, 0, 1);
	if (rc == -ENOENT)
		SKIP(return, "no nvme and no edu behind an IOMMU");
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(NR_PAGES * page_size);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	ASSERT_EQ(0, dut_admit(&self->a, self->ctx, self->id));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, self->id));
	ASSERT_EQ(0, dut_bind(&self->a, self->ctx, 1));
	ASSERT_EQ(0, dut_bind(&self->b, self->ctx, 2));
	ASSERT_NE(self->a.devid, self->b.devid);
}

FIXTURE_TEARDOWN(hw_pair)
{
	dut_close(&self->a);
	dut_close(&self->b);
	close(self->ctx);
}

TEST_F(hw_pair, share)
{
	struct ioasid_info info;
	char *p = self->mem;

	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, p, page_size));
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(2, info.nr_devices);
	/* one writes what the other reads */
	ASSERT_EQ(0, dut_put(&self->a, TEST_IOVA, 1));
	ASSERT_TRUE(dut_sees(&self->b, TEST_IOVA, 1));
	ASSERT_EQ(0, dut_put(&self->b, TEST_IOVA, 2));
	ASSERT_TRUE(dut_sees(&self->a, TEST_IOVA, 2));
	/* mapped once for both, and gone for both */
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M,
			    p + page_size, page_size));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA + SZ_1M, p + page_size));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA + SZ_1M, p + page_size));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, page_size,
			      NULL));
	ASSERT_TRUE(dut_misses(&self->a, TEST_IOVA, p));
	ASSERT_TRUE(dut_misses(&self->b, TEST_IOVA, p));
	/* one is detached, the other stays */
	ASSERT_EQ(0, hw_detach(self->b.fd, self->id));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(1, info.nr_devices);
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA + SZ_1M, p + page_size));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA + SZ_1M, p + page_size));
	dut_close(&self->a);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(0, info.nr_devices);
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA + SZ_1M, p + page_size));
}

/* The same IOVA has other memory for each device. */
TEST_F(hw_pair, apart)
{
	char *p = self->mem, *q = p + page_size;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, other));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, p, page_size));
	ASSERT_EQ(0, ia_map(self->ctx, other, TEST_IOVA, q, page_size));
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, other));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA, p));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA, q));
	ASSERT_TRUE(dut_misses(&self->b, TEST_IOVA, p));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, other, NULL));
	ASSERT_TRUE(dut_reaches(&self->a, TEST_IOVA, p));
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA, q));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_TRUE(dut_reaches(&self->b, TEST_IOVA, p));
	ASSERT_EQ(0, ia_free(self->ctx, other));
}

/* Ranges that either device cannot use are not permitted. */
TEST_F(hw_pair, ranges)
{
	struct ranges a, b, both;
	unsigned int i;

	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &a));
	ASSERT_EQ(0, hw_detach(self->a.fd, self->id));
	ASSERT_EQ(0, hw_attach(self->b.fd, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &b));
	ASSERT_EQ(0, hw_attach(self->a.fd, self->id));
	ASSERT_EQ(0, get_ranges(self->ctx, self->id, &both));
	for (i = 0; i < both.nr; i++) {
		ASSERT_TRUE(permitted(&a, both.range[i].start,
				      both.range[i].last));
		ASSERT_TRUE(permitted(&b, both.range[i].start,
				      both.range[i].last));
	}
}

/* A gibibyte in one map, with the device before it and after it. */
static void one_gib(struct __test_metadata *_metadata, int ctx, __u32 id,
		    struct dut *dut, int fd)
{
	__u64 at[] = { 0, SZ_2M, SZ_1G / 2 - 1024, SZ_1G - DUT_LEN };
	__u64 iova = 2 * TEST_IOVA, unmapped;
	unsigned int i;
	char *p;

	ASSERT_EQ(0, ia_map_file(ctx, id, IA_RW_FIXED, &iova, fd, 0, SZ_1G));
	p = mmap(NULL, SZ_1G, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_reaches(dut, iova + at[i], p + at[i]));
	/* attach maps the whole space for a device that comes later */
	ASSERT_EQ(0, hw_detach(dut->fd, id));
	ASSERT_EQ(0, dut_attach(dut, id));
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_reaches(dut, iova + at[i], p + at[i]));
	ASSERT_EQ(0, ia_unmap(ctx, id, iova, SZ_1G, &unmapped));
	ASSERT_EQ(SZ_1G, unmapped);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		ASSERT_TRUE(dut_misses(dut, iova + at[i], p + at[i]));
	munmap(p, SZ_1G);
}

TEST_F(hw_pair, gibibyte)
{
	int fd;

	if (ia_slow_kernel() ||
	    ia_proc_field("/proc/meminfo", "MemAvailable") < 1200 * 1024)
		SKIP(return, "not enough memory, or time");
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	fd = memfd_create("gibibyte", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SZ_1G));
	one_gib(_metadata, self->ctx, self->id, &self->a, fd);
	close(fd);
}

TEST_HARNESS_MAIN
