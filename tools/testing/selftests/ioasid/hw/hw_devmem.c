// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of devices, mapped for the DMA of other devices (peer to peer), and
 * revoked when the process loses it. The memory is the controller memory buffer
 * of the second NVMe disk, which shows the DMA writes that reached it.
 */
#include "ioasid_test.h"
#include "dut.h"
#include "hw_devmem.h"
#include "state.h"

FIXTURE(hw_devmem)
{
	int ctx;
	__u32 id;
	struct dut dut;		/* does DMA */
	struct dut peer;	/* has the memory */
	char *bar;		/* the mapped memory */
	char *view;		/* where the CPU reads it */
};

FIXTURE_VARIANT(hw_devmem)
{
	const struct engine *engine;
};

FIXTURE_VARIANT_ADD(hw_devmem, edu) { .engine = &engine_edu, };
FIXTURE_VARIANT_ADD(hw_devmem, nvme) { .engine = &engine_nvme, };

FIXTURE_SETUP(hw_devmem)
{
	int rc;

	self->dut.fd = -1;
	self->peer.fd = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	rc = dut_open(&self->dut, variant->engine, 0, 0);
	if (!rc)
		rc = dut_open(&self->peer, &engine_nvme, 1, 1);
	if (rc == -ENOENT)
		SKIP(return, "no two devices behind an IOMMU");
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	ASSERT_EQ(0, dut_bind(&self->peer, self->ctx, 2));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	self->bar = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	if (!self->bar)
		SKIP(return, "the second NVMe disk has no memory buffer");
	self->view = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->view);
}

FIXTURE_TEARDOWN(hw_devmem)
{
	dut_close(&self->dut);
	dut_close(&self->peer);
	close(self->ctx);
}

#define MAP(iova) ia_map(self->ctx, self->id, iova, self->bar, CMB_LEN)
#define UNMAP(iova) ia_unmap(self->ctx, self->id, iova, CMB_LEN, NULL)
#define ATTACH() ASSERT_EQ(0, dut_attach(&self->dut, self->id))
#define REACHES(iova)							\
	ASSERT_TRUE(dut_reaches(&self->dut, iova, self->view))
#define MISSES(iova)							\
	ASSERT_TRUE(dut_misses(&self->dut, iova, self->view))
#define REVOKED() revoked(self->ctx, self->id)

TEST_F(hw_devmem, map)
{
	struct ioasid_info before, after;

	ATTACH();
	MISSES(TEST_IOVA);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &before));
	ASSERT_EQ(0, MAP(TEST_IOVA));
	/* both ways, and to its end */
	REACHES(TEST_IOVA);
	dut_fill(self->view, DUT_LEN, 77);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 77));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + CMB_LEN - DUT_LEN,
				self->view + CMB_LEN - DUT_LEN));
	/* not pinned, not charged */
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &after));
	EXPECT_EQ(before.bytes_pinned, after.bytes_pinned);
	EXPECT_EQ(before.bytes_charged, after.bytes_charged);
	EXPECT_EQ(before.nr_mappings + 1, after.nr_mappings);
	EXPECT_EQ(-EEXIST, MAP(TEST_IOVA + CMB_LEN - page_size));
	/* it goes as a whole */
	EXPECT_EQ(-EINVAL, ia_unmap_full(self->ctx, self->id,
					 IOASID_UNMAP_SPLIT, TEST_IOVA,
					 page_size, NULL));
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, UNMAP(TEST_IOVA));
	MISSES(TEST_IOVA);
	EXPECT_EQ(0, REVOKED());
}

/* Part of it, twice, beside memory, and where the kernel chooses. */
TEST_F(hw_devmem, parts)
{
	char *mem = ia_mem(page_size);
	__u64 iova;

	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->bar +
			    3 * page_size, page_size));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + page_size, mem,
			    page_size));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + 2 * page_size,
			    self->bar + 3 * page_size, 2 * page_size));
	ASSERT_EQ(0, ia_map_any(self->ctx, self->id, &iova, self->bar,
				CMB_LEN));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA,
				self->view + 3 * page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + page_size, mem));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + 3 * page_size,
				self->view + 4 * page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, iova + 3 * page_size,
				self->view + 3 * page_size));
	/* all at once, in one unmap with the memory */
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, 4 * page_size,
			      NULL));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + page_size, mem));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA,
			       self->view + 3 * page_size));
	ASSERT_TRUE(dut_reaches(&self->dut, iova, self->view));
}

/* Mapped before a device attaches, and kept when the device moves. */
TEST_F(hw_devmem, attach)
{
	__u32 other;

	ASSERT_EQ(0, MAP(TEST_IOVA));
	ATTACH();
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, other));
	ASSERT_EQ(0, dut_attach(&self->dut, other));
	MISSES(TEST_IOVA);
	ATTACH();
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, hw_detach(self->dut.fd, self->id));
	ASSERT_EQ(0, munmap(self->bar, CMB_LEN));
	EXPECT_EQ(1, REVOKED());
	ATTACH();
	MISSES(TEST_IOVA);
}

TEST_F(hw_devmem, permission)
{
	char *readable = map_memory(&self->peer, PROT_READ);
	__u64 iova = TEST_IOVA, fault = 0;

	ASSERT_NE(NULL, readable);
	ATTACH();
	EXPECT_EQ(-EFAULT, ia_map_full(self->ctx, self->id, IA_RW_FIXED, &iova,
				       IA_PTR(readable), CMB_LEN, 0, 0, 0,
				       &fault));
	EXPECT_EQ(IA_PTR(readable), fault);
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(readable), CMB_LEN, 0, 0, 0, NULL));
	MISSES(TEST_IOVA);
	dut_fill(self->view, DUT_LEN, 78);
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA, 78));
}

/* Memory that cannot be mapped; a failure leaves no mapping. */
TEST_F(hw_devmem, refused)
{
	struct ia_state before, after;
	const char *diff;
	char path[128];
	char *p;
	int fd;

	ASSERT_EQ(0, ia_state_read(self->ctx, &before));
	/* beyond its end, across a hole, across another mapping of it */
	EXPECT_EQ(-EFAULT, ia_map(self->ctx, self->id, TEST_IOVA,
				  self->bar + page_size, SZ_1G));
	p = map_memory(&self->peer, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, munmap(p + 2 * page_size, page_size));
	EXPECT_EQ(-EFAULT, ia_map(self->ctx, self->id, TEST_IOVA, p,
				  4 * page_size));
	EXPECT_EQ(-EFAULT, ia_map(self->ctx, self->id, TEST_IOVA,
				  p + 2 * page_size, page_size));
	ASSERT_EQ(0, mprotect(p, page_size, PROT_READ));
	EXPECT_EQ(-EFAULT, ia_map(self->ctx, self->id, TEST_IOVA, p,
				  2 * page_size));
	/* the same memory, but not by a device file of this context */
	snprintf(path, sizeof(path), HW_PCI "%s/resource%u", self->peer.name,
		 CMB_BAR);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		p = mmap(NULL, CMB_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 0);
		if (p != MAP_FAILED)
			EXPECT_EQ(-EFAULT, ia_map(self->ctx, self->id,
						  TEST_IOVA, p, page_size));
		close(fd);
	}
	ASSERT_EQ(0, ia_state_read(self->ctx, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
	/* not while its memory is switched off */
	ASSERT_EQ(0, set_memory(&self->peer, false));
	EXPECT_EQ(-EFAULT, MAP(TEST_IOVA));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(0, MAP(TEST_IOVA));
}

/* Memory of a device that is bound to another context is refused. */
TEST_F(hw_devmem, of_another_context)
{
	int other = ia_open();
	__u32 id;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ia_alloc(other, &id));
	EXPECT_EQ(-EFAULT, ia_map(other, id, TEST_IOVA, self->bar, CMB_LEN));
	EXPECT_EQ(0, MAP(TEST_IOVA));
	close(other);
}

TEST_F(hw_devmem, munmap)
{
	ATTACH();
	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M, self->view,
			    CMB_LEN));
	REACHES(TEST_IOVA);
	/* one page of it is enough */
	ASSERT_EQ(0, munmap(self->bar + CMB_LEN / 2, page_size));
	MISSES(TEST_IOVA);
	EXPECT_EQ(1, REVOKED());
	/* a mapping from another address stays */
	REACHES(TEST_IOVA + SZ_1M);
	/* nor does it come back with new memory at that address */
	ASSERT_EQ(self->bar, mmap(self->bar, CMB_LEN, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
				  0));
	memset(self->bar, 1, CMB_LEN);
	ASSERT_EQ(0, madvise(self->bar, CMB_LEN, MADV_DONTNEED));
	MISSES(TEST_IOVA);
	EXPECT_EQ(-EEXIST, MAP(TEST_IOVA));
	ASSERT_EQ(0, UNMAP(TEST_IOVA));
	EXPECT_EQ(0, REVOKED());
	ASSERT_EQ(0, MAP(TEST_IOVA));
	MISSES(TEST_IOVA);
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA, self->bar));
}

TEST_F(hw_devmem, changed)
{
	char *moved;

	ATTACH();
	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, mprotect(self->bar, CMB_LEN, PROT_READ));
	MISSES(TEST_IOVA);
	ASSERT_EQ(0, UNMAP(TEST_IOVA));
	ASSERT_EQ(0, mprotect(self->bar, CMB_LEN, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, MAP(TEST_IOVA));
	REACHES(TEST_IOVA);
	moved = mremap(self->bar, CMB_LEN, CMB_LEN,
		       MREMAP_MAYMOVE | MREMAP_FIXED, self->bar - SZ_1G);
	if (moved == MAP_FAILED)
		return;
	MISSES(TEST_IOVA);
	EXPECT_EQ(1, REVOKED());
}

static int write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* A change that removes no permission of the mapping leaves it. */
TEST_F(hw_devmem, not_taken)
{
	__u64 iova = TEST_IOVA + SZ_1M;
	int i;

	ATTACH();
	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova,
				 IA_PTR(self->bar), CMB_LEN, 0, 0, 0, NULL));
	REACHES(TEST_IOVA);
	/*
	 * soft-dirty bits are cleared, as by CRIU; without them this does
	 * nothing
	 */
	for (i = 0; i < 3; i++) {
		*(volatile char *)self->bar = i;
		write_proc("/proc/self/clear_refs", "4");
		REACHES(TEST_IOVA);
		ASSERT_EQ(0, REVOKED());
	}
	/* the same, and more; of all and of a part */
	ASSERT_EQ(0, mprotect(self->bar, CMB_LEN, PROT_READ | PROT_WRITE));
	if (!mprotect(self->bar, CMB_LEN, PROT_READ | PROT_WRITE | PROT_EXEC) &&
	    !mprotect(self->bar + page_size, page_size, PROT_READ | PROT_WRITE))
		ASSERT_EQ(0, mprotect(self->bar, CMB_LEN,
				      PROT_READ | PROT_WRITE));
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, REVOKED());
	/* its neighbour is unmapped or protected */
	ASSERT_EQ(0, mprotect(self->view, CMB_LEN, PROT_READ));
	ASSERT_EQ(0, mprotect(self->view, CMB_LEN, PROT_READ | PROT_WRITE));
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, REVOKED());

	/* less: only the writable mapping is revoked */
	ASSERT_EQ(0, mprotect(self->bar + CMB_LEN / 2, page_size, PROT_READ));
	MISSES(TEST_IOVA);
	ASSERT_EQ(1, REVOKED());
	ASSERT_EQ(0, UNMAP(TEST_IOVA));
	ASSERT_EQ(0, REVOKED());
	dut_fill(self->view, DUT_LEN, 79);
	ASSERT_TRUE(dut_sees(&self->dut, iova, 79));
	/* none: the other mapping is revoked, too, for good */
	ASSERT_EQ(0, mprotect(self->bar, CMB_LEN, PROT_NONE));
	ASSERT_EQ(1, REVOKED());
	ASSERT_EQ(0, mprotect(self->bar, CMB_LEN, PROT_READ | PROT_WRITE));
	MISSES(iova);
	ASSERT_EQ(1, REVOKED());
}

/* Switched off and on again: gone until it is mapped anew. */
TEST_F(hw_devmem, memory_off)
{
	int i;

	ATTACH();
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, MAP(TEST_IOVA));
		REACHES(TEST_IOVA);
		EXPECT_EQ(0, REVOKED());
		ASSERT_EQ(0, set_memory(&self->peer, false));
		EXPECT_EQ(1, REVOKED());
		ASSERT_EQ(0, set_memory(&self->peer, true));
		MISSES(TEST_IOVA);
		ASSERT_EQ(0, UNMAP(TEST_IOVA));
		EXPECT_EQ(0, REVOKED());
	}
}

TEST_F(hw_devmem, reset)
{
	ATTACH();
	ASSERT_EQ(0, MAP(TEST_IOVA));
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, vfio_pci_reset(self->peer.fd));
	EXPECT_EQ(1, REVOKED());
	ASSERT_EQ(0, set_memory(&self->peer, true));
	MISSES(TEST_IOVA);
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, NULL));
	EXPECT_EQ(0, REVOKED());
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, MAP(TEST_IOVA));
	REACHES(TEST_IOVA);
}

/* Only the process that mapped it counts, whichever others map the memory. */
TEST_F(hw_devmem, processes)
{
	int status, sock[2];
	pid_t pid;
	char c;

	ATTACH();
	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* the mapping of another process, by its own mmap() */
		if (MAP(TEST_IOVA + SZ_1M) || write(sock[1], "", 1) != 1 ||
		    read(sock[1], &c, 1) != 1)
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(1, read(sock[0], &c, 1));
	REACHES(TEST_IOVA);
	REACHES(TEST_IOVA + SZ_1M);
	EXPECT_EQ(0, REVOKED());
	ASSERT_EQ(1, write(sock[0], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(1, REVOKED());
	MISSES(TEST_IOVA + SZ_1M);
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA + SZ_1M, CMB_LEN,
			      NULL));
	EXPECT_EQ(0, REVOKED());
	ASSERT_EQ(0, munmap(self->bar, CMB_LEN));
	MISSES(TEST_IOVA);
}

/* Unbind the device: the last mmap() of its file has to go before. */
TEST_F(hw_devmem, device_closed)
{
	ATTACH();
	ASSERT_EQ(0, MAP(TEST_IOVA));
	ASSERT_EQ(0, close(self->peer.fd));
	self->peer.fd = -1;
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, munmap(self->view, CMB_LEN));
	ASSERT_EQ(0, munmap(self->bar, CMB_LEN));
	EXPECT_EQ(1, REVOKED());
}

/* Map, unmap and attach while the memory is revoked in each way. */
struct spoiler {
	struct dut *peer;
	char *bar;
	unsigned int rounds;
	bool stop;
};

static void *spoil(void *data)
{
	struct spoiler *s = data;
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = CMB_BAR,
	};

	if (ioctl(s->peer->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return NULL;
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		switch (s->rounds++ % 4) {
		case 0:
			set_memory(s->peer, false);
			usleep(100);
			set_memory(s->peer, true);
			break;
		case 1:
			mmap(s->bar, CMB_LEN, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED, s->peer->fd, info.offset);
			break;
		case 2:
			/* of all of it: parts would stay split */
			mprotect(s->bar, CMB_LEN, PROT_READ);
			mprotect(s->bar, CMB_LEN, PROT_READ | PROT_WRITE);
			break;
		default:
			usleep(500);
		}
	}
	return NULL;
}

TEST_F(hw_devmem, races)
{
	unsigned int i, mapped = 0, missed = 0;
	struct spoiler s = { .peer = &self->peer, .bar = self->bar };
	unsigned int rounds = ia_slow_kernel() ? 200 : 2000;
	pthread_t thread;
	__u32 other;
	int rc;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, pthread_create(&thread, NULL, spoil, &s));
	for (i = 0; i < rounds; i++) {
		rc = MAP(TEST_IOVA);
		ASSERT_TRUE(!rc || rc == -EFAULT);
		mapped += !rc;
		missed += !!rc;
		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M,
				    self->dut.ctrl, page_size));
		if (i % 4 == 0)
			ASSERT_EQ(0, hw_attach(self->dut.fd, i & 4 ? other :
						self->id));
		if (i % 8 == 0)
			ASSERT_EQ(0, hw_detach(self->dut.fd, 0));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, SZ_1G,
				      NULL));
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	TH_LOG("%u mapped, %u missed, %u changes", mapped, missed, s.rounds);
	EXPECT_LT(0, mapped);
	EXPECT_LT(8, s.rounds);
	ASSERT_EQ(0, set_memory(&self->peer, true));
	EXPECT_EQ(0, REVOKED());
	ATTACH();
	ASSERT_EQ(0, MAP(TEST_IOVA));
	REACHES(TEST_IOVA);
	ASSERT_EQ(0, set_memory(&self->peer, false));
	ASSERT_EQ(0, set_memory(&self->peer, true));
	MISSES(TEST_IOVA);
}

TEST_HARNESS_MAIN
