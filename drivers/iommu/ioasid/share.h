/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sharing memory with other contexts: the commands, and what they show.
 */
#ifndef _IOASID_SHARE_H
#define _IOASID_SHARE_H

#include "context.h"

struct seq_file;

int ioasid_share_export(struct ioasid_ctx *ctx,
			const struct ioasid_export *cmd,
			struct ioasid_export __user *out);
int ioasid_share_import(struct ioasid_ctx *ctx,
			const struct ioasid_import *cmd,
			struct ioasid_import __user *out);
int ioasid_share_info(struct ioasid_ctx *ctx, const struct ioasid_info *cmd,
		      struct ioasid_info __user *out);
void ioasid_share_show(struct seq_file *m, struct ioasid_proxy *proxy);

#endif /* _IOASID_SHARE_H */
