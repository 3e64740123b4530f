/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ioasid

#if !defined(_TRACE_IOASID_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOASID_H

#include <linux/tracepoint.h>

#include <uapi/linux/ioasid.h>

DECLARE_EVENT_CLASS(ioasid_ioasid,
	TP_PROTO(u32 ioasid),
	TP_ARGS(ioasid),
	TP_STRUCT__entry(
		__field(u32, ioasid)
	),
	TP_fast_assign(
		__entry->ioasid = ioasid;
	),
	TP_printk("ioasid=%u", __entry->ioasid)
);

DEFINE_EVENT(ioasid_ioasid, ioasid_alloc,
	TP_PROTO(u32 ioasid),
	TP_ARGS(ioasid)
);

DEFINE_EVENT(ioasid_ioasid, ioasid_free,
	TP_PROTO(u32 ioasid),
	TP_ARGS(ioasid)
);

DEFINE_EVENT(ioasid_ioasid, ioasid_poison,
	TP_PROTO(u32 ioasid),
	TP_ARGS(ioasid)
);

DECLARE_EVENT_CLASS(ioasid_device,
	TP_PROTO(u32 devid, u64 cookie, const char *name),
	TP_ARGS(devid, cookie, name),
	TP_STRUCT__entry(
		__field(u32, devid)
		__field(u64, cookie)
		__string(name, name)
	),
	TP_fast_assign(
		__entry->devid = devid;
		__entry->cookie = cookie;
		__assign_str(name);
	),
	TP_printk("devid=%u cookie=0x%llx name=%s", __entry->devid,
		  __entry->cookie, __get_str(name))
);

DEFINE_EVENT(ioasid_device, ioasid_bind,
	TP_PROTO(u32 devid, u64 cookie, const char *name),
	TP_ARGS(devid, cookie, name)
);

DEFINE_EVENT(ioasid_device, ioasid_unbind,
	TP_PROTO(u32 devid, u64 cookie, const char *name),
	TP_ARGS(devid, cookie, name)
);

DECLARE_EVENT_CLASS(ioasid_route,
	TP_PROTO(u32 devid, u32 vpasid, u32 ioasid, int ret),
	TP_ARGS(devid, vpasid, ioasid, ret),
	TP_STRUCT__entry(
		__field(u32, devid)
		__field(u32, vpasid)
		__field(u32, ioasid)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->devid = devid;
		__entry->vpasid = vpasid;
		__entry->ioasid = ioasid;
		__entry->ret = ret;
	),
	TP_printk("devid=%u vpasid=%u ioasid=%u ret=%d", __entry->devid,
		  __entry->vpasid, __entry->ioasid, __entry->ret)
);

DEFINE_EVENT(ioasid_route, ioasid_attach,
	TP_PROTO(u32 devid, u32 vpasid, u32 ioasid, int ret),
	TP_ARGS(devid, vpasid, ioasid, ret)
);

DEFINE_EVENT(ioasid_route, ioasid_detach,
	TP_PROTO(u32 devid, u32 vpasid, u32 ioasid, int ret),
	TP_ARGS(devid, vpasid, ioasid, ret)
);

TRACE_EVENT(ioasid_map,
	TP_PROTO(u32 ioasid, u64 iova, u64 length, u32 flags, int ret),
	TP_ARGS(ioasid, iova, length, flags, ret),
	TP_STRUCT__entry(
		__field(u32, ioasid)
		__field(u32, flags)
		__field(u64, iova)
		__field(u64, length)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->ioasid = ioasid;
		__entry->flags = flags;
		__entry->iova = iova;
		__entry->length = length;
		__entry->ret = ret;
	),
	TP_printk("ioasid=%u iova=0x%llx length=0x%llx flags=0x%x ret=%d",
		  __entry->ioasid, __entry->iova, __entry->length,
		  __entry->flags, __entry->ret)
);

TRACE_EVENT(ioasid_unmap,
	TP_PROTO(u32 ioasid, u64 iova, u64 length, u64 unmapped, int ret),
	TP_ARGS(ioasid, iova, length, unmapped, ret),
	TP_STRUCT__entry(
		__field(u32, ioasid)
		__field(int, ret)
		__field(u64, iova)
		__field(u64, length)
		__field(u64, unmapped)
	),
	TP_fast_assign(
		__entry->ioasid = ioasid;
		__entry->iova = iova;
		__entry->length = length;
		__entry->unmapped = unmapped;
		__entry->ret = ret;
	),
	TP_printk("ioasid=%u iova=0x%llx length=0x%llx unmapped=0x%llx ret=%d",
		  __entry->ioasid, __entry->iova, __entry->length,
		  __entry->unmapped, __entry->ret)
);

TRACE_EVENT(ioasid_batch,
	TP_PROTO(u32 ioasid, u32 nr, u32 done, u64 unmapped, int ret),
	TP_ARGS(ioasid, nr, done, unmapped, ret),
	TP_STRUCT__entry(
		__field(u32, ioasid)
		__field(u32, nr)
		__field(u32, done)
		__field(int, ret)
		__field(u64, unmapped)
	),
	TP_fast_assign(
		__entry->ioasid = ioasid;
		__entry->nr = nr;
		__entry->done = done;
		__entry->unmapped = unmapped;
		__entry->ret = ret;
	),
	TP_printk("ioasid=%u nr=%u done=%u unmapped=0x%llx ret=%d",
		  __entry->ioasid, __entry->nr, __entry->done,
		  __entry->unmapped, __entry->ret)
);

TRACE_EVENT(ioasid_option,
	TP_PROTO(u32 option, u64 value, bool seal),
	TP_ARGS(option, value, seal),
	TP_STRUCT__entry(
		__field(u32, option)
		__field(bool, seal)
		__field(u64, value)
	),
	TP_fast_assign(
		__entry->option = option;
		__entry->value = value;
		__entry->seal = seal;
	),
	TP_printk("option=%u value=0x%llx seal=%d", __entry->option,
		  __entry->value, __entry->seal)
);

TRACE_EVENT(ioasid_fault,
	TP_PROTO(const struct ioasid_fault *fault),
	TP_ARGS(fault),
	TP_STRUCT__entry(
		__field(u32, kind)
		__field(u32, flags)
		__field(u32, devid)
		__field(u32, vpasid)
		__field(u32, ioasid)
		__field(u32, permission)
		__field(u32, id)
		__field(u64, addr)
	),
	TP_fast_assign(
		__entry->kind = fault->kind;
		__entry->flags = fault->flags;
		__entry->devid = fault->devid;
		__entry->vpasid = fault->vpasid;
		__entry->ioasid = fault->ioasid;
		__entry->permission = fault->permission;
		__entry->id = fault->id;
		__entry->addr = fault->addr;
	),
	TP_printk("kind=%u flags=0x%x devid=%u vpasid=%u ioasid=%u addr=0x%llx permission=0x%x id=0x%x",
		  __entry->kind, __entry->flags, __entry->devid,
		  __entry->vpasid, __entry->ioasid, __entry->addr,
		  __entry->permission, __entry->id)
);

TRACE_EVENT(ioasid_fault_answer,
	TP_PROTO(u32 devid, u32 vpasid, u32 ioasid, u32 id, u32 code),
	TP_ARGS(devid, vpasid, ioasid, id, code),
	TP_STRUCT__entry(
		__field(u32, devid)
		__field(u32, vpasid)
		__field(u32, ioasid)
		__field(u32, id)
		__field(u32, code)
	),
	TP_fast_assign(
		__entry->devid = devid;
		__entry->vpasid = vpasid;
		__entry->ioasid = ioasid;
		__entry->id = id;
		__entry->code = code;
	),
	TP_printk("devid=%u vpasid=%u ioasid=%u id=0x%x code=%u",
		  __entry->devid, __entry->vpasid, __entry->ioasid,
		  __entry->id, __entry->code)
);

#endif /* _TRACE_IOASID_H */

#include <trace/define_trace.h>
