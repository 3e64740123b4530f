/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The layout of all structures of /dev/ioasid, checked when this is compiled, and
 * a union of them.
 */
#ifndef __SELFTESTS_IOASID_LAYOUT_H
#define __SELFTESTS_IOASID_LAYOUT_H

#include <assert.h>

#include "ioasid_test.h"

/*
 * Nothing but naturally aligned fields without holes, so that 32 bit user
 * space has the same layout.
 */
#define AT(type, field, offset)						\
	static_assert(offsetof(struct type, field) == (offset),	\
		       #type "." #field)
#define SIZE(type, size)						\
	static_assert(sizeof(struct type) == (size), #type)

AT(ioasid_check_extension, extension, 8);
AT(ioasid_check_extension, __reserved, 12);
SIZE(ioasid_check_extension, 16);

AT(ioasid_alloc, kind, 8);
AT(ioasid_alloc, parent, 12);
AT(ioasid_alloc, cookie, 16);
AT(ioasid_alloc, cut_size, 24);
AT(ioasid_alloc, snoop, 32);
AT(ioasid_alloc, format, 36);
AT(ioasid_alloc, fault_queue, 40);
AT(ioasid_alloc, ioasid, 44);
SIZE(ioasid_alloc, 48);

AT(ioasid_free, ioasid, 8);
SIZE(ioasid_free, 16);

AT(ioasid_iova_range, last, 8);
SIZE(ioasid_iova_range, 16);

AT(ioasid_info, ioasid, 8);
AT(ioasid_info, state, 12);
AT(ioasid_info, kind, 16);
AT(ioasid_info, parent, 20);
AT(ioasid_info, cookie, 24);
AT(ioasid_info, cut_size, 32);
AT(ioasid_info, pgsizes, 40);
AT(ioasid_info, snoop, 48);
AT(ioasid_info, nr_domains, 52);
AT(ioasid_info, nr_devices, 56);
AT(ioasid_info, nr_children, 60);
AT(ioasid_info, nr_mappings, 64);
AT(ioasid_info, bytes_mapped, 72);
AT(ioasid_info, bytes_pinned, 80);
AT(ioasid_info, bytes_charged, 88);
AT(ioasid_info, bytes_left, 96);
AT(ioasid_info, waiting_cookie, 104);
AT(ioasid_info, waiting_devid, 112);
AT(ioasid_info, nr_ranges, 116);
AT(ioasid_info, ranges, 120);
AT(ioasid_info, mappings_left, 128);
AT(ioasid_info, permission, 136);
AT(ioasid_info, fault_queue, 140);
AT(ioasid_info, bytes_demand, 144);
SIZE(ioasid_info, 152);

AT(ioasid_device_info, devid, 8);
AT(ioasid_device_info, cookie, 16);
AT(ioasid_device_info, group, 24);
AT(ioasid_device_info, ioasid, 28);
AT(ioasid_device_info, pgsizes, 32);
AT(ioasid_device_info, addr_width, 40);
AT(ioasid_device_info, hw_len, 52);
AT(ioasid_device_info, hw_data, 56);
AT(ioasid_device_info, nr_ranges, 64);
AT(ioasid_device_info, __reserved, 68);
AT(ioasid_device_info, ranges, 72);
AT(ioasid_device_info, nr_pasids, 80);
AT(ioasid_device_info, pasids_left, 84);
AT(ioasid_device_info, faults, 88);
AT(ioasid_device_info, faults_lost, 96);
SIZE(ioasid_device_info, 104);

AT(ioasid_map_dma, ioasid, 8);
AT(ioasid_map_dma, fd, 12);
AT(ioasid_map_dma, iova, 16);
AT(ioasid_map_dma, addr, 24);
AT(ioasid_map_dma, length, 32);
AT(ioasid_map_dma, cut_size, 40);
AT(ioasid_map_dma, alignment, 48);
AT(ioasid_map_dma, fault_addr, 56);
SIZE(ioasid_map_dma, 64);

AT(ioasid_unmap_dma, ioasid, 8);
AT(ioasid_unmap_dma, __reserved, 12);
AT(ioasid_unmap_dma, iova, 16);
AT(ioasid_unmap_dma, length, 24);
AT(ioasid_unmap_dma, unmapped, 32);
AT(ioasid_unmap_dma, bitmap, 40);
AT(ioasid_unmap_dma, page_size, 48);
AT(ioasid_unmap_dma, told, 56);
AT(ioasid_unmap_dma, __reserved2, 60);
SIZE(ioasid_unmap_dma, 64);

AT(ioasid_dma_op, flags, 2);
AT(ioasid_dma_op, fd, 4);
AT(ioasid_dma_op, iova, 8);
AT(ioasid_dma_op, addr, 16);
AT(ioasid_dma_op, length, 24);
SIZE(ioasid_dma_op, 32);

AT(ioasid_dma_batch, ioasid, 8);
AT(ioasid_dma_batch, nr, 12);
AT(ioasid_dma_batch, ops, 16);
AT(ioasid_dma_batch, done, 24);
AT(ioasid_dma_batch, error, 28);
AT(ioasid_dma_batch, unmapped, 32);
AT(ioasid_dma_batch, fault_addr, 40);
SIZE(ioasid_dma_batch, 48);

AT(ioasid_export, ioasid, 8);
AT(ioasid_export, fd, 12);
AT(ioasid_export, iova, 16);
AT(ioasid_export, length, 24);
AT(ioasid_export, max_mappings, 32);
SIZE(ioasid_export, 40);

AT(ioasid_import, fd, 8);
AT(ioasid_import, ioasid, 12);
AT(ioasid_import, cookie, 16);
SIZE(ioasid_import, 24);

AT(ioasid_list_entry, cookie, 8);
AT(ioasid_list_entry, ioasid, 16);
AT(ioasid_list_entry, parent, 28);
SIZE(ioasid_list_entry, 32);

AT(ioasid_list, start, 8);
AT(ioasid_list, nr, 12);
AT(ioasid_list, entries, 16);
AT(ioasid_list, entry_size, 24);
AT(ioasid_list, __reserved, 28);
SIZE(ioasid_list, 32);

AT(ioasid_list_long_entry, entry, 0);
AT(ioasid_list_long_entry, name, 32);
SIZE(ioasid_list_long_entry, 96);

AT(ioasid_device_get_id, ioasid_fd, 8);
AT(ioasid_device_get_id, devid, 12);
AT(ioasid_device_get_id, cookie, 16);
SIZE(ioasid_device_get_id, 24);

AT(ioasid_event, state, 4);
AT(ioasid_event, cookie, 8);
SIZE(ioasid_event, 16);

AT(ioasid_get_events, nr, 8);
AT(ioasid_get_events, more, 12);
AT(ioasid_get_events, events, 16);
SIZE(ioasid_get_events, 24);

AT(ioasid_set_option, option, 8);
AT(ioasid_set_option, sealed, 12);
AT(ioasid_set_option, value, 16);
SIZE(ioasid_set_option, 24);

AT(ioasid_vfio_ioasid, ioasid, 8);
AT(ioasid_vfio_ioasid, __reserved, 12);
SIZE(ioasid_vfio_ioasid, 16);

AT(ioasid_vfio_bind_group, group_fd, 8);
AT(ioasid_vfio_bind_group, ioasid_fd, 12);
AT(ioasid_vfio_bind_group, cookie, 16);
AT(ioasid_vfio_bind_group, devid, 24);
AT(ioasid_vfio_bind_group, __reserved, 28);
SIZE(ioasid_vfio_bind_group, 32);

AT(ioasid_vfio_attach_group, group_fd, 8);
AT(ioasid_vfio_attach_group, ioasid, 12);
AT(ioasid_vfio_attach_group, fault_addr, 16);
SIZE(ioasid_vfio_attach_group, 24);

AT(ioasid_vfio_detach_group, group_fd, 8);
AT(ioasid_vfio_detach_group, ioasid, 12);
SIZE(ioasid_vfio_detach_group, 16);

AT(ioasid_device_bind, ioasid_fd, 8);
AT(ioasid_device_bind, ioasid, 12);
AT(ioasid_device_bind, cookie, 16);
AT(ioasid_device_bind, devid, 24);
AT(ioasid_device_bind, fault_addr, 32);
SIZE(ioasid_device_bind, 40);

AT(ioasid_device_attach, ioasid, 8);
AT(ioasid_device_attach, fault_addr, 16);
SIZE(ioasid_device_attach, 24);

AT(ioasid_device_detach, ioasid, 8);
SIZE(ioasid_device_detach, 16);

AT(ioasid_query_entry, length, 8);
AT(ioasid_query_entry, addr, 16);
AT(ioasid_query_entry, cut_size, 24);
AT(ioasid_query_entry, pgsizes, 32);
AT(ioasid_query_entry, flags, 40);
SIZE(ioasid_query_entry, 48);
AT(ioasid_query_long_entry, entry, 0);
AT(ioasid_query_long_entry, ino, 48);
AT(ioasid_query_long_entry, dev, 56);
SIZE(ioasid_query_long_entry, 64);

AT(ioasid_query_map, ioasid, 8);
AT(ioasid_query_map, nr, 12);
AT(ioasid_query_map, start, 16);
AT(ioasid_query_map, entries, 24);
AT(ioasid_query_map, next, 32);
AT(ioasid_query_map, more, 40);
AT(ioasid_query_map, entry_size, 44);
SIZE(ioasid_query_map, 48);

AT(ioasid_bind_table, ioasid, 8);
AT(ioasid_bind_table, length, 12);
AT(ioasid_bind_table, data, 16);
AT(ioasid_bind_table, __reserved, 24);
SIZE(ioasid_bind_table, 40);

AT(ioasid_unbind_table, ioasid, 8);
AT(ioasid_unbind_table, __reserved, 12);
SIZE(ioasid_unbind_table, 16);

AT(ioasid_invalidate, vpasid, 4);
AT(ioasid_invalidate, start, 8);
AT(ioasid_invalidate, last, 16);
SIZE(ioasid_invalidate, 24);

AT(ioasid_invalidate_cache, ioasid, 8);
AT(ioasid_invalidate_cache, devid, 12);
AT(ioasid_invalidate_cache, type, 16);
AT(ioasid_invalidate_cache, entry_size, 20);
AT(ioasid_invalidate_cache, nr, 24);
AT(ioasid_invalidate_cache, done, 28);
AT(ioasid_invalidate_cache, entries, 32);
AT(ioasid_invalidate_cache, error, 40);
AT(ioasid_invalidate_cache, __reserved, 44);
SIZE(ioasid_invalidate_cache, 48);

AT(ioasid_fault_queue, depth, 8);
AT(ioasid_fault_queue, eventfd, 12);
AT(ioasid_fault_queue, cookie, 16);
AT(ioasid_fault_queue, queue, 24);
AT(ioasid_fault_queue, fd, 28);
SIZE(ioasid_fault_queue, 32);

AT(ioasid_fault, flags, 4);
AT(ioasid_fault, ioasid, 8);
AT(ioasid_fault, devid, 12);
AT(ioasid_fault, cookie, 16);
AT(ioasid_fault, addr, 24);
AT(ioasid_fault, vpasid, 32);
AT(ioasid_fault, permission, 36);
AT(ioasid_fault, id, 40);
AT(ioasid_fault, group, 44);
AT(ioasid_fault, time, 48);
AT(ioasid_fault, lost, 56);
AT(ioasid_fault, reason, 64);
AT(ioasid_fault, __reserved, 72);
SIZE(ioasid_fault, 96);

AT(ioasid_fault_response, code, 4);
AT(ioasid_fault_response, flags, 8);
AT(ioasid_fault_response, __reserved, 12);
SIZE(ioasid_fault_response, 16);

AT(ioasid_set_dirty, ioasid, 8);
AT(ioasid_set_dirty, __reserved, 12);
SIZE(ioasid_set_dirty, 16);

AT(ioasid_get_dirty, ioasid, 8);
AT(ioasid_get_dirty, told, 12);
AT(ioasid_get_dirty, iova, 16);
AT(ioasid_get_dirty, length, 24);
AT(ioasid_get_dirty, page_size, 32);
AT(ioasid_get_dirty, bitmap, 40);
AT(ioasid_get_dirty, nr_dirty, 48);
AT(ioasid_get_dirty, next, 56);
SIZE(ioasid_get_dirty, 64);

AT(ioasid_rehome, ioasid, 8);
AT(ioasid_rehome, __reserved, 12);
AT(ioasid_rehome, moved, 16);
AT(ioasid_rehome, fail_iova, 24);
AT(ioasid_rehome, entries, 32);
AT(ioasid_rehome, nr, 40);
AT(ioasid_rehome, entry_size, 44);
SIZE(ioasid_rehome, 48);

AT(ioasid_rehome_entry, iova, 0);
AT(ioasid_rehome_entry, length, 8);
AT(ioasid_rehome_entry, addr, 16);
SIZE(ioasid_rehome_entry, 24);

static_assert(IOASID_QUERY_MAP == 0x6948, "number");
static_assert(IOASID_BIND_PGTABLE == 0x6949, "number");
static_assert(IOASID_UNBIND_PGTABLE == 0x694a, "number");
static_assert(IOASID_BIND_PASID_TABLE == 0x694b, "number");
static_assert(IOASID_UNBIND_PASID_TABLE == 0x694c, "number");
static_assert(IOASID_INVALIDATE_CACHE == 0x694d, "number");
static_assert(IOASID_FAULT_QUEUE == 0x694e, "number");
static_assert(IOASID_SET_DIRTY == 0x694f, "number");
static_assert(IOASID_GET_DIRTY == 0x6950, "number");
static_assert(IOASID_CHECK_EXTENSION == 0x6940, "number");
static_assert(IOASID_SET_OPTION == 0x6954, "number");
static_assert(IOASID_REHOME == 0x6955, "number");
static_assert(IOASID_VFIO_IOASID == 0x6956, "number");

/* A structure of any command, with more room behind it. */
union args {
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
	struct ioasid_query_map query;
	struct ioasid_set_dirty set_dirty;
	struct ioasid_get_dirty get_dirty;
	struct ioasid_rehome rehome;
	struct ioasid_export export;
	struct ioasid_import import;
	struct ioasid_list list;
	struct ioasid_get_events events;
	struct ioasid_set_option option;
	struct ioasid_vfio_ioasid vfio;
	struct ioasid_bind_table bind;
	struct ioasid_unbind_table unbind;
	struct ioasid_invalidate_cache invalidate;
	struct ioasid_fault_queue fault_queue;
	__u8 bytes[4096];
};

#endif /* __SELFTESTS_IOASID_LAYOUT_H */
