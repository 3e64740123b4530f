// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: sessions in rough surroundings.
 *
 * The sessions, which the model judges, run in a child process. Beside it there
 * can be importers: an owner in this process and one in a child of its own map
 * memory in a window and take it away, and two more processes map from these
 * windows in contexts of their own, with a model device each. All children can
 * be in a memory cgroup that is over memory.high now and then, and can be killed
 * in the middle of what they do, and started again.
 *
 * How all of that ends is foreseen, though the order is not: the owner's
 * commands come to what its list of pages says, whatever importers do; these see
 * the right page or none; and when all children are gone nothing is in use,
 * pinned or charged any more.
 */
#define _GNU_SOURCE
#include "family.h"
#include "fuzz.h"
#include "pasid.h"

#define PAGES 64	/* of a window, page n at n pages behind its start */
#define WINDOW 0x100000000ULL
#define SPACES 4	/* of an importer */
#define BATCH 32
#define IMPORTERS 2
#define PASIDS 4	/* of an importer's device; 0 stands for the requester id */
#define CGROUP "/sys/fs/cgroup/ioasid-fuzz"
#define PROBE (16 * FUZZ_PAGE)	/* as much as may be locked */

/* Operations until a kill, at most; a debug kernel does less in that time. */
#define FAST_LIFE 8000
#define SLOW_LIFE 1000

/* Without any progress, or until a process has gone: it hangs. */
#define PATIENCE_MS 150000
/* What the kernel does later, it does soon. */
#define SETTLE_MS 60000

/* What parent and children share. */
struct common {
	atomic_size_t done;
	atomic_bool stop;
	/* by importers: maps and batches that succeeded, pages that DMA read */
	atomic_size_t maps;
	atomic_size_t reads;
	/* of owners that had gone */
	atomic_size_t orphans;
};

static struct common *common;

/* A root that is exported; its pages, as bits. */
struct owner {
	int fd;
	__u32 id;
	int export;
	char *mem;
	__u64 mapped;
	__u64 random;
};

enum { WORKER, EXPORTER, IMPORTER, CHILDREN = IMPORTER + IMPORTERS };

static const char *const names[] = {
	"the session", "the exporter", "an importer", "an importer",
};

static unsigned int below(__u64 *random, unsigned int n)
{
	return fuzz_mix(random) % n;
}

static __u64 bytes(__u64 pages)
{
	return __builtin_popcountll(pages) * FUZZ_PAGE;
}

static int complain(const char *what, long long got, long long want)
{
	printf("# rough: %s is %lld, should be %lld\n", what, got, want);
	return -EPROTO;
}

#define WANT(want, expr) ({						\
	long long want_ = (want), got_ = (expr);			\
									\
	got_ == want_ ? 0 : complain(#expr, got_, want_);		\
})

/* Of this process; if something else has its mmap_lock, a charge is released later. */
static int want_locked(__u64 locked)
{
	const __u64 start = ia_now_ms();

	while (fuzz_status("VmLck:") != locked &&
	       ia_now_ms() - start < SETTLE_MS)
		usleep(1000);
	return WANT(locked, fuzz_status("VmLck:"));
}

/*
 * Owners
 */

static int owner_open(struct owner *o, char *mem, __u64 random)
{
	*o = (struct owner){ .fd = ia_open(), .mem = mem, .random = random };
	if (o->fd < 0)
		return o->fd;
	/* Not to the user, whose limit the sessions want for themselves */
	return ia_set_option(o->fd, IOASID_OPTION_CHARGE, IOASID_CHARGE_MM, 0) ?:
	       ia_alloc(o->fd, &o->id) ?:
	       ia_export(o->fd, o->id, EXPORT_RW, WINDOW, PAGES * FUZZ_PAGE,
			 ~0ULL, &o->export);
}

static void owner_close(struct owner *o)
{
	close(o->export);
	close(o->fd);
}

/* One operation, which must come to what it must. */
static int owner_step(struct owner *o)
{
	const unsigned int at = below(&o->random, PAGES);
	unsigned int nr = 1 + below(&o->random, 16);
	__u64 iova = WINDOW + at * FUZZ_PAGE, bits, unmapped;
	struct ioasid_info info;
	int rc;

	if (nr > PAGES - at)
		nr = PAGES - at;
	bits = (nr < PAGES ? (1ULL << nr) - 1 : ~0ULL) << at;
	common->done++;
	switch (below(&o->random, 8)) {
	case 0 ... 3:
		rc = ia_map_full(o->fd, o->id, IA_RW_FIXED, &iova,
				 IA_PTR(o->mem + at * FUZZ_PAGE),
				 nr * FUZZ_PAGE, FUZZ_PAGE, 0, 0, NULL);
		if (!rc && !(o->mapped & bits)) {
			o->mapped |= bits;
			return 0;
		}
		return WANT(o->mapped & bits ? -EEXIST : 0, rc);
	case 4 ... 5:
		rc = ia_unmap_full(o->fd, o->id,
				   IOASID_UNMAP_CASCADE | IOASID_UNMAP_SPLIT,
				   iova, nr * FUZZ_PAGE, &unmapped);
		rc = WANT(0, rc) ?: WANT(bytes(o->mapped & bits), unmapped);
		o->mapped &= ~bits;
		return rc;
	case 6:
		rc = ia_unmap(o->fd, o->id, iova, nr * FUZZ_PAGE, &unmapped);
		if (rc == -EBUSY)
			return WANT(0, unmapped);
		rc = WANT(0, rc) ?: WANT(bytes(o->mapped & bits), unmapped);
		o->mapped &= ~bits;
		return rc;
	default:
		return WANT(0, ia_info(o->fd, o->id, &info)) ?:
		       WANT(bytes(o->mapped), info.bytes_mapped) ?:
		       WANT(bytes(o->mapped), info.bytes_pinned) ?:
		       WANT(bytes(o->mapped), info.bytes_charged) ?:
		       want_locked(bytes(o->mapped));
	}
}

/* When no importer is left, nothing is in the way. */
static int owner_check(struct owner *o)
{
	struct ioasid_info info;
	__u64 unmapped;
	int rc;

	rc = WANT(0, ia_unmap_all(o->fd, o->id, &unmapped)) ?:
	     WANT(bytes(o->mapped), unmapped) ?:
	     WANT(0, ia_info(o->fd, o->id, &info)) ?:
	     WANT(0, info.nr_mappings) ?: WANT(0, info.bytes_pinned) ?:
	     WANT(0, info.bytes_charged) ?: WANT(0, info.nr_children);
	o->mapped = 0;
	return rc;
}

static int exporter(struct owner *o)
{
	int rc = 0;

	while (!common->stop && !rc)
		rc = owner_step(o);
	return rc;
}

/*
 * Importers
 */

struct importer {
	int fd;
	__u32 import;
	__u32 ids[SPACES];
	struct model model;
	struct model_device dev;
	bool attached[PASIDS];
	__u64 random;
};

/* What can come of a command, as owners do what they like. */
static bool may_be(int rc)
{
	switch (rc) {
	case 0:
	case -EEXIST:		/* there is a mapping of ours */
	case -ENXIO:		/* there is none of the owner's */
	case -ENODEV:		/* the owner has gone */
	case -ECANCELED:	/* it took away what was being mapped */
		return true;
	default:
		return false;
	}
}

static int judge(const char *what, int rc)
{
	return may_be(rc) ? 0 : complain(what, rc, 0);
}

static int importer_open(struct importer *i, int export)
{
	int s, rc;

	i->fd = ia_open();
	if (i->fd < 0)
		return i->fd;
	rc = ia_import(i->fd, export, 0, &i->import);
	for (s = 0; s < SPACES && !rc; s++)
		rc = ia_child(i->fd, i->import, 0, &i->ids[s]);
	if (i->model.control < 0 || rc)
		return rc;
	i->dev.fd = model_open_cdev(&i->dev);
	if (i->dev.fd < 0)
		return i->dev.fd;
	return hw_bind(i->dev.fd, i->fd, 1, NULL);
}

static void importer_close(struct importer *i)
{
	if (i->dev.fd >= 0)
		close(i->dev.fd);
	i->dev.fd = -1;
	memset(i->attached, 0, sizeof(i->attached));
	close(i->fd);
}

static void importer_range(struct importer *i, __u64 *at, __u64 *length)
{
	unsigned int page = below(&i->random, PAGES);
	unsigned int nr = 1 + below(&i->random, 8);

	*at = page * FUZZ_PAGE;
	*length = (nr < PAGES - page ? nr : PAGES - page) * FUZZ_PAGE;
}

static int importer_batch(struct importer *i, __u32 id)
{
	struct ioasid_dma_op ops[BATCH] = {};
	struct ioasid_dma_batch batch = {
		.argsz = sizeof(batch),
		.ioasid = id,
		.nr = 1 + below(&i->random, BATCH),
		.ops = IA_PTR(ops),
	};
	__u32 n;
	int rc;

	for (n = 0; n < batch.nr; n++) {
		importer_range(i, &ops[n].iova, &ops[n].length);
		if (below(&i->random, 2)) {
			ops[n].op = IOASID_DMA_OP_UNMAP;
			ops[n].flags = IOASID_UNMAP_SPLIT;
			continue;
		}
		ops[n].op = IOASID_DMA_OP_MAP;
		ops[n].flags = IA_RW_FIXED;
		ops[n].addr = ops[n].iova;
	}
	rc = ia_cmd(i->fd, IOASID_DMA_BATCH, &batch);
	return judge("DMA_BATCH", rc) ?:
	       (rc ? 0 : judge("error of DMA_BATCH", batch.error));
}

/* A page of the window is the right one, or not there. */
static int importer_look(struct importer *i)
{
	const unsigned int page = below(&i->random, PAGES);
	const unsigned int pasid = below(&i->random, PASIDS);
	const char *harm;
	int got;

	if (i->dev.fd < 0)
		return 0;
	got = pasid_page_at(&i->dev, pasid, page * FUZZ_PAGE);
	if (got >= 0) {
		common->reads++;
		if (got != (int)page || !i->attached[pasid])
			return complain("what DMA reads", got, page);
	}
	harm = below(&i->random, 16) ? NULL : model_harm(&i->dev);
	if (harm)
		printf("# rough: %s\n", harm);
	return harm ? -EPROTO : 0;
}

/* The owner has gone: what it had is taken away, at once or very soon. */
static int importer_orphaned(struct importer *i)
{
	const __u64 start = ia_now_ms();
	unsigned int n;

	common->orphans++;
	for (n = 0; i->dev.fd >= 0 && n < PASIDS * PAGES; n++)
		while (pasid_page_at(&i->dev, n % PASIDS,
				     n / PASIDS * FUZZ_PAGE) >= 0) {
			if (ia_now_ms() - start > SETTLE_MS)
				return complain("a page of an owner that has gone",
						n / PASIDS, -1);
			usleep(1000);
		}
	return -ENODEV;
}

/* Attach or detach by requester id, or by a PASID */
static int importer_route(struct importer *i, __u32 id)
{
	const unsigned int pasid = below(&i->random, PASIDS);
	int rc;

	if (i->dev.fd < 0)
		return 0;
	/* One that is attached may move, too */
	if (i->attached[pasid] && below(&i->random, 2)) {
		i->attached[pasid] = false;
		rc = pasid ? pasid_detach(&i->dev, pasid) :
			     hw_detach(i->dev.fd, 0);
		return judge("DETACH_IOASID", rc);
	}
	rc = pasid ? pasid_attach(&i->dev, id, pasid) :
		     hw_attach(i->dev.fd, id);
	if (!rc)
		i->attached[pasid] = true;
	return judge("ATTACH_IOASID", rc);
}

/* One operation; -ENODEV when there is no use in going on with this owner. */
static int importer_step(struct importer *i)
{
	__u32 *id = &i->ids[below(&i->random, SPACES)];
	__u64 at, length, unmapped;
	int rc;

	importer_range(i, &at, &length);
	common->done++;
	switch (below(&i->random, 64)) {
	case 0 ... 19:
		rc = ia_map_full(i->fd, *id, IA_RW_FIXED, &at, at, length,
				 0, 0, 0, NULL);
		common->maps += !rc;
		return rc == -ENODEV ? importer_orphaned(i) :
				       judge("MAP_DMA", rc);
	case 20 ... 29:
		rc = ia_unmap_full(i->fd, *id, IOASID_UNMAP_SPLIT, at, length,
				   &unmapped);
		if (unmapped > length)
			return complain("bytes unmapped", unmapped, length);
		return judge("UNMAP_DMA", rc);
	case 30:
		return judge("UNMAP_DMA, all",
			     ia_unmap_all(i->fd, *id, &unmapped));
	case 31 ... 42:
		return importer_batch(i, *id);
	case 43 ... 45:
		return importer_route(i, *id);
	case 46:
		rc = ia_free(i->fd, *id);
		/* It may be attached */
		if (rc == -EBUSY)
			return 0;
		if (rc)
			return judge("FREE", rc);
		rc = ia_child(i->fd, i->import, 0, id);
		return rc == -ENODEV ? rc : judge("ALLOC", rc);
	default:
		return importer_look(i);
	}
}

/* @exports: one of this process's parent, one of a child that may be gone. */
static int importer(const int *exports, __u64 random)
{
	struct importer i = { .fd = -1, .dev.fd = -1, .random = random };
	struct model_params params = { .pasid_bits = 4 };
	int rc = 0, left;

	i.model.control = -1;
	if (!model_load() && !model_open(&i.model, MODEL_IOASID))
		rc = model_plug(&i.model, &i.dev, &params, 0);
	if (rc)
		return complain("a model device", rc, 0);
	while (!common->stop && !rc) {
		rc = importer_open(&i, exports[below(&i.random, 2)]);
		left = 1 + below(&i.random, 400);
		if (rc && rc != -ENODEV)
			complain("IMPORT", rc, 0);
		while (left-- && !common->stop && !rc)
			rc = importer_step(&i);
		if (rc == -ENODEV)
			rc = 0;
		importer_close(&i);
	}
	model_close(&i.model);
	return rc;
}

/*
 * What is left
 */

/* Pages pinned, in the whole machine. */
static long long pins(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "1", 1) != 1)
			fd = dup(fd);
		close(fd);
	}
	return ia_proc_field("/proc/vmstat", "nr_foll_pin_acquired") -
	       ia_proc_field("/proc/vmstat", "nr_foll_pin_released");
}

/* As much as RLIMIT_MEMLOCK says can be charged to the user, and no more. */
static int probe_charge(char *mem)
{
	pid_t pid = ia_fork();
	int status, fd, rc;
	__u32 id;

	if (!pid) {
		fd = ia_open();
		if (fuzz_limit(PROBE) || fuzz_may_lock(false) ||
		    ia_alloc(fd, &id))
			_exit(2);
		rc = ia_map(fd, id, WINDOW, mem, PROBE);
		if (rc)
			_exit(rc == -EDQUOT ? 1 : 2);
		rc = ia_map(fd, id, 2 * WINDOW, mem + PROBE, FUZZ_PAGE);
		_exit(rc == -EDQUOT ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int nothing_left(struct owner *o, long long pinned)
{
	const __u64 start = ia_now_ms();
	int rc;

	rc = owner_check(o);
	if (rc)
		return rc;
	while (pins() != pinned && ia_now_ms() - start < SETTLE_MS)
		usleep(1000);
	return WANT(pinned, pins()) ?: WANT(0, fuzz_status("VmPin:")) ?:
	       want_locked(0) ?: WANT(0, probe_charge(o->mem));
}

/*
 * The cgroup
 */

static int cgroup_write(const char *name, const char *text)
{
	char path[100];
	int fd, rc = 0;

	snprintf(path, sizeof(path), CGROUP "/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* Be over memory.high by a little: that takes time, but not for ever. */
static int squeeze(bool over)
{
	char text[32] = {};
	long long now;
	int fd;

	if (!over)
		return cgroup_write("memory.high", "max");
	fd = open(CGROUP "/memory.current", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -errno;
	close(fd);
	now = strtoll(text, NULL, 10);
	snprintf(text, sizeof(text), "%lld", now - now / 16);
	return cgroup_write("memory.high", text);
}

/*
 * Lives of the children
 */

struct family {
	const struct fuzz_rough *rough;
	struct owner owner;
	pid_t pids[CHILDREN];
	unsigned int lives;
	__u64 random;
};

static bool with(const struct family *f, enum fuzz_roughness what)
{
	return f->rough->how & what;
}

static int child(struct family *f, int which, struct owner *other, __u64 random)
{
	const int exports[] = { f->owner.export, other->export };

	if (which != EXPORTER)
		close(other->fd);
	/* To be the only one that has it open is its owner's part. */
	close(f->owner.fd);
	if (with(f, FUZZ_HIGH) && cgroup_write("cgroup.procs", "0"))
		return KSFT_FAIL;
	switch (which) {
	case WORKER:
		fuzz_progress = &common->done;
		return f->rough->session(f->rough, random) ? KSFT_FAIL : KSFT_PASS;
	case EXPORTER:
		return exporter(other) ? KSFT_FAIL : KSFT_PASS;
	default:
		return importer(exports, random) ? KSFT_FAIL : KSFT_PASS;
	}
}

static int begin(struct family *f)
{
	const int nr = with(f, FUZZ_IMPORTERS) ? CHILDREN : WORKER + 1;
	struct owner other;
	int i, rc;

	common->stop = false;
	rc = owner_open(&other, f->owner.mem, fuzz_mix(&f->random));
	if (rc)
		return complain("an owner", rc, 0);
	fflush(stdout);
	for (i = 0; i < nr; i++) {
		const __u64 random = fuzz_mix(&f->random);

		f->pids[i] = ia_fork();
		if (!f->pids[i]) {
			rc = child(f, i, &other, random);
			fflush(stdout);
			_exit(rc);
		}
		if (f->pids[i] < 0)
			rc = -errno;
	}
	owner_close(&other);
	f->lives++;
	return rc;
}

/* Has child @i ended, and well? 1, 0 if it has not, or a negative errno. */
static int ended(struct family *f, int i, bool killed)
{
	int status;

	if (f->pids[i] <= 0)
		return 1;
	if (waitpid(f->pids[i], &status, WNOHANG) != f->pids[i])
		return 0;
	f->pids[i] = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 1;
	if (killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return 1;
	printf("# rough: %s is gone, with status %#x\n", names[i], status);
	return -EPROTO;
}

/* As long as it lasts, the owner goes on, and memory is short at times. */
static int live(struct family *f, size_t until)
{
	size_t seen = common->done;
	__u64 since = ia_now_ms();
	bool over = false;
	int i, n, rc = 0;

	for (;;) {
		for (i = 0; i < CHILDREN && !rc; i++)
			if (f->pids[i] > 0)
				rc = ended(f, i, false);
		/* The session does so when it has done all of its operations */
		if (rc < 0 || (rc && !f->pids[WORKER]))
			break;
		rc = 0;
		if (with(f, FUZZ_KILL) && common->done >= until)
			break;
		for (n = below(&f->random, 8); n && !rc; n--)
			rc = with(f, FUZZ_IMPORTERS) ? owner_step(&f->owner) : 0;
		if (!rc && with(f, FUZZ_HIGH) && !below(&f->random, over ? 2 : 8)) {
			over = !over;
			rc = squeeze(over);
		}
		if (rc)
			break;
		if (common->done - seen > 8) {
			seen = common->done;
			since = ia_now_ms();
		} else if (ia_now_ms() - since > PATIENCE_MS) {
			rc = complain("ms without progress",
				      ia_now_ms() - since, 0);
			break;
		}
		usleep(1000);
	}
	return rc < 0 ? rc : 0;
}

static int end(struct family *f)
{
	const bool kills = with(f, FUZZ_KILL);
	__u64 start;
	int i, rc = 0, one;

	common->stop = !kills;
	/* In any order, and one by one, so that each of them sees others go */
	for (i = 0; kills && i < CHILDREN; i++) {
		const int at = (i + f->lives) % CHILDREN;

		usleep(below(&f->random, 30000));
		if (f->pids[at] > 0)
			kill(f->pids[at], SIGKILL);
	}
	if (with(f, FUZZ_HIGH) && !kills)
		squeeze(false);
	start = ia_now_ms();
	for (i = 0; i < CHILDREN; i++) {
		while (!(one = ended(f, i, kills)) &&
		       ia_now_ms() - start < PATIENCE_MS)
			usleep(1000);
		if (!one) {
			printf("# rough: %s, process %d, hangs\n", names[i],
			       f->pids[i]);
			rc = -EPROTO;
		}
		if (one < 0)
			rc = one;
	}
	return rc;
}

/* Sessions until there were enough operations; 0, or a negative errno. */
int fuzz_rough(const struct fuzz_rough *rough)
{
	const size_t most = ia_slow_kernel() ? SLOW_LIFE : FAST_LIFE;
	struct family f = { .rough = rough, .random = rough->seed };
	const __u64 start = ia_now_ms();
	long long pinned, high = 0;
	int rc;

	common = mmap(NULL, FUZZ_PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f.owner.mem = family_memory(PAGES);
	if (common == MAP_FAILED || !f.owner.mem)
		return -ENOMEM;
	if (with(&f, FUZZ_HIGH) &&
	    ((mkdir(CGROUP, 0755) && errno != EEXIST) || squeeze(false)))
		return complain("a memory cgroup", -errno, 0);
	pinned = pins();
	rc = WANT(true, ia_proc_field("/proc/vmstat", "nr_foll_pin_released") >= 0) ?:
	     WANT(0, probe_charge(f.owner.mem)) ?:
	     owner_open(&f.owner, f.owner.mem, fuzz_mix(&f.random));
	while (!rc && common->done < rough->ops &&
	       (!rough->seconds ||
		ia_now_ms() - start < rough->seconds * 1000ULL)) {
		size_t until = common->done + 50 + below(&f.random, most);
		int also;

		rc = begin(&f) ?: live(&f, until);
		also = end(&f);
		if (with(&f, FUZZ_HIGH))
			squeeze(false);
		rc = rc ?: also ?: nothing_left(&f.owner, pinned);
	}
	owner_close(&f.owner);
	if (with(&f, FUZZ_HIGH)) {
		high = ia_proc_field(CGROUP "/memory.events", "high");
		rmdir(CGROUP);
	}
	printf("# rough, seed %#llx: %zu operations, %u lives, %llu ms%s\n",
	       rough->seed, common->done, f.lives, ia_now_ms() - start,
	       rc ? ": FAILED" : "");
	printf("# importers: %zu maps, %zu reads, %zu orphans; %lld times over memory.high\n",
	       common->maps, common->reads, common->orphans, high);
	munmap(common, FUZZ_PAGE);
	return rc;
}
