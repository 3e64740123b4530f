// SPDX-License-Identifier: GPL-2.0-only
#include "model.h"

int model_load(void)
{
	if (access(IOASID_MODEL_NODE, F_OK))
		if (system("modprobe -q ioasid_mock"))
			return -ENOENT;
	return access(IOASID_MODEL_NODE, F_OK) ? -ENOENT : 0;
}

int model_open(struct model *model, enum model_api api)
{
	int rc;

	model->api = api;
	model->ctx = -1;
	model->control = -1;
	rc = model_load();
	if (rc)
		return rc;
	switch (api) {
	case MODEL_IOASID:
	case MODEL_IOASID_GROUP:
		model->ctx = ia_open();
		if (model->ctx < 0)
			return model->ctx;
		break;
	case MODEL_IOMMUFD:
		model->ctx = open("/dev/iommu", O_RDWR | O_CLOEXEC);
		if (model->ctx < 0)
			return -errno;
		break;
	case MODEL_TYPE1:
		rc = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
		if (rc < 0)
			return -errno;
		close(rc);
		break;
	}
	model->control = open(IOASID_MODEL_NODE, O_RDWR | O_CLOEXEC);
	return model->control < 0 ? -errno : 0;
}

void model_close(struct model *model)
{
	if (model->ctx >= 0)
		close(model->ctx);
	if (model->control >= 0)
		close(model->control);
	model->ctx = -1;
	model->control = -1;
}

/* --- the control node --- */

int model_create(struct model *model, struct ioasid_model_create *cmd)
{
	return ia_cmd(model->control, IOASID_MODEL_CREATE, cmd);
}

int model_plug(struct model *model, struct model_device *dev,
	       const struct model_params *params, __u32 group_key)
{
	struct ioasid_model_create cmd = {
		.kind = IOASID_MODEL_PHYSICAL,
		.group_key = group_key,
	};
	int rc;

	memset(dev, 0, sizeof(*dev));
	dev->model = model;
	dev->fd = -1;
	dev->group = -1;
	if (params)
		cmd.params = *params;
	rc = model_create(model, &cmd);
	if (rc)
		return rc;
	dev->id = cmd.id;
	memcpy(dev->name, cmd.name, sizeof(dev->name));
	return 0;
}

int model_unplug(struct model_device *dev, __u32 flags)
{
	struct ioasid_model_destroy cmd = { .id = dev->id, .flags = flags };

	return ia_cmd(dev->model->control, IOASID_MODEL_DESTROY, &cmd);
}

bool model_present(struct model_device *dev)
{
	char path[128];

	snprintf(path, sizeof(path), MODEL_PLATFORM "%s", dev->name);
	return !access(path, F_OK);
}

int model_inject(struct model_device *dev, enum model_injection what, __u32 nth,
		 __u32 pages)
{
	struct ioasid_model_inject cmd = {
		.id = dev->id,
		.what = what,
		.nth = nth,
		.pages = pages,
	};

	return ia_cmd(dev->model->control, IOASID_MODEL_INJECT, &cmd);
}

int model_inspect(struct model_device *dev, __u32 flags,
		  struct ioasid_model_inspect *look)
{
	memset(look, 0, sizeof(*look));
	look->id = dev->id;
	look->flags = flags;
	return ia_cmd(dev->model->control, IOASID_MODEL_INSPECT, look);
}

struct model_counters model_counters(struct model_device *dev)
{
	struct ioasid_model_inspect look;

	if (model_inspect(dev, 0, &look))
		memset(&look.counters, 0xff, sizeof(look.counters));
	return look.counters;
}

const char *model_harm(struct model_device *dev)
{
	struct ioasid_model_inspect look;
	static char text[160];
	int rc;

	rc = model_inspect(dev, IOASID_MODEL_LEDGER, &look);
	if (rc)
		return "cannot look";
	if (look.lost_pages || look.counters.ledger_pages) {
		snprintf(text, sizeof(text),
			 "%llu pages that can be reached were released, %llu before, the last one at %#llx, held by %llu",
			 look.lost_pages, look.counters.ledger_pages,
			 look.counters.ledger_address,
			 look.counters.ledger_where);
		return text;
	}
	return NULL;
}

/* --- open --- */

int model_open_cdev(struct model_device *dev)
{
	struct dirent **list;
	char path[300];
	int i, n, fd = -ENOENT;

	snprintf(path, sizeof(path), MODEL_PLATFORM "%s/vfio-dev", dev->name);
	n = scandir(path, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
				 list[i]->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd < 0)
				fd = -errno;
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return fd;
}

static const char *device_path(const struct model_device *dev, char path[128])
{
	snprintf(path, 128, MODEL_PLATFORM "%s", dev->name);
	return path;
}

int model_group(struct model_device *dev)
{
	char path[128];

	return hw_group_at(device_path(dev, path));
}

int model_open_group(struct model_device *dev)
{
	char path[128];

	return hw_open_group_at(device_path(dev, path));
}

int model_group_device(struct model_device *dev)
{
	int fd = ioctl(dev->group, VFIO_GROUP_GET_DEVICE_FD, dev->name);

	return fd < 0 ? -errno : fd;
}

/* With a group of @with, which is open, if devices share one */
static int model_bind_with(struct model_device *dev, struct model_device *with)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = dev->model->ctx,
	};
	int rc;

	if (dev->bound)
		return 0;
	switch (dev->model->api) {
	case MODEL_IOASID_GROUP:
		if (with) {
			dev->group = dup(with->group);
		} else {
			dev->group = model_open_group(dev);
			if (dev->group < 0)
				return dev->group;
			if (ioctl(dev->group, VFIO_GROUP_SET_CONTAINER,
				  &dev->model->ctx))
				return -errno;
		}
		dev->fd = model_group_device(dev);
		break;
	case MODEL_IOASID:
	case MODEL_IOMMUFD:
		dev->fd = model_open_cdev(dev);
		break;
	case MODEL_TYPE1:
		/* type1 has no bind without an attach. */
		return 0;
	}
	if (dev->fd < 0)
		return dev->fd;

	if (dev->model->api == MODEL_IOMMUFD) {
		rc = ioctl(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind) ? -errno : 0;
		dev->devid = bind.out_devid;
	} else {
		rc = hw_bind(dev->fd, dev->model->ctx, dev->id, &dev->devid);
	}
	if (rc) {
		close(dev->fd);
		dev->fd = -1;
		return rc;
	}
	dev->bound = true;
	return 0;
}

int model_bind(struct model_device *dev)
{
	return model_bind_with(dev, NULL);
}

void model_release(struct model_device *dev)
{
	if (dev->space)
		dev->space->attached--;
	dev->space = NULL;
	if (dev->fd >= 0)
		close(dev->fd);
	dev->fd = -1;
	if (dev->group >= 0) {
		if (dev->model->api == MODEL_TYPE1)
			ioctl(dev->group, VFIO_GROUP_UNSET_CONTAINER);
		close(dev->group);
	}
	dev->group = -1;
	dev->bound = false;
}

/* --- address spaces --- */

int model_space_open(struct model *model, struct model_space *space)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int rc = 0;

	memset(space, 0, sizeof(*space));
	space->model = model;
	space->container = -1;
	switch (model->api) {
	case MODEL_IOASID:
	case MODEL_IOASID_GROUP:
		rc = ia_alloc(model->ctx, &space->id);
		break;
	case MODEL_IOMMUFD:
		rc = ia_cmd(model->ctx, IOMMU_IOAS_ALLOC, &alloc);
		space->id = alloc.out_ioas_id;
		break;
	case MODEL_TYPE1:
		space->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
		if (space->container < 0)
			rc = -errno;
		break;
	}
	return rc;
}

int model_space_close(struct model_space *space)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy) };
	int rc = 0;

	switch (space->model->api) {
	case MODEL_IOASID:
	case MODEL_IOASID_GROUP:
		rc = ia_free(space->model->ctx, space->id);
		break;
	case MODEL_IOMMUFD:
		destroy.id = space->id;
		/* type1 keeps the container while it has mappings. */
		rc = ia_cmd(space->model->ctx, IOMMU_DESTROY, &destroy);
		break;
	case MODEL_TYPE1:
		close(space->container);
		space->container = -1;
		break;
	}
	return rc;
}

static int model_attach_type1(struct model_device *dev,
			      struct model_space *space,
			      struct model_device *with)
{
	int rc;

	if (with) {
		dev->group = dup(with->group);
	} else {
		dev->group = model_open_group(dev);
		if (dev->group < 0)
			return dev->group;
		if (ioctl(dev->group, VFIO_GROUP_SET_CONTAINER,
			  &space->container)) {
			rc = -errno;
			goto err_group;
		}
		if (!space->attached && ioctl(space->container, VFIO_SET_IOMMU,
					      VFIO_TYPE1v2_IOMMU)) {
			rc = -errno;
			goto err_container;
		}
	}
	dev->fd = model_group_device(dev);
	rc = dev->fd;
	if (rc >= 0) {
		dev->bound = true;
		return 0;
	}
err_container:
	if (!with)
		ioctl(dev->group, VFIO_GROUP_UNSET_CONTAINER);
err_group:
	close(dev->group);
	dev->group = -1;
	return rc;
}

int model_attach_with(struct model_device *dev, struct model_space *space,
		      struct model_device *with)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = space->id,
	};
	int rc;

	if (dev->model->api == MODEL_TYPE1) {
		model_release(dev);
		rc = model_attach_type1(dev, space, with);
	} else {
		rc = model_bind_with(dev, with);
		if (rc)
			return rc;
		if (dev->model->api == MODEL_IOMMUFD)
			rc = ioctl(dev->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
				   &attach) ? -errno : 0;
		else
			rc = hw_attach(dev->fd, space->id);
	}
	if (rc)
		return rc;
	if (dev->space)
		dev->space->attached--;
	dev->space = space;
	space->attached++;
	return 0;
}

int model_attach(struct model_device *dev, struct model_space *space)
{
	return model_attach_with(dev, space, NULL);
}

int model_detach(struct model_device *dev)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};
	int rc;

	switch (dev->model->api) {
	case MODEL_IOMMUFD:
		rc = ioctl(dev->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) ?
			-errno : 0;
		break;
	case MODEL_TYPE1:
		return -EOPNOTSUPP;
	default:
		rc = hw_detach(dev->fd, dev->space->id);
	}
	if (!rc) {
		dev->space->attached--;
		dev->space = NULL;
	}
	return rc;
}

int model_map(struct model_space *space, __u64 iova, const void *p,
	      __u64 length, int permission)
{
	struct vfio_iommu_type1_dma_map type1 = {
		.argsz = sizeof(type1),
		.flags = VFIO_DMA_MAP_FLAG_READ |
			 (permission == MODEL_RW ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = IA_PTR(p),
		.iova = iova,
		.size = length,
	};
	struct iommu_ioas_map ioas = {
		.size = sizeof(ioas),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 (permission == MODEL_RW ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = space->id,
		.user_va = IA_PTR(p),
		.length = length,
		.iova = iova,
	};
	__u32 flags = IOASID_MAP_FIXED | IOASID_MAP_READ |
		      (permission == MODEL_RW ? IOASID_MAP_WRITE : 0);

	switch (space->model->api) {
	case MODEL_IOMMUFD:
		return ia_cmd(space->model->ctx, IOMMU_IOAS_MAP, &ioas);
	case MODEL_TYPE1:
		return ia_cmd(space->container, VFIO_IOMMU_MAP_DMA, &type1);
	default:
		return ia_map_full(space->model->ctx, space->id, flags, &iova,
				   IA_PTR(p), length, 0, 0, 0, NULL);
	}
}

int model_unmap(struct model_space *space, __u64 iova, __u64 length)
{
	struct vfio_iommu_type1_dma_unmap type1 = {
		.argsz = sizeof(type1),
		.iova = iova,
		.size = length,
	};
	struct iommu_ioas_unmap ioas = {
		.size = sizeof(ioas),
		.ioas_id = space->id,
		.iova = iova,
		.length = length,
	};

	switch (space->model->api) {
	case MODEL_IOMMUFD:
		return ia_cmd(space->model->ctx, IOMMU_IOAS_UNMAP, &ioas);
	case MODEL_TYPE1:
		return ia_cmd(space->container, VFIO_IOMMU_UNMAP_DMA, &type1);
	default:
		return ia_unmap(space->model->ctx, space->id, iova, length,
				NULL);
	}
}

/* --- registers, memory, interrupts --- */

int model_rw(struct model_device *dev, bool write, int region, __u64 at,
	     void *data, size_t length)
{
	off_t offset = ((__u64)region << IOASID_MODEL_REGION_SHIFT) + at;
	ssize_t n = write ? pwrite(dev->fd, data, length, offset) :
			    pread(dev->fd, data, length, offset);

	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EIO;
}

int model_read_memory(struct model_device *dev, __u64 at, void *data,
		      size_t length)
{
	return model_rw(dev, false, IOASID_MODEL_MEMORY, at, data, length);
}

int model_write_memory(struct model_device *dev, __u64 at, const void *data,
		       size_t length)
{
	return model_rw(dev, true, IOASID_MODEL_MEMORY, at, (void *)data,
			length);
}

void *model_map_memory(struct model_device *dev)
{
	return mmap(NULL, IOASID_MODEL_MEMORY_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED, dev->fd,
		    (off_t)IOASID_MODEL_MEMORY << IOASID_MODEL_REGION_SHIFT);
}

int model_memory_on(struct model_device *dev, __u32 on)
{
	return model_rw(dev, true, IOASID_MODEL_REGS, IOASID_MODEL_MEMORY_ON,
			&on, sizeof(on));
}

int model_state(struct model_device *dev, struct ioasid_model_state *state)
{
	return model_rw(dev, false, IOASID_MODEL_REGS, IOASID_MODEL_STATE,
			state, sizeof(*state));
}

int model_reset(struct model_device *dev)
{
	return ioctl(dev->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

int model_set_irq(struct model_device *dev, __u32 irq, int eventfd)
{
	union {
		struct vfio_irq_set set;
		char room[sizeof(struct vfio_irq_set) + sizeof(int)];
	} u = {
		.set = {
			.argsz = sizeof(u.room),
			.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
				 VFIO_IRQ_SET_DATA_EVENTFD,
			.index = irq,
			.count = 1,
		},
	};

	memcpy(u.set.data, &eventfd, sizeof(eventfd));
	return ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &u.set) ? -errno : 0;
}

/* --- DMA --- */

__u64 model_channel(int channel, __u64 reg)
{
	return IOASID_MODEL_CHANNEL + channel * IOASID_MODEL_CHANNEL_SIZE + reg;
}

int model_start(struct model_device *dev, int channel,
		const struct ioasid_model_dma *dma)
{
	return model_rw(dev, true, IOASID_MODEL_REGS,
			model_channel(channel, IOASID_MODEL_START),
			(void *)dma, sizeof(*dma));
}

int model_status(struct model_device *dev, int channel,
		 struct ioasid_model_status *status)
{
	return model_rw(dev, false, IOASID_MODEL_REGS,
			model_channel(channel, IOASID_MODEL_STATUS), status,
			sizeof(*status));
}

int model_stop(struct model_device *dev, int channel,
	       struct ioasid_model_status *status)
{
	__u32 any = 0;
	int rc = model_rw(dev, true, IOASID_MODEL_REGS,
			  model_channel(channel, IOASID_MODEL_STOP), &any,
			  sizeof(any));

	return !rc && status ? model_status(dev, channel, status) : rc;
}

int model_dma(struct model_device *dev, const struct ioasid_model_dma *dma,
	      struct ioasid_model_status *status)
{
	struct ioasid_model_dma copy = *dma;
	struct ioasid_model_status mine;
	int rc;

	if (!status)
		status = &mine;
	copy.flags |= IOASID_MODEL_DMA_WAIT;
	if (!copy.threads)
		copy.threads = 1;
	if (!copy.count)
		copy.count = 1;
	rc = model_start(dev, 0, &copy);
	if (!rc)
		rc = model_status(dev, 0, status);
	if (rc)
		return rc;
	if (status->run != IOASID_MODEL_DONE && !status->fault)
		return -EIO;
	return status->fault;
}

int model_put(struct model_device *dev, __u64 iova, const void *data,
	      size_t length)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_WRITE,
		.address = iova,
		.length = length,
	};
	int rc = model_write_memory(dev, 0, data, length);

	return rc ? rc : model_dma(dev, &dma, NULL);
}

int model_get(struct model_device *dev, __u64 iova, void *data, size_t length)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_READ,
		.address = iova,
		.length = length,
	};
	int rc = model_dma(dev, &dma, NULL);

	return rc ? rc : model_read_memory(dev, 0, data, length);
}

void model_pattern(void *p, __u64 seed, __u64 iova, size_t length)
{
	__u64 *word = p;
	size_t i;

	for (i = 0; i < length / sizeof(*word); i++)
		__atomic_store_n(&word[i],
				 ioasid_model_word(seed,
						   iova + i * sizeof(*word)),
				 __ATOMIC_RELAXED);
}

bool model_pattern_holds(const void *p, __u64 seed, __u64 iova, size_t length)
{
	const __u64 *word = p;
	size_t i;

	for (i = 0; i < length / sizeof(*word); i++)
		if (__atomic_load_n(&word[i], __ATOMIC_ACQUIRE) !=
		    ioasid_model_word(seed, iova + i * sizeof(*word)))
			return false;
	return true;
}

int model_fill(struct model_device *dev, __u64 iova, __u64 seed,
	       unsigned int pages)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.address = iova,
		.length = page_size,
		.stride = page_size,
		.count = pages,
		.operand = seed,
	};

	return model_dma(dev, &dma, NULL);
}

int model_verify(struct model_device *dev, __u64 iova, __u64 seed,
		 unsigned int pages)
{
	struct ioasid_model_status status;
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_VERIFY,
		.address = iova,
		.length = page_size,
		.stride = page_size,
		.count = pages,
		.operand = seed,
	};
	int rc = model_dma(dev, &dma, &status);

	return !rc && status.mismatches ? -EILSEQ : rc;
}

int model_hammer(struct model_device *dev, int channel, __u32 op, __u64 iova,
		 __u64 seed, unsigned int pages, unsigned int threads)
{
	struct ioasid_model_dma dma = {
		.op = op,
		.flags = IOASID_MODEL_DMA_LOOP | IOASID_MODEL_DMA_GO_ON,
		.threads = threads,
		.address = iova,
		.length = page_size,
		.stride = page_size,
		.count = pages,
		.operand = seed,
	};

	return model_start(dev, channel, &dma);
}

int model_hammered(struct model_device *dev, int channel, __u64 more)
{
	__u64 deadline = ia_now_ms() + 10000, until = 0;
	struct ioasid_model_status status;
	int rc;

	for (;;) {
		rc = model_status(dev, channel, &status);
		if (rc)
			return rc;
		if (!until)
			until = status.done + status.faults + more;
		if (status.done + status.faults >= until)
			return 0;
		if (ia_now_ms() > deadline)
			return -ETIMEDOUT;
		usleep(1000);
	}
}
