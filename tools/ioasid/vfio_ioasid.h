/* SPDX-License-Identifier: LGPL-2.1-only OR MIT */
/*
 * The commands that VFIO gives its device files for /dev/ioasid, for systems
 * whose linux/vfio.h is older.  To be included after linux/vfio.h; the
 * structures are in linux/ioasid.h.
 */
#ifndef VFIO_IOASID_H
#define VFIO_IOASID_H

#ifndef VFIO_DEVICE_BIND_IOASID_FD
#define VFIO_DEVICE_BIND_IOASID_FD	_IO(VFIO_TYPE, VFIO_BASE + 22)
#endif
#ifndef VFIO_DEVICE_ATTACH_IOASID
#define VFIO_DEVICE_ATTACH_IOASID	_IO(VFIO_TYPE, VFIO_BASE + 24)
#endif
#ifndef VFIO_DEVICE_DETACH_IOASID
#define VFIO_DEVICE_DETACH_IOASID	_IO(VFIO_TYPE, VFIO_BASE + 25)
#endif

#endif /* VFIO_IOASID_H */
