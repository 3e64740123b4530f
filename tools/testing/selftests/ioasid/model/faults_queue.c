// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file of a fault queue with records in it: reads and answers that fail, several
 * readers, other processes, its end.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "fault.h"
#include "faults_fixture.h"
#include "libioasid.h"
#include "state.h"

FIXTURE_SETUP(faults)
{
	FAMILY_OPEN(return, PAGES);
	if (faults_lack(self->fd))
		SKIP(return, "%s", faults_lack(self->fd));
	set_up_faults(_metadata, self, &map_by_rid);
}

FIXTURE_TEARDOWN(faults)
{
	tear_down_faults(_metadata, self);
}

/* ---- read() ---- */

/* Groups come whole, or not at all */
TEST_F(faults, whole_groups)
{
	struct ioasid_fault *r = self->record;
	int fd = self->queue.fd;

	ATTACH(&self->a);
	REQUEST(&self->a, 1, DATA, 4);
	REQUEST(&self->a, 2, DATA, 3);
	REQUEST(&self->a, 3, DATA, 1);
	ASSERT_TRUE(fault_told_be(&self->a, 3));
	EXPECT_EQ(-1, read(fd, r, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(fd, r, sizeof(*r) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-EINVAL, fault_read(fd, r, 1));
	EXPECT_EQ(-EINVAL, fault_read(fd, r, 3));
	EXPECT_EQ(-1, read(fd, r, 4 * sizeof(*r) - 1));
	EXPECT_EQ(EINVAL, errno);
	/* The second does not fit */
	EXPECT_EQ(4, fault_read(fd, r, 6));
	EXPECT_EQ(1, r[0].group);
	EXPECT_EQ(1, r[3].group);
	EXPECT_EQ(0, ANSWER(r[0].id, SUCCESS));
	EXPECT_EQ(-EINVAL, fault_read(fd, r, 2));
	/* Bytes behind the last whole record are not written */
	memset(r, 0xa5, 5 * sizeof(*r));
	EXPECT_EQ(4 * sizeof(*r), read(fd, r, 5 * sizeof(*r) - 8));
	EXPECT_EQ(0xa5a5a5a5, r[4].kind);
	EXPECT_EQ(2, r[0].group);
	EXPECT_EQ(2, r[2].group);
	EXPECT_EQ(3, r[3].group);
	EXPECT_EQ(0, ANSWER(r[0].id, SUCCESS));
	EXPECT_EQ(0, ANSWER(r[3].id, SUCCESS));
	SILENT(&self->queue);
}

/* What cannot be written to the buffer is not lost, and not told */
TEST_F(faults, bad_buffer)
{
	char *edge = ia_mem(2 * PG);
	struct ioasid_fault *r = self->record, *end;
	int fd = self->queue.fd, i;

	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + PG, PG, PROT_NONE));
	end = (struct ioasid_fault *)(edge + PG);
	ATTACH(&self->a);
	REQUEST(&self->a, 1, DATA, 1);
	REQUEST(&self->a, 2, DATA, 3);
	REQUEST(&self->a, 3, DATA, 1);
	ASSERT_TRUE(fault_told_be(&self->a, 3));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EFAULT, fault_read(fd, end, 8));
		EXPECT_EQ(-EFAULT, fault_read(fd, NULL, 8));
		EXPECT_TRUE(fault_has_records(fd));
	}
	/* The first group fits, the second only in part */
	EXPECT_EQ(1, fault_read(fd, end - 2, 8));
	EXPECT_EQ(1, end[-2].group);
	r[0] = end[-2];
	for (i = 1; i < 3; i++)
		EXPECT_EQ(-EFAULT, fault_read(fd, end - i, 8));
	EXPECT_EQ(0, ANSWER(r[0].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 1);
	/* They are not told: no id answers them */
	for (i = 0; i < 0x10000; i++)
		if (ANSWER(i, INVALID) != -ENOENT ||
		    ANSWER(r[0].id + i, INVALID) != -ENOENT)
			break;
	EXPECT_EQ(0x10000, i);
	ASSERT_EQ(4, fault_read(fd, r, 8));
	EXPECT_EQ(2, r[0].group);
	EXPECT_EQ(IOASID_FAULT_LAST, r[2].flags);
	EXPECT_EQ(3, r[3].group);
	EXPECT_EQ(0, ANSWER(r[0].id, SUCCESS));
	EXPECT_EQ(0, ANSWER(r[3].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 3);
	RESPONDED(&self->a, INVALID, 0);
	EXPECT_EQ(0, fault_lost(&self->a));
}

/* A record of lost ones that cannot be read is told again */
TEST_F(faults, bad_buffer_lost)
{
	struct fault_sums sums = {};
	struct fault_queue queue;
	__u32 id;
	int i, n;

	ASSERT_EQ(0, another(self, 1, &queue, &id));
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	for (i = 0; i < 5; i++)
		REQUEST(&self->a, i, DATA, 1);
	RESPONDED(&self->a, INVALID, 4);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EFAULT, fault_read(queue.fd, NULL, 4));
	n = fault_read(queue.fd, self->record, 4);
	fault_add(&sums, self->record, n, 0);
	EXPECT_EQ(1, sums.groups);
	EXPECT_EQ(4, sums.lost);
	SILENT(&queue);
	close(queue.fd);
}

/* ---- write() ---- */

/* Ids that are not of this queue, or of no group that was read */
TEST_F(faults, wrong_ids)
{
	struct fault_queue other;
	__u32 told, id, i;

	ASSERT_EQ(0, another(self, DEPTH, &other, &id));
	ATTACH(&self->a);
	REQUEST(&self->a, 1, DATA, 1);
	TAKE(1);
	told = self->record[0].id;
	/* One waits to be read, and has an id near that of the other */
	REQUEST(&self->a, 2, DATA, 1);
	ASSERT_TRUE(fault_wait(self->queue.fd));
	for (i = 1; i < 0x20000; i++)
		if (ANSWER(told + i, INVALID) != -ENOENT ||
		    ANSWER(told - i, INVALID) != -ENOENT)
			break;
	EXPECT_EQ(0x20000, i);
	EXPECT_EQ(-ENOENT, fault_answer(other.fd, told, IOASID_FAULT_INVALID));
	RESPONDED(&self->a, INVALID, 0);
	EXPECT_EQ(0, ANSWER(told, SUCCESS));
	TAKE(1);
	EXPECT_NE(told, self->record[0].id);
	EXPECT_EQ(-ENOENT, ANSWER(told, SUCCESS));
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 2);
	RESPONDED(&self->a, INVALID, 0);
	close(other.fd);
}

/* The id of a group that was answered is no other group's, as long as possible */
TEST_F(faults, old_ids)
{
	struct fault_queue queue;
	__u32 ids[50], id;
	int i, k;

	ASSERT_EQ(0, another(self, 1, &queue, &id));
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	for (i = 0; i < (int)ARRAY_SIZE(ids); i++) {
		REQUEST(&self->a, i, DATA, 1);
		ASSERT_EQ(1, fault_take(queue.fd, self->record, 1));
		ids[i] = self->record[0].id;
		for (k = 0; k < i; k++)
			ASSERT_EQ(-ENOENT, fault_answer(queue.fd, ids[k],
							IOASID_FAULT_INVALID));
		ASSERT_EQ(0, fault_answer(queue.fd, ids[i],
					  IOASID_FAULT_SUCCESS));
	}
	RESPONDED(&self->a, INVALID, 0);
	RESPONDED(&self->a, SUCCESS, ARRAY_SIZE(ids));
	close(queue.fd);
}

/* An answer that is wrong ends a write(): those before it were given */
TEST_F(faults, partial_write)
{
	struct ioasid_fault_response good[4] = {}, bad[4];
	char *edge = ia_mem(2 * PG);
	size_t size = sizeof(good[0]);
	int fd = self->queue.fd, i;

	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + PG, PG, PROT_NONE));
	ATTACH(&self->a);
	for (i = 0; i < 4; i++)
		REQUEST(&self->a, i, DATA, 1);
	TAKE(4);
	for (i = 0; i < 4; i++)
		good[i].id = self->record[i].id;
	/* One that is not whole is not looked at */
	EXPECT_EQ(size, write(fd, good, 2 * size - 1));
	RESPONDED(&self->a, SUCCESS, 1);
	memcpy(bad, good + 1, 3 * size);
	bad[1].code = 2;
	EXPECT_EQ(size, write(fd, bad, 3 * size));
	RESPONDED(&self->a, SUCCESS, 2);
	bad[0] = good[2];
	bad[0].flags = 1;
	EXPECT_EQ(-1, write(fd, bad, 3 * size));
	EXPECT_EQ(EOPNOTSUPP, errno);
	bad[0].flags = 0;
	bad[0].__reserved = 1;
	EXPECT_EQ(-1, write(fd, bad, 3 * size));
	EXPECT_EQ(EINVAL, errno);
	/* The same twice */
	bad[0] = good[2];
	bad[1] = good[2];
	bad[2] = good[3];
	EXPECT_EQ(size, write(fd, bad, 3 * size));
	RESPONDED(&self->a, SUCCESS, 3);
	memcpy(edge + PG - size, &good[3], size);
	EXPECT_EQ(size, write(fd, edge + PG - size, 2 * size));
	RESPONDED(&self->a, SUCCESS, 4);
}

/* ---- Tell ---- */

static __u64 signals(int eventfd)
{
	__u64 count;

	return read(eventfd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

TEST_F(faults, eventfd)
{
	struct ioasid_fault_queue cmd = {
		.argsz = sizeof(cmd),
		.depth = 2,
		.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	struct fault_queue queue;
	__u32 id;

	ASSERT_LE(0, cmd.eventfd);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_FAULT_QUEUE, &cmd));
	queue.id = cmd.queue;
	queue.fd = cmd.fd;
	fcntl(queue.fd, F_SETFL, O_RDWR | O_NONBLOCK);
	ASSERT_EQ(0, make_ioasid(self, &queue, &id));
	EXPECT_EQ(0, signals(cmd.eventfd));
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	EXPECT_EQ(0, signals(cmd.eventfd));
	REQUEST(&self->a, 1, DATA, 1);
	ASSERT_TRUE(fault_wait(queue.fd));
	EXPECT_LT(0, signals(cmd.eventfd));
	EXPECT_EQ(0, signals(cmd.eventfd));
	REQUEST(&self->a, 2, DATA, 3);
	while (!signals(cmd.eventfd))
		usleep(1000);
	/* That records are lost is told, too */
	REQUEST(&self->a, 3, DATA, 1);
	RESPONDED(&self->a, INVALID, 1);
	EXPECT_LT(0, signals(cmd.eventfd));
	EXPECT_EQ(5, fault_read(queue.fd, self->record, FAULTS_MAX));
	EXPECT_EQ(0, signals(cmd.eventfd));
	EXPECT_FALSE(fault_has_records(queue.fd));
	/* The queue holds it */
	close(queue.fd);
	EXPECT_EQ(0, signals(cmd.eventfd));
	close(cmd.eventfd);
}

/* A process that was passed the file answers for a program that has ended */
TEST_F(faults, other_process)
{
	struct ioasid_model_status status;
	int pair[2], result;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ATTACH(&self->a);
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = ia_recv_fd(pair[1]);

		close(self->queue.fd);
		fault_wait(fd);
		result = fault_read(fd, self->record, FAULTS_MAX);
		_exit(result != 1 ||
		      fault_answer(fd, self->record[0].id, IOASID_FAULT_SUCCESS));
	}
	ASSERT_EQ(0, ia_send_fd(pair[0], self->queue.fd));
	close(self->queue.fd);
	self->queue.fd = -1;
	ASSERT_EQ(0, make_present(self, self->id, DATA + 1));
	ASSERT_EQ(0, fault_dma(&self->a, 1, IOASID_MODEL_FILL, 0, VA(DATA), 1));
	ASSERT_EQ(pid, waitpid(pid, &result, 0));
	EXPECT_EQ(0, result);
	/* With it the last file has gone: the next request is refused */
	ASSERT_EQ(0, fault_dma_ended(&self->a, 1, &status));
	EXPECT_EQ(MODEL_PAGE_REQUEST, status.fault);
	RESPONDED(&self->a, SUCCESS, 1);
	RESPONDED(&self->a, INVALID, 1);
}

/* ---- The library ---- */

TEST_F(faults, library)
{
	struct ioasid_alloc alloc = { .kind = IOASID_KIND_MAP };
	struct ioasid_fault *r = self->record;
	int fd;

	EXPECT_EQ(-EINVAL, ioasid_fault_queue_open(self->fd, 0, -1, 0,
						   &alloc.fault_queue));
	EXPECT_EQ(0, alloc.fault_queue);
	fd = ioasid_fault_queue_open(self->fd, 4, -1, 7, &alloc.fault_queue);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioasid_alloc_full(self->fd, &alloc));
	ASSERT_EQ(0, attach_to(self, &self->a, alloc.ioasid));
	REQUEST(&self->a, 1, DATA, 3);
	ASSERT_TRUE(fault_wait(fd));
	EXPECT_EQ(-EINVAL, ioasid_fault_read(fd, r, 2));
	EXPECT_EQ(3, ioasid_fault_read(fd, r, FAULTS_MAX));
	EXPECT_EQ(-EINVAL, ioasid_fault_answer(fd, r->id, 2));
	EXPECT_EQ(0, ioasid_fault_answer(fd, r->id, IOASID_FAULT_SUCCESS));
	EXPECT_EQ(-ENOENT, ioasid_fault_answer(fd, r->id, IOASID_FAULT_SUCCESS));
	RESPONDED(&self->a, SUCCESS, 1);
	ASSERT_EQ(0, detach(self, &self->a));
	EXPECT_EQ(0, ioasid_free(self->fd, alloc.ioasid));
	EXPECT_EQ(0, ioasid_free(self->fd, alloc.fault_queue));
	EXPECT_EQ(0, ioasid_fault_read(fd, r, FAULTS_MAX));
	close(fd);
}

/* ---- Freeing ---- */

/* An IOASID that was freed names nothing, though a child keeps something of it */
TEST_F(faults, freed_while_used)
{
	struct fault_queue queue;
	__u32 id, child;

	ASSERT_EQ(0, another(self, DEPTH, &queue, &id));
	ASSERT_EQ(0, ia_child(self->fd, id, 0, &child));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, queue.id));
	ASSERT_EQ(0, ia_free_cascade(self->fd, id));
	EXPECT_EQ(0, ia_free(self->fd, queue.id));
	EXPECT_EQ(0, fault_read(queue.fd, self->record, FAULTS_MAX));
	EXPECT_EQ(0, ia_free(self->fd, child));
	close(queue.fd);
}

struct looker {
	struct _test_data_faults *self;
	__u32 id;
	bool stop;
};

static void *look(void *arg)
{
	struct looker *looker = arg;
	struct ioasid_info info;

	while (!__atomic_load_n(&looker->stop, __ATOMIC_RELAXED))
		ia_info(looker->self->fd,
			__atomic_load_n(&looker->id, __ATOMIC_RELAXED), &info);
	return NULL;
}

/* The same while another thread looks at it */
TEST_F(faults, freed_while_looked_at)
{
	struct looker looker = { .self = self };
	struct fault_queue queue;
	pthread_t thread;
	__u32 id;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, look, &looker));
	for (i = 0; i < (ia_slow_kernel() ? 200 : 5000); i++) {
		ASSERT_EQ(0, another(self, 1, &queue, &id));
		__atomic_store_n(&looker.id, id, __ATOMIC_RELAXED);
		ASSERT_EQ(0, ia_free(self->fd, id));
		ASSERT_EQ(0, ia_free(self->fd, queue.id)) TH_LOG("round %d", i);
		close(queue.fd);
	}
	__atomic_store_n(&looker.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/* ---- Several readers ---- */

#define ASKERS 4
#define ASKED 300

struct server {
	int fd;
	bool stop;
	unsigned int groups;
	int errors;
};

/* Takes groups of any length, and answers them */
static void *serve(void *arg)
{
	struct ioasid_fault record[16];
	struct server *server = arg;
	struct pollfd poll_fd = { .fd = server->fd, .events = POLLIN };
	int i, n;

	while (!__atomic_load_n(&server->stop, __ATOMIC_ACQUIRE)) {
		poll(&poll_fd, 1, 10);
		n = fault_read(server->fd, record, ARRAY_SIZE(record));
		if (n < 0) {
			server->errors += n != -EAGAIN;
			continue;
		}
		for (i = 0; i < n; i++) {
			if (record[i].kind != IOASID_FAULT_PAGE_REQUEST) {
				server->errors++;
				continue;
			}
			if (!(record[i].flags & IOASID_FAULT_LAST))
				continue;
			server->groups++;
			server->errors += fault_answer(server->fd, record[i].id,
						       IOASID_FAULT_SUCCESS) != 0;
		}
	}
	return NULL;
}

/* Each group goes to one of them, and none is lost */
TEST_F(faults, readers)
{
	struct server server[ASKERS];
	pthread_t thread[ASKERS];
	unsigned int i, groups = 0;
	const char *unanswered;

	ATTACH(&self->a);
	for (i = 0; i < ASKERS; i++) {
		server[i] = (struct server){ .fd = self->queue.fd };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, serve, &server[i]));
	}
	for (i = 0; i < ASKED; i++)
		REQUEST(&self->a, i % 200, DATA, 1 + i % 4);
	unanswered = fault_unanswered(&self->b, self->parts);
	EXPECT_EQ(NULL, unanswered) TH_LOG("%s", unanswered);
	for (i = 0; i < ASKERS; i++)
		__atomic_store_n(&server[i].stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < ASKERS; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, server[i].errors);
		groups += server[i].groups;
	}
	EXPECT_EQ(ASKED, groups);
	EXPECT_EQ(ASKED, fault_told(&self->a));
	EXPECT_EQ(0, fault_lost(&self->a));
	RESPONDED(&self->a, SUCCESS, ASKED);
}

/* ---- Failing allocations ---- */

enum { FAIL_ATTACH, FAIL_MOVE, FAIL_PASID, FAIL_MOVE_PASID, FAIL_STEPS };

static int fail_step(struct _test_data_faults *self, unsigned int step, __u32 id)
{
	switch (step) {
	case FAIL_ATTACH:
		return hw_attach(self->b.fd, id);
	case FAIL_MOVE:
		return hw_attach(self->a.fd, id);
	case FAIL_PASID:
		return pasid_attach(&self->b, id, 5);
	default:
		return pasid_attach(&self->a, id, 4);
	}
}

static int undo_step(struct _test_data_faults *self, unsigned int step)
{
	switch (step) {
	case FAIL_ATTACH:
		return hw_detach(self->b.fd, 0);
	case FAIL_MOVE:
		return hw_attach(self->a.fd, self->id);
	case FAIL_PASID:
		return pasid_detach(&self->b, 5);
	default:
		return pasid_attach(&self->a, self->id, 4);
	}
}

/* Every allocation of an attach fails once: faults are told where they were */
TEST_F(faults, fail_nth)
{
	unsigned int nth, step, fatal;
	struct ia_state before, after;
	struct fault_queue other;
	int fd, rc, failed;
	__u32 id;

	fd = open(FAIL_NTH, O_RDWR);
	if (fd < 0 || !set_knobs())
		SKIP(return, "the kernel injects no faults");
	ASSERT_EQ(0, another(self, DEPTH, &other, &id));
	ATTACH(&self->a);
	ASSERT_EQ(0, pasid_attach(&self->a, self->id, 4));
	ASSERT_EQ(0, model_bind(&self->b));
	for (step = 0; step < FAIL_STEPS; step++) {
		fatal = 0;
		failed = 1;
		for (nth = 1; failed && nth < MAX_FAILURES; nth++) {
			ASSERT_EQ(0, ia_state_read(self->fd, &before));
			ASSERT_TRUE(arm(fd, nth));
			rc = fail_step(self, step, id);
			failed = disarm(fd);
			if (!rc) {
				ASSERT_EQ(0, undo_step(self, step));
				continue;
			}
			fatal++;
			ASSERT_NE(0, failed);
			ASSERT_TRUE(rc == -ENOMEM || rc == -EFAULT ||
				    rc == -EMEDIUMTYPE) TH_LOG("%d", rc);
			ASSERT_EQ(0, ia_state_read(self->fd, &after));
			ASSERT_EQ(NULL, ia_state_diff(&before, &after))
				TH_LOG("step %u, %u: %s", step, nth,
				       ia_state_diff(&before, &after));
			REQUEST(&self->a, 1, DATA, 1);
			ASSERT_EQ(0, fault_request(&self->a, 4, 2, VA(DATA), 1));
			TAKE(2);
			ASSERT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
			ASSERT_EQ(0, ANSWER(self->record[1].id, SUCCESS));
		}
		EXPECT_EQ(0, failed);
		EXPECT_LT(0, fatal);
		TH_LOG("step %u: %u calls failed, %u of them fatal", step,
		       nth - 2, fatal);
	}
	restore_knobs();
	close(fd);
	close(other.fd);
}

TEST_HARNESS_MAIN
