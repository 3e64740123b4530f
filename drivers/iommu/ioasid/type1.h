/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The commands of VFIO's type1.
 */
#ifndef _IOASID_TYPE1_H
#define _IOASID_TYPE1_H

#include "ioasids.h"

int ioasid_type1_errno(int ret);
long ioasid_type1_ioctl(struct ioasid *ioasid, u32 type, unsigned int nr,
			void __user *user);

#endif /* _IOASID_TYPE1_H */
