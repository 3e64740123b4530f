// SPDX-License-Identifier: GPL-2.0-only
/*
 * What model devices do by themselves, with any address space: registers,
 * memory, atomic operations, interrupts.
 */
#include "model_basic.h"

FIXTURE(model_engine)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	char *mem;
};

FIXTURE_SETUP(model_engine)
{
	int rc = model_open(&self->model, MODEL_IOASID);

	if (rc == -ENOENT)
		SKIP(return, "no model devices, or no " IA_NODE);
	ASSERT_EQ(0, rc);
	self->mem = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
}

FIXTURE_TEARDOWN(model_engine)
{
	MODEL_REMOVE(&self->dev);
	model_close(&self->model);
}

TEST_F(model_engine, info)
{
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	int fd = self->dev.fd;

	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT_EQ(VFIO_DEVICE_FLAGS_RESET, info.flags);
	EXPECT_EQ(2, info.num_regions);
	EXPECT_EQ(IOASID_MODEL_NR_IRQS, info.num_irqs);
	region.index = IOASID_MODEL_MEMORY;
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region));
	EXPECT_EQ(IOASID_MODEL_MEMORY_SIZE, region.size);
	EXPECT_EQ(1ULL << IOASID_MODEL_REGION_SHIFT, region.offset);
	EXPECT_NE(0, region.flags & VFIO_REGION_INFO_FLAG_MMAP);
	region.index = 2;
	EXPECT_EQ(-EINVAL, ia_cmd(fd, VFIO_DEVICE_GET_REGION_INFO, &region));
	irq.index = IOASID_MODEL_IRQ_REQUEST;
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &irq));
	EXPECT_EQ(1, irq.count);
	irq.index = IOASID_MODEL_NR_IRQS;
	EXPECT_EQ(-EINVAL, ia_cmd(fd, VFIO_DEVICE_GET_IRQ_INFO, &irq));
}

TEST_F(model_engine, malformed)
{
	const struct ioasid_model_dma good = {
		.op = IOASID_MODEL_READ,
		.threads = 1,
		.address = BASE,
		.length = 8,
		.count = 1,
	};
	struct ioasid_model_dma dma;
	__u32 word = 0;

#define BAD(...)							\
	do {								\
		dma = good;						\
		__VA_ARGS__;						\
		EXPECT_EQ(-EINVAL, model_start(&self->dev, 0, &dma));	\
	} while (0)

	BAD(dma.op = 0);
	BAD(dma.op = IOASID_MODEL_REQUEST + 1);
	BAD(dma.flags = 1U << 31);
	BAD(dma.pasid = 1);
	BAD(dma.threads = 0);
	BAD(dma.threads = IOASID_MODEL_MAX_THREADS + 1);
	BAD(dma.length = 0);
	BAD(dma.length = IOASID_MODEL_MEMORY_SIZE + 1);
	BAD(dma.count = 0);
	BAD(dma.offset = IOASID_MODEL_MEMORY_SIZE - 7);
	BAD(dma.offset = -8ULL);
	BAD(dma.op = IOASID_MODEL_FILL; dma.address++);
	BAD(dma.op = IOASID_MODEL_VERIFY; dma.length = 12);
	BAD(dma.op = IOASID_MODEL_CAS; dma.length = 4);
	BAD(dma.op = IOASID_MODEL_REQUEST; dma.operand = 8);
	BAD(dma.op = IOASID_MODEL_REQUEST; dma.compare = IOASID_MODEL_GROUPS);
	BAD(dma.flags = IOASID_MODEL_DMA_LIST; dma.list = 4);
	BAD(dma.flags = IOASID_MODEL_DMA_LIST; dma.count = 2;
	    dma.list = IOASID_MODEL_MEMORY_SIZE - 8);
#undef BAD
	/* neither registers nor memory are accessible */
	EXPECT_EQ(-EINVAL, model_rw(&self->dev, false, IOASID_MODEL_REGS, 4,
				    &word, sizeof(word)));
	EXPECT_EQ(-EINVAL, model_rw(&self->dev, true, IOASID_MODEL_REGS,
				    IOASID_MODEL_REGS_SIZE, &word,
				    sizeof(word)));
	EXPECT_EQ(-EINVAL, model_rw(&self->dev, true, IOASID_MODEL_REGS,
				    model_channel(0, IOASID_MODEL_START),
				    &word, sizeof(word)));
	EXPECT_EQ(-EINVAL, model_write_memory(&self->dev,
					      IOASID_MODEL_MEMORY_SIZE - 3,
					      &word, sizeof(word)));
	EXPECT_EQ(-EINVAL, model_rw(&self->dev, false, 2, 0, &word,
				    sizeof(word)));
}

TEST_F(model_engine, compare)
{
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_COMPARE,
		.address = AT(1),
		.length = PG,
		.offset = 0x100,
	};

	ASSERT_EQ(0, MAP(0, 4));
	model_pattern(self->mem + PG, 5, 0, PG);
	ASSERT_EQ(0, model_write_memory(&self->dev, 0x100, self->mem + PG, PG));
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(0, status.mismatches);
	EXPECT_EQ(1, status.done);
	self->mem[PG + 1234] ^= 1;
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(1, status.mismatches);
	EXPECT_EQ(AT(1) + 1234, status.mismatch_addr);
	EXPECT_EQ(1ULL << 16, status.expected ^ status.found);
	EXPECT_EQ(IOASID_MODEL_DONE, status.run);
}

TEST_F(model_engine, pattern)
{
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_VERIFY,
		.address = AT(0),
		.length = 64,
		.stride = PG,
		.count = NR_PAGES,
		.operand = 7,
	};
	int i;

	ASSERT_EQ(0, MAP(0, NR_PAGES));
	ASSERT_EQ(0, model_fill(&self->dev, AT(0), 7, NR_PAGES));
	EXPECT_TRUE(model_pattern_holds(self->mem, 7, AT(0), NR_PAGES * PG));
	EXPECT_EQ(0, model_verify(&self->dev, AT(0), 7, NR_PAGES));
	EXPECT_EQ(-EILSEQ, model_verify(&self->dev, AT(0), 8, 1));

	/* two wrong bytes, one of them in the compared range */
	self->mem[5 * PG + 63] ^= 1;
	self->mem[9 * PG + 64] ^= 1;
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(NR_PAGES, status.done);
	EXPECT_EQ(1, status.mismatches);
	EXPECT_EQ(AT(5) + 63, status.mismatch_addr);

	/* by a list, in another order */
	for (i = 0; i < NR_PAGES; i++) {
		__u64 address = AT((i * 7) % NR_PAGES);

		ASSERT_EQ(0, model_write_memory(&self->dev, i * 8, &address,
						sizeof(address)));
	}
	dma.flags = IOASID_MODEL_DMA_LIST;
	dma.length = PG;
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(NR_PAGES, status.done);
	EXPECT_EQ(2, status.mismatches);
}

TEST_F(model_engine, atomic)
{
	__u64 *word = (void *)self->mem;
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FETCH_ADD,
		.threads = 4,
		.address = AT(0) + 8,
		.length = 8,
		.count = 200,
		.operand = 3,
	};
	int i;

	ASSERT_EQ(0, MAP(0, 1));
	word[1] = 1000;
	dma.threads = 4;
	ASSERT_EQ(0, model_start(&self->dev, 1, &dma));
	/* and the CPU at the same time */
	for (i = 0; i < 1000; i++)
		__atomic_fetch_add(&word[1], 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(800, status.done);
	while (!model_status(&self->dev, 1, &status) &&
	       status.run == IOASID_MODEL_RUNNING)
		usleep(1000);
	EXPECT_EQ(800, status.done);
	EXPECT_EQ(1000 + 1000 + 1600 * 3, word[1]);
	EXPECT_EQ(0, word[0]);
	EXPECT_EQ(0, word[2]);

	dma.op = IOASID_MODEL_SWAP;
	dma.threads = 1;
	dma.count = 1;
	dma.operand = 77;
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(6800, status.result);
	EXPECT_EQ(77, word[1]);
	dma.op = IOASID_MODEL_CAS;
	dma.compare = 76;
	dma.operand = 78;
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(77, status.result);
	EXPECT_EQ(77, word[1]);
	dma.compare = 77;
	ASSERT_EQ(0, model_dma(&self->dev, &dma, &status));
	EXPECT_EQ(77, status.result);
	EXPECT_EQ(78, word[1]);
	dma.address++;
	EXPECT_EQ(MODEL_FAULT_ALIGN, model_dma(&self->dev, &dma, NULL));
}

TEST_F(model_engine, interrupt)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE,
		.index = IOASID_MODEL_IRQ_FAULT,
		.count = 1,
	};
	struct ioasid_model_state state;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.threads = 2,
		.address = AT(0),
		.length = PG,
		.count = 20,
	};
	int done, fault;

	done = eventfd(0, EFD_CLOEXEC);
	fault = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, MAP(0, 1));
	ASSERT_EQ(0, model_set_irq(&self->dev, IOASID_MODEL_IRQ_DONE, done));
	ASSERT_EQ(0, model_set_irq(&self->dev, IOASID_MODEL_IRQ_FAULT, fault));
	ASSERT_EQ(0, model_start(&self->dev, 3, &dma));
	EXPECT_TRUE(raised(done));
	EXPECT_TRUE(quiet(fault));
	dma.address = AT(1);
	ASSERT_EQ(0, model_start(&self->dev, 3, &dma));
	EXPECT_TRUE(raised(fault));
	EXPECT_TRUE(raised(done));
	/* by software */
	ASSERT_EQ(0, ioctl(self->dev.fd, VFIO_DEVICE_SET_IRQS, &set));
	EXPECT_TRUE(raised(fault));
	/* none is left */
	ASSERT_EQ(0, model_set_irq(&self->dev, IOASID_MODEL_IRQ_DONE, -1));
	ASSERT_EQ(0, model_stop(&self->dev, 3, NULL));
	dma.address = AT(0);
	dma.flags = IOASID_MODEL_DMA_WAIT;
	ASSERT_EQ(0, model_start(&self->dev, 3, &dma));
	EXPECT_TRUE(quiet(done));
	ASSERT_EQ(0, model_state(&self->dev, &state));
	EXPECT_EQ(3, state.irqs[IOASID_MODEL_IRQ_DONE]);
	EXPECT_EQ(-EBADF, model_set_irq(&self->dev, 0, 999));
	EXPECT_EQ(-EINVAL, model_set_irq(&self->dev, IOASID_MODEL_NR_IRQS,
					 done));
}

TEST_F(model_engine, memory)
{
	struct ioasid_model_state before, after;
	char *mem;
	char byte;

	mem = model_map_memory(&self->dev);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, MAP(0, 1));
	memcpy(self->mem, "from memory", 12);
	ASSERT_EQ(0, model_get(&self->dev, AT(0), &byte, 1));
	EXPECT_EQ('f', mem[0]);
	mem[0x3ffff] = 'z';
	ASSERT_EQ(0, model_read_memory(&self->dev, 0x3ffff, &byte, 1));
	EXPECT_EQ('z', byte);

	/* its mappings are zapped, and fault in again */
	ASSERT_EQ(0, model_state(&self->dev, &before));
	EXPECT_EQ(2, before.memory_faults);
	EXPECT_EQ('f', mem[0]);
	ASSERT_EQ(0, model_reset(&self->dev));
	EXPECT_EQ(0, mem[0]);
	EXPECT_EQ(0, mem[0x3ffff]);
	ASSERT_EQ(0, model_state(&self->dev, &after));
	EXPECT_EQ(4, after.memory_faults);

	/* not while it is off */
	ASSERT_EQ(0, model_memory_on(&self->dev, 0));
	EXPECT_EQ(-EIO, model_read_memory(&self->dev, 0, &byte, 1));
	EXPECT_EQ(-EIO, model_write_memory(&self->dev, 0, &byte, 1));
	byte = fork();
	if (!byte) {
		signal(SIGBUS, SIG_DFL);
		_exit(mem[0]);
	} else {
		int how;

		wait(&how);
		EXPECT_TRUE(WIFSIGNALED(how));
		EXPECT_EQ(SIGBUS, WTERMSIG(how));
	}
	ASSERT_EQ(0, model_memory_on(&self->dev, 1));
	EXPECT_EQ(0, mem[0]);
	ASSERT_EQ(0, munmap(mem, IOASID_MODEL_MEMORY_SIZE));

	/* there is nothing else to map */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PG, PROT_READ, MAP_SHARED,
				   self->dev.fd, 0));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, 2 * PG, PROT_READ, MAP_SHARED, self->dev.fd,
		       (1ULL << IOASID_MODEL_REGION_SHIFT) +
		       IOASID_MODEL_MEMORY_SIZE - PG));
}

TEST_HARNESS_MAIN
