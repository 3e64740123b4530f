// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of the fuzzer that are made of others, and structures that commands
 * point to.
 */
#include "fuzz_op.h"

static __u64 scatter(__u64 x)
{
	x *= 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 27;
}

void fuzz_batch_op(const struct fuzz_op *batch, unsigned int i,
		   struct fuzz_op *op)
{
	const __u64 x = scatter(batch->value + i + 1);
	const __u8 others[] = { batch->align >> 8, batch->align >> 16 };
	const unsigned int which = x >> 52 & 3;
	__u32 named = 0;

	*op = *batch;
	op->size = SIZE_EXACT;
	op->cut = 0;
	op->align = 0;
	op->value = 0;
	op->iova += (x >> 8) % 8 * FUZZ_PAGE;
	op->length = (1 + (x >> 16) % (x >> 20 & 3 ? 2 : 8)) * FUZZ_PAGE;
	if (which < 2 && others[which]) {
		named = IOASID_DMA_OP_IOASID;
		op->space = others[which] - 1;
		if ((x >> 54) % 32 < 2)
			op->ref = (x >> 54) % 32 ? REF_NEVER : REF_ZERO;
	}
	if (x % 8 < 3) {
		op->type = OP_UNMAP;
		op->addr = 0;
		op->flags = (x >> 24 & 1 ? IOASID_UNMAP_SPLIT : 0) |
			    (x >> 25 & 1 ? IOASID_UNMAP_CASCADE : 0);
	} else {
		op->type = OP_MAP;
		op->flags = batch->flags | IOASID_MAP_FIXED;
		if (!(op->flags & IOASID_MAP_RESERVE))
			op->addr += (x >> 24) % 8 * FUZZ_PAGE;
		if ((x >> 32) % 8 == 0 && op->space < FUZZ_WINDOW(0)) {
			op->flags &= ~IOASID_MAP_FIXED;
			op->iova = 0;
		}
	}
	op->flags |= named;
	switch ((x >> 40) % 256) {
	case 0:
		op->flags |= 1 << 12;
		break;
	case 1:
		op->length = 0;
		break;
	case 2:
		op->iova++;
		break;
	case 3 ... 10:
		if (op->type == OP_MAP)
			op->flags |= IOASID_DMA_OP_CUT(x >> 48 & 1 ? 12 : 21);
		break;
	}
}

void fuzz_root(const struct fuzz_op *op, union fuzz_root *root)
{
	memset(root, 0, sizeof(*root));
	root->s1.root = op->iova;
	root->s1.levels = op->cut;
	root->s1.flags = op->align;
}

/* Make an entry that is wrong. */
static void spoil(struct ioasid_invalidate *inv, __u64 how)
{
	switch (how % 7) {
	case 0:
		inv->flags |= 1 << 8;
		break;
	case 1:
		inv->flags = 0;
		break;
	case 2:
		inv->flags &= ~IOASID_INVALIDATE_PASID;
		inv->vpasid = 1;
		break;
	case 3:
		inv->flags &= ~IOASID_INVALIDATE_RANGE;
		inv->last = 1;
		break;
	case 4:
		inv->flags |= IOASID_INVALIDATE_RANGE;
		inv->start = inv->last + 1;
		break;
	case 5:
		inv->flags = IOASID_INVALIDATE_PASID_CACHE |
			     IOASID_INVALIDATE_RANGE;
		break;
	default:
		inv->flags |= IOASID_INVALIDATE_PASID;
		inv->vpasid = 77;
		break;
	}
}

void fuzz_invalidation(const struct fuzz_op *op, unsigned int i,
		       union fuzz_invalidation *inv)
{
	const __u64 x = scatter(op->value + i + 1);
	struct ioasid_invalidate any = {
		.flags = IOASID_INVALIDATE_IOTLB,
	};

	if (x & 1)
		any.flags |= IOASID_INVALIDATE_DEVTLB;
	if (x & 2)
		any.flags |= IOASID_INVALIDATE_LEAF;
	if (x & 4) {
		any.flags |= IOASID_INVALIDATE_RANGE;
		any.start = FUZZ_VA(1) + x / 64 % FUZZ_VA_PAGES * FUZZ_PAGE;
		any.last = any.start + FUZZ_PAGE - 1;
	}
	/* of a table by PASID */
	if (op->value & 1) {
		if (x & 8)
			any.flags |= IOASID_INVALIDATE_PASID_CACHE;
		if (x & 16) {
			any.flags |= IOASID_INVALIDATE_PASID;
			any.vpasid = x >> 32 & FUZZ_PASIDS;
		}
	}
	if (op->cut == i + 1)
		spoil(&any, x >> 40);
	memset(inv, 0, sizeof(*inv));
	if (!op->align) {
		inv->any = any;
		return;
	}
	/* The flags are the same, but for LEAF. */
	inv->own.flags = any.flags & ~IOASID_INVALIDATE_LEAF;
	inv->own.pasid = any.vpasid;
	inv->own.start = any.start;
	inv->own.last = any.last;
}
