/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages were written, in a bitmap of user space.  See dirty.c. */
#ifndef _IOASID_DIRTY_H
#define _IOASID_DIRTY_H

#include "ioas/ioas.h"

struct ioasid;

/**
 * struct ioasid_user_dirty - a request, and the bitmap of the caller
 * @req: the request
 * @bitmap: the bitmap
 */
struct ioasid_user_dirty {
	struct ioas_dirty_request req;
	u64 __user *bitmap;
};

int ioasid_user_dirty_init(struct ioasid_user_dirty *to, u64 iova, u64 length,
			   u64 page_size, u64 bitmap);
int ioasid_dirty_unmap(struct ioasid *ioasid, struct ioasid_user_dirty *to,
		       struct ioas_unmap_request *req);

#endif /* _IOASID_DIRTY_H */
