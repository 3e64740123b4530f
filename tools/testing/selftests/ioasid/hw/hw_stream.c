// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA of real devices that goes on while mappings change.
 */
#include "hw_dma.h"
#include "ranges.h"

struct streamer {
	struct dut *dut;
	__u64 iova;
	unsigned int done;
	bool stop;
	pthread_t thread;
};

static void *stream(void *arg)
{
	struct streamer *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		dut_store(s->dut, s->iova, DUT_LEN);
		__atomic_add_fetch(&s->done, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static int stream_start(struct streamer *s, struct dut *dut, __u64 iova)
{
	*s = (struct streamer){ .dut = dut, .iova = iova };
	return -pthread_create(&s->thread, NULL, stream, s);
}

/* Wait until @n more transfers began and ended. */
static void stream_wait(struct streamer *s, unsigned int n)
{
	unsigned int from = __atomic_load_n(&s->done, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&s->done, __ATOMIC_ACQUIRE) < from + n + 1)
		usleep(100);
}

static void stream_stop(struct streamer *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	pthread_join(s->thread, NULL);
}

/* A device that does DMA all the time cannot reach unmapped memory. */
TEST_F(hw_dma, unmap_under_dma)
{
	int i, n = variant->engine->slow ? 4 : 30;
	struct streamer s;

	ATTACH();
	ASSERT_EQ(0, dut_prime(&self->dut, 95));
	ASSERT_EQ(0, stream_start(&s, &self->dut, TEST_IOVA));
	for (i = 0; i < n; i++) {
		char *p = self->mem + i * page_size;

		ASSERT_EQ(0, ia_map(self->ctx, self->id, TEST_IOVA, p,
				    page_size));
		stream_wait(&s, 1);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 95));
		ASSERT_EQ(0, ia_unmap(self->ctx, self->id, TEST_IOVA,
				      page_size, NULL));
		/*
		 * The IOMMU has to drain transfers that are under way. Emulated
		 * ones do not: wait for the end.
		 */
		stream_wait(&s, 1);
		dut_fill(p, DUT_LEN, 96);
		stream_wait(&s, 2);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 96));
	}
	stream_stop(&s);
}

/* And its neighbours stay reachable meanwhile. */
TEST_F(hw_dma, neighbours_change_under_dma)
{
	char *mem = huge_memory(SZ_2M);
	__u64 iova = TEST_IOVA;
	struct streamer s;
	int i;

	ASSERT_NE(NULL, mem);
	ATTACH();
	ASSERT_EQ(0, ia_map_full(self->ctx, self->id, IA_RW_FIXED, &iova,
				 IA_PTR(mem), SZ_2M, page_size, 0, 0, NULL));
	ASSERT_EQ(0, dut_prime(&self->dut, 97));
	ASSERT_EQ(0, stream_start(&s, &self->dut, TEST_IOVA + SZ_1M));
	for (i = 0; i < 3; i++) {
		char *p = mem + SZ_1M;
		int j;

		dut_fill(p, DUT_LEN, 98);
		for (j = 0; j < 200; j++) {
			__u64 at = (j % 2 ? SZ_1M + page_size * (1 + j % 16) :
				    SZ_1M - page_size * (1 + j % 16));

			ASSERT_EQ(0, ia_unmap(self->ctx, self->id,
					      TEST_IOVA + at, page_size,
					      NULL));
			ASSERT_EQ(0, ia_map(self->ctx, self->id,
					    TEST_IOVA + at, mem + at,
					    page_size));
		}
		stream_wait(&s, 1);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 97));
	}
	stream_stop(&s);
	/* not one transfer failed */
	EXPECT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_1M, mem + SZ_1M));
}

static int change_map(int ctx, __u32 id, __u32 flags, __u64 iova, const void *p,
		      __u64 length)
{
	return ia_map_full(ctx, id, flags | IOASID_MAP_FIXED, &iova, IA_PTR(p),
			   length, flags & IOASID_MAP_REPLACE ? page_size : 0,
			   0, 0, NULL);
}

/* A replace by the same pages keeps them reachable meanwhile. */
TEST_F(hw_dma, replaced_under_dma)
{
	char *mem = huge_memory(SZ_2M), *other = huge_memory(SZ_2M);
	struct streamer s;
	int i, j;

	ASSERT_NE(NULL, mem);
	ASSERT_NE(NULL, other);
	ATTACH();
	ASSERT_EQ(0, change_map(self->ctx, self->id, IA_RW | IOASID_MAP_REPLACE,
				TEST_IOVA, mem, SZ_2M));
	ASSERT_EQ(0, dut_prime(&self->dut, 97));
	ASSERT_EQ(0, stream_start(&s, &self->dut, TEST_IOVA + SZ_1M));
	for (i = 0; i < 3; i++) {
		char *p = mem + SZ_1M;

		dut_fill(p, DUT_LEN, 98);
		for (j = 0; j < 20; j++) {
			__u64 at = SZ_1M + page_size;

			/* other memory beside it; protected; as it was */
			ASSERT_EQ(0, change_map(self->ctx, self->id,
						IA_RW | IOASID_MAP_REPLACE,
						TEST_IOVA + at, other, SZ_64K));
			ASSERT_EQ(0, change_map(self->ctx, self->id,
						IOASID_MAP_READ |
						IOASID_MAP_PROTECT,
						TEST_IOVA, NULL, SZ_1M));
			ASSERT_EQ(0, change_map(self->ctx, self->id,
						IA_RW | IOASID_MAP_REPLACE,
						TEST_IOVA, mem, SZ_2M));
		}
		stream_wait(&s, 1);
		EXPECT_TRUE(dut_holds(p, DUT_LEN, 97));
	}
	stream_stop(&s);
	/* not one transfer failed */
	EXPECT_TRUE(dut_reaches(&self->dut, TEST_IOVA + SZ_1M, mem + SZ_1M));
	/* and the changes took effect */
	ASSERT_EQ(0, change_map(self->ctx, self->id, IA_RW | IOASID_MAP_REPLACE,
				TEST_IOVA, other, page_size));
	EXPECT_TRUE(dut_reaches(&self->dut, TEST_IOVA, other));
	ASSERT_EQ(0, change_map(self->ctx, self->id, IOASID_MAP_READ |
				IOASID_MAP_PROTECT, TEST_IOVA, NULL, page_size));
	dut_fill(other, DUT_LEN, 99);
	dut_store(&self->dut, TEST_IOVA, DUT_LEN);
	EXPECT_TRUE(dut_holds(other, DUT_LEN, 99));
}

TEST_HARNESS_MAIN
