/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VFIO's container commands, by each way in turn and in the same boot:
 *
 *	type1		/dev/vfio/vfio, served by vfio_iommu_type1
 *	file		the file of /dev/ioasid, given to groups as a container
 *	back end	/dev/vfio/vfio, served by vfio_iommu_ioasid as type 1
 *	by number	the same, asked for by IOASID_VFIO_IOMMU
 *
 * Each call of a list makes a line with its result; the others must have the lines
 * of type1.  Documentation/userspace-api/ioasid.rst lists the differences and their
 * reasons; a DIFFERS() probe has the result of the others there.
 *
 * An edu device is the witness of what is mapped.
 */
#ifndef __SELFTESTS_IOASID_HW_CONTAINER_H
#define __SELFTESTS_IOASID_HW_CONTAINER_H

#include <stdarg.h>

#include "dut.h"
#include "fault.h"
#include "ioasid_test.h"

#define PARAMETER "/sys/module/vfio_iommu_ioasid/parameters/type1"

/* Where tests map, in pages */
#define BASE 0x100000000ULL
#define AT(page) (BASE + (page) * 4096ULL)

/* Two pages that the device always reaches, and what they are for */
#define BLANK (BASE - 0x10000)
#define SINK (BASE - 0x8000)

enum way { TYPE1, FILE_WAY, BACK_END, NUMBER, NR_WAYS };

static const char * const way_names[] = {
	"type1", "file", "back end", "by number",
};

/* ---- Lines ---- */

#define MAX_LINES 4096
#define LINE 120

static struct lines {
	char text[MAX_LINES][LINE];
	int nr;
} expected, got;

/* Where the way that is under way writes its lines */
static struct lines *now;
static enum way way;

static inline __attribute__((format(printf, 1, 2)))
void say(const char *format, ...)
{
	va_list args;

	if (now->nr == MAX_LINES) {
		ksft_print_msg("too many lines\n");
		exit(KSFT_FAIL);
	}
	va_start(args, format);
	vsnprintf(now->text[now->nr++], LINE, format, args);
	va_end(args);
}

static const char *outcome(long rc)
{
	static char buf[32];

	if (rc < 0)
		return strerrorname_np(-rc) ?: "?";
	snprintf(buf, sizeof(buf), "%ld", rc);
	return buf;
}

static inline long probe(const char *what, long rc)
{
	say("%s = %s", what, outcome(rc));
	return rc;
}

/* Type1 returns what it returns, the others @other: then both lines are equal */
static inline long probe_differs(const char *what, long rc, long other)
{
	if (way == TYPE1)
		say("%s = (another)", what);
	else if (rc == other)
		say("%s = (another)", what);
	else
		probe(what, rc);
	return rc;
}

#define RC(call) probe(#call, (call))
#define DIFFERS(call, other) probe_differs(#call, (call), (other))

static inline int compare(void)
{
	int i, bad = 0;

	for (i = 0; i < expected.nr || i < got.nr; i++) {
		const char *a = i < expected.nr ? expected.text[i] : "(none)";
		const char *b = i < got.nr ? got.text[i] : "(none)";

		if (strcmp(a, b) && ++bad <= 12)
			ksft_print_msg("%s, line %d: %s; type1: %s\n",
				       way_names[way], i + 1, b, a);
	}
	return bad;
}

/* ---- Calls ---- */

static inline int cmd(int fd, unsigned long command, void *arg)
{
	int rc = ioctl(fd, command, arg);

	return rc < 0 ? -errno : rc;
}

static inline int open_container(void)
{
	int fd;

	if (way != FILE_WAY && access(PARAMETER, F_OK) == 0 &&
	    hw_write_file(PARAMETER, way == BACK_END ? "1" : "0"))
		return -EPERM;
	fd = open(way == FILE_WAY ? IA_NODE : "/dev/vfio/vfio",
		  O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static inline int extension(int fd, unsigned long which)
{
	return cmd(fd, VFIO_CHECK_EXTENSION, (void *)which);
}

static inline int set_iommu(int fd, unsigned long type)
{
	if (way == NUMBER && type == VFIO_TYPE1v2_IOMMU)
		type = IOASID_VFIO_IOMMU;
	return cmd(fd, VFIO_SET_IOMMU, (void *)type);
}

static inline int unset(int group)
{
	return cmd(group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

static inline int status(int group)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };
	int rc = cmd(group, VFIO_GROUP_GET_STATUS, &arg);

	return rc ?: (int)arg.flags;
}

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static inline int map_full(int fd, __u32 argsz, __u32 flags, __u64 vaddr,
			   __u64 iova, __u64 size)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = argsz,
		.flags = flags,
		.vaddr = vaddr,
		.iova = iova,
		.size = size,
	};

	return cmd(fd, VFIO_IOMMU_MAP_DMA, &arg);
}

static inline int map(int fd, const void *p, __u64 iova, __u64 size)
{
	return map_full(fd, sizeof(struct vfio_iommu_type1_dma_map), RW,
			(uintptr_t)p, iova, size);
}

/* The bytes that were unmapped */
static inline long long unmap_full(int fd, __u32 argsz, __u32 flags,
				   __u64 iova, __u64 size)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = argsz,
		.flags = flags,
		.iova = iova,
		.size = size,
	};
	int rc = cmd(fd, VFIO_IOMMU_UNMAP_DMA, &arg);

	/* A command that fails leaves the structure as it was */
	if (rc && arg.size != size)
		return -ENOTRECOVERABLE;
	return rc ?: (long long)arg.size;
}

static inline long long unmap(int fd, __u64 iova, __u64 size)
{
	return unmap_full(fd, sizeof(struct vfio_iommu_type1_dma_unmap), 0,
			  iova, size);
}

static inline long long unmap_all(int fd)
{
	return unmap_full(fd, sizeof(struct vfio_iommu_type1_dma_unmap),
			  VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
}

static inline int dirty(int fd, __u32 argsz, __u32 flags)
{
	struct vfio_iommu_type1_dirty_bitmap arg = {
		.argsz = argsz,
		.flags = flags,
	};

	return cmd(fd, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

/* Does the kernel serve this container by /dev/ioasid? */
static inline bool is_ioasid(int fd)
{
	return ia_check(fd, IOASID_EXT_MAP) == 1;
}

static inline int designated(int fd)
{
	struct ioasid_vfio_ioasid arg = { .argsz = sizeof(arg) };
	int rc = cmd(fd, IOASID_VFIO_IOASID, &arg);

	return rc ?: (int)arg.ioasid;
}

static inline int designate(int fd, __u32 id)
{
	struct ioasid_vfio_ioasid arg = {
		.argsz = sizeof(arg),
		.flags = IOASID_VFIO_IOASID_SET,
		.ioasid = id,
	};

	return cmd(fd, IOASID_VFIO_IOASID, &arg);
}

static inline int attach_group(int fd, int group, __u32 id)
{
	struct ioasid_vfio_attach_group arg = {
		.argsz = sizeof(arg),
		.group_fd = group,
		.ioasid = id,
	};

	return cmd(fd, IOASID_VFIO_ATTACH_GROUP, &arg);
}

static inline int detach_group(int fd, int group, __u32 id)
{
	struct ioasid_vfio_detach_group arg = {
		.argsz = sizeof(arg),
		.group_fd = group,
		.ioasid = id,
	};

	return cmd(fd, IOASID_VFIO_DETACH_GROUP, &arg);
}

static inline int bind_group(int fd, int group, int ioasid_fd, __u32 *devid)
{
	struct ioasid_vfio_bind_group arg = {
		.argsz = sizeof(arg),
		.group_fd = group,
		.ioasid_fd = ioasid_fd,
		.cookie = 0xc0,
	};
	int rc = cmd(fd, IOASID_VFIO_BIND_GROUP, &arg);

	if (!rc && devid)
		*devid = arg.devid;
	return rc;
}

struct info_buffer {
	struct vfio_iommu_type1_info info;
	char caps[4096];
};

/* ---- Devices: an edu in a group of its own, and any of another group ---- */

static char names[2][HW_NAME];
#define A names[0]
#define C names[1]

/* Some have a group only once they have been taken */
static inline bool take_with_group(const char *name)
{
	return !hw_take(name) && hw_group(name) >= 0;
}

static inline int find_devices(void)
{
	char edu[8][HW_NAME], nvme[1][HW_NAME];
	int i, n = hw_find(&hw_edu, edu, 8);
	bool has_a = false, has_c = false;

	/* Those behind the bridge share a group, or have none */
	for (i = 0; i < n; i++) {
		if (!take_with_group(edu[i]))
			continue;
		if (!strncmp(edu[i], "0000:00:", 8)) {
			memcpy(C, edu[i], HW_NAME);
			has_c = true;
		} else {
			memcpy(A, edu[i], HW_NAME);
			has_a = true;
		}
	}
	if (!has_a && hw_find(&hw_nvme, nvme, 1) && take_with_group(nvme[0])) {
		memcpy(A, nvme[0], HW_NAME);
		has_a = true;
	}
	return has_a && has_c ? 0 : -ENOENT;
}

/* A container with the device C */
struct box {
	int fd;
	int group;
	int device;
	struct edu edu;
	/* the pages that the device always reaches */
	char *blank;
	char *sink;
};

static inline void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void box_close(struct box *box)
{
	edu_close(&box->edu);
	shut(&box->device);
	shut(&box->group);
	shut(&box->fd);
	if (box->blank)
		munmap(box->blank, 8192);
	box->blank = NULL;
}

static inline int box_open(struct box *box, unsigned long type)
{
	bool ioasid;
	int rc;

	memset(box, 0, sizeof(*box));
	box->device = -1;
	box->group = hw_open_group(C);
	box->fd = open_container();
	if (box->fd < 0 || box->group < 0)
		return -ENODEV;
	rc = hw_set_container(box->group, box->fd);
	if (!rc)
		rc = set_iommu(box->fd, type);
	ioasid = way != TYPE1;
	if (!rc && is_ioasid(box->fd) != ioasid)
		rc = -EMEDIUMTYPE;
	if (rc)
		return rc;
	box->device = hw_group_device(box->group, C);
	if (box->device < 0)
		return box->device;
	box->blank = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (box->blank == MAP_FAILED)
		return -ENOMEM;
	box->sink = box->blank + 4096;
	memset(box->blank, 0x5a, 4096);
	rc = map(box->fd, box->blank, BLANK, 4096);
	if (!rc)
		rc = map(box->fd, box->sink, SINK, 4096);
	if (!rc)
		rc = edu_open(&box->edu, box->device);
	return rc;
}

/* Have the device read at an IOVA, and say which word it reads, if any */
static inline void say_dma(struct box *box, __u64 iova, const char *what)
{
	__u32 word;
	int rc;

	memset(box->sink, 0, 8);
	rc = edu_load(&box->edu, BLANK, 0, 4) ?:
	     edu_load(&box->edu, iova, 0, 4) ?:
	     edu_store(&box->edu, SINK, 0, 4);
	memcpy(&word, box->sink, sizeof(word));
	if (rc)
		say("%s: dma %s", what, outcome(rc));
	else if (word >> 16 == 0xda7a)
		say("%s: dma reads %#x", what, word);
	else
		say("%s: dma reads nothing", what);
}

/* Say all that GET_INFO tells, but for the sizes and counts that differ */
static inline void say_info(int fd)
{
	struct vfio_iommu_type1_info_cap_iova_range *ranges;
	struct info_buffer buf = { .info.argsz = sizeof(buf) };
	struct vfio_info_cap_header *cap;
	unsigned int at, i, mig = 0, avail = 0;
	int rc = cmd(fd, VFIO_IOMMU_GET_INFO, &buf);

	say("info = %d, flags %x, sizes %llx, argsz %d, first at %u", rc,
	    buf.info.flags, buf.info.iova_pgsizes,
	    buf.info.argsz == sizeof(buf), buf.info.cap_offset);
	for (at = buf.info.cap_offset; at; at = cap->next) {
		cap = (void *)&buf + at;
		if (at % 8 || at > sizeof(buf)) {
			say("capability at %u", at);
			break;
		}
		switch (cap->id) {
		case VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION:
			mig++;
			break;
		case VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL:
			avail += cap->version;
			break;
		case VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE:
			ranges = (void *)cap;
			say("ranges: version %u, %u", cap->version,
			    ranges->nr_iovas);
			for (i = 0; i < ranges->nr_iovas; i++)
				say("range %llx..%llx",
				    ranges->iova_ranges[i].start,
				    ranges->iova_ranges[i].end);
			break;
		default:
			say("capability %u", cap->id);
		}
	}
	say("available: %u", avail);
	say("migration: %u", mig);
}

/* ---- By all ways ---- */

FIXTURE(container)
{
	char *mem;
};

#define PAGES 1024

FIXTURE_SETUP(container)
{
	int i, fd;

	if (system("modprobe -q vfio_iommu_ioasid"))
		SKIP(return, "no vfio_iommu_ioasid");
	fd = ia_open();
	if (fd == -ENOENT)
		SKIP(return, "no /dev/ioasid");
	ASSERT_LE(0, fd);
	close(fd);
	if (find_devices())
		SKIP(return, "no edu and another device behind an IOMMU");
	self->mem = mmap(NULL, PAGES * 4096UL, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	for (i = 0; i < PAGES; i++)
		*(__u32 *)(self->mem + i * 4096UL) = 0xda7a0000 | i;
}

FIXTURE_TEARDOWN(container)
{
	hw_write_file(PARAMETER, "0");
}

/* A VFIO without our patches knows the file for none of its own */
static inline bool file_is_container(void)
{
	int fd = open(IA_NODE, O_RDWR | O_CLOEXEC);
	int group = hw_open_group(C);
	bool is = hw_set_container(group, fd) != -EBADFD;

	shut(&group);
	shut(&fd);
	return is;
}

typedef int (*list_fn)(char *mem, unsigned long type);

/* Run a list by each way; how many lines differ from those of type1 */
static inline int by_all_ways(list_fn list, char *mem, unsigned long type)
{
	int bad = 0, rc;

	for (way = TYPE1; way < NR_WAYS; way++) {
		/* There is no number for version 1 */
		if (way == NUMBER && type == VFIO_TYPE1_IOMMU)
			continue;
		if (way == FILE_WAY && !file_is_container())
			continue;
		now = way == TYPE1 ? &expected : &got;
		now->nr = 0;
		rc = list(mem, type);
		if (rc) {
			ksft_print_msg("%s: %s\n", way_names[way],
				       outcome(rc));
			return -1;
		}
		if (!now->nr)
			return -1;
		if (way != TYPE1)
			bad += compare();
	}
	return bad;
}

#define SAME(list, type) \
	ASSERT_EQ(0, by_all_ways(list, self->mem, VFIO_##type##_IOMMU))

/* ---- Failures ---- */

/* One command that may fail, and the function that takes it back */
struct faulty {
	const char *name;
	int (*run)(struct box *box);
	int (*undo)(struct box *box);
};

/* Fail each allocation and copy of a command in turn */
static inline int fail_each(const struct faulty *of, struct box *box,
			    int fail_nth)
{
	unsigned int nth, errors = 0;
	int rc, failed;

	for (nth = 1; nth < MAX_FAILURES; nth++) {
		if (!arm(fail_nth, nth))
			return -EIO;
		rc = of->run(box);
		failed = disarm(fail_nth);
		if (failed < 0)
			return -EIO;
		if (!failed)
			break;
		if (rc) {
			errors++;
			if (rc != -ENOMEM && rc != -EFAULT) {
				ksft_print_msg("%s, failure %u: %s\n",
					       of->name, nth, outcome(rc));
				return rc;
			}
			/* Nothing has happened: it can be done as before */
			rc = of->run(box);
			if (rc)
				return rc;
		}
		rc = of->undo(box);
		if (rc)
			return rc;
	}
	ksft_print_msg("%s, %s: %u failures, %u errors\n", way_names[way],
		       of->name, nth - 1, errors);
	return rc ?: nth == MAX_FAILURES;
}

#endif /* __SELFTESTS_IOASID_HW_CONTAINER_H */
