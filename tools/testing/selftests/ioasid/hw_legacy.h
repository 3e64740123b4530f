/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What hw_legacy compares with: hw_legacy.txt, within the program, as it runs
 * where there are no files.
 */
#ifndef __SELFTESTS_IOASID_HW_LEGACY_H
#define __SELFTESTS_IOASID_HW_LEGACY_H

asm(".section .rodata\nrecorded: .incbin \"hw_legacy.txt\"\n.byte 0\n.previous");
extern const char recorded[];

#endif /* __SELFTESTS_IOASID_HW_LEGACY_H */
