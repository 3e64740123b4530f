// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers of a VFIO that does not know /dev/ioasid: they lend their groups to a
 * file of it, or serve type1 and the new commands.  Arguments of the commands that
 * name a group, and emulated devices, whose driver pins.
 */
#include <pthread.h>

#include "hw_container.h"
#include "mock.h"

/* A VFIO without our patches lends its groups to a file of /dev/ioasid */
TEST_F_TIMEOUT(container, for_file, 300)
{
	struct ioasid_device_info info;
	struct box box = { .device = -1 };
	__u32 id, devid = 0, devid2 = 0;
	int fd, other, group;

	way = NUMBER;
	now = &expected;
	now->nr = 0;
	box.group = hw_open_group(C);
	box.fd = open_container();
	fd = ia_open();
	other = ia_open();
	ASSERT_LE(0, box.group);
	ASSERT_EQ(1, extension(box.fd, IOASID_VFIO_FILE));
	ASSERT_EQ(0, hw_set_container(box.group, box.fd));
	ASSERT_EQ(0, cmd(box.fd, VFIO_SET_IOMMU, (void *)IOASID_VFIO_FILE));
	ASSERT_EQ(-EINVAL, ia_check(box.fd, IOASID_EXT_MAP));
	ASSERT_EQ(0, extension(box.fd, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(1, extension(box.fd, IOASID_VFIO_FILE));
	ASSERT_EQ(-ENODEV, attach_group(box.fd, box.group, 1));
	ASSERT_EQ(-EBADF, bind_group(box.fd, box.group, box.group, NULL));
	ASSERT_EQ(-EBADF, bind_group(box.fd, -1, fd, NULL));
	ASSERT_EQ(0, bind_group(box.fd, box.group, fd, &devid));
	ASSERT_LT(0, (int)devid);
	ASSERT_EQ(-EBUSY, bind_group(box.fd, box.group, fd, NULL));
	memset(&info, 0, sizeof(info));
	/* A second group, to the same file only */
	group = hw_open_group(A);
	ASSERT_LE(0, group);
	ASSERT_EQ(-EINVAL, bind_group(box.fd, group, fd, NULL));
	ASSERT_EQ(0, hw_set_container(group, box.fd));
	ASSERT_EQ(-EINVAL, bind_group(box.fd, group, other, NULL));
	ASSERT_EQ(0, bind_group(box.fd, group, fd, &devid2));
	ASSERT_NE(devid, devid2);
	ASSERT_EQ(0, ia_device_info(fd, devid2, &info));
	ASSERT_EQ(0, unset(group));
	ASSERT_EQ(-ENOENT, ia_device_info(fd, devid2, &info));
	shut(&group);

	memset(&info, 0, sizeof(info));
	ASSERT_EQ(0, ia_device_info(fd, devid, &info));
	ASSERT_EQ(0xc0, info.cookie);
	ASSERT_EQ(hw_group(C), (int)info.group);
	ASSERT_EQ(4096, info.pgsizes & 4096);

	ASSERT_EQ(0, ia_alloc(fd, &id));
	box.blank = ia_mem(8192);
	box.sink = box.blank + 4096;
	memset(box.blank, 0x5a, 4096);
	ASSERT_EQ(0, ia_map(fd, id, BLANK, box.blank, 4096));
	ASSERT_EQ(0, ia_map(fd, id, SINK, box.sink, 4096));
	ASSERT_EQ(0, ia_map(fd, id, AT(5), self->mem + 5 * 4096, 4096));
	ASSERT_EQ(0, attach_group(box.fd, box.group, id));
	ASSERT_EQ(0, ia_device_info(fd, devid, &info));
	ASSERT_EQ(id, info.ioasid);
	box.device = hw_group_device(box.group, C);
	ASSERT_LE(0, box.device);
	ASSERT_EQ(0, edu_open(&box.edu, box.device));
	say_dma(&box, AT(5), "file");
	ASSERT_STREQ("file: dma reads 0xda7a0005", now->text[0]);

	/* The device's own memory can be mapped, and goes with the device */
	ASSERT_EQ(0, ia_map(fd, id, AT(900), box.edu.regs, 4096));
	/* The container takes the commands of the file */
	ASSERT_EQ(1, ia_check(box.fd, IOASID_EXT_MAP));
	ASSERT_EQ(-EBUSY, ia_free(box.fd, id));
	ASSERT_EQ(0, detach_group(box.fd, box.group, id));
	say_dma(&box, AT(5), "blocked");
	ASSERT_STREQ("blocked: dma reads nothing", now->text[1]);
	ASSERT_EQ(0, attach_group(box.fd, box.group, id));
	say_dma(&box, AT(5), "again");
	ASSERT_STREQ("again: dma reads 0xda7a0005", now->text[2]);

	/* The group leaves: the file stays, without the device */
	edu_close(&box.edu);
	shut(&box.device);
	ASSERT_EQ(0, unset(box.group));
	ASSERT_EQ(-EINVAL, ia_check(box.fd, IOASID_EXT_MAP));
	ASSERT_EQ(-ENOENT, ia_device_info(fd, devid, &info));
	ASSERT_EQ(0, ia_free(fd, id));
	shut(&other);
	shut(&fd);
	shut(&box.group);
	shut(&box.fd);
}

/* ---- Arguments ---- */

static int open_lender(int group)
{
	int fd = open_container(), rc;

	rc = hw_set_container(group, fd);
	if (!rc)
		rc = cmd(fd, VFIO_SET_IOMMU, (void *)IOASID_VFIO_FILE);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

/* A structure with room behind it, for sizes that are too large */
union group_arg {
	struct {
		__u32 argsz;
		__u32 flags;
		__s32 group_fd;
	};
	struct ioasid_vfio_bind_group bind;
	struct ioasid_vfio_attach_group attach;
	struct ioasid_vfio_detach_group detach;
	__u64 words[16];
};

/* Each of the commands checks its structure alike: what @arg has is right */
static int bad_structures(int fd, unsigned long command, size_t size,
			  const union group_arg *good)
{
	union group_arg arg = *good;
	int i, bad = 0;

	arg.argsz = 0;
	bad += cmd(fd, command, &arg) != -EINVAL;
	arg.argsz = size - 1;
	bad += cmd(fd, command, &arg) != -EINVAL;
	arg.argsz = size + 8;
	arg.words[size / 8] = 1ULL << 63;
	bad += cmd(fd, command, &arg) != -E2BIG;
	arg.argsz = 1U << 31;
	bad += cmd(fd, command, &arg) != -E2BIG;
	for (i = 0; i < 32; i += 31) {
		arg = *good;
		arg.flags = 1U << i;
		bad += cmd(fd, command, &arg) != -EOPNOTSUPP;
	}
	arg = *good;
	arg.group_fd = -1;
	bad += cmd(fd, command, &arg) != -EBADF;
	arg.group_fd = fd;
	bad += cmd(fd, command, &arg) != -EBADF;
	bad += cmd(fd, command, NULL) != -EFAULT;
	bad += cmd(fd, command, (void *)~0xfffUL) != -EFAULT;
	return bad;
}

TEST_F_TIMEOUT(container, arguments, 300)
{
	union group_arg bind = {}, attach = {}, detach = {}, *page;
	int c, g, fd, other;
	__u32 id;

	way = NUMBER;
	g = hw_open_group(C);
	ASSERT_LE(0, g);
	c = open_lender(g);
	ASSERT_LE(0, c);
	fd = ia_open();
	other = ia_open();
	ASSERT_EQ(0, ia_alloc(fd, &id));
	bind.bind = (struct ioasid_vfio_bind_group){
		.argsz = sizeof(bind.bind), .group_fd = g, .ioasid_fd = fd,
	};
	attach.attach = (struct ioasid_vfio_attach_group){
		.argsz = sizeof(attach.attach), .group_fd = g, .ioasid = id,
	};
	detach.detach = (struct ioasid_vfio_detach_group){
		.argsz = sizeof(detach.detach), .group_fd = g,
	};
	ASSERT_EQ(0, bad_structures(c, IOASID_VFIO_BIND_GROUP,
				    sizeof(bind.bind), &bind));
	bind.bind.__reserved = 1;
	ASSERT_EQ(-EINVAL, cmd(c, IOASID_VFIO_BIND_GROUP, &bind));
	bind.bind.__reserved = 0;
	bind.bind.ioasid_fd = g;
	ASSERT_EQ(-EBADF, cmd(c, IOASID_VFIO_BIND_GROUP, &bind));
	bind.bind.ioasid_fd = -1;
	ASSERT_EQ(-EBADF, cmd(c, IOASID_VFIO_BIND_GROUP, &bind));
	bind.bind.ioasid_fd = fd;

	/* An id that cannot be written: nothing is bound, to no file */
	page = ia_mem(4096);
	*page = bind;
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	ASSERT_EQ(-EFAULT, cmd(c, IOASID_VFIO_BIND_GROUP, page));
	ASSERT_EQ(-ENODEV, cmd(c, IOASID_VFIO_ATTACH_GROUP, &attach));
	ASSERT_EQ(-EINVAL, ia_check(c, IOASID_EXT_MAP));
	ASSERT_EQ(0, bind_group(c, g, other, NULL));
	ASSERT_EQ(0, unset(g));
	close(c);
	c = open_lender(g);
	ASSERT_LE(0, c);

	/* A larger structure, the rest of which is 0 */
	bind.argsz = sizeof(bind);
	ASSERT_EQ(0, cmd(c, IOASID_VFIO_BIND_GROUP, &bind));
	ASSERT_EQ(0, bad_structures(c, IOASID_VFIO_ATTACH_GROUP,
				    sizeof(attach.attach), &attach));
	ASSERT_EQ(0, cmd(c, IOASID_VFIO_ATTACH_GROUP, &attach));
	ASSERT_EQ(0, bad_structures(c, IOASID_VFIO_DETACH_GROUP,
				    sizeof(detach.detach), &detach));
	ASSERT_EQ(0, cmd(c, IOASID_VFIO_DETACH_GROUP, &detach));
	ASSERT_EQ(-ENOENT, cmd(c, IOASID_VFIO_DETACH_GROUP, &detach));

	/* An address that the device cannot use is told, and nothing changes */
	ASSERT_EQ(0, ia_map(fd, id, 0xfee00000, self->mem, 4096));
	ASSERT_EQ(-EADDRINUSE, cmd(c, IOASID_VFIO_ATTACH_GROUP, &attach));
	ASSERT_EQ(0xfee00000, attach.attach.fault_addr);
	attach.attach.fault_addr = 0;
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ | PROT_WRITE));
	*page = attach;
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	ASSERT_EQ(-EFAULT, cmd(c, IOASID_VFIO_ATTACH_GROUP, page));
	ASSERT_EQ(-ENOENT, cmd(c, IOASID_VFIO_DETACH_GROUP, &detach));
	ASSERT_EQ(0, ia_free(fd, id));
	close(fd);
	close(other);
	close(c);
	close(g);
	munmap(page, 4096);
}

/* ---- Failures of commands that name a group ---- */

static int lend_to;
static __u32 lend_id;

static int run_bind(struct box *box)
{
	return bind_group(box->fd, box->group, lend_to, NULL);
}

static int undo_bind(struct box *box)
{
	return unset(box->group) ?: hw_set_container(box->group, box->fd) ?:
	       cmd(box->fd, VFIO_SET_IOMMU, (void *)IOASID_VFIO_FILE);
}

static int run_attach(struct box *box)
{
	return attach_group(box->fd, box->group, lend_id);
}

static int undo_attach(struct box *box)
{
	return detach_group(box->fd, box->group, lend_id);
}

static int run_designate(struct box *box)
{
	return designate(box->fd, lend_id);
}

static int undo_designate(struct box *box)
{
	return designated(box->fd) != (int)lend_id;
}

TEST_F_TIMEOUT(container, lend_fail_nth, 300)
{
	static const struct faulty bind = { "bind", run_bind, undo_bind };
	static const struct faulty bound[] = {
		{ "attach", run_attach, undo_attach },
		{ "designate", run_designate, undo_designate },
	};
	struct box box = { .device = -1 };
	int fail_nth, i;

	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth < 0 || !set_knobs())
		SKIP(return, "no fault injection");
	way = NUMBER;
	box.group = hw_open_group(C);
	ASSERT_LE(0, box.group);
	box.fd = open_lender(box.group);
	ASSERT_LE(0, box.fd);
	lend_to = ia_open();
	ASSERT_EQ(0, ia_alloc(lend_to, &lend_id));
	ASSERT_EQ(0, ia_map(lend_to, lend_id, AT(0), self->mem, 4096));
	ASSERT_EQ(0, fail_each(&bind, &box, fail_nth));
	/* The last try did not fail */
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, fail_each(&bound[i], &box, fail_nth));
	restore_knobs();
	close(box.group);
	close(box.fd);
	close(lend_to);
}

/* ---- Emulated devices ---- */

/* Memory by which the driver of an emulated device reads a word */
static bool driver_reads(int device, __u64 iova, __u32 word)
{
	__u32 got = 0;

	return !mock_get(device, IOASID_MOCK_READ, 0, iova, &got,
			 sizeof(got)) && got == word;
}

/* Two groups in one container that serves type1: both see the same memory */
TEST_F_TIMEOUT(container, emulated_pair, 300)
{
	struct ioasid_mock_status status;
	int c, g[2], d[2], i;
	__u32 id;

	if (mock_load())
		SKIP(return, "no ioasid_mock to emulate devices");
	for (way = FILE_WAY; way < NR_WAYS; way++) {
		if (way == FILE_WAY && !file_is_container())
			continue;
		c = open_container();
		for (i = 0; i < 2; i++) {
			g[i] = mock_open_group(i);
			ASSERT_LE(0, g[i]);
			ASSERT_EQ(0, hw_set_container(g[i], c));
		}
		ASSERT_EQ(0, set_iommu(c, VFIO_TYPE1v2_IOMMU));
		ASSERT_EQ(0, map(c, self->mem, AT(0), 4 * 4096));
		for (i = 0; i < 2; i++) {
			d[i] = hw_group_device(g[i], i ? "ioasid_mock.1" :
							 "ioasid_mock.0");
			ASSERT_LE(0, d[i]);
			ASSERT_TRUE(driver_reads(d[i], AT(1), 0xda7a0001));
		}
		ASSERT_EQ(0, mock_pin(d[0], AT(0), 2 * 4096));
		ASSERT_EQ(0, mock_pin(d[1], AT(1), 2 * 4096));
		ASSERT_GT(0, mock_pin(d[1], AT(3), 2 * 4096));
		if (way != FILE_WAY) {
			id = designated(c);
			ASSERT_EQ(-EOPNOTSUPP, attach_group(c, g[0], id));
			ASSERT_EQ(-EOPNOTSUPP, detach_group(c, g[0], id));
		}
		/* Drivers are asked to unpin, and do, before it returns */
		ASSERT_EQ(4 * 4096, unmap(c, AT(0), 4 * 4096));
		for (i = 0; i < 2; i++) {
			status = mock_status(d[i]);
			ASSERT_EQ(0, status.pins);
			ASSERT_LE(1, status.unmaps);
			ASSERT_FALSE(driver_reads(d[i], AT(1), 0xda7a0001));
		}
		/* One leaves, with pins; the other stays */
		ASSERT_EQ(0, map(c, self->mem, AT(0), 4 * 4096));
		ASSERT_EQ(0, mock_pin(d[0], AT(0), 4096));
		ASSERT_EQ(0, mock_pin(d[1], AT(0), 4096));
		shut(&d[0]);
		ASSERT_EQ(0, unset(g[0]));
		ASSERT_TRUE(driver_reads(d[1], AT(2), 0xda7a0002));
		ASSERT_EQ(1, mock_status(d[1]).pins);
		ASSERT_EQ(4 * 4096, unmap_all(c));
		ASSERT_EQ(0, mock_status(d[1]).pins);
		shut(&d[1]);
		for (i = 0; i < 2; i++)
			shut(&g[i]);
		shut(&c);
	}
}

/* A lent group of an emulated device: attached, moved, detached while it is open */
TEST_F_TIMEOUT(container, emulated_lent, 300)
{
	int c, g, second, d, fd;
	__u32 id, other, devid;

	if (mock_load())
		SKIP(return, "no ioasid_mock to emulate devices");
	way = NUMBER;
	g = mock_open_group(0);
	second = mock_open_group(1);
	ASSERT_LE(0, g);
	ASSERT_LE(0, second);
	c = open_lender(g);
	ASSERT_LE(0, c);
	/* VFIO does not say which of them unpins */
	ASSERT_EQ(-EBUSY, hw_set_container(second, c));
	fd = ia_open();
	ASSERT_EQ(0, ia_alloc(fd, &id));
	ASSERT_EQ(0, ia_alloc(fd, &other));
	ASSERT_EQ(0, ia_map(fd, id, AT(0), self->mem, 4 * 4096));
	ASSERT_EQ(0, ia_map(fd, other, AT(0), self->mem + 4096, 4096));
	d = hw_group_device(g, "ioasid_mock.0");
	ASSERT_LE(0, d);
	ASSERT_EQ(-EINVAL, mock_pin(d, AT(0), 4096));
	ASSERT_FALSE(driver_reads(d, AT(0), 0xda7a0000));
	ASSERT_EQ(0, bind_group(c, g, fd, &devid));
	ASSERT_EQ(-EBUSY, bind_group(c, g, fd, NULL));
	ASSERT_EQ(-EINVAL, mock_pin(d, AT(0), 4096));
	ASSERT_EQ(0, attach_group(c, g, id));
	ASSERT_EQ(0, mock_pin(d, AT(0), 2 * 4096));
	ASSERT_TRUE(driver_reads(d, AT(0), 0xda7a0000));
	/* A move has the driver unpin */
	ASSERT_EQ(0, attach_group(c, g, other));
	ASSERT_EQ(0, mock_status(d).pins);
	ASSERT_TRUE(driver_reads(d, AT(0), 0xda7a0001));
	ASSERT_EQ(0, mock_pin(d, AT(0), 4096));
	ASSERT_EQ(0, detach_group(c, g, other));
	ASSERT_EQ(0, mock_status(d).pins);
	ASSERT_FALSE(driver_reads(d, AT(0), 0xda7a0001));
	ASSERT_EQ(0, ia_unmap_all(fd, other, NULL));

	/* It closes with pins, its group leaves, and the memory is free to go */
	ASSERT_EQ(0, attach_group(c, g, id));
	ASSERT_EQ(0, mock_pin(d, AT(0), 4096));
	shut(&d);
	ASSERT_EQ(0, unset(g));
	ASSERT_EQ(0, ia_unmap_all(fd, id, NULL));
	ASSERT_EQ(0, ia_free(fd, id));
	ASSERT_EQ(0, hw_set_container(second, c) ? 0 : unset(second));
	shut(&fd);
	shut(&second);
	shut(&g);
	shut(&c);
}

/* ---- Races ---- */

struct lender {
	int container;
	int group;
	__u32 id;
	int fd;
	bool stop;
	int attached;
};

static void *keep_attaching(void *arg)
{
	struct lender *l = arg;

	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE))
		if (!attach_group(l->container, l->group, l->id))
			l->attached++;
	return NULL;
}

/* A bind that cannot tell the id is undone, and nothing was attached meanwhile */
TEST_F_TIMEOUT(container, bind_undone, 300)
{
	struct ioasid_vfio_bind_group *bind = ia_mem(4096);
	struct lender l = {};
	pthread_t thread;
	int i;

	way = NUMBER;
	l.group = hw_open_group(C);
	ASSERT_LE(0, l.group);
	l.container = open_lender(l.group);
	ASSERT_LE(0, l.container);
	l.fd = ia_open();
	ASSERT_EQ(0, ia_alloc(l.fd, &l.id));
	*bind = (struct ioasid_vfio_bind_group){
		.argsz = sizeof(*bind),
		.group_fd = l.group,
		.ioasid_fd = l.fd,
	};
	ASSERT_EQ(0, mprotect(bind, 4096, PROT_READ));
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_attaching, &l));
	for (i = 0; i < 300; i++)
		ASSERT_EQ(-EFAULT, cmd(l.container, IOASID_VFIO_BIND_GROUP,
				       bind));
	__atomic_store_n(&l.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, l.attached);
	ASSERT_EQ(0, ia_free(l.fd, l.id));
	close(l.group);
	close(l.container);
	close(l.fd);
	munmap(bind, 4096);
}

struct binder {
	pthread_barrier_t *barrier;
	int container;
	int group;
	int fd;
	int rc;
};

/* The structure is on a page that is copied when the kernel writes the id */
static void *bind_once(void *arg)
{
	struct binder *b = arg;
	struct ioasid_vfio_bind_group bind = {
		.argsz = sizeof(bind),
		.group_fd = b->group,
		.ioasid_fd = b->fd,
	};
	int file = memfd_create("bind", MFD_CLOEXEC);
	void *page = MAP_FAILED;

	if (pwrite(file, &bind, sizeof(bind), 0) == sizeof(bind) &&
	    !ftruncate(file, 4096))
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			    file, 0);
	pthread_barrier_wait(b->barrier);
	b->rc = cmd(b->container, IOASID_VFIO_BIND_GROUP, page);
	munmap(page, 4096);
	close(file);
	return NULL;
}

/* Two groups at once, to a file each whose ids are the same: one file wins */
TEST_F_TIMEOUT(container, two_files, 300)
{
	pthread_barrier_t barrier;
	struct binder b[2] = {};
	pthread_t thread[2];
	int c, i, k, won;
	__u32 id;

	way = NUMBER;
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
	b[0].group = hw_open_group(C);
	b[1].group = hw_open_group(A);
	for (i = 0; i < 2; i++)
		ASSERT_LE(0, b[i].group);
	for (k = 0; k < 100; k++) {
		c = open_lender(b[0].group);
		ASSERT_LE(0, c);
		ASSERT_EQ(0, hw_set_container(b[1].group, c));
		for (i = 0; i < 2; i++) {
			b[i].barrier = &barrier;
			b[i].container = c;
			b[i].fd = ia_open();
			ASSERT_LE(0, b[i].fd);
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, bind_once,
						    &b[i]));
		}
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_join(thread[i], NULL));
		won = b[0].rc ? 1 : 0;
		ASSERT_EQ(0, b[won].rc);
		ASSERT_EQ(-EINVAL, b[!won].rc);
		/* The group, the container and the file are of one context */
		ASSERT_EQ(0, ia_alloc(b[won].fd, &id));
		ASSERT_EQ(0, attach_group(c, b[won].group, id));
		ASSERT_EQ(-ENODEV, attach_group(c, b[!won].group, id));
		ASSERT_EQ(-EBUSY, ia_free(c, id));
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, unset(b[i].group));
			close(b[i].fd);
		}
		close(c);
	}
	for (i = 0; i < 2; i++)
		close(b[i].group);
	pthread_barrier_destroy(&barrier);
}

static void *keep_commanding(void *arg)
{
	struct lender *l = arg;

	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
		bind_group(l->container, l->group, l->fd, NULL);
		attach_group(l->container, l->group, l->id);
		ia_map(l->container, l->id, AT(0), (void *)arg, 4096);
		detach_group(l->container, l->group, 0);
		ia_unmap(l->container, l->id, AT(0), 4096, NULL);
	}
	return NULL;
}

/* Commands that name a group while it leaves and comes */
TEST_F_TIMEOUT(container, lend_race, 300)
{
	struct lender *l = ia_mem(4096);
	pthread_t thread[2];
	int i, k;

	way = NUMBER;
	l->group = hw_open_group(C);
	l->fd = ia_open();
	l->container = open_container();
	ASSERT_LE(0, l->group);
	ASSERT_LE(0, l->container);
	ASSERT_EQ(0, ia_alloc(l->fd, &l->id));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, keep_commanding,
					    l));
	for (k = 0; k < 200; k++) {
		ASSERT_EQ(0, hw_set_container(l->group, l->container));
		ASSERT_EQ(0, cmd(l->container, VFIO_SET_IOMMU,
				 (void *)IOASID_VFIO_FILE));
		sched_yield();
		ASSERT_EQ(0, unset(l->group));
	}
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	ASSERT_EQ(0, ia_unmap_all(l->fd, l->id, NULL));
	ASSERT_EQ(0, ia_free(l->fd, l->id));
	close(l->group);
	close(l->container);
	close(l->fd);
	munmap(l, 4096);
}

TEST_HARNESS_MAIN
