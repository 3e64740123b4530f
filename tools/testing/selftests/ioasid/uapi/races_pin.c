// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands beside one that hangs in the pin of its memory, and the end of a
 * process that does.
 *
 * A pin hangs for as long as a test wants by userfaultfd: the memory is of a
 * memfd, and faults on its second half wait for the test. No page stays pinned
 * if the memfd can be sealed against writing then.
 */
#include <linux/memfd.h>
#include <stdatomic.h>

#include "ioasid_test.h"
#include "family.h"
#include "uffd.h"

#define PG page_size

static const __u64 base = SZ_1G;

/* Pages that are mapped; faults on the second half of them wait. */
#define NR_PAGES 8

struct mapper {
	pthread_t thread;
	int fd;
	__u32 id;
	__u64 iova;
	char *mem;
	__u64 fault_addr;
	int rc;
	atomic_int done;
};

static void *mapper_thread(void *arg)
{
	struct mapper *m = arg;

	m->rc = ia_map_full(m->fd, m->id, IA_RW_FIXED, &m->iova,
			    IA_PTR(m->mem), NR_PAGES * PG, 0, 0, 0,
			    &m->fault_addr);
	atomic_store(&m->done, 1);
	return NULL;
}

static void count_signal(int sig)
{
}

FIXTURE(hung)
{
	int fd;
	int file;
	int uffd;
	__u32 id;
	char *mem;
	char *other;
	struct mapper mapper;
	bool released;
};

FIXTURE_VARIANT(hung)
{
	__u64 charge;
};

FIXTURE_VARIANT_ADD(hung, charge_user)
{
	.charge = IOASID_CHARGE_USER,
};

FIXTURE_VARIANT_ADD(hung, charge_mm)
{
	.charge = IOASID_CHARGE_MM,
};

FIXTURE_SETUP(hung)
{
	struct sigaction sa = { .sa_handler = count_signal };

	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	self->uffd = open_userfaultfd();
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_CHARGE,
				   variant->charge, 0));
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	self->other = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->other);
	self->file = memfd_create("races", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, NR_PAGES * PG));
	self->mem = mmap(NULL, NR_PAGES * PG, PROT_READ | PROT_WRITE,
			 MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	memset(self->mem, 1, NR_PAGES / 2 * PG);
	ASSERT_EQ(0, hold_faults(self->uffd, self->mem + NR_PAGES / 2 * PG,
				 NR_PAGES / 2 * PG));
	self->mapper = (struct mapper) {
		.fd = self->fd,
		.id = self->id,
		.iova = base,
		.mem = self->mem,
	};
	ASSERT_EQ(0, pthread_create(&self->mapper.thread, NULL, mapper_thread,
				    &self->mapper));
	ASSERT_TRUE(fault_waits(self->uffd))
		TH_LOG("the map did not wait for its memory: %d",
		       self->mapper.rc);
	ASSERT_EQ(0, atomic_load(&self->mapper.done));
}

/* Let the mapper continue; returns the result of its map. */
#define RELEASE()							\
({									\
	EXPECT_EQ(0, atomic_load(&self->mapper.done));			\
	ASSERT_EQ(0, release_faults(self->uffd,				\
				    self->mem + NR_PAGES / 2 * PG,	\
				    NR_PAGES / 2 * PG));		\
	ASSERT_EQ(0, pthread_join(self->mapper.thread, NULL));		\
	self->released = true;						\
	self->mapper.rc;						\
})

/* After all is unmapped and closed, no page may be pinned. */
FIXTURE_TEARDOWN(hung)
{
	if (!self->released) {
		close(self->uffd);
		pthread_join(self->mapper.thread, NULL);
	}
	close(self->fd);
	munmap(self->mem, NR_PAGES * PG);
	EXPECT_EQ(0, fcntl(self->file, F_ADD_SEALS, F_SEAL_WRITE))
		TH_LOG("pages stayed pinned");
	EXPECT_EQ(0, ia_status("VmPin"));
}

static __u64 pinned(int fd, __u32 id)
{
	struct ioasid_info info;

	return ia_info(fd, id, &info) ? ~0ULL : info.bytes_pinned;
}

/* All commands work but the mapper's. */
TEST_F_TIMEOUT(hung, others_go_on, 30)
{
	struct ioasid_list_entry entries[4];
	__u64 unmapped, value, iova;
	struct ioasid_info info;
	__u32 id, nr = 4;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
		EXPECT_EQ(0, info.bytes_mapped);
		ASSERT_EQ(0, ia_list(self->fd, 0, entries, &nr));
		ASSERT_EQ(0, ia_get_option(self->fd, IOASID_OPTION_CHARGE,
					   &value, NULL));
		ASSERT_EQ(0, ia_alloc(self->fd, &id));
		ASSERT_EQ(0, ia_map(self->fd, id, base, self->other, PG));
		ASSERT_EQ(0, ia_free(self->fd, id));
		ASSERT_EQ(0, ia_map(self->fd, self->id, base - PG, self->other,
				    PG));
		ASSERT_EQ(0, ia_map(self->fd, self->id, base + NR_PAGES * PG,
				    self->other, PG));
		ASSERT_EQ(0, ia_map_any(self->fd, self->id, &iova, self->other,
					PG));
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, iova, PG,
				      &unmapped));
		EXPECT_EQ(PG, unmapped);
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, base - PG, PG,
				      &unmapped));
		EXPECT_EQ(PG, unmapped);
		ASSERT_EQ(0, ia_unmap(self->fd, self->id, base + NR_PAGES * PG,
				      PG, &unmapped));
		EXPECT_EQ(PG, unmapped);
	}
	EXPECT_EQ(0, RELEASE());
	EXPECT_EQ(NR_PAGES * PG, pinned(self->fd, self->id));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, base, NR_PAGES * PG,
			      &unmapped));
	EXPECT_EQ(NR_PAGES * PG, unmapped);
}

/* The range of a map under way is taken. */
TEST_F_TIMEOUT(hung, range_is_taken, 30)
{
	__u64 iova, fault_addr = 0;

	EXPECT_EQ(-EEXIST, ia_map(self->fd, self->id, base, self->other, PG));
	EXPECT_EQ(-EEXIST, ia_reserve(self->fd, self->id, base, PG));
	iova = base - 2 * PG;
	EXPECT_EQ(-EEXIST, ia_map_full(self->fd, self->id, IA_RW_FIXED, &iova,
				       IA_PTR(self->other), 4 * PG, 0, 0, 0,
				       &fault_addr));
	EXPECT_EQ(base, fault_addr);
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, 0, base));
	ASSERT_EQ(0, ia_reserve(self->fd, self->id, base + NR_PAGES * PG,
				-(base + NR_PAGES * PG)));
	EXPECT_EQ(-ENOSPC, ia_map_any(self->fd, self->id, &iova, self->other,
				      PG));
	EXPECT_EQ(0, RELEASE());
}

/* A pending map is no mapping yet: it is counted, but not read back. */
TEST_F_TIMEOUT(hung, not_told, 30)
{
	struct ioasid_query_entry entries[3];
	struct ioasid_query_map query = {
		.argsz = sizeof(query),
		.ioasid = self->id,
		.nr = 3,
		.entries = IA_PTR(entries),
	};

	ASSERT_EQ(0, ia_map(self->fd, self->id, 2 * base, self->other, PG));
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_QUERY_MAP, &query));
	EXPECT_EQ(1, query.nr);
	EXPECT_EQ(2 * base, entries[0].iova);
	EXPECT_EQ(0, query.more);
	EXPECT_EQ(0, RELEASE());
	query.nr = 3;
	ASSERT_EQ(0, ia_cmd(self->fd, IOASID_QUERY_MAP, &query));
	EXPECT_EQ(2, query.nr);
	EXPECT_EQ(base, entries[0].iova);
}

/* A cancelled map leaves its range at once, long before it returns. */
TEST_F_TIMEOUT(hung, unmap, 30)
{
	__u64 unmapped;

	ASSERT_EQ(0, ia_unmap(self->fd, self->id, base, NR_PAGES * PG,
			      &unmapped));
	EXPECT_EQ(0, unmapped);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base + PG, self->other,
			    2 * PG));
	ASSERT_EQ(0, ia_map(self->fd, self->id, base + 3 * PG, self->other,
			    NR_PAGES * PG));
	EXPECT_EQ(-ECANCELED, RELEASE());
	EXPECT_EQ((NR_PAGES + 2) * PG, pinned(self->fd, self->id));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
	EXPECT_EQ((NR_PAGES + 2) * PG, unmapped);
}

TEST_F_TIMEOUT(hung, unmap_wider, 30)
{
	__u64 unmapped;

	ASSERT_EQ(0, ia_map(self->fd, self->id, base - PG, self->other, PG));
	ASSERT_EQ(0, ia_map(self->fd, self->id, base + 2 * NR_PAGES * PG,
			    self->other, 3 * PG));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, 0, SZ_4G, &unmapped));
	EXPECT_EQ(4 * PG, unmapped);
	EXPECT_EQ(-ECANCELED, RELEASE());
	EXPECT_EQ(0, pinned(self->fd, self->id));
}

TEST_F_TIMEOUT(hung, unmap_all, 30)
{
	__u64 unmapped;

	ASSERT_EQ(0, ia_map(self->fd, self->id, base - PG, self->other, PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, &unmapped));
	EXPECT_EQ(PG, unmapped);
	EXPECT_EQ(-ECANCELED, RELEASE());
	EXPECT_EQ(0, pinned(self->fd, self->id));
}

/* An unmap of other ranges does not touch it. */
TEST_F_TIMEOUT(hung, unmap_beside, 30)
{
	__u64 unmapped;

	ASSERT_EQ(0, ia_unmap(self->fd, self->id, 0, base, &unmapped));
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, base + NR_PAGES * PG, SZ_4G,
			      &unmapped));
	EXPECT_EQ(0, RELEASE());
	EXPECT_EQ(NR_PAGES * PG, pinned(self->fd, self->id));
}

/* An unmap of a part is refused, or unmaps the whole. */
TEST_F_TIMEOUT(hung, unmap_part, 30)
{
	__u64 unmapped;
	int rc, map_rc;

	rc = ia_unmap(self->fd, self->id, base + PG, PG, &unmapped);
	EXPECT_EQ(0, unmapped);
	EXPECT_TRUE(rc == 0 || rc == -EINVAL)
		TH_LOG("%d", rc);
	map_rc = RELEASE();
	EXPECT_EQ(rc ? 0 : -ECANCELED, map_rc);
	EXPECT_EQ(rc ? NR_PAGES * PG : 0, pinned(self->fd, self->id));
}

static int replace(int fd, __u32 id, __u64 iova, void *mem, __u64 length,
		   __u64 *fault_addr)
{
	return ia_map_full(fd, id, IA_RW_FIXED | IOASID_MAP_REPLACE, &iova,
			   IA_PTR(mem), length, 0, 0, 0, fault_addr);
}

/* It is replaced with free IOVAs on both sides of it, and with a mapping. */
TEST_F_TIMEOUT(hung, replace, 30)
{
	char *mem = ia_mem(4 * NR_PAGES * PG);
	__u64 iova = base - NR_PAGES * PG;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, ia_map(self->fd, self->id, base + 2 * NR_PAGES * PG,
			    self->other, PG));
	ASSERT_EQ(0, replace(self->fd, self->id, iova, mem, 4 * NR_PAGES * PG,
			     NULL));
	EXPECT_EQ(-ECANCELED, RELEASE());
	EXPECT_EQ(4 * NR_PAGES * PG, pinned(self->fd, self->id));
	EXPECT_EQ(0, ia_unmap(self->fd, self->id, iova, 4 * NR_PAGES * PG,
			      NULL));
	EXPECT_EQ(0, pinned(self->fd, self->id));
}

/* Replaced in part it is cancelled as a whole. */
TEST_F_TIMEOUT(hung, replace_part, 30)
{
	ASSERT_EQ(0, replace(self->fd, self->id, base + PG, self->other,
			     2 * PG, NULL));
	ASSERT_EQ(0, ia_map(self->fd, self->id, base, self->other, PG));
	ASSERT_EQ(0, ia_map(self->fd, self->id, base + 3 * PG, self->other,
			    NR_PAGES * PG));
	EXPECT_EQ(-ECANCELED, RELEASE());
	EXPECT_EQ((NR_PAGES + 3) * PG, pinned(self->fd, self->id));
}

/* IOASID_MAP_REPLACE that fails has changed nothing, not even this map. */
TEST_F_TIMEOUT(hung, replace_fails, 30)
{
	__u64 fault_addr, after = base + NR_PAGES * PG;

	ASSERT_EQ(0, ia_reserve(self->fd, self->id, after, PG));
	EXPECT_EQ(-EEXIST, replace(self->fd, self->id, base - PG, self->other,
				   (NR_PAGES + 2) * PG, &fault_addr));
	EXPECT_EQ(after, fault_addr);
	EXPECT_EQ(-EEXIST, replace(self->fd, self->id, base + PG, self->other,
				   NR_PAGES * PG, &fault_addr));
	EXPECT_EQ(after, fault_addr);
	/* its range is still taken, and what is beside it free */
	EXPECT_EQ(-EEXIST, ia_map(self->fd, self->id, base + PG, self->other,
				  PG));
	EXPECT_EQ(0, ia_map(self->fd, self->id, base - PG, self->other, PG));
	EXPECT_EQ(0, RELEASE());
	EXPECT_EQ((NR_PAGES + 1) * PG, pinned(self->fd, self->id));
	EXPECT_EQ(0, ia_unmap(self->fd, self->id, base, NR_PAGES * PG, NULL));
}

/* Nor has one that fails for a child, which refers to memory beside it. */
TEST_F_TIMEOUT(hung, replace_busy, 30)
{
	__u64 fault_addr, after = base + NR_PAGES * PG, iova = base;
	__u32 child;

	ASSERT_EQ(0, ia_map(self->fd, self->id, after, self->other, PG));
	ASSERT_EQ(0, ia_child(self->fd, self->id, 0, &child));
	ASSERT_EQ(0, ia_map_full(self->fd, child, IA_RW_FIXED, &iova, after,
				 PG, 0, 0, 0, NULL));
	EXPECT_EQ(-EBUSY, replace(self->fd, self->id, base, self->other,
				  (NR_PAGES + 1) * PG, &fault_addr));
	EXPECT_EQ(after, fault_addr);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, self->id));
	EXPECT_EQ(0, RELEASE());
	EXPECT_EQ((NR_PAGES + 1) * PG, pinned(self->fd, self->id));
}

TEST_F_TIMEOUT(hung, free, 30)
{
	struct ioasid_info info;
	__u32 id;

	ASSERT_EQ(0, ia_free(self->fd, self->id));
	EXPECT_EQ(-ENOENT, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(-ENOENT, ia_free(self->fd, self->id));
	ASSERT_EQ(0, ia_alloc(self->fd, &id));
	EXPECT_NE(self->id, id);
	EXPECT_EQ(-ECANCELED, RELEASE());
	EXPECT_EQ(0, pinned(self->fd, id));
}

/* close() returns; the mapper has the file until it returns. */
TEST_F_TIMEOUT(hung, close, 30)
{
	int rc;

	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	rc = RELEASE();
	EXPECT_TRUE(rc == 0 || rc == -ECANCELED)
		TH_LOG("%d", rc);
}

/* Signals that do not kill do not end a map. */
TEST_F_TIMEOUT(hung, signal, 30)
{
	int i;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, pthread_kill(self->mapper.thread, SIGUSR1));
		usleep(5000);
	}
	EXPECT_EQ(0, RELEASE());
	EXPECT_EQ(NR_PAGES * PG, pinned(self->fd, self->id));
}

/* The memory is unmapped meanwhile. */
TEST_F_TIMEOUT(hung, munmap, 30)
{
	ASSERT_EQ(0, munmap(self->mem + NR_PAGES / 2 * PG,
			    NR_PAGES / 2 * PG));
	close(self->uffd);
	ASSERT_EQ(0, pthread_join(self->mapper.thread, NULL));
	self->released = true;
	EXPECT_EQ(-EFAULT, self->mapper.rc);
	EXPECT_EQ(IA_PTR(self->mem + NR_PAGES / 2 * PG),
		  self->mapper.fault_addr);
	EXPECT_EQ(0, pinned(self->fd, self->id));
	EXPECT_EQ(0, ia_map(self->fd, self->id, base, self->other, PG));
}

/* Many maps hang, and one of them is resumed. */
TEST_F_TIMEOUT(hung, several, 60)
{
	struct mapper more[6];
	struct ioasid_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(more); i++) {
		more[i] = self->mapper;
		more[i].iova = base + (i + 1) * SZ_1M;
		ASSERT_EQ(0, pthread_create(&more[i].thread, NULL,
					    mapper_thread, &more[i]));
		ASSERT_TRUE(fault_waits(self->uffd));
	}
	ASSERT_EQ(0, ia_unmap(self->fd, self->id, base + 3 * SZ_1M, SZ_1M,
			      NULL));
	ASSERT_EQ(0, ia_map(self->fd, self->id, base + 3 * SZ_1M, self->other,
			    NR_PAGES * PG));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(NR_PAGES * PG, info.bytes_mapped);
	EXPECT_EQ(0, RELEASE());
	for (i = 0; i < ARRAY_SIZE(more); i++) {
		ASSERT_EQ(0, pthread_join(more[i].thread, NULL));
		EXPECT_EQ(i == 2 ? -ECANCELED : 0, more[i].rc);
	}
	EXPECT_EQ((ARRAY_SIZE(more) + 1) * NR_PAGES * PG,
		  pinned(self->fd, self->id));
}

/* A process that hangs in a map is killed; other processes hold the file. */
FIXTURE(dying)
{
	int fd;
	int file;
	__u32 id;
	char *mem;
};

FIXTURE_VARIANT(dying)
{
	bool shared;	/* the parent has the file, too */
	bool kill;	/* or it exits by itself, from another thread */
};

FIXTURE_VARIANT_ADD(dying, killed) { .kill = true };

FIXTURE_VARIANT_ADD(dying, killed_shared) { .kill = true, .shared = true };

FIXTURE_VARIANT_ADD(dying, exits) {};

FIXTURE_VARIANT_ADD(dying, exits_shared) { .shared = true };

FIXTURE_SETUP(dying)
{
	self->fd = ia_open();
	if (self->fd == -ENOENT)
		SKIP(return, IA_ABSENT);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ia_alloc(self->fd, &self->id));
	self->file = memfd_create("dying", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, NR_PAGES * PG));
	self->mem = ia_mem(NR_PAGES * PG);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(dying)
{
	close(self->fd);
}

static void dying_child(int fd, __u32 id, int file, int tell, bool by_itself)
{
	struct mapper m = { .fd = fd, .id = id, .iova = base };
	int uffd = open_userfaultfd();

	if (uffd < 0)
		_exit(KSFT_SKIP);
	m.mem = mmap(NULL, NR_PAGES * PG, PROT_READ | PROT_WRITE, MAP_SHARED,
		     file, 0);
	if (m.mem == MAP_FAILED)
		_exit(1);
	memset(m.mem, 1, PG);
	if (hold_faults(uffd, m.mem + PG, (NR_PAGES - 1) * PG) ||
	    pthread_create(&m.thread, NULL, mapper_thread, &m) ||
	    !fault_waits(uffd) || write(tell, "", 1) != 1)
		_exit(2);
	if (by_itself)
		_exit(0);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(dying, while_mapping, 30)
{
	struct ioasid_info info;
	int pipe_fd[2], status;
	__u64 iova = base;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(pipe_fd));
	pid = ia_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (!variant->shared) {
			close(self->fd);
			self->fd = ia_open();
			if (ia_alloc(self->fd, &self->id))
				_exit(1);
		}
		dying_child(self->fd, self->id, self->file, pipe_fd[1],
			    !variant->kill);
	}
	close(pipe_fd[1]);
	if (read(pipe_fd[0], &c, 1) != 1) {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		if (WEXITSTATUS(status) == KSFT_SKIP)
			SKIP(return, "no userfaultfd");
		ASSERT_EQ(0, status);
	}
	if (variant->kill)
		ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	close(pipe_fd[0]);

	/* no mapping and no charge is left */
	EXPECT_EQ(0, fcntl(self->file, F_ADD_SEALS, F_SEAL_SHRINK));
	ASSERT_EQ(0, ia_info(self->fd, self->id, &info));
	EXPECT_EQ(0, info.nr_mappings);
	EXPECT_EQ(0, info.bytes_pinned);
	EXPECT_EQ(0, ia_map(self->fd, self->id, base, self->mem, PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	ASSERT_EQ(0, ia_map_file(self->fd, self->id, IA_RW_FIXED, &iova,
				 self->file, 0, NR_PAGES * PG));
	ASSERT_EQ(0, ia_unmap_all(self->fd, self->id, NULL));
	EXPECT_EQ(0, fcntl(self->file, F_ADD_SEALS, F_SEAL_WRITE));
}

TEST_HARNESS_MAIN
