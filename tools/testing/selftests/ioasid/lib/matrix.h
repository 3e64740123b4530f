/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Model devices that do DMA while commands fail: a root and its child, each
 * with memory that has to stay as it is, and devices that read it all the time.
 *
 *	on_root		unit 0, attached to the root
 *	on_child	unit 0, attached to the child
 *	second		unit 1, attached to the child: its second domain
 *	spare, sibling	unit 2, one group; for commands to bind and to attach
 */
#ifndef __SELFTESTS_IOASID_MATRIX_H
#define __SELFTESTS_IOASID_MATRIX_H

#include <linux/memfd.h>

#include "family.h"

#define PG page_size

/* Memory that has to stay, in root and child: the pattern of this seed. */
#define KEEP SZ_1G
#define KEEP_PAGES 16
#define KEEP_SEED 5

/* Mappings of the root that children refer to, of 4, 4 and 8 pages */
#define FROM (2 * SZ_1G)
#define FROM_PAGES 16
/* and a mapping that may be in large pages */
#define FROM_HUGE (3 * SZ_1G)

/* The IOVA where commands map */
#define BASE (8 * SZ_1G)
#define END (128ULL << 40)

/* Pages of scattered memory, which is what family_memory() makes it */
#define MEM_PAGES 64

/* Channel that reads the memory that has to stay, during a command */
#define WATCH 1

struct stage {
	struct model model;
	int fd;
	struct model_space root;
	struct model_space child;
	struct model_space other;	/* a child without mappings */
	struct model_device on_root;
	struct model_device on_child;
	struct model_device second;
	struct model_device spare;
	struct model_device sibling;
	char *keep;
	char *mem;
	char *fresh;
	char *huge;
	int file;

	/* Space of the commands; reset() frees it. */
	__u32 id_new;
	__u32 id_below;
	int export;
	int ctx;
	/* IOVA that a command maps at; not reachable if it fails */
	struct model_space *at;
	__u64 iova;
	__u64 length;
	/* pages of @mem that a command unmaps; stay if it fails */
	__u64 there;
	unsigned int there_page;
	unsigned int there_pages;
	/* after a batch: mapped bytes, if it is known in which IOASID */
	__u32 mapped_id;
	__u64 mapped;
};

static inline struct model_space stage_space(struct stage *s, __u32 id)
{
	return (struct model_space) {
		.model = &s->model, .id = id, .container = -1,
	};
}

static inline int stage_plug(struct stage *s, struct model_device *dev,
			     __u32 unit, __u32 group_key)
{
	struct model_params params = { .unit = unit };

	return model_plug(&s->model, dev, &params, group_key);
}

static inline bool stage_verify(struct model_device *dev)
{
	return !model_verify(dev, KEEP, KEEP_SEED, KEEP_PAGES);
}

/*
 * Start devices that read the memory that has to stay. For the child, use the
 * device of its second domain, which is mapped and unmapped last.
 */
static inline int stage_busy(struct stage *s)
{
	int rc = model_hammer(&s->on_root, WATCH, IOASID_MODEL_VERIFY, KEEP,
			      KEEP_SEED, KEEP_PAGES, 1);

	return rc ?: model_hammer(&s->second, WATCH, IOASID_MODEL_VERIFY, KEEP,
				  KEEP_SEED, KEEP_PAGES, 1);
}

/* Stop them. NULL if all was right, or the mistake. */
static inline const char *stage_idle(struct model_device *dev)
{
	static char texts[2][160];
	char *text = texts[dev->devid % 2];
	struct ioasid_model_status status;
	int rc;

	rc = model_hammered(dev, WATCH, 1);
	rc = rc ?: model_stop(dev, WATCH, &status);
	if (!rc && status.done && !status.faults && !status.mismatches)
		return NULL;
	snprintf(text, sizeof(texts[0]),
		 "%s: %d, %llu done, %llu faults, the first %u at %#llx, %llu mismatches",
		 dev->name, rc, status.done, status.faults, status.fault,
		 status.fault_addr, status.mismatches);
	return text;
}

static inline const char *stage_wrong(struct stage *s)
{
	const char *root = stage_idle(&s->on_root);
	const char *child = stage_idle(&s->second);

	return root ?: child;
}

/* Mappings that children can refer to, and only those and the ones that stay */
static inline int stage_reset(struct stage *s)
{
	static const int pieces[] = { 4, 4, 8 };
	unsigned int i, at = 0;
	int rc;

	if (s->export >= 0)
		close(s->export);
	s->export = -1;
	if (s->sibling.model)
		model_release(&s->sibling);
	if (s->spare.model)
		model_release(&s->spare);
	if (s->ctx >= 0)
		close(s->ctx);
	s->ctx = -1;
	/* They may be gone already. */
	if (s->id_below)
		ia_free_cascade(s->fd, s->id_below);
	if (s->id_new)
		ia_free_cascade(s->fd, s->id_new);
	s->id_new = 0;
	s->id_below = 0;
	s->at = NULL;
	s->there_pages = 0;

	rc = ia_unmap(s->fd, s->child.id, 0, KEEP, NULL);
	rc = rc ?: ia_unmap(s->fd, s->child.id, KEEP + KEEP_PAGES * PG,
			    END - KEEP - KEEP_PAGES * PG, NULL);
	rc = rc ?: ia_unmap(s->fd, s->root.id, 0, KEEP, NULL);
	rc = rc ?: ia_unmap(s->fd, s->root.id, KEEP + KEEP_PAGES * PG,
			    END - KEEP - KEEP_PAGES * PG, NULL);
	for (i = 0; !rc && i < ARRAY_SIZE(pieces); i++) {
		rc = ia_map(s->fd, s->root.id, FROM + at * PG, s->mem + at * PG,
			    pieces[i] * PG);
		at += pieces[i];
	}
	return rc;
}

/* -ENOENT if a device or a feature is missing. */
static inline int stage_open(struct stage *s)
{
	int i, rc;
	__u32 id = 0;

	memset(s, 0, sizeof(*s));
	s->ctx = -1;
	s->export = -1;
	s->file = -1;
	rc = model_open(&s->model, MODEL_IOASID);
	if (rc)
		return rc;
	s->fd = s->model.ctx;
	s->keep = ia_mem(KEEP_PAGES * PG);
	s->mem = ia_mem(MEM_PAGES * PG);
	s->fresh = ia_mem(16 * PG);
	s->huge = ia_mem_aligned(SZ_2M, SZ_2M);
	if (!s->keep || !s->mem || !s->fresh || !s->huge)
		return -ENOMEM;
	model_pattern(s->keep, KEEP_SEED, KEEP, KEEP_PAGES * PG);
	madvise(s->huge, SZ_2M, MADV_HUGEPAGE);
	memset(s->huge, 1, SZ_2M);
	madvise(s->mem, MEM_PAGES * PG, MADV_NOHUGEPAGE);
	/* from the end, so that page frames do not ascend */
	for (i = MEM_PAGES - 1; i >= 0; i--)
		memset(s->mem + i * PG, i + 1, PG);
	s->file = memfd_create("matrix", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->file < 0 || ftruncate(s->file, 16 * PG))
		return -errno;

	rc = ia_alloc(s->fd, &id);
	s->root = stage_space(s, id);
	rc = rc ?: ia_child(s->fd, s->root.id, 0, &id);
	s->child = stage_space(s, id);
	rc = rc ?: ia_child(s->fd, s->root.id, 0, &id);
	s->other = stage_space(s, id);
	rc = rc ?: ia_map(s->fd, s->root.id, KEEP, s->keep, KEEP_PAGES * PG);
	rc = rc ?: ia_map_ref(s->fd, s->child.id, KEEP, KEEP, KEEP_PAGES * PG,
			      IA_RW);
	rc = rc ?: stage_plug(s, &s->on_root, 0, 0);
	rc = rc ?: stage_plug(s, &s->on_child, 0, 0);
	rc = rc ?: stage_plug(s, &s->second, 1, 0);
	rc = rc ?: model_attach(&s->on_root, &s->root);
	rc = rc ?: model_attach(&s->on_child, &s->child);
	rc = rc ?: model_attach(&s->second, &s->child);
	return rc ?: stage_reset(s);
}

/* For commands that need devices of their own */
static inline int stage_spare(struct stage *s)
{
	int rc = 0;

	if (!s->spare.model)
		rc = stage_plug(s, &s->spare, 2, 1);
	if (!rc && !s->sibling.model)
		rc = stage_plug(s, &s->sibling, 2, 1);
	return rc ?: model_bind(&s->spare);
}

static inline int stage_unplug(struct model_device *dev)
{
	if (!dev->model)
		return 0;
	model_release(dev);
	return model_unplug(dev, 0);
}

#endif /* __SELFTESTS_IOASID_MATRIX_H */
