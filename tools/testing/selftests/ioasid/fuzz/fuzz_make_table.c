// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: makes up operations on tables of user space.
 */
#include "fuzz_worker.h"

static bool is_room(const struct fuzz_space *s)
{
	return !s->live;
}

static bool is_parent(const struct fuzz_space *s)
{
	return s->live && s->nest_parent;
}

static bool is_table(const struct fuzz_space *s)
{
	return s->live && model_is_table(s);
}

/* A random space of the thread of this sort; -1, it has none. */
static int some_space(struct worker *t,
		      bool (*is)(const struct fuzz_space *s))
{
	const unsigned int from = below(t, FUZZ_OWN);
	int i, space;

	for (i = 0; i < FUZZ_OWN; i++) {
		space = t->nr * FUZZ_OWN + (from + i) % FUZZ_OWN;
		if (is(&t->w->model->spaces[space]))
			return space;
	}
	return -1;
}

/* The id of a table, if the thread has one. */
static void make_table_id(struct worker *t, struct fuzz_op *op)
{
	const int table = some_space(t, is_table);

	make_id(t, op);
	if (table >= 0 && !one_in(t, 16))
		op->space = table;
}

void prefer_table(struct worker *t, struct fuzz_op *op)
{
	if (model_nests(t->w->model, t->nr) && one_in(t, 2))
		make_table_id(t, op);
}

/* The fields of an alloc: of a table whose parent is this space. */
static void name_format(struct worker *t, struct fuzz_op *op, int parent)
{
	op->iova = parent - t->nr * FUZZ_OWN + 1;
	op->addr = IOASID_KIND_PGTABLE;
	op->length = MODEL_HWPT_DATA_S1;
	if (one_in(t, 3)) {
		op->addr = IOASID_KIND_PASID_TABLE;
		op->length = MODEL_HWPT_DATA_PASID_TABLE;
	}
}

bool make_table(struct worker *t, struct fuzz_op *op)
{
	int parent;

	if (!one_in(t, model_nests(t->w->model, t->nr) ? 2 : 8))
		return false;
	parent = some_space(t, is_parent);
	if (parent < 0)
		return false;
	name_format(t, op, parent);
	if (one_in(t, 12))
		op->length = ONE_OF(t, 0, FUZZ_OTHER_FORMAT, 77,
				    MODEL_HWPT_DATA_S1,
				    MODEL_HWPT_DATA_PASID_TABLE, 1ULL << 32);
	op->cut = one_in(t, 24) ? FUZZ_PAGE : 0;
	op->align = one_in(t, 24);
	op->flags = one_in(t, 24) ? IOASID_ALLOC_NEST_PARENT : 0;
	return true;
}

/* Map MEM_TABLE from op.addr on. */
static void map_table(struct fuzz_op *op)
{
	op->mem = MEM_TABLE;
	op->iova = FUZZ_TABLES + op->addr;
	op->length = TABLE_NR * FUZZ_PAGE - op->addr;
}

/* Map some memory where tables lead. */
static void map_data(struct worker *t, struct fuzz_op *op)
{
	op->iova = FUZZ_DATA + below(t, FUZZ_VA_PAGES) * FUZZ_PAGE;
	if (one_in(t, 6))
		op->iova += FUZZ_HUGE;
	op->length = (1 + below(t, 32)) * FUZZ_PAGE;
	make_memory(t, op);
}

bool make_below_table(struct worker *t, struct fuzz_op *op)
{
	const __u32 rw = IOASID_MAP_READ | IOASID_MAP_WRITE;

	if (!space_of(t, op)->nest_parent || !one_in(t, 2))
		return false;
	op->flags = IOASID_MAP_FIXED | rw;
	if (one_in(t, 6))
		op->flags &= ~ONE_OF(t, IOASID_MAP_READ, IOASID_MAP_WRITE);
	op->cut = one_in(t, 2) ? FUZZ_PAGE : 0;
	if (one_in(t, 2)) {
		if (one_in(t, 6))
			op->addr = below(t, TABLE_NR) * FUZZ_PAGE;
		map_table(op);
		return true;
	}
	map_data(t, op);
	return true;
}

/* A root that has these levels, and an address of it. */
static void make_root(struct worker *t, struct fuzz_op *op)
{
	static const enum fuzz_table roots[] = {
		[2] = TABLE_2,
		[3] = TABLE_3,
		[4] = TABLE_4,
		[5] = TABLE_5,
	};
	const struct fuzz_space *s = space_of(t, op);
	const struct fuzz_mapping *map = NULL;

	if (s->kind == IOASID_KIND_PASID_TABLE) {
		op->cut = ONE_OF(t, FUZZ_PASID_BITS, FUZZ_PASID_BITS,
				 FUZZ_PASID_BITS, 1);
		op->iova = ONE_OF(t, TABLE_PASIDS, TABLE_PASIDS,
				  TABLE_PASIDS_BAD);
	} else {
		op->cut = ONE_OF(t, 3, 3, 2, 4, 5);
		op->iova = roots[op->cut];
	}
	op->iova = FUZZ_TABLES + op->iova * FUZZ_PAGE;
	if (one_in(t, 16))
		op->cut = below(t, 8);
	if (!one_in(t, 6))
		return;
	/* a table that lies */
	if (s->parent >= 0)
		map = some_mapping(t, &t->w->model->spaces[s->parent]);
	op->iova = map && !one_in(t, 4) ? map->start : make_iova(t, s);
	if (one_in(t, 8))
		op->iova ^= ONE_OF(t, 8, 1ULL << 62, FUZZ_PAGE);
}

/* Bind something to op.space. */
static void bind_table(struct worker *t, struct fuzz_op *op)
{
	op->type = space_of(t, op)->kind == IOASID_KIND_PASID_TABLE ?
		   OP_BIND_PASIDS : OP_BIND_TABLE;
	make_root(t, op);
	op->length = sizeof(struct model_s1);
}

/* A page to which tables lead, and that the parent has mapped; -1, there is none. */
static int some_data(struct worker *t, const struct fuzz_space *parent)
{
	const unsigned int from = below(t, FUZZ_VA_PAGES);
	int i, page;

	for (i = 0; i < FUZZ_VA_PAGES; i++) {
		page = (from + i) % FUZZ_VA_PAGES;
		if (model_find(parent, FUZZ_DATA + page * FUZZ_PAGE))
			return page;
	}
	return -1;
}

/* An alloc of a table or, without a parent for it, of that; false: no room. */
static bool make_new_table(struct worker *t, struct fuzz_op *op)
{
	const int space = some_space(t, is_room);
	const int parent = some_space(t, is_parent);

	if (space < 0)
		return false;
	*op = (struct fuzz_op) {
		.type = OP_ALLOC,
		.thread = t->nr,
		.space = space,
		.value = fuzz_mix(&t->random),
		.addr = IOASID_KIND_MAP,
		.flags = IOASID_ALLOC_NEST_PARENT,
	};
	if (parent < 0)
		return true;
	op->flags = 0;
	name_format(t, op, parent);
	return true;
}

/*
 * Make it the next of the operations that DMA through a table needs: random ones
 * hardly ever are in this order.  @table: the table, or -1 if any will do.
 * Returns false if they all were done, and sometimes without need.
 */
static bool make_way(struct worker *t, struct fuzz_op *op, int table)
{
	const struct fuzz_space *spaces = t->w->model->spaces;
	struct fuzz_op next = {
		.type = OP_MAP,
		.thread = t->nr,
		.flags = IOASID_MAP_READ | IOASID_MAP_WRITE | IOASID_MAP_FIXED,
	};

	if (one_in(t, 6))
		return false;
	if (table < 0)
		table = some_space(t, is_table);
	if (table < 0)
		return make_new_table(t, op);
	if (spaces[table].parent < 0)
		return false;
	next.space = spaces[table].parent;
	if (!model_find(&spaces[next.space], FUZZ_TABLES)) {
		map_table(&next);
	} else if (some_data(t, &spaces[next.space]) < 0) {
		map_data(t, &next);
	} else if (!spaces[table].bound) {
		next.flags = 0;
		next.space = table;
		bind_table(t, &next);
	} else {
		return false;
	}
	*op = next;
	return true;
}

bool make_way_to(struct worker *t, struct fuzz_op *op, int to)
{
	const struct fuzz_space *s = &t->w->model->spaces[to];

	/* it may have been there, and have been taken away */
	return model_is_table(s) && make_way(t, op, to);
}

void aim_at_pasids(struct worker *t, struct fuzz_op *op)
{
	const struct fuzz_device *d = model_device(t->w->model, t->nr);
	__u32 pasid;

	if (!d || space_of(t, op)->kind != IOASID_KIND_PASID_TABLE ||
	    one_in(t, 6))
		return;
	op->flags = 0;
	op->value = 0;
	for (pasid = 1; pasid <= FUZZ_PASIDS; pasid++) {
		if (d->routes[pasid] < 0)
			continue;
		op->type = OP_DETACH;
		op->ref = REF_ZERO;
		op->flags = IOASID_DETACH_PASID;
		op->value = pasid;
	}
}

void make_bind_table(struct worker *t, struct fuzz_op *op)
{
	if (make_way(t, op, -1))
		return;
	make_table_id(t, op);
	bind_table(t, op);
	if (one_in(t, 32))
		op->type ^= OP_BIND_PASIDS ^ OP_BIND_TABLE;
	if (!one_in(t, 4))
		op->flags = IOASID_BIND_REPLACE;
	if (one_in(t, 24))
		op->length = ONE_OF(t, 0, 8, 17, 512, 513);
	if (one_in(t, 32))
		op->align = 1;
	if (one_in(t, 32))
		op->addr = 1;
	if (one_in(t, 32))
		op->value = 1;
}

void make_unbind_table(struct worker *t, struct fuzz_op *op)
{
	make_table_id(t, op);
	op->type = space_of(t, op)->kind == IOASID_KIND_PASID_TABLE ?
		   OP_UNBIND_PASIDS : OP_UNBIND_TABLE;
	if (one_in(t, 32))
		op->type ^= OP_UNBIND_PASIDS ^ OP_UNBIND_TABLE;
	op->value = one_in(t, 32);
	op->flags = one_in(t, 32);
}

void make_invalidate(struct worker *t, struct fuzz_op *op)
{
	if (some_space(t, is_table) < 0 && make_way(t, op, -1))
		return;
	make_table_id(t, op);
	op->length = 1 + below(t, FUZZ_INVALIDATIONS);
	if (one_in(t, 32))
		op->length = 0;
	op->value = fuzz_mix(&t->random) & ~1ULL;
	if (space_of(t, op)->kind == IOASID_KIND_PASID_TABLE)
		op->value |= 1;
	if (one_in(t, 3))
		op->cut = 1 + below(t, FUZZ_INVALIDATIONS);
	op->mem = ONE_OF(t, DEVID_NONE, DEVID_NONE, DEVID_OWN);
	if (one_in(t, 16))
		op->mem = below(t, DEVID_NR);
	if (one_in(t, 3))
		op->align = sizeof(struct model_invalidate) |
			    (__u64)MODEL_HWPT_INVALIDATE << 32;
	if (one_in(t, 16))
		op->align = ONE_OF(t, 8, 24, 65, 1) |
			    (__u64)ONE_OF(t, MODEL_HWPT_INVALIDATE, 0, 77) << 32;
	op->addr = one_in(t, 32);
	op->iova = one_in(t, 32);
	op->flags = one_in(t, 32);
}

/* Some other word: of a page, of a table, or of no sense. */
static __u64 make_word(struct worker *t)
{
	__u64 word = fuzz_to_page(below(t, FUZZ_VA_PAGES));

	switch (below(t, 8)) {
	case 0:
		return 0;
	case 1:
		return word & ~MODEL_S1_WRITE;
	case 2:
		return word | ONE_OF(t, MODEL_S1_HUGE, MODEL_S1_DIRTY, 1 << 9,
				     1ULL << 51, 1ULL << 63);
	case 3:
		return fuzz_to_table(below(t, TABLE_NR));
	}
	return word;
}

/* A word that makes sense there, as at the start. */
static __u64 good_word(enum fuzz_table table, int index)
{
	switch (table) {
	case TABLE_3:
		return fuzz_to_table(TABLE_2);
	case TABLE_2:
		return index == 1 ? fuzz_to_table(TABLE_LEAF) :
		       fuzz_to_page(0) | MODEL_S1_HUGE;
	default:
		if (index % 2)
			return 0;
		return index == 4 ? MODEL_PASID_VALID | MODEL_PASID_BYPASS :
		       fuzz_to_root(TABLE_3, 3);
	}
}

void make_entry(struct worker *t, struct fuzz_op *op)
{
	op->addr = ONE_OF(t, TABLE_LEAF, TABLE_LEAF, TABLE_LEAF,
			  TABLE_LEAF_BACK, TABLE_2, TABLE_3, TABLE_PASIDS,
			  TABLE_PASIDS_BAD);
	switch (op->addr) {
	case TABLE_3:
		op->cut = one_in(t, 4);
		break;
	case TABLE_2:
	case TABLE_PASIDS:
	case TABLE_PASIDS_BAD:
		op->cut = below(t, 8);
		break;
	default:
		op->cut = below(t, FUZZ_VA_PAGES);
		break;
	}
	/* entries that lead to leaves are mostly right */
	if (op->addr == TABLE_LEAF || op->addr == TABLE_LEAF_BACK ||
	    one_in(t, 3))
		op->value = make_word(t);
	else
		op->value = good_word(op->addr, op->cut);
	if (op->addr >= TABLE_PASIDS && one_in(t, 6))
		op->value = fuzz_to_root(below(t, TABLE_NR), below(t, 8));
}

__u64 make_va(struct worker *t, const struct fuzz_space *s)
{
	__u64 page = below(t, FUZZ_VA_PAGES) * FUZZ_PAGE;
	int data = -1;

	if (s->parent >= 0 && !one_in(t, 4))
		data = some_data(t, &t->w->model->spaces[s->parent]);
	if (data >= 0)
		page = data * FUZZ_PAGE;
	if (data >= 0 || !one_in(t, 3))
		return FUZZ_VA(1) + page;
	if (!one_in(t, 4))
		return FUZZ_VA(below(t, FUZZ_VAS + 2)) + page;
	return ONE_OF(t, 1ULL << 30, 1ULL << 38, 1ULL << 39, 1ULL << 47,
		      1ULL << 56) + page;
}
