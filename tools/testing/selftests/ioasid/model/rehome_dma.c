// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_REHOME while a device writes, to memory that was mapped by a file or by
 * user addresses: the DMA goes on, and the IOMMU is not asked for anything. The
 * predecessor ends meanwhile.
 */
#define _GNU_SOURCE
#include <linux/memfd.h>

#include "ioasid_test.h"
#include "charge.h"
#include "model.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define CHANNEL 1
#define PAGES 8
#define SEED 7

#define MINE() charged_to(variant->charge, getpid())

FIXTURE(rehome_dma)
{
	struct model model;
	struct model_device dev;
	struct model_space space;
	int file;
	char *mem;
};

FIXTURE_VARIANT(rehome_dma)
{
	__u64 charge;
	bool user;	/* mapped by user addresses */
};

FIXTURE_VARIANT_ADD(rehome_dma, user)
{
	.charge = IOASID_CHARGE_USER,
};

FIXTURE_VARIANT_ADD(rehome_dma, user_addr)
{
	.charge = IOASID_CHARGE_USER,
	.user = true,
};

FIXTURE_VARIANT_ADD(rehome_dma, mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_VARIANT_ADD(rehome_dma, mm_addr)
{
	.charge = IOASID_CHARGE_MM,
	.user = true,
};

FIXTURE_VARIANT_ADD(rehome_dma, once)
{
	.charge = IOASID_CHARGE_ONCE,
};

FIXTURE_VARIANT_ADD(rehome_dma, once_addr)
{
	.charge = IOASID_CHARGE_ONCE,
	.user = true,
};

FIXTURE_SETUP(rehome_dma)
{
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	if (!variant->user && !ia_check(self->model.ctx, IOASID_EXT_MAP_FILE))
		SKIP(return, "no IOASID_MAP_FILE");
	ASSERT_EQ(0, ia_set_option(self->model.ctx, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	self->file = memfd_create("rehome", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, PAGES * PG));
	self->mem = mmap(NULL, PAGES * PG, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->file, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(rehome_dma)
{
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
	close(self->file);
}

struct predecessor {
	struct _test_data_rehome_dma *self;
	bool user;
};

static int map(struct _test_data_rehome_dma *self, bool user)
{
	__u64 iova = BASE;
	char *mem;

	if (!user)
		return ia_map_file(self->model.ctx, self->space.id,
				   IA_RW_FIXED, &iova, self->file, 0,
				   PAGES * PG);
	mem = mmap(NULL, PAGES * PG, PROT_READ | PROT_WRITE, MAP_SHARED,
		   self->file, 0);
	return mem == MAP_FAILED ? -errno :
	       ia_map(self->model.ctx, self->space.id, BASE, mem, PAGES * PG);
}

/* Maps, and starts the device. */
static int predecessor(void *arg)
{
	struct predecessor *p = arg;
	int rc = map(p->self, p->user);

	return rc ? rc : model_hammer(&p->self->dev, CHANNEL,
				      IOASID_MODEL_FILL, BASE, SEED, PAGES, 1);
}

static int rehome(struct _test_data_rehome_dma *self, bool user, __u32 flags,
		  __u64 *moved)
{
	struct ioasid_rehome_entry entry = {
		.iova = BASE,
		.length = PAGES * PG,
		.addr = IA_PTR(self->mem),
	};

	return ia_rehome_user(self->model.ctx, self->space.id, flags, &entry,
			      user, moved, NULL);
}

TEST_F(rehome_dma, goes_on)
{
	struct model_counters before, after;
	struct ioasid_model_status status;
	struct predecessor p = { self, variant->user };
	struct other other;
	__u64 moved;
	int i;

	ASSERT_EQ(0, other_start(&other, predecessor, &p));
	ASSERT_EQ(0, model_hammered(&self->dev, CHANNEL, PAGES));
	EXPECT_EQ(0, MINE());
	before = model_counters(&self->dev);

	EXPECT_EQ(0, rehome(self, p.user, IOASID_REHOME_PROBE, &moved));
	EXPECT_EQ(1, moved);
	EXPECT_EQ(0, rehome(self, p.user, 0, &moved));
	EXPECT_EQ(1, moved);
	EXPECT_EQ(PAGES, MINE());
	EXPECT_EQ(0, model_hammered(&self->dev, CHANNEL, PAGES));
	EXPECT_TRUE(other_stop(&other));

	/* the device writes all pages again */
	memset(self->mem, 0, PAGES * PG);
	EXPECT_EQ(0, model_hammered(&self->dev, CHANNEL, 4 * PAGES));
	ASSERT_EQ(0, model_stop(&self->dev, CHANNEL, &status));
	EXPECT_EQ(0, status.faults);
	for (i = 0; i < PAGES; i++)
		EXPECT_TRUE(model_pattern_holds(self->mem + i * PG, SEED,
						BASE + i * PG, PG));
	after = model_counters(&self->dev);
	EXPECT_EQ(before.maps, after.maps);
	EXPECT_EQ(before.unmaps, after.unmaps);
	EXPECT_EQ(before.protects, after.protects);
	EXPECT_EQ(before.flush_all + before.flush_range,
		  after.flush_all + after.flush_range);
	EXPECT_EQ(before.faults, after.faults);

	EXPECT_EQ(0, ia_unmap(self->model.ctx, self->space.id, BASE, PAGES * PG,
			      NULL));
	EXPECT_EQ(0, MINE());
}

TEST_HARNESS_MAIN
