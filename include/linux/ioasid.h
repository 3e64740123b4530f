/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/ioasid: the interface of device frameworks (VFIO, vDPA).
 *
 * A framework passes the commands of a device file to this subsystem.  It holds
 * a context by a reference, never by its file.  It binds a device to the
 * context, attaches and detaches the device by commands of user space, and
 * unbinds it.  It calls for one device from one thread at a time; calls for
 * different devices may run at the same time.
 *
 * An IOMMU driver registers a struct ioasid_domain_extension for abilities that
 * struct iommu_domain_ops has no op for, and a struct ioasid_table_format for page
 * tables of user space that it takes.
 */
#ifndef _LINUX_IOASID_H
#define _LINUX_IOASID_H

#include <linux/types.h>

struct device;
struct file;
struct iommu_domain;
struct iommu_domain_ops;
struct iommu_group;
struct iommu_iotlb_gather;
struct ioasid_ctx;
struct ioasid_device;
struct ioasid_device_bind;
struct ioasid_invalidate;
struct module;
struct mutex;
struct notifier_block;
struct page;

/**
 * struct ioasid_access_ops - callbacks of an emulated device
 * @unmap: unpin all pages that the driver has pinned in [iova, iova + length),
 *	which is about to be unmapped, before the callback returns. Also called
 *	for all pinned pages when the device detaches, and possibly for ranges
 *	that the driver never pinned. May sleep, but not for long. May unpin,
 *	and wait for threads that pin, unpin or copy, but not for one that
 *	binds, attaches or detaches: maps and attaches of the same IOASID wait
 *	for the callback. NULL for a device that never pins.
 */
struct ioasid_access_ops {
	void (*unmap)(void *data, u64 iova, u64 length);
};

/**
 * struct ioasid_region - memory of a device, watched by its framework
 * @phys: set by &ioasid_device_ops.watch: where the memory is
 * @priv: for the framework
 * @gone: the framework calls it before the memory goes: in a reset, in low power,
 *	or when the device is closed.  Then @closed is true, and it is the last
 *	call.  Returns when no device reaches the memory by an IOASID.
 * @back: the framework calls it when the memory is first there, and each time that
 *	it is there again
 *
 * One call at a time.  They may sleep, and allocate memory, but wait for no page
 * fault.
 */
struct ioasid_region {
	phys_addr_t phys;
	void *priv;
	void (*gone)(struct ioasid_region *region, bool closed);
	void (*back)(struct ioasid_region *region);
};

/**
 * struct ioasid_device_ops - a framework's callbacks for a device that does DMA
 * @owns_file: return true if @file is a file of the device. Device memory that
 *	is mmap()ed by this file can be mapped to IOASIDs. unmap_mapping_range()
 *	revokes these mappings, too: the framework calls it before the device is
 *	reset or bound to another driver. Called under spinlocks. NULL, it has none
 * @watch: watch memory of the device, at an offset as for mmap() of its file;
 *	NULL if that cannot be done. May sleep. Returns 0, or an errno: -EOPNOTSUPP
 *	of a device that cannot, -EINVAL where there is no memory
 * @unwatch: undo @watch. May be called after ioasid_unbind(), with no data
 * @owner: the module of @unwatch
 * @may_attach: test whether the device may be attached now. Called from
 *	ioasid_attach() and ioasid_attach_ioctl() only, with the lock that serialises
 *	them held. Returns 0, or an errno, which the attach fails with. NULL, it always
 *	may
 * @pasid_stop: stop the work of the device by a vPASID. Of ioasid_bind_shared()
 *	only; if it is there, attaches are recorded: ioasid_pasid_begin(). Called
 *	when work is going on, before its PASID is blocked: by a detach or a move of
 *	the vPASID, by ioasid_unbind(), and when a failure of the IOMMU has poisoned
 *	the IOASID, from any thread. When it returns the device does no DMA with the
 *	PASID, and begins none: not even for a thread that has called
 *	ioasid_pasid_begin(), but has not handed its work to the device yet. May
 *	sleep, for a bounded time; a lock of this bind is held, which
 *	ioasid_pasid_begin(), ioasid_pasid_end() and attaches take, too. So it calls
 *	none of these for the bind, and neither waits for a thread that may, nor takes
 *	a lock that is held over them; nor does it wait for a page fault. The calls of
 *	ioasid_pasid_end() for the work that was stopped are still due. They may come
 *	after the detach, and after a new attach of the vPASID, but not after
 *	ioasid_unbind() has returned
 */
struct ioasid_device_ops {
	bool (*owns_file)(void *data, struct file *file);
	int (*watch)(void *data, u64 offset, u64 length,
		     struct ioasid_region *region);
	void (*unwatch)(struct ioasid_region *region);
	struct module *owner;
	int (*may_attach)(void *data);
	void (*pasid_stop)(void *data, u32 vpasid);
};

/**
 * struct ioasid_mirror_ops - the tables of a device that translates by itself
 * @alloc: allocate a table for the address space @asid of the device, which does
 *	not use it yet. Called from ioasid_attach_ioctl() and ioasid_attach() only.
 *	Returns it, or an ERR_PTR, which the attach fails with
 * @free: free a table, with all that is in it; the device does not use it
 * @map: add @size bytes from @iova on, at @phys; nothing is there yet. @prot is of
 *	IOMMU_READ and IOMMU_WRITE. Allocates with @gfp, which may be GFP_NOWAIT.
 *	Returns 0, -ENOMEM or -ENOSPC; any other errno becomes -EIO
 * @unmap: remove @size bytes from @iova on, all of them mapped, maybe in parts.
 *	Cannot fail
 * @protect: change the permission of @size bytes from @iova on, all of them mapped.
 *	Returns 0; on failure nothing has changed, and they are removed and added
 *	again. NULL, it never can
 * @phys: the address that @iova is mapped to; 0, nothing is mapped there
 * @commit: let the device see what was added and removed before, if it uses the
 *	table. When it returns 0, the device reaches nothing that was removed. When
 *	it returns an errno, it may
 * @attach: let the device use the table, in place of the one that it uses. Returns
 *	0; an errno, it uses that one still, or nothing
 * @detach: let the device use nothing, if it uses this table. Cannot fail
 *
 * Of one table, @map, @unmap, @protect and @commit are called in parallel, for
 * different IOVAs, and beside @attach and @detach. What one thread commits may
 * include what another one has added or removed, and not committed yet. All may
 * sleep, but not wait for a thread that maps, unmaps, attaches or detaches.
 */
struct ioasid_mirror_ops {
	void *(*alloc)(void *data, u32 asid);
	void (*free)(void *table);
	int (*map)(void *table, u64 iova, u64 size, phys_addr_t phys, int prot,
		   gfp_t gfp);
	void (*unmap)(void *table, u64 iova, u64 size);
	int (*protect)(void *table, u64 iova, u64 size, int prot);
	phys_addr_t (*phys)(void *table, u64 iova);
	int (*commit)(void *table);
	int (*attach)(void *table);
	void (*detach)(void *table);
};

/* Event of ioasid_pasid_register_notifier() */
#define IOASID_PASID_GONE	1

/* Event of ioasid_pasid_register_returns() */
#define IOASID_PASID_RETURNED	2

/**
 * struct ioasid_pasid_gone - a PASID of the machine that goes
 * @vpasid: what user space called it.  Devices that do not have common numbers
 *	may call others the same
 * @pasid: the number, of which there is one in the machine
 */
struct ioasid_pasid_gone {
	u32 vpasid;
	u32 pasid;
};

/* ioasid_access_rw(), ioasid_access_pin_pages() */
enum {
	IOASID_ACCESS_READ = 0,
	IOASID_ACCESS_WRITE = 1 << 0,
};

struct ioasid_ctx *ioasid_ctx_alloc(void);
void ioasid_ctx_close(struct ioasid_ctx *ctx);
long ioasid_ctx_ioctl(struct ioasid_ctx *ctx, unsigned int nr,
		      unsigned long user);
bool ioasid_file_is_ctx(struct file *file);
struct ioasid_ctx *ioasid_ctx_from_file(struct file *file);
struct ioasid_ctx *ioasid_ctx_from_fd(int fd);
void ioasid_ctx_get(struct ioasid_ctx *ctx);
void ioasid_ctx_put(struct ioasid_ctx *ctx);
bool ioasid_ctx_has_group(struct ioasid_ctx *ctx, struct iommu_group *group);

struct ioasid_device *ioasid_bind_device(struct ioasid_ctx *ctx,
					 struct device *dev,
					 const struct ioasid_device_ops *ops,
					 void *data, u64 cookie);
struct ioasid_device *
ioasid_bind_access(struct ioasid_ctx *ctx, struct device *dev,
		   const struct ioasid_access_ops *ops, void *data, u64 cookie);
struct ioasid_device *ioasid_bind_group(struct ioasid_ctx *ctx,
					struct iommu_group *iommu_group,
					bool owned,
					const struct ioasid_device_ops *ops,
					void *data, u64 cookie);
struct ioasid_device *
ioasid_bind_group_access(struct ioasid_ctx *ctx,
			 struct iommu_group *iommu_group,
			 const struct ioasid_access_ops *ops, void *data,
			 u64 cookie);
struct ioasid_device *ioasid_bind_shared(struct ioasid_ctx *ctx,
					 struct device *dev, bool common,
					 const struct ioasid_device_ops *ops,
					 void *data, u64 cookie);
struct ioasid_device *ioasid_bind_lent(struct ioasid_ctx *ctx,
				       struct device *dev,
				       struct iommu_domain *home, u64 start,
				       u64 last,
				       const struct ioasid_device_ops *ops,
				       void *data, u64 cookie);
struct ioasid_device *ioasid_bind_mirror(struct ioasid_ctx *ctx,
					 struct device *dev,
					 const struct ioasid_mirror_ops *ops,
					 void *data, u32 nr_asids, u64 start,
					 u64 last, u64 cookie);
void ioasid_unbind(struct ioasid_device *idev);
u32 ioasid_device_id(struct ioasid_device *idev);
bool ioasid_is_attached(struct ioasid_device *idev);

bool ioasid_exists(struct ioasid_ctx *ctx, u32 ioasid);
int ioasid_attach(struct ioasid_device *idev, u32 ioasid, u64 *fault_addr);
int ioasid_detach(struct ioasid_device *idev, u32 ioasid);

/* PASIDs of devices of ioasid_bind_shared() */
int ioasid_device_pasid(struct ioasid_device *idev, u32 vpasid, u32 *pasid);
int ioasid_pasid_begin(struct ioasid_device *idev, u32 vpasid, u32 *pasid);
void ioasid_pasid_end(struct ioasid_device *idev, u32 vpasid);
int ioasid_pasid_translate(struct ioasid_ctx *ctx, u32 vpasid, u32 *pasid);
int ioasid_pasid_register_notifier(struct ioasid_ctx *ctx,
				   struct notifier_block *nb);
void ioasid_pasid_unregister_notifier(struct ioasid_ctx *ctx,
				      struct notifier_block *nb);
void ioasid_pasid_register_returns(struct notifier_block *nb);
void ioasid_pasid_unregister_returns(struct notifier_block *nb);

int ioasid_access_pin_pages(struct ioasid_device *idev, u64 iova,
			    unsigned long npages, unsigned int flags,
			    struct page **pages);
void ioasid_access_unpin_pages(struct ioasid_device *idev, u64 iova,
			       unsigned long npages);
int ioasid_access_rw(struct ioasid_device *idev, u64 iova, void *data,
		     size_t length, unsigned int flags);

/* Containers of VFIO: see container.c */
int ioasid_container_open(struct ioasid_ctx *ctx, unsigned long type);
bool ioasid_container_is_open(struct ioasid_ctx *ctx);
int ioasid_container_attach(struct ioasid_device *idev);
int ioasid_container_add_group(struct ioasid_ctx *ctx,
			       struct iommu_group *iommu_group, bool emulated);
void ioasid_container_remove_group(struct ioasid_ctx *ctx,
				   struct iommu_group *iommu_group);

/**
 * struct ioasid_domain_extension - ops for domains of an IOMMU driver that
 *	struct iommu_domain_ops does not have
 * @node: private
 * @domain_ops: the ops of the domains that this is for
 * @protect_pages: change the permission of @pgcount mapped pages of @pgsize
 *	bytes from @iova on, in place. As with unmap_pages(), no other thread
 *	uses these IOVAs at the same time. Devices may use them, and must see
 *	the old permission or the new one. Takes effect with iotlb_sync().
 *	Returns the number of bytes that were changed; fewer than requested, or
 *	0, is no error
 */
struct ioasid_domain_extension {
	struct list_head node;
	const struct iommu_domain_ops *domain_ops;
	size_t (*protect_pages)(struct iommu_domain *domain, unsigned long iova,
				size_t pgsize, size_t pgcount, int prot,
				struct iommu_iotlb_gather *gather);
};

void ioasid_register_domain_extension(struct ioasid_domain_extension *ext);
void ioasid_unregister_domain_extension(struct ioasid_domain_extension *ext);

/**
 * struct ioasid_table_format - a format of page tables that user space makes and
 *	an IOMMU walks, over a domain of the kernel's
 * @node: private
 * @owner: module that has the functions; NULL for the kernel
 * @by_pasid: it has a page table for each PASID: of the kind PASID_TABLE
 * @type: what domain_alloc_user() knows it by: struct iommu_user_data.type
 * @invalidate_type: the same for cache_invalidate_user()
 * @invalidate_size: bytes of one invalidation
 * @root: find in @length bytes of @data where the table begins, an address that
 *	the domain below translates. Returns 0; -EINVAL, @data is malformed;
 *	-EOPNOTSUPP, it has flags that are not known. Checks all that does not
 *	depend on the IOMMU
 * @invalidate: translate an invalidation, which is valid. It may invalidate more
 */
struct ioasid_table_format {
	struct list_head node;
	struct module *owner;
	bool by_pasid;
	u32 type;
	u32 invalidate_type;
	u32 invalidate_size;
	int (*root)(const void *data, u32 length, u64 *root);
	void (*invalidate)(const struct ioasid_invalidate *from, void *to);
};

void ioasid_register_table_format(struct ioasid_table_format *format);
void ioasid_unregister_table_format(struct ioasid_table_format *format);

/* Commands of device files, for all frameworks: device_ioctl.c; the last one: main.c */
int ioasid_arg_from_user(void *to, size_t size, size_t min, void __user *arg);
int ioasid_bind_from_user(void __user *arg, struct ioasid_device_bind *bind);
int ioasid_bind_to_user(void __user *arg, u32 devid);
void ioasid_bind_fault_to_user(void __user *arg, u64 fault_addr);
int ioasid_attach_ioctl(struct ioasid_device *idev, void __user *arg, struct mutex *lock);
int ioasid_detach_ioctl(struct ioasid_device *idev, void __user *arg, struct mutex *lock);
int ioasid_device_id_ioctl(struct ioasid_device *idev, void __user *arg);

#endif /* _LINUX_IOASID_H */
