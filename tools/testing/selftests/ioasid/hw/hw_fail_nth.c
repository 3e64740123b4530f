// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands that need hardware, with their first, second, third...
 * allocation or copy of user memory made to fail: these include the tables of
 * the IOMMU, and DMA shows whether they are as before. Detach, close and driver
 * unbind are left out: the IOMMU core warns of failures there.
 */
#include "ioasid_test.h"
#include "dut.h"
#include "fault.h"
#include "mdev.h"
#include "state.h"

#define NR_PAGES 600

/* The IOVA where commands map; memory that has to stay is at TEST_IOVA. */
#define BASE (2 * TEST_IOVA)

struct stage {
	int ctx;
	__u32 id;
	__u32 other;
	struct dut dut;
	char *mem;		/* NR_PAGES, no two of them neighbours */
	char *huge;
	char *keep;
	int file;
	__u64 iova;
	__u64 length;
};

/* See fail_nth.c: undo() restores the state before prepare(). */
FIXTURE(hw_command)
{
	struct stage stage;
	int fail_nth;
};

FIXTURE_VARIANT(hw_command)
{
	int (*prepare)(struct stage *s);
	int (*run)(struct stage *s);
	int (*undo)(struct stage *s);
	/* as run() leaves it, the device is attached */
	bool attached;
	/*
	 * It is not even bound. Bind allocates first; then it opens the device,
	 * which evaluates ACPI methods, and these on 6.12 do not survive more
	 * than a few failures: stop when this is in the trace for the second
	 * time in a row (once can be an allocation of bind that may fail).
	 */
	const char *past;
	bool takes_away;
};

static int undo_map(struct stage *s)
{
	__u64 unmapped;
	int rc = ia_unmap(s->ctx, s->id, s->iova, s->length, &unmapped);

	return rc || unmapped == s->length ? rc : -EPROTO;
}

static int run_map_page(struct stage *s)
{
	s->iova = BASE;
	s->length = page_size;
	return ia_map(s->ctx, s->id, s->iova, s->mem, s->length);
}

FIXTURE_VARIANT_ADD(hw_command, map_page) {
	.run = run_map_page, .undo = undo_map, .attached = true,
};

/* Tables of every level are new each time. */
static int run_map_far(struct stage *s)
{
	static unsigned int nr;

	s->iova = 8 * BASE + ++nr * SZ_1G;
	s->length = page_size;
	return ia_map(s->ctx, s->id, s->iova, s->mem, s->length);
}

FIXTURE_VARIANT_ADD(hw_command, map_far) {
	.run = run_map_far, .undo = undo_map, .attached = true,
};

static int run_map_long(struct stage *s)
{
	s->iova = BASE - page_size;
	s->length = NR_PAGES * page_size;
	return ia_map(s->ctx, s->id, s->iova, s->mem, s->length);
}

FIXTURE_VARIANT_ADD(hw_command, map_long) {
	.run = run_map_long, .undo = undo_map, .attached = true,
};

static int run_map_cells(struct stage *s)
{
	s->iova = BASE;
	s->length = SZ_2M;
	return ia_map_full(s->ctx, s->id, IA_RW_FIXED, &s->iova,
			   IA_PTR(s->huge), s->length, SZ_64K, 0, 0, NULL);
}

FIXTURE_VARIANT_ADD(hw_command, map_cells) {
	.run = run_map_cells, .undo = undo_map, .attached = true,
};

static int run_map_any(struct stage *s)
{
	s->length = SZ_2M;
	return ia_map_any(s->ctx, s->id, &s->iova, s->huge, s->length);
}

FIXTURE_VARIANT_ADD(hw_command, map_any) {
	.run = run_map_any, .undo = undo_map, .attached = true,
};

static int run_map_file(struct stage *s)
{
	s->iova = BASE;
	s->length = 16 * page_size;
	return ia_map_file(s->ctx, s->id, IA_RW_FIXED, &s->iova, s->file, 0,
			   s->length);
}

FIXTURE_VARIANT_ADD(hw_command, map_file) {
	.run = run_map_file, .undo = undo_map, .attached = true,
};

static int prepare_unmap(struct stage *s)
{
	ia_unmap(s->ctx, s->id, BASE, SZ_1G, NULL);
	return ia_map(s->ctx, s->id, BASE, s->mem, NR_PAGES * page_size);
}

static int run_unmap(struct stage *s)
{
	return ia_unmap(s->ctx, s->id, BASE, NR_PAGES * page_size, NULL);
}

FIXTURE_VARIANT_ADD(hw_command, unmap) {
	.prepare = prepare_unmap, .run = run_unmap, .attached = true,
	.takes_away = true,
};

/* To split a large IOPTE takes a new table. */
static int prepare_split(struct stage *s)
{
	ia_unmap(s->ctx, s->id, BASE, SZ_1G, NULL);
	return ia_map(s->ctx, s->id, BASE, s->huge, SZ_2M);
}

static int run_split(struct stage *s)
{
	return ia_unmap_full(s->ctx, s->id, IOASID_UNMAP_SPLIT,
			     BASE + SZ_1M, page_size, NULL);
}

FIXTURE_VARIANT_ADD(hw_command, split) {
	.prepare = prepare_split, .run = run_split, .attached = true,
	.takes_away = true,
};

static int run_attach(struct stage *s)
{
	return hw_attach(s->dut.fd, s->id);
}

static int undo_attach(struct stage *s)
{
	return hw_detach(s->dut.fd, s->id);
}

FIXTURE_VARIANT_ADD(hw_command, attach) {
	.run = run_attach, .undo = undo_attach,
};

static int run_replace(struct stage *s)
{
	return hw_attach(s->dut.fd, s->other);
}

static int undo_replace(struct stage *s)
{
	return hw_attach(s->dut.fd, s->id);
}

FIXTURE_VARIANT_ADD(hw_command, replace) {
	.run = run_replace, .undo = undo_replace, .attached = true,
};

static int run_bind(struct stage *s)
{
	return hw_bind(s->dut.fd, s->ctx, 1, &s->dut.devid);
}

/* Only close undoes a bind. */
static int undo_bind(struct stage *s)
{
	close(s->dut.fd);
	s->dut.fd = hw_open_cdev(s->dut.name);
	return s->dut.fd < 0 ? s->dut.fd : 0;
}

FIXTURE_VARIANT_ADD(hw_command, bind) {
	.run = run_bind, .undo = undo_bind, .past = "ioasid_bind: ",
};

static int run_bind_attach(struct stage *s)
{
	return hw_bind_full(s->dut.fd, s->ctx, s->id, 1, &s->dut.devid, NULL);
}

FIXTURE_VARIANT_ADD(hw_command, bind_and_attach) {
	.run = run_bind_attach, .undo = undo_bind, .past = "ioasid_attach: ",
};

static int run_device_info(struct stage *s)
{
	struct ioasid_iova_range ranges[8];
	char hw[256];
	struct ioasid_device_info info = {
		.argsz = sizeof(info),
		.devid = s->dut.devid,
		.nr_ranges = 8,
		.ranges = IA_PTR(ranges),
		.hw_len = sizeof(hw),
		.hw_data = IA_PTR(hw),
	};

	return ia_cmd(s->ctx, IOASID_DEVICE_GET_INFO, &info);
}

FIXTURE_VARIANT_ADD(hw_command, device_get_info) {
	.run = run_device_info, .attached = true,
};

#define TRACING "/sys/kernel/tracing/"
#define EVENTS TRACING "events/ioasid/"

static bool trace_clear(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	close(fd);
	return fd >= 0 && !hw_write_file(EVENTS "ioasid_bind/enable", "1") &&
	       !hw_write_file(EVENTS "ioasid_attach/enable", "1");
}

/* Whether there is such an event, of a success. */
static bool trace_has(const char *event)
{
	bool found = false;
	char line[512];
	FILE *f;

	f = fopen(TRACING "trace", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, event) && !strstr(line, "ret=-"))
			found = true;
	if (f)
		fclose(f);
	return found;
}

FIXTURE_SETUP(hw_command)
{
	struct stage *s = &self->stage;
	int i, rc;

	s->dut.fd = -1;
	s->ctx = ia_open();
	if (s->ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, s->ctx);
	self->fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (self->fail_nth < 0)
		SKIP(return, "no fault injection");
	if (!set_knobs())
		SKIP(return, "no fault injection in debugfs");
	rc = dut_open(&s->dut, &engine_nvme, 0, 0);
	if (rc == -ENOENT)
		SKIP(return, "no nvme behind an IOMMU");
	ASSERT_EQ(0, rc);
	s->keep = ia_mem(page_size);
	ASSERT_NE(NULL, s->keep);
	s->huge = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, s->huge);
	madvise(s->huge, SZ_2M, MADV_HUGEPAGE);
	memset(s->huge, 1, SZ_2M);
	s->mem = ia_mem(NR_PAGES * page_size);
	ASSERT_NE(NULL, s->mem);
	ASSERT_EQ(0, madvise(s->mem, NR_PAGES * page_size, MADV_NOHUGEPAGE));
	/* from the end, so that page frames do not ascend */
	for (i = NR_PAGES - 1; i >= 0; i--)
		s->mem[i * page_size] = 1;
	if (variant->past && !trace_clear())
		SKIP(return, "no tracing");
	s->file = memfd_create("hw_fail_nth", MFD_CLOEXEC);
	ASSERT_LE(0, s->file);
	ASSERT_EQ(0, ftruncate(s->file, 16 * page_size));

	ASSERT_EQ(0, ia_alloc(s->ctx, &s->id));
	ASSERT_EQ(0, ia_alloc(s->ctx, &s->other));
	ASSERT_EQ(0, dut_admit(&s->dut, s->ctx, s->id));
	ASSERT_EQ(0, dut_admit(&s->dut, s->ctx, s->other));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, TEST_IOVA, s->keep, page_size));
	ASSERT_EQ(0, ia_map(s->ctx, s->other, TEST_IOVA, s->mem,
			    NR_PAGES * page_size));
	if (!variant->past) {
		ASSERT_EQ(0, dut_bind(&s->dut, s->ctx, 1));
		ASSERT_EQ(0, dut_attach(&s->dut, s->id));
		if (!variant->attached)
			ASSERT_EQ(0, hw_detach(s->dut.fd, s->id));
	}
}

FIXTURE_TEARDOWN(hw_command)
{
	close(self->fail_nth);
	restore_knobs();
	dut_close(&self->stage.dut);
	close(self->stage.ctx);
	/* no page stays pinned or charged */
	EXPECT_EQ(0, ia_status("VmPin"));
	EXPECT_EQ(0, ia_status("VmLck"));
}

TEST_F_TIMEOUT(hw_command, fails_cleanly, 250)
{
	struct ia_state before, after;
	struct stage *s = &self->stage;
	unsigned int nth, errors = 0, past = 0;
	const char *diff;
	int rc, failed;

	for (nth = 1; nth < MAX_FAILURES; nth++) {
		if (variant->prepare)
			ASSERT_EQ(0, variant->prepare(s));
		ASSERT_EQ(0, ia_state_read(s->ctx, &before));
		if (variant->past)
			ASSERT_TRUE(trace_clear());
		ASSERT_TRUE(arm(self->fail_nth, nth));
		rc = variant->run(s);
		failed = disarm(self->fail_nth);
		ASSERT_LE(0, failed);
		if (!failed)
			break;
		past = variant->past && trace_has(variant->past) ? past + 1 : 0;
		if (past == 2) {
			if (rc)
				rc = variant->run(s);
			break;
		}
		if (!rc) {
			/* the command succeeds without it */
			if (variant->undo)
				ASSERT_EQ(0, variant->undo(s));
			continue;
		}
		errors++;
		EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT) {
			TH_LOG("failure %u: %s", nth, strerror(-rc));
		}
		ASSERT_EQ(0, ia_state_read(s->ctx, &after));
		diff = ia_state_diff(&before, &after);
		if (diff && !(variant->takes_away && rc == -EFAULT))
			ASSERT_EQ(NULL, diff) {
				TH_LOG("failure %u (%s): %s", nth,
				       strerror(-rc), diff);
			}
		if (variant->attached && nth % 4 == 0)
			ASSERT_TRUE(dut_reaches(&s->dut, TEST_IOVA, s->keep));
	}
	ASSERT_GT(MAX_FAILURES, nth);
	ASSERT_EQ(0, rc);
	if (variant->undo)
		ASSERT_EQ(0, variant->undo(s));
	ksft_print_msg("%u failures, %u errors\n", nth - 1, errors);
	/* after all failures it works */
	if (variant->past)
		ASSERT_EQ(0, dut_bind(&s->dut, s->ctx, 1));
	ASSERT_EQ(0, dut_attach(&s->dut, s->id));
	ASSERT_TRUE(dut_reaches(&s->dut, TEST_IOVA, s->keep));
	ASSERT_EQ(0, ia_map(s->ctx, s->id, 4 * BASE, s->mem, page_size));
	ASSERT_TRUE(dut_reaches(&s->dut, 4 * BASE, s->mem));
}

/*
 * An emulated device has no ACPI methods: every step of bind and attach can
 * fail.
 */
TEST(emulated_bind_and_attach)
{
	struct ia_state before, after;
	unsigned int nth, errors = 0;
	int ctx, fail_nth, failed, fd, rc;
	const char *diff;
	__u32 id;

	ctx = ia_open();
	if (ctx == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, ctx);
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		SKIP(return, "no fault injection");
	if (mdev_create() == -ENOENT)
		SKIP(return, "no mtty to emulate devices");
	if (!set_knobs())
		SKIP(return, "no fault injection in debugfs");
	ASSERT_EQ(0, ia_alloc(ctx, &id));
	for (nth = 1; nth < MAX_FAILURES; nth++) {
		fd = mdev_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ia_state_read(ctx, &before));
		ASSERT_TRUE(arm(fail_nth, nth));
		rc = hw_bind_full(fd, ctx, id, 1, NULL, NULL);
		failed = disarm(fail_nth);
		ASSERT_LE(0, failed);
		if (rc) {
			errors++;
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT) {
				TH_LOG("failure %u: %s", nth, strerror(-rc));
			}
			ASSERT_EQ(0, ia_state_read(ctx, &after));
			diff = ia_state_diff(&before, &after);
			ASSERT_EQ(NULL, diff) {
				TH_LOG("failure %u (%s): %s", nth,
				       strerror(-rc), diff);
			}
		}
		close(fd);
		if (!failed)
			break;
	}
	restore_knobs();
	ASSERT_GT(MAX_FAILURES, nth);
	EXPECT_EQ(0, rc);
	ksft_print_msg("%u failures, %u errors\n", nth - 1, errors);
	close(ctx);
	mdev_remove();
}

TEST_HARNESS_MAIN
