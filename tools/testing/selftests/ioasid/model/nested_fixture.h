/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of tests of page tables of user space: memory with two tables, a root
 * that maps it, and a child that devices attach to.
 */
#ifndef __SELFTESTS_IOASID_MODEL_NESTED_H
#define __SELFTESTS_IOASID_MODEL_NESTED_H

#include "ioasid_test.h"
#include "family.h"
#include "nested.h"

FIXTURE(nested)
{
	struct model model;
	struct model_space root;
	struct model_space child;
	struct model_device a;
	struct model_device b;
	int fd;
	char *mem;
};

/* Whether the first and the last page are as the fixture made this table */
static inline bool reads_by(struct model_device *dev, int table)
{
	int first = table == TABLE_A ? DATA : PAGES - 1;
	int last = table == TABLE_A ? PAGES - 1 : DATA;

	return reads(dev, VA(DATA), first) && reads(dev, VA(PAGES - 1), last);
}

/* Unmap a page below the tables, and map other memory there */
static inline void renew_page(struct _test_data_nested *self, int page)
{
	ia_unmap_full(self->fd, self->root.id, IOASID_UNMAP_CASCADE, GPA(page),
		      PG, NULL);
	madvise(self->mem + page * PG, PG, MADV_DONTNEED);
	ia_map(self->fd, self->root.id, GPA(page), self->mem + page * PG, PG);
}

FIXTURE_SETUP(nested)
{
	int i;

	FAMILY_OPEN(return, PAGES);
	if (!ia_check(self->fd, IOASID_EXT_PGTABLE))
		SKIP(return, "the kernel lacks a patch to the IOMMU core");
	self->root = (struct model_space) {
		.model = &self->model, .container = -1,
	};
	self->child = self->root;
	ASSERT_EQ(0, nested_parent(self->fd, &self->root.id));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root.id, GPA(i),
				    self->mem + i * PG, PG));
	ASSERT_EQ(0, nested_child(self->fd, self->root.id, MODEL_HWPT_DATA_S1,
				  &self->child.id));
	s1_init(self->mem, TABLE_A);
	s1_init(self->mem, TABLE_B);
	for (i = DATA; i < PAGES; i++) {
		s1_map(self->mem, TABLE_A, i, i);
		/* The same pages, in the opposite order */
		s1_map(self->mem, TABLE_B, i, PAGES - 1 - (i - DATA));
	}
}

FIXTURE_TEARDOWN(nested)
{
	if (self->a.model)
		MODEL_REMOVE(&self->a);
	if (self->b.model)
		MODEL_REMOVE(&self->b);
	model_close(&self->model);
}

#define PLUG(dev, ...)							\
	ASSERT_EQ(0, model_plug(&self->model, dev,			\
				&(struct model_params)__VA_ARGS__, 0))
#define ATTACH(dev, space) ASSERT_EQ(0, model_attach(dev, space))
#define BIND(flags, table)						\
	bind_table(self->fd, self->child.id, flags, table)
#define UNBIND() unbind_table(self->fd, self->child.id)
#define FLUSH(page, nr) nested_flush(self->fd, self->child.id, 0, page, nr)

/* What the device reads by table A and by table B */
#define READS_A(dev) EXPECT_TRUE(reads_by(dev, TABLE_A))
#define READS_B(dev) EXPECT_TRUE(reads_by(dev, TABLE_B))

#define FAULTS(why, dev, at) EXPECT_EQ(why, model_reason(dev, at))
#define BLOCKED(dev) FAULTS(MODEL_FAULT_BLOCKED, dev, VA(DATA))

#define STATE(bits, devices, domains)					\
do {									\
	struct ioasid_info _info = info_of(self->fd, self->child.id);	\
									\
	EXPECT_EQ(bits, _info.state);					\
	EXPECT_EQ(devices, _info.nr_devices);				\
	EXPECT_EQ(domains, _info.nr_domains);				\
	EXPECT_EQ(IOASID_KIND_PGTABLE, _info.kind);			\
} while (0)

#endif /* __SELFTESTS_IOASID_MODEL_NESTED_H */
