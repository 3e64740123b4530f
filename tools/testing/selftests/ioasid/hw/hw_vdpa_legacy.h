/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The expected results of hw_vdpa_legacy: hw_vdpa_legacy.txt, built into the program,
 * because a VM has no files.
 */
#ifndef __SELFTESTS_IOASID_HW_VDPA_LEGACY_H
#define __SELFTESTS_IOASID_HW_VDPA_LEGACY_H

asm(".section .rodata\nrecorded: .incbin \"hw_vdpa_legacy.txt\"\n.byte 0\n.previous");
extern const char recorded[];

#endif /* __SELFTESTS_IOASID_HW_VDPA_LEGACY_H */
