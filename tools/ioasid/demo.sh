#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The part of `make demo` that runs in the VM:
#	demo.sh DEVICE BYTES SHA256
# DEVICE is an NVMe disk of BYTES bytes, and this is their digest.
set -e
device=$1 bytes=$2 digest=$3

echo "The disk $device is given to vfio-pci, so that programs can have it."
vfio-take "$device"
echo "It holds $bytes bytes, with a SHA-256 that only the host knows so far:"
echo "   $digest"
echo
set -- "$device" "$digest"
# QEMU's AMD IOMMU stops what it must stop, but never reports it.
[ ! -e /sys/class/iommu/ivhd0 ] || set -- -n "$@"
exec nvme-demo "$@"
