// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a device at /dev/ioasid: permission to bind it, the checks of
 * bind, attach and detach, and the end of each party: files that are closed in
 * any order, processes that die in the middle, drivers that are unbound,
 * threads that do all of it at the same time.
 */
#include <glob.h>
#include <linux/iommufd.h>
#include <sys/prctl.h>

#include "ioasid_test.h"
#include "dut.h"
#include "mdev.h"

#define NOBODY 65534

/* A device fd is opened on its own, or by way of its group. */
FIXTURE(hw_life)
{
	int ctx;
	__u32 id;
	struct dut dut;
	int group;
	char *mem;
};

FIXTURE_VARIANT(hw_life)
{
	const struct engine *engine;
	bool by_group;
};

FIXTURE_VARIANT_ADD(hw_life, cdev) { .engine = &engine_nvme, };
FIXTURE_VARIANT_ADD(hw_life, group) {
	.engine = &engine_nvme, .by_group = true,
};

/* Open the device, without binding it. */
static int life_open(struct dut *dut, int ctx, bool by_group, int *group)
{
	int rc;

	*group = -1;
	if (!by_group) {
		dut->fd = hw_open_cdev(dut->name);
		return dut->fd < 0 ? dut->fd : 0;
	}
	*group = hw_open_group(dut->name);
	if (*group < 0)
		return *group;
	rc = hw_set_container(*group, ctx);
	if (rc)
		return rc;
	dut->fd = hw_group_device(*group, dut->name);
	return dut->fd < 0 ? dut->fd : 0;
}

static void life_close(struct dut *dut, int *group)
{
	dut_stop(dut);
	if (dut->fd >= 0)
		close(dut->fd);
	dut->fd = -1;
	if (*group >= 0)
		close(*group);
	*group = -1;
}

FIXTURE_SETUP(hw_life)
{
	int rc;

	self->dut.fd = -1;
	self->group = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	rc = dut_find(&self->dut, variant->engine, 0);
	if (rc == -ENOENT)
		SKIP(return, "no %s behind an IOMMU", variant->engine->name);
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(16 * page_size);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, 16 * page_size);
	ASSERT_EQ(0, ia_alloc_full(self->ctx, &self->id, 0x1d, 0));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, life_open(&self->dut, self->ctx, variant->by_group,
			       &self->group));
}

FIXTURE_TEARDOWN(hw_life)
{
	life_close(&self->dut, &self->group);
	dut_close(&self->dut);
	close(self->ctx);
}

static void start(struct __test_metadata *_metadata, int ctx, __u32 id,
		  struct dut *dut)
{
	ASSERT_EQ(0, dut_bind(dut, ctx, 0xd0));
	ASSERT_EQ(0, dut_attach(dut, id));
}

#define START() start(_metadata, self->ctx, self->id, &self->dut)

static bool works(struct dut *dut, void *p)
{
	return dut_reaches(dut, TEST_IOVA, p);
}

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
	a.cmd.flags = 1;
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
		life_close(&self->dut, &self->group);
		ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
		ASSERT_EQ(0, info.nr_devices);
		ASSERT_EQ(0, info.state);
		ASSERT_EQ(-ENOENT, ia_device_info(self->ctx, devid, &dev));
		ASSERT_EQ(0, life_open(&self->dut, self->ctx,
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
		ASSERT_EQ(0, life_open(&self->dut, self->ctx,
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
	life_close(&self->dut, &self->group);
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

	life_close(&self->dut, &self->group);
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
			    life_open(&dut, ctx, variant->by_group, &group) ||
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
		ASSERT_EQ(0, life_open(&self->dut, self->ctx,
				       variant->by_group, &self->group));
		START();
		ASSERT_TRUE(works(&self->dut, self->mem));
		life_close(&self->dut, &self->group);
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
	life_close(&self->dut, &self->group);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_FALSE(hw_has_driver(self->dut.name, NULL));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(0, info.nr_devices);
	ASSERT_EQ(page_size + self->dut.ctrl_size, info.bytes_mapped);
	/* the space outlives the device, and it can attach again */
	ASSERT_EQ(0, hw_take(self->dut.name));
	ASSERT_EQ(0, life_open(&self->dut, self->ctx, variant->by_group,
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
	life_close(&self->dut, &self->group);
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
	ASSERT_EQ(0, life_open(&self->dut, self->ctx, variant->by_group,
			       &self->group));
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
}

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
	life_close(&self->dut, &self->group);
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
	ASSERT_EQ(0, life_open(&self->dut, self->ctx, variant->by_group,
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

/* --- concurrency --- */

enum { RACERS = 10 };

struct race {
	struct dut *dut;
	int ctx;
	__u32 ids[2];
	char *mem;
	bool stop;
	/* errors that no command may return */
	int bad;
	unsigned int bad_op;
};

struct racer {
	struct race *race;
	unsigned int nr;
	pthread_t thread;
};

static bool race_error_known(int rc)
{
	switch (rc) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -EBUSY:
	case -EBADF:
	case -ENODEV:
	case -ECANCELED:
	case -EINVAL:
	case -EADDRINUSE:
		return true;
	}
	return false;
}

static int race_step(struct race *race, unsigned int op, unsigned int *seed)
{
	__u32 id = race->ids[rand_r(seed) % 2];
	__u64 iova = TEST_IOVA + rand_r(seed) % 8 * page_size;
	struct ioasid_list_entry entries[8];
	struct ioasid_device_info dev;
	struct ioasid_info info;
	__u32 nr = 8, temp;
	int rc;

	switch (op) {
	case 0:
	case 1:
		return hw_attach(race->dut->fd, id);
	case 2:
		return hw_detach(race->dut->fd, 0);
	case 3:
	case 4:
		return ia_map(race->ctx, id, iova, race->mem, 4 * page_size);
	case 5:
		return ia_unmap_full(race->ctx, id, IOASID_UNMAP_SPLIT, iova,
				     2 * page_size, NULL);
	case 6:
		return ia_unmap_all(race->ctx, id, NULL);
	case 7:
		rc = ia_device_info(race->ctx, race->dut->devid, &dev);
		return rc ? rc : ia_info(race->ctx, id, &info);
	case 8:
		return ia_list(race->ctx, 0, entries, &nr);
	default:
		rc = ia_alloc(race->ctx, &temp);
		if (rc)
			return rc;
		rc = ia_map(race->ctx, temp, iova, race->mem, page_size);
		if (!rc)
			rc = hw_attach(race->dut->fd, temp);
		ia_free(race->ctx, temp);
		return rc;
	}
}

static void *race_thread(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	unsigned int seed = racer->nr * 7919 + 1;
	int rc;

	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		rc = race_step(race, racer->nr, &seed);
		if (!race_error_known(rc)) {
			race->bad = rc;
			race->bad_op = racer->nr;
		}
	}
	return NULL;
}

static void race_run(struct __test_metadata *_metadata, struct race *race,
		     struct racer *racers)
{
	unsigned int i;

	for (i = 0; i < RACERS; i++) {
		racers[i].race = race;
		racers[i].nr = i;
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL,
					    race_thread, &racers[i]));
	}
}

static void race_end(struct race *race, struct racer *racers)
{
	unsigned int i;

	__atomic_store_n(&race->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < RACERS; i++)
		pthread_join(racers[i].thread, NULL);
}

TEST_F(hw_life, race)
{
	struct race race = {
		.dut = &self->dut, .ctx = self->ctx, .mem = self->mem,
		.ids = { self->id },
	};
	struct racer racers[RACERS];

	ASSERT_EQ(0, ia_alloc(self->ctx, &race.ids[1]));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	race_run(_metadata, &race, racers);
	sleep(2);
	race_end(&race, racers);
	EXPECT_EQ(0, race.bad) {
		TH_LOG("from operation %u", race.bad_op);
	}
	/* all still works */
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, NULL));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* The files are closed while other threads use them. */
TEST_F(hw_life, race_close)
{
	struct racer racers[RACERS];
	int i, group;

	life_close(&self->dut, &self->group);
	for (i = 0; i < 4; i++) {
		struct dut dut = self->dut;
		struct race race = { .dut = &dut, .mem = self->mem };
		int ctx;

		ctx = ia_open();
		ASSERT_LE(0, ctx);
		race.ctx = ctx;
		ASSERT_EQ(0, ia_alloc(ctx, &race.ids[0]));
		ASSERT_EQ(0, ia_alloc(ctx, &race.ids[1]));
		ASSERT_EQ(0, life_open(&dut, ctx, variant->by_group, &group));
		ASSERT_EQ(0, dut_bind(&dut, ctx, 1));
		race_run(_metadata, &race, racers);
		usleep(100000);
		if (i & 1)
			close(ctx);
		close(dut.fd);
		if (i & 2)
			usleep(50000);
		if (group >= 0)
			close(group);
		if (!(i & 1))
			close(ctx);
		race_end(&race, racers);
		EXPECT_EQ(0, race.bad) {
			TH_LOG("from operation %u", race.bad_op);
		}
	}
	ASSERT_EQ(0, life_open(&self->dut, self->ctx, variant->by_group,
			       &self->group));
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* A transfer that is pending when the device is closed is dropped. */
TEST(late_dma)
{
	struct dut dut;
	int ctx, i, rc;
	__u32 id;
	char *p;

	ctx = ia_open();
	if (ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, ctx);
	rc = dut_find(&dut, &engine_edu, 0);
	if (rc == -ENOENT)
		SKIP(return, "no edu behind an IOMMU");
	ASSERT_EQ(0, rc);
	p = ia_mem(page_size);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, ia_alloc(ctx, &id));
	ASSERT_EQ(0, dut_admit(&dut, ctx, id));
	ASSERT_EQ(0, ia_map(ctx, id, TEST_IOVA, p, page_size));
	for (i = 0; i < 3; i++) {
		dut.fd = hw_open_cdev(dut.name);
		ASSERT_LE(0, dut.fd);
		ASSERT_EQ(0, dut_bind(&dut, ctx, 1));
		ASSERT_EQ(0, dut_attach(&dut, id));
		ASSERT_EQ(0, dut_prime(&dut, 11));
		edu_start(&dut.edu, EDU_BUF, TEST_IOVA, DUT_LEN,
			  EDU_DMA_STORE);
		if (i == 1) {
			ASSERT_EQ(0, hw_detach(dut.fd, id));
			dut_fill(p, DUT_LEN, 12);
		}
		if (i == 2) {
			ASSERT_EQ(0, ia_unmap(ctx, id, TEST_IOVA, page_size,
					      NULL));
			dut_fill(p, DUT_LEN, 12);
		}
		dut_stop(&dut);
		close(dut.fd);
		dut.fd = -1;
		if (!i)
			dut_fill(p, DUT_LEN, 12);
		usleep(300000);
		ASSERT_TRUE(dut_holds(p, DUT_LEN, 12));
	}
	dut_close(&dut);
	close(ctx);
}

/* --- an emulated device: a driver of the kernel does its DMA --- */

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
		dut.fd = hw_open_cdev(dut.name);
		ASSERT_LE(0, dut.fd);
	}
	dut_close(&dut);
	close(ctx);
	ASSERT_EQ(0, system("modprobe vfio_ioasid"));
}

TEST_HARNESS_MAIN
