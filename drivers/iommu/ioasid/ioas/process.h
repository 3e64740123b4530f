/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory of a process, in the domains of an address space.
 */
#ifndef _IOASID_IOAS_PROCESS_H
#define _IOASID_IOAS_PROCESS_H

#include <linux/errno.h>

#include "types.h"

struct ioas_domain;

#ifdef CONFIG_HMM_MIRROR
int ioas_process_join(struct ioas *ioas, struct ioas_domain *dom);
void ioas_process_leave(struct ioas *ioas, struct ioas_domain *dom);
#else
static inline int ioas_process_join(struct ioas *ioas, struct ioas_domain *dom)
{
	return -EOPNOTSUPP;
}

static inline void ioas_process_leave(struct ioas *ioas,
				      struct ioas_domain *dom)
{
}
#endif

#endif /* _IOASID_IOAS_PROCESS_H */
