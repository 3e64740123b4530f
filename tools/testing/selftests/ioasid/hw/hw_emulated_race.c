// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated devices whose driver pins and copies while mappings change and devices
 * are attached and detached.
 */
#include "hw_emulated.h"

struct user {
	pthread_t thread;
	int fd;
	unsigned int nr;
	bool by_pins;
	bool *stop;
	int wrong;
	unsigned long hits;
};

/* A page that the test has written, or none at all. */
static bool page_whole(const char *page)
{
	const __u32 *word = (const __u32 *)page;
	unsigned int i;

	for (i = 1; i < 64; i++)
		if (word[i] != word[0])
			return false;
	return true;
}

/* Errors that are allowed when a page comes and goes. */
static bool may_fail(int rc)
{
	return !rc || rc == -ENOENT || rc == -EINVAL || rc == -ENXIO;
}

static void *user(void *data)
{
	struct user *u = data;
	__u64 offset = u->nr * 0x1000, iova;
	unsigned int seed = u->nr + 1;
	char page[256];
	int rc;

	while (!__atomic_load_n(u->stop, __ATOMIC_RELAXED) && !u->wrong) {
		__u32 op = IOASID_MOCK_READ;
		__u32 flags = 0;

		seed = seed * 1103515245 + 12345;
		iova = BASE + (seed >> 16) % 8 * PG;
		if (!((seed >> 8) & 31))
			flags = IOASID_MOCK_KTHREAD;
		if (u->by_pins) {
			rc = mock_command(u->fd, IOASID_MOCK_PIN, flags, iova,
					  PG, 0);
			if (!may_fail(rc))
				u->wrong = rc;
			if (rc)
				continue;
			op = IOASID_MOCK_READ_PINNED;
			flags = 0;
		}
		rc = mock_command(u->fd, op, flags, iova, sizeof(page), offset);
		if (!rc) {
			u->hits++;
			rc = mock_access(u->fd, false,
					 IOASID_MOCK_MEMORY + offset, page,
					 sizeof(page));
			if (!rc && !page_whole(page))
				rc = -EILSEQ;
		}
		if (!may_fail(rc))
			u->wrong = rc;
		if (u->by_pins)
			mock_unpin(u->fd, iova, PG);
	}
	return NULL;
}

#define NR_USERS 4

static int start_users(struct user *users, const int *fds, bool *stop)
{
	int i, rc;

	for (i = 0; i < NR_USERS; i++) {
		users[i] = (struct user){
			.fd = fds[i / 2], .nr = i, .by_pins = i & 1,
			.stop = stop,
		};
		rc = pthread_create(&users[i].thread, NULL, user, &users[i]);
		if (rc)
			return -rc;
	}
	return 0;
}

static int stop_users(struct user *users, bool *stop)
{
	int i, wrong = 0;

	__atomic_store_n(stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < NR_USERS; i++) {
		pthread_join(users[i].thread, NULL);
		if (users[i].wrong)
			wrong = users[i].wrong;
	}
	return wrong;
}

static int rounds(void)
{
	return ia_slow_kernel() ? 300 : 3000;
}

TEST_F(hw_emulated, race_unmap)
{
	struct user users[NR_USERS];
	unsigned long hits = 0;
	bool stop = false;
	__u64 unmapped;
	int i, fds[2];

	for (i = 0; i < NR_PAGES; i++)
		memset(self->mem + i * PG, i + 1, PG);
	fds[0] = self->fd;
	fds[1] = mock_open(1);
	ASSERT_LE(0, fds[1]);
	ASSERT_EQ(0, hw_bind_full(fds[1], self->ctx, self->id, 2, NULL, NULL));
	ASSERT_EQ(0, start_users(users, fds, &stop));
	for (i = 0; i < rounds(); i++) {
		ASSERT_EQ(0, map(self, 0, 8));
		if (i & 1)
			sched_yield();
		/* at once, or in pieces */
		if (i % 3) {
			int first = i % 7, nr = i % 3;

			ASSERT_EQ(0, cut(self, first, nr));
			ASSERT_EQ(0, unmap(self, 0, 8, &unmapped));
			ASSERT_EQ((8 - nr) * PG, unmapped);
		} else {
			ASSERT_EQ(0, unmap(self, 0, 8, &unmapped));
			ASSERT_EQ(8 * PG, unmapped);
		}
	}
	EXPECT_EQ(0, stop_users(users, &stop));
	for (i = 0; i < NR_USERS; i++)
		hits += users[i].hits;
	EXPECT_NE(0, hits);
	EXPECT_EQ(0, PINS(fds[0]));
	EXPECT_EQ(0, PINS(fds[1]));
	close(fds[1]);
}

/* The devices are attached and detached, too. */
TEST_F(hw_emulated, race_attach)
{
	struct user users[NR_USERS];
	bool stop = false;
	__u32 ids[2];
	int i, fds[2];

	for (i = 0; i < NR_PAGES; i++)
		memset(self->mem + i * PG, i + 1, PG);
	ids[0] = self->id;
	ASSERT_EQ(0, ia_alloc(self->ctx, &ids[1]));
	ASSERT_EQ(0, ia_map(self->ctx, ids[1], BASE, self->mem + 8 * PG,
			    8 * PG));
	ASSERT_EQ(0, map(self, 0, 8));
	fds[0] = self->fd;
	fds[1] = mock_open(1);
	ASSERT_LE(0, fds[1]);
	ASSERT_EQ(0, hw_bind_full(fds[1], self->ctx, self->id, 2, NULL, NULL));
	ASSERT_EQ(0, start_users(users, fds, &stop));
	for (i = 0; i < rounds(); i++) {
		int fd = fds[i & 1];

		ASSERT_EQ(0, hw_attach(fd, ids[(i >> 1) & 1]));
		if (i % 5 == 0)
			ASSERT_EQ(0, hw_detach(fd, 0));
		if (i % 7 == 0) {
			ASSERT_EQ(0, unmap(self, 0, 8, NULL));
			ASSERT_EQ(0, map(self, 0, 8));
		}
	}
	EXPECT_EQ(0, stop_users(users, &stop));
	close(fds[1]);
	ASSERT_EQ(0, unmap(self, 0, 8, NULL));
	ASSERT_EQ(0, ia_unmap_all(self->ctx, ids[1], NULL));
}

TEST_HARNESS_MAIN
