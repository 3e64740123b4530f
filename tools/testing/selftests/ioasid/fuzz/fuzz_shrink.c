// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: shortens a sequence of operations that failed, and
 * prints it as a C program.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "fuzz.h"
#include "fuzz_model.h"

/*
 * Do all operations in a new context, one after the other. Returns the index of
 * the one that failed, @nr if closing the context did, -1 if none failed, -2 if
 * there is no context.
 */
long fuzz_replay(const struct fuzz_setting *setting, const struct fuzz_op *ops,
		 size_t nr, struct fuzz_verdict *v)
{
	struct fuzz_world w;
	long at = -1;
	size_t i;

	v->bad = false;
	if (setting->rlimit) {
		fuzz_limit(setting->rlimit);
		fuzz_may_lock(false);
	}
	if (fuzz_open(&w, setting)) {
		at = -2;
		goto out;
	}
	for (i = 0; i < nr && at < 0; i++) {
		fuzz_run(&w, &ops[i], v);
		if (v->bad)
			at = i;
	}
	fuzz_close(&w, v);
	if (at < 0 && v->bad)
		at = nr;
out:
	if (setting->rlimit)
		fuzz_may_lock(true);
	return at;
}

/* Whether it fails as @like did; if so, @nr is the index. */
static bool still_wrong(const struct fuzz_setting *setting,
			const struct fuzz_op *ops, size_t *nr,
			const struct fuzz_verdict *like)
{
	struct fuzz_verdict v;
	long at;

	at = fuzz_replay(setting, ops, *nr, &v);
	if (at < 0 || strncmp(v.what, like->what, strcspn(like->what, "[(")))
		return false;
	if ((size_t)at < *nr)
		*nr = at + 1;
	return true;
}

static size_t drop(const struct fuzz_setting *setting, struct fuzz_op *ops,
		   size_t nr, const struct fuzz_verdict *v)
{
	struct fuzz_op *try = malloc(nr * sizeof(*try));
	size_t chunk, at, left, before;

	do {
		before = nr;
		for (chunk = nr / 2 ?: 1; chunk; chunk /= 2) {
			for (at = 0; at < nr; ) {
				size_t n = chunk < nr - at ? chunk : nr - at;

				memcpy(try, ops, at * sizeof(*ops));
				memcpy(try + at, ops + at + n,
				       (nr - at - n) * sizeof(*ops));
				left = nr - n;
				if (still_wrong(setting, try, &left, v)) {
					memcpy(ops, try, left * sizeof(*ops));
					nr = left;
				} else {
					at += n;
				}
			}
		}
	} while (nr < before);
	free(try);
	return nr;
}

/* Try whether it fails with @simple in the place of @op, too, or earlier. */
static void try_simple(const struct fuzz_setting *setting,
		       struct fuzz_op *ops, size_t *nr,
		       const struct fuzz_verdict *v, struct fuzz_op *op,
		       const struct fuzz_op *simple)
{
	const struct fuzz_op was = *op;

	if (!memcmp(op, simple, sizeof(*op)))
		return;
	*op = *simple;
	if (!still_wrong(setting, ops, nr, v))
		*op = was;
}

static size_t simplify(const struct fuzz_setting *setting, struct fuzz_op *ops,
		       size_t nr, const struct fuzz_verdict *v)
{
	struct fuzz_op *op, simple;
	int step;

	for (op = ops; op < ops + nr; op++) {
		for (step = 0; step < 42; step++) {
			/* fewer operations of a batch */
			if (fuzz_is_batch(op) && step < 32 &&
			    op->cut > (__u64)step) {
				simple = *op;
				simple.cut = step;
				try_simple(setting, ops, &nr, v, op, &simple);
			}
			simple = *op;
			switch (step) {
			case 0 ... 31:
				simple.flags &= ~(1U << step);
				break;
			case 32:
				simple.size = SIZE_EXACT;
				break;
			case 33:
				simple.cut = 0;
				break;
			case 34:
				simple.align = 0;
				break;
			case 35:
				/* fewer mappings of an export */
				simple.value = op->type == OP_EXPORT;
				break;
			case 36:
				simple.mem = MEM_ANON;
				break;
			case 37:
				simple.addr = 0;
				break;
			case 38 ... 39:
				if (fuzz_maps(op) || op->type == OP_UNMAP)
					simple.length = (40 - step) * FUZZ_PAGE;
				break;
			default:
				if (op->type == OP_DMA_READ)
					simple.length = 1;
				/* no fault queue */
				if (op->type == OP_ALLOC)
					simple.length = (__u32)op->length;
				break;
			}
			try_simple(setting, ops, &nr, v, op, &simple);
		}
	}
	return nr;
}

/* Turn a bind and a later attach into one bind that attaches. */
static size_t merge(const struct fuzz_setting *setting, struct fuzz_op *ops,
		    size_t nr, const struct fuzz_verdict *v)
{
	struct fuzz_op *try = malloc(nr * sizeof(*try));
	size_t bind, at, left;

	for (at = 0; at < nr; at++) {
		if (ops[at].type != OP_ATTACH)
			continue;
		for (bind = 0; bind < at; bind++)
			if (ops[bind].type == OP_BIND &&
			    ops[bind].thread == ops[at].thread)
				break;
		if (bind == at)
			continue;
		memcpy(try, ops, bind * sizeof(*ops));
		memcpy(try + bind, ops + bind + 1,
		       (nr - bind - 1) * sizeof(*ops));
		try[at - 1].type = OP_BIND;
		try[at - 1].mem = MEM_RAW;
		left = nr - 1;
		if (still_wrong(setting, try, &left, v)) {
			memcpy(ops, try, left * sizeof(*ops));
			nr = left;
		}
	}
	free(try);
	return nr;
}

/* Returns the number of operations left. @v is the mistake. */
size_t fuzz_shrink(const struct fuzz_setting *setting, struct fuzz_op *ops,
		   size_t nr, struct fuzz_verdict *v)
{
	struct fuzz_verdict last;

	if (!still_wrong(setting, ops, &nr, v))
		return 0;
	nr = drop(setting, ops, nr, v);
	nr = merge(setting, ops, nr, v);
	nr = simplify(setting, ops, nr, v);
	/* What the operations named before may not be needed any longer */
	nr = drop(setting, ops, nr, v);
	fuzz_replay(setting, ops, nr, &last);
	if (last.bad)
		*v = last;
	return nr;
}

/*
 * Operations as text, for --replay
 */

void fuzz_print_ops(FILE *f, const struct fuzz_setting *setting,
		    const struct fuzz_op *ops, size_t nr)
{
	const struct fuzz_op *op;

	fprintf(f, "fuzz %d %d %llu %d %zu\n", setting->threads,
		setting->physical, setting->rlimit, setting->plant, nr);
	for (op = ops; op < ops + nr; op++)
		fprintf(f, "%u %u %u %u %u %u %#x %#llx %#llx %#llx %#llx %#llx %#llx\n",
			op->type, op->thread, op->ref, op->size, op->space,
			op->mem, op->flags, op->iova, op->addr, op->length,
			op->cut, op->align, op->value);
}

int fuzz_read_ops(FILE *f, struct fuzz_setting *setting, struct fuzz_op **ops,
		  size_t *nr)
{
	struct fuzz_op *op;

	if (fscanf(f, "fuzz %d %d %llu %d %zu\n", &setting->threads,
		   &setting->physical, &setting->rlimit, &setting->plant,
		   nr) != 5 || *nr > 1 << 24 ||
	    setting->physical < 0 || setting->physical >= FUZZ_PHYSICAL_NR)
		return -EINVAL;
	*ops = calloc(*nr ?: 1, sizeof(**ops));
	if (!*ops)
		return -ENOMEM;
	for (op = *ops; op < *ops + *nr; op++) {
		if (fscanf(f, "%hhu %hhu %hhu %hhu %hhu %hhu %x %llx %llx %llx %llx %llx %llx\n",
			   &op->type, &op->thread, &op->ref, &op->size,
			   &op->space, &op->mem, &op->flags, &op->iova,
			   &op->addr, &op->length, &op->cut, &op->align,
			   &op->value) != 13 ||
		    op->type >= OP_NR || op->thread >= FUZZ_THREADS ||
		    op->space >= FUZZ_SPACES || op->size >= SIZE_NR ||
		    (fuzz_is_batch(op) &&
		     (op->cut > FUZZ_BATCH || (__u8)(op->align >> 8) > FUZZ_SPACES ||
		      (__u8)(op->align >> 16) > FUZZ_SPACES)) ||
		    (op->type == OP_EVENTS && op->length > FUZZ_EVENTS) ||
		    (op->type == OP_QUERY && op->length > FUZZ_QUERY) ||
		    (op->type == OP_INVALIDATE &&
		     op->length > FUZZ_INVALIDATIONS) ||
		    (op->type == OP_ENTRY &&
		     (op->addr >= TABLE_NR || op->cut >= FUZZ_INDEXES)) ||
		    ((op->type == OP_DMA_READ || op->type == OP_DMA_WRITE) &&
		     op->cut > FUZZ_PASIDS) ||
		    (op->type == OP_DMA_READ && op->length > FUZZ_DMA_MAX)) {
			free(*ops);
			return -EINVAL;
		}
	}
	return 0;
}

/*
 * A C program
 */

static const char *const mem_names[] = {
	[MEM_ANON] = "MEM_ANON",
	[MEM_THP] = "MEM_THP",
	[MEM_SHARED] = "MEM_SHARED",
	[MEM_MEMFD] = "MEM_MEMFD",
	[MEM_HUGETLB] = "MEM_HUGETLB",
	[MEM_READONLY] = "MEM_READONLY",
	[MEM_HOLED] = "MEM_HOLED",
	[MEM_TABLE] = "MEM_TABLE",
	[MEM_NONE] = "MEM_NONE",
	[MEM_SPARSE] = "MEM_SPARSE",
	[MEM_RDONLY_FD] = "MEM_RDONLY_FD",
	[MEM_SEALED] = "MEM_SEALED",
	[MEM_PIPE] = "MEM_PIPE",
	[MEM_CLOSED] = "MEM_CLOSED",
};

static const char *const size_names[] = {
	[SIZE_EXACT] = "SIZE_EXACT",
	[SIZE_ZERO] = "SIZE_ZERO",
	[SIZE_SHORT] = "SIZE_SHORT",
	[SIZE_LONG] = "SIZE_LONG",
	[SIZE_DIRTY] = "SIZE_DIRTY",
	[SIZE_PAGE] = "SIZE_PAGE",
	[SIZE_BEYOND] = "SIZE_BEYOND",
	[SIZE_ALL_ONES] = "SIZE_ALL_ONES",
	[SIZE_NOWHERE] = "SIZE_NOWHERE",
	[SIZE_CROSSING] = "SIZE_CROSSING",
	[SIZE_READONLY] = "SIZE_READONLY",
};

static const char *id_text(const struct fuzz_op *op)
{
	static char text[32];

	switch (op->ref) {
	case REF_ZERO:
		return "0";
	case REF_NEVER:
		return "0x7ffffff0";
	case REF_DEVICE:
		snprintf(text, sizeof(text), "devid[%d]", op->thread);
		return text;
	}
	snprintf(text, sizeof(text), "id[%d]", op->space);
	return text;
}

static void print_field(FILE *f, const char *name, __u64 value)
{
	if (value)
		fprintf(f, "\t\t\t.%s = %#llx,\n", name, value);
}

static void print_id(FILE *f, const struct fuzz_op *op, const char *name)
{
	fprintf(f, "\t\t\t.%s = %s,\n", name, id_text(op));
}

static void print_pointer(FILE *f, const struct fuzz_op *op, const char *name)
{
	if (op->addr)
		fprintf(f, "\t\t\t.%s = FUZZ_NOWHERE,\n", name);
	else
		fprintf(f, "\t\t\t.%s = (__u64)%s,\n", name, name);
}

static void print_check(FILE *f, const struct fuzz_op *op)
{
	print_field(f, "extension", op->cut);
	print_field(f, "__reserved", op->value);
}

static void print_alloc(FILE *f, const struct fuzz_op *op)
{
	print_field(f, "kind", op->addr);
	if (fuzz_parent(op) < 0)
		print_field(f, "parent", op->iova);
	else
		fprintf(f, "\t\t\t.parent = id[%d],\n", fuzz_parent(op));
	print_field(f, "cookie", op->value);
	print_field(f, "cut_size", op->cut);
	print_field(f, "snoop", op->align);
	print_field(f, "format", (__u32)op->length);
	if (fuzz_queue_ref(op) == QUEUE_OWN)
		fprintf(f, "\t\t\t.fault_queue = queue[%d],\n", op->thread);
	else if (fuzz_queue_ref(op))
		print_field(f, "fault_queue", 0x7ffffff0);
}

static void print_free(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "__reserved", op->value);
}

static void print_queue(FILE *f, const struct fuzz_op *op)
{
	print_field(f, "depth", op->cut);
	fprintf(f, "\t\t\t.eventfd = %d,\n", -1 - (int)op->align);
	print_field(f, "cookie", op->value);
}

static void print_free_queue(FILE *f, const struct fuzz_op *op)
{
	fprintf(f, "\t\t\t.ioasid = queue[%d],\n", op->thread);
	print_field(f, "__reserved", op->value);
}

static void print_info(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "nr_ranges", op->length);
	print_pointer(f, op, "ranges");
}

static void print_memory(FILE *f, const struct fuzz_op *op)
{
	const bool piece = op->mem < MEM_NR;

	if (!(op->flags & IOASID_MAP_FILE))
		print_field(f, "fd", op->value);
	else if (piece)
		fprintf(f, "\t\t\t.fd = mems[%s].fd,\n", mem_names[op->mem]);
	else
		fprintf(f, "\t\t\t.fd = -1,\n");
	print_field(f, "iova", op->iova);
	if (piece && fuzz_has_address(op))
		fprintf(f, "\t\t\t.addr = (__u64)mems[%s].base + %#llx,\n",
			mem_names[op->mem], op->addr);
	else
		print_field(f, "addr", op->addr);
	print_field(f, "length", op->length);
}

static void print_map(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_memory(f, op);
	print_field(f, "cut_size", op->cut);
	print_field(f, "alignment", op->align);
	fprintf(f, "\t\t\t.fault_addr = %#llx,\n", FUZZ_UNSET);
}

static void print_bitmap(FILE *f, const struct fuzz_op *op)
{
	fprintf(f, "\t\t\t.bitmap = %s,\n", op->addr ||
		op->length / (op->cut ?: 1) / 64 + 1 >= FUZZ_DIRTY ?
		"FUZZ_NOWHERE" : "(__u64)dirty");
}

static void print_unmap(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "__reserved", op->value);
	print_field(f, "iova", op->iova);
	print_field(f, "length", op->length);
	fprintf(f, "\t\t\t.unmapped = %#llx,\n", FUZZ_UNSET);
	if (!(op->flags & IOASID_UNMAP_DIRTY))
		return;
	print_field(f, "page_size", op->cut);
	print_bitmap(f, op);
}

static void print_set_dirty(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "__reserved", op->value);
}

static void print_get_dirty(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "iova", op->iova);
	print_field(f, "length", op->length);
	print_field(f, "page_size", op->cut);
	print_bitmap(f, op);
	print_field(f, "nr_dirty", op->value);
}

static void print_rehome(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "__reserved", op->value);
	print_field(f, "moved", op->length);
	print_field(f, "fail_iova", op->iova);
}

static void print_list(FILE *f, const struct fuzz_op *op)
{
	print_field(f, "start", op->iova);
	print_field(f, "nr", op->length);
	print_pointer(f, op, "entries");
}

static void print_option(FILE *f, const struct fuzz_op *op)
{
	print_field(f, "option", op->cut);
	print_field(f, "sealed", op->align);
	print_field(f, "value", op->value);
}

static void print_batch(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "nr", op->cut);
	if (op->align & 1)
		fprintf(f, "\t\t\t.ops = FUZZ_NOWHERE,\n");
	else
		fprintf(f, "\t\t\t.ops = (__u64)ops,\n");
	fprintf(f, "\t\t\t.fault_addr = %#llx,\n", FUZZ_UNSET);
}

static void print_batch_ops(FILE *f, const struct fuzz_op *batch)
{
	struct fuzz_op op;
	unsigned int i;

	fprintf(f, "\t\tstruct ioasid_dma_op ops[] = {\n");
	for (i = 0; i < batch->cut; i++) {
		fuzz_batch_op(batch, i, &op);
		fprintf(f, "\t\t\t{\n\t\t\t.op = %d,\n",
			op.type == OP_MAP ? IOASID_DMA_OP_MAP :
			IOASID_DMA_OP_UNMAP);
		print_field(f, "flags", op.flags);
		if (op.type == OP_MAP) {
			print_memory(f, &op);
		} else {
			print_field(f, "iova", op.iova);
			print_field(f, "length", op.length);
		}
		if (op.flags & IOASID_DMA_OP_IOASID)
			print_id(f, &op, "fd");
		fprintf(f, "\t\t\t},\n");
	}
	fprintf(f, "\t\t};\n");
}

static void print_query(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "start", op->iova);
	print_field(f, "nr", op->length);
	fprintf(f, "\t\t\t.entries = %s,\n",
		op->addr ? "FUZZ_NOWHERE" : "(__u64)found");
	print_field(f, "entry_size", op->value);
}

static void print_events(FILE *f, const struct fuzz_op *op)
{
	print_field(f, "nr", op->length);
	print_field(f, "more", op->value);
	fprintf(f, "\t\t\t.events = %s,\n",
		op->addr ? "FUZZ_NOWHERE" : "(__u64)told");
}

static void print_export(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "iova", op->iova);
	print_field(f, "length", op->length);
	print_field(f, "max_mappings", op->value);
}

static void print_import(FILE *f, const struct fuzz_op *op)
{
	if (op->mem < MEM_NR)
		fprintf(f, "\t\t\t.fd = mems[%s].fd,\n", mem_names[op->mem]);
	else
		fprintf(f, "\t\t\t.fd = exports[%d],\n", fuzz_export(op));
	print_field(f, "cookie", op->value);
}

static void print_bind_table(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "length", op->length);
	fprintf(f, "\t\t\t.data = %s,\n",
		op->addr ? "FUZZ_NOWHERE" : "(__u64)root");
	if (op->value)
		fprintf(f, "\t\t\t.__reserved = { 0, %#llx },\n", op->value);
}

static void print_unbind_table(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "__reserved", op->value);
}

static void print_invalidate(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	if (op->mem == DEVID_OWN && op->thread < FUZZ_DEVICES)
		fprintf(f, "\t\t\t.devid = devid[%d],\n", op->thread);
	if (op->mem == DEVID_NEVER)
		fprintf(f, "\t\t\t.devid = 0x7ffffff0,\n");
	if (op->mem == DEVID_SPACE)
		fprintf(f, "\t\t\t.devid = id[%d],\n", op->space);
	print_field(f, "type", op->align >> 32);
	print_field(f, "entry_size", (__u32)op->align);
	print_field(f, "nr", op->length);
	fprintf(f, "\t\t\t.entries = %s,\n",
		op->addr ? "FUZZ_NOWHERE" : "(__u64)invalidations");
	print_field(f, "__reserved", op->iova);
}

/* An array that a command points to, in words. */
static void print_words(FILE *f, const char *name, const void *data,
			size_t size)
{
	const __u64 *word = data;
	size_t nr, used = size / 8;

	while (used > 1 && !word[used - 1])
		used--;
	fprintf(f, "\t\t__u64 %s[%zu] = {\n", name, size / 8);
	for (nr = 0; nr < used; nr++)
		fprintf(f, "\t\t\t%#llx,\n", word[nr]);
	fprintf(f, "\t\t};\n");
}

static void print_array(FILE *f, const struct fuzz_op *op)
{
	union fuzz_invalidation inv[FUZZ_INVALIDATIONS];
	union fuzz_root root;
	unsigned int i;

	switch (op->type) {
	case OP_BATCH:
	case OP_URING:
		print_batch_ops(f, op);
		break;
	case OP_BIND_TABLE:
	case OP_BIND_PASIDS:
		fuzz_root(op, &root);
		print_words(f, "root", &root, sizeof(root));
		break;
	case OP_INVALIDATE:
		for (i = 0; i < FUZZ_INVALIDATIONS; i++)
			fuzz_invalidation(op, i, &inv[i]);
		print_words(f, "invalidations", inv, sizeof(inv));
		break;
	}
}

static void print_device_info(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "devid");
	print_field(f, "nr_ranges", op->length);
	print_field(f, "__reserved", op->value);
	print_pointer(f, op, "ranges");
}

static void print_bind(FILE *f, const struct fuzz_op *op)
{
	if (op->mem < MEM_NR)
		fprintf(f, "\t\t\t.ioasid_fd = mems[%s].fd,\n",
			mem_names[op->mem]);
	else
		fprintf(f, "\t\t\t.ioasid_fd = fd,\n");
	print_id(f, op, "ioasid");
	print_field(f, "cookie", op->value);
	print_field(f, "__reserved", op->length);
}

static void print_get_id(FILE *f, const struct fuzz_op *op)
{
	if (op->value)
		fprintf(f, "\t\t\t.ioasid_fd = -1,\n");
	else if (op->mem < MEM_NR)
		fprintf(f, "\t\t\t.ioasid_fd = mems[%s].fd,\n",
			mem_names[op->mem]);
	else
		fprintf(f, "\t\t\t.ioasid_fd = fd,\n");
}

static void print_attach(FILE *f, const struct fuzz_op *op)
{
	print_id(f, op, "ioasid");
	print_field(f, "vpasid", op->value);
}

static void print_nothing(FILE *f, const struct fuzz_op *op)
{
}

/* Print the structure of a command, the call, and its return value. */
static const struct {
	const char *type;
	const char *name;
	void (*print)(FILE *f, const struct fuzz_op *op);
	const char *id;
} fuzz_prints[OP_NR] = {
	[OP_CHECK] = { "ioasid_check_extension", "check", print_check },
	[OP_ALLOC] = { "ioasid_alloc", "alloc", print_alloc, "ioasid" },
	[OP_FREE] = { "ioasid_free", "free", print_free },
	[OP_INFO] = { "ioasid_info", "info", print_info },
	[OP_MAP] = { "ioasid_map_dma", "map", print_map },
	[OP_UNMAP] = { "ioasid_unmap_dma", "unmap", print_unmap },
	[OP_LIST] = { "ioasid_list", "list", print_list },
	[OP_OPTION] = { "ioasid_set_option", "option", print_option },
	[OP_BATCH] = { "ioasid_dma_batch", "batch", print_batch },
	/* as an ioctl: run it with --replay for the command of io_uring */
	[OP_URING] = { "ioasid_dma_batch", "batch", print_batch },
	[OP_QUERY] = { "ioasid_query_map", "query", print_query },
	[OP_PROTECT] = { "ioasid_map_dma", "map", print_map },
	[OP_REPLACE] = { "ioasid_map_dma", "map", print_map },
	[OP_EXPORT] = { "ioasid_export", "export", print_export },
	[OP_IMPORT] = { "ioasid_import", "import", print_import },
	[OP_BIND_TABLE] = { "ioasid_bind_table", "table", print_bind_table },
	[OP_UNBIND_TABLE] = { "ioasid_unbind_table", "untable",
			      print_unbind_table },
	[OP_BIND_PASIDS] = { "ioasid_bind_table", "table", print_bind_table },
	[OP_UNBIND_PASIDS] = { "ioasid_unbind_table", "untable",
			       print_unbind_table },
	[OP_INVALIDATE] = { "ioasid_invalidate_cache", "invalidate",
			    print_invalidate },
	[OP_QUEUE] = { "ioasid_fault_queue", "queue_cmd", print_queue },
	[OP_FREE_QUEUE] = { "ioasid_free", "free", print_free_queue },
	[OP_SET_DIRTY] = { "ioasid_set_dirty", "set_dirty", print_set_dirty },
	[OP_GET_DIRTY] = { "ioasid_get_dirty", "get_dirty", print_get_dirty },
	[OP_REHOME] = { "ioasid_rehome", "rehome", print_rehome },
	[OP_DEVICE_INFO] = { "ioasid_device_info", "device",
			     print_device_info },
	[OP_EVENTS] = { "ioasid_get_events", "events", print_events },
	[OP_UNKNOWN] = { "ioasid_free", "free", print_nothing },
	[OP_BIND] = { "ioasid_device_bind", "bind", print_bind, "devid" },
	[OP_GET_ID] = { "ioasid_device_get_id", "get_id", print_get_id },
	[OP_ATTACH] = { "ioasid_device_attach", "attach", print_attach },
	[OP_DETACH] = { "ioasid_device_detach", "detach", print_attach },
};

static void print_command(FILE *f, const struct fuzz_op *op)
{
	const char *name = fuzz_prints[op->type].name;
	const bool device = op->type >= OP_BIND && op->type <= OP_DETACH;

	print_array(f, op);
	fprintf(f, "\t\tstruct %s %s = {\n", fuzz_prints[op->type].type, name);
	if (!fuzz_is_batch(op))
		print_field(f, "flags", op->flags);
	else if (op->type == OP_BATCH)
		print_field(f, "flags", op->length);
	fuzz_prints[op->type].print(f, op);
	fprintf(f, "\t\t};\n\n");
	if (device)
		fprintf(f, "\t\trc = fuzz_issue(&area, dev[%d], %s,\n",
			op->thread, fuzz_command(op));
	else
		fprintf(f, "\t\trc = fuzz_issue(&area, fd, %s,\n",
			fuzz_command(op));
	fprintf(f, "\t\t\t\t%s, &%s, sizeof(%s));\n", size_names[op->size],
		name, name);
	if (op->type == OP_ALLOC)
		fprintf(f, "\t\tif (!rc)\n\t\t\tid[%d] = alloc.ioasid;\n",
			op->space);
	if (op->type == OP_IMPORT)
		fprintf(f, "\t\tif (!rc)\n\t\t\tid[%d] = import.ioasid;\n",
			op->space);
	if (op->type == OP_QUEUE)
		fprintf(f, "\t\tif (!rc)\n\t\t\tqueue[%d] = queue_cmd.queue;\n",
			op->thread);
	if (op->type == OP_EXPORT)
		fprintf(f, "\t\tif (!rc)\n\t\t\texports[%d] = export.fd;\n",
			fuzz_export(op));
	if (op->type == OP_BIND)
		fprintf(f, "\t\tif (!rc)\n\t\t\tdevid[%d] = bind.devid;\n",
			op->thread);
}

static void print_other(FILE *f, const struct fuzz_op *op)
{
	if ((op->type == OP_DMA_READ || op->type == OP_DMA_WRITE) && op->cut) {
		fprintf(f, "\t\t/* DMA with PASID %llu: run this with --replay */\n",
			op->cut);
		return;
	}
	switch (op->type) {
	case OP_REOPEN:
		fprintf(f, "\t\tclose(dev[%d]);\n\t\tdev[%d] = mock_open(%d);\n",
			op->thread, op->thread, op->thread);
		break;
	case OP_DMA_READ:
		fprintf(f, "\t\trc = mock_get(dev[%d], IOASID_MOCK_READ, 0, %#llx, data, %llu);\n",
			op->thread, op->iova, op->length);
		break;
	case OP_DMA_WRITE:
		fprintf(f, "\t\tdata[0] = %#llx;\n", op->value);
		fprintf(f, "\t\trc = mock_put(dev[%d], IOASID_MOCK_WRITE, 0, %#llx, data, 8);\n",
			op->thread, op->iova);
		fprintf(f, "\t\t/* the memory behind it has to hold data[0] now */\n");
		break;
	case OP_ENTRY:
		fprintf(f, "\t\t*fuzz_entry(mems[MEM_TABLE].base, %llu, %llu) = %#llx;\n",
			op->addr, op->cut, op->value);
		fprintf(f, "\t\tfor (i = %d; i < %d; i++)\n",
			op->thread * FUZZ_OWN, (op->thread + 1) * FUZZ_OWN);
		fprintf(f, "\t\t\tif (fuzz_flush(fd, id[i], true))\n");
		fprintf(f, "\t\t\t\tfuzz_flush(fd, id[i], false);\n");
		break;
	case OP_STATE:
		fprintf(f, "\t\tsprintf((char *)data, \"cd /proc/%%d;\"\n");
		fprintf(f, "\t\t\t\"cat fdinfo/%%d status\", getpid(), fd);\n");
		fprintf(f, "\t\tsystem((char *)data);\n");
		break;
	default:
		fprintf(f, "\t\t/* a race: run this with --replay */\n");
		break;
	}
}

/* The type of the wrong value follows from the last operation alone. */
static bool has_value(const struct fuzz_op *op, const struct fuzz_verdict *v)
{
	return op->type < OP_ENTRY && strncmp(v->what, "vm_", 3) &&
	       strncmp(v->what, "lost", 4) && strcmp(v->what, "polled") &&
	       (op->type != OP_DMA_WRITE || !strcmp(v->what, "rc"));
}

/* What a program is built with, in the folder of the selftests of ioasid. */
#define FUZZ_BUILT							\
	"-Ifuzz -Ilib -I../../../ioasid -I../../../../drivers/iommu/ioasid/mock "	\
	"-isystem ../../../../usr/include lib/mock.c"

/* The program exits with 0 if the wrong value is right now. */
void fuzz_print_program(FILE *f, const struct fuzz_setting *setting,
			const struct fuzz_op *ops, size_t nr,
			const struct fuzz_verdict *v)
{
	const struct fuzz_op *op;
	bool device = false;
	size_t i;

	for (op = ops; op < ops + nr; op++)
		device |= op->type == OP_INVALIDATE ||
			  (op->type >= OP_BIND && op->type <= OP_DMA_WRITE);
	fprintf(f, "// built in the folder above, with " FUZZ_BUILT "\n");
	fprintf(f, "// %s is %#llx, should be %#llx (%s)\n", v->what, v->got,
		v->want, v->why);
	if (setting->physical)
		fprintf(f, "// with emulated devices instead of those behind a model IOMMU\n");
	fprintf(f, "#include \"fuzz_kit.h\"\n%s#include <linux/ioasid.h>\n\n",
		device ? "#include \"mock.h\"\n" : "");
	fprintf(f, "static struct fuzz_memory mems[MEM_NR];\nstatic struct fuzz_area area;\n");
	fprintf(f, "static struct ioasid_list_entry entries[%d];\n",
		FUZZ_ENTRIES);
	fprintf(f, "static struct ioasid_iova_range ranges[2];\n");
	fprintf(f, "static struct ioasid_query_entry found[%d];\n",
		FUZZ_QUERY + 1);
	fprintf(f, "static struct ioasid_event told[%d];\n",
		FUZZ_EVENTS + 1);
	fprintf(f, "static __u64 dirty[%d];\n", FUZZ_DIRTY);
	fprintf(f, "static int exports[%d];\n",
		FUZZ_THREADS * FUZZ_EXPORTS);
	fprintf(f, "static __u32 queue[%d];\n", FUZZ_THREADS);
	fprintf(f, "static __u64 data[%d];\nstatic __u32 id[%d]%s;\n\n",
		FUZZ_DMA_MAX / 8 + 1, FUZZ_SPACES, device ? ", devid[2]" : "");
	fprintf(f, "int main(void)\n{\n\tint fd, rc = 0, wrong = 0, i;\n");
	if (device)
		fprintf(f, "\tint dev[2];\n");
	fprintf(f, "\n\tfd = open(\"/dev/ioasid\", O_RDWR);\n\tfuzz_area_make(&area);\n");
	fprintf(f, "\tfor (i = 0; i < MEM_NR; i++)\n\t\tfuzz_memory_make(&mems[i], i);\n");
	if (device)
		fprintf(f, "\tmock_load();\n"
			"\tfor (i = 0; i < 2; i++)\n"
			"\t\tdev[i] = mock_open(i);\n");
	if (setting->rlimit)
		fprintf(f, "\tfuzz_limit(%llu);\n\tfuzz_may_lock(false);\n",
			setting->rlimit);
	/* The shared space, which windows are part of. */
	fprintf(f, "\t{\n\t\tstruct ioasid_alloc alloc = {\n"
		"\t\t\t.kind = 1,\n\t\t\t.cookie = %#x,\n\t\t};\n\n",
		FUZZ_SHARED_COOKIE);
	fprintf(f, "\t\tfuzz_issue(&area, fd, IOASID_ALLOC, SIZE_EXACT, &alloc, sizeof(alloc));\n");
	fprintf(f, "\t\tfor (i = %d; i < %d; i++)\n\t\t\tid[i] = alloc.ioasid;\n\t}\n",
		FUZZ_WINDOW(0), FUZZ_SPACES);
	for (i = 0; i < nr; i++) {
		op = &ops[i];
		fprintf(f, "\t/* %zu */\n\t{\n", i + 1);
		if (fuzz_prints[op->type].name)
			print_command(f, op);
		else
			print_other(f, op);
		fprintf(f, "\t\tprintf(\"%zu: %%d\\n\", rc);\n", i + 1);
		if (i + 1 == nr && has_value(op, v)) {
			fprintf(f, "\t\tprintf(\"%s: %%#llx, should be %#llx\\n\", (__u64)%s);\n",
				v->what, v->want, v->what);
			fprintf(f, "\t\twrong = (__u64)%s != %#llxULL;\n",
				v->what, v->want);
		}
		fprintf(f, "\t}\n");
	}
	fprintf(f, "\treturn wrong;\n}\n");
}
