// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA of real devices through an IOASID. Data that the device writes must be in
 * memory, data that it reads must come from there, and its writes to unmapped
 * IOVAs must change no memory.
 */
#include "dirty.h"
#include "hw_dma.h"
#include "ranges.h"

#define MAX_SPACES 16

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
	self->dut.fd = hw_open_device(self->dut.name);
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

/*
 * Emulated IOMMUs have no dirty bits: writes are logged only if it is accepted that
 * all that the device may write counts as written.
 */
TEST_F(hw_dma, dirty)
{
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty get;
	__u32 id = self->id;
	__u64 bits;

	if (ia_check(self->ctx, IOASID_EXT_DIRTY) <= 0)
		SKIP(return, "no dirty tracking");
	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, id, TEST_IOVA, self->mem,
			    4 * page_size));
	EXPECT_EQ(-EOPNOTSUPP, ia_set_dirty(self->ctx, id,
					    IOASID_SET_DIRTY_ON));
	ASSERT_EQ(0, ia_set_dirty(self->ctx, id, IOASID_SET_DIRTY_ON |
				  IOASID_SET_DIRTY_COARSE));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_get_dirty(self->ctx, id, 0, TEST_IOVA, 8, &bits, &get));
	EXPECT_EQ(0xf, bits);
	EXPECT_EQ(0, get.told);
	ASSERT_EQ(0, ia_get_dirty(self->ctx, id, 0, TEST_IOVA, 8, &bits, &get));
	EXPECT_EQ(0xf, bits);
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_unmap_dirty(self->ctx, id, 0, TEST_IOVA, 8, &bits,
				    &unmap));
	EXPECT_EQ(0xf, bits);
	EXPECT_EQ(0, unmap.told);
	EXPECT_EQ(4 * page_size, unmap.unmapped);
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_get_dirty(self->ctx, id, 0, TEST_IOVA, 8, &bits, &get));
	EXPECT_EQ(0, bits);
	ASSERT_EQ(0, ia_set_dirty(self->ctx, id, IOASID_SET_DIRTY_OFF));
}

TEST_HARNESS_MAIN
