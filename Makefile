# SPDX-License-Identifier: GPL-2.0-only
#
# Everything that is built or run here goes through the scripts in scripts/;
# objects stay outside of the clone, in $IOASID_CACHE.

FLAVOUR ?= fast
export KSRC KERNEL

help:
	@echo 'make kernel [FLAVOUR=debug]   build a test kernel with /dev/ioasid'
	@echo 'make test                     build all, run each test and check once'
	@echo 'make test-all                 the same in all variants: before a release'
	@echo 'make check                    only the static checks'
	@echo 'make test-fresh               make demo twice on a fresh machine (a chroot); for root'
	@echo 'make mutants                  see that deliberate bugs are noticed; not part of make test'
	@echo 'make demo [KERNEL=own]        a userspace NVMe driver on /dev/ioasid, in a VM: on the'
	@echo '                              kernel of Debian, or on that of make kernel'
	@echo 'make demo-nested              a guest page table that the model IOMMU walks, in a VM'
	@echo 'make demo-vsva                processes of a guest on two devices, with page requests,'
	@echo '                              on the model IOMMU, in a VM'
	@echo 'make deb                      Debian packages, in out/deb: modules for its kernel, library, tools'
	@echo 'make qemu                     QEMU with the back end for /dev/ioasid'
	@echo 'make test-qemu                its tests, in a VM too'
	@echo 'make bench-qemu               instructions per operation of its back ends, in a VM'
	@echo 'make bench                    instructions per operation, in a VM'
	@echo 'make selftests                build the kselftests'
	@echo 'make overlay KSRC=TREE        lay this repository over a kernel tree of yours'
	@echo 'make series KSRC=TREE OUT=DIR write it as a series of patches to mail'
	@echo 'make -s print-image [FLAVOUR=debug], make -s print-tree'
	@echo '                              where the kernel image, the laid-over tree are'
	@echo 'scripts/vm --help             run a command in a VM'
	@echo
	@echo 'KSRC=TREE      another Linux 6.12 than the linux-source-6.12 of Debian'
	@echo 'IOASID_CACHE   where trees and objects live (~/.cache/ioasid)'

kernel:
	@scripts/kernel build $(FLAVOUR)

print-image:
	@scripts/kernel print-image $(FLAVOUR)

print-tree:
	@scripts/kernel print-tree

selftests:
	@scripts/selftests

test:
	@scripts/test $(TESTS)

test-all:
	@scripts/test --all

check:
	@scripts/check $(CHECKS)

test-fresh:
	@scripts/test-fresh

mutants:
	@scripts/mutants $(MUTANTS)

demo:
	@scripts/demo

demo-nested demo-vsva:
	@scripts/demo-guest $(@:demo-%=%)

deb:
	@scripts/deb

qemu:
	@scripts/qemu build

test-qemu:
	@scripts/test qemu 'qemu.*'

bench-qemu:
	@scripts/bench-qemu

bench:
	@scripts/bench

overlay:
	@scripts/overlay $(or $(KSRC),$(error KSRC=TREE is missing))

series:
	@scripts/overlay --series $(or $(OUT),$(error OUT=DIR is missing)) \
		$(or $(KSRC),$(shell scripts/kernel prepare && scripts/kernel print-tree))

.PHONY: help kernel print-image print-tree selftests test test-all test-fresh check mutants demo demo-nested demo-vsva deb qemu test-qemu bench-qemu bench overlay series
