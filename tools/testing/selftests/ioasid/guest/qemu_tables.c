// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of a VT-d that QEMU emulates change at random: pages come, go and are
 * replaced, small ones and superpages of 2 MiB, which are split and joined in place,
 * and are invalidated by page, by range, or all.  An edu device of the host behind it
 * reads what the tables map, and writes there: its DMA must be right at every step.
 *
 *	qemu_tables [-n CHANGES] [-c CHANGES-PER-CHECK] [-s SEED] -- QEMU ARG...
 *
 * QEMU's guest does not run, see lib/qemu_vtd.h; the edu device is its 00:06.0.
 */
#include <stdio.h>
#include <string.h>

#include "qemu_vtd.h"

/* Two areas of 2 MiB that change, and a page that stays, for the device's answers */
#define NR_AREAS 2
#define AREA_PAGES 512
#define NR_PAGES (NR_AREAS * AREA_PAGES)
#define ANSWER (QV_IOVA + NR_AREAS * 0x200000ULL)
#define ANSWER_ADDRESS 0x800000ULL
/* Memory that pages map, whose words tell where they are */
#define NR_DATA 8192
#define TABLE(area) (QV_TABLE1 + (area) * QV_PAGE)
#define READ_WRITE 3
#define SUPERPAGE 128

static uint64_t *pte(unsigned int page)
{
	return &qv_at(TABLE(page / AREA_PAGES))[page % AREA_PAGES];
}

static uint64_t *pde(unsigned int page)
{
	return &qv_at(QV_TABLE2)[page / AREA_PAGES];
}

/* What a page is mapped to, or 0 */
static uint64_t expected(unsigned int page)
{
	if (!*pde(page))
		return 0;
	if (*pde(page) & SUPERPAGE)
		return (*pde(page) & ~0xfffULL) + page % AREA_PAGES * QV_PAGE;
	return *pte(page) & ~0xfffULL;
}

static void invalidate(unsigned int page, unsigned int order)
{
	if (qv_below(8))
		qv_invalidate(QV_IOVA + (page & ~((1U << order) - 1)) * QV_PAGE, order);
	else
		qv_invalidate_domain();
}

static void change(void)
{
	unsigned int page = qv_below(NR_PAGES), first = page / AREA_PAGES * AREA_PAGES, i;
	unsigned int area = page / AREA_PAGES;
	uint64_t entry;

	switch (qv_below(16)) {
	case 0:
		/* A superpage, in the place of whatever there is */
		*pde(page) = (QV_DATA + qv_below(NR_DATA / AREA_PAGES) * AREA_PAGES * QV_PAGE) |
			     SUPERPAGE | READ_WRITE;
		invalidate(page, 9);
		break;
	case 1:
		/* Nothing */
		*pde(page) = 0;
		invalidate(page, 9);
		break;
	case 2:
	case 3:
		/* Small pages in the place of a superpage: the same memory, but for one */
		if (!(*pde(page) & SUPERPAGE))
			break;
		entry = *pde(page) & ~(0xfffULL | SUPERPAGE);
		for (i = first; i < first + AREA_PAGES; i++)
			*pte(i) = (entry + (i - first) * QV_PAGE) | READ_WRITE;
		*pte(page) = qv_below(2) ? 0 : (QV_DATA + qv_below(NR_DATA) * QV_PAGE) | READ_WRITE;
		*pde(page) = TABLE(area) | READ_WRITE;
		/* Only what has changed need be invalidated */
		invalidate(page, qv_below(2) ? 9 : 0);
		break;
	case 4:
		/* A table */
		if (*pde(page))
			break;
		memset(pte(first), 0, QV_PAGE);
		*pde(page) = TABLE(area) | READ_WRITE;
		invalidate(page, 9);
		break;
	case 5:
		/* Several small pages */
		if (!*pde(page) || *pde(page) & SUPERPAGE)
			break;
		page &= ~15U;
		for (i = page; i < page + 16; i++)
			*pte(i) = qv_below(3) ?
				(QV_DATA + qv_below(NR_DATA) * QV_PAGE) | READ_WRITE : 0;
		invalidate(page, 4);
		break;
	default:
		if (!*pde(page) || *pde(page) & SUPERPAGE)
			break;
		*pte(page) = qv_below(3) ? (QV_DATA + qv_below(NR_DATA) * QV_PAGE) | READ_WRITE : 0;
		invalidate(page, 0);
	}
}

/* Whether the device reads there what it ought to */
static int check(unsigned int page)
{
	uint64_t *answer = qv_at(ANSWER_ADDRESS), want;

	want = *qv_at(expected(page));
	*answer = 0;
	qv_edu_copy(QV_BAR, QV_IOVA + page * QV_PAGE, ANSWER);
	if (*answer == want)
		return 0;
	printf("# page %u: read %#llx, not %#llx\n", page, (unsigned long long)*answer,
	       (unsigned long long)want);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned int changes = 100000, per_check = 200, i, j, checks = 0;
	pid_t pid;
	int bad = 0;

	argv = qv_options(argc, argv, &changes, &per_check);
	pid = qv_start(argv);
	for (i = 0; i < NR_DATA; i++)
		*qv_at(QV_DATA + i * QV_PAGE) = 0xda7a000000000000ULL | i;
	for (i = 0; i < 128; i++)
		qv_at(QV_TABLE2)[i] = 0;
	qv_at(QV_TABLE2)[NR_AREAS] = TABLE(NR_AREAS) | READ_WRITE;
	qv_at(TABLE(NR_AREAS))[0] = ANSWER_ADDRESS | READ_WRITE;
	qv_invalidate_domain();
	qv_submit();
	qv_edu_init(QV_EDU, QV_BAR);

	for (i = 0; i < changes && !bad; i++) {
		change();
		if (!qv_below(4))
			qv_submit();
		if (i % per_check)
			continue;
		qv_submit();
		/* A page that is mapped, if there is one */
		for (j = 0; j < NR_PAGES; j++) {
			unsigned int page = qv_below(NR_PAGES);

			if (expected(page)) {
				bad = check(page);
				checks++;
				break;
			}
		}
	}
	qv_stop(pid);
	printf("# %u changes, %u checks\n", i, checks);
	return bad;
}
