/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands of io_uring. */
#ifndef _IOASID_URING_H
#define _IOASID_URING_H

struct io_uring_cmd;

#ifdef CONFIG_IO_URING
int ioasid_fops_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
#else
#define ioasid_fops_uring_cmd	NULL
#endif

#endif /* _IOASID_URING_H */
