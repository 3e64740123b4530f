// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints.  Linked first, below all their users.
 */
#define CREATE_TRACE_POINTS
#include <trace/events/ioasid.h>
