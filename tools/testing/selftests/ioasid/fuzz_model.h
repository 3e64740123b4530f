/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of one context of /dev/ioasid, made from its documentation alone
 * (include/uapi/linux/ioasid.h, Documentation/userspace-api/ioasid.rst).
 *
 * It foresees nothing: it is shown an operation and what came of it, says
 * whether the documentation permits that, and follows. Where an operation is
 * wrong in several ways, any of their errors will do, since no order is
 * documented in which they are found.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_MODEL_H
#define __SELFTESTS_IOASID_FUZZ_MODEL_H

#include "fuzz.h"

/* What the model can be told to get wrong, to see that it is found. */
enum fuzz_plant {
	PLANT_NONE,
	PLANT_OVERLAP,	/* a map may overlap another one by a page */
	PLANT_CUT,	/* the end of an unmap may lie off the grid */
	PLANT_REFERENCE,	/* an unmap may take what a child refers to */
	PLANT_REPLACE,	/* a replace may take it */
	PLANT_QUOTA,	/* what is exported may be mapped once more */
	PLANT_CHARGE,	/* an unmap gives back a page too little */
	PLANT_DATA,	/* what lies behind a cut is taken for its start */
	PLANT_PERMISSION,	/* DMA may read what it may only write */
	PLANT_PROTECT,	/* a protect takes no permission away */
	PLANT_NR,
};

/**
 * struct fuzz_mapping - a mapping, or a part of one
 * @flags: IOASID_MAP_READ, IOASID_MAP_WRITE, IOASID_MAP_RESERVE,
 *	IOASID_MAP_FILE
 * @offset: in @mem, of @start; of a child, the parent's address, also where an
 *	import stands for that
 * @writable: it was pinned for writing
 */
struct fuzz_mapping {
	__u64 start;
	__u64 last;
	__u64 cut;
	__u64 offset;
	__u32 flags;
	__u8 mem;
	bool writable;
};

/**
 * struct fuzz_export - what was exported, and on which terms
 * @nr: which export it is; 0 for none
 * @space: index of the exported space
 * @id: what that was called then
 * @start: first byte of the window
 * @last: its last byte
 * @permission: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @max: how many mappings of it there may be
 */
struct fuzz_export {
	__u32 nr;
	int space;
	__u32 id;
	__u64 start;
	__u64 last;
	__u32 permission;
	__u64 max;
};

/**
 * struct fuzz_space - an IOASID, or a window of one, or an import
 * @live: it is there
 * @id: what it is called, or was
 * @parent: index of the parent; -1 for a root, and an orphan; of an import, and
 *	of its children: of what was exported
 * @via: index of the import that stands for the parent, or -1
 * @imports: its parent is an import, or was
 * @export: of an import: what it stands for
 * @parent_id: what it was called when this was made; 0 for a root
 * @children: how many have this as parent
 * @orphaned: how many imports were freed that were the parent of others: until
 *	these are freed they may count as children
 * @level: 1 for a root
 * @devices: how many are attached (not of a window)
 * @nr: how many mappings
 * @maps: mappings in ascending order
 * @mapped: bytes that map memory
 */
struct fuzz_space {
	bool live;
	__u32 id;
	__u64 cookie;
	__u64 cut;
	__u32 snoop;
	int parent;
	int via;
	bool imports;
	struct fuzz_export export;
	__u32 parent_id;
	int children;
	int orphaned;
	int level;
	int devices;
	size_t nr;
	size_t room;
	struct fuzz_mapping *maps;
	__u64 mapped;
};

/**
 * struct fuzz_device - a device
 * @bound: it is bound
 * @id: what it is called, or was
 * @space: index of the space that it is attached to, or -1
 */
struct fuzz_device {
	bool bound;
	__u32 id;
	__u64 cookie;
	int space;
};

struct fuzz_model {
	int plant;
	int fd;
	int depth;
	bool physical;
	__u64 rlimit;
	__u64 pgsizes;
	struct fuzz_space spaces[FUZZ_SPACES];
	struct fuzz_device devices[FUZZ_DEVICES];
	struct fuzz_export exports[FUZZ_THREADS * FUZZ_EXPORTS];
	/* of the whole context */
	atomic_ullong pinned;
	atomic_ullong ioasids;
	atomic_bool charged;
	/* a map failed, perhaps after it had charged */
	atomic_bool tried;
	atomic_uint nr_exports;
	/* with IOASID_CHARGE_ONCE: bytes charged, mappings of each page */
	__u64 once;
	__u16 users[MEM_NR][FUZZ_MEM_PAGES];
	__u64 option[4];
	bool sealed[4];
	/* of chaos; only right while nothing runs */
	__u64 chaos_pinned;
	__u32 chaos;
	__u32 shared;
};

void model_init(struct fuzz_model *m, const struct fuzz_setting *setting);
void model_free(struct fuzz_model *m);
/* Whether @op makes sense now; if not, it is passed over. */
bool model_applies(const struct fuzz_model *m, const struct fuzz_op *op);
void model_judge(struct fuzz_model *m, const struct fuzz_op *op,
		 const struct fuzz_result *r, struct fuzz_verdict *v);
/* Whether answers depend on what the other threads do. */
bool model_limited(const struct fuzz_model *m);
__u32 model_id(const struct fuzz_model *m, const struct fuzz_op *op);
struct fuzz_device *model_device(struct fuzz_model *m, int thread);
struct fuzz_mapping *model_find(const struct fuzz_space *s, __u64 iova);
/* What to add to an address of a child, to have the parent's. */
__u64 model_base(const struct fuzz_model *m, const struct fuzz_space *s);
/* What memory is mapped at @iova, of which there is some; @offset in its piece. */
int model_memory(const struct fuzz_model *m, const struct fuzz_space *s,
		 __u64 iova, __u64 *offset);

#endif /* __SELFTESTS_IOASID_FUZZ_MODEL_H */
