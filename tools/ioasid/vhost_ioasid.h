/* SPDX-License-Identifier: LGPL-2.1-only OR MIT */
/*
 * The commands that vhost-vdpa gives its files for /dev/ioasid, for systems whose
 * linux/vhost.h is older.  To be included after linux/vhost.h; the structures are
 * in linux/ioasid.h.
 */
#ifndef VHOST_IOASID_H
#define VHOST_IOASID_H

#ifndef VHOST_VDPA_BIND_IOASID_FD
#define VHOST_VDPA_BIND_IOASID_FD	_IO(VHOST_VIRTIO, 0x90)
#endif
#ifndef VHOST_VDPA_ATTACH_IOASID
#define VHOST_VDPA_ATTACH_IOASID	_IO(VHOST_VIRTIO, 0x91)
#endif
#ifndef VHOST_VDPA_DETACH_IOASID
#define VHOST_VDPA_DETACH_IOASID	_IO(VHOST_VIRTIO, 0x92)
#endif

#endif /* VHOST_IOASID_H */
