/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers of PASIDs of the machine, for devices that share them with other users.
 */
#ifndef _IOASID_NUMBER_H
#define _IOASID_NUMBER_H

#include "attachment.h"

struct ioasid_ctx;

bool ioasid_numbers_count(struct ioasid_ctx *ctx);
void ioasid_numbers_uncount(struct ioasid_ctx *ctx);
int ioasid_number_get(struct ioasid_attachment *attachment);
void ioasid_number_put(struct ioasid_attachment *attachment);
void ioasid_number_move(struct ioasid_attachment *from,
			struct ioasid_attachment *to);
u32 ioasid_numbers_used(void);
u32 ioasid_numbers_limit(void);
u32 ioasid_numbers_left(void);
void ioasid_numbers_init(struct ioasid_ctx *ctx);
void ioasid_numbers_exit(struct ioasid_ctx *ctx);

#endif /* _IOASID_NUMBER_H */
