/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices under test: a test needs a device that reads and writes memory at an
 * IOVA, and reports the result. An engine does that with one type of device,
 * which has some memory of its own:
 *
 *	load	the device reads at an IOVA into its memory
 *	store	the device writes its memory to an IOVA
 *
 * Both return 0 if the device reports success, a positive number if it reports
 * failure (not every device notices), a negative errno if it reports nothing.
 * Only memory shows whether the access was really done.
 *
 * Some engines have queues in memory, which the device must reach to work at
 * all: dut_admit() maps such memory to an IOASID before the device attaches.
 */
#ifndef __SELFTESTS_IOASID_DUT_H
#define __SELFTESTS_IOASID_DUT_H

#include <poll.h>
#include <sys/eventfd.h>

#include "ioasid_util.h"
#include "hw.h"
#include "e1000e.h"
#include "edu.h"
#include "nvme.h"
#include "vfio_pci.h"

/* Control memory is here, a MiB for each device; tests map from TEST_IOVA. */
#define CTRL_IOVA 0x10000000ULL
#define TEST_IOVA 0x200000000ULL

/* The first two pages of control memory are buffers for tests. */
#define CTRL_SOURCE 0
#define CTRL_SINK 0x1000
#define CTRL_QUEUES 0x2000

/* Every engine can move this much, from any multiple of 512. */
#define DUT_LEN 2048

struct dut;

struct engine {
	const char *name;
	const struct hw_id *id;
	/* Start the device, whose fd is bound and attached. */
	int (*start)(struct dut *dut);
	/* Resume after it was blocked: it may have given up. */
	int (*recover)(struct dut *dut);
	void (*stop)(struct dut *dut);
	int (*load)(struct dut *dut, __u64 iova, unsigned int length);
	int (*store)(struct dut *dut, __u64 iova, unsigned int length);
	/* Each transfer takes long. */
	bool slow;
};

struct dut {
	const struct engine *engine;
	char name[HW_NAME];
	int index;
	int fd;
	__u32 devid;
	bool started;
	char *ctrl;
	size_t ctrl_size;
	struct edu edu;
	struct nvme nvme;
	struct e1000e nic;
};

static inline __u64 dut_ctrl(struct dut *dut)
{
	return CTRL_IOVA + dut->index * SZ_1M;
}

/* --- edu --- */

static inline int engine_edu_start(struct dut *dut)
{
	return edu_open(&dut->edu, dut->fd);
}

static inline int engine_edu_recover(struct dut *dut)
{
	return dut->edu.regs ? 0 : -EIO;
}

static inline void engine_edu_stop(struct dut *dut)
{
	edu_close(&dut->edu);
}

static inline int engine_edu_load(struct dut *dut, __u64 iova,
				  unsigned int length)
{
	return edu_load(&dut->edu, iova, 0, length);
}

static inline int engine_edu_store(struct dut *dut, __u64 iova,
				   unsigned int length)
{
	return edu_store(&dut->edu, iova, 0, length);
}

static const struct engine engine_edu = {
	.name = "edu",
	.id = &hw_edu,
	.start = engine_edu_start,
	.recover = engine_edu_recover,
	.stop = engine_edu_stop,
	.load = engine_edu_load,
	.store = engine_edu_store,
	.slow = true,
};

/* --- NVMe: the first blocks of the disk are the device's memory --- */

static inline int engine_nvme_start(struct dut *dut)
{
	int rc;

	rc = nvme_start(&dut->nvme, dut->fd, dut->ctrl + CTRL_QUEUES,
			dut_ctrl(dut) + CTRL_QUEUES, 1, NVME_POLL);
	if (!rc && dut->nvme.block_size > 512)
		rc = -EOPNOTSUPP;
	return rc;
}

static inline int engine_nvme_recover(struct dut *dut)
{
	return nvme_reset(&dut->nvme);
}

static inline void engine_nvme_stop(struct dut *dut)
{
	nvme_stop(&dut->nvme);
}

static inline int engine_nvme_load(struct dut *dut, __u64 iova,
				   unsigned int length)
{
	return nvme_rw(&dut->nvme, 1, NVME_WRITE, 0,
		       length / dut->nvme.block_size, iova);
}

static inline int engine_nvme_store(struct dut *dut, __u64 iova,
				    unsigned int length)
{
	return nvme_rw(&dut->nvme, 1, NVME_READ, 0,
		       length / dut->nvme.block_size, iova);
}

static const struct engine engine_nvme = {
	.name = "nvme",
	.id = &hw_nvme,
	.start = engine_nvme_start,
	.recover = engine_nvme_recover,
	.stop = engine_nvme_stop,
	.load = engine_nvme_load,
	.store = engine_nvme_store,
};

/* --- e1000e: its memory is a page of the program, behind the rings --- */

static inline int engine_e1000e_start(struct dut *dut)
{
	return e1000e_open(&dut->nic, dut->fd, dut->ctrl + CTRL_QUEUES,
			   dut_ctrl(dut) + CTRL_QUEUES);
}

static inline int engine_e1000e_recover(struct dut *dut)
{
	return e1000e_reset(&dut->nic);
}

static inline void engine_e1000e_stop(struct dut *dut)
{
	e1000e_close(&dut->nic);
}

static inline int engine_e1000e_load(struct dut *dut, __u64 iova,
				     unsigned int length)
{
	return e1000e_copy(&dut->nic,
			   dut_ctrl(dut) + CTRL_QUEUES + E1000E_MEM, iova,
			   length);
}

static inline int engine_e1000e_store(struct dut *dut, __u64 iova,
				      unsigned int length)
{
	return e1000e_copy(&dut->nic, iova,
			   dut_ctrl(dut) + CTRL_QUEUES + E1000E_MEM, length);
}

static const struct engine engine_e1000e = {
	.name = "e1000e",
	.id = &hw_e1000e,
	.start = engine_e1000e_start,
	.recover = engine_e1000e_recover,
	.stop = engine_e1000e_stop,
	.load = engine_e1000e_load,
	.store = engine_e1000e_store,
};

/* --- devices --- */

/* Find and take the @nth such device; -ENOENT if there is none. */
static inline int dut_find(struct dut *dut, const struct engine *engine,
			   int nth)
{
	char names[16][HW_NAME];
	int rc;

	memset(dut, 0, sizeof(*dut));
	dut->engine = engine;
	dut->fd = -1;
	if (hw_find(engine->id, names, 16) <= nth)
		return -ENOENT;
	memcpy(dut->name, names[nth], HW_NAME);
	/*
	 * Without an IOMMU it has no group, and VFIO cannot use it. With some
	 * IOMMUs it has a group only while it has a driver.
	 */
	rc = hw_take(dut->name);
	if (hw_group(dut->name) < 0)
		return -ENOENT;
	if (rc)
		return rc;
	dut->ctrl_size = SZ_1M;
	dut->ctrl = ia_mem(dut->ctrl_size);
	return dut->ctrl ? 0 : -ENOMEM;
}

/*
 * Take the @nth such device and open it. @index numbers the devices of a test.
 */
static inline int dut_open(struct dut *dut, const struct engine *engine,
			   int nth, int index)
{
	int rc = dut_find(dut, engine, nth);

	if (rc)
		return rc;
	dut->index = index;
	dut->fd = hw_open_cdev(dut->name);
	return dut->fd < 0 ? dut->fd : 0;
}

static inline int dut_bind(struct dut *dut, int ctx, __u64 cookie)
{
	return hw_bind(dut->fd, ctx, cookie, &dut->devid);
}

static inline int dut_admit(struct dut *dut, int ctx, __u32 id)
{
	return ia_map(ctx, id, dut_ctrl(dut), dut->ctrl, dut->ctrl_size);
}

/* Attach, and start the device. */
static inline int dut_attach(struct dut *dut, __u32 id)
{
	int rc = hw_attach(dut->fd, id);

	if (rc)
		return rc;
	if (dut->started)
		return dut->engine->recover(dut);
	rc = dut->engine->start(dut);
	dut->started = !rc;
	return rc;
}

static inline int dut_recover(struct dut *dut)
{
	return dut->engine->recover(dut);
}

static inline int dut_load(struct dut *dut, __u64 iova, unsigned int length)
{
	return dut->engine->load(dut, iova, length);
}

static inline int dut_store(struct dut *dut, __u64 iova, unsigned int length)
{
	return dut->engine->store(dut, iova, length);
}

static inline void dut_stop(struct dut *dut)
{
	if (dut->started)
		dut->engine->stop(dut);
	dut->started = false;
}

static inline void dut_close(struct dut *dut)
{
	dut_stop(dut);
	if (dut->fd >= 0)
		close(dut->fd);
	dut->fd = -1;
	if (dut->ctrl)
		munmap(dut->ctrl, dut->ctrl_size);
	dut->ctrl = NULL;
}

/* --- results --- */

/* Different for each @seed in every word. */
static inline __u32 dut_word(unsigned int seed, unsigned int i)
{
	return (seed << 16 | 0x8001) ^ (i * 0x9e3779b1);
}

static inline void dut_fill(void *p, unsigned int length, unsigned int seed)
{
	__u32 *word = p;
	unsigned int i;

	for (i = 0; i < length / 4; i++)
		word[i] = dut_word(seed, i);
}

/* Whether memory has the pattern that dut_fill() writes. */
static inline bool dut_holds(const void *p, unsigned int length,
			     unsigned int seed)
{
	const __u32 *word = p;
	unsigned int i;

	for (i = 0; i < length / 4; i++)
		if (__atomic_load_n(&word[i], __ATOMIC_ACQUIRE) !=
		    dut_word(seed, i))
			return false;
	return true;
}

/* Load the pattern of @seed into the device. It must be attached. */
static inline int dut_prime(struct dut *dut, unsigned int seed)
{
	dut_fill(dut->ctrl + CTRL_SOURCE, DUT_LEN, seed);
	return dut_load(dut, dut_ctrl(dut) + CTRL_SOURCE, DUT_LEN);
}

/* Store the pattern of @seed from the device to @iova. */
static inline int dut_put(struct dut *dut, __u64 iova, unsigned int seed)
{
	int rc = dut_prime(dut, seed);

	return rc ? -EIO : dut_store(dut, iova, DUT_LEN);
}

/*
 * Whether the device reads the pattern of @seed at @iova. Its memory is
 * overwritten first.
 */
static inline bool dut_sees(struct dut *dut, __u64 iova, unsigned int seed)
{
	int rc;

	if (dut_prime(dut, ~seed))
		return false;
	rc = dut_load(dut, iova, DUT_LEN);
	if (rc)
		return false;
	memset(dut->ctrl + CTRL_SINK, 0, DUT_LEN);
	rc = dut_store(dut, dut_ctrl(dut) + CTRL_SINK, DUT_LEN);
	return !rc && dut_holds(dut->ctrl + CTRL_SINK, DUT_LEN, seed);
}

/* Whether a write of the device to @iova reaches @p. Changes the contents. */
static inline bool dut_reaches(struct dut *dut, __u64 iova, void *p)
{
	static unsigned int seed = 0x4000;

	seed += 2;
	dut_fill(p, DUT_LEN, seed);
	dut_put(dut, iova, seed + 1);
	return dut_holds(p, DUT_LEN, seed + 1);
}

/* Whether @p is unchanged after the device has tried to write to @iova. */
static inline bool dut_misses(struct dut *dut, __u64 iova, void *p)
{
	static unsigned int seed = 0x8000;

	seed += 2;
	if (dut_prime(dut, seed + 1))
		return false;
	dut_fill(p, DUT_LEN, seed);
	dut_store(dut, iova, DUT_LEN);
	return dut_holds(p, DUT_LEN, seed);
}

/*
 * The same for a blocked device: it cannot load a pattern, and stores the one
 * that it was primed with.
 */
static inline bool dut_blocked(struct dut *dut, __u64 iova, void *p)
{
	static unsigned int seed = 0xc000;

	dut_fill(p, DUT_LEN, ++seed);
	dut_store(dut, iova, DUT_LEN);
	return dut_holds(p, DUT_LEN, seed);
}

#endif /* __SELFTESTS_IOASID_DUT_H */
