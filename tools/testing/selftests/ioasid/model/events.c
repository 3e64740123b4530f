// SPDX-License-Identifier: GPL-2.0-only
/*
 * poll() of a context, and IOASID_GET_EVENTS: parents that are freed, IOMMUs that
 * fail, and exports that are revoked.
 */
#include <poll.h>
#include <sys/epoll.h>

#include "ioasid_test.h"
#include "family.h"
#include "libioasid.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES 4
#define CHILDREN 300	/* more than are looked at together */

FIXTURE(events)
{
	struct model model;
	struct model_device dev;
	struct model_space at;
	int fd;
	__u32 root;
	__u32 child;
	char *mem;
};

FIXTURE_SETUP(events)
{
	FAMILY_SETUP(return, PAGES);
}

FIXTURE_TEARDOWN(events)
{
	if (!self->dev.model)
		return;
	EXPECT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 0, 0));
	model_release(&self->dev);
	EXPECT_EQ(0, model_unplug(&self->dev, 0));
	model_close(&self->model);
}

static int polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static int get(int fd, struct ioasid_event *events, __u32 *nr, __u32 *more)
{
	struct ioasid_get_events cmd = {
		.argsz = sizeof(cmd),
		.nr = *nr,
		.events = IA_PTR(events),
	};
	int rc = ia_cmd(fd, IOASID_GET_EVENTS, &cmd);

	*nr = cmd.nr;
	*more = cmd.more;
	return rc;
}

#define NONE()								\
do {									\
	struct ioasid_event __e;					\
	__u32 __nr = 1, __more = 7;					\
									\
	EXPECT_EQ(0, polled(self->fd));					\
	EXPECT_EQ(0, get(self->fd, &__e, &__nr, &__more));		\
	EXPECT_EQ(0, __nr);						\
	EXPECT_EQ(0, __more);						\
} while (0)

/* Each child of a parent that is freed has an event, and no other IOASID. */
TEST_F(events, orphans)
{
	struct ioasid_event *events;
	__u32 nr, more, id, others[2], i, first;

	NONE();
	ASSERT_EQ(0, ia_alloc(self->fd, &others[0]));
	ASSERT_EQ(0, ia_child(self->fd, others[0], 0, &others[1]));
	for (i = 1; i < CHILDREN; i++)
		ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &id));
	NONE();
	ASSERT_EQ(0, ia_free_cascade(self->fd, self->root));
	EXPECT_EQ(POLLIN | POLLPRI, polled(self->fd));
	/* level-triggered, also with no room */
	nr = 0;
	ASSERT_EQ(0, get(self->fd, NULL, &nr, &more));
	EXPECT_EQ(0, nr);
	EXPECT_EQ(1, more);
	EXPECT_EQ(POLLIN | POLLPRI, polled(self->fd));
	/* an array that cannot be written loses none */
	nr = 1;
	EXPECT_EQ(-EFAULT, get(self->fd, (void *)8, &nr, &more));

	events = calloc(CHILDREN + 1, sizeof(*events));
	ASSERT_NE(NULL, events);
	nr = 3;
	ASSERT_EQ(0, get(self->fd, events, &nr, &more));
	ASSERT_EQ(3, nr);
	EXPECT_EQ(1, more);
	EXPECT_EQ(self->child, events[0].ioasid);
	EXPECT_EQ(POLLIN | POLLPRI, polled(self->fd));
	first = nr;
	nr = CHILDREN;
	ASSERT_EQ(0, get(self->fd, events + first, &nr, &more));
	EXPECT_EQ(CHILDREN - first, nr);
	EXPECT_EQ(0, more);
	for (i = 0; i < CHILDREN; i++) {
		EXPECT_EQ(IOASID_STATE_ORPHAN, events[i].state);
		EXPECT_NE(others[0], events[i].ioasid);
		EXPECT_NE(others[1], events[i].ioasid);
		if (i)
			EXPECT_LT(events[i - 1].ioasid, events[i].ioasid);
	}
	EXPECT_EQ(IOASID_STATE_ORPHAN,
		  info_of(self->fd, self->child).state);
	NONE();
	/* one that was not told goes with its IOASID */
	ASSERT_EQ(0, ia_free_cascade(self->fd, others[0]));
	EXPECT_EQ(POLLIN | POLLPRI, polled(self->fd));
	ASSERT_EQ(0, ia_free(self->fd, others[1]));
	NONE();
	free(events);
}

/* An IOMMU that fails wakes a program that waits for an edge. */
TEST_F(events, library)
{
	struct ioasid_event events[2];
	__u32 more_ids[2];
	int more = 7, i;

	EXPECT_EQ(0, ioasid_get_events(self->fd, events, 2, &more));
	EXPECT_EQ(0, more);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, ioasid_alloc_child(self->fd, self->root, 7 + i, &more_ids[i]));
	ASSERT_EQ(0, ia_free_cascade(self->fd, self->root));
	EXPECT_EQ(POLLIN | POLLPRI, polled(self->fd));
	EXPECT_EQ(-EFAULT, ioasid_get_events(self->fd, NULL, 2, &more));
	EXPECT_EQ(-EINVAL, ioasid_get_events(self->fd, events, ~0U, &more));
	EXPECT_EQ(0, ioasid_get_events(self->fd, NULL, 0, &more));
	EXPECT_EQ(1, more);
	EXPECT_EQ(2, ioasid_get_events(self->fd, events, 2, &more));
	EXPECT_EQ(1, more);
	EXPECT_EQ(self->child, events[0].ioasid);
	EXPECT_EQ(more_ids[0], events[1].ioasid);
	EXPECT_EQ(7, events[1].cookie);
	EXPECT_EQ(1, ioasid_get_events(self->fd, events, 2, NULL));
	EXPECT_EQ(more_ids[1], events[0].ioasid);
	EXPECT_EQ(IOASID_STATE_ORPHAN, events[0].state);
	EXPECT_EQ(0, polled(self->fd));
}

TEST_F(events, poisoned)
{
	struct epoll_event want = { .events = EPOLLIN | EPOLLET }, got;
	struct ioasid_event event;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	__u32 nr = 1, more;

	ASSERT_LE(0, epoll);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &want));
	ASSERT_EQ(0, ia_map(self->fd, self->root, SZ_1G, self->mem,
			    PAGES * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, SZ_1G, PG, IA_RW));
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	EXPECT_EQ(0, epoll_wait(epoll, &got, 1, 0));
	NONE();
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	ASSERT_EQ(-EIO, ia_unmap(self->fd, self->child, BASE, PG, NULL));
	EXPECT_EQ(1, epoll_wait(epoll, &got, 1, 0));
	EXPECT_EQ(0, epoll_wait(epoll, &got, 1, 0));
	EXPECT_EQ(POLLIN | POLLPRI, polled(self->fd));
	ASSERT_EQ(0, get(self->fd, &event, &nr, &more));
	ASSERT_EQ(1, nr);
	EXPECT_EQ(0, more);
	EXPECT_EQ(self->child, event.ioasid);
	EXPECT_EQ(IOASID_STATE_POISONED, event.state);
	NONE();
	close(epoll);
}

/* Take the only event, which has to be of this IOASID. */
#define ONE(id, want)							\
do {									\
	struct ioasid_event __e[2];					\
	__u32 __nr = 2, __more = 7;					\
									\
	EXPECT_EQ(POLLIN | POLLPRI, polled(self->fd));			\
	EXPECT_EQ(0, get(self->fd, __e, &__nr, &__more));		\
	EXPECT_EQ(1, __nr);						\
	EXPECT_EQ(0, __more);						\
	if (__nr) {							\
		EXPECT_EQ(id, __e[0].ioasid);				\
		EXPECT_EQ(want, __e[0].state);				\
	}								\
} while (0)

/*
 * IOASIDs below an import have an event when the other context unmaps memory of
 * theirs, also when it is closed; but not when their own context unmaps it.
 */
TEST_F(events, exporter)
{
	int other = ia_open(), export;
	__u32 root, import, child, below, unused, nr = 1, more, i;
	struct ioasid_event event;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ia_alloc(other, &root));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, ia_map(other, root, SZ_1G + i * PG,
				    self->mem + i * PG, PG));
	ASSERT_EQ(0, ia_export(other, root, EXPORT_RW, SZ_1G, PAGES * PG, 100,
			       &export));
	ASSERT_EQ(0, ia_import(self->fd, export, 0, &import));
	close(export);
	ASSERT_EQ(0, ia_child(self->fd, import, 0, &unused));
	ASSERT_EQ(0, ia_child(self->fd, import, PG, &child));
	ASSERT_EQ(0, ia_child(self->fd, child, PG, &below));
	ASSERT_EQ(0, ia_map_ref(self->fd, child, BASE, 0, PAGES * PG, IA_RW));
	ASSERT_EQ(0, ia_map_ref(self->fd, below, 0, BASE + PG, PG, IA_RW));
	NONE();

	/* memory that only one of them maps, and all at once */
	ASSERT_EQ(-EBUSY, ia_unmap(other, root, SZ_1G, PG, NULL));
	NONE();
	ASSERT_EQ(0, ia_unmap_cascade(other, root, SZ_1G, PG));
	ONE(child, 0);
	NONE();
	ASSERT_EQ(0, ia_unmap_cascade(other, root, SZ_1G + PG, 2 * PG));
	ASSERT_EQ(0, get(self->fd, &event, &nr, &more));
	ASSERT_EQ(1, nr);
	EXPECT_EQ(1, more);
	EXPECT_EQ(child, event.ioasid);
	ONE(below, 0);
	EXPECT_EQ(0, info_of(self->fd, below).nr_mappings);

	/* their own context */
	ASSERT_EQ(0, ia_map_ref(self->fd, below, 0, BASE + 3 * PG, PG, IA_RW));
	ASSERT_EQ(0, ia_unmap_cascade(self->fd, child, BASE, PAGES * PG));
	EXPECT_EQ(0, info_of(self->fd, below).nr_mappings);
	NONE();

	ASSERT_EQ(0, ia_map_ref(self->fd, child, BASE, 3 * PG, PG, IA_RW));
	close(other);
	ONE(child, IOASID_STATE_ORPHAN);
	NONE();
}

TEST_HARNESS_MAIN
