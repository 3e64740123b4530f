// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entries of a rehome: where the calling process has memory.
 *
 * Invariants:
 *  - Entries ascend and do not overlap, as do mappings: one pass through the
 *    entries finds the entry of each mapping.
 *  - An entry is checked after each time that it is read: the caller may change it
 *    between two walks.
 *
 * Locks: none.  Entries are read, which may take a page fault, with no lock held.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "home.h"
#include "valid.h"

static u64 last_of(const struct ioasid_rehome_entry *entry)
{
	return entry->iova + (entry->length - 1);
}

/**
 * ioas_homes_init() - begin a walk through all entries
 * @homes: uninitialised
 * @rehome: the rehome
 */
void ioas_homes_init(struct ioas_homes *homes, struct ioas_rehome *rehome)
{
	homes->rehome = rehome;
	homes->next = 0;
	homes->at = 0;
	homes->nr = 0;
	homes->any = false;
}

static int check_entry(struct ioas_homes *homes,
		       const struct ioasid_rehome_entry *entry)
{
	if (!range_valid(entry->iova, entry->length) ||
	    !range_valid(entry->addr, entry->length) ||
	    (homes->any && entry->iova <= homes->last)) {
		homes->rehome->fail_iova = entry->iova;
		return -EINVAL;
	}
	homes->any = true;
	homes->last = last_of(entry);
	return 0;
}

/* Read the next entries; there may be none */
static int read_entries(struct ioas_homes *homes)
{
	struct ioas_rehome *rehome = homes->rehome;
	unsigned int i, n = min(rehome->nr - homes->next, IOAS_HOMES_BATCH);
	int ret;

	homes->at = 0;
	homes->nr = 0;
	if (!n)
		return 0;
	cond_resched();
	if (fatal_signal_pending(current))
		return -EINTR;
	ret = rehome->read(rehome, homes->entry, homes->next, n);
	for (i = 0; i < n && !ret; i++)
		ret = check_entry(homes, &homes->entry[i]);
	if (ret)
		return ret;
	homes->next += n;
	homes->nr = n;
	return 0;
}

/**
 * ioas_homes_behind() - test whether ioas_homes_seek() has something to do
 * @homes: the walk
 * @iova: an IOVA, not below that of an earlier call
 *
 * Context: does not sleep.
 * Return: true if it has.
 */
bool ioas_homes_behind(const struct ioas_homes *homes, u64 iova)
{
	if (homes->at < homes->nr)
		return last_of(&homes->entry[homes->at]) < iova;
	return homes->next < homes->rehome->nr;
}

/**
 * ioas_homes_seek() - go on to the first entry that ends at or after an IOVA
 * @homes: the walk
 * @iova: the IOVA
 *
 * Context: may sleep, for as long as a page fault takes; with no lock held.
 * Return: 0; -EINVAL, an entry is malformed or does not ascend, and its IOVA is in
 * fail_iova of the rehome; -EFAULT or -E2BIG, it cannot be read; -EINTR, a fatal
 * signal.
 */
int ioas_homes_seek(struct ioas_homes *homes, u64 iova)
{
	int ret = 0;

	while (!ret && ioas_homes_behind(homes, iova))
		if (++homes->at >= homes->nr)
			ret = read_entries(homes);
	return ret;
}

/**
 * ioas_homes_finish() - check the entries behind the last mapping
 * @homes: the walk
 *
 * Context: may sleep, for as long as a page fault takes; with no lock held.
 * Return: as ioas_homes_seek().
 */
int ioas_homes_finish(struct ioas_homes *homes)
{
	int ret = 0;

	while (!ret && homes->next < homes->rehome->nr)
		ret = read_entries(homes);
	return ret;
}

/**
 * ioas_home_of() - get the entry for a mapping
 * @homes: the walk, after ioas_homes_seek() to the mapping
 * @m: the mapping; the lock of its address space is held
 *
 * Return: the first entry that has an IOVA of the mapping, or NULL.
 */
const struct ioasid_rehome_entry *
ioas_home_of(const struct ioas_homes *homes, const struct ioas_mapping *m)
{
	const struct ioasid_rehome_entry *entry = &homes->entry[homes->at];

	if (homes->at == homes->nr || entry->iova > m->last ||
	    last_of(entry) < m->start)
		return NULL;
	return entry;
}

/**
 * ioas_home_covers() - test whether an entry is for all of a mapping
 * @home: the entry
 * @m: the mapping; the lock of its address space is held
 *
 * Return: true if it is.
 */
bool ioas_home_covers(const struct ioasid_rehome_entry *home,
		      const struct ioas_mapping *m)
{
	return home->iova <= m->start && last_of(home) >= m->last;
}
