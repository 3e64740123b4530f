/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the files of the reference model only.
 */
#ifndef __SELFTESTS_IOASID_FUZZ_JUDGE_H
#define __SELFTESTS_IOASID_FUZZ_JUDGE_H

#include "fuzz_model.h"

#define ALL_ONES (~0ULL)
#define LOWEST_CHOICE 0x100000000ULL
/* Addresses that the model IOMMU can translate. */
#define PHYSICAL_LAST 0xffffffffffffULL
#define PHYSICAL_PGSIZES 0x40201000ULL
#define NO_OFFSET ALL_ONES

#define CHARGE IOASID_OPTION_CHARGE
#define LIMIT_PINNED IOASID_OPTION_LIMIT_PINNED
#define LIMIT_IOASIDS IOASID_OPTION_LIMIT_IOASIDS
#define LIMIT_PASIDS IOASID_OPTION_LIMIT_PASIDS
#define LIMIT_MAPPINGS IOASID_OPTION_LIMIT_MAPPINGS

/*
 * An error that the documentation permits, and the addresses it may come with.
 */
struct error {
	int error;
	bool told;
	__u64 at;
	__u64 to;
};

struct judge {
	struct fuzz_model *m;
	const struct fuzz_op *op;
	const struct fuzz_result *r;
	struct fuzz_verdict *v;
	struct error errors[32];
	int nr;
	/* the command may fail in this way, or succeed */
	int perhaps[8];
	int nr_perhaps;
	/* children refer to what is replaced by itself */
	bool untouched;
	/* the command tells no address with its error */
	bool untold;
	/* of a batch: total length that its operations unmap */
	__u64 *unmapped;
};

/* Whether a range may be cut as a command asks. */
enum cut { CUT_NOT, CUT_PERHAPS, CUT_MUST };

enum writes { WRITES_NOTHING, WRITES_PERHAPS, WRITES };

/* A field of the structure afterwards. */
#define SAME(want, field) same(j, want, j->r->arg.field, #field)

/* fuzz_model.c */
__attribute__((format(printf, 5, 6)))
void bad(struct judge *j, __u64 want, __u64 got, const char *why,
	 const char *what, ...);
void same(struct judge *j, __u64 want, __u64 got, const char *what);
void fails_within(struct judge *j, bool condition, int error, __u64 at,
		  __u64 to);
void fails_at(struct judge *j, bool condition, int error, __u64 at);
void fails_if(struct judge *j, bool condition, int error);
void perhaps(struct judge *j, int error);
bool may_perhaps(const struct judge *j, int error);

/* Checks that all commands share. */
void common(struct judge *j, __u32 flags, __u32 known, enum writes writes);

/* Whether it succeeded. Judges the errno. */
bool succeeded(struct judge *j);

/* fuzz_model_space.c */
__u64 base_of(const struct fuzz_memory *mem);
bool page_aligned(__u64 x);
bool grid(__u64 size);

/* Whether @length bytes from @start on are a range. */
bool is_range(__u64 start, __u64 length);

/* A space that is a parent, and has no other use. */
bool is_import(const struct fuzz_space *s);

/* The terms of an import for the maps of its children. */
const struct fuzz_export *terms(const struct fuzz_model *m,
				const struct fuzz_space *s);

bool is_memory(const struct fuzz_mapping *map);

/* Number of mappings of an export. */
__u64 mappings_of(const struct fuzz_model *m, const struct fuzz_export *export);

/* Number of mappings that may be added. */
__u64 mappings_left(const struct fuzz_model *m,
		    const struct fuzz_export *export);

/* The space that the command names, NULL if there is none. */
struct fuzz_space *named(struct fuzz_model *m, const struct fuzz_op *op);

/* The same, also if it is an import. */
struct fuzz_space *named_any(struct fuzz_model *m, const struct fuzz_op *op);

/* The first mapping that has a byte in the range. */
struct fuzz_mapping *first_in(const struct fuzz_space *s, __u64 start,
			      __u64 last);

void insert(struct fuzz_space *s, const struct fuzz_mapping *new);
bool charges_once(const struct fuzz_model *m);

/* Number of bytes of a piece that are charged anew, or released. */
__u64 charge_once(struct fuzz_model *m, int mem, __u64 offset, __u64 length,
		  int change);

void account(struct fuzz_model *m, struct fuzz_space *s, __u64 bytes);

/* Map memory of the parent, which pins none. */
bool is_child(const struct fuzz_space *s);

/* Unmap the range; returns the number of bytes. */
__u64 cut_out(struct fuzz_model *m, struct fuzz_space *s, __u64 start,
	      __u64 last);

/* Split a mapping that spans @at. */
void split(struct fuzz_space *s, __u64 at);

/* Whether @map has memory of the parent's range; if so, at which IOVAs. */
bool refers(const struct fuzz_mapping *map, __u64 start, __u64 last,
	    __u64 *from, __u64 *to);

/* Unmap the range from all children, and from theirs. */
void cascade(struct fuzz_model *m, struct fuzz_space *s, __u64 start,
	     __u64 last);

bool referred(struct fuzz_model *m, const struct fuzz_space *s, __u64 start,
	      __u64 last);

/* Unmap all references to the parent from a child. */
void take_back(struct fuzz_model *m, struct fuzz_space *s);

bool on_grid(const struct fuzz_mapping *map, __u64 at);

/*
 * Whether memory at @iova of a descendant is in the range of @s; @more is the
 * number of further bytes in it, in one mapping of each level.
 */
bool goes(const struct fuzz_model *m, const struct fuzz_space *s, __u64 start,
	  __u64 last, const struct fuzz_space *c, __u64 iova, __u64 *more);

bool descends(const struct fuzz_model *m, const struct fuzz_space *s,
	      const struct fuzz_space *from);

/* Whether the unmap cuts a mapping of a descendant off its grid. */
enum cut cuts_children(const struct fuzz_model *m, const struct fuzz_space *s,
		       __u64 start, __u64 last);

bool is_orphan(const struct fuzz_space *s);

/* Number of children to expect, if the kernel says @got. */
__u64 seen_children(const struct fuzz_space *s, __u64 got);

/* The first IOVA beyond @last that maps memory; 0 if there is none. */
__u64 memory_beyond(const struct fuzz_space *s, __u64 last);

/* The last IOVA that the devices permit. */
__u64 permitted(const struct fuzz_model *m, const struct fuzz_space *s);

bool restricted(const struct fuzz_model *m, const struct fuzz_space *s);
__u64 pgsizes(const struct fuzz_model *m, const struct fuzz_space *s);
bool choose(const struct fuzz_model *m, const struct fuzz_space *s,
	    const struct ioasid_map_dma *in, __u64 *iova);

/* The charge of the process. */
__u64 all_charged(const struct fuzz_model *m);

__u64 left_of(__u64 limit, __u64 used);
__u64 all_pinned(const struct fuzz_model *m);
__u64 bytes_left(const struct fuzz_model *m);

/* fuzz_model_map.c */
void judge_map(struct judge *j);
void judge_unmap(struct judge *j);

/* Do its operations one after the other, up to one that fails. */
void judge_batch(struct judge *j);

/* IOASID_REHOME by the process that pays for everything. */
void judge_rehome(struct judge *j);

void judge_query(struct judge *j);

/* fuzz_model_object.c */
void judge_check(struct judge *j);
void judge_alloc(struct judge *j);
void judge_free(struct judge *j);
void judge_info(struct judge *j);
void judge_export(struct judge *j);
void judge_import(struct judge *j);
void judge_list(struct judge *j);
void judge_option(struct judge *j);
void judge_device_info(struct judge *j);
void judge_events(struct judge *j);
void judge_unknown(struct judge *j);
void judge_bind(struct judge *j);
void judge_get_id(struct judge *j);
void judge_attach(struct judge *j);
void judge_detach(struct judge *j);
void judge_reopen(struct judge *j);

/* fuzz_model_table.c */
bool table_kind(__u32 kind);

/* The caches have nothing of the entries of a table by PASID any more. */
void forget_pasids(struct fuzz_space *s);

/* As model_walk(), for DMA that was done: units cache, and set bits in entries. */
int walk_and_set(struct fuzz_model *m, const struct fuzz_op *op,
		 struct fuzz_space **s, __u64 *iova, bool write);

void judge_bind_table(struct judge *j);
void judge_unbind_table(struct judge *j);
void judge_invalidate(struct judge *j);
void judge_entry(struct judge *j);

/* fuzz_model_dirty.c */

/* A device wrote at @iova of a space. */
void wrote(struct fuzz_model *m, struct fuzz_space *s, __u64 iova);

/* The range is not mapped any more. */
void forget_written(struct fuzz_space *s, __u64 start, __u64 last);

/* The errors of a bitmap's arguments. */
void judge_bitmap(struct judge *j, __u64 iova, __u64 length, __u64 page_size,
		  __u64 bitmap);

/* Everything that was written in the range is told. */
void judge_dirty(struct judge *j, struct fuzz_space *s, __u64 iova,
		 __u64 length, __u64 page_size);

void judge_set_dirty(struct judge *j);
void judge_get_dirty(struct judge *j);

/* fuzz_model_queue.c */

/* Number of IOASIDs that name the queue of the thread. */
int queue_users(const struct fuzz_model *m, int thread);
/* The id of a new object is higher than all from before the command. */
void judge_new_id(struct judge *j, __u32 id, const char *what);
void judge_queue(struct judge *j);
void judge_free_queue(struct judge *j);

/* fuzz_model_state.c */
void judge_dma_read(struct judge *j);
void judge_dma_write(struct judge *j);
void judge_state(struct judge *j);

#endif /* __SELFTESTS_IOASID_FUZZ_JUDGE_H */
