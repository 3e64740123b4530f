// SPDX-License-Identifier: GPL-2.0-only
#include "matrix.h"

static struct model_space stage_space(struct stage *s, __u32 id)
{
	return (struct model_space) {
		.model = &s->model, .id = id, .container = -1,
	};
}

static int stage_plug(struct stage *s, struct model_device *dev, __u32 unit,
		      __u32 group_key)
{
	struct model_params params = { .unit = unit };

	return model_plug(&s->model, dev, &params, group_key);
}

bool stage_verify(struct model_device *dev)
{
	return !model_verify(dev, KEEP, KEEP_SEED, KEEP_PAGES);
}

int stage_busy(struct stage *s)
{
	int rc = model_hammer(&s->on_root, WATCH, IOASID_MODEL_VERIFY, KEEP,
			      KEEP_SEED, KEEP_PAGES, 1);

	return rc ?: model_hammer(&s->second, WATCH, IOASID_MODEL_VERIFY, KEEP,
				  KEEP_SEED, KEEP_PAGES, 1);
}

const char *stage_idle(struct model_device *dev)
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

const char *stage_wrong(struct stage *s)
{
	const char *root = stage_idle(&s->on_root);
	const char *child = stage_idle(&s->second);

	return root ?: child;
}

int stage_reset(struct stage *s)
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

int stage_open(struct stage *s)
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

int stage_spare(struct stage *s)
{
	int rc = 0;

	if (!s->spare.model)
		rc = stage_plug(s, &s->spare, 2, 1);
	if (!rc && !s->sibling.model)
		rc = stage_plug(s, &s->sibling, 2, 1);
	return rc ?: model_bind(&s->spare);
}

int stage_unplug(struct model_device *dev)
{
	if (!dev->model)
		return 0;
	model_release(dev);
	return model_unplug(dev, 0);
}
