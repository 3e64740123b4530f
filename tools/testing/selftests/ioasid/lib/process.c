// SPDX-License-Identifier: GPL-2.0-only
#include "process.h"
#include "pasid.h"

int process_alloc(int ctx, __u32 *id)
{
	return fault_alloc(ctx, 0, IOASID_KIND_PROCESS, 0, 0, NULL, id);
}

int process_attach(struct model_device *dev, __u32 id, __u32 pasid)
{
	int rc = dev->bound ? 0 : model_bind(dev);

	if (rc)
		return rc;
	return pasid ? pasid_attach(dev, id, pasid) : hw_attach(dev->fd, id);
}

int process_detach(struct model_device *dev, __u32 pasid)
{
	return pasid ? pasid_detach(dev, pasid) : hw_detach(dev->fd, 0);
}

int process_attach_two(struct model *model, struct model_device *dev, __u32 id)
{
	struct model_params params = PROCESS_PARAMS;
	int i, rc = 0;

	for (i = 0; i < 2 && !rc; i++) {
		params.unit = i;
		params.flags |= i ? MODEL_EVICT_RANDOM : 0;
		rc = model_plug(model, &dev[i], &params, 0);
		rc = rc ?: process_attach(&dev[i], id, 1 + i);
	}
	return rc;
}

char *process_memory(unsigned long size)
{
	unsigned long more = size + PROCESS_WINDOW, at;
	char *p = mmap(NULL, more, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	at = (IA_PTR(p) + PROCESS_WINDOW - 1) & ~(PROCESS_WINDOW - 1);
	if (at != IA_PTR(p))
		munmap(p, at - IA_PTR(p));
	munmap((char *)at + size, IA_PTR(p) + more - at - size);
	madvise((void *)at, size, MADV_NOHUGEPAGE);
	return (char *)at;
}

int process_dma(struct model_device *dev, __u32 op, __u32 pasid, const void *page,
		__u64 seed)
{
	struct ioasid_model_status status;
	int rc = fault_dma(dev, 0, op, pasid, IA_PTR(page), seed);

	rc = rc ?: fault_dma_ended(dev, 0, &status);
	if (rc)
		return rc;
	if (status.run == IOASID_MODEL_FAULTED)
		return status.fault;
	if (status.run != IOASID_MODEL_DONE)
		return -EIO;
	return status.mismatches ? -EILSEQ : 0;
}

bool process_writes(struct model_device *dev, __u32 pasid, char *p,
		    unsigned int pages, __u64 seed)
{
	unsigned int i;

	for (i = 0; i < pages; i++)
		if (process_dma(dev, IOASID_MODEL_FILL, pasid, p + i * page_size,
				seed))
			return false;
	return model_pattern_holds(p, seed, IA_PTR(p), pages * page_size);
}

bool process_reads(struct model_device *dev, __u32 pasid, char *p,
		   unsigned int pages, __u64 seed)
{
	unsigned int i;

	model_pattern(p, seed, IA_PTR(p), pages * page_size);
	for (i = 0; i < pages; i++)
		if (process_dma(dev, IOASID_MODEL_VERIFY, pasid,
				p + i * page_size, seed))
			return false;
	return true;
}

int process_hammer(struct model_device *dev, __u32 pasid, const char *p,
		   __u64 stride, __u64 count, __u64 seed)
{
	struct ioasid_model_dma dma = {
		.op = IOASID_MODEL_FILL,
		.flags = IOASID_MODEL_DMA_PRI | IOASID_MODEL_DMA_ATS |
			 IOASID_MODEL_DMA_PASID | IOASID_MODEL_DMA_LOOP |
			 IOASID_MODEL_DMA_GO_ON,
		.pasid = pasid,
		.threads = 2,
		.address = IA_PTR(p),
		.length = 64,
		.stride = stride,
		.count = count,
		.operand = seed,
	};

	return model_start(dev, 1, &dma);
}

__u64 process_requests(struct model_device *dev)
{
	struct ioasid_model_state state;

	return model_state(dev, &state) ? ~0ULL : state.requests;
}
