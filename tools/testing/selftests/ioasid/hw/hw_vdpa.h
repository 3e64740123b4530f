/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vDPA device of each sort of parent, for tests that do not depend on the sort:
 *
 *	set_map		a simulated network device that is given the whole map
 *	dma_map		the same, that is given each change of the map
 *	platform	a block device of QEMU, whose DMA goes through an IOMMU
 *
 * Each can move VIRTIO_LEN bytes from one IOVA to another.
 */
#ifndef __SELFTESTS_IOASID_HW_VDPA_H
#define __SELFTESTS_IOASID_HW_VDPA_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "ioasid_test.h"
#include "vdpa.h"
#include "virtio.h"

#define PG page_size
#define NR_PAGES 16

/* Control memory, and memory of the tests */
#define RINGS 0x100000ULL
#define BASE 0x40000000ULL

#define NO_VDPA "no such vDPA device"
#define NO_FRONT "this vhost-vdpa does not have the commands of /dev/ioasid"

enum vdpa_parent { SET_MAP, DMA_MAP, PLATFORM };

#define SIM_NET "ioasid-net"
#define SIM_BLK "ioasid-blk"
#define PCI_BLK "ioasid-pci-blk"

/* Make the device, unless it is there; -ENOENT if this machine cannot have one. */
static inline int make_device(enum vdpa_parent parent)
{
	char pci[1][HW_NAME];
	int rc;

	if (parent == PLATFORM) {
		if (!vdpa_find_pci(VIRTIO_ID_BLOCK, pci, 1) ||
		    hw_group(pci[0]) < 0)
			return -ENOENT;
		return vdpa_take_pci(pci[0], PCI_BLK);
	}
	rc = vdpa_load(parent == SET_MAP, false);
	if (rc || vdpa_exists(SIM_NET))
		return rc;
	return vdpa_add("vdpasim_net", SIM_NET);
}

static inline const char *device_name(enum vdpa_parent parent)
{
	return parent == PLATFORM ? PCI_BLK : SIM_NET;
}

/* Have the device move VIRTIO_LEN bytes: 0, VIRTIO_LOST, or a negative errno */
static inline int move(struct virtio *v, __u64 to, __u64 from)
{
	int rc;

	if (v->id == VIRTIO_ID_NET)
		return virtio_copy(v, to, from, VIRTIO_LEN);
	rc = virtio_blk_write(v, 8, from, VIRTIO_LEN);
	if (!rc)
		rc = virtio_blk_read(v, 8, to, VIRTIO_LEN);
	return rc < 0 ? rc : rc ? VIRTIO_LOST : 0;
}

/*
 * Whether the device, told to move what is at @source, found by it at @from, to @sink,
 * found at @to, does that. A block device says that it did even if the IOMMU stopped
 * it, so memory is looked at.
 */
static inline bool moves(struct virtio *v, __u64 to, void *sink, __u64 from,
			 void *source, unsigned int seed)
{
	virtio_frame(source, VIRTIO_LEN, seed);
	memset(sink, 0, VIRTIO_LEN);
	return !move(v, to, from) && virtio_is_frame(sink, VIRTIO_LEN, seed);
}

/* Whether @sink is as before after the device was told to write it */
static inline bool spares(struct virtio *v, __u64 to, void *sink, __u64 from,
			  void *source, unsigned int seed)
{
	int rc;

	virtio_frame(source, VIRTIO_LEN, seed);
	virtio_frame(sink, VIRTIO_LEN, seed + 100);
	rc = move(v, to, from);
	return (!rc || rc == VIRTIO_LOST) &&
	       virtio_is_frame(sink, VIRTIO_LEN, seed + 100);
}

/* A device that is bound and attached to @id, and memory that is not mapped */
struct vdpa_setup {
	int ctx;
	__u32 id;
	__u32 devid;
	struct virtio v;
	char *mem;
};

#define VDPA_COOKIE 0xda

/* Elsewhere it takes the argument of a command that it does not know for a queue. */
static inline bool vdpa_has_no_front(int fd)
{
	int rc = vdpa_detach(fd, 0);

	return rc == -ENOTTY || rc == -ENOBUFS;
}

/*
 * Prepare all but the bind; "" if all is there, a reason to skip, or NULL if something
 * failed.
 */
static inline const char *vdpa_prepare(struct vdpa_setup *s,
				       enum vdpa_parent parent)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->v.fd = -1;
	s->ctx = ia_open();
	if (s->ctx == -ENOENT)
		return IA_ABSENT;
	rc = make_device(parent);
	if (rc == -ENOENT)
		return NO_VDPA;
	if (s->ctx < 0 || rc)
		return NULL;
	if (virtio_open(&s->v, device_name(parent)))
		return NULL;
	if (vdpa_has_no_front(s->v.fd))
		return NO_FRONT;
	s->mem = ia_mem(NR_PAGES * PG);
	if (!s->mem || ia_alloc(s->ctx, &s->id))
		return NULL;
	return "";
}

static inline void vdpa_finish(struct vdpa_setup *s)
{
	if (s->v.fd >= 0)
		virtio_close(&s->v);
	if (s->ctx >= 0)
		close(s->ctx);
	if (s->mem)
		munmap(s->mem, NR_PAGES * PG);
}

/* Bind, attach to @id with control memory mapped, and start the device. */
static inline int vdpa_begin_traffic(struct vdpa_setup *s)
{
	int rc;

	rc = ia_map(s->ctx, s->id, RINGS, s->v.ctrl, VIRTIO_CTRL);
	if (!rc)
		rc = vdpa_bind(s->v.fd, s->ctx, VDPA_COOKIE, &s->devid);
	if (!rc)
		rc = vdpa_attach(s->v.fd, s->id);
	return rc ? rc : virtio_start(&s->v, RINGS);
}

static inline int map(struct vdpa_setup *s, int first, int nr)
{
	return ia_map(s->ctx, s->id, BASE + first * PG, s->mem + first * PG,
		      nr * PG);
}

static inline int unmap(struct vdpa_setup *s, int first, int nr)
{
	return ia_unmap(s->ctx, s->id, BASE + first * PG, nr * PG, NULL);
}

/* Whether the device moves a page of memory to another one, both where map() maps */
static inline bool page_moves(struct vdpa_setup *s, int to, int from,
			      unsigned int seed)
{
	return moves(&s->v, BASE + to * PG, s->mem + to * PG, BASE + from * PG,
		     s->mem + from * PG, seed);
}

/* Whether it does not reach the first one of them */
static inline bool page_spared(struct vdpa_setup *s, int to, int from,
			       unsigned int seed)
{
	return spares(&s->v, BASE + to * PG, s->mem + to * PG,
		      BASE + from * PG, s->mem + from * PG, seed);
}

#endif /* __SELFTESTS_IOASID_HW_VDPA_H */
