/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of one context of /dev/ioasid, made from its documentation alone
 * (include/uapi/linux/ioasid.h, Documentation/userspace-api/ioasid.rst).
 *
 * It predicts no results: it gets an operation and its result, says whether the
 * documentation permits that, and updates its state. Where an operation is
 * wrong in several ways, any of their errors is right, because their order is
 * not documented.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_MODEL_H
#define __SELFTESTS_IOASID_FUZZ_MODEL_H

#include "fuzz_op.h"

/* Mistakes that the model can make, to test that they are found. */
enum fuzz_plant {
	PLANT_NONE,
	PLANT_OVERLAP,	/* a map may overlap another one by a page */
	PLANT_CUT,	/* the end of an unmap may lie off the grid */
	PLANT_REFERENCE,	/* an unmap may take what a child refers to */
	PLANT_REPLACE,	/* a replace may take it */
	PLANT_QUOTA,	/* an export may have one mapping too many */
	PLANT_CHARGE,	/* an unmap uncharges a page too little */
	PLANT_DATA,	/* the part behind a cut is taken for the start */
	PLANT_PERMISSION,	/* DMA may read memory that it may only write */
	PLANT_PROTECT,	/* a protect keeps all permission */
	PLANT_DIRTY,	/* a page that was told is written still */
	PLANT_PASID,	/* a detached PASID still counts */
	PLANT_TABLE,	/* devices reach through a table that was unbound */
	PLANT_NR,
};

/* Pages that the model remembers as written, of each IOASID */
#define FUZZ_WRITTEN 32

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
 * struct fuzz_export - an export, with its terms
 * @nr: number of the export; 0 for none
 * @space: index of the exported space
 * @id: id of that space then
 * @start: first byte of the window
 * @last: its last byte
 * @permission: IOASID_MAP_READ, IOASID_MAP_WRITE
 * @max: maximum number of mappings of it
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

/* Whether a space has an event that was not told. */
enum fuzz_event { EVENT_NONE, EVENT_PERHAPS, EVENT_PENDING };

/**
 * struct fuzz_space - an IOASID, or a window of one, or an import
 * @live: the space exists
 * @id: what it is called, or was
 * @parent: index of the parent; -1 for a root, and an orphan; of an import, and
 *	of its children: of what was exported
 * @via: index of the import that stands for the parent, or -1
 * @imports: its parent is an import, or was
 * @export: of an import: the export that it stands for
 * @parent_id: id of the parent when this was made; 0 for a root
 * @children: number of spaces that have this as parent
 * @orphaned: number of imports that were freed while they were parents: they
 *	may count as children until their children are freed
 * @event: enum fuzz_event
 * @level: 1 for a root
 * @kind: enum ioasid_kind
 * @nest_parent: it can be the parent of tables of user space
 * @format: of a table
 * @bound: a table is bound
 * @root: address of the last table that was bound
 * @levels: of that table; of a table by PASID, its bits
 * @reference: where the space refers to the parent's page where it begins
 * @tables: number of references so far, each at a place of its own
 * @pasids: of a table by PASID: first words of its entries in the cache, or 0
 * @queue: id of the fault queue of the thread that it was made with, or 0
 * @devices: number of attached devices (not of a window)
 * @tracked: of a root: writes are logged
 * @nr_written: number of pages in @written
 * @written: some of the pages that were written and not told
 * @nr: number of mappings
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
	enum fuzz_event event;
	int level;
	__u32 kind;
	bool nest_parent;
	__u32 format;
	bool bound;
	__u64 root;
	__u32 levels;
	__u64 reference;
	__u64 tables;
	__u64 pasids[FUZZ_PASIDS + 1];
	__u32 queue;
	int devices;
	bool tracked;
	unsigned int nr_written;
	__u64 written[FUZZ_WRITTEN];
	size_t nr;
	size_t room;
	struct fuzz_mapping *maps;
	__u64 mapped;
};

/**
 * struct fuzz_queue - a fault queue
 * @live: it is there
 * @id: what it is called, or was
 * @cookie: what LIST tells of it
 */
struct fuzz_queue {
	bool live;
	__u32 id;
	__u64 cookie;
};

/**
 * struct fuzz_device - a device
 * @bound: it is bound
 * @id: what it is called, or was
 * @routes: by PASID, index of the space that it is attached to, or -1; the
 *	first is that of the requester id
 */
struct fuzz_device {
	bool bound;
	__u32 id;
	__u64 cookie;
	int routes[FUZZ_PASIDS + 1];
};

/**
 * struct fuzz_machine - where operations run, as far as the model has to know
 * @mems: the pieces of memory, by enum fuzz_mem
 * @have_devices: there are devices to bind
 * @pgsizes: page sizes of IOASIDs that no physical device restricts
 * @depth: maximum number of levels of IOASIDs
 * @takes_tables: the kernel has the kinds of tables of user space
 * @tracks: the kernel can log writes
 * @mirrors: it can mirror the process
 * @has_ring: io_uring has commands for the context
 * @fd: the context, for @query
 * @query: the first mapping of an IOASID from @iova on; false if there is none.
 *	A cascading unmap that fails may have unmapped from any descendant.
 * @mappings: number of mappings of an IOASID, for the same with a table
 */
struct fuzz_machine {
	const struct fuzz_memory *mems;
	bool have_devices;
	__u64 pgsizes;
	int depth;
	bool takes_tables;
	bool tracks;
	bool mirrors;
	bool has_ring;
	int fd;
	bool (*query)(int fd, __u32 id, __u64 iova,
		      struct ioasid_query_entry *entry);
	__u64 (*mappings)(int fd, __u32 id);
};

struct fuzz_model {
	struct fuzz_machine machine;
	int plant;
	enum fuzz_physical physical;
	__u64 rlimit;
	struct fuzz_space spaces[FUZZ_SPACES];
	struct fuzz_device devices[FUZZ_DEVICES];
	/* one of each thread */
	struct fuzz_queue queues[FUZZ_THREADS];
	struct fuzz_export exports[FUZZ_THREADS * FUZZ_EXPORTS];
	/* of the whole context */
	atomic_ullong pinned;
	atomic_ullong ioasids;
	atomic_uint pasids;
	atomic_bool charged;
	/* a map failed, perhaps after its charge */
	atomic_bool tried;
	atomic_uint nr_exports;
	/* with IOASID_CHARGE_ONCE: bytes charged, mappings of each page */
	__u64 once;
	__u16 users[MEM_NR][FUZZ_MEM_PAGES];
	__u64 option[6];
	bool sealed[6];
	/* contents of MEM_TABLE; caches may have older ones */
	__u64 tables[FUZZ_PIECE / 8];
	bool stale;
	/* of chaos; only right while no thread runs */
	__u64 chaos_pinned;
	__u32 chaos;
	__u32 shared;
};

void model_init(struct fuzz_model *m, const struct fuzz_setting *setting,
		const struct fuzz_machine *machine);
void model_free(struct fuzz_model *m);
/* Whether @op makes sense now; if not, it is skipped. */
bool model_applies(const struct fuzz_model *m, const struct fuzz_op *op);
void model_judge(struct fuzz_model *m, const struct fuzz_op *op,
		 const struct fuzz_result *r, struct fuzz_verdict *v);
/* Whether answers depend on what the other threads do. */
bool model_limited(const struct fuzz_model *m);
__u32 model_id(const struct fuzz_model *m, const struct fuzz_op *op);
/* Index of the space that DMA with this PASID goes to, or -1. */
int model_route(const struct fuzz_model *m, const struct fuzz_op *op);
struct fuzz_device *model_device(struct fuzz_model *m, int thread);
struct fuzz_mapping *model_find(const struct fuzz_space *s, __u64 iova);
/* Offset from an address of a child to the parent's. */
__u64 model_base(const struct fuzz_model *m, const struct fuzz_space *s);
/* Whether commands map memory there. */
bool model_is_map(const struct fuzz_space *s);
/* Whether it is a table of user space. */
bool model_is_table(const struct fuzz_space *s);
/* Whether the IOMMU of this thread's device walks tables of user space. */
bool model_nests(const struct fuzz_model *m, int thread);
/*
 * Where an access of a page goes below a table of user space, if it goes through
 * one: @s becomes the parent, NULL for none, and @iova an address of it.  Returns
 * 0, or the errno of the runner for the fault; -ECANCELED, the unit reads entries
 * that DMA writes to, or writes to ones that the model does not know.  @op is some
 * DMA.
 */
int model_walk(const struct fuzz_model *m, const struct fuzz_op *op,
	       struct fuzz_space **s, __u64 *iova, bool write);
/* Whether the model knows what the DMA comes to, if it goes through a table. */
bool model_may_walk(const struct fuzz_model *m, const struct fuzz_op *op);
/* The caches have nothing of the tables of the thread any more. */
void model_flushed(struct fuzz_model *m, int thread);
/* The memory that is mapped at @iova; @offset in its piece. */
int model_memory(const struct fuzz_model *m, const struct fuzz_space *s,
		 __u64 iova, __u64 *offset);

#endif /* __SELFTESTS_IOASID_FUZZ_MODEL_H */
