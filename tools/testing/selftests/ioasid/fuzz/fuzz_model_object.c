// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model: commands on IOASIDs, exports, devices and options.
 */
#include <stdlib.h>

#include "fuzz_judge.h"

void judge_new_id(struct judge *j, __u32 id, const char *what)
{
	if (!id || id <= j->r->newest)
		bad(j, j->r->newest + 1, id, "not cyclic", "%s", what);
}

/*
 * Commands
 */

void judge_check(struct judge *j)
{
	const struct ioasid_check_extension *in = &j->r->in.check;

	common(j, in->flags, 0, WRITES_PERHAPS);
	fails_if(j, in->__reserved, EINVAL);
	if (!succeeded(j))
		return;
	switch (in->extension) {
	case IOASID_EXT_MAP:
	case IOASID_EXT_MAP_FILE:
	case IOASID_EXT_SPLIT:
	case IOASID_EXT_DMA_BATCH:
	case IOASID_EXT_QUERY_MAP:
	case IOASID_EXT_EXPORT:
	case IOASID_EXT_PASID:
	case IOASID_EXT_PROTECT:
	case IOASID_EXT_REPLACE:
		if (j->r->rc != 1)
			bad(j, 1, j->r->rc, "", "rc");
		break;
	case IOASID_EXT_MAX_DEPTH:
	case IOASID_EXT_MAX_IOASIDS:
		if (j->r->rc < 1)
			bad(j, 1, j->r->rc, "at least", "rc");
		break;
	case IOASID_EXT_DEMAND:
		if (j->r->rc != 1)
			bad(j, 1, j->r->rc, "", "rc");
		break;
	case IOASID_EXT_REHOME:
		if (j->r->rc != 2)
			bad(j, 2, j->r->rc, "", "rc");
		break;
	case IOASID_EXT_PGTABLE:
	case IOASID_EXT_PASID_TABLE:
		if (j->r->rc != j->m->machine.takes_tables)
			bad(j, j->m->machine.takes_tables, j->r->rc, "", "rc");
		break;
	}
}

/* One more IOASID or import may exceed the limit. */
static void fails_beyond_limit(struct judge *j)
{
	fails_if(j, j->m->option[LIMIT_IOASIDS] != ALL_ONES &&
		 j->m->ioasids + !!j->m->chaos >= j->m->option[LIMIT_IOASIDS],
		 EDQUOT);
}

/* Whether the format is one of the kind, and known. */
static bool has_format(const struct fuzz_model *m, const struct ioasid_alloc *in)
{
	const bool model = m->machine.have_devices;

	if (in->kind == IOASID_KIND_PASID_TABLE)
		return model && in->format == MODEL_HWPT_DATA_PASID_TABLE;
	return in->format == FUZZ_OTHER_FORMAT ||
	       (model && in->format == MODEL_HWPT_DATA_S1);
}

/* Errors of an IOASID that mirrors the process. */
static void judge_new_mirror(struct judge *j)
{
	const struct ioasid_alloc *in = &j->r->in.alloc;

	fails_if(j, !j->m->machine.mirrors || in->flags || in->fault_queue ||
		 in->snoop > IOASID_SNOOP_ON, EOPNOTSUPP);
	fails_if(j, in->parent || in->format || in->cut_size, EINVAL);
}

/* Errors that depend on the kind. */
static void judge_new_kind(struct judge *j, const struct fuzz_space *parent)
{
	const struct ioasid_alloc *in = &j->r->in.alloc;
	const __u32 flags = in->flags & ~IOASID_ALLOC_DIRTY;
	const bool table = table_kind(in->kind);

	fails_if(j, parent && !is_import(parent) && !model_is_map(parent),
		 EOPNOTSUPP);
	if (in->kind == IOASID_KIND_PROCESS) {
		judge_new_mirror(j);
		return;
	}
	fails_if(j, in->kind != IOASID_KIND_MAP && !table, EOPNOTSUPP);
	fails_if(j, flags && in->parent, EOPNOTSUPP);
	fails_if(j, (table || flags) && !j->m->machine.takes_tables,
		 EOPNOTSUPP);
	if (!table) {
		fails_if(j, in->snoop > IOASID_SNOOP_ON, EOPNOTSUPP);
		fails_if(j, in->format, EINVAL);
		fails_if(j, in->format, EOPNOTSUPP);
		return;
	}
	fails_if(j, in->flags, EOPNOTSUPP);
	fails_if(j, !in->parent || !in->format || in->cut_size || in->snoop,
		 EINVAL);
	/* that of an import is false, too */
	fails_if(j, parent && !parent->nest_parent, EOPNOTSUPP);
	fails_if(j, !has_format(j->m, in), EOPNOTSUPP);
}

void judge_alloc(struct judge *j)
{
	const struct ioasid_alloc *in = &j->r->in.alloc;
	struct fuzz_space *s = &j->m->spaces[j->op->space], *parent = NULL;

	if (fuzz_parent(j->op) >= 0)
		parent = &j->m->spaces[fuzz_parent(j->op)];
	if (parent && !parent->live)
		parent = NULL;
	common(j, in->flags, IOASID_ALLOC_NEST_PARENT | IOASID_ALLOC_DEMAND |
	       (j->m->machine.tracks && in->kind == IOASID_KIND_MAP ?
		IOASID_ALLOC_DIRTY : 0), WRITES);
	judge_new_kind(j, parent);
	fails_if(j, in->parent && !parent, ENOENT);
	fails_if(j, parent && parent->level >= j->m->machine.depth, ELOOP);
	fails_if(j, parent && is_import(parent) && parent->parent < 0, ENODEV);
	fails_if(j, in->cut_size && !grid(in->cut_size), EINVAL);
	fails_if(j, in->fault_queue && (fuzz_queue_ref(j->op) != QUEUE_OWN ||
					!j->m->queues[j->op->thread].live),
		 ENOENT);
	fails_beyond_limit(j);
	if (!succeeded(j))
		return;
	judge_new_id(j, j->r->arg.alloc.ioasid, "alloc.ioasid");
	s->queue = in->fault_queue;
	s->live = true;
	s->id = j->r->arg.alloc.ioasid;
	s->cookie = in->cookie;
	s->cut = in->cut_size;
	s->snoop = in->snoop;
	s->parent = parent ? fuzz_parent(j->op) : -1;
	s->via = -1;
	s->event = EVENT_NONE;
	s->export.nr = 0;
	s->imports = parent && is_import(parent);
	if (s->imports) {
		s->via = s->parent;
		s->parent = parent->parent;
	}
	s->parent_id = in->parent;
	s->kind = in->kind;
	s->nest_parent = in->flags & IOASID_ALLOC_NEST_PARENT;
	s->format = in->format;
	s->bound = false;
	s->levels = 0;
	s->tables = 0;
	forget_pasids(s);
	s->children = 0;
	s->orphaned = 0;
	s->level = parent ? parent->level + 1 : 1;
	if (parent)
		parent->children++;
	s->devices = 0;
	s->tracked = false;
	s->nr_written = 0;
	j->m->ioasids++;
}

void judge_free(struct judge *j)
{
	const struct ioasid_free *in = &j->r->in.free;
	struct fuzz_space *s = named_any(j->m, j->op), *c, *parent;

	common(j, in->flags, IOASID_FREE_CASCADE, WRITES_NOTHING);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && s->devices, EBUSY);
	fails_if(j, s && s->children && !(in->flags & IOASID_FREE_CASCADE),
		 EBUSY);
	if (s && s->orphaned && !(in->flags & IOASID_FREE_CASCADE))
		perhaps(j, EBUSY);
	if (!succeeded(j))
		return;
	cascade(j->m, s, 0, ALL_ONES);
	for (c = j->m->spaces; c < j->m->spaces + FUZZ_WINDOW(0); c++) {
		if (c->live && c->via == s - j->m->spaces) {
			take_back(j->m, c);
			c->parent = -1;
			c->via = -1;
		}
		if (c->live && c->parent == s - j->m->spaces)
			c->parent = -1;
		if (c->live && !is_import(c) && c->parent_id == s->id)
			c->event = EVENT_PENDING;
	}
	parent = s->via >= 0 ? &j->m->spaces[s->via] :
		 s->parent >= 0 ? &j->m->spaces[s->parent] : NULL;
	if (parent) {
		parent->children--;
		if (is_import(s) && s->children)
			parent->orphaned++;
	}
	cut_out(j->m, s, 0, ALL_ONES);
	s->nr = 0;
	account(j->m, s, -s->mapped);
	s->live = false;
	j->m->ioasids--;
}

static void judge_ranges(struct judge *j, __u32 room, __u32 nr, __u64 last,
			 const char *what)
{
	const struct ioasid_iova_range *range = j->r->ranges;

	if (nr != 1)
		bad(j, 1, nr, "", "%s", what);
	if (room && range->start)
		bad(j, 0, range->start, "", "ranges[0].start");
	if (room && range->last != last)
		bad(j, last, range->last, "", "ranges[0].last");
	if (range[1].start != FUZZ_UNSET)
		bad(j, FUZZ_UNSET, range[1].start, "more than there is",
		    "ranges[1].start");
}

static void judge_import_info(struct judge *j, const struct fuzz_space *s)
{
	const struct ioasid_info *out = &j->r->arg.info;
	__u64 unused[] = {
		out->parent, out->cut_size, out->pgsizes, out->snoop,
		out->nr_domains, out->nr_devices, out->bytes_mapped,
		out->bytes_pinned, out->bytes_charged, out->waiting_cookie,
		out->waiting_devid,
	};
	size_t i;

	SAME(s->parent < 0 ? IOASID_STATE_ORPHAN : 0, info.state);
	SAME(IOASID_KIND_IMPORT, info.kind);
	SAME(s->cookie, info.cookie);
	SAME(seen_children(s, out->nr_children), info.nr_children);
	SAME(mappings_of(j->m, &s->export), info.nr_mappings);
	SAME(bytes_left(j->m), info.bytes_left);
	SAME(mappings_left(j->m, &s->export), info.mappings_left);
	if (j->op->size != SIZE_SHORT) {
		SAME(s->export.permission, info.permission);
		SAME(0, info.fault_queue);
	}
	for (i = 0; i < sizeof(unused) / sizeof(*unused); i++)
		if (unused[i])
			bad(j, 0, unused[i], "not told of an import",
			    "field %zu of info", i);
	judge_ranges(j, j->r->in.info.nr_ranges, out->nr_ranges,
		     s->export.last - s->export.start, "info.nr_ranges");
}

void judge_info(struct judge *j)
{
	const struct ioasid_info *in = &j->r->in.info;
	const struct ioasid_info *out = &j->r->arg.info;
	struct fuzz_space *s = named_any(j->m, j->op);
	bool table;

	common(j, in->flags, 0, WRITES);
	fails_if(j, !s, ENOENT);
	fails_if(j, in->nr_ranges && in->ranges == FUZZ_NOWHERE, EFAULT);
	if (!succeeded(j))
		return;
	if (is_import(s)) {
		judge_import_info(j, s);
		return;
	}
	table = model_is_table(s);
	SAME((s->devices ? IOASID_STATE_ATTACHED : 0) |
	     (is_orphan(s) ? IOASID_STATE_ORPHAN : 0) |
	     (s->tracked ? IOASID_STATE_TRACKING : 0) |
	     (table && !s->bound ? IOASID_STATE_UNBOUND : 0), info.state);
	SAME(s->kind, info.kind);
	SAME(s->parent_id, info.parent);
	SAME(s->cookie, info.cookie);
	SAME(s->cut, info.cut_size);
	SAME(table ? 0 : pgsizes(j->m, s), info.pgsizes);
	SAME(s->snoop, info.snoop);
	SAME(table ? s->bound && s->devices : restricted(j->m, s),
	     info.nr_domains);
	SAME(s->devices, info.nr_devices);
	SAME(seen_children(s, out->nr_children), info.nr_children);
	SAME(s->nr, info.nr_mappings);
	SAME(s->mapped, info.bytes_mapped);
	SAME(is_child(s) ? 0 : s->mapped, info.bytes_pinned);
	SAME(is_child(s) ? 0 : s->mapped, info.bytes_charged);
	SAME(bytes_left(j->m), info.bytes_left);
	SAME(0, info.waiting_cookie);
	SAME(0, info.waiting_devid);
	/* of a child that lost its parent, the export may have changed */
	if (!is_orphan(s))
		SAME(terms(j->m, s) ? mappings_left(j->m, terms(j->m, s)) :
				      ALL_ONES, info.mappings_left);
	if (j->op->size != SIZE_SHORT) {
		SAME(IOASID_MAP_READ | IOASID_MAP_WRITE, info.permission);
		SAME(s->queue, info.fault_queue);
	}
	judge_ranges(j, in->nr_ranges, out->nr_ranges, permitted(j->m, s),
		     "info.nr_ranges");
}

void judge_export(struct judge *j)
{
	const struct ioasid_export *in = &j->r->in.export;
	struct fuzz_space *s = named(j->m, j->op);

	common(j, in->flags, IOASID_EXPORT_READ | IOASID_EXPORT_WRITE, WRITES);
	fails_if(j, !in->flags || !in->max_mappings, EINVAL);
	fails_if(j, !is_range(in->iova, in->length), EINVAL);
	fails_if(j, !page_aligned(in->iova | in->length), EINVAL);
	fails_if(j, !s, ENOENT);
	fails_if(j, s && !model_is_map(s), EOPNOTSUPP);
	if (!succeeded(j))
		return;
	j->m->exports[fuzz_export(j->op)] = (struct fuzz_export) {
		.nr = ++j->m->nr_exports,
		.space = j->op->space,
		.id = s->id,
		.start = in->iova,
		.last = in->iova + in->length - 1,
		.permission =
			(in->flags & IOASID_EXPORT_READ ? IOASID_MAP_READ : 0) |
			(in->flags & IOASID_EXPORT_WRITE ? IOASID_MAP_WRITE : 0),
		.max = in->max_mappings,
	};
}

void judge_import(struct judge *j)
{
	const struct ioasid_import *in = &j->r->in.import;
	const struct fuzz_export *e = &j->m->exports[fuzz_export(j->op)];
	struct fuzz_space *s = &j->m->spaces[j->op->space], *from;

	common(j, in->flags, 0, WRITES);
	if (j->op->mem != MEM_RAW || !e->nr) {
		fails_if(j, true, EBADF);
		succeeded(j);
		return;
	}
	from = &j->m->spaces[e->space];
	if (!from->live || from->id != e->id)
		from = NULL;
	fails_if(j, !from, ENODEV);
	fails_if(j, from && from->level >= j->m->machine.depth, ELOOP);
	fails_beyond_limit(j);
	if (!succeeded(j))
		return;
	judge_new_id(j, j->r->arg.import.ioasid, "import.ioasid");
	s->live = true;
	s->id = j->r->arg.import.ioasid;
	s->cookie = in->cookie;
	s->cut = 0;
	s->snoop = 0;
	s->parent = e->space;
	s->via = -1;
	s->export = *e;
	s->queue = 0;
	s->imports = false;
	s->parent_id = 0;
	s->kind = IOASID_KIND_IMPORT;
	s->nest_parent = false;
	s->children = 0;
	s->orphaned = 0;
	s->level = from->level;
	s->devices = 0;
	from->children++;
	j->m->ioasids++;
}

static int by_id(const void *a, const void *b)
{
	const struct ioasid_list_entry *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->type != y->type)
		return (int)x->type - (int)y->type;
	return (int)x->vpasid - (int)y->vpasid;
}

/* All objects, in the order of IOASID_LIST. */
static size_t list(const struct fuzz_model *m, struct ioasid_list_entry *all)
{
	struct ioasid_list_entry *e = all;
	__u32 pasid;
	int i;

	for (i = 0; i < FUZZ_WINDOW(0); i++)
		if (m->spaces[i].live)
			*e++ = (struct ioasid_list_entry) {
				.type = IOASID_LIST_IOASID,
				.id = m->spaces[i].id,
				.cookie = m->spaces[i].cookie,
				.kind = m->spaces[i].kind,
				.parent = m->spaces[i].parent_id,
			};
	*e++ = (struct ioasid_list_entry) {
		.type = IOASID_LIST_IOASID,
		.id = m->shared,
		.cookie = FUZZ_SHARED_COOKIE,
		.kind = IOASID_KIND_MAP,
	};
	if (m->chaos)
		*e++ = (struct ioasid_list_entry) {
			.type = IOASID_LIST_IOASID,
			.id = m->chaos,
			.cookie = FUZZ_CHAOS_COOKIE,
			.kind = IOASID_KIND_MAP,
		};
	for (i = 0; i < FUZZ_THREADS; i++)
		if (m->queues[i].live)
			*e++ = (struct ioasid_list_entry) {
				.type = IOASID_LIST_FAULT_QUEUE,
				.id = m->queues[i].id,
				.cookie = m->queues[i].cookie,
			};
	for (i = 0; i < FUZZ_DEVICES; i++) {
		const struct fuzz_device *d = &m->devices[i];

		if (!d->bound)
			continue;
		*e++ = (struct ioasid_list_entry) {
			.type = IOASID_LIST_DEVICE,
			.id = d->id,
			.cookie = d->cookie,
		};
		for (pasid = 0; pasid <= FUZZ_PASIDS; pasid++)
			if (d->routes[pasid] >= 0)
				*e++ = (struct ioasid_list_entry) {
					.type = IOASID_LIST_ATTACHMENT,
					.id = d->id,
					.cookie = d->cookie,
					.ioasid = m->spaces[d->routes[pasid]].id,
					.vpasid = pasid,
				};
	}
	qsort(all, e - all, sizeof(*all), by_id);
	return e - all;
}

void judge_list(struct judge *j)
{
	const struct ioasid_list *in = &j->r->in.list;
	struct ioasid_list_entry all[FUZZ_ENTRIES], *e = all;
	const struct ioasid_list_entry *got = j->r->entries;
	size_t nr, i;

	nr = list(j->m, all);
	while (nr && e->id < in->start) {
		e++;
		nr--;
	}
	common(j, in->flags, 0, WRITES);
	fails_if(j, nr && in->nr && in->entries == FUZZ_NOWHERE, EFAULT);
	if (in->nr && in->entries == FUZZ_NOWHERE)
		perhaps(j, EFAULT);
	if (!succeeded(j))
		return;
	SAME(nr, list.nr);
	for (i = 0; i < nr && i < in->nr && !j->v->bad; i++) {
		if (got[i].type != e[i].type)
			bad(j, e[i].type, got[i].type, "", "entries[%zu].type",
			    i);
		if (got[i].id != e[i].id)
			bad(j, e[i].id, got[i].id, "", "entries[%zu].id", i);
		if (got[i].cookie != e[i].cookie)
			bad(j, e[i].cookie, got[i].cookie, "",
			    "entries[%zu].cookie", i);
		if (got[i].ioasid != e[i].ioasid)
			bad(j, e[i].ioasid, got[i].ioasid, "",
			    "entries[%zu].ioasid", i);
		if (memcmp(&got[i], &e[i], sizeof(*e)))
			bad(j, e[i].kind, got[i].kind, "kind, vpasid, parent",
			    "entries[%zu].kind", i);
	}
	if (*(__u64 *)&got[i] != FUZZ_UNSET)
		bad(j, FUZZ_UNSET, *(__u64 *)&got[i], "more than there is",
		    "*(__u64 *)&entries[%zu]", i);
}

void judge_option(struct judge *j)
{
	const struct ioasid_set_option *in = &j->r->in.option;
	const bool get = in->flags & IOASID_OPTION_GET;
	const bool known = in->option >= CHARGE && in->option <= LIMIT_MAPPINGS;
	struct fuzz_model *m = j->m;

	common(j, in->flags, IOASID_OPTION_GET | IOASID_OPTION_SEAL,
	       get ? WRITES : WRITES_PERHAPS);
	fails_if(j, get && in->flags & IOASID_OPTION_SEAL, EINVAL);
	fails_if(j, in->sealed, EINVAL);
	fails_if(j, get && in->value, EINVAL);
	fails_if(j, !known, EOPNOTSUPP);
	if (!get && known) {
		fails_if(j, m->sealed[in->option] &&
			 in->value != m->option[in->option], EPERM);
		fails_if(j, in->option == CHARGE &&
			 in->value > IOASID_CHARGE_ONCE, EOPNOTSUPP);
		/* the current value can always be set */
		fails_if(j, in->option == CHARGE && m->charged &&
			 in->value != m->option[CHARGE], EBUSY);
		/* a map that failed may have been charged for a moment */
		if (in->option == CHARGE && m->tried)
			perhaps(j, EBUSY);
	}
	if (!succeeded(j))
		return;
	if (get) {
		SAME(m->option[in->option], option.value);
		SAME(m->sealed[in->option], option.sealed);
		return;
	}
	m->option[in->option] = in->value;
	if (in->flags & IOASID_OPTION_SEAL)
		m->sealed[in->option] = true;
}

static bool has_pasids(const struct fuzz_model *m)
{
	return m->physical == FUZZ_WITH_PASIDS;
}

/* Whether a PASID of this thread's device moves without being blocked. */
static bool moves_pasids(const struct fuzz_model *m, const struct fuzz_op *op)
{
	return has_pasids(m) && !op->thread;
}

/* Number of PASIDs of a device that are attached. */
static __u32 nr_pasids(const struct fuzz_device *d)
{
	__u32 pasid, nr = 0;

	for (pasid = 1; pasid <= FUZZ_PASIDS; pasid++)
		nr += d->routes[pasid] >= 0;
	return nr;
}

/* Number of PASIDs that the limit of the context leaves. */
static __u64 pasids_left(const struct fuzz_model *m)
{
	return left_of(m->option[LIMIT_PASIDS], m->pasids);
}

void judge_device_info(struct judge *j)
{
	const struct ioasid_device_info *in = &j->r->in.device;
	const struct ioasid_device_info *out = &j->r->arg.device;
	struct fuzz_device *d = model_device(j->m, j->op->thread);

	if (j->op->ref != REF_DEVICE || !d || !d->bound)
		d = NULL;
	common(j, in->flags, 0, WRITES);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, !d, ENOENT);
	fails_if(j, in->nr_ranges && in->ranges == FUZZ_NOWHERE, EFAULT);
	if (!succeeded(j))
		return;
	SAME(d->cookie, device.cookie);
	if (j->m->physical) {
		SAME(IOASID_DEVICE_ENFORCE_SNOOP |
		     (moves_pasids(j->m, j->op) ? IOASID_DEVICE_PASID_HITLESS : 0) |
		     (model_nests(j->m, j->op->thread) ? IOASID_DEVICE_NESTING : 0) |
		     (j->m->physical == FUZZ_PHYSICAL ? IOASID_DEVICE_DIRTY : 0),
		     device.caps);
		SAME(PHYSICAL_PGSIZES, device.pgsizes);
		SAME(48, device.addr_width);
		if (out->group < 0)
			bad(j, 0, out->group, "", "device.group");
	} else {
		SAME(IOASID_DEVICE_EMULATED, device.caps);
		SAME((__u64)-1, device.group);
		SAME(0, device.hw_type);
		SAME(0, device.hw_len);
	}
	SAME(d->routes[0] >= 0 ? j->m->spaces[d->routes[0]].id : 0, device.ioasid);
	SAME(has_pasids(j->m) ? FUZZ_PASID_BITS : 0, device.pasid_width);
	if (j->op->size != SIZE_SHORT) {
		const __u64 nr = nr_pasids(d), left = pasids_left(j->m);
		const __u64 free = has_pasids(j->m) ? FUZZ_PASIDS - nr : 0;

		SAME(nr, device.nr_pasids);
		SAME(free < left ? free : left, device.pasids_left);
	}
	judge_ranges(j, in->nr_ranges, out->nr_ranges,
		     j->m->physical ? PHYSICAL_LAST : ALL_ONES, "device.nr_ranges");
}

void judge_unknown(struct judge *j)
{
	fails_if(j, true, ENOTTY);
	succeeded(j);
}

/*
 * Devices. Emulated ones restrict nothing, so attaching one always succeeds;
 * those of the physical kind are alike, and so share one domain.
 */

static void move(struct fuzz_model *m, struct fuzz_device *d, __u32 pasid,
		 int space)
{
	const int old = d->routes[pasid];

	if (old == space)
		return;
	if (old >= 0) {
		m->spaces[old].devices--;
		forget_pasids(&m->spaces[old]);
	}
	d->routes[pasid] = space;
	if (space >= 0)
		m->spaces[space].devices++;
	if (!pasid || (old >= 0 && space >= 0))
		return;
	if (space >= 0)
		m->pasids++;
	else if (m->plant != PLANT_PASID)
		m->pasids--;
}

/* Whether memory beyond the device's ranges is in the way of an attach. */
static void judge_place(struct judge *j, int there, const struct fuzz_space *s)
{
	__u64 beyond = 0;

	if (!j->m->physical || (there >= 0 && s == &j->m->spaces[there]))
		return;
	/* the parent, which translates all addresses of a table */
	if (!model_is_table(s))
		beyond = memory_beyond(s, PHYSICAL_LAST);
	else if (s->parent >= 0)
		beyond = memory_beyond(&j->m->spaces[s->parent], PHYSICAL_LAST);
	fails_at(j, beyond, EADDRINUSE, beyond);
}

/* Errors of an attach because of tables of user space. */
static void judge_tables(struct judge *j, const struct fuzz_device *d,
			 int there, bool by_pasid, const struct fuzz_space *s)
{
	const int rid = d->routes[0];
	bool all_pasids;

	/* the PASIDs are those of a table */
	fails_if(j, by_pasid && rid >= 0 &&
		 j->m->spaces[rid].kind == IOASID_KIND_PASID_TABLE, EBUSY);
	if (!s || !model_is_table(s))
		return;
	all_pasids = s->kind == IOASID_KIND_PASID_TABLE;
	fails_if(j, !model_nests(j->m, j->op->thread), EOPNOTSUPP);
	fails_if(j, all_pasids && by_pasid, EOPNOTSUPP);
	fails_if(j, all_pasids && !by_pasid && nr_pasids(d), EBUSY);
	if (there >= 0 && s == &j->m->spaces[there])
		return;
	fails_if(j, is_orphan(s), ENODEV);
	fails_if(j, all_pasids && s->bound && s->levels > FUZZ_PASID_BITS,
		 EINVAL);
}

/* Errors of an attach to a mirror: no device of the model's requests pages. */
static void judge_mirror(struct judge *j, const struct fuzz_space *s)
{
	fails_if(j, s && s->kind == IOASID_KIND_PROCESS,
		 j->m->physical ? EMEDIUMTYPE : EOPNOTSUPP);
}

/* The address that comes with EADDRINUSE. */
static void judge_told(struct judge *j, __u64 got, const char *what)
{
	int i;

	/* the output cannot be written */
	if (j->op->size == SIZE_READONLY)
		return;
	for (i = 0; i < j->nr; i++)
		if (j->errors[i].told && j->r->rc == -j->errors[i].error)
			same(j, j->errors[i].at, got, what);
}

void judge_bind(struct judge *j)
{
	const struct ioasid_device_bind *in = &j->r->in.bind;
	struct fuzz_device *d = model_device(j->m, j->op->thread);
	struct fuzz_space *s = named(j->m, j->op);

	common(j, in->flags, 0, WRITES);
	fails_if(j, in->__reserved, EINVAL);
	fails_if(j, in->ioasid_fd < 0 || j->op->mem != MEM_RAW, EBADF);
	fails_if(j, d->bound, EBUSY);
	fails_if(j, in->ioasid && !s, ENOENT);
	if (in->ioasid && s) {
		judge_place(j, -1, s);
		judge_tables(j, d, -1, false, s);
		judge_mirror(j, s);
	}
	if (!succeeded(j)) {
		judge_told(j, j->r->arg.bind.fault_addr, "bind.fault_addr");
		return;
	}
	judge_new_id(j, j->r->arg.bind.devid, "bind.devid");
	d->bound = true;
	d->id = j->r->arg.bind.devid;
	d->cookie = in->cookie;
	if (in->ioasid)
		move(j->m, d, 0, j->op->space);
}

void judge_get_id(struct judge *j)
{
	const struct ioasid_device_get_id *in = &j->r->in.get_id;
	const struct fuzz_device *d = model_device(j->m, j->op->thread);

	common(j, in->flags, 0, WRITES);
	fails_if(j, !d->bound, EINVAL);
	fails_if(j, j->op->mem != MEM_RAW && in->ioasid_fd != -1, EBADF);
	if (!succeeded(j))
		return;
	SAME(d->id, get_id.devid);
	SAME(d->cookie, get_id.cookie);
}

/* Errors of an attach by PASID; @pasid is 0 if the kernel chooses it. */
static void judge_pasid(struct judge *j, const struct fuzz_device *d,
			__u32 pasid, const struct fuzz_space *s)
{
	const __u32 flags = j->r->in.attach.flags;
	const int there = pasid && pasid <= FUZZ_PASIDS ? d->routes[pasid] : -1;

	fails_if(j, !has_pasids(j->m), EOPNOTSUPP);
	fails_if(j, pasid > FUZZ_PASIDS, EINVAL);
	fails_if(j, flags & IOASID_ATTACH_PASID_ANY &&
		 nr_pasids(d) == FUZZ_PASIDS, ENOSPC);
	fails_if(j, there < 0 && !pasids_left(j->m), EDQUOT);
	fails_if(j, there >= 0 && s != &j->m->spaces[there] &&
		 flags & IOASID_ATTACH_HITLESS && !moves_pasids(j->m, j->op),
		 EOPNOTSUPP);
}

void judge_attach(struct judge *j)
{
	const struct ioasid_device_attach *in = &j->r->in.attach;
	const bool any = in->flags & IOASID_ATTACH_PASID_ANY;
	const bool named_pasid = in->flags & IOASID_ATTACH_PASID;
	struct fuzz_device *d = model_device(j->m, j->op->thread);
	struct fuzz_space *s = named(j->m, j->op);
	__u32 pasid = named_pasid ? in->vpasid : 0;
	int there = -1;

	common(j, in->flags, IOASID_ATTACH_PASID | IOASID_ATTACH_PASID_ANY |
	       IOASID_ATTACH_NEW | IOASID_ATTACH_HITLESS,
	       any ? WRITES : WRITES_PERHAPS);
	fails_if(j, named_pasid != !!in->vpasid, EINVAL);
	fails_if(j, named_pasid && any, EINVAL);
	fails_if(j, in->flags & IOASID_ATTACH_HITLESS && in->flags &
		 (IOASID_ATTACH_NEW | IOASID_ATTACH_PASID_ANY), EINVAL);
	fails_if(j, in->flags & IOASID_ATTACH_HITLESS && !named_pasid,
		 EOPNOTSUPP);
	if (any || named_pasid)
		judge_pasid(j, d, pasid, s);
	if (!any && pasid <= FUZZ_PASIDS)
		there = d->routes[pasid];
	fails_if(j, in->flags & IOASID_ATTACH_NEW && there >= 0, EEXIST);
	fails_if(j, !d->bound, ENODEV);
	fails_if(j, !s, ENOENT);
	if (s && d->bound)
		judge_place(j, there, s);
	judge_tables(j, d, there, any || named_pasid, s);
	judge_mirror(j, s);
	if (!succeeded(j)) {
		judge_told(j, j->r->arg.attach.fault_addr, "attach.fault_addr");
		return;
	}
	if (any) {
		pasid = j->r->arg.attach.vpasid;
		if (!pasid || pasid > FUZZ_PASIDS || d->routes[pasid] >= 0) {
			bad(j, 1, pasid, "not free", "attach.vpasid");
			return;
		}
	} else {
		SAME(in->vpasid, attach.vpasid);
	}
	move(j->m, d, pasid, j->op->space);
}

void judge_detach(struct judge *j)
{
	const struct ioasid_device_detach *in = &j->r->in.detach;
	const __u32 pasid = in->vpasid <= FUZZ_PASIDS ? in->vpasid : 0;
	struct fuzz_device *d = model_device(j->m, j->op->thread);
	int there = d->routes[pasid];

	if (pasid != in->vpasid)
		there = -1;
	common(j, in->flags, IOASID_DETACH_PASID, WRITES_NOTHING);
	fails_if(j, !(in->flags & IOASID_DETACH_PASID) != !in->vpasid, EINVAL);
	fails_if(j, in->flags & IOASID_DETACH_PASID && !has_pasids(j->m),
		 EOPNOTSUPP);
	fails_if(j, !d->bound, ENODEV);
	fails_if(j, there < 0, ENOENT);
	fails_if(j, there >= 0 && in->ioasid &&
		 in->ioasid != j->m->spaces[there].id, ENOENT);
	if (!succeeded(j))
		return;
	move(j->m, d, pasid, -1);
}

void judge_reopen(struct judge *j)
{
	struct fuzz_device *d = model_device(j->m, j->op->thread);
	__u32 pasid;

	if (!succeeded(j))
		return;
	for (pasid = 0; pasid <= FUZZ_PASIDS; pasid++)
		move(j->m, d, pasid, -1);
	d->bound = false;
}
