// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the model IOMMU, through the API of the IOMMU core on one side and
 * through DMA on the other.
 *
 * Pages of the kernel stand for memory.  Tests that depend on pins make them
 * look pinned.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "../../iommu-priv.h"
#include "model.h"

#define NAME	"ioasid_model_kunit"
#define IOVA	0x12340000000ULL
#define RW	(IOMMU_READ | IOMMU_WRITE)

static void *const owner = (void *)&owner;

struct bench {
	struct kunit *test;
	struct model_dev *mdev;
	struct device *dev;
	struct iommu_group *group;
	struct iommu_domain *domain;
	struct model_counters before;
};

static struct bench *bench(struct kunit *test)
{
	return test->priv;
}

/* A device, blocked, and its counters until now */
static void plug(struct kunit *test, const struct model_params *params)
{
	struct bench *b = bench(test);

	b->mdev = model_dev_create(NAME, PLATFORM_DEVID_AUTO, params, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b->mdev);
	b->dev = model_dev_device(b->mdev);
	b->group = iommu_group_get(b->dev);
	KUNIT_ASSERT_NOT_NULL(test, b->group);
	KUNIT_ASSERT_EQ(test, iommu_group_claim_dma_owner(b->group, owner), 0);
	model_read_counters(b->mdev, &b->before);
}

static struct iommu_domain *alloc_user(struct bench *b, u32 flags,
				       struct iommu_domain *parent,
				       const struct iommu_user_data *data)
{
	return b->dev->iommu->iommu_dev->ops->domain_alloc_user(b->dev, flags,
								parent, data);
}

static void attach(struct kunit *test)
{
	struct bench *b = bench(test);

	if (!b->domain)
		b->domain = iommu_paging_domain_alloc(b->dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(b->domain));
	KUNIT_ASSERT_EQ(test, iommu_attach_group(b->domain, b->group), 0);
}

static void detach(struct bench *b)
{
	iommu_detach_group(b->domain, b->group);
}

static void unplug(struct bench *b)
{
	if (!b->mdev)
		return;
	if (b->group) {
		iommu_group_release_dma_owner(b->group);
		iommu_group_put(b->group);
	}
	if (!IS_ERR_OR_NULL(b->domain))
		iommu_domain_free(b->domain);
	model_dev_destroy(b->mdev);
	memset(b, 0, sizeof(*b));
}

static u64 counted(struct bench *b, size_t offset)
{
	struct model_counters now;

	model_read_counters(b->mdev, &now);
	return *(u64 *)((void *)&now + offset) -
	       *(u64 *)((void *)&b->before + offset);
}

#define COUNT(b, name) counted(b, offsetof(struct model_counters, name))

static struct page *get_pages(struct kunit *test, unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_ZERO,
					order);

	KUNIT_ASSERT_NOT_NULL(test, page);
	return page;
}

static void put_pages(struct page *page)
{
	__free_pages(page, compound_order(page));
}

static void pin(struct page *page)
{
	page_ref_add(page, GUP_PIN_COUNTING_BIAS);
}

static void unpin(struct page *page)
{
	page_ref_sub(page, GUP_PIN_COUNTING_BIAS);
}

static enum model_reason dma(struct bench *b, u32 pasid, u64 iova, u64 *value,
			     enum model_op op)
{
	return model_access(b->mdev, pasid, iova, value, sizeof(*value), op, 0,
			    NULL);
}

static enum model_reason dma_read(struct bench *b, u64 iova, u64 *value)
{
	return dma(b, MODEL_NO_PASID, iova, value, MODEL_READ);
}

static enum model_reason dma_write(struct bench *b, u64 iova, u64 value)
{
	return dma(b, MODEL_NO_PASID, iova, &value, MODEL_WRITE);
}

static int map_page(struct bench *b, u64 iova, struct page *page, int prot)
{
	return iommu_map(b->domain, iova, page_to_phys(page), PAGE_SIZE, prot,
			 GFP_KERNEL);
}

/* ---- Tests ---- */

static void page_sizes(struct kunit *test)
{
	static const u64 sizes[] = {
		SZ_4K | SZ_2M | SZ_1G,
		SZ_2K | SZ_1M,
		SZ_4K | SZ_64K | SZ_2M,
		SZ_512,
	};
	struct page *page = get_pages(test, 9);
	struct bench *b = bench(test);
	unsigned int i, shift;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct model_params params = {
			.page_sizes = sizes[i],
			.levels = 5,
		};

		plug(test, &params);
		attach(test);
		KUNIT_EXPECT_EQ(test, b->domain->pgsize_bitmap, sizes[i]);
		for (shift = __ffs64(sizes[i]); shift <= 21; shift++) {
			u64 size = BIT_ULL(shift), iova = SZ_4G + size;
			size_t done = 0;

			if (!(sizes[i] & size))
				continue;
			*(u64 *)page_address(page) = size;
			*(u64 *)(page_address(page) + size - 8) = ~size;
			KUNIT_EXPECT_EQ(test,
					b->domain->ops->map_pages(b->domain,
						iova, page_to_phys(page), size,
						1, RW, GFP_KERNEL, &done), 0);
			KUNIT_EXPECT_EQ(test, done, size);
			KUNIT_EXPECT_EQ(test, dma_read(b, iova, &value),
					MODEL_OK);
			KUNIT_EXPECT_EQ(test, value, size);
			KUNIT_EXPECT_EQ(test,
					dma_read(b, iova + size - 8, &value),
					MODEL_OK);
			KUNIT_EXPECT_EQ(test, value, ~size);
			/* One walk is enough for one page */
			KUNIT_EXPECT_EQ(test, COUNT(b, hits), 1);
			KUNIT_EXPECT_EQ(test, dma_read(b, iova + size, &value),
					MODEL_FAULT_ABSENT);
			KUNIT_EXPECT_EQ(test, dma_read(b, iova - 8, &value),
					MODEL_FAULT_ABSENT);
			KUNIT_EXPECT_EQ(test,
					iommu_iova_to_phys(b->domain,
							   iova + size - 1),
					page_to_phys(page) + size - 1);
			KUNIT_EXPECT_EQ(test,
					iommu_unmap(b->domain, iova, size),
					size);
			KUNIT_EXPECT_EQ(test, dma_read(b, iova, &value),
					MODEL_FAULT_ABSENT);
			KUNIT_EXPECT_EQ(test, COUNT(b, stale), 0);
			model_read_counters(b->mdev, &b->before);
		}
		detach(b);
		unplug(b);
	}
	put_pages(page);
}

static void superpages(struct kunit *test)
{
	struct page *page = get_pages(test, 9);
	struct bench *b = bench(test);
	u64 value;

	plug(test, &(struct model_params){});
	attach(test);
	/* A superpage is unmapped as a whole */
	KUNIT_EXPECT_EQ(test, iommu_map(b->domain, SZ_2M, page_to_phys(page),
					SZ_2M, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, SZ_2M, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, iommu_unmap(b->domain, SZ_2M, SZ_4K), SZ_2M);
	KUNIT_EXPECT_EQ(test, dma_read(b, SZ_4M - 8, &value),
			MODEL_FAULT_ABSENT);
	/* A superpage takes the place of a table that became empty */
	KUNIT_EXPECT_EQ(test, map_page(b, SZ_2M + SZ_4K, page, RW), 0);
	KUNIT_EXPECT_NE(test, iommu_map(b->domain, SZ_2M, page_to_phys(page),
					SZ_2M, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(b->domain, SZ_2M + SZ_4K, SZ_4K),
			SZ_4K);
	KUNIT_EXPECT_EQ(test, iommu_map(b->domain, SZ_2M, page_to_phys(page),
					SZ_2M, RW, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, SZ_4M - 8, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, map_page(b, SZ_2M, page, RW), -EEXIST);
	KUNIT_EXPECT_EQ(test, iommu_unmap(b->domain, SZ_2M, SZ_2M), SZ_2M);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void permissions(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct bench *b = bench(test);
	u64 value = 0;

	plug(test, &(struct model_params){});
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_BLOCKED);
	attach(test);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, IOMMU_READ), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, 1), MODEL_FAULT_DENIED);
	KUNIT_EXPECT_EQ(test, dma(b, MODEL_NO_PASID, IOVA, &value,
				  MODEL_FETCH_ADD), MODEL_FAULT_DENIED);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, 5), MODEL_OK);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_DENIED);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	detach(b);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_BLOCKED);
	unplug(b);
	put_pages(page);
}

static void atomics(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	u64 *memory = page_address(page);
	struct bench *b = bench(test);
	u64 operand[2] = { 3 };

	plug(test, &(struct model_params){});
	attach(test);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	memory[1] = 4;
	KUNIT_EXPECT_EQ(test, dma(b, MODEL_NO_PASID, IOVA + 8, operand,
				  MODEL_FETCH_ADD), MODEL_OK);
	KUNIT_EXPECT_EQ(test, operand[0], 4);
	KUNIT_EXPECT_EQ(test, memory[1], 7);
	operand[0] = 9;
	KUNIT_EXPECT_EQ(test, dma(b, MODEL_NO_PASID, IOVA + 8, operand,
				  MODEL_SWAP), MODEL_OK);
	KUNIT_EXPECT_EQ(test, operand[0], 7);
	operand[0] = 8;
	operand[1] = 1;
	KUNIT_EXPECT_EQ(test, dma(b, MODEL_NO_PASID, IOVA + 8, operand,
				  MODEL_CAS), MODEL_OK);
	KUNIT_EXPECT_EQ(test, operand[0], 9);
	KUNIT_EXPECT_EQ(test, memory[1], 9);
	KUNIT_EXPECT_EQ(test, dma(b, MODEL_NO_PASID, IOVA + 8, operand,
				  MODEL_CAS), MODEL_OK);
	KUNIT_EXPECT_EQ(test, memory[1], 1);
	KUNIT_EXPECT_EQ(test, dma(b, MODEL_NO_PASID, IOVA + 4, operand,
				  MODEL_CAS), MODEL_FAULT_ALIGN);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void missing_flush(struct kunit *test)
{
	struct page *page = get_pages(test, 0), *other = get_pages(test, 0);
	struct iommu_iotlb_gather gather;
	struct bench *b = bench(test);
	u64 value;

	*(u64 *)page_address(page) = 1;
	*(u64 *)page_address(other) = 2;
	plug(test, &(struct model_params){});
	attach(test);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);

	iommu_iotlb_gather_init(&gather);
	KUNIT_EXPECT_EQ(test, iommu_unmap_fast(b->domain, IOVA, PAGE_SIZE,
					       &gather), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, COUNT(b, stale), 1);
	/* The new mapping is not visible before a flush */
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, other, RW), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 1);
	KUNIT_EXPECT_EQ(test, COUNT(b, stale), 2);
	iommu_iotlb_sync(b->domain, &gather);
	KUNIT_EXPECT_EQ(test, COUNT(b, flush_range), 1);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 2);
	KUNIT_EXPECT_EQ(test, COUNT(b, stale), 2);

	/* A queued gather leaves the flush to flush_iotlb_all() */
	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	iommu_unmap_fast(b->domain, IOVA, PAGE_SIZE, &gather);
	iommu_iotlb_sync(b->domain, &gather);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, COUNT(b, stale), 3);
	iommu_flush_iotlb_all(b->domain);
	KUNIT_EXPECT_EQ(test, COUNT(b, flush_all), 1);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_ABSENT);
	detach(b);
	KUNIT_EXPECT_EQ(test, COUNT(b, cached), 0);
	unplug(b);
	put_pages(page);
	put_pages(other);
}

/* Without deferred flushes a caller cannot leave it to flush_iotlb_all() */
static void strict_flush(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct iommu_iotlb_gather gather;
	struct bench *b = bench(test);
	u64 value;

	plug(test, &(struct model_params){ .flags = MODEL_NO_DEFERRED_FLUSH });
	KUNIT_EXPECT_FALSE(test,
			   device_iommu_capable(b->dev,
						IOMMU_CAP_DEFERRED_FLUSH));
	attach(test);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	iommu_unmap_fast(b->domain, IOVA, PAGE_SIZE, &gather);
	iommu_flush_iotlb_all(b->domain);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, COUNT(b, stale), 1);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void absent_cached(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct bench *b = bench(test);
	size_t done = 0;
	u64 value;

	plug(test, &(struct model_params){ .flags = MODEL_CACHE_ABSENT });
	attach(test);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_ABSENT);
	b->domain->ops->map_pages(b->domain, IOVA, page_to_phys(page),
				  PAGE_SIZE, 1, RW, GFP_KERNEL, &done);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_ABSENT);
	KUNIT_EXPECT_EQ(test, COUNT(b, stale), 1);
	b->domain->ops->iotlb_sync_map(b->domain, IOVA, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void ledger(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct iommu_iotlb_gather gather;
	struct bench *b = bench(test);
	struct model_counters now;
	u64 value;

	plug(test, &(struct model_params){});
	attach(test);

	/* The correct order: unmap, flush, unpin */
	pin(page);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, model_audit(b->mdev), 0);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	unpin(page);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 0);

	/* Unpinned before the flush, never accessed */
	pin(page);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	iommu_iotlb_gather_init(&gather);
	iommu_unmap_fast(b->domain, IOVA, PAGE_SIZE, &gather);
	unpin(page);
	iommu_iotlb_sync(b->domain, &gather);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 1);
	model_read_counters(b->mdev, &now);
	KUNIT_EXPECT_EQ(test, now.ledger_where, MODEL_HELD_BY_FLUSH);
	KUNIT_EXPECT_EQ(test, now.ledger_address, IOVA);
	KUNIT_EXPECT_EQ(test, now.ledger_pfn, page_to_pfn(page));

	/* Accessed in between: the device's access is refused */
	pin(page);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	iommu_iotlb_gather_init(&gather);
	iommu_unmap_fast(b->domain, IOVA, PAGE_SIZE, &gather);
	unpin(page);
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, 1), MODEL_FAULT_LEDGER);
	model_read_counters(b->mdev, &now);
	KUNIT_EXPECT_EQ(test, now.ledger_where, MODEL_HELD_BY_TLB);
	iommu_iotlb_sync(b->domain, &gather);

	/* Unpinned before it is unmapped: the audit finds it, once */
	pin(page);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	unpin(page);
	KUNIT_EXPECT_EQ(test, model_audit(b->mdev), 1);
	KUNIT_EXPECT_EQ(test, model_audit(b->mdev), 0);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);

	/* And the unmap finds it, too */
	pin(page);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	unpin(page);
	model_read_counters(b->mdev, &b->before);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 1);
	model_read_counters(b->mdev, &now);
	KUNIT_EXPECT_EQ(test, now.ledger_where, MODEL_HELD_BY_TABLE);

	/* No device has this domain: the ledger reports nothing */
	pin(page);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	detach(b);
	unpin(page);
	model_read_counters(b->mdev, &b->before);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, model_audit(b->mdev), 0);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 0);
	unplug(b);
	put_pages(page);
}

static void ledger_of_a_range(struct kunit *test)
{
	struct page *page = get_pages(test, 1);
	struct iommu_iotlb_gather gather;
	struct bench *b = bench(test);

	plug(test, &(struct model_params){});
	attach(test);
	KUNIT_EXPECT_EQ(test, iommu_map(b->domain, IOVA, page_to_phys(page),
					2 * PAGE_SIZE, RW, GFP_KERNEL), 0);
	iommu_iotlb_gather_init(&gather);
	iommu_unmap_fast(b->domain, IOVA, 2 * PAGE_SIZE, &gather);
	/* The flush is too small */
	gather.end -= PAGE_SIZE;
	iommu_iotlb_sync(b->domain, &gather);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 0);
	put_pages(page);
	iommu_flush_iotlb_all(b->domain);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 1);
	detach(b);
	unplug(b);
}

static void dirty_bits(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	const struct iommu_dirty_ops *ops;
	struct iommu_iotlb_gather gather;
	struct iommu_dirty_bitmap dirty;
	struct bench *b = bench(test);
	u64 value;

	plug(test, &(struct model_params){ .flags = MODEL_DIRTY });
	b->domain = alloc_user(b, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, NULL, NULL);
	attach(test);
	ops = b->domain->dirty_ops;
	KUNIT_ASSERT_NOT_NULL(test, ops);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	/* Cached while tracking is off */
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, 1), MODEL_OK);
	KUNIT_EXPECT_EQ(test, ops->set_dirty_tracking(b->domain, true), 0);

	iommu_dirty_bitmap_init(&dirty, NULL, &gather);
	ops->read_and_clear_dirty(b->domain, IOVA, PAGE_SIZE, 0, &dirty);
	KUNIT_EXPECT_EQ(test, gather.end, 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	ops->read_and_clear_dirty(b->domain, IOVA, PAGE_SIZE, 0, &dirty);
	KUNIT_EXPECT_EQ(test, gather.end, 0);
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, 1), MODEL_OK);
	ops->read_and_clear_dirty(b->domain, IOVA, PAGE_SIZE,
				  IOMMU_DIRTY_NO_CLEAR, &dirty);
	KUNIT_EXPECT_EQ(test, gather.end, IOVA + PAGE_SIZE - 1);
	/* Cleared, but not flushed: the next write sets no dirty bit */
	iommu_dirty_bitmap_init(&dirty, NULL, &gather);
	ops->read_and_clear_dirty(b->domain, IOVA, PAGE_SIZE, 0, &dirty);
	KUNIT_EXPECT_EQ(test, gather.start, IOVA);
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, 1), MODEL_OK);
	iommu_iotlb_sync(b->domain, &gather);
	ops->read_and_clear_dirty(b->domain, IOVA, PAGE_SIZE, 0, &dirty);
	KUNIT_EXPECT_EQ(test, gather.end, 0);
	/* Flushed: the next write sets it */
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, 1), MODEL_OK);
	ops->read_and_clear_dirty(b->domain, IOVA, PAGE_SIZE, 0, &dirty);
	KUNIT_EXPECT_EQ(test, gather.start, IOVA);
	iommu_iotlb_sync(b->domain, &gather);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void no_snoop(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct bench *b = bench(test);
	u64 value = 0;
	int i;

	plug(test, &(struct model_params){ .flags = MODEL_ENFORCE_COHERENCY });
	attach(test);
	/* Mapped before and after snooping is enforced */
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, map_page(b, IOVA + i * PAGE_SIZE, page,
					       RW), 0);
		KUNIT_EXPECT_TRUE(test,
				  b->domain->ops->enforce_cache_coherency(b->domain));
		model_access(b->mdev, MODEL_NO_PASID, IOVA + i * PAGE_SIZE,
			     &value, 8, MODEL_READ, MODEL_ACCESS_NO_SNOOP,
			     NULL);
		KUNIT_EXPECT_EQ(test, COUNT(b, no_snoop), 1);
	}
	iommu_unmap(b->domain, IOVA, 2 * PAGE_SIZE);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void injected_failures(struct kunit *test)
{
	struct page *page = get_pages(test, 2);
	struct bench *b = bench(test);
	struct iommu_domain *other;
	phys_addr_t phys = page_to_phys(page);
	struct iommu_iotlb_gather gather = { .queued = true };
	size_t done = 0;

	plug(test, &(struct model_params){
		.pasid_bits = 4,
		.flags = MODEL_PRI,
	});
	model_inject(b->mdev, MODEL_INJECT_FEATURE, 1, 0);
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(b->dev,
						       IOMMU_DEV_FEAT_IOPF),
			-ENOMEM);
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(b->dev,
						       IOMMU_DEV_FEAT_IOPF), 0);
	iommu_dev_disable_feature(b->dev, IOMMU_DEV_FEAT_IOPF);

	model_inject(b->mdev, MODEL_INJECT_ALLOC, 2, 0);
	other = iommu_paging_domain_alloc(b->dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(other));
	KUNIT_EXPECT_TRUE(test, IS_ERR(iommu_paging_domain_alloc(b->dev)));
	iommu_domain_free(other);

	attach(test);
	model_inject(b->mdev, MODEL_INJECT_MAP, 1, 2);
	KUNIT_EXPECT_EQ(test, b->domain->ops->map_pages(b->domain, IOVA, phys,
							PAGE_SIZE, 4, RW,
							GFP_KERNEL, &done),
			-ENOMEM);
	KUNIT_EXPECT_EQ(test, done, 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iommu_unmap(b->domain, IOVA, 2 * PAGE_SIZE),
			2 * PAGE_SIZE);

	model_inject(b->mdev, MODEL_INJECT_SYNC, 2, 0);
	KUNIT_EXPECT_EQ(test, iommu_map(b->domain, IOVA, phys, PAGE_SIZE, RW,
					GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, iommu_map(b->domain, IOVA + PAGE_SIZE, phys,
					PAGE_SIZE, RW, GFP_KERNEL), -ENOMEM);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(b->domain, IOVA + PAGE_SIZE),
			0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(b->domain, IOVA, PAGE_SIZE),
			PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, iommu_map(b->domain, IOVA, phys, 4 * PAGE_SIZE,
					RW, GFP_KERNEL), 0);
	model_inject(b->mdev, MODEL_INJECT_UNMAP, 1, 3);
	done = b->domain->ops->unmap_pages(b->domain, IOVA, PAGE_SIZE, 4,
					   &gather);
	KUNIT_EXPECT_EQ(test, done, 3 * PAGE_SIZE);
	iommu_flush_iotlb_all(b->domain);
	KUNIT_EXPECT_NE(test, iommu_iova_to_phys(b->domain,
						 IOVA + 3 * PAGE_SIZE), 0);
	iommu_unmap(b->domain, IOVA + 3 * PAGE_SIZE, PAGE_SIZE);

	model_inject(b->mdev, MODEL_INJECT_ATTACH_PASID, 1, 0);
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(b->domain, b->dev, 3,
							NULL), -ENOMEM);
	detach(b);
	model_inject(b->mdev, MODEL_INJECT_ATTACH, 1, 0);
	KUNIT_EXPECT_NE(test, iommu_attach_group(b->domain, b->group), 0);
	KUNIT_EXPECT_EQ(test, iommu_attach_group(b->domain, b->group), 0);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void pasids(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct iommu_iotlb_gather gather;
	struct bench *b = bench(test);
	u64 value;

	plug(test, &(struct model_params){ .pasid_bits = 4 });
	KUNIT_EXPECT_EQ(test, b->dev->iommu->max_pasids, 16);
	b->domain = iommu_paging_domain_alloc(b->dev);
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(b->domain, b->dev, 16,
							NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, dma(b, 5, IOVA, &value, MODEL_READ),
			MODEL_FAULT_PASID);
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(b->domain, b->dev, 5,
							NULL), 0);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	KUNIT_EXPECT_EQ(test, dma(b, 5, IOVA, &value, MODEL_READ), MODEL_OK);
	KUNIT_EXPECT_EQ(test, dma(b, 6, IOVA, &value, MODEL_READ),
			MODEL_FAULT_PASID);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_BLOCKED);
	/* One IOTLB tag for all slots of a domain */
	attach(test);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, COUNT(b, walks), 1);
	iommu_iotlb_gather_init(&gather);
	iommu_unmap_fast(b->domain, IOVA, PAGE_SIZE, &gather);
	KUNIT_EXPECT_EQ(test, dma(b, 5, IOVA, &value, MODEL_READ), MODEL_OK);
	iommu_iotlb_sync(b->domain, &gather);
	KUNIT_EXPECT_EQ(test, dma(b, 5, IOVA, &value, MODEL_READ),
			MODEL_FAULT_ABSENT);
	iommu_detach_device_pasid(b->domain, b->dev, 5);
	KUNIT_EXPECT_EQ(test, dma(b, 5, IOVA, &value, MODEL_READ),
			MODEL_FAULT_PASID);
	detach(b);
	KUNIT_EXPECT_EQ(test, COUNT(b, attached), 0);
	unplug(b);
	put_pages(page);
}

static void device_tlb(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct iommu_iotlb_gather gather;
	struct bench *b = bench(test);
	u64 value;

	plug(test, &(struct model_params){ .flags = MODEL_ATS });
	attach(test);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, RW), 0);
	KUNIT_EXPECT_EQ(test, model_access(b->mdev, MODEL_NO_PASID, IOVA,
					   &value, 8, MODEL_READ,
					   MODEL_ACCESS_ATS, NULL), MODEL_OK);
	/* One entry in the IOTLB, one in the device TLB */
	KUNIT_EXPECT_EQ(test, COUNT(b, cached), 2);
	iommu_iotlb_gather_init(&gather);
	iommu_unmap_fast(b->domain, IOVA, PAGE_SIZE, &gather);
	KUNIT_EXPECT_EQ(test, model_access(b->mdev, MODEL_NO_PASID, IOVA,
					   &value, 8, MODEL_READ,
					   MODEL_ACCESS_ATS, NULL), MODEL_OK);
	iommu_iotlb_sync(b->domain, &gather);
	KUNIT_EXPECT_EQ(test, COUNT(b, flush_devtlb), 1);
	KUNIT_EXPECT_EQ(test, COUNT(b, cached), 0);
	KUNIT_EXPECT_EQ(test, model_access(b->mdev, MODEL_NO_PASID, IOVA,
					   &value, 8, MODEL_READ,
					   MODEL_ACCESS_ATS, NULL),
			MODEL_FAULT_ABSENT);
	detach(b);
	unplug(b);
	put_pages(page);
}

/* ---- Tables of user space ---- */

/*
 * Guest memory: 16 pages at address 0 of the parent, which are the tables, too
 */
struct guest {
	struct page *page;
	struct iommu_domain *parent;
	struct iommu_domain *nested;
};

static u64 *guest_page(struct guest *guest, unsigned int nr)
{
	return page_address(guest->page) + nr * PAGE_SIZE;
}

static struct iommu_user_data user_data(struct kunit *test, u32 type,
					const void *data, size_t length)
{
	unsigned long at = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE,
					 PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(at) || !at);
	KUNIT_ASSERT_EQ(test, copy_to_user((void __user *)at, data, length), 0);
	return (struct iommu_user_data){
		.type = type,
		.uptr = (void __user *)at,
		.len = length,
	};
}

static int invalidate(struct kunit *test, struct iommu_domain *nested,
		      const struct model_invalidate *inv, u32 *done)
{
	struct iommu_user_data data = user_data(test, MODEL_HWPT_INVALIDATE,
						inv, sizeof(*inv));
	struct iommu_user_data_array array = {
		.type = data.type,
		.uptr = data.uptr,
		.entry_len = data.len,
		.entry_num = 1,
	};
	int ret = nested->ops->cache_invalidate_user(nested, &array);

	*done = array.entry_num;
	return ret;
}

/* Stage 1: page 1 is the root, 2, 3 follow; leads from IOVA 0x5000 to page 8 */
static void guest_make(struct kunit *test, struct guest *guest, u32 flags)
{
	struct bench *b = bench(test);

	plug(test, &(struct model_params){
		.flags = MODEL_NESTING | MODEL_DIRTY | flags,
		.pasid_bits = 4,
	});
	guest->page = get_pages(test, 4);
	guest->parent = alloc_user(b, IOMMU_HWPT_ALLOC_NEST_PARENT, NULL, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(guest->parent));
	KUNIT_ASSERT_EQ(test, iommu_map(guest->parent, 0,
					page_to_phys(guest->page),
					16 * PAGE_SIZE, RW, GFP_KERNEL), 0);
	guest_page(guest, 1)[0] = 2 * PAGE_SIZE | MODEL_S1_PRESENT |
				  MODEL_S1_WRITE;
	guest_page(guest, 2)[0] = 3 * PAGE_SIZE | MODEL_S1_PRESENT |
				  MODEL_S1_WRITE;
	guest_page(guest, 3)[5] = 8 * PAGE_SIZE | MODEL_S1_PRESENT |
				  MODEL_S1_WRITE;
	guest_page(guest, 8)[0] = 0x888;
	guest_page(guest, 9)[0] = 0x999;
}

static void guest_attach(struct kunit *test, struct guest *guest, u32 type,
			 const void *data, size_t length)
{
	struct iommu_user_data user = user_data(test, type, data, length);
	struct bench *b = bench(test);

	guest->nested = alloc_user(b, 0, guest->parent, &user);
	KUNIT_ASSERT_FALSE(test, IS_ERR(guest->nested));
	KUNIT_EXPECT_EQ(test, guest->nested->type, IOMMU_DOMAIN_NESTED);
	KUNIT_ASSERT_EQ(test, iommu_attach_group(guest->nested, b->group), 0);
}

static void guest_free(struct kunit *test, struct guest *guest)
{
	struct bench *b = bench(test);

	iommu_detach_group(guest->nested, b->group);
	KUNIT_EXPECT_EQ(test, COUNT(b, attached), 0);
	KUNIT_EXPECT_EQ(test, COUNT(b, cached), 0);
	iommu_domain_free(guest->nested);
	iommu_domain_free(guest->parent);
	unplug(b);
	put_pages(guest->page);
}

static void nested(struct kunit *test)
{
	struct model_s1 s1 = { .root = PAGE_SIZE, .levels = 3 };
	struct model_invalidate inv = {
		.start = 0x5000,
		.last = 0x5fff,
		.flags = MODEL_INV_IOTLB | MODEL_INV_RANGE,
	};
	struct bench *b = bench(test);
	struct guest guest;
	u64 value;
	u32 done;

	guest_make(test, &guest, 0);
	guest_attach(test, &guest, MODEL_HWPT_DATA_S1, &s1, sizeof(s1));

	KUNIT_EXPECT_EQ(test, dma_read(b, 0x5000, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 0x888);
	KUNIT_EXPECT_TRUE(test, guest_page(&guest, 1)[0] & MODEL_S1_ACCESSED);
	KUNIT_EXPECT_TRUE(test, guest_page(&guest, 3)[5] & MODEL_S1_ACCESSED);
	KUNIT_EXPECT_FALSE(test, guest_page(&guest, 3)[5] & MODEL_S1_DIRTY);
	KUNIT_EXPECT_EQ(test, dma_write(b, 0x5008, 7), MODEL_OK);
	KUNIT_EXPECT_EQ(test, guest_page(&guest, 8)[1], 7);
	KUNIT_EXPECT_TRUE(test, guest_page(&guest, 3)[5] & MODEL_S1_DIRTY);
	KUNIT_EXPECT_EQ(test, dma_read(b, 0x6000, &value),
			MODEL_FAULT_S1_ABSENT);
	KUNIT_EXPECT_EQ(test, dma_read(b, 1ULL << 39, &value),
			MODEL_FAULT_WIDTH);

	/*
	 * The guest changes its table: the old entry is used until an
	 * invalidation
	 */
	guest_page(&guest, 3)[5] = 9 * PAGE_SIZE | MODEL_S1_PRESENT;
	KUNIT_EXPECT_EQ(test, dma_read(b, 0x5000, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 0x888);
	KUNIT_EXPECT_EQ(test, COUNT(b, stale), 1);
	KUNIT_EXPECT_EQ(test, invalidate(test, guest.nested, &inv, &done), 0);
	KUNIT_EXPECT_EQ(test, done, 1);
	KUNIT_EXPECT_EQ(test, dma_read(b, 0x5000, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 0x999);
	KUNIT_EXPECT_EQ(test, dma_write(b, 0x5000, 0), MODEL_FAULT_S1_DENIED);
	inv.flags |= MODEL_INV_PASID;
	KUNIT_EXPECT_EQ(test, invalidate(test, guest.nested, &inv, &done),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, done, 0);

	/* Malformed, and outside of the parent */
	guest_page(&guest, 3)[6] = 9 * PAGE_SIZE | MODEL_S1_PRESENT | BIT(9);
	KUNIT_EXPECT_EQ(test, dma_read(b, 0x6000, &value),
			MODEL_FAULT_S1_FORMAT);
	guest_page(&guest, 3)[7] = SZ_1G | MODEL_S1_PRESENT;
	KUNIT_EXPECT_EQ(test, dma_read(b, 0x7000, &value), MODEL_FAULT_ABSENT);
	guest_page(&guest, 2)[1] = SZ_1G | MODEL_S1_PRESENT;
	KUNIT_EXPECT_EQ(test, dma_read(b, SZ_2M, &value), MODEL_FAULT_S1_TABLE);

	/* A large page of the guest, on small ones of the host */
	guest_page(&guest, 2)[2] = MODEL_S1_PRESENT | MODEL_S1_HUGE;
	KUNIT_EXPECT_EQ(test, dma_read(b, SZ_4M + 9 * PAGE_SIZE, &value),
			MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 0x999);

	/* The host unmaps a page: nested entries are dropped, too */
	iommu_unmap(guest.parent, 9 * PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_read(b, 0x5000, &value), MODEL_FAULT_ABSENT);
	/* And a page that holds a table */
	iommu_unmap(guest.parent, 3 * PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_read(b, 0x5000, &value),
			MODEL_FAULT_S1_TABLE);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 0);
	guest_free(test, &guest);
}

static void pasid_table(struct kunit *test)
{
	struct model_pasid_table table = {
		.table = 4 * PAGE_SIZE,
		.pasid_bits = 3,
	};
	struct model_invalidate inv = {
		.flags = MODEL_INV_PASID_CACHE | MODEL_INV_PASID,
		.pasid = 2,
	};
	struct bench *b = bench(test);
	struct guest guest;
	u64 value, *entries;
	u32 done;

	guest_make(test, &guest, MODEL_USER_PASID_TABLE);
	KUNIT_EXPECT_TRUE(test, b->dev->iommu->iommu_dev->ops->user_pasid_table);
	entries = guest_page(&guest, 4);
	entries[0] = MODEL_PASID_VALID | MODEL_PASID_BYPASS;
	entries[4] = MODEL_PASID_VALID | PAGE_SIZE |
		     3 << MODEL_PASID_LEVELS_SHIFT;
	guest_attach(test, &guest, MODEL_HWPT_DATA_PASID_TABLE, &table,
		     sizeof(table));
	KUNIT_EXPECT_EQ(test, dma_read(b, 9 * PAGE_SIZE, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 0x999);
	KUNIT_EXPECT_EQ(test, dma(b, 2, 0x5000, &value, MODEL_READ), MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 0x888);
	KUNIT_EXPECT_EQ(test, dma(b, 3, 0x5000, &value, MODEL_READ),
			MODEL_FAULT_PASID);
	KUNIT_EXPECT_EQ(test, dma(b, 8, 0x5000, &value, MODEL_READ),
			MODEL_FAULT_PASID);
	KUNIT_EXPECT_EQ(test, iommu_attach_device_pasid(guest.parent, b->dev,
							3, NULL), -EBUSY);

	/* Remove the entry: first from the table, then from the PASID cache */
	entries[4] = 0;
	KUNIT_EXPECT_EQ(test, dma(b, 2, 0x5000, &value, MODEL_READ), MODEL_OK);
	KUNIT_EXPECT_EQ(test, invalidate(test, guest.nested, &inv, &done), 0);
	KUNIT_EXPECT_EQ(test, dma(b, 2, 0x5000, &value, MODEL_READ),
			MODEL_FAULT_PASID);
	KUNIT_EXPECT_EQ(test, COUNT(b, flush_pasid), 1);
	guest_free(test, &guest);
}

/* ---- Page requests ---- */

struct prq {
	struct model_dev_ops ops;
	struct bench *b;
	atomic_t responses;
	u32 code;
	struct page *page;
	struct iommu_attach_handle handle;
	struct completion go;
	atomic_t handled;
	atomic_t offs;
	spinlock_t lock; /* Protects @groups */
	struct list_head groups;
	unsigned int nr_groups;
};

static void prq_response(void *priv, const struct iommu_page_response *response)
{
	struct prq *prq = priv;

	prq->code = response->code;
	atomic_inc(&prq->responses);
}

static int prq_handler(struct iopf_group *group)
{
	struct prq *prq = group->attach_handle->domain->fault_data;
	struct iommu_fault_page_request *prm = &group->last_fault.fault.prm;

	if (map_page(prq->b, prm->addr, prq->page, RW))
		return -EIO;
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
	return 0;
}

/* A slow access */
static int slow_handler(struct iopf_group *group)
{
	struct prq *prq = group->attach_handle->domain->fault_data;

	atomic_inc(&prq->handled);
	wait_for_completion(&prq->go);
	/* Long enough to queue the waiter of the lock */
	msleep(20);
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
	return 0;
}

static void wait_for_responses(struct kunit *test, struct prq *prq, int n)
{
	int i;

	for (i = 0; i < 1000 && atomic_read(&prq->responses) < n; i++)
		fsleep(1000);
	KUNIT_EXPECT_EQ(test, atomic_read(&prq->responses), n);
}

static void page_requests(struct kunit *test)
{
	unsigned int flags = MODEL_REQUEST_READ | MODEL_REQUEST_LAST;
	struct bench *b = bench(test);
	struct model_fault fault;
	struct prq prq = {
		.ops.page_response = prq_response,
		.b = b,
		.page = get_pages(test, 0),
	};
	u64 value;
	int i, n;

	plug(test, &(struct model_params){
		.flags = MODEL_PRI,
		.prq_depth = 4,
		.prq_credits = 128,
	});
	model_dev_set_ops(b->mdev, &prq.ops, &prq);
	b->domain = iommu_paging_domain_alloc(b->dev);
	b->domain->iopf_handler = prq_handler;
	b->domain->fault_data = &prq;
	KUNIT_EXPECT_EQ(test, model_report_page_request(b->mdev, MODEL_NO_PASID,
							IOVA, 1, flags),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(b->dev,
						       IOMMU_DEV_FEAT_IOPF), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_group_handle(b->domain, b->group,
							&prq.handle), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_FAULT_ABSENT);
	KUNIT_EXPECT_EQ(test, model_access(b->mdev, MODEL_NO_PASID, IOVA,
					   &value, 8, MODEL_READ,
					   MODEL_ACCESS_PRI, &fault),
			MODEL_PAGE_REQUEST);
	KUNIT_EXPECT_EQ(test, fault.address, IOVA);
	KUNIT_EXPECT_EQ(test, model_report_page_request(b->mdev, MODEL_NO_PASID,
							IOVA, 1, flags), 0);
	wait_for_responses(test, &prq, 1);
	KUNIT_EXPECT_EQ(test, prq.code, IOMMU_PAGE_RESP_SUCCESS);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);

	/* A response gets lost */
	model_inject(b->mdev, MODEL_INJECT_RESPONSE, 1, 0);
	KUNIT_EXPECT_EQ(test, model_report_page_request(b->mdev, MODEL_NO_PASID,
							IOVA + SZ_4K, 2, flags),
			0);
	for (i = 0; i < 1000 &&
	     !iommu_iova_to_phys(b->domain, IOVA + SZ_4K); i++)
		fsleep(1000);
	fsleep(20000);
	KUNIT_EXPECT_EQ(test, atomic_read(&prq.responses), 1);

	/*
	 * More requests than the queue holds: each queued one gets a response
	 */
	for (i = 0, n = 1; i < 100; i++)
		n += !model_report_page_request(b->mdev, MODEL_NO_PASID,
						IOVA + SZ_1M + i * SZ_4K, i,
						flags);
	wait_for_responses(test, &prq, n);
	KUNIT_EXPECT_EQ(test, COUNT(b, overflows), 101 - n);

	/* A request needs an attached domain */
	iommu_detach_group_handle(b->domain, b->group);
	KUNIT_EXPECT_EQ(test, model_report_page_request(b->mdev, MODEL_NO_PASID,
							IOVA, 1, flags), 0);
	wait_for_responses(test, &prq, n + 1);
	KUNIT_EXPECT_EQ(test, prq.code, IOMMU_PAGE_RESP_INVALID);
	KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(b->dev,
							IOMMU_DEV_FEAT_IOPF),
			0);
	model_dev_set_ops(b->mdev, NULL, NULL);
	unplug(b);
	put_pages(prq.page);
}

static int replace_thread(void *data)
{
	struct prq *prq = data;

	return iommu_replace_group_handle(prq->b->group, prq->b->domain,
					  &prq->handle);
}

/* Queued requests are not for the domain that is attached next */
static void page_requests_and_replace(struct kunit *test)
{
	unsigned int flags = MODEL_REQUEST_READ | MODEL_REQUEST_LAST, i;
	struct bench *b = bench(test);
	struct prq old = { .b = b }, new = { .b = b };
	struct iommu_domain *domain;
	struct task_struct *task;

	old.ops.page_response = prq_response;
	init_completion(&old.go);
	init_completion(&new.go);
	complete_all(&new.go);
	plug(test, &(struct model_params){ .flags = MODEL_PRI });
	model_dev_set_ops(b->mdev, &old.ops, &old);
	domain = iommu_paging_domain_alloc(b->dev);
	b->domain = iommu_paging_domain_alloc(b->dev);
	domain->iopf_handler = slow_handler;
	domain->fault_data = &old;
	b->domain->iopf_handler = slow_handler;
	b->domain->fault_data = &new;
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(b->dev,
						       IOMMU_DEV_FEAT_IOPF), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_group_handle(domain, b->group,
							&old.handle), 0);
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test,
				model_report_page_request(b->mdev,
							  MODEL_NO_PASID, IOVA,
							  i, flags), 0);
	for (i = 0; i < 1000 && !atomic_read(&old.handled); i++)
		fsleep(1000);

	/*
	 * An attach waits for the request that is handed over, not for the
	 * queue
	 */
	task = kthread_create(replace_thread, &new, NAME);
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	get_task_struct(task);
	wake_up_process(task);
	msleep(50);
	complete_all(&old.go);
	KUNIT_EXPECT_EQ(test, kthread_stop_put(task), 0);
	wait_for_responses(test, &old, 8);
	KUNIT_EXPECT_EQ(test, atomic_read(&new.handled), 0);
	KUNIT_EXPECT_LT(test, atomic_read(&old.handled), 8);

	/* New requests are */
	KUNIT_EXPECT_EQ(test, model_report_page_request(b->mdev, MODEL_NO_PASID,
							IOVA, 9, flags), 0);
	wait_for_responses(test, &old, 9);
	KUNIT_EXPECT_EQ(test, atomic_read(&new.handled), 1);
	iommu_detach_group_handle(b->domain, b->group);
	iommu_dev_disable_feature(b->dev, IOMMU_DEV_FEAT_IOPF);
	model_dev_set_ops(b->mdev, NULL, NULL);
	iommu_domain_free(domain);
	unplug(b);
}

/* ---- Credits ---- */

static void prq_requests_off(void *priv)
{
	struct prq *prq = priv;

	atomic_inc(&prq->offs);
}

/* The test responds */
static int keep_handler(struct iopf_group *group)
{
	struct prq *prq = group->attach_handle->domain->fault_data;

	atomic_inc(&prq->handled);
	wait_for_completion(&prq->go);
	spin_lock(&prq->lock);
	list_add_tail(&group->node, &prq->groups);
	prq->nr_groups++;
	spin_unlock(&prq->lock);
	return 0;
}

static void wait_for_groups(struct kunit *test, struct prq *prq, unsigned int n)
{
	int i;

	for (i = 0; i < 10000 && READ_ONCE(prq->nr_groups) < n; i++)
		fsleep(1000);
	KUNIT_ASSERT_EQ(test, READ_ONCE(prq->nr_groups), n);
}

/* Respond to the first @n groups; returns the number of requests of the last */
static size_t answer(struct kunit *test, struct prq *prq, unsigned int n)
{
	struct iopf_group *group;
	size_t requests = 0;

	wait_for_groups(test, prq, n);
	while (n--) {
		spin_lock(&prq->lock);
		group = list_first_entry(&prq->groups, struct iopf_group, node);
		list_del(&group->node);
		prq->nr_groups--;
		spin_unlock(&prq->lock);
		requests = group->fault_count;
		iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
		iopf_free_group(group);
	}
	return requests;
}

static int ask(struct bench *b, u32 group, unsigned int flags)
{
	return model_report_page_request(b->mdev, MODEL_NO_PASID, IOVA, group,
					 MODEL_REQUEST_READ | flags);
}

#define LAST MODEL_REQUEST_LAST

/* Exactly @n requests can be sent; then respond to them */
static void expect_credits(struct kunit *test, struct prq *prq, unsigned int n)
{
	unsigned int had = READ_ONCE(prq->nr_groups), tries, i;
	int ret;

	for (i = 0; i < n; i++) {
		KUNIT_EXPECT_TRUE(test, model_may_request(prq->b->mdev));
		for (tries = 0; tries < 10000; tries++) {
			ret = ask(prq->b, 100 + i, LAST);
			if (ret != -ENOSPC)
				break;
			fsleep(1000);
		}
		KUNIT_EXPECT_EQ(test, ret, 0);
		wait_for_groups(test, prq, had + i + 1);
	}
	KUNIT_EXPECT_EQ(test, ask(prq->b, 99, LAST), -EAGAIN);
	KUNIT_EXPECT_FALSE(test, model_may_request(prq->b->mdev));
	answer(test, prq, had + n);
}

static void keep(struct kunit *test, struct prq *prq,
		 const struct model_params *params)
{
	struct bench *b = bench(test);

	prq->b = b;
	prq->ops.page_response = prq_response;
	prq->ops.requests_off = prq_requests_off;
	spin_lock_init(&prq->lock);
	INIT_LIST_HEAD(&prq->groups);
	init_completion(&prq->go);
	plug(test, params);
	model_dev_set_ops(b->mdev, &prq->ops, prq);
	b->domain = iommu_paging_domain_alloc(b->dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(b->domain));
	b->domain->iopf_handler = keep_handler;
	b->domain->fault_data = prq;
	KUNIT_ASSERT_EQ(test, iommu_dev_enable_feature(b->dev,
						       IOMMU_DEV_FEAT_IOPF), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_group_handle(b->domain, b->group,
							&prq->handle), 0);
}

static void keep_no_more(struct kunit *test, struct prq *prq)
{
	struct bench *b = bench(test);

	iommu_detach_group_handle(b->domain, b->group);
	KUNIT_EXPECT_EQ(test, iommu_dev_disable_feature(b->dev,
							IOMMU_DEV_FEAT_IOPF),
			0);
	model_dev_set_ops(b->mdev, NULL, NULL);
	unplug(b);
}

static void credits(struct kunit *test)
{
	struct bench *b = bench(test);
	struct prq prq = {};
	int i;

	keep(test, &prq, &(struct model_params){
		.flags = MODEL_PRI,
		.prq_credits = 4,
	});
	complete_all(&prq.go);
	KUNIT_EXPECT_EQ(test, ask(b, MODEL_GROUPS, LAST), -EINVAL);
	expect_credits(test, &prq, 4);
	KUNIT_EXPECT_EQ(test, prq.code, IOMMU_PAGE_RESP_SUCCESS);

	/* A response returns the credits of its group, and no others */
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, ask(b, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 2, LAST), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 1, LAST), -EAGAIN);
	answer(test, &prq, 1);
	KUNIT_EXPECT_EQ(test, ask(b, 1, LAST), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 3, 0), -EAGAIN);
	KUNIT_EXPECT_EQ(test, answer(test, &prq, 1), 4);
	expect_credits(test, &prq, 4);

	/* So does the answer that a request gets if its route is gone */
	KUNIT_EXPECT_EQ(test, ask(b, 3, 0), 0);
	iommu_detach_group_handle(b->domain, b->group);
	atomic_set(&prq.responses, 0);
	KUNIT_EXPECT_EQ(test, ask(b, 3, LAST), 0);
	wait_for_responses(test, &prq, 1);
	KUNIT_EXPECT_EQ(test, prq.code, IOMMU_PAGE_RESP_INVALID);
	KUNIT_ASSERT_EQ(test, iommu_attach_group_handle(b->domain, b->group,
							&prq.handle), 0);
	expect_credits(test, &prq, 4);

	/* A response that is lost does not, but a reset does */
	model_inject(b->mdev, MODEL_INJECT_RESPONSE, 1, 0);
	KUNIT_EXPECT_EQ(test, ask(b, 1, LAST), 0);
	answer(test, &prq, 1);
	expect_credits(test, &prq, 3);
	model_dev_reset(b->mdev);
	expect_credits(test, &prq, 4);

	/* Responses to what was sent before a reset return nothing */
	KUNIT_EXPECT_EQ(test, ask(b, 1, LAST), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 2, LAST), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 3, 0), 0);
	wait_for_groups(test, &prq, 2);
	model_dev_reset(b->mdev);
	answer(test, &prq, 2);
	expect_credits(test, &prq, 4);

	/* As if page requests are turned off */
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, ask(b, i, 0), 0);
	KUNIT_EXPECT_FALSE(test, model_may_request(b->mdev));
	iommu_detach_group_handle(b->domain, b->group);
	iommu_dev_disable_feature(b->dev, IOMMU_DEV_FEAT_IOPF);
	KUNIT_EXPECT_EQ(test, atomic_read(&prq.offs), 1);
	KUNIT_EXPECT_TRUE(test, model_may_request(b->mdev));
	KUNIT_EXPECT_EQ(test, ask(b, 1, LAST), -ENODEV);
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(b->dev,
						       IOMMU_DEV_FEAT_IOPF), 0);
	KUNIT_ASSERT_EQ(test, iommu_attach_group_handle(b->domain, b->group,
							&prq.handle), 0);
	expect_credits(test, &prq, 4);
	keep_no_more(test, &prq);
}

/* What finds the queue full holds no credit */
static void credits_and_overflow(struct kunit *test)
{
	struct bench *b = bench(test);
	struct prq prq = {};
	int i;

	keep(test, &prq, &(struct model_params){
		.flags = MODEL_PRI,
		.prq_credits = 4,
		.prq_depth = 2,
	});
	KUNIT_EXPECT_EQ(test, ask(b, 0, LAST), 0);
	for (i = 0; i < 1000 && !atomic_read(&prq.handled); i++)
		fsleep(1000);
	KUNIT_EXPECT_EQ(test, ask(b, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 1, 0), 0);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, ask(b, 1, 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, ask(b, 1, LAST), -ENOSPC);
	KUNIT_EXPECT_EQ(test, COUNT(b, overflows), 5);
	complete_all(&prq.go);
	wait_for_groups(test, &prq, 1);
	expect_credits(test, &prq, 3);
	expect_credits(test, &prq, 4);
	keep_no_more(test, &prq);
}

#ifdef IOMMU_FAULT_PARAM_DROPPED
/* The core bounds the requests that wait for the last of their group */
static void partial_groups(struct kunit *test)
{
	struct iommu_fault_param *param;
	struct bench *b = bench(test);
	struct prq prq = {};
	int i;

	keep(test, &prq, &(struct model_params){
		.flags = MODEL_PRI,
		.prq_credits = MODEL_NO_CREDITS,
	});
	complete_all(&prq.go);
	KUNIT_EXPECT_EQ(test, ask(b, 2, 0), 0);
	for (i = 0; i < 255; i++)
		KUNIT_EXPECT_EQ(test, ask(b, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 3, LAST), 0);
	wait_for_groups(test, &prq, 1);
	param = list_first_entry(&prq.groups, struct iopf_group, node)->fault_param;
	KUNIT_EXPECT_EQ(test, READ_ONCE(param->dropped), 0);
	KUNIT_EXPECT_EQ(test, answer(test, &prq, 1), 1);

	/* Group 2 has waited longest: group 1 has room for one more */
	KUNIT_EXPECT_EQ(test, ask(b, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 2, LAST), 0);
	wait_for_groups(test, &prq, 1);
	param = list_first_entry(&prq.groups, struct iopf_group, node)->fault_param;
	KUNIT_EXPECT_EQ(test, READ_ONCE(param->dropped), 1);
	KUNIT_EXPECT_EQ(test, answer(test, &prq, 1), 1);

	/* Its own requests go; those that follow are delivered */
	for (i = 0; i < 44; i++)
		KUNIT_EXPECT_EQ(test, ask(b, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, ask(b, 1, LAST), 0);
	wait_for_groups(test, &prq, 1);
	param = list_first_entry(&prq.groups, struct iopf_group, node)->fault_param;
	KUNIT_EXPECT_EQ(test, READ_ONCE(param->dropped), 257);
	KUNIT_EXPECT_EQ(test, answer(test, &prq, 1), 45);

	/* Groups that are complete are not counted */
	for (i = 0; i < 300; i++)
		KUNIT_EXPECT_EQ(test, ask(b, i, 0) ?: ask(b, i, LAST), 0);
	wait_for_groups(test, &prq, 300);
	param = list_first_entry(&prq.groups, struct iopf_group, node)->fault_param;
	KUNIT_EXPECT_EQ(test, READ_ONCE(param->dropped), 257);
	KUNIT_EXPECT_EQ(test, answer(test, &prq, 300), 2);
	keep_no_more(test, &prq);
}
#endif

#ifdef IOMMU_DMA_FAULT_NOTIFIER
/* ---- Faults ---- */

struct listener {
	struct notifier_block nb;
	struct device *dev;
	struct iommu_dma_fault fault;
	unsigned int told;
	bool in_irq;
};

static int hear(struct notifier_block *nb, unsigned long unused, void *data)
{
	struct listener *listener = container_of(nb, struct listener, nb);
	const struct iommu_dma_fault *fault = data;

	if (fault->dev == listener->dev) {
		listener->fault = *fault;
		listener->told++;
		listener->in_irq = irqs_disabled();
	}
	return NOTIFY_OK;
}

static void listeners(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct listener listener = { .nb.notifier_call = hear };
	const struct iommu_dma_fault *fault = &listener.fault;
	struct bench *b = bench(test);
	u64 value = 1;

	plug(test, &(struct model_params){
		.flags = MODEL_PRI,
		.pasid_bits = 4,
	});
	listener.dev = b->dev;
	KUNIT_ASSERT_EQ(test, iommu_register_dma_fault_notifier(&listener.nb), 0);
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA + 8, value),
			MODEL_FAULT_BLOCKED);
	KUNIT_EXPECT_EQ(test, listener.told, 1);
	KUNIT_EXPECT_TRUE(test, listener.in_irq);
	KUNIT_EXPECT_EQ(test, fault->flags, IOMMU_DMA_FAULT_ADDR);
	KUNIT_EXPECT_EQ(test, fault->pasid, IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, fault->addr, IOVA + 8);
	KUNIT_EXPECT_EQ(test, fault->reason, MODEL_FAULT_BLOCKED);
	KUNIT_EXPECT_EQ(test, fault->perm, IOMMU_FAULT_PERM_WRITE);

	KUNIT_EXPECT_EQ(test, dma(b, 5, IOVA, &value, MODEL_READ),
			MODEL_FAULT_PASID);
	KUNIT_EXPECT_EQ(test, listener.told, 2);
	KUNIT_EXPECT_EQ(test, fault->pasid, 5);
	KUNIT_EXPECT_EQ(test, fault->reason, MODEL_FAULT_PASID);
	KUNIT_EXPECT_EQ(test, fault->perm, IOMMU_FAULT_PERM_READ);

	/* An access that works is no fault, nor is one that may yet */
	attach(test);
	KUNIT_EXPECT_EQ(test, map_page(b, IOVA, page, IOMMU_READ), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, IOVA, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, iommu_dev_enable_feature(b->dev,
						       IOMMU_DEV_FEAT_IOPF), 0);
	KUNIT_EXPECT_EQ(test, model_access(b->mdev, MODEL_NO_PASID,
					   IOVA + PAGE_SIZE, &value, 8,
					   MODEL_READ, MODEL_ACCESS_PRI, NULL),
			MODEL_PAGE_REQUEST);
	KUNIT_EXPECT_EQ(test, listener.told, 2);
	iommu_dev_disable_feature(b->dev, IOMMU_DEV_FEAT_IOPF);

	KUNIT_EXPECT_EQ(test, dma(b, MODEL_NO_PASID, IOVA, &value,
				  MODEL_FETCH_ADD), MODEL_FAULT_DENIED);
	KUNIT_EXPECT_EQ(test, listener.told, 3);
	KUNIT_EXPECT_EQ(test, fault->perm,
			IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE);
	KUNIT_EXPECT_TRUE(test, iommu_dma_fault_has_listeners());
	KUNIT_EXPECT_EQ(test,
			iommu_unregister_dma_fault_notifier(&listener.nb), 0);
	KUNIT_EXPECT_EQ(test, dma_write(b, IOVA, value), MODEL_FAULT_DENIED);
	KUNIT_EXPECT_EQ(test, listener.told, 3);
	iommu_unmap(b->domain, IOVA, PAGE_SIZE);
	detach(b);
	unplug(b);
	put_pages(page);
}
#endif

/* ---- The rest ---- */

static void reserved_regions(struct kunit *test)
{
	struct model_params params = {
		.nr_resv = 2,
		.resv = {
			{ SZ_16M, SZ_1M, MODEL_RESV_RESERVED },
			{ SZ_32M, SZ_1M, MODEL_RESV_SW_MSI },
		},
	};
	struct iommu_resv_region *region;
	struct bench *b = bench(test);
	LIST_HEAD(list);
	int seen = 0;

	plug(test, &params);
	iommu_get_resv_regions(b->dev, &list);
	list_for_each_entry(region, &list, list) {
		KUNIT_EXPECT_EQ(test, region->length, SZ_1M);
		if (region->start == SZ_16M &&
		    region->type == IOMMU_RESV_RESERVED)
			seen |= 1;
		if (region->start == SZ_32M &&
		    region->type == IOMMU_RESV_SW_MSI)
			seen |= 2;
	}
	KUNIT_EXPECT_EQ(test, seen, 3);
	iommu_put_resv_regions(b->dev, &list);
	KUNIT_EXPECT_TRUE(test, iommu_group_has_isolated_msi(b->group));
	unplug(b);

	params.nr_resv = 1;
	KUNIT_EXPECT_EQ(test, model_check_params(&params), -EINVAL);
	plug(test, &(struct model_params){ .flags = MODEL_NO_ISOLATED_MSI });
	KUNIT_EXPECT_FALSE(test, iommu_group_has_isolated_msi(b->group));
	unplug(b);
}

static void aperture(struct kunit *test)
{
	struct model_params params = {
		.aperture_start = SZ_1M,
		.aperture_last = SZ_2M - 1,
		.levels = 2,
	};
	struct page *page = get_pages(test, 0);
	struct bench *b = bench(test);
	u64 value;

	params.page_sizes = SZ_4K;
	plug(test, &params);
	attach(test);
	KUNIT_EXPECT_EQ(test, b->domain->geometry.aperture_end, SZ_2M - 1);
	KUNIT_EXPECT_NE(test, map_page(b, SZ_2M, page, RW), 0);
	KUNIT_EXPECT_NE(test, map_page(b, SZ_1M - SZ_4K, page, RW), 0);
	KUNIT_EXPECT_EQ(test, map_page(b, SZ_2M - SZ_4K, page, RW), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, SZ_2M - 8, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, dma_read(b, SZ_2M, &value), MODEL_FAULT_WIDTH);
	iommu_unmap(b->domain, SZ_2M - SZ_4K, SZ_4K);
	detach(b);
	unplug(b);
	put_pages(page);
	params.aperture_last = SZ_1G;
	KUNIT_EXPECT_EQ(test, model_check_params(&params), -EINVAL);
}

static void top_of_the_space(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct bench *b = bench(test);
	u64 iova = -(u64)PAGE_SIZE, value;

	plug(test, &(struct model_params){
		.page_sizes = SZ_4K,
		.levels = 6,
	});
	attach(test);
	KUNIT_EXPECT_EQ(test, b->domain->geometry.aperture_end, U64_MAX);
	KUNIT_EXPECT_EQ(test, map_page(b, iova, page, RW), 0);
	KUNIT_EXPECT_EQ(test, dma_read(b, U64_MAX - 7, &value), MODEL_OK);
	KUNIT_EXPECT_EQ(test, model_audit(b->mdev), 0);
	KUNIT_EXPECT_EQ(test, iommu_unmap(b->domain, iova, PAGE_SIZE),
			PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, dma_read(b, U64_MAX - 7, &value),
			MODEL_FAULT_ABSENT);
	detach(b);
	unplug(b);
	put_pages(page);
}

static void groups(struct kunit *test)
{
	struct model_params params = {}, other = { .unit = 1 };
	struct bench *b = bench(test);
	struct model_dev *twin, *alien;
	struct iommu_group *group;
	u64 value;

	b->mdev = model_dev_create(NAME, PLATFORM_DEVID_AUTO, &params, 7);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b->mdev);
	twin = model_dev_create(NAME, PLATFORM_DEVID_AUTO, &params, 7);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, twin);
	alien = model_dev_create(NAME, PLATFORM_DEVID_AUTO, &other, 7);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, alien);
	b->dev = model_dev_device(b->mdev);
	b->group = iommu_group_get(b->dev);

	group = iommu_group_get(model_dev_device(twin));
	KUNIT_EXPECT_PTR_EQ(test, group, b->group);
	iommu_group_put(group);
	group = iommu_group_get(model_dev_device(alien));
	KUNIT_EXPECT_PTR_NE(test, group, b->group);

	KUNIT_EXPECT_EQ(test, iommu_group_claim_dma_owner(b->group, owner), 0);
	KUNIT_EXPECT_EQ(test, iommu_group_claim_dma_owner(group, owner), 0);
	attach(test);
	KUNIT_EXPECT_EQ(test, iommu_attach_group(b->domain, group), -EINVAL);
	KUNIT_EXPECT_EQ(test, model_access(twin, MODEL_NO_PASID, IOVA, &value,
					   8, MODEL_READ, 0, NULL),
			MODEL_FAULT_ABSENT);
	detach(b);
	KUNIT_EXPECT_EQ(test, model_access(twin, MODEL_NO_PASID, IOVA, &value,
					   8, MODEL_READ, 0, NULL),
			MODEL_FAULT_BLOCKED);
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
	model_dev_destroy(alien);
	model_dev_destroy(twin);
	unplug(b);
}

static void default_domain(struct kunit *test)
{
	struct page *page = get_pages(test, 0);
	struct bench *b = bench(test);
	u64 value = 0;

	*(u64 *)page_address(page) = 0x1234;
	plug(test, &(struct model_params){});
	iommu_group_release_dma_owner(b->group);
	KUNIT_EXPECT_EQ(test, dma_read(b, page_to_phys(page), &value),
			MODEL_OK);
	KUNIT_EXPECT_EQ(test, value, 0x1234);
	KUNIT_EXPECT_EQ(test, COUNT(b, bypass), 1);
	KUNIT_EXPECT_EQ(test, iommu_group_claim_dma_owner(b->group, owner), 0);
	unplug(b);
	put_pages(page);
}

/* ---- Many at once ---- */

static int storm_thread(void *data)
{
	struct bench *b = data;
	u64 value = 0;

	while (!kthread_should_stop()) {
		u64 iova = IOVA + get_random_u32_below(16) * SZ_4K;

		model_access(b->mdev, MODEL_NO_PASID, iova, &value, 8,
			     MODEL_WRITE, MODEL_ACCESS_ATS, NULL);
		cond_resched();
	}
	return 0;
}

/* Concurrent DMA and correct unmaps: the ledger reports nothing */
static void storm(struct kunit *test)
{
	struct task_struct *threads[3];
	struct bench *b = bench(test);
	struct page *pages[16];
	unsigned int i, round;

	plug(test, &(struct model_params){
		.flags = MODEL_ATS | MODEL_DIRTY | MODEL_EVICT_RANDOM,
	});
	attach(test);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		threads[i] = kthread_run(storm_thread, b, NAME);
		KUNIT_ASSERT_FALSE(test, IS_ERR(threads[i]));
	}
	for (round = 0; round < 80; round++) {
		for (i = 0; i < ARRAY_SIZE(pages); i++) {
			pages[i] = get_pages(test, 0);
			pin(pages[i]);
			KUNIT_EXPECT_EQ(test, map_page(b, IOVA + i * SZ_4K,
						       pages[i], RW), 0);
		}
		cond_resched();
		if (round % 8 == 0)
			KUNIT_EXPECT_EQ(test, model_audit(b->mdev), 0);
		if (round % 16 == 0)
			detach(b);
		iommu_unmap(b->domain, IOVA, ARRAY_SIZE(pages) * SZ_4K);
		for (i = 0; i < ARRAY_SIZE(pages); i++) {
			unpin(pages[i]);
			put_pages(pages[i]);
		}
		if (round % 16 == 0)
			attach(test);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		kthread_stop(threads[i]);
	KUNIT_EXPECT_GT(test, COUNT(b, walks), 0);
	KUNIT_EXPECT_EQ(test, COUNT(b, ledger_pages), 0);
	detach(b);
	KUNIT_EXPECT_EQ(test, COUNT(b, cached), 0);
	unplug(b);
}

static int model_test_init(struct kunit *test)
{
	test->priv = kunit_kzalloc(test, sizeof(struct bench), GFP_KERNEL);
	if (!test->priv)
		return -ENOMEM;
	bench(test)->test = test;
	return 0;
}

static struct kunit_case model_cases[] = {
	KUNIT_CASE(page_sizes),
	KUNIT_CASE(superpages),
	KUNIT_CASE(permissions),
	KUNIT_CASE(atomics),
	KUNIT_CASE(missing_flush),
	KUNIT_CASE(strict_flush),
	KUNIT_CASE(absent_cached),
	KUNIT_CASE(ledger),
	KUNIT_CASE(ledger_of_a_range),
	KUNIT_CASE(dirty_bits),
	KUNIT_CASE(no_snoop),
	KUNIT_CASE(injected_failures),
	KUNIT_CASE(pasids),
	KUNIT_CASE(device_tlb),
	KUNIT_CASE(nested),
	KUNIT_CASE(pasid_table),
	KUNIT_CASE(page_requests),
	KUNIT_CASE(page_requests_and_replace),
	KUNIT_CASE(credits),
	KUNIT_CASE(credits_and_overflow),
#ifdef IOMMU_FAULT_PARAM_DROPPED
	KUNIT_CASE(partial_groups),
#endif
#ifdef IOMMU_DMA_FAULT_NOTIFIER
	KUNIT_CASE(listeners),
#endif
	KUNIT_CASE(reserved_regions),
	KUNIT_CASE(aperture),
	KUNIT_CASE(top_of_the_space),
	KUNIT_CASE(groups),
	KUNIT_CASE(default_domain),
	KUNIT_CASE(storm),
	{}
};

static struct kunit_suite model_suite = {
	.name = "ioasid_mock",
	.init = model_test_init,
	.test_cases = model_cases,
};

kunit_test_suite(model_suite);

MODULE_DESCRIPTION("KUnit tests of the model IOMMU");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_IMPORT_NS(IOMMUFD_INTERNAL);
