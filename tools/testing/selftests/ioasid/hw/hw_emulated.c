// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated devices: a driver of the kernel does their DMA, and pins pages of an
 * IOASID or copies from and to it. Tests of the memory that it sees, of the
 * life of its pins, and of the waits for it. Needs the module ioasid_mock.
 */
#include <poll.h>
#include <linux/userfaultfd.h>

#include "ioasid_test.h"
#include "dut.h"
#include "mock.h"

#define PG page_size
#define NR_PAGES 16
#define BASE TEST_IOVA

/* Maximum wait of the kernel for a driver: 5 seconds, and only if needed. */
#define PATIENCE_MS 5000
#define DELAY_MS 300

#define PINS(fd) (mock_status(fd).pins)
#define UNMAPS(fd) (mock_status(fd).unmaps)

/* Fill pages of memory, each with a pattern of its own. */
static void fill_pages(char *mem, int nr, unsigned int seed)
{
	int i;

	for (i = 0; i < nr; i++)
		dut_fill(mem + i * PG, PG, seed + i);
}

/* Whether the device sees the pattern, by its pins or without. */
static bool sees(int fd, __u32 op, __u64 iova, unsigned int seed)
{
	char buf[0x1000];

	memset(buf, 0, sizeof(buf));
	return !mock_get(fd, op, 0, iova, buf, sizeof(buf)) &&
	       dut_holds(buf, sizeof(buf), seed);
}

static bool sees_pinned(int fd, __u64 iova, unsigned int seed)
{
	return sees(fd, IOASID_MOCK_READ_PINNED, iova, seed);
}

static bool sees_mapped(int fd, __u64 iova, unsigned int seed)
{
	return sees(fd, IOASID_MOCK_READ, iova, seed);
}

FIXTURE(hw_emulated)
{
	int ctx;
	__u32 id;
	int fd;
	__u32 devid;
	char *mem;
};

/* A device that is attached, and memory that is not mapped. */
FIXTURE_SETUP(hw_emulated)
{
	self->fd = -1;
	self->mem = NULL;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	if (mock_load())
		SKIP(return, "no ioasid_mock to emulate devices");
	self->mem = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	fill_pages(self->mem, NR_PAGES, 1);
	self->fd = mock_open(0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	ASSERT_EQ(0, hw_bind(self->fd, self->ctx, 0xe0, &self->devid));
	ASSERT_EQ(0, hw_attach(self->fd, self->id));
}

FIXTURE_TEARDOWN(hw_emulated)
{
	if (self->fd >= 0)
		close(self->fd);
	if (self->ctx >= 0)
		close(self->ctx);
	if (self->mem)
		munmap(self->mem, NR_PAGES * PG);
}

static int map(struct _test_data_hw_emulated *self, int first, int nr)
{
	return ia_map(self->ctx, self->id, BASE + first * PG,
		      self->mem + first * PG, nr * PG);
}

static int unmap(struct _test_data_hw_emulated *self, int first, int nr,
		 __u64 *unmapped)
{
	return ia_unmap(self->ctx, self->id, BASE + first * PG, nr * PG,
			unmapped);
}

/* Unmap it from the middle of any mapping. */
static int cut(struct _test_data_hw_emulated *self, int first, int nr)
{
	return ia_unmap_full(self->ctx, self->id, IOASID_UNMAP_SPLIT,
			     BASE + first * PG, nr * PG, NULL);
}

/* --- bind, attach, detach, replace --- */

TEST_F(hw_emulated, info)
{
	struct ioasid_device_info dev;
	struct ioasid_info info;

	ASSERT_EQ(0, ia_device_info(self->ctx, self->devid, &dev));
	EXPECT_NE(0, dev.caps & IOASID_DEVICE_EMULATED);
	EXPECT_EQ(-1, dev.group);
	EXPECT_EQ(0xe0, dev.cookie);
	EXPECT_EQ(self->id, dev.ioasid);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(1, info.nr_devices);
	EXPECT_EQ(0, info.nr_domains);
	ASSERT_EQ(0, hw_detach(self->fd, self->id));
	ASSERT_EQ(0, ia_device_info(self->ctx, self->devid, &dev));
	EXPECT_EQ(0, dev.ioasid);
}

TEST_F(hw_emulated, unbound)
{
	__u32 devid;
	int fd;

	fd = mock_open(1);
	ASSERT_LE(0, fd);
	/* no access before it is bound */
	EXPECT_EQ(-EINVAL, mock_pin(fd, BASE, PG));
	EXPECT_EQ(-ENODEV, hw_attach(fd, self->id));
	ASSERT_EQ(0, hw_bind(fd, self->ctx, 1, &devid));
	/* and no memory before it is attached */
	ASSERT_EQ(0, map(self, 0, 1));
	EXPECT_EQ(-EINVAL, mock_pin(fd, BASE, PG));
	EXPECT_FALSE(sees_mapped(fd, BASE, 1));
	EXPECT_EQ(-ENOENT, hw_detach(fd, 0));
	EXPECT_EQ(-ENOENT, hw_attach(fd, devid));
	ASSERT_EQ(0, hw_attach(fd, self->id));
	EXPECT_TRUE(sees_mapped(fd, BASE, 1));
	close(fd);
}

TEST_F(hw_emulated, attach_again)
{
	ASSERT_EQ(0, map(self, 0, 1));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	/* the device does not move, and the driver is not asked to unpin */
	ASSERT_EQ(0, hw_attach(self->fd, self->id));
	EXPECT_EQ(0, UNMAPS(self->fd));
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 1));
	/* nor when the command fails */
	EXPECT_EQ(-ENOENT, hw_attach(self->fd, self->devid));
	EXPECT_EQ(-ENOENT, hw_detach(self->fd, self->devid));
	EXPECT_EQ(0, UNMAPS(self->fd));
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 1));
	EXPECT_TRUE(sees_mapped(self->fd, BASE, 1));
}

TEST_F(hw_emulated, replace)
{
	struct ioasid_info info;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, map(self, 0, 1));
	ASSERT_EQ(0, ia_map(self->ctx, other, BASE, self->mem + PG, PG));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	ASSERT_EQ(0, hw_attach(self->fd, other));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(1, UNMAPS(self->fd));
	EXPECT_TRUE(sees_mapped(self->fd, BASE, 2));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 2));
	/* the IOASID that it left does not list it */
	ASSERT_EQ(0, unmap(self, 0, 1, NULL));
	EXPECT_EQ(1, UNMAPS(self->fd));
	EXPECT_EQ(1, PINS(self->fd));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(0, info.nr_devices);
	ASSERT_EQ(0, ia_free(self->ctx, self->id));
	EXPECT_EQ(-EBUSY, ia_free(self->ctx, other));
}

/* --- pins --- */

TEST_F(hw_emulated, pin)
{
	int i;

	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, map(self, 4, 4));
	/* across both */
	ASSERT_EQ(0, mock_pin(self->fd, BASE + 2 * PG, 4 * PG));
	EXPECT_EQ(4, PINS(self->fd));
	for (i = 2; i < 6; i++)
		EXPECT_TRUE(sees_pinned(self->fd, BASE + i * PG, 1 + i));
	EXPECT_FALSE(sees_pinned(self->fd, BASE + PG, 2));
	dut_fill(self->mem + 3 * PG, PG, 77);
	EXPECT_TRUE(sees_pinned(self->fd, BASE + 3 * PG, 77));
	ASSERT_EQ(0, mock_put(self->fd, IOASID_MOCK_WRITE_PINNED, 0,
			      BASE + 5 * PG - 3, "parity", 6));
	EXPECT_EQ(0, memcmp(self->mem + 5 * PG - 3, "parity", 6));
	ASSERT_EQ(0, mock_unpin(self->fd, BASE, NR_PAGES * PG));
	EXPECT_EQ(0, PINS(self->fd));
	/* the driver is not asked now */
	ASSERT_EQ(0, unmap(self, 0, 8, NULL));
	EXPECT_EQ(0, UNMAPS(self->fd));
}

/* The process loses its memory; the device does not. */
TEST_F(hw_emulated, pin_outlives_memory)
{
	ASSERT_EQ(0, map(self, 0, 2));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	ASSERT_EQ(0, munmap(self->mem, 2 * PG));
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 1));
	EXPECT_TRUE(sees_mapped(self->fd, BASE + PG, 2));
	ASSERT_EQ(0, unmap(self, 0, 2, NULL));
	EXPECT_EQ(0, PINS(self->fd));
	munmap(self->mem + 2 * PG, (NR_PAGES - 2) * PG);
	self->mem = NULL;
}

TEST_F(hw_emulated, pin_twice)
{
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, 2 * PG));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG, 2 * PG));
	EXPECT_EQ(4, PINS(self->fd));
	/* the driver unpins both pages, or this would hang */
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(1, UNMAPS(self->fd));
}

/* As in VFIO, the pinned pages start with the page of the IOVA. */
TEST_F(hw_emulated, pin_unaligned)
{
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG + 8, PG));
	EXPECT_TRUE(sees_pinned(self->fd, BASE + PG, 2));
	EXPECT_FALSE(sees_pinned(self->fd, BASE, 1));
	EXPECT_FALSE(sees_pinned(self->fd, BASE + 2 * PG, 3));
	/* a neighbouring page is not in use */
	ASSERT_EQ(0, cut(self, 0, 1));
	ASSERT_EQ(0, cut(self, 2, 1));
	EXPECT_EQ(1, PINS(self->fd));
	/* and it is unpinned by the IOVA that it was pinned by */
	ASSERT_EQ(0, mock_unpin(self->fd, BASE + PG, PG));
	EXPECT_EQ(0, PINS(self->fd));
	ASSERT_EQ(0, mock_behave(self->fd, IOASID_MOCK_UNMAP_NEVER, 0));
	EXPECT_EQ(0, cut(self, 1, 1));
	/* two of them, by the last byte of the first */
	ASSERT_EQ(0, mock_behave(self->fd, IOASID_MOCK_UNMAP_NOW, 0));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, NULL));
	ASSERT_EQ(0, map(self, 0, 2));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG - 1, 2 * PG));
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 1));
	EXPECT_TRUE(sees_pinned(self->fd, BASE + PG, 2));
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, BASE + 2 * PG - 1, 2 * PG));
	ASSERT_EQ(0, unmap(self, 0, 2, NULL));
	EXPECT_EQ(0, PINS(self->fd));
}

TEST_F(hw_emulated, pin_what_is_not_there)
{
	__u64 iova = BASE + 8 * PG;

	ASSERT_EQ(0, map(self, 0, 2));
	ASSERT_EQ(0, map(self, 3, 1));
	ASSERT_EQ(0, ia_reserve(self->ctx, self->id, iova, PG));
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, BASE + 2 * PG, PG));
	/* all or none */
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, BASE, 4 * PG));
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, iova, PG));
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, 0, PG));
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, -PG, PG));
	EXPECT_EQ(0, PINS(self->fd));
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_EQ(0, UNMAPS(self->fd));
}

TEST_F(hw_emulated, permission)
{
	__u64 ro = BASE, wo = BASE + PG;
	char buf[8];

	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_FIXED | IOASID_MAP_READ, &ro,
				 IA_PTR(self->mem), PG, 0, 0, 0, NULL));
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id,
				 IOASID_MAP_FIXED | IOASID_MAP_WRITE, &wo,
				 IA_PTR(self->mem + PG), PG, 0, 0, 0, NULL));
	EXPECT_EQ(-EPERM, mock_pin(self->fd, ro, PG));
	EXPECT_EQ(-EPERM, mock_command(self->fd, IOASID_MOCK_PIN, 0, wo, PG, 0));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(0, mock_command(self->fd, IOASID_MOCK_PIN, 0, ro, PG, 0));
	EXPECT_EQ(0, mock_pin(self->fd, wo, PG));
	EXPECT_TRUE(sees_pinned(self->fd, ro, 1));

	EXPECT_EQ(-EPERM, mock_put(self->fd, IOASID_MOCK_WRITE, 0, ro,
				   "refused", 7));
	EXPECT_TRUE(dut_holds(self->mem, PG, 1));
	EXPECT_EQ(-EPERM, mock_get(self->fd, IOASID_MOCK_READ, 0, wo, buf, 8));
	EXPECT_EQ(0, mock_put(self->fd, IOASID_MOCK_WRITE, 0, wo, "granted",
			      7));
	EXPECT_EQ(0, memcmp(self->mem + PG, "granted", 7));
	/* from a readable page into one that is not writable */
	EXPECT_EQ(-EPERM, mock_get(self->fd, IOASID_MOCK_READ, 0, wo - 4, buf,
				   8));
	EXPECT_TRUE(dut_holds(self->mem, PG, 1));
}

/* --- copies --- */

TEST_F(hw_emulated, rw)
{
	char buf[3 * 4096], want[3 * 4096];

	ASSERT_EQ(0, map(self, 0, 1));
	ASSERT_EQ(0, map(self, 1, 4));
	/* a third one whose memory comes before */
	ASSERT_EQ(0, ia_map(self->ctx, self->id, BASE + 5 * PG,
			    self->mem + 2 * PG, PG));
	ASSERT_EQ(0, mock_get(self->fd, IOASID_MOCK_READ, 0, BASE + PG - 1, buf,
			      PG + 2));
	EXPECT_EQ(0, memcmp(buf, self->mem + PG - 1, PG + 2));
	memset(buf, 0x5a, sizeof(buf));
	ASSERT_EQ(0, mock_put(self->fd, IOASID_MOCK_WRITE, 0,
			      BASE + 5 * PG - 7, buf, 16));
	EXPECT_EQ(0, memcmp(self->mem + 5 * PG - 7, buf, 7));
	EXPECT_EQ(0, memcmp(self->mem + 2 * PG, buf, 9));
	/* no byte more */
	dut_fill(want, PG, 1 + 4);
	EXPECT_EQ(0, memcmp(self->mem + 4 * PG, want, PG - 7));
	dut_fill(want, PG, 1 + 2);
	EXPECT_EQ(0, memcmp(self->mem + 2 * PG + 9, want + 9, PG - 9));
	EXPECT_TRUE(dut_holds(self->mem + 5 * PG, PG, 1 + 5));
	/* into a hole, or all of the copy before the hole */
	EXPECT_EQ(-ENOENT, mock_get(self->fd, IOASID_MOCK_READ, 0,
				    BASE + 6 * PG - 8, buf, 9));
	EXPECT_EQ(-ENOENT, mock_get(self->fd, IOASID_MOCK_READ, 0,
				    BASE + 6 * PG, buf, 1));
	EXPECT_EQ(0, mock_get(self->fd, IOASID_MOCK_READ, 0, BASE + 6 * PG - 8,
			      buf, 8));
	EXPECT_EQ(0, UNMAPS(self->fd));
}

TEST_F(hw_emulated, end_of_space)
{
	__u64 last = -PG;
	char buf[16];

	ASSERT_EQ(0, ia_map(self->ctx, self->id, last, self->mem, PG));
	ASSERT_EQ(0, mock_pin(self->fd, last, PG));
	EXPECT_TRUE(sees_pinned(self->fd, last, 1));
	ASSERT_EQ(0, mock_get(self->fd, IOASID_MOCK_READ, 0, -16ULL, buf, 16));
	EXPECT_EQ(0, memcmp(buf, self->mem + PG - 16, 16));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, last, PG, NULL));
	EXPECT_EQ(0, PINS(self->fd));
}

TEST_F(hw_emulated, kthread)
{
	char buf[64];

	ASSERT_EQ(0, map(self, 0, 2));
	ASSERT_EQ(0, mock_get(self->fd, IOASID_MOCK_READ, IOASID_MOCK_KTHREAD,
			      BASE + PG - 32, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, self->mem + PG - 32, sizeof(buf)));
	ASSERT_EQ(0, mock_put(self->fd, IOASID_MOCK_WRITE, IOASID_MOCK_KTHREAD,
			      BASE + 5, "kthread", 7));
	EXPECT_EQ(0, memcmp(self->mem + 5, "kthread", 7));
	EXPECT_EQ(-ENOENT, mock_get(self->fd, IOASID_MOCK_READ,
				    IOASID_MOCK_KTHREAD, BASE + 2 * PG, buf,
				    1));
	ASSERT_EQ(0, mock_command(self->fd, IOASID_MOCK_PIN,
				  IOASID_MOCK_KTHREAD, BASE + PG, PG, 0));
	EXPECT_TRUE(sees_pinned(self->fd, BASE + PG, 2));
	ASSERT_EQ(0, mock_command(self->fd, IOASID_MOCK_UNPIN,
				  IOASID_MOCK_KTHREAD, BASE + PG, PG, 0));
	EXPECT_EQ(0, PINS(self->fd));
}

/* --- unmap --- */

TEST_F(hw_emulated, unmap)
{
	struct ioasid_mock_status status;
	__u64 unmapped;

	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, map(self, 4, 2));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG, PG));
	/* a neighbour does not matter */
	ASSERT_EQ(0, unmap(self, 4, 2, &unmapped));
	EXPECT_EQ(2 * PG, unmapped);
	EXPECT_EQ(0, UNMAPS(self->fd));
	ASSERT_EQ(0, unmap(self, 0, 4, &unmapped));
	EXPECT_EQ(4 * PG, unmapped);
	status = mock_status(self->fd);
	EXPECT_EQ(1, status.unmaps);
	EXPECT_EQ(BASE, status.unmap_iova);
	EXPECT_EQ(4 * PG, status.unmap_length);
	EXPECT_EQ(0, status.pins);
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, BASE + PG, PG));
}

TEST_F(hw_emulated, unmap_all)
{
	__u64 unmapped;
	int i;

	for (i = 0; i < NR_PAGES; i++)
		ASSERT_EQ(0, map(self, i, 1));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + 3 * PG, 4 * PG));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, &unmapped));
	EXPECT_EQ(NR_PAGES * PG, unmapped);
	EXPECT_EQ(4, UNMAPS(self->fd));
	EXPECT_EQ(0, PINS(self->fd));
}

/* A driver that sleeps before it unpins, and one that unpins afterwards. */
TEST_F(hw_emulated, unmap_waits)
{
	static const __u32 how[] = {
		IOASID_MOCK_UNMAP_NOW, IOASID_MOCK_UNMAP_LATE,
	};
	__u64 start, took;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, map(self, 0, 4));
		ASSERT_EQ(0, mock_pin(self->fd, BASE, 3 * PG));
		ASSERT_EQ(0, mock_behave(self->fd, how[i], DELAY_MS));
		start = ia_now_ms();
		ASSERT_EQ(0, unmap(self, 0, 4, NULL));
		took = ia_now_ms() - start;
		EXPECT_LE(DELAY_MS - 20, took);
		EXPECT_EQ(0, PINS(self->fd));
		EXPECT_EQ(i + 1, UNMAPS(self->fd));
	}
}

struct unmapper {
	pthread_t thread;
	int ctx;
	__u32 id;
	__u64 iova;
	__u64 length;
	int rc;
};

static void *unmapper(void *data)
{
	struct unmapper *u = data;

	u->rc = ia_unmap(u->ctx, u->id, u->iova, u->length, NULL);
	return NULL;
}

/* While an unmap waits for the driver, unrelated commands go on. */
TEST_F(hw_emulated, others_do_not_wait)
{
	struct unmapper u = {
		.ctx = self->ctx, .id = self->id, .iova = BASE, .length = PG,
	};
	__u64 start;

	ASSERT_EQ(0, map(self, 0, 1));
	ASSERT_EQ(0, map(self, 1, 1));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	ASSERT_EQ(0, mock_behave(self->fd, IOASID_MOCK_UNMAP_LATE, 2000));
	start = ia_now_ms();
	ASSERT_EQ(0, pthread_create(&u.thread, NULL, unmapper, &u));
	while (!UNMAPS(self->fd))
		usleep(1000);
	EXPECT_EQ(0, map(self, 2, 1));
	EXPECT_EQ(0, unmap(self, 1, 1, NULL));
	EXPECT_TRUE(sees_mapped(self->fd, BASE + 2 * PG, 3));
	/* a mapping that is being unmapped cannot be pinned anew */
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, BASE, PG));
	/* the old pin still holds it */
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 1));
	EXPECT_GT(2000, ia_now_ms() - start);
	ASSERT_EQ(0, pthread_join(u.thread, NULL));
	EXPECT_EQ(0, u.rc);
	EXPECT_LE(2000 - 20, ia_now_ms() - start);
	ASSERT_EQ(0, map(self, 0, 1));
}

/* A driver that does not unpin: the mapping stays, and can be used. */
TEST_F(hw_emulated, stubborn)
{
	struct ioasid_info info;
	__u64 unmapped, start;

	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, map(self, 4, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG, PG));
	ASSERT_EQ(0, mock_behave(self->fd, IOASID_MOCK_UNMAP_NEVER, 0));
	start = ia_now_ms();
	ASSERT_EQ(-EBUSY, ia_unmap_all(self->ctx, self->id, &unmapped));
	EXPECT_LE(PATIENCE_MS - 20, ia_now_ms() - start);
	/* it delays no other command */
	EXPECT_EQ(4 * PG, unmapped);
	EXPECT_EQ(1, UNMAPS(self->fd));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(1, info.nr_mappings);
	EXPECT_EQ(4 * PG, info.bytes_mapped);
	EXPECT_TRUE(sees_pinned(self->fd, BASE + PG, 2));
	EXPECT_TRUE(sees_mapped(self->fd, BASE + 3 * PG, 4));
	EXPECT_EQ(0, mock_pin(self->fd, BASE + 2 * PG, PG));
	EXPECT_EQ(-EEXIST, map(self, 0, 1));
	EXPECT_EQ(0, map(self, 4, 4));
	/* until it unpins */
	ASSERT_EQ(0, mock_unpin(self->fd, BASE, 4 * PG));
	ASSERT_EQ(0, unmap(self, 0, 8, &unmapped));
	EXPECT_EQ(8 * PG, unmapped);
}

/* --- cuts --- */

TEST_F(hw_emulated, cut_on_grid)
{
	struct ioasid_mock_status status;
	__u64 iova = BASE;

	ASSERT_EQ(0, ia_map_full(self->ctx, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(self->mem), 8 * PG, 2 * PG, 0, 0,
				 NULL));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG, PG));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + 6 * PG, PG));
	/* off the grid no page is unmapped, and no driver is asked */
	EXPECT_EQ(-EINVAL, unmap(self, 3, 5, NULL));
	EXPECT_EQ(0, UNMAPS(self->fd));
	ASSERT_EQ(0, unmap(self, 4, 4, NULL));
	status = mock_status(self->fd);
	EXPECT_EQ(1, status.unmaps);
	EXPECT_EQ(BASE + 4 * PG, status.unmap_iova);
	EXPECT_EQ(4 * PG, status.unmap_length);
	EXPECT_EQ(1, status.pins);
	EXPECT_TRUE(sees_pinned(self->fd, BASE + PG, 2));
	EXPECT_TRUE(sees_mapped(self->fd, BASE + 3 * PG, 4));
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, BASE + 4 * PG, PG));
	ASSERT_EQ(0, unmap(self, 2, 2, NULL));
	EXPECT_EQ(1, UNMAPS(self->fd));
	ASSERT_EQ(0, unmap(self, 0, 2, NULL));
	EXPECT_EQ(2, UNMAPS(self->fd));
	EXPECT_EQ(0, PINS(self->fd));
}

TEST_F(hw_emulated, cut_out_of_the_middle)
{
	ASSERT_EQ(0, map(self, 0, 8));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG, PG));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + 6 * PG, 2 * PG));
	ASSERT_EQ(0, cut(self, 3, 2));
	EXPECT_EQ(0, UNMAPS(self->fd));
	EXPECT_EQ(3, PINS(self->fd));
	EXPECT_TRUE(sees_pinned(self->fd, BASE + PG, 2));
	EXPECT_TRUE(sees_pinned(self->fd, BASE + 7 * PG, 8));
	EXPECT_TRUE(sees_mapped(self->fd, BASE + 5 * PG, 6));
	EXPECT_EQ(-ENOENT, mock_pin(self->fd, BASE + 3 * PG, PG));
	/* each remainder keeps its own pins */
	ASSERT_EQ(0, mock_unpin(self->fd, BASE + PG, PG));
	ASSERT_EQ(0, unmap(self, 0, 3, NULL));
	EXPECT_EQ(0, UNMAPS(self->fd));
	EXPECT_EQ(2, PINS(self->fd));
	ASSERT_EQ(0, unmap(self, 5, 3, NULL));
	EXPECT_EQ(1, UNMAPS(self->fd));
	EXPECT_EQ(0, PINS(self->fd));
}

/* With pins in the part that is unmapped, and in the rest. */
TEST_F(hw_emulated, cut_through_pins)
{
	ASSERT_EQ(0, map(self, 0, 8));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, 8 * PG));
	ASSERT_EQ(0, cut(self, 2, 1));
	EXPECT_EQ(7, PINS(self->fd));
	ASSERT_EQ(0, cut(self, 4, 4));
	EXPECT_EQ(3, PINS(self->fd));
	EXPECT_TRUE(sees_pinned(self->fd, BASE + PG, 2));
	EXPECT_TRUE(sees_pinned(self->fd, BASE + 3 * PG, 4));
	ASSERT_EQ(0, unmap(self, 0, 8, NULL));
	EXPECT_EQ(0, PINS(self->fd));
}

/* --- users that end --- */

TEST_F(hw_emulated, detach_with_pins)
{
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, 3 * PG));
	ASSERT_EQ(0, hw_detach(self->fd, self->id));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(-EINVAL, mock_pin(self->fd, BASE, PG));
	EXPECT_FALSE(sees_mapped(self->fd, BASE, 1));
	EXPECT_EQ(-ENOENT, hw_detach(self->fd, 0));
	ASSERT_EQ(0, hw_attach(self->fd, self->id));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 1));
	ASSERT_EQ(0, hw_detach(self->fd, 0));
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	ASSERT_EQ(0, ia_free(self->ctx, self->id));
}

TEST_F(hw_emulated, close_with_pins)
{
	__u64 start;

	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, 3 * PG));
	/* even a driver that never unpins must do so at close */
	ASSERT_EQ(0, mock_behave(self->fd, IOASID_MOCK_UNMAP_NEVER, 0));
	close(self->fd);
	start = ia_now_ms();
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_GT(PATIENCE_MS, ia_now_ms() - start);
	ASSERT_EQ(0, ia_free(self->ctx, self->id));
	/* the next user starts with no pins */
	self->fd = mock_open(0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, hw_bind(self->fd, self->ctx, 0xe1, NULL));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(-EINVAL, mock_pin(self->fd, BASE, PG));
}

TEST_F(hw_emulated, file_closed_first)
{
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, 2 * PG));
	close(self->ctx);
	self->ctx = -1;
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 1));
	EXPECT_TRUE(sees_mapped(self->fd, BASE + 3 * PG, 4));
	EXPECT_EQ(0, mock_pin(self->fd, BASE + 2 * PG, PG));
	EXPECT_EQ(0, hw_detach(self->fd, self->id));
	EXPECT_EQ(0, PINS(self->fd));
	close(self->fd);
	self->fd = -1;
}

/* The process that mapped has ended, with all its memory. */
TEST_F(hw_emulated, mapper_gone)
{
	int status;
	pid_t pid;

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char *p = ia_mem(2 * PG);

		if (!p)
			_exit(KSFT_FAIL);
		fill_pages(p, 2, 90);
		if (ia_map(self->ctx, self->id, BASE, p, 2 * PG) ||
		    mock_pin(self->fd, BASE, PG))
			_exit(KSFT_FAIL);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_TRUE(sees_pinned(self->fd, BASE, 90));
	EXPECT_TRUE(sees_mapped(self->fd, BASE + PG, 91));
	EXPECT_EQ(0, mock_put(self->fd, IOASID_MOCK_WRITE, IOASID_MOCK_KTHREAD,
			      BASE + PG, "orphan", 6));
	EXPECT_EQ(0, mock_pin(self->fd, BASE + PG, PG));
	ASSERT_EQ(0, unmap(self, 0, 2, NULL));
	EXPECT_EQ(0, PINS(self->fd));
}

/* --- several devices --- */

TEST_F(hw_emulated, two)
{
	struct ioasid_info info;
	__u64 start;
	int fd;

	fd = mock_open(1);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, hw_bind_full(fd, self->ctx, self->id, 2, NULL, NULL));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(2, info.nr_devices);

	/* the same page; each has its own pin of it */
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG, PG));
	ASSERT_EQ(0, mock_pin(fd, BASE + PG, PG));
	ASSERT_EQ(0, mock_unpin(self->fd, BASE, 4 * PG));
	EXPECT_TRUE(sees_pinned(fd, BASE + PG, 2));
	ASSERT_EQ(0, mock_behave(fd, IOASID_MOCK_UNMAP_LATE, DELAY_MS));
	start = ia_now_ms();
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_LE(DELAY_MS - 20, ia_now_ms() - start);
	EXPECT_EQ(0, PINS(fd));

	/* both are asked */
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_behave(fd, IOASID_MOCK_UNMAP_NOW, 0));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, 2 * PG));
	ASSERT_EQ(0, mock_pin(fd, BASE + PG, 2 * PG));
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(0, PINS(fd));

	/* one is detached, the other keeps its pins */
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, 2 * PG));
	ASSERT_EQ(0, mock_pin(fd, BASE + PG, 2 * PG));
	ASSERT_EQ(0, hw_detach(self->fd, self->id));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(2, PINS(fd));
	EXPECT_TRUE(sees_pinned(fd, BASE + PG, 2));
	EXPECT_EQ(-EINVAL, mock_pin(self->fd, BASE, PG));
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_EQ(0, PINS(fd));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(1, info.nr_devices);
	close(fd);
}

/* An emulated device beside a physical one. */
TEST_F(hw_emulated, beside_hardware)
{
	struct dut dut;
	__u64 start;
	int rc;

	rc = dut_open(&dut, &engine_edu, 0, 0);
	if (rc == -ENOENT)
		SKIP(return, "no edu behind an IOMMU");
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, dut_admit(&dut, self->ctx, self->id));
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE + PG, 2 * PG));
	ASSERT_EQ(0, dut_bind(&dut, self->ctx, 2));
	ASSERT_EQ(0, dut_attach(&dut, self->id));
	EXPECT_EQ(0, UNMAPS(self->fd));

	/* the emulated device writes, the physical one reads */
	ASSERT_EQ(0, dut_put(&dut, BASE + PG, 40));
	ASSERT_TRUE(dut_holds(self->mem + PG, DUT_LEN, 40));
	ASSERT_EQ(0, mock_get(self->fd, IOASID_MOCK_READ_PINNED, 0, BASE + PG,
			      self->mem + 8 * PG, DUT_LEN));
	EXPECT_TRUE(dut_holds(self->mem + 8 * PG, DUT_LEN, 40));
	dut_fill(self->mem + 8 * PG, DUT_LEN, 41);
	ASSERT_EQ(0, mock_put(self->fd, IOASID_MOCK_WRITE, IOASID_MOCK_KTHREAD,
			      BASE + 3 * PG, self->mem + 8 * PG, DUT_LEN));
	EXPECT_TRUE(dut_sees(&dut, BASE + 3 * PG, 41));

	/* a cut, of memory that both use */
	ASSERT_EQ(0, cut(self, 2, 1));
	EXPECT_EQ(1, PINS(self->fd));
	EXPECT_TRUE(dut_misses(&dut, BASE + 2 * PG, self->mem + 2 * PG));
	EXPECT_TRUE(dut_reaches(&dut, BASE + PG, self->mem + PG));
	EXPECT_TRUE(dut_reaches(&dut, BASE + 3 * PG, self->mem + 3 * PG));

	/* while the driver pins it, the hardware may reach it, too */
	ASSERT_EQ(0, mock_behave(self->fd, IOASID_MOCK_UNMAP_LATE, DELAY_MS));
	start = ia_now_ms();
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_LE(DELAY_MS - 20, ia_now_ms() - start);
	EXPECT_TRUE(dut_misses(&dut, BASE + PG, self->mem + PG));

	/* one is detached, the other stays */
	ASSERT_EQ(0, map(self, 0, 1));
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(dut_reaches(&dut, BASE, self->mem));
	dut_close(&dut);
}

/* --- an argument in memory that is slow --- */

struct attacher {
	pthread_t thread;
	int fd;
	struct ioasid_device_attach *arg;
	int rc;
};

static void *attacher(void *data)
{
	struct attacher *a = data;

	a->rc = ia_cmd(a->fd, VFIO_DEVICE_ATTACH_IOASID, a->arg);
	return NULL;
}

/* A thread that waits for its argument to be faulted in delays no other one. */
TEST_F(hw_emulated, argument_faults)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *page = ia_mem(PG), *source = ia_mem(PG);
	struct uffdio_register reg = {
		.range = { .start = IA_PTR(page), .len = PG },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy copy = {
		.dst = IA_PTR(page), .src = IA_PTR(source), .len = PG,
	};
	struct ioasid_device_attach attach = { .argsz = sizeof(attach) };
	struct attacher a = { .fd = self->fd, .arg = (void *)page };
	struct pollfd p = { .events = POLLIN };
	__u32 other;

	ASSERT_NE(NULL, page);
	ASSERT_NE(NULL, source);
	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	attach.ioasid = other;
	memcpy(source, &attach, sizeof(attach));
	p.fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (p.fd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, ioctl(p.fd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(p.fd, UFFDIO_REGISTER, &reg));

	ASSERT_EQ(0, pthread_create(&a.thread, NULL, attacher, &a));
	ASSERT_EQ(1, poll(&p, 1, 20000));
	/* hangs if it does not work */
	EXPECT_EQ(0, hw_detach(self->fd, self->id));
	EXPECT_EQ(0, hw_attach(self->fd, self->id));
	ASSERT_EQ(0, ioctl(p.fd, UFFDIO_COPY, &copy));
	ASSERT_EQ(0, pthread_join(a.thread, NULL));
	EXPECT_EQ(0, a.rc);
	EXPECT_EQ(0, hw_detach(self->fd, other));
	close(p.fd);
}

/* --- races --- */

struct user {
	pthread_t thread;
	int fd;
	unsigned int nr;
	bool by_pins;
	bool *stop;
	int wrong;
	unsigned long hits;
};

/* A page that the test has written, or none at all. */
static bool page_whole(const char *page)
{
	const __u32 *word = (const __u32 *)page;
	unsigned int i;

	for (i = 1; i < 64; i++)
		if (word[i] != word[0])
			return false;
	return true;
}

/* Errors that are allowed when a page comes and goes. */
static bool may_fail(int rc)
{
	return !rc || rc == -ENOENT || rc == -EINVAL || rc == -ENXIO;
}

static void *user(void *data)
{
	struct user *u = data;
	__u64 offset = u->nr * 0x1000, iova;
	unsigned int seed = u->nr + 1;
	char page[256];
	int rc;

	while (!__atomic_load_n(u->stop, __ATOMIC_RELAXED) && !u->wrong) {
		__u32 op = IOASID_MOCK_READ;
		__u32 flags = 0;

		seed = seed * 1103515245 + 12345;
		iova = BASE + (seed >> 16) % 8 * PG;
		if (!((seed >> 8) & 31))
			flags = IOASID_MOCK_KTHREAD;
		if (u->by_pins) {
			rc = mock_command(u->fd, IOASID_MOCK_PIN, flags, iova,
					  PG, 0);
			if (!may_fail(rc))
				u->wrong = rc;
			if (rc)
				continue;
			op = IOASID_MOCK_READ_PINNED;
			flags = 0;
		}
		rc = mock_command(u->fd, op, flags, iova, sizeof(page), offset);
		if (!rc) {
			u->hits++;
			rc = mock_access(u->fd, false,
					 IOASID_MOCK_MEMORY + offset, page,
					 sizeof(page));
			if (!rc && !page_whole(page))
				rc = -EILSEQ;
		}
		if (!may_fail(rc))
			u->wrong = rc;
		if (u->by_pins)
			mock_unpin(u->fd, iova, PG);
	}
	return NULL;
}

#define NR_USERS 4

static int start_users(struct user *users, const int *fds, bool *stop)
{
	int i, rc;

	for (i = 0; i < NR_USERS; i++) {
		users[i] = (struct user){
			.fd = fds[i / 2], .nr = i, .by_pins = i & 1,
			.stop = stop,
		};
		rc = pthread_create(&users[i].thread, NULL, user, &users[i]);
		if (rc)
			return -rc;
	}
	return 0;
}

static int stop_users(struct user *users, bool *stop)
{
	int i, wrong = 0;

	__atomic_store_n(stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < NR_USERS; i++) {
		pthread_join(users[i].thread, NULL);
		if (users[i].wrong)
			wrong = users[i].wrong;
	}
	return wrong;
}

static int rounds(void)
{
	return ia_slow_kernel() ? 300 : 3000;
}

TEST_F(hw_emulated, race_unmap)
{
	struct user users[NR_USERS];
	unsigned long hits = 0;
	bool stop = false;
	__u64 unmapped;
	int i, fds[2];

	for (i = 0; i < NR_PAGES; i++)
		memset(self->mem + i * PG, i + 1, PG);
	fds[0] = self->fd;
	fds[1] = mock_open(1);
	ASSERT_LE(0, fds[1]);
	ASSERT_EQ(0, hw_bind_full(fds[1], self->ctx, self->id, 2, NULL, NULL));
	ASSERT_EQ(0, start_users(users, fds, &stop));
	for (i = 0; i < rounds(); i++) {
		ASSERT_EQ(0, map(self, 0, 8));
		if (i & 1)
			sched_yield();
		/* at once, or in pieces */
		if (i % 3) {
			int first = i % 7, nr = i % 3;

			ASSERT_EQ(0, cut(self, first, nr));
			ASSERT_EQ(0, unmap(self, 0, 8, &unmapped));
			ASSERT_EQ((8 - nr) * PG, unmapped);
		} else {
			ASSERT_EQ(0, unmap(self, 0, 8, &unmapped));
			ASSERT_EQ(8 * PG, unmapped);
		}
	}
	EXPECT_EQ(0, stop_users(users, &stop));
	for (i = 0; i < NR_USERS; i++)
		hits += users[i].hits;
	EXPECT_NE(0, hits);
	EXPECT_EQ(0, PINS(fds[0]));
	EXPECT_EQ(0, PINS(fds[1]));
	close(fds[1]);
}

/* The devices are attached and detached, too. */
TEST_F(hw_emulated, race_attach)
{
	struct user users[NR_USERS];
	bool stop = false;
	__u32 ids[2];
	int i, fds[2];

	for (i = 0; i < NR_PAGES; i++)
		memset(self->mem + i * PG, i + 1, PG);
	ids[0] = self->id;
	ASSERT_EQ(0, ia_alloc(self->ctx, &ids[1]));
	ASSERT_EQ(0, ia_map(self->ctx, ids[1], BASE, self->mem + 8 * PG,
			    8 * PG));
	ASSERT_EQ(0, map(self, 0, 8));
	fds[0] = self->fd;
	fds[1] = mock_open(1);
	ASSERT_LE(0, fds[1]);
	ASSERT_EQ(0, hw_bind_full(fds[1], self->ctx, self->id, 2, NULL, NULL));
	ASSERT_EQ(0, start_users(users, fds, &stop));
	for (i = 0; i < rounds(); i++) {
		int fd = fds[i & 1];

		ASSERT_EQ(0, hw_attach(fd, ids[(i >> 1) & 1]));
		if (i % 5 == 0)
			ASSERT_EQ(0, hw_detach(fd, 0));
		if (i % 7 == 0) {
			ASSERT_EQ(0, unmap(self, 0, 8, NULL));
			ASSERT_EQ(0, map(self, 0, 8));
		}
	}
	EXPECT_EQ(0, stop_users(users, &stop));
	close(fds[1]);
	ASSERT_EQ(0, unmap(self, 0, 8, NULL));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, ids[1], NULL));
}

TEST_HARNESS_MAIN
