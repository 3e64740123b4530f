/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Families of IOASIDs for tests: children, exports and imports, and the memory
 * that a model device sees through them.
 *
 * Page n of the memory that family_memory() makes holds bytes of the value n +
 * 1, modulo 256.
 */
#ifndef __SELFTESTS_IOASID_FAMILY_H
#define __SELFTESTS_IOASID_FAMILY_H

#include "model.h"

int ia_child(int fd, __u32 parent, __u64 cut_size, __u32 *id);
int ia_free_cascade(int fd, __u32 id);
int ia_unmap_cascade(int fd, __u32 id, __u64 iova, __u64 length);

/* Address of the failure, or 0. */
extern __thread __u64 fault;

/* Map at a fixed address; @addr is one of the parent. */
int ia_map_ref(int fd, __u32 id, __u64 iova, __u64 addr, __u64 length,
	       __u32 permission);

struct ioasid_info info_of(int fd, __u32 id);
char *family_memory(int pages);

/*
 * Begin of a FIXTURE_SETUP(): open the model, and make memory. The fixture has
 * @model, @fd and @mem. @statement: see SKIP().
 */
#define FAMILY_OPEN(statement, pages)					\
do {									\
	int __rc = model_open(&self->model, MODEL_IOASID);		\
									\
	if (__rc == -ENOENT)						\
		SKIP(statement, IA_ABSENT);				\
	ASSERT_EQ(0, __rc);						\
	self->fd = self->model.ctx;					\
	self->mem = family_memory(pages);				\
	ASSERT_NE(NULL, self->mem);					\
} while (0)

/*
 * FIXTURE_SETUP() with a root, a child of it, and a device for the child: the
 * fixture also has @root, @child, @dev and @at, which is the child's space.
 */
#define FAMILY_SETUP(statement, pages)					\
do {									\
	FAMILY_OPEN(statement, pages);					\
	ASSERT_EQ(0, ia_alloc(self->fd, &self->root));			\
	ASSERT_EQ(0, ia_child(self->fd, self->root, 0, &self->child));	\
	ASSERT_EQ(0, model_plug(&self->model, &self->dev, NULL, 0));	\
	self->at = (struct model_space) {				\
		.model = &self->model, .id = self->child, .container = -1, \
	};								\
} while (0)

#define FAMILY_TEARDOWN()						\
do {									\
	if (self->fd > 0) {						\
		MODEL_REMOVE(&self->dev);				\
		model_close(&self->model);				\
	}								\
} while (0)

/* Where a root with a child has the memory, see family_space(). */
#define FAMILY_ROOT_BASE SZ_1G

/*
 * Make a root, and the space that a test uses: the root, or a child of it, which
 * has the @pages pages at @mem then.
 */
int family_space(struct model *model, bool child, char *mem, int pages,
		 __u32 *root, struct model_space *space);

/* What maps a page of the memory in such a space: an address of it, or of the root. */
__u64 family_addr(__u32 root, const struct model_space *space, char *mem,
		  int page);

/* Whether the device reads the page of this number. */
bool reads(struct model_device *dev, __u64 iova, int number);

bool faults(struct model_device *dev, __u64 iova);
int ia_export(int fd, __u32 id, __u32 flags, __u64 iova, __u64 length,
	      __u64 max_mappings, int *export);
int ia_import(int fd, int export, __u64 cookie, __u32 *id);

#define EXPORT_RW (IOASID_EXPORT_READ | IOASID_EXPORT_WRITE)

#endif /* __SELFTESTS_IOASID_FAMILY_H */
