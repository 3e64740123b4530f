// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of how mirror.c passes what is written to a domain on to a device that
 * translates by itself, which is an array here.
 *
 * The array has what was added and removed, and what was committed of that.
 */
#include <kunit/test.h>
#include <linux/ioasid.h>
#include <linux/slab.h>

#include "../ioas/domain.h"
#include "../ioas/mirror.h"
#include "util.h"

#define PAGES	64
#define BASE	0x100000ULL

struct page_of {
	u64 phys;
	int prot;
};

struct device_table {
	struct kunit *test;
	struct page_of now[PAGES];
	struct page_of committed[PAGES];
	unsigned int commits;
	int commit_error;
	int attach_error;
	bool live;
	bool freed;
	bool cannot_protect;
};

static unsigned int index_of(struct device_table *table, u64 iova, u64 size)
{
	KUNIT_ASSERT_TRUE(table->test, PAGE_ALIGNED(iova | size));
	KUNIT_ASSERT_GE(table->test, iova, BASE);
	KUNIT_ASSERT_LE(table->test, (iova - BASE + size) >> PAGE_SHIFT, PAGES);
	return (iova - BASE) >> PAGE_SHIFT;
}

static void *table_alloc(void *data, u32 asid)
{
	return asid ? ERR_PTR(-EBUSY) : data;
}

static void table_free(void *data)
{
	struct device_table *table = data;

	table->freed = true;
}

static int table_map(void *data, u64 iova, u64 size, phys_addr_t phys, int prot,
		     gfp_t gfp)
{
	struct device_table *table = data;
	unsigned int i = index_of(table, iova, size);

	for (; size; size -= PAGE_SIZE, phys += PAGE_SIZE, i++) {
		KUNIT_ASSERT_EQ(table->test, table->now[i].prot, 0);
		table->now[i] = (struct page_of){ .phys = phys, .prot = prot };
	}
	return 0;
}

static void table_unmap(void *data, u64 iova, u64 size)
{
	struct device_table *table = data;
	unsigned int i = index_of(table, iova, size);

	for (; size; size -= PAGE_SIZE, i++) {
		KUNIT_ASSERT_NE(table->test, table->now[i].prot, 0);
		table->now[i] = (struct page_of){};
	}
}

static int table_protect(void *data, u64 iova, u64 size, int prot)
{
	struct device_table *table = data;
	unsigned int i = index_of(table, iova, size);

	if (table->cannot_protect)
		return -ENOMEM;
	for (; size; size -= PAGE_SIZE, i++)
		table->now[i].prot = prot;
	return 0;
}

static phys_addr_t table_phys(void *data, u64 iova)
{
	struct device_table *table = data;

	return table->now[index_of(table, iova & PAGE_MASK, PAGE_SIZE)].phys;
}

static int table_commit(void *data)
{
	struct device_table *table = data;

	if (!table->live)
		return 0;
	table->commits++;
	if (table->commit_error)
		return table->commit_error;
	memcpy(table->committed, table->now, sizeof(table->now));
	return 0;
}

static int table_attach(void *data)
{
	struct device_table *table = data;

	if (table->attach_error)
		return table->attach_error;
	table->live = true;
	memcpy(table->committed, table->now, sizeof(table->now));
	return 0;
}

static void table_detach(void *data)
{
	struct device_table *table = data;

	table->live = false;
	memset(table->committed, 0, sizeof(table->committed));
}

static const struct ioasid_mirror_ops table_ops = {
	.alloc = table_alloc,
	.free = table_free,
	.map = table_map,
	.unmap = table_unmap,
	.protect = table_protect,
	.phys = table_phys,
	.commit = table_commit,
	.attach = table_attach,
	.detach = table_detach,
};

/* One mirror, and two runs of memory for it */
struct fixture {
	struct device_table table;
	struct ioas_translator by;
	struct ioas_domain *dom;
};

static struct fixture *start(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->table.test = test;
	f->by.ops = &table_ops;
	f->by.data = &f->table;
	f->by.range.start = BASE;
	f->by.range.last = BASE + PAGES * PAGE_SIZE - 1;
	f->dom = ioas_mirror_alloc(&f->by, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(f->dom));
	return f;
}

static void end(struct kunit *test, struct fixture *f)
{
	f->dom->iommu->ops->free(f->dom->iommu);
	KUNIT_EXPECT_TRUE(test, f->table.freed);
	kfree(f->dom);
}

/* Map @n pages at page @at: what domain.c writes without a sync */
static void write_pages(struct kunit *test, struct fixture *f, unsigned int at,
			unsigned int n)
{
	struct iommu_domain *iommu = f->dom->iommu;
	size_t mapped = 0;

	KUNIT_ASSERT_EQ(test, iommu->ops->map_pages(iommu, BASE + at * PAGE_SIZE,
						    (100 + at) * PAGE_SIZE,
						    PAGE_SIZE, n,
						    IOMMU_READ | IOMMU_CACHE,
						    GFP_KERNEL, &mapped), 0);
	KUNIT_ASSERT_EQ(test, mapped, n * PAGE_SIZE);
}

static int sync_pages(struct fixture *f, unsigned int at, unsigned int n)
{
	struct iommu_domain *iommu = f->dom->iommu;

	return iommu->ops->iotlb_sync_map(iommu, BASE + at * PAGE_SIZE,
					  n * PAGE_SIZE);
}

static void remove_pages(struct fixture *f, unsigned int at, unsigned int n,
			 unsigned int other, unsigned int m)
{
	struct ioas_gather gather;

	ioas_gather_start(&gather, f->dom, m);
	ioas_gather_range(&gather, BASE + at * PAGE_SIZE, n * PAGE_SIZE);
	if (m)
		ioas_gather_range(&gather, BASE + other * PAGE_SIZE,
				  m * PAGE_SIZE);
	ioas_gather_finish(&gather);
}

/* The device sees nothing before the attach, and all of it then */
static void attach(struct kunit *test)
{
	struct fixture *f = start(test);

	write_pages(test, f, 3, 2);
	KUNIT_EXPECT_EQ(test, sync_pages(f, 3, 2), 0);
	KUNIT_EXPECT_EQ(test, f->table.commits, 0);
	KUNIT_EXPECT_EQ(test, f->table.committed[3].prot, 0);
	f->table.attach_error = -ENOSPC;
	KUNIT_EXPECT_EQ(test, ioas_mirror_attach(f->dom), -ENOSPC);
	f->table.attach_error = 0;
	KUNIT_EXPECT_EQ(test, ioas_mirror_attach(f->dom), 0);
	KUNIT_EXPECT_EQ(test, f->table.committed[4].phys, 104 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, f->table.committed[4].prot, IOMMU_READ);
	ioas_mirror_detach(f->dom);
	KUNIT_EXPECT_EQ(test, f->table.committed[4].prot, 0);
	end(test, f);
}

/* Many writes, or removals, and one commit */
static void commits(struct kunit *test)
{
	struct fixture *f = start(test);

	KUNIT_ASSERT_EQ(test, ioas_mirror_attach(f->dom), 0);
	write_pages(test, f, 0, 8);
	write_pages(test, f, 20, 8);
	KUNIT_EXPECT_EQ(test, f->table.commits, 0);
	KUNIT_EXPECT_EQ(test, sync_pages(f, 0, 28), 0);
	KUNIT_EXPECT_EQ(test, f->table.commits, 1);
	KUNIT_EXPECT_EQ(test, f->table.committed[27].phys, 127 * PAGE_SIZE);

	/* Parts of what was written by one call, that do not touch */
	remove_pages(f, 2, 3, 22, 1);
	KUNIT_EXPECT_EQ(test, f->table.commits, 2);
	KUNIT_EXPECT_EQ(test, f->table.committed[4].prot, 0);
	KUNIT_EXPECT_EQ(test, f->table.committed[22].prot, 0);
	KUNIT_EXPECT_EQ(test, f->table.committed[5].phys, 105 * PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, f->dom->poisoned);
	end(test, f);
}

/* A commit that fails is the map's error, and poisons after an unmap */
static void commit_fails(struct kunit *test)
{
	struct fixture *f = start(test);

	KUNIT_ASSERT_EQ(test, ioas_mirror_attach(f->dom), 0);
	write_pages(test, f, 0, 8);
	f->table.commit_error = -ENOSPC;
	KUNIT_EXPECT_EQ(test, sync_pages(f, 0, 8), -ENOSPC);
	KUNIT_EXPECT_FALSE(test, f->dom->poisoned);
	f->table.commit_error = 0;
	remove_pages(f, 0, 4, 0, 0);
	KUNIT_EXPECT_FALSE(test, f->dom->poisoned);
	f->table.commit_error = -EIO;
	remove_pages(f, 4, 4, 0, 0);
	KUNIT_EXPECT_TRUE(test, f->dom->poisoned);
	end(test, f);
}

/* The permission changes in place, or is left to the caller */
static void protect(struct kunit *test)
{
	struct fixture *f = start(test);
	struct ioas_gather gather;

	KUNIT_ASSERT_EQ(test, ioas_mirror_attach(f->dom), 0);
	write_pages(test, f, 0, 8);
	KUNIT_ASSERT_EQ(test, sync_pages(f, 0, 8), 0);
	KUNIT_ASSERT_TRUE(test, ioas_domain_protects(f->dom));
	ioas_gather_start(&gather, f->dom, false);
	KUNIT_EXPECT_TRUE(test, ioas_gather_protect(&gather, BASE + PAGE_SIZE,
						    PAGE_SIZE, IOASID_MAP_WRITE));
	KUNIT_EXPECT_EQ(test, f->table.committed[1].prot, IOMMU_READ);
	f->table.cannot_protect = true;
	KUNIT_EXPECT_FALSE(test, ioas_gather_protect(&gather, BASE, PAGE_SIZE,
						     IOASID_MAP_WRITE));
	ioas_gather_finish(&gather);
	KUNIT_EXPECT_EQ(test, f->table.commits, 2);
	KUNIT_EXPECT_EQ(test, f->table.committed[1].prot, IOMMU_WRITE);
	KUNIT_EXPECT_EQ(test, f->table.committed[0].prot, IOMMU_READ);
	end(test, f);
}

/* A device may have no table for an address space now */
static void refuses(struct kunit *test)
{
	struct fixture *f = start(test);

	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(ioas_mirror_alloc(&f->by, 1)),
			-EBUSY);
	end(test, f);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(attach),
	KUNIT_CASE(commits),
	KUNIT_CASE(commit_fails),
	KUNIT_CASE(protect),
	KUNIT_CASE(refuses),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_mirrors",
	.test_cases = cases,
};

kunit_test_suite(suite);
