// SPDX-License-Identifier: GPL-2.0-only
/*
 * vhost-vdpa as programs use it that know nothing of /dev/ioasid: its own messages map
 * memory, and every answer is the one that it gives without the commands of
 * /dev/ioasid.
 */
#include <sys/eventfd.h>

#include "hw_vdpa.h"
#include "hw_vdpa_legacy.h"

FIXTURE(legacy)
{
	struct virtio v;
	char *mem;
};

FIXTURE_VARIANT(legacy)
{
	enum vdpa_parent parent;
};

FIXTURE_VARIANT_ADD(legacy, set_map) { .parent = SET_MAP, };
FIXTURE_VARIANT_ADD(legacy, dma_map) { .parent = DMA_MAP, };
FIXTURE_VARIANT_ADD(legacy, platform) { .parent = PLATFORM, };

FIXTURE_SETUP(legacy)
{
	int rc = make_device(variant->parent);

	self->v.fd = -1;
	self->mem = NULL;
	if (rc == -ENOENT)
		SKIP(return, NO_VDPA);
	ASSERT_EQ(0, rc);
	ASSERT_EQ(0, virtio_open(&self->v, device_name(variant->parent)));
	self->mem = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(legacy)
{
	if (self->v.fd >= 0)
		virtio_close(&self->v);
	if (self->mem)
		munmap(self->mem, NR_PAGES * PG);
}

/* Map control memory and all memory, and start. */
static int start(struct _test_data_legacy *self)
{
	int rc;

	rc = vdpa_map(self->v.fd, 0, RINGS, self->v.ctrl, VIRTIO_CTRL);
	if (!rc)
		rc = vdpa_map(self->v.fd, 0, BASE, self->mem, NR_PAGES * PG);
	return rc ? rc : virtio_start(&self->v, RINGS);
}

TEST_F(legacy, traffic)
{
	int i;

	ASSERT_EQ(0, start(self));
	for (i = 0; i < 100; i++)
		ASSERT_TRUE(moves(&self->v, BASE + PG + i, self->mem + PG + i,
				  BASE + 4 * PG, self->mem + 4 * PG, i));
}

TEST_F(legacy, unmap)
{
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, vdpa_unmap(self->v.fd, 0, BASE, NR_PAGES * PG));
	EXPECT_TRUE(spares(&self->v, BASE + PG, self->mem + PG, BASE,
			   self->mem, 1));
	ASSERT_EQ(0, vdpa_map(self->v.fd, 0, BASE, self->mem, PG));
	EXPECT_TRUE(spares(&self->v, BASE + PG, self->mem + PG, BASE,
			   self->mem, 2));
	ASSERT_EQ(0, vdpa_map(self->v.fd, 0, BASE + PG, self->mem + PG, PG));
	EXPECT_TRUE(moves(&self->v, BASE + PG, self->mem + PG, BASE,
			  self->mem, 3));
}

TEST_F(legacy, read_only)
{
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, vdpa_unmap(self->v.fd, 0, BASE, NR_PAGES * PG));
	ASSERT_EQ(0, vdpa_message(self->v.fd, VHOST_IOTLB_UPDATE, 0, BASE,
				  PG, self->mem, VHOST_ACCESS_RO));
	ASSERT_EQ(0, vdpa_map(self->v.fd, 0, BASE + PG, self->mem + PG, PG));
	EXPECT_TRUE(moves(&self->v, BASE + PG, self->mem + PG, BASE,
			  self->mem, 1));
	EXPECT_TRUE(spares(&self->v, BASE, self->mem, BASE + PG,
			   self->mem + PG, 2));
}

TEST_F(legacy, batch)
{
	int fd = self->v.fd;

	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, vdpa_message(fd, VHOST_IOTLB_BATCH_BEGIN, 0, 0, 0, NULL,
				  0));
	ASSERT_EQ(0, vdpa_unmap(fd, 0, BASE, NR_PAGES * PG));
	ASSERT_EQ(0, vdpa_map(fd, 0, BASE, self->mem + 8 * PG, PG));
	ASSERT_EQ(0, vdpa_map(fd, 0, BASE + PG, self->mem + 9 * PG, PG));
	ASSERT_EQ(0, vdpa_message(fd, VHOST_IOTLB_BATCH_END, 0, 0, 0, NULL,
				  0));
	EXPECT_TRUE(moves(&self->v, BASE + PG, self->mem + 9 * PG, BASE,
			  self->mem + 8 * PG, 1));
}

TEST_F(legacy, reopened)
{
	const char *name = device_name(variant->parent);
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, start(self));
		ASSERT_TRUE(moves(&self->v, BASE, self->mem, BASE + PG,
				  self->mem + PG, i));
		EXPECT_EQ(-EBUSY, vdpa_open(name));
		virtio_close(&self->v);
		ASSERT_EQ(0, virtio_open(&self->v, name));
	}
}

/* Pages are pinned by a message, and charged as vhost-vdpa does. */
TEST_F(legacy, pinned)
{
	long long before = ia_status("VmPin");

	ASSERT_EQ(0, start(self));
	EXPECT_EQ(before + (long long)(NR_PAGES * PG + VIRTIO_CTRL) / 1024,
		  ia_status("VmPin"));
	ASSERT_EQ(0, vdpa_unmap(self->v.fd, 0, BASE, 4 * PG));
	ASSERT_EQ(0, vdpa_unmap(self->v.fd, 0, RINGS, VIRTIO_CTRL));
	virtio_close(&self->v);
	EXPECT_EQ(before, ia_status("VmPin"));
}

/* --- what comes first: pages are unpinned when the device cannot reach them --- */

#define TRACING "/sys/kernel/tracing/"

/* Where a translation ends, by sort of parent, and what unpins */
static const char *const unmaps[] = {
	[SET_MAP] = "vdpasim_set_map",
	[DMA_MAP] = "vdpasim_dma_unmap",
	[PLATFORM] = "iommu_unmap",
};

static const char *const unpins[] = {
	"unpin_user_page", "unpin_user_pages", "unpin_user_pages_dirty_lock",
	"unpin_user_page_range_dirty_lock",
};

static int trace_append(const char *file, const char *text)
{
	char path[96];
	int fd, rc = 0;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static void trace_end(void)
{
	hw_write_file(TRACING "events/ioasid_test/enable", "0");
	trace_append("kprobe_events", "-:ioasid_test/unmap\n");
	trace_append("kprobe_events", "-:ioasid_test/unpin0\n");
	trace_append("kprobe_events", "-:ioasid_test/unpin1\n");
	trace_append("kprobe_events", "-:ioasid_test/unpin2\n");
	trace_append("kprobe_events", "-:ioasid_test/unpin3\n");
}

static int trace_begin(enum vdpa_parent parent)
{
	unsigned int i, found = 0;
	char text[96];
	int rc;

	trace_end();
	snprintf(text, sizeof(text), "p:ioasid_test/unmap %s\n",
		 unmaps[parent]);
	rc = trace_append("kprobe_events", text);
	if (rc)
		return rc;
	for (i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "p:ioasid_test/unpin%u %s\n", i,
			 unpins[i]);
		found += !trace_append("kprobe_events", text);
	}
	if (!found)
		return -ENOENT;
	hw_write_file(TRACING "trace", "");
	snprintf(text, sizeof(text), "common_pid == %d\n", getpid());
	rc = hw_write_file(TRACING "events/ioasid_test/filter", text);
	if (!rc)
		rc = hw_write_file(TRACING "events/ioasid_test/enable", "1");
	return rc;
}

/*
 * What was traced, in turn, as letters: m, a translation ends; p, pages are
 * unpinned. Repetitions are one letter.
 */
static void trace_read(char *order, size_t size)
{
	char line[512];
	size_t n = 0;
	FILE *f;

	f = fopen(TRACING "trace", "re");
	while (f && fgets(line, sizeof(line), f) && n + 1 < size) {
		char now = strstr(line, ": unmap:") ? 'm' :
			   strstr(line, ": unpin") ? 'p' : 0;

		if (now && (!n || order[n - 1] != now))
			order[n++] = now;
	}
	if (f)
		fclose(f);
	order[n] = 0;
}

/* One piece after the other may go, each of them unpinned last */
static bool in_order(const char *order)
{
	size_t n = strlen(order);

	return n && !(n % 2) && *order == 'm';
}

TEST_F(legacy, unmapped_before_unpinned)
{
	char order[64];
	int rc;

	ASSERT_EQ(0, start(self));
	ASSERT_TRUE(moves(&self->v, BASE, self->mem, BASE + PG, self->mem + PG,
			  1));
	rc = trace_begin(variant->parent);
	if (rc == -ENOENT || rc == -EINVAL || rc == -EACCES)
		SKIP(return, "no kprobes");
	ASSERT_EQ(0, rc);
	rc = vdpa_unmap(self->v.fd, 0, BASE, NR_PAGES * PG);
	trace_read(order, sizeof(order));
	trace_end();
	ASSERT_EQ(0, rc);
	EXPECT_TRUE(in_order(order)) {
		TH_LOG("%s", order);
	}
}

/* Of a batch: only the parent with the whole map waits for its end. */
TEST_F(legacy, unmapped_before_unpinned_in_batch)
{
	char order[64], early[64];
	int fd = self->v.fd, rc;

	ASSERT_EQ(0, start(self));
	rc = trace_begin(variant->parent);
	if (rc == -ENOENT || rc == -EINVAL || rc == -EACCES)
		SKIP(return, "no kprobes");
	ASSERT_EQ(0, rc);
	rc = vdpa_message(fd, VHOST_IOTLB_BATCH_BEGIN, 0, 0, 0, NULL, 0);
	if (!rc)
		rc = vdpa_unmap(fd, 0, BASE, NR_PAGES * PG);
	trace_read(early, sizeof(early));
	if (!rc)
		rc = vdpa_message(fd, VHOST_IOTLB_BATCH_END, 0, 0, 0, NULL, 0);
	trace_read(order, sizeof(order));
	trace_end();
	ASSERT_EQ(0, rc);
	if (variant->parent == SET_MAP)
		EXPECT_STREQ("", early);
	EXPECT_TRUE(in_order(order)) {
		TH_LOG("%s", order);
	}
}

TEST_F(legacy, unmapped_before_unpinned_at_close)
{
	char order[64];
	int rc;

	if (variant->parent == SET_MAP)
		SKIP(return, "it is reset at close, and given no other map");
	ASSERT_EQ(0, start(self));
	rc = trace_begin(variant->parent);
	if (rc == -ENOENT || rc == -EINVAL || rc == -EACCES)
		SKIP(return, "no kprobes");
	ASSERT_EQ(0, rc);
	virtio_close(&self->v);
	trace_read(order, sizeof(order));
	trace_end();
	EXPECT_TRUE(in_order(order)) {
		TH_LOG("%s", order);
	}
}

/* --- the answers to long sequences of calls, as without the patches --- */

enum { WALK = 300 };

struct walk {
	__u64 seed;
	int fd;
	int kick;
	char *mem;
	char *text;
	size_t length;
};

static unsigned int pick(struct walk *w, unsigned int below)
{
	w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (w->seed >> 33) % below;
}

static void answer(struct walk *w, const char *what, long value)
{
	w->length += sprintf(w->text + w->length, "%s %ld\n", what, value);
}

static long cmd(struct walk *w, unsigned long command, void *arg)
{
	int rc = ioctl(w->fd, command, arg);

	return rc < 0 ? -errno : rc;
}

static void walk_message(struct walk *w)
{
	unsigned int type = 2 + pick(w, 5), asid = pick(w, 3), perm = 1 + pick(w, 3);
	unsigned int page = pick(w, 8), size = pick(w, 4);

	answer(w, "message", vdpa_message(w->fd, type, asid,
					  BASE + page * 4096, size * 4096,
					  w->mem + pick(w, 8) * 4096, perm));
}

static void walk_step(struct walk *w)
{
	struct vhost_vring_state state = {
		.index = pick(w, 5),
		.num = pick(w, 3) ? 1 << pick(w, 10) : pick(w, 400),
	};
	struct vhost_vring_file file = {
		.index = state.index,
		.fd = pick(w, 3) ? w->kick : pick(w, 2) ? -1 : 9999,
	};
	struct vhost_vring_addr addr = {
		.index = state.index,
		.flags = !pick(w, 8),
		.desc_user_addr = BASE + pick(w, 8) * 4096 + pick(w, 5) % 2,
		.avail_user_addr = BASE + pick(w, 8) * 4096 + 0x400,
		.used_user_addr = BASE + pick(w, 8) * 4096 + 0x800,
	};
	__u64 features = pick(w, 4) ? 0x300000000ULL : 1ULL << pick(w, 40);
	struct vhost_vdpa_iova_range range;
	struct vhost_vdpa_config config = {
		.off = pick(w, 100), .len = pick(w, 2) ? 0 : 0,
	};
	__u8 status = pick(w, 3) ? 0xf >> pick(w, 4) : pick(w, 256) & 0x4f;
	__u32 u32 = 0;
	__u16 u16 = 0;

	switch (pick(w, 30)) {
	case 0:
		answer(w, "owner", cmd(w, VHOST_SET_OWNER, NULL));
		return;
	case 1:
		answer(w, "reset_owner", cmd(w, VHOST_RESET_OWNER, NULL));
		return;
	case 2:
		features = pick(w, 2) ? 0xe : 1ULL << pick(w, 9);
		answer(w, "set_backend", cmd(w, VHOST_SET_BACKEND_FEATURES,
					     &features));
		return;
	case 3:
		answer(w, "get_features", cmd(w, VHOST_GET_FEATURES,
					      &features));
		return;
	case 4:
	case 5:
		answer(w, "set_features", cmd(w, VHOST_SET_FEATURES,
					      &features));
		return;
	case 6:
	case 7:
	case 8:
		answer(w, "set_status", cmd(w, VHOST_VDPA_SET_STATUS, &status));
		return;
	case 9:
		answer(w, "get_status", cmd(w, VHOST_VDPA_GET_STATUS, &status));
		answer(w, "status", status);
		return;
	case 10:
		answer(w, "vring_num", cmd(w, VHOST_SET_VRING_NUM, &state));
		return;
	case 11:
		answer(w, "vring_base", cmd(w, VHOST_SET_VRING_BASE, &state));
		return;
	case 12:
		answer(w, "get_vring_base", cmd(w, VHOST_GET_VRING_BASE,
						&state));
		return;
	case 13:
		answer(w, "vring_addr", cmd(w, VHOST_SET_VRING_ADDR, &addr));
		return;
	case 14:
		answer(w, "vring_call", cmd(w, VHOST_SET_VRING_CALL, &file));
		return;
	case 15:
		answer(w, "enable", cmd(w, VHOST_VDPA_SET_VRING_ENABLE,
					&state));
		return;
	case 16:
		state.num = pick(w, 4);
		answer(w, "group_asid", cmd(w, VHOST_VDPA_SET_GROUP_ASID,
					    &state));
		return;
	case 17:
		answer(w, "vring_group", cmd(w, VHOST_VDPA_GET_VRING_GROUP,
					     &state));
		return;
	case 18:
		answer(w, "suspend", cmd(w, VHOST_VDPA_SUSPEND, NULL));
		return;
	case 19:
		answer(w, "resume", cmd(w, VHOST_VDPA_RESUME, NULL));
		return;
	case 20:
		answer(w, "get_config", cmd(w, VHOST_VDPA_GET_CONFIG, &config));
		return;
	case 21:
		answer(w, "range", cmd(w, VHOST_VDPA_GET_IOVA_RANGE, &range));
		return;
	case 22:
		answer(w, "as_num", cmd(w, VHOST_VDPA_GET_AS_NUM, &u32));
		answer(w, "as", u32);
		return;
	case 23:
		answer(w, "num", cmd(w, VHOST_VDPA_GET_VRING_NUM, &u16));
		return;
	case 24:
		answer(w, "unknown", cmd(w, _IO(VHOST_VIRTIO, 0xa0 + pick(w, 8)),
					 NULL));
		return;
	default:
		walk_message(w);
		return;
	}
}

FIXTURE(walk)
{
	struct walk w;
};

FIXTURE_VARIANT(walk)
{
	enum vdpa_parent parent;
	unsigned int seed;
};

FIXTURE_VARIANT_ADD(walk, set_map1) { .parent = SET_MAP, .seed = 1, };
FIXTURE_VARIANT_ADD(walk, set_map2) { .parent = SET_MAP, .seed = 2, };
FIXTURE_VARIANT_ADD(walk, set_map3) { .parent = SET_MAP, .seed = 3, };
FIXTURE_VARIANT_ADD(walk, dma_map1) { .parent = DMA_MAP, .seed = 4, };
FIXTURE_VARIANT_ADD(walk, dma_map2) { .parent = DMA_MAP, .seed = 5, };
FIXTURE_VARIANT_ADD(walk, dma_map3) { .parent = DMA_MAP, .seed = 6, };

FIXTURE_SETUP(walk)
{
	int rc = make_device(variant->parent);
	struct walk *w = &self->w;

	memset(w, 0, sizeof(*w));
	w->fd = -1;
	w->kick = -1;
	if (rc == -ENOENT)
		SKIP(return, NO_VDPA);
	ASSERT_EQ(0, rc);
	w->fd = vdpa_open(device_name(variant->parent));
	ASSERT_LE(0, w->fd);
	w->kick = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, w->kick);
	w->mem = ia_mem(16 * 4096);
	ASSERT_NE(NULL, w->mem);
	w->text = malloc(WALK * 64);
	ASSERT_NE(NULL, w->text);
	w->seed = variant->seed;
}

FIXTURE_TEARDOWN(walk)
{
	if (self->w.fd >= 0)
		close(self->w.fd);
	free(self->w.text);
}

TEST_F(walk, same)
{
	const char *expected;
	struct walk *w = &self->w;
	char head[32];
	size_t i, n;

	for (i = 0; i < WALK; i++)
		walk_step(w);
	n = snprintf(head, sizeof(head), "[walk%u]\n", variant->seed);
	if (getenv("IOASID_RECORD")) {
		char *line;

		printf("@[walk%u]\n", variant->seed);
		for (line = strtok(w->text, "\n"); line; line = strtok(NULL, "\n"))
			printf("@%s\n", line);
		return;
	}
	expected = strstr(recorded, head);
	ASSERT_NE(NULL, expected);
	expected += n;
	/* the first line that differs */
	n = 0;
	for (i = 0; i < w->length && w->text[i] == expected[i]; i++)
		n += w->text[i] == '\n';
	ASSERT_EQ(w->length, i) {
		TH_LOG("answer %zu is %.30s, and was %.30s", n, w->text + i,
		       expected + i);
	}
	ASSERT_TRUE(!expected[i] || expected[i] == '[');
}

TEST_HARNESS_MAIN
