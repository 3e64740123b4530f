// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a device at /dev/ioasid: permission to bind it, the checks of
 * bind, attach and detach, and the end of each party: files that are closed in
 * any order, processes that die in the middle, drivers that are unbound.
 */
#include <glob.h>
#include <linux/iommufd.h>
#include <sys/prctl.h>

#include "hw_life.h"

TEST_F(hw_life, once)
{
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* Without a context, the device fd gives no access. */
TEST_F(hw_life, inert)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct ioasid_device_detach detach = { .argsz = sizeof(detach) };
	char byte;

	EXPECT_EQ(-ENODEV, hw_attach(self->dut.fd, self->id));
	EXPECT_EQ(-ENODEV, hw_detach(self->dut.fd, 0));
	EXPECT_EQ(-ENODEV, ia_cmd(self->dut.fd, VFIO_DEVICE_DETACH_IOASID,
				  &detach));
	EXPECT_NE(0, ia_cmd(self->dut.fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(-1, read(self->dut.fd, &byte, 1));
	EXPECT_EQ(-1, pread(self->dut.fd, &byte, 1, 7ULL << 40));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size, PROT_READ, MAP_SHARED,
				   self->dut.fd, 0));
	/* until it has one */
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	EXPECT_EQ(0, ia_cmd(self->dut.fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(-ENOENT, hw_detach(self->dut.fd, 0));
}

TEST_F(hw_life, bind_twice)
{
	int second = ia_open();

	ASSERT_LE(0, second);
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	EXPECT_EQ(-EBUSY, hw_bind(self->dut.fd, self->ctx, 2, NULL));
	EXPECT_NE(0, hw_bind(self->dut.fd, second, 2, NULL));
	EXPECT_EQ(-EBUSY, hw_bind_full(self->dut.fd, self->ctx, self->id, 2,
				       NULL, NULL));
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	EXPECT_EQ(-EBUSY, hw_bind(self->dut.fd, self->ctx, 2, NULL));
	ASSERT_TRUE(works(&self->dut, self->mem));
	close(second);
}

TEST_F(hw_life, list)
{
	struct ioasid_list_entry entries[16];
	bool space = false, device = false, attachment = false;
	__u32 nr = 16, i;

	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 0xd0));
	ASSERT_EQ(0, ia_list(self->ctx, 0, entries, &nr));
	ASSERT_EQ(2, nr);
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	nr = 16;
	ASSERT_EQ(0, ia_list(self->ctx, 0, entries, &nr));
	ASSERT_EQ(3, nr);
	for (i = 0; i < nr; i++) {
		struct ioasid_list_entry *e = &entries[i];

		if (i)
			EXPECT_LE(entries[i - 1].id, e->id);
		if (e->type == IOASID_LIST_IOASID) {
			space = true;
			EXPECT_EQ(self->id, e->id);
			EXPECT_EQ(0x1d, e->cookie);
		}
		if (e->type == IOASID_LIST_DEVICE) {
			device = true;
			EXPECT_EQ(self->dut.devid, e->id);
			EXPECT_EQ(0xd0, e->cookie);
		}
		if (e->type == IOASID_LIST_ATTACHMENT) {
			attachment = true;
			EXPECT_TRUE(device);
			EXPECT_EQ(self->dut.devid, e->id);
			EXPECT_EQ(0xd0, e->cookie);
			EXPECT_EQ(self->id, e->ioasid);
			EXPECT_EQ(0, e->vpasid);
		}
	}
	EXPECT_TRUE(space && device && attachment);
}

/* The three commands reject bad arguments. */
TEST_F(hw_life, bad_bind)
{
	struct {
		struct ioasid_device_bind cmd;
		__u64 tail;
	} arg;
	int null, dut = self->dut.fd;
	void *page;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, null);
#define BIND_RESET() \
	(memset(&arg, 0, sizeof(arg)), arg.cmd.argsz = sizeof(arg.cmd), \
	 arg.cmd.ioasid_fd = self->ctx)
#define BIND() ia_cmd(dut, VFIO_DEVICE_BIND_IOASID_FD, &arg)

	BIND_RESET();
	arg.cmd.argsz = 0;
	EXPECT_EQ(-EINVAL, BIND());
	arg.cmd.argsz = 8;
	EXPECT_EQ(-EINVAL, BIND());
	arg.cmd.argsz = sizeof(arg.cmd) - 1;
	EXPECT_EQ(-EINVAL, BIND());
	BIND_RESET();
	arg.cmd.argsz = sizeof(arg);
	arg.tail = 1ULL << 63;
	EXPECT_EQ(-E2BIG, BIND());
	arg.cmd.argsz = page_size * 2;
	EXPECT_NE(0, BIND());
	BIND_RESET();
	arg.cmd.flags = 1;
	EXPECT_EQ(-EOPNOTSUPP, BIND());
	arg.cmd.flags = 1u << 31;
	EXPECT_EQ(-EOPNOTSUPP, BIND());
	BIND_RESET();
	arg.cmd.__reserved = 1;
	EXPECT_EQ(-EINVAL, BIND());
	BIND_RESET();
	arg.cmd.ioasid_fd = -1;
	EXPECT_EQ(-EBADF, BIND());
	arg.cmd.ioasid_fd = 1 << 20;
	EXPECT_EQ(-EBADF, BIND());
	arg.cmd.ioasid_fd = null;
	EXPECT_EQ(-EBADF, BIND());
	arg.cmd.ioasid_fd = dut;
	EXPECT_EQ(-EBADF, BIND());
	BIND_RESET();
	arg.cmd.ioasid = self->id + 1000;
	EXPECT_EQ(-ENOENT, BIND());
	EXPECT_EQ(-EFAULT, ia_cmd(dut, VFIO_DEVICE_BIND_IOASID_FD, NULL));
	EXPECT_EQ(-EFAULT, ia_cmd(dut, VFIO_DEVICE_BIND_IOASID_FD,
				  (void *)~0xfffUL));

	/* A bind whose id cannot be written fails. */
	page = ia_mem(page_size);
	ASSERT_NE(NULL, page);
	BIND_RESET();
	memcpy(page, &arg.cmd, sizeof(arg.cmd));
	ASSERT_EQ(0, mprotect(page, page_size, PROT_READ));
	EXPECT_EQ(-EFAULT, ia_cmd(dut, VFIO_DEVICE_BIND_IOASID_FD, page));
	((struct ioasid_device_bind *)&arg.cmd)->ioasid = self->id;
	ASSERT_EQ(0, mprotect(page, page_size, PROT_READ | PROT_WRITE));
	memcpy(page, &arg.cmd, sizeof(arg.cmd));
	ASSERT_EQ(0, mprotect(page, page_size, PROT_READ));
	EXPECT_EQ(-EFAULT, ia_cmd(dut, VFIO_DEVICE_BIND_IOASID_FD, page));
	EXPECT_EQ(-ENODEV, hw_attach(dut, self->id));

	/* a longer structure is allowed, if the rest is 0 */
	BIND_RESET();
	arg.cmd.argsz = sizeof(arg);
	arg.cmd.cookie = 0xd0;
	ASSERT_EQ(0, BIND());
	ASSERT_NE(0, arg.cmd.devid);
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	ASSERT_TRUE(works(&self->dut, self->mem));
	close(null);
}

TEST_F(hw_life, bad_attach)
{
	struct {
		struct ioasid_device_attach cmd;
		__u64 tail;
	} a;
	struct {
		struct ioasid_device_detach cmd;
		__u64 tail;
	} d;
	int dut = self->dut.fd;
	struct ioasid_info info;

#define ATTACH_RESET() \
	(memset(&a, 0, sizeof(a)), a.cmd.argsz = sizeof(a.cmd), \
	 a.cmd.ioasid = self->id)
#define DETACH_RESET() \
	(memset(&d, 0, sizeof(d)), d.cmd.argsz = sizeof(d.cmd), \
	 d.cmd.ioasid = self->id)
#define ATTACH() ia_cmd(dut, VFIO_DEVICE_ATTACH_IOASID, &a)
#define DETACH() ia_cmd(dut, VFIO_DEVICE_DETACH_IOASID, &d)

	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	ATTACH_RESET();
	a.cmd.argsz = 0;
	EXPECT_EQ(-EINVAL, ATTACH());
	a.cmd.argsz = 8;
	EXPECT_EQ(-EINVAL, ATTACH());
	a.cmd.argsz = sizeof(a);
	a.tail = 1;
	EXPECT_EQ(-E2BIG, ATTACH());
	ATTACH_RESET();
	a.cmd.flags = 1U << 31;
	EXPECT_EQ(-EOPNOTSUPP, ATTACH());
	ATTACH_RESET();
	a.cmd.vpasid = 1;
	EXPECT_EQ(-EINVAL, ATTACH());
	EXPECT_EQ(-EFAULT, ia_cmd(dut, VFIO_DEVICE_ATTACH_IOASID, NULL));
	EXPECT_EQ(-ENOENT, hw_attach(dut, 0));
	EXPECT_EQ(-ENOENT, hw_attach(dut, self->id + 1000));
	EXPECT_EQ(-ENOENT, hw_attach(dut, self->dut.devid));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(0, info.nr_devices);
	ATTACH_RESET();
	a.cmd.argsz = sizeof(a);
	EXPECT_EQ(0, ATTACH());

	DETACH_RESET();
	d.cmd.argsz = 8;
	EXPECT_EQ(-EINVAL, DETACH());
	d.cmd.argsz = sizeof(d);
	d.tail = 1;
	EXPECT_EQ(-E2BIG, DETACH());
	DETACH_RESET();
	d.cmd.flags = 2;
	EXPECT_EQ(-EOPNOTSUPP, DETACH());
	DETACH_RESET();
	d.cmd.vpasid = 1;
	EXPECT_EQ(-EINVAL, DETACH());
	EXPECT_EQ(-EFAULT, ia_cmd(dut, VFIO_DEVICE_DETACH_IOASID, NULL));
	EXPECT_EQ(-ENOENT, hw_detach(dut, self->id + 1000));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(1, info.nr_devices);
	DETACH_RESET();
	d.cmd.argsz = sizeof(d);
	EXPECT_EQ(0, DETACH());
	EXPECT_EQ(-ENOENT, DETACH());
}

/* What the driver of a real IOMMU does with PASIDs, and what the kernel says of it. */
TEST_F(hw_life, pasid)
{
	struct ioasid_device_attach a = {
		.argsz = sizeof(a), .flags = IOASID_ATTACH_PASID,
		.ioasid = self->id, .vpasid = 1,
	};
	struct ioasid_device_attach any = {
		.argsz = sizeof(any), .flags = IOASID_ATTACH_PASID_ANY,
		.ioasid = self->id,
	};
	struct ioasid_device_detach d = {
		.argsz = sizeof(d), .flags = IOASID_DETACH_PASID, .vpasid = 1,
	};
	struct ioasid_device_info info;
	int rc;

	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &info));
	TH_LOG("pasid_width %u", info.pasid_width);
	EXPECT_EQ(0, info.nr_pasids);
	rc = ia_cmd(self->dut.fd, VFIO_DEVICE_ATTACH_IOASID, &a);
	if (info.pasid_width) {
		/* the driver may have another reason */
		EXPECT_TRUE(!rc || rc == -EMEDIUMTYPE) TH_LOG("%d", rc);
		EXPECT_LE(1, info.pasids_left);
	} else {
		EXPECT_EQ(-EOPNOTSUPP, rc);
		EXPECT_EQ(-EOPNOTSUPP, ia_cmd(self->dut.fd,
					      VFIO_DEVICE_ATTACH_IOASID, &any));
		EXPECT_EQ(-EOPNOTSUPP, ia_cmd(self->dut.fd,
					      VFIO_DEVICE_DETACH_IOASID, &d));
		EXPECT_EQ(0, info.pasids_left);
		EXPECT_EQ(0, info.caps & IOASID_DEVICE_PASID_HITLESS);
	}
	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &info));
	EXPECT_EQ(!rc, info.nr_pasids);
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	EXPECT_TRUE(works(&self->dut, self->mem));
	if (!rc)
		EXPECT_EQ(0, ia_cmd(self->dut.fd, VFIO_DEVICE_DETACH_IOASID,
				    &d));
}

static int alloc_table(int ctx, __u32 flags, __u32 kind, __u32 parent, __u32 *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.kind = kind,
		.parent = parent,
		.format = parent ? IOMMU_HWPT_DATA_VTD_S1 : 0,
	};
	int rc = ia_cmd(ctx, IOASID_ALLOC, &cmd);

	*id = cmd.ioasid;
	return rc;
}

/* A table of user space, on an IOMMU that walks none: refused, and nothing changes */
TEST_F(hw_life, nested_refused)
{
	struct iommu_hwpt_vtd_s1 table = { .addr_width = 48 };
	struct ioasid_bind_table bind = {
		.argsz = sizeof(bind), .length = sizeof(table),
		.data = IA_PTR(&table),
	};
	struct ioasid_device_info device;
	struct ioasid_info info;
	__u32 root, child;

	if (!ia_check(self->ctx, IOASID_EXT_PGTABLE))
		SKIP(return, "the kernel lacks a patch to the IOMMU core");
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	ASSERT_EQ(0, ia_device_info(self->ctx, self->dut.devid, &device));
	if (device.caps & IOASID_DEVICE_NESTING)
		SKIP(return, "the IOMMU walks tables of user space");
	ASSERT_EQ(0, alloc_table(self->ctx, IOASID_ALLOC_NEST_PARENT,
				 IOASID_KIND_MAP, 0, &root));
	ASSERT_EQ(0, ia_map(self->ctx, root, 0, self->mem, page_size));
	ASSERT_EQ(0, alloc_table(self->ctx, 0, IOASID_KIND_PGTABLE, root, &child));
	EXPECT_EQ(-EOPNOTSUPP, hw_attach(self->dut.fd, child));
	bind.ioasid = child;
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_BIND_PGTABLE, &bind));
	EXPECT_EQ(-EOPNOTSUPP, hw_attach(self->dut.fd, child));
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	EXPECT_EQ(-EOPNOTSUPP, hw_attach(self->dut.fd, child));
	EXPECT_TRUE(works(&self->dut, self->mem));
	ASSERT_EQ(0, ia_info(self->ctx, child, &info));
	EXPECT_EQ(0, info.nr_devices);
	EXPECT_EQ(0, info.nr_domains);
	ASSERT_EQ(0, ia_info(self->ctx, root, &info));
	EXPECT_EQ(0, info.nr_domains);
	EXPECT_EQ(0, ia_free(self->ctx, child));
	EXPECT_EQ(0, ia_free(self->ctx, root));
}

/* Ids belong to the context that the device is bound to. */
TEST_F(hw_life, foreign_id)
{
	int second = ia_open();
	__u32 id, i;

	ASSERT_LE(0, second);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, ia_alloc(second, &id));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	ASSERT_EQ(-ENOENT, hw_attach(self->dut.fd, id));
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	ASSERT_EQ(-ENOENT, ia_free(second, self->dut.devid + 1000));
	/* a context cannot use the devices of another one */
	for (i = 0; i < 20; i++) {
		struct ioasid_device_info info;

		ASSERT_EQ(-ENOENT, ia_device_info(second, i, &info));
	}
	close(second);
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* --- ends --- */

TEST_F(hw_life, close_device)
{
	struct ioasid_device_info dev;
	struct ioasid_info info;
	__u32 devid;
	int i;

	for (i = 0; i < 3; i++) {
		START();
		devid = self->dut.devid;
		ASSERT_TRUE(works(&self->dut, self->mem));
		dut_close_either(&self->dut, &self->group);
		ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
		ASSERT_EQ(0, info.nr_devices);
		ASSERT_EQ(0, info.state);
		ASSERT_EQ(-ENOENT, ia_device_info(self->ctx, devid, &dev));
		ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx,
					     variant->by_group, &self->group));
	}
}

/* In every order: the context, the device, the group. */
TEST_F(hw_life, close_orders)
{
	static const char * const orders[] = { "cdg", "cgd", "dcg", "dgc",
					       "gcd", "gdc" };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		START();
		for (j = 0; j < 3; j++) {
			switch (orders[i][j]) {
			case 'c':
				close(self->ctx);
				break;
			case 'd':
				dut_stop(&self->dut);
				close(self->dut.fd);
				self->dut.fd = -1;
				break;
			case 'g':
				if (self->group >= 0)
					close(self->group);
				self->group = -1;
				break;
			}
			if (self->dut.fd >= 0)
				ASSERT_TRUE(works(&self->dut, self->mem));
		}
		self->ctx = ia_open();
		ASSERT_LE(0, self->ctx);
		ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
		ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
				    page_size));
		ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx,
					     variant->by_group, &self->group));
	}
}

/*
 * The context closes last, with all mappings, and the device works until then.
 */
TEST_F(hw_life, close_context_first)
{
	START();
	close(self->ctx);
	ASSERT_TRUE(works(&self->dut, self->mem));
	ASSERT_EQ(0, dut_prime(&self->dut, 3));
	ASSERT_EQ(0, hw_detach(self->dut.fd, 0));
	ASSERT_TRUE(dut_blocked(&self->dut, TEST_IOVA, self->mem));
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	ASSERT_TRUE(works(&self->dut, self->mem));
	dut_close_either(&self->dut, &self->group);
	self->ctx = ia_open();
	ASSERT_LE(0, self->ctx);
}

/* A file of the device that another process still has keeps it bound. */
TEST_F(hw_life, dup_in_child)
{
	struct ioasid_info info;
	int pipes[2], status;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	START();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1) != 0);
	}
	close(pipes[0]);
	dut_stop(&self->dut);
	close(self->dut.fd);
	self->dut.fd = -1;
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(1, info.nr_devices);
	close(pipes[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(0, info.nr_devices);
}

/* Killed during maps, moves and DMA, the process leaves no device in use. */
TEST_F(hw_life, kill)
{
	int i, status;
	pid_t pid;

	dut_close_either(&self->dut, &self->group);
	for (i = 0; i < 4; i++) {
		struct ioasid_info info;
		struct dut dut = self->dut;
		int ctx, group, round;
		__u32 ids[2];

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			ctx = ia_open();
			if (ctx < 0 || ia_alloc(ctx, &ids[0]) ||
			    ia_alloc(ctx, &ids[1]) ||
			    dut_admit(&dut, ctx, ids[0]) ||
			    dut_admit(&dut, ctx, ids[1]) ||
			    dut_open_either(&dut, ctx, variant->by_group, &group) ||
			    dut_bind(&dut, ctx, i) || dut_attach(&dut, ids[0]))
				_exit(1);
			for (round = 0;; round++) {
				ia_map(ctx, ids[round % 2], TEST_IOVA,
				       self->mem, 8 * page_size);
				dut_store(&dut, TEST_IOVA, DUT_LEN);
				ia_unmap(ctx, ids[round % 2], TEST_IOVA,
					 4 * page_size, NULL);
				hw_attach(dut.fd, ids[round % 2]);
				ia_unmap_full(ctx, ids[round % 2],
					      IOASID_UNMAP_SPLIT, TEST_IOVA,
					      8 * page_size, NULL);
			}
		}
		usleep(100000 + i * 13000);
		ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		/* the next user can bind at once */
		ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx,
					     variant->by_group, &self->group));
		START();
		ASSERT_TRUE(works(&self->dut, self->mem));
		dut_close_either(&self->dut, &self->group);
		ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
		ASSERT_EQ(0, info.nr_devices);
	}
}

/*
 * The write waits until the device is closed. An exiting process that has it
 * open would wait for itself: use another process.
 */
static pid_t unbind_driver(const char *name)
{
	char command[128];
	pid_t pid;

	snprintf(command, sizeof(command),
		 "echo %s >/sys/bus/pci/drivers/vfio-pci/unbind", name);
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	return pid;
}

/* The driver is unbound: the user is asked to close, and is waited for. */
TEST_F(hw_life, unbind_driver)
{
	struct ioasid_info info;
	struct pollfd pfd;
	int fd, status;
	pid_t pid;

	START();
	fd = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_pci_enable_irqs(self->dut.fd,
					  VFIO_PCI_REQ_IRQ_INDEX, &fd, 1));
	pid = unbind_driver(self->dut.name);
	ASSERT_LE(0, pid);
	pfd = (struct pollfd){ .fd = fd, .events = POLLIN };
	ASSERT_EQ(1, poll(&pfd, 1, 10000));
	/* it goes on to work until then */
	ASSERT_TRUE(works(&self->dut, self->mem));
	ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
	dut_close_either(&self->dut, &self->group);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_FALSE(hw_has_driver(self->dut.name, NULL));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(0, info.nr_devices);
	ASSERT_EQ(page_size + self->dut.ctrl_size, info.bytes_mapped);
	/* the space outlives the device, and it can attach again */
	ASSERT_EQ(0, hw_take(self->dut.name));
	ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx, variant->by_group,
				     &self->group));
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
	close(fd);
}

/* The kernel's driver can bind it again, and finds a disk by DMA of its own. */
TEST_F(hw_life, give_back)
{
	bool had = !access("/sys/module/nvme", F_OK);
	char path[64];
	glob_t found;
	int i, rc;

	if (system("modprobe -q nvme"))
		SKIP(return, "no driver of the kernel's");
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
	dut_close_either(&self->dut, &self->group);
	ASSERT_EQ(0, hw_give_back(self->dut.name));
	ASSERT_TRUE(hw_has_driver(self->dut.name, "nvme"));
	snprintf(path, sizeof(path), HW_PCI "%s/nvme/nvme*/nvme*",
		 self->dut.name);
	for (i = 0; i < 100; i++) {
		rc = glob(path, 0, NULL, &found);
		globfree(&found);
		if (!rc)
			break;
		usleep(100000);
	}
	EXPECT_EQ(0, rc);
	ASSERT_EQ(0, hw_take(self->dut.name));
	if (!had)
		EXPECT_EQ(0, system("modprobe -r nvme"));
	ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx, variant->by_group,
				     &self->group));
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* --- the modules --- */

static bool loaded(const char *module)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s/initstate", module);
	return !access(path, F_OK);
}

static int unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

TEST(modules)
{
	struct dut dut;
	int ctx, i, rc;
	__u32 id;

	ctx = ia_open();
	if (ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, ctx);
	if (!loaded("ioasid"))
		SKIP(return, "built into the kernel");
	rc = dut_open(&dut, &engine_nvme, 0, 0);
	if (rc == -ENOENT)
		SKIP(return, "no nvme behind an IOMMU");
	ASSERT_EQ(0, rc);
	/* the model IOMMU needs ioasid; an earlier test may have loaded it */
	unload("ioasid_mock");
	unload("vfio_iommu_ioasid");
	for (i = 0; i < 3; i++) {
		/* an open file, a bound device hold them */
		unload("vfio_ioasid");
		EXPECT_NE(0, unload("ioasid"));
		ASSERT_EQ(0, ia_alloc(ctx, &id));
		ASSERT_EQ(0, dut_admit(&dut, ctx, id));
		/* bind loads the front */
		ASSERT_EQ(0, dut_bind(&dut, ctx, 1));
		ASSERT_EQ(0, dut_attach(&dut, id));
		EXPECT_NE(0, unload("vfio_ioasid"));
		close(ctx);
		EXPECT_NE(0, unload("vfio_ioasid"));
		EXPECT_NE(0, unload("ioasid"));
		dut_stop(&dut);
		close(dut.fd);
		/* no module is in use */
		ASSERT_EQ(0, unload("vfio_ioasid"));
		ASSERT_EQ(0, unload("ioasid"));
		ASSERT_EQ(0, system("modprobe ioasid"));
		ctx = ia_open();
		ASSERT_LE(0, ctx);
		dut.fd = hw_open_device(dut.name);
		ASSERT_LE(0, dut.fd);
	}
	dut_close(&dut);
	close(ctx);
	ASSERT_EQ(0, system("modprobe vfio_ioasid"));
}

TEST_HARNESS_MAIN
