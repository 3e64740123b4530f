// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model: tables of user space.
 *
 * A table is a space whose only mapping refers to the parent's page where the bound
 * table begins: for commands on the parent, it is a child as any other.
 *
 * MEM_TABLE has a copy in the model, whose entries get the bits that a unit sets in
 * those that it uses.  Other memory holds its pattern.
 */
#include "fuzz_judge.h"

bool table_kind(__u32 kind)
{
	return kind == IOASID_KIND_PGTABLE || kind == IOASID_KIND_PASID_TABLE;
}

bool model_is_table(const struct fuzz_space *s)
{
	return table_kind(s->kind);
}

bool model_nests(const struct fuzz_model *m, int thread)
{
	return m->physical == FUZZ_WITH_PASIDS && !thread;
}

void forget_pasids(struct fuzz_space *s)
{
	memset(s->pasids, 0, sizeof(s->pasids));
}

/*
 * Walks
 */

/**
 * struct walk - a walk of tables of user space
 * @m: the model
 * @sets: the same if entries get bits, and words of PASIDs are cached; or NULL
 * @parent: the space that translates the addresses of tables, NULL if it was freed
 * @write: whether the access is a write
 */
struct walk {
	const struct fuzz_model *m;
	struct fuzz_model *sets;
	const struct fuzz_space *parent;
	bool write;
};

/*
 * Read a word where the parent maps it, if the unit may do that.  @index is that
 * of the word in MEM_TABLE, or NO_OFFSET.
 */
static int read_word(const struct walk *w, __u64 at, __u32 permission,
		     __u64 *word, __u64 *index)
{
	const struct fuzz_mapping *map = NULL;
	__u64 offset;
	int mem;

	if (w->parent)
		map = model_find(w->parent, at);
	if (!map || !is_memory(map) || permission & ~map->flags)
		return -EFAULT;
	/* DMA may write to the word */
	if (at % FUZZ_PAGE / 8 >= FUZZ_INDEXES)
		return -ECANCELED;
	mem = model_memory(w->m, w->parent, at, &offset);
	*index = mem == MEM_TABLE ? offset / 8 : NO_OFFSET;
	if (mem == MEM_TABLE)
		*word = w->m->tables[*index];
	else
		*word = offset < w->m->machine.mems[mem].filled ?
			fuzz_pattern(mem, offset) : 0;
	return 0;
}

/* Set bits in an entry that is used; it stays the same for good if they are set. */
static int set_bits(const struct walk *w, __u64 at, __u64 entry, __u64 bits)
{
	const __u32 rw = IOASID_MAP_READ | IOASID_MAP_WRITE;
	__u64 index, page;
	int rc;

	if (!(bits & ~entry))
		return 0;
	rc = read_word(w, at, rw, &entry, &index);
	if (rc)
		return rc;
	/* a pattern that is an entry by chance has to stay */
	if (index == NO_OFFSET)
		return -ECANCELED;
	if (!w->sets)
		return 0;
	w->sets->tables[index] |= bits;
	/* the word may be used as an entry of another sort, where it is wrong now */
	page = index / MODEL_S1_ENTRIES;
	if (bits & ~entry & MODEL_S1_DIRTY || page == TABLE_PASIDS ||
	    page == TABLE_PASIDS_BAD)
		w->sets->stale = true;
	return 0;
}

/* Whether an entry that is present is well-formed. */
static bool is_good(__u64 entry, unsigned int level)
{
	__u64 known = MODEL_S1_PRESENT | MODEL_S1_WRITE | MODEL_S1_ACCESSED;
	const __u64 size = FUZZ_PAGE << 9 * level;

	if (level && !(entry & MODEL_S1_HUGE))
		return !(entry & ~(known | MODEL_S1_ADDRESS));
	if (level > MODEL_S1_MAX_HUGE)
		return false;
	known |= MODEL_S1_DIRTY | (level ? MODEL_S1_HUGE : 0);
	return !(entry & ~(known | (MODEL_S1_ADDRESS & ~(size - 1))));
}

static int walk_levels(const struct walk *w, __u64 table, unsigned int levels,
		       __u64 *iova)
{
	__u64 at, entry, index, bits;
	unsigned int level, shift;
	bool leaf;
	int rc;

	/* no such address */
	if (*iova >> (12 + 9 * levels))
		return -ENOENT;
	for (level = levels - 1; ; level--) {
		shift = 12 + 9 * level;
		at = table + (*iova >> shift) % MODEL_S1_ENTRIES * 8;
		rc = read_word(w, at, IOASID_MAP_READ, &entry, &index);
		if (rc)
			return rc;
		if (!(entry & MODEL_S1_PRESENT))
			return -ENODATA;
		if (!is_good(entry, level))
			return -EBADMSG;
		if (w->write && !(entry & MODEL_S1_WRITE))
			return -EACCES;
		leaf = !level || entry & MODEL_S1_HUGE;
		bits = MODEL_S1_ACCESSED;
		if (leaf && w->write)
			bits |= MODEL_S1_DIRTY;
		rc = set_bits(w, at, entry, bits);
		if (rc)
			return rc;
		table = entry & MODEL_S1_ADDRESS;
		if (leaf)
			break;
	}
	*iova = table + (*iova & ((1ULL << shift) - 1));
	return 0;
}

/* The first word of a PASID's entry: from the cache, or from there on in it. */
static int read_pasid(const struct walk *w, struct fuzz_space *s, __u32 pasid,
		      __u64 *word)
{
	const __u64 at = s->root + 16 * pasid;
	__u64 second, index;
	int rc;

	*word = s->pasids[pasid];
	if (*word)
		return 0;
	rc = read_word(w, at, IOASID_MAP_READ, word, &index) ?:
	     read_word(w, at + 8, IOASID_MAP_READ, &second, &index);
	if (rc)
		return rc;
	if (!(*word & MODEL_PASID_VALID))
		return -ENXIO;
	if (second || *word & ~(MODEL_PASID_VALID | MODEL_PASID_BYPASS |
				MODEL_PASID_LEVELS | MODEL_PASID_ROOT))
		return -EBADMSG;
	if (w->sets)
		s->pasids[pasid] = *word;
	return 0;
}

static int walk(struct walk *w, const struct fuzz_op *op,
		struct fuzz_space **at, __u64 *iova)
{
	struct fuzz_space *s = *at;
	__u32 levels = s->levels;
	__u64 word, root = s->root;
	int rc;

	if (!model_is_table(s))
		return 0;
	if (!s->bound && !(w->m->plant == PLANT_TABLE && levels))
		return -ENXIO;
	*at = s->parent < 0 ? NULL :
	      (struct fuzz_space *)&w->m->spaces[s->parent];
	w->parent = *at;
	if (s->kind == IOASID_KIND_PASID_TABLE) {
		if (op->cut >> levels)
			return -ENXIO;
		rc = read_pasid(w, s, op->cut, &word);
		if (rc)
			return rc;
		if (word & MODEL_PASID_BYPASS)
			return 0;
		root = word & MODEL_PASID_ROOT;
		levels = (word & MODEL_PASID_LEVELS) >> MODEL_PASID_LEVELS_SHIFT;
		if (levels < MODEL_S1_MIN_LEVELS || levels > MODEL_S1_MAX_LEVELS)
			return -EBADMSG;
	}
	return walk_levels(w, root, levels, iova);
}

int model_walk(const struct fuzz_model *m, const struct fuzz_op *op,
	       struct fuzz_space **s, __u64 *iova, bool write)
{
	struct walk w = { .m = m, .write = write };

	return walk(&w, op, s, iova);
}

int walk_and_set(struct fuzz_model *m, const struct fuzz_op *op,
		 struct fuzz_space **s, __u64 *iova, bool write)
{
	struct walk w = { .m = m, .sets = m, .write = write };

	return walk(&w, op, s, iova);
}

bool model_may_walk(const struct fuzz_model *m, const struct fuzz_op *op)
{
	const bool write = op->type == OP_DMA_WRITE;
	const int to = model_route(m, op);
	struct fuzz_space *s;
	__u64 at;

	if (to < 0)
		return true;
	s = (struct fuzz_space *)&m->spaces[to];
	at = op->iova;
	if (model_walk(m, op, &s, &at, write) == -ECANCELED)
		return false;
	/* the other page, if there are two */
	s = (struct fuzz_space *)&m->spaces[to];
	at = op->iova + (write ? 8 : op->length) - 1;
	return model_walk(m, op, &s, &at, write) != -ECANCELED;
}

void model_flushed(struct fuzz_model *m, int thread)
{
	int i;

	m->stale = false;
	for (i = 0; i < FUZZ_OWN; i++)
		forget_pasids(&m->spaces[thread * FUZZ_OWN + i]);
}

/*
 * Commands
 */

/* The table that the command names, NULL if it fails. */
static struct fuzz_space *named_table(struct judge *j)
{
	const __u32 kind = fuzz_by_pasid(j->op) ? IOASID_KIND_PASID_TABLE :
			   IOASID_KIND_PGTABLE;
	struct fuzz_space *s = named(j->m, j->op);

	fails_if(j, !s, ENOENT);
	fails_if(j, s && s->kind != kind, EOPNOTSUPP);
	return s && s->kind == kind ? s : NULL;
}

/* Errors of a table that is to be bound. */
static void judge_root(struct judge *j, const struct fuzz_space *s,
		       const struct ioasid_bind_table *in)
{
	const struct model_s1 *data = &j->r->root.s1;
	const bool by_pasid = s->kind == IOASID_KIND_PASID_TABLE;
	const struct fuzz_mapping *map;

	/* the other format has another length */
	fails_if(j, in->length != sizeof(*data), EINVAL);
	fails_if(j, s->format == FUZZ_OTHER_FORMAT, EINVAL);
	fails_if(j, data->flags, EOPNOTSUPP);
	fails_if(j, by_pasid ? !data->levels :
		    data->levels < MODEL_S1_MIN_LEVELS ||
		    data->levels > MODEL_S1_MAX_LEVELS, EINVAL);
	fails_if(j, data->root & ~MODEL_S1_ADDRESS, EINVAL);
	/* only the IOMMU knows how many PASIDs it has */
	fails_if(j, by_pasid && s->devices && data->levels > FUZZ_PASID_BITS,
		 EINVAL);
	fails_if(j, s->bound && !(in->flags & IOASID_BIND_REPLACE), EEXIST);
	fails_if(j, is_orphan(s), ENODEV);
	if (is_orphan(s))
		return;
	map = model_find(&j->m->spaces[s->parent], data->root);
	fails_if(j, !map || !is_memory(map), ENXIO);
	fails_if(j, map && is_memory(map) && !(map->flags & IOASID_MAP_READ),
		 EACCES);
}

/* The page where the table begins may be unmapped from the parent. */
static void let_go(struct fuzz_model *m, struct fuzz_space *s)
{
	if (s->bound)
		cut_out(m, s, s->reference, s->reference + FUZZ_PAGE - 1);
	s->bound = false;
	forget_pasids(s);
}

void judge_bind_table(struct judge *j)
{
	const struct ioasid_bind_table *in = &j->r->in.table;
	const struct model_s1 *data = &j->r->root.s1;
	struct fuzz_mapping new = { .flags = IOASID_MAP_READ, .mem = MEM_RAW };
	struct fuzz_space *s;

	common(j, in->flags, IOASID_BIND_REPLACE, WRITES_NOTHING);
	fails_if(j, in->__reserved[0] || in->__reserved[1], EINVAL);
	fails_if(j, !in->length || in->length > 512, EINVAL);
	fails_if(j, in->data == FUZZ_NOWHERE, EFAULT);
	s = named_table(j);
	if (s)
		judge_root(j, s, in);
	if (!succeeded(j))
		return;
	let_go(j->m, s);
	s->bound = true;
	s->root = data->root;
	s->levels = data->levels;
	s->reference = ++s->tables * FUZZ_PAGE;
	new.start = s->reference;
	new.last = new.start + FUZZ_PAGE - 1;
	new.offset = s->root;
	insert(s, &new);
	account(j->m, s, FUZZ_PAGE);
}

void judge_unbind_table(struct judge *j)
{
	const struct ioasid_unbind_table *in = &j->r->in.untable;
	struct fuzz_space *s;

	common(j, in->flags, 0, WRITES_NOTHING);
	fails_if(j, in->__reserved, EINVAL);
	s = named_table(j);
	fails_if(j, s && !s->bound, ENOENT);
	if (succeeded(j))
		let_go(j->m, s);
}

/* The errno of an entry that is struct ioasid_invalidate. */
static int entry_error(const struct ioasid_invalidate *inv, bool by_pasid)
{
	const __u32 tlbs = IOASID_INVALIDATE_IOTLB | IOASID_INVALIDATE_DEVTLB;
	const __u32 pasids = IOASID_INVALIDATE_PASID_CACHE |
			     IOASID_INVALIDATE_PASID;
	const bool range = inv->flags & IOASID_INVALIDATE_RANGE;

	if (inv->flags & ~(tlbs | pasids | IOASID_INVALIDATE_RANGE |
			   IOASID_INVALIDATE_LEAF))
		return -EOPNOTSUPP;
	if (!(inv->flags & (tlbs | IOASID_INVALIDATE_PASID_CACHE)))
		return -EINVAL;
	if (!by_pasid && inv->flags & pasids)
		return -EINVAL;
	if (inv->vpasid && !(inv->flags & IOASID_INVALIDATE_PASID))
		return -EINVAL;
	if (!range && (inv->start || inv->last))
		return -EINVAL;
	if (range && (!(inv->flags & tlbs) || inv->start > inv->last))
		return -EINVAL;
	return 0;
}

/* The same of an entry of the format, which only the IOMMU looks at. */
static int own_error(const struct model_invalidate *inv, bool by_pasid)
{
	if (inv->flags & ~MODEL_INV_FLAGS)
		return -EOPNOTSUPP;
	if (!(inv->flags & (MODEL_INV_IOTLB | MODEL_INV_DEVTLB |
			    MODEL_INV_PASID_CACHE)))
		return -EINVAL;
	if (!by_pasid && inv->flags & (MODEL_INV_PASID | MODEL_INV_PASID_CACHE))
		return -EINVAL;
	return inv->flags & MODEL_INV_RANGE && inv->start > inv->last ?
	       -EINVAL : 0;
}

/* Number of entries that are carried out; @error is that of the next one. */
static __u32 judge_entries(struct judge *j, struct fuzz_space *s, int *error)
{
	const struct ioasid_invalidate_cache *in = &j->r->in.invalidate;
	const bool by_pasid = s->kind == IOASID_KIND_PASID_TABLE;
	const bool used = s->bound && s->devices;
	const union fuzz_invalidation *inv;
	__u32 flags, pasid, i;

	*error = 0;
	for (i = 0; i < in->nr; i++) {
		inv = &j->r->invalidations[i];
		flags = in->entry_size ? inv->own.flags : inv->any.flags;
		pasid = in->entry_size ? inv->own.pasid : inv->any.vpasid;
		if (!in->entry_size)
			*error = entry_error(&inv->any, by_pasid);
		else if (used)
			*error = in->entry_size < sizeof(inv->own) ? -EINVAL :
				 own_error(&inv->own, by_pasid);
		/* the bits of both are the same */
		if (!*error && used && flags & MODEL_INV_PASID &&
		    pasid >> s->levels)
			*error = -EINVAL;
		if (*error)
			break;
		if (!(flags & MODEL_INV_PASID_CACHE))
			continue;
		if (!(flags & MODEL_INV_PASID))
			forget_pasids(s);
		else if (pasid <= FUZZ_PASIDS)
			s->pasids[pasid] = 0;
	}
	return i;
}

/* The device that the command names, and whether it is attached. */
static void judge_devid(struct judge *j, const struct fuzz_space *s)
{
	const struct fuzz_device *d = model_device(j->m, j->op->thread);
	bool attached = false;
	__u32 pasid;

	if (!j->r->in.invalidate.devid)
		return;
	if (j->op->mem != DEVID_OWN || !d || !d->bound) {
		fails_if(j, true, ENOENT);
		return;
	}
	for (pasid = 0; pasid <= FUZZ_PASIDS; pasid++)
		attached |= d->routes[pasid] == s - j->m->spaces;
	fails_if(j, !attached, ENODEV);
}

void judge_invalidate(struct judge *j)
{
	const struct ioasid_invalidate_cache *in = &j->r->in.invalidate;
	const struct ioasid_invalidate_cache *out = &j->r->arg.invalidate;
	struct fuzz_space *s = named(j->m, j->op);
	const bool table = s && model_is_table(s);
	__u32 own = MODEL_HWPT_INVALIDATE, done = 0;
	int error = 0;

	if (table && s->format == FUZZ_OTHER_FORMAT)
		own = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
	common(j, in->flags, 0, WRITES);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && !table, EOPNOTSUPP);
	if (table)
		judge_devid(j, s);
	fails_if(j, !in->nr || in->entry_size > 64, EINVAL);
	fails_if(j, !in->entry_size && in->type, EINVAL);
	fails_if(j, table && in->entry_size && in->type != own, EOPNOTSUPP);
	fails_if(j, in->entries == FUZZ_NOWHERE, EFAULT);
	if (!j->nr)
		done = judge_entries(j, s, &error);
	fails_if(j, error && !done, -error);
	if (!succeeded(j)) {
		/* at the start it has not been written yet */
		if (out->done && out->done != in->done)
			bad(j, 0, out->done, "", "invalidate.done");
		return;
	}
	SAME(done, invalidate.done);
	SAME((__u64)error, invalidate.error);
}

/* The runner has invalidated all tables of the thread. */
void judge_entry(struct judge *j)
{
	const struct fuzz_op *op = j->op;

	if (succeeded(j))
		*fuzz_entry((char *)j->m->tables, op->addr, op->cut) = op->value;
}
