// SPDX-License-Identifier: GPL-2.0-only
#include "dut.h"

__u64 dut_ctrl(struct dut *dut)
{
	return CTRL_IOVA + dut->index * SZ_1M;
}

/* --- edu --- */

static int engine_edu_start(struct dut *dut)
{
	return edu_open(&dut->edu, dut->fd);
}

static int engine_edu_recover(struct dut *dut)
{
	return dut->edu.regs ? 0 : -EIO;
}

static void engine_edu_stop(struct dut *dut)
{
	edu_close(&dut->edu);
}

static int engine_edu_load(struct dut *dut, __u64 iova, unsigned int length)
{
	return edu_load(&dut->edu, iova, 0, length);
}

static int engine_edu_store(struct dut *dut, __u64 iova, unsigned int length)
{
	return edu_store(&dut->edu, iova, 0, length);
}

const struct engine engine_edu = {
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

static int engine_nvme_start(struct dut *dut)
{
	int rc;

	rc = nvme_start(&dut->nvme, dut->fd, dut->ctrl + CTRL_QUEUES,
			dut_ctrl(dut) + CTRL_QUEUES, 1, NVME_POLL);
	if (!rc && dut->nvme.block_size > 512)
		rc = -EOPNOTSUPP;
	return rc;
}

static int engine_nvme_recover(struct dut *dut)
{
	return nvme_reset(&dut->nvme);
}

static void engine_nvme_stop(struct dut *dut)
{
	nvme_stop(&dut->nvme);
}

static int engine_nvme_load(struct dut *dut, __u64 iova, unsigned int length)
{
	return nvme_rw(&dut->nvme, 1, NVME_WRITE, 0,
		       length / dut->nvme.block_size, iova);
}

static int engine_nvme_store(struct dut *dut, __u64 iova, unsigned int length)
{
	return nvme_rw(&dut->nvme, 1, NVME_READ, 0,
		       length / dut->nvme.block_size, iova);
}

const struct engine engine_nvme = {
	.name = "nvme",
	.id = &hw_nvme,
	.start = engine_nvme_start,
	.recover = engine_nvme_recover,
	.stop = engine_nvme_stop,
	.load = engine_nvme_load,
	.store = engine_nvme_store,
};

/* --- e1000e: its memory is a page of the program, behind the rings --- */

static int engine_e1000e_start(struct dut *dut)
{
	return e1000e_open(&dut->nic, dut->fd, dut->ctrl + CTRL_QUEUES,
			   dut_ctrl(dut) + CTRL_QUEUES);
}

static int engine_e1000e_recover(struct dut *dut)
{
	return e1000e_reset(&dut->nic);
}

static void engine_e1000e_stop(struct dut *dut)
{
	e1000e_close(&dut->nic);
}

static int engine_e1000e_load(struct dut *dut, __u64 iova, unsigned int length)
{
	return e1000e_copy(&dut->nic,
			   dut_ctrl(dut) + CTRL_QUEUES + E1000E_MEM, iova,
			   length);
}

static int engine_e1000e_store(struct dut *dut, __u64 iova, unsigned int length)
{
	return e1000e_copy(&dut->nic, iova,
			   dut_ctrl(dut) + CTRL_QUEUES + E1000E_MEM, length);
}

const struct engine engine_e1000e = {
	.name = "e1000e",
	.id = &hw_e1000e,
	.start = engine_e1000e_start,
	.recover = engine_e1000e_recover,
	.stop = engine_e1000e_stop,
	.load = engine_e1000e_load,
	.store = engine_e1000e_store,
};

/* --- devices --- */

int dut_find(struct dut *dut, const struct engine *engine, int nth)
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

int dut_open(struct dut *dut, const struct engine *engine, int nth, int index)
{
	int rc = dut_find(dut, engine, nth);

	if (rc)
		return rc;
	dut->index = index;
	dut->fd = hw_open_device(dut->name);
	return dut->fd < 0 ? dut->fd : 0;
}

int dut_bind(struct dut *dut, int ctx, __u64 cookie)
{
	return hw_bind(dut->fd, ctx, cookie, &dut->devid);
}

int dut_admit(struct dut *dut, int ctx, __u32 id)
{
	return ia_map(ctx, id, dut_ctrl(dut), dut->ctrl, dut->ctrl_size);
}

int dut_attach(struct dut *dut, __u32 id)
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

int dut_load(struct dut *dut, __u64 iova, unsigned int length)
{
	return dut->engine->load(dut, iova, length);
}

int dut_store(struct dut *dut, __u64 iova, unsigned int length)
{
	return dut->engine->store(dut, iova, length);
}

void dut_stop(struct dut *dut)
{
	if (dut->started)
		dut->engine->stop(dut);
	dut->started = false;
}

void dut_close(struct dut *dut)
{
	dut_stop(dut);
	if (dut->fd >= 0)
		close(dut->fd);
	dut->fd = -1;
	if (dut->ctrl)
		munmap(dut->ctrl, dut->ctrl_size);
	dut->ctrl = NULL;
}

int dut_open_either(struct dut *dut, int ctx, bool by_group, int *group)
{
	int rc;

	*group = -1;
	if (!by_group) {
		dut->fd = hw_open_device(dut->name);
		return dut->fd < 0 ? dut->fd : 0;
	}
	*group = hw_open_group(dut->name);
	if (*group < 0)
		return *group;
	rc = hw_set_container(*group, ctx);
	if (rc)
		return rc;
	dut->fd = hw_group_device(*group, dut->name);
	return dut->fd < 0 ? dut->fd : 0;
}

void dut_close_either(struct dut *dut, int *group)
{
	dut_stop(dut);
	if (dut->fd >= 0)
		close(dut->fd);
	dut->fd = -1;
	if (*group >= 0)
		close(*group);
	*group = -1;
}

/* --- results --- */

/* Different for each @seed in every word. */
static __u32 dut_word(unsigned int seed, unsigned int i)
{
	return (seed << 16 | 0x8001) ^ (i * 0x9e3779b1);
}

void dut_fill(void *p, unsigned int length, unsigned int seed)
{
	__u32 *word = p;
	unsigned int i;

	for (i = 0; i < length / 4; i++)
		word[i] = dut_word(seed, i);
}

bool dut_holds(const void *p, unsigned int length, unsigned int seed)
{
	const __u32 *word = p;
	unsigned int i;

	for (i = 0; i < length / 4; i++)
		if (__atomic_load_n(&word[i], __ATOMIC_ACQUIRE) !=
		    dut_word(seed, i))
			return false;
	return true;
}

int dut_prime(struct dut *dut, unsigned int seed)
{
	dut_fill(dut->ctrl + CTRL_SOURCE, DUT_LEN, seed);
	return dut_load(dut, dut_ctrl(dut) + CTRL_SOURCE, DUT_LEN);
}

int dut_put(struct dut *dut, __u64 iova, unsigned int seed)
{
	int rc = dut_prime(dut, seed);

	return rc ? -EIO : dut_store(dut, iova, DUT_LEN);
}

bool dut_sees(struct dut *dut, __u64 iova, unsigned int seed)
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

bool dut_reaches(struct dut *dut, __u64 iova, void *p)
{
	static unsigned int seed = 0x4000;

	seed += 2;
	dut_fill(p, DUT_LEN, seed);
	dut_put(dut, iova, seed + 1);
	return dut_holds(p, DUT_LEN, seed + 1);
}

bool dut_misses(struct dut *dut, __u64 iova, void *p)
{
	static unsigned int seed = 0x8000;

	seed += 2;
	if (dut_prime(dut, seed + 1))
		return false;
	dut_fill(p, DUT_LEN, seed);
	dut_store(dut, iova, DUT_LEN);
	return dut_holds(p, DUT_LEN, seed);
}

bool dut_blocked(struct dut *dut, __u64 iova, void *p)
{
	static unsigned int seed = 0xc000;

	dut_fill(p, DUT_LEN, ++seed);
	dut_store(dut, iova, DUT_LEN);
	return dut_holds(p, DUT_LEN, seed);
}
