/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Model devices for tests, and one way to use them through /dev/ioasid,
 * /dev/iommu and a VFIO type1 container, so that the same test runs on all of
 * them:
 *
 *	struct model_device dev;
 *	struct model_space space;
 *	struct model model;
 *
 *	model_open(&model, MODEL_IOASID);	SKIP() if -ENOENT
 *	model_plug(&model, &dev, NULL, 0);
 *	model_space_open(&model, &space);
 *	model_attach(&dev, &space);
 *	model_map(&space, iova, p, length, MODEL_RW);
 *	model_put(&dev, iova, data, length);
 *
 * All functions return a negative errno when they fail. Where a device does
 * DMA they return 0 when it was done, and enum model_reason when it faulted.
 *
 * A type1 container can be mapped to only while a device is attached, and what
 * was mapped goes when the last one is detached.
 */
#ifndef __SELFTESTS_IOASID_MODEL_H
#define __SELFTESTS_IOASID_MODEL_H

#include <dirent.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "ioasid_util.h"
#include "hw.h"
#include "ioasid_mock.h"

/* The API that a test uses. */
enum model_api {
	MODEL_IOASID,		/* /dev/ioasid, VFIO's device files */
	MODEL_IOASID_GROUP,	/* /dev/ioasid, device files from VFIO groups */
	MODEL_IOMMUFD,		/* /dev/iommu, VFIO's device files */
	MODEL_TYPE1,		/* a container, VFIO groups */
};

#define MODEL_READ_ONLY 1
#define MODEL_RW 3

#define MODEL_PLATFORM "/sys/devices/platform/"

/**
 * struct model - the API under test
 * @api: the API
 * @control: the control node
 * @ctx: /dev/ioasid or /dev/iommu; -1 with type1
 */
struct model {
	enum model_api api;
	int control;
	int ctx;
};

/**
 * struct model_space - an address space
 * @model: the API that it belongs to
 * @id: id of the IOASID or the IOAS
 * @container: with type1, or -1
 * @attached: number of attached devices
 */
struct model_space {
	struct model *model;
	__u32 id;
	int container;
	int attached;
};

/**
 * struct model_device - a model device
 * @model: the API that it belongs to
 * @space: the space that it is attached to, or NULL
 * @id: of the control node
 * @name: of the device
 * @group: with groups, or -1
 * @fd: the device file, or -1
 * @devid: of /dev/ioasid or /dev/iommu
 * @bound: it is bound to @ctx of its model
 */
struct model_device {
	struct model *model;
	struct model_space *space;
	__u32 id;
	char name[IOASID_MODEL_NAME];
	int group;
	int fd;
	__u32 devid;
	bool bound;
};

/* Load the module; -ENOENT if there is none. */
int model_load(void);

/* -ENOENT if the API is not available. */
int model_open(struct model *model, enum model_api api);

/* Unplugs the remaining devices in the background. */
void model_close(struct model *model);

/* --- the control node --- */

int model_create(struct model *model, struct ioasid_model_create *cmd);

/* Defaults where @params is NULL; a group of its own where @group_key is 0. */
int model_plug(struct model *model, struct model_device *dev,
	       const struct model_params *params, __u32 group_key);

/* Waits until it has gone, unless @flags has IOASID_MODEL_ASYNC. */
int model_unplug(struct model_device *dev, __u32 flags);

/* Whether the device still exists. */
bool model_present(struct model_device *dev);

int model_inject(struct model_device *dev, enum model_injection what, __u32 nth,
		 __u32 pages);
int model_inspect(struct model_device *dev, __u32 flags,
		  struct ioasid_model_inspect *look);

/*
 * Counters that cannot be read count as a violation. Stale translations are
 * allowed during an unmap, before the flush; with no concurrent commands there
 * are none.
 */
struct model_counters model_counters(struct model_device *dev);

/*
 * Check for violations that no software may cause: NULL, or the violation. No
 * reachable memory was released, now or before.
 */
const char *model_harm(struct model_device *dev);

#define EXPECT_NO_HARM(dev)						\
do {									\
	const char *__harm = model_harm(dev);				\
									\
	EXPECT_EQ(NULL, __harm) TH_LOG("%s", __harm);			\
} while (0)

/* In a FIXTURE_TEARDOWN(): no harm was done; remove a device. */
#define MODEL_REMOVE(dev)						\
do {									\
	struct model_device *__dev = (dev);				\
									\
	EXPECT_NO_HARM(__dev);						\
	model_release(__dev);						\
	EXPECT_EQ(0, model_unplug(__dev, 0));				\
} while (0)

/* --- open --- */

int model_open_cdev(struct model_device *dev);

/* The number of its iommu group. */
int model_group(struct model_device *dev);

/* The file of its group: one for all devices in it of one test. */
int model_open_group(struct model_device *dev);

/* The device file, through a group that has its container or context. */
int model_group_device(struct model_device *dev);

int model_bind(struct model_device *dev);

/* Processes that have it mapped keep it open. */
void model_release(struct model_device *dev);

/* --- address spaces --- */

int model_space_open(struct model *model, struct model_space *space);

/* No device is attached. */
int model_space_close(struct model_space *space);

/*
 * Attach, also from another space: type1 closes the device in between. @with is
 * a device of the same group that is open, or NULL.
 */
int model_attach_with(struct model_device *dev, struct model_space *space,
		      struct model_device *with);

int model_attach(struct model_device *dev, struct model_space *space);

/* The device stays open; type1 cannot do that. */
int model_detach(struct model_device *dev);

int model_map(struct model_space *space, __u64 iova, const void *p,
	      __u64 length, int permission);

/* Whole mappings only. Some APIs allow a range without mappings. */
int model_unmap(struct model_space *space, __u64 iova, __u64 length);

/* --- registers, memory, interrupts --- */

int model_rw(struct model_device *dev, bool write, int region, __u64 at,
	     void *data, size_t length);
int model_read_memory(struct model_device *dev, __u64 at, void *data,
		      size_t length);
int model_write_memory(struct model_device *dev, __u64 at, const void *data,
		       size_t length);

/* All of the memory; MAP_FAILED if mmap() fails. */
void *model_map_memory(struct model_device *dev);

int model_memory_on(struct model_device *dev, __u32 on);
int model_state(struct model_device *dev, struct ioasid_model_state *state);
int model_reset(struct model_device *dev);

/* @eventfd -1 for none. */
int model_set_irq(struct model_device *dev, __u32 irq, int eventfd);

/* --- DMA --- */

__u64 model_channel(int channel, __u64 reg);
int model_start(struct model_device *dev, int channel,
		const struct ioasid_model_dma *dma);
int model_status(struct model_device *dev, int channel,
		 struct ioasid_model_status *status);

/* The DMA has ended when this returns; @status, if given, gets the result. */
int model_stop(struct model_device *dev, int channel,
	       struct ioasid_model_status *status);

/*
 * Do it on channel 0, and wait. Tests that use this hammer on another channel.
 */
int model_dma(struct model_device *dev, const struct ioasid_model_dma *dma,
	      struct ioasid_model_status *status);

/* The device writes @data to @iova. */
int model_put(struct model_device *dev, __u64 iova, const void *data,
	      size_t length);

/* The device reads at @iova, to @data. */
int model_get(struct model_device *dev, __u64 iova, void *data, size_t length);

/* The pattern that IOASID_MODEL_FILL writes to @iova, and VERIFY expects. */
void model_pattern(void *p, __u64 seed, __u64 iova, size_t length);

bool model_pattern_holds(const void *p, __u64 seed, __u64 iova, size_t length);

/* The device writes the pattern to pages at @iova. */
int model_fill(struct model_device *dev, __u64 iova, __u64 seed,
	       unsigned int pages);

/* The device reads the pattern at @iova; -EILSEQ if the contents differ. */
int model_verify(struct model_device *dev, __u64 iova, __u64 seed,
		 unsigned int pages);

/* Repeat it on @threads until model_stop(), in spite of faults. */
int model_hammer(struct model_device *dev, int channel, __u32 op, __u64 iova,
		 __u64 seed, unsigned int pages, unsigned int threads);

/* Wait until a hammer has done @more accesses, up to 10 seconds. */
int model_hammered(struct model_device *dev, int channel, __u64 more);

#endif /* __SELFTESTS_IOASID_MODEL_H */
