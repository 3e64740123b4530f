// SPDX-License-Identifier: GPL-2.0-only
/*
 * vDPA devices through an IOASID: moves and unmaps under traffic, and the end of each
 * party at each step.
 */
#include <sched.h>

#include "hw_vdpa.h"

FIXTURE(vdpa_life)
{
	struct vdpa_setup s;
};

FIXTURE_VARIANT(vdpa_life)
{
	enum vdpa_parent parent;
};

FIXTURE_VARIANT_ADD(vdpa_life, set_map) { .parent = SET_MAP, };
FIXTURE_VARIANT_ADD(vdpa_life, dma_map) { .parent = DMA_MAP, };
FIXTURE_VARIANT_ADD(vdpa_life, platform) { .parent = PLATFORM, };

FIXTURE_SETUP(vdpa_life)
{
	const char *reason = vdpa_prepare(&self->s, variant->parent);

	ASSERT_NE(NULL, reason);
	if (*reason)
		SKIP(return, "%s", reason);
}

FIXTURE_TEARDOWN(vdpa_life)
{
	vdpa_finish(&self->s);
}

/* --- what a device without an IOASID reaches --- */

/*
 * Have the device look for its queues at the physical address of memory that this
 * process has, where a device that nothing translates would find them.
 */
static int try_physical(struct virtio *v, bool *found)
{
	char *old = v->ctrl, *huge;
	__u64 physical, end;
	int rc;

	huge = mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (huge == MAP_FAILED)
		return -ENOMEM;
	physical = ia_pfn(huge) * PG;
	if (!physical) {
		munmap(huge, SZ_2M);
		return -EPERM;
	}
	v->ctrl = huge;
	rc = virtio_start(v, physical);
	if (!rc) {
		struct virtio_piece piece = { physical + VIRTIO_HEADERS, 64, false };

		virtio_add(v, VIRTIO_RX, &piece, 1);
		if (v->id == VIRTIO_ID_NET)
			virtio_add(v, VIRTIO_TX, &piece, 1);
		virtio_kick(v, v->id == VIRTIO_ID_NET ? VIRTIO_TX : 0);
		/* it would be there in far less */
		*found = false;
		for (end = ia_now_ms() + 100; ia_now_ms() < end; usleep(1000))
			*found |= virtio_answered(v, v->id == VIRTIO_ID_NET ?
						  VIRTIO_TX : 0, NULL);
	}
	virtio_reset(v);
	v->ctrl = old;
	munmap(huge, SZ_2M);
	return rc;
}

TEST_F(vdpa_life, nothing_attached)
{
	struct vdpa_setup *s = &self->s;
	bool found = true;
	int rc;

	ASSERT_EQ(0, vdpa_bind(s->v.fd, s->ctx, VDPA_COOKIE, &s->devid));
	rc = try_physical(&s->v, &found);
	if (rc == -ENOMEM || rc == -EPERM)
		SKIP(return, "no huge page, or no right to know where it is");
	ASSERT_EQ(0, rc);
	EXPECT_FALSE(found);

	/* an IOASID that maps nothing */
	found = true;
	ASSERT_EQ(0, vdpa_attach(s->v.fd, s->id));
	ASSERT_EQ(0, try_physical(&s->v, &found));
	EXPECT_FALSE(found);
	found = true;
	ASSERT_EQ(0, vdpa_detach(s->v.fd, s->id));
	ASSERT_EQ(0, try_physical(&s->v, &found));
	EXPECT_FALSE(found);
}

/* --- reset, suspend --- */

TEST_F(vdpa_life, reset)
{
	const __u64 none = 0;
	struct vdpa_setup *s = &self->s;
	bool found = true;
	int rc;

	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	EXPECT_TRUE(page_moves(s, 0, 1, 1));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	EXPECT_TRUE(page_moves(s, 0, 1, 2));
	/* without this feature, a reset takes along what messages have mapped */
	ASSERT_EQ(0, ioctl(s->v.fd, VHOST_SET_BACKEND_FEATURES, &none));
	ASSERT_EQ(0, virtio_start(&s->v, RINGS));
	EXPECT_TRUE(page_moves(s, 0, 1, 3));
	ASSERT_EQ(0, unmap(s, 0, NR_PAGES));
	EXPECT_TRUE(page_spared(s, 0, 1, 4));
	rc = try_physical(&s->v, &found);
	if (rc != -ENOMEM && rc != -EPERM) {
		EXPECT_EQ(0, rc);
		EXPECT_FALSE(found);
	}
}

TEST_F(vdpa_life, suspend)
{
	struct vdpa_setup *s = &self->s;
	struct virtio_piece piece = { BASE, VIRTIO_LEN, false };
	__u32 other;

	if (variant->parent == PLATFORM)
		SKIP(return, "virtio over PCI does not suspend");
	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	EXPECT_TRUE(page_moves(s, 0, 1, 1));
	ASSERT_EQ(0, ioctl(s->v.fd, VHOST_VDPA_SUSPEND));
	/* nothing is answered until it resumes, and then where it has moved to */
	ASSERT_EQ(0, ia_alloc(s->ctx, &other));
	ASSERT_EQ(0, ia_map(s->ctx, other, RINGS, s->v.ctrl, VIRTIO_CTRL));
	virtio_add(&s->v, VIRTIO_TX, &piece, 1);
	virtio_kick(&s->v, VIRTIO_TX);
	ASSERT_LE(0, virtio_get_status(&s->v));
	EXPECT_FALSE(virtio_answered(&s->v, VIRTIO_TX, NULL));
	ASSERT_EQ(0, vdpa_attach(s->v.fd, other));
	ASSERT_EQ(0, unmap(s, 0, NR_PAGES));
	ASSERT_EQ(0, ioctl(s->v.fd, VHOST_VDPA_RESUME));
	ASSERT_EQ(0, virtio_wait(&s->v, VIRTIO_TX, NULL));
	EXPECT_TRUE(page_spared(s, 0, 1, 2));
	ASSERT_EQ(0, ia_map(s->ctx, other, BASE, s->mem, 2 * PG));
	EXPECT_TRUE(page_moves(s, 0, 1, 3));
}

/* --- moves --- */

TEST_F(vdpa_life, move)
{
	struct vdpa_setup *s = &self->s;
	struct ioasid_info info;
	__u64 fault;
	__u32 other;
	int i;

	ASSERT_EQ(0, ia_alloc(s->ctx, &other));
	ASSERT_EQ(0, ia_map(s->ctx, other, RINGS, s->v.ctrl, VIRTIO_CTRL));
	ASSERT_EQ(0, map(s, 0, 1));
	ASSERT_EQ(0, map(s, 2, 1));
	ASSERT_EQ(0, ia_map(s->ctx, other, BASE, s->mem + PG, PG));
	ASSERT_EQ(0, ia_map(s->ctx, other, BASE + 2 * PG, s->mem + 2 * PG, PG));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, vdpa_attach(s->v.fd, i % 2 ? s->id : other));
		ASSERT_TRUE(moves(&s->v, BASE, s->mem + (i % 2 ? 0 : PG),
				  BASE + 2 * PG, s->mem + 2 * PG, i));
		virtio_frame(s->mem + (i % 2 ? PG : 0), VIRTIO_LEN, i + 50);
		ASSERT_TRUE(moves(&s->v, BASE, s->mem + (i % 2 ? 0 : PG),
				  BASE + 2 * PG, s->mem + 2 * PG, i + 20));
		ASSERT_TRUE(virtio_is_frame(s->mem + (i % 2 ? PG : 0),
					    VIRTIO_LEN, i + 50));
	}
	/* where it was, when the move fails */
	EXPECT_EQ(-ENOENT, vdpa_attach_full(s->v.fd, 0, 0, 999, &fault));
	EXPECT_TRUE(moves(&s->v, BASE, s->mem, BASE + 2 * PG, s->mem + 2 * PG,
			  7));
	ASSERT_EQ(0, ia_info(s->ctx, other, &info));
	EXPECT_EQ(0, info.nr_devices);
	EXPECT_EQ(0, ia_free(s->ctx, other));
}

struct traffic {
	struct virtio *v;
	char *source;
	char *sink[2];
	__u64 to, from;
	bool stop;
	unsigned int done, lost;
	int error;
};

static void *run_traffic(void *arg)
{
	struct traffic *t = arg;
	unsigned int seed = 0;

	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		int rc;

		virtio_frame(t->source, VIRTIO_LEN, ++seed);
		rc = move(t->v, t->to, t->from);
		if (rc < 0) {
			t->error = rc;
			break;
		}
		if (rc)
			t->lost++;
		else if (!t->sink[0] ||
			 virtio_is_frame(t->sink[0], VIRTIO_LEN, seed) ||
			 virtio_is_frame(t->sink[1], VIRTIO_LEN, seed))
			__atomic_fetch_add(&t->done, 1, __ATOMIC_RELEASE);
		else
			t->error = -EIO;
	}
	return NULL;
}

/* Until traffic has gone on for some more packets */
static void see_traffic(struct traffic *t, unsigned int more)
{
	unsigned int done = __atomic_load_n(&t->done, __ATOMIC_ACQUIRE);

	while (!t->error &&
	       __atomic_load_n(&t->done, __ATOMIC_ACQUIRE) - done < more)
		usleep(100);
}

TEST_F(vdpa_life, move_under_traffic)
{
	struct vdpa_setup *s = &self->s;
	struct traffic t = {
		.v = &s->v,
		.to = BASE,
		.from = BASE + 2 * PG,
		.source = s->mem + 2 * PG,
		.sink = { s->mem, s->mem + PG },
	};
	pthread_t thread;
	__u32 other;
	int i;

	/* QEMU gives a device up that does not find a ring for a moment */
	if (variant->parent == PLATFORM)
		SKIP(return, "the emulated device does not survive it");
	ASSERT_EQ(0, ia_alloc(s->ctx, &other));
	ASSERT_EQ(0, ia_map(s->ctx, other, RINGS, s->v.ctrl, VIRTIO_CTRL));
	ASSERT_EQ(0, map(s, 0, 1));
	ASSERT_EQ(0, map(s, 2, 1));
	ASSERT_EQ(0, ia_map(s->ctx, other, BASE, s->mem + PG, PG));
	ASSERT_EQ(0, ia_map(s->ctx, other, BASE + 2 * PG, s->mem + 2 * PG, PG));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_traffic, &t));
	for (i = 0; i < 60 && !t.error; i++) {
		ASSERT_EQ(0, vdpa_attach(s->v.fd, i % 2 ? s->id : other));
		if (!(i % 4))
			see_traffic(&t, 1);
	}
	see_traffic(&t, 3);
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, t.error);
	EXPECT_LT(0, t.done);
	/* a device that gets the whole map gets the new one in one step */
	if (variant->parent == SET_MAP)
		EXPECT_EQ(0, t.lost);
}

/* When the unmap has returned, the device writes the page no more, in use or free. */
TEST_F(vdpa_life, unmap_under_traffic)
{
	struct vdpa_setup *s = &self->s;
	struct traffic t = {
		.v = &s->v,
		.to = BASE,
		.from = BASE + 2 * PG,
		.source = s->mem + 2 * PG,
	};
	pthread_t thread;
	int i, round;

	ASSERT_EQ(0, map(s, 2, 1));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_traffic, &t));
	for (round = 0; round < 60 && !t.error; round++) {
		ASSERT_EQ(0, map(s, 0, 1));
		if (!(round % 4))
			see_traffic(&t, 1);
		else
			sched_yield();
		ASSERT_EQ(0, unmap(s, 0, 1));
		/* it still is the page of before: no write may come */
		virtio_frame(s->mem, VIRTIO_LEN, 999);
		for (i = 0; i < 20; i++) {
			sched_yield();
			ASSERT_TRUE(virtio_is_frame(s->mem, VIRTIO_LEN, 999));
		}
		/* freed, poisoned, and soon another one */
		ASSERT_EQ(0, madvise(s->mem, PG, MADV_DONTNEED));
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, t.error);
	EXPECT_LT(0, t.done);
}

/* --- the end of each party --- */

/* The device is free again, and so is the IOASID. */
static bool is_released(struct vdpa_setup *s, enum vdpa_parent parent)
{
	struct ioasid_info info;
	int fd = vdpa_open(device_name(parent));

	if (fd < 0)
		return false;
	close(fd);
	return !ia_info(s->ctx, s->id, &info) && !info.nr_devices &&
	       !ia_free(s->ctx, s->id);
}

TEST_F(vdpa_life, closed)
{
	struct vdpa_setup *s = &self->s;
	const char *name = device_name(variant->parent);
	int step;

	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, RINGS, s->v.ctrl, VIRTIO_CTRL));
	for (step = 0; step < 6; step++) {
		struct virtio *v = &s->v;

		if (step >= 1)
			ASSERT_EQ(0, vdpa_bind(v->fd, s->ctx, 1, NULL));
		if (step >= 2)
			ASSERT_EQ(0, vdpa_attach(v->fd, s->id));
		if (step >= 3)
			ASSERT_EQ(0, virtio_start(v, RINGS));
		if (step >= 4) {
			ASSERT_TRUE(page_moves(s, 0, 1, step));
			virtio_kick(v, 0);
		}
		if (step == 5)
			ASSERT_EQ(0, vdpa_detach(v->fd, s->id));
		virtio_close(v);
		ASSERT_EQ(0, virtio_open(v, name));
		/* the next one has its own memory for queues */
		ASSERT_EQ(0, ia_unmap(s->ctx, s->id, RINGS, VIRTIO_CTRL, NULL));
		ASSERT_EQ(0, ia_map(s->ctx, s->id, RINGS, v->ctrl,
				    VIRTIO_CTRL));
	}
	virtio_close(&s->v);
	EXPECT_TRUE(is_released(s, variant->parent));
}

TEST_F(vdpa_life, killed)
{
	struct vdpa_setup *s = &self->s;
	int step, status, pipes[2];
	pid_t pid;

	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, RINGS, s->v.ctrl, VIRTIO_CTRL));
	virtio_close(&s->v);
	for (step = 0; step < 3; step++) {
		char byte;

		ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct virtio v;
			__u32 own;

			if (virtio_open(&v, device_name(variant->parent)) ||
			    ia_alloc(s->ctx, &own) ||
			    ia_map(s->ctx, own, RINGS, v.ctrl, VIRTIO_CTRL) ||
			    ia_map(s->ctx, own, BASE, s->mem, NR_PAGES * PG))
				_exit(KSFT_FAIL);
			if (vdpa_bind(v.fd, s->ctx, 1, NULL) ||
			    (step > 0 && vdpa_attach(v.fd, own)) ||
			    (step > 1 && virtio_start(&v, RINGS)) ||
			    write(pipes[1], "x", 1) != 1)
				_exit(KSFT_FAIL);
			for (;;)
				if (step < 2)
					pause();
				else
					move(&v, BASE, BASE + PG);
		}
		close(pipes[1]);
		ASSERT_EQ(1, read(pipes[0], &byte, 1)) {
			kill(pid, SIGKILL);
		}
		close(pipes[0]);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_TRUE(is_released(s, variant->parent));
}

TEST_F(vdpa_life, context_closed_first)
{
	struct vdpa_setup *s = &self->s;

	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	close(s->ctx);
	s->ctx = -1;
	EXPECT_TRUE(page_moves(s, 0, 1, 1));
	EXPECT_EQ(-EBUSY, vdpa_map(s->v.fd, 0, 4 * BASE, s->mem, PG));
	ASSERT_EQ(0, vdpa_detach(s->v.fd, s->id));
	EXPECT_EQ(-ENOENT, vdpa_attach(s->v.fd, 999));
}

/* Removed while it is in use: vhost-vdpa waits for its user. */
TEST_F(vdpa_life, removed)
{
	const char *name = device_name(variant->parent);
	struct vdpa_setup *s = &self->s;
	int status, fd;
	pid_t pid;

	ASSERT_EQ(0, map(s, 0, NR_PAGES));
	ASSERT_EQ(0, vdpa_begin_traffic(s));
	EXPECT_TRUE(page_moves(s, 0, 1, 1));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* else it would be a user, too */
		close(s->v.fd);
		_exit(vdpa_del(name) ? KSFT_FAIL : KSFT_PASS);
	}
	while ((fd = vdpa_open(name)) == -EBUSY)
		usleep(1000);
	EXPECT_GT(0, fd);
	EXPECT_TRUE(page_moves(s, 0, 1, 2));
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	virtio_close(&s->v);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(KSFT_PASS, WEXITSTATUS(status));
	EXPECT_FALSE(vdpa_exists(name));
	EXPECT_EQ(0, ia_free(s->ctx, s->id));
}

TEST_HARNESS_MAIN
