// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: a root that pins what its children refer to, and what a
 * device requests.  How much more is pinned, and how long, is the kernel's affair;
 * devices find what is mapped, and nothing else.
 */
#include "fuzz_served.h"

int demand_open(struct served *s)
{
	struct served_demand *d = &s->demand;
	struct ioasid_alloc cmd = {
		.argsz = sizeof(cmd),
		.flags = IOASID_ALLOC_DEMAND,
		.kind = IOASID_KIND_MAP,
		/* windows of 4 pages, or of all of them */
		.cut_size = served_below(s, 2) ? 4 * FUZZ_PAGE : 0,
	};
	int i, rc;

	d->mem = family_memory(SERVED_PAGES);
	if (!d->mem)
		return -ENOMEM;
	rc = SERVED_WANT(0, ia_cmd(s->fd, IOASID_ALLOC, &cmd));
	d->id = cmd.ioasid;
	for (i = 0; i < SERVED_CHILDREN && !rc; i++)
		rc = SERVED_WANT(0, ia_child(s->fd, d->id, 0, &d->children[i])) ?:
		     SERVED_WANT(0, pasid_attach(&s->dev, d->children[i], CHILD_PASID + i));
	return rc;
}

static __u32 bits(unsigned int page, unsigned int nr)
{
	return ((1ULL << nr) - 1) << page;
}

static bool is_referred(const struct served_demand *d, __u32 pages)
{
	unsigned int c, i;

	for (c = 0; c < SERVED_CHILDREN; c++)
		for (i = 0; i < SERVED_PAGES; i++)
			if (d->refs[c][i] && pages >> (d->refs[c][i] - 1) & 1)
				return true;
	return false;
}

static int root_map(struct served *s, unsigned int page, unsigned int nr)
{
	struct served_demand *d = &s->demand;
	const __u32 pages = bits(page, nr);
	int rc;

	rc = SERVED_WANT(d->mapped & pages ? -EEXIST : 0,
			 ia_map(s->fd, d->id, DEMAND_AT + page * FUZZ_PAGE,
				d->mem + page * FUZZ_PAGE, nr * FUZZ_PAGE));
	if (!(d->mapped & pages))
		d->mapped |= pages;
	return rc;
}

static int root_unmap(struct served *s, unsigned int page, unsigned int nr,
		      bool cascade)
{
	struct served_demand *d = &s->demand;
	const __u32 pages = bits(page, nr), gone = d->mapped & pages;
	const bool busy = !cascade && is_referred(d, gone);
	__u64 unmapped = 0;
	unsigned int c, i;
	int rc;

	rc = SERVED_WANT(busy ? -EBUSY : 0,
			 ia_unmap_full(s->fd, d->id, IOASID_UNMAP_SPLIT |
				       (cascade ? IOASID_UNMAP_CASCADE : 0),
				       DEMAND_AT + page * FUZZ_PAGE, nr * FUZZ_PAGE,
				       &unmapped));
	if (rc || busy)
		return rc;
	d->mapped &= ~pages;
	for (c = 0; c < SERVED_CHILDREN; c++)
		for (i = 0; i < SERVED_PAGES; i++)
			if (d->refs[c][i] && pages >> (d->refs[c][i] - 1) & 1)
				d->refs[c][i] = 0;
	return SERVED_WANT(__builtin_popcount(gone) * FUZZ_PAGE, unmapped);
}

/* What a child has at some of its pages: the first of them, and how many */
static bool is_taken(const struct served_demand *d, unsigned int c, unsigned int at,
		     unsigned int nr)
{
	while (nr--)
		if (d->refs[c][at + nr])
			return true;
	return false;
}

static int child_map(struct served *s, unsigned int c, unsigned int at,
		     unsigned int page, unsigned int nr)
{
	struct served_demand *d = &s->demand;
	const bool there = (d->mapped & bits(page, nr)) == bits(page, nr);
	const bool taken = is_taken(d, c, at, nr);
	unsigned int i;
	int rc;

	rc = ia_map_ref(s->fd, d->children[c], DEMAND_CHILD_AT + at * FUZZ_PAGE,
			DEMAND_AT + page * FUZZ_PAGE, nr * FUZZ_PAGE, IA_RW);
	/* any of two errors is right */
	if (taken && rc == -EEXIST)
		return 0;
	rc = SERVED_WANT(!there ? -ENXIO : taken ? -EEXIST : 0, rc);
	for (i = 0; i < nr && there && !taken; i++)
		d->refs[c][at + i] = page + i + 1;
	return rc;
}

static int child_unmap(struct served *s, unsigned int c, unsigned int at,
		       unsigned int nr)
{
	struct served_demand *d = &s->demand;
	__u64 unmapped = 0, want = 0;
	unsigned int i;

	for (i = at; i < at + nr; i++) {
		want += d->refs[c][i] ? FUZZ_PAGE : 0;
		d->refs[c][i] = 0;
	}
	return SERVED_WANT(0, ia_unmap_full(s->fd, d->children[c], IOASID_UNMAP_SPLIT,
					    DEMAND_CHILD_AT + at * FUZZ_PAGE,
					    nr * FUZZ_PAGE, &unmapped)) ?:
	       SERVED_WANT(want, unmapped);
}

/* The device reads the number of the page */
static int child_read(struct served *s, unsigned int c, unsigned int at)
{
	const int ref = s->demand.refs[c][at];

	return SERVED_WANT(ref ? ref - 1 : -MODEL_FAULT_ABSENT,
			   pasid_page_at(&s->dev, CHILD_PASID + c,
					 DEMAND_CHILD_AT + at * FUZZ_PAGE));
}

static int root_attach(struct served *s)
{
	struct served_demand *d = &s->demand;
	int rc;

	rc = d->attached ? pasid_detach(&s->dev, ROOT_PASID) :
			   pasid_attach(&s->dev, d->id, ROOT_PASID);
	d->attached ^= !rc;
	return SERVED_WANT(0, rc);
}

/* The device reads the page, which it requests if need be */
static int root_read(struct served *s, unsigned int page)
{
	struct served_demand *d = &s->demand;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_READ,
		.flags = IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_PRI |
			 IOASID_MODEL_DMA_ATS,
		.pasid = ROOT_PASID,
		.address = DEMAND_AT + page * FUZZ_PAGE,
		.length = 1,
	};
	__u8 byte;
	int rc;

	if (!d->attached)
		return 0;
	rc = model_dma(&s->dev, &dma, NULL);
	if (!(d->mapped & bits(page, 1)))
		return SERVED_WANT(MODEL_PAGE_REQUEST, rc);
	return SERVED_WANT(0, rc) ?:
	       SERVED_WANT(0, model_read_memory(&s->dev, 0, &byte, 1)) ?:
	       SERVED_WANT(page + 1, byte);
}

/* What children refer to is pinned, and all that is not is on demand */
static int look(struct served *s)
{
	struct served_demand *d = &s->demand;
	__u32 pages = 0;
	struct ioasid_info info;
	unsigned int c, i;
	int rc;

	for (c = 0; c < SERVED_CHILDREN; c++)
		for (i = 0; i < SERVED_PAGES; i++)
			if (d->refs[c][i])
				pages |= bits(d->refs[c][i] - 1, 1);
	rc = SERVED_WANT(0, ia_info(s->fd, d->id, &info)) ?:
	     SERVED_WANT(__builtin_popcount(d->mapped) * FUZZ_PAGE,
			 info.bytes_pinned + info.bytes_demand) ?:
	     SERVED_WANT(info.bytes_pinned, info.bytes_charged) ?:
	     SERVED_WANT(info.bytes_pinned, info.bytes_mapped);
	if (!rc && info.bytes_pinned < __builtin_popcount(pages) * FUZZ_PAGE)
		rc = served_complain("bytes_pinned", info.bytes_pinned,
				     __builtin_popcount(pages) * FUZZ_PAGE);
	return rc ?: SERVED_WANT(0, ia_rehome(s->fd, d->id, 0, NULL, NULL));
}

int demand_step(struct served *s)
{
	const unsigned int c = served_below(s, SERVED_CHILDREN);
	unsigned int page = served_below(s, SERVED_PAGES);
	unsigned int at = served_below(s, SERVED_PAGES);
	unsigned int nr = 1 + served_below(s, 6);

	if (nr > SERVED_PAGES - page)
		nr = SERVED_PAGES - page;
	if (at + nr > SERVED_PAGES)
		at = SERVED_PAGES - nr;
	switch (served_below(s, 32)) {
	case 0 ... 4:
		return root_map(s, page, nr);
	case 5 ... 6:
		return root_unmap(s, page, nr, served_below(s, 2));
	case 7 ... 13:
		return child_map(s, c, at, page, nr);
	case 14 ... 17:
		return child_unmap(s, c, at, nr);
	case 18 ... 23:
		return child_read(s, c, at);
	case 24 ... 27:
		return root_read(s, page);
	case 28 ... 29:
		return root_attach(s);
	default:
		return look(s);
	}
}

/* When no child is left, and no device, all can be unmapped, and nothing is charged */
int demand_close(struct served *s)
{
	struct served_demand *d = &s->demand;
	int c, rc = 0;

	for (c = 0; c < SERVED_CHILDREN && !rc; c++)
		rc = SERVED_WANT(0, pasid_detach(&s->dev, CHILD_PASID + c)) ?:
		     SERVED_WANT(0, ia_free(s->fd, d->children[c]));
	if (!rc && d->attached)
		rc = root_attach(s);
	return rc ?: SERVED_WANT(0, ia_unmap_all(s->fd, d->id, NULL)) ?:
	       SERVED_WANT(0, ia_free(s->fd, d->id)) ?:
	       SERVED_WANT(0, ia_status("VmPin"));
}
