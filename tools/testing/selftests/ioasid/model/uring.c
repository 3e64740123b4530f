// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_DMA_BATCH as a command of io_uring.
 *
 * The DMA of a model device shows the mappings: it is attached to a child of an
 * IOASID where its memory is registered. Memory behind userfaultfd makes a
 * command wait for as long as a test wants.
 */
#include <linux/io_uring.h>
#include <liburing.h>

#include "ioasid_test.h"
#include "model.h"
#include "uffd.h"

#define PG page_size
#define ROOT_BASE SZ_1G
#define BASE SZ_4G
#define PAGES 512
#define SEED 77

#define AT(i) (BASE + (i) * PG)
#define NOBODY 65534
#define SZ_4M 0x400000ULL

static struct ioasid_dma_op op_map(__u64 iova, __u64 addr)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_MAP,
		.flags = IA_RW_FIXED,
		.iova = iova,
		.addr = addr,
		.length = PG,
	};
}

static struct ioasid_dma_op op_unmap(__u64 iova)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_UNMAP,
		.iova = iova,
		.length = PG,
	};
}

/* A command that is ready to be submitted; its number identifies it. */
static struct io_uring_sqe *prepare(struct io_uring *ring, int fd, __u32 id,
				    const void *ops, __u32 nr, __u64 number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct ioasid_uring_batch batch = {
		.ops = IA_PTR(ops),
		.nr = nr,
		.ioasid = id,
	};

	if (!sqe)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = IOASID_DMA_BATCH;
	sqe->user_data = number;
	memcpy(sqe->cmd, &batch, sizeof(batch));
	return sqe;
}

#define PENDING 0x7fffffff

/* Result of the next completion, or PENDING if there is none yet. */
static int result(struct io_uring *ring, unsigned int ms, __u64 *number)
{
	struct __kernel_timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000,
	};
	struct io_uring_cqe *cqe;
	int rc;

	rc = ms ? io_uring_wait_cqe_timeout(ring, &cqe, &ts) :
		  io_uring_peek_cqe(ring, &cqe);
	if (rc == -ETIME || rc == -EAGAIN)
		return PENDING;
	if (rc)
		return rc;
	if (number)
		*number = cqe->user_data;
	rc = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return rc;
}

/* Submit one command; returns its result. */
static int run_flags(struct io_uring *ring, int fd, __u32 id, const void *ops,
		     __u32 nr, __u32 flags)
{
	struct io_uring_sqe *sqe = prepare(ring, fd, id, ops, nr, 1);

	sqe->flags = flags;
	/* The number depends on the progress of a polling thread */
	if (io_uring_submit(ring) < 0)
		return -EIO;
	return result(ring, 20000, NULL);
}

static int run(struct io_uring *ring, int fd, __u32 id, const void *ops,
	       __u32 nr)
{
	return run_flags(ring, fd, id, ops, nr, 0);
}

/* Resolve the fault at @to with the contents of @from. */
static int supply_page(int uffd, void *to, const void *from)
{
	struct uffdio_copy copy = {
		.dst = IA_PTR(to),
		.src = IA_PTR(from),
		.len = PG,
	};

	return ioctl(uffd, UFFDIO_COPY, &copy) ? -errno : 0;
}

FIXTURE(uring)
{
	struct model model;
	struct model_device dev;
	struct model_space at;		/* the child */
	struct io_uring ring;
	bool has_ring;
	int fd;
	__u32 root;
	__u32 child;
	char *mem;
	struct ioasid_dma_op *ops;	/* room for 2 * PAGES */
	int uffd;
	char *held;			/* pages behind uffd */
};

FIXTURE_SETUP(uring)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
	};
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->fd = self->model.ctx;
	if (!ia_check(self->fd, IOASID_EXT_URING_BATCH))
		SKIP(return, "the kernel has no io_uring");
	ASSERT_EQ(0, io_uring_queue_init(64, &self->ring, 0));
	self->has_ring = true;
	self->uffd = open_userfaultfd();
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	self->mem = ia_mem(PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	self->ops = ia_mem(2 * PAGES * sizeof(*self->ops));
	ASSERT_NE(NULL, self->ops);
	memset(self->ops, 0, 2 * PAGES * sizeof(*self->ops));
	self->held = ia_mem(4 * PG);
	ASSERT_NE(NULL, self->held);
	ASSERT_EQ(0, hold_faults(self->uffd, self->held, 4 * PG));

	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    PAGES * PG));
	alloc.parent = self->root;
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	self->child = alloc.ioasid;
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	self->at = (struct model_space) {
		.model = &self->model, .id = self->child, .container = -1,
	};
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
}

FIXTURE_TEARDOWN(uring)
{
	if (self->dev.model)
		MODEL_REMOVE(&self->dev);
	if (self->has_ring)
		io_uring_queue_exit(&self->ring);
	if (self->uffd > 0)
		close(self->uffd);
	model_close(&self->model);
}

/* Operations that map or unmap @n pages of the child from @first on. */
static void fill_maps(struct ioasid_dma_op *ops, int first, int n)
{
	int i;

	for (i = 0; i < n; i++)
		ops[i] = op_map(AT(first + i), ROOT_BASE + (first + i) * PG);
}

static void fill_unmaps(struct ioasid_dma_op *ops, int first, int n)
{
	int i;

	for (i = 0; i < n; i++)
		ops[i] = op_unmap(AT(first + i));
}

static __u64 nr_mappings(int fd, __u32 id)
{
	struct ioasid_info info;

	return ia_info(fd, id, &info) ? ~0ULL : info.nr_mappings;
}

/* Wait until a pending mapping has gone: then its IOVA is free. */
static int wait_until_free(int fd, __u32 id, __u64 iova, const void *p)
{
	__u64 deadline = ia_now_ms() + 20000;
	int rc;

	do {
		rc = ia_map(fd, id, iova, p, PG);
		if (rc != -EEXIST)
			return rc;
		usleep(10000);
	} while (ia_now_ms() < deadline);
	return rc;
}

TEST_F(uring, map_and_unmap)
{
	int fd = self->fd;

	fill_maps(self->ops, 0, 64);
	ASSERT_EQ(64, run(&self->ring, fd, self->child, self->ops, 64));
	EXPECT_EQ(64, nr_mappings(fd, self->child));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), SEED, 64));
	EXPECT_TRUE(model_pattern_holds(self->mem, SEED, AT(0), PG));
	EXPECT_TRUE(model_pattern_holds(self->mem + 63 * PG, SEED, AT(63), PG));
	fill_unmaps(self->ops, 0, 64);
	ASSERT_EQ(64, run(&self->ring, fd, self->child, self->ops, 64));
	EXPECT_EQ(0, nr_mappings(fd, self->child));
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_fill(&self->dev, AT(0), 1, 1));
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_fill(&self->dev, AT(63), 1, 1));
}

/* Small operations are done at submission: no command waits for them. */
TEST_F(uring, done_at_once)
{
	fill_maps(self->ops, 0, 32);
	fill_unmaps(self->ops + 32, 0, 16);
	/* map the same IOVA again */
	fill_maps(self->ops + 48, 0, 16);
	ASSERT_NE(NULL, prepare(&self->ring, self->fd, self->child, self->ops,
				64, 5));
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(64, result(&self->ring, 0, NULL));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), SEED, 32));
}

/* Too many operations for that, or on request, or of a size that takes long. */
TEST_F(uring, by_a_worker)
{
	struct ioasid_dma_op all = op_map(AT(0), ROOT_BASE);
	int fd = self->fd;

	fill_maps(self->ops, 0, PAGES);
	ASSERT_EQ(PAGES, run(&self->ring, fd, self->child, self->ops, PAGES));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), SEED, PAGES));
	fill_unmaps(self->ops, 0, PAGES);
	ASSERT_EQ(PAGES, run(&self->ring, fd, self->child, self->ops, PAGES));
	EXPECT_EQ(0, nr_mappings(fd, self->child));

	fill_maps(self->ops, 0, 4);
	ASSERT_EQ(4, run_flags(&self->ring, fd, self->child, self->ops, 4,
			       IOSQE_ASYNC));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), SEED, 4));
	fill_unmaps(self->ops, 0, 4);
	ASSERT_EQ(4, run_flags(&self->ring, fd, self->child, self->ops, 4,
			       IOSQE_ASYNC));

	/*
	 * more than half of the registered memory is unmapped: no operation is
	 * done
	 */
	all.length = SZ_4M;
	EXPECT_EQ(-ENXIO, run(&self->ring, fd, self->child, &all, 1));
	all.length = PAGES * PG;
	EXPECT_EQ(1, run(&self->ring, fd, self->child, &all, 1));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), SEED + 1, PAGES));
}

/* Roots pin; the kernel chooses and returns IOVAs. */
TEST_F(uring, pin)
{
	struct ioasid_dma_op *ops = self->ops;
	char *mine = ia_mem(2 * PG);
	int fd = self->fd;

	self->at.id = self->root;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	memset(mine, 0, 2 * PG);
	ops[0] = op_map(SZ_2M, IA_PTR(mine));
	ops[1] = op_map(0, IA_PTR(mine + PG));
	ops[1].flags = IA_RW;
	ASSERT_EQ(2, run(&self->ring, fd, self->root, ops, 2));
	EXPECT_NE(0, ops[1].iova);
	ASSERT_EQ(0, model_fill(&self->dev, SZ_2M, SEED, 1));
	ASSERT_EQ(0, model_fill(&self->dev, ops[1].iova, SEED, 1));
	EXPECT_TRUE(model_pattern_holds(mine, SEED, SZ_2M, PG));
	EXPECT_TRUE(model_pattern_holds(mine + PG, SEED, ops[1].iova, PG));
	ops[0] = op_unmap(SZ_2M);
	ops[1] = op_unmap(ops[1].iova);
	ASSERT_EQ(2, run(&self->ring, fd, self->root, ops, 2));
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_fill(&self->dev, SZ_2M, 1, 1));
}

/* While one pin waits, other commands continue. */
TEST_F(uring, long_pin)
{
	char *pages = ia_mem(PG);
	__u64 number = 0;
	int fd = self->fd;

	self->ops[0] = op_map(SZ_2M, IA_PTR(self->held));
	ASSERT_NE(NULL, prepare(&self->ring, fd, self->root, self->ops, 1, 1));
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	ASSERT_TRUE(fault_waits(self->uffd));
	EXPECT_EQ(PENDING, result(&self->ring, 50, NULL));

	fill_maps(self->ops + 1, 0, 8);
	ASSERT_NE(NULL, prepare(&self->ring, fd, self->child, self->ops + 1, 8,
				2));
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(8, result(&self->ring, 20000, &number));
	EXPECT_EQ(2, number);
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), SEED, 8));

	memset(pages, 0x5a, PG);
	ASSERT_EQ(0, supply_page(self->uffd, self->held, pages));
	EXPECT_EQ(1, result(&self->ring, 20000, &number));
	EXPECT_EQ(1, number);
	self->at.id = self->root;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, model_fill(&self->dev, SZ_2M, SEED, 1));
	EXPECT_TRUE(model_pattern_holds(self->held, SEED, SZ_2M, PG));
}

/*
 * The array itself is missing: a worker waits for it. The entry of the queue is
 * overwritten meanwhile, which must have no effect.
 */
TEST_F(uring, array_not_there)
{
	struct ioasid_dma_op *page = ia_mem(PG);
	struct io_uring_sqe *sqe;

	memset(page, 0, PG);
	fill_maps(page, 0, 4);
	sqe = prepare(&self->ring, self->fd, self->child, self->held, 4, 1);
	ASSERT_NE(NULL, sqe);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	memset(sqe, 0xff, sizeof(*sqe));
	ASSERT_TRUE(fault_waits(self->uffd));
	EXPECT_EQ(PENDING, result(&self->ring, 50, NULL));
	EXPECT_EQ(0, nr_mappings(self->fd, self->child));
	ASSERT_EQ(0, supply_page(self->uffd, self->held, page));
	EXPECT_EQ(4, result(&self->ring, 20000, NULL));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), SEED, 4));
}

/* The same, before a worker looks at it for the first time. */
TEST_F(uring, entry_reused)
{
	char *pages = ia_mem(PG);
	struct io_uring_sqe *sqe;

	memset(pages, 0, PG);
	self->ops[0] = op_map(SZ_2M, IA_PTR(self->held));
	sqe = prepare(&self->ring, self->fd, self->root, self->ops, 1, 1);
	ASSERT_NE(NULL, sqe);
	sqe->flags = IOSQE_ASYNC;
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	memset(sqe, 0xff, sizeof(*sqe));
	ASSERT_TRUE(fault_waits(self->uffd));
	ASSERT_EQ(0, supply_page(self->uffd, self->held, pages));
	EXPECT_EQ(1, result(&self->ring, 20000, NULL));
}

/*
 * A batch stops at the first operation that fails, or that would have to wait.
 */
TEST_F(uring, in_part)
{
	struct ioasid_dma_op *ops = self->ops;
	char *pages = ia_mem(PG);
	int fd = self->fd;

	fill_maps(ops, 0, 4);
	ops[2].iova = AT(0);
	EXPECT_EQ(2, run(&self->ring, fd, self->child, ops, 4));
	EXPECT_EQ(-EEXIST, run(&self->ring, fd, self->child, ops + 2, 2));
	EXPECT_EQ(2, nr_mappings(fd, self->child));
	fill_unmaps(ops, 0, 2);
	ops[2].op = 99;
	EXPECT_EQ(2, run_flags(&self->ring, fd, self->child, ops, 3,
			       IOSQE_ASYNC));
	EXPECT_EQ(-EOPNOTSUPP, run_flags(&self->ring, fd, self->child, ops + 2,
					 1, IOSQE_ASYNC));

	/* Reserving is simple, pinning is not */
	memset(pages, 0, PG);
	ops[0] = op_map(SZ_2M, 0);
	ops[0].flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED;
	ops[1] = op_map(SZ_2M + PG, IA_PTR(pages));
	EXPECT_EQ(1, run(&self->ring, fd, self->root, ops, 2));
	EXPECT_EQ(1, run(&self->ring, fd, self->root, ops + 1, 1));
	ops[0].iova += 2 * PG;
	ops[1].iova += 2 * PG;
	EXPECT_EQ(2, run_flags(&self->ring, fd, self->root, ops, 2,
			       IOSQE_ASYNC));
}

TEST_F(uring, bad_arguments)
{
	struct ioasid_dma_op *ops = self->ops;
	struct io_uring *ring = &self->ring;
	struct io_uring_sqe *sqe;
	int fd = self->fd;

	fill_maps(ops, 0, 2);
	EXPECT_EQ(-EINVAL, run(ring, fd, self->child, ops, 0));
	EXPECT_EQ(-EINVAL, run(ring, fd, self->child, ops, 0x80000000));
	EXPECT_EQ(-ENOENT, run(ring, fd, 0, ops, 2));
	EXPECT_EQ(-ENOENT, run(ring, fd, 12345, ops, 2));
	EXPECT_EQ(-ENOENT, run(ring, fd, self->dev.devid, ops, 2));
	EXPECT_EQ(-EFAULT, run(ring, fd, self->child, (void *)8, 2));
	EXPECT_EQ(-EFAULT, run(ring, fd, self->child, (void *)~7UL, 2));
	EXPECT_EQ(-EOPNOTSUPP, run(ring, ring->ring_fd, self->child, ops, 2));

	sqe = prepare(ring, fd, self->child, ops, 2, 1);
	sqe->cmd_op = IOASID_MAP_DMA;
	ASSERT_EQ(1, io_uring_submit(ring));
	EXPECT_EQ(-ENOTTY, result(ring, 20000, NULL));
	sqe = prepare(ring, fd, self->child, ops, 2, 1);
	sqe->addr = 1;
	ASSERT_EQ(1, io_uring_submit(ring));
	EXPECT_EQ(-EINVAL, result(ring, 20000, NULL));
	sqe = prepare(ring, fd, self->child, ops, 2, 1);
	sqe->len = 1;
	ASSERT_EQ(1, io_uring_submit(ring));
	EXPECT_EQ(-EINVAL, result(ring, 20000, NULL));
	sqe = prepare(ring, fd, self->child, ops, 2, 1);
	sqe->file_index = 1;
	ASSERT_EQ(1, io_uring_submit(ring));
	EXPECT_EQ(-EINVAL, result(ring, 20000, NULL));
	/* There is no registered buffer */
	sqe = prepare(ring, fd, self->child, ops, 2, 1);
	sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	ASSERT_EQ(1, io_uring_submit(ring));
	EXPECT_EQ(-EFAULT, result(ring, 20000, NULL));
	sqe = prepare(ring, fd, self->child, ops, 2, 1);
	sqe->uring_cmd_flags = 1U << 31;
	ASSERT_EQ(1, io_uring_submit(ring));
	EXPECT_EQ(-EINVAL, result(ring, 20000, NULL));
	EXPECT_EQ(0, nr_mappings(fd, self->child));
}

/* A command with its operations in a registered buffer. */
static int run_fixed(struct io_uring *ring, int fd, __u32 id, const void *ops,
		     __u32 nr, int buffer, __u32 flags)
{
	struct io_uring_sqe *sqe = prepare(ring, fd, id, ops, nr, 1);

	sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	sqe->buf_index = buffer;
	sqe->flags = flags;
	/* The number depends on the progress of a polling thread */
	if (io_uring_submit(ring) < 0)
		return -EIO;
	return result(ring, 20000, NULL);
}

TEST_F(uring, registered_buffer)
{
	struct ioasid_dma_op *ops = self->ops, *across;
	struct iovec iov = {
		.iov_base = ops,
		.iov_len = 2 * PAGES * sizeof(*ops),
	};
	int i, fd = self->fd, memfd;
	char *pages = ia_mem(40 * PG), *p;

	ASSERT_EQ(0, io_uring_register_buffers(&self->ring, &iov, 1));
	fill_maps(ops, 0, 64);
	ASSERT_EQ(64, run_fixed(&self->ring, fd, self->child, ops, 64, 0, 0));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), SEED, 64));
	fill_unmaps(ops, 0, 64);
	ASSERT_EQ(64, run_fixed(&self->ring, fd, self->child, ops, 64, 0,
				IOSQE_ASYNC));
	/* all of the buffer, from the first byte to the last */
	fill_maps(ops, 0, PAGES);
	fill_unmaps(ops + PAGES, 0, PAGES);
	ASSERT_EQ(2 * PAGES, run_fixed(&self->ring, fd, self->child, ops,
				       2 * PAGES, 0, 0));
	EXPECT_EQ(0, nr_mappings(fd, self->child));

	/* outside of the buffer */
	EXPECT_EQ(-EFAULT, run_fixed(&self->ring, fd, self->child, ops + 1,
				     2 * PAGES, 0, 0));
	EXPECT_EQ(-EFAULT, run_fixed(&self->ring, fd, self->child, ops - 1, 2,
				     0, 0));
	EXPECT_EQ(-EFAULT, run_fixed(&self->ring, fd, self->child,
				     (void *)~31UL, 2, 0, 0));
	EXPECT_EQ(-EFAULT, run_fixed(&self->ring, fd, self->child, ops, 2, 1,
				     0));

	/*
	 * IOVAs are written to the buffer, also if they cross pages, and also
	 * if the address now maps other memory.
	 */
	ASSERT_EQ(0, io_uring_unregister_buffers(&self->ring));
	memset(pages, 0, 40 * PG);
	memfd = memfd_create("ops", MFD_CLOEXEC);
	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, ftruncate(memfd, 2 * PG));
	p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_NE(MAP_FAILED, p);
	iov = (struct iovec) { .iov_base = p, .iov_len = 2 * PG };
	ASSERT_EQ(0, io_uring_register_buffers(&self->ring, &iov, 1));
	across = (void *)(p + PG - 36 * sizeof(*ops) - 12);
	for (i = 0; i < 40; i++) {
		across[i] = op_map(0, IA_PTR(pages + i * PG));
		across[i].flags = IA_RW;
	}
	ASSERT_NE(MAP_FAILED, mmap(p, 2 * PG, PROT_READ, MAP_PRIVATE |
				   MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(40, run_fixed(&self->ring, fd, self->root, across, 40, 0,
				0));
	EXPECT_EQ(0, across[36].iova);
	ASSERT_NE(MAP_FAILED, mmap(p, 2 * PG, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, memfd, 0));
	self->at.id = self->root;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, model_fill(&self->dev, across[i].iova, SEED, 1));
		EXPECT_TRUE(model_pattern_holds(pages + i * PG, SEED,
						across[i].iova, PG));
	}
	close(memfd);
}

/*
 * A kernel thread submits, with the memory of the process that made the ring.
 */
TEST_F(uring, polled)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQPOLL,
		.sq_thread_idle = 100,
	};
	char *pages = ia_mem(PG);
	struct io_uring ring;
	int fd = self->fd;

	memset(pages, 0, PG);
	ASSERT_EQ(0, io_uring_queue_init_params(8, &ring, &params));
	fill_maps(self->ops, 0, 16);
	EXPECT_EQ(16, run(&ring, fd, self->child, self->ops, 16));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), SEED, 16));
	self->ops[0] = op_map(SZ_2M, IA_PTR(pages));
	EXPECT_EQ(1, run(&ring, fd, self->root, self->ops, 1));
	/* and it waits for no memory */
	self->ops[0] = op_map(SZ_4M, IA_PTR(self->held));
	ASSERT_NE(NULL, prepare(&ring, fd, self->root, self->ops, 1, 7));
	ASSERT_LE(0, io_uring_submit(&ring));
	ASSERT_TRUE(fault_waits(self->uffd));
	fill_unmaps(self->ops + 1, 0, 16);
	EXPECT_EQ(16, run(&ring, fd, self->child, self->ops + 1, 16));
	ASSERT_EQ(0, supply_page(self->uffd, self->held, pages));
	EXPECT_EQ(1, result(&ring, 20000, NULL));
	self->at.id = self->root;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	ASSERT_EQ(0, model_fill(&self->dev, SZ_2M, SEED, 1));
	EXPECT_TRUE(model_pattern_holds(pages, SEED, SZ_2M, PG));
	io_uring_queue_exit(&ring);
}

/* Submitted in other ways: by task work, as a link to the command before. */
TEST_F(uring, links)
{
	struct ioasid_dma_op *ops = self->ops;
	struct io_uring_sqe *sqe;
	__u64 number = 0;
	int i, fd = self->fd;

	fill_maps(ops, 0, 4);
	fill_unmaps(ops + 4, 0, 2);
	fill_maps(ops + 6, 0, 2);
	sqe = prepare(&self->ring, fd, self->child, ops, 4, 0);
	sqe->flags = IOSQE_IO_LINK;
	sqe = prepare(&self->ring, fd, self->child, ops + 4, 2, 1);
	sqe->flags = IOSQE_IO_LINK | IOSQE_ASYNC;
	sqe = prepare(&self->ring, fd, self->child, ops + 6, 2, 2);
	sqe->flags = IOSQE_IO_LINK;
	/* a failure cancels the rest of the chain */
	sqe = prepare(&self->ring, fd, self->child, ops + 6, 2, 3);
	sqe->flags = IOSQE_IO_LINK;
	prepare(&self->ring, fd, self->child, ops + 4, 2, 4);
	ASSERT_EQ(5, io_uring_submit(&self->ring));
	for (i = 0; i < 5; i++) {
		int expected[] = { 4, 2, 2, -EEXIST, -ECANCELED };

		EXPECT_EQ(expected[i], result(&self->ring, 20000, &number));
		EXPECT_EQ(i, number);
	}
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), SEED, 4));
}

/* Cancel after an operation that is done, and while the first one waits. */
TEST_F(uring, cancel)
{
	struct ioasid_dma_op *ops = self->ops;
	char *pages = ia_mem(PG);
	__u64 number = 0;
	int i, rc, fd = self->fd;

	memset(pages, 0, PG);
	for (i = 1; i >= 0; i--) {
		struct io_uring_sqe *sqe;

		ops[0] = op_map(SZ_2M, IA_PTR(pages));
		ops[1] = op_map(SZ_4M, IA_PTR(self->held));
		prepare(&self->ring, fd, self->root, ops + !i, 1 + i, 1);
		ASSERT_EQ(1, io_uring_submit(&self->ring));
		ASSERT_TRUE(fault_waits(self->uffd));
		sqe = io_uring_get_sqe(&self->ring);
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->addr = 1;
		sqe->user_data = 2;
		ASSERT_EQ(1, io_uring_submit(&self->ring));
		rc = result(&self->ring, 20000, &number);
		if (number == 2) {
			/* The command was running already. */
			EXPECT_EQ(-EALREADY, rc);
			rc = result(&self->ring, 20000, &number);
		} else {
			EXPECT_EQ(-EALREADY, result(&self->ring, 20000, NULL));
			number = 1;
		}
		EXPECT_EQ(1, number);
		EXPECT_EQ(i ? 1 : -EINTR, rc);
		/*
		 * The memory that was registered at first, and the operation
		 * that was done
		 */
		EXPECT_EQ(2, nr_mappings(fd, self->root));
		EXPECT_EQ(0, wait_until_free(fd, self->root, SZ_4M, pages));
		EXPECT_EQ(0, ia_unmap(fd, self->root, SZ_4M, PG, NULL));
	}
}

/* A map that waits for the unmap of another one finally succeeds. */
TEST_F(uring, unmap_cancels_pin)
{
	struct ioasid_dma_op *ops = self->ops;
	int fd = self->fd;

	ops[0] = op_map(SZ_2M, IA_PTR(self->held));
	prepare(&self->ring, fd, self->root, ops, 1, 1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	ASSERT_TRUE(fault_waits(self->uffd));
	ASSERT_EQ(0, ia_unmap(fd, self->root, SZ_2M, PG, NULL));
	ASSERT_EQ(0, ia_map(fd, self->root, SZ_2M, self->mem, PG));
	ASSERT_EQ(0, release_faults(self->uffd, self->held, 4 * PG));
	EXPECT_EQ(-ECANCELED, result(&self->ring, 20000, NULL));
}

/* Close the ring while a worker waits. */
TEST_F(uring, ring_closed)
{
	struct ioasid_dma_op *ops = self->ops;
	char *pages = ia_mem(PG);
	int fd = self->fd;

	memset(pages, 0, PG);
	ops[0] = op_map(SZ_2M, IA_PTR(pages));
	ops[1] = op_map(SZ_4M, IA_PTR(self->held));
	ops[2] = op_map(SZ_4M + PG, IA_PTR(pages));
	prepare(&self->ring, fd, self->root, ops, 3, 1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	ASSERT_TRUE(fault_waits(self->uffd));
	io_uring_queue_exit(&self->ring);
	self->has_ring = false;
	/* The memory never comes: the close ends the wait. */
	EXPECT_EQ(0, wait_until_free(fd, self->root, SZ_4M, pages));
	EXPECT_EQ(0, ia_map(fd, self->root, SZ_4M + PG, pages, PG));
	/* Operations that were done stay */
	EXPECT_EQ(-EEXIST, ia_map(fd, self->root, SZ_2M, pages, PG));
}

/* Close the context during its commands: they end first. */
TEST_F(uring, context_closed)
{
	struct ioasid_dma_op *ops = self->ops;
	char *pages = ia_mem(PG);
	int fd = ia_open();
	__u32 id;

	ASSERT_LE(0, fd);
	memset(pages, 0, PG);
	ASSERT_EQ(0, ia_alloc(fd, &id));
	ops[0] = op_map(SZ_2M, IA_PTR(self->held));
	prepare(&self->ring, fd, id, ops, 1, 1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	ASSERT_TRUE(fault_waits(self->uffd));
	close(fd);
	EXPECT_EQ(PENDING, result(&self->ring, 20, NULL));
	ASSERT_EQ(0, supply_page(self->uffd, self->held, pages));
	EXPECT_EQ(1, result(&self->ring, 20000, NULL));
}

/* A process ends, or is killed, during its commands. */
TEST_F(uring, process_ends)
{
	struct ioasid_dma_op *ops = self->ops;
	int killed, i, status, fd = self->fd;
	pid_t pid;

	for (killed = 0; killed < 2; killed++) {
		pid = ia_fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			int uffd = open_userfaultfd();
			char *held = ia_mem(4 * PG);
			struct io_uring ring;

			if (uffd < 0 || !held ||
			    hold_faults(uffd, held, 4 * PG) ||
			    io_uring_queue_init(8, &ring, 0))
				_exit(1);
			for (i = 0; i < 4; i++) {
				ops[i] = op_map(SZ_4M + i * PG,
						IA_PTR(held + i * PG));
				prepare(&ring, fd, self->root, ops + i, 1, i);
			}
			if (io_uring_submit(&ring) != 4)
				_exit(2);
			if (!fault_waits(uffd))
				_exit(3);
			if (killed)
				raise(SIGKILL);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(killed ? SIGKILL : 0, status);
		for (i = 0; i < 4; i++)
			EXPECT_EQ(0, wait_until_free(fd, self->root,
						     SZ_4M + i * PG,
						     self->mem));
		EXPECT_EQ(0, ia_unmap(fd, self->root, SZ_4M, 4 * PG, NULL));
	}
}

/* A ring that two processes share uses the memory of the submitter. */
TEST_F(uring, memory_of_submitter)
{
	struct ioasid_dma_op *ops = self->ops;
	char *page = ia_mem(PG), seen[16] = "";
	int status, fd = self->fd;
	pid_t pid;

	self->at.id = self->root;
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
	memcpy(page, "parent", 7);
	ops[0] = op_map(SZ_2M, IA_PTR(page));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		memcpy(page, "child", 6);
		if (run(&self->ring, fd, self->root, ops, 1) != 1)
			_exit(1);
		if (model_get(&self->dev, SZ_2M, seen, sizeof(seen)) ||
		    strcmp(seen, "child"))
			_exit(2);
		ops[0] = op_unmap(SZ_2M);
		_exit(run(&self->ring, fd, self->root, ops, 1) == 1 ? 0 : 3);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* The library does not know the entries that the child submitted */
	self->ring.sq.sqe_tail = *self->ring.sq.ktail;
	self->ring.sq.sqe_head = self->ring.sq.sqe_tail;
	ASSERT_EQ(1, run(&self->ring, fd, self->root, ops, 1));
	ASSERT_EQ(0, model_get(&self->dev, SZ_2M, seen, sizeof(seen)));
	EXPECT_STREQ("parent", seen);
}

/* The limit of locked memory is that of the command's credentials. */
TEST_F(uring, personality)
{
	struct rlimit limit = { 0, 0 };
	struct io_uring_sqe *sqe;
	char *page = ia_mem(PG);
	int root, fd = self->fd;

	memset(page, 0, PG);
	root = io_uring_register_personality(&self->ring);
	ASSERT_LT(0, root);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, 0));
	self->ops[0] = op_map(SZ_2M, IA_PTR(page));
	EXPECT_EQ(-EDQUOT, run(&self->ring, fd, self->root, self->ops, 1));
	sqe = prepare(&self->ring, fd, self->root, self->ops, 1, 1);
	sqe->personality = root;
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(1, result(&self->ring, 20000, NULL));
	ASSERT_EQ(0, setresuid(0, 0, 0));
}

/*
 * A ring of buffers, many commands deep, while the device writes to other
 * buffers of the same IOASID; the device writes to each one after it was
 * mapped.
 */
TEST_F(uring, stream)
{
	unsigned int rounds = ia_slow_kernel() ? 64 : 1000, r, i;
	struct ioasid_dma_op *ops = self->ops;
	int fd = self->fd;

	fill_maps(ops, PAGES - 16, 16);
	ASSERT_EQ(16, run(&self->ring, fd, self->child, ops, 16));
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL,
				  AT(PAGES - 16), SEED, 16, 1));
	for (r = 0; r < rounds; r++) {
		for (i = 0; i < 8; i++) {
			fill_maps(ops + i * 32, i * 32, 32);
			prepare(&self->ring, fd, self->child, ops + i * 32, 32,
				i);
		}
		ASSERT_EQ(8, io_uring_submit(&self->ring));
		for (i = 0; i < 8; i++)
			ASSERT_EQ(32, result(&self->ring, 20000, NULL));
		ASSERT_EQ(0, model_fill(&self->dev, AT(r % 256), r, 1));
		ASSERT_TRUE(model_pattern_holds(self->mem + r % 256 * PG, r,
						AT(r % 256), PG));
		for (i = 0; i < 8; i++) {
			fill_unmaps(ops + i * 32, i * 32, 32);
			prepare(&self->ring, fd, self->child, ops + i * 32, 32,
				i)->flags = r % 4 ? 0 : IOSQE_ASYNC;
		}
		ASSERT_EQ(8, io_uring_submit(&self->ring));
		for (i = 0; i < 8; i++)
			ASSERT_EQ(32, result(&self->ring, 20000, NULL));
		ASSERT_EQ(MODEL_FAULT_ABSENT, model_fill(&self->dev,
							 AT(r % 256), 1, 1));
	}
	ASSERT_EQ(0, model_hammered(&self->dev, 1, 1));
	ASSERT_EQ(0, model_stop(&self->dev, 1, NULL));
	EXPECT_EQ(16, nr_mappings(fd, self->child));
}

TEST_HARNESS_MAIN
