// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOASID_REHOME while a device writes: the DMA goes on, and the IOMMU is not
 * asked for anything. The predecessor ends meanwhile.
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
};

FIXTURE_VARIANT_ADD(rehome_dma, user)
{
	.charge = IOASID_CHARGE_USER,
};

FIXTURE_VARIANT_ADD(rehome_dma, mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_VARIANT_ADD(rehome_dma, once)
{
	.charge = IOASID_CHARGE_ONCE,
};

FIXTURE_SETUP(rehome_dma)
{
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_EQ(0, rc);
	if (!ia_check(self->model.ctx, IOASID_EXT_MAP_FILE))
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

/* What this process is charged for, in the way of the context */
static long charged(__u64 charge)
{
	return ia_status(charge == IOASID_CHARGE_USER ? "VmPin" : "VmLck") *
	       1024 / (long)PG;
}

/* Maps, starts the device, and waits until it is told to end. */
static int predecessor(struct model_device *dev, struct model_space *space,
		       int file, int sock)
{
	__u64 iova = BASE;
	char end;
	int rc;

	rc = ia_map_file(space->model->ctx, space->id, IA_RW_FIXED, &iova, file,
			 0, PAGES * PG);
	if (!rc)
		rc = model_hammer(dev, CHANNEL, IOASID_MODEL_FILL, BASE, SEED,
				  PAGES, 1);
	if (write(sock, &rc, sizeof(rc)) != sizeof(rc))
		return -EPIPE;
	return read(sock, &end, 1) == 1 ? rc : -EPIPE;
}

TEST_F(rehome_dma, goes_on)
{
	struct model_counters before, after;
	struct ioasid_model_status status;
	int rc, sock[2], i;
	__u64 moved;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-predecessor(&self->dev, &self->space, self->file,
				   sock[1]));
	ASSERT_EQ(sizeof(rc), read(sock[0], &rc, sizeof(rc)));
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, model_hammered(&self->dev, CHANNEL, PAGES));
	EXPECT_EQ(0, charged(variant->charge));
	before = model_counters(&self->dev);

	EXPECT_EQ(0, ia_rehome(self->model.ctx, self->space.id,
			       IOASID_REHOME_PROBE, &moved, NULL));
	EXPECT_EQ(1, moved);
	EXPECT_EQ(0, ia_rehome(self->model.ctx, self->space.id, 0, &moved,
			       NULL));
	EXPECT_EQ(1, moved);
	EXPECT_EQ(PAGES, charged(variant->charge));
	EXPECT_EQ(0, model_hammered(&self->dev, CHANNEL, PAGES));
	ASSERT_EQ(1, write(sock[0], "", 1));
	EXPECT_TRUE(exited_well(pid));

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
	EXPECT_EQ(0, charged(variant->charge));
	close(sock[0]);
	close(sock[1]);
}

TEST_HARNESS_MAIN
