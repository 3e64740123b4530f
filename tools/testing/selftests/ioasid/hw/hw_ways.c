// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices beside other uses of them: files that are passed to a process without
 * privilege, iommufd, containers, commands of groups.
 */
#include <linux/iommufd.h>

#include "hw_life.h"

#define NOBODY 65534

/* --- files passed to other processes --- */

/*
 * A process without privileges, and with nothing but the two files, binds the
 * device, maps memory of its own and does DMA to it.
 */
static int unprivileged_user(int sock, struct dut *dut)
{
	struct rlimit limit = { 2 * SZ_1M, 2 * SZ_1M };
	struct ioasid_info info;
	__u32 id;
	char *p;
	int ctx;

	ctx = ia_recv_fd(sock);
	dut->fd = ia_recv_fd(sock);
	if (ctx < 0 || dut->fd < 0)
		return 1;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) ||
	    setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return 2;
	p = ia_mem(SZ_1M);
	if (!p || ia_alloc(ctx, &id) || dut_admit(dut, ctx, id))
		return 3;
	if (ia_map(ctx, id, TEST_IOVA, p, page_size))
		return 4;
	/* the limit is its own */
	if (ia_map(ctx, id, TEST_IOVA + SZ_1M, p, SZ_1M) != -EDQUOT)
		return 5;
	if (ia_info(ctx, id, &info) ||
	    info.bytes_charged != SZ_1M + page_size ||
	    info.bytes_left != SZ_1M - page_size)
		return 6;
	if (dut_bind(dut, ctx, 0x77) || dut_attach(dut, id))
		return 7;
	if (!dut_reaches(dut, TEST_IOVA, p))
		return 8;
	if (!dut_misses(dut, 2 * TEST_IOVA, p))
		return 9;
	dut_stop(dut);
	/* leave all of it open, and mapped */
	return 0;
}

TEST_F(hw_life, pass_files)
{
	struct ioasid_list_entry entries[16];
	struct dut dut = self->dut;
	int socks[2], status;
	__u32 nr = 16;
	pid_t pid;

	if (variant->by_group)
		SKIP(return, "a group's device would take the context along");
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->ctx);
		close(dut.fd);
		close(socks[0]);
		_exit(unprivileged_user(socks[1], &dut));
	}
	ASSERT_EQ(0, ia_send_fd(socks[0], self->ctx));
	ASSERT_EQ(0, ia_send_fd(socks[0], self->dut.fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* the device stays bound, by the files that are still open here */
	ASSERT_EQ(0, ia_list(self->ctx, 0, entries, &nr));
	ASSERT_EQ(4, nr);
	ASSERT_EQ(0, hw_attach(self->dut.fd, self->id));
	ASSERT_EQ(0, variant->engine->start(&self->dut));
	self->dut.started = true;
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* One process maps a space, and the device of another one uses it. */
TEST_F(hw_life, map_by_another)
{
	char *shared;
	int status;
	pid_t pid;

	shared = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	START();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char *own = ia_mem(page_size);

		dut_fill(own, DUT_LEN, 5);
		if (ia_map(self->ctx, self->id, TEST_IOVA + SZ_1M, own,
			   page_size) ||
		    ia_map(self->ctx, self->id, TEST_IOVA + 2 * SZ_1M, shared,
			   page_size))
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* the device keeps access after the process has ended */
	ASSERT_TRUE(dut_sees(&self->dut, TEST_IOVA + SZ_1M, 5));
	ASSERT_TRUE(dut_reaches(&self->dut, TEST_IOVA + 2 * SZ_1M, shared));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA + SZ_1M,
			      2 * SZ_1M, NULL));
	ASSERT_TRUE(dut_misses(&self->dut, TEST_IOVA + 2 * SZ_1M, shared));
}

/* --- other ways to use a device --- */

TEST_F(hw_life, iommufd)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	int iommufd, other;

	if (variant->by_group)
		SKIP(return, "of device files only");
	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (iommufd < 0)
		SKIP(return, "no /dev/iommu");
	bind.iommufd = iommufd;
	/* first iommufd's, then ours */
	ASSERT_EQ(0, ia_cmd(self->dut.fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	EXPECT_EQ(-EBUSY, hw_bind(self->dut.fd, self->ctx, 1, NULL));
	other = hw_open_cdev(self->dut.name);
	ASSERT_LE(0, other);
	EXPECT_EQ(-EBUSY, hw_bind(other, self->ctx, 1, NULL));
	/* commands of one interface fail on files of the other */
	EXPECT_NE(0, hw_attach(self->dut.fd, self->id));
	EXPECT_NE(0, hw_detach(self->dut.fd, 0));
	close(other);
	close(self->dut.fd);
	self->dut.fd = hw_open_cdev(self->dut.name);
	ASSERT_LE(0, self->dut.fd);
	START();
	EXPECT_NE(0, ia_cmd(self->dut.fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	other = hw_open_cdev(self->dut.name);
	ASSERT_LE(0, other);
	EXPECT_NE(0, ia_cmd(other, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	EXPECT_EQ(-EBUSY, hw_bind(other, self->ctx, 1, NULL));
	/* the close of an unbound file does not affect the bound one */
	close(other);
	close(iommufd);
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/*
 * On 6.12 iommufd cannot use an IOMMU that has first-stage tables only.
 * /dev/ioasid has to work there, and wherever iommufd does.
 */
TEST_F(hw_life, where_iommufd_cannot)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	int iommufd, rc;

	if (variant->by_group)
		SKIP(return, "of device files only");
	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (iommufd < 0)
		SKIP(return, "no /dev/iommu");
	bind.iommufd = iommufd;
	ASSERT_EQ(0, ia_cmd(iommufd, IOMMU_IOAS_ALLOC, &ioas));
	ASSERT_EQ(0, ia_cmd(self->dut.fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	attach.pt_id = ioas.out_ioas_id;
	rc = ia_cmd(self->dut.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	ksft_print_msg("iommufd attaches: %s\n", rc ? strerror(-rc) : "yes");
	close(self->dut.fd);
	close(iommufd);
	self->dut.fd = hw_open_cdev(self->dut.name);
	ASSERT_LE(0, self->dut.fd);
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
	ASSERT_TRUE(dut_misses(&self->dut, 2 * TEST_IOVA, self->mem));
}

TEST_F(hw_life, container)
{
	int container, group, device;

	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (container < 0)
		SKIP(return, "no VFIO containers");
	dut_close_either(&self->dut, &self->group);
	group = hw_open_group(self->dut.name);
	ASSERT_LE(0, group);
	if (hw_set_container(group, container))
		SKIP(return, "/dev/vfio/vfio is no container");
	ASSERT_EQ(0, ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	device = hw_open_cdev(self->dut.name);
	if (device >= 0) {
		EXPECT_EQ(-EBUSY, hw_bind(device, self->ctx, 1, NULL));
		close(device);
	}
	device = hw_group_device(group, self->dut.name);
	ASSERT_LE(0, device);
	EXPECT_NE(0, hw_bind(device, self->ctx, 1, NULL));
	EXPECT_NE(0, hw_attach(device, self->id));
	/* the group has a device open */
	EXPECT_NE(0, hw_set_container(group, self->ctx));
	close(device);
	close(group);
	/* and the other way round */
	ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx, variant->by_group,
				     &self->group));
	START();
	group = self->group;
	if (!variant->by_group)
		group = hw_open_group(self->dut.name);
	if (group >= 0) {
		EXPECT_NE(0, hw_set_container(group, container));
		if (!variant->by_group)
			close(group);
	}
	close(container);
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* Group commands of VFIO with a context. */
TEST_F(hw_life, group_commands)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int second = ia_open(), again;

	ASSERT_LE(0, second);
	if (!variant->by_group)
		SKIP(return, "of group files only");
	ASSERT_EQ(0, ia_cmd(self->group, VFIO_GROUP_GET_STATUS, &status));
	EXPECT_EQ(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET,
		  status.flags);
	EXPECT_NE(0, hw_set_container(self->group, second));
	/* only the context that the group has */
	EXPECT_EQ(-EINVAL, hw_bind(self->dut.fd, second, 1, NULL));
	START();
	/* one device, one file */
	again = hw_group_device(self->group, self->dut.name);
	if (again >= 0) {
		EXPECT_EQ(-EBUSY, hw_bind(again, self->ctx, 1, NULL));
		close(again);
	}
	EXPECT_EQ(-EBUSY, hw_open_group(self->dut.name));
	/* not while a device is in use */
	EXPECT_NE(0, ioctl(self->group, VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_TRUE(works(&self->dut, self->mem));
	dut_stop(&self->dut);
	close(self->dut.fd);
	self->dut.fd = -1;
	ASSERT_EQ(0, ioctl(self->group, VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_EQ(0, hw_set_container(self->group, second));
	self->dut.fd = hw_group_device(self->group, self->dut.name);
	ASSERT_LE(0, self->dut.fd);
	EXPECT_EQ(-EINVAL, hw_bind(self->dut.fd, self->ctx, 1, NULL));
	ASSERT_EQ(0, hw_bind(self->dut.fd, second, 1, NULL));
	close(second);
}

TEST_HARNESS_MAIN
