// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated devices: the end of each party while pages are pinned, several devices,
 * and an argument that is slow to read.
 */
#include <poll.h>
#include <linux/userfaultfd.h>

#include "hw_emulated.h"

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

TEST_HARNESS_MAIN
