// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front of /dev/ioasid in vhost-vdpa: binds vDPA devices to contexts of
 * /dev/ioasid, and attaches their address spaces to IOASIDs.
 *
 * Invariants
 *	A parent with set_map() or dma_map() translates by itself: each of its
 *	address spaces that is attached has a table here, a mirror of the IOASID.
 *	The parent has what is in the live table, as of the last commit. It may
 *	have more than that only until the commit, or the dma_unmap(), that removes
 *	it has returned; and a parent that cannot remove a translation is reset.
 *
 *	From bind to unbind, an address space that is neither attached nor has
 *	mappings of IOTLB messages translates nothing, whatever the parent does
 *	with one that it was told nothing of.
 *
 *	Every other parent's DMA goes through the IOMMU of the platform. Its kernel
 *	driver owns the group, so that nothing is claimed: vhost-vdpa's own domain,
 *	which maps nothing while the device is attached, is where the group comes
 *	from and returns to. It never passes through the default domain, where the
 *	DMA API of the kernel driver maps.
 *
 *	An address space has mappings of IOTLB messages, or of an IOASID, not both.
 *
 *	A parent that does not know physical addresses (use_va), or forgets its
 *	translations when it is reset, cannot be bound.
 *
 * Locking
 *	vhost_vdpa_link.mutex, locks of /dev/ioasid, vhost_vdpa_link.map_lock, locks
 *	of the parent. The first serialises commands and messages of the file, and
 *	is held while an IOASID's mappings are written to a new table. The tables are
 *	called from maps and unmaps of any thread, too, and take the third.
 *
 *	User memory is accessed with no lock held.
 *
 * Waits
 *	For vhost_vdpa_link.mutex: killable in the commands here. For map_lock: one
 *	call of the parent, and of a parent with dma_map() as many as there are
 *	entries in a table that it attaches or detaches. Close waits for one attach
 *	to the same IOASID.
 */
#include <linux/err.h>
#include <linux/ioasid.h>
#include <linux/iommu.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>

#include <uapi/linux/ioasid.h>

#include "vdpa_ioasid.h"

static const struct vhost_vdpa_front vhost_vdpa_ioasid_front;

/**
 * struct vdpa_as - an address space of a bound device
 * @live: the table that the parent translates by; NULL: it translates nothing, or
 *	what IOTLB messages say. Protected by &vhost_vdpa_link.map_lock
 * @nr_tables: number of its tables: two while it moves. Protected by
 *	&vhost_vdpa_link.mutex
 */
struct vdpa_as {
	struct vdpa_table *live;
	unsigned int nr_tables;
};

/**
 * struct vdpa_bond - &vhost_vdpa_link.bond of a bound file
 * @link: the file
 * @idev: the device in its context
 * @published: user space knows the id of the device
 * @nr_asids: number of elements of @as
 * @as: the address spaces
 */
struct vdpa_bond {
	struct vhost_vdpa_link *link;
	struct ioasid_device *idev;
	bool published;
	u32 nr_asids;
	struct vdpa_as as[] __counted_by(nr_asids);
};

/**
 * struct vdpa_table - what a parent translates in one address space
 * @bond: the device
 * @asid: the address space
 * @failed: the parent may have other translations than @iotlb
 * @dirty: a parent with set_map() has not been told all of @iotlb
 * @iotlb: the translations
 *
 * All is protected by &vhost_vdpa_link.map_lock.
 */
struct vdpa_table {
	struct vdpa_bond *bond;
	u32 asid;
	bool failed;
	bool dirty;
	struct vhost_iotlb iotlb;
};

static struct mutex *map_lock(struct vdpa_table *table)
{
	return &table->bond->link->map_lock;
}

static struct vdpa_as *as_of(struct vdpa_table *table)
{
	return &table->bond->as[table->asid];
}

static const struct vdpa_config_ops *parent_ops(struct vdpa_table *table)
{
	return table->bond->link->vdpa->config;
}

/* The parent is told of each translation, not of all at once */
static bool tells_each(struct vdpa_table *table)
{
	return parent_ops(table)->dma_map;
}

static bool is_live(struct vdpa_table *table)
{
	lockdep_assert_held(map_lock(table));
	return as_of(table)->live == table;
}

/* ---- What the parent has ---- */

static int tell_map(struct vdpa_table *table, struct vhost_iotlb_map *map)
{
	struct vdpa_device *vdpa = table->bond->link->vdpa;

	return vdpa->config->dma_map(vdpa, table->asid, map->start, map->size,
				     map->addr, map->perm, NULL);
}

static void tell_unmap(struct vdpa_table *table, struct vhost_iotlb_map *map)
{
	struct vdpa_device *vdpa = table->bond->link->vdpa;

	if (vdpa->config->dma_unmap(vdpa, table->asid, map->start, map->size))
		table->failed = true;
}

static int tell_all(struct vdpa_table *table)
{
	struct vdpa_device *vdpa = table->bond->link->vdpa;

	return vdpa->config->set_map(vdpa, table->asid, &table->iotlb);
}

/* Tell the parent that an address space has no translations */
static int tell_none(struct vhost_vdpa_link *link, u32 asid)
{
	const struct vdpa_config_ops *ops = link->vdpa->config;
	struct vhost_iotlb none;

	lockdep_assert_held(&link->map_lock);
	/* A parent may translate all addresses to themselves until it is told */
	if (ops->dma_map)
		return ops->dma_unmap(link->vdpa, asid,
				      PAGE_ALIGN(link->range.first), PAGE_SIZE);
	vhost_iotlb_init(&none, 0, 0);
	return ops->set_map(link->vdpa, asid, &none);
}

static struct vhost_iotlb_map *first_of(struct vdpa_table *table)
{
	return list_first_entry_or_null(&table->iotlb.list,
					struct vhost_iotlb_map, link);
}

static void tell_unmap_all(struct vdpa_table *table)
{
	struct vhost_iotlb_map *map;

	list_for_each_entry(map, &table->iotlb.list, link) {
		tell_unmap(table, map);
		cond_resched();
	}
}

/* On failure the parent has none of the table */
static int tell_map_all(struct vdpa_table *table)
{
	struct vhost_iotlb_map *map;
	int ret = 0;

	list_for_each_entry(map, &table->iotlb.list, link) {
		ret = fatal_signal_pending(current) ? -EINTR :
						      tell_map(table, map);
		if (ret)
			break;
		cond_resched();
	}
	if (!ret)
		return 0;
	list_for_each_entry_continue_reverse(map, &table->iotlb.list, link)
		tell_unmap(table, map);
	return ret;
}

/* A parent that cannot be stopped otherwise stops when it is reset */
static void stop_parent(struct vhost_vdpa_link *link)
{
	dev_err_ratelimited(&link->vdpa->dev,
			    "cannot remove translations: reset\n");
	vdpa_reset(link->vdpa, 0);
}

/* Leave an address space with no translations */
static void blank(struct vdpa_table *table)
{
	struct vhost_vdpa_link *link = table->bond->link;
	int ret = 0;

	lockdep_assert_held(&link->map_lock);
	if (tells_each(table)) {
		table->failed = false;
		tell_unmap_all(table);
		if (table->failed || !first_of(table))
			ret = tell_none(link, table->asid);
		ret = table->failed ? -EIO : ret;
	} else {
		ret = tell_none(link, table->asid);
	}
	if (ret)
		stop_parent(link);
	as_of(table)->live = NULL;
}

/* ---- The tables ---- */

static int to_perm(int prot)
{
	return (prot & IOMMU_READ ? VHOST_MAP_RO : 0) |
	       (prot & IOMMU_WRITE ? VHOST_MAP_WO : 0);
}

static struct vhost_iotlb_map *new_map(gfp_t gfp)
{
	return kzalloc(sizeof(struct vhost_iotlb_map), gfp);
}

static void set_range(struct vhost_iotlb_map *map, u64 start, u64 last, u64 addr)
{
	map->start = start;
	map->last = last;
	map->size = last - start + 1;
	map->addr = addr;
}

/* Change the range of a map that is in the table */
static void resize(struct vdpa_table *table, struct vhost_iotlb_map *map,
		   u64 start, u64 last)
{
	u64 addr = map->addr + (start - map->start);

	vhost_iotlb_map_unlink(&table->iotlb, map);
	set_range(map, start, last, addr);
	vhost_iotlb_map_link(&table->iotlb, map);
}

/* The parent forgets a map as a whole, and is told again what is left of it */
static void retell(struct vdpa_table *table, struct vhost_iotlb_map *map)
{
	if (tells_each(table) && is_live(table) && tell_map(table, map))
		table->failed = true;
}

static void *vdpa_table_alloc(void *data, u32 asid)
{
	struct vdpa_bond *bond = data;
	struct vdpa_table *table;

	lockdep_assert_held(bond->link->mutex);
	if (vhost_vdpa_has_messages(bond->link, asid))
		return ERR_PTR(-EBUSY);
	table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	table->bond = bond;
	table->asid = asid;
	vhost_iotlb_init(&table->iotlb, 0, 0);
	bond->as[asid].nr_tables++;
	return table;
}

static void vdpa_table_free(void *data)
{
	struct vdpa_table *table = data;
	struct vhost_iotlb_map *map;

	lockdep_assert_held(table->bond->link->mutex);
	while ((map = first_of(table))) {
		vhost_iotlb_map_free(&table->iotlb, map);
		cond_resched();
	}
	as_of(table)->nr_tables--;
	kfree(table);
}

static int vdpa_table_map(void *data, u64 iova, u64 size, phys_addr_t phys,
			  int prot, gfp_t gfp)
{
	struct vdpa_table *table = data;
	struct vhost_iotlb_map *map = new_map(gfp);
	int ret = 0;

	if (!map)
		return -ENOMEM;
	set_range(map, iova, iova + (size - 1), phys);
	map->perm = to_perm(prot);

	mutex_lock(map_lock(table));
	if (tells_each(table) && is_live(table))
		ret = tell_map(table, map);
	if (!ret) {
		vhost_iotlb_map_link(&table->iotlb, map);
		table->dirty = true;
	}
	mutex_unlock(map_lock(table));
	if (ret)
		kfree(map);
	return ret;
}

/*
 * Remove [start, last] from one map that overlaps it. Returns a map to be freed,
 * or NULL. @spare becomes the upper part if the map is cut in two.
 */
static struct vhost_iotlb_map *cut(struct vdpa_table *table,
				   struct vhost_iotlb_map *map, u64 start,
				   u64 last, struct vhost_iotlb_map **spare)
{
	struct vhost_iotlb_map *upper = NULL;
	u64 map_last = map->last;

	table->dirty = true;
	if (tells_each(table) && is_live(table))
		tell_unmap(table, map);
	if (map->start >= start && map->last <= last) {
		vhost_iotlb_map_unlink(&table->iotlb, map);
		return map;
	}
	if (map->start < start && map->last > last) {
		upper = *spare;
		*spare = NULL;
		set_range(upper, last + 1, map_last,
			  map->addr + (last + 1 - map->start));
		upper->perm = map->perm;
	}
	if (map->start < start)
		resize(table, map, map->start, start - 1);
	else
		resize(table, map, last + 1, map->last);
	retell(table, map);
	if (upper) {
		vhost_iotlb_map_link(&table->iotlb, upper);
		retell(table, upper);
	}
	return NULL;
}

static void vdpa_table_unmap(void *data, u64 iova, u64 size)
{
	struct vhost_iotlb_map *map, *spare = NULL;
	struct vdpa_table *table = data;
	u64 last = iova + (size - 1);

	mutex_lock(map_lock(table));
	while ((map = vhost_iotlb_itree_first(&table->iotlb, iova, last))) {
		if (map->start < iova && map->last > last && !spare) {
			/* Never for a whole mapping: those end with a map */
			mutex_unlock(map_lock(table));
			spare = new_map(GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
			mutex_lock(map_lock(table));
			continue;
		}
		kfree(cut(table, map, iova, last, &spare));
		if (need_resched()) {
			mutex_unlock(map_lock(table));
			cond_resched();
			mutex_lock(map_lock(table));
		}
	}
	mutex_unlock(map_lock(table));
	kfree(spare);
}

/* The map that ends where another one begins, and continues into it */
static struct vhost_iotlb_map *below(struct vdpa_table *table, u64 start,
				     u64 addr, u32 perm)
{
	struct vhost_iotlb_map *map;

	if (!start)
		return NULL;
	map = vhost_iotlb_itree_first(&table->iotlb, start - 1, start - 1);
	if (!map || map->perm != perm || map->addr + map->size != addr)
		return NULL;
	return map;
}

/* Give [start, last], in one map, another permission; uses up to two spares */
static void set_perm(struct vdpa_table *table, struct vhost_iotlb_map *map,
		     u64 start, u64 last, u32 perm,
		     struct vhost_iotlb_map *spare[2])
{
	u64 addr = map->addr + (start - map->start), map_last = map->last;
	struct vhost_iotlb_map *lower, *upper;

	/* A change that goes on upwards moves the border between two maps */
	lower = map->start == start ? below(table, start, addr, perm) : NULL;
	if (lower && last < map_last) {
		resize(table, lower, lower->start, last);
		resize(table, map, last + 1, map_last);
		return;
	}
	if (last < map_last) {
		upper = spare[0];
		spare[0] = NULL;
		set_range(upper, last + 1, map_last,
			  map->addr + (last + 1 - map->start));
		upper->perm = map->perm;
		vhost_iotlb_map_link(&table->iotlb, upper);
	}
	if (map->start < start) {
		lower = spare[1];
		spare[1] = NULL;
		set_range(lower, map->start, start - 1, map->addr);
		lower->perm = map->perm;
		vhost_iotlb_map_link(&table->iotlb, lower);
	}
	resize(table, map, start, last);
	map->perm = perm;
}

static int vdpa_table_protect(void *data, u64 iova, u64 size, int prot)
{
	struct vhost_iotlb_map *map, *spare[2] = {};
	struct vdpa_table *table = data;
	u64 last = iova + (size - 1);
	int ret = -ENOMEM;

	/* It would have to forget, and be told again: the caller does that */
	if (tells_each(table))
		return -EOPNOTSUPP;
	spare[0] = new_map(GFP_KERNEL_ACCOUNT);
	spare[1] = new_map(GFP_KERNEL_ACCOUNT);
	if (!spare[0] || !spare[1])
		goto out;
	mutex_lock(map_lock(table));
	map = vhost_iotlb_itree_first(&table->iotlb, iova, last);
	ret = -EIO;
	if (map && map->start <= iova && map->last >= last) {
		set_perm(table, map, iova, last, to_perm(prot), spare);
		table->dirty = true;
		ret = 0;
	}
	mutex_unlock(map_lock(table));
out:
	kfree(spare[0]);
	kfree(spare[1]);
	return ret;
}

static phys_addr_t vdpa_table_phys(void *data, u64 iova)
{
	struct vdpa_table *table = data;
	struct vhost_iotlb_map *map;
	phys_addr_t phys = 0;

	mutex_lock(map_lock(table));
	map = vhost_iotlb_itree_first(&table->iotlb, iova, iova);
	if (map)
		phys = map->addr + (iova - map->start);
	mutex_unlock(map_lock(table));
	return phys;
}

static int vdpa_table_commit(void *data)
{
	struct vdpa_table *table = data;
	int ret = 0;

	mutex_lock(map_lock(table));
	if (!is_live(table))
		goto unlock;
	if (tells_each(table)) {
		ret = table->failed ? -EIO : 0;
	} else if (table->dirty) {
		ret = tell_all(table);
		table->dirty = ret;
	}
unlock:
	mutex_unlock(map_lock(table));
	return ret;
}

/* The parent is left with what @old has, or with nothing */
static int replace(struct vdpa_table *old, struct vdpa_table *table)
{
	int ret;

	if (!tells_each(table)) {
		ret = tell_all(table);
		if (ret && old && tell_all(old))
			blank(old);
		return ret;
	}
	if (old)
		blank(old);
	/* Also ends that it translates what it was told nothing of */
	ret = tell_none(table->bond->link, table->asid);
	if (!ret)
		ret = tell_map_all(table);
	if (ret && old && !tell_map_all(old))
		as_of(old)->live = old;
	return ret;
}

static int vdpa_table_attach(void *data)
{
	struct vdpa_table *table = data, *old;
	int ret;

	mutex_lock(map_lock(table));
	old = as_of(table)->live;
	if (old == table && tells_each(table)) {
		/* It has the table, and another one could not be attached */
		mutex_unlock(map_lock(table));
		return 0;
	}
	table->failed = false;
	ret = replace(old == table ? NULL : old, table);
	if (!ret) {
		as_of(table)->live = table;
		table->dirty = false;
	} else if (old == table) {
		blank(table);
	} else if (!old && tell_none(table->bond->link, table->asid)) {
		stop_parent(table->bond->link);
	}
	mutex_unlock(map_lock(table));
	return ret;
}

static void vdpa_table_detach(void *data)
{
	struct vdpa_table *table = data;

	mutex_lock(map_lock(table));
	if (is_live(table))
		blank(table);
	mutex_unlock(map_lock(table));
}

static const struct ioasid_mirror_ops vdpa_mirror_ops = {
	.alloc = vdpa_table_alloc,
	.free = vdpa_table_free,
	.map = vdpa_table_map,
	.unmap = vdpa_table_unmap,
	.protect = vdpa_table_protect,
	.phys = vdpa_table_phys,
	.commit = vdpa_table_commit,
	.attach = vdpa_table_attach,
	.detach = vdpa_table_detach,
};

/* ---- Bind ---- */

static bool translates(const struct vdpa_device *vdpa)
{
	return vdpa->config->set_map || vdpa->config->dma_map;
}

static int check_parent(const struct vhost_vdpa_link *link)
{
	const struct vdpa_device *vdpa = link->vdpa;

	if (vdpa->use_va)
		return -EOPNOTSUPP;
	if (!translates(vdpa))
		return link->domain ? 0 : -EOPNOTSUPP;
	return vdpa->config->reset_map ? 0 : -EOPNOTSUPP;
}

/* Leave all address spaces that have no IOTLB messages with no translations */
static int blank_unused(struct vhost_vdpa_link *link)
{
	u32 asid;
	int ret = 0;

	lockdep_assert_held(link->mutex);
	mutex_lock(&link->map_lock);
	for (asid = 0; !ret && asid < link->vdpa->nas; asid++)
		if (!vhost_vdpa_has_messages(link, asid))
			ret = tell_none(link, asid);
	mutex_unlock(&link->map_lock);
	return ret;
}

/* The parent's own way with address spaces that it was told nothing of */
static void reset_unused(struct vhost_vdpa_link *link)
{
	const struct vdpa_config_ops *ops = link->vdpa->config;
	u32 asid;

	lockdep_assert_held(link->mutex);
	mutex_lock(&link->map_lock);
	for (asid = 0; ops->reset_map && asid < link->vdpa->nas; asid++)
		if (!vhost_vdpa_has_messages(link, asid))
			ops->reset_map(link->vdpa, asid);
	mutex_unlock(&link->map_lock);
}

/* Where the group comes from must map nothing: it is blocked there */
static int vdpa_may_attach(void *data)
{
	struct vhost_vdpa_link *link = data;

	lockdep_assert_held(link->mutex);
	return vhost_vdpa_has_messages(link, 0) ? -EBUSY : 0;
}

static const struct ioasid_device_ops vdpa_lent_ops = {
	.may_attach = vdpa_may_attach,
};

static struct ioasid_device *bind_device(struct vdpa_bond *bond,
					 struct ioasid_ctx *ctx, u64 cookie)
{
	struct vhost_vdpa_link *link = bond->link;
	struct vdpa_device *vdpa = link->vdpa;
	u64 start = PAGE_ALIGN(link->range.first);
	/* Inwards to whole pages; the end of the last one is no address */
	u64 last = ((link->range.last + 1) & PAGE_MASK) - 1;
	struct ioasid_device *idev;
	int ret;

	if (!translates(vdpa))
		return ioasid_bind_lent(ctx, vdpa_get_dma_dev(vdpa),
					link->domain, start, last,
					&vdpa_lent_ops, link, cookie);
	ret = blank_unused(link);
	idev = ret ? ERR_PTR(ret) :
		     ioasid_bind_mirror(ctx, &vdpa->dev, &vdpa_mirror_ops, bond,
					vdpa->nas, start, last, cookie);
	if (IS_ERR(idev))
		reset_unused(link);
	return idev;
}

static void vdpa_unbind(struct vhost_vdpa_link *link)
{
	struct vdpa_bond *bond = link->bond;

	lockdep_assert_held(link->mutex);
	ioasid_unbind(bond->idev);
	if (translates(link->vdpa))
		reset_unused(link);
	link->bond = NULL;
	link->front = NULL;
	kfree(bond);
}

/* Sets @link->bond, which is not published, and attaches */
static int bind_locked(struct vhost_vdpa_link *link, struct ioasid_ctx *ctx,
		       const struct ioasid_device_bind *bind, u64 *fault_addr)
{
	struct vdpa_bond *bond;
	u32 nr = link->vdpa->nas;
	int ret;

	lockdep_assert_held(link->mutex);
	if (link->front)
		return -EBUSY;
	ret = check_parent(link);
	if (ret)
		return ret;
	if (bind->ioasid && !ioasid_exists(ctx, bind->ioasid))
		return -ENOENT;
	bond = kzalloc(struct_size(bond, as, nr), GFP_KERNEL_ACCOUNT);
	if (!bond)
		return -ENOMEM;
	bond->link = link;
	bond->nr_asids = nr;
	bond->idev = bind_device(bond, ctx, bind->cookie);
	if (IS_ERR(bond->idev)) {
		ret = PTR_ERR(bond->idev);
		kfree(bond);
		return ret;
	}
	link->bond = bond;
	link->front = &vhost_vdpa_ioasid_front;
	if (!bind->ioasid)
		return 0;
	ret = ioasid_attach(bond->idev, bind->ioasid, fault_addr);
	if (ret)
		vdpa_unbind(link);
	return ret;
}

static long vdpa_bind(struct vhost_vdpa_link *link, void __user *arg)
{
	struct ioasid_device_bind bind;
	struct ioasid_ctx *ctx;
	struct vdpa_bond *bond;
	u64 fault_addr = 0;
	int ret;

	ret = ioasid_bind_from_user(arg, &bind);
	if (ret)
		return ret;
	ctx = ioasid_ctx_from_fd(bind.ioasid_fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	ret = mutex_lock_killable(link->mutex);
	if (!ret) {
		ret = bind_locked(link, ctx, &bind, &fault_addr);
		bond = link->bond;
		mutex_unlock(link->mutex);
	}
	ioasid_ctx_put(ctx);
	if (ret == -EADDRINUSE)
		ioasid_bind_fault_to_user(arg, fault_addr);
	if (ret)
		return ret;

	/* No other command uses the bond before its id is in user space */
	ret = ioasid_bind_to_user(arg, ioasid_device_id(bond->idev));
	mutex_lock(link->mutex);
	if (ret)
		vdpa_unbind(link);
	else
		bond->published = true;
	mutex_unlock(link->mutex);
	return ret;
}

/* A bond that is published stays as long as the file, which the caller has */
static struct vdpa_bond *published_bond(struct vhost_vdpa_link *link)
{
	struct vdpa_bond *bond;

	if (mutex_lock_killable(link->mutex))
		return ERR_PTR(-EINTR);
	bond = link->bond;
	if (!bond || !bond->published)
		bond = ERR_PTR(-ENODEV);
	mutex_unlock(link->mutex);
	return bond;
}

static long vdpa_attach(struct vhost_vdpa_link *link, void __user *arg)
{
	struct vdpa_bond *bond = published_bond(link);

	if (IS_ERR(bond))
		return PTR_ERR(bond);
	return ioasid_attach_ioctl(bond->idev, arg, link->mutex);
}

static long vdpa_detach(struct vhost_vdpa_link *link, void __user *arg)
{
	struct vdpa_bond *bond = published_bond(link);

	if (IS_ERR(bond))
		return PTR_ERR(bond);
	return ioasid_detach_ioctl(bond->idev, arg, link->mutex);
}

static long vdpa_get_id(struct vhost_vdpa_link *link, void __user *arg)
{
	struct vdpa_bond *bond = published_bond(link);

	if (IS_ERR(bond))
		return PTR_ERR(bond);
	return ioasid_device_id_ioctl(bond->idev, arg);
}

static bool vdpa_has_asid(struct vhost_vdpa_link *link, u32 asid)
{
	struct vdpa_bond *bond = link->bond;

	lockdep_assert_held(link->mutex);
	if (asid >= bond->nr_asids)
		return false;
	if (translates(link->vdpa))
		return bond->as[asid].nr_tables;
	return ioasid_is_attached(bond->idev);
}

static const struct vhost_vdpa_front vhost_vdpa_ioasid_front = {
	.owner = THIS_MODULE,
	.bind = vdpa_bind,
	.attach = vdpa_attach,
	.detach = vdpa_detach,
	.get_id = vdpa_get_id,
	.unbind = vdpa_unbind,
	.has_asid = vdpa_has_asid,
};

static int __init vhost_vdpa_ioasid_init(void)
{
	return vhost_vdpa_register_front(&vhost_vdpa_ioasid_front);
}
module_init(vhost_vdpa_ioasid_init);

static void __exit vhost_vdpa_ioasid_exit(void)
{
	vhost_vdpa_unregister_front(&vhost_vdpa_ioasid_front);
}
module_exit(vhost_vdpa_ioasid_exit);

MODULE_ALIAS("vhost-vdpa-front-ioasid");
MODULE_DESCRIPTION("vhost-vdpa support for /dev/ioasid");
MODULE_LICENSE("GPL");
