// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of devices, by each way to attach: what records say, and that each
 * request gets one answer, whatever ends.
 */
#include <poll.h>

#include "faults_fixture.h"

#define SEED 17

FIXTURE_VARIANT(faults)
{
	struct fault_way way;
};

#define WAY(name, ...)							\
	FIXTURE_VARIANT_ADD(faults, name) { .way = { __VA_ARGS__ } }

WAY(map, IOASID_KIND_MAP, 0);
WAY(map_pasid, IOASID_KIND_MAP, 5);
WAY(pgtable, IOASID_KIND_PGTABLE, 0);
WAY(pgtable_pasid, IOASID_KIND_PGTABLE, 9);
WAY(pasid_table, IOASID_KIND_PASID_TABLE, 3);

FIXTURE_SETUP(faults)
{
	FAMILY_OPEN(return, PAGES);
	if (faults_lack(self->fd))
		SKIP(return, "%s", faults_lack(self->fd));
	set_up_faults(_metadata, self, &variant->way);
}

FIXTURE_TEARDOWN(faults)
{
	tear_down_faults(_metadata, self);
}

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* The record of a page request of a device of the fixture */
static void expect_request(struct __test_metadata *_metadata,
			   struct _test_data_faults *self,
			   const struct ioasid_fault *r, struct model_device *dev,
			   __u32 more_flags, __u64 addr, __u32 permission)
{
	EXPECT_EQ(IOASID_FAULT_PAGE_REQUEST, r->kind);
	EXPECT_EQ(fault_flags(&self->way) | more_flags, r->flags);
	EXPECT_EQ(self->id, r->ioasid);
	EXPECT_EQ(dev->devid, r->devid);
	EXPECT_EQ(dev->id, r->cookie);
	EXPECT_EQ(addr, r->addr);
	EXPECT_EQ(self->way.pasid, r->vpasid);
	EXPECT_EQ(permission, r->permission);
	EXPECT_NE(0, r->id);
	EXPECT_EQ(0, r->lost);
	EXPECT_EQ(0, r->reason);
	EXPECT_EQ(0, r->__reserved[0] | r->__reserved[1] | r->__reserved[2]);
}

/* DMA waits until the program has made the page present, and answered */
TEST_F(faults, served)
{
	struct ioasid_model_status status;
	__u64 before = now_ns();
	struct ioasid_fault *r = &self->record[0];
	__u32 last;

	ATTACH(&self->a);
	/* A write */
	ASSERT_EQ(0, fault_dma(&self->a, 1, IOASID_MODEL_FILL, self->way.pasid,
			       VA(DATA), SEED));
	TAKE(1);
	expect_request(_metadata, self, r, &self->a, IOASID_FAULT_LAST, VA(DATA),
		       FAULT_RW);
	EXPECT_LE(IOASID_MODEL_GROUPS, r->group);
	EXPECT_LE(before, r->time);
	EXPECT_GE(now_ns(), r->time);
	ASSERT_EQ(0, model_status(&self->a, 1, &status));
	EXPECT_EQ(IOASID_MODEL_RUNNING, status.run);
	ASSERT_EQ(0, make_present(self, self->id, DATA));
	last = r->id;
	EXPECT_EQ(0, ANSWER(last, SUCCESS));
	ASSERT_EQ(0, fault_dma_ended(&self->a, 1, &status));
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	EXPECT_TRUE(model_pattern_holds(self->mem + DATA * PG, SEED, VA(DATA), PG));
	EXPECT_EQ(-ENOENT, ANSWER(last, SUCCESS));
	EXPECT_EQ(-ENOENT, ANSWER(last, INVALID));

	/* A read */
	ASSERT_EQ(0, fault_dma(&self->a, 1, IOASID_MODEL_VERIFY,
			       self->way.pasid, VA(DATA + 1), SEED));
	TAKE(1);
	expect_request(_metadata, self, r, &self->a, IOASID_FAULT_LAST,
		       VA(DATA + 1), IOASID_FAULT_READ);
	EXPECT_NE(last, r->id);
	model_pattern(self->mem + (DATA + 1) * PG, SEED, VA(DATA + 1), PG);
	ASSERT_EQ(0, make_present(self, self->id, DATA + 1));
	EXPECT_EQ(0, ANSWER(r->id, SUCCESS));
	ASSERT_EQ(0, fault_dma_ended(&self->a, 1, &status));
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	EXPECT_EQ(0, status.mismatches);

	SILENT(&self->queue);
	EXPECT_EQ(2, fault_told(&self->a));
	EXPECT_EQ(0, fault_lost(&self->a));
	RESPONDED(&self->a, SUCCESS, 2);
}

/* The page will not come: the access fails, and others do not */
TEST_F(faults, refused)
{
	struct ioasid_model_status status;

	ATTACH(&self->a);
	ASSERT_EQ(0, make_present(self, self->id, DATA + 1));
	ASSERT_EQ(0, fault_dma(&self->a, 1, IOASID_MODEL_FILL, self->way.pasid,
			       VA(DATA), SEED));
	TAKE(1);
	EXPECT_EQ(0, ANSWER(self->record[0].id, INVALID));
	ASSERT_EQ(0, fault_dma_ended(&self->a, 1, &status));
	EXPECT_EQ(IOASID_MODEL_FAULTED, status.run);
	EXPECT_EQ(MODEL_PAGE_REQUEST, status.fault);
	EXPECT_EQ(VA(DATA), status.fault_addr);
	ASSERT_EQ(0, fault_dma(&self->a, 1, IOASID_MODEL_FILL, self->way.pasid,
			       VA(DATA + 1), SEED));
	ASSERT_EQ(0, fault_dma_ended(&self->a, 1, &status));
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	RESPONDED(&self->a, INVALID, 1);
	SILENT(&self->queue);
}

/* The requests of a group follow each other, and only the last one says so */
TEST_F(faults, groups)
{
	struct ioasid_fault *r = self->record;
	int i;

	ATTACH(&self->a);
	ATTACH(&self->b);
	/* Two of one device, one of another in between */
	ASSERT_EQ(0, fault_request_part(&self->a, self->way.pasid, 1, VA(DATA), 3));
	self->parts += 3;
	REQUEST(&self->b, 1, DATA, 2);
	REQUEST(&self->a, 2, DATA, 5);
	REQUEST(&self->a, 1, DATA + 3, 1);
	TAKE(2 + 5 + 4);
	for (i = 0; i < 2; i++) {
		expect_request(_metadata, self, &r[i], &self->b,
			       i == 1 ? IOASID_FAULT_LAST : 0, VA(DATA + i),
			       FAULT_RW);
		EXPECT_EQ(1, r[i].group);
		EXPECT_EQ(r[0].id, r[i].id);
	}
	for (i = 0; i < 5; i++) {
		expect_request(_metadata, self, &r[2 + i], &self->a,
			       i == 4 ? IOASID_FAULT_LAST : 0, VA(DATA + i),
			       FAULT_RW);
		EXPECT_EQ(2, r[2 + i].group);
		EXPECT_EQ(r[2].id, r[2 + i].id);
	}
	for (i = 0; i < 4; i++) {
		expect_request(_metadata, self, &r[7 + i], &self->a,
			       i == 3 ? IOASID_FAULT_LAST : 0, VA(DATA + i),
			       FAULT_RW);
		EXPECT_EQ(1, r[7 + i].group);
		EXPECT_EQ(r[7].id, r[7 + i].id);
	}
	EXPECT_NE(r[0].id, r[2].id);
	EXPECT_NE(r[0].id, r[7].id);
	EXPECT_NE(r[2].id, r[7].id);
	/* A group counts as one, and gets one answer */
	EXPECT_EQ(2, fault_told(&self->a));
	EXPECT_EQ(1, fault_told(&self->b));
	EXPECT_EQ(0, ANSWER(r[2].id, SUCCESS));
	EXPECT_EQ(-ENOENT, ANSWER(r[2].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 1);
	RESPONDED(&self->b, SUCCESS, 0);
	EXPECT_EQ(0, ANSWER(r[7].id, INVALID));
	EXPECT_EQ(0, ANSWER(r[0].id, INVALID));
	RESPONDED(&self->a, INVALID, 1);
	RESPONDED(&self->b, INVALID, 1);
}

/* A group has the requests of one PASID: of each one they are numbered anew */
TEST_F(faults, groups_of_pasids)
{
	struct ioasid_fault *r = self->record;

	if (self->way.kind == IOASID_KIND_PASID_TABLE)
		SKIP(return, "no attachments by PASID");
	ATTACH(&self->a);
	ASSERT_EQ(0, pasid_attach(&self->a, self->id, 7));
	ASSERT_EQ(0, fault_request_part(&self->a, self->way.pasid, 1, VA(DATA), 2));
	self->parts += 2;
	ASSERT_EQ(0, fault_request(&self->a, 7, 1, VA(DATA + 4), 1));
	TAKE(1);
	EXPECT_EQ(VA(DATA + 4), r[0].addr);
	EXPECT_EQ(0, ANSWER(r[0].id, SUCCESS));
	/* The other one goes on */
	REQUEST(&self->a, 1, DATA + 2, 1);
	TAKE(3);
	EXPECT_EQ(VA(DATA), r[0].addr);
	EXPECT_EQ(VA(DATA + 2), r[2].addr);
	EXPECT_EQ(0, ANSWER(r[2].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 2);
	EXPECT_EQ(0, pasid_detach(&self->a, 7));
}

/* Answers come in any order, several with one write() */
TEST_F(faults, out_of_order)
{
	struct ioasid_fault_response answers[8] = {};
	struct ioasid_model_state state;
	int i;

	ATTACH(&self->a);
	for (i = 0; i < 8; i++)
		REQUEST(&self->a, 10 + i, DATA, 1);
	TAKE(8);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(10 + i, self->record[i].group);
		answers[7 - i].id = self->record[i].id;
		answers[7 - i].code = i % 2;
	}
	EXPECT_EQ(sizeof(answers),
		  write(self->queue.fd, answers, sizeof(answers)));
	ASSERT_EQ(0, model_state(&self->a, &state));
	EXPECT_EQ(8, state.nr_log);
	for (i = 0; i < 8; i++) {
		/* The latest is first */
		EXPECT_EQ(10 + i, state.log[i].group);
		EXPECT_EQ(i % 2, state.log[i].code);
		EXPECT_EQ(self->way.pasid ?: state.log[i].pasid,
			  state.log[i].pasid);
	}
	EXPECT_EQ(0, state.unexpected);
}

/* ---- Ends ---- */

#define TOLD 3
#define WAITING 3

/*
 * Groups that were read, and others that were not.  The ids of the former are in the
 * first records.
 */
static void leave_waiting(struct __test_metadata *_metadata,
			  struct _test_data_faults *self)
{
	int i;

	ATTACH(&self->a);
	ATTACH(&self->b);
	for (i = 0; i < TOLD; i++)
		REQUEST(&self->a, i, DATA, 1 + i);
	TAKE(1 + 2 + 3);
	self->record[2] = self->record[5];
	for (i = 0; i < WAITING; i++)
		REQUEST(&self->a, TOLD + i, DATA, 1 + i);
	ASSERT_TRUE(fault_told_be(&self->a, TOLD + WAITING));
	EXPECT_EQ(0, fault_responses(&self->a, IOASID_MODEL_INVALID));
	EXPECT_EQ(0, fault_responses(&self->a, IOASID_MODEL_SUCCESS));
}

/* All of them are answered, and the queue knows none */
static void expect_ended(struct __test_metadata *_metadata,
			 struct _test_data_faults *self)
{
	const char *unanswered = fault_unanswered(&self->b, self->parts);
	__u32 told[TOLD];
	int i;

	EXPECT_EQ(NULL, unanswered) TH_LOG("%s", unanswered);
	EXPECT_EQ(TOLD + WAITING, model_counters(&self->b).responses);
	for (i = 0; i < TOLD; i++)
		told[i] = self->record[i].id;
	EXPECT_FALSE(fault_has_records(self->queue.fd));
	SILENT(&self->queue);
	for (i = 0; i < TOLD; i++)
		EXPECT_EQ(-ENOENT, ANSWER(told[i], SUCCESS));
	EXPECT_EQ(TOLD + WAITING, model_counters(&self->b).responses);
}

/* Those of the neighbour are told as before */
static void expect_neighbour(struct __test_metadata *_metadata,
			     struct _test_data_faults *self)
{
	REQUEST(&self->b, 1, DATA, 1);
	TAKE(1);
	EXPECT_EQ(self->b.devid, self->record[0].devid);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	RESPONDED(&self->b, SUCCESS, 1);
}

TEST_F(faults, detach)
{
	leave_waiting(_metadata, self);
	ASSERT_EQ(0, detach(self, &self->a));
	expect_ended(_metadata, self);
	EXPECT_EQ(TOLD + WAITING, fault_responses(&self->a, IOASID_MODEL_INVALID));
	EXPECT_EQ(TOLD + WAITING, fault_told(&self->a));
	expect_neighbour(_metadata, self);
	/* And back */
	ATTACH(&self->a);
	REQUEST(&self->a, 1, DATA, 1);
	TAKE(1);
	EXPECT_EQ(self->a.devid, self->record[0].devid);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 1);
}

TEST_F(faults, unbind)
{
	leave_waiting(_metadata, self);
	model_release(&self->a);
	expect_ended(_metadata, self);
	expect_neighbour(_metadata, self);
}

TEST_F(faults, unplug)
{
	leave_waiting(_metadata, self);
	ASSERT_EQ(0, model_unplug(&self->a, IOASID_MODEL_ASYNC));
	model_release(&self->a);
	while (model_present(&self->a))
		usleep(1000);
	self->a.model = NULL;
	expect_ended(_metadata, self);
	expect_neighbour(_metadata, self);
}

/* The program is gone: nothing waits for it */
TEST_F(faults, close_queue)
{
	struct ioasid_model_status status;
	__u64 told, all;

	leave_waiting(_metadata, self);
	told = fault_told(&self->a);
	EXPECT_EQ(TOLD + WAITING, told);
	close(self->queue.fd);
	self->queue.fd = -1;
	RESPONDED(&self->a, INVALID, TOLD + WAITING);
	/* Later ones are answered at once, and are lost */
	REQUEST(&self->a, 1, DATA, 2);
	RESPONDED(&self->a, INVALID, TOLD + WAITING + 1);
	ASSERT_EQ(0, fault_dma(&self->b, 1, IOASID_MODEL_FILL, self->way.pasid,
			       VA(DATA), SEED));
	ASSERT_EQ(0, fault_dma_ended(&self->b, 1, &status));
	EXPECT_EQ(MODEL_PAGE_REQUEST, status.fault);
	RESPONDED(&self->b, INVALID, 1);
	EXPECT_EQ(told, fault_told(&self->a));
	EXPECT_EQ(1, fault_lost(&self->a));
	EXPECT_EQ(1, fault_lost(&self->b));
	/* What is present works */
	ASSERT_EQ(0, make_present(self, self->id, DATA));
	EXPECT_EQ(0, fault_dma(&self->b, 1, IOASID_MODEL_FILL, self->way.pasid,
			       VA(DATA), SEED));
	ASSERT_EQ(0, fault_dma_ended(&self->b, 1, &status));
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	/* The id is there until it is freed */
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->queue.id));
	ASSERT_EQ(0, detach(self, &self->a));
	ASSERT_EQ(0, detach(self, &self->b));
	all = model_counters(&self->b).responses;
	EXPECT_EQ(TOLD + WAITING + 2, all);
	EXPECT_EQ(0, ia_free(self->fd, self->id));
	EXPECT_EQ(0, ia_free(self->fd, self->queue.id));
}

/* The context lives as long as a device is bound: groups are told until then */
TEST_F(faults, close_context)
{
	struct pollfd poll_fd = { .fd = self->queue.fd, .events = POLLIN };
	int i;

	leave_waiting(_metadata, self);
	close(self->model.ctx);
	self->model.ctx = -1;
	TAKE(1 + 2 + 3);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	REQUEST(&self->a, 100, DATA, 1);
	REQUEST(&self->b, 1, DATA, 1);
	model_release(&self->a);
	TAKE(1);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	SILENT(&self->queue);
	model_release(&self->b);
	/* The last device is gone, and with it the context */
	EXPECT_EQ(1, poll(&poll_fd, 1, FAULTS_PATIENCE_MS));
	EXPECT_TRUE(poll_fd.revents & POLLHUP);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, fault_read(self->queue.fd, self->record, FAULTS_MAX));
	EXPECT_EQ(-ENOENT, ANSWER(self->record[0].id, SUCCESS));
	EXPECT_EQ(TOLD + WAITING + 2, model_counters(&self->b).responses);
}

/* In the other order */
TEST_F(faults, close_queue_last)
{
	leave_waiting(_metadata, self);
	close(self->model.ctx);
	self->model.ctx = -1;
	close(self->queue.fd);
	self->queue.fd = -1;
	RESPONDED(&self->a, INVALID, TOLD + WAITING);
	REQUEST(&self->b, 1, DATA, 1);
	RESPONDED(&self->b, INVALID, 1);
}

/* IOASIDs that have nothing to do with it, and ids that are taken */
TEST_F(faults, free_others)
{
	struct fault_queue other;
	__u32 id;

	ASSERT_EQ(0, fault_queue_open(self->fd, DEPTH, &other));
	ASSERT_EQ(0, make_ioasid(self, &self->queue, &id));
	leave_waiting(_metadata, self);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->id));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->queue.id));
	EXPECT_EQ(0, ia_free(self->fd, id));
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->queue.id));
	EXPECT_EQ(0, ia_free(self->fd, other.id));
	EXPECT_EQ(0, close(other.fd));
	EXPECT_EQ(0, fault_responses(&self->a, IOASID_MODEL_INVALID));
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 1);
}

/* ---- Moves ---- */

/*
 * The device tries again where it is now: the new queue gets the request, and the
 * old one knows nothing of it.
 */
TEST_F(faults, move)
{
	struct ioasid_model_status status;
	struct fault_queue other;
	__u32 id, old;
	int page;

	ASSERT_EQ(0, fault_queue_open(self->fd, DEPTH, &other));
	ASSERT_EQ(0, make_ioasid(self, &other, &id));
	ATTACH(&self->a);
	for (page = DATA; page < DATA + 2; page++)
		ASSERT_EQ(0, fault_dma(&self->a, page - DATA + 1,
				       IOASID_MODEL_FILL, self->way.pasid,
				       VA(page), SEED));
	/* One is told, the other waits */
	ASSERT_TRUE(fault_wait(self->queue.fd));
	ASSERT_EQ(1, fault_read(self->queue.fd, self->record, 1));
	old = self->record[0].id;
	ASSERT_TRUE(fault_told_be(&self->a, 2));
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	SILENT(&self->queue);
	EXPECT_EQ(-ENOENT, ANSWER(old, INVALID));
	ASSERT_EQ(2, fault_take(other.fd, self->record, 2));
	for (page = 0; page < 2; page++) {
		EXPECT_EQ(id, self->record[page].ioasid);
		EXPECT_EQ(self->a.devid, self->record[page].devid);
		EXPECT_EQ(IOASID_FAULT_PAGE_REQUEST, self->record[page].kind);
	}
	EXPECT_EQ(2 * VA(DATA) + PG, self->record[0].addr + self->record[1].addr);
	RESPONDED(&self->a, SUCCESS, 2);
	for (page = DATA; page < DATA + 2; page++)
		ASSERT_EQ(0, make_present(self, id, page));
	for (page = 0; page < 2; page++)
		EXPECT_EQ(0, fault_answer(other.fd, self->record[page].id,
					  IOASID_FAULT_SUCCESS));
	for (page = DATA; page < DATA + 2; page++) {
		ASSERT_EQ(0, fault_dma_ended(&self->a, page - DATA + 1, &status));
		EXPECT_EQ(IOASID_MODEL_DONE, status.run);
		EXPECT_TRUE(model_pattern_holds(self->mem + page * PG, SEED,
						VA(page), PG));
	}
	RESPONDED(&self->a, SUCCESS, 4);
	RESPONDED(&self->a, INVALID, 0);
	close(other.fd);
}

/* To an IOASID without a queue, and back */
TEST_F(faults, move_to_none)
{
	__u32 id;

	ASSERT_EQ(0, make_ioasid(self, NULL, &id));
	leave_waiting(_metadata, self);
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	expect_ended(_metadata, self);
	EXPECT_EQ(TOLD + WAITING, fault_responses(&self->a, IOASID_MODEL_SUCCESS));
	/* It requests no pages, or each of them is refused */
	fault_request(&self->a, self->way.pasid, 1, VA(DATA), 1);
	SILENT(&self->queue);
	EXPECT_EQ(TOLD + WAITING, fault_told(&self->a));
	EXPECT_EQ(0, fault_lost(&self->a));
	ATTACH(&self->a);
	REQUEST(&self->a, 1, DATA, 1);
	TAKE(1);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	expect_neighbour(_metadata, self);
}

/* A move that fails: the old queue has the groups, and takes their answers */
TEST_F(faults, move_fails)
{
	bool by_pasid = self->way.pasid &&
			self->way.kind != IOASID_KIND_PASID_TABLE;
	struct fault_queue other;
	__u32 id, told;

	ASSERT_EQ(0, fault_queue_open(self->fd, DEPTH, &other));
	ASSERT_EQ(0, make_ioasid(self, &other, &id));
	ATTACH(&self->a);
	REQUEST(&self->a, 1, DATA, 1);
	TAKE(1);
	told = self->record[0].id;
	REQUEST(&self->a, 2, DATA, 1);
	ASSERT_TRUE(fault_wait(self->queue.fd));
	ASSERT_EQ(0, model_inject(&self->a, by_pasid ? MODEL_INJECT_ATTACH_PASID :
						       MODEL_INJECT_ATTACH, 1, 0));
	EXPECT_EQ(-ENOMEM, attach_to(self, &self->a, id));
	TAKE(1);
	EXPECT_EQ(2, self->record[0].group);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	EXPECT_EQ(0, ANSWER(told, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 2);
	REQUEST(&self->a, 3, DATA, 1);
	TAKE(1);
	EXPECT_EQ(self->id, self->record[0].ioasid);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	SILENT(&other);
	close(other.fd);
}

/* To another IOASID with the same queue */
TEST_F(faults, move_within)
{
	__u32 id, told;

	ASSERT_EQ(0, make_ioasid(self, &self->queue, &id));
	ATTACH(&self->a);
	REQUEST(&self->a, 1, DATA, 1);
	TAKE(1);
	told = self->record[0].id;
	ASSERT_EQ(0, attach_to(self, &self->a, id));
	RESPONDED(&self->a, SUCCESS, 1);
	EXPECT_EQ(-ENOENT, ANSWER(told, SUCCESS));
	REQUEST(&self->a, 2, DATA, 1);
	TAKE(1);
	EXPECT_EQ(id, self->record[0].ioasid);
	EXPECT_NE(told, self->record[0].id);
	EXPECT_EQ(0, ANSWER(self->record[0].id, SUCCESS));
	RESPONDED(&self->a, SUCCESS, 2);
}

/* ---- Devices that request no pages ---- */

TEST_F(faults, no_requests)
{
	struct ioasid_device_info info;
	struct model_params params = FAULTS_PARAMS;
	struct model_device dev;

	ATTACH(&self->a);
	ASSERT_EQ(0, ia_device_info(self->fd, self->a.devid, &info));
	EXPECT_TRUE(info.caps & IOASID_DEVICE_FAULTS);
	params.flags &= ~MODEL_PRI;
	ASSERT_EQ(0, model_plug(&self->model, &dev, &params, 0));
	ASSERT_EQ(0, attach_to(self, &dev, self->id));
	ASSERT_EQ(0, ia_device_info(self->fd, dev.devid, &info));
	EXPECT_FALSE(info.caps & IOASID_DEVICE_FAULTS);
	EXPECT_NE(0, fault_request(&dev, self->way.pasid, 1, VA(DATA), 1));
	SILENT(&self->queue);
	EXPECT_EQ(0, fault_told(&dev) + fault_lost(&dev));
	ASSERT_EQ(0, make_present(self, self->id, DATA));
	ASSERT_EQ(0, detach(self, &dev));
	MODEL_REMOVE(&dev);
}

TEST_HARNESS_MAIN
