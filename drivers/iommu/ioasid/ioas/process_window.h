/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Windows of the memory of a process, and what of them is in domains.
 */
#ifndef _IOASID_IOAS_PROCESS_WINDOW_H
#define _IOASID_IOAS_PROCESS_WINDOW_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/types.h>

struct ioas_domain;
struct ioas_process;

#define PROCESS_WINDOW_SHIFT	21
#define PROCESS_WINDOW_SIZE	BIT_ULL(PROCESS_WINDOW_SHIFT)
#define PROCESS_WINDOW_PAGES	(PROCESS_WINDOW_SIZE >> PAGE_SHIFT)

/**
 * struct process_window - a part of the memory of a process
 * @notifier: takes out of the domains what the process is about to lose
 * @process: the process
 * @idle: in ioas_process.idle
 * @parts: struct process_part, of each domain that it was mapped in
 * @nr_mapped: pages that are mapped in these
 * @nr_held: pages that are not, and that a poisoned domain may reach
 * @users: workers that use it
 *
 * Protected by ioas_process.lock.
 */
struct process_window {
	struct mmu_interval_notifier notifier;
	struct ioas_process *process;
	struct list_head idle;
	struct list_head parts;
	unsigned int nr_mapped;
	unsigned int nr_held;
	unsigned int users;
};

/**
 * struct process_part - a window in one domain
 * @node: in process_window.parts
 * @dom: the domain; only to be compared
 * @whole: it is mapped by one IOPTE, or a few that do not end at each page
 * @pfns: of each page: 0, or its PFN with flags of struct hmm_range.  A page, which
 *	it would not be as the end of this structure
 */
struct process_part {
	struct list_head node;
	const struct ioas_domain *dom;
	bool whole;
	unsigned long *pfns;
};

/* Its first address */
static inline u64 process_window_start(const struct process_window *window)
{
	return window->notifier.interval_tree.start;
}

struct process_part *ioas_process_part_alloc(void);
void ioas_process_part_free(struct process_part *part);
struct process_part *ioas_process_part_find(struct process_window *window,
					    const struct ioas_domain *dom);
void ioas_process_part_remove(struct process_window *window,
			      struct process_part *part,
			      struct ioas_domain *dom, unsigned int first,
			      unsigned int end);
int ioas_process_part_write(struct process_window *window,
			    struct process_part *part, struct ioas_domain *dom,
			    const unsigned long *pfns);
void ioas_process_part_forget(struct process_window *window,
			      struct process_part *part);

#endif /* _IOASID_IOAS_PROCESS_WINDOW_H */
