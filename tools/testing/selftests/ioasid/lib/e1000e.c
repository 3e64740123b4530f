// SPDX-License-Identifier: GPL-2.0-only
#include "e1000e.h"

#define E1000E_CTRL 0x0000
#define E1000E_CTRL_SLU 0x00000040
#define E1000E_CTRL_RST 0x04000000
#define E1000E_IMC 0x00d8
#define E1000E_RCTL 0x0100
#define E1000E_RCTL_EN 0x00000002
#define E1000E_RCTL_UPE 0x00000008
#define E1000E_RCTL_MPE 0x00000010
#define E1000E_RCTL_LPE 0x00000020
#define E1000E_RCTL_LBM_MAC 0x00000040
#define E1000E_RCTL_SECRC 0x04000000
#define E1000E_TCTL 0x0400
#define E1000E_TCTL_EN 0x00000002
#define E1000E_TCTL_PSP 0x00000008
#define E1000E_RX 0x2800
#define E1000E_TX 0x3800
/* from E1000E_RX or E1000E_TX */
#define E1000E_BAL 0x00
#define E1000E_BAH 0x04
#define E1000E_LEN 0x08
#define E1000E_HEAD 0x10
#define E1000E_TAIL 0x18

#define E1000E_TX_EOP 0x01
#define E1000E_TX_IFCS 0x02
#define E1000E_TX_RS 0x08
#define E1000E_DONE 0x01

#define E1000E_RING 8

struct e1000e_tx {
	uint64_t addr;
	uint16_t length;
	uint8_t cso;
	uint8_t cmd;
	uint8_t status;
	uint8_t css;
	uint16_t special;
};

struct e1000e_rx {
	uint64_t addr;
	uint16_t length;
	uint16_t csum;
	uint8_t status;
	uint8_t errors;
	uint16_t special;
};

static void e1000e_write(struct e1000e *nic, unsigned int reg, uint32_t value)
{
	__atomic_store_n((uint32_t *)(nic->regs + reg), value,
			 __ATOMIC_RELEASE);
}

static uint32_t e1000e_read(struct e1000e *nic, unsigned int reg)
{
	return __atomic_load_n((uint32_t *)(nic->regs + reg), __ATOMIC_ACQUIRE);
}

static void e1000e_set_ring(struct e1000e *nic, unsigned int ring,
			    uint64_t iova)
{
	e1000e_write(nic, ring + E1000E_BAL, iova);
	e1000e_write(nic, ring + E1000E_BAH, iova >> 32);
	e1000e_write(nic, ring + E1000E_LEN, E1000E_RING * 16);
	e1000e_write(nic, ring + E1000E_HEAD, 0);
	e1000e_write(nic, ring + E1000E_TAIL, 0);
}

int e1000e_reset(struct e1000e *nic)
{
	int i;

	e1000e_write(nic, E1000E_IMC, ~0u);
	e1000e_write(nic, E1000E_CTRL, E1000E_CTRL_RST);
	for (i = 0; e1000e_read(nic, E1000E_CTRL) & E1000E_CTRL_RST; i++) {
		if (i == 1000)
			return -ETIMEDOUT;
		usleep(1000);
	}
	e1000e_write(nic, E1000E_IMC, ~0u);
	e1000e_write(nic, E1000E_CTRL, E1000E_CTRL_SLU);
	nic->next = 0;
	e1000e_set_ring(nic, E1000E_TX, nic->iova);
	e1000e_set_ring(nic, E1000E_RX, nic->iova + E1000E_MEM / 2);
	e1000e_write(nic, E1000E_RCTL, E1000E_RCTL_EN | E1000E_RCTL_UPE |
		     E1000E_RCTL_MPE | E1000E_RCTL_LPE | E1000E_RCTL_LBM_MAC |
		     E1000E_RCTL_SECRC);
	e1000e_write(nic, E1000E_TCTL, E1000E_TCTL_EN | E1000E_TCTL_PSP);
	return 0;
}

void e1000e_close(struct e1000e *nic)
{
	if (nic->regs) {
		e1000e_write(nic, E1000E_CTRL, E1000E_CTRL_RST);
		munmap(nic->regs, nic->size);
	}
	nic->regs = NULL;
}

int e1000e_open(struct e1000e *nic, int fd, void *mem, uint64_t iova)
{
	int rc;

	nic->fd = fd;
	nic->tx = mem;
	nic->rx = mem + E1000E_MEM / 2;
	nic->iova = iova;
	rc = vfio_pci_map_bar(fd, 0, &nic->regs, &nic->size);
	if (rc) {
		nic->regs = NULL;
		return rc;
	}
	rc = vfio_pci_enable(fd);
	if (!rc)
		rc = e1000e_reset(nic);
	if (rc)
		e1000e_close(nic);
	return rc;
}

int e1000e_copy(struct e1000e *nic, uint64_t dst, uint64_t src,
		unsigned int length)
{
	unsigned int i = nic->next, next = (i + 1) % E1000E_RING;
	int wait;

	memset(&nic->rx[i], 0, sizeof(nic->rx[i]));
	nic->rx[i].addr = dst;
	memset(&nic->tx[i], 0, sizeof(nic->tx[i]));
	nic->tx[i].addr = src;
	nic->tx[i].length = length;
	nic->tx[i].cmd = E1000E_TX_EOP | E1000E_TX_IFCS | E1000E_TX_RS;
	e1000e_write(nic, E1000E_RX + E1000E_TAIL, next);
	e1000e_write(nic, E1000E_TX + E1000E_TAIL, next);
	nic->next = next;
	for (wait = 0; wait < 50; wait++) {
		if (__atomic_load_n(&nic->rx[i].status, __ATOMIC_ACQUIRE) &
		    E1000E_DONE)
			return nic->rx[i].errors;
		usleep(1000);
	}
	if (__atomic_load_n(&nic->tx[i].status, __ATOMIC_ACQUIRE) & E1000E_DONE)
		return 0x100;
	return -EIO;
}
