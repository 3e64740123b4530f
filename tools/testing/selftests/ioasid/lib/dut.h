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

__u64 dut_ctrl(struct dut *dut);

extern const struct engine engine_edu;
extern const struct engine engine_nvme;
extern const struct engine engine_e1000e;

/* --- devices --- */

/* Find and take the @nth such device; -ENOENT if there is none. */
int dut_find(struct dut *dut, const struct engine *engine, int nth);

/*
 * Take the @nth such device and open it. @index numbers the devices of a test.
 */
int dut_open(struct dut *dut, const struct engine *engine, int nth, int index);

/*
 * Open a device that was found, on its own or by way of its group, which gets
 * @ctx, without binding it. @group is the group's file, or -1.
 */
int dut_open_either(struct dut *dut, int ctx, bool by_group, int *group);
void dut_close_either(struct dut *dut, int *group);

int dut_bind(struct dut *dut, int ctx, __u64 cookie);
int dut_admit(struct dut *dut, int ctx, __u32 id);

/* Attach, and start the device. */
int dut_attach(struct dut *dut, __u32 id);

int dut_load(struct dut *dut, __u64 iova, unsigned int length);
int dut_store(struct dut *dut, __u64 iova, unsigned int length);
void dut_stop(struct dut *dut);
void dut_close(struct dut *dut);

/* --- results --- */

void dut_fill(void *p, unsigned int length, unsigned int seed);

/* Whether memory has the pattern that dut_fill() writes. */
bool dut_holds(const void *p, unsigned int length, unsigned int seed);

/* Load the pattern of @seed into the device. It must be attached. */
int dut_prime(struct dut *dut, unsigned int seed);

/* Store the pattern of @seed from the device to @iova. */
int dut_put(struct dut *dut, __u64 iova, unsigned int seed);

/*
 * Whether the device reads the pattern of @seed at @iova. Its memory is
 * overwritten first.
 */
bool dut_sees(struct dut *dut, __u64 iova, unsigned int seed);

/* Whether a write of the device to @iova reaches @p. Changes the contents. */
bool dut_reaches(struct dut *dut, __u64 iova, void *p);

/* Whether @p is unchanged after the device has tried to write to @iova. */
bool dut_misses(struct dut *dut, __u64 iova, void *p);

/*
 * The same for a blocked device: it cannot load a pattern, and stores the one
 * that it was primed with.
 */
bool dut_blocked(struct dut *dut, __u64 iova, void *p);

#endif /* __SELFTESTS_IOASID_DUT_H */
