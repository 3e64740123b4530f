// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the mappings of an address space: taken ranges, free ranges, and the
 * mappings that a range cuts; compared with a sorted array.
 *
 * The mappings are reserved ranges, which need no memory and no domain.
 */
#include <kunit/test.h>
#include <linux/slab.h>

#include "../ioas/claim.h"
#include "../ioas/ioas.h"
#include "../ioas/mapping.h"
#include "../ioas/tree.h"
#include "util.h"

static int unmap_in(struct ioas *ioas, u64 start, u64 last,
		    unsigned int flags, u64 *removed)
{
	struct ioas_unmap_request req = {
		.flags = flags,
		.patience = IOAS_PATIENCE,
	};
	int ret = ioas_unmap(ioas, start, last, &req);

	*removed = req.removed;
	return ret;
}

#define PAGES	1536

struct model_range {
	unsigned int start;
	unsigned int end;
	unsigned int cut_shift;
};

struct model {
	u64 base;
	unsigned int nr;
	struct model_range range[PAGES];
	struct ioasid_account account;
	struct ioas ioas;
	struct ioas_ranges *permitted;
};

/* Near 0, somewhere, and at the very end */
static const u64 bases[] = { 0, 6ULL << 30, 0 - PAGES * (u64)PAGE_SIZE };

static u64 addr_of(const struct model *model, unsigned int page)
{
	return model->base + (u64)page * PAGE_SIZE;
}

/* Index of the first range that ends after a page */
static unsigned int model_first(const struct model *model, unsigned int page)
{
	unsigned int i = 0;

	while (i < model->nr && model->range[i].end <= page)
		i++;
	return i;
}

static bool model_free(const struct model *model, unsigned int start,
		       unsigned int end)
{
	unsigned int i = model_first(model, start);

	return i == model->nr || model->range[i].start >= end;
}

static void model_insert(struct model *model, unsigned int start,
			 unsigned int end, unsigned int cut_shift)
{
	unsigned int i = model_first(model, start);

	memmove(&model->range[i + 1], &model->range[i],
		(model->nr++ - i) * sizeof(model->range[0]));
	model->range[i] = (struct model_range){ start, end, cut_shift };
}

/* Check a boundary at a page: false if it may not be there */
static bool model_may_cut(const struct model *model, unsigned int page)
{
	unsigned int i = model_first(model, page), shift;

	if (i == model->nr || model->range[i].start >= page)
		return true;
	shift = model->range[i].cut_shift;
	return shift && !(addr_of(model, page) & (BIT_ULL(shift) - 1));
}

static void model_cut(struct model *model, unsigned int page)
{
	unsigned int i = model_first(model, page), end;

	if (i == model->nr || model->range[i].start >= page)
		return;
	end = model->range[i].end;
	model->range[i].end = page;
	model_insert(model, page, end, model->range[i].cut_shift);
}

/* Remove the mappings in a range that cuts none */
static unsigned int model_remove(struct model *model, unsigned int start,
				 unsigned int end)
{
	unsigned int i = model_first(model, start), pages = 0, n = 0;

	while (i + n < model->nr && model->range[i + n].start < end) {
		pages += model->range[i + n].end - model->range[i + n].start;
		n++;
	}
	model->nr -= n;
	memmove(&model->range[i], &model->range[i + n],
		(model->nr - i) * sizeof(model->range[0]));
	return pages;
}

static void compare(struct kunit *test, struct model *model,
		    struct rnd_state *rnd)
{
	struct ioas *ioas = &model->ioas;
	struct ioas_mapping *m;
	unsigned int i, page = random_below(rnd, PAGES);
	bool same = true;

	spin_lock(&ioas->lock);
	m = ioas_mapping_first(ioas, 0);
	for (i = 0; same && i < model->nr; i++) {
		same = m && m->start == addr_of(model, model->range[i].start) &&
		       m->last == addr_of(model, model->range[i].end) - 1;
		if (same)
			m = ioas_mapping_next(m);
	}
	same &= !m;
	/* And by look-up */
	m = ioas_mapping_first(ioas, addr_of(model, page));
	page = model_first(model, page);
	if (page == model->nr)
		same &= !m;
	else
		same &= m &&
			m->start == addr_of(model, model->range[page].start);
	spin_unlock(&ioas->lock);
	KUNIT_ASSERT_TRUE_MSG(test, same, "mapping %u of %u", i, model->nr);
	KUNIT_ASSERT_EQ(test, ioas->nr_mappings, model->nr);
	KUNIT_ASSERT_EQ(test, ioas->bytes_mapped, 0);
}

/*
 * Find the lowest page in the permitted ranges where a request fits, in order
 */
static bool model_choose(const struct model *model,
			 const struct ioas_map_request *req, u64 align,
			 u64 offset, unsigned int *page)
{
	unsigned int n = req->length >> PAGE_SHIFT, i, k;

	for (i = 0; i < model->permitted->nr; i++) {
		u64 start = model->permitted->range[i].start - model->base;
		u64 last = model->permitted->range[i].last - model->base;

		for (k = start >> PAGE_SHIFT; k + n <= (last >> PAGE_SHIFT) + 1;
		     k++) {
			u64 addr = addr_of(model, k);

			if (addr && (addr & (align - 1)) == offset &&
			    model_free(model, k, k + n)) {
				*page = k;
				return true;
			}
		}
	}
	return false;
}

static bool choose(const struct model *model,
		   const struct ioas_map_request *req, unsigned int *page)
{
	u64 align = req->alignment, offset = 0;

	if (align)
		return model_choose(model, req, align, 0, page);
	align = req->length >= PMD_SIZE ? PMD_SIZE : PAGE_SIZE;
	offset = req->addr & (align - 1);
	return model_choose(model, req, align, offset, page) ||
	       model_choose(model, req, PAGE_SIZE, 0, page);
}

static void new_model(struct kunit *test, struct model *model,
		      struct rnd_state *rnd, u64 base)
{
	unsigned int gap = random_below(rnd, PAGES / 2) + PAGES / 4;

	memset(model, 0, sizeof(*model));
	model->base = base;
	ioasid_account_init(&model->account);
	ioas_init(&model->ioas, &model->account, NULL);

	/* A hole, as around the addresses of interrupts */
	model->permitted = kzalloc(struct_size(model->permitted, range, 2),
				   GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, model->permitted);
	model->permitted->nr = 2;
	model->permitted->range[0].start = addr_of(model, random_below(rnd, 8));
	model->permitted->range[0].last = addr_of(model, gap) - 1;
	model->permitted->range[1].start = addr_of(model, gap + 16);
	model->permitted->range[1].last =
		addr_of(model, PAGES - random_below(rnd, 2)) - 1;
	/* The space frees it */
	model->ioas.permitted = model->permitted;
}

static void reserve(struct kunit *test, struct model *model,
		    struct rnd_state *rnd, bool fixed)
{
	unsigned int n = random_length(rnd, random_below(rnd, 16) ? 24 : PAGES);
	unsigned int page = random_below(rnd, PAGES - n + 1);
	struct ioas_map_request req = {
		.length = (u64)n * PAGE_SIZE,
		.flags = IOASID_MAP_RESERVE | (fixed ? IOASID_MAP_FIXED : 0),
	};
	struct ioas_mapping *m;
	bool fits;

	if (random_below(rnd, 2))
		req.cut_shift = PAGE_SHIFT + random_below(rnd, 6);
	if (fixed) {
		req.iova = addr_of(model, page);
		fits = model_free(model, page, page + n);
	} else {
		if (random_below(rnd, 2))
			req.alignment = PAGE_SIZE << random_below(rnd, 8);
		else
			req.addr = (u64)random_below(rnd, 4096) * PAGE_SIZE;
		fits = choose(model, &req, &page);
	}

	m = ioas_reserve(&model->ioas, &req);
	if (!fits) {
		KUNIT_ASSERT_TRUE(test, IS_ERR(m));
		KUNIT_ASSERT_EQ(test, PTR_ERR(m), fixed ? -EEXIST : -ENOSPC);
		if (fixed) {
			unsigned int i = model_first(model, page);

			KUNIT_ASSERT_EQ(test, req.fault_addr,
					addr_of(model,
						max(page, model->range[i].start)));
		}
		return;
	}
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(m), "%d: %u pages at %u",
			       PTR_ERR_OR_ZERO(m), n, page);
	KUNIT_ASSERT_EQ(test, req.iova, addr_of(model, page));
	if (!random_below(rnd, 8)) {
		ioas_abort(&model->ioas, m);
		return;
	}
	KUNIT_ASSERT_EQ(test, ioas_commit(&model->ioas, m, &req), 0);
	model_insert(model, page, page + n, req.cut_shift);
}

static void unmap(struct kunit *test, struct model *model,
		  struct rnd_state *rnd)
{
	unsigned int n = random_length(rnd, random_below(rnd, 16) ? 48 : PAGES);
	unsigned int page = random_below(rnd, PAGES - n + 1), pages = 0;
	unsigned int flags = random_below(rnd, 2) ? IOASID_UNMAP_SPLIT : 0;
	u64 start = addr_of(model, page), last = addr_of(model, page + n) - 1;
	int want = 0, ret;
	u64 removed;

	if (!random_below(rnd, 200)) {
		flags = IOASID_UNMAP_ALL;
		start = 0;
		last = U64_MAX;
		page = 0;
		n = PAGES;
	}
	if (!flags && (!model_may_cut(model, page) ||
		       (page + n < PAGES && !model_may_cut(model, page + n)))) {
		want = -EINVAL;
	} else {
		model_cut(model, page);
		model_cut(model, page + n);
		pages = model_remove(model, page, page + n);
	}
	ret = unmap_in(&model->ioas, start, last, flags, &removed);
	KUNIT_ASSERT_EQ_MSG(test, ret, want, "%u pages at %u", n, page);
	KUNIT_ASSERT_EQ(test, removed, (u64)pages * PAGE_SIZE);
}

static void random_use(struct kunit *test, u64 base)
{
	unsigned int run, op, fixed_only;
	struct rnd_state rnd;
	struct model *model;

	model = kunit_kzalloc(test, sizeof(*model), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, model);
	random_seed(test, &rnd);
	for (run = 0; run < 8; run++) {
		new_model(test, model, &rnd, base);
		/* Gaps are known from the first choice on, not before */
		fixed_only = random_below(&rnd, 400);
		for (op = 0; op < 1500; op++) {
			if (random_below(&rnd, 5) < 2)
				unmap(test, model, &rnd);
			else
				reserve(test, model, &rnd, op < fixed_only ||
					random_below(&rnd, 2));
			compare(test, model, &rnd);
		}
		ioas_exit(&model->ioas);
		ioasid_account_exit(&model->account);
		cond_resched();
	}
}

static void low(struct kunit *test)
{
	random_use(test, bases[0]);
}

static void middle(struct kunit *test)
{
	random_use(test, bases[1]);
}

static void end_of_space(struct kunit *test)
{
	random_use(test, bases[2]);
}

/* Cancelled before it is committed: an unmap does not wait for the map */
static void cancelled(struct kunit *test)
{
	struct ioas_map_request req = {
		.iova = 16 * PAGE_SIZE,
		.length = 4 * PAGE_SIZE,
		.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED,
	};
	struct ioasid_account account;
	struct ioas_mapping *m, *again;
	struct ioas *ioas;
	u64 removed;

	ioas = kunit_kzalloc(test, sizeof(*ioas), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ioas);
	ioasid_account_init(&account);
	ioas_init(ioas, &account, NULL);

	m = ioas_reserve(ioas, &req);
	KUNIT_ASSERT_FALSE(test, IS_ERR(m));
	/* The range is taken */
	again = ioas_reserve(ioas, &req);
	KUNIT_ASSERT_TRUE(test, IS_ERR(again));
	KUNIT_EXPECT_EQ(test, PTR_ERR(again), -EEXIST);

	/* Nothing was mapped, so an unmap of a part cancels all of it */
	KUNIT_EXPECT_EQ(test,
			unmap_in(ioas, 17 * PAGE_SIZE, 18 * PAGE_SIZE - 1,
				 IOASID_UNMAP_SPLIT, &removed),
			0);
	KUNIT_EXPECT_EQ(test, removed, 0);
	again = ioas_reserve(ioas, &req);
	KUNIT_ASSERT_FALSE(test, IS_ERR(again));
	KUNIT_EXPECT_EQ(test, ioas_commit(ioas, again, &req), 0);

	KUNIT_EXPECT_EQ(test, ioas_commit(ioas, m, &req), -ECANCELED);
	/* The mapping that took its place is still there */
	KUNIT_EXPECT_EQ(test, ioas->nr_mappings, 1);
	KUNIT_EXPECT_EQ(test,
			unmap_in(ioas, 0, U64_MAX, IOASID_UNMAP_ALL, &removed),
			0);
	KUNIT_EXPECT_EQ(test, removed, 4 * PAGE_SIZE);
	ioas_exit(ioas);
	ioasid_account_exit(&account);
}

/* The end of a claim, for a map that is under way, and one that was given up */
static void claimed(struct kunit *test)
{
	struct ioas_map_request req = {
		.iova = 16 * PAGE_SIZE,
		.length = 4 * PAGE_SIZE,
		.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED,
	};
	struct ioasid_account account;
	struct ioas_mapping *m;
	struct ioas *ioas;
	unsigned int i;
	u64 removed;

	ioas = kunit_kzalloc(test, sizeof(*ioas), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ioas);
	ioasid_account_init(&account);
	ioas_init(ioas, &account, NULL);

	for (i = 0; i < 4; i++) {
		bool publish = i & 1, abandon = i & 2;
		struct ioas_mapping new = {};
		struct ioas_change change = {
			.ioas = ioas,
			.start = 15 * PAGE_SIZE,
			.last = 18 * PAGE_SIZE - 1,
			.new = &new,
		};

		m = ioas_reserve(ioas, &req);
		KUNIT_ASSERT_FALSE(test, IS_ERR(m));
		KUNIT_ASSERT_EQ(test, ioas_claim(&change), 0);
		KUNIT_EXPECT_EQ(test, m->state, IOAS_MAPPING_CLAIMED);
		if (abandon)
			ioas_abort(ioas, m);
		/* Its range stays taken, up to the end of the claim */
		KUNIT_EXPECT_EQ(test, ioas->nr_nodes, 2);
		if (publish) {
			ioas_claim_cancel(&change);
			KUNIT_EXPECT_EQ(test, ioas->nr_nodes, 2);
			spin_lock(&ioas->lock);
			KUNIT_EXPECT_EQ(test, ioas_mapping_first(ioas, 0)->last,
					16 * PAGE_SIZE - 1);
			KUNIT_EXPECT_EQ(test,
					ioas_mapping_first(ioas, 16 * PAGE_SIZE)->last,
					18 * PAGE_SIZE - 1);
			spin_unlock(&ioas->lock);
		}
		ioas_unclaim(&change);
		ioas_batch_cache_empty(&change.fillers);
		KUNIT_EXPECT_EQ(test, ioas->nr_nodes, !publish && !abandon);
		if (!abandon)
			KUNIT_EXPECT_EQ(test, ioas_commit(ioas, m, &req),
					publish ? -ECANCELED : 0);
		KUNIT_EXPECT_EQ(test,
				unmap_in(ioas, 0, U64_MAX, IOASID_UNMAP_ALL,
					 &removed),
				0);
		KUNIT_EXPECT_EQ(test, removed,
				publish || abandon ? 0 : 4 * PAGE_SIZE);
	}
	ioas_exit(ioas);
	ioasid_account_exit(&account);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(low),
	KUNIT_CASE_SLOW(middle),
	KUNIT_CASE_SLOW(end_of_space),
	KUNIT_CASE(cancelled),
	KUNIT_CASE(claimed),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_mappings",
	.test_cases = cases,
};

kunit_test_suite(suite);
