// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated devices: a driver of the kernel does their DMA, and pins pages of an
 * IOASID or copies from and to it. Tests of the memory that it sees, and of the
 * waits for its pins. Needs the module ioasid_mock.
 */
#include "hw_emulated.h"

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
	/* one of two pins of a page is left: it is asked again */
	ASSERT_EQ(0, map(self, 0, 4));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	ASSERT_EQ(0, mock_pin(self->fd, BASE, PG));
	ASSERT_EQ(0, mock_unpin_one(self->fd, BASE));
	EXPECT_EQ(1, PINS(self->fd));
	ASSERT_EQ(0, unmap(self, 0, 4, NULL));
	EXPECT_EQ(0, PINS(self->fd));
	EXPECT_EQ(2, UNMAPS(self->fd));
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

TEST_HARNESS_MAIN
