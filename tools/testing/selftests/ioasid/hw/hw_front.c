// SPDX-License-Identifier: GPL-2.0-only
/*
 * Side effects of the front in VFIO: a file that may not bind leaves the device
 * asleep, a bind whose user memory hangs delays no other command, and a file
 * that is no context loads no module.
 */
#include <linux/iommufd.h>
#include <pthread.h>
#include <sys/wait.h>

#include "ioasid_test.h"
#include "dut.h"
#include "mdev.h"
#include "uffd.h"

/* ---- A device that its owner has put to sleep ---- */

FIXTURE(hw_sleep)
{
	int ctx;
	__u32 id;
	char name[HW_NAME];
	int group;
	int container;
	int owner;
	int wakeup;
};

enum owner { OWNER_CONTAINER, OWNER_IOASID, OWNER_IOASID_GROUP };

FIXTURE_VARIANT(hw_sleep)
{
	enum owner owner;
};

FIXTURE_VARIANT_ADD(hw_sleep, container) { .owner = OWNER_CONTAINER, };
FIXTURE_VARIANT_ADD(hw_sleep, ioasid) { .owner = OWNER_IOASID, };
FIXTURE_VARIANT_ADD(hw_sleep, ioasid_group) { .owner = OWNER_IOASID_GROUP, };

static bool is_suspended(const char *name)
{
	char path[192], buf[32];

	snprintf(path, sizeof(path), HW_PCI "%s/power/runtime_status", name);
	return hw_read_file(path, buf, sizeof(buf)) > 0 &&
	       !strncmp(buf, "suspended", 9);
}

static int sleep_entry(int device, int wakeup)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} arg = {
		.feature = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_SET |
				 VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
		},
		.entry = { .wakeup_eventfd = wakeup },
	};

	return ia_cmd(device, VFIO_DEVICE_FEATURE, &arg);
}

static bool signalled(int eventfd)
{
	__u64 value;

	return read(eventfd, &value, sizeof(value)) == sizeof(value);
}

FIXTURE_SETUP(hw_sleep)
{
	char names[1][HW_NAME];
	int i;

	self->group = -1;
	self->container = -1;
	self->owner = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	ASSERT_EQ(0, ia_alloc(self->ctx, &self->id));
	if (!hw_find(&hw_nvme, names, 1) || hw_take(names[0]) ||
	    hw_group(names[0]) < 0)
		SKIP(return, "no nvme behind an IOMMU");
	memcpy(self->name, names[0], HW_NAME);
	self->wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT_LE(0, self->wakeup);

	if (variant->owner != OWNER_IOASID) {
		self->group = hw_open_group(self->name);
		ASSERT_LE(0, self->group);
	}
	switch (variant->owner) {
	case OWNER_CONTAINER:
		self->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
		if (self->container < 0 ||
		    hw_set_container(self->group, self->container) ||
		    ioctl(self->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
			SKIP(return, "no VFIO containers");
		self->owner = hw_group_device(self->group, self->name);
		ASSERT_LE(0, self->owner);
		break;
	case OWNER_IOASID:
		if (!hw_have_cdevs())
			SKIP(return, HW_NO_CDEVS);
		self->owner = hw_open_cdev(self->name);
		ASSERT_LE(0, self->owner);
		ASSERT_EQ(0, hw_bind(self->owner, self->ctx, 1, NULL));
		break;
	case OWNER_IOASID_GROUP:
		ASSERT_EQ(0, hw_set_container(self->group, self->ctx));
		self->owner = hw_group_device(self->group, self->name);
		ASSERT_LE(0, self->owner);
		ASSERT_EQ(0, hw_bind(self->owner, self->ctx, 1, NULL));
		break;
	}
	if (sleep_entry(self->owner, self->wakeup))
		SKIP(return, "the device has no low power states");
	for (i = 0; !is_suspended(self->name); i++) {
		if (i == 1000)
			SKIP(return, "the device does not go to sleep");
		usleep(10000);
	}
	/* only a wake-up signals it */
	ASSERT_FALSE(signalled(self->wakeup));
}

FIXTURE_TEARDOWN(hw_sleep)
{
	if (self->owner >= 0)
		close(self->owner);
	if (self->group >= 0)
		close(self->group);
	if (self->container >= 0)
		close(self->container);
	close(self->ctx);
}

#define ASLEEP() do {							\
	EXPECT_FALSE(signalled(self->wakeup));				\
	EXPECT_TRUE(is_suspended(self->name));				\
} while (0)

TEST_F(hw_sleep, another_file)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	int other, second = ia_open();

	ASSERT_LE(0, second);
	if (variant->owner != OWNER_IOASID_GROUP && !hw_have_cdevs())
		SKIP(return, HW_NO_CDEVS);
	other = variant->owner == OWNER_IOASID_GROUP ?
			hw_group_device(self->group, self->name) :
			hw_open_cdev(self->name);
	ASSERT_LE(0, other);
	ASLEEP();
	EXPECT_EQ(-EFAULT, ia_cmd(other, VFIO_DEVICE_BIND_IOASID_FD, NULL));
	EXPECT_EQ(-EBUSY, hw_bind(other, self->ctx, 2, NULL));
	EXPECT_EQ(-EBUSY, hw_bind_full(other, self->ctx, self->id, 2, NULL,
				       NULL));
	EXPECT_EQ(-EBUSY, hw_bind(other, second, 2, NULL));
	EXPECT_NE(0, hw_bind(other, other, 2, NULL));
	EXPECT_EQ(-ENODEV, ia_cmd(other, VFIO_DEVICE_ATTACH_IOASID, NULL));
	EXPECT_EQ(-ENODEV, hw_attach(other, self->id));
	EXPECT_EQ(-ENODEV, hw_detach(other, 0));
	bind.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	EXPECT_NE(0, ia_cmd(other, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	EXPECT_EQ(-1, ioctl(other, VFIO_DEVICE_RESET));
	close(other);
	ASLEEP();
	close(bind.iommufd);
	close(second);
	/* a command of the owner wakes it: this device can be woken */
	EXPECT_EQ(0, ioctl(self->owner, VFIO_DEVICE_RESET));
	EXPECT_TRUE(signalled(self->wakeup));
}

/* ---- A bind whose argument cannot be written to ---- */

enum stall { STALL_CDEV, STALL_GROUP, STALL_IOMMUFD };

FIXTURE(hw_stall)
{
	int ctx;
	int iommufd;
	int group;
	char a[HW_NAME], b[HW_NAME];
	int device;
	int uffd;
	void *arg;
};

FIXTURE_VARIANT(hw_stall)
{
	enum stall how;
};

FIXTURE_VARIANT_ADD(hw_stall, cdev) { .how = STALL_CDEV, };
FIXTURE_VARIANT_ADD(hw_stall, group) { .how = STALL_GROUP, };
FIXTURE_VARIANT_ADD(hw_stall, iommufd) { .how = STALL_IOMMUFD, };

static int find_pair(char *a, char *b)
{
	char names[8][HW_NAME];
	int i, n;

	n = hw_find(&hw_edu, names, 8);
	for (i = 0; i < n; i++)
		hw_take(names[i]);
	for (i = 0; i + 1 < n; i++) {
		if (hw_group(names[i]) < 0 ||
		    hw_group(names[i]) != hw_group(names[i + 1]))
			continue;
		memcpy(a, names[i], HW_NAME);
		memcpy(b, names[i + 1], HW_NAME);
		return 0;
	}
	return -ENOENT;
}

static int protect_faults(int uffd, void *addr, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = IA_PTR(addr), .len = page_size },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

/* Memory that can be read at once; its first write waits. */
static int hold_writes(void *addr)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct uffdio_register reg = {
		.range = { .start = IA_PTR(addr), .len = page_size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg) ||
	    protect_faults(fd, addr, true)) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

FIXTURE_SETUP(hw_stall)
{
	self->group = -1;
	self->ctx = ia_open();
	if (self->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->ctx);
	if (find_pair(self->a, self->b))
		SKIP(return, "no two edu in one group");
	self->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (self->iommufd < 0)
		SKIP(return, "no /dev/iommu");
	if (variant->how == STALL_GROUP) {
		self->group = hw_open_group(self->a);
		ASSERT_LE(0, self->group);
		ASSERT_EQ(0, hw_set_container(self->group, self->ctx));
		self->device = hw_group_device(self->group, self->a);
	} else {
		self->device = hw_open_cdev(self->a);
	}
	ASSERT_LE(0, self->device);
	self->arg = ia_mem(page_size);
	ASSERT_NE(NULL, self->arg);
	memset(self->arg, 0, page_size);
	if (variant->how == STALL_IOMMUFD) {
		struct vfio_device_bind_iommufd bind = {
			.argsz = sizeof(bind),
			.iommufd = self->iommufd,
		};

		memcpy(self->arg, &bind, sizeof(bind));
	} else {
		struct ioasid_device_bind bind = {
			.argsz = sizeof(bind),
			.ioasid_fd = self->ctx,
			.cookie = 1,
		};

		memcpy(self->arg, &bind, sizeof(bind));
	}
	self->uffd = hold_writes(self->arg);
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd that holds writes");
}

FIXTURE_TEARDOWN(hw_stall)
{
	if (self->group >= 0)
		close(self->group);
	close(self->iommufd);
	close(self->ctx);
}

struct staller {
	int device;
	unsigned long cmd;
	void *arg;
	int rc;
};

static void *stall_bind(void *data)
{
	struct staller *s = data;

	s->rc = ia_cmd(s->device, s->cmd, s->arg);
	return NULL;
}

/*
 * If the bind held a lock, each of the calls in between would wait until the
 * test is killed.
 */
TEST_F(hw_stall, others_go_on)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct staller s = {
		.device = self->device,
		.cmd = variant->how == STALL_IOMMUFD ?
			       VFIO_DEVICE_BIND_IOMMUFD :
			       VFIO_DEVICE_BIND_IOASID_FD,
		.arg = self->arg,
	};
	int sibling, again, second = ia_open();
	pthread_t thread;

	ASSERT_LE(0, second);
	ASSERT_EQ(0, pthread_create(&thread, NULL, stall_bind, &s));
	ASSERT_TRUE(fault_waits(self->uffd));

	/* the same set and group, by each possible way */
	sibling = hw_open_cdev(self->b);
	ASSERT_LE(0, sibling);
	EXPECT_EQ(-EBUSY, hw_bind(sibling, second, 2, NULL));
	bind.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, bind.iommufd);
	EXPECT_NE(0, ia_cmd(sibling, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	EXPECT_EQ(-EBUSY, hw_open_group(self->a));
	close(sibling);
	if (self->group >= 0) {
		sibling = hw_group_device(self->group, self->b);
		ASSERT_LE(0, sibling);
		EXPECT_EQ(0, hw_bind(sibling, self->ctx, 2, NULL));
		EXPECT_EQ(-1, ioctl(self->group, VFIO_GROUP_UNSET_CONTAINER));
		EXPECT_EQ(EBUSY, errno);
		close(sibling);
	}
	/* the same device: it is taken, and still gives no access */
	again = self->group >= 0 ? hw_group_device(self->group, self->a) :
				   hw_open_cdev(self->a);
	ASSERT_LE(0, again);
	EXPECT_EQ(-EBUSY, hw_bind(again, self->ctx, 3, NULL));
	EXPECT_EQ(-EBUSY, hw_bind(self->device, self->ctx, 3, NULL));
	EXPECT_EQ(-EINVAL, ia_cmd(self->device, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(-ENODEV, hw_detach(self->device, 0));
	close(again);

	ASSERT_EQ(0, protect_faults(self->uffd, self->arg, false));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, s.rc);
	EXPECT_EQ(0, ia_cmd(self->device, VFIO_DEVICE_GET_INFO, &info));
	close(self->device);
	close(bind.iommufd);
	close(second);
}

/* The same for iommufd's attach, which returns an id as well. */
TEST_F(hw_stall, attach)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = self->iommufd,
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct staller s = {
		.device = self->device,
		.cmd = VFIO_DEVICE_ATTACH_IOMMUFD_PT,
		.arg = self->arg,
	};
	pthread_t thread;
	int sibling;

	if (variant->how != STALL_IOMMUFD)
		SKIP(return, "of iommufd only");
	ASSERT_EQ(0, ia_cmd(self->iommufd, IOMMU_IOAS_ALLOC, &ioas));
	ASSERT_EQ(0, ia_cmd(self->device, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	attach.pt_id = ioas.out_ioas_id;
	if (ia_cmd(self->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		SKIP(return, "iommufd cannot use this IOMMU");
	attach.pt_id = ioas.out_ioas_id;
	ASSERT_EQ(0, protect_faults(self->uffd, self->arg, false));
	memcpy(self->arg, &attach, sizeof(attach));
	ASSERT_EQ(0, protect_faults(self->uffd, self->arg, true));
	ASSERT_EQ(0, pthread_create(&thread, NULL, stall_bind, &s));
	ASSERT_TRUE(fault_waits(self->uffd));

	sibling = hw_open_cdev(self->b);
	ASSERT_LE(0, sibling);
	EXPECT_EQ(-EBUSY, hw_bind(sibling, self->ctx, 2, NULL));
	EXPECT_EQ(0, ia_cmd(sibling, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	close(sibling);

	ASSERT_EQ(0, protect_faults(self->uffd, self->arg, false));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, s.rc);
	close(self->device);
}

/* A bind that is killed while it waits leaves the device unbound. */
TEST_F(hw_stall, killed)
{
	int status, pid, device;

	device = self->device;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* in this process, no thread handles the fault */
		void *arg = ia_mem(page_size);
		int uffd;

		memcpy(arg, self->arg, sizeof(struct ioasid_device_bind));
		uffd = hold_writes(arg);
		if (uffd < 0)
			_exit(2);
		ia_cmd(device, variant->how == STALL_IOMMUFD ?
				       VFIO_DEVICE_BIND_IOMMUFD :
				       VFIO_DEVICE_BIND_IOASID_FD, arg);
		_exit(1);
	}
	/* before or after it waits: both are right */
	usleep(500000);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	/* if it was not killed before the bind, the bind is undone */
	ASSERT_EQ(0, protect_faults(self->uffd, self->arg, false));
	EXPECT_EQ(0, ia_cmd(device, variant->how == STALL_IOMMUFD ?
					    VFIO_DEVICE_BIND_IOMMUFD :
					    VFIO_DEVICE_BIND_IOASID_FD,
			    self->arg));
	close(device);
}

/* ---- A file that is no context ---- */

#define ASKED "/tmp/modprobe.asked"

static bool asked_for(const char *alias)
{
	char buf[4096] = "";

	return hw_read_file(ASKED, buf, sizeof(buf)) > 0 && strstr(buf, alias);
}

TEST(loads_no_module)
{
	static const char script[] =
		"#!/bin/sh\necho \"$@\" >>" ASKED "\nexec /sbin/modprobe \"$@\"\n";
	static const char *const nodes[] = {
		"/dev/null", "/dev/zero", "/dev/vfio/vfio", "/dev/iommu",
		"/dev/fuse", "/proc/self/status", "/",
	};
	int group, fd, pair[2], ctx = ia_open();
	char before[256], names[1][HW_NAME];
	unsigned int i;

	if (ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, ctx);
	if (!hw_find(&hw_edu, names, 1) || hw_take(names[0]) ||
	    hw_group(names[0]) < 0)
		SKIP(return, "no edu behind an IOMMU");
	if (system("rmmod vfio_ioasid 2>/dev/null"))
		SKIP(return, "the front is not a module");
	fd = open("/tmp/modprobe", O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ASSERT_EQ(sizeof(script) - 1, write(fd, script, sizeof(script) - 1));
	close(fd);
	unlink(ASKED);
	ASSERT_LT(0, hw_read_file("/proc/sys/kernel/modprobe", before,
				  sizeof(before)));
	ASSERT_EQ(0, hw_write_file("/proc/sys/kernel/modprobe",
				   "/tmp/modprobe"));

	group = hw_open_group(names[0]);
	ASSERT_LE(0, group);
	for (i = 0; i < ARRAY_SIZE(nodes); i++) {
		fd = open(nodes[i], O_RDONLY);
		if (fd < 0)
			continue;
		/* some are contexts */
		if (!hw_set_container(group, fd))
			ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
		close(fd);
	}
	ASSERT_EQ(0, pipe(pair));
	EXPECT_EQ(-EBADFD, hw_set_container(group, pair[0]));
	EXPECT_EQ(-EBADFD, hw_set_container(group, group));
	EXPECT_FALSE(asked_for("vfio-backend"));

	/*
	 * a file of /dev/ioasid loads the front, and the group has the context
	 * then
	 */
	EXPECT_EQ(0, hw_set_container(group, ctx));
	EXPECT_TRUE(asked_for("vfio-backend-ioasid"));
	fd = hw_group_device(group, names[0]);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, hw_bind(fd, ctx, 1, NULL));
	close(fd);
	close(group);
	close(ctx);
	hw_write_file("/proc/sys/kernel/modprobe", strtok(before, "\n"));
}

/* ---- Emulated devices ---- */

/* The last close undoes the first open. */
TEST(emulated_by_two_means)
{
	int iommufd, container, ctx, group, device, fd;

	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (iommufd < 0 || container < 0 || mdev_create())
		SKIP(return, "no iommufd, containers and emulated device");
	group = hw_open_group_at(MDEV);
	ASSERT_LE(0, group);
	ASSERT_EQ(0, hw_set_container(group, iommufd));
	ASSERT_EQ(0, ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	device = hw_group_device(group, MDEV_UUID);
	ASSERT_LE(0, device);
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_UNSET_CONTAINER));

	ASSERT_EQ(0, hw_set_container(group, container));
	ASSERT_EQ(0, ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(-EBUSY, hw_group_device(group, MDEV_UUID));
	ASSERT_EQ(0, ioctl(group, VFIO_GROUP_UNSET_CONTAINER));

	ctx = ia_open();
	if (ctx >= 0 && !hw_set_container(group, ctx)) {
		fd = hw_group_device(group, MDEV_UUID);
		ASSERT_LE(0, fd);
		EXPECT_EQ(-EBUSY, hw_bind(fd, ctx, 1, NULL));
		close(fd);
		ASSERT_EQ(0, ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	}

	/* and when it is closed, by any file */
	close(device);
	ASSERT_EQ(0, hw_set_container(group, container));
	ASSERT_EQ(0, ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	device = hw_group_device(group, MDEV_UUID);
	EXPECT_LE(0, device);
	close(device);
	close(group);
	EXPECT_EQ(0, mdev_remove());
}

TEST_HARNESS_MAIN
