// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers at their limits and ends: memory that may not be pinned, programs
 * that are killed, devices that leave, emulated devices, unlike IOMMUs, allocations
 * that fail, and commands that race with the end.
 */
#include <pthread.h>

#include "hw_container.h"
#include "mdev.h"
#include "model.h"

/* ---- Limits, and ends ---- */

/* In a process of its own, without privilege; its lines come by shared memory */
static int list_limit(char *mem, unsigned long type)
{
	struct rlimit limit = { 64 * 4096, 64 * 4096 };
	struct lines *shared;
	struct box box;
	int rc, state;
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	rc = box_open(&box, type);
	if (rc)
		goto out;
	pid = ia_fork();
	if (!pid) {
		now = shared;
		if (setrlimit(RLIMIT_MEMLOCK, &limit) ||
		    setresuid(1000 + way, 1000 + way, 1000 + way))
			_exit(1);
		RC(map(box.fd, mem, AT(0), 60 * 4096));
		say("locked: %lld", ia_status("VmLck"));
		RC(map(box.fd, mem, AT(100), 5 * 4096));
		say("locked: %lld", ia_status("VmLck"));
		RC(map(box.fd, mem, AT(100), 4 * 4096));
		RC(map(box.fd, mem, AT(200), 4096));
		RC(unmap(box.fd, AT(0), 60 * 4096));
		say("locked: %lld", ia_status("VmLck"));
		RC(map(box.fd, mem, AT(200), 60 * 4096));
		RC(map(box.fd, mem, AT(300), 4096));
		/* It ends with all of that mapped */
		_exit(0);
	}
	if (waitpid(pid, &state, 0) != pid || state)
		rc = -ECHILD;
	memcpy(now, shared, sizeof(*now));
	say_dma(&box, AT(200), "of one that has ended");
	RC(unmap(box.fd, AT(200), 60 * 4096));
	RC(map(box.fd, mem, AT(0), 60 * 4096));
out:
	box_close(&box);
	munmap(shared, sizeof(*shared));
	return rc;
}

TEST_F_TIMEOUT(container, limit, 300)
{
	SAME(list_limit, TYPE1v2);
}

/* A program is killed with a device that works; the next finds all in order */
static int list_killed(char *mem, unsigned long type)
{
	struct box box;
	int pipes[2], state, i;
	char byte;
	pid_t pid;

	if (pipe(pipes))
		return -errno;
	for (i = 0; i < 2; i++) {
		pid = ia_fork();
		if (!pid) {
			byte = box_open(&box, type) ||
			       map(box.fd, mem, AT(0), PAGES * 4096);
			if (!byte)
				edu_start(&box.edu, AT(0), EDU_BUF, 4, 0);
			if (write(pipes[1], &byte, 1) == 1)
				pause();
			_exit(1);
		}
		if (read(pipes[0], &byte, 1) != 1)
			byte = 2;
		kill(pid, SIGKILL);
		if (waitpid(pid, &state, 0) != pid)
			byte = 3;
		RC(byte);
	}
	close(pipes[0]);
	close(pipes[1]);
	i = box_open(&box, type);
	RC(i);
	RC(map(box.fd, mem, AT(0), 4096));
	say_dma(&box, AT(0), "next");
	box_close(&box);
	return 0;
}

TEST_F_TIMEOUT(container, killed, 300)
{
	SAME(list_killed, TYPE1v2);
}

/* The driver lets go of a device whose group is in a container */
static int list_unplug(char *mem, unsigned long type)
{
	struct box box;
	int rc = box_open(&box, type);

	if (rc)
		goto out;
	RC(map(box.fd, mem, AT(0), 4096));
	edu_close(&box.edu);
	shut(&box.device);
	RC(hw_give_back(C));
	RC(map(box.fd, mem, AT(1), 4096));
	RC(unmap(box.fd, AT(0), 4096));
	RC(set_iommu(box.fd, type));
	RC(status(box.group));
	RC(hw_set_container(box.group, box.fd));
	RC(hw_group_device(box.group, C));
	RC(unset(box.group));
	RC(hw_take(C));
	RC(map(box.fd, mem, AT(1), 4096));
	box_close(&box);
	rc = box_open(&box, type);
	RC(rc);
	RC(map(box.fd, mem, AT(0), 4096));
	say_dma(&box, AT(0), "again");
out:
	box_close(&box);
	if (!hw_has_driver(C, "vfio-pci"))
		hw_take(C);
	return rc;
}

TEST_F_TIMEOUT(container, unplug, 300)
{
	SAME(list_unplug, TYPE1v2);
}

/* A device that a driver emulates, alone and beside one that does DMA */
static int list_emulated(char *mem, unsigned long type)
{
	struct box box;
	int g, d, c, rc;
	void *none;

	none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	g = hw_open_group_at(MDEV);
	if (g < 0)
		return g;
	c = open_container();
	RC(g >= 0);
	RC(hw_set_container(g, c));
	RC(set_iommu(c, type));
	RC(extension(c, VFIO_DMA_CC_IOMMU));
	RC(map(c, mem, AT(0), 4096));
	/* Type1 pins nothing here, and does not look */
	DIFFERS(map(c, none, AT(1), 4096), -EFAULT);
	DIFFERS(unmap(c, AT(1), 4096), 0);
	RC(map(c, mem, -4096ULL, 4096));
	say_info(c);
	d = hw_group_device(g, MDEV_UUID);
	RC(d >= 0);
	RC(unmap(c, AT(0), 4096));
	RC(unset(g));
	shut(&d);
	RC(unset(g));
	RC(map(c, mem, AT(0), 4096));
	shut(&c);
	rc = box_open(&box, type);
	if (rc)
		goto out;
	RC(hw_set_container(g, box.fd));
	d = hw_group_device(g, MDEV_UUID);
	RC(d >= 0);
	RC(map(box.fd, mem, AT(0), 4096));
	say_dma(&box, AT(0), "beside");
	RC(unmap(box.fd, AT(0), 4096));
	shut(&d);
out:
	munmap(none, 4096);
	shut(&g);
	box_close(&box);
	return rc;
}

TEST_F_TIMEOUT(container, emulated, 300)
{
	if (mdev_create())
		SKIP(return, "no mtty");
	SAME(list_emulated, TYPE1v2);
	SAME(list_emulated, TYPE1);
	mdev_remove();
}

/* Two IOMMUs that cannot share a table, in one container */
static int list_unlike(char *mem, unsigned long type)
{
	struct model_device dev;
	struct model model;
	struct box box;
	__u32 word = 0;
	int rc;

	rc = model_open(&model, MODEL_TYPE1);
	if (rc)
		return rc;
	rc = model_plug(&model, &dev, NULL, 0);
	if (rc)
		goto out_model;
	rc = box_open(&box, type);
	if (rc)
		goto out;
	dev.group = model_open_group(&dev);
	/* Mapped before and after it comes */
	RC(map(box.fd, mem, AT(0), 512 * 4096));
	RC(hw_set_container(dev.group, box.fd));
	RC(map(box.fd, mem + 4096, AT(600), 4096));
	say_info(box.fd);
	dev.fd = model_group_device(&dev);
	RC(dev.fd >= 0);
	RC(model_get(&dev, AT(3), &word, sizeof(word)));
	say("model reads %x", word);
	RC(model_get(&dev, AT(600), &word, sizeof(word)));
	say("model reads %x", word);
	say_dma(&box, AT(600), "both");
	RC(unmap(box.fd, AT(0), 512 * 4096));
	RC(model_get(&dev, AT(3), &word, sizeof(word)) > 0);
	say_dma(&box, AT(3), "unmapped");
	RC(unset(dev.group));
	shut(&dev.fd);
	RC(unset(dev.group));
	say_info(box.fd);
	RC(map(box.fd, mem, AT(700), 4096));
	say_dma(&box, AT(700), "alone");
	/* The other way round: the model device is the last to stay */
	RC(hw_set_container(dev.group, box.fd));
	edu_close(&box.edu);
	shut(&box.device);
	RC(unset(box.group));
	RC(map(box.fd, mem, AT(701), 4096));
	dev.fd = model_group_device(&dev);
	RC(model_get(&dev, AT(701), &word, sizeof(word)));
	say("model reads %x", word);
	RC(model_get(&dev, AT(700), &word, sizeof(word)));
	say_info(box.fd);
	shut(&dev.fd);
	shut(&dev.group);
	RC(map(box.fd, mem, AT(702), 4096));
out:
	box_close(&box);
	model_unplug(&dev, 0);
out_model:
	model_close(&model);
	return rc;
}

TEST_F_TIMEOUT(container, unlike, 300)
{
	if (model_load())
		SKIP(return, "no model IOMMU");
	SAME(list_unlike, TYPE1v2);
}

/* ---- Failures ---- */

static int run_set_iommu(struct box *box)
{
	return set_iommu(box->fd, VFIO_TYPE1v2_IOMMU);
}

/* As it was before VFIO_SET_IOMMU, whether that was done or not */
static int undo_set_iommu(struct box *box)
{
	int rc = unset(box->group);

	if (!rc && map(box->fd, box->blank, AT(0), 4096) != -EINVAL)
		rc = -EPROTO;
	return rc ?: hw_set_container(box->group, box->fd);
}

static int run_set_container(struct box *box)
{
	return hw_set_container(box->group, box->fd);
}

static int undo_set_container(struct box *box)
{
	return unset(box->group);
}

static int run_map(struct box *box)
{
	return map(box->fd, box->blank, AT(0), 8192);
}

static int undo_map(struct box *box)
{
	return unmap(box->fd, AT(0), 8192) == 8192 ? 0 : -EPROTO;
}

static int run_info(struct box *box)
{
	struct info_buffer buf = { .info.argsz = sizeof(buf) };

	return cmd(box->fd, VFIO_IOMMU_GET_INFO, &buf);
}

static int undo_nothing(struct box *box)
{
	return 0;
}

TEST_F_TIMEOUT(container, fail_nth, 600)
{
	static struct faulty set_up[] = {
		{ "set iommu", run_set_iommu, undo_set_iommu },
	};
	static struct faulty in_use[] = {
		{ "map", run_map, undo_map },
		{ "info", run_info, undo_nothing },
	};
	static struct faulty second[] = {
		{ "second group", run_set_container, undo_set_container },
	};
	struct box box = { .device = -1 }, other;
	int fail_nth, i;

	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth < 0 || !set_knobs())
		SKIP(return, "no fault injection");
	/* By number: elsewhere VFIO tries type1 after us */
	for (way = FILE_WAY; way < NR_WAYS; way += NUMBER - FILE_WAY) {
		if (way == FILE_WAY && !file_is_container())
			continue;
		box.fd = open_container();
		box.group = hw_open_group(C);
		box.blank = ia_mem(8192);
		ASSERT_EQ(0, hw_set_container(box.group, box.fd));
		ASSERT_EQ(0, fail_each(&set_up[0], &box, fail_nth));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, fail_each(&in_use[i], &box, fail_nth));
		other = box;
		other.group = hw_open_group(A);
		ASSERT_EQ(0, fail_each(&second[0], &other, fail_nth));
		shut(&other.group);
		shut(&box.group);
		shut(&box.fd);
		munmap(box.blank, 8192);
	}
	restore_knobs();
}

static bool racing;

static void *race_commands(void *arg)
{
	struct info_buffer buf;
	int fd = *(int *)arg;
	void *mem = ia_mem(8192);

	while (__atomic_load_n(&racing, __ATOMIC_ACQUIRE)) {
		map(fd, mem, AT(0), 8192);
		memset(&buf, 0, sizeof(buf));
		buf.info.argsz = sizeof(buf);
		cmd(fd, VFIO_IOMMU_GET_INFO, &buf);
		extension(fd, VFIO_DMA_CC_IOMMU);
		designated(fd);
		unmap(fd, AT(0), 8192);
	}
	munmap(mem, 8192);
	return NULL;
}

/* Commands while the container is given up, and set up again */
TEST_F_TIMEOUT(container, race, 300)
{
	pthread_t thread[2];
	int i, fd, group;

	for (way = FILE_WAY; way < NR_WAYS; way++) {
		if (way == FILE_WAY && !file_is_container())
			continue;
		fd = open_container();
		group = hw_open_group(C);
		ASSERT_LE(0, fd);
		ASSERT_LE(0, group);
		racing = true;
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL,
						    race_commands, &fd));
		for (i = 0; i < 200; i++) {
			ASSERT_EQ(0, hw_set_container(group, fd));
			ASSERT_EQ(0, set_iommu(fd, VFIO_TYPE1v2_IOMMU));
			ASSERT_EQ(0, unset(group));
			/* All that was mapped is gone */
			ASSERT_EQ(-EINVAL, map(fd, self->mem, AT(0), 4096));
		}
		__atomic_store_n(&racing, false, __ATOMIC_RELEASE);
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_join(thread[i], NULL));
		close(group);
		close(fd);
	}
}

TEST_HARNESS_MAIN
