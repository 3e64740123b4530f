// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of how domain.c maps to and unmaps from page tables, with an IOMMU
 * driver that is an array.
 *
 * The array records the start and the size of each IOPTE, and pages that were
 * unmapped but not flushed yet.  It refuses all that a driver refuses: every
 * address must be aligned, no page may be mapped twice, and no part of an IOPTE
 * may be unmapped.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/rwsem.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "../ioas/domain.h"
#include "util.h"

#define UNIT_SHIFT	(PAGE_SHIFT - 1)
#define UNIT		BIT_ULL(UNIT_SHIFT)
#define PAGES		2048
#define UNITS		(2 * PAGES)
#define NEVER		UINT_MAX

/* The translation of an IOVA */
struct unit {
	phys_addr_t phys;
	u64 pte;		/* start of its IOPTE */
	u64 size;		/* size of its IOPTE */
	int prot;
	bool mapped;
	bool stale;		/* unmapped, but not flushed */
};

struct table {
	struct iommu_domain iommu;
	struct ioas_domain dom;
	struct kunit *test;
	u64 base;
	struct unit *unit;
	/* number of pages to map before it fails */
	unsigned int room;
	int error;
	bool tells_partial;
	/* number of IOPTEs to unmap before it fails */
	unsigned int outs;
	bool in_unmap;
	unsigned int flushes;
	unsigned int map_syncs;
	int sync_error;
	unsigned int map_calls;
	/* held for reading while it maps; the first call meets a writer */
	struct rw_semaphore *sem;
	struct task_struct *writer;
};

#define to_table(domain)	container_of(domain, struct table, iommu)

static struct unit *unit_at(struct table *table, u64 iova)
{
	u64 i = (iova - table->base) >> UNIT_SHIFT;

	KUNIT_ASSERT_LT_MSG(table->test, i, UNITS, "iova %llx", iova);
	return &table->unit[i];
}

static int lock_for_writing(void *data)
{
	struct rw_semaphore *sem = data;

	down_write(sem);
	up_write(sem);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* Start a thread that waits for the lock, and return when it does */
static void meet_writer(struct table *table)
{
	table->writer = kthread_run(lock_for_writing, table->sem, "ioasid-writer");
	KUNIT_ASSERT_FALSE(table->test, IS_ERR(table->writer));
	while (!rwsem_is_contended(table->sem))
		schedule_timeout_uninterruptible(1);
}

static int table_map(struct iommu_domain *domain, unsigned long iova,
		     phys_addr_t phys, size_t pgsize, size_t pgcount, int prot,
		     gfp_t gfp, size_t *mapped)
{
	struct table *table = to_table(domain);
	struct kunit *test = table->test;
	size_t wrote = 0, i, n;

	KUNIT_ASSERT_GT(test, pgcount, 0);
	KUNIT_ASSERT_TRUE(test, is_power_of_2(pgsize));
	KUNIT_ASSERT_TRUE(test, domain->pgsize_bitmap & pgsize);
	KUNIT_ASSERT_EQ(test, (iova | phys) & (pgsize - 1), 0);

	if (!table->map_calls++ && table->sem)
		meet_writer(table);
	for (n = 0; n < pgcount; n++) {
		if (table->room != NEVER &&
		    wrote + pgsize > (u64)table->room << PAGE_SHIFT) {
			*mapped = table->tells_partial ? wrote : 0;
			table->room = 0;
			return table->error;
		}
		for (i = 0; i < pgsize; i += UNIT) {
			struct unit *unit = unit_at(table, iova + wrote + i);

			KUNIT_ASSERT_FALSE(test, unit->mapped);
			KUNIT_ASSERT_FALSE(test, unit->stale);
			unit->mapped = true;
			unit->phys = phys + wrote + i;
			unit->pte = iova + wrote;
			unit->size = pgsize;
			unit->prot = prot;
		}
		wrote += pgsize;
	}
	if (table->room != NEVER)
		table->room -= wrote >> PAGE_SHIFT;
	*mapped = wrote;
	return 0;
}

static size_t table_unmap(struct iommu_domain *domain, unsigned long iova,
			  size_t pgsize, size_t pgcount,
			  struct iommu_iotlb_gather *gather)
{
	struct table *table = to_table(domain);
	struct kunit *test = table->test;
	size_t size = pgsize * pgcount, out = 0, i;

	KUNIT_ASSERT_TRUE(test, domain->pgsize_bitmap & pgsize);
	KUNIT_ASSERT_EQ(test, iova & (pgsize - 1), 0);
	while (out < size) {
		struct unit *unit = unit_at(table, iova + out);
		u64 pte = unit->size;

		if (!unit->mapped || !table->outs)
			break;
		if (table->outs != NEVER)
			table->outs--;
		KUNIT_ASSERT_EQ(test, unit->pte, iova + out);
		KUNIT_ASSERT_LE(test, pte, size - out);
		for (i = 0; i < pte; i += UNIT) {
			unit = unit_at(table, iova + out + i);
			unit->mapped = false;
			unit->stale = true;
		}
		out += pte;
	}
	if (!out || iommu_iotlb_gather_queued(gather))
		return out;

	/* AMD's driver only collects; Intel's flushes ranges that do not fit */
	if (!table->dom.deferred_flush) {
		iommu_iotlb_gather_add_range(gather, iova, size);
		return out;
	}
	/*
	 * A gather that flushes by itself, in here, may have tables on its list
	 * that the flush does not cover.
	 */
	table->in_unmap = true;
	iommu_iotlb_gather_add_page(domain, gather, iova, size);
	table->in_unmap = false;
	return out;
}

static void table_sync(struct iommu_domain *domain,
		       struct iommu_iotlb_gather *gather)
{
	struct table *table = to_table(domain);
	u64 i, n = (gather->end - gather->start + 1) >> UNIT_SHIFT;

	KUNIT_EXPECT_FALSE_MSG(table->test, table->in_unmap,
			       "%lx to %lx, pages of %zx, base %llx, sizes %lx",
			       gather->start, gather->end, gather->pgsize,
			       table->base, domain->pgsize_bitmap);
	table->flushes++;
	for (i = 0; i < n; i++)
		unit_at(table, gather->start + (i << UNIT_SHIFT))->stale = false;
}

static void table_flush_all(struct iommu_domain *domain)
{
	struct table *table = to_table(domain);
	unsigned int i;

	table->flushes++;
	for (i = 0; i < UNITS; i++)
		table->unit[i].stale = false;
}

static int table_sync_map(struct iommu_domain *domain, unsigned long iova,
			  size_t size)
{
	struct table *table = to_table(domain);

	table->map_syncs++;
	return table->sync_error;
}

static phys_addr_t table_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	struct unit *unit = unit_at(to_table(domain), iova);

	return unit->mapped ? unit->phys + (iova & (UNIT - 1)) : 0;
}

static const struct iommu_domain_ops table_ops = {
	.map_pages = table_map,
	.unmap_pages = table_unmap,
	.iotlb_sync = table_sync,
	.flush_iotlb_all = table_flush_all,
	.iotlb_sync_map = table_sync_map,
	.iova_to_phys = table_phys,
};

/* Page sizes that IOMMUs have */
static const unsigned long sizes[] = {
	PAGE_SIZE,
	PAGE_SIZE | SZ_2M | SZ_1G,
	PAGE_SIZE | SZ_64K | SZ_2M,
	UL(0xfffffffffffff000),		/* every one */
	UNIT,				/* smaller than those of the CPU */
	UNIT | PAGE_SIZE | SZ_1M,
};

/* Anywhere, and at the very end */
static const u64 bases[] = { 5ULL << 30, 0 - PAGES * (u64)PAGE_SIZE };

static struct table *new_table(struct kunit *test)
{
	struct table *table = kunit_kzalloc(test, sizeof(*table), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, table);
	table->unit = kunit_kcalloc(test, UNITS, sizeof(*table->unit),
				    GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, table->unit);
	table->test = test;
	table->iommu.type = IOMMU_DOMAIN_UNMANAGED;
	table->iommu.ops = &table_ops;
	table->dom.iommu = &table->iommu;
	return table;
}

static void reset_table(struct table *table, u64 base, unsigned long pgsizes,
			bool deferred_flush)
{
	memset(table->unit, 0, UNITS * sizeof(*table->unit));
	table->base = base;
	table->iommu.pgsize_bitmap = pgsizes;
	table->dom.deferred_flush = deferred_flush;
	table->dom.poisoned = false;
	table->room = NEVER;
	table->outs = NEVER;
	table->error = -ENOMEM;
	table->sync_error = 0;
	table->tells_partial = true;
	table->flushes = 0;
	table->map_syncs = 0;
	table->map_calls = 0;
}

/* A mapping to test: its place, size and permission */
struct mapping {
	struct ioasid_memory mem;
	u64 iova;
	unsigned int first;	/* page in the table */
	unsigned int n;		/* pages */
	unsigned int flags;
	unsigned int cut_shift;
};

static void random_mapping(struct kunit *test, struct rnd_state *rnd,
			   struct table *table, struct mapping *map)
{
	static const unsigned int shifts[] = { 0, 0, PAGE_SHIFT, 14, 16, 21 };
	struct ioasid_extent_list list;
	unsigned int at = 0, run;
	unsigned long pfn;

	map->n = random_below(rnd, 4) ? random_length(rnd, PAGES) :
					PAGES - random_below(rnd, 4);
	map->first = random_below(rnd, PAGES - map->n + 1);
	map->iova = table->base + (u64)map->first * PAGE_SIZE;
	map->flags = random_below(rnd, 3) + 1;
	map->cut_shift = shifts[random_below(rnd, ARRAY_SIZE(shifts))];

	ioasid_extent_list_init(&list, &map->mem, false);
	while (at < map->n) {
		run = random_below(rnd, 3) ? map->n - at :
					     random_length(rnd, map->n - at);
		pfn = (random_below(rnd, 1 << 20) + 1) << 12;
		/* Often aligned so that large pages are possible */
		pfn += random_below(rnd, 2) ?
			(map->iova >> PAGE_SHIFT) % 512 + at : run;
		KUNIT_ASSERT_EQ(test,
				ioasid_extent_list_add(&list, pfn, run,
						       map->n - at - run),
				0);
		at += run;
	}
	ioasid_extent_list_finish(&list);
}

static unsigned int units_in_use(struct table *table)
{
	unsigned int i, n = 0;

	for (i = 0; i < UNITS; i++) {
		n += table->unit[i].mapped;
		KUNIT_ASSERT_FALSE_MSG(table->test, table->unit[i].stale,
				       "not flushed: unit %u", i);
	}
	return n;
}

/*
 * Check that every page of the mapping from @from on, up to before @to, is
 * mapped correctly, and no other page is.
 */
static void expect_translation(struct kunit *test, struct table *table,
			       const struct mapping *map, unsigned int from,
			       unsigned int to)
{
	int prot = IOMMU_CACHE |
		   (map->flags & IOASID_MAP_READ ? IOMMU_READ : 0) |
		   (map->flags & IOASID_MAP_WRITE ? IOMMU_WRITE : 0);
	struct ioasid_runs runs;
	struct ioasid_run run;
	unsigned int page = 0;

	KUNIT_ASSERT_EQ(test, units_in_use(table), (to - from) * 2);
	ioasid_runs_start(&runs, &map->mem);
	while (ioasid_runs_next(&runs, &run)) {
		for (; run.npages; run.npages--, run.pfn++, page++) {
			struct unit *unit = &table->unit[2 * (map->first + page)];

			if (page < from || page >= to)
				continue;
			KUNIT_ASSERT_TRUE(test, unit[0].mapped && unit[1].mapped);
			KUNIT_ASSERT_EQ(test, unit[0].phys, PFN_PHYS(run.pfn));
			KUNIT_ASSERT_EQ(test, unit[1].phys,
					PFN_PHYS(run.pfn) + UNIT);
			KUNIT_ASSERT_EQ(test, unit[0].prot, prot);
			KUNIT_ASSERT_EQ(test, unit[1].prot, prot);
		}
	}
}

/* Check that every IOPTE is the largest one that fits at its start */
static void expect_largest(struct kunit *test, struct table *table,
			   const struct mapping *map)
{
	struct ioasid_runs runs;
	struct ioasid_run run;
	u64 at = map->iova;

	ioasid_runs_start(&runs, &map->mem);
	while (ioasid_runs_next(&runs, &run)) {
		u64 left = (u64)run.npages << PAGE_SHIFT;
		u64 phys = PFN_PHYS(run.pfn), size, end;

		while (left) {
			for (size = BIT_ULL(40); size; size >>= 1) {
				end = at + (size - 1);
				if (!(table->iommu.pgsize_bitmap & size) ||
				    size > left || (at | phys) & (size - 1))
					continue;
				if (!map->cut_shift ||
				    !((at ^ end) >> map->cut_shift))
					break;
			}
			KUNIT_ASSERT_NE(test, size, 0);
			KUNIT_ASSERT_EQ(test, unit_at(table, at)->pte, at);
			KUNIT_ASSERT_EQ_MSG(test, unit_at(table, at)->size, size,
					    "at %llx to %llx, %llx left, cut %u",
					    at, phys, left, map->cut_shift);
			at += size;
			phys += size;
			left -= size;
		}
	}
}

static void gather(struct table *table, u64 iova, u64 length)
{
	struct ioas_gather gather;

	ioas_gather_start(&gather, &table->dom, false);
	ioas_gather_range(&gather, iova, length);
	ioas_gather_finish(&gather);
}

typedef void (*one_fn)(struct kunit *test, struct rnd_state *rnd,
		       struct table *table, struct mapping *map);

static void every_kind(struct kunit *test, unsigned int rounds, one_fn fn)
{
	struct table *table = new_table(test);
	unsigned int i, round;
	struct rnd_state rnd;
	struct mapping map;

	random_seed(test, &rnd);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (round = 0; round < rounds; round++) {
			reset_table(table, bases[round % 2], sizes[i],
				    random_below(&rnd, 2));
			random_mapping(test, &rnd, table, &map);
			fn(test, &rnd, table, &map);
			memory_forget(&map.mem);
			cond_resched();
		}
	}
}

static int put_in(struct table *table, struct mapping *map)
{
	return ioas_domain_map(&table->dom, map->iova, &map->mem, map->flags,
			       map->cut_shift, NULL);
}

static void map_one(struct kunit *test, struct rnd_state *rnd,
		    struct table *table, struct mapping *map)
{
	KUNIT_ASSERT_EQ(test, put_in(table, map), 0);
	KUNIT_ASSERT_EQ(test, table->map_syncs, 1);
	expect_translation(test, table, map, 0, map->n);
	expect_largest(test, table, map);
	KUNIT_ASSERT_EQ(test, table->flushes, 0);

	gather(table, map->iova, (u64)map->n << PAGE_SHIFT);
	KUNIT_ASSERT_EQ(test, units_in_use(table), 0);
	KUNIT_ASSERT_FALSE(test, table->dom.poisoned);
	/* The number of pieces does not matter */
	if (table->dom.deferred_flush)
		KUNIT_ASSERT_EQ(test, table->flushes, 1);
}

static void map(struct kunit *test)
{
	every_kind(test, 100, map_one);
}

static void cut_one(struct kunit *test, struct rnd_state *rnd,
		    struct table *table, struct mapping *map)
{
	unsigned int cell, from, to;

	if (!map->cut_shift)
		return;
	KUNIT_ASSERT_EQ(test, put_in(table, map), 0);
	/* Unmap from a line of the grid on, without a prior split */
	cell = 1U << (map->cut_shift - PAGE_SHIFT);
	from = random_below(rnd, map->n);
	from += -(from + (map->iova >> PAGE_SHIFT)) & (cell - 1);
	to = map->n;
	if (from >= to)
		from = 0;
	if (from)
		gather(table, map->iova + (u64)from * PAGE_SIZE,
		       (u64)(to - from) * PAGE_SIZE);
	expect_translation(test, table, map, 0, from ?: to);
	gather(table, map->iova, (u64)(from ?: to) * PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, units_in_use(table), 0);
}

static void cut_on_grid(struct kunit *test)
{
	every_kind(test, 100, cut_one);
}

static void scattered_one(struct kunit *test, struct rnd_state *rnd,
			  struct table *table, struct mapping *map)
{
	struct ioas_gather gather;
	unsigned int page;

	map->cut_shift = PAGE_SHIFT;
	KUNIT_ASSERT_EQ(test, put_in(table, map), 0);
	ioas_gather_start(&gather, &table->dom, true);
	for (page = 0; page < map->n; page += 2)
		ioas_gather_range(&gather, map->iova + (u64)page * PAGE_SIZE,
				  PAGE_SIZE);
	ioas_gather_finish(&gather);
	KUNIT_ASSERT_EQ(test, units_in_use(table), map->n / 2 * 2);
	if (table->dom.deferred_flush)
		KUNIT_ASSERT_EQ(test, table->flushes, 1);
}

/* Ranges that do not touch share a flush */
static void scattered(struct kunit *test)
{
	every_kind(test, 50, scattered_one);
}

static void split_at(struct kunit *test, struct table *table,
		     struct mapping *map, u64 floor, unsigned int page)
{
	u64 at = map->iova + (u64)page * PAGE_SIZE, pte, size;
	struct unit *before;
	unsigned int i;

	before = kmemdup_array(table->unit, UNITS, sizeof(*before), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, before);
	pte = unit_at(table, at)->pte;
	size = unit_at(table, at)->size;
	KUNIT_ASSERT_EQ(test,
			ioas_domain_split(&table->dom, map->iova, &map->mem,
					  map->flags, map->cut_shift, floor,
					  at, NULL),
			0);
	expect_translation(test, table, map, 0, map->n);
	KUNIT_ASSERT_EQ(test, unit_at(table, at)->pte, at);
	/* No other IOPTE was touched */
	for (i = 0; i < UNITS; i++) {
		u64 iova = table->base + i * UNIT;

		if (iova - pte >= size || pte == at)
			KUNIT_ASSERT_EQ_MSG(test,
					    memcmp(&before[i], &table->unit[i],
						   sizeof(*before)),
					    0, "at %llx, split at %llx", iova,
					    at);
	}
	kfree(before);
}

static void split_one(struct kunit *test, struct rnd_state *rnd,
		      struct table *table, struct mapping *map)
{
	unsigned int left, right;

	if (map->n < 3)
		return;
	KUNIT_ASSERT_EQ(test, put_in(table, map), 0);
	left = random_below(rnd, map->n - 2) + 1;
	right = left + 1 + random_below(rnd, map->n - left - 1);
	split_at(test, table, map, map->iova, left);
	split_at(test, table, map, map->iova + (u64)left * PAGE_SIZE, right);

	gather(table, map->iova + (u64)left * PAGE_SIZE,
	       (u64)(right - left) * PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, units_in_use(table), 2 * (map->n - right + left));
	gather(table, map->iova, (u64)left * PAGE_SIZE);
	expect_translation(test, table, map, right, map->n);
}

static void split(struct kunit *test)
{
	every_kind(test, 60, split_one);
}

static void split_fails_one(struct kunit *test, struct rnd_state *rnd,
			    struct table *table, struct mapping *map)
{
	unsigned int page;
	u64 at, size;

	if (map->n < 2)
		return;
	KUNIT_ASSERT_EQ(test, put_in(table, map), 0);
	page = random_below(rnd, map->n - 1) + 1;
	at = map->iova + (u64)page * PAGE_SIZE;
	size = unit_at(table, at)->size;
	if (unit_at(table, at)->pte == at || size <= PAGE_SIZE)
		return;
	/* The IOPTE can neither be split nor be restored */
	table->room = random_below(rnd, size >> PAGE_SHIFT);
	KUNIT_ASSERT_EQ(test,
			ioas_domain_split(&table->dom, map->iova, &map->mem,
					  map->flags, map->cut_shift,
					  map->iova, at, NULL),
			-EIO);
	KUNIT_ASSERT_TRUE(test, table->dom.poisoned);
	/* And the rest is right */
	KUNIT_ASSERT_EQ(test, units_in_use(table),
			2 * map->n - (size >> UNIT_SHIFT));
}

static void split_fails(struct kunit *test)
{
	every_kind(test, 60, split_fails_one);
}

static void map_fails_one(struct kunit *test, struct rnd_state *rnd,
			  struct table *table, struct mapping *map)
{
	/* The last two have a meaning of their own in here */
	static const int errors[] = { -ENOMEM, -EPROTO, -EAGAIN, -EINTR };

	table->room = random_below(rnd, map->n);
	table->tells_partial = random_below(rnd, 2);
	table->error = errors[random_below(rnd, ARRAY_SIZE(errors))];
	KUNIT_ASSERT_EQ(test, put_in(table, map),
			table->error == -ENOMEM ? -ENOMEM : -EIO);
	KUNIT_ASSERT_EQ(test, units_in_use(table), 0);
	KUNIT_ASSERT_FALSE(test, table->dom.poisoned);
}

/* A driver that fails, and reports or hides the pages that it mapped before */
static void map_fails(struct kunit *test)
{
	every_kind(test, 100, map_fails_one);
}

static void sync_fails_one(struct kunit *test, struct rnd_state *rnd,
			   struct table *table, struct mapping *map)
{
	table->sync_error = random_below(rnd, 2) ? -ENOMEM : -EAGAIN;
	KUNIT_ASSERT_EQ(test, put_in(table, map),
			table->sync_error == -ENOMEM ? -ENOMEM : -EIO);
	KUNIT_ASSERT_EQ(test, table->map_syncs, 1);
	KUNIT_ASSERT_EQ(test, units_in_use(table), 0);
	KUNIT_ASSERT_FALSE(test, table->dom.poisoned);
}

/* A driver that writes all, and cannot make it visible */
static void sync_fails(struct kunit *test)
{
	every_kind(test, 100, sync_fails_one);
}

static void map_stops_one(struct kunit *test, struct rnd_state *rnd,
			  struct table *table, struct mapping *map)
{
	struct rw_semaphore sem;
	bool wanted = false;
	struct ioas_stop stop = { .wanted = &wanted, .sem = &sem };
	unsigned int calls;
	int ret;

	init_rwsem(&sem);
	KUNIT_ASSERT_EQ(test, put_in(table, map), 0);
	calls = table->map_calls;
	gather(table, map->iova, (u64)map->n << PAGE_SHIFT);

	table->map_calls = 0;
	table->sem = &sem;
	down_read(&sem);
	ret = ioas_domain_map(&table->dom, map->iova, &map->mem, map->flags,
			      map->cut_shift, &stop);
	up_read(&sem);
	table->sem = NULL;
	kthread_stop(table->writer);
	KUNIT_ASSERT_EQ(test, ret, calls > 1 ? -EAGAIN : 0);
	KUNIT_ASSERT_EQ(test, table->map_calls, 1);
	if (ret)
		KUNIT_ASSERT_EQ(test, units_in_use(table), 0);

	reset_table(table, table->base, table->iommu.pgsize_bitmap, false);
	wanted = true;
	ret = ioas_domain_map(&table->dom, map->iova, &map->mem, map->flags,
			      map->cut_shift, &stop);
	KUNIT_ASSERT_EQ(test, ret, calls > 1 ? -EAGAIN : 0);
	KUNIT_ASSERT_EQ(test, table->map_calls, 1);
}

/* A write ends early for a thread that waits for the mapping, or for the lock */
static void map_stops(struct kunit *test)
{
	every_kind(test, 20, map_stops_one);
}

static void unmap_fails_one(struct kunit *test, struct rnd_state *rnd,
			    struct table *table, struct mapping *map)
{
	unsigned int i, ptes = 0;

	KUNIT_ASSERT_EQ(test, put_in(table, map), 0);
	for (i = 0; i < UNITS; i++)
		ptes += table->unit[i].mapped &&
			table->unit[i].pte == table->base + i * UNIT;
	table->outs = random_below(rnd, ptes);
	gather(table, map->iova, (u64)map->n << PAGE_SHIFT);
	KUNIT_ASSERT_TRUE(test, table->dom.poisoned);
	/* The pages that were unmapped were flushed */
	KUNIT_ASSERT_GT(test, units_in_use(table), 0);
}

/* A domain that may still reach memory is poisoned */
static void unmap_fails(struct kunit *test)
{
	every_kind(test, 100, unmap_fails_one);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(map),
	KUNIT_CASE_SLOW(cut_on_grid),
	KUNIT_CASE_SLOW(scattered),
	KUNIT_CASE_SLOW(split),
	KUNIT_CASE_SLOW(split_fails),
	KUNIT_CASE_SLOW(map_fails),
	KUNIT_CASE_SLOW(sync_fails),
	KUNIT_CASE_SLOW(map_stops),
	KUNIT_CASE_SLOW(unmap_fails),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_tables",
	.test_cases = cases,
};

kunit_test_suite(suite);
