// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of user space: input that is bad, of every field; formats and kinds
 * that do not match; binds that fail.
 */
#include "nested_fixture.h"

#define INVALIDATES(rc, command, ...)					\
do {									\
	struct ioasid_invalidate _inv = {				\
		.flags = IOASID_INVALIDATE_IOTLB,			\
	};								\
	struct ioasid_invalidate_cache cmd =				\
		nested_invalidation(self->child.id, &_inv, 1);			\
	struct ioasid_invalidate *inv = &_inv;				\
									\
	(void)inv;							\
	command;							\
	EXPECT_EQ(rc, ia_cmd(self->fd, IOASID_INVALIDATE_CACHE, &cmd));	\
} while (0)

TEST_F(nested, invalidate_bad_input)
{
	PLUG(&self->a, NESTING);
	ATTACH(&self->a, &self->child);
	for (int bound = 0; bound < 2; bound++) {
		INVALIDATES(0, inv->flags |= IOASID_INVALIDATE_LEAF);
		INVALIDATES(0, inv->flags = IOASID_INVALIDATE_DEVTLB);
		INVALIDATES(0, ({ inv->flags |= IOASID_INVALIDATE_RANGE;
				  inv->last = ~0ULL; }));
		INVALIDATES(-EOPNOTSUPP, cmd.flags = 1);
		INVALIDATES(-ENOENT, cmd.ioasid = 0);
		INVALIDATES(-ENOENT, cmd.ioasid = self->a.devid);
		INVALIDATES(-EOPNOTSUPP, cmd.ioasid = self->root.id);
		INVALIDATES(-ENOENT, cmd.devid = 0x7fffffff);
		INVALIDATES(-EINVAL, cmd.type = 1);
		INVALIDATES(-EINVAL, ({ cmd.entry_size = 65;
					cmd.type = MODEL_HWPT_INVALIDATE; }));
		INVALIDATES(-EINVAL, ({ cmd.entry_size = ~0U;
					cmd.type = MODEL_HWPT_INVALIDATE; }));
		INVALIDATES(-EOPNOTSUPP, ({ cmd.entry_size = 24;
					    cmd.type = 1; }));
		INVALIDATES(-EINVAL, cmd.nr = 0);
		INVALIDATES(-EINVAL, cmd.__reserved = 1);
		INVALIDATES(-EFAULT, cmd.entries = 8);
		INVALIDATES(-EINVAL, inv->flags |= IOASID_INVALIDATE_PASID_CACHE);
		INVALIDATES(-EINVAL, inv->flags |= IOASID_INVALIDATE_PASID);
		INVALIDATES(-EOPNOTSUPP, inv->flags |= 1 << 6);
		INVALIDATES(-EOPNOTSUPP, inv->flags |= 1U << 31);
		INVALIDATES(-EINVAL, inv->flags = IOASID_INVALIDATE_LEAF);
		INVALIDATES(-EINVAL, inv->vpasid = 1);
		INVALIDATES(-EINVAL, inv->start = 1);
		INVALIDATES(-EINVAL, inv->last = 1);
		INVALIDATES(-EINVAL, ({ inv->flags |= IOASID_INVALIDATE_RANGE;
					inv->start = 1; }));
		if (!bound)
			ASSERT_EQ(0, BIND(0, TABLE_A));
	}
	/* Entries of a size that the driver does not have */
	INVALIDATES(-EINVAL, ({ cmd.entry_size = 8;
				cmd.type = MODEL_HWPT_INVALIDATE; }));
	READS_A(&self->a);
}

#define BINDS(rc, change)						\
do {									\
	struct model_s1 s1 = { .root = GPA(TABLE_A), .levels = 3 };	\
	struct ioasid_bind_table cmd = {				\
		.argsz = sizeof(cmd), .ioasid = self->child.id,		\
		.length = sizeof(s1), .data = IA_PTR(&s1),		\
	};								\
									\
	change;								\
	EXPECT_EQ(rc, ia_cmd(self->fd, IOASID_BIND_PGTABLE, &cmd));	\
} while (0)

TEST_F(nested, bind_bad_input)
{
	PLUG(&self->a, NESTING);
	for (int attached = 0; attached < 2; attached++) {
		BINDS(-EOPNOTSUPP, cmd.flags = 2);
		BINDS(-ENOENT, cmd.ioasid = 0);
		BINDS(-EOPNOTSUPP, cmd.ioasid = self->root.id);
		BINDS(-EINVAL, cmd.length = 0);
		BINDS(-EINVAL, cmd.length = 8);
		BINDS(-EINVAL, cmd.length = 17);
		BINDS(-EINVAL, cmd.length = 513);
		BINDS(-EINVAL, cmd.length = ~0U);
		BINDS(-EFAULT, cmd.data = 8);
		BINDS(-EINVAL, cmd.__reserved[0] = 1);
		BINDS(-EINVAL, cmd.__reserved[1] = 1);
		BINDS(-EINVAL, s1.root |= 1);
		BINDS(-EINVAL, s1.root |= 1ULL << 63);
		BINDS(-EINVAL, s1.levels = 0);
		BINDS(-EINVAL, s1.levels = 6);
		BINDS(-EOPNOTSUPP, s1.flags = 1);
		BINDS(-ENXIO, s1.root = GPA(PAGES));
		BINDS(-ENXIO, s1.root = 0);
		STATE(UNBOUND | (attached ? ATTACHED : 0), attached, 0);
		EXPECT_EQ(0, info_of(self->fd, self->child.id).nr_mappings);
		if (!attached)
			ATTACH(&self->a, &self->child);
	}
	BLOCKED(&self->a);
	EXPECT_EQ(-ENOENT, UNBIND());
	EXPECT_EQ(-EOPNOTSUPP, unbind_table(self->fd, self->root.id));
	EXPECT_EQ(-ENOENT, unbind_table(self->fd, self->a.devid));
	BINDS(0, cmd.flags = 0);
	READS_A(&self->a);
}

TEST_F(nested, alloc_bad_input)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_PGTABLE,
		.parent = self->root.id,
		.format = MODEL_HWPT_DATA_S1,
	};
	__u32 id, plain, import;
	int export, fd;

#define ALLOC(rc, field, value)						\
do {									\
	struct ioasid_alloc _cmd = cmd;					\
									\
	_cmd.field = value;						\
	EXPECT_EQ(rc, ia_cmd(self->fd, IOASID_ALLOC, &_cmd));		\
} while (0)

	ALLOC(-EOPNOTSUPP, flags, IOASID_ALLOC_NEST_PARENT);
	ALLOC(-EOPNOTSUPP, flags, 2);
	ALLOC(-EOPNOTSUPP, kind, 5);
	ALLOC(-EINVAL, kind, IOASID_KIND_PROCESS);
	/* A format of the other kind */
	ALLOC(-EOPNOTSUPP, kind, IOASID_KIND_PASID_TABLE);
	ALLOC(-EOPNOTSUPP, format, MODEL_HWPT_DATA_PASID_TABLE);
	ALLOC(-EINVAL, parent, 0);
	ALLOC(-ENOENT, parent, 0x7fffffff);
	ALLOC(-EOPNOTSUPP, parent, self->child.id);
	ALLOC(-EINVAL, cut_size, PG);
	ALLOC(-EINVAL, snoop, IOASID_SNOOP_ON);
	ALLOC(-EINVAL, format, 0);
	ALLOC(-EOPNOTSUPP, format, 0x7fffffff);
	ALLOC(-ENOENT, fault_queue, 0x7fffffff);
	/* Parents of the wrong sort */
	ASSERT_EQ(0, ia_alloc(self->fd, &plain));
	ALLOC(-ENOENT, fault_queue, plain);
	ALLOC(-EOPNOTSUPP, parent, plain);
	EXPECT_EQ(-EOPNOTSUPP,
		  nested_alloc(self->fd, IOASID_ALLOC_NEST_PARENT,
			       IOASID_KIND_MAP, self->root.id, 0, &id));
	ASSERT_EQ(0, ia_child(self->fd, self->root.id, 0, &id));
	ALLOC(-EOPNOTSUPP, parent, id);
	fd = ia_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ia_export(self->fd, self->root.id, EXPORT_RW, GUEST, PG, 9,
			       &export));
	ASSERT_EQ(0, ia_import(fd, export, 0, &import));
	EXPECT_EQ(-EOPNOTSUPP,
		  nested_child(fd, import, MODEL_HWPT_DATA_S1, &id));
	close(export);
	close(fd);
	/* The kernel's own format is known on every machine */
	EXPECT_EQ(0, nested_child(self->fd, self->root.id,
				  IOMMU_HWPT_DATA_VTD_S1, &id));
	EXPECT_EQ(0, ia_free(self->fd, id));
}

/* Commands of the kind MAP */
TEST_F(nested, other_commands)
{
	struct ioasid_query_map query = {
		.argsz = sizeof(query), .ioasid = self->child.id,
	};
	struct ioasid_dma_op op = { .op = IOASID_DMA_OP_UNMAP, .length = PG };
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch), .ioasid = self->child.id, .nr = 1,
		.ops = IA_PTR(&op),
	};
	__u32 id = self->child.id;
	int export;

	ASSERT_EQ(0, BIND(0, TABLE_A));
	EXPECT_EQ(-EOPNOTSUPP, ia_map(self->fd, id, BASE, self->mem, PG));
	EXPECT_EQ(-EOPNOTSUPP, ia_reserve(self->fd, id, BASE, PG));
	EXPECT_EQ(-EOPNOTSUPP, ia_unmap(self->fd, id, BASE, PG, NULL));
	EXPECT_EQ(-EOPNOTSUPP, ia_unmap_all(self->fd, id, NULL));
	EXPECT_EQ(-EOPNOTSUPP, ia_cmd(self->fd, IOASID_DMA_BATCH, &batch));
	EXPECT_EQ(-EOPNOTSUPP, ia_cmd(self->fd, IOASID_QUERY_MAP, &query));
	EXPECT_EQ(-EOPNOTSUPP, ia_export(self->fd, id, EXPORT_RW, 0, PG, 1,
					 &export));
	EXPECT_EQ(-EOPNOTSUPP, ia_child(self->fd, id, 0, &id));
	PLUG(&self->a, NESTING);
	ATTACH(&self->a, &self->child);
	READS_A(&self->a);
}

TEST_F(nested, formats)
{
	struct iommu_hwpt_vtd_s1 vtd = {
		.pgtbl_addr = GPA(TABLE_A), .addr_width = 48,
	};
	struct model_space space = self->child;

	PLUG(&self->a, NESTING);
	PLUG(&self->b, {});
	/* An IOMMU that cannot nest, and one that has another format */
	ASSERT_EQ(0, model_bind(&self->b));
	EXPECT_EQ(-EOPNOTSUPP, model_attach(&self->b, &self->child));
	ATTACH(&self->b, &self->root);
	EXPECT_TRUE(reads(&self->b, GPA(DATA), DATA));
	EXPECT_EQ(-EOPNOTSUPP, model_attach(&self->b, &self->child));
	EXPECT_TRUE(reads(&self->b, GPA(DATA), DATA));
	ASSERT_EQ(0, nested_child(self->fd, self->root.id,
				  IOMMU_HWPT_DATA_VTD_S1, &space.id));
	ASSERT_EQ(0, model_attach(&self->a, &space));
	EXPECT_EQ(-EMEDIUMTYPE, bind_data(self->fd, space.id, 0, &vtd,
					  sizeof(vtd)));
	BLOCKED(&self->a);
	ASSERT_EQ(0, model_detach(&self->a));
	vtd.__reserved = 1;
	EXPECT_EQ(-EINVAL, bind_data(self->fd, space.id, 0, &vtd, sizeof(vtd)));
	vtd.__reserved = 0;
	vtd.flags = 8;
	EXPECT_EQ(-EOPNOTSUPP, bind_data(self->fd, space.id, 0, &vtd,
					 sizeof(vtd)));
	vtd.flags = 0;
	vtd.pgtbl_addr |= 8;
	EXPECT_EQ(-EINVAL, bind_data(self->fd, space.id, 0, &vtd, sizeof(vtd)));
	vtd.pgtbl_addr = GPA(TABLE_A);
	ASSERT_EQ(0, bind_data(self->fd, space.id, 0, &vtd, sizeof(vtd)));
	EXPECT_EQ(-EMEDIUMTYPE, model_attach(&self->a, &space));
	BLOCKED(&self->a);
	EXPECT_EQ(0, ia_free(self->fd, space.id));
}

/* A bind that fails at the second device gives the first one its table back */
TEST_F(nested, bind_fails)
{
	static const enum model_injection what[] = {
		MODEL_INJECT_ATTACH, MODEL_INJECT_ALLOC,
	};

	PLUG(&self->a, NESTING);
	PLUG(&self->b, NESTING);
	ATTACH(&self->a, &self->child);
	ATTACH(&self->b, &self->child);
	for (__u32 i = 0; i < 2; i++) {
		__u32 last = what[i] == MODEL_INJECT_ATTACH ? 2 : 1;

		for (__u32 nth = 1; nth <= last; nth++) {
			ASSERT_EQ(0, model_inject(&self->a, what[i], nth, 0));
			EXPECT_EQ(-ENOMEM, BIND(0, TABLE_A));
			STATE(ATTACHED | UNBOUND, 2, 0);
			BLOCKED(&self->a);
			BLOCKED(&self->b);
		}
	}
	ASSERT_EQ(0, BIND(0, TABLE_A));
	for (__u32 i = 0; i < 2; i++) {
		__u32 last = what[i] == MODEL_INJECT_ATTACH ? 2 : 1;

		for (__u32 nth = 1; nth <= last; nth++) {
			ASSERT_EQ(0, model_inject(&self->a, what[i], nth, 0));
			EXPECT_EQ(-ENOMEM, BIND(IOASID_BIND_REPLACE, TABLE_B));
			STATE(ATTACHED, 2, 1);
			READS_A(&self->a);
			READS_A(&self->b);
			EXPECT_EQ(-EBUSY, ia_unmap(self->fd, self->root.id,
						   GUEST, PAGES * PG, NULL));
		}
	}
	ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE, TABLE_B));
	READS_B(&self->a);
	READS_B(&self->b);
}

TEST_F(nested, group)
{
	struct ioasid_info info;

	ASSERT_EQ(0, model_plug(&self->model, &self->a,
				&(struct model_params)NESTING, 7));
	ASSERT_EQ(0, model_plug(&self->model, &self->b,
				&(struct model_params)NESTING, 7));
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, model_bind(&self->b));
	ATTACH(&self->a, &self->child);
	info = info_of(self->fd, self->child.id);
	EXPECT_EQ(ATTACHED | UNBOUND | IOASID_STATE_PARTIAL_GROUP, info.state);
	EXPECT_EQ(self->b.devid, info.waiting_devid);
	EXPECT_EQ(-EDEADLK, BIND(0, TABLE_A));
	ATTACH(&self->b, &self->child);
	ASSERT_EQ(0, BIND(0, TABLE_A));
	STATE(ATTACHED, 2, 1);
	READS_A(&self->a);
	READS_A(&self->b);
	/* The device that attached first goes; its sibling is asked from then on */
	model_release(&self->a);
	ASSERT_EQ(0, BIND(IOASID_BIND_REPLACE, TABLE_B));
	READS_B(&self->b);
	ASSERT_EQ(0, UNBIND());
	BLOCKED(&self->b);
}

TEST_HARNESS_MAIN
