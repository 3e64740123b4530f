/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by fuzz_served.c and fuzz_served_*.c only: IOASIDs whose memory the kernel
 * brings in when it is used.
 *
 * Each part has a state, which its steps compare with the kernel's.  A step returns
 * 0, or a negative errno after a complaint.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_SERVED_H
#define __SELFTESTS_IOASID_FUZZ_SERVED_H

#include "accel.h"
#include "charge.h"
#include "family.h"
#include "faults.h"
#include "fuzz.h"
#include "pasid.h"
#include "process.h"

#define SERVED_PAGES 32	/* of each part */
#define SERVED_CHILDREN 2
#define SERVED_FILES 3	/* of the accelerator */

/* PASIDs of the device; 0 stands for its requester id */
#define SERVED_PASIDS 3
#define CHILD_PASID 4	/* of the first child, and so on */
#define ROOT_PASID (CHILD_PASID + SERVED_CHILDREN)

/**
 * struct served_page - a page of the process
 * @there: it is mapped
 * @prot: PROT_READ, PROT_WRITE
 */
struct served_page {
	bool there;
	int prot;
};

/**
 * struct served_mirror - the process, and the IOASID that mirrors it
 * @id: the IOASID
 * @mem: the pages, half of them in one window and half in the next
 * @loose: as many pages of the second window: they change while devices write to them
 * @pages: of @mem
 * @attached: by PASID
 * @users: attachments by other devices
 * @file: shared memory of a page's size, for some of the pages
 */
struct served_mirror {
	__u32 id;
	char *mem;
	char *loose;
	struct served_page pages[SERVED_PAGES];
	bool attached[SERVED_PASIDS];
	unsigned int users;
	int file;
};

/**
 * struct served_demand - a root that pins what its children refer to, and what
 *	the device requests
 * @id: the root
 * @children: the children
 * @mem: of family_memory()
 * @mapped: pages of @mem that the root has, as bits
 * @attached: the device is attached to the root
 * @refs: by child: what is at each page, one more than the page of @mem, or 0
 */
struct served_demand {
	__u32 id;
	__u32 children[SERVED_CHILDREN];
	char *mem;
	__u32 mapped;
	bool attached;
	__u8 refs[SERVED_CHILDREN][SERVED_PAGES];
};

/* Where the root has page 0, and a child */
#define DEMAND_AT 0x100000000ULL
#define DEMAND_CHILD_AT 0x200000000ULL

/**
 * struct served_file - an open file of the accelerator
 * @fd: the file, or -1
 * @bound: it is bound to the context
 * @to: by vPASID: 0 for nothing, 1 for the mirror, 2 for the first child, and so on
 */
struct served_file {
	int fd;
	bool bound;
	__u8 to[SERVED_PASIDS];
};

/**
 * struct served - a session
 * @fd: the context
 * @random: state of the sequence
 * @dev: a device that requests pages
 * @acc: an accelerator that does
 * @home: a context whose memory is charged to processes
 * @home_id: a root of it
 * @home_file: what it maps
 * @home_pages: pages of that which are mapped, as bits, each a mapping of its own
 */
struct served {
	int fd;
	__u64 random;
	struct model model;
	struct model_device dev;
	struct model_device acc;
	struct served_mirror mirror;
	struct served_demand demand;
	struct served_file files[SERVED_FILES];
	int home;
	__u32 home_id;
	int home_file;
	__u32 home_pages;
};

static inline unsigned int served_below(struct served *s, unsigned int n)
{
	return fuzz_mix(&s->random) % n;
}

/* fuzz_served.c */
int served_complain(const char *what, long long got, long long want);

#define SERVED_WANT(want, expr) ({					\
	long long want_ = (want), got_ = (expr);			\
									\
	got_ == want_ ? 0 : served_complain(#expr, got_, want_);	\
})

/* fuzz_served_mirror.c */
int mirror_open(struct served *s);
int mirror_step(struct served *s);
bool mirror_may(const struct served *s, unsigned int page, bool write);

/* fuzz_served_demand.c */
int demand_open(struct served *s);
int demand_step(struct served *s);
int demand_close(struct served *s);

/* fuzz_served_accel.c */
int accel_step(struct served *s);
void accel_close(struct served *s);

/* fuzz_served_home.c */
int home_open(struct served *s);
int home_step(struct served *s);
int home_close(struct served *s);

#endif /* __SELFTESTS_IOASID_FUZZ_SERVED_H */
