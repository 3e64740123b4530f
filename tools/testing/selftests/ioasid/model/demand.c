// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_ALLOC_DEMAND: memory of a root is pinned when a child refers to it, and
 * unpinned when no child does.
 */
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "family.h"
#include "fault.h"
#include "uffd.h"

#define PG page_size
#define ROOT_AT SZ_1G
#define CHILD_AT SZ_4G
#define WINDOW SZ_2M
#define WINDOWS 16ULL
#define LENGTH (WINDOWS * WINDOW)
#define PAGES ((int)(LENGTH / PG))
/* What may stay pinned without a reference */
#define IDLE (2 * WINDOW)

static int alloc_demand(int fd, __u64 cut_size, __u32 *id)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
		.cut_size = cut_size,
	};
	int rc = ia_cmd(fd, IOASID_ALLOC, &cmd);

	*id = cmd.ioasid;
	return rc;
}

FIXTURE(demand)
{
	struct model model;
	struct model_device dev;
	struct model_space at;
	int fd;
	char *mem;
	__u32 root;
	__u32 child;
};

FIXTURE_SETUP(demand)
{
	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(1, ia_check(self->fd, IOASID_EXT_DEMAND));
	ASSERT_EQ(0, alloc_demand(self->fd, 0, &self->root));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_AT, self->mem, LENGTH));
	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &self->child));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	self->at = (struct model_space) {
		.model = &self->model, .id = self->child, .container = -1,
	};
	ASSERT_EQ(0, model_attach(&self->dev, &self->at));
}

FIXTURE_TEARDOWN(demand)
{
	FAMILY_TEARDOWN();
}

/* Map pages of the root at the same distance in the child */
static int refer(struct _test_data_demand *self, int page, int pages)
{
	return ia_map_ref(self->fd, self->child, CHILD_AT + page * PG,
			  ROOT_AT + page * PG, pages * PG, IA_RW);
}

static int unrefer(struct _test_data_demand *self, int page, int pages)
{
	return ia_unmap(self->fd, self->child, CHILD_AT + page * PG, pages * PG,
			NULL);
}

static bool sees(struct _test_data_demand *self, int page)
{
	return reads(&self->dev, CHILD_AT + page * PG, page);
}

static int window_page(int window)
{
	return window * (WINDOW / PG);
}

static bool is_trimmed(struct _test_data_demand *self, __u64 most)
{
	struct ioasid_info info = info_of(self->fd, self->root);

	return info.bytes_pinned <= most && info.bytes_charged == info.bytes_pinned &&
	       ia_status("VmPin") == info.bytes_pinned >> 10;
}

/* Bytes that are pinned; the sum with those that are not does not change */
#define PINNED()							\
({									\
	struct ioasid_info __info = info_of(self->fd, self->root);	\
									\
	EXPECT_EQ(LENGTH, __info.bytes_pinned + __info.bytes_demand);	\
	EXPECT_EQ(__info.bytes_pinned, __info.bytes_mapped);		\
	EXPECT_EQ(__info.bytes_pinned, __info.bytes_charged);		\
	EXPECT_EQ(__info.bytes_pinned >> 10, ia_status("VmPin"));	\
	__info.bytes_pinned;						\
})

/*
 * The same, once a worker has unpinned what is idle, but for what is kept, and for what
 * more is used
 */
#define TRIMMED(more)							\
({									\
	int __i;							\
									\
	/* It has a minute */						\
	for (__i = 0; __i < 60000 && !is_trimmed(self, IDLE + (more)); __i++) \
		usleep(1000);						\
	PINNED();							\
})

/* Nothing may be pinned but this: what is idle has to go */
static int press(struct _test_data_demand *self, __u64 bytes)
{
	return ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED, bytes, 0);
}

TEST_F(demand, pins_what_is_used)
{
	int last = window_page(3) + 5;

	EXPECT_EQ(0, PINNED());
	ASSERT_EQ(0, refer(self, 3, 1));
	EXPECT_TRUE(sees(self, 3));
	EXPECT_EQ(WINDOW, PINNED());
	/* more in the same window, and in another one */
	ASSERT_EQ(0, refer(self, 7, 2));
	EXPECT_EQ(WINDOW, PINNED());
	ASSERT_EQ(0, refer(self, last, 1));
	EXPECT_TRUE(sees(self, last));
	EXPECT_EQ(2 * WINDOW, PINNED());
	/* across two windows, of which one is used */
	ASSERT_EQ(0, refer(self, window_page(4) - 1, 2));
	EXPECT_TRUE(sees(self, window_page(4) - 1));
	EXPECT_TRUE(sees(self, window_page(4)));
	EXPECT_EQ(3 * WINDOW, PINNED());
	/* all of it */
	ASSERT_EQ(0, unrefer(self, window_page(4) - 1, 2));
	ASSERT_EQ(0, unrefer(self, last, 1));
	ASSERT_EQ(0, unrefer(self, 3, 1));
	ASSERT_EQ(0, unrefer(self, 7, 2));
	ASSERT_EQ(0, refer(self, 0, PAGES));
	EXPECT_EQ(LENGTH, PINNED());
	EXPECT_TRUE(sees(self, PAGES - 1));
	ASSERT_EQ(0, unrefer(self, 0, PAGES));
	EXPECT_TRUE(faults(&self->dev, CHILD_AT));
	EXPECT_EQ(IDLE, TRIMMED(0));
}

/* What was used last stays; what is used again is not idle. */
TEST_F(demand, idle)
{
	struct ioasid_info info;
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, refer(self, window_page(i), 1));
		ASSERT_EQ(0, unrefer(self, window_page(i), 1));
	}
	EXPECT_EQ(IDLE, TRIMMED(0));
	/* the last two are idle: no other page is pinned for them */
	ASSERT_EQ(0, refer(self, window_page(2), 1));
	ASSERT_EQ(0, refer(self, window_page(3), 1));
	EXPECT_EQ(2 * WINDOW, PINNED());
	ASSERT_EQ(0, refer(self, window_page(0), 1));
	EXPECT_EQ(3 * WINDOW, PINNED());
	ASSERT_EQ(0, unrefer(self, window_page(2), 1));
	ASSERT_EQ(0, unrefer(self, window_page(0), 1));
	EXPECT_EQ(3 * WINDOW, PINNED());
	EXPECT_TRUE(sees(self, window_page(3)));
	ASSERT_EQ(0, unrefer(self, window_page(3), 1));
	EXPECT_EQ(IDLE, TRIMMED(0));

	/* A limit makes what is idle go, and records become one again */
	ASSERT_EQ(0, press(self, WINDOW));
	ASSERT_EQ(0, refer(self, window_page(9), 1));
	EXPECT_EQ(WINDOW, PINNED());
	info = info_of(self->fd, self->root);
	EXPECT_EQ(3, info.nr_mappings);
	EXPECT_EQ(-EDQUOT, refer(self, window_page(8), 1));
	EXPECT_EQ(WINDOW, PINNED());
	ASSERT_EQ(0, unrefer(self, window_page(9), 1));
	ASSERT_EQ(0, refer(self, window_page(0), 1));
	info = info_of(self->fd, self->root);
	EXPECT_EQ(2, info.nr_mappings);
}

static int limit_mappings(struct _test_data_demand *self, __u64 limit)
{
	return ia_set_option(self->fd, IOASID_OPTION_LIMIT_MAPPINGS, limit, 0);
}

static __u64 mappings_left(struct _test_data_demand *self)
{
	return info_of(self->fd, self->root).mappings_left;
}

/* What is pinned has mappings, up to the limit; what is idle makes room. */
TEST_F(demand, mappings)
{
	/* The window, what is before and behind it, and the mapping of the child */
	ASSERT_EQ(0, limit_mappings(self, 2));
	EXPECT_EQ(-EDQUOT, refer(self, window_page(3), 1));
	EXPECT_EQ(0, PINNED());
	EXPECT_EQ(1, mappings_left(self));
	ASSERT_EQ(0, limit_mappings(self, 3));
	EXPECT_EQ(-EDQUOT, refer(self, window_page(3), 1));
	ASSERT_EQ(0, limit_mappings(self, 4));
	ASSERT_EQ(0, refer(self, window_page(3), 1));
	EXPECT_EQ(WINDOW, PINNED());
	EXPECT_EQ(0, mappings_left(self));
	EXPECT_EQ(-EDQUOT, refer(self, 0, 1));
	ASSERT_EQ(0, unrefer(self, window_page(3), 1));
	EXPECT_EQ(1, mappings_left(self));
	ASSERT_EQ(0, refer(self, window_page(9), 1));
	EXPECT_EQ(WINDOW, PINNED());
	EXPECT_EQ(0, mappings_left(self));
	ASSERT_EQ(0, unrefer(self, window_page(9), 1));
	/* All of it: each window, and one mapping of the child */
	ASSERT_EQ(0, limit_mappings(self, WINDOWS));
	EXPECT_EQ(-EDQUOT, refer(self, 0, PAGES));
	EXPECT_TRUE(faults(&self->dev, CHILD_AT));
	ASSERT_EQ(0, limit_mappings(self, WINDOWS + 1));
	ASSERT_EQ(0, refer(self, 0, PAGES));
	EXPECT_TRUE(sees(self, PAGES - 1));
	EXPECT_EQ(0, mappings_left(self));
	ASSERT_EQ(0, ia_unmap_cascade(self->fd, self->root, ROOT_AT, LENGTH));
	EXPECT_EQ(WINDOWS + 1, mappings_left(self));
}

/* Windows of the cut size; and one mapping of many windows. */
TEST_F(demand, cut_size)
{
	struct ioasid_info info;
	__u32 root, child;
	int i;

	ASSERT_EQ(0, alloc_demand(self->fd, PG, &root));
	ASSERT_EQ(0, ia_map(self->fd, root, ROOT_AT, self->mem, LENGTH));
	ASSERT_EQ(0, ia_child(self->fd, root, 0, &child));
	ASSERT_EQ(0, ia_map_ref(self->fd, child, CHILD_AT, ROOT_AT + 5 * PG,
				3 * PG, IA_RW));
	info = info_of(self->fd, root);
	EXPECT_EQ(3 * PG, info.bytes_pinned);
	EXPECT_EQ(LENGTH - 3 * PG, info.bytes_demand);
	EXPECT_EQ(5, info.nr_mappings);
	for (i = 0; i < 1500; i++)
		ASSERT_EQ(0, ia_map_ref(self->fd, child, CHILD_AT + SZ_2M +
					i * PG, ROOT_AT + 2 * i * PG, PG,
					IOASID_MAP_READ));
	ASSERT_EQ(0, ia_unmap_all(self->fd, child, NULL));
	for (i = 0; i < 60000; i++) {
		info = info_of(self->fd, root);
		if (info.bytes_pinned <= IDLE)
			break;
		usleep(1000);
	}
	EXPECT_EQ(IDLE, info.bytes_pinned);
	ASSERT_EQ(0, ia_unmap_all(self->fd, root, NULL));
	info = info_of(self->fd, root);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_demand);
	EXPECT_EQ(0, info.nr_mappings);
	ASSERT_EQ(0, ia_free(self->fd, child));
	EXPECT_EQ(0, ia_free(self->fd, root));
}

/* Each part of a reference that was cut keeps its windows. */
TEST_F(demand, cut_reference)
{
	int at = window_page(1) + 1, i;

	/* five pages: the cut is inside of a window */
	ASSERT_EQ(0, refer(self, at, 5));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->child, IOASID_UNMAP_SPLIT,
				   CHILD_AT + at * PG, 2 * PG, NULL));
	ASSERT_EQ(0, press(self, WINDOW));
	EXPECT_EQ(-EDQUOT, refer(self, window_page(5), 1));
	EXPECT_TRUE(sees(self, at + 2));
	/* a cut between two windows */
	ASSERT_EQ(0, press(self, 4 * WINDOW));
	ASSERT_EQ(0, refer(self, window_page(7) - 4, 8));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->child, IOASID_UNMAP_SPLIT,
				   CHILD_AT + window_page(7) * PG, 4 * PG,
				   NULL));
	EXPECT_EQ(3 * WINDOW, PINNED());
	ASSERT_EQ(0, press(self, 2 * WINDOW));
	EXPECT_EQ(-EDQUOT, refer(self, window_page(9), 1));
	EXPECT_EQ(2 * WINDOW, PINNED());
	EXPECT_TRUE(sees(self, window_page(7) - 1));

	ASSERT_EQ(0, ia_unmap_all(self->fd, self->child, NULL));
	ASSERT_EQ(0, press(self, WINDOW));
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, refer(self, window_page(i), 1));
		EXPECT_EQ(WINDOW, PINNED());
		ASSERT_EQ(0, unrefer(self, window_page(i), 1));
	}
}

/* What fails maps nothing, and says where in the root. */
TEST_F(demand, fails)
{
	int hole = window_page(2) + 3;
	__u32 child;

	ASSERT_EQ(0, munmap(self->mem + hole * PG, PG));
	EXPECT_EQ(-EFAULT, refer(self, window_page(2) - 1, 5));
	EXPECT_EQ(ROOT_AT + hole * PG, fault);
	EXPECT_GE(IDLE, TRIMMED(0));
	EXPECT_TRUE(faults(&self->dev, CHILD_AT + window_page(2) * PG));
	/* What is not referred to need not be there */
	ASSERT_EQ(0, refer(self, window_page(2) - 1, 4));
	EXPECT_TRUE(sees(self, hole - 1));
	EXPECT_EQ(WINDOW + 3 * PG, PINNED());
	ASSERT_EQ(0, refer(self, hole + 1, 1));
	EXPECT_EQ(WINDOW + 4 * PG, PINNED());
	EXPECT_TRUE(sees(self, hole + 1));
	ASSERT_EQ(0, unrefer(self, window_page(2) - 1, 4));
	ASSERT_EQ(0, unrefer(self, hole + 1, 1));
	/* not all of it is mapped */
	EXPECT_EQ(-ENXIO, refer(self, PAGES - 1, 2));
	EXPECT_EQ(ROOT_AT + LENGTH, fault);
	/* The memory is there again */
	ASSERT_EQ(self->mem + hole * PG,
		  mmap(self->mem + hole * PG, PG, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, refer(self, hole, 1));
	/* A long range ends where the memory does */
	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &child));
	EXPECT_EQ(-ENXIO, ia_map_ref(self->fd, child, 0, 0, 1ULL << 62, IA_RW));
	EXPECT_EQ(0, fault);
	EXPECT_EQ(-ENXIO, ia_map_ref(self->fd, child, 0, ROOT_AT, 1ULL << 62,
				     IA_RW));
	EXPECT_EQ(ROOT_AT + LENGTH, fault);
	EXPECT_GE(IDLE, TRIMMED(WINDOW) - WINDOW);
	/* A reserved range has no memory, however long it is */
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, 1ULL << 62, 1ULL << 62));
	EXPECT_EQ(-ENXIO, ia_map_ref(self->fd, child, 0, 1ULL << 62, 1ULL << 62,
				     IA_RW));
	EXPECT_EQ(1ULL << 62, fault);
}

/* Memory of a file, and of another process. */
TEST_F(demand, file)
{
	__u64 iova = SZ_2M;
	int file, export, status;
	char byte;
	pid_t pid;

	file = memfd_create("demand", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	EXPECT_EQ(-EINVAL, ia_map_file(self->fd, self->root, IA_RW_FIXED, &iova,
				       file, 0, 4 * PG));
	ASSERT_EQ(0, ftruncate(file, 4 * PG));
	ASSERT_EQ(0, ia_map_file(self->fd, self->root, IA_RW_FIXED, &iova, file,
				 0, 4 * PG));
	ASSERT_EQ(1, pwrite(file, "x", 1, 2 * PG));
	ASSERT_EQ(0, close(file));
	ASSERT_EQ(0, ia_export(self->fd, self->root, EXPORT_RW, 0, SZ_4G,
			       UINT64_MAX, &export));
	pid = ia_fork();
	if (!pid) {
		__u32 import, child;
		int fd = ia_open();

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ia_import(fd, export, 0, &import));
		ASSERT_EQ(0, ia_child(fd, import, 0, &child));
		/* The addresses of that process are not ours to pin */
		EXPECT_EQ(-EPERM, ia_map_ref(fd, child, 0, ROOT_AT, PG, IA_RW));
		EXPECT_EQ(0, ia_map_ref(fd, child, SZ_2M, iova + PG, 2 * PG,
					IA_RW));
		/* The process that refers first is charged, in any context */
		EXPECT_EQ(4 * PG >> 10, ia_status("VmPin"));
		close(fd);
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, CHILD_AT, iova + 2 * PG,
				PG, IA_RW));
	EXPECT_EQ(0, model_get(&self->dev, CHILD_AT, &byte, 1));
	EXPECT_EQ('x', byte);
	close(export);
}

/* What the root cannot do. */
TEST_F(demand, refused)
{
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
		.parent = self->root,
	};
	struct model_space at = self->at;
	__u64 iova = ROOT_AT;

	EXPECT_EQ(-EOPNOTSUPP, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	alloc.parent = 0;
	alloc.flags |= IOASID_ALLOC_NEST_PARENT;
	EXPECT_EQ(-EINVAL, ia_cmd(self->fd, IOASID_ALLOC, &alloc));
	at.id = self->root;
	EXPECT_EQ(-EMEDIUMTYPE, model_attach(&self->dev, &at));
	EXPECT_EQ(-EOPNOTSUPP, ia_map_full(self->fd, self->root, IA_RW_FIXED |
					   IOASID_MAP_REPLACE, &iova,
					   IA_PTR(self->mem), PG, 0, 0, 0,
					   NULL));
	EXPECT_EQ(-EOPNOTSUPP, ia_map_full(self->fd, self->root,
					   IOASID_MAP_READ | IOASID_MAP_FIXED |
					   IOASID_MAP_PROTECT, &iova, 0, PG, 0,
					   0, 0, NULL));
	EXPECT_EQ(0, PINNED());
}

/* The owner takes memory away, pinned or not. */
TEST_F(demand, unmap)
{
	__u64 cut = ROOT_AT + window_page(1) * PG, unmapped;

	ASSERT_EQ(0, refer(self, window_page(1) + 1, 1));
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root, ROOT_AT, LENGTH, NULL));
	EXPECT_EQ(WINDOW, PINNED());
	/* a record is cut as any mapping */
	EXPECT_EQ(-EINVAL, ia_unmap(self->fd, self->root, ROOT_AT, PG, NULL));
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_SPLIT,
				   ROOT_AT + 4 * PG, 4 * PG, &unmapped));
	EXPECT_EQ(4 * PG, unmapped);
	EXPECT_EQ(-ENXIO, refer(self, 3, 2));
	EXPECT_EQ(ROOT_AT + 4 * PG, fault);
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_AT + 4 * PG,
			    self->mem + 4 * PG, 4 * PG));
	ASSERT_EQ(0, refer(self, 3, 6));
	EXPECT_TRUE(sees(self, 8));
	EXPECT_EQ(2 * WINDOW, PINNED());
	/* of a window that is pinned, half */
	ASSERT_EQ(0, ia_unmap_full(self->fd, self->root, IOASID_UNMAP_SPLIT,
				   cut + WINDOW / 2, WINDOW, &unmapped));
	EXPECT_EQ(WINDOW, unmapped);
	ASSERT_EQ(0, ia_map(self->fd, self->root, cut + WINDOW / 2,
			    self->mem + WINDOW + WINDOW / 2, WINDOW));
	EXPECT_EQ(WINDOW + WINDOW / 2, PINNED());
	ASSERT_EQ(0, unrefer(self, window_page(1) + 1, 1));
	ASSERT_EQ(0, refer(self, window_page(1), 512));
	EXPECT_EQ(2 * WINDOW, PINNED());
	EXPECT_TRUE(sees(self, window_page(2) - 1));

	ASSERT_EQ(0, ia_unmap_cascade(self->fd, self->root, ROOT_AT, LENGTH));
	EXPECT_TRUE(faults(&self->dev, CHILD_AT + 8 * PG));
	EXPECT_EQ(0, ia_status("VmPin"));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_AT, self->mem, LENGTH));
	EXPECT_EQ(0, PINNED());
	ASSERT_EQ(0, refer(self, 8, 1));
	EXPECT_TRUE(sees(self, 8));
}

TEST_F(demand, query)
{
	struct ioasid_query_entry entry[4] = {};
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->root,
		.nr = 4,
		.entries = IA_PTR(entry),
	};

	ASSERT_EQ(0, refer(self, window_page(2) + 9, 1));
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_QUERY_MAP, &query));
	ASSERT_EQ(3, query.nr);
	EXPECT_EQ(ROOT_AT, entry[0].iova);
	EXPECT_EQ(2 * WINDOW, entry[0].length);
	EXPECT_EQ(IA_PTR(self->mem), entry[0].addr);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR | IOASID_QUERY_DEMAND,
		  entry[0].flags);
	EXPECT_EQ(ROOT_AT + 2 * WINDOW, entry[1].iova);
	EXPECT_EQ(WINDOW, entry[1].length);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR, entry[1].flags);
	EXPECT_EQ(IA_PTR(self->mem) + 3 * WINDOW, entry[2].addr);
	EXPECT_EQ(IA_RW | IOASID_QUERY_ADDR | IOASID_QUERY_DEMAND,
		  entry[2].flags);
}

/* In a batch: what is pinned already, and what is not. */
TEST_F(demand, batch)
{
	struct ioasid_dma_op ops[40] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->child,
		.nr = 40,
		.ops = IA_PTR(ops),
	};
	int i, page;

	ASSERT_EQ(0, refer(self, window_page(1), 1));
	for (i = 0; i < 40; i++) {
		page = i < 8 ? window_page(1) + 1 + i : window_page(i % 8) + i + 9;
		ops[i] = (struct ioasid_dma_op) {
			.op = IOASID_DMA_OP_MAP,
			.flags = IA_RW_FIXED,
			.iova = CHILD_AT + page * PG,
			.addr = ROOT_AT + page * PG,
			.length = PG,
		};
	}
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(40, batch.done);
	EXPECT_EQ(8 * WINDOW, PINNED());
	EXPECT_TRUE(sees(self, window_page(1) + 8));
	EXPECT_TRUE(sees(self, window_page(7) + 48));
	for (i = 0; i < 40; i++) {
		ops[i].op = IOASID_DMA_OP_UNMAP;
		ops[i].flags = 0;
		ops[i].addr = 0;
	}
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(WINDOW + IDLE, TRIMMED(WINDOW));
	EXPECT_TRUE(sees(self, window_page(1)));
}

/* A root that is freed before its worker has begun, while it runs, and afterwards */
TEST_F_TIMEOUT(demand, free, 300)
{
	__u32 root, child;
	int i;

	for (i = 0; i < 24; i++) {
		ASSERT_EQ(0, alloc_demand(self->fd, i % 2 ? PG : 0, &root));
		ASSERT_EQ(0, ia_map(self->fd, root, ROOT_AT, self->mem, LENGTH));
		ASSERT_EQ(0, ia_child(self->fd, root, 0, &child));
		ASSERT_EQ(0, ia_map_ref(self->fd, child, CHILD_AT, ROOT_AT, LENGTH,
					IA_RW));
		ASSERT_EQ(0, ia_unmap_all(self->fd, child, NULL));
		usleep(i / 2 * 10000);
		ASSERT_EQ(0, ia_free(self->fd, child));
		ASSERT_EQ(0, ia_free(self->fd, root));
		EXPECT_EQ(0, ia_status("VmPin"));
		EXPECT_EQ(0, PINNED());
	}
}

/* REPLACE in a child, by memory that is not pinned yet. */
TEST_F(demand, replace)
{
	__u64 iova = CHILD_AT;

	ASSERT_EQ(0, refer(self, 0, 4));
	ASSERT_EQ(0, ia_map_full(self->fd, self->child, IA_RW_FIXED |
				 IOASID_MAP_REPLACE, &iova,
				 ROOT_AT + window_page(6) * PG, 4 * PG, 0, 0, 0,
				 NULL));
	EXPECT_TRUE(reads(&self->dev, CHILD_AT + PG, window_page(6) + 1));
	EXPECT_EQ(IDLE, TRIMMED(0));
	ASSERT_EQ(0, press(self, WINDOW));
	EXPECT_EQ(-EDQUOT, ia_map_full(self->fd, self->child, IA_RW_FIXED |
				       IOASID_MAP_REPLACE, &iova,
				       ROOT_AT + window_page(9) * PG, 4 * PG, 0,
				       0, 0, NULL));
	EXPECT_TRUE(reads(&self->dev, CHILD_AT + PG, window_page(6) + 1));
}

/* Rounds without a failure that must follow each other */
#define ENOUGH 4

/* Every allocation of a map fails once, and nothing is mapped then. */
TEST_F(demand, fail_nth)
{
	int fd = open(FAIL_NTH, O_RDWR), rc, failed;
	int at = window_page(2) - 3;
	unsigned int nth, fatal = 0, missed = 0;

	if (fd < 0 || !set_knobs())
		SKIP(return, "the kernel injects no faults");
	ASSERT_EQ(0, press(self, IDLE));
	/* Lists of the allocators make some rounds shorter than others */
	for (nth = 1; missed < ENOUGH && nth < MAX_FAILURES; nth++) {
		/* Nothing of the range is idle */
		ASSERT_EQ(0, refer(self, window_page(8), 2 * 512));
		ASSERT_EQ(0, unrefer(self, window_page(8), 2 * 512));
		ASSERT_TRUE(arm(fd, nth));
		rc = refer(self, at, 6);
		failed = disarm(fd);
		missed = failed ? 0 : missed + 1;
		if (!rc) {
			EXPECT_TRUE(sees(self, at + 5));
			ASSERT_EQ(0, unrefer(self, at, 6));
			continue;
		}
		fatal++;
		ASSERT_NE(0, failed);
		EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT) {
			TH_LOG("failure %u: %d", nth, rc);
		}
		EXPECT_TRUE(faults(&self->dev, CHILD_AT + at * PG));
	}
	restore_knobs();
	EXPECT_EQ(ENOUGH, missed);
	/* The mapping of the child, and the window, in each round */
	EXPECT_LE(2, fatal);
	EXPECT_EQ(IDLE, TRIMMED(0));
	close(fd);
}

struct refer_hung {
	struct _test_data_demand *self;
	pthread_t thread;
	int rc;
};

static void *refer_hung(void *arg)
{
	struct refer_hung *hung = arg;

	hung->rc = refer(hung->self, 1, 1);
	return NULL;
}

/* A page that does not come keeps no other thread waiting. */
TEST_F(demand, hung)
{
	struct refer_hung hung = { .self = self };
	int uffd = open_userfaultfd();

	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, madvise(self->mem, WINDOW, MADV_DONTNEED));
	ASSERT_EQ(0, hold_faults(uffd, self->mem, WINDOW));
	ASSERT_EQ(0, pthread_create(&hung.thread, NULL, refer_hung, &hung));
	ASSERT_TRUE(fault_waits(uffd));
	ASSERT_EQ(0, refer(self, window_page(1), 2));
	ASSERT_EQ(0, unrefer(self, window_page(1), 2));
	/* The memory that is waited for, too, can be taken away */
	ASSERT_EQ(0, ia_unmap_cascade(self->fd, self->root, ROOT_AT, LENGTH));
	ASSERT_EQ(0, release_faults(uffd, self->mem, WINDOW));
	ASSERT_EQ(0, pthread_join(hung.thread, NULL));
	EXPECT_EQ(-ENXIO, hung.rc);
	EXPECT_EQ(0, ia_status("VmPin"));
	close(uffd);
}

struct racer {
	struct _test_data_demand *self;
	pthread_t thread;
	unsigned int seed;
	__u64 at;		/* of its part of the child; 0: it is the owner */
	int rc;
};

#define RACES (ia_slow_kernel() ? 60 : 400)
#define RACERS 4

/* Each has a part of the child, and all of the root */
static int race_child(struct racer *racer, int i)
{
	__u64 at = racer->at;
	int page = rand_r(&racer->seed) % (PAGES - 600);
	int pages = 1 + rand_r(&racer->seed) % 600;
	int rc;

	rc = ia_map_ref(racer->self->fd, racer->self->child, at,
			ROOT_AT + page * PG, pages * PG, IA_RW);
	if (rc && rc != -ENXIO)
		return rc;
	if (i % 3 == 0 && !rc && pages > 2)
		rc = ia_unmap_full(racer->self->fd, racer->self->child,
				   IOASID_UNMAP_SPLIT, at + PG, PG, NULL);
	rc = ia_unmap(racer->self->fd, racer->self->child, at, SZ_1G, NULL);
	return rc;
}

static int race_owner(struct racer *racer)
{
	__u64 window = rand_r(&racer->seed) % WINDOWS;
	__u64 at = ROOT_AT + window * WINDOW;
	int rc;

	rc = ia_unmap_full(racer->self->fd, racer->self->root,
			   IOASID_UNMAP_SPLIT | IOASID_UNMAP_CASCADE, at,
			   WINDOW, NULL);
	return rc ? rc : ia_map(racer->self->fd, racer->self->root, at,
				racer->self->mem + window * WINDOW, WINDOW);
}

static void *race(void *arg)
{
	struct racer *racer = arg;
	int i;

	for (i = 0; i < RACES && !racer->rc; i++)
		racer->rc = racer->at ? race_child(racer, i) :
					race_owner(racer);
	return NULL;
}

/* Children come and go, and so does the memory. */
TEST_F(demand, race)
{
	struct racer racer[RACERS + 1];
	int i;

	for (i = 0; i <= RACERS; i++) {
		racer[i] = (struct racer) {
			.self = self, .seed = i,
			.at = i < RACERS ? CHILD_AT + i * SZ_1G : 0,
		};
		ASSERT_EQ(0, pthread_create(&racer[i].thread, NULL, race,
					    &racer[i]));
	}
	for (i = 0; i <= RACERS; i++) {
		ASSERT_EQ(0, pthread_join(racer[i].thread, NULL));
		EXPECT_EQ(0, racer[i].rc);
	}
	EXPECT_GE(IDLE, TRIMMED(0));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->root, NULL));
	EXPECT_EQ(0, ia_status("VmPin"));
}

TEST_HARNESS_MAIN
