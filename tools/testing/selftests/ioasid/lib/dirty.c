// SPDX-License-Identifier: GPL-2.0-only
#include "dirty.h"

int ia_alloc_dirty(struct model *model, struct model_space *space, __u32 parent,
		   __u64 cut_size)
{
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ALLOC_DIRTY,
		.kind = IOASID_KIND_MAP,
		.parent = parent,
		.cut_size = cut_size,
	};
	int rc = ia_cmd(model->ctx, IOASID_ALLOC, &cmd);

	if (rc)
		return rc;
	*space = (struct model_space){
		.model = model, .id = cmd.ioasid, .container = -1,
	};
	return 0;
}

int ia_set_dirty(int fd, __u32 id, __u32 flags)
{
	struct ioasid_set_dirty cmd = {
		.argsz = sizeof(cmd),
		.flags = flags,
		.ioasid = id,
	};

	return ia_cmd(fd, IOASID_SET_DIRTY, &cmd);
}

int ia_get_dirty(int fd, __u32 id, __u32 flags, __u64 iova, __u64 pages,
		 void *bits, struct ioasid_get_dirty *cmd)
{
	*cmd = (struct ioasid_get_dirty){
		.argsz = sizeof(*cmd),
		.flags = flags,
		.ioasid = id,
		.iova = iova,
		.length = pages * page_size,
		.page_size = page_size,
		.bitmap = (unsigned long)bits,
	};
	return ia_cmd(fd, IOASID_GET_DIRTY, cmd);
}

int ia_unmap_dirty(int fd, __u32 id, __u32 flags, __u64 iova, __u64 pages,
		   void *bits, struct ioasid_unmap_dma *cmd)
{
	*cmd = (struct ioasid_unmap_dma){
		.argsz = sizeof(*cmd),
		.flags = flags | IOASID_UNMAP_DIRTY,
		.ioasid = id,
		.iova = iova,
		.length = pages * page_size,
		.unmapped = IA_UNTOUCHED,
		.page_size = page_size,
		.bitmap = (unsigned long)bits,
	};
	return ia_cmd(fd, IOASID_UNMAP_DMA, cmd);
}

unsigned int dirty_count(const __u64 *bits, unsigned int pages)
{
	unsigned int i, n = 0;

	for (i = 0; i < pages; i++)
		n += dirty_has(bits, i);
	return n;
}

void dirty_before(struct dirty_shadow *shadow)
{
	unsigned int i;

	for (i = 0; i < DIRTY_PAGES; i++)
		shadow->before[i] = shadow->ended[i];
}

int dirty_lost(struct dirty_shadow *shadow, const __u64 *bits,
	       unsigned int first, unsigned int pages)
{
	unsigned int i, page;

	for (i = 0; i < pages; i++) {
		page = first + i;
		if (dirty_has(bits, i))
			shadow->told[page] = shadow->began[page];
		else if (shadow->before[page] > shadow->told[page])
			return page;
	}
	return -1;
}

void *dirty_write(void *arg)
{
	struct dirty_writer *w = arg;
	unsigned int seed = w->first + 1, page;

	while (!w->end && !w->rc) {
		page = rand_r(&seed) % w->pages;
		w->shadow->began[w->first + page]++;
		w->rc = model_put(w->dev, w->iova + page * page_size, "z", 1);
		if (w->rc) {
			w->shadow->began[w->first + page]--;
			if (w->rc > 0)
				w->rc = 0;
			continue;
		}
		w->shadow->ended[w->first + page]++;
		w->written++;
	}
	return NULL;
}
