/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory with a first access that waits for as long as a test wants.
 */
#ifndef __SELFTESTS_IOASID_UFFD_H
#define __SELFTESTS_IOASID_UFFD_H

#include <linux/userfaultfd.h>
#include <poll.h>

#include "ioasid_util.h"

int open_userfaultfd(void);
int hold_faults(int uffd, void *addr, unsigned long length);

/* Wait until a fault waits. */
bool fault_waits(int uffd);

int release_faults(int uffd, void *addr, unsigned long length);

#endif /* __SELFTESTS_IOASID_UFFD_H */
