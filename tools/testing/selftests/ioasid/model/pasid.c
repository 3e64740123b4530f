// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attachments by PASID, of a model IOMMU: DMA with a PASID reaches the IOASID of
 * that attachment and no other, at all times.
 *
 * Page n of the memory is mapped at BASE to the nth space: a device that reads
 * there tells which space its DMA went to.
 */
#include <pthread.h>

#include "ioasid_test.h"
#include "family.h"
#include "fault.h"
#include "pasid.h"
#include "state.h"

#define PG page_size
#define BASE (4ULL * SZ_1G)
#define RESV (8 * BASE)
#define PAGES 8
#define SPACES 3
#define BITS 10
#define LAST ((1U << BITS) - 1)

#define GOES_TO(dev, pasid, space)					\
	EXPECT_EQ(space, pasid_page_at(&self->dev, pasid, BASE))
#define BLOCKED(dev, pasid)						\
	EXPECT_EQ(-MODEL_FAULT_PASID, pasid_page_at(&self->dev, pasid, BASE))

FIXTURE(pasid)
{
	struct model model;
	struct model_device a;
	struct model_device b;
	struct model_device plain;
	struct model_space space[SPACES];
	int fd;
	char *mem;
	__u32 root;
	bool hitless;
};

FIXTURE_VARIANT(pasid)
{
	__u64 flags;
	bool child;
};

FIXTURE_VARIANT_ADD(pasid, replace) { .flags = 0 };
FIXTURE_VARIANT_ADD(pasid, ats_child) { .flags = MODEL_ATS, .child = true };
FIXTURE_VARIANT_ADD(pasid, block) { .flags = MODEL_NO_REPLACE_PASIDS };

FIXTURE_SETUP(pasid)
{
	struct model_params params = {
		.flags = variant->flags | MODEL_EVICT_RANDOM,
		.pasid_bits = BITS,
		.nr_resv = 1,
		.resv = { { .start = RESV, .length = SZ_1M,
			    .type = MODEL_RESV_RESERVED } },
	};
	struct model_space root;
	__u64 addr;
	int i;

	FAMILY_OPEN(return, PAGES);
	if (variant->child) {
		ASSERT_EQ(0, model_space_open(&self->model, &root));
		self->root = root.id;
		ASSERT_EQ(0, ia_map(self->fd, root.id, SZ_1G, self->mem,
				    PAGES * PG));
	}
	for (i = 0; i < SPACES; i++) {
		self->space[i] = (struct model_space){
			.model = &self->model, .container = -1,
		};
		if (variant->child) {
			ASSERT_EQ(0, ia_child(self->fd, self->root, 0,
					      &self->space[i].id));
		} else {
			ASSERT_EQ(0, model_space_open(&self->model,
						      &self->space[i]));
		}
		addr = variant->child ? SZ_1G + i * PG :
					IA_PTR(self->mem + i * PG);
		ASSERT_EQ(0, ia_map_ref(self->fd, self->space[i].id, BASE,
					addr, PG, IA_RW));
	}
	ASSERT_EQ(0, model_plug(&self->model, &self->a, &params, 0));
	ASSERT_EQ(0, model_plug(&self->model, &self->b, &params, 0));
	ASSERT_EQ(0, model_plug(&self->model, &self->plain, NULL, 0));
	ASSERT_EQ(0, model_bind(&self->a));
	ASSERT_EQ(0, model_bind(&self->b));
	self->hitless = !(variant->flags & MODEL_NO_REPLACE_PASIDS) &&
			ia_check(self->fd, IOASID_EXT_PASID_HITLESS);
}

/* Whatever a test left attached ends with the file of the device. */
FIXTURE_TEARDOWN(pasid)
{
	if (!self->plain.model)
		return;
	EXPECT_NO_HARM(&self->a);
	model_release(&self->a);
	model_release(&self->b);
	model_release(&self->plain);
	EXPECT_EQ(0, model_counters(&self->a).attached);
	EXPECT_EQ(0, model_counters(&self->a).domains);
	EXPECT_EQ(0, model_counters(&self->a).stale);
	EXPECT_EQ(0, model_unplug(&self->a, 0));
	EXPECT_EQ(0, model_unplug(&self->b, 0));
	EXPECT_EQ(0, model_unplug(&self->plain, 0));
	model_close(&self->model);
}

static __u32 nr_devices(int fd, __u32 id)
{
	return info_of(fd, id).nr_devices;
}

static struct ioasid_device_info device(int fd, struct model_device *dev)
{
	struct ioasid_device_info info = { .argsz = sizeof(info) };

	if (ia_device_info(fd, dev->devid, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

#define ID(n) (self->space[n].id)

/* RID and PASIDs of two devices at once; none takes the way of another one. */
TEST_F(pasid, routes)
{
	BLOCKED(a, 1);
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 1));
	GOES_TO(a, 1, 0);
	BLOCKED(a, 2);
	BLOCKED(b, 1);
	/* not by requester id, which is blocked */
	EXPECT_EQ(-MODEL_FAULT_BLOCKED, pasid_page_at(&self->a, 0, BASE));

	ASSERT_EQ(0, model_attach(&self->a, &self->space[1]));
	ASSERT_EQ(0, pasid_attach(&self->a, ID(2), LAST));
	/* the same space by two PASIDs, and by another device */
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 7));
	ASSERT_EQ(0, pasid_attach(&self->b, ID(0), 7));
	ASSERT_EQ(0, pasid_attach(&self->b, ID(1), 1));
	GOES_TO(a, 0, 1);
	GOES_TO(a, 1, 0);
	GOES_TO(a, 7, 0);
	GOES_TO(a, LAST, 2);
	GOES_TO(b, 7, 0);
	GOES_TO(b, 1, 1);
	BLOCKED(a, 2);
	BLOCKED(b, LAST);
	EXPECT_EQ(3, nr_devices(self->fd, ID(0)));
	EXPECT_EQ(2, nr_devices(self->fd, ID(1)));
	EXPECT_EQ(3, device(self->fd, &self->a).nr_pasids);
	EXPECT_EQ(LAST - 3, device(self->fd, &self->a).pasids_left);
	EXPECT_EQ(ID(1), device(self->fd, &self->a).ioasid);
	EXPECT_EQ(-EBUSY, ia_free(self->fd, ID(0)));

	/* each ends alone */
	ASSERT_EQ(0, pasid_detach(&self->a, 1));
	BLOCKED(a, 1);
	GOES_TO(a, 0, 1);
	GOES_TO(a, 7, 0);
	GOES_TO(b, 7, 0);
	ASSERT_EQ(0, model_detach(&self->a));
	EXPECT_EQ(-MODEL_FAULT_BLOCKED, pasid_page_at(&self->a, 0, BASE));
	GOES_TO(a, LAST, 2);
	ASSERT_EQ(0, pasid_detach(&self->a, 7));
	ASSERT_EQ(0, pasid_detach(&self->b, 7));
	EXPECT_EQ(0, nr_devices(self->fd, ID(0)));
	EXPECT_EQ(0, ia_free(self->fd, ID(0)));
}

/* What is mapped and unmapped later is so for all PASIDs. */
TEST_F(pasid, map_while_attached)
{
	__u64 addr = variant->child ? SZ_1G + 5 * PG :
				      IA_PTR(self->mem + 5 * PG);
	__u64 n;

	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 3));
	ASSERT_EQ(0, pasid_attach(&self->b, ID(0), 4));
	ASSERT_EQ(0, ia_map_ref(self->fd, ID(0), 2 * BASE, addr, PG, IA_RW));
	EXPECT_EQ(5, pasid_page_at(&self->a, 3, 2 * BASE));
	EXPECT_EQ(5, pasid_page_at(&self->b, 4, 2 * BASE));
	ASSERT_EQ(0, ia_unmap(self->fd, ID(0), 2 * BASE, PG, &n));
	EXPECT_EQ(PG, n);
	EXPECT_EQ(-MODEL_FAULT_ABSENT, pasid_page_at(&self->a, 3, 2 * BASE));
	EXPECT_EQ(-MODEL_FAULT_ABSENT, pasid_page_at(&self->b, 4, 2 * BASE));
	/* permitted ranges are those of the device, as long as any is attached */
	EXPECT_EQ(2, info_of(self->fd, ID(0)).nr_ranges);
	ASSERT_EQ(0, pasid_detach(&self->a, 3));
	EXPECT_EQ(2, info_of(self->fd, ID(0)).nr_ranges);
	ASSERT_EQ(0, pasid_detach(&self->b, 4));
	EXPECT_EQ(1, info_of(self->fd, ID(0)).nr_ranges);
}

/* The child of an import, whose owner revokes it. */
TEST_F(pasid, import)
{
	__u32 import, child;
	int export, owner = variant->child ? self->root : ID(0);
	__u64 base = variant->child ? SZ_1G : BASE;

	ASSERT_EQ(0, ia_export(self->fd, owner, EXPORT_RW, base, PG, 10,
			       &export));
	ASSERT_EQ(0, ia_import(self->fd, export, 1, &import));
	close(export);
	ASSERT_EQ(0, ia_child(self->fd, import, 0, &child));
	ASSERT_EQ(0, ia_map_ref(self->fd, child, BASE, 0, PG, IA_RW));
	ASSERT_EQ(0, pasid_attach(&self->a, child, 9));
	GOES_TO(a, 9, 0);
	ASSERT_EQ(0, ia_unmap_cascade(self->fd, owner, base,
				      variant->child ? PAGES * PG : PG));
	EXPECT_EQ(-MODEL_FAULT_ABSENT, pasid_page_at(&self->a, 9, BASE));
	ASSERT_EQ(0, pasid_detach(&self->a, 9));
	EXPECT_EQ(0, ia_free(self->fd, child));
	EXPECT_EQ(0, ia_free(self->fd, import));
}

TEST_F(pasid, move)
{
	struct model_counters before;

	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 5));
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 6));
	GOES_TO(a, 5, 0);
	before = model_counters(&self->a);
	/* where it is already */
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 5));
	EXPECT_EQ(before.attached, model_counters(&self->a).attached);
	ASSERT_EQ(0, pasid_attach(&self->a, ID(1), 5));
	GOES_TO(a, 5, 1);
	GOES_TO(a, 6, 0);
	EXPECT_EQ(1, nr_devices(self->fd, ID(0)));
	EXPECT_EQ(1, nr_devices(self->fd, ID(1)));
	EXPECT_EQ(2, device(self->fd, &self->a).nr_pasids);
	EXPECT_EQ(-EEXIST, pasid_attach_flags(&self->a, ID(2), 5,
					      IOASID_ATTACH_PASID |
					      IOASID_ATTACH_NEW));
	EXPECT_EQ(-EEXIST, pasid_attach_flags(&self->a, ID(1), 5,
					      IOASID_ATTACH_PASID |
					      IOASID_ATTACH_NEW));
	GOES_TO(a, 5, 1);
	EXPECT_EQ(self->hitless ? 0 : -EOPNOTSUPP,
		  pasid_attach_flags(&self->a, ID(2), 5, IOASID_ATTACH_PASID |
				     IOASID_ATTACH_HITLESS));
	GOES_TO(a, 5, self->hitless ? 2 : 1);
	/* there is nothing to replace */
	EXPECT_EQ(0, pasid_attach_flags(&self->a, ID(2), 8, IOASID_ATTACH_PASID |
					IOASID_ATTACH_HITLESS));
	GOES_TO(a, 8, 2);
	EXPECT_EQ(self->hitless ? IOASID_DEVICE_PASID_HITLESS : 0,
		  device(self->fd, &self->a).caps & IOASID_DEVICE_PASID_HITLESS);
}

/* An attach or a move that fails changes nothing. */
TEST_F(pasid, fails)
{
	struct ia_state before, after;
	__u64 at = 0;
	__u32 five = 5;

	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 5));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
#define SAME_AS_BEFORE()						\
do {									\
	ASSERT_EQ(0, ia_state_read(self->fd, &after));			\
	EXPECT_EQ(NULL, ia_state_diff(&before, &after))			\
		TH_LOG("%s", ia_state_diff(&before, &after));		\
	GOES_TO(a, 5, 0);						\
	BLOCKED(a, 6);							\
} while (0)

	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH_PASID, 1, 0));
	EXPECT_EQ(-ENOMEM, pasid_attach(&self->a, ID(1), 5));
	SAME_AS_BEFORE();
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH_PASID, 1, 0));
	EXPECT_EQ(-ENOMEM, pasid_attach(&self->a, ID(1), 6));
	SAME_AS_BEFORE();
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ALLOC, 1, 0));
	EXPECT_EQ(-ENOMEM, pasid_attach(&self->a, ID(1), 5));
	SAME_AS_BEFORE();

	/* memory where the device cannot do DMA */
	ASSERT_EQ(0, ia_map_ref(self->fd, ID(1), RESV,
				variant->child ? SZ_1G : IA_PTR(self->mem), PG,
				IA_RW));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	EXPECT_EQ(-EADDRINUSE, pasid_attach_full(&self->a, ID(1),
						 IOASID_ATTACH_PASID, &five,
						 &at));
	EXPECT_EQ(RESV, at);
	SAME_AS_BEFORE();
	at = 0;
	five = 0;
	EXPECT_EQ(-EADDRINUSE, pasid_attach_full(&self->a, ID(1),
						 IOASID_ATTACH_PASID_ANY, &five,
						 &at));
	EXPECT_EQ(RESV, at);
	SAME_AS_BEFORE();
	/* the number that was chosen is free again */
	EXPECT_EQ(0, pasid_attach(&self->a, ID(0), five));
	EXPECT_EQ(0, pasid_detach(&self->a, five));
}

/* Where a driver cannot replace, it may fail twice: then the PASID is detached. */
TEST_F(pasid, fails_twice)
{
	if (self->hitless || !(variant->flags & MODEL_NO_REPLACE_PASIDS))
		SKIP(return, "the driver replaces");
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 5));
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 6));
	/* The move fails before the driver is asked, and then the way back does */
	ASSERT_EQ(0, ia_map_ref(self->fd, ID(1), RESV,
				variant->child ? SZ_1G : IA_PTR(self->mem), PG,
				IA_RW));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_ATTACH_PASID, 1, 0));
	EXPECT_EQ(-ENOTCONN, pasid_attach(&self->a, ID(1), 5));
	BLOCKED(a, 5);
	GOES_TO(a, 6, 0);
	EXPECT_EQ(1, device(self->fd, &self->a).nr_pasids);
	EXPECT_EQ(1, nr_devices(self->fd, ID(0)));
	EXPECT_EQ(0, nr_devices(self->fd, ID(1)));
	EXPECT_EQ(-ENOENT, pasid_detach(&self->a, 5));
	EXPECT_EQ(0, pasid_attach(&self->a, ID(2), 5));
	GOES_TO(a, 5, 2);
}

TEST_F(pasid, bad_input)
{
	struct ia_state before, after;
	__u32 any = 0;

	ASSERT_EQ(0, model_bind(&self->plain));
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 1));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
#define BAD(rc, dev, space, vpasid, flags)				\
	EXPECT_EQ(rc, pasid_attach_flags(&self->dev, space, vpasid, flags))

	BAD(-EINVAL, a, ID(0), 0, IOASID_ATTACH_PASID);
	BAD(-EINVAL, a, ID(0), 1, 0);
	BAD(-EINVAL, a, ID(0), 1, IOASID_ATTACH_NEW);
	BAD(-EINVAL, a, ID(0), LAST + 1, IOASID_ATTACH_PASID);
	BAD(-EINVAL, a, ID(0), ~0U, IOASID_ATTACH_PASID);
	BAD(-EINVAL, a, ID(0), 1, IOASID_ATTACH_PASID_ANY);
	BAD(-EINVAL, a, ID(0), 1, IOASID_ATTACH_PASID | IOASID_ATTACH_PASID_ANY);
	BAD(-EINVAL, a, ID(0), 0, IOASID_ATTACH_PASID_ANY | IOASID_ATTACH_HITLESS);
	BAD(-EINVAL, a, ID(0), 1, IOASID_ATTACH_PASID | IOASID_ATTACH_NEW |
	    IOASID_ATTACH_HITLESS);
	BAD(-EOPNOTSUPP, a, ID(0), 0, IOASID_ATTACH_HITLESS);
	BAD(-EOPNOTSUPP, a, ID(0), 1, IOASID_ATTACH_PASID | 1 << 4);
	BAD(-EOPNOTSUPP, a, ID(0), 1, IOASID_ATTACH_PASID | 1U << 31);
	BAD(-ENOENT, a, self->a.devid, 1, IOASID_ATTACH_PASID);
	BAD(-ENOENT, a, 0x7ffffff0, 2, IOASID_ATTACH_PASID);
	BAD(-ENOENT, a, 0, 2, IOASID_ATTACH_PASID);
	BAD(-EOPNOTSUPP, plain, ID(0), 1, IOASID_ATTACH_PASID);
	BAD(-EOPNOTSUPP, plain, ID(0), 0, IOASID_ATTACH_PASID_ANY);
	EXPECT_EQ(-EOPNOTSUPP, pasid_detach(&self->plain, 1));
	EXPECT_EQ(0, device(self->fd, &self->plain).pasid_width);

	EXPECT_EQ(-ENOENT, pasid_detach(&self->a, 2));
	EXPECT_EQ(-ENOENT, pasid_detach(&self->a, ~0U));
	EXPECT_EQ(-ENOENT, pasid_detach_from(&self->a, ID(1), 1));
	EXPECT_EQ(-EINVAL, pasid_detach(&self->a, 0));
	/* a number that the reader cannot be told */
	EXPECT_EQ(-ENOENT, pasid_attach_any(&self->a, 0x7ffffff0, &any));
	EXPECT_NE(0, any);
	ASSERT_EQ(0, ia_state_read(self->fd, &after));
	EXPECT_EQ(NULL, ia_state_diff(&before, &after))
		TH_LOG("%s", ia_state_diff(&before, &after));
	GOES_TO(a, 1, 0);

	/* by requester id, too */
	ASSERT_EQ(0, model_attach(&self->a, &self->space[1]));
	BAD(-EEXIST, a, ID(1), 0, IOASID_ATTACH_NEW);
	BAD(-EEXIST, a, ID(2), 0, IOASID_ATTACH_NEW);
	GOES_TO(a, 0, 1);
	BAD(0, b, ID(2), 0, IOASID_ATTACH_NEW);
	GOES_TO(b, 0, 2);
}

/* The kernel cannot write the number that it chose: nothing is attached. */
TEST_F(pasid, any_cannot_be_told)
{
	struct ioasid_device_attach *cmd;
	int i;

	cmd = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	ASSERT_NE(MAP_FAILED, cmd);
	*cmd = (struct ioasid_device_attach){
		.argsz = sizeof(*cmd),
		.flags = IOASID_ATTACH_PASID_ANY,
		.ioasid = ID(0),
	};
	ASSERT_EQ(0, mprotect(cmd, PG, PROT_READ));
	for (i = 0; i < 2 * LAST; i++)
		ASSERT_EQ(-EFAULT, ia_cmd(self->a.fd, VFIO_DEVICE_ATTACH_IOASID,
					  cmd));
	EXPECT_EQ(0, nr_devices(self->fd, ID(0)));
	EXPECT_EQ(0, device(self->fd, &self->a).nr_pasids);
	munmap(cmd, PG);
}

/* All numbers, chosen by the kernel; and again after they were detached. */
TEST_F(pasid, any)
{
	struct ioasid_list_entry *list = calloc(LAST + 16, sizeof(*list));
	__u32 i, one, nr = LAST + 16, n = 0, last = 0;
	bool seen[LAST + 1] = {};

	ASSERT_NE(NULL, list);
	ASSERT_EQ(0, pasid_attach(&self->a, ID(1), 17));
	for (i = 1; i < LAST; i++) {
		ASSERT_EQ(0, pasid_attach_any(&self->a, ID(0), &one));
		ASSERT_LE(1, one);
		ASSERT_GE(LAST, one);
		ASSERT_FALSE(seen[one]);
		ASSERT_NE(17, one);
		seen[one] = true;
	}
	EXPECT_EQ(-ENOSPC, pasid_attach_any(&self->a, ID(0), &one));
	EXPECT_EQ(LAST, device(self->fd, &self->a).nr_pasids);
	EXPECT_EQ(0, device(self->fd, &self->a).pasids_left);
	EXPECT_EQ(LAST - 1, nr_devices(self->fd, ID(0)));
	GOES_TO(a, 1, 0);
	GOES_TO(a, 17, 1);
	GOES_TO(a, LAST, 0);

	/* all are listed, in their order */
	ASSERT_EQ(0, ia_list(self->fd, self->a.devid, list, &nr));
	for (i = 0; i < nr; i++) {
		if (list[i].type != IOASID_LIST_ATTACHMENT ||
		    list[i].id != self->a.devid)
			continue;
		EXPECT_EQ(++last, list[i].vpasid);
		EXPECT_EQ(last == 17 ? ID(1) : ID(0), list[i].ioasid);
		EXPECT_EQ(self->a.id, list[i].cookie);
		n++;
	}
	EXPECT_EQ(LAST, n);

	ASSERT_EQ(0, pasid_detach(&self->a, 100));
	BLOCKED(a, 100);
	ASSERT_EQ(0, pasid_attach_any(&self->a, ID(2), &one));
	EXPECT_EQ(100, one);
	GOES_TO(a, 100, 2);
	free(list);
}

TEST_F(pasid, limit)
{
	__u64 value;
	__u32 one, sealed;

	ASSERT_EQ(0, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PASIDS, 3,
				   IOASID_OPTION_SEAL));
	EXPECT_EQ(-EPERM, ia_set_option(self->fd, IOASID_OPTION_LIMIT_PASIDS, 4,
					0));
	ASSERT_EQ(0, ia_get_option(self->fd, IOASID_OPTION_LIMIT_PASIDS, &value,
				   &sealed));
	EXPECT_EQ(3, value);
	EXPECT_EQ(1, sealed);
	EXPECT_EQ(3, device(self->fd, &self->a).pasids_left);
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 1));
	ASSERT_EQ(0, pasid_attach(&self->b, ID(0), 1));
	ASSERT_EQ(0, pasid_attach_any(&self->b, ID(0), &one));
	EXPECT_EQ(0, device(self->fd, &self->a).pasids_left);
	EXPECT_EQ(-EDQUOT, pasid_attach(&self->a, ID(0), 2));
	EXPECT_EQ(-EDQUOT, pasid_attach_any(&self->a, ID(0), &one));
	BLOCKED(a, 2);
	/* neither a requester id nor a move is one more */
	EXPECT_EQ(0, model_attach(&self->a, &self->space[1]));
	EXPECT_EQ(0, pasid_attach(&self->a, ID(1), 1));
	GOES_TO(a, 1, 1);
	ASSERT_EQ(0, pasid_detach(&self->b, 1));
	EXPECT_EQ(0, pasid_attach(&self->a, ID(0), 2));
	EXPECT_EQ(-EDQUOT, pasid_attach(&self->a, ID(0), 3));
}

/* Devices that share a group have no PASIDs. */
TEST_F(pasid, shared_group)
{
	struct model_params params = { .pasid_bits = BITS };
	struct model_device c, d;

	ASSERT_EQ(0, model_plug(&self->model, &c, &params, 4));
	ASSERT_EQ(0, model_bind(&c));
	EXPECT_EQ(BITS, device(self->fd, &c).pasid_width);
	ASSERT_EQ(0, pasid_attach(&c, ID(0), 1));
	ASSERT_EQ(0, model_plug(&self->model, &d, &params, 4));
	EXPECT_EQ(0, device(self->fd, &c).pasid_width);
	EXPECT_EQ(-EOPNOTSUPP, pasid_attach(&c, ID(0), 2));
	/* what is attached stays, and can be detached */
	EXPECT_EQ(0, pasid_page_at(&c, 1, BASE));
	EXPECT_EQ(0, pasid_detach(&c, 1));
	EXPECT_EQ(-EOPNOTSUPP, pasid_attach(&c, ID(0), 1));
	model_release(&c);
	EXPECT_EQ(0, model_unplug(&c, 0));
	EXPECT_EQ(0, model_unplug(&d, 0));
}

/* A domain that is finalized by an attach by requester id serves no PASID. */
TEST_F(pasid, finalize)
{
	struct model_params params = {
		.pasid_bits = BITS, .flags = MODEL_FINALIZE,
	};
	struct model_device c;

	ASSERT_EQ(0, model_plug(&self->model, &c, &params, 0));
	ASSERT_EQ(0, model_bind(&c));
	EXPECT_EQ(-EMEDIUMTYPE, pasid_attach(&c, ID(0), 1));
	EXPECT_EQ(0, nr_devices(self->fd, ID(0)));
	EXPECT_EQ(-MODEL_FAULT_PASID, pasid_page_at(&c, 1, BASE));
	model_release(&c);
	EXPECT_EQ(0, model_unplug(&c, 0));
}

/* The IOMMU fails to unmap: all PASIDs on that table are blocked, others not. */
TEST_F(pasid, poison)
{
	__u64 n = 0;

	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 1));
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 2));
	ASSERT_EQ(0, pasid_attach(&self->a, ID(1), 3));
	ASSERT_EQ(0, pasid_attach(&self->b, ID(0), 1));
	ASSERT_EQ(0, model_attach(&self->b, &self->space[1]));
	ASSERT_EQ(0, model_inject(&self->a, MODEL_INJECT_UNMAP, 1, 0));
	EXPECT_EQ(-EIO, ia_unmap(self->fd, ID(0), BASE, PG, &n));
	BLOCKED(a, 1);
	BLOCKED(a, 2);
	BLOCKED(b, 1);
	GOES_TO(a, 3, 1);
	GOES_TO(b, 0, 1);
	EXPECT_EQ(-EIO, pasid_attach(&self->b, ID(0), 2));
	/* a blocked one can move away; the last one frees the table */
	EXPECT_EQ(0, pasid_attach(&self->a, ID(2), 1));
	GOES_TO(a, 1, 2);
	EXPECT_EQ(0, pasid_detach(&self->a, 2));
	EXPECT_EQ(IOASID_STATE_POISONED,
		  info_of(self->fd, ID(0)).state & IOASID_STATE_POISONED);
	EXPECT_EQ(0, pasid_detach(&self->b, 1));
	EXPECT_EQ(0, info_of(self->fd, ID(0)).state & IOASID_STATE_POISONED);
	EXPECT_EQ(0, pasid_attach(&self->b, ID(0), 1));
	EXPECT_EQ(-MODEL_FAULT_ABSENT, pasid_page_at(&self->b, 1, BASE));
}

/* Everything ends with the file of the device, and with unplug. */
TEST_F(pasid, close)
{
	__u32 one, i;

	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, pasid_attach_any(&self->a, ID(i % SPACES), &one));
	ASSERT_EQ(0, model_attach(&self->a, &self->space[0]));
	model_release(&self->a);
	for (i = 0; i < SPACES; i++)
		EXPECT_EQ(0, nr_devices(self->fd, ID(i)));
	EXPECT_EQ(0, model_counters(&self->a).attached);
	ASSERT_EQ(0, model_bind(&self->a));
	EXPECT_EQ(0, device(self->fd, &self->a).nr_pasids);
	BLOCKED(a, 1);
	ASSERT_EQ(0, pasid_attach(&self->a, ID(2), 1));
	GOES_TO(a, 1, 2);

	/* unplugged under way: VFIO waits for the file */
	ASSERT_EQ(0, model_unplug(&self->a, IOASID_MODEL_ASYNC));
	GOES_TO(a, 1, 2);
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 2));
	model_release(&self->a);
	for (i = 0; i < SPACES; i++)
		EXPECT_EQ(0, nr_devices(self->fd, ID(i)));
	ASSERT_EQ(0, model_plug(&self->model, &self->a,
				&(struct model_params){ .pasid_bits = BITS,
							.flags = variant->flags |
								 MODEL_EVICT_RANDOM },
				0));
	ASSERT_EQ(0, model_bind(&self->a));
}

/* The context outlives its file, as long as a device is bound. */
TEST_F(pasid, context_closed)
{
	struct model_device c;
	__u32 id;
	int ctx = ia_open();

	ASSERT_LE(0, ctx);
	model_release(&self->a);
	ASSERT_EQ(0, ia_alloc(ctx, &id));
	ASSERT_EQ(0, ia_map(ctx, id, BASE, self->mem + 6 * PG, PG));
	c = self->a;
	c.fd = model_open_cdev(&c);
	ASSERT_LE(0, c.fd);
	ASSERT_EQ(0, hw_bind(c.fd, ctx, 1, &c.devid));
	ASSERT_EQ(0, pasid_attach(&c, id, 1));
	close(ctx);
	EXPECT_EQ(6, pasid_page_at(&c, 1, BASE));
	EXPECT_EQ(0, pasid_attach(&c, id, 2));
	EXPECT_EQ(0, pasid_detach(&c, 1));
	EXPECT_EQ(6, pasid_page_at(&c, 2, BASE));
	close(c.fd);
	EXPECT_EQ(0, model_counters(&self->a).attached);
}

/* ---- Under DMA ---- */

/* Repeat reads with a PASID on a channel, in spite of faults or not */
static int hammer(struct model_device *dev, int channel, __u32 pasid, __u32 flags)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_VERIFY,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_LOOP | flags,
		.pasid = pasid,
		.threads = 2,
		.address = BASE,
		.length = 64,
		.count = 1,
		.operand = 77,
	};

	return model_start(dev, channel, &dma);
}

/* All spaces have the same pattern: no access may fail while one is replaced. */
TEST_F(pasid, hitless)
{
	struct ioasid_model_status status;
	int i;

	if (!self->hitless)
		SKIP(return, "the driver, or the kernel, cannot replace");
	for (i = 0; i < SPACES; i++)
		model_pattern(self->mem + i * PG, 77, BASE, PG);
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 5));
	ASSERT_EQ(0, hammer(&self->a, 1, 5, 0));
	for (i = 1; i < 300; i++) {
		ASSERT_EQ(0, pasid_attach_flags(&self->a, ID(i % SPACES), 5,
						IOASID_ATTACH_PASID |
						IOASID_ATTACH_HITLESS));
		if (i % 50 == 0)
			ASSERT_EQ(0, model_hammered(&self->a, 1, 10));
	}
	ASSERT_EQ(0, model_stop(&self->a, 1, &status));
	EXPECT_EQ(IOASID_MODEL_STOPPED, status.run);
	EXPECT_EQ(0, status.faults);
	EXPECT_EQ(0, model_counters(&self->a).stale);
}

/*
 * A number is used again at once by another space, while the device does not stop
 * to use it: when an attach has returned no access reaches the space of before.
 */
TEST_F(pasid, reuse)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_LOOP |
			 IOASID_MODEL_DMA_GO_ON,
		.pasid = 5,
		.threads = 2,
		.address = BASE,
		.length = 64,
		.count = 1,
		.operand = 1,
	};
	char *mem = self->mem, quiet[64];
	int i, now, old;

	ASSERT_EQ(0, model_start(&self->a, 1, &dma));
	for (i = 0; i < 300; i++) {
		now = i % SPACES;
		old = (i + SPACES - 1) % SPACES;
		ASSERT_EQ(0, pasid_attach_flags(&self->a, ID(now), 5,
						IOASID_ATTACH_PASID |
						IOASID_ATTACH_NEW));
		/* the page of before is not written any more */
		memset(mem + old * PG, 0x5a, sizeof(quiet));
		if (i % 16 == 0)
			ASSERT_EQ(0, model_hammered(&self->a, 1, 4));
		memset(quiet, 0x5a, sizeof(quiet));
		ASSERT_EQ(0, memcmp(mem + old * PG, quiet, sizeof(quiet)));
		ASSERT_EQ(0, pasid_detach(&self->a, 5));
		/* nor is this one */
		memset(mem + now * PG, 0xa5, sizeof(quiet));
		if (i % 16 == 0)
			ASSERT_EQ(0, model_hammered(&self->a, 1, 4));
		memset(quiet, 0xa5, sizeof(quiet));
		ASSERT_EQ(0, memcmp(mem + now * PG, quiet, sizeof(quiet)));
	}
	ASSERT_EQ(0, model_stop(&self->a, 1, NULL));
	EXPECT_EQ(0, model_counters(&self->a).stale);
}

/* A detach flushes its PASID, and leaves the entries of all others alone. */
TEST_F(pasid, flush_of_one)
{
	struct model_counters before, after;

	if (variant->flags & MODEL_ATS)
		SKIP(return, "counts the IOTLB");
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 1));
	ASSERT_EQ(0, pasid_attach(&self->a, ID(1), 2));
	GOES_TO(a, 1, 0);
	GOES_TO(a, 2, 1);
	before = model_counters(&self->a);
	ASSERT_EQ(0, pasid_detach(&self->a, 1));
	after = model_counters(&self->a);
	EXPECT_EQ(before.flush_all, after.flush_all);
	EXPECT_EQ(before.flush_range, after.flush_range);
	EXPECT_GE(1, before.cached - after.cached);
	EXPECT_EQ(before.attached - 1, after.attached);
	GOES_TO(a, 2, 1);
}

/* ---- Races ---- */

struct racer {
	pthread_t thread;
	struct model_device *dev;
	struct model_space *space;
	int fd;
	unsigned int seed;
	int bad;
	char *mem;
	__u64 parent;
	int stop;
};

#define RACERS 4
#define ROUNDS 400

/* An unmap, or the map of another thread, is there first */
static bool expected(int rc)
{
	return !rc || rc == -EEXIST || rc == -ENOENT || rc == -ECANCELED;
}

static void *race_thread(void *arg)
{
	struct racer *r = arg;
	__u32 id, pasid;
	__u64 iova;
	int i, rc;

	for (i = 0; i < ROUNDS; i++) {
		id = r->space[rand_r(&r->seed) % SPACES].id;
		pasid = 1 + rand_r(&r->seed) % 6;
		switch (rand_r(&r->seed) % 7) {
		case 0:
			rc = pasid_attach_any(r->dev, id, &pasid);
			break;
		case 1:
			rc = pasid_attach_flags(r->dev, id, pasid,
						IOASID_ATTACH_PASID |
						IOASID_ATTACH_NEW);
			break;
		case 2:
		case 3:
			rc = pasid_attach(r->dev, id, pasid);
			break;
		case 4:
			iova = 2 * BASE + rand_r(&r->seed) % 4 * PG;
			rc = ia_map_ref(r->fd, id, iova, r->parent ?:
					IA_PTR(r->mem), PG, IA_RW);
			break;
		case 5:
			iova = 2 * BASE + rand_r(&r->seed) % 4 * PG;
			rc = ia_unmap(r->fd, id, iova, PG, NULL);
			break;
		default:
			rc = pasid_detach(r->dev, pasid);
			break;
		}
		if (!expected(rc) && !r->bad)
			r->bad = rc ?: 1;
	}
	return NULL;
}

/* Commands of four threads on two devices under DMA; then nothing is left. */
TEST_F(pasid, race)
{
	struct racer racer[RACERS];
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, hammer(&self->a, 1 + i, 1 + i,
				    IOASID_MODEL_DMA_GO_ON));
		ASSERT_EQ(0, hammer(&self->b, 1 + i, 3 + i,
				    IOASID_MODEL_DMA_GO_ON));
	}
	for (i = 0; i < RACERS; i++) {
		racer[i] = (struct racer){
			.dev = i % 2 ? &self->b : &self->a,
			.space = self->space, .fd = self->fd, .seed = 11 + i,
			.mem = self->mem, .parent = variant->child ? SZ_1G : 0,
		};
		ASSERT_EQ(0, pthread_create(&racer[i].thread, NULL, race_thread,
					    &racer[i]));
	}
	for (i = 0; i < RACERS; i++) {
		pthread_join(racer[i].thread, NULL);
		EXPECT_EQ(0, racer[i].bad);
	}
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, model_stop(&self->a, 1 + i, NULL));
		EXPECT_EQ(0, model_stop(&self->b, 1 + i, NULL));
	}
	EXPECT_EQ(0, model_counters(&self->a).stale);
}

/* Killed at any moment: nothing stays attached. */
TEST_F(pasid, killed)
{
	__u32 one;
	pid_t pid;
	int i, j;

	for (i = 0; i < 12; i++) {
		model_release(&self->a);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (model_bind(&self->a))
				_exit(1);
			for (;;)
				for (j = 0; j < 64; j++) {
					pasid_attach_any(&self->a,
							 ID(j % SPACES), &one);
					pasid_attach(&self->a,
						     ID((j + 1) % SPACES), one);
					if (j % 3)
						pasid_detach(&self->a, one);
				}
		}
		while (!nr_devices(self->fd, ID(0)) &&
		       !waitpid(pid, NULL, WNOHANG))
			usleep(100 * (i + 1));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		for (j = 0; j < SPACES; j++)
			EXPECT_EQ(0, nr_devices(self->fd, ID(j)));
		EXPECT_EQ(0, model_counters(&self->a).attached);
	}
}

/* ---- Fault injection ---- */

/* Undo a step of fail_nth */
static int undo_step(struct model_device *dev, unsigned int step, __u32 home,
		     __u32 one)
{
	if (step == 1)
		return pasid_attach(dev, home, 5);
	return pasid_detach(dev, step ? one : 6);
}

/*
 * Every allocation of an attach and of a move fails once, and nothing changes;
 * but for one that is not needed, as that of a reserved region.
 */
TEST_F(pasid, fail_nth)
{
	unsigned int nth, step, fatal;
	struct ia_state before, after;
	int fd, rc, failed;
	__u32 one = 0;

	fd = open(FAIL_NTH, O_RDWR);
	if (fd < 0 || !set_knobs())
		SKIP(return, "the kernel injects no faults");
	ASSERT_EQ(0, pasid_attach(&self->a, ID(0), 5));
	ASSERT_EQ(0, ia_state_read(self->fd, &before));
	for (step = 0; step < 3; step++) {
		fatal = 0;
		failed = 1;
		for (nth = 1; failed && nth < MAX_FAILURES; nth++) {
			ASSERT_TRUE(arm(fd, nth));
			if (step == 0)
				rc = pasid_attach(&self->a, ID(1), 6);
			else if (step == 1)
				rc = pasid_attach(&self->a, ID(1), 5);
			else
				rc = pasid_attach_any(&self->a, ID(1), &one);
			failed = disarm(fd);
			if (!rc) {
				ASSERT_EQ(0, undo_step(&self->a, step, ID(0),
						       one));
				continue;
			}
			fatal++;
			ASSERT_NE(0, failed);
			ASSERT_TRUE(rc == -ENOMEM || rc == -EFAULT ||
				    rc == -EMEDIUMTYPE) TH_LOG("%d", rc);
			GOES_TO(a, 5, 0);
			BLOCKED(a, 6);
			ASSERT_EQ(0, ia_state_read(self->fd, &after));
			ASSERT_EQ(NULL, ia_state_diff(&before, &after))
				TH_LOG("%u: %s", nth,
				       ia_state_diff(&before, &after));
		}
		EXPECT_EQ(0, failed);
		EXPECT_LT(6, fatal);
		TH_LOG("step %u: %u calls failed, %u of them fatal", step,
		       nth - 2, fatal);
	}
	restore_knobs();
	close(fd);
}

TEST_HARNESS_MAIN
