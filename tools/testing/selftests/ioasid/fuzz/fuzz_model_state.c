// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model: DMA, and the state of the context as the kernel shows it.
 */
#include <stdlib.h>

#include "fuzz_judge.h"

/* Where DMA goes, NULL if it is blocked */
static struct fuzz_space *route(struct judge *j)
{
	const int space = model_route(j->m, j->op);

	return space < 0 ? NULL : &j->m->spaces[space];
}

/* The same through a table of user space: the first page that fails counts. */
static void judge_walks(struct judge *j, struct fuzz_space *s, __u64 iova,
			__u64 last, __u32 permission)
{
	const struct fuzz_mapping *map;
	struct fuzz_space *below;
	int error = 0;
	__u64 to;

	for (; !error; iova = (iova | (FUZZ_PAGE - 1)) + 1) {
		below = s;
		to = iova;
		error = -walk_and_set(j->m, j->op, &below, &to,
				      permission == IOASID_MAP_WRITE);
		map = below && !error ? model_find(below, to) : NULL;
		if (!error && (!map || !is_memory(map)))
			error = ENOENT;
		if (!error && !(map->flags & permission))
			error = EPERM;
		fails_if(j, error, error);
		if ((iova | (FUZZ_PAGE - 1)) >= last)
			return;
	}
}

/* Whether DMA may access all of the range; otherwise, errors. */
static void judge_reach(struct judge *j, struct fuzz_space *s, __u64 iova,
			__u64 length, __u32 permission)
{
	struct fuzz_mapping *map;
	__u64 at, last = iova + length - 1;

	if (s && model_is_table(s)) {
		judge_walks(j, s, iova, last, permission);
		return;
	}
	fails_if(j, !s, ENXIO);
	for (at = iova; s; at = map->last + 1) {
		map = model_find(s, at);
		fails_if(j, !map || !is_memory(map), ENOENT);
		if (!map)
			return;
		fails_if(j, is_memory(map) && !(map->flags & permission),
			 EPERM);
		if (map->last >= last || j->nr > 8)
			return;
	}
}

/* The byte that DMA reads; false for tables of user space, which units change. */
static bool expected_byte(const struct judge *j, struct fuzz_space *s,
			  __u64 iova, __u8 *byte)
{
	__u64 offset, word = 0;
	int mem;

	model_walk(j->m, j->op, &s, &iova, false);
	mem = model_memory(j->m, s, iova, &offset);
	if (offset < j->m->machine.mems[mem].filled)
		word = fuzz_pattern(mem, offset & ~7ULL);
	*byte = word >> (offset % 8 * 8);
	return mem != MEM_TABLE;
}

void judge_dma_read(struct judge *j)
{
	const struct fuzz_op *op = j->op;
	struct fuzz_space *s = route(j);
	const __u8 *got = (const __u8 *)j->r->data;
	__u32 permission = IOASID_MAP_READ;
	__u64 i, iova;
	__u8 want;

	if (j->m->plant == PLANT_PERMISSION)
		permission |= IOASID_MAP_WRITE;
	judge_reach(j, s, op->iova, op->length, permission);
	if (!succeeded(j))
		return;
	for (i = 0; i < op->length; i++) {
		iova = op->iova + i;
		if (iova % FUZZ_PAGE >= FUZZ_SCRATCH(0))
			continue;
		if (expected_byte(j, s, iova, &want) && got[i] != want) {
			bad(j, want, got[i], "", "((__u8 *)data)[%llu]", i);
			return;
		}
	}
}

void judge_dma_write(struct judge *j)
{
	const struct fuzz_op *op = j->op;
	struct fuzz_space *s = route(j);
	__u64 iova = op->iova;

	judge_reach(j, s, op->iova, 8, IOASID_MAP_WRITE);
	if (!succeeded(j))
		return;
	/* through a table of user space */
	if (!model_walk(j->m, op, &s, &iova, true) && s)
		wrote(j->m, s, iova);
	if (j->r->data[0] != op->value)
		bad(j, op->value, j->r->data[0], "what memory holds then",
		    "data[0]");
}

/* Observable state. Runs while no other operation does. */

/* The value of a key, or of a field of a line, of fdinfo. */
static const char *field(const char *line, const char *name)
{
	const char *end = strchr(line, '\n');
	const char *at = strstr(line, name);

	if (!at || (end && at > end))
		return NULL;
	return at + strlen(name);
}

static __u64 number(const char *at, int base)
{
	if (!at)
		return FUZZ_UNSET;
	if (!strncmp(at, "max", 3))
		return ALL_ONES;
	return strtoull(at, NULL, base);
}

static void judge_line(struct judge *j, const char *key, __u64 want)
{
	const char *at = strstr(j->r->text, key);
	__u64 got = number(at ? at + strlen(key) : NULL, 10);

	if (want != got)
		bad(j, want, got, "", "fdinfo(\"%s\")", key + 1);
}

static void judge_fields(struct judge *j, int space, const char *line)
{
	const struct fuzz_space *s = &j->m->spaces[space];
	static const char *const kinds[] = {
		[IOASID_KIND_MAP] = " kind=map ",
		[IOASID_KIND_PGTABLE] = " kind=pgtable ",
		[IOASID_KIND_PASID_TABLE] = " kind=pasid-table ",
		[IOASID_KIND_PROCESS] = " kind=process ",
	};
	const struct {
		const char *name;
		int base;
		__u64 want;
	} fields[] = {
		{ " parent=", 10, s->parent_id },
		{ " cookie=", 16, s->cookie },
		{ " devices=", 10, s->devices },
		{ " children=", 10,
		  seen_children(s, number(field(line, " children="), 10)) },
		{ " mappings=", 10, s->nr },
		{ " mapped=", 10, s->mapped },
		{ " pinned=", 10, is_child(s) ? 0 : s->mapped },
		{ " charged=", 10, is_child(s) ? 0 : s->mapped },
	};
	size_t i;
	__u64 got;

	for (i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (is_import(s) && strcmp(fields[i].name, " cookie=") &&
		    strcmp(fields[i].name, " children="))
			continue;
		got = number(field(line, fields[i].name), fields[i].base);
		if (got != fields[i].want)
			bad(j, fields[i].want, got, "", "fdinfo(id[%d], \"%s\")",
			    space, fields[i].name);
	}
	if (!is_import(s) && !field(line, s->devices ? " state=attached" : " state=idle"))
		bad(j, s->devices, !s->devices, "attached",
		    "fdinfo(id[%d], \"state\")", space);
	if (is_import(s))
		return;
	if (!field(line, kinds[s->kind]))
		bad(j, s->kind, 0, kinds[s->kind], "fdinfo(id[%d], \"kind\")",
		    space);
	if (!field(line, ",unbound") != !(model_is_table(s) && !s->bound))
		bad(j, !s->bound, s->bound, "unbound",
		    "fdinfo(id[%d], \"state\")", space);
}

static void judge_text(struct judge *j)
{
	static const char *const payers[] = {
		[IOASID_CHARGE_USER] = "\nioasid-charge:\tuser\n",
		[IOASID_CHARGE_MM] = "\nioasid-charge:\tmm\n",
		[IOASID_CHARGE_ONCE] = "\nioasid-charge:\tonce\n",
	};
	const struct fuzz_model *m = j->m;
	const char *text = j->r->text, *line;
	const struct fuzz_space *s;
	char head[48];
	int i;

	judge_line(j, "\nioasid-pinned:\t", all_pinned(m));
	judge_line(j, "\nioasid-limit-pinned:\t", m->option[LIMIT_PINNED]);
	judge_line(j, "\nioasid-count:\t", m->ioasids + !!m->chaos);
	judge_line(j, "\nioasid-limit-ioasids:\t", m->option[LIMIT_IOASIDS]);
	judge_line(j, "\nioasid-pasids:\t", m->pasids);
	judge_line(j, "\nioasid-limit-pasids:\t", m->option[LIMIT_PASIDS]);
	judge_line(j, "\nioasid-limit-mappings:\t",
		   m->option[LIMIT_MAPPINGS]);
	if (!strstr(text, payers[m->option[CHARGE]]))
		bad(j, m->option[CHARGE], !m->option[CHARGE], "",
		    "fdinfo(\"ioasid-charge\")");
	for (i = 0; i < FUZZ_WINDOW(0); i++) {
		s = &m->spaces[i];
		snprintf(head, sizeof(head), "\nioasid:\tid=%u ", s->id);
		line = strstr(text, head);
		if (!!line != s->live)
			bad(j, s->live, !!line, "has a line",
			    "fdinfo(id[%d])", i);
		if (line && s->live)
			judge_fields(j, i, line + 1);
	}
}

void judge_state(struct judge *j)
{
	const struct fuzz_model *m = j->m;
	const bool mm = m->option[CHARGE] != IOASID_CHARGE_USER;
	__u64 mappings = 0, mapped = 0, pinned = all_charged(m);
	int i, devices = 0;

	if (!succeeded(j))
		return;
	for (i = 0; i < FUZZ_THREADS; i++) {
		mappings += m->spaces[FUZZ_WINDOW(i)].nr;
		mapped += m->spaces[FUZZ_WINDOW(i)].mapped;
		devices += m->spaces[FUZZ_WINDOW(i)].devices;
	}
	if (j->r->shared.nr_mappings != mappings)
		bad(j, mappings, j->r->shared.nr_mappings, "",
		    "shared.nr_mappings");
	if (j->r->shared.bytes_pinned != mapped)
		bad(j, mapped, j->r->shared.bytes_pinned, "",
		    "shared.bytes_pinned");
	if (j->r->shared.nr_devices != (__u32)devices)
		bad(j, devices, j->r->shared.nr_devices, "",
		    "shared.nr_devices");
	if (j->r->vm_pin != (mm ? 0 : pinned))
		bad(j, mm ? 0 : pinned, j->r->vm_pin, "", "vm_pin()");
	if (j->r->vm_lck != (mm ? pinned : 0))
		bad(j, mm ? pinned : 0, j->r->vm_lck, "", "vm_lck()");
	if (j->r->harm[0])
		bad(j, 0, 1, j->r->harm, "harm()");
	judge_text(j);
}

/* The first IOASID with an id from @id on that may have an event, or NULL. */
static struct fuzz_space *next_event(struct fuzz_model *m, __u32 id)
{
	struct fuzz_space *s, *next = NULL;

	for (s = m->spaces; s < m->spaces + FUZZ_WINDOW(0); s++)
		if (s->live && !is_import(s) && s->event && s->id >= id &&
		    (!next || s->id < next->id))
			next = s;
	return next;
}

static bool any_event(struct fuzz_model *m, enum fuzz_event at_least)
{
	struct fuzz_space *s = NULL;

	do {
		s = next_event(m, s ? s->id + 1 : 0);
	} while (s && s->event < at_least);
	return s;
}

/* Judge one entry; returns whether there is one. */
static bool judge_event(struct judge *j, unsigned int i, __u32 *id)
{
	const struct ioasid_event *got = &j->r->told[i];
	struct fuzz_space *s = next_event(j->m, *id);

	if (i >= j->r->arg.events.nr) {
		while (s && s->event == EVENT_PERHAPS) {
			s->event = EVENT_NONE;
			s = next_event(j->m, s->id);
		}
		if (s)
			bad(j, s->id, 0, "was not told", "told[%u].ioasid", i);
		return false;
	}
	while (s && s->event == EVENT_PERHAPS && s->id != got->ioasid) {
		s->event = EVENT_NONE;
		s = next_event(j->m, s->id);
	}
	if (!s || s->id != got->ioasid) {
		bad(j, s ? s->id : 0, got->ioasid, "", "told[%u].ioasid", i);
		return false;
	}
	s->event = EVENT_NONE;
	*id = s->id + 1;
	if (got->state != (is_orphan(s) ? IOASID_STATE_ORPHAN : 0))
		bad(j, is_orphan(s) ? IOASID_STATE_ORPHAN : 0, got->state, "",
		    "told[%u].state", i);
	if (got->cookie != s->cookie)
		bad(j, s->cookie, got->cookie, "", "told[%u].cookie", i);
	return !j->v->bad;
}

/* Whether there are events now. */
static void judge_more(struct judge *j, bool got, const char *what)
{
	if (got ? !any_event(j->m, EVENT_PERHAPS) :
		  any_event(j->m, EVENT_PENDING))
		bad(j, !got, got, "", "%s", what);
}

void judge_events(struct judge *j)
{
	const struct ioasid_get_events *in = &j->r->in.events;
	unsigned int i = 0;
	__u32 id = 0;

	common(j, in->flags, 0, WRITES);
	fails_if(j, in->more, EINVAL);
	if (in->nr && in->events == FUZZ_NOWHERE) {
		fails_if(j, any_event(j->m, EVENT_PENDING), EFAULT);
		if (any_event(j->m, EVENT_PERHAPS))
			perhaps(j, EFAULT);
	}
	if (succeeded(j)) {
		if (j->r->arg.events.nr > in->nr) {
			bad(j, in->nr, j->r->arg.events.nr, "", "events.nr");
			return;
		}
		while (i < in->nr && !j->v->bad && judge_event(j, i, &id))
			i++;
		if (*(__u64 *)&j->r->told[j->r->arg.events.nr] != FUZZ_UNSET)
			bad(j, FUZZ_UNSET,
			    *(__u64 *)&j->r->told[j->r->arg.events.nr],
			    "more than there is", "told[%u]", i);
		judge_more(j, j->r->arg.events.more, "events.more");
	}
	judge_more(j, j->r->polled, "polled");
}
