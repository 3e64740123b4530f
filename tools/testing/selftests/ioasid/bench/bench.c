// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of map, of unmap and of the life of an address space, on /dev/ioasid
 * and, with the same device in the same boot, on iommufd and VFIO type1; and on
 * vhost-vdpa where it is comparable. "back-end" and "container" are programs that
 * know type1 alone, on /dev/ioasid: type1's commands, on /dev/vfio/vfio served by
 * vfio_iommu_ioasid, and on the file of /dev/ioasid.
 *
 * How to read the numbers
 *
 * Times are nanoseconds of CLOCK_MONOTONIC. In a VM of one vCPU under QEMU's
 * -icount shift=0 one nanosecond is one instruction, of the kernel and of this
 * program together, and the numbers repeat to about one in a hundred; the
 * heading says whether the VM is one. They do not show cache misses,
 * contention, or what an IOTLB flush takes in hardware; so flushes are counted
 * separately, by tracing, outside of the timed loops.
 *
 * Each number is the median of several runs, after one that warms up page
 * tables, slabs and caches. "Fresh" memory is touched, but not known to the
 * address space: a map pins it, an unmap unpins it. Lists of mappings are
 * mapped in ascending order, then unmapped in ascending order, one ioctl each.
 * "per page" is per 4 KiB.
 *
 * A device is attached, except in rows that say otherwise. Root skips the
 * accounting of locked memory; the second table is of an unprivileged process
 * with a large RLIMIT_MEMLOCK, which does not. Only IOASID has bars; bars of
 * rows that depend on the IOMMU hold with VT-d only. A row without a bar is for
 * comparison.
 *
 * Two columns need care. "iommufd-fix" is iommufd without a few lines that make
 * each of its small operations search 63 absent domains: a state that it could
 * easily reach. "vhost-vdpa" is the simulated vDPA network device, as there is
 * no other without hardware: it writes no page table and flushes nothing, but
 * keeps a list of at most 2,048 translations; rows that need more are left out.
 *
 * Bytes per address space come from the memory cgroup, and from MemFree, which
 * shows unaccounted memory, too.
 *
 * Three users are modelled, by the instructions for a unit of their work: a
 * guest behind a vIOMMU that maps and unmaps network buffers of 4 KiB, a ring
 * of 256 of them (ring, ref_ring, batch_ring); an NVMe driver that maps 128 KiB
 * for each I/O (nvme); the memory of a VM that starts, and ends (vm), 4 GiB in
 * one mapping per 256 MiB (512 MiB if this machine has less than 11 GiB; the
 * number is per GiB). Backends that can register memory do so before; the cost
 * of that is a row of its own.
 *
 * Programs that map by VFIO are modelled by what they map at start, and unmap: QEMU
 * its guest's memory in one (qemu), SPDK huge pages of 2 MiB, one by one (spdk),
 * DPDK the same, and one of 1 GiB, by version 1 of type1 (dpdk).
 *
 * The cost of a mapping must not depend on the number of others. "4K pair among
 * N" is a map and an unmap, at the same 1,024 places for all N, between N
 * mappings that are spread evenly over the same range, so that the page tables
 * are the same too. Only the depth of trees may grow: log2(N) levels, rounded
 * up. The cost beyond TREE_LEVEL instructions for each level must be within a
 * tenth of the cost among one; the measured cost of a level is printed below
 * the table.
 *
 *	bench [-d DEVICE] [-j FILE] [-r RUNS] [-b BACKEND,...] [-x COMMAND] [-q] [-c]
 *	  -d address of a PCI device, which vfio-pci gets (default: an edu)
 *	  -j write the numbers to FILE as JSON, too; "-" is standard output
 *	  -r runs per row (default: 7)
 *	  -b measure only these columns
 *	  -x a command that loads another iommufd, for iommufd-fix; nothing uses
 *	     the one that is loaded then
 *	  -q quick: fewer address spaces, less memory; bars do not apply
 *	  -c exit with status 1 if a bar was missed
 *
 * Longer than 900 lines, since a row is in the table of rows, in its measurement and
 * in the report: these change together.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/iommufd.h>

#include "backend.h"
#include "hw.h"
#include "stopwatch.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SZ_4K 0x1000ULL
#define SZ_128K 0x20000ULL
#define SZ_2M 0x200000ULL
#define SZ_4M 0x400000ULL
#define SZ_64M 0x4000000ULL
#define SZ_256M 0x10000000ULL
#define SZ_1G 0x40000000ULL

#define IOVA 0x100000000ULL
#define MAX_RUNS 31
#define NOBODY 65534

#define VTD "/sys/class/iommu/dmar0"
#define TRACING "/sys/kernel/tracing/"
#define CGROUP "/sys/fs/cgroup/ioasid-bench"

enum row {
	MAP_4K, UNMAP_4K, PAIR_4K,
	RING_4K,
	MAP_2M, UNMAP_2M,
	MAP_64M, UNMAP_64M,
	MAP_PAGES, UNMAP_PAGES,
	MAP_SCATTER, UNMAP_SCATTER,
	LAZY_MAP_4K, LAZY_UNMAP_4K, LAZY_BYTES,
	ALLOC, FREE, BYTES, BYTES_FREE, CLOSE,
	REPLACE,
	REGISTER_PAGES, REGISTER_64M,
	REF_MAP_4K, REF_UNMAP_4K,
	BATCH_MAP_4K, BATCH_UNMAP_4K,
	SPREAD_MAP_4K, SPREAD_UNMAP_4K,
	BATCH_MAP_2M, BATCH_UNMAP_2M,
	REF_MAP_64M, REF_UNMAP_64M,
	DEMAND_MAP_4K, DEMAND_UNMAP_4K,
	REF_RING_4K, BATCH_RING_4K,
	NVME_REF, NVME_FRESH,
	VM_THP, VM_THP_STOP, VM_PAGES, VM_PAGES_STOP,
	QEMU_THP, QEMU_THP_STOP, QEMU_PAGES, QEMU_PAGES_STOP,
	SPDK, SPDK_STOP, DPDK, DPDK_STOP, DPDK_1G, DPDK_1G_STOP,
	FLAT_1, FLAT_1K, FLAT_64K, FLAT_1M,
	FRESH_1, FRESH_1K, FRESH_64K,
	FLUSH_4K, FLUSH_2M, FLUSH_64M, FLUSH_PAGES, FLUSH_BATCH,
	NR_ROWS
};

static const struct {
	const char *key;
	const char *name;
	const char *unit;
	double bar;
} rows[NR_ROWS] = {
	[MAP_4K] = { "map_4k", "4K map, fresh, one ioctl", "op", 0 },
	[UNMAP_4K] = { "unmap_4k", "4K unmap, one ioctl", "op", 0 },
	[PAIR_4K] = { "pair_4k", "4K map + unmap, fresh", "pair", 4800 },
	[RING_4K] = { "ring_4k", "ring of 256 x 4K, fresh", "pair", 0 },
	[MAP_2M] = { "map_2m", "2M THP map, fresh", "op", 20000 },
	[UNMAP_2M] = { "unmap_2m", "2M THP unmap", "op", 3000 },
	[MAP_64M] = { "map_64m", "64M THP map, fresh", "op", 0 },
	[UNMAP_64M] = { "unmap_64m", "64M THP unmap", "op", 0 },
	[MAP_PAGES] = { "map_256m", "256M of 4K pages map", "per page", 250 },
	[UNMAP_PAGES] = { "unmap_256m", "256M of 4K pages unmap", "per page",
			  130 },
	[MAP_SCATTER] = { "map_scatter", "64M scattered pages map",
			  "per page", 0 },
	[UNMAP_SCATTER] = { "unmap_scatter", "64M scattered pages unmap",
			    "per page", 0 },
	[LAZY_MAP_4K] = { "lazy_map_4k", "4K map, no device", "op", 0 },
	[LAZY_UNMAP_4K] = { "lazy_unmap_4k", "4K unmap, no device", "op", 0 },
	[LAZY_BYTES] = { "lazy_bytes", "memory of a 4K mapping, no device",
			 "bytes", 0 },
	[ALLOC] = { "alloc", "address space alloc", "op", 1300 },
	[FREE] = { "free", "address space free", "op", 1200 },
	[BYTES] = { "bytes", "memory of an idle address space", "bytes", 320 },
	[BYTES_FREE] = { "bytes_memfree", "  the same, by MemFree", "bytes",
			 0 },
	[CLOSE] = { "close", "close of 1,048,576 address spaces", "each",
		    350 },
	[REPLACE] = { "replace", "move the device to another one", "op", 0 },
	[REGISTER_PAGES] = { "register_4k", "registering 4K pages",
			     "per page", 0 },
	[REGISTER_64M] = { "register_64m", "registering 64M of THP", "op", 0 },
	[REF_MAP_4K] = { "ref_map_4k", "4K map by reference, one ioctl", "op",
			 1900 },
	[REF_UNMAP_4K] = { "ref_unmap_4k", "4K unmap by reference", "op",
			   2300 },
	[BATCH_MAP_4K] = { "batch_map_4k", "  the same, 64 in a batch: map",
			   "op", 1150 },
	[BATCH_UNMAP_4K] = { "batch_unmap_4k", "  64 in a batch: unmap", "op",
			     1250 },
	[SPREAD_MAP_4K] = { "spread_map_4k", "  64 scattered IOVAs: map", "op",
			    1300 },
	[SPREAD_UNMAP_4K] = { "spread_unmap_4k", "  64 scattered IOVAs: unmap",
			      "op", 1400 },
	[BATCH_MAP_2M] = { "batch_map_2m", "2M THP by reference, batch: map",
			   "op", 1150 },
	[BATCH_UNMAP_2M] = { "batch_unmap_2m", "2M THP, batch: unmap", "op",
			     1500 },
	[REF_MAP_64M] = { "ref_map_64m", "64M THP map by reference", "op",
			  20000 },
	[REF_UNMAP_64M] = { "ref_unmap_64m", "64M THP unmap by reference",
			    "op", 6000 },
	[DEMAND_MAP_4K] = { "demand_map_4k", "4K map by reference, on demand",
			    "op", 0 },
	[DEMAND_UNMAP_4K] = { "demand_unmap_4k", "4K unmap, on demand", "op",
			      0 },
	[REF_RING_4K] = { "ref_ring_4k", "vIOMMU ring of 256 x 4K, strict",
			  "pair", 4000 },
	[BATCH_RING_4K] = { "batch_ring_4k", "  the same, batches of 32",
			    "pair", 2200 },
	[NVME_REF] = { "nvme_ref", "NVMe driver, 128K, by reference", "I/O",
		       0 },
	[NVME_FRESH] = { "nvme_fresh", "  the same, fresh memory", "I/O", 0 },
	[VM_THP] = { "vm_thp", "VM start, THP: map its memory", "per GiB",
		     0 },
	[VM_THP_STOP] = { "vm_thp_stop", "  unmap it", "per GiB", 0 },
	[VM_PAGES] = { "vm_4k", "VM start, 4K pages: map", "per GiB", 0 },
	[VM_PAGES_STOP] = { "vm_4k_stop", "  unmap it", "per GiB", 0 },
	[QEMU_THP] = { "qemu_thp", "QEMU, THP: map all memory in one",
		       "per GiB", 0 },
	[QEMU_THP_STOP] = { "qemu_thp_stop", "  unmap it", "per GiB", 0 },
	[QEMU_PAGES] = { "qemu_4k", "QEMU, 4K pages: map all in one",
			 "per GiB", 0 },
	[QEMU_PAGES_STOP] = { "qemu_4k_stop", "  unmap it", "per GiB", 0 },
	[SPDK] = { "spdk", "SPDK, 2M huge page: map", "op", 0 },
	[SPDK_STOP] = { "spdk_stop", "  unmap it", "op", 0 },
	[DPDK] = { "dpdk", "DPDK, v1, 2M huge page: map", "op", 0 },
	[DPDK_STOP] = { "dpdk_stop", "  unmap it", "op", 0 },
	[DPDK_1G] = { "dpdk_1g", "DPDK, v1, 1G huge page: map", "op", 0 },
	[DPDK_1G_STOP] = { "dpdk_1g_stop", "  unmap it", "op", 0 },
	[FLAT_1] = { "flat_1", "4K pair by reference, among 1", "pair", 0 },
	[FLAT_1K] = { "flat_1k", "4K pair by reference, among 1,024", "pair",
		      0 },
	[FLAT_64K] = { "flat_64k", "4K pair by reference, among 65,536",
		       "pair", 0 },
	[FLAT_1M] = { "flat_1m", "4K pair by reference, among 1M", "pair", 0 },
	[FRESH_1] = { "fresh_1", "4K pair, fresh, among 1", "pair", 0 },
	[FRESH_1K] = { "fresh_1k", "4K pair, fresh, among 1,024", "pair", 0 },
	/* type1 has at most 65,535. */
	[FRESH_64K] = { "fresh_64k", "4K pair, fresh, among 65,000", "pair",
			0 },
	[FLUSH_BATCH] = { "flush_batch", "IOTLB flushes of a batch of 64",
			  "flushes", 1 },
	[FLUSH_4K] = { "flush_4k", "IOTLB flushes of a 4K unmap", "flushes",
		       1 },
	[FLUSH_2M] = { "flush_2m", "IOTLB flushes of a 2M THP unmap",
		       "flushes", 1 },
	[FLUSH_64M] = { "flush_64m", "IOTLB flushes of a 64M THP unmap",
			"flushes", 1 },
	[FLUSH_PAGES] = { "flush_scatter", "IOTLB flushes of a 64M page unmap",
			  "flushes", 1 },
};

/* Of the unprivileged and of root; 0 is "no number". */
static double results[2][NR_BACKENDS][NR_ROWS];
static unsigned int runs = 7;
static bool quick;

/* The bar relates the row's number to that of @one, among @among. */
static const struct {
	enum row one;
	unsigned int among;
} flat[NR_ROWS] = {
	[FLAT_1] = { FLAT_1, 1 },
	[FLAT_1K] = { FLAT_1, 1024 },
	[FLAT_64K] = { FLAT_1, 65536 },
	[FLAT_1M] = { FLAT_1, 1000000 },
	[FRESH_1] = { FRESH_1, 1 },
	[FRESH_1K] = { FRESH_1, 1024 },
	[FRESH_64K] = { FRESH_1, 65000 },
};

/* Instructions per pair for each level that trees get deeper */
#define TREE_LEVEL 30

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- memory --- */

/* Aligned to 2 MiB, of huge pages or of none, not touched yet. */
static char *get_memory(uint64_t length, bool huge)
{
	char *p, *aligned;

	p = mmap(NULL, length + SZ_2M, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	aligned = (char *)(((uintptr_t)p + SZ_2M - 1) & ~(SZ_2M - 1));
	if (madvise(aligned, length, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		die("madvise");
	return aligned;
}

/*
 * All memory that is mapped; the same pages for every backend, as the number of
 * physically adjacent pages matters.
 */
static struct {
	char *small;
	char *huge;
	char *pages;
	char *scatter;
	char *vm_huge;
	char *vm_pages;
	/* hugetlb pages of 2 MiB and of 1 GiB, or NULL */
	char *hugetlb;
	char *giant;
} mem;

static uint64_t room(void)
{
	return sysconf(_SC_PHYS_PAGES) * (uint64_t)getpagesize();
}

/* A VM's memory: 4 GiB if twice that is free, beside the rest. */
static uint64_t vm_size(void)
{
	if (quick)
		return SZ_256M;
	return room() > 42 * SZ_256M ? 16 * SZ_256M : 2 * SZ_256M;
}

/* Hugetlb pages of 1 << @shift bytes, or NULL if there are not enough. */
static char *get_hugetlb(uint64_t length, unsigned int shift)
{
	char *p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
		       shift << MAP_HUGE_SHIFT, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	memset(p, 1, length);
	return p;
}

#define NR_1G "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"

static unsigned int nr_hugetlb(void)
{
	return quick ? 16 : 128;
}

static void get_all_memory(void)
{
	uint64_t i, n = SZ_64M / SZ_4K;

	mem.pages = get_memory(SZ_256M, false);
	memset(mem.pages, 1, quick ? SZ_64M : SZ_256M);
	mem.huge = get_memory(SZ_64M, true);
	memset(mem.huge, 1, SZ_64M);
	mem.small = get_memory(SZ_4M, false);
	memset(mem.small, 1, SZ_4M);
	mem.vm_huge = get_memory(vm_size(), true);
	memset(mem.vm_huge, 1, vm_size());
	mem.vm_pages = get_memory(vm_size(), false);
	memset(mem.vm_pages, 1, vm_size());
	mem.scatter = get_memory(SZ_64M, false);
	/* An odd stride visits every page of a power of two of them. */
	for (i = 0; i < n; i++)
		mem.scatter[i * 7919 % n * SZ_4K] = 1;
	mem.hugetlb = get_hugetlb(nr_hugetlb() * SZ_2M, 21);
	/* One more GiB, where there is room for that as well */
	if (!quick && room() > 46 * SZ_256M) {
		hw_write_file(NR_1G, "1");
		mem.giant = get_hugetlb(SZ_1G, 30);
	}
}

/* --- the rows --- */

/* Map @n pieces of @size at @stride, then unmap them. */
static int run_list(struct backend *be, enum row map, enum row unmap,
		    char *p, unsigned int n, uint64_t size, uint64_t per,
		    double *out)
{
	uint64_t m[MAX_RUNS], u[MAX_RUNS], t0, t1, t2, i;
	unsigned int r;

	for (r = 0; r <= runs; r++) {
		t0 = now();
		for (i = 0; i < n; i++)
			if (be->map(be, IOVA + i * size, p + i * size, size))
				return -1;
		t1 = now();
		for (i = 0; i < n; i++)
			if (be->unmap(be, IOVA + i * size, size))
				return -1;
		t2 = now();
		if (!r)
			continue;
		m[r - 1] = t1 - t0;
		u[r - 1] = t2 - t1;
	}
	out[map] = median(m, runs) / n / per;
	out[unmap] = median(u, runs) / n / per;
	return 0;
}

/* A window of 256 mappings that moves over 1024 slots. */
static int run_ring(struct backend *be, char *p, double *out)
{
	const unsigned int window = 256, slots = 1024;
	uint64_t v[MAX_RUNS], t, i;
	unsigned int r;

	for (i = 0; i < window; i++)
		if (be->map(be, IOVA + i * SZ_4K, p + i * SZ_4K, SZ_4K))
			return -1;
	for (r = 0; r <= runs; r++) {
		t = now();
		for (; i < window + (r + 1) * (uint64_t)slots; i++) {
			uint64_t in = i % slots * SZ_4K;
			uint64_t old = (i - window) % slots * SZ_4K;

			if (be->unmap(be, IOVA + old, SZ_4K) ||
			    be->map(be, IOVA + in, p + in, SZ_4K))
				return -1;
		}
		if (r)
			v[r - 1] = now() - t;
	}
	out[RING_4K] = median(v, runs) / slots;
	for (; i < window + (runs + 1) * (uint64_t)slots + window; i++)
		if (be->unmap(be, IOVA + (i - window) % slots * SZ_4K, SZ_4K))
			return -1;
	return 0;
}

static void try(int rc, struct backend *be, const char *what)
{
	if (rc)
		fprintf(stderr, "bench: %s: %s: %s\n", be->name, what,
			strerror(errno));
}

static void run_maps(struct backend *be, double *out)
{
	uint64_t pages = quick ? SZ_64M : SZ_256M;

	try(run_list(be, MAP_4K, UNMAP_4K, mem.small, 1024, SZ_4K, 1, out), be,
	    "4K");
	out[PAIR_4K] = out[MAP_4K] + out[UNMAP_4K];
	try(run_ring(be, mem.small, out), be, "ring");
	try(run_list(be, MAP_2M, UNMAP_2M, mem.huge, 32, SZ_2M, 1, out), be,
	    "2M");
	try(run_list(be, MAP_64M, UNMAP_64M, mem.huge, 1, SZ_64M, 1, out), be,
	    "64M");
	if (be == &backends[VHOST])
		return;
	try(run_list(be, MAP_PAGES, UNMAP_PAGES, mem.pages, 1, pages,
		     pages / SZ_4K, out), be, "256M");
	try(run_list(be, MAP_SCATTER, UNMAP_SCATTER, mem.scatter, 1, SZ_64M,
		     SZ_64M / SZ_4K, out), be, "scattered");
}

/* --- IOTLB flushes, by VT-d's tracepoint --- */

static bool trace_start(void)
{
	if (hw_write_file(TRACING "events/intel_iommu/qi_submit/enable", "1"))
		return false;
	close(open(TRACING "trace", O_WRONLY | O_TRUNC));
	return true;
}

static unsigned int trace_stop(void)
{
	unsigned int n = 0;
	char line[512];
	FILE *f;

	hw_write_file(TRACING "events/intel_iommu/qi_submit/enable", "0");
	f = fopen(TRACING "trace", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "qi_submit") && strstr(line, "iotlb_inv"))
			n++;
	if (f)
		fclose(f);
	return n;
}

/* --- users --- */

/* Each I/O is mapped, done and unmapped; the next one uses other memory. */
static int run_nvme(struct backend *be, enum row first, double *out)
{
	const unsigned int n = SZ_4M / SZ_128K;
	uint64_t v[MAX_RUNS], t, i;
	unsigned int r;

	for (r = 0; r <= runs; r++) {
		t = now();
		for (i = 0; i < n; i++)
			if (be->map(be, IOVA + i * SZ_128K,
				    mem.small + i * SZ_128K, SZ_128K) ||
			    be->unmap(be, IOVA + i * SZ_128K, SZ_128K))
				return -1;
		if (r)
			v[r - 1] = now() - t;
	}
	out[first] = median(v, runs) / n;
	return 0;
}

/* Map a VM's memory, which was not mapped before, once, in pieces of @step. */
static int run_vm(struct backend *be, enum row start, enum row stop, char *p,
		  uint64_t step, double *out)
{
	uint64_t m[MAX_RUNS], u[MAX_RUNS], t0, t1, t2, i;
	uint64_t size = vm_size();
	/* A large size needs no repetition. */
	unsigned int r, n = size > SZ_1G || runs < 3 ? 1 : 3;

	for (r = 0; r < n; r++) {
		t0 = now();
		for (i = 0; i < size; i += step)
			if (be->map(be, IOVA + i, p + i, step))
				return -1;
		t1 = now();
		for (i = 0; i < size; i += step)
			if (be->unmap(be, IOVA + i, step))
				return -1;
		t2 = now();
		m[r] = t1 - t0;
		u[r] = t2 - t1;
	}
	out[start] = median(m, n) * 4 * SZ_256M / size;
	out[stop] = median(u, n) * 4 * SZ_256M / size;
	return 0;
}

static void run_users(struct backend *be, double *out)
{
	try(run_nvme(be, NVME_FRESH, out), be, "NVMe");
	try(run_vm(be, VM_THP, VM_THP_STOP, mem.vm_huge, SZ_256M, out), be,
	    "VM, THP");
	if (be == &backends[VHOST])
		return;
	try(run_vm(be, VM_PAGES, VM_PAGES_STOP, mem.vm_pages, SZ_256M, out),
	    be, "VM");
	try(run_vm(be, QEMU_THP, QEMU_THP_STOP, mem.vm_huge, vm_size(), out),
	    be, "QEMU, THP");
	try(run_vm(be, QEMU_PAGES, QEMU_PAGES_STOP, mem.vm_pages, vm_size(),
		   out), be, "QEMU");
	if (mem.hugetlb)
		try(run_list(be, SPDK, SPDK_STOP, mem.hugetlb, nr_hugetlb(),
			     SZ_2M, 1, out), be, "SPDK");
}

/* What a program maps that takes version 1, with which the container is open. */
static void run_dpdk(struct backend *be, double *out)
{
	if (mem.hugetlb)
		try(run_list(be, DPDK, DPDK_STOP, mem.hugetlb, nr_hugetlb(),
			     SZ_2M, 1, out), be, "DPDK");
	if (mem.giant)
		try(run_list(be, DPDK_1G, DPDK_1G_STOP, mem.giant, 1, SZ_1G, 1,
			     out), be, "DPDK, 1G");
}

/* --- by reference to memory that is registered --- */

/* IOVA of registered memory in the address space that holds it. */
#define REGISTERED 0x10000000000ULL

/* The address space that holds registered memory, of one backend at a time. */
static uint32_t registry;

static uint64_t registered(const void *p)
{
	const char *c = p;

	if (c >= mem.small && c < mem.small + SZ_4M)
		return REGISTERED + (c - mem.small);
	return REGISTERED + SZ_64M + (c - mem.huge);
}

static int ioasid_ref(struct backend *be, uint64_t iova, void *addr,
		      uint64_t length)
{
	return backend_map(be, iova, (void *)registered(addr), length);
}

static int iommufd_ref(struct backend *be, uint64_t iova, void *addr,
		       uint64_t length)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.dst_ioas_id = be->id,
		.src_ioas_id = registry,
		.length = length,
		.dst_iova = iova,
		.src_iova = registered(addr),
	};

	return ioctl(be->fd, IOMMU_IOAS_COPY, &cmd);
}

static int ioasid_batch(struct backend *be, struct ioasid_dma_op *ops,
			unsigned int n)
{
	struct ioasid_dma_batch cmd = {
		.argsz = sizeof(cmd),
		.ioasid = be->id,
		.nr = n,
		.ops = (uintptr_t)ops,
	};

	if (ioctl(be->fd, IOASID_DMA_BATCH, &cmd))
		return -1;
	return cmd.done == n ? 0 : -1;
}

static struct ioasid_dma_op op_map(uint64_t iova, const void *p,
				   uint64_t length)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_MAP,
		.flags = IOASID_MAP_FIXED | IOASID_MAP_READ | IOASID_MAP_WRITE,
		.iova = iova,
		.addr = registered(p),
		.length = length,
	};
}

static struct ioasid_dma_op op_unmap(uint64_t iova, uint64_t length)
{
	return (struct ioasid_dma_op) {
		.op = IOASID_DMA_OP_UNMAP,
		.iova = iova,
		.length = length,
	};
}

/* @lists batches of @n pieces of @size, at @stride from each other. */
static int run_batch(struct backend *be, enum row map, enum row unmap, char *p,
		     unsigned int lists, unsigned int n, uint64_t size,
		     uint64_t stride, double *out)
{
	uint64_t m[MAX_RUNS], u[MAX_RUNS], t0, t1, t2;
	struct ioasid_dma_op *maps, *unmaps;
	unsigned int i, r;
	int rc = -1;

	maps = calloc(lists * n, sizeof(*maps));
	unmaps = calloc(lists * n, sizeof(*unmaps));
	if (!maps || !unmaps)
		goto out;
	/* Scattered pages neither ascend nor touch. */
	for (i = 0; i < lists * n; i++) {
		uint64_t at = stride == size ? i : i * 29 % (lists * n);

		maps[i] = op_map(IOVA + at * stride, p + i * size, size);
		unmaps[i] = op_unmap(IOVA + at * stride, size);
	}
	for (r = 0; r <= runs; r++) {
		t0 = now();
		for (i = 0; i < lists; i++)
			if (ioasid_batch(be, maps + i * n, n))
				goto out;
		t1 = now();
		for (i = 0; i < lists; i++)
			if (ioasid_batch(be, unmaps + i * n, n))
				goto out;
		t2 = now();
		if (!r)
			continue;
		m[r - 1] = t1 - t0;
		u[r - 1] = t2 - t1;
	}
	out[map] = median(m, runs) / (lists * n);
	out[unmap] = median(u, runs) / (lists * n);
	rc = 0;
out:
	free(maps);
	free(unmaps);
	return rc;
}

/* The ring, with a guest whose vIOMMU flushes once for 32 buffers. */
static int run_ring_batch(struct backend *be, char *p, double *out)
{
	const unsigned int window = 256, slots = 1024, n = 32;
	uint64_t v[MAX_RUNS], t, i;
	struct ioasid_dma_op ops[2 * 32];
	unsigned int r, k;

	for (i = 0; i < window; i++)
		if (be->map(be, IOVA + i * SZ_4K, p + i * SZ_4K, SZ_4K))
			return -1;
	for (r = 0; r <= runs; r++) {
		t = now();
		for (; i < window + (r + 1) * (uint64_t)slots; i += n) {
			for (k = 0; k < n; k++) {
				uint64_t in = (i + k) % slots * SZ_4K;
				uint64_t old = (i + k - window) % slots * SZ_4K;

				ops[k] = op_unmap(IOVA + old, SZ_4K);
				ops[n + k] = op_map(IOVA + in, p + in, SZ_4K);
			}
			if (ioasid_batch(be, ops, 2 * n))
				return -1;
		}
		if (r)
			v[r - 1] = now() - t;
	}
	out[BATCH_RING_4K] = median(v, runs) / slots;
	for (k = 0; k < window; k++, i++)
		if (be->unmap(be, IOVA + (i - window) % slots * SZ_4K, SZ_4K))
			return -1;
	return 0;
}

static int run_flush_batch(struct backend *be, double *out)
{
	struct ioasid_dma_op maps[64], unmaps[64];
	unsigned int i;

	for (i = 0; i < 64; i++) {
		maps[i] = op_map(IOVA + i * 29 % 64 * SZ_4M,
				 mem.small + i * SZ_4K, SZ_4K);
		unmaps[i] = op_unmap(IOVA + i * 29 % 64 * SZ_4M, SZ_4K);
	}
	if (ioasid_batch(be, maps, 64))
		return -1;
	if (!trace_start())
		return ioasid_batch(be, unmaps, 64);
	if (ioasid_batch(be, unmaps, 64))
		return -1;
	out[FLUSH_BATCH] = trace_stop();
	return 0;
}

/* --- many mappings --- */

/*
 * Every other page from here on is for the measured maps; the rest is mapped.
 */
#define MANY 0x200000000ULL
#define NR_MANY 1000000

static uint64_t many_iova(uint64_t i)
{
	return MANY + i % NR_MANY * 2 * SZ_4K;
}

/* Make @n mappings, evenly spread. */
static int fill_many(struct backend *be, unsigned int n, bool batches)
{
	static struct ioasid_dma_op ops[512];
	unsigned int i, k = 0;
	char *p;

	for (i = 0; i < n; i++) {
		uint64_t iova = many_iova((uint64_t)i * (NR_MANY / n));

		p = mem.small + i % 1024 * SZ_4K;
		if (!batches) {
			if (be->map(be, iova, p, SZ_4K))
				return -1;
			continue;
		}
		ops[k++] = op_map(iova, p, SZ_4K);
		if (k == ARRAY_SIZE(ops) || i == n - 1) {
			if (ioasid_batch(be, ops, k))
				return -1;
			k = 0;
		}
	}
	return 0;
}

static int run_among(struct backend *be, unsigned int row, bool batches,
		     double *out)
{
	const unsigned int n = 1024;
	uint64_t v[MAX_RUNS], t, iova;
	unsigned int r, i;
	int rc = -1;

	if (fill_many(be, flat[row].among, batches))
		goto out;
	for (r = 0; r <= runs; r++) {
		t = now();
		for (i = 0; i < n; i++) {
			iova = many_iova(i * 977ULL) + SZ_4K;
			if (be->map(be, iova, mem.small + i * SZ_4K, SZ_4K) ||
			    be->unmap(be, iova, SZ_4K))
				goto out;
		}
		if (r)
			v[r - 1] = now() - t;
	}
	out[row] = median(v, runs) / n;
	rc = 0;
out:
	return be->unmap(be, MANY, NR_MANY * 2 * SZ_4K) ? -1 : rc;
}

/* A million mappings take other backends long. */
static void run_many(struct backend *be, enum row first, enum row last,
		     bool batches, double *out)
{
	unsigned int most = quick || !batches ? 65536 : NR_MANY;
	unsigned int row;

	for (row = first; row <= last; row++)
		if (flat[row].among <= most)
			try(run_among(be, row, batches, out), be,
			    rows[row].name);
}

/* The cost of registering memory, with no device; it stays registered. */
static int register_memory(struct backend *be, double *out)
{
	struct backend reg = *be;
	uint64_t t0, t1, t2;

	if (be->alloc(be->fd, &registry))
		return -1;
	reg.id = registry;
	t0 = now();
	if (be->map(&reg, REGISTERED, mem.small, SZ_4M))
		return -1;
	t1 = now();
	if (be->map(&reg, REGISTERED + SZ_64M, mem.huge, SZ_64M))
		return -1;
	t2 = now();
	out[REGISTER_PAGES] = (t1 - t0) / (SZ_4M / SZ_4K);
	out[REGISTER_64M] = t2 - t1;
	return 0;
}

/*
 * type1's commands cannot register memory: for a ring they pin anew. iommufd can copy
 * from one address space to another.
 */
static void run_refs(struct backend *be, enum backend_id b, double *out)
{
	struct backend ref = *be;
	double pair[NR_ROWS];
	bool batches = false;

	if (!be->alloc) {
		out[REF_RING_4K] = out[RING_4K];
		out[NVME_REF] = out[NVME_FRESH];
		return;
	}
	if (register_memory(be, out)) {
		try(-1, be, "register");
		return;
	}
	ref.map = iommufd_ref;
	if (b == IOASID) {
		struct ioasid_alloc cmd = {
			.argsz = sizeof(cmd),
			.kind = IOASID_KIND_MAP,
			.parent = registry,
		};

		ref.map = ioasid_ref;
		if (ioctl(be->fd, IOASID_ALLOC, &cmd) ||
		    be->attach(be, cmd.ioasid)) {
			try(-1, be, "child");
			return;
		}
		ref.id = cmd.ioasid;
		batches = true;
	}
	try(run_list(&ref, REF_MAP_4K, REF_UNMAP_4K, mem.small, 1024, SZ_4K, 1,
		     out), be, "4K by reference");
	try(run_list(&ref, REF_MAP_64M, REF_UNMAP_64M, mem.huge, 1, SZ_64M, 1,
		     out), be, "64M by reference");
	try(run_ring(&ref, mem.small, pair), be, "ring by reference");
	out[REF_RING_4K] = pair[RING_4K];
	try(run_nvme(&ref, NVME_REF, out), be, "NVMe by reference");
	if (out == results[1][b])
		run_many(&ref, FLAT_1, FLAT_1M, batches, out);
	if (batches) {
		try(run_batch(&ref, BATCH_MAP_4K, BATCH_UNMAP_4K, mem.small,
			      16, 64, SZ_4K, SZ_4K, out), be, "batch");
		try(run_batch(&ref, SPREAD_MAP_4K, SPREAD_UNMAP_4K, mem.small,
			      16, 64, SZ_4K, 16 * SZ_4K, out), be, "scattered");
		try(run_batch(&ref, BATCH_MAP_2M, BATCH_UNMAP_2M, mem.huge, 1,
			      32, SZ_2M, SZ_2M, out), be, "2M batch");
		try(run_ring_batch(&ref, mem.small, out), be, "ring, batch");
		try(run_flush_batch(&ref, out), be, "flushes of a batch");
		be->attach(be, be->id);
		be->free(be->fd, ref.id);
	}
	be->free(be->fd, registry);
}

/* As by reference, where the root pins 2 MiB at the first of them */
static int run_demand(struct backend *be, double *out)
{
	struct ioasid_alloc root = {
		.argsz = sizeof(root),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
	};
	struct ioasid_alloc child = {
		.argsz = sizeof(child),
		.kind = IOASID_KIND_MAP,
	};
	struct backend ref = *be;
	int rc;

	if (ioctl(be->fd, IOASID_ALLOC, &root))
		return -1;
	ref.id = root.ioasid;
	if (be->map(&ref, REGISTERED, mem.small, SZ_4M))
		return -1;
	child.parent = root.ioasid;
	if (ioctl(be->fd, IOASID_ALLOC, &child) ||
	    be->attach(be, child.ioasid))
		return -1;
	ref.id = child.ioasid;
	ref.map = ioasid_ref;
	rc = run_list(&ref, DEMAND_MAP_4K, DEMAND_UNMAP_4K, mem.small, 1024,
		      SZ_4K, 1, out);
	be->attach(be, be->id);
	be->free(be->fd, child.ioasid);
	be->free(be->fd, root.ioasid);
	return rc;
}

/* --- memory of the kernel --- */

/* -1 if there is no memory cgroup. */
static int64_t memcg_kernel(void)
{
	char buf[4096], *p;

	if (hw_read_file(CGROUP "/memory.stat", buf, sizeof(buf)) < 0)
		return -1;
	p = strstr(buf, "\nkernel ");
	return p ? strtoll(p + 8, NULL, 10) : -1;
}

static int64_t mem_free(void)
{
	char buf[4096], *p;

	if (hw_read_file("/proc/meminfo", buf, sizeof(buf)) < 0)
		return 0;
	p = strstr(buf, "MemFree:");
	return p ? strtoll(p + 8, NULL, 10) * 1024 : 0;
}

/* Counters of the kernel settle after a delay. */
static void settle(void)
{
	sync();
	usleep(3000000);
}

/*
 * Kernel memory is accounted in a cgroup only, and that takes time: enter a
 * cgroup to count bytes, and leave it to count instructions.
 */
static void join_cgroup(bool join)
{
	char pid[16];

	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		return;
	snprintf(pid, sizeof(pid), "%d", getpid());
	hw_write_file(join ? CGROUP "/cgroup.procs" :
		      "/sys/fs/cgroup/cgroup.procs", pid);
}

static void run_spaces(struct backend *be, double *out)
{
	unsigned int i, r, n = 4096, many = quick ? 65536 : 1048576;
	uint64_t a[MAX_RUNS], f[MAX_RUNS], t0, t1, t2;
	int64_t kernel, avail;
	uint32_t *ids, id;
	int fd;

	ids = malloc(n * sizeof(*ids));
	fd = open(be->node, O_RDWR | O_CLOEXEC);
	if (!ids || fd < 0)
		goto out;
	for (r = 0; r <= runs; r++) {
		t0 = now();
		for (i = 0; i < n; i++)
			if (be->alloc(fd, &ids[i]))
				goto out;
		t1 = now();
		for (i = 0; i < n; i++)
			if (be->free(fd, ids[i]))
				goto out;
		t2 = now();
		if (!r)
			continue;
		a[r - 1] = t1 - t0;
		f[r - 1] = t2 - t1;
	}
	out[ALLOC] = median(a, runs) / n;
	out[FREE] = median(f, runs) / n;
	close(fd);

	join_cgroup(true);
	settle();
	kernel = memcg_kernel();
	avail = mem_free();
	fd = open(be->node, O_RDWR | O_CLOEXEC);
	for (i = 0; i < many; i++)
		if (be->alloc(fd, &id))
			goto out;
	settle();
	if (kernel >= 0)
		out[BYTES] = (double)(memcg_kernel() - kernel) / many;
	out[BYTES_FREE] = (double)(avail - mem_free()) / many;
	close(fd);

	join_cgroup(false);
	fd = open(be->node, O_RDWR | O_CLOEXEC);
	for (i = 0; i < many; i++)
		if (be->alloc(fd, &id))
			goto out;
	t0 = now();
	close(fd);
	out[CLOSE] = (double)(now() - t0) / many;
	free(ids);
	return;
out:
	try(-1, be, "address spaces");
	join_cgroup(false);
	close(fd);
	free(ids);
}

/* An address space that no device ever attached to. */
static void run_lazy(struct backend *be, double *out)
{
	unsigned int i, n = quick ? 8192 : 65536;
	struct backend lazy = *be;
	int64_t kernel;

	lazy.fd = open(be->node, O_RDWR | O_CLOEXEC);
	if (lazy.fd < 0)
		return;
	if (be->alloc(lazy.fd, &lazy.id) ||
	    run_list(&lazy, LAZY_MAP_4K, LAZY_UNMAP_4K, mem.small, 1024, SZ_4K,
		     1, out)) {
		try(-1, be, "no device");
		goto out;
	}
	join_cgroup(true);
	settle();
	kernel = memcg_kernel();
	for (i = 0; i < n; i++)
		if (lazy.map(&lazy, IOVA + i * SZ_4K,
			     mem.small + i % 1024 * SZ_4K, SZ_4K))
			goto out;
	settle();
	if (kernel >= 0)
		out[LAZY_BYTES] = (double)(memcg_kernel() - kernel) / n;
out:
	join_cgroup(false);
	close(lazy.fd);
}

static void run_replace(struct backend *be, double *out)
{
	uint64_t v[MAX_RUNS], t;
	unsigned int r, i;
	uint32_t other;

	if (be->alloc(be->fd, &other)) {
		try(-1, be, "alloc");
		return;
	}
	for (r = 0; r <= runs; r++) {
		t = now();
		for (i = 0; i < 8; i++)
			if (be->attach(be, other) || be->attach(be, be->id)) {
				try(-1, be, "replace");
				return;
			}
		if (r)
			v[r - 1] = now() - t;
	}
	out[REPLACE] = median(v, runs) / 16;
	be->free(be->fd, other);
}

/* --- flushes --- */

static void run_flush(struct backend *be, char *p, uint64_t length,
		      double *flushes)
{
	if (be->map(be, IOVA, p, length)) {
		try(-1, be, "map");
		return;
	}
	if (!trace_start()) {
		be->unmap(be, IOVA, length);
		return;
	}
	be->unmap(be, IOVA, length);
	*flushes = trace_stop();
}

static void run_flushes(struct backend *be, double *out)
{
	hw_write_file(TRACING "buffer_size_kb", "16384");
	run_flush(be, mem.small, SZ_4K, &out[FLUSH_4K]);
	run_flush(be, mem.huge, SZ_2M, &out[FLUSH_2M]);
	run_flush(be, mem.huge, SZ_64M, &out[FLUSH_64M]);
	run_flush(be, mem.scatter, SZ_64M, &out[FLUSH_PAGES]);
	hw_write_file(TRACING "buffer_size_kb", "64");
}

/* --- putting it together --- */

/*
 * Another real user id has another payer; a process whose effective id is not 0
 * has no CAP_IPC_LOCK, but gets it again with the saved id.
 */
static void be_root(bool root)
{
	if (setresuid(root ? 0 : NOBODY, root ? 0 : NOBODY, 0))
		die("setresuid");
}

static void run_backend(struct backend *be, enum backend_id b)
{
	double *out = results[1][b];

	run_maps(be, out);
	run_users(be, out);
	if (b == VHOST)
		goto unprivileged;
	run_refs(be, b, out);
	if (b == IOASID)
		try(run_demand(be, out), be, "on demand");
	run_many(be, FRESH_1, FRESH_64K, false, out);
	if (be->attach)
		run_replace(be, out);
	run_flushes(be, out);
	if (be->alloc) {
		run_lazy(be, out);
		run_spaces(be, out);
	}
unprivileged:
	be_root(false);
	run_maps(be, results[0][b]);
	run_users(be, results[0][b]);
	if (b != VHOST)
		run_refs(be, b, results[0][b]);
	be_root(true);
}

/* Open containers again, by the other version of type1. */
static void run_version_1(struct backend *be, enum backend_id b,
			  const char *device)
{
	be->type = VFIO_TYPE1_IOMMU;
	if (be->open(be, device)) {
		try(-1, be, be->node);
		return;
	}
	run_dpdk(be, results[1][b]);
	be_root(false);
	run_dpdk(be, results[0][b]);
	be_root(true);
}

/* Nanoseconds per instruction, in a loop of a known number of them. */
static double calibrate(void)
{
	unsigned long n = 5000000;
	uint64_t t = now();

#ifdef __x86_64__
	asm volatile("1: dec %0; jnz 1b" : "+r" (n));
	return (now() - t) / 10000000.0;
#else
	return (now() - t) * 0.0 * n;
#endif
}

static void print_number(double v)
{
	if (v)
		printf(" %11.*f", v < 10 ? 1 : 0, v);
	else
		printf(" %11s", "-");
}

/* Levels of a tree of @n, at least. */
static int levels(unsigned int n)
{
	int i = 0;

	while (1U << i < n)
		i++;
	return i;
}

/* 0 for none */
static double bar_of(enum row row, bool privileged)
{
	const double *ours = results[privileged][IOASID];

	if (!privileged || quick)
		return 0;
	if (flat[row].among > 1 && ours[flat[row].one])
		return ours[flat[row].one] * 1.1 +
		       TREE_LEVEL * levels(flat[row].among);
	/* The cost of IOMMUs differs: those bars are for VT-d. */
	if ((row < ALLOC || row > CLOSE) && access(VTD, F_OK))
		return 0;
	return rows[row].bar;
}

/* Print how the cost of a pair grows with the number of mappings. */
static void print_growth(void)
{
	unsigned int b, r, last;

	printf("\ngrowth with the number of mappings, and the levels of a tree of them\n");
	for (b = 0; b < NR_BACKENDS; b++) {
		const double *v = results[1][b];

		for (last = 0, r = 0; r < NR_ROWS; r++) {
			if (!flat[r].among || !v[r])
				continue;
			if (flat[r].among > 1 && v[flat[r].one])
				printf("%-11s %-36s x %.3f, %.1f instructions per level\n",
				       backends[b].name, rows[r].name,
				       v[r] / v[flat[r].one],
				       (v[r] - v[last]) /
				       (levels(flat[r].among) -
					levels(flat[last].among)));
			last = r;
		}
	}
}

static bool print_table(bool privileged)
{
	double (*value)[NR_ROWS] = results[privileged];
	bool missed = false, any;
	unsigned int b, r;

	printf("\n%-36s %-8s", privileged ? "root" : "unprivileged", "");
	for (b = 0; b < NR_BACKENDS; b++)
		printf(" %11s", backends[b].name);
	printf(" %9s\n", privileged ? "bar" : "");
	for (r = 0; r < NR_ROWS; r++) {
		double ours = value[IOASID][r];
		double bar = bar_of(r, privileged);

		for (any = false, b = 0; b < NR_BACKENDS; b++)
			any |= value[b][r] != 0;
		if (!any)
			continue;
		printf("%-36s %-8s", rows[r].name, rows[r].unit);
		for (b = 0; b < NR_BACKENDS; b++)
			print_number(value[b][r]);
		if (bar) {
			bool pass = ours && ours <= bar;

			missed |= !pass;
			printf(" %9.0f %s", bar,
			       !ours ? "" : pass ? "ok" : "MISSED");
		}
		printf("\n");
	}
	return !missed;
}

/*
 * The other iommufd is measured last: the users of the loaded one must go
 * first, and the device with them.
 */
static const enum backend_id order[] = {
	IOASID, IOMMUFD, TYPE1, BACK_END, CONTAINER, VHOST, IOMMUFD_FIX,
};

static int exchange(const char *device, const char *command)
{
	if (hw_give_back(device) || system(command))
		return -1;
	return hw_take(device);
}

static void write_json(const char *path, double scale)
{
	unsigned int p, b, r;
	double bar;
	FILE *f;

	f = strcmp(path, "-") ? fopen(path, "we") : stdout;
	if (!f)
		die(path);
	fprintf(f, "{\n\t\"ns_per_instruction\": %.4f,\n\t\"quick\": %s", scale,
		quick ? "true" : "false");
	for (p = 0; p < 2; p++) {
		fprintf(f, ",\n\t\"%s\": {", p ? "root" : "unprivileged");
		for (r = 0; r < NR_ROWS; r++) {
			fprintf(f, "%s\n\t\t\"%s\": { \"name\": \"%s\", \"unit\": \"%s\",",
				r ? "," : "", rows[r].key,
				rows[r].name + strspn(rows[r].name, " "),
				rows[r].unit);
			for (b = 0; b < NR_BACKENDS; b++)
				if (results[p][b][r])
					fprintf(f, " \"%s\": %.1f,",
						backends[b].name,
						results[p][b][r]);
			bar = bar_of(r, p);
			fprintf(f, " \"bar\": ");
			if (bar)
				fprintf(f, "%.0f }", bar);
			else
				fprintf(f, "null }");
		}
		fprintf(f, "\n\t}");
	}
	fprintf(f, "\n}\n");
	if (f != stdout && fclose(f))
		die(path);
}

/* Whether a list with commas has a name. */
static bool is_listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (strncmp(list, name, n) || (list[n] && list[n] != ',')) {
		list = strchr(list, ',');
		if (!list)
			return false;
		list++;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit limit = { 1ULL << 40, 1ULL << 40 };
	const char *json = NULL, *only = NULL, *other = NULL;
	char device[HW_NAME] = "";
	bool check = false, met;
	double scale;
	unsigned int i;
	int opt;

	while ((opt = getopt(argc, argv, "d:j:r:b:x:qc")) != -1) {
		switch (opt) {
		case 'd':
			snprintf(device, sizeof(device), "%s", optarg);
			break;
		case 'j':
			json = optarg;
			break;
		case 'r':
			runs = atoi(optarg);
			break;
		case 'b':
			only = optarg;
			break;
		case 'x':
			other = optarg;
			break;
		case 'q':
			quick = true;
			break;
		case 'c':
			check = true;
			break;
		default:
			return 2;
		}
	}
	if (!runs || runs > MAX_RUNS) {
		fprintf(stderr, "bench: 1 to %u runs\n", MAX_RUNS);
		return 2;
	}
	if (!device[0] && !hw_find(&hw_edu, &device, 1) &&
	    !hw_find(&hw_nvme, &device, 1)) {
		fprintf(stderr, "bench: no edu and no NVMe device\n");
		return 2;
	}
	if (hw_take(device))
		die(device);

	/* A finite limit, which each map is counted against. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		die("RLIMIT_MEMLOCK");
	get_all_memory();
	setvbuf(stdout, NULL, _IOLBF, 0);
	scale = calibrate();
	printf("device %s; median of %u runs; ", device, runs);
	if (scale > 0.97 && scale < 1.05)
		printf("instructions\n");
	else
		printf("NANOSECONDS: an instruction takes %.3f\n", scale);

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		enum backend_id b = order[i];
		struct backend *be = &backends[b];

		if (only && !is_listed(only, be->name))
			continue;
		if (b == IOMMUFD_FIX) {
			if (!other)
				continue;
			if (exchange(device, other)) {
				try(-1, be, "exchange");
				continue;
			}
		}
		if (be->open(be, device))
			try(-1, be, be->node);
		else
			run_backend(be, b);
		backend_close(be);
		if (be->type) {
			run_version_1(be, b, device);
			backend_close(be);
		}
	}
	met = print_table(true);
	print_table(false);
	print_growth();
	if (json)
		write_json(json, scale);
	return check && !met;
}
