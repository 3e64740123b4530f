// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that bind, attach, detach and close a device at the same time.
 */
#include "hw_life.h"

enum { RACERS = 10 };

struct race {
	struct dut *dut;
	int ctx;
	__u32 ids[2];
	char *mem;
	bool stop;
	/* errors that no command may return */
	int bad;
	unsigned int bad_op;
};

struct racer {
	struct race *race;
	unsigned int nr;
	pthread_t thread;
};

static bool race_error_known(int rc)
{
	switch (rc) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -EBUSY:
	case -EBADF:
	case -ENODEV:
	case -ECANCELED:
	case -EINVAL:
	case -EADDRINUSE:
		return true;
	}
	return false;
}

static int race_step(struct race *race, unsigned int op, unsigned int *seed)
{
	__u32 id = race->ids[rand_r(seed) % 2];
	__u64 iova = TEST_IOVA + rand_r(seed) % 8 * page_size;
	struct ioasid_list_entry entries[8];
	struct ioasid_device_info dev;
	struct ioasid_info info;
	__u32 nr = 8, temp;
	int rc;

	switch (op) {
	case 0:
	case 1:
		return hw_attach(race->dut->fd, id);
	case 2:
		return hw_detach(race->dut->fd, 0);
	case 3:
	case 4:
		return ia_map(race->ctx, id, iova, race->mem, 4 * page_size);
	case 5:
		return ia_unmap_full(race->ctx, id, IOASID_UNMAP_SPLIT, iova,
				     2 * page_size, NULL);
	case 6:
		return ia_unmap_all(race->ctx, id, NULL);
	case 7:
		rc = ia_device_info(race->ctx, race->dut->devid, &dev);
		return rc ? rc : ia_info(race->ctx, id, &info);
	case 8:
		return ia_list(race->ctx, 0, entries, &nr);
	default:
		rc = ia_alloc(race->ctx, &temp);
		if (rc)
			return rc;
		rc = ia_map(race->ctx, temp, iova, race->mem, page_size);
		if (!rc)
			rc = hw_attach(race->dut->fd, temp);
		ia_free(race->ctx, temp);
		return rc;
	}
}

static void *race_thread(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	unsigned int seed = racer->nr * 7919 + 1;
	int rc;

	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		rc = race_step(race, racer->nr, &seed);
		if (!race_error_known(rc)) {
			race->bad = rc;
			race->bad_op = racer->nr;
		}
	}
	return NULL;
}

static void race_run(struct __test_metadata *_metadata, struct race *race,
		     struct racer *racers)
{
	unsigned int i;

	for (i = 0; i < RACERS; i++) {
		racers[i].race = race;
		racers[i].nr = i;
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL,
					    race_thread, &racers[i]));
	}
}

static void race_end(struct race *race, struct racer *racers)
{
	unsigned int i;

	__atomic_store_n(&race->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < RACERS; i++)
		pthread_join(racers[i].thread, NULL);
}

TEST_F(hw_life, race)
{
	struct race race = {
		.dut = &self->dut, .ctx = self->ctx, .mem = self->mem,
		.ids = { self->id },
	};
	struct racer racers[RACERS];

	ASSERT_EQ(0, ia_alloc(self->ctx, &race.ids[1]));
	ASSERT_EQ(0, dut_bind(&self->dut, self->ctx, 1));
	race_run(_metadata, &race, racers);
	sleep(2);
	race_end(&race, racers);
	EXPECT_EQ(0, race.bad) {
		TH_LOG("from operation %u", race.bad_op);
	}
	/* all still works */
	ASSERT_EQ(0, ia_unmap_all(self->ctx, self->id, NULL));
	ASSERT_EQ(0, dut_admit(&self->dut, self->ctx, self->id));
	ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, self->mem,
			    page_size));
	ASSERT_EQ(0, dut_attach(&self->dut, self->id));
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* The files are closed while other threads use them. */
TEST_F(hw_life, race_close)
{
	struct racer racers[RACERS];
	int i, group;

	dut_close_either(&self->dut, &self->group);
	for (i = 0; i < 4; i++) {
		struct dut dut = self->dut;
		struct race race = { .dut = &dut, .mem = self->mem };
		int ctx;

		ctx = ia_open();
		ASSERT_LE(0, ctx);
		race.ctx = ctx;
		ASSERT_EQ(0, ia_alloc(ctx, &race.ids[0]));
		ASSERT_EQ(0, ia_alloc(ctx, &race.ids[1]));
		ASSERT_EQ(0, dut_open_either(&dut, ctx, variant->by_group, &group));
		ASSERT_EQ(0, dut_bind(&dut, ctx, 1));
		race_run(_metadata, &race, racers);
		usleep(100000);
		if (i & 1)
			close(ctx);
		close(dut.fd);
		if (i & 2)
			usleep(50000);
		if (group >= 0)
			close(group);
		if (!(i & 1))
			close(ctx);
		race_end(&race, racers);
		EXPECT_EQ(0, race.bad) {
			TH_LOG("from operation %u", race.bad_op);
		}
	}
	ASSERT_EQ(0, dut_open_either(&self->dut, self->ctx, variant->by_group,
				     &self->group));
	START();
	ASSERT_TRUE(works(&self->dut, self->mem));
}

/* A transfer that is pending when the device is closed is dropped. */
TEST(late_dma)
{
	struct dut dut;
	int ctx, i, rc;
	__u32 id;
	char *p;

	ctx = ia_open();
	if (ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, ctx);
	rc = dut_find(&dut, &engine_edu, 0);
	if (rc == -ENOENT)
		SKIP(return, "no edu behind an IOMMU");
	ASSERT_EQ(0, rc);
	p = ia_mem(page_size);
	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, ia_alloc(ctx, &id));
	ASSERT_EQ(0, dut_admit(&dut, ctx, id));
	ASSERT_EQ(0, ia_map(ctx, id, TEST_IOVA, p, page_size));
	for (i = 0; i < 3; i++) {
		dut.fd = hw_open_device(dut.name);
		ASSERT_LE(0, dut.fd);
		ASSERT_EQ(0, dut_bind(&dut, ctx, 1));
		ASSERT_EQ(0, dut_attach(&dut, id));
		ASSERT_EQ(0, dut_prime(&dut, 11));
		edu_start(&dut.edu, EDU_BUF, TEST_IOVA, DUT_LEN,
			  EDU_DMA_STORE);
		if (i == 1) {
			ASSERT_EQ(0, hw_detach(dut.fd, id));
			dut_fill(p, DUT_LEN, 12);
		}
		if (i == 2) {
			ASSERT_EQ(0, ia_unmap(ctx, id, TEST_IOVA, page_size,
					      NULL));
			dut_fill(p, DUT_LEN, 12);
		}
		dut_stop(&dut);
		close(dut.fd);
		dut.fd = -1;
		if (!i)
			dut_fill(p, DUT_LEN, 12);
		usleep(300000);
		ASSERT_TRUE(dut_holds(p, DUT_LEN, 12));
	}
	dut_close(&dut);
	close(ctx);
}

TEST_HARNESS_MAIN
