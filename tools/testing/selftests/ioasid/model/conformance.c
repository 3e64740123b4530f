// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same tests for /dev/ioasid, /dev/iommu and a VFIO type1 container, on
 * model devices.  Where their results differ, the test has the result of each;
 * Documentation/userspace-api/ioasid-conformance.rst explains the difference.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ioasid_test.h"
#include "model.h"

#define IOVA 0x40000000ULL
#define SEED 0x1d

FIXTURE(conformance)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
};

FIXTURE_VARIANT(conformance)
{
	enum model_api api;
};

FIXTURE_VARIANT_ADD(conformance, ioasid) { .api = MODEL_IOASID, };
FIXTURE_VARIANT_ADD(conformance, ioasid_group) { .api = MODEL_IOASID_GROUP, };
FIXTURE_VARIANT_ADD(conformance, iommufd) { .api = MODEL_IOMMUFD, };
FIXTURE_VARIANT_ADD(conformance, type1) { .api = MODEL_TYPE1, };

FIXTURE_SETUP(conformance)
{
	int rc = model_open(&self->model, variant->api);

	if (rc == -ENOENT)
		SKIP(return, "nothing to talk to");
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	self->dev.fd = -1;
	self->dev.group = -1;
	self->dev.model = &self->model;
}

FIXTURE_TEARDOWN(conformance)
{
	model_release(&self->dev);
	if (self->space.container >= 0)
		close(self->space.container);
	model_close(&self->model);
}

static bool is_ioasid(const struct model *model)
{
	return model->api == MODEL_IOASID || model->api == MODEL_IOASID_GROUP;
}

/* The expected result of each of the three */
static int says(const struct model *model, int ioasid, int iommufd, int type1)
{
	switch (model->api) {
	case MODEL_IOMMUFD:
		return iommufd;
	case MODEL_TYPE1:
		return type1;
	default:
		return ioasid;
	}
}

/* Plug a device in and attach it. */
#define START(params)							\
do {									\
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, params, 0));	\
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));		\
} while (0)

/* The device reaches these pages, for reading and writing. */
static bool reaches(struct model_device *dev, __u64 iova, void *p,
		    unsigned int pages)
{
	memset(p, 0, pages * page_size);
	if (model_fill(dev, iova, SEED, pages) ||
	    !model_pattern_holds(p, SEED, iova, page_size))
		return false;
	model_pattern(p, SEED + 1, iova, pages * page_size);
	return !model_verify(dev, iova, SEED + 1, pages);
}

/* None of these pages can be reached, and failed accesses change nothing. */
static bool reaches_none(struct model_device *dev, __u64 iova,
			 unsigned int pages)
{
	__u64 word;

	while (pages--)
		if (model_get(dev, iova + pages * page_size, &word,
			      sizeof(word)) <= 0 ||
		    model_put(dev, iova + pages * page_size, &word,
			      sizeof(word)) <= 0)
			return false;
	return true;
}

TEST_F(conformance, map_unmap)
{
	void *p = ia_mem(4 * page_size);

	START(NULL);
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 4));
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 4 * page_size, MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 4));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA - page_size, 1));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA + 4 * page_size, 1));
	ASSERT_EQ(0, model_unmap(&self->space, IOVA, 4 * page_size));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 4));
	EXPECT_NO_HARM(&self->dev);
}

/* When unmap returns, the IOTLB has no entry of any page. */
TEST_F(conformance, unmap_flushes)
{
	unsigned int pages = 16, i;
	void *p = ia_mem(pages * page_size);

	START(NULL);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, model_map(&self->space, IOVA, p, pages * page_size,
				       MODEL_RW));
		ASSERT_TRUE(reaches(&self->dev, IOVA, p, pages));
		ASSERT_EQ(0, model_unmap(&self->space, IOVA, pages * page_size));
		ASSERT_TRUE(reaches_none(&self->dev, IOVA, pages));
	}
	EXPECT_NO_HARM(&self->dev);
}

/* Nor has the device's own TLB. */
TEST_F(conformance, unmap_flushes_device)
{
	struct model_params params = { .flags = MODEL_ATS };
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_ATS,
		.address = IOVA,
		.length = page_size,
		.stride = page_size,
		.count = 8,
		.operand = SEED,
	};
	void *p = ia_mem(8 * page_size);
	unsigned int i;

	START(&params);
	for (i = 0; i < 8; i++) {
		dma.count = 8;
		dma.address = IOVA;
		ASSERT_EQ(0, model_map(&self->space, IOVA, p, 8 * page_size,
				       MODEL_RW));
		ASSERT_EQ(0, model_dma(&self->dev, &dma, NULL));
		ASSERT_EQ(0, model_unmap(&self->space, IOVA, 8 * page_size));
		dma.count = 1;
		dma.address = IOVA + i * page_size;
		ASSERT_LT(0, model_dma(&self->dev, &dma, NULL));
	}
	EXPECT_NO_HARM(&self->dev);
}

/* An unmap under DMA ends the device's access before it unpins. */
TEST_F(conformance, unmap_under_dma)
{
	void *p = ia_mem(8 * page_size);
	unsigned int i;

	START(NULL);
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, IOVA, SEED,
				  8, 2));
	for (i = 0; i < 30; i++) {
		ASSERT_EQ(0, model_map(&self->space, IOVA, p, 8 * page_size,
				       MODEL_RW));
		ASSERT_EQ(0, model_hammered(&self->dev, 1, 32));
		ASSERT_EQ(0, model_unmap(&self->space, IOVA, 8 * page_size));
		/* From here on the page has no other users */
		memset(p, 0x5a, 8 * page_size);
		ASSERT_EQ(0, model_hammered(&self->dev, 1, 32));
		ASSERT_EQ(0x5a, *(unsigned char *)p);
	}
	ASSERT_EQ(0, model_stop(&self->dev, 1, NULL));
	EXPECT_NO_HARM(&self->dev);
}

/* An unmap of a range unmaps all mappings in it, across holes. */
TEST_F(conformance, unmap_several)
{
	void *p = ia_mem(page_size);
	unsigned int i;

	START(NULL);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, model_map(&self->space, IOVA + i * 2 * page_size,
				       p, page_size, MODEL_RW));
	for (i = 0; i < 10; i++)
		ASSERT_TRUE(reaches(&self->dev, IOVA + i * 2 * page_size, p, 1));
	ASSERT_EQ(0, model_unmap(&self->space, IOVA + 2 * page_size,
				 16 * page_size));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 1));
	EXPECT_TRUE(reaches(&self->dev, IOVA + 18 * page_size, p, 1));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA + 2 * page_size, 16));
	EXPECT_NO_HARM(&self->dev);
}

TEST_F(conformance, unmap_part)
{
	void *p = ia_mem(4 * page_size);

	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 4 * page_size, MODEL_RW));
	EXPECT_EQ(says(&self->model, -EINVAL, -ENOENT, -EINVAL),
		  model_unmap(&self->space, IOVA + page_size, page_size));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 4));
	/* A range of only the first or the last page is a part, too */
	EXPECT_EQ(says(&self->model, -EINVAL, -ENOENT, -EINVAL),
		  model_unmap(&self->space, IOVA, page_size));
	EXPECT_EQ(says(&self->model, -EINVAL, -ENOENT, -EINVAL),
		  model_unmap(&self->space, IOVA + 3 * page_size, page_size));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 4));
}

TEST_F(conformance, unmap_nothing)
{
	START(NULL);
	EXPECT_EQ(says(&self->model, 0, -ENOENT, 0),
		  model_unmap(&self->space, IOVA, page_size));
}

TEST_F(conformance, overlap)
{
	void *p = ia_mem(4 * page_size);
	int i;

	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 4 * page_size, MODEL_RW));
	for (i = -1; i <= 4; i++)
		EXPECT_EQ(i == 4 ? 0 : -EEXIST,
			  model_map(&self->space, IOVA + i * (long)page_size, p,
				    i < 0 ? 2 * page_size : page_size,
				    MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 4));
}

TEST_F(conformance, misaligned)
{
	char *p = ia_mem(2 * page_size);

	START(NULL);
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA + 1, p, page_size,
				     MODEL_RW));
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA, p, page_size - 1,
				     MODEL_RW));
	EXPECT_EQ(-EINVAL,
		  model_map(&self->space, IOVA, p, 0, MODEL_RW));
	EXPECT_EQ(-EINVAL,
		  model_map(&self->space, IOVA, p + 1, page_size, MODEL_RW));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 1));
}

TEST_F(conformance, overflow)
{
	void *p = ia_mem(2 * page_size);
	__u64 last = -(__u64)page_size;

	START(NULL);
	EXPECT_EQ(says(&self->model, -EINVAL, -EOVERFLOW, -EINVAL),
		  model_map(&self->space, last, p, 2 * page_size, MODEL_RW));
	EXPECT_NE(0, model_map(&self->space, IOVA, (void *)last, 2 * page_size,
			       MODEL_RW));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 1));
}

TEST_F(conformance, read_only)
{
	__u64 *p = ia_mem(page_size), word = 0;

	START(NULL);
	*p = 0x1234;
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, page_size,
			       MODEL_READ_ONLY));
	EXPECT_EQ(0, model_get(&self->dev, IOVA, &word, sizeof(word)));
	EXPECT_EQ(0x1234, word);
	word = 0x666;
	EXPECT_EQ(MODEL_FAULT_DENIED,
		  model_put(&self->dev, IOVA, &word, sizeof(word)));
	EXPECT_EQ(0x1234, *p);
}

/* A private page that is not shared now, or was never written. */
TEST_F(conformance, read_only_private)
{
	__u64 *p = ia_mem(2 * page_size), word = 0;

	START(NULL);
	/* The first page stays untouched: it is the zero page until the map */
	p[page_size / 8] = 1;
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 2 * page_size,
			       MODEL_READ_ONLY));
	p[0] = 2;
	p[page_size / 8] = 3;
	EXPECT_EQ(0, model_get(&self->dev, IOVA, &word, sizeof(word)));
	EXPECT_EQ(2, word);
	EXPECT_EQ(0, model_get(&self->dev, IOVA + page_size, &word,
			       sizeof(word)));
	EXPECT_EQ(3, word);
}

TEST_F(conformance, fork)
{
	__u64 *p = ia_mem(page_size), word = 0;
	pid_t child;

	START(NULL);
	p[0] = 1;
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, page_size, MODEL_RW));
	child = ia_fork();
	ASSERT_LE(0, child);
	if (!child) {
		pause();
		_exit(0);
	}
	/* The parent keeps the page, the child gets a copy */
	p[0] = 2;
	EXPECT_EQ(0, model_get(&self->dev, IOVA, &word, sizeof(word)));
	EXPECT_EQ(2, word);
	word = 3;
	EXPECT_EQ(0, model_put(&self->dev, IOVA, &word, sizeof(word)));
	EXPECT_EQ(3, p[0]);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* The device keeps access when the process unmaps the memory. */
TEST_F(conformance, munmap)
{
	void *p = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 2 * page_size, MODEL_RW));
	ASSERT_EQ(0, munmap(p, 2 * page_size));
	EXPECT_EQ(0, model_fill(&self->dev, IOVA, SEED, 2));
	EXPECT_EQ(0, model_verify(&self->dev, IOVA, SEED, 2));
	EXPECT_NO_HARM(&self->dev);
}

TEST_F(conformance, bad_memory)
{
	char *p = ia_mem(4 * page_size);

	START(NULL);
	ASSERT_EQ(0, munmap(p + 2 * page_size, page_size));
	EXPECT_EQ(-EFAULT, model_map(&self->space, IOVA, p, 4 * page_size,
				     MODEL_RW));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 4));
	EXPECT_EQ(0, model_map(&self->space, IOVA, p, 2 * page_size, MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 2));
	EXPECT_NO_HARM(&self->dev);
}

/* Every start and length within some pages, on the IOMMU of @params. */
static void aligns(struct __test_metadata *_metadata, struct model_space *space,
		   struct model_device *dev)
{
	char *p = ia_mem(8 * page_size);
	unsigned int start, pages;

	for (start = 0; start < 8; start++) {
		for (pages = 1; pages <= 8 - start; pages++) {
			char *at = p + start * page_size;

			ASSERT_EQ(0, model_map(space, IOVA + start * page_size,
					       at, pages * page_size, MODEL_RW));
			ASSERT_TRUE(reaches(dev, IOVA + start * page_size, at,
					    pages));
			ASSERT_EQ(0, model_unmap(space, IOVA + start * page_size,
						 pages * page_size));
		}
	}
	EXPECT_TRUE(reaches_none(dev, IOVA, 8));
	EXPECT_NO_HARM(dev);
}

TEST_F(conformance, all_aligns)
{
	START(NULL);
	aligns(_metadata, &self->space, &self->dev);
}

/* An IOMMU whose pages are half as large as the CPU's. */
TEST_F(conformance, small_pages)
{
	struct model_params params = {
		.page_sizes = 1ULL << 11 | 1ULL << 20,
		.levels = 5,
	};

	START(&params);
	aligns(_metadata, &self->space, &self->dev);
}

/* An IOMMU that has every page size. */
TEST_F(conformance, many_page_sizes)
{
	struct model_params params = {
		.page_sizes = ((1ULL << 31) - 1) & ~0xfffULL,
	};

	START(&params);
	aligns(_metadata, &self->space, &self->dev);
}

TEST_F(conformance, huge_page)
{
	size_t size = 2 << 20;
	char *p = ia_mem_aligned(2 * size, size);
	unsigned int at;

	madvise(p, 2 * size, MADV_HUGEPAGE);
	memset(p, 1, 2 * size);
	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 2 * size, MODEL_RW));
	for (at = 0; at < 2 * size; at += size / 2) {
		EXPECT_TRUE(reaches(&self->dev, IOVA + at, p + at, 1));
		EXPECT_TRUE(reaches(&self->dev, IOVA + at + size / 2 - page_size,
				    p + at + size / 2 - page_size, 1));
	}
	ASSERT_EQ(0, model_unmap(&self->space, IOVA, 2 * size));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 4));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA + size - page_size, 2));
	EXPECT_NO_HARM(&self->dev);
}

/* The last page of the address space. */
TEST_F(conformance, last_page)
{
	struct model_params params = { .levels = 6 };
	__u64 last = -(__u64)page_size;
	void *p = ia_mem(2 * page_size);

	if (!is_ioasid(&self->model))
		SKIP(return, "would have the device write to others' memory");
	START(&params);
	ASSERT_EQ(0, model_map(&self->space, last - page_size, p, 2 * page_size,
			       MODEL_RW));
	EXPECT_EQ(0, model_fill(&self->dev, last, SEED, 1));
	EXPECT_TRUE(model_pattern_holds(p + page_size, SEED, last, page_size));
	EXPECT_EQ(0, model_unmap(&self->space, last - page_size, 2 * page_size));
	EXPECT_TRUE(reaches_none(&self->dev, last - page_size, 2));
	EXPECT_NO_HARM(&self->dev);
}

/* Outside of the aperture, and in reserved regions, a map fails. */
TEST_F(conformance, ranges)
{
	struct model_params params = {
		.aperture_start = IOVA,
		.aperture_last = IOVA + (64ULL << 20) - 1,
		.nr_resv = 1,
		.resv = { {
			.start = IOVA + (16ULL << 20),
			.length = 1 << 20,
			.type = MODEL_RESV_RESERVED,
		} },
	};
	void *p = ia_mem(2 * page_size);

	START(&params);
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA - page_size, p,
				     page_size, MODEL_RW));
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA - page_size, p,
				     2 * page_size, MODEL_RW));
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA + (64ULL << 20), p,
				     page_size, MODEL_RW));
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA + (16ULL << 20) - page_size,
				     p, 2 * page_size, MODEL_RW));
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA + (17ULL << 20) - page_size,
				     p, page_size, MODEL_RW));
	EXPECT_EQ(0, model_map(&self->space, IOVA + (16ULL << 20) - page_size, p,
			       page_size, MODEL_RW));
	EXPECT_EQ(0, model_map(&self->space, IOVA + (17ULL << 20), p, page_size,
			       MODEL_RW));
	EXPECT_EQ(0, model_map(&self->space, IOVA, p, page_size, MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 1));
	EXPECT_TRUE(reaches(&self->dev, IOVA + (17ULL << 20), p, 1));
}

/* A device whose reserved regions overlap a mapping cannot attach. */
TEST_F(conformance, conflict)
{
	struct model_params params = {
		.nr_resv = 1,
		.resv = { {
			.start = IOVA,
			.length = page_size,
			.type = MODEL_RESV_RESERVED,
		} },
	};
	struct model_device other;
	void *p = ia_mem(page_size);

	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, page_size, MODEL_RW));
	ASSERT_EQ(0, model_plug(&self->model, &other, &params, 0));
	EXPECT_EQ(says(&self->model, -EADDRINUSE, -EADDRINUSE, -EINVAL),
		  model_attach(&other, &self->space));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 1));
	/*
	 * Without the mapping the device can attach; then the range stays
	 * reserved
	 */
	ASSERT_EQ(0, model_unmap(&self->space, IOVA, page_size));
	EXPECT_EQ(0, model_attach(&other, &self->space));
	EXPECT_EQ(-EINVAL, model_map(&self->space, IOVA, p, page_size,
				     MODEL_RW));
	model_release(&other);
}

/* Devices of two different IOMMUs in one space. */
TEST_F(conformance, two_domains)
{
	struct model_params params = { .page_sizes = 1ULL << 12, .unit = 1 };
	struct model_device other;
	void *p = ia_mem(8 * page_size);

	START(NULL);
	ASSERT_EQ(0, model_plug(&self->model, &other, &params, 0));
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 4 * page_size, MODEL_RW));
	ASSERT_EQ(0, model_attach(&other, &self->space));
	/* Mappings from before and after its attach */
	EXPECT_TRUE(reaches(&other, IOVA, p, 4));
	ASSERT_EQ(0, model_map(&self->space, IOVA + 4 * page_size,
			       p + 4 * page_size, 4 * page_size, MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 8));
	EXPECT_TRUE(reaches(&other, IOVA, p, 8));

	ASSERT_EQ(0, model_unmap(&self->space, IOVA, 4 * page_size));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 4));
	EXPECT_TRUE(reaches_none(&other, IOVA, 4));
	EXPECT_TRUE(reaches(&other, IOVA + 4 * page_size, p + 4 * page_size, 4));
	EXPECT_NO_HARM(&self->dev);
	EXPECT_NO_HARM(&other);
	model_release(&other);
	EXPECT_TRUE(reaches(&self->dev, IOVA + 4 * page_size, p + 4 * page_size,
			    4));
	EXPECT_NO_HARM(&other);
}

/*
 * When one of two IOMMUs cannot map, the other one has no mapping either.  Only
 * this test uses these two: the effects of a failure may stay for a moment
 * longer than the test.
 */
TEST_F(conformance, second_domain_fails)
{
	struct model_params params[] = { { .unit = 2 }, { .unit = 3 } };
	struct model_device other;
	void *p = ia_mem(8 * page_size);
	unsigned int pages;

	START(&params[0]);
	ASSERT_EQ(0, model_plug(&self->model, &other, &params[1], 0));
	ASSERT_EQ(0, model_attach(&other, &self->space));
	for (pages = 0; pages < 8; pages++) {
		ASSERT_EQ(0, model_inject(&other, MODEL_INJECT_MAP, 1, pages));
		ASSERT_EQ(-ENOMEM, model_map(&self->space, IOVA, p,
					     8 * page_size, MODEL_RW));
		ASSERT_TRUE(reaches_none(&self->dev, IOVA, 8));
		ASSERT_TRUE(reaches_none(&other, IOVA, 8));
		ASSERT_EQ(0, model_inject(&other, MODEL_INJECT_MAP, 0, 0));
	}
	EXPECT_EQ(0, model_map(&self->space, IOVA, p, 8 * page_size, MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 8));
	EXPECT_TRUE(reaches(&other, IOVA, p, 8));
	/* /dev/iommu unpins pages that the first IOMMU can still reach */
	if (variant->api != MODEL_IOMMUFD) {
		EXPECT_NO_HARM(&self->dev);
		EXPECT_NO_HARM(&other);
	}
	model_release(&other);
}

/* A map that the IOMMU fails in the middle leaves no mapping. */
TEST_F(conformance, map_fails)
{
	void *p = ia_mem(8 * page_size);
	unsigned int pages;

	START(NULL);
	for (pages = 0; pages < 8; pages++) {
		ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 1,
					  pages));
		ASSERT_EQ(-ENOMEM, model_map(&self->space, IOVA, p,
					     8 * page_size, MODEL_RW));
		ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 0, 0));
		ASSERT_TRUE(reaches_none(&self->dev, IOVA, 8));
		ASSERT_EQ(0, model_map(&self->space, IOVA, p, 8 * page_size,
				       MODEL_RW));
		ASSERT_TRUE(reaches(&self->dev, IOVA, p, 8));
		ASSERT_EQ(0, model_unmap(&self->space, IOVA, 8 * page_size));
	}
	EXPECT_NO_HARM(&self->dev);
}

/* An attach that fails leaves the device where it was. */
TEST_F(conformance, attach_fails)
{
	struct model_space other;
	void *p = ia_mem(4 * page_size);

	if (variant->api == MODEL_TYPE1)
		SKIP(return, "one container is left before the other is joined");
	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 2 * page_size, MODEL_RW));
	ASSERT_EQ(0, model_space_open(&self->model, &other));
	ASSERT_EQ(0, model_map(&other, IOVA, p + 2 * page_size, 2 * page_size,
			       MODEL_RW));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_ATTACH, 1, 0));
	EXPECT_EQ(-ENOMEM, model_attach(&self->dev, &other));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 2));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_ATTACH, 0, 0));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 1, 1));
	EXPECT_EQ(-ENOMEM, model_attach(&self->dev, &other));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 2));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 0, 0));
	EXPECT_EQ(0, model_attach(&self->dev, &other));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p + 2 * page_size, 2));
	EXPECT_NO_HARM(&self->dev);
}

TEST_F(conformance, detach)
{
	void *p = ia_mem(page_size);

	if (variant->api == MODEL_TYPE1)
		SKIP(return, "no device stays open without a container");
	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, page_size, MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 1));
	ASSERT_EQ(0, model_detach(&self->dev));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 1));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 1));
	EXPECT_NO_HARM(&self->dev);
}

/*
 * Move between two spaces that map the same data, under DMA: the device never
 * sees an incomplete space.
 */
TEST_F(conformance, replace_under_dma)
{
	unsigned int pages = 64, i;
	struct ioasid_model_status status;
	char *p = ia_mem(2 * pages * page_size);
	struct model_space other;

	if (variant->api == MODEL_TYPE1)
		SKIP(return, "a device cannot go from one container to another");
	START(NULL);
	ASSERT_EQ(0, model_space_open(&self->model, &other));
	for (i = 0; i < pages; i++) {
		__u64 iova = IOVA + i * page_size;

		model_pattern(p + i * page_size, SEED, iova, page_size);
		model_pattern(p + (pages + i) * page_size, SEED, iova,
			      page_size);
		ASSERT_EQ(0, model_map(&self->space, iova, p + i * page_size,
				       page_size, MODEL_RW));
		ASSERT_EQ(0, model_map(&other, iova,
				       p + (pages + i) * page_size, page_size,
				       MODEL_RW));
	}
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_VERIFY,
				  IOVA + (pages - 2) * page_size, SEED, 2, 2));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, model_hammered(&self->dev, 1, 8));
		ASSERT_EQ(0, model_attach(&self->dev, i % 2 ? &self->space :
							      &other));
	}
	ASSERT_EQ(0, model_stop(&self->dev, 1, &status));
	EXPECT_LT(0, status.done);
	EXPECT_EQ(0, status.faults);
	EXPECT_EQ(0, status.mismatches);
	EXPECT_NO_HARM(&self->dev);
}

/* If the IOMMU can enforce coherency, it does so for all mappings. */
TEST_F(conformance, no_snoop)
{
	struct model_params params = { .flags = MODEL_ENFORCE_COHERENCY };
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_NO_SNOOP,
		.address = IOVA,
		.length = page_size,
		.stride = page_size,
		.count = 4,
		.operand = SEED,
	};
	void *p = ia_mem(4 * page_size);

	/* Type1 can map only while a device is attached */
	if (variant->api == MODEL_TYPE1)
		START(&params);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 2 * page_size, MODEL_RW));
	if (variant->api != MODEL_TYPE1)
		START(&params);
	ASSERT_EQ(0, model_map(&self->space, IOVA + 2 * page_size,
			       p + 2 * page_size, 2 * page_size, MODEL_RW));
	EXPECT_EQ(0, model_dma(&self->dev, &dma, NULL));
	EXPECT_EQ(0, model_counters(&self->dev).no_snoop);
}

/* Without page requests enabled, the IOMMU accepts and answers none. */
TEST_F(conformance, page_requests)
{
	struct model_params params = { .flags = MODEL_ATS | MODEL_PRI };
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_REQUEST,
		.flags = IOASID_MODEL_DMA_WAIT,
		.threads = 1,
		.count = 1,
		.address = IOVA,
		.length = page_size,
		.operand = IOASID_MODEL_REQUEST_READ |
			   IOASID_MODEL_REQUEST_LAST,
	};
	struct ioasid_model_state state;
	unsigned int i;

	START(&params);
	for (i = 0; i < 20; i++) {
		dma.compare = i;
		ASSERT_EQ(0, model_start(&self->dev, 0, &dma));
	}
	ASSERT_EQ(0, model_state(&self->dev, &state));
	EXPECT_EQ(20, state.requests);
	EXPECT_EQ(20, state.unsent);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, state.responses[i]);
	EXPECT_EQ(0, state.unexpected);
}

/* With all in use: the order of closing does not matter. */
TEST_F(conformance, close)
{
	long long pinned = ia_status("VmPin"), locked = ia_status("VmLck");
	void *p = ia_mem(8 * page_size);

	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 8 * page_size, MODEL_RW));
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_FILL, IOVA, SEED,
				  8, 4));
	ASSERT_EQ(0, model_hammered(&self->dev, 1, 8));
	if (self->model.ctx >= 0) {
		close(self->model.ctx);
		self->model.ctx = -1;
		/* The device works as long as it is open */
		ASSERT_EQ(0, model_hammered(&self->dev, 1, 8));
	}
	EXPECT_LT(pinned + locked, ia_status("VmPin") + ia_status("VmLck"));
	model_release(&self->dev);
	if (self->space.container >= 0) {
		close(self->space.container);
		self->space.container = -1;
	}
	/* And no charge is left */
	EXPECT_EQ(pinned, ia_status("VmPin"));
	EXPECT_EQ(locked, ia_status("VmLck"));
	memset(p, 0x5a, 8 * page_size);
	usleep(10000);
	EXPECT_EQ(0x5a, *(unsigned char *)p);
	EXPECT_NO_HARM(&self->dev);
}

/*
 * An IOMMU that unmaps less than it is told to: memory that it may still reach
 * is kept, and the device is blocked.  The other APIs warn, and continue.
 */
TEST_F(conformance, unmap_fails)
{
	void *p = ia_mem(8 * page_size);

	if (!is_ioasid(&self->model))
		SKIP(return, "would make the kernel warn");
	START(NULL);
	ASSERT_EQ(0, model_map(&self->space, IOVA, p, 8 * page_size, MODEL_RW));
	ASSERT_TRUE(reaches(&self->dev, IOVA, p, 8));
	/* The rest of the unmap fails, too */
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_EQ(-EIO, model_unmap(&self->space, IOVA, 8 * page_size));
	ASSERT_EQ(0, munmap(p, 8 * page_size));
	EXPECT_TRUE(reaches_none(&self->dev, IOVA, 8));
	EXPECT_NO_HARM(&self->dev);
	ASSERT_EQ(0, model_detach(&self->dev));
	EXPECT_NO_HARM(&self->dev);
	/* It works as before */
	p = ia_mem(page_size);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_EQ(0, model_map(&self->space, IOVA, p, page_size, MODEL_RW));
	EXPECT_TRUE(reaches(&self->dev, IOVA, p, 1));
}

TEST_HARNESS_MAIN
