#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The qtest program ivm-link-test, which speaks TAP by itself.
set -eu
dir=$(cd "$IVM_OUT/qemu" && pwd -P)
TMPDIR=$(mktemp -d)
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR QTEST_QEMU_BINARY=$dir/qemu-system-x86_64
"$dir/ivm-link-test" --tap -k
