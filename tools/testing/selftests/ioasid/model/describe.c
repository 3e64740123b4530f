// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptions of devices and of IOASIDs: capabilities, ranges, page sizes, and
 * fdinfo, compared with the properties of the model IOMMU; while devices are
 * attached, after they are detached, and after a failed attach.
 */
#include "ioasid_test.h"
#include "family.h"
#include "mock.h"
#include "state.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define ROOT_BASE SZ_1G
#define PAGES 8
#define UNSAFE "/sys/module/ioasid/parameters/allow_unsafe_interrupts"

FIXTURE(describe)
{
	struct model model;
	struct model_space space;
	struct model_device dev;
	struct model_device other;
	int fd;
	char *mem;
};

FIXTURE_SETUP(describe)
{
	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, model_space_open(&self->model, &self->space));
}

FIXTURE_TEARDOWN(describe)
{
	if (self->dev.model) {
		model_release(&self->dev);
		model_unplug(&self->dev, 0);
	}
	if (self->other.model) {
		model_release(&self->other);
		model_unplug(&self->other, 0);
	}
	model_close(&self->model);
}

#define PLUG(dev, ...)							\
	ASSERT_EQ(0, model_plug(&self->model, &self->dev,		\
				&(struct model_params) { __VA_ARGS__ }, 0))

static int device_info(struct model_device *dev,
		       struct ioasid_device_info *info,
		       struct ioasid_iova_range *ranges, __u32 nr)
{
	*info = (struct ioasid_device_info) {
		.argsz = sizeof(*info),
		.devid = dev->devid,
		.nr_ranges = nr,
		.ranges = IA_PTR(ranges),
	};
	memset(ranges, 0xa5, (nr + 1) * sizeof(*ranges));
	return ia_cmd(dev->model->ctx, IOASID_DEVICE_GET_INFO, info);
}

static int space_info(struct model_space *space, struct ioasid_info *info,
		      struct ioasid_iova_range *ranges, __u32 nr)
{
	*info = (struct ioasid_info) {
		.argsz = sizeof(*info),
		.ioasid = space->id,
		.nr_ranges = nr,
		.ranges = IA_PTR(ranges),
	};
	memset(ranges, 0xa5, (nr + 1) * sizeof(*ranges));
	return ia_cmd(space->model->ctx, IOASID_GET_INFO, info);
}

#define RANGE(i, first, end)						\
do {									\
	EXPECT_EQ(first, r[i].start);					\
	EXPECT_EQ(end, r[i].last);					\
} while (0)

#define UNTOUCHED(i) EXPECT_EQ(0xa5a5a5a5a5a5a5a5ULL, r[i].start)

TEST_F(describe, capabilities)
{
	struct ioasid_device_info info;
	struct ioasid_iova_range r[4];

	PLUG(dev, .page_sizes = PG | SZ_2M,
	     .aperture_last = (1ULL << 39) - 1, .levels = 3,
	     .pasid_bits = 11,
	     .flags = MODEL_ENFORCE_COHERENCY | MODEL_DIRTY);
	PLUG(other, .page_sizes = PG, .aperture_start = SZ_1M,
	     .aperture_last = (1ULL << 32) - 1, .unit = 1);
	ASSERT_EQ(0, model_bind(&self->dev));
	ASSERT_EQ(0, model_bind(&self->other));
	ASSERT_EQ(0, device_info(&self->dev, &info, r, 3));
	EXPECT_EQ(IOASID_DEVICE_ENFORCE_SNOOP | IOASID_DEVICE_DIRTY |
		  (ia_check(self->model.ctx, IOASID_EXT_PASID_HITLESS) ?
		   IOASID_DEVICE_PASID_HITLESS : 0), info.caps);
	EXPECT_EQ(PG | SZ_2M, info.pgsizes);
	EXPECT_EQ(39, info.addr_width);
	EXPECT_EQ(11, info.pasid_width);
	EXPECT_EQ(0, info.nr_pasids);
	EXPECT_EQ((1 << 11) - 1, info.pasids_left);
	EXPECT_EQ(self->dev.id, info.cookie);
	EXPECT_EQ(model_group(&self->dev), info.group);
	EXPECT_EQ(0, info.ioasid);
	EXPECT_EQ(1, info.nr_ranges);
	RANGE(0, 0, (1ULL << 39) - 1);
	UNTOUCHED(1);
	ASSERT_EQ(0, device_info(&self->other, &info, r, 3));
	EXPECT_EQ(0, info.caps);
	EXPECT_EQ(PG, info.pgsizes);
	EXPECT_EQ(32, info.addr_width);
	EXPECT_EQ(0, info.pasid_width);
	RANGE(0, SZ_1M, (1ULL << 32) - 1);
	ASSERT_EQ(0, model_attach(&self->other, &self->space));
	ASSERT_EQ(0, device_info(&self->other, &info, r, 3));
	EXPECT_EQ(self->space.id, info.ioasid);
	ASSERT_EQ(0, device_info(&self->dev, &info, r, 3));
	EXPECT_EQ(0, info.ioasid);
}

/*
 * Reserved regions exclude whole pages, unless the kernel may relax them; and
 * only as many elements are filled as there is room for.
 */
TEST_F(describe, reserved)
{
	struct ioasid_device_info info;
	struct ioasid_iova_range r[5];

	PLUG(dev, .aperture_last = (1ULL << 40) - 1, .nr_resv = 4, .resv = {
		{ .start = BASE + 512, .length = 1024,
		  .type = MODEL_RESV_RESERVED },
		{ .start = SZ_1G, .length = SZ_1M,
		  .type = MODEL_RESV_RELAXABLE },
		{ .start = 2 * SZ_1G, .length = PG + 1,
		  .type = MODEL_RESV_RESERVED },
		{ .start = 0xfee00000, .length = SZ_1M,
		  .type = MODEL_RESV_MSI } });
	ASSERT_EQ(0, model_bind(&self->dev));
	ASSERT_EQ(0, device_info(&self->dev, &info, r, 4));
	EXPECT_EQ(4, info.nr_ranges);
	RANGE(0, 0, 2 * SZ_1G - 1);
	RANGE(1, 2 * SZ_1G + 2 * PG, 0xfedfffff);
	RANGE(2, 0xfef00000, BASE - 1);
	RANGE(3, BASE + PG, (1ULL << 40) - 1);
	ASSERT_EQ(0, device_info(&self->dev, &info, r, 2));
	EXPECT_EQ(4, info.nr_ranges);
	RANGE(1, 2 * SZ_1G + 2 * PG, 0xfedfffff);
	UNTOUCHED(2);
	ASSERT_EQ(0, device_info(&self->dev, &info, r, 0));
	EXPECT_EQ(4, info.nr_ranges);
	UNTOUCHED(0);
}

/* The permitted ranges follow the attached devices, also after a detach. */
TEST_F(describe, permitted)
{
	struct ioasid_iova_range r[4];
	struct ioasid_info info;

	PLUG(dev, .aperture_last = (1ULL << 40) - 1);
	PLUG(other, .page_sizes = PG, .aperture_start = SZ_1M,
	     .aperture_last = (1ULL << 36) - 1, .unit = 1, .nr_resv = 1,
	     .resv = { { .start = BASE, .length = SZ_1M,
			 .type = MODEL_RESV_RESERVED } });
	ASSERT_EQ(0, space_info(&self->space, &info, r, 3));
	EXPECT_EQ(1, info.nr_ranges);
	RANGE(0, 0, ~0ULL);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	ASSERT_EQ(0, space_info(&self->space, &info, r, 3));
	EXPECT_EQ(1, info.nr_ranges);
	EXPECT_EQ(1, info.nr_domains);
	EXPECT_EQ(1, info.nr_devices);
	EXPECT_EQ(PG | SZ_2M | SZ_1G, info.pgsizes);
	RANGE(0, 0, (1ULL << 40) - 1);
	ASSERT_EQ(0, model_attach(&self->other, &self->space));
	ASSERT_EQ(0, space_info(&self->space, &info, r, 3));
	EXPECT_EQ(2, info.nr_ranges);
	EXPECT_EQ(2, info.nr_domains);
	EXPECT_EQ(2, info.nr_devices);
	EXPECT_EQ(PG, info.pgsizes);
	RANGE(0, SZ_1M, BASE - 1);
	RANGE(1, BASE + SZ_1M, (1ULL << 36) - 1);
	UNTOUCHED(2);
	ASSERT_EQ(0, space_info(&self->space, &info, r, 1));
	EXPECT_EQ(2, info.nr_ranges);
	UNTOUCHED(1);
	ASSERT_EQ(0, model_detach(&self->dev));
	ASSERT_EQ(0, space_info(&self->space, &info, r, 3));
	EXPECT_EQ(2, info.nr_ranges);
	EXPECT_EQ(1, info.nr_domains);
	EXPECT_EQ(PG, info.pgsizes);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	ASSERT_EQ(0, model_detach(&self->other));
	ASSERT_EQ(0, space_info(&self->space, &info, r, 3));
	EXPECT_EQ(1, info.nr_ranges);
	RANGE(0, 0, (1ULL << 40) - 1);
	ASSERT_EQ(0, model_detach(&self->dev));
	ASSERT_EQ(0, space_info(&self->space, &info, r, 3));
	EXPECT_EQ(1, info.nr_ranges);
	EXPECT_EQ(0, info.nr_domains);
	EXPECT_EQ(0, info.nr_devices);
	EXPECT_EQ(0, info.state);
	RANGE(0, 0, ~0ULL);
	ASSERT_EQ(0, ia_free(self->fd, self->space.id));
}

/* A failed attach, for any reason, has narrowed no range. */
TEST_F(describe, attach_fails)
{
	struct ia_state before, after;
	const char *diff;

	PLUG(dev, .aperture_last = (1ULL << 40) - 1);
	PLUG(other, .aperture_last = (1ULL << 36) - 1);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	ASSERT_EQ(0, model_bind(&self->other));
	ASSERT_EQ(0, ia_map(self->fd, self->space.id, BASE, self->mem, PG));
#define FAILS(want)							\
do {									\
	ASSERT_EQ(0, ia_state_read(self->fd, &before));			\
	EXPECT_EQ(want, model_attach(&self->other, &self->space));	\
	ASSERT_EQ(0, ia_state_read(self->fd, &after));			\
	diff = ia_state_diff(&before, &after);				\
	EXPECT_EQ(NULL, diff) TH_LOG("%s", diff);			\
	EXPECT_TRUE(reads(&self->dev, BASE, 0));			\
	EXPECT_TRUE(faults(&self->other, BASE));			\
} while (0)
	ASSERT_EQ(0, model_inject(&self->other, MODEL_INJECT_ATTACH, 1, 0));
	FAILS(-ENOMEM);
	ASSERT_EQ(0, model_inject(&self->other, MODEL_INJECT_MAP, 1, 0));
	FAILS(-ENOMEM);
	/* beyond the aperture of the device */
	ASSERT_EQ(0, ia_map(self->fd, self->space.id, 1ULL << 36, self->mem,
			    PG));
	FAILS(-EADDRINUSE);
	ASSERT_EQ(0, ia_unmap(self->fd, self->space.id, 1ULL << 36, PG, NULL));
	ASSERT_EQ(0, model_attach(&self->other, &self->space));
	EXPECT_TRUE(reads(&self->other, BASE, 0));
}

/* A bind fails if the IOASID to attach to does not exist, or does not fit. */
TEST_F(describe, bind_fails)
{
	struct ioasid_device_bind bind = {
		.argsz = sizeof(bind),
		.ioasid_fd = self->fd,
		.cookie = 3,
	};
	struct ia_state before, after;
	const char *diff;
	int file, i;

	PLUG(dev, .aperture_last = SZ_1G - 1);
	ASSERT_EQ(0, ia_map(self->fd, self->space.id, BASE, self->mem, PG));
	file = model_open_cdev(&self->dev);
	ASSERT_LE(0, file);
	for (i = 0; i < 4; i++) {
		bind.ioasid = i % 2 ? self->space.id : 0x7ffffff0;
		ASSERT_EQ(0, ia_state_read(self->fd, &before));
		EXPECT_EQ(i % 2 ? -EADDRINUSE : -ENOENT,
			  ia_cmd(file, VFIO_DEVICE_BIND_IOASID_FD, &bind));
		ASSERT_EQ(0, ia_state_read(self->fd, &after));
		diff = ia_state_diff(&before, &after);
		EXPECT_EQ(NULL, diff) TH_LOG("%s", diff);
	}
	bind.ioasid = 0;
	EXPECT_EQ(0, ia_cmd(file, VFIO_DEVICE_BIND_IOASID_FD, &bind));
	close(file);
}

/* The same for a device that joins the domain of another one. */
TEST_F(describe, join_fails)
{
	struct ia_state before, after;
	const char *diff;

	PLUG(dev, .aperture_last = (1ULL << 40) - 1);
	PLUG(other, .aperture_last = (1ULL << 40) - 1);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	ASSERT_EQ(0, model_bind(&self->other));
	ASSERT_EQ(0, ia_map(self->fd, self->space.id, BASE, self->mem, PG));
	ASSERT_EQ(0, model_inject(&self->other, MODEL_INJECT_ATTACH, 1, 0));
	FAILS(-ENOMEM);
	ASSERT_EQ(0, model_attach(&self->other, &self->space));
	EXPECT_EQ(1, info_of(self->fd, self->space.id).nr_domains);
	EXPECT_EQ(2, info_of(self->fd, self->space.id).nr_devices);
	EXPECT_TRUE(reads(&self->other, BASE, 0));
}

/*
 * A mapping is in the way, after more reserved ranges than are copied at once.
 */
TEST_F(describe, in_the_way)
{
	__u64 i, at = 0;
	struct ioasid_device_attach attach;

	PLUG(dev, .aperture_last = SZ_1G - 1);
	ASSERT_EQ(0, model_bind(&self->dev));
	for (i = 0; i < 2500; i++)
		ASSERT_EQ(0, ia_reserve(self->fd, self->space.id,
					BASE + 2 * i * PG, PG));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	ASSERT_EQ(0, model_detach(&self->dev));
	for (i = 0; i < 3; i++) {
		at = BASE + 2 * (2499 - i * 1200) * PG + PG;
		ASSERT_EQ(0, ia_map(self->fd, self->space.id, at, self->mem,
				    PG));
		attach = (struct ioasid_device_attach) {
			.argsz = sizeof(attach),
			.ioasid = self->space.id,
		};
		EXPECT_EQ(-EADDRINUSE, ia_cmd(self->dev.fd,
					      VFIO_DEVICE_ATTACH_IOASID,
					      &attach));
		EXPECT_EQ(at, attach.fault_addr);
	}
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->space.id, NULL));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_EQ(0, model_detach(&self->dev));
}

/* Devices without isolated interrupts need the administrator's consent. */
TEST_F(describe, unsafe_interrupts)
{
	PLUG(dev, .flags = MODEL_NO_ISOLATED_MSI);
	if (hw_write_file(UNSAFE, "N"))
		SKIP(return, "no such parameter");
	EXPECT_EQ(-EPERM, model_bind(&self->dev));
	ASSERT_EQ(0, hw_write_file(UNSAFE, "Y"));
	EXPECT_EQ(0, model_bind(&self->dev));
	ASSERT_EQ(0, hw_write_file(UNSAFE, "N"));
}

/* A coherent IOASID needs devices whose IOMMU can enforce that. */
TEST_F(describe, snoop)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.kind = IOASID_KIND_MAP,
		.snoop = IOASID_SNOOP_ON,
	};
	struct ia_state before, after;
	const char *diff;

	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_ALLOC, &cmd));
	self->space.id = cmd.ioasid;
	PLUG(dev, .unit = 6, .flags = MODEL_ENFORCE_COHERENCY);
	PLUG(other, .unit = 6);
	EXPECT_EQ(IOASID_SNOOP_ON, info_of(self->fd, cmd.ioasid).snoop);
	ASSERT_EQ(0, model_bind(&self->other));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	EXPECT_EQ(-EMEDIUMTYPE, model_attach(&self->other, &self->space));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff) TH_LOG("%s", diff);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_EQ(-EMEDIUMTYPE, model_attach(&self->other, &self->space));
	EXPECT_EQ(1, info_of(self->fd, cmd.ioasid).nr_devices);
}

/* A bound device cannot be bound to another context; after unbind it can. */
TEST_F(describe, one_owner)
{
	int other = ia_open(), file;
	__u32 devid;

	ASSERT_LE(0, other);
	PLUG(dev, .unit = 3);
	ASSERT_EQ(0, model_bind(&self->dev));
	file = model_open_cdev(&self->dev);
	ASSERT_LE(0, file);
	EXPECT_EQ(-EBUSY, hw_bind(file, other, 1, &devid));
	EXPECT_EQ(-EBUSY, hw_bind(file, self->fd, 1, &devid));
	model_release(&self->dev);
	EXPECT_EQ(0, hw_bind(file, other, 1, &devid));
	close(file);
	close(other);
}

/* fdinfo and GET_INFO of an IOASID agree. */
TEST_F(describe, fdinfo)
{
	unsigned long long n[10], lines = 0;
	struct ioasid_info info;
	char path[64], line[512], state[32];
	__u32 child, imported;
	__u64 there = BASE;
	int export;
	FILE *f;

	PLUG(dev, .unit = 4);
	ASSERT_EQ(0, ia_map(self->fd, self->space.id, ROOT_BASE, self->mem,
			    4 * PG));
	ASSERT_EQ(0, ia_reserve(self->fd, self->space.id, 2 * BASE, PG));
	ASSERT_EQ(0, ia_child(self->fd, self->space.id, 0, &child));
	ASSERT_EQ(0, ia_map_ref(self->fd, child, there, ROOT_BASE, 3 * PG,
				IA_RW));
	ASSERT_EQ(0, ia_export(self->fd, self->space.id, IOASID_EXPORT_READ,
			       ROOT_BASE, 2 * PG, 5, &export));
	ASSERT_EQ(0, ia_import(self->fd, export, 0x55, &imported));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	EXPECT_EQ(4 * PG, ia_proc_field(path, "ioasid-charged"));
	EXPECT_EQ(4 * PG, ia_proc_field(path, "ioasid-pinned"));
	EXPECT_EQ(3, ia_proc_field(path, "ioasid-count"));
	f = fopen(path, "re");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line,
			   "ioasid: id=%llu kind=map parent=%llu cookie=%llx devices=%llu children=%llu mappings=%llu mapped=%llu pinned=%llu charged=%llu demand=%llu state=%31s",
			   &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6],
			   &n[7], &n[8], &n[9], state) == 11) {
			lines++;
			info = info_of(self->fd, n[0]);
			EXPECT_EQ(info.parent, n[1]);
			EXPECT_EQ(info.cookie, n[2]);
			EXPECT_EQ(info.nr_devices, n[3]);
			EXPECT_EQ(info.nr_children, n[4]);
			EXPECT_EQ(info.nr_mappings, n[5]);
			EXPECT_EQ(info.bytes_mapped, n[6]);
			EXPECT_EQ(info.bytes_pinned, n[7]);
			EXPECT_EQ(info.bytes_charged, n[8]);
			EXPECT_EQ(info.bytes_demand, n[9]);
			EXPECT_STREQ(info.nr_devices ? "attached" : "idle",
				     state);
		} else if (sscanf(line,
				  "ioasid: id=%llu kind=import cookie=%llx children=%llu length=%llu",
				  &n[0], &n[1], &n[2], &n[3]) == 4) {
			lines++;
			EXPECT_EQ(imported, n[0]);
			EXPECT_EQ(0x55, n[1]);
			EXPECT_EQ(0, n[2]);
			EXPECT_EQ(2 * PG, n[3]);
			EXPECT_NE(NULL, strstr(line, "permission=r mappings=0 max=5 state=valid"));
		}
	}
	fclose(f);
	EXPECT_EQ(3, lines);
	info = info_of(self->fd, self->space.id);
	EXPECT_EQ(2, info.nr_children);
	EXPECT_EQ(2, info.nr_mappings);
	EXPECT_EQ(4 * PG, info.bytes_mapped);
	EXPECT_EQ(4 * PG, info.bytes_pinned);
	EXPECT_EQ(0, info_of(self->fd, child).bytes_charged);
	EXPECT_EQ(3 * PG, info_of(self->fd, child).bytes_mapped);
	close(export);
}

/* Lists with elements of each size, also one that the kernel cannot fill. */
TEST_F(describe, names)
{
	static const __u32 sizes[] = { 32, 40, 96, 104, 256 };
	unsigned char zero[256] = {}, buf[8 * 256], *at;
	struct ioasid_list list = { .argsz = sizeof(list) };
	struct ioasid_list_entry shorts[8];
	struct ioasid_list_long_entry entry;
	unsigned int i, k, named;
	__u32 nr;

	PLUG(dev, .unit = 6);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	nr = ARRAY_SIZE(shorts);
	ASSERT_EQ(0, ia_list(self->fd, 0, shorts, &nr));
	ASSERT_EQ(3, nr);	/* IOASID, device, attachment */
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(buf, 0xa5, sizeof(buf));
		list.nr = 8;
		list.entries = IA_PTR(buf);
		list.entry_size = sizes[i];
		ASSERT_EQ(0, ia_cmd(self->fd, IOASID_LIST, &list));
		ASSERT_EQ(nr, list.nr);
		for (k = 0, named = 0; k < nr; k++) {
			at = buf + k * sizes[i];
			memset(&entry, 0, sizeof(entry));
			memcpy(&entry, at, sizes[i] < sizeof(entry) ? sizes[i] :
			       sizeof(entry));
			EXPECT_EQ(0, memcmp(&entry.entry, &shorts[k],
					    sizeof(shorts[k])));
			if (entry.entry.type == IOASID_LIST_IOASID ||
			    sizes[i] == 32) {
				EXPECT_EQ(0, memcmp(entry.name, zero,
						    sizeof(entry.name)));
			} else {
				named++;
				EXPECT_EQ(0, strncmp(self->dev.name, entry.name,
						     sizes[i] - 32));
			}
			if (sizes[i] > sizeof(entry))
				EXPECT_EQ(0, memcmp(at + sizeof(entry), zero,
						    sizes[i] - sizeof(entry)));
		}
		EXPECT_EQ(sizes[i] == 32 ? 0 : 2, named);
		EXPECT_EQ(0xa5, buf[nr * sizes[i]]);
	}
}

static int file_id(int file, int ctx, struct ioasid_device_get_id *id)
{
	*id = (struct ioasid_device_get_id) {
		.argsz = sizeof(*id),
		.ioasid_fd = ctx,
	};
	return ia_cmd(file, IOASID_DEVICE_GET_ID, id);
}

/* A device file tells its id, and whether it is bound to a context. */
TEST_F(describe, id_of_file)
{
	int software = mock_load() ? -1 : mock_open(0);
	struct ioasid_device_get_id id;
	int other = ia_open();
	__u32 devid;

	ASSERT_LE(0, other);
	PLUG(dev, .unit = 7);
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	ASSERT_EQ(0, file_id(self->dev.fd, -1, &id));
	EXPECT_EQ(self->dev.devid, id.devid);
	ASSERT_EQ(0, file_id(self->dev.fd, self->fd, &id));
	EXPECT_EQ(self->dev.devid, id.devid);
	EXPECT_EQ(-EXDEV, file_id(self->dev.fd, other, &id));
	EXPECT_EQ(0, id.devid);
	EXPECT_EQ(-EBADF, file_id(self->dev.fd, self->dev.fd, &id));
	EXPECT_EQ(-EBADF, file_id(self->dev.fd, -2, &id));
	id.ioasid_fd = -1;
	id.flags = 1;
	EXPECT_EQ(-EOPNOTSUPP, ia_cmd(self->dev.fd, IOASID_DEVICE_GET_ID, &id));
	id.flags = 0;
	id.argsz = sizeof(id) - 1;
	EXPECT_EQ(-EINVAL, ia_cmd(self->dev.fd, IOASID_DEVICE_GET_ID, &id));
	EXPECT_EQ(-EFAULT, ia_cmd(self->dev.fd, IOASID_DEVICE_GET_ID,
				  (void *)8));
	/* not a command of the context */
	id.argsz = sizeof(id);
	EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, IOASID_DEVICE_GET_ID, &id));
	if (software >= 0) {
		EXPECT_EQ(-EINVAL, file_id(software, -1, &id));
		ASSERT_EQ(0, hw_bind(software, other, 0xc0de, &devid));
		ASSERT_EQ(0, file_id(software, other, &id));
		EXPECT_EQ(devid, id.devid);
		EXPECT_EQ(0xc0de, id.cookie);
		EXPECT_EQ(-EXDEV, file_id(software, self->fd, &id));
		close(software);
	}
	close(other);
}

/* Detach an emulated device, with the id of its IOASID or with any id. */
TEST_F(describe, detach_by_id)
{
	int software = mock_load() ? -1 : mock_open(0);
	__u32 devid, other;

	if (software < 0)
		SKIP(return, "no emulated devices");
	PLUG(dev, .unit = 5);
	ASSERT_EQ(0, ia_alloc(self->fd, &other));
	ASSERT_EQ(0, hw_bind(software, self->fd, 1, &devid));
	EXPECT_EQ(-ENOENT, hw_detach(software, 0));
	ASSERT_EQ(0, hw_attach(software, self->space.id));
	ASSERT_EQ(0, hw_attach(software, self->space.id));
	EXPECT_EQ(1, info_of(self->fd, self->space.id).nr_devices);
	EXPECT_EQ(-ENOENT, hw_detach(software, other));
	ASSERT_EQ(0, hw_detach(software, self->space.id));
	ASSERT_EQ(0, hw_attach(software, other));
	EXPECT_EQ(0, info_of(self->fd, self->space.id).nr_devices);
	ASSERT_EQ(0, hw_detach(software, 0));
	ASSERT_EQ(0, model_attach(&self->dev, &self->space));
	EXPECT_EQ(-ENOENT, hw_detach(self->dev.fd, other));
	EXPECT_EQ(0, hw_detach(self->dev.fd, self->space.id));
	EXPECT_EQ(0, ia_free(self->fd, self->space.id));
	EXPECT_EQ(0, ia_free(self->fd, other));
	close(software);
}

TEST_HARNESS_MAIN
