/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What user space can observe of a context and of a file, to compare it before
 * and after a command.
 */
#ifndef __SELFTESTS_IOASID_STATE_H
#define __SELFTESTS_IOASID_STATE_H

#include "ioasid_util.h"

/*
 * All state of a context that user space can observe, to compare two of them:
 * LIST; GET_INFO and DEVICE_GET_INFO with their arrays, QUERY_MAP, options,
 * fdinfo of the context and of all exports and fault queues that the process has
 * open, and the locked and pinned memory of the process. Mapped files are not part
 * of it: see ia_file_read().
 *
 * Entries beyond the room are in the sums.
 */
#define IA_STATE_MAX 64
#define IA_STATE_RANGES 128
#define IA_STATE_MAPPINGS 512
#define IA_STATE_TEXT 16384
#define IA_STATE_OPTIONS 5

struct ia_state {
	__u32 nr;
	__u32 nr_ranges;
	__u32 nr_mappings;
	__u32 next_fd;		/* number of the next file to be opened */
	long long vm_pin;
	long long vm_lck;
	__u64 option[IA_STATE_OPTIONS];
	__u32 sealed[IA_STATE_OPTIONS + 1];
	__u64 sum_ranges;
	__u64 sum_mappings;
	__u64 sum_text;
	struct ioasid_list_entry entries[IA_STATE_MAX];
	union {
		struct ioasid_info info;
		struct ioasid_device_info device;
	} infos[IA_STATE_MAX];
	/* of all objects, in the order of @entries */
	struct ioasid_iova_range ranges[IA_STATE_RANGES];
	struct {
		__u32 id;
		__u32 pad;
		struct ioasid_query_entry entry;
	} mappings[IA_STATE_MAPPINGS];
	char text[IA_STATE_TEXT];
};

int ia_state_read(int fd, struct ia_state *state);

/*
 * Ignore the number of pieces of children's mappings, and the numbers of IOPTEs
 * that follow from that.
 */
void ia_state_forget_pieces(struct ia_state *state);

/* NULL if @a and @b are the same, or else the difference. */
const char *ia_state_diff(const struct ia_state *a, const struct ia_state *b);

/* Observable state of a file: its size, and where it has memory. */
struct ia_file {
	__u64 size;
	__u64 blocks;
	__u64 seals;
	__u64 sum;
};

int ia_file_read(int fd, struct ia_file *file);

#endif /* __SELFTESTS_IOASID_STATE_H */
