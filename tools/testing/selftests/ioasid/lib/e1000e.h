/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An Intel 82574 (QEMU's "e1000e") as an engine that copies memory: it receives
 * the packets that it sends, by MAC loopback. No network is needed.
 */
#ifndef __SELFTESTS_IOASID_E1000E_H
#define __SELFTESTS_IOASID_E1000E_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "vfio_pci.h"

#define E1000E_MEM 0x2000

struct e1000e {
	int fd;
	void *regs;
	__u64 size;
	struct e1000e_tx *tx;
	struct e1000e_rx *rx;
	uint64_t iova;
	unsigned int next;
};

/* Reset it, and set up the rings in the E1000E_MEM bytes from its open. */
int e1000e_reset(struct e1000e *nic);

void e1000e_close(struct e1000e *nic);

/*
 * Tell the device that the E1000E_MEM bytes @mem, for its rings, are at @iova.
 */
int e1000e_open(struct e1000e *nic, int fd, void *mem, uint64_t iova);

/*
 * Copy at most 2048 bytes: send the packet at @src, receive it at @dst.
 * Positive if the device sent, but received nothing; -EIO if it does nothing.
 */
int e1000e_copy(struct e1000e *nic, uint64_t dst, uint64_t src,
		unsigned int length);

#endif /* __SELFTESTS_IOASID_E1000E_H */
