// SPDX-License-Identifier: GPL-2.0-only
/*
 * Features that containers have on /dev/ioasid alone: commands of both sorts on
 * one file, more mappings than type1 permits, and a library by which programs need
 * not know the ways.
 */
#include "hw_container.h"
#include "libioasid.h"

/* ---- On /dev/ioasid alone ---- */

/* Old and new commands on one file */
TEST_F_TIMEOUT(container, mixed, 300)
{
	struct ioasid_info info;
	struct box box;
	__u64 iova, got;
	__u32 root, child, other;
	int fd;

	for (way = FILE_WAY; way < NR_WAYS; way++) {
		if (way == FILE_WAY && !file_is_container())
			continue;
		now = &expected;
		now->nr = 0;
		ASSERT_EQ(0, box_open(&box, VFIO_TYPE1v2_IOMMU))
			TH_LOG("%s", way_names[way]);
		root = designated(box.fd);
		ASSERT_LT(0, (int)root);
		ASSERT_EQ(0, map(box.fd, self->mem, AT(0), 8 * 4096));
		ASSERT_EQ(0, ia_info(box.fd, root, &info));
		ASSERT_EQ(10 * 4096, info.bytes_mapped);
		ASSERT_EQ(1, !!(info.state & IOASID_STATE_ATTACHED));

		/* A child of it, to which the device moves */
		struct ioasid_alloc alloc = {
			.argsz = sizeof(alloc),
			.kind = IOASID_KIND_MAP,
			.parent = root,
		};
		ASSERT_EQ(0, ia_cmd(box.fd, IOASID_ALLOC, &alloc));
		child = alloc.ioasid;
		iova = BLANK;
		ASSERT_EQ(0, ia_map(box.fd, child, iova, (void *)BLANK, 4096));
		ASSERT_EQ(0, ia_map(box.fd, child, SINK, (void *)SINK, 4096));
		ASSERT_EQ(0, ia_map(box.fd, child, AT(100), (void *)AT(3),
				    4096));
		if (way == FILE_WAY) {
			ASSERT_EQ(-ENOTTY, attach_group(box.fd, box.group,
							child));
			ASSERT_EQ(0, hw_attach(box.device, child));
		} else {
			ASSERT_EQ(-EBADF, attach_group(box.fd, -1, child));
			ASSERT_EQ(-EBADF, attach_group(box.fd, box.fd, child));
			ASSERT_EQ(-ENOENT, attach_group(box.fd, box.group, 0));
			ASSERT_EQ(-ENOENT, detach_group(box.fd, box.group,
							child));
			ASSERT_EQ(0, attach_group(box.fd, box.group, child));
			fd = ia_open();
			ASSERT_EQ(-EBUSY, bind_group(box.fd, box.group, fd,
						     NULL));
			close(fd);
		}
		say_dma(&box, AT(100), "child");
		ASSERT_STREQ("child: dma reads 0xda7a0003", now->text[0]);
		say_dma(&box, AT(3), "child");
		ASSERT_STREQ("child: dma reads nothing", now->text[1]);

		/* An old command cannot unmap memory that it refers to */
		ASSERT_EQ(-EBUSY, unmap(box.fd, AT(0), 8 * 4096));
		ASSERT_EQ(-EBUSY, unmap(box.fd, SINK, 4096));
		ASSERT_EQ(-EOPNOTSUPP, designate(box.fd, child));
		ASSERT_EQ(-ENOENT, designate(box.fd, 0));

		/* Another root takes the old commands */
		ASSERT_EQ(0, ia_alloc(box.fd, &other));
		ASSERT_EQ(0, designate(box.fd, other));
		ASSERT_EQ(other, designated(box.fd));
		ASSERT_EQ(0, map(box.fd, self->mem, AT(0), 4096));
		ASSERT_EQ(4096, unmap_all(box.fd));
		ASSERT_EQ(0, designate(box.fd, root));
		if (way == FILE_WAY) {
			/* The group as a whole stays where it is */
			ASSERT_EQ(0, hw_detach(box.device, 0));
			ASSERT_EQ(-EBUSY, ia_free(box.fd, child));
			ASSERT_EQ(0, hw_attach(box.device, child));
			ASSERT_EQ(0, hw_attach(box.device, root));
		} else {
			ASSERT_EQ(0, detach_group(box.fd, box.group, child));
			ASSERT_EQ(-ENOENT, detach_group(box.fd, box.group, 0));
		}
		ASSERT_EQ(0, ia_unmap_all(box.fd, child, &got));
		ASSERT_EQ(0, ia_free(box.fd, child));
		ASSERT_EQ(10 * 4096, unmap_all(box.fd));
		box_close(&box);
	}
}

/* More mappings than type1 has */
TEST_F_TIMEOUT(container, many, 600)
{
	struct box box;
	int i;

	for (way = FILE_WAY; way <= BACK_END; way++) {
		if (way == FILE_WAY && !file_is_container())
			continue;
		now = &expected;
		now->nr = 0;
		ASSERT_EQ(0, box_open(&box, VFIO_TYPE1v2_IOMMU));
		for (i = 0; i < 66000; i++)
			ASSERT_EQ(0, map(box.fd, self->mem + i % PAGES * 4096,
					 AT(i), 4096));
		say_dma(&box, AT(65999), "last");
		ASSERT_STREQ("last: dma reads 0xda7a01cf", now->text[0]);
		ASSERT_EQ(66002 * 4096, unmap_all(box.fd));
		box_close(&box);
	}
}

/* The library hides which way the machine has */
static int by_library(char *mem, int (*open_device)(int, const char *, __u64,
						    struct ioasid_device *))
{
	struct ioasid_device dev;
	struct box box = {};
	__u32 id, other;
	__u64 iova;
	int fd, rc;

	fd = ioasid_open();
	if (fd < 0)
		return fd;
	box.blank = ia_mem(8192);
	box.sink = box.blank + 4096;
	memset(box.blank, 0x5a, 4096);
	rc = ioasid_alloc(fd, 0, &id) ?: ioasid_alloc(fd, 0, &other) ?:
	     ia_map(fd, id, BLANK, box.blank, 4096) ?:
	     ia_map(fd, id, SINK, box.sink, 4096) ?:
	     ioasid_map(fd, id, mem, 4096, IA_RW, &iova) ?:
	     open_device(fd, C, 0xcafe, &dev);
	if (rc)
		goto out;
	rc = (dev.id ? 0 : -EIO) ?: ioasid_device_attach(&dev, other) ?:
	     ioasid_device_attach(&dev, id) ?: edu_open(&box.edu, dev.fd);
	if (!rc) {
		say_dma(&box, iova, "library");
		rc = ioasid_device_attach(&dev, 12345) != -ENOENT;
		rc = rc ?: ioasid_device_detach(&dev);
		rc = rc ?: ioasid_device_detach(&dev) != -ENOENT;
		say_dma(&box, iova, "library");
	}
	edu_close(&box.edu);
	ioasid_device_close(&dev);
	rc = rc ?: ioasid_free(fd, id);
out:
	close(fd);
	munmap(box.blank, 8192);
	return rc;
}

TEST_F_TIMEOUT(container, library, 300)
{
	int i;

	way = NUMBER;
	now = &expected;
	now->nr = 0;
	ASSERT_EQ(0, by_library(self->mem, ioasid_device_open));
	ASSERT_EQ(0, by_library(self->mem, ioasid_device_open_group));
	ASSERT_EQ(0, by_library(self->mem, ioasid_device_open_container));
	ASSERT_EQ(6, now->nr);
	for (i = 0; i < 6; i += 2) {
		ASSERT_STREQ("library: dma reads 0xda7a0000", now->text[i]);
		ASSERT_STREQ("library: dma reads nothing", now->text[i + 1]);
	}
}

TEST_HARNESS_MAIN
