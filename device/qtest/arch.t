#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The device in other targets, one of them big-endian, and targets linked to
# each other.  The qtest programs speak TAP by themselves, a plan for each.
set -u
dir=$(cd "$IVM_OUT/qemu" && pwd -P)
TMPDIR=$(mktemp -d)
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR
status=0

# run ARCH PROGRAM
run() {
	echo "# $1"
	QTEST_QEMU_BINARY=$dir/qemu-system-$1 "$dir/$2" --tap -k || status=1
}

run x86_64 ivm-arch-test
for arch in aarch64 ppc64; do
	for program in ivm-arch-test ivm-mailbox-test ivm-link-test; do
		run "$arch" "$program"
	done
done
exit $status
