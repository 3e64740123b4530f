// SPDX-License-Identifier: GPL-2.0-only
/*
 * What single commands of /dev/ioasid take and return: ids, arrays, lists,
 * fdinfo, and arguments of a map. No device is needed.
 *
 * Wherever a command is to fail, the state that the kernel shows of the
 * context has to be the same before and after.
 */
#include <grp.h>

#include "ioasid_test.h"
#include "layout.h"
#include "state.h"

static const __u64 iova_there = 0x10000000;
static const __u64 iova_new = 0x20000000;

FIXTURE(uapi)
{
	int fd;
	__u32 id;
	char *mem;
};

FIXTURE_SETUP(uapi)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->mem = ia_mem_aligned(SZ_2M, SZ_2M);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
}

FIXTURE_TEARDOWN(uapi)
{
	close(self->fd);
}

TEST_F(uapi, node)
{
	struct stat st;
	pid_t pid;
	int status;

	ASSERT_EQ(0, stat(IA_NODE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_uid);

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(2);
		_exit(open(IA_NODE, O_RDWR) < 0 && errno == EACCES ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
}

TEST_F(uapi, file_operations)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size, PROT_READ, MAP_SHARED,
				   self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(uapi, unknown_commands)
{
	static const __u8 known[] = {
		0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x48, 0x51, 0x52, 0x53,
		0x4e, 0x54, 0x56, 0x5b,
	};
	unsigned int nr, i, type;
	bool is_known;
	__u32 size;
	int rc;

	for (nr = 0; nr < 256; nr++) {
		is_known = false;
		for (i = 0; i < sizeof(known); i++)
			is_known |= known[i] == nr;
		/*
		 * A later kernel may know more of them, and none of these
		 * accepts NULL; numbers outside of our range stay unknown.
		 */
		if (is_known) {
			EXPECT_EQ(-EFAULT, ia_cmd(self->fd, _IO('i', nr), NULL));
		} else if (nr < 0x40 || nr > 0x7f) {
			EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IO('i', nr), NULL));
		} else {
			rc = ia_cmd(self->fd, _IO('i', nr), NULL);
			EXPECT_TRUE(rc == -ENOTTY || rc == -EFAULT)
				TH_LOG("command %#x: %d", nr, rc);
		}
	}
	/* size and direction are part of a number */
	for (i = 0; i < sizeof(known); i++) {
		nr = known[i];
		EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IOW('i', nr, int), NULL));
		EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IOR('i', nr, int), NULL));
		EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IOWR('i', nr, int), NULL));
		for (size = 1; size < 1 << _IOC_SIZEBITS; size <<= 1) {
			EXPECT_EQ(-ENOTTY,
				  ia_cmd(self->fd,
					 _IOC(_IOC_NONE, 'i', nr, size), NULL));
		}
	}
	/* other types: of iommufd, of neighbours, of all bits */
	for (type = 0; type < 256; type++) {
		if (type == 'i' || type == 'T' || type == 'f' || type == ';' ||
		    type == 'X')
			continue;
		for (i = 0; i < sizeof(known); i++) {
			EXPECT_EQ(-ENOTTY,
				  ia_cmd(self->fd, _IO(type, known[i]), NULL));
		}
	}
	EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, _IO(';', 0x80), NULL));
	EXPECT_EQ(-ENOTTY, ia_cmd(self->fd, 0xffffffff, NULL));
}

TEST_F(uapi, check_extension)
{
	__u32 i;

	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_MAP));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_SPLIT));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_QUERY_MAP));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_PROTECT));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_REPLACE));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_PASID));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_CHILD_DEVMEM));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_BATCH_CHANGE));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_BATCH_IOASID));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_EVENTS));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_DEMAND));
	EXPECT_EQ(1, ia_check(self->fd, IOASID_EXT_FAULT_QUEUE));
	EXPECT_GE(1, ia_check(self->fd, IOASID_EXT_PROCESS));
	EXPECT_GE(1, ia_check(self->fd, IOASID_EXT_UNREPAIRABLE));
	EXPECT_GE(1, ia_check(self->fd, IOASID_EXT_DIRTY));
	EXPECT_LE(1, ia_check(self->fd, IOASID_EXT_MAX_DEPTH));
	EXPECT_LE(1 << 20, ia_check(self->fd, IOASID_EXT_MAX_IOASIDS));
	EXPECT_EQ(0, ia_check(self->fd, 0));
	for (i = 1000; i; i <<= 1)
		EXPECT_EQ(0, ia_check(self->fd, i));
	EXPECT_EQ(0, ia_check(self->fd, 0xffffffff));
}

/* The pages that are present in ZONE_MOVABLE, of all nodes */
static unsigned long movable_pages(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	unsigned long sum = 0, pages;
	bool movable = false;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "Node", 4))
			movable = strstr(line, "Movable");
		else if (movable && sscanf(line, " present %lu", &pages) == 1)
			sum += pages;
	}
	if (f)
		fclose(f);
	return sum;
}

/*
 * A kernel without the fix of memfd_pin_folios() maps no files while memory is
 * in ZONE_MOVABLE. The flag and the extension agree.
 */
TEST_F(uapi, map_file_extension)
{
	int has = ia_check(self->fd, IOASID_EXT_MAP_FILE);
	int file = memfd_create("uapi", MFD_CLOEXEC);
	unsigned long movable = movable_pages();
	__u64 iova = SZ_1M, unmapped;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, SZ_2M));
	if (!movable)
		EXPECT_EQ(1, has);
	TH_LOG("IOASID_EXT_MAP_FILE %d, ZONE_MOVABLE %lu pages", has, movable);
	if (has) {
		ASSERT_EQ(1, has);
		ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
					 file, 0, SZ_1M));
		EXPECT_EQ(0, ia_unmap(self->fd, self->id, iova, SZ_1M,
				      &unmapped));
		EXPECT_EQ(SZ_1M, unmapped);
	} else {
		EXPECT_EQ(-EOPNOTSUPP,
			  ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				      file, 0, SZ_1M));
		/* Memory of the process is mapped all the same */
		EXPECT_EQ(0, ia_map(self->fd, self->id, iova, self->mem, SZ_1M));
		EXPECT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
		EXPECT_EQ(SZ_1M, unmapped);
	}
	close(file);
}

static int alloc_raw(int fd, struct ioasid_alloc *cmd)
{
	cmd->argsz = sizeof(*cmd);
	return ia_cmd(fd, IOASID_ALLOC, cmd);
}

TEST_F(uapi, alloc_arguments)
{
	struct ia_state before, after;
	struct ioasid_info info;
	unsigned int i;
	__u32 id;
	int rc;

#define ALLOC(...)							\
({									\
	struct ioasid_alloc _cmd = {					\
		.kind = IOASID_KIND_MAP,				\
		__VA_ARGS__						\
	};								\
									\
	alloc_raw(self->fd, &_cmd);					\
})
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (i = 10; i < 32; i++)
		EXPECT_EQ(-EOPNOTSUPP, ALLOC(.kind = 1U << i));
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.kind = 0xffffffff));
	rc = ALLOC(.kind = 0);
	EXPECT_TRUE(rc == -EOPNOTSUPP || rc == -EINVAL)
		TH_LOG("%d", rc);
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.snoop = IOASID_SNOOP_OFF));
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.snoop = 3));
	EXPECT_EQ(-EOPNOTSUPP, ALLOC(.snoop = 0x80000000));
	if (ia_check(self->fd, IOASID_EXT_MAX_DEPTH) == 1) {
		EXPECT_EQ(-EOPNOTSUPP, ALLOC(.parent = self->id));
		EXPECT_EQ(-EOPNOTSUPP, ALLOC(.parent = 0xffffffff));
	}
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = 1));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = page_size / 2));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = page_size + 1));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = page_size * 3));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = ~0ULL));
	EXPECT_EQ(-EINVAL, ALLOC(.cut_size = (1ULL << 63) | page_size));
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after));

	for (i = 0; i < 64; i++) {
		__u64 size = 1ULL << i;

		if (size < page_size)
			continue;
		ASSERT_EQ(0, ia_alloc_full(self->fd, &id, ~size, size));
		ASSERT_EQ(0, ia_info(self->fd, id, &info));
		EXPECT_EQ(size, info.cut_size);
		EXPECT_EQ(~size, info.cookie);
		ASSERT_EQ(0, ia_free(self->fd, id));
	}
	for (i = IOASID_SNOOP_AUTO; i <= IOASID_SNOOP_ON; i++) {
		struct ioasid_alloc cmd = {
			.kind = IOASID_KIND_MAP,
			.snoop = i,
			.ioasid = 0xdeadbeef,	/* the pointer is not used */
		};

		ASSERT_EQ(0, alloc_raw(self->fd, &cmd));
		ASSERT_EQ(0, ia_info(self->fd, cmd.ioasid, &info));
		EXPECT_EQ(i, info.snoop);
		ASSERT_EQ(0, ia_free(self->fd, cmd.ioasid));
	}
#undef ALLOC
}

TEST_F(uapi, ids)
{
	__u32 id, last, first, other_id;
	int i, other;

	/* never 0, ascending, not reused soon after a free */
	ASSERT_NE(0, self->id);
	last = self->id;
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, ia_alloc(self->fd, &id));
		ASSERT_LT(last, id);
		ASSERT_EQ(0, ia_free(self->fd, id));
		ASSERT_EQ(-ENOENT, ia_free(self->fd, id));
		last = id;
	}
	/* each context has its own ids */
	other = ia_open();
	ASSERT_LE(0, other);
	ASSERT_EQ(0, ia_alloc(other, &other_id));
	ASSERT_EQ(0, ia_alloc(self->fd, &first));
	ASSERT_NE(first, other_id);
	EXPECT_EQ(-ENOENT, ia_free(other, first));
	EXPECT_EQ(-ENOENT, ia_map(other, first, 0, self->mem, page_size));
	EXPECT_EQ(0, ia_free(self->fd, first));
	EXPECT_EQ(0, ia_free(other, other_id));
	close(other);
}

TEST_F(uapi, shared_by_all_descriptors)
{
	struct ioasid_info info;
	int copy, status;
	pid_t pid;
	__u32 id;

	copy = dup(self->fd);
	ASSERT_LE(0, copy);
	ASSERT_EQ(0, ia_info(copy, self->id, &info));
	ASSERT_EQ(0, ia_alloc(copy, &id));
	ASSERT_EQ(0, close(copy));
	ASSERT_EQ(0, ia_info(self->fd, id, &info));

	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ia_free(self->fd, id) ? 1 : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(-ENOENT, ia_info(self->fd, id, &info));
}

TEST_F(uapi, info)
{
	struct ioasid_iova_range ranges[4];
	struct ioasid_info info;
	unsigned int i;
	char *edge;
	__u32 id;

	ASSERT_EQ(0, ia_alloc_full(self->fd, &id, 0x123456789abcdef0, SZ_2M));
	memset(&info, 0xff, sizeof(info));
	info.argsz = sizeof(info);
	info.flags = 0;
	info.ioasid = id;
	info.nr_ranges = 0;
	/* without room, the pointer is not used */
	info.ranges = 8;
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	EXPECT_EQ(sizeof(info), info.argsz);
	EXPECT_EQ(id, info.ioasid);
	EXPECT_EQ(0, info.state);
	EXPECT_EQ(IOASID_KIND_MAP, info.kind);
	EXPECT_EQ(0, info.parent);
	EXPECT_EQ(0x123456789abcdef0, info.cookie);
	EXPECT_EQ(SZ_2M, info.cut_size);
	EXPECT_NE(0, info.pgsizes & page_size);
	EXPECT_EQ(0, info.pgsizes & (page_size - 1));
#ifdef __x86_64__
	EXPECT_NE(0, info.pgsizes & SZ_2M);
#endif
	EXPECT_EQ(IOASID_SNOOP_AUTO, info.snoop);
	EXPECT_EQ(0, info.nr_domains);
	EXPECT_EQ(0, info.nr_devices);
	EXPECT_EQ(0, info.nr_children);
	EXPECT_EQ(0, info.nr_mappings);
	EXPECT_EQ(0, info.bytes_mapped);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, info.bytes_charged);
	EXPECT_EQ(~0ULL, info.bytes_left);
	EXPECT_EQ(0, info.waiting_cookie);
	EXPECT_EQ(0, info.waiting_devid);
	EXPECT_EQ(1, info.nr_ranges);

	/* more room than there are ranges */
	memset(ranges, 0xa5, sizeof(ranges));
	info.nr_ranges = ARRAY_SIZE(ranges);
	info.ranges = IA_PTR(ranges);
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	EXPECT_EQ(1, info.nr_ranges);
	EXPECT_EQ(0, ranges[0].start);
	EXPECT_EQ(~0ULL, ranges[0].last);
	for (i = 1; i < ARRAY_SIZE(ranges); i++)
		EXPECT_EQ(0xa5a5a5a5a5a5a5a5, ranges[i].start);

	/* only the filled part has to be writable */
	edge = ia_mem(2 * page_size);
	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + page_size, page_size, PROT_NONE));
	info.nr_ranges = 0xffffffff;
	info.ranges = IA_PTR(edge + page_size - sizeof(ranges[0]));
	EXPECT_EQ(0, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	EXPECT_EQ(1, info.nr_ranges);
	info.ranges += 8;
	EXPECT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	info.nr_ranges = 1;
	info.ranges = 0;
	EXPECT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	info.ranges = 1ULL << 63;
	EXPECT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_GET_INFO, &info));
	ASSERT_EQ(0, ia_free(self->fd, id));
}

TEST_F(uapi, device_info)
{
	struct ioasid_device_info info;

	/* an IOASID is not a device */
	EXPECT_EQ(-ENOENT, ia_device_info(self->fd, self->id, &info));
	EXPECT_EQ(-ENOENT, ia_device_info(self->fd, 0, &info));
}

#define NR_LISTED 300

TEST_F(uapi, list)
{
	static struct ioasid_list_entry all[NR_LISTED + 4];
	static __u32 ids[NR_LISTED];
	struct ioasid_list_entry *e, some[7];
	struct ioasid_list cmd;
	__u32 nr, i, n, start;
	char *edge;

	ASSERT_EQ(0, ia_free(self->fd, self->id));

	/* no object has this id */
	nr = 4;
	memset(all, 0xa5, sizeof(all));
	ASSERT_EQ(0, ia_list(self->fd, 0, all, &nr));
	ASSERT_EQ(0, nr);
	ASSERT_EQ(0xa5a5a5a5, all[0].id);

	for (i = 0; i < NR_LISTED; i++) {
		ASSERT_EQ(0, ia_alloc_full(self->fd, &ids[i],
					   ~(__u64)i, 0));
	}
	/* holes between the ids */
	for (i = 0, n = 0; i < NR_LISTED; i++) {
		if (i % 10 == 3) {
			ASSERT_EQ(0, ia_free(self->fd, ids[i]));
			continue;
		}
		ids[n++] = ids[i];
	}

	/* without room, the pointer is not used */
	nr = 0;
	ASSERT_EQ(0, ia_list(self->fd, 0, (void *)8, &nr));
	ASSERT_EQ(n, nr);

	/* more room than entries */
	memset(all, 0xa5, sizeof(all));
	nr = ARRAY_SIZE(all);
	ASSERT_EQ(0, ia_list(self->fd, 0, all, &nr));
	ASSERT_EQ(n, nr);
	for (i = 0; i < n; i++) {
		e = &all[i];
		ASSERT_EQ(IOASID_LIST_IOASID, e->type);
		ASSERT_EQ(ids[i], e->id);
		ASSERT_EQ(IOASID_KIND_MAP, e->kind);
		ASSERT_EQ(0, e->parent);
		ASSERT_EQ(0, e->ioasid);
		ASSERT_EQ(0, e->vpasid);
		ASSERT_TRUE(~e->cookie < NR_LISTED && ~e->cookie % 10 != 3);
		if (i)
			ASSERT_LT(all[i - 1].id, e->id);
	}
	ASSERT_EQ(0xa5a5a5a5, all[n].type);

	/* exact, and one short: the first entries, and the number of all */
	for (i = n; i >= n - 1; i--) {
		memset(all, 0xa5, sizeof(all));
		nr = i;
		ASSERT_EQ(0, ia_list(self->fd, 0, all, &nr));
		ASSERT_EQ(n, nr);
		ASSERT_EQ(ids[i - 1], all[i - 1].id);
		ASSERT_EQ(0xa5a5a5a5, all[i].id);
	}

	/* piece by piece */
	start = 0;
	for (i = 0; i < n;) {
		__u32 k;

		nr = ARRAY_SIZE(some);
		ASSERT_EQ(0, ia_list(self->fd, start, some, &nr));
		ASSERT_EQ(n - i, nr);
		for (k = 0; k < nr && k < ARRAY_SIZE(some); k++)
			ASSERT_EQ(ids[i++], some[k].id);
		start = some[k - 1].id + 1;
	}
	nr = 1;
	ASSERT_EQ(0, ia_list(self->fd, start, some, &nr));
	ASSERT_EQ(0, nr);
	nr = 1;
	ASSERT_EQ(0, ia_list(self->fd, 0xffffffff, some, &nr));
	ASSERT_EQ(0, nr);

	/* start is inclusive */
	nr = 1;
	ASSERT_EQ(0, ia_list(self->fd, ids[5], some, &nr));
	ASSERT_EQ(n - 5, nr);
	ASSERT_EQ(ids[5], some[0].id);

	/* only the filled part has to be writable */
	edge = ia_mem(2 * page_size);
	ASSERT_NE(NULL, edge);
	ASSERT_EQ(0, mprotect(edge + page_size, page_size, PROT_NONE));
	nr = 0xffffffff;
	ASSERT_EQ(0, ia_list(self->fd, ids[n - 2],
			     (void *)(edge + page_size - 2 * sizeof(*e)), &nr));
	ASSERT_EQ(2, nr);
	memset(&cmd, 0, sizeof(cmd));
	cmd.argsz = sizeof(cmd);
	cmd.nr = 3;
	cmd.entries = IA_PTR(edge + page_size - 2 * sizeof(*e));
	ASSERT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_LIST, &cmd));
	cmd.entries = 0;
	cmd.nr = 1;
	ASSERT_EQ(-EFAULT, ia_cmd(self->fd, IOASID_LIST, &cmd));
}

/* fdinfo lists 1024 IOASIDs, and counts the others. */
TEST_F(uapi, fdinfo_of_many)
{
	static const unsigned int listed = 1024, extra = 37;
	unsigned int i, lines, mores, more = 0;
	char path[64], line[512];
	__u32 id, last = 0;
	FILE *f;

	for (i = 1; i < listed + extra; i++)
		ASSERT_EQ(0, ia_alloc_full(self->fd, &last, i, 0));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	for (i = 0; i < 2; i++) {
		lines = 0;
		mores = 0;
		f = fopen(path, "re");
		ASSERT_NE(NULL, f);
		while (fgets(line, sizeof(line), f)) {
			if (sscanf(line, "ioasid:\tid=%u", &id) == 1) {
				lines++;
				EXPECT_EQ(0, mores);
				/* the lowest ids, with their lines */
				EXPECT_EQ(self->id + lines - 1, id);
				EXPECT_NE(NULL, strstr(line, "mappings=0"));
			}
			if (sscanf(line, "ioasid-more:\t%u", &more) == 1)
				mores++;
		}
		fclose(f);
		EXPECT_EQ(listed, lines);
		EXPECT_EQ(listed + extra - i,
			  ia_proc_field(path, "ioasid-count"));
		EXPECT_EQ(1, mores);
		EXPECT_EQ(extra - i, more);
		ASSERT_EQ(0, ia_free(self->fd, last--));
	}
	/* the number that it lists */
	for (; last >= self->id + listed; last--)
		ASSERT_EQ(0, ia_free(self->fd, last));
	f = fopen(path, "re");
	ASSERT_NE(NULL, f);
	lines = 0;
	while (fgets(line, sizeof(line), f)) {
		lines += !strncmp(line, "ioasid:", 7);
		EXPECT_NE(0, strncmp(line, "ioasid-more", 11));
	}
	fclose(f);
	EXPECT_EQ(listed, lines);
}

static int map_raw(int fd, struct ioasid_map_dma *cmd)
{
	cmd->argsz = sizeof(*cmd);
	return ia_cmd(fd, IOASID_MAP_DMA, cmd);
}

TEST_F(uapi, map_arguments)
{
	struct ia_state before, after;
	const char *diff;

#define MAP(...)							\
({									\
	struct ioasid_map_dma _cmd = {					\
		.flags = IA_RW_FIXED,					\
		.ioasid = self->id,					\
		.iova = iova_new,					\
		.addr = IA_PTR(self->mem),				\
		.length = page_size,					\
		__VA_ARGS__						\
	};								\
									\
	map_raw(self->fd, &_cmd);					\
})
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova_there, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));

	/* combinations of flags */
	EXPECT_EQ(-EINVAL, MAP(.flags = 0, .iova = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_FILE));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED |
					IOASID_MAP_READ, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED |
					IOASID_MAP_WRITE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED |
					IOASID_MAP_FILE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IA_RW,
			       .iova = 0, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW_FIXED | IOASID_MAP_SPLIT));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW | IOASID_MAP_REPLACE,
			       .iova = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_REPLACE));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_RESERVE |
					IOASID_MAP_REPLACE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW_FIXED | IOASID_MAP_REPLACE |
					IOASID_MAP_PROTECT, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW | IOASID_MAP_PROTECT, .iova = 0,
			       .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW_FIXED | IOASID_MAP_PROTECT |
					IOASID_MAP_FILE, .addr = 0));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_FIXED | IOASID_MAP_PROTECT,
			       .addr = 0));
	EXPECT_EQ(-ENXIO, MAP(.flags = IA_RW_FIXED | IOASID_MAP_PROTECT,
			      .addr = 0));

	/* fields that must be 0 */
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED));
	EXPECT_EQ(-EINVAL, MAP(.fd = -1));
	EXPECT_EQ(-EINVAL, MAP(.fd = 1));
	EXPECT_EQ(-EINVAL, MAP(.alignment = page_size));

	/* lengths and alignment */
	EXPECT_EQ(-EINVAL, MAP(.length = 0));
	EXPECT_EQ(-EINVAL, MAP(.length = 1));
	EXPECT_EQ(-EINVAL, MAP(.length = page_size - 1));
	EXPECT_EQ(-EINVAL, MAP(.length = page_size + 1));
	EXPECT_EQ(-EINVAL, MAP(.length = ~0ULL));
	EXPECT_EQ(-EINVAL, MAP(.iova = iova_new + 1));
	EXPECT_EQ(-EINVAL, MAP(.iova = iova_new + page_size / 2));
	EXPECT_EQ(-EINVAL, MAP(.iova = ~0ULL));
	EXPECT_EQ(-EINVAL, MAP(.addr = IA_PTR(self->mem) + 1));
	EXPECT_EQ(-EINVAL, MAP(.addr = IA_PTR(self->mem) + page_size / 2));

	/* overflows */
	EXPECT_EQ(-EINVAL, MAP(.iova = -page_size, .length = 2 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.iova = 1ULL << 63, .length = (1ULL << 63) +
							     page_size));
	EXPECT_EQ(-EINVAL, MAP(.iova = 2 * page_size, .length = -page_size));
	EXPECT_EQ(-EINVAL, MAP(.addr = -page_size, .length = 2 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.iova = 0, .length = -page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0,
			       .length = -page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IOASID_MAP_RESERVE | IOASID_MAP_FIXED,
			       .addr = 0, .iova = 2 * page_size,
			       .length = -page_size));

	/* grids */
	EXPECT_EQ(-EINVAL, MAP(.cut_size = 1));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = page_size / 2));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = page_size + 1));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = 3 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.cut_size = ~0ULL));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0, .alignment = 1));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0,
			       .alignment = page_size / 2));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0,
			       .alignment = 3 * page_size));
	EXPECT_EQ(-EINVAL, MAP(.flags = IA_RW, .iova = 0, .alignment = ~0ULL));

	/* an output, not an input */
	EXPECT_EQ(-EFAULT, MAP(.addr = 0));
	EXPECT_EQ(-EFAULT, MAP(.addr = 1ULL << 63));
	EXPECT_EQ(-EFAULT, MAP(.addr = -page_size));
	EXPECT_EQ(-EFAULT, MAP(.addr = -2 * page_size, .length = page_size));

	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
#undef MAP
}

TEST_F(uapi, unmap_arguments)
{
	struct ia_state before, after;
	const char *diff;
	__u64 unmapped;

	/* no argument is in order: nothing is written */
#define UNMAP(want, flags, iova, length)				\
do {									\
	EXPECT_EQ(want, ia_unmap_full(self->fd, self->id, flags, iova,	\
				      length, &unmapped));		\
	EXPECT_EQ(IA_UNTOUCHED, unmapped);				\
} while (0)
	ASSERT_EQ(0, ia_map(self->fd, self->id, iova_there, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_map(self->fd, self->id, -page_size, self->mem,
			    page_size));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	UNMAP(-EINVAL, 0, iova_there, 0);
	UNMAP(-EINVAL, 0, iova_there, 1);
	UNMAP(-EINVAL, 0, iova_there, page_size - 1);
	UNMAP(-EINVAL, 0, iova_there, page_size + 1);
	UNMAP(-EINVAL, 0, iova_there, ~0ULL);
	UNMAP(-EINVAL, 0, iova_there + 1, page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_SPLIT, iova_there + page_size / 2,
	      page_size);
	UNMAP(-EINVAL, 0, -page_size, 2 * page_size);
	UNMAP(-EINVAL, 0, 2 * page_size, -page_size);
	UNMAP(-EINVAL, 0, 1ULL << 63, (1ULL << 63) + page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL, iova_there, 0);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL, 0, page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL, iova_there, page_size);
	UNMAP(-EINVAL, IOASID_UNMAP_ALL | IOASID_UNMAP_SPLIT, 0, 0);
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	diff = ia_state_diff(&before, &after);
	EXPECT_EQ(NULL, diff)
		TH_LOG("changed: %s", diff);
#undef UNMAP
}

#ifdef __x86_64__
/*
 * Commands as a 32 bit program issues them: the int 0x80 gate takes even a
 * 64 bit program to the 32 bit system calls. Pointers must be below 4 GiB.
 */
static int compat_cmd(int fd, unsigned int cmd, void *arg)
{
	long rc;

	asm volatile("int $0x80"
		     : "=a" (rc)
		     : "a" (54L), "b" ((long)fd), "c" ((long)cmd), "d" (arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)rc;
}

TEST_F(uapi, compat)
{
	struct ioasid_iova_range *range;
	struct ioasid_list_entry *entry;
	union args *args;
	int status;
	pid_t pid;
	__u32 id;

	args = mmap(NULL, sizeof(*args), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, args);
	range = (void *)&args->bytes[2048];
	entry = (void *)range;

	/* without the gate, the call gives SIGSEGV or ENOSYS */
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(compat_cmd(-1, 0, NULL) == -EBADF ? 0 : 1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (status)
		SKIP(return, "no 32 bit system calls");

	EXPECT_EQ(-ENOTTY, compat_cmd(self->fd, _IO('i', 0x3f), args));
	EXPECT_EQ(-EFAULT, compat_cmd(self->fd, IOASID_ALLOC, NULL));

	args->check = (struct ioasid_check_extension) {
		.argsz = sizeof(args->check),
		.extension = IOASID_EXT_MAP,
	};
	EXPECT_EQ(1, compat_cmd(self->fd, IOASID_CHECK_EXTENSION, args));

	args->alloc = (struct ioasid_alloc) {
		.argsz = sizeof(args->alloc),
		.kind = IOASID_KIND_MAP,
		.cookie = 0x1122334455667788,
		.cut_size = 1ULL << 40,
	};
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_ALLOC, args));
	id = args->alloc.ioasid;
	ASSERT_NE(0, id);

	/* 64 bit values are passed completely */
	args->map = (struct ioasid_map_dma) {
		.argsz = sizeof(args->map),
		.flags = IA_RW_FIXED,
		.ioasid = id,
		.iova = 1ULL << 50,
		.addr = IA_PTR(self->mem),
		.length = page_size,
	};
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_MAP_DMA, args));
	EXPECT_EQ(-EEXIST, compat_cmd(self->fd, IOASID_MAP_DMA, args));
	EXPECT_EQ(1ULL << 50, args->map.fault_addr);

	memset(args, 0, sizeof(*args));
	args->info.argsz = sizeof(args->info);
	args->info.ioasid = id;
	args->info.nr_ranges = 1;
	args->info.ranges = IA_PTR(range);
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_GET_INFO, args));
	EXPECT_EQ(0x1122334455667788, args->info.cookie);
	EXPECT_EQ(1ULL << 40, args->info.cut_size);
	EXPECT_EQ(1, args->info.nr_mappings);
	EXPECT_EQ(page_size, args->info.bytes_mapped);
	EXPECT_EQ(1, args->info.nr_ranges);
	EXPECT_EQ(~0ULL, range->last);

	memset(args, 0, sizeof(*args));
	args->list.argsz = sizeof(args->list);
	args->list.start = id;
	args->list.nr = 1;
	args->list.entries = IA_PTR(entry);
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_LIST, args));
	EXPECT_EQ(1, args->list.nr);
	EXPECT_EQ(0x1122334455667788, entry->cookie);

	memset(args, 0, sizeof(*args));
	args->option.argsz = sizeof(args->option);
	args->option.flags = IOASID_OPTION_GET;
	args->option.option = IOASID_OPTION_LIMIT_PINNED;
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_SET_OPTION, args));
	EXPECT_EQ(~0ULL, args->option.value);

	memset(args, 0, sizeof(*args));
	args->device.argsz = sizeof(args->device);
	args->device.devid = id;
	EXPECT_EQ(-ENOENT, compat_cmd(self->fd, IOASID_DEVICE_GET_INFO, args));

	memset(args, 0, sizeof(*args));
	args->unmap.argsz = sizeof(args->unmap);
	args->unmap.ioasid = id;
	args->unmap.iova = 1ULL << 50;
	args->unmap.length = page_size;
	ASSERT_EQ(0, compat_cmd(self->fd, IOASID_UNMAP_DMA, args));
	EXPECT_EQ(page_size, args->unmap.unmapped);

	memset(args, 0, sizeof(*args));
	args->free.argsz = sizeof(args->free);
	args->free.ioasid = id;
	EXPECT_EQ(0, compat_cmd(self->fd, IOASID_FREE, args));
	EXPECT_EQ(-ENOENT, compat_cmd(self->fd, IOASID_FREE, args));
}
#endif /* __x86_64__ */

TEST_HARNESS_MAIN
