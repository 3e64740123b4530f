// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model devices do the DMA that they are told to, through each API for address
 * spaces, and report it correctly; and the node that makes them.
 */
#include "model_basic.h"
#include "mock.h"

/* --- through each API --- */

/* Unmapped memory, a space, and a device that is attached to it. */
FIXTURE(model_basic)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	char *mem;
};

FIXTURE_VARIANT(model_basic)
{
	enum model_api api;
};

FIXTURE_VARIANT_ADD(model_basic, ioasid)
{
	.api = MODEL_IOASID,
};

FIXTURE_VARIANT_ADD(model_basic, iommufd)
{
	.api = MODEL_IOMMUFD,
};

FIXTURE_VARIANT_ADD(model_basic, type1)
{
	.api = MODEL_TYPE1,
};

FIXTURE_SETUP(model_basic)
{
	int rc = model_open(&self->model, variant->api);

	if (rc == -ENOENT)
		SKIP(return, "no model devices, or nothing to use them by");
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
}

FIXTURE_TEARDOWN(model_basic)
{
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
}

/* --- DMA --- */

TEST_F(model_basic, read_write)
{
	char out[3 * 4096], in[3 * 4096];

	ASSERT_EQ(0, MAP(0, 2));
	ASSERT_EQ(0, MAP(2, 2));
	model_pattern(out, 1, 0, sizeof(out));
	/* odd, and across mappings */
	ASSERT_EQ(0, model_put(&self->dev, AT(0) + 2049, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(self->mem + 2049, out, sizeof(out)));
	EXPECT_EQ(0, self->mem[2048]);
	EXPECT_EQ(0, self->mem[2049 + sizeof(out)]);
	memset(in, 0, sizeof(in));
	ASSERT_EQ(0, model_get(&self->dev, AT(0) + 2049, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
}

/* --- faults --- */

TEST_F(model_basic, fault)
{
	struct ioasid_model_inspect look;
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.threads = 1,
		.address = AT(0),
		.length = PG,
		.stride = PG,
		.count = 4,
		.operand = 1,
	};
	char byte = 'x';

	ASSERT_EQ(0, MAP(0, 2));
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_put(&self->dev, AT(2), &byte, 1));

	/* the DMA ends there */
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(IOASID_MODEL_FAULTED, status.run);
	EXPECT_EQ(AT(2), status.fault_addr);
	EXPECT_EQ(2, status.done);
	EXPECT_EQ(1, status.faults);
	ASSERT_EQ(0, model_inspect(&self->dev, 0, &look));
	EXPECT_EQ(AT(2), look.fault.address);
	EXPECT_EQ(MODEL_FAULT_ABSENT, look.fault.reason);
	EXPECT_EQ(MODEL_NO_PASID, look.fault.pasid);
	EXPECT_EQ(1, look.fault.write);

	/* unless it is told to go on */
	ASSERT_EQ(0, model_map(&self->space, AT(3), self->mem + 3 * PG, PG,
			       MODEL_RW));
	dma.flags = IOASID_MODEL_DMA_GO_ON;
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
	EXPECT_EQ(3, status.done);
	EXPECT_EQ(1, status.faults);
	EXPECT_TRUE(model_pattern_holds(self->mem + 3 * PG, 1, AT(3), PG));

	/* a PASID that the device does not have */
	dma.flags = IOASID_MODEL_DMA_PASID;
	dma.pasid = 1;
	EXPECT_EQ(MODEL_FAULT_PASID, model_dma(&self->dev, &dma, NULL));
}

TEST_F(model_basic, read_only)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FETCH_ADD,
		.address = AT(0),
		.length = 8,
	};
	char byte = 'x';

	self->mem[0] = 'a';
	ASSERT_EQ(0, model_map(&self->space, AT(0), self->mem, PG,
			       MODEL_READ_ONLY));
	EXPECT_EQ(MODEL_FAULT_DENIED, model_put(&self->dev, AT(0), &byte, 1));
	EXPECT_EQ(MODEL_FAULT_DENIED, model_dma(&self->dev, &dma, NULL));
	EXPECT_EQ('a', self->mem[0]);
	EXPECT_EQ(0, model_get(&self->dev, AT(0), &byte, 1));
	EXPECT_EQ('a', byte);
}

TEST_F(model_basic, unmapped)
{
	ASSERT_EQ(0, MAP(0, 4));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), 1, 4));
	ASSERT_EQ(0, UNMAP(0, 4));
	memset(self->mem, 0, 4 * PG);
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_fill(&self->dev, AT(0), 2, 1));
	EXPECT_EQ(0, self->mem[0]);
	/* other memory at the same IOVA */
	ASSERT_EQ(0, model_map(&self->space, AT(0), self->mem + 4 * PG, PG,
			       MODEL_RW));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), 3, 1));
	EXPECT_EQ(0, self->mem[0]);
	EXPECT_TRUE(model_pattern_holds(self->mem + 4 * PG, 3, AT(0), PG));
	EXPECT_LT(0, model_counters(&self->dev).unmaps);
	EXPECT_EQ(0, model_counters(&self->dev).stale);
}

TEST_F(model_basic, blocked)
{
	if (variant->api == MODEL_TYPE1)
		SKIP(return, "a container does not release its device");
	ASSERT_EQ(0, MAP(0, 1));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), 1, 1));
	ASSERT_EQ(0, model_detach(&self->dev));
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_fill(&self->dev, AT(0), 2, 1));
	EXPECT_TRUE(model_pattern_holds(self->mem, 1, AT(0), PG));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), 2, 1));
	EXPECT_TRUE(model_pattern_holds(self->mem, 2, AT(0), PG));
}

TEST_F(model_basic, move)
{
	struct model_space other;

	ASSERT_EQ(0, MAP(0, 1));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), 1, 1));
	ASSERT_EQ(0, model_space_open(&self->model, &other));
	ASSERT_EQ(0, model_attach(&self->dev, &other));
	ASSERT_EQ(0, model_map(&other, AT(0), self->mem + PG, PG, MODEL_RW));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), 2, 1));
	EXPECT_TRUE(model_pattern_holds(self->mem, 1, AT(0), PG));
	EXPECT_TRUE(model_pattern_holds(self->mem + PG, 2, AT(0), PG));
	EXPECT_EQ(0, model_counters(&self->dev).stale);
}

/* --- background DMA --- */

TEST_F(model_basic, hammer)
{
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {};
	int i;

	ASSERT_EQ(0, MAP(0, 8));
	model_pattern(self->mem, 1, AT(0), 8 * PG);
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_VERIFY, AT(0), 1,
				  8, 2));
	dma.op = IOASID_MODEL_READ;
	dma.threads = 1;
	dma.length = 8;
	dma.count = 1;
	EXPECT_EQ(-EBUSY, model_start(&self->dev, 1, &dma));
	/* its neighbours are mapped and unmapped */
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, MAP(8, 8));
		EXPECT_EQ(0, model_put(&self->dev, AT(15), &i, sizeof(i)));
		EXPECT_EQ(i, *(int *)(self->mem + 15 * PG));
		ASSERT_EQ(0, UNMAP(8, 8));
	}
	EXPECT_EQ(0, model_hammered(&self->dev, 1, 20));
	ASSERT_EQ(0, model_stop(&self->dev, 1, &status));
	EXPECT_EQ(IOASID_MODEL_STOPPED, status.run);
	EXPECT_LT(0, status.done);
	EXPECT_EQ(0, status.faults);
	EXPECT_EQ(0, status.mismatches);
	/* it has really stopped, and sees a change */
	self->mem[0] ^= 1;
	ASSERT_EQ(0, model_status(&self->dev, 1, &status));
	EXPECT_EQ(0, status.mismatches);
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_VERIFY, AT(0), 1,
				  8, 2));
	EXPECT_EQ(0, model_hammered(&self->dev, 1, 20));
	ASSERT_EQ(0, model_stop(&self->dev, 1, &status));
	EXPECT_LT(0, status.mismatches);
}

/* All pages that it reaches during unmaps have the right contents. */
TEST_F(model_basic, hammer_unmap)
{
	struct ioasid_model_status reads, writes;
	int i;

	ASSERT_EQ(0, MAP(0, 4));
	model_pattern(self->mem, 1, AT(0), 4 * PG);
	ASSERT_EQ(0, model_hammer(&self->dev, 1, IOASID_MODEL_VERIFY, AT(0), 1,
				  4, 1));
	ASSERT_EQ(0, model_hammer(&self->dev, 2, IOASID_MODEL_FILL, AT(0), 1,
				  4, 1));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, UNMAP(0, 4));
		memset(self->mem, i, 4 * PG);
		EXPECT_EQ(0, model_hammered(&self->dev, 2, 4));
		/* no access wrote to it */
		EXPECT_EQ(i, self->mem[0]);
		EXPECT_EQ(i, self->mem[4 * PG - 1]);
		model_pattern(self->mem, 1, AT(0), 4 * PG);
		ASSERT_EQ(0, MAP(0, 4));
		EXPECT_EQ(0, model_hammered(&self->dev, 1, 4));
	}
	ASSERT_EQ(0, model_stop(&self->dev, 1, &reads));
	ASSERT_EQ(0, model_stop(&self->dev, 2, &writes));
	EXPECT_LT(0, reads.done);
	EXPECT_EQ(0, reads.mismatches);
	EXPECT_LT(0, writes.done);
	EXPECT_LT(0, writes.faults);
	EXPECT_EQ(MODEL_FAULT_ABSENT, writes.fault);
}

TEST_F(model_basic, close_stops)
{
	ASSERT_EQ(0, MAP(0, 4));
	ASSERT_EQ(0, model_hammer(&self->dev, 2, IOASID_MODEL_FILL, AT(0), 1, 4,
				  4));
	EXPECT_EQ(0, model_hammered(&self->dev, 2, 4));
	EXPECT_TRUE(model_pattern_holds(self->mem, 1, AT(0), 4 * PG));
	model_release(&self->dev);
	memset(self->mem, 0, 4 * PG);
	usleep(50000);
	EXPECT_FALSE(model_pattern_holds(self->mem, 1, AT(0), PG));
	EXPECT_EQ(0, self->mem[0]);
}

TEST_F(model_basic, reset)
{
	struct ioasid_model_status status;
	struct ioasid_model_state state;
	__u64 word;

	ASSERT_EQ(0, MAP(0, 4));
	ASSERT_EQ(0, model_put(&self->dev, AT(0), "memory", 7));
	ASSERT_EQ(0, model_hammer(&self->dev, 2, IOASID_MODEL_FILL, AT(0), 1, 4,
				  4));
	EXPECT_EQ(0, model_hammered(&self->dev, 2, 4));
	ASSERT_EQ(0, model_reset(&self->dev));
	memset(self->mem, 0, 4 * PG);
	ASSERT_EQ(0, model_status(&self->dev, 2, &status));
	EXPECT_EQ(IOASID_MODEL_IDLE, status.run);
	EXPECT_EQ(0, status.done);
	ASSERT_EQ(0, model_read_memory(&self->dev, 0, &word, sizeof(word)));
	EXPECT_EQ(0, word);
	ASSERT_EQ(0, model_state(&self->dev, &state));
	EXPECT_EQ(1, state.resets);
	usleep(20000);
	EXPECT_EQ(0, self->mem[0]);
	/* it is still attached */
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), 3, 4));
	EXPECT_TRUE(model_pattern_holds(self->mem, 3, AT(0), 4 * PG));
}

/* --- several devices --- */

/* One device writes to the memory of another, if the API can map that. */
TEST_F(model_basic, peer)
{
	struct model_device peer;
	char byte = 0;
	void *mem;

	ASSERT_EQ(0, model_plug(&self->model, &peer, NULL, 0));
	ASSERT_EQ(0, model_attach(&peer, &self->space));
	mem = model_map_memory(&peer);
	ASSERT_NE(MAP_FAILED, mem);
	if (variant->api != MODEL_IOMMUFD) {
		ASSERT_EQ(0, model_map(&self->space, AT(0), mem,
				       IOASID_MODEL_MEMORY_SIZE, MODEL_RW));
		ASSERT_EQ(0, model_put(&self->dev, AT(0) + 0x12345, "p", 1));
		ASSERT_EQ(0, model_read_memory(&peer, 0x12345, &byte, 1));
		EXPECT_EQ('p', byte);
		/* type1 keeps it reachable */
		if (variant->api == MODEL_TYPE1)
			ASSERT_EQ(0, model_unmap(&self->space, AT(0),
						 IOASID_MODEL_MEMORY_SIZE));
	} else {
		EXPECT_EQ(-EFAULT, model_map(&self->space, AT(0), mem,
					     IOASID_MODEL_MEMORY_SIZE,
					     MODEL_RW));
	}
	munmap(mem, IOASID_MODEL_MEMORY_SIZE);
	EXPECT_LT(0, model_put(&self->dev, AT(0) + 0x12345, "q", 1));
	model_release(&peer);
	EXPECT_EQ(0, model_unplug(&peer, 0));
}

TEST_F(model_basic, shared_group)
{
	struct model_device a, b;

	ASSERT_EQ(0, model_plug(&self->model, &a, NULL, 9));
	ASSERT_EQ(0, model_plug(&self->model, &b, NULL, 9));
	EXPECT_LE(0, model_group(&a));
	EXPECT_EQ(model_group(&a), model_group(&b));
	EXPECT_NE(model_group(&a), model_group(&self->dev));
	ASSERT_EQ(0, MAP(0, 1));
	ASSERT_EQ(0, model_attach(&a, &self->space));
	ASSERT_EQ(0, model_attach_with(&b, &self->space, &a));
	EXPECT_EQ(0, model_fill(&a, AT(0), 1, 1));
	EXPECT_EQ(0, model_verify(&b, AT(0), 1, 1));
	EXPECT_EQ(0, model_verify(&self->dev, AT(0), 1, 1));
	model_release(&b);
	EXPECT_EQ(0, model_verify(&a, AT(0), 1, 1));
	model_release(&a);
	EXPECT_EQ(0, model_unplug(&a, 0));
	EXPECT_EQ(0, model_unplug(&b, 0));
}

/* Two different IOMMUs translate for one space. */
TEST_F(model_basic, other_iommu)
{
	struct model_params params = {
		.page_sizes = 0x1000,
		.aperture_start = 0x10000,
		.aperture_last = (1ULL << 39) - 1,
		.levels = 3,
		.nr_resv = 1,
		.resv = {
			{
				.start = 0x80000000,
				.length = 0x10000,
				.type = MODEL_RESV_RESERVED,
			},
		},
	};
	struct model_device other;

	ASSERT_EQ(0, model_plug(&self->model, &other, &params, 0));
	ASSERT_EQ(0, MAP(0, 4));
	ASSERT_EQ(0, model_attach(&other, &self->space));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), 1, 4));
	EXPECT_EQ(0, model_verify(&other, AT(0), 1, 4));
	EXPECT_LT(0, model_counters(&other).maps);
	/* a range that one of them excludes is excluded for both */
	EXPECT_NE(0, model_map(&self->space, 1ULL << 39, self->mem, PG,
			       MODEL_RW));
	EXPECT_NE(0, model_map(&self->space, 0x80000000, self->mem, PG,
			       MODEL_RW));
	EXPECT_EQ(0, model_map(&self->space, (1ULL << 39) - PG, self->mem, PG,
			       MODEL_RW));
	EXPECT_EQ(0, model_put(&other, (1ULL << 39) - 1, "x", 1));
	EXPECT_EQ(MODEL_FAULT_WIDTH, model_put(&other, 1ULL << 39, "x", 1));
	/* it is closed alone */
	ASSERT_EQ(0, UNMAP(0, 4));
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_fill(&other, AT(0), 2, 1));
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_fill(&self->dev, AT(0), 2, 1));
	EXPECT_NO_HARM(&other);
	model_release(&other);
	EXPECT_EQ(0, model_unplug(&other, 0));
}

/* The device has a TLB, and all caches evict at random. */
TEST_F(model_basic, ats)
{
	struct model_params params = {
		.flags = MODEL_ATS | MODEL_EVICT_RANDOM,
	};
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_VERIFY,
		.flags = IOASID_MODEL_DMA_ATS | IOASID_MODEL_DMA_LOOP |
			 IOASID_MODEL_DMA_GO_ON,
		.threads = 2,
		.address = AT(0),
		.length = PG,
		.stride = PG,
		.count = 4,
		.operand = 1,
	};
	struct model_device dev;
	int i;

	ASSERT_EQ(0, model_plug(&self->model, &dev, &params, 0));
	ASSERT_EQ(0, model_attach(&dev, &self->space));
	model_pattern(self->mem, 1, AT(0), 4 * PG);
	ASSERT_EQ(0, MAP(0, 4));
	ASSERT_EQ(0, model_start(&dev, 1, &dma));
	EXPECT_EQ(0, model_hammered(&dev, 1, 8));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, UNMAP(0, 4));
		memset(self->mem, 0, 4 * PG);
		EXPECT_EQ(0, model_hammered(&dev, 1, 4));
		model_pattern(self->mem, 1, AT(0), 4 * PG);
		ASSERT_EQ(0, MAP(0, 4));
		EXPECT_EQ(0, model_hammered(&dev, 1, 4));
	}
	ASSERT_EQ(0, model_stop(&dev, 1, &status));
	EXPECT_LT(0, status.done);
	EXPECT_LT(0, status.faults);
	EXPECT_EQ(0, status.mismatches);
	EXPECT_LT(0, model_counters(&dev).hits);
	EXPECT_LT(0, model_counters(&dev).flush_devtlb);
	EXPECT_NO_HARM(&dev);
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

/* --- failures --- */

TEST_F(model_basic, inject)
{
	struct model_space other;
	struct model_device dev;

	/* the second map from now on */
	ASSERT_EQ(0, MAP(0, 1));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 2, 0));
	EXPECT_EQ(0, MAP(1, 1));
	EXPECT_NE(0, MAP(2, 1));
	EXPECT_EQ(0, MAP(2, 1));
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), 1, 3));
	/* cancelled */
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 1, 0));
	ASSERT_EQ(0, model_inject(&self->dev, MODEL_INJECT_MAP, 0, 0));
	EXPECT_EQ(0, MAP(3, 1));

	ASSERT_EQ(0, model_plug(&self->model, &dev, NULL, 0));
	ASSERT_EQ(0, model_space_open(&self->model, &other));
	ASSERT_EQ(0, model_inject(&dev, MODEL_INJECT_ATTACH, 1, 0));
	EXPECT_NE(0, model_attach(&dev, &other));
	EXPECT_EQ(0, model_attach(&dev, &other));
	ASSERT_EQ(0, model_map(&other, AT(0), self->mem + PG, PG, MODEL_RW));
	EXPECT_EQ(0, model_fill(&dev, AT(0), 4, 1));
	EXPECT_EQ(-EINVAL, model_inject(&dev, MODEL_INJECTIONS, 1, 0));
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
}

TEST_F(model_basic, unplug)
{
	struct model_device dev;
	int request, again;

	request = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, model_plug(&self->model, &dev, NULL, 0));
	ASSERT_EQ(0, model_attach(&dev, &self->space));
	ASSERT_EQ(0, MAP(0, 4));
	ASSERT_EQ(0, model_set_irq(&dev, IOASID_MODEL_IRQ_REQUEST, request));
	ASSERT_EQ(0, model_hammer(&dev, 0, IOASID_MODEL_FILL, AT(0), 1, 4, 2));
	ASSERT_EQ(0, model_unplug(&dev, IOASID_MODEL_ASYNC));
	EXPECT_EQ(-ENOENT, model_unplug(&dev, 0));
	/* the user is asked, and it works until it is closed */
	EXPECT_TRUE(raised(request));
	EXPECT_TRUE(model_present(&dev));
	EXPECT_EQ(0, model_hammered(&dev, 0, 8));
	again = model_open_cdev(&dev);
	EXPECT_GT(0, again);
	model_release(&dev);
	for (again = 0; again < 1000 && model_present(&dev); again++)
		usleep(10000);
	EXPECT_FALSE(model_present(&dev));
	memset(self->mem, 0, 4 * PG);
	/* objects that it shared are still there */
	EXPECT_EQ(0, model_fill(&self->dev, AT(0), 2, 4));
	EXPECT_TRUE(model_pattern_holds(self->mem, 2, AT(0), 4 * PG));
}

/* As after a crash: no cleanup, and all objects end. */
TEST_F(model_basic, abandoned)
{
	struct model_device dev;
	struct model model;
	int i, status;
	pid_t pid;

	pid = ia_fork();
	if (!pid) {
		struct model_space space;

		if (model_open(&model, variant->api) ||
		    model_plug(&model, &dev, NULL, 0) ||
		    model_space_open(&model, &space) ||
		    model_attach(&dev, &space) ||
		    model_map(&space, AT(0), self->mem, PG, MODEL_RW) ||
		    model_hammer(&dev, 0, IOASID_MODEL_FILL, AT(0), 1, 1, 4) ||
		    model_hammered(&dev, 0, 4))
			_exit(255);
		_exit(atoi(strchr(dev.name, '.') + 1) % 250);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_NE(255, WEXITSTATUS(status));
	snprintf(dev.name, sizeof(dev.name), "ioasid_model.%d",
		 WEXITSTATUS(status));
	for (i = 0; i < 1000 && model_present(&dev); i++)
		usleep(10000);
	EXPECT_FALSE(model_present(&dev));
}

/* --- the control node --- */

FIXTURE(model_control)
{
	struct model model;
};

FIXTURE_SETUP(model_control)
{
	if (model_open(&self->model, MODEL_IOASID) == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_LE(0, self->model.control);
}

FIXTURE_TEARDOWN(model_control)
{
	model_close(&self->model);
}

TEST_F(model_control, malformed)
{
	struct ioasid_model_destroy destroy = { .id = 12345 };
	struct ioasid_model_inspect look = { .id = 12345 };
	struct ioasid_model_inject inject = { .id = 12345 };
	struct ioasid_model_create create = {};
	int fd = self->model.control;

	EXPECT_EQ(-ENOENT, ia_cmd(fd, IOASID_MODEL_DESTROY, &destroy));
	EXPECT_EQ(-ENOENT, ia_cmd(fd, IOASID_MODEL_INSPECT, &look));
	EXPECT_EQ(-ENOENT, ia_cmd(fd, IOASID_MODEL_INJECT, &inject));
	EXPECT_EQ(-EFAULT, ia_cmd(fd, IOASID_MODEL_CREATE, (void *)1));
	EXPECT_EQ(-ENOTTY, ia_cmd(fd, IOASID_ALLOC, &create));
	destroy.flags = 2;
	EXPECT_EQ(-EINVAL, ia_cmd(fd, IOASID_MODEL_DESTROY, &destroy));
	look.flags = 2;
	EXPECT_EQ(-EINVAL, ia_cmd(fd, IOASID_MODEL_INSPECT, &look));
	create.kind = IOASID_MODEL_ACCEL + 1;
	EXPECT_EQ(-EINVAL, model_create(&self->model, &create));
	create = (struct ioasid_model_create){ .reserved = 1 };
	EXPECT_EQ(-EINVAL, model_create(&self->model, &create));
	create = (struct ioasid_model_create){
		.kind = IOASID_MODEL_EMULATED,
		.group_key = 1,
	};
	EXPECT_EQ(-EINVAL, model_create(&self->model, &create));
	create = (struct ioasid_model_create){ .params.flags = 1U << 31 };
	EXPECT_EQ(-EINVAL, model_create(&self->model, &create));
	create = (struct ioasid_model_create){ .params.pasid_bits = 21 };
	EXPECT_EQ(-EINVAL, model_create(&self->model, &create));
}

/* Device files of VFIO groups */
TEST_F(model_control, group)
{
	struct model_space space;
	struct model_device dev;
	struct model model;
	char *mem;

	ASSERT_EQ(0, model_open(&model, MODEL_IOASID_GROUP));
	mem = ia_mem(PG);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, model_plug(&model, &dev, NULL, 0));
	ASSERT_EQ(0, model_space_open(&model, &space));
	ASSERT_EQ(0, model_map(&space, BASE, mem, PG, MODEL_RW));
	ASSERT_EQ(0, model_attach(&dev, &space));
	EXPECT_EQ(0, model_fill(&dev, BASE, 1, 1));
	EXPECT_TRUE(model_pattern_holds(mem, 1, BASE, PG));
	ASSERT_EQ(0, model_detach(&dev));
	EXPECT_EQ(MODEL_FAULT_BLOCKED, model_fill(&dev, BASE, 2, 1));
	model_release(&dev);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	model_close(&model);
}

TEST_F(model_control, emulated)
{
	struct ioasid_model_create create = { .kind = IOASID_MODEL_EMULATED };
	struct ioasid_model_inspect look = {};
	struct model_device dev = { .model = &self->model };
	__u32 id, devid;
	char *mem;
	int fd;

	ASSERT_EQ(0, model_create(&self->model, &create));
	dev.id = create.id;
	memcpy(dev.name, create.name, sizeof(dev.name));
	ASSERT_TRUE(model_present(&dev));
	look.id = dev.id;
	EXPECT_EQ(-EINVAL, ia_cmd(self->model.control, IOASID_MODEL_INSPECT,
				  &look));
	fd = model_open_cdev(&dev);
	ASSERT_LE(0, fd);
	mem = ia_mem(PG);
	ASSERT_EQ(0, ia_alloc(self->model.ctx, &id));
	ASSERT_EQ(0, ia_map(self->model.ctx, id, BASE, mem, PG));
	ASSERT_EQ(0, hw_bind(fd, self->model.ctx, 1, &devid));
	ASSERT_EQ(0, hw_attach(fd, id));
	ASSERT_EQ(0, mock_put(fd, IOASID_MOCK_WRITE, 0, BASE, "emulated", 9));
	EXPECT_STREQ("emulated", mem);
	close(fd);
	EXPECT_EQ(0, model_unplug(&dev, 0));
	EXPECT_FALSE(model_present(&dev));
}

TEST_F(model_control, module)
{
	struct model_device dev;

	ASSERT_EQ(0, model_plug(&self->model, &dev, NULL, 0));
	ASSERT_EQ(0, model_attach(&dev, ({
		static struct model_space space;

		ASSERT_EQ(0, model_space_open(&self->model, &space));
		&space;
	})));
	close(self->model.control);
	self->model.control = -1;
	/* the device is open, its node closed */
	EXPECT_NE(0, syscall(SYS_delete_module, "ioasid_mock", O_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_TRUE(model_present(&dev));
	EXPECT_EQ(MODEL_FAULT_ABSENT, model_put(&dev, BASE, "x", 1));
	model_release(&dev);
	for (int i = 0; i < 1000; i++) {
		if (!syscall(SYS_delete_module, "ioasid_mock", O_NONBLOCK))
			break;
		usleep(10000);
	}
	EXPECT_NE(0, access(IOASID_MODEL_NODE, F_OK));
	EXPECT_FALSE(model_present(&dev));
	EXPECT_EQ(0, model_load());
}

TEST_HARNESS_MAIN
