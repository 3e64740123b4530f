/* SPDX-License-Identifier: GPL-2.0-only */
/* The entries of a rehome: where the calling process has memory. */
#ifndef _IOASID_IOAS_HOME_H
#define _IOASID_IOAS_HOME_H

#include "ioas.h"

/* Entries that are read at a time */
#define IOAS_HOMES_BATCH	16

/**
 * struct ioas_homes - a walk through the entries of a rehome, in ascending order
 * @rehome: the rehome
 * @next: number of entries that were read
 * @at: index in @entry of the current one; @nr if there is none
 * @nr: number of entries in @entry
 * @any: an entry was read
 * @last: last byte of the last entry that was read
 * @entry: some entries, checked
 */
struct ioas_homes {
	struct ioas_rehome *rehome;
	u32 next;
	unsigned int at;
	unsigned int nr;
	bool any;
	u64 last;
	struct ioasid_rehome_entry entry[IOAS_HOMES_BATCH];
};

void ioas_homes_init(struct ioas_homes *homes, struct ioas_rehome *rehome);
bool ioas_homes_behind(const struct ioas_homes *homes, u64 iova);
int ioas_homes_seek(struct ioas_homes *homes, u64 iova);
int ioas_homes_finish(struct ioas_homes *homes);
const struct ioasid_rehome_entry *
ioas_home_of(const struct ioas_homes *homes, const struct ioas_mapping *m);
bool ioas_home_covers(const struct ioasid_rehome_entry *home,
		      const struct ioas_mapping *m);

#endif /* _IOASID_IOAS_HOME_H */
