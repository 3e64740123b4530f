// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are mapped: a device reads the exact bytes of the file at the
 * mapped offset, and the file has the bytes that the device wrote; for each way
 * to create a mapping, and after changes to the rest of it.
 *
 * Page n of a file holds words made of n and of their offset in the page.
 */
#include <sys/mount.h>

#include "ioasid_test.h"
#include "family.h"
#include "mock.h"
#include "state.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define PAGES 1024	/* two large pages */
#define FILE_SIZE (PAGES * PG)

FIXTURE(content)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	struct model_device small;	/* whose IOMMU has no large pages */
	int software;			/* an emulated device, or -1 */
	int file;
	char dir[32];
	__u64 *buf;
};

FIXTURE_VARIANT(content)
{
	bool huge;		/* hugetlbfs */
	bool tmpfs;		/* with large folios */
};

FIXTURE_VARIANT_ADD(content, memfd) {};
FIXTURE_VARIANT_ADD(content, hugetlbfs) { .huge = true };
FIXTURE_VARIANT_ADD(content, tmpfs) { .tmpfs = true };

static __u64 word_of(__u64 page, __u64 offset)
{
	return 0xf11e000000000000ULL | page << 16 | offset;
}

static void fill_page(__u64 *buf, __u64 page)
{
	__u64 i;

	for (i = 0; i < PG / 8; i++)
		buf[i] = word_of(page, i * 8);
}

static bool is_page(const __u64 *buf, __u64 page)
{
	__u64 i;

	for (i = 0; i < PG / 8; i++)
		if (buf[i] != word_of(page, i * 8))
			return false;
	return true;
}

FIXTURE_SETUP(content)
{
	int rc = model_open(&self->model, MODEL_IOASID);
	char path[64];
	__u32 devid;
	__u64 i;

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	self->software = -1;
	self->file = -1;
	if (variant->tmpfs) {
		snprintf(self->dir, sizeof(self->dir), "/tmp/ioasid.XXXXXX");
		ASSERT_NE(NULL, mkdtemp(self->dir));
		if (mount("none", self->dir, "tmpfs", 0, "huge=always,size=64m"))
			SKIP(return, "no huge pages in tmpfs");
		snprintf(path, sizeof(path), "%s/file", self->dir);
		self->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	} else {
		self->file = memfd_create("content", MFD_CLOEXEC |
					  (variant->huge ? MFD_HUGETLB : 0));
		if (self->file < 0 && variant->huge)
			SKIP(return, "no hugetlbfs");
	}
	ASSERT_LE(0, self->file);
	if (variant->huge &&
	    ia_proc_field("/proc/meminfo", "HugePages_Free") -
	    ia_proc_field("/proc/meminfo", "HugePages_Rsvd") <
	    (long long)(FILE_SIZE / SZ_2M))
		SKIP(return, "too few huge pages");
	ASSERT_EQ(0, ftruncate(self->file, FILE_SIZE));
	self->buf = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->file, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
	/* from the end, so that frames of small pages do not ascend */
	for (i = PAGES; i--;)
		fill_page(self->buf + i * PG / 8, i);
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	ASSERT_EQ(0, model_plug(&self->model, &self->small,
				&(struct model_params) {
					.page_sizes = 1ULL << 12, .unit = 1,
				}, 0));
	if (!mock_load()) {
		self->software = mock_open(0);
		ASSERT_LE(0, self->software);
		ASSERT_EQ(0, hw_bind(self->software, self->model.ctx, 1,
				     &devid));
		ASSERT_EQ(0, hw_attach(self->software, self->space.id));
	}
}

FIXTURE_TEARDOWN(content)
{
	char path[64];

	if (self->model.ctx <= 0)
		return;
	EXPECT_NO_HARM(&self->dev);
	model_release(&self->dev);
	model_release(&self->small);
	model_unplug(&self->dev, 0);
	model_unplug(&self->small, 0);
	if (self->software >= 0)
		close(self->software);
	model_close(&self->model);
	if (self->buf && self->buf != MAP_FAILED)
		munmap(self->buf, FILE_SIZE);
	if (self->file >= 0)
		close(self->file);
	if (variant->tmpfs) {
		snprintf(path, sizeof(path), "%s/file", self->dir);
		unlink(path);
		umount(self->dir);
		rmdir(self->dir);
	}
}

/* Whether the device reads all of this page of the file there. */
static bool reads_page(struct model_device *dev, __u64 iova, __u64 page)
{
	__u64 buf[PG / 8];

	return !model_get(dev, iova, buf, PG) && is_page(buf, page);
}

/*
 * The first page of a mapping that a device sees differently, or -1. Of a large
 * mapping, one page in 13 and the last one are checked.
 */
static long first_wrong(struct _test_data_content *self, __u64 iova, __u64 page,
			__u64 pages)
{
	__u64 buf[PG / 8], i, at, step = pages > 64 ? 13 : 1;

	for (i = 0; i < pages; i++) {
		if (i % step && i != pages - 1)
			continue;
		at = iova + i * PG;

		if (self->dev.space && !reads_page(&self->dev, at, page + i))
			return i;
		if (self->small.space &&
		    !reads_page(&self->small, at, page + i))
			return i;
		if (self->software >= 0 &&
		    (mock_get(self->software, IOASID_MOCK_READ, 0, at, buf,
			      PG) ||
		     !is_page(buf, page + i)))
			return i;
	}
	return -1;
}

static int map_file(struct _test_data_content *self, __u32 flags, __u64 iova,
		    __u64 page, __u64 pages)
{
	return ia_map_file(self->model.ctx, self->space.id,
			   flags | IOASID_MAP_FIXED, &iova, self->file,
			   page * PG, pages * PG);
}

#define RIGHT(iova, page, pages) \
	EXPECT_EQ(-1, first_wrong(self, iova, page, pages))

#define ATTACH() ASSERT_EQ(0, model_attach(&self->dev, &self->space))

/*
 * Parts of a file: from its beginning, its middle, to its end; small and large.
 */
TEST_F(content, offsets)
{
	static const struct {
		__u64 page, pages;
	} part[] = {
		{ 0, 1 }, { 0, PAGES }, { 1, 1 }, { 1, 3 }, { 511, 1 },
		{ 511, 2 }, { 512, 1 }, { 512, 512 }, { 3, 512 },
		{ 7, PAGES - 7 }, { PAGES - 1, 1 }, { PAGES - 5, 5 },
	};
	unsigned int i;
	__u64 iova;

	ATTACH();
	ASSERT_EQ(0, model_attach(&self->small, &self->space));
	for (i = 0; i < ARRAY_SIZE(part); i++) {
		/* aligned to the offset, and not */
		for (iova = BASE + part[i].page * PG; iova < BASE + SZ_1G;
		     iova += SZ_1G - PG) {
			ASSERT_EQ(0, map_file(self, IA_RW, iova, part[i].page,
					      part[i].pages));
			RIGHT(iova, part[i].page, part[i].pages);
			EXPECT_TRUE(faults(&self->dev, iova - PG));
			EXPECT_TRUE(faults(&self->dev, iova +
					   part[i].pages * PG));
			ASSERT_EQ(0, ia_unmap(self->model.ctx, self->space.id,
					      iova, part[i].pages * PG, NULL));
			EXPECT_TRUE(faults(&self->dev, iova));
		}
	}
}

/* Before there is a device: attach maps the pages. */
TEST_F(content, filled)
{
	ASSERT_EQ(0, map_file(self, IA_RW, BASE, 5, 3));
	ASSERT_EQ(0, map_file(self, IA_RW, BASE + SZ_1G, 0, PAGES));
	ASSERT_EQ(0, map_file(self, IA_RW, BASE + 2 * SZ_1G - PG, 9, 600));
	ATTACH();
	RIGHT(BASE, 5, 3);
	RIGHT(BASE + SZ_1G, 0, PAGES);
	RIGHT(BASE + 2 * SZ_1G - PG, 9, 600);
	ASSERT_EQ(0, model_attach(&self->small, &self->space));
	RIGHT(BASE, 5, 3);
	RIGHT(BASE + SZ_1G, 0, PAGES);
	RIGHT(BASE + 2 * SZ_1G - PG, 9, 600);
}

TEST_F(content, writes)
{
	__u64 word = 0x0123456789abcdefULL, got;

	ATTACH();
	ASSERT_EQ(0, map_file(self, IA_RW, BASE, 509, 6));
	ASSERT_EQ(0, model_put(&self->dev, BASE + 4 * PG + 64, &word, 8));
	EXPECT_EQ(word, self->buf[(513 * PG + 64) / 8]);
	ASSERT_EQ(8, pread(self->file, &got, 8, 513 * PG + 64));
	EXPECT_EQ(word, got);
	/* the neighbours are not mapped */
	EXPECT_EQ(word_of(513, 56), self->buf[(513 * PG + 56) / 8]);
	EXPECT_EQ(word_of(513, 72), self->buf[(513 * PG + 72) / 8]);
	fill_page(self->buf + 513 * PG / 8, 513);
	RIGHT(BASE, 509, 6);
	/* and a read-only mapping is read-only */
	ASSERT_EQ(0, map_file(self, IOASID_MAP_READ, BASE + SZ_1G, 509, 6));
	EXPECT_LT(0, model_put(&self->dev, BASE + SZ_1G, &word, 8));
	RIGHT(BASE + SZ_1G, 509, 6);
}

/* When parts are unmapped, the rest stays as it was. */
TEST_F(content, cut)
{
	__u64 at;

	ATTACH();
	ASSERT_EQ(0, model_attach(&self->small, &self->space));
	ASSERT_EQ(0, map_file(self, IA_RW, BASE, 0, PAGES));
#define CUT(page, pages)						\
	ASSERT_EQ(0, ia_unmap_full(self->model.ctx, self->space.id,	\
				   IOASID_UNMAP_SPLIT,			\
				   BASE + (page) * PG, (pages) * PG, NULL))
	CUT(0, 3);
	CUT(100, 1);
	CUT(510, 5);
	CUT(PAGES - 2, 2);
	RIGHT(BASE + 3 * PG, 3, 97);
	RIGHT(BASE + 101 * PG, 101, 409);
	RIGHT(BASE + 515 * PG, 515, PAGES - 517);
	for (at = 0; at < 3; at++)
		EXPECT_TRUE(faults(&self->dev, BASE + at * PG));
	EXPECT_TRUE(faults(&self->dev, BASE + 100 * PG));
	EXPECT_TRUE(faults(&self->small, BASE + 514 * PG));
	EXPECT_TRUE(faults(&self->small, BASE + (PAGES - 1) * PG));
	/* other parts of the same file in the holes */
	ASSERT_EQ(0, map_file(self, IA_RW, BASE + 100 * PG, 700, 1));
	ASSERT_EQ(0, map_file(self, IA_RW, BASE + 510 * PG, 20, 5));
	RIGHT(BASE + 100 * PG, 700, 1);
	RIGHT(BASE + 510 * PG, 20, 5);
	RIGHT(BASE + 101 * PG, 101, 409);
}

TEST_F(content, changed)
{
	ATTACH();
	ASSERT_EQ(0, map_file(self, IA_RW, BASE, 0, PAGES));
	/* replace pages in the middle, and change permission elsewhere */
	ASSERT_EQ(0, map_file(self, IA_RW | IOASID_MAP_REPLACE |
			      IOASID_MAP_SPLIT, BASE + 30 * PG, 600, 50));
	RIGHT(BASE, 0, 30);
	RIGHT(BASE + 30 * PG, 600, 50);
	RIGHT(BASE + 80 * PG, 80, PAGES - 80);
	ASSERT_EQ(0, map_file(self, IOASID_MAP_READ | IOASID_MAP_REPLACE |
			      IOASID_MAP_SPLIT, BASE + 500 * PG, 500, 20));
	RIGHT(BASE + 80 * PG, 80, PAGES - 80);
	EXPECT_LT(0, model_put(&self->dev, BASE + 500 * PG, "x", 1));
	EXPECT_LT(0, model_put(&self->dev, BASE + 519 * PG, "x", 1));
	/* all at once, by one offset further */
	ASSERT_EQ(0, map_file(self, IA_RW | IOASID_MAP_REPLACE |
			      IOASID_MAP_SPLIT, BASE, 1, PAGES - 1));
	RIGHT(BASE, 1, PAGES - 1);
	RIGHT(BASE + (PAGES - 1) * PG, PAGES - 1, 1);
}

/* Slices of it, through a child. */
TEST_F(content, referred_to)
{
	struct model_space child = {
		.model = &self->model, .container = -1,
	};
	int fd = self->model.ctx;

	if (self->software >= 0) {
		close(self->software);
		self->software = -1;
	}
	ASSERT_EQ(0, map_file(self, IA_RW, BASE, 2, PAGES - 2));
	ASSERT_EQ(0, map_file(self, IA_RW, BASE + (PAGES - 2) * PG, 0, 2));
	ASSERT_EQ(0, ia_child(fd, self->space.id, 0, &child.id));
	ASSERT_EQ(0, model_attach(&self->dev, &child));
	ASSERT_EQ(0, ia_map_ref(fd, child.id, SZ_1G, BASE + 17 * PG, 33 * PG,
				IA_RW));
	RIGHT(SZ_1G, 19, 33);
	ASSERT_EQ(0, ia_map_ref(fd, child.id, 2 * SZ_1G,
				BASE + (PAGES - 4) * PG, 4 * PG, IA_RW));
	RIGHT(2 * SZ_1G, PAGES - 2, 2);
	RIGHT(2 * SZ_1G + 2 * PG, 0, 2);
	ASSERT_EQ(0, ia_unmap_full(fd, child.id, IOASID_UNMAP_SPLIT,
				   SZ_1G + 5 * PG, 3 * PG, NULL));
	RIGHT(SZ_1G, 19, 5);
	RIGHT(SZ_1G + 8 * PG, 27, 25);
	EXPECT_TRUE(faults(&self->dev, SZ_1G + 5 * PG));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
}

/*
 * Holes read as zeroes, and are filled. A file that may not be written is not
 * changed, neither by a map that fails nor by one that succeeds.
 */
TEST_F(content, holes)
{
	static const __u64 zero[512];
	__u64 buf[512], iova = BASE, i;
	struct ia_file before, after;
	char path[64];
	int file, ro;

	file = variant->huge ? memfd_create("holes", MFD_CLOEXEC | MFD_HUGETLB) :
			       memfd_create("holes", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, variant->huge ? 2 * SZ_2M : 16 * PG));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	ATTACH();
	ASSERT_EQ(0, ia_file_read(file, &before));
	EXPECT_GT(0, ia_map_file(self->model.ctx, self->space.id,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &iova, ro,
				 0, 4 * PG));
	EXPECT_EQ(-EACCES, ia_map_file(self->model.ctx, self->space.id,
				       IA_RW_FIXED, &iova, ro, 0, 4 * PG));
	/* beyond its end, with a start inside of it */
	EXPECT_EQ(-EINVAL, ia_map_file(self->model.ctx, self->space.id,
				       IOASID_MAP_READ | IOASID_MAP_FIXED,
				       &iova, ro, 0,
				       variant->huge ? 3 * SZ_2M : 17 * PG));
	ASSERT_EQ(0, ia_file_read(file, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	ASSERT_EQ(0, ia_map_file(self->model.ctx, self->space.id, IA_RW_FIXED,
				 &iova, file, 0, 4 * PG));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, model_get(&self->dev, iova + i * PG, buf,
				       sizeof(buf)));
		EXPECT_EQ(0, memcmp(buf, zero, sizeof(zero)));
	}
	EXPECT_EQ(0, model_put(&self->dev, iova + 3 * PG, "there", 6));
	ASSERT_EQ(6, pread(file, buf, 6, 3 * PG));
	EXPECT_EQ(0, strcmp((char *)buf, "there"));
	close(ro);
	close(file);
}

TEST_HARNESS_MAIN
