// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer of /dev/ioasid: does one operation, and lets the model judge it.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>

#include <liburing.h>

#include "fuzz_model.h"
#include "fuzz_run.h"
#include "mock.h"

struct fuzz_memory fuzz_mems[MEM_NR];
bool fuzz_have_devices, fuzz_have_physical;
atomic_size_t fuzz_done[OP_NR], fuzz_succeeded[OP_NR];
atomic_size_t *fuzz_progress;

/* Devices of the physical kind, behind one model IOMMU. */
static int control = -1;
static struct ioasid_model_create physical[FUZZ_PHYSICAL_NR][FUZZ_DEVICES];

/* How long the last reference to a context may take to go */
#define RING_PATIENCE_MS 60000

static __u64 cpu_pgsizes = FUZZ_PAGE | FUZZ_HUGE;

static bool have_ring;

static __thread struct fuzz_area area;
static __thread struct fuzz_result *result;
/* Made when it is needed */
static __thread struct io_uring ring;
static __thread bool ring_made;

static int get_area(void)
{
	if (result)
		return 0;
	result = malloc(sizeof(*result));
	return result ? fuzz_area_make(&area) : -ENOMEM;
}

/* Clean up for a thread that ends. */
void fuzz_run_exit(void)
{
	if (ring_made)
		io_uring_queue_exit(&ring);
	ring_made = false;
	free(result);
	result = NULL;
}

static void plug_devices(void)
{
	struct ioasid_model_create *one;
	int i, how;

	control = open(IOASID_MODEL_NODE, O_RDWR | O_CLOEXEC);
	for (how = FUZZ_PHYSICAL; how < FUZZ_PHYSICAL_NR; how++)
		for (i = 0; i < FUZZ_DEVICES; i++) {
			one = &physical[how][i];
			*one = (struct ioasid_model_create) {
				.kind = IOASID_MODEL_PHYSICAL,
				.params.flags = MODEL_ENFORCE_COHERENCY,
			};
			if (how == FUZZ_PHYSICAL)
				one->params.flags |= MODEL_DIRTY | MODEL_PROTECT;
			if (how == FUZZ_WITH_PASIDS) {
				one->params.pasid_bits = FUZZ_PASID_BITS;
				one->params.flags |= i ? MODEL_NO_REPLACE_PASIDS :
						     MODEL_NESTING |
						     MODEL_USER_PASID_TABLE;
			}
			if (ioctl(control, IOASID_MODEL_CREATE, one))
				return;
		}
	fuzz_have_physical = true;
}

/* The file of device @nr. */
static int open_device(const struct fuzz_world *w, int nr)
{
	char path[300];
	struct dirent *entry;
	int fd = -ENOENT;
	DIR *dir;

	if (!w->setting.physical)
		return mock_open(nr);
	snprintf(path, sizeof(path), "/sys/devices/platform/%s/vfio-dev",
		 physical[w->setting.physical][nr].name);
	dir = opendir(path);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
			 entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* Whether the IOMMU reached, or could reach, memory that it must not. */
static bool look_for_harm(int how, char *text, size_t size)
{
	int i;

	text[0] = 0;
	for (i = 0; i < FUZZ_DEVICES && !text[0]; i++) {
		struct ioasid_model_inspect look = {
			.id = physical[how][i].id,
			.flags = IOASID_MODEL_LEDGER,
		};

		if (ioctl(control, IOASID_MODEL_INSPECT, &look))
			snprintf(text, size, "cannot look");
		else if (look.lost_pages || look.counters.ledger_pages)
			snprintf(text, size,
				 "pages released: %llu, before %llu, at %#llx",
				 look.lost_pages, look.counters.ledger_pages,
				 look.counters.ledger_address);
	}
	return text[0];
}

/* Make the memory, and find out which types exist. Once in a process. */
void fuzz_run_init(void)
{
	char line[4096];
	FILE *f;
	int i;

	have_ring = !io_uring_queue_init(4, &ring, 0);
	if (have_ring)
		io_uring_queue_exit(&ring);
	fuzz_have_devices = !mock_load();
	if (fuzz_have_devices)
		plug_devices();
	for (i = 0; i < MEM_NR; i++)
		if (fuzz_memory_make(&fuzz_mems[i], i)) {
			fuzz_mems[i] = (struct fuzz_memory){ .fd = -1 };
			fuzz_mems[i].name = "absent";
		}
	f = fopen("/proc/cpuinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "flags", 5) && strstr(line, " pdpe1gb"))
			cpu_pgsizes |= 1ULL << 30;
	if (f)
		fclose(f);
}

int get_info(int fd, __u32 id, struct ioasid_info *info)
{
	*info = (struct ioasid_info) {
		.argsz = sizeof(*info),
		.ioasid = id,
	};
	return fuzz_ioctl(fd, IOASID_GET_INFO, info);
}

int alloc(int fd, __u64 cookie, __u32 *id)
{
	struct ioasid_alloc arg = {
		.argsz = sizeof(arg),
		.kind = IOASID_KIND_MAP,
		.cookie = cookie,
	};
	int rc = fuzz_ioctl(fd, IOASID_ALLOC, &arg);

	*id = arg.ioasid;
	return rc;
}

static int extension(int fd, __u32 extension)
{
	struct ioasid_check_extension arg = {
		.argsz = sizeof(arg),
		.extension = extension,
	};

	return fuzz_ioctl(fd, IOASID_CHECK_EXTENSION, &arg);
}

/* The first mapping that ends at @iova or after it; false if there is none. */
bool fuzz_query(int fd, __u32 id, __u64 iova, struct ioasid_query_entry *entry)
{
	struct ioasid_query_map arg = {
		.argsz = sizeof(arg),
		.ioasid = id,
		.nr = 1,
		.start = iova,
		.entries = (__u64)(unsigned long)entry,
	};

	return !fuzz_ioctl(fd, IOASID_QUERY_MAP, &arg) && arg.nr;
}

/* Number of mappings, also of a table of user space. */
static __u64 nr_mappings(int fd, __u32 id)
{
	struct ioasid_info info;

	return get_info(fd, id, &info) ? -1ULL : info.nr_mappings;
}

void saw_id(struct fuzz_world *w, __u32 id)
{
	__u32 newest = w->newest;

	while (id > newest &&
	       !atomic_compare_exchange_weak(&w->newest, &newest, id))
		;
}

int fuzz_open(struct fuzz_world *w, const struct fuzz_setting *setting)
{
	struct fuzz_machine machine = {
		.mems = fuzz_mems,
		.have_devices = fuzz_have_devices,
		.pgsizes = cpu_pgsizes,
		.query = fuzz_query,
		.mappings = nr_mappings,
	};
	__u32 chaos = 0;
	int i;

	memset(w, 0, sizeof(*w));
	w->setting = *setting;
	pthread_rwlock_init(&w->lock, NULL);
	w->model = malloc(sizeof(*w->model));
	if (!w->model)
		return -ENOMEM;
	w->vm_pin = fuzz_status("VmPin:");
	w->vm_lck = fuzz_status("VmLck:");
	w->fd = open("/dev/ioasid", O_RDWR | O_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	machine.fd = w->fd;
	machine.depth = extension(w->fd, IOASID_EXT_MAX_DEPTH);
	machine.takes_tables = extension(w->fd, IOASID_EXT_PGTABLE) == 1;
	machine.tracks = extension(w->fd, IOASID_EXT_DIRTY) == 1;
	machine.mirrors = extension(w->fd, IOASID_EXT_PROCESS) == 1;
	machine.has_ring = have_ring &&
			   extension(w->fd, IOASID_EXT_URING_BATCH) == 1;
	model_init(w->model, setting, &machine);
	if (alloc(w->fd, FUZZ_SHARED_COOKIE, &w->shared) ||
	    alloc(w->fd, FUZZ_CHAOS_COOKIE, &chaos))
		return -EPROTO;
	w->chaos = chaos;
	w->newest = chaos;
	w->model->shared = w->shared;
	w->model->ioasids = 1;
	for (i = 0; i < FUZZ_THREADS; i++) {
		struct fuzz_space *s = &w->model->spaces[FUZZ_WINDOW(i)];

		s->live = true;
		s->parent = -1;
		s->via = -1;
		s->id = w->shared;
		s->kind = IOASID_KIND_MAP;
		s->cookie = FUZZ_SHARED_COOKIE;
	}
	if (fuzz_mems[MEM_TABLE].base)
		fuzz_tables(fuzz_mems[MEM_TABLE].base);
	for (i = 0; i < FUZZ_THREADS * FUZZ_EXPORTS; i++)
		w->exports[i] = -1;
	for (i = 0; i < FUZZ_THREADS; i++)
		w->queues[i] = -1;
	for (i = 0; i < FUZZ_DEVICES; i++)
		w->device[i] = fuzz_have_devices ? open_device(w, i) : -1;
	return 0;
}

/* A command of io_uring that was completed may keep the context for a moment. */
static void wait_for_ring(const struct fuzz_world *w)
{
	int ms;

	for (ms = 0; w->ring_used && ms < RING_PATIENCE_MS; ms++) {
		if (fuzz_status("VmPin:") == w->vm_pin &&
		    fuzz_status("VmLck:") == w->vm_lck)
			return;
		usleep(1000);
	}
}

void fuzz_close(struct fuzz_world *w, struct fuzz_verdict *v)
{
	__u64 pin, lck;
	int i;

	for (i = 0; i < FUZZ_DEVICES; i++)
		if (w->device[i] >= 0)
			close(w->device[i]);
	close(w->fd);
	/* these mappings keep no memory */
	for (i = 0; i < FUZZ_THREADS * FUZZ_EXPORTS; i++)
		if (w->exports[i] >= 0)
			close(w->exports[i]);
	for (i = 0; i < FUZZ_THREADS; i++)
		if (w->queues[i] >= 0)
			close(w->queues[i]);
	wait_for_ring(w);
	pin = fuzz_status("VmPin:");
	lck = fuzz_status("VmLck:");
	if (!v->bad && (pin != w->vm_pin || lck != w->vm_lck)) {
		v->bad = true;
		v->want = w->vm_pin + w->vm_lck;
		v->got = pin + lck;
		snprintf(v->what, sizeof(v->what), "vm_pin() + vm_lck()");
		snprintf(v->why, sizeof(v->why), "after the file was closed");
	}
	if (!v->bad && w->setting.physical &&
	    look_for_harm(w->setting.physical, v->why, sizeof(v->why))) {
		v->bad = true;
		v->want = 0;
		v->got = 1;
		snprintf(v->what, sizeof(v->what), "harm()");
	}
	model_free(w->model);
	free(w->model);
	pthread_rwlock_destroy(&w->lock);
}

static __u64 pointer(const struct fuzz_op *op, const void *good)
{
	return op->addr ? FUZZ_NOWHERE : (__u64)(unsigned long)good;
}

/* A bitmap that is as large as the range, if there is one */
static __u64 bitmap(const struct fuzz_op *op)
{
	__u64 block = op->cut ?: 1;

	if (op->length / block / 64 + 1 >= FUZZ_DIRTY)
		return FUZZ_NOWHERE;
	return pointer(op, result->dirty);
}

static void build_batch(const struct fuzz_world *w, const struct fuzz_op *batch)
{
	struct ioasid_dma_op *to = result->ops;
	struct fuzz_op op;
	union fuzz_arg arg;
	unsigned int i;
	size_t size;

	for (i = 0; i < batch->cut; i++, to++) {
		fuzz_batch_op(batch, i, &op);
		fuzz_build(w, &op, &arg, &size);
		*to = (struct ioasid_dma_op) {
			.flags = op.flags,
			.iova = op.iova,
			.length = op.length,
		};
		if (op.flags & IOASID_DMA_OP_IOASID)
			to->fd = model_id(w->model, &op);
		to->op = op.type == OP_MAP ? IOASID_DMA_OP_MAP :
			 IOASID_DMA_OP_UNMAP;
		if (op.type != OP_MAP)
			continue;
		if (!(op.flags & IOASID_DMA_OP_IOASID))
			to->fd = arg.map.fd;
		to->addr = arg.map.addr;
	}
}

static __u32 invalidation_devid(const struct fuzz_world *w,
				const struct fuzz_op *op)
{
	switch (op->mem) {
	case DEVID_OWN:
		return op->thread < FUZZ_DEVICES ?
		       w->model->devices[op->thread].id : 0;
	case DEVID_NEVER:
		return 0x7ffffff0;
	case DEVID_SPACE:
		return w->model->spaces[op->space].id;
	}
	return 0;
}

/* The structure of a command. */
void fuzz_build(const struct fuzz_world *w, const struct fuzz_op *op,
		union fuzz_arg *arg, size_t *size)
{
	const __u32 id = model_id(w->model, op);
	const struct fuzz_memory *mem = NULL;

	if (op->mem < MEM_NR)
		mem = &fuzz_mems[op->mem];
	memset(arg, 0, sizeof(*arg));
	/* all structures have the flags at the same place */
	arg->check.flags = op->flags;
	switch (op->type) {
	case OP_CHECK:
		*size = sizeof(arg->check);
		arg->check.extension = op->cut;
		arg->check.__reserved = op->value;
		break;
	case OP_ALLOC:
		*size = sizeof(arg->alloc);
		arg->alloc.kind = op->addr;
		arg->alloc.parent = fuzz_parent(op) < 0 ? op->iova :
				    w->model->spaces[fuzz_parent(op)].id;
		arg->alloc.cookie = op->value;
		arg->alloc.cut_size = op->cut;
		arg->alloc.snoop = op->align;
		arg->alloc.format = op->length;
		arg->alloc.fault_queue = fuzz_queue_ref(op) == QUEUE_OWN ?
					 w->model->queues[op->thread].id :
					 fuzz_queue_ref(op) == QUEUE_NONE ? 0 :
					 0x7ffffff0;
		arg->alloc.ioasid = (__u32)FUZZ_UNSET;
		break;
	case OP_FREE:
		*size = sizeof(arg->free);
		arg->free.ioasid = id;
		arg->free.__reserved = op->value;
		break;
	case OP_INFO:
		*size = sizeof(arg->info);
		memset(arg, 0x5e, sizeof(arg->info));
		arg->info.flags = op->flags;
		arg->info.ioasid = id;
		arg->info.nr_ranges = op->length;
		arg->info.ranges = pointer(op, result->ranges);
		break;
	case OP_MAP:
	case OP_PROTECT:
	case OP_REPLACE:
		*size = sizeof(arg->map);
		arg->map.ioasid = id;
		arg->map.fd = op->flags & IOASID_MAP_FILE ?
			      (mem ? mem->fd : -1) : (__s32)op->value;
		arg->map.iova = op->iova;
		arg->map.addr = op->addr;
		if (mem && fuzz_has_address(op))
			arg->map.addr += (__u64)(unsigned long)mem->base;
		arg->map.length = op->length;
		arg->map.cut_size = op->cut;
		arg->map.alignment = op->align;
		arg->map.fault_addr = FUZZ_UNSET;
		break;
	case OP_UNMAP:
		*size = sizeof(arg->unmap);
		arg->unmap.ioasid = id;
		arg->unmap.__reserved = op->value;
		arg->unmap.iova = op->iova;
		arg->unmap.length = op->length;
		arg->unmap.unmapped = FUZZ_UNSET;
		if (!(op->flags & IOASID_UNMAP_DIRTY))
			break;
		arg->unmap.page_size = op->cut;
		arg->unmap.bitmap = bitmap(op);
		break;
	case OP_QUEUE:
		*size = sizeof(arg->queue);
		arg->queue.depth = op->cut;
		arg->queue.eventfd = -1 - (__s32)op->align;
		arg->queue.cookie = op->value;
		arg->queue.queue = (__u32)FUZZ_UNSET;
		arg->queue.fd = -1;
		break;
	case OP_FREE_QUEUE:
		*size = sizeof(arg->free);
		arg->free.ioasid = w->model->queues[op->thread].id;
		arg->free.__reserved = op->value;
		break;
	case OP_SET_DIRTY:
		*size = sizeof(arg->set_dirty);
		arg->set_dirty.ioasid = id;
		arg->set_dirty.__reserved = op->value;
		break;
	case OP_GET_DIRTY:
		*size = sizeof(arg->get_dirty);
		arg->get_dirty.ioasid = id;
		arg->get_dirty.iova = op->iova;
		arg->get_dirty.length = op->length;
		arg->get_dirty.page_size = op->cut;
		arg->get_dirty.bitmap = bitmap(op);
		arg->get_dirty.nr_dirty = op->value;
		break;
	case OP_REHOME:
		*size = sizeof(arg->rehome);
		arg->rehome.ioasid = id;
		arg->rehome.__reserved = op->value;
		arg->rehome.moved = op->length;
		arg->rehome.fail_iova = op->iova;
		break;
	case OP_LIST:
		*size = sizeof(arg->list);
		arg->list.start = op->iova;
		arg->list.nr = op->length;
		arg->list.entries = pointer(op, result->entries);
		break;
	case OP_OPTION:
		*size = sizeof(arg->option);
		arg->option.option = op->cut;
		arg->option.sealed = op->align;
		arg->option.value = op->value;
		break;
	case OP_BATCH:
	case OP_URING:
		*size = sizeof(arg->batch);
		arg->batch.flags = op->length;
		arg->batch.ioasid = id;
		arg->batch.nr = op->cut;
		arg->batch.ops = op->align & 1 ? FUZZ_NOWHERE :
				 (__u64)(unsigned long)result->ops;
		arg->batch.fault_addr = FUZZ_UNSET;
		break;
	case OP_QUERY:
		*size = sizeof(arg->query);
		arg->query.ioasid = id;
		arg->query.start = op->iova;
		arg->query.nr = op->length;
		arg->query.entries = pointer(op, result->found);
		arg->query.entry_size = op->value;
		break;
	case OP_EVENTS:
		*size = sizeof(arg->events);
		arg->events.nr = op->length;
		arg->events.more = op->value;
		arg->events.events = pointer(op, result->told);
		break;
	case OP_EXPORT:
		*size = sizeof(arg->export);
		arg->export.ioasid = id;
		arg->export.iova = op->iova;
		arg->export.length = op->length;
		arg->export.max_mappings = op->value;
		arg->export.fd = -1;
		break;
	case OP_IMPORT:
		*size = sizeof(arg->import);
		arg->import.fd = mem ? mem->fd : w->exports[fuzz_export(op)];
		arg->import.cookie = op->value;
		arg->import.ioasid = (__u32)FUZZ_UNSET;
		break;
	case OP_BIND_TABLE:
	case OP_BIND_PASIDS:
		*size = sizeof(arg->table);
		arg->table.ioasid = id;
		arg->table.length = op->length;
		arg->table.data = pointer(op, &result->root);
		arg->table.__reserved[1] = op->value;
		break;
	case OP_UNBIND_TABLE:
	case OP_UNBIND_PASIDS:
		*size = sizeof(arg->untable);
		arg->untable.ioasid = id;
		arg->untable.__reserved = op->value;
		break;
	case OP_INVALIDATE:
		*size = sizeof(arg->invalidate);
		arg->invalidate.ioasid = id;
		arg->invalidate.devid = invalidation_devid(w, op);
		arg->invalidate.entry_size = op->align;
		arg->invalidate.type = op->align >> 32;
		arg->invalidate.nr = op->length;
		arg->invalidate.entries = pointer(op, result->invalidations);
		arg->invalidate.__reserved = op->iova;
		break;
	case OP_DEVICE_INFO:
		*size = sizeof(arg->device);
		arg->device.devid = id;
		arg->device.nr_ranges = op->length;
		arg->device.__reserved = op->value;
		arg->device.ranges = pointer(op, result->ranges);
		break;
	case OP_BIND:
		*size = sizeof(arg->bind);
		arg->bind.ioasid_fd = mem ? mem->fd : w->fd;
		arg->bind.ioasid = id;
		arg->bind.cookie = op->value;
		arg->bind.__reserved = op->length;
		break;
	case OP_GET_ID:
		*size = sizeof(arg->get_id);
		arg->get_id.ioasid_fd = op->value ? -1 : mem ? mem->fd : w->fd;
		break;
	case OP_ATTACH:
		*size = sizeof(arg->attach);
		arg->attach.ioasid = id;
		arg->attach.vpasid = op->value;
		break;
	case OP_DETACH:
		*size = sizeof(arg->detach);
		arg->detach.ioasid = id;
		arg->detach.vpasid = op->value;
		break;
	default:
		*size = 8;
		break;
	}
}

#define UNKNOWN _IO(IOASID_TYPE, IOASID_BASE + 0x3f)

static const struct {
	unsigned long nr;
	const char *name;
	bool on_device;
} commands[OP_NR] = {
	[OP_CHECK] = { IOASID_CHECK_EXTENSION, "IOASID_CHECK_EXTENSION" },
	[OP_ALLOC] = { IOASID_ALLOC, "IOASID_ALLOC" },
	[OP_FREE] = { IOASID_FREE, "IOASID_FREE" },
	[OP_INFO] = { IOASID_GET_INFO, "IOASID_GET_INFO" },
	[OP_MAP] = { IOASID_MAP_DMA, "IOASID_MAP_DMA" },
	[OP_UNMAP] = { IOASID_UNMAP_DMA, "IOASID_UNMAP_DMA" },
	[OP_LIST] = { IOASID_LIST, "IOASID_LIST" },
	[OP_OPTION] = { IOASID_SET_OPTION, "IOASID_SET_OPTION" },
	[OP_BATCH] = { IOASID_DMA_BATCH, "IOASID_DMA_BATCH" },
	/* in a program */
	[OP_URING] = { IOASID_DMA_BATCH, "IOASID_DMA_BATCH" },
	[OP_QUERY] = { IOASID_QUERY_MAP, "IOASID_QUERY_MAP" },
	[OP_PROTECT] = { IOASID_MAP_DMA, "IOASID_MAP_DMA" },
	[OP_REPLACE] = { IOASID_MAP_DMA, "IOASID_MAP_DMA" },
	[OP_EXPORT] = { IOASID_EXPORT, "IOASID_EXPORT" },
	[OP_IMPORT] = { IOASID_IMPORT, "IOASID_IMPORT" },
	[OP_BIND_TABLE] = { IOASID_BIND_PGTABLE, "IOASID_BIND_PGTABLE" },
	[OP_UNBIND_TABLE] = { IOASID_UNBIND_PGTABLE, "IOASID_UNBIND_PGTABLE" },
	[OP_BIND_PASIDS] = { IOASID_BIND_PASID_TABLE, "IOASID_BIND_PASID_TABLE" },
	[OP_UNBIND_PASIDS] = { IOASID_UNBIND_PASID_TABLE, "IOASID_UNBIND_PASID_TABLE" },
	[OP_INVALIDATE] = { IOASID_INVALIDATE_CACHE, "IOASID_INVALIDATE_CACHE" },
	[OP_QUEUE] = { IOASID_FAULT_QUEUE, "IOASID_FAULT_QUEUE" },
	[OP_FREE_QUEUE] = { IOASID_FREE, "IOASID_FREE" },
	[OP_SET_DIRTY] = { IOASID_SET_DIRTY, "IOASID_SET_DIRTY" },
	[OP_GET_DIRTY] = { IOASID_GET_DIRTY, "IOASID_GET_DIRTY" },
	[OP_REHOME] = { IOASID_REHOME, "IOASID_REHOME" },
	[OP_DEVICE_INFO] = { IOASID_DEVICE_GET_INFO, "IOASID_DEVICE_GET_INFO" },
	[OP_EVENTS] = { IOASID_GET_EVENTS, "IOASID_GET_EVENTS" },
	[OP_UNKNOWN] = { UNKNOWN, "_IO(IOASID_TYPE, IOASID_BASE + 0x3f)" },
	[OP_BIND] = { VFIO_DEVICE_BIND_IOASID_FD, "VFIO_DEVICE_BIND_IOASID_FD", true },
	[OP_GET_ID] = { IOASID_DEVICE_GET_ID, "IOASID_DEVICE_GET_ID", true },
	[OP_ATTACH] = { VFIO_DEVICE_ATTACH_IOASID, "VFIO_DEVICE_ATTACH_IOASID", true },
	[OP_DETACH] = { VFIO_DEVICE_DETACH_IOASID, "VFIO_DEVICE_DETACH_IOASID", true },
};

const char *fuzz_command(const struct fuzz_op *op)
{
	return commands[op->type].name;
}

/*
 * DMA
 */

static int model_access(int fd, bool write, int region, __u64 at, void *data,
			size_t length)
{
	at += (__u64)region << IOASID_MODEL_REGION_SHIFT;
	return mock_access(fd, write, at, data, length);
}

/* Do it on the model device; its faults as errors of an emulated one. */
static int model_dma(int fd, __u32 op, __u32 pasid, __u64 iova, size_t length)
{
	struct ioasid_model_dma dma = {
		.op = op,
		.flags = IOASID_MODEL_DMA_WAIT |
			 (pasid ? IOASID_MODEL_DMA_PASID : 0),
		.pasid = pasid,
		.threads = 1,
		.address = iova,
		.length = length,
		.count = 1,
	};
	struct ioasid_model_status status;
	int rc;

	rc = model_access(fd, true, IOASID_MODEL_REGS, IOASID_MODEL_CHANNEL +
			  IOASID_MODEL_START, &dma, sizeof(dma)) ?:
	     model_access(fd, false, IOASID_MODEL_REGS, IOASID_MODEL_CHANNEL +
			  IOASID_MODEL_STATUS, &status, sizeof(status));
	if (rc)
		return rc;
	switch (status.fault) {
	case MODEL_OK:
		return status.run == IOASID_MODEL_DONE ? 0 : -EIO;
	case MODEL_FAULT_BLOCKED:
	case MODEL_FAULT_PASID:
		return -ENXIO;
	case MODEL_FAULT_WIDTH:
	case MODEL_FAULT_ABSENT:
		return -ENOENT;
	case MODEL_FAULT_DENIED:
		return -EPERM;
	/* of a table of user space, see model_walk() */
	case MODEL_FAULT_S1_ABSENT:
		return -ENODATA;
	case MODEL_FAULT_S1_DENIED:
		return -EACCES;
	case MODEL_FAULT_S1_FORMAT:
		return -EBADMSG;
	case MODEL_FAULT_S1_TABLE:
		return -EFAULT;
	}
	return -EPROTO;
}

int dma_read(struct fuzz_world *w, int thread, __u32 pasid, __u64 iova,
	     void *data, size_t length)
{
	const int fd = w->device[thread];

	if (!w->setting.physical)
		return mock_get(fd, IOASID_MOCK_READ, 0, iova, data, length);
	return model_dma(fd, IOASID_MODEL_READ, pasid, iova, length) ?:
	       model_access(fd, false, IOASID_MODEL_MEMORY, 0, data, length);
}

static int dma_write(struct fuzz_world *w, int thread, __u32 pasid, __u64 iova,
		     const void *data, size_t length)
{
	const int fd = w->device[thread];

	if (!w->setting.physical)
		return mock_put(fd, IOASID_MOCK_WRITE, 0, iova, data, length);
	return model_access(fd, true, IOASID_MODEL_MEMORY, 0, (void *)data,
			    length) ?:
	       model_dma(fd, IOASID_MODEL_WRITE, pasid, iova, length);
}

/* Read a word of memory with the CPU, and restore its old value. */
static __u64 take_word(enum fuzz_mem kind, __u64 offset)
{
	const struct fuzz_memory *mem = &fuzz_mems[kind];
	__u64 got = 0, was = 0;

	if (offset < mem->filled)
		was = fuzz_pattern(kind, offset);
	if (mem->base) {
		volatile __u64 *at = (void *)(mem->base + offset);

		got = *at;
		*at = was;
	} else if (pread(mem->fd, &got, 8, offset) != 8 ||
		   pwrite(mem->fd, &was, 8, offset) != 8) {
		got = FUZZ_UNSET;
	}
	return got;
}

/* Drop all that caches have of the tables of a thread. */
static int flush_tables(struct fuzz_world *w, int thread)
{
	const struct fuzz_space *s = &w->model->spaces[thread * FUZZ_OWN];
	int i, rc = 0;

	for (i = 0; i < FUZZ_OWN && !rc; i++, s++)
		if (s->live && model_is_table(s))
			rc = fuzz_flush(w->fd, s->id, s->kind ==
					IOASID_KIND_PASID_TABLE);
	model_flushed(w->model, thread);
	return rc;
}

/* Before DMA: a table that a unit has changed may have become another one. */
static int flush_stale(struct fuzz_world *w, int thread)
{
	if (!model_nests(w->model, thread) || !w->model->stale)
		return 0;
	return flush_tables(w, thread);
}

static void run_dma_write(struct fuzz_world *w, const struct fuzz_op *op,
			  struct fuzz_result *r)
{
	struct fuzz_mapping *map = NULL;
	__u64 offset, iova = op->iova;
	struct fuzz_space *s;
	int mem;

	r->rc = flush_stale(w, op->thread) ?:
		dma_write(w, op->thread, op->cut, op->iova, &op->value, 8);
	r->data[0] = op->value;
	if (r->rc || model_route(w->model, op) < 0)
		return;
	s = &w->model->spaces[model_route(w->model, op)];
	if (!model_walk(w->model, op, &s, &iova, true) && s)
		map = model_find(s, iova);
	if (map && map->flags & IOASID_MAP_WRITE) {
		mem = model_memory(w->model, s, iova, &offset);
		r->data[0] = take_word(mem, offset);
	}
}

static void run_dma_read(struct fuzz_world *w, const struct fuzz_op *op,
			 struct fuzz_result *r)
{
	r->rc = flush_stale(w, op->thread) ?:
		dma_read(w, op->thread, op->cut, op->iova, r->data, op->length);
}

/*
 * Change a word of a table of user space: all caches drop it before the operation
 * ends.
 */
static void run_entry(struct fuzz_world *w, const struct fuzz_op *op,
		      struct fuzz_result *r)
{
	__u64 *at = fuzz_entry(fuzz_mems[MEM_TABLE].base, op->addr, op->cut);

	__atomic_store_n(at, op->value, __ATOMIC_RELEASE);
	r->rc = flush_tables(w, op->thread);
}

/* Observable state */

static void run_state(struct fuzz_world *w, const struct fuzz_op *op,
		      struct fuzz_result *r)
{
	char path[40];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, r->text, sizeof(r->text) - 1);
	r->rc = n < 0 ? -errno : 0;
	r->text[n < 0 ? 0 : n] = 0;
	close(fd);
	r->vm_pin = fuzz_status("VmPin:") - w->vm_pin;
	r->vm_lck = fuzz_status("VmLck:") - w->vm_lck;
	r->harm[0] = 0;
	if (w->setting.physical)
		look_for_harm(w->setting.physical, r->harm, sizeof(r->harm));
	if (!r->rc)
		r->rc = get_info(w->fd, w->shared, &r->shared);
}

int attach(int device, __u32 id)
{
	struct ioasid_device_attach arg = {
		.argsz = sizeof(arg),
		.ioasid = id,
	};
	struct ioasid_device_detach detach = { .argsz = sizeof(detach) };

	if (id)
		return fuzz_ioctl(device, VFIO_DEVICE_ATTACH_IOASID, &arg);
	return fuzz_ioctl(device, VFIO_DEVICE_DETACH_IOASID, &detach);
}

static void run_reopen(struct fuzz_world *w, const struct fuzz_op *op,
		       struct fuzz_result *r)
{
	close(w->device[op->thread]);
	w->device[op->thread] = open_device(w, op->thread);
	r->rc = w->device[op->thread] < 0 ? w->device[op->thread] : 0;
}

static short polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void run_command(struct fuzz_world *w, const struct fuzz_op *op,
			struct fuzz_result *r)
{
	int fd = commands[op->type].on_device ? w->device[op->thread] : w->fd;
	unsigned int i;
	size_t size;

	if (op->type == OP_LIST)
		memset(r->entries, 0x5e, sizeof(r->entries));
	if (op->type == OP_BATCH)
		build_batch(w, op);
	if (op->type == OP_QUERY)
		memset(r->found, 0x5e, sizeof(r->found));
	if (op->type == OP_EVENTS)
		memset(r->told, 0x5e, sizeof(r->told));
	if (op->type == OP_BIND_TABLE || op->type == OP_BIND_PASIDS)
		fuzz_root(op, &r->root);
	for (i = 0; op->type == OP_INVALIDATE && i < FUZZ_INVALIDATIONS; i++)
		fuzz_invalidation(op, i, &r->invalidations[i]);
	memset(r->ranges, 0x5e, sizeof(r->ranges));
	fuzz_build(w, op, &r->in, &size);
	r->arg = r->in;
	r->rc = fuzz_issue(&area, fd, commands[op->type].nr, op->size, &r->arg,
			   size);
	if (op->type == OP_EVENTS)
		r->polled = polled(fd);
	if (r->rc)
		return;
	if (op->type == OP_ALLOC)
		saw_id(w, r->arg.alloc.ioasid);
	if (op->type == OP_IMPORT)
		saw_id(w, r->arg.import.ioasid);
	if (op->type == OP_BIND)
		saw_id(w, r->arg.bind.devid);
	if (op->type == OP_QUEUE) {
		saw_id(w, r->arg.queue.queue);
		close(w->queues[op->thread]);
		w->queues[op->thread] = r->arg.queue.fd;
	}
	if (op->type == OP_EXPORT) {
		close(w->exports[fuzz_export(op)]);
		w->exports[fuzz_export(op)] = r->arg.export.fd;
	}
}

/* Submit a command of io_uring; returns its result. */
static int submit(int fd, const struct ioasid_uring_batch *batch)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	int rc;

	if (!ring_made) {
		rc = io_uring_queue_init(4, &ring, 0);
		if (rc)
			return rc;
		ring_made = true;
	}
	sqe = io_uring_get_sqe(&ring);
	if (!sqe)
		return -EPROTO;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = IOASID_DMA_BATCH;
	memcpy(sqe->cmd, batch, sizeof(*batch));
	rc = io_uring_submit_and_wait(&ring, 1);
	if (rc >= 0)
		rc = io_uring_wait_cqe(&ring, &cqe);
	if (rc)
		return rc;
	rc = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return rc;
}

/*
 * A batch as a command of io_uring.  It may end before an operation that would have
 * had to wait: the next command does the rest.  What comes of it is told as of
 * IOASID_DMA_BATCH.
 */
static void run_uring(struct fuzz_world *w, const struct fuzz_op *op,
		      struct fuzz_result *r)
{
	struct ioasid_dma_batch *out = &r->arg.batch;
	struct ioasid_uring_batch batch;
	size_t size;
	int rc;

	build_batch(w, op);
	fuzz_build(w, op, &r->in, &size);
	r->in.batch.flags = 0;
	r->arg = r->in;
	do {
		batch = (struct ioasid_uring_batch){
			.ops = out->ops == FUZZ_NOWHERE ? out->ops :
			       (__u64)(unsigned long)(r->ops + out->done),
			.nr = out->nr - out->done,
			.ioasid = out->ioasid,
		};
		rc = submit(w->fd, &batch);
		if (rc > 0)
			out->done += rc;
	} while (rc > 0 && out->done < out->nr);
	w->ring_used = true;
	out->error = rc < 0 ? rc : 0;
	r->rc = out->done ? 0 : rc;
}

static void (*const fuzz_runs[OP_NR])(struct fuzz_world *w,
				      const struct fuzz_op *op,
				      struct fuzz_result *r) = {
	[OP_CHECK] = run_command,
	[OP_ALLOC] = run_command,
	[OP_FREE] = run_command,
	[OP_INFO] = run_command,
	[OP_MAP] = run_command,
	[OP_UNMAP] = run_command,
	[OP_LIST] = run_command,
	[OP_OPTION] = run_command,
	[OP_BATCH] = run_command,
	[OP_URING] = run_uring,
	[OP_QUERY] = run_command,
	[OP_PROTECT] = run_command,
	[OP_REPLACE] = run_command,
	[OP_EXPORT] = run_command,
	[OP_IMPORT] = run_command,
	[OP_BIND_TABLE] = run_command,
	[OP_UNBIND_TABLE] = run_command,
	[OP_BIND_PASIDS] = run_command,
	[OP_UNBIND_PASIDS] = run_command,
	[OP_INVALIDATE] = run_command,
	[OP_QUEUE] = run_command,
	[OP_FREE_QUEUE] = run_command,
	[OP_SET_DIRTY] = run_command,
	[OP_GET_DIRTY] = run_command,
	[OP_REHOME] = run_command,
	[OP_DEVICE_INFO] = run_command,
	[OP_EVENTS] = run_command,
	[OP_UNKNOWN] = run_command,
	[OP_BIND] = run_command,
	[OP_GET_ID] = run_command,
	[OP_ATTACH] = run_command,
	[OP_DETACH] = run_command,
	[OP_REOPEN] = run_reopen,
	[OP_DMA_READ] = run_dma_read,
	[OP_DMA_WRITE] = run_dma_write,
	[OP_ENTRY] = run_entry,
	[OP_STATE] = run_state,
	[OP_CHAOS] = run_chaos,
	[OP_CHAOS_CHECK] = run_chaos_check,
};

/*
 * Whether the operation depends on all threads. A map of far more memory than
 * there is does, too: until it fails, it counts in sums, which then overflow.
 */
static bool of_all(const struct fuzz_op *op)
{
	return (fuzz_maps(op) && op->length >= 1ULL << 40) ||
	       op->type == OP_LIST || op->type == OP_OPTION ||
	       op->type == OP_EVENTS || op->type == OP_STATE ||
	       op->type == OP_CHAOS_CHECK;
}

/* Tell the model the mappings of chaos, while no thread runs. */
static void see_chaos(struct fuzz_world *w)
{
	struct ioasid_info info = {};

	if (w->chaos && get_info(w->fd, w->chaos, &info))
		return;
	w->model->chaos = w->chaos;
	w->model->chaos_pinned = info.bytes_pinned;
}

/* FNV-1a, of words */
static __u64 digest(__u64 sum, __u64 word)
{
	return (sum ^ word) * 0x100000001b3ULL;
}

static void add_to_digest(struct fuzz_world *w, const struct fuzz_op *op,
			  int rc)
{
	const __u64 words[] = {
		op->type, op->thread, op->ref, op->size, op->space, op->mem,
		op->flags, op->iova, op->addr, op->length, op->cut, op->align,
		op->value, rc,
	};
	__u64 sum = w->digest;
	unsigned int i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		sum = digest(sum, words[i]);
	w->digest = sum;
}

/* Do @op, and say in @v whether its result is wrong. */
void fuzz_run(struct fuzz_world *w, const struct fuzz_op *op,
	      struct fuzz_verdict *v)
{
	bool alone;

	v->bad = false;
	if (get_area()) {
		v->bad = true;
		snprintf(v->what, sizeof(v->what), "no memory");
		return;
	}
	for (;;) {
		alone = of_all(op) || w->limited;
		if (alone)
			pthread_rwlock_wrlock(&w->lock);
		else
			pthread_rwlock_rdlock(&w->lock);
		if (alone || !w->limited)
			break;
		pthread_rwlock_unlock(&w->lock);
	}
	if (alone)
		see_chaos(w);
	if (model_applies(w->model, op)) {
		result->newest = w->newest;
		fuzz_runs[op->type](w, op, result);
		model_judge(w->model, op, result, v);
		add_to_digest(w, op, result->rc);
		fuzz_done[op->type]++;
		if (fuzz_progress)
			++*fuzz_progress;
		if (result->rc >= 0)
			fuzz_succeeded[op->type]++;
		w->limited = model_limited(w->model);
	}
	pthread_rwlock_unlock(&w->lock);
}
