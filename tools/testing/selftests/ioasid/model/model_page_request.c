// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page requests of model devices, through /dev/iommu, with stage 1.
 */
#include "model_basic.h"

#define PRQ_DEPTH 4

/* Of a device, unless its parameters say otherwise */
#define CREDITS 32

/*
 * IOVA of the test's memory in stage 2: its first pages are a table of three
 * levels; the data of page n of the device follow.
 */
#define GUEST 0x100000ULL
#define TABLE_PAGES 4
#define S1_RW (MODEL_S1_PRESENT | MODEL_S1_WRITE)

/* An entry of the @table-th table */
static __u64 *s1_entry(char *mem, int table, int index)
{
	return (__u64 *)(mem + table * PG) + index;
}

/* Map page @page of the device there. */
static void s1_map(char *mem, int page)
{
	__atomic_store_n(s1_entry(mem, 2, page),
			 (GUEST + (TABLE_PAGES + page) * PG) | S1_RW,
			 __ATOMIC_RELEASE);
}

/*
 * Plug a device in, and attach it to the table.  @stage2, if not 0, is that of
 * another device of its IOMMU.
 */
static int plug(struct model *model, struct model_space *space,
		const struct model_params *params, __u32 *stage2,
		struct model_device *dev, int *faults)
{
	struct iommu_fault_alloc queue = { .size = sizeof(queue) };
	struct model_s1 s1 = { .root = GUEST, .levels = 3 };
	struct iommu_hwpt_alloc parent = {
		.size = sizeof(parent),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.pt_id = space->id,
	};
	struct iommu_hwpt_alloc nested = {
		.size = sizeof(nested),
		.flags = IOMMU_HWPT_FAULT_ID_VALID,
		.data_type = MODEL_HWPT_DATA_S1,
		.data_len = sizeof(s1),
		.data_uptr = IA_PTR(&s1),
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	int rc;

	rc = model_plug(model, dev, params, 0) ?: model_bind(dev) ?:
	     ia_cmd(model->ctx, IOMMU_FAULT_QUEUE_ALLOC, &queue);
	if (rc)
		return rc;
	*faults = queue.out_fault_fd;
	if (!*stage2) {
		parent.dev_id = dev->devid;
		rc = ia_cmd(model->ctx, IOMMU_HWPT_ALLOC, &parent);
		if (rc)
			return rc;
		*stage2 = parent.out_hwpt_id;
	}
	nested.dev_id = dev->devid;
	nested.pt_id = *stage2;
	nested.fault_id = queue.out_fault_id;
	rc = ia_cmd(model->ctx, IOMMU_HWPT_ALLOC, &nested);
	if (rc)
		return rc;
	attach.pt_id = nested.out_hwpt_id;
	return ia_cmd(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

FIXTURE(model_page_request)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	char *mem;
	char *data;
	int faults;
};

FIXTURE_SETUP(model_page_request)
{
	struct model_params params = {
		.flags = MODEL_NESTING | MODEL_PRI | MODEL_ATS,
		.prq_depth = PRQ_DEPTH,
		.prq_credits = 256,
	};
	__u32 stage2 = 0;

	if (model_open(&self->model, MODEL_IOMMUFD) == -ENOENT)
		SKIP(return, "no model devices, or no /dev/iommu");
	ASSERT_LE(0, self->model.control);
	self->mem = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, plug(&self->model, &self->space, &params, &stage2,
			  &self->dev, &self->faults));
	ASSERT_EQ(0, model_map(&self->space, GUEST, self->mem, NR_PAGES * PG,
			       MODEL_RW));
	self->data = self->mem + TABLE_PAGES * PG;
	*s1_entry(self->mem, 0, BASE >> 30) = (GUEST + PG) | S1_RW;
	*s1_entry(self->mem, 1, 0) = (GUEST + 2 * PG) | S1_RW;
}

FIXTURE_TEARDOWN(model_page_request)
{
	MODEL_REMOVE(&self->dev);
	close(self->faults);
	model_close(&self->model);
}

/* Start DMA that reaches a page that is not mapped, on channel 1 */
static int ask(struct model_device *dev, int page, __u64 seed)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_ATS,
		.threads = 1,
		.address = AT(page),
		.length = PG,
		.count = 1,
		.operand = seed,
	};

	return model_start(dev, 1, &dma);
}

static bool asked(int faults, struct iommu_hwpt_pgfault *fault)
{
	struct pollfd poll_fd = { .fd = faults, .events = POLLIN };

	return poll(&poll_fd, 1, PATIENCE_MS) == 1 &&
	       read(faults, fault, sizeof(*fault)) == sizeof(*fault);
}

static bool answer(int faults, struct iommu_hwpt_pgfault *fault, __u32 code)
{
	struct iommu_hwpt_page_response response = {
		.cookie = fault->cookie,
		.code = code,
	};

	return write(faults, &response, sizeof(response)) == sizeof(response);
}

static int ended(struct model_device *dev, struct ioasid_model_status *status)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;
	int rc;

	do {
		rc = model_status(dev, 1, status);
		if (rc || status->run != IOASID_MODEL_RUNNING)
			return rc;
		usleep(1000);
	} while (ia_now_ms() < deadline);
	return -ETIMEDOUT;
}

TEST_F(model_page_request, answers)
{
	struct ioasid_model_status status;
	struct ioasid_model_state state;
	struct iommu_hwpt_pgfault fault;

	/* the page comes */
	ASSERT_EQ(0, ask(&self->dev, 1, 1));
	ASSERT_TRUE(asked(self->faults, &fault));
	EXPECT_EQ(AT(1), fault.addr);
	EXPECT_EQ(self->dev.devid, fault.dev_id);
	EXPECT_EQ(IOMMU_PGFAULT_PERM_READ | IOMMU_PGFAULT_PERM_WRITE,
		  fault.perm);
	ASSERT_EQ(0, model_status(&self->dev, 1, &status));
	EXPECT_EQ(IOASID_MODEL_RUNNING, status.run);
	s1_map(self->mem, 1);
	ASSERT_TRUE(answer(self->faults, &fault, IOMMUFD_PAGE_RESP_SUCCESS));
	ASSERT_EQ(0, ended(&self->dev, &status));
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	EXPECT_TRUE(model_pattern_holds(self->data + PG, 1, AT(1), PG));

	/* the page does not come */
	ASSERT_EQ(0, ask(&self->dev, 2, 2));
	ASSERT_TRUE(asked(self->faults, &fault));
	ASSERT_TRUE(answer(self->faults, &fault, IOMMUFD_PAGE_RESP_INVALID));
	ASSERT_EQ(0, ended(&self->dev, &status));
	EXPECT_EQ(IOASID_MODEL_FAULTED, status.run);
	EXPECT_EQ(MODEL_PAGE_REQUEST, status.fault);
	EXPECT_EQ(AT(2), status.fault_addr);
	EXPECT_EQ(0, self->data[2 * PG]);

	ASSERT_EQ(0, model_state(&self->dev, &state));
	EXPECT_EQ(2, state.requests);
	EXPECT_EQ(0, state.unsent);
	EXPECT_EQ(1, state.responses[IOASID_MODEL_SUCCESS]);
	EXPECT_EQ(1, state.responses[IOASID_MODEL_INVALID]);
	EXPECT_EQ(0, state.unexpected);
	EXPECT_EQ(2, state.nr_log);
	EXPECT_EQ(IOASID_MODEL_INVALID, state.log[0].code);
	EXPECT_EQ(IOASID_MODEL_SUCCESS, state.log[1].code);
}

/* A stop, or a lost response, ends the wait. */
TEST_F(model_page_request, no_answer)
{
	struct ioasid_model_status status;
	struct ioasid_model_state state;
	struct iommu_hwpt_pgfault fault;

	ASSERT_EQ(0, ask(&self->dev, 1, 1));
	ASSERT_TRUE(asked(self->faults, &fault));
	ASSERT_EQ(0, model_stop(&self->dev, 1, &status));
	EXPECT_EQ(IOASID_MODEL_STOPPED, status.run);
	EXPECT_EQ(0, status.faults);
	/* it comes late */
	ASSERT_TRUE(answer(self->faults, &fault, IOMMUFD_PAGE_RESP_SUCCESS));
	ASSERT_EQ(0, model_state(&self->dev, &state));
	EXPECT_EQ(1, state.unexpected);

	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_RESPONSE, 1, 0));
	ASSERT_EQ(0, ask(&self->dev, 1, 1));
	ASSERT_TRUE(asked(self->faults, &fault));
	ASSERT_TRUE(answer(self->faults, &fault, IOMMUFD_PAGE_RESP_SUCCESS));
	ASSERT_EQ(0, ended(&self->dev, &status));
	EXPECT_EQ(IOASID_MODEL_FAULTED, status.run);
	ASSERT_EQ(0, model_state(&self->dev, &state));
	EXPECT_EQ(1, state.responses[IOASID_MODEL_SUCCESS]);
}

/* More requests than the queue holds: each queued one gets one response. */
TEST_F(model_page_request, overflow)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_REQUEST,
		.flags = IOASID_MODEL_DMA_GO_ON,
		.threads = 4,
		.address = AT(0),
		.length = 1,
		.stride = PG,
		.count = 50,
		.operand = IOASID_MODEL_REQUEST_READ | IOASID_MODEL_REQUEST_LAST,
		.compare = 7,
	};
	struct ioasid_model_status status;
	struct ioasid_model_state state;
	struct iommu_hwpt_pgfault fault;
	__u64 sent, i;
	int tries;

	/* four at once: it is full sooner or later */
	for (tries = 0, sent = 0; tries < 100; tries++) {
		model_dma(&self->dev, &dma, &status);
		EXPECT_EQ(200, status.done + status.faults);
		sent += status.done;
		for (i = 0; i < status.done; i++) {
			ASSERT_TRUE(asked(self->faults, &fault));
			EXPECT_EQ(7, fault.grpid);
			ASSERT_TRUE(answer(self->faults, &fault,
					   IOMMUFD_PAGE_RESP_INVALID));
		}
		if (status.faults)
			break;
	}
	EXPECT_NE(100, tries);
	EXPECT_LE(PRQ_DEPTH, sent);
	ASSERT_EQ(0, model_state(&self->dev, &state));
	EXPECT_EQ(sent, state.responses[IOASID_MODEL_INVALID]);
	EXPECT_EQ(sent, state.requests - state.unsent);
	EXPECT_EQ(state.unsent, model_counters(&self->dev).overflows);
	EXPECT_EQ(sent < IOASID_MODEL_LOG ? sent : IOASID_MODEL_LOG,
		  state.nr_log);
	EXPECT_EQ(7, state.log[state.nr_log - 1].group);
}

/* Send requests that nothing answers, on channel 0, until stopped */
static int flood(struct model_device *dev)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_REQUEST,
		.flags = IOASID_MODEL_DMA_GO_ON | IOASID_MODEL_DMA_LOOP,
		.threads = 4,
		.address = AT(0),
		.length = 1,
		.stride = PG,
		.count = 8,
		.operand = IOASID_MODEL_REQUEST_READ | IOASID_MODEL_REQUEST_LAST,
		.compare = 7,
	};

	return model_start(dev, 0, &dma);
}

/* Until all threads of a flood wait, and have sent @requests */
static bool exhausted(struct model_device *dev, __u64 waits, __u64 requests)
{
	__u64 deadline = ia_now_ms() + PATIENCE_MS;
	struct ioasid_model_state state;

	do {
		if (model_state(dev, &state))
			return false;
		if (state.waits >= waits)
			return state.requests == requests && !state.unsent;
		usleep(1000);
	} while (ia_now_ms() < deadline);
	return false;
}

/* A device that floods the queue waits, and does no harm to another. */
TEST_F(model_page_request, flood)
{
	struct model_params params = {
		.flags = MODEL_NESTING | MODEL_PRI | MODEL_ATS,
	};
	struct ioasid_model_status status;
	struct ioasid_model_state state;
	struct iommu_hwpt_pgfault fault;
	struct model_device bad, good;
	int bad_faults, good_faults;
	__u32 stage2 = 0;
	int i;

	ASSERT_EQ(0, plug(&self->model, &self->space, &params, &stage2, &bad,
			  &bad_faults));
	ASSERT_EQ(0, plug(&self->model, &self->space, &params, &stage2, &good,
			  &good_faults));
	ASSERT_EQ(0, flood(&bad));
	EXPECT_TRUE(exhausted(&bad, 4, CREDITS));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, ask(&good, i, i));
		ASSERT_TRUE(asked(good_faults, &fault));
		EXPECT_EQ(AT(i), fault.addr);
		s1_map(self->mem, i);
		ASSERT_TRUE(answer(good_faults, &fault,
				   IOMMUFD_PAGE_RESP_SUCCESS));
		ASSERT_EQ(0, ended(&good, &status));
		EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	}
	ASSERT_EQ(0, model_state(&good, &state));
	EXPECT_EQ(8, state.requests);
	EXPECT_EQ(0, state.unsent);
	EXPECT_EQ(0, state.waits);
	EXPECT_EQ(0, model_counters(&bad).overflows);

	/* each response lets one more through */
	for (i = 1; i <= 3; i++) {
		ASSERT_TRUE(asked(bad_faults, &fault));
		ASSERT_TRUE(answer(bad_faults, &fault,
				   IOMMUFD_PAGE_RESP_INVALID));
		EXPECT_TRUE(exhausted(&bad, 4 + i, CREDITS + i));
	}

	/* a stop, a reset and the close of the file end the wait */
	ASSERT_EQ(0, model_stop(&bad, 0, &status));
	EXPECT_EQ(IOASID_MODEL_STOPPED, status.run);
	EXPECT_EQ(0, status.faults);
	EXPECT_EQ(CREDITS + 3, status.done);
	ASSERT_EQ(0, flood(&bad));
	EXPECT_TRUE(exhausted(&bad, 11, CREDITS + 3));
	ASSERT_EQ(0, model_reset(&bad));
	ASSERT_EQ(0, flood(&bad));
	EXPECT_TRUE(exhausted(&bad, 15, 2 * CREDITS + 3));
	MODEL_REMOVE(&bad);
	MODEL_REMOVE(&good);
	close(bad_faults);
	close(good_faults);
}

/* No response is given before it is closed. */
TEST_F(model_page_request, close)
{
	ASSERT_EQ(0, ask(&self->dev, 1, 1));
	for (int i = 0; i < 1000 && !model_counters(&self->dev).requests; i++)
		usleep(1000);
	EXPECT_EQ(1, model_counters(&self->dev).requests);
	model_release(&self->dev);
	EXPECT_EQ(0, model_counters(&self->dev).attached);
}

TEST_HARNESS_MAIN
