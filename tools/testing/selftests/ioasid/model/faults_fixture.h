/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of tests of faults: a queue, and an IOASID that tells its faults there,
 * to which devices attach by requester id or by PASID.
 */
#ifndef __SELFTESTS_IOASID_MODEL_FAULTS_H
#define __SELFTESTS_IOASID_MODEL_FAULTS_H

#include "ioasid_test.h"
#include "family.h"
#include "faults.h"
#include "nested.h"
#include "pasid.h"

#define DEPTH 64

/* The page of the memory that has the table by PASID */
#define PASID_PAGE (PAGES - 1)

/* Pages of the device that a test may ask for: VA(DATA) and the following ones */
#define NR_DATA (PASID_PAGE - DATA)

#define REQUESTS (MODEL_PRI | MODEL_ATS)
#define FAULTS_PARAMS							\
	{								\
		.flags = REQUESTS | MODEL_NESTING |			\
			 MODEL_USER_PASID_TABLE,			\
		.pasid_bits = 8,					\
	}

/*
 * The ways to attach: what the IOASID is, and the PASID of DMA.  An attach is by
 * PASID, unless the IOASID is a table that has all PASIDs.
 */
struct fault_way {
	__u32 kind;
	__u32 pasid;
};

static const struct fault_way map_by_rid = { IOASID_KIND_MAP, 0 };

FIXTURE(faults)
{
	struct model model;
	struct model_device a;
	struct model_device b;
	struct fault_queue queue;
	struct fault_way way;
	__u32 root;
	__u32 id;
	int fd;
	char *mem;
	/* requests that were not the last of their group */
	__u64 parts;
	struct ioasid_fault record[FAULTS_MAX];
};

static inline __u32 fault_flags(const struct fault_way *way)
{
	if (way->kind == IOASID_KIND_PASID_TABLE)
		return IOASID_FAULT_BY_PASID | IOASID_FAULT_TABLE;
	return way->pasid ? IOASID_FAULT_BY_PASID : 0;
}

/* Another IOASID of the same kind; with @queue NULL it tells nothing */
static inline int make_ioasid(struct _test_data_faults *self,
			      const struct fault_queue *queue, __u32 *id)
{
	struct model_pasid_table table = {
		.table = GPA(PASID_PAGE), .pasid_bits = 4,
	};
	__u64 word = GPA(TABLE_A) | MODEL_PASID_VALID |
		     3 << MODEL_PASID_LEVELS_SHIFT;
	int rc;

	switch (self->way.kind) {
	case IOASID_KIND_MAP:
		return fault_alloc(self->fd, 0, IOASID_KIND_MAP, 0, 0, queue, id);
	case IOASID_KIND_PGTABLE:
		rc = fault_alloc(self->fd, 0, IOASID_KIND_PGTABLE, self->root,
				 MODEL_HWPT_DATA_S1, queue, id);
		return rc ?: bind_table(self->fd, *id, 0, TABLE_A);
	default:
		((__u64 *)(self->mem + PASID_PAGE * PG))[2 * self->way.pasid] =
			word;
		rc = fault_alloc(self->fd, 0, IOASID_KIND_PASID_TABLE,
				 self->root, MODEL_HWPT_DATA_PASID_TABLE, queue,
				 id);
		return rc ?: bind_pasids(self->fd, *id, 0, &table, sizeof(table));
	}
}

/* Another queue, and an IOASID for it */
static inline int another(struct _test_data_faults *self, __u32 depth,
			  struct fault_queue *queue, __u32 *id)
{
	int rc = fault_queue_open(self->fd, depth, queue);

	return rc ?: make_ioasid(self, queue, id);
}

/* Make the page of the device present, as program or guest would */
static inline int make_present(struct _test_data_faults *self, __u32 id, int page)
{
	if (self->way.kind == IOASID_KIND_MAP)
		return ia_map(self->fd, id, VA(page), self->mem + page * PG, PG);
	s1_map(self->mem, TABLE_A, page, page);
	return 0;
}

static inline int attach_to(struct _test_data_faults *self,
			    struct model_device *dev, __u32 id)
{
	int rc = model_bind(dev);

	if (rc)
		return rc;
	if (self->way.pasid && self->way.kind != IOASID_KIND_PASID_TABLE)
		return pasid_attach(dev, id, self->way.pasid);
	return hw_attach(dev->fd, id);
}

static inline int request(struct _test_data_faults *self,
			  struct model_device *dev, __u32 group, int page,
			  unsigned int nr)
{
	self->parts += nr - 1;
	return fault_request(dev, self->way.pasid, group, VA(page), nr);
}

static inline int detach(struct _test_data_faults *self, struct model_device *dev)
{
	if (self->way.pasid && self->way.kind != IOASID_KIND_PASID_TABLE)
		return pasid_detach(dev, self->way.pasid);
	return hw_detach(dev->fd, 0);
}

static inline void set_up_faults(struct __test_metadata *_metadata,
				 struct _test_data_faults *self,
				 const struct fault_way *way)
{
	struct model_params params = FAULTS_PARAMS;
	int i;

	self->way = *way;
	ASSERT_EQ(0, nested_parent(self->fd, &self->root));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, ia_map(self->fd, self->root, GPA(i),
				    self->mem + i * PG, PG));
	s1_init(self->mem, TABLE_A);
	memset(self->mem + PASID_PAGE * PG, 0, PG);
	ASSERT_EQ(0, fault_queue_open(self->fd, DEPTH, &self->queue));
	ASSERT_EQ(0, make_ioasid(self, &self->queue, &self->id));
	ASSERT_EQ(0, model_plug(&self->model, &self->a, &params, 0));
	ASSERT_EQ(0, model_plug(&self->model, &self->b, &params, 0));
}

/* What the kernel lacks, or NULL */
static inline const char *faults_lack(int fd)
{
	if (ia_check(fd, IOASID_EXT_FAULT_QUEUE) <= 0)
		return "no fault queues";
	if (ia_check(fd, IOASID_EXT_PGTABLE) <= 0)
		return "the kernel lacks a patch to the IOMMU core";
	return NULL;
}

/* No group of requests is without an answer, whatever a test did */
static inline void tear_down_faults(struct __test_metadata *_metadata,
				    struct _test_data_faults *self)
{
	const char *unanswered;

	if (self->a.model)
		model_release(&self->a);
	if (self->b.model) {
		model_release(&self->b);
		unanswered = fault_unanswered(&self->b, self->parts);
		EXPECT_EQ(NULL, unanswered) TH_LOG("%s", unanswered);
		MODEL_REMOVE(&self->b);
	}
	if (self->a.model)
		MODEL_REMOVE(&self->a);
	if (self->queue.fd > 0)
		close(self->queue.fd);
	model_close(&self->model);
}

#define ATTACH(dev) ASSERT_EQ(0, attach_to(self, dev, self->id))
#define REQUEST(dev, group, page, nr)					\
	ASSERT_EQ(0, request(self, dev, group, page, nr))
#define TAKE(nr)							\
do {									\
	unsigned int _nr = nr;						\
									\
	ASSERT_EQ(_nr, fault_take(self->queue.fd, self->record, _nr));	\
} while (0)
#define SILENT(queue)							\
	EXPECT_EQ(-EAGAIN, fault_read((queue)->fd, self->record, FAULTS_MAX))
#define ANSWER(id, code)						\
	fault_answer(self->queue.fd, id, IOASID_FAULT_##code)
#define RESPONDED(dev, code, nr)					\
	EXPECT_TRUE(fault_responded(dev, IOASID_MODEL_##code, nr))

#endif /* __SELFTESTS_IOASID_MODEL_FAULTS_H */
