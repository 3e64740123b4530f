// SPDX-License-Identifier: GPL-2.0-only
/*
 * No section with preemption or interrupts off takes a number of steps that
 * user space can choose: for each kind of object in large numbers, and each
 * command that lists, cuts, frees or walks them, the longest section stays
 * below 200 microseconds of a machine that executes one instruction per
 * nanosecond (scripts/vm --trace --icount).
 *
 * N is 65,536, or what $IOASID_LONGLOCK_N says; a section that takes N steps of
 * ten instructions is then three times as long as it may be.
 *
 * Longer than 900 lines: a test for each list that user space can make long. They
 * need a kernel and a VM that no other program runs in, and run together.
 */
#include <glob.h>

#include "ioasid_test.h"
#include "dirty.h"
#include "family.h"
#include "latency.h"
#include "mediated.h"
#include "mock.h"
#include "nested.h"
#include "pasid.h"

#define LIMIT_US 200
/* Far away from everything else */
#define FAR (SZ_1G << 16)
#define READ_FIXED (IOASID_MAP_READ | IOASID_MAP_FIXED)

/* Shared by all tests. */
struct setting {
	struct latency latency;
	struct model model;
	int fd;
	unsigned long n;
};

/* NULL, or the reason to skip the test. */
static const char *set_up(struct setting *s)
{
	const char *n = getenv("IOASID_LONGLOCK_N");

	*s = (struct setting){
		.latency = { .on = -1, .max = -1 },
		.model = { .ctx = -1, .control = -1 },
	};
	s->n = n ? strtoul(n, NULL, 0) : 65536;
	if (!latency_is_instructions())
		return "time is not instructions here";
	if (model_open(&s->model, MODEL_IOASID))
		return IA_ABSENT;
	s->fd = s->model.ctx;
	if (latency_open(&s->latency))
		return "there is no preemptirqsoff tracer";
	return NULL;
}

static void tear_down(struct setting *s)
{
	model_close(&s->model);
	latency_close(&s->latency);
}

FIXTURE(longlock)
{
	struct setting s;
	char *page;
	struct ioasid_dma_op *ops;
};

FIXTURE_SETUP(longlock)
{
	struct rlimit files = { 1 << 20, 1 << 20 };
	const char *why = set_up(&self->s);

	if (why)
		SKIP(return, "%s", why);
	self->page = family_memory(16);
	ASSERT_NE(NULL, self->page);
	self->ops = calloc(self->s.n, sizeof(*self->ops));
	ASSERT_NE(NULL, self->ops);
	setrlimit(RLIMIT_NOFILE, &files);
}

FIXTURE_TEARDOWN(longlock)
{
	tear_down(&self->s);
	free(self->ops);
}

/* The code between these two is measured. */
#define START() latency_start(&self->s.latency)
#define BOUNDED(what)							\
do {									\
	struct latency *__l = &self->s.latency;				\
	const char *__what = what;					\
									\
	latency_stop(__l, LIMIT_US);					\
	ksft_print_msg("%6llu us  %s\n", __l->us, __what);		\
	if (__l->us > LIMIT_US) {					\
		EXPECT_FALSE(__l->ours)					\
			TH_LOG("%s: %llu us", __what, __l->us);		\
		ksft_print_msg("%s:\n", __l->ours ? "ours" : "not ours"); \
		print_lines(__l->text);					\
	}								\
} while (0)

static void print_lines(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		ksft_print_msg("   %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static int batch(int fd, __u32 id, struct ioasid_dma_op *ops, __u32 nr)
{
	struct ioasid_dma_batch cmd = {
		.argsz = sizeof(cmd),
		.ioasid = id,
		.nr = nr,
		.ops = IA_PTR(ops),
	};
	int rc = ia_cmd(fd, IOASID_DMA_BATCH, &cmd);

	if (rc)
		return rc;
	return cmd.done == nr ? 0 : cmd.error;
}

/*
 * Operations of one type, at equal distances; @stride 0 lets the kernel choose.
 */
static void fill_ops(struct ioasid_dma_op *ops, unsigned long n, __u16 op,
		     __u16 flags, __u64 iova, __u64 stride, __u64 addr,
		     __u64 addr_stride, __u64 length)
{
	unsigned long i;

	for (i = 0; i < n; i++)
		ops[i] = (struct ioasid_dma_op){
			.op = op,
			.flags = flags,
			.iova = iova + i * stride,
			.addr = addr + i * addr_stride,
			.length = length,
		};
}

/* Make many mappings with small cut sizes. */
static int map_many(int fd, __u32 id, __u16 flags, __u64 iova, __u64 stride,
		    __u64 addr, __u64 addr_stride, unsigned long n)
{
	struct ioasid_dma_op ops[256];
	unsigned long i, nr;
	int rc = 0;

	for (i = 0; i < n && !rc; i += nr) {
		nr = n - i < ARRAY_SIZE(ops) ? n - i : ARRAY_SIZE(ops);
		fill_ops(ops, nr, IOASID_DMA_OP_MAP, flags | IOASID_MAP_FIXED,
			 iova + i * stride, stride, addr + i * addr_stride,
			 addr_stride, PG);
		rc = batch(fd, id, ops, nr);
	}
	return rc;
}

static int reserve_many(int fd, __u32 id, __u64 iova, unsigned long n)
{
	return map_many(fd, id, IOASID_MAP_RESERVE, iova, 2 * PG, 0, 0, n);
}

static int change(int fd, __u32 id, __u32 flags, __u64 iova, __u64 addr,
		  __u64 length)
{
	return ia_map_full(fd, id, flags | IOASID_MAP_FIXED, &iova, addr, length,
			   0, 0, 0, NULL);
}

static int cut(int fd, __u32 id, __u32 flags, __u64 iova, __u64 length)
{
	return ia_unmap_full(fd, id, flags | IOASID_UNMAP_SPLIT, iova, length,
			     NULL);
}

/* One batch of N operations, and a check of its result. */
TEST_F_TIMEOUT(longlock, batch_of_ranges, 3600)
{
	__u64 iova;
	__u32 id;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	fill_ops(self->ops, self->s.n, IOASID_DMA_OP_MAP,
		 IOASID_MAP_RESERVE | IOASID_MAP_FIXED, BASE, 2 * PG, 0, 0, PG);
	START();
	ASSERT_EQ(0, batch(self->s.fd, id, self->ops, self->s.n));
	BOUNDED("a batch reserves N ranges");

	START();
	ASSERT_EQ(0, ia_map_any(self->s.fd, id, &iova, self->page, PG));
	BOUNDED("an IOVA is chosen after it");

	fill_ops(self->ops, self->s.n, IOASID_DMA_OP_UNMAP, 0, BASE, 2 * PG, 0, 0,
		 PG);
	START();
	ASSERT_EQ(0, batch(self->s.fd, id, self->ops, self->s.n));
	BOUNDED("a batch unmaps N ranges");

	fill_ops(self->ops, self->s.n, IOASID_DMA_OP_MAP, IOASID_MAP_RESERVE, 0, 0,
		 0, 0, PG);
	START();
	ASSERT_EQ(0, batch(self->s.fd, id, self->ops, self->s.n));
	BOUNDED("a batch reserves N ranges anywhere");
}

TEST_F_TIMEOUT(longlock, batch_by_reference, 3600)
{
	struct model_space space = { .model = &self->s.model, .container = -1 };
	struct model_device dev;
	__u32 root, child;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &root));
	ASSERT_EQ(0, ia_map(self->s.fd, root, 0, self->page, 16 * PG));
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &child));
	ASSERT_EQ(0, model_plug(&self->s.model, &dev, NULL, 0));
	space.id = child;
	ASSERT_EQ(0, model_attach(&dev, &space));

	fill_ops(self->ops, self->s.n, IOASID_DMA_OP_MAP, READ_FIXED, BASE, 2 * PG,
		 0, 0, PG);
	START();
	ASSERT_EQ(0, batch(self->s.fd, child, self->ops, self->s.n));
	BOUNDED("a batch maps N pages by reference");

	fill_ops(self->ops, self->s.n, IOASID_DMA_OP_UNMAP, 0, BASE, 2 * PG, 0, 0,
		 PG);
	START();
	ASSERT_EQ(0, batch(self->s.fd, child, self->ops, self->s.n));
	BOUNDED("a batch unmaps N of a device");

	ASSERT_EQ(0, map_many(self->s.fd, child, IOASID_MAP_READ, BASE, 2 * PG, 0,
			      0, self->s.n));
	fill_ops(self->ops, 1, IOASID_DMA_OP_UNMAP, 0, 0, 0, 0, 0, FAR);
	START();
	ASSERT_EQ(0, batch(self->s.fd, child, self->ops, 1));
	BOUNDED("an operation of a batch unmaps N");
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

/* The search for free IOVAs among N mappings, with and without known gaps. */
TEST_F_TIMEOUT(longlock, choice, 3600)
{
	__u64 iova;
	__u32 id;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	ASSERT_EQ(0, reserve_many(self->s.fd, id, BASE, self->s.n));
	START();
	ASSERT_EQ(0, ia_map_any(self->s.fd, id, &iova, self->page, PG));
	BOUNDED("the first IOVA is chosen");
	START();
	ASSERT_EQ(0, ia_map_any(self->s.fd, id, &iova, self->page, 2 * PG));
	BOUNDED("a larger one than fits between N ranges");
	START();
	ASSERT_EQ(0, ia_map_full(self->s.fd, id, IA_RW, &iova, IA_PTR(self->page),
				 PG, 0, 4 * PG, 0, NULL));
	BOUNDED("one of an alignment that no gap has");
	START();
	ASSERT_EQ(0, ia_unmap_full(self->s.fd, id, 0, BASE, FAR, NULL));
	BOUNDED("all go");
}

/* A mapping of a child over N mappings of its parent. */
TEST_F_TIMEOUT(longlock, chain, 3600)
{
	__u64 length = self->s.n * PG;
	__u32 root, child;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &root));
	ASSERT_EQ(0, map_many(self->s.fd, root, IA_RW, 0, PG, IA_PTR(self->page),
			      0, self->s.n));
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &child));
	START();
	ASSERT_EQ(0, ia_map_ref(self->s.fd, child, 0, 0, length, IA_RW));
	BOUNDED("a child maps N mappings");
	START();
	ASSERT_EQ(0, cut(self->s.fd, child, 0, length - 2 * PG, PG));
	BOUNDED("it is cut near its end");
	START();
	ASSERT_EQ(0, cut(self->s.fd, child, 0, PG, PG));
	BOUNDED("near its beginning");
	START();
	ASSERT_EQ(0, cut(self->s.fd, child, 0, length / 2, PG));
	BOUNDED("in its middle");
	START();
	ASSERT_EQ(0, change(self->s.fd, child,
			    IOASID_MAP_PROTECT | IOASID_MAP_SPLIT |
			    IOASID_MAP_READ, length / 4, 0, length / 8));
	BOUNDED("a part is protected");
	START();
	ASSERT_EQ(0, change(self->s.fd, child,
			    IOASID_MAP_REPLACE | IOASID_MAP_SPLIT |
			    IOASID_MAP_READ, length / 4, 0, length / 8));
	BOUNDED("a part is replaced");
	START();
	ASSERT_EQ(-EBUSY, ia_unmap(self->s.fd, root, 0, length, NULL));
	BOUNDED("the parent asks whether all can be unmapped");
	START();
	ASSERT_EQ(0, cut(self->s.fd, root, IOASID_UNMAP_CASCADE, length * 3 / 4,
			 PG));
	BOUNDED("the parent takes one away");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, child, NULL));
	BOUNDED("the child unmaps all");
	ASSERT_EQ(0, ia_map_ref(self->s.fd, child, 0, 0, length / 2, IA_RW));
	START();
	ASSERT_EQ(0, ia_free(self->s.fd, child));
	BOUNDED("the child is freed");
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &child));
	ASSERT_EQ(0, ia_map_ref(self->s.fd, child, 0, 0, length / 2, IA_RW));
	START();
	ASSERT_EQ(0, ia_free_cascade(self->s.fd, root));
	BOUNDED("the parent is freed");
}

/* N references to one mapping. */
TEST_F_TIMEOUT(longlock, references, 3600)
{
	__u32 root, child;
	int i;

	ASSERT_EQ(0, ia_alloc_full(self->s.fd, &root, 0, PG));
	ASSERT_EQ(0, ia_map(self->s.fd, root, 0, self->page, 16 * PG));
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &child));
	for (i = 0; i < 2; i++) {
		/* To the first page, then to the last one */
		__u64 page = i ? 15 * PG : 0;

		ASSERT_EQ(0, map_many(self->s.fd, child, IA_RW, BASE, PG, page, 0,
				      self->s.n));
		START();
		ASSERT_EQ(0, ia_unmap(self->s.fd, root, (2 + i) * PG, PG, NULL));
		BOUNDED("a page beside it is unmapped");
		START();
		ASSERT_EQ(-EBUSY, ia_unmap(self->s.fd, root, page, PG, NULL));
		BOUNDED("whether it can be unmapped");
		START();
		ASSERT_EQ(-EBUSY, change(self->s.fd, root, IOASID_MAP_PROTECT |
					 IOASID_MAP_READ, page, 0, PG));
		BOUNDED("whether it can be protected");
		START();
		ASSERT_EQ(-EBUSY, change(self->s.fd, root,
					 IOASID_MAP_REPLACE | IA_RW, page,
					 IA_PTR(self->page) + 7 * PG, PG));
		BOUNDED("whether it can be replaced");
		START();
		ASSERT_EQ(0, change(self->s.fd, root,
				    IOASID_MAP_REPLACE | IA_RW, page,
				    IA_PTR(self->page) + page, PG));
		BOUNDED("it is replaced by itself");
		START();
		ASSERT_EQ(0, ia_unmap_cascade(self->s.fd, root, (4 + i) * PG, PG));
		BOUNDED("a page beside it is taken from the children");
		START();
		ASSERT_EQ(0, ia_unmap_cascade(self->s.fd, root, page, PG));
		BOUNDED("it is taken from them");
	}
	ASSERT_EQ(0, map_many(self->s.fd, child, IA_RW, BASE, PG, 8 * PG, 0,
			      self->s.n));
	START();
	ASSERT_EQ(0, ia_free_cascade(self->s.fd, root));
	BOUNDED("the parent is freed");
}

/* The same, four levels deep. */
TEST_F_TIMEOUT(longlock, depth, 3600)
{
	unsigned long n = self->s.n / 4;
	__u32 id[4];
	int i;

	ASSERT_EQ(0, ia_alloc_full(self->s.fd, &id[0], 0, PG));
	ASSERT_EQ(0, ia_map(self->s.fd, id[0], 0, self->page, 16 * PG));
	for (i = 1; i < 4; i++) {
		ASSERT_EQ(0, ia_child(self->s.fd, id[i - 1], 0, &id[i]));
		ASSERT_EQ(0, map_many(self->s.fd, id[i], IA_RW, 0, PG, 0,
				      i == 1 ? 0 : PG, n));
	}
	START();
	ASSERT_EQ(0, ia_unmap_cascade(self->s.fd, id[0], 0, 16 * PG));
	BOUNDED("a page is taken from three levels");
}

/* N IOASIDs, each with one reference. */
TEST_F_TIMEOUT(longlock, children, 3600)
{
	struct ioasid_list_entry entry;
	struct ioasid_info info;
	unsigned long i;
	char path[64];
	__u32 root, child, nr = 1;
	int rc;

	ASSERT_EQ(0, ia_alloc_full(self->s.fd, &root, 0, PG));
	ASSERT_EQ(0, ia_map(self->s.fd, root, 0, self->page, 16 * PG));
	for (i = 0; i < self->s.n; i++) {
		ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &child));
		ASSERT_EQ(0, ia_map_ref(self->s.fd, child, 0, 0, PG, IA_RW));
	}
	START();
	rc = ia_list(self->s.fd, 0, &entry, &nr);
	BOUNDED("N are listed");
	ASSERT_EQ(0, rc);
	START();
	ASSERT_EQ(0, ia_info(self->s.fd, root, &info));
	BOUNDED("their parent is looked at");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->s.fd);
	START();
	ia_proc_field(path, "ioasid-more");
	BOUNDED("fdinfo is read");
	START();
	ASSERT_EQ(0, ia_unmap_cascade(self->s.fd, root, 0, PG));
	BOUNDED("a page is taken from N children");
	START();
	ASSERT_EQ(0, ia_free_cascade(self->s.fd, root));
	BOUNDED("a parent of N is freed");
	START();
	close(self->s.fd);
	BOUNDED("a file of N IOASIDs is closed");
	self->s.model.ctx = -1;
}

static int import_root(int fd, int other, char *page, __u32 *root, __u32 *import)
{
	int rc, file;

	rc = ia_alloc_full(fd, root, 0, PG);
	rc = rc ?: ia_map(fd, *root, 0, page, 16 * PG);
	rc = rc ?: ia_export(fd, *root, EXPORT_RW, 0, 16 * PG, ~0ULL, &file);
	rc = rc ?: ia_import(other, file, 0, import);
	if (!rc)
		close(file);
	return rc;
}

/* The objects of an importer. */
TEST_F_TIMEOUT(longlock, import, 3600)
{
	int other = ia_open();
	__u32 root, import, child;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, import_root(self->s.fd, other, self->page, &root, &import));
	ASSERT_EQ(0, ia_child(other, import, 0, &child));
	ASSERT_EQ(0, reserve_many(other, child, BASE, self->s.n));
	ASSERT_EQ(0, ia_map_ref(other, child, FAR, 0, PG, IA_RW));
	START();
	ASSERT_EQ(0, ia_unmap_cascade(self->s.fd, root, 0, PG));
	BOUNDED("the owner takes a page away behind N reserved ranges");
	ASSERT_EQ(0, ia_map_ref(other, child, FAR, PG, PG, IA_RW));
	START();
	ASSERT_EQ(0, ia_free_cascade(other, import));
	BOUNDED("an import is freed whose child has N reserved ranges");
	START();
	close(other);
	BOUNDED("its file is closed");
}

TEST_F_TIMEOUT(longlock, import_references, 3600)
{
	unsigned long n = self->s.n / 4;
	int other = ia_open();
	__u32 root, import, child, own;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, import_root(self->s.fd, other, self->page, &root, &import));
	ASSERT_EQ(0, ia_child(other, import, 0, &child));
	ASSERT_EQ(0, map_many(other, child, IA_RW, BASE, PG, 0, 0, n));
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &own));
	ASSERT_EQ(0, map_many(self->s.fd, own, IA_RW, BASE, PG, 0, 0, n));
	START();
	ASSERT_EQ(0, ia_free_cascade(other, import));
	BOUNDED("an import with N references is freed");
	ASSERT_EQ(0, ia_free(other, child));
	close(other);

	other = ia_open();
	ASSERT_LE(0, other);
	ASSERT_EQ(0, import_root(self->s.fd, other, self->page, &root, &import));
	ASSERT_EQ(0, ia_child(other, import, 0, &child));
	ASSERT_EQ(0, map_many(other, child, IA_RW, BASE, PG, 0, 0, n));
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &own));
	ASSERT_EQ(0, map_many(self->s.fd, own, IA_RW, BASE, PG, 0, 0, n));
	START();
	close(self->s.fd);
	BOUNDED("the owner of N references of both sides closes its file");
	self->s.model.ctx = -1;
	START();
	close(other);
	BOUNDED("the importer does");
}

TEST_F_TIMEOUT(longlock, exports, 3600)
{
	unsigned long i, n = self->s.n / 4;
	int other = ia_open(), first = -1, file = -1;
	__u32 root, import, child;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, ia_alloc_full(self->s.fd, &root, 0, PG));
	ASSERT_EQ(0, ia_map(self->s.fd, root, 0, self->page, 16 * PG));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, ia_export(self->s.fd, root, EXPORT_RW, 0, 16 * PG,
				       ~0ULL, &file));
		if (!i)
			first = file;
		ASSERT_EQ(0, ia_import(other, i & 1 ? file : first, 0, &import));
		ASSERT_EQ(0, ia_child(other, import, 0, &child));
		ASSERT_EQ(0, ia_map_ref(other, child, 0, 0, PG, IA_RW));
	}
	START();
	ASSERT_EQ(0, ia_unmap(self->s.fd, root, PG, PG, NULL));
	BOUNDED("a page beside what N imports have is unmapped");
	START();
	ASSERT_EQ(0, ia_unmap_cascade(self->s.fd, root, 0, PG));
	BOUNDED("a page is taken from N imports");
	START();
	ASSERT_EQ(0, ia_free_cascade(self->s.fd, root));
	BOUNDED("what was exported N times is freed");
	START();
	close_range(first, file, 0);
	BOUNDED("the exports are closed");
	START();
	close(other);
	BOUNDED("a file of N imports is closed");
}

/* Pages that are charged once, however often they are mapped. */
TEST_F_TIMEOUT(longlock, ledger, 3600)
{
	long long huge = ia_proc_field("/proc/meminfo", "HugePages_Free");
	char *mem = NULL;
	__u32 id;

	ASSERT_EQ(0, ia_set_option(self->s.fd, IOASID_OPTION_CHARGE,
				   IOASID_CHARGE_ONCE, 0));
	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	START();
	ASSERT_EQ(0, map_many(self->s.fd, id, IA_RW, BASE, PG, IA_PTR(self->page),
			      0, self->s.n));
	BOUNDED("a page is mapped N times");
	if (huge > 0)
		mem = mmap(NULL, huge * SZ_2M, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			   MAP_POPULATE, -1, 0);
	if (mem && mem != MAP_FAILED) {
		START();
		ASSERT_EQ(0, ia_map(self->s.fd, id, FAR, mem, huge * SZ_2M));
		BOUNDED("large pages are mapped beside it");
		START();
		ASSERT_EQ(0, cut(self->s.fd, id, 0, FAR + PG, PG));
		BOUNDED("they are cut");
		START();
		ASSERT_EQ(0, ia_unmap(self->s.fd, id, FAR, huge * SZ_2M, NULL));
		BOUNDED("they are unmapped");
	}
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, id, NULL));
	BOUNDED("all is unmapped");
	ASSERT_EQ(0, map_many(self->s.fd, id, IA_RW, BASE, PG, IA_PTR(self->page),
			      0, self->s.n));
	START();
	close(self->s.fd);
	BOUNDED("the file is closed");
	self->s.model.ctx = -1;
}

/* As many windows of one page as there is memory for: a machine has 2 GiB */
#define WINDOWS 65536UL

/* Memory that is pinned when children refer to it, in windows, and goes when idle. */
TEST_F_TIMEOUT(longlock, demand, 3600)
{
	unsigned long nr = self->s.n < WINDOWS ? self->s.n : WINDOWS;
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
		.cut_size = PG,
	};
	int fd = self->s.fd;
	__u32 child;
	char *mem;

	mem = family_memory(nr);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ia_cmd(fd, IOASID_ALLOC, &cmd));
	ASSERT_EQ(0, ia_map(fd, cmd.ioasid, 0, mem, nr * PG));
	ASSERT_EQ(0, ia_child(fd, cmd.ioasid, 0, &child));

	fill_ops(self->ops, 1, IOASID_DMA_OP_MAP, READ_FIXED, FAR, 0, 0, 0, nr * PG);
	START();
	ASSERT_EQ(0, batch(fd, child, self->ops, 1));
	BOUNDED("one reference pins N windows");
	START();
	ASSERT_EQ(0, ia_unmap(fd, child, FAR, nr * PG, NULL));
	BOUNDED("its unmap leaves N windows");
	START();
	sleep(1);
	BOUNDED("a worker unpins N windows");
	START();
	ASSERT_EQ(0, map_many(fd, child, READ_FIXED, FAR, PG, 0, PG, nr));
	BOUNDED("N references pin a window each");
	START();
	ASSERT_EQ(0, ia_unmap(fd, child, FAR, nr * PG, NULL));
	BOUNDED("one unmap leaves the windows of N");
	START();
	ASSERT_EQ(0, ia_free(fd, child));
	ASSERT_EQ(0, ia_free(fd, cmd.ioasid));
	BOUNDED("a root with N windows is freed");
}

/* A process maps N pages, and ends. */
FIXTURE(longlock_exit)
{
	struct setting s;
	char *page;
};

FIXTURE_VARIANT(longlock_exit)
{
	__u64 charge;
};

FIXTURE_VARIANT_ADD(longlock_exit, user) { .charge = IOASID_CHARGE_USER };
FIXTURE_VARIANT_ADD(longlock_exit, mm) { .charge = IOASID_CHARGE_MM };
FIXTURE_VARIANT_ADD(longlock_exit, once) { .charge = IOASID_CHARGE_ONCE };

FIXTURE_SETUP(longlock_exit)
{
	const char *why = set_up(&self->s);

	if (why)
		SKIP(return, "%s", why);
	self->page = family_memory(16);
	ASSERT_NE(NULL, self->page);
}

FIXTURE_TEARDOWN(longlock_exit)
{
	tear_down(&self->s);
}

TEST_F_TIMEOUT(longlock_exit, of_many, 3600)
{
	int ready[2], go[2], status;
	char byte = 0;
	pid_t pid;
	__u32 id;

	ASSERT_EQ(0, ia_set_option(self->s.fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	pid = ia_fork();
	if (!pid) {
		*self->page = 1;
		byte = map_many(self->s.fd, id, IA_RW, BASE, PG,
				IA_PTR(self->page), 0, self->s.n) != 0;
		if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(0, byte);
	START();
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	BOUNDED("a process ends that mapped N");
	EXPECT_EQ(0, status);
	START();
	ASSERT_EQ(0, ia_map(self->s.fd, id, FAR, self->page, PG));
	BOUNDED("another one maps a page");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, id, NULL));
	BOUNDED("another one unmaps all");
}

TEST_F_TIMEOUT(longlock_exit, of_one_after_the_other, 3600)
{
	unsigned long i, n = self->s.n / 128;
	int status;
	pid_t pid;
	__u32 id;

	ASSERT_EQ(0, ia_set_option(self->s.fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	for (i = 0; i < n; i++) {
		pid = ia_fork();
		if (!pid) {
			*self->page = 1;
			_exit(ia_map(self->s.fd, id, BASE + i * PG, self->page,
				     PG) != 0);
		}
		ASSERT_LT(0, pid);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
	}
	START();
	ASSERT_EQ(0, ia_map(self->s.fd, id, FAR, self->page, PG));
	BOUNDED("a page is mapped after many processes ended");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, id, NULL));
	BOUNDED("what they mapped is unmapped");
}

/* Commands that only read. */
TEST_F_TIMEOUT(longlock, look, 3600)
{
	struct ioasid_query_entry *entries;
	struct ioasid_query_map query = { .argsz = sizeof(query) };
	struct ioasid_info info;
	char path[64];
	__u32 id;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	ASSERT_EQ(0, reserve_many(self->s.fd, id, BASE, self->s.n));
	entries = calloc(self->s.n, sizeof(*entries));
	ASSERT_NE(NULL, entries);
	query.ioasid = id;
	query.nr = self->s.n;
	query.entries = IA_PTR(entries);
	START();
	ASSERT_EQ(0, ia_cmd(self->s.fd, IOASID_QUERY_MAP, &query));
	BOUNDED("N mappings are read back");
	ASSERT_EQ(self->s.n, query.nr);
	query = (struct ioasid_query_map){
		.argsz = sizeof(query),
		.ioasid = id,
	};
	START();
	ASSERT_EQ(0, ia_cmd(self->s.fd, IOASID_QUERY_MAP, &query));
	BOUNDED("none of N is");
	START();
	ASSERT_EQ(0, ia_info(self->s.fd, id, &info));
	BOUNDED("the IOASID is looked at");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->s.fd);
	START();
	ia_proc_field(path, "ioasid-more");
	BOUNDED("fdinfo is read");
	free(entries);
	START();
	ASSERT_EQ(0, ia_free(self->s.fd, id));
	BOUNDED("an IOASID of N ranges is freed");
}

/* A device that reaches N mappings. */
TEST_F_TIMEOUT(longlock, attached, 3600)
{
	struct model_space space = { .model = &self->s.model, .container = -1 };
	struct model_space second = space;
	struct model_device dev;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &space.id));
	ASSERT_EQ(0, ia_alloc(self->s.fd, &second.id));
	ASSERT_EQ(0, model_plug(&self->s.model, &dev, NULL, 0));
	ASSERT_EQ(0, map_many(self->s.fd, space.id, IA_RW, BASE, PG,
			      IA_PTR(self->page), 0, self->s.n));
	/*
	 * Another page, because a page can be pinned a limited number of times
	 */
	ASSERT_EQ(0, map_many(self->s.fd, second.id, IA_RW, BASE, 2 * PG,
			      IA_PTR(self->page + PG), 0, self->s.n));
	START();
	ASSERT_EQ(0, model_attach(&dev, &space));
	BOUNDED("a device attaches to N mappings");
	START();
	ASSERT_EQ(0, model_attach(&dev, &second));
	BOUNDED("it moves to N others");
	START();
	ASSERT_EQ(0, model_detach(&dev));
	BOUNDED("it detaches");
	ASSERT_EQ(0, model_attach(&dev, &space));
	START();
	ASSERT_EQ(0, change(self->s.fd, space.id, IOASID_MAP_PROTECT |
			    IOASID_MAP_READ, BASE, 0, self->s.n * PG));
	BOUNDED("N mappings are protected");
	START();
	ASSERT_EQ(0, change(self->s.fd, space.id,
			    IOASID_MAP_REPLACE | IOASID_MAP_READ, BASE,
			    IA_PTR(self->page), 16 * PG));
	BOUNDED("some of them are replaced");
	START();
	ASSERT_EQ(0, ia_unmap(self->s.fd, space.id, BASE, self->s.n / 2 * PG,
			      NULL));
	BOUNDED("half of them are unmapped");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, space.id, NULL));
	BOUNDED("all of them are");
	ASSERT_EQ(0, model_attach(&dev, &second));
	START();
	model_release(&dev);
	BOUNDED("the device is closed");
	START();
	ASSERT_EQ(0, ia_free(self->s.fd, second.id));
	BOUNDED("an IOASID of N mappings is freed");
	EXPECT_EQ(0, model_unplug(&dev, 0));
	ASSERT_EQ(0, map_many(self->s.fd, space.id, IA_RW, BASE, PG,
			      IA_PTR(self->page), 0, self->s.n));
	START();
	close(self->s.fd);
	BOUNDED("a file of N mappings is closed");
	self->s.model.ctx = -1;
}

/* A log of what a device writes by N mappings, and by N of a child. */
TEST_F_TIMEOUT(longlock, dirty, 3600)
{
	struct model_params params = { .flags = MODEL_DIRTY | MODEL_PROTECT };
	__u64 pages = 2 * self->s.n, *bits = ia_mem(pages / 8 + PG);
	struct model_space root, child;
	struct ioasid_unmap_dma unmap;
	struct ioasid_get_dirty get;
	struct model_device dev[2];

	ASSERT_NE(NULL, bits);
	if (ia_check(self->s.fd, IOASID_EXT_DIRTY) <= 0)
		SKIP(return, "no dirty tracking");
	ASSERT_EQ(0, ia_alloc_dirty(&self->s.model, &root, 0, 0));
	ASSERT_EQ(0, ia_alloc_dirty(&self->s.model, &child, root.id, 0));
	ASSERT_EQ(0, model_plug(&self->s.model, &dev[0], &params, 0));
	ASSERT_EQ(0, model_plug(&self->s.model, &dev[1], &params, 0));
	ASSERT_EQ(0, model_attach(&dev[0], &root));
	ASSERT_EQ(0, model_attach(&dev[1], &child));
	ASSERT_EQ(0, map_many(self->s.fd, root.id, IA_RW, BASE, 2 * PG,
			      IA_PTR(self->page), 0, self->s.n));
	ASSERT_EQ(0, map_many(self->s.fd, child.id, IA_RW, BASE, PG, BASE,
			      2 * PG, self->s.n));
	/* One page that has N references */
	ASSERT_EQ(0, map_many(self->s.fd, child.id, IA_RW, FAR, PG, BASE, 0,
			      self->s.n));
	START();
	ASSERT_EQ(0, ia_set_dirty(self->s.fd, root.id, IOASID_SET_DIRTY_ON));
	BOUNDED("writes are logged from now on");
	START();
	ASSERT_EQ(0, ia_get_dirty(self->s.fd, root.id, 0, BASE, pages, bits,
				  &get));
	BOUNDED("what was written is told");
	START();
	ASSERT_EQ(0, ia_unmap(self->s.fd, child.id, FAR, self->s.n * PG,
			      NULL));
	BOUNDED("N references are removed");
	START();
	ASSERT_EQ(0, model_detach(&dev[1]));
	BOUNDED("the child's device is detached");
	START();
	ASSERT_EQ(0, ia_unmap_dirty(self->s.fd, root.id, IOASID_UNMAP_CASCADE,
				    BASE, pages, bits, &unmap));
	BOUNDED("all is unmapped, and told");
	/* A log that is as large as can be */
	ASSERT_EQ(0, map_many(self->s.fd, root.id, IA_RW, BASE, 1ULL << 27,
			      IA_PTR(self->page), 0, self->s.n / 16));
	START();
	ASSERT_EQ(0, ia_unmap(self->s.fd, root.id, BASE,
			      self->s.n / 16 << 27, NULL));
	BOUNDED("blocks of the log are not needed any more");
	START();
	ASSERT_EQ(0, ia_map(self->s.fd, root.id, FAR, self->page, PG));
	BOUNDED("they are freed");
	START();
	ASSERT_EQ(0, ia_set_dirty(self->s.fd, root.id, IOASID_SET_DIRTY_OFF));
	BOUNDED("the log is freed");
	model_release(&dev[0]);
	model_release(&dev[1]);
	EXPECT_EQ(0, model_unplug(&dev[0], 0));
	EXPECT_EQ(0, model_unplug(&dev[1], 0));
}

/* One mapping replaces N mappings. */
TEST_F_TIMEOUT(longlock, replaced, 3600)
{
	struct model_space space = { .model = &self->s.model, .container = -1 };
	struct model_device dev;
	__u32 root, child;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &root));
	ASSERT_EQ(0, map_many(self->s.fd, root, IA_RW, 0, PG, IA_PTR(self->page),
			      0, self->s.n));
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &child));
	ASSERT_EQ(0, map_many(self->s.fd, child, IA_RW, 0, PG, 0, 0, self->s.n));
	space.id = child;
	ASSERT_EQ(0, model_plug(&self->s.model, &dev, NULL, 0));
	ASSERT_EQ(0, model_attach(&dev, &space));
	START();
	ASSERT_EQ(0, change(self->s.fd, child, IOASID_MAP_REPLACE | IA_RW, 0, 0,
			    self->s.n * PG));
	BOUNDED("N mappings become one");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, child, NULL));
	BOUNDED("it is unmapped");
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

/* A failure of the IOMMU puts N mappings into quarantine. */
TEST_F_TIMEOUT(longlock, poisoned, 3600)
{
	struct model_space space = { .model = &self->s.model, .container = -1 };
	struct model_device dev;
	struct ioasid_info info;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &space.id));
	ASSERT_EQ(0, map_many(self->s.fd, space.id, IA_RW, BASE, PG,
			      IA_PTR(self->page), 0, self->s.n));
	ASSERT_EQ(0, model_plug(&self->s.model, &dev, NULL, 0));
	ASSERT_EQ(0, model_attach(&dev, &space));
	ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_UNMAP, 1, 0));
	START();
	ASSERT_EQ(-EIO, ia_unmap_all(self->s.fd, space.id, NULL));
	BOUNDED("N mappings are unmapped where an IOMMU fails");
	ia_unmap_all(self->s.fd, space.id, NULL);
	START();
	ASSERT_EQ(0, ia_info(self->s.fd, space.id, &info));
	BOUNDED("the IOASID is looked at");
	START();
	model_detach(&dev);
	BOUNDED("the device is detached");
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	START();
	ASSERT_EQ(0, ia_free(self->s.fd, space.id));
	BOUNDED("the IOASID is freed");
}

/* ---- N PASIDs of a device ---- */

/* Returns 0 if all were carried out */
static int invalidate(int fd, __u32 id, __u32 devid,
		      const struct ioasid_invalidate *entries, __u32 nr)
{
	struct ioasid_invalidate_cache cmd = nested_invalidation(id, entries, nr);
	int rc;

	cmd.devid = devid;
	rc = ia_cmd(fd, IOASID_INVALIDATE_CACHE, &cmd);
	return rc ?: cmd.done == nr ? 0 : cmd.error;
}

static struct ioasid_device_info describe(int fd, struct model_device *dev)
{
	struct ioasid_device_info info = { .argsz = sizeof(info) };

	if (ia_device_info(fd, dev->devid, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

/* Attach PASIDs from 1 on; returns how many */
static unsigned long attach_pasids(struct model_device *dev, __u32 id,
				   unsigned long nr)
{
	unsigned long i;

	for (i = 1; i <= nr; i++)
		if (pasid_attach(dev, id, i))
			break;
	return i - 1;
}

TEST_F_TIMEOUT(longlock, pasids, 3600)
{
	struct model_space space = { .model = &self->s.model, .container = -1 };
	const struct model_params params = { .pasid_bits = 20 };
	/* All that a device can have, or N */
	unsigned long n = self->s.n < (1 << 20) ? self->s.n : (1 << 20) - 1;
	struct ioasid_list_entry *entries;
	struct model_device dev;
	__u32 other, pasid;
	__u32 nr = n + 16;

	entries = calloc(nr, sizeof(*entries));
	ASSERT_NE(NULL, entries);
	ASSERT_EQ(0, ia_alloc(self->s.fd, &space.id));
	ASSERT_EQ(0, ia_alloc(self->s.fd, &other));
	ASSERT_EQ(0, ia_map(self->s.fd, space.id, BASE, self->page, PG));
	ASSERT_EQ(0, model_plug(&self->s.model, &dev, &params, 0));
	ASSERT_EQ(0, model_bind(&dev));
	START();
	ASSERT_EQ(n, attach_pasids(&dev, space.id, n));
	BOUNDED("N PASIDs attach");
	EXPECT_EQ(n, describe(self->s.fd, &dev).nr_pasids);
	if (n == (1 << 20) - 1) {
		EXPECT_EQ(-ENOSPC, pasid_attach_any(&dev, space.id, &pasid));
		EXPECT_EQ(-EINVAL, pasid_attach(&dev, space.id, n + 1));
	}
	START();
	ASSERT_EQ(0, model_attach(&dev, &space));
	BOUNDED("the device attaches, too");
	START();
	ASSERT_EQ(0, ia_list(self->s.fd, 0, entries, &nr));
	BOUNDED("all are listed");
	EXPECT_LE(n, nr);
	free(entries);
	START();
	ASSERT_EQ(0, ia_map(self->s.fd, space.id, BASE + PG, self->page, PG));
	ASSERT_EQ(0, ia_unmap(self->s.fd, space.id, BASE + PG, PG, NULL));
	BOUNDED("a page is mapped and unmapped");
	START();
	ASSERT_EQ(0, pasid_attach(&dev, other, n / 2));
	ASSERT_EQ(0, pasid_detach(&dev, n / 2));
	BOUNDED("one moves, and detaches");
	ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_UNMAP, 1, 0));
	START();
	ASSERT_EQ(-EIO, ia_unmap_all(self->s.fd, space.id, NULL));
	BOUNDED("their IOASID is poisoned");
	START();
	EXPECT_EQ(space.id, describe(self->s.fd, &dev).ioasid);
	BOUNDED("the device is looked at");
	START();
	ASSERT_EQ(0, model_detach(&dev));
	BOUNDED("the device is detached");
	START();
	model_release(&dev);
	BOUNDED("the device is closed");
	EXPECT_EQ(0, model_counters(&dev).attached);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

/* Detaches would take N squared steps if each looked at all that stay. */
TEST_F_TIMEOUT(longlock, pasids_by_turns, 3600)
{
	const struct model_params params[] = {
		{ .pasid_bits = 20 },
		{ .pasid_bits = 20, .nr_resv = 1,
		  .resv = { { .start = FAR, .length = SZ_1M,
			      .type = MODEL_RESV_RESERVED } } },
	};
	struct ioasid_info info;
	struct model_device dev[2];
	unsigned long i;
	__u32 id;
	int d;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	ASSERT_EQ(0, ia_map(self->s.fd, id, BASE, self->page, PG));
	for (d = 0; d < 2; d++) {
		ASSERT_EQ(0, model_plug(&self->s.model, &dev[d], &params[d], 0));
		ASSERT_EQ(0, model_bind(&dev[d]));
	}
	for (i = 1; i <= self->s.n / 4; i++)
		for (d = 0; d < 2; d++)
			ASSERT_EQ(0, pasid_attach(&dev[d], id, i));
	ASSERT_EQ(0, ia_info(self->s.fd, id, &info));
	EXPECT_EQ(2, info.nr_ranges);
	START();
	model_release(&dev[1]);
	BOUNDED("a device with half of the PASIDs is closed");
	ASSERT_EQ(0, ia_info(self->s.fd, id, &info));
	EXPECT_EQ(1, info.nr_ranges);
	START();
	model_release(&dev[0]);
	BOUNDED("the one with the others is");
	for (d = 0; d < 2; d++)
		EXPECT_EQ(0, model_unplug(&dev[d], 0));
}

TEST_F_TIMEOUT(longlock, pasids_of_tables, 3600)
{
	const struct model_params params = {
		.flags = MODEL_NESTING, .pasid_bits = 20,
	};
	unsigned long n = self->s.n < (1 << 20) ? self->s.n : (1 << 20) - 1;
	struct ioasid_invalidate *entries;
	struct model_device dev;
	__u32 root, child;
	unsigned long i;

	if (!ia_check(self->s.fd, IOASID_EXT_PGTABLE))
		SKIP(return, "the kernel lacks a patch to the IOMMU core");
	entries = calloc(n, sizeof(*entries));
	ASSERT_NE(NULL, entries);
	for (i = 0; i < n; i++)
		entries[i] = (struct ioasid_invalidate){
			.flags = IOASID_INVALIDATE_IOTLB |
				 IOASID_INVALIDATE_RANGE,
			.start = i * PG, .last = i * PG + PG - 1,
		};
	ASSERT_EQ(0, nested_parent(self->s.fd, &root));
	ASSERT_EQ(0, ia_map(self->s.fd, root, GPA(0), self->page, 16 * PG));
	ASSERT_EQ(0, nested_child(self->s.fd, root, MODEL_HWPT_DATA_S1, &child));
	s1_init(self->page, TABLE_A);
	ASSERT_EQ(0, model_plug(&self->s.model, &dev, &params, 0));
	ASSERT_EQ(0, model_bind(&dev));
	ASSERT_EQ(n, attach_pasids(&dev, child, n));
	START();
	ASSERT_EQ(0, bind_table(self->s.fd, child, 0, TABLE_A));
	BOUNDED("a table is bound for N PASIDs");
	START();
	ASSERT_EQ(0, invalidate(self->s.fd, child, 0, entries, n));
	BOUNDED("N ranges are invalidated");
	START();
	ASSERT_EQ(0, invalidate(self->s.fd, child, dev.devid, entries, 1));
	BOUNDED("one is, of a device");
	START();
	ASSERT_EQ(0, unbind_table(self->s.fd, child));
	BOUNDED("the table is unbound");
	ASSERT_EQ(0, bind_table(self->s.fd, child, 0, TABLE_A));
	START();
	ASSERT_EQ(0, ia_unmap_cascade(self->s.fd, root, GPA(0), 16 * PG));
	BOUNDED("the table is taken away");
	START();
	model_release(&dev);
	BOUNDED("the device is closed");
	EXPECT_EQ(0, model_unplug(&dev, 0));
	free(entries);
}

/* A page of a device that is bound to no context, or NULL */
static char *foreign_memory(void)
{
	char *p = NULL;
	glob_t found;
	size_t i;
	int fd;

	if (glob("/sys/bus/pci/devices/*/resource0", 0, NULL, &found))
		return NULL;
	for (i = 0; !p && i < found.gl_pathc; i++) {
		fd = open(found.gl_pathv[i], O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		p = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			p = NULL;
		close(fd);
	}
	globfree(&found);
	return p;
}

/* A kernel driver's device is bound for N users. */
TEST_F_TIMEOUT(longlock, shared, 3600)
{
	const struct model_params params = { .pasid_bits = 20 };
	/* As many files as a process can have, less those that it has */
	unsigned long n = self->s.n < 1000000 ? self->s.n : 1000000, i;
	struct model_device parent, other;
	struct mediated *med;
	__u32 id;
	char *p;

	med = calloc(n, sizeof(*med));
	ASSERT_NE(NULL, med);
	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	ASSERT_EQ(0, ia_map(self->s.fd, id, BASE, self->page, PG));
	ASSERT_EQ(0, mediated_plug(&self->s.model, &parent, &params));
	ASSERT_EQ(0, model_plug(&self->s.model, &other, NULL, 0));
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, mediate(&self->s.model, parent.id, 0, &med[i]));
	START();
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, med_bind(&med[i], self->s.fd, i));
	BOUNDED("N users bind");
	START();
	ASSERT_EQ(0, model_bind(&other));
	BOUNDED("a device of its own is bound");
	p = foreign_memory();
	ASSERT_NE(NULL, p);
	START();
	EXPECT_EQ(-EFAULT, ia_map(self->s.fd, id, BASE + PG, p, PG));
	BOUNDED("the owner of a file is looked for");
	munmap(p, PG);
	for (i = 0; i < n; i += 16)
		ASSERT_EQ(0, med_attach(&med[i], id, 1));
	ASSERT_EQ(0, model_inject(&parent, MODEL_INJECT_UNMAP, 1, 0));
	START();
	ASSERT_EQ(-EIO, ia_unmap_all(self->s.fd, id, NULL));
	BOUNDED("the IOASID of many is poisoned");
	EXPECT_EQ(-MODEL_FAULT_PASID, med_read(&med[0], 1, BASE, NULL));
	START();
	for (i = 0; i < n; i++)
		close(med[i].fd);
	BOUNDED("N users leave");
	model_release(&other);
	EXPECT_EQ(0, model_unplug(&other, 0));
	EXPECT_EQ(0, model_counters(&parent).attached);
	EXPECT_EQ(0, model_unplug(&parent, 0));
	free(med);
}

/* A software device pins N pages. */
TEST_F_TIMEOUT(longlock, emulated, 3600)
{
	/* The driver searches all its pins at each unmap */
	unsigned long n = self->s.n < 65536 ? self->s.n : 65536, i;
	__u32 id, devid;
	int dev, rc;

	rc = mock_load();
	if (rc == -ENOENT)
		SKIP(return, "there is no emulated device");
	dev = mock_open(0);
	ASSERT_LE(0, dev);
	ASSERT_EQ(0, hw_bind(dev, self->s.fd, 0, &devid));
	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	ASSERT_EQ(0, map_many(self->s.fd, id, IA_RW, BASE, PG,
			      IA_PTR(self->page), 0, n));
	START();
	ASSERT_EQ(0, hw_attach(dev, id));
	BOUNDED("a software device attaches");
	for (i = 0; i < n; i += 256)
		ASSERT_EQ(0, mock_pin(dev, BASE + i * PG, 256 * PG));
	START();
	ASSERT_EQ(0, mock_pin(dev, BASE, 256 * PG));
	BOUNDED("it pins more");
	START();
	ASSERT_EQ(0, ia_unmap(self->s.fd, id, BASE + PG, PG, NULL));
	BOUNDED("a page is unmapped");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, id, NULL));
	BOUNDED("all is unmapped");
	close(dev);
}

/* --- memory of which no two pages are adjacent --- */

FIXTURE(longlock_extents)
{
	struct setting s;
	int file;
	int other;
};

FIXTURE_VARIANT(longlock_extents)
{
	__u64 charge;
};

FIXTURE_VARIANT_ADD(longlock_extents, user) { .charge = IOASID_CHARGE_USER };
FIXTURE_VARIANT_ADD(longlock_extents, once) { .charge = IOASID_CHARGE_ONCE };

/* Pages of two files, allocated in turns. */
static int scattered(unsigned long n, int *file, int *other)
{
	char page[64] = {};
	unsigned long i;

	*file = syscall(SYS_memfd_create, "scattered", 0);
	*other = syscall(SYS_memfd_create, "between", 0);
	if (*file < 0 || *other < 0 || ftruncate(*file, n * PG) ||
	    ftruncate(*other, n * PG))
		return -errno;
	for (i = 0; i < n; i++)
		if (pwrite(*file, page, 1, i * PG) != 1 ||
		    pwrite(*other, page, 1, i * PG) != 1)
			return -errno;
	return 0;
}

FIXTURE_SETUP(longlock_extents)
{
	const char *why = set_up(&self->s);
	unsigned long most;

	if (why)
		SKIP(return, "%s", why);
	most = ia_proc_field("/proc/meminfo", "MemAvailable") * 1024 / PG / 3;
	if (self->s.n > most)
		self->s.n = most & ~7UL;
	ASSERT_EQ(0, scattered(self->s.n, &self->file, &self->other));
	ASSERT_EQ(0, ia_set_option(self->s.fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
}

FIXTURE_TEARDOWN(longlock_extents)
{
	tear_down(&self->s);
}

TEST_F_TIMEOUT(longlock_extents, cut, 3600)
{
	struct model_space space = { .model = &self->s.model, .container = -1 };
	__u64 length = self->s.n * PG, iova = BASE;
	struct model_device dev;
	__u32 root, child;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &root));
	START();
	ASSERT_EQ(0, ia_map_file(self->s.fd, root, IA_RW_FIXED, &iova, self->file,
				 0, length));
	BOUNDED("N pages that are not adjacent are mapped");
	ASSERT_EQ(0, ia_child(self->s.fd, root, 0, &child));
	START();
	ASSERT_EQ(0, ia_map_ref(self->s.fd, child, 0, BASE, length, IA_RW));
	BOUNDED("a child maps them all");
	ASSERT_EQ(0, model_plug(&self->s.model, &dev, NULL, 0));
	space.id = child;
	START();
	ASSERT_EQ(0, model_attach(&dev, &space));
	BOUNDED("a device attaches to the child");
	START();
	ASSERT_EQ(0, cut(self->s.fd, child, 0, length / 2, PG));
	BOUNDED("the child is cut in its middle");
	START();
	ASSERT_EQ(0, cut(self->s.fd, root, IOASID_UNMAP_CASCADE,
			 BASE + length / 4, PG));
	BOUNDED("the parent is, with its child");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, child, NULL));
	BOUNDED("the child unmaps all");
	space.id = root;
	START();
	ASSERT_EQ(0, model_attach(&dev, &space));
	BOUNDED("the device moves to the parent");
	START();
	ASSERT_EQ(0, change(self->s.fd, root, IOASID_MAP_PROTECT |
			    IOASID_MAP_SPLIT | IOASID_MAP_READ,
			    BASE + length / 2 + PG, 0, length / 4));
	BOUNDED("a part is protected");
	START();
	ASSERT_EQ(0, cut(self->s.fd, root, 0, BASE + length / 2, length / 8));
	BOUNDED("a part is unmapped");
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, root, NULL));
	BOUNDED("all is");
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	ASSERT_EQ(0, ia_map_file(self->s.fd, root, IA_RW_FIXED, &iova, self->file,
				 0, length));
	START();
	close(self->s.fd);
	BOUNDED("the file of /dev/ioasid is closed");
	self->s.model.ctx = -1;
}

/* By address, then the process ends. */
TEST_F_TIMEOUT(longlock_extents, exit, 3600)
{
	int ready[2], go[2], status;
	char byte = 0, *mem;
	pid_t pid;
	__u32 id;

	ASSERT_EQ(0, ia_alloc(self->s.fd, &id));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	pid = ia_fork();
	if (!pid) {
		mem = mmap(NULL, self->s.n * PG, PROT_READ | PROT_WRITE,
			   MAP_SHARED, self->file, 0);
		byte = mem == MAP_FAILED ||
		       ia_map(self->s.fd, id, BASE, mem, self->s.n * PG);
		if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(0, byte);
	START();
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	BOUNDED("a process ends that mapped N pages");
	EXPECT_EQ(0, status);
	START();
	ASSERT_EQ(0, ia_unmap_all(self->s.fd, id, NULL));
	BOUNDED("they are unmapped");
}

TEST_HARNESS_MAIN
