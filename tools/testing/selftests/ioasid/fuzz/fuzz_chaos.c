// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: the IOASID where all threads race. Only invariants are
 * checked, while no thread runs.
 */
#include "fuzz_model.h"
#include "fuzz_run.h"

enum {
	CHAOS_MAP,
	CHAOS_UNMAP,
	CHAOS_UNMAP_ALL,
	CHAOS_FREE,
	CHAOS_ALLOC,
	CHAOS_REPLACE,
	CHAOS_PROTECT,
};

static int free_chaos(struct fuzz_world *w, __u32 id)
{
	struct ioasid_free arg = { .argsz = sizeof(arg), .ioasid = id };
	int rc = fuzz_ioctl(w->fd, IOASID_FREE, &arg);

	/* other threads do not free it: there is no race */
	return rc ? -EPROTO : 0;
}

/* Map the same page, and for reading. */
static void change_chaos(const struct fuzz_op *op, struct ioasid_map_dma *map)
{
	if (op->addr == CHAOS_MAP)
		return;
	map->flags |= op->addr == CHAOS_REPLACE ? IOASID_MAP_REPLACE :
		      IOASID_MAP_PROTECT;
	if (op->flags & IOASID_UNMAP_SPLIT)
		map->flags |= IOASID_MAP_SPLIT;
	if (op->addr == CHAOS_REPLACE)
		return;
	if (op->flags & 1)
		map->flags &= ~IOASID_MAP_WRITE;
	map->addr = 0;
	map->cut_size = 0;
}

void run_chaos(struct fuzz_world *w, const struct fuzz_op *op,
	       struct fuzz_result *r)
{
	const __u64 at = op->iova % FUZZ_CHAOS_PAGES * FUZZ_PAGE;
	const __u64 most = FUZZ_CHAOS_PAGES * FUZZ_PAGE - at;
	struct ioasid_map_dma map = {
		.argsz = sizeof(map),
		.flags = IOASID_MAP_READ | IOASID_MAP_WRITE | IOASID_MAP_FIXED,
		.ioasid = w->chaos,
		.iova = FUZZ_CHAOS_START + at,
		.addr = (__u64)(unsigned long)fuzz_mems[MEM_ANON].base + at,
		.length = op->length < most ? op->length : most,
		.cut_size = op->cut,
	};
	struct ioasid_unmap_dma unmap = {
		.argsz = sizeof(unmap),
		.ioasid = map.ioasid,
		.flags = op->flags & IOASID_UNMAP_SPLIT,
		.iova = map.iova,
		.length = map.length,
	};
	__u32 id, none = 0;

	r->rc = 0;
	switch (op->addr) {
	case CHAOS_MAP:
	case CHAOS_REPLACE:
	case CHAOS_PROTECT:
		change_chaos(op, &map);
		r->rc = fuzz_ioctl(w->fd, IOASID_MAP_DMA, &map);
		w->model->tried = true;
		if (!r->rc)
			w->model->charged = true;
		break;
	case CHAOS_UNMAP:
	case CHAOS_UNMAP_ALL:
		if (op->addr == CHAOS_UNMAP_ALL) {
			unmap.iova = 0;
			unmap.length = 0;
			unmap.flags = IOASID_UNMAP_ALL;
		}
		r->rc = fuzz_ioctl(w->fd, IOASID_UNMAP_DMA, &unmap);
		break;
	case CHAOS_FREE:
		id = atomic_exchange(&w->chaos, 0);
		if (id)
			r->rc = free_chaos(w, id);
		break;
	case CHAOS_ALLOC:
		if (w->chaos)
			break;
		r->rc = alloc(w->fd, FUZZ_CHAOS_COOKIE, &id);
		if (r->rc)
			break;
		saw_id(w, id);
		if (!atomic_compare_exchange_strong(&w->chaos, &none, id))
			r->rc = free_chaos(w, id);
		break;
	}
}

/* Number of pages of chaos that DMA can read, each of which must be right. */
static int count_pages(struct fuzz_world *w, int thread, __u64 *pages)
{
	__u64 page, word;
	int rc;

	for (page = 0; page < FUZZ_CHAOS_PAGES; page++) {
		rc = dma_read(w, thread, 0, FUZZ_CHAOS_START + page * FUZZ_PAGE,
			      &word, 8);
		if (rc == -ENOENT)
			continue;
		if (rc)
			return rc;
		if (word != fuzz_pattern(MEM_ANON, page * FUZZ_PAGE))
			return -EILSEQ;
		++*pages;
	}
	return 0;
}

void run_chaos_check(struct fuzz_world *w, const struct fuzz_op *op,
		     struct fuzz_result *r)
{
	const struct fuzz_device *d = model_device(w->model, op->thread);
	struct ioasid_unmap_dma unmap = {
		.argsz = sizeof(unmap),
		.flags = IOASID_UNMAP_ALL,
		.ioasid = w->chaos,
	};
	struct ioasid_info info;
	__u64 pages = 0;

	r->rc = 0;
	r->text[0] = 0;
	if (!w->chaos)
		return;
	r->rc = get_info(w->fd, w->chaos, &info);
	if (!r->rc && (info.bytes_mapped != info.bytes_pinned ||
		       info.bytes_mapped != info.bytes_charged)) {
		snprintf(r->text, sizeof(r->text), "mapped, pinned, charged differ");
		r->rc = -EPROTO;
	}
	/* not away from a table of user space: it may have no way back */
	if (!r->rc && d && d->bound &&
	    (d->routes[0] < 0 ||
	     !model_is_table(&w->model->spaces[d->routes[0]]))) {
		int device = w->device[op->thread];

		r->rc = attach(device, w->chaos) ?:
			count_pages(w, op->thread, &pages) ?:
			attach(device, d->routes[0] < 0 ? 0 :
			       w->model->spaces[d->routes[0]].id);
		if (!r->rc && pages * FUZZ_PAGE != info.bytes_mapped) {
			snprintf(r->text, sizeof(r->text),
				 "%llu pages can be read, %llu bytes mapped",
				 pages, info.bytes_mapped);
			r->rc = -EPROTO;
		}
	}
	if (!r->rc)
		r->rc = fuzz_ioctl(w->fd, IOASID_UNMAP_DMA, &unmap);
	if (!r->rc && unmap.unmapped != info.bytes_mapped) {
		snprintf(r->text, sizeof(r->text), "not as much unmapped as was mapped");
		r->rc = -EPROTO;
	}
	if (!r->rc)
		r->rc = get_info(w->fd, w->chaos, &info);
	if (!r->rc && (info.nr_mappings || info.bytes_mapped ||
		       info.bytes_pinned || info.bytes_charged)) {
		snprintf(r->text, sizeof(r->text), "something is left");
		r->rc = -EPROTO;
	}
}
