// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that ask without end, or fail without end: the limits of fault queues, and
 * what is told where while devices move and PASIDs are used again.
 */
#include "faults_fixture.h"
#include "mediated.h"

/* What a device may have in a queue in any case */
#define SHARE 8

/* What a device may have outstanding */
#define CREDITS 32

FIXTURE_SETUP(faults)
{
	FAMILY_OPEN(return, PAGES);
	if (faults_lack(self->fd))
		SKIP(return, "%s", faults_lack(self->fd));
	set_up_faults(_metadata, self, &map_by_rid);
}

FIXTURE_TEARDOWN(faults)
{
	tear_down_faults(_metadata, self);
}

/* ---- Limits ---- */

/* Beyond the depth groups are refused at once, and one record tells how many */
TEST_F(faults, depth)
{
	struct ioasid_fault *r = self->record;
	struct fault_sums sums = {};
	struct fault_queue queue;
	int i, n, nr_lost = 0;
	__u32 id, first = 0;

	ASSERT_EQ(0, another(self, 3, &queue, &id));
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	for (i = 0; i < 10; i++)
		REQUEST(&self->a, i, DATA, 1);
	RESPONDED(&self->a, INVALID, 7);
	RESPONDED(&self->a, SUCCESS, 0);
	EXPECT_EQ(3, fault_told(&self->a));
	EXPECT_EQ(7, fault_lost(&self->a));
	n = fault_read(queue.fd, r, FAULTS_MAX);
	ASSERT_EQ(3 + 1, n);
	fault_add(&sums, r, n, 0);
	EXPECT_EQ(3, sums.groups);
	EXPECT_EQ(7, sums.lost);
	for (i = 0; i < n; i++) {
		if (r[i].kind == IOASID_FAULT_PAGE_REQUEST) {
			/* The first ones have the room */
			EXPECT_GT(3, r[i].group);
			first = first ?: r[i].id;
			continue;
		}
		nr_lost++;
		EXPECT_EQ(IOASID_FAULT_LOST, r[i].kind);
		EXPECT_EQ(0, r[i].flags);
		EXPECT_EQ(0, r[i].ioasid);
		EXPECT_EQ(self->a.devid, r[i].devid);
		EXPECT_EQ(self->a.id, r[i].cookie);
		EXPECT_EQ(0, r[i].id);
		EXPECT_NE(0, r[i].time);
	}
	EXPECT_EQ(1, nr_lost);
	/* To read them makes no room; an answer does */
	REQUEST(&self->a, 20, DATA, 1);
	RESPONDED(&self->a, INVALID, 8);
	EXPECT_EQ(0, fault_answer(queue.fd, first, IOASID_FAULT_SUCCESS));
	REQUEST(&self->a, 21, DATA, 1);
	ASSERT_EQ(2, fault_take(queue.fd, r, 2));
	sums = (struct fault_sums){};
	fault_add(&sums, r, 2, 0);
	EXPECT_EQ(1, sums.groups);
	EXPECT_EQ(1, sums.lost);
	EXPECT_EQ(8, fault_lost(&self->a));
	close(queue.fd);
}

/* A device that asks and asks leaves room for the others of the queue */
TEST_F(faults, share)
{
	struct fault_sums a = {}, b = {};
	struct ioasid_model_state state;
	struct fault_queue queue;
	unsigned int i, n;
	__u32 id;

	ASSERT_EQ(0, another(self, 2 * SHARE, &queue, &id));
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	ASSERT_EQ(0, attach_to(self, &self->b, id));
	for (i = 0; i < 100; i++)
		REQUEST(&self->a, i, DATA, 1);
	RESPONDED(&self->a, INVALID, 100 - SHARE);
	for (i = 0; i < SHARE; i++)
		REQUEST(&self->b, i, DATA, 2);
	n = fault_take(queue.fd, self->record, 3 * SHARE + 1);
	ASSERT_EQ(3 * SHARE + 1, n);
	fault_add(&a, self->record, n, self->a.devid);
	fault_add(&b, self->record, n, self->b.devid);
	EXPECT_EQ(SHARE, a.groups);
	EXPECT_EQ(100 - SHARE, a.lost);
	EXPECT_EQ(SHARE, b.groups);
	EXPECT_EQ(0, b.lost);
	EXPECT_EQ(100 - SHARE, fault_lost(&self->a));
	EXPECT_EQ(0, fault_lost(&self->b));
	ASSERT_EQ(0, model_state(&self->b, &state));
	EXPECT_EQ(0, state.responses[IOASID_MODEL_INVALID]);
	close(queue.fd);
}

/* A device alone has all of the queue, and less when another one comes */
TEST_F(faults, share_alone)
{
	unsigned int i;

	ATTACH(&self->a);
	for (i = 0; i < CREDITS; i++)
		REQUEST(&self->a, i, DATA, 1);
	TAKE(CREDITS);
	EXPECT_EQ(0, fault_lost(&self->a));
	ATTACH(&self->b);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	/* DEPTH / 2 are its share: with the 31 that it has, one more fits */
	REQUEST(&self->a, 1, DATA, 1);
	TAKE(1);
	for (i = 0; i < CREDITS; i++)
		REQUEST(&self->b, i, DATA, 1);
	TAKE(CREDITS);
	EXPECT_EQ(0, fault_lost(&self->a) + fault_lost(&self->b));
}

/* Take all that is there, add what is of @devid, and answer; groups of other devices */
static unsigned int take_and_answer(struct _test_data_faults *self, int fd,
				    __u32 devid, struct fault_sums *sums)
{
	const struct ioasid_fault *r;
	unsigned int others = 0;
	int n = fault_read(fd, self->record, FAULTS_MAX);

	if (n <= 0)
		return 0;
	fault_add(sums, self->record, n, devid);
	for (r = self->record; r < self->record + n; r++) {
		if (r->kind != IOASID_FAULT_PAGE_REQUEST)
			continue;
		others += r->devid != devid;
		fault_answer(fd, r->id, IOASID_FAULT_SUCCESS);
	}
	return others;
}

/* While it floods, each request of its neighbour is told and served */
TEST_F(faults, flood)
{
	struct model_device *flood = &self->a, *calm = &self->b;
	struct model_counters counters;
	struct fault_sums sums = {};
	struct fault_queue queue;
	unsigned int i, served;
	__u32 id;

	ASSERT_EQ(0, another(self, 2 * SHARE, &queue, &id));
	ASSERT_EQ(0, attach_to(self, flood, id));
	ASSERT_EQ(0, attach_to(self, calm, id));
	for (i = 1; i <= 3; i++)
		ASSERT_EQ(0, fault_flood(flood, i, 0, VA(DATA), 4));
	for (i = 0; i < 200; i++) {
		REQUEST(calm, i, DATA + 1, 1);
		/* Answers make room for more of the flood */
		for (served = 0; !served;) {
			ASSERT_TRUE(fault_wait(queue.fd));
			served = take_and_answer(self, queue.fd, flood->devid,
						 &sums);
		}
	}
	EXPECT_EQ(0, fault_lost(calm));
	EXPECT_EQ(200, fault_told(calm));
	RESPONDED(calm, SUCCESS, 200);
	for (i = 1; i <= 3; i++)
		ASSERT_EQ(0, model_stop(flood, i, NULL));
	do {
		counters = model_counters(flood);
		take_and_answer(self, queue.fd, flood->devid, &sums);
	} while (counters.requests != counters.responses ||
		 fault_has_records(queue.fd));
	/* What records say, the counts of the device, and what it got agree */
	EXPECT_EQ(fault_told(flood), sums.groups);
	EXPECT_EQ(fault_lost(flood), sums.lost);
	EXPECT_LT(0, sums.lost);
	EXPECT_EQ(fault_responses(flood, IOASID_MODEL_INVALID), sums.lost);
	EXPECT_EQ(fault_responses(flood, IOASID_MODEL_SUCCESS), sums.groups);
	close(queue.fd);
}

/* ---- Numbers that are used again ---- */

#define PASIDS 4

/* Answer all that is there; the number of records with this PASID */
static unsigned int answer_others(struct _test_data_faults *self, int fd,
				  __u32 pasid)
{
	int n = fault_read(fd, self->record, FAULTS_MAX);
	const struct ioasid_fault *r;
	unsigned int wrong = 0;

	for (r = self->record; r < self->record + (n < 0 ? 0 : n); r++) {
		if (r->kind == IOASID_FAULT_LOST)
			continue;
		wrong += r->vpasid == pasid;
		fault_answer(fd, r->id, IOASID_FAULT_SUCCESS);
	}
	return wrong;
}

/*
 * A queue never hears of what a PASID was attached to before, and no device reaches
 * what its PASID led to.
 */
TEST_F(faults, reuse)
{
	int rounds = ia_slow_kernel() ? 100 : 1500;
	struct fault_queue queue[2] = { self->queue };
	__u32 id[2] = { self->id }, flooded = 0;
	int i, n, k;

	ASSERT_EQ(0, another(self, DEPTH, &queue[1], &id[1]));
	ASSERT_EQ(0, make_present(self, id[0], DATA));
	ASSERT_EQ(0, model_bind(&self->a));
	for (i = 1; i <= PASIDS; i++)
		ASSERT_EQ(0, fault_flood(&self->a, i, i, VA(DATA + 1), 4));
	for (i = 0; i < rounds; i++) {
		__u32 pasid = 1 + i % PASIDS;
		int to = i / PASIDS % 2;

		if (i >= PASIDS)
			ASSERT_EQ(0, pasid_detach(&self->a, pasid));
		/* The queue that it was attached to has nothing of it */
		ASSERT_EQ(0, answer_others(self, queue[!to].fd, pasid));
		ASSERT_EQ(0, pasid_attach(&self->a, id[to], pasid));
		/* As long as others wait there, the device may ask for no more */
		while (i % 3 == 0 && !fault_has_records(queue[to].fd))
			ASSERT_EQ(0, answer_others(self, queue[!to].fd, pasid));
		n = fault_read(queue[to].fd, self->record, FAULTS_MAX);
		for (k = 0; k < n; k++) {
			if (self->record[k].kind == IOASID_FAULT_LOST)
				continue;
			ASSERT_EQ(id[to], self->record[k].ioasid);
			flooded += self->record[k].vpasid == pasid;
			fault_answer(queue[to].fd, self->record[k].id, i % 2);
		}
		EXPECT_EQ(to ? -MODEL_FAULT_ABSENT : DATA,
			  pasid_page_at(&self->a, pasid, VA(DATA)));
	}
	EXPECT_LT(0, flooded);
	for (i = 1; i <= PASIDS; i++)
		ASSERT_EQ(0, model_stop(&self->a, i, NULL));
	model_release(&self->a);
	SILENT(&queue[0]);
	SILENT(&queue[1]);
	EXPECT_EQ(0, model_counters(&self->b).stale);
	close(queue[1].fd);
}

/* ---- Moves under load ---- */

/* A device whose accesses ask goes to and fro: the queue that it left is silent */
TEST_F(faults, move_storm)
{
	int rounds = ia_slow_kernel() ? 100 : 2000;
	struct fault_queue queue[2] = { self->queue };
	__u32 id[2] = { self->id }, told[2] = {};
	const char *unanswered;
	int i, n, k, to;

	ASSERT_EQ(0, another(self, DEPTH, &queue[1], &id[1]));
	ASSERT_EQ(0, attach_to(self, &self->a, id[0]));
	for (i = 1; i <= 3; i++)
		ASSERT_EQ(0, fault_flood(&self->a, i, 0, VA(DATA), 4));
	for (i = 0; i < rounds; i++) {
		to = (i + 1) % 2;
		ASSERT_EQ(0, attach_to(self, &self->a, id[to]));
		/* Only that some were lost can be there yet */
		while ((n = fault_read(queue[!to].fd, self->record, FAULTS_MAX)) > 0)
			for (k = 0; k < n; k++)
				ASSERT_EQ(IOASID_FAULT_LOST, self->record[k].kind);
		if (i % 4 == 0)
			ASSERT_TRUE(fault_wait(queue[to].fd));
		n = fault_read(queue[to].fd, self->record, FAULTS_MAX);
		for (k = 0; k < n; k++) {
			if (self->record[k].kind != IOASID_FAULT_PAGE_REQUEST)
				continue;
			ASSERT_EQ(id[to], self->record[k].ioasid);
			told[to]++;
			/* Those that are not answered try again elsewhere */
			if (k % 2)
				EXPECT_EQ(0, fault_answer(queue[to].fd,
							  self->record[k].id, 0));
		}
	}
	EXPECT_LT(0, told[0]);
	EXPECT_LT(0, told[1]);
	for (i = 1; i <= 3; i++)
		ASSERT_EQ(0, model_stop(&self->a, i, NULL));
	ASSERT_EQ(0, detach(self, &self->a));
	unanswered = fault_unanswered(&self->b, 0);
	EXPECT_EQ(NULL, unanswered) TH_LOG("%s", unanswered);
	close(queue[1].fd);
}

/* ---- Groups of devices ---- */

/* Two devices of one iommu group: each has its records */
TEST_F(faults, iommu_group)
{
	struct model_params params = FAULTS_PARAMS;
	struct model_device dev[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, model_plug(&self->model, &dev[i], &params, 5));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, model_bind(&dev[i]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, hw_attach(dev[i].fd, self->id));
	for (i = 0; i < 2; i++) {
		REQUEST(&dev[i], 1, DATA, 1);
		TAKE(1);
		EXPECT_EQ(dev[i].devid, self->record[0].devid);
		EXPECT_EQ(dev[i].id, self->record[0].cookie);
		EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	}
	/* One leaves: its requests are answered, and those of the other wait */
	for (i = 0; i < 2; i++)
		REQUEST(&dev[i], 2, DATA, 1);
	TAKE(2);
	ASSERT_EQ(0, hw_detach(dev[0].fd, self->id));
	RESPONDED(&dev[0], INVALID, 1);
	RESPONDED(&dev[1], INVALID, 0);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(self->record[i].devid == dev[0].devid ? -ENOENT : 0,
			  ANSWER(self->record[i].id, SUCCESS));
	RESPONDED(&dev[1], SUCCESS, 2);
	for (i = 0; i < 2; i++)
		MODEL_REMOVE(&dev[i]);
}

/* ---- Accesses that have failed ---- */

#define UNREPAIRABLE(statement)						\
do {									\
	if (ia_check(self->fd, IOASID_EXT_UNREPAIRABLE) <= 0)		\
		SKIP(statement, "the kernel does not tell of them");	\
} while (0)

/* One access, which fails */
static int fail(struct model_device *dev, __u32 op, __u32 pasid, __u64 addr)
{
	struct ioasid_model_dma dma = {
		.op = op,
		.flags = pasid ? IOASID_MODEL_DMA_PASID : 0,
		.pasid = pasid,
		.address = addr,
		.length = 8,
	};

	return model_dma(dev, &dma, NULL);
}

static void expect_failure(struct __test_metadata *_metadata,
			   struct _test_data_faults *self, __u32 ioasid,
			   __u32 pasid, __u64 addr, __u32 permission)
{
	struct ioasid_fault *r = self->record;

	TAKE(1);
	EXPECT_EQ(IOASID_FAULT_UNREPAIRABLE, r->kind);
	EXPECT_EQ(pasid ? IOASID_FAULT_BY_PASID : 0, r->flags);
	EXPECT_EQ(ioasid, r->ioasid);
	EXPECT_EQ(self->a.devid, r->devid);
	EXPECT_EQ(self->a.id, r->cookie);
	EXPECT_EQ(addr, r->addr);
	EXPECT_EQ(pasid, r->vpasid);
	EXPECT_EQ(permission, r->permission);
	EXPECT_EQ(0, r->id);
	EXPECT_EQ(0, r->group);
	EXPECT_NE(0, r->time);
	EXPECT_EQ(0, r->lost);
	EXPECT_NE(0, r->reason);
}

TEST_F(faults, unrepairable)
{
	__u64 told;

	UNREPAIRABLE(return);
	ATTACH(&self->a);
	ASSERT_EQ(0, pasid_attach(&self->a, self->id, 5));
	EXPECT_EQ(MODEL_FAULT_ABSENT, fail(&self->a, IOASID_MODEL_WRITE, 0,
					   VA(DATA) + 8));
	expect_failure(_metadata, self, self->id, 0, VA(DATA) + 8,
		       IOASID_FAULT_WRITE);
	EXPECT_EQ(MODEL_FAULT_ABSENT, fail(&self->a, IOASID_MODEL_READ, 5,
					   VA(DATA)));
	expect_failure(_metadata, self, self->id, 5, VA(DATA),
		       IOASID_FAULT_READ);
	/* An id in these records answers nothing */
	EXPECT_EQ(-ENOENT, ANSWER(0, SUCCESS));
	EXPECT_EQ(2, fault_told(&self->a));
	/* Where no IOASID is attached, nothing is told */
	told = fault_told(&self->a);
	EXPECT_NE(0, fail(&self->a, IOASID_MODEL_READ, 6, VA(DATA)));
	ASSERT_EQ(0, model_bind(&self->b));
	EXPECT_NE(0, fail(&self->b, IOASID_MODEL_READ, 0, VA(DATA)));
	ASSERT_EQ(0, detach(self, &self->a));
	EXPECT_NE(0, fail(&self->a, IOASID_MODEL_READ, 0, VA(DATA)));
	SILENT(&self->queue);
	EXPECT_EQ(told, fault_told(&self->a));
	EXPECT_EQ(0, fault_told(&self->b));
	EXPECT_EQ(0, fault_lost(&self->a) + fault_lost(&self->b));
}

/* Requests of the same device that wait do not keep them from being told */
TEST_F(faults, unrepairable_beside)
{
	unsigned int i;

	UNREPAIRABLE(return);
	ATTACH(&self->a);
	for (i = 0; i < 20; i++)
		REQUEST(&self->a, i, DATA, 1);
	EXPECT_NE(0, fail(&self->a, IOASID_MODEL_READ, 0, VA(DATA)));
	TAKE(21);
	for (i = 0; i < 21; i++)
		if (self->record[i].kind == IOASID_FAULT_UNREPAIRABLE)
			break;
	EXPECT_GT(21, i);
}

/* Each access is told or counted, however many there are */
TEST_F(faults, unrepairable_many)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_WRITE,
		.flags = IOASID_MODEL_DMA_GO_ON,
		.address = VA(DATA),
		.length = 8,
		.count = 5000,
	};
	struct ioasid_model_status status;
	struct fault_sums sums = {};
	int n;

	UNREPAIRABLE(return);
	ATTACH(&self->a);
	ATTACH(&self->b);
	EXPECT_NE(0, model_dma(&self->a, &dma, &status));
	EXPECT_EQ(5000, status.faults);
	/* The neighbour is told, unless the records of the other fill the queue */
	while ((n = fault_read(self->queue.fd, self->record, FAULTS_MAX)) > 0)
		fault_add(&sums, self->record, n, self->a.devid);
	EXPECT_EQ(5000, sums.unrepairable + sums.lost);
	EXPECT_LT(0, sums.unrepairable);
	EXPECT_LT(0, sums.lost);
	EXPECT_EQ(sums.unrepairable, fault_told(&self->a));
	EXPECT_EQ(sums.lost, fault_lost(&self->a));
	EXPECT_NE(0, fail(&self->b, IOASID_MODEL_WRITE, 0, VA(DATA)));
	TAKE(1);
	EXPECT_EQ(IOASID_FAULT_UNREPAIRABLE, self->record[0].kind);
	EXPECT_EQ(self->b.devid, self->record[0].devid);
}

/*
 * Mediated devices: each has its own records, with the PASID of user space, whatever
 * is on the wire
 */
TEST_F(faults, unrepairable_mediated)
{
	struct model_params params = { .pasid_bits = 6 };
	struct ioasid_device_info info;
	struct ioasid_fault *r = self->record;
	struct model_device parent;
	struct mediated med[2];
	struct fault_sums sums;
	unsigned int i, k;
	int n;

	UNREPAIRABLE(return);
	ASSERT_EQ(0, mediated_plug(&self->model, &parent, &params));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, mediate(&self->model, parent.id, 0, &med[i]));
		ASSERT_EQ(0, med_bind(&med[i], self->fd, 10 + i));
		ASSERT_EQ(0, med_attach(&med[i], self->id, 0));
		ASSERT_EQ(0, med_attach(&med[i], self->id, 7));
	}
	for (i = 0; i < 4; i++) {
		const __u32 vpasid = i / 2 ? 7 : 0;

		EXPECT_EQ(-MODEL_FAULT_ABSENT, med_read(&med[i % 2], vpasid,
							VA(DATA), NULL));
		TAKE(1);
		EXPECT_EQ(IOASID_FAULT_UNREPAIRABLE, r->kind);
		EXPECT_EQ(vpasid ? IOASID_FAULT_BY_PASID : 0, r->flags);
		EXPECT_EQ(vpasid, r->vpasid);
		EXPECT_EQ(med[i % 2].devid, r->devid);
		EXPECT_EQ(10 + i % 2, r->cookie);
		EXPECT_EQ(self->id, r->ioasid);
		EXPECT_EQ(VA(DATA), r->addr);
	}
	/* What is lost, too */
	for (i = 0; i < 2; i++) {
		for (k = 0; k < 300; k++)
			EXPECT_EQ(-MODEL_FAULT_ABSENT,
				  med_read(&med[i], 7, VA(DATA), NULL));
		sums = (struct fault_sums){};
		while ((n = fault_read(self->queue.fd, r, FAULTS_MAX)) > 0)
			fault_add(&sums, r, n, med[i].devid);
		EXPECT_EQ(300, sums.unrepairable + sums.lost);
		ASSERT_EQ(0, ia_device_info(self->fd, med[i].devid, &info));
		EXPECT_EQ(302, info.faults + info.faults_lost);
		EXPECT_EQ(sums.lost, info.faults_lost);
	}
	for (i = 0; i < 2; i++)
		close(med[i].fd);
	EXPECT_NO_HARM(&parent);
	EXPECT_EQ(0, model_unplug(&parent, 0));
}

TEST_HARNESS_MAIN
