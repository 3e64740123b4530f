// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints, below all that uses them.
 */
#define CREATE_TRACE_POINTS
#include <trace/events/ioasid.h>
