/* SPDX-License-Identifier: LGPL-2.1-only OR MIT */
/*
 * Access to a PCI device through its VFIO device file: configuration space,
 * BARs, interrupts, reset.  The API of the device's address space (/dev/ioasid,
 * /dev/iommu, a VFIO container) does not matter here.
 *
 * Every call returns 0 or -errno, unless its comment says otherwise.
 */
#ifndef VFIO_PCI_H
#define VFIO_PCI_H

#include <linux/types.h>
#include <linux/vfio.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vfio_pci_read_config - read configuration space
 * @fd: the device
 * @offset: in configuration space
 * @buf: where to
 * @len: bytes
 */
int vfio_pci_read_config(int fd, unsigned int offset, void *buf,
			 unsigned int len);

/**
 * vfio_pci_write_config - write configuration space
 * @fd: the device
 * @offset: in configuration space
 * @buf: where from
 * @len: bytes
 */
int vfio_pci_write_config(int fd, unsigned int offset, const void *buf,
			  unsigned int len);

/**
 * vfio_pci_enable - let the device decode its memory, and do DMA
 * @fd: the device
 */
int vfio_pci_enable(int fd);

/**
 * vfio_pci_disable - stop DMA and interrupts of the device
 * @fd: the device
 *
 * Its memory can still be accessed.
 */
int vfio_pci_disable(int fd);

/**
 * vfio_pci_map_bar - map a BAR into the process
 * @fd: the device
 * @bar: 0 to 5
 * @map: out, where it is; to be unmapped by munmap()
 * @size: out, bytes
 *
 * Errors: -ENODEV, there is no such BAR; -EOPNOTSUPP, it cannot be mapped.
 */
int vfio_pci_map_bar(int fd, unsigned int bar, void **map, __u64 *size);

/**
 * vfio_pci_nr_irqs - get the number of interrupts of a type
 * @fd: the device
 * @index: VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, ...
 *
 * Return: the number, or -errno.
 */
int vfio_pci_nr_irqs(int fd, unsigned int index);

/**
 * vfio_pci_enable_irqs - signal eventfds at interrupts
 * @fd: the device
 * @index: VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, ...
 * @eventfds: one for each vector from 0 on, -1 for none
 * @nr: how many, at most 256
 *
 * Replaces the eventfds that were set before.
 */
int vfio_pci_enable_irqs(int fd, unsigned int index, const int *eventfds,
			 unsigned int nr);

/**
 * vfio_pci_disable_irqs - disable all interrupts of a type
 * @fd: the device
 * @index: VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, ...
 */
int vfio_pci_disable_irqs(int fd, unsigned int index);

/**
 * vfio_pci_reset - reset the device
 * @fd: the device
 *
 * Afterwards it must be enabled anew.
 */
int vfio_pci_reset(int fd);

#ifdef __cplusplus
}
#endif

#endif /* VFIO_PCI_H */
