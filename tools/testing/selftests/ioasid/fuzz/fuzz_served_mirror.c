// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: the memory of the process, as it changes, and devices that
 * use it by the IOASID that mirrors it.
 */
#define _GNU_SOURCE
#include <linux/memfd.h>

#include "fuzz_served.h"

static char *page_at(const struct served *s, unsigned int page)
{
	return s->mirror.mem + page * FUZZ_PAGE;
}

bool mirror_may(const struct served *s, unsigned int page, bool write)
{
	const struct served_page *p = &s->mirror.pages[page];

	return p->there && p->prot & (write ? PROT_WRITE : PROT_READ);
}

/* DMA that requests a page; 0, enum model_reason of its end, or a negative errno */
static int dma(struct served *s, __u32 op, __u32 pasid, const void *page, __u64 seed)
{
	const struct ioasid_model_dma cmd = {
		.op = op,
		.flags = IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_ATS |
			 (pasid ? IOASID_MODEL_DMA_PASID : 0),
		.pasid = pasid,
		.threads = 1,
		.address = IA_PTR(page),
		.length = FUZZ_PAGE,
		.count = 1,
		.operand = seed,
	};

	return model_dma(&s->dev, &cmd, NULL);
}

/* New memory for pages, private or of the file */
static int map_new(struct served *s, unsigned int page, unsigned int nr)
{
	struct served_mirror *m = &s->mirror;
	const bool shared = nr == 1 && !served_below(s, 3);
	const int flags = shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	char *p = page_at(s, page);
	unsigned int i;

	for (i = 0; i < nr; i++)
		m->pages[page + i] = (struct served_page){
			.there = true, .prot = PROT_READ | PROT_WRITE,
		};
	return SERVED_WANT(IA_PTR(p),
			   IA_PTR(mmap(p, nr * FUZZ_PAGE, PROT_READ | PROT_WRITE,
				       flags | MAP_FIXED, shared ? m->file : -1, 0)));
}

int mirror_open(struct served *s)
{
	struct served_mirror *m = &s->mirror;
	char *p = process_memory(2 * PROCESS_WINDOW);

	if (!p)
		return -ENOMEM;
	m->mem = p + PROCESS_WINDOW - SERVED_PAGES / 2 * FUZZ_PAGE;
	m->loose = p + PROCESS_WINDOW + PROCESS_WINDOW / 2;
	m->file = memfd_create("served", MFD_CLOEXEC);
	m->attached[1] = true;
	return SERVED_WANT(0, ftruncate(m->file, FUZZ_PAGE)) ?:
	       SERVED_WANT(0, process_alloc(s->fd, &m->id)) ?:
	       SERVED_WANT(0, process_attach(&s->dev, m->id, 1)) ?:
	       map_new(s, 0, SERVED_PAGES);
}

/* ---- Changes ---- */

/* The same for each page of a range that is there */
static int for_range(struct served *s, unsigned int page, unsigned int nr,
		     int (*change)(struct served *s, unsigned int page))
{
	int rc = 0;

	for (; nr && !rc; page++, nr--)
		if (s->mirror.pages[page].there)
			rc = change(s, page);
	return rc;
}

static int drop(struct served *s, unsigned int page)
{
	s->mirror.pages[page].there = false;
	return SERVED_WANT(0, munmap(page_at(s, page), FUZZ_PAGE));
}

static int protect(struct served *s, unsigned int page)
{
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
	};
	const int prot = prots[served_below(s, 3)];

	s->mirror.pages[page].prot = prot;
	return SERVED_WANT(0, mprotect(page_at(s, page), FUZZ_PAGE, prot));
}

static int empty(struct served *s, unsigned int page)
{
	return SERVED_WANT(0, madvise(page_at(s, page), FUZZ_PAGE, MADV_DONTNEED));
}

static int store(struct served *s, unsigned int page)
{
	__u64 *p = (__u64 *)page_at(s, page);

	if (mirror_may(s, page, true))
		p[served_below(s, FUZZ_PAGE / 8)] = fuzz_mix(&s->random);
	return 0;
}

static int move(struct served *s, unsigned int from, unsigned int to)
{
	struct served_page *pages = s->mirror.pages;
	char *p = page_at(s, to);

	if (!pages[from].there || from == to)
		return 0;
	pages[to] = pages[from];
	pages[from].there = false;
	return SERVED_WANT(IA_PTR(p),
			   IA_PTR(mremap(page_at(s, from), FUZZ_PAGE, FUZZ_PAGE,
					 MREMAP_MAYMOVE | MREMAP_FIXED, p)));
}

static bool is_private(const struct served *s, unsigned int page)
{
	unsigned char there;
	__u64 entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && pread(fd, &entry, sizeof(entry), IA_PTR(page_at(s, page)) /
			     FUZZ_PAGE * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	/* bit 61: a page of a file, or shared memory */
	there = entry >> 63;
	return there && !(entry >> 61 & 1);
}

/*
 * A child has the memory as it was when it was made: what the device writes meanwhile
 * is not there, and what the child writes is not in the parent.
 */
static int with_child(struct served *s, unsigned int page)
{
	__u64 *p = (__u64 *)page_at(s, page), was, go = 0;
	const bool private = is_private(s, page);
	int to_child[2], status = 0, rc = 0;
	pid_t pid;

	if (!mirror_may(s, page, true) || !private)
		return 0;
	was = *p;
	if (pipe2(to_child, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		p[1] = ~p[1];
		if (read(to_child[0], &go, sizeof(go)) != sizeof(go))
			_exit(2);
		_exit(*p != was);
	}
	if (s->mirror.attached[1])
		rc = SERVED_WANT(0, dma(s, IOASID_MODEL_FILL, 1, p, was + 1));
	if (write(to_child[1], &go, sizeof(go)) != sizeof(go))
		rc = rc ?: -EIO;
	close(to_child[0]);
	close(to_child[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return rc ?: SERVED_WANT(0, status);
}

static int change(struct served *s)
{
	const unsigned int page = served_below(s, SERVED_PAGES);
	unsigned int nr = 1 + served_below(s, 6);

	if (nr > SERVED_PAGES - page)
		nr = SERVED_PAGES - page;
	switch (served_below(s, 16)) {
	case 0 ... 1:
		return for_range(s, page, nr, drop);
	case 2 ... 4:
		return map_new(s, page, nr);
	case 5 ... 7:
		return for_range(s, page, nr, protect);
	case 8 ... 9:
		return for_range(s, page, nr, empty);
	case 10 ... 11:
		return move(s, page, served_below(s, SERVED_PAGES));
	case 12:
		madvise(page_at(s, 0) - PROCESS_WINDOW / 2, PROCESS_WINDOW,
			served_below(s, 2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		return 0;
	case 13:
		return served_below(s, 8) ? for_range(s, page, nr, store) :
					    with_child(s, page);
	default:
		return for_range(s, page, nr, store);
	}
}

/* ---- Devices ---- */

/* What DMA has to come to: 0, or enum model_reason */
static int expected(const struct served *s, unsigned int pasid, unsigned int page,
		    bool write)
{
	if (!s->mirror.attached[pasid])
		return pasid ? MODEL_FAULT_PASID : MODEL_FAULT_BLOCKED;
	return mirror_may(s, page, write) ? 0 : MODEL_PAGE_REQUEST;
}

static int dma_read(struct served *s, unsigned int pasid, unsigned int page)
{
	const int want = expected(s, pasid, page, false);
	char data[FUZZ_PAGE];
	int rc;

	rc = SERVED_WANT(want, dma(s, IOASID_MODEL_READ, pasid,
				   page_at(s, page), 0));
	if (rc || want)
		return rc;
	return SERVED_WANT(0, model_read_memory(&s->dev, 0, data, sizeof(data))) ?:
	       SERVED_WANT(0, !!memcmp(data, page_at(s, page), sizeof(data)));
}

static int dma_write(struct served *s, unsigned int pasid, unsigned int page)
{
	const int want = expected(s, pasid, page, true);
	const bool readable = mirror_may(s, page, false);
	const char *p = page_at(s, page);
	const __u64 seed = fuzz_mix(&s->random);
	char was[FUZZ_PAGE];
	int rc;

	if (readable)
		memcpy(was, p, sizeof(was));
	rc = SERVED_WANT(want, dma(s, IOASID_MODEL_FILL, pasid, p, seed));
	if (rc)
		return rc;
	if (!want)
		return SERVED_WANT(true, model_pattern_holds(p, seed, IA_PTR(p), FUZZ_PAGE));
	return readable ? SERVED_WANT(0, !!memcmp(was, p, sizeof(was))) : 0;
}

static int attach(struct served *s, unsigned int pasid)
{
	struct served_mirror *m = &s->mirror;
	int rc;

	/* PASID 1 is that of pages which change */
	if (pasid == 1)
		return 0;
	if (m->attached[pasid])
		rc = SERVED_WANT(0, process_detach(&s->dev, pasid));
	else
		rc = SERVED_WANT(0, process_attach(&s->dev, m->id, pasid));
	m->attached[pasid] = !m->attached[pasid];
	return rc;
}

/* Commands that the kind has not, and a free of what is attached */
static int refused(struct served *s)
{
	const __u32 id = s->mirror.id;
	struct ioasid_info info;
	__u64 iova = FUZZ_PAGE;
	__u32 child;

	return SERVED_WANT(-EOPNOTSUPP, ia_map(s->fd, id, iova, s->demand.mem, FUZZ_PAGE)) ?:
	       SERVED_WANT(-EOPNOTSUPP, ia_unmap_all(s->fd, id, NULL)) ?:
	       SERVED_WANT(-EOPNOTSUPP, ia_rehome(s->fd, id, 0, NULL, NULL)) ?:
	       SERVED_WANT(-EOPNOTSUPP, ia_child(s->fd, id, 0, &child)) ?:
	       SERVED_WANT(-EBUSY, ia_free(s->fd, id)) ?:
	       SERVED_WANT(0, ia_info(s->fd, id, &info)) ?:
	       SERVED_WANT(IOASID_KIND_PROCESS, info.kind) ?:
	       SERVED_WANT(IOASID_STATE_ATTACHED, info.state) ?:
	       SERVED_WANT(0, info.bytes_pinned) ?:
	       SERVED_WANT(0, info.bytes_charged) ?:
	       SERVED_WANT(0, info.nr_mappings);
}

int mirror_step(struct served *s)
{
	const unsigned int page = served_below(s, SERVED_PAGES);
	unsigned int pasid = served_below(s, SERVED_PASIDS);

	/* mostly one that is attached */
	if (!s->mirror.attached[pasid] && served_below(s, 8))
		pasid = 1;
	switch (served_below(s, 64)) {
	case 0 ... 31:
		return change(s);
	case 32 ... 46:
		return dma_read(s, pasid, page);
	case 47 ... 60:
		return dma_write(s, pasid, page);
	case 61 ... 62:
		return attach(s, served_below(s, SERVED_PASIDS));
	default:
		return refused(s);
	}
}
