// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on IOASIDs that a vDPA device uses, with a model that tells which
 * pages the device reaches. A sequence repeats exactly.
 */
#include "hw_vdpa.h"

/* IOASIDs: two roots, and a child of the first */
enum { NR_IDS = 3, CHILD = 2, NR_SLOTS = 8, STEPS = 300 };

/* What is mapped at a slot: memory, or nothing, and with which permission */
struct slot {
	int page;
	__u32 permission;
};

FIXTURE(fuzz)
{
	struct vdpa_setup s;
	__u32 id[NR_IDS];
	struct slot slot[NR_IDS][NR_SLOTS];
	int attached;
	__u64 seed;
};

FIXTURE_VARIANT(fuzz)
{
	enum vdpa_parent parent;
	unsigned int seed;
};

FIXTURE_VARIANT_ADD(fuzz, set_map1) { .parent = SET_MAP, .seed = 1, };
FIXTURE_VARIANT_ADD(fuzz, set_map2) { .parent = SET_MAP, .seed = 2, };
FIXTURE_VARIANT_ADD(fuzz, set_map3) { .parent = SET_MAP, .seed = 3, };
FIXTURE_VARIANT_ADD(fuzz, dma_map1) { .parent = DMA_MAP, .seed = 4, };
FIXTURE_VARIANT_ADD(fuzz, dma_map2) { .parent = DMA_MAP, .seed = 5, };
FIXTURE_VARIANT_ADD(fuzz, dma_map3) { .parent = DMA_MAP, .seed = 6, };
FIXTURE_VARIANT_ADD(fuzz, platform1) { .parent = PLATFORM, .seed = 7, };
FIXTURE_VARIANT_ADD(fuzz, platform2) { .parent = PLATFORM, .seed = 8, };

static unsigned int pick(struct _test_data_fuzz *self, unsigned int below)
{
	self->seed = self->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (self->seed >> 33) % below;
}

static __u64 iova_of(int slot)
{
	return BASE + slot * PG;
}

FIXTURE_SETUP(fuzz)
{
	struct vdpa_setup *s = &self->s;
	const char *reason = vdpa_prepare(s, variant->parent);
	struct ioasid_alloc alloc = {
		.argsz = sizeof(alloc),
		.kind = IOASID_KIND_MAP,
	};
	int i, j;

	ASSERT_NE(NULL, reason);
	if (*reason)
		SKIP(return, "%s", reason);
	self->seed = variant->seed;
	self->attached = -1;
	for (i = 0; i < NR_IDS; i++)
		for (j = 0; j < NR_SLOTS; j++)
			self->slot[i][j].page = -1;
	self->id[0] = s->id;
	ASSERT_EQ(0, ia_alloc(s->ctx, &self->id[1]));
	alloc.parent = s->id;
	ASSERT_EQ(0, ia_cmd(s->ctx, IOASID_ALLOC, &alloc));
	self->id[CHILD] = alloc.ioasid;
	for (i = 0; i < CHILD; i++)
		ASSERT_EQ(0, ia_map(s->ctx, self->id[i], RINGS, s->v.ctrl,
				    VIRTIO_CTRL));
	ASSERT_EQ(0, ia_map(s->ctx, self->id[CHILD], RINGS, (void *)RINGS,
			    VIRTIO_CTRL));
	ASSERT_EQ(0, vdpa_bind(s->v.fd, s->ctx, VDPA_COOKIE, &s->devid));
}

FIXTURE_TEARDOWN(fuzz)
{
	vdpa_finish(&self->s);
}

static __u32 any_permission(struct _test_data_fuzz *self)
{
	return pick(self, 4) ? IA_RW : IOASID_MAP_READ;
}

/* A root maps any page; the child, what is at any slot of its parent. */
static int do_map(struct _test_data_fuzz *self, int i, int slot, __u32 flags)
{
	int from = pick(self, i == CHILD ? NR_SLOTS : NR_PAGES);
	__u32 permission = any_permission(self);
	struct slot *now = &self->slot[i][slot];
	__u64 iova = iova_of(slot), addr;
	int page = from, rc, expected = 0;

	addr = IA_PTR(self->s.mem + from * PG);
	if (i == CHILD) {
		page = self->slot[0][from].page;
		addr = iova_of(from);
		if (page < 0)
			expected = -ENXIO;
		else if (permission & ~self->slot[0][from].permission)
			expected = -EACCES;
	}
	if (now->page >= 0 && !(flags & IOASID_MAP_REPLACE))
		expected = -EEXIST;
	rc = ia_map_full(self->s.ctx, self->id[i], flags | permission |
			 IOASID_MAP_FIXED, &iova, addr, PG, 0, 0, 0, NULL);
	/* a child refers to what would be replaced */
	if (rc == -EBUSY && !i && now->page >= 0)
		return 0;
	if (rc != expected)
		return -1;
	if (!rc) {
		now->page = page;
		now->permission = permission;
	}
	return 0;
}

static int do_unmap(struct _test_data_fuzz *self, int i, int slot, int nr)
{
	__u32 flags = i ? 0 : IOASID_UNMAP_CASCADE;
	int j, k;

	if (slot + nr > NR_SLOTS)
		nr = NR_SLOTS - slot;
	if (ia_unmap_full(self->s.ctx, self->id[i], flags, iova_of(slot),
			  nr * PG, NULL))
		return -1;
	for (j = slot; j < slot + nr; j++) {
		self->slot[i][j].page = -1;
		/* what the child has is read back: it names slots of the parent */
		for (k = 0; !i && k < NR_SLOTS; k++) {
			struct ioasid_query_entry entry;
			struct ioasid_query_map query = {
				.argsz = sizeof(query),
				.ioasid = self->id[CHILD],
				.nr = 1,
				.start = iova_of(k),
				.entries = IA_PTR(&entry),
			};

			if (ia_cmd(self->s.ctx, IOASID_QUERY_MAP, &query))
				return -1;
			if (!query.nr || entry.iova != iova_of(k))
				self->slot[CHILD][k].page = -1;
		}
	}
	return 0;
}

static int do_protect(struct _test_data_fuzz *self, int i, int slot)
{
	struct slot *now = &self->slot[i][slot];
	__u32 permission = any_permission(self);
	__u64 iova = iova_of(slot);
	int rc;

	rc = ia_map_full(self->s.ctx, self->id[i], IOASID_MAP_PROTECT |
			 IOASID_MAP_FIXED | permission, &iova, 0, PG, 0, 0, 0,
			 NULL);
	if (now->page < 0)
		return rc == -ENXIO ? 0 : -1;
	if (!rc)
		now->permission = permission;
	/* children keep the parent as it is, and have no more than it */
	return !rc || rc == -EBUSY || rc == -EACCES ? 0 : -1;
}

static int do_attach(struct _test_data_fuzz *self, int i)
{
	int rc = vdpa_attach(self->s.v.fd, self->id[i]);

	if (rc)
		return -1;
	self->attached = i;
	return virtio_start(&self->s.v, RINGS);
}

static int do_detach(struct _test_data_fuzz *self)
{
	int rc = vdpa_detach(self->s.v.fd, 0);

	if (rc != (self->attached < 0 ? -ENOENT : 0))
		return -1;
	self->attached = -1;
	return 0;
}

/* Whether the device moves what the model says, and nothing else */
static int do_move(struct _test_data_fuzz *self)
{
	int to = pick(self, NR_SLOTS), from = pick(self, NR_SLOTS), i;
	struct vdpa_setup *s = &self->s;
	const struct slot *at, *src;
	char *sink, *source;
	bool able;

	if (self->attached < 0)
		return 0;
	at = &self->slot[self->attached][to];
	src = &self->slot[self->attached][from];
	able = at->page >= 0 && src->page >= 0 && at->page != src->page &&
	       at->permission & IOASID_MAP_WRITE;
	if (at->page >= 0 && at->page == src->page)
		return 0;
	for (i = 0; i < NR_PAGES; i++)
		virtio_frame(s->mem + i * PG, VIRTIO_LEN, i + 1);
	sink = at->page < 0 ? NULL : s->mem + at->page * PG;
	source = src->page < 0 ? NULL : s->mem + src->page * PG;
	i = move(&s->v, iova_of(to), iova_of(from));
	if (i < 0)
		return i;
	if (able && !virtio_is_frame(sink, VIRTIO_LEN, src->page + 1))
		return -1;
	for (i = 0; i < NR_PAGES; i++)
		if ((!able || s->mem + i * PG != sink) &&
		    /* an IOMMU stops the read, and the device writes what it has */
		    !(sink && s->mem + i * PG == sink && !source &&
		      s->v.id == VIRTIO_ID_BLOCK &&
		      at->permission & IOASID_MAP_WRITE) &&
		    !virtio_is_frame(s->mem + i * PG, VIRTIO_LEN, i + 1))
			return -1;
	return s->v.id == VIRTIO_ID_BLOCK && !able ?
		virtio_start(&s->v, RINGS) : 0;
}

static int do_batch(struct _test_data_fuzz *self, int i)
{
	struct ioasid_dma_op ops[4] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = self->id[i],
		.ops = IA_PTR(ops),
		.nr = 4,
	};
	int slot = pick(self, NR_SLOTS), page = pick(self, NR_PAGES), other;

	other = (slot + 1) % NR_SLOTS;
	ops[0].op = IOASID_DMA_OP_UNMAP;
	ops[0].iova = iova_of(slot);
	ops[0].length = PG;
	ops[1].op = IOASID_DMA_OP_MAP;
	ops[1].flags = IA_RW_FIXED;
	ops[1].iova = iova_of(slot);
	ops[1].addr = IA_PTR(self->s.mem + page * PG);
	ops[1].length = PG;
	ops[2] = ops[0];
	ops[2].iova = iova_of(other);
	ops[3] = ops[1];
	ops[3].iova = iova_of(other);
	ops[3].addr = IA_PTR(self->s.mem + (page + 1) % NR_PAGES * PG);
	if (ia_cmd(self->s.ctx, IOASID_DMA_BATCH, &batch) || batch.done != 4)
		return -1;
	self->slot[i][slot] = (struct slot){ page, IA_RW };
	self->slot[i][other] = (struct slot){ (page + 1) % NR_PAGES, IA_RW };
	return 0;
}

TEST_F(fuzz, run)
{
	int step, rc = 0;

	for (step = 0; step < STEPS && !rc; step++) {
		int i = pick(self, NR_IDS), slot = pick(self, NR_SLOTS);
		unsigned int op = pick(self, 20);

		switch (op) {
		case 0:
		case 1:
		case 2:
		case 3:
			rc = do_map(self, i, slot, 0);
			break;
		case 4:
			rc = do_map(self, i, slot, IOASID_MAP_REPLACE);
			break;
		case 5:
		case 6:
			rc = do_unmap(self, i, slot, 1 + pick(self, 3));
			break;
		case 7:
			rc = do_protect(self, i, slot);
			break;
		case 8:
		case 9:
			rc = do_attach(self, i);
			break;
		case 10:
			rc = do_detach(self);
			break;
		case 11:
			/* its pages are not those of the parent of others */
			rc = do_batch(self, 1);
			break;
		case 12:
			if (self->attached >= 0)
				rc = virtio_start(&self->s.v, RINGS);
			break;
		default:
			rc = do_move(self);
			break;
		}
		ASSERT_EQ(0, rc) {
			TH_LOG("step %d, operation %u, IOASID %d, slot %d",
			       step, op, i, slot);
		}
	}
}

TEST_HARNESS_MAIN
