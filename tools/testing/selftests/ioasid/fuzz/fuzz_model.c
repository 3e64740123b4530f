// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference model of /dev/ioasid, see fuzz_model.h: errors that a command may
 * have, and the judge of each type of operation.
 */
#include <stdarg.h>

#include "fuzz_judge.h"

__attribute__((format(printf, 5, 6)))
void bad(struct judge *j, __u64 want, __u64 got, const char *why,
	 const char *what, ...)
{
	va_list args;

	if (j->v->bad)
		return;
	j->v->bad = true;
	j->v->want = want;
	j->v->got = got;
	va_start(args, what);
	vsnprintf(j->v->what, sizeof(j->v->what), what, args);
	va_end(args);
	snprintf(j->v->why, sizeof(j->v->why), "%s", why);
}

void same(struct judge *j, __u64 want, __u64 got, const char *what)
{
	if (want != got)
		bad(j, want, got, "", "%s", what);
}

void fails_within(struct judge *j, bool condition, int error, __u64 at,
		  __u64 to)
{
	if (condition)
		j->errors[j->nr++] = (struct error){ error, true, at, to };
}

void fails_at(struct judge *j, bool condition, int error, __u64 at)
{
	fails_within(j, condition, error, at, at);
}

void fails_if(struct judge *j, bool condition, int error)
{
	if (condition)
		j->errors[j->nr++] = (struct error){ .error = error };
}

void perhaps(struct judge *j, int error)
{
	j->perhaps[j->nr_perhaps++] = error;
}

bool may_perhaps(const struct judge *j, int error)
{
	int i;

	for (i = 0; i < j->nr_perhaps; i++)
		if (j->perhaps[i] == error)
			return true;
	return false;
}

/* Whether the command may have failed with this error. */
static bool may_fail(const struct judge *j, int error)
{
	int i;

	for (i = 0; i < j->nr; i++)
		if (j->errors[i].error == error)
			return true;
	return may_perhaps(j, error);
}

void common(struct judge *j, __u32 flags, __u32 known, enum writes writes)
{
	fails_if(j, flags & ~known, EOPNOTSUPP);
	switch (j->op->size) {
	case SIZE_ZERO:
		fails_if(j, true, EINVAL);
		break;
	case SIZE_SHORT:
		/* the first release had a shorter structure */
		fails_if(j, j->op->type != OP_INFO && j->op->type != OP_LIST &&
			 j->op->type != OP_DEVICE_INFO &&
			 j->op->type != OP_REHOME &&
			 j->op->type != OP_UNMAP, EINVAL);
		break;
	case SIZE_DIRTY:
	case SIZE_BEYOND:
	case SIZE_ALL_ONES:
		fails_if(j, true, E2BIG);
		break;
	case SIZE_NOWHERE:
	case SIZE_CROSSING:
		fails_if(j, true, EFAULT);
		break;
	case SIZE_READONLY:
		fails_if(j, writes == WRITES, EFAULT);
		if (writes == WRITES_PERHAPS)
			perhaps(j, EFAULT);
		break;
	}
}

bool succeeded(struct judge *j)
{
	const int rc = j->r->rc;
	char why[160] = "";
	int i, n = 0;

	if (rc >= 0 && !j->nr)
		return true;
	if (rc < 0 && may_fail(j, -rc))
		return false;
	for (i = 0; i < j->nr && n < (int)sizeof(why); i++)
		n += snprintf(why + n, sizeof(why) - n, " -%d",
			      j->errors[i].error);
	bad(j, j->nr ? -j->errors[0].error : 0, rc, why, "rc");
	return false;
}

/* A command on chaos may fail only because of a race. */
static void judge_chaos(struct judge *j)
{
	static const int races[] = {
		0, ENOENT, EEXIST, ECANCELED, EINVAL, ENXIO,
	};
	size_t i;

	for (i = 0; i < sizeof(races) / sizeof(*races); i++)
		if (j->r->rc == -races[i])
			return;
	bad(j, 0, j->r->rc, "not the error of a race", "rc");
}

/* The runner has compared. */
static void judge_chaos_check(struct judge *j)
{
	if (j->r->rc)
		bad(j, 0, j->r->rc, j->r->text, "rc");
}

static void (*const fuzz_judges[OP_NR])(struct judge *j) = {
	[OP_CHECK] = judge_check,
	[OP_ALLOC] = judge_alloc,
	[OP_FREE] = judge_free,
	[OP_INFO] = judge_info,
	[OP_MAP] = judge_map,
	[OP_UNMAP] = judge_unmap,
	[OP_LIST] = judge_list,
	[OP_OPTION] = judge_option,
	[OP_BATCH] = judge_batch,
	[OP_URING] = judge_batch,
	[OP_QUERY] = judge_query,
	[OP_PROTECT] = judge_map,
	[OP_REPLACE] = judge_map,
	[OP_EXPORT] = judge_export,
	[OP_IMPORT] = judge_import,
	[OP_BIND_TABLE] = judge_bind_table,
	[OP_UNBIND_TABLE] = judge_unbind_table,
	[OP_BIND_PASIDS] = judge_bind_table,
	[OP_UNBIND_PASIDS] = judge_unbind_table,
	[OP_INVALIDATE] = judge_invalidate,
	[OP_QUEUE] = judge_queue,
	[OP_FREE_QUEUE] = judge_free_queue,
	[OP_SET_DIRTY] = judge_set_dirty,
	[OP_GET_DIRTY] = judge_get_dirty,
	[OP_REHOME] = judge_rehome,
	[OP_DEVICE_INFO] = judge_device_info,
	[OP_EVENTS] = judge_events,
	[OP_UNKNOWN] = judge_unknown,
	[OP_BIND] = judge_bind,
	[OP_GET_ID] = judge_get_id,
	[OP_ATTACH] = judge_attach,
	[OP_DETACH] = judge_detach,
	[OP_REOPEN] = judge_reopen,
	[OP_DMA_READ] = judge_dma_read,
	[OP_DMA_WRITE] = judge_dma_write,
	[OP_ENTRY] = judge_entry,
	[OP_STATE] = judge_state,
	[OP_CHAOS] = judge_chaos,
	[OP_CHAOS_CHECK] = judge_chaos_check,
};

void model_judge(struct fuzz_model *m, const struct fuzz_op *op,
		 const struct fuzz_result *r, struct fuzz_verdict *v)
{
	struct judge j = { .m = m, .op = op, .r = r, .v = v };

	v->bad = false;
	fuzz_judges[op->type](&j);
}

void model_init(struct fuzz_model *m, const struct fuzz_setting *setting,
		const struct fuzz_machine *machine)
{
	int i, pasid;

	memset(m, 0, sizeof(*m));
	m->machine = *machine;
	m->plant = setting->plant;
	m->physical = setting->physical;
	m->rlimit = setting->rlimit;
	fuzz_tables((char *)m->tables);
	m->option[LIMIT_PINNED] = ALL_ONES;
	m->option[LIMIT_IOASIDS] = ALL_ONES;
	m->option[LIMIT_PASIDS] = ALL_ONES;
	m->option[LIMIT_MAPPINGS] = ALL_ONES;
	for (i = 0; i < FUZZ_DEVICES; i++)
		for (pasid = 0; pasid <= FUZZ_PASIDS; pasid++)
			m->devices[i].routes[pasid] = -1;
}

void model_free(struct fuzz_model *m)
{
	int i;

	for (i = 0; i < FUZZ_SPACES; i++)
		free(m->spaces[i].maps);
}
