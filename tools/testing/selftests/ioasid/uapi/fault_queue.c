// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault queues without a device: arguments, their file, and what names them.
 */
#include <poll.h>
#include <sys/eventfd.h>

#include "ioasid_test.h"
#include "family.h"
#include "faults.h"

#define DEPTH_MAX 65536

FIXTURE(fault_queue)
{
	int fd;
	struct fault_queue queue;
	struct ioasid_fault record[4];
};

FIXTURE_SETUP(fault_queue)
{
	self->queue.fd = -1;
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	if (ia_check(self->fd, IOASID_EXT_FAULT_QUEUE) <= 0)
		SKIP(return, "no fault queues");
	ASSERT_EQ(0, fault_queue_open(self->fd, 8, &self->queue));
}

FIXTURE_TEARDOWN(fault_queue)
{
	if (self->queue.fd >= 0)
		close(self->queue.fd);
	close(self->fd);
}

/* The command with one field changed */
#define QUEUE(rc, field, value)						\
do {									\
	struct ioasid_fault_queue _cmd = cmd;				\
									\
	_cmd.field = value;						\
	EXPECT_EQ(rc, ia_cmd(self->fd, IOASID_FAULT_QUEUE, &_cmd));	\
	if (!(rc)) {							\
		EXPECT_NE(0, _cmd.queue);				\
		EXPECT_EQ(0, close(_cmd.fd));				\
		EXPECT_EQ(0, ia_free(self->fd, _cmd.queue));		\
	} else {							\
		EXPECT_EQ(0x77, _cmd.queue);				\
		EXPECT_EQ(-1, _cmd.fd);					\
	}								\
} while (0)

TEST_F(fault_queue, arguments)
{
	struct ioasid_fault_queue cmd = {
		.argsz = sizeof(cmd),
		.depth = 1,
		.eventfd = -1,
		.queue = 0x77,
		.fd = -1,
	};
	int file = memfd_create("fault_queue", MFD_CLOEXEC);

	ASSERT_LE(0, file);
	QUEUE(-EINVAL, argsz, sizeof(cmd) - 1);
	QUEUE(-EINVAL, argsz, 0);
	QUEUE(-EOPNOTSUPP, flags, 1);
	QUEUE(-EOPNOTSUPP, flags, 1U << 31);
	QUEUE(-EINVAL, depth, 0);
	QUEUE(-EINVAL, depth, DEPTH_MAX + 1);
	QUEUE(-EINVAL, depth, ~0U);
	QUEUE(0, depth, DEPTH_MAX);
	QUEUE(-EBADF, eventfd, 1023);
	/* A file of another kind */
	QUEUE(-EINVAL, eventfd, file);
	QUEUE(-EINVAL, eventfd, self->fd);
	QUEUE(-EINVAL, eventfd, self->queue.fd);
	EXPECT_GT(0, ia_cmd(self->fd, IOASID_FAULT_QUEUE,
			    &(struct ioasid_fault_queue){
				    .argsz = sizeof(cmd),
				    .depth = 1,
				    .eventfd = -2,
			    }));
	QUEUE(0, cookie, ~0ULL);
	close(file);
}

/* A process without room for one more file */
TEST_F(fault_queue, no_files)
{
	struct rlimit was, limit;
	struct ioasid_fault_queue cmd;
	int next = dup(self->fd);

	ASSERT_LE(0, next);
	close(next);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	limit = was;
	limit.rlim_cur = next;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, fault_queue_cmd(self->fd, 1, &cmd));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
	EXPECT_EQ(next, dup(self->fd));
	close(next);
}

/* It blocks, unless it is told not to; it is closed on exec */
TEST_F(fault_queue, file)
{
	struct ioasid_fault_queue cmd;
	char text[64] = {}, path[64];

	ASSERT_EQ(0, fault_queue_cmd(self->fd, 1, &cmd));
	EXPECT_EQ(FD_CLOEXEC, fcntl(cmd.fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(cmd.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", cmd.fd);
	ASSERT_LT(0, readlink(path, text, sizeof(text) - 1));
	EXPECT_NE(NULL, strstr(text, "ioasid"));
	close(cmd.fd);
	/* Not one of these */
	EXPECT_EQ(-1, ioctl(self->queue.fd, IOASID_CHECK_EXTENSION, &cmd));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size, PROT_READ, MAP_SHARED,
				   self->queue.fd, 0));
	EXPECT_EQ(-1, ftruncate(self->queue.fd, 0));
}

TEST_F(fault_queue, empty)
{
	struct pollfd poll_fd = {
		.fd = self->queue.fd, .events = POLLIN | POLLOUT,
	};
	char *edge = ia_mem(2 * page_size);

	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + page_size, page_size, PROT_NONE));
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLOUT, poll_fd.revents);
	EXPECT_EQ(-EAGAIN, fault_read(self->queue.fd, self->record, 1));
	EXPECT_EQ(-EAGAIN, fault_read(self->queue.fd, self->record, 4));
	/* A group that is not there does not fit either */
	EXPECT_EQ(-1, read(self->queue.fd, self->record,
			   sizeof(self->record[0]) - 1));
	EXPECT_TRUE(errno == EINVAL || errno == EAGAIN);
	EXPECT_EQ(-1, read(self->queue.fd, edge + page_size, page_size));
	EXPECT_EQ(EAGAIN, errno);
}

#define WRITE(rc, what, length)						\
do {									\
	ssize_t _n = write(self->queue.fd, what, length);		\
									\
	EXPECT_EQ(rc, _n < 0 ? -errno : _n);				\
} while (0)

TEST_F(fault_queue, answers)
{
	struct ioasid_fault_response answer = { .id = 1 };
	size_t size = sizeof(answer), n;
	char *edge = ia_mem(2 * page_size);

	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + page_size, page_size, PROT_NONE));
	for (n = 0; n < size; n++)
		WRITE(-EINVAL, &answer, n);
	WRITE(-ENOENT, &answer, size);
	for (n = 0; n < 32; n++) {
		answer.id = 1U << n;
		WRITE(-ENOENT, &answer, size);
	}
	answer.id = 0;
	WRITE(-ENOENT, &answer, size);
	answer.id = ~0U;
	WRITE(-ENOENT, &answer, size);
	for (n = 1; n < 32; n++) {
		answer.code = 1U << n;
		WRITE(-EINVAL, &answer, size);
	}
	answer.code = IOASID_FAULT_INVALID;
	WRITE(-ENOENT, &answer, size);
	for (n = 0; n < 32; n++) {
		answer.flags = 1U << n;
		WRITE(-EOPNOTSUPP, &answer, size);
	}
	answer.flags = 0;
	for (n = 0; n < 32; n++) {
		answer.__reserved = 1U << n;
		WRITE(-EINVAL, &answer, size);
	}
	WRITE(-EFAULT, edge + page_size, size);
	WRITE(-EFAULT, edge + page_size - size + 1, size);
	memset(edge, 0, page_size);
	WRITE(-ENOENT, edge + page_size - size, size);
	WRITE(-EFAULT, (void *)-4096UL, size);
	/* None of many */
	WRITE(-ENOENT, edge, page_size);
	WRITE(-ENOENT, edge, page_size - 1);
}

static int alloc(int fd, __u32 flags, __u32 queue, __u32 *id)
{
	return fault_alloc(fd, flags, IOASID_KIND_MAP, 0, 0,
			   &(struct fault_queue){ .id = queue }, id);
}

/* IOASIDs name queues of their context only, and keep them from being freed */
TEST_F(fault_queue, named)
{
	struct ioasid_info info = { .argsz = sizeof(info) };
	struct ioasid_fault_queue cmd;
	__u32 id, other, plain;
	int fd = ia_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ia_alloc(self->fd, &plain));
	EXPECT_EQ(-ENOENT, alloc(self->fd, 0, 0x7fffffff, &id));
	EXPECT_EQ(-ENOENT, alloc(self->fd, 0, ~0U, &id));
	EXPECT_EQ(-ENOENT, alloc(self->fd, 0, plain, &id));
	EXPECT_EQ(-ENOENT, alloc(fd, 0, self->queue.id, &id));
	EXPECT_EQ(-EOPNOTSUPP, alloc(self->fd, IOASID_ALLOC_DEMAND,
				     self->queue.id, &id));
	ASSERT_EQ(0, alloc(self->fd, 0, self->queue.id, &id));
	ASSERT_EQ(0, alloc(self->fd, 0, self->queue.id, &other));
	ASSERT_EQ(0, ia_info(self->fd, id, &info));
	EXPECT_EQ(self->queue.id, info.fault_queue);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->queue.id));
	EXPECT_EQ(-EBUSY, ia_free_cascade(self->fd, self->queue.id));
	ASSERT_EQ(0, ia_free(self->fd, id));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->queue.id));
	/* One that failed does not keep it */
	EXPECT_GT(0, fault_alloc(self->fd, 0, 77, 0, 0, &self->queue, &id));
	ASSERT_EQ(0, ia_free(self->fd, other));
	EXPECT_EQ(0, ia_free(self->fd, self->queue.id));
	EXPECT_EQ(-ENOENT, ia_free(self->fd, self->queue.id));
	EXPECT_EQ(-ENOENT, alloc(self->fd, 0, self->queue.id, &id));
	/* A queue is no IOASID */
	ASSERT_EQ(0, fault_queue_cmd(self->fd, 1, &cmd));
	EXPECT_EQ(-ENOENT, ia_info(self->fd, cmd.queue, &info));
	EXPECT_EQ(-ENOENT, ia_map(self->fd, cmd.queue, SZ_1G, ia_mem(page_size),
				  page_size));
	EXPECT_EQ(-ENOENT, fault_alloc(self->fd, 0, IOASID_KIND_MAP, cmd.queue,
				       0, NULL, &id));
	close(cmd.fd);
	EXPECT_EQ(0, ia_free(self->fd, cmd.queue));
	close(fd);
}

/* read() returns 0, and poll() tells, when no fault will come */
static void expect_over(struct __test_metadata *_metadata,
			struct _test_data_fault_queue *self)
{
	struct pollfd poll_fd = { .fd = self->queue.fd, .events = POLLIN };

	EXPECT_EQ(1, poll(&poll_fd, 1, FAULTS_PATIENCE_MS));
	EXPECT_TRUE(poll_fd.revents & POLLHUP);
	EXPECT_EQ(0, fault_read(self->queue.fd, self->record, 4));
	EXPECT_EQ(0, fault_read(self->queue.fd, self->record, 4));
	EXPECT_EQ(-ENOENT, fault_answer(self->queue.fd, 1, 0));
}

TEST_F(fault_queue, freed)
{
	ASSERT_EQ(0, ia_free(self->fd, self->queue.id));
	expect_over(_metadata, self);
}

TEST_F(fault_queue, context_closed)
{
	__u32 id;

	ASSERT_EQ(0, alloc(self->fd, 0, self->queue.id, &id));
	close(self->fd);
	expect_over(_metadata, self);
}

/* A reader that waits */
static pid_t read_in_child(int fd, int want)
{
	struct ioasid_fault record;
	pid_t pid = ia_fork();

	if (pid)
		return pid;
	fcntl(fd, F_SETFL, O_RDWR);
	_exit(fault_read(fd, &record, 1) == want ? 0 : 1);
}

static bool sleeps(pid_t pid)
{
	__u64 deadline = ia_now_ms() + FAULTS_PATIENCE_MS;
	char path[64], text[512] = {}, *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (ia_now_ms() < deadline) {
		fd = open(path, O_RDONLY);
		if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
			return false;
		close(fd);
		state = strrchr(text, ')');
		if (state && state[2] == 'S')
			return true;
		usleep(1000);
	}
	return false;
}

static void nothing(int signal)
{
}

TEST_F(fault_queue, wakes_reader)
{
	struct sigaction action = { .sa_handler = nothing };
	int status;
	pid_t pid;

	/* A signal */
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	pid = read_in_child(self->queue.fd, -EINTR);
	ASSERT_LT(0, pid);
	EXPECT_TRUE(sleeps(pid));
	ASSERT_EQ(0, kill(pid, SIGUSR1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* One that is fatal */
	pid = read_in_child(self->queue.fd, 0);
	ASSERT_LT(0, pid);
	EXPECT_TRUE(sleeps(pid));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	/* The end of the queue */
	pid = read_in_child(self->queue.fd, 0);
	ASSERT_LT(0, pid);
	EXPECT_TRUE(sleeps(pid));
	ASSERT_EQ(0, ia_free(self->fd, self->queue.id));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* The file is of no use to the context, and keeps nothing of it */
TEST_F(fault_queue, file_outlives)
{
	long long before = ia_status("VmPin");
	void *mem = ia_mem(16 * page_size);
	__u32 id;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, alloc(self->fd, 0, self->queue.id, &id));
	ASSERT_EQ(0, ia_map(self->fd, id, SZ_1G, mem, 16 * page_size));
	EXPECT_LT(before, ia_status("VmPin"));
	close(self->fd);
	EXPECT_EQ(before, ia_status("VmPin"));
}

TEST_F(fault_queue, list)
{
	struct ioasid_list_entry entries[4];
	struct ioasid_fault_queue cmd;
	char path[64], text[4096] = {};
	__u32 nr = 4, id;
	int file;

	ASSERT_EQ(0, fault_queue_cmd(self->fd, 77, &cmd));
	ASSERT_EQ(0, alloc(self->fd, 0, cmd.queue, &id));
	ASSERT_EQ(0, ia_list(self->fd, 0, entries, &nr));
	ASSERT_EQ(3, nr);
	for (nr = 0; nr < 3; nr++) {
		if (entries[nr].type == IOASID_LIST_IOASID) {
			EXPECT_EQ(id, entries[nr].id);
			continue;
		}
		EXPECT_EQ(IOASID_LIST_FAULT_QUEUE, entries[nr].type);
		EXPECT_EQ(0xc00c1e, entries[nr].cookie);
		EXPECT_TRUE(entries[nr].id == cmd.queue ||
			    entries[nr].id == self->queue.id);
		EXPECT_EQ(0, entries[nr].ioasid | entries[nr].vpasid |
			     entries[nr].kind | entries[nr].parent);
	}
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", cmd.fd);
	file = open(path, O_RDONLY);
	ASSERT_LE(0, file);
	EXPECT_LT(0, read(file, text, sizeof(text) - 1));
	EXPECT_NE(NULL, strstr(text, "depth=77"));
	close(file);
	/* After the close of the file it is listed as long as its id is there */
	close(cmd.fd);
	nr = 4;
	ASSERT_EQ(0, ia_list(self->fd, 0, entries, &nr));
	EXPECT_EQ(3, nr);
}

/* Many of them, which end with the context */
TEST_F(fault_queue, many)
{
	struct ioasid_fault_queue cmd;
	int i;

	for (i = 0; i < 2000; i++) {
		ASSERT_EQ(0, fault_queue_cmd(self->fd, 1 + i % 100, &cmd));
		ASSERT_EQ(0, close(cmd.fd));
		if (i % 2)
			ASSERT_EQ(0, ia_free(self->fd, cmd.queue));
	}
}

TEST_HARNESS_MAIN
