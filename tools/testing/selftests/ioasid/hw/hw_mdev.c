// SPDX-License-Identifier: GPL-2.0-only
/*
 * An emulated device of the sample driver mtty: the kernel does its DMA.
 */
#include "ioasid_test.h"
#include "dut.h"
#include "mdev.h"

FIXTURE(hw_mdev)
{
	int ctx;
	__u32 id;
	int fd;
	__u32 devid;
};

FIXTURE_SETUP(hw_mdev)
{
	self->fd = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	if (mdev_create() == -ENOENT)
		SKIP(return, "no mtty to emulate devices");
	self->fd = mdev_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
}

FIXTURE_TEARDOWN(hw_mdev)
{
	if (self->fd >= 0)
		close(self->fd);
	close(self->ctx);
	mdev_remove();
}

TEST_F(hw_mdev, info)
{
	struct ioasid_iova_range range = { 1, 1 };
	struct ioasid_device_info dev = {
		.argsz = sizeof(dev),
		.nr_ranges = 1,
		.ranges = IA_PTR(&range),
	};

	ASSERT_EQ(0, hw_bind(self->fd, self->ctx, 0xe, &self->devid));
	dev.devid = self->devid;
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_DEVICE_GET_INFO, &dev));
	EXPECT_NE(0, dev.caps & IOASID_DEVICE_EMULATED);
	EXPECT_EQ(-1, dev.group);
	EXPECT_EQ(0xe, dev.cookie);
	EXPECT_EQ(0, dev.ioasid);
	EXPECT_EQ(1, dev.nr_ranges);
	EXPECT_EQ(0, range.start);
	EXPECT_EQ(~0ULL, range.last);
	EXPECT_EQ(0, dev.hw_type);
}

TEST_F(hw_mdev, attach)
{
	struct vfio_device_info vfio = { .argsz = sizeof(vfio) };
	struct ioasid_info info;
	char *p = ia_mem(SZ_1M);
	__u32 other;

	ASSERT_NE(NULL, p);
	EXPECT_EQ(-ENODEV, hw_attach(self->fd, self->id));
	ASSERT_EQ(0, hw_bind(self->fd, self->ctx, 0xe, &self->devid));
	EXPECT_EQ(-EBUSY, hw_bind(self->fd, self->ctx, 0xe, NULL));
	ASSERT_EQ(0, ia_cmd(self->fd, VFIO_DEVICE_GET_INFO, &vfio));
	/* it has no limits of IOVAs */
	ASSERT_EQ(0, ia_map(self->ctx, self->id, 0xfee00000, p, SZ_1M));
	ASSERT_EQ(0, hw_attach(self->fd, self->id));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, -SZ_1M, p, SZ_1M));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(1, info.nr_devices);
	EXPECT_EQ(0, info.nr_domains);
	EXPECT_EQ(IOASID_STATE_ATTACHED, info.state);
	EXPECT_EQ(-EBUSY, ia_free(self->ctx, self->id));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, 0xfee00000, SZ_1M, NULL));
	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, hw_attach(self->fd, other));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(0, info.nr_devices);
	EXPECT_EQ(-ENOENT, hw_detach(self->fd, self->id));
	ASSERT_EQ(0, hw_detach(self->fd, other));
	EXPECT_EQ(-ENOENT, hw_detach(self->fd, 0));
	ASSERT_EQ(0, hw_attach(self->fd, self->id));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, NULL));
	/* the device goes with the attachment in place */
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(0, info.nr_devices);
}

/* An emulated and a physical device in one space. */
TEST_F(hw_mdev, beside_hardware)
{
	struct ioasid_info info;
	struct dut dut;
	char *p;
	int rc;

	rc = dut_open(&dut, &engine_nvme, 0, 0);
	if (rc == -ENOENT)
		SKIP(return, "no nvme behind an IOMMU");
	ASSERT_EQ(0, rc);
	p = ia_mem(page_size);
	ASSERT_EQ(0, dut_admit(&dut, self->ctx, self->id));
	ASSERT_EQ(0, hw_bind_full(self->fd, self->ctx, self->id, 1, NULL,
				  NULL));
	ASSERT_EQ(0, dut_bind(&dut, self->ctx, 2));
	ASSERT_EQ(0, dut_attach(&dut, self->id));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(2, info.nr_devices);
	EXPECT_EQ(1, info.nr_domains);
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, p, page_size));
	ASSERT_TRUE(dut_reaches(&dut, TEST_IOVA, p));
	ASSERT_EQ(0, hw_detach(self->fd, self->id));
	ASSERT_TRUE(dut_reaches(&dut, TEST_IOVA, p));
	dut_close(&dut);
}

/* The emulated device is removed while it is in use. */
TEST_F(hw_mdev, remove)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, hw_bind_full(self->fd, self->ctx, self->id, 1, NULL,
				  NULL));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* waits until the last file of it is closed */
		close(self->fd);
		_exit(!!mdev_remove());
	}
	usleep(200000);
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, ia_free(self->ctx, self->id));
}

TEST_HARNESS_MAIN
