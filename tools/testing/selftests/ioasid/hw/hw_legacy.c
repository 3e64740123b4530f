// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users of VFIO without /dev/ioasid: containers, iommufd by its own commands
 * and in the place of a container, emulated devices, devices without an IOMMU,
 * hot resets. Each probed call makes a line with its result, and the lines of a
 * test are compared with those of the same kernel without the patches to VFIO,
 * which are in hw_legacy.txt.
 *
 * scripts/record-legacy writes that file: it has such a kernel run this program
 * with IOASID_RECORD=1, which prints the lines and compares nothing.
 *
 * The file of /dev/ioasid must give the same lines in the place of a container.
 *
 * Documented changes of the patches are SAID() probes: the file has the old
 * result, and the program has the new one.
 *
 * Longer than 900 lines: scripts/record-legacy runs one program, the walks make
 * the calls that the other tests make, and no other program makes them.
 */
#include <linux/iommufd.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "ioasid_test.h"
#include "dut.h"
#include "hw_legacy.h"
#include "mdev.h"

#define MAX_LINES	4096
#define LINE		128

static char lines[MAX_LINES][LINE];
static int nr_lines;

/* Documented differences: the new result of the line. */
static const char *said[MAX_LINES];

static char *add_line(const char *what)
{
	char *line = lines[nr_lines];

	if (nr_lines == MAX_LINES - 1) {
		ksft_print_msg("too many lines\n");
		exit(KSFT_FAIL);
	}
	snprintf(line, LINE - 32, "%s", what);
	nr_lines++;
	return line + strlen(line);
}

static const char *outcome(long rc)
{
	static char buf[32];

	if (rc >= 0)
		snprintf(buf, sizeof(buf), "%ld", rc);
	else
		snprintf(buf, sizeof(buf), "%s",
			 strerrorname_np(-rc) ?: "?");
	return buf;
}

static long probe(const char *what, long rc)
{
	sprintf(add_line(what), " = %s", outcome(rc));
	return rc;
}

/* A new file descriptor, or an errno. */
static int probe_fd(const char *what, int fd)
{
	probe(what, fd < 0 ? fd : 0);
	return fd;
}

static long probe_said(const char *what, long rc, const char *now)
{
	said[nr_lines] = now;
	return probe(what, rc);
}

#define RC(call)	probe(#call, (call))
#define FD(call)	probe_fd(#call, (call))
#define SAID(call, now)	probe_said(#call, (call), now)

/* ---- The calls ---- */

static int cmd(int fd, unsigned long command, void *arg)
{
	int rc = ioctl(fd, command, arg);

	return rc < 0 ? -errno : rc;
}

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The file of /dev/ioasid is in the place of a container */
static bool by_file;

static int container(void)
{
	return open_node(by_file ? IA_NODE : "/dev/vfio/vfio");
}

static int iommufd(void)
{
	return open_node("/dev/iommu");
}

static int set(int group, int fd)
{
	return hw_set_container(group, fd);
}

static int unset(int group)
{
	return cmd(group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

static int status(int group)
{
	struct vfio_group_status arg = { .argsz = sizeof(arg) };
	int rc = cmd(group, VFIO_GROUP_GET_STATUS, &arg);

	return rc ?: (int)arg.flags;
}

static int type1(int fd)
{
	return cmd(fd, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU);
}

static int noiommu(int fd)
{
	return cmd(fd, VFIO_SET_IOMMU, (void *)VFIO_NOIOMMU_IOMMU);
}

static int info(int device)
{
	struct vfio_device_info arg = { .argsz = sizeof(arg) };
	int rc = cmd(device, VFIO_DEVICE_GET_INFO, &arg);

	return rc ?: (int)arg.num_regions;
}

/*
 * With the file of /dev/ioasid a device can be opened before VFIO_SET_IOMMU, and
 * is of no use before it is bound: as if it had failed, where it does by a
 * container.
 */
static int get(int group, const char *name)
{
	int fd = hw_group_device(group, name);

	if (fd >= 0 && by_file && info(fd) == -EINVAL) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* The file stays open until the test ends. */
static int get_and_forget(int group, const char *name)
{
	int fd = get(group, name);

	return fd < 0 ? fd : 0;
}

static int bind_iommufd(int device, int fd)
{
	struct vfio_device_bind_iommufd arg = {
		.argsz = sizeof(arg),
		.iommufd = fd,
	};
	int rc = cmd(device, VFIO_DEVICE_BIND_IOMMUFD, &arg);

	return rc ?: (int)arg.out_devid;
}

static int bind_bad(int device, __u32 argsz, __u32 flags, int fd)
{
	struct vfio_device_bind_iommufd arg = {
		.argsz = argsz,
		.flags = flags,
		.iommufd = fd,
	};

	return cmd(device, VFIO_DEVICE_BIND_IOMMUFD, &arg);
}

static int bind_null(int device)
{
	return cmd(device, VFIO_DEVICE_BIND_IOMMUFD, NULL);
}

/* The id cannot be written. */
static int bind_read_only(int device, int fd)
{
	struct vfio_device_bind_iommufd *arg;
	int rc;

	arg = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arg == MAP_FAILED)
		return -errno;
	arg->argsz = sizeof(*arg);
	arg->iommufd = fd;
	mprotect(arg, 4096, PROT_READ);
	rc = cmd(device, VFIO_DEVICE_BIND_IOMMUFD, arg);
	munmap(arg, 4096);
	return rc;
}

static int ioas(int fd)
{
	struct iommu_ioas_alloc arg = { .size = sizeof(arg) };
	int rc = cmd(fd, IOMMU_IOAS_ALLOC, &arg);

	return rc ?: (int)arg.out_ioas_id;
}

static int attach_pt(int device, int id)
{
	struct vfio_device_attach_iommufd_pt arg = {
		.argsz = sizeof(arg),
		.pt_id = id,
	};
	int rc = cmd(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg);

	return rc ? rc : arg.pt_id != 0;
}

static int detach_pt(int device)
{
	struct vfio_device_detach_iommufd_pt arg = { .argsz = sizeof(arg) };

	return cmd(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &arg);
}

static int unknown(int device, unsigned int nr)
{
	return cmd(device, _IO(VFIO_TYPE, VFIO_BASE + nr), NULL);
}

static int config(int device)
{
	struct vfio_region_info arg = {
		.argsz = sizeof(arg),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	__u16 vendor;
	int rc;

	rc = cmd(device, VFIO_DEVICE_GET_REGION_INFO, &arg);
	if (rc)
		return rc;
	if (pread(device, &vendor, sizeof(vendor), arg.offset) != 2)
		return -errno;
	return vendor;
}

static int read_at(int device, __u64 offset)
{
	__u32 word;

	return pread(device, &word, sizeof(word), offset) < 0 ? -errno : 0;
}

static int write_nothing(int device)
{
	return pwrite(device, "", 0, 0) < 0 ? -errno : 0;
}

static int map_bar(int device)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, 0);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, 4096);
	return 0;
}

static int feature(int device, __u32 which)
{
	struct vfio_device_feature arg = {
		.argsz = sizeof(arg),
		.flags = which | VFIO_DEVICE_FEATURE_PROBE |
			 VFIO_DEVICE_FEATURE_SET,
	};

	return cmd(device, VFIO_DEVICE_FEATURE, &arg);
}

static int device_reset(int device)
{
	return cmd(device, VFIO_DEVICE_RESET, NULL);
}

static int hot_reset(int device)
{
	struct vfio_pci_hot_reset arg = { .argsz = sizeof(arg) };

	return cmd(device, VFIO_DEVICE_PCI_HOT_RESET, &arg);
}

static int hot_reset_by(int device, int fd)
{
	struct {
		struct vfio_pci_hot_reset head;
		__s32 fd;
	} arg = { { .argsz = sizeof(arg), .count = 1 }, fd };

	return cmd(device, VFIO_DEVICE_PCI_HOT_RESET, &arg);
}

/* Print a line for each device that a hot reset would reset, too. */
static int hot_reset_info(int device)
{
	struct {
		struct vfio_pci_hot_reset_info head;
		struct vfio_pci_dependent_device devices[32];
	} arg = { .head.argsz = sizeof(arg) };
	unsigned int i;
	char what[64];
	int rc;

	rc = cmd(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &arg);
	if (rc)
		return rc;
	for (i = 0; i < arg.head.count; i++) {
		/* group numbers differ from machine to machine */
		int id = arg.head.flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID ?
				 (int)arg.devices[i].devid :
				 arg.devices[i].group_id != 0;

		snprintf(what, sizeof(what), "    %02x:%02x.%x, flags %x",
			 arg.devices[i].bus, arg.devices[i].devfn >> 3,
			 arg.devices[i].devfn & 7, arg.head.flags);
		sprintf(add_line(what), ": %d", id);
	}
	return arg.head.count;
}

static int map(int fd, void *p, __u64 iova)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)p,
		.iova = iova,
		.size = 4096,
	};

	return cmd(fd, VFIO_IOMMU_MAP_DMA, &arg);
}

static int unmap(int fd, __u64 iova)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg),
		.iova = iova,
		.size = 4096,
	};

	return cmd(fd, VFIO_IOMMU_UNMAP_DMA, &arg);
}

/* ---- Devices: two of one iommu group, and one of another ---- */

static char names[3][HW_NAME];
#define A names[0]
#define B names[1]
#define C names[2]

static int find_devices(void)
{
	char found[8][HW_NAME];
	int i, n, alone = -1, pair = -1;

	n = hw_find(&hw_edu, found, 8);
	/* some have a group only then */
	for (i = 0; i < n; i++)
		if (hw_take(found[i]))
			return -ENODEV;
	for (i = 0; i < n; i++) {
		if (hw_group(found[i]) < 0)
			return -ENOENT;
		if (i + 1 < n && hw_group(found[i]) == hw_group(found[i + 1]))
			pair = i++;
		else
			alone = i;
	}
	if (pair < 0 || alone < 0)
		return -ENOENT;
	memcpy(A, found[pair], HW_NAME);
	memcpy(B, found[pair + 1], HW_NAME);
	memcpy(C, found[alone], HW_NAME);
	return 0;
}

static int open_device_group(const char *name)
{
	return hw_open_group(name);
}

static int cdev(const char *name)
{
	return hw_open_cdev(name);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* There are IOMMUs that iommufd attaches to nothing, with any kernel */
static bool iommufd_attaches(void)
{
	int fd = iommufd(), device = cdev(C);
	bool attaches = bind_iommufd(device, fd) >= 0 &&
			attach_pt(device, ioas(fd)) >= 0;

	shut(&device);
	shut(&fd);
	return attaches;
}

/* ---- The comparison ---- */

static bool recording(void)
{
	return getenv("IOASID_RECORD");
}

/* The lines of a test follow one that has its name in brackets. */
static const char *find_recorded(const char *test)
{
	char head[64];
	const char *at;

	snprintf(head, sizeof(head), "\n[%s]\n", test);
	at = strstr(recorded, head);
	return at ? at + strlen(head) : NULL;
}

/* The number of lines that differ. */
static int compare(const char *test)
{
	const char *at = find_recorded(test), *end;
	int i, bad = 0;

	if (recording()) {
		printf("@[%s]\n", test);
		for (i = 0; i < nr_lines; i++)
			printf("@%s\n", lines[i]);
		fflush(stdout);
		return 0;
	}
	if (!at) {
		ksft_print_msg("hw_legacy.txt has no [%s]\n", test);
		return 1;
	}
	for (i = 0; i < nr_lines; i++) {
		const char *is = lines[i];
		char now[LINE];

		end = strchr(at, '\n');
		if (*at == '[' || !end)
			break;
		if (said[i]) {
			/*
			 * the file has the old result, the kernel the new one
			 */
			snprintf(now, sizeof(now), "%.*s%s",
				 (int)(strstr(is, " = ") + 3 - is), is,
				 said[i]);
			if (!strcmp(now, is)) {
				at = end + 1;
				continue;
			}
		} else if (strlen(is) == (size_t)(end - at) &&
			   !strncmp(is, at, end - at)) {
			at = end + 1;
			continue;
		}
		if (++bad <= 10)
			ksft_print_msg("line %d: %s; it was %.*s\n", i + 1, is,
				       (int)(end - at), at);
		at = end + 1;
	}
	if (i < nr_lines || (*at && *at != '[' && *at != '\n')) {
		ksft_print_msg("%d lines, others were recorded\n", nr_lines);
		bad++;
	}
	return bad;
}

/* VFIO takes the file of /dev/ioasid for a container; A is a device */
static bool has_file(void)
{
	int fd = open_node(IA_NODE), group = hw_open_group(A);
	bool has = fd >= 0 && group >= 0 && set(group, fd) != -EBADFD;

	close(group);
	close(fd);
	return has;
}

FIXTURE(legacy)
{
	void *mem;
};

FIXTURE_VARIANT(legacy)
{
	bool by_file;
};

FIXTURE_VARIANT_ADD(legacy, vfio) { .by_file = false, };
FIXTURE_VARIANT_ADD(legacy, file) { .by_file = true, };

FIXTURE_SETUP(legacy)
{
	int fd;

	by_file = variant->by_file;
	if (by_file && recording())
		SKIP(return, "not to be recorded");
	if (by_file && (find_devices() || !has_file()))
		SKIP(return, "no device whose VFIO knows the file");
	self->mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	fd = container();
	if (fd < 0)
		SKIP(return, "no VFIO containers");
	close(fd);
	/* A kernel without it can still be recorded: scripts/test-deb does */
	fd = iommufd();
	if (fd < 0 && !recording())
		SKIP(return, "no /dev/iommu");
	if (fd >= 0)
		close(fd);
}

FIXTURE_TEARDOWN(legacy)
{
}

#define NO_PAIR "no three edu behind an IOMMU"
#define NO_IOMMUFD "iommufd cannot use this IOMMU"

#define COMPARE(test) ASSERT_EQ(0, compare(test))

TEST_F_TIMEOUT(legacy, container, 300)
{
	int c, c2, g, h, a, a2, b, d;

	if (find_devices())
		SKIP(return, NO_PAIR);
	c = FD(container());
	c2 = FD(container());
	g = FD(open_device_group(A));
	FD(open_device_group(A));
	FD(open_device_group(B));
	RC(status(g));
	FD(get(g, A));
	RC(unset(g));
	RC(type1(c));
	RC(set(g, c));
	RC(set(g, c));
	RC(set(g, c2));
	RC(status(g));
	FD(get(g, A));
	RC(type1(c));
	RC(type1(c));
	a = FD(get(g, A));
	a2 = FD(get(g, A));
	b = FD(get(g, B));
	FD(get(g, C));
	RC(info(a));
	RC(info(a2));
	RC(config(b));
	RC(map_bar(a));
	RC(write_nothing(a));
	RC(bind_iommufd(a, c));
	RC(attach_pt(a, 1));
	RC(detach_pt(a));
	RC(feature(a, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	RC(feature(a, VFIO_DEVICE_FEATURE_MIGRATION));
	RC(unknown(a, 30));
	RC(unknown(g, 30));
	RC(map(c, self->mem, 0x100000));
	RC(map(c, self->mem, 0x100000));
	RC(unmap(c, 0x100000));
	RC(unset(g));
	RC(hot_reset_info(a));
	RC(hot_reset(a));
	RC(hot_reset_by(a, g));
	RC(hot_reset_by(a, c));
	RC(device_reset(a));
	h = FD(open_device_group(C));
	RC(hot_reset_by(a, h));
	RC(set(h, c));
	RC(set(h, c2));
	d = FD(get(h, C));
	RC(hot_reset_info(d));
	RC(config(d));
	shut(&a);
	RC(info(a2));
	shut(&g);
	RC(info(a2));
	FD(open_device_group(A));
	shut(&a2);
	FD(open_device_group(A));
	shut(&b);
	g = FD(open_device_group(A));
	RC(set(g, c2));
	RC(type1(c2));
	a = FD(get(g, A));
	shut(&c2);
	RC(info(a));
	RC(unset(g));
	shut(&a);
	RC(unset(g));
	RC(unset(g));
	RC(set(g, c));
	RC(unset(h));
	shut(&d);
	RC(unset(h));
	shut(&h);
	shut(&g);
	COMPARE("container");
}

TEST_F_TIMEOUT(legacy, compat, 300)
{
	int c, i, i2, g, h, a, a2, b, d, e;

	if (find_devices())
		SKIP(return, NO_PAIR);
	if (!iommufd_attaches())
		SKIP(return, NO_IOMMUFD);
	c = FD(container());
	i = FD(iommufd());
	i2 = FD(iommufd());
	g = FD(open_device_group(A));
	RC(set(g, i));
	RC(set(g, i2));
	RC(set(g, c));
	RC(status(g));
	RC(type1(i));
	a = FD(get(g, A));
	a2 = FD(get(g, A));
	RC(info(a));
	RC(info(a2));
	RC(bind_iommufd(a, i));
	RC(attach_pt(a, 1));
	RC(detach_pt(a));
	RC(hot_reset_info(a));
	RC(hot_reset(a));
	RC(hot_reset_by(a, g));
	RC(map(i, self->mem, 0x100000));
	RC(unmap(i, 0x100000));
	/* the group goes, the device stays */
	RC(unset(g));
	RC(unset(g));
	FD(get(g, A));
	RC(info(a));
	RC(set(g, c));
	RC(status(g));
	/* another file of the same open device */
	RC(set(g, i2));
	e = FD(get(g, A));
	RC(info(e));
	RC(config(e));
	b = FD(get(g, B));
	RC(hot_reset_info(e));
	RC(hot_reset_by(e, g));
	shut(&a);
	RC(info(e));
	shut(&a2);
	RC(info(e));
	RC(unset(g));
	RC(set(g, i));
	a = FD(get(g, A));
	shut(&e);
	RC(info(a));
	shut(&b);
	shut(&a);
	/* now the group can use it again */
	a = FD(get(g, A));
	RC(info(a));
	shut(&g);
	RC(info(a));
	g = FD(open_device_group(A));
	RC(set(g, c));
	RC(set(g, i2));
	a2 = FD(get(g, A));
	shut(&i);
	shut(&a);
	RC(info(a2));
	shut(&a2);
	shut(&i2);
	RC(status(g));
	a = FD(get(g, A));
	RC(info(a));
	shut(&a);
	RC(unset(g));
	RC(set(g, c));
	RC(type1(c));
	a = FD(get(g, A));
	shut(&a);
	h = FD(open_device_group(C));
	i = FD(iommufd());
	RC(set(h, i));
	d = FD(get(h, C));
	RC(type1(i));
	RC(info(d));
	RC(hot_reset_info(d));
	RC(device_reset(d));
	shut(&d);
	shut(&h);
	shut(&g);
	COMPARE("compat");
}

TEST_F_TIMEOUT(legacy, cdev, 300)
{
	int c, i, i2, g, a, a2, b, d, null, pt, pt2;

	if (find_devices())
		SKIP(return, NO_PAIR);
	if (!iommufd_attaches())
		SKIP(return, NO_IOMMUFD);
	c = FD(container());
	i = FD(iommufd());
	i2 = FD(iommufd());
	null = FD(open_node("/dev/null"));
	pt = RC(ioas(i));
	pt2 = RC(ioas(i));
	a = FD(cdev(A));
	a2 = FD(cdev(A));
	b = FD(cdev(B));
	d = FD(cdev(C));
	RC(info(a));
	RC(hot_reset(a));
	RC(hot_reset_info(a));
	RC(read_at(a, 0));
	RC(write_nothing(a));
	RC(map_bar(a));
	RC(attach_pt(a, pt));
	RC(detach_pt(a));
	RC(unknown(a, 30));
	RC(bind_null(a));
	RC(bind_bad(a, 8, 0, i));
	RC(bind_bad(a, 16, 1, i));
	RC(bind_bad(a, 16, 0, -1));
	RC(bind_bad(a, 64, 0, 999));
	RC(bind_bad(a, 16, 0, 999));
	RC(bind_bad(a, 16, 0, null));
	RC(bind_bad(a, 16, 0, c));
	RC(bind_bad(a, 16, 0, a));
	RC(bind_read_only(a, i));
	RC(info(a));
	RC(bind_iommufd(a, i));
	RC(bind_iommufd(a, i));
	RC(bind_iommufd(a, i2));
	/* a file that is bound, and a file that is no iommufd */
	RC(bind_bad(a, 16, 0, 999));
	RC(bind_bad(a, 16, 0, null));
	RC(bind_bad(a, 8, 0, null));
	RC(bind_null(a));
	/* another file of the device */
	RC(bind_iommufd(a2, i));
	RC(bind_iommufd(a2, i2));
	RC(bind_bad(a2, 16, 0, 999));
	RC(bind_bad(a2, 16, 0, null));
	RC(info(a2));
	RC(read_at(a2, 0));
	RC(info(a));
	RC(config(a));
	RC(map_bar(a));
	RC(bind_iommufd(b, i2));
	RC(hot_reset_info(a));
	RC(hot_reset(a));
	RC(bind_iommufd(b, i));
	RC(hot_reset_info(a));
	RC(hot_reset(b));
	RC(hot_reset_by(a, i));
	RC(attach_pt(a, pt));
	RC(attach_pt(a, pt));
	RC(attach_pt(b, pt2));
	RC(attach_pt(b, pt));
	RC(attach_pt(a, 999));
	RC(attach_pt(a, 0));
	RC(detach_pt(a));
	RC(detach_pt(a));
	RC(attach_pt(a, pt2));
	RC(bind_iommufd(d, i2));
	RC(attach_pt(d, pt));
	RC(hot_reset_info(d));
	RC(feature(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	RC(unknown(d, 30));
	/* the group of a device that is bound */
	FD(open_device_group(A));
	FD(open_device_group(C));
	shut(&i);
	RC(info(a));
	shut(&a2);
	RC(info(a));
	shut(&a);
	FD(open_device_group(A));
	a = FD(cdev(A));
	i = FD(iommufd());
	RC(bind_iommufd(a, i));
	shut(&b);
	g = FD(open_device_group(A));
	RC(bind_iommufd(a, i));
	RC(bind_bad(a, 16, 0, 999));
	RC(bind_bad(a, 16, 0, null));
	RC(set(g, c));
	RC(type1(c));
	RC(bind_iommufd(a, i));
	b = FD(get(g, B));
	RC(bind_iommufd(b, i));
	RC(info(a));
	shut(&g);
	RC(bind_iommufd(a, i));
	shut(&b);
	RC(bind_iommufd(a, i));
	shut(&a);
	shut(&d);
	g = FD(open_device_group(A));
	shut(&g);
	COMPARE("cdev");
}

/* Files that are no context of any kind. */
TEST_F_TIMEOUT(legacy, unknown_files, 300)
{
	int g, a, pair[2], fd;

	if (find_devices())
		SKIP(return, NO_PAIR);
	g = FD(open_device_group(C));
	a = FD(cdev(C));
	RC(set(g, -1));
	RC(set(g, 999));
	RC(set(g, g));
	RC(set(g, a));
	ASSERT_EQ(0, pipe(pair));
	RC(set(g, pair[0]));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	RC(set(g, pair[0]));
	fd = eventfd(0, 0);
	RC(set(g, fd));
	fd = memfd_create("x", 0);
	RC(set(g, fd));
	fd = open("/", O_RDONLY | O_DIRECTORY);
	RC(set(g, fd));
	fd = open("/dev/null", O_RDWR);
	RC(set(g, fd));
	fd = open("/dev/zero", O_RDWR);
	RC(set(g, fd));
	fd = open("/dev/fuse", O_RDWR);
	RC(set(g, fd));
	RC(cmd(g, VFIO_GROUP_SET_CONTAINER, NULL));
	RC(status(g));
	RC(unset(g));
	COMPARE("unknown_files");
}

static int mdev_group(void)
{
	char path[64], target[256];
	ssize_t n;

	n = readlink(MDEV "/iommu_group", target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	return open_node(path);
}

TEST_F_TIMEOUT(legacy, emulated, 300)
{
	int c, c2, i, i2, g, d, d2, e;

	if (mdev_create())
		SKIP(return, "no emulated device");
	c = FD(container());
	c2 = FD(container());
	i = FD(iommufd());
	i2 = FD(iommufd());
	RC(ioas(i2));
	/* on a container */
	g = FD(mdev_group());
	RC(status(g));
	FD(get(g, MDEV_UUID));
	RC(set(g, c));
	RC(type1(c));
	d = FD(get(g, MDEV_UUID));
	d2 = FD(get(g, MDEV_UUID));
	RC(info(d));
	RC(hot_reset_info(d));
	RC(unset(g));
	e = FD(mdev_open());
	RC(bind_iommufd(e, i));
	shut(&d);
	RC(info(d2));
	shut(&g);
	FD(mdev_group());
	shut(&d2);
	/* on an iommufd */
	g = FD(mdev_group());
	RC(set(g, i));
	RC(type1(i));
	d = FD(get(g, MDEV_UUID));
	d2 = FD(get(g, MDEV_UUID));
	RC(info(d));
	RC(attach_pt(d, 1));
	RC(map(i, self->mem, 0x100000));
	RC(unmap(i, 0x100000));
	RC(bind_iommufd(e, i));
	RC(unset(g));
	RC(info(d));
	RC(set(g, i));
	shut(&d2);
	d2 = FD(get(g, MDEV_UUID));
	RC(unset(g));
	/* its memory accesses still go to the first one */
	RC(set(g, i2));
	shut(&d2);
	SAID(get_and_forget(g, MDEV_UUID), "EBUSY");
	RC(info(d));
	shut(&d);
	RC(unset(g));
	RC(set(g, c2));
	RC(unset(g));
	shut(&g);
	/* by its own file; the file of the probe above is not closed */
	RC(info(e));
	COMPARE("emulated");
}

TEST_F_TIMEOUT(legacy, emulated_cdev, 300)
{
	int i, i2, g, e, e2, pt, pt2;

	if (mdev_create())
		SKIP(return, "no emulated device");
	i = FD(iommufd());
	i2 = FD(iommufd());
	pt = RC(ioas(i));
	pt2 = RC(ioas(i));
	e = FD(mdev_open());
	e2 = FD(mdev_open());
	RC(info(e));
	RC(bind_bad(e, 16, 0, 999));
	RC(bind_read_only(e, i));
	RC(bind_iommufd(e, i));
	RC(bind_iommufd(e, i2));
	RC(bind_iommufd(e2, i));
	RC(bind_bad(e, 16, 0, 999));
	RC(bind_bad(e2, 16, 0, 999));
	RC(detach_pt(e));
	RC(attach_pt(e, 999));
	RC(attach_pt(e, pt));
	RC(attach_pt(e, pt2));
	RC(attach_pt(e2, pt2));
	RC(detach_pt(e));
	RC(attach_pt(e, pt2));
	RC(info(e));
	RC(hot_reset(e));
	FD(mdev_group());
	shut(&i);
	RC(info(e));
	shut(&e);
	RC(bind_iommufd(e2, i2));
	shut(&e2);
	g = FD(mdev_group());
	e = FD(mdev_open());
	RC(bind_iommufd(e, i2));
	RC(bind_bad(e, 16, 0, 999));
	shut(&g);
	RC(bind_iommufd(e, i2));
	shut(&e);
	RC(mdev_remove());
	COMPARE("emulated_cdev");
}

/* A device without an IOMMU: its group is made when VFIO gets the device. */
TEST_F_TIMEOUT(legacy, noiommu, 300)
{
	static const char mode[] =
		"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
	char found[8][HW_NAME], path[64];
	int n, c, c2, i, g, a, a2;

	n = hw_find(&hw_edu, found, 8);
	if (!n)
		SKIP(return, "no edu");
	memcpy(A, found[n - 1], HW_NAME);
	if (by_file)
		SKIP(return, "the file is for IOMMUs");
	if (!hw_has_driver(A, "vfio-pci") && hw_group(A) >= 0)
		SKIP(return, "the device has an IOMMU");
	if (hw_write_file(mode, "Y"))
		SKIP(return, "no VFIO without an IOMMU");
	ASSERT_EQ(0, hw_take(A));
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%d", hw_group(A));
	if (access(path, F_OK))
		SKIP(return, "the device has an IOMMU");
	c = FD(container());
	c2 = FD(container());
	i = FD(iommufd());
	FD(cdev(A));
	g = FD(open_node(path));
	RC(status(g));
	FD(get(g, A));
	RC(set(g, c));
	RC(type1(c));
	RC(noiommu(c));
	a = FD(get(g, A));
	a2 = FD(get(g, A));
	RC(info(a));
	RC(config(a2));
	RC(unset(g));
	RC(hot_reset_info(a));
	RC(hot_reset_by(a, g));
	shut(&a);
	shut(&a2);
	RC(unset(g));
	RC(set(g, i));
	RC(status(g));
	RC(type1(i));
	RC(noiommu(i));
	a = FD(get(g, A));
	a2 = FD(get(g, A));
	RC(info(a));
	RC(attach_pt(a, 1));
	RC(bind_iommufd(a, i));
	RC(hot_reset_info(a));
	RC(hot_reset(a));
	RC(hot_reset_by(a, g));
	RC(unset(g));
	RC(info(a));
	RC(set(g, c2));
	RC(noiommu(c2));
	RC(unset(g));
	shut(&a);
	RC(info(a2));
	shut(&a2);
	/* with an IOAS of the compatibility mode, it is refused */
	shut(&i);
	i = FD(iommufd());
	RC(ioas(i));
	RC(set(g, i));
	a = FD(get(g, A));
	shut(&a);
	shut(&g);
	/* Other tests shall not take it for a device that has an IOMMU */
	shut(&c);
	shut(&c2);
	shut(&i);
	hw_give_back(A);
	hw_write_file(mode, "N");
	COMPARE("noiommu");
}

/* ---- Many sequences: random walks that repeat exactly ---- */

enum { NR_FDS = 2, NR_GROUPS = 2, NR_DEVICES = 5, WALK = 250 };

struct walk {
	__u64 seed;
	int container[NR_FDS];
	int iommufd[NR_FDS];
	int group[NR_GROUPS];
	int device[NR_DEVICES];
};

static unsigned int pick(struct walk *w, unsigned int below)
{
	w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (w->seed >> 33) % below;
}

static void step(long rc, const char *format, ...)
{
	char what[64];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	probe(what, rc);
}

/* The file in the slot is closed already */
static void fill(int *slot, int fd, const char *format, ...)
{
	char what[64];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	*slot = probe_fd(what, fd);
}

/* Mostly a file that is open. */
static void walk_step(struct walk *w)
{
	unsigned int f = pick(w, NR_FDS), g = pick(w, NR_GROUPS);
	unsigned int d = pick(w, NR_DEVICES), n = g ? 2 : pick(w, 2);
	int *c = &w->container[f], *i = &w->iommufd[f];
	int *group = &w->group[g], *device = &w->device[d];
	unsigned int which = pick(w, 26);
	int *needs = which == 8 ? c : which == 18 ? i :
		     which >= 4 && which <= 12 ? group :
		     which >= 15 && which <= 24 ? device : NULL;

	if (needs && *needs < 0 && pick(w, 8))
		return;
	switch (which) {
	case 0:
		shut(c);
		fill(c, container(), "c%u = container", f);
		return;
	case 1:
		shut(i);
		fill(i, iommufd(), "i%u = iommufd", f);
		return;
	case 2:
	case 3:
		shut(group);
		fill(group, open_device_group(g ? C : A), "g%u = group", g);
		return;
	case 4:
		step(set(*group, *c), "set(g%u, c%u)", g, f);
		return;
	case 5:
	case 6:
		step(set(*group, *i), "set(g%u, i%u)", g, f);
		return;
	case 7:
		step(unset(*group), "unset(g%u)", g);
		return;
	case 8:
		step(type1(*c), "type1(c%u)", f);
		return;
	case 9:
		step(status(*group), "status(g%u)", g);
		return;
	case 10:
	case 11:
	case 12:
		shut(device);
		fill(device, get(*group, names[n]), "d%u = get(g%u, %c)", d, g,
		     'A' + n);
		return;
	case 13:
	case 14:
		shut(device);
		fill(device, cdev(names[n]), "d%u = cdev(%c)", d, 'A' + n);
		return;
	case 15:
	case 16:
		step(bind_iommufd(*device, *i), "bind(d%u, i%u)", d, f);
		return;
	case 17:
		step(bind_bad(*device, 16, 0, *c), "bind(d%u, c%u)", d, f);
		return;
	case 18:
		step(ioas(*i), "ioas(i%u)", f);
		return;
	case 19:
		n = 1 + pick(w, 8);
		step(attach_pt(*device, n), "attach(d%u, %u)", d, n);
		return;
	case 20:
		step(detach_pt(*device), "detach(d%u)", d);
		return;
	case 21:
		step(info(*device), "info(d%u)", d);
		return;
	case 22:
		step(hot_reset_info(*device), "hot_reset_info(d%u)", d);
		return;
	case 23:
		step(pick(w, 2) ? hot_reset(*device) :
				  hot_reset_by(*device, *group),
		     "hot_reset(d%u, g%u)", d, g);
		return;
	case 24:
		shut(device);
		return;
	case 25:
		if (pick(w, 2))
			shut(group);
		else
			shut(pick(w, 2) ? c : i);
		return;
	}
}

static int walk_all(unsigned int seed)
{
	struct walk w = { .seed = seed };
	char test[16];
	int i;

	memset(w.container, -1, sizeof(w.container));
	memset(w.iommufd, -1, sizeof(w.iommufd));
	memset(w.group, -1, sizeof(w.group));
	memset(w.device, -1, sizeof(w.device));
	for (i = 0; i < WALK; i++)
		walk_step(&w);
	for (i = 0; i < NR_DEVICES; i++)
		shut(&w.device[i]);
	for (i = 0; i < NR_GROUPS; i++)
		shut(&w.group[i]);
	for (i = 0; i < NR_FDS; i++) {
		shut(&w.container[i]);
		shut(&w.iommufd[i]);
	}
	snprintf(test, sizeof(test), "walk%u", seed);
	return compare(test);
}

FIXTURE(walk)
{
};

FIXTURE_VARIANT(walk)
{
	unsigned int seed;
};

FIXTURE_VARIANT_ADD(walk, first) { .seed = 1, };
FIXTURE_VARIANT_ADD(walk, second) { .seed = 2, };
FIXTURE_VARIANT_ADD(walk, third) { .seed = 3, };
FIXTURE_VARIANT_ADD(walk, fourth) { .seed = 4, };
FIXTURE_VARIANT_ADD(walk, fifth) { .seed = 5, };
FIXTURE_VARIANT_ADD(walk, sixth) { .seed = 6, };
FIXTURE_VARIANT_ADD(walk, seventh) { .seed = 7, };
FIXTURE_VARIANT_ADD(walk, eighth) { .seed = 8, };

FIXTURE_SETUP(walk)
{
	if (access("/dev/vfio/vfio", F_OK) || access("/dev/iommu", F_OK))
		SKIP(return, "no VFIO containers and iommufd");
	if (find_devices())
		SKIP(return, NO_PAIR);
	if (!iommufd_attaches())
		SKIP(return, NO_IOMMUFD);
}

FIXTURE_TEARDOWN(walk)
{
}

TEST_F_TIMEOUT(walk, same, 300)
{
	ASSERT_EQ(0, walk_all(variant->seed));
	by_file = !recording() && has_file();
	nr_lines = 0;
	if (by_file)
		ASSERT_EQ(0, walk_all(variant->seed));
}

TEST_HARNESS_MAIN
