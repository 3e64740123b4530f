// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mirror of an IOASID costs, beside vhost-vdpa's own IOTLB; and the memory of a
 * guest that has one VFIO device and one vDPA device.
 *
 * How to read the numbers
 *
 * As those of bench.c: instructions, in a VM of one vCPU under QEMU's -icount shift=0;
 * the median of several runs.  The vDPA device is a simulated one, with a parent that is
 * told each change (dma_map) and with one that is given the whole map (set_map), whose
 * cost grows with what is mapped already.  A message maps memory of the process, which
 * it pins each time; a child of an IOASID maps by reference what its parent has pinned.
 *
 * Today a VMM maps the memory of a guest twice: for VFIO devices, to a type1 container,
 * and for vDPA devices, to each one's IOTLB.  It is pinned twice and counts twice.
 *
 *	bench_vdpa [-j FILE] [-r ROUNDS] [-n COUNT] [-m MIB]
 *	  -j  write the numbers to FILE as JSON, too
 *	  -r  runs (default: 7)
 *	  -n  operations of a run (default: 200)
 *	  -m  MiB of guest memory (default: 512), in huge pages if there are so many
 */
#include <getopt.h>

#include "dut.h"
#include "ioasid_util.h"
#include "stopwatch.h"
#include "vdpa.h"
#include "virtio.h"

#define NAME "ioasid-bench"
#define BASE 0x100000000ULL
#define MANY 500
#define MAX_RUNS 63

static unsigned int runs = 7, count = 200;
static size_t guest_size = 512ULL << 20;
static FILE *json;
static int ctx;
static __u32 root, child;
static struct virtio device;
static char *memory;

static void must(const char *what, int rc)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "bench_vdpa: %s: %s\n", what, strerror(-rc));
	exit(2);
}

static void report(const char *name, const char *key, double value)
{
	printf("%-52s %14.0f\n", name, value);
	if (json)
		fprintf(json, "%s\t\"%s\": %.0f", ftell(json) > 2 ? ",\n" : "",
			key, value);
}

/* ---- 4 KiB ---- */

static int message_map(__u64 iova)
{
	return vdpa_map(device.fd, 0, iova, memory, 4096);
}

static int message_unmap(__u64 iova)
{
	return vdpa_unmap(device.fd, 0, iova, 4096);
}

static int mirror_map(__u64 iova)
{
	return ia_map(ctx, child, iova, (void *)BASE, 4096);
}

static int mirror_unmap(__u64 iova)
{
	return ia_unmap(ctx, child, iova, 4096, NULL);
}

/* The cost of a pair, among @others mappings */
static void measure(const char *name, const char *key, unsigned int others,
		    int (*map)(__u64 iova), int (*unmap)(__u64 iova))
{
	uint64_t taken[MAX_RUNS], start;
	unsigned int run, i;

	for (i = 0; i < others; i++)
		must(name, map(2 * BASE + i * 0x2000ULL));
	for (run = 0; run <= runs; run++) {
		start = now();
		for (i = 0; i < count; i++) {
			must(name, map(BASE));
			must(name, unmap(BASE));
		}
		/* The first one warms up */
		if (run)
			taken[run - 1] = (now() - start) / count;
	}
	for (i = 0; i < others; i++)
		must(name, unmap(2 * BASE + i * 0x2000ULL));
	report(name, key, median(taken, runs));
}

static void open_device(bool batch)
{
	must("vdpa_sim", vdpa_load(batch, false));
	if (!vdpa_exists(NAME))
		must("vdpa dev add", vdpa_add("vdpasim_net", NAME));
	must("open", virtio_open(&device, NAME));
}

static void run_pairs(bool batch)
{
	const char *sort = batch ? "set_map" : "dma_map";
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
	};
	char name[64], key[64];
	unsigned int others;

	open_device(batch);
	for (others = 0; others <= MANY; others += MANY) {
		snprintf(name, sizeof(name), "%s: messages that map and unmap 4 KiB, of %u",
			 sort, others + 1);
		snprintf(key, sizeof(key), "%s_message_%u", sort, others + 1);
		measure(name, key, others, message_map, message_unmap);
	}
	must("alloc", ia_alloc(ctx, &root));
	must("map", ia_map(ctx, root, BASE, memory, 4096));
	alloc.parent = root;
	must("alloc", ia_cmd(ctx, IOASID_ALLOC, &alloc));
	child = alloc.ioasid;
	must("bind", vdpa_bind(device.fd, ctx, 0, NULL));
	must("attach", vdpa_attach(device.fd, child));
	for (others = 0; others <= MANY; others += MANY) {
		snprintf(name, sizeof(name), "%s: mirror, map and unmap 4 KiB, of %u",
			 sort, others + 1);
		snprintf(key, sizeof(key), "%s_mirror_%u", sort, others + 1);
		measure(name, key, others, mirror_map, mirror_unmap);
	}
	virtio_close(&device);
	must("free", ia_free(ctx, child));
	must("free", ia_free(ctx, root));
}

/* ---- The memory of a guest ---- */

static char *guest_memory(void)
{
	char *p = mmap(NULL, guest_size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		       MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED) {
		p = ia_mem_aligned(guest_size, SZ_2M);
		must("guest memory", p ? 0 : -ENOMEM);
		madvise(p, guest_size, MADV_HUGEPAGE);
		memset(p, 1, guest_size);
	}
	return p;
}

/* What a limit on locked memory sees, in bytes */
static uint64_t locked(void)
{
	return (ia_status("VmLck") + ia_status("VmPin")) * 1024ULL;
}

static void run_guest_today(char *p)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)p,
		/* above what is reserved for interrupts */
		.iova = BASE,
		.size = guest_size,
	};
	uint64_t before = locked(), start, taken;
	char names[1][HW_NAME];
	int group, container;

	if (!hw_find(&hw_nvme, names, 1))
		must("nvme", -ENODEV);
	must("vfio-pci", hw_take(names[0]));
	group = hw_open_group(names[0]);
	must("group", group);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	must("/dev/vfio/vfio", container < 0 ? -errno : 0);
	must("VFIO_GROUP_SET_CONTAINER", hw_set_container(group, container));
	must("VFIO_SET_IOMMU", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) ? -errno : 0);
	open_device(false);
	start = now();
	must("VFIO_IOMMU_MAP_DMA", ioctl(container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0);
	must("message", vdpa_map(device.fd, 0, BASE, p, guest_size));
	taken = now() - start;
	report("guest, type1 and messages: map, instructions", "guest_today_map",
	       taken);
	report("guest, type1 and messages: bytes locked", "guest_today_locked",
	       locked() - before);
	start = now();
	virtio_close(&device);
	close(group);
	close(container);
	report("guest, type1 and messages: close, instructions",
	       "guest_today_close", now() - start);
}

static void run_guest(char *p)
{
	uint64_t before = locked(), start;
	struct ioasid_info info;
	struct dut dut;
	int own = ia_open();
	__u32 id;

	must("/dev/ioasid", own);
	must("charge", ia_set_option(own, IOASID_OPTION_CHARGE, IOASID_CHARGE_MM, 0));
	must("alloc", ia_alloc(own, &id));
	must("nvme", dut_open(&dut, &engine_nvme, 0, 0));
	must("bind", hw_bind(dut.fd, own, 0, NULL));
	must("attach", hw_attach(dut.fd, id));
	open_device(false);
	must("bind", vdpa_bind(device.fd, own, 0, NULL));
	must("attach", vdpa_attach(device.fd, id));
	start = now();
	must("map", ia_map(own, id, BASE, p, guest_size));
	report("guest, one IOASID: map, instructions", "guest_map",
	       now() - start);
	report("guest, one IOASID: bytes locked", "guest_locked",
	       locked() - before);
	must("info", ia_info(own, id, &info));
	report("guest, one IOASID: bytes pinned", "guest_pinned",
	       info.bytes_pinned);
	start = now();
	virtio_close(&device);
	close(dut.fd);
	close(own);
	report("guest, one IOASID: close, instructions", "guest_close",
	       now() - start);
}

int main(int argc, char **argv)
{
	struct rlimit no_limit = { RLIM_INFINITY, RLIM_INFINITY };
	char *guest;
	int c;

	while ((c = getopt(argc, argv, "j:r:n:m:")) != -1) {
		switch (c) {
		case 'j':
			json = fopen(optarg, "w");
			if (!json)
				must(optarg, -errno);
			break;
		case 'r':
			runs = atoi(optarg);
			break;
		case 'n':
			count = atoi(optarg);
			break;
		case 'm':
			guest_size = strtoull(optarg, NULL, 0) << 20;
			break;
		default:
			return 2;
		}
	}
	if (!runs || runs > MAX_RUNS || !count || !guest_size)
		must("arguments", -EINVAL);
	setrlimit(RLIMIT_MEMLOCK, &no_limit);
	ctx = ia_open();
	must("/dev/ioasid", ctx);
	memory = ia_mem(4096);
	must("memory", memory ? 0 : -ENOMEM);
	memset(memory, 1, 4096);
	if (json)
		fprintf(json, "{\n");
	printf("simulated vDPA devices; median of %u runs; instructions\n\n",
	       runs);
	run_pairs(false);
	run_pairs(true);
	guest = guest_memory();
	printf("\n%zu MiB of guest memory\n", guest_size >> 20);
	run_guest_today(guest);
	run_guest(guest);
	if (json) {
		fprintf(json, "\n}\n");
		fclose(json);
	}
	vdpa_del(NAME);
	return 0;
}
