/* SPDX-License-Identifier: LGPL-2.1-only OR MIT */
/*
 * libioasid: a small library for programs that drive devices through
 * /dev/ioasid.
 *
 * A program opens a context, allocates an I/O address space in it, maps memory
 * and attaches devices:
 *
 *	struct ioasid_device dev;
 *	__u32 ioasid;
 *	__u64 iova;
 *	int fd = ioasid_open();
 *
 *	ioasid_alloc(fd, 0, &ioasid);
 *	ioasid_map(fd, ioasid, buf, len, IOASID_MAP_READ | IOASID_MAP_WRITE,
 *		   &iova);
 *	ioasid_device_open(fd, "0000:00:04.0", 0, &dev);
 *	ioasid_device_attach(&dev, ioasid);
 *	... drive the device by ioctl() and mmap() on dev.fd, see vfio_pci.h ...
 *	ioasid_device_close(&dev);
 *	close(fd);
 *
 * Mapping needs no device, and mappings outlive the devices.
 *
 * Every call returns 0 or -errno, unless its comment says otherwise.
 * linux/ioasid.h describes the errnos at the structure of each command. The
 * library keeps no state but what is in struct ioasid_device and the per-thread
 * ioasid_fault_addr(); its calls may be mixed with ioctls of the program, and
 * used from any thread.
 */
#ifndef LIBIOASID_H
#define LIBIOASID_H

#include <linux/ioasid.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * ioasid_open - open a context
 *
 * Return: the file descriptor, to be closed by close(), or -errno.
 */
int ioasid_open(void);

/**
 * ioasid_alloc - allocate an I/O address space
 * @fd: the context
 * @cookie: any number; shown wherever the kernel names the IOASID
 * @ioasid: out, its id
 *
 * For other attributes than the default ones use ioctl(IOASID_ALLOC).
 */
int ioasid_alloc(int fd, __u64 cookie, __u32 *ioasid);

/**
 * ioasid_alloc_child - allocate an I/O address space that maps by reference
 * @fd: the context
 * @parent: the IOASID whose memory it will map
 * @cookie: any number
 * @ioasid: out, its id
 */
int ioasid_alloc_child(int fd, __u32 parent, __u64 cookie, __u32 *ioasid);

/**
 * ioasid_alloc_nest_parent - allocate an I/O address space below tables of the
 *	program's
 * @fd: the context
 * @cookie: any number
 * @ioasid: out, its id
 *
 * It maps memory as any other one does.  -EOPNOTSUPP if the kernel cannot have such
 * tables.
 */
int ioasid_alloc_nest_parent(int fd, __u64 cookie, __u32 *ioasid);

/**
 * ioasid_alloc_demand - allocate an I/O address space that pins memory on demand
 * @fd: the context
 * @cookie: any number
 * @cut_size: bytes that are pinned together, and the cut size of mappings; 0 for 2
 *	MiB, and no cut size
 * @ioasid: out, its id
 *
 * It maps memory as any other one does.  The kernel pins it when a child refers to it, or
 * a device that is attached requests it: other devices attach to children only
 * (-EMEDIUMTYPE).  -EOPNOTSUPP if the kernel does not know IOASID_EXT_DEMAND.
 */
int ioasid_alloc_demand(int fd, __u64 cookie, __u64 cut_size, __u32 *ioasid);

/**
 * ioasid_alloc_dirty - allocate an I/O address space with dirty bits
 * @fd: the context
 * @parent: the IOASID whose memory it will map; 0 for none
 * @cookie: any number
 * @ioasid: out, its id
 *
 * For ioasid_set_dirty() on the root.  -EOPNOTSUPP if the kernel has no dirty
 * tracking.
 */
int ioasid_alloc_dirty(int fd, __u32 parent, __u64 cookie, __u32 *ioasid);

/**
 * ioasid_fault_queue_open - make a queue of faults, and open its file
 * @fd: the context
 * @depth: groups of page requests that wait for an answer at most, 1 to 65536
 * @eventfd: an eventfd that is signalled with each record; -1 for none
 * @cookie: any number
 * @queue: out, the id of the queue, for ioasid_alloc_full() and ioasid_free()
 *
 * Return: the file descriptor, to be closed by close(), or -errno.
 */
int ioasid_fault_queue_open(int fd, __u32 depth, int eventfd, __u64 cookie,
			    __u32 *queue);

/**
 * ioasid_alloc_full - allocate an I/O address space with any attributes
 * @fd: the context
 * @alloc: the structure of the command, which gets the id; argsz is set here
 */
int ioasid_alloc_full(int fd, struct ioasid_alloc *alloc);

/**
 * ioasid_fault_read - take records of a fault queue
 * @queue_fd: its file
 * @records: out, the records
 * @nr: number of elements of @records; those of a group are taken together, and there
 *	are at most 257
 *
 * Waits for the first one, unless the file is O_NONBLOCK.
 *
 * Return: number of records; 0 if no more will come; or -errno.
 */
int ioasid_fault_read(int queue_fd, struct ioasid_fault *records, __u32 nr);

/**
 * ioasid_fault_answer - answer a group of page requests
 * @queue_fd: the file of the queue
 * @id: id of the group, of its records
 * @code: enum ioasid_fault_code
 *
 * -ENOENT if the group was answered: by the kernel, if its device was detached.
 */
int ioasid_fault_answer(int queue_fd, __u32 id, __u32 code);

/**
 * ioasid_set_dirty - begin or end to log which pages are written
 * @fd: the context
 * @ioasid: a root
 * @flags: enum ioasid_set_dirty_flags
 */
int ioasid_set_dirty(int fd, __u32 ioasid, __u32 flags);

/**
 * ioasid_get_dirty - read which pages were written
 * @fd: the context
 * @get: the structure of the command; argsz is set, and outputs are cleared, here
 *
 * With an error, @get->next tells where to continue.
 */
int ioasid_get_dirty(int fd, struct ioasid_get_dirty *get);

/**
 * ioasid_alloc_table - allocate an I/O address space whose table the program writes
 * @fd: the context
 * @kind: IOASID_KIND_PGTABLE, or IOASID_KIND_PASID_TABLE
 * @parent: an IOASID of ioasid_alloc_nest_parent(), which maps the memory that has
 *	the table, and all that devices reach by it
 * @format: format of the table: enum iommu_hwpt_data_type of linux/iommufd.h
 * @cookie: any number
 * @ioasid: out, its id
 */
int ioasid_alloc_table(int fd, __u32 kind, __u32 parent, __u32 format,
		       __u64 cookie, __u32 *ioasid);

/**
 * ioasid_alloc_process - allocate an I/O address space that is the memory of the caller
 * @fd: the context
 * @cookie: any number
 * @ioasid: out, its id
 *
 * Devices use the pointers of the process; they must be able to request pages.
 */
int ioasid_alloc_process(int fd, __u64 cookie, __u32 *ioasid);

/**
 * ioasid_bind_pgtable - let devices use a page table of the program's
 * @fd: the context
 * @ioasid: of the kind IOASID_KIND_PGTABLE
 * @flags: IOASID_BIND_REPLACE if another one may be bound, or 0
 * @data: what the format says, such as struct iommu_hwpt_vtd_s1; copied
 * @length: bytes of @data
 */
int ioasid_bind_pgtable(int fd, __u32 ioasid, __u32 flags, const void *data,
			__u32 length);

/**
 * ioasid_unbind_pgtable - undo ioasid_bind_pgtable(): devices are blocked
 * @fd: the context
 * @ioasid: the IOASID
 */
int ioasid_unbind_pgtable(int fd, __u32 ioasid);

/**
 * ioasid_bind_pasid_table - let devices use a table of the program's that has a
 *	page table for each PASID
 * @fd: the context
 * @ioasid: of the kind IOASID_KIND_PASID_TABLE
 * @flags: as of ioasid_bind_pgtable()
 * @data: what the format says; copied
 * @length: bytes of @data
 */
int ioasid_bind_pasid_table(int fd, __u32 ioasid, __u32 flags, const void *data,
			    __u32 length);

/**
 * ioasid_unbind_pasid_table - undo ioasid_bind_pasid_table(): devices are blocked
 * @fd: the context
 * @ioasid: the IOASID
 */
int ioasid_unbind_pasid_table(int fd, __u32 ioasid);

/**
 * ioasid_rehome - become the process that pays for the mappings of a root
 * @fd: the context
 * @ioasid: a root
 * @flags: enum ioasid_rehome_flags
 * @fail_iova: NULL; or out, first byte of the mapping that could not be moved
 */
int ioasid_rehome(int fd, __u32 ioasid, __u32 flags, __u64 *fail_iova);

/**
 * ioasid_rehome_user - the same, with mappings of user addresses
 * @fd: the context
 * @ioasid: a root
 * @flags: enum ioasid_rehome_flags
 * @entries: where the calling process has the memory, in ascending order
 * @nr: number of entries
 * @fail_iova: NULL; or out, what could not be moved: see struct ioasid_rehome
 */
int ioasid_rehome_user(int fd, __u32 ioasid, __u32 flags,
		       const struct ioasid_rehome_entry *entries, __u32 nr,
		       __u64 *fail_iova);

/**
 * ioasid_invalidate - invalidate what caches have of a table, after it has changed
 * @fd: the context
 * @ioasid: the IOASID that the table is bound to
 * @devid: id of a device, for which at least it is done; 0 for all
 * @entries: what to invalidate
 * @nr: how many
 * @done: out, also with an error: how many were carried out. May be NULL.
 *
 * Return: 0, all were carried out; or -errno, of the first that was not.
 */
int ioasid_invalidate(int fd, __u32 ioasid, __u32 devid,
		      const struct ioasid_invalidate *entries, __u32 nr,
		      __u32 *done);

/**
 * ioasid_free - unmap all mappings of an IOASID, and free it
 * @fd: the context
 * @ioasid: the IOASID; no device may be attached to it (-EBUSY)
 */
int ioasid_free(int fd, __u32 ioasid);

/**
 * ioasid_map - map memory of this process for the devices
 * @fd: the context
 * @ioasid: the IOASID
 * @addr: start of the memory, on a page boundary
 * @len: bytes, whole pages
 * @flags: of IOASID_MAP_READ, IOASID_MAP_WRITE, IOASID_MAP_FIXED
 * @iova: the IOVA to map at, with IOASID_MAP_FIXED; otherwise out, the IOVA
 *	that the kernel chose
 *
 * The memory is pinned, and counts against RLIMIT_MEMLOCK.
 */
int ioasid_map(int fd, __u32 ioasid, void *addr, __u64 len, __u32 flags,
	       __u64 *iova);

/**
 * ioasid_map_file - map a part of a memfd, tmpfs or hugetlbfs file
 * @fd: the context
 * @ioasid: the IOASID
 * @file: the file
 * @offset: in the file, on a page boundary
 * @len: bytes, whole pages
 * @flags: as of ioasid_map()
 * @iova: as of ioasid_map()
 *
 * The program need not mmap() the file.
 */
int ioasid_map_file(int fd, __u32 ioasid, int file, __u64 offset, __u64 len,
		    __u32 flags, __u64 *iova);

/**
 * ioasid_map_parent - map memory that the parent has mapped
 * @fd: the context
 * @ioasid: a child
 * @addr: an IOVA of its parent, on a page boundary
 * @len: bytes, whole pages
 * @flags: as of ioasid_map(), with no more permission than the parent's mapping
 *	has
 * @iova: as of ioasid_map()
 *
 * No memory is pinned, and none counts against RLIMIT_MEMLOCK.
 */
int ioasid_map_parent(int fd, __u32 ioasid, __u64 addr, __u64 len, __u32 flags,
		      __u64 *iova);

/**
 * ioasid_batch - map and unmap, many times in one call
 * @fd: the context
 * @ioasid: the IOASID
 * @ops: what to do; @iova of a map without IOASID_MAP_FIXED is written
 * @nr: how many
 * @done: out, also with an error: number of operations that were done. May be
 *	NULL.
 *
 * Return: 0, all were done; or -errno, of the first that was not.
 */
int ioasid_batch(int fd, __u32 ioasid, struct ioasid_dma_op *ops, __u32 nr,
		 __u32 *done);

/**
 * ioasid_unmap - unmap a range
 * @fd: the context
 * @ioasid: the IOASID
 * @iova: first byte
 * @len: bytes; the range may hold several mappings, and holes
 * @unmapped: out, also with an error: bytes unmapped. May be NULL.
 *
 * When this returns, no device can access the memory that was mapped there.
 */
int ioasid_unmap(int fd, __u32 ioasid, __u64 iova, __u64 len, __u64 *unmapped);

/**
 * ioasid_unmap_all - unmap all mappings of an IOASID
 * @fd: the context
 * @ioasid: the IOASID
 * @unmapped: out, also with an error: bytes unmapped. May be NULL.
 */
int ioasid_unmap_all(int fd, __u32 ioasid, __u64 *unmapped);

/**
 * ioasid_unmap_dirty - unmap a range, and read which of its pages were written
 * @fd: the context
 * @ioasid: a root whose writes are logged: see ioasid_set_dirty()
 * @iova: first byte
 * @len: bytes
 * @page_size: bytes of a block that has a bit
 * @bitmap: out, an array of __u64, with a bit for each block
 * @exact: out, not 0 if no block has a bit that was not written. May be NULL.
 * @unmapped: out, also with an error: bytes unmapped. May be NULL.
 */
int ioasid_unmap_dirty(int fd, __u32 ioasid, __u64 iova, __u64 len,
		       __u64 page_size, void *bitmap, int *exact,
		       __u64 *unmapped);

/**
 * ioasid_get_info - get information about an IOASID
 * @fd: the context
 * @ioasid: the IOASID
 * @info: out
 * @ranges: room for permitted IOVA ranges; may be NULL when @nr_ranges is 0
 * @nr_ranges: number of elements of @ranges. @info->nr_ranges is the number of
 *	ranges that exist, which may be larger.
 */
int ioasid_get_info(int fd, __u32 ioasid, struct ioasid_info *info,
		    struct ioasid_iova_range *ranges, __u32 nr_ranges);

/**
 * ioasid_get_events - take events: what happened to IOASIDs without a command on them
 * @fd: the context
 * @events: out, the ids of IOASIDs that have one, and their states now
 * @nr: number of elements of @events; at most INT_MAX
 * @more: out, not 0 if there are more events. May be NULL.
 *
 * Does not wait: poll() of the context returns POLLIN and POLLPRI while there are any.
 * Each event is told once.
 *
 * Return: number of events; 0 if there is none; or -errno.
 */
int ioasid_get_events(int fd, struct ioasid_event *events, __u32 nr, int *more);

/**
 * ioasid_fault_addr - get the address of the last failure of this thread
 *
 * Return: the fault_addr of the kernel when ioasid_map(), ioasid_map_file(),
 * ioasid_map_parent(), ioasid_batch(), ioasid_device_open(),
 * ioasid_device_open_vdpa(), ioasid_device_attach(), ioasid_device_attach_pasid()
 * or ioasid_device_attach_asid() last failed in this thread: the IOVA that is
 * taken, the address that cannot be pinned, ...; or 0 if there was none.
 */
__u64 ioasid_fault_addr(void);

/**
 * struct ioasid_device - an open device
 * @fd: the VFIO device file, for the VFIO_DEVICE ioctls, mmap(), ...; or the file
 *	of vhost-vdpa, for its ioctls
 * @ctx: the context it is bound to
 * @group: the VFIO group file if it was opened through one, or -1
 * @container: the VFIO container if the group is in one, or -1
 * @id: its id in the context (devid)
 * @name: its name in sysfs: "0000:00:04.0", "vdpa0"
 * @vdpa: 1 for a vDPA device, 0 for a VFIO device
 */
struct ioasid_device {
	int fd;
	int ctx;
	int group;
	int container;
	__u32 id;
	char name[64];
	int vdpa;
};

/**
 * ioasid_device_open - open a device and bind it to a context
 * @fd: the context
 * @name: the address of a PCI device ("0000:00:04.0", "00:04.0" or "04.0"), a
 *	device's directory in sysfs, or its VFIO device node
 *	("/dev/vfio/devices/vfio0")
 * @cookie: any number; shown wherever the kernel names the device
 * @dev: out
 *
 * The device must have been given to a VFIO driver (-ENODEV otherwise), and
 * does no DMA before it is attached.  The VFIO device node is used; or the VFIO
 * group where there are no device nodes; or the group in a container, where VFIO
 * does not know /dev/ioasid and the module vfio_iommu_ioasid is loaded.
 */
int ioasid_device_open(int fd, const char *name, __u64 cookie,
		       struct ioasid_device *dev);

/**
 * ioasid_device_open_group - open a device through its VFIO group, and bind it
 * @fd: the context
 * @name: as of ioasid_device_open(), but no VFIO device node
 * @cookie: as of ioasid_device_open()
 * @dev: out
 *
 * A group can be opened once, so this is for groups of one device.
 */
int ioasid_device_open_group(int fd, const char *name, __u64 cookie,
			     struct ioasid_device *dev);

/**
 * ioasid_device_open_container - open a device through its VFIO group, in a
 *	container that lends the group to a context
 * @fd: the context
 * @name: as of ioasid_device_open(), but no VFIO device node
 * @cookie: as of ioasid_device_open()
 * @dev: out
 *
 * For groups of one device.  The module vfio_iommu_ioasid must be loaded
 * (-EOPNOTSUPP otherwise).
 */
int ioasid_device_open_container(int fd, const char *name, __u64 cookie,
				 struct ioasid_device *dev);

/**
 * ioasid_device_open_vdpa - open a vDPA device and bind it to a context
 * @fd: the context
 * @name: the name of a vDPA device ("vdpa0"), its directory in sysfs, or its
 *	device node ("/dev/vhost-vdpa-0")
 * @cookie: as of ioasid_device_open()
 * @dev: out
 *
 * The device must have been given to vhost-vdpa (-ENODEV otherwise), and only one
 * program at a time can open it (-EBUSY).  The program owns the file as by
 * VHOST_SET_OWNER, and drives the device by the ioctls of vhost-vdpa.
 */
int ioasid_device_open_vdpa(int fd, const char *name, __u64 cookie,
			    struct ioasid_device *dev);

/**
 * ioasid_device_attach - attach a device to an IOASID
 * @dev: the device
 * @ioasid: an IOASID of the context. If the device is attached to another one,
 *	it moves.
 *
 * Of a vDPA device, attaches address space 0.
 */
int ioasid_device_attach(struct ioasid_device *dev, __u32 ioasid);

/**
 * ioasid_device_attach_pasid - attach a PASID of a device to an IOASID
 * @dev: the device
 * @ioasid: an IOASID of the context
 * @flags: IOASID_ATTACH_PASID or IOASID_ATTACH_PASID_ANY; IOASID_ATTACH_NEW,
 *	IOASID_ATTACH_HITLESS
 * @pasid: with IOASID_ATTACH_PASID the PASID, which moves if it is attached; out
 *	with IOASID_ATTACH_PASID_ANY
 *
 * -EOPNOTSUPP if the device has no PASIDs, or VFIO has it in a container.
 */
int ioasid_device_attach_pasid(struct ioasid_device *dev, __u32 ioasid,
			       __u32 flags, __u32 *pasid);

/**
 * ioasid_device_attach_asid - attach an address space of a vDPA device to an IOASID
 * @dev: the device
 * @ioasid: an IOASID of the context
 * @asid: the address space, of those that VHOST_VDPA_GET_AS_NUM counts; it moves if
 *	it is attached
 *
 * -EOPNOTSUPP if it is no vDPA device.
 */
int ioasid_device_attach_asid(struct ioasid_device *dev, __u32 ioasid,
			      __u32 asid);

/**
 * ioasid_device_detach - detach a device; its DMA is blocked from then on
 * @dev: the device
 *
 * Its PASIDs stay attached.
 */
int ioasid_device_detach(struct ioasid_device *dev);

/**
 * ioasid_device_detach_pasid - detach a PASID of a device
 * @dev: the device
 * @pasid: the PASID; its number can be used again afterwards
 */
int ioasid_device_detach_pasid(struct ioasid_device *dev, __u32 pasid);

/**
 * ioasid_device_detach_asid - detach an address space of a vDPA device
 * @dev: the device
 * @asid: the address space
 */
int ioasid_device_detach_asid(struct ioasid_device *dev, __u32 asid);

/**
 * ioasid_device_close - detach, unbind and close a device
 * @dev: the device. What was mapped of it by mmap() must be unmapped before:
 *	the device stays bound as long as its memory is mapped.
 */
void ioasid_device_close(struct ioasid_device *dev);

#ifdef __cplusplus
}
#endif

#endif /* LIBIOASID_H */
