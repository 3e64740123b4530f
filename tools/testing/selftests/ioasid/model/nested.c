// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of user space: IOASIDs of the kind PGTABLE, with model devices that
 * do DMA through both stages.
 */
#include "nested_fixture.h"
#include "dirty.h"

TEST_F(nested, attach_then_bind)
{
	PLUG(&self->a, NESTING);
	STATE(UNBOUND, 0, 0);
	ATTACH(&self->a, &self->child);
	STATE(ATTACHED | UNBOUND, 1, 0);
	EXPECT_EQ(1, info_of(self->fd, self->root.id).nr_domains);
	BLOCKED(&self->a);
	FAULTS(MODEL_FAULT_BLOCKED, &self->a, GPA(DATA));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	STATE(ATTACHED, 1, 1);
	READS_A(&self->a);
	FAULTS(MODEL_FAULT_S1_ABSENT, &self->a, VA(0));
	FAULTS(MODEL_FAULT_S1_ABSENT, &self->a, GPA(DATA));
	ASSERT_EQ(0, model_fill(&self->a, VA(DATA + 1), 5, 1));
	EXPECT_TRUE(model_pattern_holds(self->mem + (DATA + 1) * PG, 5,
					VA(DATA + 1), PG));
	ASSERT_EQ(0, UNBIND());
	STATE(ATTACHED | UNBOUND, 1, 0);
	BLOCKED(&self->a);
	EXPECT_EQ(-ENOENT, UNBIND());
	ASSERT_EQ(0, model_detach(&self->a));
	EXPECT_EQ(0, info_of(self->fd, self->root.id).nr_domains);
	STATE(UNBOUND, 0, 0);
	EXPECT_EQ(0, ia_free(self->fd, self->child.id));
	EXPECT_EQ(0, ia_free(self->fd, self->root.id));
}

TEST_F(nested, bind_then_attach)
{
	PLUG(&self->a, NESTING);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	STATE(0, 0, 0);
	ATTACH(&self->a, &self->child);
	STATE(ATTACHED, 1, 1);
	READS_A(&self->a);
	ASSERT_EQ(0, model_detach(&self->a));
	BLOCKED(&self->a);
	STATE(0, 0, 0);
	ATTACH(&self->a, &self->child);
	READS_A(&self->a);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->child.id));
	ASSERT_EQ(0, model_detach(&self->a));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->root.id));
	EXPECT_EQ(0, ia_free(self->fd, self->child.id));
	EXPECT_EQ(0, ia_free(self->fd, self->root.id));
}

/* What describes the table is copied: it may change, and go */
TEST_F(nested, two_units_share)
{
	struct model_s1 *s1 = ia_mem(PG);

	ASSERT_NE(NULL, s1);
	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING_1);
	ATTACH(&self->a, &self->child);
	*s1 = (struct model_s1) { .root = GPA(TABLE_A), .levels = 3 };
	ASSERT_EQ(0, bind_data(self->fd, self->child.id, 0, s1, sizeof(*s1)));
	s1->root = GPA(TABLE_B);
	s1->levels = 77;
	ASSERT_EQ(0, munmap(s1, PG));
	ATTACH(&self->b, &self->child);
	STATE(ATTACHED, 2, 2);
	EXPECT_EQ(2, info_of(self->fd, self->root.id).nr_domains);
	READS_A(&self->a);
	READS_A(&self->b);
	ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE, TABLE_B));
	STATE(ATTACHED, 2, 2);
	READS_B(&self->a);
	READS_B(&self->b);
	ASSERT_EQ(0, model_detach(&self->a));
	STATE(ATTACHED, 1, 1);
	READS_B(&self->b);
	BLOCKED(&self->a);
}

TEST_F(nested, one_unit_shares)
{
	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING);
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ATTACH(&self->b, &self->child);
	STATE(ATTACHED, 2, 1);
	EXPECT_EQ(1, info_of(self->fd, self->root.id).nr_domains);
	READS_A(&self->b);
	ASSERT_EQ(0, model_detach(&self->a));
	STATE(ATTACHED, 1, 1);
	READS_A(&self->b);
	/* Beside a device that has the parent itself */
	ATTACH(&self->a, &self->root);
	EXPECT_TRUE(reads(&self->a, GPA(DATA), DATA));
	EXPECT_EQ(1, info_of(self->fd, self->root.id).nr_domains);
	READS_A(&self->b);
}

TEST_F(nested, moves)
{
	struct model_space plain;

	PLUG(&self->a, NESTING);
	ASSERT_EQ(0, model_space_open(&self->model, &plain));
	ASSERT_EQ(0, ia_map(self->fd, plain.id, BASE, self->mem + DATA * PG,
			    PG));
	ATTACH(&self->a, &self->root);
	ATTACH(&self->a, &self->child);
	BLOCKED(&self->a);
	ASSERT_EQ(0, model_attach(&self->a, &plain));
	EXPECT_TRUE(reads(&self->a, BASE, DATA));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	/* A move that fails changes nothing */
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH, 1, 0));
	EXPECT_EQ(-ENOMEM, model_attach(&self->a, &self->child));
	EXPECT_TRUE(reads(&self->a, BASE, DATA));
	STATE(0, 0, 0);
	EXPECT_EQ(0, info_of(self->fd, self->root.id).nr_domains);
	ATTACH(&self->a, &self->child);
	READS_A(&self->a);
	FAULTS(MODEL_FAULT_S1_ABSENT, &self->a, BASE);
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH, 1, 0));
	EXPECT_EQ(-ENOMEM, model_attach(&self->a, &self->root));
	READS_A(&self->a);
	ATTACH(&self->a, &self->root);
	EXPECT_TRUE(reads(&self->a, GPA(DATA), DATA));
	STATE(0, 0, 0);
}

/* A device goes from one table to the other, and its DMA does not fault */
TEST_F(nested, rebind_under_dma)
{
	struct ioasid_model_status status;
	int i;

	PLUG(&self->a, NESTING);
	model_pattern(self->mem + DATA * PG, 3, VA(DATA), PG);
	s1_map(self->mem, TABLE_B, DATA, DATA);
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	EXPECT_EQ(-EEXIST, BIND(0, TABLE_B));
	ASSERT_EQ(0, model_hammer(&self->a, 1, IOASID_MODEL_VERIFY, VA(DATA), 3,
				  1, 2));
	for (i = 0; i < 50; i++)
		ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE,
				  i % 2 ? TABLE_A : TABLE_B));
	ASSERT_EQ(0, model_hammered(&self->a, 1, 10));
	ASSERT_EQ(0, model_stop(&self->a, 1, &status));
	EXPECT_EQ(0, status.faults);
	EXPECT_EQ(0, status.mismatches);
	/* Only one of them is bound: the other one may go */
	EXPECT_EQ(0, ia_unmap(self->fd, self->root.id, GPA(TABLE_B), PG, NULL));
}

TEST_F(nested, unbind_under_dma)
{
	int i;

	PLUG(&self->a, NESTING);
	model_pattern(self->mem + DATA * PG, 3, VA(DATA), PG);
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, model_hammer(&self->a, 1, IOASID_MODEL_FILL, VA(DATA), 3,
				  1, 2));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, model_hammered(&self->a, 1, 5));
		ASSERT_EQ(0, UNBIND());
		BLOCKED(&self->a);
		/* Nothing keeps the table then */
		ASSERT_EQ(0, ia_unmap(self->fd, self->root.id, GPA(TABLE_A), PG,
				      NULL));
		ASSERT_EQ(0, ia_map(self->fd, self->root.id, GPA(TABLE_A),
				    self->mem + TABLE_A * PG, PG));
		ASSERT_EQ(0, BIND(0, TABLE_A));
	}
	ASSERT_EQ(0, model_stop(&self->a, 1, NULL));
	EXPECT_TRUE(reads(&self->a, VA(DATA + 1), DATA + 1));
}

TEST_F(nested, unmap_of_the_parent)
{
	PLUG(&self->a, NESTING);
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, ia_unmap(self->fd, self->root.id, GUEST, PAGES * PG, NULL));
	ASSERT_EQ(-ENXIO, BIND(0, TABLE_A));
	STATE(ATTACHED | UNBOUND, 1, 0);
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root.id, GPA(i),
				    self->mem + i * PG, PG));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	READS_A(&self->a);

	/* A page that is no table */
	ASSERT_EQ(0, ia_unmap(self->fd, self->root.id, GPA(DATA), PG, NULL));
	FAULTS(MODEL_FAULT_ABSENT, &self->a, VA(DATA));
	EXPECT_TRUE(reads(&self->a, VA(DATA + 1), DATA + 1));
	ASSERT_EQ(0, ia_map(self->fd, self->root.id, GPA(DATA),
			    self->mem + DATA * PG, PG));
	READS_A(&self->a);

	/* The page where the table begins */
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root.id, GPA(TABLE_A), PG,
				   NULL));
	EXPECT_EQ(-EBUSY, ia_unmap_all(self->fd, self->root.id, NULL));
	READS_A(&self->a);
	ASSERT_EQ(0, ia_unmap_cascade(self->fd, self->root.id, GPA(TABLE_A), PG));
	FAULTS(MODEL_FAULT_S1_TABLE, &self->a, VA(DATA));
	STATE(ATTACHED, 1, 1);
	ASSERT_EQ(0, ia_map(self->fd, self->root.id, GPA(TABLE_A),
			    self->mem + TABLE_A * PG, PG));
	ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE, TABLE_A));
	READS_A(&self->a);
	EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root.id, GPA(TABLE_A), PG,
				   NULL));

	/* One on the way */
	ASSERT_EQ(0, ia_unmap(self->fd, self->root.id, GPA(TABLE_A + LEAF), PG,
			      NULL));
	FAULTS(MODEL_FAULT_S1_TABLE, &self->a, VA(DATA));
	ASSERT_EQ(0, UNBIND());
	EXPECT_EQ(0, ia_unmap_all(self->fd, self->root.id, NULL));
}

/* Permission is that of the parent */
TEST_F(nested, permission_of_the_parent)
{
	PLUG(&self->a, NESTING);
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->root.id, NULL));
	for (int i = 0; i < PAGES; i++) {
		__u64 iova = GPA(i);

		ASSERT_EQ(0, ia_map_full(self->fd, self->root.id,
					 (i == DATA ? IOASID_MAP_READ : IA_RW) |
					 IOASID_MAP_FIXED, &iova,
					 IA_PTR(self->mem + i * PG), PG, 0, 0, 0,
					 NULL));
	}
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	READS_A(&self->a);
	EXPECT_EQ(MODEL_FAULT_DENIED, model_put(&self->a, VA(DATA), "x", 1));
	EXPECT_EQ(0, model_put(&self->a, VA(DATA + 1), "x", 1));
}

static void scribble(char *mem, unsigned int *seed)
{
	static const __u64 addresses[] = {
		GUEST, GUEST + 0x1000, GUEST + 0x2000, 0, 0xfffffffff000ULL,
		0x40000000ULL, GUEST + 0x6000, GUEST + 0x10000,
	};
	__u64 word = addresses[rand_r(seed) % ARRAY_SIZE(addresses)];
	int level = rand_r(seed) % 3;
	int index = rand_r(seed) % (rand_r(seed) % 4 ? 16 : 512);

	/* Loops, tables as pages, pages as tables, holes, reserved bits */
	word |= rand_r(seed) & 0xfff;
	if (rand_r(seed) % 8 == 0)
		word |= (__u64)rand_r(seed) << 52;
	__atomic_store_n(s1_entry(mem, TABLE_A, level, index), word,
			 __ATOMIC_RELAXED);
}

#define EVICTING							\
	{ .flags = MODEL_NESTING | MODEL_ATS | MODEL_EVICT_RANDOM, .unit = 2 }

TEST_F(nested, tables_that_lie)
{
	int rounds = ia_slow_kernel() ? 200 : 2000;
	/* What the parent does not map, and a device must never write */
	char *other = ia_mem(PAGES * PG);
	unsigned int seed = 1;

	ASSERT_NE(NULL, other);
	memset(other, 0x77, PAGES * PG);
	PLUG(&self->a, NESTING);
	PLUG(&self->b, EVICTING);
	ATTACH(&self->a, &self->child);
	ATTACH(&self->b, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	ASSERT_EQ(0, model_hammer(&self->a, 1, IOASID_MODEL_FILL, VA(0), 3,
				  PAGES, 2));
	ASSERT_EQ(0, model_hammer(&self->b, 1, IOASID_MODEL_FILL, VA(0), 3,
				  PAGES, 2));
	for (int i = 0; i < rounds; i++) {
		scribble(self->mem, &seed);
		if (i % 7 == 0)
			FLUSH(0, 0);
		if (i % 31 == 0)
			renew_page(self, DATA + i % (PAGES - DATA));
		if (i % 97 == 0) {
			UNBIND();
			s1_init(self->mem, TABLE_A);
			BIND(0, TABLE_A);
		}
	}
	ASSERT_EQ(0, model_stop(&self->a, 1, NULL));
	ASSERT_EQ(0, model_stop(&self->b, 1, NULL));
	for (size_t i = 0; i < PAGES * PG; i++)
		ASSERT_EQ(0x77, other[i]);
	EXPECT_NO_HARM(&self->a);
	EXPECT_NO_HARM(&self->b);
	/* A loop: every level points to the root */
	UNBIND();
	memset(self->mem + TABLE_A * PG, 0, PG);
	for (int i = 0; i < 512; i++)
		*s1_entry(self->mem, TABLE_A, 0, i) = GPA(TABLE_A) | S1_RW;
	ASSERT_EQ(0, BIND(0, TABLE_A));
	/* The last level takes the table for a page */
	EXPECT_EQ(0, model_reason(&self->a, VA(DATA)));
	*s1_entry(self->mem, TABLE_A, 0, BASE >> 30) = GPA(PAGES) | S1_RW;
	ASSERT_EQ(0, FLUSH(0, 0));
	FAULTS(MODEL_FAULT_S1_TABLE, &self->a, VA(DATA));
}

TEST_F(nested, invalidate)
{
	struct model_counters before, after;

	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING_1);
	ATTACH(&self->a, &self->child);
	ATTACH(&self->b, &self->child);
	/* Nothing is bound: no cache has anything */
	EXPECT_EQ(0, FLUSH(0, 0));
	ASSERT_EQ(0, BIND(0, TABLE_A));
	READS_A(&self->a);
	READS_A(&self->b);
	s1_map(self->mem, TABLE_A, DATA, DATA + 3);
	s1_map(self->mem, TABLE_A, PAGES - 1, DATA + 3);
	/* Caches keep what they have */
	READS_A(&self->a);
	READS_A(&self->b);
	ASSERT_EQ(0, FLUSH(DATA, 1));
	EXPECT_TRUE(reads(&self->a, VA(DATA), DATA + 3));
	EXPECT_TRUE(reads(&self->b, VA(DATA), DATA + 3));
	/* This range, and no other */
	EXPECT_TRUE(reads(&self->a, VA(PAGES - 1), PAGES - 1));
	EXPECT_TRUE(reads(&self->b, VA(PAGES - 1), PAGES - 1));
	/* One device only */
	before = model_counters(&self->b);
	ASSERT_EQ(0, nested_flush(self->fd, self->child.id, self->a.devid, 0, 0));
	after = model_counters(&self->b);
	EXPECT_EQ(before.flush_user, after.flush_user);
	EXPECT_TRUE(reads(&self->a, VA(PAGES - 1), DATA + 3));
	EXPECT_TRUE(reads(&self->b, VA(PAGES - 1), PAGES - 1));
	ASSERT_EQ(0, FLUSH(0, 0));
	EXPECT_TRUE(reads(&self->b, VA(PAGES - 1), DATA + 3));
	EXPECT_EQ(-ENOENT, nested_flush(self->fd, self->child.id, self->child.id, 0, 0));
	ASSERT_EQ(0, model_detach(&self->a));
	EXPECT_EQ(-ENODEV, nested_flush(self->fd, self->child.id, self->a.devid, 0, 0));
	/* A TLB of the device alone */
	before = model_counters(&self->b);
	ASSERT_EQ(0, nested_flush(self->fd, self->child.id, self->b.devid, 0, 0));
	after = model_counters(&self->b);
	EXPECT_EQ(before.flush_user + 1, after.flush_user);
}

/* Many, of which one is bad, by either sort of entries */
TEST_F(nested, invalidate_arrays)
{
	const int nr = 200, bad = 131;
	struct ioasid_invalidate *inv = calloc(nr, sizeof(*inv));
	struct model_invalidate *own = calloc(nr, sizeof(*own));
	struct ioasid_invalidate_cache cmd;
	struct model_counters before, after;
	int i;

	ASSERT_NE(NULL, inv);
	ASSERT_NE(NULL, own);
	PLUG(&self->a, NESTING);
	ATTACH(&self->a, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	for (i = 0; i < nr; i++) {
		inv[i].flags = IOASID_INVALIDATE_IOTLB;
		own[i].flags = MODEL_INV_IOTLB;
	}
	for (int sort = 0; sort < 2; sort++) {
		cmd = nested_invalidation(self->child.id, sort ? (void *)own : inv, nr);
		cmd.entry_size = sort ? sizeof(*own) : 0;
		cmd.type = sort ? MODEL_HWPT_INVALIDATE : 0;
		before = model_counters(&self->a);
		EXPECT_EQ(0, ia_cmd(self->fd, IOASID_INVALIDATE_CACHE, &cmd));
		EXPECT_EQ(nr, cmd.done);
		EXPECT_EQ(0, cmd.error);
		after = model_counters(&self->a);
		EXPECT_EQ(before.flush_user + nr, after.flush_user);
		inv[bad].flags = 0;
		own[bad].flags = 0;
		EXPECT_EQ(0, ia_cmd(self->fd, IOASID_INVALIDATE_CACHE, &cmd));
		EXPECT_EQ(bad, cmd.done);
		EXPECT_EQ(-EINVAL, cmd.error);
		inv[bad].flags = 1 << 20;
		own[bad].flags = 1 << 20;
		EXPECT_EQ(0, ia_cmd(self->fd, IOASID_INVALIDATE_CACHE, &cmd));
		EXPECT_EQ(bad, cmd.done);
		EXPECT_EQ(-EOPNOTSUPP, cmd.error);
		before = model_counters(&self->a);
		EXPECT_EQ(after.flush_user + 2 * bad, before.flush_user);
		inv[bad].flags = IOASID_INVALIDATE_IOTLB;
		own[bad].flags = MODEL_INV_IOTLB;
		/* The end of the array cannot be read */
		cmd.nr = ~0U;
		cmd.entries = 8;
		EXPECT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_INVALIDATE_CACHE,
					  &cmd));
		EXPECT_EQ(0, cmd.done);
	}
}

/* What a device writes through both stages is told, in the addresses of the root */
TEST_F(nested, dirty)
{
	struct ioasid_get_dirty get;
	struct ioasid_unmap_dma unmap;
	struct model_space root, child;
	__u64 bits;

	if (ia_check(self->fd, IOASID_EXT_DIRTY) <= 0)
		SKIP(return, "no dirty tracking");
	root = self->root;
	child = self->child;
	ASSERT_EQ(0, nested_alloc(self->fd, IOASID_ALLOC_NEST_PARENT |
				  IOASID_ALLOC_DIRTY, IOASID_KIND_MAP, 0, 0,
				  &root.id));
	ASSERT_EQ(0, ia_map_full(self->fd, root.id, IA_RW_FIXED,
				 &(__u64){ GPA(0) }, IA_PTR(self->mem),
				 PAGES * PG, PG, 0, 0, NULL));
	ASSERT_EQ(0, nested_child(self->fd, root.id, MODEL_HWPT_DATA_S1,
				  &child.id));
	PLUG(&self->a, { .flags = MODEL_NESTING | MODEL_ATS | MODEL_DIRTY |
				  MODEL_PROTECT });
	ASSERT_EQ(0, bind_table(self->fd, child.id, 0, TABLE_A));
	ATTACH(&self->a, &child);
	ASSERT_EQ(0, ia_set_dirty(self->fd, root.id, IOASID_SET_DIRTY_ON));
	READS_A(&self->a);
	ASSERT_EQ(0, ia_get_dirty(self->fd, root.id, 0, GPA(0), PAGES, &bits,
				  &get));
	/* Accessed bits of the table are written */
	EXPECT_EQ(0, bits >> DATA);
	ASSERT_EQ(0, model_put(&self->a, VA(DATA + 1), "x", 1));
	ASSERT_EQ(0, ia_get_dirty(self->fd, root.id, 0, GPA(0), PAGES, &bits,
				  &get));
	EXPECT_EQ(1 << 1, bits >> DATA);
	EXPECT_EQ(IOASID_DIRTY_EXACT, get.told);
	/* Caches of both stages have forgotten that it was dirty */
	ASSERT_EQ(0, model_put(&self->a, VA(DATA + 1), "y", 1));
	ASSERT_EQ(0, model_put(&self->a, VA(DATA + 2), "y", 1));
	ASSERT_EQ(0, ia_unmap_dirty(self->fd, root.id, 0, GPA(DATA), 2, &bits,
				    &unmap));
	EXPECT_EQ(1 << 1, bits);
	EXPECT_EQ(IOASID_DIRTY_EXACT, unmap.told);
	ASSERT_EQ(0, ia_get_dirty(self->fd, root.id, 0, GPA(0), PAGES, &bits,
				  &get));
	EXPECT_EQ(1 << 2, bits >> DATA);
	EXPECT_EQ(-EOPNOTSUPP, ia_set_dirty(self->fd, child.id,
					    IOASID_SET_DIRTY_ON));
}

TEST_HARNESS_MAIN
