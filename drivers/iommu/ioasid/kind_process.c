// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind PROCESS: an IOASID that mirrors the memory of the process that made it.
 *
 * Invariants:
 *  - It is an address space without mappings.  Its domains are filled as devices
 *    request pages: ioas/process.c.
 *  - Only devices attach whose page requests the kernel can answer.
 *
 * Locks: none of its own.
 */
#include <uapi/linux/ioasid.h>

#include "kind_ioas.h"

/* ---- Life ---- */

static int process_check(const struct ioasid_alloc *cmd)
{
	if (cmd->flags || cmd->fault_queue || cmd->snoop > IOASID_SNOOP_ON)
		return -EOPNOTSUPP;
	return cmd->parent || cmd->format || cmd->cut_size ? -EINVAL : 0;
}

static int process_init(struct ioasid *ioasid,
			const struct ioasid_params *params,
			struct ioasid_account *account,
			const struct ioasid_parent *parent)
{
	int ret = ioasid_map_init(ioasid, params, account, parent);

	return ret ?: ioas_process_init(ioasid_map_ioas(ioasid));
}

static struct ioasid_object *process_exit(struct ioasid *ioasid)
{
	ioas_process_exit(ioasid_map_ioas(ioasid));
	return ioasid_map_exit(ioasid);
}

/*
 * No other context can refer to it: the last reference frees it.  That is the one that goes
 * next, unless a domain has just failed: its groups are blocked then by a work, see
 * ioasid_ioas_get().
 */
static void process_end(struct ioasid *ioasid)
{
}

/* ---- Attachments ---- */

static int process_attach(struct ioasid *ioasid,
			  struct ioasid_attachment *attachment, u64 *fault_addr)
{
	/* The table of a device that translates by itself is written ahead */
	if (attachment->domain.by || !attachment->domain.dev)
		return -EOPNOTSUPP;
	return ioasid_map_attach(ioasid, attachment, fault_addr);
}

static struct ioas_fault_queue *process_fault_queue(const struct ioasid *ioasid)
{
	return ioas_process_queue(&container_of(ioasid, struct ioasid_map,
						ioasid)->ioas);
}

/* ---- Look ---- */

static void process_stats(struct ioasid *ioasid, struct ioas_stats *stats)
{
	struct ioas *ioas = ioasid_map_ioas(ioasid);

	ioasid_map_stats(ioasid, stats);
	ioas_process_stats(ioas, stats);
}

const struct ioasid_kind_ops ioasid_kind_process = {
	.name = "process",
	.size = sizeof(struct ioasid_map),
	.check = process_check,
	.init = process_init,
	.exit = process_exit,
	.kill = ioasid_map_kill,
	.free = ioasid_map_free,
	.end = process_end,
	.attach = process_attach,
	IOASID_MAP_ATTACH_OPS,
	.fault_queue = process_fault_queue,
	.stats = process_stats,
	.info = ioasid_map_info,
};
