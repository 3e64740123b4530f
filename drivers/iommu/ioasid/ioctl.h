/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands of /dev/ioasid: their arguments, and the checks that they share.
 */
#ifndef _IOASID_IOCTL_H
#define _IOASID_IOCTL_H

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include <uapi/linux/ioasid.h>

#include "ioas/ioas.h"

struct file;
struct ioasid_ctx;
struct seq_file;

/* The structure of a command, copied in */
union ioasid_arg {
	struct {
		__u32 argsz;
		__u32 flags;
	};
	struct ioasid_check_extension check;
	struct ioasid_alloc alloc;
	struct ioasid_free free;
	struct ioasid_info info;
	struct ioasid_device_info device;
	struct ioasid_map_dma map;
	struct ioasid_unmap_dma unmap;
	struct ioasid_dma_batch batch;
	struct ioasid_fault_queue fault_queue;
	struct ioasid_set_dirty set_dirty;
	struct ioasid_get_dirty get_dirty;
	struct ioasid_export export;
	struct ioasid_import import;
	struct ioasid_query_map query;
	struct ioasid_rehome rehome;
	struct ioasid_list list;
	struct ioasid_set_option option;
	struct ioasid_vfio_ioasid vfio;
	struct ioasid_get_events events;
	struct ioasid_bind_table bind;
	struct ioasid_unbind_table unbind;
	struct ioasid_invalidate_cache invalidate;
};

/**
 * struct ioasid_cmd - a command
 * @size: size of its structure
 * @min: size of its structure in the first release
 * @flags: the flags that it knows
 * @fn: its handler
 */
struct ioasid_cmd {
	u16 size;
	u16 min;
	u32 flags;
	long (*fn)(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		   void __user *user);
};

/**
 * struct ioasid_batch - operations of a batch
 * @from: for ioas_batch()
 * @ctx: the context whose IOASIDs operations can name
 */
struct ioasid_batch {
	struct ioas_batch_source from;
	struct ioasid_ctx *ctx;
};

struct ioas *ioasid_batch_get(struct ioas_batch_source *from, u32 id);
void ioasid_batch_put(struct ioas *ioas);

/**
 * struct ioasid_user_batch - operations of a batch, in user memory
 * @base: the batch
 * @ops: the array
 */
struct ioasid_user_batch {
	struct ioasid_batch base;
	struct ioasid_dma_op __user *ops;
};

static inline struct ioasid_user_batch *
to_user_batch(struct ioas_batch_source *from)
{
	return container_of(from, struct ioasid_user_batch, base.from);
}

void ioasid_user_batch_init(struct ioasid_user_batch *batch,
			    struct ioasid_ctx *ctx, u64 ops, bool nowait);

#define MAP_FLAGS	(IOASID_MAP_READ | IOASID_MAP_WRITE | \
			 IOASID_MAP_FIXED | IOASID_MAP_FILE | \
			 IOASID_MAP_RESERVE | IOAS_CHANGE_FLAGS | IOASID_MAP_SPLIT)

/*
 * The largest element of an array that is accepted.  What is beyond the kernel's structure
 * is for later versions.
 */
#define IOASID_ENTRY_MAX	256

/* Check that a size is 0, or a power of two of at least a page; get its log2 */
static inline int size_to_shift(u64 size, unsigned int *shift)
{
	*shift = 0;
	if (!size)
		return 0;
	if (!is_power_of_2(size) || size < PAGE_SIZE)
		return -EINVAL;
	*shift = ilog2(size);
	return 0;
}

/* Copy out a structure, or as much of it as @arg->argsz says the caller has */
static inline int copy_out(void __user *user, const void *arg, size_t size)
{
	const u32 *argsz = arg;

	return copy_to_user(user, arg, min_t(size_t, *argsz, size)) ? -EFAULT : 0;
}

/* Copy as many ranges as fit into the caller's array */
static inline int copy_ranges(u64 to, u32 room,
			      const struct ioasid_iova_range *range, u32 nr)
{
	u32 n = min(room, nr);

	return n && copy_to_user(u64_to_user_ptr(to), range,
				 n * sizeof(*range)) ? -EFAULT : 0;
}

long ioasid_cmd_alloc(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		      void __user *user);
long ioasid_cmd_free(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		     void __user *user);
long ioasid_cmd_fault_queue(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			    void __user *user);
long ioasid_cmd_get_info(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			 void __user *user);
long ioasid_cmd_device_get_info(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				void __user *user);
long ioasid_cmd_map_dma(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			void __user *user);
long ioasid_cmd_unmap_dma(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user);
long ioasid_cmd_dma_batch(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user);
long ioasid_cmd_query_map(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user);
long ioasid_cmd_rehome(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user);
long ioasid_cmd_bind_pgtable(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			     void __user *user);
long ioasid_cmd_unbind_pgtable(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			       void __user *user);
long ioasid_cmd_bind_pasid_table(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				 void __user *user);
long ioasid_cmd_unbind_pasid_table(struct ioasid_ctx *ctx,
				   union ioasid_arg *arg, void __user *user);
long ioasid_cmd_invalidate_cache(struct ioasid_ctx *ctx, union ioasid_arg *arg,
				 void __user *user);
long ioasid_cmd_set_dirty(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user);
long ioasid_unmap_dirty(struct ioasid_ctx *ctx, struct ioasid_unmap_dma *cmd,
			struct ioasid_unmap_dma __user *user);
long ioasid_cmd_get_dirty(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			  void __user *user);
long ioasid_cmd_export(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user);
long ioasid_cmd_import(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		       void __user *user);
long ioasid_cmd_list(struct ioasid_ctx *ctx, union ioasid_arg *arg,
		     void __user *user);
long ioasid_cmd_get_events(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			   void __user *user);
long ioasid_cmd_vfio_ioasid(struct ioasid_ctx *ctx, union ioasid_arg *arg,
			    void __user *user);
long ioasid_container_ioctl(struct ioasid_ctx *ctx, unsigned int nr,
			    unsigned long user);
void ioasid_fops_show_fdinfo(struct seq_file *m, struct file *filp);

#endif /* _IOASID_IOCTL_H */
