// SPDX-License-Identifier: GPL-2.0-only
/*
 * The outputs that commands write to the structures of their callers: those
 * that linux/ioasid.h documents, on the documented paths, and no other byte.
 *
 * Before each call the kernel's stack is filled with words that are neither 0
 * nor in the structure, to detect uninitialised outputs.
 *
 * Longer than 900 lines: one subject, a test for each command.
 */
#include <poll.h>
#include <sys/sem.h>
#include <sys/uio.h>

#include "ioasid_test.h"
#include "family.h"
#include "mock.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define ROOT_BASE SZ_1G
#define PAGES 8

/* Value of an output before the call */
#define BEFORE 0xa5
#define BEFORE64 0xa5a5a5a5a5a5a5a5ULL
#define BEFORE32 0xa5a5a5a5

/* --- the stack --- */

/*
 * Let the kernel copy @word into arrays that some system calls have on the
 * stack, deep and shallow. All of these calls fail, or have no effect.
 */
static void dirty_stack(int fd, __u32 id, __u64 word)
{
	struct ioasid_dma_op ops[40];
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = id,
		.nr = 40,
		.ops = IA_PTR(ops),
	};
	struct ioasid_map_dma map = {
		.argsz = sizeof(map),
		.flags = IA_RW_FIXED,
		.ioasid = 0x7ffffff0,
		.iova = word & ~(PG - 1),
		.addr = word & ~(PG - 1),
		.length = PG,
		.fault_addr = word,
	};
	struct pollfd polls[96];
	struct sembuf sems[64];
	struct iovec iov[8];
	size_t i;

	for (i = 0; i < sizeof(sems) / 8; i++)
		memcpy((char *)sems + i * 8, &word, 8);
	semop(-1, sems, 64);
	for (i = 0; i < 96; i++) {
		memcpy(&polls[i], &word, 8);
		polls[i].fd |= 0x80000000;
	}
	poll(polls, 96, 0);
	for (i = 0; i < 8; i++)
		iov[i] = (struct iovec) { (void *)word, word };
	process_vm_readv(getpid(), iov, 8, iov, 8, 0);
	/* and by the commands themselves */
	ia_cmd(fd, IOASID_MAP_DMA, &map);
	for (i = 0; i < sizeof(ops) / 8; i++)
		memcpy((char *)ops + i * 8, &word, 8);
	ops[0].op = 0x7777;
	ia_cmd(fd, IOASID_DMA_BATCH, &batch);
}

/* --- calls --- */

enum out_kind {
	OUT_END,		/* 0, after the last one of an array */
	OUT_IS,		/* expected value */
	OUT_ANY,	/* documented, and checked elsewhere */
};

struct out {
	enum out_kind kind;
	size_t at;
	size_t size;
	__u64 want;
};

#define FIELD(type, field)						\
	offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define IS(type, field, value) { OUT_IS, FIELD(type, field), (__u64)(value) }
#define ANY(type, field) { OUT_ANY, FIELD(type, field) }

struct room {
	__u8 bytes[512];
};

/* NULL, or the mistake in the outputs of a call. */
static const char *wrong_outputs(const struct room *was, const struct room *is,
				 const struct out *outs)
{
	__u8 named[sizeof(is->bytes)] = {};
	static char text[160];
	const struct out *out;
	__u64 got;
	size_t i;

	for (out = outs; out->kind != OUT_END; out++) {
		memset(named + out->at, 1, out->size);
		got = 0;
		memcpy(&got, is->bytes + out->at, out->size);
		if (out->kind == OUT_IS &&
		    memcmp(&got, &out->want, out->size)) {
			snprintf(text, sizeof(text),
				 "at offset %zu %#llx, should be %#llx",
				 out->at, got, out->want);
			return text;
		}
	}
	for (i = 0; i < sizeof(named); i++) {
		if (named[i] || is->bytes[i] == was->bytes[i])
			continue;
		snprintf(text, sizeof(text),
			 "byte %zu is %#x, was %#x, and is no output", i,
			 is->bytes[i], was->bytes[i]);
		return text;
	}
	return NULL;
}

FIXTURE(outputs)
{
	struct model model;
	struct model_device dev;
	struct model_space space;	/* of @root */
	int fd;
	__u32 root;
	__u32 child;
	char *mem;
	__u64 word;
};

FIXTURE_SETUP(outputs)
{
	FAMILY_OPEN(return, PAGES);
	ASSERT_EQ(0, ia_alloc_full(self->fd, &self->root, 0x1234, PG));
	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &self->child));
	ASSERT_EQ(0, ia_map(self->fd, self->root, ROOT_BASE, self->mem,
			    4 * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, self->child, BASE, ROOT_BASE, PG,
				IA_RW));
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));
	self->space = (struct model_space) {
		.model = &self->model, .id = self->root, .container = -1,
	};
	self->word = 0xdead4ead00c0ffeeULL;
}

FIXTURE_TEARDOWN(outputs)
{
	if (self->fd <= 0)
		return;
	model_release(&self->dev);
	EXPECT_EQ(0, model_unplug(&self->dev, 0));
	model_close(&self->model);
}

/*
 * Issue @cmd with a copy of @arg, expect @want and the outputs that follow.
 * @arg gets the result.
 */
#define CALL_AT(_at, cmd, arg, want, ...)				\
do {									\
	const struct out _outs[32] = { __VA_ARGS__ };			\
	const char *_wrong;						\
	struct room _was, _is;						\
	int _rc;							\
									\
	memset(&_was, BEFORE, sizeof(_was));				\
	memcpy(&_was, &(arg), sizeof(arg));				\
	_is = _was;							\
	self->word = self->word * 0x9e3779b97f4a7c15ULL | 0x10101;	\
	dirty_stack(self->fd, self->root, self->word);			\
	_rc = ia_cmd(_at, cmd, &_is);					\
	EXPECT_EQ(want, _rc);						\
	_wrong = wrong_outputs(&_was, &_is, _outs);			\
	EXPECT_EQ(NULL, _wrong) TH_LOG("%s", _wrong);			\
	memcpy(&(arg), &_is, sizeof(arg));				\
} while (0)

#define CALL(...) CALL_AT(self->fd, __VA_ARGS__)

/* Errors that are possible in any command: they write no output. */
#define MALFORMED(at, cmd, arg)						\
do {									\
	typeof(arg) _arg = arg;						\
									\
	_arg.argsz = 7;							\
	CALL_AT(at, cmd, _arg, -EINVAL);				\
	_arg = arg;							\
	_arg.argsz = sizeof(_arg) + 8;					\
	CALL_AT(at, cmd, _arg, -E2BIG);					\
	_arg = arg;							\
	_arg.flags = 1U << 31;						\
	CALL_AT(at, cmd, _arg, -EOPNOTSUPP);				\
} while (0)

TEST_F(outputs, check_extension)
{
	struct ioasid_check_extension cmd = {
		.argsz = sizeof(cmd),
		.extension = IOASID_EXT_MAP,
	};

	MALFORMED(self->fd, IOASID_CHECK_EXTENSION, cmd);
	CALL(IOASID_CHECK_EXTENSION, cmd, 1);
	cmd.extension = 0x7fff;
	CALL(IOASID_CHECK_EXTENSION, cmd, 0);
	cmd.__reserved = 1;
	CALL(IOASID_CHECK_EXTENSION, cmd, -EINVAL);
}

TEST_F(outputs, alloc_and_free)
{
	struct ioasid_alloc good = {
		.argsz = sizeof(good),
		.kind = IOASID_KIND_MAP,
		.ioasid = BEFORE32,
	};
	struct ioasid_free free = { .argsz = sizeof(free) };
	struct ioasid_alloc cmd = good;
	__u32 id;

	MALFORMED(self->fd, IOASID_ALLOC, good);
	CALL(IOASID_ALLOC, cmd, 0, ANY(ioasid_alloc, ioasid));
	id = cmd.ioasid;
	EXPECT_EQ(IOASID_KIND_MAP, info_of(self->fd, id).kind);
	cmd = good;
	cmd.kind = 9;
	CALL(IOASID_ALLOC, cmd, -EOPNOTSUPP);
	cmd = good;
	cmd.snoop = IOASID_SNOOP_OFF;
	CALL(IOASID_ALLOC, cmd, -EOPNOTSUPP);
	cmd = good;
	cmd.cut_size = 3;
	CALL(IOASID_ALLOC, cmd, -EINVAL);
	cmd = good;
	cmd.parent = 0x7ffffff0;
	CALL(IOASID_ALLOC, cmd, -ENOENT);
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, 1, 0));
	cmd = good;
	CALL(IOASID_ALLOC, cmd, -EDQUOT);
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_IOASIDS, ~0ULL,
				   0));
	cmd = good;
	cmd.parent = self->child;
	CALL(IOASID_ALLOC, cmd, 0, ANY(ioasid_alloc, ioasid));
	cmd.parent = cmd.ioasid;
	CALL(IOASID_ALLOC, cmd, 0, ANY(ioasid_alloc, ioasid));
	cmd.parent = cmd.ioasid;
	cmd.ioasid = BEFORE32;
	CALL(IOASID_ALLOC, cmd, -ELOOP);

	free.ioasid = id;
	MALFORMED(self->fd, IOASID_FREE, free);
	CALL(IOASID_FREE, free, 0);
	CALL(IOASID_FREE, free, -ENOENT);
	free.ioasid = self->root;
	CALL(IOASID_FREE, free, -EBUSY);
	free.__reserved = 1;
	CALL(IOASID_FREE, free, -EINVAL);
}

#define INFO_OUTS							\
	ANY(ioasid_info, state), ANY(ioasid_info, parent),		\
	ANY(ioasid_info, cut_size), ANY(ioasid_info, pgsizes),		\
	ANY(ioasid_info, snoop), ANY(ioasid_info, nr_domains),		\
	ANY(ioasid_info, nr_devices), ANY(ioasid_info, nr_children),	\
	ANY(ioasid_info, nr_mappings), ANY(ioasid_info, bytes_mapped),	\
	ANY(ioasid_info, bytes_pinned), ANY(ioasid_info, bytes_charged),\
	ANY(ioasid_info, bytes_left), IS(ioasid_info, waiting_cookie, 0),\
	IS(ioasid_info, waiting_devid, 0), IS(ioasid_info, nr_ranges, 1)

#define INFO_TAIL							\
	ANY(ioasid_info, mappings_left), ANY(ioasid_info, permission),	\
	IS(ioasid_info, fault_queue, 0), IS(ioasid_info, bytes_demand, 0)

TEST_F(outputs, get_info)
{
	struct ioasid_iova_range ranges[3];
	struct ioasid_info good, cmd;
	__u32 import;
	int export;

	memset(&good, BEFORE, sizeof(good));
	good.argsz = sizeof(good);
	good.flags = 0;
	good.ioasid = self->root;
	good.nr_ranges = 3;
	good.ranges = IA_PTR(ranges);
	MALFORMED(self->fd, IOASID_GET_INFO, good);
	memset(ranges, BEFORE, sizeof(ranges));
	cmd = good;
	CALL(IOASID_GET_INFO, cmd, 0, INFO_OUTS, INFO_TAIL,
	     IS(ioasid_info, kind, IOASID_KIND_MAP),
	     IS(ioasid_info, cookie, 0x1234));
	EXPECT_EQ(0, ranges[0].start);
	EXPECT_EQ(~0ULL, ranges[0].last);
	EXPECT_EQ(BEFORE64, ranges[1].start);
	/* with the structure of the first release */
	cmd = good;
	cmd.argsz = offsetof(struct ioasid_info, mappings_left);
	cmd.nr_ranges = 0;
	cmd.ranges = 8;
	CALL(IOASID_GET_INFO, cmd, 0, INFO_OUTS,
	     IS(ioasid_info, kind, IOASID_KIND_MAP),
	     IS(ioasid_info, cookie, 0x1234));
	cmd = good;
	cmd.ranges = 8;
	CALL(IOASID_GET_INFO, cmd, -EFAULT);
	cmd = good;
	cmd.ioasid = 0x7ffffff0;
	CALL(IOASID_GET_INFO, cmd, -ENOENT);

	ASSERT_EQ(0, ia_export(self->fd, self->root, EXPORT_RW, ROOT_BASE, PG,
			       1, &export));
	ASSERT_EQ(0, ia_import(self->fd, export, 0x77, &import));
	cmd = good;
	cmd.ioasid = import;
	memset(ranges, BEFORE, sizeof(ranges));
	CALL(IOASID_GET_INFO, cmd, 0, INFO_OUTS, INFO_TAIL,
	     IS(ioasid_info, kind, IOASID_KIND_IMPORT),
	     IS(ioasid_info, cookie, 0x77));
	EXPECT_EQ(PG - 1, ranges[0].last);
	EXPECT_EQ(BEFORE64, ranges[1].start);
	EXPECT_EQ(0, cmd.cut_size);
	EXPECT_EQ(0, cmd.pgsizes);
	EXPECT_EQ(0, cmd.bytes_pinned);
	cmd = good;
	cmd.ioasid = import;
	cmd.ranges = 8;
	CALL(IOASID_GET_INFO, cmd, -EFAULT);
	close(export);
}

TEST_F(outputs, device_get_info)
{
	struct ioasid_iova_range ranges[3];
	struct ioasid_device_info good, cmd;
	__u8 hw[sizeof(struct model_hw_info) + 8];
	size_t i;

	ASSERT_EQ(0, model_bind(&self->dev));
	memset(&good, BEFORE, sizeof(good));
	good.argsz = sizeof(good);
	good.flags = 0;
	good.__reserved = 0;
	good.devid = self->dev.devid;
	good.hw_len = sizeof(hw);
	good.hw_data = IA_PTR(hw);
	good.nr_ranges = 3;
	good.ranges = IA_PTR(ranges);
	MALFORMED(self->fd, IOASID_DEVICE_GET_INFO, good);
	memset(hw, BEFORE, sizeof(hw));
	memset(ranges, BEFORE, sizeof(ranges));
	cmd = good;
	CALL(IOASID_DEVICE_GET_INFO, cmd, 0, ANY(ioasid_device_info, caps),
	     IS(ioasid_device_info, cookie, self->dev.id),
	     ANY(ioasid_device_info, group),
	     IS(ioasid_device_info, ioasid, 0),
	     ANY(ioasid_device_info, pgsizes),
	     ANY(ioasid_device_info, addr_width),
	     IS(ioasid_device_info, pasid_width, 0),
	     IS(ioasid_device_info, hw_type, MODEL_HW_INFO),
	     IS(ioasid_device_info, hw_len, sizeof(struct model_hw_info)),
	     IS(ioasid_device_info, nr_ranges, 1),
	     IS(ioasid_device_info, nr_pasids, 0),
	     IS(ioasid_device_info, pasids_left, 0),
	     IS(ioasid_device_info, faults, 0),
	     IS(ioasid_device_info, faults_lost, 0));
	for (i = sizeof(struct model_hw_info); i < sizeof(hw); i++)
		EXPECT_EQ(BEFORE, hw[i]);
	EXPECT_EQ(BEFORE64, ranges[1].start);
	cmd = good;
	cmd.ranges = 8;
	CALL(IOASID_DEVICE_GET_INFO, cmd, -EFAULT);
	cmd = good;
	cmd.hw_data = 8;
	CALL(IOASID_DEVICE_GET_INFO, cmd, -EFAULT);
	cmd = good;
	cmd.__reserved = 1;
	CALL(IOASID_DEVICE_GET_INFO, cmd, -EINVAL);
	cmd = good;
	cmd.devid = self->root;
	CALL(IOASID_DEVICE_GET_INFO, cmd, -ENOENT);
}

#define MAP(change, want, ...)						\
do {									\
	cmd = good;							\
	change;								\
	CALL(IOASID_MAP_DMA, cmd, want, ##__VA_ARGS__);			\
} while (0)

#define FAULT(value) IS(ioasid_map_dma, fault_addr, value)

TEST_F(outputs, map)
{
	struct ioasid_map_dma good = {
		.argsz = sizeof(good),
		.flags = IA_RW_FIXED,
		.ioasid = self->root,
		.iova = BASE,
		.addr = IA_PTR(self->mem),
		.length = PG,
		.fault_addr = BEFORE64,
	};
	struct ioasid_map_dma cmd;
	int file, sealed, ro, pipes[2];
	char path[40];

	file = memfd_create("outputs", MFD_CLOEXEC);
	sealed = memfd_create("outputs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_EQ(0, ftruncate(file, PG));
	ASSERT_EQ(0, ftruncate(sealed, PG));
	ASSERT_EQ(0, fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	ASSERT_EQ(0, pipe(pipes));

	MALFORMED(self->fd, IOASID_MAP_DMA, good);
	MAP(, 0);
	MAP(, -EEXIST, FAULT(BASE));
	MAP((cmd.iova -= PG, cmd.length = 3 * PG), -EEXIST, FAULT(BASE));
	MAP((cmd.flags = IA_RW, cmd.iova = 0), 0, ANY(ioasid_map_dma, iova));
	/* malformed, which sets no address */
	MAP(cmd.flags = IOASID_MAP_FIXED, -EINVAL);
	MAP(cmd.length = 0, -EINVAL);
	MAP(cmd.iova++, -EINVAL);
	MAP(cmd.addr++, -EINVAL);
	MAP(cmd.cut_size = 3, -EINVAL);
	MAP(cmd.alignment = PG, -EINVAL);
	MAP(cmd.fd = 1, -EINVAL);
	MAP(cmd.ioasid = 0x7ffffff0, -ENOENT);
	/* memory */
	MAP((cmd.iova = 2 * BASE, cmd.addr = PG), -EFAULT, FAULT(PG));
	MAP((cmd.flags = IA_RW, cmd.iova = 0, cmd.addr = PG), -EFAULT,
	    FAULT(PG));
	/* limits */
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED, 1, 0));
	MAP(cmd.iova = 2 * BASE, -EDQUOT);
	MAP((cmd.flags = IA_RW, cmd.iova = 0), -EDQUOT);
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED, ~0ULL,
				   0));
	MAP((cmd.flags = IOASID_MAP_RESERVE, cmd.iova = 0, cmd.addr = 0,
	     cmd.length = -(__u64)PG), -ENOSPC);
	/* files */
#define FILE_MAP (cmd.flags |= IOASID_MAP_FILE, cmd.addr = 0, cmd.iova = 2 * BASE)
	MAP((FILE_MAP, cmd.fd = -1), -EBADF);
	MAP((FILE_MAP, cmd.fd = 9999), -EBADF);
	MAP((FILE_MAP, cmd.fd = pipes[0]), -EOPNOTSUPP);
	MAP((FILE_MAP, cmd.fd = ro), -EACCES);
	MAP((FILE_MAP, cmd.fd = sealed), -EPERM);
	MAP((FILE_MAP, cmd.fd = file, cmd.length = 2 * PG), -EINVAL, FAULT(PG));
	MAP((FILE_MAP, cmd.fd = file, cmd.flags &= ~IOASID_MAP_FIXED,
	     cmd.iova = 0), 0, ANY(ioasid_map_dma, iova));
	/* changes */
#define CHANGE (cmd.flags |= IOASID_MAP_PROTECT, cmd.addr = 0)
	MAP(CHANGE, 0);
	MAP((CHANGE, cmd.iova = 2 * BASE), -ENXIO, FAULT(2 * BASE));
	MAP((CHANGE, cmd.iova = ROOT_BASE, cmd.length = 5 * PG), -ENXIO,
	    FAULT(ROOT_BASE + 4 * PG));
	MAP((CHANGE, cmd.iova = ROOT_BASE, cmd.flags &= ~IOASID_MAP_WRITE),
	    -EBUSY, FAULT(ROOT_BASE));
	MAP((CHANGE, cmd.addr = PG), -EINVAL);
	MAP(cmd.flags |= IOASID_MAP_REPLACE, 0);
	MAP((cmd.flags |= IOASID_MAP_REPLACE, cmd.addr = PG), -EFAULT,
	    FAULT(PG));
	MAP((cmd.flags |= IOASID_MAP_REPLACE, cmd.iova = ROOT_BASE,
	     cmd.addr += PG), -EBUSY, FAULT(ROOT_BASE));
	MAP((cmd.flags |= IOASID_MAP_SPLIT), -EINVAL);
}

TEST_F(outputs, map_child)
{
	struct ioasid_map_dma good = {
		.argsz = sizeof(good),
		.flags = IA_RW_FIXED,
		.ioasid = self->child,
		.iova = BASE + SZ_1M,
		.addr = ROOT_BASE,
		.length = PG,
		.fault_addr = BEFORE64,
	};
	__u64 there = ROOT_BASE + 8 * PG;
	struct ioasid_map_dma cmd;

	ASSERT_EQ(0, ia_map_full(self->fd, self->root,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &there,
				 IA_PTR(self->mem), PG, 0, 0, 0, NULL));
	MAP(, 0);
	MAP(, -EEXIST, FAULT(BASE + SZ_1M));
	MAP((cmd.iova = 2 * BASE, cmd.length = 5 * PG), -ENXIO,
	    FAULT(ROOT_BASE + 4 * PG));
	MAP((cmd.flags = IA_RW, cmd.iova = 0, cmd.addr = 0), -ENXIO, FAULT(0));
	MAP((cmd.iova = 2 * BASE, cmd.addr = there), -EACCES, FAULT(there));
	MAP((cmd.flags |= IOASID_MAP_FILE, cmd.iova = 2 * BASE), -EINVAL);
	ASSERT_EQ(0, ia_free_cascade(self->fd, self->root));
	MAP(cmd.iova = 2 * BASE, -ENODEV);
	MAP((cmd.flags = IA_RW, cmd.iova = 0), -ENODEV);
}

/* The IOVA is not permitted, or a device cannot attach. */
TEST_F(outputs, ranges)
{
	struct model_params params = {
		.nr_resv = 1,
		.resv = { {
			.start = BASE,
			.length = PG,
			.type = MODEL_RESV_RESERVED,
		} },
	};
	struct ioasid_map_dma map = {
		.argsz = sizeof(map),
		.flags = IA_RW_FIXED,
		.ioasid = self->root,
		.iova = BASE - PG,
		.addr = IA_PTR(self->mem),
		.length = 2 * PG,
		.fault_addr = BEFORE64,
	};
	struct ioasid_device_attach attach = {
		.argsz = sizeof(attach),
		.ioasid = self->root,
		.fault_addr = BEFORE64,
	};
	struct ioasid_device_bind bind = {
		.argsz = sizeof(bind),
		.ioasid_fd = self->fd,
		.ioasid = self->root,
		.devid = BEFORE32,
		.fault_addr = BEFORE64,
	};
	struct model_device picky;
	int fd;

	ASSERT_EQ(0, model_plug(&self->model, &picky, &params, 0));
	ASSERT_EQ(0, model_attach(&picky, &self->space));
	CALL(IOASID_MAP_DMA, map, -EINVAL, FAULT(BASE));
	model_release(&picky);
	ASSERT_EQ(0, ia_map(self->fd, self->root, BASE, self->mem, PG));
	ASSERT_EQ(0, model_bind(&picky));
	CALL_AT(picky.fd, VFIO_DEVICE_ATTACH_IOASID, attach, -EADDRINUSE,
		IS(ioasid_device_attach, fault_addr, BASE));
	model_release(&picky);
	fd = model_open_cdev(&picky);
	ASSERT_LE(0, fd);
	CALL_AT(fd, VFIO_DEVICE_BIND_IOASID_FD, bind, -EADDRINUSE,
		IS(ioasid_device_bind, fault_addr, BASE));
	close(fd);
	model_unplug(&picky, 0);
}

TEST_F(outputs, unmap)
{
	struct ioasid_unmap_dma good = {
		.argsz = sizeof(good),
		.ioasid = self->root,
		.iova = ROOT_BASE + PG,
		.length = PG,
		.unmapped = BEFORE64,
	};
	struct ioasid_unmap_dma cmd = good;

#define UNMAPPED(value) IS(ioasid_unmap_dma, unmapped, value)
	MALFORMED(self->fd, IOASID_UNMAP_DMA, good);
	CALL(IOASID_UNMAP_DMA, cmd, 0, UNMAPPED(PG));
	cmd = good;
	CALL(IOASID_UNMAP_DMA, cmd, 0, UNMAPPED(0));
	cmd = good;
	cmd.iova = ROOT_BASE;
	CALL(IOASID_UNMAP_DMA, cmd, -EBUSY, UNMAPPED(0));
	cmd = good;
	cmd.length = 0;
	CALL(IOASID_UNMAP_DMA, cmd, -EINVAL);
	cmd = good;
	cmd.__reserved = 1;
	CALL(IOASID_UNMAP_DMA, cmd, -EINVAL);
	cmd = good;
	cmd.flags = IOASID_UNMAP_ALL;
	CALL(IOASID_UNMAP_DMA, cmd, -EINVAL);
	cmd = good;
	cmd.ioasid = 0x7ffffff0;
	CALL(IOASID_UNMAP_DMA, cmd, -ENOENT);
	/* off the grid */
	ASSERT_EQ(0, ia_map_full(self->fd, self->root, IA_RW_FIXED,
				 &(__u64){ BASE }, IA_PTR(self->mem), 4 * PG,
				 4 * PG, 0, 0, NULL));
	cmd = good;
	cmd.iova = BASE + PG;
	CALL(IOASID_UNMAP_DMA, cmd, -EINVAL, UNMAPPED(0));
	cmd = good;
	cmd.flags = IOASID_UNMAP_ALL | IOASID_UNMAP_CASCADE;
	cmd.iova = 0;
	cmd.length = 0;
	CALL(IOASID_UNMAP_DMA, cmd, 0, UNMAPPED(7 * PG));
}

#define DONE(n, err, bytes)						\
	IS(ioasid_dma_batch, done, n), IS(ioasid_dma_batch, error, err),\
	IS(ioasid_dma_batch, unmapped, bytes)
#define BATCH_FAULT(value) IS(ioasid_dma_batch, fault_addr, value)

/*
 * One operation that fails, with @want and the outputs that follow: alone, as
 * the second, and as the first behind more than are copied at a time.
 */
#define OP(change, want, ...)						\
do {									\
	unsigned int _k;						\
									\
	for (_k = 0; _k < 3; _k++) {					\
		unsigned int _at = _k == 2 ? 70 : _k, _i;		\
									\
		for (_i = 0; _i < _at; _i++)				\
			ops[_i] = (struct ioasid_dma_op) {		\
				.op = IOASID_DMA_OP_UNMAP,		\
				.iova = 4 * BASE,			\
				.length = PG,				\
			};						\
		op = (struct ioasid_dma_op) {				\
			.op = IOASID_DMA_OP_MAP,			\
			.flags = IA_RW_FIXED,				\
			.iova = 2 * BASE,				\
			.addr = IA_PTR(self->mem),			\
			.length = PG,					\
		};							\
		change;							\
		ops[_at] = op;						\
		memcpy(was, ops, sizeof(ops));				\
		cmd = good;						\
		cmd.nr = _at + 2;					\
		CALL(IOASID_DMA_BATCH, cmd, _at ? 0 : want,		\
		     DONE(_at, want, 0), ##__VA_ARGS__);		\
		EXPECT_EQ(0, memcmp(was, ops, sizeof(ops)));		\
	}								\
} while (0)

TEST_F(outputs, batch)
{
	static struct ioasid_dma_op ops[80], was[80];
	struct ioasid_dma_batch good = {
		.argsz = sizeof(good),
		.ioasid = self->root,
		.nr = 1,
		.ops = IA_PTR(ops),
		.done = BEFORE32,
		.error = BEFORE32,
		.unmapped = BEFORE64,
		.fault_addr = BEFORE64,
	};
	struct ioasid_dma_batch cmd;
	struct ioasid_dma_op op;

	MALFORMED(self->fd, IOASID_DMA_BATCH, good);
	cmd = good;
	cmd.nr = 0;
	CALL(IOASID_DMA_BATCH, cmd, -EINVAL, IS(ioasid_dma_batch, done, 0));
	cmd = good;
	cmd.ioasid = 0x7ffffff0;
	CALL(IOASID_DMA_BATCH, cmd, -ENOENT, IS(ioasid_dma_batch, done, 0));
	cmd = good;
	cmd.ops = 8;
	CALL(IOASID_DMA_BATCH, cmd, -EFAULT, DONE(0, -EFAULT, 0));

	OP(op.op = 9, -EOPNOTSUPP);
	OP(op.flags |= 1 << 9, -EOPNOTSUPP);
	/* a cut size below a page, and of a change that has none */
	OP(op.flags |= IOASID_DMA_OP_CUT(11), -EINVAL);
	OP(op.flags |= IOASID_DMA_OP_CUT(1), -EINVAL);
	OP((op.flags |= IOASID_MAP_PROTECT | IOASID_DMA_OP_CUT(12),
	    op.addr = 0), -EINVAL);
	/* PROTECT has no address, nor a file; SPLIT is for changes */
	OP(op.flags |= IOASID_MAP_PROTECT, -EINVAL);
	OP((op.flags |= IOASID_MAP_PROTECT | IOASID_MAP_FILE, op.addr = 0),
	   -EINVAL);
	OP((op.flags |= IOASID_MAP_PROTECT | IOASID_MAP_REPLACE, op.addr = 0),
	   -EINVAL);
	OP(op.flags |= IOASID_MAP_SPLIT, -EINVAL);
	OP((op.flags = IA_RW | IOASID_MAP_REPLACE, op.iova = 0), -EINVAL);
	OP((op.op = IOASID_DMA_OP_UNMAP, op.addr = 0,
	    op.flags = IOASID_DMA_OP_CUT(12)), -EOPNOTSUPP);
	OP(op.length = 0, -EINVAL);
	OP(op.iova++, -EINVAL);
	OP(op.addr++, -EINVAL);
	OP(op.fd = 1, -EINVAL);
	OP(op.flags = IOASID_MAP_FIXED, -EINVAL);
	OP(op.flags &= ~IOASID_MAP_FIXED, -EINVAL);
	OP(op.iova = ROOT_BASE, -EEXIST, BATCH_FAULT(ROOT_BASE));
	OP(op.addr = PG, -EFAULT, BATCH_FAULT(PG));
	OP((op.flags |= IOASID_MAP_FILE, op.addr = 0, op.fd = -1), -EBADF);
	OP((op.flags = IOASID_MAP_RESERVE, op.addr = 0, op.iova = 0,
	    op.length = -(__u64)PG), -ENOSPC);
	OP((op.op = IOASID_DMA_OP_UNMAP, op.flags = 0), -EINVAL);
	OP((op.op = IOASID_DMA_OP_UNMAP, op.flags = 0, op.addr = 0,
	    op.iova = ROOT_BASE), -EBUSY);
	OP((op.op = IOASID_DMA_OP_UNMAP, op.flags = 8, op.addr = 0),
	   -EOPNOTSUPP);
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED, 1, 0));
	OP(, -EDQUOT);
	OP((op.flags = IA_RW, op.iova = 0), -EDQUOT);
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PINNED, ~0ULL,
				   0));

	/* successes, too */
	ops[0] = (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_MAP,
		.flags = IA_RW,
		.addr = IA_PTR(self->mem),
		.length = PG,
	};
	ops[1] = (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_UNMAP,
		.iova = ROOT_BASE + 2 * PG,
		.length = PG,
	};
	memcpy(was, ops, sizeof(ops));
	cmd = good;
	cmd.nr = 2;
	CALL(IOASID_DMA_BATCH, cmd, 0, DONE(2, 0, PG));
	EXPECT_NE(0, ops[0].iova);
	was[0].iova = ops[0].iova;
	EXPECT_EQ(0, memcmp(was, ops, sizeof(ops)));
}

TEST_F(outputs, batch_of_a_child)
{
	static struct ioasid_dma_op ops[80], was[80];
	struct ioasid_dma_batch good = {
		.argsz = sizeof(good),
		.ioasid = self->child,
		.nr = 1,
		.ops = IA_PTR(ops),
		.done = BEFORE32,
		.error = BEFORE32,
		.unmapped = BEFORE64,
		.fault_addr = BEFORE64,
	};
	__u64 there = ROOT_BASE + 8 * PG;
	struct ioasid_dma_batch cmd;
	struct ioasid_dma_op op;

	ASSERT_EQ(0, ia_map_full(self->fd, self->root,
				 IOASID_MAP_READ | IOASID_MAP_FIXED, &there,
				 IA_PTR(self->mem), PG, 0, 0, 0, NULL));
	OP(op.addr = 0, -ENXIO, BATCH_FAULT(0));
	OP((op.addr = ROOT_BASE, op.length = 5 * PG), -ENXIO,
	   BATCH_FAULT(ROOT_BASE + 4 * PG));
	OP(op.addr = there, -EACCES, BATCH_FAULT(there));
	OP((op.addr = ROOT_BASE, op.iova = BASE), -EEXIST, BATCH_FAULT(BASE));
	OP((op.addr = 0, op.flags |= IOASID_MAP_FILE, op.fd = -1), -EINVAL);
	ASSERT_EQ(0, ia_free_cascade(self->fd, self->root));
	OP(op.addr = ROOT_BASE, -ENODEV);
	OP((op.addr = ROOT_BASE, op.flags = IA_RW, op.iova = 0), -ENODEV);
}

/* An importer at its quota, or after the end of the owner. */
TEST_F(outputs, batch_of_an_importer)
{
	static struct ioasid_dma_op ops[80], was[80];
	struct ioasid_dma_batch good = {
		.argsz = sizeof(good),
		.nr = 1,
		.ops = IA_PTR(ops),
		.done = BEFORE32,
		.error = BEFORE32,
		.unmapped = BEFORE64,
		.fault_addr = BEFORE64,
	};
	struct ioasid_dma_batch cmd;
	struct ioasid_dma_op op;
	__u32 import, id;
	int export;

	ASSERT_EQ(0, ia_export(self->fd, self->root, IOASID_EXPORT_READ,
			       ROOT_BASE, 2 * PG, 1, &export));
	ASSERT_EQ(0, ia_import(self->fd, export, 0, &import));
	ASSERT_EQ(0, ia_child(self->fd, import, 0, &id));
	close(export);
	good.ioasid = id;
	OP(op.addr = 0, -EACCES, BATCH_FAULT(0));
	OP((op.addr = 2 * PG, op.flags &= ~IOASID_MAP_WRITE), -ENXIO,
	   BATCH_FAULT(2 * PG));
	ASSERT_EQ(0, ia_map_ref(self->fd, id, BASE, 0, PG, IOASID_MAP_READ));
	OP((op.addr = 0, op.flags &= ~IOASID_MAP_WRITE), -EDQUOT);
}

TEST_F(outputs, query_and_list)
{
	struct ioasid_list_entry objects[8];
	struct ioasid_query_entry found[3];
	struct ioasid_query_map good = {
		.argsz = sizeof(good),
		.ioasid = self->root,
		.nr = 3,
		.entries = IA_PTR(found),
	};
	struct ioasid_list list = {
		.argsz = sizeof(list),
		.nr = 8,
		.entries = IA_PTR(objects),
	};
	struct ioasid_query_map cmd = good;

	MALFORMED(self->fd, IOASID_QUERY_MAP, good);
	memset(found, BEFORE, sizeof(found));
	CALL(IOASID_QUERY_MAP, cmd, 0, IS(ioasid_query_map, nr, 1),
	     IS(ioasid_query_map, next, 0), IS(ioasid_query_map, more, 0));
	EXPECT_EQ(0, found[0].__reserved);
	EXPECT_EQ(BEFORE64, found[1].iova);
	ASSERT_EQ(0, ia_reserve(self->fd, self->root, BASE, PG));
	cmd = good;
	cmd.nr = 1;
	memset(found, BEFORE, sizeof(found));
	CALL(IOASID_QUERY_MAP, cmd, 0, IS(ioasid_query_map, nr, 1),
	     IS(ioasid_query_map, next, ROOT_BASE + 4 * PG),
	     IS(ioasid_query_map, more, 1));
	EXPECT_EQ(BEFORE64, found[1].iova);
	cmd = good;
	memset(found, BEFORE, sizeof(found));
	CALL(IOASID_QUERY_MAP, cmd, 0, IS(ioasid_query_map, nr, 2),
	     IS(ioasid_query_map, next, 0), IS(ioasid_query_map, more, 0));
	/* a reserved range has neither address nor IOPTEs */
	EXPECT_EQ(0, found[1].addr);
	EXPECT_EQ(0, found[1].pgsizes);
	EXPECT_EQ(0, found[1].__reserved);
	EXPECT_EQ(IOASID_MAP_RESERVE, found[1].flags);
	EXPECT_EQ(BEFORE64, found[2].iova);
	cmd = good;
	cmd.entries = 8;
	CALL(IOASID_QUERY_MAP, cmd, -EFAULT);
	cmd = good;
	cmd.ioasid = 0x7ffffff0;
	CALL(IOASID_QUERY_MAP, cmd, -ENOENT);
	cmd = good;
	cmd.entry_size = 1;
	CALL(IOASID_QUERY_MAP, cmd, -EINVAL);
	cmd.entry_size = 40;
	CALL(IOASID_QUERY_MAP, cmd, -EINVAL);
	cmd.entry_size = 52;
	CALL(IOASID_QUERY_MAP, cmd, -EINVAL);
	cmd.entry_size = 264;
	CALL(IOASID_QUERY_MAP, cmd, -E2BIG);

	MALFORMED(self->fd, IOASID_LIST, list);
	memset(objects, BEFORE, sizeof(objects));
	CALL(IOASID_LIST, list, 0, IS(ioasid_list, nr, 2));
	EXPECT_EQ(0, objects[1].ioasid);
	EXPECT_EQ(0, objects[1].vpasid);
	EXPECT_EQ(self->root, objects[1].parent);
	EXPECT_EQ(BEFORE32, objects[2].type);
	list.entries = 8;
	CALL(IOASID_LIST, list, -EFAULT);
	/* elements of a size that no entry can have */
	list.entries = IA_PTR(objects);
	list.entry_size = 24;
	CALL(IOASID_LIST, list, -EINVAL);
	list.entry_size = 36;
	CALL(IOASID_LIST, list, -EINVAL);
	list.entry_size = 264;
	CALL(IOASID_LIST, list, -E2BIG);
	list.entry_size = ~0U & ~7U;
	CALL(IOASID_LIST, list, -E2BIG);
}

TEST_F(outputs, export_and_import)
{
	struct ioasid_export good = {
		.argsz = sizeof(good),
		.flags = IOASID_EXPORT_READ,
		.ioasid = self->root,
		.fd = BEFORE32,
		.iova = ROOT_BASE,
		.length = PG,
		.max_mappings = 1,
	};
	struct ioasid_import fine = {
		.argsz = sizeof(fine),
		.fd = -1,
		.ioasid = BEFORE32,
		.cookie = 1,
	};
	struct ioasid_export export = good;
	struct ioasid_import import = fine;
	int fd;

	MALFORMED(self->fd, IOASID_EXPORT, good);
	CALL(IOASID_EXPORT, export, 0, ANY(ioasid_export, fd));
	fd = export.fd;
	export = good;
	export.flags = 0;
	CALL(IOASID_EXPORT, export, -EINVAL);
	export = good;
	export.max_mappings = 0;
	CALL(IOASID_EXPORT, export, -EINVAL);
	export = good;
	export.ioasid = 0x7ffffff0;
	CALL(IOASID_EXPORT, export, -ENOENT);

	MALFORMED(self->fd, IOASID_IMPORT, fine);
	CALL(IOASID_IMPORT, import, -EBADF);
	import = fine;
	import.fd = self->fd;
	CALL(IOASID_IMPORT, import, -EBADF);
	import = fine;
	import.fd = fd;
	CALL(IOASID_IMPORT, import, 0, ANY(ioasid_import, ioasid));
	ASSERT_EQ(0, ia_free(self->fd, import.ioasid));
	ASSERT_EQ(0, ia_free_cascade(self->fd, self->root));
	import = fine;
	import.fd = fd;
	CALL(IOASID_IMPORT, import, -ENODEV);
	close(fd);
}

TEST_F(outputs, options)
{
	struct ioasid_set_option good = {
		.argsz = sizeof(good),
		.flags = IOASID_OPTION_GET,
		.option = IOASID_OPTION_LIMIT_IOASIDS,
	};
	struct ioasid_set_option cmd = good;

	MALFORMED(self->fd, IOASID_SET_OPTION, good);
	CALL(IOASID_SET_OPTION, cmd, 0, IS(ioasid_set_option, value, ~0ULL),
	     IS(ioasid_set_option, sealed, 0));
	cmd = good;
	cmd.option = 9;
	CALL(IOASID_SET_OPTION, cmd, -EOPNOTSUPP);
	cmd = good;
	cmd.value = 1;
	CALL(IOASID_SET_OPTION, cmd, -EINVAL);
	cmd = good;
	cmd.flags = IOASID_OPTION_SEAL;
	cmd.value = 5;
	CALL(IOASID_SET_OPTION, cmd, 0);
	CALL(IOASID_SET_OPTION, cmd, 0);
	cmd.value = 6;
	CALL(IOASID_SET_OPTION, cmd, -EPERM);
	cmd = good;
	CALL(IOASID_SET_OPTION, cmd, 0, IS(ioasid_set_option, value, 5),
	     IS(ioasid_set_option, sealed, 1));
	cmd = good;
	cmd.flags = 0;
	cmd.option = IOASID_OPTION_CHARGE;
	cmd.value = IOASID_CHARGE_MM;
	CALL(IOASID_SET_OPTION, cmd, -EBUSY);
	cmd.value = 7;
	CALL(IOASID_SET_OPTION, cmd, -EOPNOTSUPP);
}

TEST_F(outputs, device)
{
	struct ioasid_device_bind good = {
		.argsz = sizeof(good),
		.ioasid_fd = self->fd,
		.cookie = 7,
		.devid = BEFORE32,
		.fault_addr = BEFORE64,
	};
	struct ioasid_device_attach fine = {
		.argsz = sizeof(fine),
		.ioasid = self->root,
		.fault_addr = BEFORE64,
	};
	struct ioasid_device_detach detach = { .argsz = sizeof(detach) };
	struct ioasid_device_attach attach = fine;
	struct ioasid_device_bind bind = good;
	int dev = model_open_cdev(&self->dev);

	ASSERT_LE(0, dev);
	MALFORMED(dev, VFIO_DEVICE_BIND_IOASID_FD, good);
	bind.ioasid_fd = -1;
	CALL_AT(dev, VFIO_DEVICE_BIND_IOASID_FD, bind, -EBADF);
	bind = good;
	bind.ioasid = 0x7ffffff0;
	CALL_AT(dev, VFIO_DEVICE_BIND_IOASID_FD, bind, -ENOENT);
	bind = good;
	bind.__reserved = 1;
	CALL_AT(dev, VFIO_DEVICE_BIND_IOASID_FD, bind, -EINVAL);
	bind = good;
	CALL_AT(dev, VFIO_DEVICE_BIND_IOASID_FD, bind, 0,
		ANY(ioasid_device_bind, devid));
	bind = good;
	CALL_AT(dev, VFIO_DEVICE_BIND_IOASID_FD, bind, -EBUSY);

	MALFORMED(dev, VFIO_DEVICE_ATTACH_IOASID, fine);
	CALL_AT(dev, VFIO_DEVICE_ATTACH_IOASID, attach, 0);
	attach.ioasid = 0x7ffffff0;
	CALL_AT(dev, VFIO_DEVICE_ATTACH_IOASID, attach, -ENOENT);
	attach.vpasid = 1;
	CALL_AT(dev, VFIO_DEVICE_ATTACH_IOASID, attach, -EINVAL);

	MALFORMED(dev, VFIO_DEVICE_DETACH_IOASID, detach);
	detach.ioasid = self->child;
	CALL_AT(dev, VFIO_DEVICE_DETACH_IOASID, detach, -ENOENT);
	detach.ioasid = 0;
	CALL_AT(dev, VFIO_DEVICE_DETACH_IOASID, detach, 0);
	CALL_AT(dev, VFIO_DEVICE_DETACH_IOASID, detach, -ENOENT);
	detach.vpasid = 1;
	CALL_AT(dev, VFIO_DEVICE_DETACH_IOASID, detach, -EINVAL);
	close(dev);
}

TEST_HARNESS_MAIN
