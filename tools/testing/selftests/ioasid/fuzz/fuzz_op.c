// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of the fuzzer that are made of others.
 */
#include "fuzz_op.h"

void fuzz_batch_op(const struct fuzz_op *batch, unsigned int i,
		   struct fuzz_op *op)
{
	__u64 x = (batch->value + i + 1) * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	*op = *batch;
	op->size = SIZE_EXACT;
	op->cut = 0;
	op->align = 0;
	op->value = 0;
	op->iova += (x >> 8) % 8 * FUZZ_PAGE;
	op->length = (1 + (x >> 16) % (x >> 20 & 3 ? 2 : 8)) * FUZZ_PAGE;
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
	}
}
