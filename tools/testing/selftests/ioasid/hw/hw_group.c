// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that share an iommu group, as those behind a PCIe-to-PCI bridge do:
 * the group is blocked, attached and moved as one, by a command of any member.
 * Needs two edu devices in one group, and for one test a third device in it
 * that a driver of the kernel wants (QEMU: -device virtio-rng-pci,bus=BRIDGE).
 */
#include "ioasid_test.h"
#include "dut.h"

#define COOKIE_A 0xaaaa
#define COOKIE_B 0xbbbb

FIXTURE(hw_group)
{
	int ctx;
	__u32 id;
	struct dut a, b;
	char third[HW_NAME];
	char *mem;
	/* An emulated IOMMU may lose requests through a bridge */
	bool dma;
};

/* Bind all edu devices to VFIO: some have a group only then. */
static int find_siblings(struct dut *a, struct dut *b)
{
	char names[16][HW_NAME];
	int i, j, n;

	n = hw_find(&hw_edu, names, 16);
	for (i = 0; i < n; i++)
		hw_take(names[i]);
	for (i = 0; i < n; i++) {
		for (j = i + 1; j < n; j++) {
			int rc;

			if (hw_group(names[i]) < 0 ||
			    hw_group(names[i]) != hw_group(names[j]))
				continue;
			rc = dut_open(a, &engine_edu, i, 0);
			return rc ? rc : dut_open(b, &engine_edu, j, 1);
		}
	}
	return -ENOENT;
}

/*
 * Another function of the group, which is no bridge; unbound from its driver.
 */
static void find_third(const struct dut *dut, char *third)
{
	struct dirent **list;
	char path[128];
	int i, n;

	snprintf(path, sizeof(path), HW_PCI "%s/iommu_group/devices",
		 dut->name);
	n = scandir(path, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (name[0] != '.' && strlen(name) < HW_NAME &&
		    hw_attribute(name, "class") >> 16 != 0x06 &&
		    hw_attribute(name, "vendor") != hw_edu.vendor) {
			memcpy(third, name, strlen(name) + 1);
			hw_take(third);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static int type1_map(int container, __u64 iova, void *p, __u64 length)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = IA_PTR(p),
		.iova = iova,
		.size = length,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

/*
 * Whether DMA of that device works at all. QEMU's AMD IOMMU does not know that
 * a PCIe-to-PCI bridge forwards DMA of devices behind it. VFIO type1 decides;
 * without it, the answer is yes.
 */
static bool dma_works(struct dut *dut)
{
	int container, group, device = dut->fd;
	bool works = true;
	char *p;

	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = hw_open_group(dut->name);
	p = ia_mem(page_size);
	if (container < 0 || group < 0 || hw_set_container(group, container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		goto out;
	dut->fd = hw_group_device(group, dut->name);
	if (dut->fd < 0)
		goto out;
	if (!type1_map(container, dut_ctrl(dut), dut->ctrl, dut->ctrl_size) &&
	    !type1_map(container, TEST_IOVA, p, page_size) &&
	    !dut->engine->start(dut)) {
		works = dut_reaches(dut, TEST_IOVA, p);
		dut->engine->stop(dut);
	}
	close(dut->fd);
out:
	dut->fd = device;
	if (group >= 0)
		close(group);
	if (container >= 0)
		close(container);
	return works;
}

FIXTURE_SETUP(hw_group)
{
	int rc;

	self->a.fd = -1;
	self->b.fd = -1;
	self->third[0] = 0;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	self->dma = true;
	rc = find_siblings(&self->a, &self->b);
	if (rc == -ENOENT)
		SKIP(return, "no two edu devices in one iommu group");
	ASSERT_EQ(0, rc);
	find_third(&self->a, self->third);
	self->dma = dma_works(&self->a);
	if (!self->dma)
		ksft_print_msg("without DMA, which fails on type1, too\n");
	self->mem = ia_mem(16 * page_size);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, 16 * page_size);
	ASSERT_EQ(0, ia_alloc_full(self->ctx, &self->id, 0x1d, 0));
	ASSERT_EQ(0, dut_admit(&self->a, self->ctx, self->id));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, self->id));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
}

FIXTURE_TEARDOWN(hw_group)
{
	dut_close(&self->a);
	dut_close(&self->b);
	close(self->ctx);
}

static bool reaches(struct _test_data_hw_group *self, struct dut *dut,
		    __u64 iova, void *p)
{
	return !self->dma || dut_reaches(dut, iova, p);
}

static bool sees(struct _test_data_hw_group *self, struct dut *dut,
		 __u64 iova, unsigned int seed)
{
	return !self->dma || dut_sees(dut, iova, seed);
}

#define BIND_A() ASSERT_EQ(0, dut_bind(&self->a, self->ctx, COOKIE_A))
#define BIND_B() ASSERT_EQ(0, dut_bind(&self->b, self->ctx, COOKIE_B))

/* Whether @dut is attached to @id, as the kernel says; 0: not attached. */
static void expect_on(struct __test_metadata *_metadata,
		      struct _test_data_hw_group *self, struct dut *dut, __u32 id)
{
	struct ioasid_device_info info;

	ASSERT_EQ(0, ia_device_info(self->ctx, dut->devid, &info));
	EXPECT_EQ(id, info.ioasid) {
		TH_LOG("of device %s", dut->name);
	}
}

/* Check the state of the IOASID, and that MAP agrees with it. */
static void expect_state(struct __test_metadata *_metadata,
			 struct _test_data_hw_group *self, __u32 state,
			 const struct dut *waiting, __u64 cookie)
{
	int mapped = state & IOASID_STATE_PARTIAL_GROUP ? -EDEADLK : 0;
	struct ioasid_info info;

	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	EXPECT_EQ(state, info.state);
	EXPECT_EQ(cookie, info.waiting_cookie);
	EXPECT_EQ(waiting ? waiting->devid : 0, info.waiting_devid);
	EXPECT_EQ(mapped, ia_map(self->ctx, self->id, 2 * TEST_IOVA, self->mem,
				 page_size));
	EXPECT_EQ(0, ia_unmap(self->ctx, self->id, 2 * TEST_IOVA, page_size,
			      NULL));
}

#define ATTACHED IOASID_STATE_ATTACHED
#define PARTIAL (IOASID_STATE_ATTACHED | IOASID_STATE_PARTIAL_GROUP)

TEST_F(hw_group, both)
{
	struct ioasid_device_info a, b;
	struct ioasid_info info;

	BIND_A();
	BIND_B();
	ASSERT_EQ(0, ia_device_info(self->ctx, self->a.devid, &a));
	ASSERT_EQ(0, ia_device_info(self->ctx, self->b.devid, &b));
	ASSERT_EQ(a.group, b.group);
	ASSERT_EQ(COOKIE_A, a.cookie);
	ASSERT_EQ(COOKIE_B, b.cookie);
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(2, info.nr_devices);
	ASSERT_EQ(1, info.nr_domains);
	ASSERT_EQ(0, dut_put(&self->a, TEST_IOVA, 1));
	ASSERT_TRUE(sees(self, &self->b, TEST_IOVA, 1));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, page_size,
			      NULL));
	ASSERT_TRUE(dut_misses(&self->a, TEST_IOVA, self->mem));
	ASSERT_TRUE(dut_misses(&self->b, TEST_IOVA, self->mem));
}

/* Bound, but not attached: no device reaches memory. */
TEST_F(hw_group, bind_blocks)
{
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, engine_edu.start(&self->a));
	self->a.started = true;
	ASSERT_EQ(0, engine_edu.start(&self->b));
	self->b.started = true;
	ASSERT_TRUE(dut_blocked(&self->a, TEST_IOVA, self->mem));
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA, self->mem));
	ASSERT_EQ(-ENOENT, hw_detach(self->a.fd, 0));
	expect_state(_metadata, self, 0, NULL, 0);
}

TEST_F(hw_group, partial)
{
	__u64 unmapped;

	BIND_A();
	BIND_B();
	expect_state(_metadata, self, 0, NULL, 0);
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	expect_state(_metadata, self, PARTIAL, &self->b, COOKIE_B);
	expect_on(_metadata, self, &self->a, self->id);
	expect_on(_metadata, self, &self->b, 0);
	/* earlier mappings work, and can be unmapped */
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA, page_size,
			      &unmapped));
	ASSERT_EQ(page_size, unmapped);
	ASSERT_TRUE(dut_misses(&self->a, TEST_IOVA, self->mem));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
}

/* The device that the group waits for is unbound, instead of joining. */
TEST_F(hw_group, partial_unbind)
{
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	expect_state(_metadata, self, PARTIAL, &self->a, COOKIE_A);
	dut_close(&self->a);
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
}

/* And the device that is attached. */
TEST_F(hw_group, partial_detach)
{
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	expect_state(_metadata, self, PARTIAL, &self->b, COOKIE_B);
	ASSERT_EQ(0, hw_detach(self->a.fd, self->id));
	expect_state(_metadata, self, 0, NULL, 0);
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	expect_state(_metadata, self, PARTIAL, &self->a, COOKIE_A);
	dut_close(&self->b);
	expect_state(_metadata, self, 0, NULL, 0);
}

/* The group does not wait for a device that is bound after its attach. */
TEST_F(hw_group, bind_later)
{
	BIND_A();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	BIND_B();
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	expect_on(_metadata, self, &self->b, 0);
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
}

TEST_F(hw_group, bind_and_join)
{
	struct ioasid_info info;

	BIND_A();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, hw_bind_full(self->b.fd, self->ctx, self->id, COOKIE_B,
				  &self->b.devid, NULL));
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(2, info.nr_devices);
	expect_on(_metadata, self, &self->b, self->id);
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
}

TEST_F(hw_group, elsewhere)
{
	struct ioasid_info info;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, other));
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(-EBUSY, hw_attach(self->b.fd, other));
	expect_on(_metadata, self, &self->b, 0);
	ASSERT_EQ(0, ia_info(self->ctx, other, &info));
	ASSERT_EQ(0, info.nr_devices);
	ASSERT_EQ(0, info.state);
	expect_state(_metadata, self, PARTIAL, &self->b, COOKIE_B);
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
	/* nor at bind */
	dut_stop(&self->b);
	close(self->b.fd);
	self->b.fd = hw_open_device(self->b.name);
	ASSERT_LE(0, self->b.fd);
	ASSERT_EQ(-EBUSY, hw_bind_full(self->b.fd, self->ctx, other, COOKIE_B,
				       NULL, NULL));
	ASSERT_EQ(0, ia_free(self->ctx, other));
	BIND_B();
}

/* An attach of any device moves the whole group. */
TEST_F(hw_group, move)
{
	char *p = self->mem + page_size;
	struct ioasid_info info;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->a, self->ctx, other));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, other));
	ASSERT_EQ(0, ia_map(self->ctx, other, TEST_IOVA, p, page_size));
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, hw_attach(self->b.fd, other));
	expect_on(_metadata, self, &self->a, other);
	expect_on(_metadata, self, &self->b, other);
	ASSERT_EQ(0, ia_info(self->ctx, other, &info));
	ASSERT_EQ(2, info.nr_devices);
	ASSERT_EQ(ATTACHED, info.state);
	expect_state(_metadata, self, 0, NULL, 0);
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, p));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, p));
	ASSERT_TRUE(dut_misses(&self->a, TEST_IOVA, self->mem));
	/* no device is left behind */
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, NULL));
	ASSERT_EQ(0, ia_free(self->ctx, self->id));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, p));
	ASSERT_EQ(0, hw_detach(self->a.fd, other));
	ASSERT_EQ(0, hw_detach(self->b.fd, other));
	ASSERT_TRUE(dut_blocked(&self->a, TEST_IOVA, p));
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA, p));
}

/* A partial group moves, and waits for its other devices in the new place. */
TEST_F(hw_group, move_partial)
{
	struct ioasid_info info;
	__u32 other;

	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, dut_admit(&self->a, self->ctx, other));
	ASSERT_EQ(0, dut_admit(&self->b, self->ctx, other));
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, other));
	ASSERT_EQ(0, ia_info(self->ctx, other, &info));
	ASSERT_EQ(PARTIAL, info.state);
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, ia_info(self->ctx, other, &info));
	ASSERT_EQ(0, info.state);
	expect_state(_metadata, self, PARTIAL, &self->b, COOKIE_B);
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
}

/* A move that fails moves no device. */
TEST_F(hw_group, move_fails)
{
	struct ioasid_iova_range range[16];
	struct ioasid_info info = {
		.argsz = sizeof(info),
		.ioasid = self->id,
		.nr_ranges = 16,
		.ranges = IA_PTR(range),
	};
	__u64 fault_addr = 0;
	__u32 other;

	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, ia_cmd(self->ctx, IOASID_GET_INFO, &info));
	if (range[0].last == ~0ULL)
		SKIP(return, "the devices can use every IOVA");
	ASSERT_EQ(0, ia_alloc(self->ctx, &other));
	ASSERT_EQ(0, ia_map(self->ctx, other, range[0].last + 1, self->mem,
			    page_size));
	ASSERT_EQ(-EADDRINUSE, hw_attach_full(self->b.fd, other, &fault_addr));
	ASSERT_EQ(range[0].last + 1, fault_addr);
	expect_on(_metadata, self, &self->a, self->id);
	expect_on(_metadata, self, &self->b, self->id);
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
	ASSERT_EQ(0, ia_free(self->ctx, other));
}

/*
 * A detach of one device leaves the others; that of the last blocks the group.
 */
TEST_F(hw_group, detach)
{
	struct ioasid_info info;

	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, hw_detach(self->a.fd, self->id));
	expect_on(_metadata, self, &self->a, 0);
	expect_on(_metadata, self, &self->b, self->id);
	ASSERT_EQ(0, ia_info(self->ctx, self->id, &info));
	ASSERT_EQ(1, info.nr_devices);
	/* it has joined once: the group does not wait for it */
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
	ASSERT_EQ(-EBUSY, ia_free(self->ctx, self->id));
	ASSERT_EQ(0, dut_prime(&self->b, 7));
	ASSERT_EQ(0, hw_detach(self->b.fd, self->id));
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA, self->mem));
	ASSERT_TRUE(dut_blocked(&self->a, TEST_IOVA, self->mem));
	expect_state(_metadata, self, 0, NULL, 0);
	/* they can attach again in any order */
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
}

/* The close of the file of a device is its detach and its unbind. */
TEST_F(hw_group, close)
{
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	dut_stop(&self->a);
	close(self->a.fd);
	self->a.fd = -1;
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
	/* and back: its bind is a later one now */
	self->a.fd = hw_open_device(self->a.name);
	ASSERT_LE(0, self->a.fd);
	BIND_A();
	expect_state(_metadata, self, ATTACHED, NULL, 0);
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
	ASSERT_EQ(0, dut_prime(&self->b, 8));
	dut_stop(&self->a);
	close(self->a.fd);
	self->a.fd = -1;
	ASSERT_EQ(0, hw_detach(self->b.fd, 0));
	ASSERT_TRUE(dut_blocked(&self->b, TEST_IOVA, self->mem));
}

/* A group belongs to one context. */
TEST_F(hw_group, one_context)
{
	int second = ia_open();
	__u32 id;

	/* A group of VFIO gives out files for one context */
	if (!hw_have_cdevs())
		SKIP(return, HW_NO_CDEVS);
	ASSERT_LE(0, second);
	ASSERT_EQ(0, ia_alloc(second, &id));
	BIND_A();
	ASSERT_EQ(-EBUSY, dut_bind(&self->b, second, COOKIE_B));
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(-EBUSY, dut_bind(&self->b, second, COOKIE_B));
	ASSERT_EQ(-EBUSY, hw_bind_full(self->b.fd, second, id, COOKIE_B, NULL,
				       NULL));
	/* the failure did not affect it */
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
	dut_close(&self->a);
	ASSERT_EQ(0, dut_admit(&self->b, second, id));
	ASSERT_EQ(0, dut_bind(&self->b, second, COOKIE_B));
	ASSERT_EQ(0, dut_attach(&self->b, id));
	ASSERT_TRUE(dut_misses(&self->b, TEST_IOVA, self->mem));
	close(second);
}

/* User space owns the group from the first bind to the last close. */
TEST_F(hw_group, kernel_driver)
{
	if (!self->third[0])
		SKIP(return, "no third device in the group");
	ASSERT_EQ(0, hw_give_back(self->third));
	if (!hw_has_driver(self->third, NULL))
		SKIP(return, "no driver wants %s", self->third);
	ASSERT_EQ(-EBUSY, dut_bind(&self->a, self->ctx, COOKIE_A));
	ASSERT_EQ(-EBUSY, dut_bind(&self->b, self->ctx, COOKIE_B));
	ASSERT_EQ(0, hw_take(self->third));
	BIND_A();
	/* now the driver cannot bind */
	hw_give_back(self->third);
	ASSERT_FALSE(hw_has_driver(self->third, NULL));
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	hw_give_back(self->third);
	ASSERT_FALSE(hw_has_driver(self->third, NULL));
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
	dut_close(&self->a);
	ASSERT_EQ(0, hw_give_back(self->third));
	ASSERT_TRUE(hw_has_driver(self->third, NULL));
	ASSERT_EQ(0, hw_take(self->third));
}

/* A reset of the bus affects all devices on it: all belong to this context. */
TEST_F(hw_group, hot_reset)
{
	struct {
		struct vfio_pci_hot_reset_info info;
		struct vfio_pci_dependent_device devices[16];
	} arg = { .info.argsz = sizeof(arg) };
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };
	bool a = false, b = false;
	int round, rc;
	__u32 i;

	BIND_A();
	for (round = 0; round < 2; round++) {
		rc = ia_cmd(self->a.fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
			    &arg);
		if (rc == -ENODEV)
			SKIP(return, "no reset of this bus");
		ASSERT_EQ(0, rc);
		EXPECT_EQ(VFIO_PCI_HOT_RESET_FLAG_DEV_ID |
			  VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
			  arg.info.flags);
		for (i = 0; i < arg.info.count; i++) {
			__u32 devid = arg.devices[i].devid;

			if (devid == self->a.devid)
				a = true;
			else if (round && devid == self->b.devid)
				b = true;
			else
				EXPECT_EQ(VFIO_PCI_DEVID_OWNED, devid);
		}
		EXPECT_TRUE(a);
		if (!round)
			BIND_B();
	}
	EXPECT_TRUE(b);
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, ia_cmd(self->b.fd, VFIO_DEVICE_PCI_HOT_RESET, &reset));
	ASSERT_EQ(0, vfio_pci_enable(self->a.fd));
	ASSERT_EQ(0, vfio_pci_enable(self->b.fd));
	/* they are still attached */
	ASSERT_TRUE(reaches(self, &self->a, TEST_IOVA, self->mem));
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
}

/* Both through the group's file, which only one process can open. */
TEST_F(hw_group, group_file)
{
	int group, a, b;

	close(self->a.fd);
	close(self->b.fd);
	self->a.fd = -1;
	self->b.fd = -1;
	group = hw_open_group(self->a.name);
	if (group == -ENOENT)
		SKIP(return, "no VFIO groups");
	ASSERT_LE(0, group);
	ASSERT_EQ(0, hw_set_container(group, self->ctx));
	a = hw_group_device(group, self->a.name);
	ASSERT_LE(0, a);
	b = hw_group_device(group, self->b.name);
	ASSERT_LE(0, b);
	self->a.fd = a;
	self->b.fd = b;
	ASSERT_EQ(-ENODEV, hw_attach(a, self->id));
	BIND_A();
	BIND_B();
	ASSERT_EQ(0, dut_attach(&self->a, self->id));
	expect_state(_metadata, self, PARTIAL, &self->b, COOKIE_B);
	ASSERT_EQ(0, dut_attach(&self->b, self->id));
	ASSERT_EQ(0, dut_put(&self->a, TEST_IOVA, 3));
	ASSERT_TRUE(sees(self, &self->b, TEST_IOVA, 3));
	close(group);
	ASSERT_TRUE(reaches(self, &self->b, TEST_IOVA, self->mem));
}

TEST_HARNESS_MAIN
