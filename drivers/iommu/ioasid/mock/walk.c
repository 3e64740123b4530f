// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware of the model IOMMU: routes, walks, caches; and the ledger.
 *
 * Routes: a RID, or a PASID of a device, is blocked, passes through (RIDs
 * only), or leads to a domain.  A RID whose domain is a PASID table of user
 * space takes all of its device's PASIDs there.
 *
 * Caches: a TLB is kept with the structure that hardware would use as a tag: in
 * the domain for the IOTLB and the PASID cache, in the slot for the device TLB.
 * Entries are dropped by a flush, and at random if the unit has
 * MODEL_EVICT_RANDOM.  Entries of nested domains, which hold the sum of both
 * stages, are all dropped by any flush of stage 2.  There is no cache of inner
 * tables.
 *
 * The ledger: memory that a table or a TLB translates to, and a device can thus
 * reach, must stay in the state that it had when it was mapped: pinned, or
 * (memory of the kernel) at least not free.  It is checked when a device
 * accesses it, when it is unmapped, when the flush that follows is done, and
 * when a TLB drops it; model_audit() checks all of it.  A page that was
 * released by then is counted and reported, and not accessed.  Small pages that
 * have other pins cannot be told apart from pinned ones.
 *
 * All checks are made with &model_unit.lock held: so a correct unmap is never
 * reported.  Its flush waits for the lock, also if it finds the caches empty,
 * since the flush of another thread dropped its entries before.
 *
 * Locks: see hardware.h.
 */
#define pr_fmt(fmt) "ioasid_mock: " fmt

#include <kunit/visibility.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "hardware.h"

#define MODEL_MAX_CACHED	65536
#define MODEL_AUDIT_BATCH	256
#define MODEL_FLUSH_BATCH	32
#define MODEL_ANY_PASID		(MODEL_NO_PASID - 1)

static struct kmem_cache *tlb_entry_cache;
static struct kmem_cache *limbo_cache;

int model_walk_init(void)
{
	tlb_entry_cache = KMEM_CACHE(model_tlb_entry, 0);
	limbo_cache = KMEM_CACHE(model_limbo, 0);
	if (tlb_entry_cache && limbo_cache)
		return 0;
	model_walk_exit();
	return -ENOMEM;
}

void model_walk_exit(void)
{
	kmem_cache_destroy(tlb_entry_cache);
	kmem_cache_destroy(limbo_cache);
	/* RCU callbacks that free tables */
	rcu_barrier();
}

void model_tlb_init(struct model_tlb *tlb)
{
	spin_lock_init(&tlb->lock);
	tlb->entries = RB_ROOT_CACHED;
}

/* ---- The ledger ---- */

static bool page_is_as_it_was(unsigned long pfn, u64 watch,
			      unsigned long *next)
{
	struct folio *folio;

	*next = pfn + 1;
	if (!pfn_valid(pfn))
		return false;
	folio = page_folio(pfn_to_page(pfn));
	/* All pages of a folio are in the same state */
	if (folio_test_large(folio))
		*next = max(*next, folio_pfn(folio) + folio_nr_pages(folio));
	if (watch & MODEL_PTE_PINNED)
		return folio_maybe_dma_pinned(folio);
	return folio_ref_count(folio) > 0;
}

static bool pages_are(u64 phys, u64 size, u64 watch)
{
	unsigned long pfn = PHYS_PFN(phys), last = PHYS_PFN(phys + size - 1);

	while (pfn <= last)
		if (!page_is_as_it_was(pfn, watch, &pfn))
			return false;
	return true;
}

/**
 * model_watch() - tell the state of memory
 * @phys: where it is
 * @size: how much, in bytes
 *
 * Return: MODEL_PTE_PINNED, if all of it is pinned; MODEL_PTE_HELD, if none is
 * free; 0, if there are no struct pages.
 */
u64 model_watch(u64 phys, u64 size)
{
	if (pages_are(phys, size, MODEL_PTE_PINNED))
		return MODEL_PTE_PINNED;
	if (pages_are(phys, size, MODEL_PTE_HELD))
		return MODEL_PTE_HELD;
	return 0;
}

static void ledger_blame(struct model_unit *unit, u64 address, u64 pfn,
			 enum model_holder where)
{
	static const char * const names[] = {
		[MODEL_HELD_BY_TABLE] = "in a table",
		[MODEL_HELD_BY_FLUSH] = "unmapped, but not flushed",
		[MODEL_HELD_BY_TLB] = "in a TLB",
	};

	spin_lock(&unit->ledger_lock);
	atomic64_set(model_counter(unit, ledger_address), address);
	atomic64_set(model_counter(unit, ledger_pfn), pfn);
	atomic64_set(model_counter(unit, ledger_where), where);
	spin_unlock(&unit->ledger_lock);
	if (atomic64_inc_return(model_counter(unit, ledger_pages)) == 1)
		pr_err("unit %u: page %#llx was released while IOVA %#llx led to it: %s\n",
		       unit->params.unit, pfn, address, names[where]);
}

/**
 * model_ledger_check() - check that memory is in the required state
 * @unit: the unit that can reach it
 * @address: an IOVA that leads there
 * @phys: where it is
 * @size: how much, in bytes
 * @watch: the required state; 0 for any
 * @where: how the unit can reach it
 *
 * Return: whether it is.
 */
bool model_ledger_check(struct model_unit *unit, u64 address, u64 phys,
			u64 size, u64 watch, enum model_holder where)
{
	unsigned long pfn = PHYS_PFN(phys), last = PHYS_PFN(phys + size - 1);
	unsigned long next;
	bool good = true;

	if (!watch)
		return true;
	for (; pfn <= last; pfn = next) {
		if (page_is_as_it_was(pfn, watch, &next))
			continue;
		ledger_blame(unit, address + (PFN_PHYS(pfn) - phys), pfn, where);
		good = false;
	}
	return good;
}

/* ---- Forgetting ---- */

/* TLB entries that were dropped, to be checked before the lock is */
struct forgotten {
	struct model_tlb_entry *entries;
	struct model_limbo *limbo;
};

static bool same_pasid(const struct model_tlb_entry *entry, u32 pasid)
{
	return pasid == MODEL_ANY_PASID || entry->pasid == pasid;
}

static void tlb_forget(struct model_tlb *tlb, u64 start, u64 last, u32 pasid,
		       struct forgotten *gone)
{
	struct interval_tree_node *node, *next;
	struct model_tlb_entry *entry;

	spin_lock(&tlb->lock);
	node = interval_tree_iter_first(&tlb->entries, start, last);
	for (; node; node = next) {
		next = interval_tree_iter_next(node, start, last);
		entry = container_of(node, struct model_tlb_entry, node);
		if (!same_pasid(entry, pasid))
			continue;
		interval_tree_remove(node, &tlb->entries);
		entry->next = gone->entries;
		gone->entries = entry;
	}
	spin_unlock(&tlb->lock);
}

static void limbo_insert(struct model_domain *dom, u64 start, u64 last,
			 u64 phys, u64 watch, struct model_limbo *limbo)
{
	lockdep_assert_held(&dom->limbo_lock);
	limbo->node.start = start;
	limbo->node.last = last;
	limbo->phys = phys;
	limbo->watch = watch;
	interval_tree_insert(&limbo->node, &dom->limbo);
}

/*
 * The part of an entry outside of a flush; without memory it counts as flushed
 */
static void limbo_keep(struct model_domain *dom, u64 start, u64 last,
		       const struct model_limbo *of)
{
	struct model_limbo *limbo;

	limbo = kmem_cache_alloc(limbo_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (limbo)
		limbo_insert(dom, start, last,
			     of->phys + (start - of->node.start), of->watch,
			     limbo);
}

/* True if there may be more than @max entries */
static bool limbo_forget(struct model_domain *dom, u64 start, u64 last,
			 unsigned int max, struct forgotten *gone)
{
	struct interval_tree_node *node, *next;
	struct model_limbo *limbo;

	spin_lock(&dom->limbo_lock);
	node = interval_tree_iter_first(&dom->limbo, start, last);
	for (; node && max; node = next, max--) {
		next = interval_tree_iter_next(node, start, last);
		limbo = container_of(node, struct model_limbo, node);
		interval_tree_remove(node, &dom->limbo);
		if (node->start < start) {
			limbo_keep(dom, node->start, start - 1, limbo);
			limbo->phys += start - node->start;
			node->start = start;
		}
		if (node->last > last) {
			limbo_keep(dom, last + 1, node->last, limbo);
			node->last = last;
		}
		limbo->next = gone->limbo;
		gone->limbo = limbo;
	}
	spin_unlock(&dom->limbo_lock);
	return node;
}

/* Check that memory was pinned until its flush.  Called with the unit's lock */
static void check_forgotten(struct model_unit *unit, struct forgotten *gone)
{
	struct model_tlb_entry *entry;
	struct model_limbo *limbo;
	u64 n = 0;

	while ((entry = gone->entries)) {
		gone->entries = entry->next;
		model_ledger_check(unit, entry->node.start, entry->phys,
				   entry->node.last - entry->node.start + 1,
				   entry->entry & MODEL_PTE_WATCH,
				   MODEL_HELD_BY_TLB);
		kmem_cache_free(tlb_entry_cache, entry);
		n++;
	}
	atomic64_sub(n, model_counter(unit, cached));
	while ((limbo = gone->limbo)) {
		gone->limbo = limbo->next;
		model_ledger_check(unit, limbo->node.start, limbo->phys,
				   limbo->node.last - limbo->node.start + 1,
				   limbo->watch, MODEL_HELD_BY_FLUSH);
		kmem_cache_free(limbo_cache, limbo);
	}
}

static void devtlbs_forget(struct model_domain *dom, u64 start, u64 last,
			   u32 pasid, struct forgotten *gone)
{
	struct model_slot *slot;

	lockdep_assert_held_write(&dom->unit->lock);
	if (!(dom->unit->params.flags & MODEL_ATS))
		return;
	list_for_each_entry(slot, &dom->slots, node) {
		tlb_forget(&slot->devtlb, start, last, pasid, gone);
		model_count(dom->unit, flush_devtlb);
	}
}

/**
 * model_flush() - flush a range of a domain from all caches
 * @dom: a MODEL_STAGE2 domain
 * @start: first IOVA
 * @last: last IOVA
 *
 * Entries of nested domains are flushed, too.  Waits for accesses that are
 * under way.
 */
void model_flush(struct model_domain *dom, u64 start, u64 last)
{
	struct forgotten gone = {};
	struct model_domain *child;

	write_lock(&dom->unit->lock);
	tlb_forget(&dom->tlb, start, last, MODEL_ANY_PASID, &gone);
	devtlbs_forget(dom, start, last, MODEL_ANY_PASID, &gone);
	list_for_each_entry(child, &dom->children, sibling) {
		tlb_forget(&child->tlb, 0, U64_MAX, MODEL_ANY_PASID, &gone);
		devtlbs_forget(child, 0, U64_MAX, MODEL_ANY_PASID, &gone);
	}
	/*
	 * In pieces, each with its check, as memory that was unmapped can be a
	 * million pages: all is still pinned until this function returns
	 */
	while (limbo_forget(dom, start, last, MODEL_FLUSH_BATCH, &gone)) {
		check_forgotten(dom->unit, &gone);
		write_unlock(&dom->unit->lock);
		write_lock(&dom->unit->lock);
	}
	check_forgotten(dom->unit, &gone);
	write_unlock(&dom->unit->lock);
}

/**
 * model_flush_user() - invalidate caches as user space asks
 * @dom: a nested domain
 * @inv: the invalidation
 */
void model_flush_user(struct model_domain *dom,
		      const struct model_invalidate *inv)
{
	u32 pasid = inv->flags & MODEL_INV_PASID ? inv->pasid : MODEL_ANY_PASID;
	u64 start = 0, last = U64_MAX;
	struct forgotten gone = {};

	if (inv->flags & MODEL_INV_RANGE) {
		start = inv->start;
		last = inv->last;
	}
	write_lock(&dom->unit->lock);
	if (inv->flags & MODEL_INV_PASID_CACHE) {
		if (inv->flags & MODEL_INV_PASID)
			xa_erase(&dom->pasid_cache, inv->pasid);
		else
			xa_destroy(&dom->pasid_cache);
		model_count(dom->unit, flush_pasid);
	}
	if (inv->flags & MODEL_INV_IOTLB)
		tlb_forget(&dom->tlb, start, last, pasid, &gone);
	if (inv->flags & MODEL_INV_DEVTLB)
		devtlbs_forget(dom, start, last, pasid, &gone);
	check_forgotten(dom->unit, &gone);
	write_unlock(&dom->unit->lock);
	model_count(dom->unit, flush_user);
}

/* No slot has the domain: flush all */
static void domain_forget(struct model_domain *dom, struct forgotten *gone)
{
	lockdep_assert_held_write(&dom->unit->lock);
	tlb_forget(&dom->tlb, 0, U64_MAX, MODEL_ANY_PASID, gone);
	limbo_forget(dom, 0, U64_MAX, UINT_MAX, gone);
	xa_destroy(&dom->pasid_cache);
}

/**
 * model_slot_set() - change the route of a RID or a PASID
 * @slot: the slot; a PASID's slot is added to, or removed from, its device's
 *	table
 * @route: the new route
 * @dom: the domain, if MODEL_TRANSLATED
 *
 * Flushes the caches of the slot, and all caches of a domain that has no slot
 * left.
 */
void model_slot_set(struct model_slot *slot, enum model_route route,
		    struct model_domain *dom)
{
	struct model_unit *unit = slot->mdev->unit;
	struct model_domain *old;
	struct forgotten gone = {};

	write_lock(&unit->lock);
	tlb_forget(&slot->devtlb, 0, U64_MAX, MODEL_ANY_PASID, &gone);
	old = slot->dom;
	if (old) {
		list_del(&slot->node);
		atomic64_dec(model_counter(unit, attached));
	}
	for (; old; old = old->parent)
		if (!--old->users)
			domain_forget(old, &gone);

	slot->route = route;
	slot->dom = dom;
	slot->era = ++unit->eras;
	if (dom) {
		list_add_tail(&slot->node, &dom->slots);
		atomic64_inc(model_counter(unit, attached));
	}
	for (; dom; dom = dom->parent)
		dom->users++;

	/* The entry was reserved: this allocates nothing */
	if (slot->pasid != MODEL_NO_PASID)
		xa_store(&slot->mdev->pasids, slot->pasid,
			 route == MODEL_BLOCKED ? NULL : slot, GFP_ATOMIC);
	check_forgotten(unit, &gone);
	write_unlock(&unit->lock);
}

/**
 * model_limbo_add() - remember unmapped memory until it is flushed
 * @dom: the domain
 * @iova: first IOVA
 * @last: last IOVA
 * @phys: physical address
 * @watch: the required state until it is flushed
 *
 * Context: does not sleep.
 */
void model_limbo_add(struct model_domain *dom, u64 iova, u64 last, u64 phys,
		     u64 watch)
{
	struct model_unit *unit = dom->unit;
	struct model_limbo *limbo = NULL;

	if (!watch)
		return;
	read_lock(&unit->lock);
	if (!dom->users) {
		read_unlock(&unit->lock);
		return;
	}
	if (model_ledger_check(unit, iova, phys, last - iova + 1, watch,
			       MODEL_HELD_BY_TABLE)) {
		limbo = kmem_cache_alloc(limbo_cache,
					 GFP_ATOMIC | __GFP_NOWARN);
		if (limbo) {
			spin_lock(&dom->limbo_lock);
			limbo_insert(dom, iova, last, phys, watch, limbo);
			spin_unlock(&dom->limbo_lock);
		}
	}
	read_unlock(&unit->lock);
	/* No memory: flush early, as hardware may */
	if (!limbo)
		model_flush(dom, iova, last);
}

/* ---- Translations ---- */

/* The translation that an access uses */
struct model_path {
	struct model_unit *unit;
	struct model_slot *slot;
	struct model_domain *dom;	/* the tag */
	struct model_domain *stage2;
	u32 pasid;			/* PASID of the tag */
	bool stage1;
	u64 root;
	unsigned int levels;
};

/* A translation: as in a struct model_tlb_entry */
struct translation {
	u64 start;
	u64 last;
	u64 phys;
	u64 entry;
	enum model_holder holder;
};

static u64 translation_phys(const struct translation *t, u64 address)
{
	return t->phys + (address - t->start);
}

/* Take a reference of the page at @phys while it is accessed */
static enum model_reason memory_get(struct model_unit *unit, u64 address,
				    u64 phys, u64 watch,
				    enum model_holder holder,
				    struct folio **folio)
{
	struct page *page;

	if (!pfn_valid(PHYS_PFN(phys)))
		return MODEL_FAULT_MEMORY;
	if (!model_ledger_check(unit, address, phys, 1, watch, holder))
		return MODEL_FAULT_LEDGER;
	page = pfn_to_page(PHYS_PFN(phys));
	*folio = page_folio(page);
	if (!folio_try_get(*folio))
		return MODEL_FAULT_MEMORY;
	if (page_folio(page) == *folio)
		return MODEL_OK;
	folio_put(*folio);
	return MODEL_FAULT_MEMORY;
}

static void *memory_map(u64 phys)
{
	return kmap_local_page(pfn_to_page(PHYS_PFN(phys))) +
	       offset_in_page(phys);
}

static enum model_reason walk_stage2(const struct model_domain *dom,
				     u64 address, u64 need, bool set,
				     struct model_leaf *leaf)
{
	const struct iommu_domain_geometry *geometry = &dom->domain.geometry;
	u64 bits, old;

	if (address < geometry->aperture_start ||
	    address > geometry->aperture_end)
		return MODEL_FAULT_WIDTH;
	bits = MODEL_PTE_ACCESSED;
	if (need & MODEL_PTE_WRITE && READ_ONCE(dom->dirty))
		bits |= MODEL_PTE_DIRTY;
	do {
		if (!model_table_find(&dom->table, address, leaf))
			return MODEL_FAULT_ABSENT;
		if ((leaf->entry & need) != need)
			return MODEL_FAULT_DENIED;
		old = leaf->entry;
	} while (set && (old & bits) != bits &&
		 !try_cmpxchg64(leaf->slot, &old, old | bits));
	return MODEL_OK;
}

/*
 * Read a word of a table of user space or, if @new is given, exchange it if it
 * is still *@value.  *@value becomes the old word.
 */
static enum model_reason user_word(const struct model_path *path, u64 address,
				   u64 gpa, u64 *value, const u64 *new)
{
	enum model_reason reason;
	struct model_leaf leaf;
	struct folio *folio;
	u64 phys, *word;

	reason = walk_stage2(path->stage2, gpa,
			     MODEL_PTE_READ | (new ? MODEL_PTE_WRITE : 0), true,
			     &leaf);
	if (reason)
		return MODEL_FAULT_S1_TABLE;
	phys = model_leaf_phys(&leaf, gpa);
	reason = memory_get(path->unit, address, phys,
			    leaf.entry & MODEL_PTE_WATCH, MODEL_HELD_BY_TABLE,
			    &folio);
	if (reason)
		return reason;
	word = memory_map(phys);
	if (new)
		*value = cmpxchg64(word, *value, *new);
	else
		*value = READ_ONCE(*word);
	kunmap_local(word);
	folio_put(folio);
	return MODEL_OK;
}

/* Check that an entry of stage 1 that is present is well-formed */
static bool s1_is_good(u64 entry, unsigned int level)
{
	u64 known = MODEL_S1_PRESENT | MODEL_S1_WRITE | MODEL_S1_ACCESSED;
	u64 size = BIT_ULL(12 + 9 * level);

	if (level && !(entry & MODEL_S1_HUGE))
		return !(entry & ~(known | MODEL_S1_ADDRESS));
	known |= MODEL_S1_DIRTY;
	if (level)
		known |= MODEL_S1_HUGE;
	return level <= MODEL_S1_MAX_HUGE &&
	       !(entry & ~(known | (MODEL_S1_ADDRESS & ~(size - 1))));
}

static enum model_reason walk_stage1(const struct model_path *path, u64 address,
				     bool write, bool set,
				     struct translation *out)
{
	unsigned int level = path->levels - 1, shift = 12 + 9 * path->levels;
	u64 table = path->root, gpa, entry, new, old;
	enum model_reason reason;
	bool may_write = true;
	bool leaf;

	if (address >> shift)
		return MODEL_FAULT_WIDTH;
	for (;; level--) {
		shift = 12 + 9 * level;
		gpa = table + ((address >> shift) & (MODEL_S1_ENTRIES - 1)) *
			      sizeof(u64);
		reason = user_word(path, address, gpa, &entry, NULL);
		if (reason)
			return reason;
again:
		if (!(entry & MODEL_S1_PRESENT))
			return MODEL_FAULT_S1_ABSENT;
		if (!s1_is_good(entry, level))
			return MODEL_FAULT_S1_FORMAT;
		leaf = !level || entry & MODEL_S1_HUGE;
		if (write && !(entry & MODEL_S1_WRITE))
			return MODEL_FAULT_S1_DENIED;
		new = entry | MODEL_S1_ACCESSED;
		if (leaf && write)
			new |= MODEL_S1_DIRTY;
		if (set && new != entry) {
			old = entry;
			reason = user_word(path, address, gpa, &entry, &new);
			if (reason)
				return reason;
			if (entry != old)
				goto again;
		}
		may_write &= !!(entry & MODEL_S1_WRITE);
		if (leaf)
			break;
		table = entry & MODEL_S1_ADDRESS;
	}
	out->start = address & ~(BIT_ULL(shift) - 1);
	out->last = address | (BIT_ULL(shift) - 1);
	out->phys = entry & MODEL_S1_ADDRESS;
	out->entry = MODEL_PTE_READ | (may_write ? MODEL_PTE_WRITE : 0);
	return MODEL_OK;
}

static enum model_reason walk(const struct model_path *path, u64 address, u64 need,
			      bool set, struct translation *out)
{
	struct translation s1 = {
		.last = U64_MAX,
		.entry = MODEL_PTE_READ | MODEL_PTE_WRITE,
	};
	enum model_reason reason;
	struct model_leaf leaf;
	u64 gpa, size;

	if (path->stage1) {
		reason = walk_stage1(path, address, need & MODEL_PTE_WRITE, set,
				     &s1);
		if (reason)
			return reason;
	}
	gpa = translation_phys(&s1, address);
	reason = walk_stage2(path->stage2, gpa, need, set, &leaf);
	if (reason)
		return reason;

	/* The smaller of the two pages */
	size = min(s1.last - s1.start, leaf.last - leaf.start);
	out->start = address & ~size;
	out->last = address | size;
	out->phys = model_leaf_phys(&leaf, gpa) - (address - out->start);
	out->entry = leaf.entry & s1.entry & MODEL_PTE_PRESENT;
	out->entry |= leaf.entry & (MODEL_PTE_SNOOP | MODEL_PTE_WATCH);
	/* The dirty bit need not be set later */
	if (need & MODEL_PTE_WRITE ||
	    (!path->stage1 && !READ_ONCE(path->stage2->dirty)))
		out->entry |= MODEL_PTE_DIRTY;
	out->holder = MODEL_HELD_BY_TABLE;
	return MODEL_OK;
}

/* ---- TLBs ---- */

static struct model_tlb_entry *tlb_first(struct model_tlb *tlb, u64 address,
					 u32 pasid)
{
	struct interval_tree_node *node;
	struct model_tlb_entry *entry;

	lockdep_assert_held(&tlb->lock);
	node = interval_tree_iter_first(&tlb->entries, address, address);
	for (; node; node = interval_tree_iter_next(node, address, address)) {
		entry = container_of(node, struct model_tlb_entry, node);
		if (same_pasid(entry, pasid))
			return entry;
	}
	return NULL;
}

static bool tlb_find(struct model_tlb *tlb, u64 address, u32 pasid,
		     struct translation *out)
{
	struct model_tlb_entry *entry;

	spin_lock(&tlb->lock);
	entry = tlb_first(tlb, address, pasid);
	if (entry) {
		out->start = entry->node.start;
		out->last = entry->node.last;
		out->phys = entry->phys;
		out->entry = entry->entry;
		out->holder = MODEL_HELD_BY_TLB;
	}
	spin_unlock(&tlb->lock);
	return entry;
}

static void tlb_drop(struct model_unit *unit, struct model_tlb *tlb,
		     struct model_tlb_entry *entry)
{
	lockdep_assert_held(&tlb->lock);
	interval_tree_remove(&entry->node, &tlb->entries);
	kmem_cache_free(tlb_entry_cache, entry);
	atomic64_dec(model_counter(unit, cached));
}

static void tlb_evict(struct model_unit *unit, struct model_tlb *tlb)
{
	struct interval_tree_node *node;

	lockdep_assert_held(&tlb->lock);
	if (get_random_u32_below(4))
		return;
	node = interval_tree_iter_first(&tlb->entries, get_random_u64(),
					U64_MAX);
	if (!node)
		node = interval_tree_iter_first(&tlb->entries, 0, U64_MAX);
	if (node)
		tlb_drop(unit, tlb,
			 container_of(node, struct model_tlb_entry, node));
}

/* Replace an entry for @address that could not serve */
static void tlb_insert(struct model_unit *unit, struct model_tlb *tlb,
		       u32 pasid, u64 address, const struct translation *t)
{
	struct model_tlb_entry *entry, *old;

	if (atomic64_read(model_counter(unit, cached)) >= MODEL_MAX_CACHED)
		return;
	entry = kmem_cache_alloc(tlb_entry_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!entry)
		return;
	entry->node.start = t->start;
	entry->node.last = t->last;
	entry->pasid = pasid;
	entry->phys = t->phys;
	entry->entry = t->entry;

	spin_lock(&tlb->lock);
	if (unit->params.flags & MODEL_EVICT_RANDOM)
		tlb_evict(unit, tlb);
	while ((old = tlb_first(tlb, address, pasid)))
		tlb_drop(unit, tlb, old);
	interval_tree_insert(&entry->node, &tlb->entries);
	spin_unlock(&tlb->lock);
	atomic64_inc(model_counter(unit, cached));
}

static bool can_serve(const struct translation *t, u64 need)
{
	if (need & MODEL_PTE_WRITE)
		need |= MODEL_PTE_DIRTY;
	return (t->entry & need) == need;
}

/* Check whether a walk finds the same as a TLB entry */
static void check_stale(const struct model_path *path, u64 address, u64 need,
			const struct translation *hit)
{
	const u64 bits = MODEL_PTE_PRESENT | MODEL_PTE_SNOOP;
	struct translation now;

	model_count(path->unit, hits);
	if (walk(path, address, need, false, &now) ||
	    translation_phys(&now, address) != translation_phys(hit, address) ||
	    (now.entry ^ hit->entry) & bits)
		model_count(path->unit, stale);
}

static enum model_reason translate(const struct model_path *path, u64 address,
				   u64 need, bool ats, struct translation *out)
{
	struct model_tlb *iotlb = &path->dom->tlb;
	struct model_tlb *devtlb = &path->slot->devtlb;
	u32 flags = path->unit->params.flags;
	enum model_reason reason;

	ats = ats && flags & MODEL_ATS;
	if (ats && tlb_find(devtlb, address, path->pasid, out) &&
	    can_serve(out, need)) {
		check_stale(path, address, need, out);
		return MODEL_OK;
	}
	if (tlb_find(iotlb, address, path->pasid, out)) {
		if (!out->entry) {
			if (!walk(path, address, need, false, out))
				model_count(path->unit, stale);
			return MODEL_FAULT_ABSENT;
		}
		if (can_serve(out, need)) {
			check_stale(path, address, need, out);
			if (ats)
				tlb_insert(path->unit, devtlb, path->pasid,
					   address, out);
			return MODEL_OK;
		}
	}

	model_count(path->unit, walks);
	reason = walk(path, address, need, true, out);
	if (reason == MODEL_FAULT_ABSENT && !path->stage1 &&
	    flags & MODEL_CACHE_ABSENT) {
		u64 size = BIT_ULL(path->unit->shift) - 1;

		tlb_insert(path->unit, iotlb, path->pasid, address,
			   &(struct translation){
				.start = address & ~size,
				.last = address | size,
			   });
	}
	if (reason)
		return reason;
	tlb_insert(path->unit, iotlb, path->pasid, address, out);
	if (ats)
		tlb_insert(path->unit, devtlb, path->pasid, address, out);
	return MODEL_OK;
}

/* ---- Routes ---- */

/* The entry of a PASID table of user space, by way of the PASID cache */
static enum model_reason route_user_pasid(struct model_path *path, u64 address)
{
	const struct model_pasid_table *pasids = &path->dom->pasids;
	u64 gpa, word, second;
	enum model_reason reason;
	void *cached;

	if (path->pasid >> pasids->pasid_bits)
		return MODEL_FAULT_PASID;
	cached = xa_load(&path->dom->pasid_cache, path->pasid);
	if (cached) {
		word = xa_to_value(cached) << 1;
	} else {
		gpa = pasids->table + path->pasid * 2 * sizeof(u64);
		reason = user_word(path, address, gpa, &word, NULL) ?:
			 user_word(path, address, gpa + sizeof(u64), &second,
				   NULL);
		if (reason)
			return reason;
		if (!(word & MODEL_PASID_VALID))
			return MODEL_FAULT_PASID;
		if (second || word & ~(MODEL_PASID_VALID | MODEL_PASID_BYPASS |
				       MODEL_PASID_LEVELS | MODEL_PASID_ROOT))
			return MODEL_FAULT_S1_FORMAT;
		xa_store(&path->dom->pasid_cache, path->pasid,
			 xa_mk_value(word >> 1), GFP_ATOMIC | __GFP_NOWARN);
	}
	path->stage1 = !(word & MODEL_PASID_BYPASS);
	path->root = word & MODEL_PASID_ROOT;
	path->levels = (word & MODEL_PASID_LEVELS) >> MODEL_PASID_LEVELS_SHIFT;
	if (path->stage1 && (path->levels < MODEL_S1_MIN_LEVELS ||
			     path->levels > MODEL_S1_MAX_LEVELS))
		return MODEL_FAULT_S1_FORMAT;
	return MODEL_OK;
}

static enum model_reason route(struct model_dev *mdev, u32 pasid, u64 address,
			       struct model_path *path)
{
	struct model_slot *slot = &mdev->rid;
	struct model_domain *dom = slot->dom;

	*path = (struct model_path){
		.unit = mdev->unit,
		.pasid = MODEL_NO_PASID,
	};
	if (pasid != MODEL_NO_PASID && (!dom || dom->kind != MODEL_PASIDS)) {
		slot = xa_load(&mdev->pasids, pasid);
		if (!slot)
			return MODEL_FAULT_PASID;
		dom = slot->dom;
	}
	path->slot = slot;
	path->dom = dom;
	if (slot->route == MODEL_BLOCKED)
		return MODEL_FAULT_BLOCKED;
	if (!dom)
		return MODEL_OK;
	path->stage2 = dom->parent ?: dom;
	if (dom->kind == MODEL_STAGE1) {
		path->stage1 = true;
		path->root = dom->s1.root;
		path->levels = dom->s1.levels;
	} else if (dom->kind == MODEL_PASIDS) {
		path->pasid = pasid == MODEL_NO_PASID ? 0 : pasid;
		return route_user_pasid(path, address);
	}
	return MODEL_OK;
}

/* ---- Accesses ---- */

static u64 op_needs(enum model_op op)
{
	switch (op) {
	case MODEL_READ:
		return MODEL_PTE_READ;
	case MODEL_WRITE:
		return MODEL_PTE_WRITE;
	default:
		return MODEL_PTE_READ | MODEL_PTE_WRITE;
	}
}

static u64 atomic_operation(void *memory, u64 *operand, size_t length,
			    enum model_op op)
{
	if (length == sizeof(u32)) {
		if (op == MODEL_FETCH_ADD)
			return (u32)atomic_fetch_add((u32)operand[0], memory);
		if (op == MODEL_SWAP)
			return xchg((u32 *)memory, (u32)operand[0]);
		return cmpxchg((u32 *)memory, (u32)operand[0], (u32)operand[1]);
	}
	if (op == MODEL_FETCH_ADD)
		return atomic64_fetch_add(operand[0], memory);
	if (op == MODEL_SWAP)
		return xchg((u64 *)memory, operand[0]);
	return cmpxchg64((u64 *)memory, operand[0], operand[1]);
}

static void touch(u64 phys, void *buffer, size_t length, enum model_op op)
{
	void *memory = memory_map(phys);
	u64 *operand = buffer;

	switch (op) {
	case MODEL_READ:
		memcpy(buffer, memory, length);
		break;
	case MODEL_WRITE:
		memcpy(memory, buffer, length);
		break;
	default:
		operand[0] = atomic_operation(memory, operand, length, op);
	}
	kunmap_local(memory);
}

/* Access as much as one translation covers, in one page; returns the length */
static enum model_reason access_some(struct model_dev *mdev, u32 pasid,
				     u64 address, void *buffer, size_t *length,
				     enum model_op op, unsigned int flags,
				     bool *stage1)
{
	struct translation t = {
		.last = U64_MAX,
		.entry = MODEL_PTE_PRESENT | MODEL_PTE_SNOOP,
	};
	struct model_unit *unit = mdev->unit;
	enum model_reason reason;
	struct folio *folio;
	struct model_path path;
	u64 phys;

	lockdep_assert_held_read(&unit->lock);
	reason = route(mdev, pasid, address, &path);
	*stage1 = path.stage1;
	if (reason)
		return reason;
	if (path.dom) {
		reason = translate(&path, address, op_needs(op),
				   flags & MODEL_ACCESS_ATS, &t);
		if (reason)
			return reason;
	} else {
		model_count(unit, bypass);
	}

	phys = translation_phys(&t, address);
	*length = min_t(u64, *length - 1, t.last - address) + 1;
	*length = min(*length, PAGE_SIZE - offset_in_page(phys));
	reason = memory_get(unit, address, phys, t.entry & MODEL_PTE_WATCH,
			    t.holder, &folio);
	if (reason)
		return reason;
	if (flags & MODEL_ACCESS_NO_SNOOP && !(t.entry & MODEL_PTE_SNOOP))
		model_count(unit, no_snoop);
	touch(phys, buffer, *length, op);
	folio_put(folio);
	return MODEL_OK;
}

/* Check whether a page request can help */
static bool is_recoverable(enum model_reason reason, bool stage1)
{
	if (stage1)
		return reason == MODEL_FAULT_S1_ABSENT ||
		       reason == MODEL_FAULT_S1_DENIED;
	return reason == MODEL_FAULT_ABSENT || reason == MODEL_FAULT_DENIED;
}

/*
 * Tell listeners of a fault that ends an access.  Interrupts are off, since
 * drivers of hardware may do this in their handlers
 */
static void tell(struct model_dev *mdev, const struct model_fault *now,
		 u64 need)
{
#ifdef IOMMU_DMA_FAULT_NOTIFIER
	struct iommu_dma_fault fault = {
		.dev = model_dev_device(mdev),
		.flags = IOMMU_DMA_FAULT_ADDR,
		.pasid = now->pasid == MODEL_NO_PASID ? IOMMU_NO_PASID :
							now->pasid,
		.addr = now->address,
		.reason = now->reason,
	};
	unsigned long flags;

	if (need & MODEL_PTE_READ)
		fault.perm |= IOMMU_FAULT_PERM_READ;
	if (need & MODEL_PTE_WRITE)
		fault.perm |= IOMMU_FAULT_PERM_WRITE;
	local_irq_save(flags);
	iommu_report_dma_fault(&fault);
	local_irq_restore(flags);
#endif
}

static bool is_atomic_aligned(u64 address, size_t length)
{
	return (length == sizeof(u32) || length == sizeof(u64)) &&
	       IS_ALIGNED(address, length);
}

/**
 * model_access() - do DMA
 * @mdev: the device
 * @pasid: the PASID, or MODEL_NO_PASID
 * @address: where
 * @buffer: the data to write, room for the data to read, or operands
 * @length: bytes
 * @op: type of the access
 * @flags: MODEL_ACCESS_ATS ...
 * @fault: out if it fails: where and why; or NULL
 *
 * Not atomic: other DMA, and changes of the translation, can happen between the
 * pages of one access.  Pages before one that fails are done.
 *
 * Context: any that is neither a hard nor a soft interrupt; does not sleep.
 * Return: MODEL_OK; MODEL_PAGE_REQUEST, if @flags has MODEL_ACCESS_PRI and page
 * requests are on: the driver may request the page, and this is no fault; or a
 * fault.
 */
enum model_reason model_access(struct model_dev *mdev, u32 pasid, u64 address,
			       void *buffer, size_t length, enum model_op op,
			       unsigned int flags, struct model_fault *fault)
{
	struct model_unit *unit = mdev->unit;
	enum model_reason reason = MODEL_OK;
	struct model_fault now;
	bool stage1 = false;
	size_t n;

	if (op > MODEL_WRITE && !is_atomic_aligned(address, length))
		reason = MODEL_FAULT_ALIGN;
	while (length && !reason) {
		n = length;
		read_lock(&unit->lock);
		rcu_read_lock();
		reason = access_some(mdev, pasid, address, buffer, &n, op,
				     flags, &stage1);
		rcu_read_unlock();
		read_unlock(&unit->lock);
		if (reason)
			break;
		length -= n;
		buffer += n;
		address += n;
		if (length && !address)
			reason = MODEL_FAULT_WIDTH;
	}
	if (!reason)
		return MODEL_OK;

	if (flags & MODEL_ACCESS_PRI && READ_ONCE(mdev->pri) &&
	    is_recoverable(reason, stage1))
		reason = MODEL_PAGE_REQUEST;
	now = (struct model_fault){
		.address = address,
		.pasid = pasid,
		.reason = reason,
		.write = op != MODEL_READ,
	};
	if (reason != MODEL_PAGE_REQUEST) {
		model_count(unit, faults);
		spin_lock(&mdev->fault_lock);
		now.count = mdev->fault.count + 1;
		mdev->fault = now;
		spin_unlock(&mdev->fault_lock);
		tell(mdev, &now, op_needs(op));
	}
	if (fault)
		*fault = now;
	return reason;
}
EXPORT_SYMBOL_IF_KUNIT(model_access);

/* ---- Audit ---- */

static u64 audit_tlb(struct model_unit *unit, struct model_tlb *tlb)
{
	struct interval_tree_node *node;
	struct model_tlb_entry *entry;
	u64 bad = 0;

	spin_lock(&tlb->lock);
	node = interval_tree_iter_first(&tlb->entries, 0, U64_MAX);
	for (; node; node = interval_tree_iter_next(node, 0, U64_MAX)) {
		entry = container_of(node, struct model_tlb_entry, node);
		if (model_ledger_check(unit, node->start, entry->phys,
				       node->last - node->start + 1,
				       entry->entry & MODEL_PTE_WATCH,
				       MODEL_HELD_BY_TLB))
			continue;
		entry->entry &= ~MODEL_PTE_WATCH;
		bad++;
	}
	spin_unlock(&tlb->lock);
	return bad;
}

/* Returns whether there is more from *@iova on */
static bool audit_some(struct model_domain *dom, u64 *iova, u64 *bad)
{
	struct model_leaf leaf;
	unsigned int i;

	lockdep_assert_held_read(&dom->unit->lock);
	for (i = 0; i < MODEL_AUDIT_BATCH; i++) {
		if (!dom->users ||
		    !model_table_next(&dom->table, *iova, U64_MAX, &leaf))
			return false;
		if (!model_ledger_check(dom->unit, leaf.start,
					leaf.entry & MODEL_PTE_ADDRESS,
					leaf.last - leaf.start + 1,
					leaf.entry & MODEL_PTE_WATCH,
					MODEL_HELD_BY_TABLE)) {
			model_table_clear(&dom->table, &leaf, MODEL_PTE_WATCH);
			(*bad)++;
		}
		if (leaf.last == U64_MAX)
			return false;
		*iova = leaf.last + 1;
	}
	return true;
}

static u64 audit_domain(struct model_domain *dom)
{
	struct model_unit *unit = dom->unit;
	struct model_slot *slot;
	u64 iova = 0, bad = 0;
	bool more;

	read_lock(&unit->lock);
	bad += audit_tlb(unit, &dom->tlb);
	list_for_each_entry(slot, &dom->slots, node)
		bad += audit_tlb(unit, &slot->devtlb);
	read_unlock(&unit->lock);
	if (dom->kind != MODEL_STAGE2)
		return bad;
	do {
		read_lock(&unit->lock);
		rcu_read_lock();
		more = audit_some(dom, &iova, &bad);
		rcu_read_unlock();
		read_unlock(&unit->lock);
		cond_resched();
	} while (more);
	return bad;
}

/**
 * model_audit() - check all memory that a unit's devices can reach
 * @mdev: one of its devices
 *
 * Each bad translation is reported once.
 *
 * Context: may sleep.
 * Return: number of translations to memory that was released.
 */
u64 model_audit(struct model_dev *mdev)
{
	struct model_unit *unit = mdev->unit;
	struct model_domain *dom;
	u64 bad = 0;

	mutex_lock(&unit->mutex);
	list_for_each_entry(dom, &unit->domains, node)
		bad += audit_domain(dom);
	mutex_unlock(&unit->mutex);
	return bad;
}
EXPORT_SYMBOL_IF_KUNIT(model_audit);
