// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model: which pages were written.
 *
 * It remembers some of the pages that DMA wrote to, in the addresses of the root:
 * each of them must be told. More may be told than were written.
 */
#include <string.h>

#include "fuzz_judge.h"

void wrote(struct fuzz_model *m, struct fuzz_space *s, __u64 iova)
{
	const struct fuzz_mapping *map;
	unsigned int i;

	while (is_child(s)) {
		map = model_find(s, iova);
		if (!map || s->parent < 0)
			return;
		iova = map->offset + (iova - map->start);
		s = &m->spaces[s->parent];
	}
	iova -= iova % FUZZ_PAGE;
	for (i = 0; i < s->nr_written; i++)
		if (s->written[i] == iova)
			return;
	if (s->tracked && s->nr_written < FUZZ_WRITTEN)
		s->written[s->nr_written++] = iova;
}

void forget_written(struct fuzz_space *s, __u64 start, __u64 last)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->nr_written; i++)
		if (s->written[i] < start || s->written[i] > last)
			s->written[n++] = s->written[i];
	s->nr_written = n;
}

void judge_bitmap(struct judge *j, __u64 iova, __u64 length, __u64 page_size,
		  __u64 bitmap)
{
	fails_if(j, !is_range(iova, length) || !page_aligned(iova | length),
		 EINVAL);
	fails_if(j, page_size < FUZZ_PAGE || page_size & (page_size - 1),
		 EINVAL);
	fails_if(j, page_size > 512 * FUZZ_PAGE, EOPNOTSUPP);
	fails_if(j, bitmap == FUZZ_NOWHERE, EFAULT);
}

void judge_dirty(struct judge *j, struct fuzz_space *s, __u64 iova,
		 __u64 length, __u64 page_size)
{
	const __u64 last = iova + length - 1;
	unsigned int i;
	__u64 block;

	for (i = 0; i < s->nr_written; i++) {
		if (s->written[i] < iova || s->written[i] > last)
			continue;
		block = s->written[i] / page_size - iova / page_size;
		if (j->r->dirty[block / 64] >> block % 64 & 1)
			continue;
		bad(j, 1, 0, "a page that was written",
		    "dirty[%llu] >> %llu & 1", block / 64, block % 64);
		return;
	}
}

void judge_set_dirty(struct judge *j)
{
	const struct ioasid_set_dirty *in = &j->r->in.set_dirty;
	const bool on = in->flags & IOASID_SET_DIRTY_ON;
	const bool off = in->flags & IOASID_SET_DIRTY_OFF;
	const bool coarse = in->flags & IOASID_SET_DIRTY_COARSE;
	struct fuzz_space *s = named(j->m, j->op);

	common(j, in->flags, IOASID_SET_DIRTY_ON | IOASID_SET_DIRTY_OFF |
	       IOASID_SET_DIRTY_COARSE, WRITES_NOTHING);
	fails_if(j, in->__reserved || on == off || (off && coarse), EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && (!model_is_map(s) || is_child(s)), EOPNOTSUPP);
	fails_if(j, s && on && s->tracked, EEXIST);
	fails_if(j, s && off && !s->tracked, ENOENT);
	/* some devices have dirty bits; those of tables below it count, too */
	if (s && (s->devices || s->nest_parent) && on && !coarse)
		perhaps(j, EOPNOTSUPP);
	if (!succeeded(j))
		return;
	s->tracked = on;
	s->nr_written = 0;
}

void judge_get_dirty(struct judge *j)
{
	const struct ioasid_get_dirty *in = &j->r->in.get_dirty;
	const struct ioasid_get_dirty *out = &j->r->arg.get_dirty;
	struct fuzz_space *s = named(j->m, j->op);
	__u64 words, bits = 0;
	unsigned int i;

	common(j, in->flags, IOASID_GET_DIRTY_NO_CLEAR, WRITES);
	judge_bitmap(j, in->iova, in->length, in->page_size, in->bitmap);
	fails_if(j, in->nr_dirty, EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && (!model_is_map(s) || is_child(s)), EOPNOTSUPP);
	fails_if(j, s && !s->tracked, ENOENT);
	if (!succeeded(j))
		return;
	judge_dirty(j, s, in->iova, in->length, in->page_size);
	words = ((in->iova + in->length - 1) / in->page_size -
		 in->iova / in->page_size) / 64 + 1;
	for (i = 0; i < words; i++)
		bits += __builtin_popcountll(j->r->dirty[i]);
	SAME(bits, get_dirty.nr_dirty);
	SAME(0, get_dirty.next);
	if (out->told & ~IOASID_DIRTY_EXACT)
		bad(j, 0, out->told, "", "get_dirty.told");
	if (!(in->flags & IOASID_GET_DIRTY_NO_CLEAR) &&
	    j->m->plant != PLANT_DIRTY)
		forget_written(s, in->iova, in->iova + in->length - 1);
}
