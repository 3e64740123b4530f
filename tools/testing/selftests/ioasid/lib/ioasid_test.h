/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The harness, for a program that has tests. The library does not include it:
 * each file that does has a main() and a list of tests of its own.
 */
#ifndef __SELFTESTS_IOASID_TEST_H
#define __SELFTESTS_IOASID_TEST_H

#include "kselftest_harness.h"

#include "ioasid_util.h"

/* The debug kernel in an emulated machine is slow. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 240

#endif /* __SELFTESTS_IOASID_TEST_H */
